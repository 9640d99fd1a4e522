/* Settings by name. */
#include "check.h"

static void what_was_set_can_be_read(void) {
  klog_config *config = klog_config_new();
  CHECK(config != NULL);
  CHECK(klog_config_get(config, "acks") == NULL);
  OK(klog_config_set(config, "acks", "1", &error));
  CHECK(strcmp(klog_config_get(config, "acks"), "1") == 0);
  OK(klog_config_set(config, "acks", "all", &error));
  CHECK(strcmp(klog_config_get(config, "acks"), "all") == 0);
  OK(klog_config_set(config, "acks", NULL, &error));
  CHECK(klog_config_get(config, "acks") == NULL);
  CHECK(klog_config_get(config, "no.such.key") == NULL);
  klog_config_free(config);
}

static void an_unknown_key_is_refused_with_the_nearest(void) {
  klog_config *config = klog_config_new();
  FAILS(KLOG_E_CONFIG, "did you mean 'retention.ms'?",
        klog_config_set(config, "retention.sm", "1", &error));
  FAILS(KLOG_E_CONFIG, "did you mean 'linger.ms'?",
        klog_config_set(config, "lingerms", "1", &error));
  FAILS(KLOG_E_CONFIG, "did you mean 'read.only'?",
        klog_config_set(config, "readonly", "true", &error));
  FAILS(KLOG_E_CONFIG, "no option 'qqqqqqqqqqqqqqqqqq'",
        klog_config_set(config, "qqqqqqqqqqqqqqqqqq", NULL, &error));
  FAILS(KLOG_E_CONFIG, "no option ''", klog_config_set(config, "", "1", &error));
  klog_config_free(config);
}

static void a_bad_value_is_refused_and_changes_nothing(void) {
  klog_config *config = klog_config_new();
  OK(klog_config_set(config, "segment.bytes", "2000000", &error));
  FAILS(KLOG_E_CONFIG, "segment.bytes is 13; allowed are 1048576 to 2147483647",
        klog_config_set(config, "segment.bytes", "13", &error));
  FAILS(KLOG_E_CONFIG, "acks is 'most'", klog_config_set(config, "acks", "most", &error));
  FAILS(KLOG_E_CONFIG, "mode is 'w'", klog_config_set(config, "mode", "w", &error));
  FAILS(KLOG_E_CONFIG, "read.only is 'yes'", klog_config_set(config, "read.only", "yes", &error));
  FAILS(KLOG_E_CONFIG, "assume.lost is '1;2'",
        klog_config_set(config, "assume.lost", "1;2", &error));
  OK(klog_config_set(config, "assume.lost", "1, 2", &error));
  CHECK(strcmp(klog_config_get(config, "segment.bytes"), "2000000") == 0);
  CHECK(klog_config_get(config, "acks") == NULL);
  klog_config_free(config);
}

static void what_brokers_say_for_all_topics_has_names_of_its_own(void) {
  klog_config *config = klog_config_new();
  OK(klog_config_set(config, "log.retention.ms", "-1", &error));
  CHECK(strcmp(klog_config_get(config, "log.retention.ms"), "-1") == 0);
  FAILS(KLOG_E_CONFIG, "log.retention.ms is 'long'",
        klog_config_set(config, "log.retention.ms", "long", &error));
  FAILS(KLOG_E_CONFIG, "log.segment.bytes is 13; allowed are",
        klog_config_set(config, "log.segment.bytes", "13", &error));
  FAILS(KLOG_E_CONFIG, "did you mean 'log.roll.ms'?",
        klog_config_set(config, "log.rol.ms", "1", &error));
  klog_config_free(config);
}

static void a_key_of_several_takes_what_any_of_them_takes(void) {
  klog_config *config = klog_config_new();
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;
  /* "uncompressed" is a topic's word; a producer's is "none". */
  OK(klog_config_set(config, "compression.type", "uncompressed", &error));
  OK(klog_engine_open(":memory:", config, &engine, &error));
  FAILS(KLOG_E_CONFIG, "compression.type is 'uncompressed'",
        klog_producer_open(engine, config, &producer, &error));
  CHECK(producer == NULL);
  OK(klog_config_set(config, "compression.type", "none", &error));
  OK(klog_producer_open(engine, config, &producer, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);
  klog_config_free(config);
}

static void lines_are_taken_all_or_none(void) {
  klog_config *config = klog_config_new();
  OK(klog_config_parse(config,
                       "# what a program may have in a file\n"
                       "\n"
                       "  acks = 1 \r\n"
                       "linger.ms=0\n"
                       "client.id=a=b",
                       &error));
  CHECK(strcmp(klog_config_get(config, "acks"), "1") == 0);
  CHECK(strcmp(klog_config_get(config, "linger.ms"), "0") == 0);
  CHECK(strcmp(klog_config_get(config, "client.id"), "a=b") == 0);
  FAILS(KLOG_E_CONFIG, "line 2: there is no option 'linger'; did you mean",
        klog_config_parse(config, "acks=all\nlinger=3\n", &error));
  FAILS(KLOG_E_CONFIG, "line 1: 'acks' is not of the form",
        klog_config_parse(config, "acks", &error));
  CHECK(strcmp(klog_config_get(config, "acks"), "1") == 0);
  OK(klog_config_parse(config, "", &error));
  klog_config_free(config);
}

static void one_config_serves_them_all(const char *dir) {
  klog_config *config = klog_config_new();
  klog_engine *engine = NULL;
  klog_admin *admin = NULL;
  klog_producer *producer = NULL;
  klog_consumer *consumer = NULL;
  klog_rows *rows = NULL;
  klog_message m = message("orders", "one");

  OK(klog_config_parse(config,
                       "num.partitions=3\n"
                       "retention.ms=60000\n"
                       "linger.ms=0\n"
                       "max.poll.records=7\n",
                       &error));
  OK(klog_engine_open(path(dir, "shared"), config, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_topic_create(admin, "orders", 0, 0, config, &error));
  OK(klog_producer_open(engine, config, &producer, &error));
  OK(klog_consumer_open(engine, config, &consumer, &error));
  /* It was copied. */
  klog_config_free(config);

  OK(klog_partition_list(admin, "orders", &rows, &error));
  CHECK(klog_rows_len(rows) == 3);
  klog_rows_free(rows);
  OK(klog_config_list(admin, "orders", &rows, &error));
  CHECK(is_text(rows, row_of(rows, "key", "retention.ms"), "value", "60000"));
  klog_rows_free(rows);
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));

  klog_consumer_free(consumer);
  klog_producer_free(producer);
  klog_admin_free(admin);
  klog_engine_free(engine);
}

static void text_that_is_not_utf8_is_refused(void) {
  klog_config *config = klog_config_new();
  FAILS(KLOG_E_INVALID, "key is not UTF-8", klog_config_set(config, "\xff", "1", &error));
  FAILS(KLOG_E_INVALID, "value is not UTF-8",
        klog_config_set(config, "client.id", "\xc3", &error));
  FAILS(KLOG_E_INVALID, "text is not UTF-8", klog_config_parse(config, "acks=\xfe", &error));
  CHECK(klog_config_get(config, "\xff") == NULL);
  klog_config_free(config);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  what_was_set_can_be_read();
  an_unknown_key_is_refused_with_the_nearest();
  a_bad_value_is_refused_and_changes_nothing();
  what_brokers_say_for_all_topics_has_names_of_its_own();
  a_key_of_several_takes_what_any_of_them_takes();
  lines_are_taken_all_or_none();
  one_config_serves_them_all(argv[1]);
  text_that_is_not_utf8_is_refused();
  return 0;
}

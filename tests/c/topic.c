/* Topics, partitions, and the tables that tell of them. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include "fingerprint.h"

static klog_engine *engine;
static klog_admin *admin;

static void send_value(const char *topic, const char *value, int64_t timestamp) {
  klog_producer *producer = NULL;
  klog_message m = message(topic, value);
  m.flags = KLOG_SET_TIMESTAMP;
  m.timestamp = timestamp;
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  klog_producer_free(producer);
}

static void topics_are_made_listed_and_removed(void) {
  klog_rows *rows = NULL;
  OK(klog_topic_create(admin, "orders", 2, 1, NULL, &error));
  OK(klog_topic_create(admin, "logs", 0, 0, NULL, &error));
  FAILS(KLOG_E_TOPIC_EXISTS, "orders", klog_topic_create(admin, "orders", 1, 1, NULL, &error));
  FAILS(KLOG_E_INVALID, "-1 partitions", klog_topic_create(admin, "x", -1, 0, NULL, &error));
  FAILS(KLOG_E_INVALID, "9 replicas", klog_topic_create(admin, "x", 1, 9, NULL, &error));
  FAILS(KLOG_E_INVALID, "a/b", klog_topic_create(admin, "a/b", 1, 1, NULL, &error));
  FAILS(KLOG_E_INVALID, "not UTF-8", klog_topic_create(admin, "\xff", 1, 1, NULL, &error));

  OK(klog_topic_list(admin, &rows, &error));
  CHECK(klog_rows_len(rows) == 2);
  CHECK(strcmp(klog_rows_text(rows, 0, "topic"), "logs") == 0);
  CHECK(klog_rows_int(rows, 0, "partitions", -1) == 1);
  CHECK(strcmp(klog_rows_text(rows, 1, "topic"), "orders") == 0);
  CHECK(klog_rows_int(rows, 1, "partitions", -1) == 2);
  CHECK(klog_rows_int(rows, 1, "replication_factor", -1) == 1);
  CHECK(klog_rows_int(rows, 1, "internal", -1) == 0);
  CHECK(strlen(klog_rows_text(rows, 1, "id")) == 22);
  klog_rows_free(rows);

  OK(klog_topic_delete(admin, "logs", &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "logs", klog_topic_delete(admin, "logs", &error));
}

static void a_table_answers_in_every_way(void) {
  static const char *names[] = {"topic", "id", "partitions", "replication_factor", "internal"};
  static const int32_t ints[] = {0, 0, 1, 1, 1};
  klog_rows *rows = NULL;
  size_t i;
  OK(klog_topic_list(admin, &rows, &error));
  CHECK(klog_rows_column_count(rows) == 5);
  for (i = 0; i < 5; i++) {
    CHECK(strcmp(klog_rows_column_name(rows, i), names[i]) == 0);
    CHECK(klog_rows_column_is_int(rows, i) == ints[i]);
  }
  CHECK(klog_rows_column_name(rows, 5) == NULL);
  CHECK(klog_rows_column_is_int(rows, 5) == 0);
  CHECK(klog_rows_text(rows, 0, "partitions") == NULL);
  CHECK(klog_rows_text(rows, 0, "no such column") == NULL);
  CHECK(klog_rows_text(rows, 1, "topic") == NULL);
  CHECK(klog_rows_text(rows, SIZE_MAX, "topic") == NULL);
  CHECK(klog_rows_int(rows, 0, "topic", 77) == 77);
  CHECK(klog_rows_int(rows, 9, "partitions", 78) == 78);
  CHECK(klog_rows_int(rows, 0, "\xff", 79) == 79);
  klog_rows_free(rows);
}

static void partitions_tell_where_they_stand(void) {
  klog_rows *rows = NULL;
  send_value("logs", "one", 1000);
  send_value("logs", "two", 2000);
  OK(klog_partition_list(admin, NULL, &rows, &error));
  CHECK(klog_rows_len(rows) == 3);
  klog_rows_free(rows);
  OK(klog_partition_list(admin, "logs", &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(strcmp(klog_rows_text(rows, 0, "topic"), "logs") == 0);
  CHECK(klog_rows_int(rows, 0, "partition", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "leader", -1) == 1);
  CHECK(klog_rows_int(rows, 0, "leader_epoch", -1) == 0);
  CHECK(strcmp(klog_rows_text(rows, 0, "replicas"), "1") == 0);
  CHECK(strcmp(klog_rows_text(rows, 0, "isr"), "1") == 0);
  CHECK(klog_rows_int(rows, 0, "log_start_offset", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "last_stable_offset", -1) == 2);
  CHECK(klog_rows_int(rows, 0, "high_watermark", -1) == 2);
  CHECK(klog_rows_int(rows, 0, "log_end_offset", -1) == 2);
  CHECK(klog_rows_int(rows, 0, "bytes", -1) > 0);
  CHECK(klog_rows_int(rows, 0, "segments", -1) == 1);
  klog_rows_free(rows);
}

static void a_producer_uses_new_partitions_at_its_next_message(void) {
  klog_producer *producer = NULL;
  klog_rows *rows = NULL;
  klog_message m = message("growing", "value");
  klog_delivery delivery;
  OK(klog_topic_create(admin, "growing", 1, 1, NULL, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  m.flags = KLOG_SET_PARTITION;
  m.partition = 2;
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not 2",
        klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));

  OK(klog_topic_add_partitions(admin, "growing", 3, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.partition == 2 && delivery.offset == 0);
  /* Partition 2 is the one of three that has this key. */
  m.flags = 0;
  m.key = (const uint8_t *)"b";
  m.key_len = 1;
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.partition == 2 && delivery.offset == 1);
  klog_producer_free(producer);

  OK(klog_partition_list(admin, "growing", &rows, &error));
  CHECK(klog_rows_len(rows) == 3);
  CHECK(klog_rows_int(rows, 1, "high_watermark", -1) == 0);
  CHECK(klog_rows_int(rows, 2, "high_watermark", -1) == 2);
  klog_rows_free(rows);
  OK(klog_topic_delete(admin, "growing", &error));
}

static void partitions_never_become_fewer(const char *dir) {
  static const int32_t totals[] = {2, 1, 0, -1, INT32_MIN};
  uint64_t before;
  size_t i;
  OK(klog_topic_create(admin, "shrinking", 2, 1, NULL, &error));
  before = fingerprint(dir);
  for (i = 0; i < sizeof totals / sizeof *totals; i++) {
    CHECK(klog_topic_add_partitions(admin, "shrinking", totals[i], &error) == KLOG_E_INVALID);
    CHECK(klog_error_kafka_code(error) == 37);
    CHECK(klog_error_is_retriable(error) == 0);
    CHECK(strstr(klog_error_message(error), "'shrinking'") != NULL);
    klog_error_free(error);
  }
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'shrinking'?",
        klog_topic_add_partitions(admin, "shrinkin", 3, &error));
  FAILS(KLOG_E_INVALID, "most at once",
        klog_topic_add_partitions(admin, "shrinking", INT32_MAX, &error));
  FAILS(KLOG_E_INVALID, "__consumer_offsets",
        klog_topic_add_partitions(admin, "__consumer_offsets", 60, &error));
  FAILS(KLOG_E_INVALID, "not UTF-8", klog_topic_add_partitions(admin, "\xff", 3, &error));
  CHECK(fingerprint(dir) == before);
  OK(klog_topic_delete(admin, "shrinking", &error));
}

static void options_are_changed_and_taken_back(void) {
  klog_config *changes = klog_config_new();
  klog_rows *rows = NULL;
  size_t row;
  OK(klog_config_set(changes, "retention.ms", "1234", &error));
  OK(klog_topic_configure(admin, "orders", changes, &error));
  OK(klog_config_list(admin, "orders", &rows, &error));
  row = row_of(rows, "key", "retention.ms");
  CHECK(is_text(rows, row, "value", "1234"));
  CHECK(is_text(rows, row, "source", "DYNAMIC_TOPIC_CONFIG"));
  CHECK(is_text(rows, row, "type", "long"));
  CHECK(strstr(klog_rows_text(rows, row, "bounds"), "-1 to") != NULL);
  CHECK(strstr(klog_rows_text(rows, row, "doc"), "older than") != NULL);
  CHECK(klog_rows_int(rows, row, "read_only", -1) == 0);
  /* One that nobody said anything about, and one that is unset. */
  row = row_of(rows, "key", "segment.bytes");
  CHECK(is_text(rows, row, "value", "1073741824"));
  CHECK(is_text(rows, row, "source", "DEFAULT_CONFIG"));
  CHECK(is_text(rows, row_of(rows, "key", "flush.ms"), "value", NULL));
  klog_rows_free(rows);

  OK(klog_config_set(changes, "retention.ms", NULL, &error));
  OK(klog_topic_configure(admin, "orders", changes, &error));
  OK(klog_config_list(admin, "orders", &rows, &error));
  row = row_of(rows, "key", "retention.ms");
  /* What holds for all topics of a directory that klog made: nothing goes by age. */
  CHECK(is_text(rows, row, "value", "-1"));
  CHECK(is_text(rows, row, "source", "DYNAMIC_DEFAULT_BROKER_CONFIG"));
  klog_rows_free(rows);

  /* Not an option of topics. */
  OK(klog_config_set(changes, "linger.ms", "1", &error));
  FAILS(KLOG_E_CONFIG, "linger.ms", klog_topic_configure(admin, "orders", changes, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'orders'?",
        klog_config_list(admin, "oders", &rows, &error));
  FAILS(KLOG_E_INVALID, "not UTF-8", klog_config_list(admin, "\xff", &rows, &error));
  CHECK(rows == NULL);
  klog_config_free(changes);
}

static void what_all_brokers_say_holds_where_a_topic_says_nothing(void) {
  klog_config *changes = klog_config_new();
  klog_rows *rows = NULL;
  size_t row;
  OK(klog_config_set(changes, "log.segment.bytes", "2000000", &error));
  OK(klog_topic_configure(admin, NULL, changes, &error));
  OK(klog_config_list(admin, NULL, &rows, &error));
  row = row_of(rows, "key", "log.segment.bytes");
  CHECK(is_text(rows, row, "value", "2000000"));
  CHECK(is_text(rows, row, "source", "DYNAMIC_DEFAULT_BROKER_CONFIG"));
  CHECK(klog_rows_int(rows, row, "read_only", -1) == 0);
  /* What the engine was opened with cannot be changed. */
  row = row_of(rows, "key", "num.partitions");
  CHECK(is_text(rows, row, "source", "DEFAULT_CONFIG"));
  CHECK(klog_rows_int(rows, row, "read_only", -1) == 1);
  row = row_of(rows, "key", "threads");
  CHECK(is_text(rows, row, "value", "off"));
  CHECK(is_text(rows, row, "source", "STATIC_BROKER_CONFIG"));
  klog_rows_free(rows);
  OK(klog_config_list(admin, "orders", &rows, &error));
  row = row_of(rows, "key", "segment.bytes");
  CHECK(is_text(rows, row, "value", "2000000"));
  CHECK(is_text(rows, row, "source", "DYNAMIC_DEFAULT_BROKER_CONFIG"));
  klog_rows_free(rows);

  OK(klog_config_set(changes, "num.partitions", "3", &error));
  FAILS(KLOG_E_CONFIG, "num.partitions cannot be altered",
        klog_topic_configure(admin, NULL, changes, &error));
  klog_config_free(changes);

  changes = klog_config_new();
  /* The name that a topic has for it. */
  OK(klog_config_set(changes, "segment.bytes", "2000000", &error));
  FAILS(KLOG_E_CONFIG, "did you mean 'log.segment.bytes'?",
        klog_topic_configure(admin, NULL, changes, &error));
  klog_config_free(changes);

  changes = klog_config_new();
  OK(klog_config_set(changes, "log.segment.bytes", NULL, &error));
  OK(klog_topic_configure(admin, NULL, changes, &error));
  OK(klog_config_list(admin, "orders", &rows, &error));
  CHECK(is_text(rows, row_of(rows, "key", "segment.bytes"), "source", "DEFAULT_CONFIG"));
  klog_rows_free(rows);
  klog_config_free(changes);
}

static void offsets_are_found_by_what_they_mean(void) {
  int64_t offset = 99;
  OK(klog_topic_offset_at(admin, "logs", 0, KLOG_EARLIEST, &offset, &error));
  CHECK(offset == 0);
  OK(klog_topic_offset_at(admin, "logs", 0, KLOG_LATEST, &offset, &error));
  CHECK(offset == 2);
  OK(klog_topic_offset_at(admin, "logs", 0, 1500, &offset, &error));
  CHECK(offset == 1);
  OK(klog_topic_offset_at(admin, "logs", 0, 2001, &offset, &error));
  CHECK(offset == -1);
  OK(klog_topic_offset_at(admin, "logs", 0, KLOG_MAX_TIMESTAMP, &offset, &error));
  CHECK(offset == 1);
  FAILS(KLOG_E_INVALID, "timestamp is -4",
        klog_topic_offset_at(admin, "logs", 0, -4, &offset, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not 5",
        klog_topic_offset_at(admin, "logs", 5, KLOG_LATEST, &offset, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not -1",
        klog_topic_offset_at(admin, "logs", -1, KLOG_LATEST, &offset, &error));
}

static void records_are_deleted_from_the_front(void) {
  int64_t start = 99;
  OK(klog_topic_delete_records(admin, "logs", 0, 1, &start, &error));
  CHECK(start == 1);
  FAILS(KLOG_E_OFFSET_OUT_OF_RANGE, "3",
        klog_topic_delete_records(admin, "logs", 0, 3, &start, &error));
  FAILS(KLOG_E_INVALID, "before_offset is -2",
        klog_topic_delete_records(admin, "logs", 0, -2, &start, &error));
  OK(klog_topic_delete_records(admin, "logs", 0, -1, NULL, &error));
  OK(klog_topic_offset_at(admin, "logs", 0, KLOG_EARLIEST, &start, &error));
  CHECK(start == 2);
}

static void a_reader_changes_nothing_and_lists_everything(const char *dir) {
  klog_config *config = klog_config_new();
  klog_rows *rows = NULL;
  uint64_t before = fingerprint(dir);
  OK(klog_config_set(config, "read.only", "true", &error));
  OK(klog_engine_open(dir, config, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  klog_config_free(config);
  config = klog_config_new();
  FAILS(KLOG_E_READ_ONLY, "reading only", klog_topic_add_partitions(admin, "orders", 9, &error));
  FAILS(KLOG_E_READ_ONLY, "reading only", klog_topic_configure(admin, "orders", config, &error));
  FAILS(KLOG_E_READ_ONLY, "reading only", klog_topic_configure(admin, NULL, config, &error));
  OK(klog_config_list(admin, "orders", &rows, &error));
  CHECK(klog_rows_len(rows) > 20);
  klog_rows_free(rows);
  OK(klog_config_list(admin, NULL, &rows, &error));
  CHECK(klog_rows_len(rows) > 20);
  klog_rows_free(rows);
  klog_admin_free(admin);
  klog_engine_free(engine);
  klog_config_free(config);
  CHECK(fingerprint(dir) == before);
}

int main(int argc, char **argv) {
  klog_config *config = klog_config_new();
  CHECK(argc == 2);
  /* Without threads nothing is written but by the calls. */
  OK(klog_config_set(config, "threads", "off", &error));
  OK(klog_engine_open(path(argv[1], "data"), config, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  klog_config_free(config);
  partitions_never_become_fewer(path(argv[1], "data"));
  topics_are_made_listed_and_removed();
  a_table_answers_in_every_way();
  partitions_tell_where_they_stand();
  a_producer_uses_new_partitions_at_its_next_message();
  options_are_changed_and_taken_back();
  what_all_brokers_say_holds_where_a_topic_says_nothing();
  offsets_are_found_by_what_they_mean();
  records_are_deleted_from_the_front();
  OK(klog_engine_close(engine, -1, &error));
  klog_admin_free(admin);
  klog_engine_free(engine);
  a_reader_changes_nothing_and_lists_everything(path(argv[1], "data"));
  return 0;
}

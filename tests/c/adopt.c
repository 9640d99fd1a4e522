/* Taking over a directory that a broker with ZooKeeper left: the folder "seed-era" is one. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include "fingerprint.h"

static klog_engine *engine;
static klog_rows *rows;

static klog_status open_in_mode(const char *dir, const char *mode) {
  klog_config *config = klog_config_new();
  klog_status status;
  OK(klog_config_set(config, "mode", mode, &error));
  status = klog_engine_open(dir, config, &engine, &error);
  klog_config_free(config);
  return status;
}

/* What config says, as lines. */
static klog_status adopt(const char *dir, const char *lines, klog_rows **report) {
  klog_config *config = klog_config_new();
  klog_status status;
  OK(klog_config_parse(config, lines, &error));
  status = klog_adopt(dir, config, &rows, report, &error);
  klog_config_free(config);
  return status;
}

/* How many records a topic has, and a number that is another one when one of their values is. */
static uint64_t values_of(const char *topic, size_t *count) {
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  uint64_t hash = 0;
  int32_t finished = 0;
  *count = 0;
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign_topic(consumer, topic, KLOG_EARLIEST, &error));
  OK(klog_consumer_read_until_now(consumer, &error));
  while (!finished) {
    const klog_record *record;
    size_t left;
    OK(klog_consumer_poll(consumer, -1, 0, &batch, &error));
    record = klog_batch_records(batch);
    for (left = klog_batch_len(batch); left > 0; left--, record++) {
      /* Partitions take turns, so their order does not count. */
      uint64_t one = take_in(EMPTY_HASH, &record->offset, sizeof record->offset);
      if (record->value_len > 0) one = take_in(one, record->value, (size_t)record->value_len);
      hash += one;
      ++*count;
    }
    klog_batch_free(batch);
    OK(klog_consumer_is_finished(consumer, &finished, &error));
  }
  klog_consumer_free(consumer);
  return hash;
}

static void what_is_refused_changes_nothing(const char *dir) {
  klog_rows *report = NULL;
  uint64_t before = fingerprint(dir);
  FAILS(KLOG_E_CONFIG, "log.retention.ms is not set", adopt(dir, "", &report));
  FAILS(KLOG_E_CONFIG, "log.retention.ms is not set", adopt(dir, "log.retention.bytes=7", &report));
  /* That of topics is another setting. */
  FAILS(KLOG_E_CONFIG, "log.retention.ms is not set", adopt(dir, "retention.ms=7", &report));
  FAILS(KLOG_E_CONFIG, "read only", adopt(dir, "log.retention.ms=-1\nmode=r", &report));
  FAILS(KLOG_E_CONFIG, "log.retention.bytes is -2",
        adopt(dir, "log.retention.ms=-1\nlog.retention.bytes=-2", &report));
  FAILS(KLOG_E_INVALID, "empty", adopt("", "log.retention.ms=-1", &report));
  FAILS(KLOG_E_IO, "nowhere", adopt("nowhere/at/all", "log.retention.ms=-1", &report));
  CHECK(rows == NULL && report == NULL);
  FAILS(KLOG_E_UNSUPPORTED, "ZooKeeper", open_in_mode(dir, "rw"));
  CHECK(fingerprint(dir) == before);
}

static void a_directory_of_the_zookeeper_era_is_adopted(const char *dir) {
  klog_rows *report = NULL;
  OK(adopt(dir, "log.retention.ms=-1", &report));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(is_text(rows, 0, "cluster_id", "Zk9vZGVmYXVsdENsdXN0ZQ"));
  CHECK(klog_rows_int(rows, 0, "node_id", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "made_metadata", -1) == 1);
  CHECK(klog_rows_int(rows, 0, "topics", -1) > 8);
  CHECK(klog_rows_int(rows, 0, "partitions", -1) > klog_rows_int(rows, 0, "topics", -1));
  CHECK(is_text(rows, 0, "left_alone", ""));
  klog_rows_free(rows);
  CHECK(klog_rows_column_count(report) == 10);
  CHECK(strcmp(klog_rows_column_name(report, 0), "kind") == 0);
  klog_rows_free(report);
}

static void a_record_is_appended_behind_the_old_ones(void) {
  klog_producer *producer = NULL;
  klog_message m = message("peter-overview01", "klog was here");
  klog_delivery delivery;
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.offset == 1);
  klog_producer_free(producer);
}

static void its_first_and_its_last_record_are_there(void) {
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "peter-overview01", 0, KLOG_EARLIEST, &error));
  OK(klog_consumer_poll(consumer, -1, 1, &batch, &error));
  CHECK(klog_batch_records(batch)->timestamp == INT64_C(1641213117088));
  CHECK(has_value(klog_batch_records(batch), " First message"));
  klog_batch_free(batch);
  OK(klog_consumer_poll(consumer, -1, 1, &batch, &error));
  CHECK(has_value(klog_batch_records(batch), "klog was here"));
  klog_batch_free(batch);
  klog_consumer_free(consumer);
}

static void check_retention(const char *ms, const char *bytes) {
  klog_admin *admin = NULL;
  size_t row;
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_config_list(admin, NULL, &rows, &error));
  row = row_of(rows, "key", "log.retention.ms");
  CHECK(is_text(rows, row, "value", ms));
  CHECK(is_text(rows, row, "source", "DYNAMIC_DEFAULT_BROKER_CONFIG"));
  CHECK(is_text(rows, row_of(rows, "key", "log.retention.bytes"), "value", bytes));
  klog_rows_free(rows);
  klog_admin_free(admin);
}

static void adopting_again_changes_the_retention(const char *dir) {
  /* Nobody has to want the rows; and what is for others is left to them: no broker knows this codec's name. */
  klog_config *config = klog_config_new();
  OK(klog_config_parse(config,
                       "log.retention.ms=86400000000000\n"
                       "log.retention.bytes=1000000000\n"
                       "compression.type=none\n",
                       &error));
  OK(klog_adopt(dir, config, NULL, NULL, &error));
  OK(klog_adopt(dir, config, &rows, NULL, &error));
  CHECK(klog_rows_int(rows, 0, "made_metadata", -1) == 0);
  klog_rows_free(rows);
  OK(klog_config_set(config, "klog.exclusive", "true", &error));
  OK(open_in_mode(dir, "rw"));
  FAILS(KLOG_E_LOCKED, "process", klog_adopt(dir, config, &rows, NULL, &error));
  CHECK(rows == NULL);
  check_retention("86400000000000", "1000000000");
  klog_engine_free(engine);
  klog_config_free(config);
}

int main(int argc, char **argv) {
  char dir[4096];
  size_t before, after;
  uint64_t values;
  CHECK(argc == 2);
  snprintf(dir, sizeof dir, "%s/seed-era", argv[1]);
  what_is_refused_changes_nothing(dir);
  OK(open_in_mode(dir, "r"));
  values = values_of("keyed", &before);
  CHECK(before == 310);
  klog_engine_free(engine);

  a_directory_of_the_zookeeper_era_is_adopted(dir);

  OK(open_in_mode(dir, "rw"));
  CHECK(values_of("keyed", &after) == values && after == before);
  check_retention("-1", "-1");
  a_record_is_appended_behind_the_old_ones();
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);

  adopting_again_changes_the_retention(dir);
  OK(open_in_mode(dir, "r"));
  its_first_and_its_last_record_are_there();
  CHECK(values_of("keyed", &after) == values && after == before);
  klog_engine_free(engine);
  return 0;
}

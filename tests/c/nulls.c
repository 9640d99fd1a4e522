/* NULL in every place where a pointer goes: an error or an empty answer, and never a crash. */
#include "check.h"

static klog_engine *engine;
static klog_admin *admin;
static klog_producer *producer;
static klog_consumer *consumer;
static klog_config *config;
static klog_rows *rows;
static klog_batch *batch;

#define IS_NULL(what, call) FAILS(KLOG_E_INVALID, what " is NULL", call)

static void nothing_can_be_freed(void) {
  klog_error_free(NULL);
  klog_config_free(NULL);
  klog_engine_free(NULL);
  klog_rows_free(NULL);
  klog_admin_free(NULL);
  klog_producer_free(NULL);
  klog_consumer_free(NULL);
  klog_batch_free(NULL);
  klog_consumer_wakeup(NULL);
}

static void nothing_has_empty_answers(void) {
  size_t len = 99;
  CHECK(klog_error_code(NULL) == KLOG_OK);
  CHECK(strcmp(klog_error_message(NULL), "") == 0);
  CHECK(klog_error_os_code(NULL) == 0);
  CHECK(klog_error_kafka_code(NULL) == -1);
  CHECK(klog_error_is_retriable(NULL) == 0);
  CHECK(klog_config_get(NULL, "acks") == NULL);
  CHECK(klog_config_get(config, NULL) == NULL);
  CHECK(klog_rows_len(NULL) == 0);
  CHECK(klog_rows_column_count(NULL) == 0);
  CHECK(klog_rows_column_name(NULL, 0) == NULL);
  CHECK(klog_rows_column_is_int(NULL, 0) == 0);
  CHECK(klog_rows_text(NULL, 0, "topic") == NULL);
  CHECK(klog_rows_int(NULL, 0, "partition", 7) == 7);
  OK(klog_topic_list(admin, &rows, &error));
  CHECK(klog_rows_text(rows, 0, NULL) == NULL);
  CHECK(klog_rows_int(rows, 0, NULL, 8) == 8);
  klog_rows_free(rows);
  CHECK(strcmp(klog_batch_topic(NULL), "") == 0);
  CHECK(klog_batch_partition(NULL) == -1);
  CHECK(klog_batch_next_offset(NULL) == -1);
  CHECK(klog_batch_high_watermark(NULL) == -1);
  CHECK(klog_batch_len(NULL) == 0);
  CHECK(klog_batch_records(NULL) == NULL);
  CHECK(klog_batch_data(NULL, &len) == NULL);
  CHECK(len == 0);
  CHECK(klog_batch_data(NULL, NULL) == NULL);
}

static void of_configs(void) {
  IS_NULL("config", klog_config_set(NULL, "acks", "1", &error));
  IS_NULL("key", klog_config_set(config, NULL, "1", &error));
  IS_NULL("config", klog_config_parse(NULL, "", &error));
  IS_NULL("text", klog_config_parse(config, NULL, &error));
}

static void of_engines(void) {
  klog_engine *other = engine;
  IS_NULL("dir", klog_engine_open(NULL, NULL, &other, &error));
  CHECK(other == NULL);
  IS_NULL("out", klog_engine_open(":memory:", NULL, NULL, &error));
  IS_NULL("engine", klog_engine_flush(NULL, &error));
  IS_NULL("engine", klog_engine_report(NULL, &rows, &error));
  IS_NULL("out", klog_engine_report(engine, NULL, &error));
  IS_NULL("engine", klog_engine_close(NULL, -1, &error));
}

static void of_topics(void) {
  klog_admin *other = NULL;
  int64_t offset = 99;
  IS_NULL("engine", klog_admin_open(NULL, &other, &error));
  IS_NULL("out", klog_admin_open(engine, NULL, &error));
  IS_NULL("admin", klog_topic_create(NULL, "t", 1, 1, NULL, &error));
  IS_NULL("topic", klog_topic_create(admin, NULL, 1, 1, NULL, &error));
  IS_NULL("admin", klog_topic_add_partitions(NULL, "orders", 2, &error));
  IS_NULL("topic", klog_topic_add_partitions(admin, NULL, 2, &error));
  IS_NULL("admin", klog_topic_configure(NULL, "orders", config, &error));
  IS_NULL("config", klog_topic_configure(admin, "orders", NULL, &error));
  IS_NULL("config", klog_topic_configure(admin, NULL, NULL, &error));
  IS_NULL("admin", klog_topic_delete(NULL, "orders", &error));
  IS_NULL("topic", klog_topic_delete(admin, NULL, &error));
  IS_NULL("admin", klog_topic_list(NULL, &rows, &error));
  IS_NULL("out", klog_topic_list(admin, NULL, &error));
  IS_NULL("admin", klog_config_list(NULL, "orders", &rows, &error));
  IS_NULL("out", klog_config_list(admin, "orders", NULL, &error));
  IS_NULL("out", klog_config_list(admin, NULL, NULL, &error));
  IS_NULL("admin", klog_partition_list(NULL, "orders", &rows, &error));
  IS_NULL("out", klog_partition_list(admin, "orders", NULL, &error));
  IS_NULL("admin", klog_topic_offset_at(NULL, "orders", 0, 0, &offset, &error));
  IS_NULL("topic", klog_topic_offset_at(admin, NULL, 0, 0, &offset, &error));
  IS_NULL("offset", klog_topic_offset_at(admin, "orders", 0, 0, NULL, &error));
  CHECK(offset == -1);
  IS_NULL("admin", klog_topic_delete_records(NULL, "orders", 0, 0, NULL, &error));
  IS_NULL("topic", klog_topic_delete_records(admin, NULL, 0, 0, NULL, &error));
  CHECK(rows == NULL);
}

static void of_what_is_attached(void) {
  IS_NULL("engine", klog_engine_attached(NULL, &rows, &error));
  IS_NULL("out", klog_engine_attached(engine, NULL, &error));
  IS_NULL("engine", klog_engine_metrics(NULL, &rows, &error));
  IS_NULL("out", klog_engine_metrics(engine, NULL, &error));
  CHECK(rows == NULL);
}

static void of_inspection(void) {
  IS_NULL("admin", klog_segment_list(NULL, "orders", 0, &rows, &error));
  IS_NULL("topic", klog_segment_list(admin, NULL, 0, &rows, &error));
  IS_NULL("out", klog_segment_list(admin, "orders", 0, NULL, &error));
  IS_NULL("admin", klog_batch_list(NULL, "orders", 0, 0, 1, &rows, &error));
  IS_NULL("topic", klog_batch_list(admin, NULL, 0, 0, 1, &rows, &error));
  IS_NULL("out", klog_batch_list(admin, "orders", 0, 0, 1, NULL, &error));
  IS_NULL("admin", klog_log_dir_list(NULL, &rows, &error));
  IS_NULL("out", klog_log_dir_list(admin, NULL, &error));
  IS_NULL("admin", klog_topic_verify(NULL, "orders", &rows, &error));
  IS_NULL("out", klog_topic_verify(admin, "orders", NULL, &error));
  CHECK(rows == NULL);
}

static void of_adoption(void) {
  klog_rows *report = rows = (klog_rows *)&error;
  IS_NULL("dir", klog_adopt(NULL, config, &rows, &report, &error));
  CHECK(rows == NULL && report == NULL);
  /* What must be set is missing in no config at all. */
  FAILS(KLOG_E_CONFIG, "log.retention.ms is not set", klog_adopt("x", NULL, NULL, NULL, &error));
}

static void never_called(const klog_delivery *delivery, void *user_data) {
  (void)delivery;
  (void)user_data;
  CHECK(0);
}

static void of_producers(void) {
  klog_producer *other = NULL;
  klog_message m = message("orders", "value");
  klog_delivery delivery;
  size_t count = 99;
  IS_NULL("engine", klog_producer_open(NULL, NULL, &other, &error));
  IS_NULL("out", klog_producer_open(engine, NULL, NULL, &error));
  IS_NULL("producer", klog_producer_send(NULL, &m, 1, &count, &error));
  CHECK(count == 0);
  FAILS(KLOG_E_INVALID, "messages is NULL", klog_producer_send(producer, NULL, 1, NULL, &error));
  IS_NULL("producer", klog_producer_send_wait(NULL, &m, 1, -1, NULL, &error));
  FAILS(KLOG_E_INVALID, "messages is NULL",
        klog_producer_send_wait(producer, NULL, 1, -1, NULL, &error));
  IS_NULL("producer", klog_producer_poll(NULL, -1, &delivery, 1, &count, &error));
  IS_NULL("count", klog_producer_poll(producer, -1, &delivery, 1, NULL, &error));
  FAILS(KLOG_E_INVALID, "out is NULL", klog_producer_poll(producer, -1, NULL, 1, &count, &error));
  IS_NULL("producer", klog_producer_dispatch(NULL, -1, never_called, NULL, &error));
  IS_NULL("callback", klog_producer_dispatch(producer, -1, NULL, NULL, &error));
  IS_NULL("producer", klog_producer_flush(NULL, -1, &error));
  IS_NULL("producer", klog_producer_close(NULL, -1, &error));
}

static void of_consumers(void) {
  klog_consumer *other = NULL;
  int64_t offset = 99;
  int32_t finished = 99;
  IS_NULL("engine", klog_consumer_open(NULL, NULL, &other, &error));
  IS_NULL("out", klog_consumer_open(engine, NULL, NULL, &error));
  IS_NULL("consumer", klog_consumer_assign(NULL, "orders", 0, 0, &error));
  IS_NULL("topic", klog_consumer_assign(consumer, NULL, 0, 0, &error));
  IS_NULL("consumer", klog_consumer_assign_topic(NULL, "orders", 0, &error));
  IS_NULL("topic", klog_consumer_assign_topic(consumer, NULL, 0, &error));
  IS_NULL("consumer", klog_consumer_unassign(NULL, &error));
  IS_NULL("consumer", klog_consumer_assignment(NULL, &rows, &error));
  IS_NULL("out", klog_consumer_assignment(consumer, NULL, &error));
  IS_NULL("consumer", klog_consumer_poll(NULL, -1, 0, &batch, &error));
  IS_NULL("out", klog_consumer_poll(consumer, -1, 0, NULL, &error));
  IS_NULL("consumer", klog_consumer_seek(NULL, "orders", 0, 0, &error));
  IS_NULL("topic", klog_consumer_seek(consumer, NULL, 0, 0, &error));
  IS_NULL("damage", klog_consumer_seek_past(consumer, NULL, &error));
  IS_NULL("consumer", klog_consumer_pause(NULL, "orders", 0, 1, &error));
  IS_NULL("topic", klog_consumer_pause(consumer, NULL, 0, 1, &error));
  IS_NULL("consumer", klog_consumer_position(NULL, "orders", 0, &offset, &error));
  IS_NULL("topic", klog_consumer_position(consumer, NULL, 0, &offset, &error));
  IS_NULL("offset", klog_consumer_position(consumer, "orders", 0, NULL, &error));
  IS_NULL("consumer", klog_consumer_read_until_now(NULL, &error));
  IS_NULL("consumer", klog_consumer_is_finished(NULL, &finished, &error));
  CHECK(finished == 0);
  IS_NULL("finished", klog_consumer_is_finished(consumer, NULL, &error));
  IS_NULL("consumer", klog_consumer_close(NULL, -1, &error));
}

static void of_batches(void) {
  klog_header header;
  OK(klog_consumer_assign(consumer, "orders", 0, KLOG_EARLIEST, &error));
  OK(klog_consumer_poll(consumer, -1, 0, &batch, &error));
  CHECK(klog_batch_header(NULL, 0, 0, &header) == KLOG_E_INVALID);
  CHECK(header.name == NULL);
  CHECK(klog_batch_header(batch, 0, 0, NULL) == KLOG_E_INVALID);
  CHECK(klog_batch_data(batch, NULL) != NULL);
  klog_batch_free(batch);
}

static void nobody_has_to_want_the_error(void) {
  CHECK(klog_engine_open(NULL, NULL, NULL, NULL) == KLOG_E_INVALID);
  CHECK(klog_topic_create(admin, "orders", 1, 1, NULL, NULL) == KLOG_E_TOPIC_EXISTS);
  CHECK(klog_consumer_poll(consumer, 0, 0, NULL, NULL) == KLOG_E_INVALID);
}

int main(int argc, char **argv) {
  klog_message m = message("orders", "value");
  (void)argv;
  CHECK(argc == 2);
  config = klog_config_new();
  OK(klog_engine_open(":memory:", NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  nothing_can_be_freed();
  nothing_has_empty_answers();
  of_configs();
  of_engines();
  of_topics();
  of_inspection();
  of_what_is_attached();
  of_adoption();
  of_producers();
  of_consumers();
  of_batches();
  nobody_has_to_want_the_error();
  klog_consumer_free(consumer);
  klog_producer_free(producer);
  klog_admin_free(admin);
  klog_engine_free(engine);
  klog_config_free(config);
  return 0;
}

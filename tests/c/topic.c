/* Topics, partitions, and the tables that tell of them. */
#include "check.h"

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

static void options_are_changed_and_taken_back(void) {
  klog_config *changes = klog_config_new();
  klog_rows *rows = NULL;
  OK(klog_config_set(changes, "retention.ms", "1234", &error));
  OK(klog_topic_alter(admin, "orders", changes, &error));
  OK(klog_topic_config_list(admin, "orders", &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(strcmp(klog_rows_text(rows, 0, "value"), "1234") == 0);
  klog_rows_free(rows);

  OK(klog_config_set(changes, "retention.ms", NULL, &error));
  OK(klog_topic_alter(admin, "orders", changes, &error));
  OK(klog_topic_config_list(admin, "orders", &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);

  /* Not an option of topics. */
  OK(klog_config_set(changes, "linger.ms", "1", &error));
  FAILS(KLOG_E_CONFIG, "linger.ms", klog_topic_alter(admin, "orders", changes, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'orders'?",
        klog_topic_config_list(admin, "oders", &rows, &error));
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
  FAILS(KLOG_E_INVALID, "timestamp is -3",
        klog_topic_offset_at(admin, "logs", 0, -3, &offset, &error));
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

static void damage_is_found(const char *dir) {
  klog_rows *rows = NULL;
  FILE *file;
  int32_t byte;
  OK(klog_topic_verify(admin, NULL, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);

  send_value("spoilt", "a value that is about to change", 1000);
  file = fopen(path(dir, "spoilt-0/00000000000000000000.log"), "r+b");
  CHECK(file != NULL);
  CHECK(fseek(file, 80, SEEK_SET) == 0);
  byte = fgetc(file);
  CHECK(fseek(file, 80, SEEK_SET) == 0);
  CHECK(fputc(byte ^ 1, file) != EOF);
  CHECK(fclose(file) == 0);

  OK(klog_topic_verify(admin, "spoilt", &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(strcmp(klog_rows_text(rows, 0, "kind"), "damage") == 0);
  CHECK(strcmp(klog_rows_text(rows, 0, "topic"), "spoilt") == 0);
  CHECK(klog_rows_int(rows, 0, "position", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "first_offset", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "next_offset", -1) == 1);
  CHECK(klog_rows_text(rows, 0, "kept_in") == NULL);
  CHECK(strstr(klog_rows_text(rows, 0, "message"), "cannot be read") != NULL);
  klog_rows_free(rows);
  FAILS(KLOG_E_UNKNOWN_TOPIC, "nobody", klog_topic_verify(admin, "nobody", &rows, &error));
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  topics_are_made_listed_and_removed();
  a_table_answers_in_every_way();
  partitions_tell_where_they_stand();
  options_are_changed_and_taken_back();
  offsets_are_found_by_what_they_mean();
  records_are_deleted_from_the_front();
  damage_is_found(path(argv[1], "data"));
  klog_admin_free(admin);
  klog_engine_free(engine);
  return 0;
}

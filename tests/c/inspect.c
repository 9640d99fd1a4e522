/* What lies on the disk: segments, batches, directories, damage. */
#include "check.h"

static klog_engine *engine;
static klog_admin *admin;
static klog_producer *producer;

static void open_engine(const char *dir, const char *mode) {
  klog_config *config = klog_config_new();
  OK(klog_config_set(config, "mode", mode, &error));
  OK(klog_engine_open(dir, config, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  klog_config_free(config);
}

static void close_engine(void) {
  OK(klog_engine_close(engine, -1, &error));
  klog_admin_free(admin);
  klog_engine_free(engine);
}

/* One batch, which is written when it returns. */
static void send_values(const char *topic, const char *const *values, size_t count) {
  klog_message messages[8];
  size_t i;
  CHECK(count <= 8);
  for (i = 0; i < count; i++) {
    messages[i] = message(topic, values[i]);
    messages[i].flags = KLOG_SET_PARTITION | KLOG_SET_TIMESTAMP; /* partition 0 */
    messages[i].timestamp = (int64_t)(1000 * (i + 1));
  }
  OK(klog_producer_send_wait(producer, messages, count, -1, NULL, &error));
}

static void a_log_dir_without_a_partition_has_one_row(const char *dir) {
  klog_rows *rows = NULL;
  OK(klog_log_dir_list(admin, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(is_text(rows, 0, "dir", dir));
  CHECK(klog_rows_int(rows, 0, "total_bytes", -1) > 0);
  CHECK(klog_rows_int(rows, 0, "usable_bytes", -1) >= 0);
  CHECK(is_text(rows, 0, "directory", NULL) && is_text(rows, 0, "topic", NULL));
  CHECK(klog_rows_int(rows, 0, "partition", -7) == -7);
  CHECK(klog_rows_int(rows, 0, "bytes", -7) == -7);
  CHECK(klog_rows_int(rows, 0, "segments", -7) == -7);
  klog_rows_free(rows);
}

static void every_directory_of_a_partition_has_its_row(const char *dir) {
  klog_rows *rows = NULL;
  size_t row;
  OK(klog_topic_create(admin, "gone", 1, 1, NULL, &error));
  OK(klog_topic_delete(admin, "gone", &error));
  OK(klog_log_dir_list(admin, &rows, &error));
  CHECK(klog_rows_len(rows) == 3);
  row = row_of(rows, "directory", "orders-0");
  CHECK(is_text(rows, row, "dir", dir));
  CHECK(is_text(rows, row, "topic", "orders"));
  CHECK(klog_rows_int(rows, row, "partition", -1) == 0);
  CHECK(klog_rows_int(rows, row, "segments", -1) == 1);
  CHECK(klog_rows_int(rows, row, "log_bytes", -1) > 2 * 61);
  CHECK(klog_rows_int(rows, row, "bytes", -1) > klog_rows_int(rows, row, "log_bytes", -1));
  CHECK(klog_rows_int(rows, row_of(rows, "directory", "orders-1"), "log_bytes", -1) == 0);
  /* One that waits for its removal is no partition any more. */
  for (row = 0; strncmp(klog_rows_text(rows, row, "directory"), "gone-0.", 7) != 0; row++)
    CHECK(row < 2);
  CHECK(is_text(rows, row, "topic", NULL));
  CHECK(klog_rows_int(rows, row, "partition", -7) == -7);
  CHECK(klog_rows_int(rows, row, "total_bytes", -1) > 0);
  klog_rows_free(rows);
}

static void segments_tell_what_they_hold(void) {
  klog_rows *rows = NULL;
  OK(klog_segment_list(admin, "orders", 0, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(is_text(rows, 0, "file", "orders-0/00000000000000000000.log"));
  CHECK(klog_rows_int(rows, 0, "base_offset", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "next_offset", -1) == 3);
  CHECK(klog_rows_int(rows, 0, "batches", -1) == 2);
  CHECK(klog_rows_int(rows, 0, "records", -1) == 3);
  CHECK(klog_rows_int(rows, 0, "bytes", -1) > 2 * 61);
  CHECK(klog_rows_int(rows, 0, "damaged_bytes", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "first_timestamp", -1) == 1000);
  CHECK(klog_rows_int(rows, 0, "last_timestamp", -1) == 2000);
  CHECK(klog_rows_int(rows, 0, "active", -1) == 1);
  klog_rows_free(rows);

  OK(klog_segment_list(admin, "orders", 1, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(klog_rows_int(rows, 0, "bytes", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "first_timestamp", -7) == -1);
  klog_rows_free(rows);
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'orders'?",
        klog_segment_list(admin, "order", 0, &rows, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not 2", klog_segment_list(admin, "orders", 2, &rows, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not -1", klog_segment_list(admin, "orders", -1, &rows, &error));
  CHECK(rows == NULL);
}

static void batches_tell_what_their_headers_say(void) {
  klog_rows *rows = NULL;
  int64_t second;
  OK(klog_batch_list(admin, "orders", 0, KLOG_EARLIEST, SIZE_MAX, &rows, &error));
  CHECK(klog_rows_len(rows) == 2);
  CHECK(klog_rows_int(rows, 0, "base_offset", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "last_offset", -1) == 1);
  CHECK(klog_rows_int(rows, 0, "position", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "records", -1) == 2);
  CHECK(is_text(rows, 0, "codec", "none"));
  CHECK(klog_rows_int(rows, 0, "crc_ok", -1) == 1);
  CHECK(klog_rows_int(rows, 0, "producer_id", -7) == -1);
  CHECK(klog_rows_int(rows, 0, "producer_epoch", -7) == -1);
  CHECK(klog_rows_int(rows, 0, "base_sequence", -7) == -1);
  CHECK(klog_rows_int(rows, 0, "transactional", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "control", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "leader_epoch", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "max_timestamp", -1) == 2000);
  CHECK(is_text(rows, 0, "file", "orders-0/00000000000000000000.log"));
  CHECK(is_text(rows, 0, "problem", NULL));
  second = klog_rows_int(rows, 0, "bytes", -1);
  CHECK(klog_rows_int(rows, 1, "position", -1) == second);
  CHECK(klog_rows_int(rows, 1, "base_offset", -1) == 2);
  klog_rows_free(rows);

  /* From the one that has the offset on, and no more than are wanted. */
  OK(klog_batch_list(admin, "orders", 0, 1, 1, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(klog_rows_int(rows, 0, "base_offset", -1) == 0);
  klog_rows_free(rows);
  OK(klog_batch_list(admin, "orders", 0, 2, 9, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(klog_rows_int(rows, 0, "base_offset", -1) == 2);
  klog_rows_free(rows);
  OK(klog_batch_list(admin, "orders", 0, 3, 9, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);
  OK(klog_batch_list(admin, "orders", 0, 0, 0, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  CHECK(klog_rows_column_count(rows) == 16);
  klog_rows_free(rows);

  FAILS(KLOG_E_OFFSET_OUT_OF_RANGE, "4", klog_batch_list(admin, "orders", 0, 4, 9, &rows, &error));
  FAILS(KLOG_E_OFFSET_OUT_OF_RANGE, "-3",
        klog_batch_list(admin, "orders", 0, -3, 9, &rows, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "nobody", klog_batch_list(admin, "nobody", 0, 0, 9, &rows, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not 2", klog_batch_list(admin, "orders", 2, -2, 9, &rows, &error));
  CHECK(rows == NULL);
}

static void the_earliest_batch_is_the_first_there_is(void) {
  klog_rows *rows = NULL;
  OK(klog_topic_delete_records(admin, "orders", 0, 2, NULL, &error));
  FAILS(KLOG_E_OFFSET_OUT_OF_RANGE, "1", klog_batch_list(admin, "orders", 0, 1, 9, &rows, &error));
  OK(klog_batch_list(admin, "orders", 0, KLOG_EARLIEST, 9, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(klog_rows_int(rows, 0, "base_offset", -1) == 2);
  klog_rows_free(rows);
}

static void spoil_a_byte(const char *file_name, long at) {
  FILE *file = fopen(file_name, "r+b");
  int byte;
  CHECK(file != NULL);
  CHECK(fseek(file, at, SEEK_SET) == 0);
  byte = fgetc(file);
  CHECK(fseek(file, at, SEEK_SET) == 0);
  CHECK(fputc(byte ^ 1, file) != EOF);
  CHECK(fclose(file) == 0);
}

static void damage_is_found(const char *dir) {
  static const char *value[] = {"a value that is about to change"};
  klog_rows *rows = NULL;
  int64_t bytes;
  OK(klog_topic_verify(admin, NULL, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);

  send_values("spoilt", value, 1);
  spoil_a_byte(path(dir, "spoilt-0/00000000000000000000.log"), 80);

  OK(klog_topic_verify(admin, "spoilt", &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(strcmp(klog_rows_text(rows, 0, "kind"), "damage") == 0);
  CHECK(strcmp(klog_rows_text(rows, 0, "topic"), "spoilt") == 0);
  CHECK(klog_rows_int(rows, 0, "position", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "first_offset", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "next_offset", -1) == 1);
  CHECK(klog_rows_text(rows, 0, "kept_in") == NULL);
  CHECK(strstr(klog_rows_text(rows, 0, "message"), "cannot be read") != NULL);
  bytes = klog_rows_int(rows, 0, "bytes", -1);
  klog_rows_free(rows);
  FAILS(KLOG_E_UNKNOWN_TOPIC, "nobody", klog_topic_verify(admin, "nobody", &rows, &error));

  OK(klog_batch_list(admin, "spoilt", 0, 0, 9, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(klog_rows_int(rows, 0, "crc_ok", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "bytes", -1) == bytes);
  CHECK(strstr(klog_rows_text(rows, 0, "problem"), "CRC") != NULL);
  klog_rows_free(rows);
  /* The headers are whole, and segments are listed by them. */
  OK(klog_segment_list(admin, "spoilt", 0, &rows, &error));
  CHECK(klog_rows_int(rows, 0, "damaged_bytes", -1) == 0);
  klog_rows_free(rows);
  spoil_a_byte(path(dir, "spoilt-0/00000000000000000000.log"), 16); /* the magic */
  OK(klog_segment_list(admin, "spoilt", 0, &rows, &error));
  CHECK(klog_rows_int(rows, 0, "damaged_bytes", -1) == bytes);
  CHECK(klog_rows_int(rows, 0, "batches", -1) == 0);
  klog_rows_free(rows);
}

static void a_reader_sees_the_same(const char *dir) {
  klog_rows *rows = NULL;
  open_engine(dir, "r");
  OK(klog_segment_list(admin, "orders", 0, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  klog_rows_free(rows);
  OK(klog_batch_list(admin, "orders", 0, KLOG_EARLIEST, 9, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  klog_rows_free(rows);
  OK(klog_log_dir_list(admin, &rows, &error));
  CHECK(is_text(rows, row_of(rows, "directory", "orders-1"), "topic", "orders"));
  klog_rows_free(rows);
  close_engine();
}

int main(int argc, char **argv) {
  static const char *values[] = {"one", "two", "three"};
  char dir[4096];
  CHECK(argc == 2);
  snprintf(dir, sizeof dir, "%s/data", argv[1]);
  open_engine(dir, "rwc");
  a_log_dir_without_a_partition_has_one_row(dir);
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_topic_create(admin, "orders", 2, 1, NULL, &error));
  send_values("orders", values, 2);
  send_values("orders", values + 2, 1);
  every_directory_of_a_partition_has_its_row(dir);
  segments_tell_what_they_hold();
  batches_tell_what_their_headers_say();
  the_earliest_batch_is_the_first_there_is();
  damage_is_found(dir);
  klog_producer_free(producer);
  close_engine();
  a_reader_sees_the_same(dir);
  return 0;
}

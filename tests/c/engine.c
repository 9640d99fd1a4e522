/* Opening, closing, and what is found on the way. */
#include "check.h"

static void open_and_send(const char *dir, klog_engine **engine, klog_producer **producer) {
  klog_message m = message("orders", "one");
  OK(klog_engine_open(dir, NULL, engine, &error));
  OK(klog_producer_open(*engine, NULL, producer, &error));
  OK(klog_producer_send_wait(*producer, &m, 1, -1, NULL, &error));
}

static void a_directory_is_made_and_found_again(const char *dir) {
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;
  klog_rows *rows = NULL;
  klog_config *config = klog_config_new();

  open_and_send(path(dir, "data"), &engine, &producer);
  OK(klog_engine_flush(engine, &error));
  OK(klog_engine_close(engine, -1, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);

  OK(klog_config_set(config, "mode", "rw", &error));
  OK(klog_engine_open(path(dir, "data"), config, &engine, &error));
  OK(klog_engine_report(engine, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);
  OK(klog_engine_close(engine, 0, &error));
  klog_engine_free(engine);
  klog_config_free(config);
}

static void a_mode_is_kept(const char *dir) {
  klog_config *config = klog_config_new();
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;

  OK(klog_config_set(config, "read.only", "true", &error));
  OK(klog_engine_open(path(dir, "data"), config, &engine, &error));
  FAILS(KLOG_E_READ_ONLY, "reading only", klog_producer_open(engine, NULL, &producer, &error));
  CHECK(producer == NULL);
  klog_engine_free(engine);

  FAILS(KLOG_E_IO, "nowhere", klog_engine_open(path(dir, "nowhere"), config, &engine, &error));
  OK(klog_config_set(config, "mode", "rw", &error));
  FAILS(KLOG_E_CONFIG, "leave one of them out",
        klog_engine_open(path(dir, "data"), config, &engine, &error));
  OK(klog_config_set(config, "mode", "r", &error));
  OK(klog_engine_open(path(dir, "data"), config, &engine, &error));
  klog_engine_free(engine);
  OK(klog_config_set(config, "read.only", "false", &error));
  OK(klog_engine_open(path(dir, "data"), config, &engine, &error));
  klog_engine_free(engine);
  klog_config_free(config);
}

static void a_path_is_any_bytes(const char *dir) {
  klog_engine *engine = NULL;
  OK(klog_engine_open(path(dir, "caf\xe9"), NULL, &engine, &error));
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);
  FAILS(KLOG_E_INVALID, "empty", klog_engine_open("", NULL, &engine, &error));
}

static void a_closed_engine_says_so_everywhere(const char *dir) {
  klog_engine *engine = NULL;
  klog_admin *admin = NULL;
  klog_producer *producer = NULL, *late = NULL;
  klog_consumer *consumer = NULL;
  klog_rows *rows = NULL;
  klog_batch *batch = NULL;
  klog_message m = message("orders", "late");

  open_and_send(path(dir, "closed"), &engine, &producer);
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "orders", 0, KLOG_EARLIEST, &error));
  FAILS(KLOG_E_INVALID, "timeout_ms is -2", klog_engine_close(engine, -2, &error));
  OK(klog_engine_close(engine, -1, &error));
  OK(klog_engine_close(engine, -1, &error));

  FAILS(KLOG_E_CLOSED, "closed", klog_engine_flush(engine, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_engine_report(engine, &rows, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_topic_list(admin, &rows, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_producer_send(producer, &m, 1, NULL, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_producer_flush(producer, -1, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_poll(consumer, -1, 0, &batch, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_producer_open(engine, NULL, &late, &error));
  CHECK(rows == NULL && batch == NULL && late == NULL);

  klog_engine_free(engine);
  klog_consumer_free(consumer);
  klog_producer_free(producer);
  klog_admin_free(admin);
}

static void memory_is_gone_with_its_last_handle(void) {
  klog_engine *engine = NULL, *other = NULL;
  klog_admin *admin = NULL;
  klog_producer *producer = NULL;
  klog_rows *rows = NULL;
  open_and_send(":memory:", &engine, &producer);
  OK(klog_engine_open(":memory:", NULL, &other, &error));
  OK(klog_admin_open(other, &admin, &error));
  OK(klog_topic_list(admin, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);
  klog_admin_free(admin);
  klog_engine_free(other);
  klog_producer_free(producer);
  klog_engine_free(engine);
}

static void an_end_that_is_cut_off_is_reported(const char *dir) {
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;
  klog_rows *rows = NULL;
  FILE *file;

  open_and_send(path(dir, "torn"), &engine, &producer);
  OK(klog_engine_close(engine, -1, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);

  /* As after a crash in the middle of a write. */
  CHECK(remove(path(dir, "torn/.kafka_cleanshutdown")) == 0);
  file = fopen(path(dir, "torn/orders-0/00000000000000000000.log"), "ab");
  CHECK(file != NULL);
  CHECK(fwrite("half a batch", 1, 12, file) == 12);
  CHECK(fclose(file) == 0);

  OK(klog_engine_open(path(dir, "torn"), NULL, &engine, &error));
  OK(klog_engine_report(engine, &rows, &error));
  CHECK(klog_rows_len(rows) == 1);
  CHECK(strcmp(klog_rows_text(rows, 0, "kind"), "cut") == 0);
  CHECK(strcmp(klog_rows_text(rows, 0, "topic"), "orders") == 0);
  CHECK(klog_rows_int(rows, 0, "partition", -1) == 0);
  CHECK(klog_rows_int(rows, 0, "bytes", -1) == 12);
  CHECK(klog_rows_int(rows, 0, "first_offset", -7) == -7);
  CHECK(klog_rows_text(rows, 0, "file") != NULL);
  CHECK(klog_rows_text(rows, 0, "kept_in") != NULL);
  CHECK(strstr(klog_rows_text(rows, 0, "message"), "12 bytes") != NULL);
  klog_rows_free(rows);
  klog_engine_free(engine);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  a_directory_is_made_and_found_again(argv[1]);
  a_mode_is_kept(argv[1]);
  a_path_is_any_bytes(argv[1]);
  a_closed_engine_says_so_everywhere(argv[1]);
  memory_is_gone_with_its_last_handle();
  an_end_that_is_cut_off_is_reported(argv[1]);
  return 0;
}

/* A bug in klog: the program lives on, is told, and finds its data again. Linked with a library that has bugs on demand. */
#define _POSIX_C_SOURCE 200809L
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

klog_status klog_test_panic(klog_engine *engine, int32_t in_background, klog_error **error);

static void a_panic_closes_its_engine(const char *dir) {
  klog_engine *engine = NULL, *healthy = NULL, *second = NULL;
  klog_config *alone = klog_config_new();
  klog_admin *admin = NULL;
  klog_producer *producer = NULL;
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  klog_rows *rows = NULL;
  klog_message m = message("orders", "acknowledged");

  OK(klog_engine_open(":memory:", NULL, &healthy, &error));
  OK(klog_engine_open(dir, NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));

  CHECK(klog_test_panic(engine, 0, NULL) == KLOG_E_PANIC);
  FAILS(KLOG_E_CLOSED, "a bug on demand", klog_engine_flush(engine, &error));
  FAILS(KLOG_E_CLOSED, "test_panic.rs", klog_engine_close(engine, -1, &error));
  FAILS(KLOG_E_CLOSED, "a bug on demand", klog_topic_list(admin, &rows, &error));
  FAILS(KLOG_E_CLOSED, "a bug on demand", klog_producer_send(producer, &m, 1, NULL, &error));
  FAILS(KLOG_E_CLOSED, "a bug on demand", klog_consumer_poll(consumer, -1, 0, &batch, &error));
  FAILS(KLOG_E_CLOSED, "a bug on demand", klog_test_panic(engine, 0, &error));
  /* It stays attached: nobody takes what it may have been at. Others go on beside it. */
  OK(klog_config_set(alone, "klog.exclusive", "true", &error));
  FAILS(KLOG_E_LOCKED, "process", klog_engine_open(dir, alone, &second, &error));
  klog_config_free(alone);
  OK(klog_engine_open(dir, NULL, &second, &error));
  OK(klog_engine_close(second, -1, &error));
  klog_engine_free(second);
  klog_consumer_wakeup(consumer);
  klog_consumer_free(consumer);
  klog_producer_free(producer);
  klog_admin_free(admin);
  klog_engine_free(engine);

  OK(klog_engine_flush(healthy, &error));
  FAILS(KLOG_E_PANIC, "a bug on demand", klog_test_panic(healthy, 0, &error));
  klog_engine_free(healthy);
}

static void a_panic_in_the_background_closes_every_engine(void) {
  klog_engine *engine = NULL;
  OK(klog_engine_open(":memory:", NULL, &engine, &error));
  OK(klog_test_panic(engine, 1, &error));
  FAILS(KLOG_E_CLOSED, "a bug in the background", klog_engine_flush(engine, &error));
  klog_engine_free(engine);
}

static void what_was_acknowledged_is_there(const char *dir) {
  klog_engine *engine = NULL;
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  OK(klog_engine_open(dir, NULL, &engine, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "orders", 0, KLOG_EARLIEST, &error));
  OK(klog_consumer_poll(consumer, 0, 0, &batch, &error));
  CHECK(klog_batch_len(batch) == 1);
  CHECK(has_value(klog_batch_records(batch), "acknowledged"));
  klog_batch_free(batch);
  klog_consumer_free(consumer);
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);
}

int main(int argc, char **argv) {
  int status = -1;
  pid_t child;
  CHECK(argc == 2);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    a_panic_closes_its_engine(path(argv[1], "data"));
    a_panic_in_the_background_closes_every_engine();
    return 0;
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  what_was_acknowledged_is_there(path(argv[1], "data"));
  return 0;
}

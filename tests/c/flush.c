/* A disk that refuses to flush: whoever waits is told, and nobody waits for ever. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static volatile int is_broken;

static int flush_unless_broken(long call, int file) {
  if (is_broken) {
    errno = EIO;
    return -1;
  }
  return (int)syscall(call, file);
}

/* These take the place of the system's own, also inside klog. */
int fdatasync(int file) { return flush_unless_broken(SYS_fdatasync, file); }
int fsync(int file) { return flush_unless_broken(SYS_fsync, file); }

int main(int argc, char **argv) {
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;
  klog_message m[2];
  klog_delivery reports[2];
  size_t count = 99;

  CHECK(argc == 2);
  m[0] = m[1] = message("orders", "value");
  m[0].tag = 1;
  m[1].tag = 2;
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, m, 1, -1, reports, &error));
  CHECK(reports[0].offset == 0);

  is_broken = 1;
  /* Written, but never durable: each is reported once, to whoever asks. */
  OK(klog_producer_send(producer, m, 2, NULL, &error));
  OK(klog_producer_poll(producer, -1, reports, 1, &count, &error));
  CHECK(count == 1 && reports[0].tag == 1 && reports[0].status == KLOG_E_IO);
  CHECK(reports[0].offset == -1);
  OK(klog_producer_poll(producer, -1, reports, 2, &count, &error));
  CHECK(count == 1 && reports[0].tag == 2 && reports[0].status == KLOG_E_IO);
  OK(klog_producer_poll(producer, 0, reports, 2, &count, &error));
  CHECK(count == 0);

  CHECK(klog_producer_send_wait(producer, m, 1, -1, reports, &error) == KLOG_E_IO);
  CHECK(klog_error_kafka_code(error) == 56);
  CHECK(reports[0].status == KLOG_E_IO && reports[0].tag == 1 && reports[0].offset == -1);
  klog_error_free(error);
  CHECK(klog_engine_flush(engine, &error) == KLOG_E_IO);
  klog_error_free(error);
  CHECK(klog_engine_close(engine, -1, &error) == KLOG_E_IO);
  klog_error_free(error);
  klog_producer_free(producer);
  klog_engine_free(engine);

  /* Opened again, with a disk that works, it goes on. */
  is_broken = 0;
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, m, 1, -1, reports, &error));
  CHECK(reports[0].offset >= 1);
  OK(klog_engine_close(engine, -1, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);
  return 0;
}

/* A process that holds a lock and lives: whoever waits for it for too long is told who it is. */
#define _DEFAULT_SOURCE
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* What the child tells its parent, and what it waits for. */
static int told[2], allowed[2];
static volatile int stops;

static void tell(const int ends[2]) { CHECK(write(ends[1], ".", 1) == 1); }

static void hear(const int ends[2]) {
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1);
}

/* Takes the place of the system's own, also inside klog: the child stops in the middle of a flush. */
int fdatasync(int file) {
  char place[64], name[4096] = "";
  snprintf(place, sizeof place, "/proc/self/fd/%d", file);
  if (stops && readlink(place, name, sizeof name - 1) > 0 && strstr(name, "orders-0/") != NULL) {
    stops = 0;
    tell(told);
    hear(allowed);
  }
  return (int)syscall(SYS_fdatasync, file);
}

struct handles {
  klog_engine *engine;
  klog_producer *producer;
};

static struct handles open_both(const char *dir, const char *patience) {
  struct handles both = {NULL, NULL};
  klog_config *config = klog_config_new();
  klog_message m = message("orders", "before");
  OK(klog_config_set(config, "request.timeout.ms", patience, &error));
  OK(klog_engine_open(dir, config, &both.engine, &error));
  OK(klog_producer_open(both.engine, NULL, &both.producer, &error));
  OK(klog_producer_send_wait(both.producer, &m, 1, -1, NULL, &error));
  klog_config_free(config);
  return both;
}

static void close_both(struct handles both) {
  OK(klog_engine_close(both.engine, -1, &error));
  klog_producer_free(both.producer);
  klog_engine_free(both.engine);
}

static void flush_and_stop(const char *dir) {
  struct handles own = open_both(dir, "30000");
  klog_message m = message("orders", "the child's");
  tell(told);
  hear(allowed);
  stops = 1;
  OK(klog_producer_send_wait(own.producer, &m, 1, -1, NULL, &error));
  close_both(own);
}

static void wait_beside(struct handles patient, struct handles hasty, long child) {
  klog_message m = message("orders", "the parent's");
  klog_delivery report;
  size_t count = 9;
  char holder[64];
  int turn;
  snprintf(holder, sizeof holder, "process %ld ", child);
  /* The caller's own time says all there is to say. */
  CHECK(klog_producer_send_wait(patient.producer, &m, 1, 10, &report, &error) == KLOG_E_TIMED_OUT);
  CHECK(error == NULL && report.status == KLOG_E_TIMED_OUT);

  FAILS(KLOG_E_TIMED_OUT, holder, klog_producer_send_wait(hasty.producer, &m, 1, -1, &report, &error));
  CHECK(report.status == KLOG_E_TIMED_OUT);
  m.tag = 7;
  OK(klog_producer_send(hasty.producer, &m, 1, NULL, &error));
  /* With and without an end of its own, and as often as it is asked. */
  for (turn = 0; turn < 2; turn++) {
    FAILS(KLOG_E_TIMED_OUT, holder,
          klog_producer_poll(hasty.producer, turn == 0 ? -1 : 60000, &report, 1, &count, &error));
    CHECK(count == 0);
  }
  FAILS(KLOG_E_TIMED_OUT, holder, klog_producer_flush(hasty.producer, -1, &error));
  FAILS(KLOG_E_TIMED_OUT, "nothing was taken from it", klog_engine_flush(hasty.engine, &error));
}

int main(int argc, char **argv) {
  struct handles patient, hasty;
  klog_delivery report;
  size_t count = 0;
  int status = -1;
  pid_t child;
  CHECK(argc == 2);
  CHECK(pipe(told) == 0 && pipe(allowed) == 0);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(allowed[1]); /* it ends when its parent does */
    flush_and_stop(argv[1]);
    _exit(0);
  }
  hear(told);
  patient = open_both(argv[1], "3600000");
  hasty = open_both(argv[1], "300");
  tell(allowed);
  hear(told);
  wait_beside(patient, hasty, (long)child);
  tell(allowed);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  /* Nothing was lost: the report comes when the flush has. */
  OK(klog_producer_poll(hasty.producer, -1, &report, 1, &count, &error));
  CHECK(count == 1 && report.tag == 7 && report.status == KLOG_OK && report.offset == 6);
  close_both(hasty);
  close_both(patient);
  return 0;
}

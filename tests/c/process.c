/* Other processes: who has the directory, what a child may do, and what the system forbids. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static klog_engine *engine;
static klog_producer *producer;

static void open_engine(const char *dir) {
  OK(klog_engine_open(dir, NULL, &engine, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
}

static void close_engine(void) {
  OK(klog_engine_close(engine, -1, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);
}

static void send(const char *value) {
  klog_message m = message("orders", value);
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
}

/* Runs a body in a child, which must end well. A child leaves by _exit: the rest of the program is its parent's. */
static void in_child(void (*body)(const char *), const char *argument) {
  int status = -1;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body(argument);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void open_beside(const char *dir) {
  klog_engine *second = NULL;
  klog_config *alone = klog_config_new();
  char parent[32];
  OK(klog_config_set(alone, "klog.exclusive", "true", &error));
  snprintf(parent, sizeof parent, "%ld", (long)getppid());
  FAILS(KLOG_E_LOCKED, parent, klog_engine_open(dir, alone, &second, &error));
  CHECK(second == NULL);
  OK(klog_engine_open(dir, NULL, &second, &error));
  klog_engine_free(second);
  klog_config_free(alone);
}

static void open_what_somebody_has_to_himself(const char *dir) {
  klog_engine *second = NULL;
  char parent[32];
  snprintf(parent, sizeof parent, "%ld", (long)getppid());
  FAILS(KLOG_E_LOCKED, parent, klog_engine_open(dir, NULL, &second, &error));
  FAILS(KLOG_E_LOCKED, "process", klog_engine_open(dir, NULL, &second, &error));
  CHECK(second == NULL);
}

static void a_directory_can_be_had_alone_and_then_others_are_told(const char *dir) {
  klog_config *alone = klog_config_new();
  OK(klog_config_set(alone, "klog.exclusive", "true", &error));
  open_engine(dir);
  in_child(open_beside, dir);
  send("one");
  close_engine();
  OK(klog_engine_open(dir, alone, &engine, &error));
  in_child(open_what_somebody_has_to_himself, dir);
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);
  klog_config_free(alone);
}

static void see_both(const char *dir) {
  klog_engine *own = NULL;
  klog_rows *rows = NULL;
  size_t row;
  OK(klog_engine_open(dir, NULL, &own, &error));
  OK(klog_engine_attached(own, &rows, &error));
  CHECK(klog_rows_len(rows) == 2);
  for (row = 0; row < 2; row++) {
    CHECK(klog_rows_int(rows, row, "slot", -1) == (int64_t)row);
    CHECK(klog_rows_int(rows, row, "pid", -1) == (row == 0 ? getppid() : getpid()));
    CHECK(klog_rows_int(rows, row, "since", -1) > 0);
    CHECK(klog_rows_int(rows, row, "dead", -1) == 0);
    CHECK(klog_rows_text(rows, row, "program") != NULL);
  }
  CHECK(klog_rows_int(rows, 0, "pid_namespace", -1) == klog_rows_int(rows, 1, "pid_namespace", -2));
  klog_rows_free(rows);
  OK(klog_engine_metrics(own, &rows, &error));
  row = row_of(rows, "name", "attached");
  CHECK(klog_rows_int(rows, row, "value", -1) == 2);
  CHECK(is_text(rows, row, "kind", "gauge") && is_text(rows, row, "labels", NULL));
  CHECK(is_text(rows, row, "topic", NULL) && klog_rows_int(rows, row, "partition", -7) == -7);
  row = row_of(rows, "name", "appends");
  while (!is_text(rows, row, "topic", "orders")) row++;
  CHECK(is_text(rows, row, "name", "appends") && is_text(rows, row, "kind", "counter"));
  CHECK(klog_rows_int(rows, row, "partition", -1) == 0);
  CHECK(klog_rows_int(rows, row, "value", -1) == 2);
  CHECK(is_text(rows, row, "labels", "topic=\"orders\",partition=\"0\""));
  CHECK(is_text(rows, row, "help", "Batches that were appended."));
  klog_rows_free(rows);
  OK(klog_engine_close(own, -1, &error));
  klog_engine_free(own);
}

static void who_is_attached_and_what_is_counted_is_told(const char *dir) {
  open_engine(dir);
  send("one");
  send("two");
  in_child(see_both, dir);
  close_engine();
}

static void use_what_is_the_parents(const char *dir) {
  klog_message m = message("orders", "the child's");
  klog_delivery report;
  size_t count = 9;
  (void)dir;
  /* Nothing of what was queued is here, and no report of it. */
  OK(klog_producer_poll(producer, 0, &report, 1, &count, &error));
  CHECK(count == 0);
  OK(klog_engine_flush(engine, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, &report, &error));
  CHECK(report.offset == 1);
  m = message("orders", "written at the end");
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);
}

static void a_child_goes_on_beside_its_parent(const char *dir) {
  klog_config *config = klog_config_new();
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  klog_message m = message("orders", "queued");
  OK(klog_config_set(config, "linger.ms", "2000000000", &error));
  OK(klog_engine_open(dir, NULL, &engine, &error));
  OK(klog_producer_open(engine, config, &producer, &error));
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  in_child(use_what_is_the_parents, dir);
  /* What was queued is the parent's, once. */
  OK(klog_producer_flush(producer, -1, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "orders", 0, 1, &error));
  {
    const char *values[] = {"the child's", "written at the end", "queued"};
    size_t at = 0, i;
    while (at < 3) {
      OK(klog_consumer_poll(consumer, -1, 0, &batch, &error));
      for (i = 0; i < klog_batch_len(batch); i++, at++)
        CHECK(has_value(klog_batch_records(batch) + i, values[at]));
      klog_batch_free(batch);
    }
    OK(klog_consumer_poll(consumer, 0, 0, &batch, &error));
    CHECK(batch == NULL || klog_batch_len(batch) == 0);
    klog_batch_free(batch);
  }
  klog_consumer_free(consumer);
  klog_config_free(config);
  close_engine();
}

static klog_consumer *parents_consumer;
static klog_batch *parents_batch;

static void use_a_consumer_of_the_parents(const char *dir) {
  klog_batch *batch = NULL;
  klog_rows *rows = NULL;
  int64_t position = 99;
  (void)dir;
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_consumer_poll(parents_consumer, -1, 0, &batch, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_consumer_assign(parents_consumer, "orders", 0, 0, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_consumer_position(parents_consumer, "orders", 0, &position, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_consumer_assignment(parents_consumer, &rows, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_consumer_close(parents_consumer, -1, &error));
  CHECK(batch == NULL && rows == NULL);
  klog_consumer_wakeup(parents_consumer);
  klog_consumer_free(parents_consumer);
  /* A batch is memory, and a child has a copy. */
  CHECK(has_value(klog_batch_records(parents_batch), "one"));
  klog_batch_free(parents_batch);
}

static void a_consumer_stays_with_its_process(const char *dir) {
  open_engine(dir);
  OK(klog_consumer_open(engine, NULL, &parents_consumer, &error));
  OK(klog_consumer_assign(parents_consumer, "orders", 0, 0, &error));
  OK(klog_consumer_poll(parents_consumer, -1, 1, &parents_batch, &error));
  in_child(use_a_consumer_of_the_parents, dir);
  CHECK(has_value(klog_batch_records(parents_batch), "one"));
  klog_batch_free(parents_batch);
  OK(klog_consumer_poll(parents_consumer, -1, 1, &parents_batch, &error));
  CHECK(has_value(klog_batch_records(parents_batch), "the child's"));
  klog_batch_free(parents_batch);
  klog_consumer_free(parents_consumer);
  close_engine();
}

static void use_memory_of_the_parents(const char *dir) {
  klog_message m = message("orders", "value");
  klog_producer *another = NULL;
  (void)dir;
  FAILS(KLOG_E_FORKED, "belongs to the parent process", klog_engine_flush(engine, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_producer_open(engine, NULL, &another, &error));
  FAILS(KLOG_E_FORKED, "belongs to the parent process",
        klog_producer_send(producer, &m, 1, NULL, &error));
  klog_producer_free(producer);
  klog_engine_free(engine);
}

static void memory_stays_with_its_process(void) {
  open_engine(":memory:");
  send("one");
  in_child(use_memory_of_the_parents, NULL);
  send("two");
  close_engine();
}

static void a_child_goes_on_when_its_parent_has_closed(const char *dir) {
  int status = -1, closed[2];
  char byte = 0;
  pid_t child;
  CHECK(pipe(closed) == 0);
  open_engine(dir);
  send("before");
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(read(closed[0], &byte, 1) == 1);
    send("the child's");
    close_engine();
    _exit(0);
  }
  close_engine();
  CHECK(write(closed[1], &byte, 1) == 1);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(closed[0]);
  close(closed[1]);

  open_engine(dir);
  {
    klog_admin *admin = NULL;
    int64_t end = -1;
    OK(klog_admin_open(engine, &admin, &error));
    OK(klog_topic_offset_at(admin, "orders", 0, KLOG_LATEST, &end, &error));
    CHECK(end == 6);
    klog_admin_free(admin);
  }
  close_engine();
}

static void open_without_the_right_to_write(const char *dir) {
  klog_config *config = klog_config_new();
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  CHECK(chdir(dir) == 0);
  CHECK(system("chmod -R a+rX,a-w .") == 0);
  /* Root is forbidden nothing, so it becomes nobody. */
  if (geteuid() == 0 && setuid(65534) != 0) {
    printf("SKIPPED: a directory without the right to write: root cannot become another user\n");
    fflush(stdout);
    return;
  }
  CHECK(klog_engine_open(".", NULL, &engine, &error) == KLOG_E_IO);
  CHECK(engine == NULL);
  CHECK(klog_error_os_code(error) == EACCES);
  klog_error_free(error);
  CHECK(klog_engine_open("made/new", NULL, &engine, &error) == KLOG_E_IO);
  CHECK(klog_error_os_code(error) == EACCES);
  CHECK(strstr(klog_error_message(error), "made") != NULL);
  klog_error_free(error);

  OK(klog_config_set(config, "read.only", "true", &error));
  OK(klog_engine_open(".", config, &engine, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "orders", 0, 0, &error));
  OK(klog_consumer_poll(consumer, 0, 1, &batch, &error));
  CHECK(has_value(klog_batch_records(batch), "one"));
  klog_batch_free(batch);
  klog_consumer_free(consumer);
  FAILS(KLOG_E_READ_ONLY, "reading only", klog_producer_open(engine, NULL, &producer, &error));
  klog_engine_free(engine);
  klog_config_free(config);
}

static void a_directory_that_may_only_be_read_is_only_read(const char *dir) {
  in_child(open_without_the_right_to_write, dir);
  CHECK(chdir(dir) == 0);
  CHECK(system("chmod -R u+w .") == 0);
}

static void write_beyond_the_limit(const char *dir) {
  struct rlimit limit;
  klog_message m = message("limited", "value");
  klog_delivery report;
  size_t count = 0;
  open_engine(dir);
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = 1;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);

  m.tag = 7;
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  OK(klog_producer_poll(producer, -1, &report, 1, &count, &error));
  CHECK(count == 1 && report.tag == 7);
  CHECK(report.status == KLOG_E_IO && report.offset == -1 && report.partition == -1);
  CHECK(klog_producer_send_wait(producer, &m, 1, -1, &report, &error) == KLOG_E_IO);
  CHECK(report.status == KLOG_E_IO && report.tag == 7);
  klog_error_free(error);
}

static void a_write_that_fails_is_reported(const char *dir) {
  in_child(write_beyond_the_limit, dir);
  /* What was acknowledged before is there, and the log goes on. */
  open_engine(dir);
  {
    klog_message m = message("limited", "value");
    klog_delivery delivery;
    OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
    CHECK(delivery.offset == 1);
  }
  close_engine();
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  a_directory_can_be_had_alone_and_then_others_are_told(argv[1]);
  a_child_goes_on_beside_its_parent(argv[1]);
  a_consumer_stays_with_its_process(argv[1]);
  memory_stays_with_its_process();
  a_child_goes_on_when_its_parent_has_closed(argv[1]);
  a_write_that_fails_is_reported(argv[1]);
  who_is_attached_and_what_is_counted_is_told(argv[1]);
  a_directory_that_may_only_be_read_is_only_read(argv[1]);
  return 0;
}

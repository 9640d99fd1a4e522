/* forks.c - children that are forked at random moments while threads send and receive. Each uses what it inherited and ends
 * in some way. Nobody hangs, no acknowledged record is lost, none is there twice. Usage: forks DIR [COUNT [SEED]] */
#define _DEFAULT_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static klog_engine *engine;
static klog_producer *plain, *lingering;
static klog_consumer *consumer;
static volatile int is_over;
static uint32_t seed;

static uint32_t chance(uint32_t below) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % below;
}

/* Sends "NAME NUMBER" until all is over; returns how many were sent, all of which were acknowledged. */
struct work {
  klog_producer *producer;
  const char *name;
  long sent;
};

static void *keep_sending(void *argument) {
  struct work *work = argument;
  klog_error *mine = NULL;
  while (!is_over) {
    char value[64];
    klog_message m;
    klog_status status;
    snprintf(value, sizeof value, "%s %ld", work->name, work->sent);
    m = message("storm", value);
    status = klog_producer_send_wait(work->producer, &m, 1, -1, NULL, &mine);
    if (status != KLOG_OK) {
      fprintf(stderr, "%s: %s\n", value, mine ? klog_error_message(mine) : "interrupted");
      exit(1);
    }
    work->sent++;
    poll(NULL, 0, 1); /* a pace, and nothing waits for it */
  }
  return NULL;
}

static void *keep_reading(void *argument) {
  klog_error *mine = NULL;
  (void)argument;
  while (!is_over) {
    klog_batch *batch = NULL;
    if (klog_consumer_poll(consumer, 1, 0, &batch, &mine) != KLOG_OK) exit(1);
    klog_batch_free(batch);
  }
  return NULL;
}

static void send_as(klog_producer *producer, const char *kind, int number, int waits) {
  char value[64];
  klog_message m;
  snprintf(value, sizeof value, "%s %d", kind, number);
  m = message("storm", value);
  if (waits)
    OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  else
    OK(klog_producer_send(producer, &m, 1, NULL, &error));
}

/* What the child of this number does is drawn before the fork, so that the parent knows what must be there. */
struct plan {
  int uses_plain, uses_lingering, leaves_queued, polls, frees, end;
};

static struct plan draw(void) {
  struct plan plan;
  plan.uses_plain = (int)chance(2);
  plan.uses_lingering = (int)chance(2);
  plan.leaves_queued = (int)chance(2);
  plan.polls = (int)chance(2);
  plan.frees = (int)chance(2);
  plan.end = (int)chance(4);
  /* What is queued is written when the last handle goes, and not by an end without that. */
  if (plan.leaves_queued) plan.frees = 1;
  return plan;
}

static void be_a_child(const struct plan *plan, int number) {
  klog_batch *batch = NULL;
  alarm(100); /* whoever hangs dies of it */
  if (plan->polls) {
    FAILS(KLOG_E_FORKED, "parent process", klog_consumer_poll(consumer, -1, 0, &batch, &error));
    klog_consumer_wakeup(consumer);
  }
  if (plan->uses_plain) send_as(plain, "plain", number, 1);
  if (plan->uses_lingering) send_as(lingering, "lingering", number, 1);
  if (plan->leaves_queued) send_as(lingering, "queued", number, 0);
  if (plan->frees) {
    klog_consumer_free(consumer);
    klog_producer_free(plain);
    klog_engine_free(engine);
    klog_producer_free(lingering);
  }
  switch (plan->end) {
    case 0: _exit(0);
    case 1: exit(0);
    case 2: execl("/bin/true", "true", (char *)NULL); break;
    default: raise(SIGKILL);
  }
}

struct count {
  const char *name;
  int *times;
  int numbers;
};

static void count_value(struct count *counts, size_t kinds, const klog_record *record) {
  char text[64], name[32];
  int number;
  size_t i;
  CHECK(record->value_len < (int32_t)sizeof text);
  memcpy(text, record->value, (size_t)record->value_len);
  text[record->value_len] = 0;
  CHECK(sscanf(text, "%31s %d", name, &number) == 2);
  for (i = 0; i < kinds; i++)
    if (strcmp(name, counts[i].name) == 0) {
      CHECK(number >= 0 && number < counts[i].numbers);
      counts[i].times[number]++;
      return;
    }
  CHECK(0);
}

static void under_load(const char *dir, int children) {
  pthread_t threads[3];
  struct work one = {NULL, "one", 0}, two = {NULL, "two", 0};
  struct plan *plans = calloc((size_t)children, sizeof *plans);
  klog_config *config = klog_config_new(), *lingers = klog_config_new();
  klog_message first = message("storm", "first 0");
  long total = 0, seen = 0;
  int number;
  OK(klog_config_set(config, "klog.durability", "os", &error));
  OK(klog_config_set(lingers, "linger.ms", "5", &error));
  OK(klog_engine_open(dir, config, &engine, &error));
  OK(klog_producer_open(engine, NULL, &plain, &error));
  OK(klog_producer_open(engine, lingers, &lingering, &error));
  OK(klog_producer_send_wait(plain, &first, 1, -1, NULL, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "storm", 0, 0, &error));
  one.producer = plain;
  two.producer = lingering;
  CHECK(pthread_create(&threads[0], NULL, keep_sending, &one) == 0);
  CHECK(pthread_create(&threads[1], NULL, keep_sending, &two) == 0);
  CHECK(pthread_create(&threads[2], NULL, keep_reading, NULL) == 0);
  for (number = 0; number < children; number++) {
    int status = -1;
    pid_t child;
    plans[number] = draw();
    poll(NULL, 0, (int)chance(4)); /* a moment of its own, and nothing waits for it */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) be_a_child(&plans[number], number);
    CHECK(waitpid(child, &status, 0) == child);
    if (plans[number].end == 3)
      CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    else
      CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  is_over = 1;
  for (number = 0; number < 3; number++) CHECK(pthread_join(threads[number], NULL) == 0);
  klog_consumer_free(consumer);
  klog_producer_free(lingering);
  klog_producer_free(plain);
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);

  OK(klog_engine_open(dir, config, &engine, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "storm", 0, 0, &error));
  {
    struct count counts[6] = {{"first", NULL, 1},          {"one", NULL, (int)one.sent},
                              {"two", NULL, (int)two.sent}, {"plain", NULL, children},
                              {"lingering", NULL, children}, {"queued", NULL, children}};
    size_t i;
    for (i = 0; i < 6; i++) counts[i].times = calloc((size_t)counts[i].numbers + 1, sizeof(int));
    total = 1 + one.sent + two.sent;
    for (number = 0; number < children; number++)
      total += plans[number].uses_plain + plans[number].uses_lingering + plans[number].leaves_queued;
    while (seen < total) {
      klog_batch *batch = NULL;
      OK(klog_consumer_poll(consumer, 10000, 0, &batch, &error));
      CHECK(batch != NULL && klog_batch_len(batch) > 0);
      for (i = 0; i < klog_batch_len(batch); i++, seen++)
        count_value(counts, 6, klog_batch_records(batch) + i);
      klog_batch_free(batch);
    }
    CHECK(seen == total);
    for (i = 0; i < 3; i++)
      for (number = 0; number < counts[i].numbers; number++) CHECK(counts[i].times[number] == 1);
    for (number = 0; number < children; number++) {
      CHECK(counts[3].times[number] == plans[number].uses_plain);
      CHECK(counts[4].times[number] == plans[number].uses_lingering);
      CHECK(counts[5].times[number] == plans[number].leaves_queued);
    }
    for (i = 0; i < 6; i++) free(counts[i].times);
  }
  klog_consumer_free(consumer);
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);
  klog_config_free(config);
  klog_config_free(lingers);
  free(plans);
}

/* A child that no handler of fork() knows of: the kernel has wiped a page, and klog sees that. */
static void made_by_a_raw_clone(const char *dir) {
  klog_config *config = klog_config_new();
  klog_message m = message("raw", "the parent's");
  klog_batch *batch = NULL;
  klog_rows *rows = NULL;
  int status = -1;
  pid_t child;
  OK(klog_config_set(config, "threads", "off", &error)); /* no thread may have the allocator's lock */
  OK(klog_engine_open(dir, config, &engine, &error));
  OK(klog_producer_open(engine, NULL, &plain, &error));
  OK(klog_producer_send_wait(plain, &m, 1, -1, NULL, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "raw", 0, 0, &error));
  child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  CHECK(child >= 0);
  if (child == 0) {
    alarm(100);
    FAILS(KLOG_E_FORKED, "parent process", klog_consumer_poll(consumer, -1, 0, &batch, &error));
    FAILS(KLOG_E_FORKED, "parent process", klog_consumer_assignment(consumer, &rows, &error));
    m = message("raw", "the child's");
    OK(klog_producer_send_wait(plain, &m, 1, -1, NULL, &error));
    klog_consumer_free(consumer);
    klog_producer_free(plain);
    klog_engine_free(engine);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  OK(klog_consumer_poll(consumer, -1, 1, &batch, &error));
  CHECK(has_value(klog_batch_records(batch), "the parent's"));
  klog_batch_free(batch);
  OK(klog_consumer_poll(consumer, -1, 1, &batch, &error));
  CHECK(has_value(klog_batch_records(batch), "the child's"));
  klog_batch_free(batch);
  klog_consumer_free(consumer);
  klog_producer_free(plain);
  OK(klog_engine_close(engine, -1, &error));
  klog_engine_free(engine);
  klog_config_free(config);
}

int main(int argc, char **argv) {
  CHECK(argc >= 2 && argc <= 4);
  seed = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
  under_load(path(argv[1], "storm"), argc > 2 ? atoi(argv[2]) : 60);
  made_by_a_raw_clone(path(argv[1], "raw"));
  return 0;
}

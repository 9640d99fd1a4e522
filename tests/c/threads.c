/* Several threads: who may come in, who is told to wait outside, and who wakes whom. */
#include <pthread.h>

#include "check.h"

static klog_engine *engine;
static klog_producer *producer;
static klog_consumer *consumer;

static void start(pthread_t *thread, void *(*body)(void *), void *argument) {
  CHECK(pthread_create(thread, NULL, body, argument) == 0);
}

static void *join(pthread_t thread) {
  void *result = NULL;
  CHECK(pthread_join(thread, &result) == 0);
  return result;
}

/* A poll without limit: how it ended, and the batch that it gave. */
struct poll {
  klog_status status;
  klog_batch *batch;
};

static void *poll_for_ever(void *argument) {
  struct poll *poll = argument;
  klog_error *mine = NULL;
  poll->status = klog_consumer_poll(consumer, -1, 0, &poll->batch, &mine);
  /* Whoever was told that somebody else is inside wakes him, so that both end. */
  if (poll->status == KLOG_E_BUSY) {
    CHECK(strstr(klog_error_message(mine), "another thread") != NULL);
    klog_consumer_wakeup(consumer);
  }
  klog_error_free(mine);
  return NULL;
}

static void open_consumer(void) {
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "orders", 0, KLOG_LATEST, &error));
}

static void another_thread_wakes_a_poll(void) {
  pthread_t thread;
  struct poll poll = {KLOG_OK, NULL};
  open_consumer();
  start(&thread, poll_for_ever, &poll);
  /* It is in the poll or not yet; both are ended. */
  klog_consumer_wakeup(consumer);
  join(thread);
  CHECK(poll.status == KLOG_E_INTERRUPTED && poll.batch == NULL);
  klog_consumer_free(consumer);
}

static void one_thread_at_a_time_is_inside(void) {
  pthread_t threads[2];
  struct poll polls[2] = {{KLOG_OK, NULL}, {KLOG_OK, NULL}};
  open_consumer();
  start(&threads[0], poll_for_ever, &polls[0]);
  start(&threads[1], poll_for_ever, &polls[1]);
  join(threads[0]);
  join(threads[1]);
  CHECK(polls[0].status != polls[1].status);
  CHECK(polls[0].status == KLOG_E_BUSY || polls[1].status == KLOG_E_BUSY);
  CHECK(polls[0].status == KLOG_E_INTERRUPTED || polls[1].status == KLOG_E_INTERRUPTED);
  klog_consumer_free(consumer);
}

static void an_append_ends_the_waiting(void) {
  pthread_t thread;
  struct poll poll = {KLOG_OK, NULL};
  klog_message m = message("orders", "news");
  open_consumer();
  start(&thread, poll_for_ever, &poll);
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  join(thread);
  CHECK(poll.status == KLOG_OK && klog_batch_len(poll.batch) == 1);
  CHECK(has_value(klog_batch_records(poll.batch), "news"));
  /* Freed by another thread than the one that got it. */
  klog_batch_free(poll.batch);
  klog_consumer_free(consumer);
}

static void closing_the_engine_ends_the_waiting(void) {
  pthread_t thread;
  klog_engine *kept = engine;
  struct poll poll = {KLOG_OK, NULL};
  OK(klog_engine_open(":memory:", NULL, &engine, &error));
  OK(klog_consumer_open(engine, NULL, &consumer, &error));
  start(&thread, poll_for_ever, &poll);
  OK(klog_engine_close(engine, -1, &error));
  join(thread);
  CHECK(poll.status == KLOG_E_CLOSED && poll.batch == NULL);
  klog_consumer_free(consumer);
  klog_engine_free(engine);
  engine = kept;
}

enum { SENDERS = 4, EACH = 500 };

static void *send_many(void *argument) {
  uint64_t first = *(const uint64_t *)argument;
  uint64_t i;
  for (i = 0; i < EACH; i++) {
    klog_message m = message("crowded", "value");
    m.tag = first + i;
    CHECK(klog_producer_send(producer, &m, 1, NULL, NULL) == KLOG_OK);
  }
  return NULL;
}

static void many_threads_share_a_producer(void) {
  pthread_t threads[SENDERS];
  uint64_t firsts[SENDERS];
  static klog_delivery reports[SENDERS * EACH];
  static unsigned char tags[SENDERS * EACH], offsets[SENDERS * EACH];
  size_t i, count = 0, all = 0;
  for (i = 0; i < SENDERS; i++) {
    firsts[i] = i * EACH;
    start(&threads[i], send_many, &firsts[i]);
  }
  for (i = 0; i < SENDERS; i++) join(threads[i]);
  while (all < SENDERS * EACH) {
    OK(klog_producer_poll(producer, -1, reports + all, SENDERS * EACH - all, &count, &error));
    CHECK(count > 0);
    all += count;
  }
  for (i = 0; i < SENDERS * EACH; i++) {
    CHECK(reports[i].status == KLOG_OK);
    CHECK(reports[i].tag < SENDERS * EACH && !tags[reports[i].tag]++);
    CHECK(reports[i].offset < SENDERS * EACH && !offsets[reports[i].offset]++);
  }
}

int main(int argc, char **argv) {
  klog_message m = message("orders", "old");
  CHECK(argc == 2);
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  another_thread_wakes_a_poll();
  one_thread_at_a_time_is_inside();
  an_append_ends_the_waiting();
  closing_the_engine_ends_the_waiting();
  many_threads_share_a_producer();
  klog_producer_free(producer);
  klog_engine_free(engine);
  return 0;
}

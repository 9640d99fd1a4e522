/* first_steps.c - send three records to a topic and read it back.
 *
 * From the top of the repository:
 *   cargo build --release -p klog-c
 *   cc -std=c99 -Wall -Wextra -Werror -I include examples/c/first_steps.c -L target/release -lklog -o first_steps
 *   LD_LIBRARY_PATH=target/release ./first_steps data
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klog.h"

/* Ends the program if a call failed. Takes &error and not error: C does not say which argument is evaluated first. */
static void check(const char *doing, klog_status status, klog_error **error) {
  if (status >= 0) return;
  fprintf(stderr, "%s: %s: %s\n", doing, klog_status_name(status),
          *error ? klog_error_message(*error) : klog_status_message(status));
  klog_error_free(*error);
  exit(1);
}

int main(int argc, char **argv) {
  static const char *const words[] = {"hello", "from", "C"};
  klog_error *error = NULL;
  klog_engine *engine = NULL;
  klog_producer *producer = NULL;
  klog_consumer *consumer = NULL;
  int32_t finished = 0;
  size_t i;

  /* A directory of logs. It is made if it is not there. */
  check("open", klog_engine_open(argc > 1 ? argv[1] : "data", NULL, &engine, &error), &error);

  /* The first record makes the topic. When send_wait returns, the records are on the disk. */
  check("producer", klog_producer_open(engine, NULL, &producer, &error), &error);
  for (i = 0; i < 3; i++) {
    klog_message message;
    memset(&message, 0, sizeof message);
    message.size = sizeof message;
    message.topic = "greetings";
    message.value = (const uint8_t *)words[i];
    message.value_len = strlen(words[i]);
    check("send", klog_producer_send_wait(producer, &message, 1, -1, NULL, &error), &error);
  }

  /* Everything in the topic, from its first record to what is its last one now. */
  check("consumer", klog_consumer_open(engine, NULL, &consumer, &error), &error);
  check("assign", klog_consumer_assign_topic(consumer, "greetings", KLOG_EARLIEST, &error), &error);
  check("bound", klog_consumer_read_until_now(consumer, &error), &error);
  while (!finished) {
    klog_batch *batch = NULL;
    const klog_record *record;
    check("poll", klog_consumer_poll(consumer, -1, 0, &batch, &error), &error);
    record = klog_batch_records(batch);
    for (i = 0; i < klog_batch_len(batch); i++, record++)
      printf("%s-%" PRId32 " %" PRId64 ": %.*s\n", klog_batch_topic(batch),
             klog_batch_partition(batch), record->offset, (int)record->value_len,
             (const char *)record->value);
    klog_batch_free(batch);
    check("poll", klog_consumer_is_finished(consumer, &finished, &error), &error);
  }

  /* Closing can fail; freeing cannot, and may be done in any order. */
  check("close", klog_engine_close(engine, -1, &error), &error);
  klog_consumer_free(consumer);
  klog_producer_free(producer);
  klog_engine_free(engine);
  return 0;
}

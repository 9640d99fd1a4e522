/* print_topic.c - print the values of a topic, one a line, up to its present end.
 *
 * From the top of the repository:
 *   cargo build --release -p klog-c
 *   cc -std=c99 -Wall -Wextra -Werror -I include examples/c/print_topic.c -L target/release -lklog -o print_topic
 *   LD_LIBRARY_PATH=target/release ./print_topic data greetings
 */
#include <stdio.h>

#include "klog.h"

static klog_status print_batch(const klog_batch *batch) {
  const klog_record *record = klog_batch_records(batch);
  size_t i, count = klog_batch_len(batch);
  for (i = 0; i < count; i++, record++) {
    /* The value is where klog read it from the file to. A record without one is an empty line. */
    if (record->value_len > 0) fwrite(record->value, 1, (size_t)record->value_len, stdout);
    putchar('\n');
  }
  return ferror(stdout) ? KLOG_E_IO : KLOG_OK;
}

/* Reads every partition in turn until all are at what was their end when it began. */
static klog_status print_topic(klog_consumer *consumer, const char *topic, klog_error **error) {
  int32_t finished = 0;
  klog_status status = klog_consumer_assign_topic(consumer, topic, KLOG_EARLIEST, error);
  if (status >= 0) status = klog_consumer_read_until_now(consumer, error);
  while (status >= 0 && !finished) {
    klog_batch *batch = NULL;
    status = klog_consumer_poll(consumer, -1, 0, &batch, error);
    if (status >= 0) status = print_batch(batch);
    klog_batch_free(batch);
    if (status >= 0) status = klog_consumer_is_finished(consumer, &finished, error);
  }
  return status;
}

int main(int argc, char **argv) {
  klog_error *error = NULL;
  klog_config *config = klog_config_new();
  klog_engine *engine = NULL;
  klog_consumer *consumer = NULL;
  klog_status status;

  if (argc != 3) {
    fprintf(stderr, "usage: print_topic DIR TOPIC\n");
    return 2;
  }
  /* Only reading: no byte of the directory changes. */
  status = klog_config_set(config, "read.only", "true", &error);
  if (status >= 0) status = klog_engine_open(argv[1], config, &engine, &error);
  if (status >= 0) status = klog_consumer_open(engine, NULL, &consumer, &error);
  if (status >= 0) status = print_topic(consumer, argv[2], &error);
  if (status >= 0 && fflush(stdout) != 0) status = KLOG_E_IO;
  if (status < 0)
    fprintf(stderr, "print_topic: %s\n",
            error ? klog_error_message(error) : klog_status_message(status));

  klog_error_free(error);
  klog_consumer_free(consumer);
  klog_engine_free(engine);
  klog_config_free(config);
  return status < 0;
}

/* follow.c - reads the numbers 0 to COUNT - 1 that another process sends to a topic, as they come: each once, in order.
 * It has the directory open for writing beside the other one. Usage: follow DIR TOPIC COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klog.h"

static klog_error *error;

static int failed(klog_status status) {
  if (status >= 0) return 0;
  fprintf(stderr, "follow: %s\n", error ? klog_error_message(error) : klog_status_message(status));
  klog_error_free(error);
  return 1;
}

int main(int argc, char **argv) {
  klog_engine *engine = NULL;
  klog_consumer *consumer = NULL;
  long next = 0, count;
  int result = 1;
  if (argc != 4) return 2;
  count = atol(argv[3]);
  if (failed(klog_engine_open(argv[1], NULL, &engine, &error)) ||
      failed(klog_consumer_open(engine, NULL, &consumer, &error)) ||
      failed(klog_consumer_assign(consumer, argv[2], 0, KLOG_LATEST, &error)))
    goto end;
  printf("ready\n");
  fflush(stdout);
  while (next < count) {
    klog_batch *batch = NULL;
    const klog_record *records;
    size_t i;
    if (failed(klog_consumer_poll(consumer, 60000, 0, &batch, &error))) goto end;
    if (batch == NULL || klog_batch_len(batch) == 0) {
      fprintf(stderr, "follow: nothing came for a minute after %ld records\n", next);
      goto end;
    }
    records = klog_batch_records(batch);
    for (i = 0; i < klog_batch_len(batch); i++, next++) {
      char expected[24];
      snprintf(expected, sizeof expected, "%ld", next);
      if (records[i].value_len != (int32_t)strlen(expected) ||
          memcmp(records[i].value, expected, strlen(expected)) != 0) {
        fprintf(stderr, "follow: %.*s came, and not %ld\n", (int)records[i].value_len,
                (const char *)records[i].value, next);
        goto end;
      }
    }
    klog_batch_free(batch);
  }
  printf("%ld records in order\n", next);
  result = 0;
end:
  klog_consumer_free(consumer);
  klog_engine_free(engine);
  return result;
}

/* Reading, and what batches are. */
#include <signal.h>

#include "check.h"

static klog_engine *engine;
static klog_admin *admin;
static klog_producer *producer;

static void send(const char *topic, int32_t partition, const char *value) {
  klog_message m = message(topic, value);
  m.flags = KLOG_SET_PARTITION;
  m.partition = partition;
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
}

static klog_consumer *open_consumer(const char *settings) {
  klog_config *config = klog_config_new();
  klog_consumer *consumer = NULL;
  OK(klog_config_parse(config, settings, &error));
  OK(klog_consumer_open(engine, config, &consumer, &error));
  klog_config_free(config);
  return consumer;
}

static klog_batch *poll_now(klog_consumer *consumer) {
  klog_batch *batch = NULL;
  OK(klog_consumer_poll(consumer, 0, 0, &batch, &error));
  return batch;
}

/* The next poll gives one record with this value. */
static void next_is(klog_consumer *consumer, const char *value) {
  klog_batch *batch = NULL;
  OK(klog_consumer_poll(consumer, 0, 1, &batch, &error));
  CHECK(klog_batch_len(batch) == 1);
  CHECK(has_value(klog_batch_records(batch), value));
  klog_batch_free(batch);
}

static int is_within(const klog_batch *batch, const void *place, int32_t len) {
  size_t size = 0;
  const uint8_t *data = klog_batch_data(batch, &size);
  const uint8_t *from = place;
  return from >= data && from + len <= data + size && data == klog_batch_data(batch, NULL);
}

static void send_one_of_each_kind(void) {
  klog_header headers[3] = {{"a", (const uint8_t *)"x", -1, 1},
                            {"a", NULL, 1, 0},
                            {"empty", (const uint8_t *)"", -1, 0}};
  klog_message m[3];
  m[0] = message("kinds", "value");
  m[0].key = (const uint8_t *)"key";
  m[0].key_len = 3;
  m[0].headers = headers;
  m[0].header_count = 3;
  m[0].flags = KLOG_SET_TIMESTAMP; /* 0 is a time like any other */
  m[1] = message("kinds", NULL);
  m[2] = message("kinds", "");
  m[2].key = (const uint8_t *)"";
  OK(klog_producer_send_wait(producer, m, 3, -1, NULL, &error));
}

static void a_batch_tells_everything_of_its_records(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch;
  const klog_record *r;
  klog_header header;
  send_one_of_each_kind();
  OK(klog_consumer_assign(consumer, "kinds", 0, KLOG_EARLIEST, &error));
  batch = poll_now(consumer);
  CHECK(strcmp(klog_batch_topic(batch), "kinds") == 0);
  CHECK(klog_batch_partition(batch) == 0);
  CHECK(klog_batch_len(batch) == 3);
  CHECK(klog_batch_next_offset(batch) == 3);
  CHECK(klog_batch_high_watermark(batch) == 3);

  r = klog_batch_records(batch);
  CHECK(r[0].offset == 0 && r[1].offset == 1 && r[2].offset == 2);
  CHECK(r[0].timestamp == 0 && r[1].timestamp > 0);
  CHECK(has_value(&r[0], "value"));
  CHECK(r[0].key_len == 3 && memcmp(r[0].key, "key", 3) == 0);
  CHECK(is_within(batch, r[0].key, 3) && is_within(batch, r[0].value, 5));
  CHECK(r[1].key == NULL && r[1].key_len == -1 && r[1].value == NULL && r[1].value_len == -1);
  CHECK(r[2].key != NULL && r[2].key_len == 0 && r[2].value != NULL && r[2].value_len == 0);
  CHECK(r[0].header_count == 3 && r[1].header_count == 0 && r[2].header_count == 0);
  CHECK(r[0].flags == 0);

  CHECK(klog_batch_header(batch, 0, 0, &header) == KLOG_OK);
  CHECK(header.name_len == 1 && header.name[0] == 'a');
  CHECK(header.value_len == 1 && header.value[0] == 'x');
  CHECK(is_within(batch, header.name, 1) && is_within(batch, header.value, 1));
  CHECK(klog_batch_header(batch, 0, 1, &header) == KLOG_OK);
  CHECK(header.name_len == 1 && header.value == NULL && header.value_len == -1);
  CHECK(klog_batch_header(batch, 0, 2, &header) == KLOG_OK);
  CHECK(header.name_len == 5 && memcmp(header.name, "empty", 5) == 0);
  CHECK(header.value != NULL && header.value_len == 0);
  CHECK(klog_batch_header(batch, 0, 3, &header) == KLOG_E_INVALID);
  CHECK(header.name == NULL);
  CHECK(klog_batch_header(batch, 1, 0, &header) == KLOG_E_INVALID);
  CHECK(klog_batch_header(batch, SIZE_MAX, SIZE_MAX, &header) == KLOG_E_INVALID);
  klog_batch_free(batch);
  klog_consumer_free(consumer);
}

static void headers_of_a_batch_can_be_sent_as_they_are(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch;
  klog_header headers[3];
  klog_message m = message("copied", "value");
  size_t i;
  OK(klog_consumer_assign(consumer, "kinds", 0, 0, &error));
  batch = poll_now(consumer);
  for (i = 0; i < 3; i++) CHECK(klog_batch_header(batch, 0, i, &headers[i]) == KLOG_OK);
  m.headers = headers;
  m.header_count = 3;
  OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  klog_batch_free(batch);

  OK(klog_consumer_unassign(consumer, &error));
  OK(klog_consumer_assign(consumer, "copied", 0, 0, &error));
  batch = poll_now(consumer);
  CHECK(klog_batch_records(batch)->header_count == 3);
  CHECK(klog_batch_header(batch, 0, 1, &headers[1]) == KLOG_OK);
  CHECK(headers[1].value == NULL);
  klog_batch_free(batch);
  klog_consumer_free(consumer);
}

static void nothing_in_time_is_no_error(void) {
  klog_consumer *consumer = open_consumer("");
  CHECK(poll_now(consumer) == NULL);
  OK(klog_consumer_assign(consumer, "kinds", 0, KLOG_LATEST, &error));
  CHECK(poll_now(consumer) == NULL);
  klog_consumer_free(consumer);
}

static void a_position_goes_where_it_is_sent(void) {
  klog_consumer *consumer = open_consumer("");
  int64_t position = 99;
  const char *values[] = {"zero", "one", "two"};
  int i;
  for (i = 0; i < 3; i++) send("numbers", 0, values[i]);
  OK(klog_consumer_assign(consumer, "numbers", 0, 1, &error));
  next_is(consumer, "one");
  OK(klog_consumer_position(consumer, "numbers", 0, &position, &error));
  CHECK(position == 2);
  OK(klog_consumer_seek(consumer, "numbers", 0, KLOG_EARLIEST, &error));
  next_is(consumer, "zero");
  OK(klog_consumer_seek(consumer, "numbers", 0, 2, &error));
  next_is(consumer, "two");
  OK(klog_consumer_seek(consumer, "numbers", 0, KLOG_LATEST, &error));
  OK(klog_consumer_position(consumer, "numbers", 0, &position, &error));
  CHECK(position == 3);
  CHECK(poll_now(consumer) == NULL);
  /* One that is assigned again is moved. */
  OK(klog_consumer_assign(consumer, "numbers", 0, 0, &error));
  next_is(consumer, "zero");

  FAILS(KLOG_E_NOT_ASSIGNED, "kinds-0", klog_consumer_seek(consumer, "kinds", 0, 0, &error));
  FAILS(KLOG_E_NOT_ASSIGNED, "numbers-1",
        klog_consumer_position(consumer, "numbers", 1, &position, &error));
  CHECK(position == -1);
  FAILS(KLOG_E_INVALID, "offset is -3", klog_consumer_seek(consumer, "numbers", 0, -3, &error));
  FAILS(KLOG_E_INVALID, "offset is -9", klog_consumer_assign(consumer, "numbers", 0, -9, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'numbers'?",
        klog_consumer_assign(consumer, "nubmers", 0, 0, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "not 7", klog_consumer_assign(consumer, "numbers", 7, 0, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "nobody",
        klog_consumer_assign_topic(consumer, "nobody", KLOG_EARLIEST, &error));
  klog_consumer_free(consumer);
}

static void a_position_outside_the_log_is_reset_or_told(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch = (klog_batch *)(uintptr_t)0xdead;
  OK(klog_consumer_assign(consumer, "numbers", 0, 77, &error));
  next_is(consumer, "zero");
  klog_consumer_free(consumer);

  consumer = open_consumer("auto.offset.reset=none");
  OK(klog_consumer_assign(consumer, "numbers", 0, 77, &error));
  FAILS(KLOG_E_OFFSET_OUT_OF_RANGE, "77", klog_consumer_poll(consumer, 0, 0, &batch, &error));
  CHECK(batch == NULL);
  klog_consumer_free(consumer);
}

static void whole_topics_are_assigned_and_given_back(void) {
  klog_consumer *consumer = open_consumer("");
  klog_rows *rows = NULL;
  int seen[2] = {0, 0}, i;
  OK(klog_topic_create(admin, "wide", 2, 1, NULL, &error));
  send("wide", 0, "left");
  send("wide", 1, "right");
  OK(klog_consumer_assign_topic(consumer, "wide", KLOG_EARLIEST, &error));
  for (i = 0; i < 2; i++) {
    klog_batch *batch = poll_now(consumer);
    CHECK(klog_batch_len(batch) == 1);
    CHECK(has_value(klog_batch_records(batch), klog_batch_partition(batch) ? "right" : "left"));
    seen[klog_batch_partition(batch)]++;
    klog_batch_free(batch);
  }
  CHECK(seen[0] == 1 && seen[1] == 1);

  OK(klog_consumer_assignment(consumer, &rows, &error));
  CHECK(klog_rows_len(rows) == 2);
  for (i = 0; i < 2; i++) {
    CHECK(strcmp(klog_rows_text(rows, (size_t)i, "topic"), "wide") == 0);
    CHECK(klog_rows_int(rows, (size_t)i, "partition", -1) == i);
    CHECK(klog_rows_int(rows, (size_t)i, "position", -1) == 1);
  }
  klog_rows_free(rows);
  OK(klog_consumer_unassign(consumer, &error));
  OK(klog_consumer_assignment(consumer, &rows, &error));
  CHECK(klog_rows_len(rows) == 0);
  klog_rows_free(rows);
  klog_consumer_free(consumer);
}

static void partitions_that_a_topic_is_given_later_are_read_too(void) {
  klog_consumer *consumer = open_consumer("");
  klog_rows *rows = NULL;
  OK(klog_topic_create(admin, "growing", 1, 1, NULL, &error));
  OK(klog_consumer_assign_topic(consumer, "growing", KLOG_LATEST, &error));
  OK(klog_topic_add_partitions(admin, "growing", 2, &error));
  send("growing", 1, "new");
  next_is(consumer, "new");
  CHECK(poll_now(consumer) == NULL);
  OK(klog_consumer_assignment(consumer, &rows, &error));
  CHECK(klog_rows_len(rows) == 2);
  klog_rows_free(rows);
  klog_consumer_free(consumer);
}

static void a_paused_partition_is_left_out(void) {
  klog_consumer *consumer = open_consumer("");
  OK(klog_consumer_assign_topic(consumer, "wide", KLOG_EARLIEST, &error));
  OK(klog_consumer_pause(consumer, "wide", 0, 1, &error));
  next_is(consumer, "right");
  CHECK(poll_now(consumer) == NULL);
  OK(klog_consumer_pause(consumer, "wide", 0, 0, &error));
  next_is(consumer, "left");
  FAILS(KLOG_E_NOT_ASSIGNED, "kinds-0", klog_consumer_pause(consumer, "kinds", 0, 1, &error));
  FAILS(KLOG_E_NOT_ASSIGNED, "kinds-0", klog_consumer_pause(consumer, "kinds", 0, 0, &error));
  klog_consumer_free(consumer);
}

static void a_poll_returns_no_more_than_was_asked_for(void) {
  klog_consumer *consumer = open_consumer("max.poll.records=2");
  klog_batch *batch = NULL;
  OK(klog_consumer_assign(consumer, "kinds", 0, 0, &error));
  batch = poll_now(consumer);
  CHECK(klog_batch_len(batch) == 2);
  CHECK(klog_batch_next_offset(batch) == 2);
  klog_batch_free(batch);
  OK(klog_consumer_seek(consumer, "kinds", 0, 0, &error));
  OK(klog_consumer_poll(consumer, 0, SIZE_MAX, &batch, &error));
  CHECK(klog_batch_len(batch) == 3);
  klog_batch_free(batch);
  klog_consumer_free(consumer);
}

static void reading_until_now_comes_to_an_end(void) {
  klog_consumer *consumer = open_consumer("");
  int32_t finished = 99;
  OK(klog_consumer_assign(consumer, "numbers", 0, 2, &error));
  OK(klog_consumer_read_until_now(consumer, &error));
  OK(klog_consumer_is_finished(consumer, &finished, &error));
  CHECK(finished == 0);
  send("numbers", 0, "too late");
  next_is(consumer, "two");
  OK(klog_consumer_is_finished(consumer, &finished, &error));
  CHECK(finished == 1);
  {
    klog_batch *batch = NULL;
    OK(klog_consumer_poll(consumer, -1, 0, &batch, &error)); /* at once */
    CHECK(batch == NULL);
  }
  klog_consumer_free(consumer);
}

static void a_wakeup_waits_for_the_next_poll(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch = (klog_batch *)(uintptr_t)0xdead;
  OK(klog_consumer_assign(consumer, "numbers", 0, 0, &error));
  klog_consumer_wakeup(consumer);
  klog_consumer_wakeup(consumer);
  error = (klog_error *)(uintptr_t)0xdead;
  CHECK(klog_consumer_poll(consumer, -1, 0, &batch, &error) == KLOG_E_INTERRUPTED);
  CHECK(error == NULL && batch == NULL);
  next_is(consumer, "zero");
  klog_consumer_free(consumer);
}

static klog_consumer *volatile consumer_to_wake;

static void on_signal(int number) {
  (void)number;
  klog_consumer_wakeup(consumer_to_wake);
}

static void a_signal_handler_may_wake(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch = NULL;
  consumer_to_wake = consumer;
  CHECK(signal(SIGINT, on_signal) != SIG_ERR);
  CHECK(raise(SIGINT) == 0);
  CHECK(klog_consumer_poll(consumer, -1, 0, &batch, &error) == KLOG_E_INTERRUPTED);
  CHECK(signal(SIGINT, SIG_DFL) != SIG_ERR);
  klog_consumer_free(consumer);
}

static void damage_is_told_and_stepped_over(const char *dir) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch = NULL;
  klog_error *damage = NULL, *other = NULL;
  FILE *file;
  int byte;
  send("spoilt", 0, "this one is about to change");
  send("spoilt", 0, "this one is not");
  file = fopen(path(dir, "spoilt-0/00000000000000000000.log"), "r+b");
  CHECK(file != NULL);
  CHECK(fseek(file, 80, SEEK_SET) == 0);
  byte = fgetc(file);
  CHECK(fseek(file, 80, SEEK_SET) == 0);
  CHECK(fputc(byte ^ 1, file) != EOF);
  CHECK(fclose(file) == 0);

  OK(klog_consumer_assign(consumer, "spoilt", 0, KLOG_EARLIEST, &error));
  CHECK(klog_consumer_poll(consumer, 0, 0, &batch, &damage) == KLOG_E_CORRUPT);
  CHECK(batch == NULL);
  CHECK(strstr(klog_error_message(damage), "reading can go on at offset 1") != NULL);
  CHECK(klog_error_kafka_code(damage) == 2);
  FAILS(KLOG_E_CORRUPT, "spoilt-0", klog_consumer_poll(consumer, 0, 0, &batch, &error));
  CHECK(klog_topic_delete(admin, "nobody", &other) == KLOG_E_UNKNOWN_TOPIC);
  FAILS(KLOG_E_INVALID, "not one of damage", klog_consumer_seek_past(consumer, other, &error));
  OK(klog_consumer_seek_past(consumer, damage, &error));
  next_is(consumer, "this one is not");
  OK(klog_consumer_unassign(consumer, &error));
  FAILS(KLOG_E_INVALID, "not one of damage", klog_consumer_seek_past(consumer, damage, &error));
  klog_error_free(damage);
  klog_error_free(other);
  klog_consumer_free(consumer);
}

static void a_closed_consumer_says_so(void) {
  klog_consumer *consumer = open_consumer("");
  klog_batch *batch = NULL;
  klog_rows *rows = NULL;
  int64_t position = 99;
  int32_t finished = 99;
  OK(klog_consumer_close(consumer, -1, &error));
  OK(klog_consumer_close(consumer, 0, &error));
  FAILS(KLOG_E_INVALID, "timeout_ms is -2", klog_consumer_close(consumer, -2, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_poll(consumer, -1, 0, &batch, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_assign(consumer, "kinds", 0, 0, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_assign_topic(consumer, "kinds", 0, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_unassign(consumer, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_assignment(consumer, &rows, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_seek(consumer, "kinds", 0, 0, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_pause(consumer, "kinds", 0, 1, &error));
  FAILS(KLOG_E_CLOSED, "closed",
        klog_consumer_position(consumer, "kinds", 0, &position, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_read_until_now(consumer, &error));
  FAILS(KLOG_E_CLOSED, "closed", klog_consumer_is_finished(consumer, &finished, &error));
  klog_consumer_wakeup(consumer);
  klog_consumer_free(consumer);
}

static void what_klog_does_not_have_yet_is_said(void) {
  klog_config *config = klog_config_new();
  klog_consumer *consumer = NULL;
  OK(klog_config_set(config, "group.id", "us", &error));
  FAILS(KLOG_E_UNSUPPORTED, "group.id", klog_consumer_open(engine, config, &consumer, &error));
  CHECK(consumer == NULL);
  klog_config_free(config);
}

static void a_batch_outlives_everything(const char *dir) {
  klog_engine *other = NULL;
  klog_producer *its_producer = NULL;
  klog_consumer *consumer = NULL;
  klog_batch *batch = NULL;
  klog_message m = message("kept", "still here");
  OK(klog_engine_open(path(dir, "other"), NULL, &other, &error));
  OK(klog_producer_open(other, NULL, &its_producer, &error));
  OK(klog_producer_send_wait(its_producer, &m, 1, -1, NULL, &error));
  OK(klog_consumer_open(other, NULL, &consumer, &error));
  OK(klog_consumer_assign(consumer, "kept", 0, KLOG_EARLIEST, &error));
  OK(klog_consumer_poll(consumer, -1, 0, &batch, &error));
  OK(klog_engine_close(other, -1, &error));
  klog_consumer_free(consumer);
  klog_producer_free(its_producer);
  klog_engine_free(other);
  CHECK(has_value(klog_batch_records(batch), "still here"));
  CHECK(strcmp(klog_batch_topic(batch), "kept") == 0);
  klog_batch_free(batch);
}

int main(int argc, char **argv) {
  char data[4096];
  klog_config *config = klog_config_new();
  CHECK(argc == 2);
  snprintf(data, sizeof data, "%s/data", argv[1]);
  OK(klog_engine_open(data, NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  /* What is sent in one call is one batch, however long the call takes. */
  OK(klog_config_set(config, "linger.ms", "2000000000", &error));
  OK(klog_producer_open(engine, config, &producer, &error));
  klog_config_free(config);
  a_batch_tells_everything_of_its_records();
  headers_of_a_batch_can_be_sent_as_they_are();
  nothing_in_time_is_no_error();
  a_position_goes_where_it_is_sent();
  a_position_outside_the_log_is_reset_or_told();
  whole_topics_are_assigned_and_given_back();
  partitions_that_a_topic_is_given_later_are_read_too();
  a_paused_partition_is_left_out();
  a_poll_returns_no_more_than_was_asked_for();
  reading_until_now_comes_to_an_end();
  a_wakeup_waits_for_the_next_poll();
  a_signal_handler_may_wake();
  damage_is_told_and_stepped_over(data);
  a_closed_consumer_says_so();
  what_klog_does_not_have_yet_is_said();
  a_batch_outlives_everything(argv[1]);
  klog_producer_free(producer);
  klog_admin_free(admin);
  klog_engine_free(engine);
  return 0;
}

/* Sending, and what became of what was sent. */
#include "check.h"

static klog_engine *engine;
static klog_admin *admin;

static klog_producer *open_producer(const char *settings) {
  klog_config *config = klog_config_new();
  klog_producer *producer = NULL;
  OK(klog_config_parse(config, settings, &error));
  OK(klog_producer_open(engine, config, &producer, &error));
  klog_config_free(config);
  return producer;
}

static int64_t end_of(const char *topic, int32_t partition) {
  int64_t offset = -1;
  OK(klog_topic_offset_at(admin, topic, partition, KLOG_LATEST, &offset, &error));
  return offset;
}

static void whoever_waits_learns_where_records_are(void) {
  klog_producer *producer = open_producer("");
  klog_message m[3];
  klog_delivery deliveries[3];
  int i;
  OK(klog_topic_create(admin, "waited", 2, 1, NULL, &error));
  for (i = 0; i < 3; i++) {
    m[i] = message("waited", "value");
    m[i].flags = KLOG_SET_PARTITION | KLOG_SET_TIMESTAMP;
    m[i].partition = i == 2;
    m[i].timestamp = 1000 + i;
    m[i].tag = 70 + (uint64_t)i;
  }
  OK(klog_producer_send_wait(producer, m, 3, -1, deliveries, &error));
  for (i = 0; i < 3; i++) {
    CHECK(deliveries[i].status == KLOG_OK);
    CHECK(deliveries[i].tag == 70 + (uint64_t)i);
    CHECK(deliveries[i].partition == (i == 2));
    CHECK(deliveries[i].offset == i % 2);
    CHECK(deliveries[i].timestamp == 1000 + i);
  }
  OK(klog_producer_send_wait(producer, NULL, 0, 0, NULL, &error));
  klog_producer_free(producer);
}

static void a_key_always_goes_to_the_same_partition(void) {
  klog_producer *producer = open_producer("");
  klog_message m = message("waited", "value");
  klog_delivery first, second;
  m.key = (const uint8_t *)"key";
  m.key_len = 3;
  OK(klog_producer_send_wait(producer, &m, 1, -1, &first, &error));
  OK(klog_producer_send_wait(producer, &m, 1, -1, &second, &error));
  CHECK(first.partition == second.partition);
  klog_producer_free(producer);
}

static void reports_come_in_the_order_of_sending(void) {
  klog_producer *producer = open_producer("");
  klog_message m[5];
  klog_delivery reports[4];
  size_t count = 99, accepted = 99;
  int i;
  for (i = 0; i < 5; i++) {
    m[i] = message("reported", "value");
    m[i].tag = (uint64_t)i;
  }
  OK(klog_producer_poll(producer, 0, reports, 4, &count, &error));
  CHECK(count == 0);
  OK(klog_producer_send(producer, m, 5, &accepted, &error));
  CHECK(accepted == 5);
  OK(klog_producer_flush(producer, -1, &error));
  OK(klog_producer_poll(producer, 0, reports, 4, &count, &error));
  CHECK(count == 4);
  for (i = 0; i < 4; i++) {
    CHECK(reports[i].status == KLOG_OK);
    CHECK(reports[i].tag == (uint64_t)i);
    CHECK(reports[i].offset == i);
  }
  OK(klog_producer_poll(producer, -1, reports, 4, &count, &error));
  CHECK(count == 1 && reports[0].tag == 4);
  OK(klog_producer_poll(producer, 0, reports, 4, &count, &error));
  CHECK(count == 0);
  OK(klog_producer_poll(producer, -1, NULL, 0, &count, &error));
  CHECK(count == 0);
  FAILS(KLOG_E_INVALID, "timeout_ms is -5",
        klog_producer_poll(producer, -5, reports, 4, &count, &error));
  klog_producer_free(producer);
}

static void what_lingers_is_written_when_somebody_waits(void) {
  klog_producer *producer = open_producer("linger.ms=2000000000");
  klog_message m = message("lingering", "value");
  klog_delivery report;
  size_t count = 99;
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  CHECK(end_of("lingering", 0) == 0);
  OK(klog_producer_poll(producer, 0, &report, 1, &count, &error));
  CHECK(count == 0);
  OK(klog_producer_poll(producer, -1, &report, 1, &count, &error));
  CHECK(count == 1 && report.status == KLOG_OK && report.offset == 0);

  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  OK(klog_producer_flush(producer, -1, &error));
  CHECK(end_of("lingering", 0) == 2);

  /* A producer that ends leaves nothing behind. */
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  klog_producer_free(producer);
  OK(klog_engine_flush(engine, &error));
  CHECK(end_of("lingering", 0) == 3);
}

struct seen {
  klog_producer *producer;
  uint64_t tags[8];
  int count;
};

static void see(const klog_delivery *delivery, void *user_data) {
  struct seen *seen = user_data;
  klog_message m = message("dispatched", "again");
  klog_error *inner = NULL;
  CHECK(delivery->status == KLOG_OK);
  seen->tags[seen->count++] = delivery->tag;
  /* It may call klog. */
  m.tag = 100 + delivery->tag;
  if (delivery->tag < 100)
    CHECK(klog_producer_send_wait(seen->producer, &m, 1, -1, NULL, &inner) == KLOG_OK);
  CHECK(inner == NULL);
}

static void a_callback_runs_inside_the_call(void) {
  klog_message m[2];
  struct seen seen;
  memset(&seen, 0, sizeof seen);
  seen.producer = open_producer("");
  m[0] = m[1] = message("dispatched", "value");
  m[0].tag = 1;
  m[1].tag = 2;
  OK(klog_producer_send(seen.producer, m, 2, NULL, &error));
  OK(klog_producer_flush(seen.producer, -1, &error));
  CHECK(seen.count == 0);
  OK(klog_producer_dispatch(seen.producer, -1, see, &seen, &error));
  CHECK(seen.count == 2 && seen.tags[0] == 1 && seen.tags[1] == 2);
  OK(klog_producer_dispatch(seen.producer, 0, see, &seen, &error));
  CHECK(seen.count == 2);
  CHECK(end_of("dispatched", 0) == 4);
  klog_producer_free(seen.producer);
}

static void what_is_in_front_of_a_refused_message_is_sent(void) {
  klog_producer *producer = open_producer("max.request.size=1000");
  static char large[2000];
  klog_message m[3];
  klog_delivery deliveries[3];
  size_t accepted = 99;
  memset(large, 'x', sizeof large - 1);
  m[0] = message("refused", "small");
  m[1] = message("refused", large);
  m[2] = message("refused", "behind");
  m[0].tag = 10;
  m[1].tag = 11;
  m[2].tag = 12;
  FAILS(KLOG_E_MESSAGE_TOO_LARGE, "max.request.size is 1000",
        klog_producer_send(producer, m, 3, &accepted, &error));
  CHECK(accepted == 1);
  FAILS(KLOG_E_MESSAGE_TOO_LARGE, "max.request.size is 1000",
        klog_producer_send_wait(producer, m, 3, -1, deliveries, &error));
  CHECK(deliveries[0].status == KLOG_OK && deliveries[0].tag == 10 && deliveries[0].offset == 1);
  CHECK(deliveries[1].status == KLOG_E_MESSAGE_TOO_LARGE && deliveries[1].tag == 11);
  CHECK(deliveries[1].offset == -1 && deliveries[1].partition == -1);
  CHECK(deliveries[1].timestamp == -1);
  CHECK(deliveries[2].status == KLOG_E_MESSAGE_TOO_LARGE && deliveries[2].tag == 12);
  OK(klog_producer_flush(producer, -1, &error));
  CHECK(end_of("refused", 0) == 2);
  klog_producer_free(producer);
}

/* Sends one message that must be refused. */
static void refuses(klog_status status, const char *words, klog_message m) {
  klog_producer *producer = open_producer("");
  size_t accepted = 99;
  FAILS(status, words, klog_producer_send(producer, &m, 1, &accepted, &error));
  CHECK(accepted == 0);
  FAILS(status, words, klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  klog_producer_free(producer);
}

static void a_message_that_makes_no_sense_is_refused(void) {
  klog_header header = {"name", NULL, -1, 0};
  klog_message m = message("waited", "value");
  m.size = 0;
  refuses(KLOG_E_INVALID, "messages[0].size is 0", m);
  m.size = 1 << 20;
  refuses(KLOG_E_INVALID, "messages[0].size is 1048576", m);

  refuses(KLOG_E_INVALID, "topic is NULL", message(NULL, "value"));
  refuses(KLOG_E_INVALID, "topic is not UTF-8", message("\xff", "value"));
  refuses(KLOG_E_INVALID, "'a/b'", message("a/b", "value"));
  refuses(KLOG_E_INVALID, "__consumer_offsets", message("__consumer_offsets", "value"));

  m = message("waited", NULL);
  m.value_len = 7;
  refuses(KLOG_E_INVALID, "value is NULL and its length is 7", m);
  m = message("waited", "value");
  m.key_len = 1;
  refuses(KLOG_E_INVALID, "key is NULL and its length is 1", m);
  m.key = (const uint8_t *)"k";
  m.key_len = SIZE_MAX;
  refuses(KLOG_E_INVALID, "the length of key", m);

  m = message("waited", "value");
  m.flags = 4;
  refuses(KLOG_E_INVALID, "flags is 0x4", m);
  m.flags = KLOG_SET_PARTITION;
  m.partition = 2;
  refuses(KLOG_E_UNKNOWN_TOPIC, "partitions 0 to 1, and not 2", m);
  m.partition = -1;
  refuses(KLOG_E_UNKNOWN_TOPIC, "and not -1", m);
  m.flags = KLOG_SET_TIMESTAMP;
  m.timestamp = -1;
  refuses(KLOG_E_INVALID, "timestamp -1 is before 1970", m);

  m = message("waited", "value");
  m.header_count = 1;
  refuses(KLOG_E_INVALID, "headers is NULL", m);
  m.headers = &header;
  header.name = NULL;
  refuses(KLOG_E_INVALID, "the name of a header is NULL", m);
  header.name = "\xff";
  refuses(KLOG_E_INVALID, "the name of a header is not UTF-8", m);
  header.name = "name";
  header.name_len = -2;
  refuses(KLOG_E_INVALID, "a length of -2", m);
  header.name_len = 4;
  header.value_len = 3;
  refuses(KLOG_E_INVALID, "the value of a header is NULL", m);
}

/* A klog_message as a later version may have it. */
struct longer {
  klog_message message;
  uint64_t more;
};

static void a_message_may_be_of_another_version(void) {
  klog_producer *producer = open_producer("");
  struct longer later[2];
  klog_message earlier[2];
  klog_delivery deliveries[2];
  memset(later, 0, sizeof later);
  later[0].message = later[1].message = message("versions", "later");
  later[0].message.size = later[1].message.size = sizeof(struct longer);
  later[1].message.tag = 5;
  OK(klog_producer_send_wait(producer, &later[0].message, 2, -1, deliveries, &error));
  CHECK(deliveries[1].tag == 5 && deliveries[1].offset == 1);
  later[1].more = 1;
  FAILS(KLOG_E_INVALID, "messages[1] has a field at byte 80",
        klog_producer_send_wait(producer, &later[0].message, 2, -1, deliveries, &error));
  CHECK(deliveries[0].status == KLOG_OK && deliveries[1].status == KLOG_E_INVALID);

  earlier[0] = earlier[1] = message("versions", "earlier");
  earlier[1].size -= 8;
  FAILS(KLOG_E_INVALID, "messages[1].size is 72 and that of the first is 80",
        klog_producer_send_wait(producer, earlier, 2, -1, NULL, &error));
  /* Up to value_len: without timestamp, tag, headers and partition. */
  earlier[0].size = offsetof(klog_message, timestamp);
  OK(klog_producer_send_wait(producer, earlier, 1, -1, deliveries, &error));
  CHECK(deliveries[0].tag == 0);
  klog_producer_free(producer);
}

static void acks_say_what_is_waited_for(void) {
  klog_producer *producer = open_producer("acks=0");
  klog_message m = message("acks", "value");
  klog_delivery delivery;
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.status == KLOG_OK && delivery.offset == -1);
  klog_producer_free(producer);
  producer = open_producer("acks=1");
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.offset == 1);
  klog_producer_free(producer);
}

static void every_codec_is_taken(void) {
  static const char *codecs[] = {"gzip", "snappy", "lz4", "zstd"};
  char settings[64];
  klog_message m = message("codecs", "value value value value value value value value");
  int i;
  for (i = 0; i < 4; i++) {
    klog_producer *producer;
    snprintf(settings, sizeof settings, "compression.type=%s", codecs[i]);
    producer = open_producer(settings);
    OK(klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
    klog_producer_free(producer);
  }
  CHECK(end_of("codecs", 0) == 4);
}

static void a_closed_producer_gives_the_reports_that_are_left(void) {
  klog_producer *producer = open_producer("linger.ms=2000000000");
  klog_message m = message("closed", "value");
  klog_delivery report;
  size_t count = 99;
  OK(klog_producer_send(producer, &m, 1, NULL, &error));
  OK(klog_producer_close(producer, -1, &error));
  OK(klog_producer_close(producer, -1, &error));
  FAILS(KLOG_E_CLOSED, "the producer is closed",
        klog_producer_send(producer, &m, 1, NULL, &error));
  FAILS(KLOG_E_CLOSED, "the producer is closed",
        klog_producer_send_wait(producer, &m, 1, -1, NULL, &error));
  FAILS(KLOG_E_CLOSED, "the producer is closed", klog_producer_flush(producer, -1, &error));
  OK(klog_producer_poll(producer, -1, &report, 1, &count, &error));
  CHECK(count == 1 && report.offset == 0);
  FAILS(KLOG_E_CLOSED, "the producer is closed",
        klog_producer_poll(producer, -1, &report, 1, &count, &error));
  CHECK(count == 0);
  FAILS(KLOG_E_CLOSED, "the producer is closed",
        klog_producer_dispatch(producer, -1, see, NULL, &error));
  klog_producer_free(producer);
}

static void an_unknown_topic_is_refused_where_topics_are_not_made(void) {
  klog_engine *strict = NULL;
  klog_admin *its_admin = NULL;
  klog_producer *producer = NULL;
  klog_config *config = klog_config_new();
  klog_message m = message("oders", "value");
  OK(klog_config_set(config, "auto.create.topics.enable", "false", &error));
  OK(klog_engine_open(":memory:", config, &strict, &error));
  OK(klog_admin_open(strict, &its_admin, &error));
  OK(klog_topic_create(its_admin, "orders", 1, 1, NULL, &error));
  OK(klog_producer_open(strict, NULL, &producer, &error));
  FAILS(KLOG_E_UNKNOWN_TOPIC, "did you mean 'orders'?",
        klog_producer_send(producer, &m, 1, NULL, &error));
  OK(klog_topic_delete(its_admin, "orders", &error));
  m.topic = "orders";
  FAILS(KLOG_E_UNKNOWN_TOPIC, "orders", klog_producer_send(producer, &m, 1, NULL, &error));
  klog_producer_free(producer);
  klog_admin_free(its_admin);
  klog_engine_free(strict);
  klog_config_free(config);
}

static void what_klog_does_not_have_yet_is_said(void) {
  klog_config *config = klog_config_new();
  klog_producer *producer = NULL;
  OK(klog_config_set(config, "transactional.id", "me", &error));
  FAILS(KLOG_E_UNSUPPORTED, "transactional.id",
        klog_producer_open(engine, config, &producer, &error));
  CHECK(producer == NULL);
  klog_config_free(config);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  whoever_waits_learns_where_records_are();
  a_key_always_goes_to_the_same_partition();
  reports_come_in_the_order_of_sending();
  what_lingers_is_written_when_somebody_waits();
  a_callback_runs_inside_the_call();
  what_is_in_front_of_a_refused_message_is_sent();
  a_message_that_makes_no_sense_is_refused();
  a_message_may_be_of_another_version();
  acks_say_what_is_waited_for();
  every_codec_is_taken();
  a_closed_producer_gives_the_reports_that_are_left();
  an_unknown_topic_is_refused_where_topics_are_not_made();
  what_klog_does_not_have_yet_is_said();
  klog_admin_free(admin);
  klog_engine_free(engine);
  return 0;
}

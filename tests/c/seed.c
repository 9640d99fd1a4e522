/* The record whose bytes are known since the first day: its file is what Kafka writes. The test that runs this looks at it. */
#include "check.h"

int main(int argc, char **argv) {
  klog_engine *engine = NULL;
  klog_admin *admin = NULL;
  klog_producer *producer = NULL;
  klog_message m = message("peter-overview01", " First message");
  klog_delivery delivery;

  CHECK(argc == 2);
  OK(klog_engine_open(path(argv[1], "data"), NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_topic_create(admin, "peter-overview01", 1, 1, NULL, &error));
  OK(klog_producer_open(engine, NULL, &producer, &error));
  m.flags = KLOG_SET_TIMESTAMP;
  m.timestamp = INT64_C(1641213117088);
  m.tag = 82;
  OK(klog_producer_send_wait(producer, &m, 1, -1, &delivery, &error));
  CHECK(delivery.tag == 82);
  CHECK(delivery.status == KLOG_OK);
  CHECK(delivery.partition == 0);
  CHECK(delivery.offset == 0);
  CHECK(delivery.timestamp == INT64_C(1641213117088));
  OK(klog_engine_close(engine, -1, &error));
  klog_producer_free(producer);
  klog_admin_free(admin);
  klog_engine_free(engine);
  return 0;
}

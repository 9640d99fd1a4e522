/* Handles may be freed in any order. Every one of the orders is tried. */
#include "check.h"

enum { KINDS = 6 };

struct handles {
  klog_config *config;
  klog_engine *engine;
  klog_admin *admin;
  klog_producer *producer;
  klog_consumer *consumer;
  klog_batch *batch;
};

static void open_all(struct handles *h, const char *dir) {
  klog_message m = message("orders", "value");
  h->config = klog_config_new();
  OK(klog_config_set(h->config, "klog.spare", "false", &error));
  OK(klog_config_set(h->config, "linger.ms", "2000000000", &error));
  OK(klog_engine_open(dir, h->config, &h->engine, &error));
  OK(klog_admin_open(h->engine, &h->admin, &error));
  OK(klog_producer_open(h->engine, h->config, &h->producer, &error));
  OK(klog_producer_send_wait(h->producer, &m, 1, -1, NULL, &error));
  OK(klog_producer_send(h->producer, &m, 1, NULL, &error));
  OK(klog_consumer_open(h->engine, h->config, &h->consumer, &error));
  OK(klog_consumer_assign(h->consumer, "orders", 0, 0, &error));
  OK(klog_consumer_poll(h->consumer, -1, 0, &h->batch, &error));
}

static void free_one(struct handles *h, int kind) {
  switch (kind) {
    case 0: klog_config_free(h->config); break;
    case 1: klog_engine_free(h->engine); break;
    case 2: klog_admin_free(h->admin); break;
    case 3: klog_producer_free(h->producer); break;
    case 4: klog_consumer_free(h->consumer); break;
    default:
      CHECK(has_value(klog_batch_records(h->batch), "value"));
      klog_batch_free(h->batch);
  }
}

/* Frees what is not in `freed` in every order, each time with new handles. */
static int try_orders(int *order, int length, int freed) {
  int kind, tried = 0;
  if (length == KINDS) {
    struct handles h;
    open_all(&h, ":memory:");
    for (kind = 0; kind < KINDS; kind++) free_one(&h, order[kind]);
    return 1;
  }
  for (kind = 0; kind < KINDS; kind++) {
    if (freed & 1 << kind) continue;
    order[length] = kind;
    tried += try_orders(order, length + 1, freed | 1 << kind);
  }
  return tried;
}

/* The last handle gives the directory back, whichever it is: here a producer, whose record is written. */
static void the_last_handle_closes_the_directory(const char *dir) {
  struct handles h;
  klog_admin *admin = NULL;
  klog_engine *engine = NULL;
  klog_config *alone = klog_config_new();
  int64_t end = -1;
  OK(klog_config_set(alone, "klog.exclusive", "true", &error));
  open_all(&h, dir);
  free_one(&h, 1);
  free_one(&h, 2);
  free_one(&h, 4);
  FAILS(KLOG_E_LOCKED, "process", klog_engine_open(dir, alone, &engine, &error));
  free_one(&h, 3);
  OK(klog_engine_open(dir, alone, &engine, &error));
  klog_config_free(alone);
  OK(klog_admin_open(engine, &admin, &error));
  OK(klog_topic_offset_at(admin, "orders", 0, KLOG_LATEST, &end, &error));
  CHECK(end == 2);
  klog_engine_free(engine);
  klog_admin_free(admin);
  free_one(&h, 5);
  free_one(&h, 0);
}

int main(int argc, char **argv) {
  int order[KINDS];
  CHECK(argc == 2);
  CHECK(try_orders(order, 0, 0) == 720);
  the_last_handle_closes_the_directory(path(argv[1], "data"));
  return 0;
}

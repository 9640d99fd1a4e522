/* Statuses, errors, and which library it is. */
#include <errno.h>

#include "check.h"

static void codes_have_names_and_meanings(void) {
  CHECK(strcmp(klog_status_name(KLOG_OK), "KLOG_OK") == 0);
  CHECK(strcmp(klog_status_name(KLOG_E_TIMED_OUT), "KLOG_E_TIMED_OUT") == 0);
  CHECK(strcmp(klog_status_message(KLOG_E_TIMED_OUT), "timed out") == 0);
  CHECK(klog_status_name(-9999) != NULL);
  CHECK(klog_status_message(12345) != NULL);
  CHECK(sizeof(klog_status) == 4);
}

static void header_and_library_are_the_same_version(void) {
  CHECK(strcmp(klog_version(), KLOG_VERSION) == 0);
  CHECK(klog_version_number() == KLOG_VERSION_NUMBER);
  CHECK(strstr(klog_build_info(), KLOG_VERSION) != NULL);
}

static void an_error_answers_questions(const char *dir) {
  klog_engine *engine = NULL;
  klog_admin *admin = NULL;
  klog_config *config = klog_config_new();
  klog_rows *rows = NULL;

  OK(klog_config_set(config, "mode", "rw", &error));
  CHECK(klog_engine_open(path(dir, "missing"), config, &engine, &error) == KLOG_E_IO);
  CHECK(engine == NULL);
  CHECK(klog_error_os_code(error) == ENOENT);
  CHECK(klog_error_kafka_code(error) == 56);
  CHECK(strstr(klog_error_message(error), "missing") != NULL);
  klog_error_free(error);

  OK(klog_engine_open(":memory:", NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  CHECK(klog_partition_list(admin, "nobody", &rows, &error) == KLOG_E_UNKNOWN_TOPIC);
  CHECK(klog_error_code(error) == KLOG_E_UNKNOWN_TOPIC);
  CHECK(klog_error_kafka_code(error) == 3);
  CHECK(klog_error_os_code(error) == 0);
  CHECK(klog_error_is_retriable(error) == 0);
  CHECK(strstr(klog_error_message(error), "nobody") != NULL);
  klog_error_free(error);

  /* Whoever does not want to know need not. */
  CHECK(klog_partition_list(admin, "nobody", &rows, NULL) == KLOG_E_UNKNOWN_TOPIC);
  klog_admin_free(admin);
  klog_engine_free(engine);
  klog_config_free(config);
}

static void an_error_outlives_what_it_is_about(void) {
  klog_engine *engine = NULL;
  klog_admin *admin = NULL;
  klog_error *kept = NULL;
  OK(klog_engine_open(":memory:", NULL, &engine, &error));
  OK(klog_admin_open(engine, &admin, &error));
  CHECK(klog_topic_delete(admin, "nobody", &kept) == KLOG_E_UNKNOWN_TOPIC);
  klog_admin_free(admin);
  klog_engine_free(engine);
  CHECK(strstr(klog_error_message(kept), "nobody") != NULL);
  klog_error_free(kept);
}

static void a_retriable_error_says_so(const char *dir) {
  klog_engine *engine = NULL, *other = NULL;
  klog_config *alone = klog_config_new();
  OK(klog_config_set(alone, "klog.exclusive", "true", &error));
  OK(klog_engine_open(path(dir, "data"), alone, &engine, &error));
  klog_config_free(alone);
  CHECK(klog_engine_open(path(dir, "data"), NULL, &other, &error) == KLOG_E_LOCKED);
  CHECK(other == NULL);
  CHECK(klog_error_is_retriable(error) == 1);
  CHECK(klog_error_kafka_code(error) == -1);
  klog_error_free(error);
  klog_engine_free(engine);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  codes_have_names_and_meanings();
  header_and_library_are_the_same_version();
  an_error_answers_questions(argv[1]);
  an_error_outlives_what_it_is_about();
  a_retriable_error_says_so(argv[1]);
  return 0;
}

/* check.h - what the C tests share. A test is a program: it gets an empty place to write as its
 * first argument, and ends with 0 when everything was as it should be. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klog.h"

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__)

/* The call works, and leaves no error. */
#define OK(call) check_ok((call), #call, __FILE__, __LINE__)

/* The call fails with this status, and with an error whose message has these words. */
#define FAILS(status, words, call) check_fails((status), (words), (call), #call, __FILE__, __LINE__)

/* What every call of a test gives as its last argument. Not NULL at first: klog must not read it. */
static klog_error *error = (klog_error *)(uintptr_t)0xdead;

static void check(int holds, const char *what, const char *file, int line) {
  if (holds) return;
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  exit(1);
}

static inline void check_ok(klog_status status, const char *what, const char *file, int line) {
  if (status == KLOG_OK && error == NULL) return;
  fprintf(stderr, "%s:%d: %s is %s: %s\n", file, line, what, klog_status_name(status),
          status == KLOG_OK ? "but there is an error" : klog_error_message(error));
  exit(1);
}

static inline void check_fails(klog_status expected, const char *words, klog_status status,
                               const char *what, const char *file, int line) {
  if (status != expected) {
    fprintf(stderr, "%s:%d: %s is %s and should be %s\n", file, line, what,
            klog_status_name(status), klog_status_name(expected));
    exit(1);
  }
  check(error != NULL, what, file, line);
  check(klog_error_code(error) == expected, what, file, line);
  if (strstr(klog_error_message(error), words) == NULL) {
    fprintf(stderr, "%s:%d: \"%s\" is not in \"%s\"\n", file, line, words,
            klog_error_message(error));
    exit(1);
  }
  klog_error_free(error);
  error = NULL;
}

/* dir/name; in one of a few places that are used in turn. */
static inline const char *path(const char *dir, const char *name) {
  static char places[4][4096];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(places[turn], sizeof places[turn], "%s/%s", dir, name);
  return places[turn];
}

/* A message of a topic with a text as its value. */
static inline klog_message message(const char *topic, const char *value) {
  klog_message m;
  memset(&m, 0, sizeof m);
  m.size = sizeof m;
  m.topic = topic;
  m.value = (const uint8_t *)value;
  m.value_len = value ? strlen(value) : 0;
  return m;
}

/* Whether a record has this text as its value. */
static inline int has_value(const klog_record *record, const char *text) {
  return record->value_len == (int32_t)strlen(text) &&
         memcmp(record->value, text, strlen(text)) == 0;
}

/* The row that has this text in a column. It must be there. */
static inline size_t row_of(const klog_rows *rows, const char *column, const char *text) {
  size_t row, count = klog_rows_len(rows);
  for (row = 0; row < count; row++) {
    const char *cell = klog_rows_text(rows, row, column);
    if (cell != NULL && strcmp(cell, text) == 0) return row;
  }
  fprintf(stderr, "no row has '%s' as its %s\n", text, column);
  exit(1);
}

/* Whether a cell is this text; NULL is that it is null. */
static inline int is_text(const klog_rows *rows, size_t row, const char *column, const char *text) {
  const char *cell = klog_rows_text(rows, row, column);
  return cell == NULL || text == NULL ? cell == text : strcmp(cell, text) == 0;
}

#endif

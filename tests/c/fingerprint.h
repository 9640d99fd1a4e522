/* fingerprint.h - whether anything changed in a directory. Needs _XOPEN_SOURCE 700. */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include <ftw.h>

#include "check.h"

/* One more piece of what a number stands for (FNV-1a). */
static inline uint64_t take_in(uint64_t hash, const void *bytes, size_t len) {
  const unsigned char *byte = bytes;
  for (; len > 0; len--, byte++) hash = (hash ^ *byte) * UINT64_C(1099511628211);
  return hash;
}

#define EMPTY_HASH UINT64_C(14695981039346656037)

static uint64_t fingerprint_so_far;

static inline int take_entry_in(const char *name, const struct stat *status, int type,
                                struct FTW *place) {
  char bytes[4096];
  uint64_t hash = take_in(EMPTY_HASH, name, strlen(name) + 1);
  size_t len;
  FILE *file;
  (void)status;
  /* What processes share changes while one has the directory open, whatever it does. */
  if (strcmp(name + place->base, ".klog.shm") == 0) return 0;
  if (type == FTW_F) {
    file = fopen(name, "rb");
    CHECK(file != NULL);
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0) hash = take_in(hash, bytes, len);
    CHECK(fclose(file) == 0);
  }
  fingerprint_so_far += hash; /* in whatever order the entries come */
  return 0;
}

/* A number that is another one when a name in a directory, or a byte of a file in it, is. */
static inline uint64_t fingerprint(const char *dir) {
  fingerprint_so_far = 0;
  CHECK(nftw(dir, take_entry_in, 8, FTW_PHYS) == 0);
  return fingerprint_so_far;
}

#endif

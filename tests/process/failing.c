/* A disk that fails: loaded into a process before the C library. While the file $KLOG_TEST_FAILURE is there, calls on files
 * named *.log fail with EIO: flushes for 'f', writes for 'w'. Only the first of all processes where the letter is small. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_log(int fd) {
  char link[64], path[PATH_MAX];
  ssize_t len;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  len = readlink(link, path, sizeof path);
  return len > 4 && memcmp(path + len - 4, ".log", 4) == 0;
}

static int fails(int fd, char kind) {
  const char *path = getenv("KLOG_TEST_FAILURE");
  char letter = 0;
  int file;
  if (path == NULL || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0) return 0;
  if (read(file, &letter, 1) != 1) letter = 0;
  close(file);
  if (tolower((unsigned char)letter) != kind || !is_log(fd)) return 0;
  /* Of several who see it, one removes it. */
  if (islower((unsigned char)letter) && unlink(path) != 0) return 0;
  errno = EIO;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fdatasync(int fd) { return fails(fd, 'f') ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return fails(fd, 'f') ? -1 : REAL(fsync)(fd); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
  return fails(fd, 'w') ? -1 : REAL(pwrite64)(fd, bytes, len, at);
}

/* A disk that fails: loaded into a process, of which it has the kernel hand the calls over that write or flush a file. While
 * the file $KLOG_TEST_FAILURE is there, those on files named *.log fail with EIO: flushes for 'f', writes for 'w'. Only the
 * first of all processes where the letter is small. The process must not block SIGSYS. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#define ARGUMENT(context, number) ((context)->uc_mcontext.gregs[(int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10}[number]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#define ARGUMENT(context, number) ((context)->uc_mcontext.regs[number])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "it is not known where this machine's calls have their arguments"
#endif

/* What a call has as its last argument that is to be carried out: so many arguments none of these has. */
#define ALLOWED 0x6b6c6f67u

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
  return !islower((unsigned char)letter) || unlink(path) == 0;
}

static void on_call(int signal, siginfo_t *info, void *made_in) {
  ucontext_t *context = made_in;
  int before = errno, fd = (int)ARGUMENT(context, 0);
  long result;
  (void)signal;
  if (fails(fd, info->si_syscall == SYS_pwrite64 ? 'w' : 'f')) {
    result = -EIO;
  } else {
    result = syscall(info->si_syscall, fd, ARGUMENT(context, 1), ARGUMENT(context, 2), ARGUMENT(context, 3), 0, ALLOWED);
    if (result == -1) result = -errno;
  }
  RESULT(context) = result;
  errno = before;
}

__attribute__((constructor)) static void begin(void) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ALLOWED, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
  struct sigaction action = {0};
  action.sa_sigaction = on_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
  if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    perror("a filter for calls");
    _exit(99);
  }
}

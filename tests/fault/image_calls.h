/* image_calls.h -- the calls that the image store, its children and the downloader make.
 *
 * The n-th of all of them, whichever process of a run makes it, fails once, or is the
 * last of its process before a SIGKILL.  Which one that is depends on how the processes take
 * turns; the n-th of one name (arm_only) does not, where one process alone makes it. */
// wrap: -Wl,--wrap=write -Wl,--wrap=pwrite -Wl,--wrap=read -Wl,--wrap=fsync
// wrap: -Wl,--wrap=syncfs -Wl,--wrap=ftruncate -Wl,--wrap=open -Wl,--wrap=openat
// wrap: -Wl,--wrap=mkdirat -Wl,--wrap=unlinkat -Wl,--wrap=linkat -Wl,--wrap=symlinkat
// wrap: -Wl,--wrap=mknodat -Wl,--wrap=renameat -Wl,--wrap=renameat2 -Wl,--wrap=fchown
// wrap: -Wl,--wrap=fchownat -Wl,--wrap=fchmod -Wl,--wrap=futimens -Wl,--wrap=utimensat
// wrap: -Wl,--wrap=fsetxattr -Wl,--wrap=fstat -Wl,--wrap=fstatat -Wl,--wrap=faccessat
// wrap: -Wl,--wrap=fork -Wl,--wrap=unshare -Wl,--wrap=mount -Wl,--wrap=umount2
// wrap: -Wl,--wrap=chdir -Wl,--wrap=prctl -Wl,--wrap=setrlimit -Wl,--wrap=dup2
// wrap: -Wl,--wrap=close_range -Wl,--wrap=syscall -Wl,--wrap=waitid
// wrap: -Wl,--wrap=pipe2 -Wl,--wrap=socketpair -Wl,--wrap=send -Wl,--wrap=recv
// wrap: -Wl,--wrap=sendmsg -Wl,--wrap=recvmsg -Wl,--wrap=readlinkat -Wl,--wrap=fgetxattr
#ifndef KEDGE_FAULT_IMAGE_CALLS_H
#define KEDGE_FAULT_IMAGE_CALLS_H
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum mode { OFF, FAIL, DIE };
static struct plan { /* shared by all processes of a run */
	enum mode mode;
	int countdown, err;
	bool fired;
	const char *call; /* that one */
	const char *only; /* counts; NULL: every call does */
} * plan;

static bool
due(const char *call)
{
	if (plan->mode == OFF || (plan->only && strcmp(plan->only, call) != 0) ||
	    __atomic_sub_fetch(&plan->countdown, 1, __ATOMIC_SEQ_CST) != 0)
		return false;
	plan->fired = true;
	plan->call = call;
	if (plan->mode == DIE)
		raise(SIGKILL);
	errno = plan->err;
	return true;
}

#define CALLS(C)                                                                             \
	C(write, ssize_t, (int a, const void *b, size_t c), (a, b, c))                       \
	C(pwrite, ssize_t, (int a, const void *b, size_t c, off_t d), (a, b, c, d))          \
	C(read, ssize_t, (int a, void *b, size_t c), (a, b, c))                              \
	C(fsync, int, (int a), (a))                                                          \
	C(syncfs, int, (int a), (a))                                                         \
	C(ftruncate, int, (int a, off_t b), (a, b))                                          \
	C(open, int, (const char *a, int b, mode_t c), (a, b, c))                            \
	C(openat, int, (int a, const char *b, int c, mode_t d), (a, b, c, d))                \
	C(mkdirat, int, (int a, const char *b, mode_t c), (a, b, c))                         \
	C(unlinkat, int, (int a, const char *b, int c), (a, b, c))                           \
	C(linkat, int, (int a, const char *b, int c, const char *d, int f), (a, b, c, d, f)) \
	C(symlinkat, int, (const char *a, int b, const char *c), (a, b, c))                  \
	C(mknodat, int, (int a, const char *b, mode_t c, dev_t d), (a, b, c, d))             \
	C(renameat, int, (int a, const char *b, int c, const char *d), (a, b, c, d))         \
	C(renameat2, int, (int a, const char *b, int c, const char *d, unsigned f),          \
	  (a, b, c, d, f))                                                                   \
	C(fchown, int, (int a, uid_t b, gid_t c), (a, b, c))                                 \
	C(fchownat, int, (int a, const char *b, uid_t c, gid_t d, int f), (a, b, c, d, f))   \
	C(fchmod, int, (int a, mode_t b), (a, b))                                            \
	C(futimens, int, (int a, const struct timespec *b), (a, b))                          \
	C(utimensat, int, (int a, const char *b, const struct timespec *c, int d),           \
	  (a, b, c, d))                                                                      \
	C(fsetxattr, int, (int a, const char *b, const void *c, size_t d, int f),            \
	  (a, b, c, d, f))                                                                   \
	C(fstat, int, (int a, struct stat *b), (a, b))                                       \
	C(fstatat, int, (int a, const char *b, struct stat *c, int d), (a, b, c, d))         \
	C(faccessat, int, (int a, const char *b, int c, int d), (a, b, c, d))                \
	C(fork, pid_t, (void), ())                                                           \
	C(unshare, int, (int a), (a))                                                        \
	C(mount, int,                                                                        \
	  (const char *a, const char *b, const char *c, unsigned long d, const void *f),     \
	  (a, b, c, d, f))                                                                   \
	C(umount2, int, (const char *a, int b), (a, b))                                      \
	C(chdir, int, (const char *a), (a))                                                  \
	C(prctl, int,                                                                        \
	  (int a, unsigned long b, unsigned long c, unsigned long d, unsigned long f),       \
	  (a, b, c, d, f))                                                                   \
	C(setrlimit, int, (int a, const struct rlimit *b), (a, b))                           \
	C(dup2, int, (int a, int b), (a, b))                                                 \
	C(close_range, int, (unsigned a, unsigned b, int c), (a, b, c))                      \
	C(waitid, int, (int a, id_t b, siginfo_t *c, int d), (a, b, c, d))                   \
	C(pipe2, int, (int a[2], int b), (a, b))                                             \
	C(socketpair, int, (int a, int b, int c, int d[2]), (a, b, c, d))                    \
	C(send, ssize_t, (int a, const void *b, size_t c, int d), (a, b, c, d))              \
	C(recv, ssize_t, (int a, void *b, size_t c, int d), (a, b, c, d))                    \
	C(sendmsg, ssize_t, (int a, const struct msghdr *b, int c), (a, b, c))               \
	C(recvmsg, ssize_t, (int a, struct msghdr *b, int c), (a, b, c))                     \
	C(readlinkat, ssize_t, (int a, const char *b, char *c, size_t d), (a, b, c, d))      \
	C(fgetxattr, ssize_t, (int a, const char *b, void *c, size_t d), (a, b, c, d))       \
	C(syscall, long, (long a, long b, long c, long d, long f, long g, long h),           \
	  (a, b, c, d, f, g, h))
#define WRAP(f, r, params, args)                       \
	r __real_##f params;                           \
	r __wrap_##f params;                           \
	r __wrap_##f params                            \
	{                                              \
		return due(#f) ? -1 : __real_##f args; \
	}
CALLS(WRAP)

static inline void
arm_only(enum mode mode, const char *only, int n, int err)
{
	*plan = (struct plan){ .mode = mode, .countdown = n, .err = err, .only = only };
}

static void
arm(enum mode mode, int n, int err)
{
	arm_only(mode, NULL, n, err);
}

static void
plan_new(void)
{
	plan =
	    mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
#endif

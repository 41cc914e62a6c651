/* image_fence.c -- the fence around the child that reads an image's bytes.
 *
 * What the child has: the job's directory as its whole file system
 * (pivot_root in a mount namespace of its own, nodev, nosuid, noexec), a network
 * namespace with nothing in it, the stream's fd, the rights to set owners and
 * modes, some fifty system calls, and a deadline.  An attacker who takes it over
 * can spoil the image that he brought, and nothing else.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <cap-ng.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void
image_child_signals(void)
{
	sigset_t none;

	/* the caller's handlers would write to the caller's pipes */
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, s == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
limits_set(const struct budget *b, int seconds, struct error **e)
{
	struct rlimit cpu = { seconds, seconds }, core = { 0, 0 }, files = { 4096, 4096 };
	struct rlimit size = { b->max_bytes + (1 << 20), b->max_bytes + (1 << 20) };

	if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
	    setrlimit(RLIMIT_FSIZE, &size) < 0)
		return fail_sys(e, "set limits of the unpacking process");
	(void)setrlimit(RLIMIT_NOFILE, &files); /* a lower hard limit is as good */
#ifndef __SANITIZE_ADDRESS__                    /* which reserves terabytes */
	struct rlimit memory = { INT64_C(2) << 30, INT64_C(2) << 30 };

	if (setrlimit(RLIMIT_AS, &memory) < 0)
		return fail_sys(e, "set limits of the unpacking process");
#endif
	alarm(seconds);
	return 0;
}

/* Nothing stays open but 0, 1, 2, the stream (3), the job's directory (4) and what tells
 * the job that this child lives (5). */
static int
fds_place(int *fd, int *root, int *alive, struct error **e)
{
	int a = fcntl(*fd, F_DUPFD, 10), b = fcntl(*root, F_DUPFD, 10);
	int c = *alive < 0 ? -1 : fcntl(*alive, F_DUPFD, 10);
	int null = open("/dev/null", O_RDWR);

	if (a < 0 || b < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(a, 3) < 0 || dup2(b, 4) < 0 || (c >= 0 && dup2(c, 5) < 0) ||
	    close_range(c >= 0 ? 6 : 5, ~0U, 0) < 0)
		return fail_sys(e, "arrange the unpacking process's files");
	*fd = 3;
	*root = 4;
	*alive = c >= 0 ? 5 : -1;
	return 0;
}

/* What is saved is only read: an image cannot change the store that it lies in. */
static int
store_bind(const char *path, const char *store, struct error **e)
{
	cleanup_free char *at = NULL;

	xasprintf(&at, "%s/store", path);
	if (mkdir(at, 0700) < 0 || mount(store, at, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, at, NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0)
		return fail_sys(e, "mount %s for reading an image", at);
	return 0;
}

/* After this the job's directory is all there is. */
static int
root_enter(const char *path, const char *store, int root, struct error **e)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return fail_sys(e, "unshare for unpacking an image");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(path, path, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0)
		return fail_sys(e, "mount %s for unpacking an image", path);
	if (store && store_bind(path, store, e) < 0)
		return -1;
	if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return fail_sys(e, "enter %s for unpacking an image", path);
	/* the fd from before would still lead out: it is of the mount below */
	close(root);
	if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) != root)
		return fail_sys(e, "open the root for unpacking an image");
	return 0;
}

static int
rights_drop(bool save, struct error **e)
{
	/* owners and modes as the tar says; whiteout nodes; file capabilities */
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN,
			  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP,
			  -1) < 0 ||
	    /* trusted.overlay.opaque is not told without; no call it is otherwise good for is
	     * allowed below */
	    (save &&
	     capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN) < 0) ||
	    capng_apply(CAPNG_SELECT_CAPS) < 0)
		return fail_sys(e, "drop the unpacking process's rights");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail_sys(e, "set no_new_privs");
	return 0;
}

/* What unpacking needs.  Above all no kill, ptrace, clone, socket, mount or
 * exec: the process is root, if one without rights. */
/* clang-format off */
static const int calls[] = {
#define CALL(x) SCMP_SYS(x)
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64),
	CALL(lseek), CALL(close), CALL(openat), CALL(openat2), CALL(fstat), CALL(newfstatat),
	CALL(statx), CALL(faccessat), CALL(faccessat2), CALL(mkdirat), CALL(mknodat),
	CALL(linkat), CALL(symlinkat), CALL(unlinkat), CALL(renameat), CALL(renameat2),
	CALL(fchown), CALL(fchownat), CALL(fchmod), CALL(fchmodat), CALL(ftruncate),
	CALL(utimensat), CALL(fsetxattr), CALL(getdents64), CALL(syncfs),
	CALL(fcntl), CALL(dup), CALL(brk), CALL(mmap), CALL(munmap), CALL(mremap),
	CALL(mprotect), CALL(madvise), CALL(futex), CALL(rt_sigaction), CALL(rt_sigprocmask),
	CALL(rt_sigreturn), CALL(sigaltstack), CALL(restart_syscall), CALL(getrandom),
	CALL(clock_gettime), CALL(gettimeofday), CALL(getpid), CALL(gettid), CALL(uname),
	CALL(exit), CALL(exit_group),
#undef CALL
};
/* clang-format on */

static int
calls_filter(bool socket, bool save, struct error **e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof *calls; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	/* of a pull: words and pipes over the one socket that is there */
	if (rc == 0 && socket)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 0);
	if (rc == 0 && socket)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 0);
	static const int reads[] = { SCMP_SYS(fgetxattr), SCMP_SYS(flistxattr),
				     SCMP_SYS(readlinkat) };

	/* a layer's sum reads its links */
	if (rc == 0 && !save)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(readlinkat), 0);
	for (size_t i = 0; rc == 0 && save && i < sizeof reads / sizeof *reads; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, reads[i], 0);
	if (rc == 0) /* abort() */
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == 0)
		return 0;
	errno = -rc;
	return fail_sys(e, "filter the unpacking process's system calls");
}

int
image_child_fence(struct child *c, const char *path, int seconds, struct error **e)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	image_child_signals();
	umask(0);
	/* names in pax headers are UTF-8; without a UTF-8 locale libarchive has no words for
	 * them */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (fds_place(&c->fd, &c->root, &c->alive, e) < 0 ||
	    root_enter(path, c->store_path, c->root, e) < 0 ||
	    rights_drop(c->store_path != NULL, e) < 0)
		return -1;
	if (limits_set(c->budget, seconds, e) < 0)
		return -1;
	return calls_filter(c->pull != NULL, c->store_path != NULL, e);
}

/* launch.c -- starts kedge-init: as a pod's first process, or to remove trees.
 *
 * It runs from one sealed memfd, so no container can ever reach a file that
 * becomes kedge again (CVE-2019-5736), whatever happens to the file on disk.
 * The child shares our memory and we wait for its exec (CLONE_VM | CLONE_VFORK): no page
 * table is copied, however large the daemon is.
 */
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/init/clone.h"
#include "runtime/rt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define BIT(cap) (1ULL << (cap))

/* What a kedge-init keeps for itself, and why. */
uint64_t
launch_caps(void)
{
	return BIT(CAP_SYS_ADMIN) /* mounts, namespaces, joining them; overlayfs' own xattrs */
	       | BIT(CAP_SYS_CHROOT) /* setns into a mount namespace */
	       | BIT(CAP_SYS_PTRACE) /* setns by pidfd into another user's container */
	       | BIT(CAP_SETUID) | BIT(CAP_SETGID) /* becoming the container's user */
	       | BIT(CAP_SETPCAP)                  /* cutting the bounding set */
	       | BIT(CAP_KILL)                     /* stopping another user's container */
	       | BIT(CAP_DAC_OVERRIDE) /* logs and layers, whoever owns them; overlayfs' copy-up
					*/
	       | BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP) |
	       BIT(CAP_MKNOD) /* copy-up: overlayfs acts with the rights of who mounted it */
	       | BIT(CAP_SYS_RESOURCE); /* lowering oom_score_adj, where we may */
}

int
launch_prepare(const char *init_path, struct error **e)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	cleanup_close int file = open(init_path, O_RDONLY | O_CLOEXEC), mem = -1;
	struct stat st;
	off_t at = 0;

	if (file < 0 || fstat(file, &st) < 0)
		return fail_sys(e, "open %s", init_path);
	mem = memfd_create("kedge-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (mem < 0 && errno == EINVAL) /* before Linux 6.3 */
		mem = memfd_create("kedge-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (mem < 0)
		return fail_sys(e, "make room for kedge-init");
	while (at < st.st_size)
		if (sendfile(mem, file, &at, (size_t)(st.st_size - at)) <= 0)
			return fail_sys(e, "read %s", init_path);
	/* Any user of a container may run it (copy.h), and nobody can write to it. */
	if (fchmod(mem, 0555) < 0)
		return fail_sys(e, "let kedge-init be executed");
	/* Nor can root of a hostUsers pod, whose file it is while it copies there, make it one
	 * that nobody may execute; before Linux 6.3 there is no such seal. */
	(void)fcntl(mem, F_ADD_SEALS, F_SEAL_EXEC);
	if (fcntl(mem, F_ADD_SEALS, seals) < 0)
		return fail_sys(e, "seal kedge-init");
	return steal_fd(&mem);
}

enum { STACK = 64 << 10, MAX_FDS = 8 };

struct sysctl;
struct child {
	int exe;
	char *const *argv;
	const int *join;        /* v1: tasks files; -1 ends them */
	int fds[MAX_FDS], nfds; /* become 3, 4, ... */
	const int *namespaces;  /* three to be in; NULL: those we are made with */
	uint32_t user_base;     /* what root in there is here; 0: root */
	const struct sysctl *sysctls,
	    *failed; /* of the new namespaces; a NULL path ends them */
	int err;
};

struct sysctl {
	char path[280];
	const char *value;
};

/* Through the host's own procfs, which shows each process its own namespaces' values;
 * the paths were checked by allow.c. */
__attribute__((no_sanitize("address", "undefined"))) static bool
sysctl_write(const struct sysctl *s)
{
	int fd = open(s->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool done = fd >= 0 && write(fd, s->value, strlen(s->value)) >= 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* Some listen to who may administer the namespace, others (ipc) to its root alone. */
__attribute__((no_sanitize("address", "undefined"))) static bool
child_sysctls(struct child *c)
{
	for (const struct sysctl *s = c->sysctls; s && *s->path; s++) {
		bool done = sysctl_write(s);

		if (!done && c->user_base && (errno == EACCES || errno == EPERM)) {
			syscall(SYS_setresuid, -1, c->user_base, -1);
			done = sysctl_write(s);
			c->err = errno;
			syscall(SYS_setresuid, -1, 0, -1);
			errno = c->err;
			c->err = 0;
		}
		if (!done) {
			c->failed = s;
			return false;
		}
	}
	return true;
}

/* In the child, on its own stack, in our memory: system calls only. */
__attribute__((no_sanitize("address", "undefined"))) static int
child_run(void *arg)
{
	static char *const env[] = { NULL };
	struct child *c = arg;
	sigset_t none;
	int null, high[MAX_FDS];

	/* What the daemon ignores, a container must not: it would inherit it. */
	for (int i = 1; i < 32; i++)
		signal(i, SIG_DFL);
	setsid();
	for (; c->join && *c->join >= 0; c->join++)
		if (write(*c->join, "0", 1) < 0)
			goto failed;
	for (int i = 0; c->namespaces && i < 3; i++)
		if (setns(c->namespaces[i], 0) < 0)
			goto failed;
	if (!child_sysctls(c))
		goto failed;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || chdir("/") < 0)
		goto failed;
	/* first all out of the way of each other, then to their places */
	for (int i = 0; i < c->nfds; i++)
		if ((high[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, 64)) < 0)
			goto failed;
	c->exe = fcntl(c->exe, F_DUPFD_CLOEXEC, 64);
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			goto failed;
	for (int i = 0; i < c->nfds; i++)
		if (dup2(high[i], 3 + i) < 0)
			goto failed;
	syscall(SYS_close_range, 3 + c->nfds, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, c->exe, "", c->argv, env, AT_EMPTY_PATH);
failed:
	c->err = errno;
	return 127;
}

static int
child_start(struct child *c, uint64_t flags, int cgroup, int *ret_pidfd, struct error **e)
{
	int pidfd = -1;
	void *stack =
	    mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct clone_args a = {
		.flags = flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.stack = (uintptr_t)stack,
		.stack_size = STACK,
		.cgroup = (uint64_t)(cgroup >= 0 ? cgroup : 0),
	};
	sigset_t all, old;
	long pid;

	if (stack == MAP_FAILED)
		return fail_sys(e, "start kedge-init: no memory for a stack");
	/* A handler must not run in the child: its memory is ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = clone_run(&a, sizeof(a), child_run, c);
	sigprocmask(SIG_SETMASK, &old, NULL);
	munmap(stack, STACK);
	if (pid < 0 || c->err) {
		errno = pid < 0 ? (int)-pid : c->err;
		if (c->failed)
			fail_sys(e, "set the sysctl %s to \"%s\"", c->failed->path + 10,
				 c->failed->value);
		else
			fail_sys(e, "start kedge-init");
		if (pid >= 0) {
			waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 }, WEXITED | __WALL);
			close(pidfd);
		}
		return -1;
	}
	*ret_pidfd = pidfd;
	return (int)pid;
}

/* Bound through a descriptor of the directory: the path of a socket has room for 107 bytes. */
static int
listener(int dir, struct error **e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/init.sock", dir);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail_sys(e, "make the pod's init.sock");
	return steal_fd(&fd);
}

static int
open_groups(struct rt *rt, const char *group, int fds[CGROUP_TREES + 1], struct error **e)
{
	bool v2 = rt->cgroups.mode == CGROUP_V2;
	struct buf cleanup_buf paths = { 0 };
	unsigned n = cgroup_paths(&rt->cgroups, group, NULL, &paths);
	const char *at = paths.at;

	for (unsigned i = 0; i < n; i++, at += strlen(at) + 1) {
		if (i == 0)
			continue;
		fds[i - 1] = open(at, (v2 ? O_PATH | O_DIRECTORY : O_WRONLY) | O_CLOEXEC);
		if (fds[i - 1] < 0)
			return fail_sys(e, "open the cgroup %s", at);
	}
	return 0;
}

static struct sysctl *
sysctls_of(const struct rt_pod *p)
{
	struct sysctl *at;
	size_t n = 0;

	while (p->sysctls && p->sysctls[n])
		n++;
	at = n ? xcalloc(n + 1, sizeof(*at)) : NULL;
	for (size_t i = 0; i < n; i++) {
		memcpy(at[i].path, "/proc/sys/", 10);
		rtsysctl_path(p->sysctls[i], at[i].path + 10, sizeof(at[i].path) - 10,
			      &at[i].value);
	}
	return at;
}

int
launch_init(struct rt *rt, const struct rt_pod *p, int dir, const struct users_set *set,
	    pid_t *ret_pid, int *ret_pidfd, int *ret_conn, struct error **e)
{
	/* A pid namespace of the pod: when kedge-init dies, all of it does.  Net, ipc and
	 * uts are what its containers share, and their user namespace's, when they have one. */
	uint64_t flags = p->host_pid ? 0 : CLONE_NEWPID;
	char *argv[] = { "kedge-init", "pod", (char *)p->name, NULL };
	int groups[CGROUP_TREES + 1] = { -1, -1, -1, -1 }, pair[2] = { -1, -1 }, pid = -1;
	cleanup_close int sock = listener(dir, e);
	cleanup_free struct sysctl *sysctls = sysctls_of(p);
	bool v2 = rt->cgroups.mode == CGROUP_V2;

	if (!set->base && !p->host_network)
		flags |= CLONE_NEWNET | CLONE_NEWUTS;
	if (!set->base && !p->host_ipc)
		flags |= CLONE_NEWIPC;
	if (sock < 0)
		return -1;
	if (open_groups(rt, rt_group(p), groups, e) == 0) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			       pair) < 0) {
			fail_sys(e, "make a socket pair");
		} else {
			struct child c = { .exe = rt->init_fd,
					   .argv = argv,
					   .join = v2 ? NULL : groups,
					   .fds = { dir, sock, pair[1], set->fds[USERS_USER] },
					   .nfds = set->base ? 4 : 3,
					   .namespaces = set->base && set->fds[USERS_NET] >= 0
							     ? set->fds + USERS_NET
							     : NULL,
					   .user_base = p->user_base,
					   .sysctls = sysctls };

			pid = child_start(&c, flags, v2 ? groups[0] : -1, ret_pidfd, e);
		}
	}
	for (size_t i = 0; i < CGROUP_TREES; i++)
		if (groups[i] >= 0)
			close(groups[i]);
	if (pair[1] >= 0)
		close(pair[1]);
	if (pid < 0) {
		if (pair[0] >= 0)
			close(pair[0]);
		return -1;
	}
	*ret_pid = pid;
	*ret_conn = pair[0];
	return 0;
}

int
launch_measurer(struct rt *rt, const int fds[3], char *const *paths, size_t n, int *ret_pidfd,
		struct error **e)
{
	char **argv = xcalloc(n + 3, sizeof(*argv));
	struct child c = {
		.exe = rt->init_fd, .argv = argv, .fds = { fds[0], fds[1], fds[2] }, .nfds = 3
	};
	int r;

	argv[0] = (char *)"kedge-init";
	argv[1] = (char *)"measure";
	memcpy(argv + 2, paths, n * sizeof(*argv));
	r = child_start(&c, 0, -1, ret_pidfd, e);
	free(argv);
	return r < 0 ? -1 : 0;
}

int
launch_remover(struct rt *rt, const int dirs[2], const char *name, int *ret_pidfd,
	       struct error **e)
{
	char one[W_NAME + 32], two[W_NAME + 32];
	char *argv[] = { "kedge-init", "remove", one, two, NULL };
	struct child c = {
		.exe = rt->init_fd, .argv = argv, .fds = { dirs[0], dirs[1] }, .nfds = 2
	};

	if (dirs[1] < 0) {
		argv[3] = NULL;
		c.nfds = 1;
	}

	snprintf(one, sizeof(one), "3%s", name);
	snprintf(two, sizeof(two), "4%s", name);
	return child_start(&c, 0, -1, ret_pidfd, e) < 0 ? -1 : 0;
}

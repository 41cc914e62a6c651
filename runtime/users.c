/* users.c -- see users.h. */
#include "runtime/users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/rt.h"

#ifndef PIDFD_GET_USER_NAMESPACE
#define PIDFD_GET_USER_NAMESPACE _IO(0xFF, 9)
#endif

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg);

enum { STACK = 16 << 10 };

/* Both children share our memory: system calls only, on a stack of their own. */
#define CHILD __attribute__((no_sanitize("address", "undefined")))

/* The first process of a user namespace, until it is held by a descriptor. */
CHILD static int
wait_for_death(void *arg)
{
	(void)arg;
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

struct made {
	int user_ns, fds[3], err;
};

/* What is made in a user namespace belongs to it.  The descriptors are opened in our own
 * table, which this child shares. */
CHILD static int
make_namespaces(void *arg)
{
	static const char *const paths[] = { "/proc/thread-self/ns/net",
					     "/proc/thread-self/ns/ipc",
					     "/proc/thread-self/ns/uts" };
	struct made *m = arg;

	if (setns(m->user_ns, CLONE_NEWUSER) < 0 ||
	    unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) {
		m->err = errno;
		return 1;
	}
	for (int i = 0; i < 3; i++)
		if ((m->fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC)) < 0) {
			m->err = errno;
			return 1;
		}
	return 0;
}

static long
child(struct clone_args *a, int (*fn)(void *), void *arg, void **ret_stack)
{
	sigset_t all, old;
	long pid;

	*ret_stack =
	    mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*ret_stack == MAP_FAILED)
		return -ENOMEM;
	a->stack = (uintptr_t)*ret_stack;
	a->stack_size = STACK;
	/* A handler must not run in the child: its memory is ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = clone_run(a, sizeof(*a), fn, arg);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

static void
reap(int pidfd)
{
	siginfo_t si;

	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | __WALL) < 0 && errno == EINTR)
		;
}

int
users_namespaces(int user_ns, int ret[3], struct error **e)
{
	struct made m = { user_ns, { -1, -1, -1 }, 0 };
	int pidfd = -1;
	struct clone_args a = { .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD,
				.pidfd = (uintptr_t)&pidfd };
	void *stack;
	long pid = child(&a, make_namespaces, &m, &stack);

	if (stack != MAP_FAILED)
		munmap(stack, STACK);
	if (pid >= 0) {
		reap(pidfd);
		close(pidfd);
	}
	if (pid >= 0 && !m.err) {
		memcpy(ret, m.fds, sizeof(m.fds));
		return 0;
	}
	for (int i = 0; i < 3; i++)
		if (m.fds[i] >= 0)
			close(m.fds[i]);
	errno = pid < 0 ? (int)-pid : m.err;
	return fail_sys(e, "make the pod's namespaces");
}

static int
map_write(long pid, const char *which, const char *map)
{
	char path[64];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, which);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, map, strlen(map)) < 0 ? -1 : 0;
}

static int
namespace_of(long pid, int pidfd)
{
	char path[64];
	int fd = ioctl(pidfd, PIDFD_GET_USER_NAMESPACE, 0);

	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid); /* before Linux 6.11 */
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A process is needed to make one; once a descriptor holds it, it is not. */
static int
user_ns_make(uint32_t base, struct error **e)
{
	int pidfd = -1, fd = -1;
	struct clone_args a = { .flags = CLONE_VM | CLONE_PIDFD | CLONE_NEWUSER,
				.pidfd = (uintptr_t)&pidfd };
	void *stack;
	long pid = child(&a, wait_for_death, NULL, &stack);
	char map[64];

	snprintf(map, sizeof(map), "0 %u %d\n", base, USERS_IDS);
	if (pid >= 0 && map_write(pid, "uid_map", map) == 0 &&
	    map_write(pid, "gid_map", map) == 0)
		fd = namespace_of(pid, pidfd);
	if (fd < 0) {
		errno = pid < 0 ? (int)-pid : errno;
		fail_sys(e, "make a user namespace for the ids from %u", base);
	}
	if (pid >= 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		reap(pidfd);
		close(pidfd);
	}
	if (stack != MAP_FAILED)
		munmap(stack, STACK);
	return fd;
}

static bool
is_taken(struct rt *rt, uint32_t base)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		const struct rtpod *p = s->value;

		if (p->state != RT_POD_GONE && p->spec.user_base == base)
			return true;
	}
	return false;
}

/* The next range that no pod has; 0: there is none. */
static uint32_t
free_range(struct rt *rt)
{
	struct users *u = &rt->users;

	for (uint32_t i = 0; i < u->n; i++) {
		uint32_t base = u->first + (u->next + i) % u->n * USERS_IDS;

		if (is_taken(rt, base))
			continue;
		u->next = (u->next + i + 1) % u->n;
		return base;
	}
	return 0;
}

int
users_take(struct rt *rt, uint32_t *ret_base, struct error **e)
{
	struct users *u = &rt->users;
	uint32_t base = u->spare;

	if (base) {
		u->spare = 0;
		*ret_base = base;
		return u->spare_fd;
	}
	base = free_range(rt);
	if (!base)
		return fail(e, WHY_UNAVAILABLE,
			    "all %u ranges of user ids are in use: give users.ranges in "
			    "kedge.yaml more",
			    u->n);
	*ret_base = base;
	return user_ns_make(base, e);
}

void
users_ahead(struct rt *rt)
{
	struct users *u = &rt->users;
	cleanup_error struct error *e = NULL;
	uint32_t base;

	if (!u->able || u->spare || !(base = free_range(rt)))
		return;
	u->spare_fd = user_ns_make(base, &e);
	if (u->spare_fd >= 0)
		u->spare = base;
	else
		log_warn("runtime", "%s", error_text(e));
}

/* ---- what the host can ---- */

static int
map_mount(int tree, int user_ns)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_ns };

	return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof(a));
}

/* Volumes and files of kedge's own are on tmpfs; that it can be mapped (6.3) says that
 * layers of overlayfs can, too (5.19). */
static int
tmpfs_probe(int user_ns)
{
	cleanup_close int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), tree = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return tree < 0 ? -1 : map_mount(tree, user_ns);
}

static int
dir_probe(const char *dir, int user_ns)
{
	cleanup_close int tree =
	    (int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return tree < 0 ? -1 : map_mount(tree, user_ns);
}

static const char *
why_not(struct rt *rt, int user_ns)
{
	if (tmpfs_probe(user_ns) < 0)
		return "this kernel has no id-mapped mounts of tmpfs and overlayfs' layers "
		       "(Linux 6.3 has)";
	if (dir_probe(rt->cfg.state_dir, user_ns) < 0)
		return "the file system of the state folder knows no id-mapped mounts (ext4, "
		       "xfs and btrfs do)";
	return NULL;
}

void
users_open(struct rt *rt, uint32_t first, uint32_t n)
{
	struct users *u = &rt->users;
	cleanup_error struct error *e = NULL;
	cleanup_close int fd = -1;
	const char *why;

	*u = (struct users){ .first = first, .n = n, .spare_fd = -1 };
	if (!n)
		return;
	fd = user_ns_make(first, &e);
	why = fd < 0 ? error_text(e) : why_not(rt, fd);
	u->able = !why;
	if (why)
		rt_lack(rt,
			"pods cannot have user namespaces of their own: %s; they are not "
			"started unless allow.hostUsers is set in kedge.yaml, and then root in "
			"a pod is root of the host",
			why);
}

void
users_close(struct rt *rt)
{
	if (rt->users.spare)
		close(rt->users.spare_fd);
	rt->users.spare = 0;
}

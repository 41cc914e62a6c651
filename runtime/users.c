/* users.c -- see users.h. */
#include "runtime/users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/init/sys.h"
#include "runtime/rt.h"

#ifndef PIDFD_GET_USER_NAMESPACE
#define PIDFD_GET_USER_NAMESPACE _IO(0xFF, 9)
#endif

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg);

enum { STACK = 16 << 10 };
enum { MAPS_WRITTEN = 1, MAPS_FAILED };

/* So that kedge-init need not: changing a link waits for whoever else changes one, and while
 * a pod begins that is its own veth pair. */
__attribute__((no_sanitize("address", "undefined"))) static void
loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	long fd = sys(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	sys(ioctl, fd, SIOCSIFFLAGS, &lo);
	sys(close, fd);
}

/* The first process of a user namespace: makes what belongs to it and ends.  It shares our
 * memory and our descriptors and runs while we go on, so it uses system calls alone, on a
 * stack of its own, and no libc: errno is the thread's that it was cloned from. */
__attribute__((no_sanitize("address", "undefined"))) static int
make_namespaces(void *arg)
{
	static const char *const paths[] = { [USERS_NET] = "/proc/thread-self/ns/net",
					     [USERS_IPC] = "/proc/thread-self/ns/ipc",
					     [USERS_UTS] = "/proc/thread-self/ns/uts" };
	struct users_making *m = arg;
	long r = 0;

	/* Whoever is to write the maps may be killed before that: then nobody would ever wake
	 * us, and the locks of its that we share would stay taken. */
	sys(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (sys(getppid) != m->parent)
		return 0;
	/* What is made before the maps are written belongs to nobody. */
	while (__atomic_load_n(&m->go, __ATOMIC_ACQUIRE) == 0)
		sys(futex, &m->go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	if (m->go == MAPS_WRITTEN)
		r = sys(unshare, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
	for (int i = USERS_NET; i < USERS_FDS && r >= 0 && m->go == MAPS_WRITTEN; i++) {
		r = sys(openat, AT_FDCWD, paths[i], O_RDONLY | O_CLOEXEC);
		m->set.fds[i] = (int)r;
	}
	m->err = r < 0 ? (int)-r : 0;
	__atomic_store_n(&m->made, 1, __ATOMIC_RELEASE);
	sys(futex, &m->made, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (m->go == MAPS_WRITTEN && r >= 0)
		loopback_up();
	return 0;
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
user_open(long pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void
users_set_close(struct users_set *set)
{
	for (int i = 0; i < USERS_FDS && set->base; i++)
		if (set->fds[i] >= 0)
			close(set->fds[i]);
	*set = (struct users_set){ 0 };
}

static void
making_begin(struct users_making *m, uint32_t base)
{
	struct clone_args a = { .flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD | CLONE_NEWUSER,
				.pidfd = (uintptr_t)&m->pidfd };
	sigset_t all, old;
	char map[64];
	long pid;

	*m = (struct users_making){ .set = { base, { -1, -1, -1, -1 } },
				    .pidfd = -1,
				    .parent = getpid() };
	m->stack =
	    mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->stack == MAP_FAILED) {
		m->stack = NULL;
		m->err = ENOMEM;
		return;
	}
	a.stack = (uintptr_t)m->stack;
	a.stack_size = STACK;
	/* A handler must not run in the child: its memory is ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = clone_run(&a, sizeof(a), make_namespaces, m);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		m->pidfd = -1; /* the kernel wrote it before it failed, and took it back */
		m->err = (int)-pid;
		return;
	}
	snprintf(map, sizeof(map), "0 %u %d\n", base, USERS_IDS);
	if (map_write(pid, "uid_map", map) < 0 || map_write(pid, "gid_map", map) < 0 ||
	    (m->set.fds[USERS_USER] = user_open(pid)) < 0)
		m->map_err = errno;
	__atomic_store_n(&m->go, m->map_err ? MAPS_FAILED : MAPS_WRITTEN, __ATOMIC_RELEASE);
	syscall(SYS_futex, &m->go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void
users_end(struct users_making *m)
{
	siginfo_t si;

	if (m->pidfd >= 0) {
		while (waitid(P_PIDFD, (id_t)m->pidfd, &si, WEXITED | __WALL) < 0 &&
		       errno == EINTR)
			;
		close(m->pidfd);
		m->pidfd = -1;
	}
	if (m->stack)
		munmap(m->stack, STACK);
	m->stack = NULL;
}

/* It says so before it ends, which takes it a while; one that was killed says nothing. */
static void
wait_made(struct users_making *m)
{
	const struct timespec look = { 0, 100000000 };
	siginfo_t si = { 0 };

	while (m->pidfd >= 0 && __atomic_load_n(&m->made, __ATOMIC_ACQUIRE) == 0) {
		if (si.si_pid) {
			m->err = ESRCH;
			return;
		}
		syscall(SYS_futex, &m->made, FUTEX_WAIT_PRIVATE, 0, &look, NULL, 0);
		(void)waitid(P_PIDFD, (id_t)m->pidfd, &si,
			     WEXITED | WNOHANG | WNOWAIT | __WALL);
	}
}

int
users_made(struct users_making *m, struct users_set *ret, struct error **e)
{
	wait_made(m);
	if (!m->err && !m->map_err) {
		*ret = m->set;
		m->set = (struct users_set){ 0 };
		return 0;
	}
	errno = m->map_err ? m->map_err : m->err;
	fail_sys(e,
		 m->map_err ? "map the ids from %u in a user namespace"
			    : "make a pod's namespaces, with the ids from %u",
		 m->set.base);
	users_set_close(&m->set);
	return -1;
}

static bool
is_taken(struct rt *rt, uint32_t base)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		const struct rtpod *p = s->value;

		if (p->state != RT_POD_GONE && p->spec.user_base == base)
			return true;
	}
	for (size_t i = 0; i < rt->nahead; i++)
		if (rt->ahead[i]->spec.user_base == base)
			return true;
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
users_begin(struct rt *rt, struct users_making *ret, struct error **e)
{
	uint32_t base = free_range(rt);

	if (!base)
		return fail(e, WHY_UNAVAILABLE,
			    "all %u ranges of user ids are in use: give users.ranges in "
			    "kedge.yaml more",
			    rt->users.n);
	making_begin(ret, base);
	return 0;
}

/* ---- what the host can ---- */

static int
map_mount(int tree, int user_ns)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_ns };

	return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof(a));
}

/* Since Linux 6.3. */
static bool
tmpfs_maps(int user_ns)
{
	cleanup_close int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), tree = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return false;
	tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return tree >= 0 && map_mount(tree, user_ns) == 0;
}

/* Nothing but an overlayfs on mapped layers tells, and those old ones take none that is not
 * mounted somewhere: so the version does. */
static bool
layers_map(void)
{
	struct utsname u;
	int major, minor;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 19));
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
	if (!rt->users.tmpfs && !layers_map())
		return "this kernel has no id-mapped layers of overlayfs (Linux 5.19 has)";
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
	struct users_making making;
	struct users_set set = { 0 };
	const char *why;

	*u = (struct users){ .first = first, .n = n };
	if (!n)
		return;
	making_begin(&making, first);
	if (users_made(&making, &set, &e) < 0) {
		why = error_text(e);
	} else {
		u->tmpfs = tmpfs_maps(set.fds[USERS_USER]);
		why = why_not(rt, set.fds[USERS_USER]);
	}
	users_end(&making);
	users_set_close(&set);
	u->able = !why;
	if (why)
		rt_lack(rt,
			"pods cannot have user namespaces of their own: %s; they are not "
			"started unless allow.hostUsers is set in kedge.yaml, and then root in "
			"a pod is root of the host",
			why);
}

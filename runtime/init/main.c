/* main.c -- kedge-init: birth, what it becomes later, and the one loop.  See init.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/init/copy.h"
#include "runtime/init/init.h"

static struct init self;
static char tails[W_CONTAINERS][2][TAIL_MAX];
static char texts[W_CONTAINERS][2][W_TEXT];
static char event_paths[W_CONTAINERS][W_PATH];

static void
file_write(const char *path, const char *what)
{
	long fd = sys(openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	sys(write, fd, what, strlen(what));
	sys(close, fd);
}

static void
hostname_set(void)
{
	const char *name = self.pod.hostname;
	size_t n = 0;

	while (n < W_HOSTNAME && name[n])
		n++;
	sys(sethostname, name, n);
}

/* The pod's own name and network, while we still may. */
static void
namespaces_dress(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	/* A pod with a user namespace was given a network with lo up (users.c). */
	long fd = self.pod.id_base ? -1 : sys(socket, AF_INET, SOCK_DGRAM, 0);

	hostname_set();
	if (fd >= 0) {
		sys(ioctl, fd, SIOCSIFFLAGS, &lo);
		sys(close, fd);
	}
	/* Ports below 1024 are the pod's own: nothing to protect from its users. */
	file_write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/* Keeps what pod.caps names: what mounting, joining and dropping to a user need, and
 * what its containers may hold themselves.  The hand argues each (launch.c). */
static void
rights_drop(uint64_t keep)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct set[2] = { 0 };

	sys(capget, &head, set);
	for (int cap = 0; cap < 63; cap++)
		if (!(keep >> cap & 1) && sys(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
	set[0].effective = set[0].permitted &= (uint32_t)keep;
	set[1].effective = set[1].permitted &= (uint32_t)(keep >> 32);
	set[0].inheritable = set[1].inheritable = 0;
	sys(capset, &head, set);
}

/* Field 22 of our own stat: with the pid it names us among all processes of this boot. */
static int64_t
start_time(void)
{
	char buf[1024];
	long fd = sys(openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC), n, at;
	uint64_t x = 0;

	if (fd < 0)
		return 0;
	n = sys(read, fd, buf, sizeof(buf) - 1);
	sys(close, fd);
	for (at = n - 1; at > 0 && buf[at] != ')'; at--)
		;
	for (int spaces = 0; at < n && spaces < 20; at++)
		spaces += buf[at] == ' ';
	for (long end = at; end <= n; end++)
		if (end == n || buf[end] == ' ')
			return parse_num(buf + at, (size_t)(end - at), INT64_MAX, &x)
				   ? (int64_t)x
				   : 0;
	return 0;
}

void
container_add(struct init *in, const struct w_container *conf)
{
	uint32_t i = in->pod.n++;

	in->c[i] = (struct container){
		.conf = *conf,
		.index = i,
		.pidfd = -1,
		.input = -1,
		.word = -1,
		.log = { .dir = -1, .fd = -1 },
		.out = { { .fd = -1, .tail = tails[i][0] },
			 { .fd = -1, .err = 1, .tail = tails[i][1] } },
		.text = texts[i][0],
		.last_text = texts[i][1],
		.events = event_paths[i],
	};
}

static bool
pod_read(void)
{
	struct w_container conf[W_CONTAINERS];
	long fd = sys(openat, W_FD_DIR, "pod", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), n, m;

	if (fd < 0)
		return false;
	n = sys(read, fd, &self.pod, sizeof(self.pod));
	m = sys(read, fd, conf, sizeof(conf));
	sys(close, fd);
	if (n != (long)sizeof(self.pod) || self.pod.magic != W_MAGIC ||
	    self.pod.n > W_CONTAINERS || m != (long)(self.pod.n * sizeof(*conf)))
		return false;
	self.gated = self.pod.gated;
	n = self.pod.n;
	self.pod.n = 0;
	for (long i = 0; i < n; i++)
		container_add(&self, &conf[i]);
	return true;
}

static bool
birth(void)
{
	uint64_t mask = 1ULL << (SIGCHLD - 1);

	sys(prctl, PR_SET_NAME, "kedge-init", 0, 0, 0);
	sys(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	for (int fd = W_FD_DIR; fd < W_FD_COUNT; fd++)
		sys(fcntl, fd, F_SETFD, FD_CLOEXEC);
	if (!pod_read())
		return false;
	/* Listening is ours and not the hand's: the kernel tells who connects the pid of
	 * who listened, and so which process this pod is. */
	if (sys(listen, W_FD_LISTEN, 4) < 0)
		return false;
	self.listen = W_FD_LISTEN;
	self.hand = W_FD_HAND;
	self.start_time = start_time();
	if (!(self.pod.flags & (W_HOST_NET | W_LATE)))
		namespaces_dress();
	/* what a container leaves behind comes to us, whose pid namespace it is not */
	if (self.pod.flags & W_HOST_PIDS)
		sys(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	rights_drop(self.pod.caps);
	sys(rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof(mask));
	self.signals = (int)sys(signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK);
	self.exits = (int)sys(openat, W_FD_DIR, "exits",
			      O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (self.signals < 0 || self.exits < 0)
		return false;
	if (self.pod.flags & W_AHEAD)
		spawn_ahead(&self);
	return true;
}

void
pod_enter(struct init *in, const int namespaces[3])
{
	if (!(in->pod.flags & W_LATE))
		return;
	for (int i = 0; i < 3; i++)
		if (sys(setns, namespaces[i], 0) < 0)
			sys_exit(111); /* never a container in the host's network */
	in->pod.flags &= ~(uint32_t)W_LATE;
	namespaces_dress();
}

/* The sandbox was made ahead; here is its pod.  Its name is shown where ps looks. */
void
pod_become(struct init *in, const char *name, size_t len)
{
	if (!(in->pod.flags & W_AHEAD))
		return;
	if (!pod_read())
		sys_exit(111); /* the pod fails, and is made anew by who wanted it */
	hostname_set();
	if (len > in->name_room)
		len = in->name_room;
	memset(in->name, 0, in->name_room);
	memcpy(in->name, name, len);
}

static void
reap(void)
{
	char drop[128 * 4];
	int status;
	long pid;

	while (sys(read, self.signals, drop, sizeof(drop)) > 0)
		;
	while ((pid = sys(wait4, -1, &status, WNOHANG | __WALL, NULL)) > 0) {
		bool ours = exec_ended(&self, (int)pid, status) || spawn_ahead_ended((int)pid);

		for (uint32_t i = 0; i < self.pod.n && !ours; i++)
			if (self.c[i].state == W_RUNNING && self.c[i].pid == pid) {
				container_ended(&self, &self.c[i], status);
				ours = true;
			}
	}
}

/* What is due now is done; returns the ms until something else is, -1: nothing. */
static int64_t
due(void)
{
	int64_t next = order_due(&self), now = now_boot();

	for (int i = 0; i < self.execs_used; i++) {
		struct exec *x = &self.execs[i];

		if (!x->id || x->done || !x->kill_at)
			continue;
		if (x->kill_at <= now) {
			x->late = true;
			sys(kill, -x->pid, SIGKILL);
			sys(kill, x->pid, SIGKILL);
			x->kill_at = now + 1000;
		}
		if (x->kill_at < next)
			next = x->kill_at;
	}
	if (next == INT64_MAX)
		return -1;
	now = now_boot();
	return next > now ? next - now : 0;
}

static void
turn(int64_t ms, bool want_write)
{
	struct pollfd p[3 + 2 * W_CONTAINERS + 2 * W_LENT] = {
		{ .fd = self.signals, .events = POLLIN },
		{ .fd = self.listen, .events = POLLIN },
		{ .fd = self.hand, .events = (short)(POLLIN | (want_write ? POLLOUT : 0)) },
	};
	struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };
	uint32_t n = 3;

	for (uint32_t i = 0; i < self.pod.n; i++)
		for (int j = 0; j < 2; j++)
			p[n++] = (struct pollfd){ .fd = self.c[i].out[j].fd, .events = POLLIN };
	/* Asked for nothing, a pipe still tells when its reader is gone. */
	for (int i = 0; i < W_LENT; i++)
		for (int j = 0; j < 2 && self.lent[i].id; j++)
			p[n++] = (struct pollfd){ .fd = self.lent[i].out[j] };
	if (sys(ppoll, p, n, ms < 0 ? NULL : &wait, NULL, 0) <= 0)
		return;
	/* Output before exits: the last words of a container belong to its run. */
	for (uint32_t i = 0; i < self.pod.n; i++)
		for (int j = 0; j < 2; j++)
			if (p[3 + 2 * i + (uint32_t)j].revents)
				log_pump(&self, &self.c[i].out[j], &self.c[i].log);
	attach_look(&self);
	if (p[0].revents)
		reap();
	if (p[2].revents & (POLLIN | POLLHUP | POLLERR))
		hand_read(&self);
	if (p[1].revents)
		hand_accept(&self);
}

_Noreturn void init_main(long *sp);

_Noreturn void
init_main(long *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(sp + 1);

	if (argc > 1 && strcmp(argv[1], "remove") == 0)
		sys_exit(remove_main(argc - 2, argv + 2));
	if (argc > 1 && strcmp(argv[1], "measure") == 0)
		sys_exit(measure_main(argc - 2, argv + 2));
	if (argc > 1 && strcmp(argv[1], "copy") == 0)
		sys_exit(copy_main(argc - 2, argv + 2));
	if (argc > 2) {
		self.name = argv[2];
		self.name_room = strlen(argv[2]);
	}
	if (argc < 3 || strcmp(argv[1], "pod") != 0 || !birth()) {
		static const char why[] = "kedge-init: started by kedged only\n";

		sys(write, 2, why, sizeof(why) - 1);
		sys_exit(111);
	}
	for (;;) {
		int64_t wait = due();

		turn(wait, !hand_flush(&self));
	}
}

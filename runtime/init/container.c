/* container.c -- the life of one container: start, exit, start again.
 *
 * Back-off as the kubelet does it: the first restart comes at once, then 10 s,
 * doubling to 5 min; a run of more than 10 min clears it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "runtime/init/init.h"

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg);

enum { BACKOFF_FIRST = 10, BACKOFF_MAX = 300, STACK = 64 << 10 };

static char stack[STACK] __attribute__((aligned(4096)));
static struct setup setup;

/* The kernel's count of OOM kills in the container's group: "oom_kill N". */
static uint64_t
oom_kills(const struct container *c)
{
	char buf[512];
	long fd, n;
	uint64_t x;

	if (!c->events || !*c->events)
		return 0;
	fd = sys(openat, AT_FDCWD, c->events, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = sys(read, fd, buf, sizeof(buf) - 1);
	sys(close, fd);
	for (char *at = buf, *end = buf + (n > 0 ? n : 0); at < end;) {
		const char *nl = text_find(at, (size_t)(end - at), '\n');
		size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);

		if (len > 9 && memcmp(at, "oom_kill ", 9) == 0 &&
		    parse_num(at + 9, len - 9, INT64_MAX, &x))
			return x;
		at += len + 1;
	}
	return 0;
}

static void
exit_record(struct init *in, const struct container *c)
{
	struct w_exit x = { .container = c->index,
			    .run = (uint32_t)c->restarts,
			    .exit_code = c->now.exit_code,
			    .signal = c->now.signal,
			    .finished_at = c->now.finished_at,
			    .oom = c->now.oom };
	const uint32_t *word = (const uint32_t *)&x;

	for (size_t i = 0; i + 1 < sizeof(x) / sizeof(*word); i++)
		x.sum ^= word[i];
	sys(write, in->exits, &x, sizeof(x));
}

/* What the container may have left in the file we made for it, cut off. */
static void
last_word(struct container *c)
{
	long n = c->word < 0 ? 0 : sys(pread64, c->word, c->text, W_TEXT, 0);

	c->now.text_len = n > 0 ? (uint32_t)n : 0;
	if (c->word >= 0)
		sys(close, c->word);
	c->word = -1;
}

/* The files of this run; whoever the container runs as may write its last words. */
static long
own_open(const struct init *in, struct container *c, const struct ops_head *ops)
{
	long own = files_new();

	if (own < 0 || !op_find(ops, OP_TERMLOG))
		return own;
	c->word = (int)sys(openat, own, OWN_TERM, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (c->word >= 0)
		sys(fchmod, c->word, 0666);
	if (c->word >= 0 && in->pod.id_base)
		sys(fchown, c->word, in->pod.id_base, in->pod.id_base);
	return own;
}

/* When may it start again?  See the top of the file. */
static void
back_off(struct container *c)
{
	int64_t now = now_boot();
	bool fresh = !c->backoff_s || now - c->began_boot > 2000LL * BACKOFF_MAX;

	c->not_before = fresh ? 0 : now + 1000LL * c->backoff_s;
	if (fresh)
		c->backoff_s = 0;
}

static void
ended(struct init *in, struct container *c)
{
	c->now.finished_at = now_ms();
	c->state = W_TERMINATED;
	c->pid = 0;
	c->kill_at = c->end_by = 0;
	c->ending = GOES_ON;
	c->hook = W_HOOK_NONE;
	c->started = false;
	c->dirty = true;
	exit_record(in, c);
	back_off(c);
}

/* Without a pid namespace of its own the kernel does not end what the first process left
 * behind: all that is in its group goes.  v2 has a word for that; else each that is listed,
 * again until none is. */
static void
group_kill(const struct op *group)
{
	static char list[4096];
	char path[W_PATH];
	long fd, n;

	if (group->flags & 1) {
		struct text t = TEXT(path);

		text_add(&t, op_text(group, 1));
		text_add(&t, "/cgroup.kill");
		fd = sys(openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			sys(write, fd, "1", 1);
			sys(close, fd);
		}
		return;
	}
	for (int turn = 0; turn < 100; turn++) {
		fd = sys(openat, AT_FDCWD, op_text(group, 1), O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : sys(read, fd, list, sizeof(list));
		if (fd >= 0)
			sys(close, fd);
		if (n <= 0)
			return;
		for (long at = 0; at < n;) {
			const char *nl = text_find(list + at, (size_t)(n - at), '\n');
			uint64_t pid;

			if (!nl)
				break;
			/* The group is the container's alone; 0 is one that we cannot see. */
			if (parse_num(list + at, (size_t)(nl - list - at), INT32_MAX, &pid) &&
			    pid > 1)
				sys(kill, (long)pid, SIGKILL);
			at = nl - list + 1;
		}
	}
}

static void
rest_kill(const struct container *c)
{
	char **scratch;
	size_t size;
	const struct ops_head *ops = ops_map(W_FD_DIR, c->conf.name, &scratch, &size);
	const struct op *group = ops ? op_find(ops, OP_CGROUP) : NULL;

	if (group)
		group_kill(group);
	if (ops)
		ops_unmap(ops, size);
}

void
container_ended(struct init *in, struct container *c, int status)
{
	if (in->pod.flags & W_SHARED_PIDS || c->conf.target)
		rest_kill(c);
	if (WIFSIGNALED(status)) {
		c->now.signal = WTERMSIG(status);
		c->now.exit_code = 128 + c->now.signal;
	} else {
		c->now.exit_code = WEXITSTATUS(status);
	}
	c->now.oom = c->now.exit_code != 0 && oom_kills(c) > c->oom_before;
	for (int i = 0; i < 2; i++)
		log_drain(in, &c->out[i], &c->log);
	attach_ended(in, c);
	if (c->input >= 0)
		sys(close, c->input);
	c->input = -1;
	sys(close, c->pidfd);
	c->pidfd = -1;
	last_word(c);
	if (c->conf.log_as_message && !c->now.text_len && c->now.exit_code)
		c->now.text_len = log_last(&c->log, c->text, W_TEXT);
	ended(in, c);
}

static void
failed(struct init *in, struct container *c, const char *what, int err, int end)
{
	struct text t = { c->text, 0, W_TEXT };

	text_add(&t, "container ");
	text_add(&t, c->conf.name);
	text_add(&t, ": ");
	text_add(&t, what);
	last_word(c); /* there is none, and the file goes */
	c->now.text_len = (uint32_t)t.len;
	c->now.err = err;
	c->now.end = (uint8_t)end;
	c->now.exit_code = end == W_END_START_ERROR ? 128 : err == ENOENT ? 127 : 126;
	ended(in, c);
}

/* It never ran, and as nobody lets this pod go, it never will. */
static void
aborted(struct init *in, struct container *c)
{
	last_word(c);
	c->began = false;
	in->stopping = true;
}

struct ends {
	int in[2], out[2], err[2], report[2];
};

static void
ends_close(int *fd, int n)
{
	for (int i = 0; i < n; i++) {
		if (fd[i] >= 0)
			sys(close, fd[i]);
		fd[i] = -1;
	}
}

static int
ends_open(const struct container *c, struct ends *e)
{
	long r = 0;

	*e = (struct ends){ { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (c->conf.tty) /* the terminal's master comes back through it */
		return (int)sys(socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, e->report);
	if (c->conf.stdin_open)
		r = sys(pipe2, e->in, O_CLOEXEC);
	if (r >= 0)
		r = sys(pipe2, e->out, O_CLOEXEC);
	if (r >= 0)
		r = sys(pipe2, e->err, O_CLOEXEC);
	return (int)r;
}

static int
terminal_take(int socket)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec one = { &byte, 1 };
	struct msghdr m = { .msg_iov = &one,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c;
	int fd;

	if (sys(recvmsg, socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void
ends_keep(struct container *c, struct ends *e)
{
	if (c->conf.tty) {
		c->input = terminal_take(e->report[0]);
		c->out[0].fd = (int)sys(fcntl, c->input, F_DUPFD_CLOEXEC, 3);
		c->out[1].fd = -1;
	} else {
		c->input = e->in[1];
		c->out[0].fd = e->out[0];
		c->out[1].fd = e->err[0];
		e->in[1] = e->out[0] = e->err[0] = -1;
	}
	for (int i = 0; i < 2; i++)
		if (c->out[i].fd >= 0)
			sys(fcntl, c->out[i].fd, F_SETFL, O_NONBLOCK);
}

/* Children are born into the pid namespace of the container that this one looks into, until
 * target_leave. */
static long
target_enter(const struct init *in, const struct container *c, long *ret_own)
{
	const struct container *target = &in->c[c->conf.target - 1];

	if (c->conf.target > in->pod.n || target->state != W_RUNNING)
		return -ESRCH;
	*ret_own = sys(openat, AT_FDCWD, "/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	return *ret_own < 0 ? *ret_own : sys(setns, target->pidfd, CLONE_NEWPID);
}

static void
target_leave(long own)
{
	if (own < 0)
		return;
	sys(setns, own, CLONE_NEWPID);
	sys(close, own);
}

/* Clones the child and lets it set itself up; returns when it has exec'ed or
 * failed, and with that left the memory it shares with us.  A new pid namespace makes it 1 of
 * its own; the mount namespace it leaves by pivot_root; net, ipc and uts are the pod's, so it
 * shares ours. */
static long
spawn(const struct init *in, struct container *c, const struct ops_head *ops, char **scratch,
      struct ends *e)
{
	const struct op *group = op_find(ops, OP_CGROUP);
	struct clone_args a = {
		.flags = CLONE_VM | CLONE_PIDFD | CLONE_NEWNS |
			 (in->pod.flags & W_SHARED_PIDS ? 0 : CLONE_NEWPID),
		.pidfd = (uintptr_t)&c->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	int done[2] = { -1, -1 };
	long fd = -1, pid, own = -1;
	char byte;

	setup = (struct setup){ .ops = ops,
				.exe = -1,
				.container = c->conf.name,
				.caps = in->pod.caps,
				.run = c->restarts,
				.stdio = { e->in[0], e->out[1], e->err[1] },
				.target = -1,
				.own = (int)own_open(in, c, ops),
				.gate = in->gated ? in->hand : -1,
				.user_ns = in->pod.id_base ? W_FD_USER : -1,
				.id_base = in->pod.id_base,
				.report = e->report[1],
				.scratch = scratch,
				.tty = c->conf.tty };
	if (group && group->flags & 1) { /* v2: born in its group */
		fd = sys(openat, AT_FDCWD, op_text(group, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)fd;
	}
	pid = fd < -1 ? fd : sys(pipe2, done, O_CLOEXEC);
	if (pid >= 0 && c->conf.target) {
		pid = target_enter(in, c, &own);
		a.flags &= ~(uint64_t)CLONE_NEWPID;
	}
	if (pid >= 0)
		pid = clone_run(&a, sizeof(a), setup_run, &setup);
	target_leave(own);
	if (setup.own >= 0)
		sys(close, setup.own);
	if (fd >= 0)
		sys(close, fd);
	/* While it makes its mounts, its log is opened.  A disk that is full holds no container
	 * up: what it prints is counted, and told once there is room. */
	log_start(&c->log, &in->pod, c->conf.name, c->restarts);
	ends_close(done + 1, 1);
	if (pid >= 0)
		while (sys(read, done[0], &byte, 1) == -EINTR)
			; /* its end: the exec closed it, or the exit */
	ends_close(done, 1);
	if (pid < 0 && group)
		setup_fail(&setup, group, fd < -1 ? op_text(group, 1) : "(clone3)", (int)pid);
	return pid;
}

/* The new process runs, unless setup.err says otherwise. */
static void
started(struct init *in, struct container *c, long pid, struct ends *e)
{
	int status = 0;

	in->gated &= setup.gate >= 0;
	if (setup.err) {
		sys(wait4, pid, &status, __WALL, NULL);
		sys(close, c->pidfd);
		c->pidfd = -1;
		if (setup.end == W_END_ABORTED) {
			aborted(in, c);
			return;
		}
		failed(in, c, setup.error, setup.err, setup.end);
		return;
	}
	c->pid = (int)pid;
	c->state = W_RUNNING;
	c->started = !c->conf.startup_probe;
	ends_keep(c, e);
	if (c->hooks & 1 << W_HOOK_POST_START)
		hook_begin(in, c, W_HOOK_POST_START);
}

void
container_start(struct init *in, struct container *c)
{
	const struct ops_head *ops;
	char **scratch;
	size_t size;
	struct ends e;
	long pid;
	int r;

	if (c->began) {
		char *swap = c->last_text;

		c->last = c->now;
		c->last_text = c->text;
		c->text = swap;
		c->restarts++;
		c->backoff_s = !c->backoff_s                    ? BACKOFF_FIRST
			       : c->backoff_s * 2 < BACKOFF_MAX ? c->backoff_s * 2
								: BACKOFF_MAX;
	}
	c->now = (struct w_run){ .started_at = now_ms() };
	c->began = c->dirty = true;
	c->not_before = 0;
	c->began_boot = now_boot();
	ops = ops_map(W_FD_DIR, c->conf.name, &scratch, &size);
	if (!ops) {
		failed(in, c, "its start list cannot be read", EIO, W_END_START_ERROR);
		return;
	}
	c->stop_signal = ops->stop_signal;
	c->hooks = hooks_of(ops);
	if (!*c->events) {
		const struct op *group = op_find(ops, OP_CGROUP);
		struct text t = { c->events, 0, W_PATH };

		text_add(&t, group ? op_text(group, 0) : "");
	}
	c->oom_before = oom_kills(c);
	r = ends_open(c, &e);
	if (r < 0) {
		failed(in, c, "no pipes for its output", -r, W_END_START_ERROR);
	} else {
		pid = spawn(in, c, ops, scratch, &e);
		if (pid < 0)
			failed(in, c, setup.error, (int)-pid, W_END_START_ERROR);
		else
			started(in, c, pid, &e);
		ends_close(e.in, 2);
		ends_close(e.out, 2);
		ends_close(e.err, 2);
		ends_close(e.report, 2);
	}
	ops_unmap(ops, size);
	sys(madvise, stack, sizeof(stack), MADV_DONTNEED);
}

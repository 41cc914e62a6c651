/* spawn.c -- the process of a container, from its clone until it execs.
 *
 * It shares our memory and walks the ops of its container (setup.c).  The one of a pod's
 * first container may be made before there is a pod: it takes the steps that are the same for
 * all (W_AHEAD_OPS), sleeps, and goes on with its own.  Where those do not begin like that
 * (a terminal, a privileged container, a /dev/shm that is shared), it is ended and another
 * is made, as if it had never been.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg);

enum { STACK = 64 << 10 };

static char stack[STACK] __attribute__((aligned(4096)));
static struct setup setup;

static struct {
	int pid; /* 0: there is none */
	int pidfd, done, word;
	struct ends ends;
	const struct ops_head *ops;
	size_t size;
} ahead;

/* ---- pipes ---- */

static void
pair_close(int fd[2])
{
	for (int i = 0; i < 2; i++) {
		drop(fd[i]);
		fd[i] = -1;
	}
}

void
ends_close(struct ends *e)
{
	pair_close(e->in);
	pair_close(e->out);
	pair_close(e->err);
	pair_close(e->report);
}

static int
ends_open(const struct w_container *conf, struct ends *e)
{
	long r = 0;

	*e = (struct ends){ { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (conf->tty) /* the terminal's master comes back through it */
		return (int)sys(socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, e->report);
	if (conf->stdin_open)
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

void
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

/* ---- the process ---- */

/* The files of a run; whoever the container runs as may write its last words. */
static long
own_open(uint32_t root, bool last_words, int *ret_word)
{
	long own = files_new();

	*ret_word = -1;
	if (own < 0 || !last_words)
		return own;
	*ret_word =
	    (int)sys(openat, own, OWN_TERM, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (*ret_word >= 0)
		sys(fchmod, *ret_word, 0666);
	if (*ret_word >= 0 && root)
		sys(fchown, *ret_word, root, root);
	return own;
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

/* Clones the child that walks `setup`.  The mount namespace it leaves by pivot_root; a new
 * pid namespace makes it 1 of its own; net, ipc and uts are the pod's, so it shares ours.
 * Returns when it has exec'ed or failed, and with that left the memory it shares; with
 * ret_done at once, and then that pipe ends when it has. */
static long
child_make(const struct op *group, uint64_t flags, int *ret_pidfd, int *ret_done)
{
	/* One that its parent waits for has an oom_score_adj of its own: else the kernel looks
	 * for all who share its memory, among all processes, and gives us the same. */
	struct clone_args a = {
		.flags =
		    CLONE_VM | CLONE_PIDFD | CLONE_NEWNS | flags | (ret_done ? 0 : CLONE_VFORK),
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	int done[2] = { -1, -1 };
	const char *what = "(clone3)";
	long fd = -1, pid = 0;

	if (group && group->flags & 1) { /* v2: born in its group */
		fd = sys(openat, AT_FDCWD, op_text(group, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
		what = fd < 0 ? op_text(group, 1) : what;
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)fd;
		pid = fd < 0 ? fd : 0;
	}
	if (pid >= 0 && ret_done)
		pid = sys(pipe2, done, O_CLOEXEC);
	if (pid >= 0)
		pid = clone_run(&a, sizeof(a), setup_run, &setup);
	drop((int)fd);
	drop(done[1]);
	if (pid < 0) {
		*ret_pidfd = -1; /* the kernel wrote one before it failed, and took it back */
		drop(done[0]);
		if (group)
			setup_fail(&setup, group, what, (int)pid);
		return pid;
	}
	if (ret_done)
		*ret_done = done[0];
	return pid;
}

static void
child_wait(int done)
{
	char byte;

	while (sys(read, done, &byte, 1) == -EINTR)
		; /* its end: the exec closed it, or the exit */
	sys(close, done);
}

static struct setup
setup_of(const struct init *in, const struct ends *e, int own)
{
	return (struct setup){ .exe = -1,
			       .caps = in->pod.caps,
			       .stdio = { e->in[0], e->out[1], e->err[1] },
			       .target = -1,
			       .own = own,
			       .gate = -1,
			       .user_ns = in->pod.id_base ? W_FD_USER : -1,
			       .id_base = in->pod.id_base,
			       .report = e->report[1] };
}

/* ---- ahead ---- */

/* Until it waits, or failed: who takes the sandbox renames what it mounts.  Nobody else asks
 * for anything yet.  One that was killed says nothing. */
static void
ahead_wait(void)
{
	const struct timespec look = { 0, 100000000 };
	siginfo_t si = { 0 };

	while (__atomic_load_n(&setup.ready, __ATOMIC_ACQUIRE) == 0 && si.si_pid == 0) {
		sys(futex, &setup.ready, FUTEX_WAIT_PRIVATE, 0, &look, NULL, 0);
		sys(waitid, P_PID, ahead.pid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL);
	}
}

void
spawn_ahead(struct init *in)
{
	const struct w_container plain = { 0 };
	char **scratch;
	int own;

	ahead.word = ahead.pidfd = ahead.done = -1;
	ahead.ops = ops_map(W_FD_DIR, W_AHEAD_OPS, &scratch, &ahead.size);
	if (!ahead.ops)
		return;
	own = ends_open(&plain, &ahead.ends) < 0
		  ? -1
		  : (int)own_open(in->pod.id_base, true, &ahead.word);
	setup = setup_of(in, &ahead.ends, own);
	setup.ahead = ahead.ops;
	if (own >= 0)
		ahead.pid = (int)child_make(op_find(ahead.ops, OP_CGROUP), CLONE_NEWPID,
					    &ahead.pidfd, &ahead.done);
	drop(own);
	if (ahead.pid <= 0) { /* the pod's first container is made when it is asked for */
		ends_close(&ahead.ends);
		drop(ahead.word);
		ops_unmap(ahead.ops, ahead.size);
		ahead.pid = 0;
		return;
	}
	ahead_wait();
}

static void
ahead_forget(void)
{
	sys(close, ahead.pidfd);
	sys(close, ahead.done);
	drop(ahead.word);
	ends_close(&ahead.ends);
	ops_unmap(ahead.ops, ahead.size);
	ahead.pid = 0;
}

bool
spawn_ahead_ended(int pid)
{
	if (!ahead.pid || pid != ahead.pid)
		return false;
	ahead_forget();
	return true;
}

static void
ahead_end(void)
{
	int status;

	sys(kill, ahead.pid, SIGKILL);
	sys(wait4, ahead.pid, &status, __WALL, NULL);
	ahead_forget();
}

static bool
ahead_fits(const struct container *c, const struct ops_head *ops)
{
	int status;

	if (!ahead.pid)
		return false;
	if (sys(wait4, ahead.pid, &status, WNOHANG | __WALL, NULL) != 0) {
		ahead_forget(); /* it failed, or somebody ended it */
		return false;
	}
	if (c->restarts == 0 && !c->conf.tty && !c->conf.stdin_open && !c->conf.target &&
	    !setup.err && ops_begin_with(ops, ahead.ops))
		return true;
	ahead_end();
	return false;
}

static int
ahead_go(struct container *c, struct ends *ret)
{
	int done = ahead.done;

	if (op_find(setup.ops, OP_TERMLOG)) {
		c->word = ahead.word;
		ahead.word = -1;
	}
	c->pidfd = ahead.pidfd;
	*ret = ahead.ends;
	__atomic_store_n(&setup.go, 1, __ATOMIC_RELEASE);
	sys(futex, &setup.go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return done;
}

/* ---- */

static long
spawn_now(const struct init *in, struct container *c, const struct ops_head *ops,
	  char **scratch, struct ends *e)
{
	uint64_t flags = in->pod.flags & W_SHARED_PIDS || c->conf.target ? 0 : CLONE_NEWPID;
	int r = ends_open(&c->conf, e);
	long pid = r, target = -1;

	setup = setup_of(
	    in, e, (int)own_open(in->pod.id_base, op_find(ops, OP_TERMLOG) != NULL, &c->word));
	setup.ops = ops;
	setup.container = c->conf.name;
	setup.run = c->restarts;
	setup.owned = c->owned;
	setup.scratch = scratch;
	setup.tty = c->conf.tty;
	setup.gate = in->gated ? in->hand : -1;
	if (r >= 0 && c->conf.target)
		pid = target_enter(in, c, &target);
	if (pid < 0)
		setup_fail(&setup, op_find(ops, OP_EXEC), r < 0 ? "(pipes)" : "", (int)pid);
	else
		pid = child_make(op_find(ops, OP_CGROUP), flags, &c->pidfd, NULL);
	target_leave(target);
	drop(setup.own);
	return pid;
}

long
spawn(struct init *in, struct container *c, const struct ops_head *ops, char **scratch,
      struct ends *e, const struct setup **ret)
{
	bool there = ahead_fits(c, ops);
	long pid = ahead.pid;

	*ret = &setup;
	if (there) {
		setup.ops = ops;
		setup.container = c->conf.name;
		setup.scratch = scratch;
		setup.gate = in->gated ? in->hand : -1;
		child_wait(ahead_go(c, e));
	} else {
		pid = spawn_now(in, c, ops, scratch, e);
	}
	c->owned = setup.owned; /* what the child did is ours: its memory is */
	/* Not while it begins: the disk may be slow.  Before anybody hears that it runs. */
	log_start(&c->log, &in->pod, c->conf.name, c->restarts);
	if (there) { /* it had no further use for what it began with */
		drop(ahead.word);
		ops_unmap(ahead.ops, ahead.size);
		ahead.pid = 0;
	}
	sys(madvise, stack, sizeof(stack), MADV_DONTNEED);
	return pid;
}

/* exec.c -- one more process in a running container, with its rights.
 *
 * A helper that shares our memory joins the container and drops everything;
 * then it forks the process proper into the pid namespace (setup.c), as our
 * child, so that its end is ours to wait for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg);

static char stack[64 << 10] __attribute__((aligned(4096)));
static struct setup setup;

static struct exec *
exec_new(struct init *in, int64_t id)
{
	for (int i = 0; i < EXECS; i++)
		if (!in->execs[i].id) {
			in->execs[i] = (struct exec){ .id = id, .pid = -1, .err_fd = -1 };
			if (i >= in->execs_used)
				in->execs_used = i + 1;
			return &in->execs[i];
		}
	return NULL;
}

static void
refuse(struct exec *x, int code, const char *why)
{
	struct text t = TEXT(x->error);

	text_add(&t, why);
	x->code = code;
	x->done = true;
}

/* The words as a NULL-terminated list in front of the scratch room, which has a place for so
 * many: a message may hold more. */
static bool
words_split(char *words, size_t len, uint32_t argc, char **argv)
{
	if (argc == 0 || argc > W_WORDS || len == 0 || words[len - 1])
		return false;
	for (uint32_t i = 0; i < argc; i++) {
		size_t n;

		if (len == 0)
			return false;
		argv[i] = words;
		n = strlen(words) + 1;
		words += n;
		len -= n;
	}
	argv[argc] = NULL;
	return len == 0;
}

static long
joiner_make(const struct ops_head *ops)
{
	const struct op *group = op_find(ops, OP_CGROUP);
	struct clone_args a = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long fd = -1, pid;
	int status;

	if (group && group->flags & 1) {
		fd = sys(openat, AT_FDCWD, op_text(group, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)fd;
	}
	pid = clone_run(&a, sizeof(a), setup_run, &setup);
	if (fd >= 0)
		sys(close, fd);
	if (pid >= 0)
		sys(wait4, pid, &status, __WALL, NULL);
	return pid;
}

/* The words lie in front of the scratch room; x is done when this fails. */
static void
begin(struct init *in, struct exec *x, struct container *c, const struct ops_head *ops,
      char **scratch, uint32_t argc, const int fds[3], uint32_t flags)
{
	int report[2], exe = -1;
	long pid;

	/* Sealed, and so safe from whom it meets there (CVE-2019-5736). */
	if (flags & W_EXEC_COPY)
		exe = (int)sys(openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (flags & W_EXEC_COPY && exe < 0) {
		refuse(x, 126, "kedge-init cannot open itself");
		return;
	}
	if (sys(pipe2, report, O_CLOEXEC | O_NONBLOCK) < 0) {
		refuse(x, 126, "the command could not be prepared");
		drop(exe);
		return;
	}
	setup = (struct setup){ .ops = ops,
				.container = c->conf.name,
				.caps = in->pod.caps,
				.run = c->restarts,
				.stdio = { fds[0], fds[1], fds[2] },
				.join = true,
				.tty = flags & W_EXEC_TTY,
				.exe = exe,
				.user_ns = in->pod.id_base ? W_FD_USER : -1,
				.id_base = in->pod.id_base,
				.target = c->pidfd,
				.gate = -1,
				.argv = scratch,
				.scratch = scratch + argc + 1,
				.report = report[1] };
	pid = joiner_make(ops);
	sys(close, report[1]);
	drop(exe);
	x->err_fd = report[0];
	if (pid < 0 || setup.err || !setup.child)
		refuse(x, 126, setup.err ? setup.error : "no process could be made");
	else
		x->pid = setup.child;
	if (x->done)
		sys(close, x->err_fd);
	sys(madvise, stack, sizeof(stack), MADV_DONTNEED);
}

void
exec_begin(struct init *in, const struct w_msg *m, char *words, size_t len, const int fds[3])
{
	struct container *c = m->container < in->pod.n ? &in->c[m->container] : NULL;
	struct exec *x = exec_new(in, m->id);
	const struct ops_head *ops;
	char **scratch;
	size_t size;

	if (!x) {
		/* The hand keeps count, but those that a hand before it left may not be gone.
		 */
		hand_refuse(in, m->id, "too many commands run in this pod");
		return;
	}
	if (!c || c->state != W_RUNNING || fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		refuse(x, 126, "the container is not running");
		return;
	}
	x->timeout_s = (int32_t)m->arg;
	if (m->arg > 0)
		x->kill_at = now_boot() + m->arg * 1000;
	ops = ops_map(W_FD_DIR, c->conf.name, &scratch, &size);
	if (!ops || !words_split(words, len, m->argc, scratch))
		refuse(x, 126, "the command could not be prepared");
	else
		begin(in, x, c, ops, scratch, m->argc, fds, m->flags);
	if (ops)
		ops_unmap(ops, size);
}

bool
exec_hook(struct init *in, struct container *c, const struct op *argv,
	  const struct ops_head *ops, char **scratch)
{
	static const int null[3] = { 0, 1, 2 }; /* what we were born with */
	struct exec *x = exec_new(in, -1);
	const char *word = argv->text;

	if (!x)
		return false;
	x->container = (int)c->index;
	x->run = c->restarts;
	x->hook = c->hook;
	for (uint32_t i = 0; i < argv->nstr; i++, word += strlen(word) + 1)
		scratch[i] = (char *)word;
	scratch[argv->nstr] = NULL;
	begin(in, x, c, ops, scratch, argv->nstr, null, 0);
	if (x->done)
		x->id = 0;
	return !x->done;
}

/* Meanwhile its container may be at its other hook, or in another run. */
static void
hook_over(struct init *in, const struct exec *x)
{
	struct container *c = &in->c[x->container];

	if (c->hook == x->hook && c->restarts == x->run)
		hook_ended(in, c, x->code == 0);
}

bool
exec_ended(struct init *in, int pid, int status)
{
	for (int i = 0; i < in->execs_used; i++) {
		struct exec *x = &in->execs[i];
		char said[sizeof(x->error)];
		struct text t = TEXT(x->error);
		long n;

		if (!x->id || x->done || x->pid != pid)
			continue;
		n = sys(read, x->err_fd, said, sizeof(said));
		sys(close, x->err_fd);
		x->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (n > 1)
			text_addn(&t, said + 1, (size_t)n - 1);
		if (x->late) {
			text_add(&t, "command timed out after ");
			text_num(&t, (uint64_t)x->timeout_s, 1);
			text_add(&t, "s");
		}
		x->done = true;
		if (x->id < 0)
			hook_over(in, x);
		if (in->hand < 0 || x->id < 0)
			x->id = 0;
		return true;
	}
	return false;
}

void
exec_end_all(struct init *in)
{
	for (int i = 0; i < in->execs_used; i++) {
		struct exec *x = &in->execs[i];

		if (x->id > 0 && x->done)
			x->id = 0;
		else if (x->id > 0)
			sys(kill, x->pid, SIGKILL);
	}
}

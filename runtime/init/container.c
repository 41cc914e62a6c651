/* container.c -- the life of one container: start, exit, start again.
 *
 * Back-off as the kubelet does it: the first restart comes at once, then 10 s,
 * doubling to 5 min; a run of more than 10 min clears it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "runtime/init/init.h"

enum { BACKOFF_FIRST = 10, BACKOFF_MAX = 300 };

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

static void
runs_as(struct container *c, const struct setup *s)
{
	c->has_run = true;
	c->as = (struct w_as){ .uid = s->uid,
			       .gid = s->gid,
			       .stop_signal = c->stop_signal,
			       .ngroups = s->ngroups };
	memcpy(c->as.groups, s->groups, s->ngroups * sizeof(*s->groups));
}

/* The new process runs, unless `s` says otherwise. */
static void
started(struct init *in, struct container *c, long pid, const struct setup *s, struct ends *e)
{
	int status = 0;

	in->gated &= s->gate >= 0;
	if (s->err) {
		sys(wait4, pid, &status, __WALL, NULL);
		sys(close, c->pidfd);
		c->pidfd = -1;
		if (s->end == W_END_ABORTED)
			aborted(in, c);
		else
			failed(in, c, s->error, s->err, s->end);
		return;
	}
	c->pid = (int)pid;
	c->state = W_RUNNING;
	runs_as(c, s);
	c->started = !c->conf.startup_probe;
	ends_keep(c, e);
	if (c->hooks & 1 << W_HOOK_POST_START)
		hook_begin(in, c, W_HOOK_POST_START);
}

/* What it was before becomes what it was last. */
static void
begin_again(struct container *c)
{
	char *swap = c->last_text;

	c->last = c->now;
	c->last_text = c->text;
	c->text = swap;
	c->restarts++;
	c->backoff_s = !c->backoff_s                    ? BACKOFF_FIRST
		       : c->backoff_s * 2 < BACKOFF_MAX ? c->backoff_s * 2
							: BACKOFF_MAX;
}

/* What the hand compiled since its last run is this one's.  Not earlier: what is executed in
 * a container is to see what it sees. */
static void
ops_renew(const struct container *c)
{
	char next[W_NAME + 8], name[W_NAME + 8];
	struct text a = TEXT(next), b = TEXT(name);

	text_add(&a, c->conf.name);
	text_add(&a, ".next");
	text_add(&b, c->conf.name);
	text_add(&b, ".ops");
	sys(renameat2, W_FD_DIR, next, W_FD_DIR, name, 0);
}

void
container_start(struct init *in, struct container *c)
{
	const struct ops_head *ops;
	const struct setup *how;
	char **scratch;
	size_t size;
	struct ends e;
	long pid;

	if (c->began)
		begin_again(c);
	c->now = (struct w_run){ .started_at = now_ms() };
	c->began = c->dirty = true;
	c->other = false;
	c->not_before = 0;
	c->began_boot = now_boot();
	ops_renew(c);
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
	c->oom_before = c->restarts ? oom_kills(c) : 0; /* its group is as new as itself */
	pid = spawn(in, c, ops, scratch, &e, &how);
	if (pid < 0)
		failed(in, c, how->error, (int)-pid, W_END_START_ERROR);
	else
		started(in, c, pid, how, &e);
	ends_close(&e);
	ops_unmap(ops, size);
}

/* setup.c -- the child between clone and exec: walks the ops of its container.
 *
 * The first op that fails ends it: what failed, on what and why is left in
 * struct setup, which the parent reads after the child is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/init/init.h"

enum { JOIN = 1 };

static const struct {
	const char *words;
	int join;
} op_facts[OP_COUNT] = {
#define OP(name, words, join) [OP_##name] = { words, join },
#include "runtime/init/ops.def"
#undef OP
};

static const struct {
	int err;
	const char *words;
} err_words[] = {
	{ EPERM, "Operation not permitted" },
	{ ENOENT, "No such file or directory" },
	{ EIO, "Input/output error" },
	{ E2BIG, "Argument list too long" },
	{ ENOEXEC, "Exec format error" },
	{ EAGAIN, "Resource temporarily unavailable" },
	{ ENOMEM, "Cannot allocate memory" },
	{ EACCES, "Permission denied" },
	{ EBUSY, "Device or resource busy" },
	{ EEXIST, "File exists" },
	{ EXDEV, "Invalid cross-device link" },
	{ ENODEV, "No such device" },
	{ ENOTDIR, "Not a directory" },
	{ EISDIR, "Is a directory" },
	{ EINVAL, "Invalid argument" },
	{ EMFILE, "Too many open files" },
	{ ETXTBSY, "Text file busy" },
	{ ENOSPC, "No space left on device" },
	{ EROFS, "Read-only file system" },
	{ ENAMETOOLONG, "File name too long" },
	{ ENOSYS, "Function not implemented" },
	{ ELOOP, "Too many levels of symbolic links" },
	{ EOPNOTSUPP, "Operation not supported" },
	{ EDQUOT, "Disk quota exceeded" },
	{ ECANCELED, "Operation canceled" },
};

void
text_err(struct text *t, int err)
{
	err = err < 0 ? -err : err;
	for (size_t i = 0; i < sizeof(err_words) / sizeof(*err_words); i++)
		if (err_words[i].err == err) {
			text_add(t, err_words[i].words);
			return;
		}
	text_add(t, "error ");
	text_num(t, (uint64_t)err, 1);
}

int
setup_fail(struct setup *s, const struct op *op, const char *what, int err)
{
	struct text t = TEXT(s->error);

	err = err < 0 ? -err : err;
	if (s->err)
		return -1;
	s->err = err;
	text_add(&t, op_facts[op->code].words);
	if (what && *what) {
		text_add(&t, " ");
		text_add(&t, what);
	}
	text_add(&t, ": ");
	text_err(&t, err);
	return -1;
}

const char *
op_text(const struct op *op, unsigned i)
{
	const char *s = op->text;

	if (i >= op->nstr)
		return "";
	while (i-- > 0)
		s += strlen(s) + 1;
	return s;
}

static const struct op *
op_next(const struct ops_head *h, const struct op *op)
{
	const char *at = op ? (const char *)op + op->len : (const char *)(h + 1);

	return at < (const char *)h + h->size ? (const struct op *)at : NULL;
}

const struct op *
op_find(const struct ops_head *h, int code)
{
	for (const struct op *op = op_next(h, NULL); op; op = op_next(h, op))
		if (op->code == code)
			return op;
	return NULL;
}

static bool
op_among(const struct ops_head *h, const struct op *op)
{
	for (const struct op *o = op_next(h, NULL); o; o = op_next(h, o))
		if (o->len == op->len && memcmp(o, op, op->len) == 0)
			return true;
	return false;
}

/* What hears of the host's mounts, or shares its own with it, begins otherwise. */
bool
ops_begin_with(const struct ops_head *ops, const struct ops_head *ahead)
{
	const struct op *root = op_find(ops, OP_ROOT), *room = op_find(ahead, OP_ROOM);

	if (!root || !room || root->flags || root->num[0] != room->num[0] ||
	    op_find(ops, OP_SHARE))
		return false;
	for (unsigned i = 2; i < 2 + room->num[0]; i++)
		if (strcmp(op_text(root, i), op_text(room, i)))
			return false;
	for (const struct op *op = op_next(ahead, NULL); op; op = op_next(ahead, op))
		if (op != room && op->code != OP_LAYERS && op->code != OP_LEAVE &&
		    !op_among(ops, op))
			return false;
	return true;
}

/* It has as many texts as it says, each with its end; what it says of them fits, too. */
static bool
op_sound(const struct op *op)
{
	uint32_t left = op->nstr;

	for (uint32_t i = 0; i < op->bytes && left; i++)
		left -= !op->text[i];
	if (op->code == OP_EXEC && (uint64_t)op->num[0] > op->nstr)
		return false;
	if (op->code == OP_SECCOMP &&
	    (uint64_t)op->num[0] > op->bytes / sizeof(struct sock_filter))
		return false;
	return left == 0;
}

/* The lengths in the file add up and every string ends: after this the walk needs no checks. */
static bool
ops_sound(const struct ops_head *h, size_t size)
{
	size_t at = sizeof(*h);

	if (size < sizeof(*h) || h->magic != OPS_MAGIC || h->size != size)
		return false;
	while (at < size) {
		const struct op *op = (const void *)((const char *)h + at);

		if (size - at < sizeof(*op) || op->len < sizeof(*op) || op->len % 8 ||
		    op->len > size - at || op->bytes > op->len - sizeof(*op) ||
		    op->code >= OP_COUNT || !op_sound(op))
			return false;
		at += op->len;
	}
	return true;
}

/* Reads NAME.ops into memory of its own, with room for pointers behind it. */
const struct ops_head *
ops_map(int dir, const char *container, char ***ret_scratch, size_t *ret_size)
{
	char name[W_NAME + 8];
	struct text t = TEXT(name);
	struct stat st;
	size_t room;
	void *at;
	long fd, n;

	text_add(&t, container);
	text_add(&t, ".ops");
	fd = sys(openat, dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	if (sys(fstat, fd, &st) < 0 || st.st_size > OPS_MAX) {
		sys(close, fd);
		return NULL;
	}
	/* a string takes at least one byte, so this is room for a pointer to each, and to
	 * each word of an exec */
	room = (size_t)st.st_size * 2 + W_WORDS;
	at = (void *)sys(mmap, NULL, room * 8, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((unsigned long)at >= -4095UL) {
		sys(close, fd);
		return NULL;
	}
	n = sys(read, fd, at, st.st_size);
	sys(close, fd);
	if (n != st.st_size || !ops_sound(at, (size_t)n)) {
		ops_unmap(at, room * 8);
		return NULL;
	}
	*ret_scratch = (char **)((char *)at + ((size_t)n + 15) / 16 * 16);
	*ret_size = room * 8;
	return at;
}

void
ops_unmap(const struct ops_head *h, size_t size)
{
	sys(munmap, h, size);
}

/* v2: the clone put us into the group already.  v1: "0" into `tasks` moves this
 * thread, our only one, without the lock for whole processes, whose price is a
 * grace period for each hierarchy.  Only then the cgroup namespace, so that the
 * container's group is its root (CVE-2023-25809). */
static int
op_cgroup(struct setup *s, const struct op *op)
{
	for (unsigned i = 1; !(op->flags & 1) && i < op->nstr; i++) {
		long fd = sys(openat, AT_FDCWD, op_text(op, i), O_WRONLY | O_CLOEXEC), n;

		if (fd < 0)
			return setup_fail(s, op, op_text(op, i), (int)fd);
		n = sys(write, fd, "0", 1);
		sys(close, fd);
		if (n < 0)
			return setup_fail(s, op, op_text(op, i), (int)n);
	}
	if (s->join) {
		/* By pidfd, which cannot mean another process.  From here on "/" is the
		 * container's; the pid namespace is only for the child to come. */
		long r = sys(setns, s->target, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP);

		return r < 0 ? setup_fail(s, op, "of the container", (int)r) : 0;
	}
	long r = sys(unshare, CLONE_NEWCGROUP);

	return r < 0 ? setup_fail(s, op, "namespace", (int)r) : 0;
}

/* Through the host's own procfs, before the image is in reach (CVE-2019-19921,
 * CVE-2025-52881).  Lowering it needs a capability that kedge may lack: then the
 * container keeps what kedge itself has. */
static int
op_oom(struct setup *s, const struct op *op)
{
	char number[24];
	struct text t = TEXT(number);
	long fd = s->oom >= 0
		      ? s->oom
		      : sys(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC),
	     n;

	s->oom = -1;
	if (fd < 0)
		return setup_fail(s, op, "", (int)fd);
	if (op->num[0] < 0)
		text_add(&t, "-");
	text_num(&t, (uint64_t)(op->num[0] < 0 ? -op->num[0] : op->num[0]), 1);
	n = sys(write, fd, number, t.len);
	sys(close, fd);
	return n < 0 && n != -EACCES && n != -EPERM ? setup_fail(s, op, number, (int)n) : 0;
}

static int
op_keyring(struct setup *s, const struct op *op)
{
	long r = sys(keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

	/* no keys at all in this kernel: nothing to keep apart */
	return r < 0 && r != -ENOSYS ? setup_fail(s, op, "", (int)r) : 0;
}

static int
op_limits(struct setup *s, const struct op *op)
{
	struct rlimit none = { 0, 0 };
	long r = sys(prlimit64, 0, RLIMIT_CORE, &none, NULL);

	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}

static int
op_chdir(struct setup *s, const struct op *op)
{
	const char *path = op_text(op, 0);
	char cwd[4096];
	long root = sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r;

	if (root < 0)
		return setup_fail(s, op, "/", (int)root);
	fd = path_make((int)root, path, false);
	sys(close, root);
	if (fd < 0)
		return setup_fail(s, op, path, (int)fd);
	r = sys(fchdir, fd);
	sys(close, fd);
	if (r < 0)
		return setup_fail(s, op, path, (int)r);
	/* A directory outside of the root would show as "(unreachable)/..." (CVE-2024-21626).
	 */
	r = sys(getcwd, cwd, sizeof(cwd));
	if (r < 0 || cwd[0] != '/')
		return setup_fail(s, op, path, r < 0 ? (int)r : EXDEV);
	return 0;
}

/* The pod is made while its network is: here they meet.  Our parent sleeps until we
 * exec, so nobody but us reads what the hand says: W_GO is taken, anything else is left to
 * the parent and, like silence for ever, the end of a pod that never was. */
static int
op_gate(struct setup *s, const struct op *op)
{
	struct pollfd p = { .fd = s->gate, .events = POLLIN };
	struct w_msg m = { 0 };
	long n;

	if (s->gate < 0)
		return 0;
	while ((n = sys(ppoll, &p, 1, NULL, NULL, 0)) == -EINTR)
		;
	if (n > 0)
		n = sys(recvfrom, s->gate, &m, sizeof(m), MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
	if (n != (long)sizeof(m) || m.type != W_GO) {
		s->end = W_END_ABORTED;
		return setup_fail(s, op, "", n < 0 ? (int)n : ECANCELED);
	}
	sys(recvfrom, s->gate, &m, sizeof(m), MSG_DONTWAIT, NULL, NULL);
	s->gate = -1;
	return 0;
}

static int
op_noprivs(struct setup *s, const struct op *op)
{
	long r = sys(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}

static int
op_seccomp(struct setup *s, const struct op *op)
{
	struct sock_fprog prog = { (unsigned short)op->num[0], (struct sock_filter *)op->text };
	long r = sys(seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);

	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}

static const char *
env_get(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (memcmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* The search of execvp: EACCES is remembered, what is missing is passed over. */
static int
exec_search(const char *file, char *const *argv, char *const *env)
{
	const char *path = env_get(env, "PATH");
	int err = -ENOENT;

	if (text_find(file, strlen(file), '/'))
		return (int)sys(execve, file, argv, env);
	if (!path || !*path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path && *file) {
		char full[4096];
		struct text t = TEXT(full);
		const char *colon = text_find(path, strlen(path), ':');
		size_t n = colon ? (size_t)(colon - path) : strlen(path);
		long r;

		text_addn(&t, path, n);
		text_add(&t, n ? "/" : "./");
		text_add(&t, file);
		r = sys(execve, full, argv, env);
		if (r == -EACCES)
			err = -EACCES;
		else if (r != -ENOENT && r != -ENOTDIR)
			return (int)r;
		path += n + (colon ? 1 : 0);
	}
	return err;
}

/* In runc's words, which users search for. */
static int
exec_fail(struct setup *s, const struct op *op, const char *file, int err)
{
	struct text t = TEXT(s->error);
	bool path = text_find(file, strlen(file), '/');
	const char *why = err == -EACCES            ? "permission denied"
			  : err == -ENOEXEC         ? "exec format error"
			  : err == -ENOENT && !path ? "executable file not found in $PATH"
						    : NULL;
	bool gone = err == -ENOENT && path && sys(faccessat, AT_FDCWD, file, F_OK) == -ENOENT;

	if (s->err || (!why && !gone))
		return setup_fail(s, op, file, err);
	s->err = -err;
	text_add(&t, "exec: \"");
	text_add(&t, file);
	text_add(&t, "\": ");
	if (gone) {
		text_add(&t, "stat ");
		text_add(&t, file);
	}
	text_add(&t, gone ? ": no such file or directory" : why);
	return -1;
}

/* Nothing but 0, 1, 2 goes along (CVE-2024-21626): the last step before exec. */
static int
op_exec(struct setup *s, const struct op *op)
{
	char **argv = s->scratch, **env = s->scratch + op->num[0] + 1, **at = argv;
	const char *text = op->text;
	char *const *run = s->argv ? s->argv : argv;
	uint64_t none = 0;
	int r;

	for (unsigned i = 0; i < op->nstr; i++, text += strlen(text) + 1) {
		if (i == op->num[0])
			*at++ = NULL;
		*at++ = (char *)text;
	}
	if (op->nstr == op->num[0])
		*at++ = NULL;
	*at = NULL;
	if (!env_get(env, "HOME")) {
		*at++ = s->home;
		*at = NULL;
	}
	if (s->tty && !env_get(env, "TERM")) { /* of an exec, as containerd has it */
		*at++ = (char *)"TERM=xterm";
		*at = NULL;
	}
	sys(umask, 022);
	sys(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	r = (int)sys(close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (r == 0 && s->exe >= 0)
		r = (int)sys(execveat, s->exe, "", run, env, AT_EMPTY_PATH);
	else if (r == 0)
		r = exec_search(run[0] ? run[0] : "", run, env);
	s->end = W_END_CANNOT_RUN;
	return exec_fail(s, op, run[0] ? run[0] : "", r);
}

/* Not a step of the start: hooks.c reads it. */
static int
op_later(struct setup *s, const struct op *op)
{
	(void)s;
	(void)op;
	return 0;
}

static int (*const op_calls[OP_COUNT])(struct setup *, const struct op *) = {
	[OP_CGROUP] = op_cgroup,      [OP_ROOT] = mount_root,
	[OP_ROOM] = mount_room,       [OP_LAYERS] = mount_layers,
	[OP_LEAVE] = mount_leave,     [OP_PROC] = mount_proc,
	[OP_DEV] = mount_dev,         [OP_SYS] = mount_sys,
	[OP_MASK] = mount_mask,       [OP_READONLY] = mount_readonly,
	[OP_VOLUME] = mount_volume,   [OP_IMAGE] = mount_image,
	[OP_SHARE] = mount_share,     [OP_OWN] = own_volume,
	[OP_TERMLOG] = files_termlog, [OP_SEAL] = mount_seal,
	[OP_PIVOT] = mount_pivot,     [OP_USER] = user_find,
	[OP_USERNS] = user_enter,     [OP_OOM] = op_oom,
	[OP_KEYRING] = op_keyring,    [OP_LIMITS] = op_limits,
	[OP_CHDIR] = op_chdir,        [OP_NOPRIVS] = op_noprivs,
	[OP_SECCOMP] = op_seccomp,    [OP_RIGHTS] = user_rights,
	[OP_POSTSTART] = op_later,    [OP_PRESTOP] = op_later,
	[OP_EXEC] = op_exec,          [OP_GATE] = op_gate,
	[OP_FILES] = files_begin,     [OP_FILE] = files_put,
};

/* The last child of an exec is born into the container's pid namespace only
 * now, with no more rights than the container has, so that nothing in there can take
 * over a process that still holds the host's (CVE-2016-9962). */
static int
exec_fork(struct setup *s, const struct op *op)
{
	long pid;
	char report[sizeof(s->error) + 1];
	struct text t = TEXT(report);

	pid = sys(clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return setup_fail(s, op, "", (int)pid);
	if (pid > 0) {
		s->child = (int)pid;
		return 0;
	}
	sys(setsid);
	if (s->tty)
		sys(ioctl, 0, TIOCSCTTY, 0);
	op_exec(s, op);
	text_add(&t, s->err == ENOENT ? "7" : "6"); /* 127 or 126 */
	text_add(&t, s->error);
	sys(write, s->report, report, t.len);
	sys_exit(s->err == ENOENT ? 127 : 126);
}

/* 0: all steps of the list were taken. */
static int
walk(struct setup *s, const struct ops_head *list)
{
	for (const struct op *op = op_next(list, NULL); op; op = op_next(list, op)) {
		if (s->join && op->code == OP_EXEC)
			return exec_fork(s, op);
		if (s->join && !(op_facts[op->code].join & JOIN))
			continue;
		if (s->ahead && list != s->ahead && op_among(s->ahead, op))
			continue;
		if (op_calls[op->code](s, op) < 0)
			return -1;
	}
	return 0;
}

/* What can be done before the pod is known, then a wait for it. */
static int
walk_ahead(struct setup *s)
{
	int r = walk(s, s->ahead);

	__atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
	sys(futex, &s->ready, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (r < 0)
		return -1;
	while (__atomic_load_n(&s->go, __ATOMIC_ACQUIRE) == 0)
		sys(futex, &s->go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	return 0;
}

int
setup_run(void *arg)
{
	struct setup *s = arg;

	s->root = s->room = s->layers = s->oom = -1;
	s->proc = s->sysfs = s->mask[0] = s->mask[1] = -1;
	s->end = W_END_START_ERROR;
	/* Nobody may trace us or read us through /proc before the exec (CVE-2016-9962). */
	sys(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!s->join) /* an exec's last child leads its own session */
		sys(setsid);
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0)
			sys(dup3, s->stdio[i], i, 0);
	if (user_act_as_root(s) < 0)
		return setup_fail(s, op_next(s->ahead ? s->ahead : s->ops, NULL),
				  "(as the pod's root)", EPERM);
	if (!s->ahead || walk_ahead(s) == 0)
		walk(s, s->ops);
	return 1;
}

/* restore.c -- see restore.h. */
#include "restore.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { FIND_SECONDS = 30 };

struct child {
	const char *path;
	char *const *argv;
	unsigned seconds;
	int in, out;
};

/* Runs on the parent's memory (CLONE_VM) while the parent waits: it only moves
 * descriptors and execs.  Everything else the parent has open is O_CLOEXEC.  It never
 * returns, so a sanitizer's marks around its frame would outlive its stack.  An alarm is kept
 * by execve(2), and ends a program that hangs. */
__attribute__((no_sanitize("address", "undefined"))) static int
child_main(void *p)
{
	static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	const struct child *c = p;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGALRM, SIG_DFL);
	alarm(c->seconds);
	if (dup2(c->in, 0) >= 0 && dup2(c->out, 1) >= 0 && dup2(c->out, 2) >= 0)
		execve(c->path, c->argv, env);
	_exit(127);
}

/* No SIGCHLD: whoever collects the caller's children does not see this one. */
static int
child_start(struct child *c, int *ret_pidfd, struct error **e)
{
	size_t size = 64 * 1024;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, was;
	int pid, pidfd = -1;

	if (stack == MAP_FAILED)
		return fail_sys(e, "start %s", c->path);
	/* A handler of ours must not run in the child, on our memory. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	pid = clone(child_main, stack + size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, c, &pidfd);
	sigprocmask(SIG_SETMASK, &was, NULL);
	munmap(stack, size);
	if (pid < 0)
		return fail_sys(e, "start %s", c->path);
	(void)fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	*ret_pidfd = pidfd;
	return 0;
}

static int
child_wait(int pidfd)
{
	siginfo_t info = { 0 };
	int rc;

	do
		rc = waitid(P_PIDFD, pidfd, &info, WEXITED | __WALL);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -1;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static void
read_all(int fd, struct buf *to)
{
	char part[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, part, sizeof part, at)) > 0) {
		buf_add(to, part, n);
		at += n;
	}
	while (to->len && isspace((unsigned char)to->at[to->len - 1]))
		to->at[--to->len] = 0;
}

/* -- which iptables --------------------------------------------------------- */

static const char missing[] =
    "iptables-restore is not installed, and without it no service can be reached: install the "
    "package iptables (Debian, Ubuntu, Alpine, Arch), or iptables-nft (Fedora, RHEL)";

static int
restore_path_v4(const char *asked, char **ret, struct error **e)
{
	static const char dirs[] = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin";
	const char *path = getenv("PATH");
	cleanup_buf struct buf all = { 0 };

	if (asked && access(asked, X_OK) < 0)
		return fail(e, WHY_UNABLE, "%s cannot be run: %s; %s", asked, strerror(errno),
			    missing);
	if (asked) {
		*ret = xstrdup(asked);
		return 0;
	}
	buf_addf(&all, "%s:%s", path ? path : "", path ? "" : dirs);
	for (char *at = all.at, *dir; (dir = strsep(&at, ":"));) {
		cleanup_free char *file = NULL;

		xasprintf(&file, "%s/iptables-restore", dir);
		if (*dir == '/' && access(file, X_OK) == 0) {
			*ret = steal_ptr(&file);
			return 0;
		}
	}
	return fail(e, WHY_UNABLE, "%s", missing);
}

/* "/usr/sbin/ip6tables-restore" of "/usr/sbin/iptables-restore". */
static int
restore_path(const char *asked, bool v6, char **ret, struct error **e)
{
	cleanup_free char *v4 = NULL;
	const char *name;

	if (!v6)
		return restore_path_v4(asked, ret, e);
	if (restore_path_v4(asked, &v4, e) < 0)
		return -1;
	name = strrchr(v4, '/');
	name = name ? name + 1 : v4;
	xasprintf(ret, "%.*sip6%s", (int)(name - v4), v4,
		  strncmp(name, "ip", 2) ? name : name + 2);
	if (access(*ret, X_OK) == 0)
		return 0;
	fail_sys(e, "%s cannot be run, and without it there is no IPv6 for pods", *ret);
	free(*ret);
	*ret = NULL;
	return -1;
}

int
restore_find(const char *asked, bool v6, char **ret_path, enum tables_kind *ret,
	     struct error **e)
{
	cleanup_free char *path = NULL;
	cleanup_close int null = -1, out = -1, pidfd = -1;
	cleanup_buf struct buf said = { 0 };
	int status;

	if (restore_path(asked, v6, &path, e) < 0)
		return -1;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		return fail_sys(e, "open /dev/null");
	out = memfd_create("iptables-version", MFD_CLOEXEC);
	if (out < 0)
		return fail_sys(e, "run %s", path);
	if (child_start(&(struct child){ path, (char *[]){ path, "-V", NULL }, FIND_SECONDS,
					 null, out },
			&pidfd, e) < 0)
		return -1;
	status = child_wait(pidfd);
	read_all(out, &said);
	if (status)
		return fail(e, WHY_UNABLE, "%s -V failed (%d): %s", path, status,
			    buf_text(&said));
	/* "iptables-restore v1.8.9 (nf_tables)"; before 1.8 there was only legacy and no
	 * word.  Taking one for the other would write rules beside those in force: no
	 * guesses. */
	if (strncmp(buf_text(&said), v6 ? "ip6tables" : "iptables", v6 ? 9 : 8))
		return fail(e, WHY_UNABLE, "%s -V does not say what it is: \"%s\"", path,
			    buf_text(&said));
	*ret = strstr(buf_text(&said), "nf_tables") ? TABLES_NFT : TABLES_LEGACY;
	*ret_path = steal_ptr(&path);
	return 0;
}

/* -- one commit ------------------------------------------------------------- */

static void
restore_done(struct restore *r)
{
	int *fds[] = { &r->pidfd, &r->in, &r->err };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int
restore_begin(struct restore *ret, const char *path, unsigned seconds, const struct buf *text,
	      struct error **e)
{
	struct restore r = { .seconds = seconds, .pidfd = -1, .in = -1, .err = -1 };
	char *argv[] = { (char *)path, "-w", "5", "--noflush", NULL };
	size_t at = 0;
	ssize_t n;

	r.in = memfd_create("iptables-rules", MFD_CLOEXEC);
	r.err = memfd_create("iptables-said", MFD_CLOEXEC);
	if (r.in < 0 || r.err < 0)
		goto sys;
	for (; at < text->len; at += n) {
		n = write(r.in, text->at + at, text->len - at);
		if (n < 0 && errno != EINTR)
			goto sys;
		n = n < 0 ? 0 : n;
	}
	if (lseek(r.in, 0, SEEK_SET) < 0)
		goto sys;
	if (child_start(&(struct child){ path, argv, seconds, r.in, r.err }, &r.pidfd, e) < 0) {
		restore_done(&r);
		return -1;
	}
	*ret = r;
	return 0;
sys:
	fail_sys(e, "prepare the rules for %s", path);
	restore_done(&r);
	return -1;
}

/* The number after the word "line", in whichever of its sentences it said it. */
static unsigned
line_of(const char *said)
{
	const char *at = said;

	while ((at = strstr(at, "line"))) {
		at += strlen("line");
		at += strspn(at, ": ");
		if (isdigit((unsigned char)*at))
			return strtoul(at, NULL, 10);
	}
	return 0;
}

void
restore_quote(const struct buf *text, unsigned line, struct buf *to)
{
	const char *at = buf_text(text);

	while (line > 1 && at && *at) {
		at = strchr(at, '\n');
		at = at ? at + 1 : at;
		line--;
	}
	if (line == 1 && at && *at)
		buf_addf(to, "; that line is \"%.*s\"", (int)strcspn(at, "\n"), at);
}

int
restore_end(struct restore *r, struct error **e)
{
	cleanup_buf struct buf said = { 0 }, text = { 0 }, quote = { 0 };
	int status = child_wait(r->pidfd);

	r->late = status == 128 + SIGALRM;
	if (status == 0) {
		restore_done(r);
		return 0;
	}
	read_all(r->err, &said);
	read_all(r->in, &text);
	restore_done(r);
	for (char *c = said.at; c && *c; c++)
		if (*c == '\n')
			*c = ' ';
	restore_quote(&text, line_of(buf_text(&said)), &quote);
	if (r->late)
		return fail(
		    e, WHY_IO,
		    "iptables-restore did not end within %u s (limits.rulesSeconds) and was "
		    "killed; what it said: \"%s\"",
		    r->seconds, buf_text(&said));
	if (status == 127)
		return fail(e, WHY_UNABLE, "iptables-restore could not be run: %s", missing);
	return fail(e, WHY_IO, "iptables-restore failed (%d): %s%s", status, buf_text(&said),
		    buf_text(&quote));
}

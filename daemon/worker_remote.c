/* worker_remote.c -- a repository elsewhere: https://, ssh://, asked now and then.
 *
 * Each question is put by a child of its own, for libgit2 waits for as long as
 * the server likes: the child has deadlines, and its end is the answer.  It
 * fetches into a bare repository of the worker's own; what is sent to the brain
 * is then read from there, as from any local repository.  Certificates and host
 * keys are always checked; a token goes to the host it was given for alone.
 */
#include "worker_remote.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "spawn.h"
#include "worker_git.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	INTERVAL_S = 30,     /* between questions, unless the user says otherwise */
	BACKOFF_MAX_S = 600, /* after failures, doubling */
	FETCH_MS = 600000,   /* for a whole fetch */
	ANSWER_MAX = 4096,
};

struct remote_source {
	git_repository *repo;  /* the cache */
	const char *user_home; /* HOME as it was given to us */
	unsigned failures;
	unsigned seed;
};

/* ---- opening ---- */

static int
make_folders(const char *path, struct error **e)
{
	cleanup_free char *p = xstrdup(path);

	for (char *s = p + 1; *s; s++)
		if (*s == '/') {
			*s = 0;
			if (mkdir(p, 0700) < 0 && errno != EEXIST)
				return fail_sys(e, "make %s", p);
			*s = '/';
		}
	if (mkdir(p, 0700) < 0 && errno != EEXIST)
		return fail_sys(e, "make %s", p);
	return 0;
}

static int
copy_file(const char *from, const char *to, struct error **e)
{
	cleanup_fclose FILE *in = fopen(from, "re"), *out = NULL;
	char bytes[8192];
	size_t n;

	if (!in)
		return fail_sys(e, "%s", from);
	if (!(out = fopen(to, "we")))
		return fail_sys(e, "%s", to);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		if (fwrite(bytes, 1, n, out) != n)
			return fail_sys(e, "%s", to);
	return fflush(out) ? fail_sys(e, "%s", to) : 0;
}

/* libgit2 looks into $HOME/.ssh/known_hosts; it gets a home with that and no more,
 * so that no .gitconfig of anybody is read on the way. */
static int
make_home(struct worker *w, const char *user_home, struct error **e)
{
	cleanup_free char *dir = NULL, *to = NULL, *own = NULL;
	const char *from = w->args->knownHosts;

	xasprintf(&dir, "%s/home/.ssh", w->args->cache);
	if (make_folders(dir, e))
		return -1;
	if (!remote_is_ssh(w->args->url))
		return 0;
	xasprintf(&to, "%s/known_hosts", dir);
	xasprintf(&own, "%s/.ssh/known_hosts", user_home);
	if (!from || !*from)
		from = access("/etc/kedge/known_hosts", R_OK) ? own : "/etc/kedge/known_hosts";
	if (access(from, R_OK))
		return fail(e, WHY_NOT_FOUND,
			    "%s: no host keys to check it against in %s: put the line that "
			    "ssh-keyscan prints there, once you know it is the right one",
			    w->args->url,
			    w->args->knownHosts ? from : "/etc/kedge/known_hosts");
	return copy_file(from, to, e);
}

/* The walls: what name lookup, certificates and keys need, and the cache. */
static void
wall_in(struct worker *w)
{
	const char *readable[16] = { SANDBOX_NETWORK };
	const char *files[] = { w->args->knownHosts, w->args->sshKey, w->args->tokenFile,
				w->args->caFile };
	size_t n = 0;

	while (readable[n])
		n++;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (files[i] && *files[i])
			readable[n++] = files[i];
	sandbox_enter("source", readable, (const char *const[]){ w->args->cache, NULL });
}

static int
remote_open(struct worker *w, struct error **e)
{
	git_repository_init_options o = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	cleanup_free char *repo = NULL, *home = NULL;
	const char *user_home = getenv("HOME") ? getenv("HOME") : "/nonexistent";
	struct remote_source *r;
	int rc;

	if (remote_check_url(w->args->url, e))
		return -1;
	if (!w->args->cache || !*w->args->cache)
		return fail(e, WHY_INVALID, "%s: no place to fetch to was given", w->args->url);
	if (make_folders(w->args->cache, e) || make_home(w, user_home, e))
		return -1;
	r = xcalloc(1, sizeof *r);
	r->user_home = arena_strdup(&w->arena, user_home);
	r->seed = (unsigned)getpid();
	xasprintf(&repo, "%s/repo.git", w->args->cache);
	xasprintf(&home, "%s/home", w->args->cache);
	setenv("HOME", home, 1);
	if (w->args->caFile && *w->args->caFile)
		git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, w->args->caFile, NULL);
	o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
	o.mode = 0700;
	rc = git_repository_init_ext(&r->repo, repo, &o);
	if (rc) {
		free(r);
		return fail_git(e, rc, "open %s (it may be removed)", repo);
	}
	w->path = arena_strdup(&w->arena, w->args->url); /* what messages speak of */
	w->state = r;
	wall_in(w);
	return worker_say_writable(w, "it is not on this host", e);
}

/* ---- asking ---- */

/* The child's whole life: its last words go into the pipe, nothing said is success. */
static _Noreturn void
child(struct worker *w, int pipe)
{
	struct remote_source *r = w->state;
	struct error *e = NULL;
	const char *text;
	size_t n;

	signal(SIGALRM, SIG_DFL);
	if (remote_fetch(w->args, r->repo, &e) == 0)
		_exit(0);
	text = error_text(e);
	n = strlen(text);
	if (write(pipe, text, n < ANSWER_MAX ? n : ANSWER_MAX) < 0)
		_exit(2);
	_exit(1);
}

/* Waits for the child's end, or the brain's, or the deadline. */
static size_t
await(struct worker *w, pid_t pid, int pipe, char answer[ANSWER_MAX + 1])
{
	int64_t end = monotonic_ms() + FETCH_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd p[2] = { { pipe, POLLIN, 0 }, { w->fd, POLLRDHUP, 0 } };
		int64_t left = end - monotonic_ms();
		ssize_t n;

		if (left <= 0 || (poll(p, 2, (int)left) >= 0 && p[1].revents)) {
			kill(pid, SIGKILL);
			if (left > 0)
				_exit(0); /* the brain is gone */
			break;
		}
		if (!p[0].revents)
			continue;
		n = read(pipe, answer + len, ANSWER_MAX - len);
		if (n <= 0)
			break;
		len += n;
	}
	answer[len] = 0;
	return len;
}

static int
ask(struct worker *w, struct error **e)
{
	char answer[ANSWER_MAX + 1];
	int pipes[2], status;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail_sys(e, "%s: pipe", w->path);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		child(w, pipes[1]);
	}
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return fail_sys(e, "%s: fork", w->path);
	}
	worker_limit_stop(); /* it has deadlines of its own */
	await(w, pid, pipes[0], answer);
	worker_limit_start();
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGKILL))
		return fail(e, WHY_TIMEOUT,
			    "%s: the server does not answer in time; the last "
			    "revision stays",
			    w->path);
	if (!*answer)
		return fail(e, WHY_INTERNAL,
			    "%s: the fetch died (status %d); the last revision "
			    "stays",
			    w->path, status);
	return fail(e, WHY_UNAVAILABLE, "%s", answer);
}

/* Jitter keeps many hosts from asking one server at the same moment. */
static void
plan_next(struct worker *w)
{
	struct remote_source *r = w->state;
	int64_t every = w->args->interval ? w->args->interval : INTERVAL_S;
	int64_t most = every > BACKOFF_MAX_S ? every : BACKOFF_MAX_S;

	for (unsigned i = 0; i < r->failures && every < most; i++)
		every *= 2;
	if (every > most)
		every = most;
	w->next = monotonic_ms() + every * 900 + rand_r(&r->seed) % (every * 200 + 1);
}

static int
remote_look(struct worker *w, bool asked, struct error **e)
{
	struct remote_source *r = w->state;
	git_oid commit, tree;
	char ref[1024];
	int rc;

	(void)asked;
	rc = make_home(w, r->user_home, e);
	if (!rc)
		rc = ask(w, e);
	if (!rc)
		rc = git_find_head(w, r->repo, ref, &commit, &tree, e);
	if (!rc && !git_oid_equal(&commit, &w->have))
		rc = git_send_head(w, r->repo, &commit, &tree, e);
	r->failures = rc ? r->failures + 1 : 0;
	plan_next(w);
	return rc;
}

static int
remote_read(struct worker *w, const char *ref, git_oid *ret_commit, struct error **e)
{
	struct remote_source *r = w->state;
	const struct watch_args *own = w->args;
	struct watch_args other = *own;
	int rc = make_home(w, r->user_home, e);

	other.ref = ref;
	other.aside = true;
	w->args = &other;
	rc = rc ? rc : ask(w, e);
	w->args = own;
	return rc ? -1 : git_send_ref(w, r->repo, ref, ret_commit, e);
}

const struct source_kind source_remote = {
	.read = remote_read,
	.open = remote_open,
	.look = remote_look,
};

/* source_world.h -- a source with a real worker process, for tests.
 *
 * Everything lives in a fresh directory under /tmp.  git is the real one.
 */
#ifndef KEDGE_SOURCE_WORLD_H
#define KEDGE_SOURCE_WORLD_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is another */
#undef fail_msg
#define fail_msg(...)                      \
	do {                               \
		print_error(__VA_ARGS__);  \
		print_error("\n");         \
		_fail(__FILE__, __LINE__); \
	} while (0)

#include "daemon/source.h"
#include "daemon/source_frame.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/error.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct world {
	char dir[64];  /* its own */
	char repo[96]; /* dir/repo.git: the source, when it is one */
	char work[96]; /* dir/work: a clone of it */
	char mirror[96];
	struct sources *s;
	struct watch_args args;
	const struct watch_args *bound; /* what the hand says first; NULL: nothing */
	pid_t worker;
	uid_t uid; /* of the worker, 0: ours */
	int moved; /* how often */
};

static inline double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A shell command in the world's directory; must succeed. */
__attribute__((format(printf, 2, 3))) static inline void
sh(struct world *w, const char *fmt, ...)
{
	char *cmd, *all;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	xvasprintf(&cmd, fmt, ap);
	va_end(ap);
	xasprintf(&all,
		  "cd %s && export HOME=%s GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=Ada "
		  "GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada "
		  "GIT_COMMITTER_EMAIL=ada@example.org; set -e; { %s\n} >out.txt 2>&1",
		  w->dir, w->dir, cmd);
	rc = system(all);
	if (rc) {
		xasprintf(&all, "cat %s/out.txt >&2", w->dir);
		if (system(all))
			print_error("(no output)\n");
		fail_msg("%s: status %d", cmd, rc);
	}
	free(cmd);
	free(all);
}

static inline void
write_file(struct world *w, const char *path, const char *text)
{
	char *full;
	FILE *f;

	xasprintf(&full, "%s/%s", w->dir, path);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	free(full);
}

/* A ConfigMap of that name in one file. */
static inline void
write_config(struct world *w, const char *path, const char *name, const char *value)
{
	char *text;

	xasprintf(
	    &text,
	    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  value: \"%s\"\n",
	    name, value);
	write_file(w, path, text);
	free(text);
}

static inline void
world_new(struct world *w)
{
	struct error *e = NULL;

	/* No gc in the background: it would still write while the world is removed. */
	setenv("GIT_CONFIG_COUNT", "1", 1);
	setenv("GIT_CONFIG_KEY_0", "gc.auto", 1);
	setenv("GIT_CONFIG_VALUE_0", "0", 1);
	*w = (struct world){ .worker = -1 };
	snprintf(w->dir, sizeof w->dir, "/tmp/kedge-source-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	snprintf(w->repo, sizeof w->repo, "%s/repo.git", w->dir);
	snprintf(w->work, sizeof w->work, "%s/work", w->dir);
	snprintf(w->mirror, sizeof w->mirror, "%s/mirror.git", w->dir);
	if (sources_open(w->mirror, &w->s, &e))
		fail_msg("%s", error_text(e));
}

static inline void
worker_kill(struct world *w)
{
	if (w->worker > 0) {
		kill(w->worker, SIGKILL);
		waitpid(w->worker, NULL, 0);
	}
	w->worker = -1;
}

/* Starts a worker; with an earlier one's source it goes on where that was. */
static inline void
world_attach(struct world *w)
{
	struct error *e = NULL;
	int sock[2];

	worker_kill(w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	w->worker = fork();
	assert_true(w->worker >= 0);
	if (w->worker == 0) {
		syscall(436 /* close_range */, 3, sock[1] - 1, 0);
		syscall(436, sock[1] + 1, ~0U, 0);
		if (w->uid && setuid(w->uid))
			_exit(3);
		source_worker(sock[1]);
	}
	close(sock[1]);
	if (w->bound) {
		struct buf json = { 0 };

		schema_encode(watch_args_kind(), w->bound, &json);
		assert_int_equal(frame_post(sock[0], FRAME_BIND, json.at, json.len, &e), 0);
		buf_done(&json);
	}
	if (source_attach(w->s, "main", &w->args, sock[0], &e))
		fail_msg("%s", error_text(e));
}

static inline void
world_watch(struct world *w, const char *type, const char *url)
{
	w->args.url = url;
	w->args.type = type;
	world_attach(w);
}

/* A bare repository, a clone with one manifest, pushed; and a worker on it. */
static inline void
world_git(struct world *w)
{
	sh(w, "git init -q --bare -b main repo.git; git clone -q repo.git work");
	write_config(w, "work/web.yaml", "web", "1");
	sh(w, "cd work; git checkout -q -b main; git add .; git commit -qm 'first'; "
	      "git push -q origin main");
}

static inline void
push(struct world *w, const char *message)
{
	sh(w, "cd work; git add -A; git commit -qm '%s'; git push -q origin HEAD", message);
}

/* Reads until that news comes; what else comes on the way is passed over. */
static inline bool
world_await(struct world *w, enum source_news want, double limit)
{
	double end = seconds() + limit;

	for (;;) {
		enum source_news news = source_read(w->s, "main");
		struct pollfd p = { source_fd(w->s, "main"), POLLIN, 0 };
		int left = (int)((end - seconds()) * 1000);

		w->moved += news == SOURCE_MOVED;
		if (news == want)
			return true;
		if (news == SOURCE_LOST || left <= 0)
			return false;
		if (news == SOURCE_NOTHING)
			poll(&p, 1, left);
	}
}

/* How much longer than it should take is waited before a wait is given up: as wait_for of
 * tests/e2e/lib.bash. */
static inline double
patience(void)
{
	const char *said = getenv("KEDGE_TEST_PATIENCE");

	return said ? atof(said) : 4;
}

#define assert_news(w, want, limit)                                                \
	do {                                                                       \
		if (!world_await(w, want, (limit)*patience()))                     \
			fail_msg("no " #want " within " #limit " s; error \"%s\"", \
				 source_error((w)->s, "main"));                    \
	} while (0)

/* Nothing but that for a while. */
static inline bool
world_is_quiet(struct world *w, double limit)
{
	return !world_await(w, SOURCE_MOVED, limit) && !*source_error(w->s, "main");
}

/* The manifests of a commit (NULL: the head), as "path:name=value path:name=value",
 * then " !complaint" for each complaint. */
static inline char *
world_show(struct world *w, const char *commit)
{
	struct arena arena = { 0 };
	struct complaints said = { .arena = &arena };
	struct manifest_set *set = NULL;
	struct error *e = NULL;
	struct buf b = { 0 };

	if (!commit && !source_head(w->s, "main"))
		return xstrdup("(no head)");
	if (source_manifests(w->s, "main", commit ? commit : source_head(w->s, "main")->commit,
			     NULL, &set, &said, &e)) {
		buf_addf(&b, "(error: %s)", error_text(e));
		error_free(&e);
	}
	for (size_t i = 0; set && i < set->n; i++) {
		struct config_map *c = (struct config_map *)set->at[i]->obj;
		const char *value = c->data.n ? c->data.at[0].value : "";

		buf_addf(&b, "%s%s:%s=%s", i ? " " : "", set->at[i]->path,
			 object_name(set->at[i]->obj), value);
	}
	for (struct complaint *c = said.first; c; c = c->next)
		buf_addf(&b, " !%s", complaint_print(c, &arena));
	manifest_set_free(set);
	arena_free(&arena);
	return buf_steal(&b);
}

#define assert_shows(w, want)                     \
	do {                                      \
		char *got_ = world_show(w, NULL); \
		assert_string_equal(got_, want);  \
		free(got_);                       \
	} while (0)

/* Waits until that is shown: for what may come in several steps. */
static inline void
await_shows(struct world *w, const char *want, double limit)
{
	double end = seconds() + limit * patience();
	char *got = world_show(w, NULL);

	while (strcmp(got, want) && seconds() < end) {
		world_await(w, SOURCE_MOVED, 0.1);
		free(got);
		got = world_show(w, NULL);
	}
	assert_string_equal(got, want);
	free(got);
}

static inline void
world_end(struct world *w)
{
	char *cmd;

	sources_close(w->s);
	worker_kill(w);
	xasprintf(&cmd, "rm -rf %s", w->dir);
	assert_int_equal(system(cmd), 0);
	free(cmd);
}
#endif

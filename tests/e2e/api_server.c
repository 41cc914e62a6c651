/* api_server.c -- the API over a store that a test fills, with a small host behind it.
 *
 *   api_server SOCKET ADDRESS:PORT LOGS WORLD.yaml
 *
 * Prints "ready PORT", then obeys lines on standard input:
 *   apply FILE              creates or replaces every object of the file, status and all
 *   delete PLURAL NS NAME   ("-" for no namespace)
 * and says "done" or what went wrong.  Programs are started right here.
 */
#include "daemon/api.h"
#include "daemon/http_peer.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/plan.h"
#include "reconcile/tree.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

enum { RUNS = 64 };

struct server {
	struct event_base *base;
	struct store *store;
	struct api *api;
	struct buf line;
	struct run {
		int64_t id;
		pid_t pid;
		int tty;
	} runs[RUNS];
	struct import {
		struct server *server;
		int64_t id;
		int fd;
		struct event *event;
		size_t bytes;
		uint64_t sum;
	} imports[RUNS];
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ---- the store ---- */

static int
put(struct server *s, const struct tree *t, struct arena *a, struct complaints *c,
    struct error **e)
{
	const struct tree *version = tree_get(t, "apiVersion"), *kind = tree_get(t, "kind");
	const struct resource *r =
	    version && kind ? resource_find(version->text, kind->text) : NULL;
	struct object *o = r ? schema_decode(r->schema, t, SCHEMA_TRUSTED, a, c) : NULL;

	if (!o || c->errors)
		return fail(e, WHY_INVALID, "%d: %s", t->line,
			    c->first ? c->first->text : "what kind?");
	if (!store_find(s->store, r->id, object_namespace(o), object_name(o)))
		return store_create(s->store, o, now_ms(), e);
	return store_update(s->store, o, e);
}

static int
apply(struct server *s, const char *path, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints c = { .arena = &a, .path = path };
	cleanup_fclose FILE *f = fopen(path, "re");
	cleanup_buf struct buf text = { 0 };
	char piece[4096];
	size_t n;

	if (!f)
		return fail_sys(e, "open %s", path);
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(&text, piece, n);
	for (const struct tree *t = yaml_read(text.at, text.len, &a, &c); t; t = t->next)
		if (put(s, t, &a, &c, e) < 0)
			return fail_in(e, "%s", path);
	return c.errors ? fail(e, WHY_INVALID, "%s", c.first->text) : store_commit(s->store, e);
}

static int
obey(struct server *s, char *line, struct error **e)
{
	char plural[64], ns[256], name[256];
	const struct resource *r;

	if (!strncmp(line, "apply ", 6))
		return apply(s, line + 6, e);
	if (sscanf(line, "delete %63s %255s %255s", plural, ns, name) != 3 ||
	    !(r = resource_named(plural)))
		return fail(e, WHY_BAD_REQUEST, "%s?", line);
	if (store_delete(s->store, r->id, strcmp(ns, "-") ? ns : "", name, e) < 0)
		return -1;
	return store_commit(s->store, e);
}

static void
on_line(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	char piece[4096], *nl;
	ssize_t n = read(fd, piece, sizeof piece);

	(void)what;
	if (n <= 0) {
		event_base_loopbreak(s->base);
		return;
	}
	buf_add(&s->line, piece, n);
	while ((nl = strchr(buf_text(&s->line), '\n'))) {
		cleanup_error struct error *e = NULL;

		*nl = 0;
		if (obey(s, s->line.at, &e) < 0)
			printf("failed: %s\n", error_text(e));
		else
			printf("done\n");
		fflush(stdout);
		buf_drop(&s->line, nl + 1 - s->line.at);
	}
}

/* ---- the host ---- */

static int
on_write(void *ctx, const struct action *a, struct error **e)
{
	struct server *s = ctx;
	const struct resource *r = resource_named(a->kind);
	int rc = a->verb == ACT_CREATE   ? store_create(s->store, a->body, now_ms(), e)
		 : a->verb == ACT_UPDATE ? store_update(s->store, a->body, e)
					 : store_delete(s->store, r->id, a->ns, a->name, e);

	return rc < 0 ? -1 : store_commit(s->store, e);
}

static pid_t
start(const struct api_exec *x, int fds[3])
{
	int in[2], out[2], err[2], master;
	pid_t pid;

	if (x->tty) {
		pid = forkpty(&master, NULL, NULL, NULL);
		if (pid == 0) {
			execvp(x->argv[0], (char *const *)x->argv);
			_exit(127);
		}
		fcntl(master, F_SETFD, FD_CLOEXEC);
		fds[0] = master;
		return pid;
	}
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		abort();
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execvp(x->argv[0], (char *const *)x->argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fds[0] = in[1];
	fds[1] = out[0];
	fds[2] = err[0];
	return pid;
}

static int
on_exec(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	struct server *s = ctx;
	int fds[3] = { -1, -1, -1 };

	if (!strcmp(x->argv[0], "refused"))
		return fail(e, WHY_FORBIDDEN, "not this one");
	for (size_t i = 0; i < RUNS; i++) {
		struct run *r = &s->runs[i];

		if (r->id)
			continue;
		r->pid = start(x, fds);
		r->id = id;
		r->tty = x->tty ? dup(fds[0]) : -1;
		if (fds[0] >= 0 && !x->tty && !x->in) {
			close(fds[0]);
			fds[0] = -1;
		}
		api_exec_started(s->api, id, fds);
		return 0;
	}
	return fail(e, WHY_UNAVAILABLE, "too many programs");
}

/* What is attached to here is a program begun just then. */
static int
on_attach(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	static const char *const argv[] = { "sh", "-c",
					    "echo now; echo error >&2; exec cat 2>/dev/null",
					    NULL };
	struct api_exec prog = *x;

	prog.argv = argv;
	prog.in = true;
	return on_exec(ctx, id, &prog, e);
}

static int
on_connect(void *ctx, int64_t id, const struct api_exec *x, unsigned port, struct error **e)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server *s = ctx;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)x;
	if (port == 1)
		return fail(e, WHY_FORBIDDEN, "not this one");
	if (fd < 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS))
		return fail_sys(e, "connect");
	api_connected(s->api, id, fd, NULL);
	return 0;
}

static void
on_resize(void *ctx, int64_t id, unsigned rows, unsigned cols)
{
	struct winsize size = { .ws_row = rows, .ws_col = cols };
	struct server *s = ctx;

	for (size_t i = 0; i < RUNS; i++)
		if (s->runs[i].id == id && s->runs[i].tty >= 0)
			ioctl(s->runs[i].tty, TIOCSWINSZ, &size);
}

static void
on_exec_gone(void *ctx, int64_t id)
{
	struct server *s = ctx;

	for (size_t i = 0; i < RUNS; i++)
		if (s->runs[i].id == id)
			kill(s->runs[i].pid, SIGKILL);
}

static void
on_child(evutil_socket_t sig, short what, void *arg)
{
	struct server *s = arg;
	int status;
	pid_t pid;

	(void)sig;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < RUNS; i++) {
			struct run *r = &s->runs[i];

			if (!r->id || r->pid != pid)
				continue;
			if (r->tty >= 0)
				close(r->tty);
			api_exec_done(s->api, r->id,
				      WIFEXITED(status) ? WEXITSTATUS(status)
							: 128 + WTERMSIG(status),
				      NULL);
			*r = (struct run){ 0 };
		}
}

static void
on_tar(evutil_socket_t fd, short what, void *arg)
{
	struct import *i = arg;
	char piece[65536], answer[128];
	ssize_t n = read(fd, piece, sizeof piece);

	(void)what;
	for (ssize_t k = 0; k < n; k++)
		i->sum = i->sum * 31 + (unsigned char)piece[k];
	if (n > 0) {
		i->bytes += n;
		return;
	}
	snprintf(answer, sizeof answer, "{\"bytes\":%zu,\"sum\":%llu}", i->bytes,
		 (unsigned long long)i->sum);
	event_free(i->event);
	close(fd);
	api_answer(i->server->api, i->id, NULL, answer);
	*i = (struct import){ 0 };
}

static int
on_image_import(void *ctx, int64_t id, const struct api_image *image, struct error **e)
{
	struct server *s = ctx;
	int fds[2];

	if (!strcmp(image->name, "refused:1"))
		return fail(e, WHY_INVALID, "the name \"refused:1\" is refused");
	for (size_t i = 0; i < RUNS; i++) {
		struct import *m = &s->imports[i];

		if (m->id)
			continue;
		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
			return fail_sys(e, "pipe");
		*m = (struct import){ .server = s, .id = id, .fd = fds[0] };
		m->event = event_new(s->base, fds[0], EV_READ | EV_PERSIST, on_tar, m);
		event_add(m->event, NULL);
		api_image_pipe(s->api, id, fds[1]);
		return 0;
	}
	return fail(e, WHY_UNAVAILABLE, "too many imports");
}

static int
on_source(void *ctx, int64_t id, const struct api_source_args *a, struct error **e)
{
	struct server *s = ctx;
	char answer[256];

	(void)e;
	snprintf(answer, sizeof answer,
		 "{\"name\":\"%s\",\"verb\":%d,\"allowPrune\":%s,\"revision\":%lld}", a->name,
		 a->verb, a->allow_prune ? "true" : "false", (long long)a->revision);
	api_answer(s->api, id, NULL, answer);
	return 0;
}

static int
on_status(void *ctx, int64_t id, struct error **e)
{
	struct server *s = ctx;

	(void)e;
	api_answer(s->api, id, NULL, "{\"kind\":\"KedgeStatus\"}");
	return 0;
}

static int
port_of(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t n = sizeof a;

	return getsockname(fd, (struct sockaddr *)&a, &n) < 0 ? 0 : ntohs(a.sin_port);
}

int
main(int argc, char **argv)
{
	static struct server s;
	struct api_host host = { .ctx = &s,
				 .write = on_write,
				 .exec = on_exec,
				 .attach = on_attach,
				 .connect = on_connect,
				 .exec_resize = on_resize,
				 .exec_gone = on_exec_gone,
				 .source = on_source,
				 .status = on_status,
				 .image_import = on_image_import };
	struct api_settings settings = { 0 };
	cleanup_error struct error *e = NULL;
	struct event *line, *child;

	if (argc != 5)
		return 2;
	settings.http.socket = argv[1];
	settings.log_dir = argv[3];
	s.base = event_base_new();
	settings.http.listen_fd = listen_loopback(argv[2], &e);
	if (settings.http.listen_fd < 0 || store_open(":memory:", &s.store, &e) < 0 ||
	    apply(&s, argv[4], &e) < 0 ||
	    api_open(s.base, s.store, &settings, &host, &s.api, &e) < 0) {
		fprintf(stderr, "api_server: %s\n", error_text(e));
		return 1;
	}
	line = event_new(s.base, 0, EV_READ | EV_PERSIST, on_line, &s);
	child = evsignal_new(s.base, SIGCHLD, on_child, &s);
	event_add(line, NULL);
	event_add(child, NULL);
	printf("ready %d\n", port_of(settings.http.listen_fd));
	fflush(stdout);
	event_base_dispatch(s.base);
	api_close(s.api);
	store_close(s.store);
	event_free(line);
	event_free(child);
	event_base_free(s.base);
	buf_done(&s.line);
	return 0;
}

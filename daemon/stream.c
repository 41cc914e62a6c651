/* stream.c -- exec and attach: a pod's descriptors on one side, a client's channels on the
 * other.
 *
 * What the other side does not take is not read from this side, so a stream's memory is
 * bounded and who is slow only fills his own pipe.
 *
 * A stream outlives its request: first the host is asked for the descriptors, then the
 * connection is upgraded, then bytes flow until the program has ended, its pipes
 * are dry and the Status is said.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_parts.h"
#include "api_call.h"
#include "channels.h"
#include "stream_limits.h"
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum { LINGER_SECONDS = 2 };

struct stream {
	struct api *api;
	struct stream *next, **link;
	int64_t id;
	struct call
	    *call; /* until the upgrade; NULL after, or when the client left before it */
	struct channels *ch;      /* from the upgrade on */
	bool tty, attached, open; /* open: the client listens */

	/* [0] is written to, [1] and [2] are read.  A program on a terminal has only [0], and
	 * that is read as well. */
	int fds[3];
	struct event *readers[3], *writer, *linger, *idle;
	struct buf in; /* for fds[0] */
	/* input: the client gives some; shared: the container's input outlives us;
	 * moved, used: something was since the last look */
	bool input, shared, in_closed, started, moved, used;

	bool ended, told; /* the program has; the client was */
	int exit_code;
	char *error;
};

static void pump(struct stream *);
static void on_linger(evutil_socket_t, short, void *);

/* ---- life ---- */

static void
close_fd(struct stream *s, int i)
{
	if (s->readers[i])
		event_free(s->readers[i]);
	s->readers[i] = NULL;
	if (i == 0 && s->writer) {
		event_free(s->writer);
		s->writer = NULL;
	}
	if (s->fds[i] >= 0)
		close(s->fds[i]);
	s->fds[i] = -1;
}

static void
stream_free(struct stream *s)
{
	for (int i = 0; i < 3; i++)
		close_fd(s, i);
	if (s->linger)
		event_free(s->linger);
	if (s->idle)
		event_free(s->idle);
	if (s->call) {
		s->call->state = NULL;
		s->call->state_free = NULL;
	}
	if (s->ch)
		channels_close(s->ch);
	s->api->nstreams--;
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	buf_done(&s->in);
	free(s->error);
	free(s);
}

/* The client left: the program has nobody to talk to. */
static void
stream_leave(struct stream *s)
{
	if (s->id && !s->ended && s->api->host.exec_gone)
		s->api->host.exec_gone(s->api->host.ctx, s->id);
	stream_free(s);
}

/* The request ended: by the upgrade, or because the client left before it. */
static void
on_call_gone(void *state)
{
	struct stream *s = state;

	s->call = NULL;
	if (!s->ch || !channels_upgraded(s->ch))
		stream_leave(s);
}

void
streams_stop(struct api *a)
{
	for (struct stream *s = a->streams, *next; s; s = next) {
		next = s->next;
		stream_leave(s);
	}
}

static struct stream *
stream_new(struct call *c)
{
	struct stream *s = xcalloc(1, sizeof *s);

	s->api = c->api;
	s->api->nstreams++;
	s->call = c;
	s->fds[0] = s->fds[1] = s->fds[2] = -1;
	s->link = &s->api->streams;
	s->next = s->api->streams;
	if (s->next)
		s->next->link = &s->next;
	s->api->streams = s;
	c->state = s;
	c->state_free = on_call_gone;
	return s;
}

static struct stream *
stream_of_id(struct api *a, int64_t id)
{
	for (struct stream *s = a->streams; s; s = s->next)
		if (s->id == id && id)
			return s;
	return NULL;
}

/* ---- to the client ---- */

static void
print_status(const struct stream *s, struct buf *b)
{
	buf_adds(b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},");
	if (s->error) {
		buf_adds(b, "\"status\":\"Failure\",\"message\":");
		json_quote(b, s->error);
		buf_adds(b, ",\"reason\":\"InternalError\",\"code\":500");
		if (s->exit_code) /* 126, 127: for kedge exec; kubectl goes by the reason */
			buf_addf(b,
				 ",\"details\":{\"causes\":[{\"reason\":\"ExitCode\","
				 "\"message\":\"%d\"}]}",
				 s->exit_code);
		buf_addc(b, '}');
	} else if (s->exit_code) {
		buf_addf(b,
			 "\"status\":\"Failure\",\"message\":\"command terminated with "
			 "non-zero exit "
			 "code: exit status "
			 "%d\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":"
			 "[{\"reason\":\"ExitCode\",\"message\":\"%d\"}]}}",
			 s->exit_code, s->exit_code);
	} else {
		buf_adds(b, "\"status\":\"Success\"}");
	}
}

static void
tell_end(struct stream *s)
{
	struct buf b = { 0 };

	s->told = true;
	print_status(s, &b);
	channels_send(s->ch, CH_STATUS, b.at, b.len);
	buf_done(&b);
	channels_end(s->ch);
}

/* Reads one of the program's outputs; stops while the client is slow. */
static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int i = fd == s->fds[0] ? 0 : fd == s->fds[1] ? 1 : 2;
	char piece[STREAM_PIECE];
	ssize_t n = read(fd, piece, sizeof piece);

	(void)what;
	s->moved |= n > 0;
	s->used |= n > 0;
	if (n > 0)
		channels_send(s->ch, i == 2 ? CH_STDERR : CH_STDOUT, piece, n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(s, i); /* a terminal whose programs are gone says EIO */
	pump(s);
}

/* ---- to the program ---- */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pump(arg);
}

/* A little later it is over, whoever still holds a pipe. */
static void
linger(struct stream *s)
{
	struct timeval wait = { .tv_sec = LINGER_SECONDS };

	if (!s->linger)
		s->linger = event_new(s->api->base, -1, 0, on_linger, s);
	event_add(s->linger, &wait);
}

static void
write_input(struct stream *s)
{
	ssize_t n;

	while (s->fds[0] >= 0 && s->in.len) {
		n = write(s->fds[0], s->in.at, s->in.len);
		if (n < 0 && errno == EAGAIN) {
			event_add(s->writer, NULL);
			return;
		}
		if (n < 0 && errno != EINTR) {
			buf_clear(&s->in);
			s->in_closed = true;
		}
		if (n > 0)
			buf_drop(&s->in, n);
	}
	if (!s->in_closed || s->fds[0] < 0)
		return;
	/* The end of a terminal's input is a character; closing it would hang up. */
	if (!s->tty || s->attached)
		close_fd(s, 0);
	if (s->shared && s->input)
		linger(s);
}

static unsigned
size_of(const struct tree *t, const char *key)
{
	const struct tree *v = tree_get(t, key);
	long n = v && v->type == N_INT ? strtol(v->text, NULL, 10) : 0;

	return n > 0 && n <= 65535 ? (unsigned)n : 0;
}

static void
resize(struct stream *s, const char *bytes, size_t n)
{
	cleanup_arena struct arena scratch = { 0 };
	struct complaints complaints = { .arena = &scratch };
	const struct tree *t = json_read(bytes, n, &scratch, &complaints);
	unsigned rows, cols;

	if (!t || t->type != N_MAP || !s->id || !s->api->host.exec_resize)
		return;
	cols = size_of(t, "Width");
	rows = size_of(t, "Height");
	if (rows && cols)
		s->api->host.exec_resize(s->api->host.ctx, s->id, rows, cols);
}

static void
on_bytes(void *ctx, enum channel channel, const char *bytes, size_t n)
{
	struct stream *s = ctx;

	s->used = true;
	if (channel == CH_RESIZE) {
		resize(s, bytes, n);
		return;
	}
	if (channel != CH_STDIN)
		return;
	if (s->fds[0] >= 0 && !s->in_closed)
		buf_add(&s->in, bytes, n);
	/* not only after this round: one can bring more than is wanted */
	channels_listen(s->ch, s->in.len < STREAM_QUEUE);
}

static void
on_closed(void *ctx, enum channel channel)
{
	struct stream *s = ctx;

	if (channel == CH_STDIN)
		s->in_closed = true;
}

/* ---- both ways ---- */

static bool
dry(const struct stream *s)
{
	return s->fds[1] < 0 && s->fds[2] < 0 && (!s->tty || s->attached || s->fds[0] < 0);
}

/* Moves what can be moved and says what is waited for. */
static void
pump(struct stream *s)
{
	bool slow;

	if (!s->open)
		return;
	write_input(s);
	if (s->ended && dry(s) && !s->told)
		tell_end(s);
	slow = channels_queued(s->ch) >= STREAM_QUEUE;
	for (int i = 0; i < 3; i++)
		if (s->readers[i] && slow)
			event_del(s->readers[i]);
		else if (s->readers[i])
			event_add(s->readers[i], NULL);
	channels_listen(s->ch, s->in.len < STREAM_QUEUE);
}

static void
on_progress(void *ctx)
{
	pump(ctx);
}

static void
on_gone(void *ctx)
{
	stream_leave(ctx);
}

static void
start_pumping(struct stream *s)
{
	for (int i = 0; i < 3; i++) {
		if (s->fds[i] < 0 || (i == 0 && (!s->tty || s->attached)))
			continue;
		s->readers[i] =
		    event_new(s->api->base, s->fds[i], EV_READ | EV_PERSIST, on_output, s);
	}
	if (s->fds[0] >= 0)
		s->writer = event_new(s->api->base, s->fds[0], EV_WRITE, on_writable, s);
	pump(s);
}

/* Nobody said anything for hours. */
static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct timeval wait = { .tv_sec = STREAM_IDLE_SECONDS };
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (!s->used) {
		stream_leave(s);
		return;
	}
	s->used = false;
	event_add(s->idle, &wait);
}

static void
on_opened(void *ctx)
{
	struct timeval wait = { .tv_sec = STREAM_IDLE_SECONDS };
	struct stream *s = ctx;

	s->open = true;
	s->idle = event_new(s->api->base, -1, 0, on_idle, s);
	event_add(s->idle, &wait);
	start_pumping(s);
}

/* ---- the request ---- */

static void
upgrade(struct stream *s)
{
	static const struct channels_handler handler = { on_opened, on_bytes, on_closed,
							 on_progress, on_gone };
	struct call *c = s->call;
	const bool want[CH_COUNT] = {
		[CH_STDIN] = call_flag(c, "stdin"),
		[CH_STDOUT] = call_flag(c, "stdout"),
		[CH_STDERR] = call_flag(c, "stderr") && !s->tty,
		[CH_STATUS] = true,
		[CH_RESIZE] = s->tty,
	};

	s->ch = channels_upgrade(c, want, &handler, s);
}

/* After a refused handshake kubectl tries SPDY and shows that refusal; so what is wrong
 * is said where it listens: on the channel for the Status. */
static void
fail_in_band(struct stream *s, const char *message)
{
	char *own = xstrdup(message);

	free(s->error);
	s->error = own;
	s->ended = s->started = true;
	upgrade(s);
}

static void __attribute__((format(printf, 2, 3)))
refuse_in_band(struct call *c, const char *fmt, ...)
{
	cleanup_free char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&message, fmt, ap);
	va_end(ap);
	fail_in_band(stream_new(c), message);
}

static bool
container_runs(const struct pod *p, const char *container)
{
	const struct container_status *s = pod_part_status(p->status, container);

	return s && s->state && s->state->running;
}

static bool
fits(struct call *c)
{
	if (!channels_fit(c))
		return false;
	if (c->api->nstreams < STREAMS_MAX)
		return true;
	call_refuse(c, WHY_UNAVAILABLE, "%d programs and attached clients are served already",
		    c->api->nstreams);
	return false;
}

struct words {
	const char **at;
	size_t n;
	struct arena *arena;
};

static void
add_word(void *ctx, const char *value)
{
	struct words *w = ctx;
	const char **at = arena_alloc(w->arena, (w->n + 2) * sizeof *at);

	if (w->n)
		memcpy(at, w->at, w->n * sizeof *at);
	at[w->n++] = arena_strdup(w->arena, value);
	at[w->n] = NULL;
	w->at = at;
}

void
stream_exec(struct call *c)
{
	const char *container;
	const struct pod *p = call_pod(c, &container);
	cleanup_error struct error *e = NULL;
	struct words argv = { .arena = &c->arena };
	struct api_exec x = { .ns = c->ns, .pod = c->name };
	struct stream *s;

	if (!p || !fits(c))
		return;
	http_query_each(c->req, "command", add_word, &argv);
	if (!argv.n) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "you must specify at least 1 command for the container");
		return;
	}
	if (!container_runs(p, container)) {
		refuse_in_band(c, "container %s of pod %s is not running", container, c->name);
		return;
	}
	if (!c->api->host.exec) {
		call_refuse(c, WHY_UNABLE, "this kedged cannot start programs");
		return;
	}
	s = stream_new(c);
	s->tty = call_flag(c, "tty");
	s->id = call_ask(c);
	x.uid = object_uid(p);
	x.container = container;
	x.argv = argv.at;
	s->input = x.in = call_flag(c, "stdin");
	s->in_closed = !x.in;
	x.out = call_flag(c, "stdout");
	x.err = call_flag(c, "stderr") && !s->tty;
	x.tty = s->tty;
	if (c->api->host.exec(c->api->host.ctx, s->id, &x, &e) < 0) {
		s->id = 0;
		fail_in_band(s, error_text(e));
	}
}

/* Files of a container, as a tar. */
void
stream_copy(struct call *c)
{
	const char *container, *path = call_query(c, "path"), *name = call_query(c, "name");
	const struct pod *p = call_pod(c, &container);
	cleanup_error struct error *e = NULL;
	struct api_exec x = { .ns = c->ns, .pod = c->name, .path = path, .name = name };
	struct stream *s;

	if (!p || !fits(c))
		return;
	if (!*path || call_flag(c, "stdin") != !!*name || strchr(name, '/')) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "what goes in has a path and a name, "
			    "what comes out a path");
		return;
	}
	if (!container_runs(p, container)) {
		refuse_in_band(c, "container %s of pod %s is not running", container, c->name);
		return;
	}
	if (!c->api->host.copy) {
		call_refuse(c, WHY_UNABLE, "this kedged cannot copy files");
		return;
	}
	s = stream_new(c);
	s->id = call_ask(c);
	s->input = *name;
	s->in_closed = !s->input;
	x.uid = object_uid(p);
	x.container = container;
	if (c->api->host.copy(c->api->host.ctx, s->id, &x, &e) < 0) {
		s->id = 0;
		fail_in_band(s, error_text(e));
	}
}

void
api_exec_started(struct api *a, int64_t id, const int fds[3])
{
	struct stream *s = stream_of_id(a, id);

	if (!s || !s->call || s->started) {
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return;
	}
	s->started = true;
	for (int i = 0; i < 3; i++) {
		s->fds[i] = fds[i];
		if (fds[i] >= 0)
			evutil_make_socket_nonblocking(fds[i]);
	}
	upgrade(s);
}

static void
on_linger(evutil_socket_t fd, short what, void *arg)
{
	struct timeval wait = { .tv_sec = LINGER_SECONDS };
	struct stream *s = arg;

	(void)fd;
	(void)what;
	/* who only wanted to give something does not wait until all is said */
	if (s->ended && (s->moved || !s->open || channels_queued(s->ch) >= STREAM_QUEUE)) {
		s->moved = false;
		event_add(s->linger, &wait);
		return;
	}
	s->ended = true;
	/* Something the program left behind still holds its pipes. */
	for (int i = 0; i < 3; i++)
		close_fd(s, i);
	pump(s);
}

void
api_exec_done(struct api *a, int64_t id, int exit_code, const char *error)
{
	struct stream *s = stream_of_id(a, id);

	if (!s || s->ended)
		return;
	if (!s->started) {
		fail_in_band(s, error && *error ? error : "it did not start");
		return;
	}
	s->exit_code = exit_code;
	s->error = xstrdup(error && *error ? error : NULL);
	s->ended = true;
	linger(s);
	pump(s);
}

/* ---- attach ---- */

/* Into what runs already: its terminal or its pipes, from now on. */
void
stream_attach(struct call *c)
{
	const char *container;
	const struct pod *p = call_pod(c, &container);
	cleanup_error struct error *e = NULL;
	struct api_exec x = { .ns = c->ns, .pod = c->name };
	const struct container *spec;
	struct stream *s;

	if (!p || !fits(c))
		return;
	spec = pod_part_named(p->spec, container);
	if (!container_runs(p, container)) {
		refuse_in_band(c, "container %s of pod %s is not running", container, c->name);
		return;
	}
	if (!c->api->host.attach) {
		call_refuse(c, WHY_UNABLE, "this kedged cannot attach");
		return;
	}
	s = stream_new(c);
	s->attached = true;
	s->tty = spec->tty;
	s->input = call_flag(c, "stdin") && spec->stdin;
	s->in_closed = !s->input;
	s->shared = !spec->stdinOnce || spec->tty;
	s->id = call_ask(c);
	x.uid = object_uid(p);
	x.container = container;
	x.in = s->input;
	x.tty = s->tty;
	if (c->api->host.attach(c->api->host.ctx, s->id, &x, &e) < 0) {
		s->id = 0;
		fail_in_band(s, error_text(e));
	}
}

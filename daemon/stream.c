/* stream.c -- exec and attach: programs behind a WebSocket.
 *
 * Kubernetes' v5.channel.k8s.io (and v4, the same without the closing of a
 * channel): the first byte of each binary message names a channel: 0 stdin, 1 stdout,
 * 2 stderr, 3 the final Status, 4 the terminal's size; 255 closes the channel that
 * follows.  What the other side does not take is not read from this side, so a
 * stream's memory is bounded.
 *
 * A stream outlives its request: first the host is asked for the program, then the
 * connection is upgraded, then bytes flow until the program has ended, its pipes
 * are dry and the Status is said.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_parts.h"
#include "api_call.h"
#include "websocket.h"
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum channel { STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 255 };
enum {
	PIECE = 16 * 1024,
	QUEUE_MAX = 256 * 1024,
	MESSAGE_MAX = 1024 * 1024,
	LINGER_SECONDS = 2
};

struct stream {
	struct api *api;
	struct stream *next, **link;
	int64_t id;
	struct call
	    *call; /* until the upgrade; NULL after, or when the client left before it */
	struct websocket *ws; /* after the upgrade */
	bool v5, tty;

	/* exec: [0] is written to; with a tty it is read as well. attach: all -1. */
	int fds[3];
	struct event *readers[3], *writer, *linger;
	struct buf in;                  /* for fds[0] */
	bool in_closed, started, moved; /* moved: something was read since the last look */

	struct log_reader *log; /* attach */

	bool ended, told; /* the program has; the client was */
	int exit_code;
	char *error;
};

static void pump(struct stream *);

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
	log_reader_free(s->log);
	if (s->call) {
		s->call->state = NULL;
		s->call->state_free = NULL;
	}
	if (s->ws)
		websocket_close(s->ws);
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
	if (!s->ws)
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

/* What is attached may have ended. */
void
streams_look(struct api *a)
{
	for (struct stream *s = a->streams, *next; s; s = next) {
		next = s->next;
		if (s->log)
			pump(s);
	}
}

static struct stream *
stream_new(struct call *c)
{
	struct stream *s = xcalloc(1, sizeof *s);

	s->api = c->api;
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
send_channel(struct stream *s, enum channel channel, const char *bytes, size_t n)
{
	struct buf b = { 0 };

	buf_addc(&b, (char)channel);
	buf_add(&b, bytes, n);
	websocket_send(s->ws, b.at, b.len);
	buf_done(&b);
}

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
	send_channel(s, STATUS, b.at, b.len);
	buf_done(&b);
	websocket_end(s->ws);
}

/* Reads one of the program's outputs; stops while the client is slow. */
static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int i = fd == s->fds[0] ? 0 : fd == s->fds[1] ? 1 : 2;
	char piece[PIECE];
	ssize_t n = read(fd, piece, sizeof piece);

	(void)what;
	s->moved |= n > 0;
	if (n > 0)
		send_channel(s, i == 2 ? STDERR : STDOUT, piece, n);
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
	if (!s->tty)
		close_fd(s, 0);
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
on_message(void *ctx, const char *bytes, size_t n)
{
	struct stream *s = ctx;

	if (!n)
		return;
	switch ((unsigned char)bytes[0]) {
	case STDIN:
		if (s->fds[0] >= 0 && !s->in_closed)
			buf_add(&s->in, bytes + 1, n - 1);
		/* not only after this round: one can bring more than is wanted */
		websocket_listen(s->ws, s->in.len < QUEUE_MAX);
		break;
	case RESIZE:
		resize(s, bytes + 1, n - 1);
		break;
	case CLOSE:
		if (s->v5 && n > 1 && bytes[1] == STDIN)
			s->in_closed = true;
		break;
	}
}

/* ---- both ways ---- */

static void
read_log(struct stream *s)
{
	struct buf out = { 0 };
	enum http_pull p = log_reader_pull(s->log, &out);

	for (size_t at = 0; at < out.len;) {
		uint32_t n;

		memcpy(&n, out.at + at + 1, sizeof n);
		send_channel(s, out.at[at], out.at + at + 1 + sizeof n, n);
		at += 1 + sizeof n + n;
	}
	buf_done(&out);
	if (p == HTTP_END)
		s->ended = true;
}

static bool
dry(const struct stream *s)
{
	return s->fds[1] < 0 && s->fds[2] < 0 && (!s->tty || s->fds[0] < 0);
}

/* Moves what can be moved and says what is waited for. */
static void
pump(struct stream *s)
{
	bool slow;

	if (!s->ws)
		return;
	write_input(s);
	if (s->log && !s->ended && websocket_queued(s->ws) < QUEUE_MAX)
		read_log(s);
	if (s->ended && dry(s) && !s->told)
		tell_end(s);
	slow = websocket_queued(s->ws) >= QUEUE_MAX;
	for (int i = 0; i < 3; i++)
		if (s->readers[i] && slow)
			event_del(s->readers[i]);
		else if (s->readers[i])
			event_add(s->readers[i], NULL);
	websocket_listen(s->ws, s->in.len < QUEUE_MAX);
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
		if (s->fds[i] < 0 || (i == 0 && !s->tty))
			continue;
		s->readers[i] =
		    event_new(s->api->base, s->fds[i], EV_READ | EV_PERSIST, on_output, s);
	}
	if (s->fds[0] >= 0)
		s->writer = event_new(s->api->base, s->fds[0], EV_WRITE, on_writable, s);
	pump(s);
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_message, on_progress, on_gone };
	struct stream *s = mine;

	s->ws = websocket_new(s->api->base, t, extra, n, MESSAGE_MAX, &handler, s);
	start_pumping(s);
}

/* ---- the request ---- */

/* The protocol to answer with; NULL when there is none we speak. */
static const char *
choose_protocol(const struct call *c)
{
	static const char *const ours[] = { "v5.channel.k8s.io", "v4.channel.k8s.io" };
	const char *theirs = http_header(c->req, "Sec-WebSocket-Protocol");

	for (size_t i = 0; theirs && i < sizeof ours / sizeof *ours; i++) {
		const char *at = strstr(theirs, ours[i]);
		size_t n = strlen(ours[i]);

		if (at && (at == theirs || strchr(", ", at[-1])) &&
		    strspn(at + n, ", ") + !at[n])
			return ours[i];
	}
	return NULL;
}

static const char *
choose(struct call *c)
{
	const char *upgrade = http_header(c->req, "Upgrade"), *protocol = choose_protocol(c);

	if (upgrade && !strncasecmp(upgrade, "SPDY/", 5))
		call_refuse(
		    c, WHY_BAD_REQUEST,
		    "SPDY is not spoken here: use kubectl 1.30 or newer, or kedge exec");
	else if (!upgrade || strcasecmp(upgrade, "websocket") ||
		 !http_header(c->req, "Sec-WebSocket-Key"))
		call_refuse(c, WHY_BAD_REQUEST,
			    "you must upgrade this connection to a WebSocket");
	else if (!protocol)
		call_refuse(
		    c, WHY_BAD_REQUEST,
		    "the WebSocket protocol must be v5.channel.k8s.io or v4.channel.k8s.io");
	else
		return protocol;
	return NULL;
}

static void
upgrade(struct stream *s)
{
	struct call *c = s->call;
	const char *protocol = choose_protocol(c);
	char accept[32];

	s->v5 = protocol[1] == '5';
	websocket_accept(http_header(c->req, "Sec-WebSocket-Key"), accept);
	http_reply_header(c->req, "Sec-WebSocket-Accept", accept);
	http_reply_header(c->req, "Sec-WebSocket-Protocol", protocol);
	c->answered = true;
	http_upgrade(c->req, "websocket", on_upgraded, s);
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

	if (!p || !choose(c))
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
	x.in = call_flag(c, "stdin");
	x.out = call_flag(c, "stdout");
	x.err = call_flag(c, "stderr") && !s->tty;
	x.tty = s->tty;
	if (c->api->host.exec(c->api->host.ctx, s->id, &x, &e) < 0) {
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
	if (s->moved || (s->ws && websocket_queued(s->ws) >= QUEUE_MAX)) {
		s->moved = false;
		event_add(s->linger, &wait);
		return;
	}
	/* Something the program left behind still holds its pipes. */
	for (int i = 0; i < 3; i++)
		close_fd(s, i);
	pump(s);
}

void
api_exec_done(struct api *a, int64_t id, int exit_code, const char *error)
{
	struct stream *s = stream_of_id(a, id);
	struct timeval wait = { .tv_sec = LINGER_SECONDS };

	if (!s || s->ended)
		return;
	if (!s->started) {
		fail_in_band(s, error && *error ? error : "it did not start");
		return;
	}
	s->exit_code = exit_code;
	s->error = xstrdup(error && *error ? error : NULL);
	s->ended = true;
	s->linger = event_new(a->base, -1, 0, on_linger, s);
	event_add(s->linger, &wait);
	pump(s);
}

/* ---- attach ---- */

static void
on_log(void *ctx)
{
	pump(ctx);
}

/* What the container prints from now on.  Its standard input is nobody's to give:
 * kedge-init holds none open. */
void
stream_attach(struct call *c)
{
	struct log_options o = { .tail = 0, .limit = -1, .follow = true, .framed = true };
	struct stream *s;

	o.pod = call_pod(c, &o.container);
	if (!o.pod || !choose(c))
		return;
	if (!container_runs(o.pod, o.container)) {
		refuse_in_band(c, "container %s of pod %s is not running", o.container,
			       c->name);
		return;
	}
	if (call_flag(c, "stdin")) {
		refuse_in_band(
		    c, "a running container takes no input here: use exec to start a program");
		return;
	}
	o.run = pod_part_status(o.pod->status, o.container)->restartCount;
	s = stream_new(c);
	o.wake = on_log;
	o.ctx = s;
	s->log = log_reader_new(c->api, &o);
	if (s->log)
		upgrade(s);
	else
		fail_in_band(s, "the container has no log file");
}

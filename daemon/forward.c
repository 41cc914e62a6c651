/* forward.c -- port-forward: connections to the ports of a pod, many on one client's
 * connection.
 *
 * Over a WebSocket with v4.channel.k8s.io the client names its ports in the request; port
 * number i has the channels 2i for data and 2i+1 for an error, and each begins with the
 * port as two bytes, the lower first.  With v5 a channel can be closed, each way, by 255 and
 * its number.  Over SPDY/3.1 the client opens a pair of streams a
 * connection.  The socket is the pod's own, made in its network namespace.
 *
 * What the client does not take is not read from the pod, and the other way round.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "api_call.h"
#include "carrier.h"
#include "spdy.h"
#include "stream_limits.h"
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

enum { CLOSE = 255 };

struct link {
	struct forward *f;
	struct link *next;
	int64_t id;           /* of the question to the host */
	uint32_t data, error; /* channels or streams */
	unsigned port;
	int fd; /* -1: not yet, or no more */
	struct event *reader, *writer;
	struct buf in; /* for fd */
	bool connected, in_closed, out_closed;
	char *request; /* over SPDY: what its two streams have in common */
};

struct forward {
	struct api *api;
	struct forward *next, **link;
	struct call *call; /* until the upgrade */
	struct carrier *carrier;
	struct spdy *spdy; /* NULL: channels */
	bool v5;
	struct link *links;
	int nlinks;
	struct event *idle;
	bool used;
	char *ns, *pod, *uid;
	unsigned *ports; /* of v4.channel.k8s.io; ends with 0 */
};

static void forward_free(struct forward *);

/* ---- to the client ---- */

static void
say(struct forward *f, uint32_t id, const char *bytes, size_t n)
{
	struct buf b = { 0 };

	if (f->spdy) {
		spdy_send(f->spdy, id, bytes, n);
		return;
	}
	buf_addc(&b, (char)id);
	buf_add(&b, bytes, n);
	carrier_send(f->carrier, b.at, b.len);
	buf_done(&b);
}

/* ---- one connection ---- */

static void
link_hang_up(struct link *p)
{
	if (p->reader)
		event_free(p->reader);
	if (p->writer)
		event_free(p->writer);
	p->reader = p->writer = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void
link_free(struct link *p)
{
	struct link **at = &p->f->links;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->f->nlinks--;
	/* the host may still be at it */
	if (p->id && p->f->api->host.exec_gone)
		p->f->api->host.exec_gone(p->f->api->host.ctx, p->id);
	link_hang_up(p);
	buf_done(&p->in);
	free(p->request);
	free(p);
}

static void
link_read(struct link *p, bool on)
{
	if (!p->reader)
		return;
	if (on)
		event_add(p->reader, NULL);
	else
		event_del(p->reader);
}

/* Nothing more comes from the pod. */
static void
link_out_closed(struct link *p)
{
	struct forward *f = p->f;

	p->out_closed = true;
	if (f->spdy) { /* the client may still have something to say */
		spdy_finish(f->spdy, p->data);
		spdy_finish(f->spdy, p->error);
		link_read(p, false);
		if (p->in_closed && !p->in.len)
			link_free(p);
		return;
	}
	if (f->v5 && !p->in_closed) {
		const char data = (char)p->data;

		say(f, CLOSE, &data, 1);
		link_read(p, false);
		return;
	}
	link_free(p);
	if (!f->nlinks)
		carrier_end(f->carrier);
}

static void
link_fail(struct link *p, const char *why)
{
	cleanup_free char *text = NULL;

	xasprintf(&text, "error forwarding port %u to pod %s, uid %s: %s", p->port, p->f->pod,
		  p->f->uid, why);
	say(p->f, p->error, text, strlen(text));
	p->in_closed = true;
	buf_clear(&p->in);
	link_out_closed(p);
}

static void
link_write(struct link *p)
{
	while (p->in.len) {
		ssize_t n = send(p->fd, p->in.at, p->in.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			event_add(p->writer, NULL);
			return;
		}
		if (n < 0 && errno != EINTR) {
			buf_clear(&p->in); /* the reader hears of it, too */
			return;
		}
		if (n > 0)
			buf_drop(&p->in, n);
	}
	if (p->in_closed)
		shutdown(p->fd, SHUT_WR);
}

/* Nothing more comes from the client. */
static void
link_in_closed(struct link *p)
{
	struct forward *f = p->f;

	p->in_closed = true;
	if (!p->out_closed || p->in.len) {
		if (p->connected)
			link_write(p);
		return;
	}
	link_free(p);
	if (!f->spdy && !f->nlinks)
		carrier_end(f->carrier);
}

static void
forward_pump(struct forward *f)
{
	bool slow = carrier_queued(f->carrier) >= STREAM_QUEUE, full = false;

	for (struct link *p = f->links; p; p = p->next) {
		link_read(p, p->connected && !p->out_closed && !slow);
		full |= p->in.len >= STREAM_QUEUE;
	}
	carrier_listen(f->carrier, !full);
}

static void
on_pod_readable(evutil_socket_t fd, short what, void *arg)
{
	char piece[STREAM_PIECE];
	struct link *p = arg;
	struct forward *f = p->f;
	ssize_t n = recv(fd, piece, sizeof piece, 0);

	(void)what;
	f->used = true;
	if (n > 0)
		say(f, p->data, piece, n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		link_out_closed(p);
	forward_pump(f);
}

static void
on_pod_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *p = arg;
	struct forward *f = p->f;
	socklen_t n = sizeof(int);
	int err = 0;

	(void)what;
	if (!p->connected && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err) {
		cleanup_free char *why = NULL;

		xasprintf(&why, "dial tcp4 127.0.0.1:%u: connect: %s", p->port,
			  err == ECONNREFUSED ? "connection refused" : strerror(err));
		link_fail(p, why);
	} else {
		p->connected = true;
		link_write(p);
		if (p->in_closed && p->out_closed && !p->in.len)
			link_in_closed(p);
	}
	forward_pump(f);
}

static void
link_begin(struct link *p)
{
	struct forward *f = p->f;
	const struct api_exec x = { .ns = f->ns, .pod = f->pod, .uid = f->uid };
	cleanup_error struct error *e = NULL;

	p->id = ++f->api->last_id;
	if (f->api->host.connect(f->api->host.ctx, p->id, &x, p->port, &e) < 0) {
		p->id = 0;
		link_fail(p, error_text(e));
	}
}

static struct link *
link_new(struct forward *f, uint32_t data, uint32_t error, unsigned port)
{
	struct link *p = xcalloc(1, sizeof *p);

	*p = (struct link){
		.f = f, .data = data, .error = error, .port = port, .fd = -1, .next = f->links
	};
	f->links = p;
	f->nlinks++;
	return p;
}

static struct link *
link_of_id(struct api *a, int64_t id)
{
	for (struct forward *f = a->forwards; f; f = f->next)
		for (struct link *p = f->links; p; p = p->next)
			if (p->id == id)
				return p;
	return NULL;
}

void
api_connected(struct api *a, int64_t id, int fd, const char *error)
{
	struct link *p = link_of_id(a, id);

	if (!p) {
		if (fd >= 0)
			close(fd);
		return;
	}
	p->id = 0;
	if (fd < 0) {
		link_fail(p, error && *error ? error : "no connection");
		return;
	}
	p->fd = fd;
	evutil_make_socket_nonblocking(fd);
	p->reader = event_new(a->base, fd, EV_READ | EV_PERSIST, on_pod_readable, p);
	p->writer = event_new(a->base, fd, EV_WRITE, on_pod_writable, p);
	event_add(p->writer, NULL);
}

/* ---- from the client ---- */

static void
link_take(struct link *p, const char *bytes, size_t n)
{
	p->f->used = true;
	if (p->in_closed)
		return;
	buf_add(&p->in, bytes, n);
	if (p->connected)
		link_write(p);
	forward_pump(p->f);
}

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct forward *f = ctx;
	bool closes = n > 1 && f->v5 && (unsigned char)bytes[0] == CLOSE;

	for (struct link *p = f->links; p && n; p = p->next)
		if (p->data == (unsigned char)bytes[closes]) {
			if (closes)
				link_in_closed(p);
			else
				link_take(p, bytes + 1, n - 1);
			return;
		}
}

/* ---- from a client of SPDY ---- */

static void
on_frames(void *ctx, const char *bytes, size_t n)
{
	cleanup_error struct error *e = NULL;
	struct forward *f = ctx;

	if (spdy_feed(f->spdy, bytes, n, &e) == 0)
		return;
	log_debug("api", "a client's SPDY: %s", error_text(e));
	carrier_end(f->carrier);
}

static struct link *
link_of_stream(struct forward *f, uint32_t stream)
{
	for (struct link *p = f->links; p; p = p->next)
		if (p->data == stream || p->error == stream)
			return p;
	return NULL;
}

/* A connection is two streams with the same requestid; it is begun with the second. */
static void
on_stream_opened(void *ctx, uint32_t stream, const struct spdy_header *h, size_t n)
{
	const char *type = spdy_header(h, n, "streamtype"), *port = spdy_header(h, n, "port"),
		   *request = spdy_header(h, n, "requestid");
	bool data = !strcmp(type, "data");
	struct forward *f = ctx;
	struct link *p = f->links;
	char *end;
	unsigned long number = strtoul(port, &end, 10);

	while (p && ((data ? p->data : p->error) || strcmp(p->request, request)))
		p = p->next;
	if ((!data && strcmp(type, "error")) || *end || number < 1 || number > 65535 ||
	    (!p && f->nlinks >= FORWARD_LINKS)) {
		spdy_refuse(f->spdy, stream);
		return;
	}
	spdy_accept(f->spdy, stream);
	if (!p) {
		p = link_new(f, data ? stream : 0, data ? 0 : stream, (unsigned)number);
		p->request = xstrdup(request);
		return;
	}
	*(data ? &p->data : &p->error) = stream;
	link_begin(p);
}

static void
on_stream_bytes(void *ctx, uint32_t stream, const char *bytes, size_t n)
{
	struct link *p = link_of_stream(ctx, stream);

	if (p && p->data == stream)
		link_take(p, bytes, n);
}

static void
on_stream_ended(void *ctx, uint32_t stream)
{
	struct link *p = link_of_stream(ctx, stream);

	if (!p || p->data != stream)
		return; /* the client says nothing on the other one */
	link_in_closed(p);
}

static void
on_stream_reset(void *ctx, uint32_t stream)
{
	struct link *p = link_of_stream(ctx, stream);
	struct forward *f = ctx;

	if (!p)
		return;
	spdy_finish(f->spdy, p->data);
	spdy_finish(f->spdy, p->error);
	link_free(p);
}

static void
on_stream_out(void *ctx, const char *bytes, size_t n)
{
	struct forward *f = ctx;

	carrier_send(f->carrier, bytes, n);
}

static void
on_progress(void *ctx)
{
	forward_pump(ctx);
}

static void
on_gone(void *ctx)
{
	forward_free(ctx);
}

/* ---- life ---- */

static void
forward_free(struct forward *f)
{
	while (f->links)
		link_free(f->links);
	if (f->idle)
		event_free(f->idle);
	if (f->call) {
		f->call->state = NULL;
		f->call->state_free = NULL;
	}
	if (f->carrier)
		carrier_close(f->carrier);
	spdy_free(f->spdy);
	f->api->nforwards--;
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	free(f->ns);
	free(f->pod);
	free(f->uid);
	free(f->ports);
	free(f);
}

void
forwards_stop(struct api *a)
{
	while (a->forwards)
		forward_free(a->forwards);
}

static void
on_call_gone(void *state)
{
	struct forward *f = state;

	f->call = NULL;
	if (!f->carrier)
		forward_free(f);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct timeval wait = { .tv_sec = STREAM_IDLE_SECONDS };
	struct forward *f = arg;

	(void)fd;
	(void)what;
	if (!f->used) {
		forward_free(f);
		return;
	}
	f->used = false;
	event_add(f->idle, &wait);
}

static void
begin(struct forward *f, struct http_tunnel *t, const void *extra, size_t n, bool websocket)
{
	static const struct websocket_handler channels = { on_message, on_progress, on_gone };
	static const struct websocket_handler frames = { on_frames, on_progress, on_gone };
	static const struct spdy_handler streams = { on_stream_opened, on_stream_bytes,
						     on_stream_ended, on_stream_reset,
						     on_stream_out };
	struct timeval wait = { .tv_sec = STREAM_IDLE_SECONDS };

	if (!f->ports)
		f->spdy = spdy_new(&streams, f);
	f->carrier =
	    carrier_new(f->api->base, t, extra, n, websocket ? CARRIER_WEBSOCKET : CARRIER_SPDY,
			STREAM_MESSAGE, f->spdy ? &frames : &channels, f);
	f->idle = event_new(f->api->base, -1, 0, on_idle, f);
	event_add(f->idle, &wait);
}

static void
on_upgraded_spdy(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	begin(mine, t, extra, n, false);
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	struct forward *f = mine;

	begin(f, t, extra, n, true);
	for (uint32_t i = 0; f->ports && f->ports[i]; i++) {
		char port[2] = { (char)f->ports[i], (char)(f->ports[i] >> 8) };

		link_new(f, 2 * i, 2 * i + 1, f->ports[i]);
		say(f, 2 * i, port, sizeof port);
		say(f, 2 * i + 1, port, sizeof port);
	}
	for (struct link *p = f->links, *next; p; p = next) {
		next = p->next;
		link_begin(p);
	}
}

/* ---- the request ---- */

struct ports {
	unsigned at[FORWARD_LINKS + 1];
	size_t n;
	bool bad;
};

static void
add_port(void *ctx, const char *value)
{
	struct ports *p = ctx;

	while (*value) {
		char *end;
		unsigned long n = strtoul(value, &end, 10);

		if (end == value || n < 1 || n > 65535 || (*end && *end != ',') ||
		    p->n == FORWARD_LINKS) {
			p->bad = true;
			return;
		}
		p->at[p->n++] = (unsigned)n;
		value = *end ? end + 1 : end;
	}
}

static struct forward *
forward_new(struct call *c, const struct pod *p)
{
	struct forward *f = xcalloc(1, sizeof *f);

	f->api = c->api;
	f->call = c;
	f->ns = xstrdup(c->ns);
	f->pod = xstrdup(c->name);
	f->uid = xstrdup(object_uid(p));
	f->api->nforwards++;
	f->link = &f->api->forwards;
	f->next = f->api->forwards;
	if (f->next)
		f->next->link = &f->next;
	f->api->forwards = f;
	c->state = f;
	c->state_free = on_call_gone;
	return f;
}

/* Says what is wrong with the request; "": nothing. */
static const char *
wrong(struct call *c, const char *protocol, bool spdy, const struct ports *ports)
{
	const char *upgrade = http_header(c->req, "Upgrade");
	bool socket = upgrade && !strcasecmp(upgrade, "websocket") &&
		      http_header(c->req, "Sec-WebSocket-Key") && protocol;

	if (!socket && !(upgrade && !strcasecmp(upgrade, "SPDY/3.1")))
		return "you must upgrade this connection to SPDY/3.1, or to a WebSocket with "
		       "SPDY/3.1+portforward.k8s.io or v4.channel.k8s.io";
	if (!spdy && (ports->bad || !ports->n))
		return arena_printf(&c->arena, "ports: give 1 to %d ports of the pod",
				    FORWARD_LINKS);
	return "";
}

void
stream_forward(struct call *c)
{
	static const char *const ours[] = { "SPDY/3.1+portforward.k8s.io", "v5.channel.k8s.io",
					    "v4.channel.k8s.io", NULL };
	const struct pod *pod = store_find(c->api->store, RES_pod, c->ns, c->name);
	const char *protocol =
	    websocket_choose(http_header(c->req, "Sec-WebSocket-Protocol"), ours);
	bool spdy = !protocol || protocol == ours[0];
	struct ports ports = { 0 };
	struct forward *f;
	char accept[32];

	http_query_each(c->req, "ports", add_port, &ports);
	if (!pod)
		call_refuse(c, WHY_NOT_FOUND, "pods \"%s\" not found", c->name);
	else if (!c->api->host.connect)
		call_refuse(c, WHY_UNABLE, "this kedged cannot forward ports");
	else if (c->api->nforwards >= FORWARDS_MAX)
		call_refuse(c, WHY_UNAVAILABLE, "%d clients forward ports already",
			    c->api->nforwards);
	else if (*wrong(c, protocol, spdy, &ports))
		call_refuse(c, WHY_BAD_REQUEST, "%s", wrong(c, protocol, spdy, &ports));
	else {
		f = forward_new(c, pod);
		if (!spdy) {
			f->ports = xmalloc(sizeof ports.at);
			memcpy(f->ports, ports.at, sizeof ports.at);
			f->v5 = protocol == ours[1];
		}
		c->answered = true;
		if (!protocol) {
			http_reply_header(c->req, "X-Stream-Protocol-Version",
					  "portforward.k8s.io");
			http_upgrade(c->req, "SPDY/3.1", on_upgraded_spdy, f);
			return;
		}
		websocket_accept(http_header(c->req, "Sec-WebSocket-Key"), accept);
		http_reply_header(c->req, "Sec-WebSocket-Accept", accept);
		http_reply_header(c->req, "Sec-WebSocket-Protocol", protocol);
		http_upgrade(c->req, "websocket", on_upgraded, f);
	}
}

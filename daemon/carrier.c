/* carrier.c -- see carrier.h. */
#include "carrier.h"
#include "../reconcile/base/buf.h"
#include "http.h"
#include "stream_limits.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { GOODBYE_SECONDS = 3, ALIVE_SECONDS = 2 };

struct carrier {
	struct websocket *ws; /* NULL: the bare socket, by all that follows */
	struct http_tunnel *tunnel;
	struct websocket_handler handler;
	void *ctx;
	struct event *readable, *writable, *hangup, *goodbye;
	struct buf extra, out; /* extra: came with the request */
	int fd;
	bool listening, ending, ended, asks;
};

/* As in websocket.c. */
static bool
reads(const struct carrier *c)
{
	return c->listening && c->out.len < STREAM_ANSWERS;
}

static void
watch(struct carrier *c)
{
	struct timeval wait = { .tv_sec = ALIVE_SECONDS };

	if (reads(c)) {
		event_del(c->hangup);
		if (!c->ended)
			event_del(c->goodbye);
		event_add(c->readable, NULL);
		if (c->extra.len)
			event_active(c->readable, EV_READ, 1);
	} else {
		event_del(c->readable);
		event_add(c->hangup, c->asks ? &wait : NULL);
	}
	if (c->out.len)
		event_add(c->writable, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;
	char piece[STREAM_PIECE];
	ssize_t n;

	(void)what;
	if (!reads(c))
		return;
	if (c->extra.len) {
		struct buf first = c->extra;

		c->extra = (struct buf){ 0 };
		c->handler.message(c->ctx, first.at, first.len);
		buf_done(&first);
		return;
	}
	n = recv(fd, piece, sizeof piece, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		c->handler.gone(c->ctx);
	else
		c->handler.message(c->ctx, piece, n);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct timeval wait = { .tv_sec = GOODBYE_SECONDS };
	struct carrier *c = arg;
	ssize_t n = c->out.len ? send(fd, c->out.at, c->out.len, MSG_NOSIGNAL) : 0;

	(void)what;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		c->handler.gone(c->ctx);
		return;
	}
	if (n > 0)
		buf_drop(&c->out, n);
	if (c->ending && !c->out.len && !c->ended) {
		c->ended = true;
		shutdown(fd, SHUT_WR);
		event_add(c->goodbye, &wait);
	}
	watch(c);
	c->handler.progress(c->ctx);
}

static void
on_left(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;

	(void)fd;
	(void)what;
	c->handler.gone(c->ctx);
}

/* As in websocket.c: the end of a TCP connection comes behind what we have no room for, so
 * the client is told what needs no answer, and its kernel says when it is gone.  That is the
 * answer to a ping that nobody sent.  Of another protocol there is none, and the kernel's own
 * questions (http_tunnel) have to do. */
static void
on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct timeval wait = { .tv_sec = STREAM_LEFT_SECONDS };
	static const char pong[] = "\x80\x03\0\x06\0\0\0\x04\x7f\xff\xff\xff";
	struct carrier *c = arg;
	struct pollfd p = { .fd = fd };
	ssize_t n = sizeof pong - 1;

	if (!c->asks) { /* it says no more, and what it said before is still to be read */
		event_del(c->hangup);
		if (!c->ended)
			event_add(c->goodbye, &wait);
		return;
	}
	if (!(what & EV_CLOSED)) {
		if (c->out.len) /* that is told more than enough */
			return;
		n = send(fd, pong, sizeof pong - 1, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
	}
	if (what & EV_CLOSED || n != (ssize_t)sizeof pong - 1 || poll(&p, 1, 0) != 0)
		c->handler.gone(c->ctx);
}

struct carrier *
carrier_new(struct event_base *base, struct http_tunnel *t, const void *extra, size_t n,
	    enum carrier_speech speech, size_t max, const struct websocket_handler *handler,
	    void *ctx)
{
	struct carrier *c = xcalloc(1, sizeof *c);

	if (speech == CARRIER_WEBSOCKET) {
		c->ws = websocket_new(base, t, extra, n, max, handler, ctx);
		return c;
	}
	c->tunnel = t;
	c->handler = *handler;
	c->ctx = ctx;
	c->fd = http_tunnel_fd(t);
	c->listening = true;
	c->asks = speech == CARRIER_SPDY;
	if (n)
		buf_add(&c->extra, extra, n);
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
	c->hangup = event_new(base, c->fd, EV_CLOSED | EV_PERSIST, on_hangup, c);
	c->goodbye = event_new(base, -1, 0, on_left, c);
	http_tunnel_on_stop(t, handler->gone, ctx);
	watch(c);
	return c;
}

void
carrier_send(struct carrier *c, const char *bytes, size_t n)
{
	if (c->ws) {
		websocket_send(c->ws, bytes, n);
		return;
	}
	buf_add(&c->out, bytes, n);
	event_add(c->writable, NULL);
	if (!reads(c))
		watch(c);
}

void
carrier_ping(struct carrier *c)
{
	assert(c->ws);
	websocket_ping(c->ws);
}

void
carrier_end(struct carrier *c)
{
	if (c->ws) {
		websocket_end(c->ws);
		return;
	}
	c->ending = true;
	event_add(c->writable, NULL);
}

size_t
carrier_queued(const struct carrier *c)
{
	return c->ws ? websocket_queued(c->ws) : c->out.len;
}

void
carrier_listen(struct carrier *c, bool on)
{
	if (c->ws) {
		websocket_listen(c->ws, on);
	} else if (c->listening != on) {
		c->listening = on;
		watch(c);
	}
}

void
carrier_close(struct carrier *c)
{
	if (c->ws) {
		websocket_close(c->ws);
		free(c);
		return;
	}
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->hangup);
	event_free(c->goodbye);
	http_tunnel_close(c->tunnel);
	buf_done(&c->extra);
	buf_done(&c->out);
	free(c);
}

/* websocket.c -- wslay on a tunnel, in the loop. */
#include "websocket.h"
#include "../reconcile/base/buf.h"
#include "http.h"
#include "stream_limits.h"
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

enum {
	GOODBYE_SECONDS = 3,
	ALIVE_SECONDS = 2,
	TURN = 64 * 1024,   /* read from one client; then it is the others' turn */
	MESSAGE_COST = 128, /* of a queued message beside its bytes, about */
};

struct websocket {
	struct http_tunnel *tunnel;
	wslay_event_context_ptr wslay;
	struct websocket_handler handler;
	void *ctx;
	struct buf extra; /* came with the handshake, read before the socket */
	struct event *readable, *writable, *hangup, *goodbye;
	size_t turn; /* bytes that may still be read in this one */
	int fd;
	bool listening, ending, said_goodbye, broken;
};

void
websocket_accept(const char *key, char ret[32])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[SHA1_DIGEST_SIZE];
	struct sha1_ctx sha;

	sha1_init(&sha);
	sha1_update(&sha, strlen(key), (const uint8_t *)key);
	sha1_update(&sha, sizeof guid - 1, (const uint8_t *)guid);
	sha1_digest(&sha, sizeof digest, digest);
	base64_encode_raw(ret, sizeof digest, digest);
	ret[BASE64_ENCODE_RAW_LENGTH(sizeof digest)] = 0;
}

const char *
websocket_choose(const char *theirs, const char *const *ours)
{
	for (; theirs && *ours; ours++) {
		const char *at = strstr(theirs, *ours);
		size_t n = strlen(*ours);

		if (at && (at == theirs || strchr(", ", at[-1])) &&
		    strspn(at + n, ", ") + !at[n])
			return *ours;
	}
	return NULL;
}

/* wslay answers each ping: of a client that does not read, no more of them are taken.  What a
 * pod says does not fill that much (STREAM_QUEUE): who types ^C into a flood is heard. */
static bool
reads(const struct websocket *s)
{
	return s->listening && websocket_queued(s) < STREAM_ANSWERS;
}

static ssize_t
on_recv(wslay_event_context_ptr w, uint8_t *to, size_t max, int flags, void *arg)
{
	struct websocket *s = arg;
	ssize_t n;

	(void)flags;
	max = max < s->turn ? max : s->turn;
	if (!reads(s) || !max) {
		wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (s->extra.len) {
		n = s->extra.len < max ? s->extra.len : max;
		memcpy(to, s->extra.at, n);
		buf_drop(&s->extra, n);
		s->turn -= n;
		return n;
	}
	n = recv(s->fd, to, max, 0);
	if (n > 0) {
		s->turn -= n;
		return n;
	}
	wslay_event_set_error(w, n < 0 && (errno == EAGAIN || errno == EINTR)
				     ? WSLAY_ERR_WOULDBLOCK
				     : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t
on_send(wslay_event_context_ptr w, const uint8_t *from, size_t n, int flags, void *arg)
{
	struct websocket *s = arg;
	ssize_t rc =
	    send(s->fd, from, n, MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));

	if (rc >= 0)
		return rc;
	wslay_event_set_error(w, errno == EAGAIN || errno == EINTR
				     ? WSLAY_ERR_WOULDBLOCK
				     : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void
on_message(wslay_event_context_ptr w, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct websocket *s = arg;

	(void)w;
	if (m->opcode == WSLAY_BINARY_FRAME || m->opcode == WSLAY_TEXT_FRAME)
		s->handler.message(s->ctx, (const char *)m->msg, m->msg_length);
	else if (m->opcode == WSLAY_PONG && s->handler.pong)
		s->handler.pong(s->ctx);
}

static bool
finished(struct websocket *s)
{
	return s->broken ||
	       (!wslay_event_want_read(s->wslay) && !wslay_event_want_write(s->wslay)) ||
	       (wslay_event_get_close_received(s->wslay) &&
		wslay_event_get_close_sent(s->wslay) && !wslay_event_want_write(s->wslay));
}

static void
watch(struct websocket *s)
{
	struct timeval tv = { .tv_sec = ALIVE_SECONDS };

	if (reads(s) && wslay_event_want_read(s->wslay)) {
		event_del(s->hangup);
		event_add(s->readable, NULL);
		/* What came with the handshake makes no socket readable. */
		if (s->extra.len)
			event_active(s->readable, EV_READ, 1);
	} else {
		event_del(s->readable);
		event_add(s->hangup, &tv);
	}
	if (wslay_event_want_write(s->wslay))
		event_add(s->writable, NULL);
}

/* wslay sends control frames before what is queued, so the goodbye has to wait. */
static void
say_goodbye(struct websocket *s)
{
	if (!s->ending || s->said_goodbye || wslay_event_get_queued_msg_count(s->wslay))
		return;
	s->said_goodbye = true;
	wslay_event_queue_close(s->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
	if (wslay_event_send(s->wslay) != 0)
		s->broken = true;
}

static void
settle(struct websocket *s)
{
	say_goodbye(s);
	if (finished(s)) {
		s->handler.gone(s->ctx);
		return;
	}
	watch(s);
	s->handler.progress(s->ctx);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct websocket *s = arg;

	(void)fd;
	(void)what;
	s->turn = TURN;
	if (wslay_event_recv(s->wslay) != 0 || wslay_event_send(s->wslay) != 0)
		s->broken = true;
	settle(s);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct websocket *s = arg;

	(void)fd;
	(void)what;
	if (wslay_event_send(s->wslay) != 0)
		s->broken = true;
	settle(s);
}

/* Nobody listens to the client, who may have left meanwhile.  Its end of a unix socket
 * shows; that of a TCP connection comes after what it sent, and there is no room for that.
 * But what is said to one who left is answered with a reset: so say what needs no answer. */
static void
on_hangup(evutil_socket_t fd, short what, void *arg)
{
	static const struct wslay_event_msg pong = { .opcode = WSLAY_PONG };
	struct websocket *s = arg;
	struct pollfd p = { .fd = fd };

	if (what & EV_CLOSED)
		s->broken = true;
	else if (!wslay_event_get_queued_msg_count(s->wslay))
		s->broken = wslay_event_queue_msg(s->wslay, &pong) != 0 ||
			    wslay_event_send(s->wslay) != 0 || poll(&p, 1, 0) != 0;
	settle(s);
}

/* Some of what was said has not reached the client's kernel. */
static bool
unsent(const struct websocket *s)
{
	int n = 0;

	return !s->said_goodbye || (ioctl(s->fd, SIOCOUTQ, &n) == 0 && n > 0);
}

/* A client that reads slowly gets all of it, however long that takes; only for its own
 * goodbye we do not wait for ever. */
static void
on_goodbye(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_sec = GOODBYE_SECONDS };
	struct websocket *s = arg;

	(void)fd;
	(void)what;
	if (unsent(s)) {
		event_add(s->goodbye, &tv);
		return;
	}
	s->broken = true;
	settle(s);
}

struct websocket *
websocket_new(struct event_base *base, struct http_tunnel *t, const void *extra, size_t n,
	      size_t max, const struct websocket_handler *handler, void *ctx)
{
	struct wslay_event_callbacks calls = { .recv_callback = on_recv,
					       .send_callback = on_send,
					       .on_msg_recv_callback = on_message };
	struct websocket *s = xcalloc(1, sizeof *s);

	s->tunnel = t;
	s->fd = http_tunnel_fd(t);
	s->handler = *handler;
	s->ctx = ctx;
	s->listening = true;
	if (n)
		buf_add(&s->extra, extra, n);
	if (wslay_event_context_server_init(&s->wslay, &calls, s) != 0)
		abort();
	wslay_event_config_set_max_recv_msg_length(s->wslay, max);
	s->readable = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(base, s->fd, EV_WRITE, on_writable, s);
	s->hangup = event_new(base, s->fd, EV_CLOSED | EV_PERSIST, on_hangup, s);
	s->goodbye = event_new(base, -1, 0, on_goodbye, s);
	http_tunnel_on_stop(t, handler->gone, ctx);
	watch(s);
	return s;
}

void
websocket_send(struct websocket *s, const char *bytes, size_t n)
{
	struct wslay_event_msg m = { WSLAY_BINARY_FRAME, (const uint8_t *)bytes, n };

	if (wslay_event_queue_msg(s->wslay, &m) == 0)
		event_add(s->writable, NULL);
}

void
websocket_ping(struct websocket *s)
{
	static const struct wslay_event_msg ping = { .opcode = WSLAY_PING };

	if (wslay_event_queue_msg(s->wslay, &ping) == 0)
		event_add(s->writable, NULL);
}

void
websocket_end(struct websocket *s)
{
	struct timeval tv = { .tv_sec = GOODBYE_SECONDS };

	if (s->ending)
		return;
	s->ending = true;
	event_add(s->writable, NULL);
	event_add(s->goodbye, &tv);
}

size_t
websocket_queued(const struct websocket *s)
{
	return wslay_event_get_queued_msg_length(s->wslay) +
	       MESSAGE_COST * wslay_event_get_queued_msg_count(s->wslay);
}

void
websocket_listen(struct websocket *s, bool on)
{
	if (s->listening == on)
		return;
	s->listening = on;
	watch(s);
}

void
websocket_close(struct websocket *s)
{
	event_free(s->readable);
	event_free(s->writable);
	event_free(s->hangup);
	event_free(s->goodbye);
	wslay_event_context_free(s->wslay);
	http_tunnel_close(s->tunnel);
	buf_done(&s->extra);
	free(s);
}

/* dns_tcp.c -- see dns_tcp.h. */
#include "dns_tcp.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/now.h"
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum {
	TCP_MAX = 128,
	TCP_CLIENT_MAX = 16,
	IDLE_MS = 10000,
	FIRST_MS = 1000,     /* from a connection to its question */
	OUT_MAX = 128 << 10, /* bytes that wait for a client before it is not read any more */
	IN_MAX = 16 << 10,
	TURN_MAX = 16, /* queries of one connection before others have their turn */
};

struct dns_tcp {
	struct dns_tcps *all;
	struct bufferevent *bev;
	struct dns_client client;
	int64_t heard;
	bool asked; /* at least once */
	struct dns_tcp *next;
};

struct dns_tcps {
	struct event_base *base;
	void (*on_query)(void *, const struct dns_client *, const uint8_t *, size_t);
	void (*on_end)(void *, const struct dns_tcp *);
	void *ctx;
	struct dns_tcp *first;
	unsigned n;
};

struct dns_tcps *
dns_tcps_new(struct event_base *base,
	     void (*on_query)(void *, const struct dns_client *, const uint8_t *, size_t),
	     void (*on_end)(void *, const struct dns_tcp *), void *ctx)
{
	struct dns_tcps *t = xcalloc(1, sizeof *t);

	*t = (struct dns_tcps){
		.base = base, .on_query = on_query, .on_end = on_end, .ctx = ctx
	};
	return t;
}

static void
conn_end(struct dns_tcp *c)
{
	struct dns_tcp **at;

	assert(c);
	at = &c->all->first;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->all->n--;
	c->all->on_end(c->all->ctx, c);
	bufferevent_free(c->bev);
	free(c);
}

static bool
is_full(const struct dns_tcp *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev)) > OUT_MAX;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct dns_tcp *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	uint8_t msg[2 + DNS_QUERY_MAX];

	for (int i = 0; evbuffer_copyout(in, msg, 2) == 2; i++) {
		size_t n = dns_get16(msg);

		if (n < DNS_HEAD || n > DNS_QUERY_MAX) {
			conn_end(c); /* where the next message begins nobody knows */
			return;
		}
		if (evbuffer_get_length(in) < n + 2)
			return;
		if (is_full(c)) {
			bufferevent_disable(bev, EV_READ); /* until on_written */
			return;
		}
		if (i == TURN_MAX) {
			bufferevent_trigger(bev, EV_READ, BEV_OPT_DEFER_CALLBACKS);
			return;
		}
		evbuffer_remove(in, msg, n + 2);
		c->heard = monotonic_ms();
		c->asked = true;
		c->all->on_query(c->all->ctx, &c->client, msg + 2, n);
	}
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	if (bufferevent_get_enabled(bev) & EV_READ)
		return;
	bufferevent_enable(bev, EV_READ);
	on_read(bev, arg);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what; /* the end, an error, or nothing for too long */
	conn_end(arg);
}

/* Of all, or of one address when that has its share, the one that was silent longest. */
static void
make_room(struct dns_tcps *t, const struct sockaddr_in *from)
{
	struct dns_tcp *oldest = NULL, *own = NULL;
	unsigned n = 0;

	for (struct dns_tcp *c = t->first; c; c = c->next) {
		bool same = c->client.from.sin_addr.s_addr == from->sin_addr.s_addr;

		n += same;
		if (!oldest || c->heard < oldest->heard)
			oldest = c;
		if (same && (!own || c->heard < own->heard))
			own = c;
	}
	if (n >= TCP_CLIENT_MAX)
		conn_end(own);
	else if (t->n >= TCP_MAX)
		conn_end(oldest);
}

void
dns_tcps_add(struct dns_tcps *t, int fd, const struct sockaddr_in *from)
{
	const struct timeval idle = { IDLE_MS / 1000, 0 };
	struct dns_tcp *c = xcalloc(1, sizeof *c);

	make_room(t, from);
	c->all = t;
	c->client = (struct dns_client){ *from, c };
	c->heard = monotonic_ms();
	c->bev = bufferevent_socket_new(t->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, IN_MAX);
	bufferevent_set_timeouts(c->bev, &idle, &idle);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	c->next = t->first;
	t->first = c;
	t->n++;
}

void
dns_tcp_send(struct dns_tcp *c, const uint8_t *msg, size_t n)
{
	uint8_t head[2];

	dns_put16(head, (unsigned)n);
	bufferevent_write(c->bev, head, 2);
	bufferevent_write(c->bev, msg, n);
}

bool
dns_tcps_idle(const struct dns_tcps *t)
{
	for (const struct dns_tcp *c = t->first; c; c = c->next)
		if (evbuffer_get_length(bufferevent_get_output(c->bev)) ||
		    (!c->asked && monotonic_ms() - c->heard < FIRST_MS))
			return false;
	return true;
}

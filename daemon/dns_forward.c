/* dns_forward.c -- see dns_forward.h. */
#include "dns_forward.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/now.h"
#include "loop.h"
#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <net/if.h>
#include <string.h>
#include <sys/random.h>

enum {
	FORWARD_MS = 4900, /* resolvers give up after 5 s */
	TRY_MS = 1600,   /* that one server has: far ones and satellites need more than 0.8 s */
	TRIES_EACH = 2,  /* of each server */
	TRIES_ALONE = 4, /* of an only one */
	SILENT_MAX = 2,
	DOWN_MS = 10000, /* how long a silent one comes last */
	ASKS_MAX = 1024,
	WAITERS_MAX = 4096,
	CLIENT_MAX = 256, /* of them from one address */
	CLIENTS = 1024,   /* buckets to count them in */
	STRANGE_MAX = 64, /* packets that are not the answer, on one port */
	BUCKETS = 1024,
};

struct waiter {
	struct waiter *next;
	struct dns_client client;
	size_t n;
	uint8_t query[];
};

struct ask {
	struct ask *next; /* in its bucket */
	struct dns_forward *f;
	struct dns_key key;
	struct waiter *waiters;
	struct dns_servers *servers;
	unsigned order[DNS_SERVERS], nservers, tries, strange;
	int64_t until;
	bool tcp;    /* this try */
	bool folded; /* the last one did not keep the case: over TCP, this once */
	int fd;
	struct event *readable, *timer;
	struct bufferevent *stream;
	size_t n;
	uint8_t sent[DNS_ASK_MAX];
};

struct dns_forward {
	struct event_base *base;
	struct dns_cache *cache;
	dns_answered_fn *answered;
	void *ctx;
	struct dns_servers lists[1 + DNS_STUBS]; /* [0]: the root's */
	unsigned nlists;
	struct ask *asks[BUCKETS];
	unsigned nasks, nwaiters;
	uint16_t of_client[CLIENTS];
	uint64_t seed;
	uint8_t msg[DNS_TCP_MAX + 1];
};

static void ask_next(struct ask *);

struct dns_forward *
dns_forward_new(struct event_base *base, struct dns_cache *cache, dns_answered_fn *answered,
		void *ctx)
{
	struct dns_forward *f = xcalloc(1, sizeof *f);

	f->base = base;
	f->cache = cache;
	f->answered = answered;
	f->ctx = ctx;
	f->nlists = 1;
	f->lists[0].below.len = 1;
	if (getrandom(&f->seed, sizeof f->seed, 0) != sizeof f->seed)
		f->seed = (uint64_t)now_ms();
	return f;
}

bool
dns_server_read(const char *text, struct dns_server *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->at;
	struct sockaddr_in *four = (struct sockaddr_in *)&ret->at;
	char host[64], *scope;
	const char *port = NULL;
	size_t n = strlen(text);
	long number = 53;

	memset(ret, 0, sizeof *ret);
	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
		n = (size_t)(end - ++text);
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		port = strchr(text, ':') + 1;
		n = (size_t)(port - text) - 1;
	}
	if (port) {
		if (!*port || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5)
			return false;
		number = strtol(port, NULL, 10);
	}
	if (n >= sizeof host || number < 1 || number > 65535)
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)number);
		ret->len = sizeof *four;
		return true;
	}
	scope = strchr(host, '%');
	if (scope)
		*scope++ = 0;
	if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
		return false;
	six->sin6_scope_id = scope ? if_nametoindex(scope) : 0;
	if (scope && !six->sin6_scope_id)
		return false;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)number);
	ret->len = sizeof *six;
	return true;
}

static struct dns_servers *
list_at(struct dns_forward *f, const struct dns_name *below)
{
	for (unsigned i = 0; i < f->nlists; i++)
		if (f->lists[i].below.len == below->len &&
		    !memcmp(f->lists[i].below.at, below->at, below->len))
			return &f->lists[i];
	return NULL;
}

void
dns_forward_servers(struct dns_forward *f, const struct dns_servers *list)
{
	struct dns_servers *to = list_at(f, &list->below);

	if (!to && f->nlists == sizeof f->lists / sizeof *f->lists)
		return;
	if (!to)
		to = &f->lists[f->nlists++];
	*to = *list;
}

/* The longest domain that the name is in. */
static struct dns_servers *
list_of(struct dns_forward *f, const struct dns_name *name)
{
	struct dns_servers *best = &f->lists[0];

	for (unsigned i = 1; i < f->nlists; i++)
		if (f->lists[i].below.len > best->below.len &&
		    dns_name_in(name, &f->lists[i].below))
			best = &f->lists[i];
	return best;
}

/* ---- who waits ---- */

static uint16_t *
counter(struct dns_forward *f, const struct dns_client *c)
{
	uint32_t ip = ntohl(c->from.sin_addr.s_addr);

	return &f->of_client[(ip * UINT32_C(2654435761)) >> 22];
}

static void
waiter_free(struct dns_forward *f, struct waiter *w)
{
	--*counter(f, &w->client);
	f->nwaiters--;
	free(w);
}

static bool
waiter_add(struct ask *a, const uint8_t *query, size_t n, const struct dns_client *c)
{
	struct dns_forward *f = a->f;
	struct waiter *w;

	if (f->nwaiters >= WAITERS_MAX || *counter(f, c) >= CLIENT_MAX)
		return false;
	w = xmalloc(sizeof *w + n);
	*w = (struct waiter){ .next = a->waiters, .client = *c, .n = n };
	memcpy(w->query, query, n);
	a->waiters = w;
	++*counter(f, c);
	f->nwaiters++;
	return true;
}

/* ---- one question ---- */

static void
try_end(struct ask *a)
{
	if (a->readable)
		event_free(a->readable);
	a->readable = NULL;
	if (a->stream)
		bufferevent_free(a->stream);
	a->stream = NULL;
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

static void
ask_free(struct ask *a)
{
	try_end(a);
	event_free(a->timer);
	while (a->waiters) {
		struct waiter *w = a->waiters;

		a->waiters = w->next;
		waiter_free(a->f, w);
	}
	free(a);
}

/* The question ends; each waiter gets what is in f->msg, or learns that there is nothing. */
static void
ask_end(struct ask *a, size_t n)
{
	struct dns_forward *f = a->f;
	struct ask **at = &f->asks[dns_key_hash(&a->key, f->seed) & (BUCKETS - 1)];
	uint8_t *copy = n && a->waiters && a->waiters->next ? xmalloc(n) : NULL;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	f->nasks--;
	if (copy)
		memcpy(copy, f->msg, n);
	while (a->waiters) {
		struct waiter *w = a->waiters;

		a->waiters = w->next;
		f->answered(f->ctx, &w->client, w->query, w->n, f->msg, n);
		if (copy)
			memcpy(f->msg, copy, n);
		waiter_free(f, w);
	}
	free(copy);
	ask_free(a);
}

static struct dns_server *
server_of(struct ask *a)
{
	return &a->servers->at[a->order[(a->tries - 1) % a->nservers]];
}

/* Those that answer come first, in the order of the list. */
static void
order_fill(struct ask *a)
{
	int64_t now = monotonic_ms();
	unsigned n = 0;

	a->nservers = a->servers->n;
	for (int down = 0; down < 2; down++)
		for (unsigned i = 0; i < a->servers->n; i++)
			if ((now < a->servers->at[i].down_until) == down)
				a->order[n++] = i;
}

/* In f->msg. */
static void
heard(struct ask *a, size_t n)
{
	struct dns_forward *f = a->f;
	enum dns_belief belief = dns_belief(a->sent, a->n, f->msg, n);
	unsigned rcode = f->msg[3] & 15;

	if (belief == DNS_STRANGE) {
		/* Who guesses does not get guesses without end. */
		if (++a->strange >= STRANGE_MAX || a->tcp)
			ask_next(a);
		return;
	}
	server_of(a)->silent = 0;
	server_of(a)->down_until = 0;
	if (belief == DNS_FOLDED && !a->tcp) {
		/* A server that does not keep the case: over TCP nobody can forge. */
		a->folded = true;
		a->tries--;
		ask_next(a);
		return;
	}
	if (belief == DNS_BROKEN ||
	    (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN && a->tries < a->nservers)) {
		ask_next(a);
		return;
	}
	dns_cache_put(f->cache, &a->key, monotonic_ms(), f->msg, n);
	ask_end(a, n);
}

static void
on_datagram(evutil_socket_t fd, short what, void *arg)
{
	struct ask *a = arg;
	ssize_t n = recv(fd, a->f->msg, DNS_TCP_MAX, MSG_DONTWAIT);

	(void)what;
	if (n >= 0)
		heard(a, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		ask_next(a); /* nobody listens there */
}

static void
on_stream(struct bufferevent *bev, void *arg)
{
	struct ask *a = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	uint8_t head[2];
	size_t n;

	if (evbuffer_copyout(in, head, 2) < 2)
		return;
	n = dns_get16(head);
	if (evbuffer_get_length(in) < n + 2)
		return;
	evbuffer_drain(in, 2);
	evbuffer_remove(in, a->f->msg, n);
	heard(a, n);
}

static void
on_stream_end(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		ask_next(arg);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct ask *a = arg;
	struct dns_server *s = server_of(a);

	(void)fd;
	(void)what;
	if (++s->silent >= SILENT_MAX)
		s->down_until = monotonic_ms() + DOWN_MS;
	ask_next(a);
}

static bool
try_tcp(struct ask *a, const struct dns_server *s)
{
	uint8_t head[2];

	a->stream = bufferevent_socket_new(a->f->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(a->stream, on_stream, NULL, on_stream_end, a);
	dns_put16(head, (unsigned)a->n);
	bufferevent_write(a->stream, head, 2);
	bufferevent_write(a->stream, a->sent, a->n);
	bufferevent_enable(a->stream, EV_READ | EV_WRITE);
	return bufferevent_socket_connect(a->stream, (const struct sockaddr *)&s->at,
					  (int)s->len) == 0;
}

/* A socket of its own for each try: the kernel gives it a random port, and lets nothing
 * through but what comes from that server's. */
static bool
try_udp(struct ask *a, const struct dns_server *s)
{
	a->fd = socket(s->at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || connect(a->fd, (const struct sockaddr *)&s->at, s->len) < 0 ||
	    send(a->fd, a->sent, a->n, MSG_NOSIGNAL) < 0)
		return false;
	a->readable = event_new(a->f->base, a->fd, EV_READ | EV_PERSIST, on_datagram, a);
	event_add(a->readable, NULL);
	return true;
}

/* The next server; when there is no time for one, or each had its turns, the end. */
static void
ask_next(struct ask *a)
{
	unsigned most = a->nservers < 2 ? TRIES_ALONE : TRIES_EACH * a->nservers;
	uint8_t lot[2 + DNS_NAME / 8 + 1];

	try_end(a);
	a->strange = 0;
	while (a->tries < most && monotonic_ms() + TRY_MS / 4 < a->until) {
		int64_t rest = a->until - monotonic_ms();

		a->tries++;
		a->tcp =
		    a->key.tcp || a->folded; /* the next may keep the case, and have no TCP */
		a->folded = false;
		/* better no answer than one that can be guessed */
		if (getrandom(lot, sizeof lot, 0) != sizeof lot)
			break;
		a->n = dns_ask_write(&a->key, dns_get16(lot), lot + 2, a->sent);
		if (a->tcp ? try_tcp(a, server_of(a)) : try_udp(a, server_of(a))) {
			timer_arm(a->timer, rest < TRY_MS ? rest : TRY_MS);
			return;
		}
		try_end(a); /* no way there */
	}
	ask_end(a, 0);
}

bool
dns_forward_knows(struct dns_forward *f, const struct dns_name *name)
{
	return list_of(f, name)->n > 0;
}

static struct ask *
ask_find(struct dns_forward *f, const struct dns_key *k)
{
	struct ask *a = f->asks[dns_key_hash(k, f->seed) & (BUCKETS - 1)];

	while (a && !dns_key_same(&a->key, k))
		a = a->next;
	return a;
}

void
dns_forward_ask(struct dns_forward *f, const struct dns_reply *r, const uint8_t *query,
		size_t n, const struct dns_client *c)
{
	struct dns_key key = { .name = r->name,
			       .type = r->query.type,
			       .edns = r->query.edns,
			       .dnssec = r->query.dnssec,
			       .unchecked = r->query.flags & DNS_CD,
			       .tcp = c->tcp != NULL };
	struct dns_servers *list = list_of(f, &key.name);
	size_t len = dns_cache_get(f->cache, &key, monotonic_ms(), f->msg);
	struct ask *a, **bucket;

	if (len || !list->n) {
		f->answered(f->ctx, c, query, n, f->msg, len);
		return;
	}
	a = ask_find(f, &key);
	if (a) {
		if (!waiter_add(a, query, n, c))
			f->answered(f->ctx, c, query, n, f->msg, 0);
		return;
	}
	if (f->nasks >= ASKS_MAX) {
		f->answered(f->ctx, c, query, n, f->msg, 0);
		return;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct ask){ .f = f,
			   .key = key,
			   .servers = list,
			   .fd = -1,
			   .tcp = key.tcp,
			   .until = monotonic_ms() + FORWARD_MS };
	bucket = &f->asks[dns_key_hash(&key, f->seed) & (BUCKETS - 1)];
	a->next = *bucket;
	*bucket = a;
	f->nasks++;
	a->timer = evtimer_new(f->base, on_late, a);
	if (!waiter_add(a, query, n, c)) {
		f->answered(f->ctx, c, query, n, f->msg, 0);
		ask_end(a, 0);
		return;
	}
	order_fill(a);
	ask_next(a);
}

void
dns_forward_forget(struct dns_forward *f, const struct dns_tcp *tcp)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct ask *a = f->asks[i]; a; a = a->next)
			for (struct waiter **at = &a->waiters; *at;) {
				struct waiter *w = *at;

				if (w->client.tcp != tcp) {
					at = &w->next;
					continue;
				}
				*at = w->next;
				waiter_free(f, w);
			}
}

bool
dns_forward_idle(const struct dns_forward *f)
{
	return !f->nwaiters;
}

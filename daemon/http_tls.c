/* http_tls.c -- the door for TLS: who comes, and with which certificate they are met.
 *
 * We accept ourselves and look at the first byte: what begins as TLS does goes to
 * libmicrohttpd, plain HTTP is told so in the words of Go's server, all else is shut out.
 * A new certificate is a new daemon; the former ones end with their last connection.
 *
 * Anybody can begin a handshake, and finish one.  So who has not yet proved to be somebody
 * has a deadline and a part of the room of their own: they only ever shut out each other.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/error.h"
#include "http_priv.h"
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ARRIVING_MOST = 256, /* connections that say nothing */
	SILENCE_SECONDS = 10,
	ACCEPT_MOST = 64, /* in one turn of the loop */
	TLS_HANDSHAKE = 0x16,
	UNPROVED_MOST = 256,
	UNPROVED_EACH = 32, /* from one address */
	UNPROVED_SECONDS = 10
};

struct arriving {
	struct http *http;
	struct arriving *next; /* the newest first */
	struct event *event;
	struct sockaddr_storage from;
	socklen_t from_len;
	int fd;
};

/* The descriptor stays open. */
static void
arriving_free(struct arriving *a)
{
	struct arriving **at = &a->http->arriving;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	event_free(a->event);
	a->http->narriving--;
	free(a);
}

/* Go's crypto/tls, tlsRecordHeaderLooksLikeHTTP */
static bool
looks_like_http(const char *bytes, size_t n)
{
	static const char *const begins[] = { "GET /", "HEAD ", "POST ", "PUT /", "OPTIO" };

	for (size_t i = 0; n >= 5 && i < sizeof begins / sizeof *begins; i++)
		if (!memcmp(bytes, begins[i], 5))
			return true;
	return false;
}

/* What it sent is taken first: a socket closed with bytes unread resets, and the client
 * would not see the answer. */
static void
say_wrong_protocol(int fd)
{
	static const char text[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
				   "Client sent an HTTP request to an HTTPS server.\n";
	char sink[4096];

	while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) == (ssize_t)sizeof sink)
		;
	(void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
}

static void
on_first_bytes(evutil_socket_t fd, short what, void *arg)
{
	struct arriving *a = arg;
	struct http *h = a->http;
	struct sockaddr_storage from = a->from;
	socklen_t from_len = a->from_len;
	char bytes[8];
	ssize_t n = what & EV_READ ? recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) : 0;

	arriving_free(a);
	if (n > 0 && bytes[0] == TLS_HANDSHAKE) {
		/* It closes what it does not take: there are too many. */
		(void)MHD_add_connection(h->tls->daemon, fd, (struct sockaddr *)&from,
					 from_len);
		listener_poke(h->tls);
		return;
	}
	if (n > 0 && looks_like_http(bytes, (size_t)n))
		say_wrong_protocol(fd);
	close(fd);
}

/* Who says nothing for longest makes room: who has something to say says it at once. */
static void
oldest_drop(struct http *h)
{
	struct arriving *a = h->arriving;
	int fd;

	while (a->next)
		a = a->next;
	fd = a->fd;
	arriving_free(a);
	close(fd);
}

static void
arrive(struct http *h, int fd, const struct sockaddr_storage *from, socklen_t from_len)
{
	const struct timeval silence = { SILENCE_SECONDS, 0 };
	struct arriving *a;

	if (h->narriving >= ARRIVING_MOST)
		oldest_drop(h);
	a = xcalloc(1, sizeof *a);
	*a = (struct arriving){
		.http = h, .next = h->arriving, .from = *from, .from_len = from_len, .fd = fd
	};
	h->arriving = a;
	h->narriving++;
	a->event = event_new(h->base, fd, EV_READ, on_first_bytes, a);
	event_add(a->event, &silence);
}

/* ---- who has proved nothing yet ---- */

struct unproved {
	struct http *http;
	struct unproved *next; /* the newest first */
	struct event *deadline;
	void **mine; /* libmicrohttpd's way back to this */
	unsigned char address[16];
	int fd;
};

/* One host may have all addresses of a /64. */
static void
address_note(const struct sockaddr *from, unsigned char ret[16])
{
	memset(ret, 0, 16);
	if (from && from->sa_family == AF_INET)
		memcpy(ret, &((const struct sockaddr_in *)from)->sin_addr, 4);
	else if (from && from->sa_family == AF_INET6)
		memcpy(ret, &((const struct sockaddr_in6 *)from)->sin6_addr, 8);
}

/* The connection stays. */
static void
unproved_free(struct unproved *u)
{
	struct unproved **at = &u->http->unproved;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	event_free(u->deadline);
	*u->mine = NULL;
	free(u);
}

/* libmicrohttpd closes it at its next look. */
static void
unproved_drop(struct unproved *u)
{
	(void)shutdown(u->fd, SHUT_RDWR);
	unproved_free(u);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	unproved_drop(arg);
}

/* For one more from this address, the one that has had the longest time goes. */
static void
room_make(struct http *h, const unsigned char address[16])
{
	struct unproved *oldest = NULL, *neighbour = NULL;
	int all = 0, near = 0;

	for (struct unproved *u = h->unproved; u; u = u->next) {
		oldest = u;
		all++;
		if (!memcmp(u->address, address, 16)) {
			neighbour = u;
			near++;
		}
	}
	if (near >= UNPROVED_EACH)
		unproved_drop(neighbour);
	else if (all >= UNPROVED_MOST)
		unproved_drop(oldest);
}

void
http_tls_begun(struct listener *l, struct MHD_Connection *c, void **mine)
{
	const struct timeval time = { UNPROVED_SECONDS, 0 };
	struct unproved *u = xcalloc(1, sizeof *u);
	struct http *h = l->http;

	u->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	address_note(
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
	    u->address);
	room_make(h, u->address);
	u->mine = mine;
	*mine = u;
	u->http = h;
	u->next = h->unproved;
	h->unproved = u;
	u->deadline = evtimer_new(h->base, on_deadline, u);
	event_add(u->deadline, &time);
}

void
http_tls_proved(void *mine)
{
	if (mine)
		unproved_free(mine);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_MOST; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t n = sizeof from;
		int c = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c < 0)
			return;
		arrive(h, c, &from, n);
	}
}

/* Those that nobody uses any more. */
static void
sweep(struct http *h)
{
	for (struct listener *l = h->listeners, *next; l; l = next) {
		const union MHD_DaemonInfo *info;

		next = l->next;
		if (l->door != HTTP_TLS || l == h->tls)
			continue;
		info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
		if (info && !info->num_connections)
			listener_close(l);
	}
}

int
http_tls_set(struct http *h, const struct http_tls *tls, struct error **e)
{
	struct listener *l = listener_open(h, -1, HTTP_TLS, tls, e);

	if (!l)
		return -1;
	h->tls = l;
	sweep(h);
	return 0;
}

int
http_tls_open(struct http *h, int fd, const struct http_tls *tls, struct error **e)
{
	h->tls_fd = fd;
	if (http_tls_set(h, tls, e) < 0)
		return -1;
	h->tls_accept = event_new(h->base, fd, EV_READ | EV_PERSIST, on_accept, h);
	event_add(h->tls_accept, NULL);
	return 0;
}

void
http_tls_close(struct http *h)
{
	struct arriving *a;

	while ((a = h->arriving)) {
		h->arriving = a->next;
		event_free(a->event);
		close(a->fd);
		free(a);
	}
	h->narriving = 0;
	if (h->tls_accept)
		event_free(h->tls_accept);
	if (h->tls_fd > 0)
		close(h->tls_fd);
	h->tls_accept = NULL;
	h->tls_fd = 0;
}

/* http.c -- libmicrohttpd within libevent's loop.
 *
 * Each listening socket has a daemon of its own whose epoll descriptor is one
 * event of ours.  A request that cannot go on is suspended in libmicrohttpd and
 * resumed by http_reply or http_wake; libmicrohttpd does not look at the socket
 * of a suspended request, so we do, to notice that a watcher has gone.
 */
#include "http.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "http_peer.h"
#include "http_priv.h"
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <event2/event.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MAX_BODY = 3 * 1024 * 1024,
	BLOCK = 1024,    /* what an HTTP/1.0 client's answer goes through; others' have none */
	PAIR_BYTES = 64, /* what libmicrohttpd keeps a header or an argument in */
	ANSWER_BYTES = 1024 /* for an answer's head, at least */
};

struct http_request {
	struct http *http;
	struct listener *listener;
	struct http_request *next, **link;
	struct MHD_Connection *conn;
	const char *method;
	char *path, *uri; /* uri: as it was sent, the query with it */
	void *mine;
	void (*gone)(void *mine);

	struct buf body;
	http_take_fn *take;
	void (*end)(void *mine);
	bool readied, discard, bad_uri, impatient, passes;
	char who[32], address[INET6_ADDRSTRLEN];

	struct MHD_Response *answer; /* waiting to be queued */
	char **names, **values;      /* headers for it */
	int nheaders, code;
	size_t head; /* bytes of its connection that what is asked takes */
	bool answered, queued, suspended, cut;
	struct event *closed;

	http_pull_fn *pull;
	struct buf out;
	bool ended;

	struct upgrade *upgrade; /* NULL: none */
};

/* ---- suspending and waking ---- */

static void
wake(struct http_request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	if (r->closed)
		event_del(r->closed);
	MHD_resume_connection(r->conn);
	listener_poke(r->listener);
}

static void
on_closed(evutil_socket_t fd, short what, void *arg)
{
	struct http_request *r = arg;

	(void)fd;
	(void)what;
	event_del(r->closed);
	/* One that has its answer still to come may only have closed its sending side. */
	if (r->pull || r->impatient)
		r->cut = true;
	if (r->cut)
		wake(r);
}

static int
fd_of(const struct http_request *r)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return i ? i->connect_fd : -1;
}

static void
suspend(struct http_request *r)
{
	if (!r->closed)
		r->closed =
		    event_new(r->http->base, fd_of(r), EV_CLOSED | EV_PERSIST, on_closed, r);
	if (r->closed)
		event_add(r->closed, NULL);
	r->suspended = true;
	MHD_suspend_connection(r->conn);
}

void
http_wake(struct http_request *r)
{
	wake(r);
}

/* ---- requests ---- */

static struct http_request *
request_new(struct listener *l, struct MHD_Connection *c, const char *method, const char *url,
	    char *uri)
{
	struct http_request *r = xcalloc(1, sizeof *r);
	struct http *h = l->http;

	r->http = h;
	r->listener = l;
	r->conn = c;
	r->method = method;
	r->path = xstrdup(url);
	r->uri = uri;
	r->link = &h->requests;
	r->next = h->requests;
	if (r->next)
		r->next->link = &r->next;
	h->requests = r;
	return r;
}

static void
request_free(struct http_request *r)
{
	if (r->gone)
		r->gone(r->mine);
	if (r->closed)
		event_free(r->closed);
	if (r->answer)
		MHD_destroy_response(r->answer);
	for (int i = 0; i < r->nheaders; i++) {
		free(r->names[i]);
		free(r->values[i]);
	}
	free(r->names);
	free(r->values);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	buf_done(&r->body);
	buf_done(&r->out);
	upgrade_free(r->upgrade);
	free(r->path);
	free(r->uri);
	free(r);
}

/* In place of a request that has yet to be made: what it was asked with. */
struct asked {
	struct http_request *request; /* NULL: not made yet */
	char *uri;
	bool bad, refused;
};

/* Of a query that it has no room for libmicrohttpd forgets the error, and waits; where none is
 * left for an answer's head it closes without a word. */
static bool
has_room(struct listener *l, struct MHD_Connection *c, bool room, const char *what)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *tls =
	    l->door == HTTP_TLS ? MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION)
				: NULL;
	cleanup_free char *text = NULL;

	if (room)
		return true;
	xasprintf(&text, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", what);
	if (tls)
		(void)gnutls_record_send(tls->tls_session, text, strlen(text));
	else
		(void)send(i->connect_fd, text, strlen(text), MSG_NOSIGNAL);
	(void)shutdown(i->connect_fd, SHUT_RDWR);
	listener_poke(l);
	return false;
}

/* How much of its connection a request takes, of which the head is here. */
static size_t
head_bytes(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *cookie =
	    MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_COOKIE);
	int n = MHD_get_connection_values(
	    c, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND | MHD_COOKIE_KIND, NULL, NULL);

	return (i ? i->header_size : 0) + (size_t)n * PAIR_BYTES +
	       (cookie ? strlen(cookie) + 1 : 0); /* which is cut up in a copy */
}

size_t
http_room(const struct http_request *r)
{
	size_t all = listener_bytes(r->listener);

	return r->head < all ? all - r->head : 0;
}

/* The C string that comes of it would end at %00, and mean another object; a name has no
 * control bytes at all, but what is asked to run may well be told by several lines. */
static bool
uri_is_bad(const char *uri)
{
	bool query = false;

	for (const char *p = uri; *p; p++) {
		char hex[3] = "";
		long byte;

		query = query || *p == '?';
		if (*p != '%' || !isxdigit((unsigned char)p[1]) ||
		    !isxdigit((unsigned char)p[2]))
			continue;
		memcpy(hex, p + 1, 2);
		byte = strtol(hex, NULL, 16);
		if (!byte || (!query && (byte < 0x20 || byte == 0x7f)))
			return true;
	}
	return false;
}

/* What came along with it may fill the half that is read into, and is not moved. */
static bool
uri_fits(const struct listener *l, const char *uri)
{
	size_t pairs = 0, all = listener_bytes(l);

	for (const char *p = strchr(uri, '?'); p; p = strchr(p + 1, '&'))
		pairs += PAIR_BYTES;
	return pairs <= all / 2 && strlen(uri) + pairs + ANSWER_BYTES <= all;
}

/* Sees it as it was sent; what is returned is `con` from then on. */
void *
http_on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct asked *a = xcalloc(1, sizeof *a);

	a->refused = !has_room(cls, c, uri_fits(cls, uri), "414 URI Too Long");
	a->uri = xstrdup(uri);
	a->bad = uri_is_bad(uri);
	return a;
}

void
http_on_completed(void *cls, struct MHD_Connection *c, void **con,
		  enum MHD_RequestTerminationCode why)
{
	struct asked *a = *con;

	(void)cls;
	(void)c;
	(void)why;
	if (!a)
		return;
	if (a->request)
		request_free(a->request);
	free(a->uri);
	free(a);
	*con = NULL;
}

static void
note_address(struct http_request *r)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = i ? i->client_addr : NULL;

	if (a && a->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, r->address,
			  sizeof r->address);
	else if (a && a->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, r->address,
			  sizeof r->address);
}

/* Everyone who reaches a socket is asked who they are, at every request.  Over TLS that is
 * the handler's question, and what a web page sends has no credentials with it. */
static bool
admit(struct listener *l, struct http_request *r)
{
	const struct http_handler *h = &l->http->handler;
	const char *host = http_header(r, "Host");
	cleanup_free char *text = NULL;
	bool ok;

	if (r->bad_uri) {
		h->refuse(h->ctx, r, WHY_BAD_REQUEST,
			  "the path may have no control bytes in it, the query no %00");
		return false;
	}
	if (l->door == HTTP_TLS)
		return true;
	if (l->door == HTTP_LOOPBACK && (!host || !host_is_loopback(host))) {
		h->refuse(h->ctx, r, WHY_FORBIDDEN,
			  "the Host header must name a loopback address");
		return false;
	}
	/* No program of ours sends Origin: this is a web page reaching for us. */
	if (http_header(r, "Origin")) {
		h->refuse(h->ctx, r, WHY_FORBIDDEN, "requests from web pages are not served");
		return false;
	}
	ok = l->door == HTTP_LOOPBACK ? peer_tcp_allowed(l->http->peers, fd_of(r), r->who)
				      : peer_unix_allowed(l->http->peers, fd_of(r), r->who);
	if (ok)
		return true;
	xasprintf(&text,
		  "%s may not use kedge: run as root, or join the group %s and log in again%s",
		  r->who, peers_group(l->http->peers),
		  l->door == HTTP_LOOPBACK ? "; here kedge knows only who was a member when "
					     "it started"
					   : "");
	h->refuse(h->ctx, r, WHY_FORBIDDEN, text);
	return false;
}

static enum MHD_Result
queue(struct http_request *r)
{
	enum MHD_Result rc;

	for (int i = 0; i < r->nheaders; i++)
		MHD_add_response_header(r->answer, r->names[i], r->values[i]);
	r->queued = true;
	rc = MHD_queue_response(r->conn, r->code, r->answer);
	MHD_destroy_response(r->answer);
	r->answer = NULL;
	return rc;
}

static void
take_body(struct http_request *r, const char *data, size_t *n)
{
	const struct http_handler *h = &r->http->handler;
	ssize_t took;

	if ((r->answered && !(r->passes && r->take)) || r->discard) {
		*n = 0;
	} else if (r->take) {
		took = r->cut ? -1 : r->take(r->mine, data, *n);
		if (took < 0)
			r->discard = true;
		*n = took < 0 ? 0 : *n - (size_t)took;
		if (*n)
			suspend(r);
	} else if (r->body.len + *n > r->http->max_body) {
		buf_done(&r->body);
		h->refuse(h->ctx, r, WHY_TOO_LARGE, "the request's body is too large");
		*n = 0;
	} else {
		buf_add(&r->body, data, *n);
		*n = 0;
	}
}

static enum MHD_Result
note_coding(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	int *codings = cls;

	(void)kind;
	if (!strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		*codings += value && !strcasecmp(value, "chunked") ? 1 : 2;
	return MHD_YES;
}

/* A body in a coding that is not known ends nobody knows where (RFC 9112, 6.1). */
static bool
coding_is_strange(const struct http_request *r)
{
	int codings = 0;

	MHD_get_connection_values(r->conn, MHD_HEADER_KIND, note_coding, &codings);
	return codings > 1;
}

/* Called with the headers, then with each piece of the body, then with nothing;
 * and again with nothing whenever the request is resumed. */
enum MHD_Result
http_on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method,
	       const char *version, const char *data, size_t *n, void **con)
{
	struct listener *l = cls;
	const struct http_handler *h = &l->http->handler;
	struct asked *a = *con;
	struct http_request *r = a->request;

	(void)version;
	if (a->refused)
		return MHD_NO;
	if (!r) {
		size_t head = head_bytes(c);

		a->refused = !has_room(l, c, head + ANSWER_BYTES <= listener_bytes(l),
				       "431 Request Header Fields Too Large");
		if (a->refused)
			return MHD_NO;
		/* An answer at this point would cost the client its connection. */
		a->request = r = request_new(l, c, method, url, a->uri);
		a->uri = NULL;
		r->head = head;
		note_address(r);
		r->bad_uri = a->bad;
		if (coding_is_strange(r)) { /* whose connection is of no more use */
			h->refuse(h->ctx, r, WHY_UNABLE,
				  "Transfer-Encoding: only chunked is known");
			return queue(r);
		}
		if (admit(l, r))
			h->head(h->ctx, r);
		return MHD_YES;
	}
	if (r->cut && (!r->take || r->impatient))
		return MHD_NO;
	if (*n) {
		take_body(r, data, n);
		return MHD_YES;
	}
	if ((!r->answered || r->passes) && !r->readied) {
		r->readied = true;
		if (r->end)
			r->end(r->mine);
		else
			h->ready(h->ctx, r);
	}
	if (r->answered)
		return r->upgrade && upgrade_takes(r->upgrade) ? MHD_YES : queue(r);
	suspend(r);
	return MHD_YES;
}

const char *
http_method(const struct http_request *r)
{
	return r->method;
}

const char *
http_path(const struct http_request *r)
{
	return r->path;
}

const char *
http_uri(const struct http_request *r)
{
	return r->uri;
}

const char *
http_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

const char *
http_query(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn, MHD_GET_ARGUMENT_KIND, name);
}

struct each_header {
	http_header_fn *fn;
	void *ctx;
};

static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct each_header *e = cls;

	(void)kind;
	e->fn(e->ctx, key, value ? value : "");
	return MHD_YES;
}

void
http_header_each(const struct http_request *r, http_header_fn *fn, void *ctx)
{
	struct each_header e = { fn, ctx };

	MHD_get_connection_values(r->conn, MHD_HEADER_KIND, on_header, &e);
}

void
http_query_all(const struct http_request *r, http_header_fn *fn, void *ctx)
{
	struct each_header e = { fn, ctx };

	MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, on_header, &e);
}

int
http_code(const struct http_request *r)
{
	return r->code;
}

const char *
http_address(const struct http_request *r)
{
	return r->address;
}

struct each {
	const char *name;
	http_query_fn *fn;
	void *ctx;
};

static enum MHD_Result
on_value(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct each *e = cls;

	(void)kind;
	if (!strcmp(key, e->name))
		e->fn(e->ctx, value ? value : "");
	return MHD_YES;
}

void
http_query_each(const struct http_request *r, const char *name, http_query_fn *fn, void *ctx)
{
	struct each e = { name, fn, ctx };

	MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, on_value, &e);
}

const char *
http_who(const struct http_request *r)
{
	return r->who;
}

const char *
http_login(const struct http_request *r, const char *uid)
{
	return peers_login(r->listener->http->peers, (uid_t)strtoul(uid, NULL, 10));
}

enum http_door
http_door(const struct http_request *r)
{
	return r->listener->door;
}

const void *
http_certificate(const struct http_request *r, size_t *ret_n)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	const gnutls_datum_t *certs;
	unsigned n = 0;

	if (r->listener->door != HTTP_TLS || !i || !i->tls_session)
		return NULL;
	certs = gnutls_certificate_get_peers(i->tls_session, &n);
	if (!certs || !n)
		return NULL;
	*ret_n = certs[0].size;
	return certs[0].data;
}

void
http_proved(struct http_request *r)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (r->listener->door == HTTP_TLS && i)
		http_tls_proved(i->socket_context);
}

const struct buf *
http_body(const struct http_request *r)
{
	return &r->body;
}

void
http_keep(struct http_request *r, void *mine, void (*gone)(void *mine))
{
	r->mine = mine;
	r->gone = gone;
}

void *
http_kept(const struct http_request *r)
{
	return r->mine;
}

void
http_take_body(struct http_request *r, http_take_fn *take, void (*end)(void *mine))
{
	r->take = take;
	r->end = end;
}

void
http_impatient(struct http_request *r)
{
	r->impatient = true;
}

/* ---- answers ---- */

static void
answer(struct http_request *r, int code, struct MHD_Response *m)
{
	assert(!r->answered && m);
	r->answered = true;
	r->code = code;
	r->answer = m;
	wake(r);
}

void
http_reply_header(struct http_request *r, const char *name, const char *value)
{
	r->names = xrealloc(r->names, (r->nheaders + 1) * sizeof *r->names);
	r->values = xrealloc(r->values, (r->nheaders + 1) * sizeof *r->values);
	r->names[r->nheaders] = xstrdup(name);
	r->values[r->nheaders++] = xstrdup(value);
}

static void
head_of_answer(struct MHD_Response *m, const char *type)
{
	MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache, private");
	MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
}

void
http_reply(struct http_request *r, int code, const char *type, struct buf *b)
{
	size_t n = b->len;
	struct MHD_Response *m =
	    MHD_create_response_from_buffer(n, buf_steal(b), MHD_RESPMEM_MUST_FREE);

	head_of_answer(m, type);
	answer(r, code, m);
}

/* Suspending within the reader is what makes "nothing yet" cost nothing. */
static ssize_t
on_pull(void *cls, uint64_t pos, char *to, size_t max)
{
	struct http_request *r = cls;
	size_t n;

	(void)pos;
	while (!r->out.len && !r->ended) {
		enum http_pull p;

		if (r->cut || r->http->closing)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		p = r->pull(r->mine, &r->out);
		if (p == HTTP_BREAK)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		if (p == HTTP_END)
			r->ended = true;
		if (p == HTTP_WAIT && !r->out.len) {
			buf_done(&r->out); /* it may wait for long */
			suspend(r);
			return 0;
		}
	}
	if (!r->out.len)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = r->out.len < max ? r->out.len : max;
	memcpy(to, r->out.at, n);
	buf_drop(&r->out, n);
	return n;
}

void
http_stream(struct http_request *r, int code, const char *type, http_pull_fn *pull)
{
	struct MHD_Response *m =
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_pull, r, NULL);

	r->pull = pull;
	head_of_answer(m, type);
	answer(r, code, m);
}

void
http_pass(struct http_request *r, int code, int64_t size, http_pull_fn *pull)
{
	r->pull = pull;
	r->passes = true;
	answer(r, code,
	       MHD_create_response_from_callback(size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)size,
						 BLOCK, on_pull, r, NULL));
}

void
http_upgrade(struct http_request *r, const char *protocol, http_upgraded_fn *fn, void *mine)
{
	r->upgrade = upgrade_new(r->listener, r->conn, fn, mine);
	answer(r, MHD_HTTP_SWITCHING_PROTOCOLS, upgrade_answer(r->upgrade, protocol));
}

/* ---- the whole ---- */

int
http_open(struct event_base *base, const struct http_settings *s,
	  const struct http_handler *handler, struct http **ret, struct error **e)
{
	struct http *h = xcalloc(1, sizeof *h);
	int fd;

	h->base = base;
	h->handler = *handler;
	h->max_body = s->max_body ? s->max_body : MAX_BODY;
	h->peers = peers_open();
	if (s->socket_fd > 0 || s->socket) {
		fd = s->socket_fd > 0 ? s->socket_fd
				      : listen_unix(s->socket, peers_gid(h->peers), e);
		if (fd < 0 || !listener_open(h, fd, HTTP_UNIX, NULL, e))
			goto bad;
		h->path = s->socket_fd > 0 ? NULL : xstrdup(s->socket);
	}
	if (s->listen_fd > 0 || (s->listen && *s->listen)) {
		fd = s->listen_fd > 0 ? s->listen_fd : listen_loopback(s->listen, e);
		if (fd < 0 || !listener_open(h, fd, HTTP_LOOPBACK, NULL, e))
			goto bad;
	}
	if (s->tls_fd > 0 && http_tls_open(h, s->tls_fd, &s->tls, e) < 0)
		goto bad;
	*ret = h;
	return 0;
bad:
	http_close(h);
	return -1;
}

void
http_close(struct http *h)
{
	if (!h)
		return;
	h->closing = true;
	http_tls_close(h);
	tunnels_stop(h);
	for (struct http_request *r = h->requests; r; r = r->next) {
		r->cut = true;
		wake(r);
	}
	/* libmicrohttpd wants nobody suspended when it stops. */
	for (struct listener *l = h->listeners; l; l = l->next)
		MHD_run(l->daemon);
	while (h->listeners)
		listener_close(h->listeners);
	peers_close(h->peers);
	if (h->path)
		(void)unlink(h->path);
	free(h->path);
	free(h);
}

/* reach.c -- see reach.h.  Plain HTTP and TCP; TLS and HTTP/2 are libcurl's (reach_curl.c).
 *
 * As the kubelet: a new connection each time, redirects are followed as long as
 * they stay on the same host, and of the body the first 10 KiB are waited for, whatever they
 * say.  Who is asked may mean no good: all that we keep of an answer has a bound, for a hook
 * has no deadline.
 */
#include "reach.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/text.h"
#include "curl_loop.h"
#include "loop.h"
#include "reach_priv.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <string.h>

enum { HOPS_MAX = 10, HEADERS_MAX = 64 << 10, INTERIM_MAX = 5 };
enum { UNREAD_MAX = 2 * HEADERS_MAX }; /* then we do not read on; no line or piece is so long */

static void begin(struct reach *);

struct reach_pool *
reach_pool_new(struct event_base *base)
{
	struct reach_pool *p = xcalloc(1, sizeof *p);

	p->base = base;
	return p;
}

void
reach_pool_free(struct reach_pool *p)
{
	if (!p)
		return;
	curl_loop_free(p->curls);
	free(p);
}

uint16_t
reach_port(struct iors port, const struct container_port *ports, size_t n)
{
	if (!port.s)
		return port.i > 0 && port.i < 65536 ? (uint16_t)port.i : 0;
	for (size_t i = 0; i < n; i++)
		if (str_is(ports[i].name, port.s))
			return (uint16_t)ports[i].containerPort;
	return 0;
}

struct reach_ask
reach_ask_http(const struct http_get_action *get, const char *ip, uint16_t port)
{
	return (struct reach_ask){ .type = REACH_HTTP,
				   .host = str_is(get->host, "") ? ip : get->host,
				   .port = port,
				   .https = str_is(get->scheme, "HTTPS"),
				   .path = get->path,
				   .headers = get->httpHeaders.at,
				   .nheaders = get->httpHeaders.n };
}

struct reach_ask
reach_ask_tcp(const struct tcp_socket_action *tcp, const char *ip, uint16_t port)
{
	return (struct reach_ask){ .type = REACH_TCP,
				   .host = str_is(tcp->host, "") ? ip : tcp->host,
				   .port = port };
}

/* What is under way is no more; the question itself stays. */
static void
cut(struct reach *r)
{
	if (r->http)
		evhttp_connection_free(r->http);
	if (r->tcp)
		bufferevent_free(r->tcp);
	reach_curl_end(r->curl);
	r->http = NULL;
	r->tcp = NULL;
	r->curl = NULL;
}

void
reach_free(struct reach *r)
{
	if (!r)
		return;
	cut(r);
	if (r->deadline)
		event_free(r->deadline);
	if (r->next)
		event_free(r->next);
	arena_free(&r->arena);
	free(r);
}

static void
end(struct reach *r, const char *why, const char *warning)
{
	reach_fn *fn = r->fn;
	void *ctx = r->ctx;
	cleanup_free char *text = why ? xstrdup(why) : NULL;
	cleanup_free char *warned = warning ? xstrdup(warning) : NULL;

	reach_free(r);
	fn(ctx, text, warned);
}

void
reach_end(struct reach *r, const char *why)
{
	const char *warning = NULL;

	if (r->in_clear && why)
		why = r->in_clear;
	else if (r->in_clear)
		warning = arena_printf(&r->arena,
				       "request to HTTPS lifecycle hook %s:%u got HTTP "
				       "response, retry with HTTP succeeded",
				       r->ask.host, r->ask.port);
	end(r, why, warning);
}

/* As Go writes it, whose words people search for. */
static const char *
go_error(int err, struct arena *a)
{
	char *text = arena_strdup(a, strerror(err));

	*text = (char)tolower((unsigned char)*text);
	return text;
}

static const char *
dial_error(struct reach *r, int err)
{
	return arena_printf(&r->arena, "dial tcp %s:%u: connect: %s", r->ask.host, r->ask.port,
			    go_error(err, &r->arena));
}

static const char *
get_error(struct reach *r, const char *what)
{
	return arena_printf(&r->arena, "Get \"%s\": %s", r->url, what);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct reach *r = arg;
	const char *address = arena_printf(&r->arena, "%s:%u", r->ask.host, r->ask.port);

	(void)fd;
	(void)what;
	if (r->ask.type == REACH_TCP)
		reach_end(r, arena_printf(&r->arena, "dial tcp %s: i/o timeout", address));
	else if (r->ask.type == REACH_GRPC)
		reach_end(r, arena_printf(&r->arena,
					  "timeout: failed to connect service \"%s\" within "
					  "%llds: context deadline exceeded",
					  address, (long long)r->ask.timeout_ms / 1000));
	else
		reach_end(r, get_error(r, "context deadline exceeded (Client.Timeout exceeded "
					  "while awaiting headers)"));
}

/* ---- TCP ---- */

static void
on_tcp(struct bufferevent *bev, short what, void *arg)
{
	struct reach *r = arg;

	const char *why =
	    what & BEV_EVENT_CONNECTED ? NULL : dial_error(r, EVUTIL_SOCKET_ERROR());

	(void)bev;
	if (r->ask.type == REACH_HTTP)
		why = get_error(r, why ? why : "EOF");
	reach_end(r, why);
}

static void
tcp_begin(struct reach *r)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(r->ask.port) };

	inet_pton(AF_INET, r->ask.host, &sa.sin_addr);
	r->tcp = bufferevent_socket_new(r->pool->base, -1,
					BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_setcb(r->tcp, NULL, NULL, on_tcp, r);
	if (bufferevent_socket_connect(r->tcp, (struct sockaddr *)&sa, sizeof sa) < 0)
		reach_end(r, dial_error(r, EVUTIL_SOCKET_ERROR()));
}

/* ---- HTTP ---- */

/* Where "../b" leads from "/a/c/d?q": "/a/b", as RFC 3986 says. */
static const char *
led(const char *from, const char *to, struct arena *a)
{
	size_t dir = strcspn(from, "?"), n = 0;
	const char *at;
	char *path;

	if (!*to)
		return arena_strndup(a, from, dir);
	while (dir && from[dir - 1] != '/')
		dir--;
	at = *to == '/' ? to : arena_printf(a, "%.*s%s", (int)dir, from, to);
	path = arena_alloc(a, strlen(at) + 1);
	for (size_t len; *at; at += len) {
		len = 1 + strcspn(at + 1, "/");
		if (len == 3 && !strncmp(at, "/..", 3))
			while (n && path[--n] != '/')
				;
		else if (len != 2 || at[1] != '.') {
			memcpy(path + n, at, len);
			n += len;
			continue;
		}
		if (!at[len])
			path[n++] = '/';
	}
	path[n] = 0;
	return path;
}

/* true: it leads to the same host, and that is what is asked now. */
static bool
redirected(struct reach *r, const char *to)
{
	struct evhttp_uri *uri = evhttp_uri_parse(to);
	const char *host = uri ? evhttp_uri_get_host(uri) : NULL;
	const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
	bool same = uri && (!host || str_is(host, r->ask.host));
	int port = uri ? evhttp_uri_get_port(uri) : -1;

	if (same) {
		if (scheme)
			r->ask.https = !strcasecmp(scheme, "https");
		if (host)
			r->ask.port = port > 0 ? (uint16_t)port : r->ask.https ? 443 : 80;
		r->ask.path =
		    arena_printf(&r->arena, "%s%s%s",
				 led(host ? "/" : r->ask.path, path ? path : "", &r->arena),
				 query ? "?" : "", query ? query : "");
	}
	if (uri)
		evhttp_uri_free(uri);
	return same;
}

void
reach_answered(struct reach *r, int code, const char *to, const char *why)
{
	if (!code) {
		reach_end(r, get_error(r, why));
	} else if (code >= 300 && code < 400 && to && redirected(r, to)) {
		if (++r->hops > HOPS_MAX) {
			reach_end(r, get_error(r, "stopped after 10 redirects"));
			return;
		}
		cut(r);
		begin(r);
	} else if (!r->ask.any_status && (code < 200 || code >= 400)) {
		reach_end(
		    r, arena_printf(&r->arena, "HTTP probe failed with statuscode: %d", code));
	} else if (!r->ask.any_status && code >= 300) { /* it leads where nobody follows */
		end(r, NULL,
		    arena_printf(&r->arena, "Probe terminated redirects, Response body: %s",
				 r->body ? r->body : ""));
	} else {
		reach_end(r, NULL);
	}
}

static void
headers_drop(struct reach_ask *ask, const char *name)
{
	struct http_header *at = (struct http_header *)ask->headers; /* reach_new's copy */
	size_t n = 0;

	for (size_t i = 0; i < ask->nheaders; i++)
		if (strcasecmp(at[i].name, name))
			at[n++] = at[i];
	ask->nheaders = n;
}

bool
reach_goes_clear(struct reach *r)
{
	if (!r->ask.or_http || r->in_clear || r->hops)
		return false;
	r->in_clear = get_error(r, "http: server gave HTTP response to HTTPS client");
	r->ask.https = false;
	headers_drop(&r->ask, "Authorization"); /* it was for one who can keep it */
	cut(r);
	begin(r);
	return true;
}

static void
heard(struct reach *r)
{
	r->answered = true;
	timer_arm(r->next, 0);
}

/* libevent does not say whether a body in chunks is longer than it may be or no such body: the
 * status is there, and so it counts.  Nor, when nothing came, whether it got there at all. */
static void
on_http_error(enum evhttp_request_error error, void *arg)
{
	struct reach *r = arg;

	if (r->answered || r->failed)
		return;
	if (error == EVREQ_HTTP_INVALID_HEADER)
		r->failed = "malformed HTTP response";
	else if (r->code || r->interim)
		r->failed = "EOF";
	if (error != EVREQ_HTTP_DATA_TOO_LONG)
		r->code = 0;
}

/* After each head, also that of a "100 Continue".  A length that is told may be any, for we
 * stop at our own; of a body in chunks libevent keeps each until it is there as a whole. */
static int
on_head(struct evhttp_request *req, void *arg)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
	struct reach *r = arg;
	int code = evhttp_request_get_response_code(req);

	if (code == 100) {
		if (++r->interim <= INTERIM_MAX)
			return 0;
		r->failed = "net/http: too many 1xx informational responses";
		return -1;
	}
	r->code = code;
	r->to = arena_strdup(&r->arena, evhttp_find_header(headers, "Location"));
	evhttp_connection_set_max_body_size(
	    r->http, evhttp_find_header(headers, "Transfer-Encoding") ? REACH_BODY_MAX : -1);
	return 0;
}

static void
on_body(struct evhttp_request *req, void *arg)
{
	struct reach *r = arg;
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in), room = REACH_BODY_MAX - r->body_len;

	if (!r->body)
		r->body = arena_alloc(&r->arena, REACH_BODY_MAX + 1);
	n = n < room ? n : room;
	evbuffer_copyout(in, r->body + r->body_len, n);
	r->body_len += n;
	r->body[r->body_len] = 0;
	if (n == room)
		heard(r);
}

/* We are inside the connection's own callback, which alone libevent never frees it: kept is
 * what was said, and it goes before that is looked at. */
static void
on_http(struct evhttp_request *req, void *arg)
{
	(void)req;
	heard(arg);
}

static void
http_answered(struct reach *r)
{
	r->answered = false;
	cut(r);
	if (r->code || r->failed)
		reach_answered(r, r->code, r->to, r->failed);
	else
		tcp_begin(r); /* to see why: is there anybody at all? */
}

static void
http_begin(struct reach *r)
{
	const struct reach_ask *ask = &r->ask;
	struct evhttp_request *req = evhttp_request_new(on_http, r);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	cleanup_free char *where = NULL;

	r->http = evhttp_connection_base_new(r->pool->base, NULL, ask->host, ask->port);
	evhttp_connection_set_timeout(r->http, 24 * 3600); /* the deadline is our own */
	evhttp_connection_set_max_headers_size(r->http, HEADERS_MAX);
	bufferevent_setwatermark(evhttp_connection_get_bufferevent(r->http), EV_READ, 0,
				 UNREAD_MAX);
	evhttp_request_set_header_cb(req, on_head);
	evhttp_request_set_chunked_cb(req, on_body);
	evhttp_request_set_error_cb(req, on_http_error);
	r->code = r->interim = 0;
	r->to = r->failed = NULL;
	r->body = NULL;
	r->body_len = 0;
	for (size_t i = 0; i < ask->nheaders; i++)
		evhttp_add_header(headers, ask->headers[i].name,
				  ask->headers[i].value ? ask->headers[i].value : "");
	xasprintf(&where, "%s:%u", ask->host, ask->port);
	if (!evhttp_find_header(headers, "Host"))
		evhttp_add_header(headers, "Host", where);
	if (!evhttp_find_header(headers, "User-Agent"))
		evhttp_add_header(headers, "User-Agent", ask->agent);
	if (!evhttp_find_header(headers, "Accept"))
		evhttp_add_header(headers, "Accept", "*/*");
	evhttp_add_header(headers, "Connection", "close");
	if (evhttp_make_request(r->http, req, EVHTTP_REQ_GET, ask->path) < 0)
		reach_end(r, get_error(r, "the connection could not be started"));
}

/* ---- all ---- */

/* May end the question, so nothing of it is touched after this.  A name is looked up by
 * libcurl, which does not hold up our loop for it. */
static void
begin(struct reach *r)
{
	struct in_addr ip;
	bool name = inet_pton(AF_INET, r->ask.host, &ip) != 1;

	r->url = r->ask.type == REACH_GRPC
		     ? arena_printf(&r->arena, "http://%s:%u/grpc.health.v1.Health/Check",
				    r->ask.host, r->ask.port)
		     : arena_printf(&r->arena, "http%s://%s:%u%s", r->ask.https ? "s" : "",
				    r->ask.host, r->ask.port, r->ask.path);
	if (!r->ask.port)
		reach_end(r, REACH_NO_PORT);
	else if (name || r->ask.type == REACH_GRPC || r->ask.https)
		reach_curl_begin(r);
	else if (r->ask.type == REACH_TCP)
		tcp_begin(r);
	else
		http_begin(r);
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
	struct reach *r = arg;

	(void)fd;
	(void)what;
	if (r->answered)
		http_answered(r);
	else
		begin(r);
}

struct reach *
reach_new(struct reach_pool *pool, const struct reach_ask *ask, reach_fn *fn, void *ctx)
{
	struct reach *r = xcalloc(1, sizeof *r);
	struct http_header *headers =
	    arena_zalloc(&r->arena, (ask->nheaders + 1) * sizeof *headers);
	const char *path = ask->path ? ask->path : "";

	r->pool = pool;
	r->fn = fn;
	r->ctx = ctx;
	r->ask = *ask;
	r->ask.host = arena_strdup(&r->arena, ask->host);
	r->ask.path = arena_printf(&r->arena, "%s%s", *path == '/' ? "" : "/", path);
	r->ask.agent =
	    arena_printf(&r->arena, "%s/1.33", ask->agent ? ask->agent : "kube-probe");
	r->ask.service = arena_strdup(&r->arena, ask->service ? ask->service : "");
	for (size_t i = 0; i < ask->nheaders; i++) {
		headers[i].name = arena_strdup(&r->arena, ask->headers[i].name);
		headers[i].value =
		    arena_strdup(&r->arena, ask->headers[i].value ? ask->headers[i].value : "");
	}
	r->ask.headers = headers;
	if (ask->timeout_ms > 0) {
		r->deadline = evtimer_new(pool->base, on_deadline, r);
		timer_arm(r->deadline, ask->timeout_ms);
	}
	/* not before the caller knows of it: what fails at once is answered at once */
	r->next = evtimer_new(pool->base, on_next, r);
	timer_arm(r->next, 0);
	return r;
}

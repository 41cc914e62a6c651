/* proxy.c -- see proxy.h.  libcurl speaks with the pod.
 *
 * An upgrade is, for libcurl, a request whose body has no end and no frame, and an answer
 * (101) whose body ends with the connection: the two ways of what is spoken from then on.
 */
#include "proxy.h"
#include "../reconcile/base/addr.h"
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include "carrier.h"
#include "curl_loop.h"
#include "proxy_text.h"
#include "stream_limits.h"
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>

enum {
	HEADERS_MOST = 256,
	HEAD_MORE = 512, /* what is put to the headers of an answer: Date, Connection, a
			    Location's prefix */
};

struct proxied {
	struct api *api;
	struct proxied *next, **link;
	struct call *call; /* NULL: it went over to another protocol */
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	char *host, *prefix; /* of the target; host with its port */
	bool upgrades;       /* asked for another protocol */

	/* to the pod */
	struct buf in;
	bool in_ended, in_waits; /* waits: libcurl does, for more of it */

	/* from the pod */
	int code;
	int64_t size; /* -1: not known */
	struct pair *answer;
	size_t nanswer, head_bytes;
	const char *connection, *protocol, *trouble;
	struct buf out;
	size_t early; /* bytes of it that came before the request's end */
	bool out_waits, begun, done, broken;
	struct carrier *carrier; /* after the upgrade */
	struct event *deadline;  /* the client has left since, and `in` has its last words */
	struct event *stall;     /* bytes wait for one of the two, who takes none */
};

/* What came early was passed on, or is not wanted any more. */
static void
early_over(struct proxied *p)
{
	p->api->proxy_early -= p->early;
	p->early = 0;
}

static bool
early_fits(const struct proxied *p, size_t n)
{
	return p->out.len < PROXY_EARLY &&
	       (p->out.len < PROXY_QUEUE || p->api->proxy_early + n <= PROXY_EARLY_ALL);
}

static void
proxied_free(struct proxied *p)
{
	curl_loop_remove(p->api->curls, p->easy);
	curl_slist_free_all(p->headers);
	if (p->call) {
		p->call->state = NULL;
		p->call->state_free = NULL;
	}
	if (p->carrier)
		carrier_close(p->carrier);
	if (p->deadline)
		event_free(p->deadline);
	if (p->stall)
		event_free(p->stall);
	early_over(p);
	p->api->nproxied--;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	buf_done(&p->in);
	buf_done(&p->out);
	free(p->host);
	free(p->prefix);
	free(p);
}

static void
on_call_gone(void *state)
{
	struct proxied *p = state;

	p->call = NULL;
	if (!p->carrier && !p->deadline)
		proxied_free(p);
}

void
proxies_stop(struct api *a)
{
	for (struct proxied *p = a->proxied, *next; p; p = next) {
		next = p->next;
		proxied_free(p);
	}
}

/* Never from within libcurl: it would call back at once. */
static void
go_on(struct proxied *p)
{
	curl_easy_pause(p->easy, (p->in_waits ? CURLPAUSE_SEND : 0) |
				     (p->out_waits ? CURLPAUSE_RECV : 0));
}

/* ---- who takes nothing ---- */

static void
on_time_up(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	proxied_free(ctx);
}

/* After an upgrade no clock runs but this: from when bytes wait for the client or the pod until
 * some are taken.  `moved`: some were just now. */
static void
stall_look(struct proxied *p, bool moved)
{
	struct timeval wait = { .tv_sec = PROXY_STALL_SECONDS };

	if (!p->carrier)
		return;
	if (!p->stall)
		p->stall = evtimer_new(p->api->base, on_time_up, p);
	if (!p->in.len && !carrier_queued(p->carrier))
		event_del(p->stall);
	else if (moved || !evtimer_pending(p->stall, NULL))
		event_add(p->stall, &wait);
}

/* ---- what the client sends ---- */

static void
in_more(struct proxied *p)
{
	if (!p->in_waits)
		return;
	p->in_waits = false;
	go_on(p);
}

static size_t
on_wanted(char *to, size_t size, size_t n, void *arg)
{
	struct proxied *p = arg;
	size_t k = p->in.len < size * n ? p->in.len : size * n;

	if (!k && p->in_ended) /* nobody is there for an answer: it ends at once */
		return p->deadline ? CURL_READFUNC_ABORT : 0;
	if (!k) {
		p->in_waits = true;
		return CURL_READFUNC_PAUSE;
	}
	memcpy(to, p->in.at, k);
	buf_drop(&p->in, k);
	stall_look(p, true);
	if (p->carrier)
		carrier_listen(p->carrier, true);
	else if (p->call)
		http_wake(p->call->req);
	return k;
}

static ssize_t
on_body(void *mine, const char *bytes, size_t n)
{
	struct proxied *p = ((struct call *)mine)->state;
	size_t room;

	if (!p || p->done || p->in_ended)
		return -1;
	room = p->in.len < PROXY_QUEUE ? PROXY_QUEUE - p->in.len : 0;
	n = n < room ? n : room;
	if (n)
		buf_add(&p->in, bytes, n);
	in_more(p);
	return (ssize_t)n;
}

static void
on_body_end(void *mine)
{
	struct proxied *p = ((struct call *)mine)->state;

	if (!p || p->upgrades)
		return;
	p->in_ended = true;
	in_more(p);
}

/* ---- what the pod answers ---- */

static enum http_pull
on_pull(void *mine, struct buf *out)
{
	struct proxied *p = ((struct call *)mine)->state;

	if (!p)
		return HTTP_BREAK;
	if (p->in_ended) /* an upgrade that was not: see answer_begin */
		in_more(p);
	buf_add(out, buf_text(&p->out), p->out.len);
	buf_clear(&p->out);
	early_over(p);
	if (p->out_waits) {
		p->out_waits = false;
		go_on(p);
	}
	if (out->len)
		return HTTP_GO_ON;
	return !p->done ? HTTP_WAIT : p->broken ? HTTP_BREAK : HTTP_END;
}

static size_t
on_answer_body(char *at, size_t size, size_t n, void *arg)
{
	struct proxied *p = arg;
	size_t queued = p->carrier ? carrier_queued(p->carrier) : p->out.len;

	if (p->deadline)
		return size * n;
	/* The client hears nothing before it has said all: a pod that waits for it to listen
	 * meanwhile would wait for ever. */
	if (!p->in_ended && !p->upgrades) {
		if (!early_fits(p, size * n))
			return 0;
		queued = 0;
		p->early += size * n;
		p->api->proxy_early += size * n;
	}
	if (queued >= PROXY_QUEUE) {
		p->out_waits = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (p->carrier) {
		carrier_send(p->carrier, at, size * n);
		stall_look(p, false);
		return size * n;
	}
	buf_add(&p->out, at, size * n);
	if (p->call)
		http_wake(p->call->req);
	return size * n;
}

/* ---- another protocol ---- */

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct proxied *p = ctx;

	buf_add(&p->in, bytes, n);
	stall_look(p, false);
	if (p->in.len >= PROXY_QUEUE)
		carrier_listen(p->carrier, false);
	in_more(p);
}

static void
on_progress(void *ctx)
{
	struct proxied *p = ctx;

	stall_look(p, true);
	if (!p->out_waits || carrier_queued(p->carrier) >= PROXY_QUEUE)
		return;
	p->out_waits = false;
	go_on(p);
}

/* What it said before it left the pod gets still. */
static void
on_gone(void *ctx)
{
	struct timeval wait = { .tv_sec = STREAM_LEFT_SECONDS };
	struct proxied *p = ctx;

	if (p->done || p->in_waits) { /* waits: libcurl has sent all */
		proxied_free(p);
		return;
	}
	carrier_close(p->carrier);
	p->carrier = NULL;
	if (p->stall)
		event_del(p->stall);
	p->deadline = evtimer_new(p->api->base, on_time_up, p);
	evtimer_add(p->deadline, &wait);
	p->in_ended = true;
	p->out_waits = false;
	go_on(p);
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_message, on_progress, on_gone };
	struct proxied *p = mine;

	p->carrier = carrier_new(p->api->base, t, extra, n, CARRIER_ANY, 0, &handler, p);
	carrier_send(p->carrier, buf_text(&p->out), p->out.len);
	buf_done(&p->out);
	early_over(p);
	stall_look(p, false);
	if (p->done)
		carrier_end(p->carrier);
}

/* ---- its headers ---- */

static void
answer_begin(struct proxied *p)
{
	struct call *c = p->call;

	p->begun = c->answered = true;
	for (size_t i = 0; i < p->nanswer; i++) {
		const struct pair *h = &p->answer[i];
		const char *value = h->value;

		if (!proxy_header_passes(h->key, value, p->connection, PROXY_ANSWERS))
			continue;
		if (!strcasecmp(h->key, "Location"))
			value = proxy_location(value, p->prefix, p->host,
					       http_header(c->req, "Host"), &c->arena);
		http_reply_header(c->req, h->key, value);
	}
	if (p->code == 101) {
		http_upgrade(c->req, p->protocol, on_upgraded, p);
		return;
	}
	if (p->upgrades) { /* it would not: that was a request as any other */
		p->upgrades = false;
		p->in_ended = true;
	}
	http_pass(c->req, p->code, p->size, on_pull);
}

static void
answer_forget(struct proxied *p)
{
	p->nanswer = p->head_bytes = 0;
	p->connection = NULL;
	p->protocol = "";
	p->size = -1;
}

/* The header may be there more than once. */
static void
connection_add(struct proxied *p, const char *value)
{
	p->connection = p->connection
			    ? arena_printf(&p->call->arena, "%s,%s", p->connection, value)
			    : value;
}

/* "Name: value", without its end */
static void
answer_header(struct proxied *p, const char *at, size_t n)
{
	struct arena *a = &p->call->arena;
	const char *colon = memchr(at, ':', n), *value;
	char *end;
	long long size;

	if (!colon || p->nanswer == HEADERS_MOST)
		return;
	value = colon + 1;
	while (value < at + n && isspace((unsigned char)*value))
		value++;
	while (n && isspace((unsigned char)at[n - 1]))
		n--;
	if (value > at + n)
		value = at + n;
	p->answer[p->nanswer++] =
	    (struct pair){ arena_strndup(a, at, (size_t)(colon - at)),
			   arena_strndup(a, value, (size_t)(at + n - value)) };
	value = p->answer[p->nanswer - 1].value;
	at = p->answer[p->nanswer - 1].key;
	if (!strcasecmp(at, "Connection"))
		connection_add(p, value);
	else if (!strcasecmp(at, "Upgrade"))
		p->protocol = value;
	else if (!strcasecmp(at, "Content-Length")) {
		size = strtoll(value, &end, 10);
		p->size = end > value && !*end && size >= 0 ? size : -1;
	}
}

static bool
has_header(const struct proxied *p, const char *name)
{
	for (size_t i = 0; i < p->nanswer; i++)
		if (!strcasecmp(p->answer[i].key, name))
			return true;
	return false;
}

/* One line of them; also what comes behind a body. */
static size_t
on_header(char *at, size_t size, size_t n, void *arg)
{
	struct proxied *p = arg;
	size_t len = size * n;

	if (p->begun || !p->call || p->call->answered)
		return len;
	p->head_bytes += len;
	if (p->head_bytes > PROXY_HEAD) {
		p->trouble = "net/http: server response headers exceeded 8192 bytes; aborted";
		return 0;
	}
	if (len > 5 && !memcmp(at, "HTTP/", 5)) {
		const char *code = memchr(at, ' ', len);

		answer_forget(p);
		p->code = code ? atoi(code) : 0;
		return len;
	}
	if (*at != '\r' && *at != '\n') {
		answer_header(p, at, len);
		return len;
	}
	if (p->code == 101 && !(p->upgrades && *p->protocol)) {
		p->trouble = "it goes over to a protocol that was not asked for";
		return 0;
	}
	if (has_header(p, "Transfer-Encoding"))
		p->size = -1;
	if (p->head_bytes + HEAD_MORE > http_room(p->call->req)) {
		p->trouble = "its headers and those of the request are too large together";
		return 0;
	}
	if (p->code >= 200 || p->code == 101)
		answer_begin(p);
	return len;
}

/* ---- its end ---- */

/* In the words of Go's net package, for people search for them. */
static const char *
trouble(struct proxied *p, CURLcode rc)
{
	struct arena *a = &p->call->arena;
	long err = 0;

	curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &err);
	if (p->trouble)
		return p->trouble;
	if (rc == CURLE_COULDNT_CONNECT && err)
		return arena_printf(a, "dial tcp %s: connect: %s", p->host,
				    err == ECONNREFUSED   ? "connection refused"
				    : err == EHOSTUNREACH ? "no route to host"
				    : err == ETIMEDOUT    ? "connection timed out"
							  : strerror((int)err));
	if (rc == CURLE_OPERATION_TIMEDOUT || rc == CURLE_COULDNT_CONNECT)
		return arena_printf(a, "dial tcp %s: i/o timeout", p->host);
	if (rc == CURLE_GOT_NOTHING)
		return "EOF";
	if (rc == CURLE_RECV_ERROR && err == ECONNRESET)
		return arena_printf(a, "read tcp %s: connection reset by peer", p->host);
	return *p->error ? p->error : curl_easy_strerror(rc);
}

static void
on_done(void *mine, CURLcode rc)
{
	struct proxied *p = mine;

	p->done = true;
	p->broken = rc != CURLE_OK;
	if (p->deadline)
		proxied_free(p);
	else if (p->carrier)
		carrier_end(p->carrier);
	else if (p->call && p->begun)
		http_wake(p->call->req);
	else if (p->call && !p->call->answered)
		call_refuse(p->call, WHY_UNAVAILABLE, "error trying to reach service: %s",
			    rc ? trouble(p, rc) : "EOF");
}

/* ---- the request ---- */

static void
header_put(struct proxied *p, const char *name, const char *value)
{
	cleanup_free char *line = NULL;

	/* "name;" is how libcurl is told of a header without a value. */
	xasprintf(&line, *value ? "%s: %s" : "%s;", name, value);
	p->headers = curl_slist_append(p->headers, line);
}

static void
on_asked_header(void *ctx, const char *name, const char *value)
{
	struct proxied *p = ctx;

	if (proxy_header_passes(name, value, p->connection, PROXY_ASKS))
		header_put(p, name, value);
}

static void
on_connection_header(void *ctx, const char *name, const char *value)
{
	struct proxied *p = ctx;

	if (!strcasecmp(name, "Connection"))
		connection_add(p, value);
}

static void
headers_put(struct proxied *p, const struct proxy_target *t)
{
	struct http_request *r = p->call->req;
	const char *before = http_header(r, "X-Forwarded-For"), *from = http_address(r);
	struct arena *a = &p->call->arena;

	http_header_each(r, on_connection_header, p);
	http_header_each(r, on_asked_header, p);
	p->connection = NULL; /* the answer's from here on */
	if (!http_header(r, "Accept"))
		p->headers = curl_slist_append(p->headers, "Accept:"); /* libcurl's own */
	p->headers = curl_slist_append(p->headers, "Expect:");
	if (*from)
		from = before ? arena_printf(a, "%s, %s", before, from) : from;
	else
		from = before ? before : "";
	if (*from)
		header_put(p, "X-Forwarded-For", from);
	header_put(p, "X-Forwarded-Uri",
		   arena_printf(a, "%s%.*s", t->prefix, (int)strcspn(t->asked, "?"), t->asked));
	if (p->upgrades) {
		header_put(p, "Connection", "Upgrade");
		header_put(p, "Upgrade", http_header(r, "Upgrade"));
	}
}

static bool
has_body(const struct http_request *r)
{
	const char *length = http_header(r, "Content-Length");

	return http_header(r, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

static void
body_put(struct proxied *p)
{
	struct http_request *r = p->call->req;
	const char *length = http_header(r, "Content-Length");

	http_take_body(r, on_body, on_body_end);
	if (p->upgrades)
		/* without a value it is not sent, and the body has no frame */
		p->headers = curl_slist_append(p->headers, "Transfer-Encoding:");
	else if (http_header(r, "Transfer-Encoding"))
		p->headers = curl_slist_append(p->headers, "Transfer-Encoding: chunked");
	else if (!length)
		return;
	else
		curl_easy_setopt(p->easy, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)strtoll(length, NULL, 10));
	curl_easy_setopt(p->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(p->easy, CURLOPT_READFUNCTION, on_wanted);
	curl_easy_setopt(p->easy, CURLOPT_READDATA, p);
}

static void
curl_set_up(struct proxied *p, const struct proxy_target *t)
{
	const char *method = http_method(p->call->req),
		   *url = arena_printf(&p->call->arena, "%s://%s/", t->scheme, p->host);
	CURL *c = p->easy = curl_easy_init();

	curl_easy_setopt(c, CURLOPT_PRIVATE, p);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, t->asked);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* As the apiserver: a pod's certificate names no pod address. */
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_ENABLE_ALPN, 0L);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)PROXY_CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, p);
	if (!strcmp(method, "HEAD")) { /* what body it may have is thrown away */
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		http_take_body(p->call->req, on_body, on_body_end);
		p->in_ended = true;
	} else {
		body_put(p);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	headers_put(p, t);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, p->headers);
}

void
proxy_begin(struct call *c, const struct proxy_target *t)
{
	const char *connection = http_header(c->req, "Connection");
	struct proxied *p;

	if (c->api->nproxied >= PROXIES_MAX) {
		call_refuse(c, WHY_UNAVAILABLE, "%d requests are passed on already",
			    c->api->nproxied);
		return;
	}
	if (!c->api->curls)
		c->api->curls = curl_loop_new(c->api->base, on_done);
	p = xcalloc(1, sizeof *p);
	p->api = c->api;
	p->call = c;
	p->prefix = xstrdup(t->prefix);
	/* Not with a body: unframed, that would be one more request to a pod which would not go
	 * over. */
	p->upgrades = proxy_header_has(connection, "Upgrade") &&
		      http_header(c->req, "Upgrade") && !has_body(c->req);
	xasprintf(&p->host, "%s:%u", addr_before_port(t->ip, &c->arena), t->port);
	p->answer = arena_alloc(&c->arena, HEADERS_MOST * sizeof *p->answer);
	answer_forget(p);
	p->link = &c->api->proxied;
	p->next = c->api->proxied;
	if (p->next)
		p->next->link = &p->next;
	c->api->proxied = p;
	c->api->nproxied++;
	c->state = p;
	c->state_free = on_call_gone;
	http_impatient(c->req);
	curl_set_up(p, t);
	curl_loop_add(c->api->curls, p->easy);
}

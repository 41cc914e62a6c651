/* registry_http.c -- one request to a registry, and whether to ask again.
 *
 * What a registry may lead us to is bounded: at most five redirects, never from https
 * to http, an Authorization header only to the host that it was made for
 * (CVE-2020-15157), and addresses of this host or its link only where the operator
 * listed them, for whoever can write an image's name could otherwise look around there.
 */
#include "../reconcile/base/addr.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/now.h"
#include "registry.h"
#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
	REDIRECTS = 5,
	CONNECT_S = 20,
	STALL_BYTES = 1024, /* a second, on average over the seconds that the operator gave */
	TRIES = 5,
	RETRY_MS = 500,
	RETRY_AFTER_MAX_MS = 60000,
	RETRY_AFTER_CAP_S = 86400,
	ERROR_MAX = 64 << 10,
};

/* ---- where not to go ---- */

static bool
is_local4(uint32_t ip)
{
	return ip >> 24 == 127 || ip >> 24 == 0 || ip >> 16 == 0xa9fe || ip >> 28 >= 0xe;
}

static bool
is_local(const struct sockaddr *sa)
{
	const struct in6_addr *a6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	uint32_t v4;

	if (sa->sa_family == AF_INET)
		return is_local4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	if (sa->sa_family != AF_INET6)
		return true;
	if (IN6_IS_ADDR_V4MAPPED(a6) || IN6_IS_ADDR_V4COMPAT(a6)) {
		memcpy(&v4, a6->s6_addr + 12, sizeof v4);
		return is_local4(ntohl(v4));
	}
	return IN6_IS_ADDR_LOOPBACK(a6) || IN6_IS_ADDR_UNSPECIFIED(a6) ||
	       IN6_IS_ADDR_LINKLOCAL(a6) || IN6_IS_ADDR_MULTICAST(a6);
}

static unsigned
listed_port(const struct pull_host *h)
{
	const char *colon = strrchr(h->host, ':');

	return colon ? (unsigned)atoi(colon + 1) : h->http ? 80u : 443u;
}

/* By its name and port: another name for the same address is not what the operator meant,
 * nor another service at a port that somebody's registry happens to have. */
bool
registry_meant(const struct registry *r, const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL;
	bool meant = false;

	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
		for (size_t i = 0; i < r->bind->registries.n && !meant; i++) {
			const struct pull_host *h = &r->bind->registries.at[i];
			const char *at = registry_place(h->host);
			size_t n = strcspn(at, ":");

			meant = strlen(host) == n && !strncasecmp(host, at, n) &&
				(unsigned)atoi(port) == listed_port(h);
		}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return meant;
}

/* The host's own address among its pods is one of these. */
static bool
is_clusters(const struct pull_bind *b, const struct sockaddr *sa)
{
	const struct in6_addr *a6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	struct addr_range r;
	addr ip;

	if (sa->sa_family == AF_INET)
		ip = addr_from(false, &((const struct sockaddr_in *)sa)->sin_addr);
	else if (sa->sa_family != AF_INET6)
		return false;
	else if (IN6_IS_ADDR_V4MAPPED(a6))
		ip = addr_from(false, a6->s6_addr + 12);
	else
		ip = addr_from(true, a6);
	for (size_t i = 0; i < b->ranges.n; i++)
		if (addr_range_read(b->ranges.at[i], &r) && addr_within(ip, r))
			return true;
	return false;
}

/* The registry itself, where the image's name or kedge.yaml says it is. */
static bool
is_origins(const struct origin *o, const char *url)
{
	const char *host = strstr(o->base, "://");
	size_t n = host ? (size_t)(host + 3 - o->base) + strcspn(host + 3, "/") : 0;

	return n && !strncmp(url, o->base, n) && (!url[n] || url[n] == '/');
}

bool
registry_may_reach(const struct registry *r, const struct origin *o, const char *url,
		   const struct sockaddr *to)
{
	if (is_local(to))
		return registry_meant(r, url);
	return !is_clusters(r->bind, to) || is_origins(o, url) || registry_meant(r, url);
}

static curl_socket_t
on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *sa)
{
	struct request *q = ctx;
	/* sin_port and sin6_port are at the same place */
	unsigned port = ntohs(((const struct sockaddr_in *)&sa->addr)->sin_port);
	const char *url = NULL; /* the one asked now: after a redirect, where that leads */

	(void)purpose;
	curl_easy_getinfo(q->curl, CURLINFO_EFFECTIVE_URL, &url);
	if (!registry_may_reach(q->registry, q->origin, url ? url : q->url, &sa->addr)) {
		char ip[INET6_ADDRSTRLEN] = "?";

		if (sa->addr.sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)&sa->addr)->sin_addr, ip,
				  sizeof ip);
		else if (sa->addr.sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&sa->addr)->sin6_addr, ip,
				  sizeof ip);
		snprintf(q->forbidden, sizeof q->forbidden, "%s port %u", ip, port);
		q->not_allowed = true;
		return CURL_SOCKET_BAD;
	}
	return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

/* ---- one request ---- */

static size_t
on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct request *q = ctx;
	long status = 0;

	n *= size;
	curl_easy_getinfo(q->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300 && q->take)
		return q->take(q->ctx, bytes, n);
	if (q->body.len + n > (status < 300 ? q->max : ERROR_MAX)) {
		q->too_large = status < 300;
		return CURL_WRITEFUNC_ERROR;
	}
	buf_add(&q->body, bytes, n);
	return n;
}

static void
header_copy(const char *line, size_t n, const char *name, char *to, size_t room)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) || line[len] != ':')
		return;
	line += len + 1;
	n -= len + 1;
	while (n && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	while (n && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	snprintf(to, room, "%.*s", (int)n, line);
}

/* Seconds or a date; what nobody would wait for is a day, whatever a registry writes. */
int64_t
retry_after_read(const char *text, int64_t now_s)
{
	size_t digits = strspn(text, "0123456789");
	int64_t s;

	if (digits && !text[digits]) {
		s = digits > 9 ? RETRY_AFTER_CAP_S : strtoll(text, NULL, 10);
	} else {
		time_t at = curl_getdate(text, NULL);

		s = at < 0 ? 0 : (int64_t)at - now_s;
	}
	return s < 1 ? 1 : s > RETRY_AFTER_CAP_S ? RETRY_AFTER_CAP_S * 1000LL : s * 1000;
}

static size_t
on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct request *q = ctx;
	char retry[64] = "", challenge[sizeof q->challenge] = "";

	n *= size;
	if (n > 5 && !strncmp(line, "HTTP/", 5)) { /* of the answer after a redirect, too */
		*q->challenge = *q->type = 0;
		q->retry_after_ms = 0;
		return n;
	}
	header_copy(line, n, "Content-Type", q->type, sizeof q->type);
	header_copy(line, n, "Retry-After", retry, sizeof retry);
	header_copy(line, n, "WWW-Authenticate", challenge, sizeof challenge);
	if (*challenge && (!*q->challenge || !strncasecmp(challenge, "Bearer", 6)))
		snprintf(q->challenge, sizeof q->challenge, "%s", challenge);
	if (*retry)
		q->retry_after_ms = retry_after_read(retry, time(NULL));
	return n;
}

/* Nobody waits for this any more. */
static int
on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
	struct request *q = ctx;
	struct pollfd p = { q->registry->brain, POLLRDHUP, 0 };

	(void)total, (void)now, (void)up_total, (void)up;
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

void
request_open(struct request *q, struct registry *r, struct origin *o, const char *url,
	     const char *accept)
{
	bool plain = !strncmp(url, "http://", 7);

	*q = (struct request){ .registry = r, .origin = o, .url = xstrdup(url) };
	q->curl = curl_easy_init();
	if (!q->curl)
		abort();
	if (accept)
		q->headers = curl_slist_append(NULL, accept);
	curl_easy_setopt(q->curl, CURLOPT_URL, url);
	/* https leads to https; plain http is for hosts that are listed with it */
	curl_easy_setopt(q->curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	curl_easy_setopt(q->curl, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
	curl_easy_setopt(q->curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(q->curl, CURLOPT_MAXREDIRS, (long)REDIRECTS);
	curl_easy_setopt(q->curl, CURLOPT_UNRESTRICTED_AUTH, 0L);
	curl_easy_setopt(q->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(q->curl, CURLOPT_ERRORBUFFER, q->why);
	curl_easy_setopt(q->curl, CURLOPT_USERAGENT, "kedge/" KEDGE_VERSION);
	curl_easy_setopt(q->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(q->curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
	curl_easy_setopt(q->curl, CURLOPT_LOW_SPEED_TIME, (long)r->bind->stallSeconds);
	curl_easy_setopt(q->curl, CURLOPT_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(q->curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(q->curl, CURLOPT_OPENSOCKETDATA, q);
	curl_easy_setopt(q->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(q->curl, CURLOPT_WRITEDATA, q);
	curl_easy_setopt(q->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(q->curl, CURLOPT_HEADERDATA, q);
	curl_easy_setopt(q->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(q->curl, CURLOPT_XFERINFODATA, q);
	curl_easy_setopt(q->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(q->curl, CURLOPT_PRIVATE, q);
	if (o->ca) {
		curl_easy_setopt(q->curl, CURLOPT_CAINFO, o->ca);
		curl_easy_setopt(q->curl, CURLOPT_CAPATH, NULL);
	}
}

void
request_within(struct request *q, int64_t seconds)
{
	q->within_s = seconds;
	curl_easy_setopt(q->curl, CURLOPT_TIMEOUT, (long)seconds);
}

void
request_arm(struct request *q)
{
	const char *auth = q->origin->authorization;

	buf_clear(&q->body);
	*q->why = *q->challenge = *q->type = 0;
	q->status = q->retry_after_ms = 0;
	q->too_large = q->not_allowed = q->asked = false;
	curl_slist_free_all(q->headers ? q->headers->next : NULL);
	if (q->headers)
		q->headers->next = NULL;
	if (auth) {
		cleanup_free char *line = NULL;

		/* libcurl keeps such a header from other hosts, ports and schemes */
		xasprintf(&line, "Authorization: %s", auth);
		q->headers = curl_slist_append(q->headers, line);
	}
	curl_easy_setopt(q->curl, CURLOPT_HTTPHEADER, q->headers);
}

void
request_ended(struct request *q)
{
	curl_off_t us = 0;

	curl_easy_getinfo(q->curl, CURLINFO_RESPONSE_CODE, &q->status);
	curl_easy_getinfo(q->curl, CURLINFO_PRETRANSFER_TIME_T, &us);
	q->asked = us > 0;
}

void
request_close(struct request *q)
{
	if (q->curl)
		curl_easy_cleanup(q->curl);
	curl_slist_free_all(q->headers);
	buf_done(&q->body);
	free(q->url);
	*q = (struct request){ 0 };
}

/* Who says nothing at all may have lost the question, and is asked once more; a layer that goes
 * on and stops is gone on with. */
bool
request_retry(const struct request *q, CURLcode rc, int attempt, int64_t *ret_ms)
{
	bool again = q->status == 429 || q->status == 408 || q->status >= 500;

	if (rc != CURLE_OK)
		again = rc == CURLE_PARTIAL_FILE || rc == CURLE_RECV_ERROR ||
			rc == CURLE_SEND_ERROR || rc == CURLE_GOT_NOTHING ||
			rc == CURLE_HTTP2 || rc == CURLE_HTTP2_STREAM ||
			(rc == CURLE_OPERATION_TIMEDOUT && q->asked &&
			 (attempt == 0 || (q->status && !q->within_s))) ||
			(rc == CURLE_COULDNT_CONNECT && attempt > 0 && !q->not_allowed);
	if (!again || attempt + 1 >= TRIES)
		return false;
	*ret_ms = (int64_t)RETRY_MS << attempt;
	if (q->retry_after_ms > *ret_ms)
		*ret_ms = q->retry_after_ms;
	return *ret_ms <= RETRY_AFTER_MAX_MS;
}

/* ---- what went wrong ---- */

/* "manifest unknown: ...; ..." of a registry's errors, or "". */
static char *
registry_words(const struct buf *body)
{
	json_t *j = json_loadb(buf_text(body), body->len, 0, NULL), *x;
	json_t *list = json_object_get(j, "errors");
	const char *details = json_string_value(json_object_get(j, "details"));
	struct buf out = { 0 };
	size_t i;

	json_array_foreach(list, i, x) {
		const char *message = json_string_value(json_object_get(x, "message"));
		const char *code = json_string_value(json_object_get(x, "code"));

		if (out.len < 1000 && (message || code))
			buf_addf(&out, "%s%.300s", out.len ? "; " : "",
				 message && *message ? message : code);
	}
	if (!out.len && details)
		buf_addf(&out, "%.300s", details);
	json_decref(j);
	for (char *p = out.at; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return buf_steal(&out);
}

static const char *
status_text(long status)
{
	static const struct {
		long status;
		const char *text;
	} known[] = {
		{ 400, "400 Bad Request" },
		{ 401, "401 Unauthorized" },
		{ 403, "403 Forbidden" },
		{ 404, "404 Not Found" },
		{ 405, "405 Method Not Allowed" },
		{ 408, "408 Request Timeout" },
		{ 416, "416 Range Not Satisfiable" },
		{ 429, "429 Too Many Requests" },
		{ 500, "500 Internal Server Error" },
		{ 502, "502 Bad Gateway" },
		{ 503, "503 Service Unavailable" },
		{ 504, "504 Gateway Timeout" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].status == status)
			return known[i].text;
	return NULL;
}

static int
status_fail(const struct request *q, struct error **e)
{
	cleanup_free char *words = registry_words(&q->body);
	const char *text = status_text(q->status);
	enum why why = q->status == 404 || q->status == 400   ? WHY_NOT_FOUND
		       : q->status == 401 || q->status == 403 ? WHY_FORBIDDEN
							      : WHY_UNAVAILABLE;
	char number[32];

	snprintf(number, sizeof number, "%ld", q->status);
	return fail(e, why, "%s: %s%s%s", q->url, text ? text : number, *words ? ": " : "",
		    words);
}

/* Which of the two deadlines it was only libcurl's words tell. */
static int
timeout_fail(const struct request *q, struct error **e)
{
	bool stalled = !q->within_s || strstr(q->why, "too slow");
	long long s = stalled ? q->registry->bind->stallSeconds : q->within_s;

	if (!q->status)
		return fail(e, WHY_TIMEOUT,
			    "%s: the server took the question and gave no answer for %lld "
			    "seconds",
			    q->url, s);
	if (stalled)
		return fail(e, WHY_TIMEOUT,
			    "%s: the registry sent next to nothing for %lld seconds", q->url,
			    s);
	return fail(e, WHY_TIMEOUT,
		    "%s: the answer was not whole after %lld seconds (images.answerSeconds in "
		    "kedge.yaml)",
		    q->url, s);
}

int
request_fail(const struct request *q, CURLcode rc, struct error **e)
{
	if (q->not_allowed)
		return fail(e, WHY_FORBIDDEN,
			    "%s: leads to %s, which is this host's own: list it under "
			    "registries in kedge.yaml if it is a registry",
			    q->url, q->forbidden);
	if (q->too_large)
		return fail(e, WHY_TOO_LARGE, "%s: is larger than the %zu bytes it may have",
			    q->url, q->max);
	if (rc == CURLE_OPERATION_TIMEDOUT && (q->status || q->asked))
		return timeout_fail(q, e);
	if (rc == CURLE_UNSUPPORTED_PROTOCOL)
		return fail(e, WHY_FORBIDDEN,
			    "%s: leads from https to another scheme, which is not followed",
			    q->url);
	if (rc == CURLE_SSL_CONNECT_ERROR && strstr(q->why, "non-properly"))
		return fail(e, WHY_UNAVAILABLE,
			    "%s: the server does not speak TLS; if it is to be asked by plain "
			    "http, list it with http: true under registries in kedge.yaml",
			    q->url);
	if (rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_COULDNT_CONNECT)
		return fail(e, WHY_UNAVAILABLE,
			    "%s: %s; an image can be brought without a registry, too: kedge "
			    "image load, kedge image import",
			    q->url, *q->why ? q->why : curl_easy_strerror(rc));
	if (rc)
		return fail(e, WHY_UNAVAILABLE, "%s: %s", q->url,
			    *q->why ? q->why : curl_easy_strerror(rc));
	return status_fail(q, e);
}

/* ---- documents ---- */

static void
nap(struct registry *r, int64_t ms)
{
	struct pollfd p = { r->brain, POLLRDHUP, 0 };

	if (poll(&p, 1, (int)ms) > 0)
		_exit(0); /* nobody waits any more */
}

CURLcode
request_run(struct request *q)
{
	int attempt = 0;
	int64_t ms;

	for (;;) {
		CURLcode rc;

		request_arm(q);
		rc = curl_easy_perform(q->curl);
		request_ended(q);
		if (rc == CURLE_ABORTED_BY_CALLBACK)
			_exit(0);
		if (!request_retry(q, rc, attempt++, &ms))
			return rc;
		nap(q->registry, ms);
	}
}

static int
origin_get(struct registry *r, struct origin *o, const char *path, const char *accept,
	   size_t max, struct buf *ret, char ret_type[256], struct error **e)
{
	struct request q;
	cleanup_free char *url = NULL;
	int rc = -1;

	xasprintf(&url, "%s/%s", o->base, path);
	request_open(&q, r, o, url, accept);
	request_within(&q, r->bind->answerSeconds);
	q.max = max;
	for (;;) {
		CURLcode code = request_run(&q);

		if (code == CURLE_OK && q.status == 200) {
			buf_done(ret);
			*ret = q.body;
			q.body = (struct buf){ 0 };
			snprintf(ret_type, 256, "%s", q.type);
			o->refused = false;
			rc = 0;
			break;
		}
		if (code == CURLE_OK &&
		    (q.status == 401 || (q.status == 403 && *q.challenge))) {
			if (registry_authorize(r, o, q.challenge, e) < 0)
				break;
			if (o->authorization)
				continue;
		}
		request_fail(&q, code, e);
		break;
	}
	request_close(&q);
	return rc;
}

int
registry_get(struct registry *r, const char *path, const char *accept, size_t max,
	     struct buf *ret, char ret_type[256], struct error **e)
{
	cleanup_error struct error *why = NULL;

	for (size_t i = 0; i < r->n; i++) {
		cleanup_error struct error *x = NULL;

		if (origin_get(r, &r->origins[i], path, accept, max, ret, ret_type, &x) == 0)
			return 0;
		/* what the registry itself says counts more than why a mirror has it not */
		error_free(&why);
		why = steal_ptr(&x);
	}
	if (e)
		*e = steal_ptr(&why);
	return -1;
}

/* reach_curl.c -- the questions that need TLS or HTTP/2, by libcurl in our own loop.
 *
 * gRPC's health protocol is one POST over cleartext HTTP/2: a message of a few
 * bytes each way, which we write and read by hand.
 */
#include "../reconcile/base/buf.h"
#include "curl_loop.h"
#include "reach_priv.h"
#include <ctype.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_HEAD = 5 };
enum { SERVING = 1, GRPC_UNIMPLEMENTED = 12, GRPC_DEADLINE = 4 };

struct reach_curl {
	struct reach *reach;
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	char body[REACH_BODY_MAX];
	size_t len;
	int grpc_status; /* -1: none came */
	char grpc_message[256];
	char sent[FRAME_HEAD + 512];
};

/* ---- how it went ---- */

static const char *const health_words[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
					    "SERVICE_UNKNOWN" };

/* The status of a HealthCheckResponse, field 1, in one frame; -1: it is none. */
static int
health_of(const struct reach_curl *c)
{
	const unsigned char *at = (const unsigned char *)c->body;

	if (c->len < FRAME_HEAD || at[0] != 0)
		return -1;
	if (c->len == FRAME_HEAD)
		return 0; /* an empty message: all fields are what they are by default */
	return c->len >= FRAME_HEAD + 2 && at[FRAME_HEAD] == 0x08 ? at[FRAME_HEAD + 1] : -1;
}

static void
grpc_end(struct reach *r, CURLcode rc, long code, struct reach_curl *c)
{
	int health = health_of(c);

	if (rc == CURLE_COULDNT_CONNECT)
		reach_end(r, arena_printf(&r->arena,
					  "timeout: failed to connect service \"%s:%u\" within "
					  "%llds: context deadline exceeded",
					  r->ask.host, r->ask.port,
					  (long long)r->ask.timeout_ms / 1000));
	else if (rc)
		reach_end(r, arena_printf(&r->arena,
					  "error: failed to connect service at \"%s:%u\": %s",
					  r->ask.host, r->ask.port,
					  *c->error ? c->error : curl_easy_strerror(rc)));
	else if (c->grpc_status == GRPC_UNIMPLEMENTED || code == 404)
		reach_end(r, arena_printf(&r->arena,
					  "error: this server does not implement the grpc "
					  "health protocol (grpc.health.v1.Health): %s",
					  c->grpc_message));
	else if (c->grpc_status == GRPC_DEADLINE)
		reach_end(r, arena_printf(&r->arena,
					  "timeout: health rpc did not complete within %llds",
					  (long long)r->ask.timeout_ms / 1000));
	else if (c->grpc_status != 0 || health < 0)
		reach_end(r, arena_printf(&r->arena,
					  "error: health rpc probe failed: rpc error: code = "
					  "%d desc = %s",
					  c->grpc_status, c->grpc_message));
	else if (health != SERVING)
		reach_end(r,
			  arena_printf(&r->arena, "service unhealthy (responded with \"%s\")",
				       health < 4 ? health_words[health] : "UNKNOWN"));
	else
		reach_end(r, NULL);
}

static void
transfer_end(struct reach *r, CURLcode rc)
{
	struct reach_curl *c = r->curl;
	char *to = NULL;
	long code = 0, err = 0;
	const char *why;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &err);
	if (r->ask.type == REACH_GRPC) {
		grpc_end(r, rc, code, c);
		return;
	}
	if (rc == CURLE_WRITE_ERROR && code)
		rc = CURLE_OK; /* more of a body than we care for */
	curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &to);
	why = *c->error ? c->error : curl_easy_strerror(rc);
	if (rc == CURLE_COULDNT_CONNECT && err == ECONNREFUSED)
		why = arena_printf(&r->arena, "dial tcp %s:%u: connect: connection refused",
				   r->ask.host, r->ask.port);
	if (r->ask.type == REACH_TCP) {
		reach_end(r, rc ? why : NULL);
		return;
	}
	/* no record of TLS: GnuTLS says so of whatever else there is */
	if (rc == CURLE_SSL_CONNECT_ERROR &&
	    strstr(why, gnutls_strerror(GNUTLS_E_UNEXPECTED_PACKET)) && reach_goes_clear(r))
		return;
	if (code >= 300 && code < 400)
		r->body = arena_strndup(&r->arena, c->body, c->len);
	reach_answered(r, rc ? 0 : (int)code, arena_strdup(&r->arena, to), why);
}

static void
on_done(void *mine, CURLcode rc)
{
	transfer_end(mine, rc);
}

/* ---- one transfer ---- */

static size_t
on_body(char *at, size_t size, size_t n, void *arg)
{
	struct reach_curl *c = arg;
	size_t len = size * n;

	if (len > sizeof c->body - c->len)
		return 0; /* ends it: see transfer_end */
	memcpy(c->body + c->len, at, len);
	c->len += len;
	return len;
}

/* Also what follows the body, where gRPC says how it went. */
static size_t
on_header(char *at, size_t size, size_t n, void *arg)
{
	static const char status[] = "grpc-status:", message[] = "grpc-message:";
	struct reach_curl *c = arg;
	size_t len = size * n;

	if (len > sizeof status && !strncasecmp(at, status, sizeof status - 1)) {
		c->grpc_status = atoi(at + sizeof status - 1);
	} else if (len > sizeof message && !strncasecmp(at, message, sizeof message - 1)) {
		size_t from = sizeof message - 1, room = sizeof c->grpc_message - 1, k = 0;

		for (; from < len && k < room; from++)
			if (k || at[from] != ' ')
				c->grpc_message[k++] = at[from];
		while (k && isspace((unsigned char)c->grpc_message[k - 1]))
			k--;
		c->grpc_message[k] = '\0';
	}
	return len;
}

/* HealthCheckRequest{service = 1} in one gRPC frame. */
static void
grpc_request(struct reach_curl *c, const char *service)
{
	size_t n = strnlen(service, 255), len = n ? 2 + n + (n > 127) : 0, at = FRAME_HEAD;

	c->sent[3] = (char)(len >> 8);
	c->sent[4] = (char)len;
	if (n) {
		c->sent[at++] = 0x0a;
		if (n > 127) { /* a varint of two bytes */
			c->sent[at++] = (char)((n & 0x7f) | 0x80);
			c->sent[at++] = 1;
		} else {
			c->sent[at++] = (char)n;
		}
		memcpy(c->sent + at, service, n);
	}
	c->headers = curl_slist_append(c->headers, "Content-Type: application/grpc");
	c->headers = curl_slist_append(c->headers, "TE: trailers");
	curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)(FRAME_HEAD + len));
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->sent);
}

/* "name;" is how libcurl is told of a header without a value. */
static void
header_add(struct reach_curl *c, const struct http_header *h)
{
	char *line;

	if (*h->value)
		xasprintf(&line, "%s: %s", h->name, h->value);
	else
		xasprintf(&line, "%s;", h->name);
	c->headers = curl_slist_append(c->headers, line);
	free(line);
}

void
reach_curl_begin(struct reach *r)
{
	struct reach_curl *c = xcalloc(1, sizeof *c);

	if (!r->pool->curls)
		r->pool->curls = curl_loop_new(r->pool->base, on_done);
	r->curl = c;
	c->reach = r;
	c->grpc_status = -1;
	c->easy = curl_easy_init();
	curl_easy_setopt(c->easy, CURLOPT_URL, r->url);
	curl_easy_setopt(c->easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* As the kubelet: a pod's certificate names no pod address. */
	curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c->easy, CURLOPT_USERAGENT, r->ask.agent);
	curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	for (size_t i = 0; i < r->ask.nheaders; i++)
		header_add(c, &r->ask.headers[i]);
	if (r->ask.type == REACH_TCP)
		curl_easy_setopt(c->easy, CURLOPT_CONNECT_ONLY, 1L);
	if (r->ask.type == REACH_GRPC)
		grpc_request(c, r->ask.service);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	curl_loop_add(r->pool->curls, c->easy);
}

void
reach_curl_end(struct reach_curl *c)
{
	if (!c)
		return;
	curl_loop_remove(c->reach->pool->curls, c->easy);
	curl_slist_free_all(c->headers);
	free(c);
}

/* reach_priv.h -- between reach.c and reach_curl.c; nobody else includes it. */
#ifndef KEDGE_REACH_PRIV_H
#define KEDGE_REACH_PRIV_H
#include "../reconcile/base/arena.h"
#include "reach.h"
#include <event2/event.h>

struct reach_curl; /* one transfer */
struct curl_loop;

struct reach_pool {
	struct event_base *base;
	struct curl_loop *curls; /* NULL until the first https or grpc */
};

struct reach {
	struct arena arena; /* of ask, its strings too */
	struct reach_pool *pool;
	struct reach_ask ask;
	reach_fn *fn;
	void *ctx;
	struct event *deadline;
	struct event *next; /* what is not done inside another's callback */
	struct evhttp_connection *http;
	struct bufferevent *tcp;
	struct reach_curl *curl;
	const char *url;
	int hops;
	const char *in_clear; /* the server speaks no TLS: it is asked in clear, and this is
				 what went wrong before */
	bool answered;        /* by plain HTTP, with: */
	int code, interim;    /* interim: so many that said "100 Continue" before */
	const char *to;
	const char *failed; /* after the connection was there; NULL: nothing did */
	char *body;         /* the first of it; NULL: none came */
	size_t body_len;
};

enum { REACH_BODY_MAX = 10 << 10 };

/* An HTTP answer, or (code 0) what went wrong; `to`: where a redirect leads, or NULL. */
void reach_answered(struct reach *, int code, const char *to, const char *why);
/* What answered https is no TLS; true: the question goes on in clear. */
bool reach_goes_clear(struct reach *);
void reach_end(struct reach *, const char *why);

/* reach_curl.c */
void reach_curl_begin(struct reach *);
void reach_curl_end(struct reach_curl *);
#endif

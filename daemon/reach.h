/* reach.h -- one question to a container over the network: does it answer, and well?
 *
 * For probes and hooks.  Messages are the kubelet's, for people search for them.
 */
#ifndef KEDGE_REACH_H
#define KEDGE_REACH_H
#include "../reconcile/schema.h"

struct event_base;
struct reach;
struct reach_pool; /* what questions share; one for an event loop */

enum reach_type { REACH_HTTP, REACH_TCP, REACH_GRPC };
struct reach_ask {
	enum reach_type type;
	const char *host;
	uint16_t port;
	/* of HTTP; the certificate is not checked */
	bool https, any_status; /* any_status: whatever the answer, it is one */
	/* Over https to a server that speaks http: asked once more, in clear and without the
	 * Authorization.  It answers with a warning, or fails as it did at first. */
	bool or_http;
	const char *path;
	const struct http_header *headers;
	size_t nheaders;
	const char *agent;   /* "kube-probe": where the headers name no User-Agent */
	const char *service; /* of GRPC; NULL or "": the server as a whole */
	int64_t timeout_ms;  /* 0: none */
};

struct reach_pool *reach_pool_new(struct event_base *);
void reach_pool_free(struct reach_pool *); /* after all its questions */

/* why: NULL when it went well, and then, perhaps, a warning; both are good until this returns.
 * The question is over then and its reach gone.  Never called before reach_new has returned. */
typedef void reach_fn(void *ctx, const char *why, const char *warning);
struct reach *reach_new(struct reach_pool *, const struct reach_ask *, reach_fn *, void *ctx);
void reach_free(struct reach *); /* it is not answered any more; NULL: nothing */

/* A number, or the name of one of these ports; 0: there is none, which nobody is asked about.
 */
#define REACH_NO_PORT "its port has no number and no port of the container has its name"
uint16_t reach_port(struct iors, const struct container_port *, size_t n);
/* "exec [a b]" and the like have no reach; these two are what most have in common. */
struct reach_ask reach_ask_http(const struct http_get_action *, const char *ip, uint16_t port);
struct reach_ask reach_ask_tcp(const struct tcp_socket_action *, const char *ip, uint16_t port);
#endif

/* http.h -- HTTP/1.1 on a unix socket, over TLS and, if asked for, in plain on loopback.
 *
 * Bytes without meaning: what a path stands for is api.c's business.  One
 * thread, one libevent loop; nothing here waits.  On the unix socket and in plain only
 * root, kedge's own user and members of its group are served; who comes over TLS brings
 * credentials, which are the handler's to judge.
 *
 * A request lives from its headers until its answer has been sent or its
 * client has gone; then `gone` of its handler is called and the pointer is dead.
 */
#ifndef KEDGE_HTTP_H
#define KEDGE_HTTP_H
#include "../reconcile/base/buf.h"
#include "../reconcile/base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct http;
struct http_request;
struct http_tunnel;

struct http_tls { /* PEM */
	const char *cert, *key;
	const char *ca; /* whose certificates clients are asked for */
};

struct http_settings {
	const char *socket; /* path; what is left of an earlier one is replaced; NULL: none */
	const char *listen; /* "127.0.0.1:8001", "[::1]:8001"; NULL or "": none */
	int socket_fd; /* > 0: a listening socket someone else made; owned by http from here */
	int listen_fd; /* > 0: the same for TCP; its peers are still checked */
	int tls_fd;    /* > 0: a listening socket for TLS; owned by http from here */
	struct http_tls tls; /* for it */
	size_t max_body;     /* bytes; 0: 3 MiB */
};

struct http_handler {
	/* The headers are here.  May answer (the body is then thrown away) or call
	 * http_take_body; else the body is collected. */
	void (*head)(void *ctx, struct http_request *);
	/* The body is complete.  Must answer, now or later. */
	void (*ready)(void *ctx, struct http_request *);
	/* Must answer at once: the peer may not ask, the body is too large, ... */
	void (*refuse)(void *ctx, struct http_request *, enum why, const char *text);
	void *ctx;
};

/* WHY_BAD_REQUEST when `listen` is not a loopback address. */
int http_open(struct event_base *, const struct http_settings *, const struct http_handler *,
	      struct http **ret, struct error **);
void http_close(struct http *); /* open requests are cut off */
/* Connections to come have this certificate; those that stand keep theirs. */
int http_tls_set(struct http *, const struct http_tls *, struct error **);

const char *http_method(const struct http_request *);
const char *http_path(const struct http_request *); /* decoded, without the query */
const char *http_uri(const struct http_request *);  /* as it was sent, with the query */
const char *http_header(const struct http_request *, const char *name); /* or NULL */
/* Every header, also those that are repeated. */
typedef void http_header_fn(void *ctx, const char *name, const char *value);
void http_header_each(const struct http_request *, http_header_fn *, void *ctx);
int http_code(const struct http_request *);            /* of the answer; 0: there was none */
const char *http_address(const struct http_request *); /* the client's; "": a unix socket */
void http_query_all(const struct http_request *, http_header_fn *, void *ctx);
const char *http_query(const struct http_request *, const char *name); /* or NULL */
/* Every value of a repeated parameter, in order. */
typedef void http_query_fn(void *ctx, const char *value);
void http_query_each(const struct http_request *, const char *name, http_query_fn *, void *ctx);
enum http_door { HTTP_UNIX, HTTP_LOOPBACK, HTTP_TLS };
enum http_door http_door(const struct http_request *);
/* "uid 1000": who asks; over TLS "". */
const char *http_who(const struct http_request *);
/* The name of the user with this uid, where it is known, for as long as the server is there;
 * NULL: not. */
const char *http_login(const struct http_request *, const char *uid);
/* The client's certificate as it sent it (DER), unchecked but for the client's having its
 * key; NULL: none. */
const void *http_certificate(const struct http_request *, size_t *ret_n);
/* Whoever asks is known: the connection may stay for as long as it likes.  One over TLS of
 * which this is never said ends after ten seconds. */
void http_proved(struct http_request *);
const struct buf *http_body(const struct http_request *);
/* What the handler keeps with a request; `gone` (may be NULL) frees it. */
void http_keep(struct http_request *, void *mine, void (*gone)(void *mine));
void *http_kept(const struct http_request *);

/* One answer, once.  Takes what is in the buf and leaves it empty. */
void http_reply(struct http_request *, int code, const char *type, struct buf *);
/* A header for the answer to come; copied. */
void http_reply_header(struct http_request *, const char *name, const char *value);

/* An answer that grows.  `pull` is called when the client can take more: it adds to the
 * buffer, or adds nothing and says to wait (until http_wake), that this was all, or that the
 * rest cannot be had: the client is cut off, so that it does not take this for all. */
enum http_pull { HTTP_GO_ON, HTTP_WAIT, HTTP_END, HTTP_BREAK };
typedef enum http_pull http_pull_fn(void *mine, struct buf *out);
void http_stream(struct http_request *, int code, const char *type, http_pull_fn *);
void http_wake(struct http_request *);
/* Somebody else's answer, of `size` bytes (-1: not known): it has the headers of
 * http_reply_header and none of ours. */
void http_pass(struct http_request *, int code, int64_t size, http_pull_fn *);
/* Bytes that the head of an answer may have: what the request's left. */
size_t http_room(const struct http_request *);
/* A client that closes its side wants no answer any more, even if none has begun. */
void http_impatient(struct http_request *);

/* The body goes to `take` as it comes instead of into memory.  take returns how many
 * bytes it took; fewer than n means "not now": go on after http_wake.  -1: the rest is thrown
 * away.  `end` is called instead of the handler's `ready`; an answer may come before, and then
 * only that of http_pass leaves the rest of the body any use. */
typedef ssize_t http_take_fn(void *mine, const char *bytes, size_t n);
void http_take_body(struct http_request *, http_take_fn *take, void (*end)(void *mine));

/* 101 Switching Protocols; then the socket is the handler's until http_tunnel_close.
 * `extra` is what the client had sent already. */
typedef void http_upgraded_fn(void *mine, struct http_tunnel *, const void *extra, size_t n);
void http_upgrade(struct http_request *, const char *protocol, http_upgraded_fn *, void *mine);
int http_tunnel_fd(const struct http_tunnel *); /* non-blocking */
void http_tunnel_close(struct http_tunnel *);
/* Called when http_close finds the tunnel open; must call http_tunnel_close. */
void http_tunnel_on_stop(struct http_tunnel *, void (*stop)(void *mine), void *mine);
#endif

/* http_priv.h -- what http.c, http_listen.c, http_tls.c and http_tunnel.c share; nobody else
 * includes it. */
#ifndef KEDGE_HTTP_PRIV_H
#define KEDGE_HTTP_PRIV_H
#include "http.h"
#include <microhttpd.h>

struct arriving;
struct event;
struct peers;
struct unproved;
struct upgrade;

/* One of libmicrohttpd's daemons: the unix socket's, the one in plain, and one for each of
 * the API's certificates that is still in use. */
struct listener {
	struct http *http;
	struct listener *next;
	struct MHD_Daemon *daemon;
	struct event *ready, *timer;
	enum http_door door;
	bool woken;
	int rounds;    /* that libmicrohttpd still needs to be rid of a tunnel */
	int strangers; /* connections of those who are refused */
};

struct http {
	struct event_base *base;
	struct http_handler handler;
	struct listener *listeners;
	struct peers *peers;
	struct http_request *requests;
	struct http_tunnel *tunnels;
	char *path; /* of the unix socket; NULL: not ours to remove */
	size_t max_body;
	bool closing;
	/* of http_tls.c */
	struct listener *tls; /* who has the newest certificate */
	struct event *tls_accept;
	struct arriving *arriving; /* connections that have said nothing yet */
	struct unproved *unproved; /* connections of nobody in particular, as far as we know */
	int narriving, tls_fd;
};

/* http_listen.c.  Without `tls` it takes `fd`, also when it fails.  NULL: it failed. */
struct listener *listener_open(struct http *, int fd, enum http_door, const struct http_tls *,
			       struct error **);
void listener_close(struct listener *);
size_t listener_bytes(const struct listener *); /* of each connection */
/* It has something to do that no descriptor tells of. */
void listener_poke(struct listener *);

/* http.c; what libmicrohttpd calls, each with the listener. */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *);
void http_on_completed(void *cls, struct MHD_Connection *, void **con,
		       enum MHD_RequestTerminationCode);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *n, void **con);

/* http_tls.c; takes `fd`, also when it fails. */
int http_tls_open(struct http *, int fd, const struct http_tls *, struct error **);
void http_tls_close(struct http *); /* nobody comes any more; takes one never opened */
/* A connection has come; `*mine` is its record until it proves who it is, or ends. */
void http_tls_begun(struct listener *, struct MHD_Connection *, void **mine);
void http_tls_proved(void *mine); /* takes NULL */

/* http_tunnel.c; for a request whose answer is to be its last. */
struct upgrade *upgrade_new(struct listener *, struct MHD_Connection *, http_upgraded_fn *,
			    void *mine);
struct MHD_Response *upgrade_answer(struct upgrade *, const char *protocol);
/* Before the answer is queued.  True: first the connection's socket had to be taken away from
 * libmicrohttpd, which asks what to do with it once more. */
bool upgrade_takes(struct upgrade *);
void upgrade_free(struct upgrade *); /* takes NULL; the tunnel stays */
void tunnels_stop(struct http *);
#endif

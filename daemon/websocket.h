/* websocket.h -- the server's end of a WebSocket on an upgraded connection.
 *
 * Binary messages both ways; pings are answered, a closing handshake is kept.
 * Nothing waits: what cannot be sent yet is queued and counted, and while that is
 * STREAM_ANSWERS nothing is read from the client.
 */
#ifndef KEDGE_WEBSOCKET_H
#define KEDGE_WEBSOCKET_H
#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct http_tunnel;
struct websocket;

struct websocket_handler {
	void (*message)(void *ctx, const char *bytes, size_t n);
	void (*progress)(void *ctx); /* something was read or sent */
	void (*gone)(void *ctx);     /* the client left; call websocket_close */
	void (*pong)(void *ctx);     /* an answer to a ping; may be NULL */
};

/* Sec-WebSocket-Accept for this Sec-WebSocket-Key (RFC 6455, 4.2.2) */
void websocket_accept(const char *key, char ret[32]);

/* Of `ours` (NULL-terminated), the first that the client offers in Sec-WebSocket-Protocol. */
const char *websocket_choose(const char *theirs, const char *const *ours);
/* Takes the tunnel.  A message longer than `max` ends the connection. */
struct websocket *websocket_new(struct event_base *, struct http_tunnel *, const void *extra,
				size_t n, size_t max, const struct websocket_handler *,
				void *ctx);
void websocket_send(struct websocket *, const char *bytes, size_t n);
/* Asks who reads to say so. */
void websocket_ping(struct websocket *);
/* Says goodbye after what is queued; `gone` follows when the client agrees, or soon. */
void websocket_end(struct websocket *);
size_t websocket_queued(const struct websocket *); /* memory for what is not yet sent */
void websocket_listen(struct websocket *, bool);   /* read from the client, or let it wait */
void websocket_close(struct websocket *);          /* at once; `gone` is not called */
#endif

/* carrier.h -- an upgraded connection as something that takes and gives bytes: the bare
 * socket (of a client of SPDY, or of a protocol that is not ours), or the binary messages of a
 * WebSocket.
 */
#ifndef KEDGE_CARRIER_H
#define KEDGE_CARRIER_H
#include "websocket.h"

struct carrier;

/* Into the bytes of ANY nothing is put: whether a client to whom nobody listens is still there
 * can be asked in the other two. */
enum carrier_speech { CARRIER_SPDY, CARRIER_WEBSOCKET, CARRIER_ANY };

/* As websocket_new; `max` is of a WebSocket's message.  From the bare socket `message`
 * gets pieces as they come. */
struct carrier *carrier_new(struct event_base *, struct http_tunnel *, const void *extra,
			    size_t n, enum carrier_speech, size_t max,
			    const struct websocket_handler *, void *ctx);
void carrier_send(struct carrier *, const char *bytes, size_t n);
void carrier_ping(struct carrier *); /* of a WebSocket only */
/* Says goodbye after what is queued; `gone` follows. */
void carrier_end(struct carrier *);
size_t carrier_queued(const struct carrier *); /* memory for what is not yet sent */
/* Read from the client, or let it wait; it waits, too, while STREAM_ANSWERS are queued. */
void carrier_listen(struct carrier *, bool);
void carrier_close(struct carrier *); /* at once; `gone` is not called */
#endif

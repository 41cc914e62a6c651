/* cli_websocket.h -- a client's end of a WebSocket: what wslay asks of a socket. */
#ifndef KEDGE_CLI_WEBSOCKET_H
#define KEDGE_CLI_WEBSOCKET_H
#include "../reconcile/base/buf.h"
#include <stdbool.h>
#include <wslay/wslay.h>

/* A connection begins with it, so that it can be the callbacks' ctx. */
struct cli_ws {
	int fd;
	wslay_event_context_ptr ws;
	struct buf early; /* came with the handshake's answer, and is read first */
	bool lost;        /* the connection is over; or nobody here takes what comes */
};

/* wslay's callbacks; ctx: a struct cli_ws or what begins with one.  A signal is not the end of
 * a connection, nor is that nothing is there yet. */
ssize_t cli_ws_recv(wslay_event_context_ptr, uint8_t *to, size_t n, int flags, void *ctx);
ssize_t cli_ws_send(wslay_event_context_ptr, const uint8_t *from, size_t n, int flags,
		    void *ctx);
int cli_ws_mask(wslay_event_context_ptr, uint8_t *to, size_t n, void *);
#endif

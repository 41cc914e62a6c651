/* cli_websocket.h -- a client's end of a WebSocket: what wslay asks of a socket. */
#ifndef KEDGE_CLI_WEBSOCKET_H
#define KEDGE_CLI_WEBSOCKET_H
#include "../reconcile/base/buf.h"
#include <stdbool.h>
#include <wslay/wslay.h>

/* A connection begins with it. */
struct cli_ws {
	int fd;
	wslay_event_context_ptr ws;
	struct buf early; /* came with the handshake's answer, and is read first */
	bool lost;        /* the connection is over; or nobody here takes what comes */
};

/* Once `fd` is a WebSocket: makes `ws`.  `on_message` gets the struct cli_ws, or what begins
 * with it.  A signal is not the end of a connection, nor is that nothing is there yet. */
void cli_ws_begin(struct cli_ws *, wslay_event_on_msg_recv_callback on_message);
#endif

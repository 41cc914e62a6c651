/* cli_websocket.h -- a client's end of a WebSocket: what wslay asks of a socket. */
#ifndef KEDGE_CLI_WEBSOCKET_H
#define KEDGE_CLI_WEBSOCKET_H
#include <stdbool.h>
#include <wslay/wslay.h>

struct buf;

/* early: what came with the handshake's answer, and is read first.  *ret_lost: is the
 * connection over?  A signal is not its end, nor is that nothing is there yet. */
ssize_t cli_ws_recv(wslay_event_context_ptr, int fd, struct buf *early, uint8_t *to, size_t n,
		    bool *ret_lost);
ssize_t cli_ws_send(wslay_event_context_ptr, int fd, const uint8_t *from, size_t n,
		    bool *ret_lost);
int cli_ws_mask(wslay_event_context_ptr, uint8_t *to, size_t n, void *);
#endif

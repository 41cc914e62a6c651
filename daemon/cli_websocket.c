/* cli_websocket.c -- a client's end of a WebSocket: what wslay asks of a socket. */
#include "cli_websocket.h"
#include "base/buf.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* For wslay: is it worth trying again? */
static ssize_t
cannot(wslay_event_context_ptr ws, bool lost)
{
	wslay_event_set_error(ws, lost ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
	return -1;
}

ssize_t
cli_ws_recv(wslay_event_context_ptr ws, int fd, struct buf *early, uint8_t *to, size_t n,
	    bool *ret_lost)
{
	ssize_t got;

	if (early->len) {
		got = early->len < n ? early->len : n;
		memcpy(to, early->at, got);
		buf_drop(early, got);
		return got;
	}
	do
		got = recv(fd, to, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	*ret_lost = got == 0 || errno != EAGAIN;
	return cannot(ws, *ret_lost);
}

ssize_t
cli_ws_send(wslay_event_context_ptr ws, int fd, const uint8_t *from, size_t n, bool *ret_lost)
{
	ssize_t sent;

	do
		sent = send(fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	*ret_lost = errno != EAGAIN;
	return cannot(ws, *ret_lost);
}

int
cli_ws_mask(wslay_event_context_ptr ws, uint8_t *to, size_t n, void *ctx)
{
	(void)ws;
	(void)ctx;
	return getrandom(to, n, 0) == (ssize_t)n ? 0 : -1;
}

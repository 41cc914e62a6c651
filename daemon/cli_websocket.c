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

static ssize_t
on_recv(wslay_event_context_ptr ws, uint8_t *to, size_t n, int flags, void *ctx)
{
	struct cli_ws *c = ctx;
	ssize_t got;

	(void)flags;
	if (c->early.len) {
		got = c->early.len < n ? c->early.len : n;
		memcpy(to, c->early.at, got);
		buf_drop(&c->early, got);
		return got;
	}
	do
		got = recv(c->fd, to, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	c->lost = got == 0 || errno != EAGAIN;
	return cannot(ws, c->lost);
}

static ssize_t
on_send(wslay_event_context_ptr ws, const uint8_t *from, size_t n, int flags, void *ctx)
{
	struct cli_ws *c = ctx;
	ssize_t sent;

	(void)flags;
	do
		sent = send(c->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	c->lost = errno != EAGAIN;
	return cannot(ws, c->lost);
}

static int
on_mask(wslay_event_context_ptr ws, uint8_t *to, size_t n, void *ctx)
{
	(void)ws;
	(void)ctx;
	return getrandom(to, n, 0) == (ssize_t)n ? 0 : -1;
}

void
cli_ws_begin(struct cli_ws *c, wslay_event_on_msg_recv_callback on_message)
{
	const struct wslay_event_callbacks calls = { .recv_callback = on_recv,
						     .send_callback = on_send,
						     .genmask_callback = on_mask,
						     .on_msg_recv_callback = on_message };

	wslay_event_context_client_init(&c->ws, &calls, c);
}

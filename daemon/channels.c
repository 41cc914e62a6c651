/* channels.c -- see channels.h. */
#include "channels.h"
#include "../reconcile/base/buf.h"
#include "api_call.h"
#include "stream_limits.h"
#include "websocket.h"
#include <stdlib.h>
#include <string.h>

enum { CLOSE = 255 };

struct channels {
	struct event_base *base;
	struct channels_handler handler;
	void *ctx;
	struct websocket *ws;
	bool v5;
};

/* The protocol to answer with; NULL when there is none we speak. */
static const char *
choose_protocol(const struct call *c)
{
	static const char *const ours[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };

	return websocket_choose(http_header(c->req, "Sec-WebSocket-Protocol"), ours);
}

bool
channels_fit(struct call *c)
{
	const char *upgrade = http_header(c->req, "Upgrade");

	if (upgrade && !strncasecmp(upgrade, "SPDY/", 5))
		call_refuse(
		    c, WHY_BAD_REQUEST,
		    "SPDY is not spoken here: use kubectl 1.30 or newer, or kedge exec");
	else if (!upgrade || strcasecmp(upgrade, "websocket") ||
		 !http_header(c->req, "Sec-WebSocket-Key"))
		call_refuse(c, WHY_BAD_REQUEST,
			    "you must upgrade this connection to a WebSocket");
	else if (!choose_protocol(c))
		call_refuse(
		    c, WHY_BAD_REQUEST,
		    "the WebSocket protocol must be v5.channel.k8s.io or v4.channel.k8s.io");
	else
		return true;
	return false;
}

/* ---- over a WebSocket ---- */

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct channels *ch = ctx;
	unsigned char channel = n ? (unsigned char)bytes[0] : CLOSE;

	if (channel == CH_STDIN || channel == CH_RESIZE)
		ch->handler.bytes(ch->ctx, channel, bytes + 1, n - 1);
	else if (channel == CLOSE && ch->v5 && n > 1 && (unsigned char)bytes[1] < CH_COUNT)
		ch->handler.closed(ch->ctx, (unsigned char)bytes[1]);
}

static void
on_progress(void *ctx)
{
	struct channels *ch = ctx;

	ch->handler.progress(ch->ctx);
}

static void
on_gone(void *ctx)
{
	struct channels *ch = ctx;

	ch->handler.gone(ch->ctx);
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_message, on_progress, on_gone };
	struct channels *ch = mine;

	ch->ws = websocket_new(ch->base, t, extra, n, STREAM_MESSAGE, &handler, ch);
	ch->handler.opened(ch->ctx);
}

struct channels *
channels_upgrade(struct call *c, const bool want[CH_COUNT],
		 const struct channels_handler *handler, void *ctx)
{
	struct channels *ch = xcalloc(1, sizeof *ch);
	const char *protocol = choose_protocol(c);
	char accept[32];

	(void)want;
	*ch = (struct channels){
		.base = c->api->base, .handler = *handler, .ctx = ctx, .v5 = protocol[1] == '5'
	};
	websocket_accept(http_header(c->req, "Sec-WebSocket-Key"), accept);
	http_reply_header(c->req, "Sec-WebSocket-Accept", accept);
	http_reply_header(c->req, "Sec-WebSocket-Protocol", protocol);
	c->answered = true;
	http_upgrade(c->req, "websocket", on_upgraded, ch);
	return ch;
}

bool
channels_upgraded(const struct channels *ch)
{
	return ch->ws;
}

void
channels_send(struct channels *ch, enum channel channel, const char *bytes, size_t n)
{
	struct buf b = { 0 };

	buf_addc(&b, (char)channel);
	buf_add(&b, bytes, n);
	websocket_send(ch->ws, b.at, b.len);
	buf_done(&b);
}

void
channels_end(struct channels *ch)
{
	websocket_end(ch->ws);
}

size_t
channels_queued(const struct channels *ch)
{
	return websocket_queued(ch->ws);
}

void
channels_listen(struct channels *ch, bool on)
{
	websocket_listen(ch->ws, on);
}

void
channels_close(struct channels *ch)
{
	if (ch->ws)
		websocket_close(ch->ws);
	free(ch);
}

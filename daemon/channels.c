/* channels.c -- see channels.h. */
#include "channels.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "api_call.h"
#include "carrier.h"
#include "spdy.h"
#include "stream_limits.h"
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE = 255 };

struct channels {
	struct event_base *base;
	struct channels_handler handler;
	void *ctx;
	struct carrier *carrier; /* after the upgrade */
	bool v5;
	/* over SPDY: a stream for each channel, 0: not open */
	struct spdy *spdy;
	uint32_t streams[CH_COUNT];
	bool want[CH_COUNT], open;
	struct event *deadline; /* for the client to open all of them, or to read */
	bool hasty;             /* what comes before it has its streams is lost */
};

static const char *const stream_types[CH_COUNT] = {
	[CH_STDIN] = "stdin",  [CH_STDOUT] = "stdout", [CH_STDERR] = "stderr",
	[CH_STATUS] = "error", [CH_RESIZE] = "resize",
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

	if (upgrade && !strcasecmp(upgrade, "SPDY/3.1"))
		return true;
	if (!upgrade || strcasecmp(upgrade, "websocket") ||
	    !http_header(c->req, "Sec-WebSocket-Key"))
		call_refuse(c, WHY_BAD_REQUEST,
			    "you must upgrade this connection to a WebSocket or SPDY/3.1");
	else if (!choose_protocol(c))
		call_refuse(
		    c, WHY_BAD_REQUEST,
		    "the WebSocket protocol must be v5.channel.k8s.io or v4.channel.k8s.io");
	else
		return true;
	return false;
}

static void
begin(struct channels *ch)
{
	if (ch->deadline)
		event_del(ch->deadline);
	ch->open = true;
	ch->handler.opened(ch->ctx);
}

/* ---- over a WebSocket ---- */

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct channels *ch = ctx;
	unsigned char channel = n ? (unsigned char)bytes[0] : CLOSE;

	/* Who says something has made its streams; and its answer to our ping may be behind
	 * more input than is read before the streams are open. */
	if (!ch->open)
		begin(ch);
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
on_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	begin(arg);
}

static void
on_pong(void *ctx)
{
	struct timeval wait = { .tv_usec = STREAM_SETTLE_MS * 1000 };
	struct channels *ch = ctx;

	if (!ch->open)
		event_add(ch->deadline, &wait);
}

/* client-go begins to read in one goroutine while it makes its streams in another, and drops
 * what comes for one that it has not made yet ("Unknown stream id 1, discarding message"; at
 * least 1.29 to 1.33).  So it is asked whether it reads, and gets a moment more. */
static void
wait_for_client(struct channels *ch)
{
	struct timeval wait = { .tv_sec = STREAM_READS_SECONDS };

	ch->deadline = event_new(ch->base, -1, 0, on_ready, ch);
	event_add(ch->deadline, &wait);
	carrier_ping(ch->carrier);
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_message, on_progress, on_gone,
							  on_pong };
	struct channels *ch = mine;

	ch->carrier =
	    carrier_new(ch->base, t, extra, n, CARRIER_WEBSOCKET, STREAM_MESSAGE, &handler, ch);
	if (ch->hasty)
		wait_for_client(ch);
	else
		begin(ch);
}

/* ---- over SPDY ---- */

static void
on_frames(void *ctx, const char *bytes, size_t n)
{
	cleanup_error struct error *e = NULL;
	struct channels *ch = ctx;

	if (spdy_feed(ch->spdy, bytes, n, &e) == 0)
		return;
	log_debug("api", "a client's SPDY: %s", error_text(e));
	carrier_end(ch->carrier);
}

static void
on_stream_opened(void *ctx, uint32_t stream, const struct spdy_header *h, size_t n)
{
	const char *type = spdy_header(h, n, "streamtype");
	struct channels *ch = ctx;
	bool all = true;

	for (int i = 0; i < CH_COUNT; i++)
		if (!strcmp(type, stream_types[i]) && !ch->streams[i]) {
			ch->streams[i] = stream;
			stream = 0;
		}
	if (stream) {
		spdy_refuse(ch->spdy, stream);
		return;
	}
	for (int i = 0; i < CH_COUNT; i++) {
		if (ch->streams[i] && !strcmp(type, stream_types[i]))
			spdy_accept(ch->spdy, ch->streams[i]);
		all &= ch->streams[i] || !ch->want[i];
	}
	if (all && !ch->open)
		begin(ch);
}

static int
channel_of(const struct channels *ch, uint32_t stream)
{
	for (int i = 0; i < CH_COUNT; i++)
		if (ch->streams[i] == stream)
			return i;
	return -1;
}

static void
on_stream_bytes(void *ctx, uint32_t stream, const char *bytes, size_t n)
{
	struct channels *ch = ctx;
	int i = channel_of(ch, stream);

	if (i == CH_STDIN || i == CH_RESIZE)
		ch->handler.bytes(ch->ctx, i, bytes, n);
}

static void
on_stream_ended(void *ctx, uint32_t stream)
{
	struct channels *ch = ctx;
	int i = channel_of(ch, stream);

	if (i >= 0)
		ch->handler.closed(ch->ctx, i);
}

static void
on_stream_out(void *ctx, const char *bytes, size_t n)
{
	struct channels *ch = ctx;

	carrier_send(ch->carrier, bytes, n);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct channels *ch = arg;

	(void)fd;
	(void)what;
	ch->handler.gone(ch->ctx);
}

/* What was read may have brought an end: whoever is served looks again. */
static void
on_spdy_message(void *ctx, const char *bytes, size_t n)
{
	struct channels *ch = ctx;

	on_frames(ctx, bytes, n);
	ch->handler.progress(ch->ctx);
}

static void
on_upgraded_spdy(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_spdy_message, on_progress,
							  on_gone };
	static const struct spdy_handler streams = { on_stream_opened, on_stream_bytes,
						     on_stream_ended, on_stream_ended,
						     on_stream_out };
	struct timeval wait = { .tv_sec = STREAM_OPEN_SECONDS };
	struct channels *ch = mine;

	ch->spdy = spdy_new(&streams, ch);
	ch->carrier = carrier_new(ch->base, t, extra, n, CARRIER_SPDY, 0, &handler, ch);
	ch->deadline = event_new(ch->base, -1, 0, on_deadline, ch);
	event_add(ch->deadline, &wait);
}

struct channels *
channels_upgrade(struct call *c, const bool want[CH_COUNT],
		 const struct channels_handler *handler, void *ctx)
{
	struct channels *ch = xcalloc(1, sizeof *ch);
	const char *protocol = choose_protocol(c);
	char accept[32];

	*ch = (struct channels){ .base = c->api->base, .handler = *handler, .ctx = ctx };
	memcpy(ch->want, want, sizeof ch->want);
	c->answered = true;
	if (!strcasecmp(http_header(c->req, "Upgrade"), "SPDY/3.1")) {
		http_reply_header(c->req, "X-Stream-Protocol-Version", "v4.channel.k8s.io");
		http_upgrade(c->req, "SPDY/3.1", on_upgraded_spdy, ch);
		return ch;
	}
	ch->v5 = protocol[1] == '5';
	/* client-go always says who it is; kedge's own commands do not, and lose nothing */
	ch->hasty = http_header(c->req, "User-Agent");
	websocket_accept(http_header(c->req, "Sec-WebSocket-Key"), accept);
	http_reply_header(c->req, "Sec-WebSocket-Accept", accept);
	http_reply_header(c->req, "Sec-WebSocket-Protocol", protocol);
	http_upgrade(c->req, "websocket", on_upgraded, ch);
	return ch;
}

bool
channels_upgraded(const struct channels *ch)
{
	return ch->carrier;
}

void
channels_send(struct channels *ch, enum channel channel, const char *bytes, size_t n)
{
	struct buf b = { 0 };

	if (ch->spdy) {
		spdy_send(ch->spdy, ch->streams[channel], bytes, n);
		return;
	}
	buf_addc(&b, (char)channel);
	buf_add(&b, bytes, n);
	carrier_send(ch->carrier, b.at, b.len);
	buf_done(&b);
}

void
channels_end(struct channels *ch)
{
	for (int i = 0; ch->spdy && i < CH_COUNT; i++)
		spdy_finish(ch->spdy, ch->streams[i]);
	carrier_end(ch->carrier);
}

size_t
channels_queued(const struct channels *ch)
{
	return carrier_queued(ch->carrier);
}

void
channels_listen(struct channels *ch, bool on)
{
	carrier_listen(ch->carrier, on);
}

void
channels_close(struct channels *ch)
{
	if (ch->carrier)
		carrier_close(ch->carrier);
	if (ch->deadline)
		event_free(ch->deadline);
	spdy_free(ch->spdy);
	free(ch);
}

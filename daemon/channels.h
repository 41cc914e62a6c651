/* channels.h -- the client's end of exec and attach: a handful of numbered channels.
 *
 * Over a WebSocket (v5.channel.k8s.io, v4 the same without the closing of a channel) the
 * first byte of each binary message names the channel, 255 closes the one that
 * follows.  Over SPDY/3.1 (kubectl before 1.30) each is a stream that the client opens.
 */
#ifndef KEDGE_CHANNELS_H
#define KEDGE_CHANNELS_H
#include <stdbool.h>
#include <stddef.h>

struct call;
struct channels;

/* 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 the terminal's size as JSON */
enum channel { CH_STDIN, CH_STDOUT, CH_STDERR, CH_STATUS, CH_RESIZE, CH_COUNT };

struct channels_handler {
	/* The connection is upgraded, and the client has opened what it asked for. */
	void (*opened)(void *ctx);
	void (*bytes)(void *ctx, enum channel, const char *, size_t);
	void (*closed)(void *ctx, enum channel); /* by the client */
	void (*progress)(void *ctx);             /* something was read or sent */
	void (*gone)(void *ctx);                 /* the client left; call channels_close */
};

/* Can this call be answered with channels?  If not, it has been refused. */
bool channels_fit(struct call *);
/* Upgrades the call's connection; `want` are those that the client will open. */
struct channels *channels_upgrade(struct call *, const bool want[CH_COUNT],
				  const struct channels_handler *, void *ctx);
/* The connection is ours, not the call's any more. */
bool channels_upgraded(const struct channels *);
void channels_send(struct channels *, enum channel, const char *, size_t);
/* Says goodbye after what is queued; `gone` follows. */
void channels_end(struct channels *);
size_t channels_queued(const struct channels *); /* bytes not yet sent */
void channels_listen(struct channels *, bool);   /* read from the client, or let it wait */
void channels_close(struct channels *);          /* at once; `gone` is not called */
#endif

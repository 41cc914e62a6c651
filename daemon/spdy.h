/* spdy.h -- the server's end of SPDY/3.1, as much of it as Kubernetes' clients use: streams
 * that the client opens, with headers, bytes both ways, ends and resets.
 *
 * Frames only: bytes go in with spdy_feed and come out of handler.out, whatever carries
 * them.  Nothing is kept but the streams' numbers and the compression of headers; what a
 * stream brings is handed on as it comes.  There is no flow control, for the clients
 * have none: who cannot take more stops feeding.
 */
#ifndef KEDGE_SPDY_H
#define KEDGE_SPDY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct spdy;

struct spdy_header {
	const char *name, *value; /* the name in small letters */
};

struct spdy_handler {
	/* Valid during the call.  Answer with spdy_accept or spdy_refuse, now or later. */
	void (*opened)(void *ctx, uint32_t stream, const struct spdy_header *, size_t n);
	void (*bytes)(void *ctx, uint32_t stream, const char *, size_t);
	void (*ended)(void *ctx, uint32_t stream); /* no more bytes come */
	void (*reset)(void *ctx, uint32_t stream); /* it is gone, both ways */
	void (*out)(void *ctx, const char *, size_t);
};

struct spdy *spdy_new(const struct spdy_handler *, void *ctx);
void spdy_free(struct spdy *);
/* -1: what came is no SPDY/3.1, or too much of it; the connection is of no use any more. */
int spdy_feed(struct spdy *, const char *, size_t, struct error **);
void spdy_accept(struct spdy *, uint32_t stream);
void spdy_refuse(struct spdy *, uint32_t stream);
/* Of a stream that is gone nothing is sent. */
void spdy_send(struct spdy *, uint32_t stream, const char *, size_t);
void spdy_finish(struct spdy *, uint32_t stream); /* no more bytes from us */
const char *spdy_header(const struct spdy_header *, size_t n, const char *name); /* or "" */
#endif

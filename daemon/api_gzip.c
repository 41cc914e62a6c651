/* api_gzip.c -- a large answer, compressed as it is sent.
 *
 * As Kubernetes: from 128 KiB on, where the client says "gzip" and no more, at the quickest
 * level.  A piece at a time, as the client takes it: the loop never waits for all of it.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include <ctype.h>
#include <string.h>
#include <zlib.h>

enum {
	LEAST = 128 * 1024, /* bytes: below it is not worth the while */
	PIECE = 64 * 1024,  /* bytes that are read at once */
	GZIP_BITS = 15 + 16 /* zlib's word for the largest window, with gzip's head */
};

struct packed {
	struct buf plain;
	size_t at;
	z_stream z;
};

static void
packed_free(void *state)
{
	struct packed *p = state;

	deflateEnd(&p->z);
	buf_done(&p->plain);
	free(p);
}

static enum http_pull
packed_pull(void *mine, struct buf *out)
{
	struct call *c = mine;
	struct packed *p = c->state;
	unsigned char room[PIECE];
	size_t left = p->plain.len - p->at, n = left < PIECE ? left : PIECE;
	bool last = n == left;

	p->z.next_in = (unsigned char *)p->plain.at + p->at;
	p->z.avail_in = (unsigned)n;
	p->at += n;
	do {
		p->z.next_out = room;
		p->z.avail_out = sizeof room;
		if (deflate(&p->z, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
			return HTTP_BREAK;
		buf_add(out, room, sizeof room - p->z.avail_out);
	} while (!p->z.avail_out);
	return last ? HTTP_END : HTTP_GO_ON;
}

/* "deflate, gzip": is it one of them?  With a q it is another word, as in Kubernetes. */
static bool
takes_gzip(const struct call *c)
{
	const char *p = http_header(c->req, "Accept-Encoding");
	size_t n;

	for (; p && *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		size_t from = strspn(p, " \t"), to = n;

		while (to > from && isspace((unsigned char)p[to - 1]))
			to--;
		if (to - from == 4 && !memcmp(p + from, "gzip", 4))
			return true;
	}
	return false;
}

bool
call_packed(struct call *c, int code, struct buf *b)
{
	struct packed *p;

	if (code != 200 || b->len < LEAST || c->state || strcmp(http_method(c->req), "GET") ||
	    !takes_gzip(c))
		return false;
	p = xcalloc(1, sizeof *p);
	if (deflateInit2(&p->z, Z_BEST_SPEED, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK) {
		free(p);
		return false;
	}
	p->plain = *b;
	*b = (struct buf){ 0 };
	c->state = p;
	c->state_free = packed_free;
	http_reply_header(c->req, "Content-Encoding", "gzip");
	http_reply_header(c->req, "Vary", "Accept-Encoding");
	http_stream(c->req, code, "application/json", packed_pull);
	return true;
}

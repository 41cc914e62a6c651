/* spdy.c -- frames of SPDY/3.1.  See spdy.h.
 *
 *	+-+---------------+---------------+	+-+------------------------------+
 *	|1| version (15)  |   type (16)   |	|0|         stream (31)          |
 *	+-+---------------+---------------+	+-+------------------------------+
 *	| flags (8) |     length (24)     |	| flags (8) |    length (24)     |
 *	+-----------+---------------------+	+-----------+--------------------+
 *	|              ...                |	|             bytes              |
 *
 * A control frame is held until it is whole and is small; the bytes of a data frame are
 * passed on in whatever pieces they come.  Headers are one zlib stream for each direction
 * of the connection, so every block must be read, wanted or not.
 */
#include "spdy.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/error.h"
#include "stream_limits.h"
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, PING = 6, GOAWAY, HEADERS };
enum { FIN = 1, REFUSED = 3, VERSION = 3, HEAD = 8 };
enum {
	CONTROL_MAX = 16 * 1024, /* bytes of a control frame */
	BLOCK_MAX = 64 * 1024,   /* of its headers, inflated */
	HEADERS_MAX = 64,
};

struct spdy_stream {
	uint32_t id;
	bool in_closed, out_closed;
};

struct spdy {
	struct spdy_handler handler;
	void *ctx;
	z_stream inflate, deflate;
	struct buf frame; /* a head, or a control frame, not whole yet */
	struct buf said;  /* while we are fed */
	bool fed;
	uint32_t data_stream, data_left;
	bool data_fin, failed;
	uint32_t last; /* the highest stream so far */
	struct spdy_stream streams[SPDY_STREAMS];
	size_t nstreams;
};

/* What both sides have before the first header: words, each behind its length, then text. */
static const char *const words[] = {
	"options",
	"head",
	"post",
	"put",
	"delete",
	"trace",
	"accept",
	"accept-charset",
	"accept-encoding",
	"accept-language",
	"accept-ranges",
	"age",
	"allow",
	"authorization",
	"cache-control",
	"connection",
	"content-base",
	"content-encoding",
	"content-language",
	"content-length",
	"content-location",
	"content-md5",
	"content-range",
	"content-type",
	"date",
	"etag",
	"expect",
	"expires",
	"from",
	"host",
	"if-match",
	"if-modified-since",
	"if-none-match",
	"if-range",
	"if-unmodified-since",
	"last-modified",
	"location",
	"max-forwards",
	"pragma",
	"proxy-authenticate",
	"proxy-authorization",
	"range",
	"referer",
	"retry-after",
	"server",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"user-agent",
	"vary",
	"via",
	"warning",
	"www-authenticate",
	"method",
	"get",
	"status",
	"200 OK",
	"version",
	"HTTP/1.1",
	"url",
	"public",
	"set-cookie",
	"keep-alive",
	"origin",
};
static const char text[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void
put_u32(struct buf *b, uint32_t n)
{
	n = htonl(n);
	buf_add(b, &n, sizeof n);
}

static uint32_t
get_u32(const char *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof n);
	return ntohl(n);
}

static void
dictionary(struct buf *b)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		put_u32(b, (uint32_t)strlen(words[i]));
		buf_adds(b, words[i]);
	}
	buf_adds(b, text);
}

struct spdy *
spdy_new(const struct spdy_handler *handler, void *ctx)
{
	struct spdy *s = xcalloc(1, sizeof *s);
	struct buf words_of = { 0 };

	s->handler = *handler;
	s->ctx = ctx;
	dictionary(&words_of);
	/* a window of 2 KiB: our answers have no headers */
	if (inflateInit(&s->inflate) != Z_OK ||
	    deflateInit2(&s->deflate, 1, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflateSetDictionary(&s->deflate, (const Bytef *)words_of.at, words_of.len) != Z_OK)
		abort();
	buf_done(&words_of);
	return s;
}

void
spdy_free(struct spdy *s)
{
	if (!s)
		return;
	inflateEnd(&s->inflate);
	deflateEnd(&s->deflate);
	buf_done(&s->frame);
	buf_done(&s->said);
	free(s);
}

/* ---- streams ---- */

static struct spdy_stream *
stream_find(struct spdy *s, uint32_t id)
{
	for (size_t i = 0; i < s->nstreams; i++)
		if (s->streams[i].id == id)
			return &s->streams[i];
	return NULL;
}

static void
stream_drop(struct spdy *s, struct spdy_stream *at)
{
	*at = s->streams[--s->nstreams];
}

static void
stream_settle(struct spdy *s, struct spdy_stream *at)
{
	if (at->in_closed && at->out_closed)
		stream_drop(s, at);
}

/* ---- out ---- */

/* What one piece is answered with goes out as one, for each costs its carrier a message. */
static void
out(struct spdy *s, struct buf *b)
{
	if (s->fed)
		buf_add(&s->said, b->at, b->len);
	else
		s->handler.out(s->ctx, b->at, b->len);
	buf_done(b);
}

static void
send_control(struct spdy *s, unsigned type, unsigned flags, const void *body, size_t n)
{
	struct buf b = { 0 };

	put_u32(&b, 0x80000000u | VERSION << 16 | type);
	put_u32(&b, (uint32_t)flags << 24 | (uint32_t)n);
	buf_add(&b, body, n);
	out(s, &b);
}

static void
send_reset(struct spdy *s, uint32_t id, uint32_t status)
{
	const uint32_t body[2] = { htonl(id), htonl(status) };

	send_control(s, RST_STREAM, 0, body, sizeof body);
}

void
spdy_accept(struct spdy *s, uint32_t id)
{
	static const char none[4]; /* no headers */
	char block[64];
	struct buf b = { 0 };

	s->deflate.next_in = (Bytef *)none;
	s->deflate.avail_in = sizeof none;
	s->deflate.next_out = (Bytef *)block;
	s->deflate.avail_out = sizeof block;
	if (deflate(&s->deflate, Z_SYNC_FLUSH) != Z_OK)
		abort(); /* four bytes fit */
	put_u32(&b, id);
	buf_add(&b, block, sizeof block - s->deflate.avail_out);
	send_control(s, SYN_REPLY, 0, b.at, b.len);
	buf_done(&b);
}

void
spdy_refuse(struct spdy *s, uint32_t id)
{
	struct spdy_stream *at = stream_find(s, id);

	if (at)
		stream_drop(s, at);
	send_reset(s, id, REFUSED);
}

static void
send_data(struct spdy *s, uint32_t id, unsigned flags, const char *bytes, size_t n)
{
	struct buf b = { 0 };

	put_u32(&b, id);
	put_u32(&b, (uint32_t)flags << 24 | (uint32_t)n);
	buf_add(&b, bytes, n);
	out(s, &b);
}

void
spdy_send(struct spdy *s, uint32_t id, const char *bytes, size_t n)
{
	const struct spdy_stream *at = stream_find(s, id);

	while (at && !at->out_closed && n) {
		size_t part = n < STREAM_PIECE ? n : STREAM_PIECE;

		send_data(s, id, 0, bytes, part);
		bytes += part;
		n -= part;
	}
}

void
spdy_finish(struct spdy *s, uint32_t id)
{
	struct spdy_stream *at = stream_find(s, id);

	if (!at || at->out_closed)
		return;
	send_data(s, id, FIN, "", 0);
	at->out_closed = true;
	stream_settle(s, at);
}

/* ---- headers ---- */

const char *
spdy_header(const struct spdy_header *h, size_t n, const char *name)
{
	for (; n; n--, h++)
		if (!strcmp(h->name, name))
			return h->value;
	return "";
}

/* Whatever is behind the end of the block is refused, too: it would spoil the next one. */
static int
block_inflate(struct spdy *s, const char *at, size_t n, struct buf *ret, struct error **e)
{
	z_stream *z = &s->inflate;
	char part[4096];

	z->next_in = (Bytef *)at;
	z->avail_in = (uInt)n;
	do {
		int rc;

		z->next_out = (Bytef *)part;
		z->avail_out = sizeof part;
		rc = inflate(z, Z_SYNC_FLUSH);
		if (rc == Z_NEED_DICT) {
			struct buf b = { 0 };

			dictionary(&b);
			rc = inflateSetDictionary(z, (const Bytef *)b.at, (uInt)b.len);
			buf_done(&b);
			if (rc == Z_OK)
				rc = inflate(z, Z_SYNC_FLUSH);
		}
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return fail(e, WHY_BAD_REQUEST, "headers that cannot be inflated");
		buf_add(ret, part, sizeof part - z->avail_out);
		if (ret->len > BLOCK_MAX)
			return fail(e, WHY_TOO_LARGE, "headers of more than %d bytes",
				    BLOCK_MAX);
	} while (z->avail_out == 0);
	return z->avail_in ? fail(e, WHY_BAD_REQUEST, "headers with more behind them") : 0;
}

/* Takes a length and as many bytes, and ends them with a NUL where the next length stood:
 * that is read by then. */
static char *
word_take(struct buf *b, size_t *at)
{
	uint32_t n;
	char *word;

	if (b->len - *at < 4)
		return NULL;
	n = get_u32(b->at + *at);
	if (n > b->len - *at - 4)
		return NULL;
	word = b->at + *at;
	memmove(word, word + 4, n);
	word[n] = 0;
	*at += 4 + n;
	return word;
}

static int
block_read(struct buf *b, struct spdy_header *ret, size_t *ret_n, struct error **e)
{
	uint32_t n = b->len < 4 ? HEADERS_MAX + 1 : get_u32(b->at);
	size_t at = 4;

	if (n > HEADERS_MAX)
		return fail(e, WHY_BAD_REQUEST, "more than %d headers", HEADERS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		ret[i].name = word_take(b, &at);
		ret[i].value = ret[i].name ? word_take(b, &at) : NULL;
		if (!ret[i].value)
			return fail(e, WHY_BAD_REQUEST, "headers that end too early");
	}
	*ret_n = n;
	return 0;
}

/* ---- in ---- */

static int
on_syn_stream(struct spdy *s, unsigned flags, const char *at, size_t n, struct error **e)
{
	struct spdy_header headers[HEADERS_MAX];
	struct buf cleanup_buf block = { 0 };
	size_t nheaders = 0;
	uint32_t id;

	if (n < 10)
		return fail(e, WHY_BAD_REQUEST, "a stream is opened in %zu bytes", n);
	id = get_u32(at) & 0x7fffffff;
	if (block_inflate(s, at + 10, n - 10, &block, e) < 0 ||
	    block_read(&block, headers, &nheaders, e) < 0)
		return -1;
	if (!(id & 1) || id <= s->last)
		return fail(e, WHY_BAD_REQUEST, "stream %u after %u", id, s->last);
	s->last = id;
	if (s->nstreams == SPDY_STREAMS) {
		send_reset(s, id, REFUSED);
		return 0;
	}
	s->streams[s->nstreams++] = (struct spdy_stream){ .id = id, .in_closed = flags & FIN };
	s->handler.opened(s->ctx, id, headers, nheaders);
	if (flags & FIN)
		s->handler.ended(s->ctx, id);
	return 0;
}

static int
on_control(struct spdy *s, const char *at, size_t n, struct error **e)
{
	unsigned type = get_u32(at) & 0xffff, flags = (unsigned char)at[4];
	struct buf cleanup_buf unwanted = { 0 };
	struct spdy_stream *stream;
	uint32_t id;

	if ((get_u32(at) >> 16 & 0x7fff) != VERSION)
		return fail(e, WHY_BAD_REQUEST, "version %u of SPDY",
			    get_u32(at) >> 16 & 0x7fff);
	at += HEAD;
	n -= HEAD;
	switch (type) {
	case SYN_STREAM:
		return on_syn_stream(s, flags, at, n, e);
	case RST_STREAM:
		id = n < 4 ? 0 : get_u32(at) & 0x7fffffff;
		stream = stream_find(s, id);
		if (stream) {
			stream_drop(s, stream);
			s->handler.reset(s->ctx, id);
		}
		return 0;
	case PING: /* the odd ones are the client's */
		if (n >= 4 && get_u32(at) & 1)
			send_control(s, PING, 0, at, 4);
		return 0;
	case SYN_REPLY:
	case HEADERS: /* nobody reads them, but the next block needs them */
		return n < 4 ? fail(e, WHY_BAD_REQUEST, "headers in %zu bytes", n)
			     : block_inflate(s, at + 4, n - 4, &unwanted, e);
	default:
		return 0;
	}
}

static void
on_data(struct spdy *s, const char *at, size_t n)
{
	uint32_t id = s->data_stream;
	struct spdy_stream *stream = stream_find(s, id);

	s->data_left -= (uint32_t)n;
	if (stream && !stream->in_closed && n)
		s->handler.bytes(s->ctx, id, at, n);
	if (s->data_left || !s->data_fin || !(stream = stream_find(s, id)) || stream->in_closed)
		return;
	stream->in_closed = true;
	stream_settle(s, stream);
	s->handler.ended(s->ctx, id);
}

/* Bytes until s->frame has `want`; false: there are not that many yet. */
static bool
gather(struct spdy *s, size_t want, const char **at, size_t *n)
{
	size_t part = want - s->frame.len < *n ? want - s->frame.len : *n;

	buf_add(&s->frame, *at, part);
	*at += part;
	*n -= part;
	return s->frame.len == want;
}

static int
feed(struct spdy *s, const char *at, size_t n, struct error **e)
{
	while (n) {
		uint32_t first, len;

		if (s->data_left) {
			size_t part = n < s->data_left ? n : s->data_left;

			on_data(s, at, part);
			at += part;
			n -= part;
			continue;
		}
		if (s->frame.len < HEAD && !gather(s, HEAD, &at, &n))
			return 0;
		first = get_u32(s->frame.at);
		len = get_u32(s->frame.at + 4);
		if (!(first & 0x80000000u)) {
			s->data_stream = first;
			s->data_fin = len >> 24 & FIN;
			s->data_left = len & 0xffffff;
			buf_clear(&s->frame);
			if (!s->data_left)
				on_data(s, at, 0);
			continue;
		}
		len &= 0xffffff;
		if (len > CONTROL_MAX)
			return fail(e, WHY_TOO_LARGE, "a control frame of %u bytes", len);
		if (!gather(s, HEAD + len, &at, &n))
			return 0;
		if (on_control(s, s->frame.at, s->frame.len, e) < 0)
			return -1;
		buf_clear(&s->frame);
	}
	return 0;
}

int
spdy_feed(struct spdy *s, const char *at, size_t n, struct error **e)
{
	if (s->failed)
		return fail(e, WHY_BAD_REQUEST, "SPDY that made no sense before");
	s->fed = true;
	if (feed(s, at, n, e) < 0)
		s->failed = true;
	s->fed = false;
	if (s->said.len)
		s->handler.out(s->ctx, s->said.at, s->said.len);
	buf_done(&s->said);
	return s->failed ? -1 : 0;
}

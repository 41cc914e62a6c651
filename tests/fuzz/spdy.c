/* spdy.c -- mutants of what a client of SPDY/3.1 says: understood or refused, in any pieces,
 * and what is said back stays in proportion.
 */
#include "daemon/spdy.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "mutate.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

enum { ROUNDS = 20000 };

static const char *const words[] = {
	"\x80\x03", "\xff", "\x7f\xff\xff\xff", "\x80", "\x01",  "\x02",      "\x03",
	"\x06",     "\x09", "streamtype",       "data", "error", "requestid", "port",
	"65536",    NULL,
};

struct side {
	struct mutator *m;
	struct spdy *spdy;
	size_t out, heard, opened;
};

static void
on_opened(void *ctx, uint32_t stream, const struct spdy_header *h, size_t n)
{
	struct side *s = ctx;
	size_t len = 0;

	s->opened++;
	for (size_t i = 0; i < n; i++)
		len += strlen(h[i].name) + strlen(h[i].value);
	assert_true(len <= 65536);
	if (mutate_below(s->m, 4))
		spdy_accept(s->spdy, stream);
	else
		spdy_refuse(s->spdy, stream);
}

static void
on_bytes(void *ctx, uint32_t stream, const char *at, size_t n)
{
	struct side *s = ctx;

	s->heard += n;
	if (mutate_below(s->m, 2))
		spdy_send(s->spdy, stream, at, n);
	if (!mutate_below(s->m, 8))
		spdy_finish(s->spdy, stream);
}

static void
on_ended(void *ctx, uint32_t stream)
{
	spdy_finish(((struct side *)ctx)->spdy, stream);
}

static void
on_out(void *ctx, const char *at, size_t n)
{
	(void)at;
	((struct side *)ctx)->out += n;
}

static void
u32(struct buf *b, uint32_t n)
{
	n = htonl(n);
	buf_add(b, &n, sizeof n);
}

static void
syn(struct buf *b, z_stream *z, uint32_t id)
{
	static const char plain[] =
	    "\0\0\0\2\0\0\0\x0astreamtype\0\0\0\4data\0\0\0\4port\0\0\0\2"
	    "80";
	char block[512];

	z->next_in = (Bytef *)plain;
	z->avail_in = sizeof plain - 1;
	z->next_out = (Bytef *)block;
	z->avail_out = sizeof block;
	deflate(z, Z_SYNC_FLUSH);
	u32(b, 0x80030001);
	u32(b, (uint32_t)(10 + sizeof block - z->avail_out));
	u32(b, id);
	u32(b, 0);
	buf_add(b, "\0\0", 2);
	buf_add(b, block, sizeof block - z->avail_out);
}

static void
seed(struct mutator *m, struct buf *b)
{
	z_stream z = { 0 };

	deflateInit(&z, (int)mutate_below(m, 2) ? 0 : 6);
	for (uint32_t id = 1; id < 9; id += 2) {
		syn(b, &z, id);
		u32(b, id);
		u32(b, (uint32_t)mutate_below(m, 2) << 24 | 5);
		buf_adds(b, "hello");
		if (!mutate_below(m, 3)) {
			u32(b, 0x80030000 | (uint32_t)mutate_below(m, 10));
			u32(b, 8);
			u32(b, id);
			u32(b, 5);
		}
	}
	deflateEnd(&z);
}

static void
no_mutant_of_frames_crashes_or_swells(void **state)
{
	static const struct spdy_handler h = { on_opened, on_bytes, on_ended, on_ended,
					       on_out };
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	size_t opened = 0, heard = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct side s = { .m = &m };
		struct buf b = { 0 };

		seed(&m, &b);
		for (size_t n = mutate_below(&m, 5); n; n--)
			mutate_once(&m, &b);
		s.spdy = spdy_new(&h, &s);
		for (size_t at = 0, n; at < b.len; at += n) {
			n = 1 + mutate_below(&m, 200);
			n = n < b.len - at ? n : b.len - at;
			if (spdy_feed(s.spdy, b.at + at, n, NULL) < 0)
				break;
		}
		assert_true(s.heard <= b.len);
		assert_true(s.out <= 100 * b.len + 100);
		opened += s.opened;
		heard += s.heard;
		spdy_free(s.spdy);
		buf_done(&b);
	}
	assert_true(opened > ROUNDS && heard > ROUNDS); /* else they are too wild */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_mutant_of_frames_crashes_or_swells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

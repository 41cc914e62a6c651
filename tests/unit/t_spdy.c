/* t_spdy.c -- SPDY/3.1: streams, bytes, ends, pings, and what is no SPDY. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "daemon/spdy.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

struct side {
	struct spdy *spdy;
	struct buf out, story;
	size_t outs;
};

static void
on_opened(void *ctx, uint32_t stream, const struct spdy_header *h, size_t n)
{
	struct side *s = ctx;

	buf_addf(&s->story, "open %u %s %s %s;", stream, spdy_header(h, n, "streamtype"),
		 spdy_header(h, n, "port"), spdy_header(h, n, "absent"));
	spdy_accept(s->spdy, stream);
}

static void
on_bytes(void *ctx, uint32_t stream, const char *at, size_t n)
{
	struct side *s = ctx;

	buf_addf(&s->story, "%u %.*s;", stream, (int)n, at);
}

static void
on_ended(void *ctx, uint32_t stream)
{
	buf_addf(&((struct side *)ctx)->story, "end %u;", stream);
}

static void
on_reset(void *ctx, uint32_t stream)
{
	buf_addf(&((struct side *)ctx)->story, "reset %u;", stream);
}

static void
on_out(void *ctx, const char *at, size_t n)
{
	struct side *s = ctx;

	buf_add(&s->out, at, n);
	s->outs++;
}

static void
side_begin(struct side *s)
{
	static const struct spdy_handler h = { on_opened, on_bytes, on_ended, on_reset,
					       on_out };

	*s = (struct side){ 0 };
	s->spdy = spdy_new(&h, s);
}

static void
side_end(struct side *s)
{
	spdy_free(s->spdy);
	buf_done(&s->out);
	buf_done(&s->story);
}

static void
u32(struct buf *b, uint32_t n)
{
	n = htonl(n);
	buf_add(b, &n, sizeof n);
}

static void
word(struct buf *b, const char *text)
{
	u32(b, (uint32_t)strlen(text));
	buf_adds(b, text);
}

/* Headers without the dictionary: zlib says that none is used, which is allowed. */
static void
syn(struct buf *b, z_stream *z, uint32_t id, unsigned flags, const char *type)
{
	cleanup_buf struct buf plain = { 0 };
	char block[512];

	u32(&plain, 2);
	word(&plain, "streamtype");
	word(&plain, type);
	word(&plain, "port");
	word(&plain, "80");
	z->next_in = (Bytef *)plain.at;
	z->avail_in = (uInt)plain.len;
	z->next_out = (Bytef *)block;
	z->avail_out = sizeof block;
	assert_int_equal(deflate(z, Z_SYNC_FLUSH), Z_OK);
	u32(b, 0x80030001);
	u32(b, flags << 24 | (uint32_t)(10 + sizeof block - z->avail_out));
	u32(b, id);
	u32(b, 0);
	buf_add(b, "\0\0", 2);
	buf_add(b, block, sizeof block - z->avail_out);
}

static void
data(struct buf *b, uint32_t id, unsigned flags, const char *text)
{
	u32(b, id);
	u32(b, flags << 24 | (uint32_t)strlen(text));
	buf_adds(b, text);
}

static void
conversation(struct buf *b)
{
	z_stream z = { 0 };

	deflateInit(&z, 6);
	syn(b, &z, 1, 0, "error");
	syn(b, &z, 3, 0, "data");
	data(b, 3, 0, "hello");
	data(b, 9, 0, "nobody's");
	u32(b, 0x80030006); /* a ping */
	u32(b, 4);
	u32(b, 77);
	data(b, 3, 1, " world");
	data(b, 3, 0, "after the end");
	u32(b, 0x80030003); /* a reset */
	u32(b, 8);
	u32(b, 1);
	u32(b, 5);
	deflateEnd(&z);
}

static void
streams_are_opened_heard_and_ended(void **state)
{
	cleanup_buf struct buf in = { 0 };
	struct side s;

	(void)state;
	side_begin(&s);
	conversation(&in);
	assert_int_equal(spdy_feed(s.spdy, in.at, in.len, NULL), 0);
	assert_string_equal(buf_text(&s.story),
			    "open 1 error 80 ;open 3 data 80 ;3 hello;3  world;end 3;reset 1;");
	assert_non_null(memmem(s.out.at, s.out.len, "\x80\x03\0\x06\0\0\0\4\0\0\0\x4d", 12));
	buf_clear(&s.out);
	spdy_send(s.spdy, 3, "answer", 6);
	spdy_finish(s.spdy, 3);
	assert_int_equal(s.out.len, 8 + 6 + 8);
	assert_memory_equal(s.out.at, "\0\0\0\3\0\0\0\6answer\0\0\0\3\1\0\0\0", 22);
	buf_clear(&s.out);
	spdy_send(s.spdy, 3, "late", 4); /* it is gone */
	spdy_send(s.spdy, 1, "late", 4);
	assert_int_equal(s.out.len, 0);
	side_end(&s);
}

static void
frames_may_come_in_any_pieces(void **state)
{
	cleanup_buf struct buf in = { 0 };

	(void)state;
	conversation(&in);
	for (size_t piece = 1; piece < 40; piece++) {
		struct side s;
		size_t said = 0;

		side_begin(&s);
		for (size_t at = 0; at < in.len; at += piece)
			assert_int_equal(spdy_feed(s.spdy, in.at + at,
						   in.len - at < piece ? in.len - at : piece,
						   NULL),
					 0);
		for (const char *c = buf_text(&s.story); *c; c++)
			said += strchr("helowrd", *c) != NULL;
		assert_non_null(strstr(buf_text(&s.story), "end 3;reset 1;"));
		assert_true(said >= 10);
		side_end(&s);
	}
}

static void
what_is_no_spdy_ends_it(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} bad[] = {
		{ "\x80\x02\0\1\0\0\0\0", 8, "version 2" },
		{ "\x80\3\0\1\0\xff\0\0", 8, "a control frame of 16711680 bytes" },
		{ "\x80\3\0\1\0\0\0\4\0\0\0\1", 12, "opened in 4 bytes" },
		{ "\x80\3\0\1\0\0\0\x0e\0\0\0\1\0\0\0\0\0\0junk", 22, "cannot be inflated" },
		{ "\x80\3\0\1\0\0\0\x0a\0\0\0\1\0\0\0\0\0\0", 18, "headers" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cleanup_error struct error *e = NULL;
		struct side s;

		side_begin(&s);
		assert_int_equal(spdy_feed(s.spdy, bad[i].bytes, bad[i].n, &e), -1);
		assert_non_null(strstr(error_text(e), bad[i].why));
		assert_int_equal(spdy_feed(s.spdy, "", 0, NULL), -1);
		side_end(&s);
	}
}

static void
a_stream_too_many_is_refused_and_no_number_comes_twice(void **state)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf in = { 0 };
	z_stream z = { 0 };
	struct side s;

	(void)state;
	side_begin(&s);
	deflateInit(&z, 6);
	for (uint32_t id = 1; id < 1000; id += 2)
		syn(&in, &z, id, 0, "data");
	assert_int_equal(spdy_feed(s.spdy, in.at, in.len, NULL), 0);
	assert_null(strstr(buf_text(&s.story), "open 999"));
	assert_non_null(memmem(s.out.at, s.out.len, "\x80\3\0\3\0\0\0\x08\0\0\3\xe7", 12));
	buf_clear(&in);
	syn(&in, &z, 5, 0, "data");
	assert_int_equal(spdy_feed(s.spdy, in.at, in.len, &e), -1);
	deflateEnd(&z);
	side_end(&s);
}

static void
what_one_piece_asks_is_answered_as_one(void **state)
{
	cleanup_buf struct buf pings = { 0 };
	struct side s;

	(void)state;
	side_begin(&s);
	for (uint32_t i = 1; i < 2000; i += 2) {
		u32(&pings, 0x80030006);
		u32(&pings, 4);
		u32(&pings, i);
	}
	assert_int_equal(spdy_feed(s.spdy, pings.at, pings.len, NULL), 0);
	assert_int_equal(s.outs, 1);
	assert_int_equal(s.out.len, pings.len);
	assert_memory_equal(s.out.at, pings.at, pings.len);
	/* also what came before it made no sense */
	u32(&pings, 0x80090006);
	u32(&pings, 0);
	assert_int_equal(spdy_feed(s.spdy, pings.at, pings.len, NULL), -1);
	assert_int_equal(s.outs, 2);
	assert_int_equal(s.out.len, 2 * (pings.len - 8));
	side_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_opened_heard_and_ended),
		cmocka_unit_test(frames_may_come_in_any_pieces),
		cmocka_unit_test(what_is_no_spdy_ends_it),
		cmocka_unit_test(a_stream_too_many_is_refused_and_no_number_comes_twice),
		cmocka_unit_test(what_one_piece_asks_is_answered_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

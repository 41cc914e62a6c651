/* websocket.c -- mutants of what a client says on a WebSocket: understood, or the connection
 * ends, in any pieces; and what is said back stays in proportion.
 *
 * Over the real server's socket, with client and server in one loop.
 */
#include "daemon/websocket.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "daemon/http.h"
#include "dial.h"
#include "mutate.h"
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 5000, MESSAGE_MAX = 4096, QUIET = 6 };

static const char *const words[] = {
	"\x81",     "\x82",         "\x02",     "\x80",     "\x88",     "\x89",
	"\x8a",     "\xfe",         "\xff",     "\x7f",     "\x83\x84", "\xff\xff\xff\xff",
	"\x03\xe8", "\xc0\xc1\xf5", "\x82\xff", "\x89\xfe", NULL,
};

static const char hello[] =
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct bench {
	struct event_base *base;
	struct http *http;
	struct websocket *socket; /* of the one client there is; NULL: it left */
	struct mutator *m;        /* NULL: what is heard is said back, and nothing else */
	size_t heard, messages;
	char dir[64], path[100];
};

/* ---- the server ---- */

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct bench *b = ctx;

	assert_true(n <= MESSAGE_MAX);
	b->heard += n;
	b->messages++;
	websocket_send(b->socket, bytes, n);
	if (!b->m)
		return;
	if (!mutate_below(b->m, 8))
		websocket_ping(b->socket);
	if (!mutate_below(b->m, 8))
		websocket_end(b->socket);
	if (!mutate_below(b->m, 8))
		websocket_listen(b->socket, false);
}

static void
on_progress(void *ctx)
{
	struct bench *b = ctx;

	websocket_listen(b->socket, true);
}

static void
on_gone(void *ctx)
{
	struct bench *b = ctx;

	websocket_close(b->socket);
	b->socket = NULL;
}

static void
on_upgraded(void *mine, struct http_tunnel *t, const void *extra, size_t n)
{
	static const struct websocket_handler h = { on_message, on_progress, on_gone, NULL };
	struct bench *b = mine;

	b->socket = websocket_new(b->base, t, extra, n, MESSAGE_MAX, &h, b);
}

static void
on_ready(void *ctx, struct http_request *r)
{
	char accept[32];

	websocket_accept(http_header(r, "Sec-WebSocket-Key"), accept);
	http_reply_header(r, "Sec-WebSocket-Accept", accept);
	http_upgrade(r, "websocket", on_upgraded, ctx);
}

static void
on_refuse(void *ctx, struct http_request *r, enum why why, const char *text)
{
	(void)ctx;
	(void)r;
	fail_msg("%d: %s", why, text);
}

static void
on_head(void *ctx, struct http_request *r)
{
	(void)ctx;
	(void)r;
}

static int
setup(void **state)
{
	struct bench *b = xcalloc(1, sizeof *b);
	struct http_settings settings = { 0 };
	const struct http_handler h = { on_head, on_ready, on_refuse, b };

	strcpy(b->dir, "/tmp/f_websocket.XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->path, sizeof b->path, "%s/socket", b->dir);
	settings.socket = b->path;
	b->base = event_base_new();
	*state = b;
	return http_open(b->base, &settings, &h, &b->http, NULL);
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	http_close(b->http);
	event_base_free(b->base);
	unlink(b->path);
	rmdir(b->dir);
	free(b);
	return 0;
}

/* ---- the client ---- */

/* As RFC 6455, 5.2 has it; masked, as a client's has to be. */
static void
frame(struct buf *b, uint8_t first, const char *bytes, size_t n)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

	buf_addc(b, (char)first);
	if (n < 126) {
		buf_addc(b, (char)(0x80 | n));
	} else {
		buf_addc(b, (char)(0x80 | 126));
		buf_addc(b, (char)(n >> 8));
		buf_addc(b, (char)n);
	}
	buf_add(b, mask, sizeof mask);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)(bytes[i] ^ mask[i % 4]));
}

/* Two whole messages, one in three pieces with a ping in between, and a goodbye. */
static void
seed(struct buf *b)
{
	char long_one[300];

	memset(long_one, 'x', sizeof long_one);
	frame(b, 0x82, "hello", 5);
	frame(b, 0x82, long_one, sizeof long_one);
	frame(b, 0x02, "one ", 4);
	frame(b, 0x00, "two ", 4);
	frame(b, 0x89, "here?", 5);
	frame(b, 0x80, "three", 5);
	frame(b, 0x88, "\x03\xe8", 2);
}

/* Sends it in pieces of at most `piece`, lets the server work, and counts what comes back until
 * it is quiet. */
static size_t
talk(struct bench *b, const struct buf *said, size_t piece)
{
	cleanup_buf struct buf all = { 0 };
	size_t sent = 0, got = 0;
	int fd = dial(b->path), quiet = 0;
	char answer[8192];

	buf_add(&all, hello, sizeof hello - 1);
	buf_add(&all, said->at, said->len);
	while (quiet < QUIET) {
		size_t n = all.len - sent < piece ? all.len - sent : piece;
		ssize_t rc = n ? send(fd, all.at + sent, n, MSG_NOSIGNAL) : 0;

		sent += rc > 0 ? (size_t)rc : 0;
		event_base_loop(b->base, EVLOOP_NONBLOCK);
		quiet = rc > 0 ? 0 : quiet + 1;
		rc = recv(fd, answer, sizeof answer, 0);
		if (!rc || (rc < 0 && errno != EAGAIN))
			break;
		got += rc > 0 ? (size_t)rc : 0;
		quiet = rc > 0 ? 0 : quiet;
	}
	close(fd);
	for (int i = 0; b->socket && i < 100; i++)
		event_base_loop(b->base, EVLOOP_NONBLOCK);
	if (b->socket) /* it waits for a goodbye that never comes */
		on_gone(b);
	return got;
}

static void
what_is_said_well_is_heard_in_any_pieces(void **state)
{
	struct bench *b = *state;
	cleanup_buf struct buf said = { 0 };

	seed(&said);
	for (size_t piece = 1; piece < 600; piece += 37) {
		b->heard = b->messages = 0;
		talk(b, &said, piece);
		assert_int_equal(b->messages, 3);
		assert_int_equal(b->heard, 5 + 300 + 13);
	}
}

static void
a_message_that_is_too_long_ends_the_connection(void **state)
{
	struct bench *b = *state;
	cleanup_buf struct buf said = { 0 };
	cleanup_free char *much = xcalloc(1, MESSAGE_MAX + 1);

	b->messages = 0;
	frame(&said, 0x82, much, MESSAGE_MAX);
	frame(&said, 0x82, much, MESSAGE_MAX + 1);
	frame(&said, 0x82, "more", 4);
	talk(b, &said, 100000);
	assert_int_equal(b->messages, 1);
}

static void
no_mutant_crashes_or_swells(void **state)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	struct bench *b = *state;
	size_t heard = 0;

	b->m = &m;
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_buf struct buf said = { 0 };
		size_t got;

		b->heard = b->messages = 0;
		seed(&said);
		for (size_t n = mutate_below(&m, 5); n; n--)
			mutate_once(&m, &said);
		got = talk(b, &said, 1 + mutate_below(&m, 400));
		assert_true(b->heard <= said.len);
		assert_true(got <= 1000 + 20 * said.len);
		heard += b->messages;
	}
	assert_true(heard > ROUNDS); /* else they are too wild */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_well_is_heard_in_any_pieces),
		cmocka_unit_test(a_message_that_is_too_long_ends_the_connection),
		cmocka_unit_test(no_mutant_crashes_or_swells),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

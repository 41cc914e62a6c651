/* A client on one end of a socket pair, a tunnel's handler on the other, in one thread: what a
 * client that asks and never reads costs, and that it is answered in the end. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "daemon/carrier.h"
#include "daemon/http.h"
#include "daemon/spdy.h"
#include "daemon/stream_limits.h"
#include <event2/event.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SPINS = 1000000, NPINGS = 100000 };

/* A tunnel without HTTP before it: http_tunnel.c is not linked. */
struct http_tunnel {
	int fd;
};

int
http_tunnel_fd(const struct http_tunnel *t)
{
	return t->fd;
}

void
http_tunnel_on_stop(struct http_tunnel *t, void (*stop)(void *mine), void *mine)
{
	(void)t;
	(void)stop;
	(void)mine;
}

void
http_tunnel_close(struct http_tunnel *t)
{
	close(t->fd);
}

/* How a client asks, and what it is answered with. */
struct speech {
	enum carrier_speech carried;
	bool spdy;
	const char *ping;
	size_t nping;
	const char *pong;
	size_t npong;
};
#define BYTES(text) text, sizeof text - 1
static const struct speech websocket = { CARRIER_WEBSOCKET, false, BYTES("\x89\x80\0\0\0\0"),
					 BYTES("\x8a\x00") };
static const struct speech spdy = { CARRIER_SPDY, true,
				    BYTES("\x80\x03\0\x06\0\0\0\x04\0\0\0\x01"),
				    BYTES("\x80\x03\0\x06\0\0\0\x04\0\0\0\x01") };
/* as kubectl's port-forward tunnels it */
static const struct speech tunnelled = {
	CARRIER_WEBSOCKET, true, BYTES("\x82\x8c\0\0\0\0\x80\x03\0\x06\0\0\0\x04\0\0\0\x01"),
	BYTES("\x82\x0c\x80\x03\0\x06\0\0\0\x04\0\0\0\x01")
};

struct ends {
	struct event_base *base;
	struct http_tunnel tunnel;
	struct carrier *carrier;
	struct spdy *spdy;
	int client;
	size_t heard; /* bytes of messages */
	struct buf asks;
};

static void
on_out(void *ctx, const char *bytes, size_t n)
{
	carrier_send(((struct ends *)ctx)->carrier, bytes, n);
}

static void
on_message(void *ctx, const char *bytes, size_t n)
{
	struct ends *x = ctx;

	x->heard += n;
	if (x->spdy)
		assert_int_equal(spdy_feed(x->spdy, bytes, n, NULL), 0);
}

static void
on_progress(void *ctx)
{
	(void)ctx;
}

static void
on_gone(void *ctx)
{
	(void)ctx;
	fail_msg("the client is taken for gone");
}

static int
ends_open(void **state)
{
	struct ends *x = calloc(1, sizeof *x);
	int fds[2];

	*state = x;
	x->base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	x->tunnel.fd = fds[0];
	x->client = fds[1];
	return 0;
}

static int
ends_close(void **state)
{
	struct ends *x = *state;

	carrier_close(x->carrier);
	spdy_free(x->spdy);
	close(x->client);
	event_base_free(x->base);
	buf_done(&x->asks);
	free(x);
	return 0;
}

static void
start(struct ends *x, const struct speech *how, const void *extra, size_t n)
{
	static const struct websocket_handler handler = { on_message, on_progress, on_gone };
	static const struct spdy_handler frames = { .out = on_out };

	if (how->spdy)
		x->spdy = spdy_new(&frames, x);
	x->carrier = carrier_new(x->base, &x->tunnel, extra, n, how->carried, STREAM_MESSAGE,
				 &handler, x);
}

static void
spin(struct ends *x)
{
	assert_true(event_base_loop(x->base, EVLOOP_NONBLOCK) >= 0);
}

static void
asks_make(struct ends *x, const struct speech *how, size_t n)
{
	while (n--)
		buf_add(&x->asks, how->ping, how->nping);
}

/* Bytes of x->asks from `at` on that are taken of a client who does not read. */
static size_t
asks_push(struct ends *x, size_t at)
{
	ssize_t n;

	for (int idle = 0; at < x->asks.len && idle < 100; idle++) {
		n = send(x->client, x->asks.at + at, x->asks.len - at, MSG_NOSIGNAL);
		if (n > 0) {
			at += (size_t)n;
			idle = 0;
		}
		spin(x);
	}
	return at;
}

/* The client says the rest, and reads until it has `want` bytes. */
static void
answers_take(struct ends *x, size_t at, struct buf *got, size_t want)
{
	char piece[65536];
	ssize_t n;

	for (int i = 0; i < SPINS && got->len < want; i++) {
		if (at < x->asks.len &&
		    (n = send(x->client, x->asks.at + at, x->asks.len - at, MSG_NOSIGNAL)) > 0)
			at += (size_t)n;
		spin(x);
		if ((n = recv(x->client, piece, sizeof piece, 0)) > 0)
			buf_add(got, piece, (size_t)n);
	}
	assert_int_equal(at, x->asks.len);
}

static void
pings_answered(const struct speech *how, const struct buf *got, size_t n)
{
	assert_int_equal(got->len, n * how->npong);
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(got->at + i * how->npong, how->pong, how->npong);
}

/* ---- who asks and does not read ---- */

static void
flood(struct ends *x, const struct speech *how)
{
	cleanup_buf struct buf got = { 0 };
	size_t before, pushed;

	start(x, how, NULL, 0);
	asks_make(x, how, NPINGS);
	before = mallinfo2().uordblks;
	pushed = asks_push(x, 0);
	assert_true(pushed < x->asks.len);
	/* what one piece that was just read adds */
	assert_true(carrier_queued(x->carrier) < STREAM_ANSWERS + 150000);
	assert_true(mallinfo2().uordblks < before + 3 * STREAM_ANSWERS);
	answers_take(x, pushed, &got, NPINGS * how->npong);
	pings_answered(how, &got, NPINGS);
	assert_int_equal(carrier_queued(x->carrier), 0);
}

static void
who_pings_a_websocket_and_never_reads_is_not_read_for_long(void **state)
{
	flood(*state, &websocket);
}

static void
who_pings_over_spdy_and_never_reads_is_not_read_for_long(void **state)
{
	flood(*state, &spdy);
}

static void
who_pings_over_spdy_in_a_websocket_and_never_reads_is_not_read_for_long(void **state)
{
	flood(*state, &tunnelled);
}

static void
pings_that_came_with_the_request_are_all_answered(void **state)
{
	cleanup_buf struct buf got = { 0 };
	struct ends *x = *state;
	size_t before;

	asks_make(x, &websocket, NPINGS);
	before = mallinfo2().uordblks;
	start(x, &websocket, x->asks.at, x->asks.len);
	for (int i = 0; i < 1000; i++)
		spin(x);
	assert_true(carrier_queued(x->carrier) < STREAM_ANSWERS + 150000);
	assert_true(mallinfo2().uordblks < before + x->asks.len + 3 * STREAM_ANSWERS);
	answers_take(x, x->asks.len, &got, NPINGS * websocket.npong);
	pings_answered(&websocket, &got, NPINGS);
}

/* ---- who reads too slowly, and says something ---- */

static void
heard_behind(struct ends *x, const struct speech *how, size_t piece)
{
	static const char word[] = "\x82\x84\0\0\0\0stop";
	char *much = calloc(1, piece);
	size_t n = 0;

	start(x, how, NULL, 0);
	/* as a pod is read: until so much is queued */
	for (int i = 0; i < SPINS && carrier_queued(x->carrier) < STREAM_QUEUE; i++) {
		carrier_send(x->carrier, much, piece);
		n += piece;
		spin(x);
	}
	assert_true(carrier_queued(x->carrier) >= STREAM_QUEUE);
	assert_int_equal(send(x->client, word, sizeof word - 1, 0), sizeof word - 1);
	spin(x);
	spin(x);
	assert_int_equal(x->heard, how->carried == CARRIER_WEBSOCKET ? 4 : sizeof word - 1);
	free(much);
}

static void
who_takes_a_pods_output_slowly_is_still_heard_over_a_websocket(void **state)
{
	heard_behind(*state, &websocket, STREAM_PIECE);
}

static void
who_takes_single_letters_slowly_is_still_heard(void **state)
{
	heard_behind(*state, &websocket, 1);
}

static void
who_takes_a_pods_output_slowly_is_still_heard_over_the_bare_socket(void **state)
{
	static const struct speech bare = { CARRIER_SPDY, false, NULL, 0, NULL, 0 };

	heard_behind(*state, &bare, STREAM_PIECE);
}

static void
a_queued_message_counts_with_what_it_takes_beside_its_bytes(void **state)
{
	struct ends *x = *state;
	size_t before, took;

	start(x, &websocket, NULL, 0);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 1000; i++)
		carrier_send(x->carrier, "x", 1);
	took = mallinfo2().uordblks - before;
	assert_true(carrier_queued(x->carrier) >= took / 2);
	assert_true(carrier_queued(x->carrier) >= 1000 * 64);
}

/* ---- whose turn it is ---- */

static void
one_turn_reads_no_more_than_64_kib_of_a_client(void **state)
{
	static const char head[8] = "\x82\xfe\x07\xd0\0\0\0\0"; /* 2000 bytes */
	static const char bytes[2000];
	struct ends *x = *state;
	size_t n = 0;

	while (send(x->client, head, sizeof head, 0) == sizeof head) {
		if (send(x->client, bytes, sizeof bytes, 0) != sizeof bytes)
			break;
		n += sizeof bytes;
	}
	assert_true(n > 64 * 1024);
	start(x, &websocket, NULL, 0);
	event_base_loop(x->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_in_range(x->heard, 1, 64 * 1024);
	for (int i = 0; i < SPINS && x->heard < n; i++)
		event_base_loop(x->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(x->heard, n);
}

#define IN_TURN(f) cmocka_unit_test_setup_teardown(f, ends_open, ends_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TURN(who_pings_a_websocket_and_never_reads_is_not_read_for_long),
		IN_TURN(who_pings_over_spdy_and_never_reads_is_not_read_for_long),
		IN_TURN(
		    who_pings_over_spdy_in_a_websocket_and_never_reads_is_not_read_for_long),
		IN_TURN(pings_that_came_with_the_request_are_all_answered),
		IN_TURN(who_takes_a_pods_output_slowly_is_still_heard_over_a_websocket),
		IN_TURN(who_takes_single_letters_slowly_is_still_heard),
		IN_TURN(who_takes_a_pods_output_slowly_is_still_heard_over_the_bare_socket),
		IN_TURN(a_queued_message_counts_with_what_it_takes_beside_its_bytes),
		IN_TURN(one_turn_reads_no_more_than_64_kib_of_a_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

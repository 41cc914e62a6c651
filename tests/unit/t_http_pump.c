/* A client's TLS session on one side, a tunnel's handler on the other, in one thread. */
#include "daemon/http_pump.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MUCH = 1024 * 1024, SPINS = 100000 };

static char sent[MUCH], got[MUCH + 1];

struct ends {
	struct event_base *base;
	gnutls_psk_server_credentials_t server_key;
	gnutls_psk_client_credentials_t client_key;
	gnutls_session_t server, client;
	int fds[2]; /* the server's, the client's */
	struct pump *pump;
	int near;
	bool done;
};

static int
key_of(gnutls_session_t session, const char *user, gnutls_datum_t *key)
{
	(void)session;
	(void)user;
	key->data = gnutls_malloc(4);
	key->size = 4;
	memcpy(key->data, "key!", 4);
	return 0;
}

static gnutls_session_t
session_new(unsigned side, void *key, int fd)
{
	gnutls_session_t s;

	assert_int_equal(gnutls_init(&s, side | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(
			     s, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK", NULL),
			 0);
	assert_int_equal(gnutls_credentials_set(s, GNUTLS_CRD_PSK, key), 0);
	gnutls_transport_set_int(s, fd);
	return s;
}

static int
ends_open(void **state)
{
	static const gnutls_datum_t key = { (unsigned char *)"key!", 4 };
	struct ends *x = calloc(1, sizeof *x);
	int theirs = -1, ours = -1;

	*state = x;
	for (size_t i = 0; i < MUCH; i++)
		sent[i] = (char)(i * 2654435761u >> 13);
	x->base = event_base_new();
	x->near = -1;
	gnutls_psk_allocate_server_credentials(&x->server_key);
	gnutls_psk_set_server_credentials_function(x->server_key, key_of);
	gnutls_psk_allocate_client_credentials(&x->client_key);
	gnutls_psk_set_client_credentials(x->client_key, "me", &key, GNUTLS_PSK_KEY_RAW);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, x->fds), 0);
	x->server = session_new(GNUTLS_SERVER, x->server_key, x->fds[0]);
	x->client = session_new(GNUTLS_CLIENT, x->client_key, x->fds[1]);
	for (int i = 0; i < 1000 && (theirs || ours); i++) {
		if (theirs)
			theirs = gnutls_handshake(x->client);
		if (ours)
			ours = gnutls_handshake(x->server);
	}
	assert_int_equal(theirs, 0);
	assert_int_equal(ours, 0);
	return 0;
}

static int
ends_close(void **state)
{
	struct ends *x = *state;

	pump_free(x->pump);
	gnutls_deinit(x->client);
	gnutls_deinit(x->server);
	gnutls_psk_free_client_credentials(x->client_key);
	gnutls_psk_free_server_credentials(x->server_key);
	for (int i = 0; i < 2; i++)
		if (x->fds[i] >= 0)
			close(x->fds[i]);
	event_base_free(x->base);
	free(x);
	return 0;
}

static void
start(struct ends *x)
{
	x->pump = pump_new(x->base, x->server, x->fds[0]);
	assert_non_null(x->pump);
	x->near = pump_start(x->pump);
}

static void
spin(struct ends *x)
{
	assert_true(event_base_loop(x->base, EVLOOP_NONBLOCK) >= 0);
}

static void
on_done(void *ctx)
{
	((struct ends *)ctx)->done = true;
}

/* The client's reading, until `n` bytes or the end have come; how many. */
static size_t
client_takes(struct ends *x, size_t n, bool *ended)
{
	size_t len = 0;
	ssize_t r;

	*ended = false;
	for (int i = 0; i < SPINS && len < n && !*ended; i++) {
		spin(x);
		r = gnutls_record_recv(x->client, got + len, sizeof got - len);
		if (r > 0)
			len += (size_t)r;
		else
			*ended = r != GNUTLS_E_AGAIN;
	}
	return len;
}

static void
much_goes_both_ways_at_once(void **state)
{
	struct ends *x = *state;
	size_t up = 0, down = 0, up_got = 0, down_got = 0;
	char *at_handler = calloc(1, MUCH);
	ssize_t n;

	start(x);
	for (int i = 0; i < SPINS && (up_got < MUCH || down_got < MUCH); i++) {
		size_t piece = 1 + (size_t)i * 7919 % 40000;

		if (up < MUCH &&
		    (n = gnutls_record_send(x->client, sent + up,
					    piece < MUCH - up ? piece : MUCH - up)) > 0)
			up += (size_t)n;
		if (down < MUCH && (n = write(x->near, sent + down,
					      piece < MUCH - down ? piece : MUCH - down)) > 0)
			down += (size_t)n;
		spin(x);
		if ((n = read(x->near, at_handler + up_got, MUCH - up_got)) > 0)
			up_got += (size_t)n;
		if ((n = gnutls_record_recv(x->client, got + down_got, MUCH - down_got)) > 0)
			down_got += (size_t)n;
	}
	assert_int_equal(up_got, MUCH);
	assert_int_equal(down_got, MUCH);
	assert_memory_equal(at_handler, sent, MUCH);
	assert_memory_equal(got, sent, MUCH);
	free(at_handler);
}

static void
who_reads_nothing_is_not_read_for(void **state)
{
	struct ends *x = *state;
	size_t up = 0;
	ssize_t n;

	start(x);
	for (int i = 0; i < 2000; i++) {
		if ((n = gnutls_record_send(x->client, sent, 16384)) > 0)
			up += (size_t)n;
		spin(x);
	}
	/* two sockets' buffers, and a record */
	assert_true(up < MUCH);
}

static void
what_the_handler_said_last_arrives_and_then_the_end(void **state)
{
	struct ends *x = *state;
	bool ended;

	start(x);
	assert_int_equal(write(x->near, sent, 50000), 50000);
	pump_end(x->pump, on_done, x);
	assert_int_equal(client_takes(x, MUCH, &ended), 50000);
	assert_true(ended);
	assert_true(x->done);
	assert_memory_equal(got, sent, 50000);
}

static void
a_client_that_said_its_last_is_still_answered(void **state)
{
	struct ends *x = *state;
	char in[16];
	ssize_t n = -1;
	bool ended;

	start(x);
	assert_int_equal(gnutls_record_send(x->client, "ahoy", 4), 4);
	assert_int_equal(gnutls_bye(x->client, GNUTLS_SHUT_WR), 0);
	for (int i = 0; i < 100; i++)
		spin(x);
	assert_int_equal(read(x->near, in, sizeof in), 4);
	for (int i = 0; i < 100 && n; i++) {
		spin(x);
		n = read(x->near, in, sizeof in);
	}
	assert_int_equal(n, 0);
	assert_int_equal(write(x->near, "aye", 3), 3);
	assert_int_equal(client_takes(x, 3, &ended), 3);
	assert_memory_equal(got, "aye", 3);
}

/* libmicrohttpd reads into its own room, and less than a record of it. */
static void
what_the_session_held_when_it_began_is_not_lost(void **state)
{
	struct ends *x = *state;
	char first;

	assert_int_equal(gnutls_record_send(x->client, "GET", 3), 3);
	x->pump = pump_new(x->base, x->server, x->fds[0]);
	assert_non_null(x->pump);
	assert_int_equal(gnutls_record_recv(x->server, &first, 1), 1);
	x->near = pump_start(x->pump);
	for (int i = 0; i < 100; i++)
		spin(x);
	assert_int_equal(read(x->near, got, sizeof got), 2);
	assert_memory_equal(got, "ET", 2);
}

static void
a_client_that_is_gone_is_the_end_of_both_ways(void **state)
{
	struct ends *x = *state;
	ssize_t n = -1;

	start(x);
	close(x->fds[1]);
	x->fds[1] = -1;
	for (int i = 0; i < 100 && n; i++) {
		spin(x);
		n = read(x->near, got, sizeof got);
	}
	assert_int_equal(n, 0);
	(void)!send(x->near, "to nobody", 9, MSG_NOSIGNAL);
	for (int i = 0; i < 100; i++)
		spin(x);
	pump_end(x->pump, on_done, x);
	assert_true(x->done);
}

static void
who_takes_nothing_of_the_farewell_is_left_after_a_while(void **state)
{
	struct ends *x = *state;
	ssize_t n;

	start(x);
	for (int i = 0; i < 2000; i++) {
		n = write(x->near, sent, 16384);
		(void)n;
		spin(x);
	}
	pump_end(x->pump, on_done, x);
	assert_false(x->done);
	/* nothing but its own patience wakes the loop */
	for (int i = 0; i < 100 && !x->done; i++)
		event_base_loop(x->base, EVLOOP_ONCE);
	assert_true(x->done);
}

static void
under_the_number_of_the_clients_socket_nothing_happens_any_more(void **state)
{
	struct ends *x = *state;
	struct pollfd p = { .fd = x->fds[0], .events = POLLIN };

	start(x);
	assert_int_equal(gnutls_record_send(x->client, "ahoy", 4), 4);
	assert_int_equal(poll(&p, 1, 50), 0);
	pump_free(x->pump);
	x->pump = NULL;
	assert_int_equal(poll(&p, 1, 50), 0);
	assert_true(gnutls_record_recv(x->server, got, 4) < 0);
}

/* With `spare` descriptors left there is no pump, and the session is as it was. */
static void
without_descriptors_there_is_none_and_nothing_has_changed(void **state)
{
	struct ends *x = *state;
	struct rlimit was, few;
	int last = fcntl(x->fds[0], F_DUPFD, 0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	close(last);
	for (int spare = 0; spare < 4; spare++) {
		few = (struct rlimit){ (rlim_t)(last + spare), was.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		assert_null(pump_new(x->base, x->server, x->fds[0]));
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
		assert_int_equal(fcntl(last, F_GETFD), -1);
		assert_int_equal(errno, EBADF);
		assert_int_equal(gnutls_record_send(x->client, "ahoy", 4), 4);
		assert_int_equal(gnutls_record_recv(x->server, got, 4), 4);
	}
	start(x);
}

#define IN_TURN(f) cmocka_unit_test_setup_teardown(f, ends_open, ends_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TURN(much_goes_both_ways_at_once),
		IN_TURN(who_reads_nothing_is_not_read_for),
		IN_TURN(what_the_handler_said_last_arrives_and_then_the_end),
		IN_TURN(a_client_that_said_its_last_is_still_answered),
		IN_TURN(what_the_session_held_when_it_began_is_not_lost),
		IN_TURN(a_client_that_is_gone_is_the_end_of_both_ways),
		IN_TURN(who_takes_nothing_of_the_farewell_is_left_after_a_while),
		IN_TURN(under_the_number_of_the_clients_socket_nothing_happens_any_more),
		IN_TURN(without_descriptors_there_is_none_and_nothing_has_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

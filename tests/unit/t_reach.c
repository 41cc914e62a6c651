/* t_reach.c -- questions over the network to servers that mean no good.
 *
 * In a network of its own: nothing of it is seen outside this process.
 */
#include "daemon/reach.h"
#include "reads.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/now.h"
#include <arpa/inet.h>
#include <event2/event.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
network_of_our_own(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	cleanup_close int fd = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
}

/* ---- a server that says one thing, `times` over, to everybody ---- */

struct server {
	pid_t pid;
	uint16_t port;
};

static void
serve(int sock, const char *what, int times)
{
	char bytes[4096];

	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(sock, NULL, NULL);

		if (*what && read(fd, bytes, sizeof bytes) < 0)
			_exit(1);
		for (int i = 0; i < times; i++)
			if (write(fd, what, strlen(what)) < 0)
				break;
		close(fd);
	}
}

/* What it says, and then a body: `times` pieces of 64 KiB. */
static void
serve_long(int sock, const char *what, int times)
{
	static char piece[64 << 10];

	memset(piece, 'a', sizeof piece);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(sock, NULL, NULL);

		if (read(fd, piece, 1) < 0 || write(fd, what, strlen(what)) < 0)
			_exit(1);
		piece[0] = 'a';
		for (int i = 0; i < times; i++)
			if (write(fd, piece, sizeof piece) < 0)
				break;
		close(fd);
	}
}

/* Once, and then nobody is there any more. */
static void
serve_once(int sock, const char *what, int times)
{
	int fd = accept(sock, NULL, NULL);
	char bytes[4096];

	(void)times;
	close(sock);
	if (read(fd, bytes, sizeof bytes) < 0 || write(fd, what, strlen(what)) < 0)
		_exit(1);
	_exit(0);
}

/* After so many ms, and it does not hang up first. */
static void
serve_late(int sock, const char *what, int ms)
{
	int fd = accept(sock, NULL, NULL);
	char bytes[4096];

	usleep((useconds_t)ms * 1000);
	if (write(fd, what, strlen(what)) < 0)
		_exit(1);
	while (read(fd, bytes, sizeof bytes) > 0)
		;
	_exit(0);
}

/* Speaks HTTP in clear: calls anything else a bad request, and has no answer for who shows a
 * credential in clear. */
static void
serve_clear(int sock, const char *what, int times)
{
	char bytes[4096];

	(void)times;
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(sock, NULL, NULL);
		ssize_t n = read(fd, bytes, sizeof bytes - 1);

		bytes[n > 0 ? n : 0] = 0;
		if (strncmp(bytes, "GET ", 4))
			what = "HTTP/1.0 400 Bad Request\r\n\r\n";
		else
			what =
			    strstr(bytes, "Authorization:") ? "" : "HTTP/1.0 503 Later\r\n\r\n";
		if (write(fd, what, strlen(what)) < 0)
			_exit(1);
		close(fd);
	}
}

/* "TO AT": /app/health?x leads to TO, and only at AT all is well. */
static void
serve_led(int sock, const char *what, int times)
{
	size_t n = strcspn(what, " ");
	char bytes[4096], good[128];

	(void)times;
	snprintf(good, sizeof good, "GET %s HTTP/1.1\r\n", what + n + 1);
	for (;;) {
		int fd = accept(sock, NULL, NULL);

		memset(bytes, 0, sizeof bytes);
		if (read(fd, bytes, sizeof bytes - 1) < 0)
			_exit(1);
		if (!strncmp(bytes, good, strlen(good)))
			dprintf(fd, "HTTP/1.0 200 OK\r\n\r\n");
		else if (!strncmp(bytes, "GET /app/health?x ", 18))
			dprintf(fd, "HTTP/1.0 302 Found\r\nLocation: %.*s\r\n\r\n", (int)n,
				what);
		else
			dprintf(fd, "HTTP/1.0 404 Not Found\r\n\r\n");
		close(fd);
	}
}

static struct server
server_run(void (*says)(int sock, const char *what, int times), const char *what, int times)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof sa;
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct server s;

	assert_int_equal(bind(sock, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(sock, 64), 0);
	assert_int_equal(getsockname(sock, (struct sockaddr *)&sa, &n), 0);
	s.port = ntohs(sa.sin_port);
	s.pid = fork();
	if (s.pid == 0)
		says(sock, what, times);
	close(sock);
	return s;
}

static struct server
server_start(const char *what, int times)
{
	return server_run(serve, what, times);
}

static void
server_end(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* ---- who asks ---- */

struct asker {
	struct event_base *base;
	struct reach_pool *pool;
	bool over;
	size_t most; /* that was kept of an answer at once */
	char why[512], warning[512];
};

static size_t
kept(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void
on_answer(void *ctx, const char *why, const char *warning)
{
	struct asker *a = ctx;

	a->over = true;
	snprintf(a->why, sizeof a->why, "%s", why ? why : "");
	snprintf(a->warning, sizeof a->warning, "%s", warning ? warning : "");
}

static void
ask_it(struct asker *a, struct reach_ask q)
{
	q.type = REACH_HTTP;
	q.host = "127.0.0.1";
	if (!q.path)
		q.path = "/";
	if (!q.timeout_ms)
		q.timeout_ms = 3000;
	a->over = false;
	a->most = 0;
	reach_new(a->pool, &q, on_answer, a);
	while (!a->over) {
		size_t now = kept();

		a->most = now > a->most ? now : a->most;
		event_base_loop(a->base, EVLOOP_ONCE);
	}
}

static void
ask(struct asker *a, uint16_t port, bool https)
{
	ask_it(a, (struct reach_ask){ .port = port, .https = https });
}

/* A probe asks each second for as long as the pod lives. */
static void
leaves_nothing(struct asker *a, uint16_t port, int times)
{
	struct mallinfo2 before, after;

	for (int i = 0; i < 20; i++)
		ask(a, port, false);
	before = mallinfo2();
	for (int i = 0; i < times; i++)
		ask(a, port, false);
	after = mallinfo2();
	if (after.uordblks > before.uordblks + (size_t)times * 100)
		fail_msg("%d questions left %zu bytes behind", times,
			 after.uordblks - before.uordblks);
}

static int
open_all(void **s)
{
	struct asker *a = calloc(1, sizeof *a);

	a->base = event_base_new();
	a->pool = reach_pool_new(a->base);
	*s = a;
	return 0;
}

static int
close_all(void **s)
{
	struct asker *a = *s;

	reach_pool_free(a->pool);
	event_base_free(a->base);
	free(a);
	return 0;
}

static void
a_port_where_nobody_listens_is_named_and_costs_no_memory(void **s)
{
	struct asker *a = *s;

	ask(a, 1, false);
	assert_string_equal(a->why, "Get \"http://127.0.0.1:1/\": dial tcp 127.0.0.1:1: "
				    "connect: connection refused");
	leaves_nothing(a, 1, 500);
}

static void
one_who_hangs_up_is_named_and_costs_no_memory(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("", 0);

	ask(a, x.port, false);
	assert_non_null(strstr(a->why, ": EOF"));
	leaves_nothing(a, x.port, 300);
	server_end(&x);
}

static void
nonsense_for_an_answer_costs_no_memory(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("\001\002nonsense\r\n\r\n", 1);

	ask(a, x.port, false);
	assert_true(*a->why);
	leaves_nothing(a, x.port, 300);
	server_end(&x);
}

static void
an_answer_without_an_end_of_its_headers_is_cut_off(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("HTTP/1.1 200 OK\r\nX: y\r\n", 1 << 20);
	int64_t began = monotonic_ms();

	ask(a, x.port, false);
	assert_true(*a->why);
	assert_true(monotonic_ms() - began < 2500);
	leaves_nothing(a, x.port, 50);
	server_end(&x);
}

static void
an_answer_costs_no_memory(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1);

	ask(a, x.port, false);
	assert_string_equal(a->why, "");
	leaves_nothing(a, x.port, 300);
	server_end(&x);
}

#define GOOD  "HTTP/1.1 200 OK\r\n"
#define SIZED "Content-Length: 2097152\r\n\r\n"
static void
a_body_of_any_length_is_an_answer(void **s)
{
	static const char *const heads[] = { GOOD SIZED, GOOD "\r\n",
					     GOOD
					     "Transfer-Encoding: chunked\r\n\r\n200000\r\n" };
	struct asker *a = *s;

	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		struct server x = server_run(serve_long, heads[i], 32);

		ask(a, x.port, false);
		assert_string_equal(a->why, "");
		leaves_nothing(a, x.port, 50);
		server_end(&x);
	}
}

static void
a_redirect_elsewhere_with_a_long_body_is_one_too(void **s)
{
	struct asker *a = *s;
	struct server x = server_run(
	    serve_long, "HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\n" SIZED, 32);

	ask(a, x.port, false);
	assert_string_equal(a->why, "");
	assert_non_null(
	    strstr(a->warning, "Probe terminated redirects, Response body: aaaaaaaaaa"));
	server_end(&x);
}

static void
a_redirect_is_seen_from_where_it_stood(void **s)
{
	static const char *const led[] = {
		"login /app/login",        "./login /app/login",
		"../login?y=2 /login?y=2", "?y=2 /app/health?y=2",
		"/login /login",           "a/.././b/ /app/b/",
		"../../../.hid/.. /",      "a/. /app/a/",
		"/a/../../b /b",           "..a/b..?c=/../d /app/..a/b..?c=/../d",
	};
	struct asker *a = *s;

	for (size_t i = 0; i < sizeof led / sizeof *led; i++) {
		struct server x = server_run(serve_led, led[i], 0);

		ask_it(a, (struct reach_ask){ .port = x.port, .path = "/app/health?x" });
		server_end(&x);
		if (*a->why)
			fail_msg("%s: %s", led[i], a->why);
	}
}

static void
a_body_shorter_than_told_is_none_and_nobody_is_asked_again(void **s)
{
	struct asker *a = *s;
	struct server x = server_run(serve_once, GOOD "Content-Length: 100\r\n\r\nshort", 0);

	ask(a, x.port, false);
	assert_non_null(strstr(a->why, ": EOF"));
	server_end(&x);
}

static void
who_says_continue_without_end_is_heard_five_times(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("HTTP/1.1 100 Continue\r\n\r\n", 1 << 20);
	size_t before = kept();

	ask(a, x.port, false);
	assert_non_null(strstr(a->why, ": net/http: too many 1xx informational responses"));
	assert_true(a->most < before + (512 << 10));
	leaves_nothing(a, x.port, 50);
	server_end(&x);
	x = server_run(serve_late,
		       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" GOOD
		       "Content-Length: 0\r\n\r\n",
		       0);
	ask(a, x.port, false);
	assert_string_equal(a->why, "");
	server_end(&x);
}

/* libevent reads the line that tells a piece's length until it ends. */
static void
a_line_without_an_end_in_a_body_is_not_kept(void **s)
{
	struct asker *a = *s;
	struct server x =
	    server_run(serve_long, GOOD "Transfer-Encoding: chunked\r\n\r\n1;", 1 << 10);
	size_t before = kept();

	ask_it(a, (struct reach_ask){ .port = x.port, .timeout_ms = 500 });
	assert_true(*a->why);
	assert_true(a->most < before + (512 << 10));
	server_end(&x);
}

/* Of 2^32 ms and a little more. */
static void
a_deadline_in_weeks_is_not_over_at_once(void **s)
{
	struct asker *a = *s;
	struct server x = server_run(serve_late, GOOD "Content-Length: 0\r\n\r\n", 300);

	ask_it(a, (struct reach_ask){ .port = x.port, .timeout_ms = (INT64_C(1) << 32) + 50 });
	assert_string_equal(a->why, "");
	server_end(&x);
}

static void
one_given_up_under_way_costs_no_memory(void **s)
{
	struct asker *a = *s;
	const struct reach_ask q = {
		.type = REACH_HTTP, .host = "127.0.0.1", .port = 1, .path = "/"
	};
	struct mallinfo2 before = mallinfo2(), after;

	for (int i = 0; i < 300; i++) {
		struct reach *r = reach_new(a->pool, &q, on_answer, a);

		for (int j = 0; j < i % 2; j++)
			event_base_loop(a->base, EVLOOP_NONBLOCK);
		if (!(i % 2))
			reach_free(r);
		else
			while (!a->over)
				event_base_loop(a->base, EVLOOP_ONCE);
		a->over = false;
	}
	after = mallinfo2();
	assert_true(after.uordblks < before.uordblks + 30000);
}

/* As the kubelet does for hooks, and for hooks alone. */
static void
who_answers_tls_in_clear_is_asked_in_clear_where_that_will_do(void **s)
{
	static const struct http_header headers[] = {
		{ .name = "authorization", .value = "me" }, { .name = "X-Other", .value = "y" }
	};
	struct asker *a = *s;
	struct server x = server_run(serve_clear, NULL, 0);
	char expected[128];

	ask(a, x.port, true);
	assert_true(*a->why);
	assert_string_equal(a->warning, "");
	for (int i = 0; i < 3; i++) {
		ask_it(a, (struct reach_ask){ .port = x.port,
					      .https = true,
					      .or_http = true,
					      .any_status = true,
					      .headers = headers,
					      .nheaders = 2 });
		assert_string_equal(a->why, "");
		snprintf(expected, sizeof expected,
			 "request to HTTPS lifecycle hook 127.0.0.1:%u got HTTP response, "
			 "retry with HTTP succeeded",
			 x.port);
		assert_string_equal(a->warning, expected);
	}
	server_end(&x);
}

static void
who_speaks_neither_fails_with_what_was_wrong_at_first(void **s)
{
	struct asker *a = *s;
	struct server x = server_start("SSH-2.0-none\r\n", 1);
	char expected[128];

	ask_it(a, (struct reach_ask){
		      .port = x.port, .https = true, .or_http = true, .any_status = true });
	snprintf(expected, sizeof expected,
		 "Get \"https://127.0.0.1:%u/\": http: server gave HTTP response to HTTPS "
		 "client",
		 x.port);
	assert_string_equal(a->why, expected);
	assert_string_equal(a->warning, "");
	server_end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_all, close_all)
		TEST(a_port_where_nobody_listens_is_named_and_costs_no_memory),
		TEST(one_who_hangs_up_is_named_and_costs_no_memory),
		TEST(nonsense_for_an_answer_costs_no_memory),
		TEST(an_answer_without_an_end_of_its_headers_is_cut_off),
		TEST(an_answer_costs_no_memory),
		TEST(a_body_of_any_length_is_an_answer),
		TEST(a_redirect_elsewhere_with_a_long_body_is_one_too),
		TEST(a_redirect_is_seen_from_where_it_stood),
		TEST(a_body_shorter_than_told_is_none_and_nobody_is_asked_again),
		TEST(who_says_continue_without_end_is_heard_five_times),
		TEST(a_line_without_an_end_in_a_body_is_not_kept),
		TEST(a_deadline_in_weeks_is_not_over_at_once),
		TEST(one_given_up_under_way_costs_no_memory),
		TEST(who_answers_tls_in_clear_is_asked_in_clear_where_that_will_do),
		TEST(who_speaks_neither_fails_with_what_was_wrong_at_first),
	};

	if (!network_of_our_own()) {
		printf("1..0 # SKIP a network of its own needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

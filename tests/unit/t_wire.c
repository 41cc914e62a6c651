/* t_wire.c -- frames between brain and hand, from a peer that is and one that is not ours. */
#include "daemon/wire.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h" /* cmocka has a macro fail() */
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct ends {
	struct event_base *base;
	struct wire *wire; /* ours */
	int peer;          /* raw bytes go in here */
	struct wire *other;
	char *line, *body, *why;
	int fd, messages;
};

static void
on_message(void *arg, struct message *m)
{
	struct ends *t = arg;

	free(t->line);
	free(t->body);
	t->line = xstrdup(m->line);
	t->body = xstrndup(m->body, m->body_len);
	if (m->nfds && t->fd < 0) {
		t->fd = m->fds[0];
		m->fds[0] = -1;
	}
	t->messages++;
}

static void
on_end(void *arg, const char *why)
{
	struct ends *t = arg;

	t->why = xstrdup(why);
	wire_free(t->wire);
	t->wire = NULL;
}

static void
never(void *arg, const char *why)
{
	(void)arg;
	fail_msg("the sender's talk ended: %s", why);
}

static void
open_ends(struct ends *t, bool both)
{
	int pair[2];

	*t = (struct ends){ .base = event_base_new(), .fd = -1 };
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	t->wire = wire_new(t->base, pair[0], on_message, on_end, t);
	t->peer = pair[1];
	if (both)
		t->other = wire_new(t->base, pair[1], on_message, never, t);
}

static void
settle(struct ends *t)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(t->base, EVLOOP_NONBLOCK);
}

static void
close_ends(struct ends *t)
{
	wire_free(t->wire);
	if (t->other)
		wire_free(t->other);
	else if (t->peer >= 0)
		close(t->peer);
	if (t->fd >= 0)
		close(t->fd);
	free(t->line);
	free(t->body);
	free(t->why);
	event_base_free(t->base);
}

static int
open_files(void)
{
	cleanup_closedir DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	return n;
}

static void
raw(struct ends *t, uint32_t len, uint8_t nfds, const char *text)
{
	char head[5];

	memcpy(head, &len, 4);
	head[4] = (char)nfds;
	assert_int_equal(write(t->peer, head, 5), 5);
	assert_int_equal(write(t->peer, text, strlen(text)), strlen(text));
}

static void
a_message_arrives_with_its_body_and_its_descriptor(void **state)
{
	struct ends t;
	int pipes[2];
	char c = 0;

	(void)state;
	open_ends(&t, true);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(wire_send(t.other, "+ start pod a/b", "{}", &pipes[0], 1, NULL), 0);
	settle(&t);
	assert_string_equal(t.line, "+ start pod a/b");
	assert_string_equal(t.body, "{}");
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(read(t.fd, &c, 1), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(wire_send(t.other, "no body", NULL, NULL, 0, NULL), 0);
	settle(&t);
	assert_string_equal(t.line, "no body");
	assert_string_equal(t.body, "");
	close(pipes[0]);
	close(pipes[1]);
	close_ends(&t);
}

static void
a_message_in_pieces_is_one_message(void **state)
{
	struct ends t;
	char *big = xmalloc((4 << 20) + 1);

	(void)state;
	memset(big, 'x', 4 << 20);
	big[4 << 20] = 0;
	open_ends(&t, true);
	assert_int_equal(wire_send(t.other, "big", big, NULL, 0, NULL), 0);
	for (int i = 0; i < 1000 && !t.messages; i++)
		settle(&t);
	assert_string_equal(t.line, "big");
	assert_true(!strcmp(t.body, big));
	free(big);
	close_ends(&t);
}

static void
a_message_too_large_is_an_error_and_the_talk_goes_on(void **state)
{
	cleanup_error struct error *e = NULL;
	struct ends t;
	char *huge = xmalloc((size_t)WIRE_MAX + 1);

	(void)state;
	memset(huge, 'x', WIRE_MAX);
	huge[WIRE_MAX] = 0;
	open_ends(&t, true);
	assert_int_equal(wire_send(t.other, "huge", huge, NULL, 0, &e), -1);
	assert_non_null(strstr(error_text(e), "at most 67108864 can be sent"));
	assert_int_equal(wire_send(t.other, "small", NULL, NULL, 0, NULL), 0);
	settle(&t);
	assert_int_equal(t.messages, 1);
	assert_string_equal(t.line, "small");
	free(huge);
	close_ends(&t);
}

static void
with_no_descriptor_left_a_message_is_an_error_and_none_leaks(void **state)
{
	cleanup_error struct error *e = NULL;
	struct rlimit old, none;
	struct ends t;
	int before, one[2] = { 0, 0 };

	(void)state;
	open_ends(&t, true);
	before = open_files();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ 3, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(wire_send(t.other, "with two", NULL, one, 2, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(error_text(e), "pass a descriptor on: "));
	assert_int_equal(open_files(), before);
	settle(&t);
	assert_int_equal(t.messages, 0);
	close_ends(&t);
}

static void
a_length_beyond_the_limit_ends_the_talk(void **state)
{
	struct ends t;

	(void)state;
	open_ends(&t, false);
	raw(&t, WIRE_MAX + 1, 0, "x");
	settle(&t);
	assert_int_equal(t.messages, 0);
	assert_string_equal(t.why, "it sent a frame that is none");
	close_ends(&t);
}

static void
a_descriptor_that_was_announced_but_not_sent_ends_the_talk(void **state)
{
	struct ends t;

	(void)state;
	open_ends(&t, false);
	raw(&t, 1, 1, "x");
	settle(&t);
	assert_int_equal(t.messages, 0);
	assert_string_equal(t.why, "it sent a frame that is none");
	close_ends(&t);
}

static void
a_peer_that_leaves_in_the_middle_of_a_message_is_closed(void **state)
{
	struct ends t;

	(void)state;
	open_ends(&t, false);
	raw(&t, 10, 0, "half");
	settle(&t);
	assert_null(t.why);
	close(t.peer);
	t.peer = -1;
	settle(&t);
	assert_int_equal(t.messages, 0);
	assert_string_equal(t.why, "closed");
	close_ends(&t);
}

static void
descriptors_that_nobody_takes_are_closed(void **state)
{
	struct ends t;
	int before, two[2] = { 0, 0 };

	(void)state;
	open_ends(&t, true);
	t.fd = 0; /* has one already */
	before = open_files();
	assert_int_equal(wire_send(t.other, "two", NULL, two, 2, NULL), 0);
	settle(&t);
	assert_int_equal(t.messages, 1);
	assert_int_equal(open_files(), before);
	t.fd = -1;
	close_ends(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_with_its_body_and_its_descriptor),
		cmocka_unit_test(a_message_in_pieces_is_one_message),
		cmocka_unit_test(a_message_too_large_is_an_error_and_the_talk_goes_on),
		cmocka_unit_test(with_no_descriptor_left_a_message_is_an_error_and_none_leaks),
		cmocka_unit_test(a_length_beyond_the_limit_ends_the_talk),
		cmocka_unit_test(a_descriptor_that_was_announced_but_not_sent_ends_the_talk),
		cmocka_unit_test(a_peer_that_leaves_in_the_middle_of_a_message_is_closed),
		cmocka_unit_test(descriptors_that_nobody_takes_are_closed),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

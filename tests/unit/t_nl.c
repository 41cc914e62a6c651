/* t_nl.c -- requests to the kernel over netlink: what does not fit is never made
 * (CVE-2021-43784). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "netproxy/nl.h"
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char bytes[UINT16_MAX + 16];

/* How a child ends that puts `n` attributes of `len` bytes. */
static int
put(size_t len, int n)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct nl_batch b = { 0 };
		struct nlmsghdr *h = nl_ask(&b, NLMSG_MIN_TYPE, 0, "head", 4, "a request", 0);

		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		for (int i = 0; i < n; i++)
			nl_put(&b, h, 1, bytes, len);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
an_attribute_longer_than_its_length_can_say_is_never_made(void **state)
{
	static const size_t lens[] = { 1024, 4096, UINT16_MAX - 4, UINT16_MAX, UINT16_MAX + 8 };

	(void)state;
	assert_int_equal(put(1000, 1), 0);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		int status = put(lens[i], 1);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static void
more_attributes_than_a_request_has_room_for_are_never_made(void **state)
{
	int status = put(1000, 10000);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attribute_longer_than_its_length_can_say_is_never_made),
		cmocka_unit_test(more_attributes_than_a_request_has_room_for_are_never_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* netproxy.c -- the n-th system call of the proxy fails: a connection is served
 * by the old endpoint or by the new one, never by none; what failed says why; and
 * the next try succeeds and leaves nothing behind.  Runs on a test host. */
// wrap: -Wl,--wrap=socket -Wl,--wrap=sendto -Wl,--wrap=send -Wl,--wrap=recv
// wrap: -Wl,--wrap=setsockopt -Wl,--wrap=open -Wl,--wrap=openat -Wl,--wrap=read
// wrap: -Wl,--wrap=write -Wl,--wrap=lseek -Wl,--wrap=pread -Wl,--wrap=memfd_create
// wrap: -Wl,--wrap=mmap -Wl,--wrap=clone -Wl,--wrap=eventfd
#include "netproxy/netproxy.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h" /* before cmocka, which has a macro of the name fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAULT_ERRNO ENOBUFS
#include "fault/harness.h"

CALL_SOCKET
CALL(sendto, ssize_t, -1,
     (int a, const void *b, size_t c, int d, const struct sockaddr *f, socklen_t g),
     (a, b, c, d, f, g))
CALL(send, ssize_t, -1, (int a, const void *b, size_t c, int d), (a, b, c, d))
CALL(recv, ssize_t, -1, (int a, void *b, size_t c, int d), (a, b, c, d))
CALL(setsockopt, int, -1, (int a, int b, int c, const void *d, socklen_t f), (a, b, c, d, f))
CALL_OPEN
CALL_OPENAT
CALL(read, ssize_t, -1, (int a, void *b, size_t c), (a, b, c))
CALL(write, ssize_t, -1, (int a, const void *b, size_t c), (a, b, c))
CALL(lseek, off_t, -1, (int a, off_t b, int c), (a, b, c))
CALL(pread, ssize_t, -1, (int a, void *b, size_t c, off_t d), (a, b, c, d))
CALL(memfd_create, int, -1, (const char *a, unsigned b), (a, b))
CALL_MMAP
CALL(eventfd, int, -1, (unsigned a, int b), (a, b))

int __real_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int
__wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	int *pidfd;

	va_start(ap, arg);
	pidfd = va_arg(ap, int *);
	va_end(ap);
	return due() ? -1 : __real_clone(fn, stack, flags, arg, pidfd);
}

/* -- the world -------------------------------------------------------------- */

static struct np_config config = { .bridge = "kedge0",
				   .pods.net = 0x0a2a0000,
				   .pods.bits = 16,
				   .svcs.net = 0x0a2b0000,
				   .svcs.bits = 16 };
#define POD 0x0a2a0002u
#define VIP 0x0a2b0050u

static int home, pod; /* network namespaces */
static int ears[2];   /* listeners in the pod: the old endpoint, the new */

static void
in_ns(int ns)
{
	assert_return_code(setns(ns, CLONE_NEWNET), errno);
}

static int
ear(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&a, sizeof a), errno);
	assert_return_code(listen(fd, 64), errno);
	return fd;
}

static void
make_pod(void)
{
	assert_return_code(unshare(CLONE_NEWNET), errno);
	pod = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0);
	ears[0] = ear(8080);
	ears[1] = ear(8081);
	in_ns(home);
}

/* Which endpoint a new connection to the service ends at; -1 for none. */
static int
served_by(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(80),
				 .sin_addr.s_addr = htonl(VIP) };
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval most = { 2, 0 };
	int who = -1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		int peer = accept(ears[i], NULL, NULL);

		if (peer >= 0)
			who = i;
		if (peer >= 0)
			close(peer);
	}
	return who;
}

static unsigned
open_files(void)
{
	cleanup_closedir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n;
}

static int
set(struct np *np, int which, struct error **e)
{
	struct np_endpoint at = { POD, 8080 + which };
	struct np_service s = { .id = "default/web:http",
				.vip = VIP,
				.proto = IPPROTO_TCP,
				.port = 80,
				.endpoints = &at,
				.n = 1 };

	return np_set(np, &s, e);
}

static int
commit(struct np *np, struct error **e)
{
	struct pollfd p;

	if (np_commit(np, e) < 0)
		return -1;
	p = (struct pollfd){ np_fd(np), POLLIN, 0 };
	assert_int_equal(poll(&p, 1, 20000), 1);
	return np_commit_end(np, e);
}

/* -- the faults ------------------------------------------------------------- */

/* A fault that was survived without an error is fine: it had a second way. */
static void
expect(int rc, const struct error *e)
{
	if (rc < 0) {
		assert_true(fired);
		assert_non_null(e);
		assert_true(strlen(error_text(e)) > 10);
	}
}

/* From the other one to `which`, the n-th call failing: old or new, and new with the next
 * commit. */
static void
struck_commit(struct np *np, int which, int n)
{
	struct error *e = NULL;
	int rc;

	fired = false;
	assert_return_code(set(np, which, &e), 0);
	countdown = n;
	rc = commit(np, &e);
	countdown = 0;
	expect(rc, e);
	error_free(&e);
	if (rc < 0) {
		int now = served_by();

		assert_true(now == !which || now == which);
		assert_return_code(commit(np, &e), 0);
	}
	assert_int_equal(served_by(), which);
}

static void
a_commit_is_old_or_new_and_the_next_one_is_new(void **state)
{
	struct np *np = NULL;
	struct error *e = NULL;
	unsigned files;
	int which = 0, n = 0;

	config.nft = *state;
	assert_return_code(np_open(&config, &np, &e), 0);
	assert_return_code(np_plug(np, pod, POD, &e), 0);
	assert_return_code(set(np, 0, &e), 0);
	assert_return_code(commit(np, &e), 0);
	assert_int_equal(served_by(), 0);
	files = open_files();
	do {
		which = !which;
		struck_commit(np, which, ++n);
		assert_int_equal(open_files(), files);
	} while (fired);
	assert_true(n > (config.nft ? 3 : 5));
	np_close(np);
	assert_return_code(np_down(&config, &e), 0);
}

/* The first commit after a restart replaces all there is. */
static void
a_whole_commit_is_old_or_new_and_the_next_one_is_new(void **state)
{
	struct np *np = NULL;
	struct error *e = NULL;
	int which = 0, n = 0;

	config.nft = *state;
	assert_return_code(np_open(&config, &np, &e), 0);
	assert_return_code(np_plug(np, pod, POD, &e), 0);
	assert_return_code(set(np, 0, &e), 0);
	assert_return_code(commit(np, &e), 0);
	do {
		np_close(np);
		assert_return_code(np_open(&config, &np, &e), 0);
		which = !which;
		struck_commit(np, which, ++n);
	} while (fired);
	assert_true(n > 10);
	np_close(np);
	assert_return_code(np_down(&config, &e), 0);
}

static void
a_plug_that_failed_leaves_nothing_and_succeeds_again(void **state)
{
	struct np *np = NULL;
	struct error *e = NULL;
	unsigned files;
	int rc, n = 0;

	config.nft = *state;
	assert_return_code(np_open(&config, &np, &e), 0);
	assert_return_code(set(np, 0, &e), 0);
	assert_return_code(commit(np, &e), 0);
	files = open_files();
	do {
		fired = false;
		countdown = ++n;
		rc = np_plug(np, pod, POD, &e);
		countdown = 0;
		expect(rc, e);
		error_free(&e);
		if (rc < 0)
			assert_return_code(np_plug(np, pod, POD, &e), 0);
		assert_int_equal(served_by(), 0);
		assert_return_code(np_unplug(np, POD, &e), 0);
		assert_int_equal(open_files(), files);
	} while (fired);
	assert_true(n > 5);
	np_close(np);
	assert_return_code(np_down(&config, &e), 0);
}

static void
an_open_that_failed_leaves_what_serves_alone(void **state)
{
	struct np *np = NULL;
	struct error *e = NULL;
	unsigned files;
	int rc, n = 0;

	config.nft = *state;
	assert_return_code(np_open(&config, &np, &e), 0);
	assert_return_code(np_plug(np, pod, POD, &e), 0);
	assert_return_code(set(np, 0, &e), 0);
	assert_return_code(commit(np, &e), 0);
	np_close(np);
	files = open_files();
	do {
		fired = false;
		np = NULL;
		countdown = ++n;
		rc = np_open(&config, &np, &e);
		countdown = 0;
		expect(rc, e);
		error_free(&e);
		assert_int_equal(served_by(), 0);
		np_close(np);
		assert_int_equal(open_files(), files);
	} while (fired);
	assert_true(n > 10);
	assert_return_code(np_down(&config, &e), 0);
}

#define WITH_NFT(test)                                              \
	{                                                           \
#test "_with_nftables", test, NULL, NULL, &nftables \
	}

int
main(int argc, char **argv)
{
	static int nftables;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_is_old_or_new_and_the_next_one_is_new),
		cmocka_unit_test(a_whole_commit_is_old_or_new_and_the_next_one_is_new),
		cmocka_unit_test(a_plug_that_failed_leaves_nothing_and_succeeds_again),
		cmocka_unit_test(an_open_that_failed_leaves_what_serves_alone),
		WITH_NFT(a_commit_is_old_or_new_and_the_next_one_is_new),
		WITH_NFT(a_whole_commit_is_old_or_new_and_the_next_one_is_new),
		WITH_NFT(an_open_that_failed_leaves_what_serves_alone),
	};

	(void)argc;
	need_test_host(argv);
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0);
	make_pod();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

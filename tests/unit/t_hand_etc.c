/* t_hand_etc.c -- what a pod's resolv.conf says, of the host's and of its own. */
#include "../../daemon/hand_etc.h"
#include "../../reconcile/base/arena.h"
#include "../../reconcile/base/buf.h"
#include "../../reconcile/base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define STRS(...)                                                                  \
	{                                                                          \
		(const char *[]){ __VA_ARGS__ },                                   \
		    sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *) \
	}

static const char host[] =
    "# made by hand\nnameserver 192.0.2.53\n  nameserver 192.0.2.54 ; old\n"
    "domain gone.example\nsearch first.example\n"
    "search corp.example\toffice.example\noptions timeout:2 rotate\n";

static const char *
resolv(const struct dns_args *d, struct arena *a)
{
	struct buf text = { 0 };
	const char *copy;

	for (const char *const *line = etc_resolv(d, host, a); *line; line++)
		buf_addf(&text, "%s\n", *line);
	copy = arena_strdup(a, buf_text(&text));
	buf_done(&text);
	return copy;
}

static void
the_hosts_own_comes_first_and_what_the_pod_adds_behind_it(void **state)
{
	cleanup_arena struct arena a = { 0 };
	struct dns_args d = { .host = "all" };

	(void)state;
	assert_string_equal(resolv(&d, &a), "search corp.example office.example\n"
					    "nameserver 192.0.2.53\nnameserver 192.0.2.54\n"
					    "options timeout:2 rotate\n");
	d.nameservers = (struct strs)STRS("192.0.2.54", "192.0.2.1", "192.0.2.2");
	d.searches = (struct strs)STRS("my.example", "corp.example");
	d.options = (struct strs)STRS("timeout:9", "edns0");
	assert_string_equal(resolv(&d, &a),
			    "search corp.example office.example my.example\n"
			    "nameserver 192.0.2.53\nnameserver 192.0.2.54\n"
			    "nameserver 192.0.2.1\noptions timeout:9 rotate edns0\n");
}

static void
the_clusters_searches_come_before_the_hosts(void **state)
{
	cleanup_arena struct arena a = { 0 };
	struct dns_args d = { .host = "searches",
			      .nameservers = STRS("10.43.0.10"),
			      .clusterSearches = STRS("default.svc.cluster.local",
						      "svc.cluster.local", "cluster.local"),
			      .options = STRS("ndots:5", "ndots:2") };

	(void)state;
	assert_string_equal(resolv(&d, &a),
			    "search default.svc.cluster.local svc.cluster.local cluster.local "
			    "corp.example office.example\n"
			    "nameserver 10.43.0.10\noptions ndots:2\n");
}

static void
none_is_what_the_pod_says_alone(void **state)
{
	cleanup_arena struct arena a = { 0 };
	struct dns_args d = { .host = "none", .nameservers = STRS("192.0.2.1") };

	(void)state;
	assert_string_equal(resolv(&d, &a), "nameserver 192.0.2.1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hosts_own_comes_first_and_what_the_pod_adds_behind_it),
		cmocka_unit_test(the_clusters_searches_come_before_the_hosts),
		cmocka_unit_test(none_is_what_the_pod_says_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

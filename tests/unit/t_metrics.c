/* t_metrics.c -- two looks at the counters become a PodMetrics and a NodeMetrics. */
#include "../../daemon/metrics.h"
#include "../../reconcile/base/arena.h"
#include "../../reconcile/base/buf.h"
#include "../../reconcile/base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct usage_row before[] = {
	{ .ns = "a",
	  .pod = "web",
	  .container = "one",
	  .cpuNanos = 1000000000,
	  .memory = 1 << 20 },
	{ .ns = "b", .pod = "web", .container = "one", .cpuNanos = 7, .memory = 1 },
	{ .ns = "a", .pod = "again", .container = "one", .cpuNanos = 9000000000, .memory = 1 },
};
static struct usage_row after[] = {
	{ .ns = "a",
	  .pod = "web",
	  .container = "one",
	  .cpuNanos = 2000000000,
	  .memory = 5 << 20 },
	{ .ns = "a", .pod = "web", .container = "new", .cpuNanos = 500000000, .memory = 1024 },
	{ .ns = "b", .pod = "web", .container = "one", .cpuNanos = 7, .memory = 2048 },
	{ .ns = "a", .pod = "again", .container = "one", .cpuNanos = 4000000000, .memory = 1 },
};
static const struct usage_seen then = { .at = 10000000000,
					.cpuNanos = 100,
					.containers = { before, 3 } };
static const struct usage_seen now = { .at = 12000000000,
				       .cpuNanos = 3000000100,
				       .memory = 64 << 20,
				       .containers = { after, 4 } };
static const struct metrics m = { &then, &now, 1700000000000 };

static void
prints(enum resource_id id, const char *ns, const char *name, const char *what)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf b = { 0 };

	metrics_print(&m, object_new(id, ns, name, &a), &b);
	assert_string_equal(buf_text(&b), what);
}

static void
a_pods_containers_are_counted_over_the_window(void **state)
{
	(void)state;
	prints(
	    RES_pod, "a", "web",
	    "{\"kind\":\"PodMetrics\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",\"metadata\":"
	    "{\"name\":\"web\",\"namespace\":\"a\",\"creationTimestamp\":\"2023-11-14T22:13:"
	    "20Z\"},\"timestamp\":\"2023-11-14T22:13:20Z\",\"window\":\"2.000s\","
	    "\"containers\":[{\"name\":\"one\",\"usage\":{\"cpu\":\"500000000n\",\"memory\":"
	    "\"5120Ki\"}},{\"name\":\"new\",\"usage\":{\"cpu\":\"250000000n\",\"memory\":"
	    "\"1Ki\"}}]}");
}

static void
a_pod_of_the_same_name_elsewhere_is_another_one(void **state)
{
	(void)state;
	prints(
	    RES_pod, "b", "web",
	    "{\"kind\":\"PodMetrics\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",\"metadata\":"
	    "{\"name\":\"web\",\"namespace\":\"b\",\"creationTimestamp\":\"2023-11-14T22:13:"
	    "20Z\"},\"timestamp\":\"2023-11-14T22:13:20Z\",\"window\":\"2.000s\","
	    "\"containers\":[{\"name\":\"one\",\"usage\":{\"cpu\":\"0n\",\"memory\":\"2Ki\"}}"
	    "]}");
}

static void
a_pod_made_anew_counts_from_nothing(void **state)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf b = { 0 };

	(void)state;
	metrics_row(&m, object_new(RES_pod, "a", "again", &a), &b);
	assert_non_null(strstr(buf_text(&b), "{\"cells\":[\"again\",\"2000000000n\",\"0Ki\","
					     "\"2.000s\"],"));
}

static void
the_node_is_what_the_host_uses(void **state)
{
	(void)state;
	prints(
	    RES_node, "", "vm",
	    "{\"kind\":\"NodeMetrics\",\"apiVersion\":\"metrics.k8s.io/v1beta1\","
	    "\"metadata\":{\"name\":\"vm\",\"creationTimestamp\":\"2023-11-14T22:13:20Z\"},"
	    "\"timestamp\":\"2023-11-14T22:13:20Z\",\"window\":\"2.000s\",\"usage\":{\"cpu\":"
	    "\"1500000000n\",\"memory\":\"65536Ki\"}}");
}

static void
who_does_not_run_has_no_metrics(void **state)
{
	cleanup_arena struct arena a = { 0 };

	(void)state;
	assert_true(metrics_has(&m, object_new(RES_pod, "a", "web", &a)));
	assert_false(metrics_has(&m, object_new(RES_pod, "c", "web", &a)));
	assert_false(metrics_has(&m, object_new(RES_pod, "a", "we", &a)));
	/* nothing is divided by a window of nothing */
	assert_int_equal(metrics_rate(&(struct metrics){ &now, &now, 0 }, 1, 2), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pods_containers_are_counted_over_the_window),
		cmocka_unit_test(a_pod_of_the_same_name_elsewhere_is_another_one),
		cmocka_unit_test(a_pod_made_anew_counts_from_nothing),
		cmocka_unit_test(the_node_is_what_the_host_uses),
		cmocka_unit_test(who_does_not_run_has_no_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

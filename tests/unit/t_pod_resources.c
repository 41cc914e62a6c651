/* t_pod_resources.c -- what containers ask for, as the kubelet reckons it, and resizes. */
#include "pod.h"
#include "pod_resources.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GI (INT64_C(1) << 30)

static const struct pod *
pod(struct arena *a, const char *spec)
{
	struct complaints c = { .arena = a, .path = "x.yaml" };
	const char *text = arena_printf(
	    a, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {%s}\n", spec);
	struct manifest *m = manifest_read("x.yaml", text, strlen(text), a, &c);

	if (!m || c.errors)
		fail_msg("%s: %s", spec, c.first ? c.first->text : "?");
	return (const struct pod *)m->obj;
}

#define ONE(resources) "containers: [{name: a, image: i, resources: {" resources "}}]"

static struct container_args
limits(struct arena *a, const char *spec)
{
	struct host_seen host = { .memory = 8 * GI };
	struct snapshot s = { .host = &host };
	struct container_args args = { 0 };
	const struct pod *p = pod(a, spec);

	pod_limits(&s, p, &p->spec->containers.at[0], &args);
	return args;
}

static void
scores_are_the_kubelets(void **state)
{
	static const struct {
		const char *spec;
		int score;
	} cases[] = {
		{ ONE(""), 1000 },
		{ ONE("limits: {cpu: 1, memory: 1Gi}"), -997 },
		{ ONE("requests: {memory: 1Gi}"), 875 },
		{ ONE("requests: {cpu: 100m}"), 999 },
		{ ONE("requests: {memory: 8Gi}"), 3 },
		{ ONE("requests: {memory: 4000Mi}"), 512 },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(limits(&a, cases[i].spec).oomScoreAdj, cases[i].score);
	arena_free(&a);
}

static void
a_sidecar_does_not_go_before_whom_it_serves(void **state)
{
	struct host_seen host = { .memory = 8 * GI };
	struct snapshot s = { .host = &host };
	struct container_args args = { 0 };
	struct arena a = { 0 };
	const struct pod *p =
	    pod(&a, "initContainers: [{name: s, image: i, restartPolicy: Always}], " ONE(
			"requests: {memory: 4Gi}"));

	(void)state;
	pod_limits(&s, p, &p->spec->initContainers.at[0], &args);
	assert_int_equal(args.oomScoreAdj, 500);
	arena_free(&a);
}

/* `kubectl debug` changes no class: its containers have no resources. */
static void
who_looks_into_a_pod_changes_no_class(void **state)
{
	static const struct {
		const char *spec, *qos;
		int score;
	} cases[] = {
		{ ONE("limits: {cpu: 1, memory: 1Gi}"), "Guaranteed", -997 },
		{ ONE("requests: {memory: 1Gi}"), "Burstable", 875 },
		{ ONE(""), "BestEffort", 1000 },
	};
	struct container looks = { .name = "look", .image = "i" };
	struct host_seen host = { .memory = 8 * GI };
	struct snapshot s = { .host = &host };
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct container_args args = { 0 }, own = { 0 };
		const struct pod *p = pod(&a, cases[i].spec);

		p->spec->ephemeralContainers.at = &looks;
		p->spec->ephemeralContainers.n = 1;
		pod_limits(&s, p, &p->spec->containers.at[0], &args);
		assert_string_equal(pod_qos(p->spec), cases[i].qos);
		assert_int_equal(args.oomScoreAdj, cases[i].score);
		/* it goes with the pod's class, too */
		pod_limits(&s, p, &looks, &own);
		assert_int_equal(own.oomScoreAdj, i == 0 ? -997 : i == 1 ? 999 : 1000);
	}
	arena_free(&a);
}

static void
memory_is_slowed_down_before_the_limit(void **state)
{
	struct arena a = { 0 };
	struct container_args args;

	(void)state;
	args = limits(&a, ONE("requests: {memory: 100Mi}, limits: {memory: 200Mi}"));
	assert_int_equal(args.memoryMin, 100 << 20);
	assert_int_equal(args.memoryHigh, 190 << 20);
	args = limits(&a, ONE("limits: {cpu: 1, memory: 200Mi}")); /* Guaranteed */
	assert_int_equal(args.memoryHigh, 0);
	args = limits(&a, ONE("requests: {memory: 1Gi}")); /* of the host's 8 GiB */
	assert_int_equal(args.memoryHigh, (GI + 7 * GI / 10 * 9) / 4096 * 4096);
	arena_free(&a);
}

static bool
fits(struct arena *a, const char *was, const char *is)
{
	return pod_resizable(pod(a, was)->spec, pod(a, is)->spec, a);
}

static void
what_can_change_while_it_runs(void **state)
{
	static const char was[] = ONE("requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi}");
	struct arena a = { 0 };

	(void)state;
	assert_true(
	    fits(&a, was, ONE("requests: {cpu: 2, memory: 1Gi}, limits: {memory: 3Gi}")));
	/* less memory than may be in use, unless it may be restarted for it */
	assert_false(
	    fits(&a, was, ONE("requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}")));
	/* another class; a limit taken away; another image */
	assert_false(fits(
	    &a, was, ONE("requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 1, memory: 2Gi}")));
	assert_false(fits(&a, was, ONE("requests: {cpu: 1, memory: 1Gi}")));
	assert_false(fits(&a, was,
			  "containers: [{name: a, image: j, resources: {requests: {cpu: 1, "
			  "memory: 1Gi}, limits: {memory: 2Gi}}}]"));
#define POLICY                                                                    \
	"containers: [{name: a, image: i, resizePolicy: [{resourceName: memory, " \
	"restartPolicy: "                                                         \
	"RestartContainer}], resources: {requests: {memory: 1Gi}, limits: {memory: "
	assert_true(fits(&a, POLICY "3Gi}}}]", POLICY "2Gi}}}]"));
	arena_free(&a);
}

static void
a_resize_is_asked_for_until_the_host_has_it(void **state)
{
	struct host_seen host = { .memory = 8 * GI };
	struct snapshot s = { .host = &host };
	struct arena a = { 0 };
	const struct pod *p = pod(&a, POLICY "2Gi, cpu: 500m}}}]");
	const struct container *c = &p->spec->containers.at[0];
	struct container_seen seen = { .name = "a", .state = "running", .memory = GI };
	struct container_status st = { 0 };
	struct resize_args args;

	(void)state;
	assert_false(pod_resize_next(&s, p, c, &seen, &args)); /* it does not say */
	seen.sized = true;
	assert_true(pod_resize_next(&s, p, c, &seen, &args));
	assert_int_equal(args.memory, 2 * GI);
	assert_int_equal(args.cpuMilli, 500);
	assert_true(args.restart);
	pod_resources_status(&s, p, c, &seen, &st);
	assert_null(st.resources);
	assert_string_equal(pairs_get(&st.allocatedResources, "memory"), "1Gi");
	seen.memory = 2 * GI;
	assert_true(pod_resize_next(&s, p, c, &seen, &args));
	assert_false(args.restart); /* only memory's policy says so */
	seen.cpuMilli = args.cpuMilli;
	seen.cpuShares = args.cpuShares;
	assert_true(pod_resize_next(&s, p, c, &seen, &args)); /* what is requested is kept */
	assert_int_equal(args.memoryMin, GI);
	assert_false(args.restart);
	seen.memoryMin = args.memoryMin;
	assert_false(pod_resize_next(&s, p, c, &seen, &args));
	pod_resources_status(&s, p, c, &seen, &st);
	assert_string_equal(pairs_get(&st.resources->limits, "memory"), "2Gi");
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scores_are_the_kubelets),
		cmocka_unit_test(a_sidecar_does_not_go_before_whom_it_serves),
		cmocka_unit_test(who_looks_into_a_pod_changes_no_class),
		cmocka_unit_test(memory_is_slowed_down_before_the_limit),
		cmocka_unit_test(what_can_change_while_it_runs),
		cmocka_unit_test(a_resize_is_asked_for_until_the_host_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

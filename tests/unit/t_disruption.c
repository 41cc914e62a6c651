/* t_disruption.c -- the status of budgets, and who may be evicted. */
#include "control.h"
#include "disruption.h"

static void
text(struct kit *k, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	xvasprintf(&s, fmt, ap);
	va_end(ap);
	kit_read(k, s);
	free(s);
}

static void
set_of(struct kit *k, const char *name, int replicas)
{
	text(k,
	     "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: %s, uid: uid-%s}\n"
	     "spec: {replicas: %d, selector: {matchLabels: {app: web}}, template: {metadata: "
	     "{labels: {app: web}}, spec: {containers: [{name: c, image: 'i:1'}]}}}\n",
	     name, name, replicas);
}

static void
pod(struct kit *k, const char *name, const char *owner, const char *phase, bool ready,
    const char *meta)
{
	text(k,
	     "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: web}%s%s%s%s%s}\n"
	     "spec: {containers: [{name: c, image: 'i:1'}]}\n"
	     "status: {phase: %s, conditions: [{type: Ready, status: '%s'}]}\n",
	     name,
	     *owner ? ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, controller: "
		      "true, name: "
		    : "",
	     owner, *owner ? ", uid: uid-" : "", owner, *owner ? "}]" : "", phase,
	     ready ? "True" : "False");
	if (*meta)
		((struct pod *)kit_find(k, RES_pod, name))->metadata->deletionTimestamp =
		    atoll(meta);
}

static void
budget(struct kit *k, const char *spec, const char *status)
{
	text(k,
	     "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\n"
	     "spec: {selector: {matchLabels: {app: web}}, %s}\n%s",
	     spec, status);
}

/* "allowed healthy/desired of expected" after a pass; "" when nothing is written. */
static const char *
pass(struct kit *k)
{
	const struct pod_disruption_budget *b;

	kit_do(k, disruption_reconcile, RES_pod_disruption_budget, "b");
	b = kit_body(k, ACT_STATUS);
	return b ? arena_printf(&k->pass, "%lld %lld/%lld of %lld",
				(long long)b->status->disruptionsAllowed,
				(long long)b->status->currentHealthy,
				(long long)b->status->desiredHealthy,
				(long long)b->status->expectedPods)
		 : "";
}

static void
the_status_says_how_many_may_go(void **state)
{
	static const struct {
		const char *spec, *expect;
	} rows[] = {
		{ "minAvailable: 2", "1 3/2 of 4" },
		{ "minAvailable: 3", "0 3/3 of 4" },
		{ "minAvailable: 50%", "1 3/2 of 4" },
		{ "minAvailable: 51%", "0 3/3 of 4" },
		{ "minAvailable: 0", "3 3/0 of 4" },
		{ "maxUnavailable: 1", "0 3/3 of 4" },
		{ "maxUnavailable: 2", "1 3/2 of 4" },
		{ "maxUnavailable: 0", "0 3/4 of 4" },
		{ "maxUnavailable: 30%", "1 3/2 of 4" },
		{ "maxUnavailable: 100%", "3 3/0 of 4" },
		{ "unhealthyPodEvictionPolicy: AlwaysAllow", "3 3/0 of 4" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kit *k = *state;

		kit_done(k);
		kit_init(k);
		set_of(k, "web", 4);
		for (int n = 0; n < 4; n++)
			pod(k, arena_printf(&k->arena, "web-%d", n), "web", "Running", n != 3,
			    "");
		budget(k, rows[i].spec, "");
		assert_string_equal(pass(k), rows[i].expect);
		assert_string_equal(pass(k), "");
	}
}

static void
a_pod_that_goes_or_was_evicted_is_not_healthy(void **state)
{
	struct kit *k = *state;
	const struct pod_disruption_budget *b;

	set_of(k, "web", 3);
	pod(k, "one", "web", "Running", true, "");
	pod(k, "two", "web", "Running", true, "1800000001000");
	pod(k, "three", "web", "Running", true, "");
	budget(k, "minAvailable: 1",
	       "status: {observedGeneration: 1, disruptedPods: {one: '2027-01-15T08:00:00Z', "
	       "two: '2027-01-15T08:00:00Z', none: '2027-01-15T08:00:00Z'}}\n");
	assert_string_equal(pass(k), "0 1/1 of 3");
	b = kit_find(k, RES_pod_disruption_budget, "b");
	assert_int_equal(b->status->disruptedPods.n, 1);
	assert_string_equal(b->status->conditions.at[0].reason, "InsufficientPods");
	k->now += 2 * 60 * 1000 + 1; /* it never went */
	assert_string_equal(pass(k), "1 2/1 of 3");
	b = kit_find(k, RES_pod_disruption_budget, "b");
	assert_int_equal(b->status->disruptedPods.n, 0);
	assert_string_equal(b->status->conditions.at[0].reason, "SufficientPods");
}

static void
pods_without_a_controller_are_told_of(void **state)
{
	struct kit *k = *state;

	pod(k, "one", "", "Running", true, "");
	budget(k, "maxUnavailable: 1", "");
	assert_string_equal(pass(k), "0 1/0 of 0");
	assert_non_null(strstr(buf_text(&k->text), "UnmanagedPods"));
}

static struct eviction_answer
judge(struct kit *k, const char *name)
{
	struct snapshot *s = kit_snapshot(k);

	return eviction_judge(s, kit_find(k, RES_pod, name));
}

#define STATUS(allowed, healthy)                                        \
	"status: {observedGeneration: 1, disruptionsAllowed: " #allowed \
	", currentHealthy: " #healthy ", desiredHealthy: 2, expectedPods: 3}\n"

static void
an_eviction_takes_one_or_is_put_off(void **state)
{
	struct kit *k = *state;
	struct eviction_answer a;

	pod(k, "ready", "web", "Running", true, "");
	pod(k, "sick", "web", "Running", false, "");
	pod(k, "fresh", "web", "Pending", false, "");
	pod(k, "done", "web", "Succeeded", false, "");
	assert_int_equal(judge(k, "ready").verdict, EVICTION_FREE);
	budget(k, "minAvailable: 2", "");
	a = judge(k, "ready");
	assert_int_equal(a.verdict, EVICTION_LATER);
	assert_string_equal(a.cause,
			    "The disruption budget b is still being processed by the server.");
	assert_int_equal(a.retry_after, 10);
	budget(k, "minAvailable: 2", STATUS(0, 1));
	a = judge(k, "ready");
	assert_string_equal(a.cause,
			    "The disruption budget b needs 2 healthy pods and has 1 currently");
	assert_int_equal(judge(k, "sick").verdict, EVICTION_LATER);
	assert_int_equal(judge(k, "fresh").verdict, EVICTION_FREE);
	assert_int_equal(judge(k, "done").verdict, EVICTION_FREE);
	budget(k, "minAvailable: 2", STATUS(1, 3));
	a = judge(k, "ready");
	assert_int_equal(a.verdict, EVICTION_TAKES);
	assert_int_equal(a.after->status->disruptionsAllowed, 0);
	assert_string_equal(pairs_get(&a.after->status->disruptedPods, "ready"),
			    "2027-01-15T08:00:00Z");
	assert_int_equal(judge(k, "sick").verdict, EVICTION_FREE); /* enough others are well */
	budget(k, "minAvailable: 2, unhealthyPodEvictionPolicy: AlwaysAllow", STATUS(0, 1));
	assert_int_equal(judge(k, "sick").verdict, EVICTION_FREE);
	assert_int_equal(judge(k, "ready").verdict, EVICTION_LATER);
}

static void
two_budgets_for_one_pod_are_an_error(void **state)
{
	struct kit *k = *state;

	pod(k, "ready", "web", "Running", true, "");
	budget(k, "minAvailable: 2", STATUS(1, 3));
	text(k, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: all}\n"
		"spec: {selector: {}}\n");
	assert_int_equal(judge(k, "ready").verdict, EVICTION_NEVER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
		T(the_status_says_how_many_may_go),
		T(a_pod_that_goes_or_was_evicted_is_not_healthy),
		T(pods_without_a_controller_are_told_of),
		T(an_eviction_takes_one_or_is_put_off),
		T(two_budgets_for_one_pod_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

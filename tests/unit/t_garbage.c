/* t_garbage.c -- what nobody answers for any more, and what there is too much of. */
#include "pod_kit.h"

static void
children_and_strangers_are_collected(void **state)
{
	struct kit *k = *state;

	kit_read(
	    k,
	    "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs, ownerReferences: "
	    "[{apiVersion: apps/v1, kind: Deployment, name: gone, uid: x, controller: true}]}\n"
	    "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
	    "spec: {containers: [{name: c, image: i}]}}}\n---\n"
	    "apiVersion: v1\nkind: Event\nmetadata: {name: old}\nlastTimestamp: "
	    "'2027-01-15T06:59:59Z'\n---\n"
	    "apiVersion: v1\nkind: Event\nmetadata: {name: new}\nlastTimestamp: "
	    "'2027-01-15T07:30:00Z'\n---\n"
	    "apiVersion: v1\nkind: Event\nmetadata: {name: yet-to-come}\nlastTimestamp: "
	    "'2099-01-01T00:00:00Z'\n");
	k->of[RES_event][2]->metadata->creationTimestamp = 0;
	k->of[RES_event][0]->metadata->creationTimestamp = 0;
	k->of[RES_event][1]->metadata->creationTimestamp = 0;
	kit_pod_new(k, "stranger")->seen.state = "up";
	garbage_reconcile(kit_snapshot(k), &k->plan);
	assert_string_equal(kit_text(k),
			    "- delete replicaset default/rs  # its owner gone is gone\n"
			    "- delete event default/old  # an hour old\n"
			    "- delete event default/yet-to-come  # an hour old\n"
			    "- stop pod stranger 0 -> 2  # no such pod\n");
	assert_int_equal(k->plan.again_at, k->now + 1800 * 1000);
}

static void
told(struct kit *k, const char *name, int64_t made, const char *more)
{
	struct object *o;
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Event\nmetadata: {name: %s}\nlastTimestamp: "
		  "'2027-01-15T07:30:00Z'\n%s",
		  name, more);
	kit_read(k, text);
	o = (struct object *)kit_find(k, RES_event, name);
	o->metadata->creationTimestamp = made;
	free(text);
}

static void
of_too_many_events_of_others_the_oldest_go(void **state)
{
	struct kit *k = *state;
	char name[16];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "e-%04d", i);
		told(k, name, i == 1000 ? 2 : 3, "");
	}
	told(k, "own", 1, "reportingComponent: kedge\n");
	kit_read(k, "apiVersion: v1\nkind: Event\nmetadata: {name: x, namespace: other}\n"
		    "lastTimestamp: '2027-01-15T07:30:00Z'\n");
	garbage_reconcile(kit_snapshot(k), &k->plan);
	assert_int_equal(k->plan.n, 0);
	told(k, "more", 4, "");
	garbage_reconcile(kit_snapshot(k), &k->plan);
	assert_string_equal(kit_text(k),
			    "- delete event default/e-1000  # 2000 newer ones are there\n");
}

static void
finished(struct kit *k, const char *name, const char *meta, const char *how, int64_t made)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, uid: u-%s%s}\n"
		  "spec: {containers: [{name: c, image: i}]}\nstatus: {%s}\n",
		  name, name, meta, how);
	kit_read(k, text);
	((struct object *)kit_find(k, RES_pod, name))->metadata->creationTimestamp = made;
	free(text);
}

static void
of_too_many_finished_pods_the_evicted_go_and_then_the_oldest(void **state)
{
	struct kit *k = *state;
	char name[16];

	for (int i = 0; i < 499; i++) {
		snprintf(name, sizeof name, "n-%03d", i);
		finished(k, name, "", "phase: Succeeded", k->now - 1000 + i);
	}
	finished(k, "away", "", "phase: Failed, reason: SysctlForbidden", 1);
	finished(
	    k, "gits",
	    ", labels: {kedge.dev/source: main}, annotations: {kedge.dev/place: 'in.yaml:1', "
	    "kedge.dev/last-applied-configuration: '{\"apiVersion\":\"v1\",\"kind\":"
	    "\"Pod\",\"metadata\":{\"name\":\"gits\"}}'}",
	    "phase: Succeeded", 1);
	finished(k, "leaves", ", deletionTimestamp: '2027-01-15T07:59:59Z'", "phase: Failed",
		 1);
	finished(k, "runs", "", "phase: Running", 1);
	finished(k, "old", "", "phase: Failed", 2);
	garbage_reconcile(kit_snapshot(k), &k->plan);
	assert_int_equal(k->plan.n, 0);
	finished(k, "evicted", "", "phase: Failed, reason: Evicted", k->now);
	finished(k, "older", "", "phase: Succeeded", 1);
	garbage_reconcile(kit_snapshot(k), &k->plan);
	assert_string_equal(kit_text(k),
			    "- delete pod default/evicted  # finished, as 500 others are\n"
			    "- delete pod default/older  # finished, as 500 others are\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(children_and_strangers_are_collected),
		T(of_too_many_events_of_others_the_oldest_go),
		T(of_too_many_finished_pods_the_evicted_go_and_then_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

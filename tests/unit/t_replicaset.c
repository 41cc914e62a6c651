/* t_replicaset.c -- mutate the pods, expect the plan. */
#include "control.h"

#define SET                                                                                   \
	"apiVersion: apps/v1\nkind: ReplicaSet\n"                                             \
	"metadata: {name: web, uid: rs-1, generation: 1}\n"                                   \
	"spec: {replicas: %d, minReadySeconds: %d, selector: {matchLabels: {app: web}},\n"    \
	" template: {metadata: {labels: {app: web, tier: front}, annotations: {note: hi}},\n" \
	"  spec: {containers: [{name: web, image: 'web:1'}]}}}\n"

static void
set(struct kit *k, int replicas, int min_ready)
{
	char *text;

	xasprintf(&text, SET, replicas, min_ready);
	kit_read(k, text);
	free(text);
}

/* A pod of the set; `how` is flow YAML for its status, "" for a fresh one. */
static void
pod(struct kit *k, const char *name, const char *labels, bool owned, const char *meta,
    const char *how)
{
	char *text;

	xasprintf(
	    &text,
	    "apiVersion: v1\nkind: Pod\n"
	    "metadata: {name: %s, uid: %s, labels: {%s}%s%s}\n"
	    "spec: {nodeName: node, containers: [{name: web, image: 'web:1'}]}\n"
	    "status: {%s}\n",
	    name, name, labels,
	    owned ? ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, "
		    "uid: rs-1, controller: true, blockOwnerDeletion: true}]"
		  : "",
	    meta, how);
	kit_read(k, text);
	free(text);
}

#define READY                                                                             \
	"phase: Running, conditions: [{type: Ready, status: 'True', lastTransitionTime: " \
	"'2027-01-15T07:00:00Z'}]"
#define NOT_READY                                                                          \
	"phase: Running, conditions: [{type: Ready, status: 'False', lastTransitionTime: " \
	"'2027-01-15T07:00:00Z'}]"

static const char *
pass(struct kit *k)
{
	return kit_do(k, replicaset_reconcile, RES_replica_set, "web");
}

static void
missing_pods_are_created_from_the_template(void **state)
{
	struct kit *k = *state;
	const struct pod *made;
	const char *text;

	set(k, 2, 0);
	text = pass(k);
	assert_int_equal(k->plan.n, 3);
	assert_non_null(strstr(text, "# web has 0 of 2\n"));
	assert_non_null(strstr(text, "# web has 1 of 2\n"));
	assert_non_null(strstr(text, ". status replicaset default/web  # 0/2 ready\n"));
	made = kit_body(k, ACT_CREATE);
	assert_int_equal(strlen(object_name(made)), strlen("web-xxxxx"));
	assert_memory_equal(object_name(made), "web-", 4);
	assert_string_equal(made->metadata->generateName, "web-");
	assert_string_equal(object_label(made, "tier"), "front");
	assert_string_equal(object_annotation(made, "note"), "hi");
	assert_string_equal(object_controller(made)->uid, "rs-1");
	assert_true(object_controller(made)->blockOwnerDeletion);
	assert_string_equal(made->spec->containers.at[0].image, "web:1");
	assert_string_equal(made->status->phase, "Pending");
}

static void
a_settled_set_is_left_alone(void **state)
{
	struct kit *k = *state;

	set(k, 2, 0);
	pod(k, "web-a", "app: web, tier: front", true, "", READY);
	pod(k, "web-b", "app: web, tier: front", true, "", READY);
	assert_string_equal(pass(k), ". status replicaset default/web  # 2/2 ready\n");
	assert_string_equal(pass(k), "");
}

static void
the_status_counts_ready_available_and_fully_labelled(void **state)
{
	struct kit *k = *state;
	const struct replica_set *rs;

	set(k, 3, 0);
	pod(k, "web-a", "app: web, tier: front", true, "", READY);
	pod(k, "web-b", "app: web", true, "", READY);
	pod(k, "web-c", "app: web", true, "", NOT_READY);
	pass(k);
	rs = kit_find(k, RES_replica_set, "web");
	assert_int_equal(rs->status->replicas, 3);
	assert_int_equal(rs->status->readyReplicas, 2);
	assert_int_equal(rs->status->availableReplicas, 2);
	assert_int_equal(rs->status->fullyLabeledReplicas, 1);
	assert_int_equal(rs->status->observedGeneration, 1);
}

static void
a_ready_pod_is_available_only_after_min_ready_seconds(void **state)
{
	struct kit *k = *state;
	const struct replica_set *rs;

	set(k, 1, 7200);
	pod(k, "web-a", "app: web", true, "", READY); /* ready for an hour */
	pass(k);
	rs = kit_find(k, RES_replica_set, "web");
	assert_int_equal(rs->status->readyReplicas, 1);
	assert_int_equal(rs->status->availableReplicas, 0);
	assert_int_equal(k->plan.again_at, k->now + 3600 * 1000);
	k->now = k->plan.again_at;
	pass(k);
	rs = kit_find(k, RES_replica_set, "web");
	assert_int_equal(rs->status->availableReplicas, 1);
}

static void
a_pod_that_is_ready_since_a_time_to_come_is_available(void **state)
{
	struct kit *k = *state;
	const struct replica_set *rs;

	set(k, 1, 7200);
	pod(k, "web-a", "app: web", true, "", READY);
	k->now -= 24 * 3600 * 1000; /* the clock is set back */
	pass(k);
	rs = kit_find(k, RES_replica_set, "web");
	assert_int_equal(rs->status->availableReplicas, 1);
	assert_int_equal(k->plan.again_at, 0);
}

static void
finished_and_leaving_pods_are_replaced(void **state)
{
	struct kit *k = *state;

	set(k, 3, 0);
	pod(k, "web-a", "app: web", true, "", READY);
	pod(k, "web-b", "app: web", true, "", "phase: Failed");
	pod(k, "web-c", "app: web", true, ", deletionTimestamp: '2027-01-15T08:00:30Z'", READY);
	pass(k);
	assert_int_equal(k->plan.at[0].verb, ACT_CREATE);
	assert_int_equal(k->plan.at[1].verb, ACT_CREATE);
	assert_int_equal(k->plan.at[2].verb, ACT_STATUS);
}

static void
what_a_namespace_audits_stands_in_the_line(void **state)
{
	struct kit *k = *state;
	char *text;

	kit_read(k, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: "
		    "{pod-security.kubernetes.io/audit: baseline}}\n");
	xasprintf(&text, SET, 1, 0);
	*strstr(text, "containers: [{name: web") = 0;
	text = xrealloc(text, 2048);
	strcat(text, "hostPID: true, containers: [{name: web, image: i}]}}}\n");
	kit_read(k, text);
	free(text);
	assert_non_null(strstr(pass(k),
			       "  # web has 0 of 1; "
			       "pod-security.kubernetes.io/audit-violations: would violate "
			       "PodSecurity \"baseline:latest\": host namespaces "
			       "(hostPID=true)\n"));
}

/* Another would be turned away, too, as long as the host is the same. */
static void
a_pod_that_was_turned_away_keeps_its_place_until_it_may_be_let_in(void **state)
{
	struct kit *k = *state;

	set(k, 1, 0);
	pod(k, "web-1", "app: web", true, "", "phase: Failed, reason: SysctlForbidden");
	kit_pod_new(k, "web-1")->seen.state = "failed";
	assert_null(strstr(pass(k), "pod"));
	assert_string_equal(pass(k), "");
	kit_pod_drop(k, "web-1"); /* another life of the host's */
	assert_non_null(strstr(
	    pass(k), "- delete pod default/web-1  # turned away, and may be let in now"));
	assert_non_null(strstr(kit_text(k), "+ create pod default/web-"));
}

static void
a_pod_that_was_turned_away_goes_when_it_is_not_wanted(void **state)
{
	struct kit *k = *state;

	set(k, 1, 0);
	pod(k, "web-1", "app: web", true, "", "phase: Failed, reason: SysctlForbidden");
	pod(k, "web-2", "app: web", true, "", READY);
	kit_pod_new(k, "web-1")->seen.state = "failed";
	assert_non_null(strstr(
	    pass(k), "- delete pod default/web-1  # turned away, and not wanted any more"));
	assert_null(strstr(kit_text(k), "web-2"));
}

static void
victims_are_chosen_in_kubernetes_order(void **state)
{
	struct kit *k = *state;

	set(k, 1, 0);
	pod(k, "web-a", "app: web", true, ", creationTimestamp: '2027-01-15T06:00:00Z'", READY);
	pod(k, "web-b", "app: web", true, ", creationTimestamp: '2027-01-15T07:00:00Z'", READY);
	pod(k, "web-c", "app: web", true, "", NOT_READY);
	pod(k, "web-d", "app: web", true, "", "phase: Pending");
	pod(k, "web-e", "app: web", true,
	    ", annotations: {controller.kubernetes.io/pod-deletion-cost: '-5'}", READY);
	assert_string_equal(pass(k), "- delete pod default/web-d  # web has 5 of 1, not ready\n"
				     "- delete pod default/web-c  # web has 4 of 1, not ready\n"
				     "- delete pod default/web-e  # web has 3 of 1\n"
				     "- delete pod default/web-b  # web has 2 of 1\n"
				     ". status replicaset default/web  # 3/1 ready\n");
}

static void
the_pod_that_became_ready_last_goes_before_the_others(void **state)
{
	struct kit *k = *state;

	set(k, 1, 0);
	pod(k, "web-a", "app: web", true, "", READY);
	pod(k, "web-b", "app: web", true, "",
	    "phase: Running, conditions: [{type: Ready, status: 'True', lastTransitionTime: "
	    "'2027-01-15T07:30:00Z'}]");
	pass(k);
	assert_string_equal(k->plan.at[0].name, "web-b");
}

static void
an_orphan_that_matches_is_adopted(void **state)
{
	struct kit *k = *state;
	const struct pod *p;

	set(k, 1, 0);
	pod(k, "stray", "app: web", false, "", READY);
	pod(k, "other", "app: db", false, "", READY);
	assert_string_equal(pass(k), "~ update pod default/stray  # adopted by web\n");
	p = kit_find(k, RES_pod, "stray");
	assert_string_equal(object_controller(p)->uid, "rs-1");
	assert_string_equal(pass(k), ". status replicaset default/web  # 1/1 ready\n");
}

static void
a_pod_whose_labels_left_the_selector_is_released_and_replaced(void **state)
{
	struct kit *k = *state;

	set(k, 1, 0);
	pod(k, "web-a", "app: debug", true, "", READY);
	assert_string_equal(pass(k),
			    "~ update pod default/web-a  # released: its labels left the "
			    "selector of web\n");
	assert_null(object_controller(kit_find(k, RES_pod, "web-a")));
	pass(k);
	assert_int_equal(k->plan.at[0].verb, ACT_CREATE);
}

static void
no_more_than_five_hundred_pods_are_made_in_a_pass(void **state)
{
	struct kit *k = *state;

	set(k, 1200, 0);
	pass(k);
	assert_int_equal(k->plan.n, 501);
	assert_int_equal(k->n[RES_pod], 500);
	pass(k);
	pass(k);
	assert_int_equal(k->n[RES_pod], 1200);
	pass(k); /* says so in its status */
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

static void
no_more_pods_are_made_than_the_host_takes_and_a_few_that_wait(void **state)
{
	struct kit *k = *state;

	k->host.pods = 20;
	set(k, 1000000, 0);
	for (int i = 0; i < 4; i++)
		pass(k);
	assert_int_equal(k->n[RES_pod], 30);
	assert_int_equal(k->plan.n, 0);
}

static void
finished_pods_take_no_room_from_others(void **state)
{
	struct kit *k = *state;
	char name[16];

	k->host.pods = 20;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "job-%d", i);
		pod(k, name, "app: job", false, "", "phase: Succeeded");
	}
	set(k, 3, 0);
	pod(k, "web-1", "app: web", true, "", READY);
	pass(k);
	assert_int_equal(k->n[RES_pod], 43);
}

static void
pods_that_were_turned_away_take_room(void **state)
{
	struct kit *k = *state;
	char name[16];

	k->host.pods = 20;
	set(k, 1000000, 0);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof name, "web-%d", i);
		pod(k, name, "app: web", true, "", "phase: Failed, reason: SysctlForbidden");
		kit_pod_new(k, name)->seen.state = "failed";
	}
	pass(k);
	assert_int_equal(k->n[RES_pod], 30);
}

static void
one_snapshot_always_gives_the_same_names(void **state)
{
	struct kit *k = *state;
	char *first;

	set(k, 5, 0);
	first = xstrdup(kit_try(k, replicaset_reconcile, RES_replica_set, "web"));
	k->seed--;
	assert_string_equal(kit_try(k, replicaset_reconcile, RES_replica_set, "web"), first);
	free(first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(missing_pods_are_created_from_the_template),
		T(a_settled_set_is_left_alone),
		T(the_status_counts_ready_available_and_fully_labelled),
		T(a_ready_pod_is_available_only_after_min_ready_seconds),
		T(a_pod_that_is_ready_since_a_time_to_come_is_available),
		T(finished_and_leaving_pods_are_replaced),
		T(what_a_namespace_audits_stands_in_the_line),
		T(a_pod_that_was_turned_away_keeps_its_place_until_it_may_be_let_in),
		T(a_pod_that_was_turned_away_goes_when_it_is_not_wanted),
		T(victims_are_chosen_in_kubernetes_order),
		T(the_pod_that_became_ready_last_goes_before_the_others),
		T(an_orphan_that_matches_is_adopted),
		T(a_pod_whose_labels_left_the_selector_is_released_and_replaced),
		T(no_more_than_five_hundred_pods_are_made_in_a_pass),
		T(no_more_pods_are_made_than_the_host_takes_and_a_few_that_wait),
		T(finished_pods_take_no_room_from_others),
		T(pods_that_were_turned_away_take_room),
		T(one_snapshot_always_gives_the_same_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

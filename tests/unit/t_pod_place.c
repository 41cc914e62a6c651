/* t_pod_place.c -- which node and address a pod gets, and why it gets none. */
#include "pod_kit.h"

static void
a_pod_gets_node_and_address_before_anything_starts(void **state)
{
	struct kit *k = *state;

	pod(k, "web", "", "");
	assert_string_equal(pass(k), "~ update pod default/web  # placed on node, 10.42.0.2\n"
				     "! event pod default/web  # Scheduled: Successfully "
				     "assigned default/web to node\n");
	assert_string_equal(web(k)->spec->nodeName, "node");
	assert_string_equal(web(k)->status->podIP, "10.42.0.2");
	assert_string_equal(web(k)->status->podIPs.at[0].ip, "10.42.0.2");
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_string_equal(web(k)->status->qosClass, "BestEffort");
	assert_string_equal(condition(k, "PodScheduled")->status, "True");
	assert_string_equal(pass(k), ". status pod default/web  # Pending\n"
				     "+ start pod default/web  # web:1\n");
	assert_string_equal(container(k)->state->waiting->reason, "ContainerCreating");
	assert_string_equal(pass(k), "");
}

/* Its brain sent the order, and ended before it had kept the address. */
static void
one_that_runs_at_an_address_that_nobody_kept_begins_again(void **state)
{
	struct kit *k = *state;
	struct kit_pod *up;
	struct pod *pod_;

	pod(k, "web", "", "");
	pass(k);
	pass(k);
	up = kit_up(k, "web");
	pod_ = kit_find(k, RES_pod, "web");
	pod_->status->podIP = NULL;
	pod_->status->podIPs.n = 0;
	assert_string_equal(pass(k), "- stop pod default/web 0 -> 30  # nobody knows its "
				     "address\n");
	up->seen.state = "stopping";
	assert_string_equal(pass(k), "");
	up->seen.state = "gone";
	assert_non_null(strstr(pass(k), "placed on node"));
	assert_non_null(strstr(pass(k), "+ start pod default/web"));
}

/* Nobody scheduled it: so does Kubernetes. */
static void
a_pod_that_names_its_node_is_not_told_as_scheduled(void **state)
{
	struct kit *k = *state;

	pod(k, "web", ", nodeName: node", "");
	assert_string_equal(pass(k), "~ update pod default/web  # placed on node, 10.42.0.2\n");
	assert_string_equal(condition(k, "PodScheduled")->status, "True");
}

static void
addresses_go_round_and_are_never_in_two_hands(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	k->settings.pods.net = 0x0a2a0100;
	k->settings.pods.bits = 29; /* .2 to .6 */
	pod(k, "a", "", "");
	pod(k, "b", "", "");
	s = kit_snapshot(k);
	pod_reconcile(s, kit_find(k, RES_pod, "a"), &k->plan);
	pod_reconcile(s, kit_find(k, RES_pod, "b"), &k->plan);
	assert_string_equal(kit_text(k),
			    "~ update pod default/a  # placed on node, 10.42.1.2\n"
			    "! event pod default/a  # Scheduled: Successfully assigned "
			    "default/a to node\n"
			    "~ update pod default/b  # placed on node, 10.42.1.3\n"
			    "! event pod default/b  # Scheduled: Successfully assigned "
			    "default/b to node\n");
	kit_carry_all(k);
	kit_drop(k, RES_pod, "default", "a"); /* .2 is free, but it rests */
	k->now += 1000;
	pod(k, "c", "", "");
	assert_string_equal(kit_do(k, pod_reconcile, RES_pod, "c"),
			    "~ update pod default/c  # placed on node, 10.42.1.4\n"
			    "! event pod default/c  # Scheduled: Successfully assigned "
			    "default/c to node\n");
	kit_pod_new(k, "a-stranger")->seen.ip = "10.42.1.5"; /* on the host, in no object */
	pod(k, "d", "", "");
	assert_non_null(strstr(kit_do(k, pod_reconcile, RES_pod, "d"), "10.42.1.6"));
	k->now += 1000;
	pod(k, "e", "", "");
	assert_non_null(strstr(kit_do(k, pod_reconcile, RES_pod, "e"), "10.42.1.2"));
	pod(k, "f", "", "");
	assert_non_null(strstr(kit_do(k, pod_reconcile, RES_pod, "f"),
			       "no free address is left in the pod range"));
}

/* Its pod may be gone: what the store knows is not all that was given out. */
static void
the_address_of_a_pod_that_is_gone_rests_too(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	pod(k, "a", "", "");
	s = kit_snapshot(k);
	s->last_ip = "10.42.0.7";
	pod_reconcile(s, kit_find(k, RES_pod, "a"), &k->plan);
	assert_non_null(strstr(kit_text(k), "placed on node, 10.42.0.8"));
	s = kit_snapshot(k);
	s->last_ip = "192.0.2.1"; /* of a range that is none of ours any more */
	pod_reconcile(s, kit_find(k, RES_pod, "a"), &k->plan);
	assert_non_null(strstr(kit_text(k), "placed on node, 10.42.0.2"));
}

static void
a_node_selector_that_nothing_matches_leaves_it_unschedulable(void **state)
{
	struct kit *k = *state;

	pod(k, "web", ", nodeSelector: {disk: ssd}", "");
	pass(k);
	assert_string_equal(k->plan.at[0].why,
			    "0/1 nodes are available: 1 node(s) didn't match "
			    "Pod's node affinity/selector.");
	assert_int_equal(k->plan.at[1].verb, ACT_EVENT);
	assert_string_equal(condition(k, "PodScheduled")->status, "False");
	assert_string_equal(condition(k, "PodScheduled")->reason, "Unschedulable");
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

static void
required_node_affinity_is_required(void **state)
{
#define MUST(terms)                                                                    \
	", affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: " \
	"{nodeSelectorTerms: [" terms "]}}}"
#define NAME "key: kubernetes.io/hostname, "
	static const struct {
		const char *spec;
		bool fits;
	} rows[] = {
		{ MUST("{matchExpressions: [{" NAME "operator: In, values: [a, node]}]}"),
		  true },
		{ MUST("{matchExpressions: [{" NAME "operator: In, values: [a]}]}"), false },
		{ MUST("{matchExpressions: [{" NAME "operator: NotIn, values: [node]}]}"),
		  false },
		{ MUST("{matchExpressions: [{key: disk, operator: NotIn, values: [ssd]}]}"),
		  true },
		{ MUST("{matchExpressions: [{key: disk, operator: Exists}]}"), false },
		{ MUST("{matchExpressions: [{key: disk, operator: DoesNotExist}]}"), true },
		/* a name is no number, and so neither more nor less than one */
		{ MUST("{matchExpressions: [{" NAME "operator: Lt, values: ['5']}]}"), false },
		{ MUST("{matchExpressions: [{" NAME "operator: Gt, values: ['-5']}]}"), false },
		{ MUST("{matchFields: [{key: metadata.name, operator: In, values: [node]}]}"),
		  true },
		{ MUST("{matchFields: [{key: metadata.name, operator: In, values: [b]}]}"),
		  false },
		/* all of a term, one of the terms; a term without anything is none */
		{ MUST("{matchExpressions: [{" NAME "operator: Exists}, {key: disk, operator: "
		       "Exists}]}"),
		  false },
		{ MUST("{matchExpressions: [{key: disk, operator: Exists}]}, "
		       "{matchExpressions: [{" NAME "operator: Exists}]}"),
		  true },
		{ MUST("{}"), false },
		{ MUST("{matchExpressions: [{" NAME "operator: Exists}]}") ", nodeSelector: "
									   "{disk: ssd}",
		  false },
		{ ", affinity: {nodeAffinity: "
		  "{preferredDuringSchedulingIgnoredDuringExecution: "
		  "[{weight: 1, preference: {matchExpressions: [{key: disk, operator: "
		  "Exists}]}}]}}",
		  true },
	};
	struct kit *k = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		pod(k, "web", rows[i].spec, "");
		pass(k);
		if (!strcmp(condition(k, "PodScheduled")->status, "True") != rows[i].fits)
			fail_msg("%s", rows[i].spec);
		if (!rows[i].fits)
			assert_string_equal(condition(k, "PodScheduled")->message,
					    "0/1 nodes are available: 1 node(s) didn't match "
					    "Pod's node affinity/selector.");
		kit_drop(k, RES_pod, "default", "web");
	}
}

static void
a_pod_behind_a_gate_is_not_placed(void **state)
{
	struct kit *k = *state;
	struct pod *p;

	pod(k, "web", ", schedulingGates: [{name: example.com/one}, {name: example.com/two}]",
	    "");
	pass(k);
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_string_equal(condition(k, "PodScheduled")->status, "False");
	assert_string_equal(condition(k, "PodScheduled")->reason, "SchedulingGated");
	assert_string_equal(condition(k, "PodScheduled")->message,
			    "Scheduling is blocked due to non-empty scheduling gates");
	assert_int_equal(k->plan.n, 1); /* nothing is told */
	assert_string_equal(pass(k), "");
	p = object_clone(web(k), &k->arena);
	p->spec->schedulingGates.n = 0;
	kit_update(k, p);
	assert_non_null(strstr(pass(k), "placed on node"));
	assert_string_equal(condition(k, "PodScheduled")->status, "True");
	assert_null(condition(k, "PodScheduled")->reason);
}

static void
another_scheduler_s_pod_is_left_to_it(void **state)
{
	struct kit *k = *state;
	struct pod *p;

	pod(k, "web", ", schedulerName: mine", "");
	pass(k);
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_null(condition(k, "PodScheduled"));
	assert_string_equal(pass(k), "");
	p = object_clone(web(k), &k->arena);
	p->spec->nodeName = "node"; /* bound */
	kit_update(k, p);
	assert_non_null(strstr(pass(k), "placed on node"));
}

/* Of two pods with such containers the node has room for one. */
static void
only_one_fits(struct kit *k, const char *first, const char *second, const char *insufficient)
{
	pod(k, "big", "", first);
	kit_do(k, pod_reconcile, RES_pod, "big");
	pod(k, "web", "", second);
	pass(k);
	assert_string_equal(condition(k, "PodScheduled")->message, insufficient);
	kit_drop(k, RES_pod, "default", "big");
	assert_non_null(strstr(pass(k), "placed on node"));
}

static void
requests_beyond_the_node_leave_it_unschedulable(void **state)
{
	only_one_fits(*state, ", resources: {requests: {memory: 3Gi, cpu: '1'}}",
		      ", resources: {requests: {memory: 2Gi, cpu: '1'}}",
		      "0/1 nodes are available: 1 Insufficient memory.");
}

static void
all_that_the_node_is_short_of_is_named(void **state)
{
	struct kit *k = *state;

	pod(k, "web", "",
	    ", resources: {requests: {cpu: 100, memory: 200Gi, ephemeral-storage: 1Mi}}");
	pass(k);
	assert_string_equal(
	    condition(k, "PodScheduled")->message,
	    "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.");
}

/* A limit without a request is one. */
static void
local_storage_that_is_asked_for_has_to_be_there(void **state)
{
	only_one_fits(*state, ", resources: {requests: {ephemeral-storage: 6Gi}}",
		      ", resources: {limits: {ephemeral-storage: 5Gi}}",
		      "0/1 nodes are available: 1 Insufficient ephemeral-storage.");
}

static void
a_taint_needs_a_toleration(void **state)
{
	struct kit *k = *state;

	kit_drop(k, RES_node, "", "node");
	kit_read(k, "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n"
		    "spec: {taints: [{key: gpu, value: 'yes', effect: NoSchedule}]}\n");
	pod(k, "web", "", "");
	pass(k);
	assert_string_equal(
	    condition(k, "PodScheduled")->message,
	    "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.");
	pod(k, "other", ", tolerations: [{key: gpu, operator: Exists}]", "");
	assert_non_null(strstr(kit_do(k, pod_reconcile, RES_pod, "other"), "placed on node"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pod_gets_node_and_address_before_anything_starts),
		T(one_that_runs_at_an_address_that_nobody_kept_begins_again),
		T(a_pod_that_names_its_node_is_not_told_as_scheduled),
		T(addresses_go_round_and_are_never_in_two_hands),
		T(the_address_of_a_pod_that_is_gone_rests_too),
		T(a_node_selector_that_nothing_matches_leaves_it_unschedulable),
		T(required_node_affinity_is_required),
		T(a_pod_behind_a_gate_is_not_placed),
		T(another_scheduler_s_pod_is_left_to_it),
		T(requests_beyond_the_node_leave_it_unschedulable),
		T(all_that_the_node_is_short_of_is_named),
		T(local_storage_that_is_asked_for_has_to_be_there),
		T(a_taint_needs_a_toleration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_pod_resize.c -- resources that change while a pod runs, where the node has not enough of
 * them; what is said of a pod that took more of the disk than it may, and of how it runs. */
#include "../../reconcile/pod_resources.h"
#include "pod_kit.h"

/* "web" runs, and is held to what it asked for. */
static struct kit_pod *
runs(struct kit *k)
{
	const struct container_args *c;
	struct kit_pod *p;

	c = &pod_started(
		 k, "",
		 ", resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi}}")
		 ->containers.at[0];
	p = kit_up(k, "web");
	p->at[0].sized = true;
	p->at[0].cpuMilli = c->cpuMilli;
	p->at[0].cpuShares = c->cpuShares;
	p->at[0].memory = c->memory;
	p->at[0].memoryMin = c->memoryMin;
	pass(k);
	assert_string_equal(pass(k), "");
	return p;
}

static void
asks_for(struct kit *k, const char *resource, const char *amount)
{
	struct pod *p = object_clone(web(k), &k->arena);

	pairs_set(&p->spec->containers.at[0].resources->requests, resource, amount, &k->arena);
	kit_update(k, p);
}

static void
what_the_node_never_has_is_infeasible(void **state)
{
	struct kit *k = *state;

	runs(k);
	asks_for(k, "cpu", "2500m");
	assert_null(strstr(pass(k), "resize"));
	assert_string_equal(condition(k, "PodResizePending")->status, "True");
	assert_string_equal(condition(k, "PodResizePending")->reason, "Infeasible");
	assert_string_equal(
	    condition(k, "PodResizePending")->message,
	    "Node didn't have enough capacity: cpu, requested: 2500, capacity: 2000");
	assert_null(condition(k, "PodResizeInProgress"));
	assert_string_equal(pairs_get(&container(k)->allocatedResources, "cpu"), "500m");
	assert_string_equal(pairs_get(&container(k)->resources->requests, "cpu"), "500m");
	assert_string_equal(pass(k), "");
	/* taken back */
	asks_for(k, "cpu", "500m");
	pass(k);
	assert_null(condition(k, "PodResizePending"));
	assert_string_equal(pass(k), "");
}

static void
what_others_have_is_waited_for(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = runs(k);
	int64_t since = k->now + 1000;
	const struct resize_args *args;

	pod(k, "other", ", nodeName: node",
	    ", resources: {requests: {cpu: 100m, memory: 2Gi}}");
	k->now = since;
	asks_for(k, "memory", "2Gi"); /* of 4Gi; its limit is as much */
	asks_for(k, "cpu", "600m");
	pass(k);
	assert_true(strstr(kit_text(k), "resize") != NULL); /* there is room for both */
	p->at[0].cpuShares = 600 * 1024 / 1000;
	p->at[0].memoryMin = INT64_C(2) << 30;
	pass(k);
	pod(k, "third", ", nodeName: node", ", resources: {requests: {cpu: 1}}");
	asks_for(k, "cpu", "1");
	k->now += 1000;
	since = k->now;
	assert_null(strstr(pass(k), "resize"));
	assert_string_equal(condition(k, "PodResizePending")->reason, "Deferred");
	assert_string_equal(condition(k, "PodResizePending")->message,
			    "Node didn't have enough resource: cpu, requested: 1000, used: "
			    "1100, capacity: 2000");
	k->now += 60000;
	assert_string_equal(pass(k), "");
	assert_int_equal(condition(k, "PodResizePending")->lastTransitionTime, since);
	kit_drop(k, RES_pod, "default", "third");
	assert_non_null(
	    strstr(pass(k), "~ resize pod default/web  # web: its resources changed"));
	args = kit_body(k, ACT_RESIZE);
	assert_int_equal(args->cpuShares, 1024);
	pass(k);
	assert_null(condition(k, "PodResizePending"));
	assert_string_equal(condition(k, "PodResizeInProgress")->status, "True");
	p->at[0].cpuShares = 1024;
	pass(k);
	assert_null(condition(k, "PodResizeInProgress"));
	assert_string_equal(pairs_get(&container(k)->allocatedResources, "cpu"), "1");
	assert_string_equal(pass(k), "");
}

static void
a_resize_is_ordered_once_until_the_host_tells_of_it_or_is_late(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = runs(k);

	asks_for(k, "cpu", "600m");
	assert_non_null(strstr(pass(k), "~ resize pod default/web"));
	p->at[0].resizeAgain = k->now + 5000; /* the brain: it was sent */
	pass(k);
	assert_null(strstr(kit_text(k), "resize"));
	assert_string_equal(condition(k, "PodResizeInProgress")->status, "True");
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, k->now + 5000);
	k->now += 5000;
	assert_non_null(strstr(pass(k), "~ resize pod default/web"));
	p->at[0].resizeAgain = k->now + INT64_C(3600) * 1000; /* of a clock that was put back */
	assert_non_null(strstr(pass(k), "~ resize pod default/web"));
	p->at[0].cpuShares = 600 * 1024 / 1000;
	pass(k);
	assert_null(condition(k, "PodResizeInProgress"));
	assert_string_equal(pass(k), "");
}

/* What the host tells, but that a signal keeps the name that the pod has for it. */
static void
as_whom_it_runs_and_what_ends_it_is_told(void **state)
{
	int64_t groups[] = { 7, 4000 };
	struct user_seen user = { .uid = 1000, .gid = 0, .groups = { groups, 2 } };
	struct kit *k = *state;
	struct kit_pod *p = runs(k);

	assert_null(container(k)->user);
	p->at[0].user = &user;
	p->at[0].stopSignal = "SIGPOLL";
	pass(k);
	assert_int_equal(container(k)->user->linux->uid, 1000);
	assert_int_equal(container(k)->user->linux->gid, 0);
	assert_int_equal(container(k)->user->linux->supplementalGroups.n, 2);
	assert_int_equal(container(k)->user->linux->supplementalGroups.at[1], 4000);
	assert_string_equal(container(k)->stopSignal, "SIGPOLL");
	assert_string_equal(pass(k), "");
	kit_drop(k, RES_pod, "default", "web");
	pod_started(k, ", os: {name: linux}", ", lifecycle: {stopSignal: SIGIO}");
	kit_up(k, "web")->at[0].stopSignal = "SIGPOLL";
	pass(k);
	assert_string_equal(container(k)->stopSignal, "SIGIO");
}

static void
what_took_too_much_of_the_disk_is_said_as_the_kubelet_does(void **state)
{
	static const char *const rows[][2] = {
		{ "volume cache",
		  "Usage of EmptyDir volume \"cache\" exceeds the limit \"5Mi\". " },
		{ "container web",
		  "Container web exceeded its local ephemeral storage limit \"1Gi\". " },
		{ "pod",
		  "Pod ephemeral local storage usage exceeds the total limit of containers "
		  "1Gi. " },
	};
	struct kit *k = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kit_pod *p;

		pod(k, "web", ", volumes: [{name: cache, emptyDir: {sizeLimit: 5Mi}}]",
		    ", resources: {limits: {ephemeral-storage: 1Gi}}");
		pass(k);
		pass(k);
		p = kit_up(k, "web");
		pass(k);
		p->seen.over = rows[i][0];
		assert_non_null(strstr(pass(k), "! event pod default/web  # Evicted"));
		assert_string_equal(web(k)->status->phase, "Failed");
		assert_string_equal(web(k)->status->reason, "Evicted");
		assert_string_equal(web(k)->status->message, rows[i][1]);
		kit_drop(k, RES_pod, "default", "web");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_the_node_never_has_is_infeasible),
		T(what_others_have_is_waited_for),
		T(a_resize_is_ordered_once_until_the_host_tells_of_it_or_is_late),
		T(as_whom_it_runs_and_what_ends_it_is_told),
		T(what_took_too_much_of_the_disk_is_said_as_the_kubelet_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

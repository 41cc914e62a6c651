/* t_pod_init.c -- init containers and sidecars: what the host is asked, what the pod shows. */
#include "pod.h"
#include "pod_kit.h"

static const struct container_status *
init(struct kit *k, size_t i)
{
	return &web(k)->status->initContainerStatuses.at[i];
}

/* Placed, and its start ordered; what the host sees of a, b and web is the caller's. */
static struct kit_pod *
started(struct kit *k, const char *policy, const char *more_of_a)
{
	static const char *const names[] = { "a", "b", "web" };
	struct kit_pod *p;
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
		  "spec: {restartPolicy: %s, initContainers: [{name: a, image: i%s}, "
		  "{name: b, image: i}], containers: [{name: web, image: i}]}\n",
		  policy, more_of_a);
	kit_read(k, text);
	free(text);
	pass(k);
	pass(k);
	p = kit_pod_new(k, object_uid(web(k)));
	p->seen.ns = "default";
	p->seen.name = "web";
	p->seen.state = "up";
	p->seen.containers.at = p->at;
	p->seen.containers.n = 3;
	for (size_t i = 0; i < 3; i++)
		p->at[i] = (struct container_seen){ .name = names[i], .state = "waiting" };
	return p;
}

static void
runs(struct kit *k, struct kit_pod *p, size_t i)
{
	p->at[i].state = "running";
	p->at[i].reason = NULL;
	p->at[i].startedAt = k->now;
}

static void
ends(struct kit *k, struct kit_pod *p, size_t i, int code)
{
	p->at[i].state = "terminated";
	p->at[i].reason = code ? "Error" : "Completed";
	p->at[i].exitCode = code;
	p->at[i].finishedAt = k->now;
}

static void
the_order_names_roles_and_policies(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *args;

	started(k, "Always", ", restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}");
	args = kit_body(k, ACT_START);
	assert_int_equal(args->containers.n, 3);
	assert_string_equal(args->containers.at[0].name, "a");
	assert_string_equal(args->containers.at[0].role, "sidecar");
	assert_string_equal(args->containers.at[0].restart, "Always");
	assert_true(args->containers.at[0].startupProbe);
	assert_string_equal(args->containers.at[1].role, "init");
	assert_string_equal(args->containers.at[1].restart, "OnFailure");
	assert_string_equal(args->containers.at[2].role, "main");
	assert_string_equal(args->containers.at[2].restart, "Always");
}

static void
what_waits_for_an_init_container_says_PodInitializing(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(k, "Always", "");

	runs(k, p, 0);
	p->at[1].reason = p->at[2].reason = "ErrImagePull";
	assert_string_equal(pass(k), ". status pod default/web  # init 0/2\n");
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_string_equal(init(k, 1)->state->waiting->reason, "PodInitializing");
	assert_string_equal(web(k)->status->containerStatuses.at[0].state->waiting->reason,
			    "PodInitializing");
	assert_string_equal(condition(k, "Initialized")->status, "False");
	assert_string_equal(condition(k, "Initialized")->reason, "ContainersNotInitialized");
	assert_string_equal(condition(k, "Initialized")->message,
			    "containers with incomplete status: [a b]");
	ends(k, p, 0, 0);
	pass(k);
	assert_true(init(k, 0)->ready);
	assert_string_equal(init(k, 1)->state->waiting->reason, "ErrImagePull");
	runs(k, p, 1);
	ends(k, p, 1, 0);
	p->at[2].reason = NULL;
	pass(k);
	assert_string_equal(condition(k, "Initialized")->status, "True");
	runs(k, p, 2);
	pass(k);
	assert_string_equal(web(k)->status->phase, "Running");
	assert_string_equal(condition(k, "Ready")->status, "True");
	assert_string_equal(pass(k), "");
}

static void
a_failed_init_container_fails_the_pod_only_under_Never(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(k, "Never", "");

	runs(k, p, 0);
	ends(k, p, 0, 1);
	pass(k);
	assert_string_equal(web(k)->status->phase, "Failed");
	assert_string_equal(condition(k, "Initialized")->status, "False");
}

static void
one_that_is_tried_again_leaves_the_pod_pending(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(k, "OnFailure", "");

	p->at[0] = crashed(k, "a", 1, 0);
	assert_string_equal(pass(k), ". status pod default/web  # a: CrashLoopBackOff\n");
	assert_string_equal(web(k)->status->phase, "Pending");
}

static void
a_sidecar_lets_through_once_its_startup_probe_passed(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(
	    k, "Always", ", restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}");

	runs(k, p, 0);
	pass(k);
	assert_false(init(k, 0)->started);
	k->probes[0] =
	    (struct probe_seen){ object_uid(web(k)), "a", k->now, true, true, false, "" };
	k->nprobes = 1;
	assert_string_equal(pass(k), ". started pod default/web  # a passed startup probe\n"
				     ". status pod default/web  # init 1/2\n");
	p->at[0].started = true;
	assert_string_equal(pass(k), "");
}

static void
a_job_with_a_sidecar_is_over_when_the_sidecar_is(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(k, "Never", ", restartPolicy: Always");

	runs(k, p, 0);
	ends(k, p, 1, 0);
	runs(k, p, 2);
	pass(k);
	ends(k, p, 2, 0);
	pass(k);
	assert_string_equal(web(k)->status->phase, "Running");
	ends(k, p, 0, 143);
	pass(k);
	assert_string_equal(web(k)->status->phase, "Succeeded");
}

static void
a_sandbox_made_again_begins_with_its_init_containers(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = started(k, "Always", "");
	const struct sandbox_args *args;

	ends(k, p, 0, 0);
	ends(k, p, 1, 0);
	runs(k, p, 2);
	pass(k);
	p->seen.state = "gone";
	p->seen.containers.n = 0;
	pass(k);
	args = kit_body(k, ACT_START);
	assert_int_equal(args->containers.n, 3);
	assert_string_equal(init(k, 0)->state->waiting->reason, "PodInitializing");
	assert_string_equal(init(k, 0)->lastState->terminated->reason, "Completed");
}

/* What it sets is the host's: within a user namespace nothing of it could be set. */
static void
a_privileged_init_container_has_the_hosts_users(void **state)
{
	static const struct {
		const char *more;
		bool host;
	} rows[] = {
		{ "", false },
		{ ", securityContext: {privileged: true}", true },
		{ ", restartPolicy: Always, securityContext: {privileged: true}", true },
		{ ", securityContext: {privileged: false}", false },
	};
	struct kit *k = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sandbox_args args = { 0 };

		started(k, "Always", rows[i].more);
		pod_rights_shared(web(k), &args, &k->arena);
		assert_int_equal(args.hostUsers, rows[i].host);
		kit_drop(k, RES_pod, "default", "web");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_order_names_roles_and_policies),
		T(what_waits_for_an_init_container_says_PodInitializing),
		T(a_failed_init_container_fails_the_pod_only_under_Never),
		T(one_that_is_tried_again_leaves_the_pod_pending),
		T(a_sidecar_lets_through_once_its_startup_probe_passed),
		T(a_job_with_a_sidecar_is_over_when_the_sidecar_is),
		T(a_privileged_init_container_has_the_hosts_users),
		T(a_sandbox_made_again_begins_with_its_init_containers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

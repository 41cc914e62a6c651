/* t_pod.c -- mutate a pod, what the host says of it or the probes; expect the plan. */
#include "pod_kit.h"
#include "reconcile/workload.h"

/* Placed, started, running, and the store knows it. */
static struct kit_pod *
running(struct kit *k, const char *spec, const char *more)
{
	struct kit_pod *p;

	pod(k, "web", spec, more);
	pass(k);
	pass(k);
	p = kit_up(k, "web");
	pass(k);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	return p;
}

static void delete (struct kit *k)
{
	kit_mark(k, &(struct action){ .ns = "default", .name = "web" });
}

/* ---- what is sent ---- */

static void
the_environment_is_resolved(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\n"
		    "data: {COLOUR: blue, SIZE: big}\n---\n"
		    "apiVersion: v1\nkind: Secret\nmetadata: {name: pass}\n"
		    "data: {word: c2VzYW1l}\n");
	a = pod_started(
	    k, "",
	    ", args: ['$(GREETING)', '$$(GREETING)', '$(NOBODY)'], envFrom: "
	    "[{prefix: C_, configMapRef: {name: conf}}, {secretRef: {name: gone, optional: "
	    "true}}], env: [{name: WHO, value: you}, {name: GREETING, value: 'hello $(WHO)'}, "
	    "{name: PASS, valueFrom: {secretKeyRef: {name: pass, key: word}}}, "
	    "{name: SIZE, valueFrom: {configMapKeyRef: {name: conf, key: SIZE}}}, "
	    "{name: NONE, valueFrom: {configMapKeyRef: {name: conf, key: nope, optional: "
	    "true}}}, "
	    "{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, "
	    "{name: APP, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}, "
	    "{name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: "
	    "1Mi}}}, "
	    "{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}], "
	    "resources: {limits: {memory: 64Mi, cpu: 1500m}}");
	assert_non_null(a);
	assert_string_equal(env_of(a, "C_COLOUR"), "blue");
	assert_string_equal(env_of(a, "GREETING"), "hello you");
	assert_string_equal(env_of(a, "PASS"), "sesame");
	assert_string_equal(env_of(a, "SIZE"), "big");
	assert_null(env_of(a, "NONE"));
	assert_string_equal(env_of(a, "IP"), "10.42.0.2");
	assert_string_equal(env_of(a, "APP"), "web");
	assert_string_equal(env_of(a, "MEM"), "64");
	assert_string_equal(env_of(a, "CPU"), "2");
	assert_string_equal(a->containers.at[0].args.at[0], "hello you");
	assert_string_equal(a->containers.at[0].args.at[1], "$(GREETING)");
	assert_string_equal(a->containers.at[0].args.at[2], "$(NOBODY)");
}

static void
resources_become_shares_limits_and_a_place_in_the_oom_queue(void **state)
{
	struct kit *k = *state;
	const struct container_args *c;
	const struct sandbox_args *a =
	    pod_started(k, ", terminationGracePeriodSeconds: 7",
			", resources: {limits: {cpu: '1', memory: 2Gi}, "
			"requests: {cpu: 250m, memory: 1Gi}}");

	c = &a->containers.at[0];
	assert_int_equal(c->cpuMilli, 1000);
	assert_int_equal(c->cpuShares, 256);
	assert_int_equal(c->memory, INT64_C(2) << 30);
	assert_int_equal(c->oomScoreAdj, 875); /* an eighth of the host's memory */
	assert_string_equal(web(k)->status->qosClass, "Burstable");
	assert_int_equal(a->grace, 7);
	assert_string_equal(a->hostname, "web");
	assert_string_equal(a->hosts.at[a->hosts.n - 1], "10.42.0.2\tweb");
}

static void
guaranteed_pods_are_the_last_to_be_killed(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a =
	    pod_started(k, "", ", resources: {limits: {cpu: '1', memory: 1Gi}}");

	assert_string_equal(web(k)->status->qosClass, "Guaranteed");
	assert_int_equal(a->containers.at[0].oomScoreAdj, -997);
}

static void
config_maps_and_secrets_become_files(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k,
		 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\n"
		 "data: {a.txt: hello, b.txt: bye}\n---\n"
		 "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {key: c2VzYW1l}\n");
	a = pod_started(
	    k,
	    ", volumes: [{name: c, configMap: {name: conf, items: [{key: a.txt, path: "
	    "x, mode: 256}]}}, {name: s, secret: {secretName: s, defaultMode: 384}}, "
	    "{name: t, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]",
	    ", volumeMounts: [{name: c, mountPath: /etc/c, readOnly: true}]");
	assert_int_equal(a->volumes.n, 3);
	assert_int_equal(a->volumes.at[0].files.n, 1);
	assert_string_equal(a->volumes.at[0].files.at[0].path, "x");
	assert_string_equal(a->volumes.at[0].files.at[0].data, "aGVsbG8=");
	assert_int_equal(a->volumes.at[0].files.at[0].mode, 256);
	assert_string_equal(a->volumes.at[1].files.at[0].data, "c2VzYW1l");
	assert_int_equal(a->volumes.at[1].files.at[0].mode, 384);
	assert_string_equal(a->volumes.at[2].type, "memory");
	assert_int_equal(a->volumes.at[2].sizeLimit, 1 << 20);
	assert_string_equal(a->containers.at[0].mounts.at[0].path, "/etc/c");
	assert_true(a->containers.at[0].mounts.at[0].readOnly);
}

/* By the limits of all that runs at once, or of what runs before it. */
static void
a_volume_of_memory_is_no_larger_than_what_its_pod_may_have(void **state)
{
#define LIMIT(size) "resources: {limits: {memory: " size "}}"
	static const struct {
		const char *size, *first, *main;
		int64_t mib;
	} rows[] = {
		{ "", "", LIMIT("8Mi"), 8 },
		{ ", sizeLimit: 4Mi", "", LIMIT("8Mi"), 4 },
		{ ", sizeLimit: 4Mi", "", "", 4 },
		{ "", "{name: i, image: i, " LIMIT("16Mi") "}", LIMIT("8Mi"), 16 },
		{ "", "{name: i, image: i, " LIMIT("2Mi") "}", LIMIT("8Mi"), 8 },
		{ "", "{name: i, image: i}", LIMIT("8Mi"), 0 },
		{ "", "{name: i, image: i, restartPolicy: Always, " LIMIT("2Mi") "}",
		  LIMIT("8Mi"), 10 },
		{ "", "{name: i, image: i, restartPolicy: Always}", LIMIT("8Mi"), 0 },
	};
	struct kit *k = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct sandbox_args *a;
		char *spec, *main;

		xasprintf(&spec,
			  ", initContainers: [%s], volumes: [{name: m, emptyDir: {medium: "
			  "Memory%s}}]",
			  rows[i].first, rows[i].size);
		xasprintf(&main, ", %s", rows[i].main);
		a = pod_started(k, spec, *rows[i].main ? main : "");
		assert_int_equal(a->volumes.at[0].sizeLimit, rows[i].mib << 20);
		kit_drop(k, RES_pod, "default", "web");
		free(spec);
		free(main);
	}
}

static void
a_changed_config_map_is_sent_once(void **state)
{
	struct kit *k = *state;
	struct config_map *cm;

	kit_read(k,
		 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: '1'}\n");
	running(k, ", volumes: [{name: c, configMap: {name: conf}}]", "");
	cm = object_clone(kit_find(k, RES_config_map, "conf"), &k->arena);
	cm->data.at[0].value = "2";
	kit_update(k, cm);
	assert_string_equal(pass(k),
			    "~ files pod default/web  # what its files are made of changed\n"
			    ". status pod default/web  # 1/1 ready\n");
	assert_string_equal(((const struct sandbox_args *)kit_body(k, ACT_FILES))
				->volumes.at[0]
				.files.at[0]
				.data,
			    "Mg==");
	assert_string_equal(pass(k), "");
	kit_drop(k, RES_config_map, "default", "conf"); /* what it has, it keeps */
	assert_string_equal(pass(k), "");
}

/* ---- status ---- */

static void
a_running_pod_is_ready_and_stays_as_it_is(void **state)
{
	struct kit *k = *state;

	running(k, "", "");
	assert_string_equal(web(k)->status->phase, "Running");
	assert_string_equal(condition(k, "Ready")->status, "True");
	assert_string_equal(condition(k, "ContainersReady")->status, "True");
	assert_string_equal(condition(k, "PodReadyToStartContainers")->status, "True");
	assert_string_equal(web(k)->status->hostIP, "192.0.2.1");
	assert_true(container(k)->ready && container(k)->started);
	assert_int_equal(container(k)->state->running->startedAt, k->now);
	assert_string_equal(container(k)->imageID, "sha256:1");
	k->now += 3600 * 1000;
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, 0);
}

static void
probes_decide_over_ready_and_started(void **state)
{
	struct kit *k = *state;
	const char *uid;

	running(
	    k, "",
	    ", startupProbe: {exec: {command: [a]}}, readinessProbe: {exec: {command: [b]}}");
	uid = object_uid(web(k));
	assert_false(container(k)->started);
	assert_string_equal(condition(k, "Ready")->message,
			    "containers with unready status: [web]");
	k->probes[0] = (struct probe_seen){ uid, "web", k->now - 5, true, true, false, "" };
	k->nprobes = 1;
	assert_string_equal(pass(k), ""); /* the verdict on an earlier run */
	k->probes[0].startedAt = k->now;
	k->probes[0].ready = false;
	pass(k);
	assert_true(container(k)->started && !container(k)->ready);
	k->probes[0].ready = true;
	k->now += 5000;
	assert_string_equal(pass(k), ". status pod default/web  # 1/1 ready\n");
	assert_int_equal(condition(k, "Ready")->lastTransitionTime, k->now);
	k->probes[0].ready = false;
	pass(k);
	assert_string_equal(condition(k, "Ready")->reason, "ContainersNotReady");
}

static void
a_failed_liveness_probe_restarts_its_container(void **state)
{
	struct kit *k = *state;
	const struct restart_args *args;

	running(k, ", terminationGracePeriodSeconds: 3",
		", livenessProbe: {exec: {command: [a]}}");
	k->probes[0] = (struct probe_seen){ object_uid(web(k)),
					    "web",
					    k->now,
					    true,
					    true,
					    true,
					    "Liveness probe failed: exit 1" };
	k->nprobes = 1;
	assert_string_equal(
	    pass(k),
	    "~ restart pod default/web  # web failed liveness probe, will be restarted\n");
	args = kit_body(k, ACT_RESTART);
	assert_string_equal(args->container, "web");
	assert_int_equal(args->grace, 3);
}

static void
what_is_not_restarted_is_not_said_to_be(void **state)
{
	struct kit *k = *state;

	running(k, ", restartPolicy: Never", ", livenessProbe: {exec: {command: [a]}}");
	k->probes[0] = (struct probe_seen){ object_uid(web(k)),
					    "web",
					    k->now,
					    true,
					    true,
					    true,
					    "Liveness probe failed: exit 1" };
	k->nprobes = 1;
	assert_string_equal(pass(k),
			    "~ restart pod default/web  # web failed liveness probe\n");
}

static void
a_crash_shows_state_last_state_and_count(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");

	p->at[0] = crashed(k, "web", 3, 9);
	assert_string_equal(pass(k), ". status pod default/web  # web: CrashLoopBackOff\n");
	assert_string_equal(web(k)->status->phase, "Running");
	assert_int_equal(container(k)->restartCount, 1);
	assert_int_equal(container(k)->lastState->terminated->exitCode, 3);
	assert_string_equal(condition(k, "Ready")->status, "False");
}

static void
a_job_like_pod_ends_and_leaves_the_host_but_not_the_store(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, ", restartPolicy: Never", "");

	p->at[0].state = "terminated";
	p->at[0].reason = "Completed";
	p->at[0].finishedAt = k->now + 5;
	assert_string_equal(pass(k), ". status pod default/web  # Succeeded\n");
	assert_string_equal(condition(k, "Ready")->reason, "PodCompleted");
	assert_string_equal(pass(k), "- stop pod default/web  # Succeeded\n");
	pass(k);
	p->seen.state = "gone";
	assert_string_equal(pass(k), "");
	kit_pod_drop(k, object_uid(web(k)));
	assert_string_equal(pass(k), "");
	assert_string_equal(container(k)->state->terminated->reason, "Completed");
}

static void
a_failure_counts_as_failed_only_where_nothing_restarts_it(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, ", restartPolicy: Never", "");

	p->at[0].state = "terminated";
	p->at[0].reason = "Error";
	p->at[0].exitCode = 1;
	pass(k);
	assert_string_equal(web(k)->status->phase, "Failed");
}

static void
one_that_is_unheard_is_as_it_was_last_known(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, ", restartPolicy: Never", "");
	struct container_state_running *was;

	pass(k);
	was = container(k)->state->running;
	assert_true(condition(k, "Ready")->status[0] == 'T');
	p->at[0].state = "waiting";
	p->at[0].startedAt = 0;
	p->seen.state = "unheard";
	assert_string_equal(pass(k), "");
	assert_ptr_equal(container(k)->state->running, was);
	assert_string_equal(web(k)->status->phase, "Running");
}

static void
a_lost_sandbox_is_made_again_and_the_count_goes_on(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");

	p->at[0].restartCount = 4;
	p->at[0].startedAt = k->now;
	pass(k);
	assert_int_equal(container(k)->restartCount, 4);
	k->now += 60 * 1000;
	p->seen.state = "gone";
	assert_string_equal(pass(k), ". status pod default/web  # 0/1 ready\n"
				     "+ start pod default/web  # its sandbox is gone\n");
	assert_string_equal(container(k)->lastState->terminated->reason,
			    "ContainerStatusUnknown");
	assert_int_equal(container(k)->lastState->terminated->exitCode, 137);
	kit_up(k, "web"); /* a new kedge-init counts from 0 */
	pass(k);
	assert_int_equal(container(k)->restartCount, 5);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	k->now += 60 * 1000;
	p = kit_up(k, "web");
	p->at[0].restartCount = 1;
	pass(k);
	assert_int_equal(container(k)->restartCount, 6);
}

/* Which is none of its state's as long as its hook goes on. */
static void
a_run_with_a_hook_is_counted_once(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");
	int64_t first = p->at[0].startedAt;

	k->now += 60 * 1000;
	p->at[0].restartCount = 1;
	p->at[0].startedAt = k->now;
	p->at[0].lastStartedAt = first;
	p->at[0].lastFinishedAt = k->now - 1000;
	p->at[0].lastReason = "Error";
	p->at[0].hook = "postStart";
	pass(k);
	assert_non_null(container(k)->state->waiting);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	p->at[0].hook = NULL;
	p->at[0].hooksFailed = 2;
	pass(k);
	assert_string_equal(container(k)->state->waiting->reason, "PostStartHookError");
	p->at[0].state = "waiting";
	p->at[0].lastStartedAt = p->at[0].startedAt;
	p->at[0].lastFinishedAt = k->now;
	p->at[0].startedAt = p->at[0].hooksFailed = 0;
	pass(k);
	assert_int_equal(container(k)->restartCount, 1);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	p->at[0].state = "running";
	p->at[0].startedAt = k->now + 1000;
	p->at[0].restartCount = 2;
	p->at[0].hook = "postStart";
	pass(k);
	p->at[0].hook = NULL;
	pass(k);
	assert_int_equal(container(k)->restartCount, 2);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	/* a new kedge-init, which counts from 0 */
	p->at[0].restartCount = 0;
	p->at[0].startedAt = k->now + 5000;
	p->at[0].lastStartedAt = p->at[0].lastFinishedAt = p->at[0].hooksFailed = 0;
	p->at[0].lastReason = NULL;
	p->at[0].hook = "postStart";
	pass(k);
	assert_int_equal(container(k)->restartCount, 2);
	p->at[0].hook = NULL;
	pass(k);
	assert_int_equal(container(k)->restartCount, 3);
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

/* After a restart the hand may tell of a pod whose kedge-init has not spoken yet. */
static void
a_run_that_is_not_heard_of_for_a_moment_is_counted_once(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");
	struct container_seen heard;

	p->at[0].restartCount = 1;
	p->at[0].lastReason = "Error";
	p->at[0].lastExitCode = 3;
	p->at[0].lastStartedAt = p->at[0].startedAt;
	p->at[0].lastFinishedAt = k->now + 9;
	p->at[0].startedAt = k->now + 4321;
	pass(k);
	assert_int_equal(container(k)->restartCount, 1);
	heard = p->at[0];
	p->at[0] = (struct container_seen){ .name = "web", .state = "waiting" };
	pass(k);
	assert_int_equal(container(k)->restartCount, 1);
	p->at[0] = heard;
	pass(k);
	assert_int_equal(container(k)->restartCount, 1);
	assert_int_equal(container(k)->lastState->terminated->exitCode, 3);
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

/* The hand finds its kedge-init dead at its start: when the run began nobody tells. */
static void
a_sandbox_that_was_lost_while_kedged_was_away_is_counted(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");

	pass(k);
	k->now += 60 * 1000;
	p->seen.state = "stopping";
	p->at[0].state = "terminated";
	p->at[0].reason = "Error";
	p->at[0].exitCode = 137;
	p->at[0].startedAt = 0;
	p->at[0].finishedAt = k->now;
	pass(k);
	assert_true(container(k)->state->terminated->startedAt > 0);
	p->seen.state = "gone";
	pass(k);
	kit_up(k, "web");
	pass(k);
	assert_int_equal(container(k)->restartCount, 1);
	assert_int_equal(container(k)->lastState->terminated->exitCode, 137);
}

static void
nothing_is_started_before_the_hand_has_spoken(void **state)
{
	struct kit *k = *state;

	pod(k, "web", "", "");
	k->mute = true;
	assert_non_null(strstr(pass(k), "placed"));
	assert_string_equal(pass(k), "");
	delete (k);
	assert_string_equal(pass(k), "");
	k->mute = false;
	assert_string_equal(pass(k), "- forget pod default/web  # gone from the host\n");
}

static void
a_missing_image_is_shown_and_left_to_the_host(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;

	pod(k, "web", "", "");
	pass(k);
	pass(k);
	p = kit_up(k, "web");
	p->at[0] = (struct container_seen){ .name = "web",
					    .state = "waiting",
					    .reason = "ErrImagePull",
					    .message = "no such image" };
	assert_string_equal(pass(k), ". status pod default/web  # web: ErrImagePull\n");
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_string_equal(container(k)->state->waiting->message, "no such image");
	assert_string_equal(pass(k), "");
	p->at[0].reason = "ImagePullBackOff";
	assert_string_equal(pass(k), ". status pod default/web  # web: ImagePullBackOff\n");
	kit_up(k, "web");
	assert_string_equal(pass(k), ". status pod default/web  # 1/1 ready\n");
}

static void
a_sandbox_that_cannot_be_made_is_tried_again_at_growing_intervals(void **state)
{
	static const int gaps[] = { 10, 20, 40, 80, 160, 300, 300 };
	struct kit *k = *state;
	struct kit_pod *p;

	pod(k, "web", "", "");
	pass(k);
	pass(k);
	for (int i = 0; i < 7; i++) {
		p = kit_pod_of(k, object_uid(web(k)));
		p->seen.state = "failed";
		p->seen.message = "mount: No space left on device";
		pass(k);
		pass(k);
		assert_int_equal(k->plan.n, 0);
		assert_string_equal(container(k)->state->waiting->message,
				    "mount: No space left on device");
		assert_int_equal(k->plan.again_at - k->now, gaps[i] * 1000);
		k->now = k->plan.again_at;
		assert_non_null(strstr(pass(k), "+ start pod default/web  # another try\n"));
	}
	kit_up(k, "web");
	pass(k);
	assert_string_equal(web(k)->status->phase, "Running");
	assert_null(condition(k, "kedge.dev/StartBackOff"));
}

static void
a_pod_that_the_operator_refuses_says_so_in_its_status(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;

	pod(k, "web", "", "");
	pass(k);
	pass(k);
	p = kit_pod_of(k, object_uid(web(k)));
	p->seen.state = "failed";
	p->seen.message = "container web: capability SYS_ADMIN is not allowed";
	p->seen.refused = "CreateContainerConfigError";
	pass(k);
	assert_string_equal(container(k)->state->waiting->reason, "CreateContainerConfigError");
	assert_string_equal(container(k)->state->waiting->message,
			    "container web: capability SYS_ADMIN is not allowed");
	p->seen.refused = NULL;
	pass(k);
	assert_string_equal(container(k)->state->waiting->reason, "ContainerCreating");
}

static void
a_pod_with_a_forbidden_sysctl_fails_as_the_kubelet_lets_it(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;

	pod(k, "web", "", "");
	pass(k);
	pass(k);
	p = kit_pod_of(k, object_uid(web(k)));
	p->seen.state = "failed";
	p->seen.message = "forbidden sysctl: \"a.b\" not allowlisted";
	p->seen.refused = "SysctlForbidden";
	assert_string_equal(pass(k), ". status pod default/web  # SysctlForbidden\n");
	assert_string_equal(web(k)->status->phase, "Failed");
	assert_string_equal(web(k)->status->reason, "SysctlForbidden");
	assert_string_equal(web(k)->status->message,
			    "Pod was rejected: forbidden sysctl: \"a.b\" not allowlisted");
	assert_int_equal(web(k)->status->containerStatuses.n, 0);
	assert_string_equal(pass(k), "");
	k->now += 600000;
	assert_string_equal(pass(k), "");
}

/* ---- the end ---- */

static void
is_drained_and_stopped(struct kit *k, struct kit_pod *p, struct service_args *rule)
{
	rule->endpoints.n = 0;
	assert_string_equal(pass(k), "~ drain pod default/web 0 -> 5000  # out of the rules\n"
				     ". status pod default/web  # 1/1 ready\n");
	assert_string_equal(pass(k), ""); /* there are connections */
	p->seen.drained = true;
	assert_string_equal(pass(k), "- stop pod default/web 0 -> 30  # drained\n");
}

static void
a_deleted_pod_leaves_rules_connections_and_host_in_this_order(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");
	struct endpoint_args at = { .ip = web(k)->status->podIP, .port = 80 };
	struct service_args rule = { .endpoints = { &at, 1 } };

	k->rules[0] = (struct programmed){ "default/web:http", &rule };
	k->nrules = 1;
	delete (k);
	assert_string_equal(pass(k), ""); /* the rules still send it clients */
	is_drained_and_stopped(k, p, &rule);
	assert_string_equal(pass(k), "");
	p->seen.state = "gone";
	assert_string_equal(pass(k), "- forget pod default/web  # gone from the host\n");
	assert_null(web(k));
}

static void
connections_that_never_end_are_cut_after_the_drain_time(void **state)
{
	struct kit *k = *state;

	running(k, "", "");
	delete (k);
	pass(k);
	assert_int_equal(k->plan.again_at, k->now + 5000);
	k->now += 5000;
	assert_string_equal(pass(k), "- stop pod default/web 0 -> 30\n");
}

static void
the_last_one_serves_until_another_does_or_its_time_is_up(void **state)
{
	struct kit *k = *state;
	struct endpoint_args at = { .ip = "10.42.0.2", .port = 80 };
	struct service_args rule = { .endpoints = { &at, 1 } };

	running(k, "", "");
	k->rules[0] = (struct programmed){ "default/web:http", &rule };
	k->nrules = 1;
	delete (k);
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, k->now + 5000);
	k->now += 5000;
	assert_string_equal(pass(k), "- stop pod default/web 0 -> 30\n");
}

#define CHOOSES                                                                               \
	"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.43.0.9, " \
	"selector: {app: web}, ports: [{port: 80, protocol: TCP, targetPort: 80}]}\n---\n"
#define MAKES(n)                                                                             \
	"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {replicas: " n  \
	", selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, " \
	"spec: {containers: [{name: c, image: i}]}}}\n"

#define ROLLS(how)                                                                           \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, " \
	"strategy: {type: " how "}, selector: {matchLabels: {app: web}}, template: "         \
	"{metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}\n---\n"

static void
the_last_one_does_not_wait_for_another_that_nobody_makes(void **state)
{
	struct kit *k = *state;
	struct endpoint_args at = { .ip = "10.42.0.2", .port = 80 };
	struct service_args rule = { .endpoints = { &at, 1 } };
	struct kit_pod *p = running(k, "", "");
	struct pod *o = object_clone(web(k), &k->arena);
	struct pair label = { "app", "web" };

	o->metadata->labels = (struct pairs){ &label, 1 };
	kit_put(k, o);
	kit_read(k, CHOOSES MAKES("1"));
	k->rules[0] = (struct programmed){ "default/web:http", &rule };
	k->nrules = 1;
	delete (k);
	assert_string_equal(pass(k), ""); /* one is wanted, and is going to be made */
	kit_read(k, ROLLS("RollingUpdate") MAKES("0"));
	assert_string_equal(pass(k), ""); /* of a new set */
	kit_read(k, ROLLS("Recreate"));   /* but not before this one is gone */
	assert_string_equal(pass(k), ". status pod default/web  # 1/1 ready\n");
	assert_non_null(
	    pod_condition(web(k), CONDITION_DRAINING)); /* its endpoint serves no more */
	assert_string_equal(pass(k), "");               /* the rules still send it clients */
	is_drained_and_stopped(k, p, &rule);
}

static void
leaves_in(struct kit *k, int64_t seconds)
{
	struct pod *o = object_clone(web(k), &k->arena);

	o->metadata->deletionTimestamp = k->now + seconds * 1000;
	o->metadata->deletionGracePeriodSeconds = seconds;
	kit_put(k, o);
}

static void
who_ends_and_is_to_be_quicker_is_told_so_once(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, "", "");

	leaves_in(k, 600);
	pass(k);
	p->seen.drained = true;
	assert_string_equal(pass(k), "- stop pod default/web 0 -> 600  # drained\n");
	p->seen.stopBy = k->now + 600 * 1000;
	assert_string_equal(pass(k), "");
	leaves_in(k, 1);
	assert_string_equal(pass(k),
			    "- stop pod default/web 0 -> 1  # sooner than it was told\n");
	p->seen.stopBy = k->now + 1000;
	assert_string_equal(pass(k), "");
	k->now += 60 * 1000;
	assert_string_equal(pass(k), "");
	/* after a restart nobody knows what it was told */
	p->seen.stopBy = 0;
	assert_string_equal(pass(k),
			    "- stop pod default/web 0 -> 1  # sooner than it was told\n");
}

static void
who_has_no_time_to_end_leaves_in_order_all_the_same(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p = running(k, ", terminationGracePeriodSeconds: 0", "");

	leaves_in(k, 0);
	schema_mark(object_meta_kind(), ((struct object *)k->of[RES_pod][0])->metadata,
		    "deletionGracePeriodSeconds");
	assert_string_equal(pass(k), "~ drain pod default/web 0 -> 5000  # out of the rules\n"
				     ". status pod default/web  # 1/1 ready\n");
	assert_string_equal(pass(k), "");
	p->seen.drained = true;
	assert_string_equal(pass(k), "- stop pod default/web  # at once\n");
}

static void
a_grace_of_zero_stops_at_once(void **state)
{
	struct kit *k = *state;
	struct pod *o;

	running(k, "", "");
	o = object_clone(web(k), &k->arena);
	o->metadata->deletionTimestamp = k->now;
	schema_mark(object_meta_kind(), o->metadata, "deletionGracePeriodSeconds");
	kit_put(k, o);
	assert_string_equal(pass(k), "- stop pod default/web  # at once\n");
}

static void
a_pod_that_never_started_is_forgotten_at_once(void **state)
{
	struct kit *k = *state;

	pod(k, "web", ", nodeSelector: {some: where}", "");
	pass(k);
	delete (k);
	assert_string_equal(pass(k), "- forget pod default/web  # gone from the host\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_environment_is_resolved),
		T(resources_become_shares_limits_and_a_place_in_the_oom_queue),
		T(guaranteed_pods_are_the_last_to_be_killed),
		T(config_maps_and_secrets_become_files),
		T(a_volume_of_memory_is_no_larger_than_what_its_pod_may_have),
		T(a_changed_config_map_is_sent_once),
		T(a_running_pod_is_ready_and_stays_as_it_is),
		T(probes_decide_over_ready_and_started),
		T(a_failed_liveness_probe_restarts_its_container),
		T(what_is_not_restarted_is_not_said_to_be),
		T(a_crash_shows_state_last_state_and_count),
		T(a_job_like_pod_ends_and_leaves_the_host_but_not_the_store),
		T(a_failure_counts_as_failed_only_where_nothing_restarts_it),
		T(one_that_is_unheard_is_as_it_was_last_known),
		T(a_lost_sandbox_is_made_again_and_the_count_goes_on),
		T(a_run_with_a_hook_is_counted_once),
		T(a_run_that_is_not_heard_of_for_a_moment_is_counted_once),
		T(a_sandbox_that_was_lost_while_kedged_was_away_is_counted),
		T(nothing_is_started_before_the_hand_has_spoken),
		T(a_missing_image_is_shown_and_left_to_the_host),
		T(a_sandbox_that_cannot_be_made_is_tried_again_at_growing_intervals),
		T(a_pod_that_the_operator_refuses_says_so_in_its_status),
		T(a_pod_with_a_forbidden_sysctl_fails_as_the_kubelet_lets_it),
		T(a_deleted_pod_leaves_rules_connections_and_host_in_this_order),
		T(connections_that_never_end_are_cut_after_the_drain_time),
		T(the_last_one_does_not_wait_for_another_that_nobody_makes),
		T(the_last_one_serves_until_another_does_or_its_time_is_up),
		T(who_ends_and_is_to_be_quicker_is_told_so_once),
		T(who_has_no_time_to_end_leaves_in_order_all_the_same),
		T(a_grace_of_zero_stops_at_once),
		T(a_pod_that_never_started_is_forgotten_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

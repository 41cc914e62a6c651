/* t_pod_hold.c -- what a pod refers to is missing: who waits for it, and until when. */
#include "pod_kit.h"

/* Started, and the first container is held. */
static struct kit_pod *
held(struct kit *k)
{
	struct kit_pod *p = kit_up(k, "web");

	p->at[0] = (struct container_seen){ .name = "web",
					    .state = "waiting",
					    .reason = "CreateContainerConfigError",
					    .held = true };
	return p;
}

static void
a_missing_config_map_is_named_and_waited_for(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;
	const struct add_args *all;

	pod(k, "web", "", ", envFrom: [{configMapRef: {name: conf}}]");
	pass(k);
	assert_string_equal(pass(k), ". status pod default/web  # Pending\n"
				     "+ start pod default/web  # web:1\n");
	a = kit_body(k, ACT_START);
	assert_true(a->containers.at[0].hold);
	assert_int_equal(a->containers.at[0].env.n, 0);
	held(k);
	assert_string_equal(
	    pass(k), "! event pod default/web  # Failed: Error: configmap \"conf\" not found\n"
		     ". status pod default/web  # web: CreateContainerConfigError\n");
	assert_string_equal(container(k)->state->waiting->message,
			    "configmap \"conf\" not found");
	assert_string_equal(web(k)->status->phase, "Pending");
	assert_string_equal(pass(k), "");
	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {A: b}\n");
	assert_string_equal(pass(k),
			    "~ renew pod default/web  # web: all that it refers to is there\n"
			    ". status pod default/web  # Pending\n");
	all = kit_body(k, ACT_RENEW);
	assert_false(all->container->hold);
	assert_string_equal(all->container->env.at[0], "A=b");
	kit_up(k, "web");
	assert_string_equal(pass(k), ". status pod default/web  # 1/1 ready\n");
}

#define CONF(value) \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {A: " value "}\n"

/* Runs, with what is in the ConfigMap. */
static void
runs_with_conf(struct kit *k)
{
	kit_read(k, CONF("b"));
	pod(k, "web", "", ", envFrom: [{configMapRef: {name: conf}}]");
	pass(k);
	pass(k);
	kit_up(k, "web");
	pass(k);
	assert_string_equal(pass(k), "");
}

static void
a_changed_config_map_is_for_the_next_run(void **state)
{
	struct kit *k = *state;
	const struct add_args *all;

	runs_with_conf(k);
	kit_read(k, CONF("c"));
	assert_string_equal(
	    pass(k),
	    "~ renew pod default/web  # web: what its environment is made of changed\n");
	all = kit_body(k, ACT_RENEW);
	assert_false(all->container->hold);
	assert_string_equal(all->container->env.at[0], "A=c");
	assert_string_equal(pass(k), "");
}

static void
without_its_config_map_there_is_no_next_run(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;

	runs_with_conf(k);
	kit_drop(k, RES_config_map, "default", "conf");
	assert_string_equal(pass(k),
			    "~ renew pod default/web  # web: configmap \"conf\" not found\n");
	assert_true(((const struct add_args *)kit_body(k, ACT_RENEW))->container->hold);
	assert_string_equal(pass(k), ""); /* it runs, and is not spoken of */
	assert_non_null(container(k)->state->running);

	p = kit_up(k, "web");
	p->at[0] = crashed(k, "web", 1, 1000);
	p->at[0].reason = "CreateContainerConfigError";
	p->at[0].envVersion = p->env[0];
	p->at[0].held = true;
	assert_non_null(strstr(pass(k), "! event pod default/web  # Failed: Error: configmap "
					"\"conf\" not found\n"));
	assert_string_equal(container(k)->state->waiting->reason, "CreateContainerConfigError");
	assert_string_equal(container(k)->state->waiting->message,
			    "configmap \"conf\" not found");
	assert_int_equal(container(k)->lastState->terminated->exitCode, 1);
	assert_string_equal(pass(k), "");

	kit_read(k, CONF("d"));
	assert_non_null(strstr(
	    pass(k), "~ renew pod default/web  # web: all that it refers to is there\n"));
	assert_string_equal(
	    ((const struct add_args *)kit_body(k, ACT_RENEW))->container->env.at[0], "A=d");
}

static void
what_has_no_next_run_is_not_renewed(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;

	runs_with_conf(k);
	p = kit_up(k, "web");
	p->at[0].state = "terminated";
	p->at[0].reason = "Completed";
	pass(k);
	kit_read(k, CONF("c"));
	assert_null(strstr(pass(k), "renew"));
}

static void
a_services_variables_are_those_of_the_start(void **state)
{
	struct kit *k = *state;

	runs_with_conf(k);
	kit_read(k, "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n"
		    "spec: {clusterIP: 10.43.0.9, ports: [{port: 5432}]}\n");
	assert_string_equal(pass(k), "");
}

static void
a_missing_config_map_holds_back_only_who_refers_to_it(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	pod(k, "web", "",
	    ", envFrom: [{configMapRef: {name: conf}}]}, {name: side, image: 'side:1'");
	pass(k);
	pass(k);
	a = kit_body(k, ACT_START);
	assert_true(a->containers.at[0].hold);
	assert_false(a->containers.at[1].hold);
	held(k);
	pass(k);
	assert_string_equal(container(k)->state->waiting->reason, "CreateContainerConfigError");
	assert_non_null(web(k)->status->containerStatuses.at[1].state->running);
	assert_true(web(k)->status->containerStatuses.at[1].ready);
	assert_string_equal(web(k)->status->phase, "Pending"); /* as getPhase says it */
}

static void
a_missing_volume_holds_back_all_of_the_pod(void **state)
{
	struct kit *k = *state;

	pod(k, "web", ", volumes: [{name: v, configMap: {name: conf}}]", "");
	pass(k);
	assert_string_equal(
	    pass(k), ". status pod default/web  # Pending\n"
		     "! event pod default/web  # FailedMount: MountVolume.SetUp failed for "
		     "volume \"v\" : configmap \"conf\" not found\n");
	assert_string_equal(container(k)->state->waiting->reason, "ContainerCreating");
	assert_string_equal(pass(k), "");
}

static void
a_missing_key_is_named(void **state)
{
	struct kit *k = *state;

	kit_read(k, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: Yg==}\n");
	pod(k, "web", "", ", env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: b}}}]");
	pass(k);
	pass(k);
	held(k);
	pass(k);
	assert_string_equal(container(k)->state->waiting->message,
			    "couldn't find key b in Secret default/s");
}

/* A Secret is any bytes, a variable is not; "YgBj" is b, NUL, c. */
static void
a_secret_with_a_nul_byte_is_no_variable(void **state)
{
	static const char *const rows[] = {
		", envFrom: [{secretRef: {name: s}}]",
		", env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: a, optional: "
		"true}}}]",
	};
	struct kit *k = *state;

	kit_read(k, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YgBj}\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		pod(k, "web", "", rows[i]);
		pass(k);
		pass(k);
		held(k);
		pass(k);
		assert_string_equal(container(k)->state->waiting->message,
				    "key a in Secret default/s holds a NUL byte, which no "
				    "environment variable can: mount it as a file");
		kit_drop(k, RES_pod, "default", "web");
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_missing_config_map_is_named_and_waited_for),
		T(a_changed_config_map_is_for_the_next_run),
		T(without_its_config_map_there_is_no_next_run),
		T(what_has_no_next_run_is_not_renewed),
		T(a_services_variables_are_those_of_the_start),
		T(a_missing_config_map_holds_back_only_who_refers_to_it),
		T(a_missing_volume_holds_back_all_of_the_pod),
		T(a_missing_key_is_named),
		T(a_secret_with_a_nul_byte_is_no_variable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_pod_env.c -- what an environment and a volume show of the pod itself and of its resources.
 */
#include "pod.h"
#include "pod_kit.h"

/* Every field that an environment may name; NULL: the kit's own answer. */
static void
each_field_of_the_pod_has_its_value(void **state)
{
	static const char *const rows[][2] = {
		{ "metadata.name", "web" },
		{ "metadata.namespace", "default" },
		{ "metadata.uid", NULL },
		{ "metadata.labels['app']", "web" },
		{ "metadata.labels['none']", "" },
		{ "metadata.annotations['example.com/note']", "a b" },
		{ "metadata.annotations['none']", "" },
		{ "spec.nodeName", "node" },
		{ "spec.serviceAccountName", "default" },
		{ "status.hostIP", "192.0.2.1" },
		{ "status.hostIPs", "192.0.2.1" },
		{ "status.podIP", "10.42.0.2" },
		{ "status.podIPs", "10.42.0.2" },
	};
	struct kit *k = *state;
	const struct sandbox_args *a;
	cleanup_buf struct buf text = { 0 };

	buf_adds(&text, "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}, "
			"annotations: {example.com/note: a b}}\n"
			"spec: {containers: [{name: web, image: 'web:1', env: [");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		buf_addf(&text, "{name: V%zu, valueFrom: {fieldRef: {fieldPath: \"%s\"}}}, ", i,
			 rows[i][0]);
	buf_adds(&text, "]}]}\n");
	kit_read(k, buf_text(&text));
	pass(k);
	pass(k);
	a = kit_body(k, ACT_START);
	assert_non_null(a);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char name[8];

		snprintf(name, sizeof name, "V%zu", i);
		assert_string_equal(env_of(a, name),
				    rows[i][1] ? rows[i][1] : object_uid(web(k)));
	}
}

/* What a container may use is the node's where it says nothing; what it asks for is nothing. */
static void
resources_are_the_nodes_where_none_are_limited(void **state)
{
	static const char *const rows[][3] = {
		{ "limits.cpu", "", "2" },
		{ "limits.cpu", "1m", "2000" },
		{ "limits.cpu", "\"0\"", "2" },
		{ "limits.memory", "", "4294967296" },
		{ "limits.memory", "1Gi", "4" },
		{ "limits.memory", "1M", "4295" }, /* rounded up */
		{ "limits.ephemeral-storage", "1Gi", "10" },
		{ "requests.cpu", "", "0" },
		{ "requests.memory", "", "0" },
		{ "requests.ephemeral-storage", "", "0" },
	};
	struct kit *k = *state;
	const struct sandbox_args *a;
	cleanup_buf struct buf env = { 0 };

	buf_adds(&env, ", env: [");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		buf_addf(&env,
			 "{name: V%zu, valueFrom: {resourceFieldRef: {resource: %s%s%s}}}, ", i,
			 rows[i][0], *rows[i][1] ? ", divisor: " : "", rows[i][1]);
	buf_adds(&env, "]");
	a = pod_started(k, "", buf_text(&env));
	assert_non_null(a);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char name[8];

		snprintf(name, sizeof name, "V%zu", i);
		assert_string_equal(env_of(a, name), rows[i][2]);
	}
}

static void
resources_are_the_containers_own_or_those_of_another_that_is_named(void **state)
{
	struct kit *k = *state;
	struct sandbox_args a_main = { 0 };
	const struct sandbox_args *a = pod_started(
	    k,
	    ", initContainers: [{name: first, image: 'web:1', resources: {limits: {cpu: "
	    "300m}}}]",
	    ", resources: {limits: {cpu: 1500m, ephemeral-storage: 3Gi}, requests: {cpu: "
	    "250m}}, "
	    "env: [{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "
	    "1m}}}, "
	    "{name: ASK, valueFrom: {resourceFieldRef: {resource: requests.cpu}}}, "
	    "{name: DISK, valueFrom: {resourceFieldRef: {resource: requests.ephemeral-storage, "
	    "divisor: 1Gi}}}, "
	    "{name: FIRST, valueFrom: {resourceFieldRef: {containerName: first, resource: "
	    "limits.cpu, divisor: 1m}}}]");

	assert_non_null(a);
	a_main.containers.at = &a->containers.at[1]; /* the first is the init container */
	assert_string_equal(env_of(&a_main, "CPU"), "1500");
	assert_string_equal(env_of(&a_main, "ASK"), "1");
	assert_string_equal(env_of(&a_main, "DISK"), "3"); /* a limit is a request, too */
	assert_string_equal(env_of(&a_main, "FIRST"), "300");
}

/* A later name wins, and each value sees those before it. */
static void
the_order_is_services_then_whole_maps_then_one_by_one(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
		    "data: {A: one, B: one, KUBERNETES_SERVICE_HOST: mine}\n---\n"
		    "apiVersion: v1\nkind: Secret\nmetadata: {name: two}\n"
		    "data: {B: dHdv, C: dHdv}\n");
	a = pod_started(
	    k, "",
	    ", envFrom: [{configMapRef: {name: one}}, {secretRef: {name: two}}, "
	    "{prefix: P_, secretRef: {name: two}}, {secretRef: {name: gone, optional: "
	    "true}}], env: [{name: C, value: '$(B)-$(C)'}, {name: D, value: "
	    "'$(E)$$(C)$(P_B)'}, {name: E, value: late}]");
	assert_non_null(a);
	assert_string_equal(env_of(a, "A"), "one");
	assert_string_equal(env_of(a, "B"), "two");
	assert_string_equal(env_of(a, "C"), "two-two");
	assert_string_equal(env_of(a, "D"), "$(E)$(C)two");
	assert_string_equal(env_of(a, "P_B"), "two");
	assert_string_equal(env_of(a, "KUBERNETES_SERVICE_HOST"), "mine");
}

/* It is run beside the container, by what its spec says alone. */
static void
a_probes_command_knows_what_env_says_itself(void **state)
{
	struct kit *k = *state;
	const char *words[] = {
		"test", "$(X)-$$(X)", "$(FROM)", "$(Z)", "$(NOBODY)", "$(MAP)"
	};
	const char *expected[] = { "test", "x-$(X)", "", "$(X)", "$(NOBODY)", "$(MAP)" };
	struct strs all = { words, 6 };

	pod(k, "web", "",
	    ", envFrom: [{configMapRef: {name: m}}], env: [{name: X, value: first}, "
	    "{name: X, value: x}, {name: Z, value: $(X)}, {name: FROM, valueFrom: {fieldRef: "
	    "{fieldPath: metadata.name}}}]");
	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {MAP: one}\n");
	all = pod_expand_probe(all, &web(k)->spec->containers.at[0], &k->arena);
	assert_int_equal(all.n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(all.at[i], expected[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_field_of_the_pod_has_its_value),
		T(resources_are_the_nodes_where_none_are_limited),
		T(resources_are_the_containers_own_or_those_of_another_that_is_named),
		T(a_probes_command_knows_what_env_says_itself),
		T(the_order_is_services_then_whole_maps_then_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

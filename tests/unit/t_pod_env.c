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
	const char *why;

	pod(k, "web", "",
	    ", envFrom: [{configMapRef: {name: m}}], env: [{name: X, value: first}, "
	    "{name: X, value: x}, {name: Z, value: $(X)}, {name: FROM, valueFrom: {fieldRef: "
	    "{fieldPath: metadata.name}}}]");
	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {MAP: one}\n");
	all = pod_words_probe(all, &web(k)->spec->containers.at[0], &k->arena, &why);
	assert_null(why);
	assert_int_equal(all.n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(all.at[i], expected[i]);
}

/* ---- no more than execve takes ---- */

static void
repeat(struct buf *b, const char *text, size_t n)
{
	while (n--)
		buf_adds(b, text);
}

/* The pod "web" with this in its container has been started, and it alone waits; why.  What
 * the pass made stays small. */
static const char *
why_it_waits(struct kit *k, const char *more)
{
	const struct sandbox_args *a = pod_started(k, "", more);
	struct kit_pod *p;

	assert_non_null(a);
	assert_true(a->containers.at[0].hold);
	assert_int_equal(a->containers.at[0].env.n, 0);
	assert_int_equal(a->containers.at[0].args.n, 0);
	assert_true(k->pass.bytes < 8 << 20);
	p = kit_up(k, "web");
	p->at[0] = (struct container_seen){ .name = "web",
					    .state = "waiting",
					    .reason = "CreateContainerConfigError",
					    .held = true };
	pass(k);
	assert_true(k->pass.bytes < 8 << 20);
	assert_string_equal(container(k)->state->waiting->reason, "CreateContainerConfigError");
	return container(k)->state->waiting->message;
}

/* 1,000 times 1,000 times 100 times 600 bytes, of a manifest of 8 KB. */
static void
values_made_of_each_other_end_where_execve_does(void **state)
{
	cleanup_buf struct buf more = { 0 };

	buf_adds(&more, ", env: [{name: A, value: '");
	repeat(&more, "x", 1000);
	buf_adds(&more, "'}, {name: B, value: '");
	repeat(&more, "$(A)", 1000);
	buf_adds(&more, "'}, {name: C, value: '");
	repeat(&more, "$(B)", 100);
	buf_adds(&more, "'}, {name: D, value: '");
	repeat(&more, "$(C)", 600);
	buf_adds(&more, "'}]");
	assert_string_equal(why_it_waits(*state, buf_text(&more)),
			    "container web: variable B is longer than the 128 KiB that Linux "
			    "takes of one argument or variable");
}

static void
one_string_may_be_as_long_as_linux_takes_it(void **state)
{
	struct kit *k = *state;
	enum { MOST = 131072 - 1 };
	cleanup_buf struct buf x = { 0 };

	repeat(&x, "x", MOST - 2);
	for (size_t more = 0; more < 2; more++) {
		cleanup_words struct pod_words w = { .container = "web", .a = &k->arena };

		pod_words_set(&w, "A", buf_text(&x) + 1);
		pod_words_set_text(&w, "B", more ? "$(A)xx" : "$(A)x");
		if (more) {
			assert_string_equal(w.why, "container web: variable B is longer than "
						   "the 128 KiB that Linux takes of one "
						   "argument or variable");
			continue;
		}
		assert_null(w.why);
		assert_int_equal(strlen(w.vars[1].value), MOST - 2);
		assert_int_equal(strlen(pod_words_expand(&w, "args", "$(A)$$x$$")), MOST);
		assert_null(w.why);
		assert_string_equal(pod_words_expand(&w, "args", "$(B)$(B)"), "");
		assert_string_equal(w.why, "container web: args is longer than the 128 KiB "
					   "that Linux takes of one argument or variable");
	}
}

/* Each is within its limit. */
static void
args_together_end_where_execve_does(void **state)
{
	cleanup_buf struct buf more = { 0 };

	buf_adds(&more, ", env: [{name: A, value: '");
	repeat(&more, "x", 1000);
	buf_adds(&more, "'}], args: [");
	for (size_t i = 0; i < 1000; i++) {
		buf_adds(&more, "'");
		repeat(&more, "$(A)", 100);
		buf_adds(&more, "', ");
	}
	buf_adds(&more, "]");
	assert_string_equal(why_it_waits(*state, buf_text(&more)),
			    "container web: with args its environment, command and args are "
			    "larger than the 2 MiB that Linux takes");
}

static void
a_secret_taken_many_times_is_decoded_until_it_is_too_much(void **state)
{
	struct kit *k = *state;
	cleanup_buf struct buf secret = { 0 }, more = { 0 };

	buf_adds(&secret, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {");
	for (size_t i = 0; i < 9; i++) {
		buf_addf(&secret, "K%zu: ", i);
		repeat(&secret, "eHh4", 25000);
		buf_adds(&secret, ", ");
	}
	buf_adds(&secret, "}\n");
	kit_read(k, buf_text(&secret));
	buf_adds(&more, ", envFrom: [");
	for (size_t i = 0; i < 1000; i++)
		buf_addf(&more, "{prefix: P%zu_, secretRef: {name: s}}, ", i);
	buf_adds(&more, "]");
	/* 27 of 75,000 bytes are within it */
	assert_string_equal(why_it_waits(k, buf_text(&more)),
			    "container web: with variable P3_K0 its environment, command and "
			    "args are larger than the 2 MiB that Linux takes");
}

static void
a_path_below_a_volume_ends_there_too(void **state)
{
	cleanup_buf struct buf more = { 0 };

	buf_adds(&more, ", env: [{name: A, value: '");
	repeat(&more, "x", 1000);
	buf_adds(&more, "'}], volumeMounts: [{name: v, mountPath: /v, subPathExpr: '");
	repeat(&more, "$(A)", 1000);
	buf_adds(&more, "'}]");
	assert_string_equal(why_it_waits(*state, buf_text(&more)),
			    "container web: subPathExpr is longer than the 128 KiB that Linux "
			    "takes of one argument or variable");
}

/* 60,000 dollars with a bracket that is never closed, or closed once at the end. */
static void
brackets_that_open_and_do_not_close_stay(void **state)
{
	struct kit *k = *state;
	cleanup_buf struct buf text = { 0 };
	cleanup_words struct pod_words w = { .container = "web", .a = &k->arena };

	repeat(&text, "$(", 60000);
	pod_words_set(&w, "A", "a");
	assert_string_equal(pod_words_expand(&w, "args", buf_text(&text)), buf_text(&text));
	assert_null(w.unset);
	buf_adds(&text, ")");
	assert_string_equal(pod_words_expand(&w, "args", buf_text(&text)), buf_text(&text));
	assert_non_null(w.unset);
	assert_string_equal(pod_words_expand(&w, "args", "$(A)$()$(A"), "a$()$(A");
	assert_string_equal(w.unset, "");
	assert_null(w.why);
}

static void
a_probes_command_ends_where_execve_does(void **state)
{
	struct kit *k = *state;
	cleanup_buf struct buf x = { 0 }, word = { 0 };
	struct env_var a = { .name = "A" };
	struct container c = { .name = "web", .env = { &a, 1 } };
	const char *words[] = { "test", NULL }, *why;
	size_t before = k->arena.bytes;

	repeat(&x, "x", 1000);
	repeat(&word, "$(A)", 100000);
	a.value = buf_text(&x);
	words[1] = buf_text(&word);
	(void)pod_words_probe((struct strs){ words, 2 }, &c, &k->arena, &why);
	assert_string_equal(why, "container web: the probe's command is longer than the 128 "
				 "KiB that Linux takes of one argument or variable");
	assert_true(k->arena.bytes - before < 1 << 20);
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
		T(values_made_of_each_other_end_where_execve_does),
		T(one_string_may_be_as_long_as_linux_takes_it),
		T(args_together_end_where_execve_does),
		T(a_secret_taken_many_times_is_decoded_until_it_is_too_much),
		T(a_path_below_a_volume_ends_there_too),
		T(brackets_that_open_and_do_not_close_stay),
		T(a_probes_command_ends_where_execve_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

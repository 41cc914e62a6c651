/* t_snapshot.c -- every way into a snapshot, and what a pass over it costs. */
// wrap: -Wl,--wrap=strcmp,--wrap=arena_alloc,--wrap=schema_equal,--wrap=selector_matches
#include "control.h"

/* Calls counted here: comparisons, allocations, walks over structs.  A count is
 * the same on every machine, which a time is not. */
static size_t calls;

int __real_strcmp(const char *, const char *);
int __wrap_strcmp(const char *, const char *);
int
__wrap_strcmp(const char *a, const char *b)
{
	calls++;
	return __real_strcmp(a, b);
}

void *__real_arena_alloc(struct arena *, size_t);
void *__wrap_arena_alloc(struct arena *, size_t);
void *
__wrap_arena_alloc(struct arena *a, size_t n)
{
	calls++;
	return __real_arena_alloc(a, n);
}

bool __real_schema_equal(const struct kind *, const void *, const void *);
bool __wrap_schema_equal(const struct kind *, const void *, const void *);
bool
__wrap_schema_equal(const struct kind *k, const void *a, const void *b)
{
	calls++;
	return __real_schema_equal(k, a, b);
}

bool __real_selector_matches(const struct label_selector *, const struct pairs *);
bool __wrap_selector_matches(const struct label_selector *, const struct pairs *);
bool
__wrap_selector_matches(const struct label_selector *s, const struct pairs *l)
{
	calls++;
	return __real_selector_matches(s, l);
}

static void
pod(struct kit *k, const char *ns, const char *name, const char *labels, const char *owner)
{
	kit_read(k,
		 arena_printf(
		     &k->arena,
		     "apiVersion: v1\nkind: Pod\nmetadata: {namespace: %s, name: %s, uid: "
		     "%s-%s, labels: {%s}%s%s%s}\nspec: {containers: [{name: c, image: i}]}\n",
		     ns, name, ns, name, labels,
		     *owner ? ", ownerReferences: [{apiVersion: apps/v1, kind: "
			      "ReplicaSet, name: r, controller: true, uid: "
			    : "",
		     owner, *owner ? "}]" : ""));
}

static const char *
names(struct kit *k, struct objects all)
{
	const char *text = "";

	for (size_t i = 0; i < all.n; i++)
		text = arena_printf(&k->arena, "%s%s%s", text, i ? " " : "",
				    object_name(all.at[i]));
	return text;
}

static void
objects_are_found_by_name_namespace_and_uid(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	pod(k, "a", "x", "", "");
	pod(k, "b", "w", "", "");
	pod(k, "b", "x", "", "");
	pod(k, "c", "v", "", "");
	s = kit_snapshot(k);
	assert_string_equal(object_uid(snapshot_find(s, RES_pod, "b", "x")), "b-x");
	assert_null(snapshot_find(s, RES_pod, "b", "v"));
	assert_null(snapshot_find(s, RES_service, "b", "x"));
	assert_string_equal(names(k, snapshot_in(s, RES_pod, "b")), "w x");
	assert_int_equal(snapshot_in(s, RES_pod, "zz").n, 0);
	assert_string_equal(object_namespace(snapshot_by_uid(s, RES_pod, "c-v")), "c");
	assert_null(snapshot_by_uid(s, RES_pod, "nobody"));
}

static void
children_and_orphans_keep_the_order_of_the_snapshot(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	pod(k, "a", "p3", "", "u1");
	pod(k, "a", "p1", "", "u1");
	pod(k, "a", "p2", "", "");
	pod(k, "a", "p4", "", "u2");
	pod(k, "b", "p5", "", "");
	s = kit_snapshot(k);
	assert_string_equal(names(k, snapshot_owned(s, RES_pod, "u1")), "p1 p3");
	assert_string_equal(names(k, snapshot_owned(s, RES_pod, "u3")), "");
	assert_string_equal(names(k, snapshot_orphans(s, RES_pod, "a")), "p2");
	assert_string_equal(names(k, snapshot_orphans(s, RES_pod, "b")), "p5");
}

static void
a_selector_picks_those_with_all_its_labels_in_its_namespace(void **state)
{
	struct kit *k = *state;
	struct pair at[] = { { "app", "web" }, { "tier", "front" } };
	struct pairs two = { at, 2 }, one = { at, 1 }, none = { at, 0 };
	struct snapshot *s;

	pod(k, "a", "p1", "app: web, tier: front", "");
	pod(k, "a", "p2", "app: web", "");
	pod(k, "a", "p3", "app: db, tier: front", "");
	pod(k, "b", "p4", "app: web, tier: front", "");
	s = kit_snapshot(k);
	assert_string_equal(names(k, snapshot_selected(s, RES_pod, "a", &two)), "p1");
	assert_string_equal(names(k, snapshot_selected(s, RES_pod, "a", &one)), "p1 p2");
	assert_string_equal(names(k, snapshot_selected(s, RES_pod, "b", &two)), "p4");
	assert_int_equal(snapshot_selected(s, RES_pod, "a", &none).n, 0);
	at[1].value = "back";
	assert_int_equal(snapshot_selected(s, RES_pod, "a", &two).n, 0);
}

static void
an_address_serves_as_long_as_a_rule_has_it(void **state)
{
	struct kit *k = *state;
	struct endpoint_args at = { .ip = "10.42.0.7", .port = 80 };
	struct service_args rule = { .endpoints = { &at, 1 } };
	struct snapshot *s;

	k->rules[0] = (struct programmed){ "default/web:http", &rule };
	k->nrules = 1;
	s = kit_snapshot(k);
	assert_true(snapshot_serves(s, "10.42.0.7"));
	assert_false(snapshot_serves(s, "10.42.0.8"));
	assert_false(snapshot_serves(s, NULL));
	assert_non_null(snapshot_programmed(s, "default/web:http"));
	assert_null(snapshot_programmed(s, "default/web:https"));
	s = kit_snapshot(k);
	s->rules_unknown = true;
	assert_true(snapshot_serves(s, "10.42.0.8"));
	/* what was sent and is not yet acknowledged may be in force by now */
	k->nrules = 0;
	s = kit_snapshot(k);
	s->pending = k->rules;
	s->npending = 1;
	assert_true(snapshot_serves(s, "10.42.0.7"));
	assert_false(snapshot_serves(s, "10.42.0.8"));
	assert_null(snapshot_programmed(s, "default/web:http"));
}

static void
suffixes_have_kubernetes_letters_and_do_not_repeat(void **state)
{
	struct kit *k = *state;
	struct snapshot *s = kit_snapshot(k);
	const char *seen[500];

	for (uint64_t i = 0; i < 500; i++) {
		seen[i] = snapshot_suffix(s, "web", i, 10);
		assert_int_equal(strspn(seen[i], "bcdfghjklmnpqrstvwxz2456789"), 10);
		for (uint64_t j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
	}
	assert_string_equal(snapshot_suffix(s, "web", 3, 10), seen[3]);
}

/* ---- the whole of it ---- */

static void
plan(struct kit *k)
{
	struct snapshot *s = kit_snapshot(k);

	for (size_t i = 0; i < s->of[RES_deployment].n; i++)
		deployment_reconcile(s, (const void *)s->of[RES_deployment].at[i], &k->plan);
	for (size_t i = 0; i < s->of[RES_replica_set].n; i++)
		replicaset_reconcile(s, (const void *)s->of[RES_replica_set].at[i], &k->plan);
	for (size_t i = 0; i < s->of[RES_pod].n; i++)
		pod_reconcile(s, (const void *)s->of[RES_pod].at[i], &k->plan);
	garbage_reconcile(s, &k->plan);
}

/* A world of n deployments of ten pods, rolled out; the calls of a settled pass. */
static size_t
settled_pass(size_t n)
{
	struct kit k;
	size_t pods = 0, cost;

	kit_init(&k);
	kit_read(&k, "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n");
	for (size_t i = 0; i < n; i++)
		kit_read(&k,
			 arena_printf(
			     &k.arena,
			     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%zu}\n"
			     "spec:\n  replicas: 10\n  selector: {matchLabels: {app: d%zu}}\n"
			     "  template:\n    metadata: {labels: {app: d%zu, all: same}}\n"
			     "    spec: {containers: [{name: web, image: 'web:1'}]}\n",
			     i, i, i));
	for (int round = 0; round < 20; round++) {
		plan(&k);
		if (!k.plan.n)
			break;
		kit_carry_all(&k);
		for (size_t i = 0; i < k.n[RES_pod]; i++) {
			struct kit_pod *p = kit_pod_of(&k, object_uid(k.of[RES_pod][i]));

			if (p && !strcmp(p->seen.state, "starting"))
				kit_up(&k, object_name(k.of[RES_pod][i]));
		}
	}
	pods = k.n[RES_pod];
	assert_int_equal(pods, n * 10);
	assert_int_equal(k.plan.n, 0);
	assert_int_equal(k.conflicts, 0);
	calls = 0;
	plan(&k);
	cost = calls;
	assert_int_equal(k.plan.n, 0);
	print_message("%zu pods: %zu calls\n", pods, cost);
	kit_done(&k);
	return cost;
}

static void
a_settled_pass_grows_no_faster_than_the_number_of_objects(void **state)
{
	size_t small = settled_pass(100), large = settled_pass(1000);

	(void)state;
	assert_true(large < 13 * small); /* ten times, and the logarithm of a look-up */
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(objects_are_found_by_name_namespace_and_uid),
		T(children_and_orphans_keep_the_order_of_the_snapshot),
		T(a_selector_picks_those_with_all_its_labels_in_its_namespace),
		T(an_address_serves_as_long_as_a_rule_has_it),
		T(suffixes_have_kubernetes_letters_and_do_not_repeat),
		cmocka_unit_test(a_settled_pass_grows_no_faster_than_the_number_of_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

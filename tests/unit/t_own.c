/* t_own.c -- what is Git's stays Git's, whoever owns it besides; and who leaves with whom. */
#include "own.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RECORD(kind, name)                                                               \
	"labels: {kedge.dev/source: main}, annotations: {kedge.dev/place: 'in.yaml:1', " \
	"kedge.dev/last-applied-configuration: '{\"apiVersion\":\"v1\",\"kind\":\"" kind \
	"\",\"metadata\":{\"name\":\"" name "\"},\"data\":{\"k\":null}}'}"
#define OWNER(name, uid, more) \
	"{apiVersion: v1, kind: ConfigMap, name: " name ", uid: " uid more "}"
#define CM(name, more)                                                                  \
	"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name ", uid: u-" name \
	", " more "}\ndata: {k: v}\n"
#define WAITS "deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [foregroundDeletion]"

static struct object *
cm(struct world *w, const char *name)
{
	return (void *)snapshot_find(world_snapshot(w), RES_config_map, "default", name);
}

static char *
collected(struct world *w)
{
	struct buf out = { 0 };
	struct plan p;

	plan_init(&p, &w->arena);
	garbage_reconcile(world_snapshot(w), &p);
	plan_print(&p, &out);
	return out.at ? out.at : strdup("");
}

static void
expect(const char *yaml, const char *plan)
{
	struct world w = { 0 };
	char *got;

	world_read(&w, yaml);
	got = collected(&w);
	assert_string_equal(got, plan);
	free(got);
	arena_free(&w.arena);
}

static void
an_owner_beside_git_makes_it_nobody_elses(void **state)
{
	struct world w = { 0 };

	(void)state;
	world_read(&w,
		   CM("own", RECORD("ConfigMap", "own"))
		       CM("taken", RECORD("ConfigMap", "taken") ", ownerReferences: [" OWNER(
				       "own", "u-own", ", controller: true") "]")
			   CM("child", RECORD("ConfigMap", "own") ", ownerReferences: [" OWNER(
					   "own", "u-own", ", controller: true") "]")
			       CM("loose", "labels: {kedge.dev/source: main}"));
	assert_true(own_is_signed(cm(&w, "own")));
	assert_true(own_is_signed(cm(&w, "taken")));
	assert_false(own_is_signed(cm(&w, "child"))); /* its record speaks of another */
	assert_false(own_is_signed(cm(&w, "loose")));
	arena_free(&w.arena);
}

static void
what_a_source_left_behind_is_gits_no_longer(void **state)
{
	static const char source[] = "---\napiVersion: kedge.dev/v1\nkind: Source\n"
				     "metadata: {name: main}\nspec: {url: /x}\n";
	struct world with = { 0 }, without = { 0 };

	(void)state;
	world_read(&with, arena_printf(&with.arena, "%s%s", source,
				       CM("own", RECORD("ConfigMap", "own"))));
	world_read(&without, CM("own", RECORD("ConfigMap", "own")));
	assert_true(own_is_gits(world_snapshot(&with), cm(&with, "own")));
	assert_false(own_is_gits(world_snapshot(&without), cm(&without, "own")));
	arena_free(&with.arena);
	arena_free(&without.arena);
}

static void
git_alone_gives_it_an_owner(void **state)
{
	struct world w = { 0 };
	struct object *live, *new;
	struct owner_reference *at;

	(void)state;
	world_read(&w, CM("own", RECORD("ConfigMap", "own") ", ownerReferences: [" OWNER(
				     "x", "u-x", "") "]"));
	live = cm(&w, "own");
	new = object_clone(live, &w.arena);
	at = new->metadata->ownerReferences.at;
	assert_null(own_objection(live, &new, &w.arena));

	new = object_clone(live, &w.arena);
	at = new->metadata->ownerReferences.at;
	at->controller = true;
	assert_string_equal(own_objection(live, &new, &w.arena), "metadata.ownerReferences");

	new = object_clone(live, &w.arena);
	at = new->metadata->ownerReferences.at;
	at->uid = "u-other";
	assert_string_equal(own_objection(live, &new, &w.arena), "metadata.ownerReferences");

	new = object_clone(live, &w.arena);
	new->metadata->ownerReferences.n = 0; /* what was given before it was Git's */
	assert_null(own_objection(live, &new, &w.arena));
	arena_free(&w.arena);
}

static void
a_record_that_does_not_read_gives_nothing_away(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "{\"data\":[1]}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct world w = { 0 };
		struct object *live, *new;

		world_read(
		    &w, arena_printf(&w.arena,
				     CM("own", "labels: {kedge.dev/source: main}, "
					       "annotations: {" ANNOTATION_APPLIED ": '%s'}"),
				     bad[i]));
		live = cm(&w, "own");
		new = object_clone(live, &w.arena);
		assert_true(own_is_signed(live));
		assert_string_equal(own_objection(live, &new, &w.arena), OWN_RECORD);
		arena_free(&w.arena);
	}
}

static void
gits_outlives_an_owner_that_is_gone(void **state)
{
	(void)state;
	expect(CM("own", RECORD("ConfigMap", "own") ", ownerReferences: [" OWNER(
			     "x", "u-x", ", controller: true") "]")
		   CM("other", "ownerReferences: [" OWNER("x", "u-x", "") "]"),
	       "- delete configmap default/other  # its owner x is gone\n");
}

static void
the_foreground_waits_for_those_that_block_it(void **state)
{
	(void)state;
#define BLOCKS ", blockOwnerDeletion: true"
	expect(CM("a", WAITS) CM(
		   "b", "finalizers: [x/y], ownerReferences: [" OWNER("a", "u-a", BLOCKS) "]"),
	       "- delete configmap default/b  # its owner a is gone\n");
	expect(CM("a", WAITS)
		   CM("b", "deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [x/y], "
			   "ownerReferences: [" OWNER("a", "u-a", "") "]"),
	       "- forget configmap default/a  # its dependents are gone\n");
	/* itself, one that Git keeps, and a ring */
	expect(CM("a", WAITS ", ownerReferences: [" OWNER("a", "u-a", BLOCKS) "]"),
	       "- forget configmap default/a  # its dependents are gone\n");
	expect(CM("a", WAITS) CM("own", RECORD("ConfigMap", "own") ", ownerReferences: [" OWNER(
					    "a", "u-a", BLOCKS) "]"),
	       "- forget configmap default/a  # its dependents are gone\n");
	expect(CM("a", WAITS ", ownerReferences: [" OWNER("b", "u-b", BLOCKS) "]")
		   CM("b", WAITS ", ownerReferences: [" OWNER("a", "u-a", BLOCKS) "]"),
	       "- forget configmap default/a  # its dependents are gone\n"
	       "- forget configmap default/b  # its dependents are gone\n");
}

static void
the_foreground_goes_down_to_the_last_dependent(void **state)
{
#define OF(owner) "ownerReferences: [" OWNER(owner, "u-" owner, BLOCKS) "]"
	(void)state;
	/* first it is held, then deleted, then let go */
	expect(CM("a", WAITS) CM("b", "finalizers: [x/y], " OF("a")) CM("c", OF("b")),
	       "~ update configmap default/b  # its owner a waits: after its dependents\n");
	expect(CM("a", WAITS) CM("b", "finalizers: [foregroundDeletion], " OF("a"))
		   CM("c", OF("b")),
	       "- delete configmap default/b  # its owner a is gone\n");
	expect(CM("a", WAITS) CM("b", WAITS ", " OF("a")) CM("c", OF("b")),
	       "- delete configmap default/c  # its owner b is gone\n");
	expect(CM("a", WAITS) CM("b", WAITS ", " OF("a")),
	       "- forget configmap default/b  # its dependents are gone\n");
	/* in the background nobody waits */
	expect(CM("b", OF("a")) CM("c", OF("b")),
	       "- delete configmap default/b  # its owner a is gone\n");
}

static void
one_of_two_owners_may_go(void **state)
{
	(void)state;
	expect(CM("a", WAITS) CM("d", "")
		   CM("b", "ownerReferences: [" OWNER("a", "u-a", BLOCKS) ", " OWNER(
			       "d", "u-d", BLOCKS) "]"),
	       "~ update configmap default/b  # its owner a is gone, another stays\n");
	expect(CM("a", WAITS) CM("d", WAITS)
		   CM("b", "ownerReferences: [" OWNER("a", "u-a", BLOCKS) ", " OWNER(
			       "d", "u-d", BLOCKS) "]"),
	       "- delete configmap default/b  # its owner a is gone\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_beside_git_makes_it_nobody_elses),
		cmocka_unit_test(what_a_source_left_behind_is_gits_no_longer),
		cmocka_unit_test(git_alone_gives_it_an_owner),
		cmocka_unit_test(a_record_that_does_not_read_gives_nothing_away),
		cmocka_unit_test(gits_outlives_an_owner_that_is_gone),
		cmocka_unit_test(the_foreground_waits_for_those_that_block_it),
		cmocka_unit_test(the_foreground_goes_down_to_the_last_dependent),
		cmocka_unit_test(one_of_two_owners_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

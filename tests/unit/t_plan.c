/* t_plan.c -- an action is one line, and the line is the action again. */
#include "reads.h"
#include "reconcile/plan.h"

static const char *
printed(struct reading *r, const struct action *a)
{
	cleanup_buf struct buf b = { 0 };

	action_print(a, &b);
	return arena_strdup(&r->arena, b.at);
}

static void
an_action_prints_as_one_line(void **s)
{
	READING(r);
	struct action a = {
		ACT_SCALE, "replicaset", "default", "web-1", 3, 2, "replaced", NULL
	};

	(void)s;
	assert_string_equal(printed(&r, &a),
			    "~ scale replicaset default/web-1 3 -> 2  # replaced");
	a = (struct action){ ACT_COMMIT, "", "", "rules", 0, 7, "", NULL };
	assert_string_equal(printed(&r, &a), "~ commit rules 0 -> 7");
	a = (struct action){ ACT_DELETE, "node", "", "box", 0, 0, "", NULL };
	assert_string_equal(printed(&r, &a), "- delete node box");
	a = (struct action){ ACT_START, "pod", "a", "web", 0, 0, "a\nb\tc \x7f", NULL };
	assert_string_equal(printed(&r, &a), "+ start pod a/web  # a b c  ");
}

static void
every_verb_is_read_back_as_it_was_printed(void **s)
{
	static const struct action shapes[] = {
		{ 0, "pod", "default", "web-1", 0, 0, "", NULL },
		{ 0, "pod", "default", "web-1", 0, 0, "why # and -> why", NULL },
		{ 0, "service", "a", "web:http", 0, 5, "", NULL },
		{ 0, "", "", "rules", -1, INT64_MAX, "x", NULL },
		{ 0, "node", "", "box", 0, 0, "x", NULL },
		{ 0, "", "", "box", 0, 0, "", NULL },
		{ 0, "image", "", "example.org/team/app:1", 0, 0, "", NULL },
	};

	(void)s;
	for (int v = 0; v < ACT_COUNT; v++)
		for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
			READING(r);
			struct action a = shapes[i], b = { 0 };
			struct error *e = NULL;

			a.verb = v;
			if (action_parse(printed(&r, &a), &r.arena, &b, &e) < 0)
				fail_msg("%s", error_text(e));
			assert_string_equal(printed(&r, &b), printed(&r, &a));
			assert_int_equal(b.verb, v);
			assert_string_equal(b.kind, a.kind);
			assert_string_equal(b.ns, a.ns);
			assert_string_equal(b.name, a.name);
			assert_true(b.from == a.from && b.to == a.to);
			assert_string_equal(b.why, a.why);
		}
}

static void
a_line_that_is_no_action_is_refused(void **s)
{
	static const char *const bad[] = { "",
					   "start",
					   "+ start",
					   "+ stop pod a/b",
					   "- start pod a/b",
					   "+ start pod a/b 1 -> x",
					   "+ start pod a/b 1 2 3",
					   "+ start pod a/b extra",
					   "++ start pod a/b",
					   "+ explode pod a/b",
					   "a b c d e f g h i j",
					   NULL };
	READING(r);

	(void)s;
	for (const char *const *p = bad; *p; p++) {
		struct action a = { .name = "untouched" };
		cleanup_error struct error *e = NULL;

		if (!action_parse(*p, &r.arena, &a, &e))
			fail_msg("\"%s\" was taken for an action", *p);
		assert_int_equal(e->why, WHY_INVALID);
		assert_string_equal(a.name, "untouched");
	}
}

static void
a_plan_keeps_its_order_however_long(void **s)
{
	READING(r);
	cleanup_buf struct buf b = { 0 };
	struct plan p;

	(void)s;
	plan_init(&p, &r.arena);
	for (int i = 0; i < 1000; i++)
		plan_add(&p,
			 (struct action){ ACT_START, "pod", NULL,
					  arena_printf(&r.arena, "p%d", i), 0, 0, NULL, NULL });
	assert_int_equal(p.n, 1000);
	assert_string_equal(p.at[999].name, "p999");
	assert_string_equal(p.at[0].ns, "");
	plan_print(&p, &b);
	assert_int_equal(strncmp(b.at, "+ start pod p0\n+ start pod p1\n", 30), 0);
}

static void
the_earliest_time_to_look_again_counts(void **s)
{
	READING(r);
	struct plan p;

	(void)s;
	plan_init(&p, &r.arena);
	plan_again(&p, 0);
	assert_int_equal(p.again_at, 0);
	plan_again(&p, 50);
	plan_again(&p, 70);
	plan_again(&p, 30);
	plan_again(&p, 0);
	assert_int_equal(p.again_at, 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_action_prints_as_one_line),
		T(every_verb_is_read_back_as_it_was_printed),
		T(a_line_that_is_no_action_is_refused),
		T(a_plan_keeps_its_order_however_long),
		T(the_earliest_time_to_look_again_counts),
	};

	return RUN(tests);
}

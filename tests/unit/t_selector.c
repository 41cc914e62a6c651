/* t_selector.c -- which labels a selector picks, in structs and in kubectl's text. */
#include "reads.h"

static struct pairs
labels(struct reading *r, const char *text)
{
	struct object_meta *m = decoded(
	    r, object_meta_kind(), arena_printf(&r->arena, "labels: %s", text), SCHEMA_STRICT);

	assert_string_equal(said(r), "");
	return m->labels;
}

static void
picks(const char *selector, const char *map, bool want)
{
	READING(r);
	cleanup_error struct error *e = NULL;
	struct label_selector *sel = selector_parse(selector, &r.arena, &e);
	struct pairs p = labels(&r, map);

	if (!sel)
		fail_msg("%s: %s", selector, error_text(e));
	if (selector_matches(sel, &p) != want)
		fail_msg("\"%s\" and %s: should %smatch", selector, map, want ? "" : "not ");
}

static void
text_selectors_pick_as_kubectl_expects(void **s)
{
	static const char map[] = "{app: web, tier: front, x: ''}";

	(void)s;
	picks("", map, true);
	picks("app=web", map, true);
	picks("app==web,tier=front", map, true);
	picks("app=api", map, false);
	picks("app!=api", map, true);
	picks("nothing!=api", map, true);
	picks("app!=web", map, false);
	picks("app in (web, api)", map, true);
	picks("app in (api)", map, false);
	picks("app notin (api),tier", map, true);
	picks("nothing notin (api)", map, true);
	picks("app notin (web)", map, false);
	picks("nothing", map, false);
	picks("!nothing", map, true);
	picks(" ! app ", map, false);
	picks("x=", map, true);
	picks("example.com/a=b", "{example.com/a: b}", true);
	picks("in=notin", "{in: notin}", true);
}

static void
numbers_are_compared_as_numbers_and_what_is_none_is_not_picked(void **s)
{
	static const char map[] = "{n: '10', big: '9223372036854775807', word: ten, none: ''}";

	(void)s;
	picks("n>9", map, true);
	picks("n > 9 , n<11", map, true);
	picks("n>10", map, false);
	picks("n<10", map, false);
	picks("n<9", map, false);
	picks("big>9223372036854775806", map, true);
	picks("word>0", map, false);
	picks("word<99", map, false);
	picks("none<1", map, false);
	picks("nothing>0", map, false);
	picks("nothing<1", map, false);
}

static void
what_cannot_be_parsed_says_why(void **s)
{
	static const char *const bad[] = {
		"app web", "app in web", "app in (web", "app=web,,x",
		"=web",    "app=a b",    "app=web)",    "-x=1",
		"app<",    "app>x",      "app>9x",      "n>1 2",
		"n>-1",    "n>(1)",      "n>=1",        "n<99999999999999999999",
		NULL
	};
	READING(r);

	(void)s;
	for (const char *const *p = bad; *p; p++) {
		cleanup_error struct error *e = NULL;

		if (selector_parse(*p, &r.arena, &e))
			fail_msg("\"%s\" was taken for a selector", *p);
		assert_int_equal(e->why, WHY_BAD_REQUEST);
		assert_non_null(strstr(error_text(e), "unable to parse requirement"));
	}
}

static void
what_is_printed_can_be_read_again(void **s)
{
	static const char *const same[] = { "",
					    "app=web",
					    "app!=web",
					    "app",
					    "!app",
					    "app in (a,b)",
					    "app notin (a,b),tier=x",
					    "n>1,n<5",
					    NULL };
	READING(r);

	(void)s;
	for (const char *const *p = same; *p; p++)
		assert_string_equal(
		    selector_print(selector_parse(*p, &r.arena, NULL), &r.arena), *p);
}

static void
no_selector_picks_nothing_and_an_empty_one_everything(void **s)
{
	READING(r);
	struct pairs p = labels(&r, "{app: web}");
	struct label_selector empty = { 0 };

	(void)s;
	assert_false(selector_matches(NULL, &p));
	assert_true(selector_matches(&empty, &p));
	assert_true(selector_empty(NULL));
	assert_true(selector_empty(&empty));
	assert_string_equal(selector_print(NULL, &r.arena), "");
}

static void
labels_and_expressions_must_all_hold(void **s)
{
	READING(r);
	struct pairs p = labels(&r, "{app: web, tier: front}");
	struct label_selector *sel = decoded(
	    &r, label_selector_kind(),
	    "{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: "
	    "[back, front]}, {key: old, operator: DoesNotExist}]}",
	    SCHEMA_STRICT);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_true(selector_matches(sel, &p));
	assert_string_equal(selector_print(sel, &r.arena), "app=web,tier in (back,front),!old");
	pairs_set(&p, "old", "1", &r.arena);
	assert_false(selector_matches(sel, &p));
	assert_true(selector_map_matches(&sel->matchLabels, &p));
}

static void
too_many_words_are_refused(void **s)
{
	READING(r);
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf text = { 0 };

	(void)s;
	buf_adds(&text, "app in (v0");
	for (int i = 1; i < 250; i++)
		buf_addf(&text, ",v%d", i);
	buf_adds(&text, ")");
	assert_non_null(selector_parse(text.at, &r.arena, NULL));
	buf_adds(&text, ",b");
	assert_null(selector_parse(text.at, &r.arena, &e));
	assert_int_equal(e->why, WHY_BAD_REQUEST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(text_selectors_pick_as_kubectl_expects),
		T(numbers_are_compared_as_numbers_and_what_is_none_is_not_picked),
		T(what_cannot_be_parsed_says_why),
		T(what_is_printed_can_be_read_again),
		T(no_selector_picks_nothing_and_an_empty_one_everything),
		T(labels_and_expressions_must_all_hold),
		T(too_many_words_are_refused),
	};

	return RUN(tests);
}

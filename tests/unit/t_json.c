/* t_json.c -- the JSON reader of the API and the store, and its strings. */
#include "reads.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/utf8.h"

static struct tree *
json(struct reading *r, const char *text)
{
	return json_read(text, strlen(text), &r->arena, &r->cs);
}

static void
refused(const char *text, const char *part)
{
	READING(r);

	assert_null(json(&r, text));
	assert_int_equal(r.cs.errors, 1);
	if (!strstr(said(&r), part))
		fail_msg("\"%s\" does not say \"%s\"", said(&r), part);
}

static void
what_is_read_is_what_is_written(void **s)
{
	static const char text[] =
	    "{\"a\":[1,-5,1.5,0.1,true,false,null,\"x\"],\"b\":{\"c\":{}},\"d\":[]}";
	READING(r);

	(void)s;
	assert_string_equal(json_of(&r, json(&r, text)), text);
	assert_string_equal(json_of(&r, json(&r, "5")), "5");
	assert_string_equal(json_of(&r, json(&r, "\"x\"")), "\"x\"");
	assert_string_equal(said(&r), "");
}

static void
strings_are_escaped_as_json_wants_it(void **s)
{
	READING(r);
	const char *text = "\"q\\\" b\\\\ n\\n t\\t r\\r \\u0001 \xf0\x9f\x98\x80\"";

	(void)s;
	assert_string_equal(json_of(&r, json(&r, text)), text);
	assert_string_equal(json_of(&r, json(&r, "\"\\ud83d\\ude00\\/\"")),
			    "\"\xf0\x9f\x98\x80/\"");
}

static void
what_is_not_utf8_is_written_as_json_all_the_same(void **s)
{
	static const char *const bad[] = { "a\xff"
					   "b",
					   "a\xc3", "\xed\xa0\x80", "\xf0\x9f\x98",
					   "\xc0\x80\x1b" };

	(void)s;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		READING(r);
		cleanup_buf struct buf b = { 0 };

		tree_quote(bad[i], &b);
		assert_true(utf8_is(buf_text(&b)));
		assert_non_null(json(&r, buf_text(&b)));
		assert_non_null(strstr(b.at, "\xef\xbf\xbd"));
	}
}

static void
trees_of_json_have_no_places(void **s)
{
	READING(r);
	const struct tree *t = json(&r, "{\"a\": {\"b\": 1}}");

	(void)s;
	assert_int_equal(tree_get(t, "a")->line, 0);
	assert_string_equal(tree_get(tree_get(t, "a"), "b")->text, "1");
	assert_null(tree_get(t, "b"));
	assert_null(tree_get(tree_get(tree_get(t, "a"), "b"), "c"));
}

static void
broken_json_is_refused_with_line_and_column(void **s)
{
	(void)s;
	refused("{\"a\": 1,\n \"b\": }", "2:7: invalid JSON: ");
	refused("", "invalid JSON");
	refused("{\"a\": 1} x", "invalid JSON");
	refused("{\"a\": 1, \"a\": 2}", "duplicate object key");
	refused("{\"a\": \"\\u0000\"}", "invalid JSON");
	refused("\"\xff\"", "invalid JSON");
	refused("99999999999999999999", "invalid JSON");
}

static void
add_line(void *ctx, const char *path)
{
	buf_addf(ctx, "%s\n", path);
}

static void
what_is_said_twice_is_told_where_and_the_last_counts(void **s)
{
	static const struct {
		const char *text, *paths, *json;
	} rows[] = {
		{ "{\"a\": 1, \"b\": [\"a\", \"a\"]}", "", "{\"a\":1,\"b\":[\"a\",\"a\"]}" },
		{ "{\"a\": 1, \"a\": 2}", "a\n", "{\"a\":2}" },
		{ "{\"a\": 1, \"\\u0061\": {}, \"a\" : 3 }", "a\n", "{\"a\":3}" },
		{ " {\"s\":{\"c\":[{\"n\":1},{\"n\":\"}\\\"\",\"n\":-2e1}]},\"s\":{\"s\":null}"
		  "}",
		  "s.c[1].n\ns\n", "{\"s\":{\"s\":null}}" },
		{ "[[], {}, {\"x\":true,\"x\":[ ]}]", "[2].x\n", "[[],{},{\"x\":[]}]" },
	};

	(void)s;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_buf struct buf paths = { 0 }, json = { 0 };
		READING(r);
		struct tree *t = json_read_twice(rows[i].text, strlen(rows[i].text), &r.arena,
						 &r.cs, add_line, &paths);

		assert_non_null(t);
		tree_json(t, &json);
		assert_string_equal(buf_text(&json), rows[i].json);
		assert_string_equal(buf_text(&paths), rows[i].paths);
	}
	{
		READING(r);

		assert_null(
		    json_read_twice("{\"a\":1,\"a\":}", 13, &r.arena, &r.cs, add_line, NULL));
		assert_non_null(strstr(said(&r), "invalid JSON"));
	}
}

static void
depth_is_bounded(void **s)
{
	char deep[301] = { 0 };

	(void)s;
	memset(deep, '[', 150);
	memset(deep + 150, ']', 150);
	refused(deep, "more than 100 levels deep");
	memset(deep, '[', 3000 < sizeof deep ? 3000 : sizeof deep - 1);
	refused(deep, "invalid JSON");
}

static void
a_path_leads_as_far_down_as_the_tree_goes(void **s)
{
	READING(r);
	const struct tree *t = json(&r, "{\"a\":[{\"b\":1},{\"b\":2}],\"m\":{\"x.y/z\":3}}");

	(void)s;
	assert_string_equal(tree_at(t, "a[1].b")->text, "2");
	assert_string_equal(tree_at(t, "m[x.y/z]")->text, "3");
	assert_ptr_equal(tree_at(t, "a[1].c.d"), t->kids->kids->next);
	assert_ptr_equal(tree_at(t, "a[9]"), t->kids);
	assert_ptr_equal(tree_at(t, ""), t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_read_is_what_is_written),
		T(strings_are_escaped_as_json_wants_it),
		T(what_is_not_utf8_is_written_as_json_all_the_same),
		T(trees_of_json_have_no_places),
		T(broken_json_is_refused_with_line_and_column),
		T(what_is_said_twice_is_told_where_and_the_last_counts),
		T(depth_is_bounded),
		T(a_path_leads_as_far_down_as_the_tree_goes),
	};

	return RUN(tests);
}

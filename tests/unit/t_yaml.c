/* t_yaml.c -- the YAML reader: types, places, and what it refuses. */
#include "reads.h"

static void
refused(const char *text, const char *why)
{
	READING(r);

	assert_null(yaml(&r, text));
	assert_string_equal(said(&r), why);
	assert_int_equal(r.cs.errors, 1);
}

static void
reads_as(const char *text, const char *json)
{
	READING(r);
	struct tree *t = yaml(&r, text);

	assert_string_equal(said(&r), "");
	assert_non_null(t);
	assert_string_equal(json_of(&r, t), json);
}

static void
plain_scalars_are_typed_and_quoted_ones_are_strings(void **s)
{
	(void)s;
	reads_as("[1, -2, +3, 0x1f, 0o17, 017, 0b11, 1_000]", "[1,-2,3,31,15,15,3,1000]");
	reads_as("[1.5, .5, 1e3, 1.20]", "[1.5,0.5,1000,1.2]");
	reads_as("['1', \"true\", 'null', \"~\"]", "[\"1\",\"true\",\"null\",\"~\"]");
	reads_as("[null, ~, Null, '']", "[null,null,null,\"\"]");
	reads_as("a:\nb: x", "{\"a\":null,\"b\":\"x\"}");
	reads_as("[1.2.3, 10.0.0.1, 1-2, 5m, 64Mi, -x, 08x, 12:30]",
		 "[\"1.2.3\",\"10.0.0.1\",\"1-2\",\"5m\",\"64Mi\",\"-x\",\"08x\",\"12:30\"]");
}

static void
yes_no_on_off_are_booleans(void **s)
{
	(void)s;
	reads_as("[yes, No, ON, off, y, N, true, FALSE]",
		 "[true,false,true,false,true,false,true,false]");
	reads_as("['yes', \"no\"]", "[\"yes\",\"no\"]");
}

static void
numbers_beyond_64_bits_are_floats(void **s)
{
	READING(r);
	struct tree *t =
	    yaml(&r, "[9223372036854775807, -9223372036854775808, 9223372036854775808]");

	(void)s;
	assert_int_equal(t->kids->type, N_INT);
	assert_int_equal(t->kids->next->type, N_INT);
	assert_int_equal(t->kids->next->next->type, N_FLOAT);
}

static void
block_and_folded_strings_are_kept(void **s)
{
	(void)s;
	reads_as("a: |\n  x\n   y\nb: >-\n  p\n  q\n", "{\"a\":\"x\\n y\\n\",\"b\":\"p q\"}");
	reads_as("\"tab\\t \\u00e9 \\\" \\\\ \\u0001\"",
		 "\"tab\\t \xc3\xa9 \\\" \\\\ \\u0001\"");
}

static void
every_key_and_value_has_its_place(void **s)
{
	READING(r);
	struct tree *t = yaml(&r, "a: 1\n\xc3\xa9l\xc3\xa8ve:  {b: x}\nc:\n- d\n");
	const struct tree *e = t->kids->next;

	(void)s;
	assert_int_equal(t->kids->line, 1);
	assert_int_equal(t->kids->col, 4);
	assert_int_equal(e->key_line, 2);
	assert_int_equal(e->key_col, 1);
	assert_int_equal(e->col, 9); /* columns count letters, not bytes */
	assert_int_equal(e->kids->key_col, 10);
	assert_int_equal(e->kids->col, 13);
	assert_int_equal(e->next->kids->line, 4);
	assert_int_equal(e->next->kids->col, 3);
}

static void
a_stream_has_many_documents(void **s)
{
	READING(r);
	struct tree *t = yaml(&r, "a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n");

	(void)s;
	assert_string_equal(json_of(&r, t), "{\"a\":1}");
	assert_int_equal(t->next->type, N_NULL);
	assert_int_equal(t->next->next->type, N_NULL);
	assert_string_equal(json_of(&r, t->next->next->next), "{\"b\":2}");
	assert_null(t->next->next->next->next);
	assert_null(yaml(&r, ""));
	assert_null(yaml(&r, "# only a comment\n"));
	assert_string_equal(said(&r), "");
}

static void
json_is_read_as_well(void **s)
{
	(void)s;
	reads_as("{\"a\": [1, true, null, \"x\\/y\"],\n\t\"b\": {}}",
		 "{\"a\":[1,true,null,\"x/y\"],\"b\":{}}");
}

static void
aliases_stand_for_their_anchor(void **s)
{
	(void)s;
	reads_as(
	    "a: &x {p: 1, q: [2]}\nb: *x\nc: &y z\nd: *y\n",
	    "{\"a\":{\"p\":1,\"q\":[2]},\"b\":{\"p\":1,\"q\":[2]},\"c\":\"z\",\"d\":\"z\"}");
}

static void
a_merge_key_adds_what_the_map_has_not(void **s)
{
	(void)s;
	reads_as("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n",
		 "{\"x\":{\"a\":1,\"b\":2},\"y\":{\"b\":3,\"a\":1}}");
	reads_as("{<<: [{a: 1}, {a: 2, b: 2}], c: 3}", "{\"c\":3,\"a\":1,\"b\":2}");
	reads_as("{'<<': 1}", "{\"<<\":1}");
	refused("<<: 5\n", "1:5: << merges maps (*anchor, or a list of them), nothing else");
}

static void
tags_of_yaml_itself_are_honoured(void **s)
{
	(void)s;
	reads_as("[!!str 5, ! 6, !!int 7, !!float 1.5, !!bool yes]",
		 "[\"5\",\"6\",7,1.5,true]");
	refused("a: !!binary aGk=", "1:4: the tag !!binary is not supported");
}

/* `password: *hunter2` */
static void
a_value_that_lacks_quotes_is_not_repeated(void **s)
{
	static const char alias[] = "1:4: this alias has no anchor before it; a value that "
				    "begins with * needs quotes",
			  tag[] = "1:4: this tag is not supported; a value that begins with ! "
				  "needs quotes";

	(void)s;
	refused("a: *hunter2\n", alias);
	refused("a: !hunter2\n", tag);
	refused("a: !hunter2 b\n", tag);
	refused("a: !!hunter2\n", tag);
	refused("a: !<hunter2>\n", tag);
	refused("a: !!binary2 b\n", tag);
}

static void
a_duplicate_key_is_an_error_that_names_both(void **s)
{
	READING(r);

	(void)s;
	assert_non_null(yaml(&r, "a: 1\nb: 2\na: 3\nc: {x: 1, x: 2}\n"));
	assert_string_equal(said(&r), "3:1: the key \"a\" is already set in line 1\n"
				      "4:11: the key \"x\" is already set in line 4");
}

static void
a_duplicate_among_many_keys_is_found_too(void **s)
{
	READING(r);
	cleanup_buf struct buf b = { 0 };

	(void)s;
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "k%d: x\n", i);
	buf_adds(&b, "k500: y\n");
	yaml(&r, buf_text(&b));
	assert_string_equal(said(&r), "1001:1: the key \"k500\" is already set in line 501");
}

static void
an_editors_mark_at_the_beginning_is_skipped(void **s)
{
	(void)s;
	refused("\xef\xbb\xbf"
		"a: b\nc: [\n",
		"3:1: did not find expected node content "
		"(while parsing a flow node)");
}

static void
syntax_errors_have_a_place_and_a_reason(void **s)
{
	(void)s;
	refused("a: [1,2\nb: c\n",
		"2:2: did not find expected ',' or ']' (while parsing a flow "
		"sequence that began at line 1)");
	refused("a: b: c\n",
		"1:5: mapping values are not allowed in this context; does a value with \": \" "
		"in it lack quotes, or the line before its \":\"?");
	refused("a: b\n---\nc: @x\n", "3:4: found character that cannot start any token (while "
				      "scanning for the next token); a value that begins with "
				      "it needs quotes");
	refused("a:\n   b: c\n  d: e\n",
		"3:3: did not find expected key (while parsing a block mapping that began at "
		"line 1); is this line, or the one before, indented too much or too little?");
	refused(
	    "a: {{ .Values.a }}\n",
	    "1:5: a key must be a string; a template's {{ }} must be filled in before it is "
	    "committed (helm template does that)");
	refused("a: &x [*x]\n", "1:8: this alias is within its own anchor");
	refused("? [a]\n: b\n", "1:3: a key must be a string");
	refused("~: b\n", "1:1: a key must be a string");
	refused("a: \"\\0\"\n", "1:4: a string cannot hold a NUL character");
	refused("a: \x01\n", "1:4: control characters are not allowed");
}

static void
a_tab_is_told_to_be_a_tab(void **s)
{
	(void)s;
	refused("\ta: b\n", "1:1: a tab cannot indent YAML: use spaces");
	refused("a: b\n\tc: d\n", "2:1: found a tab character that violates indentation (while "
				  "scanning a plain scalar that began at line 1)");
}

static void
text_that_is_not_utf8_is_refused_at_its_place(void **s)
{
	static const char *const bad[] = {
		"\xff", "\x80",     "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xc3", "\xe2\x82", NULL
	};

	(void)s;
	refused("h\xc3\xa9: ok\na: \xc3(\n",
		"2:4: the byte 0xc3 is not UTF-8: save the file as UTF-8");
	for (const char *const *p = bad; *p; p++) {
		READING(r);

		assert_null(yaml(&r, *p));
		assert_int_equal(r.cs.errors, 1);
		assert_non_null(strstr(said(&r), "is not UTF-8"));
	}
	reads_as("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
}

/* libyaml alone is busy with these for a minute. */
static void
a_bomb_of_tags_is_refused_quickly(void **s)
{
	cleanup_buf struct buf b = { 0 };

	(void)s;
	for (int i = 0; i < 200000; i++)
		buf_addf(&b, "%%TAG !%x! a\n", i);
	buf_adds(&b, "---\na: 1\n");
	refused(buf_text(&b), "101:1: more than 100 %TAG lines are not read");
}

static void
a_bomb_of_aliases_is_refused_quickly(void **s)
{
	cleanup_buf struct buf b = { 0 };

	(void)s;
	buf_adds(&b, "a: &a [x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c < 'z'; c++)
		buf_addf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1,
			 c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	refused(buf_text(&b),
		"5:8: aliases expand to more than 10000 values: write them out, or fewer "
		"of them");
}

static void
a_hundred_levels_are_enough(void **s)
{
	char deep[512] = "a: ";

	(void)s;
	memset(deep + 3, '[', 99);
	memset(deep + 102, ']', 99);
	{
		READING(r);

		assert_non_null(yaml(&r, deep));
		assert_string_equal(said(&r), "");
	}
	memset(deep + 3, '[', 100);
	memset(deep + 103, ']', 100);
	refused(deep, "1:103: more than 100 levels deep");
}

static void
more_than_three_mebibytes_are_not_read(void **s)
{
	READING(r);
	cleanup_buf struct buf b = { 0 };

	(void)s;
	buf_reserve(&b, 10 << 20);
	for (int i = 0; i < 10 << 10; i++)
		buf_addf(&b, "# %1021d\n", i);
	assert_null(yaml_read(b.at, b.len, &r.arena, &r.cs));
	assert_string_equal(said(&r),
			    "1:1: the file has 10.0 MiB; more than 3 MiB are not read");
}

static void
complaints_are_sorted_by_file_line_and_column(void **s)
{
	READING(r);

	(void)s;
	r.cs.path = "b.yaml";
	complain(&r.cs, 2, 1, "x.y", "second %d", 2);
	complain_softly(&r.cs, 1, 9, NULL, "ninth");
	complain(&r.cs, 1, 2, "", "same place, first");
	complain(&r.cs, 1, 2, NULL, "same place, second");
	r.cs.path = "a.yaml";
	complain(&r.cs, 7, 1, NULL, "first file");
	r.cs.path = NULL;
	complain(&r.cs, 0, 0, "spec", "no place");
	assert_string_equal(said(&r), "spec: no place\n"
				      "a.yaml:7:1: first file\n"
				      "b.yaml:1:2: same place, first\n"
				      "b.yaml:1:2: same place, second\n"
				      "b.yaml:1:9: warning: ninth\n"
				      "b.yaml:2:1: x.y: second 2");
	assert_int_equal(r.cs.errors, 5);
	assert_int_equal(r.cs.warnings, 1);
}

static void
a_complaint_is_one_line_that_moves_no_cursor(void **s)
{
	READING(r);

	(void)s;
	complain(&r.cs, 1, 1, "a\nb", "x\ty\x1b[31m \x7f \xc2\x9b \xc3\xa9 \xf0\x9f\x98\x80");
	assert_string_equal(said(&r),
			    "1:1: a\\nb: x\\ty\\x1b[31m \\x7f \\x9b \xc3\xa9 \xf0\x9f\x98\x80");
}

static void
after_a_thousand_complaints_the_rest_is_only_counted(void **s)
{
	READING(r);
	int kept = 0;

	(void)s;
	for (int i = 0; i < 5000; i++)
		complain(&r.cs, i + 1, 1, NULL, "x");
	for (struct complaint *c = r.cs.first; c; c = c->next)
		kept++;
	assert_int_equal(kept, 1000);
	assert_int_equal(r.cs.errors, 5000);
	assert_true(complaints_full(&r.cs, false));
}

static void
warnings_do_not_crowd_out_an_error(void **s)
{
	READING(r);

	(void)s;
	for (int i = 0; i < 5000; i++)
		complain_softly(&r.cs, i + 1, 1, NULL, "x");
	assert_true(complaints_full(&r.cs, true));
	assert_false(complaints_full(&r.cs, false));
	complain(&r.cs, 1, 1, NULL, "y");
	assert_string_equal(r.cs.last->text, "y");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(plain_scalars_are_typed_and_quoted_ones_are_strings),
		T(yes_no_on_off_are_booleans),
		T(numbers_beyond_64_bits_are_floats),
		T(block_and_folded_strings_are_kept),
		T(every_key_and_value_has_its_place),
		T(a_stream_has_many_documents),
		T(json_is_read_as_well),
		T(aliases_stand_for_their_anchor),
		T(a_merge_key_adds_what_the_map_has_not),
		T(tags_of_yaml_itself_are_honoured),
		T(a_value_that_lacks_quotes_is_not_repeated),
		T(a_duplicate_key_is_an_error_that_names_both),
		T(a_duplicate_among_many_keys_is_found_too),
		T(syntax_errors_have_a_place_and_a_reason),
		T(an_editors_mark_at_the_beginning_is_skipped),
		T(a_tab_is_told_to_be_a_tab),
		T(text_that_is_not_utf8_is_refused_at_its_place),
		T(a_bomb_of_tags_is_refused_quickly),
		T(a_bomb_of_aliases_is_refused_quickly),
		T(a_hundred_levels_are_enough),
		T(more_than_three_mebibytes_are_not_read),
		T(complaints_are_sorted_by_file_line_and_column),
		T(a_complaint_is_one_line_that_moves_no_cursor),
		T(after_a_thousand_complaints_the_rest_is_only_counted),
		T(warnings_do_not_crowd_out_an_error),
	};

	return RUN(tests);
}

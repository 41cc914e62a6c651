/* t_cli.c -- what may be typed, and how answers look. */
#include "base/arena.h"
#include "daemon/cli.h"
#include "object.h"
#include "tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
what_a_terminal_would_obey_is_taken_out(void **state)
{
	json_t *j = json_pack("{s:{s:s}, s:[s, i]}", "a", "b", "x\033]0;evil\a\ty\n", "c",
			      "\302\2331m\302\240\177", 7);
	const char *s;

	(void)state;
	cli_tame(j);
	s = json_string_value(json_object_get(json_object_get(j, "a"), "b"));
	assert_string_equal(s, "x?]0;evil?\ty\n");
	s = json_string_value(json_array_get(json_object_get(j, "c"), 0));
	assert_string_equal(s, "??1m\302\240?");
	json_decref(j);
	cli_tame(NULL);
}

/* ---- parsing ---- */

static int
parse(struct cli_call *c, struct arena *a, struct error **e, const char *line)
{
	char **argv = arena_alloc(a, 40 * sizeof *argv), *rest, *text = arena_strdup(a, line);
	int argc = 0;

	for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		argv[argc++] = w;
	argv[argc] = NULL;
	return cli_parse(argc, argv, a, c, e);
}

static void
refuses(const char *line, const char *message)
{
	struct arena a = { 0 };
	struct cli_call c;
	struct error *e = NULL;

	if (!parse(&c, &a, &e, line))
		fail_msg("\"%s\" was understood", line);
	assert_string_equal(error_text(e), message);
	error_free(&e);
	arena_free(&a);
}

static void
options_may_stand_anywhere_and_in_every_form(void **state)
{
	static const char *const lines[] = {
		"kedge get pods web -n shop -o json -w",
		"kedge get -n shop pods -ojson web -w",
		"kedge get --namespace=shop pods web -wo json",
		"kedge get -nshop pods web -w -o=json",
		"kedge get pods --watch web --output json --namespace shop",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct arena a = { 0 };
		struct cli_call c;

		assert_int_equal(parse(&c, &a, NULL, lines[i]), 0);
		assert_string_equal(c.command->words, "get");
		assert_int_equal(c.n, 2);
		assert_string_equal(c.args[0], "pods");
		assert_string_equal(c.args[1], "web");
		assert_string_equal(cli_opt(&c, OPT_namespace), "shop");
		assert_string_equal(cli_opt(&c, OPT_output), "json");
		assert_non_null(cli_opt(&c, OPT_watch));
		assert_null(cli_opt(&c, OPT_selector));
		arena_free(&a);
	}
}

static void
lines_that_are_too_wide_go_on_beneath_what_they_begin_with(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "fits\n\nand this\n", "fits\n\nand this\n" },
		{ "  health    revision 2, waiting for deployment web\n",
		  "  health    revision 2, waiting for\n            deployment web\n" },
		{ "    a message that has no label before it at all\n",
		  "    a message that has no label before it\n    at all\n" },
		{ "~ update deployment web  # image web:1 -> web:2",
		  "~ update deployment web\n    # image web:1 -> web:2" },
		/* the last column whole, where it fits */
		{ "2   deploy   Applying   tester   a probe of it\n",
		  "2   deploy   Applying   tester\n    a probe of it\n" },
		/* colours are not seen, letters count once */
		{ "  \033[31mh\303\244lth\033[0m   thirty-nine columns are enough\n",
		  "  \033[31mh\303\244lth\033[0m   thirty-nine columns are enough\n" },
		{ "  url    https://example.org/a/very/long/path/that/has/no/blank\n",
		  "  url    https://example.org/a/very/long/path/that/has/no/blank\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = { 0 };

		cli_fold(rows[i].text, 41, &out);
		assert_string_equal(buf_text(&out), rows[i].want);
		buf_done(&out);
	}
}

static void
two_dashes_end_the_options(void **state)
{
	struct arena a = { 0 };
	struct cli_call c;

	(void)state;
	assert_int_equal(parse(&c, &a, NULL, "kedge diff -o json -- main"), 0);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.args[0], "main");
	assert_string_equal(cli_opt(&c, OPT_output), "json");
	assert_int_equal(parse(&c, &a, NULL, "kedge diff -- -odd"), 0);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.args[0], "-odd");
	assert_int_equal(parse(&c, &a, NULL, "kedge validate -- a -- --b"), 0);
	assert_int_equal(c.n, 3);
	assert_string_equal(c.args[1], "--");
	assert_string_equal(c.args[2], "--b");
	assert_int_equal(parse(&c, &a, NULL, "kedge diff --"), 0);
	assert_int_equal(c.n, 0);
	refuses("kedge diff -- a b", "kedge diff does not know what to do with \"b\"; it takes "
				     "[REF]");
	arena_free(&a);
}

static void
exec_leaves_the_commands_own_options_alone(void **state)
{
	static const char *const lines[] = { "kedge exec -it web -c one -- ls -l --color",
					     "kedge exec -i -t -c one web ls -l --color" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct arena a = { 0 };
		struct cli_call c;

		assert_int_equal(parse(&c, &a, NULL, lines[i]), 0);
		assert_int_equal(c.n, 1);
		assert_int_equal(c.nrest, 3);
		assert_string_equal(c.rest[0], "ls");
		assert_string_equal(c.rest[2], "--color");
		assert_non_null(cli_opt(&c, OPT_stdin));
		assert_non_null(cli_opt(&c, OPT_tty));
		assert_string_equal(cli_opt(&c, OPT_container), "one");
		arena_free(&a);
	}
}

static void
an_option_given_again_keeps_all_its_values(void **state)
{
	struct arena a = { 0 };
	struct cli_call c;
	size_t at = 0;

	(void)state;
	assert_int_equal(
	    parse(&c, &a, NULL, "kedge image import d n:1 --env A=1 --env B=2 --user 7"), 0);
	assert_string_equal(c.command->words, "image import");
	assert_string_equal(cli_opt_next(&c, OPT_env, &at), "A=1");
	assert_string_equal(cli_opt_next(&c, OPT_env, &at), "B=2");
	assert_null(cli_opt_next(&c, OPT_env, &at));
	arena_free(&a);
}

static void
what_is_not_understood_is_said_with_a_suggestion(void **state)
{
	(void)state;
	refuses("kedge statsu", "kedge has no command \"statsu\"; did you mean \"status\"?");
	refuses("kedge frobnicate",
		"kedge has no command \"frobnicate\"; `kedge help` lists them");
	refuses("kedge image",
		"kedge image needs a word more: image import, image load, image "
		"pull, image prune, image inspect, image save, image verify, image ls, "
		"image rm");
	refuses("kedge apply -f x", "kedge has no command \"apply\": what runs is changed "
				    "through Git: change the manifest, commit and push");
	refuses("kedge pods",
		"kedge has no command \"pods\"; did you mean \"kedge get pods\"?");
	refuses("kedge get pods --namspace x",
		"kedge get has no option --namspace; did you mean --namespace?");
	refuses("kedge get", "kedge get needs KIND[/NAME] [NAME...]");
	refuses("kedge get pods -o", "-o needs a value: FORMAT");
	refuses("kedge sync a b",
		"kedge sync does not know what to do with \"b\"; it takes [SOURCE]");
	refuses("kedge exec web", "kedge exec needs POD|KIND/NAME -- COMMAND...");
	refuses("kedge sync --watch", "kedge sync has no option --watch");
	refuses("kedge get pods --watch=7", "--watch takes no value");
}

static void
every_row_of_the_tables_is_complete(void **state)
{
	(void)state;
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		char options[400], *rest;

		snprintf(options, sizeof options, "%s", c->options);
		for (char *w = strtok_r(options, " ", &rest); w;
		     w = strtok_r(NULL, " ", &rest)) {
			bool known = false;

			for (int i = 0; i < OPT_COUNT; i++)
				known |= !strcmp(cli_options[i].id, w);
			if (!known)
				fail_msg("%s: there is no option %s", c->words, w);
		}
		/* two letters that mean two things in one command */
		for (int i = 0; i < OPT_COUNT; i++)
			for (int j = i + 1; j < OPT_COUNT; j++)
				if (cli_options[i].letter &&
				    cli_options[i].letter == cli_options[j].letter &&
				    *c->options && cli_command_takes(c, i) &&
				    cli_command_takes(c, j))
					fail_msg("%s: -%c is two options", c->words,
						 cli_options[i].letter);
	}
	for (int i = 0; i < OPT_COUNT; i++) {
		bool used = i == OPT_socket || i == OPT_help;

		for (const struct cli_command *c = cli_commands; c->words; c++)
			used |= *c->options && cli_command_takes(c, i);
		if (!used)
			fail_msg("no command takes --%s", cli_options[i].word);
	}
}

static void
times_are_read_as_kubectl_reads_them(void **state)
{
	(void)state;
	assert_int_equal(cli_duration("30s"), 30000);
	assert_int_equal(cli_duration("90"), 90000);
	assert_int_equal(cli_duration("1h30m"), 5400000);
	assert_int_equal(cli_duration("2d"), 172800000);
	assert_int_equal(cli_duration("0"), 0);
	assert_int_equal(cli_duration(""), -1);
	assert_int_equal(cli_duration("5x"), -1);
	assert_int_equal(cli_duration("m"), -1);
	assert_int_equal(cli_duration("-5s"), -1);
}

/* ---- YAML ---- */

static void
same(json_t *j, const struct tree *t, const char *yaml)
{
	const struct tree *kid = t->kids;
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_string(j) && (t->type != N_STRING || strcmp(t->text, json_string_value(j))))
		fail_msg("\"%s\" came back as %d \"%s\" from\n%s", json_string_value(j),
			 t->type, t->text ? t->text : "", yaml);
	if ((json_is_integer(j) && t->type != N_INT) ||
	    (json_is_null(j) && t->type != N_NULL) || (json_is_boolean(j) && t->type != N_BOOL))
		fail_msg("a scalar changed its type in\n%s", yaml);
	if (json_is_object(j)) {
		assert_int_equal(t->type, N_MAP);
		json_object_foreach(j, key, v) {
			if (!tree_get(t, key))
				fail_msg("key \"%s\" was lost in\n%s", key, yaml);
			same(v, tree_get(t, key), yaml);
		}
	}
	if (json_is_array(j)) {
		assert_int_equal(t->type, N_LIST);
		json_array_foreach(j, i, v) {
			assert_non_null(kid);
			same(v, kid, yaml);
			kid = kid->next;
		}
		assert_null(kid);
	}
}

static void
round_trip(json_t *j)
{
	struct arena a = { 0 };
	struct complaints c = { .arena = &a, .path = "x" };
	struct buf text = { 0 };
	struct tree *t;

	cli_yaml(j, &text);
	t = yaml_read(text.at, text.len, &a, &c);
	if (!t || c.errors)
		fail_msg("%s in\n%s", c.first ? complaint_print(c.first, &a) : "nothing",
			 text.at);
	same(j, t, text.at);
	buf_done(&text);
	arena_free(&a);
}

static const char *const nasty[] = {
	"",
	"yes",
	"No",
	"null",
	"~",
	"1",
	"01",
	"1.5",
	"1e3",
	"0x1f",
	"0o7",
	"10:30",
	"1_000",
	".5",
	"+1",
	"-1",
	"- a",
	"-",
	"--",
	"---",
	"-v",
	"a: b",
	"a:",
	": a",
	"a #b",
	"#a",
	"a#b",
	"[a",
	"{a",
	"*a",
	"&a",
	"!a",
	"%a",
	"@a",
	"`a",
	"'a",
	"\"a",
	"a\"b",
	" a",
	"a ",
	"a\nb",
	"a\nb\n",
	"a\n\n",
	"\na",
	"a\n b",
	" a\nb",
	"a \nb",
	"\ta",
	"a\tb",
	"\x01",
	"a\\b",
	"\xc3\xa9",
	"?",
	"? a",
	"=",
	"<<",
	"10.1.2.3",
	"true",
	"False",
	"2024-01-02",
	"2024-01-02T03:04:05Z",
	"|",
	">",
	"a|b",
	",a",
	"a,b",
	"]",
	"a]",
	"on",
	"y",
	".inf",
	".nan",
	"9e4",
	"inf",
	"nan",
	"0b1",
	"a\r\nb",
	"-.5",
	"...",
	"a\n...\nb",
};

static void
every_nasty_string_survives_as_yaml(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
		json_t *j = json_pack("{s:s,s:[s,s],s:{s:s}}", "k", nasty[i], "list", nasty[i],
				      "x", "map", "inner", nasty[i]);

		round_trip(j);
		json_decref(j);
		if (*nasty[i]) {
			j = json_pack("{s:i}", nasty[i], 1);
			round_trip(j);
			json_decref(j);
		}
	}
}

static json_t *
anything(unsigned *seed, int depth)
{
	unsigned r = *seed = *seed * 1103515245 + 12345;
	json_t *j;

	switch (r >> 16 & 7) {
	case 0:
		return json_integer((int)r);
	case 1:
		return json_boolean(r & 1);
	case 2:
		j = json_array();
		for (unsigned i = 0; depth && i < (r >> 8 & 3); i++)
			json_array_append_new(j, anything(seed, depth - 1));
		return j;
	case 3:
	case 4:
		j = json_object();
		for (unsigned i = 0; depth && i < (r >> 8 & 3); i++) {
			char key[8];

			snprintf(key, sizeof key, "k%u", i);
			json_object_set_new(j, key, anything(seed, depth - 1));
		}
		return j;
	default:
		return json_string(nasty[(r >> 8) % (sizeof nasty / sizeof *nasty)]);
	}
}

static void
any_value_survives_as_yaml(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		json_t *j = json_pack("{s:o}", "a", anything(&seed, 5));

		round_trip(j);
		json_decref(j);
	}
}

static void
yaml_looks_as_kubectls_does(void **state)
{
	json_t *j = json_loads("{\"b\":{\"q\":[],\"p\":[{\"o\":\"a\",\"m\":{}},[1,2]]},\"a\":"
			       "\"1\",\"c\":\"l1\\nl2\\n\"}",
			       0, NULL);
	struct buf text = { 0 };

	(void)state;
	cli_yaml(j, &text);
	assert_string_equal(text.at,
			    "a: \"1\"\nb:\n  p:\n  - m: {}\n    o: a\n  - - 1\n    - 2\n"
			    "  q: []\nc: |\n  l1\n  l2\n");
	buf_done(&text);
	json_decref(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_terminal_would_obey_is_taken_out),
		cmocka_unit_test(options_may_stand_anywhere_and_in_every_form),
		cmocka_unit_test(lines_that_are_too_wide_go_on_beneath_what_they_begin_with),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(exec_leaves_the_commands_own_options_alone),
		cmocka_unit_test(an_option_given_again_keeps_all_its_values),
		cmocka_unit_test(what_is_not_understood_is_said_with_a_suggestion),
		cmocka_unit_test(every_row_of_the_tables_is_complete),
		cmocka_unit_test(times_are_read_as_kubectl_reads_them),
		cmocka_unit_test(yaml_looks_as_kubectls_does),
		cmocka_unit_test(every_nasty_string_survives_as_yaml),
		cmocka_unit_test(any_value_survives_as_yaml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

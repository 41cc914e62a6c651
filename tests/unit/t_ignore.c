/* t_ignore.c -- .kedgeignore means what .gitignore means: a table, and git itself as the judge.
 */
#include "source_world.h"

#include "daemon/ignore.h"

static bool
ignores(const char *patterns, const char *path, bool folder)
{
	struct arena a = { 0 };
	struct ignore *g = ignore_read(patterns, strlen(patterns), "", NULL, &a);
	bool yes = ignore_matches(g, path, folder, NULL);

	arena_free(&a);
	return yes;
}

static void
each_rule_of_gitignore_holds(void **state)
{
	static const struct {
		const char *patterns, *path;
		bool folder, ignored;
	} t[] = {
		{ "a.yaml", "a.yaml", false, true },
		{ "a.yaml", "x/y/a.yaml", false, true },
		{ "/a.yaml", "x/a.yaml", false, false },
		{ "/a.yaml", "a.yaml", false, true },
		{ "x/a.yaml", "x/a.yaml", false, true },
		{ "x/a.yaml", "y/x/a.yaml", false, false },
		{ "d/", "d", true, true },
		{ "d/", "d", false, false },
		{ "d/", "x/d", true, true },
		{ "/d/", "x/d", true, false },
		{ "*.yaml", "x/a.yaml", false, true },
		{ "*.yaml\n!keep.yaml", "keep.yaml", false, false },
		{ "!keep.yaml\n*.yaml", "keep.yaml", false, true },
		{ "x/*.yaml", "x/a.yaml", false, true },
		{ "x/*.yaml", "x/y/a.yaml", false, false },
		{ "**/a.yaml", "a.yaml", false, true },
		{ "**/a.yaml", "x/y/a.yaml", false, true },
		{ "x/**", "x/y/a.yaml", false, true },
		{ "x/**", "x", true, false },
		{ "x/**/a.yaml", "x/a.yaml", false, true },
		{ "x/**/a.yaml", "x/y/z/a.yaml", false, true },
		{ "x/**/a.yaml", "y/a.yaml", false, false },
		{ "x**y", "xaby", false, true },
		{ "/x**y", "xa/by", false, false },
		{ "?.yaml", "a.yaml", false, true },
		{ "?.yaml", "ab.yaml", false, false },
		{ "/?b", "/b", false, false },
		{ "[a-c].yaml", "b.yaml", false, true },
		{ "[!a-c].yaml", "b.yaml", false, false },
		{ "[^a-c].yaml", "d.yaml", false, true },
		{ "[]a].yaml", "].yaml", false, true },
		{ "[[:digit:]]x", "7x", false, true },
		{ "[[:alpha:]-]x", "-x", false, true },
		{ "[a-", "a", false, false },
		{ "\\!a", "!a", false, true },
		{ "\\#a", "#a", false, true },
		{ "#a", "#a", false, false },
		{ "a ", "a", false, true },
		{ "a\\ ", "a ", false, true },
		{ "a\\*", "a*", false, true },
		{ "a\\*", "ab", false, false },
		{ "a\r\n", "a", false, true },
		{ "\xef\xbb\xbf"
		  "a",
		  "a", false, true },
		{ "", "a", false, false },
		{ "/", "a", true, false },
		{ "*", "a", false, true },
		{ "*\n!*/\n!*.yaml", "x/a.yaml", false, false },
		{ "*\n!*/\n!*.yaml", "x/a.txt", false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		if (ignores(t[i].patterns, t[i].path, t[i].folder) != t[i].ignored)
			fail_msg("\"%s\" should %signore %s", t[i].patterns,
				 t[i].ignored ? "" : "not ", t[i].path);
}

static void
the_nearest_file_has_the_last_word(void **state)
{
	struct arena a = { 0 };
	struct ignore *top = ignore_read("*.yaml\n", 7, "", NULL, &a);
	struct ignore *sub = ignore_read("!b.yaml\n/c.yml\n", 15, "x/y", top, &a);

	(void)state;
	assert_true(ignore_matches(sub, "x/y/a.yaml", false, NULL));
	assert_false(ignore_matches(sub, "x/y/b.yaml", false, NULL));
	assert_true(ignore_matches(sub, "x/y/c.yml", false, NULL));
	assert_false(ignore_matches(sub, "x/y/z/c.yml", false, NULL));
	assert_false(ignore_matches(sub, "x/yy/c.yml", false, NULL));
	assert_false(ignore_matches(NULL, "a", false, NULL));
	arena_free(&a);
}

static void
a_hostile_pattern_costs_a_bounded_time(void **state)
{
	char p[512], t[512];
	double began = seconds();

	(void)state;
	memset(t, 'a', sizeof t);
	t[sizeof t - 1] = 0;
	for (size_t i = 0; i + 2 < sizeof p; i += 2)
		memcpy(p + i, "a*", 3);
	p[508] = 'b';
	p[509] = 0;
	assert_false(ignores(p, t, false));
	for (size_t i = 0; i + 4 < sizeof p; i += 4)
		memcpy(p + i, "**/*", 5);
	assert_false(ignores(p, "x", false) && false);
	assert_true(seconds() - began < 1);
}

static void
a_walk_has_so_many_steps_and_no_more(void **state)
{
	struct arena a = { 0 };
	struct ignore *g = ignore_read("z\nz\nz\n*.yaml\n", 13, "", NULL, &a);
	int steps = 1000;

	(void)state;
	assert_true(ignore_matches(g, "a.yaml", false, &steps));
	assert_true(steps > 900 && steps < 1000);
	for (int i = 0; i < 300; i++)
		(void)ignore_matches(g, "b.yml", false, &steps);
	assert_int_equal(steps, 0);
	assert_false(ignore_matches(g, "a.yaml", false, &steps));
	arena_free(&a);
}

/* `*[[:[:[:...a]` looks for the end of each class to the end of the line. */
static void
what_a_bracket_looks_at_counts(void **state)
{
	struct arena a = { 0 };
	char p[2048] = "*[", t[256];
	struct ignore *g;
	int steps = IGNORE_STEPS_MAX;

	(void)state;
	for (size_t n = strlen(p); n + 4 < sizeof p; n += 2)
		memcpy(p + n, "[:", 3);
	strcat(p, "a]");
	memset(t, 'b', sizeof t);
	t[sizeof t - 1] = 0;
	g = ignore_read(p, strlen(p), "", NULL, &a);
	assert_false(ignore_matches(g, t, false, &steps));
	assert_true(steps <= IGNORE_STEPS_MAX - 100000);
	arena_free(&a);
}

/* Random patterns and paths from few letters, so that they meet often. */
static void
git_agrees_on_random_patterns(void **state)
{
	static const char *const bits[] = { "a", "b",  "*", "**", "/", "?", "[ab]",
					    "!", "\\", "a", "/",  ".", "-", "[!a]" };
	struct world w;
	unsigned seed = 7;
	struct buf patterns[100] = { { 0 } };
	int differ = 0, hits = 0;

	(void)state;
	world_new(&w);
	sh(&w,
	   "git init -q r; cd r; for d in a b a/a a/c b/a a/c/a; do mkdir -p $d; touch $d/a.b "
	   "$d/b $d/-; done; find . -name .git -prune -o ! -type d -print | sed 's,^./,,' "
	   ">../all");
	for (int i = 0; i < 100; i++) {
		char *cmd, line[256], *all;
		FILE *f, *out;

		for (int k = 0; k < 3; k++) {
			for (int n = 1 + rand_r(&seed) % 5; n > 0; n--)
				buf_adds(&patterns[i], bits[rand_r(&seed) % 14]);
			buf_addc(&patterns[i], '\n');
		}
		write_file(&w, "r/.gitignore", patterns[i].at);
		sh(&w, "cd r; git check-ignore --no-index --stdin <../all >../ignored || true");
		xasprintf(&all, "%s/all", w.dir);
		f = fopen(all, "r");
		assert_non_null(f);
		while (fgets(line, sizeof line, f)) {
			bool git = false, ours = false;
			char seen[256];

			line[strcspn(line, "\n")] = 0;
			xasprintf(&cmd, "%s/ignored", w.dir);
			out = fopen(cmd, "r");
			free(cmd);
			while (fgets(seen, sizeof seen, out)) {
				seen[strcspn(seen, "\n")] = 0;
				git |= !strcmp(seen, line);
			}
			fclose(out);
			/* As a walk does: no way past an ignored folder. */
			for (char *s = line; !ours && *s; s++)
				if (*s == '/') {
					*s = 0;
					ours = ignores(patterns[i].at, line, true);
					*s = '/';
				}
			ours = ours || ignores(patterns[i].at, line, false);
			hits += git;
			if (git != ours && differ++ < 5)
				print_error("patterns:\n%spath %s: git says %d, we %d\n",
					    patterns[i].at, line, git, ours);
		}
		fclose(f);
		free(all);
		buf_done(&patterns[i]);
	}
	assert_int_equal(differ, 0);
	assert_true(hits > 50);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_of_gitignore_holds),
		cmocka_unit_test(the_nearest_file_has_the_last_word),
		cmocka_unit_test(a_hostile_pattern_costs_a_bounded_time),
		cmocka_unit_test(a_walk_has_so_many_steps_and_no_more),
		cmocka_unit_test(what_a_bracket_looks_at_counts),
		cmocka_unit_test(git_agrees_on_random_patterns),
	};

	return cmocka_run_group_tests_name("ignore", tests, NULL, NULL);
}

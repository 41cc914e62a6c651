/* Sources as the brain sees them, with real workers and a real git. */
#include "source_world.h"

static void
a_push_is_seen_at_once(void **state)
{
	struct world w;
	double began;

	(void)state;
	world_new(&w);
	world_git(&w);
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1");
	assert_string_equal(source_head(w.s, "main")->message, "first\n");
	assert_string_equal(source_head(w.s, "main")->author, "Ada <ada@example.org>");
	assert_false(source_head(w.s, "main")->forced);
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	began = seconds();
	assert_news(&w, SOURCE_MOVED, 5);
	assert_true(seconds() - began < 0.1);
	assert_shows(&w, "web.yaml:web=2");
	assert_string_equal(source_error(w.s, "main"), "");
	world_end(&w);
}

static void
a_directory_is_snapshotted(void **state)
{
	struct world w;
	char dir[96];

	(void)state;
	world_new(&w);
	snprintf(dir, sizeof dir, "%s/d", w.dir);
	sh(&w, "mkdir -p d/sub");
	write_config(&w, "d/sub/a.yaml", "a", "1");
	world_watch(&w, "directory", dir);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "sub/a.yaml:a=1");
	assert_string_equal(source_head(w.s, "main")->author, "kedge <kedge@localhost>");
	write_config(&w, "d/b.yml", "b", "1");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "b.yml:b=1 sub/a.yaml:a=1");
	sh(&w, "rm d/b.yml");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "sub/a.yaml:a=1");
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_is_seen_at_once),
		cmocka_unit_test(a_directory_is_snapshotted),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}

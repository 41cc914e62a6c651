/* t_source_write.c -- a file of the followed branch changed by a commit, and by whom not. */
#include "source_world.h"

/* What the file is, as Git names it. */
static void
blob_of(struct world *w, const char *path, char ret[64])
{
	char cmd[600];
	FILE *f;

	snprintf(cmd, sizeof cmd, "git -C %s/repo.git rev-parse main:%s", w->dir, path);
	f = popen(cmd, "re");
	assert_non_null(f);
	assert_non_null(fgets(ret, 64, f));
	ret[strcspn(ret, "\n")] = 0;
	pclose(f);
}

static const struct written_seen *
ask(struct world *w, int64_t id, const char *path, const char *blob,
    const struct write_splice *splices, size_t n)
{
	struct write_args args = { .id = id,
				   .path = path,
				   .blob = blob,
				   .author = "ann <ann@kedge>",
				   .message = "web: changed\n" };
	struct error *e = NULL;

	if (w->args.have) /* as the brain says it of a removal */
		args.head = w->args.have;
	args.splices.at = (struct write_splice *)splices;
	args.splices.n = n;
	if (source_write(w->s, "main", &args, &e))
		fail_msg("%s", error_text(e));
	assert_news(w, SOURCE_WRITTEN, 5);
	assert_int_equal(source_written(w->s, "main")->id, id);
	return source_written(w->s, "main");
}

static void
begin(struct world *w, bool write_back)
{
	world_new(w);
	world_git(w);
	w->args.writeBack = write_back;
	world_watch(w, "git", w->repo);
	assert_news(w, SOURCE_MOVED, 5);
	assert_news(w, SOURCE_WRITABLE, 5);
	assert_true(source_writable(w->s, "main"));
}

static void
a_file_is_changed_by_a_commit_on_the_tip(void **state)
{
	const struct written_seen *seen;
	struct write_splice s = { .drop = 0 };
	struct world w;
	char blob[64];

	(void)state;
	begin(&w, true);
	blob_of(&w, "web.yaml", blob);
	s.at =
	    (int64_t)(strlen("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n"
			     "  value: \""));
	s.drop = 1;
	s.text = "22";
	/* somebody pushes another file, unseen by who asks */
	write_config(&w, "work/other.yaml", "other", "1");
	push(&w, "other");
	seen = ask(&w, 7, "web.yaml", blob, &s, 1);
	assert_string_equal(seen->error ? seen->error : "", "");
	assert_int_equal(strlen(seen->commit), 40);
	assert_string_equal(source_head(w.s, "main")->commit, seen->commit);
	assert_string_equal(source_head(w.s, "main")->author, "ann <ann@kedge>");
	assert_shows(&w, "other.yaml:other=1 web.yaml:web=22");
	sh(&w,
	   "test \"$(git -C repo.git log -3 --format=%%s main | xargs)\" = 'web: changed other "
	   "first'; git -C repo.git fsck --strict");
	world_end(&w);
}

static void
one_that_is_another_by_now_is_left_alone(void **state)
{
	const struct written_seen *seen;
	struct write_splice s = { .at = 0, .drop = 0, .text = "# x\n" };
	struct world w;
	char blob[64];

	(void)state;
	begin(&w, true);
	blob_of(&w, "web.yaml", blob);
	write_config(&w, "work/web.yaml", "web", "3");
	push(&w, "another");
	seen = ask(&w, 8, "web.yaml", blob, &s, 1);
	assert_true(seen->moved);
	assert_shows(&w, "web.yaml:web=3"); /* and who asked knows it already */
	seen = ask(&w, 9, "gone.yaml", blob, &s, 1);
	assert_true(seen->moved);
	sh(&w, "test $(git -C repo.git rev-list --count main) = 2");
	world_end(&w);
}

static void
what_consents_to_removals_goes_on_no_unseen_push(void **state)
{
	struct write_splice s = { .at = 0, .drop = 0, .text = "# x\n" };
	const struct written_seen *seen;
	struct world w;
	char blob[64], head[65];

	(void)state;
	begin(&w, true);
	blob_of(&w, "web.yaml", blob);
	snprintf(head, sizeof head, "%s", source_head(w.s, "main")->commit);
	w.args.have = head;
	write_config(&w, "work/other.yaml", "other", "1");
	push(&w, "other");
	seen = ask(&w, 7, "web.yaml", blob, &s, 1);
	assert_true(seen->moved);
	assert_shows(&w, "other.yaml:other=1 web.yaml:web=1");
	snprintf(head, sizeof head, "%s", source_head(w.s, "main")->commit);
	assert_int_equal(strlen(ask(&w, 8, "web.yaml", blob, &s, 1)->commit), 40);
	w.args.have = NULL;
	world_end(&w);
}

static void
malformed_changes_are_refused(void **state)
{
	static const struct write_splice bad[][2] = {
		{ { .at = 1000, .text = "x" }, { .at = 1000 } },
		{ { .at = 1, .drop = 1000 }, { .at = 1001 } },
		{ { .at = 5, .drop = 2 }, { .at = 4, .text = "x" } },
	};
	struct world w;
	char blob[64];

	(void)state;
	begin(&w, true);
	blob_of(&w, "web.yaml", blob);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct written_seen *seen = ask(&w, 20 + i, "web.yaml", blob, bad[i], 2);

		assert_string_equal(seen->error, "a malformed change of web.yaml");
		assert_false(seen->moved);
	}
	assert_string_equal(ask(&w, 30, "web.yaml", "nonsense", bad[0], 0)->error,
			    "\"nonsense\" is no file's id");
	sh(&w, "test $(git -C repo.git rev-list --count main) = 1");
	world_end(&w);
}

/* The hand has said so; what the brain says does not count. */
static void
nothing_is_written_where_the_hand_has_not_allowed_it(void **state)
{
	struct write_splice s = { .text = "# x\n" };
	struct watch_args bound;
	struct world w;
	char blob[64];

	(void)state;
	world_new(&w);
	world_git(&w);
	bound = (struct watch_args){ .url = w.repo, .type = "git" };
	w.bound = &bound;
	w.args.writeBack = true; /* the brain's word */
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	blob_of(&w, "web.yaml", blob);
	assert_non_null(
	    strstr(ask(&w, 1, "web.yaml", blob, &s, 1)->error, "may not be written to"));
	sh(&w, "test $(git -C repo.git rev-list --count main) = 1");
	world_end(&w);
}

static void
nothing_beside_the_folder_that_is_followed_is_written(void **state)
{
	struct write_splice s = { .text = "# x\n" };
	struct world w;
	char blob[64];

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir work/sub; cp work/web.yaml work/sub/a.yaml");
	push(&w, "sub");
	w.args.writeBack = true;
	w.args.path = "sub";
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	blob_of(&w, "web.yaml", blob);
	assert_string_equal(ask(&w, 1, "web.yaml", blob, &s, 1)->error,
			    "web.yaml is not in sub");
	assert_string_equal(ask(&w, 2, "sub/../web.yaml", blob, &s, 1)->commit
				? ask(&w, 3, "sub/../web.yaml", blob, &s, 1)->commit
				: "",
			    "");
	assert_int_equal(strlen(ask(&w, 4, "sub/a.yaml", blob, &s, 1)->commit), 40);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_changed_by_a_commit_on_the_tip),
		cmocka_unit_test(one_that_is_another_by_now_is_left_alone),
		cmocka_unit_test(what_consents_to_removals_goes_on_no_unseen_push),
		cmocka_unit_test(malformed_changes_are_refused),
		cmocka_unit_test(nothing_is_written_where_the_hand_has_not_allowed_it),
		cmocka_unit_test(nothing_beside_the_folder_that_is_followed_is_written),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

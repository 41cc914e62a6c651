/* t_source.c -- Git repositories as sources: real workers, real pushes by a real git. */
#include "daemon/ignore.h"
#include "source_world.h"
#include <fcntl.h>

/* A repository with one commit, which is seen. */
static void
repo_follow(struct world *w)
{
	world_new(w);
	world_git(w);
	world_watch(w, "git", w->repo);
	assert_news(w, SOURCE_MOVED, 5);
}

static void
a_push_is_seen_at_once(void **state)
{
	struct world w;
	double began;

	(void)state;
	repo_follow(&w);
	assert_shows(&w, "web.yaml:web=1");
	assert_string_equal(source_head(w.s, "main")->message, "first\n");
	assert_string_equal(source_head(w.s, "main")->author, "Ada <ada@example.org>");
	assert_false(source_head(w.s, "main")->forced);
	assert_false(source_head(w.s, "main")->prune_ok);
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	began = seconds();
	assert_news(&w, SOURCE_MOVED, 5);
	assert_true(seconds() - began < 1);
	assert_shows(&w, "web.yaml:web=2");
	assert_string_equal(source_error(w.s, "main"), "");
	assert_string_equal(source_note(w.s, "main"), "");
	world_end(&w);
}

static void
pushes_are_seen_through_packed_refs_and_gc(void **state)
{
	struct world w;

	(void)state;
	repo_follow(&w);
	sh(&w, "git -C repo.git pack-refs --all; git -C repo.git gc -q --prune=now");
	assert_true(world_is_quiet(&w, 0.3));
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=2");
	write_config(&w, "work/web.yaml", "web", "3");
	push(&w, "third");
	assert_news(&w, SOURCE_MOVED, 5);
	sh(&w, "git -C repo.git gc -q --prune=now --aggressive");
	write_config(&w, "work/web.yaml", "web", "4");
	sh(&w, "cd work; git commit -qam fourth; git push -q origin HEAD; git -C ../repo.git "
	       "gc -q");
	await_shows(&w, "web.yaml:web=4", 5);
	world_end(&w);
}

static void
a_branch_in_a_folder_may_come_later(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	w.args.ref = "team/blue/prod";
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(
	    strstr(source_error(w.s, "main"), "no branch, tag or commit \"team/blue/prod\""));
	assert_null(source_head(w.s, "main"));
	sh(&w, "cd work; git push -q origin HEAD:team/blue/prod");
	assert_news(&w, SOURCE_MOVED, 2);
	assert_string_equal(source_error(w.s, "main"), "");
	write_config(&w, "work/web.yaml", "web", "2");
	sh(&w, "cd work; git commit -qam second; git push -q origin HEAD:team/blue/prod");
	assert_news(&w, SOURCE_MOVED, 2);
	assert_shows(&w, "web.yaml:web=2");
	world_end(&w);
}

static void
a_tag_and_a_commit_id_can_be_watched(void **state)
{
	struct world w;
	char id[8] = "";
	char *path;
	FILE *f;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w,
	   "cd work; git tag -a v1 -m one; git push -q origin v1; git rev-parse HEAD >../id");
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	w.args.ref = "v1";
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	xasprintf(&path, "%s/id", w.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(id, sizeof id, f));
	fclose(f);
	free(path);
	source_detach(w.s, "main");
	w.args.ref = id;
	world_attach(&w);
	await_shows(&w, "web.yaml:web=1", 5);
	world_end(&w);
}

static void
an_ordinary_repository_is_watched_by_its_commits(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	world_watch(&w, "git", w.work);
	assert_news(&w, SOURCE_MOVED, 5);
	write_config(&w, "work/web.yaml", "web", "2");
	assert_true(world_is_quiet(&w, 0.2)); /* not committed yet */
	sh(&w, "cd work; git commit -qam second");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=2");
	assert_false(source_writable(w.s, "main")); /* the branch is checked out there */
	world_end(&w);
}

static void
a_force_push_is_told_and_a_deleted_branch_keeps_the_last_head(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "git -C repo.git config receive.denyDeleteCurrent ignore");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	write_config(&w, "work/web.yaml", "web", "2");
	sh(&w, "cd work; git commit -qa --amend -m other; git push -q -f origin HEAD");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_true(source_head(w.s, "main")->forced);
	assert_shows(&w, "web.yaml:web=2");
	sh(&w, "cd work; git push -q origin :main");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "\"main\" has no commit"));
	assert_shows(&w, "web.yaml:web=2");
	sh(&w, "cd work; git push -q origin main");
	assert_news(&w, SOURCE_FAILED, 5); /* fine again, and nothing is new */
	assert_string_equal(source_error(w.s, "main"), "");
	world_end(&w);
}

static void
a_subfolder_is_all_that_is_sent_and_read(void **state)
{
	struct world w;
	char *text;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir -p work/clusters/one work/other; ln -s nowhere work/other/link.yaml; "
	       "head -c 3000000 /dev/urandom >work/other/big.yaml");
	write_config(&w, "work/clusters/one/a.yaml", "a", "1");
	push(&w, "folders");
	w.args.path = "/clusters//one/";
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "clusters/one/a.yaml:a=1");
	text = source_text(w.s, source_head(w.s, "main")->commit, "clusters/one/a.yaml", NULL);
	assert_non_null(text);
	assert_non_null(strstr(text, "ConfigMap"));
	free(text);
	sh(&w, "cd work; git rm -rq clusters; git commit -qm gone; git push -q origin HEAD");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, " !clusters/one: the source's path is no folder in this commit");
	world_end(&w);
}

static void
hidden_and_ignored_files_are_left_out(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir -p work/.github work/drafts/x work/a; echo 'not: a manifest' "
	       ">work/notes.txt");
	write_config(&w, "work/.github/ci.yaml", "ci", "1");
	write_config(&w, "work/.hidden.yaml", "hidden", "1");
	write_config(&w, "work/drafts/x/d.yaml", "d", "1");
	write_config(&w, "work/a/keep.json.yaml", "keep", "1");
	write_config(&w, "work/a/skip-1.yaml", "skip", "1");
	write_file(&w, "work/.kedgeignore", "# comment\ndrafts/\nskip-*\n");
	push(&w, "folders");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a/keep.json.yaml:keep=1 web.yaml:web=1");
	/* A change of what is ignored reads what was not read before. */
	write_file(&w, "work/.kedgeignore", "drafts/\n");
	push(&w, "ignore less");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a/keep.json.yaml:keep=1 a/skip-1.yaml:skip=1 web.yaml:web=1");
	write_file(&w, "work/a/.kedgeignore", "*\n!keep*\n");
	push(&w, "ignore in a folder");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a/keep.json.yaml:keep=1 web.yaml:web=1");
	world_end(&w);
}

static void
an_ignore_file_without_end_is_named(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir work/a; yes a | head -c 70000 >work/a/.kedgeignore");
	write_config(&w, "work/a/b.yaml", "b", "1");
	push(&w, "patterns");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1 !a/.kedgeignore: " IGNORE_TOO_LARGE);
	write_file(&w, "work/a/.kedgeignore", "a\n");
	push(&w, "a few");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a/b.yaml:b=1 web.yaml:web=1");
	world_end(&w);
}

static void
ignore_files_that_are_too_much_together_spoil_nothing_for_good(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "for i in $(seq 10 28); do mkdir work/d$i; yes z$i | head -c 60000 "
	       ">work/d$i/.kedgeignore; done");
	write_config(&w, "work/d28/b.yaml", "b", "1");
	push(&w, "patterns");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1 !d27/.kedgeignore: " IGNORE_TOO_LARGE
			 " !d28/.kedgeignore: " IGNORE_TOO_LARGE);
	/* not in one of those that were refused */
	sh(&w, "for i in $(seq 10 15); do echo z >work/d$i/.kedgeignore; done");
	push(&w, "fewer");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "d28/b.yaml:b=1 web.yaml:web=1");
	world_end(&w);
}

static void
links_and_submodules_are_named_with_their_path(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir work/sub; ln -s ../web.yaml work/sub/link.yaml; cd work; "
	       "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),module");
	sh(&w, "cd work; git add sub; git commit -qm links; git push -q origin HEAD");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(
	    &w,
	    "web.yaml:web=1 "
	    "!module: is a submodule; kedge fetches none: copy its manifests here, or name it "
	    "in "
	    ".kedgeignore "
	    "!sub/link.yaml: is a symbolic link; kedge follows none: put the file itself here, "
	    "or name it in .kedgeignore");
	write_file(&w, "work/.kedgeignore", "module\n/sub/link.yaml\n");
	sh(&w, "cd work; git add .kedgeignore; git commit -qm ignore; git push -q origin HEAD");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1");
	world_end(&w);
}

static void
names_that_git_would_not_make_are_refused(void **state)
{
	static const struct {
		const char *name, *says;
	} names[] = {
		{ "..", "..: is a name for another folder" },
		{ ".git", ".git: is Git's own name" },
		{ ".GiT", ".GiT: is Git's own name" },
		{ "git~1", "git~1: is Git's own name" },
		{ "a\\\\b.yaml", "a\\b.yaml: has a slash in its name" },
		{ "a\\033b.yaml", "has a control character in its name" },
	};
	struct world w;

	(void)state;
	repo_follow(&w);
	sh(&w, "git -C repo.git rev-parse main:web.yaml >blob");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *got;

		sh(&w,
		   "cd repo.git; b=$(cat ../blob) perl -e "
		   "'print \"100644 %s\\0\", pack(\"H40\", $ENV{b})' >../tree; "
		   "t=$(git hash-object -t tree -w --literally ../tree); "
		   "c=$(git commit-tree $t -p main -m odd); git update-ref refs/heads/main $c",
		   names[i].name);
		assert_news(&w, SOURCE_MOVED, 5);
		got = world_show(&w, NULL);
		if (!strstr(got, names[i].says))
			fail_msg("%s: %s", names[i].name, got);
		free(got);
	}
	world_end(&w);
}

static void
a_gone_repository_keeps_what_runs_and_comes_back(void **state)
{
	struct world w;

	(void)state;
	repo_follow(&w);
	sh(&w, "mv repo.git away.git");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "the repository is gone"));
	assert_shows(&w, "web.yaml:web=1");
	sh(&w, "mv away.git repo.git");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_string_equal(source_error(w.s, "main"), "");
	/* Another repository at the same place needs a worker with other walls. */
	sh(&w, "git clone -q --bare repo.git new.git; rm -rf repo.git; mv new.git repo.git");
	assert_news(&w, SOURCE_LOST, 5);
	assert_int_equal(source_fd(w.s, "main"), -1);
	world_attach(&w);
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	assert_news(&w, SOURCE_MOVED, 5);
	world_end(&w);
}

static void
a_commit_of_no_folder_says_so(void **state)
{
	struct world w;

	(void)state;
	repo_follow(&w);
	sh(&w,
	   "cd repo.git; b=$(git rev-parse main:web.yaml); "
	   "c=$(printf 'tree %%s\\nauthor a <a@b> 1 +0000\\ncommitter a <a@b> 1 +0000\\n\\nx' "
	   "$b | git hash-object -t commit -w --literally --stdin); echo $c >refs/heads/main");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_string_equal(source_error(w.s, "main"), "/: is not a tree (try git fsck)");
	assert_shows(&w, "web.yaml:web=1");
	world_end(&w);
}

/* Each folder holds the next one ten times: a few objects, 111,111 folders. */
static void
a_bomb_of_folders_is_refused(void **state)
{
	struct world w;
	char *got;

	(void)state;
	repo_follow(&w);
	sh(&w,
	   "cd repo.git; b=$(echo | git hash-object -w --stdin); "
	   "t=$(printf '100644 blob %%s\\tREADME\\n' $b | git mktree); for i in 1 2 3 4 5; do "
	   "t=$(for k in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %%s\\td%%s\\n' $t $k; "
	   "done | git mktree); done; "
	   "git update-ref refs/heads/main $(git commit-tree $t -p main -m bomb)");
	assert_news(&w, SOURCE_MOVED, 30);
	got = world_show(&w, NULL);
	assert_non_null(
	    strstr(got, "one folder too many: kedge looks into at most 100000 of a source"));
	free(got);
	world_end(&w);
}

static void
a_damaged_source_says_which_file(void **state)
{
	struct world w;

	(void)state;
	repo_follow(&w);
	write_config(&w, "work/web.yaml", "web", "2");
	sh(&w,
	   "cd work; git commit -qam second; git push -q origin HEAD:other; cd ../repo.git; "
	   "b=$(git rev-parse other:web.yaml); f=objects/$(echo $b | cut -c1-2)/$(echo $b | "
	   "cut "
	   "-c3-); chmod u+w $f; cp $f ../good; echo garbage >$f; git update-ref "
	   "refs/heads/main "
	   "$(git rev-parse other); echo $f >../name");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(
	    strstr(source_error(w.s, "main"), "web.yaml: cannot be read (try git fsck)"));
	assert_shows(&w, "web.yaml:web=1");
	sh(&w, "cp good repo.git/$(cat name)");
	source_sync(w.s, "main", false, NULL);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=2");
	world_end(&w);
}

static void
a_plain_folder_is_not_taken_for_a_repository(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	sh(&w, "mkdir plain");
	snprintf(w.repo, sizeof w.repo, "%s/plain", w.dir);
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "is not a Git repository"));
	sh(&w, "rm -r plain");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "there is nothing here"));
	/* When it appears, the same worker opens it. */
	sh(&w, "git init -q --bare -b main plain; git clone -q plain work");
	write_config(&w, "work/web.yaml", "web", "1");
	sh(&w, "cd work; git checkout -q -b main");
	push(&w, "first");
	assert_news(&w, SOURCE_MOVED, 5);
	world_end(&w);
}

static void
a_rollback_is_a_commit_in_the_source(void **state)
{
	struct world w;
	struct error *e = NULL;
	char first[65];

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir work/deploy; mv work/web.yaml work/deploy; echo 1 >work/README");
	push(&w, "into a folder");
	w.args.path = "deploy";
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	snprintf(first, sizeof first, "%s", source_head(w.s, "main")->commit);
	write_config(&w, "work/deploy/web.yaml", "web", "2");
	sh(&w, "echo 2 >work/README");
	push(&w, "second");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "deploy/web.yaml:web=2");
	assert_true(source_writable(w.s, "main"));
	assert_int_equal(source_revert_to(w.s, "main", first, "Grace <grace@example.org>",
					  "Roll back to 1\n", &e),
			 0);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "deploy/web.yaml:web=1");
	assert_string_equal(source_head(w.s, "main")->author, "Grace <grace@example.org>");
	assert_false(source_head(w.s, "main")->forced);
	assert_news(&w, SOURCE_ANSWERED, 5);
	assert_string_equal(source_answer(w.s, "main"), "");
	/* The rest of the repository is as it was, and a user can pull it. */
	sh(&w, "git -C repo.git fsck --strict; cd work; git pull -q --ff-only; "
	       "test $(cat README) = 2; test $(git rev-list --count HEAD) = 4");
	/* The same again changes nothing. */
	assert_int_equal(source_revert_to(w.s, "main", first, "G <g@e>", "again", &e), 0);
	assert_news(&w, SOURCE_ANSWERED, 5);
	assert_non_null(strstr(source_answer(w.s, "main"), "already is as it was in "));
	assert_non_null(strstr(source_answer(w.s, "main"),
			       ": name another revision (kedge history lists them)"));
	world_end(&w);
}

static void
a_new_worker_goes_on_where_the_last_one_was(void **state)
{
	struct world w;
	struct error *e = NULL;

	(void)state;
	repo_follow(&w);
	kill(w.worker, SIGKILL);
	assert_news(&w, SOURCE_LOST, 5);
	assert_shows(&w, "web.yaml:web=1");
	world_attach(&w);
	assert_true(world_is_quiet(&w, 0.3)); /* nothing is sent twice */
	/* The brain too. */
	sources_close(w.s);
	assert_int_equal(sources_open(w.mirror, &w.s, &e), 0);
	world_attach(&w);
	assert_shows(&w, "web.yaml:web=1");
	assert_true(world_is_quiet(&w, 0.3));
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "second");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_false(source_head(w.s, "main")->forced);
	world_end(&w);
}

static void
a_request_is_answered_and_a_trailer_is_read(void **state)
{
	struct world w;
	struct error *e = NULL;

	(void)state;
	world_new(&w);
	world_git(&w);
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "Remove much\n\nIt is no longer needed.\n\nKedge-Prune: yes");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_true(source_head(w.s, "main")->prune_ok);
	assert_int_equal(source_sync(w.s, "main", false, &e), 0);
	assert_news(&w, SOURCE_ANSWERED, 5);
	assert_string_equal(source_answer(w.s, "main"), "");
	world_end(&w);
}

static void
edits_of_one_file_keep_the_others_pointers(void **state)
{
	struct world w;
	struct arena arena = { 0 };
	struct complaints said = { .arena = &arena };
	struct manifest_set *one = NULL, *two = NULL;
	struct error *e = NULL;

	(void)state;
	world_new(&w);
	world_git(&w);
	sh(&w, "mkdir work/sub");
	write_config(&w, "work/sub/a.yaml", "a", "1");
	write_config(&w, "work/z.yaml", "z", "1");
	push(&w, "second");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_int_equal(source_manifests(w.s, "main", source_head(w.s, "main")->commit, NULL,
					  &one, &said, &e),
			 0);
	write_config(&w, "work/web.yaml", "web", "2");
	push(&w, "third");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_int_equal(source_manifests(w.s, "main", source_head(w.s, "main")->commit, NULL,
					  &two, &said, &e),
			 0);
	assert_int_equal(one->n, 3);
	assert_int_equal(two->n, 3);
	assert_ptr_equal(one->at[0], two->at[0]);
	assert_ptr_not_equal(one->at[1], two->at[1]);
	assert_ptr_equal(one->at[2], two->at[2]);
	source_detach(w.s, "main"); /* the sets outlive it */
	assert_string_equal(object_name(one->at[1]->obj), "web");
	manifest_set_free(one);
	assert_string_equal(object_name(two->at[0]->obj), "a");
	manifest_set_free(two);
	arena_free(&arena);
	world_end(&w);
}

static void
the_same_object_in_two_files_is_an_error_until_it_is_gone(void **state)
{
	struct world w;
	char *got;

	(void)state;
	world_new(&w);
	world_git(&w);
	write_config(&w, "work/again.yaml", "web", "9");
	push(&w, "second");
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	for (int i = 0; i < 2; i++) { /* cached or not */
		got = world_show(&w, NULL);
		assert_non_null(strstr(got, "again.yaml"));
		assert_non_null(strstr(got, " !"));
		free(got);
	}
	sh(&w, "rm work/again.yaml");
	push(&w, "third");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1");
	write_config(&w, "work/other.yaml", "web", "9");
	push(&w, "fourth");
	assert_news(&w, SOURCE_MOVED, 5);
	got = world_show(&w, NULL);
	assert_non_null(strstr(got, " !"));
	free(got);
	world_end(&w);
}

/* Whatever lies there: open() waits for good, in libgit2 or in us. */
static void
what_waits_for_good_ends_the_worker(void **state)
{
	static const char *const places[] = { "refs/heads/main", "HEAD", "packed-refs",
					      "config", "objects/info/alternates" };
	struct world w;

	(void)state;
	world_new(&w);
	world_git(&w);
	w.args.timeout = 1;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		sh(&w, "cp -a repo.git whole; %s rm -f repo.git/%s; mkfifo repo.git/%s",
		   i ? "git -C repo.git pack-refs --all;" : "", places[i], places[i]);
		world_watch(&w, "git", w.repo);
		if (!world_await(&w, SOURCE_FAILED, 20) || !*source_error(w.s, "main"))
			fail_msg("%s: no word", places[i]);
		if (!i)
			assert_non_null(
			    strstr(source_error(w.s, "main"), "no further for 1 s"));
		worker_kill(&w);
		sh(&w, "rm -r repo.git; mv whole repo.git");
		world_attach(&w);
		for (double end = seconds() + 20; *source_error(w.s, "main");) {
			world_await(&w, SOURCE_FAILED, 0.1);
			if (seconds() > end)
				fail_msg("%s: %s stays", places[i], source_error(w.s, "main"));
		}
		assert_shows(&w, "web.yaml:web=1");
	}
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_is_seen_at_once),
		cmocka_unit_test(pushes_are_seen_through_packed_refs_and_gc),
		cmocka_unit_test(a_branch_in_a_folder_may_come_later),
		cmocka_unit_test(a_tag_and_a_commit_id_can_be_watched),
		cmocka_unit_test(an_ordinary_repository_is_watched_by_its_commits),
		cmocka_unit_test(a_force_push_is_told_and_a_deleted_branch_keeps_the_last_head),
		cmocka_unit_test(a_subfolder_is_all_that_is_sent_and_read),
		cmocka_unit_test(hidden_and_ignored_files_are_left_out),
		cmocka_unit_test(an_ignore_file_without_end_is_named),
		cmocka_unit_test(
		    ignore_files_that_are_too_much_together_spoil_nothing_for_good),
		cmocka_unit_test(links_and_submodules_are_named_with_their_path),
		cmocka_unit_test(names_that_git_would_not_make_are_refused),
		cmocka_unit_test(a_gone_repository_keeps_what_runs_and_comes_back),
		cmocka_unit_test(a_commit_of_no_folder_says_so),
		cmocka_unit_test(a_bomb_of_folders_is_refused),
		cmocka_unit_test(a_damaged_source_says_which_file),
		cmocka_unit_test(what_waits_for_good_ends_the_worker),
		cmocka_unit_test(a_plain_folder_is_not_taken_for_a_repository),
		cmocka_unit_test(a_rollback_is_a_commit_in_the_source),
		cmocka_unit_test(a_new_worker_goes_on_where_the_last_one_was),
		cmocka_unit_test(a_request_is_answered_and_a_trailer_is_read),
		cmocka_unit_test(edits_of_one_file_keep_the_others_pointers),
		cmocka_unit_test(the_same_object_in_two_files_is_an_error_until_it_is_gone),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}

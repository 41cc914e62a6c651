/* t_source_dir.c -- directories as sources: what editors and tools do to files, seen as
 * snapshots. */
#include "source_world.h"
#include <fcntl.h>
#include <sys/inotify.h>

static void
dir_world(struct world *w)
{
	world_new(w);
	sh(w, "mkdir d");
	snprintf(w->repo, sizeof w->repo, "%s/d", w->dir);
	write_config(w, "d/web.yaml", "web", "1");
	world_watch(w, "directory", w->repo);
	assert_news(w, SOURCE_MOVED, 5);
	assert_shows(w, "web.yaml:web=1");
}

static void
each_distinct_content_is_a_commit(void **state)
{
	struct world w;
	char first[65], *got;

	(void)state;
	dir_world(&w);
	snprintf(first, sizeof first, "%s", source_head(w.s, "main")->commit);
	assert_string_equal(source_head(w.s, "main")->author, "kedge <kedge@localhost>");
	assert_non_null(strstr(source_head(w.s, "main")->message, "Snapshot of "));
	sh(&w, "mkdir d/sub");
	assert_true(world_is_quiet(&w, 0.2)); /* an empty folder is nothing */
	write_config(&w, "d/sub/a.yml", "a", "1");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "sub/a.yml:a=1 web.yaml:web=1");
	sh(&w,
	   "touch d/web.yaml d/notes.txt; echo x >d/notes.txt; cp d/web.yaml d/.web.yaml.swp");
	assert_true(world_is_quiet(&w, 0.3));
	sh(&w, "rm -r d/sub");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1");
	assert_string_not_equal(source_head(w.s, "main")->commit, first);
	got = world_show(&w, first); /* history stays readable */
	assert_string_equal(got, "web.yaml:web=1");
	free(got);
	assert_int_equal(sources_flush(w.s, NULL), 0);
	sh(&w, "test $(git -C mirror.git rev-list --count refs/kedge/main/head) = 3; git -C "
	       "mirror.git "
	       "fsck --strict");
	world_end(&w);
}

#define QUIET_S 0.03 /* how long worker_dir.c waits without events before a look */

static void
editors_dances_end_in_one_snapshot(void **state)
{
	static const struct {
		const char *cmd, *shows;
	} dances[] = {
		/* vim: backup by rename, a probe file, a new file */
		{ "cd d; mv web.yaml web.yaml~; touch 4913; rm 4913; cat ../2 >web.yaml; rm "
		  "web.yaml~",
		  "web.yaml:web=2" },
		/* write beside, rename over */
		{ "cat 3 >d/.web.yaml.tmp; mv d/.web.yaml.tmp d/web.yaml", "web.yaml:web=3" },
		/* a visible temporary name */
		{ "cat 2 >d/x.yaml; mv d/x.yaml d/web.yaml", "web.yaml:web=2" },
		/* a folder moved in, renamed, moved out */
		{ "mkdir t; cat 3 >t/a.yaml; rm d/web.yaml; mv t d/in", "in/a.yaml:web=3" },
		{ "mv d/in d/out; cat 2 >d/out/a.yaml", "out/a.yaml:web=2" },
		{ "cat 3 >d/out/a.yaml", "out/a.yaml:web=3" },
		{ "mv d/out gone; cat 2 >gone/a.yaml; cat 2 >d/web.yaml", "web.yaml:web=2" },
		/* hard links and links within */
		{ "ln 3 d/hard.yaml; rm d/web.yaml", "hard.yaml:web=3" },
		{ "mkdir -p d/.data; cat 2 >d/.data/f.yaml; rm d/hard.yaml; ln -s .data/f.yaml "
		  "d/web.yaml",
		  "web.yaml:web=2" },
	};
	struct world w;

	(void)state;
	dir_world(&w);
	write_config(&w, "2", "web", "2");
	write_config(&w, "3", "web", "3");
	for (size_t i = 0; i < sizeof dances / sizeof *dances; i++) {
		int before = w.moved;
		double began = seconds();
		bool at_once;

		sh(&w, "%s", dances[i].cmd);
		at_once = seconds() - began < QUIET_S;
		await_shows(&w, dances[i].shows, 3);
		/* on a machine too busy to dance as an editor does, it is seen half-way */
		if (at_once)
			assert_int_equal(w.moved, before + 1);
		else
			assert_true(w.moved > before);
	}
	world_end(&w);
}

/* As kubelet mounts a ConfigMap: files are links through ..data, which is swapped. */
static void
a_swapped_link_gives_the_old_or_the_new_content(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	sh(&w, "mkdir -p d/..1 && cd d && ln -s ..1 ..data");
	write_config(&w, "d/..1/a.yaml", "a", "1");
	write_config(&w, "d/..1/b.yaml", "b", "1");
	sh(&w, "cd d; ln -s ..data/a.yaml a.yaml; ln -s ..data/b.yaml b.yaml");
	snprintf(w.repo, sizeof w.repo, "%s/d", w.dir);
	world_watch(&w, "directory", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a.yaml:a=1 b.yaml:b=1");
	for (int i = 2; i < 12; i++) {
		char a[32], b[32], v[8], want[64], *got;

		snprintf(v, sizeof v, "%d", i);
		snprintf(a, sizeof a, "d/..%d/a.yaml", i);
		snprintf(b, sizeof b, "d/..%d/b.yaml", i);
		sh(&w, "mkdir d/..%d", i);
		write_config(&w, a, "a", v);
		write_config(&w, b, "b", v);
		sh(&w, "cd d; ln -s ..%d ..tmp; mv -T ..tmp ..data", i);
		snprintf(want, sizeof want, "a.yaml:a=%d b.yaml:b=%d", i, i);
		assert_news(&w, SOURCE_MOVED, 5);
		got = world_show(&w, NULL);
		assert_string_equal(got, want);
		free(got);
	}
	world_end(&w);
}

static void
a_swapped_folder_behind_a_link_is_followed(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	sh(&w, "mkdir -p releases/1 releases/2; ln -s releases/1 current");
	write_config(&w, "releases/1/a.yaml", "a", "1");
	write_config(&w, "releases/2/a.yaml", "a", "2");
	snprintf(w.repo, sizeof w.repo, "%s/current", w.dir);
	world_watch(&w, "directory", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "a.yaml:a=1");
	sh(&w, "ln -s releases/2 new; mv -T new current");
	assert_news(&w, SOURCE_MOVED, 3);
	assert_shows(&w, "a.yaml:a=2");
	write_config(&w, "releases/2/a.yaml", "a", "3"); /* and is watched now */
	assert_news(&w, SOURCE_MOVED, 3);
	assert_shows(&w, "a.yaml:a=3");
	/* The same within the directory. */
	sh(&w, "mkdir -p d/.r/1 d/.r/2; ln -s .r/1 d/now");
	write_config(&w, "d/.r/1/a.yaml", "a", "4");
	write_config(&w, "d/.r/2/a.yaml", "a", "5");
	snprintf(w.repo, sizeof w.repo, "%s/d", w.dir);
	source_detach(w.s, "main");
	world_watch(&w, "directory", w.repo);
	await_shows(&w, "now/a.yaml:a=4", 5);
	sh(&w, "ln -s .r/2 d/.n; mv -T d/.n d/now");
	await_shows(&w, "now/a.yaml:a=5", 3);
	write_config(&w, "d/.r/2/a.yaml", "a", "6");
	await_shows(&w, "now/a.yaml:a=6", 3);
	world_end(&w);
}

static void
a_link_out_of_the_directory_is_an_error_that_can_be_ignored(void **state)
{
	struct world w;

	(void)state;
	dir_world(&w);
	sh(&w, "cp d/web.yaml secret.yaml; ln -s ../secret.yaml d/out.yaml; ln -s /etc/passwd "
	       "d/pw; "
	       "ln -s nowhere.yaml d/dangling.yaml; ln -s . d/circle; ln -s /etc d/etc");
#define LEADS                                                                                 \
	"is a symbolic link that leads out of the directory, to nothing or in a circle: put " \
	"the "                                                                                \
	"file itself here, or name it in .kedgeignore"
	await_shows(&w,
		    "web.yaml:web=1 !circle: " LEADS " !dangling.yaml: " LEADS " !etc: " LEADS
		    " !out.yaml: " LEADS,
		    3);
	write_file(&w, "d/.kedgeignore", "circle\nout.yaml\n/etc\ndangling.*\n");
	await_shows(&w, "web.yaml:web=1", 3);
	world_end(&w);
}

static void
a_slow_writer_is_waited_for(void **state)
{
	struct world w;
	char *path;
	int fd;

	(void)state;
	dir_world(&w);
	xasprintf(&path, "%s/slow.yaml", w.repo);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	dprintf(fd, "apiVersion: v1\nkind: ConfigMap\n");
	assert_true(world_is_quiet(&w, 0.3));
	/* Others' changes wait with it: a snapshot is of one moment. */
	write_config(&w, "d/web.yaml", "web", "2");
	assert_true(world_is_quiet(&w, 0.3));
	dprintf(fd, "metadata:\n  name: slow\n");
	assert_true(world_is_quiet(&w, 0.3));
	close(fd);
	assert_news(&w, SOURCE_MOVED, 2);
	assert_shows(&w, "slow.yaml:slow= web.yaml:web=2");
	free(path);
	world_end(&w);
}

static void
a_log_that_is_written_all_the_time_holds_nothing_up(void **state)
{
	static const char *const logs[] = {
		/* as a program does, and as a script */
		"exec 3>>d/app.log; for i in $(seq 9999); do [ -e d/app.log ]; echo x >&3; "
		"sleep 0.01; done",
		"for i in $(seq 9999); do [ -e d/app.log ]; echo x >>d/other.log; sleep 0.01; "
		"done",
	};
	struct world w;

	(void)state;
	dir_world(&w);
	for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
		char shows[64];

		sh(&w, ": >d/app.log; (%s) >/dev/null 2>&1 &", logs[i]);
		usleep(300000);
		snprintf(shows, sizeof shows, "%zu", i + 7);
		write_config(&w, "d/web.yaml", "web", shows);
		snprintf(shows, sizeof shows, "web.yaml:web=%zu", i + 7);
		await_shows(&w, shows, i ? 12 : 3);
		sh(&w, "rm d/app.log");
	}
	world_end(&w);
}

static void
an_overflow_of_events_loses_nothing(void **state)
{
	struct world w;
	struct arena arena = { 0 };
	struct complaints said = { .arena = &arena };
	struct manifest_set *set = NULL;
	struct error *e = NULL;
	char *max;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int queued;

	(void)state;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &queued), 1);
	fclose(f);
	if (queued > 40000)
		skip();
	dir_world(&w);
	/* Three events a file while nobody reads them. */
	kill(w.worker, SIGSTOP);
	xasprintf(&max, "%d", queued / 3 + 100);
	sh(&w,
	   "perl -e 'for (1..%s) { open my $f, \">\", \"d/c$_.yaml\"; print $f \"apiVersion: "
	   "v1\\nkind: "
	   "ConfigMap\\nmetadata:\\n  name: c$_\\n\" }'; mkdir d/late",
	   max);
	write_config(&w, "d/late/last.yaml", "last", "1");
	kill(w.worker, SIGCONT);
	assert_news(&w, SOURCE_MOVED, 20);
	assert_int_equal(source_manifests(w.s, "main", source_head(w.s, "main")->commit, NULL,
					  &set, &said, &e),
			 0);
	assert_int_equal(set->n, atoi(max) + 2);
	manifest_set_free(set);
	/* and the folder that was missed is watched */
	write_config(&w, "d/late/last.yaml", "last", "2");
	assert_news(&w, SOURCE_MOVED, 5);
	arena_free(&arena);
	free(max);
	world_end(&w);
}

static void
without_inotify_it_polls_and_says_so(void **state)
{
	struct world w;
	pid_t hog;
	int ready[2];
	char c;

	(void)state;
	world_new(&w);
	if (getuid() != 0) {
		world_end(&w);
		skip();
	}
	/* Another user's instances, all of them, so that nobody else is disturbed. */
	w.uid = 4093001;
	assert_int_equal(pipe(ready), 0);
	hog = fork();
	if (hog == 0) {
		if (setuid(w.uid))
			_exit(1);
		while (inotify_init() >= 0)
			;
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	sh(&w, "mkdir d");
	snprintf(w.repo, sizeof w.repo, "%s/d", w.dir);
	write_config(&w, "d/web.yaml", "web", "1");
	world_watch(&w, "directory", w.repo);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_non_null(strstr(source_note(w.s, "main"), "fs.inotify.max_user_watches"));
	write_config(&w, "d/web.yaml", "web", "2");
	await_shows(&w, "web.yaml:web=2", 5);
	/* When there is room again, it is used and the note goes. */
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	for (int i = 0; i < 50 && *source_note(w.s, "main"); i++)
		world_await(&w, SOURCE_FAILED, 0.1);
	assert_string_equal(source_note(w.s, "main"), "");
	close(ready[0]);
	close(ready[1]);
	world_end(&w);
}

static void
a_gone_directory_keeps_what_runs(void **state)
{
	struct world w;

	(void)state;
	dir_world(&w);
	sh(&w, "mv d e");
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "the last revision stays"));
	assert_shows(&w, "web.yaml:web=1");
	sh(&w, "mkdir d");
	write_config(&w, "d/web.yaml", "web", "2");
	await_shows(&w, "web.yaml:web=2", 5);
	assert_string_equal(source_error(w.s, "main"), "");
	world_end(&w);
}

static void
an_unreadable_file_is_named(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	if (getuid() != 0) {
		world_end(&w);
		skip();
	}
	w.uid = 4093002;
	sh(&w, "mkdir d");
	snprintf(w.repo, sizeof w.repo, "%s/d", w.dir);
	write_config(&w, "d/web.yaml", "web", "1");
	sh(&w, "chmod 600 d/web.yaml");
	world_watch(&w, "directory", w.repo);
	assert_news(&w, SOURCE_FAILED, 5);
	assert_non_null(strstr(source_error(w.s, "main"), "web.yaml: "));
	sh(&w, "chmod 644 d/web.yaml");
	assert_news(&w, SOURCE_MOVED, 5);
	assert_string_equal(source_error(w.s, "main"), "");
	world_end(&w);
}

static void
a_new_worker_sends_nothing_that_is_known(void **state)
{
	struct world w;
	struct error *e = NULL;

	(void)state;
	dir_world(&w);
	sources_close(w.s);
	assert_int_equal(sources_open(w.mirror, &w.s, &e), 0);
	world_attach(&w);
	assert_shows(&w, "web.yaml:web=1");
	assert_true(world_is_quiet(&w, 0.3));
	write_config(&w, "d/web.yaml", "web", "2");
	assert_news(&w, SOURCE_MOVED, 5);
	/* A rollback cannot be written here. */
	assert_int_equal(
	    source_revert_to(w.s, "main", source_head(w.s, "main")->commit, "a", "b", &e), -1);
	assert_int_equal(e->why, WHY_FORBIDDEN);
	error_free(&e);
	world_end(&w);
}

/* A worker has its source's owner's rights: who took over the brain cannot turn them on
 * another path. */
static void
a_worker_watches_what_the_hand_said(void **state)
{
	struct world w;
	struct watch_args bound = { .type = "directory" };

	(void)state;
	world_new(&w);
	sh(&w, "mkdir d secrets");
	snprintf(w.repo, sizeof w.repo, "%s/d", w.dir);
	write_config(&w, "d/web.yaml", "web", "1");
	write_config(&w, "secrets/shadow.yaml", "shadow", "1");
	bound.url = w.repo;
	w.bound = &bound;
	snprintf(w.work, sizeof w.work, "%s/secrets", w.dir);
	world_watch(&w, "directory", w.work);
	assert_news(&w, SOURCE_MOVED, 5);
	assert_shows(&w, "web.yaml:web=1");
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_distinct_content_is_a_commit),
		cmocka_unit_test(editors_dances_end_in_one_snapshot),
		cmocka_unit_test(a_swapped_link_gives_the_old_or_the_new_content),
		cmocka_unit_test(a_swapped_folder_behind_a_link_is_followed),
		cmocka_unit_test(a_link_out_of_the_directory_is_an_error_that_can_be_ignored),
		cmocka_unit_test(a_slow_writer_is_waited_for),
		cmocka_unit_test(a_log_that_is_written_all_the_time_holds_nothing_up),
		cmocka_unit_test(an_overflow_of_events_loses_nothing),
		cmocka_unit_test(without_inotify_it_polls_and_says_so),
		cmocka_unit_test(a_gone_directory_keeps_what_runs),
		cmocka_unit_test(an_unreadable_file_is_named),
		cmocka_unit_test(a_new_worker_sends_nothing_that_is_known),
		cmocka_unit_test(a_worker_watches_what_the_hand_said),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}

/* sync.c -- images are found before the disk has them.  What the disk refuses, and what a host
 * that went down has half, nobody runs; a kedged that is killed loses nothing. */
#include "../unit/image_kit.h" /* first: cmocka has a macro called fail */
#include "fault/image_calls.h"
#include "fault/image_store.h"
#include "runtime/image_impl.h"

#include <sys/xattr.h>

#define OTHER_BOOT "00000000-0000-0000-0000-000000000000"

static bool
there(const char *sub)
{
	cleanup_free char *path = path_of(sub);
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
put(const char *sub, const char *text)
{
	cleanup_free char *path = path_of(sub);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct image_job *
import_begin(struct images *s, const char *name, const char *words, struct error **e)
{
	struct tar t = tar_new(0);
	struct image_job *j = NULL;
	int fd;

	PUT(&t, .path = "d", .type = AE_IFDIR, .mode = 0755);
	PUT(&t, .path = "d/.wh..wh..opq", .data = "");
	PUT(&t, .path = "d/words", .data = words, .mode = 0644);
	fd = tar_end(&t);
	(void)image_import(s, fd, name, NULL, NULL, &j, e);
	close(fd);
	return j;
}

static int
job_done(struct image_job *j, struct error **e)
{
	char **names = NULL;
	int rc = j ? job_wait(j, &names, e) : -1;

	names_free(names);
	return rc;
}

static void
import(struct images *s, const char *name, const char *words)
{
	struct error *e = NULL;

	if (job_done(import_begin(s, name, words, &e), &e) < 0)
		fail_msg("%s", error_text(e));
}

static int
sync_now(struct images *s, struct error **e)
{
	struct image_job *j;

	if (images_sync(s, &j, e) < 0)
		return -1;
	return j ? job_done(j, e) : 0;
}

static void
sync_good(struct images *s)
{
	struct error *e = NULL;

	if (sync_now(s, &e) < 0)
		fail_msg("%s", error_text(e));
}

static bool
says(struct images *s, const char *name, const char *words)
{
	const struct image *i = image_find(s, name);
	char path[512], found[32] = "";
	int fd;

	if (!i)
		return false;
	assert_int_equal(i->nlayers, 1);
	snprintf(path, sizeof path, "%s/d/words", i->layers[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, found, sizeof found - 1) >= 0);
	close(fd);
	return strcmp(found, words) == 0;
}

/* Whether the layer's note says that the disk has it. */
static bool
proven(struct images *s, const char *name)
{
	const struct image *i = image_find(s, name);
	char note[64] = "";

	assert_non_null(i);
	assert_true(getxattr(i->layers[0], "trusted.kedge.sum", note, sizeof note - 1) > 0);
	return !strstr(note, "unsynced");
}

/* What a write that did not reach the disk leaves: the right size, other bytes. */
static void
damage(struct images *s, const char *name)
{
	const struct image *i = image_find(s, name);
	struct timespec times[2];
	char path[512];
	struct stat st;
	int fd;

	assert_non_null(i);
	snprintf(path, sizeof path, "%s/d/words", i->layers[0]);
	assert_int_equal(stat(path, &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\0\0", 2, 0), 2);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int
begin(void **state)
{
	(void)state;
	plan->mode = OFF;
	dir = scratch_make();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* ---- when kedged ends ---- */

static void
an_image_is_marked_until_it_is_on_the_disk(void **state)
{
	struct images *s = open_good();

	(void)state;
	assert_false(there("unsynced"));
	assert_false(images_unsynced(s));
	import(s, "a", "one");
	assert_true(says(s, "a", "one"));
	assert_true(there("unsynced"));
	assert_true(images_unsynced(s));
	assert_false(proven(s, "a"));
	sync_good(s);
	assert_false(there("unsynced"));
	assert_false(images_unsynced(s));
	assert_true(proven(s, "a"));
	images_close(s);
}

/* Whether the mark of a refusal is there is not known: then nothing is proven. */
static void
a_disk_that_does_not_say_whether_it_refused_is_not_believed(void **state)
{
	struct images *s = open_good();
	struct error *e = NULL;

	(void)state;
	import(s, "a", "one");
	arm(FAIL, 1, EIO);
	assert_int_equal(image_sync_ok(s, &e), -1);
	plan->mode = OFF;
	assert_string_equal(plan->call, "faccessat");
	assert_non_null(e);
	error_free(&e);
	assert_true(!image_find(s, "a") || !proven(s, "a"));
	images_close(s);
}

static void
what_came_in_while_a_sync_went_on_is_synced_by_the_next(void **state)
{
	struct images *s = open_good();
	struct image_job *j, *second;

	(void)state;
	import(s, "a", "one");
	assert_int_equal(images_sync(s, &j, NULL), 0);
	assert_non_null(j);
	import(s, "b", "two");
	assert_int_equal(images_sync(s, &second, NULL), 0);
	assert_null(second); /* one at a time */
	assert_int_equal(job_done(j, NULL), 0);
	assert_true(proven(s, "a"));
	assert_false(proven(s, "b"));
	assert_true(there("unsynced"));
	sync_good(s);
	assert_true(proven(s, "b"));
	assert_false(there("unsynced"));
	images_close(s);
}

static void
a_mark_of_this_boot_is_synced_at_the_next_start(void **state)
{
	struct images *s = open_good();

	(void)state;
	import(s, "a", "one");
	images_close(s);
	s = open_good();
	assert_true(says(s, "a", "one"));
	assert_true(images_unsynced(s));
	assert_true(there("unsynced"));
	sync_good(s);
	assert_true(proven(s, "a"));
	assert_false(there("unsynced"));
	images_close(s);
}

static void
reading_images_needs_no_sync(void **state)
{
	struct images *s = open_good();
	struct image_job *j;
	int fd = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	import(s, "a", "one");
	sync_good(s);
	assert_int_equal(images_verify(s, fd, &j, NULL), 0);
	assert_int_equal(job_done(j, NULL), 0);
	assert_false(images_unsynced(s));
	assert_false(there("unsynced"));
	close(fd);
	images_close(s);
}

/* ---- when the host went down ---- */

/* As if it had: `good` was on the disk before, `new` may be. */
static void
went_down(bool damaged)
{
	struct images *s = open_good();

	import(s, "good", "good");
	sync_good(s);
	import(s, "new", "new");
	if (damaged)
		damage(s, "new");
	images_close(s);
	put("unsynced", OTHER_BOOT);
}

static void
after_a_crash_of_the_host_what_is_whole_is_kept(void **state)
{
	struct images *s;

	(void)state;
	went_down(false);
	s = open_good();
	assert_true(says(s, "good", "good"));
	assert_true(says(s, "new", "new"));
	assert_true(proven(s, "new"));
	assert_false(there("unsynced"));
	assert_false(images_unsynced(s));
	images_close(s);
}

static void
after_a_crash_of_the_host_what_is_damaged_is_dropped(void **state)
{
	struct images *s;

	(void)state;
	went_down(true);
	s = open_good();
	assert_null(image_find(s, "new"));
	assert_true(says(s, "good", "good"));
	assert_false(there("unsynced"));
	store_is_tidy(s, 1, 1);
	import(s, "new", "new");
	assert_true(says(s, "new", "new"));
	images_close(s);
}

/* The note itself did not reach the disk. */
static void
after_a_crash_of_the_host_a_layer_that_nobody_knows_is_dropped(void **state)
{
	struct images *s = open_good();

	(void)state;
	import(s, "new", "new");
	assert_int_equal(removexattr(image_find(s, "new")->layers[0], "trusted.kedge.sum"), 0);
	images_close(s);
	put("unsynced", OTHER_BOOT);
	s = open_good();
	assert_null(image_find(s, "new"));
	assert_int_equal(entries("layers/sha256"), 0);
	images_close(s);
}

/* A mark that the crash tore is none of this boot. */
static void
after_a_crash_of_the_host_a_torn_mark_is_one(void **state)
{
	struct images *s;

	(void)state;
	went_down(true);
	put("unsynced", "");
	s = open_good();
	assert_null(image_find(s, "new"));
	assert_true(says(s, "good", "good"));
	images_close(s);
}

/* of names, records and configs: emptied, or with a hole where bytes were */
static void
torn(const char *sub, const char *suffix)
{
	struct images *s = open_good();
	cleanup_free char *at = NULL, *path = NULL;
	char hole[8] = "";
	struct stat st;

	import(s, "good", "good");
	sync_good(s);
	import(s, "new", "new");
	if (strcmp(sub, "names") == 0)
		xasprintf(&at, "names/docker.io+library+new:latest");
	else
		xasprintf(&at, "%s/%s%s", sub, strchr(image_find(s, "new")->id, ':') + 1,
			  suffix);
	images_close(s);
	path = path_of(at);
	assert_int_equal(stat(path, &st), 0);
	for (int hollow = 0; hollow < 2; hollow++) {
		cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);

		if (hollow) {
			assert_true(st.st_size > 16);
			assert_int_equal(pwrite(fd, hole, sizeof hole, st.st_size / 2),
					 sizeof hole);
		} else {
			assert_int_equal(ftruncate(fd, 0), 0);
		}
		put("unsynced", OTHER_BOOT);
		s = open_good();
		assert_null(image_find(s, "new"));
		assert_true(says(s, "good", "good"));
		import(s, "new", "new");
		assert_true(says(s, "new", "new"));
		sync_good(s);
		images_close(s);
	}
}

static void
after_a_crash_of_the_host_a_torn_name_is_none(void **state)
{
	(void)state;
	torn("names", "");
}

static void
after_a_crash_of_the_host_a_torn_record_is_none(void **state)
{
	(void)state;
	torn("configs/sha256", "");
}

static void
after_a_crash_of_the_host_a_torn_config_is_none(void **state)
{
	(void)state;
	torn("configs/sha256", ".json");
}

/* ---- when the disk refuses ---- */

/* A sync whose n-th call (of that name; NULL: of any) fails, and all that follows from it;
 * false: it has no n-th one. */
static bool
sync_with_fault(const char *only, int n)
{
	struct images *s = open_good();
	struct error *e = NULL;
	bool fired;
	int rc;

	import(s, "a", "one");
	arm_only(FAIL, only, n, n % 2 ? EIO : ENOSPC);
	rc = sync_now(s, &e);
	plan->mode = OFF;
	fired = plan->fired;
	if (rc < 0 && !e)
		fail_msg("call %d, %s, failed without a word", n, plan->call);
	/* faccessat: it does not say whether it refused */
	if (fired &&
	    (strcmp(plan->call, "syncfs") == 0 || strcmp(plan->call, "faccessat") == 0)) {
		assert_true(rc < 0);
		assert_non_null(strstr(error_text(e), "docker.io/library/a:latest: dropped"));
		assert_null(image_find(s, "a"));
		assert_false(there("unwritten"));
		assert_false(images_unsynced(s));
	} else {
		assert_true(says(s, "a", "one"));
		assert_true(rc == 0 || images_unsynced(s));
		sync_good(s);
		assert_true(says(s, "a", "one"));
	}
	images_close(s);
	s = open_good();
	if (images_unsynced(s))
		sync_good(s);
	assert_false(there("unsynced"));
	assert_int_equal(images_sweep(s, NULL), 0);
	ingest_has(0);
	if (image_find(s, "a"))
		assert_int_equal(image_remove(s, "a", NULL), 0);
	ingest_has(0);
	images_close(s);
	error_free(&e);
	return fired;
}

static void
a_fault_at_each_call_of_a_sync_loses_only_what_the_disk_refused(void **state)
{
	int n = 0;

	(void)state;
	while (sync_with_fault(NULL, ++n))
		;
	print_message("# a fault at each of %d calls\n", n - 1);
	assert_true(n > 8);
}

static void
what_the_disk_refused_and_what_it_may_have_is_dropped(void **state)
{
	static const char *const calls[] = { "syncfs", "faccessat" };

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		assert_true(sync_with_fault(calls[i], 1));
		assert_false(sync_with_fault(calls[i], 2));
	}
}

/* Each process at each of its calls: the hand and who syncs. */
static void
a_kill_at_each_call_of_a_sync_loses_nothing(void **state)
{
	int n = 0;
	bool fired;

	(void)state;
	do {
		pid_t pid;
		struct images *s;

		arm(OFF, ++n, 0);
		pid = __real_fork();
		if (pid == 0) {
			s = open_good();
			import(s, "a", "one");
			plan->mode = DIE;
			(void)sync_now(s, NULL);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		plan->mode = OFF;
		fired = plan->fired;
		s = open_good();
		assert_true(says(s, "a", "one"));
		sync_good(s);
		assert_true(says(s, "a", "one"));
		assert_false(there("unsynced"));
		assert_int_equal(image_remove(s, "a", NULL), 0);
		ingest_has(0);
		images_close(s);
	} while (fired);
	print_message("# a kill at each of %d calls\n", n - 1);
	assert_true(n > 8);
}

/* The process that syncs heard of it, and the hand was gone. */
static void
what_the_disk_refused_before_kedged_was_killed_is_dropped(void **state)
{
	struct images *s = open_good();

	(void)state;
	import(s, "good", "good");
	sync_good(s);
	import(s, "a", "one");
	images_close(s);
	put("unwritten", "");
	s = open_good();
	assert_null(image_find(s, "a"));
	assert_true(says(s, "good", "good"));
	assert_false(there("unwritten"));
	assert_false(there("unsynced"));
	images_close(s);
}

/* The same, and it heard of it only when the next kedged had started. */
static void
what_the_disk_refused_to_the_sync_of_a_kedged_before_is_dropped(void **state)
{
	struct images *s = open_good();
	struct error *e = NULL;

	(void)state;
	import(s, "a", "one");
	images_close(s);
	s = open_good();
	put("unwritten", "");
	assert_int_equal(sync_now(s, &e), -1);
	assert_non_null(strstr(error_text(e), "a:latest: dropped"));
	assert_null(image_find(s, "a"));
	assert_false(there("unwritten"));
	error_free(&e);
	images_close(s);
}

/* Nobody says whose bytes they were. */
static void
a_job_that_the_disk_refused_something_meanwhile_is_refused(void **state)
{
	struct images *s = open_good();
	struct image_job *j;
	struct error *e = NULL;

	(void)state;
	import(s, "a", "one");
	j = import_begin(s, "b", "two", NULL);
	assert_non_null(j);
	put("unwritten", "");
	assert_int_equal(sync_now(s, NULL), -1);
	assert_int_equal(job_done(j, &e), -1);
	assert_non_null(strstr(error_text(e), "did not take all that was written meanwhile"));
	assert_null(image_find(s, "b"));
	assert_false(there("unsynced"));
	error_free(&e);
	import(s, "b", "two");
	assert_true(says(s, "b", "two"));
	images_close(s);
}

static bool
keeps_all(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
	return true;
}

/* A layer that a pod runs on is not found any more, and not pulled from under it. */
static void
a_pod_keeps_the_layer_that_was_dropped(void **state)
{
	struct images *s = open_good();
	int fd;

	(void)state;
	images_keep(s, keeps_all, NULL);
	import(s, "a", "one");
	put("unwritten", "");
	fd = open(image_find(s, "a")->layers[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(sync_now(s, NULL), -1);
	assert_null(image_find(s, "a"));
	assert_int_equal(faccessat(fd, "d/words", F_OK, 0), 0);
	close(fd);
	assert_int_equal(entries("layers/sha256"), 0);
	assert_int_equal(entries("ingest"), 1);
	images_close(s);
	s = open_good(); /* pods outlive kedged */
	assert_int_equal(entries("ingest"), 1);
	images_close(s);
}

/* What is to be dropped after a sync, of which the n-th call (of that name; NULL: of any)
 * fails; false: there is no n-th one. */
static bool
drop_with_fault(const char *only, int n)
{
	struct images *s = open_good();
	bool fired;

	import(s, "a", "one");
	put("unwritten", "");
	/* of the calls that follow the sync */
	arm_only(FAIL, only, n, EROFS);
	(void)sync_now(s, NULL);
	plan->mode = OFF;
	fired = plan->fired;
	if (fired && strcmp(plan->call, "faccessat") != 0 && !images_unsynced(s))
		assert_null(image_find(s, "a"));
	if (fired && strcmp(plan->call, "renameat2") == 0) {
		assert_null(image_find(s, "a"));
		assert_true(images_unsynced(s));
	}
	while (images_unsynced(s))
		(void)sync_now(s, NULL);
	images_close(s);
	s = open_good();
	if (image_find(s, "a"))
		assert_int_equal(image_remove(s, "a", NULL), 0);
	ingest_has(0);
	images_close(s);
	return fired;
}

/* A file system that takes nothing any more: what it has is not dropped, and still not run. */
static void
what_cannot_even_be_dropped_is_not_found(void **state)
{
	int n = 0;

	(void)state;
	while (drop_with_fault(NULL, ++n))
		;
	assert_true(drop_with_fault("renameat2", 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_image_is_marked_until_it_is_on_the_disk),
		TEST(a_disk_that_does_not_say_whether_it_refused_is_not_believed),
		TEST(what_came_in_while_a_sync_went_on_is_synced_by_the_next),
		TEST(a_mark_of_this_boot_is_synced_at_the_next_start),
		TEST(reading_images_needs_no_sync),
		TEST(after_a_crash_of_the_host_what_is_whole_is_kept),
		TEST(after_a_crash_of_the_host_what_is_damaged_is_dropped),
		TEST(after_a_crash_of_the_host_a_layer_that_nobody_knows_is_dropped),
		TEST(after_a_crash_of_the_host_a_torn_mark_is_one),
		TEST(after_a_crash_of_the_host_a_torn_name_is_none),
		TEST(after_a_crash_of_the_host_a_torn_record_is_none),
		TEST(after_a_crash_of_the_host_a_torn_config_is_none),
		TEST(a_fault_at_each_call_of_a_sync_loses_only_what_the_disk_refused),
		TEST(what_the_disk_refused_and_what_it_may_have_is_dropped),
		TEST(a_kill_at_each_call_of_a_sync_loses_nothing),
		TEST(what_the_disk_refused_before_kedged_was_killed_is_dropped),
		TEST(what_the_disk_refused_to_the_sync_of_a_kedged_before_is_dropped),
		TEST(a_job_that_the_disk_refused_something_meanwhile_is_refused),
		TEST(a_pod_keeps_the_layer_that_was_dropped),
		TEST(what_cannot_even_be_dropped_is_not_found),
	};

	plan_new();
	return cmocka_run_group_tests_name("image syncs", tests, NULL, NULL);
}

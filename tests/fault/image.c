/* image.c -- the n-th system call of an import fails, or is the last before a
 * SIGKILL: the name means the old image or the new one, whole, and nothing is left over.
 * The same of removing, and nothing changes when one is saved or looked at. */
#include "../unit/image_kit.h" /* first: cmocka has a macro called fail */
#include "fault/image_calls.h"
#include "fault/image_store.h"

static int
import_text(struct images *s, const char *words, struct error **e)
{
	struct tar t = tar_new(0);
	struct image_job *j;
	char **names = NULL;
	int fd, rc;

	PUT(&t, .path = "d", .type = AE_IFDIR, .mode = 0755);
	PUT(&t, .path = "d/.wh..wh..opq", .data = "");
	PUT(&t, .path = ".wh.gone", .data = "");
	PUT(&t, .path = "d/words", .data = words, .mode = 0644);
	PUT(&t, .path = "again", .hard = "d/words");
	PUT(&t, .path = "link", .type = AE_IFLNK, .link = "d/words");
	fd = tar_end(&t);
	rc = image_import(s, fd, "a", NULL, NULL, &j, e);
	if (rc == 0)
		rc = job_wait(j, &names, e);
	close(fd);
	names_free(names);
	return rc;
}

/* The image is whole: every part of what was imported, with these words. */
static bool
says(struct images *s, const char *words)
{
	const struct image *i = image_find(s, "a");
	const char *layer;
	char path[512], found[16] = "";
	int fd;
	struct stat st;

	assert_non_null(i);
	assert_int_equal(i->nlayers, 1);
	layer = i->layers[0];
	snprintf(path, sizeof path, "%s/again", layer);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && read(fd, found, sizeof found - 1) > 0);
	close(fd);
	snprintf(path, sizeof path, "%s/gone", layer);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof path, "%s/link", layer);
	assert_int_equal(lstat(path, &st), 0);
	return strcmp(found, words) == 0;
}

static void
begin(void)
{
	struct images *s;

	plan->mode = OFF;
	dir = scratch_make();
	s = open_good();
	assert_int_equal(import_text(s, "old", NULL), 0);
	images_close(s);
}

/* What any later start finds. */
static void
check_after(bool must_be_new)
{
	struct images *s;
	bool new;

	plan->mode = OFF;
	s = open_good();
	new = says(s, "new");
	assert_true(new || says(s, "old"));
	assert_true(new || !must_be_new);
	store_is_tidy(s, 1, 1);
	images_close(s);
	scratch_remove(dir);
}

static void
fail_each(int err)
{
	int n = 0;
	bool fired;

	do {
		struct error *e = NULL;
		struct images *s;
		int rc;

		begin();
		s = open_good();
		arm(FAIL, ++n, err);
		rc = import_text(s, "new", &e);
		plan->mode = OFF;
		fired = plan->fired;
		if (rc < 0 && !e)
			fail_msg("call %d failed without a word", n);
		/* what the running process believes is whole, too */
		assert_true(says(s, "new") || (rc < 0 && says(s, "old")));
		error_free(&e);
		images_close(s);
		check_after(rc == 0);
	} while (fired);
	print_message("# survived a fault at each of %d calls\n", n - 1);
	assert_true(n > 50);
}

static void
any_failing_call_leaves_old_or_new(void **state)
{
	(void)state;
	fail_each(EIO);
}

static void
a_disk_that_fills_up_at_any_call_leaves_old_or_new(void **state)
{
	(void)state;
	fail_each(ENOSPC);
}

static void
a_kill_before_any_call_leaves_old_or_new(void **state)
{
	int n = 0;
	bool fired;

	(void)state;
	do {
		pid_t pid;

		begin();
		arm(OFF, ++n, 0);
		pid = fork();
		if (pid == 0) {
			struct images *s = open_good();

			plan->mode = DIE;
			_exit(import_text(s, "new", NULL) < 0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		fired = plan->fired;
		check_after(!fired);
	} while (fired);
	print_message("# survived a kill at each of %d calls\n", n - 1);
}

/* ---- what is removed, saved and looked at ---- */

/* `there`: 1 yes, 0 no, -1 either, but all of it. */
static void
check_removed(int there)
{
	struct images *s;
	bool is;

	plan->mode = OFF;
	s = open_good();
	is = image_find(s, "a") != NULL;
	assert_true(there < 0 || is == there);
	assert_true(!is || says(s, "old"));
	store_is_tidy(s, is, is);
	images_close(s);
	scratch_remove(dir);
}

static void
a_removal_in_which_any_call_fails_removes_all_or_nothing(void **state)
{
	int n = 0;
	bool fired;

	(void)state;
	do {
		struct error *e = NULL;
		struct images *s;
		bool there;
		int rc;

		begin();
		s = open_good();
		arm(FAIL, ++n, EIO);
		rc = image_remove(s, "a", &e);
		plan->mode = OFF;
		fired = plan->fired;
		there = image_find(s, "a") != NULL;
		if (rc < 0 && !e)
			fail_msg("call %d, %s, failed without a word", n, plan->call);
		assert_true(rc < 0 || !there);
		assert_true(!there || says(s, "old"));
		error_free(&e);
		images_close(s);
		check_removed(rc < 0 ? -1 : 0);
	} while (fired);
	print_message("# survived a fault at each of %d calls\n", n - 1);
	assert_true(n > 8);
}

static void
a_removal_that_is_killed_before_any_call_removes_all_or_nothing(void **state)
{
	int n = 0;
	bool fired;

	(void)state;
	do {
		pid_t pid;

		begin();
		arm(OFF, ++n, 0);
		pid = fork();
		if (pid == 0) {
			struct images *s = open_good();

			plan->mode = DIE;
			_exit(image_remove(s, "a", NULL) < 0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		fired = plan->fired;
		check_removed(fired ? -1 : 0);
	} while (fired);
	print_message("# survived a kill at each of %d calls\n", n - 1);
}

typedef int begin_fn(struct images *, int fd, struct image_job **, struct error **);

static int
save(struct images *s, int fd, struct image_job **j, struct error **e)
{
	return image_save(s, "a", fd, false, j, e);
}

static int
inspect(struct images *s, int fd, struct image_job **j, struct error **e)
{
	return image_save(s, "a", fd, true, j, e);
}

/* What it gives, whole; false when it could not be. */
static bool
read_out(struct images *s, begin_fn *fn, struct buf *ret, struct error **e)
{
	int fd = memfd_create("out", MFD_CLOEXEC);
	struct image_job *j;
	char **names = NULL;
	int rc = fn(s, fd, &j, e);
	enum mode mode;

	if (rc == 0)
		rc = job_wait(j, &names, e);
	names_free(names);
	mode = plan->mode;
	plan->mode = OFF;
	*ret = bytes_of(fd);
	plan->mode = mode;
	close(fd);
	return rc == 0;
}

/* Reading leaves the store as it is, and what comes out is all of it or an error. */
static void
read_faults(begin_fn *fn, bool may_differ)
{
	struct buf good;
	struct images *s;
	int n = 0;
	bool fired;

	begin();
	s = open_good();
	assert_true(read_out(s, fn, &good, NULL));
	assert_true(good.len > 20);
	do {
		struct error *e = NULL;
		struct buf out = { 0 };
		bool done;

		arm(FAIL, ++n, EIO);
		done = read_out(s, fn, &out, &e);
		plan->mode = OFF;
		fired = plan->fired;
		if (!done && !e)
			fail_msg("call %d, %s, failed without a word", n, plan->call);
		if (done && !may_differ &&
		    (out.len != good.len || memcmp(out.at, good.at, good.len)))
			fail_msg("call %d, %s: %zu bytes came, not %zu", n, plan->call, out.len,
				 good.len);
		if (done && fired && may_differ && !strstr(buf_text(&out), "a:latest"))
			fail_msg("call %d, %s: \"%s\"", n, plan->call, buf_text(&out));
		assert_true(says(s, "old"));
		buf_done(&out);
		error_free(&e);
	} while (fired);
	print_message("# a fault at each of %d calls\n", n - 1);
	assert_true(n > 30);
	buf_done(&good);
	images_close(s);
	check_removed(1);
}

static void
an_image_is_saved_whole_or_an_error_says_why(void **state)
{
	(void)state;
	read_faults(save, false);
}

static void
a_config_is_shown_whole_or_an_error_says_why(void **state)
{
	(void)state;
	read_faults(inspect, false);
}

/* What cannot be read is damaged, in as many words. */
static void
looking_at_images_changes_nothing(void **state)
{
	(void)state;
	read_faults(images_verify, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_failing_call_leaves_old_or_new),
		cmocka_unit_test(a_disk_that_fills_up_at_any_call_leaves_old_or_new),
		cmocka_unit_test(a_kill_before_any_call_leaves_old_or_new),
		cmocka_unit_test(a_removal_in_which_any_call_fails_removes_all_or_nothing),
		cmocka_unit_test(
		    a_removal_that_is_killed_before_any_call_removes_all_or_nothing),
		cmocka_unit_test(an_image_is_saved_whole_or_an_error_says_why),
		cmocka_unit_test(a_config_is_shown_whole_or_an_error_says_why),
		cmocka_unit_test(looking_at_images_changes_nothing),
	};

	plan_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* image.c -- the n-th system call of an import fails, or is the last before a
 * SIGKILL: the name means the old image or the new one, whole, and nothing is left over.
 */
// wrap: -Wl,--wrap=write -Wl,--wrap=pwrite -Wl,--wrap=read -Wl,--wrap=fsync
// wrap: -Wl,--wrap=syncfs -Wl,--wrap=ftruncate -Wl,--wrap=open -Wl,--wrap=openat
// wrap: -Wl,--wrap=mkdirat -Wl,--wrap=unlinkat -Wl,--wrap=linkat -Wl,--wrap=symlinkat
// wrap: -Wl,--wrap=mknodat -Wl,--wrap=renameat -Wl,--wrap=renameat2 -Wl,--wrap=fchown
// wrap: -Wl,--wrap=fchownat -Wl,--wrap=fchmod -Wl,--wrap=futimens -Wl,--wrap=utimensat
// wrap: -Wl,--wrap=fsetxattr -Wl,--wrap=fstat -Wl,--wrap=fstatat -Wl,--wrap=faccessat
// wrap: -Wl,--wrap=fork -Wl,--wrap=unshare -Wl,--wrap=mount -Wl,--wrap=umount2
// wrap: -Wl,--wrap=chdir -Wl,--wrap=prctl -Wl,--wrap=setrlimit -Wl,--wrap=dup2
// wrap: -Wl,--wrap=close_range -Wl,--wrap=syscall -Wl,--wrap=waitid
#include "../unit/image_kit.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum mode { OFF, FAIL, DIE };
static struct plan { /* shared by all processes of a run */
	enum mode mode;
	int countdown, err;
	bool fired;
} * plan;

static bool
due(void)
{
	if (plan->mode == OFF || __atomic_sub_fetch(&plan->countdown, 1, __ATOMIC_SEQ_CST) != 0)
		return false;
	plan->fired = true;
	if (plan->mode == DIE)
		raise(SIGKILL);
	errno = plan->err;
	return true;
}

#define CALLS(C)                                                                             \
	C(write, ssize_t, (int a, const void *b, size_t c), (a, b, c))                       \
	C(pwrite, ssize_t, (int a, const void *b, size_t c, off_t d), (a, b, c, d))          \
	C(read, ssize_t, (int a, void *b, size_t c), (a, b, c))                              \
	C(fsync, int, (int a), (a))                                                          \
	C(syncfs, int, (int a), (a))                                                         \
	C(ftruncate, int, (int a, off_t b), (a, b))                                          \
	C(open, int, (const char *a, int b, mode_t c), (a, b, c))                            \
	C(openat, int, (int a, const char *b, int c, mode_t d), (a, b, c, d))                \
	C(mkdirat, int, (int a, const char *b, mode_t c), (a, b, c))                         \
	C(unlinkat, int, (int a, const char *b, int c), (a, b, c))                           \
	C(linkat, int, (int a, const char *b, int c, const char *d, int f), (a, b, c, d, f)) \
	C(symlinkat, int, (const char *a, int b, const char *c), (a, b, c))                  \
	C(mknodat, int, (int a, const char *b, mode_t c, dev_t d), (a, b, c, d))             \
	C(renameat, int, (int a, const char *b, int c, const char *d), (a, b, c, d))         \
	C(renameat2, int, (int a, const char *b, int c, const char *d, unsigned f),          \
	  (a, b, c, d, f))                                                                   \
	C(fchown, int, (int a, uid_t b, gid_t c), (a, b, c))                                 \
	C(fchownat, int, (int a, const char *b, uid_t c, gid_t d, int f), (a, b, c, d, f))   \
	C(fchmod, int, (int a, mode_t b), (a, b))                                            \
	C(futimens, int, (int a, const struct timespec *b), (a, b))                          \
	C(utimensat, int, (int a, const char *b, const struct timespec *c, int d),           \
	  (a, b, c, d))                                                                      \
	C(fsetxattr, int, (int a, const char *b, const void *c, size_t d, int f),            \
	  (a, b, c, d, f))                                                                   \
	C(fstat, int, (int a, struct stat *b), (a, b))                                       \
	C(fstatat, int, (int a, const char *b, struct stat *c, int d), (a, b, c, d))         \
	C(faccessat, int, (int a, const char *b, int c, int d), (a, b, c, d))                \
	C(fork, pid_t, (void), ())                                                           \
	C(unshare, int, (int a), (a))                                                        \
	C(mount, int,                                                                        \
	  (const char *a, const char *b, const char *c, unsigned long d, const void *f),     \
	  (a, b, c, d, f))                                                                   \
	C(umount2, int, (const char *a, int b), (a, b))                                      \
	C(chdir, int, (const char *a), (a))                                                  \
	C(prctl, int,                                                                        \
	  (int a, unsigned long b, unsigned long c, unsigned long d, unsigned long f),       \
	  (a, b, c, d, f))                                                                   \
	C(setrlimit, int, (int a, const struct rlimit *b), (a, b))                           \
	C(dup2, int, (int a, int b), (a, b))                                                 \
	C(close_range, int, (unsigned a, unsigned b, int c), (a, b, c))                      \
	C(waitid, int, (int a, id_t b, siginfo_t *c, int d), (a, b, c, d))                   \
	C(syscall, long, (long a, long b, long c, long d, long f, long g, long h),           \
	  (a, b, c, d, f, g, h))
#define WRAP(f, r, params, args)                     \
	r __real_##f params;                         \
	r __wrap_##f params;                         \
	r __wrap_##f params                          \
	{                                            \
		return due() ? -1 : __real_##f args; \
	}
CALLS(WRAP)

static char *dir;

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

static int
entries(const char *sub)
{
	char path[512];
	struct dirent *x;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/images/%s", dir, sub);
	d = opendir(path);
	assert_non_null(d);
	while ((x = readdir(d)))
		n += x->d_name[0] != '.';
	closedir(d);
	return n;
}

static struct images *
open_good(void)
{
	struct images *s;
	struct error *e = NULL;

	if (images_open(dir, &s, &e) < 0)
		fail_msg("%s", error_text(e));
	return s;
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
	assert_int_equal(images_sweep(s, NULL), 0);
	for (int i = 0; i < 500 && entries("ingest") > 0; i++)
		usleep(10000);
	assert_int_equal(entries("ingest"), 0);
	assert_int_equal(entries("names"), 1);
	assert_int_equal(entries("configs/sha256"), 2);
	assert_int_equal(entries("layers/sha256"), 1);
	images_close(s);
	scratch_remove(dir);
}

static void
arm(enum mode mode, int n, int err)
{
	*plan = (struct plan){ mode, n, err, false };
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_failing_call_leaves_old_or_new),
		cmocka_unit_test(a_disk_that_fills_up_at_any_call_leaves_old_or_new),
		cmocka_unit_test(a_kill_before_any_call_leaves_old_or_new),
	};

	plan =
	    mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

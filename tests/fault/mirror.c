/* mirror.c -- every n-th system call of a flush fails once: the mirror then holds the old head
 * or the new one, whole, and the next flush succeeds.
 *
 * libgit2 makes the calls, so they are caught by their names in the C library
 * rather than at link time. */
#include "source_world.h"

#include "daemon/mirror.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static int countdown; /* 0: never */
static int with;      /* the errno to fail with */
static bool fired;

static bool
due(void)
{
	if (!countdown || --countdown)
		return false;
	errno = with;
	fired = true;
	return true;
}

/* clang-format off */
#define CALLS(C) \
	C(write,  ssize_t, (int a, const void *b, size_t c), (a, b, c)) \
	C(fsync,  int, (int a), (a)) \
	C(rename, int, (const char *a, const char *b), (a, b)) \
	C(link,   int, (const char *a, const char *b), (a, b)) \
	C(mkdir,  int, (const char *a, mode_t b), (a, b)) \
	C(chmod,  int, (const char *a, mode_t b), (a, b)) \
	C(ftruncate, int, (int a, off_t b), (a, b))
#define WRAP(f, r, params, args) \
	r f params { \
		static r (*real) params; \
		if (!real) \
			real = (r (*) params)dlsym(RTLD_NEXT, #f); \
		return due() ? -1 : real args; \
	}
CALLS(WRAP)
/* clang-format on */

int
open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (!real)
		real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return (flags & O_CREAT) && due() ? -1 : real(path, flags, mode);
}

static struct mirror *
open_mirror(struct world *w)
{
	struct mirror *m;
	struct error *e = NULL;
	bool aside;
	char *dir;

	xasprintf(&dir, "%s/m", w->dir);
	if (mirror_open(dir, &m, &aside, &e))
		fail_msg("%s", error_text(e));
	assert_false(aside);
	free(dir);
	return m;
}

/* A head whose "commit" is a blob that names the content; both must be there. */
static void
put_revision(struct mirror *m, const char *text, git_oid *ret)
{
	struct error *e = NULL;

	assert_int_equal(mirror_put(m, GIT_OBJECT_BLOB, text, strlen(text), ret, &e), 0);
	assert_int_equal(mirror_set_head(m, "main", ret, &e), 0);
}

static void
check_old_or_new(struct world *w, const git_oid *old, const git_oid *new, bool want_new)
{
	struct mirror *m = open_mirror(w);
	struct mirror_object o;
	struct error *e = NULL;
	git_oid head;

	assert_true(mirror_head(m, "main", &head));
	if (want_new)
		assert_true(git_oid_equal(&head, new));
	else
		assert_true(git_oid_equal(&head, old) || git_oid_equal(&head, new));
	if (mirror_get(m, &head, GIT_OBJECT_BLOB, &o, &e))
		fail_msg("the head's object: %s", error_text(e));
	mirror_object_done(&o);
	mirror_close(m);
}

static void
a_fault_in_a_flush_leaves_old_or_new(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	struct world w;
	int points = 0;

	(void)state;
	world_new(&w);
	for (size_t k = 0; k < sizeof errors / sizeof *errors; k++)
		for (int n = 1;; n++) {
			struct mirror *m;
			struct error *e = NULL;
			git_oid old, new;
			char text[64];
			int rc;

			sh(&w, "rm -rf m m.*");
			m = open_mirror(&w);
			put_revision(m, "the old one", &old);
			assert_int_equal(mirror_flush(m, &e), 0);
			snprintf(text, sizeof text, "the new one %d", n);
			put_revision(m, text, &new);
			fired = false;
			with = errors[k];
			countdown = n;
			rc = mirror_flush(m, &e);
			countdown = 0;
			if (rc)
				assert_true(fired && e && *e->msg);
			else
				assert_false(mirror_pending(m));
			error_free(&e);
			/* As a crash right now would leave it. */
			check_old_or_new(&w, &old, &new, rc == 0);
			/* Nothing was forgotten: once the disk is well again, all is written.
			 */
			assert_int_equal(mirror_flush(m, &e), 0);
			mirror_close(m);
			check_old_or_new(&w, &old, &new, true);
			sh(&w, "git -C m fsck");
			if (!fired)
				break;
			points++;
		}
	assert_true(points >= 10);
	print_message("# %d faults survived\n", points);
	world_end(&w);
}

/* The same while a pack comes from a worker: the source loses its worker, never
 * its head, and the next worker brings everything. */
static void
a_fault_in_a_pack_costs_a_worker_and_no_head(void **state)
{
	int points = 0;

	(void)state;
	for (int n = 1;; n++) {
		struct world w;

		world_new(&w);
		world_git(&w);
		world_watch(&w, "git", w.repo);
		assert_news(&w, SOURCE_MOVED, 5);
		assert_int_equal(sources_flush(w.s, NULL), 0);
		sh(&w,
		   "cd work; for i in $(seq 100); do sed s/web/c$i/ web.yaml >c$i.yaml; done");
		fired = false;
		with = ENOSPC;
		push(&w, "many");
		countdown = n;
		if (world_await(&w, SOURCE_MOVED, 5))
			countdown = 0;
		countdown = 0;
		if (fired && source_fd(w.s, "main") < 0) {
			assert_shows(&w, "web.yaml:web=1");
			assert_true(*source_error(w.s, "main"));
			world_attach(&w);
			assert_news(&w, SOURCE_MOVED, 5);
		}
		assert_int_equal(sources_flush(w.s, NULL), 0);
		sh(&w,
		   "test $(git -C mirror.git rev-parse refs/kedge/main/head) = $(git -C work "
		   "rev-parse HEAD); test -z \"$(find mirror.git -name 'pack_git2*' -o -name "
		   "'*.lock')\"");
		world_end(&w);
		if (!fired)
			break;
		points++;
	}
	assert_true(points >= 3);
	print_message("# %d faults survived\n", points);
}

static void
a_fault_in_making_the_mirror_leaves_nothing_half_made(void **state)
{
	struct world w;
	char *dir;
	int points = 0;

	(void)state;
	world_new(&w);
	xasprintf(&dir, "%s/m", w.dir);
	for (int n = 1;; n++) {
		struct mirror *m = NULL;
		struct error *e = NULL;
		bool aside;
		int rc;

		sh(&w, "rm -rf m m.*");
		fired = false;
		with = ENOSPC;
		countdown = n;
		rc = mirror_open(dir, &m, &aside, &e);
		countdown = 0;
		if (rc)
			assert_true(fired && e);
		error_free(&e);
		mirror_close(m);
		/* The next start makes it, whatever was left. */
		assert_int_equal(mirror_open(dir, &m, &aside, &e), 0);
		assert_false(aside);
		mirror_close(m);
		if (!fired)
			break;
		points++;
	}
	assert_true(points >= 5);
	print_message("# %d faults survived\n", points);
	free(dir);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_in_a_flush_leaves_old_or_new),
		cmocka_unit_test(a_fault_in_a_pack_costs_a_worker_and_no_head),
		cmocka_unit_test(a_fault_in_making_the_mirror_leaves_nothing_half_made),
	};

	return cmocka_run_group_tests_name("mirror faults", tests, NULL, NULL);
}

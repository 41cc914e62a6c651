/* store.c -- the n-th call to the disk fails: old or new, never between.
 *
 * A shim over SQLite's own VFS fails one write, sync, truncate or open. Each
 * round a child opens a file that holds "old", changes several objects at once,
 * commits with the fault armed, and dies without closing; then the file is read
 * as after a power cut of the process.
 */
#include "daemon/store.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { OBJECTS = 12, LAST_ROUND = 500 };

/* ---- the shim ---- */

static sqlite3_vfs shim;
static sqlite3_vfs *real;
static int countdown; /* 0: no fault */
static bool fired, stays, full;

struct file {
	sqlite3_file base;
	sqlite3_file *real;
};

static bool
due(void)
{
	if (stays && fired)
		return true;
	if (!countdown || --countdown)
		return false;
	return fired = true;
}

#define REAL(f) (((struct file *)(f))->real)

static int
shim_close(sqlite3_file *f)
{
	int rc = REAL(f)->pMethods ? REAL(f)->pMethods->xClose(REAL(f)) : SQLITE_OK;

	sqlite3_free(REAL(f));
	return rc;
}

static int
shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), to, n, at);
}

/* Half of what was asked reaches the disk: a torn write. */
static int
shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	if (due()) {
		REAL(f)->pMethods->xWrite(REAL(f), from, n / 2, at);
		return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	}
	return REAL(f)->pMethods->xWrite(REAL(f), from, n, at);
}

static int
shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	return due() ? SQLITE_IOERR_TRUNCATE : REAL(f)->pMethods->xTruncate(REAL(f), n);
}

static int
shim_sync(sqlite3_file *f, int flags)
{
	return due() ? SQLITE_IOERR_FSYNC : REAL(f)->pMethods->xSync(REAL(f), flags);
}

static int
shim_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), ret);
}

static int
shim_lock(sqlite3_file *f, int how)
{
	return REAL(f)->pMethods->xLock(REAL(f), how);
}

static int
shim_unlock(sqlite3_file *f, int how)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), how);
}

static int
shim_reserved(sqlite3_file *f, int *ret)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}

static int
shim_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int
shim_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int
shim_traits(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

/* Version 1: without shared memory, as the store's exclusive lock allows. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_reserved,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector,
	.xDeviceCharacteristics = shim_traits,
};

static int
shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct file *file = (struct file *)f;
	int rc;

	(void)v;
	file->base.pMethods = NULL;
	if (due())
		return SQLITE_CANTOPEN;
	file->real = sqlite3_malloc(real->szOsFile);
	memset(file->real, 0, real->szOsFile);
	rc = real->xOpen(real, name, file->real, flags, ret_flags);
	file->base.pMethods = &methods;
	return rc;
}

static int
shim_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
	(void)v;
	return due() ? SQLITE_IOERR_DELETE : real->xDelete(real, name, sync_dir);
}

static void
shim_install(void)
{
	real = sqlite3_vfs_find(NULL);
	shim = *real;
	shim.zName = "shim";
	shim.szOsFile = sizeof(struct file);
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	assert_int_equal(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

/* ---- rounds ---- */

struct bench {
	char dir[64], path[128];
};

static void
remove_files(struct bench *b)
{
	static const char *const names[] = { "", "-wal", "-shm", "-journal", ".lock" };
	char path[160];

	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof path, "%s%s", b->path, names[i]);
		unlink(path);
	}
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof *b);

	strcpy(b->dir, "/tmp/f_store.XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->path, sizeof b->path, "%s/state.db", b->dir);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	remove_files(b);
	rmdir(b->dir);
	free(b);
	return 0;
}

/* Every object says `word`, at least a page of it; so does a note. */
static int
say(struct store *s, const char *word, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	char *text = arena_alloc(&a, 3001);
	char name[16];

	for (size_t i = 0; i < 3000; i++)
		text[i] = word[i % strlen(word)];
	text[3000] = 0;
	for (int i = 0; i < OBJECTS; i++) {
		struct config_map *m;

		snprintf(name, sizeof name, "m%d", i);
		m = object_new(RES_config_map, "default", name, &a);
		pairs_set(&m->data, "word", word, &a);
		pairs_set(&m->data, "text", text, &a);
		if (store_find(s, RES_config_map, "default", name)
			? store_update(s, m, e) < 0
			: store_create(s, m, 0, e) < 0)
			return -1;
	}
	store_set_note(s, "word", word);
	return 0;
}

/* The word that all of them say; "" when there are none; fails on a mixture. */
static const char *
word_of(struct store *s)
{
	struct objects all = store_all(s, RES_config_map);
	const char *word = store_note(s, "word");

	if (all.n && all.n != OBJECTS)
		fail_msg("%zu of %d objects", all.n, OBJECTS);
	if (!all.n && *word)
		fail_msg("a note and no objects");
	for (size_t i = 0; i < all.n; i++)
		assert_string_equal(
		    pairs_get(&((const struct config_map *)all.at[i])->data, "word"), word);
	return word;
}

static void
write_old(struct bench *b)
{
	struct error *e = NULL;
	struct store *s;

	remove_files(b);
	if (store_open(b->path, &s, &e) < 0 || say(s, "old", &e) < 0 || store_commit(s, &e) < 0)
		fail_msg("%s", error_text(e));
	store_close(s);
}

/* 0: committed, 1: refused, 2: neither fault nor refusal. */
enum end { SAID, REFUSED, NO_FAULT };

static enum end
child(struct bench *b, int n, bool also_open, bool again)
{
	cleanup_error struct error *e = NULL;
	struct store *s;
	int rc;

	countdown = also_open ? n : 0;
	if (store_open(b->path, &s, &e) < 0)
		return fired && e ? REFUSED : 99;
	if (!also_open)
		countdown = n;
	if (say(s, "new", &e) < 0)
		return 98;
	rc = store_commit(s, &e);
	if (rc < 0 && (!fired || !e))
		return 97;
	/* The fault passes, and the same store goes on: nothing may be lost. */
	if (rc < 0 && again) {
		countdown = 0;
		stays = false;
		if (strcmp(word_of(s), "new") || store_commit(s, NULL) < 0)
			return 96;
		return SAID;
	}
	if (rc == 0 && !fired)
		return NO_FAULT;
	return rc == 0 ? SAID : REFUSED;
}

static enum end
round_of(struct bench *b, int n, bool also_open, bool again)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(b, n, also_open, again));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
check_file(struct bench *b, enum end end)
{
	struct error *e = NULL;
	const char *word;
	struct store *s;

	if (store_open(b->path, &s, &e) < 0)
		fail_msg("the file cannot be read any more: %s", error_text(e));
	word = word_of(s);
	if (end == REFUSED)
		assert_true(!strcmp(word, "old") || !strcmp(word, "new"));
	else
		assert_string_equal(word, "new");
	store_close(s);
}

static void
all_rounds(struct bench *b, bool also_open, bool again)
{
	enum end end = REFUSED;
	int n;

	for (n = 1; end != NO_FAULT && n < LAST_ROUND; n++) {
		write_old(b);
		end = round_of(b, n, also_open, again);
		if (end > NO_FAULT)
			fail_msg("round %d ended with %d", n, end);
		check_file(b, end);
	}
	assert_int_equal(end, NO_FAULT);
	assert_true(n > 5);
}

static void
one_failing_call_in_a_commit_leaves_old_or_new(void **state)
{
	stays = full = false;
	all_rounds(*state, false, false);
}

static void
one_failing_call_while_opening_leaves_old_or_new(void **state)
{
	stays = full = false;
	all_rounds(*state, true, false);
}

static void
a_disk_that_stays_full_leaves_old_or_new(void **state)
{
	stays = full = true;
	all_rounds(*state, false, false);
}

static void
after_the_fault_has_passed_the_next_commit_writes_everything(void **state)
{
	stays = full = true;
	all_rounds(*state, false, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_failing_call_in_a_commit_leaves_old_or_new,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
		    one_failing_call_while_opening_leaves_old_or_new, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_stays_full_leaves_old_or_new, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
		    after_the_fault_has_passed_the_next_commit_writes_everything, setup,
		    teardown),
	};

	shim_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* store_disk.c -- state.db: SQLite in WAL mode, one JSON text per object.
 *
 * The file is a cache of nothing: it holds what cannot be learnt again (uids,
 * allocated addresses, revisions), so it is never thrown away by itself.  A
 * file that cannot be understood is refused with what to do about it.
 */
#include "store_disk.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>

enum { APPLICATION_ID = 0x6b656467 }; /* "kedg" */

enum stmt { BEGIN, COMMIT, ROLLBACK, PUT, DELETE, NOTE, VERSION, STMT_COUNT };

static const char *const texts[STMT_COUNT] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PUT] = "INSERT INTO objects (kind, ns, name, json) VALUES (?1, ?2, ?3, ?4) "
		"ON CONFLICT DO UPDATE SET json = excluded.json",
	[DELETE] = "DELETE FROM objects WHERE kind = ?1 AND ns = ?2 AND name = ?3",
	[NOTE] = "INSERT INTO notes (key, value) VALUES (?1, ?2) "
		 "ON CONFLICT DO UPDATE SET value = excluded.value",
	[VERSION] = "UPDATE counter SET version = ?1",
};

/* Step i makes schema i + 1 of schema i; a new file goes through all of them,
 * so that an old file and a new one can never differ. */
static const char *const migrations[] = {
	"CREATE TABLE objects (kind TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" json TEXT NOT NULL, PRIMARY KEY (kind, ns, name)) WITHOUT ROWID;"
	"CREATE TABLE notes (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE counter (version INTEGER NOT NULL);"
	"INSERT INTO counter VALUES (0);",
};

enum { LOCK_WAIT_MS = 3000 };

struct disk {
	sqlite3 *db;
	sqlite3_stmt *stmt[STMT_COUNT];
	char *path;
	int lock;
};

static int
fail_sql(struct disk *d, const char *doing, struct error **e)
{
	int rc = sqlite3_errcode(d->db);

	if (rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT)
		return fail(e, WHY_IO,
			    "%s: %s: the file is damaged (%s). Move it and %s-wal away and "
			    "start again: the sources are then read anew, but revisions and "
			    "allocated addresses start from nothing",
			    d->path, doing, sqlite3_errmsg(d->db), d->path);
	if (rc == SQLITE_FULL)
		return fail(e, WHY_IO, "%s: %s: the disk is full; free some space", d->path,
			    doing);
	return fail(e, WHY_IO, "%s: %s: %s", d->path, doing, sqlite3_errmsg(d->db));
}

static int
run(struct disk *d, const char *sql, const char *doing, struct error **e)
{
	if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail_sql(d, doing, e);
	return 0;
}

static int
ask_int(struct disk *d, const char *sql, int64_t *ret, struct error **e)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW) {
		fail_sql(d, "reading", e);
		sqlite3_finalize(s);
		return -1;
	}
	*ret = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return 0;
}

/* A hand that was killed leaves a brain that still writes what it knows before it
 * ends; the next one waits for that. */
static int
lock_wait(int fd)
{
	int rc;

	for (int ms = 0; (rc = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EWOULDBLOCK &&
			 ms < LOCK_WAIT_MS;
	     ms += 10)
		usleep(10000);
	return rc;
}

/* The lock is a file of its own: a lock on the database itself would be lost
 * as soon as anybody in this process closed another descriptor of it. */
static int
lock_take(struct disk *d, struct error **e)
{
	cleanup_free char *name = NULL;
	cleanup_close int fd = -1;

	xasprintf(&name, "%s.lock", d->path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_sys(e, "open %s", name);
	if (lock_wait(fd) < 0) {
		if (errno != EWOULDBLOCK)
			return fail_sys(e, "lock %s", name);
		return fail(e, WHY_CONFLICT,
			    "%s is in use by another kedged (it holds %s); stop that one, or "
			    "give this one another --state",
			    d->path, name);
	}
	d->lock = steal_fd(&fd);
	return 0;
}

static int
migrate(struct disk *d, int64_t from, int schema, struct error **e)
{
	cleanup_free char *sql = NULL;

	assert(schema <= (int)(sizeof migrations / sizeof *migrations));
	if (from > schema)
		return fail(e, WHY_UNABLE,
			    "%s was written by a newer kedge (schema %d, this one knows %d); "
			    "install that version again",
			    d->path, (int)from, schema);
	for (int64_t i = from; i < schema; i++) {
		free(sql);
		xasprintf(&sql,
			  "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; "
			  "PRAGMA user_version = %d; COMMIT",
			  migrations[i], APPLICATION_ID, (int)i + 1);
		if (run(d, sql, "making its tables", e) < 0) {
			sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
		if (from)
			log_info("store", "%s: migrated from schema %d to %d", d->path, (int)i,
				 (int)i + 1);
	}
	return 0;
}

static int
check(struct disk *d, int schema, struct error **e)
{
	int64_t id = 0, version = 0, tables = 0;

	if (ask_int(d, "PRAGMA application_id", &id, e) < 0 ||
	    ask_int(d, "PRAGMA user_version", &version, e) < 0 ||
	    ask_int(d, "SELECT count(*) FROM sqlite_schema", &tables, e) < 0)
		return -1;
	if (id != APPLICATION_ID && (id || version || tables))
		return fail(e, WHY_UNABLE,
			    "%s is a database, but not one of kedge's; give another --state",
			    d->path);
	return migrate(d, version, schema, e);
}

static int
prepare(struct disk *d, struct error **e)
{
	for (int i = 0; i < STMT_COUNT; i++)
		if (sqlite3_prepare_v3(d->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &d->stmt[i], NULL) != SQLITE_OK)
			return fail_sql(d, "preparing", e);
	return 0;
}

int
disk_open(const char *path, int schema, struct disk **ret, struct error **e)
{
	struct disk *d = xcalloc(1, sizeof *d);

	d->lock = -1;
	d->path = xstrdup(path);
	if (lock_take(d, e) < 0)
		goto bad;
	if (sqlite3_open_v2(path, &d->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				SQLITE_OPEN_NOFOLLOW,
			    NULL) != SQLITE_OK) {
		fail_sql(d, "opening", e);
		goto bad;
	}
	/* Exclusive: no shared memory file, and no reader can hold up a checkpoint.
	 * NORMAL: a power cut may lose the last commits, but never half of one. */
	if (run(d,
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = "
		"-512",
		"opening", e) < 0 ||
	    check(d, schema, e) < 0 || prepare(d, e) < 0)
		goto bad;
	*ret = d;
	return 0;
bad:
	disk_close(d);
	return -1;
}

void
disk_close(struct disk *d)
{
	if (!d)
		return;
	for (int i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(d->stmt[i]);
	sqlite3_close(d->db);
	if (d->lock >= 0)
		close(d->lock);
	free(d->path);
	free(d);
}

static const char *
column(sqlite3_stmt *s, int i)
{
	const char *t = (const char *)sqlite3_column_text(s, i);

	return t ? t : "";
}

static int
read_objects(struct disk *d, const struct disk_reader *r, struct error **e)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (sqlite3_prepare_v2(d->db, "SELECT kind, json FROM objects ORDER BY kind, ns, name",
			       -1, &s, NULL) != SQLITE_OK)
		return fail_sql(d, "reading", e);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (r->object(r->ctx, column(s, 0), column(s, 1), sqlite3_column_bytes(s, 1),
			      e) < 0) {
			sqlite3_finalize(s);
			return fail_in(e, "%s", d->path);
		}
	if (rc != SQLITE_DONE)
		fail_sql(d, "reading", e);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int
read_notes(struct disk *d, const struct disk_reader *r, struct error **e)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (sqlite3_prepare_v2(d->db, "SELECT key, value FROM notes", -1, &s, NULL) !=
	    SQLITE_OK)
		return fail_sql(d, "reading", e);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		r->note(r->ctx, column(s, 0), column(s, 1));
	if (rc != SQLITE_DONE)
		fail_sql(d, "reading", e);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
disk_read(struct disk *d, const struct disk_reader *r, uint64_t *ret_version, struct error **e)
{
	int64_t version;

	if (read_objects(d, r, e) < 0 || read_notes(d, r, e) < 0 ||
	    ask_int(d, "SELECT version FROM counter", &version, e) < 0)
		return -1;
	*ret_version = version;
	return 0;
}

static int
step(struct disk *d, enum stmt which, const char *doing, struct error **e)
{
	sqlite3_stmt *s = d->stmt[which];
	int rc = sqlite3_step(s);

	if (rc != SQLITE_DONE)
		fail_sql(d, doing, e);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* The text outlives the step, and step clears the binding. */
static void
bind(struct disk *d, enum stmt which, int i, const char *text, size_t len)
{
	sqlite3_bind_text64(d->stmt[which], i, text, len, SQLITE_STATIC, SQLITE_UTF8);
}

int
disk_begin(struct disk *d, struct error **e)
{
	return step(d, BEGIN, "beginning to write", e);
}

int
disk_put(struct disk *d, const char *kind, const char *ns, const char *name, const char *json,
	 size_t len, struct error **e)
{
	bind(d, PUT, 1, kind, strlen(kind));
	bind(d, PUT, 2, ns, strlen(ns));
	bind(d, PUT, 3, name, strlen(name));
	bind(d, PUT, 4, json, len);
	return step(d, PUT, "writing", e);
}

int
disk_delete(struct disk *d, const char *kind, const char *ns, const char *name,
	    struct error **e)
{
	bind(d, DELETE, 1, kind, strlen(kind));
	bind(d, DELETE, 2, ns, strlen(ns));
	bind(d, DELETE, 3, name, strlen(name));
	return step(d, DELETE, "writing", e);
}

int
disk_note(struct disk *d, const char *key, const char *value, struct error **e)
{
	bind(d, NOTE, 1, key, strlen(key));
	bind(d, NOTE, 2, value, strlen(value));
	return step(d, NOTE, "writing", e);
}

int
disk_end(struct disk *d, uint64_t version, struct error **e)
{
	sqlite3_bind_int64(d->stmt[VERSION], 1, (int64_t)version);
	if (step(d, VERSION, "writing", e) < 0)
		return -1;
	return step(d, COMMIT, "committing", e);
}

void
disk_undo(struct disk *d)
{
	/* Some errors roll back by themselves; then there is nothing to undo. */
	if (!sqlite3_get_autocommit(d->db))
		(void)step(d, ROLLBACK, "undoing", NULL);
}

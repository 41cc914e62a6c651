/* store.h -- every object kedge knows, in memory, with SQLite behind it.
 *
 * Objects are immutable once in the store: a change is a new object, and an
 * old one lives until its last reference is gone.  Each change gets the next
 * resourceVersion; the last STORE_RING of them can be replayed to watchers.
 * Writes are gathered and reach the disk as one transaction in store_commit;
 * a crash loses at most what was not committed, never half of it.
 */
#ifndef KEDGE_STORE_H
#define KEDGE_STORE_H
#include "../reconcile/snapshot.h"

struct error;
struct store;

enum { STORE_SCHEMA = 1, STORE_RING = 4096 };

/* Refuses a file of a newer schema; migrates an older one; WHY_CONFLICT when
 * another process has it open.  "" or ":memory:" keeps everything in memory. */
int store_open(const char *path, struct store **ret, struct error **);
void store_close(struct store *);

/* Clones obj.  Create: gives uid, creationTimestamp, generation 1; WHY_EXISTS.
 * Update: keeps uid and creationTimestamp, raises generation when spec changed;
 * WHY_NOT_FOUND; WHY_CONFLICT when obj carries a resourceVersion that is not the
 * stored one.  Nothing changes (and no version is used) when it is equal. */
int store_create(struct store *, const void *obj, int64_t now, struct error **);
int store_update(struct store *, const void *obj, struct error **);
int store_delete(struct store *, enum resource_id, const char *ns, const char *name,
		 struct error **);
const void *store_find(const struct store *, enum resource_id, const char *ns,
		       const char *name);
struct objects store_all(const struct store *,
			 enum resource_id); /* valid until the next write */
const char *store_new_uid(struct arena *);  /* random, as of RFC 4122 */
uint64_t store_version(const struct store *);

/* For passes: fills `of`. */
void store_view(const struct store *, struct snapshot *);

enum change_type { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };
struct change {
	uint64_t version;
	enum change_type type;
	enum resource_id res;
	const struct object
	    *obj; /* for DELETED the last state, with the version of the deletion */
	const struct object
	    *was; /* not for ADDED: the one before (selectors may stop matching) */
};
/* The first change after `version`, or NULL when there is none yet.
 * WHY_EXPIRED (410 Gone) when the ring no longer reaches back that far. */
int store_next(const struct store *, uint64_t version, const struct change **ret,
	       struct error **);
/* store_past.c: the objects of a kind as of `version`, valid until the next write.
 * WHY_EXPIRED as store_next. */
int store_past(const struct store *, enum resource_id, uint64_t version, struct arena *,
	       struct objects *ret, struct error **);
/* Called after every store_commit that changed something. */
void store_on_change(struct store *, void (*fn)(void *ctx), void *ctx);
void store_off_change(struct store *, void (*fn)(void *ctx), void *ctx);

/* Makes the gathered writes durable.  On error (disk full, I/O) memory and disk
 * differ; the writes are kept and tried again at the next call. */
int store_commit(struct store *, struct error **);
/* The same for who will tell others that it is written: on error memory is again what it was
 * at version `since`, up to which all must have been durable, and nobody hears of the rest. */
int store_commit_or_undo(struct store *, uint64_t since, struct error **);
/* Small facts that are not objects: "" when absent. */
const char *store_note(const struct store *, const char *key);
void store_set_note(struct store *, const char *key, const char *value);
#endif

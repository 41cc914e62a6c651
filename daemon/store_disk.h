/* store_disk.h -- the file behind the store: rows in, rows out, one transaction
 * at a time.  Only store.c includes this.
 *
 * Between disk_begin and disk_end nothing is visible to a later opener; when
 * any call in between fails the caller says disk_undo and the file is as it
 * was.  One process has the file at a time.
 */
#ifndef KEDGE_STORE_DISK_H
#define KEDGE_STORE_DISK_H
#include <stddef.h>
#include <stdint.h>

struct disk;
struct error;

/* What a file gives back when it is read; strings are valid during the call. */
struct disk_reader {
	int (*object)(void *ctx, const char *kind, const char *json, size_t len,
		      struct error **);
	void (*note)(void *ctx, const char *key, const char *value);
	void *ctx;
};

/* Makes the file when it is not there.  `schema` is ours: a newer file is
 * refused, an older one migrated.  WHY_CONFLICT when another process has it. */
int disk_open(const char *path, int schema, struct disk **ret, struct error **);
void disk_close(struct disk *);
int disk_read(struct disk *, const struct disk_reader *, uint64_t *ret_version,
	      struct error **);

int disk_begin(struct disk *, struct error **);
int disk_put(struct disk *, const char *kind, const char *ns, const char *name,
	     const char *json, size_t len, struct error **);
int disk_delete(struct disk *, const char *kind, const char *ns, const char *name,
		struct error **);
int disk_note(struct disk *, const char *key, const char *value, struct error **);
int disk_end(struct disk *, uint64_t version, struct error **);
void disk_undo(struct disk *);
#endif

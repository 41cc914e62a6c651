/* mirror.h -- kedge's own bare repository: what every source ever showed it.
 *
 * Content-addressed: an object's id is computed here from its bytes, so nobody
 * who brings objects need be trusted.  New objects and refs live in memory
 * until mirror_flush makes them durable, objects before refs; whatever is cut
 * off in between, a ref on the disk never points to what is not there.  The
 * mirror can be lost without harm to a Git source: its worker sends all again.
 */
#ifndef KEDGE_MIRROR_H
#define KEDGE_MIRROR_H
#include "gitlib.h"
#include <stdbool.h>
#include <stddef.h>

struct error;
struct mirror;

/* Makes it where there is none (mode 0700).  What is there but is no repository,
 * or is damaged, is renamed to "dir.broken-N" and *ret_aside is set. */
int mirror_open(const char *dir, struct mirror **ret, bool *ret_aside, struct error **);
void mirror_close(struct mirror *); /* takes NULL; does not flush */

struct mirror_object {
	const char *data; /* NUL-terminated beyond len */
	size_t len;
	void *held;
};

int mirror_put(struct mirror *, git_object_t, const void *, size_t, git_oid *ret,
	       struct error **);
/* WHY_NOT_FOUND: never came.  WHY_IO: it is there but unreadable; it was put out
 * of the way, so that the next mirror_put brings it back. */
int mirror_get(struct mirror *, const git_oid *, git_object_t want, struct mirror_object *ret,
	       struct error **);
void mirror_object_done(struct mirror_object *); /* takes an all-zero one */

/* A pack goes to the disk as it comes; its objects appear with mirror_pack_end.
 * All-zero: none is coming. */
struct mirror_pack {
	git_odb_writepack *to;
	git_indexer_progress stats; /* the indexer counts here from call to call */
};
int mirror_pack(struct mirror *, struct mirror_pack *, const void *, size_t, struct error **);
int mirror_pack_end(struct mirror *, struct mirror_pack *, struct error **);
void mirror_pack_drop(struct mirror_pack *);

/* refs/kedge/NAME/head */
bool mirror_name_valid(const char *name);
int mirror_set_head(struct mirror *, const char *name, const git_oid *, struct error **);
bool mirror_head(struct mirror *, const char *name, git_oid *ret); /* false: none */
/* At once, on the disk, too; no such head is fine. */
int mirror_drop_head(struct mirror *, const char *name, struct error **);

bool mirror_pending(const struct mirror *);
int mirror_flush(struct mirror *, struct error **);
#endif

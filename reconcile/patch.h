/* patch.h -- the three kinds of patch that a Kubernetes API takes, on trees.
 *
 * A patch makes a new tree and leaves both it was given as they are; the new one shares what
 * did not change with them, and lives in the arena.  None of them looks at values: what comes
 * out is decoded and checked as if it had been sent whole.
 *
 * The work is bounded: a patch that would need too many steps, or grow too large, fails with
 * WHY_TOO_LARGE.
 */
#ifndef KEDGE_PATCH_H
#define KEDGE_PATCH_H
#include "schema.h"

struct error;

/* RFC 7386: null removes, maps are merged, all else is replaced. */
struct tree *patch_merge(const struct tree *target, const struct tree *patch, struct arena *);

/* RFC 6902: add, remove, replace, move, copy, test; all or nothing.  WHY_BAD_REQUEST: this is
 * not such a patch; WHY_INVALID: it cannot be applied to this target. */
int patch_json(const struct tree *target, const struct tree *patch, struct tree **ret,
	       struct arena *, struct error **);

/* Kubernetes' strategic merge: a list whose items have a key is merged item by item.
 * Understands $patch (replace, delete, merge), $setElementOrder/LIST,
 * $deleteFromPrimitiveList/LIST and $retainKeys.  WHY_BAD_REQUEST when the patch makes no
 * sense. */
int patch_strategic(const struct kind *, const struct tree *target, const struct tree *patch,
		    struct tree **ret, struct arena *, struct error **);

/* The field by which a strategic merge tells the items of this list apart ("name"); NULL: the
 * list is replaced as a whole. */
const char *patch_merge_key(const struct field *, struct arena *);
/* Is this a list of strings that is merged as a set (metadata.finalizers)? */
bool patch_merges_values(const struct field *);
#endif

/* managed.h -- who wrote which field: metadata.managedFields and server-side apply.
 *
 * Pure.  The list is kept as Kubernetes keeps it: one entry for each manager, operation
 * and subresource.
 * Whoever applies owns all that they state, others own what they changed; a value that
 * somebody else owns can only be applied over with force.
 */
#ifndef KEDGE_MANAGED_H
#define KEDGE_MANAGED_H
#include "object.h"

struct managed_by {
	const struct resource *res;
	const char *manager;
	int64_t now; /* ms since 1970 */
	const char
	    *subresource; /* "status", whose fields are owned only then; NULL, "": none */
};

/* Is it a list of such entries?  A client may send one back. */
bool managed_is_sound(const struct tree *);
/* The list after an object was made (`was` NULL) or changed otherwise than by applying.
 * `managed` is the list before, or NULL. */
const char *managed_update(const struct managed_by *, const char *managed,
			   const struct tree *was, const struct tree *is, struct arena *);

struct managed_apply {
	struct tree *merged; /* the object as it shall be */
	const char *managed; /* its managedFields */
	/* What others own and this would change; a complaint each: path is the manager, field
	 * the field.  Empty with force. */
	struct complaints conflicts;
	struct tree *disputed; /* the same as a set; or NULL */
};
/* `live` NULL: there is no such object yet. */
void managed_apply(const struct managed_by *, const char *managed, const struct tree *live,
		   const struct tree *applied, bool force, struct managed_apply *ret,
		   struct arena *);
/* The union of all that is owned; never NULL. */
struct tree *managed_all(const char *managed, struct arena *);
#endif

/* restate.h -- what a manifest would have to say for an object to become another one.
 *
 * Pure.  `was` and `is` are the object before and after a write.  What differs between the
 * two is marked in the manifest's text (amend.h) where that states it; what the manifest leaves
 * out stays left out, but within what Git has as a whole (merge.c).
 */
#ifndef KEDGE_RESTATE_H
#define KEDGE_RESTATE_H
#include "schema.h"

struct amend;
struct amend_node;

void restate(struct amend *, struct amend_node *doc, const struct kind *,
	     const struct tree *was, const struct tree *is);
#endif

/* own.h -- may a write over the API change this, or is it Git's?
 *
 * Git owns exactly the fields that its manifest states (merge.h).  What it left out is free:
 * replicas where none are given, annotations of its own, a container added beside.
 */
#ifndef KEDGE_OWN_H
#define KEDGE_OWN_H
#include "controllers.h"
#include "object.h"

struct snapshot;

/* Did a source's commit state it?  Labels alone may have been copied from one that it did, and
 * onto a controller's child also the record; an owner beside Git makes it nobody else's. */
bool own_is_signed(const struct object *);
/* Is it Git's: signed by a source that is still followed?  What a source left behind that is no
 * longer configured stays as it is, and is anybody's until that source (or another one) states
 * it again. */
bool own_is_gits(const struct snapshot *, const struct object *);
/* `*new` is what a write would make of `live`, which is Git's.  NULL when Git has nothing
 * against it; `*new` is then replaced by the same with Git's lists in Git's order, so that
 * the next look at the commit finds nothing to put back.  Else the first field (in the order
 * of the kind) that Git states otherwise: "spec.replicas"; and an owner can only be given to
 * it there, for it would go with its owner.  OWN_RECORD: what Git states cannot be known, for
 * its record does not read; the next pass over the commit writes that anew. */
#define OWN_RECORD "metadata.annotations." ANNOTATION_APPLIED
const char *own_objection(const struct object *live, struct object **new, struct arena *);
/* The line of a manifest's text in which a field ("spec.containers[web].image") of the document
 * that begins at `line` is stated; the deepest part of it that is there counts. */
int own_line(const char *text, int line, const char *field);
/* What kedge itself wrote down about an object (kedge.dev/...) stays as it lives, or is
 * taken away from a new one (`live` is NULL): an exported manifest carries it along. */
void own_keep_marks(const struct object *live, struct object *new, struct arena *);
#endif

/* fieldset.h -- sets of an object's fields, as server-side apply writes them down.
 *
 * A set is a tree of maps, and as JSON it is Kubernetes' FieldsV1: "f:spec" is a field,
 * k:{"name":"web"} an item of a list by its keys, v:"x" a value of a set; "." is the item
 * itself, and a map with nothing in it a field that is owned whole.
 */
#ifndef KEDGE_FIELDSET_H
#define KEDGE_FIELDSET_H
#include "schema.h"

/* The leaves of `is` that `was` (NULL: nothing) lacks or has otherwise; never NULL.  Leaves
 * out what nobody owns: status, names, what kedge writes into the metadata. */
struct tree *fieldset_changed(const struct kind *, const struct tree *was,
			      const struct tree *is, struct arena *);
/* What keeps it from being applied: items that cannot be told apart; NULL: nothing. */
const char *fieldset_objection(const struct kind *, const struct tree *applied, struct arena *);
struct tree *fieldset_union(const struct tree *, const struct tree *, struct arena *);
struct tree *fieldset_union_all(struct tree *const *sets, size_t n, struct arena *);
struct tree *fieldset_minus(const struct tree *, const struct tree *, struct arena *);
struct tree *fieldset_common(const struct tree *, const struct tree *, struct arena *);
bool fieldset_empty(const struct tree *);
/* One line a leaf: ".spec.template.spec.containers[name="web"].image" */
typedef void fieldset_fn(void *ctx, const char *path);
void fieldset_each(const struct tree *, fieldset_fn *, void *ctx);

/* `applied` laid over `live`: maps field by field, lists item by item, all else whole. */
struct tree *fieldset_merge(const struct kind *, const struct tree *live,
			    const struct tree *applied, struct arena *);
/* Without the fields of `gone`, but for those that `kept` has, too. */
struct tree *fieldset_remove(const struct kind *, const struct tree *, const struct tree *gone,
			     const struct tree *kept, struct arena *);
#endif

/* merge.h -- three views of an object made into one: what a source states now,
 * what it stated before, what lives.
 *
 * Stated now: as stated.  Stated before and no longer: gone.  Never stated:
 * as it lives.  Which fields a source states is in the `set` bits of the
 * decoded object; which it stated before is kept as JSON beside the object.
 */
#ifndef KEDGE_MERGE_H
#define KEDGE_MERGE_H
#include "schema.h"

/* `last` is NULL when nothing that was stated before can have been taken back.
 * The result shares strings and structs with `want` and `live`. */
void *merge_three(const struct kind *, const void *want, const void *live,
		  const struct tree *last, struct arena *);

/* What the object states, as JSON: stated fields only, and none that are
 * kedge's to write.  The values of `data` maps are left empty, for only the
 * keys matter and a secret is not copied about. */
void merge_stated(const struct kind *, const void *obj, struct buf *);

/* The fields that tell the items of a list apart, or NULL: it is taken whole. */
const char *merge_keys(const struct field *);
/* Their values in one item, as one text. */
const char *merge_key(const struct field *, const struct tree *item, struct arena *);
/* The bit of a field within `set`. */
uint64_t merge_bit(const struct kind *, const char *field);
#endif

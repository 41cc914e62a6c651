/* schema_walk.h -- what the walkers over a kind's rows share; nobody else needs it. */
#ifndef KEDGE_SCHEMA_WALK_H
#define KEDGE_SCHEMA_WALK_H
#include "schema.h"

/* Would this row be on the wire? */
bool walk_present(const struct kind *, const struct field *, const void *obj);
/* A scalar row as a user would write it; "" when absent. */
const char *walk_scalar(const struct field *, const void *obj, struct arena *);
/* What tells an item from others: `fields` is ".key", the result "80/TCP"; NULL when empty. */
const char *walk_key(const struct kind *, const char *fields, const void *item, struct arena *);
/* A row whose name is nearly this one, or that belongs deeper ("template.spec"); or NULL. */
const char *walk_near(const struct kind *, const char *name, struct arena *);
#endif

/* table.h -- what `kubectl get` prints of an object, column by column.
 *
 * The columns are Kubernetes' own (columns.def), so that scripts which cut them
 * apart keep working.  Pure: the caller says what time it is.
 */
#ifndef KEDGE_TABLE_H
#define KEDGE_TABLE_H
#include "object.h"

struct cells {
	int64_t now; /* ms since 1970 */
	struct arena *arena;
};

/* Text of the cell; a number in digits where the column's type is "integer". */
typedef const char *cell_fn(const void *obj, const struct cells *);

struct column {
	const char *name;
	const char *type;   /* "string" or "integer" */
	const char *format; /* "name" or "" */
	cell_fn *cell;
	const char *doc;
	enum resource_id res;
	int priority; /* 0; 1: only with -o wide */
};

/* The columns of a kind, in order; every kind has some. */
const struct column *table_columns(enum resource_id, size_t *ret_n);

/* "59s", "2m30s", "3h", "2d5h": kubectl's duration.HumanDuration, two units while the larger
 * is small */
const char *duration_print(int64_t ms, struct arena *);
/* how long ago; "<unknown>" for 0 */
const char *age_print(int64_t then, const struct cells *);
#endif

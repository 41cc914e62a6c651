/* table_cells.h -- a function for each cell that columns.def names, and what they share.
 *
 * Only the table_*.c files include this.
 */
#ifndef KEDGE_TABLE_CELLS_H
#define KEDGE_TABLE_CELLS_H
#include "base/arena.h"
#include "base/buf.h"
#include "table.h"

#define NONE "<none>"

/* A cell that several kinds share is declared once for each: that is no harm. */
#define COLUMN(k, name, type, format, wide, fn, doc) \
	const char *fn(const void *obj, const struct cells *);
#include "columns.def"
#undef COLUMN

static inline const char *
text(const char *s)
{
	return s ? s : "";
}

static inline const char *
or_none(const char *s)
{
	return s && *s ? s : NONE;
}

const char *cell_number(int64_t, const struct cells *);
/* Into the arena, `none` when nothing was added; empties the buf. */
const char *cell_taken(struct buf *, const char *none, const struct cells *);
void cell_add_part(struct buf *, const char *separator, const char *part);
const char *cell_labels(const struct pairs *, const struct cells *);
/* Puts a cell's one expression on one line: `obj` is in scope as var. */
#define CELL(k, var, name, value)                                \
	const char *name(const void *obj, const struct cells *c) \
	{                                                        \
		const struct k *var = obj;                       \
		(void)c;                                         \
		return value;                                    \
	}
#endif

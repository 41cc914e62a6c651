/* table.c -- Kubernetes' columns: which a kind has, times, and the cells that all share.
 *
 * The cells follow pkg/printers/internalversion/printers.go; where one looks odd
 * it is because kubectl's users are used to it.
 */
#include "table_cells.h"
#include <inttypes.h>
#include <string.h>

const char *
cell_number(int64_t n, const struct cells *c)
{
	return arena_printf(c->arena, "%" PRId64, n);
}

/* Into the arena, NONE when nothing was added. */
const char *
cell_taken(struct buf *b, const char *none, const struct cells *c)
{
	const char *s = b->len ? arena_strndup(c->arena, b->at, b->len) : none;

	buf_done(b);
	return s;
}

void
cell_add_part(struct buf *b, const char *separator, const char *part)
{
	if (b->len)
		buf_adds(b, separator);
	buf_adds(b, part);
}

/* ---- times ---- */

const char *
duration_print(int64_t ms, struct arena *a)
{
	int64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;

	if (s < -1)
		return "<invalid>";
	if (s < 0)
		return "0s";
	if (s < 120)
		return arena_printf(a, "%" PRId64 "s", s);
	if (m < 10)
		return s % 60 ? arena_printf(a, "%" PRId64 "m%" PRId64 "s", m, s % 60)
			      : arena_printf(a, "%" PRId64 "m", m);
	if (m < 180)
		return arena_printf(a, "%" PRId64 "m", m);
	if (h < 8)
		return m % 60 ? arena_printf(a, "%" PRId64 "h%" PRId64 "m", h, m % 60)
			      : arena_printf(a, "%" PRId64 "h", h);
	if (h < 48)
		return arena_printf(a, "%" PRId64 "h", h);
	if (h < 192)
		return h % 24 ? arena_printf(a, "%" PRId64 "d%" PRId64 "h", d, h % 24)
			      : arena_printf(a, "%" PRId64 "d", d);
	if (d < 730)
		return arena_printf(a, "%" PRId64 "d", d);
	if (d < 2920)
		return d % 365 ? arena_printf(a, "%" PRId64 "y%" PRId64 "d", d / 365, d % 365)
			       : arena_printf(a, "%" PRId64 "y", d / 365);
	return arena_printf(a, "%" PRId64 "y", d / 365);
}

const char *
age_print(int64_t then, const struct cells *c)
{
	return then ? duration_print(c->now - then, c->arena) : "<unknown>";
}

/* ---- every kind ---- */

const char *
cell_name(const void *obj, const struct cells *c)
{
	(void)c;
	return object_name(obj);
}

const char *
cell_age(const void *obj, const struct cells *c)
{
	return age_print(((const struct object *)obj)->metadata->creationTimestamp, c);
}

const char *
cell_labels(const struct pairs *labels, const struct cells *c)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < labels->n; i++) {
		cell_add_part(&b, ",", labels->at[i].key);
		buf_addf(&b, "=%s", labels->at[i].value);
	}
	return cell_taken(&b, NONE, c);
}

/* ---- the table of columns ---- */

static const struct column columns[] = {
#define COLUMN(k, name, type, format, wide, fn, doc) \
	{ name, type, format, fn, doc, RES_##k, wide },
#include "columns.def"
#undef COLUMN
};

const struct column *
table_columns(enum resource_id res, size_t *ret_n)
{
	size_t n = sizeof columns / sizeof *columns, first = 0, end;

	while (first < n && columns[first].res != res)
		first++;
	for (end = first; end < n && columns[end].res == res;)
		end++;
	*ret_n = end - first;
	return &columns[first];
}

/* store_past.c -- the objects of a kind as they were at some version.
 *
 * What is there now, with the changes since that version undone: the ring has what each of
 * them replaced.  As far back as the ring goes a list can so be read in pages, all of them of
 * one moment, and nothing is kept for whoever reads it.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/map.h"
#include "store.h"
#include <stdlib.h>

static int
by_name(const void *a, const void *b)
{
	const struct change *const *x = a, *const *y = b;

	return object_compare((*x)->obj, (*y)->obj);
}

/* The first change since then of each object that changed, sorted by name; NULL: -1. */
static const struct change **
first_changes(const struct store *s, enum resource_id res, uint64_t version, size_t *ret_n,
	      struct arena *a, struct error **e)
{
	const struct change **at =
	    arena_alloc(a, (store_version(s) - version + 1) * sizeof *at);
	const struct change *c;
	struct map seen = { 0 };
	size_t n = 0;

	for (; store_next(s, version, &c, e) == 0; version = c->version) {
		if (!c) {
			map_done(&seen);
			qsort(at, n, sizeof *at, by_name);
			*ret_n = n;
			return at;
		}
		if (c->res == res && !map_put(&seen,
					      arena_printf(a, "%s/%s", object_namespace(c->obj),
							   object_name(c->obj)),
					      at))
			at[n++] = c;
	}
	map_done(&seen);
	return NULL;
}

int
store_past(const struct store *s, enum resource_id res, uint64_t version, struct arena *a,
	   struct objects *ret, struct error **e)
{
	struct objects now = store_all(s, res);
	const struct object **out;
	const struct change **was, *none;
	size_t nwas, n = 0, i = 0, k = 0;

	if (store_next(s, version, &none, e) < 0) /* before memory is taken for it */
		return -1;
	was = first_changes(s, res, version, &nwas, a, e);
	if (!was)
		return -1;
	out = arena_alloc(a, (now.n + nwas + 1) * sizeof *out);
	while (i < now.n || k < nwas) {
		int order = k == nwas   ? -1
			    : i < now.n ? object_compare(now.at[i], was[k]->obj)
					: 1;

		if (order < 0) {
			out[n++] = now.at[i++];
			continue;
		}
		i += !order;
		if (was[k]->type != CHANGE_ADDED)
			out[n++] = was[k]->was;
		k++;
	}
	*ret = (struct objects){ out, n };
	return 0;
}

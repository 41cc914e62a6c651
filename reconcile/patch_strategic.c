/* patch_strategic.c -- Kubernetes' strategic merge patch, walked over kinds.def.
 *
 * As k8s.io/apimachinery's strategicpatch, whose directives are explained in its
 * design documents: what is in the patch wins; a list whose items have a key is merged by it;
 * the order is that of $setElementOrder, and what only lives keeps its place before the
 * first item that came after it.
 */
#include "base/arena.h"
#include "base/error.h"
#include "patch.h"
#include "patch_tree.h"
#include <stdlib.h>
#include <string.h>

#define SET_ORDER   "$setElementOrder/"
#define DELETE_FROM "$deleteFromPrimitiveList/"
#define DIRECTIVE   "$patch"
#define RETAIN      "$retainKeys"

struct job {
	struct arena *a;
	struct error **e;
};

static struct tree *merge_map(struct job *, const struct kind *, const struct tree *target,
			      const struct tree *patch);

/* ---- what kind of list ---- */

const char *
patch_merge_key(const struct field *f, struct arena *a)
{
	const char *keys = f->key ? f->key : f->patch;

	if (f->type != T_LIST || !keys || f->whole || f->replaced)
		return NULL;
	return arena_strndup(a, keys, strcspn(keys, " ,"));
}

bool
patch_merges_values(const struct field *f)
{
	return f->merged;
}

/* ---- directives ---- */

static bool
is_directive(const char *key)
{
	return !strcmp(key, DIRECTIVE) || !strcmp(key, RETAIN) ||
	       !strncmp(key, SET_ORDER, strlen(SET_ORDER)) ||
	       !strncmp(key, DELETE_FROM, strlen(DELETE_FROM));
}

static const char *
directive_of(const struct tree *t)
{
	const struct tree *d = t->type == N_MAP ? tree_get(t, DIRECTIVE) : NULL;

	return d && d->type == N_STRING ? d->text : NULL;
}

/* What is new to the target: without directives, without nulls. */
static struct tree *
plain(struct job *j, const struct tree *t)
{
	struct tree *out, **tail;

	if (t->type != N_MAP && t->type != N_LIST)
		return tree_copy(t, j->a);
	out = tree_empty(t->type, j->a);
	tail = &out->kids;
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		const char *d = t->type == N_LIST ? directive_of(kid) : NULL;

		if (t->type == N_MAP && (is_directive(kid->key) || kid->type == N_NULL))
			continue;
		/* An item that says how, not what. */
		if (d && (!strcmp(d, "delete") || !strcmp(d, "replace")))
			continue;
		*tail = plain(j, kid);
		(*tail)->key = kid->key;
		tail = &(*tail)->next;
	}
	return out;
}

/* ---- items and their keys ---- */

/* The text of an item's key; of a string, the item's own; NULL: it has none. */
static const char *
item_key(struct job *j, const struct tree *item, const char *key)
{
	const struct tree *v = key ? tree_get(item, key) : item;

	if (!v || v->type == N_NULL || v->type == N_MAP || v->type == N_LIST)
		return NULL;
	return tree_key_text(v, j->a);
}

struct items {
	struct tree **at;
	const char **keys;
	size_t n;
};

static int
items_read(struct job *j, const struct tree *list, const char *key, size_t more,
	   struct items *ret)
{
	size_t n = tree_kids(list) + more;

	ret->at = arena_alloc(j->a, (n + 1) * sizeof *ret->at);
	ret->keys = arena_alloc(j->a, (n + 1) * sizeof *ret->keys);
	ret->n = 0;
	for (const struct tree *kid = list ? list->kids : NULL; kid; kid = kid->next) {
		const char *k = item_key(j, kid, key);

		if (!k && key && kid->type == N_MAP && !tree_get(kid, key))
			return fail(j->e, WHY_BAD_REQUEST,
				    "map: %.200s does not contain declared merge key: %s",
				    tree_key_text(kid, j->a), key);
		if (!k)
			return fail(
			    j->e, WHY_BAD_REQUEST, "%.200s is not an item of a list%s%s",
			    tree_key_text(kid, j->a), key ? " merged by " : "", key ? key : "");
		ret->at[ret->n] = tree_copy(kid, j->a);
		ret->keys[ret->n++] = k;
	}
	return 0;
}

static struct tree *
items_list(struct job *j, const struct items *l)
{
	struct tree *t = tree_empty(N_LIST, j->a), **tail = &t->kids;

	for (size_t i = 0; i < l->n; i++) {
		*tail = l->at[i];
		tail = &l->at[i]->next;
	}
	*tail = NULL;
	return t;
}

/* key -> position + 1, of the first that has it; `next`, unless NULL: of the next one of the
 * same key, or 0 */
static void
items_index(const struct items *l, struct map *ret, size_t *next)
{
	for (size_t i = l->n; i-- > 0;) {
		void *had = map_put(ret, l->keys[i], (void *)(uintptr_t)(i + 1));

		if (next)
			next[i] = (size_t)(uintptr_t)had;
	}
}

static size_t
place_in(const struct map *m, const char *key)
{
	return (size_t)(uintptr_t)map_get(m, key);
}

/* ---- order ---- */

struct ranked {
	size_t rank, i;
};

static int
by_rank(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

/* Those with a rank, by it; the others behind them as they are. */
static void
items_sort(struct job *j, struct items *l, const struct map *ranks)
{
	struct ranked *r = arena_alloc(j->a, (l->n + 1) * sizeof *r);
	struct tree **at = arena_alloc(j->a, (l->n + 1) * sizeof *at);
	const char **keys = arena_alloc(j->a, (l->n + 1) * sizeof *keys);

	for (size_t i = 0; i < l->n; i++) {
		size_t rank = place_in(ranks, l->keys[i]);

		r[i] = (struct ranked){ rank ? rank : SIZE_MAX, i };
	}
	qsort(r, l->n, sizeof *r, by_rank);
	for (size_t i = 0; i < l->n; i++) {
		at[i] = l->at[r[i].i];
		keys[i] = l->keys[r[i].i];
	}
	l->at = at;
	l->keys = keys;
}

/* Puts `all` into order: what `order` names as it says, what only lives where it was. */
static struct tree *
in_order(struct job *j, const struct items *all, const struct items *order,
	 const struct items *live)
{
	struct items said = { 0 }, rest = { 0 }, out = { 0 };
	struct map ranks = { 0 }, were = { 0 };
	size_t s = 0, r = 0;

	items_index(order, &ranks, NULL);
	items_index(live, &were, NULL);
	for (struct items *l = &said; l; l = l == &said ? &rest : l == &rest ? &out : NULL) {
		l->at = arena_alloc(j->a, (all->n + 1) * sizeof *l->at);
		l->keys = arena_alloc(j->a, (all->n + 1) * sizeof *l->keys);
	}
	for (size_t i = 0; i < all->n; i++) {
		struct items *l = place_in(&ranks, all->keys[i]) ? &said : &rest;

		l->at[l->n] = all->at[i];
		l->keys[l->n++] = all->keys[i];
	}
	items_sort(j, &said, &ranks);
	items_sort(j, &rest, &were);
	while (s < said.n || r < rest.n) {
		size_t a = r < rest.n ? place_in(&were, rest.keys[r]) : 0;
		size_t b = s < said.n ? place_in(&were, said.keys[s]) : 0;
		bool live_first = r < rest.n && (s >= said.n || (a && b && a < b));

		out.at[out.n++] = live_first ? rest.at[r++] : said.at[s++];
	}
	map_done(&ranks);
	map_done(&were);
	return items_list(j, &out);
}

/* ---- lists of maps ---- */

/* An item that only says `$patch: replace`: the list is replaced by the others. */
static bool
replaces(const struct tree *patch)
{
	for (const struct tree *kid = patch->kids; kid; kid = kid->next) {
		const char *d = directive_of(kid);

		if (d && !strcmp(d, "replace"))
			return true;
	}
	return false;
}

static int
check_directives(struct job *j, const struct tree *patch)
{
	for (const struct tree *kid = patch->kids; kid; kid = kid->next) {
		const char *d = directive_of(kid);

		if (d && strcmp(d, "delete") != 0 && strcmp(d, "replace") != 0 &&
		    strcmp(d, "merge") != 0)
			return fail(j->e, WHY_BAD_REQUEST, "unknown patch type: %.100s", d);
	}
	return 0;
}

/* Every item of the patch has been worked into `all`; those that it deletes are gone. */
static int
merge_items(struct job *j, const struct kind *k, const struct items *live,
	    const struct items *patch, struct items *all)
{
	size_t *next = arena_zalloc(j->a, (live->n + patch->n + 1) * sizeof *next);
	struct map where = { 0 };
	int rc = 0;

	for (size_t i = 0; i < live->n; i++) {
		all->at[i] = live->at[i];
		all->keys[i] = live->keys[i];
	}
	all->n = live->n;
	items_index(all, &where, next);
	for (size_t i = 0; i < patch->n && !rc; i++) {
		const char *d = directive_of(patch->at[i]);
		size_t at = place_in(&where, patch->keys[i]);

		if (d && !strcmp(d, "delete")) {
			map_del(&where, patch->keys[i]);
			for (; at; at = next[at - 1])
				all->at[at - 1] = NULL;
		} else if (at) {
			struct tree *merged = merge_map(j, k, all->at[at - 1], patch->at[i]);

			rc = merged ? 0 : -1;
			all->at[at - 1] = merged;
		} else {
			all->at[all->n] = plain(j, patch->at[i]);
			all->keys[all->n] = patch->keys[i];
			map_put(&where, patch->keys[i], (void *)(uintptr_t)++all->n);
		}
	}
	map_done(&where);
	return rc;
}

static void
drop_deleted(struct items *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->at[i]) {
			l->at[n] = l->at[i];
			l->keys[n++] = l->keys[i];
		}
	l->n = n;
}

/* `order` is what $setElementOrder says; NULL: the patch's own order counts. */
static struct tree *
merge_items_list(struct job *j, const struct kind *k, const char *key,
		 const struct tree *target, const struct tree *patch, const struct tree *order)
{
	struct items live, new, ranks, all;

	if (check_directives(j, patch) < 0)
		return NULL;
	if (replaces(patch))
		return plain(j, patch);
	if (items_read(j, target, key, 0, &live) < 0 ||
	    items_read(j, patch, key, 0, &new) < 0 ||
	    (order && items_read(j, order, key, 0, &ranks) < 0) ||
	    items_read(j, NULL, NULL, live.n + new.n, &all) < 0 ||
	    merge_items(j, k, &live, &new, &all) < 0)
		return NULL;
	drop_deleted(&all);
	return in_order(j, &all, order ? &ranks : &new, &live);
}

/* ---- lists of values that are merged as a set ---- */

static struct tree *
merge_values(struct job *j, const struct tree *target, const struct tree *patch,
	     const struct tree *gone, const struct tree *order)
{
	struct items live, new, out, ranks, all;
	struct map seen = { 0 };

	if (items_read(j, target, NULL, 0, &live) < 0 ||
	    items_read(j, patch, NULL, 0, &new) < 0 || items_read(j, gone, NULL, 0, &out) < 0 ||
	    items_read(j, order, NULL, 0, &ranks) < 0 ||
	    items_read(j, NULL, NULL, live.n + new.n, &all) < 0)
		return NULL;
	items_index(&out, &seen, NULL);
	for (size_t i = 0; i < live.n + new.n; i++) {
		struct items *l = i < live.n ? &live : &new;
		size_t at = i < live.n ? i : i - live.n;

		if (map_put(&seen, l->keys[at], j))
			continue;
		all.at[all.n] = l->at[at];
		all.keys[all.n++] = l->keys[at];
	}
	map_done(&seen);
	return in_order(j, &all, order ? &ranks : &new, &live);
}

/* ---- maps ---- */

/* Is what it retains a list, and is all that the patch says in it? */
static int
retain(struct job *j, struct members *m, const struct tree *target, const struct tree *patch,
       const struct tree *keys)
{
	struct map kept = { 0 };
	int rc = 0;

	for (const struct tree *k = keys->kids; k; k = k->next)
		if (k->type == N_STRING)
			map_put(&kept, k->text, m);
	for (const struct tree *kid = patch->kids; kid && !rc; kid = kid->next)
		if (!is_directive(kid->key) && kid->type != N_NULL && !map_get(&kept, kid->key))
			rc = fail(j->e, WHY_BAD_REQUEST,
				  "the patch says \"%.100s\", which its " RETAIN " leaves out",
				  kid->key);
	for (const struct tree *kid = target ? target->kids : NULL; kid && !rc; kid = kid->next)
		if (!map_get(&kept, kid->key))
			members_del(m, kid->key);
	map_done(&kept);
	return rc;
}

/* One field that the patch speaks of, or orders, or deletes values of. */
static struct tree *
merge_field(struct job *j, const struct kind *k, const char *name, const struct tree *target,
	    const struct tree *patch, const struct tree *order, const struct tree *gone)
{
	const struct field *f = k ? schema_field(k, name) : NULL;
	const char *key = f ? patch_merge_key(f, j->a) : NULL;
	const struct tree none = { .type = N_LIST };
	bool list = (key || (f && patch_merges_values(f))) &&
		    (!target || target->type == N_LIST) && (!patch || patch->type == N_LIST);

	if (list && (target || !patch) && !key)
		return merge_values(j, target, patch, gone, order);
	if (list && target)
		return merge_items_list(j, f->of(), key, target, patch ? patch : &none, order);
	if (!patch)
		return target ? tree_copy(target, j->a) : NULL;
	if (patch->type == N_MAP && target && target->type == N_MAP)
		return merge_map(j, f && f->type == T_OBJ ? f->of() : NULL, target, patch);
	return plain(j, patch);
}

/* The directive of this kind for a field, or NULL; it must be a list. */
static int
directive_list(struct job *j, struct members *patch, const char *prefix, const char *name,
	       const struct tree **ret)
{
	const char *key = arena_printf(j->a, "%s%s", prefix, name);
	const struct tree *t = members_get(patch, key);

	if (t && t->type != N_LIST)
		return fail(j->e, WHY_BAD_REQUEST, "%.200s must be a list", key);
	*ret = t;
	return 0;
}

static int
merge_named(struct job *j, const struct kind *k, struct members *m, struct members *patch,
	    const char *name)
{
	const struct tree *value = members_get(patch, name), *order, *gone;
	struct tree *merged;

	if (directive_list(j, patch, SET_ORDER, name, &order) < 0 ||
	    directive_list(j, patch, DELETE_FROM, name, &gone) < 0)
		return -1;
	if (value && value->type == N_NULL) {
		members_del(m, name);
		return 0;
	}
	if (!value && !members_get(m, name))
		return 0; /* an order of nothing */
	merged = merge_field(j, k, name, members_get(m, name), value, order, gone);
	if (!merged)
		return -1;
	members_put(m, name, merged);
	return 0;
}

/* "$setElementOrder/ports" and "ports" speak of the same field. */
static const char *
field_of(const char *key)
{
	return !strncmp(key, SET_ORDER, strlen(SET_ORDER))       ? key + strlen(SET_ORDER)
	       : !strncmp(key, DELETE_FROM, strlen(DELETE_FROM)) ? key + strlen(DELETE_FROM)
								 : key;
}

static int
merge_members(struct job *j, const struct kind *k, struct members *m, const struct tree *target,
	      const struct tree *patch)
{
	const struct tree *keys = tree_get(patch, RETAIN);
	struct map done = { 0 };
	struct members said;
	int rc = 0;

	if (keys && keys->type != N_LIST)
		return fail(j->e, WHY_BAD_REQUEST, RETAIN " must be a list");
	if (keys && retain(j, m, target, patch, keys) < 0)
		return -1;
	members_open(&said, j->a);
	members_add_all(&said, patch);
	for (const struct tree *kid = patch->kids; kid && !rc; kid = kid->next) {
		const char *name = field_of(kid->key);

		if (!strcmp(kid->key, RETAIN) || !strcmp(kid->key, DIRECTIVE))
			continue;
		if (!map_put(&done, name, j))
			rc = merge_named(j, k, m, &said, name);
	}
	map_done(&done);
	members_close(&said, N_MAP);
	return rc;
}

static struct tree *
merge_map(struct job *j, const struct kind *k, const struct tree *target,
	  const struct tree *patch)
{
	const char *d = directive_of(patch);
	struct members m;
	struct tree *out;
	int rc;

	if (d && !strcmp(d, "replace"))
		return plain(j, patch);
	if (d && !strcmp(d, "delete"))
		return tree_empty(N_MAP, j->a);
	if (d && strcmp(d, "merge") != 0) {
		fail(j->e, WHY_BAD_REQUEST, "unknown patch type: %.100s", d);
		return NULL;
	}
	members_open(&m, j->a);
	members_add_all(&m, target);
	rc = merge_members(j, k, &m, target, patch);
	out = members_close(&m, N_MAP);
	return rc < 0 ? NULL : out;
}

int
patch_strategic(const struct kind *k, const struct tree *target, const struct tree *patch,
		struct tree **ret, struct arena *a, struct error **e)
{
	struct job j = { a, e };
	struct tree *out;

	if (patch->type != N_MAP)
		return fail(e, WHY_BAD_REQUEST, "a strategic merge patch is a JSON object");
	out = merge_map(&j, k, target, patch);
	if (!out)
		return -1;
	*ret = out;
	return 0;
}

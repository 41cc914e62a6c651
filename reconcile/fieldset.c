/* fieldset.c -- sets of an object's fields, as server-side apply writes them down. */
#include "fieldset.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "object.h"
#include "patch.h"
#include "patch_tree.h"
#include <stdlib.h>
#include <string.h>

enum shape { WHOLE, FIELDS, ENTRIES, ITEMS, VALUES };

/* How the value of a row is owned, by its type. */
static enum shape
shape_of(const struct field *f, const struct tree *t)
{
	if (!f || f->whole)
		return WHOLE;
	if (f->type == T_OBJ && t->type == N_MAP && !f->of()->hooks->atomic)
		return FIELDS;
	if ((f->type == T_MAP || f->type == T_QMAP) && t->type == N_MAP)
		return ENTRIES;
	if (f->type == T_LIST && (f->key || f->patch) && t->type == N_LIST)
		return ITEMS;
	return patch_merges_values(f) && t->type == N_LIST ? VALUES : WHOLE;
}

static bool
is_resource(const struct kind *k)
{
	for (size_t i = 0; i < RES_COUNT; i++)
		if (resources[i].schema == k)
			return true;
	return false;
}

/* They say which object it is, or are kedge's to write. */
static bool
is_nobodys(const struct kind *k, const struct field *f)
{
	if (k == object_meta_kind())
		return f->ro || !strcmp(f->name, "name") || !strcmp(f->name, "generateName") ||
		       !strcmp(f->name, "namespace");
	return (!strcmp(f->name, "status") || !strcmp(f->name, "apiVersion") ||
		!strcmp(f->name, "kind")) &&
	       is_resource(k);
}

/* ---- items ---- */

/* k:{"containerPort":80,"protocol":"TCP"}; NULL when a key is missing */
static const char *
item_key(const struct field *f, const struct tree *item, struct arena *a)
{
	const char *keys = f->key ? f->key : f->patch;
	cleanup_buf struct buf b = { 0 };

	buf_adds(&b, "k:{");
	for (const char *p = keys; *p; p += strspn(p, " ,")) {
		size_t n = strcspn(p, " ,");
		const char *name = arena_strndup(a, p, n);
		const struct tree *v = item->type == N_MAP ? tree_get(item, name) : NULL;
		const struct field *row = schema_field(f->of(), name);

		p += n;
		buf_addf(&b, "%s\"%s\":", b.at[b.len - 1] == '{' ? "" : ",", name);
		if (v && v->type != N_MAP && v->type != N_LIST)
			tree_json(v, &b);
		else if (row && row->dflt)
			tree_quote(row->dflt, &b);
		else
			return NULL;
	}
	buf_addc(&b, '}');
	return arena_strdup(a, buf_text(&b));
}

static const char *
value_key(const struct tree *v, struct arena *a)
{
	return arena_printf(a, "v:%s", tree_key_text(v, a));
}

/* The items of a list, by key; one without a key, or the second with the same, is nobody's but
 * its place's.  Returns how many there are of those. */
static size_t
items_open(struct members *m, const struct field *f, const struct tree *list, struct arena *a)
{
	size_t i = 0, odd = 0;

	members_open(m, a);
	for (const struct tree *t = list ? list->kids : NULL; t; t = t->next, i++) {
		const char *key = f->type == T_STRS ? value_key(t, a) : item_key(f, t, a);

		if (!key || members_get(m, key)) {
			key = arena_printf(a, "i:%zu", i);
			odd++;
		}
		members_put(m, key, t);
	}
	return odd;
}

/* ---- what cannot be applied ---- */

static const char *
objection_in(const struct field *f, const struct tree *t, struct arena *a)
{
	const char *why = NULL;
	struct members m;

	if (shape_of(f, t) == FIELDS)
		return fieldset_objection(f->of(), t, a);
	if (shape_of(f, t) != ITEMS)
		return NULL;
	if (items_open(&m, f, t, a))
		why = arena_printf(a, ".%s: each item needs a different %s", f->name,
				   f->key ? f->key : f->patch);
	members_close(&m, N_LIST);
	for (const struct tree *item = t->kids; item && !why; item = item->next) {
		why = item->type == N_MAP ? fieldset_objection(f->of(), item, a) : NULL;
		if (why)
			why = arena_printf(a, ".%s%s", f->name, why);
	}
	return why;
}

const char *
fieldset_objection(const struct kind *k, const struct tree *t, struct arena *a)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		const struct field *f = schema_field(k, kid->key);
		const char *why = f ? objection_in(f, kid, a) : NULL;

		if (why)
			return f->type == T_OBJ ? arena_printf(a, ".%s%s", f->name, why) : why;
	}
	return NULL;
}

/* ---- what changed ---- */

static void changed_fields(const struct kind *, const struct tree *was, const struct tree *is,
			   struct members *out);

static void
put_leaf(struct members *out, const char *key)
{
	members_put(out, key, tree_empty(N_MAP, out->arena));
}

static void
put_set(struct members *out, const char *key, struct members *set)
{
	struct tree *t = members_close(set, N_MAP);

	if (t->kids)
		members_put(out, key, t);
}

static void
changed_entries(const struct tree *was, const struct tree *is, struct members *out)
{
	struct members old;

	members_open(&old, out->arena);
	members_add_all(&old, was && was->type == N_MAP ? was : NULL);
	for (const struct tree *t = is->kids; t; t = t->next) {
		const struct tree *before = members_get(&old, t->key);

		if (!before || !tree_same(before, t))
			put_leaf(out, arena_printf(out->arena, "f:%s", t->key));
	}
	members_close(&old, N_MAP);
}

static void
changed_items(const struct field *f, const struct tree *was, const struct tree *is,
	      struct members *out)
{
	struct members old, new;

	items_open(&old, f, was && was->type == N_LIST ? was : NULL, out->arena);
	items_open(&new, f, is, out->arena);
	for (size_t i = 0; i < new.n; i++) {
		const struct tree *item = new.at[i];
		const struct tree *before = members_get(&old, item->key);
		struct members set;

		if (f->type == T_STRS) {
			if (!before)
				put_leaf(out, item->key);
			continue;
		}
		members_open(&set, out->arena);
		if (!before)
			put_leaf(&set, ".");
		changed_fields(f->of(), before, item, &set);
		put_set(out, item->key, &set);
	}
	members_close(&old, N_MAP);
	members_close(&new, N_MAP);
}

static void
changed_fields(const struct kind *k, const struct tree *was, const struct tree *is,
	       struct members *out)
{
	for (const struct tree *t = is->kids; t; t = t->next) {
		const struct field *f = schema_field(k, t->key);
		const struct tree *before = was ? tree_get(was, t->key) : NULL;
		const char *key = arena_printf(out->arena, "f:%s", t->key);
		enum shape shape = shape_of(f, t);
		struct members set;

		if (!f || t->type == N_NULL || is_nobodys(k, f))
			continue;
		/* Something granular with nothing in it says that it is there, no more. */
		if (shape == WHOLE || !t->kids) {
			if (!before || (shape == WHOLE && !tree_same(before, t)))
				put_leaf(out, key);
			continue;
		}
		members_open(&set, out->arena);
		if (shape == FIELDS)
			changed_fields(f->of(), before, t, &set);
		else if (shape == ENTRIES)
			changed_entries(before, t, &set);
		else
			changed_items(f, before, t, &set);
		put_set(out, key, &set);
	}
}

struct tree *
fieldset_changed(const struct kind *k, const struct tree *was, const struct tree *is,
		 struct arena *a)
{
	struct members out;

	members_open(&out, a);
	changed_fields(k, was, is, &out);
	return members_close(&out, N_MAP);
}

/* ---- sets ---- */

bool
fieldset_empty(const struct tree *t)
{
	return !t || !t->kids;
}

struct tree *
fieldset_union(const struct tree *x, const struct tree *y, struct arena *a)
{
	struct members m;

	members_open(&m, a);
	members_add_all(&m, x);
	for (const struct tree *t = y ? y->kids : NULL; t; t = t->next) {
		const struct tree *had = members_get(&m, t->key);

		members_put(&m, t->key, had ? fieldset_union(had, t, a) : t);
	}
	return members_close(&m, N_MAP);
}

struct tree *
fieldset_union_all(struct tree *const *sets, size_t n, struct arena *a)
{
	struct tree *left, *right;

	if (n < 2)
		return fieldset_union(n ? sets[0] : NULL, NULL, a);
	/* By halves: a sum that grows is not copied once for each that is added. */
	left = fieldset_union_all(sets, n / 2, a);
	right = fieldset_union_all(sets + n / 2, n - n / 2, a);
	return fieldset_union(left, right, a);
}

/* For each member of x, in order, that of y with its key, or NULL.  Takes memory by the size of
 * x alone: x is one of many that are held against the same y.  The caller frees. */
static const struct tree **
matches(const struct tree *x, const struct tree *y)
{
	size_t i = 0, n = tree_kids(x);
	const struct tree **at = xcalloc(n + 1, sizeof *at);
	struct map index = { 0 };

	if (!n || !y || !y->kids)
		return at;
	for (const struct tree *t = x->kids; t; t = t->next)
		map_put(&index, t->key, &at[i++]);
	for (const struct tree *t = y->kids; t; t = t->next) {
		const struct tree **place = map_get(&index, t->key);

		if (place)
			*place = t;
	}
	map_done(&index);
	return at;
}

/* That something is there is another thing than what is in it. */
static bool
same_shape(const struct tree *t, const struct tree *other)
{
	return other && fieldset_empty(t) == fieldset_empty(other);
}

struct tree *
fieldset_minus(const struct tree *x, const struct tree *y, struct arena *a)
{
	cleanup_free const struct tree **other = matches(x, y);
	struct members m;
	bool any = false;
	size_t i = 0;

	for (const struct tree *t = x ? x->kids : NULL; t; t = t->next)
		any = same_shape(t, other[i++]) || any;
	if (!any)
		return x ? tree_copy(x, a) : tree_empty(N_MAP, a);
	members_open(&m, a);
	i = 0;
	for (const struct tree *t = x->kids; t; t = t->next, i++) {
		struct tree *rest;

		if (!same_shape(t, other[i])) {
			members_put(&m, t->key, t);
			continue;
		}
		rest = fieldset_minus(t, other[i], a);
		if (!fieldset_empty(rest))
			members_put(&m, t->key, rest);
	}
	return members_close(&m, N_MAP);
}

struct tree *
fieldset_common(const struct tree *x, const struct tree *y, struct arena *a)
{
	cleanup_free const struct tree **other = matches(x, y);
	struct members m;
	size_t i = 0;

	members_open(&m, a);
	for (const struct tree *t = x ? x->kids : NULL; t; t = t->next, i++) {
		struct tree *c;

		if (!same_shape(t, other[i]))
			continue;
		if (fieldset_empty(t)) {
			put_leaf(&m, t->key);
			continue;
		}
		c = fieldset_common(t, other[i], a);
		if (!fieldset_empty(c))
			members_put(&m, t->key, c);
	}
	return members_close(&m, N_MAP);
}

/* k:{"name":"web"} -> [name="web"] */
static void
put_step(struct buf *path, const char *key)
{
	if (!strncmp(key, "f:", 2)) {
		buf_addf(path, ".%s", key + 2);
	} else if (!strncmp(key, "k:{", 3)) {
		buf_addc(path, '[');
		for (const char *p = key + 3; *p && strcmp(p, "}") != 0; p++)
			if (*p == '"' && (p[-1] == '{' || p[-1] == ','))
				for (p++; *p && *p != '"'; p++)
					buf_addc(path, *p);
			else
				buf_addc(path, *p == ':' ? '=' : *p);
		buf_addc(path, ']');
	} else if (!strncmp(key, "v:", 2)) {
		buf_addf(path, "[=%s]", key + 2);
	}
}

static void
each(const struct tree *t, struct buf *path, fieldset_fn *fn, void *ctx)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		size_t len = path->len;

		if (strcmp(kid->key, ".") != 0) {
			put_step(path, kid->key);
			each(kid, path, fn, ctx);
		}
		if (!kid->kids && (strcmp(kid->key, ".") != 0 || !kid->next))
			fn(ctx, buf_text(path));
		path->len = len;
		buf_addc(path, 0);
		path->len = len;
	}
}

void
fieldset_each(const struct tree *set, fieldset_fn *fn, void *ctx)
{
	cleanup_buf struct buf path = { 0 };

	each(set, &path, fn, ctx);
}

/* ---- merging and removing ---- */

static struct tree *
merge_items(const struct field *f, const struct tree *live, const struct tree *applied,
	    struct arena *a)
{
	struct members m, new;

	items_open(&m, f, live, a);
	items_open(&new, f, applied, a);
	for (size_t i = 0; i < new.n; i++) {
		const struct tree *item = new.at[i], *had = members_get(&m, item->key);

		members_put(&m, item->key,
			    had && f->type == T_LIST ? fieldset_merge(f->of(), had, item, a)
						     : item);
	}
	members_close(&new, N_LIST);
	return members_close(&m, N_LIST);
}

static struct tree *
merge_value(const struct field *f, const struct tree *live, const struct tree *applied,
	    struct arena *a)
{
	enum shape shape = shape_of(f, applied);

	if (!live || live->type != applied->type || shape == WHOLE)
		return tree_copy(applied, a);
	if (shape == FIELDS)
		return fieldset_merge(f->of(), live, applied, a);
	if (shape == ENTRIES)
		return patch_merge(live, applied, a);
	return merge_items(f, live, applied, a);
}

struct tree *
fieldset_merge(const struct kind *k, const struct tree *live, const struct tree *applied,
	       struct arena *a)
{
	struct members m;

	members_open(&m, a);
	members_add_all(&m, live);
	for (const struct tree *t = applied->kids; t; t = t->next)
		if (t->type != N_NULL)
			members_put(&m, t->key,
				    merge_value(schema_field(k, t->key),
						members_get(&m, t->key), t, a));
	return members_close(&m, N_MAP);
}

static struct tree *
remove_items(const struct field *f, const struct tree *list, const struct tree *gone,
	     const struct tree *kept, struct arena *a)
{
	cleanup_finder struct finder keep = finder_of(kept);
	struct members m;

	items_open(&m, f, list, a);
	for (const struct tree *g = gone->kids; g; g = g->next) {
		const struct tree *item = members_get(&m, g->key);
		const struct tree *others = finder_get(&keep, g->key);

		if (!item)
			continue;
		if (!others && (f->type == T_STRS || tree_get(g, ".")))
			members_del(&m, g->key);
		else if (f->type == T_LIST)
			members_put(&m, g->key, fieldset_remove(f->of(), item, g, others, a));
	}
	return members_close(&m, N_LIST);
}

struct tree *
fieldset_remove(const struct kind *k, const struct tree *t, const struct tree *gone,
		const struct tree *kept, struct arena *a)
{
	cleanup_finder struct finder keep = finder_of(kept);
	struct members m;

	members_open(&m, a);
	members_add_all(&m, t);
	for (const struct tree *g = gone->kids; g; g = g->next) {
		const char *name = !strncmp(g->key, "f:", 2) ? g->key + 2 : "";
		const struct field *f = k ? schema_field(k, name) : NULL;
		const struct tree *had = members_get(&m, name);
		const struct tree *others = finder_get(&keep, g->key);
		bool whole = had && shape_of(f, had) == WHOLE;
		struct tree *rest;

		if (!had || (whole && others))
			continue;
		if (!g->kids) {
			if (!others && (whole || !had->kids))
				members_del(&m, name);
			continue;
		}
		if (had->type == N_LIST && f && (f->type == T_LIST || f->type == T_STRS))
			rest = f->type == T_LIST && !f->key && !f->patch
				   ? tree_copy(had, a)
				   : remove_items(f, had, g, others, a);
		else if (had->type == N_MAP)
			rest = fieldset_remove(f && f->type == T_OBJ ? f->of() : NULL, had, g,
					       others, a);
		else
			continue;
		/* that it is there may be another's, with nothing in it */
		if (rest->kids || (others && !others->kids))
			members_put(&m, name, rest);
		else
			members_del(&m, name);
	}
	return members_close(&m, N_MAP);
}

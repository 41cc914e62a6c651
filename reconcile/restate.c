/* restate.c -- what a manifest would have to say for an object to become another one.
 *
 * Three are walked together: the manifest as it is written, the object before, the object
 * after.  Where the two objects are the same nothing is touched, however the manifest puts it
 * ("1000m" of a "1"); so the text changes where the write did, and nowhere else.
 */
#include "restate.h"
#include "amend.h"
#include "base/arena.h"
#include "merge.h"
#include "patch_tree.h"
#include <string.h>

static bool
same(const struct tree *a, const struct tree *b)
{
	return a && b ? tree_same(a, b) : a == b;
}

/* JSON's null is as good as nothing. */
static const struct tree *
member(struct finder *map, const char *key)
{
	const struct tree *t = finder_get(map, key);

	return t && t->type != N_NULL ? t : NULL;
}

static bool
is_whole(const struct field *f)
{
	return f->whole || f->type == T_ANY || (f->type == T_LIST && !merge_keys(f)) ||
	       (f->type == T_OBJ && f->of()->hooks->together);
}

static void restate_value(struct amend *, const struct field *, bool whole, struct amend_node *,
			  const struct tree *was, const struct tree *is);

/* Members that the manifest does not state yet. */
static void
restate_new(struct amend *ed, struct amend_node *n, struct finder *was, const struct tree *is)
{
	struct map stated = { 0 };

	for (struct amend_node *kid = n->kids; kid; kid = kid->next)
		map_put(&stated, kid->key, kid);
	for (const struct tree *t = is->kids; t; t = t->next)
		if (t->type != N_NULL && !map_get(&stated, t->key) &&
		    !same(member(was, t->key), t))
			amend_add(ed, n, n->last, t->key, t);
	map_done(&stated);
}

/* `k` is NULL where any key may stand; with `whole` new members are stated as well. */
static void
restate_map(struct amend *ed, const struct kind *k, bool whole, struct amend_node *n,
	    const struct tree *was, const struct tree *is)
{
	cleanup_finder struct finder old = finder_of(was), new = finder_of(is);

	for (struct amend_node *kid = n->kids; kid; kid = kid->next) {
		const struct field *f = k ? schema_field(k, kid->key) : NULL;
		const struct tree *before = member(&old, kid->key),
				  *after = member(&new, kid->key);

		if ((k && (!f || f->ro)) || same(before, after))
			continue;
		if (after)
			restate_value(ed, f, whole, kid, before, after);
		else
			amend_drop(ed, kid);
	}
	if (whole)
		restate_new(ed, n, &old, is);
}

/* The items of a list with what tells them apart: "0 KEY", of the second that has it "1 KEY".
 */
struct keyed {
	const struct tree **at;
	const char **keys;
	size_t n;
	struct map index;
};

static const char *
nth_key(size_t nth, const char *key, struct arena *a)
{
	return arena_printf(a, "%zu %s", nth, key);
}

static struct keyed
keyed_of(const struct field *f, const struct tree *list, struct arena *a)
{
	size_t n = tree_kids(list);
	struct keyed k = { .at = arena_alloc(a, (n + 1) * sizeof *k.at),
			   .keys = arena_alloc(a, (n + 1) * sizeof *k.keys) };
	struct map seen = { 0 };

	for (const struct tree *t = list ? list->kids : NULL; t; t = t->next) {
		const char *key = merge_key(f, t, a);
		size_t nth = (size_t)(uintptr_t)map_get(&seen, key);

		map_put(&seen, key, (void *)(uintptr_t)(nth + 1));
		k.at[k.n] = t;
		k.keys[k.n] = nth_key(nth, key, a);
		map_put(&k.index, k.keys[k.n++], (void *)t);
	}
	map_done(&seen);
	return k;
}

static void
restate_keyed(struct amend *ed, const struct field *f, bool whole, struct amend_node *n,
	      const struct tree *was, const struct tree *is)
{
	struct keyed stated = keyed_of(f, n->tree, ed->arena),
		     before = keyed_of(f, was, ed->arena), after = keyed_of(f, is, ed->arena);
	size_t i = 0;

	for (struct amend_node *kid = n->kids; kid; kid = kid->next, i++) {
		const struct tree *x = map_get(&before.index, stated.keys[i]),
				  *y = map_get(&after.index, stated.keys[i]);

		if (same(x, y))
			continue;
		if (y)
			restate_value(ed, f, whole, kid, x, y);
		else
			amend_drop(ed, kid);
	}
	/* (another one of a key that is stated is not told apart from those) */
	for (i = 0; whole && i < after.n; i++)
		if (!map_get(&stated.index,
			     nth_key(0, strchr(after.keys[i], ' ') + 1, ed->arena)))
			amend_add(ed, n, n->last, NULL, after.at[i]);
	map_done(&stated.index);
	map_done(&before.index);
	map_done(&after.index);
}

/* Items that nothing tells apart: those at both ends that stayed are left alone, those
 * between are changed one by one, and what is over goes or is added behind them. */
static void
restate_items(struct amend *ed, const struct field *f, struct amend_node *n,
	      const struct tree *was, const struct tree *is)
{
	size_t before = tree_kids(was), after = tree_kids(is), head = 0, tail = 0, i = 0;
	const struct tree **x = arena_alloc(ed->arena, (before + 1) * sizeof *x),
			  **y = arena_alloc(ed->arena, (after + 1) * sizeof *y);
	struct amend_node *at = NULL;

	if (tree_kids(n->tree) != before) {
		amend_refuse(ed, n, "it does not live as it is stated there");
		return;
	}
	for (const struct tree *t = was ? was->kids : NULL; t; t = t->next)
		x[i++] = t;
	i = 0;
	for (const struct tree *t = is->kids; t; t = t->next)
		y[i++] = t;
	while (head < before && head < after && tree_same(x[head], y[head]))
		head++;
	while (tail < before - head && tail < after - head &&
	       tree_same(x[before - 1 - tail], y[after - 1 - tail]))
		tail++;
	i = 0;
	for (struct amend_node *kid = n->kids; kid; kid = kid->next, i++) {
		if (i < before - tail)
			at = kid;
		if (i < head || i >= before - tail)
			continue;
		if (i < after - tail)
			restate_value(ed, f, true, kid, x[i], y[i]);
		else
			amend_drop(ed, kid);
	}
	for (i = before - tail; i < after - tail; i++)
		amend_add(ed, n, at, NULL, y[i]);
}

static void
restate_value(struct amend *ed, const struct field *f, bool whole, struct amend_node *n,
	      const struct tree *was, const struct tree *is)
{
	enum tree_type type = n->tree ? n->tree->type : N_NULL;
	bool item = !n->key; /* of the list that `f` is */
	const struct kind *k =
	    f && (f->type == T_OBJ || (f->type == T_LIST && item)) ? f->of() : NULL;

	whole = whole || !f || (!item && is_whole(f)) || (k && k->hooks->together);
	if (n->fixed || type != is->type || (type != N_MAP && type != N_LIST))
		amend_set(ed, n, is);
	else if (type == N_MAP)
		restate_map(ed, k, whole, n, was, is);
	else if (f && f->type == T_LIST && merge_keys(f) && !item)
		restate_keyed(ed, f, whole, n, was, is);
	else
		restate_items(ed, f, n, was, is);
}

void
restate(struct amend *ed, struct amend_node *doc, const struct kind *k, const struct tree *was,
	const struct tree *is)
{
	restate_map(ed, k, false, doc, was, is);
}

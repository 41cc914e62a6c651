/* patch_tree.c -- trees that are put together anew. */
#include "patch_tree.h"
#include "base/arena.h"
#include "base/buf.h"
#include <stdlib.h>
#include <string.h>

enum { FEW = 12 }; /* so many are looked through one by one */

struct tree *
tree_copy(const struct tree *t, struct arena *a)
{
	struct tree *c = arena_alloc(a, sizeof *c);

	*c = *t;
	c->next = NULL;
	c->key = NULL;
	return c;
}

struct tree *
tree_copy_deep(const struct tree *t, struct arena *a)
{
	struct tree *c = tree_copy(t, a), **tail = &c->kids;

	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		*tail = tree_copy_deep(kid, a);
		(*tail)->key = kid->key;
		tail = &(*tail)->next;
	}
	*tail = NULL;
	return c;
}

struct tree *
tree_empty(enum tree_type type, struct arena *a)
{
	struct tree *t = arena_zalloc(a, sizeof *t);

	t->type = type;
	return t;
}

struct tree *
tree_string(const char *s, struct arena *a)
{
	struct tree *t = tree_empty(N_STRING, a);

	t->text = arena_strdup(a, s);
	return t;
}

size_t
tree_count(const struct tree *t)
{
	size_t n = 1;

	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		n += tree_count(kid);
	return n;
}

const char *
tree_key_text(const struct tree *t, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	tree_json(t, &b);
	return arena_strndup(a, b.at, b.len);
}

/* ---- finding ---- */

struct finder
finder_of(const struct tree *map)
{
	bool is = map && map->type == N_MAP;

	return (struct finder){ .map = is ? map : NULL, .next = is ? map->kids : NULL };
}

/* From its first on, or by the index, which is made when the way is long. */
static const struct tree *
find_member(struct finder *f, const char *key)
{
	const struct tree *t = f->map->kids;
	size_t n = 0;

	if (!f->index.n) {
		while (t && n++ < FEW && strcmp(t->key, key) != 0)
			t = t->next;
		if (!t || n <= FEW)
			return t;
		for (t = f->map->kids; t; t = t->next)
			map_put(&f->index, t->key, (void *)t);
	}
	return map_get(&f->index, key);
}

const struct tree *
finder_get(struct finder *f, const char *key)
{
	const struct tree *t = f->next;

	if (f->map && (!t || strcmp(t->key, key) != 0))
		t = find_member(f, key);
	if (t)
		f->next = t->next;
	return t;
}

void
finder_done(struct finder *f)
{
	map_done(&f->index);
}

/* ---- the same? ---- */

static bool
same_number(const struct tree *a, const struct tree *b)
{
	int64_t i, j;

	if (a->type == N_INT && b->type == N_INT && tree_int(a->text, &i) &&
	    tree_int(b->text, &j))
		return i == j;
	return strtod(a->text, NULL) == strtod(b->text, NULL);
}

static bool
same_map(const struct tree *a, const struct tree *b)
{
	cleanup_finder struct finder in_b = finder_of(b);
	size_t n = 0;

	for (const struct tree *kid = a->kids; kid; kid = kid->next, n++) {
		const struct tree *other = finder_get(&in_b, kid->key);

		if (!other || !tree_same(kid, other))
			return false;
	}
	return n == tree_kids(b);
}

bool
tree_same(const struct tree *a, const struct tree *b)
{
	const struct tree *x, *y;

	if ((a->type == N_INT || a->type == N_FLOAT) &&
	    (b->type == N_INT || b->type == N_FLOAT))
		return same_number(a, b);
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case N_NULL:
		return true;
	case N_BOOL:
		return tree_true(a) == tree_true(b);
	case N_MAP:
		return same_map(a, b);
	case N_LIST:
		for (x = a->kids, y = b->kids; x && y; x = x->next, y = y->next)
			if (!tree_same(x, y))
				return false;
		return !x && !y;
	default:
		return !strcmp(a->text, b->text);
	}
}

/* ---- members ---- */

void
members_open(struct members *m, struct arena *a)
{
	*m = (struct members){ .arena = a };
}

/* Those from `m->indexed` on are in the index as soon as it is asked. */
static void
index_members(struct members *m)
{
	for (; m->indexed < m->n; m->indexed++)
		if (m->at[m->indexed])
			map_put(&m->index, m->at[m->indexed]->key,
				(void *)(uintptr_t)(m->indexed + 1));
}

static bool
is_at(const struct members *m, size_t i, const char *key)
{
	return i < m->n && m->at[i] && !strcmp(m->at[i]->key, key);
}

/* What is asked for in order is found without the index. */
static struct tree **
slot_of(struct members *m, const char *key)
{
	size_t i = m->next;

	if (!is_at(m, i, key)) {
		for (i = 0; m->n <= FEW && i < m->n && !is_at(m, i, key);)
			i++;
		if (m->n > FEW) {
			index_members(m);
			i = (size_t)(uintptr_t)map_get(&m->index, key) - 1;
		}
	}
	if (i >= m->n)
		return NULL;
	m->next = i + 1;
	return &m->at[i];
}

static void
append(struct members *m, const char *key, const struct tree *value)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 16;
		m->at = xrealloc(m->at, m->cap * sizeof *m->at);
	}
	m->at[m->n] = tree_copy(value, m->arena);
	m->at[m->n++]->key = key;
}

void
members_add_all(struct members *m, const struct tree *map)
{
	bool first = !m->n; /* then no two of them have one key */

	for (const struct tree *kid = map ? map->kids : NULL; kid; kid = kid->next)
		if (first)
			append(m, kid->key, kid);
		else
			members_put(m, kid->key, kid);
}

struct tree *
members_get(struct members *m, const char *key)
{
	struct tree **at = slot_of(m, key);

	return at ? *at : NULL;
}

void
members_put(struct members *m, const char *key, const struct tree *value)
{
	struct tree **at = slot_of(m, key);

	if (!at) {
		append(m, key, value);
		return;
	}
	*at = tree_copy(value, m->arena);
	(*at)->key = key;
}

void
members_del(struct members *m, const char *key)
{
	struct tree **at = slot_of(m, key);

	if (!at)
		return;
	if ((size_t)(at - m->at) < m->indexed)
		map_del(&m->index, key);
	*at = NULL;
}

struct tree *
members_close(struct members *m, enum tree_type type)
{
	struct tree *t = tree_empty(type, m->arena), **tail = &t->kids;

	for (size_t i = 0; i < m->n; i++)
		if (m->at[i]) {
			*tail = m->at[i];
			tail = &m->at[i]->next;
		}
	*tail = NULL;
	map_done(&m->index);
	free(m->at);
	*m = (struct members){ 0 };
	return t;
}

/* work_kit.h -- counted work, and objects with a list or map as long as asked for.
 *
 * What is under test is compiled so that each step (a basic block) calls in here; what libc
 * does with texts is counted by their length.  So a count is the same on every machine.
 */
#ifndef KEDGE_WORK_KIT_H
#define KEDGE_WORK_KIT_H
#include "reads.h"
#include "reconcile/patch_tree.h"
#include "world.h"

static unsigned long long steps;

void __sanitizer_cov_trace_pc(void);
void
__sanitizer_cov_trace_pc(void)
{
	steps++;
}

enum { AT_ONCE = 16 }; /* bytes that libc looks at in a step */

#define WRAPPED(result, name, params, args, bytes) \
	result __real_##name params;               \
	result __wrap_##name params;               \
	result __wrap_##name params                \
	{                                          \
		steps += 1 + (bytes) / AT_ONCE;    \
		return __real_##name args;         \
	}
size_t __real_strlen(const char *);
WRAPPED(size_t, strlen, (const char *s), (s), __real_strlen(s))
WRAPPED(int, strcmp, (const char *a, const char *b), (a, b), 0)
WRAPPED(char *, strchr, (const char *s, int c), (s, c), __real_strlen(s))
WRAPPED(char *, strstr, (const char *s, const char *t), (s, t), __real_strlen(s))
WRAPPED(size_t, strspn, (const char *s, const char *t), (s, t), __real_strlen(s))
WRAPPED(size_t, strcspn, (const char *s, const char *t), (s, t), __real_strlen(s))
WRAPPED(void *, memchr, (const void *s, int c, size_t n), (s, c, n), n)
WRAPPED(void *, memcpy, (void *to, const void *s, size_t n), (to, s, n), n)
WRAPPED(void *, memmove, (void *to, const void *s, size_t n), (to, s, n), n)
WRAPPED(int, memcmp, (const void *a, const void *b, size_t n), (a, b, n), n)

/* ---- a value for any row ---- */

/* A text that the row's own check is content with, where one of these is. */
static const char *
text_for(const struct field *f, const char *(*check)(const char *, struct arena *), size_t i,
	 struct arena *a)
{
	static const char *const forms[] = { "n%zu",         "x.y/n%zu",        "/n%zu",
					     "10.%zu.%zu.1", "10.0.%zu.%zu/32", "N%zu",
					     "http://n%zu" };

	if (f && f->one_of)
		return arena_strndup(a, f->one_of, strcspn(f->one_of, " "));
	for (size_t k = 0; check && k < sizeof forms / sizeof *forms; k++) {
		char text[64];

		snprintf(text, sizeof text, forms[k], k == 3 || k == 4 ? i / 250 : i, i % 250);
		if (!check(text, a))
			return arena_strdup(a, text);
	}
	return arena_printf(a, "n%zu", i);
}

static struct tree *
text_tree(enum tree_type type, const char *text, struct arena *a)
{
	struct tree *t = tree_string(text, a);

	t->type = type;
	return t;
}

static struct tree *object_for(const struct kind *, const char *keys, size_t i, int depth,
			       struct arena *);

static struct tree *
value_for(const struct field *f, size_t i, int depth, struct arena *a)
{
	switch (f->type) {
	case T_INT:
		return text_tree(N_INT, arena_printf(a, "%jd", (intmax_t)(f->min + (int64_t)i)),
				 a);
	case T_BOOL:
		return text_tree(N_BOOL, "true", a);
	case T_QTY:
		return tree_string("1", a);
	case T_IORS:
		return text_tree(N_INT, "1", a);
	case T_TIME:
		return tree_string("2030-01-02T03:04:05Z", a);
	case T_OBJ:
		return object_for(f->of(), NULL, i, depth + 1, a);
	case T_STR:
		return tree_string(text_for(f, f->check, i, a), a);
	default:
		return tree_empty(f->type == T_MAP || f->type == T_QMAP ? N_MAP : N_LIST, a);
	}
}

static bool
is_key(const char *keys, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = keys; p && *p; p += strcspn(p, " ,"), p += strspn(p, " ,"))
		if (!strncmp(p, name, n) && strchr(" ,", p[n]))
			return true;
	return false;
}

/* What it has to have, and `keys`, which tell the i-th from all others. */
static struct tree *
object_for(const struct kind *k, const char *keys, size_t i, int depth, struct arena *a)
{
	struct members m;

	members_open(&m, a);
	for (const struct field *f = k->fields; f->name && depth < 6; f++)
		if ((f->need && !f->ro) || is_key(keys, f->name))
			members_put(&m, f->name, value_for(f, i, depth, a));
	return members_close(&m, N_MAP);
}

/* The row's list or map with n members. */
static struct tree *
many_for(const struct field *f, size_t n, struct arena *a)
{
	bool map = f->type == T_MAP || f->type == T_QMAP;
	struct tree *t = tree_empty(map ? N_MAP : N_LIST, a), **tail = &t->kids;

	for (size_t i = 0; i < n; i++, tail = &(*tail)->next) {
		if (f->type == T_LIST)
			*tail = object_for(f->of(), f->key ? f->key : f->patch, i, 0, a);
		else if (f->type == T_INTS)
			*tail = text_tree(N_INT, arena_printf(a, "%zu", i), a);
		else if (f->type == T_STRS)
			*tail = tree_string(text_for(f, f->check, i, a), a);
		else
			*tail = tree_string(f->type == T_QMAP ? "1"
					    : f->base64       ? "YQ=="
							      : "v",
					    a);
		if (map)
			(*tail)->key = text_for(NULL, f->keys, i, a);
	}
	*tail = NULL;
	return t;
}

/* An object in which only the last of the rows on the way has more than it must. */
static struct tree *
body_for(const struct kind *k, const struct field *const *way, size_t depth, size_t n,
	 struct arena *a)
{
	struct tree *t = object_for(k, NULL, 0, 0, a), *below;
	struct members m;

	members_open(&m, a);
	members_add_all(&m, t);
	if (depth == 1) {
		members_put(&m, way[0]->name, many_for(way[0], n, a));
		return members_close(&m, N_MAP);
	}
	below = body_for(way[0]->of(), way + 1, depth - 1, n, a);
	if (way[0]->type == T_LIST) {
		struct tree *list = tree_empty(N_LIST, a);
		struct members item;

		members_open(&item, a);
		members_add_all(&item,
				object_for(way[0]->of(),
					   way[0]->key ? way[0]->key : way[0]->patch, 0, 0, a));
		members_add_all(&item, below);
		list->kids = members_close(&item, N_MAP);
		below = list;
	}
	members_put(&m, way[0]->name, below);
	return members_close(&m, N_MAP);
}
#endif

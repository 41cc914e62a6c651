/* schema_diff.c -- what differs between two objects of a kind, leaf by leaf.
 *
 * Items of a list are matched by what tells them apart, so that an inserted
 * container is one difference and not many.  What is base64 on the wire may be
 * a secret, so that it changed is said but never from what to what.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "schema_walk.h"
#include <string.h>

struct differ {
	schema_diff_fn *fn;
	void *ctx;
	struct buf path;
	struct arena arena; /* scratch */
};

static void diff_rows(struct differ *, const struct kind *, const void *a, const void *b);

static void
push(struct differ *d, const char *name, bool bracket)
{
	if (bracket)
		buf_addf(&d->path, "[%s]", name);
	else
		buf_addf(&d->path, "%s%s", d->path.len ? "." : "", name);
}

static void
pop(struct differ *d, size_t len)
{
	d->path.len = len;
	if (d->path.at)
		d->path.at[len] = 0;
}

static void
tell(struct differ *d, const char *old, const char *new)
{
	d->fn(d->ctx, buf_text(&d->path), old, new);
}

static void
diff_value(struct differ *d, const struct field *f, const char *key, const char *old,
	   const char *new)
{
	size_t len = d->path.len;

	if (old && new && !strcmp(old, new))
		return;
	push(d, key, true);
	if (f->base64)
		tell(d, old ? "*** (before)" : NULL, new ? "*** (after)" : NULL);
	else
		tell(d, old, new);
	pop(d, len);
}

static void
diff_map(struct differ *d, const struct field *f, const struct pairs *a, const struct pairs *b)
{
	size_t i = 0, j = 0;

	while (i < a->n || j < b->n) {
		int c = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->at[i].key, b->at[j].key);

		diff_value(d, f, c <= 0 ? a->at[i].key : b->at[j].key,
			   c <= 0 ? a->at[i].value : NULL, c >= 0 ? b->at[j].value : NULL);
		i += c <= 0;
		j += c >= 0;
	}
}

/* Lists of scalars are one leaf each: their order means something. */
static const char *
scalars_text(const struct field *f, const struct list *l, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; i < l->n; i++) {
		buf_adds(&b, i ? "," : "[");
		if (f->type == T_STRS)
			tree_quote(((const char **)l->at)[i], &b);
		else
			buf_addf(&b, "%jd", (intmax_t)((const int64_t *)l->at)[i]);
	}
	buf_addc(&b, ']');
	return l->n ? arena_strdup(a, buf_text(&b)) : NULL;
}

static void
diff_item(struct differ *d, const struct kind *k, const char *name, const void *a,
	  const void *b)
{
	size_t len = d->path.len;

	push(d, name, true);
	diff_rows(d, k, a, b);
	pop(d, len);
}

static const char *
item_name(struct differ *d, const struct field *f, const void *item, size_t i)
{
	const char *key = f->key ? walk_key(f->of(), f->key, item, &d->arena) : NULL;

	return key ? key : arena_printf(&d->arena, "%zu", i);
}

static void
diff_list(struct differ *d, const struct field *f, const struct list *a, const struct list *b)
{
	const struct kind *k = f->of();
	struct map others = { 0 };

	for (size_t i = 0; i < b->n; i++) {
		void *it = (char *)b->at + i * k->size;

		map_put(&others, item_name(d, f, it, i), it);
	}
	for (size_t i = 0; i < a->n; i++) {
		const void *it = (const char *)a->at + i * k->size;
		const char *name = item_name(d, f, it, i);

		diff_item(d, k, name, it, map_del(&others, name));
	}
	for (size_t i = 0; i < b->n && others.n; i++) {
		const void *it = (const char *)b->at + i * k->size;
		const char *name = item_name(d, f, it, i);

		if (map_del(&others, name))
			diff_item(d, k, name, NULL, it);
	}
	map_done(&others);
}

static void
diff_leaf(struct differ *d, const struct kind *k, const struct field *f, const void *a,
	  const void *b)
{
	const char *old = a && walk_present(k, f, a) ? walk_scalar(f, a, &d->arena) : NULL;
	const char *new = b &&walk_present(k, f, b) ? walk_scalar(f, b, &d->arena) : NULL;

	/* An empty string is how the wire says "none". */
	old = old && *old ? old : NULL;
	new = new &&*new ? new : NULL;
	if (old != new && (!old || !new || strcmp(old, new)))
		tell(d, old, new);
}

static void
diff_field(struct differ *d, const struct kind *k, const struct field *f, const void *a,
	   const void *b)
{
	static const struct list none;
	const void *p = a ? (const char *)a + f->off : NULL;
	const void *q = b ? (const char *)b + f->off : NULL;
	const char *old, *new;

	switch (f->type) {
	case T_MAP:
	case T_QMAP:
		diff_map(d, f, p ? p : &none, q ? q : &none);
		break;
	case T_STRS:
	case T_INTS:
		old = scalars_text(f, p ? p : &none, &d->arena);
		new = scalars_text(f, q ? q : &none, &d->arena);
		if (old != new && (!old || !new || strcmp(old, new)))
			tell(d, old, new);
		break;
	case T_LIST:
		diff_list(d, f, p ? p : &none, q ? q : &none);
		break;
	case T_OBJ:
		p = p ? *(const void *const *)p : NULL;
		q = q ? *(const void *const *)q : NULL;
		if (p != q)
			diff_rows(d, f->of(), p, q);
		break;
	default:
		diff_leaf(d, k, f, a, b);
	}
}

/* Either may be NULL: then every leaf of the other is told. */
static void
diff_rows(struct differ *d, const struct kind *k, const void *a, const void *b)
{
	for (const struct field *f = k->fields; f->name; f++) {
		size_t len = d->path.len;

		push(d, f->name, false);
		diff_field(d, k, f, a, b);
		pop(d, len);
	}
}

void
schema_diff(const struct kind *k, const void *a, const void *b, schema_diff_fn *fn, void *ctx)
{
	struct differ d = { .fn = fn, .ctx = ctx };

	if (a != b)
		diff_rows(&d, k, a, b);
	buf_done(&d.path);
	arena_free(&d.arena);
}

struct first {
	const char *path;
	struct arena *arena;
};

static void
keep_first(void *ctx, const char *path, const char *old, const char *new)
{
	struct first *f = ctx;

	(void)old;
	(void)new;
	if (!f->path)
		f->path = arena_strdup(f->arena, path);
}

const char *
schema_first_difference(const struct kind *k, const void *a, const void *b, struct arena *arena)
{
	struct first f = { .arena = arena };

	schema_diff(k, a, b, keep_first, &f);
	return f.path;
}

/* schema_walk.c -- looking at rows by name, and guessing which one was meant. */
#include "schema_walk.h"
#include "base/arena.h"
#include "base/buf.h"
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct field *
schema_field(const struct kind *k, const char *name)
{
	for (const struct field *f = k->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static uint64_t
bit(const struct kind *k, const struct field *f)
{
	return UINT64_C(1) << (f - k->fields);
}

bool
schema_has(const struct kind *k, const void *obj, const char *name)
{
	const struct field *f = schema_field(k, name);

	assert(f);
	return *(const uint64_t *)obj & bit(k, f);
}

void
schema_mark(const struct kind *k, void *obj, const char *name)
{
	const struct field *f = schema_field(k, name);

	assert(f);
	*(uint64_t *)obj |= bit(k, f);
}

bool
walk_present(const struct kind *k, const struct field *f, const void *obj)
{
	const void *at = (const char *)obj + f->off;
	const char *s;

	/* A default was filled in, so 0 is a value that somebody chose. */
	if (f->keep || (f->ptr && (*(const uint64_t *)obj & bit(k, f))))
		return true;
	switch (f->type) {
	case T_STR:
	case T_QTY:
	case T_ANY:
		s = *(const char *const *)at;
		return s && *s;
	case T_INT:
		return f->dflt || f->need || *(const int64_t *)at;
	case T_BOOL:
		return f->dflt || f->need || *(const bool *)at;
	case T_IORS:
		return f->dflt || f->need || ((const struct iors *)at)->s ||
		       ((const struct iors *)at)->i;
	case T_TIME:
		return *(const int64_t *)at;
	case T_OBJ:
		return *(const void *const *)at;
	case T_MAP:
	case T_QMAP:
	case T_STRS:
	case T_INTS:
	case T_LIST:
		break;
	}
	return ((const struct list *)at)->n;
}

const char *
walk_scalar(const struct field *f, const void *obj, struct arena *a)
{
	const void *at = (const char *)obj + f->off;
	char time[40];

	switch (f->type) {
	case T_STR:
	case T_QTY:
	case T_ANY:
		return *(const char *const *)at ? *(const char *const *)at : "";
	case T_INT:
		return arena_printf(a, "%" PRId64, *(const int64_t *)at);
	case T_BOOL:
		return *(const bool *)at ? "true" : "false";
	case T_IORS:
		return ((const struct iors *)at)->s
			   ? ((const struct iors *)at)->s
			   : arena_printf(a, "%" PRId64, ((const struct iors *)at)->i);
	case T_TIME:
		if (!*(const int64_t *)at)
			return "";
		time_print(*(const int64_t *)at, f->micro, time);
		return arena_strdup(a, time);
	default:
		return "";
	}
}

const char *
walk_key(const struct kind *k, const char *fields, const void *item, struct arena *a)
{
	const char *key = NULL;

	for (const char *w = fields; *w; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");
		const struct field *f = k->fields;
		const char *part;

		while (f->name && (f->len != n || memcmp(f->name, w, n)))
			f++;
		assert(f->name);
		part = walk_present(k, f, item) ? walk_scalar(f, item, a) : "";
		if (w == fields && !*part)
			return NULL;
		key = key ? arena_printf(a, "%s/%s", key, part) : part;
		w += n;
	}
	return key;
}

enum { LONGEST = 48 };

/* How many letters must be changed, added, dropped or swapped, whatever their case. */
static int
distance(const char *a, size_t m, const char *b, size_t n)
{
	int d[3][LONGEST + 1], *before = d[0], *last = d[1], *now = d[2];

	for (size_t j = 0; j <= n; j++)
		last[j] = (int)j;
	for (size_t i = 1; i <= m; i++) {
		int *free_row = before;

		now[0] = (int)i;
		for (size_t j = 1; j <= n; j++) {
			int x = tolower((unsigned char)a[i - 1]);
			int y = tolower((unsigned char)b[j - 1]);
			int best = last[j - 1] + (x != y);

			best = best < last[j] + 1 ? best : last[j] + 1;
			best = best < now[j - 1] + 1 ? best : now[j - 1] + 1;
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = free_row;
	}
	return last[n];
}

/* Is there a row of this very name further down?  "template.spec.containers" */
static const char *
deeper(const struct kind *k, const char *name, int levels, struct arena *a)
{
	for (const struct field *f = k->fields; f->name && levels; f++) {
		const char *below;

		if (f->type != T_OBJ || f->ro || !strcmp(f->name, "metadata"))
			continue;
		if (schema_field(f->of(), name))
			return arena_printf(a, "%s.%s", f->name, name);
		below = deeper(f->of(), name, levels - 1, a);
		if (below)
			return arena_printf(a, "%s.%s", f->name, below);
	}
	return NULL;
}

/* "img" for "image", "cfg" for "config": the same letters in the same order, some left out. */
static bool
abbreviates(const char *name, size_t n, const char *full, size_t len)
{
	size_t i = 0;

	if (n < 3 || len > 2 * n || *name != *full)
		return false;
	for (; *full; full++)
		i += i < n && *full == name[i];
	return i == n;
}

const char *
walk_near(const struct kind *k, const char *name, struct arena *a)
{
	size_t n = strlen(name);
	int best = n < 4 ? 1 : n < 8 ? 2 : 3;
	const char *near = NULL;

	if (n > LONGEST)
		return NULL;
	for (const struct field *f = k->fields; f->name; f++) {
		int d =
		    f->len > LONGEST || f->ro ? LONGEST : distance(name, n, f->name, f->len);

		if (d < best + !near && d < (int)n) {
			best = d;
			near = f->name;
		} else if (!near && !f->ro && abbreviates(name, n, f->name, f->len)) {
			near = f->name;
		}
	}
	return near ? near : deeper(k, name, 3, a);
}

/* One step of a path: "name", "[key]".  The rest is *path after. */
static size_t
step(const char **path, bool *ret_bracket)
{
	size_t n;

	*ret_bracket = **path == '[';
	if (*ret_bracket) {
		++*path;
		return strcspn(*path, "]");
	}
	if (**path == '.')
		++*path;
	n = strcspn(*path, ".[");
	return n;
}

static const char *
map_text(const struct pairs *p, const char *rest, struct arena *a)
{
	const char *value, *key = rest + (*rest == '.' || *rest == '[');
	size_t n = strlen(key);

	if (!*rest) {
		cleanup_buf struct buf b = { 0 };

		for (size_t i = 0; i < p->n; i++)
			buf_addf(&b, "%s%s=%s", i ? "," : "", p->at[i].key, p->at[i].value);
		return arena_strdup(a, buf_text(&b));
	}
	if (*rest == '[' && n && key[n - 1] == ']')
		n--;
	value = pairs_get(p, arena_strndup(a, key, n));
	return value ? value : "";
}

static const void *
item_named(const struct field *f, const struct list *l, const char *word, struct arena *a)
{
	const struct kind *k = f->of();
	char *end;
	size_t i = strtoul(word, &end, 10);

	if (*word && !*end && i < l->n && (!f->key || strcmp(f->key, "name")))
		return (const char *)l->at + i * k->size;
	for (i = 0; f->key && i < l->n; i++) {
		const void *it = (const char *)l->at + i * k->size;
		const char *key = walk_key(k, f->key, it, a);

		if (key && !strcmp(key, word))
			return it;
	}
	i = strtoul(word, &end, 10);
	return *word && !*end && i < l->n ? (const char *)l->at + i * k->size : NULL;
}

static const char *
strs_text(const struct strs *s, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; i < s->n; i++)
		buf_addf(&b, "%s%s", i ? "," : "", s->at[i]);
	return arena_strdup(a, buf_text(&b));
}

const char *
schema_text(const struct kind *k, const void *obj, const char *path, struct arena *a)
{
	while (obj && *path) {
		bool bracket;
		size_t n = step(&path, &bracket);
		const struct field *f = schema_field(k, arena_strndup(a, path, n));
		const void *at;

		if (!f || bracket)
			return "";
		path += n;
		at = (const char *)obj + f->off;
		if (f->type == T_MAP || f->type == T_QMAP)
			return map_text(at, path, a);
		if (f->type == T_STRS)
			return strs_text(at, a);
		if (f->type == T_OBJ) {
			obj = *(const void *const *)at;
			k = f->of();
		} else if (f->type == T_LIST && *path == '[') {
			n = step(&path, &bracket);
			obj = item_named(f, at, arena_strndup(a, path, n), a);
			k = f->of();
			path += n + (path[n] == ']');
		} else {
			return *path || !walk_present(k, f, obj) ? "" : walk_scalar(f, obj, a);
		}
	}
	return "";
}

/* schema_encode.c -- from a struct to JSON, to a copy, to a hash; and is it the same? */
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "schema_walk.h"
#include <inttypes.h>
#include <string.h>

static void
encode_map(const struct pairs *p, struct buf *out)
{
	for (size_t i = 0; i < p->n; i++) {
		buf_addc(out, i ? ',' : '{');
		tree_quote(p->at[i].key, out);
		buf_addc(out, ':');
		tree_quote(p->at[i].value, out);
	}
	buf_adds(out, p->n ? "}" : "{}");
}

static void
encode_int(int64_t v, struct buf *out)
{
	char text[24];
	char *p = text + sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	buf_add(out, p, text + sizeof text - p);
}

static void
encode_list(const struct field *f, const struct list *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_addc(out, i ? ',' : '[');
		if (f->type == T_STRS)
			tree_quote(((const char **)l->at)[i], out);
		else if (f->type == T_INTS)
			encode_int(((const int64_t *)l->at)[i], out);
		else
			schema_encode(f->of(), (const char *)l->at + i * f->of()->size, out);
	}
	buf_adds(out, l->n ? "]" : "[]");
}

static void
encode_time(const struct field *f, int64_t ms, struct buf *out)
{
	char text[40];

	if (!ms) {
		buf_adds(out, "null");
		return;
	}
	time_print(ms, f->micro, text);
	tree_quote(text, out);
}

static void
encode_field(const struct field *f, const void *obj, struct buf *out)
{
	const void *at = (const char *)obj + f->off;
	const char *s;

	switch (f->type) {
	case T_STR:
	case T_QTY:
		s = *(const char *const *)at;
		tree_quote(s ? s : "", out);
		break;
	case T_ANY:
		s = *(const char *const *)at;
		buf_adds(out, s && *s ? s : "null");
		break;
	case T_INT:
		encode_int(*(const int64_t *)at, out);
		break;
	case T_BOOL:
		buf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case T_IORS:
		if (((const struct iors *)at)->s)
			tree_quote(((const struct iors *)at)->s, out);
		else
			encode_int(((const struct iors *)at)->i, out);
		break;
	case T_TIME:
		encode_time(f, *(const int64_t *)at, out);
		break;
	case T_MAP:
	case T_QMAP:
		encode_map(at, out);
		break;
	case T_STRS:
	case T_INTS:
	case T_LIST:
		encode_list(f, at, out);
		break;
	case T_OBJ:
		if (*(const void *const *)at)
			schema_encode(f->of(), *(const void *const *)at, out);
		else
			buf_adds(out, "{}");
		break;
	}
}

void
schema_encode(const struct kind *k, const void *obj, struct buf *out)
{
	char sep = '{';

	for (const struct field *f = k->fields; f->name; f++) {
		if (!walk_present(k, f, obj))
			continue;
		buf_addc(out, sep);
		sep = ',';
		buf_addc(out, '"');
		buf_add(out, f->name, f->len);
		buf_add(out, "\":", 2);
		encode_field(f, obj, out);
	}
	buf_adds(out, sep == '{' ? "{}" : "}");
}

uint64_t
schema_hash(const struct kind *k, const void *obj)
{
	cleanup_buf struct buf b = { 0 };

	schema_encode(k, obj, &b);
	return hash_bytes(0, b.at, b.len);
}

static void clone_into(const struct kind *, void *to, const void *from, struct arena *);

static void
clone_pairs(struct pairs *p, struct arena *a)
{
	struct pair *at = arena_alloc(a, p->n * sizeof *at);

	for (size_t i = 0; i < p->n; i++)
		at[i] = (struct pair){ arena_strdup(a, p->at[i].key),
				       arena_strdup(a, p->at[i].value) };
	p->at = at;
}

static void
clone_list(const struct field *f, struct list *l, struct arena *a)
{
	size_t size = f->type == T_LIST ? f->of()->size : sizeof(int64_t);
	char *at = arena_alloc(a, l->n * size);

	for (size_t i = 0; i < l->n; i++) {
		const void *from = (const char *)l->at + i * size;

		if (f->type == T_LIST)
			clone_into(f->of(), at + i * size, from, a);
		else if (f->type == T_STRS)
			((const char **)at)[i] = arena_strdup(a, *(const char *const *)from);
		else
			((int64_t *)at)[i] = *(const int64_t *)from;
	}
	l->at = at;
}

/* `to` begins as a flat copy; then everything it points to is copied as well. */
static void
clone_into(const struct kind *k, void *to, const void *from, struct arena *a)
{
	memcpy(to, from, k->size);
	for (const struct field *f = k->fields; f->name; f++) {
		void *at = (char *)to + f->off;

		switch (f->type) {
		case T_STR:
		case T_QTY:
		case T_ANY:
			*(const char **)at = arena_strdup(a, *(const char **)at);
			break;
		case T_IORS:
			((struct iors *)at)->s = arena_strdup(a, ((struct iors *)at)->s);
			break;
		case T_MAP:
		case T_QMAP:
			if (((struct pairs *)at)->n)
				clone_pairs(at, a);
			else
				((struct pairs *)at)->at = NULL;
			break;
		case T_STRS:
		case T_INTS:
		case T_LIST:
			if (((struct list *)at)->n)
				clone_list(f, at, a);
			else
				((struct list *)at)->at = NULL;
			break;
		case T_OBJ:
			if (*(void **)at)
				*(void **)at = schema_clone(f->of(), *(void **)at, a);
			break;
		case T_INT:
		case T_BOOL:
		case T_TIME:
			break;
		}
	}
}

void *
schema_clone(const struct kind *k, const void *obj, struct arena *a)
{
	void *to = arena_alloc(a, k->size);

	clone_into(k, to, obj, a);
	return to;
}

/* ---- how much a clone takes ---- */

static size_t
str_room(const char *s)
{
	return s ? arena_room(strlen(s) + 1) : 0;
}

static size_t
pairs_room(const struct pairs *p)
{
	size_t n = arena_room(p->n * sizeof *p->at);

	for (size_t i = 0; i < p->n; i++)
		n += str_room(p->at[i].key) + str_room(p->at[i].value);
	return n;
}

static size_t inner_room(const struct kind *, const void *obj);

static size_t
list_room(const struct field *f, const struct list *l)
{
	size_t size = f->type == T_LIST ? f->of()->size : sizeof(int64_t);
	size_t n = arena_room(l->n * size);

	for (size_t i = 0; i < l->n; i++) {
		const char *at = (const char *)l->at + i * size;

		if (f->type == T_LIST)
			n += inner_room(f->of(), at);
		else if (f->type == T_STRS)
			n += str_room(*(const char *const *)at);
	}
	return n;
}

/* Of all that it points to. */
static size_t
inner_room(const struct kind *k, const void *obj)
{
	size_t n = 0;

	for (const struct field *f = k->fields; f->name; f++) {
		const void *at = (const char *)obj + f->off;

		switch (f->type) {
		case T_STR:
		case T_QTY:
		case T_ANY:
			n += str_room(*(const char *const *)at);
			break;
		case T_IORS:
			n += str_room(((const struct iors *)at)->s);
			break;
		case T_MAP:
		case T_QMAP:
			n += pairs_room(at);
			break;
		case T_STRS:
		case T_INTS:
		case T_LIST:
			n += list_room(f, at);
			break;
		case T_OBJ:
			if (*(const void *const *)at)
				n += schema_room(f->of(), *(const void *const *)at);
			break;
		case T_INT:
		case T_BOOL:
		case T_TIME:
			break;
		}
	}
	return n;
}

size_t
schema_room(const struct kind *k, const void *obj)
{
	return arena_room(k->size) + inner_room(k, obj);
}

/* ---- the same? ---- */

static bool
str_equal(const char *a, const char *b)
{
	return a == b || !strcmp(a ? a : "", b ? b : "");
}

static bool
list_equal(const struct field *f, const struct list *a, const struct list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		bool same;

		if (f->type == T_STRS)
			same = str_equal(((const char **)a->at)[i], ((const char **)b->at)[i]);
		else if (f->type == T_INTS)
			same = ((const int64_t *)a->at)[i] == ((const int64_t *)b->at)[i];
		else
			same = schema_equal(f->of(), (const char *)a->at + i * f->of()->size,
					    (const char *)b->at + i * f->of()->size);
		if (!same)
			return false;
	}
	return true;
}

/* Is there nothing in it that the wire would show? */
static bool
nothing_in(const struct kind *k, const void *obj)
{
	for (const struct field *f = k->fields; f->name; f++) {
		const void *sub = (const char *)obj + f->off;

		if (f->keep && f->type == T_OBJ) {
			sub = *(const void *const *)sub;
			if (sub && !nothing_in(f->of(), sub))
				return false;
		} else if (!f->keep && walk_present(k, f, obj)) {
			return false;
		} else if (f->keep && f->type != T_OBJ) {
			return false;
		}
	}
	return true;
}

static bool
obj_equal(const struct field *f, const void *a, const void *b)
{
	if (a && b)
		return schema_equal(f->of(), a, b);
	if (!a && !b)
		return true;
	return f->keep && nothing_in(f->of(), a ? a : b); /* {} on the wire either way */
}

static bool
field_equal(const struct field *f, const void *x, const void *y)
{
	const void *a = (const char *)x + f->off, *b = (const char *)y + f->off;
	const struct iors *i = a, *j = b;
	int64_t unit = f->micro ? 1 : 1000; /* what the wire tells apart */

	switch (f->type) {
	case T_STR:
	case T_QTY:
	case T_ANY:
		return str_equal(*(const char *const *)a, *(const char *const *)b);
	case T_INT:
		return *(const int64_t *)a == *(const int64_t *)b;
	case T_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case T_IORS:
		return i->i == j->i && !i->s == !j->s && str_equal(i->s, j->s);
	case T_TIME:
		return *(const int64_t *)a / unit == *(const int64_t *)b / unit;
	case T_MAP:
	case T_QMAP:
		return pairs_equal(a, b);
	case T_STRS:
	case T_INTS:
	case T_LIST:
		return list_equal(f, a, b);
	case T_OBJ:
		break;
	}
	return obj_equal(f, *(const void *const *)a, *(const void *const *)b);
}

bool
schema_equal(const struct kind *k, const void *a, const void *b)
{
	if (a == b)
		return true;
	for (const struct field *f = k->fields; f->name; f++) {
		if (f->ptr && walk_present(k, f, a) != walk_present(k, f, b))
			return false;
		if (!field_equal(f, a, b))
			return false;
	}
	return true;
}

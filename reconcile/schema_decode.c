/* schema_decode.c -- from a tree to a struct, with every complaint and its place.
 *
 * Decoding is linear in the tree: rows are found from where the last one was,
 * and lists are compared by hash.
 */
#include "schema_decode.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "schema_walk.h"
#include <stdlib.h>
#include <string.h>

enum { ITEMS_FIRST = 1024 }; /* of a list: no more are made room for unseen */

static void decode_into(struct decoder *, const struct kind *, void *obj, const struct tree *,
			const struct path *);

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static const char *
decode_value(struct decoder *d, const struct field *f, const struct tree *t,
	     const struct path *p)
{
	struct path in = { p, NULL, t->key, 0 };
	const char *why;

	if (f->keys && (why = f->keys(t->key, d->a))) {
		struct tree key = { .line = t->key_line, .col = t->key_col };

		if (f->secret) /* {password:hunter2} is all key */
			decode_wrong(d, &key, p, "Invalid key: %s%s", why,
				     strchr(t->key, ':') ? "; is a space missing after a \":\"?"
							 : "");
		else
			decode_wrong(d, &key, p, "Invalid value: \"%.300s\": %s", t->key, why);
		return NULL;
	}
	if (f->type == T_QMAP)
		return decode_quantity(d, t, &in);
	if (t->type == N_NULL)
		return "";
	if (t->type != N_STRING) {
		(f->secret ? decode_mismatch_unseen : decode_mismatch)(d, "a string", t, &in);
		return NULL;
	}
	if (f->base64)
		return decode_base64(d, t, &in);
	if (f->check && (why = f->check(t->text, d->a)))
		decode_wrong(d, t, p, "Invalid value: \"%.300s\": %s", t->text, why);
	return t->text;
}

static void
decode_map(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p,
	   struct pairs *ret)
{
	bool sorted = true;
	size_t n = 0;

	if (t->type != N_MAP) {
		(f->secret ? decode_mismatch_unseen
			   : decode_mismatch)(d, "an object (key: value)", t, p);
		return;
	}
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		n++;
	ret->at = arena_alloc(d->a, n * sizeof *ret->at);
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		const char *value = decode_value(d, f, kid, p);

		if (!value)
			continue;
		if (ret->n && strcmp(ret->at[ret->n - 1].key, kid->key) > 0)
			sorted = false;
		ret->at[ret->n++] = (struct pair){ kid->key, value };
	}
	if (!sorted)
		qsort(ret->at, ret->n, sizeof *ret->at, by_key);
}

/* Strings or whole numbers. */
static void
decode_scalars(struct decoder *d, const struct field *f, const struct tree *t,
	       const struct path *p, struct list *ret)
{
	struct path in = { p, NULL, NULL, 0 };
	size_t n = 0;

	if (t->type != N_LIST) {
		decode_mismatch(d, "a list", t, p);
		return;
	}
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		n++;
	if (!n && f->need)
		decode_wrong(d, t, p, "Required value");
	ret->at = arena_zalloc(d->a, n * sizeof(int64_t));
	ret->n = n;
	for (const struct tree *kid = t->kids; kid; kid = kid->next, in.item++)
		if (f->type == T_INTS)
			((int64_t *)ret->at)[in.item] = decode_int(d, f, kid, &in);
		else if (kid->type != N_STRING) {
			/* no NULL in a list of words: the checks of the whole object read it,
			 * too */
			((const char **)ret->at)[in.item] = "";
			decode_mismatch(d, "a string", kid, &in);
		} else {
			((const char **)ret->at)[in.item] = kid->text;
			decode_check(d, f, kid, &in);
		}
}

static void
twice(struct decoder *d, const struct field *f, const struct tree *item, const struct path *p,
      const char *key)
{
	size_t n = strcspn(f->key, " ");
	struct path in = { p, arena_strndup(d->a, f->key, n), NULL, 0 };
	const struct tree *at = tree_get(item, in.name);

	decode_wrong(d, at ? at : item, &in,
		     f->clash ? "Invalid value: \"%.200s\": must be unique"
			      : "Duplicate value: \"%.200s\"",
		     key);
}

/* Items of a list by their keys: quadratic for the few, hashed for the many. */
static void
check_unique(struct decoder *d, const struct field *f, const struct tree *t,
	     const struct path *p, const struct list *l)
{
	enum { FEW = 8 };
	const struct kind *k = f->of();
	struct map seen = { 0 };
	const char *keys[FEW];
	struct path in = { p, NULL, NULL, 0 };

	if (l->n < 2)
		return;
	for (const struct tree *kid = t->kids; kid; kid = kid->next, in.item++) {
		const char *key = walk_key(k, f->key, (char *)l->at + in.item * k->size, d->a);
		bool dup = false;

		if (l->n <= FEW) {
			keys[in.item] = key;
			for (size_t i = 0; key && i < in.item && !dup; i++)
				dup = keys[i] && !strcmp(keys[i], key);
		} else {
			dup = key && map_put(&seen, key, &seen);
		}
		if (dup)
			twice(d, f, kid, &in, key);
	}
	map_done(&seen);
}

static bool
is_name(const struct kind *k, const char *key)
{
	const struct field *f = schema_field(k, key);

	return f && f->type == T_STR;
}

/* Nothing will come of it: what else is wrong would only be counted. */
static bool
is_hopeless(const struct decoder *d)
{
	return complaints_full(d->cs, false);
}

/* Room for more items as they turn out well: a short text may state a million empty ones. */
static void
decode_items(struct decoder *d, const struct kind *k, const struct tree *t, size_t n,
	     const struct path *p, struct list *ret)
{
	struct path in = { p, NULL, NULL, 0 };
	size_t cap = n < ITEMS_FIRST ? n : ITEMS_FIRST;

	ret->at = arena_zalloc(d->a, cap * k->size);
	for (const struct tree *kid = t->kids; kid && !is_hopeless(d); kid = kid->next) {
		if (in.item == cap) {
			void *had = ret->at;

			cap = cap * 2 < n ? cap * 2 : n;
			ret->at = arena_zalloc(d->a, cap * k->size);
			memcpy(ret->at, had, in.item * k->size);
		}
		decode_into(d, k, (char *)ret->at + in.item * k->size, kid, &in);
		ret->n = ++in.item;
	}
}

static void
decode_list(struct decoder *d, const struct field *f, const struct tree *t,
	    const struct path *p, struct list *ret)
{
	const struct kind *k = f->of();
	int errors = d->cs->errors;
	size_t n;

	if (t->type != N_LIST) {
		decode_mismatch(d, "a list (- item)", t, p);
		return;
	}
	n = tree_kids(t);
	if (!n && f->need)
		decode_wrong(d, t, p, "Required value");
	decode_items(d, k, t, n, p, ret);
	if (ret->n < n)
		return;
	/* A number that could not be read is 0, and no duplicate of another such. */
	if (f->key && (errors == d->cs->errors || is_name(k, f->key)))
		check_unique(d, f, t, p, ret);
}

static const char *
decode_any(struct decoder *d, const struct tree *t)
{
	cleanup_buf struct buf b = { 0 };

	tree_json(t, &b);
	return arena_strndup(d->a, b.at, b.len);
}

static void
decode_field(struct decoder *d, const struct field *f, char *obj, const struct tree *t,
	     const struct path *p)
{
	void *at = obj + f->off;

	switch (f->type) {
	case T_STR:
		*(const char **)at = decode_str(d, f, t, p);
		break;
	case T_INT:
		*(int64_t *)at = decode_int(d, f, t, p);
		break;
	case T_BOOL:
		if (t->type == N_BOOL)
			*(bool *)at = tree_true(t);
		else
			decode_mismatch(d, "true or false", t, p);
		break;
	case T_QTY:
		*(const char **)at = decode_quantity(d, t, p);
		if (f->check && *(const char **)at)
			decode_check(d, f, t, p);
		break;
	case T_IORS:
		decode_iors(d, f, t, p, at);
		break;
	case T_TIME:
		*(int64_t *)at = decode_time(d, t, p);
		break;
	case T_MAP:
	case T_QMAP:
		decode_map(d, f, t, p, at);
		break;
	case T_STRS:
	case T_INTS:
		decode_scalars(d, f, t, p, at);
		break;
	case T_OBJ:
		*(void **)at = arena_zalloc(d->a, f->of()->size);
		decode_into(d, f->of(), *(void **)at, t, p);
		break;
	case T_LIST:
		decode_list(d, f, t, p, at);
		break;
	case T_ANY:
		*(const char **)at = decode_any(d, t);
		break;
	}
}

/* Stated, but it says what holds anyway: false, empty, or the default. */
static bool
says_nothing(const struct field *f, const struct tree *t)
{
	if (t->type == N_MAP || t->type == N_LIST)
		return !t->kids && f->type != T_OBJ && f->type != T_ANY;
	if (f->dflt && !strcmp(f->dflt, t->text))
		return true;
	if (t->type == N_BOOL)
		return !tree_true(t) && !f->dflt;
	return !*t->text;
}

static void
decode_given(struct decoder *d, const struct kind *k, const struct field *f, char *obj,
	     const struct tree *t, const struct path *up)
{
	struct path p = { up, f->name, NULL, 0 };
	bool inert = f->inert && !says_nothing(f, t) && d->mode != SCHEMA_TRUSTED;
	struct tree key = { .line = t->key_line, .col = t->key_col };

	*(uint64_t *)obj |= UINT64_C(1) << (f - k->fields);
	d->quiet += inert;
	decode_field(d, f, obj, t, &p);
	d->quiet -= inert;
	if (inert && !d->quiet)
		decode_doubt(d, &key, &p, "known, but not acted upon by this version of kedge");
}

/* What was not given: the default, parsed as if written, or a complaint. */
static void
decode_absent(struct decoder *d, const struct field *f, char *obj, const struct tree *t,
	      const struct path *up)
{
	static const enum tree_type types[] = {
		[T_STR] = N_STRING, [T_INT] = N_INT,  [T_BOOL] = N_BOOL,
		[T_QTY] = N_STRING, [T_IORS] = N_INT, [T_TIME] = N_STRING
	};
	struct path p = { up, f->name, NULL, 0 };
	struct tree dflt = { .type = N_MAP, .text = f->dflt, .line = t->line, .col = t->col };

	if (f->dflt) {
		dflt.type = types[f->type];
		if (f->type == T_IORS && !strchr("0123456789", f->dflt[strlen(f->dflt) - 1]))
			dflt.type = N_STRING;
		decode_field(d, f, obj, &dflt, &p);
	} else if (f->need) {
		decode_wrong(d, t, &p, "Required value");
	} else if (f->keep && f->type == T_OBJ) {
		decode_field(d, f, obj, &dflt, &p);
	}
}

static const struct field *
row_named(const struct kind *k, const char *name, size_t *next)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < k->nfields; i++) {
		const struct field *f = &k->fields[(*next + i) % k->nfields];

		if (f->len == len && !memcmp(f->name, name, len)) {
			*next = (f - k->fields) + 1;
			return f;
		}
	}
	return NULL;
}

/* The row that was meant, as the complaint says; NULL: none, or it is only a warning. */
static const struct field *
unknown(struct decoder *d, const struct kind *k, const struct tree *t, const struct path *up)
{
	struct path p = { up, t->key, NULL, 0 };
	struct tree key = { .line = t->key_line, .col = t->key_col };
	/* when it will only be counted nothing is looked for: no work for the hostile */
	const char *near = complaints_full(d->cs, d->mode == SCHEMA_LENIENT)
			       ? NULL
			       : walk_near(k, t->key, d->a);
	size_t next = 0;

	decode_unknown(d, &key, &p, near);
	return near && d->mode == SCHEMA_STRICT ? row_named(k, near, &next) : NULL;
}

static bool
is_zero(const struct tree *t)
{
	return t->type == N_INT && t->text[strspn(t->text, "+-0")] == '\0';
}

/* Kubernetes takes null for absent, and "" where Go has no pointer: the default holds.  So it
 * does for some numbers that are 0.  A "" of ours that is no word of a list is an old one. */
static bool
is_given(const struct decoder *d, const struct field *f, const struct tree *t)
{
	bool word = f->ptr && (!f->one_of || d->mode != SCHEMA_TRUSTED);

	if (t->type == N_NULL)
		return false;
	if (f->zero && is_zero(t))
		return false;
	return f->type != T_STR || word || f->keep || t->type != N_STRING || *t->text;
}

/* Bit i of the result: row i is wrong. */
static uint64_t
decode_rows(struct decoder *d, const struct kind *k, void *obj, const struct tree *t,
	    const struct path *p)
{
	const struct tree *given[64] = { 0 };
	uint64_t bad = 0, misspelled = 0;
	size_t next = 0;

	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		const struct field *f = row_named(k, kid->key, &next);

		if (f)
			given[f - k->fields] = kid;
		else if ((f = unknown(d, k, kid, p)))
			misspelled |= UINT64_C(1) << (f - k->fields);
	}
	for (size_t i = 0; i < k->nfields; i++) {
		const struct field *f = &k->fields[i];
		bool ours = f->ro && d->mode != SCHEMA_TRUSTED;
		int errors = d->cs->errors;

		if (given[i] && is_given(d, f, given[i]) && !ours)
			decode_given(d, k, f, obj, given[i], p);
		else if (misspelled >> i & 1 && f->need && !f->dflt)
			bad |= UINT64_C(1) << i; /* one mistake is one complaint */
		else
			decode_absent(d, f, obj, t, p);
		bad |= (uint64_t)(errors != d->cs->errors) << i;
	}
	return bad;
}

static void
decode_into(struct decoder *d, const struct kind *k, void *obj, const struct tree *t,
	    const struct path *p)
{
	const struct kind_hooks *h = k->hooks;
	int errors = d->cs->errors;
	struct place here = { t, p, d->cs, d->a, k, 0 };

	if (t->type != N_MAP) {
		decode_mismatch(d, "an object (key: value)", t, p);
		return;
	}
	here.bad = decode_rows(d, k, obj, t, p);
	if (h->check && d->mode != SCHEMA_TRUSTED)
		h->check(obj, &here);
	if (h->defaults && errors == d->cs->errors)
		h->defaults(obj, d->a);
}

void *
schema_decode(const struct kind *k, const struct tree *t, enum schema_mode mode,
	      struct arena *a, struct complaints *cs)
{
	struct decoder d = { .mode = mode, .a = a, .cs = cs };
	void *obj = arena_zalloc(a, k->size);

	decode_into(&d, k, obj, t, NULL);
	return obj;
}

/* schema_decode.c -- from a tree to a struct, with every complaint and its place.
 *
 * The texts of complaints are Kubernetes' own where it has one.  Decoding is
 * linear in the tree: rows are found from where the last one was, lists are
 * compared by hash, paths are only spelt out when somebody complains.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "schema.h"
#include "schema_walk.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A path is a chain of frames on the stack. */
struct path {
	const struct path *up;
	const char *name;    /* of a field; NULL for an item */
	const char *bracket; /* [key] of a map, or NULL */
	size_t item;
};

struct decoder {
	enum schema_mode mode;
	struct arena *a;
	struct complaints *cs;
	int quiet; /* within something that a warning already covers */
};

static void decode_into(struct decoder *, const struct kind *, void *obj, const struct tree *,
			const struct path *);

static void
path_print(const struct path *p, struct buf *out)
{
	if (!p)
		return;
	path_print(p->up, out);
	if (p->name)
		buf_addf(out, "%s%s", out->len ? "." : "", p->name);
	else if (p->bracket)
		buf_addf(out, "[%s]", p->bracket);
	else
		buf_addf(out, "[%zu]", p->item);
}

static void __attribute__((format(printf, 6, 0)))
complain_at(struct complaints *cs, bool softly, const struct tree *t, const struct path *p,
	    const char *sub, const char *fmt, va_list ap)
{
	cleanup_buf struct buf field = { 0 }, text = { 0 };

	path_print(p, &field);
	if (*sub)
		buf_addf(&field, "%s%s", field.len && *sub != '[' ? "." : "", sub);
	buf_vaddf(&text, fmt, ap);
	(softly ? complain_softly : complain)(cs, t->line, t->col, buf_text(&field), "%s",
					      buf_text(&text));
}

static void __attribute__((format(printf, 4, 5)))
wrong(struct decoder *d, const struct tree *t, const struct path *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(d->cs, false, t, p, "", fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 4, 5)))
doubt(struct decoder *d, const struct tree *t, const struct path *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(d->cs, true, t, p, "", fmt, ap);
	va_end(ap);
}

void
place_complain(const struct place *pl, const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(pl->cs, false, tree_at(pl->at, sub), pl->path, sub, fmt, ap);
	va_end(ap);
}

void
place_complain_softly(const struct place *pl, const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(pl->cs, true, tree_at(pl->at, sub), pl->path, sub, fmt, ap);
	va_end(ap);
}

bool
place_ok(const struct place *pl, const char *field)
{
	const struct field *f = schema_field(pl->kind, field);

	assert(f);
	return !(pl->bad >> (f - pl->kind->fields) & 1);
}

/* "the number 80", for "must be a string, not ..." */
static const char *
found(const struct tree *t, struct arena *a)
{
	switch (t->type) {
	case N_NULL:
		return "null";
	case N_BOOL:
		return arena_printf(a, "the boolean %s", t->text);
	case N_INT:
	case N_FLOAT:
		return arena_printf(a, "the number %.100s", t->text);
	case N_STRING:
		return arena_printf(a, "the string \"%.100s\"%s", t->text,
				    strlen(t->text) > 100 ? "..." : "");
	case N_MAP:
		return "an object";
	case N_LIST:
		break;
	}
	return "a list";
}

static void
mismatch(struct decoder *d, const char *want, const struct tree *t, const struct path *p)
{
	bool bare = t->type == N_BOOL || t->type == N_INT || t->type == N_FLOAT;

	if (bare && t->line && !strncmp(want, "a string", 8))
		wrong(d, t, p, "must be %s, not %s: put it in quotes, \"%.100s\"", want,
		      found(t, d->a), t->text);
	else
		wrong(d, t, p, "must be %s, not %s", want, found(t, d->a));
}

static bool
one_of(const char *set, const char *word)
{
	size_t len = strlen(word);

	if (!len)
		return false;
	for (const char *p = set; (p = strstr(p, word)); p += len)
		if ((p == set || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

/* Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP" */
static void
unsupported(struct decoder *d, const struct field *f, const struct tree *t,
	    const struct path *p)
{
	cleanup_buf struct buf b = { 0 };

	for (const char *w = f->one_of; *w; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");

		buf_addf(&b, "%s\"%.*s\"", b.len ? ", " : "", (int)n, w);
		w += n;
	}
	wrong(d, t, p, "Unsupported value: \"%.100s\": supported values: %s", t->text,
	      buf_text(&b));
}

static void
check_text(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p)
{
	const char *why;

	if (f->one_of && !one_of(f->one_of, t->text))
		unsupported(d, f, t, p);
	else if (f->check && (why = f->check(t->text, d->a)))
		wrong(d, t, p, "Invalid value: \"%.300s\": %s", t->text, why);
}

static const char *
decode_str(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p)
{
	if (t->type != N_STRING) {
		mismatch(d, "a string", t, p);
		return NULL;
	}
	if (!*t->text && f->need)
		wrong(d, t, p, "Required value");
	else if (*t->text) /* Kubernetes takes "" for absent */
		check_text(d, f, t, p);
	return t->text;
}

static void
check_range(struct decoder *d, const struct field *f, int64_t v, const struct tree *t,
	    const struct path *p)
{
	bool open = f->max >= INT32_MAX;

	if (f->min >= f->max || (v >= f->min && v <= f->max))
		return;
	if (!open)
		wrong(d, t, p,
		      "Invalid value: %" PRId64 ": must be between %" PRId64 " and %" PRId64
		      ", inclusive",
		      v, f->min, f->max);
	else if (v < f->min)
		wrong(d, t, p,
		      "Invalid value: %" PRId64 ": must be greater than or equal to %" PRId64,
		      v, f->min);
	else
		wrong(d, t, p,
		      "Invalid value: %" PRId64 ": must be less than or equal to %" PRId64, v,
		      f->max);
}

static int64_t
decode_int(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p)
{
	int64_t v;

	if (t->type == N_STRING && tree_int(t->text, &v) && t->line)
		wrong(d, t, p, "must be a number, not %s: take off the quotes", found(t, d->a));
	else if (t->type == N_FLOAT)
		wrong(d, t, p, "must be a whole number, not %.100s", t->text);
	else if (t->type != N_INT)
		mismatch(d, "a number", t, p);
	else if (!tree_int(t->text, &v))
		wrong(d, t, p, "the number %.100s is too large", t->text);
	else {
		check_range(d, f, v, t, p);
		return v;
	}
	return 0;
}

static void
decode_iors(struct decoder *d, const struct field *f, const struct tree *t,
	    const struct path *p, struct iors *ret)
{
	if (t->type == N_INT)
		ret->i = decode_int(d, f, t, p);
	else if (t->type == N_STRING)
		ret->s = decode_str(d, f, t, p);
	else
		mismatch(d, "a number or a string", t, p);
}

static const char *
decode_quantity(struct decoder *d, const struct tree *t, const struct path *p)
{
	int64_t v;

	if (t->type != N_STRING && t->type != N_INT && t->type != N_FLOAT) {
		mismatch(d, "a quantity, such as 500m or 64Mi", t, p);
		return NULL;
	}
	if (t->type == N_INT && tree_int(t->text, &v) &&
	    (t->text[0] == '0' || strchr(t->text, '_')))
		return arena_printf(d->a, "%" PRId64, v); /* 0x10, 1_000 */
	if (!quantity_parse(t->text, &v)) {
		wrong(d, t, p,
		      "Invalid value: \"%.100s\": quantities must match the regular expression "
		      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
		      t->text);
		return NULL;
	}
	return t->text;
}

static int64_t
decode_time(struct decoder *d, const struct tree *t, const struct path *p)
{
	int64_t v = 0;

	if (t->type != N_STRING)
		mismatch(d, "a string", t, p);
	else if (*t->text && !time_parse(t->text, &v))
		wrong(d, t, p,
		      "Invalid value: \"%.100s\": must be a time such as "
		      "2006-01-02T15:04:05Z",
		      t->text);
	return v;
}

/* Checks base64 as Go does (line ends do not count) and takes out the line ends.
 * The value may be a secret: no message repeats it. */
static const char *
decode_base64(struct decoder *d, const struct tree *t, const struct path *p)
{
	static const char set[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0, len = strlen(t->text), pad = 0, bad = SIZE_MAX;
	char *out = arena_alloc(d->a, len + 1);

	for (size_t i = 0; i < len && bad == SIZE_MAX; i++) {
		char c = t->text[i];

		if (c == '\n' || c == '\r')
			continue;
		if (c == '=' ? n % 4 + pad < 2 || pad > 1 : pad || !strchr(set, c))
			bad = i;
		else if (c == '=')
			pad++;
		out[n] = c;
		n += c != '=';
	}
	if (bad == SIZE_MAX && ((n + pad) % 4 || n % 4 == 1))
		bad = len;
	if (bad != SIZE_MAX) {
		wrong(d, t, p, "illegal base64 data at input byte %zu", bad);
		return NULL;
	}
	while (pad--)
		out[n++] = '=';
	out[n] = 0;
	return out;
}

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

		wrong(d, &key, p, "Invalid value: \"%.300s\": %s", t->key, why);
		return NULL;
	}
	if (f->type == T_QMAP)
		return decode_quantity(d, t, &in);
	if (t->type == N_NULL)
		return "";
	if (t->type != N_STRING) {
		mismatch(d, "a string", t, &in);
		return NULL;
	}
	if (f->base64)
		return decode_base64(d, t, &in);
	if (f->check && (why = f->check(t->text, d->a)))
		wrong(d, t, p, "Invalid value: \"%.300s\": %s", t->text, why);
	return t->text;
}

static void
decode_map(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p,
	   struct pairs *ret)
{
	bool sorted = true;
	size_t n = 0;

	if (t->type != N_MAP) {
		mismatch(d, "an object (key: value)", t, p);
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
		mismatch(d, "a list", t, p);
		return;
	}
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		n++;
	if (!n && f->need)
		wrong(d, t, p, "Required value");
	ret->at = arena_zalloc(d->a, n * sizeof(int64_t));
	ret->n = n;
	for (const struct tree *kid = t->kids; kid; kid = kid->next, in.item++)
		if (f->type == T_INTS)
			((int64_t *)ret->at)[in.item] = decode_int(d, f, kid, &in);
		else if (kid->type != N_STRING)
			mismatch(d, "a string", kid, &in);
		else {
			((const char **)ret->at)[in.item] = kid->text;
			check_text(d, f, kid, &in);
		}
}

static void
twice(struct decoder *d, const struct field *f, const struct tree *item, const struct path *p,
      const char *key)
{
	size_t n = strcspn(f->key, " ");
	struct path in = { p, arena_strndup(d->a, f->key, n), NULL, 0 };
	const struct tree *at = tree_get(item, in.name);

	wrong(d, at ? at : item, &in, "Duplicate value: \"%.200s\"", key);
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

static void
decode_list(struct decoder *d, const struct field *f, const struct tree *t,
	    const struct path *p, struct list *ret)
{
	const struct kind *k = f->of();
	struct path in = { p, NULL, NULL, 0 };
	int errors = d->cs->errors;
	char *at;

	if (t->type != N_LIST) {
		mismatch(d, "a list (- item)", t, p);
		return;
	}
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		ret->n++;
	if (!ret->n && f->need)
		wrong(d, t, p, "Required value");
	ret->at = at = arena_zalloc(d->a, ret->n * k->size);
	for (const struct tree *kid = t->kids; kid; kid = kid->next, in.item++, at += k->size)
		decode_into(d, k, at, kid, &in);
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
			mismatch(d, "true or false", t, p);
		break;
	case T_QTY:
		*(const char **)at = decode_quantity(d, t, p);
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
		doubt(d, &key, &p, "known, but not acted upon by this version of kedge");
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
		wrong(d, t, &p, "Required value");
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

static void
unknown(struct decoder *d, const struct kind *k, const struct tree *t, const struct path *up)
{
	struct path p = { up, t->key, NULL, 0 };
	struct tree key = { .line = t->key_line, .col = t->key_col };
	void (*say)(struct decoder *, const struct tree *, const struct path *, const char *,
		    ...) __attribute__((format(printf, 4, 5))) =
	    d->mode == SCHEMA_LENIENT ? doubt : wrong;
	const char *near;

	if (complaints_full(d->cs)) {
		say(d, &key, &p, "unknown field");
		return;
	}
	near = walk_near(k, t->key, d->a);
	if (near)
		say(d, &key, &p, "unknown field \"%.100s\", did you mean \"%s\"?", t->key,
		    near);
	else
		say(d, &key, &p, "unknown field \"%.100s\"", t->key);
}

/* Bit i of the result: row i is wrong. */
static uint64_t
decode_rows(struct decoder *d, const struct kind *k, void *obj, const struct tree *t,
	    const struct path *p)
{
	const struct tree *given[64] = { 0 };
	uint64_t bad = 0;
	size_t next = 0;

	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		const struct field *f = row_named(k, kid->key, &next);

		if (!f)
			unknown(d, k, kid, p);
		else
			given[f - k->fields] = kid;
	}
	for (size_t i = 0; i < k->nfields; i++) {
		const struct field *f = &k->fields[i];
		bool ours = f->ro && d->mode != SCHEMA_TRUSTED;
		int errors = d->cs->errors;

		if (given[i] && given[i]->type != N_NULL && !ours)
			decode_given(d, k, f, obj, given[i], p);
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
		mismatch(d, "an object (key: value)", t, p);
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

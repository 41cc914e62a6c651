/* schema_scalar.c -- one value at a time, and the words for what is wrong with it.
 *
 * The texts of complaints are Kubernetes' own where it has one.  Paths are only
 * spelt out when somebody complains.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "schema_decode.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

static struct complaint *__attribute__((format(printf, 7, 0)))
complain_at(struct complaints *cs, enum complaint_kind kind, bool softly, const struct tree *t,
	    const struct path *p, const char *sub, const char *fmt, va_list ap)
{
	cleanup_buf struct buf field = { 0 }, text = { 0 };

	if (complaints_full(cs, softly)) /* it will only be counted: no work for the hostile */
		return complaint_add(cs, kind, softly, 0, 0, NULL, NULL);
	t = tree_at(t, sub);
	path_print(p, &field);
	if (*sub)
		buf_addf(&field, "%s%s", field.len && *sub != '[' ? "." : "", sub);
	buf_vaddf(&text, fmt, ap);
	return complaint_add(cs, kind, softly, t->line, t->col, buf_text(&field),
			     buf_text(&text));
}

void
decode_wrong(struct decoder *d, const struct tree *t, const struct path *p, const char *fmt,
	     ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(d->cs, complaint_kind(fmt), false, t, p, "", fmt, ap);
	va_end(ap);
}

void
decode_doubt(struct decoder *d, const struct tree *t, const struct path *p, const char *fmt,
	     ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(d->cs, complaint_kind(fmt), true, t, p, "", fmt, ap);
	va_end(ap);
}

static struct complaint *__attribute__((format(printf, 6, 7)))
say(struct decoder *d, enum complaint_kind kind, bool softly, const struct tree *t,
    const struct path *p, const char *fmt, ...)
{
	struct complaint *c;
	va_list ap;

	va_start(ap, fmt);
	c = complain_at(d->cs, kind, softly, t, p, "", fmt, ap);
	va_end(ap);
	return c;
}

void
decode_unknown(struct decoder *d, const struct tree *key, const struct path *p,
	       const char *near)
{
	struct complaint *c =
	    say(d, COMPLAINT_UNKNOWN_FIELD, d->mode == SCHEMA_LENIENT, key, p,
		"unknown field \"%.100s\"%s%s%s", p->name, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");

	if (c)
		c->near = near;
}

void
place_complain(const struct place *pl, const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(pl->cs, complaint_kind(fmt), false, pl->at, pl->path, sub, fmt, ap);
	va_end(ap);
}

void
place_complain_softly(const struct place *pl, const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(pl->cs, complaint_kind(fmt), true, pl->at, pl->path, sub, fmt, ap);
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

void
decode_mismatch_unseen(struct decoder *d, const char *want, const struct tree *t,
		       const struct path *p)
{
	static const char *const types[] = {
		[N_NULL] = "null",      [N_BOOL] = "a boolean",  [N_INT] = "a number",
		[N_FLOAT] = "a number", [N_STRING] = "a string", [N_MAP] = "an object",
		[N_LIST] = "a list",
	};
	bool bare = t->type == N_BOOL || t->type == N_INT || t->type == N_FLOAT;

	say(d, COMPLAINT_WRONG_TYPE, false, t, p, "must be %s, not %s%s", want, types[t->type],
	    bare && t->line ? ": put it in quotes" : "");
}

void
decode_mismatch(struct decoder *d, const char *want, const struct tree *t, const struct path *p)
{
	bool bare = t->type == N_BOOL || t->type == N_INT || t->type == N_FLOAT;

	if (bare && t->line && !strncmp(want, "a string", 8))
		say(d, COMPLAINT_WRONG_TYPE, false, t, p,
		    "must be %s, not %s: put it in quotes, \"%.100s\"", want, found(t, d->a),
		    t->text);
	else
		say(d, COMPLAINT_WRONG_TYPE, false, t, p, "must be %s, not %s", want,
		    found(t, d->a));
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
	decode_wrong(d, t, p, "Unsupported value: \"%.100s\": supported values: %s", t->text,
		     buf_text(&b));
}

void
decode_check(struct decoder *d, const struct field *f, const struct tree *t,
	     const struct path *p)
{
	const char *why;

	if (f->one_of && !one_of(f->one_of, t->text))
		unsupported(d, f, t, p);
	else if (f->check && (why = f->check(t->text, d->a)))
		decode_wrong(d, t, p, "Invalid value: \"%.300s\": %s", t->text, why);
}

const char *
decode_str(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p)
{
	if (t->type != N_STRING) {
		decode_mismatch(d, "a string", t, p);
		return NULL;
	}
	if (!*t->text && f->need)
		decode_wrong(d, t, p, "Required value");
	else if (*t->text || (f->ptr && f->one_of)) /* Kubernetes takes other "" for absent */
		decode_check(d, f, t, p);
	return t->text;
}

static void
check_range(struct decoder *d, const struct field *f, int64_t v, const struct tree *t,
	    const struct path *p)
{
	bool open = f->max >= INT32_MAX && !f->both;

	if (f->min >= f->max || (v >= f->min && v <= f->max))
		return;
	if (!open)
		decode_wrong(d, t, p,
			     "Invalid value: %" PRId64 ": must be between %" PRId64
			     " and %" PRId64 ", inclusive",
			     v, f->min, f->max);
	else if (v < f->min)
		decode_wrong(d, t, p,
			     "Invalid value: %" PRId64
			     ": must be greater than or equal to %" PRId64,
			     v, f->min);
	else
		decode_wrong(d, t, p,
			     "Invalid value: %" PRId64
			     ": must be less than or equal to %" PRId64,
			     v, f->max);
}

int64_t
decode_int(struct decoder *d, const struct field *f, const struct tree *t, const struct path *p)
{
	int64_t v;

	if (t->type == N_STRING && tree_int(t->text, &v) && t->line)
		say(d, COMPLAINT_WRONG_TYPE, false, t, p,
		    "must be a number, not %s: take off the quotes", found(t, d->a));
	else if (t->type == N_FLOAT)
		say(d, COMPLAINT_WRONG_TYPE, false, t, p, "must be a whole number, not %.100s",
		    t->text);
	else if (t->type != N_INT)
		decode_mismatch(d, "a number", t, p);
	else if (!tree_int(t->text, &v))
		decode_wrong(d, t, p, "the number %.100s is too large", t->text);
	else {
		check_range(d, f, v, t, p);
		return v;
	}
	return 0;
}

void
decode_iors(struct decoder *d, const struct field *f, const struct tree *t,
	    const struct path *p, struct iors *ret)
{
	if (t->type == N_INT)
		ret->i = decode_int(d, f, t, p);
	else if (t->type == N_STRING)
		ret->s = decode_str(d, f, t, p);
	else
		decode_mismatch(d, "a number or a string", t, p);
}

const char *
decode_quantity(struct decoder *d, const struct tree *t, const struct path *p)
{
	int64_t v;

	if (t->type != N_STRING && t->type != N_INT && t->type != N_FLOAT) {
		decode_mismatch(d, "a quantity, such as 500m or 64Mi", t, p);
		return NULL;
	}
	if (t->type == N_INT && tree_int(t->text, &v) &&
	    (t->text[0] == '0' || strchr(t->text, '_')))
		return arena_printf(d->a, "%" PRId64, v); /* 0x10, 1_000 */
	if (!quantity_parse(t->text, &v)) {
		decode_wrong(
		    d, t, p,
		    "Invalid value: \"%.100s\": quantities must match the regular expression "
		    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
		    t->text);
		return NULL;
	}
	return t->text;
}

int64_t
decode_time(struct decoder *d, const struct tree *t, const struct path *p)
{
	int64_t v = 0;

	if (t->type != N_STRING)
		decode_mismatch(d, "a string", t, p);
	else if (*t->text && !time_parse(t->text, &v))
		decode_wrong(d, t, p,
			     "Invalid value: \"%.100s\": must be a time such as "
			     "2006-01-02T15:04:05Z",
			     t->text);
	return v;
}

/* Checks base64 as Go does (line ends do not count) and takes out the line ends.
 * The value may be a secret: no message repeats it. */
const char *
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
		decode_wrong(d, t, p, "illegal base64 data at input byte %zu", bad);
		return NULL;
	}
	while (pad--)
		out[n++] = '=';
	out[n] = 0;
	return out;
}

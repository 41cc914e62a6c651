/* json.c -- JSON to trees, through jansson: for the API and the store. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "tree.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 100, MOST_TWICE = 100 };

static struct tree *read_value(const json_t *, int depth, struct arena *);

static bool
read_kids(const json_t *v, struct tree *t, int depth, struct arena *a)
{
	struct tree **tail = &t->kids;
	const char *key;
	json_t *kid;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach(v, i, kid) {
			if (!(*tail = read_value(kid, depth + 1, a)))
				return false;
			tail = &(*tail)->next;
		}
		return true;
	}
	json_object_foreach((json_t *)v, key, kid) {
		if (!(*tail = read_value(kid, depth + 1, a)))
			return false;
		(*tail)->key = arena_strdup(a, key);
		tail = &(*tail)->next;
	}
	return true;
}

/* NULL when it is too deep. */
static struct tree *
read_value(const json_t *v, int depth, struct arena *a)
{
	struct tree *t = arena_zalloc(a, sizeof *t);

	if (depth > MOST_DEPTH)
		return NULL;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		t->type = json_is_object(v) ? N_MAP : N_LIST;
		return read_kids(v, t, depth, a) ? t : NULL;
	case JSON_STRING:
		t->type = N_STRING;
		t->text = arena_strndup(a, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		t->type = N_INT;
		t->text = arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		t->type = N_FLOAT;
		t->text = arena_printf(a, "%.15g", json_real_value(v));
		if (strtod(t->text, NULL) != json_real_value(v)) /* needs all its digits */
			t->text = arena_printf(a, "%.17g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		t->type = N_BOOL;
		t->text = json_is_true(v) ? "true" : "false";
		break;
	case JSON_NULL:
		t->type = N_NULL;
		t->text = "null";
		break;
	}
	return t;
}

/* ---- what is said twice ---- */

/* Over text that jansson has read without a complaint. */
struct scan {
	const char *at, *end;
	struct buf path;
	struct arena *arena;
	json_twice_fn *twice;
	void *ctx;
	int n;
};

static void scan_value(struct scan *);

static void
skip_space(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\r\n", *s->at))
		s->at++;
}

/* `"a\u0062"` as it means: "ab". */
static const char *
scan_string(struct scan *s)
{
	const char *from = s->at++;
	bool escaped = false;
	const char *text;
	json_t *v;

	for (; *s->at != '"'; s->at += *s->at == '\\' ? 2 : 1)
		escaped |= *s->at == '\\';
	s->at++;
	if (!escaped)
		return arena_strndup(s->arena, from + 1, (size_t)(s->at - from) - 2);
	v = json_loadb(from, (size_t)(s->at - from), JSON_DECODE_ANY, NULL);
	text = arena_strdup(s->arena, v ? json_string_value(v) : "");
	json_decref(v);
	return text;
}

static void
scan_member(struct scan *s, struct map *keys)
{
	const char *key = scan_string(s);
	const void *was = map_put(keys, key, s);

	buf_addf(&s->path, "%s%.300s", s->path.len ? "." : "", key);
	if (was) /* which is not told again */
		map_put(keys, key, &s->path);
	if (was == s && s->n++ < MOST_TWICE)
		s->twice(s->ctx, buf_text(&s->path));
	skip_space(s);
	s->at++; /* : */
	scan_value(s);
}

/* From the bracket to its fellow. */
static void
scan_kids(struct scan *s, bool object)
{
	struct map keys = { 0 };
	size_t len = s->path.len, i = 0;

	do {
		s->at++; /* the bracket, or a comma */
		skip_space(s);
		if (*s->at == '}' || *s->at == ']')
			break;
		if (object) {
			scan_member(s, &keys);
		} else {
			buf_addf(&s->path, "[%zu]", i++);
			scan_value(s);
		}
		s->path.len = len;
		skip_space(s);
	} while (*s->at == ',');
	s->at++;
	map_done(&keys);
}

static void
scan_value(struct scan *s)
{
	skip_space(s);
	if (*s->at == '{' || *s->at == '[')
		scan_kids(s, *s->at == '{');
	else if (*s->at == '"')
		scan_string(s);
	else
		while (s->at < s->end && !strchr(" \t\r\n,]}", *s->at))
			s->at++;
}

/* ---- reading ---- */

struct tree *
json_read_twice(const char *text, size_t len, struct arena *a, struct complaints *cs,
		json_twice_fn *twice, void *ctx)
{
	struct scan s = { text, text + len, { 0 }, a, twice, ctx, 0 };
	json_error_t why = { 0 };
	json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	bool some = !v && json_error_code(&why) == json_error_duplicate_key;
	struct tree *t;

	if (some)
		v = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	t = v ? read_value(v, 1, a) : NULL;
	json_decref(v);
	if (!t)
		return json_read(text, len, a, cs); /* it says what is wrong */
	if (some)
		scan_value(&s);
	buf_done(&s.path);
	return t;
}

struct tree *
json_read(const char *text, size_t len, struct arena *a, struct complaints *cs)
{
	json_error_t why;
	json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	struct tree *t;

	if (!v) {
		char *quoted = strstr(why.text, " near '");

		if (quoted) /* what is there, and that may be a secret */
			*quoted = 0;
		complain(cs, why.line > 0 ? why.line : 1, why.column > 0 ? why.column : 1, NULL,
			 "invalid JSON: %s", why.text);
		return NULL;
	}
	t = read_value(v, 1, a);
	json_decref(v);
	if (!t)
		complain(cs, 1, 1, NULL, "more than 100 levels deep");
	return t;
}

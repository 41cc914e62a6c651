/* json.c -- JSON to trees, through jansson: for the API and the store. */
#include "base/arena.h"
#include "base/buf.h"
#include "tree.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 100 };

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

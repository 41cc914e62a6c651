/* selector.c -- which labels does a selector pick; and its text, as kubectl sends it. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "object.h"
#include "rules.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NO_NUMBER INT64_MIN /* which no label can be, for none begins with a "-" */

bool
selector_map_matches(const struct pairs *selector, const struct pairs *labels)
{
	for (size_t i = 0; i < selector->n; i++) {
		const char *value = pairs_get(labels, selector->at[i].key);

		if (!value || strcmp(value, selector->at[i].value))
			return false;
	}
	return true;
}

/* x>1, x<5: what is no number is neither. */
static bool
compares(bool greater, const char *value, const char *than)
{
	int64_t is = text_int(value, NO_NUMBER), bound = text_int(than, NO_NUMBER);

	return is != NO_NUMBER && bound != NO_NUMBER && (greater ? is > bound : is < bound);
}

/* Of labels and of nodes alike; `value` is NULL where there is none. */
static bool
is_met(const struct strs *values, const char *value, const char *op)
{
	if (!strcmp(op, "In"))
		return value && strs_has(values, value);
	if (!strcmp(op, "NotIn"))
		return !value || !strs_has(values, value);
	if (!strcmp(op, "Exists"))
		return value;
	if (!strcmp(op, "DoesNotExist"))
		return !value;
	return value && values->n == 1 && compares(!strcmp(op, "Gt"), value, values->at[0]);
}

static bool
requirement_met(const struct label_selector_requirement *r, const struct pairs *labels)
{
	return is_met(&r->values, pairs_get(labels, r->key), r->operator);
}

static bool
node_requirement_met(const struct node_selector_requirement *r, const struct pairs *labels)
{
	return is_met(&r->values, pairs_get(labels, r->key), r->operator);
}

bool
selector_node_matches(const struct node_selector *want, const struct node *node)
{
	const struct pair name = { "metadata.name", object_name(node) };
	const struct pairs fields = { (struct pair *)&name, 1 };

	for (size_t i = 0; i < want->nodeSelectorTerms.n; i++) {
		const struct node_selector_term *t = &want->nodeSelectorTerms.at[i];
		bool all = t->matchExpressions.n || t->matchFields.n;

		for (size_t j = 0; j < t->matchExpressions.n; j++)
			all &= node_requirement_met(&t->matchExpressions.at[j],
						    &node->metadata->labels);
		for (size_t j = 0; j < t->matchFields.n; j++)
			all &= node_requirement_met(&t->matchFields.at[j], &fields);
		if (all)
			return true;
	}
	return false;
}

bool
selector_empty(const struct label_selector *s)
{
	return !s || (!s->matchLabels.n && !s->matchExpressions.n);
}

/* As in Kubernetes: no selector picks nothing, an empty one picks everything. */
bool
selector_matches(const struct label_selector *s, const struct pairs *labels)
{
	if (!s || !selector_map_matches(&s->matchLabels, labels))
		return false;
	for (size_t i = 0; i < s->matchExpressions.n; i++)
		if (!requirement_met(&s->matchExpressions.at[i], labels))
			return false;
	return true;
}

/* ---- text ---- */

enum { WORDS_MOST = 250 }; /* each is held against each object of a list */

struct scan {
	const char *at, *text;
	struct arena *a;
	struct error **e;
};

static void
skip_space(struct scan *s)
{
	while (isspace((unsigned char)*s->at))
		s->at++;
}

static int
bad(struct scan *s, const char *what)
{
	return fail(s->e, WHY_BAD_REQUEST, "unable to parse requirement: \"%.200s\": %s",
		    s->text, what);
}

static const char *
word(struct scan *s)
{
	size_t n;
	const char *at;

	skip_space(s);
	at = s->at;
	n = strcspn(at, " \t\n,()=!<>");
	s->at += n;
	skip_space(s);
	return arena_strndup(s->a, at, n);
}

static bool
take(struct scan *s, const char *token)
{
	size_t n = strlen(token);

	skip_space(s);
	if (strncmp(s->at, token, n))
		return false;
	s->at += n;
	return true;
}

static int
add_value(struct scan *s, struct strs *values, const char *value)
{
	const char **at;

	if (is_label_value(value, s->a))
		return bad(s, is_label_value(value, s->a));
	at = arena_alloc(s->a, (values->n + 1) * sizeof *at);
	if (values->n)
		memcpy(at, values->at, values->n * sizeof *at);
	at[values->n++] = value;
	values->at = at;
	return 0;
}

static int
scan_set(struct scan *s, struct strs *values)
{
	if (!take(s, "("))
		return bad(s, "expected: '('");
	do {
		if (add_value(s, values, word(s)) < 0)
			return -1;
	} while (take(s, ","));
	return take(s, ")") ? 0 : bad(s, "expected: ',' or ')'");
}

static int
scan_bound(struct scan *s, struct label_selector_requirement *r, const char *operator)
{
	const char *bound = word(s);

	r->operator= operator;
	if (text_int(bound, NO_NUMBER) == NO_NUMBER)
		return bad(s, "for 'Gt', 'Lt' operators, the value must be an integer");
	return add_value(s, &r->values, bound);
}

/* x  !x  x=a  x==a  x!=a  x in (a,b)  x notin (a,b)  x>1  x<5 */
static int
scan_requirement(struct scan *s, struct label_selector_requirement *r)
{
	bool absent = take(s, "!");
	const char *op, *why;

	*r = (struct label_selector_requirement){ .key = word(s) };
	r->operator= absent ? "DoesNotExist" : "Exists";
	if ((why = is_label_key(r->key, s->a)))
		return bad(s, why);
	if (!*s->at || *s->at == ',' || absent)
		return 0;
	if (take(s, "!=")) {
		r->operator= "NotIn";
		return add_value(s, &r->values, word(s));
	}
	if (take(s, "==") || take(s, "=")) {
		r->operator= "In";
		return add_value(s, &r->values, word(s));
	}
	if (take(s, ">"))
		return scan_bound(s, r, "Gt");
	if (take(s, "<"))
		return scan_bound(s, r, "Lt");
	op = word(s);
	if (strcmp(op, "in") && strcmp(op, "notin"))
		return bad(s, "expected: '=', '!=', '==', 'in', 'notin', '>', '<'");
	r->operator= op[0] == 'i' ? "In" : "NotIn";
	return scan_set(s, &r->values);
}

struct label_selector *
selector_parse(const char *text, struct arena *a, struct error **e)
{
	struct scan s = { text, text, a, e };
	struct label_selector *sel = arena_zalloc(a, sizeof *sel);
	size_t cap = 1;

	for (const char *p = text; *p; p++)
		cap += *p == ',';
	if (cap > WORDS_MOST) {
		fail(e, WHY_BAD_REQUEST,
		     "unable to parse requirement: a selector has no more than %d terms and "
		     "values",
		     WORDS_MOST);
		return NULL;
	}
	sel->matchExpressions.at = arena_zalloc(a, cap * sizeof *sel->matchExpressions.at);
	skip_space(&s);
	if (!*s.at)
		return sel;
	do {
		if (scan_requirement(&s, &sel->matchExpressions.at[sel->matchExpressions.n++]) <
		    0)
			return NULL;
	} while (take(&s, ","));
	skip_space(&s);
	if (*s.at) {
		bad(&s, "expected: ',' or the end");
		return NULL;
	}
	return sel;
}

static void
print_requirement(const struct label_selector_requirement *r, struct buf *out)
{
	bool in = !strcmp(r->operator, "In");

	if (!r->values.n) {
		buf_addf(out, "%s%s", strcmp(r->operator, "Exists") ? "!" : "", r->key);
		return;
	}
	if (!strcmp(r->operator, "Gt") || !strcmp(r->operator, "Lt")) {
		buf_addf(out, "%s%c%s", r->key, *r->operator== 'G' ? '>' : '<',
			 r->values.at[0]);
		return;
	}
	if (r->values.n == 1) {
		buf_addf(out, "%s%s%s", r->key, in ? "=" : "!=", r->values.at[0]);
		return;
	}
	buf_addf(out, "%s %s (", r->key, in ? "in" : "notin");
	for (size_t i = 0; i < r->values.n; i++)
		buf_addf(out, "%s%s", i ? "," : "", r->values.at[i]);
	buf_addc(out, ')');
}

char *
selector_print(const struct label_selector *s, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; s && i < s->matchLabels.n; i++)
		buf_addf(&b, "%s%s=%s", b.len ? "," : "", s->matchLabels.at[i].key,
			 s->matchLabels.at[i].value);
	for (size_t i = 0; s && i < s->matchExpressions.n; i++) {
		buf_adds(&b, b.len ? "," : "");
		print_requirement(&s->matchExpressions.at[i], &b);
	}
	return arena_strdup(a, buf_text(&b));
}

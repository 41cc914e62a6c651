/* tree.c -- trees of parsed text, and what is wrong with them. */
#include "tree.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t
tree_kids(const struct tree *t)
{
	size_t n = 0;

	for (const struct tree *kid = t ? t->kids : NULL; kid; kid = kid->next)
		n++;
	return n;
}

const struct tree *
tree_get(const struct tree *map, const char *key)
{
	if (!map || map->type != N_MAP)
		return NULL;
	for (const struct tree *t = map->kids; t; t = t->next)
		if (!strcmp(t->key, key))
			return t;
	return NULL;
}

const char *
tree_text(const struct tree *map, const char *key, const char *otherwise)
{
	const struct tree *t = tree_get(map, key);

	return t && t->type == N_STRING ? t->text : otherwise;
}

/* "ports[1].name": as far down as the tree goes. */
const struct tree *
tree_at(const struct tree *t, const char *path)
{
	while (t && *path) {
		const struct tree *kid = NULL;

		bool bracket = *path == '[';
		size_t n, i;

		path += *path == '.' || bracket;
		n = strcspn(path, bracket ? "]" : ".[");
		kid = t->kids;
		if (t->type == N_LIST)
			for (i = strtoul(path, NULL, 10); kid && i; i--)
				kid = kid->next;
		else
			while (kid && (strncmp(kid->key, path, n) || kid->key[n]))
				kid = kid->next;
		path += n;
		path += bracket && *path;
		if (!kid)
			break;
		t = kid;
	}
	return t;
}

/* Whatever it holds, what is written is JSON: one name of a file must not make a list
 * unreadable. */
static void
json_string(const char *s, struct buf *out)
{
	const char *run = s;

	buf_addc(out, '"');
	for (; *s; s++) {
		unsigned char c = *s;
		size_t n = 1;

		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\')
			continue; /* as nearly all is */
		if (c >= 0x80 && (n = utf8_len(s, strnlen(s, 4)))) {
			s += n - 1;
			continue;
		}
		buf_add(out, run, s - run);
		run = s + 1;
		if (c == '"' || c == '\\')
			buf_add(out, (char[]){ '\\', (char)c }, 2);
		else if (c == '\n')
			buf_adds(out, "\\n");
		else if (c == '\t')
			buf_adds(out, "\\t");
		else if (c == '\r')
			buf_adds(out, "\\r");
		else if (!n)
			buf_adds(out, "\xef\xbf\xbd");
		else
			buf_addf(out, "\\u%04x", c);
	}
	buf_add(out, run, s - run);
	buf_addc(out, '"');
}

void
tree_quote(const char *s, struct buf *out)
{
	json_string(s, out);
}

bool
tree_true(const struct tree *t)
{
	return t->text[0] == 't' || t->text[0] == 'T' || t->text[0] == 'y' ||
	       t->text[0] == 'Y' || !strcasecmp(t->text, "on");
}

/* YAML 1.1's numbers: 0644 and 0o644 are octal, 0x1f and 0b11 too, 1_000 is 1000. */
bool
tree_int(const char *s, int64_t *ret)
{
	bool neg = *s == '-', over = false;
	int base = 10;
	uint64_t v = 0, most = neg ? (uint64_t)INT64_MAX + 1 : INT64_MAX;

	s += *s == '-' || *s == '+';
	if (s[0] == '0' && s[1]) {
		char c = s[1] | 0x20;

		base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
		s += base == 8 && c != 'o' ? 1 : 2;
	}
	if (!*s || *s == '_')
		return false;
	for (; *s; s++) {
		int d = *s >= '0' && *s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10;

		if (*s == '_')
			continue;
		if (d < 0 || d >= base)
			return false;
		over = over || v > (most - d) / base;
		if (!over)
			v = v * base + d;
	}
	if (over)
		return false;
	*ret = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static void
json_number(const struct tree *t, struct buf *out)
{
	char *end, text[40];
	int64_t i;
	double d;

	if (t->type == N_INT && tree_int(t->text, &i)) {
		buf_addf(out, "%jd", (intmax_t)i);
		return;
	}
	d = strtod(t->text, &end);
	if (end == t->text || *end || d != d || d - d != 0) {
		buf_adds(out, "null"); /* JSON has no .inf and no .nan */
		return;
	}
	snprintf(text, sizeof text, "%.15g", d);
	if (strtod(text, NULL) != d) /* needs all its digits */
		snprintf(text, sizeof text, "%.17g", d);
	buf_adds(out, text);
}

void
tree_json(const struct tree *t, struct buf *out)
{
	const char *open = t->type == N_MAP ? "{" : "[";

	switch (t->type) {
	case N_NULL:
		buf_adds(out, "null");
		return;
	case N_BOOL:
		buf_adds(out, tree_true(t) ? "true" : "false");
		return;
	case N_INT:
	case N_FLOAT:
		json_number(t, out);
		return;
	case N_STRING:
		json_string(t->text, out);
		return;
	case N_MAP:
	case N_LIST:
		break;
	}
	buf_adds(out, open);
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		if (kid != t->kids)
			buf_addc(out, ',');
		if (t->type == N_MAP) {
			json_string(kid->key, out);
			buf_addc(out, ':');
		}
		tree_json(kid, out);
	}
	buf_addc(out, *open == '{' ? '}' : ']');
}

/* A file that is nothing but mistakes is no reason to eat all memory.  Warnings leave the
 * errors their room: whoever goes by the list must not take a file with both for sound. */
enum { MOST_KEPT = 1000 };

bool
complaints_full(const struct complaints *cs, bool warning)
{
	return (warning ? cs->warnings : cs->errors) >= MOST_KEPT;
}

/* A complaint is one line on a terminal, whatever a stranger's file says: what
 * would move the cursor or end the line is spelt out. */
static char *
printable(struct arena *a, const char *s)
{
	cleanup_buf struct buf b = { 0 };

	for (; s && *s; s++) {
		unsigned char c = *s, next = s[1];

		if (c == '\n')
			buf_adds(&b, "\\n");
		else if (c == '\t')
			buf_adds(&b, "\\t");
		else if (c < 0x20 || c == 0x7f)
			buf_addf(&b, "\\x%02x", c);
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			buf_addf(&b, "\\x%02x", (unsigned char)*++s);
		else
			buf_addc(&b, (char)c);
	}
	return s ? arena_strdup(a, buf_text(&b)) : NULL;
}

static const struct {
	const char *words, *reason;
} kinds[] = {
#define COMPLAINT(name, words, reason) { words, reason },
#include "complaints.def"
#undef COMPLAINT
};

const char *
complaint_reason(enum complaint_kind kind)
{
	return kinds[kind].reason;
}

enum complaint_kind
complaint_kind(const char *words)
{
	for (size_t i = 0; i < COMPLAINT_KINDS; i++)
		if (kinds[i].words && !strncmp(words, kinds[i].words, strlen(kinds[i].words)))
			return (enum complaint_kind)i;
	return COMPLAINT_INVALID;
}

struct complaint *
complaint_add(struct complaints *cs, enum complaint_kind kind, bool warning, int line, int col,
	      const char *field, const char *text)
{
	bool full = complaints_full(cs, warning);
	struct complaint *c;

	*(warning ? &cs->warnings : &cs->errors) += 1;
	if (full)
		return NULL;
	c = arena_zalloc(cs->arena, sizeof *c);
	*c = (struct complaint){ .path = cs->path,
				 .line = line,
				 .col = col,
				 .warning = warning,
				 .field = printable(cs->arena, field),
				 .text = printable(cs->arena, text),
				 .kind = kind };
	if (cs->last)
		cs->last->next = c;
	else
		cs->first = c;
	cs->last = c;
	return c;
}

static void __attribute__((format(printf, 6, 0)))
add(struct complaints *cs, bool warning, int line, int col, const char *field, const char *fmt,
    va_list ap)
{
	cleanup_free char *text = NULL;

	if (!complaints_full(cs, warning))
		xvasprintf(&text, fmt, ap);
	complaint_add(cs, complaint_kind(fmt), warning, line, col, field, text);
}

void
complain(struct complaints *cs, int line, int col, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(cs, false, line, col, field, fmt, ap);
	va_end(ap);
}

void
complain_softly(struct complaints *cs, int line, int col, const char *field, const char *fmt,
		...)
{
	va_list ap;

	va_start(ap, fmt);
	add(cs, true, line, col, field, fmt, ap);
	va_end(ap);
}

struct numbered {
	struct complaint *c;
	size_t i;
};

static int
by_place(const void *x, const void *y)
{
	const struct numbered *p = x, *q = y;
	const struct complaint *a = p->c, *b = q->c;
	int d = strcmp(a->path ? a->path : "", b->path ? b->path : "");

	d = d ? d : a->line != b->line ? (a->line < b->line ? -1 : 1) : 0;
	d = d ? d : a->col != b->col ? (a->col < b->col ? -1 : 1) : 0;
	return d ? d : p->i < q->i ? -1 : p->i > q->i;
}

void
complaints_sort(struct complaints *cs)
{
	struct complaint **link = &cs->first;
	struct numbered *at;
	size_t n = 0, i = 0;

	for (struct complaint *c = cs->first; c; c = c->next)
		n++;
	if (n < 2)
		return;
	at = xcalloc(n, sizeof *at);
	for (struct complaint *c = cs->first; c; c = c->next, i++)
		at[i] = (struct numbered){ c, i };
	qsort(at, n, sizeof *at, by_place);
	for (i = 0; i < n; i++) {
		*link = cs->last = at[i].c;
		link = &at[i].c->next;
	}
	*link = NULL;
	free(at);
}

char *
complaint_print(const struct complaint *c, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	if (c->path)
		buf_adds(&b, c->path);
	if (c->line)
		buf_addf(&b, "%s%d:%d", c->path ? ":" : "", c->line, c->col);
	if (b.len)
		buf_adds(&b, ": ");
	if (c->warning)
		buf_adds(&b, "warning: ");
	if (c->field && *c->field)
		buf_addf(&b, "%s: ", c->field);
	buf_adds(&b, c->text);
	return arena_strdup(a, buf_text(&b));
}

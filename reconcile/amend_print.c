/* amend_print.c -- values as YAML, in the style of the text that they go into.
 *
 * A string goes without quotes only where every reader takes it for a string, those of YAML
 * 1.1 as well: "12:30:45", "1_000" and "on" are quoted.
 */
#include "amend.h"
#include "base/buf.h"
#include <string.h>

static void
put_spaces(struct buf *b, size_t n)
{
	while (n--)
		buf_addc(b, ' ');
}

static bool
is_plain(const char *s)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./$(",
			  rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./$()@:=+-~%^; ";
	size_t n = strlen(s);

	if (!n || !strchr(first, *s) || s[strspn(s, rest)] || yaml_plain_type(s) != N_STRING)
		return false;
	if (s[n - 1] == ' ' || s[n - 1] == ':' || strstr(s, ": ") || !strncmp(s, "...", 3))
		return false;
	return s[strspn(s, "0123456789_.:eE+-")] != 0; /* nothing like a number or a time */
}

static bool
is_one_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static void
put_string(const struct amend_form *f, const char *s, struct buf *b)
{
	if (!f->json && f->quotes == QUOTES_SINGLE && is_one_line(s)) {
		buf_addc(b, '\'');
		for (; *s; s++)
			buf_adds(b, *s == '\'' ? "''" : (char[]){ *s, 0 });
		buf_addc(b, '\'');
	} else if (!f->json && f->quotes != QUOTES_DOUBLE && is_plain(s)) {
		buf_adds(b, s);
	} else {
		tree_quote(s, b);
	}
}

static void
put_scalar(const struct amend_form *f, const struct tree *t, struct buf *b)
{
	if (t->type == N_STRING)
		put_string(f, t->text, b);
	else
		buf_adds(b, t->type == N_NULL ? "null" : t->text);
}

void
amend_print_key(const struct amend_form *f, const char *key, struct buf *b)
{
	struct amend_form plain = { .amend = f->amend, .json = f->json };

	put_string(&plain, key, b);
}

void
amend_print_flow(const struct amend_form *f, const struct tree *t, struct buf *b)
{
	if (t->type != N_MAP && t->type != N_LIST) {
		put_scalar(f, t, b);
		return;
	}
	buf_addc(b, t->type == N_MAP ? '{' : '[');
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		if (kid != t->kids)
			buf_adds(b, ", ");
		if (t->type == N_MAP) {
			amend_print_key(f, kid->key, b);
			buf_adds(b, ": ");
		}
		amend_print_flow(f, kid, b);
	}
	buf_addc(b, t->type == N_MAP ? '}' : ']');
}

bool
amend_print_literal(const struct amend_form *f, const char *text, size_t column, struct buf *b)
{
	size_t n = strlen(text), ends = 0;

	while (n > ends && text[n - 1 - ends] == '\n')
		ends++;
	/* Spaces before the first line or behind any, tabs and the like would be lost or
	 * misread: quotes say them. */
	if (n == ends || *text == ' ' || *text == '\n' || strstr(text, " \n") ||
	    text[n - ends - 1] == ' ')
		return false;
	for (const char *p = text; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
			return false;
	buf_adds(b, ends == 0 ? "|-" : ends == 1 ? "|" : "|+");
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		buf_adds(b, f->amend->newline);
		if (len)
			put_spaces(b, column);
		buf_add(b, line, len);
		line += len;
		line += *line == '\n';
	}
	return true;
}

static void put_members(const struct amend_form *, const struct tree *, size_t column,
			struct buf *);

static void
put_break(const struct amend_form *f, size_t column, struct buf *b)
{
	buf_adds(b, f->amend->newline);
	put_spaces(b, column);
}

static void
put_items(const struct amend_form *f, const struct tree *t, size_t column, struct buf *b)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		put_break(f, column, b);
		buf_adds(b, "- ");
		amend_print_item(f, kid, column, b);
	}
}

void
amend_print_value(const struct amend_form *f, const struct tree *t, size_t column,
		  struct buf *b)
{
	size_t below = column + f->amend->map_step;
	struct buf text = { 0 };

	if (t->kids && t->type == N_MAP) {
		put_break(f, below, b);
		put_members(f, t, below, b);
	} else if (t->kids) {
		put_items(f, t, column + f->amend->list_step, b);
	} else if (t->type == N_STRING && strchr(t->text, '\n') &&
		   amend_print_literal(f, t->text, below, &text)) {
		buf_addc(b, ' ');
		buf_add(b, text.at, text.len);
	} else {
		buf_addc(b, ' ');
		amend_print_flow(f, t, b);
	}
	buf_done(&text);
}

static void
put_members(const struct amend_form *f, const struct tree *t, size_t column, struct buf *b)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		if (kid != t->kids)
			put_break(f, column, b);
		amend_print_key(f, kid->key, b);
		buf_addc(b, ':');
		amend_print_value(f, kid, column, b);
	}
}

void
amend_print_item(const struct amend_form *f, const struct tree *t, size_t column, struct buf *b)
{
	struct buf text = { 0 };

	if (t->type == N_MAP && t->kids)
		put_members(f, t, column + 2, b);
	else if (t->type == N_STRING && strchr(t->text, '\n') &&
		 amend_print_literal(f, t->text, column + 2, &text))
		buf_add(b, text.at, text.len);
	else
		amend_print_flow(f, t, b);
	buf_done(&text);
}

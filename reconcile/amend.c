/* amend.c -- a YAML or JSON text changed in place: from marks to splices, and the proof.
 *
 * Of a map or list in braces all changes are made together, for they share the commas; one by
 * indentation is a matter of whole lines, but for the entry that stands behind a "- ".
 */
#include "amend.h"
#include "base/arena.h"
#include "base/buf.h"
#include "patch_tree.h"
#include <stdlib.h>
#include <string.h>

void
amend_refuse(struct amend *ed, const struct amend_node *n, const char *why)
{
	if (ed->why)
		return;
	ed->why = why;
	ed->line = n ? n->line : 1;
}

/* ---- marks ---- */

static bool
touch(struct amend *ed, struct amend_node *n)
{
	if (n->fixed) {
		amend_refuse(ed, n, n->fixed);
		return false;
	}
	for (struct amend_node *p = n; p; p = p->parent)
		p->touched = true;
	return true;
}

struct amend_node *
amend_kid(const struct amend_node *map, const char *key)
{
	for (struct amend_node *kid = map->kids; kid; kid = kid->next)
		if (kid->key && !strcmp(kid->key, key))
			return kid;
	return NULL;
}

void
amend_set(struct amend *ed, struct amend_node *n, const struct tree *value)
{
	if (touch(ed, n))
		n->value = value;
}

void
amend_drop(struct amend *ed, struct amend_node *n)
{
	if (touch(ed, n))
		n->drop = true;
}

void
amend_add(struct amend *ed, struct amend_node *n, struct amend_node *after, const char *key,
	  const struct tree *value)
{
	struct amend_add *add = arena_alloc(ed->arena, sizeof *add);

	*add = (struct amend_add){ after, key, value, NULL };
	if (!touch(ed, n))
		return;
	*(n->adds_end ? n->adds_end : &n->adds) = add;
	n->adds_end = &add->next;
}

/* ---- splices ---- */

static void
splice(struct amend *ed, size_t at, size_t end, const char *text)
{
	if (ed->n == ed->cap) {
		struct amend_splice *more;

		ed->cap = ed->cap ? 2 * ed->cap : 16;
		more = arena_alloc(ed->arena, ed->cap * sizeof *more);
		if (ed->n)
			memcpy(more, ed->splices, ed->n * sizeof *more);
		ed->splices = more;
	}
	ed->splices[ed->n] = (struct amend_splice){ at, end - at, text, ed->n };
	ed->n++;
}

/* Takes the text over. */
static void
splice_buf(struct amend *ed, size_t at, size_t end, struct buf *b)
{
	splice(ed, at, end, arena_strdup(ed->arena, buf_text(b)));
	buf_done(b);
}

static bool
only_spaces(const struct amend *ed, size_t at, size_t end)
{
	for (; at < end; at++)
		if (ed->text[at] != ' ')
			return false;
	return true;
}

/* Nothing but white space and perhaps a comment follows on the line. */
static bool
ends_line(const struct amend *ed, size_t at)
{
	size_t end = amend_line_end(ed, at), from = at;

	while (at < end && strchr(" \t\r", ed->text[at]))
		at++;
	return at == end || (ed->text[at] == '#' && at > from);
}

static bool
has_comment(const struct amend *ed, size_t at, size_t end)
{
	return memchr(ed->text + at, '#', end - at) != NULL;
}

static bool
is_json(const struct amend_node *n)
{
	for (const struct amend_node *p = n; p; p = p->parent)
		if (p->style == AMEND_FLOW && p->kids && p->kids->key)
			return p->kids->key_quoted;
	return false;
}

static struct amend_form
form_of(const struct amend *ed, const struct amend_node *n)
{
	const struct amend_node *like = n;

	if (n->kids && !n->kids->key) /* of a list: as its first item */
		like = n->kids;
	return (struct amend_form){
		.amend = ed,
		.json = is_json(n),
		.quotes = like->style == AMEND_SINGLE   ? QUOTES_SINGLE
			  : like->style == AMEND_DOUBLE ? QUOTES_DOUBLE
							: QUOTES_NONE,
	};
}

static bool
in_flow(const struct amend_node *n)
{
	return n->parent && n->parent->style == AMEND_FLOW;
}

static bool
is_collection(const struct tree *t)
{
	return t->type == N_MAP || t->type == N_LIST;
}

/* Where the lines of an item begin that "- " stands before; false: it shares its line. */
static bool
dash_line(const struct amend *ed, const struct amend_node *item, size_t *ret)
{
	size_t dash = item->parent->start, at = amend_column(ed, dash),
	       line = amend_line_start(ed, item->start);

	for (;; line = amend_line_start(ed, line - 1)) {
		if (line + at < ed->len && only_spaces(ed, line, line + at) &&
		    ed->text[line + at] == '-' &&
		    (line + at + 1 == ed->len || strchr(" \t\r\n", ed->text[line + at + 1]))) {
			*ret = line;
			return true;
		}
		if (line <= dash || !line)
			return false;
	}
}

/* ---- a value becomes another one ---- */

/* The column of what the lines of the value are indented beyond. */
static size_t
outer_column(const struct amend *ed, const struct amend_node *n)
{
	if (n->key)
		return amend_column(ed, n->key_start);
	return n->parent ? amend_column(ed, n->parent->start) : 0;
}

/* Lines of a | keep their indentation, so that only those that differ are others. */
static size_t
literal_column(const struct amend *ed, const struct amend_node *n)
{
	size_t at = amend_line_end(ed, n->start), line;

	while (n->style == AMEND_LITERAL && at < n->end) {
		for (line = ++at; line < n->end && ed->text[line] == ' ';)
			line++;
		if (line < n->end && ed->text[line] != '\n' && ed->text[line] != '\r')
			return line - at;
		at = amend_line_end(ed, at);
	}
	return outer_column(ed, n) + (n->key ? ed->map_step : 2);
}

static void
set_scalar(struct amend *ed, const struct amend_node *n, struct buf *b)
{
	struct amend_form form = form_of(ed, n);

	/* (a comment behind it would be taken for a part of it) */
	if (!in_flow(n) && n->value->type == N_STRING && strchr(n->value->text, '\n') &&
	    !has_comment(ed, n->end, amend_line_end(ed, n->end)) &&
	    amend_print_literal(&form, n->value->text, literal_column(ed, n), b))
		return;
	amend_print_flow(&form, n->value, b);
}

static void
make_set(struct amend *ed, const struct amend_node *n)
{
	size_t end = amend_end(n), start = n->start;
	struct amend_form form = form_of(ed, n);
	struct buf b = { 0 };
	bool lines = n->style == AMEND_BLOCK;

	if (lines && has_comment(ed, start, end)) {
		amend_refuse(ed, n, "comments in it would be lost");
		return;
	}
	if (is_collection(n->value) && n->value->kids && !in_flow(n) && n->key && !form.json &&
	    !(n->style == AMEND_FLOW && n->kids) && n->parent && ends_line(ed, end) &&
	    !has_comment(ed, end, amend_line_end(ed, end))) {
		start = lines ? n->key_end + 1 : start;
		while (start > n->key_end && ed->text[start - 1] == ' ')
			start--;
		amend_print_value(&form, n->value, outer_column(ed, n), &b);
	} else {
		if (lines && n->key) {
			start = n->key_end + 1;
			buf_addc(&b, ' ');
		} else if (start == end && start && strchr(":-", ed->text[start - 1])) {
			buf_addc(&b, ' '); /* there was none yet */
		}
		if (is_collection(n->value))
			amend_print_flow(&form, n->value, &b);
		else
			set_scalar(ed, n, &b);
	}
	splice_buf(ed, start, end, &b);
}

/* ---- {a: b}, [a, b] ---- */

/* Where an entry of a map or list in braces begins. */
static size_t
entry_start(const struct amend_node *n)
{
	return n->key ? n->key_start : n->start;
}

static void
flow_drop(struct amend *ed, const struct amend_node *n)
{
	const struct amend_node *kept = NULL, *first = NULL;
	size_t at, end;

	for (const struct amend_node *kid = n->kids; kid; kid = kid->next) {
		if (!kid->drop) {
			kept = kid;
			continue;
		}
		first = first ? first : kid;
		if (kid->next && kid->next->drop)
			continue;
		at = kept ? amend_end(kept) : entry_start(first);
		end = kept || !kid->next ? amend_end(kid) : entry_start(kid->next);
		if (has_comment(ed, at, entry_start(first)) ||
		    has_comment(ed, amend_end(kid), end))
			amend_refuse(ed, kid, "a comment beside it would be lost");
		splice(ed, at, end, "");
		first = NULL;
	}
}

static void
flow_entry(const struct amend_form *f, const struct amend_add *add, struct buf *b)
{
	if (add->key) {
		amend_print_key(f, add->key, b);
		buf_adds(b, ": ");
	}
	amend_print_flow(f, add->value, b);
}

/* What stands between two entries: ", ", or a line's end and its indentation. */
static void
flow_between(const struct amend *ed, const struct amend_node *n, struct buf *b)
{
	size_t at = entry_start(n->kids), line = at;

	/* (no further back: all of a JSON text may be one line) */
	while (line > n->start && ed->text[line - 1] == ' ')
		line--;
	if (line > n->start && ed->text[line - 1] == '\n') {
		buf_adds(b, ",");
		buf_adds(b, ed->newline);
		buf_add(b, ed->text + line, at - line);
	} else {
		buf_adds(b, ", ");
	}
}

static void
flow_add(struct amend *ed, const struct amend_node *n)
{
	struct amend_form form = form_of(ed, n);

	for (const struct amend_add *add = n->adds; add; add = add->next) {
		struct buf b = { 0 };
		size_t at = n->kids ? entry_start(n->kids) : n->start + 1;

		if (add->after) {
			at = amend_end(add->after);
			flow_between(ed, n, &b);
			flow_entry(&form, add, &b);
		} else if (n->kids) {
			flow_entry(&form, add, &b);
			flow_between(ed, n, &b);
		} else {
			if (add != n->adds)
				buf_adds(&b, ", ");
			flow_entry(&form, add, &b);
		}
		splice_buf(ed, at, at, &b);
	}
}

/* ---- by indentation ---- */

/* The line after the entry's last. */
static bool
lines_end(struct amend *ed, const struct amend_node *n, size_t *ret)
{
	size_t end = amend_end(n);

	if (!ends_line(ed, end)) {
		amend_refuse(ed, n, "something else stands on its line");
		return false;
	}
	end = amend_line_end(ed, end);
	*ret = end < ed->len ? end + 1 : end;
	return true;
}

static void
block_drop(struct amend *ed, const struct amend_node *n)
{
	size_t at, end;

	if (!lines_end(ed, n, &end))
		return;
	if (!n->key) {
		if (dash_line(ed, n, &at))
			splice(ed, at, end, "");
		else
			amend_refuse(ed, n, "it shares its line with another list");
		return;
	}
	at = amend_line_start(ed, n->key_start);
	if (only_spaces(ed, at, n->key_start)) {
		splice(ed, at, end, "");
		return;
	}
	/* behind "- ": the next one moves up */
	if (n->next && !n->next->drop && !has_comment(ed, amend_end(n), n->next->key_start))
		splice(ed, n->key_start, n->next->key_start, "");
	else
		amend_refuse(ed, n, "it stands behind a \"- \" and nothing can take its place");
}

static void
block_add(struct amend *ed, const struct amend_node *n)
{
	struct amend_form form = form_of(ed, n);
	const struct amend_node *at = NULL;
	size_t indent, end = 0;
	bool found = false;

	if (!n->kids) { /* nothing to stand beside; YAML has no empty block */
		amend_refuse(ed, n, "there is no line to put it on");
		return;
	}
	indent = amend_column(ed, n->kids->key ? n->kids->key_start : n->start);
	for (const struct amend_add *add = n->adds; add; add = add->next) {
		struct buf b = { 0 };

		if (!found || add->after != at)
			found = add->after ? lines_end(ed, add->after, &end)
					   : dash_line(ed, n->kids, &end);
		at = add->after;
		if (!found) {
			amend_refuse(ed, n, "there is no line to put it on");
			return;
		}
		if (end == ed->len && end && ed->text[end - 1] != '\n')
			buf_adds(&b, ed->newline);
		for (size_t i = 0; i < indent; i++)
			buf_addc(&b, ' ');
		if (add->key) {
			amend_print_key(&form, add->key, &b);
			buf_addc(&b, ':');
			amend_print_value(&form, add->value, indent, &b);
		} else {
			buf_adds(&b, "- ");
			amend_print_item(&form, add->value, indent, &b);
		}
		buf_adds(&b, ed->newline);
		splice_buf(ed, end, end, &b);
	}
}

/* ---- a document ---- */

/* With its ---, up to that of the next one; the first one leaves the next its own. */
static void
drop_doc(struct amend *ed, const struct amend_node *d)
{
	size_t at = d->dashes ? amend_line_start(ed, d->key_start) : 0,
	       end = d->next ? amend_line_start(ed, d->next->key_start) : ed->len;

	if (d->next && !d->next->dashes)
		amend_refuse(ed, d, "the next document has no line of its own before it");
	else
		splice(ed, at, end, "");
}

/* ---- all ---- */

static bool
all_go(const struct amend_node *n)
{
	for (const struct amend_node *kid = n->kids; kid; kid = kid->next)
		if (!kid->drop)
			return false;
	return n->kids && !n->adds;
}

static void
make(struct amend *ed, struct amend_node *n)
{
	if (!n->touched)
		return;
	if (!n->value && n->style == AMEND_BLOCK && all_go(n))
		n->value = tree_empty(n->tree->type, ed->arena); /* "labels: {}" */
	if (n->value) {
		make_set(ed, n);
		return;
	}
	if (n->style == AMEND_FLOW) {
		flow_drop(ed, n);
		flow_add(ed, n);
	}
	for (struct amend_node *kid = n->kids; kid; kid = kid->next) {
		if (!kid->drop)
			make(ed, kid);
		else if (n->style == AMEND_BLOCK)
			block_drop(ed, kid);
	}
	if (n->style == AMEND_BLOCK && n->adds)
		block_add(ed, n);
}

/* What the node shall say. */
static struct tree *
wanted(const struct amend *ed, const struct amend_node *n)
{
	const struct amend_add *add = n->adds;
	struct tree *t = tree_copy(n->value ? n->value : n->tree, ed->arena), **tail;

	if (n->value || !n->touched)
		return t;
	tail = &t->kids;
	*tail = NULL;
	for (const struct amend_node *kid = NULL, *rest = n->kids;;) {
		for (; add && add->after == kid; add = add->next) {
			*tail = tree_copy(add->value, ed->arena);
			(*tail)->key = add->key;
			tail = &(*tail)->next;
		}
		if (!rest)
			return t;
		kid = rest;
		rest = rest->next;
		if (kid->drop)
			continue;
		*tail = wanted(ed, kid);
		(*tail)->key = kid->key;
		tail = &(*tail)->next;
	}
}

static int
by_place(const void *a, const void *b)
{
	const struct amend_splice *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	/* what is put in comes before what goes; of two of one kind, the one made first */
	if (!x->drop != !y->drop)
		return x->drop ? 1 : -1;
	return x->made < y->made ? -1 : 1;
}

static bool
join(struct amend *ed, struct buf *out)
{
	size_t at = 0;

	if (ed->n)
		qsort(ed->splices, ed->n, sizeof *ed->splices, by_place);
	for (size_t i = 0; i < ed->n; i++) {
		const struct amend_splice *s = &ed->splices[i];

		if (s->at < at) {
			amend_refuse(ed, NULL, "two changes are on the same line");
			return false;
		}
		buf_add(out, ed->text + at, s->at - at);
		buf_adds(out, s->text);
		at = s->at + s->drop;
	}
	buf_add(out, ed->text + at, ed->len - at);
	return true;
}

/* Every document says what it shall, and nothing else. */
static bool
is_right(const struct amend *ed, const struct buf *out)
{
	struct complaints cs = { .arena = ed->arena };
	const struct tree *t = yaml_read(out->at, out->len, ed->arena, &cs);
	const struct amend_node *d = ed->docs;

	for (; d && !cs.errors; d = d->next) {
		if (d->drop)
			continue;
		if (!t || !tree_same(t, wanted(ed, d)))
			return false;
		t = t->next;
	}
	return !t && !cs.errors;
}

int
amend_close(struct amend *ed, struct buf *ret)
{
	cleanup_buf struct buf out = { 0 };

	for (struct amend_node *d = ed->docs; d && !ed->why; d = d->next) {
		if (d->drop)
			drop_doc(ed, d);
		else
			make(ed, d);
	}
	if (ed->why || !join(ed, &out))
		return -1;
	if (!is_right(ed, &out)) {
		amend_refuse(ed, NULL, "its text cannot be changed without being written anew");
		for (const struct amend_node *d = ed->docs; d; d = d->next)
			if (d->touched) {
				ed->line = d->line;
				break;
			}
		return -1;
	}
	buf_add(ret, out.at ? out.at : "", out.len);
	return 0;
}

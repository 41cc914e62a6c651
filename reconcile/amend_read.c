/* amend_read.c -- where each value of a YAML text stands.
 *
 * libyaml counts characters, texts are cut by bytes: the marks come nearly in order, so that
 * one walk along the text translates them all.  What a value means is yaml.c's to say: its tree
 * is read beside this one and laid against it.
 */
#include "amend.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "patch_tree.h"
#include <string.h>
#include <yaml.h>

struct scan {
	struct amend *ed;
	yaml_parser_t parser;
	yaml_event_t event;
	size_t bom;         /* bytes before what the parser sees */
	size_t chars, byte; /* the same place, counted both ways */
};

size_t
amend_line_start(const struct amend *ed, size_t at)
{
	while (at && ed->text[at - 1] != '\n')
		at--;
	return at;
}

size_t
amend_column(const struct amend *ed, size_t at)
{
	return at - amend_line_start(ed, at);
}

size_t
amend_line_end(const struct amend *ed, size_t at)
{
	const char *nl = at < ed->len ? memchr(ed->text + at, '\n', ed->len - at) : NULL;

	return nl ? (size_t)(nl - ed->text) : ed->len;
}

static size_t
byte_of(struct scan *s, const yaml_mark_t *m)
{
	const char *text = s->ed->text;

	for (; m->index < s->chars; s->chars--)
		do
			s->byte--;
		while (((unsigned char)text[s->byte] & 0xc0) == 0x80);
	while (s->chars < m->index && s->byte < s->ed->len) {
		size_t n = utf8_len(text + s->byte, s->ed->len - s->byte);

		s->byte += n ? n : 1;
		s->chars++;
	}
	return s->byte;
}

static bool
next(struct scan *s)
{
	yaml_event_delete(&s->event);
	memset(&s->event, 0, sizeof s->event);
	return yaml_parser_parse(&s->parser, &s->event) != 0;
}

static struct amend_node *
node_new(struct scan *s, enum amend_style style)
{
	struct amend_node *n = arena_zalloc(s->ed->arena, sizeof *n);

	n->style = style;
	n->line = (int)s->event.start_mark.line + 1;
	n->start = byte_of(s, &s->event.start_mark);
	n->end = byte_of(s, &s->event.end_mark);
	return n;
}

/* The last line of a | or > that is not blank; with + the blank ones count, too. */
static size_t
literal_end(const struct amend *ed, const struct amend_node *n)
{
	size_t head = amend_line_end(ed, n->start), end = head, indent = 0;
	bool keep = memchr(ed->text + n->start, '+', head - n->start) != NULL;

	for (size_t at = head; at < ed->len;) {
		size_t line = at + 1, stop = amend_line_end(ed, line), first = line;

		while (first < stop && ed->text[first] == ' ')
			first++;
		if (first < stop && ed->text[first] != '\r') {
			if (line >= n->end || (indent && first - line < indent))
				break;
			indent = indent ? indent : first - line;
			end = stop;
		} else if (keep && line < n->end) {
			end = stop;
		}
		at = stop;
	}
	return end;
}

static struct amend_node *
scalar_new(struct scan *s)
{
	struct amend_node *n = node_new(s, AMEND_PLAIN);

	switch (s->event.data.scalar.style) {
	case YAML_SINGLE_QUOTED_SCALAR_STYLE:
		n->style = AMEND_SINGLE;
		break;
	case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
		n->style = AMEND_DOUBLE;
		break;
	case YAML_LITERAL_SCALAR_STYLE:
	case YAML_FOLDED_SCALAR_STYLE:
		n->style = AMEND_LITERAL;
		n->end = literal_end(s->ed, n);
		break;
	default:
		break;
	}
	if (s->event.data.scalar.anchor)
		n->fixed = "it has an anchor";
	else if (s->event.data.scalar.tag)
		n->fixed = "it has a tag";
	return n;
}

static struct amend_node *read_node(struct scan *);

static bool
read_map(struct scan *s, struct amend_node *map)
{
	struct amend_node **tail = &map->kids, *key, *value;

	for (;; tail = &value->next) {
		if (!next(s))
			return false;
		if (s->event.type == YAML_MAPPING_END_EVENT)
			return true;
		if (s->event.type == YAML_ALIAS_EVENT) {
			key = node_new(s, AMEND_PLAIN);
			key->fixed = "its key is an alias";
		} else if (s->event.type == YAML_SCALAR_EVENT) {
			key = scalar_new(s);
			key->key = arena_strndup(s->ed->arena,
						 (const char *)s->event.data.scalar.value,
						 s->event.data.scalar.length);
			if (key->style == AMEND_PLAIN && !strcmp(key->key, "<<"))
				map->fixed = "its map takes another one in (<<)";
		} else {
			return false;
		}
		if (!next(s) || !(value = read_node(s)))
			return false;
		value->key = key->key ? key->key : "";
		value->key_start = key->start;
		value->key_end = key->end;
		value->key_quoted = key->style != AMEND_PLAIN;
		value->line = key->line;
		if (key->fixed)
			map->fixed = key->fixed;
		*tail = map->last = value;
	}
}

static bool
read_list(struct scan *s, struct amend_node *list)
{
	struct amend_node **tail = &list->kids;

	for (;; tail = &(*tail)->next) {
		if (!next(s))
			return false;
		if (s->event.type == YAML_SEQUENCE_END_EVENT)
			return true;
		if (!(*tail = list->last = read_node(s)))
			return false;
	}
}

/* The value that the current event begins; NULL: the text does not read. */
static struct amend_node *
read_node(struct scan *s)
{
	const yaml_event_t *e = &s->event;
	bool map = e->type == YAML_MAPPING_START_EVENT, flow;
	struct amend_node *n;

	if (e->type == YAML_ALIAS_EVENT) {
		n = node_new(s, AMEND_PLAIN);
		n->fixed = "it is an alias";
		return n;
	}
	if (e->type == YAML_SCALAR_EVENT)
		return scalar_new(s);
	if (!map && e->type != YAML_SEQUENCE_START_EVENT)
		return NULL;
	flow = map ? e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
		   : e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
	n = node_new(s, flow ? AMEND_FLOW : AMEND_BLOCK);
	if (map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor)
		n->fixed = "it has an anchor";
	else if (map ? e->data.mapping_start.tag : e->data.sequence_start.tag)
		n->fixed = "it has a tag";
	if (!(map ? read_map(s, n) : read_list(s, n)))
		return NULL;
	n->end = byte_of(s, &s->event.end_mark);
	return n;
}

size_t
amend_end(const struct amend_node *n)
{
	while (n->style == AMEND_BLOCK && n->last)
		n = n->last;
	return n->end;
}

/* ---- laid against the tree ---- */

static void
lay(struct amend_node *n, const struct tree *t, struct amend_node *parent)
{
	cleanup_finder struct finder members = finder_of(t);
	const struct tree *at = t ? t->kids : NULL;

	n->tree = t;
	n->parent = parent;
	if (!n->fixed && parent && parent->fixed)
		n->fixed = parent->fixed;
	if (!t && !n->fixed)
		n->fixed = "it cannot be told from its text what it is";
	for (struct amend_node *kid = n->kids; kid; kid = kid->next) {
		if (kid->key) {
			lay(kid, finder_get(&members, kid->key), n);
			continue;
		}
		lay(kid, at, n);
		at = at ? at->next : NULL;
	}
}

/* ---- how the file is written ---- */

static void
learn(struct amend *ed, const struct amend_node *n)
{
	for (const struct amend_node *kid = n->kids; kid; kid = kid->next) {
		/* (only where the lines are short: JSON may be a single one) */
		if (kid->key && n->style == AMEND_BLOCK && kid->style == AMEND_BLOCK &&
		    kid->kids &&
		    amend_column(ed, kid->start) >= amend_column(ed, kid->key_start)) {
			size_t step =
			    amend_column(ed, kid->start) - amend_column(ed, kid->key_start);

			if (kid->tree && kid->tree->type == N_LIST && ed->list_step == SIZE_MAX)
				ed->list_step = step;
			else if (kid->tree && kid->tree->type == N_MAP && !ed->map_step)
				ed->map_step = step;
		}
		learn(ed, kid);
	}
}

static bool
scan_docs(struct scan *s, const struct tree *t)
{
	struct amend_node **tail = &s->ed->docs;
	size_t head;
	bool dashes;

	for (;;) {
		if (!next(s))
			return false;
		if (s->event.type == YAML_STREAM_END_EVENT)
			return true;
		if (s->event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		head = byte_of(s, &s->event.start_mark);
		dashes = !s->event.data.document_start.implicit;
		if (!next(s) || !(*tail = read_node(s)))
			return false;
		(*tail)->key_start = head;
		(*tail)->dashes = dashes;
		lay(*tail, t, NULL);
		t = t ? t->next : NULL;
		tail = &(*tail)->next;
	}
}

int
amend_open(struct amend *ed, const char *text, size_t len, struct arena *a)
{
	struct complaints cs = { .arena = a };
	struct scan s = { .ed = ed };
	const struct tree *docs = yaml_read(text, len, a, &cs);
	const char *nl = memchr(text, '\n', len);
	bool ok;

	*ed = (struct amend){ .text = text, .len = len, .arena = a, .list_step = SIZE_MAX };
	ed->newline = nl && nl > text && nl[-1] == '\r' ? "\r\n" : "\n";
	if (!docs || cs.errors) {
		ed->why = cs.first ? cs.first->text : "there is nothing in it";
		ed->line = cs.first ? cs.first->line : 1;
		return -1;
	}
	if (!yaml_parser_initialize(&s.parser))
		abort(); /* out of memory */
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		s.bom = s.byte = 3;
	yaml_parser_set_input_string(&s.parser, (const unsigned char *)text + s.bom,
				     len - s.bom);
	yaml_parser_set_encoding(&s.parser, YAML_UTF8_ENCODING);
	ok = scan_docs(&s, docs);
	yaml_event_delete(&s.event);
	yaml_parser_delete(&s.parser);
	if (!ok) {
		amend_refuse(ed, NULL, "it is no YAML that can be edited");
		return -1;
	}
	for (const struct amend_node *d = ed->docs; d; d = d->next)
		learn(ed, d);
	if (ed->list_step == SIZE_MAX)
		ed->list_step = 2;
	if (!ed->map_step)
		ed->map_step = 2;
	return 0;
}

/* yaml.c -- YAML to trees with places, over libyaml's events.
 *
 * Plain scalars are typed as Kubernetes' own reader types them (YAML 1.1's
 * booleans and numbers), everything quoted is a string.  The text is a
 * stranger's: size, depth, aliases and duplicate keys are all bounded or
 * refused, and work is linear in the text.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/utf8.h"
#include "tree.h"
#include <string.h>
#include <yaml.h>

enum {
	MOST_BYTES = 3 << 20,
	MOST_DEPTH = 100,
	MOST_ALIASED = 10000, /* nodes that aliases stand for */
	MOST_TAGS = 100,      /* %TAG lines: libyaml holds each against all others */
	FEW_KEYS = 16,        /* up to here comparing each with each is the fastest */
};

struct anchor {
	struct tree *node; /* NULL while it is being read */
	size_t count;      /* nodes in it, aliases expanded */
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	struct arena *arena;
	struct complaints *cs;
	struct map anchors;
	size_t aliased;
	int depth;
};

static bool
refuse(struct reader *r, const yaml_mark_t *at, const char *text)
{
	complain(r->cs, (int)at->line + 1, (int)at->column + 1, NULL, "%s", text);
	return false;
}

/* What libyaml says, and what the cause mostly is. */
static const char *
hint_of(const char *problem)
{
	static const struct {
		const char *problem, *hint;
	} table[] = {
		{ "mapping values are not allowed", "; does a value with \": \" in it lack "
						    "quotes, or the line before its \":\"?" },
		{ "did not find expected key",
		  "; is this line, or the one before, indented too much or too little?" },
		{ "did not find expected '-' indicator",
		  "; is this line, or the one before, indented too much or too little?" },
		{ "cannot start any token", "; a value that begins with it needs quotes" },
		{ "could not find expected ':'", "; is a \":\" missing, or a space after it?" },
		{ "found unexpected end of stream", "; is a quote not closed?" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strstr(problem, table[i].problem))
			return table[i].hint;
	return "";
}

/* libyaml's own complaint, with its place; the commonest cause gets a hint. */
static bool
refuse_syntax(struct reader *r, const char *text, size_t len)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "cannot be read";
	const yaml_mark_t *at = &p->problem_mark;

	if (p->error == YAML_READER_ERROR) {
		int line = 1, col = 1;

		for (size_t i = 0; i < p->problem_offset && i < len; i++) {
			line += text[i] == '\n';
			col = text[i] == '\n' ? 1 : col + ((text[i] & 0xc0) != 0x80);
		}
		complain(r->cs, line, col, NULL, "%s", problem);
	} else if (at->index < len && text[at->index] == '\t' &&
		   strstr(problem, "start any token")) {
		refuse(r, at, "a tab cannot indent YAML: use spaces");
	} else if (p->context && p->context_mark.line != at->line) {
		complain(r->cs, (int)at->line + 1, (int)at->column + 1, NULL,
			 "%s (%s that began at line %d)%s", problem, p->context,
			 (int)p->context_mark.line + 1, hint_of(problem));
	} else if (p->context) {
		complain(r->cs, (int)at->line + 1, (int)at->column + 1, NULL, "%s (%s)%s",
			 problem, p->context, hint_of(problem));
	} else {
		complain(r->cs, (int)at->line + 1, (int)at->column + 1, NULL, "%s%s", problem,
			 hint_of(problem));
	}
	return false;
}

static bool
word_in(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

/* [-+]? ( . digits | digits [. digits*]? ) ( [eE] [-+]? digits )? */
static bool
is_float(const char *s)
{
	size_t whole, part = 0;

	s += *s == '-' || *s == '+';
	if (!strcmp(s, ".inf") || !strcmp(s, ".Inf") || !strcmp(s, ".nan") ||
	    !strcmp(s, ".NaN"))
		return true;
	whole = strspn(s, "0123456789");
	s += whole;
	if (*s == '.') {
		part = strspn(++s, "0123456789");
		s += part;
	}
	if (!whole && !part)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		part = strspn(s, "0123456789");
		s += part;
		return part && !*s;
	}
	return !*s;
}

enum tree_type
yaml_plain_type(const char *s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const bools[] = { "true", "True", "TRUE", "false", "False", "FALSE",
					     "yes",  "Yes",  "YES",  "no",    "No",    "NO",
					     "on",   "On",   "ON",   "off",   "Off",   "OFF",
					     "y",    "Y",    "n",    "N",     NULL };
	int64_t i;

	if (word_in(s, nulls))
		return N_NULL;
	if (word_in(s, bools))
		return N_BOOL;
	if (!strchr("+-.0123456789", *s))
		return N_STRING;
	return tree_int(s, &i) ? N_INT : is_float(s) ? N_FLOAT : N_STRING;
}

static const char own_tags[] = "tag:yaml.org,2002:";

/* The type that a tag asks for; false for tags kedge cannot honour. */
static bool
tagged_type(const char *tag, const char *text, enum tree_type *ret)
{
	static const char *const others[] = { "int", "float", "bool", "null", NULL };

	if (!strcmp(tag, "!")) {
		*ret = N_STRING;
		return true;
	}
	if (strncmp(tag, own_tags, sizeof own_tags - 1))
		return false;
	tag += sizeof own_tags - 1;
	if (!strcmp(tag, "str"))
		*ret = N_STRING;
	else if (word_in(tag, others))
		*ret = yaml_plain_type(text);
	else
		return false;
	return true;
}

/* A tag or an alias is mostly a value that lacks quotes, and that may be a Secret's: only what
 * YAML itself defines is named. */
static bool
refuse_tag(struct reader *r, const char *tag)
{
	static const char *const known[] = { "binary", "map",  "merge", "omap",
					     "pairs",  "seq",  "set",   "timestamp",
					     "value",  "yaml", NULL };
	const yaml_mark_t *at = &r->event.start_mark;

	if (strncmp(tag, own_tags, sizeof own_tags - 1) ||
	    !word_in(tag + sizeof own_tags - 1, known))
		return refuse(r, at,
			      "this tag is not supported; a value that begins with ! needs "
			      "quotes");
	complain(r->cs, (int)at->line + 1, (int)at->column + 1, NULL,
		 "the tag !!%s is not supported", tag + sizeof own_tags - 1);
	return false;
}

static struct tree *
node_new(struct reader *r, enum tree_type type)
{
	struct tree *t = arena_zalloc(r->arena, sizeof *t);

	t->type = type;
	t->line = (int)r->event.start_mark.line + 1;
	t->col = (int)r->event.start_mark.column + 1;
	return t;
}

static bool
next_event(struct reader *r, const char *text, size_t len)
{
	yaml_event_delete(&r->event);
	memset(&r->event, 0, sizeof r->event);
	return yaml_parser_parse(&r->parser, &r->event) ? true : refuse_syntax(r, text, len);
}

struct input {
	const char *text;
	size_t len;
};

static bool read_node(struct reader *, const struct input *, struct tree **ret, size_t *count);

static bool
read_scalar(struct reader *r, struct tree **ret)
{
	const char *text = (const char *)r->event.data.scalar.value;
	const char *tag = (const char *)r->event.data.scalar.tag;
	size_t len = r->event.data.scalar.length;
	enum tree_type type = N_STRING;

	if (memchr(text, 0, len))
		return refuse(r, &r->event.start_mark, "a string cannot hold a NUL character");
	if (tag && !tagged_type(tag, text, &type))
		return refuse_tag(r, tag);
	if (!tag && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		type = yaml_plain_type(text);
	*ret = node_new(r, type);
	(*ret)->text = arena_strndup(r->arena, text, len);
	return true;
}

static void
anchor_put(struct reader *r, const char *name, struct tree *node, size_t count)
{
	struct anchor *a = arena_alloc(r->arena, sizeof *a);

	*a = (struct anchor){ node, count };
	map_put(&r->anchors, name, a);
}

/* A copy of the anchor's top that shares what is below: what aliases stand for
 * takes no memory, yet whoever walks the tree walks it all, so it is counted. */
static bool
read_alias(struct reader *r, struct tree **ret, size_t *count)
{
	const char *name = (const char *)r->event.data.alias.anchor;
	const struct anchor *a = map_get(&r->anchors, name);
	struct tree *t;

	if (!a)
		return refuse(r, &r->event.start_mark,
			      "this alias has no anchor before it; a value that begins with * "
			      "needs quotes");
	if (!a->node)
		return refuse(r, &r->event.start_mark, "this alias is within its own anchor");
	r->aliased += a->count;
	if (r->aliased > MOST_ALIASED)
		return refuse(r, &r->event.start_mark,
			      "aliases expand to more than 10000 values: write them out, or "
			      "fewer of them");
	t = node_new(r, a->node->type);
	t->text = a->node->text;
	t->kids = a->node->kids;
	*count += a->count;
	*ret = t;
	return true;
}

static bool
read_list(struct reader *r, const struct input *in, struct tree *list, size_t *count)
{
	struct tree **tail = &list->kids;

	for (;;) {
		if (!next_event(r, in->text, in->len))
			return false;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return true;
		if (!read_node(r, in, tail, count))
			return false;
		tail = &(*tail)->next;
	}
}

/* An error, but no reason to stop looking for others. */
static void
duplicate(struct reader *r, const struct tree *first, const struct tree *second)
{
	complain(r->cs, second->key_line, second->key_col, NULL,
		 "the key \"%.100s\" is already set in line %d", second->key, first->key_line);
}

static void
keys_differ(struct reader *r, const struct tree *map, size_t n)
{
	struct map seen = { 0 };

	if (n <= FEW_KEYS) {
		for (const struct tree *b = map->kids; b; b = b->next)
			for (const struct tree *a = map->kids; a != b; a = a->next)
				if (!strcmp(a->key, b->key)) {
					duplicate(r, a, b);
					break;
				}
		return;
	}
	for (const struct tree *b = map->kids; b; b = b->next) {
		const struct tree *a = map_put(&seen, b->key, (void *)b);

		if (a)
			duplicate(r, a, b);
	}
	map_done(&seen);
}

/* What `<<` brings: each pair whose key the map has not got itself. */
static bool
merge_one(struct reader *r, struct tree *map, const struct tree *from, struct map *has,
	  struct tree ***tail)
{
	if (from->type != N_MAP) {
		complain(r->cs, from->line, from->col, NULL,
			 "<< merges maps (*anchor, or a list of them), nothing else");
		return false;
	}
	for (const struct tree *k = from->kids; k; k = k->next) {
		struct tree *copy;

		if (map_get(has, k->key))
			continue;
		copy = arena_alloc(r->arena, sizeof *copy);
		*copy = *k;
		copy->next = NULL;
		map_put(has, k->key, map);
		**tail = copy;
		*tail = &copy->next;
		if (++r->aliased > MOST_ALIASED) {
			complain(r->cs, from->line, from->col, NULL,
				 "merges expand to more than 10000 values");
			return false;
		}
	}
	return true;
}

static bool
merge(struct reader *r, struct tree *map, const struct tree *from, struct tree **tail)
{
	struct map has = { 0 };
	bool ok = true;

	for (const struct tree *k = map->kids; k; k = k->next)
		map_put(&has, k->key, map);
	if (from->type == N_LIST)
		for (const struct tree *one = from->kids; one && ok; one = one->next)
			ok = merge_one(r, map, one, &has, &tail);
	else
		ok = merge_one(r, map, from, &has, &tail);
	map_done(&has);
	return ok;
}

static bool
read_key(struct reader *r, const struct input *in, struct tree **ret, size_t *count)
{
	const yaml_mark_t at = r->event.start_mark;

	if (r->event.type == YAML_MAPPING_START_EVENT &&
	    r->event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
		return refuse(r, &at,
			      "a key must be a string; a template's {{ }} must be filled in "
			      "before it is committed (helm template does that)");
	if (r->event.type != YAML_SCALAR_EVENT && r->event.type != YAML_ALIAS_EVENT)
		return refuse(r, &at, "a key must be a string");
	if (!read_node(r, in, ret, count))
		return false;
	if (!(*ret)->text || (*ret)->type == N_NULL)
		return refuse(r, &at, "a key must be a string");
	return true;
}

static bool
read_map(struct reader *r, const struct input *in, struct tree *map, size_t *count)
{
	struct tree **tail = &map->kids, *key, *value, *from = NULL;
	size_t n = 0;

	for (;; n++) {
		if (!next_event(r, in->text, in->len))
			return false;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		bool plain = r->event.type == YAML_SCALAR_EVENT &&
			     r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

		if (!read_key(r, in, &key, count) || !next_event(r, in->text, in->len) ||
		    !read_node(r, in, &value, count))
			return false;
		value->key = key->text;
		value->key_line = key->line;
		value->key_col = key->col;
		if (plain && !strcmp(key->text, "<<")) {
			if (from)
				duplicate(r, from, value);
			from = value;
			continue;
		}
		*tail = value;
		tail = &value->next;
	}
	keys_differ(r, map, n);
	return !from || merge(r, map, from, tail);
}

static bool
read_body(struct reader *r, const struct input *in, struct tree *t, size_t *count)
{
	bool ok;

	if (++r->depth > MOST_DEPTH)
		return refuse(r, &r->event.start_mark, "more than 100 levels deep");
	ok = t->type == N_MAP ? read_map(r, in, t, count) : read_list(r, in, t, count);
	r->depth--;
	return ok;
}

/* The value that the current event begins. */
static bool
read_node(struct reader *r, const struct input *in, struct tree **ret, size_t *count)
{
	const yaml_event_t *e = &r->event;
	const char *anchor = NULL;
	size_t own = 1;
	struct tree *t = NULL;
	bool ok;

	if (e->type == YAML_ALIAS_EVENT)
		return read_alias(r, ret, count);
	anchor = (const char *)(e->type == YAML_SCALAR_EVENT ? e->data.scalar.anchor
				: e->type == YAML_MAPPING_START_EVENT
				    ? e->data.mapping_start.anchor
				    : e->data.sequence_start.anchor);
	if (anchor) {
		anchor = arena_strdup(r->arena, anchor);
		anchor_put(r, anchor, NULL, 0);
	}
	if (e->type == YAML_SCALAR_EVENT) {
		ok = read_scalar(r, &t);
	} else {
		t = node_new(r, e->type == YAML_MAPPING_START_EVENT ? N_MAP : N_LIST);
		ok = read_body(r, in, t, &own);
	}
	if (!ok)
		return false;
	if (anchor)
		anchor_put(r, anchor, t, own);
	*count += own;
	*ret = t;
	return true;
}

static bool
read_stream(struct reader *r, const struct input *in, struct tree **ret)
{
	struct tree *first = NULL, **tail = &first;

	for (;;) {
		size_t count = 0;

		if (!next_event(r, in->text, in->len))
			return false;
		if (r->event.type == YAML_STREAM_END_EVENT)
			break;
		if (r->event.type != YAML_DOCUMENT_START_EVENT)
			continue; /* of the stream, of a document's end */
		map_done(&r->anchors);
		if (!next_event(r, in->text, in->len) || !read_node(r, in, tail, &count))
			return false;
		tail = &(*tail)->next;
	}
	*ret = first;
	return true;
}

/* The place of the first byte that is not UTF-8, or NULL. */
static const char *
bad_utf8(const char *text, size_t len)
{
	const char *end = text + len;

	for (size_t n; text < end; text += n)
		if (!(n = utf8_len(text, end - text)))
			return text;
	return NULL;
}

/* The line of %TAG that is one too many, or NULL. */
static const char *
odd_tag(const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	size_t n = 0;

	while ((at = memmem(at, (size_t)(end - at), "%TAG", 4))) {
		if ((at == text || at[-1] == '\n' || at[-1] == '\r') && ++n > MOST_TAGS)
			break;
		at += 4;
	}
	return at;
}

static void
complain_at(struct complaints *cs, const char *text, const char *at, const char *what)
{
	int line = 1, col = 1;

	for (const char *p = text; p < at; p++) {
		line += *p == '\n';
		col = *p == '\n' ? 1 : col + ((*p & 0xc0) != 0x80);
	}
	complain(cs, line, col, NULL, "%s", what);
}

static bool
text_ok(const char *text, size_t len, struct complaints *cs)
{
	const char *bad;
	char what[80];

	if (len > MOST_BYTES) {
		complain(cs, 1, 1, NULL, "the file has %.1f MiB; more than 3 MiB are not read",
			 (double)len / (1 << 20));
		return false;
	}
	bad = bad_utf8(text, len);
	if (bad) {
		snprintf(what, sizeof what,
			 "the byte 0x%02x is not UTF-8: save the file as UTF-8",
			 (unsigned char)*bad);
		complain_at(cs, text, bad, what);
		return false;
	}
	bad = odd_tag(text, len);
	if (!bad)
		return true;
	complain_at(cs, text, bad, "more than 100 %TAG lines are not read");
	return false;
}

struct tree *
yaml_read(const char *text, size_t len, struct arena *a, struct complaints *cs)
{
	struct reader r = { .arena = a, .cs = cs };
	struct input in = { text, len };
	struct tree *docs = NULL;

	if (!text_ok(text, len, cs))
		return NULL;
	if (!yaml_parser_initialize(&r.parser))
		abort(); /* out of memory */
	/* Some editors begin a file with a mark that libyaml, told the encoding, takes for
	 * text. */
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		in = (struct input){ text + 3, len - 3 };
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)in.text, in.len);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	if (!read_stream(&r, &in, &docs))
		docs = NULL;
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	map_done(&r.anchors);
	return docs;
}

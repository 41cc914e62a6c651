/* amend.h -- a YAML or JSON text changed in place: what is not changed keeps every byte.
 *
 * Pure.  The text is read with the place of each value (amend_open); what shall become another
 * value, go or be added is marked on the nodes; amend_close makes splices of the marks.  It
 * believes nothing: the new text is read again, and unless each document of it is what the
 * marks ask for, and all others are what they were, the whole change is refused.
 *
 * Refused as well is what cannot be told from its text alone: anything that has an anchor, an
 * alias, a tag or a `<<`, or stands within one of these.
 */
#ifndef KEDGE_AMEND_H
#define KEDGE_AMEND_H
#include "tree.h"

struct buf;

enum amend_style {
	AMEND_PLAIN,   /* a scalar without quotes, or no text at all */
	AMEND_SINGLE,  /* 'x' */
	AMEND_DOUBLE,  /* "x" */
	AMEND_LITERAL, /* | and >, with the lines below */
	AMEND_BLOCK,   /* a map or list by indentation */
	AMEND_FLOW,    /* {a: b}, [a, b] */
};

struct amend_add {
	struct amend_node *after; /* NULL: before all */
	const char *key;          /* of a map */
	const struct tree *value;
	struct amend_add *next;
};

/* A value in the text.  Offsets are bytes; `end` is behind the last one. */
struct amend_node {
	const struct tree *tree; /* what it says */
	enum amend_style style;
	size_t start, end;
	const char *key;           /* in a map, else NULL */
	size_t key_start, key_end; /* of a document: where its --- is, or it begins */
	bool dashes;               /* of a document: it has one */
	bool key_quoted;
	int line;          /* of the key, or of the value */
	const char *fixed; /* why nothing here can be changed; NULL: it can */
	struct amend_node *parent, *kids, *next;
	struct amend_node *last; /* of the kids */
	/* What it shall be: */
	bool touched; /* it, or something within */
	bool drop;
	const struct tree *value;
	struct amend_add *adds, **adds_end; /* NULL: there are none yet */
};

struct amend_splice {
	size_t at, drop; /* bytes of the old text */
	const char *text;
	size_t made; /* which of all it was */
};

struct amend {
	const char *text;
	size_t len;
	struct arena *arena;
	struct amend_node *docs; /* linked by next */
	/* How this file writes: spaces before the items of a list in a map, and one level. */
	size_t list_step, map_step;
	const char *newline;
	/* The first thing that cannot be done, and its line; NULL: all can. */
	const char *why;
	int line;
	struct amend_splice *splices; /* of amend_close, in order, none within another */
	size_t n, cap;
};

/* -1: the text does not read; `why` and `line` say it.  The text must outlive this. */
int amend_open(struct amend *, const char *text, size_t len, struct arena *);
struct amend_node *amend_kid(const struct amend_node *map, const char *key); /* or NULL */
void amend_set(struct amend *, struct amend_node *, const struct tree *value);
void amend_drop(struct amend *, struct amend_node *);
/* Another member of a map (`key`) or item of a list, behind `after`. */
void amend_add(struct amend *, struct amend_node *, struct amend_node *after, const char *key,
	       const struct tree *value);
void amend_refuse(struct amend *, const struct amend_node *, const char *why);
/* The new text; -1: it cannot be made, `why` and `line` say what is in the way. */
int amend_close(struct amend *, struct buf *ret);

/* amend_read.c */
/* The first byte of a line, and the one behind its last (its newline, or the text's end). */
size_t amend_line_start(const struct amend *, size_t at);
size_t amend_line_end(const struct amend *, size_t at);
size_t amend_column(const struct amend *, size_t at); /* in bytes, from 0 */
/* Where the text of a value ends, also of a map or list by indentation. */
size_t amend_end(const struct amend_node *);

/* amend_print.c: values as text */
enum amend_quotes { QUOTES_NONE, QUOTES_SINGLE, QUOTES_DOUBLE };
struct amend_form {
	const struct amend *amend;
	bool json; /* strings and keys in double quotes */
	enum amend_quotes quotes;
};
/* On one line: {a: b}, [a, b], scalars. */
void amend_print_flow(const struct amend_form *, const struct tree *, struct buf *);
/* Behind "key:": " value" and, of what has several lines, these, indented beyond `column`;
 * no newline at the end. */
void amend_print_value(const struct amend_form *, const struct tree *, size_t column,
		       struct buf *);
/* Behind "- " in this column: the same of an item, whose first line goes on there. */
void amend_print_item(const struct amend_form *, const struct tree *, size_t column,
		      struct buf *);
void amend_print_key(const struct amend_form *, const char *key, struct buf *);
/* Text of several lines as | block, its lines indented by `column`; false: it cannot be. */
bool amend_print_literal(const struct amend_form *, const char *text, size_t column,
			 struct buf *);
#endif

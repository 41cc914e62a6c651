/* schema.h -- typed views of manifests, driven by kinds.def.
 *
 * kinds.def is included twice.  Here its rows become structs; in schema_kinds.c
 * they become tables, so that the two cannot drift apart.  wire.def does the same
 * for what the brain and the hand say to each other.  A C member carries its
 * wire name: camelCase in this tree always means "the user wrote this".
 *
 * The struct of Kubernetes' type PodSpec is `struct pod_spec`, of
 * LabelSelector `struct label_selector`: snake case of the Go name, always.
 * Every struct starts with `set`: bit i says that row i was given by the user
 * (or by whoever built the object), not by a default.  Code that builds objects
 * need not care, except for a `.ptr` row that shall be 0 or false (schema_mark).
 */
#ifndef KEDGE_SCHEMA_H
#define KEDGE_SCHEMA_H
#include "tree.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#undef linux /* what compilers define it as is no name for a field */

struct arena;
struct buf;

/* int or percent (or name): maxSurge, targetPort */
struct iors {
	const char *s; /* NULL when it is a number */
	int64_t i;
};
struct strs {
	const char **at;
	size_t n;
};
static inline bool
strs_has(const struct strs *s, const char *word)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->at[i], word))
			return true;
	return false;
}
struct ints {
	int64_t *at;
	size_t n;
};
struct pair {
	const char *key, *value;
};
/* string -> string, sorted by key: labels, annotations, data, resources */
struct pairs {
	struct pair *at;
	size_t n;
};
struct list {
	void *at;
	size_t n;
};

enum field_type {
	T_STR,  /* const char *, NULL when absent */
	T_INT,  /* int64_t */
	T_BOOL, /* bool */
	T_QTY,  /* const char *: "500m", "64Mi"; a bare number is taken too */
	T_IORS, /* struct iors */
	T_TIME, /* int64_t, milliseconds since 1970; 0 when absent; RFC 3339 on the wire */
	T_MAP,  /* struct pairs */
	T_QMAP, /* struct pairs whose values are quantities */
	T_STRS, /* struct strs */
	T_INTS, /* struct ints */
	T_OBJ,  /* pointer to a struct, NULL when absent */
	T_LIST, /* struct list of structs */
	T_ANY,  /* const char *: JSON text, kept as it is */
};

struct kind;
struct path;

/* Where a rule across fields stands. */
struct place {
	const struct tree *at; /* the object, as read */
	const struct path *path;
	struct complaints *cs;
	struct arena *arena;
	const struct kind *kind;
	uint64_t bad; /* bit i: row i was complained about already */
};

struct field {
	const char *name;
	size_t len; /* of the name */
	enum field_type type;
	size_t off;
	const struct kind *(*of)(void); /* of an object, or of a list's items */
	bool need;                      /* a complaint when absent */
	bool both;                      /* a complaint names both ends of the range */
	bool ro;                        /* written by kedge, never by a manifest */
	bool keep;   /* on the wire even when 0, false, "" or {}; an object is made */
	bool ptr;    /* a Go pointer: 0, false and "" are not the same as absent */
	bool zero;   /* 0 is as good as none: the default holds */
	bool inert;  /* known, not acted upon: a warning that names it */
	bool micro;  /* a time with microseconds (MicroTime) */
	bool base64; /* a map whose values are base64 on the wire, decoded never */
	bool secret; /* a map of which no message repeats a value, or what is no key */
	bool bulky;  /* a map whose values are not kept in what was stated */
	bool whole; /* Kubernetes marks it atomic: one owner has it; a list, a patch replaces */
	bool replaced;      /* a list that a patch replaces, though its items have owners */
	bool merged;        /* a list of strings that a patch and owners add to */
	int64_t min, max;   /* checked when min < max; INT32_MAX and up: no bound to speak of */
	const char *dflt;   /* as the user would have written it */
	const char *one_of; /* space separated */
	const char
	    *key;   /* fields that tell list items apart: unique; the first is the merge key */
	bool clash; /* a key met twice is an invalid value, in Kubernetes' words */
	const char *patch; /* the merge key of a list whose items need not be unique */
	/* NULL when fine, else what is wrong with it ("must be ..."); text in arena or static.
	 * Of a list of strings: each; of a map: each value; of int-or-string: the string. */
	const char *(*check)(const char *text, struct arena *);
	const char *(*keys)(const char *text, struct arena *); /* of a map's keys */
	const char *doc; /* one line, for explain and man pages */
};

/* What a row cannot say.  Both run on decode, after the rows of this object and
 * everything within it.  A check meets objects that are half wrong: it asks
 * place_ok about the rows it needs.  Defaults only see sound ones. */
struct kind_hooks {
	void (*check)(const void *obj,
		      const struct place *);         /* rules across fields; runs first */
	void (*defaults)(void *obj, struct arena *); /* those that depend on other fields */
	bool atomic;   /* Kubernetes marks the struct atomic: one owner has it whole */
	bool together; /* its fields make sense only together: stated in Git, it is taken whole
			*/
	const char *doc; /* one line, for explain; NULL: the fields of this kind say it */
};

struct kind {
	const char *name; /* "pod_spec" */
	size_t size;
	const struct field *fields; /* ends with a NULL name */
	size_t nfields;
	const struct kind_hooks *hooks;
};

/* clang-format off */
#define KIND(k, ...)	struct k { uint64_t set;
#define STR(f, ...)	const char *f;
#define INT(f, ...)	int64_t f;
#define BOOL(f, ...)	bool f;
#define QTY(f, ...)	const char *f;
#define IORS(f, ...)	struct iors f;
#define TIME(f, ...)	int64_t f;
#define MAP(f, ...)	struct pairs f;
#define QMAP(f, ...)	struct pairs f;
#define QMAP_AS(f, n, ...) struct pairs f; /* n: a word of C's own */
#define STRS(f, ...)	struct strs f;
#define INTS(f, ...)	struct ints f;
#define ANY(f, ...)	const char *f;
#define OBJ(k, f, ...)	struct k *f;
#define LIST(k, f, ...)	struct { struct k *at; size_t n; } f;
#define END(k)		}; const struct kind *k##_kind(void);
#include "kinds.def"
#include "wire.def"
#include "config.def"
#include "kinds.undef"
/* clang-format on */

enum schema_mode {
	SCHEMA_STRICT,  /* manifests: ro rows are dropped without a word, an unknown field is an
			   error (with a "did you mean") */
	SCHEMA_LENIENT, /* the same, but unknown fields are only warnings */
	SCHEMA_TRUSTED, /* store and wire: ro rows are read, no rules across fields, no warnings
			 */
};
/* Every complaint about the object, each with its place; the result is usable only when no
 * error was added.  Defaults are parsed as if written. */
void *schema_decode(const struct kind *, const struct tree *, enum schema_mode, struct arena *,
		    struct complaints *);
bool place_ok(const struct place *, const char *field); /* nothing was wrong in that row */
/* For rules: `sub` is the field within the object, "ports[1].name", or "". */
void place_complain(const struct place *, const char *sub, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void place_complain_softly(const struct place *, const char *sub, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* JSON; absent and empty fields are left out, as encoding/json's omitempty does. */
void schema_encode(const struct kind *, const void *obj, struct buf *);
/* A deep copy into the arena: shares nothing with the original. */
void *schema_clone(const struct kind *, const void *obj, struct arena *);
size_t schema_room(const struct kind *, const void *obj); /* bytes of the arena that takes */
bool schema_equal(const struct kind *, const void *a, const void *b);
/* Every leaf that differs, paths as "spec.template.spec.containers[web].image";
 * old or new is NULL when that side lacks it. */
typedef void schema_diff_fn(void *ctx, const char *path, const char *old, const char *new);
void schema_diff(const struct kind *, const void *a, const void *b, schema_diff_fn *,
		 void *ctx);
/* The path of the first one, in the arena; NULL: there is none. */
const char *schema_first_difference(const struct kind *, const void *a, const void *b,
				    struct arena *);
/* Same bytes for equal objects, whatever the order of the file. */
uint64_t schema_hash(const struct kind *, const void *obj);
const struct field *schema_field(const struct kind *, const char *name); /* or NULL */
/* Was this row given (by the user, or with schema_mark)?  Tells runAsUser: 0 from none. */
bool schema_has(const struct kind *, const void *obj, const char *name);
void schema_mark(const struct kind *, void *obj,
		 const char *name); /* what a builder sets to 0 or false */

/* The value a user sees under a path such as "metadata.name"; "" when absent. */
const char *schema_text(const struct kind *, const void *obj, const char *path, struct arena *);

/* quantity.c: Kubernetes' resource.Quantity.  Rounds up, saturates. */
bool quantity_parse(const char *text, int64_t *ret_milli); /* "500m" -> 500, "2" -> 2000 */
int64_t quantity_milli(const char *text);                  /* 0 for NULL */
int64_t quantity_value(const char *text); /* bytes or units: "64Mi" -> 67108864 */

/* clock.c: RFC 3339 <-> milliseconds since 1970, no time zone database. */
bool time_parse(const char *text, int64_t *ret_ms);
void time_print(int64_t ms, bool micro, char ret[40]);

/* pairs: sorted, so lookup is a binary search. */
const char *pairs_get(const struct pairs *, const char *key); /* or NULL */
void pairs_set(struct pairs *, const char *key, const char *value, struct arena *);
void pairs_del(struct pairs *, const char *key);
bool pairs_equal(const struct pairs *, const struct pairs *);
int64_t iors_of(struct iors, int64_t total, bool round_up); /* a percent of total, or itself */
#endif

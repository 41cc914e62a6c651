/* tree.h -- what every reader (YAML, JSON) makes of bytes: a tree with places.
 *
 * The tree lives in the arena it was read into.  Lines and columns count from
 * 1; a tree that came from JSON over the API has 0 for both.
 */
#ifndef KEDGE_TREE_H
#define KEDGE_TREE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;

enum tree_type { N_NULL, N_BOOL, N_INT, N_FLOAT, N_STRING, N_MAP, N_LIST };

struct tree {
	enum tree_type type;
	int line, col;
	const char *key; /* within a map, else NULL */
	int key_line, key_col;
	const char *text; /* of a scalar, as written: "80", "true", "web" */
	struct tree *kids, *next;
};

/* What a complaint is about, for whoever must know: the text is for people alone. */
enum complaint_kind {
#define COMPLAINT(name, words, reason) COMPLAINT_##name,
#include "complaints.def"
#undef COMPLAINT
	COMPLAINT_KINDS
};
const char *complaint_reason(enum complaint_kind); /* of a cause in a Status */

/* One thing wrong, or worth a warning, in a file.  All of a file's are kept. */
struct complaint {
	const char *path; /* the file, as the user knows it */
	int line, col;
	bool warning;
	const char *field; /* "spec.replicas", or NULL */
	const char *text;
	enum complaint_kind kind;
	const char *near; /* of an unknown field: what may have been meant, or NULL */
	struct complaint *next;
};

/* Grows in the order found; everything in it lives in `arena`.  After the first
 * thousand errors, and the first thousand warnings, they are only counted. */
struct complaints {
	struct arena *arena;
	const char *path; /* for what is added next */
	struct complaint *first, *last;
	int errors, warnings;
};

/* The kind is what the format's first words say: those of "%s" say nothing. */
void complain(struct complaints *, int line, int col, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void complain_softly(struct complaints *, int line, int col, const char *field, const char *fmt,
		     ...) __attribute__((format(printf, 5, 6)));
/* The same, with a text that is ready; NULL when it was only counted. */
struct complaint *complaint_add(struct complaints *, enum complaint_kind, bool warning,
				int line, int col, const char *field, const char *text);
/* Of a format, or of a text that begins with our own words, not with a user's. */
enum complaint_kind complaint_kind(const char *words);
void complaints_sort(struct complaints *); /* by path, line, column */
/* "path:line:col: [warning: ][field: ]text" */
char *complaint_print(const struct complaint *, struct arena *);
bool complaints_full(const struct complaints *, bool warning); /* more will not be kept */

/* The documents of a stream, as a list linked by `next`; NULL when there are
 * none or when the text cannot be read (then a complaint says where and why).
 * Refused: invalid UTF-8, aliases that expand to more than 10,000 nodes, more
 * than 100 levels, more than 3 MiB.  A duplicate key is an error too, but the
 * tree is returned, so that other mistakes are found in the same go.  JSON is
 * read by the same reader, for JSON is YAML. */
struct tree *yaml_read(const char *text, size_t len, struct arena *, struct complaints *);
/* What a scalar without quotes is. */
enum tree_type yaml_plain_type(const char *text);
/* One JSON value through jansson: for the API and the store. */
struct tree *json_read(const char *text, size_t len, struct arena *, struct complaints *);
/* The same, but what an object says twice is no error: the last counts, and `twice` hears
 * where ("spec.containers[0].image"), once for each of the first hundred. */
typedef void json_twice_fn(void *ctx, const char *path);
struct tree *json_read_twice(const char *text, size_t len, struct arena *, struct complaints *,
			     json_twice_fn *twice, void *ctx);

size_t tree_kids(const struct tree *); /* how many; of NULL none */
const struct tree *tree_get(const struct tree *map, const char *key); /* or NULL */
/* Of a member that is a string; else `otherwise`. */
const char *tree_text(const struct tree *map, const char *key, const char *otherwise);
/* "ports[1].name": as far down as the tree goes; for the places of complaints. */
const struct tree *tree_at(const struct tree *, const char *path);
bool tree_true(const struct tree *); /* of an N_BOOL: true, yes and on are true */
bool tree_int(const char *text,
	      int64_t *ret); /* as YAML writes numbers: 420, 0644, 0x1f, 1_000 */
void tree_json(const struct tree *, struct buf *); /* compact JSON */
void tree_quote(const char *text, struct buf *);   /* one JSON string, quotes included */
#endif

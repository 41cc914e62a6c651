/* patch_tree.h -- trees that are put together anew; for the patches and managed fields. */
#ifndef KEDGE_PATCH_TREE_H
#define KEDGE_PATCH_TREE_H
#include "base/map.h"
#include "tree.h"

/* The members of a map (or of a list whose items have a key), in order, while they change.
 * Finding one costs the same however many there are. */
struct members {
	struct tree **at; /* NULL: it was removed */
	size_t n, cap;
	size_t next; /* where the one is likely to be that is asked for now */
	struct map
	    index; /* key -> position + 1, of the first `indexed`; as far as it was needed */
	size_t indexed;
	struct arena *arena;
};

void members_open(struct members *, struct arena *);
/* Of a map without two of one key; NULL adds nothing. */
void members_add_all(struct members *, const struct tree *map);
struct tree *members_get(struct members *, const char *key); /* or NULL */
/* In place of the one with this key, or at the end.  The value is copied, its kids are not. */
void members_put(struct members *, const char *key, const struct tree *value);
void members_del(struct members *, const char *key);
/* The map or list; `m` is done with. */
struct tree *members_close(struct members *, enum tree_type);

/* A map without two of one key that is asked for many of its members, and does not change
 * meanwhile.  What is asked for in the map's own order costs no more than a look. */
struct finder {
	const struct tree *map, *next;
	struct map index; /* key -> member; only when it was needed, and there are many */
};
struct finder finder_of(const struct tree *map); /* of NULL, or no map: nothing is found */
const struct tree *finder_get(struct finder *, const char *key); /* or NULL */
void finder_done(struct finder *);
#define cleanup_finder __attribute__((cleanup(finder_done)))

/* The node alone, with the same kids, without its key and its place in a list. */
struct tree *tree_copy(const struct tree *, struct arena *);
struct tree *tree_copy_deep(const struct tree *, struct arena *);
struct tree *tree_empty(enum tree_type, struct arena *);
struct tree *tree_string(const char *, struct arena *);
/* The same value, whatever the order of maps; numbers by their value. */
bool tree_same(const struct tree *, const struct tree *);
/* A scalar as the text that tells it from others of any type: "80" and 80 differ. */
const char *tree_key_text(const struct tree *, struct arena *);
/* How many nodes it has, itself included. */
size_t tree_count(const struct tree *);
#endif

/* map.h -- strings to pointers.  Keys are copied; values are the caller's. */
#ifndef KEDGE_MAP_H
#define KEDGE_MAP_H
#include <stddef.h>
#include <stdint.h>

struct map {
	struct map_slot {
		char *key; /* NULL: it was deleted */
		uint64_t hash;
		void *value;
	} * at;              /* in the order they came */
	uint32_t *index;     /* places in `at`, from 1; 0: empty */
	size_t n, used, cap; /* cap: of the index, 0 or a power of two */
};

void *map_get(const struct map *, const char *key);        /* NULL when absent */
void *map_put(struct map *, const char *key, void *value); /* returns what was there */
void *map_del(struct map *, const char *key);              /* returns what was there */
void map_done(struct map *);

/* for (struct map_slot *s = map_first(&m); s; s = map_next(&m, s)): in the order they came;
 * do not put meanwhile. */
struct map_slot *map_first(const struct map *);
struct map_slot *map_next(const struct map *, const struct map_slot *);

uint64_t hash_bytes(uint64_t seed, const void *, size_t); /* FNV-1a with a final mix */
uint64_t hash_str(uint64_t seed, const char *);
/* Of hash_bytes anybody computes texts that agree in it.  The same in each process, and two
 * texts of one hash are found by trying alone: for names of what belongs to different people.
 */
uint64_t hash_hard(uint64_t seed, const void *, size_t);
/* Another one in each process, and its secret: for tables of foreign keys. */
uint64_t hash_secret(const void *, size_t);
#endif

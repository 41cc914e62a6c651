/* map.h -- strings to pointers.  Keys are copied; values are the caller's.
 *
 * Whoever picks keys that meet at one place gains nothing: they are hashed anew, with a seed
 * that is not known outside.  Only then is the order of a walk another one each time.
 */
#ifndef KEDGE_MAP_H
#define KEDGE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
	struct map_slot {
		char *key;
		uint64_t hash;
		void *value;
	} * at;
	size_t n, cap; /* cap is 0 or a power of two */
	uint64_t seed; /* of the hashes; another one when too many keys meet at one place */
	bool stirred;  /* it is so already, at this size */
};

void *map_get(const struct map *, const char *key);        /* NULL when absent */
void *map_put(struct map *, const char *key, void *value); /* returns what was there */
void *map_del(struct map *, const char *key);              /* returns what was there */
void map_done(struct map *);

/* for (struct map_slot *s = map_first(&m); s; s = map_next(&m, s)); do not put or del meanwhile
 */
struct map_slot *map_first(const struct map *);
struct map_slot *map_next(const struct map *, const struct map_slot *);

uint64_t hash_bytes(uint64_t seed, const void *, size_t); /* FNV-1a with a final mix */
uint64_t hash_str(uint64_t seed, const char *);
#endif

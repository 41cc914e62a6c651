/* map.c -- open addressing with linear probing; a removal closes its hole. */
#include "map.h"
#include "buf.h"
#include <stdlib.h>
#include <string.h>

uint64_t
hash_bytes(uint64_t seed, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h;
}

uint64_t
hash_str(uint64_t seed, const char *s)
{
	return hash_bytes(seed, s, strlen(s));
}

/* Of a million keys that nobody picked, none is further from its place than some 400. */
enum { FAR = 512 };

/* The slot that holds key, or the empty one where it would go. */
static struct map_slot *
map_slot(const struct map *m, const char *key, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->at[i].key && (m->at[i].hash != hash || strcmp(m->at[i].key, key)))
		i = (i + 1) & (m->cap - 1);
	return &m->at[i];
}

static void
map_resize(struct map *m, size_t cap)
{
	struct map old = *m;

	m->cap = cap;
	m->at = xcalloc(m->cap, sizeof *m->at);
	for (size_t i = 0; i < old.cap; i++)
		if (old.at[i].key)
			*map_slot(m, old.at[i].key, old.at[i].hash) = old.at[i];
	free(old.at);
}

/* With a seed that nobody outside can know: where the kernel put our memory. */
static void
map_stir(struct map *m)
{
	m->stirred = true;
	m->seed = hash_bytes(m->seed + m->n, &m->at, sizeof m->at);
	for (size_t i = 0; i < m->cap; i++)
		if (m->at[i].key)
			m->at[i].hash = hash_str(m->seed, m->at[i].key);
	map_resize(m, m->cap);
}

static bool
is_far(const struct map *m, const struct map_slot *s, uint64_t hash)
{
	return (((size_t)(s - m->at) - hash) & (m->cap - 1)) > FAR;
}

void *
map_get(const struct map *m, const char *key)
{
	return m->cap ? map_slot(m, key, hash_str(m->seed, key))->value : NULL;
}

void *
map_put(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_str(m->seed, key);
	struct map_slot *s;
	void *was;

	if ((m->n + 1) * 4 > m->cap * 3) {
		map_resize(m, m->cap ? m->cap * 2 : 16);
		m->stirred = false;
	}
	s = map_slot(m, key, hash);
	if (!s->key && !m->stirred && is_far(m, s, hash)) {
		map_stir(m);
		hash = hash_str(m->seed, key);
		s = map_slot(m, key, hash);
	}
	was = s->value;
	if (!s->key) {
		s->key = xstrdup(key);
		s->hash = hash;
		m->n++;
	}
	s->value = value;
	return was;
}

void *
map_del(struct map *m, const char *key)
{
	struct map_slot *s;
	size_t hole, i;
	void *was;

	if (!m->cap)
		return NULL;
	s = map_slot(m, key, hash_str(m->seed, key));
	if (!s->key)
		return NULL;
	was = s->value;
	free(s->key);
	m->n--;
	/* Close the hole: move back whoever was pushed past it. */
	hole = i = s - m->at;
	for (;;) {
		size_t home;

		i = (i + 1) & (m->cap - 1);
		if (!m->at[i].key)
			break;
		home = m->at[i].hash & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->at[hole] = m->at[i];
			hole = i;
		}
	}
	m->at[hole] = (struct map_slot){ 0 };
	return was;
}

void
map_done(struct map *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->at[i].key);
	free(m->at);
	*m = (struct map){ 0 };
}

struct map_slot *
map_next(const struct map *m, const struct map_slot *s)
{
	size_t i = s ? (size_t)(s - m->at) + 1 : 0;

	for (; i < m->cap; i++)
		if (m->at[i].key)
			return &m->at[i];
	return NULL;
}

struct map_slot *
map_first(const struct map *m)
{
	return map_next(m, NULL);
}

/* map.c -- a list in the order of its keys' coming, and over it an index with open addressing.
 *
 * Keys are what foreigners send.  With a hash that they can compute they would send such as
 * meet in one place, and each look-up would walk along all of them.
 */
#include "map.h"
#include "buf.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* ---- hashes ---- */

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

static uint64_t
turn(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32) + v[3];
	v[2] += v[1];
	v[1] = turn(v[1], 17) ^ v[2];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] = turn(v[2], 32);
}

/* Aumasson and Bernstein's SipHash-2-4. */
static uint64_t
sip(uint64_t k0, uint64_t k1, const unsigned char *p, size_t n)
{
	uint64_t v[4] = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
			  k0 ^ UINT64_C(0x6c7967656e657261),
			  k1 ^ UINT64_C(0x7465646279746573) };
	uint64_t last = (uint64_t)n << 56, word;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		word = le64toh(word);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t k = 0; i < n; i++, k++)
		last |= (uint64_t)p[i] << 8 * k;
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int k = 0; k < 4; k++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hash_hard(uint64_t seed, const void *bytes, size_t n)
{
	return sip(seed, 0, bytes, n);
}

uint64_t
hash_secret(const void *bytes, size_t n)
{
	static const void *random; /* of this exec's own */
	uint64_t key[2];

	if (!random)
		random = (const void *)getauxval(AT_RANDOM);
	memcpy(key, random, sizeof key);
	return sip(key[0], key[1], bytes, n);
}

/* ---- the table ---- */

/* Where in the index key is, or the empty place where it would go. */
static uint32_t *
place_of(const struct map *m, const char *key, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	for (; m->index[i]; i = (i + 1) & (m->cap - 1)) {
		const struct map_slot *s = &m->at[m->index[i] - 1];

		if (s->hash == hash && !strcmp(s->key, key))
			break;
	}
	return &m->index[i];
}

static size_t
room(const struct map *m)
{
	return m->cap / 4 * 3;
}

/* Without the holes, and twice as large where these are few. */
static void
map_grow(struct map *m)
{
	size_t cap = !m->cap ? 16 : m->n > room(m) / 2 ? m->cap * 2 : m->cap, n = 0;
	struct map_slot *at = xcalloc(cap / 4 * 3, sizeof *at);

	for (size_t i = 0; i < m->used; i++)
		if (m->at[i].key)
			at[n++] = m->at[i];
	free(m->at);
	free(m->index);
	*m = (struct map){ at, xcalloc(cap, sizeof *m->index), m->n, n, cap };
	for (size_t i = 0; i < n; i++)
		*place_of(m, at[i].key, at[i].hash) = (uint32_t)i + 1;
}

void *
map_get(const struct map *m, const char *key)
{
	uint32_t at = m->n ? *place_of(m, key, hash_secret(key, strlen(key))) : 0;

	return at ? m->at[at - 1].value : NULL;
}

void *
map_put(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_secret(key, strlen(key));
	uint32_t *place = m->cap ? place_of(m, key, hash) : NULL;
	void *was;

	if (place && *place) {
		was = m->at[*place - 1].value;
		m->at[*place - 1].value = value;
		return was;
	}
	if (!place || m->used == room(m)) {
		map_grow(m);
		place = place_of(m, key, hash);
	}
	m->at[m->used++] = (struct map_slot){ xstrdup(key), hash, value };
	*place = (uint32_t)m->used;
	m->n++;
	return NULL;
}

/* Close the hole: move back whoever was pushed past it. */
static void
index_close(struct map *m, size_t hole)
{
	size_t i = hole, home;

	for (;;) {
		i = (i + 1) & (m->cap - 1);
		if (!m->index[i])
			break;
		home = m->at[m->index[i] - 1].hash & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->index[hole] = m->index[i];
			hole = i;
		}
	}
	m->index[hole] = 0;
}

void *
map_del(struct map *m, const char *key)
{
	uint32_t *place = m->n ? place_of(m, key, hash_secret(key, strlen(key))) : NULL;
	struct map_slot *s;
	void *was;

	if (!place || !*place)
		return NULL;
	s = &m->at[*place - 1];
	was = s->value;
	index_close(m, (size_t)(place - m->index));
	free(s->key);
	*s = (struct map_slot){ 0 };
	if (--m->n == 0)
		m->used = 0;
	return was;
}

void
map_done(struct map *m)
{
	for (size_t i = 0; i < m->used; i++)
		free(m->at[i].key);
	free(m->at);
	free(m->index);
	*m = (struct map){ 0 };
}

struct map_slot *
map_next(const struct map *m, const struct map_slot *s)
{
	size_t i = s ? (size_t)(s - m->at) + 1 : 0;

	for (; i < m->used; i++)
		if (m->at[i].key)
			return &m->at[i];
	return NULL;
}

struct map_slot *
map_first(const struct map *m)
{
	return map_next(m, NULL);
}

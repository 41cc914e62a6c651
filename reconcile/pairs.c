/* pairs.c -- sorted string maps, and int-or-percent. */
#include "base/arena.h"
#include "schema.h"
#include <stdlib.h>
#include <string.h>

/* Where key is, or would be. */
static size_t
place(const struct pairs *p, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = p->n;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = strcmp(p->at[mid].key, key);

		if (!d) {
			*ret_found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const char *
pairs_get(const struct pairs *p, const char *key)
{
	bool found;
	size_t i = p ? place(p, key, &found) : 0;

	return p && found ? p->at[i].value : NULL;
}

bool
pairs_equal(const struct pairs *a, const struct pairs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->at[i].key, b->at[i].key) ||
		    strcmp(a->at[i].value, b->at[i].value))
			return false;
	return true;
}

void
pairs_set(struct pairs *p, const char *key, const char *value, struct arena *a)
{
	bool found;
	size_t i = place(p, key, &found);
	struct pair *at;

	if (found) {
		p->at[i].value = arena_strdup(a, value);
		return;
	}
	at = arena_alloc(a, (p->n + 1) * sizeof *at);
	if (p->n) {
		memcpy(at, p->at, i * sizeof *at);
		memcpy(at + i + 1, p->at + i, (p->n - i) * sizeof *at);
	}
	at[i] = (struct pair){ arena_strdup(a, key), arena_strdup(a, value) };
	p->at = at;
	p->n++;
}

void
pairs_del(struct pairs *p, const char *key)
{
	bool found;
	size_t i = place(p, key, &found);

	if (!found)
		return;
	p->n--;
	memmove(p->at + i, p->at + i + 1, (p->n - i) * sizeof *p->at);
}

int64_t
iors_of(struct iors v, int64_t total, bool round_up)
{
	size_t n = v.s ? strlen(v.s) : 0;
	__int128 x;

	if (!v.s)
		return v.i;
	if (!n || v.s[n - 1] != '%')
		return 0;
	x = (__int128)strtoll(v.s, NULL, 10) * total;
	x = round_up ? (x + 99) / 100 : x / 100;
	return x > INT64_MAX ? INT64_MAX : (int64_t)x;
}

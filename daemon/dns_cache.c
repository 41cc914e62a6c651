/* dns_cache.c -- see dns_cache.h.  A table of chains, and one list by age of use. */
#include "dns_cache.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/map.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	TTL_MAX = 3600,     /* seconds that an answer is kept */
	TTL_NONE_MAX = 300, /* that a negative one is */
	BYTES_EACH = 512,   /* a bucket for so many of the bound */
};

struct entry {
	struct entry *next; /* in its bucket */
	struct entry *newer, *older;
	struct dns_key key;
	uint64_t hash;
	int64_t since, until; /* ms */
	size_t n;
	uint8_t msg[];
};

struct dns_cache {
	struct entry **at;
	size_t cap, bytes, max;
	uint64_t seed;
	struct entry ends; /* .newer: the oldest; .older: the newest */
};

struct dns_cache *
dns_cache_new(size_t max_bytes, uint64_t seed)
{
	struct dns_cache *c = xcalloc(1, sizeof *c);

	c->cap = 64;
	while (c->cap < max_bytes / BYTES_EACH)
		c->cap *= 2;
	c->at = xcalloc(c->cap, sizeof(struct entry *));
	c->max = max_bytes;
	c->seed = seed;
	c->ends.newer = c->ends.older = &c->ends;
	return c;
}

uint64_t
dns_key_hash(const struct dns_key *k, uint64_t seed)
{
	return hash_hard(seed ^ k->type, k->name.at, k->name.len);
}

bool
dns_key_same(const struct dns_key *a, const struct dns_key *b)
{
	return a->type == b->type && a->edns == b->edns && a->dnssec == b->dnssec &&
	       a->unchecked == b->unchecked && a->tcp == b->tcp && a->name.len == b->name.len &&
	       !memcmp(a->name.at, b->name.at, a->name.len);
}

static struct entry **
find(struct dns_cache *c, const struct dns_key *k, uint64_t h)
{
	struct entry **at = &c->at[h & (c->cap - 1)];

	while (*at && ((*at)->hash != h || !dns_key_same(&(*at)->key, k)))
		at = &(*at)->next;
	return at;
}

static void
unlink_age(struct entry *x)
{
	x->newer->older = x->older;
	x->older->newer = x->newer;
}

static void
link_newest(struct dns_cache *c, struct entry *x)
{
	x->newer = &c->ends;
	x->older = c->ends.older;
	x->older->newer = x;
	c->ends.older = x;
}

static void
drop(struct dns_cache *c, struct entry **at)
{
	struct entry *x = *at;

	assert(x); /* what the list of ages holds, a bucket holds */
	*at = x->next;
	unlink_age(x);
	c->bytes -= sizeof *x + x->n;
	free(x);
}

/* OPT has no TTL where others have one. */
static void
ttls_lower(uint8_t *msg, size_t n, uint32_t by)
{
	size_t at = DNS_HEAD;
	struct dns_record r;

	at = dns_name_skip(msg, n, at) + 4;
	while (at < n && (at = dns_record_read(msg, n, at, &r)))
		if (r.type != DNS_TYPE_OPT)
			dns_put32(msg + r.ttl_at, r.ttl > by ? r.ttl - by : 0);
}

size_t
dns_cache_get(struct dns_cache *c, const struct dns_key *k, int64_t now, uint8_t *to)
{
	struct entry **at = find(c, k, dns_key_hash(k, c->seed)), *x = *at;

	if (!x)
		return 0;
	if (now >= x->until) {
		drop(c, at);
		return 0;
	}
	unlink_age(x);
	link_newest(c, x);
	memcpy(to, x->msg, x->n);
	ttls_lower(to, x->n, (uint32_t)((now - x->since) / 1000));
	return x->n;
}

/* A TTL of 2^31 and more is none at all (RFC 2181, 8). */
static uint32_t
seconds(uint32_t ttl)
{
	return ttl > INT32_MAX ? 0 : ttl;
}

/* Seconds; 0: it is not to be kept. */
static uint32_t
ttl_of(const uint8_t *msg, size_t n)
{
	unsigned rcode = msg[3] & 15, answers = dns_get16(msg + 6), sections = answers;
	uint32_t ttl = TTL_MAX, none = 0, its;
	size_t at = dns_name_skip(msg, n, DNS_HEAD) + 4;
	struct dns_record r;

	sections += dns_get16(msg + 8);
	if ((rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) || dns_get16(msg + 2) & DNS_TC)
		return 0;
	for (unsigned i = 0; at < n && (at = dns_record_read(msg, n, at, &r)); i++) {
		if (r.type == DNS_TYPE_OPT)
			continue;
		its = seconds(r.ttl);
		ttl = its < ttl ? its : ttl;
		if (i >= answers && i < sections && r.type == DNS_SOA && r.size >= 20) {
			uint32_t least = seconds(dns_get32(msg + r.data + r.size - 4));

			none = its < least ? its : least;
			none = none < TTL_NONE_MAX ? none : TTL_NONE_MAX;
		}
	}
	if (rcode == DNS_NXDOMAIN || !answers)
		return none < ttl ? none : ttl;
	return ttl;
}

void
dns_cache_put(struct dns_cache *c, const struct dns_key *k, int64_t now, const uint8_t *msg,
	      size_t n)
{
	uint64_t h = dns_key_hash(k, c->seed);
	uint32_t ttl = ttl_of(msg, n);
	struct entry **at = find(c, k, h), *x;

	if (*at)
		drop(c, at);
	if (!ttl || sizeof *x + n > c->max / 4)
		return;
	while (c->bytes + sizeof *x + n > c->max) {
		struct entry *oldest = c->ends.newer;

		drop(c, find(c, &oldest->key, oldest->hash));
	}
	x = xmalloc(sizeof *x + n);
	*x = (struct entry){
		.key = *k, .hash = h, .since = now, .until = now + (int64_t)ttl * 1000, .n = n
	};
	memcpy(x->msg, msg, n);
	at = &c->at[h & (c->cap - 1)];
	x->next = *at;
	*at = x;
	link_newest(c, x);
	c->bytes += sizeof *x + n;
}

size_t
dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}

void
dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	while (c->ends.newer != &c->ends)
		drop(c, find(c, &c->ends.newer->key, c->ends.newer->hash));
	free(c->at);
	free(c);
}

/* dns_cache.h -- what others answered, as long as it holds, within a bound of bytes.
 *
 * Answers are kept as they came.  The one that nobody asked for longest goes
 * first.  Only what could be checked goes in (dns_upstream.h).
 */
#ifndef KEDGE_DNS_CACHE_H
#define KEDGE_DNS_CACHE_H
#include "dns_msg.h"

/* What tells questions apart for others. */
struct dns_key {
	struct dns_name name;
	uint16_t type;
	bool edns, dnssec, unchecked, tcp; /* unchecked: CD; tcp: asked of others over TCP */
};

struct dns_cache;

struct dns_cache *dns_cache_new(size_t max_bytes, uint64_t seed);
void dns_cache_free(struct dns_cache *);
/* Copies an answer that still holds, its TTLs less by its age; 0: there is none.  `to` has
 * DNS_TCP_MAX bytes. */
size_t dns_cache_get(struct dns_cache *, const struct dns_key *, int64_t now_ms, uint8_t *to);
/* As long as its records say (a negative one: RFC 2308), an hour at most. */
void dns_cache_put(struct dns_cache *, const struct dns_key *, int64_t now_ms,
		   const uint8_t *msg, size_t n);
size_t dns_cache_bytes(const struct dns_cache *);
bool dns_key_same(const struct dns_key *, const struct dns_key *);
uint64_t dns_key_hash(const struct dns_key *, uint64_t seed);
#endif

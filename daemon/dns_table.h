/* dns_table.h -- the cluster's names in memory, as the server answers from them.
 *
 * Filled from the zone's parts (reconcile/dns.h).  Each name has its records by
 * type, ready to be copied behind a question: owner (a pointer to the question),
 * type, class, TTL and data.  Looking up and answering allocate nothing.
 *
 * A part takes the place of the one before under its key at once.  Names above a record's
 * exist, too (empty non-terminals).
 */
#ifndef KEDGE_DNS_TABLE_H
#define KEDGE_DNS_TABLE_H
#include "../reconcile/base/addr.h"
#include "../reconcile/base/map.h"
#include "dns_msg.h"

struct dns_part_set;
struct error;

/* Records of one type of one name, from one part. */
struct dns_records {
	const struct dns_part_set *by;
	uint16_t type, n;
	uint32_t size; /* bytes of all */
	uint8_t *at;   /* n records */
};

struct dns_node {
	uint64_t hash;
	uint32_t below;  /* names directly under it */
	uint32_t exists; /* how many parts say so */
	uint32_t pods;   /* how many parts say that A-B-C-D below it are addresses */
	uint32_t n;
	struct dns_records *records;
	uint8_t len; /* of the name */
	uint8_t name[];
};

enum { DNS_RANGES = 4 };

struct dns_table {
	struct dns_name zone;
	struct addr_range ranges[DNS_RANGES]; /* whose addresses only we have names for; bits 0:
						 none */
	uint32_t ttl;
	uint64_t seed;
	struct dns_node **at; /* open addressing; cap is a power of two */
	size_t n, cap;
	struct map parts; /* key -> struct dns_part_set */
	unsigned round;   /* of dns_table_begin */
};

/* zone: "cluster.local". */
void dns_table_init(struct dns_table *, const struct dns_name *zone, uint32_t ttl,
		    uint64_t seed);
void dns_table_done(struct dns_table *);
/* `text`: lines as dns.h has them; WHY_INVALID when some are not, and then all others are put.
 */
int dns_table_put(struct dns_table *, const char *key, const char *text, struct error **);
void dns_table_drop(struct dns_table *, const char *key);
/* From here on all is told anew; what was not by the end goes. */
void dns_table_begin(struct dns_table *);
void dns_table_end(struct dns_table *);
const struct dns_node *dns_table_find(const struct dns_table *, const uint8_t *name,
				      size_t len); /* or NULL */
#endif

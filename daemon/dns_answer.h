/* dns_answer.h -- a query in, an answer out: the cluster's names by the table, and nothing
 * else.
 *
 * Pure but for `turn`, which moves a name's addresses round so that clients that
 * take the first one spread.  No allocation; the work for a packet is bounded by
 * its own length and the length of the answer.
 */
#ifndef KEDGE_DNS_ANSWER_H
#define KEDGE_DNS_ANSWER_H
#include "dns_table.h"

enum dns_outcome {
	DNS_SILENCE,   /* nothing is to be sent */
	DNS_ANSWERED,  /* the answer is in `out` */
	DNS_ELSEWHERE, /* it is no name of ours: ask `name` of others */
	DNS_CHASE,     /* the answer in `out` ends in a CNAME to `name`, which others know */
};

struct dns_reply {
	enum dns_outcome outcome;
	struct dns_query query;
	struct dns_name name; /* for ELSEWHERE and CHASE */
	size_t len;           /* in `out` */
	size_t limit;         /* bytes that the client takes */
};

/* `out` has DNS_TCP_MAX bytes, or DNS_UDP_MAX where it is not over TCP. */
void dns_answer(const struct dns_table *, unsigned turn, const uint8_t *msg, size_t n, bool tcp,
		uint8_t *out, struct dns_reply *ret);
/* An answer of that rcode and nothing else; to a query as read. */
size_t dns_answer_error(const struct dns_query *, const uint8_t *msg, int rcode, uint8_t *out);
/* With the OPT record that who sent one gets back. */
size_t dns_answer_opt(const struct dns_query *, int rcode, uint8_t *out, size_t len);
#endif

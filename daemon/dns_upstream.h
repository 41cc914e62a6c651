/* dns_upstream.h -- what is said to other servers, and what of theirs is believed.
 *
 * Pure.  An answer counts when it has the number and the very question that was
 * sent, with each letter in the case that was chosen by lot for it (0x20); that it
 * came from the right address and to the right port is the socket's work.
 */
#ifndef KEDGE_DNS_UPSTREAM_H
#define KEDGE_DNS_UPSTREAM_H
#include "dns_answer.h"
#include "dns_cache.h"

enum { DNS_ASK_MAX = DNS_HEAD + DNS_NAME + 4 + DNS_OPT };

/* Writes the question, its letters' cases by the bits of `lot`; returns its length. */
size_t dns_ask_write(const struct dns_key *, uint16_t id, const uint8_t lot[DNS_NAME / 8 + 1],
		     uint8_t to[static DNS_ASK_MAX]);

enum dns_belief {
	DNS_GOOD,    /* it is the answer, and sound throughout */
	DNS_STRANGE, /* not to what was asked: whoever sent it, wait for the right one */
	DNS_FOLDED,  /* all is right but the letters' cases: ask again where nobody can forge */
	DNS_BROKEN,  /* ours, but no message */
};
enum dns_belief dns_belief(const uint8_t *ask, size_t ask_n, const uint8_t *msg, size_t n);

/* `msg` (of another server, in a buffer of DNS_TCP_MAX bytes) as the client gets it: its
 * number, its question's letters, and no longer than it takes.  Returns the length. */
size_t dns_fit(const struct dns_reply *, const uint8_t *client, uint8_t *msg, size_t n);
/* Behind a CNAME in `out` of `r->len` bytes, what `msg` knows of the name it leads to.  The new
 * length, never more than r->limit; 0: `msg` is unreadable.  By ldns, since names have to be
 * written anew. */
size_t dns_chase(const struct dns_reply *, uint8_t *out, const uint8_t *msg, size_t n);
#endif

/* nfm.h -- netlink messages of nf_tables in a buffer that grows.  Places are offsets. */
#ifndef KEDGE_NFM_H
#define KEDGE_NFM_H
#include "reconcile/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct nfm {
	struct buf *out;
	size_t msg;    /* the open message */
	uint32_t line; /* its nlmsg_seq */
	uint32_t ids;  /* of sets, in this transaction */
	bool v6;       /* of the table of IPv6 */
};
uint8_t nfm_family(const struct nfm *);

/* The former one ends here. */
void nfm_begin(struct nfm *, uint16_t type, uint16_t flags, uint8_t family, uint16_t res);
void nfm_end(struct nfm *);
void nfm_put(struct nfm *, uint16_t type, const void *, size_t);
#define NFM_FULL 60000 /* a list of elements has to fit into an attribute */
void nfm_put32(struct nfm *, uint16_t type, uint32_t); /* in network order */
/* `n` bytes of text, and a NUL. */
void nfm_text(struct nfm *, uint16_t type, const char *, size_t n);
size_t nfm_nest(struct nfm *, uint16_t type);
void nfm_close(struct nfm *, size_t nest);

/* nft_expr.c: a rule's words as its expressions, in the nest they belong to.  A map of no name
 * is messages before the rule's own, so it is asked for first; its id is w->ids. */
void nft_expr_maps(struct nfm *, const char *table, const char *rule);
void nft_expr_put(struct nfm *, const char *rule);
#endif

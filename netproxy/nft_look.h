/* nft_look.h -- what the kernel has of the table KDG-nat, read without a process. */
#ifndef KEDGE_NFT_LOOK_H
#define KEDGE_NFT_LOOK_H
#include "nl.h"
#include "reconcile/base/addr.h"

struct error;
struct nft_seen_table {
	unsigned rules, elements;
};
/* `table` as the kernel names it, of one family; one that is not there has none of either. */
int nft_look(struct nl *, const char *table, bool v6, struct nft_seen_table *ret,
	     struct error **);
/* Has this set of addresses this one?  On a socket of its own, so nobody has to wait. */
bool nft_has(const char *table, const char *set, addr ip, bool v6);
/* The addresses that a set remembers, and until when; of one that is not there none. */
int nft_each(struct nl *, const char *table, bool v6, const char *set,
	     void (*fn)(void *ctx, addr ip, unsigned timeout_s, unsigned left_s), void *ctx,
	     struct error **);
/* Differs from its last value when anybody changed anything in nf_tables. */
int nft_print(struct nl *, uint64_t *ret, struct error **);
int nft_remove(const char *table, bool v6, struct error **); /* absent is fine */
#endif

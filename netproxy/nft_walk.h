/* nft_walk.h -- the way of a new connection through the table of nft.h.  Pure. */
#ifndef KEDGE_NFT_WALK_H
#define KEDGE_NFT_WALK_H
#include "rules.h"

struct nft_packet {
	addr from, to;
	uint8_t proto;
	uint16_t port;
	bool from_local, to_local; /* an address of the host */
	bool translated, outside;  /* for post: to an endpoint; out by the bridge */
	uint32_t mark;
};

/* A table, whoever has it. */
struct nft_table {
	void *ctx;
	bool v6;
	/* ep, "10.43.0.1 . tcp . 80 . 0": appends "10.42.0.2 . 8080"; false: there is none.  Of
	 * the set self, whether it is there. */
	bool (*element)(void *ctx, const char *map, const char *key, struct buf *to);
	/* Appends a chain's rules, a line each. */
	void (*rules)(void *ctx, const char *chain, struct buf *to);
	/* Has the set this address? */
	bool (*has)(void *ctx, const char *set, addr ip);
};

/* From the chain d, or post, on: adds the rules and elements that match, and the ends with
 * their marks, to `way`; returns what share of such connections goes on as it was. */
double nft_walk(const struct nft_table *, const struct nft_packet *, const char *chain,
		struct np_way *way);
#endif

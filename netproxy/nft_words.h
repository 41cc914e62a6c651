/* nft_words.h -- what nft.c and nft_change.c agree on; nobody else sees it. */
#ifndef KEDGE_NFT_WORDS_H
#define KEDGE_NFT_WORDS_H
#include "nft.h"

#define NFT_NAME 48  /* of a chain */
#define NFT_KEY  128 /* "fd43::80 . tcp . 80" */

/* What differs between the families. */
struct nft_words {
	const char *in; /* what follows the kind of an object */
	const char *ip, *type, *loopback;
};
extern const struct nft_words nft_words[2];

/* Slots are in a map for each protocol, for nft takes a map of ports to be of one. */
struct nft_slots {
	char kind; /* its shapes' letter */
	bool port; /* by port alone, for node ports */
	uint8_t proto;
	const char *map;
};
enum { NFT_KINDS = 6 };
extern const struct nft_slots nft_slots[NFT_KINDS];
#endif

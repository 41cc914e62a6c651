/* trace_nft.h -- nft_walk over what was committed; for trace.c. */
#ifndef KEDGE_TRACE_NFT_H
#define KEDGE_TRACE_NFT_H
#include "nft_walk.h"
#include "np.h"

void trace_nft(const struct np *, const struct nft_packet *, const char *chain,
	       struct np_way *);
#endif

/* nft_wire.h -- a transaction of nft.h as messages of netlink.  Pure: same text, same bytes.
 *
 * The program nft takes ten times as long to read its text as the kernel to do what it says.
 * This reads the words that nft.c writes and no others (it aborts on them), and says to the
 * kernel what nft would: to nft, what it lists is its own.
 */
#ifndef KEDGE_NFT_WIRE_H
#define KEDGE_NFT_WIRE_H
#include "nft.h"

/* Whole messages, from NFNL_MSG_BATCH_BEGIN to its end, of a transaction that ended; elements
 * go to `table`, all else where its text says.  nlmsg_seq is the number, from 1, of the line
 * of nft_change_print that a message begins with.  Elements of one map are one message, as many
 * as have room. */
void nft_wire(const struct nft_change *, const char *table, struct buf *to);
#endif

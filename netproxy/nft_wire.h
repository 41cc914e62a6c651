/* nft_wire.h -- nft's text as one transaction of netlink.  Pure: same text, same bytes.
 *
 * The program nft takes ten times as long to read its text as the kernel to do what it says.
 * This reads the words that nft.c writes and no others (it aborts on them), and says to the
 * kernel what nft would: to nft, what it lists is its own.
 */
#ifndef KEDGE_NFT_WIRE_H
#define KEDGE_NFT_WIRE_H
#include "reconcile/base/buf.h"

/* Whole messages, from NFNL_MSG_BATCH_BEGIN to its end; nlmsg_seq is the number, from 1, of
 * the line that a message begins with.  Elements of one map in lines after one another are
 * one message. */
void nft_wire(const char *text, struct buf *to);
#endif

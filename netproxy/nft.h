/* nft.h -- services as elements of nftables maps.  Pure: same model, same text.
 *
 * In a table of its own for each family, KDG-nat; filter, and with it refusals and network
 * policies, stays with iptables, which sees packets after the translation in either case.
 *
 *   pre, out (nat hooks, before iptables' own) -> d
 *     address . protocol . port           vmap @addr   VIPs, outer addresses, node ports of
 *                                                      one address
 *     to one of our addresses:
 *                protocol . port          vmap @port   node ports
 *   The verdict is a chain that all services of the same shape share, by the number of their
 *   endpoints, so that each gets an even share whatever the number is:
 *     n-3      DNAT to address . protocol . port . (random of 3) in @ep
 *     kn-2     the same, of the 2 endpoints of this host, whose slots begin at 65536
 *     xn-3     mark, then n-3
 *     ln-3-2   pods and the host itself n-3; others kn-2 (ln-3-0: nobody serves them)
 *     p-3, kp-2, xp-3, lp-3-2   by protocol . port . slot in @pep, for node ports
 *     u and v for UDP, m and q for SCTP, likewise, in maps of their own
 *   Affinity and sources need chains of the service: s-H, t-H (of this host), x-H (entry),
 *   g-H (gate), and e-H with the set a-H for an endpoint.
 *   post: what came back to its own sender (@self), what is marked, what leaves the host.
 */
#ifndef KEDGE_NETPROXY_NFT_H
#define KEDGE_NETPROXY_NFT_H
#include "reconcile/base/map.h"
#include "rules.h"

#define NFT_TABLE "KDG-nat"
#define NFT_LEAST 1024 /* elements that a map has room for, at least */

/* Puts a service's endpoints, each once, in the order of their slots: of those that `was` had
 * (NULL: nobody) as many as can keep theirs, so that who comes or goes is one element. */
void nft_settle(struct np_endpoint *, size_t *n, const struct np_service *was);

/* What one service, of settled endpoints, has, as one "chain" of RULES_NAT: lines "e MAP KEY :
 * VALUE", "s SET", "c CHAIN", "r CHAIN RULE". */
void nft_service(const struct rules_net *, const struct np_service *, struct chains *);

/* The rules, a line each, of a chain that is no service's own. */
void nft_chain_rules(const struct rules_net *, const char *chain, struct buf *to);

/* Elements of maps in such lines, of which @self is none, and rules. */
void nft_count(const char *lines, unsigned *elements, unsigned *rules);
/* Rules of the chains that are no service's own. */
unsigned nft_shared_rules(const struct rules_net *, const struct map *shapes);

enum { NFT_MAPS = 9 };
/* One transaction being gathered.  Zero at first; nft_text_done frees it. */
struct nft_text {
	struct buf gone[NFT_MAPS], made, rules, put[NFT_MAPS], last; /* in this order */
	struct map *shapes; /* the caller's: shared chains there are */
	struct map keys;    /* entrances of this text, for a load, and of @self */
	bool v6;            /* of the table of IPv6 */
	bool whole;         /* a load: the table begins anew */
	bool taken;         /* the last entrance is another's, so its slots are as well */
	unsigned twice;     /* elements that two services claim; the first has it */
	unsigned loaded[NFT_MAPS]; /* put into each */
	unsigned put_n, gone_n;    /* elements of maps */
};
/* From what a service had to what it has; either may be NULL. */
void nft_text_change(struct nft_text *, const char *had, const char *has);
/* An affinity that a load has to keep, in a set that it makes. */
void nft_text_keep(struct nft_text *, const char *set, addr ip, unsigned timeout_s,
		   unsigned left_s);
/* The input of nft; empty when nothing changes. */
void nft_text_end(struct nft_text *, const struct rules_net *, struct buf *to);
void nft_text_done(struct nft_text *);
#endif

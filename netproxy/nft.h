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
#define NFT_LEAST 1024  /* elements that a map has room for, at least */
#define NFT_SLOTS 65536 /* of a service's endpoints, at most; behind them are this host's */

/* Puts a service's endpoints, each once, in the order of their slots: of those that `was` had
 * (NULL: nobody) as many as can keep theirs, so that who comes or goes is one element. */
void nft_settle(struct np_endpoint *, size_t *n, const struct np_service *was);

#define NFT_COMMENT 127 /* nft takes no longer one back */

/* What one service, of settled endpoints, has, as one "chain" of RULES_NAT: lines "e MAP KEY :
 * VALUE", "e MAP KEY : goto CHAIN "COMMENT"", "e self KEY", "s SET", "c CHAIN", "r CHAIN RULE".
 */
void nft_service(const struct rules_net *, const struct np_service *, struct chains *);

/* The rules, a line each, of a chain that is no service's own. */
void nft_chain_rules(const struct rules_net *, const char *chain, struct buf *to);

/* Elements of maps in such lines, of which @self is none, and rules. */
void nft_count(const char *lines, unsigned *elements, unsigned *rules);
/* Rules of the chains that are no service's own. */
unsigned nft_shared_rules(const struct rules_net *, const struct map *shapes);

enum { NFT_ADDR, NFT_PORT, NFT_SELF, NFT_MAPS = 9 };
extern const char *const nft_maps[NFT_MAPS];

/* Of such a line from the key on, what nft has between the braces; gone: what names it. */
void nft_element_print(const char *key, bool gone, struct buf *to);

/* Lines of elements, from the key on.  They are borrowed. */
struct nft_lines {
	const char **at;
	size_t n;
};

/* One transaction being gathered.  Zero at first; nft_change_done frees it.  What services had
 * and have is to stay until then. */
struct nft_change {
	/* In this order, once it ended: */
	struct nft_lines gone[NFT_MAPS];
	struct buf rules; /* "VERB OBJECT FAMILY TABLE NAME ...\n", as nft reads it */
	struct nft_lines put[NFT_MAPS];
	struct buf last; /* as rules */

	struct buf made;        /* sets and chains; of `rules` at the end */
	struct map *shapes;     /* the caller's: shared chains there are */
	struct map keys;        /* entrances of this text, for a load, and of @self */
	bool v6;                /* of the table of IPv6 */
	bool whole;             /* a load: the table begins anew */
	bool taken;             /* the last entrance is another's, so its slots are as well */
	unsigned twice;         /* elements that two services claim; the first has it */
	unsigned put_n, gone_n; /* elements of maps */
};
/* From what a service had to what it has; either may be NULL. */
void nft_change_add(struct nft_change *, const char *had, const char *has);
/* An affinity that a load has to keep, in a set that it makes. */
void nft_change_keep(struct nft_change *, const char *set, addr ip, unsigned timeout_s,
		     unsigned left_s);
/* All was told.  false: nothing changes. */
bool nft_change_end(struct nft_change *, const struct rules_net *);
/* Of one that ended, the input of nft. */
void nft_change_print(const struct nft_change *, struct buf *to);
void nft_change_done(struct nft_change *);
/* create: what another service has already is no element to share. */
bool nft_change_creates(const struct nft_change *, size_t map);
#endif

/* rules.h -- from services to iptables text.  Pure: same model, same text.
 *
 *   nat     PREROUTING, OUTPUT -> KDG-D
 *             to the service range?         -> KDG-V...   (tree by address, 2 bits a level)
 *             to an outer address?          -> KDG-Y...   (tree by address)
 *             to one of our addresses?      -> KDG-N...   (tree by port)
 *           Leaves name a service:
 *             inside   -> KDG-S-h, or KDG-L-h where only endpoints of this host may serve
 *             outside  -> KDG-X-h: mark, then S; or, for those of this host only, L, after
 *                         pods and the host itself were sent to S
 *             to the balancer's address, for some sources only -> KDG-G-h: source? -> X
 *           KDG-S-h, KDG-L-h: affinity, then DNAT to a fair share each;
 *             above 16 endpoints through groups -> KDG-T-h-g (of L: KDG-U-h-g)
 *           KDG-E-h: where a client is remembered, an endpoint's own DNAT; without xt_bpf for
 *             every endpoint: from itself? mark
 *           POSTROUTING -> KDG-P: marked, an endpoint sent to itself, or a pod's packet leaving
 *             the host: MASQUERADE
 *   filter  FORWARD -> KDG-F, INPUT -> KDG-I, OUTPUT -> KDG-O
 *             new, and still addressed to an entrance that is closed: -> KDG-B (by address),
 *             KDG-R (by node port): REJECT without endpoints, DROP without one of this host
 *             or from a source that may not come
 *             still addressed to the service range after nat: REJECT
 *
 * A service without endpoints is absent from the trees, so one rule rejects
 * for all of them; only its node port needs a rule of its own (KDG-R...).
 *
 * What begins a connection passes the network policies on its way: KDG-FP -> KDG-W (policy.h).
 *
 * Changing one endpoint changes at most the chain S and one T of its service (and one E): an
 * endpoint's group is a hash of its address, not its place.
 */
#ifndef KEDGE_NETPROXY_RULES_H
#define KEDGE_NETPROXY_RULES_H
#include "netproxy.h"
#include "reconcile/base/buf.h"

enum rules_table { RULES_NAT, RULES_FILTER, RULES_TABLES };
extern const char *const rules_tables[RULES_TABLES];

#define RULES_NAME 29 /* the longest name of a chain, with its NUL */
struct chain {
	enum rules_table table;
	char name[RULES_NAME];
	unsigned rules;  /* lines in body */
	struct buf body; /* "-A NAME ...\n" lines */
	bool may_end;    /* a transaction may: none up to here leads to one that follows */
};

struct chains {
	struct chain *at;
	size_t n, cap;
};
void chains_done(struct chains *);
/* The new chain is valid until the next one begins. */
struct chain *chain_begin(struct chains *, enum rules_table, const char *name);
void chain_rule(struct chain *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *rules_proto(uint8_t); /* "tcp", "udp", "sctp" */

/* The rules in chains that are not ours: `-A from -j to`, before all others. */
struct rules_jump {
	enum rules_table table;
	const char *from, *to;
};
#define RULES_JUMPS 6
extern const struct rules_jump rules_jumps[RULES_JUMPS];

#define RULES_PREFIX "KDG-"
#define RULES_CANARY "KDG-CANARY-1" /* 1: the layout's version */
#define RULES_MARK   0x4b00
#define RULES_FLAT   6  /* a tree's root is a plain list up to here, */
#define RULES_LEAF   4  /* another node up to here, */
#define RULES_STEP   2  /* else it asks for so many bits: 4 branches */
#define RULES_DEPTH  8  /* of nodes below a root: nf_tables refuses chains nested 17 deep */
#define RULES_GROUP  16 /* endpoints are tried one after another up to here */

struct rules_net {
	const char *bridge;
	struct addr_range pods, svcs;
	bool v6;         /* rules of ip6tables */
	uint32_t dns;    /* np_config's */
	bool no_recent;  /* the kernel lacks xt_recent: affinity is left out */
	bool no_bpf;     /* it lacks xt_bpf: pods' source addresses are not checked, and each
			    endpoint has a chain */
	bool no_sctp;    /* it lacks xt_sctp: such services are left out, policies admit no such
			    port */
	bool nft;        /* nat is in nftables (nft.h): of it there are only services here */
	unsigned turned; /* of link_knobs: noted for np_down */
};

extern const char *const rules_itself[2]; /* of IPv4, IPv6: the program for xt_bpf */
/* Text for a kernel in which our chains begin with another three letters. */
void rules_rename(struct buf *text, const char *chains);
/* What does not depend on services and leads to none of the rest. */
void rules_base(const struct rules_net *, struct chains *);
/* What leads to services: trees over those with endpoints, and the chains that the host's own
 * jump to.  Of `out`, which was empty, the first so many are trees, where none leads to one
 * before it; returns how many. */
size_t rules_dispatch(const struct rules_net *, const struct np_service *const *, size_t n,
		      struct chains *out);
/* Its protocol is not for this kernel: it has no rules. */
bool rules_leave_out(const struct rules_net *, const struct np_service *);
size_t rules_local(const struct np_service *); /* endpoints of this host */
/* One service's own chains; none when it has no endpoints. */
void rules_service(const struct rules_net *, const struct np_service *, struct chains *);
#endif

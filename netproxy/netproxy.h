/* netproxy.h -- the bridge, pods' links, and the service rules: the whole interface.
 *
 * Knows no Kubernetes.  Works in the network namespace of the caller.  Touches
 * only links and chains with its own prefix.  Addresses are in host order.
 *
 * A pod is known by its IPv4 address.  Where the pods have a range of IPv6 as well, its address
 * there is that range's with the IPv4 address as the last 32 bits: "fd42::10.42.0.5".
 */
#ifndef KEDGE_NETPROXY_H
#define KEDGE_NETPROXY_H
#include "reconcile/base/addr.h"

struct error;
struct np;

struct np_config {
	const char *bridge;             /* "kedge0" */
	struct addr_range pods, svcs;   /* 10.42.0.0/16, of which the bridge gets .1 */
	struct addr_range pods6, svcs6; /* bits 0: no IPv6 */
	uint32_t dns; /* the bridge gets this address of svcs too, for a server of names on
			 port 53 that pods and the host may ask, and nobody else; 0: none */
	const char *chains; /* three capitals that begin each chain's name; NULL: "KDG" */
	const char *owner;  /* the state folder, which tells one kedged from another in the
			       same network namespace; NULL: nobody is looked for */
	const char
	    *iptables_restore; /* NULL: found on PATH; it says itself whether legacy or nft */
	unsigned restore_seconds; /* then it is killed, and that commit has failed; 0: never */
	bool nft; /* services are elements of nftables' maps; else iptables has all */
};

struct np_endpoint {
	addr ip;
	uint16_t port;
	bool away; /* not on this host */
};
/* One port of a service, and its entrances.  Inside: the VIP.  Outside: the node port, the
 * outer addresses, the balancer's; who comes by these is answered through the host's own
 * address, unless only endpoints of this host serve them.  All addresses are of one family. */
struct np_service {
	const char *id; /* "default/web:http": one VIP port; [A-Za-z0-9._:/-]{1,200} */
	bool v6;
	addr vip;
	uint8_t proto;            /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t port, node_port; /* node_port 0: none */
	addr node_ip;             /* where node_port answers; 0: at every address of the host */
	uint16_t health_port; /* TCP: let in, whatever the rest of the firewall says; 0: none */
	unsigned affinity_s;  /* 0: none */
	bool local_only; /* outside: only endpoints of this host, and the client's address stays
			  */
	bool local_inside; /* inside: only endpoints of this host */
	const addr *outer; /* other addresses at which `port` answers */
	size_t nouter;
	addr balancer; /* one more, which is put on the link it belongs to; 0: none */
	const struct addr_range *sources; /* who may come by the balancer's; none: everybody */
	size_t nsources;
	const struct np_endpoint *endpoints; /* none: REJECT */
	size_t n;
};

/* WHY_CONFLICT when bridge, chains or ranges are another owner's.
 * Makes or adopts the bridge, the route of the service range, the base chains.
 * With `adopt`, rules that are already there keep serving until the first
 * np_commit, which replaces them all. */
int np_open(const struct np_config *, struct np **ret, struct error **);
void np_close(struct np *);                     /* everything stays */
const char *np_variant(const struct np *);      /* "legacy", "nf_tables" */
const char *const *np_lacks(const struct np *); /* sentences; NULL-terminated */
/* The default route's link's address, else the bridge's. */
uint32_t np_node_ip(struct np *);
addr np_node_ip6(struct np *); /* 0: no IPv6 */
/* Has the host this address of itself, not for a balancer? */
bool np_is_hosts(const struct np *, addr ip);

/* One veth pair: eth0 in the namespace, up, with address, default route via
 * the bridge; made with the peer already inside (no move, no grace period). */
int np_plug(struct np *, int netns, uint32_t ip, struct error **);
/* A link of no address yet in a namespace whose pod is yet to come, so that np_plug of that
 * namespace is quick; takes about a ms.  At most `most` are kept (at most 16), the newest:
 * the pods of older ones never came.  They go when this process ends. */
void np_ahead(struct np *, int netns, unsigned most);
/* The pod is gone: its link goes with its namespace, when the kernel has time for it. */
int np_forget(struct np *, uint32_t ip, struct error **);
int np_unplug(struct np *, uint32_t ip, struct error **); /* absent is fine */

/* Network policies.  A part says whom it admits, in one direction; an isolated pod names the
 * parts that are for it, and nobody else than those they admit reaches it (or is reached). */
struct np_block {
	struct addr_range net;
	const struct addr_range *except; /* of the same family */
	size_t n;
};
struct np_ports {
	uint8_t proto;   /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t lo, hi; /* lo 0: all; hi 0: lo alone */
};
struct np_rule {
	bool anyone;      /* whatever the peer's address; else pods and blocks */
	const addr *pods; /* their IPv4 addresses, in any order */
	size_t npods;
	const struct np_block *blocks;
	size_t nblocks;
	const struct np_ports *ports; /* of the destination; none: whatever protocol */
	size_t nports;
};
struct np_part {
	const char *id; /* "default/web:ingress"; [A-Za-z0-9._:/-]{1,512} */
	bool egress;
	const struct np_rule *rules; /* any of them admits */
	size_t n;
};
struct np_isolated {
	const char *id; /* "default/web-1" */
	addr ip;
	bool ingress, egress;
	const char *const *parts; /* ids; of those there are none of yet it admits nobody */
	size_t n;
};
/* Staged, as services are; in force with the same np_commit. */
int np_admit(struct np *, const struct np_part *, struct error **);
int np_isolate(struct np *, const struct np_isolated *, struct error **);
void np_admit_drop(struct np *, const char *id);
void np_isolate_drop(struct np *, const char *id);
/* Is this address isolated by rules that are in force? */
bool np_isolates(const struct np *, uint32_t pod);

/* Stage changes; nothing happens before np_commit. */
int np_set(struct np *, const struct np_service *, struct error **);
void np_drop(struct np *, const char *id);
/* Does this service have that node port already, in force or staged? */
bool np_has_node_port(const struct np *, const char *id, uint16_t port);
/* Begins to make the staged rules real: one iptables-restore with only the
 * changed chains, run as a child.  Poll np_fd, then call np_commit_end, which
 * says whether they are in force (then UDP flows of endpoints that went are
 * cut), or 1: the rules of the other family are on their way now, with another np_fd.  A
 * failed commit is tried once whole before it is an error; what was in force stays in
 * force.  One at a time. */
int np_commit(struct np *, struct error **);
int np_fd(const struct np *); /* -1 when no commit is under way */
int np_commit_end(struct np *, struct error **);

/* What the last commit wrote. */
struct np_wrote {
	unsigned chains, rules, removed;
	unsigned elements; /* of nftables' maps, put and taken away */
	bool whole;
};
struct np_wrote np_wrote(const struct np *);

/* Was this pod's link there at the last np_check?  If not, np_plug makes another. */
bool np_plugged(const struct np *, uint32_t ip);
/* Are our rules still there?  Puts the bridge, its ports, balancers' addresses and the host's
 * settings right itself.  Says in the log what somebody changed.  Cheap enough for every two
 * seconds; on false the next np_commit writes everything. */
int np_check(struct np *, bool *ret_intact, struct error **);
/* Of a pod that left the rules: how many TCP connections and UDP flows are with it still.  A
 * UDP flow that a service led there is ended, and finds another. */
int np_drain(struct np *, uint32_t ip, unsigned *ret, struct error **);
int np_flush_flows(struct np *, uint32_t ip, struct error **); /* after the pod is gone */
/* The way of a connection that nobody made: the rules it would match, as they were last
 * committed, and the endpoints that chance or affinity would choose from.  It is served when
 * one of them would be reached. */
enum np_verdict { NP_PASSED, NP_SERVED, NP_REFUSED, NP_DROPPED };
struct np_way {
	enum np_verdict verdict;
	bool masqueraded;
	struct np_step {
		const char *table;
		char *rule;
	} * steps;
	size_t nsteps;
	struct np_end {
		struct np_endpoint at;
		double share;            /* of 1 */
		enum np_verdict verdict; /* NP_SERVED, or why not */
		uint32_t mark;           /* of the packet on its way there */
	} * ends;
	size_t nends;
};
/* `from` 0: the host itself.  What is in `ret` is freed with np_way_done. */
void np_trace(const struct np *, addr from, addr to, uint8_t proto, uint16_t port,
	      struct np_way *ret);
void np_way_done(struct np_way *);
/* Flows that are translated to somebody: established TCP, UDP that was answered. */
struct np_flow {
	struct np_endpoint at;
	uint8_t proto;
	unsigned n;
	uint64_t bytes; /* both ways, of packets; 0 where the kernel does not count */
};
/* Does it count bytes (net.netfilter.nf_conntrack_acct)?  Flows from before have none. */
bool np_flow_bytes(const struct np *);
int np_flow_counts(struct np *, struct np_flow **ret, size_t *ret_n, struct error **);
/* Removes bridge, links, routes and chains: no trace. */
int np_down(const struct np_config *, struct error **);
#endif

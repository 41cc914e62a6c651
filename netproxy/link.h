/* link.h -- the bridge, the veth pairs and their addresses.
 *
 * A pod's address says everything else: the host end is "kdg" + the address in
 * hex, the pod's MAC 0a:4b + the address.  So nothing is remembered, and what
 * is found can be checked.
 *
 *   pod (own namespace)                        host
 *   eth0 10.42.0.5/32  ------- veth -------  kdg0a2a0005 -- kedge0 10.42.0.1/16
 *   default via 10.42.0.1 dev eth0 onlink                   10.43.0.0/16 dev kedge0
 *                                                           10.43.0.10 is the host's own (DNS)
 * and of IPv6 the same, each address the range's with that IPv4 address behind it
 *   eth0 fd42::a2a:5/128                                    kedge0 fd42::a2a:1/64
 *
 * The pod's address is a /32: every packet of a pod passes the host's rules,
 * also one to its neighbour, so that a service's answer finds its way back
 * through the translation whether br_netfilter is loaded or not.
 *
 * Neighbours are fixed on both sides and ports neither learn nor are flooded:
 * no ARP, no delay, nothing to spoof, and no router advertisement reaches a pod.  No link has
 * an IPv6 address of its own making, so there is none to detect a double of, and the kernel,
 * which sends redirects from that one alone, sends none.
 */
#ifndef KEDGE_LINK_H
#define KEDGE_LINK_H
#include "netproxy.h"
#include "nl.h"
#include "owner.h"
#include "reconcile/base/ipv4.h"
#include <sys/types.h>

struct link {
	struct nl nl;   /* rtnetlink in the host's namespace */
	int home;       /* that namespace */
	unsigned index; /* of the bridge */
	const char *bridge;
	uint32_t gateway; /* the bridge's address */
	struct addr_range pods, svcs;
	struct addr_range pods6, svcs6; /* np_config's */
	unsigned turned;                /* bit i: link_open turned link_knobs[i] */
	struct owner owner;
	char *said; /* by ranges_check, or NULL */
};

/* A veth pair in the namespace of a pod that is yet to come. */
struct link_ahead {
	ino_t ino;      /* of the namespace, which `pod` keeps */
	unsigned index; /* of the host's end */
	struct nl pod;  /* rtnetlink inside */
};
#define LINK_AHEAD "kdw%08x." /* begins their names; the gateway tells whose they are */

#define LINK_TEXT 16 /* room for an address or a link's name */

int link_open(struct link *, const struct np_config *, struct error **);
/* The bridge and all that is set of it, whatever of it is there. */
int link_remake(struct link *, const struct np_config *, struct error **);
/* The host's end of a pod's pair becomes a port of the bridge again. */
int link_port(struct link *, unsigned index, uint32_t ip, struct error **);
uint32_t link_pod(const struct np_config *, const char *name); /* its address; 0: no pod's */
void link_close(struct link *);
int link_plug(struct link *, int netns, uint32_t ip, struct error **);
int link_forget(struct link *, uint32_t ip, bool unplug, struct error **);
int link_ahead_make(struct link *, int netns, unsigned number, struct link_ahead *ret,
		    struct error **);
/* Gives it its address; on failure its link is gone.  To be dropped after it. */
int link_ahead_plug(struct link *, struct link_ahead *, uint32_t ip, struct error **);
void link_ahead_drop(struct link_ahead *);
uint32_t link_node_ip(const struct link *);
addr link_node_ip6(const struct link *); /* of a link with IPv6 */
/* A pod's IPv6 address, or the bridge's. */
addr link_ip6(const struct link *, uint32_t ip);
/* Did somebody of ours give the bridge IPv6? */
bool link_has_ip6(const char *bridge);
/* Removes the bridge and every link of ours that is left. */
int link_down(const struct np_config *, struct error **);
#endif

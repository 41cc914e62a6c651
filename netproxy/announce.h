/* announce.h -- balancers' addresses, put on the host's links.
 *
 * An address goes as a /32 or a /128 on the link whose network it belongs to, so that the
 * kernel answers for it, and is told to the neighbours (gratuitous ARP, an unsolicited
 * neighbour advertisement), who may know it from another host.  One that belongs to no link
 * goes on the bridge: a router may send it here.  What tells ours from others is on the address
 * itself, and nothing is remembered: of IPv4 the label ("eth0:kdg") or the bridge, of IPv6,
 * which has no labels, the metric of a route that is not made (noprefixroute).  What the host
 * has of itself is left alone.
 */
#ifndef KEDGE_ANNOUNCE_H
#define KEDGE_ANNOUNCE_H
#include "netproxy.h"
#include "nl.h"

/* Makes it be so, of one family; sorts `want`.  *ret_changed: how many were added or removed.
 */
int announce_sync(struct nl *, const struct np_config *, bool v6, addr *want, size_t n,
		  unsigned *ret_changed, struct error **);
/* Has the host this address of itself?  True also when that cannot be found out. */
bool announce_is_hosts(const struct np_config *, addr ip);
#endif

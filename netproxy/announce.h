/* announce.h -- balancers' addresses, put on the host's links.
 *
 * An address goes as a /32 on the link whose network it belongs to, so that the kernel
 * answers for it, and is told to the neighbours (gratuitous ARP), who may know it from
 * another host.  One that belongs to no link goes on the bridge: a router may send it here.
 * Labels ("eth0:kdg") and the bridge tell what is ours; nothing is remembered.  What the
 * host has of itself is left alone.
 */
#ifndef KEDGE_ANNOUNCE_H
#define KEDGE_ANNOUNCE_H
#include "netproxy.h"
#include "nl.h"

/* Makes it be so.  *ret_changed: how many were added or removed. */
int announce_sync(struct nl *, const struct np_config *, const uint32_t *want, size_t n,
		  unsigned *ret_changed, struct error **);
/* Has the host this address of itself?  True also when that cannot be found out. */
bool announce_is_hosts(const struct np_config *, uint32_t ip);
#endif

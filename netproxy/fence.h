/* fence.h -- no frame goes from one pod's port to another's.
 *
 * A pod with CAP_NET_RAW can address a frame to its neighbour's MAC, and the bridge
 * would deliver it past all rules.  One rule of nf_tables' bridge family, in a table
 * named after the bridge, drops what comes in by a pod's link and is for the MAC of
 * another; what is for the host's goes up to be routed.  It comes before br_netfilter,
 * which may bridge a translated packet to the pod it is now for: that one was for the
 * host.  (Ports that are isolated from one another would stop it.)
 *
 * The table stays when we end, as the other rules do.
 */
#ifndef KEDGE_FENCE_H
#define KEDGE_FENCE_H
#include "netproxy.h"
#include "nl.h"

int fence_put(struct nl *, const struct np_config *, struct error **); /* anew if it is there */
int fence_check(struct nl *, const struct np_config *, bool *ret_there, struct error **);
int fence_remove(const struct np_config *, struct error **); /* absent is fine */
#endif

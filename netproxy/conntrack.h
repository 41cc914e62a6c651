/* conntrack.h -- flows the kernel remembers although the rules have changed.
 *
 * A flow keeps the endpoint it was given at its first packet.  A TCP connection
 * should; a UDP flow lives as long as somebody sends, so after its endpoint has
 * gone it would be sent into the void for ever.
 */
#ifndef KEDGE_CONNTRACK_H
#define KEDGE_CONNTRACK_H
#include "netproxy.h"

/* Where UDP packets are sent to, and who may answer now. */
struct ct_target {
	addr ip; /* 0: any address of the host (a node port) */
	uint16_t port;
	const struct np_endpoint *at;
	size_t n; /* 0: nobody may */
};

bool conntrack_there(void); /* does this kernel let us ask at all? */
/* Deletes UDP flows, of the family of `pods`, to a target whose answers come from somebody
 * else.  With `svc`, also those to any address in it that is no target.  Sorts targets. */
int conntrack_cut(struct ct_target *, size_t n, struct addr_range pods,
		  const struct addr_range *svc, unsigned *ret_cut, struct error **);
/* Of a pod that no rule leads to any more: ends the UDP flows that one led there, so that they
 * find another, and counts what lives on: TCP connections, UDP of the last seconds. */
int conntrack_drain(addr ip, unsigned *ret, struct error **);
/* Of all flows of that family that were translated: by whom they are answered; added to *ret,
 * which is the caller's. */
int conntrack_by_endpoint(bool v6, struct np_flow **ret, size_t *ret_n, struct error **);
int conntrack_flush(addr ip, struct error **);
#endif

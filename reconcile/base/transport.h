/* transport.h -- the protocols that a service's port can be of. */
#ifndef KEDGE_TRANSPORT_H
#define KEDGE_TRANSPORT_H
#include <stddef.h>
#include <stdint.h>

struct transport {
	const char *name, *word; /* Kubernetes' and the rules': "TCP", "tcp" */
	uint8_t number;          /* IPPROTO_TCP */
};
enum { TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_SCTP, TRANSPORTS };
extern const struct transport transports[TRANSPORTS];

/* TCP for NULL and "", as Kubernetes has it, and for what is none of them. */
size_t transport_named(const char *name); /* its place in the table */
const struct transport *transport_numbered(uint8_t);
#endif

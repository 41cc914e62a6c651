/* service_claims.h -- for service.c: what a Service lacks, and what it could not have.  What
 * others ask of the claims is in service.h. */
#ifndef KEDGE_SERVICE_CLAIMS_H
#define KEDGE_SERVICE_CLAIMS_H
#include "service.h"

/* The lowest free address of this family; NULL when the range is full. */
const char *service_address_give(struct snapshot *, bool v6, struct arena *);
/* The lowest free node port of the port's protocol above the band of those who ask, then one of
 * the band; 0 when all are taken. */
int service_port_give(struct snapshot *, const struct service_port *);
/* Its health check node port as a port, in *to. */
const struct service_port *service_health_port(const struct service *, struct service_port *to);
/* Why it may not have the address that it names, or this node port, in the words of the API
 * server's repair loops; reason NULL: it has it, or names none. */
struct trouble service_address_trouble(struct snapshot *, const struct service *, bool v6,
				       struct arena *);
struct trouble service_port_trouble(struct snapshot *, const struct service *,
				    const struct service_port *, struct arena *);
#endif

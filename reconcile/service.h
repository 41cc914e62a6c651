/* service.h -- which service has which address and node port, across all of them. */
#ifndef KEDGE_SERVICE_H
#define KEDGE_SERVICE_H
#include "plan.h"
#include "snapshot.h"

/* Of two that claim the same, who came first has it: the older, then the lesser name. */
bool service_has_address(struct snapshot *, const struct service *);
bool service_has_port(struct snapshot *, const struct service *, const struct service_port *);
bool service_has_node_ports(const struct service *); /* NodePort, LoadBalancer */
/* Pods are chosen by labels: neither ExternalName nor without a selector. */
bool service_selects(const struct service *);

#define LABEL_SERVICE    "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#endif

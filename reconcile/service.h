/* service.h -- which service has which address and node port, across all of them. */
#ifndef KEDGE_SERVICE_H
#define KEDGE_SERVICE_H
#include "plan.h"
#include "snapshot.h"

/* Of two that claim the same, who came first has it: the older, then the lesser name. */
bool service_has_address(struct snapshot *, const struct service *); /* of either family */
/* The one of this family that it has rightfully; NULL: none. */
const char *service_address(struct snapshot *, const struct service *, bool v6);
bool service_has_port(struct snapshot *, const struct service *, const struct service_port *);
bool service_is(const struct service *, const char *type); /* none is a ClusterIP */
bool service_has_node_ports(const struct service *);       /* NodePort, LoadBalancer */
/* Its load balancer's address of this family as given out, if it has it rightfully; NULL: none.
 */
const char *service_balancer(struct snapshot *, const struct service *, bool v6);
bool service_has_health_port(struct snapshot *, const struct service *);
/* Ready endpoints of this family on this host: what its health check node port tells. */
size_t service_local_ready(struct snapshot *, const struct service *, bool v6);
/* Pods are chosen by labels: neither ExternalName nor without a selector. */
bool service_selects(const struct service *);
/* There is a Deployment or ReplicaSet whose pods it would select; `wanted`: that wants some,
 * and while others are there. */
bool service_has_maker(const struct snapshot *, const struct service *, bool wanted);
/* May it have an endpoint other than this pod, now or soon?  True also when it does not select
 * the pod through labels, so that nobody can say. */
bool service_has_other(const struct snapshot *, const struct pod *);
/* What its names and rules lead to: slices, or what a user wrote the old way where nobody made
 * slices of it (NULL: nothing). */
struct objects service_slices(struct snapshot *, const struct service *);
const struct endpoints *service_old_form(struct snapshot *, const struct service *,
					 const struct objects *slices);
bool endpoint_is_ready(const struct endpoint *); /* and has an address */
/* Gives a Service that is about to be written the address and the ports that it lacks, as far
 * as there are any; the next pass says what could not be had.  `s` need not have it. */
void service_settle(struct snapshot *s, struct service *, struct arena *);

/* service_family.c */
const char *family_name(bool v6);                     /* "IPv4", "IPv6" */
bool family_there(const struct settings *, bool v6);  /* has the cluster such addresses? */
const char *pod_address(const struct pod *, bool v6); /* NULL: it has none */
bool service_family_first(const struct service *);    /* is IPv6 its first? */
bool service_has_family(const struct service *, bool v6);
const char *service_address_said(const struct service *, bool v6); /* whosever it is */
/* Policy and families where they are left out; addresses that are too many go. */
void service_families_fill(const struct settings *, struct service_spec *, struct arena *);
/* Is nothing left to fill in, addresses included? */
bool service_families_filled(const struct settings *, const struct service_spec *);
/* What it asks for and the cluster cannot give, in the API server's words. */
void service_families_check(const struct settings *, const struct service *,
			    void (*say)(void *ctx, const char *field, const char *words),
			    void *ctx, struct arena *);

/* endpoints_mirror.c: of a service without a selector. */
void endpoints_mirror(struct snapshot *, const struct service *, struct plan *);
/* hostport.c: does this pod want the rules of that name?  "web.pod:8080-tcp" */
bool hostport_wanted(const struct pod *, const char *name, struct arena *);
#define LABEL_HOSTPORT ".pod" /* ends such names' first part */

#define CLASS_POOL "kedge.dev/pool" /* loadBalancerClass; none means the same */

/* For service_balancer.c: all that is claimed, in this pass also what was given out. */
struct trouble { /* the first thing that could not be had; reason NULL: none */
	const char *reason, *message;
};
enum service_what {
	CLAIM_ADDRESS,
	CLAIM_TCP, /* node ports; in the order of transports[], as those of a balancer */
	CLAIM_UDP,
	CLAIM_SCTP,
	CLAIM_BALANCER,     /* an address of the pool: any number may share it */
	CLAIM_BALANCER_TCP, /* a port of it: one service's */
	CLAIM_BALANCER_UDP,
	CLAIM_BALANCER_SCTP,
	CLAIM_ADDRESS6, /* its place in the range */
};
/* Whose this service address is without any Service that says so: "the cluster's DNS", the
 * API's own Service; NULL: nobody's, or this Service's. */
const char *service_reserved(const struct settings *, const struct service *, uint32_t ip);
const struct service *service_holder(struct snapshot *, unsigned what, addr number);
void service_give(struct snapshot *, unsigned what, addr number, const struct service *);
/* The first address of the pool that nobody has; 0: all are taken. */
addr service_balancer_free(struct snapshot *, bool v6);
/* The addresses of its load balancer: found, kept, or taken away.  True when it wrote. */
bool service_balance(struct snapshot *, const struct service *, struct trouble *,
		     struct plan *);
/* What is claimed of a balancer's address by this port: its protocol's service_what, and it. */
unsigned service_balancer_port(const struct service_port *);
/* What its own status says, of this family. */
bool service_balancer_ip(const struct service *, bool v6, addr *ret);

#define LABEL_SERVICE    "kubernetes.io/service-name"
#define LABEL_SKIP       "endpointslice.kubernetes.io/skip-mirror" /* of Endpoints */
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#endif

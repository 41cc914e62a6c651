/* health.h -- health check node ports: does this host have endpoints of a Service?
 *
 * A load balancer before several hosts asks, and sends only to those that have some
 * (externalTrafficPolicy: Local).  kube-proxy's answer to the letter.
 */
#ifndef KEDGE_HEALTH_H
#define KEDGE_HEALTH_H

struct brain;
struct healths;

struct healths *healths_new(struct brain *);
void healths_free(struct healths *);
/* Listens for those Services that there are now, and no others. */
void healths_sync(struct healths *);
#endif

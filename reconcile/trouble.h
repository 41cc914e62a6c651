/* trouble.h -- what is there and does not work, in words: for `kedge status`.
 *
 * Pure.  Says what stands, not what is to be done about it; a pod that merely begins is none.
 */
#ifndef KEDGE_TROUBLE_H
#define KEDGE_TROUBLE_H
#include "schema.h"
#include "snapshot.h"

struct map;

/* Why what services ask for is not in force; NULL: it is. */
const char *trouble_of_node(const struct snapshot *, struct arena *);
/* Why it is not ready: "CrashLoopBackOff: back-off 10s restarting ...", "Readiness probe
 * failed: HTTP probe failed with statuscode: 500"; or, though it is ready, why a new image
 * that it should run cannot be had; or how it failed for good; NULL when nothing is wrong, it
 * leaves, or nobody knows. `count`: and how often, and since when, which changes with each
 * time. */
const char *trouble_of_pod(const struct snapshot *, const struct pod *, bool count,
			   struct arena *);
/* Of a pod that is Failed: "Evicted: ...", "init container a ended with Error, exit code 1";
 * NULL: nobody knows. */
const char *trouble_of_failed(const struct pod *, struct arena *);
/* Why the pods that a Deployment or ReplicaSet of these conditions has to make are refused;
 * NULL: they are not. */
const char *trouble_of_replicas(const struct condition *, size_t n, struct arena *);
/* Sockets of pods that take connections, as the hand saw them, for trouble_of_service(); a row
 * of port 0 says that this pod was looked at.  They outlive the map; map_done() when all were
 * asked about. */
void trouble_ends(struct map *ends, const struct end_seen *at, size_t n);
/* Why a connection to one of its ports comes to nothing though its pods are well; NULL: nothing
 * is wrong.  `ends`: of trouble_ends(); NULL: nobody looked. */
const char *trouble_of_service(const struct snapshot *, const struct service *,
			       const struct map *ends, struct arena *);
/* Why the Service that is met at this address (its own, a node's or another that leads to it)
 * and port has no ready endpoint: what trouble_of_service() says, or that there is no pod just
 * now, or what its pods lack.  NULL: one of its pods is ready, it names no pods at all, or
 * there is no such Service. */
const char *trouble_of_way(const struct snapshot *, const char *ip, const char *protocol,
			   int64_t port, struct arena *);
#endif

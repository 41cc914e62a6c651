/* pod_affinity.h -- may a pod be on a node, as far as the other pods there decide?
 *
 * Pure.  The rules are of the scheduler's plugins InterPodAffinity and PodTopologySpread:
 * what is required, not what is only preferred.
 */
#ifndef KEDGE_POD_AFFINITY_H
#define KEDGE_POD_AFFINITY_H
#include "snapshot.h"

/* A pod that has its node and did not end. */
struct placed {
	const struct pod *pod;
	const struct node *node;
	const struct placed *next;
};

/* NULL: nothing speaks against it; else why not, in the scheduler's words. */
const char *pod_affinity_misfit(const struct snapshot *, const struct placed *,
				const struct pod *, const struct node *);
const char *pod_spread_misfit(const struct snapshot *, const struct placed *,
			      const struct pod *, const struct node *);

/* pod_place.c's: nodeSelector and required nodeAffinity; every taint that keeps pods off. */
bool pod_wants_node(const struct pod_spec *, const struct node *);
const struct taint *pod_untolerated(const struct pod_spec *, const struct node *); /* or NULL */
#endif

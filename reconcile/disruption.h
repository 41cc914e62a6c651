/* disruption.h -- how many pods may be evicted, and whether this one may.
 *
 * Pure.  The controller keeps the status of each PodDisruptionBudget; an eviction takes one of
 * the disruptions it allows, and writes the pod down as disrupted until it is seen to go.
 */
#ifndef KEDGE_DISRUPTION_H
#define KEDGE_DISRUPTION_H
#include "schema.h"

struct snapshot;

enum eviction_verdict {
	EVICTION_FREE,  /* no budget stands in the way */
	EVICTION_TAKES, /* it takes one of the budget's disruptions: `after` is to be stored */
	EVICTION_LATER, /* 429: not now; `cause` says why */
	EVICTION_NEVER, /* 500: `message` */
	EVICTION_FORBIDDEN /* 403: `message` */
};

struct eviction_answer {
	enum eviction_verdict verdict;
	const char *message, *cause;
	int retry_after; /* seconds; 0: nothing is said */
	const struct pod_disruption_budget *after;
};

struct eviction_answer eviction_judge(struct snapshot *, const struct pod *);

/* DisruptionAllowed, as the numbers of the status have it; true: it changed. */
bool disruption_condition(struct pod_disruption_budget_status *, int64_t generation,
			  int64_t now, struct arena *);
#endif

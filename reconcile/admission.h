/* admission.h -- what a namespace's LimitRanges and ResourceQuotas say to an object that is
 * about to be made or changed.
 *
 * Pure.  What was let in counts from then on, for the rest of the snapshot's life: pods that
 * two ReplicaSets make in one pass, or the objects of one commit, are charged together.
 */
#ifndef KEDGE_ADMISSION_H
#define KEDGE_ADMISSION_H
#include "object.h"

struct snapshot;

/* NULL: it may be, and is charged for.  Else why not, in Kubernetes' words: what follows
 * `pods "x" is forbidden: `.  A pod that is new (live NULL) gets the defaults that it leaves
 * out: its spec and metadata are then others than they were, and what they shared is untouched.
 */
const char *admission_refuses(struct snapshot *, const void *live, void *new);
/* The same with Kubernetes' beginning. */
const char *admission_refusal(struct snapshot *, const void *live, void *new, struct arena *);
/* A LimitRange or ResourceQuota that comes with the same commit, or changes with it. */
void admission_learn(struct snapshot *, const void *obj);

/* admission_limits.c */
void limits_default(const struct limit_range *, struct pod *, struct arena *);
/* NULL, or everything that is wrong with it. */
const char *limits_refuse(const struct limit_range *const *, size_t n, const void *obj,
			  struct arena *);

/* admission_usage.c: thousandths of `name` ("pods", "requests.cpu", "count/secrets") that this
 * object is charged for.  *binary: it was stated in Ki, Mi, ... */
struct amount {
	int64_t milli;
	bool binary;
};
struct amount usage_of(const void *obj, const char *name, int64_t now);
bool usage_matches(const struct resource_quota *, const void *obj);
/* Of all that is in the quota's namespace. */
struct amount usage_sum(const struct snapshot *, const struct resource_quota *,
			const char *name);
const char *amount_print(struct amount, struct arena *); /* "1500m", "64Mi" */
/* Of what runs at once; *ret_any: somebody states it. */
struct amount pod_sum(const struct pod_spec *, const char *resource, bool limits,
		      bool *ret_any);
#endif

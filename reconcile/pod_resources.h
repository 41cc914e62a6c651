/* pod_resources.h -- requests, limits, and their change on a running pod. */
#ifndef KEDGE_POD_RESOURCES_H
#define KEDGE_POD_RESOURCES_H
#include "schema.h"

struct snapshot;

/* Limits, shares, oom_score_adj and memory QoS of a container. */
void pod_limits(const struct snapshot *, const struct pod *, const struct container *,
		struct container_args *);
/* Can the running pod become the other by a resize alone?  Else it is made anew. */
bool pod_resizable(const struct pod_spec *was, const struct pod_spec *is, struct arena *);
/* Is it restarted when this ("cpu", "memory") changes? */
bool pod_restarts_for(const struct container *, const char *resource);
/* True and the order when the host holds the container to other limits than the spec. */
bool pod_resize_next(const struct snapshot *, const struct pod *, const struct container *,
		     const struct container_seen *, struct resize_args *ret);
void pod_resources_status(const struct snapshot *, const struct pod *, const struct container *,
			  const struct container_seen *, struct container_status *);
#endif

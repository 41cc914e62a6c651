/* cluster_role.c -- a ClusterRole with an aggregationRule has the rules of those it selects. */
#include "controllers.h"
#include "plan.h"
#include "rbac.h"
#include "snapshot.h"
#include "workload.h"

void
cluster_role_reconcile(struct snapshot *s, const struct cluster_role *r, struct plan *p)
{
	const struct cluster_role *out =
	    r->aggregationRule ? rbac_aggregated(r, &s->of[RES_cluster_role], p->arena) : NULL;

	if (out)
		plan_write(p, ACT_UPDATE, out, 0, 0, "the roles it gathers changed");
}

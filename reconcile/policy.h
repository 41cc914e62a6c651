/* policy.h -- what network policies are about, for policy.c, isolation.c and pod.c.
 *
 * A policy has up to two parts, "web:ingress" and "web:egress", which ADMIT tells
 * the hand.  A pod that any policy selects is isolated (ISOLATE): only what one of
 * those parts admits passes.  Where a part names ports of the pods it selects, it
 * comes once for each meaning of those names: "web:ingress-8080".
 *
 * Pods of the host's network have no address of their own: no policy selects them
 * and no selector means them.
 */
#ifndef KEDGE_POLICY_H
#define KEDGE_POLICY_H
#include "workload.h"

/* The address by which policies know it; NULL: none. */
const char *policy_address(const struct snapshot *, const struct pod *);
bool policy_is_about(const struct network_policy *, bool egress);
bool policy_selects(const struct network_policy *, const struct pod *);
/* What the part that is meant for this pod is called. */
const char *policy_part(const struct network_policy *, bool egress, const struct pod *,
			struct arena *);

/* What isolates it; NULL: no policy selects it. */
const struct isolate_args *isolation_of(struct snapshot *, const struct pod *, struct arena *);
/* The very same is in force on the host. */
bool isolation_stands(const struct snapshot *, const struct pod *, const struct isolate_args *,
		      struct arena *);
/* isolation.c: parts and pods in force that nobody knows any more. */
void isolation_garbage(struct snapshot *, struct plan *);
#endif

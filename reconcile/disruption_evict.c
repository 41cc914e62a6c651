/* disruption_evict.c -- may this pod be evicted?  As Kubernetes' eviction subresource. */
#include "controllers.h"
#include "disruption.h"
#include "workload.h"

enum { DISRUPTED_MOST = 2000 };

static const char message[] =
    "Cannot evict pod as it would violate the pod's disruption budget.";

/* Gone already, or never there: no budget counts it. */
static bool
is_beyond(const struct pod *pod)
{
	return pod_is_finished(pod) || str_is(pod_phase(pod), "Pending") ||
	       pod->metadata->deletionTimestamp;
}

/* Ready pods are what a budget guards; one that is not may go when the budget says so, or when
 * enough others are ready. */
static bool
may_go_unhealthy(const struct pod *pod, const struct pod_disruption_budget *b)
{
	const struct pod_disruption_budget_status *st = b->status;

	if (pod_is_ready(pod))
		return false;
	return str_is(b->spec->unhealthyPodEvictionPolicy, "AlwaysAllow") ||
	       (st && st->currentHealthy >= st->desiredHealthy && st->desiredHealthy > 0);
}

static struct eviction_answer
later(const char *cause, int retry_after)
{
	return (struct eviction_answer){ .verdict = EVICTION_LATER,
					 .message = message,
					 .cause = cause,
					 .retry_after = retry_after };
}

static struct eviction_answer
forbidden(const struct pod_disruption_budget *b, const char *why, struct arena *a)
{
	return (struct eviction_answer){
		.verdict = EVICTION_FORBIDDEN,
		.message = arena_printf(a, "poddisruptionbudget.policy \"%s\" is forbidden: %s",
					object_name(b), why)
	};
}

static const struct pod_disruption_budget *
with_disrupted(struct snapshot *s, const struct pod_disruption_budget *b, const struct pod *pod)
{
	struct pod_disruption_budget *copy = object_clone(b, s->arena);
	char now[40];

	time_print(s->now, false, now);
	pairs_set(&copy->status->disruptedPods, object_name(pod), arena_strdup(s->arena, now),
		  s->arena);
	copy->status->disruptionsAllowed--;
	disruption_condition(copy->status, copy->metadata->generation, s->now, s->arena);
	return copy;
}

static struct eviction_answer
take_one(struct snapshot *s, const struct pod_disruption_budget *b, const struct pod *pod)
{
	const struct pod_disruption_budget_status *st = b->status;

	if (!st || st->observedGeneration < b->metadata->generation)
		return later(arena_printf(s->arena,
					  "The disruption budget %s is still being processed "
					  "by the server.",
					  object_name(b)),
			     10);
	if (st->disruptionsAllowed < 0)
		return forbidden(b, "pdb disruptions allowed is negative", s->arena);
	if (st->disruptedPods.n > DISRUPTED_MOST)
		return forbidden(b,
				 "DisruptedPods map too big - too many evictions not confirmed "
				 "by PDB controller",
				 s->arena);
	if (!st->disruptionsAllowed)
		return later(arena_printf(s->arena,
					  "The disruption budget %s needs %lld healthy pods "
					  "and has %lld currently",
					  object_name(b), (long long)st->desiredHealthy,
					  (long long)st->currentHealthy),
			     0);
	return (struct eviction_answer){ .verdict = EVICTION_TAKES,
					 .after = with_disrupted(s, b, pod) };
}

struct eviction_answer
eviction_judge(struct snapshot *s, const struct pod *pod)
{
	struct objects all = snapshot_in(s, RES_pod_disruption_budget, object_namespace(pod));
	const struct pod_disruption_budget *budget = NULL;

	if (is_beyond(pod))
		return (struct eviction_answer){ .verdict = EVICTION_FREE };
	for (size_t i = 0; i < all.n; i++) {
		const struct pod_disruption_budget *b =
		    (const struct pod_disruption_budget *)all.at[i];

		if (!b->spec || !b->spec->selector ||
		    !selector_matches(b->spec->selector, &pod->metadata->labels))
			continue;
		if (budget)
			return (struct eviction_answer){
				.verdict = EVICTION_NEVER,
				.message = "This pod has more than one PodDisruptionBudget, "
					   "which the eviction subresource does not support."
			};
		budget = b;
	}
	if (!budget || may_go_unhealthy(pod, budget))
		return (struct eviction_answer){ .verdict = EVICTION_FREE };
	return take_one(s, budget, pod);
}

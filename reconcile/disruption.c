/* disruption.c -- the status of a PodDisruptionBudget: who is healthy, who must be, and how
 * many may go.
 *
 * Pure.  What an eviction wrote down as disrupted does not count as healthy until it is seen
 * to go; two minutes later it counts again.
 */
#include "disruption.h"
#include "controllers.h"
#include "workload.h"

enum { TO_GO = 2 * 60 * 1000 }; /* ms in which an evicted pod must be marked */

/* How many pods are wanted by those who answer for the budget's. */
struct scale {
	int64_t pods;
	const char *unmanaged; /* the first pod that no controller answers for */
};

struct owners {
	const void **at;
	size_t n;
};

static bool
is_new(struct owners *o, const void *owner)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->at[i] == owner)
			return false;
	o->at[o->n++] = owner;
	return true;
}

/* The Deployment or ReplicaSet that keeps the pod's number, and the number; NULL: none. */
static const void *
keeper_of(struct snapshot *s, const struct pod *pod, int64_t *ret_replicas)
{
	const struct owner_reference *c = object_controller(pod);
	const struct replica_set *rs =
	    c && str_is(c->kind, "ReplicaSet")
		? snapshot_find(s, RES_replica_set, object_namespace(pod), c->name)
		: NULL;
	const struct deployment *d;

	if (!rs || !str_is(object_uid(rs), c->uid) || !rs->spec)
		return NULL;
	*ret_replicas = rs->spec->replicas;
	c = object_controller(rs);
	d = c && str_is(c->kind, "Deployment")
		? snapshot_find(s, RES_deployment, object_namespace(rs), c->name)
		: NULL;
	if (!d || !str_is(object_uid(d), c->uid) || !d->spec)
		return rs;
	*ret_replicas = d->spec->replicas;
	return d;
}

static struct scale
scale_of(struct snapshot *s, struct objects pods, struct arena *a)
{
	struct owners seen = { arena_alloc(a, (pods.n + 1) * sizeof *seen.at), 0 };
	struct scale sum = { 0 };

	for (size_t i = 0; i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];
		int64_t replicas = 0;
		const void *keeper = keeper_of(s, pod, &replicas);

		if (!keeper && !sum.unmanaged)
			sum.unmanaged = object_name(pod);
		if (keeper && is_new(&seen, keeper))
			sum.pods += replicas;
	}
	return sum;
}

/* An empty selector picks all of the namespace, none picks nothing. */
static struct objects
protected_pods(struct snapshot *s, const struct pod_disruption_budget *b, struct arena *a)
{
	struct objects all = snapshot_in(s, RES_pod, object_namespace(b));
	const struct object **at;
	size_t n = 0;

	if (!b->spec || !b->spec->selector)
		return (struct objects){ 0 };
	at = arena_alloc(a, (all.n + 1) * sizeof *at);
	for (size_t i = 0; i < all.n; i++)
		if (selector_matches(b->spec->selector, &all.at[i]->metadata->labels))
			at[n++] = all.at[i];
	return (struct objects){ at, n };
}

/* Those who were evicted and are not marked yet. */
static struct pairs
still_disrupted(struct snapshot *s, const struct pod_disruption_budget *b, struct plan *p)
{
	const struct pairs *was = b->status ? &b->status->disruptedPods : &(struct pairs){ 0 };
	struct pairs out = { arena_alloc(p->arena, (was->n + 1) * sizeof *out.at), 0 };

	for (size_t i = 0; i < was->n; i++) {
		const struct pod *pod =
		    snapshot_find(s, RES_pod, object_namespace(b), was->at[i].key);
		int64_t since;

		if (!pod || pod->metadata->deletionTimestamp ||
		    !time_parse(was->at[i].value, &since) ||
		    !snapshot_early(s, since, since + TO_GO))
			continue;
		plan_again(p, since + TO_GO);
		out.at[out.n++] = was->at[i];
	}
	return out;
}

static int64_t
healthy(struct objects pods, const struct pairs *disrupted)
{
	int64_t n = 0;

	for (size_t i = 0; i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];

		if (!pod->metadata->deletionTimestamp && pod_is_ready(pod) &&
		    !pairs_get(disrupted, object_name(pod)))
			n++;
	}
	return n;
}

/* What must stay, and of how many. */
static void
set_wanted(struct pod_disruption_budget_status *st, struct snapshot *s,
	   const struct pod_disruption_budget *b, struct objects pods, struct plan *p)
{
	const struct kind *k = pod_disruption_budget_spec_kind();
	bool max = schema_has(k, b->spec, "maxUnavailable"),
	     min = schema_has(k, b->spec, "minAvailable");
	struct scale scale = { 0 };

	st->expectedPods = (int64_t)pods.n;
	st->desiredHealthy = 0;
	if (max || (min && b->spec->minAvailable.s)) {
		scale = scale_of(s, pods, p->arena);
		st->expectedPods = scale.pods;
	}
	if (max)
		st->desiredHealthy =
		    most(0, scale.pods - iors_of(b->spec->maxUnavailable, scale.pods, true));
	else if (min)
		st->desiredHealthy = iors_of(b->spec->minAvailable, scale.pods, true);
	if (scale.unmanaged &&
	    (!b->status || b->status->observedGeneration != b->metadata->generation))
		plan_event(
		    p, b,
		    (struct event_args){
			.type = "Warning",
			.reason = "UnmanagedPods",
			.message = arena_printf(
			    p->arena,
			    "Pods selected by this PodDisruptionBudget (selector: %s) were "
			    "found to be unmanaged. As a result, the status of the PDB cannot "
			    "be calculated correctly, which may result in undefined behavior. "
			    "To account for these pods please set \".spec.minAvailable\" field "
			    "of the PDB to an integer value.",
			    selector_print(b->spec->selector, p->arena)),
			.component = "controllermanager",
			.apiVersion = "policy/v1" });
}

bool
disruption_condition(struct pod_disruption_budget_status *st, int64_t generation, int64_t now,
		     struct arena *a)
{
	bool enough = st->disruptionsAllowed > 0;
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, a);
	struct condition *x = condition_of(c.at, c.n, "DisruptionAllowed");

	if (x && str_is(x->status, enough ? "True" : "False") &&
	    x->observedGeneration == generation)
		return false;
	x = condition_set(&c, "DisruptionAllowed", enough,
			  enough ? "SufficientPods" : "InsufficientPods", NULL, now);
	x->observedGeneration = generation;
	st->conditions.at = c.at;
	st->conditions.n = c.n;
	return true;
}

void
disruption_reconcile(struct snapshot *s, const struct pod_disruption_budget *b, struct plan *p)
{
	struct pod_disruption_budget_status *st = arena_zalloc(p->arena, sizeof *st);
	struct pod_disruption_budget copy = *b;
	struct objects pods;

	if (b->metadata->deletionTimestamp || !b->spec)
		return;
	if (b->status)
		st->conditions = b->status->conditions;
	pods = protected_pods(s, b, p->arena);
	st->observedGeneration = b->metadata->generation;
	st->disruptedPods = still_disrupted(s, b, p);
	st->currentHealthy = healthy(pods, &st->disruptedPods);
	set_wanted(st, s, b, pods, p);
	if (st->expectedPods > 0)
		st->disruptionsAllowed = most(0, st->currentHealthy - st->desiredHealthy);
	disruption_condition(st, b->metadata->generation, s->now, p->arena);
	if (b->status && schema_equal(pod_disruption_budget_status_kind(), b->status, st))
		return;
	copy.status = st;
	plan_write(p, ACT_STATUS, &copy, 0, 0,
		   arena_printf(p->arena, "%lld may go, %lld of %lld healthy",
				(long long)st->disruptionsAllowed,
				(long long)st->currentHealthy, (long long)st->desiredHealthy));
}

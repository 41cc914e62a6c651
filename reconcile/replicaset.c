/* replicaset.c -- keep as many pods of a template as a ReplicaSet wants.
 *
 * Pure.  A pod counts while it is active: neither finished nor going away.
 * The snapshot is one consistent view, so there is nothing to remember between
 * passes about what was already asked for; a plan that was cut short is simply
 * completed by the next one.
 *
 * Promise: pods that serve are the last to be chosen as victims.
 */
#include "account.h"
#include "admission.h"
#include "controllers.h"
#include "pod_security.h"
#include "workload.h"

enum {
	BURST = 500,  /* creations and deletions in one pass, as Kubernetes' burstReplicas */
	WAITING = 10, /* pods beyond those the host takes */
	NAME_BASE_MAX = 58 /* with five letters a name stays within 63, and is a hostname */
};

/* ---- more ---- */

static struct pod *
pod_from_template(const struct replica_set *rs, const char *name, struct arena *a)
{
	const struct pod_template_spec *t = rs->spec->template;
	struct pod *pod = object_new(RES_pod, object_namespace(rs), name, a);

	pod->metadata->generateName = arena_printf(a, "%s-", object_name(rs));
	if (t->metadata) {
		pod->metadata->labels = t->metadata->labels;
		pod->metadata->annotations = t->metadata->annotations;
		pod->metadata->finalizers = t->metadata->finalizers;
	}
	owner_add(pod->metadata, rs, a);
	pod->spec = t->spec;
	pod->status = arena_zalloc(a, sizeof *pod->status);
	pod->status->phase = "Pending";
	return pod;
}

/* A name that no pod of the namespace has.  The letters follow from the
 * snapshot's seed, so a repeated pass over one snapshot gives the same plan. */
static const char *
pod_new_name(struct snapshot *s, const struct replica_set *rs, uint64_t *nonce, struct arena *a)
{
	const char *name;

	do
		name = arena_printf(a, "%.*s-%s", NAME_BASE_MAX - 1, object_name(rs),
				    snapshot_suffix(s, object_uid(rs), (*nonce)++, 5));
	while (snapshot_find(s, RES_pod, object_namespace(rs), name));
	return name;
}

static bool
name_taken(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* In a cluster a million replicas are a million pods that wait.  Here they would wait in the
 * memory of the one host there is: what it has no place for is made when there is, save a few
 * that say why they wait.  One that is finished has left its place, but who was turned away
 * keeps it. */
static int64_t
room_for_pods(const struct snapshot *s, int64_t have)
{
	int64_t room;

	if (!s->host || s->host->pods <= 0)
		return INT64_MAX;
	room = s->host->pods + WAITING;
	for (size_t i = 0; i < s->of[RES_pod].n; i++) {
		const struct pod *pod = (const struct pod *)s->of[RES_pod].at[i];

		room -= !pod_is_finished(pod) || pod_is_rejected(pod);
	}
	return room > 0 ? room : have ? 0 : 1;
}

/* NULL, or why the next one was not let in. */
static const char *
grow(struct snapshot *s, const struct replica_set *rs, int64_t from, int64_t by, struct plan *p)
{
	const char **names, *audit;
	uint64_t nonce = 0;
	size_t n = 0;

	audit =
	    pod_security_audits(s, pod_from_template(rs, object_name(rs), p->arena), p->arena);
	by = least(least(by, BURST), room_for_pods(s, from));
	names = arena_alloc(p->arena, (size_t)by * sizeof *names);
	while (n < (size_t)by) {
		const char *name = pod_new_name(s, rs, &nonce, p->arena), *why;
		struct pod *pod;

		if (name_taken(names, n, name))
			continue;
		pod = pod_from_template(rs, name, p->arena);
		why = admission_refusal(s, NULL, pod, p->arena);
		if (why)
			return arena_printf(p->arena, "Error creating: %s", why);
		names[n++] = name;
		plan_write(p, ACT_CREATE, pod, 0, 0,
			   arena_printf(p->arena, "%s has %lld of %lld%s", object_name(rs),
					(long long)from + (long long)n - 1,
					(long long)rs->spec->replicas, audit));
	}
	return NULL;
}

/* Why the next pod would not be let in; NULL: it would. */
static const char *
refusal(struct snapshot *s, const struct replica_set *rs, struct arena *a)
{
	uint64_t nonce = 0;
	const char *name = pod_new_name(s, rs, &nonce, a);
	const struct pod *pod = pod_from_template(rs, name, a);
	const char *why = account_refuses(s, pod, a);

	if (!why)
		why = pod_security_refuses(s, pod, a);
	return why ? arena_printf(a, "Error creating: %s", why) : NULL;
}

/* As Kubernetes: the condition says it as long as it lasts, the Event when it begins.  The
 * name in it is that of the first that was refused: one refusal is one write. */
static void
failure(struct replica_set_status *st, const struct replica_set *rs, const char *why,
	int64_t now, struct plan *p)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, p->arena);
	bool had = condition_of(c.at, c.n, "ReplicaFailure");

	if (!had == !why)
		return;
	if (!why) {
		conditions_drop(&c, "ReplicaFailure");
	} else {
		c.at[c.n++] = (struct condition){ .type = "ReplicaFailure",
						  .status = "True",
						  .reason = "FailedCreate",
						  .message = why + strlen("Error creating: "),
						  .lastTransitionTime = now };
		plan_event(p, rs,
			   (struct event_args){ .type = "Warning",
						.reason = "FailedCreate",
						.message = why,
						.component = "replicaset-controller",
						.apiVersion = "apps/v1" });
	}
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

/* ---- fewer ---- */

static int
phase_rank(const struct pod *p)
{
	return str_is(pod_phase(p), "Running") ? 2 : str_is(pod_phase(p), "Unknown") ? 1 : 0;
}

static int64_t
deletion_cost(const struct pod *p)
{
	const char *text = object_annotation(p, "controller.kubernetes.io/pod-deletion-cost");

	return text ? strtoll(text, NULL, 10) : 0;
}

static int64_t
most_restarts(const struct pod *p)
{
	int64_t n = 0;

	for (size_t i = 0; p->status && i < p->status->containerStatuses.n; i++)
		n = most(n, p->status->containerStatuses.at[i].restartCount);
	for (size_t i = 0; p->status && i < p->status->initContainerStatuses.n; i++)
		n = most(n, p->status->initContainerStatuses.at[i].restartCount);
	return n;
}

static int
compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

/* Who goes first, as Kubernetes' ActivePodsWithRanks (there is one node, so pods
 * of other sets on the same node do not matter). */
static int
victim_order(const void *va, const void *vb)
{
	const struct pod *a = *(const struct pod *const *)va,
			 *b = *(const struct pod *const *)vb;
	const struct condition *ra = pod_condition(a, "Ready"), *rb = pod_condition(b, "Ready");
	int c;

	/* 1. not yet on a node  2. Pending, Unknown, Running  3. not ready */
	if ((c = compare(!str_is(a->spec->nodeName, ""), !str_is(b->spec->nodeName, ""))) ||
	    (c = compare(phase_rank(a), phase_rank(b))) ||
	    (c = compare(pod_is_ready(a), pod_is_ready(b))))
		return c;
	/* 4. the cheaper, as the user says */
	if ((c = compare(deletion_cost(a), deletion_cost(b))))
		return c;
	/* 5. ready for a shorter time */
	if (ra && rb && pod_is_ready(a) &&
	    (c = compare(rb->lastTransitionTime, ra->lastTransitionTime)))
		return c;
	/* 6. restarted more often  7. younger  8. and something to end the argument */
	if ((c = compare(most_restarts(b), most_restarts(a))) ||
	    (c = compare(b->metadata->creationTimestamp, a->metadata->creationTimestamp)))
		return c;
	return strcmp(object_name(a), object_name(b));
}

static void
shrink(const struct replica_set *rs, struct objects pods, int64_t by, struct plan *p)
{
	const struct pod **at = arena_alloc(p->arena, (pods.n + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < pods.n; i++)
		if (pod_is_active((const struct pod *)pods.at[i]))
			at[n++] = (const struct pod *)pods.at[i];
	if (n)
		qsort(at, n, sizeof *at, victim_order);
	by = least(by, BURST);
	for (size_t i = 0; i < (size_t)by; i++)
		plan_name(p, ACT_DELETE, at[i],
			  arena_printf(p->arena, "%s has %lld of %lld%s", object_name(rs),
				       (long long)(n - i), (long long)rs->spec->replicas,
				       pod_is_ready(at[i]) ? "" : ", not ready"));
}

/* Kubernetes makes a pod that the host turned away again and again.  Here one that is wanted
 * keeps its place, as long as its host remembers having said no; the next life of kedged may
 * have been told otherwise (kedge.yaml), so then it is made anew.  How many keep theirs. */
static int64_t
rejected(struct snapshot *s, struct objects pods, int64_t room, struct plan *p)
{
	int64_t kept = 0;

	for (size_t i = 0; s->host && i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];
		bool known = snapshot_seen(s, object_uid(pod));

		if (!pod_is_rejected(pod) || pod->metadata->deletionTimestamp)
			continue;
		if (known && kept < room)
			kept++;
		else
			plan_name(p, ACT_DELETE, pod,
				  known ? "turned away, and not wanted any more"
					: "turned away, and may be let in now");
	}
	return kept;
}

/* Was its size changed earlier in this pass?  Then ours is the old one, and to
 * act on it would be to delete what is wanted again, or to make what is not. */
static bool
is_resized(const struct plan *p, const struct replica_set *rs)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].verb == ACT_SCALE && !strcmp(p->at[i].name, object_name(rs)) &&
		    !strcmp(p->at[i].ns, object_namespace(rs)))
			return true;
	return false;
}

/* ---- status ---- */

static struct replica_set_status *
status_new(const struct replica_set *rs, struct objects pods, const struct pod_counts *c,
	   struct arena *a)
{
	struct replica_set_status *st = arena_zalloc(a, sizeof *st);
	const struct object_meta *tm = rs->spec->template->metadata;

	if (rs->status)
		*st = *rs->status;
	st->replicas = c->active;
	st->readyReplicas = c->ready;
	st->availableReplicas = c->available;
	st->observedGeneration = rs->metadata->generation;
	st->fullyLabeledReplicas = 0;
	for (size_t i = 0; i < pods.n; i++)
		if (pod_is_active((const struct pod *)pods.at[i]) && tm &&
		    selector_map_matches(&tm->labels, &pods.at[i]->metadata->labels))
			st->fullyLabeledReplicas++;
	return st;
}

static bool
status_differs(const struct replica_set_status *a, const struct replica_set_status *b)
{
	return !a || a->replicas != b->replicas || a->readyReplicas != b->readyReplicas ||
	       a->availableReplicas != b->availableReplicas ||
	       a->fullyLabeledReplicas != b->fullyLabeledReplicas ||
	       a->conditions.n != b->conditions.n ||
	       a->observedGeneration != b->observedGeneration;
}

void
replicaset_reconcile(struct snapshot *s, const struct replica_set *rs, struct plan *p)
{
	struct pod_counts c = { 0 };
	struct replica_set_status *st;
	struct objects pods;
	const char *why = NULL;
	int64_t have;
	bool goes = rs->metadata->deletionTimestamp != 0, resized;

	if (!rs->spec || !rs->spec->selector || !rs->spec->template)
		return;
	if (!rs->metadata->deletionTimestamp &&
	    ownership_settle(s, RES_pod, rs, rs->spec->selector, p))
		return;
	pods = snapshot_owned(s, RES_pod, object_uid(rs));
	for (size_t i = 0; i < pods.n; i++)
		pod_count(&c, (const struct pod *)pods.at[i], rs->spec->minReadySeconds,
			  s->now);
	plan_again(p, c.next);
	resized = !goes && is_resized(p, rs);
	have = c.active;
	if (!goes && !resized)
		have += rejected(s, pods, rs->spec->replicas - c.active, p);
	if (resized && have != rs->spec->replicas)
		return;
	if (!goes && have != rs->spec->replicas) {
		if (have < rs->spec->replicas)
			why = refusal(s, rs, p->arena);
		if (why)
			; /* told below */
		else if (have < rs->spec->replicas)
			why = grow(s, rs, have, rs->spec->replicas - have, p);
		else
			shrink(rs, pods, c.active - rs->spec->replicas, p);
	}
	st = status_new(rs, pods, &c, p->arena);
	failure(st, rs, why, s->now, p);
	if (status_differs(rs->status, st)) {
		struct replica_set copy = *rs;

		copy.status = st;
		plan_write(p, ACT_STATUS, &copy, 0, 0,
			   arena_printf(p->arena, "%lld/%lld ready",
					(long long)st->readyReplicas,
					(long long)rs->spec->replicas));
	}
}

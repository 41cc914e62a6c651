/* garbage.c -- what nobody answers for any more.
 *
 * Pure.  Children whose owners are all gone (so a deleted Deployment takes its
 * ReplicaSets along in one pass and their pods in the next), or are only waiting
 * for them to go (but Git's stay whoever owns them, for the next look at the commit
 * would make them again); Events past their
 * hour, the oldest of too many finished pods, rules of services that are gone, sandboxes that
 * no object knows.
 */
#include "controllers.h"
#include "own.h"
#include "policy.h"
#include "service.h"
#include "workload.h"

enum {
	EVENT_LIFE_MS = 3600 * 1000, /* as Kubernetes' --event-ttl */
	TOLD_MOST = 2000,            /* Events of others, in one namespace */
	FINISHED_MOST = 500,         /* as its --terminated-pod-gc-threshold, for one host */
	UNKNOWN_GRACE = 2            /* seconds; nobody is left who could say how long */
};

static bool
is_held(const struct object *o)
{
	return finalizer_has(o->metadata, FINALIZER_FOREGROUND);
}

/* Deleted in the foreground: it stays until its dependents are gone. */
static bool
waits(const struct object *o)
{
	return o->metadata->deletionTimestamp && is_held(o);
}

/* An owner of a kind that kedge does not know is taken to exist. */
static bool
owner_stays(struct snapshot *s, const struct owner_reference *ref)
{
	const struct resource *r = resource_find(ref->apiVersion, ref->kind);
	const struct object *o = r ? snapshot_by_uid(s, r->id, ref->uid) : NULL;

	return !r || (o && !waits(o));
}

typedef bool dependent_fn(const struct snapshot *, const struct object *, const char *uid);

static bool
has_dependent(const struct snapshot *s, const char *uid, dependent_fn *counts)
{
	for (int r = 0; r < RES_COUNT; r++)
		for (size_t i = 0; i < s->of[r].n; i++)
			if (object_owned_by(s->of[r].at[i], uid) &&
			    counts(s, s->of[r].at[i], uid))
				return true;
	return false;
}

static bool
is_waiting(const struct snapshot *s, const struct object *o, const char *uid)
{
	(void)s;
	(void)uid;
	return waits(o);
}

/* Must it be gone before its owner goes?  It need not when it says so, nor what owns itself,
 * nor Git's, which does not leave; nor, as in Kubernetes, one that waits for another that
 * waits: that may be a ring. */
static bool
blocks(const struct snapshot *s, const struct object *o, const char *uid)
{
	return object_owned_by(o, uid)->blockOwnerDeletion && !str_is(object_uid(o), uid) &&
	       !own_is_signed(o) && !(waits(o) && has_dependent(s, object_uid(o), is_waiting));
}

/* It has another owner, who stays: it is not held to be those' who leave. */
static void
disowned(struct snapshot *s, const struct object *o, const char *owner, struct plan *p)
{
	struct object *copy = object_clone(o, p->arena);
	struct object_meta *m = copy->metadata;
	size_t n = 0;

	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (owner_stays(s, &m->ownerReferences.at[i]))
			m->ownerReferences.at[n++] = m->ownerReferences.at[i];
	m->ownerReferences.n = n;
	plan_write(p, ACT_UPDATE, copy, 0, 0,
		   arena_printf(p->arena, "its owner %s is gone, another stays", owner));
}

/* Its owner waits for it, and it has to wait for its own: a Deployment for its ReplicaSets,
 * these for their pods. */
static void
held(const struct object *o, const char *owner, struct plan *p)
{
	struct object *copy = object_clone(o, p->arena);

	finalizer_add(copy->metadata, FINALIZER_FOREGROUND, p->arena);
	plan_write(p, ACT_UPDATE, copy, 0, 0,
		   arena_printf(p->arena, "its owner %s waits: after its dependents", owner));
}

static void
orphaned(struct snapshot *s, const struct object *o, struct plan *p)
{
	const struct object_meta *m = o->metadata;
	const struct owner_reference *left = NULL;
	size_t stay = 0;
	bool waited = false;

	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const struct owner_reference *ref = &m->ownerReferences.at[i];

		if (owner_stays(s, ref)) {
			stay++;
			continue;
		}
		left = left ? left : ref;
		waited |= snapshot_by_uid(s, resource_find(ref->apiVersion, ref->kind)->id,
					  ref->uid) != NULL;
	}
	if (!left || m->deletionTimestamp)
		return;
	if (stay)
		disowned(s, o, left->name, p);
	else if (waited && !is_held(o) && has_dependent(s, object_uid(o), blocks))
		held(o, left->name, p);
	else
		plan_name(p, ACT_DELETE, o,
			  arena_printf(p->arena, "its owner %s is gone", left->name));
}

/* Nothing of it is left: neither need it be. */
static void
let_go(struct snapshot *s, const struct object *o, struct plan *p)
{
	struct object *copy;
	struct object_meta *m;
	size_t n = 0;

	if (!waits(o) || has_dependent(s, object_uid(o), blocks))
		return;
	if (o->metadata->finalizers.n == 1) {
		plan_name(p, ACT_FORGET, o, "its dependents are gone");
		return;
	}
	copy = object_clone(o, p->arena);
	m = copy->metadata;
	for (size_t i = 0; i < m->finalizers.n; i++)
		if (!str_is(m->finalizers.at[i], FINALIZER_FOREGROUND))
			m->finalizers.at[n++] = m->finalizers.at[i];
	m->finalizers.n = n;
	plan_write(p, ACT_UPDATE, copy, 0, 0, "its dependents are gone");
}

/* When it was last seen.  Whoever writes it says so: one that is seen only long after now would
 * stay for ever, and that time does not count. */
static int64_t
last_seen(const struct event *e, int64_t now)
{
	const int64_t said[] = { e->lastTimestamp, e->eventTime,
				 e->series ? e->series->lastObservedTime : 0 };
	int64_t last = e->metadata->creationTimestamp;

	for (size_t i = 0; i < sizeof said / sizeof *said; i++)
		if (said[i] <= now + EVENT_LIFE_MS)
			last = most(last, said[i]);
	return last;
}

static int
told_order(const void *va, const void *vb)
{
	const struct event *a = *(const struct event *const *)va,
			   *b = *(const struct event *const *)vb;
	int64_t d = a->metadata->creationTimestamp - b->metadata->creationTimestamp;

	return d < 0 ? -1 : d > 0;
}

/* Deletes all of these but `most`: those that `order` puts first. */
static void
keep_most(const void **at, size_t n, size_t most, int (*order)(const void *, const void *),
	  const char *why, struct plan *p)
{
	if (n <= most)
		return;
	qsort(at, n, sizeof *at, order);
	for (size_t i = 0; i < n - most; i++)
		plan_name(p, ACT_DELETE, at[i], why);
}

/* What others tell has bounds, those of one namespace: whoever floods it loses what was made
 * first.  The times in an Event are its writer's. */
static void
bound_told(const void **at, size_t n, struct plan *p)
{
	keep_most(at, n, TOLD_MOST, told_order,
		  arena_printf(p->arena, "%d newer ones are there", TOLD_MOST), p);
}

/* Sorted by namespace. */
static void
events(struct snapshot *s, struct plan *p)
{
	struct objects all = s->of[RES_event];
	const void **told = arena_alloc(p->arena, (all.n + 1) * sizeof *told);
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++) {
		const struct event *e = (const struct event *)all.at[i];
		int64_t last = last_seen(e, s->now);

		if (n && strcmp(object_namespace(told[0]), object_namespace(e)) != 0) {
			bound_told(told, n, p);
			n = 0;
		}
		if (last + EVENT_LIFE_MS <= s->now) {
			plan_name(p, ACT_DELETE, e, "an hour old");
			continue;
		}
		plan_again(p, last + EVENT_LIFE_MS);
		if (!object_is_own_event(e))
			told[n++] = e;
	}
	bound_told(told, n, p);
}

/* Git's would be made again, and one that was turned away keeps its place. */
static bool
only_tells(const struct pod *pod)
{
	return pod_is_finished(pod) && !pod->metadata->deletionTimestamp &&
	       !pod_is_rejected(pod) && !own_is_signed((const struct object *)pod);
}

/* As Kubernetes' podgc: the evicted, then the oldest. */
static int
finished_order(const void *va, const void *vb)
{
	const struct pod *a = *(const struct pod *const *)va,
			 *b = *(const struct pod *const *)vb;
	int64_t d = a->metadata->creationTimestamp - b->metadata->creationTimestamp;
	bool ea = str_is(a->status->reason, "Evicted"),
	     eb = str_is(b->status->reason, "Evicted");

	if (ea != eb)
		return ea ? -1 : 1;
	if (d)
		return d < 0 ? -1 : 1;
	return strcmp(object_name(a), object_name(b));
}

static void
finished_pods(struct snapshot *s, struct plan *p)
{
	const void **at = arena_alloc(p->arena, (s->of[RES_pod].n + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < s->of[RES_pod].n; i++) {
		const struct pod *pod = (const struct pod *)s->of[RES_pod].at[i];

		if (only_tells(pod))
			at[n++] = pod;
	}
	keep_most(at, n, FINISHED_MOST, finished_order,
		  arena_printf(p->arena, "finished, as %d others are", FINISHED_MOST), p);
}

/* A sandbox without a pod: its object was removed at once, or the store was lost. */
static void
unknown_pods(struct snapshot *s, struct plan *p)
{
	for (size_t i = 0; i < s->npods; i++) {
		const struct pod_seen *seen = s->pods[i];
		struct stop_args args = { .uid = seen->uid, .ip = seen->ip };
		const char *name = str_is(seen->name, "") ? seen->uid : seen->name;

		if (str_is(seen->state, "gone") || str_is(seen->state, "failed") ||
		    str_is(seen->state, "stopping") || snapshot_by_uid(s, RES_pod, seen->uid))
			continue;
		plan_add(p, (struct action){
				.verb = ACT_STOP,
				.kind = "pod",
				.ns = arena_strdup(p->arena, seen->ns),
				.name = arena_strdup(p->arena, name),
				.to = UNKNOWN_GRACE,
				.why = "no such pod",
				.body = schema_clone(stop_args_kind(), &args, p->arena) });
	}
}

/* Why these rules are nobody's any more; NULL: somebody answers for them. */
static const char *
unknown(struct snapshot *s, const char *ns, char *name, const char *called, struct arena *a)
{
	size_t n = strlen(name), dot = strlen(LABEL_HOSTPORT);
	const struct pod *pod;

	if (n <= dot || strcmp(name + n - dot, LABEL_HOSTPORT))
		return snapshot_find(s, RES_service, ns, name) ? NULL : "the service is gone";
	name[n - dot] = 0;
	pod = snapshot_find(s, RES_pod, ns, name);
	return pod && hostport_wanted(pod, called, a) ? NULL : "the pod is gone, or going";
}

/* Rules of a service that is gone ("default/web:http"), or of a pod ("default/web.pod:80-tcp").
 */
static void
unknown_rules(struct snapshot *s, struct plan *p)
{
	for (size_t i = 0; i < s->nprogrammed; i++) {
		const char *id = s->programmed[i].id, *slash = strchr(id, '/'), *why, *ns;
		const char *colon = slash ? strchr(slash, ':') : NULL;
		char *name;

		if (!colon)
			continue;
		ns = arena_strndup(p->arena, id, (size_t)(slash - id));
		name = arena_strndup(p->arena, slash + 1, (size_t)(colon - slash) - 1);
		why = unknown(s, ns, name, slash + 1, p->arena);
		if (why)
			plan_add(p, (struct action){ .verb = ACT_RETIRE,
						     .kind = "service",
						     .ns = ns,
						     .name = arena_strdup(p->arena, slash + 1),
						     .why = why });
	}
}

void
garbage_reconcile(struct snapshot *s, struct plan *p)
{
	for (int r = 0; r < RES_COUNT; r++)
		for (size_t i = 0; i < s->of[r].n; i++)
			if (s->of[r].at[i]->metadata->ownerReferences.n &&
			    !own_is_signed(s->of[r].at[i]))
				orphaned(s, s->of[r].at[i], p);
	for (int r = 0; r < RES_COUNT; r++)
		for (size_t i = 0; i < s->of[r].n; i++)
			if (s->of[r].at[i]->metadata->finalizers.n)
				let_go(s, s->of[r].at[i], p);
	events(s, p);
	finished_pods(s, p);
	unknown_pods(s, p);
	unknown_rules(s, p);
	isolation_garbage(s, p);
}

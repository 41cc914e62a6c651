/* revision.c -- did the commit arrive?
 *
 * A revision that is Applying becomes Healthy when everything that its source
 * applied is available and the pods it replaced are gone, Failed when something cannot become
 * so, Superseded when a newer one has started.  One that failed for want of health (not for its
 * files) may still become Healthy: an image that was missing is loaded, and the deployment goes
 * on.  What has no deadline of its own has that of a Deployment which states none.
 *
 * Writes only when the verdict or what is waited for changes.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "controllers.h"
#include "own.h"
#include "plan.h"
#include "pod_change.h"
#include "snapshot.h"
#include "trouble.h"
#include <inttypes.h>
#include <string.h>

enum { PATIENCE_SECONDS = 600 }; /* as the default of progressDeadlineSeconds */

struct look {
	struct snapshot *s;
	const char *waiting; /* the first thing that is not there yet; NULL: nothing */
	const char *broken;  /* the first that will not come */
	size_t waits;
	int64_t began;    /* when the revision did */
	int64_t next_end; /* of the time that something has; 0: nothing's is counted */
};

static void
wait_for(struct look *l, const char *what)
{
	if (!l->waiting)
		l->waiting = what;
	l->waits++;
}

static void
wait_since(struct look *l, int64_t since, const char *what)
{
	int64_t end = since + PATIENCE_SECONDS * 1000;

	wait_for(l, what);
	if (l->s->now < end) {
		if (!l->next_end || end < l->next_end)
			l->next_end = end;
	} else if (!l->broken) {
		l->broken = arena_printf(l->s->arena, "waited %d minutes for %s",
					 PATIENCE_SECONDS / 60, what);
	}
}

/* For a ReplicaSet or a pod: nobody else says that it takes too long.  One that could be made
 * only later, for the old one went slowly, has its time from there. */
static void
wait_in_time(struct look *l, const void *obj, const char *what)
{
	int64_t made = ((const struct object *)obj)->metadata->creationTimestamp;

	wait_since(l, made > l->began ? made : l->began, what);
}

/* " (web-9b459b4c5-cst47: ImagePullBackOff: Back-off pulling image ...)" or "" */
static const char *
pod_trouble(struct look *l, const char *ns, const struct label_selector *sel)
{
	struct objects pods = snapshot_in(l->s, RES_pod, ns);
	const char *over = ""; /* of one that is over: said where no other has any */

	for (size_t i = 0; i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];
		bool counts = selector_matches(sel, &pod->metadata->labels);
		const char *why = counts ? trouble_of_pod(l->s, pod, false, l->s->arena) : NULL;

		if (!why)
			continue;
		why = arena_printf(l->s->arena, " (%s: %s)", object_name(pod), why);
		if (!pod_is_finished(pod))
			return why;
		over = *over ? over : why;
	}
	return over;
}

/* As above; that they may not be made comes first. */
static const char *
replica_trouble(struct look *l, const char *ns, const struct label_selector *sel,
		const struct condition *at, size_t n)
{
	const char *why = trouble_of_replicas(at, n, l->s->arena);

	return why ? arena_printf(l->s->arena, " (%s)", why) : pod_trouble(l, ns, sel);
}

static const char *
deployment_trouble(struct look *l, const struct deployment *d)
{
	return replica_trouble(l, d->metadata->namespace, d->spec->selector,
			       d->status->conditions.at, d->status->conditions.n);
}

/* ---- is it there? ---- */

static void
look_deployment(struct look *l, const struct deployment *d, const char *path)
{
	const struct deployment_spec *spec = d->spec;
	const struct deployment_status *st = d->status;
	int64_t want = spec->replicas, updated = st ? st->updatedReplicas : 0;
	struct arena *a = l->s->arena;
	const struct condition *progress;

	if (!st || st->observedGeneration < d->metadata->generation) {
		wait_for(l, arena_printf(a, "deployment %s: its new spec is not yet observed",
					 path));
		return;
	}
	progress = condition_of(st->conditions.at, st->conditions.n, "Progressing");
	if (progress && str_is(progress->reason, "ProgressDeadlineExceeded") && !l->broken)
		l->broken = arena_printf(a, "deployment %s exceeded its progress deadline%s",
					 path, deployment_trouble(l, d));
	if (spec->paused)
		return; /* waits for its owner, not for the world */
	if (updated < want)
		wait_for(l, arena_printf(a,
					 "deployment %s: %" PRId64 " of %" PRId64
					 " new replicas have been updated%s",
					 path, updated, want, deployment_trouble(l, d)));
	else if (st->replicas > updated)
		wait_for(l,
			 arena_printf(a,
				      "deployment %s: %" PRId64
				      " old replicas are pending termination%s",
				      path, st->replicas - updated, deployment_trouble(l, d)));
	else if (st->availableReplicas < updated)
		wait_for(l, arena_printf(a,
					 "deployment %s: %" PRId64 " of %" PRId64
					 " updated replicas are available%s",
					 path, st->availableReplicas, updated,
					 deployment_trouble(l, d)));
}

static void
look_replica_set(struct look *l, const struct replica_set *rs, const char *path)
{
	const struct replica_set_status *st = rs->status;
	int64_t ready = st ? st->availableReplicas : 0;

	if (!st || st->observedGeneration < rs->metadata->generation ||
	    ready < rs->spec->replicas)
		wait_in_time(
		    l, rs,
		    arena_printf(l->s->arena,
				 "replicaset %s: %" PRId64 " of %" PRId64
				 " replicas are available%s",
				 path, ready, rs->spec->replicas,
				 replica_trouble(l, rs->metadata->namespace, rs->spec->selector,
						 st ? st->conditions.at : NULL,
						 st ? st->conditions.n : 0)));
}

/* It runs still, or is told of, with another one than its spec has by now. */
static const char *
awaited_image(const struct pod *pod)
{
	size_t n = pod_own_parts(pod->spec);

	for (size_t i = 0; i < n; i++) {
		const struct container *c = pod_part(pod->spec, i);
		const struct container_status *st = pod_part_status(pod->status, c->name);

		if (pod_part_role(pod->spec, i) != PART_INIT && st && st->image &&
		    !str_is(st->image, c->image))
			return c->image;
	}
	return NULL;
}

static void
look_pod(struct look *l, const struct pod *pod, const char *path)
{
	const struct pod_status *st = pod->status;
	const struct condition *ready, *image;
	struct label_selector self = { .matchLabels = pod->metadata->labels };
	struct arena *a = l->s->arena;

	if (pod->metadata->deletionTimestamp) {
		wait_for(l, arena_printf(a, "pod %s: the old one is still terminating", path));
		return;
	}
	if (st && str_is(st->phase, "Succeeded"))
		return;
	if (st && str_is(st->phase, "Failed")) {
		const char *how = trouble_of_failed(pod, a);

		if (!l->broken)
			l->broken = arena_printf(a, "pod %s failed%s%s", path, how ? ": " : "",
						 how ? how : "");
		wait_for(l, arena_printf(a, "pod %s to be ready", path));
		return;
	}
	ready = st ? condition_of(st->conditions.at, st->conditions.n, "Ready") : NULL;
	if (!ready || !str_is(ready->status, "True"))
		wait_in_time(l, pod,
			     arena_printf(a, "pod %s to be ready%s", path,
					  pod_trouble(l, pod->metadata->namespace, &self)));
	else if (awaited_image(pod)) {
		image = condition_of(st->conditions.at, st->conditions.n, CONDITION_IMAGE);
		wait_in_time(l, pod,
			     arena_printf(a, "pod %s to run image %s%s%s%s", path,
					  awaited_image(pod), image ? " (" : "",
					  image && image->message ? image->message : "",
					  image ? ")" : ""));
	}
}

static void
look_service(struct look *l, const struct service *svc, const char *path)
{
	const struct service_spec *spec = svc->spec;
	bool ported = str_is(spec->type, "NodePort") || str_is(spec->type, "LoadBalancer");

	if (str_is(spec->type, "ExternalName"))
		return;
	if (!spec->clusterIP || !*spec->clusterIP) {
		wait_for(l, arena_printf(l->s->arena, "service %s: a cluster IP", path));
		return;
	}
	for (size_t i = 0; ported && i < spec->ports.n; i++)
		if (!spec->ports.at[i].nodePort) {
			wait_for(l, arena_printf(l->s->arena, "service %s: a node port", path));
			return;
		}
}

static void
look_at(struct look *l, const struct resource *res, const struct object *o)
{
	const char *path = object_path(o, l->s->arena);

	switch (res->id) {
	case RES_deployment:
		look_deployment(l, (const struct deployment *)o, path);
		break;
	case RES_replica_set:
		look_replica_set(l, (const struct replica_set *)o, path);
		break;
	case RES_pod:
		look_pod(l, (const struct pod *)o, path);
		break;
	case RES_service:
		look_service(l, (const struct service *)o, path);
		break;
	default:
		break;
	}
}

static void
look_around(struct look *l, const char *source)
{
	static const enum resource_id kinds[] = { RES_deployment, RES_replica_set, RES_pod,
						  RES_service };

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (size_t i = 0; i < l->s->of[kinds[k]].n; i++) {
			const struct object *o = l->s->of[kinds[k]].at[i];

			/* The label alone may have been copied by a controller. */
			if (str_is(object_label(o, ANNOTATION_SOURCE), source) &&
			    own_is_signed(o))
				look_at(l, &resources[kinds[k]], o);
		}
}

/* Whose is a pod that leaves: an object of this source, or of one that was pruned? */
static bool
was_of_source(struct look *l, const struct object *pod, const char *source)
{
	const struct object *top = pod;
	const struct owner_reference *ref;

	while ((ref = object_controller(top))) {
		const struct resource *res = resource_named(ref->kind);
		const struct object *up =
		    res ? snapshot_find(l->s, res->id, object_namespace(pod), ref->name) : NULL;

		if (!up || !str_is(object_uid(up), ref->uid))
			return true;
		top = up;
	}
	return top != pod && str_is(object_label(top, ANNOTATION_SOURCE), source);
}

/* A rollout is over when the last one of the old pods has left the rules and the host. */
static void
look_leaving(struct look *l, const char *source)
{
	const char *name = NULL;
	size_t n = 0;

	for (size_t i = 0; i < l->s->of[RES_pod].n; i++) {
		const struct object *pod = l->s->of[RES_pod].at[i];

		if (!pod->metadata->deletionTimestamp || !object_controller(pod) ||
		    !was_of_source(l, pod, source))
			continue;
		name = name ? name : object_name(pod);
		n++;
	}
	if (n)
		wait_for(l, n == 1 ? arena_printf(l->s->arena, "old pod %s to be gone", name)
				   : arena_printf(l->s->arena,
						  "%zu old pods to be gone (%s ...)", n, name));
}

/* What is not made yet; where something is waited for already, that may be the very same. */
static void
look_unmade(struct look *l, const char *source)
{
	for (size_t i = 0; i < l->s->nwaits && !l->waiting; i++)
		if (!strcmp(l->s->waits[i].source, source))
			wait_since(l, l->began, l->s->waits[i].what);
}

/* ---- the verdict ---- */

/* Failed because of its files, a revision never touched anything. */
bool
revision_was_applied(const struct revision *r)
{
	const char *outcome = r->status ? r->status->outcome : NULL;

	return str_is(outcome, "Applying") || str_is(outcome, "Healthy") ||
	       str_is(outcome, "Superseded") ||
	       (str_is(outcome, "Failed") && r->status->waitingFor);
}

static bool
is_superseded(struct snapshot *s, const struct revision *r)
{
	for (size_t i = 0; i < s->of[RES_revision].n; i++) {
		const struct revision *other =
		    (const struct revision *)s->of[RES_revision].at[i];

		if (other->spec && str_is(other->spec->source, r->spec->source) &&
		    other->spec->number > r->spec->number && revision_was_applied(other))
			return true;
	}
	return false;
}

static void
conclude(struct snapshot *s, const struct revision *r, const char *outcome, const char *waiting,
	 const char *error, struct plan *p)
{
	struct revision *new = object_clone(r, p->arena);
	struct revision_status *st = new->status;
	bool same = str_is(st->outcome, outcome), over = !str_is(outcome, "Applying");

	st->outcome = outcome;
	st->waitingFor = arena_strdup(p->arena, waiting);
	st->errors.n = 0;
	if (error) {
		st->errors.at = arena_alloc(p->arena, sizeof *st->errors.at);
		st->errors.at[0] = arena_strdup(p->arena, error);
		st->errors.n = 1;
	}
	if (over && !same) {
		st->endTime = s->now;
		st->durationMs = st->startTime ? s->now - st->startTime : 0;
	}
	if (schema_equal(revision_kind(), r, new))
		return;
	plan_add(p, (struct action){
			.verb = ACT_STATUS,
			.kind = resources[RES_revision].singular,
			.name = object_name(new),
			.why = error     ? st->errors.at[0]
			       : waiting ? arena_printf(p->arena, "%s, waiting for %s", outcome,
							waiting)
					 : outcome,
			.body = new,
		    });
}

static const char *
waits_print(const struct look *l)
{
	if (l->waits < 2)
		return l->waiting;
	return arena_printf(l->s->arena, "%s, and %zu more", l->waiting, l->waits - 1);
}

void
revision_reconcile(struct snapshot *s, const struct revision *r, struct plan *p)
{
	struct look l = { .s = s };
	const char *outcome = r->status ? r->status->outcome : NULL;

	if (!r->spec || !r->spec->source || r->metadata->deletionTimestamp)
		return;
	if (!str_is(outcome, "Applying") &&
	    !(str_is(outcome, "Failed") && revision_was_applied(r)))
		return;
	if (is_superseded(s, r)) {
		if (str_is(outcome, "Applying"))
			conclude(s, r, "Superseded", NULL, NULL, p);
		return;
	}
	l.began = r->status->startTime;
	look_around(&l, r->spec->source);
	look_leaving(&l, r->spec->source);
	look_unmade(&l, r->spec->source);
	if (l.next_end)
		plan_again(p, l.next_end);
	if (!l.waiting && !l.broken)
		conclude(s, r, "Healthy", NULL, NULL, p);
	else if (l.broken)
		conclude(s, r, "Failed", l.waiting ? waits_print(&l) : l.broken, l.broken, p);
	else if (str_is(outcome, "Applying")) /* what failed says so until it is healthy */
		conclude(s, r, "Applying", waits_print(&l), NULL, p);
}

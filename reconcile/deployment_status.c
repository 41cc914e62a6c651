/* deployment_status.c -- what a Deployment says of itself: counts, Available, Progressing.
 *
 * Kubernetes' reasons and messages to the letter, for people and kubectl wait
 * for them.  Progressing is a small state machine with a clock:
 *
 *   NewReplicaSetCreated -> ReplicaSetUpdated* -> NewReplicaSetAvailable
 *                      \________ progressDeadlineSeconds without a change of
 *                                the counts: ProgressDeadlineExceeded (False)
 */
#include "deployment.h"

static bool
has_deadline(const struct deployment *d)
{
	return d->spec->progressDeadlineSeconds > 0 &&
	       d->spec->progressDeadlineSeconds < INT32_MAX;
}

/* SetDeploymentCondition: nothing new, nothing written; the transition time
 * moves only with the status. */
static void
set_condition(struct conditions *c, const char *type, const char *status, const char *reason,
	      const char *message, int64_t now)
{
	struct condition *was = condition_of(c->at, c->n, type);
	struct condition is = { .type = type,
				.status = status,
				.reason = reason,
				.message = message,
				.lastUpdateTime = now,
				.lastTransitionTime = now };

	if (was && str_is(was->status, status) && str_is(was->reason, reason))
		return;
	if (was && str_is(was->status, status))
		is.lastTransitionTime = was->lastTransitionTime;
	conditions_drop(c, type);
	c->at[c->n++] = is;
}

static void
count(const struct rollout *r, struct deployment_status *st)
{
	int64_t want = 0;

	st->replicas = st->updatedReplicas = st->readyReplicas = st->availableReplicas = 0;
	for (size_t i = 0; i < r->n; i++) {
		want += r->sets[i].rs->spec->replicas;
		st->replicas += r->sets[i].pods.active;
		st->readyReplicas += r->sets[i].pods.ready;
		st->availableReplicas += r->sets[i].pods.available;
	}
	if (r->new)
		st->updatedReplicas = r->new->pods.active;
	st->unavailableReplicas = most(want - st->availableReplicas, 0);
	st->observedGeneration = r->d->metadata->generation;
	if (r->collided) {
		st->collisionCount++;
		schema_mark(deployment_status_kind(), st, "collisionCount");
	}
}

static bool
is_complete(const struct rollout *r, const struct deployment_status *st)
{
	return r->new && st->updatedReplicas == r->replicas && st->replicas == r->replicas &&
	       st->availableReplicas == r->replicas && r->new->want == r->replicas;
}

/* Has any count moved the right way since the last look? */
static bool
is_progressing(const struct deployment_status *was, const struct deployment_status *is)
{
	return is->updatedReplicas > was->updatedReplicas ||
	       is->replicas - is->updatedReplicas < was->replicas - was->updatedReplicas ||
	       is->readyReplicas > was->readyReplicas ||
	       is->availableReplicas > was->availableReplicas;
}

/* When the deadline passes; 0 when there is nothing to wait for. */
static int64_t
deadline(const struct deployment *d, const struct condition *c)
{
	if (!c || str_is(c->reason, "NewReplicaSetAvailable") ||
	    str_is(c->reason, "ProgressDeadlineExceeded") ||
	    str_is(c->reason, "DeploymentPaused"))
		return 0;
	return c->lastUpdateTime + d->spec->progressDeadlineSeconds * 1000;
}

static const char *
says(const struct rollout *r, const char *what)
{
	const char *name = r->created ? r->created : r->new ? object_name(r->new->rs) : NULL;

	return name
		   ? arena_printf(r->p->arena, "ReplicaSet \"%s\" %s", name, what)
		   : arena_printf(r->p->arena, "Deployment \"%s\" %s", object_name(r->d), what);
}

/* Paused deployments make no progress and have no deadline.  True when that is
 * all there is to say. */
static bool
pause_condition(const struct rollout *r, struct conditions *c)
{
	const struct condition *now = condition_of(c->at, c->n, "Progressing");
	bool was = now && str_is(now->reason, "DeploymentPaused");

	if (now && str_is(now->reason, "ProgressDeadlineExceeded"))
		return r->d->spec->paused;
	if (r->d->spec->paused && !was)
		set_condition(c, "Progressing", "Unknown", "DeploymentPaused",
			      "Deployment is paused", r->s->now);
	else if (!r->d->spec->paused && was)
		set_condition(c, "Progressing", "Unknown", "DeploymentResumed",
			      "Deployment is resumed", r->s->now);
	return r->d->spec->paused;
}

static void
found_condition(const struct rollout *r, struct conditions *c)
{
	set_condition(
	    c, "Progressing", "True", "FoundNewReplicaSet",
	    arena_printf(r->p->arena, "Found new replica set \"%s\"", object_name(r->new->rs)),
	    r->s->now);
}

/* Who timed out was another template: a revert, or what Recreate is to make, has all of its own
 * time.  Once, for the same write says that this spec was seen. */
static void
forget_timeout(const struct rollout *r, struct conditions *c)
{
	const struct deployment *d = r->d;
	const struct condition *now = condition_of(c->at, c->n, "Progressing");

	if (!now || !str_is(now->reason, "ProgressDeadlineExceeded") || !d->status ||
	    d->status->observedGeneration >= d->metadata->generation ||
	    annotation_number(d, ANNOTATION_REVISION, r->revision) >= r->revision)
		return;
	if (r->new)
		found_condition(r, c);
	else
		set_condition(c, "Progressing", "True", "ReplicaSetUpdated",
			      says(r, "is progressing."), r->s->now);
}

static void
progress_condition(const struct rollout *r, const struct deployment_status *st,
		   struct conditions *c)
{
	static const struct deployment_status none = { 0 };
	const struct deployment_status *was = r->d->status ? r->d->status : &none;
	const struct condition *now;
	int64_t until;

	if (!has_deadline(r->d)) {
		conditions_drop(c, "Progressing");
		return;
	}
	forget_timeout(r, c);
	if (pause_condition(r, c))
		return;
	if (r->created) {
		set_condition(
		    c, "Progressing", "True", "NewReplicaSetCreated",
		    arena_printf(r->p->arena, "Created new replica set \"%s\"", r->created),
		    r->s->now);
		return;
	}
	if (r->new && !condition_of(c->at, c->n, "Progressing"))
		found_condition(r, c);
	now = condition_of(c->at, c->n, "Progressing");
	if (now && str_is(now->reason, "NewReplicaSetAvailable") &&
	    st->replicas == st->updatedReplicas)
		return; /* it once was complete: a pod that comes and goes is no rollout */
	until = deadline(r->d, now);
	if (is_complete(r, st)) {
		set_condition(c, "Progressing", "True", "NewReplicaSetAvailable",
			      says(r, "has successfully progressed."), r->s->now);
	} else if (is_progressing(was, st)) {
		struct condition old = now ? *now : (struct condition){ 0 };

		/* every step forward restarts the clock, though nothing else changes */
		conditions_drop(c, "Progressing");
		set_condition(c, "Progressing", "True", "ReplicaSetUpdated",
			      says(r, "is progressing."), r->s->now);
		if (str_is(old.status, "True"))
			c->at[c->n - 1].lastTransitionTime = old.lastTransitionTime;
	} else if (until && until <= r->s->now) {
		set_condition(c, "Progressing", "False", "ProgressDeadlineExceeded",
			      says(r, "has timed out progressing."), r->s->now);
	}
	plan_again(r->p, deadline(r->d, condition_of(c->at, c->n, "Progressing")));
}

static void
available_condition(const struct rollout *r, const struct deployment_status *st,
		    struct conditions *c)
{
	if (st->availableReplicas >= r->replicas - r->unavailable)
		set_condition(c, "Available", "True", "MinimumReplicasAvailable",
			      "Deployment has minimum availability.", r->s->now);
	else
		set_condition(c, "Available", "False", "MinimumReplicasUnavailable",
			      "Deployment does not have minimum availability.", r->s->now);
}

/* The revision that kubectl rollout shows, on the Deployment itself. */
static const char *
revision_of(const struct rollout *r)
{
	if (r->created)
		return label_number(r->revision, r->p->arena);
	if (!r->new)
		return NULL;
	return object_annotation(r->new->draft ? (void *)r->new->draft : (void *)r->new->rs,
				 ANNOTATION_REVISION);
}

static const char *
why(const struct rollout *r, const struct deployment_status *st)
{
	if (st->updatedReplicas < r->replicas || st->replicas > st->updatedReplicas)
		return arena_printf(r->p->arena, "%lld/%lld updated, %lld/%lld available",
				    (long long)st->updatedReplicas, (long long)r->replicas,
				    (long long)st->availableReplicas, (long long)r->replicas);
	return arena_printf(r->p->arena, "%lld/%lld available",
			    (long long)st->availableReplicas, (long long)r->replicas);
}

static const struct condition *
failure_of(const struct set *set)
{
	const struct replica_set_status *st = set->rs->status;

	return st ? condition_of(st->conditions.at, st->conditions.n, "ReplicaFailure") : NULL;
}

/* What keeps its sets from making pods is the Deployment's trouble, too; the new one's first.
 */
static void
failure_condition(const struct rollout *r, struct conditions *c)
{
	const struct condition *is = r->new ? failure_of(r->new) : NULL;

	for (size_t i = 0; i < r->n && !is; i++)
		is = failure_of(&r->sets[i]);
	if (is)
		set_condition(c, "ReplicaFailure", is->status, is->reason, is->message,
			      r->s->now);
	else
		conditions_drop(c, "ReplicaFailure");
}

bool
deployment_status_write(struct rollout *r)
{
	const struct deployment *d = r->d;
	struct deployment_status *st = arena_zalloc(r->p->arena, sizeof *st);
	struct conditions c = { 0 };
	struct deployment copy = *d;
	const char *revision = revision_of(r);

	if (d->status)
		*st = *d->status;
	count(r, st);
	c = conditions_copy(st->conditions.at, st->conditions.n, 4, r->p->arena);
	available_condition(r, st, &c);
	progress_condition(r, st, &c);
	failure_condition(r, &c);
	st->conditions.at = c.at;
	st->conditions.n = c.n;
	copy.status = st;
	if (revision && !str_is(object_annotation(d, ANNOTATION_REVISION), revision)) {
		copy.metadata = meta_copy(d->metadata, r->p->arena);
		pairs_set(&copy.metadata->annotations, ANNOTATION_REVISION, revision,
			  r->p->arena);
		plan_write(r->p, ACT_UPDATE, &copy, 0, 0,
			   arena_printf(r->p->arena, "revision %s", revision));
	} else if (!d->status || !schema_equal(deployment_status_kind(), d->status, st)) {
		plan_write(r->p, ACT_STATUS, &copy, 0, 0, why(r, st));
	}
	return is_complete(r, st);
}

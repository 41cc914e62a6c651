/* deployment.c -- roll a Deployment's old ReplicaSets over to its new one.
 *
 * Pure, and Kubernetes' own algorithm (pkg/controller/deployment): what it reads
 * from the ReplicaSets' status is counted here from the pods themselves, which
 * are in the same snapshot, so a decision never rests on a stale number.
 *
 * Two promises hold after each action, so a plan may be cut short anywhere
 * ("want" is a set's spec.replicas, "available" never counts more pods than wanted):
 *
 *     sum(want)      <= replicas + maxSurge
 *     sum(available) >= replicas - maxUnavailable, once it has been
 *
 * A template that an older set already has is not made again: that set is "the
 * new one" from then on.  This is all there is to a rollback.
 */
#include "deployment.h"
#include "base/map.h"
#include "controllers.h"

/* ---- the sets ---- */

bool
set_before(const struct replica_set *a, const struct replica_set *b)
{
	int64_t d = a->metadata->creationTimestamp - b->metadata->creationTimestamp;

	return d < 0 || (!d && strcmp(object_name(a), object_name(b)) < 0);
}

/* Our sets, oldest first, each with the count of its pods. */
static void
gather(struct rollout *r)
{
	struct objects owned = snapshot_owned(r->s, RES_replica_set, object_uid(r->d));

	r->sets = arena_zalloc(r->p->arena, (owned.n + 1) * sizeof *r->sets);
	for (size_t i = 0; i < owned.n; i++) {
		const struct replica_set *rs = (const struct replica_set *)owned.at[i];
		struct objects pods = snapshot_owned(r->s, RES_pod, object_uid(rs));
		struct set set = { .rs = rs, .want = rs->spec->replicas };
		size_t at = r->n++;

		for (size_t j = 0; j < pods.n; j++) {
			const struct pod *pod = (const struct pod *)pods.at[j];

			pod_count(&set.pods, pod, rs->spec->minReadySeconds, r->s->now);
			set.lingering += !pod_is_finished(pod);
		}
		plan_again(r->p, set.pods.next);
		for (; at && set_before(rs, r->sets[at - 1].rs); at--)
			r->sets[at] = r->sets[at - 1];
		r->sets[at] = set;
	}
}

/* The template without the label that tells sets apart. */
static struct pod_template_spec
bare_template(const struct pod_template_spec *t, struct arena *a)
{
	struct pod_template_spec bare = *t;

	if (t->metadata && pairs_get(&t->metadata->labels, LABEL_HASH)) {
		bare.metadata = meta_copy(t->metadata, a);
		pairs_del(&bare.metadata->labels, LABEL_HASH);
	}
	return bare;
}

/* The oldest set with our template is the new one; the others are old. */
static void
find_new(struct rollout *r)
{
	struct pod_template_spec want = bare_template(r->d->spec->template, r->p->arena);

	for (size_t i = 0; i < r->n && !r->new; i++) {
		struct pod_template_spec has =
		    bare_template(r->sets[i].rs->spec->template, r->p->arena);

		if (schema_equal(pod_template_spec_kind(), &want, &has))
			r->new = &r->sets[i];
	}
}

int64_t
annotation_number(const void *obj, const char *key, int64_t missing)
{
	const char *text = object_annotation(obj, key);

	return text && *text ? strtoll(text, NULL, 10) : missing;
}

/* Above every old set's. */
static int64_t
next_revision(const struct rollout *r)
{
	int64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (&r->sets[i] != r->new)
			n = most(n, annotation_number(r->sets[i].rs, ANNOTATION_REVISION, 0));
	return n + 1;
}

/* ResolveFenceposts: a surge is rounded up, what may be missing down; both 0
 * would never move, so then one may be missing. */
static void
fenceposts(struct rollout *r)
{
	const struct deployment_strategy *st = r->d->spec->strategy;
	const struct rolling_update_deployment *ru = st ? st->rollingUpdate : NULL;

	r->replicas = r->d->spec->replicas;
	r->recreate = deployment_recreates(r->d);
	if (r->recreate)
		return;
	if (ru) {
		r->surge = iors_of(ru->maxSurge, r->replicas, true);
		r->unavailable = iors_of(ru->maxUnavailable, r->replicas, false);
	}
	if (!r->surge && !r->unavailable)
		r->unavailable = 1;
	r->unavailable = least(r->unavailable, r->replicas);
}

/* ---- writing sets ---- */

struct replica_set *
set_draft(struct rollout *r, struct set *set)
{
	if (!set->draft) {
		set->draft = object_draft(set->rs, r->p->arena);
		set->draft->spec = arena_alloc(r->p->arena, sizeof *set->draft->spec);
		*set->draft->spec = *set->rs->spec;
	}
	return set->draft;
}

static bool
annotate(struct object_meta *m, const char *key, const char *value, struct arena *a)
{
	if (str_is(pairs_get(&m->annotations, key), value) && pairs_get(&m->annotations, key))
		return false;
	pairs_set(&m->annotations, key, value, a);
	return true;
}

bool
sizes_annotate(const struct rollout *r, struct object_meta *m)
{
	struct arena *a = r->p->arena;
	bool changed = annotate(m, ANNOTATION_DESIRED, label_number(r->replicas, a), a);

	return annotate(m, ANNOTATION_MAX, label_number(r->replicas + r->surge, a), a) ||
	       changed;
}

static bool
annotation_is_copied(const char *key)
{
	static const char *const kept[] = { "kubectl.kubernetes.io/last-applied-configuration",
					    ANNOTATION_REVISION,
					    ANNOTATION_HISTORY,
					    ANNOTATION_DESIRED,
					    ANNOTATION_MAX,
					    "deprecated.deployment.rollback.to" };

	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (!strcmp(key, kept[i]))
			return false;
	return !key_is_kedges(key);
}

enum { HISTORY_MAX = 2000 }; /* characters; the oldest leave */

/* "1,3" and "7": "1,3,7" */
static const char *
history_with(const char *history, const char *was, struct arena *a)
{
	const char *comma;

	while (history && *history && strlen(history) + 1 + strlen(was) > HISTORY_MAX) {
		comma = strchr(history, ',');
		history = comma ? comma + 1 : NULL;
	}
	return history && *history ? arena_printf(a, "%s,%s", history, was) : was;
}

/* SetNewReplicaSetAnnotations: the Deployment's own (change-cause among them),
 * and the revision, which only ever rises. */
static bool
annotate_new(const struct rollout *r, struct object_meta *m, int64_t revision)
{
	const struct pairs *from = &r->d->metadata->annotations;
	const char *was = pairs_get(&m->annotations, ANNOTATION_REVISION);
	struct arena *a = r->p->arena;
	bool changed = false;

	for (size_t i = 0; i < from->n; i++)
		if (annotation_is_copied(from->at[i].key))
			changed |= annotate(m, from->at[i].key, from->at[i].value, a);
	if (was && strtoll(was, NULL, 10) >= revision)
		return changed;
	if (was)
		pairs_set(&m->annotations, ANNOTATION_HISTORY,
			  history_with(pairs_get(&m->annotations, ANNOTATION_HISTORY), was, a),
			  a);
	pairs_set(&m->annotations, ANNOTATION_REVISION, label_number(revision, a), a);
	return true;
}

void
set_scale(struct rollout *r, struct set *set, int64_t want, const char *why)
{
	struct replica_set *c;
	int64_t from = set->want;

	if (want == from)
		return;
	c = set_draft(r, set);
	sizes_annotate(r, c->metadata);
	c->spec->replicas = set->want = want;
	set->dirty = false;
	plan_write(r->p, ACT_SCALE, c, from, want, why);
}

/* New annotations of a set that is not scaled in this pass. */
static void
flush(struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->sets[i].dirty)
			plan_write(r->p, ACT_UPDATE, r->sets[i].draft, 0, 0,
				   r->sets[i].why ? r->sets[i].why : "annotations");
}

/* ---- the new set ---- */

int64_t
rollout_want(const struct rollout *r, bool with_new)
{
	int64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (with_new || &r->sets[i] != r->new)
			n += r->sets[i].want;
	return n;
}

/* NewRSNewReplicas: as many as fit under the ceiling. */
static int64_t
new_want(const struct rollout *r, int64_t now)
{
	int64_t room = r->replicas + r->surge - rollout_want(r, true);

	if (r->recreate)
		return r->replicas;
	return room <= 0 ? now : now + least(room, r->replicas - now);
}

/* Ten digits at most, spelt as Kubernetes spells a hash: no vowels, no words. */
static const char *
template_hash(const struct rollout *r, const struct pod_template_spec *bare)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint64_t h = schema_hash(pod_template_spec_kind(), bare);
	char *text;

	if (r->d->status && r->d->status->collisionCount)
		h = hash_bytes(h, &r->d->status->collisionCount,
			       sizeof r->d->status->collisionCount);
	text = arena_printf(r->p->arena, "%u", (unsigned)(h ^ h >> 32));
	for (char *c = text; *c; c++)
		*c = letters[(unsigned char)*c % (sizeof letters - 1)];
	return text;
}

static struct replica_set *
set_from_template(struct rollout *r, const char *hash)
{
	const struct deployment_spec *ds = r->d->spec;
	struct arena *a = r->p->arena;
	struct replica_set *rs =
	    object_new(RES_replica_set, object_namespace(r->d),
		       arena_printf(a, "%s-%s", object_name(r->d), hash), a);
	struct pod_template_spec *t = arena_alloc(a, sizeof *t);
	struct label_selector *sel = schema_clone(label_selector_kind(), ds->selector, a);

	*t = *ds->template;
	t->metadata =
	    t->metadata ? meta_copy(t->metadata, a) : arena_zalloc(a, sizeof *t->metadata);
	pairs_set(&t->metadata->labels, LABEL_HASH, hash, a);
	pairs_set(&sel->matchLabels, LABEL_HASH, hash, a);
	rs->metadata->labels = meta_copy(t->metadata, a)->labels;
	owner_add(rs->metadata, r->d, a);
	rs->spec = arena_zalloc(a, sizeof *rs->spec);
	rs->spec->minReadySeconds = ds->minReadySeconds;
	rs->spec->selector = sel;
	rs->spec->template = t;
	return rs;
}

/* False when the name is taken by a set that is not ours: another hash, next pass. */
static bool
create_new(struct rollout *r)
{
	struct pod_template_spec bare = bare_template(r->d->spec->template, r->p->arena);
	struct replica_set *rs = set_from_template(r, template_hash(r, &bare));

	if (snapshot_find(r->s, RES_replica_set, object_namespace(rs), object_name(rs))) {
		r->collided = true;
		return false;
	}
	rs->spec->replicas = new_want(r, 0);
	annotate_new(r, rs->metadata, r->revision);
	sizes_annotate(r, rs->metadata);
	plan_write(r->p, ACT_CREATE, rs, 0, rs->spec->replicas,
		   r->n ? "new template" : "first one");
	r->created = object_name(rs);
	return true;
}

/* Its revision, annotations and minReadySeconds follow the Deployment. */
static void
refresh_new(struct rollout *r)
{
	struct set *set = r->new;
	int64_t was = annotation_number(set->rs, ANNOTATION_REVISION, 0);
	struct object_meta *m = meta_copy(set->rs->metadata, r->p->arena);
	bool changed = annotate_new(r, m, r->revision);

	if (set->rs->spec->minReadySeconds != r->d->spec->minReadySeconds)
		changed = true;
	if (!changed)
		return;
	set_draft(r, set)->metadata = m;
	set->draft->spec->minReadySeconds = r->d->spec->minReadySeconds;
	set->dirty = true;
	set->why = was && was < r->revision
		       ? arena_printf(r->p->arena, "the template of revision %lld again",
				      (long long)was)
		       : "follows its Deployment";
}

/* ---- rolling ---- */

/* Pods beyond what the set wants do not count, and the unready go first. */
static int64_t
available(const struct set *set)
{
	return least(set->pods.available, set->want);
}

static int64_t
sum_available(const struct rollout *r)
{
	int64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += available(&r->sets[i]);
	return n;
}

/* The broken serve nobody, so they go first (but not more than the new set's own
 * missing ones allow: they may yet recover); then whom availability can spare.
 * One write a set, so both are added up before. */
static void
shrink_old(struct rollout *r)
{
	int64_t floor = r->replicas - r->unavailable;
	int64_t missing = r->new ? r->new->want - available(r->new) : 0;
	int64_t room = rollout_want(r, true) - floor - missing;
	int64_t spare = sum_available(r) - floor;

	for (size_t i = 0; i < r->n; i++) {
		struct set *old = &r->sets[i];

		if (old == r->new)
			continue;
		old->broken = most(least(room, old->want - available(old)), 0);
		room -= old->broken;
	}
	for (size_t i = 0; i < r->n; i++) {
		struct set *old = &r->sets[i];
		int64_t by = most(least(spare, old->want - old->broken), 0);

		if (old == r->new)
			continue;
		spare -= by;
		set_scale(r, old, old->want - old->broken - by,
			  by ? "replaced" : "never became ready");
	}
}

static void
roll(struct rollout *r)
{
	if (!r->new) {
		create_new(r);
		return; /* the next pass sees the set and makes room */
	}
	if (r->new->want > r->replicas)
		set_scale(r, r->new, r->replicas, "more than wanted");
	else
		set_scale(r, r->new, new_want(r, r->new->want), "room to grow");
	shrink_old(r);
}

/* With Recreate two versions never run side by side, not even while one ends. */
bool
rollout_lingers(const struct rollout *r, const struct set *but)
{
	for (size_t i = 0; i < r->n; i++)
		if (&r->sets[i] != but &&
		    (r->sets[i].lingering || r->sets[i].rs->spec->replicas))
			return true; /* or is about to make some: its size is set in this pass
				      */
	return false;
}

static void
recreate(struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (&r->sets[i] != r->new)
			set_scale(r, &r->sets[i], 0, "to be recreated");
	if (rollout_lingers(r, r->new))
		return;
	if (!r->new)
		create_new(r);
	else
		set_scale(r, r->new, r->replicas, "recreated");
}

/* ---- the past ---- */

/* Old sets beyond revisionHistoryLimit, the lowest revisions first. */
static void
clean_up(struct rollout *r)
{
	struct set **by = arena_alloc(r->p->arena, (r->n + 1) * sizeof *by);
	int64_t limit = r->d->spec->revisionHistoryLimit;
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		int64_t rev = annotation_number(r->sets[i].rs, ANNOTATION_REVISION, 0);
		size_t at = n;

		if (&r->sets[i] == r->new || r->sets[i].rs->metadata->deletionTimestamp)
			continue;
		n++;
		for (; at && rev < annotation_number(by[at - 1]->rs, ANNOTATION_REVISION, 0);
		     at--)
			by[at] = by[at - 1];
		by[at] = &r->sets[i];
	}
	for (size_t i = 0; (int64_t)i < (int64_t)n - limit; i++) {
		const struct set *old = by[i];

		if (old->want || old->pods.active || old->lingering ||
		    (old->rs->status && old->rs->status->replicas) ||
		    (old->rs->status &&
		     old->rs->metadata->generation > old->rs->status->observedGeneration))
			continue;
		plan_name(r->p, ACT_DELETE, old->rs,
			  arena_printf(r->p->arena, "beyond revisionHistoryLimit %lld",
				       (long long)limit));
	}
}

void
deployment_reconcile(struct snapshot *s, const struct deployment *d, struct plan *p)
{
	struct rollout r = { .s = s, .d = d, .p = p };
	bool sync;

	if (!d->spec || !d->spec->selector || !d->spec->template ||
	    selector_empty(d->spec->selector))
		return;
	if (!d->metadata->deletionTimestamp &&
	    ownership_settle(s, RES_replica_set, d, d->spec->selector, p))
		return;
	gather(&r);
	fenceposts(&r);
	find_new(&r);
	r.revision = next_revision(&r);
	if (d->metadata->deletionTimestamp) {
		deployment_status_write(&r);
		return;
	}
	sync = d->spec->paused || (!r.recreate && deployment_is_scaling(&r));
	if (r.new)
		refresh_new(&r);
	if (sync)
		deployment_scale(&r);
	else if (r.recreate)
		recreate(&r);
	else
		roll(&r);
	flush(&r);
	if (deployment_status_write(&r) || d->spec->paused)
		clean_up(&r);
}

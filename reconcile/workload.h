/* workload.h -- what the controllers of pods, ReplicaSets and Deployments share.
 *
 * Static and small, so that each controller's object file still asks the linker
 * for nothing but plans, snapshots, schemas and strings.
 */
#ifndef KEDGE_WORKLOAD_H
#define KEDGE_WORKLOAD_H
#include "base/arena.h"
#include "base/text.h"
#include "plan.h"
#include "pod_parts.h"
#include "snapshot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Seconds of grace, of which the hand counts no more: 68 years are as good as for ever. */
static inline int64_t
grace_counted(int64_t seconds)
{
	return least(seconds, INT32_MAX);
}

/* Its strategy is Recreate: no pod is made before the last of the old is gone. */
static inline bool
deployment_recreates(const struct deployment *d)
{
	return d->spec->strategy && str_is(d->spec->strategy->type, "Recreate");
}

/* ---- actions ---- */

/* An action about obj that carries a deep copy of it: the store may drop the
 * original while the plan is still being carried out.  A resource's singular
 * is its kind in lower case, so the line can be printed and parsed. */
static inline void
plan_write(struct plan *p, enum verb v, const void *obj, int64_t from, int64_t to,
	   const char *why)
{
	const void *body = object_clone(obj, p->arena);

	plan_add(p, (struct action){ .verb = v,
				     .kind = resource_of(body)->singular,
				     .ns = object_namespace(body),
				     .name = object_name(body),
				     .from = from,
				     .to = to,
				     .why = arena_strdup(p->arena, why),
				     .body = body });
}

/* What describe shows of obj; recorded by the caller of the plan, counted when it repeats.
 * The uid is filled in here. */
static inline void
plan_event(struct plan *p, const void *obj, struct event_args e)
{
	struct event_args *body = arena_alloc(p->arena, sizeof *body);

	e.message = arena_strdup(p->arena, e.message);
	e.uid = arena_strdup(p->arena, object_uid(obj));
	*body = e;
	plan_add(p,
		 (struct action){ .verb = ACT_EVENT,
				  .kind = resource_of(obj)->singular,
				  .ns = arena_strdup(p->arena, object_namespace(obj)),
				  .name = arena_strdup(p->arena, object_name(obj)),
				  .why = arena_printf(p->arena, "%s: %s", e.reason, e.message),
				  .body = body });
}

/* An action about obj that needs no more than its name. */
static inline void
plan_name(struct plan *p, enum verb v, const void *obj, const char *why)
{
	plan_add(p, (struct action){ .verb = v,
				     .kind = resource_of(obj)->singular,
				     .ns = arena_strdup(p->arena, object_namespace(obj)),
				     .name = arena_strdup(p->arena, object_name(obj)),
				     .why = arena_strdup(p->arena, why) });
}

/* ---- metadata ---- */

/* A copy that may get other labels, annotations and owners; the rest is shared. */
static inline struct object_meta *
meta_copy(const struct object_meta *m, struct arena *a)
{
	struct object_meta *c = arena_alloc(a, sizeof *c);

	*c = *m;
	c->labels.at = arena_alloc(a, (m->labels.n + 1) * sizeof *m->labels.at);
	if (m->labels.n)
		memcpy(c->labels.at, m->labels.at, m->labels.n * sizeof *m->labels.at);
	c->annotations.at = arena_alloc(a, (m->annotations.n + 1) * sizeof *m->annotations.at);
	if (m->annotations.n)
		memcpy(c->annotations.at, m->annotations.at,
		       m->annotations.n * sizeof *m->annotations.at);
	return c;
}

/* "kedge.dev/...": says where this very object is from, and is copied to no other. */
static inline bool
key_is_kedges(const char *key)
{
	return !strncmp(key, KEDGE_KEYS, strlen(KEDGE_KEYS));
}

/* Another object's labels, for one that does not come from Git with it. */
static inline void
labels_take(struct object_meta *m, const struct pairs *from, struct arena *a)
{
	m->labels = (struct pairs){ 0 };
	for (size_t i = 0; i < from->n; i++)
		if (!key_is_kedges(from->at[i].key))
			pairs_set(&m->labels, from->at[i].key, from->at[i].value, a);
}

static inline const char *
label_number(int64_t n, struct arena *a)
{
	return arena_printf(a, "%lld", (long long)n);
}

static inline void
owner_add(struct object_meta *m, const void *owner, struct arena *a)
{
	const struct resource *r = resource_of(owner);
	struct owner_reference *at = arena_zalloc(a, (m->ownerReferences.n + 1) * sizeof *at);

	if (m->ownerReferences.n)
		memcpy(at, m->ownerReferences.at, m->ownerReferences.n * sizeof *at);
	at[m->ownerReferences.n] = (struct owner_reference){ .apiVersion = r->api_version,
							     .kind = r->kind,
							     .name = object_name(owner),
							     .uid = object_uid(owner),
							     .controller = true,
							     .blockOwnerDeletion = true };
	m->ownerReferences.at = at;
	m->ownerReferences.n++;
}

static inline void
owner_drop(struct object_meta *m, const char *uid, struct arena *a)
{
	struct owner_reference *at = arena_zalloc(a, (m->ownerReferences.n + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (!str_is(m->ownerReferences.at[i].uid, uid))
			at[n++] = m->ownerReferences.at[i];
	m->ownerReferences.at = at;
	m->ownerReferences.n = n;
}

static inline bool
finalizer_has(const struct object_meta *m, const char *name)
{
	return strs_has(&m->finalizers, name);
}

/* In a list of its own: the one that it was in may be others', too. */
static inline void
finalizer_add(struct object_meta *m, const char *name, struct arena *a)
{
	const char **at = arena_alloc(a, (m->finalizers.n + 1) * sizeof *at);

	for (size_t i = 0; i < m->finalizers.n; i++)
		at[i] = m->finalizers.at[i];
	at[m->finalizers.n++] = name;
	m->finalizers.at = at;
}

/* A copy of obj (of any resource) with metadata that may be changed. */
static inline void *
object_draft(const void *obj, struct arena *a)
{
	const struct resource *r = resource_of(obj);
	struct object *c = arena_alloc(a, r->schema->size);

	memcpy(c, obj, r->schema->size);
	c->metadata = meta_copy(c->metadata, a);
	return c;
}

/* Whom this selector may adopt: without a controller, not going, and matching. */
static inline struct objects
adoptable(struct snapshot *s, enum resource_id res, const char *ns,
	  const struct label_selector *sel)
{
	struct objects all = snapshot_orphans(s, res, ns);
	const struct object **at;
	size_t n = 0;

	if (!all.n || !sel || selector_empty(sel))
		return (struct objects){ 0 };
	if (all.n > 8 && sel->matchLabels.n) /* cheaper by the label index */
		all = snapshot_selected(s, res, ns, &sel->matchLabels);
	at = arena_alloc(s->arena, (all.n + 1) * sizeof *at);
	for (size_t i = 0; i < all.n; i++) {
		const struct object *o = all.at[i];

		if (!object_controller(o) && !o->metadata->deletionTimestamp &&
		    selector_matches(sel, &o->metadata->labels))
			at[n++] = o;
	}
	return (struct objects){ at, n };
}

/* Takes in orphans that match and lets go of owned ones that no longer do.
 * True when it wrote something: the owner then waits for the next pass. */
static inline bool
ownership_settle(struct snapshot *s, enum resource_id res, const void *owner,
		 const struct label_selector *sel, struct plan *p)
{
	struct objects owned = snapshot_owned(s, res, object_uid(owner));
	struct objects free = adoptable(s, res, object_namespace(owner), sel);
	bool wrote = false;

	for (size_t i = 0; i < owned.n; i++) {
		struct object *c;

		if (owned.at[i]->metadata->deletionTimestamp ||
		    selector_matches(sel, &owned.at[i]->metadata->labels))
			continue;
		c = object_draft(owned.at[i], p->arena);
		owner_drop(c->metadata, object_uid(owner), p->arena);
		plan_write(p, ACT_UPDATE, c, 0, 0,
			   arena_printf(p->arena,
					"released: its labels left the selector of %s",
					object_name(owner)));
		wrote = true;
	}
	for (size_t i = 0; i < free.n; i++) {
		struct object *c = object_draft(free.at[i], p->arena);

		owner_add(c->metadata, owner, p->arena);
		plan_write(p, ACT_UPDATE, c, 0, 0,
			   arena_printf(p->arena, "adopted by %s", object_name(owner)));
		wrote = true;
	}
	return wrote;
}

/* ---- conditions: works on the LIST(condition, ...) of any status ---- */

struct conditions {
	struct condition *at;
	size_t n;
};

static inline struct condition *
condition_of(const struct condition *at, size_t n, const char *type)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(at[i].type, type))
			return (struct condition *)&at[i];
	return NULL;
}

/* A copy with room for `more`. */
static inline struct conditions
conditions_copy(const struct condition *at, size_t n, size_t more, struct arena *a)
{
	struct conditions c = { arena_zalloc(a, (n + more + 1) * sizeof *at), n };

	if (n)
		memcpy(c.at, at, n * sizeof *at);
	return c;
}

static inline void
conditions_drop(struct conditions *c, const char *type)
{
	struct condition *x = condition_of(c->at, c->n, type);

	if (x) {
		memmove(x, x + 1, (size_t)(c->at + c->n - x - 1) * sizeof *x);
		c->n--;
	}
}

/* True or False; the transition time moves only when that flips.  There is room for one. */
static inline struct condition *
condition_set(struct conditions *c, const char *type, bool holds, const char *reason,
	      const char *message, int64_t now)
{
	const char *status = holds ? "True" : "False";
	struct condition *x = condition_of(c->at, c->n, type);

	if (!x) {
		x = &c->at[c->n++];
		*x = (struct condition){ .type = type };
	}
	if (!str_is(x->status, status))
		x->lastTransitionTime = now;
	x->status = status;
	x->reason = reason;
	x->message = message;
	return x;
}

/* ---- pods, as their owners see them ---- */

static inline const char *
pod_phase(const struct pod *p)
{
	return p->status && p->status->phase ? p->status->phase : "";
}

static inline bool
pod_is_finished(const struct pod *p)
{
	return str_is(pod_phase(p), "Succeeded") || str_is(pod_phase(p), "Failed");
}

/* The operator's `allow` turned it away for good. */
#define REASON_REJECTED "SysctlForbidden"

static inline bool
pod_is_rejected(const struct pod *p)
{
	return pod_is_finished(p) && p->status && str_is(p->status->reason, REASON_REJECTED);
}

static inline bool
pod_is_active(const struct pod *p)
{
	return !p->metadata->deletionTimestamp && !pod_is_finished(p);
}

static inline const struct condition *
pod_condition(const struct pod *p, const char *type)
{
	return p->status ? condition_of(p->status->conditions.at, p->status->conditions.n, type)
			 : NULL;
}

static inline bool
pod_is_ready(const struct pod *p)
{
	const struct condition *c = pod_condition(p, "Ready");

	return c && str_is(c->status, "True");
}

/* Of a pod that goes, its lastTransitionTime: since when it is in no rule, and its connections
 * are waited for. */
#define CONDITION_DRAINING "kedge.dev/Draining"

/* When a ready pod counts as available: its minReadySeconds are over.  Ready since a time that
 * is still to come, it is at once: the clock was set back, as in snapshot_early. */
static inline int64_t
pod_available_at(const struct pod *p, int64_t min_ready, int64_t now)
{
	const struct condition *c = pod_condition(p, "Ready");

	return min_ready > 0 && c->lastTransitionTime <= now
		   ? c->lastTransitionTime + min_ready * 1000
		   : 0;
}

struct pod_counts {
	int64_t active, ready, available;
	int64_t next; /* when the next ready pod becomes available; 0: none waits */
};

static inline void
pod_count(struct pod_counts *c, const struct pod *p, int64_t min_ready, int64_t now)
{
	int64_t at;

	if (!pod_is_active(p))
		return;
	c->active++;
	if (!pod_is_ready(p))
		return;
	c->ready++;
	at = pod_available_at(p, min_ready, now);
	if (at <= now)
		c->available++;
	else if (!c->next || at < c->next)
		c->next = at;
}
#endif

/* volume.c -- one PersistentVolume: its phase, and what becomes of it without its claim.
 *
 * Pure.  Data goes only here, and only when all of this holds: the claim it was bound to is
 * gone from the store (which it is not while a pod uses it), the volume's own
 * policy says Delete, and the directory is one that kedge made.
 */
#include "volume.h"
#include "controllers.h"

enum { RECLAIM_RETRY = 60 * 1000 };

/* The claim of claimRef, when it is that very one. */
static const struct persistent_volume_claim *
claim_of(struct snapshot *s, const struct persistent_volume *v)
{
	const struct object_reference *r = v->spec->claimRef;
	const struct persistent_volume_claim *c =
	    r ? snapshot_find(s, RES_persistent_volume_claim, r->namespace ? r->namespace : "",
			      r->name ? r->name : "")
	      : NULL;

	return c && (str_is(r->uid, "") || str_is(r->uid, object_uid(c))) ? c : NULL;
}

static void
phase_write(struct snapshot *s, const struct persistent_volume *v, const char *phase,
	    const char *reason, const char *message, struct plan *p)
{
	struct persistent_volume *copy = object_draft(v, p->arena);
	bool fresh = !finalizer_has(v->metadata, FINALIZER_VOLUME);

	if (!fresh && str_is(volume_phase(v), phase) && str_is(v->status->message, message) &&
	    str_is(v->status->reason, reason))
		return;
	copy->status = arena_zalloc(p->arena, sizeof *copy->status);
	if (v->status)
		*copy->status = *v->status;
	if (!str_is(volume_phase(v), phase))
		copy->status->lastPhaseTransitionTime = s->now;
	copy->status->phase = phase;
	copy->status->reason = reason;
	copy->status->message = message;
	if (fresh)
		finalizer_add(copy->metadata, FINALIZER_VOLUME, p->arena);
	plan_write(p, fresh ? ACT_UPDATE : ACT_STATUS, copy, 0, 0, phase);
}

static void
failed(struct snapshot *s, const struct persistent_volume *v, const char *reason,
       const char *message, struct plan *p)
{
	if (!str_is(volume_phase(v), "Failed") || !str_is(v->status->message, message))
		volume_tell(p, v, "Warning", reason, message);
	phase_write(s, v, "Failed", NULL, message, p);
}

static void
reclaim_own(struct snapshot *s, const struct persistent_volume *v, struct plan *p)
{
	const struct store_seen *store = volume_store(s, object_name(v));
	const struct object_reference *r = v->spec->claimRef;

	if (!s->stores)
		return;
	if (!store || !store->there) {
		plan_name(p, ACT_DELETE, v, "its data is gone");
		return;
	}
	if (store->error &&
	    snapshot_early(s, store->failedAt, store->failedAt + RECLAIM_RETRY)) {
		failed(s, v, "VolumeFailedDelete", store->error, p);
		plan_again(p, store->failedAt + RECLAIM_RETRY);
		return;
	}
	volume_order(
	    p, ACT_RECLAIM, object_name(v), NULL,
	    arena_printf(p->arena, "%s of claim %s/%s that is gone, reclaim policy Delete",
			 pairs_get(&v->spec->capacity, "storage"), r->namespace, r->name));
}

static void
released(struct snapshot *s, const struct persistent_volume *v, struct plan *p)
{
	const char *policy = v->spec->persistentVolumeReclaimPolicy;

	if (str_is(policy, "Retain") ||
	    (!str_is(volume_phase(v), "Released") && !str_is(volume_phase(v), "Failed"))) {
		phase_write(s, v, "Released", NULL, NULL, p);
		return;
	}
	if (str_is(policy, "Recycle"))
		failed(s, v, "VolumeFailedRecycle", "No recycler plugin found for the volume!",
		       p);
	else if (!volume_is_own(v))
		failed(s, v, "VolumeFailedDelete",
		       arena_printf(p->arena,
				    "error getting deleter volume plugin for volume \"%s\": no "
				    "deletable volume plugin matched",
				    object_name(v)),
		       p);
	else
		reclaim_own(s, v, p);
}

/* Somebody deleted it while its claim had it: the promise that its data goes with the claim
 * holds still, and nobody could keep it once the volume is forgotten. */
static bool
leaves_data(struct snapshot *s, const struct persistent_volume *v)
{
	const struct store_seen *store = volume_store(s, object_name(v));

	return v->spec->claimRef && !str_is(v->spec->claimRef->uid, "") &&
	       str_is(v->spec->persistentVolumeReclaimPolicy, "Delete") && volume_is_own(v) &&
	       (!s->stores || (store && store->there));
}

void
volume_reconcile(struct snapshot *s, const struct persistent_volume *v, struct plan *p)
{
	const struct persistent_volume_claim *c;

	if (!v->spec)
		return;
	c = claim_of(s, v);
	if (v->metadata->deletionTimestamp) {
		/* protected while a claim has it */
		if (!c && leaves_data(s, v))
			reclaim_own(s, v, p);
		else if (!c || !str_is(c->spec->volumeName, object_name(v)))
			plan_name(p, ACT_FORGET, v, "no claim has it");
		return;
	}
	if (!v->spec->claimRef || str_is(v->spec->claimRef->uid, ""))
		phase_write(s, v, "Available", NULL, NULL, p);
	else if (c)
		phase_write(s, v, "Bound", NULL, NULL, p);
	else
		released(s, v, p);
}

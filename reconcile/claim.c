/* claim.c -- one PersistentVolumeClaim: finds its volume or has one made, and keeps it.
 *
 * Pure.  Bound in two writes, volume first, as in Kubernetes: the volume's claimRef is
 * what decides, so a plan that is cut between the two is finished by the next, and two
 * claims never have one volume.  A claim that is deleted stays as long as a pod uses it.
 */
#include "controllers.h"
#include "volume.h"

#define ANNOTATION_FAILED "kedge.dev/provisioning-failed" /* what was said of it last */

enum { PROVISION_RETRY = 15 * 1000 };

/* A draft with the finalizer and this phase; the caller changes more and writes it. */
static struct persistent_volume_claim *
draft(const struct persistent_volume_claim *c, const char *phase, struct arena *a)
{
	struct persistent_volume_claim *copy = object_draft(c, a);

	copy->status = arena_zalloc(a, sizeof *copy->status);
	if (c->status)
		*copy->status = *c->status;
	copy->status->phase = phase;
	if (!finalizer_has(c->metadata, FINALIZER_CLAIM))
		finalizer_add(copy->metadata, FINALIZER_CLAIM, a);
	return copy;
}

/* What a claim without a volume says, once. */
static void
pending(const struct persistent_volume_claim *c, const char *type, const char *reason,
	const char *message, struct plan *p)
{
	if (!str_is(claim_phase(c), "Pending") ||
	    !finalizer_has(c->metadata, FINALIZER_CLAIM)) {
		plan_write(p, ACT_UPDATE, draft(c, "Pending", p->arena), 0, 0,
			   message ? message : "Pending");
		if (reason)
			volume_tell(p, c, type, reason, message);
	}
}

static bool
has_class(const struct persistent_volume_claim *c)
{
	return c->spec->storageClassName ||
	       schema_has(persistent_volume_claim_spec_kind(), c->spec, "storageClassName");
}

/* A claim that names no class gets the default one, also when that comes later. */
static bool
class_given(struct snapshot *s, const struct persistent_volume_claim *c, struct plan *p)
{
	const struct storage_class *class = has_class(c) ? NULL : volume_class_default(s);
	struct persistent_volume_claim *copy;

	if (!class || !str_is(c->spec->volumeName, ""))
		return false;
	/* not yet Pending: what it waits for is told when it becomes so */
	copy = draft(c, c->status ? c->status->phase : NULL, p->arena);
	copy->spec = arena_alloc(p->arena, sizeof *copy->spec);
	*copy->spec = *c->spec;
	copy->spec->storageClassName = object_name(class);
	schema_mark(persistent_volume_claim_spec_kind(), copy->spec, "storageClassName");
	plan_write(p, ACT_UPDATE, copy, 0, 0,
		   arena_printf(p->arena, "the default class, %s", object_name(class)));
	return true;
}

/* ---- bound ---- */

static bool
same_strs(const struct strs *a, const struct strs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_is(a->at[i], b->at[i]))
			return false;
	return true;
}

/* The volume is ours: the claim says so too, with what it really got. */
static void
bound(const struct persistent_volume_claim *c, const struct persistent_volume *v,
      struct plan *p)
{
	const char *size = pairs_get(&v->spec->capacity, "storage");
	bool chosen = str_is(c->spec->volumeName, "");
	struct persistent_volume_claim *copy;

	if (!chosen && str_is(claim_phase(c), "Bound") &&
	    str_is(pairs_get(&c->status->capacity, "storage"), size) &&
	    same_strs(&c->status->accessModes, &v->spec->accessModes) &&
	    finalizer_has(c->metadata, FINALIZER_CLAIM))
		return;
	copy = draft(c, "Bound", p->arena);
	copy->status->accessModes = v->spec->accessModes;
	copy->status->capacity = (struct pairs){ 0 };
	if (size)
		pairs_set(&copy->status->capacity, "storage", size, p->arena);
	pairs_set(&copy->metadata->annotations, ANNOTATION_BOUND, "yes", p->arena);
	if (chosen) {
		pairs_set(&copy->metadata->annotations, ANNOTATION_BOUND_BY, "yes", p->arena);
		copy->spec = arena_alloc(p->arena, sizeof *copy->spec);
		*copy->spec = *c->spec;
		copy->spec->volumeName = object_name(v);
	}
	plan_write(p, ACT_UPDATE, copy, 0, 0,
		   arena_printf(p->arena, "bound to %s", object_name(v)));
}

/* A claim may grow when its class lets it and the volume is one of ours. */
static bool
grows(struct snapshot *s, const struct persistent_volume_claim *c,
      const struct persistent_volume *v, struct plan *p)
{
	const struct storage_class *class = volume_class(s, v->spec->storageClassName);
	const char *want = claim_request(c);
	struct persistent_volume *copy;

	if (quantity_value(want) <= quantity_value(pairs_get(&v->spec->capacity, "storage")) ||
	    !volume_is_own(v) || !class || !class->allowVolumeExpansion)
		return false;
	copy = object_draft(v, p->arena);
	copy->spec = arena_alloc(p->arena, sizeof *copy->spec);
	*copy->spec = *v->spec;
	copy->spec->capacity = (struct pairs){ 0 };
	pairs_set(&copy->spec->capacity, "storage", want, p->arena);
	plan_write(p, ACT_UPDATE, copy, 0, 0, arena_printf(p->arena, "grows to %s", want));
	volume_order(p, ACT_PROVISION, object_name(v), want, "another size");
	volume_tell(p, c, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded");
	return true;
}

static void
lost(const struct persistent_volume_claim *c, const char *reason, const char *message,
     struct plan *p)
{
	if (str_is(claim_phase(c), "Lost"))
		return;
	plan_write(p, ACT_UPDATE, draft(c, "Lost", p->arena), 0, 0, message);
	volume_tell(p, c, "Warning", reason, message);
}

/* claimRef first; what the claim itself says follows from it. */
static void
claim_volume(struct snapshot *s, const struct persistent_volume_claim *c,
	     const struct persistent_volume *v, struct plan *p)
{
	struct persistent_volume *copy = object_draft(v, p->arena);
	const struct resource *r = resource_of(c);
	struct object_reference *ref = arena_zalloc(p->arena, sizeof *ref);

	if (!volume_take(s, v))
		return;
	*ref = (struct object_reference){ .kind = r->kind,
					  .apiVersion = r->api_version,
					  .namespace = object_namespace(c),
					  .name = object_name(c),
					  .uid = object_uid(c),
					  .resourceVersion = c->metadata->resourceVersion };
	copy->spec = arena_alloc(p->arena, sizeof *copy->spec);
	*copy->spec = *v->spec;
	copy->spec->claimRef = ref;
	if (!v->spec->claimRef)
		pairs_set(&copy->metadata->annotations, ANNOTATION_BOUND_BY, "yes", p->arena);
	plan_write(p, ACT_UPDATE, copy, 0, 0,
		   arena_printf(p->arena, "bound to %s", object_path(c, p->arena)));
}

/* The claim names its volume: it is that one or none. */
static void
named(struct snapshot *s, const struct persistent_volume_claim *c, struct plan *p)
{
	const struct persistent_volume *v =
	    snapshot_find(s, RES_persistent_volume, "", c->spec->volumeName);
	bool was = str_is(claim_phase(c), "Bound") || str_is(claim_phase(c), "Lost");
	const char *why;

	if (!v && was) {
		lost(c, "ClaimLost",
		     "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
		     p);
	} else if (!v) {
		pending(c, "Normal", "FailedBinding",
			arena_printf(p->arena, "volume \"%s\" not found", c->spec->volumeName),
			p);
	} else if (volume_is_for(v, c) && !str_is(v->spec->claimRef->uid, "")) {
		if (!grows(s, c, v, p))
			bound(c, v, p);
	} else if (v->spec->claimRef && !volume_is_for(v, c)) {
		if (was)
			lost(c, "ClaimMisbound",
			     "Two claims are bound to the same volume, this one is bound "
			     "incorrectly",
			     p);
		else
			pending(
			    c, "Normal", "FailedBinding",
			    arena_printf(p->arena,
					 "volume \"%s\" already bound to a different claim.",
					 object_name(v)),
			    p);
	} else if ((why = volume_misfit(v, c))) {
		pending(c, "Warning", "VolumeMismatch",
			arena_printf(p->arena, "Cannot bind to requested volume \"%s\": %s",
				     object_name(v), why),
			p);
	} else if (!v->metadata->deletionTimestamp) {
		claim_volume(s, c, v, p);
	}
}

/* ---- made for it ---- */

static const char *
made_name(const struct persistent_volume_claim *c, struct arena *a)
{
	return arena_printf(a, "pvc-%s", object_uid(c));
}

/* The directory is there: now the volume that stands for it. */
static void
volume_create(struct snapshot *s, const struct persistent_volume_claim *c,
	      const struct storage_class *class, struct plan *p)
{
	const char *name = made_name(c, p->arena);
	struct persistent_volume *v = object_new(RES_persistent_volume, "", name, p->arena);
	const struct resource *r = resource_of(c);
	struct node_selector *sel = arena_zalloc(p->arena, sizeof *sel);
	struct node_selector_requirement *need = arena_zalloc(p->arena, sizeof *need);
	const char **node = arena_alloc(p->arena, sizeof *node);

	pairs_set(&v->metadata->annotations, ANNOTATION_PROVISIONED_BY, PROVISIONER, p->arena);
	finalizer_add(v->metadata, FINALIZER_VOLUME, p->arena);
	v->spec = arena_zalloc(p->arena, sizeof *v->spec);
	if (claim_request(c))
		pairs_set(&v->spec->capacity, "storage", claim_request(c), p->arena);
	v->spec->accessModes = c->spec->accessModes;
	v->spec->persistentVolumeReclaimPolicy =
	    str_is(class->reclaimPolicy, "") ? "Delete" : class->reclaimPolicy;
	v->spec->storageClassName = object_name(class);
	v->spec->volumeMode = "Filesystem";
	v->spec->local = arena_zalloc(p->arena, sizeof *v->spec->local);
	v->spec->local->path = arena_printf(p->arena, "%s/%s", s->stores->folder, name);
	v->spec->claimRef = arena_zalloc(p->arena, sizeof *v->spec->claimRef);
	*v->spec->claimRef = (struct object_reference){ .kind = r->kind,
							.apiVersion = r->api_version,
							.namespace = object_namespace(c),
							.name = object_name(c),
							.uid = object_uid(c) };
	*node = s->settings->node_name;
	*need = (struct node_selector_requirement){ .key = "kubernetes.io/hostname",
						    .operator= "In",
						    .values = { node, 1 } };
	sel->nodeSelectorTerms.at = arena_zalloc(p->arena, sizeof *sel->nodeSelectorTerms.at);
	sel->nodeSelectorTerms.n = 1;
	sel->nodeSelectorTerms.at[0].matchExpressions.at = need;
	sel->nodeSelectorTerms.at[0].matchExpressions.n = 1;
	v->spec->nodeAffinity = arena_zalloc(p->arena, sizeof *v->spec->nodeAffinity);
	v->spec->nodeAffinity->required = sel;
	plan_write(p, ACT_CREATE, v, 0, 0,
		   arena_printf(p->arena, "for claim %s", object_path(c, p->arena)));
	volume_tell(p, c, "Normal", "ProvisioningSucceeded",
		    arena_printf(p->arena, "Successfully provisioned volume %s", name));
}

/* Said once: what was said last is noted on the claim. */
static void
provision_failed(const struct persistent_volume_claim *c, const struct storage_class *class,
		 const char *error, struct plan *p)
{
	struct persistent_volume_claim *copy;

	if (str_is(object_annotation(c, ANNOTATION_FAILED), error))
		return;
	copy = draft(c, "Pending", p->arena);
	pairs_set(&copy->metadata->annotations, ANNOTATION_FAILED, error, p->arena);
	plan_write(p, ACT_UPDATE, copy, 0, 0, error);
	volume_tell(p, c, "Warning", "ProvisioningFailed",
		    arena_printf(p->arena,
				 "failed to provision volume with StorageClass \"%s\": %s",
				 object_name(class), error));
}

static void
provision(struct snapshot *s, const struct persistent_volume_claim *c,
	  const struct storage_class *class, struct plan *p)
{
	const char *name = made_name(c, p->arena);
	const struct store_seen *store = volume_store(s, name);

	if (!s->stores)
		return; /* until the hand has spoken, it may well be there */
	if (str_is(c->spec->volumeMode, "Block")) {
		provision_failed(c, class, PROVISIONER " makes no volumes of mode Block", p);
		return;
	}
	if (store && store->there) {
		volume_create(s, c, class, p);
		return;
	}
	if (store && store->error &&
	    snapshot_early(s, store->failedAt, store->failedAt + PROVISION_RETRY)) {
		provision_failed(c, class, store->error, p);
		plan_again(p, store->failedAt + PROVISION_RETRY);
		return;
	}
	pending(c, "Normal", "Provisioning",
		arena_printf(p->arena,
			     "External provisioner is provisioning volume for claim \"%s\"",
			     object_path(c, p->arena)),
		p);
	volume_order(p, ACT_PROVISION, name, claim_request(c),
		     arena_printf(p->arena, "%s for claim %s", claim_request(c),
				  object_path(c, p->arena)));
}

/* No volume fits: is there somebody who makes one? */
static void
none_fits(struct snapshot *s, const struct persistent_volume_claim *c, struct plan *p)
{
	const char *name = c->spec->storageClassName;
	const struct storage_class *class = volume_class(s, name);

	if (str_is(name, ""))
		pending(c, "Normal", "FailedBinding",
			"no persistent volumes available for this claim and no storage class "
			"is set",
			p);
	else if (!class)
		pending(c, "Warning", "ProvisioningFailed",
			arena_printf(p->arena, "storageclass.storage.k8s.io \"%s\" not found",
				     name),
			p);
	else if (str_is(class->provisioner, PROVISIONER) && !c->spec->selector)
		provision(s, c, class, p);
	else if (str_is(class->provisioner, PROVISIONER))
		provision_failed(
		    c, class, "claim.Spec.Selector is not supported for dynamic provisioning",
		    p);
	else if (str_is(class->provisioner, NO_PROVISIONER))
		pending(c, "Normal", "FailedBinding",
			"no persistent volumes available for this claim and its storage class "
			"makes none",
			p);
	else
		pending(c, "Normal", "ExternalProvisioning",
			arena_printf(
			    p->arena,
			    "Waiting for a volume to be created either by the external "
			    "provisioner '%s' or manually by the system administrator. If "
			    "volume creation is delayed, please verify that the provisioner is "
			    "running and correctly registered.",
			    class->provisioner),
			p);
}

static void
unbound(struct snapshot *s, const struct persistent_volume_claim *c, struct plan *p)
{
	const struct storage_class *class = volume_class(s, c->spec->storageClassName);
	const struct persistent_volume *v = volume_match(s, c);

	if (v && volume_is_for(v, c) && !str_is(v->spec->claimRef->uid, "")) {
		bound(c, v, p); /* the second of the two writes */
	} else if (volume_class_waits(class) && !(v && v->spec->claimRef) &&
		   !volume_user(s, object_namespace(c), object_name(c))) {
		pending(c, "Normal", "WaitForFirstConsumer",
			"waiting for first consumer to be created before binding", p);
	} else if (v) {
		pending(c, NULL, NULL, NULL, p);
		claim_volume(s, c, v, p);
	} else {
		none_fits(s, c, p);
	}
}

void
claim_reconcile(struct snapshot *s, const struct persistent_volume_claim *c, struct plan *p)
{
	if (!c->spec)
		return;
	if (c->metadata->deletionTimestamp) {
		if (!volume_user(s, object_namespace(c), object_name(c)))
			plan_name(p, ACT_FORGET, c, "no pod uses it");
		return;
	}
	if (class_given(s, c, p))
		return;
	if (str_is(c->spec->volumeName, ""))
		unbound(s, c, p);
	else
		named(s, c, p);
}

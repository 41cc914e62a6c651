/* volume.h -- what the controllers of storage share: claims, volumes, classes, and pods that
 * use them.
 *
 * A claim (PersistentVolumeClaim) asks, a volume (PersistentVolume) is what there is, and
 * a class says who makes one when none fits.  Volumes of the class kedge makes are
 * directories on this host, made and removed by the hand; their names are the volumes' own.
 */
#ifndef KEDGE_VOLUME_H
#define KEDGE_VOLUME_H
#include "workload.h"

#define PROVISIONER    "kedge.dev/local"
#define NO_PROVISIONER "kubernetes.io/no-provisioner"

#define ANNOTATION_DEFAULT_CLASS  "storageclass.kubernetes.io/is-default-class"
#define ANNOTATION_PROVISIONED_BY "pv.kubernetes.io/provisioned-by"
#define ANNOTATION_BOUND_BY       "pv.kubernetes.io/bound-by-controller"
#define ANNOTATION_BOUND          "pv.kubernetes.io/bind-completed"
#define FINALIZER_CLAIM           "kubernetes.io/pvc-protection"
#define FINALIZER_VOLUME          "kubernetes.io/pv-protection"

/* volume_pass.c: what a pass looks up again and again; made once in each. */

/* A pod that is not over and mounts the claim; NULL: nobody does. */
const struct pod *volume_user(struct snapshot *, const char *ns, const char *claim);
/* The volume whose claimRef names this claim; NULL: none does. */
const struct persistent_volume *volume_of_claim(struct snapshot *, const char *ns,
						const char *claim);
/* In this pass nobody else gets it; false: somebody has it already. */
bool volume_take(struct snapshot *, const struct persistent_volume *);
bool volume_taken(struct snapshot *, const struct persistent_volume *);
/* What the hand knows of a directory of that name; NULL: nothing. */
const struct store_seen *volume_store(const struct snapshot *, const char *name);

/* volume_match.c */

/* The smallest volume that is free and fits; or NULL. */
const struct persistent_volume *volume_match(struct snapshot *,
					     const struct persistent_volume_claim *);
/* Why this very volume cannot be the claim's, in Kubernetes' words; NULL: it can. */
const char *volume_misfit(const struct persistent_volume *,
			  const struct persistent_volume_claim *);
/* Does its nodeAffinity let it be used on this node? */
bool volume_on_node(const struct persistent_volume *, const struct node *);
/* claimRef names the claim, and not one of that name that is gone. */
bool volume_is_for(const struct persistent_volume *, const struct persistent_volume_claim *);

/* volume_class.c */
const struct storage_class *volume_class(struct snapshot *, const char *name); /* or NULL */
const struct storage_class *volume_class_default(struct snapshot *);           /* or NULL */
bool volume_class_waits(const struct storage_class *); /* for its first consumer */

/* volume_use.c: the claims of a pod. */
enum volume_use { VOLUME_READY, VOLUME_WAIT, VOLUME_NEVER };
/* May the pod be placed?  WAIT: soon, without a word; NEVER: not as things are, for this
 * reason (the scheduler's).  `*ret_node_why` is one that speaks of the node. */
enum volume_use volume_pod_ready(struct snapshot *, const struct pod *, const struct node *,
				 struct arena *, const char **ret_why, bool *ret_node_why);
/* The volume behind a claim that a pod mounts; NULL and the kubelet's words. */
const struct persistent_volume *volume_for_pod(struct snapshot *, const struct pod *,
					       const char *claim, struct arena *,
					       const char **ret_why);

/* ---- small things ---- */

static inline bool
volume_is_own(const struct persistent_volume *v)
{
	return v->spec->local &&
	       str_is(object_annotation(v, ANNOTATION_PROVISIONED_BY), PROVISIONER);
}

static inline const char *
volume_phase(const struct persistent_volume *v)
{
	return v->status && v->status->phase ? v->status->phase : "";
}

static inline const char *
claim_phase(const struct persistent_volume_claim *c)
{
	return c->status && c->status->phase ? c->status->phase : "";
}

static inline const char *
claim_request(const struct persistent_volume_claim *c)
{
	return c->spec->resources ? pairs_get(&c->spec->resources->requests, "storage") : NULL;
}

static inline void
volume_tell(struct plan *p, const void *obj, const char *type, const char *reason,
	    const char *message)
{
	plan_event(p, obj,
		   (struct event_args){ .type = type,
					.reason = reason,
					.message = message,
					.component = "persistentvolume-controller" });
}

/* An order to the hand about a directory. */
static inline void
volume_order(struct plan *p, enum verb v, const char *name, const char *size, const char *why)
{
	struct store_args *args = arena_zalloc(p->arena, sizeof *args);

	args->name = arena_strdup(p->arena, name);
	args->size = quantity_value(size);
	plan_add(p, (struct action){ .verb = v,
				     .kind = "persistentvolume",
				     .ns = "",
				     .name = args->name,
				     .why = arena_strdup(p->arena, why),
				     .body = args });
}
#endif

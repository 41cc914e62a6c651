/* deployment.h -- one pass over one Deployment; between the files of
 * deployment*.c alone. */
#ifndef KEDGE_DEPLOYMENT_H
#define KEDGE_DEPLOYMENT_H
#include "workload.h"

#define LABEL_HASH          "pod-template-hash"
#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"
#define ANNOTATION_HISTORY  "deployment.kubernetes.io/revision-history"
#define ANNOTATION_DESIRED  "deployment.kubernetes.io/desired-replicas"
#define ANNOTATION_MAX      "deployment.kubernetes.io/max-replicas"

/* A ReplicaSet of ours, and what this pass makes of it. */
struct set {
	const struct replica_set *rs;
	int64_t want;              /* spec.replicas, after what the plan says so far */
	struct pod_counts pods;    /* as the snapshot has them */
	int64_t broken;            /* wanted, but not available: these go first */
	int64_t lingering;         /* pods that still run, those going away among them */
	struct replica_set *draft; /* a copy with changes; NULL while there are none */
	bool dirty;                /* the draft has changes that are not in the plan yet */
	const char *why;
};

struct rollout {
	struct snapshot *s;
	const struct deployment *d;
	struct plan *p;
	struct set *sets; /* oldest first */
	size_t n;
	struct set *new; /* the one with the Deployment's template, or NULL */
	int64_t replicas, surge, unavailable;
	int64_t revision; /* which the new set has, or gets */
	bool recreate;
	bool collided;       /* the new set's name was taken */
	const char *created; /* name of the set made in this pass, or NULL */
};

/* ---- deployment.c ---- */

bool set_before(const struct replica_set *, const struct replica_set *); /* older, or by name */
/* The copy that this pass changes; made when it is not there yet. */
struct replica_set *set_draft(struct rollout *, struct set *);
/* Adds the SCALE, unless that is what it has. */
void set_scale(struct rollout *, struct set *, int64_t want, const char *why);
int64_t annotation_number(const void *obj, const char *key, int64_t missing);
/* Writes down what a later change of size is measured against; true when that is new. */
bool sizes_annotate(const struct rollout *, struct object_meta *);
int64_t rollout_want(const struct rollout *, bool with_new); /* the sum */
/* Does any set but this one have pods, or is it about to?  (For Recreate.) */
bool rollout_lingers(const struct rollout *, const struct set *but);

/* ---- deployment_scale.c ---- */

/* Was any running set sized for another number of replicas? */
bool deployment_is_scaling(const struct rollout *);
void deployment_scale(struct rollout *);

/* ---- deployment_status.c ---- */

/* STATUS (or UPDATE, when the revision annotation changes too) if anything
 * differs.  True when the rollout is complete: history may be cleaned up. */
bool deployment_status_write(struct rollout *);
#endif

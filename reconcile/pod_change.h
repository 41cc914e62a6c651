/* pod_change.h -- what of a pod may change while it lives. */
#ifndef KEDGE_POD_CHANGE_H
#define KEDGE_POD_CHANGE_H
#include "pod.h"

#define CONDITION_IMAGE "kedge.dev/ImagePending" /* since when, and what it waits for */
#define IMAGE_COMES     "Pulling"                /* its reason as long as nothing goes wrong */

/* `is` with all that Kubernetes lets change as it was: images, activeDeadlineSeconds,
 * tolerations and schedulingGates.  What then differs is what cannot. */
struct pod_spec pod_spec_kept(const struct pod_spec *was, const struct pod_spec *is,
			      struct arena *);
/* May they change as they do?  A deadline is not taken back, or put off; nor a toleration.  A
 * gate is only taken away: else *ret is the first that is new. */
bool pod_deadline_kept(const struct pod_spec *was, const struct pod_spec *is);
bool pod_tolerations_kept(const struct pod_spec *was, const struct pod_spec *is);
bool pod_no_new_gate(const struct pod_spec *was, const struct pod_spec *is, const char **ret);
/* Can the running pod become the other, by these changes and a resize? */
bool pod_changeable(const struct pod_spec *was, const struct pod_spec *is, struct arena *);

/* Other images than the host's containers are made of. */
struct pod_images_wanted {
	const char *container;        /* the first that waits for its own; NULL: none does */
	const char *reason, *message; /* of a pull that goes wrong; NULL: it comes */
};
/* One container, and what it is on the host: as the kubelet, one whose image changed is ended
 * and begins anew; but here it runs on until the image has come. */
void pod_change_image(struct snapshot *, const struct pod *, const struct container *,
		      enum part_role, const struct container_seen *, struct plan *,
		      struct pod_images_wanted *ret);
/* A condition as long as one waits. */
void pod_images_condition(struct pod_status *, const struct pod *,
			  const struct pod_images_wanted *, int64_t now, struct arena *);
#endif

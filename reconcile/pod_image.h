/* pod_image.h -- whether an image is on the host, comes, or has to be fetched.
 *
 * Who needs an image asks here, a pod before it is started, a commit before it is applied.
 */
#ifndef KEDGE_POD_IMAGE_H
#define KEDGE_POD_IMAGE_H
#include "pod.h"

enum image_state {
	IMAGE_THERE,
	IMAGE_FETCH,   /* somebody has to ask for it, with image_fetch */
	IMAGE_COMING,  /* somebody did */
	IMAGE_FAILED,  /* it did not come, and it is too early for another try */
	IMAGE_NEVER,   /* it is not here, and must not be fetched */
	IMAGE_NO_NAME, /* what stands there is not an image's name */
};

struct image_look {
	enum image_state state;
	const char *name;                 /* in whole */
	const char *key;                  /* of the pull: the name, and whose credentials */
	const struct pull_seen_row *pull; /* or NULL */
	const struct image_seen *seen;    /* or NULL */
	bool pulled;                      /* for this asker, just now */
};

/* An image that a pod needs: a container's own, or an image volume's. */
struct pod_image {
	const char *image, *policy;
	const struct container *container; /* NULL: of a volume */
	enum part_role role;
	const char *volume;
};
/* The next one from *at on, containers first; false: there is no other. */
bool pod_image_next(const struct pod_spec *, size_t *at, struct pod_image *ret);

/* `since`: of a policy Always, what was fetched before this does not count. */
struct image_look image_look(struct snapshot *, const char *ns, const struct pod_spec *,
			     const struct pod_image *, int64_t since, struct arena *);
/* FETCH, with the pull secrets' names. */
void image_fetch(const struct image_look *, const char *ns, const struct pod_spec *,
		 const char *why, struct plan *);

/* The pod that an object is, or is the template of; NULL: neither. */
const struct pod_spec *object_pod_spec(const void *obj);
/* Can an object of that kind have one? */
bool resource_has_pod_spec(const struct resource *);

/* All of the pod's but ephemeral containers': what is not here is asked for, and `ret` says
 * what is wrong with whom (n rows, at most one a container; an image that merely comes is no
 * trouble). */
void pod_images(struct snapshot *, const struct pod *, struct plan *, struct pod_trouble *ret,
		size_t *ret_n);
/* Has one container its image, and those of the volumes that it mounts? */
bool pod_images_here(struct snapshot *, const struct pod *, const struct container *,
		     struct arena *);
/* The same of one that is held; rows are added to `ret`. */
bool pod_images_of(struct snapshot *, const struct pod *, const struct container *,
		   struct plan *, struct pod_trouble *ret, size_t *ret_n);
/* It is started: what Kubernetes tells of the images of those who have theirs. */
void pod_images_told(struct snapshot *, const struct pod *, struct plan *);
/* The same when one that was held goes on. */
void pod_images_of_told(struct snapshot *, const struct pod *, const struct container *,
			struct plan *);
/* The same two of one ephemeral container, whose rows are added to `ret`. */
bool pod_image_added(struct snapshot *, const struct pod *, const struct container *,
		     struct plan *, struct pod_trouble *ret, size_t *ret_n);
/* Is the image here that a container was given while it lives, at `since`?  What is wrong is
 * in `ret`, and told unless it was `told` (a reason) already. */
bool pod_image_changed(struct snapshot *, const struct pod *, const struct container *,
		       int64_t since, const char *told, struct plan *, struct pod_trouble *ret);
#endif

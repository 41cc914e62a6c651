/* volume_use.c -- a pod's claims, as the scheduler and the kubelet look at them.
 *
 * Pure.  The words are theirs.
 */
#include "volume.h"

static const struct persistent_volume_claim *
claim_named(struct snapshot *s, const struct pod *pod, const char *name)
{
	return snapshot_find(s, RES_persistent_volume_claim, object_namespace(pod),
			     name ? name : "");
}

static bool
is_bound(const struct persistent_volume_claim *c)
{
	return str_is(claim_phase(c), "Bound") && !str_is(c->spec->volumeName, "");
}

/* Somebody else has the volume for itself. */
static bool
is_held(struct snapshot *s, const struct pod *pod, const struct persistent_volume_claim *c)
{
	const struct pod *user;

	for (size_t i = 0; i < c->spec->accessModes.n; i++)
		if (str_is(c->spec->accessModes.at[i], "ReadWriteOncePod"))
			for (size_t j = 0; j < s->of[RES_pod].n; j++) {
				user = (const struct pod *)s->of[RES_pod].at[j];
				if (user == pod || str_is(user->spec->nodeName, "") ||
				    (pod_is_finished(user) &&
				     !snapshot_seen(s, object_uid(user))) ||
				    !str_is(object_namespace(user), object_namespace(pod)))
					continue;
				for (size_t k = 0; k < user->spec->volumes.n; k++) {
					const struct volume *v = &user->spec->volumes.at[k];

					if (v->persistentVolumeClaim &&
					    str_is(v->persistentVolumeClaim->claimName,
						   object_name(c)))
						return true;
				}
			}
	return false;
}

/* A claim that waits for its first consumer: will there be a volume? */
static enum volume_use
unbound(struct snapshot *s, const struct persistent_volume_claim *c, const char **ret_why,
	bool *ret_node_why)
{
	const struct storage_class *class = volume_class(s, c->spec->storageClassName);

	if (!volume_class_waits(class)) {
		*ret_why = "pod has unbound immediate PersistentVolumeClaims";
		return VOLUME_NEVER;
	}
	if (str_is(class->provisioner, PROVISIONER) || volume_match(s, c))
		return VOLUME_WAIT; /* the claim's own controller sees this pod */
	*ret_why = "node(s) didn't find available persistent volumes to bind";
	*ret_node_why = true;
	return VOLUME_NEVER;
}

static enum volume_use
claim_ready(struct snapshot *s, const struct pod *pod, const char *name,
	    const struct node *node, struct arena *a, const char **ret_why, bool *ret_node_why)
{
	const struct persistent_volume_claim *c = claim_named(s, pod, name);
	const struct persistent_volume *v;

	if (!c) {
		*ret_why = arena_printf(a, "persistentvolumeclaim \"%s\" not found", name);
		return VOLUME_NEVER;
	}
	if (str_is(claim_phase(c), "Lost")) {
		*ret_why = arena_printf(a,
					"persistentvolumeclaim \"%s\" bound to non-existent "
					"persistentvolume \"%s\"",
					name, c->spec->volumeName);
		return VOLUME_NEVER;
	}
	if (c->metadata->deletionTimestamp) {
		*ret_why =
		    arena_printf(a, "persistentvolumeclaim \"%s\" is being deleted", name);
		return VOLUME_NEVER;
	}
	if (!is_bound(c))
		return unbound(s, c, ret_why, ret_node_why);
	v = snapshot_find(s, RES_persistent_volume, "", c->spec->volumeName);
	*ret_node_why = true;
	if (v && node && !volume_on_node(v, node)) {
		*ret_why = "node(s) had volume node affinity conflict";
		return VOLUME_NEVER;
	}
	if (is_held(s, pod, c)) {
		*ret_why = "node has pod using PersistentVolumeClaim with the same name and "
			   "ReadWriteOncePod access mode";
		return VOLUME_NEVER;
	}
	return VOLUME_READY;
}

enum volume_use
volume_pod_ready(struct snapshot *s, const struct pod *pod, const struct node *node,
		 struct arena *a, const char **ret_why, bool *ret_node_why)
{
	enum volume_use worst = VOLUME_READY;

	for (size_t i = 0; i < pod->spec->volumes.n; i++) {
		const struct persistent_volume_claim_volume_source *v =
		    pod->spec->volumes.at[i].persistentVolumeClaim;
		enum volume_use use;

		if (!v)
			continue;
		*ret_node_why = false;
		use = claim_ready(s, pod, v->claimName, node, a, ret_why, ret_node_why);
		if (use == VOLUME_NEVER)
			return use;
		if (use == VOLUME_WAIT)
			worst = use;
	}
	return worst;
}

const struct persistent_volume *
volume_for_pod(struct snapshot *s, const struct pod *pod, const char *name, struct arena *a,
	       const char **ret_why)
{
	const struct persistent_volume_claim *c = claim_named(s, pod, name);
	const struct persistent_volume *v;

	if (!c) {
		*ret_why = arena_printf(a,
					"failed to fetch PVC from API server: "
					"persistentvolumeclaims \"%s\" not found",
					name);
		return NULL;
	}
	if (!is_bound(c)) {
		*ret_why = arena_printf(a, "error processing PVC %s/%s: PVC is not bound",
					object_namespace(pod), name);
		return NULL;
	}
	v = snapshot_find(s, RES_persistent_volume, "", c->spec->volumeName);
	if (!v)
		*ret_why =
		    arena_printf(a, "persistentvolume \"%s\" not found", c->spec->volumeName);
	else if (str_is(v->spec->volumeMode, "Block")) {
		*ret_why = "kedge has no volumes of mode Block: use volumeMode Filesystem";
		v = NULL;
	}
	return v;
}

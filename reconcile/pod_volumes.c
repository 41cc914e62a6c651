/* pod_volumes.c -- a pod's volumes as plain orders for the hand.
 *
 * Pure.  What needs something that is not there yet says so in the kubelet's words,
 * and the pod waits.
 */
#include "base/map.h"
#include "pod.h"

/* One volume; its kind is its type of source. */
static bool
volume(struct snapshot *s, const struct pod *pod, const struct volume *from,
       struct volume_args *v, struct arena *a, const char **ret_why)
{
	static const struct empty_dir_volume_source plain = { 0 };
	const struct empty_dir_volume_source *dir = from->emptyDir;

	v->name = from->name;
	v->type = "files";
	if (pod_files_made(from))
		return pod_files(s, pod, from, v, a, ret_why);
	if (!dir && (from->hostPath || from->persistentVolumeClaim || from->nfs || from->csi ||
		     from->ephemeral)) {
		*ret_why =
		    "kedge has no volumes of this type: use configMap, secret or emptyDir";
		return false;
	}
	if (!dir)
		dir = &plain;
	v->type = str_is(dir->medium, "Memory") ? "memory" : "empty";
	v->sizeLimit = quantity_value(dir->sizeLimit);
	return true;
}

bool
pod_volumes(struct snapshot *s, const struct pod *pod, struct sandbox_args *args,
	    struct arena *a, const char **ret_why)
{
	size_t n = pod->spec->volumes.n;
	const char *why = NULL;

	args->volumes.at = arena_zalloc(a, (n + 1) * sizeof *args->volumes.at);
	for (size_t i = 0; i < n; i++) {
		struct volume_args *v = &args->volumes.at[args->volumes.n++];

		if (volume(s, pod, &pod->spec->volumes.at[i], v, a, &why))
			continue;
		*ret_why = arena_printf(a, "MountVolume.SetUp failed for volume \"%s\" : %s",
					pod->spec->volumes.at[i].name, why);
		return false;
	}
	return true;
}

const char *
pod_volumes_version(struct snapshot *s, const struct pod *pod, struct arena *a)
{
	uint64_t h = 0;
	bool any = false;

	for (size_t i = 0; i < pod->spec->volumes.n; i++) {
		const struct volume *v = &pod->spec->volumes.at[i];

		if (!pod_files_made(v))
			continue;
		any = true;
		h = pod_files_version(s, pod, v, h);
	}
	return any ? arena_printf(a, "%016llx", (unsigned long long)h) : "";
}

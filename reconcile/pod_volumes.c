/* pod_volumes.c -- a pod's volumes as plain orders for the hand.
 *
 * Pure.  What needs something that is not there yet says so in the kubelet's words,
 * and the pod waits.
 */
#include "base/map.h"
#include "pod.h"
#include "volume.h"

/* What is behind a claim: a directory of kedge's own, or a path of the host, which the
 * operator has to have allowed like any other. */
static bool
claimed(struct snapshot *s, const struct pod *pod,
	const struct persistent_volume_claim_volume_source *from, struct volume_args *v,
	struct arena *a, const char **ret_why)
{
	const struct persistent_volume *pv =
	    volume_for_pod(s, pod, from->claimName, a, ret_why);

	if (!pv)
		return false;
	v->readOnly = from->readOnly;
	if (volume_is_own(pv)) {
		v->type = "store";
		v->source = object_name(pv);
	} else if (pv->spec->local) {
		v->type = "host";
		v->source = pv->spec->local->path;
		v->hostType = "Directory";
		v->ofGroup = !v->readOnly; /* as the kubelet, and a hostPath never */
	} else if (pv->spec->hostPath) {
		v->type = "host";
		v->source = pv->spec->hostPath->path;
		v->hostType =
		    str_is(pv->spec->hostPath->type, "") ? NULL : pv->spec->hostPath->type;
	} else {
		*ret_why = "kedge has no volumes of this type: use local or hostPath";
		return false;
	}
	return true;
}

/* A volume of memory is as large as it says, but never larger than what the pod may have: all
 * that runs at once, or one init container and the sidecars before it. */
static int64_t
memory_size(const struct pod_spec *spec, int64_t size)
{
	int64_t sum = 0, first = 0, may;

	for (size_t i = 0; i < pod_own_parts(spec); i++) {
		const struct resource_requirements *r = pod_part(spec, i)->resources;
		const char *limit = r ? pairs_get(&r->limits, "memory") : NULL;

		if (!limit)
			return size;
		if (pod_part_role(spec, i) == PART_INIT)
			first = most(first, sum + quantity_value(limit));
		else
			sum += quantity_value(limit);
	}
	may = most(sum, first);
	return size && size < may ? size : may;
}

/* The source that this object has and kedge does nothing with, by the rows of its kind (all
 * such are pointers); NULL: none.  An empty directory in its place would lose what is written
 * there. */
static const char *
unknown_source(const struct kind *kind, const void *obj)
{
	for (const struct field *f = kind->fields; f->name; f++)
		if (f->inert && *(const void *const *)((const char *)obj + f->off))
			return f->name;
	return NULL;
}

/* The same of a volume and, projected, of all that it is put together from. */
static const char *
unknown_type(const struct volume *v)
{
	const char *name = unknown_source(volume_kind(), v);

	for (size_t i = 0; !name && v->projected && i < v->projected->sources.n; i++)
		name = unknown_source(volume_projection_kind(), &v->projected->sources.at[i]);
	return name;
}

/* One volume; its kind is its type of source. */
static bool
volume(struct snapshot *s, const struct pod *pod, const struct volume *from,
       struct volume_args *v, struct pod_contents *files, struct arena *a, const char **ret_why)
{
	static const struct empty_dir_volume_source plain = { 0 };
	const struct empty_dir_volume_source *dir = from->emptyDir;
	const char *unknown = unknown_type(from);

	v->name = from->name;
	v->type = "files";
	if (unknown) {
		*ret_why = arena_printf(a, "kedge has no volumes of type %s", unknown);
		return false;
	}
	if (pod_files_made(from))
		return pod_files(s, pod, from, v, files, a, ret_why);
	if (from->hostPath) {
		v->type = "host";
		v->source = from->hostPath->path;
		v->hostType = str_is(from->hostPath->type, "") ? NULL : from->hostPath->type;
		return true;
	}
	if (from->image) {
		v->type = "image";
		v->source = from->image->reference;
		v->readOnly = true;
		return true;
	}
	if (from->persistentVolumeClaim)
		return claimed(s, pod, from->persistentVolumeClaim, v, a, ret_why);
	if (!dir)
		dir = &plain;
	v->type = str_is(dir->medium, "Memory") ? "memory" : "empty";
	v->sizeLimit = quantity_value(dir->sizeLimit);
	if (str_is(dir->medium, "Memory"))
		v->sizeLimit = memory_size(pod->spec, v->sizeLimit);
	return true;
}

bool
pod_volumes(struct snapshot *s, const struct pod *pod, struct sandbox_args *args,
	    struct arena *a, const char **ret_why)
{
	size_t n = pod->spec->volumes.n;
	struct pod_contents files = { 0 };
	const char *why = NULL;

	args->volumes.at = arena_zalloc(a, (n + 1) * sizeof *args->volumes.at);
	for (size_t i = 0; i < n; i++) {
		struct volume_args *v = &args->volumes.at[args->volumes.n++];

		if (volume(s, pod, &pod->spec->volumes.at[i], v, &files, a, &why))
			continue;
		*ret_why = arena_printf(a, "MountVolume.SetUp failed for volume \"%s\" : %s",
					pod->spec->volumes.at[i].name, why);
		return false;
	}
	pod_files_encode(&files, a);
	return true;
}

/* ---- mounts ---- */

static bool
climbs(const char *path)
{
	for (const char *at = path; *at; at += strspn(at, "/")) {
		size_t n = strcspn(at, "/");

		if (n == 2 && at[0] == '.' && at[1] == '.')
			return true;
		at += n;
	}
	return false;
}

static bool
sub_path(const struct volume_mount *m, struct pod_words *words, const char **ret)
{
	const char *path;

	*ret = m->subPath;
	if (str_is(m->subPathExpr, ""))
		return true;
	path = pod_words_expand(words, "subPathExpr", m->subPathExpr);
	if (words->why)
		return false;
	if (words->unset)
		words->why = arena_printf(words->a, "missing value for \"%s\"", words->unset);
	else if (*path == '/')
		words->why = arena_printf(
		    words->a, "error SubPath `%s` must not be an absolute path", path);
	else if (climbs(path))
		words->why = arena_printf(
		    words->a, "unable to provision SubPath `%s`: must not contain '..'", path);
	else
		*ret = path;
	return !words->why;
}

bool
pod_mounts(const struct container *c, struct pod_words *words, struct container_args *args)
{
	size_t n = c->volumeMounts.n;

	args->mounts.at = arena_zalloc(words->a, (n + 1) * sizeof *args->mounts.at);
	for (size_t i = 0; i < n; i++) {
		const struct volume_mount *m = &c->volumeMounts.at[i];
		struct mount_args *to = &args->mounts.at[args->mounts.n++];

		*to = (struct mount_args){
			.volume = m->name,
			/* as the kubelet: from the image's root */
			.path = *m->mountPath == '/'
				    ? m->mountPath
				    : arena_printf(words->a, "/%s", m->mountPath),
			.readOnly = m->readOnly,
			.readOnlyBelow =
			    m->readOnly && (str_is(m->recursiveReadOnly, "Enabled") ||
					    str_is(m->recursiveReadOnly, "IfPossible")),
			.propagation = m->mountPropagation,
		};
		if (!sub_path(m, words, &to->subPath))
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

/* ---- limits ---- */

static const char *
disk_limit(const struct container *c)
{
	return c->resources ? pairs_get(&c->resources->limits, "ephemeral-storage") : NULL;
}

/* Of all that run at once, or of an init container with the sidecars before it, as a user would
 * have written it. */
static const char *
disk_limits(const struct pod_spec *spec, struct arena *a)
{
	int64_t sum = 0, first = 0;

	for (size_t i = 0; i < pod_own_parts(spec); i++) {
		int64_t may = quantity_value(disk_limit(pod_part(spec, i)));

		if (pod_part_role(spec, i) == PART_INIT)
			first = most(first, sum + may);
		else
			sum += may;
	}
	sum = most(sum, first);
	for (size_t i = 0; i < pod_own_parts(spec); i++)
		if (disk_limit(pod_part(spec, i)) &&
		    quantity_value(disk_limit(pod_part(spec, i))) == sum)
			return disk_limit(pod_part(spec, i));
	return sum % (1 << 20) ? arena_printf(a, "%lld", (long long)sum)
			       : arena_printf(a, "%lldMi", (long long)sum >> 20);
}

const char *
pod_over_message(const struct pod_spec *spec, const char *over, struct arena *a)
{
	const char *name = strchr(over, ' ');

	for (size_t i = 0; name && !strncmp(over, "volume ", 7) && i < spec->volumes.n; i++)
		if (str_is(spec->volumes.at[i].name, name + 1) && spec->volumes.at[i].emptyDir)
			return arena_printf(
			    a, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%s\". ",
			    name + 1, spec->volumes.at[i].emptyDir->sizeLimit);
	for (size_t i = 0; name && i < spec->containers.n; i++)
		if (str_is(spec->containers.at[i].name, name + 1))
			return arena_printf(
			    a,
			    "Container %s exceeded its local ephemeral storage limit \"%s\". ",
			    name + 1, disk_limit(&spec->containers.at[i]));
	return arena_printf(
	    a, "Pod ephemeral local storage usage exceeds the total limit of containers %s. ",
	    disk_limits(spec, a));
}

/* pod_volumes.c -- ConfigMaps and Secrets as files, and empty directories.
 *
 * Contents travel as base64: a Secret's as they are, a ConfigMap's encoded here.
 * The version of a pod's volumes is a hash over the versions of what they are
 * made from, so that a pass over many pods never looks at the contents.
 */
#include "base/base64.h"
#include "base/map.h"
#include "pod.h"

struct contents {
	const struct pairs *plain, *encoded; /* either may be NULL */
	const struct key_to_path *items;
	size_t nitems;
	int64_t mode;
	bool optional;
	const char *what; /* "config" or "secret", for the kubelet's message */
};

static const char *
content(const struct contents *src, const char *key, struct arena *a)
{
	const char *text = src->plain ? pairs_get(src->plain, key) : NULL;

	if (text)
		return base64_text(text, strlen(text), a);
	return src->encoded ? pairs_get(src->encoded, key) : NULL;
}

static bool
add_files(struct volume_args *v, const struct contents *src, struct arena *a,
	  const char **ret_why)
{
	size_t all = (src->plain ? src->plain->n : 0) + (src->encoded ? src->encoded->n : 0);
	size_t n = src->nitems ? src->nitems : all;

	v->files.at = arena_zalloc(a, (n + 1) * sizeof *v->files.at);
	for (size_t i = 0; i < src->nitems; i++) {
		const struct key_to_path *k = &src->items[i];
		const char *data = content(src, k->key, a);

		if (!data && src->optional)
			continue;
		if (!data) {
			*ret_why = arena_printf(a, "references non-existent %s key: %s",
						src->what, k->key);
			return false;
		}
		v->files.at[v->files.n++] = (struct file_args){
			.path = k->path,
			.data = data,
			.mode = schema_has(key_to_path_kind(), k, "mode") ? k->mode : src->mode
		};
	}
	for (size_t i = 0; !src->nitems && i < all; i++) {
		size_t plain = src->plain ? src->plain->n : 0;
		const struct pair *p =
		    i < plain ? &src->plain->at[i] : &src->encoded->at[i - plain];

		v->files.at[v->files.n++] =
		    (struct file_args){ .path = p->key,
					.data = i < plain
						    ? base64_text(p->value, strlen(p->value), a)
						    : p->value,
					.mode = src->mode };
	}
	return true;
}

static bool
config_map_files(struct snapshot *s, const struct pod *pod,
		 const struct config_map_volume_source *from, struct volume_args *v,
		 struct arena *a, const char **ret_why)
{
	const struct config_map *cm =
	    snapshot_find(s, RES_config_map, object_namespace(pod), from->name);
	struct contents src = { .items = from->items.at,
				.nitems = from->items.n,
				.mode = from->defaultMode,
				.optional = from->optional,
				.what = "config" };

	if (!cm && !from->optional) {
		*ret_why = arena_printf(a, "configmap \"%s\" not found", from->name);
		return false;
	}
	if (cm) {
		src.plain = &cm->data;
		src.encoded = &cm->binaryData;
	}
	return add_files(v, &src, a, ret_why);
}

static bool
secret_files(struct snapshot *s, const struct pod *pod, const struct secret_volume_source *from,
	     struct volume_args *v, struct arena *a, const char **ret_why)
{
	const struct secret *sec =
	    snapshot_find(s, RES_secret, object_namespace(pod), from->secretName);
	struct contents src = { .items = from->items.at,
				.nitems = from->items.n,
				.mode = from->defaultMode,
				.optional = from->optional,
				.what = "secret" };

	if (!sec && !from->optional) {
		*ret_why = arena_printf(a, "secret \"%s\" not found", from->secretName);
		return false;
	}
	if (sec)
		src.encoded = &sec->data;
	return add_files(v, &src, a, ret_why);
}

/* One volume; its kind is its type of source. */
static bool
volume(struct snapshot *s, const struct pod *pod, const struct volume *from,
       struct volume_args *v, struct arena *a, const char **ret_why)
{
	static const struct empty_dir_volume_source plain = { 0 };
	const struct empty_dir_volume_source *dir = from->emptyDir;

	v->name = from->name;
	v->type = "files";
	if (from->configMap)
		return config_map_files(s, pod, from->configMap, v, a, ret_why);
	if (from->secret)
		return secret_files(s, pod, from->secret, v, a, ret_why);
	if (!dir && (from->hostPath || from->persistentVolumeClaim || from->nfs ||
		     from->projected || from->downwardAPI || from->csi || from->ephemeral)) {
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
		const struct object *o = NULL;

		if (v->configMap)
			o = snapshot_find(s, RES_config_map, object_namespace(pod),
					  v->configMap->name);
		else if (v->secret)
			o = snapshot_find(s, RES_secret, object_namespace(pod),
					  v->secret->secretName);
		else
			continue;
		any = true;
		h = hash_str(h, o ? object_uid(o) : "-");
		h = hash_str(h, o && o->metadata->resourceVersion ? o->metadata->resourceVersion
								  : "-");
	}
	return any ? arena_printf(a, "%016llx", (unsigned long long)h) : "";
}

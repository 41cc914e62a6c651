/* image_oci.c -- OCI image layout: index.json, nested indexes, manifests, blobs.
 *
 * Every blob is compared with the digest and size of the descriptor that named
 * it, every layer with its diffID as well.  Of several platforms this host's
 * is taken.  `urls` are ignored: nothing is ever fetched from here.
 */
#include "base/cleanup.h"
#include "image_load.h"
#include <string.h>

#define NESTING_MAX 4

enum media
image_media_of(const char *type)
{
	static const struct {
		const char *type;
		enum media media;
	} known[] = {
		{ "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
		{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
		{ "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
		{ "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
		{ "application/vnd.oci.image.config.v1+json", MEDIA_CONFIG },
		{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG },
		{ "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER },
		{ "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER },
		{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_LAYER },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_LAYER },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_LAYER },
		{ "application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER },
		{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER },
		{ "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(type, known[i].type) == 0)
			return known[i].media;
	return MEDIA_OTHER;
}

static bool
blob_is_there(struct load *l, const json_t *descriptor)
{
	const char *hex = image_digest_hex(image_text_of(descriptor, "digest"));
	char path[16 + HEX_SIZE];

	snprintf(path, sizeof path, "blobs/sha256/%s", hex ? hex : "");
	return image_member_find(l, path) != NULL;
}

/* The blob that a descriptor names, checked against digest and size. */
static const struct member *
blob_find(struct load *l, const json_t *descriptor, struct error **e)
{
	const char *digest = image_text_of(descriptor, "digest"),
		   *hex = image_digest_hex(digest);
	const json_t *size = json_object_get(descriptor, "size");
	const struct member *m;
	char path[16 + HEX_SIZE];

	if (!hex) {
		image_digest_refuse(digest, e);
		return NULL;
	}
	snprintf(path, sizeof path, "blobs/sha256/%s", hex);
	m = image_member_find(l, path);
	if (!m) {
		fail(e, WHY_INVALID, "%s is not in the archive", path);
		return NULL;
	}
	if (image_digest_check(path, "digest", hex, m->hex, e) < 0)
		return NULL;
	if (json_is_integer(size) && json_integer_value(size) != m->size) {
		fail(e, WHY_INVALID, "%s: has %lld bytes, but %lld were promised", path,
		     (long long)m->size, (long long)json_integer_value(size));
		return NULL;
	}
	return m;
}

static const char *
name_of(const json_t *descriptor, const char *inherited)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *full = image_text_of(notes, "io.containerd.image.name");
	const char *ref = image_text_of(notes, "org.opencontainers.image.ref.name");

	if (*full)
		return full;
	/* a bare word there is a tag by custom, and of what nobody knows */
	return strpbrk(ref, ":/") ? ref : inherited;
}

static void
candidate_add(struct load *l, const json_t *descriptor, const char *name)
{
	const json_t *p = json_object_get(descriptor, "platform");
	const char *os = image_text_of(p, "os"), *arch = image_text_of(p, "architecture");
	struct candidate x = { name, image_text_of(descriptor, "digest"), "", 1 };

	if (*image_text_of(json_object_get(descriptor, "annotations"),
			   "vnd.docker.reference.type"))
		return; /* an attestation about an image, not one */
	if (p) {
		x.platform = arena_printf(&l->arena, "%s/%s", os, arch);
		x.fit = strcmp(os, "linux") == 0 && strcmp(arch, image_host_architecture()) == 0
			    ? 2
			    : 0;
	}
	if (l->nfound == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 8;
		l->found = xrealloc(l->found, l->cap * sizeof *l->found);
	}
	l->found[l->nfound++] = x;
}

static int
index_read(struct load *l, const struct member *m, const char *name, int depth,
	   struct error **e)
{
	const json_t *doc = image_member_json(l, m, e), *list;

	if (!doc)
		return -1;
	list = json_object_get(doc, "manifests");
	/* one document must not be an index to one reader and an image to another */
	if (!json_is_array(list) || json_object_get(doc, "layers") ||
	    json_object_get(doc, "config"))
		return fail(e, WHY_INVALID,
			    "%s: must be an index: manifests, and neither layers nor config",
			    m->name);
	if (depth > NESTING_MAX || json_array_size(list) > 1000)
		return fail(e, WHY_TOO_LARGE, "%s: indexes are nested too deeply or too long",
			    m->name);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		enum media media = image_media_of(image_text_of(d, "mediaType"));
		const struct member *sub;

		if (media == MEDIA_MANIFEST)
			candidate_add(l, d, name_of(d, name));
		if (media != MEDIA_INDEX)
			continue;
		sub = blob_find(l, d, e);
		if (!sub || index_read(l, sub, name_of(d, name), depth + 1, e) < 0)
			return fail_in(e, "%s", m->name);
	}
	return 0;
}

static int
media_check(const json_t *descriptor, enum media want, struct error **e)
{
	const char *type = image_text_of(descriptor, "mediaType");

	if (image_media_of(type) == want)
		return 0;
	return fail(e, WHY_UNSUPPORTED, "media type \"%s\" is not that of %s", type,
		    want == MEDIA_CONFIG ? "a container image's config"
					 : "a layer that can be unpacked");
}

static int
oci_layers(struct load *l, const json_t *list, const struct config_facts *facts,
	   struct error **e)
{
	if (json_array_size(list) != facts->nlayers)
		return fail(e, WHY_INVALID, "lists %zu layers, the image's config %zu",
			    json_array_size(list), facts->nlayers);
	for (size_t i = 0; i < facts->nlayers; i++) {
		const json_t *d = json_array_get(list, i);
		cleanup_close int fd = -1;
		const struct member *m;
		struct layer_want want;
		char diff_id[HEX_SIZE];
		int64_t newest;
		bool known;

		if (media_check(d, MEDIA_LAYER, e) < 0)
			return fail_in(e, "layer %zu", i);
		known = image_layer_known(l->c, facts->diff_ids[i], &newest, &newest);
		if (known && !blob_is_there(l, d))
			continue; /* an archive may leave out what the store has */
		m = blob_find(l, d, e);
		if (!m)
			return fail_in(e, "layer %zu", i);
		if (known)
			continue;
		fd = image_member_open(l, m, e);
		want = (struct layer_want){ image_digest_hex(image_text_of(d, "digest")),
					    facts->diff_ids[i], m->size };
		if (fd < 0 || image_child_layer(l->c, fd, image_text_of(d, "digest"), &want,
						diff_id, &newest, e) < 0)
			return -1;
	}
	return 0;
}

static int
oci_image(struct load *l, const char *digest, char ret_id[HEX_SIZE], struct error **e)
{
	json_t *d = json_pack("{s:s}", "digest", digest);
	const struct member *m = blob_find(l, d, e), *mc;
	const json_t *doc = m ? image_member_json(l, m, e) : NULL, *config;
	cleanup_buf struct buf json = { 0 }, unused = { 0 };
	struct config_facts facts;

	json_decref(d);
	if (!doc)
		return -1;
	if (json_object_get(doc, "manifests"))
		return fail(e, WHY_INVALID, "%s: is an index and an image at once", m->name);
	if (json_object_get(doc, "mediaType") &&
	    image_media_of(image_text_of(doc, "mediaType")) != MEDIA_MANIFEST)
		return fail(e, WHY_INVALID, "%s: calls itself %s", m->name,
			    image_text_of(doc, "mediaType"));
	config = json_object_get(doc, "config");
	if (media_check(config, MEDIA_CONFIG, e) < 0)
		return fail_in(e, "%s", m->name);
	mc = blob_find(l, config, e);
	if (!mc || image_member_text(l, mc, &json, e) < 0 ||
	    image_config_read(buf_text(&json), json.len, &l->arena, &unused, &facts, e) < 0 ||
	    oci_layers(l, json_object_get(doc, "layers"), &facts, e) < 0)
		return fail_in(e, "%s", m->name);
	return image_child_image(l->c, buf_text(&json), json.len, digest, ret_id, e);
}

static bool
same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Of all manifests of one name the one that fits this host best. */
static int
candidate_choose(struct load *l, const char *name, const char **ret_digest, struct error **e)
{
	cleanup_buf struct buf seen = { 0 };
	const struct candidate *best = NULL;

	for (size_t i = 0; i < l->nfound; i++) {
		const struct candidate *x = &l->found[i];

		if (!same_name(x->name, name))
			continue;
		if (!best || x->fit > best->fit)
			best = x;
		buf_addf(&seen, "%s%s", seen.len ? ", " : "", x->platform);
	}
	if (!best || best->fit == 0)
		return fail(e, WHY_INVALID, "image %s is for %s; this host needs linux/%s",
			    name ? name : "(no name)", buf_text(&seen),
			    image_host_architecture());
	*ret_digest = best->digest;
	return 0;
}

int
image_oci_load(struct load *l, const struct member *m, struct error **e)
{
	size_t names = 0;

	if (index_read(l, m, NULL, 0, e) < 0)
		return -1;
	for (size_t i = 0; i < l->nfound; i++) {
		const char *name = l->found[i].name, *digest = NULL;
		bool first = true;
		char id[HEX_SIZE];

		for (size_t k = 0; k < i; k++)
			first = first && !same_name(l->found[k].name, name);
		if (!first)
			continue;
		if (l->c->name && names++ > 0)
			return fail(e, WHY_INVALID,
				    "the layout holds several images: leave the name out, "
				    "each has its own");
		if (!l->c->name && !name)
			return fail(e, WHY_INVALID,
				    "the layout gives its image no name: say one after "
				    "the file");
		if (candidate_choose(l, name, &digest, e) < 0 ||
		    oci_image(l, digest, id, e) < 0 ||
		    image_name_add(l, id, l->c->name ? l->c->name : name, e) < 0)
			return -1;
	}
	if (l->nfound == 0)
		return fail(e, WHY_INVALID, "index.json: speaks of no image");
	return 0;
}

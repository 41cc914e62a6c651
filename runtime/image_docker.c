/* image_docker.c -- docker-archive: what `docker save` writes, with a folder a
 * layer (before version 25) or with blobs (since).  manifest.json lists the
 * images; each layer must have the diffID that the config promises.
 */
#include "base/cleanup.h"
#include "image_load.h"
#include <string.h>

/* "blobs/sha256/HEX", "HEX.json", "HEX.tar": what the name promises, or NULL. */
static const char *
promise_of(struct load *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char *hex = arena_strndup(&l->arena, base, strcspn(base, "."));

	return image_hex_valid(hex) ? hex : NULL;
}

static int
docker_layers(struct load *l, const json_t *paths, const struct config_facts *facts,
	      struct error **e)
{
	if (json_array_size(paths) != facts->nlayers)
		return fail(e, WHY_INVALID,
			    "manifest.json: lists %zu layers, the image's config %zu",
			    json_array_size(paths), facts->nlayers);
	for (size_t i = 0; i < facts->nlayers; i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		const struct member *m = path ? image_member_find(l, path) : NULL;
		cleanup_close int fd = -1;
		struct layer_want want;
		char diff_id[HEX_SIZE];
		int64_t newest;

		if (!m)
			return fail(e, WHY_INVALID,
				    "manifest.json: layer %s is not in the archive",
				    path ? path : "(no name)");
		fd = image_member_open(l, m, e);
		want = (struct layer_want){ .plain = facts->diff_ids[i] };
		if (fd < 0 || image_child_layer(l->c, fd, path, &want, diff_id, &newest, e) < 0)
			return -1;
	}
	return 0;
}

static int
docker_image(struct load *l, const json_t *x, struct error **e)
{
	const char *config = image_text_of(x, "Config");
	const json_t *tags = json_object_get(x, "RepoTags");
	const struct member *m = *config ? image_member_find(l, config) : NULL;
	const char *promise = promise_of(l, config);
	cleanup_buf struct buf json = { 0 }, unused = { 0 };
	struct config_facts facts;
	char id[HEX_SIZE];

	if (!m)
		return fail(e, WHY_INVALID,
			    "manifest.json: the config \"%s\" is not in the archive", config);
	if (image_digest_check(config, "digest", promise, m->hex, e) < 0 ||
	    image_member_text(l, m, &json, e) < 0 ||
	    image_config_read(buf_text(&json), json.len, &l->arena, &unused, &facts, e) < 0 ||
	    docker_layers(l, json_object_get(x, "Layers"), &facts, e) < 0 ||
	    image_child_image(l->c, buf_text(&json), json.len, NULL, id, e) < 0)
		return -1;
	if (l->c->name)
		return image_name_add(l, id, l->c->name, e);
	if (json_array_size(tags) == 0)
		return fail(
		    e, WHY_INVALID,
		    "the archive gives no name to image sha256:%.12s: say one after the file",
		    id);
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *tag = json_string_value(json_array_get(tags, i));

		if (image_name_add(l, id, tag ? tag : "", e) < 0)
			return fail_in(e, "manifest.json");
	}
	return 0;
}

int
image_docker_load(struct load *l, const struct member *m, struct error **e)
{
	const json_t *list = image_member_json(l, m, e);

	if (!list)
		return -1;
	if (!json_is_array(list) || json_array_size(list) == 0)
		return fail(e, WHY_INVALID, "manifest.json: must be a list of images");
	if (l->c->name && json_array_size(list) > 1)
		return fail(e, WHY_INVALID,
			    "the archive holds %zu images: leave the name out, each has "
			    "its own",
			    json_array_size(list));
	for (size_t i = 0; i < json_array_size(list); i++)
		if (docker_image(l, json_array_get(list, i), e) < 0)
			return -1;
	return 0;
}

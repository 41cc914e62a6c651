/* image_make.c -- layers and configs as they are made in the fenced child: one
 * layer by one tar, one image by its config, and the import of a root tree.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct made_layer {
	int64_t bytes, newest_s;
};

bool
image_layer_known(const struct child *c, const char *hex, int64_t *ret_bytes,
		  int64_t *ret_newest_s)
{
	const struct made_layer *m = map_get(&c->made, hex);

	if (m) {
		*ret_bytes = m->bytes;
		*ret_newest_s = m->newest_s;
		return true;
	}
	*ret_newest_s = 0;
	return image_store_has_layer(c->store, hex, ret_bytes);
}

int
image_digest_check(const char *what, const char *kind, const char *want, const char *have,
		   struct error **e)
{
	if (!want || strcmp(want, have) == 0)
		return 0;
	return fail(e, WHY_INVALID,
		    "%s: its %s is sha256:%s, but sha256:%s was promised: the archive "
		    "is damaged or was tampered with; make it anew",
		    what, kind, have, want);
}

void
image_layer_made(struct child *c, const char *hex, int64_t bytes, int64_t newest_s)
{
	struct made_layer *made = xcalloc(1, sizeof *made);

	*made = (struct made_layer){ bytes, newest_s };
	free(map_put(&c->made, hex, made));
}

/* From the stream into the folder; what it is called as it came and when plain. */
static int
layer_fill(struct child *c, int fd, const char *what, const struct layer_want *want, int dir,
	   struct layer *layer, char ret_plain[HEX_SIZE], struct error **e)
{
	cleanup_free struct stream *s = xmalloc(sizeof *s);
	char stored[HEX_SIZE];
	int rc = image_stream_open(s, fd, what, want->size, c->budget, e);

	if (rc == 0)
		rc = image_layer_unpack(s, dir, c->budget, layer, e);
	if (rc == 0)
		rc = image_stream_end(s, stored, ret_plain, e);
	image_stream_close(s);
	if (rc == 0)
		rc = image_digest_check(what, "digest", want->stored, stored, e);
	if (rc == 0)
		rc = image_digest_check(what, "diffID", want->plain, ret_plain, e);
	return rc;
}

/* For the parent, which puts the layer into the store. */
static void
layer_tell(struct child *c, const char *plain, const struct layer *l, uint64_t sum)
{
	image_items_add(&c->answer, "sum", "%s %016llx", plain, (unsigned long long)sum);
	image_items_add(&c->answer, "layer", "%s %lld", plain, (long long)l->bytes);
	for (size_t at = 0; at < l->opaque.len; at += strlen(l->opaque.at + at) + 1)
		image_items_add(&c->answer, "opaque", "%s %s", plain, l->opaque.at + at);
}

int
image_child_layer(struct child *c, int fd, const char *what, const struct layer_want *want,
		  char ret_diff_id[HEX_SIZE], int64_t *ret_newest_s, struct error **e)
{
	char plain[HEX_SIZE], path[16 + HEX_SIZE], fresh[32];
	struct layer layer = { 0 };
	cleanup_close int dir = -1;
	int64_t bytes;
	uint64_t sum = 0;
	int rc;

	if (want->plain && image_layer_known(c, want->plain, &bytes, ret_newest_s)) {
		memcpy(ret_diff_id, want->plain, HEX_SIZE);
		return 0;
	}
	snprintf(fresh, sizeof fresh, "layers/new-%d", c->number);
	if (mkdirat(c->root, fresh, 0755) < 0)
		return fail_sys(e, "mkdir %s", fresh);
	dir = openat(c->root, fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return fail_sys(e, "open %s", fresh);
	rc = layer_fill(c, fd, what, want, dir, &layer, plain, e);
	if (rc == 0)
		rc = image_layer_sum(dir, &sum, e);
	if (rc == 0 && image_layer_known(c, plain, &bytes, ret_newest_s)) {
		/* the caller did not know its name before; the tree is there already */
		if (image_tree_remove(c->root, fresh) < 0)
			rc = fail_sys(e, "remove %s", fresh);
		*ret_newest_s = layer.newest_s;
	} else if (rc == 0) {
		snprintf(path, sizeof path, "layers/%s", plain);
		if (renameat(c->root, fresh, c->root, path) < 0)
			rc = fail_sys(e, "rename %s", fresh);
		image_layer_made(c, plain, layer.bytes, layer.newest_s);
		*ret_newest_s = layer.newest_s;
		layer_tell(c, plain, &layer, sum);
	}
	buf_done(&layer.opaque);
	if (rc == 0)
		memcpy(ret_diff_id, plain, HEX_SIZE);
	return rc;
}

int
image_child_image(struct child *c, const char *json, size_t len, const char *manifest_digest,
		  char ret_id[HEX_SIZE], struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf record = { 0 };
	struct config_facts facts;
	struct sha256_ctx hash;
	char id[HEX_SIZE], file[8 + HEX_SIZE];
	int64_t bytes, newest;

	if (image_config_read(json, len, &a, &record, &facts, e) < 0)
		return -1;
	sha256_init(&hash);
	sha256_update(&hash, len, (const uint8_t *)json);
	image_hex_print(&hash, id);
	for (size_t i = 0; i < facts.nlayers; i++) {
		if (!image_layer_known(c, facts.diff_ids[i], &bytes, &newest))
			return fail(e, WHY_INVALID, "the image's layer sha256:%s is missing",
				    facts.diff_ids[i]);
		image_items_add(&record, "layer", "%s %lld", facts.diff_ids[i],
				(long long)bytes);
	}
	if (manifest_digest)
		image_items_add(&record, "digest", "%s", manifest_digest);
	image_items_end(&record);
	memcpy(ret_id, id, HEX_SIZE);
	snprintf(file, sizeof file, "%s.json", id);
	if (faccessat(c->root, file, F_OK, 0) == 0)
		return 0; /* one image under several names */
	if (image_file_write(c->root, file, json, len, e) < 0 ||
	    image_file_write(c->root, id, record.at, record.len, e) < 0)
		return -1;
	image_items_add(&c->answer, "image", "%s", id);
	return 0;
}

int
image_child_import(struct child *c, struct error **e)
{
	static const struct layer_want any;
	char diff_id[HEX_SIZE], id[HEX_SIZE];
	cleanup_free char *json = NULL;
	int64_t newest = 0;

	if (image_child_layer(c, c->fd, "the tree", &any, diff_id, &newest, e) < 0)
		return -1;
	json = image_config_make(c->config, diff_id, newest);
	if (!json)
		return fail(e, WHY_INVALID, "the image's options are not valid UTF-8");
	if (image_child_image(c, json, strlen(json), NULL, id, e) < 0)
		return -1;
	image_items_add(&c->answer, "name", "%s %s", id, c->name);
	return 0;
}

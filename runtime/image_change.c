/* image_change.c -- what changes the image store: taking in what a child made,
 * removing names, and removing what nobody needs any more.
 *
 * Order is the whole guarantee.  In: layers, then configs, then names.  Out: names, then
 * configs, then layers.  The disk hears of it later: image_sync.c.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include "image_store.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The child is gone, yet what it left is an image's bytes: never follow. */
static int
dir_open(int at, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* "HEX rest" -> hex, and the rest */
static const char *
hex_and_rest(const char *value, char ret_hex[HEX_SIZE])
{
	size_t n = strcspn(value, " ");

	if (n != HEX_SIZE - 1)
		return NULL;
	memcpy(ret_hex, value, n);
	ret_hex[n] = '\0';
	if (!image_hex_valid(ret_hex))
		return NULL;
	return value[n] ? value + n + 1 : value + n;
}

/* A layer's directory in the job's; `path` is where it is. */
static int
job_layer(int job, const char *hex, char path[static 16 + HEX_SIZE], struct error **e)
{
	int dir;

	snprintf(path, 16 + HEX_SIZE, "layers/%s", hex);
	dir = dir_open(job, path);
	return dir < 0 ? fail_sys(e, "open layer %.12s", hex) : dir;
}

/* trusted.* needs CAP_SYS_ADMIN, which the child that reads the tar must not have. */
static int
opaque_mark(struct images *s, int job, const char *value, struct error **e)
{
	cleanup_close int layer = -1, dir = -1;
	char hex[HEX_SIZE], path[16 + HEX_SIZE];
	const char *rest = hex_and_rest(value, hex);

	if (!rest)
		return fail(e, WHY_INTERNAL, "the unpacking process names no layer: %s", value);
	if (faccessat(s->layers, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* it will not be taken, for it is here */
	layer = job_layer(job, hex, path, e);
	if (layer < 0)
		return -1;
	dir = dir_open(layer, rest);
	if (dir < 0)
		return 0; /* a later entry of the tar put something else there */
	if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) < 0)
		return fail_sys(e, "mark %s of layer %.12s as opaque", rest, hex);
	return 0;
}

/* What image_sum.c counted, last of all: what comes in order to the disk comes before it.  A
 * file system that keeps no such note has layers that cannot be looked at again: there the
 * child brought all of it to the disk. */
static int
sum_keep(struct images *s, int job, const char *value, struct error **e)
{
	char hex[HEX_SIZE], path[16 + HEX_SIZE];
	const char *sum = hex_and_rest(value, hex);
	cleanup_close int dir = -1;

	if (!sum || strlen(sum) != 16)
		return fail(e, WHY_INTERNAL, "the unpacking process names no sum: %s", value);
	if (faccessat(s->layers, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* it will not be taken, for it is here */
	dir = job_layer(job, hex, path, e);
	if (dir < 0)
		return -1;
	if (image_layer_sum_keep(dir, sum, false) == 0)
		return 0;
	return errno == ENOTSUP ? 0 : fail_sys(e, "note the sum of layer %.12s", hex);
}

static int
layer_take(struct images *s, int job, const char *value, struct error **e)
{
	char hex[HEX_SIZE], path[16 + HEX_SIZE];
	cleanup_close int dir = -1;
	int64_t bytes;

	if (!image_layer_item(value, hex, &bytes))
		return fail(e, WHY_INTERNAL, "the unpacking process names no layer: %s", value);
	dir = job_layer(job, hex, path, e);
	if (dir < 0)
		return -1;
	/* the same content may have come by another job meanwhile: either will do */
	if (renameat2(job, path, s->layers, hex, RENAME_NOREPLACE) == 0)
		image_sync_took(s, hex);
	else if (errno != EEXIST)
		return fail_sys(e, "rename layer %.12s into the image store", hex);
	return 0;
}

static int
image_take(struct images *s, int job, const char *hex, struct error **e)
{
	char json[8 + HEX_SIZE];
	struct image_entry *x;

	if (!image_hex_valid(hex))
		return fail(e, WHY_INTERNAL, "the unpacking process names no image: %s", hex);
	x = image_record_read(s, NULL, job, hex, "", e);
	if (!x)
		return -1;
	image_entry_free(x);
	snprintf(json, sizeof json, "%s.json", hex);
	if (renameat(job, json, s->configs, json) < 0 ||
	    renameat(job, hex, s->configs, hex) < 0)
		return fail_sys(e, "rename config %.12s into the image store", hex);
	return 0;
}

static int
name_take(struct images *s, int job, const char *value, char **ret_name, struct error **e)
{
	char hex[HEX_SIZE];
	const char *rest = hex_and_rest(value, hex);
	size_t n = rest ? strcspn(rest, " ") : 0;
	const char *digest = rest && rest[n] ? rest + n + 1 : ""; /* when it was pulled */
	cleanup_free char *said = xstrndup(rest ? rest : "", n);
	cleanup_free char *name = rest ? image_normalise(said, e) : NULL;
	cleanup_free char *file = NULL;
	cleanup_buf struct buf text = { 0 };

	if (!rest)
		return fail(e, WHY_INTERNAL, "the unpacking process gives no name: %s", value);
	if (!name)
		return -1;
	if (faccessat(s->configs, hex, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "image sha256:%.12s", hex);
	file = image_name_encode(name);
	buf_addf(&text, "%s\n", hex);
	if (image_digest_hex(digest))
		buf_addf(&text, "%s\n", digest);
	(void)unlinkat(job, "name", 0);
	if (image_file_write(job, "name", text.at, text.len, e) < 0)
		return fail_in(e, "%s", name);
	if (renameat(job, "name", s->names, file) < 0)
		return fail_sys(e, "rename %s into the image store", file);
	*ret_name = steal_ptr(&name);
	return 0;
}

static int
step(struct images *s, int job, const char *key, const char *value, char **names, size_t *n,
     struct error **e)
{
	if (strcmp(key, "opaque") == 0)
		return opaque_mark(s, job, value, e);
	if (strcmp(key, "sum") == 0)
		return sum_keep(s, job, value, e);
	if (strcmp(key, "layer") == 0)
		return layer_take(s, job, value, e);
	if (strcmp(key, "image") == 0)
		return image_take(s, job, value, e);
	if (name_take(s, job, value, &names[*n], e) < 0)
		return -1;
	++*n;
	return 0;
}

static int
steps(struct images *s, int job, const struct items *items, char **names, struct error **e)
{
	static const char *const order[] = { "opaque", "sum", "layer", "image", "name" };
	size_t n = 0;

	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; i < items->n; i++)
			if (strcmp(items->at[i].key, order[k]) == 0 &&
			    step(s, job, order[k], items->at[i].value, names, &n, e) < 0)
				return -1;
	return 0;
}

int
image_store_take(struct images *s, const char *dir, const struct items *items,
		 char ***ret_names, struct error **e)
{
	cleanup_close int job = dir_open(s->ingest, dir);
	char **names = xcalloc(items->n + 1, sizeof *names);
	int rc;

	if (job < 0)
		rc = fail_sys(e, "open %s/%s", s->ingest_path, dir);
	else
		rc = steps(s, job, items, names, e);
	/* whatever came in is now found; after a failure what lies about is not kept */
	if (image_store_reload(s, true, rc < 0 ? NULL : e) < 0)
		rc = -1;
	else if (rc < 0)
		(void)image_layers_sweep(s, NULL);
	if (rc == 0) {
		*ret_names = names;
		return 0;
	}
	for (size_t i = 0; names[i]; i++)
		free(names[i]);
	free(names);
	return -1;
}

/* Large trees take seconds to remove; the hand has no seconds. */
void
image_store_discard(const struct images *s, const char *dir)
{
	cleanup_close int job = dir_open(s->ingest, dir);
	pid_t pid;
	int fd;

	if (job >= 0) { /* what is left after success */
		static const char *const left[] = { "answer", "answer-1", "answer-2",
						    "answer-3", "name" };

		for (size_t i = 0; i < sizeof left / sizeof *left; i++)
			(void)unlinkat(job, left[i], 0);
		(void)unlinkat(job, "layers", AT_REMOVEDIR);
		(void)unlinkat(job, "files", AT_REMOVEDIR);
		(void)unlinkat(job, "store", AT_REMOVEDIR);
		if (unlinkat(s->ingest, dir, AT_REMOVEDIR) == 0)
			return;
	}
	pid = fork();
	if (pid > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return;
	}
	if (pid < 0) {
		(void)image_tree_remove(s->ingest, dir);
		return;
	}
	/* Twice, so that nobody has to wait for it.  Locks are not for it to keep, not even
	 * until its turn comes: who starts anew just then would take them for another kedged's.
	 */
	fd = open(s->ingest_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && dup2(fd, 3) == 3) {
		close_range(4, ~0U, 0);
		if (fork() == 0)
			(void)image_tree_remove(3, dir);
	}
	_exit(0);
}

struct sweep {
	struct images *store;
	struct map named; /* ids that names point to */
	int removed;
};

static int
layer_see(void *ctx, const char *hex, struct error **e)
{
	struct sweep *w = ctx;
	char gone[96];

	if (map_get(&w->store->shelf.layers, hex))
		return 0;
	snprintf(gone, sizeof gone, "gone-%d-%u", getpid(), image_store_serial(w->store));
	if (renameat(w->store->layers, hex, w->store->ingest, gone) < 0)
		return fail_sys(e, "remove layer %.12s", hex);
	image_store_discard(w->store, gone);
	return 0;
}

int
image_layers_sweep(struct images *s, struct error **e)
{
	struct sweep w = { .store = s };

	if (s->shelf.unsure)
		return 0;
	return image_dir_each(s->layers, layer_see, &w, e);
}

static int
config_see(void *ctx, const char *file, struct error **e)
{
	struct sweep *w = ctx;
	const struct images *s = w->store;
	char hex[HEX_SIZE], id[8 + HEX_SIZE];

	snprintf(hex, sizeof hex, "%.64s", file);
	snprintf(id, sizeof id, "sha256:%s", hex);
	if (map_get(&w->named, hex) || (s->keeper && s->keeper(s->keeper_ctx, id)))
		return 0;
	w->removed++;
	return unlinkat(s->configs, file, 0) < 0 ? fail_sys(e, "remove config %.12s", hex) : 0;
}

int
images_sweep(struct images *s, struct error **e)
{
	struct sweep w = { .store = s };
	int rc;

	if (s->shelf.unsure)
		return 0;
	for (size_t i = 0; i < s->shelf.n; i++)
		(void)map_put(&w.named, image_digest_hex(s->shelf.at[i]->image.id), s);
	rc = image_dir_each(s->configs, config_see, &w, e);
	map_done(&w.named);
	if (rc < 0 || w.removed == 0)
		return rc;
	if (image_sync_dir(s, s->configs, e) < 0)
		return -1;
	return image_store_reload(s, true, e) < 0 ? -1 : image_layers_sweep(s, e);
}

void
images_keep(struct images *s, image_keeper *keeper, void *ctx)
{
	s->keeper = keeper;
	s->keeper_ctx = ctx;
}

int
image_remove(struct images *s, const char *name, struct error **e)
{
	const struct image *i = image_find(s, name);
	cleanup_free char *file = NULL;

	if (!i)
		return fail(e, WHY_NOT_FOUND,
			    "image %s is not here; `kedge image ls` shows those that are",
			    name);
	file = image_name_encode(i->name);
	if (unlinkat(s->names, file, 0) < 0)
		return fail_sys(e, "remove %s", file);
	if (image_sync_dir(s, s->names, e) < 0)
		return -1;
	return image_store_reload(s, true, e) < 0 ? -1 : images_sweep(s, e);
}

/* ---- layers that nobody must run ---- */

struct drop {
	struct images *store;
	const struct map *layers;
	struct map held; /* of them, those that a pod runs on */
	struct buf *names;
	bool keep;
};

bool
image_entry_has(const struct image_entry *x, const struct map *layers)
{
	if (map_get(layers, image_digest_hex(x->image.id)))
		return true;
	for (size_t i = 0; i < x->nlayers; i++)
		if (map_get(layers, x->layers[i]))
			return true;
	return false;
}

static int
drop_config_see(void *ctx, const char *hex, struct error **e)
{
	struct drop *d = ctx;
	const struct images *s = d->store;
	struct image_entry *x;
	char id[8 + HEX_SIZE];

	(void)e;
	if (!image_hex_valid(hex))
		return 0;
	snprintf(id, sizeof id, "sha256:%s", hex);
	x = image_record_read(d->store, NULL, s->configs, hex, "", NULL);
	if (x && image_entry_has(x, d->layers) && s->keeper && s->keeper(s->keeper_ctx, id))
		for (size_t i = 0; i < x->nlayers; i++)
			(void)map_put(&d->held, x->layers[i], d);
	image_entry_free(x);
	return 0;
}

static int
layer_drop(struct drop *d, const char *hex, struct error **e)
{
	struct images *s = d->store;
	bool keep = d->keep || map_get(&d->held, hex);
	char to[96];
	int rc;

	do {
		if (keep)
			snprintf(to, sizeof to, BAD_LAYER "%s-%u", s->boot,
				 image_store_serial(s));
		else
			snprintf(to, sizeof to, "dropped-%u", image_store_serial(s));
		rc = renameat2(s->layers, hex, s->ingest, to, RENAME_NOREPLACE);
	} while (rc < 0 && errno == EEXIST);
	if (rc < 0)
		return errno == ENOENT ? 0 : fail_sys(e, "remove layer %.12s", hex);
	if (!keep)
		image_store_discard(s, to);
	return 0;
}

static int
drop_all(struct drop *d, struct error **e)
{
	struct images *s = d->store;

	for (size_t i = 0; i < s->shelf.n; i++) {
		const struct image_entry *x = s->shelf.at[i];
		cleanup_free char *file = NULL;

		if (!image_entry_has(x, d->layers))
			continue;
		file = image_name_encode(x->image.name);
		if (unlinkat(s->names, file, 0) < 0 && errno != ENOENT)
			return fail_sys(e, "remove %s", file);
		buf_addf(d->names, "%s%s", d->names->len ? ", " : "", x->image.name);
	}
	if (image_dir_each(s->configs, drop_config_see, d, e) < 0)
		return -1;
	for (struct map_slot *m = map_first(d->layers); m; m = map_next(d->layers, m))
		if (layer_drop(d, m->key, e) < 0)
			return -1;
	return 0;
}

int
image_layers_drop(struct images *s, const struct map *layers, bool keep, struct buf *names,
		  struct error **e)
{
	struct drop d = { .store = s, .layers = layers, .names = names, .keep = keep };
	int rc = drop_all(&d, e);

	map_done(&d.held);
	/* without its layers no image is found, whatever else went wrong */
	return image_store_reload(s, false, rc < 0 ? NULL : e) < 0 ? -1 : rc;
}

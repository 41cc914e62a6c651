/* image.c -- the image store: what is on disk and what is found there.
 *
 * Content is named by its hash and never changes; only names change, each by
 * one rename.  What a name needs is there before the name is: a crash of ours at
 * any instant leaves the old image or the new one (image_sync.c: what one of the
 * host leaves).  What is left over without a name is found and removed later.
 *
 *     configs/sha256/<id>       the record: items, all that the hand ever reads
 *     configs/sha256/<id>.json  the config as it came, kept for who wants to look
 *     names/<name, '/' as '+'>  "<id>\n", and when it was pulled "<digest>\n"
 */
#include "base/cleanup.h"
#include "base/imageref.h"
#include "base/log.h"
#include "image_impl.h"
#include "image_store.h"
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define RECORD_MAX (4 << 20)

void
image_entry_free(struct image_entry *x)
{
	if (!x)
		return;
	arena_free(&x->arena);
	free(x);
}

static void
shelf_done(struct shelf *s)
{
	for (size_t i = 0; i < s->n; i++)
		image_entry_free(s->at[i]);
	free(s->at);
	free(s->list);
	for (struct map_slot *m = map_first(&s->layers); m; m = map_next(&s->layers, m))
		free(m->value);
	map_done(&s->layers);
	*s = (struct shelf){ 0 };
}

static const char *const *
words_of(const struct items *items, const char *key, struct arena *a)
{
	const char **out = arena_alloc(a, (items->n + 1) * sizeof *out);
	size_t n = 0;

	for (size_t i = 0; i < items->n; i++)
		if (strcmp(items->at[i].key, key) == 0)
			out[n++] = items->at[i].value;
	out[n] = NULL;
	return out;
}

static const char *
word_of(const struct items *items, const char *key)
{
	for (size_t i = 0; i < items->n; i++)
		if (strcmp(items->at[i].key, key) == 0)
			return items->at[i].value;
	return "";
}

bool
image_layer_item(const char *value, char ret_hex[HEX_SIZE], int64_t *ret_bytes)
{
	size_t n = strcspn(value, " ");

	if (n != HEX_SIZE - 1 || value[n] != ' ')
		return false;
	memcpy(ret_hex, value, n);
	ret_hex[n] = '\0';
	*ret_bytes = strtoll(value + n + 1, NULL, 10);
	return image_hex_valid(ret_hex) && *ret_bytes >= 0;
}

/* An opaque root hides every layer below: they are left out, for overlayfs
 * asks only directories below the root. */
static bool
root_is_opaque(const char *layer)
{
	char v[2];

	return getxattr(layer, "trusted.overlay.opaque", v, sizeof v) == 1 && v[0] == 'y';
}

static int
layers_fill(struct images *s, struct shelf *to, const struct items *items,
	    struct image_entry *x, struct error **e)
{
	const char **dirs = arena_alloc(&x->arena, (items->n + 1) * sizeof *dirs);
	size_t n = 0;

	x->layers = arena_alloc(&x->arena, (items->n + 1) * sizeof *x->layers);
	for (size_t i = 0; i < items->n; i++) {
		char hex[HEX_SIZE];
		int64_t bytes;

		if (strcmp(items->at[i].key, "layer") != 0)
			continue;
		if (!image_layer_item(items->at[i].value, hex, &bytes))
			return fail(e, WHY_IO, "layer \"%s\" is none", items->at[i].value);
		if (faccessat(s->layers, hex, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT
				   ? fail(
					 e, WHY_IO,
					 "its layer sha256:%s is missing; load the image again",
					 hex)
				   : fail_sys(e, "look for its layer sha256:%s", hex);
		if (to && !map_get(&to->layers, hex)) {
			int64_t *size = xmalloc(sizeof *size);

			*size = bytes;
			(void)map_put(&to->layers, hex, size);
		}
		x->layers[x->nlayers++] = arena_strdup(&x->arena, hex);
		dirs[n] = arena_printf(&x->arena, "%s/layers/sha256/%s", s->dir, hex);
		x->image.size += bytes;
		if (root_is_opaque(dirs[n])) {
			dirs[0] = dirs[n];
			n = 0;
		}
		n++;
	}
	if (n == 0)
		return fail(e, WHY_IO, "it names no layer");
	x->image.layers = dirs;
	x->image.nlayers = n;
	return 0;
}

/* Reads a record from `dirfd`; adds its layers to `to` when that is given. */
struct image_entry *
image_record_read(struct images *s, struct shelf *to, int dirfd, const char *hex,
		  const char *name, struct error **e)
{
	struct image_entry *x = xcalloc(1, sizeof *x);
	struct image *i = &x->image;
	cleanup_buf struct buf b = { 0 };
	struct items items;

	if (image_file_read(dirfd, hex, RECORD_MAX, &b, e) < 0 ||
	    image_items_parse(b.at, b.len, &x->arena, &items, e) < 0 ||
	    layers_fill(s, to, &items, x, e) < 0) {
		fail_in(e, "image sha256:%.12s", hex);
		image_entry_free(x);
		return NULL;
	}
	i->name = arena_strdup(&x->arena, name);
	i->id = arena_printf(&x->arena, "sha256:%s", hex);
	i->entrypoint = words_of(&items, "entrypoint", &x->arena);
	i->cmd = words_of(&items, "cmd", &x->arena);
	i->env = words_of(&items, "env", &x->arena);
	i->ports = words_of(&items, "port", &x->arena);
	i->volumes = words_of(&items, "volume", &x->arena);
	i->working_dir = word_of(&items, "working_dir");
	i->user = word_of(&items, "user");
	i->stop_signal = word_of(&items, "stop_signal");
	i->created_ms = strtoll(word_of(&items, "created"), NULL, 10);
	x->digest = word_of(&items, "digest");
	i->digest = "";
	i->manifest = x->digest;
	return x;
}

static int
by_name(const void *a, const void *b)
{
	const struct image_entry *const *x = a, *const *y = b;

	return strcmp((*x)->image.name, (*y)->image.name);
}

/* Every entry of a directory. */
int
image_dir_each(int fd, int (*fn)(void *, const char *, struct error **), void *ctx,
	       struct error **e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *x;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return fail_sys(e, "read a directory of the image store");
	}
	for (;;) {
		errno = 0;
		x = readdir(d);
		if (!x)
			return errno ? fail_sys(e, "read a directory of the image store") : 0;
		if (x->d_name[0] != '.' && fn(ctx, x->d_name, e) < 0)
			return -1;
	}
}

struct reading {
	struct images *store;
	struct shelf shelf;
	bool strict;
};

/* A file that is damaged or gone costs its image.  One that the system could
 * not read may be sound: then nothing may be concluded from not seeing it. */
static int
unusable(struct reading *r, const char *what, struct error **why, struct error **e)
{
	bool unsure = (*why)->err != 0 && (*why)->err != ENOENT && (*why)->err != ELOOP;

	r->shelf.unsure = r->shelf.unsure || unsure;
	if (unsure && r->strict) {
		if (e)
			*e = steal_ptr(why);
		return -1;
	}
	log_warn("images", "%s is not usable: %s", what, error_text(*why));
	return 0;
}

static int
config_see(void *ctx, const char *hex, struct error **e)
{
	struct reading *r = ctx;
	cleanup_error struct error *why = NULL;
	struct image_entry *x;

	if (!image_hex_valid(hex))
		return 0;
	x = image_record_read(r->store, &r->shelf, r->store->configs, hex, "", &why);
	if (!x)
		return unusable(r, "a config", &why, e);
	image_entry_free(x);
	return 0;
}

char *
image_name_encode(const char *name)
{
	char *out = xstrdup(name);

	for (char *p = out; *p; p++)
		if (*p == '/')
			*p = '+'; /* which no image's name has */
	return out;
}

static int
name_see(void *ctx, const char *file, struct error **e)
{
	struct reading *r = ctx;
	struct shelf *s = &r->shelf;
	cleanup_error struct error *why = NULL;
	cleanup_buf struct buf b = { 0 };
	cleanup_free char *name = xstrdup(file);
	struct image_entry *x = NULL;

	for (char *p = name; *p; p++)
		if (*p == '+')
			*p = '/';
	if (image_file_read(r->store->names, file, 4096, &b, &why) == 0) {
		char *text = xstrdup(buf_text(&b)), *digest = text + strcspn(text, "\n");

		if (*digest)
			*digest++ = '\0';
		digest[strcspn(digest, "\n")] = '\0';
		if (!image_hex_valid(text) || (*digest && !image_digest_hex(digest)))
			fail(&why, WHY_IO, "names/%s is damaged", file);
		else
			x = image_record_read(r->store, NULL, r->store->configs, text, name,
					      &why);
		if (x && *digest)
			x->image.digest = arena_strdup(&x->arena, digest);
		free(text);
	}
	if (!x)
		return unusable(r, name, &why, e);
	if (image_sync_distrusts(r->store, x)) {
		image_entry_free(x);
		return 0;
	}
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 16;
		s->at = xrealloc(s->at, s->cap * sizeof *s->at);
	}
	s->at[s->n++] = x;
	return 0;
}

/* What is on disk becomes what is found; when strict, all of it or the error. */
int
image_store_reload(struct images *s, bool strict, struct error **e)
{
	struct reading r = { .store = s, .strict = strict };
	struct shelf *to = &r.shelf;

	if (image_dir_each(s->configs, config_see, &r, e) < 0 ||
	    image_dir_each(s->names, name_see, &r, e) < 0) {
		shelf_done(to);
		return -1;
	}
	if (to->n > 0)
		qsort(to->at, to->n, sizeof *to->at, by_name);
	to->list = xcalloc(to->n + 1, sizeof *to->list);
	for (size_t i = 0; i < to->n; i++)
		to->list[i] = &to->at[i]->image;
	shelf_done(&s->shelf);
	s->shelf = *to;
	return 0;
}

static int
clear_one(void *ctx, const char *name, struct error **e)
{
	struct images *s = ctx;

	/* a layer that a pod may still run on: until there are no such pods any more */
	if (strncmp(name, BAD_LAYER, strlen(BAD_LAYER)) == 0 &&
	    strncmp(name + strlen(BAD_LAYER), s->boot, strlen(s->boot)) == 0)
		return 0;
	if (image_tree_remove(s->ingest, name) == 0)
		return 0;
	if (errno != ENOTEMPTY)
		return fail_sys(e, "remove %s/%s", s->ingest_path, name);
	/* A worker of one before us ends with what it was sent, but may still be writing. */
	log_warn("image", "%s/%s is still written to: the next start removes it",
		 s->ingest_path, name);
	return 0;
}

static int
dir_make(int at, const char *path, int *ret, struct error **e)
{
	if (mkdirat(at, path, 0700) < 0 && errno != EEXIST)
		return fail_sys(e, "mkdir %s in the image store", path);
	*ret = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? fail_sys(e, "open %s in the image store", path) : 0;
}

/* Two writers would clear each other's ingest.  A child of a killed kedged may
 * hold the lock for the instant until it is dead as well. */
static int
ingest_lock(struct images *s, struct error **e)
{
	for (int tries = 0; flock(s->ingest, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK)
			return fail_sys(e, "lock %s", s->ingest_path);
		if (tries == 100)
			return fail(e, WHY_CONFLICT,
				    "%s is in use by another kedged: give this one a --state "
				    "of its own",
				    s->dir);
		usleep(10000);
	}
	return 0;
}

static int
dirs_make(struct images *s, struct error **e)
{
	cleanup_close int base = -1, layers = -1, configs = -1;

	if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		return fail_sys(e, "mkdir %s", s->dir);
	base = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return fail_sys(e, "open %s", s->dir);
	if (image_sync_init(s, e) < 0)
		return -1;
	if (dir_make(base, "layers", &layers, e) < 0 ||
	    dir_make(layers, "sha256", &s->layers, e) < 0 ||
	    dir_make(base, "configs", &configs, e) < 0 ||
	    dir_make(configs, "sha256", &s->configs, e) < 0 ||
	    dir_make(base, "names", &s->names, e) < 0 ||
	    dir_make(base, "ingest", &s->ingest, e) < 0)
		return -1;
	return ingest_lock(s, e);
}

int
images_open(const char *state_dir, struct images **ret, struct error **e)
{
	struct images *s = xcalloc(1, sizeof *s);

	s->layers = s->configs = s->names = s->ingest = s->disk = -1;
	if (mkdir(state_dir, 0755) < 0 && errno != EEXIST) {
		fail_sys(e, "mkdir %s", state_dir);
		goto out;
	}
	s->state = realpath(state_dir, NULL);
	if (!s->state) {
		fail_sys(e, "%s", state_dir);
		goto out;
	}
	xasprintf(&s->dir, "%s/images", s->state);
	xasprintf(&s->ingest_path, "%s/ingest", s->dir);
	if (dirs_make(s, e) < 0 || image_dir_each(s->ingest, clear_one, s, e) < 0 ||
	    image_store_reload(s, false, e) < 0 || image_sync_open(s, e) < 0 ||
	    image_layers_sweep(s, e) < 0)
		goto out;
	*ret = s;
	return 0;
out:
	images_close(s);
	return -1;
}

void
images_close(struct images *s)
{
	int fds[4];

	if (!s)
		return;
	fds[0] = s->layers;
	fds[1] = s->configs;
	fds[2] = s->names;
	fds[3] = s->ingest;
	for (size_t i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	image_sync_done(s);
	shelf_done(&s->shelf);
	free(s->state);
	free(s->dir);
	free(s->ingest_path);
	free(s);
}

/* "path@sha256:..": the manifest's digest, or the image's own id; of an image that was brought
 * by another digest (its index'), too */
static const struct image *
find_by_digest(const struct images *s, const char *name, const char *at)
{
	for (size_t i = 0; i < s->shelf.n; i++) {
		const struct image_entry *x = s->shelf.at[i];

		if (!imageref_is_of(x->image.name, name, at - name))
			continue;
		if (strcmp(x->digest, at + 1) == 0 || strcmp(x->image.id, at + 1) == 0 ||
		    strcmp(x->image.digest, at + 1) == 0)
			return &x->image;
	}
	return NULL;
}

const struct image *
image_find(struct images *s, const char *name)
{
	cleanup_free char *full = NULL;
	size_t lo = 0, hi = s->shelf.n;
	const char *at;

	if (image_digest_hex(name)) {
		for (size_t i = 0; i < s->shelf.n; i++)
			if (strcmp(s->shelf.at[i]->image.id, name) == 0)
				return &s->shelf.at[i]->image;
		return NULL;
	}
	full = image_normalise(name, NULL);
	if (!full)
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(full, s->shelf.at[mid]->image.name);

		if (c == 0)
			return &s->shelf.at[mid]->image;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	at = strchr(full, '@');
	return at ? find_by_digest(s, full, at) : NULL;
}

size_t
images_list(struct images *s, const struct image *const **ret)
{
	*ret = s->shelf.list;
	return s->shelf.n;
}

bool
image_store_has_layer(const struct images *s, const char *hex, int64_t *ret_bytes)
{
	const int64_t *bytes = map_get(&s->shelf.layers, hex);

	if (bytes)
		*ret_bytes = *bytes;
	return bytes != NULL;
}

int
image_store_ingest(const struct images *s)
{
	return s->ingest;
}

const char *
image_store_path(const struct images *s)
{
	return s->dir;
}

const char *
image_store_ingest_path(const struct images *s)
{
	return s->ingest_path;
}

unsigned
image_store_serial(struct images *s)
{
	return ++s->serial;
}

void
image_store_taker(struct images *s, bool begins)
{
	s->takers += begins ? 1 : -1U;
	if (!begins)
		image_sync_rest(s);
}

unsigned
image_store_refusals(const struct images *s)
{
	return s->refusals;
}

bool
image_store_refused(const struct images *s, unsigned since)
{
	return s->refused || s->refusals != since;
}

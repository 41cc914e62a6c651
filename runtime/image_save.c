/* image_save.c -- in the child: an image of the store as a docker-archive.
 *
 * Layers are kept unpacked, so each is packed anew, always in the same way: the first time
 * to know its size and digest, the second time into the archive.  The bytes differ from
 * those that were once fetched, and with them digests and the image's id; the files do not.
 * The store is there read-only; nothing in it is followed or trusted.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define DEPTH_MAX 512

struct packing {
	struct archive *out;
	struct map files; /* "inode" -> first path of those with several names */
	char *bytes;
};

static int
out_fail(struct packing *p, const char *path, struct error **e)
{
	return fail(e, WHY_IO, "%s: %s", path,
		    archive_error_string(p->out) ? archive_error_string(p->out)
						 : "cannot be written");
}

static int
data_put(struct packing *p, int fd, int64_t size, const char *path, struct error **e)
{
	while (size > 0) {
		ssize_t n = read(fd, p->bytes, 1 << 17);

		if (n < 0)
			return fail_sys(e, "%s: read", path);
		if (n == 0)
			return fail(e, WHY_IO, "%s: is shorter than it was", path);
		n = n > size ? size : n;
		if (archive_write_data(p->out, p->bytes, n) < 0)
			return out_fail(p, path, e);
		size -= n;
	}
	return 0;
}

static void
xattrs_put(struct archive_entry *x, int fd)
{
	char names[4096], value[65536];
	ssize_t n = flistxattr(fd, names, sizeof names);

	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
		const char *name = names + i;
		ssize_t len;

		if (strcmp(name, "security.capability") != 0 && strncmp(name, "user.", 5) != 0)
			continue;
		len = fgetxattr(fd, name, value, sizeof value);
		if (len >= 0)
			archive_entry_xattr_add_entry(x, name, value, len);
	}
}

/* Holes are told of, lest the file takes on its way back what it does not take here.  Its
 * bytes are given all the same: the writer drops those that are in none of these. */
static int
holes_put(struct archive_entry *x, int fd, const struct stat *st, const char *path,
	  struct error **e)
{
	if (st->st_blocks * 512 >= st->st_size)
		return 0;
	for (off_t at = 0, end; at < st->st_size; at = end) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			break;
		end = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return fail_sys(e, "%s: look for holes", path);
		archive_entry_sparse_add_entry(x, at, end - at);
	}
	if (archive_entry_sparse_count(x) == 0) /* nothing but a hole */
		archive_entry_sparse_add_entry(x, 0, 0);
	return lseek(fd, 0, SEEK_SET) < 0 ? fail_sys(e, "%s: seek", path) : 0;
}

static int
marker_put(struct packing *p, const char *dir, const char *name, struct error **e)
{
	struct archive_entry *x = archive_entry_new();
	cleanup_free char *path = NULL;
	int rc = 0;

	xasprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name);
	archive_entry_set_pathname(x, path);
	archive_entry_set_filetype(x, AE_IFREG);
	archive_entry_set_perm(x, 0);
	archive_entry_set_size(x, 0);
	if (archive_write_header(p->out, x) < ARCHIVE_WARN)
		rc = out_fail(p, path, e);
	archive_entry_free(x);
	return rc;
}

static bool
is_link_of(struct packing *p, const struct stat *st, const char *path, const char **ret_first)
{
	char key[64];
	char *first;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return false;
	snprintf(key, sizeof key, "%llu", (unsigned long long)st->st_ino);
	first = map_get(&p->files, key);
	if (first) {
		*ret_first = first;
		return true;
	}
	(void)map_put(&p->files, key, xstrdup(path));
	return false;
}

static int
entry_put(struct packing *p, int at, const char *leaf, const char *path, const struct stat *st,
	  struct error **e)
{
	struct archive_entry *x = archive_entry_new();
	cleanup_close int fd = -1;
	const char *first = NULL;
	char target[4096];
	int rc = -1;

	archive_entry_copy_stat(x, st);
	archive_entry_set_dev(x, 0);
	archive_entry_set_ino(x, 0);
	archive_entry_set_nlink(x, 1);
	archive_entry_unset_atime(x);
	archive_entry_unset_ctime(x);
	archive_entry_set_pathname(x, path);
	if (is_link_of(p, st, path, &first)) {
		archive_entry_set_hardlink(x, first);
		archive_entry_unset_size(x);
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(at, leaf, target, sizeof target - 1);

		if (n < 0) {
			fail_sys(e, "%s: readlink", path);
			goto out;
		}
		target[n] = '\0';
		archive_entry_set_symlink(x, target);
	} else if (S_ISDIR(st->st_mode)) {
		cleanup_close int dir =
		    openat(at, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (dir < 0) {
			fail_sys(e, "%s: open", path);
			goto out;
		}
		xattrs_put(x, dir);
	} else if (S_ISREG(st->st_mode)) {
		fd = openat(at, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) {
			fail_sys(e, "%s: open", path);
			goto out;
		}
		xattrs_put(x, fd);
		if (holes_put(x, fd, st, path, e) < 0)
			goto out;
	}
	if (archive_write_header(p->out, x) < ARCHIVE_WARN)
		out_fail(p, path, e);
	else
		rc = fd < 0 ? 0 : data_put(p, fd, st->st_size, path, e);
out:
	archive_entry_free(x);
	return rc;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
names_read(int fd, const char *path, char ***ret, size_t *ret_n, struct error **e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *x;
	size_t cap = 0;

	if (!d)
		return fail_sys(e, "%s: read", path);
	while ((x = readdir(d))) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (*ret_n == cap) {
			cap = cap ? 2 * cap : 32;
			*ret = xrealloc(*ret, cap * sizeof **ret);
		}
		(*ret)[(*ret_n)++] = xstrdup(x->d_name);
	}
	if (*ret_n)
		qsort(*ret, *ret_n, sizeof **ret, by_text);
	return 0;
}

static int dir_put(struct packing *, int fd, const char *path, int depth, struct error **);

static int
child_put(struct packing *p, int at, const char *dir, const char *leaf, int depth,
	  struct error **e)
{
	cleanup_free char *path = NULL, *white = NULL;
	cleanup_close int sub = -1;
	struct stat st;

	xasprintf(&path, "%s%s%s", dir, *dir ? "/" : "", leaf);
	if (fstatat(at, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "%s: stat", path);
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
		xasprintf(&white, ".wh.%s", leaf);
		return marker_put(p, dir, white, e);
	}
	if (!S_ISDIR(st.st_mode))
		return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISFIFO(st.st_mode)
			   ? entry_put(p, at, leaf, path, &st, e)
			   : 0;
	sub = openat(at, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return fail_sys(e, "%s: open", path);
	if (entry_put(p, at, leaf, path, &st, e) < 0)
		return -1;
	return dir_put(p, sub, path, depth + 1, e);
}

static int
dir_put(struct packing *p, int fd, const char *path, int depth, struct error **e)
{
	char **names = NULL, opaque[2];
	size_t n = 0;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return fail(e, WHY_TOO_LARGE, "%s: folders are nested too deeply", path);
	if (fgetxattr(fd, "trusted.overlay.opaque", opaque, sizeof opaque) == 1 &&
	    *opaque == 'y')
		rc = marker_put(p, path, ".wh..wh..opq", e);
	if (rc == 0)
		rc = names_read(fd, path, &names, &n, e);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = child_put(p, fd, path, names[i], depth, e);
		free(names[i]);
	}
	free(names);
	return rc;
}

/* ---- a layer, to a sink ---- */

struct sink {
	struct sha256_ctx hash;
	int64_t bytes;
	struct archive *to; /* NULL: only count */
};

static la_ssize_t
sink_write(struct archive *a, void *ctx, const void *bytes, size_t n)
{
	struct sink *s = ctx;

	sha256_update(&s->hash, n, bytes);
	s->bytes += n;
	if (s->to && archive_write_data(s->to, bytes, n) < 0) {
		archive_set_error(a, EIO, "%s", archive_error_string(s->to));
		return -1;
	}
	return n;
}

static int
layer_pack(struct child *c, const char *hex, struct sink *s, struct error **e)
{
	struct packing p = { .bytes = xmalloc(1 << 17) };
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	struct stat st;
	int rc;

	xasprintf(&path, "store/layers/sha256/%s", hex);
	fd = openat(c->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	sha256_init(&s->hash);
	s->bytes = 0;
	p.out = archive_write_new();
	archive_write_set_format_pax_restricted(p.out);
	archive_write_set_bytes_per_block(p.out, 1 << 16);
	archive_write_set_bytes_in_last_block(p.out, 512);
	rc = fd < 0 || fstat(fd, &st) < 0 ? fail_sys(e, "layer %.12s", hex) : 0;
	if (rc == 0 && archive_write_open(p.out, s, NULL, sink_write, NULL) != ARCHIVE_OK)
		rc = out_fail(&p, hex, e);
	if (rc == 0)
		rc = entry_put(&p, fd, ".", "./", &st, e);
	if (rc == 0)
		rc = dir_put(&p, fd, "", 0, e);
	if (rc == 0 && archive_write_close(p.out) != ARCHIVE_OK)
		rc = out_fail(&p, hex, e);
	archive_write_free(p.out);
	for (struct map_slot *m = map_first(&p.files); m; m = map_next(&p.files, m))
		free(m->value);
	map_done(&p.files);
	free(p.bytes);
	return rc;
}

/* ---- the archive ---- */

static int
member_begin(struct archive *out, const char *name, int64_t size, struct error **e)
{
	struct archive_entry *x = archive_entry_new();
	int rc;

	archive_entry_set_pathname(x, name);
	archive_entry_set_filetype(x, AE_IFREG);
	archive_entry_set_perm(x, 0644);
	archive_entry_set_size(x, size);
	rc = archive_write_header(out, x);
	archive_entry_free(x);
	return rc < ARCHIVE_WARN ? fail(e, WHY_IO, "%s: %s", name, archive_error_string(out))
				 : 0;
}

static int
text_put(struct archive *out, const char *name, const char *text, struct error **e)
{
	size_t n = strlen(text);

	if (member_begin(out, name, (int64_t)n, e) < 0)
		return -1;
	return archive_write_data(out, text, n) < 0
		   ? fail(e, WHY_IO, "%s: %s", name, archive_error_string(out))
		   : 0;
}

/* The config as it came, with the digests of the layers as they are packed now. */
static char *
config_rewrite(struct child *c, char (*digests)[HEX_SIZE], size_t n, struct error **e)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf text = { 0 };
	json_t *j, *ids = json_array();
	char *out = NULL;

	xasprintf(&path, "store/configs/sha256/%s.json", image_digest_hex(c->image->id));
	if (image_file_read(c->root, path, 4 << 20, &text, e) < 0) {
		json_decref(ids);
		return NULL;
	}
	j = json_loadb(buf_text(&text), text.len, 0, NULL);
	for (size_t i = 0; i < n; i++) {
		char digest[8 + HEX_SIZE];

		snprintf(digest, sizeof digest, "sha256:%s", digests[i]);
		json_array_append_new(ids, json_string(digest));
	}
	if (json_is_object(j)) {
		json_object_del(j, "history"); /* it counts other layers */
		json_object_set_new(j, "rootfs",
				    json_pack("{s:s, s:O}", "type", "layers", "diff_ids", ids));
		out = json_dumps(j, JSON_COMPACT);
	} else {
		fail(e, WHY_IO, "%s: is no JSON", path);
	}
	json_decref(ids);
	json_decref(j);
	return out;
}

static const char *
layer_hex(const struct child *c, size_t i)
{
	return strrchr(c->image->layers[i], '/') + 1;
}

static int
archive_put(struct child *c, struct archive *out, char (*digests)[HEX_SIZE],
	    const int64_t *sizes, struct error **e)
{
	cleanup_free char *config = config_rewrite(c, digests, c->image->nlayers, e),
			  *text = NULL;
	json_t *layers = json_array(), *manifest;
	char file[HEX_SIZE + 8], hex[HEX_SIZE];
	struct sha256_ctx hash;
	int rc = config ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < c->image->nlayers; i++) {
		struct sink s = { .to = out };

		snprintf(file, sizeof file, "%s.tar", digests[i]);
		json_array_append_new(layers, json_string(file));
		rc = member_begin(out, file, sizes[i], e);
		if (rc == 0)
			rc = layer_pack(c, layer_hex(c, i), &s, e);
		if (rc == 0)
			image_hex_print(&s.hash, hex);
		if (rc == 0 && strcmp(hex, digests[i]) != 0)
			rc = fail(e, WHY_IO, "layer %.12s changed while it was read",
				  layer_hex(c, i));
	}
	if (rc == 0) {
		sha256_init(&hash);
		sha256_update(&hash, strlen(config), (const uint8_t *)config);
		image_hex_print(&hash, hex);
		snprintf(file, sizeof file, "%s.json", hex);
		rc = text_put(out, file, config, e);
	}
	manifest = json_pack("[{s:s, s:o, s:O}]", "Config", file, "RepoTags",
			     strchr(c->image->name, '@') ? json_array()
							 : json_pack("[s]", c->image->name),
			     "Layers", layers);
	text = json_dumps(manifest, JSON_COMPACT);
	if (rc == 0)
		rc = text_put(out, "manifest.json", text, e);
	json_decref(manifest);
	json_decref(layers);
	return rc;
}

int
image_child_save(struct child *c, struct error **e)
{
	size_t n = c->image->nlayers;
	char(*digests)[HEX_SIZE] = xcalloc(n + 1, sizeof *digests);
	int64_t *sizes = xcalloc(n + 1, sizeof *sizes);
	struct archive *out;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sink s = { 0 };

		rc = layer_pack(c, layer_hex(c, i), &s, e);
		image_hex_print(&s.hash, digests[i]);
		sizes[i] = s.bytes;
	}
	out = archive_write_new();
	archive_write_set_format_ustar(out);
	archive_write_set_bytes_in_last_block(out, 512);
	if (rc == 0 && archive_write_open_fd(out, c->fd) != ARCHIVE_OK)
		rc = fail(e, WHY_IO, "%s", archive_error_string(out));
	if (rc == 0)
		rc = archive_put(c, out, digests, sizes, e);
	if (rc == 0 && archive_write_close(out) != ARCHIVE_OK)
		rc = fail(e, WHY_IO, "%s", archive_error_string(out));
	archive_write_free(out);
	free(digests);
	free(sizes);
	return rc;
}

int
image_child_inspect(struct child *c, struct error **e)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf text = { 0 };
	const char *at;
	size_t left;

	xasprintf(&path, "store/configs/sha256/%s.json", image_digest_hex(c->image->id));
	if (image_file_read(c->root, path, 4 << 20, &text, e) < 0)
		return -1;
	for (at = text.at, left = text.len; left > 0;) {
		ssize_t n = write(c->fd, at, left);

		if (n < 0)
			return fail_sys(e, "write the configuration of image %s",
					c->image->name);
		at += n;
		left -= n;
	}
	return 0;
}

/* image_load.c -- an archive's members: spilled, hashed, and found by name.
 *
 * Runs in the fenced child.  The members of the stream come in any order, so
 * they are spilled first; what refers to what is then looked up by name among
 * them, never in a file system.  image_docker.c and image_oci.c know what the
 * members mean.
 */
#include "image_load.h"
#include "base/cleanup.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define JSON_MAX    (4 << 20)
#define MEMBERS_MAX 100000

static int
member_write(struct load *l, struct stream *s, struct member *m, struct budget *b,
	     struct error **e)
{
	char path[32];
	struct sha256_ctx hash;
	cleanup_close int fd = -1;
	const void *bytes;
	la_int64_t off;
	size_t n;
	int rc;

	snprintf(path, sizeof path, "files/%zu", m->number);
	fd = openat(l->c->root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return fail_sys(e, "create %s", path);
	sha256_init(&hash);
	while ((rc = archive_read_data_block(s->tar, &bytes, &n, &off)) == ARCHIVE_OK) {
		const char *at = bytes;

		/* a hole would make the hash one of other bytes; no archiver makes any here */
		if (off != m->size)
			return fail(e, WHY_INVALID, "%s: is a sparse file", m->name);
		if (image_budget_bytes(b, n, m->name, e) < 0)
			return -1;
		sha256_update(&hash, n, bytes);
		m->size += n;
		while (n > 0) {
			ssize_t done = write(fd, at, n);

			if (done < 0 && errno == EINTR)
				continue;
			if (done < 0)
				return fail_sys(e, "write %s", m->name);
			at += done;
			n -= done;
		}
	}
	if (rc != ARCHIVE_EOF)
		return fail(e, WHY_INVALID, "%s: %s", m->name, image_stream_why(s));
	image_hex_print(&hash, m->hex);
	return 0;
}

/* "a/b" seen from "c/layer.tar": "../x.tar" -> "x.tar".  NULL when it leads out. */
static char *
link_resolve(const char *from, const char *target)
{
	cleanup_buf struct buf b = { 0 };
	const char *slash = strrchr(from, '/');

	if (*target == '/')
		return NULL;
	if (slash)
		buf_add(&b, from, slash - from);
	while (*target) {
		size_t n = strcspn(target, "/");

		if (n == 2 && memcmp(target, "..", 2) == 0) {
			const char *last;

			if (b.len == 0)
				return NULL;
			last = strrchr(b.at, '/');
			b.len = last ? (size_t)(last - b.at) : 0;
			b.at[b.len] = '\0';
		} else if (n > 0 && !(n == 1 && *target == '.')) {
			if (b.len > 0)
				buf_addc(&b, '/');
			buf_add(&b, target, n);
		}
		target += n + (target[n] == '/');
	}
	return buf_steal(&b);
}

static int
member_take(struct load *l, struct stream *s, struct archive_entry *x, struct budget *b,
	    struct error **e)
{
	const char *hard = archive_entry_hardlink(x), *soft = archive_entry_symlink(x);
	unsigned type = archive_entry_filetype(x);
	cleanup_free char *name = NULL, *link = NULL;
	struct member *m;

	if (image_path_clean(archive_entry_pathname(x), &name, e) < 0)
		return -1;
	if (!hard && type != AE_IFREG && type != AE_IFLNK)
		return 0;
	if (hard && image_path_clean(hard, &link, e) < 0)
		return -1;
	if (!hard && type == AE_IFLNK) {
		link = soft ? link_resolve(name, soft) : NULL;
		if (!link)
			return 0; /* leads out of the archive: nothing stands behind this name
				   */
	}
	if (l->nmembers >= MEMBERS_MAX)
		return fail(e, WHY_TOO_LARGE, "%s: the archive has more than %d members", name,
			    MEMBERS_MAX);
	m = arena_zalloc(&l->arena, sizeof *m);
	m->name = arena_strdup(&l->arena, name);
	m->link = arena_strdup(&l->arena, link);
	m->number = l->nmembers++;
	(void)map_put(&l->members, m->name, m); /* tar: the last of a name counts */
	return m->link ? 0 : member_write(l, s, m, b, e);
}

static int
members_read(struct load *l, struct error **e)
{
	cleanup_free struct stream *s = xmalloc(sizeof *s);
	struct budget b = *l->c->budget; /* of its own: the archive, not what it unpacks to */
	char stored[HEX_SIZE], plain[HEX_SIZE];
	struct archive_entry *x;
	int rc = image_stream_open(s, l->c->fd, "the archive", 0, &b, e);

	while (rc == 0 && (rc = image_stream_next(s, &x, e)) > 0)
		rc = member_take(l, s, x, &b, e);
	if (rc == 0)
		rc = image_stream_end(s, stored, plain, e);
	image_stream_close(s);
	return rc;
}

const struct member *
image_member_find(const struct load *l, const char *name)
{
	cleanup_free char *full = NULL;
	const struct member *m;

	xasprintf(&full, "%s%s", l->prefix, name);
	m = map_get(&l->members, full);
	for (int hops = 0; m && m->link; hops++)
		m = hops < 8 ? map_get(&l->members, m->link) : NULL;
	return m;
}

/* The folder that holds the layout, when it was packed with it. */
static void
prefix_find(struct load *l)
{
	l->prefix = "";
	if (image_member_find(l, "manifest.json") || image_member_find(l, "index.json"))
		return;
	for (struct map_slot *s = map_first(&l->members); s; s = map_next(&l->members, s)) {
		const char *slash = strchr(s->key, '/');

		if (slash &&
		    (strcmp(slash, "/index.json") == 0 || strcmp(slash, "/manifest.json") == 0))
			l->prefix = arena_strndup(&l->arena, s->key, slash + 1 - s->key);
	}
}

int
image_member_open(const struct load *l, const struct member *m, struct error **e)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "files/%zu", m->number);
	fd = openat(l->c->root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail_sys(e, "open %s", m->name) : fd;
}

int
image_member_text(const struct load *l, const struct member *m, struct buf *ret,
		  struct error **e)
{
	char path[32];

	if (m->size > JSON_MAX)
		return fail(e, WHY_TOO_LARGE,
			    "%s: has %lld bytes; JSON of an image may have %d", m->name,
			    (long long)m->size, JSON_MAX);
	snprintf(path, sizeof path, "files/%zu", m->number);
	return image_file_read(l->c->root, path, JSON_MAX, ret, e);
}

json_t *
image_member_json(struct load *l, const struct member *m, struct error **e)
{
	cleanup_buf struct buf b = { 0 };
	json_error_t je;
	json_t *j;

	if (image_member_text(l, m, &b, e) < 0)
		return NULL;
	j = json_loadb(buf_text(&b), b.len, JSON_REJECT_DUPLICATES, &je);
	if (!j) {
		fail(e, WHY_INVALID, "%s:%d:%d: %s", m->name, je.line, je.column, je.text);
		return NULL;
	}
	json_array_append_new(l->docs, j); /* borrowed from here on */
	return j;
}

const char *
image_text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int
image_name_add(struct load *l, const char *id, const char *name, struct error **e)
{
	cleanup_free char *full = image_normalise(name, e);

	if (!full)
		return -1;
	image_items_add(&l->c->answer, "name", "%s %s", id, full);
	return 0;
}

int
image_child_load(struct child *c, struct error **e)
{
	struct load l = { .c = c, .docs = json_array() };
	const struct member *m;

	if (members_read(&l, e) < 0)
		return -1;
	prefix_find(&l);
	if ((m = image_member_find(&l, "manifest.json")))
		return image_docker_load(&l, m, e);
	if ((m = image_member_find(&l, "index.json")))
		return image_oci_load(&l, m, e);
	return fail(e, WHY_INVALID,
		    "the archive is neither a docker-archive (no manifest.json) nor an OCI "
		    "layout (no index.json); a root tree is imported with "
		    "`kedge image import`");
}

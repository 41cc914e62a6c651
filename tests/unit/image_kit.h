/* image_kit.h -- what tests of images share: tars made in memory, jobs run to their end. */
#ifndef KEDGE_IMAGE_KIT_H
#define KEDGE_IMAGE_KIT_H
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "runtime/image.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h> /* last: it needs what is above, and has a macro called fail */

struct tar {
	struct archive *a;
	int fd; /* a memfd */
};

/* filter: 0 plain, 'g' gzip, 'z' zstd */
static inline struct tar
tar_new(int filter)
{
	struct tar t = { archive_write_new(), memfd_create("tar", MFD_CLOEXEC) };

	archive_write_set_format_pax_restricted(t.a);
	if (filter == 'g')
		archive_write_add_filter_gzip(t.a);
	if (filter == 'z')
		archive_write_add_filter_zstd(t.a);
	archive_write_set_options(t.a, "hdrcharset=BINARY");
	archive_write_open_fd(t.a, t.fd);
	return t;
}

struct put {
	const char *path, *data, *link, *hard;
	size_t len; /* 0: strlen(data) */
	unsigned type, mode, uid, gid;
	time_t mtime;
	const char *xattr, *value;
};

static inline void
tar_put(struct tar *t, struct put p)
{
	struct archive_entry *x = archive_entry_new();
	size_t n = p.data ? (p.len ? p.len : strlen(p.data)) : 0;

	archive_entry_copy_pathname(x, p.path);
	archive_entry_set_filetype(x, p.type ? p.type : AE_IFREG);
	archive_entry_set_perm(x, p.mode ? p.mode : 0644);
	archive_entry_set_uid(x, p.uid);
	archive_entry_set_gid(x, p.gid);
	archive_entry_set_mtime(x, p.mtime, 0);
	archive_entry_set_size(x, p.hard ? 0 : (la_int64_t)n);
	if (p.type == AE_IFCHR || p.type == AE_IFBLK)
		archive_entry_set_rdev(x, 0x0103);
	if (p.link)
		archive_entry_copy_symlink(x, p.link);
	if (p.hard)
		archive_entry_copy_hardlink(x, p.hard);
	if (p.xattr)
		archive_entry_xattr_add_entry(x, p.xattr, p.value, strlen(p.value));
	assert_true(archive_write_header(t->a, x) >= ARCHIVE_WARN);
	if (n && !p.hard)
		assert_int_equal(archive_write_data(t->a, p.data, n), n);
	archive_entry_free(x);
}
#define PUT(t, ...) tar_put(t, (struct put){ __VA_ARGS__ })

/* The finished stream, at its start; the caller closes it. */
static inline int
tar_end(struct tar *t)
{
	int fd;

	archive_write_close(t->a);
	fd = dup(t->fd);
	archive_write_free(t->a);
	close(t->fd);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static inline int
job_wait(struct image_job *j, char ***names, struct error **e)
{
	struct pollfd p = { image_job_fd(j), POLLIN, 0 };

	assert_int_equal(poll(&p, 1, 60000), 1);
	return image_job_end(j, names, e);
}

static inline void
names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

static inline int
import_tar(struct images *s, struct tar *t, const char *name, const struct image_config *c,
	   const struct image_limits *l, struct error **e)
{
	cleanup_close int fd = tar_end(t);
	struct image_job *j;
	char **names = NULL;
	int rc = image_import(s, fd, name, c, l, &j, e);

	if (rc == 0)
		rc = job_wait(j, &names, e);
	names_free(names);
	return rc;
}

static inline int
load_fd(struct images *s, int fd, const char *name, char ***names, struct error **e)
{
	struct image_job *j;
	int rc = image_load(s, fd, name, NULL, &j, e);

	return rc == 0 ? job_wait(j, names, e) : rc;
}

static inline char *
scratch_make(void)
{
	char *path = xstrdup("/tmp/kedge-image-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

static inline void
scratch_remove(char *path)
{
	char *cmd;

	xasprintf(&cmd, "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(path);
}

static inline char *
hex_of(const void *bytes, size_t n)
{
	struct sha256_ctx h;
	uint8_t sum[32];
	struct buf b = { 0 };

	sha256_init(&h);
	sha256_update(&h, n, bytes);
	sha256_digest(&h, sizeof sum, sum);
	for (size_t i = 0; i < sizeof sum; i++)
		buf_addf(&b, "%02x", sum[i]);
	return buf_steal(&b);
}

static inline struct buf
bytes_of(int fd)
{
	struct buf b = { 0 };
	char piece[65536];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(&b, piece, n);
	return b;
}
#endif

/* image_items.c -- the store's small files: "key=value" lists, and reading and
 * removing files without being led astray by what an image put there.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

void
image_items_add(struct buf *b, const char *key, const char *fmt, ...)
{
	va_list ap;

	buf_addf(b, "%s=", key);
	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
	buf_addc(b, '\0');
}

static unsigned long
items_crc(const char *bytes, size_t len)
{
	return crc32(crc32(0, NULL, 0), (const unsigned char *)bytes, (unsigned)len);
}

void
image_items_end(struct buf *b)
{
	image_items_add(b, "end", "%08lx", items_crc(b->at, b->len));
}

int
image_items_parse(const char *bytes, size_t len, struct arena *a, struct items *ret,
		  struct error **e)
{
	struct items out = { 0 };
	size_t max = 0, at = 0;

	for (size_t i = 0; i < len; i++)
		max += bytes[i] == '\0';
	out.at = arena_alloc(a, (max + 1) * sizeof *out.at);
	while (at < len) {
		size_t n = strnlen(bytes + at, len - at);
		char *key = arena_strndup(a, bytes + at, n);
		char *eq = strchr(key, '=');

		if (at + n == len || !eq)
			return fail(e, WHY_IO, "a list of items is torn at byte %zu", at);
		*eq = '\0';
		at += n + 1;
		if (strcmp(key, "end") == 0) {
			if (at != len)
				return fail(e, WHY_IO, "a list of items goes on after its end");
			if (eq[1] && strtoul(eq + 1, NULL, 16) != items_crc(bytes, at - n - 1))
				return fail(e, WHY_IO, "a list of items is damaged");
			*ret = out;
			return 0;
		}
		out.at[out.n++] = (struct item){ key, eq + 1 };
	}
	return fail(e, WHY_IO, "a list of items has no end");
}

int
image_file_read(int dirfd, const char *name, size_t max, struct buf *ret, struct error **e)
{
	cleanup_close int fd =
	    openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_buf struct buf b = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_sys(e, "open %s", name);
	if (!S_ISREG(st.st_mode))
		return fail(e, WHY_INVALID, "%s: not a regular file", name);
	if ((uintmax_t)st.st_size > max)
		return fail(e, WHY_TOO_LARGE, "%s: has %lld bytes; at most %zu are read", name,
			    (long long)st.st_size, max);
	for (;;) {
		ssize_t n;

		buf_reserve(&b, 1 << 16);
		n = read(fd, b.at + b.len, 1 << 16);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(e, "read %s", name);
		if (n == 0)
			break;
		b.len += n;
		b.at[b.len] = '\0';
		if (b.len > max)
			return fail(e, WHY_TOO_LARGE, "%s: grew past %zu bytes while read",
				    name, max);
	}
	buf_done(ret);
	*ret = b;
	b = (struct buf){ 0 };
	return 0;
}

int
image_file_write(int dirfd, const char *name, const void *bytes, size_t len, struct error **e)
{
	cleanup_close int fd =
	    openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const char *at = bytes;

	if (fd < 0)
		return fail_sys(e, "create %s", name);
	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(e, "write %s", name);
		at += n;
		len -= n;
	}
	return 0;
}

/* Depth is bounded by PATH_MAX when it was made by us; a deeper one is left
 * with ELOOP rather than followed until the fds run out. */
static int
tree_empty(int fd, int depth)
{
	cleanup_closedir DIR *d = NULL;
	const struct dirent *x;
	int err = 0;

	if (depth > 2048) {
		close(fd);
		errno = ELOOP;
		return -1;
	}
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -1;
	}
	for (;;) {
		int sub;

		errno = 0;
		x = readdir(d);
		if (!x) {
			errno = errno ? errno : err;
			return errno ? -1 : 0;
		}
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (x->d_type != DT_DIR && unlinkat(dirfd(d), x->d_name, 0) == 0)
			continue;
		sub = openat(dirfd(d), x->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0) {
			if (errno != ENOENT && unlinkat(dirfd(d), x->d_name, 0) < 0)
				err = errno;
			continue;
		}
		if (tree_empty(sub, depth + 1) < 0 ||
		    (unlinkat(dirfd(d), x->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT))
			err = errno;
	}
}

int
image_tree_remove(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		if (errno == ENOENT)
			return 0;
		return unlinkat(dirfd, name, 0);
	}
	if (tree_empty(fd, 0) < 0)
		return -1;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

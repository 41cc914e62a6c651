/* files.c -- whole files in, folders made. */
#include "files.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int
file_read(const char *path, size_t max, struct buf *ret, struct error **e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_buf struct buf b = { 0 };
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_sys(e, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fail(e, WHY_INVALID, "%s is not a regular file", path);
	do {
		buf_reserve(&b, 64 * 1024);
		n = read(fd, b.at + b.len, 64 * 1024);
		if (n < 0)
			return fail_sys(e, "read %s", path);
		b.len += n;
		if (b.len > max)
			return fail(e, WHY_TOO_LARGE, "%s is larger than %zu bytes", path, max);
	} while (n);
	b.at[b.len] = 0;
	buf_done(ret);
	*ret = b;
	b = (struct buf){ 0 };
	return 0;
}

int
dir_make(const char *path, mode_t mode, uid_t uid, gid_t gid, struct error **e)
{
	cleanup_free char *p = xstrdup(path);

	for (char *slash = p + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		if (mkdir(p, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make folder %s", p);
	}
	if (mkdir(p, 0700) < 0) {
		if (errno != EEXIST)
			return fail_sys(e, "make folder %s", p);
		return 0;
	}
	if (chown(p, uid, gid) < 0 || chmod(p, mode) < 0)
		return fail_sys(e, "owner of %s", p);
	return 0;
}

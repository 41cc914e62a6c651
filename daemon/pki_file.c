/* pki_file.c -- a file that is there whole, or as it was before. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "pki.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int
write_all(int fd, const char *at, size_t n)
{
	while (n) {
		ssize_t done = write(fd, at, n);

		if (done < 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* What a former life left under the draft's name is of no use to anybody. */
int
pki_file_write(const char *dir, const char *name, const void *bytes, size_t n, struct error **e)
{
	cleanup_close int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int fd = -1;
	cleanup_free char *draft = NULL;

	xasprintf(&draft, "%s.new", name);
	if (folder < 0)
		return fail_sys(e, "open %s", dir);
	if (unlinkat(folder, draft, 0) < 0 && errno != ENOENT)
		return fail_sys(e, "remove %s/%s", dir, draft);
	fd = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_all(fd, bytes, n) < 0 || fsync(fd) < 0 ||
	    renameat(folder, draft, folder, name) < 0 || fsync(folder) < 0)
		return fail_sys(e, "write %s/%s", dir, name);
	return 0;
}

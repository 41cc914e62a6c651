/* worker_fswatch.c -- libinotifytools, used in such a way that its descriptor can be polled. */
#include "../reconcile/base/cleanup.h"
#include "worker.h"
#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotifytools.h>
#include <string.h>
#include <sys/inotify.h>

int
fswatch_start(void)
{
	/* The library does not tell its descriptor: it is the lowest free one. */
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	char link[64], what[32] = "";

	if (fd < 0)
		return -1;
	close(fd);
	if (!inotifytools_initialize())
		return -1;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (readlink(link, what, sizeof what - 1) < 0 || strcmp(what, "anon_inode:inotify") ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		inotifytools_cleanup();
		return -1;
	}
	return fd;
}

int
fswatch_add(const char *folder, uint32_t mask)
{
	if (inotifytools_watch_file(folder, (int)mask))
		return 0;
	errno = inotifytools_error();
	return -1;
}

void
fswatch_read(int fd, void (*fn)(void *ctx, const struct fswatch_event *), void *ctx)
{
	_Alignas(struct inotify_event) char bytes[32 << 10];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		for (char *p = bytes; p < bytes + n;) {
			struct inotify_event *ev = (struct inotify_event *)p;
			struct fswatch_event out = { NULL, ev->len ? ev->name : "", ev->mask };

			if (ev->wd >= 0 && !(ev->mask & IN_Q_OVERFLOW)) {
				out.folder = inotifytools_filename_from_wd(ev->wd);
				if (!out.folder)
					out.folder = "";
			}
			fn(ctx, &out);
			p += sizeof *ev + ev->len;
		}
}

void
fswatch_stop(void)
{
	inotifytools_cleanup();
}

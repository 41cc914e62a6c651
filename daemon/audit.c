/* audit.c -- the audit log's file: appending, rotating, never waiting. */
#include "audit.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_WAITING = 1 << 20, RETRY_SECONDS = 1 };

struct audit {
	char *path;
	int64_t max_size, max_files, size;
	int fd; /* -1: to be opened */
	struct buf waiting;
	uint64_t dropped;
	struct event *flush;
	bool told; /* of a failure, until it works again */
};

static int
file_open(struct audit *a)
{
	struct stat st;

	if (a->fd >= 0)
		return 0;
	a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->fd < 0 || fstat(a->fd, &st) < 0)
		return -1;
	a->size = st.st_size;
	return 0;
}

/* path.1 is the newest; the last goes. */
static void
rotate(struct audit *a)
{
	close(a->fd);
	a->fd = -1;
	for (int64_t i = a->max_files - 1; i > 0; i--) {
		cleanup_free char *from = NULL, *to = NULL;

		xasprintf(&to, "%s.%d", a->path, (int)i);
		if (i > 1)
			xasprintf(&from, "%s.%d", a->path, (int)i - 1);
		else
			from = xstrdup(a->path);
		if (rename(from, to) < 0 && errno != ENOENT)
			log_warn("audit", "%s cannot be renamed to %s: %s", from, to,
				 strerror(errno));
	}
	if (a->max_files == 1 && truncate(a->path, 0) < 0)
		log_warn("audit", "%s cannot be emptied: %s", a->path, strerror(errno));
}

static void
tell(struct audit *a)
{
	if (!a->told)
		log_warn("audit",
			 "%s cannot be written: %s; its folder must belong to kedge's user "
			 "(lines wait, then are dropped)",
			 a->path, strerror(errno));
	a->told = true;
}

static bool
write_waiting(struct audit *a)
{
	while (a->waiting.len) {
		ssize_t n;

		if (file_open(a) < 0)
			return false;
		n = write(a->fd, a->waiting.at, a->waiting.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf_drop(&a->waiting, n);
		a->size += n;
		if (!a->waiting.len && a->size >= a->max_size)
			rotate(a);
	}
	return true;
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval later = { .tv_sec = RETRY_SECONDS };
	struct audit *a = arg;

	(void)fd;
	(void)what;
	if (!write_waiting(a)) {
		tell(a);
		event_add(a->flush, &later);
		return;
	}
	if (a->dropped)
		log_warn("audit", "%ju lines were dropped: the disk did not take them",
			 (uintmax_t)a->dropped);
	a->dropped = 0;
	a->told = false;
}

int
audit_open(struct event_base *base, const struct audit_settings *s, struct audit **ret,
	   struct error **e)
{
	struct audit *a;

	*ret = NULL;
	if (!s->path || !*s->path)
		return 0;
	a = xcalloc(1, sizeof *a);
	a->path = xstrdup(s->path);
	a->max_size = s->max_size;
	a->max_files = s->max_files > 0 ? s->max_files : 1;
	a->fd = -1;
	a->flush = event_new(base, -1, 0, on_flush, a);
	*ret = a;
	if (file_open(a) == 0)
		return 0;
	(void)e;
	tell(a); /* and go on: an API that is down helps nobody */
	return 0;
}

void
audit_close(struct audit *a)
{
	if (!a)
		return;
	(void)write_waiting(a);
	if (a->fd >= 0)
		close(a->fd);
	event_free(a->flush);
	buf_done(&a->waiting);
	free(a->path);
	free(a);
}

void
audit_add(struct audit *a, const struct buf *line)
{
	static const struct timeval now = { 0 };

	if (a->waiting.len + line->len > MOST_WAITING) {
		a->dropped++;
		return;
	}
	buf_add(&a->waiting, line->at, line->len);
	buf_addc(&a->waiting, '\n');
	if (!event_pending(a->flush, EV_TIMEOUT, NULL))
		event_add(a->flush, &now);
}

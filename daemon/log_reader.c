/* log_reader.c -- one run of a container, from its log files in CRI format.
 *
 * `2026-11-20T11:08:42.123456789Z stdout F text`; P instead of F says that the line
 * goes on in the next record.  N.log is being written; N.log.TIME are older pieces,
 * whose names sort by time.  A reader holds one file open: rotation renames it
 * under us and loses nothing, for we find our place again by its inode.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { ENOUGH = 32 * 1024, PIECE = 64 * 1024, LONGEST_LINE = 1024 * 1024 };

struct log_reader {
	struct api *api;
	struct log_options o;
	char *ns, *pod, *uid, *container;
	int dir, fd, inotify;
	char *prefix;  /* "0.log" */
	ino_t ino;     /* of fd */
	struct buf in; /* read, not yet taken; from `taken` on */
	size_t taken;
	bool mid_line; /* the last record was P */
	bool over;     /* the run has ended, and the last lines had their time to come */
	struct event *changed, *grace;
};

struct names {
	char **at;
	size_t n;
};

static void
names_done(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Oldest first.  "0.log" sorts before "0.log.2026...", but is the newest. */
static struct names
names_read(const struct log_reader *r)
{
	size_t n = strlen(r->prefix);
	struct names l = { 0 };
	cleanup_closedir DIR *d = NULL;
	const struct dirent *e;
	bool current = false;
	int fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return l;
	d = fdopendir(fd);
	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, r->prefix, n) || (e->d_name[n] && e->d_name[n] != '.'))
			continue;
		if (!e->d_name[n]) {
			current = true;
			continue;
		}
		l.at = xrealloc(l.at, (l.n + 2) * sizeof *l.at);
		l.at[l.n++] = xstrdup(e->d_name);
	}
	if (l.n)
		qsort(l.at, l.n, sizeof *l.at, compare);
	if (current) {
		l.at = xrealloc(l.at, (l.n + 1) * sizeof *l.at);
		l.at[l.n++] = xstrdup(r->prefix);
	}
	return l;
}

/* The names come from a folder that containers cannot write, and still: no links. */
static int
piece_open(struct log_reader *r, const char *name)
{
	cleanup_close int fd =
	    openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = steal_fd(&fd);
	r->ino = st.st_ino;
	buf_clear(&r->in);
	r->taken = 0;
	return 0;
}

/* ---- where to begin ---- */

/* Walks back over *left lines of fd.  Where the first of them begins, or -1
 * when the file has fewer (then *left is what is missing). */
static off_t
tail_start(int fd, int64_t *left)
{
	off_t end = lseek(fd, 0, SEEK_END), size = end;
	cleanup_free char *b = xmalloc(PIECE);

	if (*left == 0)
		return end;
	while (end > 0) {
		off_t from = end > PIECE ? end - PIECE : 0;
		ssize_t n = pread(fd, b, end - from, from);

		if (n <= 0)
			return -1;
		while (n-- > 0)
			/* The newline at the very end ends the last line. */
			if (b[n] == '\n' && from + n != size - 1 && --*left == 0)
				return from + n + 1;
		end = from;
	}
	/* The first line has no newline before it. */
	if (size > 0 && --*left == 0)
		return 0;
	return -1;
}

static int
find_start(struct log_reader *r)
{
	struct names l = names_read(r);
	int64_t left = r->o.tail;
	int rc = -1;

	for (size_t i = l.n; i-- > 0;) {
		off_t at = 0;

		if (left < 0)
			i = 0;
		if (piece_open(r, l.at[i]) < 0)
			continue;
		rc = 0;
		if (left >= 0)
			at = tail_start(r->fd, &left);
		if (at < 0 && i > 0)
			continue;
		lseek(r->fd, at < 0 ? 0 : at, SEEK_SET);
		break;
	}
	names_done(&l);
	return rc;
}

/* ---- following ---- */

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct log_reader *r = arg;
	char drain[4096];

	(void)what;
	while (read(fd, drain, sizeof drain) > 0)
		;
	r->o.wake(r->o.ctx);
}

static void
on_grace(evutil_socket_t fd, short what, void *arg)
{
	struct log_reader *r = arg;

	(void)fd;
	(void)what;
	r->over = true;
	r->o.wake(r->o.ctx);
}

static void
follow(struct log_reader *r, const char *path)
{
	struct timeval often = { .tv_usec = 500 * 1000 };

	r->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r->grace = event_new(r->api->base, -1, 0, on_grace, r);
	if (r->inotify >= 0 &&
	    inotify_add_watch(r->inotify, path, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) >= 0) {
		r->changed =
		    event_new(r->api->base, r->inotify, EV_READ | EV_PERSIST, on_event, r);
		event_add(r->changed, NULL);
		return;
	}
	/* The user's limit of inotify instances is used up: look now and then. */
	r->changed = event_new(r->api->base, -1, EV_PERSIST, on_event, r);
	event_add(r->changed, &often);
}

static bool
run_ended(struct log_reader *r)
{
	const struct pod *p = store_find(r->api->store, RES_pod, r->ns, r->pod);

	if (p && strcmp(object_uid(p), r->uid))
		p = NULL;
	return pod_run_ended(p, r->container, r->o.run);
}

/* The piece after the one we hold; false when we hold the newest. */
static bool
next_piece(struct log_reader *r)
{
	struct names l = names_read(r);
	size_t next = 0; /* ours was pruned: the oldest there is */
	bool moved = false;
	struct stat st;

	for (size_t i = 0; i < l.n; i++)
		if (!fstatat(r->dir, l.at[i], &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == r->ino)
			next = i + 1;
	if (next < l.n)
		moved = piece_open(r, l.at[next]) == 0;
	names_done(&l);
	return moved;
}

/* ---- records ---- */

static void
emit(struct log_reader *r, struct buf *out, const char *bytes, size_t n)
{
	if (r->o.limit >= 0 && (int64_t)n > r->o.limit)
		n = r->o.limit;
	if (r->o.limit >= 0)
		r->o.limit -= n;
	buf_add(out, bytes, n);
}

static const char *
word_end(const char *at, const char *end)
{
	const char *p = memchr(at, ' ', end - at);

	return p ? p : end;
}

/* One record without its newline; what is no record is passed over. */
static void
take_record(struct log_reader *r, const char *at, const char *end, struct buf *out)
{
	const char *stream = word_end(at, end), *tag, *text;
	cleanup_buf struct buf line = { 0 };
	char stamp[64];
	int64_t ms;
	bool full;

	if (stream == end || (size_t)(stream - at) >= sizeof stamp)
		return;
	tag = word_end(stream + 1, end);
	if (tag == end)
		return;
	text = word_end(tag + 1, end);
	full = tag[1] == 'F';
	memcpy(stamp, at, stream - at);
	stamp[stream - at] = 0;
	if (r->o.since_ms && time_parse(stamp, &ms) && ms < r->o.since_ms)
		return;
	if (r->o.timestamps && !r->mid_line)
		buf_addf(&line, "%s ", stamp);
	if (text < end)
		buf_add(&line, text + 1, end - text - 1);
	if (full)
		buf_addc(&line, '\n');
	r->mid_line = !full;
	emit(r, out, buf_text(&line), line.len);
}

/* False when there is nothing more to read for now. */
static bool
fill(struct log_reader *r)
{
	ssize_t n;

	buf_drop(&r->in, r->taken);
	r->taken = 0;
	if (r->in.len > LONGEST_LINE)
		buf_clear(&r->in);
	buf_reserve(&r->in, PIECE);
	n = read(r->fd, r->in.at + r->in.len, PIECE);
	if (n > 0) {
		r->in.len += n;
		r->in.at[r->in.len] = 0;
		return true;
	}
	return next_piece(r);
}

enum http_pull
log_reader_pull(struct log_reader *r, struct buf *out)
{
	struct timeval soon = { .tv_usec = 300 * 1000 };

	while (out->len < ENOUGH) {
		const char *at = buf_text(&r->in) + r->taken,
			   *end = buf_text(&r->in) + r->in.len;
		const char *nl = memchr(at, '\n', end - at);

		if (r->o.limit == 0)
			return HTTP_END;
		if (nl) {
			take_record(r, at, nl, out);
			r->taken += nl + 1 - at;
			continue;
		}
		if (fill(r))
			continue;
		if (!r->o.follow || r->over)
			return HTTP_END;
		/* The end of a run can be known before its last lines are here. */
		if (!evtimer_pending(r->grace, NULL) && run_ended(r))
			event_add(r->grace, &soon);
		return HTTP_WAIT;
	}
	return HTTP_GO_ON;
}

struct log_reader *
log_reader_new(struct api *a, const struct log_options *o)
{
	struct log_reader *r = xcalloc(1, sizeof *r);
	cleanup_free char *path = NULL;

	r->api = a;
	r->o = *o;
	r->fd = r->inotify = -1;
	r->ns = xstrdup(object_namespace(o->pod));
	r->pod = xstrdup(object_name(o->pod));
	r->uid = xstrdup(object_uid(o->pod));
	r->container = xstrdup(o->container);
	xasprintf(&path, "%s/%s_%s_%s/%s", a->log_dir, r->ns, r->pod, r->uid, r->container);
	xasprintf(&r->prefix, "%" PRId64 ".log", o->run);
	r->dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Watch before the first look, so that nothing falls between. */
	if (r->dir >= 0 && o->follow)
		follow(r, path);
	if (r->dir < 0 || find_start(r) < 0) {
		log_reader_free(r);
		return NULL;
	}
	return r;
}

void
log_reader_free(void *p)
{
	struct log_reader *r = p;

	if (!r)
		return;
	if (r->changed)
		event_free(r->changed);
	if (r->grace)
		event_free(r->grace);
	if (r->inotify >= 0)
		close(r->inotify);
	if (r->fd >= 0)
		close(r->fd);
	if (r->dir >= 0)
		close(r->dir);
	buf_done(&r->in);
	free(r->prefix);
	free(r->ns);
	free(r->pod);
	free(r->uid);
	free(r->container);
	free(r);
}

/* worker_dir.c -- a directory as a source: when to look, and what to send.
 *
 * Events only say that it is time to look; what counts is two scans in a row
 * that saw the same inodes, sizes and times (worker_scan.c), with nothing
 * reported in between.  A file that somebody still has open for writing is
 * waited for, within reason; so is a directory that is never quiet, such as one
 * with a log in it.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "gittree.h"
#include "spawn.h"
#include "worker_scan.h"
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
	QUIET_MS = 30,       /* without events before a look */
	WRITER_MS = 5000,    /* how long a half-written file holds up the rest */
	RESTLESS_MS = 10000, /* after which a directory that never holds still is an error, and
				one whose files are never closed is looked at */
	ASKED_TRIES = 20,
	NET_MS = 5000,  /* the safety net, longer for large directories */
	POLL_MS = 1000, /* without inotify */
	FOLDER_EVENTS = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
			IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
	PARENT_EVENTS = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR,
};

struct dir_source {
	struct scan *scan;
	char *parent, *name;          /* of the path that was given */
	struct map watched;           /* "dev:ino" -> itself */
	struct map writing;           /* path -> itself: changed, and not closed yet */
	bool rewatch, full;           /* full: the limit of watches is reached */
	int64_t last_event, restless; /* since when; 0: not */
	int64_t busy;                 /* since the first event after the last look; 0: none */
};

/* ---- events ---- */

static void
watch_folder(void *ctx, const char *path, const struct stat *st)
{
	struct worker *w = ctx;
	struct dir_source *d = w->state;
	char key[64];

	if (w->watch_fd < 0)
		return;
	/* One inode has one watch, by whichever path it is met first. */
	snprintf(key, sizeof key, "%lx:%lx", (long)st->st_dev, (long)st->st_ino);
	if (map_get(&d->watched, key))
		return;
	if (fswatch_add(path, FOLDER_EVENTS)) {
		d->full |= errno == ENOSPC || errno == ENOMEM;
		return;
	}
	map_put(&d->watched, key, d);
}

static void
forget_watches(struct worker *w)
{
	struct dir_source *d = w->state;

	if (w->watch_fd >= 0)
		fswatch_stop();
	w->watch_fd = -1;
	map_done(&d->watched);
	map_done(&d->writing);
	d->watched = d->writing = (struct map){ 0 };
	d->rewatch = false;
}

static void
start_watches(struct worker *w)
{
	struct dir_source *d = w->state;

	forget_watches(w);
	d->full = false;
	w->watch_fd = fswatch_start();
	if (w->watch_fd >= 0)
		fswatch_add(d->parent, PARENT_EVENTS);
	else
		d->full = true;
}

struct notice {
	struct worker *w;
	bool dirty;
};

/* A new name that is a link or a second name of a file is complete at once. */
static bool
may_be_growing(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static void
note_writer(struct dir_source *d, const struct fswatch_event *ev)
{
	cleanup_free char *path = NULL;

	if (!gittree_name_wanted(ev->name, strlen(ev->name)))
		return;
	xasprintf(&path, "%s%s", ev->folder, ev->name);
	if ((ev->mask & IN_MODIFY) || ((ev->mask & IN_CREATE) && may_be_growing(path)))
		map_put(&d->writing, path, d);
	else if (ev->mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
		map_del(&d->writing, path);
}

static void
see(void *ctx, const struct fswatch_event *ev)
{
	struct notice *n = ctx;
	struct dir_source *d = n->w->state;
	size_t len = ev->folder ? strlen(ev->folder) : 0;

	if (ev->folder && len == strlen(d->parent) + 1 &&
	    !strncmp(ev->folder, d->parent, len - 1)) {
		if (!strcmp(ev->name, d->name))
			n->dirty = d->rewatch = true;
		return;
	}
	/* A name like a log's, which is written on and on: to what a link names it matters only
	 * once it is closed. */
	if (ev->folder && ev->mask == IN_MODIFY &&
	    !gittree_name_wanted(ev->name, strlen(ev->name)))
		return;
	n->dirty = true;
	/* Folders came, went or were missed: all watches are made anew, for the
	 * library keeps no order in names that changed hands. */
	if (!ev->folder || (ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) ||
	    ((ev->mask & IN_ISDIR) && (ev->mask & (IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE))))
		d->rewatch = true;
	else if (!(ev->mask & IN_ISDIR))
		note_writer(d, ev);
}

static bool
drain(struct worker *w)
{
	struct notice n = { w, false };

	if (w->watch_fd >= 0)
		fswatch_read(w->watch_fd, see, &n);
	return n.dirty;
}

static void
dir_notice(struct worker *w)
{
	struct dir_source *d = w->state;
	int64_t most;

	if (!drain(w))
		return;
	d->last_event = monotonic_ms();
	if (!d->restless)
		d->restless = d->last_event;
	if (!d->busy)
		d->busy = d->last_event;
	w->next = d->last_event + (d->writing.n ? WRITER_MS : QUIET_MS);
	most = d->busy + (d->writing.n ? RESTLESS_MS : WRITER_MS);
	if (w->next > most)
		w->next = most;
}

/* ---- opening ---- */

static int
dir_open(struct worker *w, struct error **e)
{
	cleanup_free char *real = realpath(w->path, NULL);
	cleanup_free char *a = xstrdup(w->path), *b = xstrdup(w->path);
	cleanup_free char *c = real ? xstrdup(real) : NULL;
	struct dir_source *d;
	struct stat st;

	if (worker_reach(w, e))
		return -1;
	if (!real || stat(real, &st) < 0)
		return fail_sys(e, "%s: the directory cannot be opened", w->path);
	if (!S_ISDIR(st.st_mode))
		return fail(e, WHY_INVALID, "%s: is not a directory", w->path);
	d = xcalloc(1, sizeof *d);
	d->scan = scan_new(w->path);
	d->parent = xstrdup(dirname(a));
	d->name = xstrdup(basename(b));
	w->state = d;
	/* The folders around it too, for it may be swapped as a whole; never "/". */
	{
		const char *around = dirname(c);
		const char *readable[] = { "/proc/sys/fs/inotify", real,
					   strcmp(around, "/") ? around : real,
					   strcmp(d->parent, "/") ? d->parent : real, NULL };

		sandbox_enter("source", readable, (const char *const[]){ NULL });
	}
	start_watches(w);
	return worker_say_writable(w, "it is a plain directory", e);
}

/* ---- looking ---- */

static int
send_snapshot(struct worker *w, const git_oid *tree, struct error **e)
{
	struct dir_source *d = w->state;
	struct batch b = { .repo = scan_repo(d->scan) };
	int rc = git_repository_odb(&b.odb, b.repo);

	if (rc)
		return fail_git(e, rc, "%s", w->path);
	rc = 0;
	if (!git_oid_equal(tree, &w->have_tree))
		rc = scan_fill(d->scan, &b, e) || batch_send(&b, w->fd, e);
	git_odb_free(b.odb);
	batch_done(&b);
	if (rc)
		return -1;
	scan_sent(d->scan);
	return git_oid_equal(tree, &w->have_tree) ? 0 : worker_say_tree(w, tree, e);
}

/* Two scans; 1: they agree and *ret_tree is what they saw. */
static int
scan_twice(struct worker *w, git_oid *ret_tree, struct error **e)
{
	struct dir_source *d = w->state;
	uint64_t first, second;

	if (d->rewatch || w->watch_fd < 0)
		start_watches(w);
	if (scan_look(d->scan, watch_folder, w, &first, NULL, e) ||
	    scan_look(d->scan, watch_folder, w, &second, ret_tree, e))
		return -1;
	return first == second && !drain(w) && !d->rewatch;
}

static int
dir_look(struct worker *w, bool asked, struct error **e)
{
	struct dir_source *d = w->state;
	int64_t began = monotonic_ms(), took;
	git_oid tree;
	int same, tries = asked ? ASKED_TRIES : 1;

	if (git_oid_is_zero(&w->have_tree))
		scan_forget(d->scan);
	/* who asks wants to know what is there, not that nothing could be seen */
	while ((same = scan_twice(w, &tree, e)) == 0 && --tries > 0)
		poll(NULL, 0, QUIET_MS);
	d->busy = 0;
	took = monotonic_ms() - began;
	w->next = began + took + (w->watch_fd < 0 || d->full ? POLL_MS : NET_MS + took * 1000);
	if (same < 0) {
		w->next = monotonic_ms() + POLL_MS;
		return -1;
	}
	if (!same) {
		if (!d->restless)
			d->restless = began;
		w->next = monotonic_ms() + QUIET_MS;
		if (began - d->restless > RESTLESS_MS)
			return fail(
			    e, WHY_CONFLICT,
			    "%s: never holds still: two looks in a row differed for %d s",
			    w->path, RESTLESS_MS / 1000);
		if (asked)
			return fail(e, WHY_CONFLICT,
				    "%s: changes while it is looked at: try again", w->path);
		return 0;
	}
	d->restless = 0;
	map_done(&d->writing);
	d->writing = (struct map){ 0 };
	if (scan_unsure(d->scan))
		w->next = monotonic_ms() + 50;
	if (worker_note(w,
			d->full
			    ? "this user has no inotify watch left, so the directory is looked "
			      "through every second: raise fs.inotify.max_user_watches and "
			      "max_user_instances"
			    : "",
			e))
		return -1;
	return send_snapshot(w, &tree, e);
}

const struct source_kind source_directory = {
	.open = dir_open,
	.look = dir_look,
	.notice = dir_notice,
};

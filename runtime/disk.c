/* disk.c -- what pods take of the disk, beside what they may.
 *
 * A writable layer, a container's logs and scratch volumes have no end of their own, so
 * they are looked at, at a price that is bounded: nothing at all while no pod has a
 * limit; one statfs every five seconds while the file systems have as many free blocks as
 * at the last look; else a walk in a process of its own that yields to all others,
 * and then a rest of five hundred times the processor time it took, at most five minutes.
 * Nothing is written to disk.  What is over its limit is told once; who is told decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/rt.h"

/* REST_MOST: one look is for all pods, and one that has millions of files must not keep the
 * limits of the others from being looked at. */
enum {
	LOOK_MS = 5000,
	REST = 500,
	REST_MOST_MS = 5 * 60 * 1000,
	MOST_PATHS = 8000 /* their sizes fit in a pipe */
};

enum what { SCRATCH, LAYER, LOGS };

struct item { /* one directory, and whose it is */
	char uid[W_NAME], name[W_NAME];
	enum what what;
};

struct disk {
	int64_t due;           /* boot ms; 0: no pod has a limit */
	uint64_t free[2];      /* blocks, at the last look */
	struct rt_source look; /* fd -1: none under way */
	int result;
	struct item *items; /* in the order of their numbers */
	size_t n;
};

static struct disk *
disk_of(struct rt *rt)
{
	if (!rt->disk) {
		rt->disk = xcalloc(1, sizeof(*rt->disk));
		rt->disk->look = (struct rt_source){ RT_SRC_MEASURER, NULL, -1 };
		rt->disk->result = -1;
	}
	return rt->disk;
}

static int64_t
disk_of_container(const struct rt_container *c)
{
	return c->disk;
}

static bool
has_limit(const struct rt_pod *p)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		if (p->volumes[i].type == RT_EMPTY && p->volumes[i].size_limit > 0)
			return true;
	for (size_t i = 0; i < p->ncontainers; i++)
		if (p->containers[i].disk > 0)
			return true;
	return false;
}

static bool
is_watched(const struct rtpod *p)
{
	return p->state == RT_POD_UP && !*p->over && has_limit(&p->spec);
}

int64_t
disk_due(const struct rt *rt)
{
	/* what is under way ends by its descriptor */
	if (!rt->disk || rt->disk->look.fd >= 0)
		return 0;
	return rt->disk->due;
}

/* Whatever was free then: the next look is taken. */
static void
look_again(struct disk *u)
{
	u->free[0] = u->free[1] = UINT64_MAX;
}

void
disk_watch(struct rt *rt, const struct rtpod *p)
{
	struct disk *u;

	if (!has_limit(&p->spec))
		return;
	u = disk_of(rt);
	if (!u->due)
		u->due = monotonic_ms() + LOOK_MS;
	look_again(u); /* what it has already was not looked at */
}

/* ---- a look ---- */

struct paths {
	struct rt *rt;
	char **at;
	size_t n;
};

static void
add_path(struct paths *w, const struct rtpod *p, const char *name, enum what what, char *path)
{
	struct disk *u = w->rt->disk;

	if (w->n == MOST_PATHS) {
		free(path);
		return;
	}
	w->at = xrealloc(w->at, (w->n + 1) * sizeof(*w->at));
	u->items = xrealloc(u->items, (w->n + 1) * sizeof(*u->items));
	u->items[w->n] = (struct item){ .what = what };
	rt_copy(u->items[w->n].uid, sizeof(u->items[w->n].uid), p->uid);
	rt_copy(u->items[w->n].name, sizeof(u->items[w->n].name), name);
	w->at[w->n++] = path;
}

/* With a limit on any container, all of the pod counts together. */
static void
add_pod(struct paths *w, const struct rtpod *p)
{
	const struct rt_pod *spec = &p->spec;
	bool all = false;
	char *path;

	for (size_t i = 0; i < spec->ncontainers; i++)
		all |= spec->containers[i].disk > 0;
	for (size_t i = 0; i < spec->nvolumes; i++)
		if (spec->volumes[i].type == RT_EMPTY &&
		    (all || spec->volumes[i].size_limit > 0)) {
			xasprintf(&path, "3%s/.volumes/%s", p->uid, spec->volumes[i].name);
			add_path(w, p, spec->volumes[i].name, SCRATCH, path);
		}
	for (size_t i = 0; all && i < spec->ncontainers; i++) {
		const char *name = spec->containers[i].name;

		xasprintf(&path, "3%s/%s.%d", p->uid, name, (int)p->c[i].said.restarts);
		add_path(w, p, name, LAYER, path);
		xasprintf(&path, "4%s_%s_%s/%s", spec->ns, spec->name, p->uid, name);
		add_path(w, p, name, LOGS, path);
	}
}

static int
look_begin(struct rt *rt, const struct paths *w, struct error **e)
{
	cleanup_free char *state = NULL;
	cleanup_close int pods = -1, logs = -1;
	int ends[2] = { -1, -1 }, pidfd = -1, rc;

	xasprintf(&state, "%s/pods", rt->cfg.state_dir);
	pods = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	logs = open(rt->cfg.log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pods < 0 || logs < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return fail_sys(e, "look at what pods take of the disk");
	rc = launch_measurer(rt, (const int[3]){ pods, logs, ends[1] }, w->at, w->n, &pidfd, e);
	close(ends[1]);
	if (rc < 0 || rt_watch_child(rt, &rt->disk->look, pidfd, e) < 0) {
		close(ends[0]);
		return -1;
	}
	rt->disk->result = ends[0];
	rt->disk->n = w->n;
	return 0;
}

/* As much is free as at the last look: nobody took more, but for what another gave back
 * to the block at the same time, and that shows at the next change. */
static bool
is_quiet(struct rt *rt)
{
	const char *dirs[2] = { rt->cfg.state_dir, rt->cfg.log_dir };
	struct disk *u = rt->disk;
	bool quiet = true;

	for (int i = 0; i < 2; i++) {
		struct statfs fs;
		uint64_t now = statfs(dirs[i], &fs) < 0 ? 0 : fs.f_bfree;

		quiet &= now == u->free[i];
		u->free[i] = now;
	}
	return quiet;
}

void
disk_go_on(struct rt *rt)
{
	cleanup_error struct error *e = NULL;
	struct paths w = { .rt = rt };
	struct disk *u = rt->disk;

	u->due = 0;
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		if (is_watched(s->value))
			u->due = monotonic_ms() + LOOK_MS;
	if (!u->due || is_quiet(rt))
		return;
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		if (is_watched(s->value))
			add_pod(&w, s->value);
	if (look_begin(rt, &w, &e) < 0) {
		log_warn("runtime", "%s", error_text(e));
		look_again(u);
	}
	for (size_t i = 0; i < w.n; i++)
		free(w.at[i]);
	free(w.at);
}

/* ---- what it saw ---- */

static void
tell_over(struct rt *rt, struct rtpod *p, const char *what, const char *name)
{
	if (*p->over)
		return;
	snprintf(p->over, sizeof(p->over), "%s%s%s", what, *name ? " " : "", name);
	rt_changed(rt, p);
}

/* The items of one pod, at[0] to at[n - 1]: volumes first, then pairs of layer and logs. */
static void
judge(struct rt *rt, struct rtpod *p, const struct item *items, const int64_t *bytes, size_t n)
{
	const int64_t may = rtpod_at_once(&p->spec, disk_of_container);
	int64_t all = 0;

	for (size_t i = 0; i < n; i++) {
		all += bytes[i] > 0 ? bytes[i] : 0;
		for (size_t v = 0; items[i].what == SCRATCH && v < p->spec.nvolumes; v++)
			if (!strcmp(p->spec.volumes[v].name, items[i].name) &&
			    p->spec.volumes[v].size_limit > 0 &&
			    bytes[i] > p->spec.volumes[v].size_limit)
				tell_over(rt, p, "volume", items[i].name);
	}
	if (may && all > may)
		tell_over(rt, p, "pod", "");
	for (size_t c = 0; c < p->spec.ncontainers; c++) {
		int64_t own = 0;

		for (size_t i = 0; i < n; i++)
			if (items[i].what != SCRATCH && bytes[i] > 0 &&
			    !strcmp(items[i].name, p->spec.containers[c].name))
				own += bytes[i];
		if (p->spec.containers[c].disk && own > p->spec.containers[c].disk)
			tell_over(rt, p, "container", p->spec.containers[c].name);
	}
}

static int64_t
rest_of(int pidfd)
{
	struct rusage r = { 0 };
	siginfo_t si = { 0 };
	int64_t ms;

	syscall(SYS_waitid, P_PIDFD, pidfd, &si, WEXITED | WNOHANG | __WALL, &r);
	ms = (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
	     (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
	ms *= REST;
	return ms < LOOK_MS ? LOOK_MS : ms < REST_MOST_MS ? ms : REST_MOST_MS;
}

void
disk_measured(struct rt *rt, struct rt_source *s)
{
	struct disk *u = rt->disk;
	int64_t *bytes = xcalloc(u->n + 1, sizeof(*bytes));
	ssize_t got = read(u->result, bytes, u->n * sizeof(*bytes));
	size_t n = got < 0 ? 0 : (size_t)got / sizeof(*bytes);

	u->due = monotonic_ms() + rest_of(s->fd);
	rt_unwatch(rt, s);
	close(u->result);
	u->result = -1;
	if (n < u->n)
		look_again(u);
	for (size_t i = 0, next; i < n; i = next) {
		struct rtpod *p = map_get(&rt->pods, u->items[i].uid);

		for (next = i + 1; next < n && !strcmp(u->items[next].uid, u->items[i].uid);)
			next++;
		if (p && p->state == RT_POD_UP)
			judge(rt, p, &u->items[i], &bytes[i], next - i);
	}
	free(bytes);
}

void
disk_free(struct rt *rt)
{
	if (!rt->disk)
		return;
	rt_unwatch(rt, &rt->disk->look);
	if (rt->disk->result >= 0)
		close(rt->disk->result);
	free(rt->disk->items);
	free(rt->disk);
	rt->disk = NULL;
}

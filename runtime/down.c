/* down.c -- everything at once, and no trace; before that, the logs of pods that are no more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

enum { DOWN_MS = 20000 };

static bool
all_gone(struct rt *rt)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		if (((struct rtpod *)s->value)->state != RT_POD_GONE)
			return false;
	return true;
}

/* A directory of ours that was emptied goes; one that holds others' things stays. */
static void
drop_dir(const char *top, const char *name)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/%s", top, name);
	rmdir(path);
}

static void
remove_flat(int dir)
{
	cleanup_closedir DIR *d = fdopendir(dir);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		unlinkat(dir, ent->d_name, 0);
}

/* NS_NAME_UID/CONTAINER/files, and nothing that has another shape. */
static void
drop_log(int top, const char *name)
{
	int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *c;

	while (d && (c = readdir(d))) {
		if (c->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), c->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			remove_flat(fd);
		unlinkat(dirfd(d), c->d_name, AT_REMOVEDIR);
	}
	unlinkat(top, name, AT_REMOVEDIR);
}

static bool
is_there(struct rt *rt, const char *uid)
{
	const struct rt_pod_status *s = rt_pod_status(rt, uid);

	return s && s->state != RT_POD_GONE;
}

static bool
listed(const char *const *uids, const char *uid)
{
	for (; *uids; uids++)
		if (!strcmp(*uids, uid))
			return true;
	return false;
}

/* The folder may be one that others log to as well: only what has the shape of ours. */
const char *
rt_log_uid(const char *name)
{
	const char *uid = strrchr(name, '_');

	if (!uid || uid == name || !memchr(name, '_', (size_t)(uid - name)) || *name == '.' ||
	    strlen(uid + 1) != 36 || strspn(uid + 1, "0123456789abcdef-") != 36)
		return NULL;
	for (int i = 8; i <= 23; i += 5)
		if (uid[1 + i] != '-')
			return NULL;
	return uid + 1;
}

void
rt_logs_sweep(struct rt *rt, const char *const *keep)
{
	cleanup_closedir DIR *top = opendir(rt->cfg.log_dir);
	struct dirent *pod;

	while (top && (pod = readdir(top))) {
		const char *uid = rt_log_uid(pod->d_name);

		if (uid && !listed(keep, uid) && !is_there(rt, uid))
			drop_log(dirfd(top), pod->d_name);
	}
}

/* What another user could write to may be swapped for a link at any moment, so nothing
 * below `dir` is reached by a path: kedge-init's remover holds on to each directory. */
int
rt_tree_remove(struct rt *rt, const char *dir, const char *name, struct error **e)
{
	cleanup_close int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), pidfd = -1;
	siginfo_t si = { 0 };

	if (top < 0)
		return errno == ENOENT ? 0 : fail_sys(e, "open %s", dir);
	if (strlen(name) >= W_NAME)
		return fail(e, WHY_INVALID, "%s/%s: a name so long is not kedge's: remove it",
			    dir, name);
	if (launch_remover(rt, (int[]){ top, -1 }, name, &pidfd, e) < 0)
		return fail_in(e, "remove %s/%s", dir, name);
	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | __WALL) < 0 && errno == EINTR)
		;
	return si.si_status == 0
		   ? 0
		   : fail(e, WHY_IO, "%s/%s could not be removed whole", dir, name);
}

static void
drop_base(const char *state_dir)
{
	cleanup_free char *etc = NULL;
	int fd;

	xasprintf(&etc, "%s/base/etc", state_dir);
	fd = open(etc, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		remove_flat(fd);
	for (size_t i = 0; i < 5; i++)
		drop_dir(state_dir, (const char *const[]){ "base/etc", "base/proc", "base/dev",
							   "base/sys", "base" }[i]);
}

int
rt_down(struct rt *rt, struct error **e)
{
	int64_t until = monotonic_ms() + DOWN_MS;
	struct rt_event ev;

	rtahead_end(rt, NULL);
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		if (((struct rtpod *)s->value)->state != RT_POD_GONE)
			rtpod_begin_removal(rt, s->value);
	while (!all_gone(rt)) {
		struct pollfd p = { .fd = rt->epoll, .events = POLLIN };
		int wait = rt_timeout(rt);

		while (rt_next(rt, &ev))
			;
		if (all_gone(rt))
			break;
		if (monotonic_ms() > until)
			return fail(e, WHY_TIMEOUT,
				    "some pods could not be removed within %d s: see the log",
				    DOWN_MS / 1000);
		poll(&p, 1, wait < 0 || wait > 100 ? 100 : wait);
	}
	rt_logs_sweep(rt, (const char *const[]){ NULL });
	drop_dir(rt->cfg.run_dir, "pods");
	drop_dir(rt->cfg.run_dir, "empty");
	drop_dir(rt->cfg.state_dir, "pods");
	drop_base(rt->cfg.state_dir);
	if (cgroups_remove(&rt->cgroups) != 0)
		return fail_sys(e, "remove the cgroup %s", rt->cfg.cgroup);
	return 0;
}

/* runtime.c -- opening, the one descriptor to wait on, and what is told of pods. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image.h"
#include "runtime/rt.h"

void
rt_copy(char *to, size_t room, const char *from)
{
	size_t n = strnlen(from, room - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

static void
wake(struct rt *rt)
{
	uint64_t one = 1;

	if (rt->wake.fd >= 0 && write(rt->wake.fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable then */
}

void
rt_changed(struct rt *rt, struct rtpod *p)
{
	p->changed = true;
	wake(rt);
}

void
rt_lack(struct rt *rt, const char *fmt, ...)
{
	va_list ap;

	rt->lacks = xrealloc(rt->lacks, (rt->nlacks + 2) * sizeof(*rt->lacks));
	va_start(ap, fmt);
	xvasprintf(&rt->lacks[rt->nlacks++], fmt, ap);
	va_end(ap);
	rt->lacks[rt->nlacks] = NULL;
}

int
rt_watch(struct rt *rt, struct rt_source *s, int fd, struct error **e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	s->fd = fd;
	if (epoll_ctl(rt->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return fail_sys(e, "watch a pod");
	return 0;
}

int
rt_watch_child(struct rt *rt, struct rt_source *s, int pidfd, struct error **e)
{
	if (rt_watch(rt, s, pidfd, e) == 0)
		return 0;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 }, WEXITED | __WALL);
	rt_unwatch(rt, s);
	return -1;
}

void
rt_unwatch(struct rt *rt, struct rt_source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(rt->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}

struct rtpod *
rt_find(struct rt *rt, const char *uid, struct error **e)
{
	struct rtpod *p = map_get(&rt->pods, uid);

	if (p && p->state != RT_POD_GONE)
		return p;
	fail(e, WHY_NOT_FOUND, "there is no pod %s on this host", uid);
	return NULL;
}

void
rt_pod_free(struct rt *rt, struct rtpod *p)
{
	rt_unwatch(rt, &p->hand);
	rt_unwatch(rt, &p->init);
	rt_unwatch(rt, &p->remover);
	map_del(&rt->pods, p->uid);
	for (size_t i = 0; i < W_CONTAINERS; i++) {
		free(p->c[i].text);
		free(p->c[i].last_text);
		free(p->c[i].as);
		free(p->c[i].image_id);
		free(p->c[i].next_image_id);
		free(p->c[i].refused_image);
		free(p->c[i].refused_why);
		free(p->c[i].refused_version);
		free(p->c[i].message);
	}
	for (size_t i = 0; i < p->nrefused; i++) {
		free(p->refused[i].name);
		free(p->refused[i].why);
	}
	free(p->refused);
	free(p->ahead_image);
	arena_free(&p->arena);
	arena_free(&p->view);
	free(p);
}

/* ---- opening ---- */

static void
find_lacks(struct rt *rt)
{
	struct statfs fs;

	rt->no_filters = !kernel_filters();
	if (rt->no_filters)
		rt_lack(rt, "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): only "
			    "containers whose seccompProfile is Unconfined, or that are "
			    "privileged, can be started");
	if (!rt->cgroups.cpu)
		rt_lack(rt,
			"there is no cgroup controller for cpu: cpu limits are not enforced");
	if (!rt->cgroups.memory)
		rt_lack(
		    rt,
		    "there is no cgroup controller for memory: memory limits are not enforced");
	if (!rt->cgroups.pids)
		rt_lack(rt,
			"there is no cgroup controller for pids: a fork bomb is not contained");
	if (statfs(rt->cfg.run_dir, &fs) == 0 && fs.f_type != TMPFS_MAGIC)
		rt_lack(rt, "%s is not on a tmpfs: secrets mounted into pods touch the disk",
			rt->cfg.run_dir);
	if (!(rt->caps >> 24 & 1)) /* CAP_SYS_RESOURCE */
		rt_lack(
		    rt,
		    "kedge lacks CAP_SYS_RESOURCE: no container's oom_score_adj can be lowered "
		    "below kedge's own");
}

static int
dirs_make(struct rt *rt, struct error **e)
{
	cleanup_free char *run = NULL, *state = NULL, *empty = NULL;

	xasprintf(&run, "%s/pods", rt->cfg.run_dir);
	xasprintf(&state, "%s/pods", rt->cfg.state_dir);
	xasprintf(&empty, "%s/empty", rt->cfg.run_dir);
	if (poddir_make_dirs(run, 0700, e) < 0 || poddir_make_dirs(state, 0700, e) < 0 ||
	    poddir_make_dirs(empty, 0555, e) < 0 ||
	    poddir_make_base(rt->cfg.state_dir, e) < 0 ||
	    poddir_make_dirs(rt->cfg.log_dir, 0750, e) < 0)
		return -1;
	if (chmod(run, 0700) < 0 || chmod(state, 0700) < 0 || chmod(empty, 0555) < 0)
		return fail_sys(e, "set the mode of %s", run);
	if (chown(rt->cfg.log_dir, (uid_t)-1, rt->cfg.log_gid) < 0)
		return fail_sys(e, "give %s to the log group", rt->cfg.log_dir);
	return 0;
}

static void
config_copy(struct rt_config *to, const struct rt_config *from)
{
	*to = *from;
	to->run_dir = xstrdup(from->run_dir);
	to->state_dir = xstrdup(from->state_dir);
	to->log_dir = xstrdup(from->log_dir);
	to->init_path = xstrdup(from->init_path);
	to->cgroup = xstrdup(from->cgroup ? from->cgroup : "kedge");
	to->cgroup_root = xstrdup(from->cgroup_root ? from->cgroup_root : "/sys/fs/cgroup");
	if (to->log_max_bytes <= 0)
		to->log_max_bytes = 10 << 20;
	if (to->log_max_files <= 0)
		to->log_max_files = 5;
}

static int
check_paths(const struct rt_config *c, struct error **e)
{
	const char *const paths[] = { c->run_dir, c->state_dir, c->log_dir };

	for (size_t i = 0; i < 3; i++)
		if (paths[i][0] != '/' || strchr(paths[i], ':') || strlen(paths[i]) > 250)
			return fail(e, WHY_INVALID,
				    "the directory %s: it must be absolute, without ':' and "
				    "at most 250 bytes",
				    paths[i]);
	return 0;
}

/* Layers under a pod stay, whatever becomes of their image's name. */
static bool
uses_image(void *ctx, const char *id)
{
	struct rt *rt = ctx;

	rtahead_end(rt, id); /* those only hoped for a pod of it */
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		const struct rtpod *p = s->value;

		if (p->ahead || p->state == RT_POD_GONE)
			continue;
		if (p->ahead_image && strcmp(p->ahead_image, id) == 0)
			return true; /* its first container has not begun */
		for (size_t i = 0; i < W_CONTAINERS; i++)
			if ((p->c[i].image_id && strcmp(p->c[i].image_id, id) == 0) ||
			    (p->c[i].next_image_id && strcmp(p->c[i].next_image_id, id) == 0))
				return true;
		if (volume_images_has(rt, &p->spec, id))
			return true;
	}
	return false;
}

int
rt_open(const struct rt_config *cfg, struct rt **ret, struct error **e)
{
	struct rt *rt = xcalloc(1, sizeof(*rt));

	rt->epoll = rt->init_fd = rt->wake.fd = -1;
	rt->wake.kind = RT_SRC_WAKE;
	config_copy(&rt->cfg, cfg);
	rt->caps = rtcaps_own();
	rt->lacks = xcalloc(1, sizeof(*rt->lacks));
	rt->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (rt->epoll < 0) {
		fail_sys(e, "make an epoll");
		goto failed;
	}
	if (check_paths(&rt->cfg, e) < 0 ||
	    rt_watch(rt, &rt->wake, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), e) < 0 ||
	    dirs_make(rt, e) < 0 ||
	    cgroups_open(rt->cfg.cgroup_root, rt->cfg.cgroup, &rt->cgroups, e) < 0 ||
	    cgroups_own(&rt->cgroups, rt->cfg.state_dir, e) < 0)
		goto failed;
	rt->init_fd = launch_prepare(rt->cfg.init_path, e);
	if (rt->init_fd < 0)
		goto failed;
	find_lacks(rt); /* before a container is compiled by it */
	users_open(rt, rt->cfg.user_first, rt->cfg.user_ranges);
	if (rtpod_adopt_all(rt, e) < 0)
		goto failed;
	rt->memory_kept = -1; /* whatever a former life left there */
	rt_memory_keep(rt);
	if (rt->cfg.images)
		images_keep(rt->cfg.images, uses_image, rt);
	rtstore_go_on(rt);
	*ret = rt;
	return 0;
failed:
	rt_close(rt);
	return -1;
}

void
rt_close(struct rt *rt)
{
	if (!rt)
		return;
	if (rt->cfg.images)
		images_keep(rt->cfg.images, NULL, NULL);
	for (struct map_slot *s; (s = map_first(&rt->pods));)
		rt_pod_free(rt, s->value);
	rtahead_free(rt);
	disk_free(rt);
	map_done(&rt->pods);
	while (rt->njobs)
		rtjob_free(rt, &rt->jobs[0]);
	free(rt->jobs);
	for (size_t i = 0; i < rt->nlacks; i++)
		free(rt->lacks[i]);
	free(rt->lacks);
	free(rt->uids);
	free(rt->exec_error);
	free(rt->ahead_image);
	rt_unwatch(rt, &rt->wake);
	if (rt->epoll >= 0)
		close(rt->epoll);
	if (rt->init_fd >= 0)
		close(rt->init_fd);
	cgroups_done(&rt->cgroups);
	seccomp_done(&rt->seccomp);
	free((char *)rt->cfg.run_dir);
	free((char *)rt->cfg.state_dir);
	free((char *)rt->cfg.log_dir);
	free((char *)rt->cfg.init_path);
	free((char *)rt->cfg.cgroup);
	free((char *)rt->cfg.cgroup_root);
	free(rt);
}

const char *const *
rt_lacks(const struct rt *rt)
{
	return (const char *const *)rt->lacks;
}

const char *
rt_cgroup_mode(const struct rt *rt)
{
	return cgroups_mode(&rt->cgroups);
}

/* ---- events ---- */

int
rt_fd(const struct rt *rt)
{
	return rt->epoll;
}

static void
dispatch(struct rt *rt, struct rt_source *s)
{
	uint64_t count;

	switch (s->kind) {
	case RT_SRC_WAKE:
		if (read(s->fd, &count, sizeof(count)) < 0)
			return;
		break;
	case RT_SRC_HAND:
		rtpod_heard(rt, s->pod);
		break;
	case RT_SRC_INIT:
		rtpod_init_died(rt, s->pod);
		break;
	case RT_SRC_REMOVER:
		rtpod_go_on(rt, s->pod);
		break;
	case RT_SRC_MEASURER:
		disk_measured(rt, s);
		break;
	case RT_SRC_SWEEPER:
		rtpod_swept(rt, s);
		break;
	}
}

static bool
next_job(struct rt *rt, struct rt_event *ret)
{
	for (size_t i = 0; i < rt->njobs; i++) {
		struct rt_job *j = &rt->jobs[i];

		if (!j->done)
			continue;
		free(rt->exec_error);
		rt->exec_error = j->error;
		j->error = NULL;
		*ret = (struct rt_event){ .type = RT_EXEC_DONE,
					  .exec_id = j->id,
					  .exit_code = j->code,
					  .error = rt->exec_error };
		rt_copy(ret->uid, sizeof(ret->uid), j->uid);
		rtjob_free(rt, j);
		return true;
	}
	return false;
}

static bool
next_change(struct rt *rt, struct rt_event *ret)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		struct rtpod *p = s->value;

		if (!p->changed)
			continue;
		p->changed = false;
		if (p->state == RT_POD_GONE)
			rt->forgotten++; /* told: the next call lets it go */
		if (p->ahead)
			continue;
		*ret = (struct rt_event){ .type = RT_POD_CHANGED };
		rt_copy(ret->uid, sizeof(ret->uid), p->uid);
		return true;
	}
	return false;
}

static bool
next_loss(struct rt *rt, struct rt_event *ret)
{
	bool lost = rt->lost_ahead;

	rt->lost_ahead = false;
	if (lost)
		*ret = (struct rt_event){ .type = RT_AHEAD_ENDED };
	return lost;
}

static void
forget(struct rt *rt)
{
	while (rt->forgotten > 0) {
		struct map_slot *s = map_first(&rt->pods);

		for (; s; s = map_next(&rt->pods, s)) {
			struct rtpod *p = s->value;

			if (p->state == RT_POD_GONE && !p->changed)
				break;
		}
		if (!s)
			break;
		rt_pod_free(rt, s->value);
		rt->forgotten--;
	}
	rt->forgotten = 0;
}

static void
timers(struct rt *rt)
{
	int64_t now = monotonic_ms();

	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		struct rtpod *p = s->value;
		int64_t due = rtpod_due(p);

		if (due && due <= now)
			rtpod_go_on(rt, p);
	}
	if (disk_due(rt) && disk_due(rt) <= now)
		disk_go_on(rt);
}

bool
rt_next(struct rt *rt, struct rt_event *ret)
{
	struct epoll_event ev;

	forget(rt);
	/* one at a time: what an event points to may be gone after the one before it */
	while (epoll_wait(rt->epoll, &ev, 1, 0) == 1)
		dispatch(rt, ev.data.ptr);
	timers(rt);
	if (rtjob_next_lent(rt, ret) || next_job(rt, ret) || next_change(rt, ret) ||
	    next_loss(rt, ret)) {
		wake(rt); /* there may be more */
		return true;
	}
	*ret = (struct rt_event){ .type = RT_NOTHING };
	/* timers may have woken us; nothing is left to say */
	while (epoll_wait(rt->epoll, &ev, 1, 0) == 1 && ev.data.ptr == &rt->wake)
		dispatch(rt, &rt->wake);
	return false;
}

int
rt_timeout(const struct rt *rt)
{
	int64_t next = 0, now = monotonic_ms();

	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		int64_t due = rtpod_due(s->value);

		if (due && (!next || due < next))
			next = due;
	}
	if (disk_due(rt) && (!next || disk_due(rt) < next))
		next = disk_due(rt);
	return !next ? -1 : next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

size_t
rt_pods(struct rt *rt, const char *const **ret)
{
	size_t n = 0;

	rt->uids = xrealloc(rt->uids, (rt->pods.n + 1) * sizeof(*rt->uids));
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		rt->uids[n++] = s->key;
	rt->uids[n] = NULL;
	*ret = rt->uids;
	return n;
}

/* make.c -- a pod comes to be: its places on the host, its namespaces, its kedge-init.
 *
 * The first container is begun while the pod is plugged in; it waits at its gate
 * (init/setup.c) for rt_pod_run.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image.h"
#include "runtime/rt.h"

#ifndef PIDFD_GET_NET_NAMESPACE
#define PIDFD_GET_NET_NAMESPACE _IO(0xFF, 4)
#endif

static int64_t
shares_of(const struct rt_container *c)
{
	return c->cpu_shares < 2 ? 2 : c->cpu_shares;
}

static int64_t
memory_of(const struct rt_container *c)
{
	return c->memory_min;
}

int64_t
rtpod_at_once(const struct rt_pod *spec, int64_t (*of)(const struct rt_container *))
{
	int64_t sum = 0, first = 0;

	for (size_t i = 0; i < spec->ncontainers; i++) {
		const struct rt_container *c = &spec->containers[i];

		if (c->role != RT_INIT)
			sum += of(c);
		else if (sum + of(c) > first)
			first = sum + of(c);
	}
	return sum < first ? first : sum;
}

int
rtpod_group_limit(struct rt *rt, const struct rt_pod *spec, bool fresh, struct error **e)
{
	const struct cgroup_limits sum = { .cpu_shares = rtpod_at_once(spec, shares_of),
					   .memory_min = rtpod_at_once(spec, memory_of) };

	if ((fresh ? cgroup_make : cgroup_limit)(&rt->cgroups, rt_group(spec), NULL, &sum, e) <
	    0)
		return -1;
	if (sum.memory_min || rt->memory_kept)
		rt_memory_keep(rt);
	return 0;
}

void
rt_memory_keep(struct rt *rt)
{
	int64_t sum = 0;

	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		const struct rtpod *p = s->value;

		if (p->state != RT_POD_GONE)
			sum += rtpod_at_once(&p->spec, memory_of);
	}
	if (sum != rt->memory_kept)
		cgroups_keep(&rt->cgroups, sum);
	rt->memory_kept = sum;
}

static int
netns_of(const struct rtpod *p, struct error **e)
{
	cleanup_free char *path = NULL;
	int fd = ioctl(p->init.fd, PIDFD_GET_NET_NAMESPACE, 0);

	if (fd >= 0)
		return fd;
	/* before Linux 6.11; the pid is ours as long as the pidfd is not readable */
	xasprintf(&path, "/proc/%d/ns/net", (int)p->init_pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail_sys(e, "open the network namespace of pod %s", p->uid) : fd;
}

int
rtpod_launch(struct rt *rt, struct rtpod *p, int dir, const struct users_set *set,
	     struct error **e)
{
	int pidfd = -1, conn = -1;

	if (launch_init(rt, &p->spec, dir, set, &p->init_pid, &pidfd, &conn, e) < 0)
		return -1;
	p->gated = true;
	p->hand.fd = conn; /* the pod's, also when the other cannot be watched */
	if (rt_watch(rt, &p->init, pidfd, e) < 0)
		return -1;
	return rt_watch(rt, &p->hand, conn, e);
}

/* kedge-init, which was born before them, enters the pod's namespaces. */
static int
namespaces_give(struct rtpod *p, const struct users_set *set, struct error **e)
{
	const struct w_msg enter = { .type = W_ENTER };

	return rtpod_tell(p, &enter, NULL, 0, set->fds + USERS_NET, e);
}

/* All that the pod has on the host, and kedge-init, while somebody makes its namespaces,
 * which take the longest.  Settings of those are made in them, before kedge-init begins. */
static int
pod_prepare(struct rt *rt, struct rtpod *p, const struct users_set *user, bool *ret_born,
	    int *ret_dir, struct error **e)
{
	*ret_born = user->base && (!p->spec.sysctls || !*p->spec.sysctls);
	if (poddir_make_pod(rt, &p->spec, *ret_born ? W_LATE : 0, ret_dir, e) < 0 ||
	    rtpod_group_limit(rt, &p->spec, true, e) < 0 ||
	    (*ret_born && rtpod_launch(rt, p, *ret_dir, user, e) < 0) ||
	    poddir_make_places(rt, &p->spec, e) < 0)
		return -1;
	rtpod_prepare_first(rt, p);
	return 0;
}

static int
pod_make(struct rt *rt, struct rtpod *p, int *ret_netns, struct error **e)
{
	bool own = !p->spec.host_users, born = false;
	struct users_set user = { 0 }, set = { 0 };
	struct users_making making;
	cleanup_close int dir = -1;
	int r;

	if (own && users_begin(rt, &making, e) < 0)
		return -1;
	if (own)
		user = users_so_far(&making);
	p->spec.user_base = user.base;
	r = pod_prepare(rt, p, &user, &born, &dir, e);
	if (own && users_made(&making, &set, r ? NULL : e) < 0)
		r = -1;
	if (r == 0)
		r = born ? namespaces_give(p, &set, e) : rtpod_launch(rt, p, dir, &set, e);
	if (r == 0)
		rtpod_start_first(p);
	/* What need not be there for a process that waits at its gate. */
	if (own)
		users_end(&making);
	if (r == 0) {
		*ret_netns = own ? steal_fd(&set.fds[USERS_NET]) : netns_of(p, e);
		r = *ret_netns < 0 ? -1 : 0;
	}
	users_set_close(&set);
	return r;
}

/* Of a sandbox that was made ahead there is left what is the pod's. */
static int
pod_become(struct rt *rt, struct rtpod *p, const struct rt_pod *ahead, int *ret_netns,
	   struct error **e)
{
	const struct w_msg become = { .type = W_BECOME };
	cleanup_close int dir = -1;

	p->spec.user_base = ahead->user_base;
	p->spec.group = ahead->group;
	if (poddir_become(rt, ahead->uid, &p->spec, &dir, e) < 0 ||
	    rtpod_group_limit(rt, &p->spec, false, e) < 0 ||
	    rtpod_tell(p, &become, p->spec.name, strlen(p->spec.name), NULL, e) < 0 ||
	    poddir_make_places(rt, &p->spec, e) < 0)
		return -1;
	rtpod_prepare_first(rt, p);
	rtpod_start_first(p);
	*ret_netns = netns_of(p, e);
	return *ret_netns < 0 ? -1 : 0;
}

/* The caller's words, with what they leave to the runtime. */
static int
spec_copy(struct rt *rt, struct rtpod *p, const struct rt_pod *spec, struct error **e)
{
	struct buf cleanup_buf bytes = { 0 };

	podspec_pack(spec, &bytes);
	if (podspec_unpack(&p->arena, bytes.at, bytes.len, &p->spec, e) < 0)
		return -1;
	p->spec.user_base = 0;
	p->spec.group = NULL;
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (!p->spec.containers[i].pids)
			((struct rt_container *)p->spec.containers)[i].pids = rt->cfg.max_pids;
	p->spec.host_users |= !rt->users.able; /* the operator allowed it */
	return 0;
}

int
rt_pod_create(struct rt *rt, const struct rt_pod *spec, int *ret_netns, struct error **e)
{
	struct rt_pod ahead = { 0 };
	struct rtpod *p;
	int r;

	if (podspec_check(spec, e) < 0 || rtallow_check(rt, spec, e) < 0)
		return -1;
	if (strncmp(spec->uid, RT_AHEAD_NAME, strlen(RT_AHEAD_NAME)) == 0)
		return fail(e, WHY_INVALID,
			    "uid \"%s\": \"" RT_AHEAD_NAME "\" begins no pod's uid", spec->uid);
	p = map_get(&rt->pods, spec->uid);
	if (p && p->state != RT_POD_GONE)
		return fail(e, WHY_EXISTS, "pod %s is here already", spec->uid);
	if (p)
		rt_pod_free(rt, p);
	p = rtahead_take(rt, spec);
	if (p)
		ahead = p->spec;
	else
		p = rtpod_new(rt, spec->uid);
	r = spec_copy(rt, p, spec, e);
	if (rt->cfg.images && image_find(rt->cfg.images, spec->containers->image)) {
		free(rt->ahead_image);
		rt->ahead_image = xstrdup(spec->containers->image);
	}
	if (r == 0)
		r = ahead.uid ? pod_become(rt, p, &ahead, ret_netns, e)
			      : pod_make(rt, p, ret_netns, e);
	if (r == 0)
		return 0;
	fail_in(e, "pod %s", spec->name);
	/* What was made of it goes the way of every pod, under either of its names. */
	rtpod_begin_removal(rt, p);
	if (ahead.uid)
		rtpod_leftover(rt, ahead.uid)->ahead = true;
	return -1;
}

/* ahead.c -- sandboxes that wait for their pods.
 *
 * Each is a kedge-init in namespaces, control groups and directories of its own, with the
 * process of a first container that has mounted what is the same for all, and the layers of
 * the image that the last pod had: the next is likely to have the same.  What is left of a
 * start when its pod comes is the pod's: names, limits, its files, its rights.  None
 * outlives this process: kedge-init ends with the connection, and what it leaves has no
 * `spec`, so the next rt_open removes it.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/image.h"
#include "runtime/init/ops.h"
#include "runtime/rt.h"

/* Where the name of the pod will stand, for ps. */
#define NO_NAME "(ahead)                                                        "

/* Where the kernel's own file systems are, with their masks on them already: what may not be
 * mounted there is refused when all of it is mounted in order. */
static bool
is_kernels(const char *path)
{
	path += strspn(path, "/");
	return strncmp(path, "proc", 4) == 0 || strncmp(path, "sys", 3) == 0;
}

/* Nothing of the host's, and no mount that came after the room was bound (RT_MEMORY). */
static bool
fits(const struct rt_pod *p)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		if (p->volumes[i].type != RT_FILES && p->volumes[i].type != RT_EMPTY &&
		    p->volumes[i].type != RT_IMAGE)
			return false;
	for (size_t i = 0; i < p->containers[0].nmounts; i++)
		if (is_kernels(p->containers[0].mounts[i].path))
			return false;
	return !p->host_users && !p->host_network && !p->host_ipc && !p->host_pid &&
	       !p->share_processes && (!p->sysctls || !*p->sysctls);
}

static void
take_out(struct rt *rt, size_t i)
{
	memmove(rt->ahead + i, rt->ahead + i + 1, (--rt->nahead - i) * sizeof(*rt->ahead));
}

/* Its end is not heard of yet. */
static bool
is_gone(const struct rtpod *p)
{
	struct pollfd conn = { .fd = p->hand.fd };

	return p->hand.fd < 0 || poll(&conn, 1, 0) != 0;
}

struct rtpod *
rtahead_take(struct rt *rt, const struct rt_pod *of)
{
	if (!fits(of))
		return NULL;
	for (size_t i = 0; i < rt->nahead; i++) {
		struct rtpod *p = rt->ahead[i];

		if (!p->greeted || is_gone(p))
			continue;
		take_out(rt, i);
		p->ahead = false;
		rt_copy(p->uid, sizeof(p->uid), of->uid);
		map_put(&rt->pods, p->uid, p);
		return p;
	}
	return NULL;
}

bool
rtahead_lost(struct rt *rt, struct rtpod *p)
{
	for (size_t i = 0; i < rt->nahead; i++)
		if (rt->ahead[i] == p) {
			take_out(rt, i);
			map_put(&rt->pods, p->uid, p);
			return true;
		}
	return false;
}

void
rtahead_end(struct rt *rt, const char *image)
{
	for (size_t i = rt->nahead; i-- > 0;) {
		struct rtpod *p = rt->ahead[i];
		const char *of = p->ahead_image;

		if (image && (!of || strcmp(of, image)))
			continue;
		rtahead_lost(rt, p);
		rtpod_begin_removal(rt, p);
	}
}

void
rtahead_free(struct rt *rt)
{
	while (rt->nahead) {
		struct rtpod *p = rt->ahead[0];

		rtahead_lost(rt, p);
		rt_pod_free(rt, p);
	}
}

/* ---- making ---- */

static int
steps_write(struct rt *rt, struct rtpod *p, int dir, struct error **e)
{
	const struct image *img = rt->cfg.images && rt->ahead_image
				      ? image_find(rt->cfg.images, rt->ahead_image)
				      : NULL;
	struct buf cleanup_buf ops = { 0 };

	rtops_compile_ahead(rt, &p->spec, img, &ops);
	p->ahead_image = img ? xstrdup(img->id) : NULL;
	return poddir_write(dir, W_AHEAD_OPS ".ops", ops.at, ops.len, e);
}

static int
make(struct rt *rt, struct rtpod *p, struct users_set *set, struct error **e)
{
	const struct cgroup_limits none = { 0 };
	cleanup_close int dir = -1;

	if (poddir_make_ahead(rt, &p->spec, &dir, e) < 0 ||
	    cgroup_make(&rt->cgroups, p->uid, NULL, &none, e) < 0 ||
	    cgroup_make(&rt->cgroups, p->uid, W_AHEAD_FIRST, &none, e) < 0 ||
	    steps_write(rt, p, dir, e) < 0)
		return -1;
	return rtpod_launch(rt, p, dir, set, e);
}

int
rt_ahead(struct rt *rt)
{
	unsigned most = rt->cfg.warm_pods < RT_AHEAD ? rt->cfg.warm_pods : RT_AHEAD;
	cleanup_error struct error *e = NULL;
	struct users_making making;
	struct users_set set = { 0 };
	struct rtpod *p;
	char name[W_NAME];
	int r = -1;

	if (!rt->users.able || rt->nahead >= most || users_begin(rt, &making, NULL) < 0)
		return -1;
	if (!rt->ahead_life)
		rt->ahead_life = (uint64_t)monotonic_ms();
	snprintf(name, sizeof(name), RT_AHEAD_NAME "%llx-%u",
		 (unsigned long long)rt->ahead_life, rt->ahead_made++);
	p = rtpod_alloc(name);
	p->ahead = true;
	p->spec = (struct rt_pod){ .uid = arena_strdup(&p->arena, name),
				   .ns = "",
				   .name = NO_NAME,
				   .hostname = "",
				   .group = arena_strdup(&p->arena, name),
				   .user_base = making.set.base };
	rt->ahead[rt->nahead++] = p;
	if (users_made(&making, &set, &e) == 0)
		r = make(rt, p, &set, &e);
	users_end(&making);
	if (r == 0)
		r = steal_fd(&set.fds[USERS_NET]);
	users_set_close(&set);
	if (r >= 0) {
		rt->said_ahead = false;
		return r;
	}
	if (!rt->said_ahead)
		log_warn("runtime", "no sandbox could be made ahead of its pod: %s",
			 error_text(e));
	rt->said_ahead = true;
	rtahead_lost(rt, p);
	rtpod_begin_removal(rt, p);
	return -1;
}

unsigned
rt_ahead_ready(const struct rt *rt)
{
	unsigned n = 0;

	for (size_t i = 0; i < rt->nahead; i++)
		n += rt->ahead[i]->greeted;
	return n;
}

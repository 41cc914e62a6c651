/* told.c -- what a pod's kedge-init cannot find out by itself, told by the caller.
 *
 * A word about one run of a container means nothing when that run is over; a container
 * that is added stays in the spec on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

static int
tell_run(struct rt *rt, const char *uid, const char *container, int64_t started_at,
	 struct w_msg m, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	const struct w_status *said;
	size_t i;

	if (!p || rtpod_container(p, container, &i, e) < 0)
		return -1;
	said = &p->c[i].said;
	if (said->state != W_RUNNING || said->now.started_at != started_at)
		return 0;
	m.container = (uint32_t)i;
	m.id = said->restarts;
	return rtpod_tell(p, &m, NULL, 0, NULL, e);
}

int
rt_container_started(struct rt *rt, const char *uid, const char *container, int64_t started_at,
		     struct error **e)
{
	return tell_run(rt, uid, container, started_at, (struct w_msg){ .type = W_STARTED }, e);
}

int
rt_container_hooked(struct rt *rt, const char *uid, const char *container, int64_t started_at,
		    enum rt_hook_name hook, bool failed, struct error **e)
{
	return tell_run(rt, uid, container, started_at,
			(struct w_msg){ .type = W_HOOKED, .flags = hook, .arg = failed }, e);
}

/* The pod's spec with these containers: on disk first, for a hand that dies before kedge-init
 * heard of it tells it later. */
static int
spec_change(struct rt *rt, struct rtpod *p, const struct rt_container *all, size_t n,
	    struct error **e)
{
	struct rt_pod spec = p->spec;
	struct buf cleanup_buf bytes = { 0 };
	cleanup_close int dir = -1;
	struct arena trial = { 0 };
	int r;

	spec.containers = all;
	spec.ncontainers = n;
	if (podspec_check(&spec, e) < 0 || rtallow_check(rt, &spec, e) < 0)
		return -1;
	podspec_pack(&spec, &bytes);
	/* What could not be read again would end the pod at the next start. */
	r = podspec_unpack(&trial, bytes.at, bytes.len, &spec, e);
	arena_free(&trial);
	if (r < 0)
		return -1;
	dir = rtpod_dir(rt, p->uid);
	if (dir < 0)
		return fail_sys(e, "open the folder of pod %s", p->uid);
	if (poddir_write(dir, "spec", bytes.at, bytes.len, e) < 0 ||
	    podspec_unpack(&p->arena, bytes.at, bytes.len, &p->spec, e) < 0)
		return -1;
	return 0;
}

enum { RENEW_RETRY_MS = 10000 };

int
rt_container_renew(struct rt *rt, const char *uid, const struct rt_container *c,
		   struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	cleanup_free struct rt_container *all = NULL;
	cleanup_error struct error *why = NULL;
	size_t i;

	if (!p || rtpod_container(p, c->name, &i, e) < 0)
		return -1;
	if (!p->spec.containers[i].hold || p->state == RT_POD_STOPPING)
		return 0;
	if (c->hold) /* once and for all: each change of a spec stays in memory */
		return fail(e, WHY_INVALID, "container %s is renewed to be held again",
			    c->name);
	all = xcalloc(p->spec.ncontainers, sizeof(*all));
	memcpy(all, p->spec.containers, p->spec.ncontainers * sizeof(*all));
	all[i] = *c;
	all[i].role = p->spec.containers[i].role; /* kedge-init knows these already */
	all[i].restart = p->spec.containers[i].restart;
	all[i].tty = p->spec.containers[i].tty;
	all[i].pids = p->spec.containers[i].pids;
	if (spec_change(rt, p, all, p->spec.ncontainers, &why) < 0) {
		p->c[i].reason = "CreateContainerError";
		free(p->c[i].message);
		p->c[i].message = xstrdup(error_text(why));
		p->c[i].image_retry = monotonic_ms() + RENEW_RETRY_MS;
		rt_changed(rt, p);
		return fail(e, WHY_INVALID, "%s", error_text(why));
	}
	if (p->run)
		rtpod_start_containers(rt, p);
	rt_changed(rt, p);
	return 0;
}

int
rt_container_add(struct rt *rt, const char *uid, const struct rt_container *c, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	cleanup_free struct rt_container *all = NULL;
	size_t n, i;

	if (!p)
		return -1;
	n = p->spec.ncontainers;
	if (rtpod_container(p, c->name, &i, NULL) == 0)
		return 0;
	if (p->state != RT_POD_UP)
		return fail(e, WHY_CONFLICT, "pod %s does not run", p->spec.name);
	all = xcalloc(n + 1, sizeof(*all));
	memcpy(all, p->spec.containers, n * sizeof(*all));
	all[n] = *c;
	all[n].role = RT_EPHEMERAL;
	all[n].restart = RT_NEVER;
	if (!all[n].pids)
		all[n].pids = rt->cfg.max_pids;
	if (spec_change(rt, p, all, n + 1, e) < 0)
		return -1;
	rtpod_start_containers(rt, p);
	rt_changed(rt, p);
	return 0;
}

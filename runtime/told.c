/* told.c -- what a pod's kedge-init cannot find out by itself, told by the caller.
 *
 * Each word is about one run of a container; when that is over it means nothing.
 */
#include <string.h>

#include "reconcile/base/error.h"
#include "runtime/rt.h"

static int
tell_run(struct rt *rt, const char *uid, const char *container, int64_t started_at,
	 struct w_msg m, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	const struct w_status *said;
	size_t i = 0;

	if (!p)
		return -1;
	while (i < p->spec.ncontainers && strcmp(p->spec.containers[i].name, container))
		i++;
	if (i == p->spec.ncontainers)
		return fail(e, WHY_NOT_FOUND, "pod %s has no container %s", uid, container);
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

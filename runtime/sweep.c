/* sweep.c -- the writable layer of a run goes when the next one has begun.
 *
 * kedge-init leaves them, for removing a tree takes time and it has a pod to
 * look after; a hand that was away finds them when it is back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "reconcile/base/cleanup.h"
#include "runtime/rt.h"

void
rtsweep(struct rt *rt, int dir, const char *name)
{
	const int dirs[2] = { dir, -1 };
	struct rt_source *s;
	int pidfd;

	if (launch_remover(rt, dirs, name, &pidfd, NULL) < 0)
		return;
	s = xcalloc(1, sizeof(*s));
	s->kind = RT_SRC_SWEEPER;
	if (rt_watch_child(rt, s, pidfd, NULL) < 0)
		free(s);
}

/* The run before this one is over and its mount namespace with it, once this one runs. */
void
rtpod_sweep(struct rt *rt, struct rtpod *p, size_t container)
{
	struct cont *c = &p->c[container];
	cleanup_free char *path = NULL;
	cleanup_close int dir = -1;

	if (c->said.state != W_RUNNING || c->swept >= c->said.restarts)
		return;
	xasprintf(&path, "%s/pods/%s", rt->cfg.state_dir, p->uid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* not without bound at once: what is left is for the next run's turn */
	for (int n = 0; dir >= 0 && c->swept < c->said.restarts && n < 8; c->swept++) {
		char name[W_NAME + 16];

		snprintf(name, sizeof(name), "%s.%d", p->spec.containers[container].name,
			 c->swept);
		if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		rtsweep(rt, dir, name); /* else the whole pod's removal takes it too */
		n++;
	}
}

void
rtpod_swept(struct rt *rt, struct rt_source *s)
{
	waitid(P_PIDFD, (id_t)s->fd, &(siginfo_t){ 0 }, WEXITED | WNOHANG | __WALL);
	rt_unwatch(rt, s);
	free(s);
}

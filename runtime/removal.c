/* removal.c -- a pod that goes: its kedge-init, then cgroups, mounts, directories.
 *
 * Each step can be taken again by whoever finds the rest, so a crash between two leaves nothing
 * that the next rt_open does not finish.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/rt.h"

enum {
	RETRY_MS = 5,
	INIT_DEATH_MS = 2000,
	REMOVER_LOOK_MS = 1000 /* its end comes by its pidfd, but who knows */
};

void
rtpod_begin_removal(struct rt *rt, struct rtpod *p)
{
	if (p->remove_at)
		return;
	rt->removing++;
	p->state = RT_POD_STOPPING;
	p->remove_at = p->kill_at = monotonic_ms();
	p->call_at = 0;
	rt_changed(rt, p);
	rtpod_go_on(rt, p);
}

/* Whatever ran in it died with it: the kernel ends a pid namespace with its first process. */
void
rtpod_init_died(struct rt *rt, struct rtpod *p)
{
	bool expected = p->remove_at != 0, ahead = rtahead_lost(rt, p);

	if (p->unheard && !p->greeted) {
		rtpod_lost_unheard(rt, p);
		return;
	}
	p->unheard = false; /* what was heard of it holds */
	p->call_at = 0;
	rtpod_heard(rt, p); /* what it still said */
	waitid(P_PIDFD, (id_t)p->init.fd, &(siginfo_t){ 0 }, WEXITED | WNOHANG | __WALL);
	rt_unwatch(rt, &p->init);
	rt_unwatch(rt, &p->hand);
	rtjob_pod_lost(rt, p->uid, "the pod is gone");
	if (ahead)
		rt->lost_ahead = true;
	else if (!expected)
		log_warn("runtime",
			 "pod %s_%s: its kedge-init died, and all of the pod with it",
			 p->spec.ns, p->spec.name);
	for (size_t i = 0; i < p->spec.ncontainers; i++) {
		struct cont *c = &p->c[i];

		c->pid = 0;
		if (c->said.state != W_RUNNING)
			continue;
		c->said.state = W_TERMINATED;
		c->said.now.exit_code = 137;
		c->said.now.signal = SIGKILL;
		c->said.now.finished_at = (int64_t)time(NULL) * 1000;
	}
	p->init_pid = 0;
	rt_changed(rt, p);
	if (!expected)
		rtpod_begin_removal(rt, p);
	else
		rtpod_go_on(rt, p);
}

static int
open_pods(const char *dir)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/pods", dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
remover_start(struct rt *rt, struct rtpod *p)
{
	int dirs[2] = { open_pods(rt->cfg.state_dir), open_pods(rt->cfg.run_dir) }, pidfd = -1;
	cleanup_error struct error *e = NULL;

	volumes_unmount(rt, p->uid);
	if (dirs[0] < 0 || dirs[1] < 0 || launch_remover(rt, dirs, p->uid, &pidfd, &e) < 0 ||
	    rt_watch_child(rt, &p->remover, pidfd, &e) < 0) {
		log_warn("runtime", "pod %s: its directories could not be removed now: %s",
			 p->uid, error_text(e));
		p->remove_at = monotonic_ms() + 1000;
	}
	for (int i = 0; i < 2; i++)
		if (dirs[i] >= 0)
			close(dirs[i]);
}

static void
next_step(struct rt *rt, struct rtpod *p)
{
	if (p->init.fd >= 0 && poll(&(struct pollfd){ p->init.fd, POLLIN, 0 }, 1, 0) == 1) {
		rtpod_init_died(rt, p); /* also when it could not be watched */
		return;
	}
	if (p->init.fd >= 0) {
		/* All namespaces, and with them every process of the pod, end here. */
		if (p->kill_at <= monotonic_ms()) {
			syscall(SYS_pidfd_send_signal, p->init.fd, SIGKILL, NULL, 0);
			p->kill_at = monotonic_ms() + INIT_DEATH_MS;
		}
		p->remove_at = p->kill_at;
		return;
	}
	if (p->remover.fd >= 0) { /* its end goes on from here */
		p->remove_at = monotonic_ms() + REMOVER_LOOK_MS;
		return;
	}
	if (cgroup_remove(&rt->cgroups, rt_group(&p->spec)) != 0) {
		p->remove_at = monotonic_ms() + RETRY_MS;
		return;
	}
	if (!p->dirs_gone) {
		p->remove_at = monotonic_ms() + REMOVER_LOOK_MS;
		remover_start(rt, p);
		return;
	}
	p->state = RT_POD_GONE;
	p->remove_at = 0;
	rt->removing--;
	if (rt->memory_kept)
		rt_memory_keep(rt);
	rt_changed(rt, p);
}

bool
rtpod_removal_go_on(struct rt *rt, struct rtpod *p)
{
	int64_t now = monotonic_ms();

	if (p->remover.fd >= 0) {
		siginfo_t si = { 0 };

		if (waitid(P_PIDFD, (id_t)p->remover.fd, &si, WEXITED | WNOHANG | __WALL) ==
			0 &&
		    si.si_pid == 0) {
			p->remove_at = now + REMOVER_LOOK_MS;
			return true;
		}
		rt_unwatch(rt, &p->remover);
		p->dirs_gone = true;
		if (si.si_status)
			log_warn("runtime",
				 "pod %s: something of its directories could not be removed",
				 p->uid);
	}
	if (p->remove_at) {
		if (p->remove_at <= now || p->init.fd < 0)
			next_step(rt, p);
		return true;
	}
	return false;
}

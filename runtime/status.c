/* status.c -- what kedge-init said, in the words Kubernetes has for it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "runtime/rt.h"

static const char *
reason_of(const struct w_run *r)
{
	if (r->end == W_END_CANNOT_RUN)
		return "ContainerCannotRun";
	if (r->end == W_END_START_ERROR)
		return "StartError";
	if (r->oom)
		return "OOMKilled";
	return r->exit_code == 0 ? "Completed" : "Error";
}

static struct rt_run
run_view(struct arena *a, const struct w_run *r, const char *text)
{
	bool over = r->finished_at != 0;

	return (struct rt_run){ .exit_code = r->exit_code,
				.signal = r->signal,
				.oom = r->oom,
				.hooks_failed = r->hooks_failed,
				.started_at = r->started_at,
				.finished_at = r->finished_at,
				.reason = over ? reason_of(r) : "",
				.message = text ? arena_strdup(a, text) : "" };
}

/* As Go prints it: "10s", "1m20s", "5m0s". */
static const char *
duration(struct arena *a, int s)
{
	return s < 60 ? arena_printf(a, "%ds", s) : arena_printf(a, "%dm%ds", s / 60, s % 60);
}

/* Those in the middle are counted from the nearer end, as the shell's kill does. */
static const char *
signal_name(struct arena *a, int n)
{
	const char *name = n > 0 && n < 32 ? sigabbrev_np(n) : NULL;

	if (name)
		return arena_printf(a, "SIG%s", name);
	if (n == SIGRTMIN || n == SIGRTMAX)
		return n == SIGRTMIN ? "SIGRTMIN" : "SIGRTMAX";
	if (n > SIGRTMIN && n < SIGRTMAX)
		return n - SIGRTMIN <= SIGRTMAX - n
			   ? arena_printf(a, "SIGRTMIN+%d", n - SIGRTMIN)
			   : arena_printf(a, "SIGRTMAX-%d", SIGRTMAX - n);
	return "SIGTERM";
}

static struct rt_container_status
container_view(struct arena *a, const struct rtpod *p, size_t i)
{
	const struct cont *c = &p->c[i];
	const struct w_status *said = &c->said;
	const char *name = p->spec.containers[i].name;
	struct rt_container_status s = {
		.name = name,
		.image_id = c->image_id ? c->image_id : "",
		.image = p->spec.containers[i].image,
		.image_next = c->next_image_id,
		.refused_image = c->refused_image ? c->refused_image : "",
		.refused_why = c->refused_why ? arena_strdup(a, c->refused_why) : "",
		.state = (enum rt_state)said->state,
		.reason = "",
		.message = "",
		.restarts = said->restarts,
		.started = said->head.flags & W_FLAG_STARTED,
		.hook = (enum rt_hook_name)(said->head.flags >> W_FLAG_HOOK & 3),
		.now = run_view(a, &said->now, c->text),
		.last = run_view(a, &said->last, c->last_text),
		.pid = c->pid,
		.cpu_milli = p->spec.containers[i].cpu_milli,
		.cpu_shares = p->spec.containers[i].cpu_shares,
		.memory = p->spec.containers[i].memory,
		.memory_min = p->spec.containers[i].memory_min,
		.env_version = c->refused_version ? c->refused_version
			       : p->spec.containers[i].env_version
				   ? p->spec.containers[i].env_version
				   : "",
	};

	if (c->as) {
		s.has_run = true;
		s.uid = c->as->uid;
		s.gid = c->as->gid;
		s.groups = c->as->groups;
		s.ngroups = c->as->ngroups;
		s.stop_signal = signal_name(a, c->as->stop_signal);
	}
	if (s.state != RT_WAITING)
		return s;
	s.held = p->spec.containers[i].hold && !c->message;
	if (s.held) {
		s.reason = "CreateContainerConfigError";
	} else if (c->reason) {
		s.reason = c->reason;
		s.message = c->message ? arena_strdup(a, c->message) : "";
		s.lacks_image = c->lacks_image;
	} else if (said->backoff_until) {
		s.backoff_until = said->backoff_until;
		s.reason = "CrashLoopBackOff";
		s.message = arena_printf(
		    a, "back-off %s restarting failed container=%s pod=%s_%s(%s)",
		    duration(a, said->backoff_s), name, p->spec.name, p->spec.ns, p->uid);
	} else {
		s.reason = "ContainerCreating";
	}
	return s;
}

/* As one that waits for good. */
static struct rt_container_status
refusal_view(const struct rt_refusal *r)
{
	return (struct rt_container_status){ .name = r->name,
					     .image_id = "",
					     .image = "",
					     .refused_image = "",
					     .refused_why = "",
					     .state = RT_WAITING,
					     .reason = "CreateContainerConfigError",
					     .message = r->why,
					     .env_version = "",
					     .now = { .reason = "", .message = "" },
					     .last = { .reason = "", .message = "" } };
}

int
rt_pod_process(struct rt *rt, const char *uid)
{
	const struct rtpod *p = map_get(&rt->pods, uid);
	cleanup_close int dir = -1;
	char path[64];

	if (!p || p->init_pid <= 0 || p->init.fd < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d", (int)p->init_pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* It has its number still, so the folder that was opened is its own. */
	if (dir < 0 || syscall(SYS_pidfd_send_signal, p->init.fd, 0, NULL, 0) < 0)
		return -1;
	return steal_fd(&dir);
}

const struct rt_pod_status *
rt_pod_status(struct rt *rt, const char *uid)
{
	struct rtpod *p = map_get(&rt->pods, uid);
	struct rt_container_status *c;

	if (!p)
		return NULL;
	arena_free(&p->view);
	c = arena_zalloc(&p->view, (p->spec.ncontainers + p->nrefused + 1) * sizeof(*c));
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		c[i] = container_view(&p->view, p, i);
	for (size_t i = 0; i < p->nrefused; i++)
		c[p->spec.ncontainers + i] = refusal_view(&p->refused[i]);
	p->status = (struct rt_pod_status){ .uid = p->uid,
					    .ns = p->spec.ns,
					    .name = p->spec.name,
					    .ip = p->spec.ip,
					    .state = p->state,
					    .init_pid = p->init_pid,
					    .over = p->over,
					    .containers = c,
					    .ncontainers = p->spec.ncontainers + p->nrefused };
	return &p->status;
}

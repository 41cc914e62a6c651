/* adopt.c -- finds the pods of an earlier life.
 *
 * A pod is alive when something listens on its init.sock; the kernel says which
 * process that is, and that process says when it started, which must be what
 * the kernel says of it too.  A bare pid is never believed.  Of what does not
 * live the exits are read, then it is removed like any other pod.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/rt.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum { ANSWER_MS = 3000 };

static int64_t
start_time_of(pid_t pid)
{
	char path[64], text[1024];
	cleanup_close int fd = -1;
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int spaces = 0; at && spaces < 20; spaces++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) : -1;
}

static int
call(int dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_close int fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/init.sock", dir);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return steal_fd(&fd);
}

/* The listener's pidfd; its pid by what the kernel noted at listen(). */
static int
peer(int conn, pid_t *ret_pid)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	int pidfd = -1;

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != 0 ||
	    who.pid <= 0)
		return -1;
	len = sizeof(pidfd);
	if (getsockopt(conn, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0) /* before Linux 6.5 */
		pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (pidfd >= 0)
		*ret_pid = who.pid;
	return pidfd;
}

/* Its first word is when it started. */
static bool
hello(int conn, int64_t start)
{
	struct pollfd p = { .fd = conn, .events = POLLIN };
	struct w_msg m;

	if (poll(&p, 1, ANSWER_MS) != 1 ||
	    recv(conn, &m, sizeof(m), MSG_PEEK | MSG_DONTWAIT) != (ssize_t)sizeof(m))
		return false;
	return m.type == W_HELLO && m.arg == start;
}

/* false with errno 0: there is one, but it is damaged */
static bool
spec_load(struct rtpod *p, int dir)
{
	struct buf cleanup_buf bytes = { 0 };
	bool ok;

	if (poddir_read(dir, "spec", &bytes, NULL) < 0)
		return false; /* errno says why */
	ok = podspec_unpack(&p->arena, buf_text(&bytes), bytes.len, &p->spec, NULL) == 0 &&
	     podspec_check(&p->spec, NULL) == 0 && strcmp(p->spec.uid, p->uid) == 0;
	errno = 0;
	return ok;
}

/* What is compiled, and of which image. */
static void
ops_look(const struct rt *rt, struct rtpod *p)
{
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		p->c[i].compiled = rtpod_image_look(rt, p, i);
}

/* The last exit of each container, from the records of a kedge-init that is no more. */
static void
exits_read(struct rtpod *p, int dir)
{
	struct buf cleanup_buf bytes = { 0 };
	struct w_exit x;

	for (size_t i = 0; i < p->spec.ncontainers; i++) {
		struct w_run *now = &p->c[i].said.now;

		if (!p->c[i].compiled)
			continue;
		p->c[i].said.state = W_TERMINATED;
		p->c[i].said.began = 1;
		now->exit_code =
		    137; /* the run that its kedge-init took along, if there was one */
		now->signal = 9;
		now->finished_at = (int64_t)time(NULL) * 1000;
	}
	if (poddir_read(dir, "exits", &bytes, NULL) < 0)
		return;
	for (size_t at = 0; at + sizeof(x) <= bytes.len; at += sizeof(x)) {
		uint32_t words[sizeof(x) / 4], sum = 0;
		struct w_status *s;

		memcpy(&x, bytes.at + at, sizeof(x));
		memcpy(words, &x, sizeof(x));
		for (size_t i = 0; i + 1 < sizeof(x) / 4; i++)
			sum ^= words[i];
		if (sum != x.sum || x.container >= p->spec.ncontainers)
			continue;
		s = &p->c[x.container].said;
		s->restarts = (int32_t)x.run;
		s->last = (struct w_run){ .exit_code = x.exit_code,
					  .signal = x.signal,
					  .finished_at = x.finished_at,
					  .oom = (uint8_t)x.oom };
		if (p->spec.containers[x.container].restart == RT_NEVER ||
		    (p->spec.containers[x.container].restart == RT_ON_FAILURE &&
		     x.exit_code == 0)) {
			s->now = s->last; /* there was no run after it */
			s->last = (struct w_run){ 0 };
		}
	}
}

/* Compiled ahead is not begun: behind an init container without a good end nothing was. */
static void
forget_waiting(struct rtpod *p)
{
	bool through = true;

	for (size_t i = 0; i < p->spec.ncontainers; i++) {
		struct w_status *s = &p->c[i].said;

		if (!through)
			*s = (struct w_status){ .began = s->began };
		else if (p->spec.containers[i].role == RT_INIT)
			through = s->state == W_TERMINATED && s->now.exit_code == 0;
	}
}

static bool
all_heard(const struct rtpod *p)
{
	for (size_t i = 0; i < p->spec.ncontainers && i < p->nknown; i++)
		if (!p->c[i].heard)
			return false;
	return p->nknown > 0;
}

/* Takes in all that it says of itself at the start: hello and each container. */
static void
statuses_wait(struct rt *rt, struct rtpod *p)
{
	int64_t until = monotonic_ms() + ANSWER_MS;

	while (p->hand.fd >= 0 && !all_heard(p) && monotonic_ms() < until) {
		struct pollfd fd = { .fd = p->hand.fd, .events = POLLIN };

		poll(&fd, 1, ANSWER_MS);
		rtpod_heard(rt, p);
	}
}

/* 1: it lives and is ours; 0: it does not live; -1: we could not find out. */
static int
adopt_living(struct rt *rt, struct rtpod *p, int dir, struct error **e)
{
	cleanup_close int conn = call(dir), pidfd = -1;
	int64_t start;
	pid_t pid = 0;

	if (conn < 0)
		return errno == ECONNREFUSED || errno == ENOENT
			   ? 0
			   : fail_sys(e, "ask whether pod %s lives", p->uid);
	pidfd = peer(conn, &pid);
	start = pidfd < 0 ? -1 : start_time_of(pid);
	if (pidfd >= 0 && start < 0 && kill(pid, 0) == 0)
		return fail_sys(e, "ask when pod %s began", p->uid);
	if (pidfd < 0 || !hello(conn, start)) {
		log_warn("runtime", "pod %s: who answers on its socket is not its kedge-init",
			 p->uid);
		return 0;
	}
	p->init_pid = pid;
	if (rt_watch(rt, &p->init, steal_fd(&pidfd), e) < 0 ||
	    rt_watch(rt, &p->hand, steal_fd(&conn), e) < 0)
		return -1;
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (p->c[i].compiled && p->spec.containers[i].hold)
			rtpod_tell_hold(p, i);
	p->state = RT_POD_STARTING;
	p->run = faccessat(dir, "run", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	statuses_wait(rt, p);
	/* Made, and the last hand ended before it was plugged in: it is made anew. */
	if (p->gated || (!p->run && p->state == RT_POD_STARTING && all_heard(p))) {
		for (size_t i = 0; i < p->spec.ncontainers; i++)
			p->c[i].compiled = false; /* nothing of it ran */
		return 0;
	}
	if (p->run && p->state == RT_POD_STARTING) {
		p->state = RT_POD_UP;
		disk_watch(rt, p);
		rtpod_start_containers(rt, p); /* those that the last hand did not come to */
		for (size_t i = 0; i < p->spec.ncontainers; i++)
			if (p->c[i].next_image_id)
				rtpod_tell_other(p, i);
	}
	return 1;
}

/* -1 when we could not look: then nothing is ended that may be alive. */
static int
adopt_one(struct rt *rt, int pods, const char *uid, struct error **e)
{
	cleanup_close int dir = -1;
	struct rtpod *p;
	bool known;
	int rc;

	if (!podspec_name_ok(uid))
		return 0;
	dir = openat(pods, uid, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			   ? 0
			   : fail_sys(e, "open the directory of pod %s", uid);
	p = rtpod_new(rt, uid);
	known = spec_load(p, dir);
	if (!known && errno && errno != ENOENT)
		return fail_sys(e, "read the spec of pod %s", uid);
	if (!known)
		p->spec = (struct rt_pod){ .uid = p->uid, .ns = "", .name = "" };
	ops_look(rt, p);
	rc = known ? adopt_living(rt, p, dir, e) : 0;
	if (rc)
		return rc < 0 ? -1 : 0;
	if (known) {
		exits_read(p, dir);
		forget_waiting(p);
	}
	rtpod_begin_removal(rt, p);
	return 0;
}

struct leftovers {
	struct rt *rt;
	char **uids;
	size_t n;
};

/* Of a pod that is here, under another name. */
static bool
is_group(const struct rt *rt, const char *name)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s))
		if (strcmp(rt_group(&((struct rtpod *)s->value)->spec), name) == 0)
			return true;
	return false;
}

static void
leftover(void *ctx, const char *uid)
{
	struct leftovers *l = ctx;

	if (map_get(&l->rt->pods, uid) || !podspec_name_ok(uid) || is_group(l->rt, uid))
		return;
	l->uids = xrealloc(l->uids, (l->n + 1) * sizeof(*l->uids));
	l->uids[l->n++] = xstrdup(uid);
}

/* Writable layers and groups without a pod: the machine was booted anew, or a
 * crash came between two steps of a removal. */
static void
sweep(struct rt *rt, int state_pods)
{
	struct leftovers l = { .rt = rt };
	cleanup_closedir DIR *d = poddir_list(state_pods);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		leftover(&l, ent->d_name);
	cgroup_each(&rt->cgroups, leftover, &l);
	for (size_t i = 0; i < l.n; i++) {
		if (!map_get(&rt->pods, l.uids[i]))
			rtpod_leftover(rt, l.uids[i]);
		free(l.uids[i]);
	}
	free(l.uids);
}

int
rtpod_adopt_all(struct rt *rt, struct error **e)
{
	cleanup_free char *run = NULL, *state = NULL;
	cleanup_close int run_fd = -1, state_fd = -1;
	cleanup_closedir DIR *d = NULL;
	struct dirent *ent;

	xasprintf(&run, "%s/pods", rt->cfg.run_dir);
	xasprintf(&state, "%s/pods", rt->cfg.state_dir);
	run_fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run_fd < 0 || state_fd < 0)
		return fail_sys(e, "open %s", run_fd < 0 ? run : state);
	d = poddir_list(run_fd);
	/* whoever is not found here is swept away below */
	while (d && (errno = 0, ent = readdir(d)))
		if (ent->d_name[0] != '.' && adopt_one(rt, run_fd, ent->d_name, e) < 0)
			return -1;
	if (!d || errno)
		return fail_sys(e, "list %s", run);
	sweep(rt, state_fd);
	return 0;
}

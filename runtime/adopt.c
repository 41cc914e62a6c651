/* adopt.c -- finds the pods of an earlier life.
 *
 * A pod is alive when something listens on its init.sock; the kernel says which
 * process that is, and that process says when it started, which must be what
 * the kernel says of it too.  A bare pid is never believed.  Of what does not
 * live the exits are read, then it is removed like any other pod.
 *
 * Who listens, is of the pod's own group and says nothing (its disk hangs, it is stopped) is
 * not believed either, nor ended: such a pod is unheard until it answers, closes or dies.
 *
 * A connection that is lost later, while both live, is made anew in the same way: either side
 * may lack the memory for a message.  The pod goes on by itself until then.
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

/* ANSWER: for all pods together; after that each has LEAST. */
enum { ANSWER_MS = 3000, LEAST_MS = 20, CALL_AGAIN_MS = 1000, LEAST_GRACE = 2 /* s */ };

/* Who listens on a pod's socket. */
struct peer {
	int conn, pidfd; /* conn -1: its queue is full, and nothing else is known */
	pid_t pid;
	int64_t start;
};

enum answer { NONE, RIGHT, WRONG, CLOSED };

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

static void
peer_close(struct peer *who)
{
	if (who->conn >= 0)
		close(who->conn);
	if (who->pidfd >= 0)
		close(who->pidfd);
}

static bool
has_ended(int pidfd)
{
	return poll(&(struct pollfd){ pidfd, POLLIN, 0 }, 1, 0) == 1;
}

/* The listener, by what the kernel noted at listen().  0: it is no more, or another user's;
 * -1: the kernel did not say. */
static int
peer_of(int conn, struct peer *ret)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -1;
	if (who.uid != 0 || who.pid <= 0)
		return 0;
	ret->pid = who.pid;
	len = sizeof(ret->pidfd);
	if (getsockopt(conn, SOL_SOCKET, SO_PEERPIDFD, &ret->pidfd, &len) < 0)
		ret->pidfd = errno == ENOPROTOOPT /* before Linux 6.5 */
				 ? (int)syscall(SYS_pidfd_open, who.pid, 0)
				 : -1;
	if (ret->pidfd < 0)
		return errno == ESRCH || errno == EINVAL || errno == ENODATA ? 0 : -1;
	ret->start = start_time_of(who.pid);
	if (has_ended(ret->pidfd)) /* the number may be another's by now */
		return 0;
	return ret->start < 0 ? -1 : 1;
}

/* 1: who listens there; 0: nobody that is the pod's; -1: we could not find out. */
static int
reach(int dir, struct peer *ret)
{
	int r, err;

	*ret = (struct peer){ .conn = call(dir), .pidfd = -1 };
	if (ret->conn < 0)
		return errno == EAGAIN ? 1 : errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
	r = peer_of(ret->conn, ret);
	if (r > 0)
		return 1;
	err = errno;
	peer_close(ret);
	*ret = (struct peer){ -1, -1, 0, -1 };
	errno = err;
	return r;
}

/* Its first word is when it started. */
static enum answer
hello(int conn, int64_t start, int ms)
{
	struct pollfd p = { .fd = conn, .events = POLLIN };
	struct w_msg m;
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return NONE;
	n = recv(conn, &m, sizeof(m), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return NONE;
	if (n <= 0)
		return CLOSED;
	return n == (ssize_t)sizeof(m) && m.type == W_HELLO && m.arg == start ? RIGHT : WRONG;
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

/* Seconds; -1: nobody of this life asked it to stop.  Whoever had a grace has a little of it
 * from when it hears of it. */
static int
grace_left(const struct rtpod *p)
{
	int64_t left = (p->stop_by - monotonic_ms() + 999) / 1000;
	int64_t least = p->stop_grace < LEAST_GRACE ? p->stop_grace : LEAST_GRACE;

	return !p->stop_by ? -1 : (int)(left > least ? left : least);
}

/* It answered, and is told what it may have missed: once it is known how far it is, to hear
 * that twice changes nothing.  false: it is to be made anew. */
static bool
take(struct rt *rt, struct rtpod *p, int dir)
{
	bool stopping = p->state == RT_POD_STOPPING;

	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (p->c[i].compiled)
			rtpod_tell_hold(p, i);
	if (!stopping)
		p->state = RT_POD_STARTING;
	p->run |= faccessat(dir, "run", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	statuses_wait(rt, p);
	/* Made, and the last hand ended before it was plugged in: it is made anew. */
	if (p->gated || (!p->run && p->state == RT_POD_STARTING && all_heard(p))) {
		for (size_t i = 0; i < p->spec.ncontainers; i++)
			p->c[i].compiled = false; /* nothing of it ran */
		return false;
	}
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (p->c[i].hooked.type)
			rtpod_tell(p, &p->c[i].hooked, NULL, 0, NULL, NULL);
	if (stopping) /* it may have been told on a connection that was lost */
		rt_pod_stop(rt, p->uid, grace_left(p), NULL);
	if (p->run && p->state == RT_POD_STARTING) {
		p->state = RT_POD_UP;
		disk_watch(rt, p);
		rtpod_start_containers(rt, p);
		for (size_t i = 0; i < p->spec.ncontainers; i++)
			if (p->c[i].next_image_id)
				rtpod_tell_other(p, i);
	}
	return true;
}

/* ---- who does not answer ---- */

/* Of the pod's own group is nobody whom kedge did not put there; -1: we could not look. */
static int
is_its_own(const struct rt *rt, const struct rtpod *p, const struct peer *who)
{
	return who->conn < 0 ? 1 : cgroup_has(&rt->cgroups, rt_group(&p->spec), who->pid);
}

static int
peer_watch(struct rt *rt, struct rtpod *p, struct peer *who, struct error **e)
{
	if (p->init.fd < 0 && who->pidfd >= 0) {
		p->init_pid = who->pid;
		p->born = who->start;
		if (rt_watch(rt, &p->init, steal_fd(&who->pidfd), e) < 0)
			return -1;
	}
	return who->conn < 0 ? 0 : rt_watch(rt, &p->hand, steal_fd(&who->conn), e);
}

static void
call_later(struct rtpod *p)
{
	p->call_at = monotonic_ms() + CALL_AGAIN_MS;
}

static void
hang_up(struct rt *rt, struct rtpod *p)
{
	rt_unwatch(rt, &p->hand);
	call_later(p);
}

static void
stranger(const struct rtpod *p)
{
	log_warn("runtime", "pod %s: who answers on its socket is not its kedge-init", p->uid);
}

/* Nothing of it lives that could still tell: its exits are read, and it goes. */
static void
gone(struct rt *rt, struct rtpod *p, int dir)
{
	p->unheard = false;
	p->call_at = 0;
	if (dir >= 0)
		exits_read(p, dir);
	forget_waiting(p);
	if (p->remove_at)
		rtpod_go_on(rt, p);
	else
		rtpod_begin_removal(rt, p);
}

void
rtpod_lost_unheard(struct rt *rt, struct rtpod *p)
{
	cleanup_close int dir = rtpod_dir(rt, p->uid);

	rt_unwatch(rt, &p->init);
	rt_unwatch(rt, &p->hand);
	p->init_pid = 0;
	gone(rt, p, dir);
}

void
rtpod_lost(struct rt *rt, struct rtpod *p)
{
	rt_unwatch(rt, &p->hand);
	if (p->init.fd < 0 || has_ended(p->init.fd)) {
		rtjob_pod_lost(rt, p->uid, "the pod is gone");
		return; /* the pidfd says so, too */
	}
	rtjob_pod_lost(rt, p->uid, "the connection to the pod was lost");
	if (p->remove_at || p->ahead)
		return;
	p->unheard = true;
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		p->c[i].heard = p->c[i].told = false;
	call_later(p);
}

void
rtpod_call(struct rt *rt, struct rtpod *p)
{
	cleanup_close int dir = rtpod_dir(rt, p->uid);
	struct peer who = { .conn = -1, .pidfd = -1 };
	int r = dir < 0 ? -1 : reach(dir, &who);

	if (r > 0 && (p->init.fd < 0 || who.conn < 0 || who.pid == p->init_pid))
		r = is_its_own(rt, p, &who);
	else if (r > 0)
		r = 0;
	if (r == 0 && !p->greeted) {
		rtpod_lost_unheard(rt, p);
	} else if (r <= 0 || who.conn < 0 || peer_watch(rt, p, &who, NULL) < 0) {
		hang_up(rt, p);
	} else {
		p->born = who.start;
		p->call_at = 0;
	}
	peer_close(&who);
}

bool
rtpod_answered(struct rt *rt, struct rtpod *p)
{
	cleanup_close int dir = -1;

	switch (hello(p->hand.fd, p->born, 0)) {
	case NONE:
		return false;
	case CLOSED: /* when it died, its pidfd says so */
		hang_up(rt, p);
		return false;
	case WRONG:
		stranger(p);
		if (p->greeted)
			hang_up(rt, p);
		else
			rtpod_lost_unheard(rt, p);
		return false;
	case RIGHT:
		break;
	}
	p->unheard = false;
	dir = rtpod_dir(rt, p->uid);
	if (!take(rt, p, dir))
		gone(rt, p, dir);
	rt_changed(rt, p);
	return !p->unheard && p->hand.fd >= 0;
}

/* ---- all of them ---- */

/* 1: it lives and is ours, or may be; 0: it does not live; -1: we could not find out. */
static int
settle(struct rt *rt, struct rtpod *p, int dir, struct peer *who, enum answer said,
       struct error **e)
{
	int own = said == RIGHT ? 1 : said == WRONG ? 0 : is_its_own(rt, p, who);

	if (own < 0)
		return fail_sys(e, "ask whether pod %s lives", p->uid);
	if (own == 0) {
		stranger(p);
		return 0;
	}
	if (peer_watch(rt, p, who, e) < 0)
		return -1;
	if (said == RIGHT)
		return take(rt, p, dir);
	p->unheard = true;
	p->state = RT_POD_UNHEARD;
	if (said == CLOSED)
		rt_unwatch(rt, &p->hand);
	if (p->hand.fd < 0)
		call_later(p);
	log_warn("runtime",
		 "pod %s_%s: its kedge-init does not answer: it goes on by itself, "
		 "and is heard when it does",
		 p->spec.ns, p->spec.name);
	return 1;
}

static int
adopt_living(struct rt *rt, struct rtpod *p, int dir, int64_t until, struct error **e)
{
	int64_t left = until - monotonic_ms();
	enum answer said = NONE;
	struct peer who;
	int r = reach(dir, &who);

	if (r < 0)
		return fail_sys(e, "ask whether pod %s lives", p->uid);
	if (r > 0 && who.conn >= 0)
		said = hello(who.conn, who.start, (int)(left > LEAST_MS ? left : LEAST_MS));
	if (r > 0)
		r = settle(rt, p, dir, &who, said, e);
	peer_close(&who);
	return r;
}

/* -1 when we could not look: then nothing is ended that may be alive. */
static int
adopt_one(struct rt *rt, int pods, const char *uid, int64_t until, struct error **e)
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
	rc = known ? adopt_living(rt, p, dir, until, e) : 0;
	if (rc)
		return rc < 0 ? -1 : 0;
	if (known)
		gone(rt, p, dir);
	else
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
	int64_t until = monotonic_ms() + ANSWER_MS;
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
		if (ent->d_name[0] != '.' && adopt_one(rt, run_fd, ent->d_name, until, e) < 0)
			return -1;
	if (!d || errno)
		return fail_sys(e, "list %s", run);
	sweep(rt, state_fd);
	return 0;
}

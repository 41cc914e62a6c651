/* rtpod.c -- one pod as the hand sees it: run, asked, heard of. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "reconcile/base/utf8.h"
#include "runtime/image.h"
#include "runtime/init/ops.h"
#include "runtime/rt.h"

enum {
	IMAGE_BACKOFF_FIRST = 10,
	IMAGE_BACKOFF_MAX = 300,
	USER_SAID_MAX = 256 /* of an image's User, which may be of any length */
};

struct rtpod *
rtpod_alloc(const char *uid)
{
	struct rtpod *p = xcalloc(1, sizeof(*p));

	rt_copy(p->uid, sizeof(p->uid), uid);
	p->hand = (struct rt_source){ RT_SRC_HAND, p, -1 };
	p->init = (struct rt_source){ RT_SRC_INIT, p, -1 };
	p->remover = (struct rt_source){ RT_SRC_REMOVER, p, -1 };
	return p;
}

struct rtpod *
rtpod_new(struct rt *rt, const char *uid)
{
	struct rtpod *p = rtpod_alloc(uid);

	map_put(&rt->pods, uid, p);
	return p;
}

struct rtpod *
rtpod_leftover(struct rt *rt, const char *uid)
{
	struct rtpod *p = rtpod_new(rt, uid);

	p->spec = (struct rt_pod){ .uid = p->uid, .ns = "", .name = "" };
	rtpod_begin_removal(rt, p);
	return p;
}

int
rtpod_dir(const struct rt *rt, const char *uid)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/pods/%s", rt->cfg.run_dir, uid);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
rtpod_container(const struct rtpod *p, const char *name, size_t *ret, struct error **e)
{
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (!strcmp(p->spec.containers[i].name, name)) {
			*ret = i;
			return 0;
		}
	return fail(e, WHY_NOT_FOUND, "pod %s has no container %s", p->spec.name, name);
}

/* ---- running ---- */

static struct cgroup_limits
limits_of(const struct rt_container *c)
{
	return (struct cgroup_limits){ c->cpu_milli, c->cpu_shares,  c->memory,
				       c->pids,      c->memory_high, c->memory_min };
}

int
rtpod_tell(struct rtpod *p, const struct w_msg *m, const void *rest, size_t len, const int *fds,
	   struct error **e)
{
	char room[CMSG_SPACE(3 * sizeof(int))] = { 0 };
	struct iovec parts[2] = { { (void *)m, sizeof(*m) }, { (void *)rest, len } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = len ? 2 : 1 };

	if (p->hand.fd < 0)
		return fail(e, WHY_UNAVAILABLE, "pod %s does not answer", p->uid);
	if (fds) {
		struct cmsghdr *c;

		msg.msg_control = room;
		msg.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(3 * sizeof(int));
		memcpy(CMSG_DATA(c), fds, 3 * sizeof(int));
	}
	if (sendmsg(p->hand.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return fail_sys(e, "tell pod %s", p->uid);
	return 0;
}

static void
waits_for(struct cont *c, const char *reason, char *message)
{
	c->reason = reason;
	free(c->message);
	c->message = message;
	c->lacks_image = false;
}

static void
image_missing(struct cont *c, const char *image)
{
	char *message;

	if (!c->image_backoff_s) {
		xasprintf(
		    &message,
		    "image \"%s\" is not on this host: bring it with kedge image load or kedge "
		    "image import",
		    image);
		waits_for(c, "ErrImagePull", message);
		c->image_backoff_s = IMAGE_BACKOFF_FIRST;
	} else {
		xasprintf(&message, "Back-off pulling image \"%s\": it is not on this host",
			  image);
		waits_for(c, "ImagePullBackOff", message);
		c->image_backoff_s = c->image_backoff_s * 2 < IMAGE_BACKOFF_MAX
					 ? c->image_backoff_s * 2
					 : IMAGE_BACKOFF_MAX;
	}
	c->lacks_image = true;
	c->image_retry = monotonic_ms() + 1000LL * c->image_backoff_s;
}

/* Only a number can be judged here: a name means what the image's own passwd says. */
char *
rtpod_runs_as_root(const struct rtpod *p, const struct rt_container *c, const struct image *img)
{
	bool own = c->user && *c->user && *c->user != ':';
	const char *user = own ? c->user : img->user;
	cleanup_free char *who = xstrndup(user, strcspn(user, ":"));
	const char *why = own ? "container's runAsUser breaks non-root policy"
			      : "container has runAsNonRoot and image will run as root";
	bool number = *who && who[strspn(who, "0123456789")] == '\0';
	char *message;

	if (!c->run_as_non_root || (number && strtoull(who, NULL, 10) != 0))
		return NULL;
	if (number || !*who)
		xasprintf(&message, "%s (pod: \"%s_%s(%s)\", container: %s)", why, p->spec.name,
			  p->spec.ns, p->uid, c->name);
	else
		xasprintf(&message,
			  "container has runAsNonRoot and image has non-numeric user (%.*s), "
			  "cannot verify user is non-root (pod: \"%s_%s(%s)\", container: %s)",
			  (int)utf8_cut(who, USER_SAID_MAX), who, p->spec.name, p->spec.ns,
			  p->uid, c->name);
	return message;
}

/* That it was to run is told by its containers, once one has begun.  While all of
 * them wait, it is told by a file: who adopts the pod has to start them. */
static void
run_note(struct rt *rt, const struct rtpod *p)
{
	cleanup_close int dir = rtpod_dir(rt, p->uid);
	cleanup_error struct error *e = NULL;

	if (dir < 0 || faccessat(dir, "run", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	if (poddir_write(dir, "run", "", 0, &e) < 0)
		log_warn("runtime", "pod %s: %s", p->uid, error_text(e));
}

int
rtpod_compile(struct rt *rt, struct rtpod *p, const struct rt_pod *spec, size_t i,
	      const struct image *img, const char *suffix, struct error **e)
{
	const struct rt_container *c = &spec->containers[i];
	struct buf cleanup_buf ops = { 0 };
	cleanup_free char *name = NULL;
	cleanup_close int dir = rtpod_dir(rt, p->uid);

	if (dir < 0)
		return fail_sys(e, "open the directory of pod %s", p->uid);
	if (rtops_compile(rt, spec, c, img, &ops, e) < 0 || volume_points(rt, spec, c, e) < 0 ||
	    volume_images_note(rt, spec, dir, e) < 0)
		return -1;
	xasprintf(&name, "%s%s", c->name, suffix);
	return poddir_write(dir, name, ops.at, ops.len, e);
}

static int
container_compile(struct rt *rt, struct rtpod *p, size_t i, const struct image *img,
		  struct error **e)
{
	const struct rt_container *spec = &p->spec.containers[i];
	const struct cgroup_limits limits = limits_of(spec);
	bool made = i == 0 && p->spec.group; /* with its sandbox */

	if ((made ? cgroup_limit : cgroup_make)(&rt->cgroups, rt_group(&p->spec),
						rt_group_of(&p->spec, spec), &limits, e) < 0)
		return -1;
	return rtpod_compile(rt, p, &p->spec, i, img, ".ops", e);
}

/* What is wrong with it is told when it is to run. */
void
rtpod_prepare_first(struct rt *rt, struct rtpod *p)
{
	const struct rt_container *spec = p->spec.containers;
	const struct image *img =
	    rt->cfg.images ? image_find(rt->cfg.images, spec->image) : NULL;
	cleanup_free char *refused = img ? rtpod_runs_as_root(p, spec, img) : NULL;

	if (!img || spec->hold || refused || container_compile(rt, p, 0, img, NULL) < 0)
		return;
	p->c[0].compiled = true;
	p->c[0].image_id = xstrdup(img->id);
}

void
rtpod_start_first(struct rtpod *p)
{
	const struct w_msg start = { .type = W_START };

	if (p->c[0].compiled)
		p->c[0].told = rtpod_tell(p, &start, NULL, 0, NULL, NULL) == 0;
}

/* It is to begin.  kedge-init numbers its containers as they come: those that were added before
 * this one are told of first, whatever keeps them from running.  What it knows already it
 * passes over. */
static int
tell_start(struct rtpod *p, size_t i, struct error **e)
{
	const struct w_msg start = { .type = W_START, .container = (uint32_t)i };

	for (size_t k = 0; k <= i; k++) {
		const struct w_msg more = { .type = W_ADD, .container = (uint32_t)k };
		struct w_container conf;

		if (p->spec.containers[k].role != RT_EPHEMERAL || p->c[k].heard)
			continue;
		conf = poddir_conf(&p->spec, k);
		if (rtpod_tell(p, &more, &conf, sizeof(conf), NULL, e) < 0)
			return -1;
	}
	return rtpod_tell(p, &start, NULL, 0, NULL, e);
}

static void
container_begin(struct rt *rt, struct rtpod *p, size_t i)
{
	const struct rt_container *spec = &p->spec.containers[i];
	const struct image *img;
	struct cont *c = &p->c[i];
	cleanup_error struct error *e = NULL;
	char *refused;

	if (spec->hold) {
		waits_for(c, "CreateContainerConfigError", NULL);
		c->image_retry = 0;
		run_note(rt, p);
		rt_changed(rt, p);
		return;
	}
	if (!c->compiled) {
		img = rt->cfg.images ? image_find(rt->cfg.images, spec->image) : NULL;
		const char *missing = img ? volume_image_missing(rt, &p->spec, spec) : NULL;

		if (!img || missing) {
			image_missing(c, img ? missing : spec->image);
			run_note(rt, p);
			rt_changed(rt, p);
			return;
		}
		refused = rtpod_runs_as_root(p, spec, img);
		if (refused || container_compile(rt, p, i, img, &e) < 0) {
			waits_for(
			    c, refused ? "CreateContainerConfigError" : "CreateContainerError",
			    refused ? refused : xstrdup(error_text(e)));
			c->image_retry = monotonic_ms() + 1000LL * IMAGE_BACKOFF_FIRST;
			run_note(rt, p);
			rt_changed(rt, p);
			return;
		}
		c->compiled = true;
		c->image_id = xstrdup(img->id);
	}
	c->image_retry = 0;
	waits_for(c, NULL, NULL);
	if (c->told)
		return;
	/* A pod that is gone says so itself; one that could not hear is asked again. */
	if (tell_start(p, i, &e) < 0 && p->hand.fd >= 0) {
		waits_for(c, "CreateContainerError", xstrdup(error_text(e)));
		c->image_retry = monotonic_ms() + 1000;
		rt_changed(rt, p);
	}
}

/* Once more; a renewal that was refused is asked for again when it is not told any more. */
static void
container_try(struct rt *rt, struct rtpod *p, size_t i)
{
	struct cont *c = &p->c[i];

	free(steal_ptr(&c->refused_version));
	free(steal_ptr(&c->refused_image));
	if (!c->said.began) {
		container_begin(rt, p, i);
		return;
	}
	c->image_retry = 0;
	rt_changed(rt, p);
}

void
rtpod_start_containers(struct rt *rt, struct rtpod *p)
{
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (!p->c[i].said.began)
			container_begin(rt, p, i);
}

int
rt_pod_run(struct rt *rt, const char *uid, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	const struct w_msg go = { .type = W_GO };

	if (!p)
		return -1;
	if (p->state == RT_POD_STOPPING)
		return fail(e, WHY_CONFLICT, "pod %s is being stopped", uid);
	if (p->gated && rtpod_tell(p, &go, NULL, 0, NULL, e) < 0)
		return -1;
	p->gated = false;
	p->run = true;
	p->state = RT_POD_UP;
	disk_watch(rt, p);
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		p->c[i].image_backoff_s = 0;
	rtpod_start_containers(rt, p);
	return 0;
}

int
rt_pod_stop(struct rt *rt, const char *uid, int grace, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	struct w_msg stop = { .type = W_STOP };
	int64_t by;

	if (!p)
		return -1;
	stop.arg = grace < 0 ? p->spec.grace : grace;
	if (p->state != RT_POD_STOPPING) {
		p->state = RT_POD_STOPPING;
		rt_changed(rt, p);
	}
	for (size_t i = 0; i < p->spec.ncontainers; i++)
		p->c[i].image_retry = 0;
	by = monotonic_ms() + stop.arg * 1000;
	if (!p->stop_by || by < p->stop_by) {
		p->stop_by = by;
		p->stop_grace = stop.arg;
	}
	if (rtpod_tell(p, &stop, NULL, 0, NULL, NULL) == 0 || p->remove_at)
		return 0;
	/* The connection may be lost; who can be asked on another one is. */
	if (p->greeted) {
		rtpod_lost(rt, p);
		rtpod_call(rt, p);
	}
	if (rtpod_tell(p, &stop, NULL, 0, NULL, NULL) < 0)
		rtpod_begin_removal(rt, p); /* it cannot be asked: it is ended */
	return 0;
}

int
rt_pod_files(struct rt *rt, const char *uid, const struct rt_volume *v, size_t n,
	     struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);

	if (!p)
		return -1;
	for (; n > 0; n--, v++) {
		size_t i = 0;

		while (i < p->spec.nvolumes && strcmp(p->spec.volumes[i].name, v->name))
			i++;
		if (i == p->spec.nvolumes || p->spec.volumes[i].type != RT_FILES ||
		    v->type != RT_FILES)
			return fail(e, WHY_INVALID, "pod %s has no volume of files named %s",
				    p->spec.name, v->name);
		if (podspec_check_volume(v, e) < 0 || volume_put(rt, &p->spec, v, e) < 0)
			return fail_in(e, "pod %s", p->spec.name);
	}
	return 0;
}

int
rt_container_restart(struct rt *rt, const char *uid, const char *container, int grace,
		     struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);

	struct w_msg m = { .type = W_RESTART };
	size_t i;

	if (!p || rtpod_container(p, container, &i, e) < 0)
		return -1;
	m.container = (uint32_t)i;
	m.arg = grace < 0 ? p->spec.grace : grace;
	return rtpod_tell(p, &m, NULL, 0, NULL, e);
}

/* First the kernel, then what the next life of ours reads, then what we say ourselves: an
 * end between two is a resize that is asked for again. */
static int
resize_to(struct rt *rt, struct rtpod *p, struct rt_container *c,
	  const struct rt_container *size, struct error **e)
{
	struct buf cleanup_buf bytes = { 0 };
	cleanup_close int dir = rtpod_dir(rt, p->uid);
	const struct rt_container was = *c;
	struct cgroup_limits limits;

	c->cpu_milli = size->cpu_milli;
	c->cpu_shares = size->cpu_shares;
	c->memory = size->memory;
	c->memory_high = size->memory_high;
	c->memory_min = size->memory_min;
	limits = limits_of(c);
	podspec_pack(&p->spec, &bytes);
	if (cgroup_resize(&rt->cgroups, rt_group(&p->spec), rt_group_of(&p->spec, c), &limits,
			  e) < 0 ||
	    rtpod_group_limit(rt, &p->spec, false, e) < 0 ||
	    poddir_write(dir, "spec", bytes.at, bytes.len, e) < 0) {
		*c = was;
		return fail_in(e, "resize container %s of pod %s", c->name, p->spec.name);
	}
	return 0;
}

int
rt_container_resize(struct rt *rt, const char *uid, const char *container,
		    const struct rt_container *size, const int *restart, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	struct rt_container *c, was;
	size_t i;

	if (!p || rtpod_container(p, container, &i, e) < 0)
		return -1;
	c = (struct rt_container *)&p->spec.containers[i];
	was = *c;
	if (resize_to(rt, p, c, size, e) < 0)
		return -1;
	if (restart &&
	    (was.cpu_milli != size->cpu_milli || was.cpu_shares != size->cpu_shares ||
	     was.memory != size->memory) &&
	    rt_container_restart(rt, uid, container, *restart, e) < 0) {
		resize_to(rt, p, c, &was, NULL);
		return -1;
	}
	rt_changed(rt, p);
	return 0;
}

/* ---- hearing ---- */

/* The pid in our view of what a pidfd means. */
static pid_t
pid_of(int pidfd)
{
	char path[64], text[512];
	cleanup_close int fd = -1;
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "\nPid:");
	return at ? (pid_t)strtol(at + 5, NULL, 10) : 0;
}

static char *
text_take(const char **at, size_t *left, uint32_t n)
{
	char *s;

	if (n > *left)
		n = (uint32_t)*left;
	s = xstrndup(*at, n);
	*at += n;
	*left -= n;
	return s;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Whatever it is that says so is believed no more than its length. */
static void
as_take(struct cont *c, const char *at, size_t n)
{
	const size_t head = offsetof(struct w_as, groups);
	struct w_as as = { 0 };

	if (n < head)
		return;
	memcpy(&as, at, n < sizeof(as) ? n : sizeof(as));
	if (as.ngroups > W_GROUPS || n < head + as.ngroups * sizeof(*as.groups))
		return;
	if (as.ngroups)
		qsort(as.groups, as.ngroups, sizeof(*as.groups), by_number);
	if (!c->as)
		c->as = xcalloc(1, sizeof(*c->as));
	*c->as = as;
}

static void
status_take(struct rt *rt, struct rtpod *p, const char *at, size_t n, int pidfd)
{
	struct w_status s;
	struct cont *c;

	if (n < sizeof(s))
		return;
	memcpy(&s, at, sizeof(s));
	if (s.head.container >= p->spec.ncontainers)
		return;
	at += sizeof(s);
	n -= sizeof(s);
	c = &p->c[s.head.container];
	c->said = s;
	c->heard = true;
	free(c->text);
	free(c->last_text);
	c->text = text_take(&at, &n, s.now.text_len);
	c->last_text = text_take(&at, &n, s.last.text_len);
	as_take(c, at, n);
	c->pid = pidfd >= 0 && s.state == W_RUNNING ? pid_of(pidfd) : 0;
	if (s.began)
		p->run = true;
	if (s.head.container == 0 && s.state != W_WAITING)
		free(steal_ptr(&p->ahead_image)); /* it has taken them, or not */
	if (c->next_image_id)                     /* this may be the run that has it */
		rtpod_image_look(rt, p, s.head.container);
	rtpod_sweep(rt, p, s.head.container);
}

static void
heed(struct rt *rt, struct rtpod *p, const char *at, size_t n, int fds[3])
{
	struct w_msg m;

	if (n < sizeof(m))
		return;
	memcpy(&m, at, sizeof(m));
	switch (m.type) {
	case W_HELLO:
		p->greeted = true;
		p->lends = m.flags & W_CAN_LEND;
		p->copies = m.flags & W_CAN_COPY;
		p->renews = m.flags & W_CAN_RENEW;
		p->nknown = m.id > 0 ? (size_t)m.id : p->spec.ncontainers;
		if (m.flags & W_IS_GATED && !p->run)
			p->gated = true;
		if (m.flags & W_IS_STOPPING && p->state != RT_POD_STOPPING) {
			p->state = RT_POD_STOPPING;
			rt_changed(rt, p);
		}
		break;
	case W_STATUS:
		status_take(rt, p, at, n, fds[0]);
		rt_changed(rt, p);
		break;
	case W_STOPPED:
		p->stopped = true;
		rtpod_begin_removal(rt, p);
		break;
	case W_EXEC_DONE: {
		cleanup_free char *text = xstrndup(at + sizeof(m), n - sizeof(m));

		rtjob_done(rt, m.id, (int)m.arg, *text ? text : NULL);
		break;
	}
	case W_LENDS:
		rtjob_lent(rt, m.id, fds);
		break;
	default:
		break;
	}
}

void
rtpod_heard(struct rt *rt, struct rtpod *p)
{
	char message[W_MAX];
	char room[CMSG_SPACE(3 * sizeof(int))];

	if (p->unheard && !rtpod_answered(rt, p))
		return;
	while (p->hand.fd >= 0) {
		struct iovec one = { message, sizeof(message) };
		struct msghdr m = { .msg_iov = &one,
				    .msg_iovlen = 1,
				    .msg_control = room,
				    .msg_controllen = sizeof(room) };
		ssize_t n = recvmsg(p->hand.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		struct cmsghdr *c;
		int fds[3] = { -1, -1, -1 };

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) { /* its end comes by the pidfd */
			rtpod_lost(rt, p);
			return;
		}
		c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
		heed(rt, p, message, (size_t)n, fds);
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
}

/* ---- timers ---- */

void
rtpod_go_on(struct rt *rt, struct rtpod *p)
{
	int64_t now = monotonic_ms();

	if (rtpod_removal_go_on(rt, p))
		return;
	if (p->call_at && p->call_at <= now)
		rtpod_call(rt, p);
	for (size_t i = 0; p->run && i < p->spec.ncontainers; i++)
		if (p->c[i].image_retry && p->c[i].image_retry <= now)
			container_try(rt, p, i);
}

int64_t
rtpod_due(const struct rtpod *p)
{
	int64_t next = p->remove_at ? p->remove_at : p->call_at;

	for (size_t i = 0; i < p->spec.ncontainers; i++)
		if (p->c[i].image_retry && (!next || p->c[i].image_retry < next))
			next = p->c[i].image_retry;
	return next;
}

/* told.c -- what a pod's kedge-init cannot find out by itself, told by the caller.
 *
 * A word about one run of a container means nothing when that run is over; a container
 * that is added, or renewed, stays so in the spec on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include "runtime/image.h"
#include "runtime/init/ops.h"
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
	if (m.type == W_HOOKED) /* said once: it has to arrive */
		p->c[i].hooked = m;
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

static int
spec_allowed(const struct rt *rt, const struct rt_pod *spec, struct error **e)
{
	return podspec_check(spec, e) < 0 || rtallow_check(rt, spec, e) < 0 ? -1 : 0;
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
	struct arena fresh = { 0 };

	spec.containers = all;
	spec.ncontainers = n;
	if (spec_allowed(rt, &spec, e) < 0)
		return -1;
	podspec_pack(&spec, &bytes);
	dir = rtpod_dir(rt, p->uid);
	if (dir < 0)
		return fail_sys(e, "open the folder of pod %s", p->uid);
	/* What could not be read again would end the pod at the next start. */
	if (podspec_unpack(&fresh, bytes.at, bytes.len, &spec, e) < 0 ||
	    poddir_write(dir, "spec", bytes.at, bytes.len, e) < 0) {
		arena_free(&fresh);
		return -1;
	}
	arena_free(&p->arena); /* a pod may be changed any number of times */
	p->arena = fresh;
	p->spec = spec;
	return 0;
}

/* What could not be begun is tried again sooner than what goes on meanwhile. */
enum { RENEW_RETRY_MS = 10000, RENEW_NEXT_RETRY_MS = 60000 };

/* It has its place; what differs is what the API says. */
static struct rt_container
renewed(const struct rt_container *was, const struct rt_container *c, bool begun)
{
	struct rt_container now = begun ? *was : *c;

	now.role = was->role; /* kedge-init knows these already */
	now.restart = was->restart;
	now.tty = was->tty;
	now.pids = was->pids;
	now.hold = c->hold;
	now.env_version = c->env_version;
	if (begun && !c->hold) {
		now.image = c->image;
		now.command = c->command;
		now.args = c->args;
		now.env = c->env;
		now.mounts = c->mounts;
		now.nmounts = c->nmounts;
	}
	return now;
}

/* What its next run has now is kept beside what it shall have, until the spec on disk speaks
 * of that: both change, or neither. */
struct next {
	char *name, *was; /* of the steps; was: those of before, if there are any */
	bool none;        /* it shall have none of its own: it goes on as it is */
	int dir;
};

static int
next_begin(struct rt *rt, const struct rtpod *p, size_t i, struct next *n, struct error **e)
{
	const char *container = p->spec.containers[i].name;

	n->dir = rtpod_dir(rt, p->uid);
	if (n->dir < 0)
		return fail_sys(e, "open the folder of pod %s", p->uid);
	xasprintf(&n->name, "%s%s", container, p->renews ? ".next" : ".ops");
	xasprintf(&n->was, "%s.was", container);
	unlinkat(n->dir, n->was, 0);
	if (linkat(n->dir, n->name, n->dir, n->was, 0) == 0 || errno == ENOENT)
		return 0;
	free(steal_ptr(&n->was)); /* nothing has changed yet */
	return fail_sys(e, "keep %s of pod %s", n->name, p->uid);
}

/* A run that has begun meanwhile has taken the new ones: then there is nothing to put back. */
static void
next_undo(const struct next *n)
{
	if (faccessat(n->dir, n->was, F_OK, 0) < 0)
		unlinkat(n->dir, n->name, 0);
	else if (renameat2(n->dir, n->was, n->dir, n->name, RENAME_EXCHANGE) < 0 &&
		 errno != ENOENT)
		log_warn("runtime", "the next run of %s goes by its new steps: %m", n->name);
}

static void
next_end(struct next *n, bool undo)
{
	if (n->was && undo)
		next_undo(n);
	else if (n->was && n->none)
		unlinkat(n->dir, n->name, 0);
	if (n->was)
		unlinkat(n->dir, n->was, 0);
	if (n->dir >= 0)
		close(n->dir);
	free(n->name);
	free(n->was);
}

/* Which image the steps are of, in the file of its name and this suffix; NULL: there are none.
 * The caller's. */
static char *
image_in(const struct rt *rt, const struct rtpod *p, size_t i, const char *suffix)
{
	cleanup_free char *name = NULL;
	cleanup_close int dir = rtpod_dir(rt, p->uid), fd = -1;
	struct ops_head head;

	xasprintf(&name, "%s%s", p->spec.containers[i].name, suffix);
	fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || read(fd, &head, sizeof(head)) != (ssize_t)sizeof(head) ||
	    head.magic != OPS_MAGIC)
		return NULL;
	return xstrndup(head.image_id, sizeof(head.image_id));
}

bool
rtpod_image_look(const struct rt *rt, struct rtpod *p, size_t i)
{
	struct cont *c = &p->c[i];
	cleanup_free char *now = image_in(rt, p, i, ".ops"), *next = NULL;

	if (!now)
		return false;
	next = image_in(rt, p, i, ".next");
	free(c->image_id);
	free(steal_ptr(&c->next_image_id));
	if (next && strcmp(next, now) != 0)
		c->next_image_id = steal_ptr(&next);
	c->image_id = steal_ptr(&now);
	return true;
}

void
rtpod_tell_other(struct rtpod *p, size_t i)
{
	const struct w_msg m = { .type = W_RESTART,
				 .container = (uint32_t)i,
				 .flags = W_RESTART_OTHER,
				 .arg = p->spec.grace };

	/* one that does not hear it is gone, or begins its next run with it all the same */
	rtpod_tell(p, &m, NULL, 0, NULL, NULL);
}

static bool
calls_another(const struct rtpod *p, const struct rt_container *c, size_t i)
{
	return strcmp(c->image, p->spec.containers[i].image) != 0;
}

/* By its name where that is another one, else what it has: a tag that means another image by
 * now means nothing to one that has begun. */
static const struct image *
next_image(const struct rt *rt, const struct rtpod *p, const struct rt_container *c, size_t i)
{
	const struct cont *is = &p->c[i];
	const char *id = is->next_image_id ? is->next_image_id
			 : is->image_id    ? is->image_id
					   : "";

	return rt->cfg.images
		   ? image_find(rt->cfg.images, calls_another(p, c, i) ? c->image : id)
		   : NULL;
}

static int
other_image(const struct rtpod *p, const struct rt_container *c, const struct image *img,
	    struct error **e)
{
	cleanup_free char *root = img ? rtpod_runs_as_root(p, c, img) : NULL;

	if (root)
		return fail(e, WHY_FORBIDDEN, "%s", root);
	return img ? 0
		   : fail(e, WHY_NOT_FOUND, "container %s: image \"%s\" is not on this host",
			  c->name, c->image);
}

/* The steps of its next run. */
static int
next_run(struct rt *rt, struct rtpod *p, const struct rt_container *all, size_t i,
	 struct next *n, struct error **e)
{
	const struct image *img = next_image(rt, p, &all[i], i);
	const char *id = p->c[i].image_id ? p->c[i].image_id : "";
	struct rt_pod spec = p->spec;

	if (calls_another(p, &all[i], i)) {
		if (other_image(p, &all[i], img, e) < 0)
			return -1;
	} else if (!img) {
		log_warn("runtime",
			 "pod %s_%s: container %s keeps its environment until the pod is made "
			 "anew, for its image (%s) has no name any more",
			 p->spec.ns, p->spec.name, all[i].name, id);
		n->none = p->renews; /* nor one that it was told of in between */
		return 0;
	}
	spec.containers = all;
	if (spec_allowed(rt, &spec, e) < 0)
		return -1;
	return rtpod_compile(rt, p, &spec, i, img, p->renews ? ".next" : ".ops", e);
}

void
rtpod_tell_hold(struct rtpod *p, size_t i)
{
	const struct w_msg m = { .type = W_HOLD,
				 .container = (uint32_t)i,
				 .arg = p->spec.containers[i].hold };

	/* one that does not hear it is gone, or starts with what it had before */
	rtpod_tell(p, &m, NULL, 0, NULL, NULL);
}

/* That could not be: it waits for another renewal, or for better times. */
static int
renew_failed(struct rt *rt, struct rtpod *p, size_t i, const struct rt_container *c,
	     const struct error *why, struct error **e)
{
	struct cont *is = &p->c[i];

	free(is->refused_version);
	is->refused_version = c->env_version ? xstrdup(c->env_version) : NULL;
	free(is->refused_image);
	free(is->refused_why);
	is->refused_image = calls_another(p, c, i) ? xstrdup(c->image) : NULL;
	is->refused_why = is->refused_image ? xstrdup(error_text(why)) : NULL;
	is->image_retry =
	    monotonic_ms() + (is->compiled ? RENEW_NEXT_RETRY_MS : RENEW_RETRY_MS);
	if (!is->compiled) {
		is->reason = "CreateContainerError";
		is->lacks_image = false;
		free(is->message);
		is->message = xstrdup(error_text(why));
	}
	rt_changed(rt, p);
	return fail(e, why->why, "%s", error_text(why));
}

int
rt_container_renew(struct rt *rt, const char *uid, const struct rt_container *c,
		   struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	cleanup_free struct rt_container *all = NULL;
	cleanup_error struct error *why = NULL;
	struct next next = { .dir = -1 };
	bool was_held, steps, other, done;
	size_t i;

	if (!p || rtpod_container(p, c->name, &i, e) < 0)
		return -1;
	if (p->state == RT_POD_STOPPING)
		return 0;
	was_held = p->spec.containers[i].hold;
	all = xcalloc(p->spec.ncontainers, sizeof(*all));
	memcpy(all, p->spec.containers, p->spec.ncontainers * sizeof(*all));
	all[i] = renewed(&p->spec.containers[i], c, p->c[i].compiled);
	/* the steps first: a spec with this version says that they are there */
	steps = p->c[i].compiled && !c->hold;
	other = steps && calls_another(p, c, i);
	done = (!steps || (next_begin(rt, p, i, &next, &why) == 0 &&
			   next_run(rt, p, all, i, &next, &why) == 0)) &&
	       spec_change(rt, p, all, p->spec.ncontainers, &why) == 0;
	next_end(&next, !done);
	if (steps)
		rtpod_image_look(rt, p, i);
	if (!done)
		return renew_failed(rt, p, i, c, why, e);
	if (p->c[i].refused_version || p->c[i].refused_image)
		p->c[i].image_retry = 0;
	free(steal_ptr(&p->c[i].refused_version));
	free(steal_ptr(&p->c[i].refused_image));
	if (p->c[i].compiled && was_held != c->hold)
		rtpod_tell_hold(p, i);
	if (other)
		rtpod_tell_other(p, i);
	if (!c->hold) {
		p->c[i].reason = NULL;
		free(steal_ptr(&p->c[i].message));
	}
	if (p->run)
		rtpod_start_containers(rt, p);
	rt_changed(rt, p);
	return 0;
}

/* What may never be is told of the container from now on, so that nobody asks again; until
 * the next life, which may be allowed more. */
static int
add_failed(struct rt *rt, struct rtpod *p, const char *name, struct error *why,
	   struct error **e)
{
	if (why->why == WHY_FORBIDDEN || why->why == WHY_INVALID) {
		p->refused = xgrow(p->refused, p->nrefused, sizeof(*p->refused));
		p->refused[p->nrefused++] =
		    (struct rt_refusal){ xstrdup(name), xstrdup(error_text(why)) };
		rt_changed(rt, p);
	}
	return fail_with(e, &why);
}

int
rt_container_add(struct rt *rt, const char *uid, const struct rt_container *c, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	cleanup_free struct rt_container *all = NULL;
	struct error *why = NULL;
	size_t n, i;

	if (!p)
		return -1;
	n = p->spec.ncontainers;
	if (rtpod_container(p, c->name, &i, NULL) == 0)
		return 0;
	for (i = 0; i < p->nrefused; i++)
		if (strcmp(p->refused[i].name, c->name) == 0)
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
	if (spec_change(rt, p, all, n + 1, &why) < 0)
		return add_failed(rt, p, c->name, why, e);
	rtpod_start_containers(rt, p);
	rt_changed(rt, p);
	return 0;
}

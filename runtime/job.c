/* job.c -- commands in running containers, clients attached to them, connections to their
 * ports: asked for here, seen to by kedge-init.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

static struct rt_job *
job_find(struct rt *rt, int64_t id)
{
	for (size_t i = 0; i < rt->njobs; i++)
		if (rt->jobs[i].id == id)
			return &rt->jobs[i];
	return NULL;
}

void
rtjob_done(struct rt *rt, int64_t id, int code, const char *error)
{
	struct rt_job *j = job_find(rt, id);

	if (!j || j->done)
		return;
	j->done = true;
	j->code = code;
	j->error = xstrdup(error);
}

void
rtjob_pod_lost(struct rt *rt, const char *uid, const char *why)
{
	for (size_t i = 0; i < rt->njobs; i++)
		if (strcmp(rt->jobs[i].uid, uid) == 0)
			rtjob_done(rt, rt->jobs[i].id, 137, why);
}

void
rtjob_free(struct rt *rt, struct rt_job *j)
{
	for (int i = 0; i < j->nfds; i++)
		close(j->fds[i]);
	free(j->error);
	*j = rt->jobs[--rt->njobs];
}

static void
job_add(struct rt *rt, struct rt_job job, const char *uid)
{
	rt_copy(job.uid, sizeof(job.uid), uid);
	rt->jobs = xrealloc(rt->jobs, (rt->njobs + 1) * sizeof(*rt->jobs));
	rt->jobs[rt->njobs++] = job;
}

void
rtjob_lent(struct rt *rt, int64_t id, int fds[3])
{
	struct rt_job *j = job_find(rt, id);

	if (!j || !j->lends || j->nfds || j->done)
		return;
	for (; j->nfds < 3 && fds[j->nfds] >= 0; j->nfds++) {
		j->fds[j->nfds] = fds[j->nfds];
		fds[j->nfds] = -1;
	}
}

bool
rtjob_next_lent(struct rt *rt, struct rt_event *ret)
{
	for (size_t i = 0; i < rt->njobs; i++) {
		struct rt_job *j = &rt->jobs[i];

		if (!j->nfds)
			continue;
		*ret = (struct rt_event){ .type = RT_LENT,
					  .exec_id = j->id,
					  .fds = { j->fds[0], j->fds[1], j->fds[2] },
					  .nfds = j->nfds };
		rt_copy(ret->uid, sizeof(ret->uid), j->uid);
		j->nfds = 0;
		if (ret->nfds == 1)
			rtjob_free(rt, j); /* that was all of it */
		return true;
	}
	return false;
}

static int
words_join(const char *const *argv, struct buf *ret, uint32_t *ret_argc, struct error **e)
{
	uint32_t argc = 0;

	for (; argv[argc]; argc++)
		buf_add(ret, argv[argc], strlen(argv[argc]) + 1);
	if (argc == 0)
		return fail(e, WHY_INVALID, "no command was given");
	if (argc > W_WORDS)
		return fail(e, WHY_TOO_LARGE, "the command has %u words, the most is %d", argc,
			    W_WORDS);
	if (ret->len > W_MAX - sizeof(struct w_msg))
		return fail(e, WHY_TOO_LARGE, "the command is %zu bytes, the most is %zu",
			    ret->len, (size_t)W_MAX - sizeof(struct w_msg));
	*ret_argc = argc;
	return 0;
}

/* Commands with a deadline, which probes are, find some places when those without have taken
 * all of theirs: a user's may stay for ever. */
enum { NO_DEADLINE_MAX = W_EXECS - 16 };

static int
room_for(struct rt *rt, const struct rtpod *p, int64_t id, bool lends, int most,
	 struct error **e)
{
	int running = 0;

	if (p->unheard) /* who knows when: nobody waits for its end */
		return fail(e, WHY_UNAVAILABLE, "pod %s does not answer: try again later",
			    p->uid);
	if (id == 0 || job_find(rt, id))
		return fail(e, WHY_INVALID, "exec %lld is under way already", (long long)id);
	for (size_t i = 0; i < rt->njobs; i++)
		running += rt->jobs[i].lends == lends && strcmp(rt->jobs[i].uid, p->uid) == 0;
	if (running >= most)
		return fail(e, WHY_UNAVAILABLE, "pod %s %s %d %s already: try again later",
			    p->uid, lends ? "has" : "runs", running,
			    lends ? "clients" : "commands");
	return 0;
}

static int
find_running(const struct rtpod *p, const char *container, size_t *ret, struct error **e)
{
	if (rtpod_container(p, container, ret, e) < 0)
		return -1;
	if (p->c[*ret].said.state != W_RUNNING)
		return fail(e, WHY_CONFLICT, "container %s of pod %s is not running", container,
			    p->spec.name);
	return 0;
}

static int
send_exec(struct rtpod *p, size_t container, const struct w_msg *head, const struct buf *words,
	  const int fds[3], struct error **e)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct w_msg m = *head;
	int give[3];

	if (null < 0)
		return fail_sys(e, "open /dev/null");
	for (int i = 0; i < 3; i++)
		give[i] = m.flags & W_EXEC_TTY ? fds[0] : fds[i] >= 0 ? fds[i] : null;
	m.container = (uint32_t)container;
	return rtpod_tell(p, &m, words->at, words->len, give, e);
}

int
rt_exec(struct rt *rt, const char *uid, const char *container, const char *const *argv,
	bool tty, const int fds[3], int timeout_s, int64_t id, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	struct w_msg m = { .type = W_EXEC, .id = id, .arg = timeout_s, .flags = tty };
	struct buf cleanup_buf words = { 0 };
	size_t i = 0;

	if (!p ||
	    room_for(rt, p, id, false, timeout_s > 0 ? W_EXECS : NO_DEADLINE_MAX, e) < 0 ||
	    words_join(argv, &words, &m.argc, e) < 0)
		return -1;
	if (tty && fds[0] < 0)
		return fail(e, WHY_INVALID, "a terminal was asked for and none given");
	if (find_running(p, container, &i, e) < 0)
		return -1;
	if (send_exec(p, i, &m, &words, fds, e) < 0)
		return -1;
	job_add(rt, (struct rt_job){ .id = id }, uid);
	return 0;
}

static int
too_old(const struct rtpod *p, struct error **e)
{
	return fail(e, WHY_UNABLE,
		    "pod %s was started by an older kedge, which cannot do this: make it anew",
		    p->spec.name);
}

/* Which program runs is not the caller's to say: kedge-init runs itself.  With the container's
 * rights, root and groups it can do no more than any command of rt_exec. */
int
rt_files_copy(struct rt *rt, const char *uid, const char *container, const char *path,
	      const char *name, const int fds[3], int64_t id, struct error **e)
{
	const char *const out[] = { "kedge-init", "copy", "out", path, NULL };
	const char *const in[] = { "kedge-init", "copy", "in", path, name, NULL };
	struct w_msg m = { .type = W_EXEC, .id = id, .flags = W_EXEC_COPY };
	struct buf cleanup_buf words = { 0 };
	struct rtpod *p;
	size_t i = 0;

	if (!*path || strlen(path) >= PATH_MAX ||
	    (name && (!*name || strchr(name, '/') || !strcmp(name, ".."))))
		return fail(e, WHY_INVALID, "copy: no such path can be");
	p = rt_find(rt, uid, e);
	if (!p)
		return -1;
	if (!p->copies)
		return too_old(p, e);
	if (room_for(rt, p, id, false, NO_DEADLINE_MAX, e) < 0 ||
	    words_join(name ? in : out, &words, &m.argc, e) < 0 ||
	    find_running(p, container, &i, e) < 0 || send_exec(p, i, &m, &words, fds, e) < 0)
		return -1;
	job_add(rt, (struct rt_job){ .id = id }, uid);
	return 0;
}

static int
ask(struct rt *rt, struct rtpod *p, const struct w_msg *m, struct error **e)
{
	if (!p->lends)
		return too_old(p, e);
	if (room_for(rt, p, m->id, true, W_LENT, e) < 0 ||
	    rtpod_tell(p, m, NULL, 0, NULL, e) < 0)
		return -1;
	job_add(rt, (struct rt_job){ .id = m->id, .lends = true }, p->uid);
	return 0;
}

int
rt_attach(struct rt *rt, const char *uid, const char *container, int64_t id, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	struct w_msg m = { .type = W_ATTACH, .id = id };
	size_t i = 0;

	if (!p || find_running(p, container, &i, e) < 0)
		return -1;
	m.container = (uint32_t)i;
	return ask(rt, p, &m, e);
}

int
rt_connect(struct rt *rt, const char *uid, unsigned port, int64_t id, struct error **e)
{
	struct rtpod *p = rt_find(rt, uid, e);
	const struct w_msg m = { .type = W_CONNECT, .id = id, .arg = port };

	if (!p)
		return -1;
	if (port == 0 || port > 65535)
		return fail(e, WHY_INVALID, "%u is no port", port);
	return ask(rt, p, &m, e);
}

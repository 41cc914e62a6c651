/* hand_images.c -- the verbs of images: each is a job of unpackers beside the hand, which looks
 * at its end, tells the brain and lets the pods that waited try again.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "config.h"
#include "hand_order.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <string.h>

/* Pods that wait for an image may have it now: their back-off is over. */
static void
try_images(struct hand *h)
{
	const char *const *uids;
	size_t n = rt_pods(h->rt, &uids);
	cleanup_arena struct arena a = { 0 };
	char **waiting = arena_alloc(&a, (n + 1) * sizeof *waiting);
	size_t nwaiting = 0;

	for (size_t i = 0; i < n; i++) /* the list is good until the next call only */
		waiting[i] = arena_strdup(&a, uids[i]);
	for (size_t i = 0; i < n; i++) {
		const struct rt_pod_status *st = rt_pod_status(h->rt, waiting[i]);
		bool waits = false;

		for (size_t j = 0; st && st->state == RT_POD_UP && j < st->ncontainers; j++)
			waits |= st->containers[j].lacks_image;
		if (waits)
			waiting[nwaiting++] = waiting[i];
	}
	for (size_t i = 0; i < nwaiting; i++)
		(void)rt_pod_run(h->rt, waiting[i], NULL); /* going: then it needs none */
	hand_rt_arm(h);
}

static void
job_free(struct hand_job *j)
{
	struct hand_job **at = &j->hand->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	event_free(j->readable);
	if (j->worker)
		hand_worker_stop(j->hand, j->worker);
	free(j->worker);
	free(j);
}

static void
job_done(evutil_socket_t fd, short what, void *arg)
{
	struct hand_job *j = arg;
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf text = { 0 };
	char **names = NULL;

	(void)fd;
	(void)what;
	if (image_job_end(j->job, &names, &e) == 0)
		for (char **n = names; *n; n++) {
			buf_addf(&text, "%s%s", n == names ? "" : "\n", *n);
			free(*n);
		}
	free(names);
	hand_sync(j->hand);
	/* an image whose name moved on, unless a pod runs on it */
	(void)images_sweep(j->hand->images, NULL);
	/* Who hears that an image was pulled finds it in the list, and pulls it no second time.
	 */
	hand_report_images(j->hand);
	hand_answer(j->hand, j->id, buf_text(&text), e);
	try_images(j->hand);
	job_free(j);
}

int
do_cancel(struct order *o, struct error **e)
{
	const struct ask_args *args = o->body;
	cleanup_error struct error *why = NULL;

	(void)e;
	for (struct hand_job *j = o->hand->jobs; j; j = j->next) {
		if (j->id != args->id)
			continue;
		fail(&why, WHY_INVALID,
		     j->worker ? "it was cancelled"
			       : "the sender left before the archive was whole");
		image_job_cancel(j->job);
		job_free(j);
		hand_answer(o->hand, args->id, "", why);
		break;
	}
	return 0;
}

struct hand_job *
hand_job_add(struct hand *h, struct image_job *job, int64_t id)
{
	struct hand_job *j = xcalloc(1, sizeof *j);

	*j = (struct hand_job){ .hand = h, .job = job, .id = id, .next = h->jobs };
	h->jobs = j;
	j->readable = event_new(h->base, image_job_fd(job), EV_READ, job_done, j);
	event_add(j->readable, NULL);
	return j;
}

int
do_pull(struct order *o, struct error **e)
{
	const struct pull_args *args = o->body;
	cleanup_error struct error *why = NULL;

	(void)e;
	if (hand_pull(o->hand, o->action->name, args->id, &why) < 0)
		hand_answer(o->hand, args->id, "", why);
	return 0;
}

int
do_save(struct order *o, struct error **e)
{
	const struct ask_args *args = o->body;
	cleanup_error struct error *why = NULL;
	struct image_job *job = NULL;

	(void)e;
	if (o->message->nfds != 1)
		fail(&why, WHY_INVALID, "save: nowhere to write to came along");
	else if ((strcmp(o->action->kind, "images")
		      ? image_save(o->hand->images, o->action->name, o->message->fds[0],
				   args->keep, &job, &why)
		      : images_verify(o->hand->images, o->message->fds[0], &job, &why)) == 0)
		hand_job_add(o->hand, job, args->id);
	if (why)
		hand_answer(o->hand, args->id, "", why);
	return 0;
}

int
do_import(struct order *o, struct error **e)
{
	const struct import_args *args = o->body;
	struct image_config config = {
		.entrypoint = spec_strings(&args->entrypoint, o->arena),
		.cmd = spec_strings(&args->cmd, o->arena),
		.env = spec_strings(&args->env, o->arena),
		.ports = spec_strings(&args->ports, o->arena),
		.working_dir = args->workingDir,
		.user = args->user,
	};
	cleanup_error struct error *why = NULL;
	const char *name = strcmp(o->action->name, "-") ? o->action->name : NULL;
	struct image_job *job = NULL;
	int rc;

	(void)e;
	if (o->message->nfds != 1)
		rc = fail(&why, WHY_INVALID, "import: no archive came along");
	else if (!strcmp(args->format, "rootfs"))
		rc = image_import(o->hand->images, o->message->fds[0], name, &config, NULL,
				  &job, &why);
	else
		rc = image_load(o->hand->images, o->message->fds[0], name, NULL, &job, &why);
	if (rc < 0) {
		hand_answer(o->hand, args->id, "", why);
		return 0;
	}
	hand_job_add(o->hand, job, args->id);
	return 0;
}

int
do_remove(struct order *o, struct error **e)
{
	const struct ask_args *args = o->body;
	cleanup_error struct error *why = NULL;

	(void)e;
	image_remove(o->hand->images, o->action->name, &why);
	hand_report_images(o->hand);
	hand_answer(o->hand, args->id, "", why);
	return 0;
}

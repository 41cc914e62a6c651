/* hand_sync.c -- brings to the disk what images have come in, while they are already used.
 *
 * A process does it (runtime/image_sync.c), for it takes seconds; the loop hears how it ended.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "config.h"
#include "hand_state.h"
#include "loop.h"

#define AGAIN_MS 10000

static void
sync_done(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	struct image_job *j = h->sync;
	cleanup_error struct error *e = NULL;
	char **none = NULL;

	(void)fd;
	(void)what;
	event_free(h->sync_ended);
	h->sync_ended = NULL;
	h->sync = NULL;
	if (image_job_end(j, &none, &e) == 0) {
		free(none);
		hand_sync(h); /* what came in meanwhile */
		return;
	}
	log_err("images", "%s", error_text(e));
	(void)images_sweep(h->images, NULL);
	hand_report_images(h); /* some may be gone */
	if (images_unsynced(h->images))
		timer_arm(h->sync_timer, AGAIN_MS);
}

void
hand_sync(struct hand *h)
{
	cleanup_error struct error *e = NULL;

	if (h->sync)
		return;
	if (images_sync(h->images, &h->sync, &e) < 0) {
		log_warn("images", "%s; what came in is not on the disk yet", error_text(e));
		timer_arm(h->sync_timer, AGAIN_MS);
		return;
	}
	if (!h->sync)
		return;
	h->sync_ended = event_new(h->base, image_job_fd(h->sync), EV_READ, sync_done, h);
	event_add(h->sync_ended, NULL);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hand_sync(arg);
}

void
hand_sync_open(struct hand *h)
{
	h->sync_timer = evtimer_new(h->base, on_timer, h);
	hand_sync(h);
}

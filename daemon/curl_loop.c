/* curl_loop.c -- see curl_loop.h. */
#include "curl_loop.h"
#include "../reconcile/base/buf.h"
#include "loop.h"
#include <stdlib.h>

struct curl_loop {
	struct event_base *base;
	curl_loop_fn *done;
	CURLM *multi;
	struct event *timer;
};

static void
collect(struct curl_loop *l)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left))) {
		void *mine = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&mine);
		l->done(mine, m->data.result);
	}
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *l = arg;
	int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) |
		    (what & EV_WRITE ? CURL_CSELECT_OUT : 0),
	    running;

	curl_multi_socket_action(l->multi, fd, flags, &running);
	collect(l);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *l = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(l);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct curl_loop *l = arg;
	struct event *ev = known;

	(void)easy;
	if (ev)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		ev = event_new(l->base, fd,
			       (short)((what & CURL_POLL_IN ? EV_READ : 0) |
				       (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST),
			       on_socket, l);
		event_add(ev, NULL);
	}
	curl_multi_assign(l->multi, fd, ev);
	return 0;
}

static int
watch_timer(CURLM *multi, long ms, void *arg)
{
	struct curl_loop *l = arg;

	(void)multi;
	if (ms < 0)
		event_del(l->timer);
	else
		timer_arm(l->timer, ms);
	return 0;
}

struct curl_loop *
curl_loop_new(struct event_base *base, curl_loop_fn *done)
{
	struct curl_loop *l = xcalloc(1, sizeof *l);

	curl_global_init(CURL_GLOBAL_DEFAULT);
	l->base = base;
	l->done = done;
	l->multi = curl_multi_init();
	l->timer = evtimer_new(base, on_timer, l);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, watch_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	return l;
}

void
curl_loop_free(struct curl_loop *l)
{
	if (!l)
		return;
	curl_multi_cleanup(l->multi);
	event_free(l->timer);
	free(l);
}

void
curl_loop_add(struct curl_loop *l, CURL *easy)
{
	curl_multi_add_handle(l->multi, easy);
}

void
curl_loop_remove(struct curl_loop *l, CURL *easy)
{
	curl_multi_remove_handle(l->multi, easy);
	curl_easy_cleanup(easy);
}

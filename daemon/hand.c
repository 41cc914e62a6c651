/* hand.c -- the process that is root: starts the brain, hears it, and keeps
 * runtime and rules going when it is not there.
 *
 * Invariant: nothing here reads a byte that a user, an image or a network
 * wrote; only verbs (hand_verbs.c), and what the kernel says.
 */
#include "hand.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/log.h"
#include "config.h"
#include "hand_host.h"
#include "hand_spec.h"
#include "hand_state.h"
#include "loop.h"
#include "notify.h"
#include "source_frame.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	CHECK_MS = 2000,
	DRAIN_MS = 20,
	BRAIN_LEAVE_MS = 5000,
	BRAIN_HUNG_UP_MS = 500,
	BRAIN_BACKOFF_MS = 200,
	BRAIN_BACKOFF_MAX_MS = 10000
};
enum {
	AHEAD_MS = 100,
	AHEAD_NEXT_MS = 10,
	AHEAD_AGAIN_MS = 5000 /* where one ended by itself, the next may, too */
};

/* ---- what the brain is told ---- */

void
hand_send(struct hand *h, const char *line, const struct kind *kind, const void *body,
	  const int *fds, int nfds)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf json = { 0 };

	if (!h->wire)
		return; /* a new brain is told everything at its start */
	schema_encode(kind, body, &json);
	if (wire_send(h->wire, line, buf_text(&json), fds, nfds, &e) < 0)
		log_err("brain", "%s was not told: %s", line, error_text(e));
}

static struct pod_seen *
pod_seen_of(const struct hand *h, const char *uid, struct arena *a)
{
	const struct rt_pod_status *s = rt_pod_status(h->rt, uid);
	const struct hand_pod *p = map_get(&h->pods, uid);
	struct pod_seen *seen;

	if (s) {
		seen = spec_seen(s, a);
	} else {
		seen = arena_zalloc(a, sizeof *seen);
		seen->uid = uid;
		seen->state = "gone";
	}
	if (p) {
		seen->ip = p->ip ? ipv4_text(p->ip, a) : NULL;
		seen->drained = p->drained;
	}
	return seen;
}

/* Who heard that it is there is to hear of its end, too. */
static void
pod_was_told(struct hand *h, const char *uid)
{
	struct hand_pod *p = map_get(&h->pods, uid);

	if (p)
		p->unmade = false;
}

void
hand_report_pod(struct hand *h, const char *uid)
{
	cleanup_arena struct arena a = { 0 };

	hand_send(h, "pod_seen", pod_seen_kind(), pod_seen_of(h, uid, &a), NULL, 0);
	pod_was_told(h, uid);
}

enum { PART_DIGITS = 16 };

static void
parts_fill(struct hand *h, const struct image *x, struct image_seen *ret, struct arena *a)
{
	const char *id;
	int64_t bytes;
	size_t n = 0;

	while (image_part(h->images, x, n, &bytes))
		n++;
	ret->parts.at = arena_zalloc(a, (n + 1) * sizeof *ret->parts.at);
	while ((id = image_part(h->images, x, ret->parts.n, &bytes)))
		ret->parts.at[ret->parts.n++] =
		    (struct part_seen){ .id = arena_strndup(a, id, PART_DIGITS),
					.size = bytes };
}

static void
images_seen_fill(struct hand *h, struct images_seen *ret, struct arena *a)
{
	const struct image *const *list;
	size_t n = images_list(h->images, &list);

	ret->images.at = arena_zalloc(a, (n + 1) * sizeof *ret->images.at);
	ret->images.n = n;
	for (size_t i = 0; i < n; i++) {
		ret->images.at[i] = (struct image_seen){
			.name = list[i]->name,
			.id = list[i]->id,
			.size = list[i]->size,
			.created = list[i]->created_ms,
			.layers = list[i]->nlayers,
			.digest = list[i]->digest,
			.manifest = list[i]->manifest,
		};
		parts_fill(h, list[i], &ret->images.at[i], a);
	}
}

void
hand_report_images(struct hand *h)
{
	cleanup_arena struct arena a = { 0 };
	struct images_seen seen = { 0 };

	images_seen_fill(h, &seen, &a);
	hand_send(h, "images_seen", images_seen_kind(), &seen, NULL, 0);
}

void
hand_answer(struct hand *h, int64_t id, const char *text, const struct error *e)
{
	struct answer_seen a = { .id = id, .text = text, .error = e ? error_text(e) : NULL };

	hand_send(h, "answer_seen", answer_seen_kind(), &a, NULL, 0);
}

/* The first word to a new brain: the configuration, the sockets it serves, the
 * host as it is, and every pod that is there. */
static void
brain_greet(struct hand *h)
{
	cleanup_arena struct arena a = { 0 };
	struct host_seen *host = arena_zalloc(&a, sizeof *host);
	struct images_seen images = { 0 };
	const char *const *uids;
	const int doors[] = { h->listen_tcp, h->listen_tls };
	int fds[3] = { h->listen_unix }, nfds = 1;
	size_t n = rt_pods(h->rt, &uids);

	for (int i = 0; i < 2; i++)
		if (doors[i] >= 0)
			fds[nfds++] = doors[i];
	hand_send(h, h->listen_tcp < 0 ? "config tls" : "config plain", config_kind(),
		  h->config, fds, nfds);
	host_facts(h, host, &a);
	host->pods_found.at = arena_zalloc(&a, (n + 1) * sizeof *host->pods_found.at);
	for (size_t i = 0; i < n; i++) {
		host->pods_found.at[i] = *pod_seen_of(h, arena_strdup(&a, uids[i]), &a);
		pod_was_told(h, uids[i]);
	}
	host->pods_found.n = n;
	images_seen_fill(h, &images, &a);
	host->images.at = images.images.at;
	host->images.n = images.images.n;
	host->stores = stores_seen_new(h, &a);
	hand_send(h, "host_seen", host_seen_kind(), host, NULL, 0);
}

/* ---- pods ---- */

struct hand_pod *
hand_pod(struct hand *h, const char *uid)
{
	struct hand_pod *p = map_get(&h->pods, uid);

	if (!p && rt_pod_status(h->rt, uid)) {
		p = xcalloc(1, sizeof *p);
		p->uid = xstrdup(uid);
		map_put(&h->pods, uid, p);
	}
	return p;
}

static void
hand_pod_forget(struct hand *h, const char *uid)
{
	struct hand_pod *p = map_del(&h->pods, uid);

	if (!p)
		return;
	if (p->ip) {
		np_forget(h->np, p->ip, NULL);
		np_flush_flows(h->np, p->ip, NULL);
	}
	free(p->uid);
	free(p);
}

void
hand_rt_arm(struct hand *h)
{
	int ms = rt_timeout(h->rt);

	if (ms >= 0)
		timer_arm(h->rt_timer, ms);
	/* A call may have left events that the fd does not announce again. */
	event_active(h->rt_event, EV_READ, 0);
}

static void
rt_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	struct rt_event ev;
	bool gone = false;
	int ms;

	(void)fd;
	(void)what;
	while (rt_next(h->rt, &ev)) {
		if (ev.type == RT_POD_CHANGED) {
			const struct rt_pod_status *s = rt_pod_status(h->rt, ev.uid);
			const struct hand_pod *p = map_get(&h->pods, ev.uid);

			/* "gone" would take the place of "failed", which has a back-off */
			if (!p || !p->unmade)
				hand_report_pod(h, ev.uid);
			if (!s || s->state == RT_POD_GONE) {
				hand_pod_forget(h, ev.uid);
				gone = true;
			}
		} else if (ev.type == RT_EXEC_DONE) {
			struct exec_done done = { .id = ev.exec_id,
						  .exitCode = ev.exit_code,
						  .error = ev.error };

			hand_send(h, "exec_done", exec_done_kind(), &done, NULL, 0);
		} else if (ev.type == RT_AHEAD_ENDED) {
			timer_arm(h->ahead_timer, AHEAD_AGAIN_MS);
		} else if (ev.type == RT_LENT) {
			struct answer_seen answer = { .id = ev.exec_id };

			hand_send(h, ev.nfds == 1 ? "connect_fd" : "exec_fds",
				  answer_seen_kind(), &answer, ev.fds, ev.nfds);
			for (int i = 0; i < ev.nfds; i++)
				close(ev.fds[i]);
		}
	}
	if (gone) /* an image that lost its name may have been theirs alone */
		(void)images_sweep(h->images, NULL);
	if ((ms = rt_timeout(h->rt)) >= 0)
		timer_arm(h->rt_timer, ms);
}

void
hand_drain_arm(struct hand *h)
{
	timer_arm(h->drain_timer, 0);
}

static void
drain_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	bool more = false;

	(void)fd;
	(void)what;
	for (struct map_slot *s = map_first(&h->pods); s; s = map_next(&h->pods, s)) {
		struct hand_pod *p = s->value;
		unsigned flows = 0;
		bool known;

		if (!p->drain_until)
			continue;
		known = np_drain(h->np, p->ip, &flows, NULL) == 0;
		if ((flows || !known) && monotonic_ms() < p->drain_until) {
			more = true;
			continue;
		}
		p->drain_until = 0;
		p->drained = true;
		hand_report_pod(h, p->uid);
	}
	if (more)
		timer_arm(h->drain_timer, DRAIN_MS);
}

/* ---- rules ---- */

static void
rules_report(struct hand *h, const struct error *e)
{
	struct committed_seen c = { .generation = h->begun, .error = e ? error_text(e) : NULL };

	hand_send(h, "committed_seen", committed_seen_kind(), &c, NULL, 0);
}

static void np_on_event(evutil_socket_t, short what, void *hand);

static void
rules_await(struct hand *h)
{
	h->np_event = event_new(h->base, np_fd(h->np), EV_READ, np_on_event, h);
	event_add(h->np_event, NULL);
}

static void
np_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	cleanup_error struct error *e = NULL;
	bool more;

	(void)fd;
	(void)what;
	more = np_commit_end(h->np, &e) > 0;
	event_free(h->np_event);
	h->np_event = NULL;
	if (more) {
		rules_await(h);
		return;
	}
	h->committing = false;
	if (e)
		log_err("rules", "%s", error_text(e));
	rules_report(h, e);
	if (h->commit_again) {
		h->commit_again = false;
		hand_rules_commit(h);
	}
}

void
hand_rules_commit(struct hand *h)
{
	cleanup_error struct error *why = NULL;

	if (h->committing) {
		h->commit_again = true;
		return;
	}
	h->begun = h->generation;
	if (np_commit(h->np, &why) < 0) {
		log_err("rules", "%s", error_text(why));
		rules_report(h, why);
		return;
	}
	if (np_fd(h->np) < 0) { /* nothing differed */
		rules_report(h, NULL);
		return;
	}
	h->committing = true;
	rules_await(h);
}

/* A pod's link that somebody removed is made anew: the pod lives, and its namespace with it. */
static void
links_mend(struct hand *h)
{
	for (struct map_slot *s = map_first(&h->pods); s; s = map_next(&h->pods, s)) {
		const struct hand_pod *p = s->value;
		const struct rt_pod_status *st = rt_pod_status(h->rt, p->uid);
		cleanup_error struct error *e = NULL;
		cleanup_close int process = -1, netns = -1;

		if (!p->ip || !st || st->state != RT_POD_UP || np_plugged(h->np, p->ip))
			continue;
		process = rt_pod_process(h->rt, p->uid);
		netns = process < 0 ? -1 : openat(process, "ns/net", O_RDONLY | O_CLOEXEC);
		if (netns < 0)
			continue; /* it ended meanwhile */
		if (np_plug(h->np, netns, p->ip, &e) < 0)
			log_err(st->name, "its link is gone: %s", error_text(e));
		else
			log_warn(st->name, "somebody removed its link; it has another");
	}
}

/* Somebody else may flush what is ours at any time; it is put back. */
static void
check_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	cleanup_error struct error *e = NULL;
	bool intact = true;

	(void)fd;
	(void)what;
	if (!h->committing && !h->first_commit) {
		if (np_check(h->np, &intact, &e) < 0)
			log_warn("rules", "check: %s", error_text(e));
		else if (!intact)
			hand_rules_commit(h);
		links_mend(h);
	}
	timer_arm(h->check_timer, CHECK_MS);
}

/* systemd starts us again when this stays away: the loop hangs. */
static void
watchdog_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;

	(void)fd;
	(void)what;
	notify_send("WATCHDOG=1");
	timer_arm(h->watchdog_timer, notify_watchdog_ms());
}

/* ---- processes ---- */

static void brain_start(struct hand *);

static void
child_kill(struct child *c, int sig)
{
	kill(c->pid, sig); /* ours and not yet waited for: the number cannot be another's */
}

static void
brain_lost(void *arg, const char *why)
{
	struct hand *h = arg;

	wire_free(h->wire);
	h->wire = NULL;
	/* What it had set is kept in force; a new brain says anew what it wants. */
	for (struct map_slot *s = map_first(&h->services); s; s = map_next(&h->services, s))
		map_put(&h->stale, s->key, h);
	map_done(&h->services);
	h->first_commit = true;
	if (!h->leaving)
		log_warn("brain", "gone (%s); pods and rules stay as they are", why);
	/* Who talks nonsense, or hung up and stays, would be in the next one's way.  One that
	 * is about to end has something to say by how it does. */
	for (struct child *c = h->children; c && !h->leaving; c = c->next) {
		struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

		if (!c->source && poll(&p, 1, BRAIN_HUNG_UP_MS) <= 0)
			child_kill(c, SIGKILL);
	}
}

static void
child_free(struct child *c)
{
	struct child **at = &c->hand->children;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (c->ended)
		event_free(c->ended);
	close(c->pidfd);
	free(c->source);
	free(c);
}

static void
child_on_end(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	struct hand *h = c->hand;
	bool brain = !c->source, dns = c->source && !strcmp(c->source, HAND_DNS);
	int status = 0;

	(void)fd;
	(void)what;
	waitpid(c->pid, &status, 0);
	if (!brain)
		log_debug("hand", "worker %s ended (%d)", c->source, status);
	child_free(c);
	if (dns)
		hand_dns_ended(h);
	if (!brain || h->leaving)
		return;
	if (h->wire)
		brain_lost(h, "it ended");
	/* It said why it cannot begin; trying again would not change that. */
	if (!h->was_ready && WIFEXITED(status) && WEXITSTATUS(status) == 1) {
		hand_leave(h, 1);
		return;
	}
	if (monotonic_ms() - h->brain_started > 60000)
		h->brain_starts = 0;
	timer_arm(h->brain_timer, h->brain_starts < 2 ? 0
				  : h->brain_starts > 7
				      ? BRAIN_BACKOFF_MAX_MS
				      : BRAIN_BACKOFF_MS << (h->brain_starts - 2));
}

/* A child of ours with one end of a socketpair; the other end is *ret. */
int
hand_child(struct hand *h, const char *role, const char *source, struct identity id, int *ret,
	   struct error **e)
{
	struct child *c = xcalloc(1, sizeof *c);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(c);
		return fail_sys(e, "make the socket to a new %s", role);
	}
	if (spawn_role(role, id, pair[1], &c->pid, &c->pidfd, e) < 0) {
		close(pair[0]);
		close(pair[1]);
		free(c);
		return -1;
	}
	close(pair[1]);
	c->hand = h;
	c->source = xstrdup(source);
	c->next = h->children;
	h->children = c;
	c->ended = event_new(h->base, c->pidfd, EV_READ, child_on_end, c);
	event_add(c->ended, NULL);
	*ret = pair[0];
	return 0;
}

static void
brain_start(struct hand *h)
{
	cleanup_error struct error *e = NULL;
	int sock;

	if (h->leaving)
		return;
	h->brain_starts++;
	h->brain_started = monotonic_ms();
	h->first_commit = true;
	if (hand_child(h, "brain", NULL, h->brain_id, &sock, &e) < 0) {
		log_err("brain", "%s", error_text(e));
		timer_arm(h->brain_timer, BRAIN_BACKOFF_MAX_MS);
		return;
	}
	fcntl(sock, F_SETFL, O_NONBLOCK);
	h->wire = wire_new(h->base, sock, hand_hear, brain_lost, h);
	brain_greet(h);
	hand_dns_brain(h);
}

static void
brain_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	brain_start(arg);
}

void
hand_worker_stop(struct hand *h, const char *source)
{
	for (struct child *c = h->children; c; c = c->next)
		if (c->source && !strcmp(c->source, source))
			child_kill(c, SIGTERM);
}

/* What a worker may watch: its source as the operator's configuration has it. */
static int
worker_bind(const struct config_source *c, int sock, struct error **e)
{
	const struct watch_args args = config_watch(c);
	cleanup_buf struct buf json = { 0 };

	schema_encode(watch_args_kind(), &args, &json);
	return frame_post(sock, FRAME_BIND, json.at, json.len, e);
}

/* A local source is read with its owner's rights, often root's, a remote one with
 * the brain's.  So the brain only names a source: were the path its to say, who took
 * it over could read every file of the host. */
int
hand_worker(struct hand *h, const char *source, struct error **e)
{
	const struct config_source *c = h->config->sources.at;
	cleanup_error struct error *why = NULL;
	struct identity id = h->brain_id;
	struct answer_seen answer = { 0 };
	cleanup_free char *line = NULL;
	cleanup_close int sock = -1;

	while (c < h->config->sources.at + h->config->sources.n && strcmp(c->name, source))
		c++;
	if (c == h->config->sources.at + h->config->sources.n)
		return fail(e, WHY_FORBIDDEN, "there is no source \"%s\" in the configuration",
			    source);
	hand_worker_stop(h, source);
	xasprintf(&line, "worker %s", source);
	if ((*c->url == '/' && identity_of_path(c->url, &id, &why) < 0) ||
	    (!strncmp(c->url, "file://", 7) && identity_of_path(c->url + 7, &id, &why) < 0) ||
	    hand_child(h, "source", source, id, &sock, &why) < 0 ||
	    worker_bind(c, sock, &why) < 0) {
		answer.error = error_text(why);
		hand_send(h, line, answer_seen_kind(), &answer, NULL, 0);
		return 0;
	}
	hand_send(h, line, answer_seen_kind(), &answer, &sock, 1);
	return 0;
}

/* ---- start and end ---- */

void
hand_leave(struct hand *h, int exit_code)
{
	h->leaving = true;
	h->exit_code = exit_code;
	event_base_loopbreak(h->base);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	hand_leave(arg, 0);
}

/* One at a time, so that nobody waits long for us meanwhile; no timer once all are there. */
static void
ahead_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hand *h = arg;
	cleanup_close int netns = -1;

	(void)fd;
	(void)what;
	if (h->leaving || (netns = rt_ahead(h->rt)) < 0)
		return;
	np_ahead(h->np, netns, (unsigned)h->config->limits->warmPods);
	timer_arm(h->ahead_timer, AHEAD_NEXT_MS);
}

/* Begun anew by every start: pods that come in a burst do not share the processor with it. */
void
hand_ahead_arm(struct hand *h)
{
	timer_arm(h->ahead_timer, AHEAD_MS);
}

static void
events_make(struct hand *h)
{
	static const int signals[] = { SIGTERM, SIGINT };

	h->rt_event = event_new(h->base, rt_fd(h->rt), EV_READ | EV_PERSIST, rt_on_event, h);
	event_add(h->rt_event, NULL);
	h->rt_timer = evtimer_new(h->base, rt_on_event, h);
	h->check_timer = evtimer_new(h->base, check_on_timer, h);
	h->drain_timer = evtimer_new(h->base, drain_on_timer, h);
	hand_sync_open(h);
	h->brain_timer = evtimer_new(h->base, brain_on_timer, h);
	h->ahead_timer = evtimer_new(h->base, ahead_on_timer, h);
	h->watchdog_timer = evtimer_new(h->base, watchdog_on_timer, h);
	for (int i = 0; i < 2; i++) {
		h->signals[i] = evsignal_new(h->base, signals[i], on_signal, h);
		event_add(h->signals[i], NULL);
	}
	timer_arm(h->check_timer, CHECK_MS);
	if (notify_watchdog_ms())
		timer_arm(h->watchdog_timer, 0);
	hand_rt_arm(h);
	hand_ahead_arm(h);
}

/* The brain leaves when its line closes, and on its way out writes what the disk has
 * not taken yet.  One that does not is ended, as it is when we are asked twice. */
static void
brain_end(struct hand *h, struct child *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	wire_free(h->wire);
	h->wire = NULL;
	if (poll(&p, 1, BRAIN_LEAVE_MS) <= 0)
		child_kill(c, SIGKILL);
}

static void
children_end(struct hand *h)
{
	for (struct child *c = h->children, *next; c; c = next) {
		next = c->next;
		if (c->source && !strcmp(c->source, HAND_DNS) && !h->down) {
			child_free(c); /* it goes on as the pods do */
			continue;
		}
		if (c->source)
			child_kill(c, SIGKILL);
		else
			brain_end(h, c);
		waitpid(c->pid, NULL, 0);
		child_free(c);
	}
}

int
hand_main(struct config *config)
{
	cleanup_error struct error *e = NULL;
	struct hand h = { .config = config,
			  .listen_unix = -1,
			  .listen_tcp = -1,
			  .listen_tls = -1,
			  .locks = { -1, -1 } };

	log_role("hand");
	if (hand_open(&h, &e) < 0) {
		log_err("start", "%s", error_text(e));
		return 1;
	}
	events_make(&h);
	hand_dns_open(&h);
	brain_start(&h);
	event_base_dispatch(h.base);
	notify_send("STOPPING=1");
	if (h.wire) {
		struct timeval brief = { 0, 20000 };

		/* What was answered last still has to reach the brain. */
		event_base_loopexit(h.base, &brief);
		event_base_dispatch(h.base);
	}
	children_end(&h);
	hand_dns_close(&h, h.down);
	if (h.down)
		return hand_down(&h);
	hand_socket_remove(&h);
	return h.exit_code;
}

/* brain.c -- one loop: hear, look, decide, send.
 *
 * A pass takes a snapshot, runs the controllers and carries out their plan,
 * again and again until a plan changes nothing.  Anything may poke a pass.
 */
#include "brain.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/controllers.h"
#include "brain_fetch.h"
#include "brain_gc.h"
#include "brain_pull.h"
#include "brain_state.h"
#include "health.h"
#include "hooks.h"
#include "loop.h"
#include "notify.h"
#include "probe.h"
#include "spawn.h"
#include "trim.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

enum {
	ROUNDS_MAX = 64,
	FLUSH_RETRY_MS = 2000,
	FLUSH_HOLD_MS = 250,
	TRIM_MS = 2000,
	PASS_MS = 250,
	NUDGE_MS = 1000
};

/* ---- passes ---- */

void
brain_poke(struct brain *b)
{
	if (b->poked || !b->pass_event)
		return;
	b->poked = true;
	event_active(b->pass_event, EV_TIMEOUT, 0);
}

void
brain_nudge(struct brain *b)
{
	struct timeval due;

	if (!event_pending(b->again_timer, EV_TIMEOUT, &due) ||
	    due.tv_sec * 1000 + due.tv_usec / 1000 > now_ms() + NUDGE_MS)
		timer_arm(b->again_timer, NUDGE_MS);
}

int
brain_tell(struct brain *b, const struct action *a, const int *fds, int nfds)
{
	const struct kind *(*kind)(void) = verbs[a->verb].body;
	cleanup_buf struct buf line = { 0 }, json = { 0 };
	cleanup_error struct error *e = NULL;

	if (!b->wire)
		return -1;
	action_print(a, &line);
	if (kind)
		schema_encode(kind(), a->body, &json);
	if (wire_send(b->wire, buf_text(&line), kind ? buf_text(&json) : NULL, fds, nfds, &e) ==
	    0)
		return 0;
	log_err("hand", "%s was not told: %s", buf_text(&line), error_text(e));
	return -1;
}

void
brain_snapshot(struct brain *b, struct snapshot *s, struct arena *a)
{
	*s = (struct snapshot){ .now = now_ms(), .settings = &b->settings, .arena = a };
	if (getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed)
		s->seed = s->now;
	store_view(b->store, s);
	seen_fill(b, s);
	deploy_waits(b, s);
}

/* One look; true when it changed something, so that another is worth it. */
static bool
brain_round(struct brain *b, int64_t *ret_again)
{
	cleanup_arena struct arena a = { 0 };
	struct snapshot s;
	struct plan p;
	bool changed = false;

	brain_snapshot(b, &s, &a);
	plan_init(&p, &a);
	controllers_run(&s, &p);
	for (size_t i = 0; i < p.n; i++)
		changed |= carry(b, &p.at[i]);
	if (!changed)
		brain_dns_sync(b, &s, &a);
	*ret_again = p.again_at;
	return changed;
}

/* While the hand makes pods, their folders and files go to the disk that the mirror is
 * on, and each fsync of the mirror would hold them up: it waits until they run, but not
 * for long.  With nothing for the mirror no fsync is due. */
static bool
flush_waits(struct brain *b)
{
	int64_t now = monotonic_ms();

	if (!b->nstarting || !sources_pending(b->sources))
		return false;
	if (!b->held_since)
		b->held_since = now;
	if (now - b->held_since >= FLUSH_HOLD_MS)
		return false;
	timer_arm(b->flush_timer, FLUSH_HOLD_MS - (now - b->held_since));
	return true;
}

int
brain_flush(struct brain *b, struct error **ret)
{
	cleanup_error struct error *e = NULL, *e2 = NULL;

	b->held_since = 0;
	/* The commit before the revision that speaks of it: after a crash between the two
	 * it is applied once more, where the other way round an older one would be. */
	if (sources_flush(b->sources, &e2) < 0)
		log_err("mirror", "%s; trying again in 2 s", error_text(e2));
	if (store_commit(b->store, &e) < 0)
		log_err("store", "%s; trying again in 2 s, pods are not touched by this",
			error_text(e));
	free(b->unsaved);
	b->unsaved = e || e2 ? xstrdup(error_text(e ? e : e2)) : NULL;
	if (b->unsaved)
		timer_arm(b->flush_timer, FLUSH_RETRY_MS);
	return e ? fail_with(ret, &e) : 0;
}

/* The first COMMIT of this life tells the hand what we do not want, also when that is
 * everything. */
static void
rules_begin(struct brain *b)
{
	struct action a = {
		.verb = ACT_COMMIT, .kind = "rules", .ns = "", .name = "all", .why = "started"
	};

	if (b->rules_unknown && !b->committing && b->ready)
		carry(b, &a);
}

/* What left the store but stands in the revision in force is made again. */
static bool
drift_repair(struct brain *b)
{
	bool changed = false;

	for (size_t i = 0; b->watches && i < b->config->sources.n; i++)
		if (b->watches[i].drifted)
			changed |= deploy_repair(b, &b->watches[i]);
	return changed;
}

/* What Git wants back is put back first, so that no revision is judged healthy
 * in the moment between an old pod's end and the new one's beginning. */
static bool
brain_step(struct brain *b, int64_t *ret_again)
{
	bool repaired = drift_repair(b);

	return brain_round(b, ret_again) || repaired;
}

/* Logs go with their pod, as in Kubernetes. */
static void
logs_sweep(struct brain *b)
{
	cleanup_arena struct arena a = { 0 };
	struct objects pods = store_all(b->store, RES_pod);
	struct keep_args args = { 0 };
	struct action act = { .verb = ACT_SWEEP,
			      .kind = "",
			      .ns = "",
			      .name = "logs",
			      .why = "of pods that are gone",
			      .body = &args };

	b->sweep = false;
	args.uids.at = arena_alloc(&a, (pods.n + 1) * sizeof *args.uids.at);
	for (size_t i = 0; i < pods.n; i++)
		args.uids.at[args.uids.n++] = object_uid(pods.at[i]);
	brain_tell(b, &act, NULL, 0);
}

static void
on_pass(evutil_socket_t fd, short what, void *arg)
{
	struct brain *b = arg;
	int64_t again = 0, end = monotonic_ms() + PASS_MS;
	bool more = true;
	int rounds = 0;

	(void)fd;
	(void)what;
	b->poked = false;
	if (!b->host)
		return;
	hooks_sync(b->hooks);
	if (b->pull_ended) {
		b->pull_ended = false;
		deploys_go_on(b, true);
	}
	prober_sync(b->prober); /* verdicts of what runs are part of what is seen */
	while (more && rounds < ROUNDS_MAX && monotonic_ms() < end) {
		more = brain_step(b, &again);
		rounds++;
	}
	deploy_refused(b); /* by what the rounds have counted anew */
	rules_begin(b);
	healths_sync(b->healths);
	if (b->sweep && b->ready)
		logs_sweep(b);
	if (!flush_waits(b))
		brain_flush(b, NULL);
	if (more && rounds == ROUNDS_MAX) {
		log_warn("plan", "still changing after %d rounds; going on in a moment",
			 ROUNDS_MAX);
		again = now_ms() + 100;
	} else if (more) {
		again = now_ms(); /* after whoever has been waiting meanwhile */
	}
	if (!event_pending(b->trim_timer, EV_TIMEOUT, NULL))
		timer_arm(b->trim_timer, TRIM_MS);
	if (again)
		timer_arm(b->again_timer, again > now_ms() ? again - now_ms() : 1);
	else
		event_del(b->again_timer);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	brain_poke(arg);
}

/* A pass that came upon much leaves much behind. */
static void
on_trim(evutil_socket_t fd, short what, void *arg)
{
	struct brain *b = arg;

	(void)fd;
	(void)what;
	if (b->trimmed)
		trim_heap();
	else
		trim_start();
	b->trimmed = true;
}

/* ---- what the hand says ---- */

struct heard {
	struct brain *brain;
	struct message *message;
	const char *rest; /* of the line, after its first word */
	const void *body;
	struct arena *arena;
};

static void
hear_host(struct heard *h)
{
	struct brain *b = h->brain;
	const struct host_seen *seen = h->body;

	arena_free(&b->host_arena);
	b->host = schema_clone(host_seen_kind(), seen, &b->host_arena);
	if (!b->settings.node_name || !*b->settings.node_name)
		b->settings.node_name = b->host->hostname;
	b->settings.node_ip = b->host->nodeIP;
	b->settings.node_ip6 = b->host->nodeIP6;
	for (size_t i = 0; i < seen->pods_found.n; i++)
		seen_pod(b, &seen->pods_found.at[i]);
	if (seen->stores)
		seen_stores(b, seen->stores);
	arena_free(&b->images_arena);
	b->images = arena_zalloc(&b->images_arena, sizeof *b->images);
	*b->images = *(struct images_seen *)schema_clone(
	    images_seen_kind(),
	    &(struct images_seen){ .images = { seen->images.at, seen->images.n } },
	    &b->images_arena);
	brain_serve(b);
}

static void
hear_pod(struct heard *h)
{
	seen_pod(h->brain, h->body);
	brain_poke(h->brain);
}

static void
hear_committed(struct heard *h)
{
	const struct committed_seen *c = h->body;

	rules_committed(h->brain, c);
	if (c->error && *c->error)
		timer_arm(h->brain->again_timer, 1000);
	else
		brain_poke(h->brain);
}

/* The descriptor that came along, taken; -1: none did. */
static int
fd_take(struct heard *h)
{
	return h->message->nfds ? steal_fd(&h->message->fds[0]) : -1;
}

static void
hear_worker(struct heard *h)
{
	const struct answer_seen *a = h->body;

	deploy_worker(h->brain, h->rest, fd_take(h), a->error);
}

static void
hear_puller(struct heard *h)
{
	const struct answer_seen *a = h->body;

	pull_attach(h->brain, a->id, fd_take(h));
}

static void
hear_images(struct heard *h)
{
	struct brain *b = h->brain;

	arena_free(&b->images_arena);
	b->images = schema_clone(images_seen_kind(), h->body, &b->images_arena);
	brain_images_changed(b);
	brain_poke(b);
}

static void
hear_stores(struct heard *h)
{
	seen_stores(h->brain, h->body);
	brain_poke(h->brain);
}

static void
hear_exec_done(struct heard *h)
{
	const struct exec_done *d = h->body;

	if (!prober_exec_done(h->brain->prober, d->id, d->exitCode, d->error))
		brain_exec_done(h->brain, d->id, d->exitCode, d->error);
}

static void
hear_exec_fds(struct heard *h)
{
	const struct answer_seen *a = h->body;

	if (h->message->nfds == 1 &&
	    prober_exec_output(h->brain->prober, a->id, h->message->fds[0]))
		h->message->fds[0] = -1;
	else
		brain_exec_fds(h->brain, a->id, h->message->fds, h->message->nfds);
}

static void
hear_connect_fd(struct heard *h)
{
	const struct answer_seen *a = h->body;

	if (h->message->nfds == 1)
		brain_connected(h->brain, a->id, &h->message->fds[0]);
}

static void
hear_answer(struct heard *h)
{
	const struct answer_seen *a = h->body;

	if (!pull_answered(h->brain, a->id, a->error))
		brain_hand_answered(h->brain, a->id, a->text, a->error);
}

static void
hear_usage(struct heard *h)
{
	brain_usage_seen(h->brain, h->body);
}

static void
hear_refused(struct heard *h)
{
	event_of_refusal(h->brain, h->body);
}

static void
hear_look(struct heard *h)
{
	brain_look_seen(h->brain, h->body);
}

/* The process that answers names: it is told all of them. */
static void
hear_dns(struct heard *h)
{
	if (h->message->nfds == 1)
		brain_dns_attach(h->brain, fd_take(h));
}

static void hear_config(struct heard *);

static const struct {
	const char *word;
	const struct kind *(*body)(void);
	void (*fn)(struct heard *);
} table[] = {
	{ "config", config_kind, hear_config },
	{ "host_seen", host_seen_kind, hear_host },
	{ "pod_seen", pod_seen_kind, hear_pod },
	{ "committed_seen", committed_seen_kind, hear_committed },
	{ "refused_seen", refused_seen_kind, hear_refused },
	{ "worker", answer_seen_kind, hear_worker },
	{ "puller", answer_seen_kind, hear_puller },
	{ "images_seen", images_seen_kind, hear_images },
	{ "stores_seen", stores_seen_kind, hear_stores },
	{ "exec_done", exec_done_kind, hear_exec_done },
	{ "exec_fds", answer_seen_kind, hear_exec_fds },
	{ "connect_fd", answer_seen_kind, hear_connect_fd },
	{ "answer_seen", answer_seen_kind, hear_answer },
	{ "dns", answer_seen_kind, hear_dns },
	{ "usage_seen", usage_seen_kind, hear_usage },
	{ "look_seen", look_seen_kind, hear_look },
};

static void
on_message(void *arg, struct message *m)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints cs = { .arena = &a, .path = "hand" };
	struct heard h = { .brain = arg, .message = m, .arena = &a };
	size_t len = strcspn(m->line, " ");
	struct tree *t;

	h.rest = m->line[len] ? m->line + len + 1 : "";
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strlen(table[i].word) != len || strncmp(table[i].word, m->line, len))
			continue;
		t = json_read(m->body, m->body_len, &a, &cs);
		h.body = t ? schema_decode(table[i].body(), t, SCHEMA_TRUSTED, &a, &cs) : NULL;
		if (cs.errors || !h.body)
			log_err("hand", "%s: %s", m->line,
				cs.first ? cs.first->text : "no body");
		else if (h.brain->config || !strcmp(table[i].word, "config"))
			table[i].fn(&h);
		return;
	}
	log_err("hand", "unknown word: %s", m->line);
}

static void
on_end(void *arg, const char *why)
{
	struct brain *b = arg;

	if (strcmp(why, "closed"))
		log_err("hand", "%s", why);
	b->leaving = true;
	event_base_loopbreak(b->base);
}

/* ---- start and end ---- */

static void
brain_fail(struct brain *b, const struct error *e)
{
	log_err("start", "%s", error_text(e));
	b->exit_code = 1;
	b->leaving = true;
	event_base_loopbreak(b->base);
}

/* Everything that needs a path is open after this; then the walls go up. */
static void
hear_config(struct heard *h)
{
	struct brain *b = h->brain;
	cleanup_error struct error *e = NULL;
	cleanup_free char *db = NULL, *repo = NULL, *audit = NULL;

	b->config = schema_clone(config_kind(), h->body, &b->arena);
	int *const doors[] = { &b->listen_unix,
			       !strcmp(h->rest, "plain") ? &b->listen_tcp : &b->listen_tls,
			       &b->listen_tls };

	for (int i = 0; i < h->message->nfds && i < 3; i++)
		*doors[i] = steal_fd(&h->message->fds[i]);
	xasprintf(&db, "%s/state.db", b->config->state);
	xasprintf(&repo, "%s/repo.git", b->config->state);
	if (config_settings(b->config, &b->settings, &e) < 0 ||
	    store_open(db, &b->store, &e) < 0 || sources_open(repo, &b->sources, &e) < 0) {
		brain_fail(b, e);
		return;
	}
	rest_open(b);
	events_open(b);
	b->prober = prober_new(b);
	b->hooks = hooks_new(b);
	b->healths = healths_new(b);
	if (b->config->audit) /* its folder: it is rotated there */
		audit = xstrndup(b->config->audit->path,
				 strrchr(b->config->audit->path, '/') - b->config->audit->path);
	sandbox_enter("brain",
		      (const char *const[]){ b->config->logs, "/etc", "/usr", "/lib", "/lib64",
					     "/proc", "/sys/devices/system/cpu", "/dev/urandom",
					     NULL },
		      (const char *const[]){ b->config->state, "/dev/null", audit, NULL });
}

void
brain_serve(struct brain *b)
{
	cleanup_error struct error *e = NULL;
	struct action a = {
		.verb = ACT_READY, .kind = "", .ns = "", .name = "brain", .why = ""
	};

	if (b->ready) {
		brain_poke(b);
		return;
	}
	if (brain_api_open(b, &e) < 0) {
		brain_fail(b, e);
		return;
	}
	deploy_open(b);
	gc_open(b);
	b->ready = true;
	brain_poke(b);
	brain_tell(b, &a, NULL, 0);
}

static void
brain_close(struct brain *b)
{
	brain_api_close(b);
	brain_dns_close(b);
	gc_close(b);
	pulls_close(b);
	hooks_free(b->hooks);
	healths_free(b->healths);
	prober_free(b->prober);
	if (b->store && b->sources)
		brain_flush(b, NULL);
	free(b->unsaved);
	store_close(b->store);
	sources_close(b->sources);
	wire_free(b->wire);
}

int
brain_main(int fd)
{
	struct brain b = { .listen_unix = -1,
			   .listen_tcp = -1,
			   .listen_tls = -1,
			   .rules_unknown = true,
			   .sweep = true,
			   /* no number of a brain before, whose jobs may still answer */
			   .next_id = now_ms() * 1000 };

	log_role("brain");
	signal(SIGPIPE, SIG_IGN);
	/* The terminal's ^C is for the hand, which then closes our socket. */
	signal(SIGINT, SIG_IGN);
	umask(027);
	prctl(PR_SET_DUMPABLE, 0);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	b.base = event_base_new();
	b.pass_event = event_new(b.base, -1, 0, on_pass, &b);
	b.again_timer = evtimer_new(b.base, on_again, &b);
	b.flush_timer = evtimer_new(b.base, on_again, &b);
	b.trim_timer = evtimer_new(b.base, on_trim, &b);
	b.wire = wire_new(b.base, fd, on_message, on_end, &b);
	event_base_dispatch(b.base);
	brain_close(&b);
	return b.exit_code;
}

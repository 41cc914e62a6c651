/* rollout.c -- random worlds: a Deployment is edited, scaled, paused and reverted
 * while pods start late, crash, vanish and linger, and plans are cut anywhere.
 *
 * After each single action the promises of deployment.c and pod.c are checked;
 * once the world is left in peace it must settle to an empty plan with exactly
 * the wanted pods, and with one ReplicaSet a template however often it came back.
 */
#include "control.h"

enum {
	WORLDS = 2000,
	TROUBLED = 40,
	PEACE = 400,
	TEMPLATES = 4,
	BAD = 3 /* never gets ready */
};

struct world {
	struct kit k;
	unsigned seed, number;
	int64_t ceiling; /* what sum(want) may be: the limit, or what it was at the last edit */
	bool scaled;     /* replicas changed: until it is settled, sizes move in proportion */
	struct service_args rule;
	struct endpoint_args at[64];
	struct buf history; /* for a failed check: what happened */
};

static unsigned
dice(struct world *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

#define CHECK(w, cond)                                                \
	do {                                                          \
		if (!(cond)) {                                        \
			fprintf(stderr, "world %u:%s\n", (w)->number, \
				buf_text(&(w)->history));             \
			fail_msg("%s", #cond);                        \
		}                                                     \
	} while (0)

static void
note(struct world *w, const char *what)
{
	buf_addf(&w->history, "\n  %s", what);
}

static struct deployment *
deployment(struct world *w)
{
	return kit_find(&w->k, RES_deployment, "web");
}

/* ---- what is, counted without any of the controllers' own code ---- */

static bool
is_ready(const struct pod *p)
{
	for (size_t i = 0; p->status && i < p->status->conditions.n; i++)
		if (!strcmp(p->status->conditions.at[i].type, "Ready"))
			return !strcmp(p->status->conditions.at[i].status, "True");
	return false;
}

static bool
is_available(const struct pod *p, int64_t min_ready, int64_t now)
{
	for (size_t i = 0; is_ready(p) && i < p->status->conditions.n; i++)
		if (!strcmp(p->status->conditions.at[i].type, "Ready"))
			return p->status->conditions.at[i].lastTransitionTime +
				   min_ready * 1000 <=
			       now;
	return false;
}

static bool
belongs(const struct pod *p, const struct replica_set *rs)
{
	return object_controller(p) && !strcmp(object_controller(p)->uid, object_uid(rs));
}

struct sums {
	int64_t want, available;
};

static struct sums
sums(struct world *w)
{
	struct sums all = { 0 };

	for (size_t i = 0; i < w->k.n[RES_replica_set]; i++) {
		const struct replica_set *rs = (void *)w->k.of[RES_replica_set][i];
		int64_t up = 0;

		for (size_t j = 0; j < w->k.n[RES_pod]; j++) {
			const struct pod *p = (void *)w->k.of[RES_pod][j];

			up += belongs(p, rs) && !p->metadata->deletionTimestamp &&
			      is_available(p, rs->spec->minReadySeconds, w->k.now);
		}
		all.want += rs->spec->replicas;
		all.available += up < rs->spec->replicas ? up : rs->spec->replicas;
	}
	return all;
}

static void
limits(struct world *w, int64_t *ret_surge, int64_t *ret_unavailable)
{
	const struct deployment_spec *d = deployment(w)->spec;
	const struct rolling_update_deployment *ru = d->strategy->rollingUpdate;
	int64_t up = 0, down = 0;

	if (!strcmp(d->strategy->type, "Recreate")) {
		*ret_surge = 0;
		*ret_unavailable = d->replicas;
		return;
	}
	up = iors_of(ru->maxSurge, d->replicas, true);
	down = iors_of(ru->maxUnavailable, d->replicas, false);
	*ret_surge = up;
	*ret_unavailable = up || down ? down : 1;
}

static bool
serves(const struct world *w, const char *ip)
{
	for (size_t i = 0; i < w->rule.endpoints.n; i++)
		if (!strcmp(w->at[i].ip, ip))
			return true;
	return false;
}

/* ---- promises ---- */

static void
check_stop(struct world *w, const struct action *a)
{
	const struct pod *p = kit_find(&w->k, RES_pod, a->name);
	struct kit_pod *seen = p ? kit_pod_of(&w->k, object_uid(p)) : NULL;
	int64_t began;

	if (!seen || !p->metadata->deletionTimestamp ||
	    strcmp(seen->at[0].state ? seen->at[0].state : "", "running"))
		return;
	began = p->metadata->deletionTimestamp - p->metadata->deletionGracePeriodSeconds * 1000;
	CHECK(w, !serves(w, p->status->podIP) || w->k.now >= began + w->k.settings.drain_ms);
	CHECK(w, seen->seen.drained || w->k.now >= began + w->k.settings.drain_ms);
}

static void
check_forget(struct world *w, const struct action *a)
{
	const struct pod *p = kit_find(&w->k, RES_pod, a->name);
	struct kit_pod *seen;

	CHECK(w, p && p->metadata->deletionTimestamp);
	seen = kit_pod_of(&w->k, object_uid(p));
	CHECK(w, !seen || !strcmp(seen->seen.state, "gone") ||
		     !strcmp(seen->seen.state, "failed"));
}

/* No address is given twice, and none is in use on the host before the store knows it. */
static void
check_address(struct world *w, const struct action *a)
{
	const struct sandbox_args *args = a->body;
	size_t users = 0;

	for (size_t i = 0; i < w->k.n[RES_pod]; i++) {
		const struct pod *p = (void *)w->k.of[RES_pod][i];

		users += p->status && p->status->podIP && !strcmp(p->status->podIP, args->ip);
	}
	CHECK(w, users == 1);
}

static void
check_versions_apart(struct world *w, const struct action *a)
{
	const struct pod *made = a->body;
	const struct deployment_spec *d = deployment(w)->spec;

	if (strcmp(d->strategy->type, "Recreate"))
		return;
	for (size_t i = 0; i < w->k.n[RES_pod]; i++) {
		const struct pod *p = (void *)w->k.of[RES_pod][i];

		CHECK(w, !strcmp(p->spec->containers.at[0].image,
				 made->spec->containers.at[0].image));
	}
}

static void
check_sets(struct world *w)
{
	for (size_t i = 0; i < w->k.n[RES_replica_set]; i++)
		for (size_t j = 0; j < i; j++) {
			const struct replica_set *a = (void *)w->k.of[RES_replica_set][i];
			const struct replica_set *b = (void *)w->k.of[RES_replica_set][j];

			CHECK(w, strcmp(a->spec->template->spec->containers.at[0].image,
					b->spec->template->spec->containers.at[0].image));
		}
}

static void
carry(struct world *w, const struct action *a)
{
	struct sums before = sums(w), after;
	int64_t surge, unavailable, floor;

	limits(w, &surge, &unavailable);
	floor = deployment(w)->spec->replicas - unavailable;
	note(w, "");
	action_print(a, &w->history);
	if (a->verb == ACT_STOP)
		check_stop(w, a);
	if (a->verb == ACT_FORGET)
		check_forget(w, a);
	if (a->verb == ACT_START)
		check_address(w, a);
	if (a->verb == ACT_CREATE && !strcmp(a->kind, "pod"))
		check_versions_apart(w, a);
	kit_carry(&w->k, a);
	if (a->verb == ACT_STATUS)
		return;
	after = sums(w);
	CHECK(w, after.want <= w->ceiling);
	/* sizes in proportion are rounded, as in Kubernetes: that may cost one */
	CHECK(w, before.available < floor || after.available >= floor ||
		     strstr(a->why, "in proportion"));
	check_sets(w);
}

/* ---- trouble ---- */

static void
ceiling_reset(struct world *w)
{
	int64_t surge, unavailable, limit;

	limits(w, &surge, &unavailable);
	limit = deployment(w)->spec->replicas + surge;
	w->ceiling = sums(w).want;
	if (w->ceiling < limit)
		w->ceiling = limit;
}

static void
edit(struct world *w)
{
	struct deployment *d = object_clone(deployment(w), &w->k.arena);
	unsigned what = dice(w, 8);

	if (what < 5) {
		d->spec->template->spec->containers.at[0].image =
		    arena_printf(&w->k.arena, "web:%u", dice(w, TEMPLATES));
		note(w, d->spec->template->spec->containers.at[0].image);
	} else if (what < 7) {
		d->spec->replicas = dice(w, 7);
		note(w, arena_printf(&w->k.arena, "replicas %d", (int)d->spec->replicas));
	} else {
		d->spec->paused = !d->spec->paused;
		note(w, d->spec->paused ? "pause" : "resume");
	}
	kit_update(&w->k, d);
	ceiling_reset(w);
}

/* What a container does next; in peace only good things happen. */
static void
live(struct world *w, struct kit_pod *p, bool peace)
{
	const struct pod *o = NULL;
	struct container_seen *c = &p->at[0];
	bool bad;

	for (size_t i = 0; i < w->k.n[RES_pod]; i++)
		if (!strcmp(object_uid(w->k.of[RES_pod][i]), p->seen.uid))
			o = (void *)w->k.of[RES_pod][i];
	bad = o && !strcmp(o->spec->containers.at[0].image,
			   arena_printf(&w->k.arena, "web:%d", BAD));
	if (!strcmp(c->state, "running") && (bad || (!peace && !dice(w, 12)))) {
		c->state = "waiting";
		c->reason = "CrashLoopBackOff";
		c->lastReason = "Error";
		c->lastExitCode = 1;
		c->lastStartedAt = c->startedAt;
		c->lastFinishedAt = w->k.now;
	} else if (!strcmp(c->state, "waiting") && !bad && (peace || !dice(w, 2))) {
		c->restartCount += c->lastFinishedAt != 0;
		c->state = "running";
		c->reason = NULL;
		c->startedAt = w->k.now;
	}
}

static void
host(struct world *w, bool peace)
{
	struct kit *k = &w->k;

	k->now += 1 + dice(w, 900);
	for (size_t i = 0; i < k->npods; i++) {
		struct kit_pod *p = k->pods[i];

		if (!peace && dice(w, 3))
			continue;
		if (!strcmp(p->seen.state, "starting")) {
			p->at[0] = (struct container_seen){ .name = "web", .state = "waiting" };
			p->seen.containers.at = p->at;
			p->seen.containers.n = 1;
			p->seen.state = !peace && !dice(w, 10) ? "failed" : "up";
		} else if (!strcmp(p->seen.state, "up")) {
			live(w, p, peace);
			p->seen.drained = p->draining && (peace || !dice(w, 3));
			if (!peace && !dice(w, 25))
				p->seen.state = "gone"; /* its first process was killed */
		} else if (!strcmp(p->seen.state, "stopping")) {
			p->seen.state = "gone";
		}
	}
	if (!peace && dice(w, 3))
		return; /* the rules follow late */
	w->rule.endpoints.n = 0;
	for (size_t i = 0; i < k->n[RES_pod]; i++) {
		const struct pod *p = (void *)k->of[RES_pod][i];

		if (is_ready(p) && !p->metadata->deletionTimestamp)
			w->at[w->rule.endpoints.n++] =
			    (struct endpoint_args){ .ip = p->status->podIP, .port = 80 };
	}
	w->rule.endpoints.at = w->at;
}

/* ---- passes ---- */

static void
plan(struct world *w)
{
	struct snapshot *s = kit_snapshot(&w->k);
	struct plan *p = &w->k.plan;

	for (size_t i = 0; i < s->of[RES_deployment].n; i++)
		deployment_reconcile(s, (const void *)s->of[RES_deployment].at[i], p);
	for (size_t i = 0; i < s->of[RES_replica_set].n; i++)
		replicaset_reconcile(s, (const void *)s->of[RES_replica_set].at[i], p);
	for (size_t i = 0; i < s->of[RES_pod].n; i++)
		pod_reconcile(s, (const void *)s->of[RES_pod].at[i], p);
	garbage_reconcile(s, p);
}

static void
begin(struct world *w, unsigned seed)
{
	static const char *const some[] = { "0", "1", "2", "25%", "50%", "100%" };
	bool recreate;

	*w = (struct world){ .seed = seed, .number = seed };
	kit_init(&w->k);
	w->k.rules[0] = (struct programmed){ "default/web:http", &w->rule };
	w->k.nrules = 1;
	recreate = !dice(w, 5);
	kit_read(&w->k, "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n---\n"
			"apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
			"spec: {selector: {app: web}, ports: [{name: http, port: 80}]}\n");
	kit_read(
	    &w->k,
	    arena_printf(&w->k.arena,
			 "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
			 "spec:\n  replicas: %u\n  minReadySeconds: %u\n"
			 "  revisionHistoryLimit: %u\n"
			 "  selector: {matchLabels: {app: web}}\n"
			 "  strategy: {type: %s%s%s%s%s}\n"
			 "  template:\n    metadata: {labels: {app: web}}\n"
			 "    spec: {containers: [{name: web, image: 'web:0'}]}\n",
			 dice(w, 7), dice(w, 4) ? 0 : dice(w, 3), 1 + dice(w, 10),
			 recreate ? "Recreate" : "RollingUpdate",
			 recreate ? "" : ", rollingUpdate: {maxSurge: ",
			 recreate ? "" : some[dice(w, 6)], recreate ? "" : ", maxUnavailable: ",
			 recreate ? "" : arena_printf(&w->k.arena, "%s}", some[dice(w, 6)])));
	ceiling_reset(w);
}

/* The last word: a good template, not paused. */
static void
make_peace(struct world *w)
{
	struct deployment *d = object_clone(deployment(w), &w->k.arena);

	d->spec->paused = false;
	d->spec->template->spec->containers.at[0].image =
	    arena_printf(&w->k.arena, "web:%u", dice(w, BAD));
	kit_update(&w->k, d);
	note(w, "peace");
	ceiling_reset(w);
}

static void
check_settled(struct world *w)
{
	const struct deployment *d = deployment(w);
	int64_t n = 0;

	for (size_t i = 0; i < w->k.n[RES_pod]; i++) {
		const struct pod *p = (void *)w->k.of[RES_pod][i];

		n += is_ready(p) && !strcmp(p->spec->containers.at[0].image,
					    d->spec->template->spec->containers.at[0].image);
	}
	CHECK(w, n == d->spec->replicas);
	CHECK(w, (int64_t)w->k.n[RES_pod] == n && w->k.npods == w->k.n[RES_pod]);
	CHECK(w, d->status->availableReplicas == n && d->status->updatedReplicas == n);
	CHECK(w, d->status->observedGeneration == d->metadata->generation);
	CHECK(w, (int64_t)w->k.n[RES_replica_set] <= d->spec->revisionHistoryLimit + 1);
}

static int
one_world(unsigned seed)
{
	struct world w;
	int round, quiet = 0;

	begin(&w, seed);
	for (round = 0; round < TROUBLED + PEACE && quiet < 4; round++) {
		bool peace = round >= TROUBLED;
		size_t cut;

		if (round == TROUBLED)
			make_peace(&w);
		else if (!peace && !dice(&w, 8))
			edit(&w);
		plan(&w);
		cut = dice(&w, 3) ? w.k.plan.n : dice(&w, (unsigned)w.k.plan.n + 1);
		for (size_t i = 0; i < cut; i++)
			carry(&w, &w.k.plan.at[i]);
		/* settled: nothing to do, and nothing that only time will bring but deadlines
		 */
		quiet = peace && !w.k.plan.n ? quiet + 1 : 0;
		if (w.k.plan.n == 0 && w.k.plan.again_at > w.k.now && peace) {
			w.k.now = w.k.plan.again_at;
			quiet = 0;
		}
		host(&w, peace);
	}
	CHECK(&w, quiet >= 4);
	check_settled(&w);
	kit_done(&w.k);
	buf_done(&w.history);
	return round;
}

static void
every_world_keeps_its_promises_and_settles(void **state)
{
	int slowest = 0, worlds = getenv("WORLDS") ? atoi(getenv("WORLDS")) : WORLDS;
	int first = getenv("WORLD") ? atoi(getenv("WORLD")) : 1;

	(void)state;
	for (int seed = first; seed < first + worlds; seed++) {
		int rounds = one_world((unsigned)seed);

		slowest = rounds > slowest ? rounds : slowest;
	}
	print_message("%d worlds settled, the slowest in %d rounds\n", worlds, slowest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_world_keeps_its_promises_and_settles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

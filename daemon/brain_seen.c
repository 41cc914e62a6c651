/* brain_seen.c -- what is there: pods as the hand tells them, rules as it acknowledged them.
 *
 * A verb that was sent shows here at once as what it will lead to ("starting"),
 * so that the next pass does not ask again; the hand's word replaces it.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/transport.h"
#include "../reconcile/pod.h"
#include "brain_state.h"
#include "loop.h"
#include "probe.h"
#include <stdlib.h>
#include <string.h>

static void
row_free(struct brain *b, struct pod_row *r)
{
	if (!r)
		return;
	b->nstarting -= r->starting;
	arena_free(&r->arena);
	free(r);
}

/* A few ends may be accidents; who ran for ten minutes begins anew, as with containers. */
enum { LOST_FREE = 5, LOST_RESET_MS = 10 * 60 * 1000 };

struct pod_row *
seen_row(struct brain *b, const char *uid)
{
	return map_get(&b->pods, uid);
}

static void
seen_put(struct brain *b, const struct pod_seen *seen, bool draining, bool starting)
{
	struct pod_row *r = xcalloc(1, sizeof *r);
	const struct pod_row *was = seen_row(b, seen->uid);

	if (was) {
		r->unmade = was->unmade;
		r->lost = was->lost;
		r->began = was->began;
	}
	r->seen = schema_clone(pod_seen_kind(), seen, &r->arena);
	r->draining = draining;
	r->starting = starting;
	b->nstarting += starting;
	row_free(b, map_put(&b->pods, r->seen->uid, r));
	b->pods_changed = true;
}

/* On its way up, and no container of it came to anything. */
static bool
nothing_yet(const struct pod_seen *p)
{
	if (strcmp(p->state, "starting") && strcmp(p->state, "up"))
		return false;
	for (size_t i = 0; i < p->containers.n; i++) {
		const struct container_seen *c = &p->containers.at[i];

		if (strcmp(c->state, "waiting") ||
		    (c->reason && *c->reason && strcmp(c->reason, "ContainerCreating")))
			return false;
	}
	return true;
}

/* Nobody asked it to. */
static void
sandbox_lost(struct pod_row *row)
{
	if (monotonic_ms() - row->began > LOST_RESET_MS)
		row->lost = 0;
	if (++row->lost > LOST_FREE)
		row->seen->startAgain = now_ms() + again_after(row->lost - LOST_FREE - 1);
}

void
seen_pod(struct brain *b, const struct pod_seen *seen)
{
	struct pod_row *was = seen_row(b, seen->uid);
	struct pod_seen full = *seen;
	bool lost =
	    was && pod_is_up(was->seen) && !was->seen->stopBy && !strcmp(seen->state, "gone");

	/* The hand does not know a pod's name once it is gone, nor always its address. */
	if (was) {
		if (!full.ns || !*full.ns)
			full.ns = was->seen->ns;
		if (!full.name || !*full.name)
			full.name = was->seen->name;
		if (!full.ip || !*full.ip)
			full.ip = was->seen->ip;
	}
	if ((!full.ip || !*full.ip) && full.ns && full.name) {
		/* A hand that found the pod does not know what address we gave it. */
		const struct pod *pod = store_find(b->store, RES_pod, full.ns, full.name);

		if (pod && !strcmp(object_uid(pod), full.uid) && pod->status)
			full.ip = pod->status->podIP;
	}
	full.filesAgain = was ? was->seen->filesAgain : 0;
	full.startAgain = was ? was->seen->startAgain : 0;
	full.stopBy = was ? was->seen->stopBy : 0;
	event_of_pod(b, was ? was->seen : NULL, &full);
	seen_put(b, &full, was && was->draining && !full.drained,
		 was && was->starting && nothing_yet(&full));
	if (lost)
		sandbox_lost(seen_row(b, seen->uid));
}

void
seen_pod_forget(struct brain *b, const char *uid)
{
	struct pod_row *r = map_del(&b->pods, uid);

	row_free(b, r);
	b->pods_changed = true;
}

void
seen_starting(struct brain *b, const struct action *a)
{
	const struct sandbox_args *args = a->body;
	struct pod_row *was = seen_row(b, args->uid);
	struct pod_seen seen = { .uid = args->uid,
				 .ns = a->ns,
				 .name = a->name,
				 .ip = args->ip,
				 .state = "starting" };

	if (was)
		seen.containers = was->seen->containers;
	seen_put(b, &seen, false, true);
	was = seen_row(b, args->uid);
	was->unmade = 0; /* they are made with it */
	was->began = monotonic_ms();
	if (!args->hostNetwork) {
		free(b->last_ip);
		b->last_ip = xstrdup(args->ip);
	}
}

void
seen_added(struct brain *b, const struct action *a)
{
	const struct add_args *args = a->body;
	struct pod_row *row = seen_row(b, args->uid);
	struct container_seen *at;
	size_t n = row ? row->seen->containers.n : 0;

	if (!row)
		return;
	at = arena_zalloc(&row->arena, (n + 1) * sizeof *at);
	if (n)
		memcpy(at, row->seen->containers.at, n * sizeof *at);
	at[n] =
	    (struct container_seen){ .name = arena_strdup(&row->arena, args->container->name),
				     .state = "waiting" };
	row->seen->containers.at = at;
	row->seen->containers.n = n + 1;
}

void
seen_renewed(struct brain *b, const struct action *a)
{
	const struct add_args *args = a->body;
	struct pod_row *row = seen_row(b, args->uid);

	for (size_t i = 0; row && i < row->seen->containers.n; i++) {
		struct container_seen *c = &row->seen->containers.at[i];

		if (strcmp(c->name, args->container->name))
			continue;
		c->held = args->container->hold && !strcmp(c->state, "waiting");
		if (!args->container->hold && c->image &&
		    strcmp(c->image, args->container->image) != 0)
			c->imageNext = !strcmp(c->state, "running");
		if (!args->container->hold)
			c->image = arena_strdup(&row->arena, args->container->image);
		c->envVersion = args->container->envVersion
				    ? arena_strdup(&row->arena, args->container->envVersion)
				    : NULL;
	}
}

void
seen_unsaid(struct brain *b, const struct action *a, const char *why)
{
	const struct sandbox_args *args = a->body;
	struct pod_seen seen = { .uid = args->uid,
				 .ns = a->ns,
				 .name = a->name,
				 .state = "failed",
				 .message = why };

	seen_pod(b, &seen);
}

void
seen_files(struct brain *b, const struct action *a, bool made)
{
	struct pod_row *row = seen_row(b, ((const struct sandbox_args *)a->body)->uid);

	if (!row)
		return;
	row->seen->filesAgain = made ? 0 : now_ms() + again_after(row->unmade);
	row->unmade = made ? 0 : row->unmade + 1;
}

static int
pod_seen_compare(const void *a, const void *b)
{
	const struct pod_seen *const *x = a, *const *y = b;

	return strcmp((*x)->uid, (*y)->uid);
}

static int
programmed_compare(const void *a, const void *b)
{
	const struct programmed *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int
enforced_compare(const void *a, const void *b)
{
	const struct enforced *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void
pods_sort(struct brain *b)
{
	free(b->pods_sorted);
	b->pods_sorted = xcalloc(b->pods.n + 1, sizeof *b->pods_sorted);
	b->npods = 0;
	for (struct map_slot *s = map_first(&b->pods); s; s = map_next(&b->pods, s))
		b->pods_sorted[b->npods++] = ((struct pod_row *)s->value)->seen;
	qsort(b->pods_sorted, b->npods, sizeof *b->pods_sorted, pod_seen_compare);
	b->pods_changed = false;
}

static void
rules_pending(struct brain *b, const struct rule_row *r)
{
	for (; r; r = r->next) {
		if (!r->of_service) {
			b->enforcing =
			    xrealloc(b->enforcing, (b->nenforcing + 1) * sizeof *b->enforcing);
			b->enforcing[b->nenforcing++] = (struct enforced){ r->id, r->args };
			continue;
		}
		b->rules_pending =
		    xrealloc(b->rules_pending, (b->npending + 1) * sizeof *b->rules_pending);
		b->rules_pending[b->npending++] = (struct programmed){ r->id, r->args };
	}
}

static void
rules_sort(struct brain *b)
{
	free(b->rules_sorted);
	b->rules_sorted = xcalloc(b->rules.n + 1, sizeof *b->rules_sorted);
	free(b->enforced);
	b->enforced = xcalloc(b->rules.n + 1, sizeof *b->enforced);
	b->nrules = b->nenforced = 0;
	for (struct map_slot *s = map_first(&b->rules); s; s = map_next(&b->rules, s)) {
		struct rule_row *r = s->value;

		if (!r->of_service)
			b->enforced[b->nenforced++] = (struct enforced){ r->id, r->args };
		else
			b->rules_sorted[b->nrules++] = (struct programmed){ r->id, r->args };
	}
	qsort(b->rules_sorted, b->nrules, sizeof *b->rules_sorted, programmed_compare);
	qsort(b->enforced, b->nenforced, sizeof *b->enforced, enforced_compare);
	b->npending = b->nenforcing = 0;
	rules_pending(b, b->flying);
	rules_pending(b, b->staged);
	b->rules_changed = false;
}

void
seen_fill(struct brain *b, struct snapshot *s)
{
	if (b->pods_changed || !b->pods_sorted)
		pods_sort(b);
	if (b->rules_changed || !b->rules_sorted)
		rules_sort(b);
	s->pods = b->pods_sorted;
	s->npods = b->npods;
	s->programmed = b->rules_sorted;
	s->nprogrammed = b->nrules;
	s->pending = b->rules_pending;
	s->npending = b->npending;
	seen_resting(b, s);
	s->last_ip = b->last_ip;
	s->enforced = b->enforced;
	s->nenforced = b->nenforced;
	s->enforcing = b->enforcing;
	s->nenforcing = b->nenforcing;
	s->rules_unknown = b->rules_unknown;
	s->rules_error = b->rules_error;
	s->probes = prober_rows(b->prober, &s->nprobes);
	s->host = b->host;
	s->images = b->images;
	pulls_fill(b, s);
	s->stores = b->stores;
}

void
seen_stores(struct brain *b, const struct stores_seen *seen)
{
	arena_free(&b->stores_arena);
	b->stores = schema_clone(stores_seen_kind(), seen, &b->stores_arena);
	map_done(&b->stores_asked);
	b->stores_asked = (struct map){ 0 };
}

/* ---- rules ---- */

static void
rule_free(struct rule_row *r)
{
	if (!r)
		return;
	arena_free(&r->arena);
	free(r);
}

void
rules_stage(struct brain *b, const struct action *a)
{
	struct rule_row *r = xcalloc(1, sizeof *r);

	r->of_service = a->verb == ACT_PROGRAM || a->verb == ACT_RETIRE;
	if (r->of_service)
		r->id = arena_printf(&r->arena, "%s/%s", a->ns, a->name);
	else
		r->id = arena_printf(&r->arena, "%s %s/%s", a->kind, a->ns, a->name);
	if (a->body)
		r->args = schema_clone(verbs[a->verb].body(), a->body, &r->arena);
	r->next = b->staged;
	b->staged = r;
	b->rules_changed = true;
}

void
rules_commit(struct brain *b, const struct action *a)
{
	(void)a;
	b->flying = b->staged;
	b->staged = NULL;
	b->committing = true;
}

/* What a service's row had in force and has not, or not with that address and port, any more.
 */
static void
rules_rest(struct brain *b, const struct rule_row *old, const struct rule_row *new)
{
	const struct service_args *was, *now;
	addr ip;

	if (!old || !old->of_service)
		return;
	was = old->args;
	now = new ? new->args : NULL;
	if (!addr_read(was->ip, &ip) || !ip)
		return;
	if (!now || strcmp(now->ip, was->ip))
		rest_add(b, (uint32_t)(addr_v6(ip) ? ip ^ b->settings.svcs6.net : ip),
			 addr_v6(ip) ? RESTING_6 : NULL);
	if (was->nodePort && (!now || now->nodePort != was->nodePort))
		rest_add(b, (uint32_t)was->nodePort,
			 transports[transport_named(was->protocol)].name);
}

/* In force now, or (error) as it was before: then a later pass stages it again. */
void
rules_committed(struct brain *b, const struct committed_seen *c)
{
	struct rule_row *r, *next, *ordered = NULL;
	bool failed = c->error && *c->error;
	size_t rested = b->nresting;

	if (!b->committing || c->generation != b->generation)
		return; /* a repair by the hand itself */
	b->committing = false;
	free(b->rules_error);
	b->rules_error = failed ? xstrdup(c->error) : NULL;
	for (r = b->flying; r; r = next) { /* oldest first */
		next = r->next;
		r->next = ordered;
		ordered = r;
	}
	b->flying = NULL;
	for (r = ordered; r; r = next) {
		next = r->next;
		if (failed) {
			rule_free(r);
		} else if (r->args) {
			struct rule_row *was = map_put(&b->rules, r->id, r);

			rules_rest(b, was, r);
			rule_free(was);
		} else {
			struct rule_row *was = map_del(&b->rules, r->id);

			rules_rest(b, was, NULL);
			rule_free(was);
			rule_free(r);
		}
	}
	if (!failed)
		b->rules_unknown = false;
	if (b->nresting != rested)
		rest_keep(b);
	b->rules_changed = true;
}

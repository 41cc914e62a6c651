/* brain_carry.c -- carries out one action: in the store here, or by the hand.
 *
 * Repeating an action whose effect is under way changes nothing, so a pass
 * may come at any time.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/own.h"
#include "../reconcile/workload.h"
#include "brain_state.h"
#include "probe.h"
#include <string.h>

enum { RESIZE_AGAIN_MS = 5000 };

static const struct resource *
action_resource(const struct action *a)
{
	return resource_named(a->kind);
}

static bool
carry_create(struct brain *b, const struct action *a, struct error **e)
{
	return store_create(b->store, a->body, now_ms(), e) == 0;
}

static bool
carry_update(struct brain *b, const struct action *a, struct error **e)
{
	uint64_t before = store_version(b->store);
	cleanup_arena struct arena tokens = { 0 };
	const void *body = a->body;

	return brain_secret_put(b, &body, &tokens, e) == 0 &&
	       store_update(b->store, body, e) == 0 && store_version(b->store) != before;
}

/* What has finalizers, or is a namespace, is marked, and leaves when its controller says
 * FORGET. */
static bool
delete_other(struct brain *b, const struct resource *res, const struct action *a,
	     struct error **e)
{
	cleanup_arena struct arena arena = { 0 };
	const struct object *old = store_find(b->store, res->id, a->ns, a->name);
	struct object *o;

	/* Whoever deletes what Git states: it is made again.  A Service's port and address are
	 * free. */
	if (old && (own_is_signed(old) || res->id == RES_service))
		deploy_drifted(b, old);
	if (old && res->id == RES_event)
		event_forget(b, (const struct event *)old);
	if (!old || (!old->metadata->finalizers.n && res->id != RES_namespace))
		return store_delete(b->store, res->id, a->ns, a->name, e) == 0;
	if (old->metadata->deletionTimestamp)
		return false;
	o = object_clone(old, &arena);
	o->metadata->deletionTimestamp = now_ms();
	return store_update(b->store, o, e) == 0;
}

/* Who is leaving already can only be asked to be quicker; the time counts from the first time
 * that it was asked, as in Kubernetes. */
static void
mark_leaving(struct object_meta *m, int64_t grace)
{
	int64_t since = m->deletionTimestamp
			    ? m->deletionTimestamp - m->deletionGracePeriodSeconds * 1000
			    : now_ms();

	m->deletionGracePeriodSeconds = grace;
	m->deletionTimestamp = since + grace * 1000;
}

/* A pod goes through the promise of an ordered end; all else vanishes at once. */
static bool
carry_delete(struct brain *b, const struct action *a, struct error **e)
{
	cleanup_arena struct arena arena = { 0 };
	const struct resource *res = action_resource(a);
	const struct pod *old;
	struct pod *pod;
	int64_t grace;

	if (!res)
		return fail(e, WHY_INTERNAL, "no such kind: %s", a->kind) == 0;
	if (res->id != RES_pod)
		return delete_other(b, res, a, e);
	old = store_find(b->store, RES_pod, a->ns, a->name);
	if (!old || (old->metadata->deletionTimestamp &&
		     (!a->to || a->to >= old->metadata->deletionGracePeriodSeconds)))
		return false;
	pod = object_clone(old, &arena);
	grace = grace_counted(a->to ? a->to : pod->spec->terminationGracePeriodSeconds);
	mark_leaving(pod->metadata, grace);
	return store_update(b->store, pod, e) == 0;
}

static bool
carry_forget(struct brain *b, const struct action *a, struct error **e)
{
	const struct resource *res = action_resource(a);
	const void *obj = res ? store_find(b->store, res->id, a->ns, a->name) : NULL;

	if (!obj)
		return false;
	if (res->id == RES_pod) {
		seen_pod_forget(b, object_uid(obj));
		b->sweep = true;
	}
	deploy_forgotten(b, obj);
	return store_delete(b->store, res->id, a->ns, a->name, e) == 0;
}

static bool
carry_event(struct brain *b, const struct action *a)
{
	const struct event_args *args = a->body;
	const struct resource *res = action_resource(a);
	const void *obj = res ? store_find(b->store, res->id, a->ns, a->name) : NULL;
	struct event_note note = { args->type, args->reason, args->message, args->fieldPath };

	if (obj)
		event_about(b, obj, &note);
	return false; /* an Event moves nothing */
}

static bool
carry_store(struct brain *b, const struct action *a, struct error **e)
{
	switch (a->verb) {
	case ACT_CREATE:
		return carry_create(b, a, e);
	case ACT_UPDATE:
	case ACT_SCALE:
	case ACT_STATUS:
		return carry_update(b, a, e);
	case ACT_DELETE:
		return carry_delete(b, a, e);
	case ACT_FORGET:
		return carry_forget(b, a, e);
	case ACT_EVENT:
		return carry_event(b, a);
	case ACT_FETCH:
		return pull_fetch(b, a);
	default:
		return false;
	}
}

static bool
rules_verb(enum verb v)
{
	return v == ACT_PROGRAM || v == ACT_RETIRE || v == ACT_ADMIT || v == ACT_ISOLATE ||
	       v == ACT_RELEASE || v == ACT_COMMIT;
}

/* Until the hand tells of its pod again, which it does when the limits are others. */
static void
note_resize(struct brain *b, const struct resize_args *args)
{
	struct pod_row *row = seen_row(b, args->uid);

	for (size_t i = 0; row && i < row->seen->containers.n; i++)
		if (!strcmp(row->seen->containers.at[i].name, args->container))
			row->seen->containers.at[i].resizeAgain = now_ms() + RESIZE_AGAIN_MS;
}

/* What a verb leads to is noted before it is sent: false when it is under way already. */
static bool
carry_note(struct brain *b, struct action *a)
{
	struct pod_row *row;
	int64_t by;

	switch (a->verb) {
	case ACT_START:
		seen_starting(b, a);
		return true;
	case ACT_STOP:
		row = seen_row(b, ((const struct stop_args *)a->body)->uid);
		by = now_ms() + a->to * 1000;
		if (!row || (!strcmp(row->seen->state, "stopping") && row->seen->stopBy &&
			     by >= row->seen->stopBy))
			return !row;
		row->seen->state = "stopping";
		row->seen->stopBy = by;
		return true;
	case ACT_ADD:
		seen_added(b, a);
		return true;
	case ACT_RESIZE:
		note_resize(b, a->body);
		return true;
	case ACT_RENEW:
		seen_renewed(b, a);
		return true;
	case ACT_DRAIN:
		row = seen_row(b, ((const struct drain_args *)a->body)->uid);
		if (!row || row->draining)
			return false;
		row->draining = true;
		return true;
	case ACT_RESTART: {
		const struct restart_args *args = a->body;

		prober_forget(b->prober, args->uid, args->container);
		return true;
	}
	case ACT_PROVISION:
	case ACT_RECLAIM:
		return !map_put(&b->stores_asked, a->name, b);
	case ACT_PROGRAM:
	case ACT_RETIRE:
	case ACT_ADMIT:
	case ACT_ISOLATE:
	case ACT_RELEASE:
		rules_stage(b, a);
		return true;
	case ACT_COMMIT:
		a->from = b->generation;
		a->to = ++b->generation;
		rules_commit(b, a);
		return true;
	default:
		return true;
	}
}

static bool
carry_hand(struct brain *b, const struct action *action)
{
	cleanup_arena struct arena tokens = { 0 };
	cleanup_error struct error *e = NULL;
	struct action a = *action;

	if (rules_verb(a.verb) && b->committing)
		return false; /* one at a time; the acknowledgement pokes the next pass */
	if (!carry_note(b, &a))
		return false;
	if ((a.verb == ACT_START || a.verb == ACT_FILES) &&
	    brain_tokens_put(b, &a, &tokens, &e) < 0) {
		log_err(a.name, "%s", error_text(e));
		if (a.verb == ACT_START)
			seen_unsaid(b, &a, error_text(e));
		else
			seen_files(b, &a, false);
		return true; /* files that are there stay as they are */
	}
	if (a.verb == ACT_FILES)
		seen_files(b, &a, true);
	if (brain_tell(b, &a, NULL, 0) < 0 && a.verb == ACT_START)
		seen_unsaid(b, &a,
			    "what it is made of (the files of its volumes among it) is too "
			    "much to be sent at once");
	return true;
}

static bool
carry_with(struct brain *b, const struct action *a, struct error **e)
{
	bool hand = verbs[a->verb].who == VERB_HAND, done;

	if (a->verb == ACT_DELETE || a->verb == ACT_FORGET)
		event_of_action(b, a);
	done = hand ? carry_hand(b, a) : carry_store(b, a, e);
	if (!done)
		return false;
	if (a->verb != ACT_DELETE && a->verb != ACT_FORGET)
		event_of_action(b, a);
	if (a->verb != ACT_STATUS && a->verb != ACT_EVENT) {
		cleanup_buf struct buf line = { 0 };

		action_print(a, &line);
		log_info("plan", "%s", buf_text(&line));
	}
	return true;
}

bool
carry(struct brain *b, const struct action *a)
{
	cleanup_error struct error *e = NULL;
	bool done = carry_with(b, a, &e);

	if (e)
		log_err(a->name, "%s: %s", verbs[a->verb].word, error_text(e));
	return done;
}

int
carry_asked(struct brain *b, const struct action *a, struct error **e)
{
	struct error *why = NULL;

	carry_with(b, a, &why);
	return why ? fail_with(e, &why) : 0;
}

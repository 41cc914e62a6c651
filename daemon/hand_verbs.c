/* hand_verbs.c -- the closed set of things root does when asked.
 *
 * A message is an action line and a body.  The line must parse, the verb must
 * be one of the hand's, the body must decode by the kind that verbs.def names
 * with every row's limits, and what rows cannot say is checked by the functions
 * below and once more by runtime/ and netproxy/.  What fails any of this changes nothing.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/text.h"
#include "config.h"
#include "hand_order.h"
#include "hand_service.h"
#include "hand_spec.h"
#include "hand_state.h"
#include "notify.h"
#include "trim.h"
#include <string.h>

enum { REFUSED_A_SECOND = 200 };

static void
pod_failed(struct order *o, const char *uid, const char *refused, const struct error *e)
{
	struct pod_seen seen = { .uid = uid,
				 .ns = o->action->ns,
				 .name = o->action->name,
				 .state = "failed",
				 .message = error_text(e),
				 .refused = refused };

	hand_send(o->hand, "pod_seen", pod_seen_kind(), &seen, NULL, 0);
}

/* Flows of an address are cut and its link is removed: never another's than a pod's. */
static int
pod_ip(const struct order *o, const char *text, uint32_t *ret, struct error **e)
{
	const struct settings *set = &o->hand->settings;
	uint32_t ip, host;

	if (ipv4_parse(text, &ip, e) < 0)
		return -1;
	if (!ipv4_within(ip, set->pods.net, set->pods.bits))
		return fail(e, WHY_INVALID, "%s is outside the pods' range", text);
	host = ip & (uint32_t)(UINT64_C(0xffffffff) >> set->pods.bits);
	if (host < 2 || host == UINT64_C(0xffffffff) >> set->pods.bits)
		return fail(e, WHY_INVALID, "%s is no pod's address", text);
	*ret = ip;
	return 0;
}

/* The sandbox, its link, its containers; what was made is unmade when a later step fails. */
static int
pod_start(struct order *o, const struct sandbox_args *args, const char **ret_refused,
	  struct error **e)
{
	cleanup_close int netns = -1;
	struct rt_pod spec;
	struct hand_pod *p;
	uint32_t ip = 0;

	if ((!args->hostNetwork && pod_ip(o, args->ip, &ip, e) < 0) ||
	    spec_pod(args, o->action->ns, o->action->name, o->arena, &spec, e) < 0)
		return -1;
	/* Whatever the brain believes: not one packet before its rules. */
	if (args->isolated && !np_isolates(o->hand->np, ip))
		return fail(e, WHY_CONFLICT, "the rules that isolate %s are not in force",
			    args->ip);
	if (rt_pod_create(o->hand->rt, &spec, &netns, e) < 0) {
		*ret_refused = rt_pod_refused(o->hand->rt, &spec);
		return -1;
	}
	p = hand_pod(o->hand, args->uid);
	p->ip = ip;
	if (!args->hostNetwork && np_plug(o->hand->np, netns, ip, e) < 0)
		p->ip = 0; /* the link of that address is another's, and stays */
	else if (rt_pod_run(o->hand->rt, args->uid, e) == 0)
		return 0;
	rt_pod_stop(o->hand->rt, args->uid, 0, NULL);
	return -1;
}

static int
do_start(struct order *o, struct error **e)
{
	const struct sandbox_args *args = o->body;
	cleanup_error struct error *why = NULL;
	const struct rt_pod_status *there = rt_pod_status(o->hand->rt, args->uid);
	const char *refused = NULL;

	(void)e;
	if (there && there->state != RT_POD_GONE) {
		/* asked twice: the answer got lost, or what failed has not gone yet */
		hand_report_pod(o->hand, args->uid);
		return 0;
	}
	if (pod_start(o, args, &refused, &why) < 0) {
		struct hand_pod *rest = hand_pod(o->hand, args->uid);

		log_warn(o->action->name, "start: %s", error_text(why));
		pod_failed(o, args->uid, refused, why);
		if (rest)
			rest->unmade = true;
	} else {
		hand_report_pod(o->hand, args->uid);
	}
	hand_rt_arm(o->hand);
	hand_ahead_arm(o->hand);
	return 0;
}

static int
do_stop(struct order *o, struct error **e)
{
	const struct stop_args *args = o->body;
	struct hand_pod *p;
	uint32_t ip = 0;
	int rc;

	if (args->ip && *args->ip && pod_ip(o, args->ip, &ip, e) < 0)
		return -1;
	if (!(p = hand_pod(o->hand, args->uid))) {
		hand_report_pod(o->hand, args->uid); /* gone, which is what was wanted */
		return 0;
	}
	p->ip = p->ip ? p->ip : ip; /* what we plugged ourselves we know better */
	rc = rt_pod_stop(o->hand->rt, args->uid, o->action->to, e);
	hand_rt_arm(o->hand);
	return rc;
}

static int
do_resize(struct order *o, struct error **e)
{
	const struct resize_args *args = o->body;
	const struct rt_container size = { .cpu_milli = args->cpuMilli,
					   .cpu_shares = args->cpuShares,
					   .memory = args->memory,
					   .memory_high = args->memoryHigh,
					   .memory_min = args->memoryMin };
	const int grace = (int)args->grace;
	int rc = rt_container_resize(o->hand->rt, args->uid, args->container, &size,
				     args->restart ? &grace : NULL, e);

	hand_rt_arm(o->hand);
	return rc;
}

static int
do_restart(struct order *o, struct error **e)
{
	const struct restart_args *args = o->body;
	int rc = rt_container_restart(o->hand->rt, args->uid, args->container, args->grace, e);

	hand_rt_arm(o->hand);
	return rc;
}

static int
do_started(struct order *o, struct error **e)
{
	const struct started_args *args = o->body;

	return rt_container_started(o->hand->rt, args->uid, args->container, args->startedAt,
				    e);
}

static int
do_add(struct order *o, struct error **e)
{
	const struct add_args *args = o->body;
	struct rt_container c;
	int rc;

	spec_container(args->container, o->arena, &c);
	rc = rt_container_add(o->hand->rt, args->uid, &c, e);
	hand_rt_arm(o->hand);
	return rc;
}

static int
do_renew(struct order *o, struct error **e)
{
	const struct add_args *args = o->body;
	struct rt_container c;
	int rc;

	spec_container(args->container, o->arena, &c);
	rc = rt_container_renew(o->hand->rt, args->uid, &c, e);
	hand_rt_arm(o->hand);
	return rc;
}

static int
do_hooked(struct order *o, struct error **e)
{
	const struct hooked_args *args = o->body;

	return rt_container_hooked(o->hand->rt, args->uid, args->container, args->startedAt,
				   strcmp(args->hook, "preStop") ? RT_POST_START : RT_PRE_STOP,
				   args->failed, e);
}

static int
do_files(struct order *o, struct error **e)
{
	const struct sandbox_args *args = o->body;
	const struct rt_volume *volumes;

	if (spec_volumes(args, o->arena, &volumes, e) < 0)
		return -1;
	return rt_pod_files(o->hand->rt, args->uid, volumes, args->volumes.n, e);
}

static int
do_sweep(struct order *o, struct error **e)
{
	const struct keep_args *args = o->body;
	const char *const *keep = spec_strings(&args->uids, o->arena);

	(void)e;
	rt_logs_sweep(o->hand->rt, keep ? keep : (const char *const[]){ NULL });
	return 0;
}

static int
do_provision(struct order *o, struct error **e)
{
	(void)e;
	hand_store_make(o->hand, o->body);
	return 0;
}

static int
do_reclaim(struct order *o, struct error **e)
{
	(void)e;
	hand_store_remove(o->hand, o->body);
	return 0;
}

static int
do_drain(struct order *o, struct error **e)
{
	const struct drain_args *args = o->body;
	struct hand_pod *p;
	uint32_t ip;

	if (pod_ip(o, args->ip, &ip, e) < 0)
		return -1;
	if (!(p = hand_pod(o->hand, args->uid))) {
		hand_report_pod(o->hand, args->uid);
		return 0;
	}
	p->ip = p->ip ? p->ip : ip;
	p->drained = false;
	p->drain_until = monotonic_ms() + o->action->to;
	hand_drain_arm(o->hand);
	return 0;
}

static const char *
service_id(struct order *o)
{
	return arena_printf(o->arena, "%s/%s", o->action->ns, o->action->name);
}

static int
do_program(struct order *o, struct error **e)
{
	const char *id = service_id(o);
	struct error *why = NULL;
	struct np_service svc;

	if (spec_service(o->body, id, o->arena, &svc, &why) < 0 ||
	    service_allowed(&o->hand->settings, o->hand->np, &svc, o->arena, &why) < 0 ||
	    np_set(o->hand->np, &svc, &why) < 0) {
		struct refused_seen seen = { .ns = o->action->ns,
					     .name = o->action->name,
					     .error = error_text(why) };

		hand_send(o->hand, "refused_seen", refused_seen_kind(), &seen, NULL, 0);
		return fail_with(e, &why);
	}
	map_put(&o->hand->services, id, o->hand);
	map_del(&o->hand->stale, id);
	return 0;
}

static int
do_retire(struct order *o, struct error **e)
{
	(void)e;
	np_drop(o->hand->np, service_id(o));
	map_del(&o->hand->services, service_id(o));
	map_del(&o->hand->stale, service_id(o));
	return 0;
}

static int
do_admit(struct order *o, struct error **e)
{
	return hand_admit(o->hand, service_id(o), o->body, o->arena, e);
}

static int
do_isolate(struct order *o, struct error **e)
{
	const struct isolate_args *args = o->body;
	uint32_t ip;

	return pod_ip(o, args->ip, &ip, e) < 0
		   ? -1
		   : hand_isolate(o->hand, service_id(o), ip, args, o->arena, e);
}

static int
do_release(struct order *o, struct error **e)
{
	return hand_release(o->hand, o->action->kind, service_id(o), o->arena, e);
}

static int
do_commit(struct order *o, struct error **e)
{
	struct hand *h = o->hand;

	(void)e;
	/* What a former brain had set and this one did not ask for is no one's. */
	if (h->first_commit) {
		for (struct map_slot *s = map_first(&h->stale); s; s = map_next(&h->stale, s))
			hand_rules_drop(h, s->key);
		map_done(&h->stale);
		h->first_commit = false;
	}
	h->generation = o->action->to;
	hand_rules_commit(h);
	return 0;
}

static int
do_watch(struct order *o, struct error **e)
{
	return hand_worker(o->hand, o->action->name, e);
}

static int
do_unwatch(struct order *o, struct error **e)
{
	(void)e;
	hand_worker_stop(o->hand, o->action->name);
	return 0;
}

static int
do_list(struct order *o, struct error **e)
{
	(void)e;
	hand_report_images(o->hand);
	return 0;
}

static int
do_usage(struct order *o, struct error **e)
{
	const struct ask_args *args = o->body;

	(void)e;
	hand_report_usage(o->hand, args->id);
	return 0;
}

static int
do_look(struct order *o, struct error **e)
{
	const struct look_args *args = o->body;
	cleanup_error struct error *why = NULL;

	(void)e;
	if (hand_look(o->hand, args, &why) < 0)
		hand_answer(o->hand, args->id, NULL, why);
	return 0;
}

static int
do_ready(struct order *o, struct error **e)
{
	(void)e;
	log_info("ready", "serving");
	o->hand->was_ready = true;
	notify_send("READY=1");
	trim_start();
	return 0;
}

static int
do_down(struct order *o, struct error **e)
{
	const struct ask_args *args = o->body;

	(void)e;
	o->hand->down = true;
	o->hand->down_keeps = args->keep;
	hand_answer(o->hand, args->id, "", NULL);
	hand_leave(o->hand, 0);
	return 0;
}

/* What root does when asked, and nothing else: the rows of verbs.def that are the hand's. */
#define ROW_STORE(v, word)
#define ROW_HAND(v, word)              [ACT_##v] = do_##word,
#define VERB(v, mark, word, who, body) ROW_##who(v, word)
static int (*const table[ACT_COUNT])(struct order *, struct error **) = {
#include "../reconcile/verbs.def"
};
#undef VERB
#undef ROW_HAND
#undef ROW_STORE

static int
order_decode(struct message *m, const struct kind *kind, struct arena *a, const void **ret,
	     struct error **e)
{
	struct complaints cs = { .arena = a, .path = "message" };
	struct tree *n = json_read(m->body, m->body_len, a, &cs);

	*ret = n ? schema_decode(kind, n, SCHEMA_TRUSTED, a, &cs) : NULL;
	if (cs.errors)
		return fail(e, WHY_INVALID, "%s", complaint_print(cs.first, a));
	return *ret ? 0 : fail(e, WHY_INVALID, "no body");
}

/* A brain that asks for nonsense without end must not fill the log. */
static void
refused(struct hand *h, const char *line, const struct error *e)
{
	int64_t now = monotonic_ms();

	if (now - h->refused_since > 1000) {
		if (h->refused > REFUSED_A_SECOND)
			log_err("hand", "%d more demands of the brain were refused",
				h->refused - REFUSED_A_SECOND);
		h->refused_since = now;
		h->refused = 0;
	}
	if (++h->refused <= REFUSED_A_SECOND)
		log_err(line, "%s", error_text(e));
}

void
hand_hear(void *arg, struct message *m)
{
	cleanup_arena struct arena arena = { 0 };
	cleanup_error struct error *e = NULL;
	struct action action;
	struct order o = { .hand = arg, .action = &action, .message = m, .arena = &arena };
	int rc;

	log_debug("hand", "%s", m->line);
	rc = action_parse(m->line, &arena, &action, &e);
	if (!rc && !table[action.verb])
		rc = fail(&e, WHY_FORBIDDEN, "the hand does not do this");
	if (!rc && verbs[action.verb].body)
		rc = order_decode(m, verbs[action.verb].body(), &arena, &o.body, &e);
	if (!rc)
		rc = table[action.verb](&o, &e);
	if (rc)
		refused(arg, m->line, e);
}

/* brain_events.c -- Kubernetes Events from what is done and what is seen.
 *
 * An Event that repeats is counted, not stored again.  Reasons and messages
 * are Kubernetes' own.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_parts.h"
#include "../reconcile/service.h"
#include "brain_state.h"
#include <inttypes.h>
#include <string.h>

static bool
event_count(struct brain *b, const char *ns, const char *name)
{
	cleanup_arena struct arena a = { 0 };
	const struct event *old = store_find(b->store, RES_event, ns, name);
	struct event *new;

	if (!old || !object_is_own_event(old)) /* it was deleted, and the name taken */
		return false;
	new = object_clone(old, &a);
	new->count++;
	new->lastTimestamp = now_ms();
	return store_update(b->store, new, NULL) == 0;
}

static char *
event_key(const char *uid, const struct event_note *note)
{
	char *key;

	xasprintf(&key, "%s %s %s %s", uid ? uid : "", note->reason,
		  note->field ? note->field : "", note->message ? note->message : "");
	return key;
}

/* Of one of kedge's own; NULL: it is none. */
static char *
event_key_of(const struct event *ev)
{
	struct event_note note = { NULL, ev->reason, ev->message, NULL };

	if (!ev->involvedObject || !ev->reason || !object_is_own_event(ev))
		return NULL;
	note.field = ev->involvedObject->fieldPath;
	return event_key(ev->involvedObject->uid, &note);
}

/* Those of an earlier life are counted on. */
void
events_open(struct brain *b)
{
	struct objects all = store_all(b->store, RES_event);

	for (size_t i = 0; i < all.n; i++) {
		cleanup_free char *key = event_key_of((const struct event *)all.at[i]);

		if (key)
			free(map_put(&b->events, key, xstrdup(object_name(all.at[i]))));
	}
}

void
event_forget(struct brain *b, const struct event *ev)
{
	cleanup_free char *key = event_key_of(ev);

	if (key && str_is(map_get(&b->events, key), object_name(ev)))
		free(map_del(&b->events, key));
}

/* As client-go names Events, so that a listing by name has each object's as they came. */
static uint64_t
event_stamp(struct brain *b)
{
	uint64_t now = (uint64_t)now_ms() * 1000000;

	b->event_stamp = now > b->event_stamp ? now : b->event_stamp + 1;
	return b->event_stamp;
}

void
event_about(struct brain *b, const void *obj, const struct event_note *note)
{
	cleanup_arena struct arena a = { 0 };
	const struct resource *res = resource_of(obj);
	const char *ns = res->namespaced ? object_namespace(obj) : "default";
	cleanup_free char *key = event_key(object_uid(obj), note);
	struct event *ev;
	char *known;

	known = map_get(&b->events, key);
	if (known && event_count(b, ns, known))
		return;
	ev = object_new(RES_event, ns,
			arena_printf(&a, "%s.%016" PRIx64, object_name(obj), event_stamp(b)),
			&a);
	ev->involvedObject = arena_zalloc(&a, sizeof *ev->involvedObject);
	*ev->involvedObject = (struct object_reference){
		.apiVersion = res->api_version,
		.kind = res->kind,
		.namespace = res->namespaced ? ns : NULL,
		.name = object_name(obj),
		.uid = object_uid(obj),
		.resourceVersion = ((const struct object *)obj)->metadata->resourceVersion,
		.fieldPath = note->field,
	};
	ev->source = arena_zalloc(&a, sizeof *ev->source);
	ev->source->component = EVENT_REPORTER;
	ev->source->host = b->settings.node_name;
	ev->reportingComponent = EVENT_REPORTER;
	ev->reportingInstance = b->settings.node_name;
	ev->type = note->type;
	ev->reason = note->reason;
	ev->message = note->message;
	ev->count = 1;
	ev->firstTimestamp = ev->lastTimestamp = now_ms();
	if (store_create(b->store, ev, now_ms(), NULL) == 0)
		free(map_put(&b->events, key, xstrdup(object_name(ev))));
}

/* The object's controller, when it is of this kind and still there. */
static const void *
owner_of(struct brain *b, const void *obj, enum resource_id kind)
{
	const struct owner_reference *ref = obj ? object_controller(obj) : NULL;

	if (!ref || strcmp(ref->kind, resources[kind].kind))
		return NULL;
	return store_find(b->store, kind, object_namespace(obj), ref->name);
}

static void note(struct brain *b, const void *obj, const char *type, const char *reason,
		 const char *field, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
static void
note(struct brain *b, const void *obj, const char *type, const char *reason, const char *field,
     const char *fmt, ...)
{
	cleanup_free char *message = NULL;
	struct event_note n = { type, reason, NULL, field };
	va_list ap;

	if (!obj)
		return;
	va_start(ap, fmt);
	xvasprintf(&message, fmt, ap);
	va_end(ap);
	n.message = message;
	event_about(b, obj, &n);
}

void
event_of_refusal(struct brain *b, const struct refused_seen *r)
{
	cleanup_arena struct arena a = { 0 };
	char *name = arena_strndup(&a, r->name, strcspn(r->name, ":")),
	     *pod = strstr(name, LABEL_HOSTPORT);

	if (pod && !strcmp(pod, LABEL_HOSTPORT)) {
		*pod = 0;
		note(b, store_find(b->store, RES_pod, r->ns, name), "Warning",
		     "HostPortConflict", NULL, "%s", r->error);
	} else {
		note(b, store_find(b->store, RES_service, r->ns, name), "Warning",
		     "FailedToProgramRules", NULL, "%s", r->error);
	}
}

static void
scaled(struct brain *b, const void *rs, int64_t from, int64_t to)
{
	if (from == to) /* a set that is made with none: Kubernetes says nothing */
		return;
	note(b, owner_of(b, rs, RES_deployment), "Normal", "ScalingReplicaSet", NULL,
	     "Scaled %s replica set %s from %" PRId64 " to %" PRId64, to > from ? "up" : "down",
	     object_name(rs), from, to);
}

static char *
field_of(const struct pod *pod, const char *container)
{
	char *text;

	xasprintf(&text, "spec.%s{%s}", pod_part_list(pod->spec, container), container);
	return text;
}

static void
stop_event(struct brain *b, const struct pod *pod)
{
	for (size_t i = 0; pod && i < pod_parts(pod->spec); i++) {
		const char *name = pod_part(pod->spec, i)->name;
		cleanup_free char *field = field_of(pod, name);
		const struct container_status *st = pod_part_status(pod->status, name);

		if (st && st->state && st->state->running)
			note(b, pod, "Normal", "Killing", field, "Stopping container %s", name);
	}
}

static void
restart_event(struct brain *b, const struct pod *pod, const struct action *a)
{
	const struct restart_args *args = a->body;
	cleanup_free char *field = pod ? field_of(pod, args->container) : NULL;

	note(b, pod, "Normal", "Killing", field, "Container %s", a->why);
}

static void
resize_event(struct brain *b, const struct pod *pod, const struct resize_args *args)
{
	cleanup_free char *field = pod ? field_of(pod, args->container) : NULL;

	if (args->restart)
		note(b, pod, "Normal", "Killing", field, "Container %s resize requires restart",
		     args->container);
}

/* Told after the action was carried out; for DELETE and FORGET before. */
void
event_of_action(struct brain *b, const struct action *a)
{
	const void *obj;

	switch (a->verb) {
	case ACT_CREATE:
		if (!strcmp(a->kind, "pod"))
			note(b, owner_of(b, a->body, RES_replica_set), "Normal",
			     "SuccessfulCreate", NULL, "Created pod: %s", a->name);
		else if (!strcmp(a->kind, "replicaset"))
			scaled(b, a->body, 0,
			       ((const struct replica_set *)a->body)->spec->replicas);
		break;
	case ACT_DELETE:
		if (strcmp(a->kind, "pod"))
			break;
		obj = store_find(b->store, RES_pod, a->ns, a->name);
		note(b, owner_of(b, obj, RES_replica_set), "Normal", "SuccessfulDelete", NULL,
		     "Deleted pod: %s", a->name);
		break;
	case ACT_SCALE:
		scaled(b, a->body, a->from, a->to);
		break;
	case ACT_STOP:
		stop_event(b, store_find(b->store, RES_pod, a->ns, a->name));
		break;
	case ACT_RESTART:
		restart_event(b, store_find(b->store, RES_pod, a->ns, a->name), a);
		break;
	case ACT_RESIZE:
		resize_event(b, store_find(b->store, RES_pod, a->ns, a->name), a->body);
		break;
	default:
		break;
	}
}

static const struct container_seen *
container_of(const struct pod_seen *p, const char *name)
{
	for (size_t i = 0; p && i < p->containers.n; i++)
		if (!strcmp(p->containers.at[i].name, name))
			return &p->containers.at[i];
	return NULL;
}

enum { HOOK_POST_START = 2, HOOK_PRE_STOP = 4 }; /* bits of hooksFailed */

static bool
could_not_start(const char *reason)
{
	return !strcmp(reason, "ContainerCannotRun") || !strcmp(reason, "StartError");
}

/* By the host, or by what its operator allows. */
static bool
could_not_be_made(const char *reason)
{
	return !strcmp(reason, "CreateContainerConfigError") ||
	       !strcmp(reason, "CreateContainerError");
}

/* Hooks of the run that began then, of which we know that they failed. */
static int64_t
hooks_failed(const struct container_seen *c, int64_t started_at)
{
	if (!c || !started_at)
		return 0;
	return c->startedAt == started_at       ? c->hooksFailed
	       : c->lastStartedAt == started_at ? c->lastHooksFailed
						: 0;
}

/* Without the server's words, as the kubelet: secrets may stand in them. */
static void
hook_events(struct brain *b, const struct pod *pod, const char *field,
	    const struct container_seen *was, const struct container_seen *is)
{
	const int64_t runs[] = { is->lastStartedAt, is->startedAt };

	for (int i = 0; i < 2; i++) {
		int64_t new = hooks_failed(is, runs[i]) & ~hooks_failed(was, runs[i]);

		if (new &HOOK_POST_START) {
			note(b, pod, "Warning", "FailedPostStartHook", field,
			     "PostStartHook failed");
			note(b, pod, "Normal", "Killing", field, "FailedPostStartHook");
		}
		if (new &HOOK_PRE_STOP)
			note(b, pod, "Warning", "FailedPreStopHook", field,
			     "PreStopHook failed");
	}
}

/* A run that failed to begin is seen ended, or only as the one before the back-off. */
static void
container_events(struct brain *b, const struct pod *pod, const struct container_seen *was,
		 const struct container_seen *is)
{
	cleanup_free char *field = field_of(pod, is->name);
	bool waits = !strcmp(is->state, "waiting");
	const char *reason = is->reason ? is->reason : "";

	if (!strcmp(is->state, "running") && (!was || was->startedAt != is->startedAt)) {
		note(b, pod, "Normal", "Created", field, "Created container: %s", is->name);
		note(b, pod, "Normal", "Started", field, "Started container %s", is->name);
	}
	hook_events(b, pod, field, was, is);
	if (is->lastReason && is->lastMessage && *is->lastMessage &&
	    could_not_start(is->lastReason) &&
	    (!was || was->lastFinishedAt != is->lastFinishedAt))
		note(b, pod, "Warning", "Failed", field, "Error: %s", is->lastMessage);
	if (is->held) /* for what, only the controller knows, and tells */
		return;
	if (was && !strcmp(was->state, is->state) && was->reason &&
	    !strcmp(was->reason, reason) && was->backoffUntil == is->backoffUntil)
		return;
	if (waits && !strcmp(reason, "CrashLoopBackOff"))
		note(b, pod, "Warning", "BackOff", field,
		     "Back-off restarting failed container %s in pod %s_%s(%s)", is->name,
		     object_name(pod), object_namespace(pod), object_uid(pod));
	else if (waits &&
		 (!strcmp(reason, "ErrImagePull") || !strcmp(reason, "ImagePullBackOff")))
		note(b, pod, "Warning", "Failed", field, "%s",
		     is->message ? is->message : reason);
	else if (could_not_start(reason) || (waits && could_not_be_made(reason)))
		note(b, pod, "Warning", "Failed", field, "Error: %s",
		     is->message ? is->message : reason);
}

/* A sidecar that ended when all that it serves had: kedge-init stopped it, by itself. */
static bool
ended_with_its_pod(const struct pod *pod, const struct pod_seen *is,
		   const struct container_seen *was, const struct container_seen *now)
{
	if (strcmp(is->state, "up") || !was || strcmp(was->state, "running") ||
	    strcmp(now->state, "terminated"))
		return false;
	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const char *name = pod_part(pod->spec, i)->name;
		enum part_role role = pod_part_role(pod->spec, i);
		const struct container_seen *other = container_of(is, name);

		if (!strcmp(name, now->name) && role != PART_SIDECAR)
			return false;
		if (role == PART_MAIN && (!other || strcmp(other->state, "terminated")))
			return false;
	}
	return true;
}

/* A container as the brain before this one saw it last: what its status tells was
 * told as Events, too. */
static const struct container_seen *
container_remembered(const struct pod *pod, const struct container_seen *is,
		     struct container_seen *room)
{
	const struct container_status *st = NULL;
	const struct container_state_terminated *last;

	st = pod_part_status(pod->status, is->name);
	if (!st || !st->state || st->restartCount != is->restartCount)
		return NULL;
	*room = (struct container_seen){ .name = is->name,
					 .backoffUntil = is->backoffUntil,
					 .hooksFailed = is->hooksFailed,
					 .lastHooksFailed = is->lastHooksFailed,
					 .lastStartedAt = is->lastStartedAt };
	last = st->lastState ? st->lastState->terminated : NULL;
	if (last && last->finishedAt / 1000 == is->lastFinishedAt / 1000)
		room->lastFinishedAt = is->lastFinishedAt; /* the store keeps whole seconds */
	if (st->state->running) {
		room->state = "running";
		if (st->state->running->startedAt / 1000 == is->startedAt / 1000)
			room->startedAt = is->startedAt;
	} else if (st->state->waiting) {
		room->state = "waiting";
		room->reason = st->state->waiting->reason;
	} else if (st->state->terminated) {
		room->state = "terminated";
		room->reason = st->state->terminated->reason;
	}
	return room->state ? room : NULL;
}

void
event_of_pod(struct brain *b, const struct pod_seen *was, const struct pod_seen *is)
{
	const struct pod *pod;

	if (!is->ns || !is->name || !strcmp(is->state, "unheard"))
		return;
	if (was && !strcmp(was->state, "unheard"))
		was = NULL; /* that told nothing: the status knows what was before */
	pod = store_find(b->store, RES_pod, is->ns, is->name);
	if (!pod || strcmp(object_uid(pod), is->uid))
		return;
	if (!strcmp(is->state, "failed") && is->message)
		note(b, pod, "Warning",
		     is->refused && *is->refused ? is->refused : "FailedCreatePodSandBox", NULL,
		     "%s", is->message);
	for (size_t i = 0; i < is->containers.n; i++) {
		const struct container_seen *c = &is->containers.at[i], *old;
		struct container_seen room;

		old = was ? container_of(was, c->name) : container_remembered(pod, c, &room);
		if (ended_with_its_pod(pod, is, old, c)) {
			cleanup_free char *field = field_of(pod, c->name);

			note(b, pod, "Normal", "Killing", field, "Stopping container %s",
			     c->name);
		}
		container_events(b, pod, old, c);
	}
}

/* pod_status.c -- what the host saw of a pod, told as the kubelet tells it.
 *
 * Pure: the old status, the sighting and the verdicts of the probes give the new
 * status.  A time moves only when what it dates has changed, so a settled pod
 * gives the same status for ever.  Kubernetes' phases, reasons and messages to
 * the letter: kubectl prints them and people search for them.
 */
#include "pod.h"

bool
pod_is_up(const struct pod_seen *seen)
{
	return seen && !str_is(seen->state, "gone") && !str_is(seen->state, "failed");
}

static const struct container_seen *
seen_of(const struct pod_view *v, const char *name)
{
	for (size_t i = 0; v->seen && i < v->seen->containers.n; i++)
		if (str_is(v->seen->containers.at[i].name, name))
			return &v->seen->containers.at[i];
	return NULL;
}

static const struct container_status *
old_of(const struct pod_view *v, const char *name)
{
	const struct pod_status *st = v->pod->status;

	for (size_t i = 0; st && i < st->containerStatuses.n; i++)
		if (str_is(st->containerStatuses.at[i].name, name))
			return &st->containerStatuses.at[i];
	return NULL;
}

/* ---- one container ---- */

static struct container_state *
state_waiting(const char *reason, const char *message, struct arena *a)
{
	struct container_state *st = arena_zalloc(a, sizeof *st);

	st->waiting = arena_zalloc(a, sizeof *st->waiting);
	st->waiting->reason = reason;
	st->waiting->message = message;
	return st;
}

static struct container_state *
state_terminated(struct container_state_terminated t, struct arena *a)
{
	struct container_state *st = arena_zalloc(a, sizeof *st);

	st->terminated = arena_alloc(a, sizeof *st->terminated);
	*st->terminated = t;
	return st;
}

static struct container_state *
state_of(const struct container_seen *c, const char *id, struct arena *a)
{
	struct container_state *st;

	if (str_is(c->state, "waiting"))
		return state_waiting(str_is(c->reason, "") ? "ContainerCreating" : c->reason,
				     c->message, a);
	if (str_is(c->state, "terminated"))
		return state_terminated(
		    (struct container_state_terminated){ .exitCode = c->exitCode,
							 .signal = c->signal,
							 .reason = c->reason,
							 .message = c->message,
							 .startedAt = c->startedAt,
							 .finishedAt = c->finishedAt,
							 .containerID = id },
		    a);
	st = arena_zalloc(a, sizeof *st);
	st->running = arena_zalloc(a, sizeof *st->running);
	st->running->startedAt = c->startedAt;
	return st;
}

/* When the newest run that a status tells of began; 0: it never ran. */
static int64_t
last_start(const struct container_status *st)
{
	const struct container_state *now = st ? st->state : NULL;
	const struct container_state *last = st ? st->lastState : NULL;

	if (now && now->running)
		return now->running->startedAt;
	if (now && now->terminated)
		return now->terminated->startedAt;
	return last && last->terminated ? last->terminated->startedAt : 0;
}

/* The store keeps whole seconds, the host microseconds. */
static bool
same_time(int64_t a, int64_t b)
{
	return a == b || ((a % 1000 == 0 || b % 1000 == 0) && a / 1000 == b / 1000);
}

/* kedge-init counts the restarts of one sandbox.  When a sandbox was lost and
 * made again its count begins at 0, but the pod's must go on: then each new run
 * adds one to what the status had. */
static int64_t
restarts(const struct container_status *old, const struct container_seen *c)
{
	int64_t was = old ? old->restartCount : 0, before = last_start(old);

	if (c->restartCount > was)
		return c->restartCount;
	if (str_is(c->state, "running") && before && c->startedAt &&
	    !same_time(before, c->startedAt))
		return was + 1;
	return was;
}

/* A run that left no trace: its sandbox is gone. */
static struct container_state_terminated
vanished(const struct pod_view *v, const struct container_status *old)
{
	return (struct container_state_terminated){
		.exitCode = 137,
		.reason = "ContainerStatusUnknown",
		.message = "The container could not be located when the pod was terminated",
		.startedAt = last_start(old),
		.finishedAt = v->s->now,
		.containerID = old->containerID
	};
}

/* The run before this one.  A run that the status knows and the host says nothing of (its
 * kedge-init was not heard yet, or is another) stays known: its start tells restarts. */
static struct container_state *
last_state(const struct pod_view *v, const struct container_status *old,
	   const struct container_seen *c)
{
	if (c->lastFinishedAt || !str_is(c->lastReason, ""))
		return state_terminated(
		    (struct container_state_terminated){ .exitCode = c->lastExitCode,
							 .signal = c->lastSignal,
							 .reason = c->lastReason,
							 .message = c->lastMessage,
							 .startedAt = c->lastStartedAt,
							 .finishedAt = c->lastFinishedAt },
		    v->arena);
	if (old && old->state && old->state->running && str_is(c->state, "waiting"))
		return state_terminated(vanished(v, old), v->arena);
	return old && old->lastState ? old->lastState
				     : arena_zalloc(v->arena, sizeof(struct container_state));
}

/* ready and started, by the probes' verdicts on this very run. */
static void
judge(const struct pod_view *v, const struct container *spec, const struct container_seen *c,
      struct container_status *st)
{
	const struct probe_seen *p = snapshot_probe(v->s, object_uid(v->pod), spec->name);
	bool running = str_is(c->state, "running");

	if (p && p->startedAt != c->startedAt)
		p = NULL; /* speaks of an earlier run */
	st->started = running && (!spec->startupProbe || (p && p->started));
	st->ready = st->started && (!spec->readinessProbe || (p && p->ready));
}

static void
waiting(const struct pod_view *v, const struct container *spec, struct container_status *st)
{
	for (size_t i = 0; i < v->ntrouble; i++)
		if (!v->trouble[i].container || str_is(v->trouble[i].container, spec->name)) {
			st->state = state_waiting(v->trouble[i].reason, v->trouble[i].message,
						  v->arena);
			return;
		}
	st->state = state_waiting("ContainerCreating", NULL, v->arena);
}

/* Not on the host: not yet, or not any more. */
static void
unseen(const struct pod_view *v, const struct container *spec,
       const struct container_status *old, struct container_status *st)
{
	bool ran = old && old->state && old->state->running;
	bool over = v->pod->metadata->deletionTimestamp || pod_is_finished(v->pod) ||
		    str_is(v->pod->spec->restartPolicy, "Never");

	if (old && old->state && old->state->terminated &&
	    (over || (str_is(v->pod->spec->restartPolicy, "OnFailure") &&
		      !old->state->terminated->exitCode))) {
		*st = *old; /* it ended by itself before the sandbox went */
	} else if (ran && over) {
		*st = *old;
		st->state = state_terminated(vanished(v, old), v->arena);
	} else {
		if (ran)
			st->lastState = state_terminated(vanished(v, old), v->arena);
		else if (old && old->state && old->state->terminated)
			st->lastState = old->state;
		waiting(v, spec, st);
	}
	st->ready = st->started = false;
}

static void
container(const struct pod_view *v, const struct container *spec, struct container_status *st)
{
	/* A sandbox that is being made has nothing to tell yet but of the one before. */
	bool up = pod_is_up(v->seen) && !str_is(v->seen->state, "starting");
	const struct container_seen *c = up ? seen_of(v, spec->name) : NULL;
	const struct container_status *old = old_of(v, spec->name);

	if (old)
		*st = *old;
	st->name = spec->name;
	st->image = spec->image;
	if (!st->imageID)
		st->imageID = "";
	if (!st->lastState)
		st->lastState = arena_zalloc(v->arena, sizeof *st->lastState);
	schema_mark(container_status_kind(), st, "started");
	if (!c) {
		unseen(v, spec, old, st);
		return;
	}
	st->restartCount = restarts(old, c);
	st->lastState = last_state(v, old, c);
	if (!str_is(c->imageID, ""))
		st->imageID = c->imageID;
	if (!str_is(c->id, ""))
		st->containerID = c->id;
	else if (c->startedAt)
		st->containerID =
		    arena_printf(v->arena, "kedge://%s/%s/%lld", object_uid(v->pod), spec->name,
				 (long long)st->restartCount);
	st->state = state_of(c, st->containerID, v->arena);
	if (st->state->terminated && !st->state->terminated->startedAt)
		st->state->terminated->startedAt = last_start(old); /* nobody else knows */
	judge(v, spec, c, st);
}

/* ---- the whole pod ---- */

/* getPhase of the kubelet, without init containers. */
static const char *
phase_of(const struct pod_view *v, const struct pod_status *st)
{
	size_t running = 0, wait = 0, stopped = 0, succeeded = 0;
	const char *policy = v->pod->spec->restartPolicy;

	for (size_t i = 0; i < st->containerStatuses.n; i++) {
		const struct container_status *c = &st->containerStatuses.at[i];

		if (c->state->running)
			running++;
		else if (c->state->terminated) {
			stopped++;
			succeeded += c->state->terminated->exitCode == 0;
		} else if (c->lastState->terminated)
			stopped++;
		else
			wait++;
	}
	if (wait || (!running && !stopped))
		return "Pending";
	if (running || str_is(policy, "Always"))
		return "Running";
	if (stopped == succeeded)
		return "Succeeded";
	return str_is(policy, "Never") ? "Failed" : "Running";
}

/* The transition time moves only when the status flips. */
static void
set_condition(const struct pod_view *v, struct conditions *c, const char *type, bool holds,
	      const char *reason, const char *message)
{
	const char *status = holds ? "True" : "False";
	struct condition *was = condition_of(c->at, c->n, type);

	if (!was) {
		was = &c->at[c->n++];
		*was = (struct condition){ .type = type };
	}
	if (!str_is(was->status, status))
		was->lastTransitionTime = v->s->now;
	was->status = status;
	was->reason = reason;
	was->message = message;
}

/* "containers with unready status: [a b]", or NULL when all are ready. */
static const char *
unready(const struct pod_status *st, struct arena *a)
{
	const char *names = NULL;

	for (size_t i = 0; i < st->containerStatuses.n; i++)
		if (!st->containerStatuses.at[i].ready)
			names = names ? arena_printf(a, "%s %s", names,
						     st->containerStatuses.at[i].name)
				      : st->containerStatuses.at[i].name;
	return names ? arena_printf(a, "containers with unready status: [%s]", names) : NULL;
}

static const char *
gate_closed(const struct pod_view *v, const struct pod_status *st)
{
	for (size_t i = 0; i < v->pod->spec->readinessGates.n; i++) {
		const char *type = v->pod->spec->readinessGates.at[i].conditionType;
		const struct condition *c =
		    condition_of(st->conditions.at, st->conditions.n, type);

		if (!c)
			return arena_printf(v->arena,
					    "corresponding condition of pod readiness gate "
					    "\"%s\" does not exist.",
					    type);
		if (!str_is(c->status, "True"))
			return arena_printf(
			    v->arena,
			    "the status of pod readiness gate \"%s\" is not \"True\", but %s",
			    type, c->status);
	}
	return NULL;
}

static void
conditions(const struct pod_view *v, struct pod_status *st)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 6, v->arena);
	const char *bad = unready(st, v->arena), *reason = bad ? "ContainersNotReady" : NULL;
	const char *gate;

	if (str_is(st->phase, "Succeeded") || str_is(st->phase, "Failed")) {
		reason = str_is(st->phase, "Succeeded") ? "PodCompleted" : "PodFailed";
		set_condition(v, &c, "PodReadyToStartContainers", false, NULL, NULL);
		set_condition(v, &c, "Initialized", true,
			      str_is(st->phase, "Succeeded") ? reason : NULL, NULL);
		set_condition(v, &c, "Ready", false, reason, NULL);
		set_condition(v, &c, "ContainersReady", false, reason, NULL);
	} else {
		set_condition(v, &c, "PodReadyToStartContainers",
			      pod_is_up(v->seen) && !str_is(v->seen->state, "starting"), NULL,
			      NULL);
		set_condition(v, &c, "Initialized", true, NULL, NULL);
		set_condition(v, &c, "ContainersReady", !bad, reason, bad);
		gate = bad ? NULL : gate_closed(v, st);
		if (gate)
			set_condition(v, &c, "Ready", false, "ReadinessGatesNotReady", gate);
		else
			set_condition(v, &c, "Ready", !bad, reason, bad);
	}
	set_condition(v, &c, "PodScheduled", true, NULL, NULL);
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

struct pod_status *
pod_status_new(const struct pod_view *v)
{
	const struct pod_spec *spec = v->pod->spec;
	struct pod_status *st = arena_zalloc(v->arena, sizeof *st);

	if (v->pod->status)
		*st = *v->pod->status;
	st->containerStatuses.n = spec->containers.n;
	st->containerStatuses.at =
	    arena_zalloc(v->arena, (spec->containers.n + 1) * sizeof *st->containerStatuses.at);
	for (size_t i = 0; i < spec->containers.n; i++)
		container(v, &spec->containers.at[i], &st->containerStatuses.at[i]);
	if (!pod_is_finished(v->pod)) /* the end of a pod is final */
		st->phase = phase_of(v, st);
	if (!st->startTime)
		st->startTime = v->s->now;
	st->qosClass = pod_qos(spec);
	if (!str_is(v->s->settings->node_ip, "") && str_is(st->hostIP, "")) {
		st->hostIP = v->s->settings->node_ip;
		st->hostIPs.at = arena_zalloc(v->arena, sizeof *st->hostIPs.at);
		st->hostIPs.at[0].ip = st->hostIP;
		st->hostIPs.n = 1;
	}
	conditions(v, st);
	return st;
}

const char *
pod_status_why(const struct pod_status *st, struct arena *a)
{
	size_t ready = 0, n = st->containerStatuses.n;

	for (size_t i = 0; i < n; i++) {
		const struct container_status *c = &st->containerStatuses.at[i];

		ready += c->ready;
		if (c->state->waiting &&
		    !str_is(c->state->waiting->reason, "ContainerCreating"))
			return arena_printf(a, "%s: %s", c->name, c->state->waiting->reason);
		if (c->state->terminated && str_is(st->phase, "Running"))
			return arena_printf(a, "%s: %s", c->name,
					    str_is(c->state->terminated->reason, "")
						? "terminated"
						: c->state->terminated->reason);
	}
	if (str_is(st->phase, "Running"))
		return arena_printf(a, "%zu/%zu ready", ready, n);
	return st->phase;
}

/* pod_status.c -- what the host saw of a pod, told as the kubelet tells it.
 *
 * Pure: the old status, the sighting and the verdicts of the probes give the new
 * status.  A time moves only when what it dates has changed, so a settled pod
 * gives the same status for ever.  Kubernetes' phases, reasons and messages to
 * the letter: kubectl prints them and people search for them.
 */
#include "pod.h"
#include "pod_resources.h"

enum { POST_START_FAILED = 2 }; /* a bit of hooksFailed */

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
	return pod_part_status(v->pod->status, name);
}

/* What a container waits for that nothing is wrong with. */
static const char *
not_yet(const struct pod_view *v)
{
	return v->pod->spec->initContainers.n ? "PodInitializing" : "ContainerCreating";
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

/* Its postStart hook goes on or failed: the status does not tell of that run yet. */
static bool
untold(const struct container_seen *c)
{
	return str_is(c->hook, "postStart") ||
	       (str_is(c->state, "running") && c->hooksFailed & POST_START_FAILED);
}

static struct container_state *
state_of(const struct pod_view *v, const struct container_seen *c, const char *id)
{
	struct container_state *st;
	struct arena *a = v->arena;

	if (untold(c)) /* it counts as running once that is over */
		return str_is(c->hook, "postStart")
			   ? state_waiting(not_yet(v), NULL, a)
			   : state_waiting("PostStartHookError", "PostStartHook failed", a);
	if (str_is(c->state, "waiting"))
		return state_waiting(
		    str_is(c->reason, "") || str_is(c->reason, "ContainerCreating") ? not_yet(v)
										    : c->reason,
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
 * adds one to what the status had.  Once: not before the status tells of the run. */
static int64_t
restarts(const struct container_status *old, const struct container_seen *c)
{
	int64_t was = old ? old->restartCount : 0, before = last_start(old);
	int64_t now = c->startedAt ? c->startedAt : c->lastStartedAt;

	if (untold(c))
		return was;
	if (c->restartCount > was)
		return c->restartCount;
	return was + (before && now && !same_time(before, now));
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

/* ready and started, by the probes' verdicts on this very run; an init container is ready
 * when it ended well. */
static void
judge(const struct pod_view *v, const struct container *spec, enum part_role role,
      const struct container_seen *c, struct container_status *st)
{
	const struct probe_seen *p = snapshot_probe(v->s, object_uid(v->pod), spec->name);
	bool running = str_is(c->state, "running") && !str_is(c->hook, "postStart") &&
		       !(c->hooksFailed & POST_START_FAILED);

	if (role == PART_INIT) {
		st->started = running;
		st->ready = str_is(c->state, "terminated") && !c->exitCode;
		return;
	}

	if (p && p->startedAt != c->startedAt)
		p = NULL; /* speaks of an earlier run */
	st->started = running && (!spec->startupProbe || (p && p->started));
	st->ready = st->started && (!spec->readinessProbe || (p && p->ready));
}

static const struct pod_trouble *
trouble_with(const struct pod_view *v, const char *name)
{
	for (size_t i = 0; i < v->ntrouble; i++)
		if (!v->trouble[i].container || str_is(v->trouble[i].container, name))
			return &v->trouble[i];
	return NULL;
}

static void
waiting(const struct pod_view *v, const struct container *spec, struct container_status *st)
{
	const struct pod_trouble *t = trouble_with(v, spec->name);

	st->state = state_waiting(t ? t->reason : not_yet(v), t ? t->message : NULL, v->arena);
}

/* Not on the host: not yet, or not any more. */
static void
unseen(const struct pod_view *v, const struct container *spec, enum part_role role,
       const struct container_status *old, struct container_status *st)
{
	bool ran = old && old->state && old->state->running;
	bool over = v->pod->metadata->deletionTimestamp || pod_is_finished(v->pod) ||
		    (str_is(v->pod->spec->restartPolicy, "Never") && role != PART_SIDECAR);
	bool ended = old && old->state && old->state->terminated;

	/* A sandbox that is made again begins with its init containers. */
	if (role == PART_INIT && ended && !old->state->terminated->exitCode)
		over &= v->pod->metadata->deletionTimestamp || pod_is_finished(v->pod);
	if (ended && (over || (str_is(v->pod->spec->restartPolicy, "OnFailure") &&
			       role == PART_MAIN && !old->state->terminated->exitCode))) {
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

/* What became of its mounts: whether all below is sealed, too, where that was left open. */
static void
mounts(const struct pod_view *v, const struct container *spec, struct container_status *st)
{
	size_t n = spec->volumeMounts.n;

	st->volumeMounts.at = arena_zalloc(v->arena, (n + 1) * sizeof *st->volumeMounts.at);
	st->volumeMounts.n = n;
	for (size_t i = 0; i < n; i++) {
		const struct volume_mount *m = &spec->volumeMounts.at[i];
		bool sealed = str_is(m->recursiveReadOnly, "Enabled") ||
			      str_is(m->recursiveReadOnly, "IfPossible");

		st->volumeMounts.at[i] = (struct volume_mount_status){
			.name = m->name,
			.mountPath = m->mountPath,
			.readOnly = m->readOnly,
			.recursiveReadOnly = !m->readOnly ? NULL
					     : sealed     ? "Enabled"
							  : "Disabled",
		};
	}
}

/* As whom it runs and what asks it to end, which the image has a say in. */
static void
runs_as(const struct pod_view *v, const struct container *spec, const struct container_seen *c,
	struct container_status *st)
{
	const char *own = spec->lifecycle ? spec->lifecycle->stopSignal : NULL;
	struct linux_container_user *u;

	if (!str_is(c->stopSignal, ""))
		st->stopSignal = str_is(own, "") ? c->stopSignal : own;
	if (!c->user)
		return;
	u = arena_zalloc(v->arena, sizeof *u);
	u->uid = c->user->uid;
	u->gid = c->user->gid;
	u->supplementalGroups = c->user->groups;
	st->user = arena_zalloc(v->arena, sizeof *st->user);
	st->user->linux = u;
}

static void
container(const struct pod_view *v, const struct container *spec, enum part_role role,
	  struct container_status *st)
{
	/* A sandbox that is being made has nothing to tell yet but of the one before. */
	bool up = pod_is_up(v->seen) && !str_is(v->seen->state, "starting");
	const struct container_seen *c = up ? seen_of(v, spec->name) : NULL;
	const struct container_status *old = old_of(v, spec->name);

	if (old)
		*st = *old;
	if (old && v->seen && str_is(v->seen->state, "unheard"))
		return; /* it lives, and nobody knows more: as it was */
	st->name = spec->name;
	st->image = spec->image;
	if (!st->imageID)
		st->imageID = "";
	if (!st->lastState)
		st->lastState = arena_zalloc(v->arena, sizeof *st->lastState);
	schema_mark(container_status_kind(), st, "started");
	if (!c) {
		unseen(v, spec, role, old, st);
		return;
	}
	/* The spec may have another one that comes yet, or has come and is not run yet. */
	if (c->imageNext && old && old->image)
		st->image = old->image;
	else if (!str_is(c->image, ""))
		st->image = c->image;
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
	st->state = state_of(v, c, st->containerID);
	if (c->held)
		waiting(v, spec, st);
	if (st->state->terminated && !st->state->terminated->startedAt)
		st->state->terminated->startedAt = last_start(old); /* nobody else knows */
	judge(v, spec, role, c, st);
	mounts(v, spec, st);
	runs_as(v, spec, c, st);
	pod_resources_status(v->s, v->pod, spec, c, st);
}

/* While others still have to go through, what is wrong with one is not its story yet, unless
 * it keeps the pod from being started at all. */
static void
hold_back(const struct pod_view *v, struct container_status *st)
{
	if (st->state->waiting && !st->lastState->terminated &&
	    (pod_is_up(v->seen) || !v->ntrouble))
		st->state = state_waiting("PodInitializing", NULL, v->arena);
}

/* Let through by this one, so that the next may start? */
static bool
is_through(const struct container_status *st, enum part_role role)
{
	return role == PART_SIDECAR ? st->started : st->ready;
}

static void
containers(const struct pod_view *v, struct pod_status *st)
{
	const struct pod_spec *spec = v->pod->spec;
	size_t ninit = spec->initContainers.n;
	bool through = true;

	st->initContainerStatuses.n = ninit;
	st->initContainerStatuses.at =
	    arena_zalloc(v->arena, (ninit + 1) * sizeof *st->initContainerStatuses.at);
	st->containerStatuses.n = spec->containers.n;
	st->containerStatuses.at =
	    arena_zalloc(v->arena, (spec->containers.n + 1) * sizeof *st->containerStatuses.at);
	st->ephemeralContainerStatuses.n = spec->ephemeralContainers.n;
	st->ephemeralContainerStatuses.at =
	    arena_zalloc(v->arena, (spec->ephemeralContainers.n + 1) *
				       sizeof *st->ephemeralContainerStatuses.at);
	for (size_t i = 0; i < spec->ephemeralContainers.n; i++)
		container(v, &spec->ephemeralContainers.at[i], PART_EPHEMERAL,
			  &st->ephemeralContainerStatuses.at[i]);
	for (size_t i = 0; i < ninit + spec->containers.n; i++) {
		struct container_status *at = i < ninit ? &st->initContainerStatuses.at[i]
							: &st->containerStatuses.at[i - ninit];
		enum part_role role = pod_part_role(spec, i);

		container(v, pod_part(spec, i), role, at);
		if (!through)
			hold_back(v, at);
		if (role != PART_MAIN)
			through &= is_through(at, role);
	}
}

/* ---- the whole pod ---- */

/* Of the init containers that are not sidecars; false: not all went through. */
static bool
all_initialized(const struct pod_view *v, const struct pod_status *st, bool *ret_failed)
{
	bool all = true;

	for (size_t i = 0; i < st->initContainerStatuses.n; i++) {
		const struct container_status *c = &st->initContainerStatuses.at[i];
		const struct container_state_terminated *end =
		    c->state->terminated ? c->state->terminated
		    : c->state->waiting  ? c->lastState->terminated
					 : NULL;

		if (pod_part_role(v->pod->spec, i) == PART_SIDECAR)
			continue;
		all &= end && !end->exitCode && c->state->terminated;
		*ret_failed |= end && end->exitCode;
	}
	return all;
}

struct tally {
	size_t running, waiting, stopped, succeeded;
	bool starting; /* a sidecar is, for the first time */
};

static void
count_sidecars(const struct pod_view *v, const struct pod_status *st, struct tally *t)
{
	for (size_t i = 0; i < st->initContainerStatuses.n; i++) {
		const struct container_status *c = &st->initContainerStatuses.at[i];

		if (pod_part_role(v->pod->spec, i) != PART_SIDECAR)
			continue;
		t->running += !!c->state->running;
		if (c->state->waiting && !c->lastState->terminated)
			t->waiting++;
		t->starting |= (c->state->running && !c->started) ||
			       (c->state->waiting && !c->lastState->terminated);
	}
}

static void
count_main(const struct pod_status *st, struct tally *t)
{
	for (size_t i = 0; i < st->containerStatuses.n; i++) {
		const struct container_status *c = &st->containerStatuses.at[i];

		if (c->state->running)
			t->running++;
		else if (c->state->terminated) {
			t->stopped++;
			t->succeeded += c->state->terminated->exitCode == 0;
		} else if (c->lastState->terminated)
			t->stopped++;
		else
			t->waiting++;
	}
}

static bool
any_main_began(const struct pod_status *st)
{
	for (size_t i = 0; i < st->containerStatuses.n; i++) {
		const struct container_status *c = &st->containerStatuses.at[i];

		if (c->state->running || c->state->terminated || c->lastState->terminated)
			return true;
	}
	return false;
}

/* getPhase of the kubelet. */
static const char *
phase_of(const struct pod_view *v, const struct pod_status *st)
{
	const char *policy = v->pod->spec->restartPolicy;
	struct tally t = { 0 };
	bool failed = false, initialized = all_initialized(v, st, &failed);

	count_sidecars(v, st, &t);
	count_main(st, &t);
	if (failed && str_is(policy, "Never"))
		return "Failed";
	if (!initialized || (t.starting && !any_main_began(st)))
		return "Pending";
	if (t.waiting || (!t.running && !t.stopped))
		return "Pending";
	if (t.running || str_is(policy, "Always"))
		return "Running";
	if (t.stopped == t.succeeded)
		return "Succeeded";
	return str_is(policy, "Never") ? "Failed" : "Running";
}

static const char *
name_add(const char *names, const char *name, struct arena *a)
{
	return names ? arena_printf(a, "%s %s", names, name) : name;
}

/* "containers with unready status: [a b]", or NULL when all are ready. */
static const char *
unready(const struct pod_view *v, const struct pod_status *st)
{
	const char *names = NULL;

	for (size_t i = 0; i < st->initContainerStatuses.n; i++)
		if (pod_part_role(v->pod->spec, i) == PART_SIDECAR &&
		    !st->initContainerStatuses.at[i].ready)
			names = name_add(names, st->initContainerStatuses.at[i].name, v->arena);
	for (size_t i = 0; i < st->containerStatuses.n; i++)
		if (!st->containerStatuses.at[i].ready)
			names = name_add(names, st->containerStatuses.at[i].name, v->arena);
	return names ? arena_printf(v->arena, "containers with unready status: [%s]", names)
		     : NULL;
}

/* "containers with incomplete status: [a b]", or NULL when the pod is initialized. */
static const char *
incomplete(const struct pod_view *v, const struct pod_status *st)
{
	const char *names = NULL;

	for (size_t i = 0; i < st->initContainerStatuses.n; i++) {
		const struct container_status *c = &st->initContainerStatuses.at[i];

		if (!is_through(c, pod_part_role(v->pod->spec, i)))
			names = name_add(names, c->name, v->arena);
	}
	return names && !any_main_began(st)
		   ? arena_printf(v->arena, "containers with incomplete status: [%s]", names)
		   : NULL;
}

/* Of all that are, in the kubelet's words (GenerateReadinessGatesCondition); NULL: none is. */
static const char *
gates_closed(const struct pod_view *v, const struct pod_status *st)
{
	const char *all = NULL;

	for (size_t i = 0; i < v->pod->spec->readinessGates.n; i++) {
		const char *type = v->pod->spec->readinessGates.at[i].conditionType, *one;
		const struct condition *c =
		    condition_of(st->conditions.at, st->conditions.n, type);

		if (!c)
			one = arena_printf(v->arena,
					   "corresponding condition of pod readiness gate "
					   "\"%s\" does not exist.",
					   type);
		else if (!str_is(c->status, "True"))
			one = arena_printf(
			    v->arena,
			    "the status of pod readiness gate \"%s\" is not \"True\", but %s",
			    type, c->status);
		else
			continue;
		all = all ? arena_printf(v->arena, "%s, %s", all, one) : one;
	}
	return all;
}

static void
conditions(const struct pod_view *v, struct pod_status *st)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 6, v->arena);
	const char *bad = unready(v, st), *reason = bad ? "ContainersNotReady" : NULL;
	const char *left = incomplete(v, st), *gate;
	int64_t now = v->s->now;

	if (str_is(st->phase, "Succeeded") || str_is(st->phase, "Failed")) {
		reason = str_is(st->phase, "Succeeded") ? "PodCompleted" : "PodFailed";
		condition_set(&c, "PodReadyToStartContainers", false, NULL, NULL, now);
		if (str_is(st->phase, "Succeeded"))
			condition_set(&c, "Initialized", true, reason, NULL, now);
		else
			condition_set(&c, "Initialized", !left,
				      left ? "ContainersNotInitialized" : NULL, left, now);
		condition_set(&c, "Ready", false, reason, NULL, now);
		condition_set(&c, "ContainersReady", false, reason, NULL, now);
	} else {
		condition_set(&c, "PodReadyToStartContainers",
			      pod_is_up(v->seen) && !str_is(v->seen->state, "starting"), NULL,
			      NULL, now);
		condition_set(&c, "Initialized", !left,
			      left ? "ContainersNotInitialized" : NULL, left, now);
		condition_set(&c, "ContainersReady", !bad, reason, bad, now);
		gate = bad ? NULL : gates_closed(v, st);
		if (gate)
			condition_set(&c, "Ready", false, "ReadinessGatesNotReady", gate, now);
		else
			condition_set(&c, "Ready", !bad, reason, bad, now);
	}
	condition_set(&c, "PodScheduled", true, NULL, NULL, now);
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
	containers(v, st);
	if (!pod_is_finished(v->pod)) /* the end of a pod is final */
		st->phase = phase_of(v, st);
	if (!st->startTime)
		st->startTime = v->s->now;
	st->qosClass = pod_qos(spec);
	if (!str_is(v->s->settings->node_ip, "") && str_is(st->hostIP, "")) {
		st->hostIP = v->s->settings->node_ip;
		st->hostIPs.at = arena_zalloc(v->arena, 2 * sizeof *st->hostIPs.at);
		st->hostIPs.at[0].ip = st->hostIP;
		st->hostIPs.n = 1;
		if (!str_is(v->s->settings->node_ip6, ""))
			st->hostIPs.at[st->hostIPs.n++].ip = v->s->settings->node_ip6;
	}
	conditions(v, st);
	return st;
}

/* "web: CrashLoopBackOff" of the first that has something to tell; NULL: none has. */
static const char *
trouble_of(const struct container_status *at, size_t n, const char *phase, struct arena *a)
{
	for (size_t i = 0; i < n; i++) {
		const struct container_state_waiting *w = at[i].state->waiting;
		const struct container_state_terminated *t = at[i].state->terminated;

		if (w && !str_is(w->reason, "ContainerCreating") &&
		    !str_is(w->reason, "PodInitializing"))
			return arena_printf(a, "%s: %s", at[i].name, w->reason);
		if (t && str_is(phase, "Running"))
			return arena_printf(a, "%s: %s", at[i].name,
					    str_is(t->reason, "") ? "terminated" : t->reason);
	}
	return NULL;
}

const char *
pod_status_why(const struct pod_status *st, struct arena *a)
{
	size_t ready = 0, done = 0, n = st->containerStatuses.n;
	const char *why =
	    trouble_of(st->initContainerStatuses.at, st->initContainerStatuses.n, "", a);

	if (!why)
		why = trouble_of(st->containerStatuses.at, n, st->phase, a);
	if (why)
		return why;
	if (str_is(st->phase, "Failed") && !str_is(st->reason, ""))
		return st->reason;
	for (size_t i = 0; i < n; i++)
		ready += st->containerStatuses.at[i].ready;
	if (str_is(st->phase, "Running"))
		return arena_printf(a, "%zu/%zu ready", ready, n);
	while (done < st->initContainerStatuses.n && st->initContainerStatuses.at[done].ready)
		done++;
	if (str_is(st->phase, "Pending") && done < st->initContainerStatuses.n)
		return arena_printf(a, "init %zu/%zu", done, st->initContainerStatuses.n);
	return st->phase;
}

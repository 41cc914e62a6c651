/* pod.c -- one pod's life: placed, started, looked after, taken out of service, stopped,
 * forgotten.
 *
 * Pure.  Where a pod is in its life is read from the object (node, address,
 * phase, deletionTimestamp) and from what the host reports; nothing else is
 * remembered.  Promises that hold after each action:
 *
 *   - an address is in the store before anything on the host uses it, so that a
 *     crash cannot give it to two pods;
 *   - a pod that is deleted is asked to end only after it left the rules and its
 *     connections ended (or settings.drain_ms passed); it leaves the store only
 *     when it has left the host;
 *   - what ran is only started again where the restartPolicy says so.
 */
#include "pod.h"
#include "account.h"
#include "controllers.h"
#include "pod_change.h"
#include "pod_image.h"
#include "pod_resources.h"
#include "policy.h"
#include "service.h"

#define CONDITION_BACKOFF "kedge.dev/StartBackOff" /* why and since when starting fails */

enum { BACKOFF_FIRST = 10 * 1000, BACKOFF_MAX = 300 * 1000 };

/* ---- actions ---- */

void
pod_order(struct plan *p, enum verb v, const struct pod *pod, int64_t to,
	  const struct kind *kind, const void *body, const char *why)
{
	plan_add(p, (struct action){ .verb = v,
				     .kind = "pod",
				     .ns = arena_strdup(p->arena, object_namespace(pod)),
				     .name = arena_strdup(p->arena, object_name(pod)),
				     .to = to,
				     .why = arena_strdup(p->arena, why),
				     .body = schema_clone(kind, body, p->arena) });
}

static void
order_stop(struct plan *p, const struct pod *pod, int64_t grace, const char *why)
{
	struct stop_args args = { .uid = object_uid(pod) };

	if (pod->status && !pod->spec->hostNetwork)
		args.ip = pod->status->podIP;

	pod_order(p, ACT_STOP, pod, grace_counted(grace), stop_args_kind(), &args, why);
}

void
pod_tell(struct plan *p, const struct pod *pod, const char *container, const char *type,
	 const char *reason, const char *message)
{
	plan_event(
	    p, pod,
	    (struct event_args){
		.type = type,
		.reason = reason,
		.message = message,
		.component = "kedge",
		.fieldPath = container
				 ? arena_printf(p->arena, "spec.%s{%s}",
						pod_part_list(pod->spec, container), container)
				 : NULL });
}

static void
tell(struct plan *p, const struct pod *pod, const char *type, const char *reason,
     const char *message)
{
	pod_tell(p, pod, NULL, type, reason, message);
}

/* What one container waits for, when it has not been told: its status says for what else it
 * waited. */
static void
tell_trouble(struct plan *p, const struct pod *pod, const struct pod_trouble *t)
{
	const struct container_state_waiting *w = pod_part_waiting(pod->status, t->container);

	if (!w || !str_is(w->reason, t->reason) || !str_is(w->message, t->message))
		pod_tell(p, pod, t->container, "Warning", "Failed",
			 arena_printf(p->arena, "Error: %s", t->message));
}

/* The status, when it differs, or the version of the volumes' files ("": as it was). */
static bool
write(struct plan *p, const struct pod *pod, struct pod_status *st, const char *volumes)
{
	struct pod copy = *pod;

	copy.status = st;
	if (!str_is(volumes, ""))
		st->mountedFiles = volumes;
	if (pod->status && schema_equal(pod_status_kind(), pod->status, st))
		return false;
	plan_write(p, ACT_STATUS, &copy, 0, 0, pod_status_why(st, p->arena));
	return true;
}

/* ---- a place ---- */

static void
set_scheduled(struct pod_status *st, const char *reason, const char *message, int64_t now,
	      struct arena *a)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, a);

	condition_set(&c, "PodScheduled", !reason, reason, message, now);
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

/* It is not ours to place now: somebody holds it back by a gate, or another scheduler is to
 * bind it.  As in Kubernetes, of the latter nothing is said. */
static bool
is_left_alone(const struct pod *pod, struct pod_status *st, int64_t now, struct arena *a)
{
	if (!str_is(pod->spec->nodeName, ""))
		return false;
	if (pod->spec->schedulingGates.n) {
		set_scheduled(st, "SchedulingGated",
			      "Scheduling is blocked due to non-empty scheduling gates", now,
			      a);
		return true;
	}
	return !str_is(pod->spec->schedulerName, "") &&
	       !str_is(pod->spec->schedulerName, "default-scheduler");
}

/* Binding and address in one write: before it nothing of the pod is on the host. */
static void
place(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	struct pod copy = *pod;
	struct pod_status *st = arena_zalloc(p->arena, sizeof *st);
	const char *node = pod->spec->nodeName, *why = NULL, *ip = NULL, *ip6;

	if (pod->status)
		*st = *pod->status;
	st->phase = "Pending";
	st->qosClass = pod_qos(pod->spec);
	copy.status = st;
	if (is_left_alone(pod, st, s->now, p->arena)) {
		write(p, pod, st, "");
		return;
	}
	if (str_is(node, "")) {
		const struct node *n = pod_place_node(s, pod, p->arena, &why);

		if (!n && !why)
			return; /* its claims are about to be bound */
		node = n ? object_name(n) : NULL;
	} else if (!snapshot_find(s, RES_node, "", node)) {
		return; /* as in Kubernetes: it waits for a node of that name */
	}
	if (node && pod->spec->hostNetwork)
		ip = s->settings->node_ip ? s->settings->node_ip : "";
	else if (node && !(ip = pod_place_ip(s, p->arena)))
		why = arena_printf(p->arena, "no free address is left in the pod range");
	set_scheduled(st, why ? "Unschedulable" : NULL, why, s->now, p->arena);
	if (why) {
		if (pod->status && schema_equal(pod_status_kind(), pod->status, st))
			return;
		plan_write(p, ACT_STATUS, &copy, 0, 0, why);
		tell(p, pod, "Warning", "FailedScheduling", why);
		return;
	}
	copy.spec = arena_alloc(p->arena, sizeof *copy.spec);
	*copy.spec = *pod->spec;
	copy.spec->nodeName = node;
	account_admit(s, pod, copy.spec, p->arena);
	st->startTime = s->now;
	st->podIP = ip;
	st->podIPs.at = arena_zalloc(p->arena, 2 * sizeof *st->podIPs.at);
	st->podIPs.at[0].ip = ip;
	st->podIPs.n = 1;
	ip6 = pod_place_ip6(s, pod->spec->hostNetwork, ip, p->arena);
	if (ip6)
		st->podIPs.at[st->podIPs.n++].ip = ip6;
	plan_write(p, ACT_UPDATE, &copy, 0, 0,
		   arena_printf(p->arena, "placed on %s, %s", node, ip));
	/* once in a pod's life, before all that is told of its images; as in Kubernetes, a
	 * spec that names its node itself is not told of */
	if (str_is(pod->spec->nodeName, ""))
		tell(p, pod, "Normal", "Scheduled",
		     arena_printf(p->arena, "Successfully assigned %s/%s to %s",
				  object_namespace(pod), object_name(pod), node));
}

/* ---- starting that fails ---- */

/* Ten seconds after the first failure, then doubling up to five minutes: the
 * gap is as long as all the time that was waited before, and ten seconds. */
static int64_t
backoff_due(const struct condition *c)
{
	int64_t gap = c->lastProbeTime - c->lastTransitionTime + BACKOFF_FIRST;

	return c->lastProbeTime + (gap < BACKOFF_MAX ? gap : BACKOFF_MAX);
}

/* Notes a failure in the status; true when it is time for another try. */
static bool
backoff(struct snapshot *s, const struct pod *pod, struct pod_status *st, const char *reason,
	const char *message, struct plan *p)
{
	const struct condition *was = pod_condition(pod, CONDITION_BACKOFF);
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, p->arena);
	struct condition *x = condition_of(c.at, c.n, CONDITION_BACKOFF);
	int64_t due;

	if (!x) {
		x = &c.at[c.n++];
		*x = (struct condition){ .type = CONDITION_BACKOFF,
					 .status = "True",
					 .lastProbeTime = s->now,
					 .lastTransitionTime = s->now };
	}
	x->reason = reason;
	x->message = message;
	st->conditions.at = c.at;
	st->conditions.n = c.n;
	due = backoff_due(x);
	if (was && !snapshot_early(s, x->lastProbeTime, due)) {
		x->lastProbeTime = s->now;
		return true;
	}
	plan_again(p, due);
	return false;
}

static void
backoff_over(struct pod_status *st, const char *type, struct arena *a)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 0, a);

	conditions_drop(&c, type);
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

/* Turned away, as the kubelet does: none of its containers was ever begun. */
static void
reject(const struct pod *pod, const struct pod_seen *seen, struct plan *p)
{
	struct pod_status *st = arena_zalloc(p->arena, sizeof *st);

	st->phase = "Failed";
	st->reason = seen->refused;
	st->message = arena_printf(p->arena, "Pod was rejected: %s", seen->message);
	st->qosClass = pod_qos(pod->spec);
	st->startTime = pod->status->startTime;
	write(p, pod, st, "");
}

/* ---- on to the host ---- */

/* What has ended for good is not started again with the others; init containers are. */
static void
leave_out_ended(const struct pod_status *st, struct sandbox_args *args)
{
	size_t n = 0, ninit = st->initContainerStatuses.n;

	for (size_t i = 0; i < args->containers.n; i++)
		if (i < ninit || !st->containerStatuses.at[i - ninit].state->terminated)
			args->containers.at[n++] = args->containers.at[i];
	args->containers.n = n;
}

/* As in Kubernetes, who has its image does not wait for who has not; false: nobody could
 * begin. */
static bool
hold_without_image(struct snapshot *s, const struct pod *pod, struct sandbox_args *args,
		   struct arena *a)
{
	size_t ninit = pod->spec->initContainers.n;
	bool any = false;

	for (size_t i = 0; i < args->containers.n; i++) {
		bool here = pod_images_here(s, pod, pod_part(pod->spec, i), a);

		args->containers.at[i].hold |= !here;
		any |= here && (!ninit || !i);
	}
	return any;
}

static void
start(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen, struct plan *p)
{
	struct arena *a = p->arena;
	struct pod_trouble *trouble =
	    arena_zalloc(a, (pod_parts(pod->spec) + 1) * sizeof *trouble);
	struct pod_view v = { s, pod, NULL, trouble, 0, a };
	struct sandbox_args *args = pod_sandbox(s, pod, a, trouble);
	bool failed = args && seen && str_is(seen->state, "failed");
	bool early = args && !failed && seen && snapshot_ahead(s, seen->startAgain);
	bool again = !early;
	bool waits = false; /* for images, which tell for themselves */
	bool ran = pod_condition(pod, "ContainersReady") != NULL;
	const struct isolate_args *isolation = isolation_of(s, pod, a);
	struct pod_status *st;

	v.ntrouble = !args;
	if (args && !failed)
		pod_images(s, pod, p, trouble, &v.ntrouble);
	if (args && !hold_without_image(s, pod, args, a) && !failed)
		waits = true, args = NULL;
	if (failed && str_is(seen->refused, REASON_REJECTED)) {
		reject(pod, seen, p);
		return;
	}
	if (failed) {
		trouble[0] = (struct pod_trouble){
			NULL, str_is(seen->refused, "") ? "ContainerCreating" : seen->refused,
			seen->message
		};
		v.ntrouble = 1;
	}
	if (early) {
		trouble[0] = (struct pod_trouble){ NULL, "CrashLoopBackOff",
						   "back-off: its sandbox ended by itself" };
		v.ntrouble = 1;
		plan_again(p, seen->startAgain);
	}
	st = pod_status_new(&v);
	if (failed)
		again = backoff(s, pod, st, "FailedCreatePodSandBox", seen->message, p);
	else if (!args)
		backoff_over(st, CONDITION_BACKOFF, a);
	if (write(p, pod, st, args ? pod_volumes_version(s, pod, a) : "") && !args && !waits)
		tell(p, pod, "Warning", trouble[0].event ? trouble[0].event : "FailedMount",
		     trouble[0].message);
	if (!args || !again || str_is(st->phase, "Succeeded") || str_is(st->phase, "Failed"))
		return;
	/* Its rules come before its first packet; their commit wakes us. */
	if (isolation && !isolation_stands(s, pod, isolation, a))
		return;
	args->isolated = isolation != NULL;
	pod_images_told(s, pod, p);
	leave_out_ended(st, args);
	pod_order(p, ACT_START, pod, 0, sandbox_args_kind(), args,
		  failed        ? "another try"
		  : seen && ran ? "its sandbox is gone"
		  : args->containers.n > 1
		      ? arena_printf(a, "%s and %zu more", args->containers.at[0].image,
				     args->containers.n - 1)
		      : args->containers.at[0].image);
}

/* ---- on the host ---- */

/* The probe's own word counts before the pod's. */
static int64_t
grace_of(const struct pod *pod, const struct probe *probe)
{
	if (probe && schema_has(probe_kind(), probe, "terminationGracePeriodSeconds"))
		return grace_counted(probe->terminationGracePeriodSeconds);
	return grace_counted(pod->spec->terminationGracePeriodSeconds);
}

/* As the kubelet tells it: of a pod that restarts nothing it does not say so. */
static const char *
failed_probe(const struct pod *pod, size_t i, const struct probe_seen *probe, struct arena *a)
{
	bool again = pod_part_role(pod->spec, i) == PART_SIDECAR ||
		     !str_is(pod->spec->restartPolicy, "Never");

	return arena_printf(a, "%s failed %s probe%s", pod_part(pod->spec, i)->name,
			    probe->started ? "liveness" : "startup",
			    again ? ", will be restarted" : "");
}

static const struct container_seen *
seen_named(const struct pod_seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->containers.n; i++)
		if (str_is(seen->containers.at[i].name, name))
			return &seen->containers.at[i];
	return NULL;
}

/* The very run that was probed, while it goes on; NULL: it has ended. */
static const struct container_seen *
probed_run(const struct pod_seen *seen, const char *name, const struct probe_seen *probe)
{
	const struct container_seen *is = seen_named(seen, name);
	bool goes_on = is && str_is(is->state, "running") && is->startedAt == probe->startedAt;

	return goes_on ? is : NULL;
}

/* A container that failed its liveness or startup probe for good. */
static void
restart_failed(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	       struct plan *p)
{
	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);
		const struct probe_seen *probe = snapshot_probe(s, object_uid(pod), c->name);
		struct restart_args args = { .uid = object_uid(pod), .container = c->name };

		if (!probe || !probe->live_failed || !probed_run(seen, c->name, probe))
			continue;
		args.grace = grace_of(pod, probe->started ? c->livenessProbe : c->startupProbe);
		pod_order(p, ACT_RESTART, pod, 0, restart_args_kind(), &args,
			  failed_probe(pod, i, probe, p->arena));
	}
}

/* What became of other limits than it is held to, which its spec asks for. */
struct resizing {
	bool under_way;
	const char *waits, *message; /* NULL: it does not */
};

/* Nothing of it is begun before there is room for all. */
static struct resizing
resize(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen, struct plan *p)
{
	struct resizing r = { 0 };

	for (size_t i = 0; i < pod_parts(pod->spec) && !r.waits; i++) {
		const struct container *c = pod_part(pod->spec, i);
		const struct container_seen *is = seen_named(seen, c->name);
		struct resize_args args;

		if (!is || !pod_resize_next(s, pod, c, is, &args))
			continue;
		if (!r.under_way)
			r.waits = pod_place_resize(s, pod, p->arena, &r.message);
		if (r.waits)
			continue;
		r.under_way = true;
		if (snapshot_ahead(s, is->resizeAgain)) {
			plan_again(p, is->resizeAgain);
			continue;
		}
		pod_order(p, ACT_RESIZE, pod, 0, resize_args_kind(), &args,
			  arena_printf(p->arena, "%s: its resources changed", c->name));
	}
	return r;
}

/* As the kubelet: a condition as long as it is under way, or waits. */
static void
resize_condition(struct pod_status *st, const struct pod *pod, const struct resizing *r,
		 int64_t now, struct arena *a)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 2, a);
	struct condition *was = condition_of(c.at, c.n, "PodResizePending");
	int64_t since =
	    was && r->waits && str_is(was->reason, r->waits) ? was->lastTransitionTime : now;

	conditions_drop(&c, "PodResizePending");
	if (r->waits)
		c.at[c.n++] = (struct condition){ .type = "PodResizePending",
						  .status = "True",
						  .reason = r->waits,
						  .message = r->message,
						  .lastTransitionTime = since };
	if (r->under_way && !condition_of(c.at, c.n, "PodResizeInProgress"))
		c.at[c.n++] = (struct condition){ .type = "PodResizeInProgress",
						  .status = "True",
						  .lastTransitionTime = now };
	if (!r->under_way)
		conditions_drop(&c, "PodResizeInProgress");
	st->conditions.at = c.at;
	st->conditions.n = c.n;
	for (size_t i = 0; r->waits && i < st->containerStatuses.n; i++) {
		struct container_status *is = &st->containerStatuses.at[i];
		const struct container_status *old = pod_part_status(pod->status, is->name);

		if (old) /* it has what it had */
			is->allocatedResources = old->allocatedResources;
	}
}

/* A sidecar's startup probe passed, and what comes after it does not know yet. */
static void
let_through(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	    struct plan *p)
{
	for (size_t i = 0; i < pod->spec->initContainers.n; i++) {
		const struct container *c = &pod->spec->initContainers.at[i];
		const struct probe_seen *probe = snapshot_probe(s, object_uid(pod), c->name);
		const struct container_seen *is =
		    probe ? probed_run(seen, c->name, probe) : NULL;
		struct started_args args = { .uid = object_uid(pod), .container = c->name };

		if (!c->startupProbe || !is || is->started || !probe->started)
			continue;
		args.startedAt = probe->startedAt;
		pod_order(p, ACT_STARTED, pod, 0, started_args_kind(), &args,
			  arena_printf(p->arena, "%s passed startup probe", c->name));
	}
}

/* Containers that were added to look into a pod that runs; `ret`: why some are not yet. */
static void
add_ephemeral(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	      struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	for (size_t i = 0; i < pod->spec->ephemeralContainers.n; i++) {
		const struct container *c = &pod->spec->ephemeralContainers.at[i];
		const struct container_status *st = pod_part_status(pod->status, c->name);
		struct add_args args = { .uid = object_uid(pod) };

		/* one that ended is not begun again, nor in a sandbox made anew */
		if (seen_named(seen, c->name) || (st && st->state && st->state->terminated))
			continue;
		args.container =
		    pod_container(s, pod, c, PART_EPHEMERAL, p->arena, &ret[*ret_n]);
		if (args.container->hold)
			tell_trouble(p, pod, &ret[(*ret_n)++]);
		else if (pod_image_added(s, pod, c, p, ret, ret_n))
			pod_order(p, ACT_ADD, pod, 0, add_args_kind(), &args, c->image);
	}
}

/* A container that waits for what it refers to.  Its image comes first, as in Kubernetes.
 * `ret`: what is still missing. */
static void
release(struct snapshot *s, const struct pod *pod, const struct container *c,
	enum part_role role, struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	struct add_args args = { .uid = object_uid(pod) };

	if (!pod_images_of(s, pod, c, p, ret, ret_n))
		return;
	args.container = pod_container(s, pod, c, role, p->arena, &ret[*ret_n]);
	if (args.container->hold) {
		tell_trouble(p, pod, &ret[(*ret_n)++]);
		return;
	}
	pod_images_of_told(s, pod, c, p);
	pod_order(p, ACT_RENEW, pod, 0, add_args_kind(), &args,
		  arena_printf(p->arena, "%s: all that it refers to is there", c->name));
}

/* Each run of a container gets the environment of its start: the host, which starts it again
 * by itself, is told of a new one beforehand, and that there is none. */
static void
renew_env(struct snapshot *s, const struct pod *pod, const struct container *c,
	  enum part_role role, const struct container_seen *is, struct plan *p)
{
	struct add_args args = { .uid = object_uid(pod) };
	struct pod_trouble missing = { 0 };

	args.container = pod_container(s, pod, c, role, p->arena, &missing);
	if (!str_is(is->image, "")) /* another one may not be here yet */
		args.container->image = is->image;
	pod_order(p, ACT_RENEW, pod, 0, add_args_kind(), &args,
		  arena_printf(p->arena, "%s: %s", c->name,
			       args.container->hold
				   ? missing.message
				   : "what its environment is made of changed"));
}

static void
renew(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen, struct plan *p,
      struct pod_images_wanted *images, struct pod_trouble *ret, size_t *ret_n)
{
	size_t n = pod_own_parts(pod->spec);

	for (size_t i = 0; i < n; i++) {
		const struct container *c = pod_part(pod->spec, i);
		const struct container_seen *is = seen_named(seen, c->name);
		enum part_role role = pod_part_role(pod->spec, i);

		if (is && is->held)
			release(s, pod, c, role, p, ret, ret_n);
		else if (!is || str_is(is->state, "terminated"))
			continue; /* it has no next run */
		else if (!str_is(pod_env_version(s, pod, c, p->arena), is->envVersion))
			renew_env(s, pod, c, role, is, p);
		else if (!str_is(is->image, "") && !str_is(is->image, c->image))
			pod_change_image(s, pod, c, role, is, p, images);
	}
}

/* No version: what there is could not be made anew (a token was not signed). */
#define FILES_OLD "old"

/* New contents for mounted ConfigMaps and Secrets.  When one has vanished its
 * last contents stay, as in Kubernetes. */
static const char *
renew_files(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	    struct plan *p)
{
	const char *version = pod_volumes_version(s, pod, p->arena), *why;
	struct sandbox_args args = { .uid = object_uid(pod),
				     .hostname = object_name(pod),
				     .ip = pod->status->podIP };
	size_t n = 0;

	pod_tokens_again(pod, s->now, p);
	if (snapshot_ahead(s, seen->filesAgain)) {
		plan_again(p, seen->filesAgain);
		return FILES_OLD;
	}
	if (str_is(version, "") || str_is(version, pod->status->mountedFiles) ||
	    !pod_volumes(s, pod, &args, p->arena, &why))
		return "";
	for (size_t i = 0; i < args.volumes.n; i++)
		if (str_is(args.volumes.at[i].type, "files"))
			args.volumes.at[n++] = args.volumes.at[i];
	args.volumes.n = n;
	pod_order(p, ACT_FILES, pod, 0, sandbox_args_kind(), &args,
		  "what its files are made of changed");
	return version;
}

/* ---- its time is over ---- */

static bool
is_late(const struct pod *pod)
{
	return pod->status && str_is(pod->status->reason, "DeadlineExceeded");
}

/* False: it has none, or there is time left. */
static bool
deadline_passed(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	int64_t due;

	if (!pod->status || !pod->status->startTime || pod_is_finished(pod) ||
	    !schema_has(pod_spec_kind(), pod->spec, "activeDeadlineSeconds"))
		return false;
	due = pod->status->startTime + pod->spec->activeDeadlineSeconds * 1000;
	if (due <= s->now)
		return true;
	plan_again(p, due);
	return false;
}

/* Failed from now on, whatever runs still; the next pass takes it off the host. */
static void
fail_late(const struct pod *pod, struct plan *p)
{
	struct pod_status *st = arena_alloc(p->arena, sizeof *st);

	*st = *pod->status;
	st->phase = "Failed";
	st->reason = "DeadlineExceeded";
	st->message = "Pod was active on the node longer than the specified deadline";
	write(p, pod, st, "");
	tell(p, pod, "Normal", st->reason, st->message);
}

/* It took more of the disk than it may: failed for good, as the kubelet evicts. */
static void
evict(const struct pod *pod, const char *over, struct pod_status *st, struct plan *p)
{
	st->phase = "Failed";
	st->reason = "Evicted";
	st->message = pod_over_message(pod->spec, over, p->arena);
	write(p, pod, st, "");
	tell(p, pod, "Warning", "Evicted", st->message);
}

static void
look_after(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	   struct plan *p)
{
	struct pod_trouble *trouble =
	    arena_zalloc(p->arena, (pod_parts(pod->spec) + 1) * sizeof *trouble);
	struct pod_view v = { s, pod, seen, trouble, 0, p->arena };
	bool up = str_is(seen->state, "up");
	struct pod_images_wanted images = { 0 };
	const char *volumes = "";
	struct resizing resizing;
	struct pod_status *st;

	if (up && !pod_is_finished(pod) && str_is(seen->over, "")) {
		renew(s, pod, seen, p, &images, trouble, &v.ntrouble);
		add_ephemeral(s, pod, seen, p, trouble, &v.ntrouble);
	}
	st = pod_status_new(&v);
	if (up) /* what fails from here on (images, crashes) is tried again on the host */
		backoff_over(st, CONDITION_BACKOFF, p->arena);

	if (up && !pod_is_finished(pod) && !str_is(seen->over, "")) {
		evict(pod, seen->over, st, p);
		return;
	}
	if (up && !pod_is_finished(pod)) {
		restart_failed(s, pod, seen, p);
		let_through(s, pod, seen, p);
		resizing = resize(s, pod, seen, p);
		resize_condition(st, pod, &resizing, s->now, p->arena);
		pod_images_condition(st, pod, &images, s->now, p->arena);
		volumes = renew_files(s, pod, seen, p);
	}
	write(p, pod, st, volumes);
	/* Only what the store already knows to be over is taken off the host. */
	if (up && pod_is_finished(pod))
		order_stop(p, pod, is_late(pod) ? pod->spec->terminationGracePeriodSeconds : 0,
			   is_late(pod) ? "DeadlineExceeded" : pod_phase(pod));
}

/* ---- out of service, and off the host ---- */

static bool
any_running(const struct pod_seen *seen)
{
	for (size_t i = 0; i < seen->containers.n; i++)
		if (str_is(seen->containers.at[i].state, "running"))
			return true;
	return false;
}

/* Why it is in no rule, or will be in none, though no drain has been ordered yet. */
#define LAST_ONE "NoOtherEndpoint"

static void
draining_note(struct snapshot *s, struct pod_status *st, const char *reason, struct plan *p)
{
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, p->arena);

	conditions_drop(&c, CONDITION_DRAINING);
	c.at[c.n++] = (struct condition){ .type = CONDITION_DRAINING,
					  .status = "True",
					  .reason = reason,
					  .lastTransitionTime = s->now };
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

/* True when the pod may be asked to end: it is in no rule any more and its
 * connections are over, or there was time enough. */
static bool
is_drained(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	   struct pod_status *st, int64_t began, struct plan *p)
{
	int64_t limit = s->settings->drain_ms;
	const struct condition *since = pod_condition(pod, CONDITION_DRAINING);
	struct drain_args args = { .uid = object_uid(pod), .ip = pod->status->podIP };

	if (!any_running(seen) || str_is(args.ip, "") || pod->spec->hostNetwork)
		return true; /* nobody can be talking to it */
	/* The last one serves until another does.  When none came in time, clients
	 * would come for ever: there is nothing to wait for any more.  Nor is there when
	 * none can come: then it leaves the rules now, and the connections that it has end. */
	if (snapshot_serves(s, args.ip) || snapshot_serves(s, pod_address(pod, true))) {
		if (!since && !service_has_other(s, pod))
			draining_note(s, st, LAST_ONE, p);
		plan_again(p, began + limit > s->now ? began + limit : 0);
		return s->now >= began + limit;
	}
	if (since && !str_is(since->reason, LAST_ONE)) {
		plan_again(p, since->lastTransitionTime + limit);
		return seen->drained || s->now >= since->lastTransitionTime + limit;
	}
	draining_note(s, st, "Terminating", p);
	pod_order(p, ACT_DRAIN, pod, limit, drain_args_kind(), &args, "out of the rules");
	plan_again(p, s->now + limit);
	return false;
}

/* It was told to end, and was given longer than it has by now. */
static bool
ends_too_late(const struct snapshot *s, const struct pod *pod, const struct pod_seen *seen,
	      int64_t grace)
{
	if (!str_is(seen->state, "stopping"))
		return false;
	return seen->stopBy ? s->now + grace * 1000 < seen->stopBy
			    : grace < pod->spec->terminationGracePeriodSeconds;
}

static void
leave(struct snapshot *s, const struct pod *pod, const struct pod_seen *seen, struct plan *p)
{
	struct pod_view v = { s, pod, seen, NULL, 0, p->arena };
	int64_t grace = grace_counted(pod->spec->terminationGracePeriodSeconds);
	struct pod_status *st;
	bool stop;

	if (!pod_is_up(seen)) {
		if (pod->metadata->finalizers.n)
			return; /* whoever put them there takes them away first */
		if (s->host)    /* until the hand has spoken, it may well be there */
			plan_name(p, ACT_FORGET, pod, "gone from the host");
		return;
	}
	if (schema_has(object_meta_kind(), pod->metadata, "deletionGracePeriodSeconds") ||
	    pod->metadata->deletionGracePeriodSeconds)
		grace = pod->metadata->deletionGracePeriodSeconds;
	st = pod_status_new(&v);
	/* Who is given no time by its own template leaves in order all the same. */
	stop =
	    !str_is(seen->state, "stopping") &&
	    ((!grace && pod->spec->terminationGracePeriodSeconds) ||
	     is_drained(s, pod, seen, st, pod->metadata->deletionTimestamp - grace * 1000, p));
	write(p, pod, st, "");
	if (stop)
		order_stop(p, pod, grace, !grace ? "at once" : seen->drained ? "drained" : "");
	else if (ends_too_late(s, pod, seen, grace))
		order_stop(p, pod, grace, "sooner than it was told");
}

static bool
has_address(const struct pod *pod)
{
	return pod->spec->hostNetwork || !str_is(pod->status->podIP, "");
}

/* It was started, and the brain that placed it ended before its address was on the disk: it is
 * in no rule, and no policy holds for it. */
static void
begin_again(const struct pod *pod, const struct pod_seen *seen, struct plan *p)
{
	if (!str_is(seen->state, "stopping"))
		order_stop(p, pod, pod->spec->terminationGracePeriodSeconds,
			   "nobody knows its address");
}

void
pod_reconcile(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	const struct pod_seen *seen = snapshot_seen(s, object_uid(pod));

	if (!pod->spec || !pod->spec->containers.n)
		return;
	if (pod->metadata->deletionTimestamp)
		leave(s, pod, seen, p);
	else if (deadline_passed(s, pod, p))
		fail_late(pod, p);
	else if (pod_is_up(seen) && pod->status && has_address(pod))
		look_after(s, pod, seen, p);
	else if (pod_is_up(seen) && pod->status)
		begin_again(pod, seen, p);
	else if (pod_is_finished(pod))
		return;
	else if (str_is(pod->spec->nodeName, "") || !pod->status ||
		 str_is(pod->status->podIP, ""))
		place(s, pod, p);
	else if (s->host) /* until the hand has spoken, it may well be running */
		start(s, pod, seen, p);
}

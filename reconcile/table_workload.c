/* table_workload.c -- the cells of pods and of what makes pods, and of events. */
#include "pod_parts.h"
#include "table_cells.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char *
selector_cell(const struct label_selector *s, const struct cells *c)
{
	return s ? or_none(selector_print(s, c->arena)) : NONE;
}

static const char *
container_names(const struct pod_template_spec *t, bool images, const struct cells *c)
{
	const struct pod_spec *p = t ? t->spec : NULL;
	struct buf b = { 0 };

	for (size_t i = 0; p && i < p->containers.n; i++)
		cell_add_part(
		    &b, ",",
		    text(images ? p->containers.at[i].image : p->containers.at[i].name));
	return cell_taken(&b, "", c);
}

/* ---- Pod ---- */

struct pod_facts {
	int64_t restarts, last_restart;
	size_t ready;
	bool running, initializing;
	const char *reason;
};

static bool
condition_is_true(const struct pod_status *s, const char *type)
{
	for (size_t i = 0; i < s->conditions.n; i++)
		if (!strcmp(text(s->conditions.at[i].type), type))
			return !strcmp(text(s->conditions.at[i].status), "True");
	return false;
}

static bool
is_gated(const struct pod_status *s)
{
	for (size_t i = 0; i < s->conditions.n; i++)
		if (!strcmp(text(s->conditions.at[i].type), "PodScheduled"))
			return !strcmp(text(s->conditions.at[i].reason), "SchedulingGated");
	return false;
}

static const char *
end_reason(const struct container_state_terminated *t, const char *prefix,
	   const struct cells *c)
{
	if (t->reason && *t->reason)
		return arena_printf(c->arena, "%s%s", prefix, t->reason);
	if (t->signal)
		return arena_printf(c->arena, "%sSignal:%" PRId64, prefix, t->signal);
	return arena_printf(c->arena, "%sExitCode:%" PRId64, prefix, t->exitCode);
}

static void
count_restarts(const struct container_status *s, struct pod_facts *f)
{
	const struct container_state_terminated *last =
	    s->lastState ? s->lastState->terminated : NULL;

	f->restarts += s->restartCount;
	if (last && last->finishedAt > f->last_restart)
		f->last_restart = last->finishedAt;
}

static bool
is_sidecar(const struct pod *p, size_t i)
{
	return p->spec && i < p->spec->initContainers.n &&
	       pod_part_role(p->spec, i) == PART_SIDECAR;
}

/* The first init container that is not done gives the pod its reason. */
static void
pod_init_facts(const struct pod *p, struct pod_facts *f, const struct cells *c)
{
	for (size_t i = 0; i < p->status->initContainerStatuses.n; i++) {
		const struct container_status *s = &p->status->initContainerStatuses.at[i];
		const struct container_state *at = s->state;

		count_restarts(s, f);
		if (at && at->terminated && !at->terminated->exitCode)
			continue;
		if (is_sidecar(p, i) && s->started) {
			f->ready += s->ready;
			continue;
		}
		f->initializing = true;
		if (at && at->terminated)
			f->reason = end_reason(at->terminated, "Init:", c);
		else if (at && at->waiting && *text(at->waiting->reason) &&
			 strcmp(at->waiting->reason, "PodInitializing"))
			f->reason = arena_printf(c->arena, "Init:%s", at->waiting->reason);
		else
			f->reason = arena_printf(c->arena, "Init:%zu/%zu", i,
						 p->spec->initContainers.n);
		return;
	}
}

static void
pod_container_facts(const struct pod *p, struct pod_facts *f, const struct cells *c)
{
	f->restarts = 0;
	f->last_restart = 0;
	for (size_t i = 0; i < p->status->initContainerStatuses.n; i++)
		if (is_sidecar(p, i))
			count_restarts(&p->status->initContainerStatuses.at[i], f);
	for (size_t i = p->status->containerStatuses.n; i-- > 0;) {
		const struct container_status *s = &p->status->containerStatuses.at[i];
		const struct container_state *at = s->state;

		count_restarts(s, f);
		if (!at)
			continue;
		if (at->waiting && *text(at->waiting->reason))
			f->reason = at->waiting->reason;
		else if (at->terminated)
			f->reason = end_reason(at->terminated, "", c);
		else if (s->ready && at->running)
			f->running = true;
		f->ready += s->ready && at->running;
	}
	if (!strcmp(f->reason, "Completed") && f->running)
		f->reason = condition_is_true(p->status, "Ready") ? "Running" : "NotReady";
}

static struct pod_facts
pod_facts(const struct pod *p, const struct cells *c)
{
	const struct pod_status *s = p->status;
	struct pod_facts f = { .reason = "Unknown" };
	const char *phase = s ? text(s->phase) : "";

	if (s) {
		f.reason = *text(s->reason) ? s->reason
			   : is_gated(s)    ? "SchedulingGated"
			   : *phase         ? phase
					    : "Pending";
		pod_init_facts(p, &f, c);
		if (!f.initializing || condition_is_true(s, "Initialized"))
			pod_container_facts(p, &f, c);
	}
	if (p->metadata->deletionTimestamp && strcmp(phase, "Succeeded") &&
	    strcmp(phase, "Failed"))
		f.reason = "Terminating";
	return f;
}

const char *
cell_pod_ready(const void *obj, const struct cells *c)
{
	const struct pod *p = obj;
	size_t all = p->spec ? p->spec->containers.n : 0;

	for (size_t i = 0; p->spec && i < p->spec->initContainers.n; i++)
		all += is_sidecar(p, i);
	return arena_printf(c->arena, "%zu/%zu", pod_facts(p, c).ready, all);
}

const char *
cell_pod_status(const void *obj, const struct cells *c)
{
	return pod_facts(obj, c).reason;
}

const char *
cell_pod_restarts(const void *obj, const struct cells *c)
{
	struct pod_facts f = pod_facts(obj, c);

	if (f.restarts && f.last_restart)
		return arena_printf(c->arena, "%" PRId64 " (%s ago)", f.restarts,
				    age_print(f.last_restart, c));
	return cell_number(f.restarts, c);
}

const char *
cell_pod_ip(const void *obj, const struct cells *c)
{
	const struct pod_status *s = ((const struct pod *)obj)->status;

	(void)c;
	if (s && s->podIPs.n)
		return or_none(s->podIPs.at[0].ip);
	return or_none(s ? s->podIP : NULL);
}

const char *
cell_pod_node(const void *obj, const struct cells *c)
{
	const struct pod *p = obj;

	(void)c;
	return or_none(p->spec ? p->spec->nodeName : NULL);
}

const char *
cell_pod_nominated(const void *obj, const struct cells *c)
{
	const struct pod *p = obj;

	(void)c;
	return or_none(p->status ? p->status->nominatedNodeName : NULL);
}

const char *
cell_pod_gates(const void *obj, const struct cells *c)
{
	const struct pod *p = obj;
	size_t open = 0, all = p->spec ? p->spec->readinessGates.n : 0;

	for (size_t i = 0; p->status && i < all; i++)
		open +=
		    condition_is_true(p->status, p->spec->readinessGates.at[i].conditionType);
	return all ? arena_printf(c->arena, "%zu/%zu", open, all) : NONE;
}

/* ---- Event ---- */

const char *
cell_event_first(const void *obj, const struct cells *c)
{
	const struct event *e = obj;

	return age_print(e->firstTimestamp ? e->firstTimestamp : e->eventTime, c);
}

const char *
cell_event_last(const void *obj, const struct cells *c)
{
	const struct event *e = obj;

	if (e->series && e->series->lastObservedTime)
		return age_print(e->series->lastObservedTime, c);
	return e->lastTimestamp ? age_print(e->lastTimestamp, c) : cell_event_first(obj, c);
}

const char *
cell_event_type(const void *obj, const struct cells *c)
{
	(void)c;
	return text(((const struct event *)obj)->type);
}

const char *
cell_event_reason(const void *obj, const struct cells *c)
{
	(void)c;
	return text(((const struct event *)obj)->reason);
}

const char *
cell_event_object(const void *obj, const struct cells *c)
{
	const struct object_reference *o = ((const struct event *)obj)->involvedObject;
	char *kind;

	if (!o)
		return "";
	kind = arena_strdup(c->arena, text(o->kind));
	for (char *p = kind; *p; p++)
		*p = tolower((unsigned char)*p);
	return *text(o->name) ? arena_printf(c->arena, "%s/%s", kind, o->name) : kind;
}

const char *
cell_event_field(const void *obj, const struct cells *c)
{
	const struct object_reference *o = ((const struct event *)obj)->involvedObject;

	(void)c;
	return o ? text(o->fieldPath) : "";
}

const char *
cell_event_source(const void *obj, const struct cells *c)
{
	const struct event *e = obj;
	const struct event_source *s = e->source;
	const char *who = s && *text(s->component) ? s->component : text(e->reportingComponent);
	const char *host =
	    s && *text(s->component) ? text(s->host) : text(e->reportingInstance);

	return *host ? arena_printf(c->arena, "%s, %s", who, host) : who;
}

const char *
cell_event_message(const void *obj, const struct cells *c)
{
	const char *m = text(((const struct event *)obj)->message);
	size_t n;

	m += strspn(m, " \t\n");
	n = strlen(m);
	while (n && isspace((unsigned char)m[n - 1]))
		n--;
	return arena_strndup(c->arena, m, n);
}

const char *
cell_event_count(const void *obj, const struct cells *c)
{
	const struct event *e = obj;

	if (e->series)
		return cell_number(e->series->count, c);
	return cell_number(e->count ? e->count : 1, c);
}

/* ---- ReplicaSet, Deployment ---- */

CELL(replica_set, r, cell_replica_set_desired, cell_number(r->spec ? r->spec->replicas : 0, c))
CELL(replica_set, r, cell_replica_set_current,
     cell_number(r->status ? r->status->replicas : 0, c))
CELL(replica_set, r, cell_replica_set_ready,
     cell_number(r->status ? r->status->readyReplicas : 0, c))
CELL(replica_set, r, cell_replica_set_names,
     container_names(r->spec ? r->spec->template : NULL, false, c))
CELL(replica_set, r, cell_replica_set_images,
     container_names(r->spec ? r->spec->template : NULL, true, c))
CELL(replica_set, r, cell_replica_set_selector,
     selector_cell(r->spec ? r->spec->selector : NULL, c))

CELL(deployment, d, cell_deployment_ready,
     arena_printf(c->arena, "%" PRId64 "/%" PRId64, d->status ? d->status->readyReplicas : 0,
		  d->spec ? d->spec->replicas : 0))
CELL(deployment, d, cell_deployment_updated,
     cell_number(d->status ? d->status->updatedReplicas : 0, c))
CELL(deployment, d, cell_deployment_available,
     cell_number(d->status ? d->status->availableReplicas : 0, c))
CELL(deployment, d, cell_deployment_names,
     container_names(d->spec ? d->spec->template : NULL, false, c))
CELL(deployment, d, cell_deployment_images,
     container_names(d->spec ? d->spec->template : NULL, true, c))
CELL(deployment, d, cell_deployment_selector,
     selector_cell(d->spec ? d->spec->selector : NULL, c))

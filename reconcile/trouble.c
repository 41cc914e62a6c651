/* trouble.c -- see trouble.h. */
#include "trouble.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/text.h"
#include "object.h"
#include "pod_change.h"
#include "pod_parts.h"
#include "service.h"
#include "workload.h"
#include <inttypes.h>
#include <string.h>

/* ---- pods ---- */

/* "OOMKilled, exit code 137", and the first line of what it said. */
static const char *
end_text(const struct container_state_terminated *t, struct arena *a)
{
	const char *said = t->message ? t->message : "";
	int line = (int)strcspn(said, "\n");

	return arena_printf(a, "%s%sexit code %" PRId64 "%s%.*s", t->reason ? t->reason : "",
			    t->reason ? ", " : "", t->exitCode, line ? ": " : "",
			    line < 300 ? line : 300, said);
}

/* Why it is started again and again: "; its last run ended with OOMKilled, exit code 137". */
static const char *
last_end(const struct container_status *cs, struct arena *a)
{
	const struct container_state_terminated *t =
	    cs->lastState ? cs->lastState->terminated : NULL;

	return t ? arena_printf(a, "; its last run ended with %s", end_text(t, a)) : "";
}

const char *
trouble_of_failed(const struct pod *pod, struct arena *a)
{
	const struct pod_status *st = pod->status;
	size_t ninit = st->initContainerStatuses.n;

	if (!str_is(st->reason, ""))
		return arena_printf(a, "%s%s%s", st->reason,
				    str_is(st->message, "") ? "" : ": ",
				    st->message ? st->message : "");
	for (size_t i = 0; i < ninit + st->containerStatuses.n; i++) {
		const struct container_status *cs = i < ninit
							? &st->initContainerStatuses.at[i]
							: &st->containerStatuses.at[i - ninit];

		if (cs->state && cs->state->terminated && cs->state->terminated->exitCode)
			return arena_printf(a, "%scontainer %s ended with %s",
					    i < ninit ? "init " : "", cs->name,
					    end_text(cs->state->terminated, a));
	}
	return str_is(st->message, "") ? NULL : st->message;
}

/* What is being made says nothing as long as nothing is in its way. */
static const char *
waits_for(const struct pod_status *st, struct arena *a)
{
	size_t ninit = st->initContainerStatuses.n;

	for (size_t i = 0; i < ninit + st->containerStatuses.n; i++) {
		const struct container_status *cs = i < ninit
							? &st->initContainerStatuses.at[i]
							: &st->containerStatuses.at[i - ninit];
		const struct container_state_waiting *w = cs->state ? cs->state->waiting : NULL;

		bool said = w && !str_is(w->message, "");

		if (w && w->reason &&
		    (said || (!str_is(w->reason, "ContainerCreating") &&
			      !str_is(w->reason, "PodInitializing"))))
			return arena_printf(
			    a, "%s%s%s%s", w->reason, said ? ": " : "", said ? w->message : "",
			    str_is(w->reason, "CrashLoopBackOff") ? last_end(cs, a) : "");
	}
	return NULL;
}

/* Is it about the run that its container ("spec.containers{web}") is in?  The API's times have
 * whole seconds. */
static bool
is_of_this_run(const struct event *ev, const struct pod *pod)
{
	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const char *name = pod_part(pod->spec, i)->name;
		const struct container_status *cs = pod_part_status(pod->status, name);
		const char *at = strchr(ev->involvedObject->fieldPath, '{');

		if (at && !strncmp(at + 1, name, strlen(name)) &&
		    str_is(at + 1 + strlen(name), "}"))
			return cs && cs->state && cs->state->running &&
			       ev->lastTimestamp / 1000 >= cs->state->running->startedAt / 1000;
	}
	return false;
}

/* The newest word of a probe. */
static const struct event *
unhealthy(const struct snapshot *s, const struct pod *pod)
{
	struct objects all = snapshot_in(s, RES_event, object_namespace(pod));
	const struct event *found = NULL;

	for (size_t i = 0; i < all.n; i++) {
		const struct event *ev = (const struct event *)all.at[i];

		if (str_is(ev->reason, "Unhealthy") && object_is_own_event(ev) && ev->message &&
		    ev->involvedObject && ev->involvedObject->fieldPath &&
		    str_is(ev->involvedObject->uid, object_uid(pod)) &&
		    (!found || ev->lastTimestamp >= found->lastTimestamp) &&
		    is_of_this_run(ev, pod))
			found = ev;
	}
	return found;
}

static const char *
probe_says(const struct snapshot *s, const struct pod *pod, bool count, struct arena *a)
{
	const struct event *ev = unhealthy(s, pod);
	int64_t seconds;

	if (!ev)
		return NULL;
	seconds = (ev->lastTimestamp - ev->firstTimestamp) / 1000;
	if (!count || ev->count < 2)
		return ev->message;
	return arena_printf(a, "%s (%" PRId64 " times in %" PRId64 "s)", ev->message, ev->count,
			    seconds);
}

/* It serves, of the image that it had: the new one cannot be had. */
static const char *
image_says(const struct pod *pod, struct arena *a)
{
	const struct condition *image = pod_condition(pod, CONDITION_IMAGE);

	if (!image || !image->message || str_is(image->reason, IMAGE_COMES))
		return NULL;
	return arena_printf(a, "%s: %s", image->reason, image->message);
}

const char *
trouble_of_node(const struct snapshot *s, struct arena *a)
{
	return s->rules_error
		   ? arena_printf(a, "services go by the rules of before: %s", s->rules_error)
		   : NULL;
}

const char *
trouble_of_pod(const struct snapshot *s, const struct pod *pod, bool count, struct arena *a)
{
	const struct pod_status *st = pod->status;
	const struct condition *placed;
	const char *why;

	if (!st || pod->metadata->deletionTimestamp)
		return NULL;
	if (str_is(st->phase, "Failed")) {
		why = trouble_of_failed(pod, a);
		return why ? why : "Failed";
	}
	if (pod_is_ready(pod))
		return image_says(pod, a);
	placed = pod_condition(pod, "PodScheduled");
	if (placed && str_is(placed->status, "False") && placed->message)
		return arena_printf(a, "%s: %s", placed->reason, placed->message);
	why = waits_for(st, a);
	return why ? why : probe_says(s, pod, count, a);
}

const char *
trouble_of_replicas(const struct condition *at, size_t n, struct arena *a)
{
	const struct condition *failure = condition_of(at, n, "ReplicaFailure");

	if (!failure || !str_is(failure->status, "True"))
		return NULL;
	return arena_printf(a, "%s: %s", failure->reason, failure->message);
}

/* ---- services ---- */

struct at_service {
	const struct snapshot *s;
	const struct service *svc;
	const struct map *ends;  /* of trouble_ends(), or NULL */
	const struct pod **pods; /* that it selects */
	size_t npods;
	struct arena *a;
};

/* "it has 8080 (http), 9090": what the first of the pods says that it listens at. */
static const char *
ports_of(const struct pod *pod, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);

		if (pod_part_role(pod->spec, i) == PART_INIT)
			continue; /* it ends before anybody comes */
		for (size_t k = 0; k < c->ports.n; k++) {
			const char *name = c->ports.at[k].name;

			buf_addf(&text, "%s%" PRId64 "%s%s%s", text.len ? ", " : "it has ",
				 c->ports.at[k].containerPort, name ? " (" : "",
				 name ? name : "", name ? ")" : "");
		}
	}
	return arena_strdup(a, text.len ? text.at : "it states none");
}

enum listens { NOT_SEEN, NOBODY, TO_ITSELF, YES };

/* Of "10.42.0.2" that it was looked at, of "10.42.0.2 80" the socket that most reach. */
void
trouble_ends(struct map *ends, const struct end_seen *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_buf struct buf key = { 0 };
		const struct end_seen *was;

		buf_addf(&key, "%s %" PRId64, at[i].ip, at[i].port);
		was = map_get(ends, key.at);
		if (!was || was->local)
			(void)map_put(ends, key.at, (void *)&at[i]);
		(void)map_put(ends, at[i].ip, (void *)&at[i]);
	}
}

static enum listens
listens(const struct at_service *at, const char *ip, int64_t port)
{
	const struct end_seen *found;

	if (!at->ends || !ip || !map_get(at->ends, ip))
		return NOT_SEEN;
	found = map_get(at->ends, arena_printf(at->a, "%s %" PRId64, ip, port));
	return !found ? NOBODY : found->local ? TO_ITSELF : YES;
}

/* That nobody takes what comes to this pod by one of the Service's families; NULL: somebody
 * does, or nobody looked. */
static const char *
nobody_takes(const struct at_service *at, const struct service_port *sp, const struct pod *pod,
	     int64_t port)
{
	static const char *const loopback[] = { "127.0.0.1", "::1" };

	for (int v6 = 0; v6 < 2; v6++) {
		enum listens there = service_has_family(at->svc, v6)
					 ? listens(at, pod_address(pod, v6), port)
					 : NOT_SEEN;

		if (there != NOBODY && there != TO_ITSELF)
			continue;
		return arena_printf(
		    at->a, "port %" PRId64 ": in pod %s %s port %" PRId64 "%s%s%s", sp->port,
		    object_name(pod), there == NOBODY ? "nobody listens at" : "who listens at",
		    port, v6 ? " of IPv6" : "", there == NOBODY ? "" : " does so at ",
		    there == NOBODY
			? ""
			: arena_printf(at->a, "%s alone, not for others", loopback[v6]));
	}
	return NULL;
}

static const char *
trouble_of_port(const struct at_service *at, const struct service_port *sp)
{
	struct arena *a = at->a;
	size_t without = 0;

	for (size_t i = 0; i < at->npods; i++) {
		const struct pod *pod = at->pods[i];
		const struct container_port *cp =
		    sp->targetPort.s ? pod_part_port(pod->spec, sp->targetPort.s, sp->protocol)
				     : NULL;
		int64_t number = cp                 ? cp->containerPort
				 : sp->targetPort.i ? sp->targetPort.i
						    : sp->port;
		const char *why;

		if (sp->targetPort.s && !cp) {
			without++;
			continue;
		}
		if (!pod_is_ready(pod) || pod->spec->hostNetwork ||
		    !str_is(sp->protocol, "TCP"))
			continue;
		why = nobody_takes(at, sp, pod, number);
		if (why)
			return why;
	}
	if (at->npods && without == at->npods)
		return arena_printf(a,
				    "port %" PRId64 ": no container of pod %s has a %s port "
				    "named \"%s\" (%s)",
				    sp->port, object_name(at->pods[0]), sp->protocol,
				    sp->targetPort.s, ports_of(at->pods[0], a));
	return NULL;
}

static const char *
labels_text(const struct pairs *labels, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	for (size_t i = 0; i < labels->n; i++)
		buf_addf(&text, "%s%s=%s", i ? "," : "", labels->at[i].key,
			 labels->at[i].value);
	return arena_strdup(a, buf_text(&text));
}

/* Of svc, all that it selects and that stays. */
static struct at_service
at_begin(const struct snapshot *s, const struct service *svc, struct arena *a)
{
	struct objects all = snapshot_in(s, RES_pod, object_namespace(svc));
	struct at_service at = { .s = s, .svc = svc, .a = a };
	struct label_selector sel = { .matchLabels = svc->spec->selector };

	at.pods = arena_alloc(a, (all.n + 1) * sizeof *at.pods);
	for (size_t i = 0; i < all.n; i++)
		if (!all.at[i]->metadata->deletionTimestamp &&
		    selector_matches(&sel, &all.at[i]->metadata->labels))
			at.pods[at.npods++] = (const struct pod *)all.at[i];
	return at;
}

static const char *
nothing_matches(const struct at_service *at, const char *when)
{
	return arena_printf(at->a, "no pod has the labels that it selects by%s: %s", when,
			    labels_text(&at->svc->spec->selector, at->a));
}

const char *
trouble_of_service(const struct snapshot *s, const struct service *svc, const struct map *ends,
		   struct arena *a)
{
	struct at_service at;
	const char *why = NULL;

	if (!service_selects(svc))
		return NULL;
	at = at_begin(s, svc, a);
	at.ends = ends;
	if (!at.npods)
		return service_has_maker(s, svc, false) /* who has none just now */
			   ? NULL
			   : nothing_matches(&at, "");
	for (size_t i = 0; i < svc->spec->ports.n && !why; i++)
		why = trouble_of_port(&at, &svc->spec->ports.at[i]);
	return why;
}

static const char *
trouble_of_endpoints(const struct snapshot *s, const struct service *svc, struct arena *a)
{
	const char *why = trouble_of_service(s, svc, NULL, a);
	struct at_service at;

	if (why || !service_selects(svc))
		return why;
	at = at_begin(s, svc, a);
	if (!at.npods)
		return nothing_matches(&at, " just now");
	for (size_t i = 0; i < at.npods; i++) {
		const char *one = trouble_of_pod(s, at.pods[i], false, a);

		if (pod_is_ready(at.pods[i]))
			return NULL;
		if (one && !why)
			why = arena_printf(a, "; pod %s: %s", object_name(at.pods[i]), one);
	}
	return at.npods == 1 ? arena_printf(a, "its one pod is not ready%s", why ? why : "")
			     : arena_printf(a, "none of its %zu pods is ready%s", at.npods,
					    why ? why : "");
}

static bool
is_met_at(const struct service *svc, const char *ip, const char *protocol, int64_t port)
{
	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		const struct service_port *sp = &svc->spec->ports.at[i];
		bool here = str_is(svc->spec->clusterIP, ip);

		for (size_t k = 0; k < svc->spec->clusterIPs.n; k++)
			here |= str_is(svc->spec->clusterIPs.at[k], ip);
		for (size_t k = 0; k < svc->spec->externalIPs.n; k++)
			here |= str_is(svc->spec->externalIPs.at[k], ip);
		for (size_t k = 0; svc->status && svc->status->loadBalancer &&
				   k < svc->status->loadBalancer->ingress.n;
		     k++)
			here |= str_is(svc->status->loadBalancer->ingress.at[k].ip, ip);
		if (str_is(sp->protocol, protocol) &&
		    (here ? sp->port == port : port && sp->nodePort == port))
			return true;
	}
	return false;
}

const char *
trouble_of_way(const struct snapshot *s, const char *ip, const char *protocol, int64_t port,
	       struct arena *a)
{
	for (size_t i = 0; i < s->of[RES_service].n; i++) {
		const struct service *svc = (const struct service *)s->of[RES_service].at[i];

		if (is_met_at(svc, ip, protocol, port))
			return trouble_of_endpoints(s, svc, a);
	}
	return NULL;
}

/* service.c -- addresses and node ports for Services.
 *
 * Pure.  What is asked for is honoured, what is not is given out (service_claims.c).  Where
 * two ask for the same, the one that came later is told by an Event and by the condition
 * kedge.dev/Allocated, and its rules leave out what it did not get.
 */
#include "service.h"
#include "base/buf.h"
#include "controllers.h"
#include "service_claims.h"
#include "workload.h"

#define CONDITION_ALLOCATED "kedge.dev/Allocated"

bool
service_is(const struct service *svc, const char *type)
{
	return str_is(svc->spec && svc->spec->type ? svc->spec->type : "ClusterIP", type);
}

bool
service_has_node_ports(const struct service *svc)
{
	return service_is(svc, "NodePort") || service_is(svc, "LoadBalancer");
}

bool
service_selects(const struct service *svc)
{
	return svc->spec && svc->spec->selector.n && !service_is(svc, "ExternalName");
}

static struct label_selector
selector_of(const struct service *svc)
{
	return (struct label_selector){ .matchLabels = svc->spec->selector };
}

static bool
makes_soon(const struct deployment *d)
{
	return d->spec->replicas && !d->metadata->deletionTimestamp && !deployment_recreates(d);
}

bool
service_has_maker(const struct snapshot *s, const struct service *svc, bool wanted)
{
	struct objects all = snapshot_in(s, RES_deployment, object_namespace(svc));
	struct label_selector sel = selector_of(svc);

	for (size_t i = 0; i < all.n; i++) {
		const struct deployment *d = (const struct deployment *)all.at[i];

		if ((!wanted || makes_soon(d)) &&
		    selector_matches(&sel, &d->spec->template->metadata->labels))
			return true;
	}
	all = snapshot_in(s, RES_replica_set, object_namespace(svc));
	for (size_t i = 0; i < all.n; i++) {
		const struct replica_set *rs = (const struct replica_set *)all.at[i];

		if ((!wanted || (rs->spec->replicas && !rs->metadata->deletionTimestamp)) &&
		    selector_matches(&sel, &rs->spec->template->metadata->labels))
			return true;
	}
	return false;
}

/* A pod that stays, whatever it lacks just now. */
static bool
has_pod_but(const struct snapshot *s, const struct service *svc, const struct pod *but)
{
	struct objects all = snapshot_in(s, RES_pod, object_namespace(svc));
	struct label_selector sel = selector_of(svc);

	for (size_t i = 0; i < all.n; i++) {
		const struct pod *pod = (const struct pod *)all.at[i];

		if (pod != but && !pod->metadata->deletionTimestamp &&
		    selector_matches(&sel, &pod->metadata->labels))
			return true;
	}
	return false;
}

bool
service_has_other(const struct snapshot *s, const struct pod *pod)
{
	struct objects all = snapshot_in(s, RES_service, object_namespace(pod));
	bool found = false;

	for (size_t i = 0; i < all.n; i++) {
		const struct service *svc = (const struct service *)all.at[i];
		struct label_selector sel = selector_of(svc);

		if (!service_selects(svc) || !selector_matches(&sel, &pod->metadata->labels))
			continue;
		if (service_has_maker(s, svc, true) || has_pod_but(s, svc, pod))
			return true;
		found = true;
	}
	return !found;
}

struct objects
service_slices(struct snapshot *s, const struct service *svc)
{
	struct pair pair = { LABEL_SERVICE, object_name(svc) };
	struct pairs by = { &pair, 1 };

	return snapshot_selected(s, RES_endpoint_slice, object_namespace(svc), &by);
}

const struct endpoints *
service_old_form(struct snapshot *s, const struct service *svc, const struct objects *slices)
{
	if (slices->n || service_selects(svc))
		return NULL;
	return snapshot_find(s, RES_endpoints, object_namespace(svc), object_name(svc));
}

/* An absent `ready` is to be read as true. */
bool
endpoint_is_ready(const struct endpoint *e)
{
	const struct endpoint_conditions *c = e->conditions;

	return e->addresses.n &&
	       (!c || c->ready || !schema_has(endpoint_conditions_kind(), c, "ready"));
}

/* The range that is full, "" where there is none; NULL: it has what it wants. */
static const char *
fill_address(struct snapshot *s, struct service_spec *spec, struct buf *why, struct arena *a)
{
	struct strs ips = { arena_alloc(a, 3 * sizeof *ips.at), 0 };
	const char *full = NULL;

	if (!spec->clusterIPs.n && !str_is(spec->clusterIP, ""))
		ips.at[ips.n++] = spec->clusterIP;
	for (size_t i = 0; i < spec->clusterIPs.n && i < 2; i++)
		ips.at[ips.n++] = spec->clusterIPs.at[i];
	spec->clusterIPs = ips;
	service_families_fill(s->settings, spec, a);
	ips = spec->clusterIPs;
	while (!full && !str_is(spec->clusterIP, "None") && ips.n < spec->ipFamilies.n) {
		bool v6 = str_is(spec->ipFamilies.at[ips.n], "IPv6");
		bool there = family_there(s->settings, v6);
		const char *ip = there ? service_address_give(s, v6, a) : NULL;

		full = ip      ? NULL
		       : there ? addr_range_text(settings_services(s->settings, v6), a)
			       : "";
		if (!ip)
			break;
		ips.at[ips.n++] = ip;
		buf_addf(why, "%scluster IP %s", why->len ? ", " : "", ip);
	}
	spec->clusterIPs = ips;
	if (ips.n)
		spec->clusterIP = ips.at[0];
	return full;
}

/* A load balancer that sends to addresses needs none. */
static bool
wants_ports(const struct service_spec *spec)
{
	return !str_is(spec->type, "LoadBalancer") || spec->allocateLoadBalancerNodePorts ||
	       !schema_has(service_spec_kind(), spec, "allocateLoadBalancerNodePorts");
}

static bool
wants_health_port(const struct service_spec *spec)
{
	return str_is(spec->type, "LoadBalancer") &&
	       str_is(spec->externalTrafficPolicy, "Local");
}

static bool
fill_ports(struct snapshot *s, struct service_spec *spec, struct buf *why, struct arena *a)
{
	struct service_port *ports = arena_alloc(a, (spec->ports.n + 1) * sizeof *ports);
	bool full = false;

	for (size_t i = 0; i < spec->ports.n; i++) {
		ports[i] = spec->ports.at[i];
		if (ports[i].nodePort || !wants_ports(spec))
			continue;
		ports[i].nodePort = service_port_give(s, &ports[i]);
		full = full || !ports[i].nodePort;
		if (ports[i].nodePort)
			buf_addf(why, "%snode port %lld", why->len ? ", " : "",
				 (long long)ports[i].nodePort);
	}
	spec->ports.at = ports;
	if (wants_health_port(spec) && !spec->healthCheckNodePort) {
		const struct service_port any = { .protocol = "TCP" };

		spec->healthCheckNodePort = service_port_give(s, &any);
		full = full || !spec->healthCheckNodePort;
		if (spec->healthCheckNodePort)
			buf_addf(why, "%shealth check node port %lld", why->len ? ", " : "",
				 (long long)spec->healthCheckNodePort);
	}
	return !full;
}

static bool
is_filled(const struct settings *set, const struct service *svc)
{
	const struct service_spec *spec = svc->spec;

	for (size_t i = 0; service_has_node_ports(svc) && i < spec->ports.n; i++)
		if (!spec->ports.at[i].nodePort && wants_ports(spec))
			return false;
	if (wants_health_port(spec) && !spec->healthCheckNodePort)
		return false;
	return !str_is(spec->clusterIP, "") && service_families_filled(set, spec);
}

/* What `draft` lacks is given; `*t` is the first thing that cannot be had, `why` says what was.
 */
static void
fill(struct snapshot *s, struct service *draft, struct trouble *t, struct buf *why,
     struct arena *a)
{
	const struct settings *set = s->settings;
	struct service_spec *spec = arena_alloc(a, sizeof *spec);
	const char *full;

	*spec = *draft->spec;
	draft->spec = spec;
	full = fill_address(s, spec, why, a);
	if (full && !*full)
		*t = (struct trouble){ "ClusterIPNotAllocated",
				       "IPv6 is not configured on this cluster" };
	else if (full)
		*t = (struct trouble){
			"ServiceCIDRFull",
			arena_printf(a,
				     "Service CIDR %s is full; you must widen the CIDR in "
				     "order to create new services",
				     full)
		};
	if (service_has_node_ports(draft) && !fill_ports(s, spec, why, a) && !t->reason)
		*t = (struct trouble){
			"PortRangeFull",
			arena_printf(
			    a,
			    "Port range %d-%d is full; you must widen the port range in "
			    "order to create new services",
			    set->node_port_lo, set->node_port_hi)
		};
}

/* True when it wrote. */
static bool
fill_in(struct snapshot *s, const struct service *svc, struct trouble *t, struct plan *p)
{
	struct service *draft = object_draft(svc, p->arena);
	cleanup_buf struct buf why = { 0 };

	fill(s, draft, t, &why, p->arena);
	if (schema_equal(service_kind(), draft, svc))
		return false;
	plan_write(p, ACT_UPDATE, draft, 0, 0, why.len ? buf_text(&why) : "defaults");
	return true;
}

void
service_settle(struct snapshot *s, struct service *svc, struct arena *a)
{
	cleanup_buf struct buf why = { 0 };
	struct trouble t = { 0 };

	if (svc->spec && !service_is(svc, "ExternalName") && !is_filled(s->settings, svc))
		fill(s, svc, &t, &why, a);
}

static void
warn(const struct service *svc, const struct trouble *t, struct plan *p)
{
	plan_event(p, svc,
		   (struct event_args){ .type = "Warning",
					.reason = t->reason,
					.message = t->message,
					.component = "kedge",
					.apiVersion = "v1" });
}

/* The condition stands as long as the trouble does; the Event marks its begin. */
static void
say(struct snapshot *s, const struct service *svc, const struct trouble *t, struct plan *p)
{
	static const struct service_status none;
	const struct service_status *has = svc->status ? svc->status : &none;
	const struct condition *old =
	    condition_of(has->conditions.at, has->conditions.n, CONDITION_ALLOCATED);
	struct service *draft;
	struct conditions c;

	if (old ? t->reason && str_is(old->reason, t->reason) &&
		      str_is(old->message, t->message)
		: !t->reason)
		return;
	draft = object_draft(svc, p->arena);
	draft->status = arena_alloc(p->arena, sizeof *draft->status);
	*draft->status = *has;
	c = conditions_copy(has->conditions.at, has->conditions.n, 1, p->arena);
	conditions_drop(&c, CONDITION_ALLOCATED);
	if (t->reason)
		c.at[c.n++] = (struct condition){ .type = CONDITION_ALLOCATED,
						  .status = "False",
						  .lastTransitionTime = s->now,
						  .reason = t->reason,
						  .message = t->message };
	draft->status->conditions.at = c.at;
	draft->status->conditions.n = c.n;
	plan_write(p, ACT_STATUS, draft, 0, 0, t->reason ? t->reason : "allocated");
	if (t->reason)
		warn(svc, t, p);
}

void
service_reconcile(struct snapshot *s, const struct service *svc, struct plan *p)
{
	struct service_port health;
	struct trouble t;

	if (!svc->spec || svc->metadata->deletionTimestamp)
		return;
	if (service_is(svc, "ExternalName")) {
		t = (struct trouble){ 0 };
		(void)service_balance(s, svc, &t, p); /* of its life as a LoadBalancer */
		return;
	}
	t = service_address_trouble(s, svc, service_family_first(svc), p->arena);
	if (!t.reason)
		t = service_address_trouble(s, svc, !service_family_first(svc), p->arena);
	for (size_t i = 0; service_has_node_ports(svc) && i < svc->spec->ports.n; i++)
		if (!t.reason)
			t = service_port_trouble(s, svc, &svc->spec->ports.at[i], p->arena);
	if (!t.reason)
		t = service_port_trouble(s, svc, service_health_port(svc, &health), p->arena);
	/* one write a pass; trouble is still there in the next */
	if ((!is_filled(s->settings, svc) && fill_in(s, svc, &t, p)) ||
	    service_balance(s, svc, &t, p))
		return;
	say(s, svc, &t, p);
}

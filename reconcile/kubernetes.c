/* kubernetes.c -- the Service default/kubernetes, at the first address of the services, in
 * front of the API.
 *
 * Pure.  There is no pod behind it: its EndpointSlice and its Endpoints are written here, as
 * Kubernetes' API server does it.  A Service of that name that is somebody's own stays as it
 * is.
 */
#include "base/ipv4.h"
#include "controllers.h"
#include "service.h"
#include "workload.h"

#define NAME      "kubernetes"
#define NAMESPACE "default"

enum { PORT_HTTPS = 443 };

static bool
is_ours(const void *o)
{
	return str_is(object_label(o, "component"), "apiserver") &&
	       str_is(object_label(o, "provider"), NAME);
}

static struct strs
one(const char *text, struct arena *a)
{
	struct strs s = { arena_alloc(a, sizeof *s.at), 1 };

	s.at[0] = text;
	return s;
}

/* CREATE or UPDATE, unless it is so already. */
static void
put(struct snapshot *s, const struct object *want, struct plan *p)
{
	const struct resource *r = resource_of(want);
	const struct object *old = snapshot_find(s, r->id, NAMESPACE, NAME);

	if (!old)
		plan_write(p, ACT_CREATE, want, 0, 0, "in front of the API");
	else if (!schema_equal(r->schema, old, want))
		plan_write(p, ACT_UPDATE, want, 0, 0, "in front of the API");
}

static void *
draft(struct snapshot *s, enum resource_id id, struct arena *a)
{
	const struct object *old = snapshot_find(s, id, NAMESPACE, NAME);

	return old ? object_draft(old, a) : object_new(id, NAMESPACE, NAME, a);
}

static void
put_service(struct snapshot *s, struct plan *p)
{
	struct arena *a = p->arena;
	struct service *svc = draft(s, RES_service, a);
	struct service_spec *spec = arena_zalloc(a, sizeof *spec);
	struct service_port *port = arena_zalloc(a, sizeof *port);

	if (svc->spec)
		*spec = *svc->spec;
	pairs_set(&svc->metadata->labels, "component", "apiserver", a);
	pairs_set(&svc->metadata->labels, "provider", NAME, a);
	*port = (struct service_port){ .name = "https", .protocol = "TCP", .port = PORT_HTTPS };
	port->targetPort.i = s->settings->api_port;
	spec->ports.at = port;
	spec->ports.n = 1;
	spec->selector = (struct pairs){ 0 };
	spec->type = "ClusterIP";
	spec->clusterIP = ipv4_text(s->settings->svcs.net + 1, a);
	spec->clusterIPs = one(spec->clusterIP, a);
	spec->sessionAffinity = "None";
	spec->ipFamilies = one("IPv4", a);
	spec->ipFamilyPolicy = "SingleStack";
	spec->internalTrafficPolicy = "Cluster";
	svc->spec = spec;
	put(s, (struct object *)svc, p);
}

static struct endpoint_port *
endpoint_port(const struct settings *set, struct arena *a)
{
	struct endpoint_port *port = arena_zalloc(a, sizeof *port);

	*port =
	    (struct endpoint_port){ .name = "https", .port = set->api_port, .protocol = "TCP" };
	return port;
}

static void
put_slice(struct snapshot *s, const char *ip, struct plan *p)
{
	struct arena *a = p->arena;
	struct endpoint_slice *x = draft(s, RES_endpoint_slice, a);

	pairs_set(&x->metadata->labels, LABEL_SERVICE, NAME, a);
	x->addressType = "IPv4";
	x->endpoints.at = arena_zalloc(a, sizeof *x->endpoints.at);
	x->endpoints.n = 1;
	x->endpoints.at->addresses = one(ip, a);
	x->endpoints.at->conditions = arena_zalloc(a, sizeof *x->endpoints.at->conditions);
	x->endpoints.at->conditions->ready = true;
	schema_mark(endpoint_conditions_kind(), x->endpoints.at->conditions, "ready");
	x->ports.at = endpoint_port(s->settings, a);
	x->ports.n = 1;
	put(s, (struct object *)x, p);
}

static void
put_endpoints(struct snapshot *s, const char *ip, struct plan *p)
{
	struct arena *a = p->arena;
	struct endpoints *x = draft(s, RES_endpoints, a);
	struct endpoint_subset *sub = arena_zalloc(a, sizeof *sub);

	pairs_set(&x->metadata->labels, LABEL_SKIP, "true", a);
	sub->addresses.at = arena_zalloc(a, sizeof *sub->addresses.at);
	sub->addresses.n = 1;
	sub->addresses.at->ip = ip;
	sub->ports.at = endpoint_port(s->settings, a);
	sub->ports.n = 1;
	x->subsets.at = sub;
	x->subsets.n = 1;
	put(s, (struct object *)x, p);
}

/* The API is not where pods could reach it any more. */
static void
take_away(struct snapshot *s, struct plan *p)
{
	static const enum resource_id all[] = { RES_service, RES_endpoints,
						RES_endpoint_slice };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const struct object *o = snapshot_find(s, all[i], NAMESPACE, NAME);

		if (o)
			plan_name(p, ACT_DELETE, o, "pods do not reach the API");
	}
}

void
kubernetes_reconcile(struct snapshot *s, const struct namespace *ns, struct plan *p)
{
	const struct settings *set = s->settings;
	const struct object *svc;
	const char *ip;

	if (!set || !set->accounts || !str_is(object_name(ns), NAMESPACE) ||
	    ns->metadata->deletionTimestamp)
		return;
	svc = snapshot_find(s, RES_service, NAMESPACE, NAME);
	if (svc && (!is_ours(svc) || svc->metadata->deletionTimestamp))
		return;
	if (!set->api_ip) {
		if (svc)
			take_away(s, p);
		return;
	}
	ip = ipv4_text(set->api_ip, p->arena);
	put_service(s, p);
	put_slice(s, ip, p);
	put_endpoints(s, ip, p);
}

/* program.c -- a Service's ports as the proxy wants them, from its EndpointSlices.
 *
 * Pure.  Compares with what the host has acknowledged and stages what differs;
 * controllers.c ends the pass's changes with one COMMIT, so that an endpoint
 * comes and another goes in the same instant.
 *
 * Ready endpoints serve.  When there is none, those that are going but still
 * ready do (KEP-1669): better a pod on its way out than a refused connection.
 * When there is none either, the rules refuse.
 */
#include "base/addr.h"
#include "base/ipv4.h"
#include "controllers.h"
#include "service.h"
#include "workload.h"

struct serving {
	struct endpoint_args *at;
	size_t n, cap;
	struct arena *a;
	const struct settings *settings;
	bool v6; /* addresses of this family */
};

/* On this host: it says so, or it has an address that only this host gives out. */
static bool
is_local(const struct settings *set, const char *node, addr ip)
{
	addr own;

	if (!str_is(node, ""))
		return str_is(node, set->node_name);
	return addr_within(ip, settings_pods(set, addr_v6(ip))) ||
	       (addr_read(addr_v6(ip) ? set->node_ip6 : set->node_ip, &own) && own == ip);
}

/* An address that is no pod's or host's is left out, for the hand would refuse all that come
 * with it. */
static void
serving_add(struct serving *v, const char *ip, int64_t port, const char *node)
{
	addr address;

	if (!addr_read(ip, &address) || addr_v6(address) != v->v6 || addr_is_special(address) ||
	    port < 1 || port > 65535)
		return;
	if (v->n == v->cap) {
		struct endpoint_args *at;

		v->cap = v->cap ? 2 * v->cap : 8;
		at = arena_zalloc(v->a, v->cap * sizeof *at);
		if (v->n)
			memcpy(at, v->at, v->n * sizeof *at);
		v->at = at;
	}
	v->at[v->n++] = (struct endpoint_args){ .ip = ip,
						.port = port,
						.away = !is_local(v->settings, node, address) };
}

static int
endpoint_order(const void *a, const void *b)
{
	const struct endpoint_args *x = a, *y = b;
	addr i = 0, j = 0;

	(void)addr_read(x->ip, &i);
	(void)addr_read(y->ip, &j);
	if (i != j)
		return i < j ? -1 : 1;
	return x->port < y->port ? -1 : x->port > y->port;
}

/* The same list gives the same rules, in whatever slices it came. */
static void
serving_settle(struct serving *v)
{
	size_t n = 0;

	if (v->n)
		qsort(v->at, v->n, sizeof *v->at, endpoint_order);
	for (size_t i = 0; i < v->n; i++)
		if (!n || endpoint_order(&v->at[n - 1], &v->at[i]))
			v->at[n++] = v->at[i];
	v->n = n;
}

static const struct endpoint_port *
port_of(const struct endpoint_port *at, size_t n, const struct service_port *port)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(at[i].name, port->name) && str_is(at[i].protocol, port->protocol))
			return &at[i];
	return NULL;
}

/* On its way out, and says itself that it serves until then. */
static bool
is_serving_last(const struct endpoint *e)
{
	const struct endpoint_conditions *c = e->conditions;

	return e->addresses.n && c && c->serving && c->terminating;
}

static void
slice_gather(const struct endpoint_slice *x, const struct service_port *port, bool last,
	     struct serving *v)
{
	const struct endpoint_port *ep = port_of(x->ports.at, x->ports.n, port);

	if (!ep || !str_is(x->addressType, family_name(v->v6)))
		return;
	for (size_t i = 0; i < x->endpoints.n; i++) {
		const struct endpoint *e = &x->endpoints.at[i];

		if (last ? is_serving_last(e) : endpoint_is_ready(e))
			serving_add(v, e->addresses.at[0], ep->port, e->nodeName);
	}
}

/* Lists that a user wrote the old way, for a service without a selector. */
static void
old_form_gather(const struct endpoints *x, const struct service_port *port, struct serving *v)
{
	for (size_t i = 0; x && i < x->subsets.n; i++) {
		const struct endpoint_subset *sub = &x->subsets.at[i];
		const struct endpoint_port *ep = port_of(sub->ports.at, sub->ports.n, port);

		for (size_t k = 0; ep && k < sub->addresses.n; k++)
			serving_add(v, sub->addresses.at[k].ip, ep->port,
				    sub->addresses.at[k].nodeName);
	}
}

static struct serving
gather(struct snapshot *s, const struct service *svc, const struct service_port *port, bool v6,
       struct arena *a)
{
	struct objects slices = service_slices(s, svc);
	struct serving v = { .a = a, .settings = s->settings, .v6 = v6 };

	for (int last = 0; last < 2 && !v.n; last++)
		for (size_t i = 0; i < slices.n; i++)
			slice_gather((const struct endpoint_slice *)slices.at[i], port, last,
				     &v);
	old_form_gather(service_old_form(s, svc, &slices), port, &v);
	serving_settle(&v);
	return v;
}

size_t
service_local_ready(struct snapshot *s, const struct service *svc, bool v6)
{
	struct objects slices = service_slices(s, svc);
	struct serving v = { .a = s->arena, .settings = s->settings, .v6 = v6 };
	size_t n = 0;

	for (size_t i = 0; i < slices.n; i++) {
		const struct endpoint_slice *x = (const struct endpoint_slice *)slices.at[i];

		for (size_t k = 0; k < x->endpoints.n; k++)
			if (endpoint_is_ready(&x->endpoints.at[k]))
				serving_add(&v, x->endpoints.at[k].addresses.at[0], 1,
					    x->endpoints.at[k].nodeName);
	}
	serving_settle(&v);
	for (size_t i = 0; i < v.n; i++)
		n += !v.at[i].away;
	return n;
}

static int64_t
affinity_of(const struct service_spec *spec)
{
	const struct session_affinity_config *c = spec->sessionAffinityConfig;

	if (!str_is(spec->sessionAffinity, "ClientIP"))
		return 0;
	return c && c->clientIP && c->clientIP->timeoutSeconds ? c->clientIP->timeoutSeconds
							       : 10800;
}

/* "web:http", "web:80"; of IPv6 "web:http.v6": no port's name has a dot in it. */
static const char *
action_name(const struct service *svc, const struct service_port *port, bool v6,
	    struct arena *a)
{
	const char *end = v6 ? ".v6" : "";

	if (!str_is(port->name, ""))
		return arena_printf(a, "%s:%s%s", object_name(svc), port->name, end);
	return arena_printf(a, "%s:%lld%s", object_name(svc), (long long)port->port, end);
}

/* What the operator allows, of one family; the rest was complained about. */
static struct strs
external_ips(struct snapshot *s, const struct service *svc, bool v6, struct arena *a)
{
	const struct strs *all = &svc->spec->externalIPs;
	struct strs out = { arena_alloc(a, (all->n + 1) * sizeof *out.at), 0 };
	addr ip;

	for (size_t i = 0; i < all->n; i++)
		if (addr_read(all->at[i], &ip) && addr_v6(ip) == v6 &&
		    address_allowed(&s->settings->external, ip))
			out.at[out.n++] = all->at[i];
	return out;
}

/* Whom loadBalancerSourceRanges lets in.  The host speaks to an address of its own from that
 * very address, so where the host may come that may, too. */
static struct strs
sources_of(struct snapshot *s, const struct service *svc, const char *balancer, bool v6,
	   struct arena *a)
{
	const struct strs *all = &svc->spec->loadBalancerSourceRanges;
	const char *node = v6 ? s->settings->node_ip6 : s->settings->node_ip;
	struct strs out = { arena_alloc(a, (all->n + 1) * sizeof *out.at), 0 };
	struct addr_range net;
	bool host = false;
	addr ip;

	for (size_t i = 0; i < all->n; i++) {
		const char *range = all->at[i] + strspn(all->at[i], " ");
		size_t n = strcspn(range, " ");

		if (addr_text_is_v6(range) != v6)
			continue;
		out.at[out.n++] = range = arena_strndup(a, range, n);
		host |= addr_read(node, &ip) && addr_range_read(range, &net) &&
			addr_within(ip, net);
	}
	if (host)
		out.at[out.n++] = arena_printf(a, "%s/%u", balancer, addr_bits(v6));
	if (all->n && !out.n) /* nobody, rather than everybody */
		out.at[out.n++] =
		    v6 ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" : "255.255.255.255/32";
	return out;
}

static bool
is_outside(const struct service *svc)
{
	return service_has_node_ports(svc) || svc->spec->externalIPs.n;
}

static struct service_args *
args_of(struct snapshot *s, const struct service *svc, const struct service_port *port, bool v6,
	struct arena *a)
{
	const struct service_spec *spec = svc->spec;
	struct service_args *args = arena_zalloc(a, sizeof *args);
	struct serving v = gather(s, svc, port, v6, a);

	args->ip = service_address(s, svc, v6);
	args->protocol = port->protocol ? port->protocol : "TCP";
	args->port = port->port;
	args->nodePort = service_has_port(s, svc, port) ? port->nodePort : 0;
	args->affinity = affinity_of(spec);
	args->localOnly = is_outside(svc) && str_is(spec->externalTrafficPolicy, "Local");
	args->localInside = str_is(spec->internalTrafficPolicy, "Local");
	args->externalIPs = external_ips(s, svc, v6, a);
	args->balancer = service_balancer(s, svc, v6);
	if (args->balancer)
		args->sources = sources_of(s, svc, args->balancer, v6, a);
	if (port == spec->ports.at && service_has_health_port(s, svc))
		args->healthPort = spec->healthCheckNodePort;
	args->endpoints.at = v.at;
	args->endpoints.n = v.n;
	return args;
}

static void
program(struct snapshot *s, const struct service *svc, const struct service_port *port, bool v6,
	struct plan *p)
{
	const struct service_args *args = args_of(s, svc, port, v6, p->arena);
	const char *ns = object_namespace(svc), *name = action_name(svc, port, v6, p->arena);
	const struct programmed *has =
	    snapshot_programmed(s, arena_printf(p->arena, "%s/%s", ns, name));

	if (has && schema_equal(service_args_kind(), has->args, args))
		return;
	plan_add(p,
		 (struct action){ .verb = ACT_PROGRAM,
				  .kind = "service",
				  .ns = arena_strdup(p->arena, ns),
				  .name = name,
				  .from = has ? (int64_t)has->args->endpoints.n : 0,
				  .to = (int64_t)args->endpoints.n,
				  .why = args->endpoints.n ? "" : "no endpoints: refused",
				  .body = schema_clone(service_args_kind(), args, p->arena) });
}

/* ---- what is programmed and should not be ---- */

static bool
has_port_called(struct snapshot *s, const struct service *svc, const char *called,
		struct arena *a)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; service_address(s, svc, v6) && i < svc->spec->ports.n; i++)
			if (str_is(action_name(svc, &svc->spec->ports.at[i], v6, a), called))
				return true;
	return false;
}

static void
retire(struct snapshot *s, const struct service *svc, bool served, struct plan *p)
{
	const char *ns = object_namespace(svc);
	const char *prefix = arena_printf(p->arena, "%s/%s:", ns, object_name(svc));
	size_t len = strlen(prefix);

	for (size_t i = snapshot_programmed_from(s, prefix);
	     i < s->nprogrammed && !strncmp(s->programmed[i].id, prefix, len); i++) {
		const char *called = s->programmed[i].id + strlen(ns) + 1;

		if (served && has_port_called(s, svc, called, p->arena))
			continue;
		plan_add(p, (struct action){
				.verb = ACT_RETIRE,
				.kind = "service",
				.ns = arena_strdup(p->arena, ns),
				.name = arena_strdup(p->arena, called),
				.why = served ? "the service has no such port any more"
					      : "the service has no address of its own" });
	}
}

void
program_reconcile(struct snapshot *s, const struct service *svc, struct plan *p)
{
	bool served = svc->spec && service_has_address(s, svc);

	/* first, for a renamed port leaves its place to the new name */
	retire(s, svc, served, p);
	for (int v6 = 0; served && v6 < 2; v6++)
		for (size_t i = 0; service_address(s, svc, v6) && i < svc->spec->ports.n; i++)
			program(s, svc, &svc->spec->ports.at[i], v6, p);
}

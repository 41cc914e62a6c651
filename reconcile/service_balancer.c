/* service_balancer.c -- addresses for Services of type LoadBalancer, from the operator's pool.
 *
 * Pure.  A Service has one of each of its families.  They stand in its status, so they are kept
 * as long as it is, over restarts as well.  Services share an address only where no other is
 * left, or where they ask for it (loadBalancerIP), and never a port of it.
 *
 * A Service of another loadBalancerClass is somebody else's.
 */
#include "base/addr.h"
#include "base/transport.h"
#include "controllers.h"
#include "service.h"
#include "workload.h"

/* A LoadBalancer that is ours to serve. */
static bool
is_balanced(const struct service *svc)
{
	const struct service_spec *spec = svc->spec;

	return spec && str_is(spec->type, "LoadBalancer") &&
	       (str_is(spec->loadBalancerClass, "") ||
		str_is(spec->loadBalancerClass, CLASS_POOL));
}

unsigned
service_balancer_port(const struct service_port *port)
{
	return (CLAIM_BALANCER_TCP + (unsigned)transport_named(port->protocol)) |
	       (unsigned)port->port << 8;
}

static const char *
ingress_of(const struct service *svc, bool v6)
{
	const struct load_balancer_status *l = svc->status ? svc->status->loadBalancer : NULL;

	for (size_t i = 0; l && i < l->ingress.n; i++)
		if (l->ingress.at[i].ip && addr_text_is_v6(l->ingress.at[i].ip) == v6)
			return l->ingress.at[i].ip;
	return NULL;
}

bool
service_balancer_ip(const struct service *svc, bool v6, addr *ret)
{
	return is_balanced(svc) && service_has_family(svc, v6) &&
	       addr_read(ingress_of(svc, v6), ret);
}

/* Who has a port of this address that the service wants; NULL: all are free, or its own. */
static const struct service *
in_the_way(struct snapshot *s, const struct service *svc, addr ip,
	   const struct service_port **ret_port)
{
	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		const struct service_port *port = &svc->spec->ports.at[i];
		const struct service *by = service_holder(s, service_balancer_port(port), ip);

		if (by && by != svc) {
			*ret_port = port;
			return by;
		}
	}
	return NULL;
}

const char *
service_balancer(struct snapshot *s, const struct service *svc, bool v6)
{
	const struct service_port *port;
	addr ip;

	if (!service_balancer_ip(svc, v6, &ip) || !address_allowed(&s->settings->pool, ip) ||
	    in_the_way(s, svc, ip, &port))
		return NULL;
	return ingress_of(svc, v6);
}

static bool
has_pool(const struct address_ranges *pool, bool v6)
{
	for (size_t i = 0; i < pool->n; i++)
		if (addr_v6(pool->at[i].first) == v6)
			return true;
	return false;
}

/* What of the pool is of this family; all of it, when nothing is. */
static const char *
pool_text(const struct address_ranges *pool, bool v6, struct arena *a)
{
	bool all = !has_pool(pool, v6);
	const char *text = "";

	for (size_t i = 0; i < pool->n; i++)
		if (all || addr_v6(pool->at[i].first) == v6)
			text = arena_printf(a, "%s%s%s-%s", text, *text ? "," : "",
					    addr_text(pool->at[i].first, a),
					    addr_text(pool->at[i].last, a));
	return text;
}

/* The service controller's reason and form of words. */
static struct trouble
failed(const char *why, struct arena *a)
{
	return (struct trouble){ "SyncLoadBalancerFailed",
				 arena_printf(a,
					      "Error syncing load balancer: failed to ensure "
					      "load balancer: %s",
					      why) };
}

/* An address of its own first, then one whose ports do not clash. */
static addr
find(struct snapshot *s, const struct service *svc, bool v6)
{
	const struct address_ranges *pool = &s->settings->pool;
	const struct service_port *port;
	addr own = service_balancer_free(s, v6);

	for (size_t i = 0; !own && i < pool->n; i++)
		for (addr ip = pool->at[i].first; addr_v6(ip) == v6 && ip <= pool->at[i].last;
		     ip++)
			if (!in_the_way(s, svc, ip, &port))
				return ip;
	return own;
}

/* The one that loadBalancerIP names. */
static addr
asked_for(struct snapshot *s, const struct service *svc, struct trouble *t, struct arena *a)
{
	const struct address_ranges *pool = &s->settings->pool;
	const char *asked = svc->spec->loadBalancerIP;
	const struct service *other;
	const struct service_port *port;
	addr ip;

	if (!addr_read(asked, &ip) || !address_allowed(pool, ip)) {
		*t = failed(arena_printf(a, "%s is not in the pool %s", asked,
					 pool_text(pool, addr_text_is_v6(asked), a)),
			    a);
		return 0;
	}
	other = in_the_way(s, svc, ip, &port);
	if (!other)
		return ip;
	*t = failed(arena_printf(a, "port %lld/%s of %s is already in use by %s",
				 (long long)port->port, port->protocol ? port->protocol : "TCP",
				 asked, object_path(other, a)),
		    a);
	return 0;
}

static bool
asks(const struct service *svc, bool v6)
{
	const char *asked = svc->spec->loadBalancerIP;

	return !str_is(asked, "") && addr_text_is_v6(asked) == v6;
}

/* 0, and why, when there is none to be had. */
static addr
choose(struct snapshot *s, const struct service *svc, bool v6, struct trouble *t,
       struct arena *a)
{
	const struct address_ranges *pool = &s->settings->pool;
	addr ip;

	if (asks(svc, v6))
		return asked_for(s, svc, t, a);
	if (!has_pool(pool, v6)) {
		/* A family that is only preferred is not missed. */
		if (!str_is(svc->spec->ipFamilyPolicy, "PreferDualStack") ||
		    !has_pool(pool, !v6))
			*t = failed(arena_printf(a, "the pool %s has no addresses of %s",
						 pool_text(pool, v6, a), family_name(v6)),
				    a);
		return 0;
	}
	ip = find(s, svc, v6);
	if (!ip)
		*t = failed(arena_printf(a, "no address of the pool %s is free",
					 pool_text(pool, v6, a)),
			    a);
	return ip;
}

/* Of its first family first. */
static void
write_ingress(const struct service *svc, const addr ip[static 2], struct plan *p)
{
	static const struct service_status none;
	struct service *draft = object_draft(svc, p->arena);
	struct load_balancer_status *l = arena_zalloc(p->arena, sizeof *l);
	const char *why = "no load balancer";

	draft->status = arena_alloc(p->arena, sizeof *draft->status);
	*draft->status = svc->status ? *svc->status : none;
	draft->status->loadBalancer = l;
	l->ingress.at = arena_zalloc(p->arena, 2 * sizeof *l->ingress.at);
	for (int i = 0; i < 2; i++) {
		addr x = ip[service_family_first(svc) ^ i];
		const char *text = x ? addr_text(x, p->arena) : NULL;

		if (!x)
			continue;
		why = l->ingress.n ? arena_printf(p->arena, "%s, %s", why, text)
				   : arena_printf(p->arena, "load balancer %s", text);
		l->ingress.at[l->ingress.n].ip = text;
		l->ingress.at[l->ingress.n++].ipMode = "VIP";
	}
	plan_write(p, ACT_STATUS, draft, 0, 0, why);
}

static void
given(struct snapshot *s, const struct service *svc, addr ip)
{
	service_give(s, CLAIM_BALANCER, ip, svc);
	for (size_t i = 0; i < svc->spec->ports.n; i++)
		service_give(s, service_balancer_port(&svc->spec->ports.at[i]), ip, svc);
}

/* What it has, as long as it may, is what it asks for; else another, or none. */
static addr
keep_or_choose(struct snapshot *s, const struct service *svc, bool v6, struct trouble *t,
	       struct arena *a)
{
	const char *has = service_balancer(s, svc, v6);
	addr ip = 0;

	/* No pool: it waits; another type, another family: it has none. */
	if (!is_balanced(svc) || !s->settings->pool.n || !service_has_family(svc, v6))
		return 0;
	if (has && (!asks(svc, v6) || str_is(svc->spec->loadBalancerIP, has)) &&
	    addr_read(has, &ip))
		return ip;
	ip = choose(s, svc, v6, t, a);
	if (ip)
		given(s, svc, ip);
	return ip;
}

static bool
is_said(const struct service *svc, bool v6, addr ip)
{
	const char *said = ingress_of(svc, v6);
	addr x = 0;

	return ip ? addr_read(said, &x) && x == ip : !said;
}

bool
service_balance(struct snapshot *s, const struct service *svc, struct trouble *t,
		struct plan *p)
{
	bool theirs = service_is(svc, "LoadBalancer") && !is_balanced(svc);
	const char *asked = svc->spec->loadBalancerIP;
	addr ip[2] = { 0 };

	if (theirs)
		return false;
	for (int v6 = 0; v6 < 2; v6++)
		ip[v6] = keep_or_choose(s, svc, v6, t, p->arena);
	if (is_balanced(svc) && s->settings->pool.n && !str_is(asked, "") &&
	    !service_has_family(svc, addr_text_is_v6(asked)))
		*t = failed(arena_printf(p->arena, "%s is not of the Service's family", asked),
			    p->arena);
	if (is_said(svc, false, ip[0]) && is_said(svc, true, ip[1]))
		return false;
	write_ingress(svc, ip, p);
	if (ip[0] || ip[1])
		plan_event(p, svc,
			   (struct event_args){ .type = "Normal",
						.reason = "EnsuredLoadBalancer",
						.message = "Ensured load balancer",
						.component = "service-controller",
						.apiVersion = "v1" });
	return true;
}

/* service_balancer.c -- addresses for Services of type LoadBalancer, from the operator's pool.
 *
 * Pure.  The address stands in the Service's status, so it is kept as long as the Service
 * is, over restarts as well.  Services share an address only where no other is left, or where
 * they ask for it (loadBalancerIP), and never a port of it.
 *
 * A Service of another loadBalancerClass is somebody else's.
 */
#include "base/ipv4.h"
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

uint64_t
service_balancer_port(uint32_t ip, const struct service_port *port, enum service_what *ret_what)
{
	*ret_what = str_is(port->protocol, "UDP")    ? CLAIM_BALANCER_UDP
		    : str_is(port->protocol, "SCTP") ? CLAIM_BALANCER_SCTP
						     : CLAIM_BALANCER_TCP;
	return (uint64_t)ip << 16 | (uint16_t)port->port;
}

static const char *
ingress_of(const struct service *svc)
{
	const struct load_balancer_status *l = svc->status ? svc->status->loadBalancer : NULL;

	return l && l->ingress.n ? l->ingress.at[0].ip : NULL;
}

bool
service_balancer_ip(const struct service *svc, uint32_t *ret)
{
	return is_balanced(svc) && service_has_family(svc, false) &&
	       ipv4_read(ingress_of(svc), ret);
}

/* Who has a port of this address that the service wants; NULL: all are free, or its own. */
static const struct service *
in_the_way(struct snapshot *s, const struct service *svc, uint32_t ip,
	   const struct service_port **ret_port)
{
	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		enum service_what what;
		uint64_t number = service_balancer_port(ip, &svc->spec->ports.at[i], &what);
		const struct service *by = service_holder(s, what, number);

		if (by && by != svc) {
			*ret_port = &svc->spec->ports.at[i];
			return by;
		}
	}
	return NULL;
}

const char *
service_balancer(struct snapshot *s, const struct service *svc)
{
	const struct service_port *port;
	uint32_t ip;

	if (!service_balancer_ip(svc, &ip) || !address_allowed(&s->settings->pool, ip) ||
	    in_the_way(s, svc, ip, &port))
		return NULL;
	return ingress_of(svc);
}

static const char *
pool_text(const struct address_ranges *pool, struct arena *a)
{
	const char *text = "";

	for (size_t i = 0; i < pool->n; i++)
		text = arena_printf(a, "%s%s%s-%s", text, i ? "," : "",
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
static uint32_t
find(struct snapshot *s, const struct service *svc)
{
	const struct address_ranges *pool = &s->settings->pool;
	const struct service_port *port;

	for (int shared = 0; shared < 2; shared++)
		for (size_t i = 0; i < pool->n; i++)
			for (addr ip = pool->at[i].first; ip <= pool->at[i].last; ip++)
				if (shared ? !in_the_way(s, svc, (uint32_t)ip, &port)
					   : !service_holder(s, CLAIM_BALANCER, (uint32_t)ip))
					return (uint32_t)ip;
	return 0;
}

/* 0, and why, when there is none to be had. */
static uint32_t
choose(struct snapshot *s, const struct service *svc, struct trouble *t, struct arena *a)
{
	const struct address_ranges *pool = &s->settings->pool;
	const char *asked = svc->spec->loadBalancerIP;
	const struct service *other;
	const struct service_port *port;
	uint32_t ip;

	if (!service_has_family(svc, false)) {
		*t = failed(
		    arena_printf(a, "the pool %s has no addresses of IPv6", pool_text(pool, a)),
		    a);
		return 0;
	}
	if (str_is(asked, "")) {
		ip = find(s, svc);
		if (!ip)
			*t = failed(arena_printf(a, "no address of the pool %s is free",
						 pool_text(pool, a)),
				    a);
		return ip;
	}
	if (!ipv4_read(asked, &ip) || !address_allowed(pool, ip)) {
		*t = failed(
		    arena_printf(a, "%s is not in the pool %s", asked, pool_text(pool, a)), a);
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

static void
write_ingress(const struct service *svc, uint32_t ip, struct plan *p)
{
	static const struct service_status none;
	struct service *draft = object_draft(svc, p->arena);
	struct load_balancer_status *l = arena_zalloc(p->arena, sizeof *l);

	draft->status = arena_alloc(p->arena, sizeof *draft->status);
	*draft->status = svc->status ? *svc->status : none;
	draft->status->loadBalancer = l;
	if (ip) {
		l->ingress.at = arena_zalloc(p->arena, sizeof *l->ingress.at);
		l->ingress.at[0].ip = ipv4_text(ip, p->arena);
		l->ingress.at[0].ipMode = "VIP";
		l->ingress.n = 1;
	}
	plan_write(p, ACT_STATUS, draft, 0, 0,
		   ip ? arena_printf(p->arena, "load balancer %s", l->ingress.at[0].ip)
		      : "no load balancer");
}

static void
given(struct snapshot *s, const struct service *svc, uint32_t ip, struct plan *p)
{
	service_give(s, CLAIM_BALANCER, ip, svc);
	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		enum service_what what;
		uint64_t number = service_balancer_port(ip, &svc->spec->ports.at[i], &what);

		service_give(s, what, number, svc);
	}
	plan_event(p, svc,
		   (struct event_args){ .type = "Normal",
					.reason = "EnsuredLoadBalancer",
					.message = "Ensured load balancer",
					.component = "service-controller",
					.apiVersion = "v1" });
}

bool
service_balance(struct snapshot *s, const struct service *svc, struct trouble *t,
		struct plan *p)
{
	const char *has = service_balancer(s, svc), *asked = svc->spec->loadBalancerIP;
	uint32_t ip = 0;

	if (has && (str_is(asked, "") || str_is(asked, has)))
		return false;
	if (is_balanced(svc) && s->settings->pool.n)
		ip = choose(s, svc, t, p->arena);
	else if (is_balanced(svc) || !str_is(svc->spec->type, "LoadBalancer"))
		ip = 0; /* no pool: it waits; another type: it has none */
	else
		return false;
	if (!ip && !ingress_of(svc))
		return false;
	write_ingress(svc, ip, p);
	if (ip)
		given(s, svc, ip, p);
	return true;
}

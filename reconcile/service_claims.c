/* service_claims.c -- which service has which address and node port, and who gets the next.
 *
 * Pure.  Addresses are given out densely from below (so the proxy's tree stays flat), node
 * ports from above a band that is left to those who ask, as Kubernetes has it since 1.27.
 * The same snapshot gives the same numbers.
 *
 * Invariant: no two services ever get the same address, or the same node port of one protocol.
 * Where two ask for the same, who came first keeps it.
 */
#include "service_claims.h"
#include "base/arena.h"
#include "base/ipv4.h"
#include "base/text.h"
#include "base/transport.h"
#include "dns.h"
#include <stdlib.h>

struct claim_key {
	unsigned what; /* service_what, of a balancer's port service_balancer_port */
	addr number;
};

struct claim {
	struct claim_key key;
	const struct service *by;
};

struct service_claims {
	struct claim *at; /* sorted by key, the rightful one first */
	size_t n;
	struct claim *given; /* hashed: what balancers got in this pass; by NULL is empty */
	size_t ngiven, cap;
	/* below these all is taken or was given out */
	uint32_t next_address[2]; /* host part, by family */
	int next_port[4];         /* by what */
	struct {                  /* of the pool, by family */
		size_t range;
		addr ip; /* 0: its first */
	} next_balancer[2];
};

static struct claim_key
key_of(unsigned what, addr number)
{
	return (struct claim_key){ what, number };
}

static int
key_order(struct claim_key x, struct claim_key y)
{
	if (x.what != y.what)
		return x.what < y.what ? -1 : 1;
	return (x.number > y.number) - (x.number < y.number);
}

static enum service_what
port_kind(const struct service_port *port)
{
	return CLAIM_TCP + transport_named(port->protocol);
}

const struct service_port *
service_health_port(const struct service *svc, struct service_port *to)
{
	*to = (struct service_port){ .protocol = "TCP",
				     .nodePort = svc->spec->healthCheckNodePort };
	return to;
}

/* False for none and headless.  What is outside the range of IPv6 has no number, 0. */
static bool
address_of(const struct settings *set, const struct service *svc, bool v6, uint32_t *ret)
{
	addr ip;

	if (!addr_read(service_address_said(svc, v6), &ip))
		return false;
	*ret =
	    v6 && !addr_within(ip, set->svcs6) ? 0 : (uint32_t)(v6 ? ip ^ set->svcs6.net : ip);
	return true;
}

static enum service_what
address_kind(bool v6)
{
	return v6 ? CLAIM_ADDRESS6 : CLAIM_ADDRESS;
}

static int
claim_order(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int64_t d = key_order(x->key, y->key);

	if (d)
		return (int)d;
	d = x->by->metadata->creationTimestamp - y->by->metadata->creationTimestamp;
	return d ? (d < 0 ? -1 : 1) : object_compare(x->by, y->by);
}

/* Room: 1 + its ports. */
static size_t
balancer_claims_by(const struct service *svc, bool v6, struct claim *to)
{
	size_t n = 0;
	addr ip;

	if (!service_balancer_ip(svc, v6, &ip))
		return 0;
	to[n++] = (struct claim){ key_of(CLAIM_BALANCER, ip), svc };
	for (size_t i = 0; i < svc->spec->ports.n; i++)
		to[n++] =
		    (struct claim){ key_of(service_balancer_port(&svc->spec->ports.at[i]), ip),
				    svc };
	return n;
}

/* Room: 5 + 3 * its ports. */
static size_t
claims_by(const struct settings *set, const struct service *svc, struct claim *to)
{
	uint32_t ip;
	size_t n = 0;

	if (!svc->spec)
		return 0;
	for (int v6 = 0; v6 < 2; v6++) {
		if (address_of(set, svc, v6, &ip) && ip)
			to[n++] = (struct claim){ key_of(address_kind(v6), ip), svc };
		n += balancer_claims_by(svc, v6, to + n);
	}
	if (svc->spec->healthCheckNodePort)
		to[n++] =
		    (struct claim){ key_of(CLAIM_TCP, (uint64_t)svc->spec->healthCheckNodePort),
				    svc };
	for (size_t i = 0; service_has_node_ports(svc) && i < svc->spec->ports.n; i++) {
		const struct service_port *port = &svc->spec->ports.at[i];

		if (port->nodePort)
			to[n++] =
			    (struct claim){ key_of(port_kind(port), (uint64_t)port->nodePort),
					    svc };
	}
	return n;
}

/* The lower part of the range is for ports that are asked for. */
static int
first_dynamic_port(const struct settings *set)
{
	int size = set->node_port_hi - set->node_port_lo + 1;
	int band = size / 32 < 16 ? 16 : size / 32 > 128 ? 128 : size / 32;

	return size >= 2 * band ? set->node_port_lo + band : set->node_port_lo;
}

static struct service_claims *
claims_of(struct snapshot *s)
{
	struct service_claims *c = s->claims;
	const struct objects *all = &s->of[RES_service];
	size_t room = 0;

	if (c)
		return c;
	c = s->claims = arena_zalloc(s->arena, sizeof *c);
	for (size_t i = 0; i < all->n; i++) {
		const struct service *svc = (const struct service *)all->at[i];

		room += 5 + 3 * (svc->spec ? svc->spec->ports.n : 0);
	}
	c->at = arena_alloc(s->arena, (room + 1) * sizeof *c->at);
	for (size_t i = 0; i < all->n; i++)
		c->n +=
		    claims_by(s->settings, (const struct service *)all->at[i], c->at + c->n);
	if (c->n)
		qsort(c->at, c->n, sizeof *c->at, claim_order);
	c->next_address[0] = c->next_address[1] = API_HOST + 1;
	for (size_t i = CLAIM_TCP; i <= CLAIM_SCTP; i++)
		c->next_port[i] = first_dynamic_port(s->settings);
	return c;
}

/* Who has it rightfully; NULL: nobody. */
static const struct service *
holder(const struct service_claims *c, struct claim_key key)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (key_order(c->at[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n && !key_order(c->at[lo].key, key) ? c->at[lo].by : NULL;
}

/* Its place in the table, which has room. */
static struct claim *
given_at(const struct service_claims *c, struct claim_key key)
{
	size_t i = addr_hash(key.what, key.number) & (c->cap - 1);

	while (c->given[i].by && key_order(c->given[i].key, key))
		i = (i + 1) & (c->cap - 1);
	return &c->given[i];
}

const struct service *
service_holder(struct snapshot *s, unsigned what, addr number)
{
	const struct service_claims *c = claims_of(s);
	struct claim_key key = key_of(what, number);
	const struct service *by = holder(c, key);

	return by || !c->ngiven ? by : given_at(c, key)->by;
}

void
service_give(struct snapshot *s, unsigned what, addr number, const struct service *svc)
{
	struct service_claims *c = claims_of(s);
	struct claim *at;

	if (2 * c->ngiven >= c->cap) {
		struct service_claims old = *c;

		c->cap = c->cap ? 2 * c->cap : 16;
		c->given = arena_zalloc(s->arena, c->cap * sizeof *c->given);
		for (size_t i = 0; i < old.cap; i++)
			if (old.given[i].by)
				*given_at(c, old.given[i].key) = old.given[i];
	}
	at = given_at(c, key_of(what, number));
	c->ngiven += !at->by;
	if (!at->by) /* the first has it */
		*at = (struct claim){ key_of(what, number), svc };
}

addr
service_balancer_free(struct snapshot *s, bool v6)
{
	struct service_claims *c = claims_of(s);
	const struct address_ranges *pool = &s->settings->pool;
	size_t *i = &c->next_balancer[v6].range;
	addr *ip = &c->next_balancer[v6].ip;

	for (; *i < pool->n; ++*i, *ip = 0) {
		if (addr_v6(pool->at[*i].first) != v6)
			continue;
		for (*ip = *ip ? *ip : pool->at[*i].first; *ip <= pool->at[*i].last; ++*ip)
			if (!service_holder(s, CLAIM_BALANCER, *ip))
				return *ip;
	}
	return 0;
}

static bool
in_net(const struct settings *set, bool v6, uint32_t ip)
{
	return v6 ? ip != 0 : ipv4_within(ip, set->svcs.net, set->svcs.bits);
}

const char *
service_address(struct snapshot *s, const struct service *svc, bool v6)
{
	uint32_t ip;

	return address_of(s->settings, svc, v6, &ip) && in_net(s->settings, v6, ip) &&
		       holder(claims_of(s), key_of(address_kind(v6), ip)) == svc
		   ? service_address_said(svc, v6)
		   : NULL;
}

bool
service_has_address(struct snapshot *s, const struct service *svc)
{
	return service_address(s, svc, false) || service_address(s, svc, true);
}

static bool
in_range(const struct settings *set, int64_t port)
{
	return port >= set->node_port_lo && port <= set->node_port_hi;
}

bool
service_has_port(struct snapshot *s, const struct service *svc, const struct service_port *port)
{
	return service_has_node_ports(svc) && in_range(s->settings, port->nodePort) &&
	       holder(claims_of(s), key_of(port_kind(port), (uint32_t)port->nodePort)) == svc;
}

bool
service_has_health_port(struct snapshot *s, const struct service *svc)
{
	struct service_port port;

	return svc->spec->healthCheckNodePort &&
	       service_has_port(s, svc, service_health_port(svc, &port));
}

/* ---- giving out ---- */

static bool
is_of(const struct resting *r, enum service_what what)
{
	const struct service_port port = { .protocol = r->protocol };

	if (what == CLAIM_ADDRESS || !r->protocol)
		return what == CLAIM_ADDRESS && !r->protocol;
	if (what == CLAIM_ADDRESS6 || str_is(r->protocol, RESTING_6))
		return what == CLAIM_ADDRESS6 && str_is(r->protocol, RESTING_6);
	return port_kind(&port) == what;
}

/* Was it given back a moment ago? */
static bool
rests(const struct snapshot *s, enum service_what what, uint32_t number)
{
	for (size_t i = 0; i < s->nresting; i++)
		if (is_of(&s->resting[i], what) && s->resting[i].number == number &&
		    s->now < s->resting[i].until)
			return true;
	return false;
}

/* When nothing else is left, the one that rests longest; 0: there is none either. */
static uint32_t
wake(struct snapshot *s, enum service_what what)
{
	static const struct service somebody;
	const struct resting *best = NULL;

	for (size_t i = 0; i < s->nresting; i++) {
		const struct resting *r = &s->resting[i];

		if (is_of(r, what) && !service_holder(s, what, r->number) &&
		    (!best || r->until < best->until))
			best = r;
	}
	if (!best)
		return 0;
	service_give(s, what, best->number, &somebody);
	return best->number;
}

const char *
service_reserved(const struct settings *set, const struct service *svc, uint32_t ip)
{
	if (ip == dns_address(set))
		return "the cluster's DNS";
	if (ip == (set->svcs.net | API_HOST) && !(str_is(object_namespace(svc), "default") &&
						  str_is(object_name(svc), "kubernetes")))
		return "service default/kubernetes";
	return NULL;
}

static const char *
address6_give(struct snapshot *s, struct arena *a)
{
	struct service_claims *c = claims_of(s);
	const struct addr_range *range = &s->settings->svcs6;
	uint32_t end = (uint32_t)((UINT64_C(1) << (128 - range->bits)) - 1);

	while (c->next_address[1] < end) {
		uint32_t host = c->next_address[1]++;

		if (!holder(c, key_of(CLAIM_ADDRESS6, host)) && !rests(s, CLAIM_ADDRESS6, host))
			return addr_text(range->net | host, a);
	}
	end = wake(s, CLAIM_ADDRESS6);
	return end ? addr_text(range->net | end, a) : NULL;
}

/* The lowest free address; NULL when the range is full. */
const char *
service_address_give(struct snapshot *s, bool v6, struct arena *a)
{
	struct service_claims *c = claims_of(s);
	const struct settings *set = s->settings;
	uint32_t end = (uint32_t)((UINT64_C(1) << (32 - set->svcs.bits)) - 1); /* broadcast */
	uint32_t dns = dns_address(set);

	if (v6)
		return address6_give(s, a);
	while (c->next_address[0] < end) {
		uint32_t host = c->next_address[0]++, ip = set->svcs.net | host;

		if (ip != dns && !holder(c, key_of(CLAIM_ADDRESS, ip)) &&
		    !rests(s, CLAIM_ADDRESS, ip))
			return ipv4_text(ip, a);
	}
	end = wake(s, CLAIM_ADDRESS);
	return end ? ipv4_text(end, a) : NULL;
}

/* The lowest free port above the band, then one of the band; 0 when all are taken. */
int
service_port_give(struct snapshot *s, const struct service_port *port)
{
	struct service_claims *c = claims_of(s);
	const struct settings *set = s->settings;
	enum service_what what = port_kind(port);
	int first = first_dynamic_port(set), size = set->node_port_hi - set->node_port_lo + 1;

	while (c->next_port[what] < first + size) {
		int n = c->next_port[what]++;

		if (n > set->node_port_hi)
			n -= size;
		if (!holder(c, key_of(what, (uint32_t)n)) && !rests(s, what, (uint32_t)n))
			return n;
	}
	return (int)wake(s, what);
}

/* The API server's words, of its repair loops. */
struct trouble
service_address_trouble(struct snapshot *s, const struct service *svc, bool v6, struct arena *a)
{
	const struct settings *set = s->settings;
	const char *text = service_address_said(svc, v6);
	const struct service *other;
	uint32_t ip;

	if (!address_of(set, svc, v6, &ip) || service_address(s, svc, v6))
		return (struct trouble){ 0 };
	if (!family_there(set, v6))
		return (struct trouble){
			"ClusterIPNotAllocated",
			arena_printf(a,
				     "Cluster IP [%s]: %s is of ip family that is no longer "
				     "configured on cluster; please recreate service",
				     family_name(v6), text)
		};
	if (!in_net(set, v6, ip))
		return (struct trouble){
			"ClusterIPOutOfRange",
			arena_printf(a,
				     "Cluster IP [%s]: %s is not within the service CIDR %s; "
				     "please recreate service",
				     family_name(v6), text,
				     addr_range_text(settings_services(set, v6), a))
		};
	other = holder(claims_of(s), key_of(address_kind(v6), ip));
	return (struct trouble){
		"ClusterIPAlreadyAllocated",
		arena_printf(a,
			     "Cluster IP [%s]:%s was assigned to multiple services (%s has "
			     "it); please recreate service",
			     family_name(v6), text, object_path(other, a))
	};
}

struct trouble
service_port_trouble(struct snapshot *s, const struct service *svc,
		     const struct service_port *port, struct arena *a)
{
	const struct settings *set = s->settings;
	const struct service *other;

	if (!port->nodePort || service_has_port(s, svc, port))
		return (struct trouble){ 0 };
	if (!in_range(set, port->nodePort))
		return (struct trouble){
			"PortOutOfRange",
			arena_printf(a,
				     "Port %lld is not within the port range %d-%d; please "
				     "recreate service",
				     (long long)port->nodePort, set->node_port_lo,
				     set->node_port_hi)
		};
	other = holder(claims_of(s), key_of(port_kind(port), (uint64_t)port->nodePort));
	return (struct trouble){
		"PortAlreadyAllocated",
		arena_printf(a,
			     "Port %lld was assigned to multiple services (%s has it); please "
			     "recreate service",
			     (long long)port->nodePort, object_path(other, a))
	};
}

/* services.c -- the services that are staged; commit.c makes them rules. */
#include "np.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void
service_clear(struct np_service *s)
{
	free((char *)s->id);
	free((struct np_endpoint *)s->endpoints);
	free((addr *)s->outer);
	free((struct addr_range *)s->sources);
	*s = (struct np_service){ 0 };
}

static const void *
copy_of(const void *at, size_t n, size_t size)
{
	void *x = xcalloc(n, size);

	if (n)
		memcpy(x, at, n * size);
	return x;
}

struct np_service
service_copy(const struct np_service *s)
{
	struct np_service x = *s;

	x.id = xstrdup(s->id);
	x.endpoints = copy_of(s->endpoints, s->n, sizeof *s->endpoints);
	x.outer = copy_of(s->outer, s->nouter, sizeof *s->outer);
	x.sources = copy_of(s->sources, s->nsources, sizeof *s->sources);
	return x;
}

void
service_free(struct service *s)
{
	service_clear(&s->now);
	service_clear(&s->was);
	free(s->chains.at);
	free(s);
}

/* The one program knows no addresses of the other's. */
static int
family_check(const struct np_service *s, struct error **e)
{
	const addr one[] = { s->vip, s->node_ip, s->balancer };
	bool same = true;

	for (size_t i = 0; i < sizeof one / sizeof *one; i++)
		same &= !one[i] || addr_v6(one[i]) == s->v6;
	for (size_t i = 0; i < s->nouter; i++)
		same &= addr_v6(s->outer[i]) == s->v6;
	for (size_t i = 0; i < s->nsources; i++)
		same &= s->sources[i].v6 == s->v6;
	for (size_t i = 0; i < s->n; i++)
		same &= addr_v6(s->endpoints[i].ip) == s->v6;
	return same ? 0 : fail(e, WHY_INVALID, "%s: addresses of both families", s->id);
}

/* The id becomes part of iptables-restore's input, inside quotes: nothing that
 * could end a quote or a line gets in. */
static int
service_check(const struct np_service *s, struct error **e)
{
	static const char fine[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
	size_t n = s->id ? strlen(s->id) : 0;

	if (!n || n > 200 || strspn(s->id, fine) != n)
		return fail(e, WHY_INVALID,
			    "a service's id must be 1 to 200 of [A-Za-z0-9._:/-]");
	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP && s->proto != IPPROTO_SCTP)
		return fail(e, WHY_INVALID, "%s: protocol %u is none of TCP, UDP and SCTP",
			    s->id, s->proto);
	if (!s->port && (s->vip || s->nouter || s->balancer))
		return fail(e, WHY_INVALID, "%s: port 0", s->id);
	for (size_t i = 0; i < s->nouter; i++)
		if (!s->outer[i])
			return fail(e, WHY_INVALID, "%s: outer address %zu is 0.0.0.0", s->id,
				    i);
	for (size_t i = 0; i < s->nsources; i++)
		if (s->sources[i].bits > addr_bits(s->v6))
			return fail(e, WHY_INVALID, "%s: source %zu is no range", s->id, i);
	for (size_t i = 0; i < s->n; i++)
		if (!s->endpoints[i].ip || !s->endpoints[i].port)
			return fail(e, WHY_INVALID, "%s: endpoint %zu has no address or port",
				    s->id, i);
	return family_check(s, e);
}

bool
service_moves(const struct np_service *a, const struct np_service *b)
{
	size_t la = rules_local(a), lb = rules_local(b);

	return a->vip != b->vip || a->port != b->port || a->node_port != b->node_port ||
	       a->node_ip != b->node_ip || a->health_port != b->health_port ||
	       a->proto != b->proto || a->local_only != b->local_only ||
	       a->local_inside != b->local_inside || a->balancer != b->balancer ||
	       !a->nsources != !b->nsources || a->nouter != b->nouter ||
	       (a->nouter && memcmp(a->outer, b->outer, a->nouter * sizeof *a->outer)) ||
	       !a->n != !b->n || !la != !lb || (la == a->n) != (lb == b->n);
}

void
service_stage(struct np *np, struct service *x)
{
	x->staged = true;
	np->staged = xgrow(np->staged, np->staged_n, sizeof x);
	np->staged[np->staged_n++] = x;
}

int
np_set(struct np *np, const struct np_service *s, struct error **e)
{
	struct service *x;

	if (service_check(s, e) < 0)
		return -1;
	if (s->v6 != np->net.v6)
		return np->six ? np_set(np->six, s, e)
			       : fail(e, WHY_INVALID, "%s: the pods have no IPv6", s->id);
	if (s->affinity_s && !np->said_recent && !np->net.no_recent && !np->net.nft) {
		np->said_recent = true;
		log_info("netproxy",
			 "%s asks for sessionAffinity: the kernel remembers the last "
			 "/sys/module/xt_recent/parameters/ip_list_tot clients of an endpoint",
			 s->id);
	}
	if (rules_leave_out(&np->net, s) && !np->said_sctp) {
		np->said_sctp = true;
		log_warn("netproxy",
			 "%s asks for SCTP, and this kernel has no xt_sctp: such services are "
			 "not served",
			 s->id);
	}
	x = map_get(&np->services, s->id);
	if (!x) {
		x = xcalloc(1, sizeof *x);
		x->dropped = true;
		map_put(&np->services, s->id, x);
	}
	np->dispatch |= x->dropped || service_moves(&x->now, s);
	np->announce |= x->now.balancer || s->balancer;
	service_clear(&x->now);
	x->now = service_copy(s);
	if (!x->staged)
		service_stage(np, x);
	x->dropped = false;
	return 0;
}

void
np_drop(struct np *np, const char *id)
{
	struct service *x = map_get(&np->services, id);

	if (np->six)
		np_drop(np->six, id);
	if (!x || x->dropped)
		return;
	if (!x->staged)
		service_stage(np, x);
	x->dropped = true;
	np->announce |= x->now.balancer;
	np->dispatch = true;
}

bool
np_has_node_port(const struct np *np, const char *id, uint16_t port)
{
	const struct service *x = map_get(&np->services, id);

	return (x && !x->dropped && x->now.node_port == port) ||
	       (np->six && np_has_node_port(np->six, id, port));
}

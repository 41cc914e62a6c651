/* rules_policy.c -- what Kubernetes demands of a NetworkPolicy, in its words. */
#include "base/arena.h"
#include "base/text.h"
#include "rules.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct net {
	int family;
	uint8_t at[16];
	unsigned bits;
};

static bool
net_read(const char *text, struct net *ret)
{
	const char *slash = strchr(text, '/');
	char ip[INET6_ADDRSTRLEN];
	struct net n = { 0 };

	if (!slash || (size_t)(slash - text) >= sizeof ip)
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = 0;
	n.family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(n.family, ip, n.at) != 1)
		return false;
	slash++;
	if (!*slash || strlen(slash) > 3 || slash[strspn(slash, "0123456789")])
		return false;
	n.bits = (unsigned)strtoul(slash, NULL, 10);
	if (n.bits > (n.family == AF_INET ? 32 : 128) || (slash[0] == '0' && slash[1]))
		return false;
	*ret = n;
	return true;
}

const char *
is_cidr(const char *s, struct arena *a)
{
	struct net n;

	(void)a;
	return net_read(s, &n)
		   ? NULL
		   : "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
}

/* Smaller, and all of it within. */
static bool
net_within(const struct net *in, const struct net *out)
{
	if (in->family != out->family || in->bits <= out->bits)
		return false;
	for (unsigned i = 0; i < out->bits; i++)
		if ((in->at[i / 8] ^ out->at[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

void
ip_block_check(const void *obj, const struct place *at)
{
	const struct ip_block *b = obj;
	struct net whole, part;
	char sub[32];

	if (!place_ok(at, "cidr") || !place_ok(at, "except") || !net_read(b->cidr, &whole))
		return;
	for (size_t i = 0; i < b->except.n; i++) {
		snprintf(sub, sizeof sub, "except[%zu]", i);
		if (net_read(b->except.at[i], &part) && !net_within(&part, &whole))
			place_complain(
			    at, sub, "Invalid value: \"%s\": must be a strict subset of `cidr`",
			    b->except.at[i]);
	}
}

void
network_policy_peer_check(const void *obj, const struct place *at)
{
	const struct network_policy_peer *p = obj;

	if (!place_ok(at, "podSelector") || !place_ok(at, "namespaceSelector") ||
	    !place_ok(at, "ipBlock"))
		return;
	if (!p->podSelector && !p->namespaceSelector && !p->ipBlock)
		place_complain(at, "", "Required value: must specify a peer");
	else if (p->ipBlock && (p->podSelector || p->namespaceSelector))
		place_complain(at, "",
			       "Forbidden: may not specify both ipBlock and another peer");
}

void
network_policy_port_check(const void *obj, const struct place *at)
{
	const struct network_policy_port *p = obj;

	if (!p->endPort || !place_ok(at, "port") || !place_ok(at, "endPort"))
		return;
	if (p->port.s)
		place_complain(at, "endPort",
			       "Invalid value: %lld: may not be specified when `port` is "
			       "non-numeric",
			       (long long)p->endPort);
	else if (!p->port.i)
		place_complain(at, "endPort",
			       "Invalid value: %lld: may not be specified when `port` is not "
			       "specified",
			       (long long)p->endPort);
	else if (p->endPort < p->port.i)
		place_complain(at, "endPort",
			       "Invalid value: %lld: must be greater than or equal to `port`",
			       (long long)p->port.i); /* Kubernetes shows the port here */
}

void
network_policy_spec_check(const void *obj, const struct place *at)
{
	const struct network_policy_spec *s = obj;

	if (s->policyTypes.n > 2)
		place_complain(at, "policyTypes",
			       "Invalid value: may not specify more than two policyTypes");
}

/* A policy is about what comes in, and about what goes out when it says a word of that. */
void
network_policy_spec_defaults(void *obj, struct arena *a)
{
	struct network_policy_spec *s = obj;

	if (s->policyTypes.n)
		return;
	s->policyTypes.at = arena_alloc(a, 2 * sizeof *s->policyTypes.at);
	s->policyTypes.at[s->policyTypes.n++] = "Ingress";
	if (s->egress.n)
		s->policyTypes.at[s->policyTypes.n++] = "Egress";
}

/* rules_service.c -- what Kubernetes demands of a Service across fields (ValidateService).
 *
 * The words are Kubernetes'.
 */
#include "base/addr.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ports ---- */

static void
service_port_check(const struct service_spec *s, size_t i, struct map *names,
		   struct map *node_ports, const struct place *at)
{
	const struct service_port *p = &s->ports.at[i];
	bool external = str_is(s->type, "NodePort") || str_is(s->type, "LoadBalancer");
	char sub[64], key[64];

	snprintf(sub, sizeof sub, "ports[%zu].name", i);
	if (s->ports.n > 1 && !str_given(p->name))
		place_complain(at, sub, "Required value");
	if (str_given(p->name) && map_put(names, p->name, names))
		place_complain(at, sub, "Duplicate value: \"%s\"", p->name);
	if (!p->nodePort)
		return;
	snprintf(sub, sizeof sub, "ports[%zu].nodePort", i);
	snprintf(key, sizeof key, "%jd/%s", (intmax_t)p->nodePort,
		 p->protocol ? p->protocol : "");
	if (!external)
		place_complain(at, sub, "Forbidden: may not be used when `type` is '%s'",
			       s->type);
	else if (map_put(node_ports, key, names))
		place_complain(at, sub, "Duplicate value: %jd", (intmax_t)p->nodePort);
}

static void
service_ports_check(const struct service_spec *s, const struct place *at)
{
	struct map names = { 0 }, node_ports = { 0 };

	for (size_t i = 0; i < s->ports.n; i++)
		service_port_check(s, i, &names, &node_ports, at);
	map_done(&names);
	map_done(&node_ports);
}

/* ---- addresses ---- */

static bool
is_balanced(const struct service_spec *s)
{
	return str_is(s->type, "LoadBalancer");
}

static bool
has_node_ports(const struct service_spec *s)
{
	return is_balanced(s) || str_is(s->type, "NodePort");
}

static void
external_name_check(const struct service_spec *s, const struct place *at)
{
	static const char not_set[] = "Forbidden: may not be set for ExternalName services";
	size_t n = str_given(s->externalName) ? strlen(s->externalName) : 0;
	struct arena *a = at->arena;
	char *name = arena_strdup(a, n ? s->externalName : "");
	const char *why;

	if (str_given(s->clusterIP))
		place_complain(at, "clusterIP",
			       "Forbidden: may not be set when `type` is 'ExternalName'");
	else if (s->clusterIPs.n)
		place_complain(at, "clusterIPs", not_set);
	if (s->ipFamilies.n)
		place_complain(at, "ipFamilies", not_set);
	if (str_given(s->ipFamilyPolicy))
		place_complain(at, "ipFamilyPolicy", not_set);
	/* a dot at its end says that it is whole */
	if (n && name[n - 1] == '.')
		name[--n] = 0;
	why = n ? is_subdomain(name, a) : NULL;
	if (!n)
		place_complain(at, "externalName", "Required value");
	else if (why)
		place_complain(at, "externalName", "Invalid value: \"%s\": %s", name, why);
}

/* Kubernetes trims blanks. */
static const char *
trimmed(const char *s, struct arena *a)
{
	size_t n;

	s += strspn(s, " ");
	n = strlen(s);
	while (n && s[n - 1] == ' ')
		n--;
	return arena_strndup(a, s, n);
}

static void
outside_check(const struct service_spec *s, const struct place *at)
{
	struct arena *a = at->arena;
	char sub[64];

	for (size_t i = 0; i < s->externalIPs.n && place_ok(at, "externalIPs"); i++) {
		const char *why = ip_special(s->externalIPs.at[i], a);

		snprintf(sub, sizeof sub, "externalIPs[%zu]", i);
		if (why)
			place_complain(at, sub, "Invalid value: \"%s\": %s",
				       s->externalIPs.at[i], why);
	}
	if (s->loadBalancerSourceRanges.n && !is_balanced(s))
		place_complain(at, "loadBalancerSourceRanges",
			       "Forbidden: may only be used when `type` is 'LoadBalancer'");
	for (size_t i = 0;
	     i < s->loadBalancerSourceRanges.n && place_ok(at, "loadBalancerSourceRanges");
	     i++) {
		snprintf(sub, sizeof sub, "loadBalancerSourceRanges[%zu]", i);
		if (is_cidr(trimmed(s->loadBalancerSourceRanges.at[i], a), a))
			place_complain(at, sub,
				       "Invalid value: \"%s\": must be a valid CIDR value, "
				       "(e.g. 10.9.8.0/24 or 2001:db8::/64)",
				       s->loadBalancerSourceRanges.at[i]);
	}
}

/* ---- LoadBalancer, policies ---- */

static void
balancer_check(const struct service_spec *s, const struct place *at)
{
	static const char only[] = "Forbidden: may only be used when `type` is 'LoadBalancer'";
	bool local = is_balanced(s) && str_is(s->externalTrafficPolicy, "Local");

	if (!is_balanced(s) && str_given(s->loadBalancerClass))
		place_complain(at, "loadBalancerClass", only);
	if (!is_balanced(s) &&
	    schema_has(service_spec_kind(), s, "allocateLoadBalancerNodePorts"))
		place_complain(at, "allocateLoadBalancerNodePorts", only);
	if (!local && s->healthCheckNodePort)
		place_complain(at, "healthCheckNodePort",
			       "Invalid value: %jd: may only be set when `type` is "
			       "'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
			       (intmax_t)s->healthCheckNodePort);
	if (is_balanced(s) && str_given(s->loadBalancerIP) && is_ip(s->loadBalancerIP, NULL))
		place_complain(at, "loadBalancerIP", "Invalid value: \"%s\": %s",
			       s->loadBalancerIP, is_ip(s->loadBalancerIP, NULL));
}

static void
policy_check(const struct service_spec *s, const struct place *at)
{
	bool external = has_node_ports(s) || (str_is(s->type, "ClusterIP") && s->externalIPs.n);

	if (!external && str_given(s->externalTrafficPolicy))
		place_complain(
		    at, "externalTrafficPolicy",
		    "Invalid value: \"%s\": may only be set for externally-accessible services",
		    s->externalTrafficPolicy);
}

static const char *
list_text(const struct strs *s, struct arena *a)
{
	const char *text = "";

	for (size_t i = 0; i < s->n; i++)
		text = arena_printf(a, "%s%s\"%s\"", text, i ? "," : "", s->at[i]);
	return arena_printf(a, "[%s]", text);
}

/* Addresses: one of a family, in the order of the families. */
static void
cluster_ips_check(const struct service_spec *s, const struct place *at)
{
	const struct strs *ips = &s->clusterIPs;
	const char *list = list_text(ips, at->arena);
	char sub[64];

	if (ips->n > 1 && str_is(ips->at[0], "None"))
		place_complain(at, "clusterIPs",
			       "Invalid value: %s: 'None' must be the first and only value",
			       list);
	if (ips->n > 2)
		place_complain(at, "clusterIPs",
			       "Invalid value: %s: may only hold up to 2 values", list);
	else if (ips->n == 2 && addr_text_is_v6(ips->at[0]) == addr_text_is_v6(ips->at[1]) &&
		 !str_is(ips->at[0], "None"))
		place_complain(at, "clusterIPs",
			       "Invalid value: %s: may specify no more than one IP for each IP "
			       "family",
			       list);
	for (size_t i = 0; i < ips->n && i < s->ipFamilies.n; i++) {
		bool v6 = str_is(s->ipFamilies.at[i], "IPv6");

		if (str_is(ips->at[i], "None") || addr_text_is_v6(ips->at[i]) == v6)
			continue;
		snprintf(sub, sizeof sub, "clusterIPs[%zu]", i);
		place_complain(at, sub,
			       "Invalid value: \"%s\": expected an %s value as indicated by "
			       "`ipFamilies[%zu]`",
			       ips->at[i], s->ipFamilies.at[i], i);
	}
}

static void
families_check(const struct service_spec *s, const struct place *at)
{
	static const char more[] =
	    "Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' "
	    "when multiple %s are specified";
	bool single = !str_given(s->ipFamilyPolicy) || str_is(s->ipFamilyPolicy, "SingleStack");
	char sub[64];

	if (str_is(s->type, "ExternalName") || !place_ok(at, "ipFamilies") ||
	    !place_ok(at, "clusterIPs"))
		return;
	for (size_t i = 1; i < s->ipFamilies.n; i++)
		for (size_t k = 0; k < i; k++)
			if (str_is(s->ipFamilies.at[i], s->ipFamilies.at[k])) {
				snprintf(sub, sizeof sub, "ipFamilies[%zu]", i);
				place_complain(at, sub, "Duplicate value: \"%s\"",
					       s->ipFamilies.at[i]);
				break;
			}
	cluster_ips_check(s, at);
	if (single && s->clusterIPs.n == 2)
		place_complain(at, "ipFamilyPolicy", more, "cluster IPs");
	if (single && s->ipFamilies.n == 2)
		place_complain(at, "ipFamilyPolicy", more, "IP families");
}

static void
address_check(const struct service_spec *s, const struct place *at)
{
	if (s->clusterIPs.n && str_given(s->clusterIP) &&
	    !str_is(s->clusterIP, s->clusterIPs.at[0]))
		place_complain(at, "clusterIPs",
			       "Invalid value: [\"%s\"]: first value must match "
			       "`clusterIP`",
			       s->clusterIPs.at[0]);
	if (has_node_ports(s) && str_is(s->clusterIP, "None"))
		place_complain(
		    at, "clusterIP",
		    "Invalid value: \"None\": may not be set to 'None' for %s services",
		    s->type);
	families_check(s, at);
}

void
service_spec_check(const void *obj, const struct place *at)
{
	const struct service_spec *s = obj;

	if (!place_ok(at, "type"))
		return;
	if (str_is(s->type, "ExternalName"))
		external_name_check(s, at);
	else if (!s->ports.n && place_ok(at, "ports") && !str_is(s->clusterIP, "None"))
		place_complain(at, "ports", "Required value");
	address_check(s, at);
	outside_check(s, at);
	balancer_check(s, at);
	policy_check(s, at);
	service_ports_check(s, at);
}

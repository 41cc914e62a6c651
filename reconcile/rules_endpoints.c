/* rules_endpoints.c -- what Kubernetes demands of Endpoints and EndpointSlices
 * (ValidateEndpoints, ValidateEndpointSlice), in its words.
 *
 * Who writes them by hand sends a Service's clients wherever they say, so addresses that mean
 * the host itself, or whoever is on its link, are refused.  What Kubernetes takes and kedge
 * cannot serve is taken, with a warning.
 */
#include "base/addr.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

enum { ENDPOINTS_MAX = 1000, ADDRESSES_MAX = 100, PORTS_MAX = 20000, SUB_TEXT = 128 };

static const char too_many[] = "Too many: %zu: must have at most %d items";
static const char invalid[] = "Invalid value: \"%s\": %s";
static const char duplicate[] = "Duplicate value: \"%s\"";

/* True when there are that many; the rest of them is then not looked at. */
static bool
is_crowd(size_t n, int most, const char *sub, const struct place *at)
{
	if (n > (size_t)most)
		place_complain(at, sub, too_many, n, most);
	return n > (size_t)most;
}

static void
node_name_check(const char *name, const char *of, const struct place *at)
{
	const char *why = str_given(name) ? is_subdomain(name, at->arena) : NULL;
	char sub[SUB_TEXT];

	snprintf(sub, sizeof sub, "%s.nodeName", of);
	if (why)
		place_complain(at, sub, invalid, name, why);
}

/* One that is an address; `sub` is where it stands. */
static void
address_check(const char *ip, const char *sub, const struct place *at)
{
	const char *why = ip_special(ip, at->arena);
	addr x;

	if (why)
		place_complain(at, sub, invalid, ip, why);
	else if (!addr_read(ip, &x) || addr_is_special(x))
		place_complain_softly(at, sub, "without effect: %s is no address of one host",
				      ip);
}

/* ---- Endpoints ---- */

static void
addresses_check(const struct endpoint_address *x, size_t n, const char *of,
		const struct place *at)
{
	char sub[SUB_TEXT];

	for (size_t i = 0; i < n; i++) {
		snprintf(sub, sizeof sub, "%s[%zu]", of, i);
		node_name_check(x[i].nodeName, sub, at);
		snprintf(sub, sizeof sub, "%s[%zu].ip", of, i);
		address_check(x[i].ip, sub, at);
	}
}

static void
old_ports_check(const struct endpoint_subset *x, size_t subset, const struct place *at)
{
	char sub[SUB_TEXT];

	for (size_t i = 0; i < x->ports.n; i++) {
		const struct endpoint_port *p = &x->ports.at[i];
		const char *why = str_given(p->name) ? is_label(p->name, at->arena) : NULL;

		snprintf(sub, sizeof sub, "subsets[%zu].ports[%zu].name", subset, i);
		if (why)
			place_complain(at, sub, invalid, p->name, why);
		else if (x->ports.n > 1 && !str_given(p->name))
			place_complain(at, sub, "Required value");
		snprintf(sub, sizeof sub, "subsets[%zu].ports[%zu].port", subset, i);
		if (!p->port)
			place_complain(
			    at, sub,
			    "Invalid value: 0: must be between 1 and 65535, inclusive");
	}
}

void
endpoints_check(const void *obj, const struct place *at)
{
	const struct endpoints *x = obj;
	char sub[SUB_TEXT];

	for (size_t i = 0; i < x->subsets.n && place_ok(at, "subsets"); i++) {
		const struct endpoint_subset *s = &x->subsets.at[i];

		snprintf(sub, sizeof sub, "subsets[%zu]", i);
		if (!s->addresses.n && !s->notReadyAddresses.n)
			place_complain(
			    at, sub,
			    "Required value: must specify `addresses` or `notReadyAddresses`");
		snprintf(sub, sizeof sub, "subsets[%zu].addresses", i);
		addresses_check(s->addresses.at, s->addresses.n, sub, at);
		snprintf(sub, sizeof sub, "subsets[%zu].notReadyAddresses", i);
		addresses_check(s->notReadyAddresses.at, s->notReadyAddresses.n, sub, at);
		old_ports_check(s, i, at);
	}
}

/* ---- EndpointSlice ---- */

/* IsFullyQualifiedDomainName: of two labels at least, a dot at its end is none of it. */
static void
domain_check(const char *text, const char *sub, const struct place *at)
{
	struct arena *a = at->arena;
	char *name = arena_strdup(a, text), *label;
	size_t n = strlen(name);
	const char *why;

	if (!n) {
		place_complain(at, sub, "Required value");
		return;
	}
	if (name[n - 1] == '.')
		name[--n] = 0;
	why = is_subdomain(name, a);
	if (!why && !strchr(name, '.'))
		why = "should be a domain with at least two segments separated by dots";
	if (why) {
		place_complain(at, sub, invalid, name, why);
		return;
	}
	while ((label = strsep(&name, ".")))
		if ((why = is_label(label, a)))
			place_complain(at, sub, invalid, label, why);
}

static void
slice_address_check(const char *ip, const char *type, const char *sub, const struct place *at)
{
	const char *why = is_ip(ip, at->arena);

	if (str_is(type, "FQDN"))
		domain_check(ip, sub, at);
	else if (why || addr_text_is_v6(ip) != str_is(type, "IPv6"))
		place_complain(at, sub, "Invalid value: \"%s\": must be a valid %s address", ip,
			       type);
	else
		address_check(ip, sub, at);
}

static void
slice_endpoint_check(const struct endpoint *e, size_t i, const char *type,
		     const struct place *at)
{
	char sub[SUB_TEXT];

	snprintf(sub, sizeof sub, "endpoints[%zu].addresses", i);
	(void)is_crowd(e->addresses.n, ADDRESSES_MAX, sub, at);
	for (size_t k = 0; k < e->addresses.n && k < ADDRESSES_MAX; k++) {
		snprintf(sub, sizeof sub, "endpoints[%zu].addresses[%zu]", i, k);
		slice_address_check(e->addresses.at[k], type, sub, at);
	}
	snprintf(sub, sizeof sub, "endpoints[%zu]", i);
	node_name_check(e->nodeName, sub, at);
}

static void
slice_ports_check(const struct endpoint_slice *x, const struct place *at)
{
	struct map names = { 0 };
	char sub[SUB_TEXT];

	for (size_t i = 0; i < x->ports.n; i++) {
		const struct endpoint_port *p = &x->ports.at[i];
		const char *name = p->name ? p->name : "";
		const char *why = *name ? is_label(name, at->arena) : NULL;

		snprintf(sub, sizeof sub, "ports[%zu].name", i);
		if (why)
			place_complain(at, sub, invalid, name, why);
		if (map_put(&names, name, &names))
			place_complain(at, sub, duplicate, name);
		snprintf(sub, sizeof sub, "ports[%zu].port", i);
		if (!p->port) /* Kubernetes' word for all ports, which its proxies ignore, too
			       */
			place_complain_softly(at, sub,
					      "without effect: a port without a number is not "
					      "served");
	}
	map_done(&names);
}

void
endpoint_slice_check(const void *obj, const struct place *at)
{
	const struct endpoint_slice *x = obj;

	if (!place_ok(at, "addressType"))
		return;
	if (str_is(x->addressType, "FQDN"))
		place_complain_softly(at, "addressType",
				      "without effect: names are not served, only addresses");
	if (place_ok(at, "endpoints") &&
	    !is_crowd(x->endpoints.n, ENDPOINTS_MAX, "endpoints", at))
		for (size_t i = 0; i < x->endpoints.n; i++)
			slice_endpoint_check(&x->endpoints.at[i], i, x->addressType, at);
	if (place_ok(at, "ports") && !is_crowd(x->ports.n, PORTS_MAX, "ports", at))
		slice_ports_check(x, at);
}

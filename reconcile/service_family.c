/* service_family.c -- the families of a Service's addresses: what it says, and what that means
 * where pods have IPv6, or have not.
 *
 * Pure, and Kubernetes' rules (initIPFamilyFields).  The cluster's first family is IPv4.  One
 * thing is otherwise: a Service of PreferDualStack gets its second address also when IPv6 is
 * set up after it was made.
 */
#include "base/addr.h"
#include "base/arena.h"
#include "base/text.h"
#include "service.h"
#include <string.h>

static const char *const names[2] = { "IPv4", "IPv6" };

const char *
family_name(bool v6)
{
	return names[v6];
}

bool
family_there(const struct settings *set, bool v6)
{
	return !v6 || set->svcs6.bits;
}

const char *
pod_address(const struct pod *pod, bool v6)
{
	const struct pod_status *st = pod->status;

	if (!st || str_is(st->podIP, ""))
		return NULL;
	if (addr_text_is_v6(st->podIP) == v6)
		return st->podIP;
	for (size_t i = 0; i < st->podIPs.n; i++)
		if (addr_text_is_v6(st->podIPs.at[i].ip) == v6)
			return st->podIPs.at[i].ip;
	return NULL;
}

bool
service_family_first(const struct service *svc)
{
	const struct service_spec *spec = svc->spec;

	if (spec && spec->ipFamilies.n)
		return str_is(spec->ipFamilies.at[0], "IPv6");
	return spec && addr_text_is_v6(spec->clusterIP);
}

bool
service_has_family(const struct service *svc, bool v6)
{
	const struct service_spec *spec = svc->spec;

	if (!spec || !spec->ipFamilies.n)
		return service_family_first(svc) == v6;
	for (size_t i = 0; i < spec->ipFamilies.n; i++)
		if (str_is(spec->ipFamilies.at[i], names[v6]))
			return true;
	return false;
}

const char *
service_address_said(const struct service *svc, bool v6)
{
	const struct service_spec *spec = svc->spec;

	if (!spec || str_is(spec->type, "ExternalName"))
		return NULL;
	for (size_t i = 0; i < spec->clusterIPs.n; i++)
		if (!str_is(spec->clusterIPs.at[i], "None") &&
		    addr_text_is_v6(spec->clusterIPs.at[i]) == v6)
			return spec->clusterIPs.at[i];
	if (!spec->clusterIPs.n && !str_is(spec->clusterIP, "") &&
	    !str_is(spec->clusterIP, "None") && addr_text_is_v6(spec->clusterIP) == v6)
		return spec->clusterIP;
	return NULL;
}

/* Its names lead wherever its hand-written lists do. */
static bool
is_free(const struct service_spec *spec)
{
	return str_is(spec->clusterIP, "None") && !spec->selector.n;
}

static struct strs
copy(const struct strs *s, size_t n, struct arena *a)
{
	struct strs out = { arena_alloc(a, (n + 3) * sizeof *out.at), 0 };

	for (; out.n < n && out.n < s->n; out.n++)
		out.at[out.n] = s->at[out.n];
	return out;
}

void
service_families_fill(const struct settings *set, struct service_spec *spec, struct arena *a)
{
	bool dual = family_there(set, true), single;
	struct strs f;

	if (str_is(spec->ipFamilyPolicy, ""))
		spec->ipFamilyPolicy =
		    spec->ipFamilies.n > 1 || spec->clusterIPs.n > 1 || (dual && is_free(spec))
			? "RequireDualStack"
			: "SingleStack";
	single = str_is(spec->ipFamilyPolicy, "SingleStack");
	f = copy(&spec->ipFamilies, single ? 1 : 2, a);
	if (single && spec->clusterIPs.n > 1)
		spec->clusterIPs = copy(&spec->clusterIPs, 1, a);
	for (size_t i = f.n; i < spec->clusterIPs.n && i < 2; i++)
		if (!str_is(spec->clusterIPs.at[i], "None"))
			f.at[f.n++] = names[addr_text_is_v6(spec->clusterIPs.at[i])];
	if (!f.n)
		f.at[f.n++] = names[0];
	if (!single && f.n == 1 && dual)
		f.at[f.n++] = names[str_is(f.at[0], "IPv4")];
	spec->ipFamilies = f;
}

bool
service_families_filled(const struct settings *set, const struct service_spec *spec)
{
	bool single = str_is(spec->ipFamilyPolicy, "SingleStack");

	if (!spec->ipFamilies.n || !spec->clusterIPs.n || str_is(spec->ipFamilyPolicy, ""))
		return false;
	if (single && (spec->ipFamilies.n > 1 || spec->clusterIPs.n > 1))
		return false;
	if (!single && spec->ipFamilies.n == 1 && family_there(set, true))
		return false;
	return str_is(spec->clusterIP, "None") || spec->clusterIPs.n >= spec->ipFamilies.n;
}

/* ---- what a cluster without IPv6 cannot do ---- */

void
service_families_check(const struct settings *set, const struct service *svc,
		       void (*say)(void *ctx, const char *field, const char *words), void *ctx,
		       struct arena *a)
{
	const struct service_spec *spec = svc->spec;

	if (!spec || family_there(set, true) || str_is(spec->type, "ExternalName") ||
	    is_free(spec))
		return;
	for (size_t i = 0; i < spec->clusterIPs.n; i++)
		if (addr_text_is_v6(spec->clusterIPs.at[i]) && i >= spec->ipFamilies.n)
			say(ctx, arena_printf(a, "spec.clusterIPs[%zu]", i),
			    arena_printf(a,
					 "Invalid value: \"%s\": IPv6 is not configured on "
					 "this cluster",
					 spec->clusterIPs.at[i]));
	if (str_is(spec->ipFamilyPolicy, "RequireDualStack"))
		say(ctx, "spec.ipFamilyPolicy",
		    "Invalid value: \"RequireDualStack\": this cluster is not configured for "
		    "dual-stack services");
	for (size_t i = 0; i < spec->ipFamilies.n; i++)
		if (str_is(spec->ipFamilies.at[i], "IPv6"))
			say(ctx, arena_printf(a, "spec.ipFamilies[%zu]", i),
			    "Invalid value: \"IPv6\": not configured on this cluster");
}

/* rules_quota.c -- what Kubernetes demands of a LimitRange, a ResourceQuota and a
 * PodDisruptionBudget, in its words. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

/* ---- LimitRange ---- */

static void
fill(struct pairs *to, const struct pairs *from, struct arena *a)
{
	for (size_t i = 0; i < from->n; i++)
		if (!pairs_get(to, from->at[i].key))
			pairs_set(to, from->at[i].key, from->at[i].value, a);
}

/* A container that states nothing gets the most it may have; it asks for its limit, or else for
 * the least. */
void
limit_range_item_defaults(void *obj, struct arena *a)
{
	struct limit_range_item *l = obj;

	if (!str_is(l->type, "Container"))
		return;
	fill(&l->default_limit, &l->max, a);
	fill(&l->defaultRequest, &l->default_limit, a);
	fill(&l->defaultRequest, &l->min, a);
}

static void
compare(const struct place *at, const char *field, const struct pairs *small,
	const char *small_name, const struct pairs *big, const char *big_name)
{
	for (size_t i = 0; i < small->n; i++) {
		const char *least = small->at[i].value,
			   *most = pairs_get(big, small->at[i].key);

		if (most && quantity_milli(least) > quantity_milli(most))
			place_complain(
			    at, arena_printf(at->arena, "%s[%s]", field, small->at[i].key),
			    "Invalid value: \"%s\": %s value %s is greater than %s value %s",
			    least, small_name, least, big_name, most);
	}
}

static void
forbid(const struct place *at, const char *field, const struct pairs *what, const char *type)
{
	if (what->n)
		place_complain(at, field, "Forbidden: may not be specified when `type` is '%s'",
			       type);
}

void
limit_range_item_check(const void *obj, const struct place *at)
{
	const struct limit_range_item *l = obj;

	if (!place_ok(at, "type") || !l->type)
		return;
	if (str_is(l->type, "Pod")) {
		forbid(at, "default", &l->default_limit, "Pod");
		forbid(at, "defaultRequest", &l->defaultRequest, "Pod");
	}
	if (str_is(l->type, "PersistentVolumeClaim") && !pairs_get(&l->min, "storage") &&
	    !pairs_get(&l->max, "storage"))
		place_complain(at, "",
			       "Required value: either minimum or maximum storage value "
			       "is required, but neither was provided");
	compare(at, "min", &l->min, "min", &l->max, "max");
	if (!str_is(l->type, "Container"))
		return;
	compare(at, "defaultRequest", &l->min, "min", &l->defaultRequest, "default request");
	compare(at, "defaultRequest", &l->defaultRequest, "default request", &l->max, "max");
	compare(at, "defaultRequest", &l->defaultRequest, "default request", &l->default_limit,
		"default");
	compare(at, "default", &l->min, "min", &l->default_limit, "default");
	compare(at, "default", &l->default_limit, "default", &l->max, "max");
}

/* ---- ResourceQuota ---- */

/* What of a pod's, or of a namespace's, can be counted without a group. */
static const char *const names[] = { "configmaps",
				     "cpu",
				     "ephemeral-storage",
				     "limits.cpu",
				     "limits.ephemeral-storage",
				     "limits.memory",
				     "memory",
				     "persistentvolumeclaims",
				     "pods",
				     "replicationcontrollers",
				     "requests.cpu",
				     "requests.ephemeral-storage",
				     "requests.memory",
				     "requests.storage",
				     "resourcequotas",
				     "secrets",
				     "services",
				     "services.loadbalancers",
				     "services.nodeports" };

const char *
is_quota_name(const char *s, struct arena *a)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(names[i], s))
			return NULL;
	if (!strchr(s, '/') && strncmp(s, "requests.", 9) && strncmp(s, "hugepages-", 10))
		return "must be a standard resource for quota";
	return is_label_key(s, a);
}

/* Terminating and its kin are asked about as they are: Exists. */
void
scoped_selector_check(const void *obj, const struct place *at)
{
	const struct scoped_resource_selector_requirement *r = obj;
	bool with_values;

	if (!place_ok(at, "scopeName") || !place_ok(at, "operator") || !r->operator)
		return;
	if (!str_is(r->scopeName, "PriorityClass") && !str_is(r->operator, "Exists"))
		place_complain(
		    at, "operator",
		    "Invalid value: \"%s\": must be 'Exist' when scope is any of "
		    "ResourceQuotaScopeTerminating, "
		    "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
		    "ResourceQuotaScopeNotBestEffort or "
		    "ResourceQuotaScopeCrossNamespacePodAffinity",
		    r->operator);
	with_values = str_is(r->operator, "In") || str_is(r->operator, "NotIn");
	if (with_values && !r->values.n)
		place_complain(at, "values",
			       "Required value: must be at least one value when `operator` is "
			       "'In' or 'NotIn' for scope selector");
	if (!with_values && r->values.n)
		place_complain(at, "values",
			       "Invalid value: must be no value when `operator` is 'Exist' or "
			       "'DoesNotExist' for scope selector");
}

static bool
counts_pods_only(const struct strs *scopes)
{
	return strs_has(scopes, "BestEffort");
}

static bool
allowed_in(const struct strs *scopes, const char *name)
{
	static const char *const of_pods[] = {
		"cpu",  "limits.cpu",   "limits.memory",  "memory",
		"pods", "requests.cpu", "requests.memory"
	};

	if (!scopes->n)
		return true;
	if (counts_pods_only(scopes))
		return !strcmp(name, "pods");
	for (size_t i = 0; i < sizeof of_pods / sizeof *of_pods; i++)
		if (!strcmp(of_pods[i], name))
			return true;
	return !strncmp(name, "requests.", 9) || !strncmp(name, "limits.", 7);
}

static void
check_scopes(const struct place *at, const char *field, const struct strs *scopes,
	     const struct pairs *hard)
{
	for (size_t i = 0; i < scopes->n; i++)
		for (size_t k = 0; k < hard->n; k++)
			if (!allowed_in(&(struct strs){ &scopes->at[i], 1 }, hard->at[k].key)) {
				place_complain(at, field,
					       "Invalid value: \"%s\": unsupported scope "
					       "applied to resource",
					       scopes->at[i]);
				return;
			}
	if ((strs_has(scopes, "BestEffort") && strs_has(scopes, "NotBestEffort")) ||
	    (strs_has(scopes, "Terminating") && strs_has(scopes, "NotTerminating")))
		place_complain(at, field, "Invalid value: conflicting scopes");
}

void
resource_quota_spec_check(const void *obj, const struct place *at)
{
	const struct resource_quota_spec *s = obj;
	struct strs named = { 0 };

	if (!place_ok(at, "hard") || !place_ok(at, "scopes") || !place_ok(at, "scopeSelector"))
		return;
	check_scopes(at, "scopes", &s->scopes, &s->hard);
	if (!s->scopeSelector)
		return;
	named.at = arena_alloc(at->arena,
			       (s->scopeSelector->matchExpressions.n + 1) * sizeof *named.at);
	for (size_t i = 0; i < s->scopeSelector->matchExpressions.n; i++)
		named.at[named.n++] = s->scopeSelector->matchExpressions.at[i].scopeName;
	check_scopes(at, "scopeSelector.matchExpressions", &named, &s->hard);
}

/* ---- PodDisruptionBudget ---- */

static void
check_percent(const struct place *at, const char *field, const struct iors *n)
{
	if (place_ok(at, field) && n->s && strlen(n->s) > 3 && strcmp(n->s, "100%") != 0)
		place_complain(at, field,
			       "Invalid value: \"%s\": must not be greater than 100%%", n->s);
}

void
disruption_budget_spec_check(const void *obj, const struct place *at)
{
	const struct pod_disruption_budget_spec *s = obj;

	if (schema_has(at->kind, s, "minAvailable") &&
	    schema_has(at->kind, s, "maxUnavailable"))
		place_complain(at, "",
			       "Invalid value: minAvailable and maxUnavailable cannot be both "
			       "set");
	check_percent(at, "minAvailable", &s->minAvailable);
	check_percent(at, "maxUnavailable", &s->maxUnavailable);
}

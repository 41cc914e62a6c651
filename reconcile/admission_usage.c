/* admission_usage.c -- what an object is charged for, as Kubernetes' quota evaluators. */
#include "admission.h"
#include "pod.h"
#include "workload.h"

/* ---- amounts ---- */

const char *
amount_print(struct amount n, struct arena *a)
{
	static const char *const two[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	static const char *const ten[] = { "", "k", "M", "G", "T", "P", "E" };
	int64_t v = n.milli / 1000, base = n.binary ? 1024 : 1000;
	size_t i = 0;

	if (n.milli % 1000)
		return arena_printf(a, "%lldm", (long long)n.milli);
	while (v && v % base == 0 && i < 6) {
		v /= base;
		i++;
	}
	return arena_printf(a, "%lld%s", (long long)v, n.binary ? two[i] : ten[i]);
}

static int64_t
plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static bool
is_binary(const char *text)
{
	size_t n = text ? strlen(text) : 0;

	return n && text[n - 1] == 'i';
}

/* ---- pods ---- */

static const char *
stated(const struct container *c, const char *resource, bool limits)
{
	const struct resource_requirements *r = c->resources;

	return r ? pairs_get(limits ? &r->limits : &r->requests, resource) : NULL;
}

/* All that runs at once, or, should that be more, what one init container and the sidecars
 * before it take. */
struct amount
pod_sum(const struct pod_spec *spec, const char *resource, bool limits, bool *ret_any)
{
	struct amount sum = { 0 };
	int64_t first = 0;

	*ret_any = false;
	for (size_t i = 0; i < pod_parts(spec); i++) {
		const char *text = stated(pod_part(spec, i), resource, limits);
		int64_t one = quantity_milli(text);

		if (!text || pod_part_role(spec, i) == PART_EPHEMERAL)
			continue;
		*ret_any = true;
		sum.binary |= is_binary(text);
		if (pod_part_role(spec, i) == PART_INIT)
			first = most(first, plus(sum.milli, one));
		else
			sum.milli = plus(sum.milli, one);
	}
	sum.milli = most(sum.milli, first);
	if (*ret_any)
		sum.milli =
		    plus(sum.milli, quantity_milli(pairs_get(&spec->overhead, resource)));
	return sum;
}

/* Is it still to be paid for?  One that ended is not, nor one whose time to end is over. */
static bool
is_charged(const struct pod *pod, int64_t now)
{
	const struct object_meta *m = pod->metadata;

	return !pod_is_finished(pod) &&
	       !(m->deletionTimestamp &&
		 now > m->deletionTimestamp + m->deletionGracePeriodSeconds * 1000);
}

static struct amount
usage_of_pod(const struct pod *pod, const char *name, int64_t now)
{
	bool limits = !strncmp(name, "limits.", 7), requests = !strncmp(name, "requests.", 9);
	const char *resource = name + (limits ? 7 : requests ? 9 : 0);
	bool any;

	if (!pod->spec || !is_charged(pod, now))
		return (struct amount){ 0 };
	if (!strcmp(name, "pods"))
		return (struct amount){ 1000, false };
	return pod_sum(pod->spec, resource, limits, &any);
}

/* ---- the rest ---- */

static int64_t
usage_of_service(const struct service *svc, const char *name)
{
	const struct service_spec *s = svc->spec;
	bool balancer = s && str_is(s->type, "LoadBalancer");
	bool all = !balancer || s->allocateLoadBalancerNodePorts ||
		   !schema_has(service_spec_kind(), s, "allocateLoadBalancerNodePorts");
	int64_t n = 0;

	if (!strcmp(name, "services"))
		return 1;
	if (!strcmp(name, "services.loadbalancers"))
		return balancer;
	if (strcmp(name, "services.nodeports") != 0 || !s ||
	    (!balancer && !str_is(s->type, "NodePort")))
		return 0;
	for (size_t i = 0; i < s->ports.n; i++)
		n += all || s->ports.at[i].nodePort;
	return n;
}

static struct amount
usage_of_claim(const struct persistent_volume_claim *pvc, const char *name)
{
	static const char of_class[] = ".storageclass.storage.k8s.io/";
	const struct persistent_volume_claim_spec *s = pvc->spec;
	const char *size =
	    s && s->resources ? pairs_get(&s->resources->requests, "storage") : NULL;
	const char *mark = strstr(name, of_class);

	if (mark) {
		const char *class = s ? s->storageClassName : NULL;

		if (!class || strlen(class) != (size_t)(mark - name) ||
		    strncmp(class, name, strlen(class)) != 0)
			return (struct amount){ 0 };
		name = mark + sizeof of_class - 1;
	}
	if (!strcmp(name, "persistentvolumeclaims"))
		return (struct amount){ 1000, false };
	if (!strcmp(name, "requests.storage"))
		return (struct amount){ quantity_milli(size), is_binary(size) };
	return (struct amount){ 0 };
}

/* "count/deployments.apps", and the few that are counted by their bare name */
static bool
counts(const struct resource *r, const char *name)
{
	size_t n = strlen(r->plural);

	if (!strncmp(name, "count/", 6)) {
		name += 6;
		return !strncmp(name, r->plural, n) &&
		       (*r->group ? name[n] == '.' && !strcmp(name + n + 1, r->group)
				  : !name[n]);
	}
	return (r->id == RES_config_map || r->id == RES_secret ||
		r->id == RES_resource_quota) &&
	       !strcmp(name, r->plural);
}

struct amount
usage_of(const void *obj, const char *name, int64_t now)
{
	const struct resource *r = resource_of(obj);

	if (counts(r, name))
		return (struct amount){ 1000, false };
	if (!strncmp(name, "count/", 6))
		return (struct amount){ 0 };
	if (r->id == RES_pod)
		return usage_of_pod(obj, name, now);
	if (r->id == RES_service)
		return (struct amount){ usage_of_service(obj, name) * 1000, false };
	if (r->id == RES_persistent_volume_claim)
		return usage_of_claim(obj, name);
	return (struct amount){ 0 };
}

/* ---- scopes ---- */

static bool
crosses(const struct pod_affinity_term *t)
{
	return t && (t->namespaces.n || t->namespaceSelector);
}

static bool
crosses_namespaces(const struct pod_spec *s)
{
	const struct pod_affinity *near = s->affinity ? s->affinity->podAffinity : NULL;
	const struct pod_anti_affinity *far = s->affinity ? s->affinity->podAntiAffinity : NULL;

#define EACH(list, term) for (size_t i = 0; (list) && i < (list)->term.n; i++)
	EACH(near, requiredDuringSchedulingIgnoredDuringExecution)
	if (crosses(&near->requiredDuringSchedulingIgnoredDuringExecution.at[i]))
		return true;
	EACH(near, preferredDuringSchedulingIgnoredDuringExecution)
	if (crosses(
		near->preferredDuringSchedulingIgnoredDuringExecution.at[i].podAffinityTerm))
		return true;
	EACH(far, requiredDuringSchedulingIgnoredDuringExecution)
	if (crosses(&far->requiredDuringSchedulingIgnoredDuringExecution.at[i]))
		return true;
	EACH(far, preferredDuringSchedulingIgnoredDuringExecution)
	if (crosses(far->preferredDuringSchedulingIgnoredDuringExecution.at[i].podAffinityTerm))
		return true;
#undef EACH
	return false;
}

static bool
in_scope(const struct pod_spec *s, const struct scoped_resource_selector_requirement *r)
{
	bool terminating = schema_has(pod_spec_kind(), s, "activeDeadlineSeconds") ||
			   s->activeDeadlineSeconds > 0;
	bool best_effort = str_is(pod_qos(s), "BestEffort");
	const char *class = s->priorityClassName;

	if (str_is(r->scopeName, "Terminating"))
		return terminating;
	if (str_is(r->scopeName, "NotTerminating"))
		return !terminating;
	if (str_is(r->scopeName, "BestEffort"))
		return best_effort;
	if (str_is(r->scopeName, "NotBestEffort"))
		return !best_effort;
	if (str_is(r->scopeName, "CrossNamespacePodAffinity"))
		return crosses_namespaces(s);
	if (str_is(r->operator, "In"))
		return class && strs_has(&r->values, class);
	if (str_is(r->operator, "NotIn"))
		return !class || !strs_has(&r->values, class);
	return str_is(r->operator, "DoesNotExist") == !(class && *class);
}

bool
usage_matches(const struct resource_quota *q, const void *obj)
{
	const struct resource_quota_spec *s = q->spec;
	const struct pod *pod = obj;
	size_t n = s->scopeSelector ? s->scopeSelector->matchExpressions.n : 0;

	if (!s->scopes.n && !n)
		return true;
	if (resource_of(obj)->id != RES_pod || !pod->spec)
		return false;
	for (size_t i = 0; i < s->scopes.n; i++)
		if (!in_scope(pod->spec, &(struct scoped_resource_selector_requirement){
					     .scopeName = s->scopes.at[i],
					     .operator= "Exists" }))
			return false;
	for (size_t i = 0; i < n; i++)
		if (!in_scope(pod->spec, &s->scopeSelector->matchExpressions.at[i]))
			return false;
	return true;
}

struct amount
usage_sum(const struct snapshot *s, const struct resource_quota *q, const char *name)
{
	struct amount sum = { 0 };

	for (int r = 0; r < RES_COUNT; r++) {
		struct objects in = { 0 };

		if (resources[r].namespaced && r != RES_event)
			in = snapshot_in(s, (enum resource_id)r, object_namespace(q));
		for (size_t i = 0; i < in.n; i++) {
			struct amount one;

			if (!usage_matches(q, in.at[i]))
				continue;
			one = usage_of(in.at[i], name, s->now);
			sum.milli = plus(sum.milli, one.milli);
			sum.binary |= one.binary;
		}
	}
	return sum;
}

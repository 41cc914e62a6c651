/* pod_resources.c -- what a pod's containers ask for and are held to, as the kubelet
 * reckons it, and its change while they run.
 *
 * Pure.  A change of cpu and memory is carried out on the running container when the host
 * tells of other limits than the spec has; nothing is remembered but the spec itself.
 */
#include "pod_resources.h"
#include "pod.h"

/* Of a thousand cores on, a limit bounds nothing. */
enum { SHARES_MIN = 2, SHARES_MAX = 262144, CPU_MILLI_MAX = 1000000, PAGE = 4096 };

/* Guaranteed: every container has limits for cpu and memory, and requests equal
 * to them.  BestEffort: none has either.  Else Burstable.  One that is added to look into
 * the pod has neither, and changes nothing. */
const char *
pod_qos(const struct pod_spec *spec)
{
	static const char *const names[] = { "cpu", "memory" };
	bool guaranteed = true, any = false;

	for (size_t i = 0; i < pod_own_parts(spec); i++)
		for (size_t j = 0; j < 2; j++) {
			const struct resource_requirements *r = pod_part(spec, i)->resources;
			int64_t lim = r ? quantity_milli(pairs_get(&r->limits, names[j])) : 0;
			int64_t req = r ? quantity_milli(pairs_get(&r->requests, names[j])) : 0;

			any |= lim > 0 || req > 0;
			guaranteed &= lim > 0 && (!req || req == lim);
		}
	return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

/* 1000 less a point for each thousandth of the host's memory. */
static int64_t
score(int64_t request, int64_t total)
{
	return request >= total ? 0 : 1000 - 1000 * request / total;
}

static int64_t
memory_request(const struct container *c)
{
	const struct resource_requirements *r = c->resources;
	const char *req = r ? pairs_get(&r->requests, "memory") : NULL;

	return quantity_value(req ? req : r ? pairs_get(&r->limits, "memory") : NULL);
}

static bool
is_sidecar(const struct pod_spec *spec, const struct container *c)
{
	return c >= spec->initContainers.at &&
	       c < spec->initContainers.at + spec->initContainers.n &&
	       str_is(c->restartPolicy, "Always");
}

/* The less of the host's memory a burstable container asked for, the sooner it is the one
 * to go; a sidecar never before the containers that it serves. */
static int64_t
oom_score_adj(const struct snapshot *s, const struct pod *pod, const struct container *c)
{
	const struct pod_spec *spec = pod->spec;
	const char *qos = pod_qos(spec);
	int64_t total = s->host ? s->host->memory : 0, adj, least_asked = INT64_MAX;

	if (str_is(qos, "Guaranteed"))
		return -997;
	if (str_is(qos, "BestEffort") || total <= 0)
		return 1000;
	adj = score(memory_request(c), total);
	for (size_t i = 0; is_sidecar(spec, c) && i < spec->containers.n; i++)
		least_asked = least(least_asked, memory_request(&spec->containers.at[i]));
	if (least_asked < INT64_MAX)
		adj = least(adj, score(least_asked, total));
	return adj < 3 ? 3 : adj > 999 ? 999 : adj;
}

/* Kubernetes' MemoryQoS: what is requested is kept, and from nine tenths of the way to the
 * limit on (the host's memory, where there is none) it is slowed down. */
static void
memory_qos(const struct snapshot *s, const struct pod *pod, struct container_args *args,
	   int64_t request)
{
	int64_t limit = args->memory ? args->memory : s->host ? s->host->memory : 0;

	args->memoryMin = request;
	if (str_is(pod_qos(pod->spec), "Guaranteed") || limit <= request)
		return;
	args->memoryHigh = (request + (limit - request) / 10 * 9) / PAGE * PAGE;
}

void
pod_limits(const struct snapshot *s, const struct pod *pod, const struct container *c,
	   struct container_args *args)
{
	const struct resource_requirements *r = c->resources;
	const char *cpu_req = r ? pairs_get(&r->requests, "cpu") : NULL;
	const char *cpu = r ? pairs_get(&r->limits, "cpu") : NULL;
	int64_t request = quantity_milli(cpu_req ? cpu_req : cpu);

	args->cpuMilli = least(quantity_milli(cpu), CPU_MILLI_MAX);
	args->memory = quantity_value(r ? pairs_get(&r->limits, "memory") : NULL);
	args->disk = quantity_value(r ? pairs_get(&r->limits, "ephemeral-storage") : NULL);
	args->cpuShares =
	    request ? least(most(request * 1024 / 1000, SHARES_MIN), SHARES_MAX) : 0;
	args->oomScoreAdj = oom_score_adj(s, pod, c);
	memory_qos(s, pod, args, r ? quantity_value(pairs_get(&r->requests, "memory")) : 0);
}

/* ---- while it runs ---- */

bool
pod_restarts_for(const struct container *c, const char *resource)
{
	for (size_t i = 0; i < c->resizePolicy.n; i++)
		if (str_is(c->resizePolicy.at[i].resourceName, resource))
			return str_is(c->resizePolicy.at[i].restartPolicy, "RestartContainer");
	return false;
}

static bool
is_resizable(const char *key)
{
	return str_is(key, "cpu") || str_is(key, "memory");
}

/* All that is not cpu or memory is the same, and neither is taken away. */
static bool
only_sizes_differ(const struct pairs *a, const struct pairs *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const char *other = pairs_get(b, a->at[i].key);

		if (!other || (!is_resizable(a->at[i].key) && !str_is(a->at[i].value, other)))
			return false;
	}
	for (size_t i = 0; i < b->n; i++)
		if (!is_resizable(b->at[i].key) && !pairs_get(a, b->at[i].key))
			return false;
	return true;
}

/* A limit below what is in use would only fail: less memory takes a restart. */
static bool
container_fits(const struct container *was, const struct container *is)
{
	static const struct resource_requirements none;
	const struct resource_requirements *a = was->resources ? was->resources : &none,
					   *b = is->resources ? is->resources : &none;
	const char *had = pairs_get(&a->limits, "memory"),
		   *has = pairs_get(&b->limits, "memory");

	if (!only_sizes_differ(&a->limits, &b->limits) ||
	    !only_sizes_differ(&a->requests, &b->requests))
		return false;
	return !has || pod_restarts_for(is, "memory") ||
	       (had && quantity_milli(has) >= quantity_milli(had)) || !had;
}

bool
pod_resizable(const struct pod_spec *was, const struct pod_spec *is, struct arena *a)
{
	struct pod_spec copy = *is;

	if (was->containers.n != is->containers.n || !str_is(pod_qos(was), pod_qos(is)))
		return false;
	copy.containers.at =
	    arena_alloc(a, (is->containers.n + 1) * sizeof *copy.containers.at);
	for (size_t i = 0; i < is->containers.n; i++) {
		copy.containers.at[i] = is->containers.at[i];
		copy.containers.at[i].resources = was->containers.at[i].resources;
		if (!container_fits(&was->containers.at[i], &is->containers.at[i]))
			return false;
	}
	return schema_equal(pod_spec_kind(), was, &copy);
}

static bool
is_sized(const struct container_seen *seen, const struct container_args *want)
{
	return !seen->sized ||
	       (seen->cpuMilli == want->cpuMilli && seen->cpuShares == want->cpuShares &&
		seen->memory == want->memory && seen->memoryMin == want->memoryMin);
}

bool
pod_resize_next(const struct snapshot *s, const struct pod *pod, const struct container *c,
		const struct container_seen *seen, struct resize_args *ret)
{
	struct container_args want = { 0 };

	if (!seen || str_is(seen->state, "terminated"))
		return false;
	pod_limits(s, pod, c, &want);
	if (is_sized(seen, &want))
		return false;
	*ret = (struct resize_args){
		.uid = object_uid(pod),
		.container = c->name,
		.cpuMilli = want.cpuMilli,
		.cpuShares = want.cpuShares,
		.memory = want.memory,
		.memoryHigh = want.memoryHigh,
		.memoryMin = want.memoryMin,
		.grace = grace_counted(pod->spec->terminationGracePeriodSeconds),
		.restart = (pod_restarts_for(c, "memory") && seen->memory != want.memory) ||
			   (pod_restarts_for(c, "cpu") && (seen->cpuMilli != want.cpuMilli ||
							   seen->cpuShares != want.cpuShares)),
	};
	return true;
}

void
pod_resources_status(const struct snapshot *s, const struct pod *pod, const struct container *c,
		     const struct container_seen *seen, struct container_status *st)
{
	struct container_args want = { 0 };

	if (!c->resources || (!c->resources->limits.n && !c->resources->requests.n) || !seen ||
	    !seen->sized)
		return;
	pod_limits(s, pod, c, &want);
	st->allocatedResources = c->resources->requests;
	if (is_sized(seen, &want))
		st->resources = c->resources; /* else those of before are in force */
}

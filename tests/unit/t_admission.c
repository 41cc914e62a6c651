/* t_admission.c -- LimitRanges and ResourceQuotas: what they fill in, and what they refuse. */
#include "admission.h"
#include "control.h"

static void
put(struct kit *k, const char *kind, const char *name, const char *spec)
{
	char *s;

	xasprintf(&s, "apiVersion: v1\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n", kind,
		  name, spec);
	kit_read(k, s);
	free(s);
}

static struct pod *
pod_of(struct kit *k, const char *name, const char *spec)
{
	struct pod *p;

	put(k, "Pod", name, spec);
	p = object_clone(kit_find(k, RES_pod, name), &k->arena);
	kit_drop(k, RES_pod, "default", name);
	return p;
}

/* Why a pod with this spec would not be made; "": it would. */
static const char *
refusal(struct kit *k, const char *spec)
{
	struct pod *p = pod_of(k, "new", spec);
	const char *why = admission_refusal(kit_snapshot(k), NULL, p, &k->arena);

	return why ? why : "";
}

#define ONE(resources) "containers: [{name: c, image: 'i:1', resources: {" resources "}}]"

static void
defaults_are_filled_in_where_nothing_is_said(void **state)
{
	struct kit *k = *state;
	const struct container *c;
	struct pod *p;

	put(k, "LimitRange", "l",
	    "limits: [{type: Container, default: {cpu: '1', memory: 1Gi}, defaultRequest: "
	    "{cpu: "
	    "100m, memory: 1Gi}}]");
	p = pod_of(k, "new", ONE("limits: {memory: 2Gi}, requests: {memory: 2Gi}"));
	assert_null(admission_refuses(kit_snapshot(k), NULL, p));
	c = &p->spec->containers.at[0];
	assert_string_equal(pairs_get(&c->resources->limits, "cpu"), "1");
	assert_string_equal(pairs_get(&c->resources->limits, "memory"), "2Gi");
	assert_string_equal(pairs_get(&c->resources->requests, "cpu"), "100m");
	assert_string_equal(
	    object_annotation(p, "kubernetes.io/limit-ranger"),
	    "LimitRanger plugin set: cpu request for container c; cpu limit for container c");
}

static void
a_runtime_class_is_not_found(void **state)
{
	struct kit *k = *state;

	assert_string_equal(refusal(k, "runtimeClassName: gvisor, " ONE("")),
			    "pods \"new\" is forbidden: pod rejected: RuntimeClass \"gvisor\" "
			    "not found");
	assert_string_equal(refusal(k, ONE("")), "");
}

static void
limits_are_kept_to(void **state)
{
	static const struct {
		const char *range, *spec, *expect;
	} rows[] = {
		{ "type: Container, max: {cpu: '1'}", ONE("limits: {cpu: '1'}"), "" },
		{ "type: Container, max: {cpu: '1'}", ONE("limits: {cpu: '2'}"),
		  "maximum cpu usage per Container is 1, but limit is 2" },
		{ "type: Container, max: {cpu: '1'}", ONE("requests: {memory: 1Mi}"), "" },
		{ "type: Pod, max: {cpu: '1'}", ONE("requests: {memory: 1Mi}"),
		  "maximum cpu usage per Pod is 1.  No limit is specified" },
		{ "type: Container, min: {cpu: 100m}", ONE("requests: {cpu: 50m}"),
		  "minimum cpu usage per Container is 100m, but request is 50m" },
		{ "type: Container, min: {cpu: 100m}", ONE(""), "" },
		{ "type: Pod, min: {cpu: 100m}", ONE(""),
		  "minimum cpu usage per Pod is 100m.  No request is specified" },
		{ "type: Container, min: {cpu: 100m}, max: {memory: 1Mi}",
		  ONE("requests: {cpu: 50m}, limits: {memory: 2Mi}"),
		  "[minimum cpu usage per Container is 100m, but request is 50m, maximum "
		  "memory "
		  "usage per Container is 1Mi, but limit is 2Mi]" },
		{ "type: Container, maxLimitRequestRatio: {cpu: '2'}",
		  ONE("requests: {cpu: 100m}, limits: {cpu: 200m}"), "" },
		{ "type: Container, maxLimitRequestRatio: {cpu: '2'}",
		  ONE("requests: {cpu: 100m}, limits: {cpu: 250m}"),
		  "cpu max limit to request ratio per Container is 2, but provided ratio is "
		  "2.500000" },
		{ "type: Container, maxLimitRequestRatio: {cpu: '2'}", ONE(""),
		  "cpu max limit to request ratio per Container is 2, but no request is "
		  "specified or request is 0" },
		{ "type: Pod, max: {cpu: 100m}",
		  "containers: [{name: a, image: 'i:1', resources: {limits: {cpu: 60m}}}, "
		  "{name: "
		  "b, image: 'i:1', resources: {limits: {cpu: 60m}}}]",
		  "maximum cpu usage per Pod is 100m, but limit is 120m" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kit *k = *state;
		const char *why;

		kit_done(k);
		kit_init(k);
		put(k, "LimitRange", "l",
		    arena_printf(&k->arena, "limits: [{%s}]", rows[i].range));
		why = refusal(k, rows[i].spec);
		assert_string_equal(why, *rows[i].expect
					     ? arena_printf(&k->arena,
							    "pods \"new\" is forbidden: %s",
							    rows[i].expect)
					     : "");
	}
}

static void
a_claim_is_held_to_its_size(void **state)
{
	struct kit *k = *state;
	const char *why;

	put(k, "LimitRange", "l",
	    "limits: [{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: "
	    "2Gi}}]");
	put(k, "PersistentVolumeClaim", "c", "resources: {requests: {storage: 3Gi}}");
	why = admission_refuses(kit_snapshot(k), NULL,
				kit_find(k, RES_persistent_volume_claim, "c"));
	assert_string_equal(
	    why, "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi");
	put(k, "PersistentVolumeClaim", "c", "resources: {requests: {storage: 500Mi}}");
	why = admission_refuses(kit_snapshot(k), NULL,
				kit_find(k, RES_persistent_volume_claim, "c"));
	assert_string_equal(
	    why,
	    "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi");
}

static void
what_is_no_claim_is_not_held_to_the_size_of_one(void **state)
{
	struct kit *k = *state;

	put(k, "LimitRange", "l",
	    "limits: [{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: "
	    "2Gi}}]");
	put(k, "Service", "s", "selector: {app: web}, ports: [{port: 80}]");
	assert_null(admission_refuses(kit_snapshot(k), NULL, kit_find(k, RES_service, "s")));
	assert_null(
	    admission_refuses(kit_snapshot(k), NULL, kit_find(k, RES_limit_range, "l")));
}

static void
a_quota_names_what_is_over(void **state)
{
	struct kit *k = *state;

	put(k, "ResourceQuota", "q",
	    "hard: {pods: '2', requests.cpu: 200m, requests.memory: 128Mi}");
	put(k, "Pod", "one", ONE("requests: {cpu: 100m, memory: 64Mi}"));
	assert_string_equal(refusal(k, ONE("requests: {cpu: 100m, memory: 64Mi}")), "");
	assert_string_equal(refusal(k, ONE("requests: {cpu: 150m, memory: 64Mi}")),
			    "pods \"new\" is forbidden: exceeded quota: q, requested: "
			    "requests.cpu=150m, used: requests.cpu=100m, limited: "
			    "requests.cpu=200m");
	assert_string_equal(refusal(k, ONE("requests: {cpu: 150m, memory: 65Mi}")),
			    "pods \"new\" is forbidden: exceeded quota: q, requested: "
			    "requests.cpu=150m,requests.memory=65Mi, used: "
			    "requests.cpu=100m,requests.memory=64Mi, limited: "
			    "requests.cpu=200m,requests.memory=128Mi");
	assert_string_equal(refusal(k, ONE("requests: {cpu: 10m}")),
			    "pods \"new\" is forbidden: failed quota: q: must specify "
			    "requests.memory for: c");
	assert_string_equal(refusal(k, ONE("")),
			    "pods \"new\" is forbidden: failed quota: q: must specify "
			    "requests.cpu for: c; requests.memory for: c");
	put(k, "Pod", "two", ONE("requests: {cpu: 1m, memory: 1Mi}"));
	assert_string_equal(refusal(k, ONE("requests: {cpu: 1m, memory: 1Mi}")),
			    "pods \"new\" is forbidden: exceeded quota: q, requested: pods=1, "
			    "used: pods=2, limited: pods=2");
	((struct pod *)kit_find(k, RES_pod, "two"))->status =
	    &(struct pod_status){ .phase = "Succeeded" };
	assert_string_equal(refusal(k, ONE("requests: {cpu: 1m, memory: 1Mi}")), "");
}

static void
what_was_let_in_counts_in_the_same_pass(void **state)
{
	struct kit *k = *state;
	struct pod *a, *b;
	struct snapshot *s;

	put(k, "ResourceQuota", "q", "hard: {pods: '1'}");
	a = pod_of(k, "a", ONE(""));
	b = pod_of(k, "b", ONE(""));
	s = kit_snapshot(k);
	assert_null(admission_refuses(s, NULL, a));
	assert_string_equal(
	    admission_refuses(s, NULL, b),
	    "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
}

static void
scopes_pick_the_pods_that_count(void **state)
{
	static const struct {
		const char *scope, *spec;
		bool counted;
	} rows[] = {
		{ "scopes: [BestEffort]", ONE(""), true },
		{ "scopes: [BestEffort]", ONE("requests: {cpu: 1m}"), false },
		{ "scopes: [NotBestEffort]", ONE("requests: {cpu: 1m}"), true },
		{ "scopes: [NotBestEffort]", ONE(""), false },
		{ "scopes: [Terminating]", "activeDeadlineSeconds: 5, " ONE(""), true },
		{ "scopes: [Terminating]", ONE(""), false },
		{ "scopes: [NotTerminating]", ONE(""), true },
		{ "scopes: [NotTerminating]", "activeDeadlineSeconds: 5, " ONE(""), false },
		{ "scopes: [NotTerminating, BestEffort]", ONE("requests: {cpu: 1m}"), false },
		{ "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, "
		  "values: [high]}]}",
		  "priorityClassName: high, " ONE(""), true },
		{ "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, "
		  "values: [high]}]}",
		  ONE(""), false },
		{ "scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: "
		  "Exists}]}",
		  ONE(""), false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kit *k = *state;

		kit_done(k);
		kit_init(k);
		put(k, "ResourceQuota", "q",
		    arena_printf(&k->arena, "hard: {pods: '0'}, %s", rows[i].scope));
		assert_int_equal(*refusal(k, rows[i].spec) != 0, rows[i].counted);
	}
}

static const char *
used(struct kit *k, const char *name)
{
	const struct resource_quota *q = kit_find(k, RES_resource_quota, "q");

	return pairs_get(&q->status->used, name);
}

static void
the_status_counts_everything(void **state)
{
	struct kit *k = *state;

	put(k, "ResourceQuota", "q",
	    "hard: {pods: '9', cpu: '9', limits.memory: 9Gi, services: '9', "
	    "services.nodeports: '9', services.loadbalancers: '9', configmaps: '9', "
	    "persistentvolumeclaims: '9', requests.storage: 9Gi, count/pods: '9', "
	    "count/deployments.apps: '9', "
	    "fast.storageclass.storage.k8s.io/requests.storage: 9Gi}");
	put(k, "Pod", "a", ONE("requests: {cpu: 1500m}, limits: {memory: 1Gi}"));
	put(k, "Pod", "b",
	    "initContainers: [{name: i, image: 'i:1', resources: {requests: {cpu: '1'}}}], "
	    "containers: [{name: c, image: 'i:1', resources: {requests: {cpu: 500m}}}]");
	put(k, "Service", "s", "type: NodePort, ports: [{port: 1}, {port: 2}]");
	put(k, "Service", "l",
	    "type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 1}]");
	put(k, "PersistentVolumeClaim", "c",
	    "storageClassName: fast, resources: {requests: {storage: 1Gi}}");
	put(k, "PersistentVolumeClaim", "d", "resources: {requests: {storage: 512Mi}}");
	kit_do(k, quota_reconcile, RES_resource_quota, "q");
	assert_string_equal(used(k, "pods"), "2");
	assert_string_equal(used(k, "count/pods"), "2");
	assert_string_equal(used(k, "cpu"), "2500m");
	assert_string_equal(used(k, "limits.memory"), "1Gi");
	assert_string_equal(used(k, "services"), "2");
	assert_string_equal(used(k, "services.nodeports"), "2");
	assert_string_equal(used(k, "services.loadbalancers"), "1");
	assert_string_equal(used(k, "configmaps"), "0");
	assert_string_equal(used(k, "persistentvolumeclaims"), "2");
	assert_string_equal(used(k, "requests.storage"), "1536Mi");
	assert_string_equal(used(k, "fast.storageclass.storage.k8s.io/requests.storage"),
			    "1Gi");
	assert_string_equal(used(k, "count/deployments.apps"), "0");
	kit_do(k, quota_reconcile, RES_resource_quota, "q");
	assert_int_equal(k->plan.n, 0);
}

static void
a_replica_set_makes_what_there_is_room_for(void **state)
{
	struct kit *k = *state;
	const struct replica_set *rs;

	put(k, "ResourceQuota", "q", "hard: {pods: '2'}");
	kit_read(k, "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web, uid: rs-1}\n"
		    "spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: "
		    "{metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "
		    "'i:1'}]}}}\n");
	kit_do(k, replicaset_reconcile, RES_replica_set, "web");
	assert_int_equal(k->n[RES_pod], 2);
	rs = kit_find(k, RES_replica_set, "web");
	assert_string_equal(rs->status->conditions.at[0].type, "ReplicaFailure");
	assert_string_equal(rs->status->conditions.at[0].reason, "FailedCreate");
	assert_non_null(strstr(rs->status->conditions.at[0].message,
			       "\" is forbidden: exceeded quota: q, requested: pods=1, used: "
			       "pods=2, limited: pods=2"));
	put(k, "ResourceQuota", "q", "hard: {pods: '3'}");
	kit_do(k, replicaset_reconcile, RES_replica_set, "web");
	assert_int_equal(k->n[RES_pod], 3);
	kit_do(k, replicaset_reconcile, RES_replica_set, "web");
	rs = kit_find(k, RES_replica_set, "web");
	assert_int_equal(rs->status->conditions.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
		T(defaults_are_filled_in_where_nothing_is_said),
		T(a_runtime_class_is_not_found),
		T(limits_are_kept_to),
		T(a_claim_is_held_to_its_size),
		T(what_is_no_claim_is_not_held_to_the_size_of_one),
		T(a_quota_names_what_is_over),
		T(what_was_let_in_counts_in_the_same_pass),
		T(scopes_pick_the_pods_that_count),
		T(the_status_counts_everything),
		T(a_replica_set_makes_what_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_write_change.c -- what a change over the API carries over, drops and refuses. */
#include "../../reconcile/base/error.h"
#include "../../reconcile/write.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
	struct world w;
	struct buf out;
	const struct complaint *why; /* the first; NULL: there is none */
};

/* The spec that a PUT of `new` over `old` would store, or why it would not. */
static const char *
put(struct bench *b, enum resource_id id, const char *old, const char *new)
{
	struct arena *a = &b->w.arena;
	struct complaints none = { .arena = a };
	cleanup_error struct error *e = NULL;
	struct write w = { .res = &resources[id], .ns = "prod", .name = "x", .a = a };
	const char *head = arena_printf(
	    a, "apiVersion: v1\nkind: %s\nmetadata: {name: x, namespace: prod}\nspec: ",
	    resources[id].kind);
	const char *text = arena_printf(a, "%s{%s}\n", head, new);

	world_read(&b->w, arena_printf(a, "%s{%s}\n", head, old));
	w.s = world_snapshot(&b->w);
	w.live = w.s->of[id].at[0];
	w.body = yaml_read(text, strlen(text), a, &none);
	assert_false(none.errors);
	buf_clear(&b->out);
	if (write_check(&w, &e) < 0)
		buf_adds(&b->out, error_text(e));
	else
		tree_json(tree_get(object_tree(w.obj, a), "spec"), &b->out);
	b->why = w.cs.first;
	/* so that it can be written down in C */
	for (char *c = b->out.at; c && *c; c++)
		*c = *c == '"' ? '\'' : *c;
	return buf_text(&b->out);
}

static void
check(enum resource_id id, const char *old, const char *new, const char *is)
{
	struct bench b = { 0 };

	assert_string_equal(put(&b, id, old, new), is);
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

#define IP    "clusterIP: 10.43.0.9, clusterIPs: [10.43.0.9], "
#define FAM   "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, "
#define LB    "type: LoadBalancer, allocateLoadBalancerNodePorts: true, "
#define LOCAL "externalTrafficPolicy: Local, healthCheckNodePort: 30777, "
#define AT    "ports: [{port: 80, nodePort: 30080}]"

/* What kubectl patch sends is the whole live object with another type. */
static void
a_type_takes_along_what_only_it_had(void **state)
{
	(void)state;
	check(
	    RES_service, IP FAM LB LOCAL "loadBalancerClass: kedge.io/pool, " AT,
	    "type: ClusterIP, " IP FAM
	    "allocateLoadBalancerNodePorts: true, loadBalancerClass: kedge.io/pool, " LOCAL AT,
	    "{'ports':[{'protocol':'TCP','port':80,'targetPort':80}],"
	    "'clusterIP':'10.43.0.9','clusterIPs':['10.43.0.9'],"
	    "'type':'ClusterIP','sessionAffinity':'None','ipFamilies':['IPv4'],"
	    "'ipFamilyPolicy':'SingleStack','internalTrafficPolicy':'Cluster'}");
	check(RES_service, IP FAM LB LOCAL AT,
	      "type: NodePort, allocateLoadBalancerNodePorts: true, " IP FAM LOCAL AT,
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80,"
	      "'nodePort':30080}],'clusterIP':'10.43.0.9',"
	      "'clusterIPs':['10.43.0.9'],'type':'NodePort',"
	      "'sessionAffinity':'None','externalTrafficPolicy':'Local',"
	      "'ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack',"
	      "'internalTrafficPolicy':'Cluster'}");
	check(RES_service, IP FAM LB LOCAL AT,
	      LB IP FAM "externalTrafficPolicy: Cluster, healthCheckNodePort: 30777, " AT,
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80,"
	      "'nodePort':30080}],'clusterIP':'10.43.0.9',"
	      "'clusterIPs':['10.43.0.9'],'type':'LoadBalancer',"
	      "'sessionAffinity':'None','externalTrafficPolicy':'Cluster',"
	      "'ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack',"
	      "'allocateLoadBalancerNodePorts':true,"
	      "'internalTrafficPolicy':'Cluster'}");
	check(RES_service, IP FAM AT ", type: NodePort",
	      "type: ExternalName, externalName: example.org, " IP FAM AT,
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80}],"
	      "'type':'ExternalName','sessionAffinity':'None',"
	      "'externalName':'example.org'}");
	check(RES_service, "type: ExternalName, externalName: example.org",
	      "type: ClusterIP, externalName: example.org, ports: [{port: 80}]",
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80}],"
	      "'type':'ClusterIP','sessionAffinity':'None',"
	      "'externalName':'example.org','internalTrafficPolicy':'Cluster'}");
}

/* A second address goes with the policy that asked for it, and one that is said stays. */
static void
one_family_gives_the_second_back(void **state)
{
#define TWO                                                                             \
	"clusterIP: 10.43.0.9, clusterIPs: [10.43.0.9, 'fd43::9'], ipFamilies: [IPv4, " \
	"IPv6], "
#define ALONE                                                                            \
	"{'ports':[{'protocol':'TCP','port':80,'targetPort':80}],"                       \
	"'clusterIP':'10.43.0.9','clusterIPs':['10.43.0.9'],'type':'ClusterIP',"         \
	"'sessionAffinity':'None','ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack'," \
	"'internalTrafficPolicy':'Cluster'}"
	(void)state;
	check(RES_service, TWO "ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]",
	      TWO "ipFamilyPolicy: SingleStack, ports: [{port: 80}]", ALONE);
	check(RES_service, TWO "ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]",
	      "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{port: 80}]", ALONE);
	/* without a word of it the policy stays */
	check(RES_service, TWO "ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]",
	      "ipFamilies: [IPv4, IPv6], ports: [{port: 80}]",
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80}],"
	      "'clusterIP':'10.43.0.9','clusterIPs':['10.43.0.9','fd43::9'],"
	      "'type':'ClusterIP','sessionAffinity':'None','ipFamilies':['IPv4','IPv6'],"
	      "'ipFamilyPolicy':'PreferDualStack','internalTrafficPolicy':'Cluster'}");
	check(RES_service, IP FAM "ports: [{port: 80}]",
	      IP "ipFamilies: [IPv4, IPv6], ipFamilyPolicy: SingleStack, ports: [{port: 80}]",
	      "Service 'x' is invalid: spec.ipFamilyPolicy: Invalid value: 'SingleStack': must "
	      "be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are "
	      "specified");
}

static void
what_is_new_is_not_taken_for_a_leftover(void **state)
{
	(void)state;
	check(RES_service, IP FAM LB AT,
	      "type: ClusterIP, " IP FAM "ports: [{port: 80, nodePort: 30081}]",
	      "Service 'x' is invalid: spec.ports[0].nodePort: Forbidden: may not"
	      " be used when `type` is 'ClusterIP'");
	check(RES_service, IP FAM LB LOCAL AT,
	      "type: NodePort, healthCheckNodePort: 30778, " IP FAM AT,
	      "Service 'x' is invalid: spec.healthCheckNodePort: Invalid value: 3"
	      "0778: may only be set when `type` is 'LoadBalancer' and `externalT"
	      "rafficPolicy` is 'Local'");
}

static void
allocated_values_stay_by_the_name_of_the_port(void **state)
{
	(void)state;
	check(RES_service,
	      IP "type: NodePort, ports: [{name: a, port: 80, nodePort: 30080}, "
		 "{name: b, port: 81, nodePort: 30081}]",
	      "type: LoadBalancer, ports: [{name: b, port: 90}, {name: c, port: 80}]",
	      "{'ports':[{'name':'b','protocol':'TCP','port':90,'targetPort':90,"
	      "'nodePort':30081},{'name':'c','protocol':'TCP','port':80,"
	      "'targetPort':80}],'clusterIP':'10.43.0.9',"
	      "'clusterIPs':['10.43.0.9'],'type':'LoadBalancer',"
	      "'sessionAffinity':'None','externalTrafficPolicy':'Cluster',"
	      "'allocateLoadBalancerNodePorts':true,"
	      "'internalTrafficPolicy':'Cluster'}");
	/* one that was given to another is not given twice */
	check(RES_service,
	      IP "type: NodePort, ports: [{name: a, port: 80, nodePort: 30080}, "
		 "{name: b, port: 81, nodePort: 30081}]",
	      "type: NodePort, ports: [{name: a, port: 80}, "
	      "{name: b, port: 81, nodePort: 30080}]",
	      "{'ports':[{'name':'a','protocol':'TCP','port':80,'targetPort':80},"
	      "{'name':'b','protocol':'TCP','port':81,'targetPort':81,"
	      "'nodePort':30080}],'clusterIP':'10.43.0.9',"
	      "'clusterIPs':['10.43.0.9'],'type':'NodePort',"
	      "'sessionAffinity':'None','externalTrafficPolicy':'Cluster',"
	      "'internalTrafficPolicy':'Cluster'}");
	check(RES_service, IP LB LOCAL AT,
	      "type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]",
	      "{'ports':[{'protocol':'TCP','port':80,'targetPort':80,"
	      "'nodePort':30080}],'clusterIP':'10.43.0.9',"
	      "'clusterIPs':['10.43.0.9'],'type':'LoadBalancer',"
	      "'sessionAffinity':'None','externalTrafficPolicy':'Local',"
	      "'healthCheckNodePort':30777,'allocateLoadBalancerNodePorts':true,"
	      "'internalTrafficPolicy':'Cluster'}");
}

#define POD       "containers: [{name: c, image: a}]"
#define T(v, sec) "{key: k, value: " v ", effect: NoExecute, tolerationSeconds: " sec "}"

static void
tolerations_are_only_added(void **state)
{
	(void)state;
	check(RES_pod, POD ", tolerations: [" T("a", "5") "]",
	      POD ", tolerations: [" T("b", "5") ", " T("a", "9") "]",
	      "{'containers':[{'name':'c','image':'a','resources':{},"
	      "'terminationMessagePath':'/dev/termination-log',"
	      "'terminationMessagePolicy':'File','imagePullPolicy':'Always'}],"
	      "'restartPolicy':'Always','terminationGracePeriodSeconds':30,"
	      "'dnsPolicy':'ClusterFirst','securityContext':{},"
	      "'schedulerName':'default-scheduler','tolerations':[{'key':'k',"
	      "'value':'b','effect':'NoExecute','tolerationSeconds':5},"
	      "{'key':'k','value':'a','effect':'NoExecute',"
	      "'tolerationSeconds':9}],'enableServiceLinks':true}");
	check(RES_pod, POD ", tolerations: [" T("a", "5") "]",
	      POD ", tolerations: [" T("b", "5") "]",
	      "Pod 'x' is invalid: spec.tolerations: Forbidden: existing tolerati"
	      "on can not be modified except its tolerationSeconds");
}

static void
gates_are_only_taken_away(void **state)
{
	(void)state;
	check(RES_pod, POD ", schedulingGates: [{name: e.org/a}, {name: e.org/b}]",
	      POD ", schedulingGates: [{name: e.org/b}]",
	      "{'containers':[{'name':'c','image':'a','resources':{},"
	      "'terminationMessagePath':'/dev/termination-log',"
	      "'terminationMessagePolicy':'File','imagePullPolicy':'Always'}],"
	      "'restartPolicy':'Always','terminationGracePeriodSeconds':30,"
	      "'dnsPolicy':'ClusterFirst','securityContext':{},"
	      "'schedulerName':'default-scheduler','enableServiceLinks':true,"
	      "'schedulingGates':[{'name':'e.org/b'}]}");
	check(RES_pod, POD ", schedulingGates: [{name: e.org/a}]",
	      POD ", schedulingGates: [{name: e.org/b}]",
	      "Pod 'x' is invalid: spec.schedulingGates[e.org/b]: Forbidden: only "
	      "deletion is allowed, but found new scheduling gate 'e.org/b'");
}

/* The cause that a client is told, beside the words. */
static void
what_may_not_be_changed_is_forbidden(void **state)
{
	static const char *const to[] = { POD ", tolerations: [" T("b", "5") "]",
					  POD ", tolerations: [" T("a", "5") "], hostname: h" };

	(void)state;
	for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
		struct bench b = { 0 };

		put(&b, RES_pod, POD ", tolerations: [" T("a", "5") "]", to[i]);
		assert_non_null(b.why);
		assert_string_equal(complaint_reason(b.why->kind), "FieldValueForbidden");
		buf_done(&b.out);
		arena_free(&b.w.arena);
	}
}

static void
a_deadline_is_only_shortened(void **state)
{
	(void)state;
	check(RES_pod, POD, POD ", activeDeadlineSeconds: 9",
	      "{'containers':[{'name':'c','image':'a','resources':{},"
	      "'terminationMessagePath':'/dev/termination-log',"
	      "'terminationMessagePolicy':'File','imagePullPolicy':'Always'}],"
	      "'restartPolicy':'Always','terminationGracePeriodSeconds':30,"
	      "'activeDeadlineSeconds':9,'dnsPolicy':'ClusterFirst',"
	      "'securityContext':{},'schedulerName':'default-scheduler',"
	      "'enableServiceLinks':true}");
	check(RES_pod, POD ", activeDeadlineSeconds: 9", POD ", activeDeadlineSeconds: 8",
	      "{'containers':[{'name':'c','image':'a','resources':{},"
	      "'terminationMessagePath':'/dev/termination-log',"
	      "'terminationMessagePolicy':'File','imagePullPolicy':'Always'}],"
	      "'restartPolicy':'Always','terminationGracePeriodSeconds':30,"
	      "'activeDeadlineSeconds':8,'dnsPolicy':'ClusterFirst',"
	      "'securityContext':{},'schedulerName':'default-scheduler',"
	      "'enableServiceLinks':true}");
	check(RES_pod, POD ", activeDeadlineSeconds: 9", POD ", activeDeadlineSeconds: 10",
	      "Pod 'x' is invalid: spec.activeDeadlineSeconds: Invalid value: 10:"
	      " must be less than or equal to previous value");
	check(RES_pod, POD ", activeDeadlineSeconds: 9", POD,
	      "Pod 'x' is invalid: spec.activeDeadlineSeconds: Invalid value: nul"
	      "l: must not update from a positive integer to nil value");
}

/* `is` with the spec of a pod that has these containers. */
static void
check_images(const char *was, const char *is, const char *want)
{
	struct bench b = { 0 };

	assert_non_null(strstr(put(&b, RES_pod, was, is), want));
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
images_change_and_containers_do_not(void **state)
{
#define TWO_OF(a, b, more)                                                               \
	"initContainers: [{name: i, image: '" a "'}], containers: [{name: c, image: '" b \
	"'" more "}]"
	(void)state;
	check_images(TWO_OF("a:1", "b:1", ""), TWO_OF("a:1", "b:2", ""), "'image':'b:2'");
	check_images(TWO_OF("a:1", "b:1", ""), TWO_OF("a:2", "b:1", ""), "'image':'a:2'");
	check_images(
	    TWO_OF("a:1", "b:1", ""), TWO_OF("a:1", "b:1 ", ""),
	    "spec.containers[0].image: Invalid value: 'b:1 ': must not have leading or "
	    "trailing whitespace");
	check_images(TWO_OF("a:1", "b:1", ""), TWO_OF("a:1", "b:2", ", args: [x]"),
		     "spec: Forbidden: pod updates may not change fields other than "
		     "`spec.containers[*].image`,`spec.initContainers[*].image`,");
	check_images(TWO_OF("a:1", "b:1", ""), "containers: [{name: c, image: 'b:1'}]",
		     "spec.initContainers: Forbidden: pod updates may not add or remove "
		     "containers");
	check_images(TWO_OF("a:1", "b:1", ""), TWO_OF("a:1", "b:1", "}, {name: d, image: d"),
		     "spec.containers: Forbidden: pod updates may not add or remove "
		     "containers");
}

/* More warnings than are kept: what is refused is refused, and says why. */
static void
a_pod_full_of_unknown_fields_is_judged_like_any(void **state)
{
	static const enum write_fields how[] = { FIELDS_IGNORE, FIELDS_WARN };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct bench b = { 0 };
		struct arena *a = &b.w.arena;
		struct complaints none = { .arena = a };
		cleanup_error struct error *e = NULL;
		struct write w = { .res = &resources[RES_pod], .ns = "prod", .name = "" };

		world_read(&b.w, "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, "
				 "labels: {pod-security.kubernetes.io/enforce: restricted}}\n");
		buf_adds(&b.out, "metadata: {name: x}\nspec: {" POD "}\n");
		for (int n = 0; n < 2000; n++)
			buf_addf(&b.out, "x%d: 1\n", n);
		w.s = world_snapshot(&b.w);
		w.a = a;
		w.fields = how[i];
		w.body = yaml_read(b.out.at, b.out.len, a, &none);
		assert_false(none.errors);
		assert_int_equal(write_check(&w, &e), -1);
		assert_int_equal(e->why, WHY_FORBIDDEN);
		assert_non_null(strstr(error_text(e), "violates PodSecurity"));
		buf_done(&b.out);
		arena_free(&b.w.arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_takes_along_what_only_it_had),
		cmocka_unit_test(one_family_gives_the_second_back),
		cmocka_unit_test(what_is_new_is_not_taken_for_a_leftover),
		cmocka_unit_test(allocated_values_stay_by_the_name_of_the_port),
		cmocka_unit_test(tolerations_are_only_added),
		cmocka_unit_test(gates_are_only_taken_away),
		cmocka_unit_test(what_may_not_be_changed_is_forbidden),
		cmocka_unit_test(a_deadline_is_only_shortened),
		cmocka_unit_test(images_change_and_containers_do_not),
		cmocka_unit_test(a_pod_full_of_unknown_fields_is_judged_like_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

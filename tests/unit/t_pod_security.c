/* t_pod_security.c -- the Pod Security Standards, with Kubernetes' words to the letter. */
#include "pod_security.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define POD(spec)     "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: " spec "\n"
#define C(name, rest) "{name: " name ", image: i" rest "}"
#define SC(rest)      ", securityContext: {" rest "}"
#define FINE                                                                            \
	SC("allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: " \
	   "[ALL]}, "                                                                   \
	   "seccompProfile: {type: RuntimeDefault}")

static const struct {
	const char *level, *spec, *why; /* NULL: fine */
} cases[] = {
	{ "privileged:latest",
	  "{hostNetwork: true, containers: [" C("a", SC("privileged: true")) "]}", NULL },
	{ "baseline:latest", "{containers: [" C("a", "") "]}", NULL },
	{ "baseline:latest",
	  "{hostNetwork: true, hostPID: true, hostIPC: true, containers: [" C("a", "") "]}",
	  "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)" },
	{ "baseline:latest",
	  "{containers: [" C("a", SC("privileged: true")) "," C("b",
								SC("privileged: true")) "]}",
	  "privileged (containers \"a\", \"b\" must not set "
	  "securityContext.privileged=true)" },
	{ "baseline:latest",
	  "{containers: [" C("a", SC("capabilities: {add: [NET_RAW, CHOWN, BPF]}")) "]}",
	  "non-default capabilities (container \"a\" must not include \"BPF\", \"NET_RAW\" "
	  "in "
	  "securityContext.capabilities.add)" },
	{ "baseline:latest",
	  "{volumes: [{name: v, hostPath: {path: /}}, {name: w, hostPath: {path: /}}], "
	  "containers: [" C("a", "") "]}",
	  "hostPath volumes (volumes \"v\", \"w\")" },
	{ "baseline:latest",
	  "{containers: [" C("a", ", ports: [{containerPort: 80, hostPort: 80}]") "," C(
	      "b", ", ports: [{containerPort: 90, hostPort: 100}]") "]}",
	  "hostPort (containers \"a\", \"b\" use hostPorts 100, 80)" },
	{ "baseline:latest", "{containers: [" C("a", SC("procMount: Unmasked")) "]}",
	  "procMount (container \"a\" must not set securityContext.procMount to "
	  "\"Unmasked\")" },
	{ "baseline:latest",
	  "{securityContext: {seLinuxOptions: {type: foo, user: u}}, containers: [" C(
	      "d", SC("seLinuxOptions: {role: r}")) "," C("e", SC("seLinuxOptions: {type: "
								  "container_t}")) "]}",
	  "seLinuxOptions (pod and container \"d\" set forbidden "
	  "securityContext.seLinuxOptions: type \"foo\"; user may not be set; role may not "
	  "be set)" },
	{ "baseline:latest",
	  "{securityContext: {seccompProfile: {type: Unconfined}}, containers: [" C("a",
										    "") "]}",
	  "seccompProfile (pod must not set securityContext.seccompProfile.type to "
	  "\"Unconfined\")" },
	{ "baseline:v1.18",
	  "{securityContext: {seccompProfile: {type: Unconfined}}, containers: [" C("a",
										    "") "]}",
	  NULL },
	{ "baseline:latest",
	  "{securityContext: {appArmorProfile: {type: Unconfined}}, containers: [" C("a",
										     "") "]}",
	  "forbidden AppArmor profile (pod must not set AppArmor profile type to "
	  "\"Unconfined\")" },
	{ "baseline:latest",
	  "{securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: '1'}, {name: "
	  "kernel.msgmax, value: '1'}]}, containers: [" C("a", "") "]}",
	  "forbidden sysctls (kernel.msgmax)" },
	{ "baseline:v1.31",
	  "{securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: '1'}]}, "
	  "containers: [" C("a", "") "]}",
	  "forbidden sysctls (net.ipv4.tcp_rmem)" },
	{ "restricted:latest", "{containers: [" C("a", FINE) "]}", NULL },
	{ "restricted:latest",
	  "{securityContext: {runAsNonRoot: true, seccompProfile: {type: Localhost, "
	  "localhostProfile: p}}, containers: [" C(
	      "a", SC("allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: "
		      "[NET_BIND_SERVICE]}")) "]}",
	  NULL },
	{ "restricted:latest", "{containers: [" C("c", "") "]}",
	  "allowPrivilegeEscalation != false (container \"c\" must set "
	  "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities "
	  "(container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), "
	  "runAsNonRoot != true (pod or container \"c\" must set "
	  "securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must "
	  "set "
	  "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")" },
	{ "restricted:latest",
	  "{volumes: [{name: v, hostPath: {path: /}}, {name: ok, emptyDir: {}}], "
	  "initContainers: "
	  "[" C("i", SC("allowPrivilegeEscalation: false, runAsNonRoot: true, "
			"seccompProfile: {type: RuntimeDefault}, "
			"capabilities: {drop: [ALL], add: [SYS_ADMIN]}")) "], containers: "
									  "[" C("a", FINE) "]}",
	  "unrestricted capabilities (container \"i\" must not include \"SYS_ADMIN\" in "
	  "securityContext.capabilities.add), restricted volume types (volume \"v\" uses "
	  "restricted volume type \"hostPath\")" },
	{ "restricted:latest",
	  "{securityContext: {runAsUser: 0, runAsNonRoot: false}, containers: [" C("a",
										   FINE) "]}",
	  "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), "
	  "runAsUser=0 (pod must not set runAsUser=0)" },
};

static struct pod_policy
policy(const char *text, struct arena *a)
{
	size_t n = strcspn(text, ":");
	struct pairs labels = { .at = arena_alloc(a, 2 * sizeof *labels.at) };

	labels.at[labels.n++] =
	    (struct pair){ "pod-security.kubernetes.io/enforce", arena_strndup(a, text, n) };
	labels.at[labels.n++] =
	    (struct pair){ "pod-security.kubernetes.io/enforce-version", text + n + 1 };
	return pod_policy_of(&labels, "enforce", a);
}

static void
every_check_says_what_kubernetes_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena a = { 0 };
		struct complaints c = { .arena = &a, .path = "x.yaml" };
		const char *text = arena_printf(&a, POD("%s"), cases[i].spec), *why;
		struct manifest *m = manifest_read("x.yaml", text, strlen(text), &a, &c);
		struct pod_policy p = policy(cases[i].level, &a);
		const struct pod *pod;

		if (c.errors || !m)
			fail_msg("case %zu: %s", i, c.first ? c.first->text : text);
		pod = (const struct pod *)m->obj;
		why = pod_security_why(&p, pod->metadata, pod->spec, false, &a);
		if (!why != !cases[i].why || (why && strcmp(why, cases[i].why)))
			fail_msg("case %zu: %s\nnot %s", i, why ? why : "fine",
				 cases[i].why ? cases[i].why : "fine");
		assert_string_equal(p.text, cases[i].level);
		arena_free(&a);
	}
}

static void
labels_that_cannot_be_read_enforce_the_most_and_are_refused(void **state)
{
	struct arena a = { 0 };
	struct complaints c = { .arena = &a, .path = "ns.yaml" };
	struct pod_policy p = policy("strict:vX", &a);
	static const char text[] =
	    "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n  labels: "
	    "{pod-security.kubernetes.io/enforce: strict, "
	    "pod-security.kubernetes.io/warn-version: '1.30'}\n";

	(void)state;
	assert_string_equal(p.text, "restricted:latest");
	manifest_read("ns.yaml", text, strlen(text), &a, &c);
	assert_int_equal(c.errors, 2);
	assert_non_null(strstr(c.first->text,
			       "\"strict\": must be one of privileged, baseline, "
			       "restricted"));
	assert_non_null(
	    strstr(c.first->next->text, "\"1.30\": must be \"latest\" or \"v1.x\""));
	arena_free(&a);
}

#define NS(level)                                                           \
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: tight, labels: " \
	"{pod-security.kubernetes.io/enforce: " level "}}\n---\n"
#define IN "metadata: {name: web, namespace: tight"

/* Plans the text as the whole of a source; its complaints, one a line. */
static const char *
apply(struct world *w, const char *yaml)
{
	struct arena *a = &w->arena;
	struct complaints c = { .arena = a, .path = "in.yaml" };
	struct manifest *at[16], *m = manifest_read("in.yaml", yaml, strlen(yaml), a, &c);
	struct wanted want = { .at = at, .source = "s", .prune_allowed = true };
	struct plan plan;
	struct buf out = { 0 };
	const char *text;

	plan_init(&plan, a);
	for (; m; m = m->next)
		at[want.n++] = m;
	apply_reconcile(world_snapshot(w), &want, &plan, &c);
	if (!c.errors)
		world_obey(w, &plan);
	for (struct complaint *p = c.first; p; p = p->next)
		buf_addf(&out, "%s\n", complaint_print(p, a));
	text = arena_strdup(a, buf_text(&out));
	buf_done(&out);
	return text;
}

static void
a_commit_is_refused_for_a_pod_and_warned_for_a_template(void **state)
{
	struct world w = { 0 };
	const char *said;

	(void)state;
	said = apply(&w, NS("restricted") "apiVersion: v1\nkind: Pod\n" IN
					  "}\nspec: {containers: [{name: c, image: i}]}\n");
	assert_non_null(strstr(said,
			       "in.yaml:5:1: pods \"web\" is forbidden: violates PodSecurity "
			       "\"restricted:latest\": allowPrivilegeEscalation != false "
			       "(container \"c\" must set"));
	said = apply(&w, NS("restricted") "apiVersion: apps/v1\nkind: Deployment\n" IN
					  "}\nspec:\n  selector: {matchLabels: {a: b}}\n  "
					  "template: {metadata: {labels: {a: b}}, spec: "
					  "{containers: [{name: c, image: i}]}}\n");
	assert_non_null(strstr(said,
			       "in.yaml:5:1: warning: would violate PodSecurity "
			       "\"restricted:latest\": allowPrivilegeEscalation != false"));
	arena_free(&w.arena);
}

static void
a_namespace_that_tightens_names_the_pods_that_do_not_keep_to_it(void **state)
{
	static const char pods[] =
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: tight}\nspec: "
	    "{hostNetwork: true, containers: [{name: c, image: i}]}\n---\n"
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: tight}\nspec: "
	    "{hostNetwork: true, containers: [{name: c, image: i}]}\n";
	struct world w = { 0 };
	struct arena a = { 0 };
	const char *said;

	(void)state;
	apply(&w, arena_printf(&a, "%s%s", NS("privileged"), pods));
	said = apply(&w, arena_printf(&a, "%s%s", NS("baseline"), pods));
	assert_non_null(strstr(said,
			       "warning: existing pods in namespace \"tight\" violate the new "
			       "PodSecurity enforce level \"baseline:latest\"\n"));
	assert_non_null(strstr(said, "warning: a (and 1 other pod): host namespaces\n"));
	arena_free(&a);
	arena_free(&w.arena);
}

static void
a_replica_set_says_once_why_its_pods_are_not_made(void **state)
{
	struct world w = { 0 };
	const struct replica_set *rs;
	int events = 0, pods = 0;
	const char *said = apply(
	    &w, NS("baseline") "apiVersion: apps/v1\nkind: ReplicaSet\n" IN
			       "}\nspec:\n  replicas: 2\n  selector: {matchLabels: {a: b}}\n  "
			       "template: {metadata: {labels: {a: b}}, spec: {hostPID: true, "
			       "containers: [{name: c, image: i}]}}\n");

	(void)state;
	assert_non_null(strstr(said, "would violate"));
	for (int pass = 0; pass < 3; pass++) {
		struct snapshot *s = world_snapshot(&w);
		struct plan p;

		plan_init(&p, &w.arena);
		rs = (const struct replica_set *)snapshot_find(s, RES_replica_set, "tight",
							       "web");
		replicaset_reconcile(s, rs, &p);
		for (size_t i = 0; i < p.n; i++) {
			events += p.at[i].verb == ACT_EVENT;
			pods += p.at[i].verb == ACT_CREATE;
			if (p.at[i].verb == ACT_EVENT)
				assert_non_null(strstr(
				    ((const struct event_args *)p.at[i].body)->message,
				    "is forbidden: violates PodSecurity \"baseline:latest\": "
				    "host namespaces (hostPID=true)"));
		}
		world_obey(&w, &p);
	}
	assert_int_equal(events, 1);
	assert_int_equal(pods, 0);
	arena_free(&w.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_check_says_what_kubernetes_says),
		cmocka_unit_test(labels_that_cannot_be_read_enforce_the_most_and_are_refused),
		cmocka_unit_test(a_commit_is_refused_for_a_pod_and_warned_for_a_template),
		cmocka_unit_test(
		    a_namespace_that_tightens_names_the_pods_that_do_not_keep_to_it),
		cmocka_unit_test(a_replica_set_says_once_why_its_pods_are_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

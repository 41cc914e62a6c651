/* t_trouble.c -- what is said of pods and services that do not work, and that nothing is said
 * of those that do. */
#include "base/arena.h"
#include "base/map.h"
#include "trouble.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define POD(ready, state)                                                                      \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, uid: u-web-1, labels: {app: " \
	"web}}\nspec: {containers: [{name: web, image: i, ports: [{name: http, "               \
	"containerPort: 8080}]}]}\n"                                                           \
	"status: {phase: Running, podIP: 10.42.0.2, conditions: [{type: Ready, status: "       \
	"'" ready                                                                              \
	"'}], containerStatuses: [{name: web, ready: false, restartCount: 0, image: i, "       \
	"imageID: i, state: " state "}]}\n"
#define PENDING(reason)                                                                   \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, uid: u-web-1}\nspec: "   \
	"{containers: [{name: web, image: j}]}\nstatus: {phase: Running, conditions: "    \
	"[{type: Ready, status: 'True'}, {type: kedge.dev/ImagePending, status: 'True', " \
	"reason: " reason ", message: 'container web goes on with image \"i\"'}]}\n"
#define RUNS                       "{running: {startedAt: '2026-01-01T00:00:10Z'}}"
#define WAITS                      "{waiting: {reason: CrashLoopBackOff, message: back-off 10s}}"
#define CREATED                    "{waiting: {reason: ContainerCreating}}"
#define STUCK                      "{waiting: {reason: ContainerCreating, message: MountVolume failed}}"
#define EVENT(name, last, message) EVENT_BY("kedge", name, last, message)
#define EVENT_BY(reporter, name, last, message)                                          \
	"---\napiVersion: v1\nkind: Event\nmetadata: {name: " name                       \
	"}\ninvolvedObject: {kind: "                                                     \
	"Pod, name: web-1, namespace: default, uid: u-web-1, fieldPath: "                \
	"'spec.containers{web}'}\nreason: Unhealthy\nmessage: '" message "'\ncount: 3\n" \
	"firstTimestamp: '2026-01-01T00:00:11Z'\nlastTimestamp: '" last                  \
	"'\nreportingComponent: " reporter "\n"
#define SERVICE(selector, target)                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: " \
	"{app: " selector "}, ports: [{port: 80, protocol: TCP, targetPort: " target "}]}\n"

#define SCALED_TO_NONE                                                                         \
	"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: " \
	"0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, "  \
	"spec: {containers: [{name: c, image: i}]}}}\n"

static void
pod_says(const char *yaml, bool count, const char *want)
{
	struct world w = { 0 };
	struct snapshot *s;
	const char *got;

	world_read(&w, yaml);
	s = world_snapshot(&w);
	got = trouble_of_pod(s, snapshot_find(s, RES_pod, "default", "web-1"), count, &w.arena);
	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
	arena_free(&w.arena);
}

static void
service_says(const char *yaml, const struct end_seen *at, size_t n, const char *want)
{
	struct world w = { 0 };
	struct snapshot *s;
	struct map ends = { 0 };
	const char *got;

	world_read(&w, yaml);
	s = world_snapshot(&w);
	trouble_ends(&ends, at, n);
	got = trouble_of_service(s, snapshot_find(s, RES_service, "default", "s"), &ends,
				 &w.arena);
	map_done(&ends);
	if (want)
		assert_string_equal(got ? got : "(nothing)", want);
	else
		assert_null(got);
	arena_free(&w.arena);
}

static void
a_ready_pod_says_why_its_new_image_does_not_come(void **state)
{
	(void)state;
	pod_says(PENDING("ErrImagePull"), true,
		 "ErrImagePull: container web goes on with image \"i\"");
	pod_says(PENDING("Pulling"), true, NULL);
}

static void
a_pod_that_is_not_ready_says_why(void **state)
{
	(void)state;
	pod_says(POD("True", RUNS), true, NULL);
	pod_says(POD("False", WAITS), true, "CrashLoopBackOff: back-off 10s");
	pod_says(
	    POD("False", WAITS ", lastState: {terminated: {reason: OOMKilled, exitCode: 137}}"),
	    true,
	    "CrashLoopBackOff: back-off 10s; its last run ended with OOMKilled, exit code "
	    "137");
	pod_says(POD("False", WAITS ", lastState: {terminated: {exitCode: 3, message: \"no "
				    "config\\nat all\\n\"}}"),
		 true,
		 "CrashLoopBackOff: back-off 10s; its last run ended with exit code 3: no "
		 "config");
	pod_says(POD("False", CREATED), true, NULL);
	pod_says(POD("False", STUCK), true, "ContainerCreating: MountVolume failed");
	pod_says(POD("False", RUNS), true, NULL); /* it has not been asked yet */
	pod_says(POD("False", RUNS)
		     EVENT("a", "2026-01-01T00:00:31Z", "Readiness probe failed: 500")
			 EVENT("b", "2026-01-01T00:00:21Z", "Readiness probe failed: refused"),
		 true, "Readiness probe failed: 500 (3 times in 20s)");
	pod_says(POD("False", RUNS)
		     EVENT("a", "2026-01-01T00:00:31Z", "Readiness probe failed: 500"),
		 false, "Readiness probe failed: 500");
	/* whoever may write Events may not make up what kedge's probes saw */
	pod_says(POD("False", RUNS)
		     EVENT_BY("me", "a", "2026-01-01T00:00:31Z", "Readiness probe failed: 500"),
		 true, NULL);
	/* of the run before this one */
	pod_says(POD("False", RUNS) EVENT("a", "2026-01-01T00:00:09Z", "Liveness probe failed"),
		 true, NULL);
	pod_says(POD("True", RUNS) EVENT("a", "2026-01-01T00:00:31Z", "Readiness probe failed"),
		 true, NULL);
}

#define FAILED(more)                                                                    \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, uid: u-web-1}\nspec: " \
	"{containers: [{name: web, image: i}]}\nstatus: {phase: Failed, conditions: "   \
	"[{type: Ready, status: 'False'}]" more "}\n"

static void
a_pod_that_failed_for_good_says_how(void **state)
{
	(void)state;
	pod_says(FAILED(", reason: Evicted, message: 'Usage of EmptyDir volume \"c\" exceeds'"),
		 true, "Evicted: Usage of EmptyDir volume \"c\" exceeds");
	pod_says(FAILED(", initContainerStatuses: [{name: first, image: i, imageID: i, ready: "
			"false, restartCount: 0, state: {terminated: {reason: Error, exitCode: "
			"7, message: \"no\\nnever\"}}}]"),
		 true, "init container first ended with Error, exit code 7: no");
	pod_says(
	    FAILED(", containerStatuses: [{name: a, image: i, imageID: i, ready: false, "
		   "restartCount: 0, state: {terminated: {reason: Completed, exitCode: "
		   "0}}}, {name: web, image: i, imageID: i, ready: false, restartCount: 0, "
		   "state: {terminated: {reason: OOMKilled, exitCode: 137}}}]"),
	    true, "container web ended with OOMKilled, exit code 137");
	pod_says(FAILED(""), true, "Failed");
}

static void
replicas_that_are_refused_say_why(void **state)
{
	struct condition c[] = { { .type = "Progressing", .status = "True" },
				 { .type = "ReplicaFailure",
				   .status = "True",
				   .reason = "FailedCreate",
				   .message = "pods \"w\" is forbidden" } };
	struct arena a = { 0 };

	(void)state;
	assert_null(trouble_of_replicas(c, 1, &a));
	assert_string_equal(trouble_of_replicas(c, 2, &a),
			    "FailedCreate: pods \"w\" is forbidden");
	c[1].status = "False";
	assert_null(trouble_of_replicas(c, 2, &a));
	arena_free(&a);
}

static void
a_service_that_leads_nowhere_says_where(void **state)
{
	static const struct end_seen seen = { .ip = "10.42.0.2" },
				     http = { .ip = "10.42.0.2", .port = 8080 },
				     own = { .ip = "10.42.0.2", .port = 9090, .local = true },
				     all[] = { seen, http, own };

	(void)state;
	service_says(POD("True", RUNS) SERVICE("web", "http"), all, 3, NULL);
	service_says(POD("True", RUNS) SERVICE("web", "8080"), all, 3, NULL);
	service_says(POD("True", RUNS) SERVICE("web", "8081"), all, 3,
		     "port 80: in pod web-1 nobody listens at port 8081");
	service_says(POD("True", RUNS) SERVICE("web", "9090"), all, 3,
		     "port 80: in pod web-1 who listens at port 9090 does so at 127.0.0.1 "
		     "alone, not for others");
	service_says(POD("True", RUNS) SERVICE("web", "htpp"), all, 3,
		     "port 80: no container of pod web-1 has a TCP port named \"htpp\" (it has "
		     "8080 (http))");
	service_says(POD("True", RUNS) SERVICE("wbe", "http"), all, 3,
		     "no pod has the labels that it selects by: app=wbe");
	/* a pod that is not ready has its own say, and of one that nobody saw nothing is known
	 */
	service_says(POD("False", RUNS) SERVICE("web", "8081"), all, 3, NULL);
	service_says(POD("True", RUNS) SERVICE("web", "8081"), NULL, 0, NULL);
	/* none just now, but somebody makes them */
	service_says(SCALED_TO_NONE SERVICE("web", "http"), all, 3, NULL);
}

#define INIT_POD                                                                              \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: web}}\nspec: " \
	"{initContainers: [{name: a, image: i, ports: [{name: first, containerPort: 1}]}, "   \
	"{name: b, image: i, restartPolicy: Always, ports: [{name: proxy, containerPort: "    \
	"8080}]}], containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIP: "      \
	"10.42.0.2, conditions: [{type: Ready, status: 'True'}]}\n"

static void
ports_of_init_containers_are_a_services_only_when_these_go_on(void **state)
{
	(void)state;
	service_says(INIT_POD SERVICE("web", "proxy"), NULL, 0, NULL);
	service_says(
	    INIT_POD SERVICE("web", "first"), NULL, 0,
	    "port 80: no container of pod web-1 has a TCP port named \"first\" (it has "
	    "8080 (proxy))");
}

#define BOTH_POD                                                                              \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: web}}\nspec: " \
	"{containers: [{name: web, image: i}]}\nstatus: {phase: Running, podIP: 10.42.0.2, "  \
	"podIPs: [{ip: 10.42.0.2}, {ip: 'fd42::a2a:2'}], conditions: [{type: Ready, status: " \
	"'True'}]}\n"
#define OF(families)                                                                   \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ipFamilies: " \
	"[" families                                                                   \
	"], selector: {app: web}, ports: [{port: 80, protocol: TCP, targetPort: 8080}]}\n"

static void
each_family_of_a_service_is_asked_about(void **state)
{
	static const struct end_seen four[] = { { .ip = "10.42.0.2" },
						{ .ip = "10.42.0.2", .port = 8080 },
						{ .ip = "fd42::a2a:2" } },
				     six[] = { { .ip = "10.42.0.2" },
					       { .ip = "fd42::a2a:2" },
					       { .ip = "fd42::a2a:2", .port = 8080 } },
				     own[] = { { .ip = "10.42.0.2" },
					       { .ip = "10.42.0.2", .port = 8080 },
					       { .ip = "fd42::a2a:2" },
					       { .ip = "fd42::a2a:2",
						 .port = 8080,
						 .local = true } };
	static const char no_six[] =
	    "port 80: in pod web-1 nobody listens at port 8080 of IPv6";

	(void)state;
	service_says(BOTH_POD OF("IPv4"), four, 3, NULL);
	service_says(BOTH_POD OF("IPv6"), four, 3, no_six);
	service_says(BOTH_POD OF("IPv4, IPv6"), four, 3, no_six);
	service_says(BOTH_POD OF("IPv6, IPv4"), six, 3,
		     "port 80: in pod web-1 nobody listens at port 8080");
	service_says(BOTH_POD OF("IPv6"), six, 3, NULL);
	service_says(BOTH_POD OF("IPv4, IPv6"), own, 4,
		     "port 80: in pod web-1 who listens at port 8080 of IPv6 does so at ::1 "
		     "alone, not for others");
	/* nobody looked at that address */
	service_says(BOTH_POD OF("IPv4, IPv6"), four, 2, NULL);
}

static void
way_says(const char *yaml, const char *ip, const char *protocol, int64_t port, const char *want)
{
	struct world w = { 0 };
	const char *got;

	world_read(&w, yaml);
	got = trouble_of_way(world_snapshot(&w), ip, protocol, port, &w.arena);
	assert_string_equal(got ? got : "(nothing)", want ? want : "(nothing)");
	arena_free(&w.arena);
}

#define MET                                                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: LoadBalancer, " \
	"clusterIP: 10.43.0.7, externalIPs: [192.0.2.9], selector: {app: web}, ports: "        \
	"[{port: 80, nodePort: 30080, protocol: TCP}]}\nstatus: {loadBalancer: {ingress: "     \
	"[{ip: "                                                                               \
	"192.0.2.50}]}}\n"

static void
a_way_that_ends_at_once_says_why(void **state)
{
	static const char *const doors[] = { "10.43.0.7", "192.0.2.9", "192.0.2.50" };

	(void)state;
	for (int i = 0; i < 3; i++)
		way_says(MET, doors[i], "TCP", 80,
			 "no pod has the labels that it selects by: app=web");
	way_says(MET, "198.51.100.1", "TCP", 30080,
		 "no pod has the labels that it selects by: app=web");
	way_says(MET, "10.43.0.7", "TCP", 81, NULL);
	way_says(MET, "10.43.0.7", "UDP", 80, NULL);
	way_says(MET, "10.43.0.8", "TCP", 80, NULL);
	way_says(POD("True", RUNS) MET, "10.43.0.7", "TCP", 80, NULL);
	way_says(POD("False", WAITS) MET, "10.43.0.7", "TCP", 80,
		 "its one pod is not ready; pod web-1: CrashLoopBackOff: back-off 10s");
	way_says(POD("False", RUNS) MET, "10.43.0.7", "TCP", 80, "its one pod is not ready");
	way_says(SCALED_TO_NONE MET, "10.43.0.7", "TCP", 80,
		 "no pod has the labels that it selects by just now: app=web");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ready_pod_says_why_its_new_image_does_not_come),
		cmocka_unit_test(a_pod_that_is_not_ready_says_why),
		cmocka_unit_test(a_pod_that_failed_for_good_says_how),
		cmocka_unit_test(replicas_that_are_refused_say_why),
		cmocka_unit_test(a_service_that_leads_nowhere_says_where),
		cmocka_unit_test(ports_of_init_containers_are_a_services_only_when_these_go_on),
		cmocka_unit_test(each_family_of_a_service_is_asked_about),
		cmocka_unit_test(a_way_that_ends_at_once_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

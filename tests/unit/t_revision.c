/* t_revision.c -- when a revision is healthy, failed or superseded; the node's object. */
#include "../../reconcile/base/text.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define META(name)                                                                     \
	"metadata: {name: " name ", labels: {kedge.dev/source: main}, generation: 2, " \
	"annotations: {kedge.dev/last-applied-configuration: '{}'}}\n"
#define REV(n, outcome)                                                            \
	"apiVersion: kedge.dev/v1\nkind: Revision\nmetadata: {name: main-" n "}\n" \
	"spec: {source: main, number: " n "}\n"                                    \
	"status: {outcome: " outcome ", startTime: '2027-01-15T07:59:57.000000Z'}\n---\n"
#define WEB(status)                                                                           \
	"apiVersion: apps/v1\nkind: Deployment\n" META(                                       \
	    "web") "spec:\n  replicas: 3\n  selector: {matchLabels: {app: web}}\n  "          \
		   "template:\n"                                                              \
		   "    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, " \
		   "image: w}]}\n"                                                            \
		   "status: {" status "}\n---\n"
#define WEB_X(status)                                                              \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: web-x, labels: {app: web}}\n" \
	"spec: {containers: [{name: web, image: w}]}\n"                            \
	"status: {phase: Pending, " status "}\n"
#define GOOD "observedGeneration: 2, replicas: 3, updatedReplicas: 3, availableReplicas: 3"

struct bench {
	struct world w;
	struct plan plan;
	struct buf out;
};

/* The plan for revision `name`, printed. */
static const char *
judge(struct bench *b, const char *name)
{
	struct snapshot *s = world_snapshot(&b->w);

	plan_init(&b->plan, &b->w.arena);
	revision_reconcile(s, snapshot_find(s, RES_revision, "", name), &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static void
check(const char *yaml, const char *plan)
{
	struct bench b = { 0 };

	world_read(&b.w, yaml);
	assert_string_equal(judge(&b, "main-1"), plan);
	world_obey(&b.w, &b.plan);
	assert_string_equal(judge(&b, "main-1"), "");
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
a_revision_is_healthy_when_all_its_workloads_are_available(void **state)
{
	struct bench b = { 0 };
	const struct revision *r;

	(void)state;
	world_read(&b.w, REV("1", "Applying") WEB(GOOD));
	assert_string_equal(judge(&b, "main-1"), ". status revision main-1  # Healthy\n");
	r = b.plan.at[0].body;
	assert_int_equal(r->status->durationMs, 3000);
	assert_int_equal(r->status->endTime, b.w.s.now);
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
what_could_not_be_made_yet_is_waited_for_but_not_for_ever(void **state)
{
	static const struct source_wait waits[] = {
		{ "other", "pod x: the old one is still terminating" },
		{ "main", "namespace shop: the old one is still terminating" },
	};
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, REV("1", "Applying") WEB(GOOD));
	b.w.s.waits = waits;
	b.w.s.nwaits = 1;
	assert_string_equal(judge(&b, "main-1"), ". status revision main-1  # Healthy\n");
	b.w.s.nwaits = 2;
	assert_string_equal(judge(&b, "main-1"),
			    ". status revision main-1  # Applying, waiting for namespace shop: "
			    "the old one is still terminating\n");
	b.w.s.now += 600 * 1000;
	assert_string_equal(judge(&b, "main-1"),
			    ". status revision main-1  # waited 10 minutes for namespace shop: "
			    "the old one is still terminating\n");
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

#define REPLICA_SET                                                                           \
	"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-1, uid: rs, "            \
	"ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: web-uid, " \
	"controller: true}]}\nspec: {replicas: 0, selector: {matchLabels: {app: web}}, "      \
	"template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "  \
	"w}]}}}\n---\n"
#define LEAVING(name, owner)                                                                 \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", uid: " name                   \
	", labels: {app: web}, deletionTimestamp: '2027-01-15T08:00:20Z', ownerReferences: " \
	"[{apiVersion: apps/v1, kind: ReplicaSet, name: " owner                              \
	", uid: rs, controller: true}]}\nspec: {containers: [{name: web, image: w}]}\n---\n"

static void
it_is_not_healthy_before_the_last_old_pod_is_gone(void **state)
{
	(void)state;
	check(REV("1", "Applying") WEB(GOOD) REPLICA_SET LEAVING("web-1-a", "web-1"),
	      ". status revision main-1  # Applying, waiting for old pod web-1-a to be gone\n");
	check(REV("1", "Applying") WEB(GOOD) REPLICA_SET LEAVING("web-1-a", "web-1")
		  LEAVING("web-1-b", "web-1"),
	      ". status revision main-1  # Applying, waiting for 2 old pods to be gone "
	      "(web-1-a ...)\n");
}

static void
it_waits_for_the_pods_of_what_it_pruned(void **state)
{
	(void)state;
	check(
	    REV("1", "Applying") WEB(GOOD) LEAVING("gone-1-a", "gone-1"),
	    ". status revision main-1  # Applying, waiting for old pod gone-1-a to be gone\n");
}

static void
it_names_what_is_waited_for(void **state)
{
	(void)state;
	check(
	    REV("1", "Applying") WEB("observedGeneration: 2, replicas: 3, updatedReplicas: 3, "
				     "availableReplicas: 2"),
	    ". status revision main-1  # Applying, waiting for deployment default/web: 2 of 3 "
	    "updated replicas are available\n");
	check(REV("1", "Applying")
		  WEB("observedGeneration: 2, replicas: 4, updatedReplicas: 3, "
		      "availableReplicas: 4"),
	      ". status revision main-1  # Applying, waiting for deployment default/web: 1 old "
	      "replicas are pending termination\n");
	check(
	    REV("1", "Applying") WEB("observedGeneration: 1, replicas: 3, updatedReplicas: 3, "
				     "availableReplicas: 3"),
	    ". status revision main-1  # Applying, waiting for deployment default/web: its new "
	    "spec is not yet observed\n");
}

static void
a_pod_that_cannot_start_is_named_with_its_reason(void **state)
{
	(void)state;
	check(REV("1", "Applying") WEB("observedGeneration: 2, replicas: 1, updatedReplicas: 1")
		  WEB_X("containerStatuses: [{name: web, state: {waiting: {reason: "
			"ImagePullBackOff, message: no such image}}}]"),
	      ". status revision main-1  # Applying, waiting for deployment default/web: 1 of "
	      "3 new replicas have been updated (web-x: ImagePullBackOff: no such image)\n");
}

static void
a_pod_that_cannot_be_placed_is_named_with_its_reason(void **state)
{
	(void)state;
	check(REV("1", "Applying") WEB("observedGeneration: 2, replicas: 1, updatedReplicas: 1")
		  WEB_X("conditions: [{type: PodScheduled, status: 'False', reason: "
			"Unschedulable, message: persistentvolumeclaim \"data\" not found}]"),
	      ". status revision main-1  # Applying, waiting for deployment default/web: 1 of "
	      "3 new replicas have been updated (web-x: Unschedulable: persistentvolumeclaim "
	      "\"data\" not found)\n");
}

static void
a_deployment_past_its_deadline_fails_the_revision_until_it_recovers(void **state)
{
	struct bench b = { 0 };
	const struct revision *r;

	(void)state;
	world_read(&b.w, REV("1", "Applying")
			     WEB("observedGeneration: 2, replicas: 3, conditions: [{type: "
				 "Progressing, status: 'False', reason: "
				 "ProgressDeadlineExceeded}]"));
	assert_string_equal(judge(&b, "main-1"),
			    ". status revision main-1  # deployment default/web "
			    "exceeded its progress deadline\n");
	r = b.plan.at[0].body;
	assert_string_equal(r->status->outcome, "Failed");
	assert_string_equal(r->status->errors.at[0],
			    "deployment default/web exceeded its progress deadline");
	world_obey(&b.w, &b.plan);
	assert_string_equal(judge(&b, "main-1"), "");
	world_read(&b.w, WEB(GOOD));
	assert_string_equal(judge(&b, "main-1"), ". status revision main-1  # Healthy\n");
	r = b.plan.at[0].body;
	assert_int_equal(r->status->errors.n, 0);
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
a_deployment_whose_pods_are_refused_says_why(void **state)
{
	(void)state;
	check(
	    REV("1", "Applying")
		WEB("observedGeneration: 2, conditions: [{type: ReplicaFailure, status: "
		    "'True', reason: FailedCreate, message: 'pods \"w\" is forbidden'}]"),
	    ". status revision main-1  # Applying, waiting for deployment default/web: 0 of 3 "
	    "new replicas have been updated (FailedCreate: pods \"w\" is forbidden)\n");
}

static void
a_failed_pod_fails_the_revision_and_a_finished_one_does_not(void **state)
{
#define POD(phase)                                                                             \
	"apiVersion: v1\nkind: Pod\n" META(                                                    \
	    "job") "spec: {restartPolicy: Never, containers: [{name: c, image: i}]}\nstatus: " \
		   "{phase: " phase "}\n"
	(void)state;
	check(REV("1", "Applying") POD("Failed"),
	      ". status revision main-1  # pod default/job failed\n");
	check(REV("1", "Applying") POD(
		  "Failed, containerStatuses: [{name: c, image: i, imageID: i, ready: false, "
		  "restartCount: 0, state: {terminated: {reason: Error, exitCode: 3}}}]"),
	      ". status revision main-1  # pod default/job failed: container c ended with "
	      "Error, exit code 3\n");
	check(REV("1", "Applying") POD("Succeeded"), ". status revision main-1  # Healthy\n");
	check(
	    REV("1", "Applying") POD("Running"),
	    ". status revision main-1  # Applying, waiting for pod default/job to be ready\n");
}

/* Which no deadline of its own ends. */
static void
a_pod_that_never_gets_ready_fails_the_revision_until_it_does(void **state)
{
#define ONCE(phase)                         \
	"apiVersion: v1\nkind: Pod\n" META( \
	    "once") "spec: {containers: [{name: c, image: w}]}\nstatus: {phase: " phase "}\n"
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, REV("1", "Applying") ONCE("Running"));
	assert_string_equal(judge(&b, "main-1"),
			    ". status revision main-1  # Applying, waiting for "
			    "pod default/once to be ready\n");
	world_obey(&b.w, &b.plan);
	assert_int_equal(b.plan.again_at, b.w.s.now + 597 * 1000);
	b.w.s.now = b.plan.again_at;
	assert_string_equal(judge(&b, "main-1"),
			    ". status revision main-1  # waited 10 minutes for "
			    "pod default/once to be ready\n");
	assert_string_equal(((const struct revision *)b.plan.at[0].body)->status->outcome,
			    "Failed");
	world_obey(&b.w, &b.plan);
	assert_string_equal(judge(&b, "main-1"), "");
	world_read(&b.w, ONCE("Succeeded"));
	assert_string_equal(judge(&b, "main-1"), ". status revision main-1  # Healthy\n");
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
a_newer_revision_supersedes_unless_its_files_were_wrong(void **state)
{
	(void)state;
	check(REV("1", "Applying") REV("2", "Applying") WEB("observedGeneration: 1"),
	      ". status revision main-1  # Superseded\n");
	check(REV("1", "Applying") REV("2", "Failed") WEB(GOOD),
	      ". status revision main-1  # Healthy\n");
}

static void
a_revision_whose_files_were_wrong_is_left_alone(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, REV("1", "Failed") WEB(GOOD));
	assert_string_equal(judge(&b, "main-1"), "");
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

static void
a_service_waits_for_its_address_and_port(void **state)
{
#define SVC(spec) \
	"apiVersion: v1\nkind: Service\n" META("web") "spec: {ports: [{port: 80" spec "}\n"
	(void)state;
	check(REV("1", "Applying") SVC("}]"), ". status revision main-1  # Applying, waiting "
					      "for service default/web: a cluster IP\n");
	check(REV("1", "Applying") SVC("}], type: NodePort, clusterIP: 10.43.0.5"),
	      ". status revision main-1  # Applying, waiting for service default/web: a node "
	      "port\n");
	check(REV("1", "Applying")
		  SVC(", nodePort: 30080}], type: NodePort, clusterIP: 10.43.0.5"),
	      ". status revision main-1  # Healthy\n");
}

/* Trees are told by their names here. */
static bool
same_tree(void *ctx, const struct revision *one, const struct revision *other)
{
	(void)ctx;
	return str_is(one->spec->tree, other->spec->tree);
}

#define TREE(source, n, tree, outcome)                                             \
	"apiVersion: kedge.dev/v1\nkind: Revision\nmetadata: {name: " source "-" n \
	"}\nspec: {source: " source ", number: " n ", tree: " tree                 \
	"}\nstatus: {outcome: " outcome "}\n---\n"

static int64_t
before(const char *yaml)
{
	struct bench b = { 0 };
	struct objects all;
	const struct revision *r;
	int64_t number;

	world_read(&b.w, yaml);
	all = world_snapshot(&b.w)->of[RES_revision];
	r = revision_before(&all, "main", same_tree, NULL);
	number = r ? r->spec->number : 0;
	arena_free(&b.w.arena);
	return number;
}

static void
back_is_the_last_healthy_revision_that_is_another(void **state)
{
	(void)state;
	assert_int_equal(before(TREE("main", "1", "a", "Healthy")), 0);
	assert_int_equal(
	    before(TREE("main", "1", "a", "Healthy") TREE("main", "2", "b", "Healthy")), 1);
	/* what never worked is passed over */
	assert_int_equal(
	    before(TREE("main", "9", "a", "Healthy") TREE("main", "10", "b", "Superseded")
		       TREE("main", "11", "c", "Failed") TREE("main", "12", "d", "Applying")),
	    9);
	assert_int_equal(
	    before(TREE("main", "1", "b", "Superseded") TREE("main", "2", "c", "Healthy")), 0);
	/* after a rollback to 1: where we are is not gone back to */
	assert_int_equal(before(TREE("main", "1", "a", "Healthy") TREE(
			     "main", "2", "x", "Superseded") TREE("main", "3", "a", "Healthy")),
			 0);
	/* what was refused changed nothing: what runs is where to go */
	assert_int_equal(before(TREE("main", "1", "a", "Healthy") TREE(
			     "main", "2", "b", "Healthy") TREE("main", "3", "c", "Failed")),
			 2);
	/* another source's do not count */
	assert_int_equal(
	    before(TREE("main", "1", "a", "Healthy") TREE("other", "7", "z", "Healthy")), 0);
}

static void
the_node_is_written_once_and_again_when_a_fact_changes(void **state)
{
	struct bench b = { 0 };
	struct snapshot *s;
	struct host_seen host = { .hostname = "h",
				  .machineID = "m",
				  .bootID = "b",
				  .osImage = "Debian",
				  .kernel = "6.1",
				  .arch = "x86_64",
				  .cpuMilli = 2000,
				  .memory = INT64_C(4) << 30,
				  .disk = 1 << 20,
				  .pods = 110 };
	const char *lacks[] = { "no memory limits: the memory controller is missing" };
	const struct node *n;

	(void)state;
	s = world_snapshot(&b.w);
	s->host = &host;
	plan_init(&b.plan, &b.w.arena);
	node_ensure(s, &b.plan);
	assert_int_equal(b.plan.n, 1);
	assert_int_equal(b.plan.at[0].verb, ACT_CREATE);
	n = b.plan.at[0].body;
	assert_string_equal(object_label(n, "kubernetes.io/arch"), "amd64");
	assert_string_equal(pairs_get(&n->status->capacity, "cpu"), "2");
	assert_string_equal(pairs_get(&n->status->capacity, "memory"), "4194304Ki");
	assert_string_equal(pairs_get(&n->status->capacity, "ephemeral-storage"), "1024Ki");
	assert_string_equal(pairs_get(&n->status->allocatable, "ephemeral-storage"), "943713");
	assert_string_equal(n->status->addresses.at[0].address, "192.0.2.1");
	world_obey(&b.w, &b.plan);
	for (int round = 0; round < 2; round++) {
		b.w.s.now += 600000;
		s = world_snapshot(&b.w);
		n = snapshot_find(s, RES_node, "", "node");
		plan_init(&b.plan, &b.w.arena);
		node_reconcile(s, n, &b.plan);
		if (round == 0) {
			assert_int_equal(b.plan.n, 0);
			host.lacks = (struct strs){ .at = lacks, .n = 1 };
		} else {
			assert_int_equal(b.plan.n, 1);
			assert_int_equal(b.plan.at[0].verb, ACT_STATUS);
			n = b.plan.at[0].body;
			assert_string_equal(n->status->conditions.at[4].message, lacks[0]);
		}
	}
	buf_done(&b.out);
	arena_free(&b.w.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_revision_is_healthy_when_all_its_workloads_are_available),
		cmocka_unit_test(what_could_not_be_made_yet_is_waited_for_but_not_for_ever),
		cmocka_unit_test(it_is_not_healthy_before_the_last_old_pod_is_gone),
		cmocka_unit_test(it_waits_for_the_pods_of_what_it_pruned),
		cmocka_unit_test(it_names_what_is_waited_for),
		cmocka_unit_test(a_pod_that_cannot_start_is_named_with_its_reason),
		cmocka_unit_test(a_pod_that_cannot_be_placed_is_named_with_its_reason),
		cmocka_unit_test(
		    a_deployment_past_its_deadline_fails_the_revision_until_it_recovers),
		cmocka_unit_test(a_deployment_whose_pods_are_refused_says_why),
		cmocka_unit_test(a_failed_pod_fails_the_revision_and_a_finished_one_does_not),
		cmocka_unit_test(a_pod_that_never_gets_ready_fails_the_revision_until_it_does),
		cmocka_unit_test(a_newer_revision_supersedes_unless_its_files_were_wrong),
		cmocka_unit_test(a_revision_whose_files_were_wrong_is_left_alone),
		cmocka_unit_test(a_service_waits_for_its_address_and_port),
		cmocka_unit_test(back_is_the_last_healthy_revision_that_is_another),
		cmocka_unit_test(the_node_is_written_once_and_again_when_a_fact_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

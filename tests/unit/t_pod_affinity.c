/* t_pod_affinity.c -- where a pod may be, as far as other pods decide. */
#include "pod_kit.h"

#define REQUIRED(kind, terms)                                                                  \
	", affinity: {" kind ": {requiredDuringSchedulingIgnoredDuringExecution: [" terms "]}" \
	"}"
#define NEAR(terms)  REQUIRED("podAffinity", terms)
#define APART(terms) REQUIRED("podAntiAffinity", terms)
#define HOST         "topologyKey: kubernetes.io/hostname"
#define ZONE         "topologyKey: zone"
#define OF(labels)   "labelSelector: {matchLabels: {" labels "}}"

static const char not_near[] = "node(s) didn't match pod affinity rules";
static const char not_apart[] = "node(s) didn't match pod anti-affinity rules";
static const char kept_off[] = "node(s) didn't satisfy existing pods anti-affinity rules";
static const char uneven[] = "node(s) didn't match pod topology spread constraints";
static const char no_label[] =
    "node(s) didn't match pod topology spread constraints (missing required label)";

static void
pod_in(struct kit *k, const char *ns, const char *name, const char *labels, const char *spec)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: "
		  "{%s}}\nspec: {containers: [{name: c, image: 'web:1'}]%s}\n",
		  name, ns, labels, spec);
	kit_read(k, text);
	free(text);
}

static void
node_in(struct kit *k, const char *name, const char *labels)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: "
		  "{kubernetes.io/hostname: %s%s}}\n",
		  name, name, labels);
	kit_read(k, text);
	free(text);
}

static const struct pod *
placed(struct kit *k, const char *ns, const char *name)
{
	struct snapshot *s = kit_snapshot(k);
	const void *pod = snapshot_find(s, RES_pod, ns, name);

	assert_non_null(pod);
	pod_reconcile(s, pod, &k->plan);
	kit_carry_all(k);
	return snapshot_find(kit_snapshot(k), RES_pod, ns, name);
}

/* Where `name` went, or, of a host of one node, why it did not. */
static void
goes(struct kit *k, const char *name, const char *node, const char *why)
{
	const struct pod *pod = placed(k, "default", name);
	const struct condition *c = &pod->status->conditions.at[0];
	char *text;

	assert_string_equal(c->type, "PodScheduled");
	if (node) {
		if (c->message)
			fail_msg("%s: %s", name, c->message);
		assert_string_equal(pod->spec->nodeName, node);
		return;
	}
	if (!c->reason)
		fail_msg("%s is on %s", name, pod->spec->nodeName);
	assert_string_equal(c->reason, "Unschedulable");
	xasprintf(&text, "0/1 nodes are available: 1 %s.", why);
	assert_string_equal(c->message, text);
	free(text);
}

static void
a_pod_waits_until_the_one_it_wants_to_be_near_is_there(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "web", "app: web", NEAR("{" OF("app: db") ", " HOST "}"));
	goes(k, "web", NULL, not_near);
	pod_in(k, "default", "db", "app: db", "");
	goes(k, "web", NULL, not_near); /* it has no place yet itself */
	goes(k, "db", "node", NULL);
	goes(k, "web", "node", NULL);
}

/* All terms have to be met by one pod, not by several together. */
static void
one_pod_has_to_be_what_all_terms_ask_for(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "db", "app: db", "");
	pod_in(k, "default", "fast", "disk: ssd", "");
	placed(k, "default", "db");
	placed(k, "default", "fast");
	pod_in(k, "default", "web", "app: web",
	       NEAR("{" OF("app: db") ", " HOST "}, {" OF("disk: ssd") ", " HOST "}"));
	goes(k, "web", NULL, not_near);
	pod_in(k, "default", "both", "app: db, disk: ssd", "");
	placed(k, "default", "both");
	goes(k, "web", "node", NULL);
}

static void
the_first_of_a_group_that_wants_to_be_together_may_go_anywhere(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "a", "app: web", NEAR("{" OF("app: web") ", " HOST "}"));
	goes(k, "a", "node", NULL);
	pod_in(k, "default", "b", "app: web", NEAR("{" OF("app: web") ", " ZONE "}"));
	goes(k, "b", NULL, not_near); /* but not where the label is missing */
}

static void
of_replicas_that_want_to_be_apart_one_host_takes_one(void **state)
{
	static const char spec[] = APART("{" OF("app: web") ", " HOST "}");
	struct kit *k = *state;
	struct snapshot *s;

	pod_in(k, "default", "a", "app: web", spec);
	pod_in(k, "default", "b", "app: web", spec);
	s = kit_snapshot(k); /* both in one pass */
	pod_reconcile(s, kit_find(k, RES_pod, "a"), &k->plan);
	pod_reconcile(s, kit_find(k, RES_pod, "b"), &k->plan);
	kit_carry_all(k);
	assert_string_equal(((const struct pod *)kit_find(k, RES_pod, "a"))->spec->nodeName,
			    "node");
	goes(k, "b", NULL, not_apart);
	kit_drop(k, RES_pod, "default", "a");
	goes(k, "b", "node", NULL);
}

/* It holds both ways: who is there already said whom it will not have beside it. */
static void
a_pod_that_is_there_keeps_others_off(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "alone", "app: alone", APART("{" OF("app: web") ", " HOST "}"));
	placed(k, "default", "alone");
	pod_in(k, "default", "web", "app: web", "");
	goes(k, "web", NULL, kept_off);
	pod_in(k, "default", "other", "app: other", "");
	goes(k, "other", "node", NULL);
}

static void
without_its_label_a_node_is_in_no_domain_to_keep_clear(void **state)
{
	struct kit *k = *state;

	for (const char *name = "a"; name; name = *name == 'a' ? "b" : NULL) {
		pod_in(k, "default", name, "app: web", APART("{" OF("app: web") ", " ZONE "}"));
		goes(k, name, "node", NULL);
	}
}

static void
a_pod_that_ended_is_nobody_s_neighbour(void **state)
{
	struct kit *k = *state;
	struct pod *done;

	pod_in(k, "default", "a", "app: web", "");
	done = object_clone(placed(k, "default", "a"), &k->arena);
	done->status->phase = "Succeeded";
	kit_update(k, done);
	pod_in(k, "default", "b", "app: web", APART("{" OF("app: web") ", " HOST "}"));
	goes(k, "b", "node", NULL);
}

static void
what_is_only_preferred_keeps_no_pod_waiting(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "a", "app: web", "");
	placed(k, "default", "a");
	pod_in(k, "default", "b", "app: web",
	       ", affinity: {podAntiAffinity: "
	       "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, "
	       "podAffinityTerm: {" OF(
		   "app: web") ", " HOST "}}]}}, "
			       "topologySpreadConstraints: [{maxSkew: 1, " ZONE ", "
			       "whenUnsatisfiable: ScheduleAnyway, " OF("app: web") "}]");
	goes(k, "b", "node", NULL);
}

/* Whom a term speaks of: every row is that of a pod (app: it, rev: a, tier: t) that must be
 * apart from db-1 (app: db, rev: b, tier: t) in the namespace `data` (team: x). */
static void
a_term_speaks_of_its_own_namespace_unless_it_names_others(void **state)
{
	static const struct {
		const char *term;
		bool picks;
	} rows[] = {
		{ OF("app: db"), false },
		{ OF("app: db") ", namespaces: [data]", true },
		{ OF("app: db") ", namespaces: [other]", false },
		{ OF("app: db") ", namespaceSelector: {}", true },
		{ OF("app: db") ", namespaceSelector: {matchLabels: {team: x}}", true },
		{ OF("app: db") ", namespaceSelector: {matchLabels: {team: z}}", false },
		{ OF("app: db") ", namespaces: [data], namespaceSelector: {matchLabels: "
				"{team: z}}",
		  true },
		{ "namespaces: [data], labelSelector: {}", true },
		{ "namespaces: [data]", false },
		{ "namespaces: [data], labelSelector: {matchExpressions: [{key: app, operator: "
		  "NotIn, values: [db]}]}",
		  false },
		{ "namespaces: [data], labelSelector: {}, matchLabelKeys: [rev]", false },
		{ "namespaces: [data], labelSelector: {}, matchLabelKeys: [none]", true },
		{ "namespaces: [data], labelSelector: {}, mismatchLabelKeys: [rev]", true },
		{ "namespaces: [data], labelSelector: {}, mismatchLabelKeys: [tier]", false },
	};
	struct kit *k = *state;

	kit_read(k, "apiVersion: v1\nkind: Namespace\nmetadata: {name: data, labels: {team: "
		    "x}}\n");
	pod_in(k, "data", "db-1", "app: db, rev: b, tier: t", "");
	placed(k, "data", "db-1");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *spec, name[16];

		snprintf(name, sizeof name, "row-%zu", i);
		xasprintf(&spec, REQUIRED("podAntiAffinity", "{%s, " HOST "}"), rows[i].term);
		pod_in(k, "default", name, "app: it, rev: a, tier: t", spec);
		free(spec);
		goes(k, name, rows[i].picks ? NULL : "node", not_apart);
		kit_drop(k, RES_pod, "default", name);
	}
}

/* A pod that wants another as its neighbour goes to the node, or the zone, that has it. */
static void
of_several_nodes_the_one_in_the_right_domain_is_taken(void **state)
{
	struct kit *k = *state;

	kit_drop(k, RES_node, "", "node");
	node_in(k, "n1", ", zone: east");
	node_in(k, "n2", ", zone: west");
	node_in(k, "n3", ", zone: west");
	pod_in(k, "default", "db", "app: db", ", nodeSelector: {kubernetes.io/hostname: n2}");
	goes(k, "db", "n2", NULL);
	pod_in(k, "default", "here", "app: x", NEAR("{" OF("app: db") ", " HOST "}"));
	goes(k, "here", "n2", NULL);
	pod_in(k, "default", "zone", "app: x", NEAR("{" OF("app: db") ", " ZONE "}"));
	goes(k, "zone", "n3", NULL);
	pod_in(k, "default", "away", "app: x", APART("{" OF("app: db") ", " ZONE "}"));
	goes(k, "away", "n1", NULL);
}

/* ---- topologySpreadConstraints ---- */

#define SPREAD(skew, key, more)                                                    \
	", topologySpreadConstraints: [{maxSkew: " skew ", topologyKey: " key ", " \
	"whenUnsatisfiable: DoNotSchedule, " OF("app: web") more "}]"

static void
pods_spread_over_what_nodes_there_are(void **state)
{
	static const char spec[] = SPREAD("1", "kubernetes.io/hostname", "");
	struct kit *k = *state;

	for (const char *name = "abc"; *name; name++) { /* one host is even with itself */
		char one[2] = { *name };

		pod_in(k, "default", one, "app: web", spec);
		goes(k, one, "node", NULL);
	}
	pod_in(k, "default", "z", "app: web", SPREAD("1", "zone", ""));
	goes(k, "z", NULL, no_label);
	pod_in(k, "default", "p", "app: web",
	       SPREAD("3", "kubernetes.io/hostname", ", minDomains: 2"));
	goes(k, "p", NULL, uneven); /* three are here, none in the second domain */
	pod_in(k, "default", "q", "app: web",
	       SPREAD("4", "kubernetes.io/hostname", ", minDomains: 2"));
	goes(k, "q", "node", NULL);
}

static void
the_emptiest_domain_decides(void **state)
{
	static const char spec[] = SPREAD("1", "zone", "");
	struct kit *k = *state;

	kit_drop(k, RES_node, "", "node");
	node_in(k, "n1", ", zone: east");
	node_in(k, "n2", ", zone: east");
	node_in(k, "n3", ", zone: west");
	pod_in(k, "default", "a", "app: web", spec);
	goes(k, "a", "n1", NULL);
	pod_in(k, "default", "b", "app: web", spec);
	goes(k, "b", "n3", NULL); /* n2 is emptier than n1, but its zone is not */
	pod_in(k, "default", "c", "app: web", spec);
	goes(k, "c", "n2", NULL);
	/* by default a node that the pod cannot be on is none that has to be filled */
	pod_in(k, "default", "d", "app: web",
	       SPREAD("1", "zone", "") ", nodeSelector: {zone: east}");
	goes(k, "d", "n1", NULL);
}

static void
a_claim_on_devices_is_never_met(void **state)
{
	struct kit *k = *state;

	pod_in(k, "default", "gpu", "app: web",
	       ", resourceClaims: [{name: gpu, resourceClaimName: one}]");
	assert_string_equal(placed(k, "default", "gpu")->status->conditions.at[0].message,
			    "0/1 nodes are available: kedge has no ResourceClaims, which "
			    "spec.resourceClaims[gpu] asks for.");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pod_waits_until_the_one_it_wants_to_be_near_is_there),
		T(one_pod_has_to_be_what_all_terms_ask_for),
		T(the_first_of_a_group_that_wants_to_be_together_may_go_anywhere),
		T(of_replicas_that_want_to_be_apart_one_host_takes_one),
		T(a_pod_that_is_there_keeps_others_off),
		T(without_its_label_a_node_is_in_no_domain_to_keep_clear),
		T(a_pod_that_ended_is_nobody_s_neighbour),
		T(what_is_only_preferred_keeps_no_pod_waiting),
		T(a_term_speaks_of_its_own_namespace_unless_it_names_others),
		T(of_several_nodes_the_one_in_the_right_domain_is_taken),
		T(pods_spread_over_what_nodes_there_are),
		T(the_emptiest_domain_decides),
		T(a_claim_on_devices_is_never_met),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

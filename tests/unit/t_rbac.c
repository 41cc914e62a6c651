/* t_rbac.c -- the authorizer: a table of Kubernetes' rules, and the index against a walk. */
#include "reconcile/base/arena.h"
#include "reconcile/rbac.h"
#include "reconcile/snapshot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

struct world {
	struct arena a;
	struct snapshot s;
	const struct object *of[4][MOST];
	size_t n[4];
	struct rbac *index;
};

static const enum resource_id ids[] = { RES_cluster_role, RES_role, RES_cluster_role_binding,
					RES_role_binding };

static struct strs
words(const char *text, struct arena *a)
{
	struct strs s = { arena_alloc(a, (strlen(text) + 1) * sizeof *s.at), 0 };

	for (size_t n; *text; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		s.at[s.n++] = n == 1 && *text == '-' ? "" : arena_strndup(a, text, n);
	}
	return s;
}

static struct policy_rule *
rule(struct world *w, const char *verbs, const char *groups, const char *things,
     const char *names, const char *urls)
{
	struct policy_rule *r = arena_zalloc(&w->a, sizeof *r);

	r->verbs = words(verbs, &w->a);
	r->apiGroups = words(groups, &w->a);
	r->resources = words(things, &w->a);
	r->resourceNames = words(names, &w->a);
	r->nonResourceURLs = words(urls, &w->a);
	return r;
}

static void
add_role(struct world *w, const char *ns, const char *name, struct policy_rule *r, size_t n)
{
	if (*ns) {
		struct role *o = object_new(RES_role, ns, name, &w->a);

		o->rules.at = r;
		o->rules.n = n;
		w->of[1][w->n[1]++] = (struct object *)o;
	} else {
		struct cluster_role *o = object_new(RES_cluster_role, "", name, &w->a);

		o->rules.at = r;
		o->rules.n = n;
		w->of[0][w->n[0]++] = (struct object *)o;
	}
}

static void
add_binding(struct world *w, const char *ns, const char *name, const char *role_kind,
	    const char *role, struct subject subject)
{
	struct role_ref *ref = arena_zalloc(&w->a, sizeof *ref);
	struct subject *s = arena_zalloc(&w->a, sizeof *s);

	*s = subject;
	*ref = (struct role_ref){ .apiGroup = RBAC_GROUP, .kind = role_kind, .name = role };
	if (*ns) {
		struct role_binding *o = object_new(RES_role_binding, ns, name, &w->a);

		o->roleRef = ref;
		o->subjects.at = s;
		o->subjects.n = 1;
		w->of[3][w->n[3]++] = (struct object *)o;
	} else {
		struct cluster_role_binding *o =
		    object_new(RES_cluster_role_binding, "", name, &w->a);

		o->roleRef = ref;
		o->subjects.at = s;
		o->subjects.n = 1;
		w->of[2][w->n[2]++] = (struct object *)o;
	}
}

static void
ready(struct world *w)
{
	for (int i = 0; i < 4; i++) {
		w->s.of[ids[i]].at = w->of[i];
		w->s.of[ids[i]].n = w->n[i];
	}
	w->index = rbac_new(&w->s);
}

static void
done(struct world *w)
{
	rbac_free(w->index);
	arena_free(&w->a);
}

/* ---- one rule against one question ---- */

static const struct row {
	const char *verbs, *groups, *resources, *names, *urls; /* "-" is "" */
	struct rbac_attributes at;
	bool allowed;
} table[] = {
#define ASK(v, g, r, s, n)                \
	{                                 \
		v, g, r, s, "ns", n, NULL \
	}
	{ "get", "-", "pods", "", "", ASK("get", "", "pods", "", "x"), true },
	{ "get", "-", "pods", "", "", ASK("list", "", "pods", "", ""), false },
	{ "get", "-", "pods", "", "", ASK("get", "apps", "pods", "", "x"), false },
	{ "get", "-", "pods", "", "", ASK("get", "", "pods", "log", "x"), false },
	{ "get", "-", "pods/log", "", "", ASK("get", "", "pods", "log", "x"), true },
	{ "get", "-", "pods/log", "", "", ASK("get", "", "pods", "", "x"), false },
	{ "get", "-", "pods/*", "", "", ASK("get", "", "pods", "log", "x"), false },
	{ "get", "-", "*", "", "", ASK("get", "", "pods", "log", "x"), true },
	{ "get", "-", "*/log", "", "", ASK("get", "", "pods", "log", "x"), true },
	{ "get", "-", "*/log", "", "", ASK("get", "", "pods", "exec", "x"), false },
	{ "get", "-", "*/log", "", "", ASK("get", "", "pods", "", "x"), false },
	{ "update", "*", "*/scale", "", "", ASK("update", "apps", "deployments", "scale", "x"),
	  true },
	{ "*", "*", "*", "", "", ASK("anything", "any", "thing", "at", "all"), true },
	{ "*", "*", "*", "", "", { "get", "", "", "", "", "", "/x" }, false },
	{ "get", "-", "pods", "a b", "", ASK("get", "", "pods", "", "b"), true },
	{ "get", "-", "pods", "a b", "", ASK("get", "", "pods", "", "c"), false },
	{ "list", "-", "pods", "a", "", ASK("list", "", "pods", "", ""), false },
	{ "list", "-", "pods", "*", "", ASK("list", "", "pods", "", "a"), false },
	{ "get", "", "", "", "/healthz", { "get", "", "", "", "", "", "/healthz" }, true },
	{ "get", "", "", "", "/healthz", { "get", "", "", "", "", "", "/healthz/x" }, false },
	{ "get", "", "", "", "/healthz/*", { "get", "", "", "", "", "", "/healthz/x" }, true },
	{ "get", "", "", "", "/healthz/*", { "get", "", "", "", "", "", "/healthz" }, false },
	{ "get", "", "", "", "*", { "get", "", "", "", "", "", "/any" }, true },
	{ "get", "", "", "", "*", { "post", "", "", "", "", "", "/any" }, false },
	{ "get", "", "", "", "*", ASK("get", "", "pods", "", "x"), false },
	{ "GET", "-", "pods", "", "", ASK("get", "", "pods", "", "x"), false },
};

static void
a_rule_allows_what_it_says_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct row *r = &table[i];
		struct world w = { 0 };
		struct user u = { "ann", "", NULL, 0 }, other = { "bob", "", NULL, 0 };
		struct policy_rule *rules =
		    rule(&w, r->verbs, r->groups, r->resources, r->names, r->urls);

		add_role(&w, "", "r", rules, 1);
		add_binding(&w, "", "b", "ClusterRole", "r",
			    (struct subject){ .kind = "User", .name = "ann" });
		ready(&w);
		if (rbac_allows(w.index, &u, &r->at, &w.a, NULL) != r->allowed)
			fail_msg("row %zu: %s", i, r->allowed ? "denied" : "allowed");
		assert_false(rbac_allows(w.index, &other, &r->at, &w.a, NULL));
		done(&w);
	}
}

static void
bindings_hold_where_they_are_and_say_why(void **state)
{
	static const char *const robots[] = { "system:serviceaccounts" };
	static const char *const masters[] = { "system:masters" };
	struct world w = { 0 };
	struct user ann = { "ann", "", NULL, 0 },
		    sa = { "system:serviceaccount:ns:robot", "", robots, 1 },
		    root = { "x", "", masters, 1 };
	struct rbac_attributes at = { "get", "", "pods", "", "ns", "p", NULL };
	const char *why;

	(void)state;
	add_role(&w, "", "c", rule(&w, "get", "-", "pods", "", ""), 1);
	add_role(&w, "ns", "r", rule(&w, "get", "-", "pods", "", ""), 1);
	add_binding(&w, "ns", "b", "Role", "r",
		    (struct subject){ .kind = "User", .name = "ann" });
	add_binding(&w, "ns", "gone", "Role", "nowhere",
		    (struct subject){ .kind = "User", .name = "zoe" });
	add_binding(
	    &w, "ns", "s", "ClusterRole", "c",
	    (struct subject){ .kind = "ServiceAccount", .name = "robot", .namespace = "ns" });
	/* A cluster's binding cannot name a Role. */
	add_binding(&w, "", "no", "Role", "r",
		    (struct subject){ .kind = "User", .name = "eve" });
	ready(&w);
	assert_true(rbac_allows(w.index, &ann, &at, &w.a, &why));
	assert_string_equal(
	    why, "RBAC: allowed by RoleBinding \"b/ns\" of Role \"r\" to User \"ann\"");
	assert_true(rbac_allows(w.index, &sa, &at, &w.a, &why));
	assert_string_equal(why, "RBAC: allowed by RoleBinding \"s/ns\" of ClusterRole \"c\" "
				 "to ServiceAccount \"robot/ns\"");
	at.ns = "other";
	assert_false(rbac_allows(w.index, &ann, &at, &w.a, NULL));
	assert_false(rbac_allows(w.index, &sa, &at, &w.a, NULL));
	at.ns = "";
	assert_false(rbac_allows(w.index, &ann, &at, &w.a, NULL));
	assert_true(rbac_allows(w.index, &root, &at, &w.a, NULL));
	at.ns = "ns";
	assert_false(
	    rbac_allows(w.index, &(struct user){ "eve", "", NULL, 0 }, &at, &w.a, NULL));
	assert_false(
	    rbac_allows(w.index, &(struct user){ "zoe", "", NULL, 0 }, &at, &w.a, &why));
	assert_string_equal(why, "RBAC: role.rbac.authorization.k8s.io \"nowhere\" not found");
	done(&w);
}

/* ---- the index against a walk over every binding ---- */

static unsigned
roll(uint64_t *seed, unsigned n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(*seed >> 33) % n;
}

static const char *const verbs[] = { "get", "list", "delete", "*" };
static const char *const groups[] = { "-", "apps", "*" };
static const char *const kinds[] = { "pods", "pods/log", "*/log", "deployments", "*" };
static const char *const spaces[] = { "", "a", "b" };
static const char *const names[] = { "", "x", "y" };
static const char *const roles[] = { "r0", "r1", "r2", "r3" };
static const char *const users[] = { "ann", "bob", "system:serviceaccount:a:s" };
static const char *const teams[] = { "team", "crew" };
#define PICK(seed, of) (of)[roll(seed, sizeof(of) / sizeof *(of))]

static void
random_world(struct world *w, uint64_t *seed)
{
	for (int i = 0; i < 12; i++)
		add_role(w, spaces[i / 4], roles[i % 4],
			 rule(w, PICK(seed, verbs), PICK(seed, groups), PICK(seed, kinds),
			      PICK(seed, names), ""),
			 roll(seed, 4) > 0);
	for (int i = 0; i < 12; i++) {
		struct subject s[] = {
			{ .kind = "User", .name = users[roll(seed, 2)] },
			{ .kind = "Group", .name = PICK(seed, teams) },
			{ .kind = "ServiceAccount", .name = "s", .namespace = "a" },
		};
		char *name = arena_printf(&w->a, "b%d", i);

		add_binding(w, PICK(seed, spaces), name, roll(seed, 2) ? "Role" : "ClusterRole",
			    PICK(seed, roles), PICK(seed, s));
	}
	ready(w);
}

static bool
slow_has(const struct strs *s, const char *word)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->at[i], word) || !strcmp(s->at[i], "*"))
			return true;
	return false;
}

static bool
slow_rule(const struct policy_rule *r, const struct rbac_attributes *at)
{
	char whole[64], any[64];
	bool named = !r->resourceNames.n;

	snprintf(whole, sizeof whole, "%s%s%s", at->resource, *at->subresource ? "/" : "",
		 at->subresource);
	snprintf(any, sizeof any, "*/%s", at->subresource);
	for (size_t i = 0; i < r->resourceNames.n; i++)
		named = named || !strcmp(r->resourceNames.at[i], at->name);
	return slow_has(&r->verbs, at->verb) && slow_has(&r->apiGroups, at->group) &&
	       (slow_has(&r->resources, whole) ||
		(*at->subresource && slow_has(&r->resources, any))) &&
	       named;
}

static bool
slow_is(const struct subject *s, const struct user *u)
{
	char account[64];

	if (!strcmp(s->kind, "User"))
		return !strcmp(s->name, u->name);
	for (size_t i = 0; !strcmp(s->kind, "Group") && i < u->ngroups; i++)
		if (!strcmp(s->name, u->groups[i]))
			return true;
	snprintf(account, sizeof account, "system:serviceaccount:%s:%s",
		 s->namespace ? s->namespace : "", s->name);
	return !strcmp(s->kind, "ServiceAccount") && !strcmp(account, u->name);
}

static bool
slow_role(const struct world *w, const struct role_ref *ref, const char *ns,
	  const struct rbac_attributes *at)
{
	bool cluster = !strcmp(ref->kind, "ClusterRole");

	for (size_t i = 0; cluster && i < w->n[0]; i++) {
		const struct cluster_role *r = (const struct cluster_role *)w->of[0][i];

		for (size_t k = 0; !strcmp(r->metadata->name, ref->name) && k < r->rules.n; k++)
			if (slow_rule(&r->rules.at[k], at))
				return true;
	}
	for (size_t i = 0; !cluster && *ns && i < w->n[1]; i++) {
		const struct role *r = (const struct role *)w->of[1][i];

		for (size_t k = 0; !strcmp(r->metadata->name, ref->name) &&
				   !strcmp(r->metadata->namespace, ns) && k < r->rules.n;
		     k++)
			if (slow_rule(&r->rules.at[k], at))
				return true;
	}
	return false;
}

static bool
slow_allows(const struct world *w, const struct user *u, const struct rbac_attributes *at)
{
	for (size_t i = 0; i < w->n[2]; i++) {
		const struct cluster_role_binding *b =
		    (const struct cluster_role_binding *)w->of[2][i];

		if (slow_is(&b->subjects.at[0], u) && slow_role(w, b->roleRef, "", at))
			return true;
	}
	for (size_t i = 0; i < w->n[3]; i++) {
		const struct role_binding *b = (const struct role_binding *)w->of[3][i];

		if (!strcmp(b->metadata->namespace, at->ns) && slow_is(&b->subjects.at[0], u) &&
		    slow_role(w, b->roleRef, at->ns, at))
			return true;
	}
	return false;
}

static void
the_index_answers_as_a_walk_over_all_bindings(void **state)
{
	uint64_t seed = 11;
	int yes = 0, no = 0;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world w = { 0 };

		random_world(&w, &seed);
		for (int i = 0; i < 100; i++) {
			struct user u = { PICK(&seed, users), "", teams, roll(&seed, 3) };
			struct rbac_attributes at = { verbs[roll(&seed, 3)],
						      roll(&seed, 2) ? "apps" : "",
						      roll(&seed, 2) ? "pods" : "deployments",
						      roll(&seed, 2) ? "log" : "",
						      PICK(&seed, spaces),
						      PICK(&seed, names),
						      NULL };
			bool want = slow_allows(&w, &u, &at);

			assert_int_equal(rbac_allows(w.index, &u, &at, &w.a, NULL), want);
			yes += want;
			no += !want;
		}
		done(&w);
	}
	assert_true(yes > 500 && no > 500);
}

/* ---- escalation ---- */

static const struct {
	const char *held[5], *wanted[5], *lacks; /* lacks NULL: nothing */
} grants[] = {
	{ { "get list", "-", "pods", "", "" }, { "get", "-", "pods", "", "" }, NULL },
	{ { "*", "*", "*", "", "" }, { "get", "apps", "x/y", "n", "" }, NULL },
	{ { "get", "-", "pods", "", "" }, { "get", "-", "pods", "n", "" }, NULL },
	{ { "get", "-", "*/log", "", "" }, { "get", "-", "pods/log", "", "" }, NULL },
	{ { "get", "", "", "", "/a/*" }, { "get", "", "", "", "/a/b /a/*" }, NULL },
	{ { "get", "-", "pods", "n", "" },
	  { "get", "-", "pods", "", "" },
	  "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}" },
	{ { "get", "-", "pods", "", "" },
	  { "*", "-", "pods", "", "" },
	  "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"*\"]}" },
	{ { "get", "-", "pods", "", "" },
	  { "get list watch", "-", "pods", "n", "" },
	  "{APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"n\"], Verbs:[\"list\" "
	  "\"watch\"]}" },
	{ { "*", "*", "*", "", "" },
	  { "get", "", "", "", "/x" },
	  "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}" },
};

static void
what_is_granted_must_be_held(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
		const char *const *h = grants[i].held, *const *n = grants[i].wanted, *text;
		struct world w = { 0 };
		struct user u = { "ann", "", teams, 2 };
		struct policy_rule *wanted = rule(&w, n[0], n[1], n[2], n[3], n[4]);
		struct rbac_rules rules = { (const struct policy_rule *[]){ wanted }, 1 };

		add_role(&w, "", "r", rule(&w, h[0], h[1], h[2], h[3], h[4]), 1);
		add_binding(&w, "", "b", "ClusterRole", "r",
			    (struct subject){ .kind = "User", .name = "ann" });
		ready(&w);
		text = rbac_escalation(w.index, &u, "", &rules, &w.a);
		if (!grants[i].lacks && text)
			fail_msg("row %zu: %s", i, text);
		if (grants[i].lacks)
			assert_string_equal(
			    text, arena_printf(&w.a,
					       "user \"ann\" (groups=[\"team\" \"crew\"]) is "
					       "attempting to grant RBAC permissions not "
					       "currently held:\n%s",
					       grants[i].lacks));
		done(&w);
	}
}

/* n of "k0", "k1", ...: each a thing that nobody has heard of */
static struct strs
many(size_t n, struct arena *a)
{
	const char **at = arena_alloc(a, n * sizeof *at);

	for (size_t i = 0; i < n; i++)
		at[i] = arena_printf(a, "k%zu", i);
	return (struct strs){ at, n };
}

/* A rule of a few kilobytes can stand for a thousand million permissions. */
static void
a_rule_that_multiplies_is_judged_quickly(void **s)
{
	struct world w = { 0 };
	const struct user u = { "ann", "", NULL, 0 };
	struct policy_rule rule = { 0 };
	const struct policy_rule *at[] = { &rule };
	const struct rbac_rules rules = { at, 1 };

	(void)s;
	rule.verbs = rule.apiGroups = rule.resources = many(1000, &w.a);
	ready(&w);
	assert_string_equal(
	    rbac_escalation(w.index, &u, "", &rules, &w.a),
	    "user \"ann\" is attempting to grant more than 10000 RBAC "
	    "permissions that no single rule held covers: name fewer in one role");
	rbac_free(w.index);
	add_role(&w, "", "r", &rule, 1);
	add_binding(&w, "", "b", "ClusterRole", "r",
		    (struct subject){ .kind = "User", .name = "ann" });
	ready(&w);
	assert_null(rbac_escalation(w.index, &u, "", &rules, &w.a));
	done(&w);
}

/* ---- paths ---- */

static const struct {
	const char *method, *path;
	bool watch;
	const char *says;
} paths[] = {
	{ "GET", "/api/v1/pods", false, "list pods||||" },
	{ "GET", "/api/v1/namespaces/a/pods", true, "watch pods|||a|" },
	{ "GET", "/api/v1/namespaces/a/pods/p", false, "get pods|||a|p" },
	{ "HEAD", "/api/v1/namespaces/a/pods/p", false, "get pods|||a|p" },
	{ "POST", "/api/v1/namespaces/a/pods/p/exec", false, "create pods||exec|a|p" },
	{ "GET", "/api/v1/namespaces/a/pods/p/exec", true, "get pods||exec|a|p" },
	{ "PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale", false,
	  "update deployments|apps|scale|a|d" },
	{ "DELETE", "/apis/apps/v1/namespaces/a/deployments", false,
	  "deletecollection deployments|apps||a|" },
	{ "DELETE", "/api/v1/namespaces/a", false, "delete namespaces|||a|a" },
	{ "PATCH", "/api/v1/namespaces/a/status", false, "patch namespaces||status|a|a" },
	{ "GET", "/api/v1/namespaces", false, "list namespaces||||" },
	{ "GET", "/apis/apps/v1", false, "get /apis/apps/v1" },
	{ "GET", "/api/v1", false, "get /api/v1" },
	{ "POST", "/kedge/images", false, "post /kedge/images" },
};

static void
a_path_is_read_as_kubernetes_reads_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct arena a = { 0 };
		struct rbac_request q = { paths[i].method, paths[i].path, paths[i].watch, "" };
		struct rbac_attributes at;

		rbac_request_read(&q, &at, &a);
		assert_string_equal(at.path ? arena_printf(&a, "%s %s", at.verb, at.path)
					    : arena_printf(&a, "%s %s|%s|%s|%s|%s", at.verb,
							   at.resource, at.group,
							   at.subresource, at.ns, at.name),
				    paths[i].says);
		arena_free(&a);
	}
}

/* ---- defaults ---- */

static void
defaults_are_repaired_by_adding(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < rbac_defaults_count(); i++) {
		const struct object *o = rbac_default_repaired(i, NULL, &a);
		struct object *less;

		assert_non_null(o);
		assert_null(rbac_default_repaired(i, o, &a));
		less = object_clone(o, &a);
		if (resource_of(o)->id == RES_cluster_role_binding) {
			((struct cluster_role_binding *)less)->subjects.n = 0;
		} else if (((struct cluster_role *)less)->rules.n) {
			((struct cluster_role *)less)->rules.n--;
		} else {
			continue;
		}
		assert_true(schema_equal(resource_of(o)->schema,
					 rbac_default_repaired(i, less, &a), o));
		pairs_set(&less->metadata->annotations,
			  "rbac.authorization.kubernetes.io/autoupdate", "false", &a);
		assert_null(rbac_default_repaired(i, less, &a));
	}
	arena_free(&a);
}

static void
a_role_gathers_the_rules_of_those_it_selects_once(void **state)
{
	struct world w = { 0 };
	struct cluster_role *r = object_new(RES_cluster_role, "", "all", &w.a);
	struct label_selector *s = arena_zalloc(&w.a, sizeof *s);
	const struct cluster_role *out;
	struct objects all;

	(void)state;
	r->aggregationRule = arena_zalloc(&w.a, sizeof *r->aggregationRule);
	r->aggregationRule->clusterRoleSelectors.at = s;
	r->aggregationRule->clusterRoleSelectors.n = 1;
	r->rules.at = rule(&w, "get", "-", "secrets", "", "");
	r->rules.n = 1;
	pairs_set(&s->matchLabels, "in", "all", &w.a);
	add_role(&w, "", "a", rule(&w, "get", "-", "pods", "", ""), 1);
	add_role(&w, "", "b", rule(&w, "get", "-", "pods", "", ""), 1);
	add_role(&w, "", "c", rule(&w, "get", "-", "nodes", "", ""), 1);
	w.of[0][w.n[0]++] = (struct object *)r;
	for (int i = 0; i < 2; i++)
		pairs_set(&((struct object *)w.of[0][i])->metadata->labels, "in", "all", &w.a);
	all = (struct objects){ w.of[0], w.n[0] };
	out = rbac_aggregated(r, &all, &w.a);
	assert_non_null(out);
	assert_int_equal(out->rules.n, 1); /* the same rule twice is one; its own are gone */
	assert_string_equal(out->rules.at[0].resources.at[0], "pods");
	w.of[0][3] = (const struct object *)out;
	assert_null(rbac_aggregated(out, &all, &w.a));
	arena_free(&w.a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_allows_what_it_says_and_nothing_else),
		cmocka_unit_test(bindings_hold_where_they_are_and_say_why),
		cmocka_unit_test(the_index_answers_as_a_walk_over_all_bindings),
		cmocka_unit_test(what_is_granted_must_be_held),
		cmocka_unit_test(a_rule_that_multiplies_is_judged_quickly),
		cmocka_unit_test(a_path_is_read_as_kubernetes_reads_it),
		cmocka_unit_test(defaults_are_repaired_by_adding),
		cmocka_unit_test(a_role_gathers_the_rules_of_those_it_selects_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

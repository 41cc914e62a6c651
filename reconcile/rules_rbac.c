/* rules_rbac.c -- what Kubernetes demands of roles, bindings and their subjects. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "rbac.h"
#include "rules.h"
#include <string.h>

const char *
is_path_segment(const char *s, struct arena *a)
{
	(void)a;
	if (!strcmp(s, ".") || !strcmp(s, ".."))
		return s[1] ? "may not be '..'" : "may not be '.'";
	if (strchr(s, '/'))
		return "may not contain '/'";
	return strchr(s, '%') ? "may not contain '%'" : NULL;
}

/* ["/healthz","/version"] */
static void
list_json(const struct strs *s, struct buf *b)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < s->n; i++) {
		buf_adds(b, i ? "," : "");
		tree_quote(s->at[i], b);
	}
	buf_addc(b, ']');
}

void
policy_rule_check(const void *obj, const struct place *at)
{
	const struct policy_rule *r = obj;
	cleanup_buf struct buf b = { 0 };

	if (!r->verbs.n)
		place_complain(at, "verbs",
			       "Required value: verbs must contain at least one value");
	if (r->nonResourceURLs.n) {
		if (!r->apiGroups.n && !r->resources.n && !r->resourceNames.n)
			return;
		list_json(&r->nonResourceURLs, &b);
		place_complain(at, "nonResourceURLs",
			       "Invalid value: %.500s: rules cannot apply to both regular "
			       "resources and non-resource URLs",
			       buf_text(&b));
		return;
	}
	if (!r->apiGroups.n)
		place_complain(
		    at, "apiGroups",
		    "Required value: resource rules must supply at least one api group");
	if (!r->resources.n)
		place_complain(
		    at, "resources",
		    "Required value: resource rules must supply at least one resource");
}

void
role_check(const void *obj, const struct place *at)
{
	const struct role *r = obj;

	for (size_t i = 0; i < r->rules.n; i++) {
		cleanup_buf struct buf b = { 0 };

		if (!r->rules.at[i].nonResourceURLs.n)
			continue;
		list_json(&r->rules.at[i].nonResourceURLs, &b);
		place_complain(at, arena_printf(at->arena, "rules[%zu].nonResourceURLs", i),
			       "Invalid value: %.500s: namespaced rules cannot apply to "
			       "non-resource URLs",
			       buf_text(&b));
	}
}

void
cluster_role_check(const void *obj, const struct place *at)
{
	const struct cluster_role *r = obj;

	if (r->aggregationRule && !r->aggregationRule->clusterRoleSelectors.n)
		place_complain(at, "aggregationRule.clusterRoleSelectors",
			       "Required value: at least one clusterRoleSelector required if "
			       "aggregationRule is non-nil");
}

void
subject_defaults(void *obj, struct arena *a)
{
	struct subject *s = obj;

	(void)a;
	if (!s->apiGroup && (str_is(s->kind, "User") || str_is(s->kind, "Group")))
		s->apiGroup = RBAC_GROUP;
}

void
subject_check(const void *obj, const struct place *at)
{
	const struct subject *s = obj;
	const char *why;

	if (!place_ok(at, "kind") || !place_ok(at, "name"))
		return;
	if (str_is(s->kind, "ServiceAccount")) {
		why = is_subdomain(s->name, at->arena);
		if (why)
			place_complain(at, "name", "Invalid value: \"%.300s\": %s", s->name,
				       why);
		if (!str_is(s->apiGroup, ""))
			place_complain(at, "apiGroup",
				       "Unsupported value: \"%.100s\": supported values: \"\"",
				       s->apiGroup);
		if (str_is(s->namespace, ""))
			place_complain(at, "namespace", "Required value");
	} else if (str_is(s->kind, "User") || str_is(s->kind, "Group")) {
		if (s->apiGroup && !str_is(s->apiGroup, RBAC_GROUP))
			place_complain(at, "apiGroup",
				       "Unsupported value: \"%.100s\": supported values: "
				       "\"" RBAC_GROUP "\"",
				       s->apiGroup);
	} else {
		place_complain(at, "kind",
			       "Unsupported value: \"%.100s\": supported values: "
			       "\"ServiceAccount\", \"User\", \"Group\"",
			       s->kind);
	}
}

void
role_binding_check(const void *obj, const struct place *at)
{
	const struct role_binding *b = obj;

	if (b->roleRef && b->roleRef->kind && !str_is(b->roleRef->kind, "Role") &&
	    !str_is(b->roleRef->kind, "ClusterRole"))
		place_complain(at, "roleRef.kind",
			       "Unsupported value: \"%.100s\": supported values: \"Role\", "
			       "\"ClusterRole\"",
			       b->roleRef->kind);
}

void
cluster_role_binding_check(const void *obj, const struct place *at)
{
	const struct cluster_role_binding *b = obj;

	if (b->roleRef && b->roleRef->kind && !str_is(b->roleRef->kind, "ClusterRole"))
		place_complain(at, "roleRef.kind",
			       "Unsupported value: \"%.100s\": supported values: "
			       "\"ClusterRole\"",
			       b->roleRef->kind);
}

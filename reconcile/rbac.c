/* rbac.c -- Kubernetes' RBAC authorizer: the index, and a decision.
 *
 * The index has a row for each (namespace, subject) that a binding names; a cluster's
 * binding has namespace "".  Role references are looked up when a decision meets them, for a
 * binding may be older than its role.
 */
#include "rbac.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "snapshot.h"
#include <stdlib.h>
#include <string.h>

struct grant { /* a subject of a binding */
	const struct object *binding;
	const struct role_ref *ref;
	const struct subject *subject;
	struct grant *next; /* of the same key, in the order of bindings */
};

struct grants {
	struct grant *first, **tail;
};

struct rbac {
	struct arena arena;
	struct map grants; /* "NS\nu:NAME" or "NS\ng:NAME" -> struct grants */
	struct map roles;  /* "NS\nNAME" -> role; "\nNAME" -> cluster_role */
};

/* ---- the index ---- */

static void
add_grant(struct rbac *r, const char *ns, const struct object *binding,
	  const struct role_ref *ref, const struct subject *s)
{
	struct grant *g;
	struct grants *of;
	const char *key;

	if (str_is(s->kind, "User"))
		key = arena_printf(&r->arena, "%s\nu:%s", ns, s->name);
	else if (str_is(s->kind, "Group"))
		key = arena_printf(&r->arena, "%s\ng:%s", ns, s->name);
	else if (str_is(s->kind, "ServiceAccount"))
		key = arena_printf(&r->arena, "%s\nu:" USER_ACCOUNT "%s:%s", ns,
				   str_is(s->namespace, "") ? ns : s->namespace, s->name);
	else
		return;
	of = map_get(&r->grants, key);
	if (!of) {
		of = arena_zalloc(&r->arena, sizeof *of);
		of->tail = &of->first;
		map_put(&r->grants, key, of);
	}
	g = arena_zalloc(&r->arena, sizeof *g);
	*g = (struct grant){ binding, ref, s, NULL };
	*of->tail = g;
	of->tail = &g->next;
}

static void
add_roles(struct rbac *r, const struct objects *all)
{
	for (size_t i = 0; i < all->n; i++)
		map_put(&r->roles,
			arena_printf(&r->arena, "%s\n%s", object_namespace(all->at[i]),
				     object_name(all->at[i])),
			(void *)all->at[i]);
}

struct rbac *
rbac_new(const struct snapshot *s)
{
	struct rbac *r = xcalloc(1, sizeof *r);
	const struct objects *of = s->of;

	add_roles(r, &of[RES_cluster_role]);
	add_roles(r, &of[RES_role]);
	for (size_t i = 0; i < of[RES_cluster_role_binding].n; i++) {
		const struct cluster_role_binding *b =
		    (const struct cluster_role_binding *)of[RES_cluster_role_binding].at[i];

		for (size_t k = 0; b->roleRef && k < b->subjects.n; k++)
			add_grant(r, "", of[RES_cluster_role_binding].at[i], b->roleRef,
				  &b->subjects.at[k]);
	}
	for (size_t i = 0; i < of[RES_role_binding].n; i++) {
		const struct role_binding *b =
		    (const struct role_binding *)of[RES_role_binding].at[i];

		for (size_t k = 0; b->roleRef && k < b->subjects.n; k++)
			add_grant(r, object_namespace(b), of[RES_role_binding].at[i],
				  b->roleRef, &b->subjects.at[k]);
	}
	return r;
}

void
rbac_free(struct rbac *r)
{
	if (!r)
		return;
	map_done(&r->grants);
	map_done(&r->roles);
	arena_free(&r->arena);
	free(r);
}

/* ---- rules ---- */

struct rules {
	const struct policy_rule *at;
	size_t n;
};

static bool
rules_at(const struct rbac *r, const struct role_ref *ref, const char *ns, struct rules *ret,
	 struct arena *a)
{
	bool cluster = str_is(ref->kind, "ClusterRole");
	const void *o =
	    map_get(&r->roles, arena_printf(a, "%s\n%s", cluster ? "" : ns, ref->name));

	if (!o || (!cluster && !*ns))
		return false;
	if (cluster)
		*ret = (struct rules){ ((const struct cluster_role *)o)->rules.at,
				       ((const struct cluster_role *)o)->rules.n };
	else
		*ret = (struct rules){ ((const struct role *)o)->rules.at,
				       ((const struct role *)o)->rules.n };
	return true;
}

/* "pods/log" is meant by "*", "pods/log" and "*" + "/log". */
static bool
resource_matches(const struct policy_rule *r, const struct rbac_attributes *at, struct arena *a)
{
	const char *whole = at->resource;

	if (strs_has(&r->resources, "*"))
		return true;
	if (*at->subresource)
		whole = arena_printf(a, "%s/%s", at->resource, at->subresource);
	if (strs_has(&r->resources, whole))
		return true;
	return *at->subresource &&
	       strs_has(&r->resources, arena_printf(a, "*/%s", at->subresource));
}

static bool
url_covers(const char *rule, const char *path)
{
	size_t n = strlen(rule);

	if (!strcmp(rule, path))
		return true;
	if (!n || rule[n - 1] != '*')
		return false;
	while (n && rule[n - 1] == '*')
		n--;
	return !strncmp(rule, path, n);
}

static bool
rule_allows(const struct policy_rule *r, const struct rbac_attributes *at, struct arena *a)
{
	if (!strs_has(&r->verbs, "*") && !strs_has(&r->verbs, at->verb))
		return false;
	if (at->path) {
		for (size_t i = 0; i < r->nonResourceURLs.n; i++)
			if (!strcmp(r->nonResourceURLs.at[i], "*") ||
			    url_covers(r->nonResourceURLs.at[i], at->path))
				return true;
		return false;
	}
	return (strs_has(&r->apiGroups, "*") || strs_has(&r->apiGroups, at->group)) &&
	       resource_matches(r, at, a) &&
	       (!r->resourceNames.n || strs_has(&r->resourceNames, at->name));
}

/* ---- visiting what a user is granted ---- */

/* Returns true to stop. */
typedef bool visit_fn(void *ctx, const struct grant *, const char *ns, const struct rules *);

struct visit {
	const struct rbac *r;
	struct arena *a;
	visit_fn *fn;
	void *ctx;
	struct buf missing; /* roles that bindings name and nobody made */
};

static bool
visit_key(struct visit *v, const char *ns, char kind, const char *name)
{
	const struct grants *of =
	    map_get(&v->r->grants, arena_printf(v->a, "%s\n%c:%s", ns, kind, name));

	for (const struct grant *g = of ? of->first : NULL; g; g = g->next) {
		struct rules rules;

		if (!rules_at(v->r, g->ref, ns, &rules, v->a)) {
			bool cluster = str_is(g->ref->kind, "ClusterRole");

			buf_addf(&v->missing, "%s%s.%s \"%s\" not found",
				 v->missing.len ? ", " : "", cluster ? "clusterrole" : "role",
				 RBAC_GROUP, g->ref->name);
			continue;
		}
		if (v->fn(v->ctx, g, ns, &rules))
			return true;
	}
	return false;
}

/* The cluster's bindings first, then the namespace's. */
static bool
visit_all(struct visit *v, const struct user *u, const char *ns)
{
	const char *scopes[] = { "", ns };

	for (int s = 0; s < (*ns ? 2 : 1); s++) {
		if (visit_key(v, scopes[s], 'u', u->name))
			return true;
		for (size_t i = 0; i < u->ngroups; i++)
			if (visit_key(v, scopes[s], 'g', u->groups[i]))
				return true;
	}
	return false;
}

/* ---- a decision ---- */

struct question {
	const struct rbac_attributes *at;
	struct arena *a;
	const char *reason;
};

static const char *
subject_text(const struct subject *s, const char *ns, struct arena *a)
{
	if (!str_is(s->kind, "ServiceAccount"))
		return arena_printf(a, "%s \"%s\"", s->kind, s->name);
	return arena_printf(a, "ServiceAccount \"%s/%s\"", s->name,
			    str_is(s->namespace, "") ? ns : s->namespace);
}

static bool
decide(void *ctx, const struct grant *g, const char *ns, const struct rules *rules)
{
	struct question *q = ctx;

	for (size_t i = 0; i < rules->n; i++) {
		if (!rule_allows(&rules->at[i], q->at, q->a))
			continue;
		q->reason =
		    arena_printf(q->a, "RBAC: allowed by %s \"%s%s%s\" of %s \"%s\" to %s",
				 *ns ? "RoleBinding" : "ClusterRoleBinding",
				 object_name(g->binding), *ns ? "/" : "", ns, g->ref->kind,
				 g->ref->name, subject_text(g->subject, ns, q->a));
		return true;
	}
	return false;
}

bool
rbac_allows(const struct rbac *r, const struct user *u, const struct rbac_attributes *at,
	    struct arena *a, const char **ret_reason)
{
	struct question q = { at, a, "" };
	struct visit v = { r, a, decide, &q, { 0 } };
	bool ok = user_in(u, GROUP_MASTERS) || visit_all(&v, u, at->path ? "" : at->ns);

	if (!ok && v.missing.len)
		q.reason = arena_printf(a, "RBAC: %s", buf_text(&v.missing));
	buf_done(&v.missing);
	if (ret_reason)
		*ret_reason = q.reason;
	return ok;
}

/* ---- all rules of a user ---- */

struct gather {
	struct rbac_rules *rules;
	size_t cap;
	struct arena *a;
};

static void
gather_rules(struct gather *g, const struct rules *from)
{
	struct rbac_rules *to = g->rules;

	if (to->n + from->n > g->cap) {
		const struct policy_rule **old = to->at;

		g->cap = 2 * (to->n + from->n);
		to->at = arena_alloc(g->a, g->cap * sizeof *to->at);
		if (to->n)
			memcpy(to->at, old, to->n * sizeof *to->at);
	}
	for (size_t i = 0; i < from->n; i++)
		to->at[to->n++] = &from->at[i];
}

static bool
gather_one(void *ctx, const struct grant *grant, const char *ns, const struct rules *rules)
{
	(void)grant;
	(void)ns;
	gather_rules(ctx, rules);
	return false;
}

struct rbac_rules
rbac_rules_of(const struct rbac *r, const struct user *u, const char *ns, struct arena *a)
{
	struct rbac_rules ret = { 0 };
	struct gather g = { &ret, 0, a };
	struct visit v = { r, a, gather_one, &g, { 0 } };

	visit_all(&v, u, ns);
	buf_done(&v.missing);
	return ret;
}

bool
rbac_role_rules(const struct rbac *r, const struct role_ref *ref, const char *ns,
		struct rbac_rules *ret, struct arena *a)
{
	struct gather g = { ret, 0, a };
	struct rules rules;

	*ret = (struct rbac_rules){ 0 };
	if (!rules_at(r, ref, ns, &rules, a))
		return false;
	gather_rules(&g, &rules);
	return true;
}

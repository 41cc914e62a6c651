/* api_rbac.c -- every request is asked about once, before its route's function runs.
 *
 * Who asks, api_auth.c has found out; `Impersonate-User` and its kin let one with the verb
 * impersonate be somebody else.
 */
#include "api_rbac.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "api_write.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the index ---- */

static bool
is_rbac(enum resource_id id)
{
	return id == RES_role || id == RES_cluster_role || id == RES_role_binding ||
	       id == RES_cluster_role_binding;
}

/* Did anything about roles change since?  What the ring forgot may have. */
static bool
is_stale(struct api *a)
{
	cleanup_error struct error *e = NULL;
	const struct change *c;
	uint64_t at = a->rbac_version;

	while (store_next(a->store, at, &c, &e) == 0 && c) {
		if (is_rbac(c->res))
			return true;
		at = c->version;
	}
	if (!e)
		a->rbac_version = at;
	return e != NULL;
}

const struct rbac *
access_index(struct api *a)
{
	struct snapshot s = { 0 };

	if (a->rbac && !is_stale(a))
		return a->rbac;
	rbac_free(a->rbac);
	arena_free(&a->rbac_arena);
	store_view(a->store, &s);
	for (int i = 0; i < RES_COUNT; i++) {
		const struct object **copies;

		if (!is_rbac((enum resource_id)i))
			continue;
		/* The store's objects go when they change, the index stays until it is asked.
		 */
		copies = arena_alloc(&a->rbac_arena, (s.of[i].n + 1) * sizeof *copies);
		for (size_t k = 0; k < s.of[i].n; k++)
			copies[k] = object_clone(s.of[i].at[k], &a->rbac_arena);
		s.of[i].at = copies;
	}
	a->rbac_version = store_version(a->store);
	return a->rbac = rbac_new(&s);
}

/* ---- the defaults ---- */

static int
put_default(struct api *a, const struct object *o, bool there, struct error **e)
{
	int64_t now = a->clock ? a->clock(a->host.ctx) : now_ms();

	return there ? store_update(a->store, o, e) : store_create(a->store, o, now, e);
}

static int
aggregate_all(struct api *a, struct arena *mem, struct error **e)
{
	struct objects all = store_all(a->store, RES_cluster_role);
	const struct cluster_role **at = arena_alloc(mem, (all.n + 1) * sizeof *at);
	size_t n = all.n;

	for (size_t i = 0; i < n; i++)
		at[i] = object_clone(all.at[i], mem);
	for (size_t i = 0; i < n; i++) {
		const struct cluster_role *r;

		all = store_all(a->store, RES_cluster_role);
		r = rbac_aggregated(at[i], &all, mem);
		if (r && store_update(a->store, r, e) < 0)
			return -1;
	}
	return 0;
}

int
access_open(struct api *a, struct error **e)
{
	cleanup_arena struct arena mem = { 0 };

	for (size_t i = 0; i < rbac_defaults_count(); i++) {
		const char *name;
		enum resource_id id = rbac_default_of(i, &name);
		const struct object *live = store_find(a->store, id, "", name);
		const struct object *o = rbac_default_repaired(i, live, &mem);

		if (o && put_default(a, o, live, e) < 0)
			return -1;
	}
	/* view is gathered into edit, and that into admin */
	for (int i = 0; i < 3; i++)
		if (aggregate_all(a, &mem, e) < 0)
			return -1;
	return store_commit(a->store, e);
}

void
access_close(struct api *a)
{
	rbac_free(a->rbac);
	a->rbac = NULL;
	arena_free(&a->rbac_arena);
}

/* ---- a refusal ---- */

static void
refuse_for(struct call *c, const struct user *as, const struct rbac_attributes *at,
	   const char *reason)
{
	const char *what = rbac_forbidden_text(as, at, &c->arena), *kind;
	const char *more = *reason ? ": " : "";

	if (at->path) {
		call_refuse(c, WHY_FORBIDDEN, "forbidden: %s%s%s", what, more, reason);
		return;
	}
	kind = *at->group ? arena_printf(&c->arena, "%s.%s", at->resource, at->group)
			  : at->resource;
	if (*at->name)
		call_refuse(c, WHY_FORBIDDEN, "%s \"%s\" is forbidden: %s%s%s", kind, at->name,
			    what, more, reason);
	else
		call_refuse(c, WHY_FORBIDDEN, "%s is forbidden: %s%s%s", kind, what, more,
			    reason);
}

static bool
allowed_or_refused(struct call *c, const struct user *as, const struct rbac_attributes *at)
{
	if (rbac_allows(access_index(c->api), as, at, &c->arena, &c->reason))
		return true;
	c->refused = true;
	refuse_for(c, as, at, c->reason);
	return false;
}

/* ---- impersonation ---- */

struct impersonation {
	struct call *call;
	const char *user, *uid;
	const char **groups;
	size_t ngroups;
	struct pair *extra;
	size_t nextra;
};

static const char *
percent_decoded(const char *s, struct arena *a)
{
	char *out = arena_strdup(a, s), *to = out;

	for (; *s; s++) {
		if (*s == '%' && isxdigit((unsigned char)s[1]) &&
		    isxdigit((unsigned char)s[2])) {
			char pair[3] = { s[1], s[2], 0 };

			*to++ = (char)strtol(pair, NULL, 16);
			s += 2;
		} else {
			*to++ = (char)tolower((unsigned char)*s);
		}
	}
	*to = 0;
	return out;
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	static const char extra[] = "Impersonate-Extra-";
	struct impersonation *im = ctx;
	struct arena *a = &im->call->arena;

	if (!strcasecmp(name, "Impersonate-User")) {
		im->user = value;
	} else if (!strcasecmp(name, "Impersonate-Uid")) {
		im->uid = value;
	} else if (!strcasecmp(name, "Impersonate-Group")) {
		const char **more = arena_alloc(a, (im->ngroups + 3) * sizeof *more);

		if (im->ngroups)
			memcpy(more, im->groups, im->ngroups * sizeof *more);
		more[im->ngroups++] = value;
		im->groups = more;
	} else if (!strncasecmp(name, extra, sizeof extra - 1)) {
		struct pair *more = arena_alloc(a, (im->nextra + 1) * sizeof *more);

		if (im->nextra)
			memcpy(more, im->extra, im->nextra * sizeof *more);
		more[im->nextra++] =
		    (struct pair){ percent_decoded(name + sizeof extra - 1, a), value };
		im->extra = more;
	}
}

static bool
may_impersonate(struct call *c, const char *group, const char *resource, const char *sub,
		const char *ns, const char *name)
{
	struct rbac_attributes at = { "impersonate", group, resource, sub, ns, name, NULL };

	return allowed_or_refused(c, c->user, &at);
}

static bool
may_be(struct impersonation *im)
{
	static const char id_group[] = "authentication.k8s.io";
	struct call *c = im->call;
	const char *ns, *name;

	if (user_is_account(im->user, &ns, &name, &c->arena)) {
		if (!may_impersonate(c, "", "serviceaccounts", "", ns, name))
			return false;
	} else if (!may_impersonate(c, "", "users", "", "", im->user)) {
		return false;
	}
	for (size_t i = 0; i < im->ngroups; i++)
		if (!may_impersonate(c, "", "groups", "", "", im->groups[i]))
			return false;
	for (size_t i = 0; i < im->nextra; i++)
		if (!may_impersonate(c, id_group, "userextras", im->extra[i].key, "",
				     im->extra[i].value))
			return false;
	return !*im->uid || may_impersonate(c, id_group, "uids", "", "", im->uid);
}

static void
become(struct impersonation *im)
{
	struct arena *a = &im->call->arena;
	struct user *u = arena_zalloc(a, sizeof *u);
	const char **groups = arena_alloc(a, (im->ngroups + 3) * sizeof *groups), *ns, *name;
	bool nobody = !strcmp(im->user, USER_ANONYMOUS);

	*u = (struct user){ im->user, im->uid, groups, im->ngroups };
	if (u->ngroups)
		memcpy(groups, im->groups, u->ngroups * sizeof *groups);
	else if (user_is_account(im->user, &ns, &name, a))
		u->ngroups = user_account_groups(ns, groups, a);
	if (!user_in(u, GROUP_AUTHENTICATED) && !user_in(u, GROUP_UNAUTHENTICATED))
		groups[u->ngroups++] = nobody ? GROUP_UNAUTHENTICATED : GROUP_AUTHENTICATED;
	im->call->impersonator = im->call->user;
	im->call->user = u;
}

static bool
impersonate(struct call *c)
{
	struct impersonation im = { .call = c, .user = "", .uid = "" };

	http_header_each(c->req, on_header, &im);
	if (!*im.user && !im.ngroups && !im.nextra && !*im.uid)
		return true;
	if (!*im.user) {
		call_refuse(c, WHY_INTERNAL,
			    "Internal Server Error: \"%s\": requested %s without "
			    "impersonating a user",
			    http_path(c->req),
			    im.ngroups  ? "groups"
			    : im.nextra ? "extra"
					: "a uid");
		return false;
	}
	if (!may_be(&im))
		return false;
	become(&im);
	return true;
}

/* ---- every request ---- */

/* metadata.name=X of a fieldSelector; "" when it does not name just one */
static const char *
only_name(struct call *c)
{
	const char *s = call_query(c, "fieldSelector"), *at = s, *name;
	static const char key[] = "metadata.name=";

	while ((at = strstr(at, key)) && at != s && at[-1] != ',')
		at++;
	if (!at)
		return "";
	name = at + sizeof key - 1;
	name += *name == '=';
	return arena_strndup(&c->arena, name, strcspn(name, ","));
}

void
access_read(struct call *c)
{
	struct rbac_request q = { http_method(c->req), http_path(c->req), call_flag(c, "watch"),
				  only_name(c) };

	rbac_request_read(&q, &c->asked, &c->arena);
}

bool
access_check(struct call *c)
{
	return impersonate(c) && allowed_or_refused(c, c->user, &c->asked);
}

bool
access_also(struct call *c, const char *verb)
{
	struct rbac_attributes at = c->asked;

	at.verb = verb;
	return allowed_or_refused(c, c->user, &at);
}

/* ---- granting ---- */

static void
refuse_grant(struct api_edit *ed, const char *text)
{
	call_refuse(ed->call, WHY_FORBIDDEN, "%s \"%s\" is forbidden: %s",
		    write_plural(ed->write.res, &ed->call->arena), object_name(ed->write.obj),
		    text);
}

static bool
holds(struct api_edit *ed, const struct rbac_rules *wanted)
{
	const char *text = rbac_escalation(access_index(ed->call->api), ed->call->user,
					   ed->write.ns, wanted, &ed->call->arena);

	if (text)
		refuse_grant(ed, text);
	return !text;
}

/* Who may change a role's rules to what they do not hold: the verb escalate. */
static bool
may(struct api_edit *ed, const char *verb, const char *resource, const char *ns,
    const char *name)
{
	struct rbac_attributes at = { verb, RBAC_GROUP, resource, "", ns, name, NULL };

	return rbac_allows(access_index(ed->call->api), ed->call->user, &at, &ed->call->arena,
			   NULL);
}

static bool
may_grant_rules(struct api_edit *ed, const struct policy_rule *at, size_t n)
{
	struct rbac_rules wanted = { NULL, n };

	wanted.at = arena_alloc(&ed->call->arena, (n + 1) * sizeof *wanted.at);
	for (size_t i = 0; i < n; i++)
		wanted.at[i] = &at[i];
	return holds(ed, &wanted);
}

/* Who asks may write any rule into this role. */
static bool
may_escalate(struct api_edit *ed)
{
	return may(ed, "escalate", ed->write.res->plural, ed->write.ns,
		   object_name(ed->write.obj));
}

static bool
gathers(const struct object *o)
{
	const struct cluster_role *r = (const struct cluster_role *)o;

	return r && r->aggregationRule && r->aggregationRule->clusterRoleSelectors.n;
}

/* What it will gather is not known, so it takes all rights; so does ending it, for the rules
 * that were gathered would stay, and no longer follow when one of their roles is tightened. */
static bool
may_aggregate(struct api_edit *ed)
{
	static const char *star[] = { "*" };
	struct policy_rule all[2] = { 0 };
	struct rbac_rules wanted = { (const struct policy_rule *[]){ &all[0], &all[1] }, 2 };
	const struct strs s = { star, 1 };

	all[0].verbs = all[0].apiGroups = all[0].resources = s;
	all[1].verbs = all[1].nonResourceURLs = s;
	if (!rbac_escalation(access_index(ed->call->api), ed->call->user, "", &wanted,
			     &ed->call->arena))
		return true;
	refuse_grant(ed, "must have cluster-admin privileges to use the aggregationRule");
	return false;
}

static bool
may_bind(struct api_edit *ed, const struct role_ref *ref)
{
	bool cluster = str_is(ref->kind, "ClusterRole");
	struct rbac_rules wanted;

	if (may(ed, "bind", cluster ? "clusterroles" : "roles", ed->write.ns, ref->name))
		return true;
	if (rbac_role_rules(access_index(ed->call->api), ref, ed->write.ns, &wanted,
			    &ed->call->arena))
		return holds(ed, &wanted);
	call_refuse(ed->call, WHY_NOT_FOUND, "%s.%s \"%s\" not found",
		    cluster ? "clusterrole" : "role", RBAC_GROUP, ref->name);
	return false;
}

bool
access_may_grant(struct api_edit *ed)
{
	const void *o = ed->write.obj;

	if (!is_rbac(ed->write.res->id) || user_in(ed->call->user, GROUP_MASTERS))
		return true;
	if (ed->write.res->id == RES_role) {
		const struct role *r = o;

		return may_escalate(ed) || may_grant_rules(ed, r->rules.at, r->rules.n);
	}
	if (ed->write.res->id == RES_cluster_role) {
		const struct cluster_role *r = o;

		if (may_escalate(ed))
			return true;
		if (!may_grant_rules(ed, r->rules.at, r->rules.n))
			return false;
		return (!gathers(ed->write.obj) && !gathers(ed->write.live)) ||
		       may_aggregate(ed);
	}
	return may_bind(ed, ed->write.res->id == RES_role_binding
				? ((const struct role_binding *)o)->roleRef
				: ((const struct cluster_role_binding *)o)->roleRef);
}

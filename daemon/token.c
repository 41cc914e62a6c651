/* token.c -- tokens of ServiceAccounts: made and read. */
#include "token.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "jwt.h"
#include "store.h"
#include <jansson.h>
#include <string.h>

enum { GONE_LEEWAY_MS = 60 * 1000 }; /* after its time to end: so long it may say goodbye */

const char *
token_issuer(const struct settings *s, struct arena *a)
{
	return arena_printf(a, "https://kubernetes.default.svc.%s",
			    s && s->cluster_domain ? s->cluster_domain : "cluster.local");
}

/* ---- made ---- */

static json_t *
audiences(const struct strs *list, const char *issuer)
{
	json_t *out = json_array();

	for (size_t i = 0; list && i < list->n; i++)
		json_array_append_new(out, json_string(list->at[i]));
	if (!json_array_size(out))
		json_array_append_new(out, json_string(issuer));
	return out;
}

static void
put_reference(json_t *own, const char *key, const struct object *o)
{
	if (o)
		json_object_set_new(
		    own, key,
		    json_pack("{s:s, s:s}", "name", object_name(o), "uid", object_uid(o)));
}

int
token_make(const struct jwt_key *key, const struct settings *set, const struct token_wish *w,
	   struct buf *ret, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const char *ns = object_namespace(w->account), *issuer = token_issuer(set, &a);
	json_t *own = json_pack("{s:s}", "namespace", ns), *claims;
	json_int_t ends = w->now + w->seconds;
	int rc;

	put_reference(own, "serviceaccount", w->account);
	if (w->bound)
		put_reference(own, resource_of(w->bound)->singular, w->bound);
	put_reference(own, "node", w->node);
	claims = json_pack("{s:o, s:I, s:I, s:s, s:s, s:o, s:I, s:s}", "aud",
			   audiences(w->audiences, issuer), "exp", ends, "iat",
			   (json_int_t)w->now, "iss", issuer, "jti", store_new_uid(&a),
			   "kubernetes.io", own, "nbf", (json_int_t)w->now, "sub",
			   user_account_name(ns, object_name(w->account), &a));
	rc = jwt_sign(key, claims, ret, e);
	json_decref(claims);
	return rc;
}

/* ---- read ---- */

struct reading {
	const struct settings *set;
	struct store *store;
	int64_t now;
	struct arena *a;
};

static const char *
text_at(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* The first of those wanted that it is for; NULL: none. */
static const char *
audience_of(const struct reading *r, const json_t *claims, const struct strs *wanted)
{
	const char *issuer = token_issuer(r->set, r->a);
	const struct strs own = { &issuer, 1 };
	const json_t *list = json_object_get(claims, "aud"), *one;
	size_t k;

	if (!wanted || !wanted->n)
		wanted = &own;
	for (size_t i = 0; i < wanted->n; i++)
		json_array_foreach(list, k, one) {
			if (json_is_string(one) &&
			    !strcmp(json_string_value(one), wanted->at[i]))
				return wanted->at[i];
		}
	return NULL;
}

/* {"name": .., "uid": ..} of an object that is there; NULL stands for what is not asked. */
static bool
lives(const struct reading *r, enum resource_id kind, const char *ns, const json_t *ref)
{
	const struct object *o =
	    ref ? store_find(r->store, kind, ns, text_at(ref, "name")) : NULL;

	if (!ref)
		return true;
	return o && !strcmp(object_uid(o), text_at(ref, "uid")) &&
	       (!o->metadata->deletionTimestamp ||
		r->now < o->metadata->deletionTimestamp + GONE_LEEWAY_MS);
}

static int
refuse(struct error **e, const char *why)
{
	return fail(e, WHY_UNAUTHORIZED, "token: %s", why);
}

static int
read_claims(const struct reading *r, const json_t *claims, const struct strs *wanted,
	    struct user *u, const char **ret_audience, struct error **e)
{
	const json_t *own = json_object_get(claims, "kubernetes.io");
	const json_t *account = json_object_get(own, "serviceaccount");
	const char *ns = text_at(own, "namespace"), **groups;

	if (strcmp(text_at(claims, "iss"), token_issuer(r->set, r->a)) != 0)
		return refuse(e, "another issuer's");
	*ret_audience = audience_of(r, claims, wanted);
	if (!*ret_audience)
		return refuse(e, "it is for another audience");
	if (!account || !lives(r, RES_service_account, ns, account))
		return refuse(e, "its service account is gone");
	if (!lives(r, RES_pod, ns, json_object_get(own, "pod")) ||
	    !lives(r, RES_secret, ns, json_object_get(own, "secret")))
		return refuse(e, "what it is bound to is gone");
	groups = arena_alloc(r->a, 3 * sizeof *groups);
	*u = (struct user){ user_account_name(ns, text_at(account, "name"), r->a),
			    arena_strdup(r->a, text_at(account, "uid")), groups, 0 };
	u->ngroups = user_account_groups(ns, groups, r->a);
	groups[u->ngroups++] = GROUP_AUTHENTICATED;
	return 0;
}

int
token_user(const struct jwt_key *key, const struct settings *set, struct store *store,
	   const char *token, const struct strs *wanted, int64_t now, struct arena *a,
	   struct user *ret, const char **ret_audience, struct error **e)
{
	const struct reading r = { set, store, now, a };
	json_t *claims = jwt_check(key, token, now / 1000, e);
	const char *audience;
	int rc;

	if (!claims)
		return -1;
	rc = read_claims(&r, claims, wanted, ret, ret_audience ? ret_audience : &audience, e);
	json_decref(claims);
	return rc;
}

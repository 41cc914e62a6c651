/* api_token.c -- tokens of ServiceAccounts: given out (TokenRequest), and whose they are.
 *
 * A token is void once the account it names, or the pod or Secret it is bound to, is gone or
 * another one of the same name.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/snapshot.h"
#include "api_call.h"
#include "jwt.h"
#include "pki.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIFE_DEFAULT = 3600, LIFE_LEAST = 600, AUDIENCES_MOST = 32 };
#define LIFE_MOST (INT64_C(1) << 32)

static const char *
issuer(const struct call *c, struct arena *a)
{
	const struct settings *s = c->api->settings;

	return arena_printf(a, "https://kubernetes.default.svc.%s",
			    s && s->cluster_domain ? s->cluster_domain : "cluster.local");
}

static const char *
text_at(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static bool
has_audience(const json_t *claims, const char *want)
{
	const json_t *list = json_object_get(claims, "aud"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_is_string(one) && !strcmp(json_string_value(one), want))
			return true;
	}
	return false;
}

/* {"name": .., "uid": ..} of an object that is there; NULL stands for what is not asked. */
static bool
lives(struct call *c, enum resource_id kind, const char *ns, const json_t *ref)
{
	const struct object *o =
	    ref ? store_find(c->api->store, kind, ns, text_at(ref, "name")) : NULL;

	return !ref || (o && !strcmp(object_uid(o), text_at(ref, "uid")));
}

static bool
account_of(struct call *c, const json_t *claims, struct user *u, struct error **e)
{
	const json_t *own = json_object_get(claims, "kubernetes.io");
	const json_t *account = json_object_get(own, "serviceaccount");
	const char *ns = text_at(own, "namespace"), **groups;

	if (strcmp(text_at(claims, "iss"), issuer(c, &c->arena)) != 0)
		return fail(e, WHY_UNAUTHORIZED, "token: another issuer's") == 0;
	if (!has_audience(claims, issuer(c, &c->arena)))
		return fail(e, WHY_UNAUTHORIZED, "token: it is for another audience") == 0;
	if (!account || !lives(c, RES_service_account, ns, account))
		return fail(e, WHY_UNAUTHORIZED, "token: its service account is gone") == 0;
	if (!lives(c, RES_pod, ns, json_object_get(own, "pod")) ||
	    !lives(c, RES_secret, ns, json_object_get(own, "secret")))
		return fail(e, WHY_UNAUTHORIZED, "token: what it is bound to is gone") == 0;
	groups = arena_alloc(&c->arena, 3 * sizeof *groups);
	groups[user_account_groups(ns, groups, &c->arena)] = GROUP_AUTHENTICATED;
	*u = (struct user){ user_account_name(ns, text_at(account, "name"), &c->arena),
			    arena_strdup(&c->arena, text_at(account, "uid")), groups, 3 };
	return true;
}

bool
token_user(struct call *c, const char *token, struct user *u, struct error **e)
{
	json_t *claims = jwt_check(pki_token_key(c->api->pki), token, call_now(c) / 1000, e);
	bool ok = claims && account_of(c, claims, u, e);

	json_decref(claims);
	return ok;
}

/* ---- TokenRequest ---- */

struct wish {
	json_t *body, *spec;
	const struct object *account, *bound;
	int64_t seconds;
};

/* The pod or Secret that the token ends with. */
static bool
bind(struct call *c, struct wish *w)
{
	const json_t *ref = json_object_get(w->spec, "boundObjectRef");
	const char *kind = text_at(ref, "kind"), *uid = text_at(ref, "uid");
	enum resource_id id = !strcmp(kind, "Pod") ? RES_pod : RES_secret;

	if (!json_is_object(ref))
		return true;
	if (id == RES_secret && strcmp(kind, "Secret") != 0) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "cannot bind token for serviceaccount \"%s\" to object of type "
			    "%.100s: it must be a Pod or a Secret",
			    c->name, kind);
		return false;
	}
	w->bound = store_find(c->api->store, id, c->ns, text_at(ref, "name"));
	if (!w->bound) {
		call_refuse(c, WHY_NOT_FOUND, "%s \"%.200s\" not found", resources[id].plural,
			    text_at(ref, "name"));
		return false;
	}
	if (*uid && strcmp(uid, object_uid(w->bound)) != 0) {
		call_refuse(c, WHY_CONFLICT,
			    "the UID in the bound object reference (%.100s) does not match the "
			    "UID in record. The object might have been deleted and then "
			    "recreated",
			    uid);
		return false;
	}
	return true;
}

static bool
read_wish(struct call *c, struct wish *w)
{
	const struct buf *b = http_body(c->req);
	const json_t *seconds;

	w->body = json_loadb(buf_text(b), b->len, JSON_REJECT_DUPLICATES, NULL);
	w->spec = json_object_get(w->body, "spec");
	if (!json_is_object(w->body)) {
		call_refuse(c, WHY_UNSUPPORTED,
			    "a TokenRequest is sent as JSON: application/json");
		return false;
	}
	seconds = json_object_get(w->spec, "expirationSeconds");
	w->seconds = json_is_integer(seconds) ? json_integer_value(seconds) : LIFE_DEFAULT;
	if (w->seconds < LIFE_LEAST || w->seconds > LIFE_MOST) {
		call_refuse(c, WHY_INVALID,
			    "TokenRequest.authentication.k8s.io \"\" is invalid: "
			    "spec.expirationSeconds: Invalid value: %lld: may not specify a "
			    "duration %s",
			    (long long)w->seconds,
			    w->seconds < LIFE_LEAST ? "less than 10 minutes"
						    : "larger than 2^32 seconds");
		return false;
	}
	return bind(c, w);
}

/* What the token is for: what is asked for, or the API itself. */
static json_t *
audiences(struct call *c, const struct wish *w)
{
	const json_t *asked = json_object_get(w->spec, "audiences"), *one;
	json_t *out = json_array();
	size_t i;

	json_array_foreach(asked, i, one)
	{
		if (json_is_string(one) && json_array_size(out) < AUDIENCES_MOST)
			json_array_append_new(out, json_string(json_string_value(one)));
	}
	if (!json_array_size(out))
		json_array_append_new(out, json_string(issuer(c, &c->arena)));
	return out;
}

static json_t *
reference(const struct object *o)
{
	return json_pack("{s:s, s:s}", "name", object_name(o), "uid", object_uid(o));
}

static json_t *
claims_of(struct call *c, const struct wish *w)
{
	int64_t now = call_now(c) / 1000;
	json_t *own = json_pack("{s:s, s:o}", "namespace", c->ns, "serviceaccount",
				reference(w->account));

	if (w->bound)
		json_object_set_new(own, resource_of(w->bound)->singular, reference(w->bound));
	return json_pack("{s:o, s:I, s:I, s:I, s:s, s:s, s:s, s:o}", "aud", audiences(c, w),
			 "exp", (json_int_t)(now + w->seconds), "iat", (json_int_t)now, "nbf",
			 (json_int_t)now, "iss", issuer(c, &c->arena), "jti",
			 store_new_uid(&c->arena), "sub",
			 user_account_name(c->ns, c->name, &c->arena), "kubernetes.io", own);
}

static void
answer(struct call *c, const struct wish *w, json_t *claims, const char *token)
{
	struct buf b = { 0 };
	char ends[32];
	cleanup_free char *text = NULL;
	json_t *spec = json_deep_copy(w->spec);
	time_t t = json_integer_value(json_object_get(claims, "exp"));
	struct tm tm;

	if (!json_is_object(spec)) {
		json_decref(spec);
		spec = json_object();
	}
	strftime(ends, sizeof ends, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	json_object_set(spec, "audiences", json_object_get(claims, "aud"));
	json_object_set_new(spec, "expirationSeconds", json_integer(w->seconds));
	json_t *j =
	    json_pack("{s:s, s:s, s:{s:s, s:s, s:n}, s:o, s:{s:s, s:s}}", "kind",
		      "TokenRequest", "apiVersion", "authentication.k8s.io/v1", "metadata",
		      "name", c->name, "namespace", c->ns, "creationTimestamp", "spec", spec,
		      "status", "token", token, "expirationTimestamp", ends);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	buf_adds(&b, text);
	call_json(c, 201, &b);
}

void
token_request(struct call *c)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf token = { 0 };
	struct wish w = { .account =
			      store_find(c->api->store, RES_service_account, c->ns, c->name) };
	json_t *claims = NULL;

	c->res = &resources[RES_service_account];
	if (!w.account) {
		call_refuse(c, WHY_NOT_FOUND, "serviceaccounts \"%s\" not found", c->name);
		return;
	}
	if (!c->api->pki) {
		call_refuse(c, WHY_UNABLE,
			    "there is no key for tokens here: the API is not "
			    "served over TLS (secureListen)");
		return;
	}
	if (read_wish(c, &w)) {
		claims = claims_of(c, &w);
		if (jwt_sign(pki_token_key(c->api->pki), claims, &token, &e) < 0)
			call_fail(c, e);
		else
			answer(c, &w, claims, buf_text(&token));
	}
	json_decref(claims);
	json_decref(w.body);
}

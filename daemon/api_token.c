/* api_token.c -- tokens over the API: TokenRequest gives one out for a ServiceAccount,
 * TokenReview says whose one is.
 */
#include "../reconcile/account.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "api_rbac.h"
#include "pki.h"
#include "token.h"
#include <string.h>

enum { LIFE_LEAST = 600, AUDIENCES_MOST = 32 };
#define LIFE_MOST (INT64_C(1) << 32)

static const char *
or_empty(const char *s)
{
	return s ? s : "";
}

/* ---- TokenRequest ---- */

/* The pod or Secret that the token ends with. */
static bool
bind(struct call *c, const struct bound_object_reference *ref, struct token_wish *w)
{
	bool pod = ref && str_is(ref->kind, "Pod");
	enum resource_id id = pod ? RES_pod : RES_secret;

	if (!ref)
		return true;
	if (!pod && !str_is(ref->kind, "Secret")) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "cannot bind token for serviceaccount \"%s\" to object of type "
			    "%.100s: it must be a Pod or a Secret",
			    c->name, or_empty(ref->kind));
		return false;
	}
	w->bound = store_find(c->api->store, id, c->ns, or_empty(ref->name));
	if (!w->bound) {
		call_refuse(c, WHY_NOT_FOUND, "%s \"%.200s\" not found", resources[id].plural,
			    or_empty(ref->name));
		return false;
	}
	if (!str_is(ref->uid, "") && !str_is(ref->uid, object_uid(w->bound))) {
		call_refuse(c, WHY_CONFLICT,
			    "the UID in the bound object reference (%.100s) does not match the "
			    "UID in record. The object might have been deleted and then "
			    "recreated",
			    ref->uid);
		return false;
	}
	if (pod && !str_is(account_name_of(((const struct pod *)w->bound)->spec), c->name)) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "cannot bind token for serviceaccount \"%s\" to pod running with "
			    "different serviceaccount name.",
			    c->name);
		return false;
	}
	if (pod)
		w->node = store_find(c->api->store, RES_node, "",
				     or_empty(((const struct pod *)w->bound)->spec->nodeName));
	return true;
}

static bool
is_sound(struct call *c, const struct token_request_spec *spec)
{
	static const char what[] = "TokenRequest.authentication.k8s.io \"\" is invalid: spec.";

	if (spec->audiences.n > AUDIENCES_MOST) {
		call_refuse(c, WHY_INVALID,
			    "%saudiences: Too many: %zu: must have at most %d items", what,
			    spec->audiences.n, AUDIENCES_MOST);
		return false;
	}
	if (spec->expirationSeconds >= LIFE_LEAST && spec->expirationSeconds <= LIFE_MOST)
		return true;
	call_refuse(c, WHY_INVALID,
		    "%sexpirationSeconds: Invalid value: %lld: may not specify a duration %s",
		    what, (long long)spec->expirationSeconds,
		    spec->expirationSeconds < LIFE_LEAST ? "less than 10 minutes"
							 : "larger than 2^32 seconds");
	return false;
}

static void
answer_request(struct call *c, const struct token_request_spec *asked, const char *token,
	       int64_t ends)
{
	const char *issuer = token_issuer(c->api->settings, &c->arena);
	struct token_request_spec spec = *asked;
	struct buf b = { 0 };
	char at[40];

	if (!spec.audiences.n)
		spec.audiences = (struct strs){ &issuer, 1 };
	time_print(ends * 1000, false, at);
	buf_adds(&b, "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\","
		     "\"metadata\":{\"name\":");
	json_quote(&b, c->name);
	buf_adds(&b, ",\"namespace\":");
	json_quote(&b, c->ns);
	buf_adds(&b, ",\"creationTimestamp\":null},\"spec\":");
	schema_encode(token_request_spec_kind(), &spec, &b);
	buf_addf(&b, ",\"status\":{\"token\":\"%s\",\"expirationTimestamp\":\"%s\"}}", token,
		 at);
	call_json(c, 201, &b);
}

void
token_request(struct call *c)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf token = { 0 };
	struct token_wish w = { .account = store_find(c->api->store, RES_service_account, c->ns,
						      c->name),
				.now = call_now(c) / 1000 };
	struct token_request_spec none = { .expirationSeconds = 3600 }, *spec = &none;
	struct token_request *r;

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
	r = review_read(c, token_request_kind());
	if (!r)
		return;
	if (r->spec)
		spec = r->spec;
	if (!is_sound(c, spec) || !bind(c, spec->boundObjectRef, &w))
		return;
	w.audiences = &spec->audiences;
	w.seconds = spec->expirationSeconds;
	if (token_make(pki_token_key(c->api->pki), c->api->settings, &w, &token, &e) < 0)
		call_fail(c, e);
	else
		answer_request(c, spec, buf_text(&token), w.now + w.seconds);
}

/* ---- TokenReview ---- */

void
token_review(struct call *c)
{
	cleanup_error struct error *e = NULL;
	const struct token_review *r = review_read(c, token_review_kind());
	const struct token_review_spec *spec = r ? r->spec : NULL;
	const char *audience;
	struct buf b = { 0 };
	struct user u;

	if (!r)
		return;
	if (!spec || str_is(spec->token, "")) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "token is required for TokenReview in authentication");
		return;
	}
	buf_adds(&b, "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\","
		     "\"metadata\":{\"creationTimestamp\":null},\"spec\":");
	schema_encode(token_review_spec_kind(), spec, &b);
	if (auth_token(c, spec->token, &spec->audiences, &u, &audience, &e) < 0) {
		buf_adds(&b, ",\"status\":{\"user\":{},\"error\":");
		json_quote(&b, error_text(e));
		buf_adds(&b, "}}");
	} else {
		buf_adds(&b, ",\"status\":{\"authenticated\":true,\"user\":");
		auth_print(&b, &u);
		buf_adds(&b, ",\"audiences\":[");
		json_quote(&b, audience);
		buf_adds(&b, "]}}");
	}
	call_json(c, 201, &b);
}

/* api_review.c -- may I, may they, and what may I: the reviews of authorization.k8s.io.
 *
 * They are answered and not kept.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/text.h"
#include "api_rbac.h"
#include "api_write.h"
#include <string.h>

static const char *
or_empty(const char *s)
{
	return s ? s : "";
}

void *
review_read(struct call *c, const struct kind *k)
{
	struct api_edit ed = { .call = c };
	struct complaints cs = { .arena = &c->arena };
	const struct tree *t = body_read_kind(&ed, k);
	void *o = t ? schema_decode(k, t, SCHEMA_TRUSTED, &c->arena, &cs) : NULL;

	if (!t)
		return NULL;
	if (o && !cs.errors)
		return o;
	call_refuse(c, WHY_BAD_REQUEST, "the review cannot be read: %s: %s",
		    cs.first && cs.first->field ? cs.first->field : "the body",
		    cs.first ? cs.first->text : "what is it?");
	return NULL;
}

static void
answer(struct call *c, const char *kind, const struct kind *spec_kind, const void *spec,
       struct buf *status)
{
	struct buf b = { 0 };

	buf_addf(&b, "{\"kind\":\"%s\",\"apiVersion\":\"authorization.k8s.io/v1\",", kind);
	buf_adds(&b, "\"metadata\":{},\"spec\":");
	if (spec)
		schema_encode(spec_kind, spec, &b);
	else
		buf_adds(&b, "{}");
	buf_addf(&b, ",\"status\":%s}", buf_text(status));
	buf_done(status);
	call_json(c, 201, &b);
}

static void
review(struct call *c, const char *kind, const struct subject_access_review_spec *spec,
       const struct user *u)
{
	const struct resource_attributes *r = spec->resourceAttributes;
	const struct non_resource_attributes *n = spec->nonResourceAttributes;
	struct rbac_attributes at = { "", "", "", "", "", "", NULL };
	struct buf status = { 0 };
	const char *reason;
	bool ok;

	if (r)
		at = (struct rbac_attributes){ or_empty(r->verb),
					       or_empty(r->group),
					       or_empty(r->resource),
					       or_empty(r->subresource),
					       or_empty(r->namespace),
					       or_empty(r->name),
					       NULL };
	else
		at.verb = or_empty(n->verb), at.path = or_empty(n->path);
	ok = rbac_allows(access_index(c->api), u, &at, &c->arena, &reason);
	buf_addf(&status, "{\"allowed\":%s", ok ? "true" : "false");
	if (*reason) {
		buf_adds(&status, ",\"reason\":");
		json_quote(&status, reason);
	}
	buf_addc(&status, '}');
	answer(c, kind, subject_access_review_spec_kind(), spec, &status);
}

/* Kubernetes' rules on what may be asked; NULL: it may. */
static const char *
objection(const struct subject_access_review_spec *s, bool self)
{
	if (!s || (!s->resourceAttributes && !s->nonResourceAttributes))
		return "spec.resourceAttributes: Invalid value: null: exactly one of "
		       "nonResourceAttributes or resourceAttributes must be specified";
	if (s->resourceAttributes && s->nonResourceAttributes)
		return "spec.nonResourceAttributes: Invalid value: cannot be specified in "
		       "combination with resourceAttributes";
	if (!self && str_is(s->user, "") && !s->groups.n)
		return "spec.user: Invalid value: \"\": at least one of user or group must be "
		       "specified";
	return NULL;
}

static bool
sound(struct call *c, const struct subject_access_review *r, const char *kind)
{
	const char *why = objection(r->spec, !strcmp(kind, "SelfSubjectAccessReview"));

	if (!why)
		return true;
	call_refuse(c, WHY_INVALID, "%s.authorization.k8s.io \"\" is invalid: %s", kind, why);
	return false;
}

void
review_self(struct call *c)
{
	static const char kind[] = "SelfSubjectAccessReview";
	struct subject_access_review *r = review_read(c, subject_access_review_kind());

	if (r && sound(c, r, kind))
		review(c, kind, r->spec, c->user);
}

static void
review_other(struct call *c, const char *kind)
{
	struct subject_access_review *r = review_read(c, subject_access_review_kind());
	struct user u;

	if (!r || !sound(c, r, kind))
		return;
	if (*c->ns && (!r->spec->resourceAttributes ||
		       !str_is(r->spec->resourceAttributes->namespace, c->ns))) {
		call_refuse(c, WHY_INVALID,
			    "%s.authorization.k8s.io \"\" is invalid: "
			    "spec.resourceAttributes.namespace: Invalid value: \"%s\": must "
			    "match metadata.namespace",
			    kind,
			    r->spec->resourceAttributes
				? or_empty(r->spec->resourceAttributes->namespace)
				: "");
		return;
	}
	u = (struct user){ or_empty(r->spec->user), or_empty(r->spec->uid), r->spec->groups.at,
			   r->spec->groups.n };
	review(c, kind, r->spec, &u);
}

void
review_subject(struct call *c)
{
	review_other(c, "SubjectAccessReview");
}

void
review_local(struct call *c)
{
	review_other(c, "LocalSubjectAccessReview");
}

static void
put_strs(struct buf *b, const char *key, const struct strs *s, bool always)
{
	if (!s->n && !always)
		return;
	buf_addf(b, "%s\"%s\":[", b->at[b->len - 1] == '{' ? "" : ",", key);
	for (size_t i = 0; i < s->n; i++) {
		buf_adds(b, i ? "," : "");
		json_quote(b, s->at[i]);
	}
	buf_addc(b, ']');
}

void
review_rules(struct call *c)
{
	struct self_subject_rules_review *r = review_read(c, self_subject_rules_review_kind());
	struct rbac_rules rules;
	struct buf b = { 0 };
	const char *comma = "";

	if (!r)
		return;
	if (!r->spec || str_is(r->spec->namespace, "")) {
		call_refuse(c, WHY_BAD_REQUEST, "no namespace on request");
		return;
	}
	rules = rbac_rules_of(access_index(c->api), c->user, r->spec->namespace, &c->arena);
	buf_adds(&b, "{\"resourceRules\":[");
	for (size_t i = 0; i < rules.n; i++) {
		const struct policy_rule *p = rules.at[i];

		if (p->nonResourceURLs.n)
			continue;
		buf_addf(&b, "%s{", comma);
		put_strs(&b, "verbs", &p->verbs, true);
		put_strs(&b, "apiGroups", &p->apiGroups, false);
		put_strs(&b, "resources", &p->resources, false);
		put_strs(&b, "resourceNames", &p->resourceNames, false);
		buf_addc(&b, '}');
		comma = ",";
	}
	buf_adds(&b, "],\"nonResourceRules\":[");
	comma = "";
	for (size_t i = 0; i < rules.n; i++) {
		const struct policy_rule *p = rules.at[i];

		if (!p->nonResourceURLs.n)
			continue;
		buf_addf(&b, "%s{", comma);
		put_strs(&b, "verbs", &p->verbs, true);
		put_strs(&b, "nonResourceURLs", &p->nonResourceURLs, false);
		buf_addc(&b, '}');
		comma = ",";
	}
	buf_adds(&b, "],\"incomplete\":false}");
	answer(c, "SelfSubjectRulesReview", self_subject_rules_review_spec_kind(), r->spec, &b);
}

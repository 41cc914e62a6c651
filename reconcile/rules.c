/* rules.c -- what Kubernetes demands across fields: metadata, data, workloads.
 *
 * The words are Kubernetes', but for what only kedge refuses or cannot do yet.
 */
#include "rules.h"
#include "account.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "object.h"
#include <stdio.h>
#include <string.h>

enum { MOST_DATA = 1 << 20 };

void
requirement_check(const void *obj, const struct place *at)
{
	const struct label_selector_requirement *r = obj;
	bool list = str_is(r->operator, "In") || str_is(r->operator, "NotIn");

	if (!place_ok(at, "operator") || !place_ok(at, "values"))
		return;
	if (list && !r->values.n)
		place_complain(
		    at, "values",
		    "Required value: must be specified when `operator` is 'In' or 'NotIn'");
	if (!list && r->values.n)
		place_complain(at, "values",
			       "Forbidden: may not be specified when `operator` is 'Exists' or "
			       "'DoesNotExist'");
}

static size_t
bytes_of(const struct pairs *p, bool base64)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += base64 ? strlen(p->at[i].value) / 4 * 3 : strlen(p->at[i].value);
	return n;
}

void
config_map_check(const void *obj, const struct place *at)
{
	const struct config_map *c = obj;

	for (size_t i = 0; i < c->binaryData.n; i++)
		if (pairs_get(&c->data, c->binaryData.at[i].key))
			place_complain(
			    at, "binaryData",
			    "Invalid value: \"%s\": duplicate of key present in data",
			    c->binaryData.at[i].key);
	if (bytes_of(&c->data, false) + bytes_of(&c->binaryData, true) > MOST_DATA)
		place_complain(at, "data", "Too long: may not be more than %d bytes",
			       MOST_DATA);
}

static void
needs_key(const struct secret *s, const char *key, const struct place *at)
{
	if (!pairs_get(&s->data, key) && !pairs_get(&s->stringData, key))
		place_complain(at, "data",
			       "Required value: a secret of type %s needs the key %s", s->type,
			       key);
}

void
secret_check(const void *obj, const struct place *at)
{
	const struct secret *s = obj;

	if (bytes_of(&s->data, true) + bytes_of(&s->stringData, false) > MOST_DATA)
		place_complain(at, "data", "Too long: may not be more than %d bytes",
			       MOST_DATA);
	if (!place_ok(at, "data") || !place_ok(at, "stringData"))
		return;
	if (str_is(s->type, "kubernetes.io/tls")) {
		needs_key(s, "tls.crt", at);
		needs_key(s, "tls.key", at);
	} else if (str_is(s->type, "kubernetes.io/dockerconfigjson")) {
		needs_key(s, ".dockerconfigjson", at);
	} else if (str_is(s->type, "kubernetes.io/ssh-auth")) {
		needs_key(s, "ssh-privatekey", at);
	} else if (str_is(s->type, SECRET_ACCOUNT_TOKEN) &&
		   str_is(pairs_get(&s->metadata->annotations, SECRET_ACCOUNT_NAME), "")) {
		place_complain(at, "metadata.annotations[" SECRET_ACCOUNT_NAME "]",
			       "Required value");
	}
}

/* ---- ReplicaSet, Deployment ---- */

static void
labels_json(const struct pairs *p, struct buf *out)
{
	buf_addc(out, '{');
	for (size_t i = 0; i < p->n; i++) {
		buf_adds(out, i ? "," : "");
		tree_quote(p->at[i].key, out);
		buf_addc(out, ':');
		tree_quote(p->at[i].value, out);
	}
	buf_addc(out, '}');
}

/* Were all labels readable?  Those that were not are left out of the map. */
static bool
labels_sound(const struct pairs *labels, const struct place *at)
{
	const struct tree *t = tree_get(tree_get(at->at, "template"), "metadata");
	size_t n = 0;

	t = tree_get(t, "labels");
	for (t = t ? t->kids : NULL; t; t = t->next)
		n++;
	return n == labels->n;
}

static void
template_check(const char *what, const struct label_selector *sel,
	       const struct pod_template_spec *t, const struct place *at)
{
	static const struct pairs none;
	const struct pairs *labels = t && t->metadata ? &t->metadata->labels : &none;
	cleanup_buf struct buf b = { 0 };

	if (!t || !place_ok(at, "selector"))
		return;
	if (selector_empty(sel)) {
		place_complain(at, "selector",
			       "Invalid value: {}: empty selector is invalid for %s", what);
	} else if (labels_sound(labels, at) && !selector_matches(sel, labels)) {
		labels_json(labels, &b);
		place_complain(
		    at, "template.metadata.labels",
		    "Invalid value: %.500s: `selector` does not match template `labels`",
		    buf_text(&b));
	}
	if (!t->spec)
		return;
	if (str_given(t->spec->restartPolicy) && !str_is(t->spec->restartPolicy, "Always"))
		place_complain(at, "template.spec.restartPolicy",
			       "Unsupported value: \"%s\": supported values: \"Always\"",
			       t->spec->restartPolicy);
	if (schema_has(pod_spec_kind(), t->spec, "activeDeadlineSeconds"))
		place_complain(
		    at, "template.spec.activeDeadlineSeconds",
		    "Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported");
}

void
replica_set_spec_check(const void *obj, const struct place *at)
{
	const struct replica_set_spec *s = obj;

	template_check("replicaset", s->selector, s->template, at);
}

void
deployment_spec_check(const void *obj, const struct place *at)
{
	const struct deployment_spec *s = obj;

	template_check("deployment", s->selector, s->template, at);
	if (place_ok(at, "progressDeadlineSeconds") && place_ok(at, "minReadySeconds") &&
	    s->progressDeadlineSeconds <= s->minReadySeconds)
		place_complain(at, "progressDeadlineSeconds",
			       "Invalid value: %jd: must be greater than minReadySeconds",
			       (intmax_t)s->progressDeadlineSeconds);
}

void
deployment_strategy_check(const void *obj, const struct place *at)
{
	const struct deployment_strategy *s = obj;

	if (str_is(s->type, "Recreate") && s->rollingUpdate)
		place_complain(
		    at, "rollingUpdate",
		    "Forbidden: may not be specified when strategy `type` is 'Recreate'");
}

static bool
is_zero(struct iors v)
{
	return v.s ? iors_of(v, 100, false) == 0 : v.i == 0;
}

void
rolling_update_check(const void *obj, const struct place *at)
{
	const struct rolling_update_deployment *r = obj;

	if (!place_ok(at, "maxUnavailable") || !place_ok(at, "maxSurge"))
		return;
	if (is_zero(r->maxUnavailable) && is_zero(r->maxSurge))
		place_complain(at, "maxUnavailable",
			       "Invalid value: %s%s%s: may not be 0 when `maxSurge` is 0",
			       r->maxUnavailable.s ? "\"" : "",
			       r->maxUnavailable.s ? r->maxUnavailable.s : "0",
			       r->maxUnavailable.s ? "\"" : "");
	if (r->maxUnavailable.s && iors_of(r->maxUnavailable, 100, false) > 100)
		place_complain(at, "maxUnavailable",
			       "Invalid value: \"%s\": must not be greater than 100%%",
			       r->maxUnavailable.s);
}

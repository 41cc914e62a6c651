/* apply_change.c -- what cannot be changed once it lives, whoever asks.
 *
 * A commit that asks for it is told what to do instead; over the API the words are
 * Kubernetes' own.
 */
#include "apply.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <string.h>

struct change {
	struct complaints *c;
	const struct manifest *m;
	struct arena *a;
};

/* What only somebody with a file needs to hear. */
static const char *
advice(const struct change *c, const char *text)
{
	return c->m->path ? text : "";
}

static const char *
json_of(const struct kind *k, const void *obj, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	schema_encode(k, obj, &text);
	return arena_strdup(a, buf_text(&text));
}

static void
check_selector(const struct change *c, const struct label_selector *live,
	       const struct label_selector *new)
{
	if (!live || !new || schema_equal(label_selector_kind(), live, new))
		return;
	apply_complain(c->c, c->m, "spec.selector",
		       arena_printf(c->a, "Invalid value: %s: field is immutable%s",
				    json_of(label_selector_kind(), new, c->a),
				    advice(c, "; give it another name, or remove it in one "
					      "commit and add it in the next")));
}

static void
check_cluster_ip(const struct change *c, const struct service_spec *live,
		 const struct service_spec *new)
{
	if (!live || !new || !live->clusterIP || !*live->clusterIP || !new->clusterIP ||
	    !*new->clusterIP || !strcmp(live->clusterIP, new->clusterIP))
		return;
	apply_complain(c->c, c->m, "spec.clusterIP",
		       arena_printf(c->a,
				    "Invalid value: \"%s\": field is immutable "
				    "(it is \"%s\")%s",
				    new->clusterIP, live->clusterIP,
				    advice(c, "; remove the service in one commit and add it "
					      "in the next")));
}

/* A second family may come and go; the first is what clients know it by. */
static void
check_families(const struct change *c, const struct service_spec *live,
	       const struct service_spec *new)
{
	size_t n;

	if (!live || !new || !live->ipFamilies.n || !new->ipFamilies.n ||
	    str_is(live->type, "ExternalName") || str_is(new->type, "ExternalName"))
		return;
	n = live->ipFamilies.n == new->ipFamilies.n ? new->ipFamilies.n : 1;
	for (size_t i = 0; i < n; i++)
		if (!str_is(live->ipFamilies.at[i], new->ipFamilies.at[i])) {
			cleanup_buf struct buf list = { 0 };

			for (size_t k = 0; k < new->ipFamilies.n; k++)
				buf_addf(&list, "%s\"%s\"", k ? "," : "",
					 new->ipFamilies.at[k]);
			apply_complain(
			    c->c, c->m, arena_printf(c->a, "spec.ipFamilies[%zu]", i),
			    arena_printf(c->a, "Invalid value: [%s]: may not change once set",
					 buf_text(&list)));
			return;
		}
}

/* What a load balancer was promised, as long as it is one. */
static void
check_balancer(const struct change *c, const struct service_spec *live,
	       const struct service_spec *new)
{
	static const char again[] = "; remove the service in one commit and add it in the next";

	if (!live || !new || !str_is(live->type, "LoadBalancer") ||
	    !str_is(new->type, "LoadBalancer"))
		return;
	if (!str_is(live->loadBalancerClass, new->loadBalancerClass))
		apply_complain(
		    c->c, c->m, "spec.loadBalancerClass",
		    arena_printf(c->a, "Invalid value: \"%s\": may not change once set%s",
				 str_is(new->loadBalancerClass, "") ? "null"
								    : new->loadBalancerClass,
				 advice(c, again)));
	if (live->healthCheckNodePort && new->healthCheckNodePort &&
	    live->healthCheckNodePort != new->healthCheckNodePort)
		apply_complain(c->c, c->m, "spec.healthCheckNodePort",
			       arena_printf(c->a,
					    "Invalid value: %jd: field is immutable (it is "
					    "%jd)%s",
					    (intmax_t) new->healthCheckNodePort,
					    (intmax_t)live->healthCheckNodePort,
					    advice(c, again)));
}

static void
check_address_type(const struct change *c, const struct endpoint_slice *live,
		   const struct endpoint_slice *new)
{
	if (str_is(live->addressType, new->addressType))
		return;
	apply_complain(c->c, c->m, "addressType",
		       arena_printf(c->a, "Invalid value: \"%s\": field is immutable%s",
				    new->addressType, advice(c, "; give it another name")));
}

static void
check_type(const struct change *c, const struct secret *live, const struct secret *new)
{
	if (live->type && new->type && strcmp(live->type, new->type) != 0)
		apply_complain(c->c, c->m, "type",
			       arena_printf(c->a,
					    "Invalid value: \"%s\": field is immutable "
					    "(it is \"%s\")",
					    new->type, live->type));
}

static bool
same_words(const struct strs *a, const struct strs *b)
{
	bool same = true;

	for (size_t i = 0; i < a->n; i++)
		same = same && strs_has(b, a->at[i]);
	for (size_t i = 0; i < b->n; i++)
		same = same && strs_has(a, b->at[i]);
	return same;
}

/* What a quota counts is what it is. */
static void
check_scopes(const struct change *c, const struct resource_quota *live,
	     const struct resource_quota *new)
{
	static const struct strs none;
	const struct strs *was = live->spec ? &live->spec->scopes : &none,
			  *is = new->spec ? &new->spec->scopes : &none;
	cleanup_buf struct buf list = { 0 };

	if (same_words(was, is))
		return;
	for (size_t i = 0; i < is->n; i++)
		buf_addf(&list, "%s\"%s\"", i ? "," : "", is->at[i]);
	apply_complain(
	    c->c, c->m, "spec.scopes",
	    arena_printf(c->a, "Invalid value: [%s]: field is immutable", buf_text(&list)));
}

void
apply_change_check(struct snapshot *s, struct complaints *cs, const struct manifest *m,
		   const void *live, const void *new, struct arena *a)
{
	const struct deployment *dl = live, *dn = new;
	const struct replica_set *rl = live, *rn = new;
	const struct service *sl = live, *sn = new;
	const struct config_map *cl = live, *cn = new;
	const struct secret *tl = live, *tn = new;
	struct change c = { cs, m, a };
	bool frozen = false;

	switch (m->res->id) {
	case RES_deployment:
		check_selector(&c, dl->spec ? dl->spec->selector : NULL,
			       dn->spec ? dn->spec->selector : NULL);
		break;
	case RES_replica_set:
		check_selector(&c, rl->spec ? rl->spec->selector : NULL,
			       rn->spec ? rn->spec->selector : NULL);
		break;
	case RES_service:
		check_cluster_ip(&c, sl->spec, sn->spec);
		check_families(&c, sl->spec, sn->spec);
		check_balancer(&c, sl->spec, sn->spec);
		break;
	case RES_endpoint_slice:
		check_address_type(&c, live, new);
		break;
	case RES_config_map:
		frozen =
		    cl->immutable && (!cn->immutable || !pairs_equal(&cl->data, &cn->data) ||
				      !pairs_equal(&cl->binaryData, &cn->binaryData));
		break;
	case RES_secret:
		frozen =
		    tl->immutable && (!tn->immutable || !pairs_equal(&tl->data, &tn->data));
		check_type(&c, tl, tn);
		break;
	case RES_resource_quota:
		check_scopes(&c, live, new);
		break;
	default:
		apply_storage_check(s, cs, m, live, new);
		break;
	}
	if (frozen)
		apply_complain(cs, m, "data",
			       arena_printf(a,
					    "Forbidden: field is immutable when "
					    "`immutable` is set%s",
					    advice(&c, "; give it another name")));
}

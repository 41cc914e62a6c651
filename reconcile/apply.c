/* apply.c -- what makes the live objects be as a revision wants them.
 *
 * For each manifest: what the source states now, what it stated before and
 * what lives are merged (merge.c), and an action is added when the result is
 * not what lives.  Then what this source once had and no longer has is
 * deleted.  A revision applies whole or not at all: one complaint, and the
 * plan is left as it was.
 *
 * A source of ten thousand files in which one changed is looked at there and
 * nowhere else: what was applied before and has not drifted is passed over.
 *
 * What is going is in the way: neither it nor what lies in it (a namespace) is made before it
 * is gone, and the plan says what it waits for.
 *
 * Order: what others need comes first (namespaces, then what pods read, then
 * services, then workloads); deletes come last, in reverse.
 */
#include "apply.h"
#include "account.h"
#include "admission.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "controllers.h"
#include "merge.h"
#include "own.h"
#include "plan.h"
#include "pod_change.h"
#include "pod_resources.h"
#include "service.h"
#include "snapshot.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Everything that a source may hold, in the order of creation. */
static const enum resource_id order[] = {
	RES_namespace,
	RES_node,
	RES_storage_class,
	RES_persistent_volume,
	RES_persistent_volume_claim,
	RES_config_map,
	RES_secret,
	RES_service_account,
	RES_service,
	RES_endpoints,
	RES_endpoint_slice,
	RES_network_policy,
	RES_cluster_role,
	RES_role,
	RES_cluster_role_binding,
	RES_role_binding,
	RES_limit_range,
	RES_resource_quota,
	RES_pod_disruption_budget,
	RES_pod,
	RES_replica_set,
	RES_deployment,
};
enum { ORDER = sizeof order / sizeof *order };
_Static_assert(ORDER == RES_COUNT - 3,
	       "each kind but Event, Source and Revision has its place");

/* Written by controllers; a manifest that was exported carries them along. */
static const char not_ours[] = "deployment.kubernetes.io/";

struct pass {
	struct snapshot *s;
	const struct wanted *w;
	struct plan *plan;
	struct complaints *c;
	struct arena *a;              /* the snapshot's */
	struct manifest *const *todo; /* those to be looked at */
	size_t ntodo;
	struct map wanted; /* key of the object of each manifest in todo -> manifest */
	struct map left;   /* the same of those that were applied and are no longer there */
	struct map spaces; /* namespaces that exist or will */
	const struct object **gone; /* live, ours, wanted no longer; in the order of creation */
	size_t ngone, ours;
	struct apply_claims *claims;
};

static const char *
key_of(const struct resource *res, const void *obj, struct arena *a)
{
	return arena_printf(a, "%s %s/%s", res->kind, object_namespace(obj), object_name(obj));
}

/* What the commit says of a namespace counts before what lives. */
static const struct pairs *
labels_of(const struct pass *p, const char *ns)
{
	const struct manifest *m = map_get(
	    &p->wanted, arena_printf(p->a, "%s /%s", resources[RES_namespace].kind, ns));
	const struct object *o = m ? m->obj : snapshot_find(p->s, RES_namespace, "", ns);

	return o && o->metadata ? &o->metadata->labels : NULL;
}

static void
add(struct pass *p, enum verb verb, const struct resource *res, const void *obj,
    const char *why)
{
	const char *audit =
	    verb == ACT_DELETE
		? ""
		: apply_security_audit(res, labels_of(p, object_namespace(obj)), obj, p->a);

	plan_add(p->plan,
		 (struct action){
		     .verb = verb,
		     .kind = res->singular,
		     .ns = arena_strdup(p->plan->arena, object_namespace(obj)),
		     .name = arena_strdup(p->plan->arena, object_name(obj)),
		     .why = arena_printf(p->plan->arena, "%s%s", why, audit),
		     .body = verb == ACT_DELETE ? NULL : object_clone(obj, p->plan->arena),
		 });
}

void
apply_complain(struct complaints *c, const struct manifest *m, const char *field,
	       const char *text)
{
	int line, col;

	manifest_at(m, field, &line, &col);
	c->path = m->path;
	complaint_add(c, complaint_kind(text), false, line, col, field, text);
}

/* ---- what the source states ---- */

static struct pairs
pairs_copy(const struct pairs *from, const char *without, struct arena *a)
{
	struct pairs to = { .at = arena_alloc(a, (from->n + 1) * sizeof *to.at) };

	for (size_t i = 0; i < from->n; i++)
		if (!without || strncmp(from->at[i].key, without, strlen(without)))
			to.at[to.n++] = from->at[i];
	return to;
}

/* Once read, stringData lies within data; then that is what is stated. */
static void
own_string_data(struct secret *secret, const struct kind *k)
{
	uint64_t bit = merge_bit(k, "stringData");

	if (!(secret->set & bit))
		return;
	secret->set &= ~bit;
	secret->set |= merge_bit(k, "data");
}

/* The manifest's object without what is not the source's to say.  Shares all
 * that is not changed. */
static struct object *
stated_of(const struct manifest *m, struct arena *a)
{
	const struct kind *k = m->res->schema;
	const struct field *status = schema_field(k, "status");
	struct object *o = arena_alloc(a, k->size);
	struct object_meta *meta = arena_alloc(a, sizeof *meta);

	memcpy(o, m->obj, k->size);
	*meta = *m->obj->metadata;
	meta->annotations = pairs_copy(&meta->annotations, not_ours, a);
	meta->labels = pairs_copy(&meta->labels, NULL, a);
	o->metadata = meta;
	o->set |= merge_bit(k, "metadata");
	if (status) {
		*(void **)((char *)o + status->off) = NULL;
		o->set &= ~merge_bit(k, "status");
	}
	if (m->res->id == RES_secret)
		own_string_data((struct secret *)o, k);
	if (m->res->id == RES_service) {
		struct service *svc = (struct service *)o;

		/* `clusterIP: ""` asks for one to be allocated: as if left out. */
		if (svc->spec && str_is(svc->spec->clusterIP, "")) {
			struct service_spec *spec = arena_alloc(a, sizeof *spec);

			*spec = *svc->spec;
			spec->set &= ~merge_bit(service_spec_kind(), "clusterIP");
			svc->spec = spec;
		}
	}
	return o;
}

static void
sign(struct object *o, const char *source, const char *place, const char *stated,
     struct arena *a)
{
	struct object_meta *meta = o->metadata;

	pairs_set(&meta->labels, ANNOTATION_SOURCE, source, a);
	pairs_set(&meta->annotations, ANNOTATION_PLACE, place, a);
	pairs_set(&meta->annotations, ANNOTATION_APPLIED, stated, a);
	meta->set |= merge_bit(object_meta_kind(), "labels") |
		     merge_bit(object_meta_kind(), "annotations");
}

/* ---- why, in one line ---- */

struct summary {
	struct buf text;
	size_t n;
	bool secret;
};

static void
put_short(struct buf *out, const char *s)
{
	size_t n = strlen(s);

	buf_add_plain(out, s, n < 40 ? n : 40);
	if (n > 40)
		buf_adds(out, "...");
}

static void
summarise(void *ctx, const char *path, const char *old, const char *new)
{
	struct summary *s = ctx;

	if (strstr(path, KEDGE_KEYS) || s->n++ >= 3)
		return;
	buf_addf(&s->text, "%s%s", s->n > 1 ? ", " : "", path);
	if (s->secret)
		return;
	buf_addc(&s->text, ' ');
	put_short(&s->text, old ? old : "(none)");
	buf_adds(&s->text, " -> ");
	put_short(&s->text, new ? new : "(none)");
}

static const char *
summary_of(struct pass *p, const struct manifest *m, const void *live, const void *new,
	   const char *place, bool drifted)
{
	struct summary s = { .secret = m->res->id == RES_secret };
	const char *out;

	schema_diff(m->res->schema, live, new, summarise, &s);
	if (s.n > 3)
		buf_addf(&s.text, " and %zu more", s.n - 3);
	if (!object_label(live, ANNOTATION_SOURCE))
		out = arena_printf(p->a, "adopted by %s%s%s", place, s.n ? ": " : "",
				   buf_text(&s.text));
	else if (!s.n)
		out = arena_printf(p->a, "now at %s", place);
	else
		out = arena_printf(p->a, "%s%s", drifted ? "drifted: " : "", buf_text(&s.text));
	buf_done(&s.text);
	return out;
}

/* ---- one manifest ---- */

static void
refused_for_now(struct pass *p)
{
	if (p->w->ret_refused)
		*p->w->ret_refused = true;
}

/* False when a source that still exists has it; said with both places. */
static bool
claim(struct pass *p, const struct manifest *m, const void *live)
{
	const char *other = object_label(live, ANNOTATION_SOURCE);

	if (!other || !strcmp(other, p->w->source) ||
	    !object_annotation(live, ANNOTATION_APPLIED) ||
	    !snapshot_find(p->s, RES_source, "", other))
		return true;
	refused_for_now(p);
	p->c->path = m->path;
	complain(
	    p->c, m->line, m->col, "metadata.name",
	    "%s %s already belongs to source %s (%s); an object can come from one source only: "
	    "take it out of one of the two",
	    m->res->kind, object_path(m->obj, p->c->arena), other,
	    object_annotation(live, ANNOTATION_PLACE) ?: "place unknown");
	return false;
}

/* What a merge leaves behind that the new type cannot have. */
static void
settle_service(struct service *new, const struct service *stated, struct arena *a)
{
	struct service_spec *spec = new->spec;
	uint64_t bit = merge_bit(service_port_kind(), "nodePort");
	bool balanced = service_is(new, "LoadBalancer");
	struct service_port *ports;

	if (!spec || !stated->spec)
		return;
	if (str_is(spec->sessionAffinity, "") || str_is(spec->sessionAffinity, "None"))
		spec->sessionAffinityConfig = stated->spec->sessionAffinityConfig;
	if (service_is(new, "ExternalName")) {
		spec->clusterIP = stated->spec->clusterIP;
		spec->clusterIPs = stated->spec->clusterIPs;
	}
	if (!balanced || !str_is(spec->externalTrafficPolicy, "Local"))
		spec->healthCheckNodePort = stated->spec->healthCheckNodePort;
	if (!balanced) {
		spec->loadBalancerClass = stated->spec->loadBalancerClass;
		spec->allocateLoadBalancerNodePorts = false;
		spec->set &= ~merge_bit(service_spec_kind(), "allocateLoadBalancerNodePorts");
	}
	if (service_has_node_ports(new))
		return;
	spec->externalTrafficPolicy = stated->spec->externalTrafficPolicy;
	ports = arena_alloc(a, spec->ports.n * sizeof *ports + 1);
	for (size_t i = 0; i < spec->ports.n; i++) {
		ports[i] = spec->ports.at[i];
		if (i >= stated->spec->ports.n || !(stated->spec->ports.at[i].set & bit))
			ports[i].nodePort = 0;
	}
	spec->ports.at = ports;
}

/* What was stated before; NULL when it is what is stated now, for then nothing
 * can have been taken back.  kubectl's own record serves for what it made. */
static const struct tree *
stated_before(const void *live, const char *stated, struct arena *a)
{
	const char *text = object_annotation(live, ANNOTATION_APPLIED);
	struct complaints ignored = { .arena = a };

	if (!text)
		text =
		    object_annotation(live, "kubectl.kubernetes.io/last-applied-configuration");
	if (!text || !strcmp(text, stated))
		return NULL;
	return json_read(text, strlen(text), a, &ignored);
}

/* What the namespace has no room for is refused with the commit; what it brings for itself
 * holds for all that comes after. */
static void
admit(struct pass *p, const struct manifest *m, const void *live, struct object *o)
{
	const char *why = admission_refusal(p->s, live, o, p->a);

	if (why && !p->w->admitted) {
		apply_complain(p->c, m, NULL, why);
		refused_for_now(p);
	}
	admission_learn(p->s, o);
}

static void
wait_for(struct pass *p, const struct resource *res, const char *path)
{
	if (!p->plan->waits)
		p->plan->waits =
		    arena_printf(p->plan->arena, "%s %s: the old one is still terminating",
				 res->singular, path);
}

/* Made in a namespace that is being deleted, it would be deleted with it, and be made again. */
static bool
space_is_going(struct pass *p, const char *ns)
{
	const struct object *o = snapshot_find(p->s, RES_namespace, "", ns);

	return o && o->metadata->deletionTimestamp;
}

static void
create(struct pass *p, const struct manifest *m, struct object *o, const char *place)
{
	if (m->res->namespaced && !map_get(&p->spaces, object_namespace(o))) {
		const char *ns = object_namespace(o);

		add(p, ACT_CREATE, &resources[RES_namespace],
		    object_new(RES_namespace, "", ns, p->a),
		    arena_printf(p->a, "needed by %s", place));
		map_put(&p->spaces, ns, p);
	}
	apply_security(p->c, m, labels_of(p, object_namespace(o)), o, p->a);
	if (m->res->id == RES_service)
		apply_claim(p->claims, m, (const struct service *)o);
	if (m->res->namespaced && space_is_going(p, object_namespace(o))) {
		wait_for(p, &resources[RES_namespace], object_namespace(o));
		return;
	}
	admit(p, m, NULL, o);
	add(p, ACT_CREATE, m->res, o, place);
}

static void
update(struct pass *p, const struct manifest *m, const struct object *o, const void *live,
       const char *stated, const char *place)
{
	const struct kind *k = m->res->schema;
	const char *applied = object_annotation(live, ANNOTATION_APPLIED);
	struct object *new;
	const char *why;

	new = merge_three(k, o, live, stated_before(live, stated, p->a), p->a);
	if (m->res->id == RES_service) {
		settle_service((struct service *)new, (const struct service *)o, p->a);
		apply_claim(p->claims, m, (const struct service *)new);
	}
	if (schema_equal(k, live, new))
		return;
	apply_change_check(p->s, p->c, m, live, new, p->a);
	admit(p, m, live, new);
	if (m->res->id == RES_namespace)
		apply_security_namespace(p->s, p->c, m,
					 &((const struct object *)live)->metadata->labels,
					 &new->metadata->labels, p->a);
	else if (m->res->id != RES_pod ||
		 !schema_equal(pod_spec_kind(), ((const struct pod *)live)->spec,
			       ((const struct pod *)new)->spec))
		apply_security(p->c, m, labels_of(p, object_namespace(o)), new, p->a);
	/* The values of data are not kept beside the object: who changed one is not known. */
	why = summary_of(p, m, live, new, place,
			 applied && !strcmp(applied, stated) && m->res->id != RES_config_map &&
			     m->res->id != RES_secret);
	if (m->res->id == RES_pod) {
		const struct pod *was = live, *will = (const struct pod *)new;

		/* But for images, a few numbers, cpu and memory, Kubernetes refuses this.  Here
		 * the file is the truth, so the pod gives way; once it is gone the next pass
		 * creates it. */
		if (was->spec && !pod_changeable(was->spec, will->spec, p->a)) {
			add(p, ACT_DELETE, m->res, live,
			    arena_printf(p->a, "replaced, for a pod's spec cannot change: %s",
					 why));
			return;
		}
	}
	add(p, ACT_UPDATE, m->res, new, why);
}

/* A document that only slid down its file is not a change worth a write; the
 * line is corrected with the next one. */
static const char *
place_of(struct pass *p, const struct manifest *m, const struct object *live,
	 const char *stated)
{
	const char *was = live ? object_annotation(live, ANNOTATION_PLACE) : NULL;
	const char *applied = live ? object_annotation(live, ANNOTATION_APPLIED) : NULL;
	size_t n = strlen(m->path);

	if (was && applied && !strcmp(applied, stated) && !strncmp(was, m->path, n) &&
	    was[n] == ':')
		return was;
	return arena_printf(p->a, "%s:%d", m->path, m->line);
}

static void
apply_one(struct pass *p, const struct manifest *m)
{
	cleanup_buf struct buf text = { 0 };
	const struct object *live =
	    snapshot_find(p->s, m->res->id, object_namespace(m->obj), object_name(m->obj));
	struct object *o = stated_of(m, p->a);
	const char *place, *stated;

	if (live && !claim(p, m, live))
		return;
	merge_stated(m->res->schema, o, &text);
	stated = arena_strdup(p->a, buf_text(&text));
	place = place_of(p, m, live, stated);
	sign(o, p->w->source, place, stated, p->a);
	if (!live)
		create(p, m, o, place);
	else if (live->metadata->deletionTimestamp)
		wait_for(p, m->res, object_path(live, p->a));
	else
		update(p, m, o, live, stated, place);
}

/* ---- what left the source ---- */

/* Does anything live in this namespace, or is about to, that does not leave with it?  What
 * follows from something else (pods of a set, endpoints of a service) does not count, nor what
 * each namespace has. */
static bool
is_needed(struct pass *p, const char *ns)
{
	for (size_t i = 0; i < p->w->n; i++)
		if (str_is(object_namespace(p->w->at[i]->obj), ns))
			return true;
	for (int r = 0; r < RES_COUNT; r++) {
		struct objects in = { 0 };

		if (resources[r].namespaced && r != RES_event && r != RES_endpoints)
			in = snapshot_in(p->s, (enum resource_id)r, ns);
		for (size_t i = 0; i < in.n; i++) {
			const struct object *o = in.at[i];
			bool going = false;

			for (size_t g = 0; g < p->ngone && !going; g++)
				going = p->gone[g] == o;
			if (!going && !o->metadata->ownerReferences.n &&
			    !o->metadata->deletionTimestamp && !account_is_given(o))
				return true;
		}
	}
	return false;
}

/* It is nobody's from now on: deleting it would take along what this source never had. */
static void
release(struct pass *p, const struct object *o)
{
	struct object *copy = object_clone(o, p->a);
	struct object_meta *m = copy->metadata;

	pairs_del(&m->labels, ANNOTATION_SOURCE);
	pairs_del(&m->annotations, ANNOTATION_PLACE);
	pairs_del(&m->annotations, ANNOTATION_APPLIED);
	add(p, ACT_UPDATE, resource_of(o), copy,
	    arena_printf(p->a, "left source %s; it stays, for there are others' objects in it",
			 p->w->source));
}

static bool
is_ours(const struct pass *p, const struct object *o)
{
	const char *source = object_label(o, ANNOTATION_SOURCE);

	/* The label alone may have been copied: onto a slice, a replica set. */
	return source && !strcmp(source, p->w->source) && own_is_signed(o) &&
	       !o->metadata->deletionTimestamp;
}

static bool
is_gone(const struct pass *p, const struct object *o)
{
	const char *key = key_of(resource_of(o), o, p->a);

	return !map_get(&p->wanted, key) && (!p->w->before || map_get(&p->left, key));
}

static void
find_gone(struct pass *p)
{
	size_t most = 0;

	for (size_t r = 0; r < ORDER; r++)
		most += p->s->of[order[r]].n;
	p->gone = arena_alloc(p->a, (p->w->before ? p->left.n : most) * sizeof *p->gone + 1);
	for (size_t r = 0; r < ORDER; r++) {
		const struct objects *all = &p->s->of[order[r]];

		for (size_t i = 0; !p->w->before && i < all->n; i++)
			if (is_ours(p, all->at[i])) {
				p->ours++;
				if (is_gone(p, all->at[i]))
					p->gone[p->ngone++] = all->at[i];
			}
		for (struct map_slot *at = map_first(&p->left); at;
		     at = map_next(&p->left, at)) {
			const struct manifest *m = at->value;
			const struct object *o =
			    m->res->id == order[r]
				? snapshot_find(p->s, order[r], object_namespace(m->obj),
						object_name(m->obj))
				: NULL;

			if (o && is_ours(p, o) && is_gone(p, o))
				p->gone[p->ngone++] = o;
		}
	}
	if (p->w->before)
		p->ours = p->w->nbefore;
}

enum { NAMED = 3 };

static void
refuse_prune(struct pass *p)
{
	cleanup_buf struct buf names = { 0 };

	for (size_t i = 0; i < p->ngone && i < NAMED; i++)
		buf_addf(&names, "%s%s %s", i ? ", " : "", resource_of(p->gone[i])->singular,
			 object_path(p->gone[i], p->a));
	if (p->ngone > NAMED)
		buf_addf(&names, " and %zu more; `kedge diff` shows all", p->ngone - NAMED);
	p->c->path = NULL;
	complain(p->c, 0, 0, NULL,
		 "source %s would lose %zu of its %zu objects (%s); if that is meant, run "
		 "`kedge sync %s --allow-prune`%s",
		 p->w->source, p->ngone, p->ours, buf_text(&names), p->w->source,
		 p->w->no_commits
		     ? ""
		     : " or write `Kedge-Prune: yes` as the last line of the commit "
		       "message");
}

static int
by_kind_and_name(const void *x, const void *y)
{
	const void *a = *(const void *const *)x, *b = *(const void *const *)y;
	size_t ra = 0, rb = 0;

	while (order[ra] != resource_of(a)->id)
		ra++;
	while (order[rb] != resource_of(b)->id)
		rb++;
	return ra != rb ? (ra > rb) - (ra < rb) : object_compare(a, b);
}

static void
prune(struct pass *p)
{
	find_gone(p);
	if (!p->ngone)
		return;
	qsort(p->gone, p->ngone, sizeof *p->gone, by_kind_and_name);
	if (!p->w->prune_allowed && (!p->w->n || (p->ngone > 5 && p->ngone > p->ours / 2))) {
		refuse_prune(p);
		return;
	}
	for (size_t i = p->ngone; i-- > 0;) {
		const char *data = apply_storage_prune(p->s, p->gone[i], p->w->source, p->a);

		if (resource_of(p->gone[i])->id == RES_namespace &&
		    is_needed(p, object_name(p->gone[i]))) {
			release(p, p->gone[i]);
			continue;
		}
		add(p, ACT_DELETE, resource_of(p->gone[i]), p->gone[i],
		    data ? data : arena_printf(p->a, "left source %s", p->w->source));
	}
}

/* ---- the whole ---- */

/* Pointers, in a table of twice their number: an unchanged manifest is the very same. */
struct pointers {
	const void **at;
	size_t mask;
};

static const void **
pointers_slot(const struct pointers *t, const void *p)
{
	size_t i = (uintptr_t)p / 16 * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	while (t->at[i & t->mask] && t->at[i & t->mask] != p)
		i++;
	return &t->at[i & t->mask];
}

static struct pointers
pointers_of(struct manifest *const *at, size_t n, struct arena *a)
{
	struct pointers t = { .mask = 15 };

	while (t.mask < n * 2)
		t.mask = t.mask * 2 + 1;
	t.at = arena_zalloc(a, (t.mask + 1) * sizeof *t.at);
	for (size_t i = 0; i < n; i++)
		*pointers_slot(&t, at[i]) = at[i];
	return t;
}

static void
find_changes(struct pass *p)
{
	const struct wanted *w = p->w;
	struct pointers was, is;
	struct manifest **todo;

	p->todo = w->at;
	p->ntodo = w->n;
	if (!w->before)
		return;
	was = pointers_of(w->before, w->nbefore, p->a);
	is = pointers_of(w->at, w->n, p->a);
	p->todo = todo = arena_alloc(p->a, w->n * sizeof *todo + 1);
	p->ntodo = 0;
	for (size_t i = 0; i < w->n; i++)
		if (!*pointers_slot(&was, w->at[i]))
			todo[p->ntodo++] = w->at[i];
	for (size_t i = 0; i < w->nbefore; i++)
		if (!*pointers_slot(&is, w->before[i]))
			map_put(&p->left, key_of(w->before[i]->res, w->before[i]->obj, p->a),
				w->before[i]);
}

static void
look_around(struct pass *p)
{
	const struct objects *services = &p->s->of[RES_service];

	find_changes(p);
	for (size_t i = 0; i < p->s->of[RES_namespace].n; i++)
		map_put(&p->spaces, object_name(p->s->of[RES_namespace].at[i]), p);
	for (size_t i = 0; i < p->ntodo; i++) {
		const struct manifest *m = p->todo[i];

		map_put(&p->wanted, key_of(m->res, m->obj, p->a), (void *)m);
		if (m->res->id == RES_namespace)
			map_put(&p->spaces, object_name(m->obj), p);
	}
	/* Services that stay as they are, whoever's they may be. */
	for (size_t i = 0; i < services->n; i++) {
		const struct object *o = services->at[i];

		if (!map_get(&p->wanted, key_of(&resources[RES_service], o, p->a)) &&
		    !(is_ours(p, o) && is_gone(p, o)))
			apply_claim(p->claims, NULL, (const struct service *)o);
	}
}

void
apply_reconcile(struct snapshot *s, const struct wanted *w, struct plan *plan,
		struct complaints *c)
{
	struct pass p = { .s = s, .w = w, .plan = plan, .c = c, .a = s->arena };
	size_t n = plan->n;
	int errors = c->errors;

	p.claims = apply_claims_new(s->settings, c, s->arena);
	look_around(&p);
	for (size_t r = 0; r < ORDER; r++)
		for (size_t i = 0; i < p.ntodo; i++)
			if (p.todo[i]->res->id == order[r])
				apply_one(&p, p.todo[i]);
	prune(&p);
	if (apply_claims_clash(p.claims))
		refused_for_now(&p);
	if (c->errors > errors)
		plan->n = n;
	apply_claims_done(p.claims);
	map_done(&p.wanted);
	map_done(&p.left);
	map_done(&p.spaces);
}

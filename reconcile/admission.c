/* admission.c -- LimitRanges and ResourceQuotas, asked about each object that is made. */
#include "admission.h"
#include "base/buf.h"
#include "workload.h"

struct tally { /* of one quota: thousandths, in the order of its `hard` */
	const struct resource_quota *quota;
	struct amount *used;
};

struct admission { /* of one namespace */
	const char *ns;
	const struct limit_range **ranges;
	struct tally *tallies;
	size_t nranges, ntallies;
	struct admission *next;
};

static struct tally
tally_new(struct snapshot *s, const struct resource_quota *q)
{
	size_t n = q->spec->hard.n;
	struct tally t = { q, arena_alloc(s->arena, (n + 1) * sizeof *t.used) };

	for (size_t i = 0; i < n; i++)
		t.used[i] = usage_sum(s, q, q->spec->hard.at[i].key);
	return t;
}

static struct admission *
admission_of(struct snapshot *s, const char *ns)
{
	struct objects ranges, quotas;
	struct admission *ad;

	for (ad = s->admission; ad; ad = ad->next)
		if (!strcmp(ad->ns, ns))
			return ad;
	ad = arena_zalloc(s->arena, sizeof *ad);
	ranges = snapshot_in(s, RES_limit_range, ns);
	quotas = snapshot_in(s, RES_resource_quota, ns);
	ad->ns = ns;
	ad->ranges = arena_alloc(s->arena, (ranges.n + 1) * sizeof *ad->ranges);
	ad->tallies = arena_alloc(s->arena, (quotas.n + 1) * sizeof *ad->tallies);
	for (size_t i = 0; i < ranges.n; i++)
		if (((const struct limit_range *)ranges.at[i])->spec)
			ad->ranges[ad->nranges++] = (const struct limit_range *)ranges.at[i];
	for (size_t i = 0; i < quotas.n; i++)
		if (((const struct resource_quota *)quotas.at[i])->spec)
			ad->tallies[ad->ntallies++] =
			    tally_new(s, (const struct resource_quota *)quotas.at[i]);
	ad->next = s->admission;
	return s->admission = ad;
}

static void
learn_range(struct snapshot *s, struct admission *ad, const struct limit_range *r)
{
	const struct limit_range **at = arena_alloc(s->arena, (ad->nranges + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < ad->nranges; i++)
		if (!str_is(object_name(ad->ranges[i]), object_name(r)))
			at[n++] = ad->ranges[i];
	at[n++] = r;
	ad->ranges = at;
	ad->nranges = n;
}

static void
learn_quota(struct snapshot *s, struct admission *ad, const struct resource_quota *q)
{
	struct tally *at = arena_alloc(s->arena, (ad->ntallies + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < ad->ntallies; i++)
		if (!str_is(object_name(ad->tallies[i].quota), object_name(q)))
			at[n++] = ad->tallies[i];
	at[n++] = tally_new(s, q);
	ad->tallies = at;
	ad->ntallies = n;
}

void
admission_learn(struct snapshot *s, const void *obj)
{
	enum resource_id id = resource_of(obj)->id;
	const struct resource_quota *q = obj;
	const struct limit_range *r = obj;

	if (id == RES_limit_range && r->spec)
		learn_range(s, admission_of(s, object_namespace(obj)), r);
	if (id == RES_resource_quota && q->spec)
		learn_quota(s, admission_of(s, object_namespace(obj)), q);
}

/* ---- limits ---- */

static void
default_pod(struct snapshot *s, const struct admission *ad, struct pod *pod)
{
	if (!ad->nranges || !pod->spec)
		return;
	pod->spec = schema_clone(pod_spec_kind(), pod->spec, s->arena);
	pod->metadata = meta_copy(pod->metadata, s->arena);
	for (size_t i = 0; i < ad->nranges; i++)
		limits_default(ad->ranges[i], pod, s->arena);
}

/* ---- quotas ---- */

/* What a quota that counts cpu or memory wants stated by each container. */
static const char *const must_state[] = { "cpu",    "limits.cpu",   "limits.memory",
					  "memory", "requests.cpu", "requests.memory" };

static bool
states(const struct container *c, const char *name)
{
	const struct resource_requirements *r = c->resources;
	bool limits = !strncmp(name, "limits.", 7);
	const char *dot = strchr(name, '.');

	return r && pairs_get(limits ? &r->limits : &r->requests, dot ? dot + 1 : name);
}

/* "must specify limits.cpu for: a,b; limits.memory for: a"; NULL: all do. */
static const char *
missing(const struct resource_quota *q, const struct pod_spec *spec, struct arena *a)
{
	struct buf all = { 0 };
	const char *text = NULL;

	for (size_t i = 0; i < sizeof must_state / sizeof *must_state; i++) {
		struct buf who = { 0 };

		for (size_t k = 0;
		     pairs_get(&q->spec->hard, must_state[i]) && k < pod_parts(spec); k++)
			if (pod_part_role(spec, k) != PART_EPHEMERAL &&
			    !states(pod_part(spec, k), must_state[i]))
				buf_addf(&who, "%s%s", who.len ? "," : "",
					 pod_part(spec, k)->name);
		if (who.len)
			buf_addf(&all, "%s%s for: %s", all.len ? "; " : "", must_state[i],
				 buf_text(&who));
		buf_done(&who);
	}
	if (all.len)
		text = arena_printf(a, "must specify %s", buf_text(&all));
	buf_done(&all);
	return text;
}

struct demand { /* of one quota's row */
	struct amount more;
	bool over;
};

/* How much more than before; what it gives back is not asked about. */
static struct amount
demand_of(struct snapshot *s, const struct resource_quota *q, const char *name,
	  const void *live, const void *new)
{
	struct amount is = usage_of(new, name, s->now), was = { 0 };

	if (live && usage_matches(q, live))
		was = usage_of(live, name, s->now);
	is.milli = most(0, is.milli - was.milli);
	return is;
}

static void
list(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "%s%s=%s", b->len ? "," : "", name, value);
}

static const char *
exceeded(const struct tally *t, const struct demand *d, struct arena *a)
{
	struct buf asked = { 0 }, used = { 0 }, hard = { 0 };
	const struct pairs *h = &t->quota->spec->hard;
	const char *text = NULL;

	for (size_t i = 0; i < h->n; i++) {
		if (!d[i].over)
			continue;
		list(&asked, h->at[i].key, amount_print(d[i].more, a));
		list(&used, h->at[i].key, amount_print(t->used[i], a));
		list(&hard, h->at[i].key, h->at[i].value);
	}
	if (asked.len)
		text = arena_printf(
		    a, "exceeded quota: %s, requested: %s, used: %s, limited: %s",
		    object_name(t->quota), buf_text(&asked), buf_text(&used), buf_text(&hard));
	buf_done(&asked);
	buf_done(&used);
	buf_done(&hard);
	return text;
}

/* Nothing is charged before every quota has agreed. */
static const char *
charge(struct snapshot *s, struct admission *ad, const void *live, const void *new)
{
	const struct pod *pod = resource_of(new)->id == RES_pod ? new : NULL;
	struct demand **d = arena_alloc(s->arena, (ad->ntallies + 1) * sizeof *d);

	for (size_t i = 0; i < ad->ntallies; i++) {
		const struct tally *t = &ad->tallies[i];
		const struct pairs *h = &t->quota->spec->hard;
		const char *why = NULL;

		d[i] = arena_zalloc(s->arena, (h->n + 1) * sizeof **d);
		if (!usage_matches(t->quota, new))
			continue;
		if (pod && pod->spec && (why = missing(t->quota, pod->spec, s->arena)))
			return arena_printf(s->arena, "failed quota: %s: %s",
					    object_name(t->quota), why);
		for (size_t k = 0; k < h->n; k++) {
			d[i][k].more = demand_of(s, t->quota, h->at[k].key, live, new);
			d[i][k].over = d[i][k].more.milli > 0 &&
				       t->used[k].milli >
					   quantity_milli(h->at[k].value) - d[i][k].more.milli;
		}
		if ((why = exceeded(t, d[i], s->arena)))
			return why;
	}
	for (size_t i = 0; i < ad->ntallies; i++)
		for (size_t k = 0; k < ad->tallies[i].quota->spec->hard.n; k++) {
			ad->tallies[i].used[k].milli += d[i][k].more.milli;
			ad->tallies[i].used[k].binary |= d[i][k].more.binary;
		}
	return NULL;
}

/* A pod's change is asked about when what it takes changes. */
static bool
is_asked(const void *live, const void *new)
{
	const struct pod *was = live, *is = new;

	return resource_of(new)->id != RES_pod || !live || !was->spec || !is->spec ||
	       !schema_equal(pod_spec_kind(), was->spec, is->spec);
}

/* There are none of these here, so none is found.  Without one a pod would run with less around
 * it than it asked for. */
static const char *
runtime_class_refuses(const struct pod *pod, struct arena *a)
{
	return pod->spec && !str_is(pod->spec->runtimeClassName, "")
		   ? arena_printf(a, "pod rejected: RuntimeClass \"%s\" not found",
				  pod->spec->runtimeClassName)
		   : NULL;
}

const char *
admission_refuses(struct snapshot *s, const void *live, void *new)
{
	struct admission *ad;
	const char *why = NULL;

	if (!resource_of(new)->namespaced || resource_of(new)->id == RES_event ||
	    !is_asked(live, new))
		return NULL;
	ad = admission_of(s, object_namespace(new));
	if (!live && resource_of(new)->id == RES_pod) {
		default_pod(s, ad, new);
		why = runtime_class_refuses(new, s->arena);
	}
	if (why)
		return why;
	why = limits_refuse(ad->ranges, ad->nranges, new, s->arena);
	return why ? why : charge(s, ad, live, new);
}

const char *
admission_refusal(struct snapshot *s, const void *live, void *new, struct arena *a)
{
	const struct resource *r = resource_of(new);
	const char *why = admission_refuses(s, live, new);

	return why ? arena_printf(a, "%s%s%s \"%s\" is forbidden: %s", r->plural,
				  *r->group ? "." : "", r->group, object_name(new), why)
		   : NULL;
}

/* admission_limits.c -- LimitRanges, as Kubernetes' LimitRanger. */
#include "admission.h"
#include "base/buf.h"
#include "workload.h"

#define ANNOTATION_LIMITS "kubernetes.io/limit-ranger"

/* ---- defaults ---- */

/* "cpu, memory request for container c" */
static void
note(struct buf *said, const struct buf *names, const char *what, const char *kind,
     const char *container)
{
	if (names->len)
		buf_addf(said, "%s%.*s %s for %s %s", said->len ? "; " : "", (int)names->len,
			 names->at, what, kind, container);
}

/* What it leaves out; the names of that go to `names`. */
static void
fill(struct pairs *to, const struct pairs *from, struct buf *names, struct arena *a)
{
	for (size_t i = 0; i < from->n; i++) {
		if (pairs_get(to, from->at[i].key))
			continue;
		pairs_set(to, from->at[i].key, from->at[i].value, a);
		buf_addf(names, "%s%s", names->len ? ", " : "", from->at[i].key);
	}
}

static void
default_container(struct container *c, const char *kind, const struct limit_range_item *l,
		  struct buf *said, struct arena *a)
{
	struct buf requests = { 0 }, limits = { 0 };

	if (!c->resources)
		c->resources = arena_zalloc(a, sizeof *c->resources);
	fill(&c->resources->limits, &l->default_limit, &limits, a);
	fill(&c->resources->requests, &l->defaultRequest, &requests, a);
	note(said, &requests, "request", kind, c->name);
	note(said, &limits, "limit", kind, c->name);
	buf_done(&requests);
	buf_done(&limits);
}

void
limits_default(const struct limit_range *range, struct pod *pod, struct arena *a)
{
	struct buf said = { 0 };

	for (size_t i = 0; i < range->spec->limits.n; i++) {
		const struct limit_range_item *l = &range->spec->limits.at[i];

		if (!str_is(l->type, "Container"))
			continue;
		for (size_t k = 0; k < pod->spec->containers.n; k++)
			default_container(&pod->spec->containers.at[k], "container", l, &said,
					  a);
		for (size_t k = 0; k < pod->spec->initContainers.n; k++)
			default_container(&pod->spec->initContainers.at[k], "init container", l,
					  &said, a);
	}
	if (said.len)
		pairs_set(&pod->metadata->annotations, ANNOTATION_LIMITS,
			  arena_printf(a, "LimitRanger plugin set: %s", buf_text(&said)), a);
	buf_done(&said);
}

/* ---- limits ---- */

struct checked { /* one container, a pod or a claim */
	const char *type;
	const struct limit_range_item *item;
	struct buf *out;
	size_t *n;
	struct arena *a;
};

static void
say(const struct checked *c, const char *text)
{
	buf_addf(c->out, "%s%s", (*c->n)++ ? ", " : "", text);
}

/* NULL: it is not stated. */
static void
check_min(const struct checked *c, const char *name, const char *least, const char *request,
	  const char *limit)
{
	if (!request)
		say(c, arena_printf(c->a,
				    "minimum %s usage per %s is %s.  No request is specified",
				    name, c->type, least));
	else if (quantity_milli(request) < quantity_milli(least))
		say(c, arena_printf(c->a, "minimum %s usage per %s is %s, but request is %s",
				    name, c->type, least, request));
	else if (limit && quantity_milli(limit) < quantity_milli(least))
		say(c, arena_printf(c->a, "minimum %s usage per %s is %s, but limit is %s",
				    name, c->type, least, limit));
}

static void
check_max(const struct checked *c, const char *name, const char *top, const char *request,
	  const char *limit)
{
	if (!limit)
		say(c,
		    arena_printf(c->a, "maximum %s usage per %s is %s.  No limit is specified",
				 name, c->type, top));
	else if (quantity_milli(limit) > quantity_milli(top))
		say(c, arena_printf(c->a, "maximum %s usage per %s is %s, but limit is %s",
				    name, c->type, top, limit));
	else if (request && quantity_milli(request) > quantity_milli(top))
		say(c, arena_printf(c->a, "maximum %s usage per %s is %s, but request is %s",
				    name, c->type, top, request));
}

static void
check_ratio(const struct checked *c, const char *name, const char *top, const char *request,
	    const char *limit)
{
	double ratio;

	if (!request || !quantity_milli(request)) {
		say(c, arena_printf(c->a,
				    "%s max limit to request ratio per %s is %s, but no "
				    "request is specified "
				    "or "
				    "request is 0",
				    name, c->type, top));
		return;
	}
	if (!limit || !quantity_milli(limit)) {
		say(c, arena_printf(c->a,
				    "%s max limit to request ratio per %s is %s, but no limit "
				    "is specified or "
				    "limit is 0",
				    name, c->type, top));
		return;
	}
	ratio = (double)quantity_milli(limit) / (double)quantity_milli(request);
	if (ratio * 1000 > (double)quantity_milli(top))
		say(c,
		    arena_printf(
			c->a,
			"%s max limit to request ratio per %s is %s, but provided ratio is %f",
			name, c->type, top, ratio));
}

typedef void check_fn(const struct checked *, const char *name, const char *bound,
		      const char *request, const char *limit);
/* What is requested (or the limit) of a resource by whatever is checked; NULL: not stated. */
typedef const char *value_fn(const void *, const char *name, bool limits, struct arena *);

static void
check_all(const struct checked *c, const void *of, value_fn *value)
{
	const struct {
		const struct pairs *bounds;
		check_fn *fn;
	} rows[] = { { &c->item->min, check_min },
		     { &c->item->max, check_max },
		     { &c->item->maxLimitRequestRatio, check_ratio } };

	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
		for (size_t i = 0; i < rows[r].bounds->n; i++) {
			const struct pair *b = &rows[r].bounds->at[i];

			rows[r].fn(c, b->key, b->value, value(of, b->key, false, c->a),
				   value(of, b->key, true, c->a));
		}
}

static const char *
of_container(const void *of, const char *name, bool limits, struct arena *a)
{
	const struct resource_requirements *r = ((const struct container *)of)->resources;

	(void)a;
	return r ? pairs_get(limits ? &r->limits : &r->requests, name) : NULL;
}

/* As Kubernetes: written without Ki and Mi. */
static const char *
of_pod(const void *of, const char *name, bool limits, struct arena *a)
{
	bool any;
	struct amount sum = pod_sum(of, name, limits, &any);

	sum.binary = false;
	return any ? amount_print(sum, a) : NULL;
}

/* A claim only requests; that is held against the most, too. */
static const char *
of_claim(const void *of, const char *name, bool limits, struct arena *a)
{
	const struct persistent_volume_claim_spec *s = of;

	(void)a;
	(void)limits;
	return s->resources ? pairs_get(&s->resources->requests, name) : NULL;
}

static void
check_claim(const struct checked *c, const struct persistent_volume_claim *pvc)
{
	const char *least = pairs_get(&c->item->min, "storage"),
		   *top = pairs_get(&c->item->max, "storage"),
		   *has = pvc->spec ? of_claim(pvc->spec, "storage", false, c->a) : NULL;

	if (!has)
		return;
	if (least)
		check_min(c, "storage", least, has, NULL);
	if (top && quantity_milli(has) > quantity_milli(top))
		say(c, arena_printf(c->a,
				    "maximum storage usage per PersistentVolumeClaim is %s, "
				    "but request is %s",
				    top, has));
}

static void
check_item(const struct checked *c, const void *obj)
{
	enum resource_id id = resource_of(obj)->id;
	const struct pod *pod = obj;

	if (id == RES_persistent_volume_claim && str_is(c->type, "PersistentVolumeClaim"))
		check_claim(c, obj);
	if (id != RES_pod || !pod->spec)
		return;
	if (str_is(c->type, "Pod"))
		check_all(c, pod->spec, of_pod);
	if (!str_is(c->type, "Container"))
		return;
	for (size_t i = 0; i < pod->spec->containers.n; i++)
		check_all(c, &pod->spec->containers.at[i], of_container);
	for (size_t i = 0; i < pod->spec->initContainers.n; i++)
		check_all(c, &pod->spec->initContainers.at[i], of_container);
}

const char *
limits_refuse(const struct limit_range *const *at, size_t n, const void *obj, struct arena *a)
{
	struct buf out = { 0 };
	const char *text = NULL;
	size_t wrong = 0;

	/* One range after the other, the first that is not kept to speaks. */
	for (size_t i = 0; i < n && !wrong; i++)
		for (size_t k = 0; k < at[i]->spec->limits.n; k++) {
			const struct limit_range_item *l = &at[i]->spec->limits.at[k];

			check_item(&(struct checked){ l->type, l, &out, &wrong, a }, obj);
		}
	if (wrong)
		text = arena_printf(a, "%s%s%s", wrong > 1 ? "[" : "", buf_text(&out),
				    wrong > 1 ? "]" : "");
	buf_done(&out);
	return text;
}

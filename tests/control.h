/* control.h -- a store and a host in memory, for tests of the controllers.
 *
 * The store does with a plan's actions what kedge's does (uids, versions,
 * generations, refused conflicts, the mark on deleted pods).  The host starts,
 * drains and stops pods when it is told to; a test moves it on by hand.
 */
#ifndef KEDGE_TEST_CONTROL_H
#define KEDGE_TEST_CONTROL_H
#include "base/arena.h"
#include "base/buf.h"
#include "controllers.h"
#include "plan.h"
#include "snapshot.h"
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KIT_MAX = 32, KIT_CONTAINERS = 4 };
#define KIT_NOW INT64_C(1800000000000)

/* A sandbox on the host. */
struct kit_pod {
	struct pod_seen seen;
	struct container_seen at[KIT_CONTAINERS];
	const char *env[KIT_CONTAINERS]; /* versions that the main containers were told */
	bool draining;
};

struct kit {
	struct arena arena; /* objects; everything dies with it */
	struct object **of[RES_COUNT];
	size_t n[RES_COUNT], cap[RES_COUNT];
	struct stores_seen stores;
	struct store_seen stores_at[KIT_MAX];
	struct kit_pod **pods;
	size_t npods, cap_pods;
	struct probe_seen probes[KIT_MAX];
	size_t nprobes;
	struct programmed rules[KIT_MAX];
	size_t nrules;
	struct settings settings;
	struct host_seen host;
	struct images_seen *images; /* on the host; NULL: nobody knows */
	struct pull_seen_row pulls[KIT_MAX];
	size_t npulls;
	bool mute; /* the hand has not spoken yet */
	int64_t now;
	uint64_t seed, version, uids;
	struct plan plan; /* the last one */
	struct arena pass;
	struct snapshot snap;
	struct buf text;
	size_t conflicts;
};

static inline void
kit_init(struct kit *k)
{
	*k = (struct kit){ .now = KIT_NOW, .seed = 1 };
	k->settings = (struct settings){ .node_name = "node",
					 .node_ip = "192.0.2.1",
					 .pods = { 0x0a2a0000, 16, false },
					 .svcs = { 0x0a2b0000, 16, false },
					 .cluster_domain = "cluster.local",
					 .drain_ms = 5000 };
	k->host.memory = INT64_C(8) << 30;
}

static inline void
kit_done(struct kit *k)
{
	arena_free(&k->pass);
	arena_free(&k->arena);
	buf_done(&k->text);
	for (int r = 0; r < RES_COUNT; r++)
		free(k->of[r]);
	for (size_t i = 0; i < k->npods; i++)
		free(k->pods[i]);
	free(k->pods);
}

/* For cmocka: each test begins with a kit of its own. */
static inline int
kit_setup(void **state)
{
	struct kit *k = xcalloc(1, sizeof *k);

	kit_init(k);
	*state = k;
	return 0;
}

static inline int
kit_teardown(void **state)
{
	kit_done(*state);
	free(*state);
	return 0;
}

/* ---- the store ---- */

static inline size_t
kit_place(struct kit *k, enum resource_id r, const char *ns, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = k->n[r];

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(object_namespace(k->of[r][mid]), ns);

		if (!c)
			c = strcmp(object_name(k->of[r][mid]), name);
		if (!c) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline void *
kit_find(struct kit *k, enum resource_id r, const char *name)
{
	bool found;
	size_t at = kit_place(k, r, resources[r].namespaced ? "default" : "", name, &found);

	return found ? k->of[r][at] : NULL;
}

static inline void *
kit_put(struct kit *k, const void *obj)
{
	enum resource_id r = resource_of(obj)->id;
	struct object *o = object_clone(obj, &k->arena);
	bool found;
	size_t at = kit_place(k, r, object_namespace(o), object_name(o), &found);

	if (!found) {
		if (k->n[r] == k->cap[r]) {
			k->cap[r] = k->cap[r] ? k->cap[r] * 2 : 16;
			k->of[r] = xrealloc(k->of[r], k->cap[r] * sizeof *k->of[r]);
		}
		memmove(k->of[r] + at + 1, k->of[r] + at, (k->n[r] - at) * sizeof *k->of[r]);
		k->n[r]++;
	}
	k->of[r][at] = o;
	o->metadata->resourceVersion =
	    arena_printf(&k->arena, "%llu", (unsigned long long)++k->version);
	return o;
}

static inline void *
kit_create(struct kit *k, const void *obj)
{
	struct object *o = object_clone(obj, &k->arena);

	if (!o->metadata->uid)
		o->metadata->uid =
		    arena_printf(&k->arena, "uid-%04llu", (unsigned long long)++k->uids);
	if (!o->metadata->creationTimestamp)
		o->metadata->creationTimestamp = k->now;
	if (!o->metadata->generation)
		o->metadata->generation = 1;
	return kit_put(k, o);
}

static inline void
kit_drop(struct kit *k, enum resource_id r, const char *ns, const char *name)
{
	bool found;
	size_t at = kit_place(k, r, ns, name, &found);

	if (!found)
		return;
	k->n[r]--;
	memmove(k->of[r] + at, k->of[r] + at + 1, (k->n[r] - at) * sizeof *k->of[r]);
}

static inline const void *
kit_spec(const void *obj, const struct kind **ret_kind)
{
	const struct kind *kind = resource_of(obj)->schema;
	const struct field *f = schema_field(kind, "spec");

	if (!f)
		return NULL;
	*ret_kind = f->of();
	return *(void *const *)((const char *)obj + f->off);
}

static inline void
kit_update(struct kit *k, const void *obj)
{
	const struct object *was;
	struct object *o;
	const struct kind *kind = NULL;
	const void *a, *b;
	bool found;
	size_t at =
	    kit_place(k, resource_of(obj)->id, object_namespace(obj), object_name(obj), &found);

	if (!found)
		return;
	was = k->of[resource_of(obj)->id][at];
	if (strcmp(was->metadata->resourceVersion,
		   ((const struct object *)obj)->metadata->resourceVersion)) {
		k->conflicts++;
		return;
	}
	o = object_clone(obj, &k->arena);
	a = kit_spec(was, &kind);
	b = kit_spec(o, &kind);
	if (a && b && !schema_equal(kind, a, b))
		o->metadata->generation++;
	kit_put(k, o);
}

/* Objects from YAML, as kedge's own words: uid and status may be stated. */
static inline void
kit_read(struct kit *k, const char *yaml)
{
	struct complaints c = { .arena = &k->arena, .path = "test.yaml" };

	for (struct tree *doc = yaml_read(yaml, strlen(yaml), &k->arena, &c); doc;
	     doc = doc->next) {
		const struct resource *r;
		struct object *o;

		if (doc->type != N_MAP)
			continue;
		r = resource_find(tree_get(doc, "apiVersion")->text,
				  tree_get(doc, "kind")->text);
		assert(r);
		o = schema_decode(r->schema, doc, SCHEMA_TRUSTED, &k->arena, &c);
		if (c.errors)
			break;
		if (r->namespaced && !o->metadata->namespace)
			o->metadata->namespace = "default";
		kit_create(k, o);
	}
	for (struct complaint *p = c.first; p; p = p->next)
		if (!p->warning)
			fprintf(stderr, "%s\n", complaint_print(p, &k->arena));
	assert(!c.errors);
}

/* ---- the host ---- */

/* Where the sandbox of this uid is, or would be: they are sorted by uid. */
static inline size_t
kit_pod_at(struct kit *k, const char *uid)
{
	size_t lo = 0, hi = k->npods;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(k->pods[mid]->seen.uid, uid) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline struct kit_pod *
kit_pod_of(struct kit *k, const char *uid)
{
	size_t at = kit_pod_at(k, uid);

	return at < k->npods && !strcmp(k->pods[at]->seen.uid, uid) ? k->pods[at] : NULL;
}

static inline struct kit_pod *
kit_pod_new(struct kit *k, const char *uid)
{
	struct kit_pod *p = kit_pod_of(k, uid);
	size_t at = kit_pod_at(k, uid);

	if (!p) {
		if (k->npods == k->cap_pods) {
			k->cap_pods = k->cap_pods ? k->cap_pods * 2 : 16;
			k->pods = xrealloc(k->pods, k->cap_pods * sizeof *k->pods);
		}
		memmove(k->pods + at + 1, k->pods + at, (k->npods++ - at) * sizeof *k->pods);
		p = k->pods[at] = xcalloc(1, sizeof *p);
	}
	p->seen = (struct pod_seen){ .uid = arena_strdup(&k->arena, uid), .state = "starting" };
	memset(p->at, 0, sizeof p->at);
	p->draining = false; /* what its containers were told stays */
	return p;
}

static inline void
kit_pod_drop(struct kit *k, const char *uid)
{
	size_t at = kit_pod_at(k, uid);

	if (!kit_pod_of(k, uid))
		return;
	free(k->pods[at]);
	memmove(k->pods + at, k->pods + at + 1, (--k->npods - at) * sizeof *k->pods);
}

/* Every container of the pod runs. */
static inline struct kit_pod *
kit_up(struct kit *k, const char *pod)
{
	const struct pod *o = kit_find(k, RES_pod, pod);
	struct kit_pod *p = kit_pod_new(k, object_uid(o));

	p->seen.ns = object_namespace(o);
	p->seen.name = object_name(o);
	p->seen.ip = o->status ? o->status->podIP : NULL;
	p->seen.state = "up";
	p->seen.containers.at = p->at;
	p->seen.containers.n = o->spec->containers.n;
	for (size_t i = 0; i < o->spec->containers.n; i++)
		p->at[i] = (struct container_seen){ .name = o->spec->containers.at[i].name,
						    .state = "running",
						    .imageID = "sha256:1",
						    .envVersion = p->env[i],
						    .startedAt = k->now };
	return p;
}

/* ---- passes ---- */

static inline struct snapshot *
kit_snapshot(struct kit *k)
{
	arena_free(&k->pass);
	k->snap = (struct snapshot){ .now = k->now,
				     .seed = k->seed++,
				     .settings = &k->settings,
				     .probes = k->probes,
				     .nprobes = k->nprobes,
				     .programmed = k->rules,
				     .nprogrammed = k->nrules,
				     .host = k->mute ? NULL : &k->host,
				     .images = k->images,
				     .pulls = k->pulls,
				     .npulls = k->npulls,
				     .stores = k->mute ? NULL : &k->stores,
				     .arena = &k->pass };
	for (int r = 0; r < RES_COUNT; r++)
		k->snap.of[r] =
		    (struct objects){ (const struct object *const *)k->of[r], k->n[r] };
	k->snap.pods = arena_alloc(&k->pass, (k->npods + 1) * sizeof *k->snap.pods);
	for (size_t i = 0; i < k->npods; i++)
		((const struct pod_seen **)k->snap.pods)[i] = &k->pods[i]->seen;
	k->snap.npods = k->npods;
	plan_init(&k->plan, &k->pass);
	return &k->snap;
}

static inline void
kit_mark(struct kit *k, const struct action *a)
{
	bool found;
	size_t at = kit_place(k, RES_pod, a->ns, a->name, &found);
	struct pod *pod;

	if (!found || k->of[RES_pod][at]->metadata->deletionTimestamp)
		return;
	pod = object_clone(k->of[RES_pod][at], &k->arena);
	pod->metadata->deletionGracePeriodSeconds = pod->spec->terminationGracePeriodSeconds;
	pod->metadata->deletionTimestamp =
	    k->now + pod->metadata->deletionGracePeriodSeconds * 1000;
	kit_put(k, pod);
}

static inline bool
kit_guarded(struct kit *k, enum resource_id r, const struct action *a)
{
	bool found;
	size_t at = kit_place(k, r, a->ns, a->name, &found);

	return found && k->of[r][at]->metadata->finalizers.n;
}

/* What has finalizers stays until its controller forgets it. */
static inline void
kit_mark_any(struct kit *k, enum resource_id r, const struct action *a)
{
	bool found;
	size_t at = kit_place(k, r, a->ns, a->name, &found);
	struct object *o;

	if (r == RES_pod) {
		kit_mark(k, a);
	} else if (found && !k->of[r][at]->metadata->deletionTimestamp) {
		o = object_clone(k->of[r][at], &k->arena);
		o->metadata->deletionTimestamp = k->now;
		kit_put(k, o);
	}
}

static inline void
kit_store_drop(struct kit *k, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < k->stores.stores.n; i++)
		if (strcmp(k->stores_at[i].name, name))
			k->stores_at[n++] = k->stores_at[i];
	k->stores.stores.n = n;
}

static inline int
kit_store_order(const void *a, const void *b)
{
	return strcmp(((const struct store_seen *)a)->name,
		      ((const struct store_seen *)b)->name);
}

static inline void
kit_store_put(struct kit *k, const char *name)
{
	kit_store_drop(k, name);
	assert(k->stores.stores.n < KIT_MAX);
	k->stores.folder = "/state/volumes";
	k->stores.stores.at = k->stores_at;
	k->stores_at[k->stores.stores.n++] =
	    (struct store_seen){ .name = arena_strdup(&k->arena, name), .there = true };
	qsort(k->stores_at, k->stores.stores.n, sizeof *k->stores_at, kit_store_order);
}

static inline const char *
kit_body_uid(const struct action *a)
{
	switch (a->verb) {
	case ACT_START:
	case ACT_FILES:
		return ((const struct sandbox_args *)a->body)->uid;
	case ACT_STOP:
		return ((const struct stop_args *)a->body)->uid;
	case ACT_DRAIN:
		return ((const struct drain_args *)a->body)->uid;
	default:
		return NULL;
	}
}

static inline void
kit_told_env(struct kit *k, struct kit_pod *p, const struct sandbox_args *args)
{
	size_t n = 0;

	for (size_t i = 0; i < args->containers.n && n < KIT_CONTAINERS; i++)
		if (!strcmp(args->containers.at[i].role, "main"))
			p->env[n++] =
			    arena_strdup(&k->arena, args->containers.at[i].envVersion);
}

/* What the brain does with one action. */
static inline void
kit_carry(struct kit *k, const struct action *a)
{
	const struct resource *r = resource_named(a->kind);
	struct kit_pod *p;

	switch (a->verb) {
	case ACT_CREATE:
		assert(!kit_find(k, r->id, a->name));
		kit_create(k, a->body);
		break;
	case ACT_UPDATE:
	case ACT_STATUS:
	case ACT_SCALE:
		kit_update(k, a->body);
		break;
	case ACT_DELETE:
		if (r->id == RES_pod || kit_guarded(k, r->id, a))
			kit_mark_any(k, r->id, a);
		else
			kit_drop(k, r->id, a->ns, a->name);
		break;
	case ACT_FORGET:
		if (r->id == RES_pod)
			kit_pod_drop(k, object_uid(kit_find(k, RES_pod, a->name)));
		kit_drop(k, r->id, a->ns, a->name);
		break;
	case ACT_PROVISION:
		kit_store_put(k, a->name);
		break;
	case ACT_RECLAIM:
		kit_store_drop(k, a->name);
		break;
	case ACT_START:
		p = kit_pod_new(k, kit_body_uid(a));
		p->seen.ip =
		    arena_strdup(&k->arena, ((const struct sandbox_args *)a->body)->ip);
		kit_told_env(k, p, a->body);
		break;
	case ACT_RENEW: {
		const struct add_args *args = a->body;

		p = kit_pod_of(k, args->uid);
		for (size_t i = 0; p && i < p->seen.containers.n; i++)
			if (!strcmp(p->at[i].name, args->container->name))
				p->at[i].held =
				    args->container->hold && !strcmp(p->at[i].state, "waiting"),
				p->at[i].reason = NULL,
				p->at[i].envVersion = p->env[i] =
				    arena_strdup(&k->arena, args->container->envVersion);
		break;
	}
	case ACT_STOP:
		if ((p = kit_pod_of(k, kit_body_uid(a))))
			p->seen.state = "stopping";
		break;
	case ACT_DRAIN:
		if ((p = kit_pod_of(k, kit_body_uid(a))))
			p->draining = true;
		break;
	default:
		break;
	}
}

static inline const char *
kit_text(struct kit *k)
{
	buf_clear(&k->text);
	plan_print(&k->plan, &k->text);
	return buf_text(&k->text);
}

/* One pass of one controller over one object, printed. */
#define kit_try(k, fn, res, name)                           \
	({                                                  \
		struct snapshot *s_ = kit_snapshot(k);      \
		fn(s_, kit_find(k, res, name), &(k)->plan); \
		kit_text(k);                                \
	})

static inline void
kit_carry_all(struct kit *k)
{
	for (size_t i = 0; i < k->plan.n; i++)
		kit_carry(k, &k->plan.at[i]);
}

/* Like kit_try, and what the plan says is done. */
#define kit_do(k, fn, res, name)                            \
	({                                                  \
		const char *t_ = kit_try(k, fn, res, name); \
		kit_carry_all(k);                           \
		t_;                                         \
	})

/* The body of the first action of this verb, or NULL. */
static inline const void *
kit_body(struct kit *k, enum verb v)
{
	for (size_t i = 0; i < k->plan.n; i++)
		if (k->plan.at[i].verb == v)
			return k->plan.at[i].body;
	return NULL;
}
#endif

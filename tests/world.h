/* world.h -- a snapshot out of YAML text, for tests of controllers.
 *
 * Objects are decoded as kedge's own words (status and uid allowed), so that a
 * test can say what lives; a plan's store verbs can be carried out on it.
 */
#ifndef KEDGE_TEST_WORLD_H
#define KEDGE_TEST_WORLD_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "controllers.h"
#include "plan.h"
#include "snapshot.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
	struct arena arena;
	const struct object **at[RES_COUNT];
	size_t n[RES_COUNT];
	struct settings settings;
	struct snapshot s;
};

static int
world_order(const void *a, const void *b)
{
	return object_compare(*(const void *const *)a, *(const void *const *)b);
}

static inline void
world_put(struct world *w, const void *obj)
{
	enum resource_id id = resource_of(obj)->id;
	const struct object **at = arena_alloc(&w->arena, (w->n[id] + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < w->n[id]; i++)
		if (object_compare(w->at[id][i], obj))
			at[n++] = w->at[id][i];
	at[n++] = obj;
	qsort(at, n, sizeof *at, world_order);
	w->at[id] = at;
	w->n[id] = n;
}

static inline void
world_drop(struct world *w, const char *kind, const char *ns, const char *name)
{
	enum resource_id id = resource_named(kind)->id;
	size_t n = 0;

	for (size_t i = 0; i < w->n[id]; i++)
		if (strcmp(object_namespace(w->at[id][i]), ns) ||
		    strcmp(object_name(w->at[id][i]), name))
			w->at[id][n++] = w->at[id][i];
	w->n[id] = n;
}

static inline void
world_read(struct world *w, const char *yaml)
{
	struct complaints c = { .arena = &w->arena, .path = "seen.yaml" };

	for (struct tree *doc = yaml_read(yaml, strlen(yaml), &w->arena, &c); doc;
	     doc = doc->next) {
		const struct tree *version =
		    doc->type == N_MAP ? tree_get(doc, "apiVersion") : NULL;
		const struct tree *kind = doc->type == N_MAP ? tree_get(doc, "kind") : NULL;
		const struct resource *res;
		struct object *o;

		if (doc->type != N_MAP)
			continue; /* nothing between two lines of --- */
		assert(version && kind);
		res = resource_find(version->text, kind->text);
		assert(res);
		o = schema_decode(res->schema, doc, SCHEMA_TRUSTED, &w->arena, &c);
		if (res->namespaced && !o->metadata->namespace)
			o->metadata->namespace = "default";
		world_put(w, o);
	}
	for (struct complaint *p = c.first; p; p = p->next)
		if (!p->warning)
			fprintf(stderr, "%s\n", complaint_print(p, &w->arena));
	assert(!c.errors);
}

/* A fresh snapshot of what the world holds now. */
static inline struct snapshot *
world_snapshot(struct world *w)
{
	int64_t now = w->s.now ? w->s.now : INT64_C(1800000000000);
	const struct host_seen *host = w->s.host;

	if (!w->settings.node_name)
		w->settings = (struct settings){ .node_name = "node",
						 .node_ip = "192.0.2.1",
						 .pods = { 0x0a2a0000, 16, false },
						 .svcs = { 0x0a2b0000, 16, false },
						 .node_port_lo = 30000,
						 .node_port_hi = 32767,
						 .cluster_domain = "cluster.local" };
	w->s = (struct snapshot){ .now = now,
				  .seed = 1,
				  .host = host,
				  .waits = w->s.waits,
				  .nwaits = w->s.nwaits,
				  .arena = &w->arena };
	w->s.settings = &w->settings;
	for (int r = 0; r < RES_COUNT; r++) {
		w->s.of[r].at = w->at[r];
		w->s.of[r].n = w->n[r];
	}
	return &w->s;
}

/* What the store would do with the plan. */
static inline void
world_obey(struct world *w, const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct action *a = &p->at[i];

		switch (a->verb) {
		case ACT_CREATE:
		case ACT_UPDATE:
		case ACT_STATUS:
		case ACT_SCALE:
			assert(a->body);
			world_put(w, object_clone(a->body, &w->arena));
			break;
		case ACT_DELETE:
		case ACT_FORGET:
			world_drop(w, a->kind, a->ns, a->name);
			break;
		default:
			break;
		}
	}
}
#endif

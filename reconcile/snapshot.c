/* snapshot.c -- the indexes over what a pass reads.
 *
 * A snapshot is arrays sorted by name; every other way in (by uid, by owner,
 * by label, by served address) is a table built on first use, in one walk over
 * the array, and kept until the snapshot's arena dies.  So a pass over a settled
 * world costs a constant number of walks, whatever the number of questions.
 *
 * Invariant: a group lists its members in the order of the snapshot, so equal
 * snapshots give equal answers and hence equal plans.
 */
#include "snapshot.h"
#include "base/arena.h"
#include "base/map.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What a group is found by; parts that a table has no use for are "". */
struct key {
	const char *a, *b, *c;
};

struct group {
	struct key key; /* key.a is NULL in an empty slot */
	uint64_t hash;
	const struct object **at;
	size_t n, cap;
};

struct table {
	bool built;
	struct group *slots;
	size_t n, cap; /* cap is 0 or a power of two */
};

struct snapshot_index {
	struct table uid[RES_COUNT], owned[RES_COUNT], orphans[RES_COUNT], labels[RES_COUNT];
	struct table served; /* addresses in the rules */
};

static uint64_t
key_hash(struct key k)
{
	uint64_t h = hash_secret(k.a, strlen(k.a));

	return hash_hard(hash_hard(h, k.b, strlen(k.b)), k.c, strlen(k.c));
}

static struct group *
table_slot(const struct table *t, struct key k, uint64_t hash)
{
	size_t i = hash & (t->cap - 1);

	for (;; i = (i + 1) & (t->cap - 1)) {
		struct group *g = &t->slots[i];

		if (!g->key.a || (g->hash == hash && !strcmp(g->key.a, k.a) &&
				  !strcmp(g->key.b, k.b) && !strcmp(g->key.c, k.c)))
			return g;
	}
}

static void
table_grow(struct table *t, struct arena *a)
{
	struct table old = *t;

	t->cap = old.cap ? old.cap * 2 : 64;
	t->slots = arena_zalloc(a, t->cap * sizeof *t->slots);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].key.a)
			*table_slot(t, old.slots[i].key, old.slots[i].hash) = old.slots[i];
}

/* Puts obj (NULL: nothing, the key alone counts) into the group of this key. */
static void
table_add(struct table *t, struct key k, const struct object *obj, struct arena *a)
{
	uint64_t hash = key_hash(k);
	struct group *g;

	if ((t->n + 1) * 4 > t->cap * 3)
		table_grow(t, a);
	g = table_slot(t, k, hash);
	if (!g->key.a) {
		g->key = k;
		g->hash = hash;
		t->n++;
	}
	if (!obj)
		return;
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 2;
		const struct object **at = arena_alloc(a, cap * sizeof *at);

		if (g->n)
			memcpy(at, g->at, g->n * sizeof *at);
		g->at = at;
		g->cap = cap;
	}
	g->at[g->n++] = obj;
}

static const struct group *
table_find(const struct table *t, struct key k)
{
	const struct group *g;

	if (!t->cap)
		return NULL;
	g = table_slot(t, k, key_hash(k));
	return g->key.a ? g : NULL;
}

static struct objects
group_objects(const struct group *g)
{
	return g ? (struct objects){ (const struct object *const *)g->at, g->n }
		 : (struct objects){ 0 };
}

static struct snapshot_index *
index_of(struct snapshot *s)
{
	if (!s->index)
		s->index = arena_zalloc(s->arena, sizeof *s->index);
	return s->index;
}

/* The first object that does not come before (ns, name). */
static size_t
lower_bound(const struct objects *all, const char *ns, const char *name)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(object_namespace(all->at[mid]), ns);

		if (!c)
			c = strcmp(object_name(all->at[mid]), name);
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const void *
snapshot_find(const struct snapshot *s, enum resource_id res, const char *ns, const char *name)
{
	const struct objects *all = &s->of[res];
	size_t i = lower_bound(all, ns, name);

	if (i == all->n || strcmp(object_namespace(all->at[i]), ns) ||
	    strcmp(object_name(all->at[i]), name))
		return NULL;
	return all->at[i];
}

struct objects
snapshot_in(const struct snapshot *s, enum resource_id res, const char *ns)
{
	const struct objects *all = &s->of[res];
	size_t lo = lower_bound(all, ns, ""), hi = lo, end = all->n;

	while (hi < end) { /* past the last one of ns */
		size_t mid = hi + (end - hi) / 2;

		if (!strcmp(object_namespace(all->at[mid]), ns))
			hi = mid + 1;
		else
			end = mid;
	}
	return (struct objects){ all->at + lo, hi - lo };
}

const void *
snapshot_by_uid(struct snapshot *s, enum resource_id res, const char *uid)
{
	struct table *t = &index_of(s)->uid[res];
	const struct group *g;

	if (!t->built) {
		t->built = true;
		for (size_t i = 0; i < s->of[res].n; i++)
			table_add(t, (struct key){ object_uid(s->of[res].at[i]), "", "" },
				  s->of[res].at[i], s->arena);
	}
	g = table_find(t, (struct key){ uid, "", "" });
	return g ? g->at[0] : NULL;
}

/* One walk fills both: an object is in the table of its owner or of the orphans. */
static void
index_owners(struct snapshot *s, enum resource_id res)
{
	struct snapshot_index *x = index_of(s);

	if (x->owned[res].built)
		return;
	x->owned[res].built = true;
	for (size_t i = 0; i < s->of[res].n; i++) {
		const struct object *o = s->of[res].at[i];
		const struct owner_reference *by = object_controller(o);

		if (by && by->uid)
			table_add(&x->owned[res], (struct key){ by->uid, "", "" }, o, s->arena);
		else
			table_add(&x->orphans[res], (struct key){ object_namespace(o), "", "" },
				  o, s->arena);
	}
}

struct objects
snapshot_owned(struct snapshot *s, enum resource_id res, const char *owner_uid)
{
	index_owners(s, res);
	return group_objects(
	    table_find(&index_of(s)->owned[res], (struct key){ owner_uid, "", "" }));
}

struct objects
snapshot_orphans(struct snapshot *s, enum resource_id res, const char *ns)
{
	index_owners(s, res);
	return group_objects(
	    table_find(&index_of(s)->orphans[res], (struct key){ ns, "", "" }));
}

static void
index_labels(struct snapshot *s, enum resource_id res)
{
	struct table *t = &index_of(s)->labels[res];

	if (t->built)
		return;
	t->built = true;
	for (size_t i = 0; i < s->of[res].n; i++) {
		const struct object *o = s->of[res].at[i];
		const struct pairs *l = &o->metadata->labels;

		for (size_t j = 0; j < l->n; j++)
			table_add(t,
				  (struct key){ object_namespace(o), l->at[j].key,
						l->at[j].value ? l->at[j].value : "" },
				  o, s->arena);
	}
}

struct objects
snapshot_selected(struct snapshot *s, enum resource_id res, const char *ns,
		  const struct pairs *selector)
{
	const struct group *rarest = NULL;
	const struct object **at;
	size_t n = 0;

	if (!selector->n) /* as a Service without a selector: nobody */
		return (struct objects){ 0 };
	index_labels(s, res);
	for (size_t i = 0; i < selector->n; i++) {
		const struct pair *p = &selector->at[i];
		const struct group *g =
		    table_find(&index_of(s)->labels[res],
			       (struct key){ ns, p->key, p->value ? p->value : "" });

		if (!g)
			return (struct objects){ 0 };
		if (!rarest || g->n < rarest->n)
			rarest = g;
	}
	if (selector->n == 1)
		return group_objects(rarest);
	at = arena_alloc(s->arena, rarest->n * sizeof *at);
	for (size_t i = 0; i < rarest->n; i++)
		if (selector_map_matches(selector, &rarest->at[i]->metadata->labels))
			at[n++] = rarest->at[i];
	return (struct objects){ at, n };
}

static int
pod_order(const void *uid, const void *row)
{
	return strcmp(uid, (*(const struct pod_seen *const *)row)->uid);
}

const struct pod_seen *
snapshot_seen(const struct snapshot *s, const char *uid)
{
	const struct pod_seen *const *row =
	    s->npods ? bsearch(uid, s->pods, s->npods, sizeof *s->pods, pod_order) : NULL;

	return row ? *row : NULL;
}

static int
probe_order(const void *a, const void *b)
{
	const struct probe_seen *x = a, *y = b;
	int c = strcmp(x->uid, y->uid);

	return c ? c : strcmp(x->container, y->container);
}

const struct probe_seen *
snapshot_probe(const struct snapshot *s, const char *uid, const char *container)
{
	const struct probe_seen key = { .uid = uid, .container = container };

	return s->nprobes ? bsearch(&key, s->probes, s->nprobes, sizeof *s->probes, probe_order)
			  : NULL;
}

/* In rows ordered by the id each begins with: the first that is not before `id`. */
static size_t
first_from(const void *rows, size_t n, size_t size, const char *id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(*(char *const *)((const char *)rows + mid * size), id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t
snapshot_programmed_from(const struct snapshot *s, const char *id)
{
	return first_from(s->programmed, s->nprogrammed, sizeof *s->programmed, id);
}

const struct programmed *
snapshot_programmed(const struct snapshot *s, const char *id)
{
	size_t i = snapshot_programmed_from(s, id);

	return i < s->nprogrammed && !strcmp(s->programmed[i].id, id) ? &s->programmed[i]
								      : NULL;
}

size_t
snapshot_enforced_from(const struct snapshot *s, const char *id)
{
	return first_from(s->enforced, s->nenforced, sizeof *s->enforced, id);
}

const struct enforced *
snapshot_enforced(const struct snapshot *s, const char *id)
{
	size_t i = snapshot_enforced_from(s, id);

	return i < s->nenforced && !strcmp(s->enforced[i].id, id) ? &s->enforced[i] : NULL;
}

static void
index_served(struct snapshot *s, const struct programmed *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct service_args *a = rules[i].args;

		for (size_t j = 0; a && j < a->endpoints.n; j++)
			table_add(&index_of(s)->served,
				  (struct key){ a->endpoints.at[j].ip, "", "" }, NULL,
				  s->arena);
	}
}

bool
snapshot_serves(struct snapshot *s, const char *ip)
{
	struct table *t = &index_of(s)->served;

	if (s->rules_unknown)
		return ip != NULL;
	if (!t->built) {
		t->built = true;
		index_served(s, s->programmed, s->nprogrammed);
		index_served(s, s->pending, s->npending);
	}
	return ip && table_find(t, (struct key){ ip, "", "" });
}

const char *
snapshot_suffix(struct snapshot *s, const char *about, uint64_t nonce, size_t n)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint64_t h = hash_bytes(hash_str(s->seed, about), &nonce, sizeof nonce);
	char *text = arena_alloc(s->arena, n + 1);

	assert(n < 16);
	for (size_t i = 0; i < n; i++) {
		text[i] = letters[h % (sizeof letters - 1)];
		h = i == 7 ? hash_bytes(h, &nonce, sizeof nonce) : h / (sizeof letters - 1);
	}
	text[n] = 0;
	return text;
}

/* store.c -- the objects in memory, their history, and what still has to reach
 * the disk.
 *
 * An object is a value in an arena of its own, counted by who holds it: the
 * table it is in and the ring of changes.  What nobody holds any more is put in
 * the graveyard and freed at the next commit, so that a pass may go on reading
 * what it read while its own plan changes the store.
 */
#include "store.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/map.h"
#include "store_disk.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

/* The ring also ends where it would hold more than this: old versions of a
 * thousand pods are not worth the memory.  Not of what watchers had no chance to read. */
enum { RING_BYTES = 1024 * 1024, RING_LEAST = 64 };
enum { MARKS = 96 }; /* a new object's uid and resourceVersion */
/* Versions that a start leaves out: more than a life can have given out unwritten. */
enum { LEAP = 1 << 20 };

struct held {
	struct arena arena;
	struct object *obj;
	int refs;
	struct held *next; /* in the graveyard */
};

struct table {
	struct held **held;       /* sorted by namespace, name */
	const struct object **at; /* the same, for readers */
	size_t n, cap;
};

struct past {
	struct change change;
	struct held *obj, *was;
};

struct dirty {
	enum resource_id res;
	char *ns, *name;
};

struct listener {
	void (*fn)(void *ctx);
	void *ctx;
};

struct store {
	struct table of[RES_COUNT];
	struct past *ring;    /* STORE_RING of them; version v is at v % STORE_RING */
	uint64_t version;     /* of the newest change */
	uint64_t oldest;      /* changes with a version above this are in the ring */
	uint64_t told;        /* what listeners have heard of */
	uint64_t told_before; /* the same one commit earlier: by now they have read it */
	size_t ring_bytes;
	struct held *graveyard;
	struct map dirty; /* "kind/ns/name" -> struct dirty */
	struct map notes; /* key -> char * */
	struct map dirty_notes;
	struct listener *listeners;
	size_t nlisteners;
	struct disk *disk; /* NULL: memory only */
};

/* ---- held objects ---- */

/* Held for long, by the ten thousand: it takes what it needs. */
static struct held *
held_new(const struct resource *r, const void *obj)
{
	struct held *h = xcalloc(1, sizeof *h);

	arena_reserve(&h->arena, schema_room(r->schema, obj) + MARKS);
	h->obj = schema_clone(r->schema, obj, &h->arena);
	h->refs = 1;
	return h;
}

static void
held_free(struct held *h)
{
	arena_free(&h->arena);
	free(h);
}

static struct held *
held_ref(struct held *h)
{
	if (h)
		h->refs++;
	return h;
}

static void
held_drop(struct store *s, struct held *h)
{
	if (!h || --h->refs)
		return;
	h->next = s->graveyard;
	s->graveyard = h;
}

static void
graveyard_clear(struct store *s)
{
	struct held *h;

	while ((h = s->graveyard)) {
		s->graveyard = h->next;
		held_free(h);
	}
}

/* ---- tables ---- */

/* Where ns/name is, or where it would go. */
static size_t
table_place(const struct table *t, const char *ns, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = t->n;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(object_namespace(t->at[mid]), ns);

		if (!c)
			c = strcmp(object_name(t->at[mid]), name);
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

static void
table_insert(struct table *t, size_t i, struct held *h)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->held = xrealloc(t->held, t->cap * sizeof *t->held);
		t->at = xrealloc(t->at, t->cap * sizeof *t->at);
	}
	memmove(t->held + i + 1, t->held + i, (t->n - i) * sizeof *t->held);
	memmove(t->at + i + 1, t->at + i, (t->n - i) * sizeof *t->at);
	t->held[i] = h;
	t->at[i] = h->obj;
	t->n++;
}

static void
table_remove(struct table *t, size_t i)
{
	t->n--;
	memmove(t->held + i, t->held + i + 1, (t->n - i) * sizeof *t->held);
	memmove(t->at + i, t->at + i + 1, (t->n - i) * sizeof *t->at);
}

/* ---- the ring ---- */

static void
ring_forget(struct store *s)
{
	struct past *p = &s->ring[++s->oldest % STORE_RING];

	s->ring_bytes -= p->obj->arena.bytes;
	held_drop(s, p->obj);
	held_drop(s, p->was);
	*p = (struct past){ 0 };
}

/* Takes one reference of obj and of was. */
static void
ring_add(struct store *s, enum change_type type, enum resource_id res, struct held *obj,
	 struct held *was)
{
	struct past *p;

	s->version++;
	while (s->version - s->oldest > STORE_RING ||
	       (s->version - s->oldest > RING_LEAST && s->ring_bytes > RING_BYTES &&
		s->oldest < s->told_before))
		ring_forget(s);
	p = &s->ring[s->version % STORE_RING];
	p->obj = obj;
	p->was = was;
	p->change = (struct change){ s->version, type, res, obj->obj, was ? was->obj : NULL };
	s->ring_bytes += obj->arena.bytes;
}

int
store_next(const struct store *s, uint64_t version, const struct change **ret, struct error **e)
{
	if (version < s->oldest || version > s->version)
		return fail(e, WHY_EXPIRED,
			    "too old resource version: %" PRIu64 " (%" PRIu64 ")", version,
			    s->oldest);
	*ret = version == s->version ? NULL : &s->ring[(version + 1) % STORE_RING].change;
	return 0;
}

/* ---- what has to be written ---- */

static void
mark(struct store *s, enum resource_id res, const char *ns, const char *name)
{
	cleanup_free char *key = NULL;
	struct dirty *d;

	if (!s->disk)
		return;
	xasprintf(&key, "%d/%s/%s", res, ns, name);
	if (map_get(&s->dirty, key))
		return;
	d = xcalloc(1, sizeof *d);
	*d = (struct dirty){ res, xstrdup(ns), xstrdup(name) };
	map_put(&s->dirty, key, d);
}

static void
dirty_clear(struct store *s)
{
	for (struct map_slot *m = map_first(&s->dirty); m; m = map_next(&s->dirty, m)) {
		struct dirty *d = m->value;

		free(d->ns);
		free(d->name);
		free(d);
	}
	map_done(&s->dirty);
	map_done(&s->dirty_notes);
}

/* "pods", "deployments.apps": as Kubernetes' messages and our file name a kind */
static char *
kind_key(const struct resource *r)
{
	char *key = NULL;

	xasprintf(&key, "%s%s%s", r->plural, *r->group ? "." : "", r->group);
	return key;
}

static int
write_object(struct store *s, const struct dirty *d, struct error **e)
{
	const struct resource *r = &resources[d->res];
	const void *obj = store_find(s, d->res, d->ns, d->name);
	cleanup_free char *kind = kind_key(r);
	cleanup_buf struct buf json = { 0 };

	if (!obj)
		return disk_delete(s->disk, kind, d->ns, d->name, e);
	schema_encode(r->schema, obj, &json);
	return disk_put(s->disk, kind, d->ns, d->name, json.at, json.len, e);
}

static int
write_all(struct store *s, struct error **e)
{
	if (disk_begin(s->disk, e) < 0)
		return -1;
	for (struct map_slot *m = map_first(&s->dirty); m; m = map_next(&s->dirty, m))
		if (write_object(s, m->value, e) < 0)
			return -1;
	for (struct map_slot *m = map_first(&s->dirty_notes); m;
	     m = map_next(&s->dirty_notes, m))
		if (disk_note(s->disk, m->key, store_note(s, m->key), e) < 0)
			return -1;
	return disk_end(s->disk, s->version, e);
}

static int
write_dirty(struct store *s, struct error **e)
{
	if (!s->disk || !(s->dirty.n + s->dirty_notes.n))
		return 0;
	if (write_all(s, e) < 0) {
		disk_undo(s->disk);
		return -1;
	}
	dirty_clear(s);
	return 0;
}

static void
tell(struct store *s)
{
	graveyard_clear(s);
	if (s->told == s->version)
		return;
	s->told_before = s->told;
	s->told = s->version;
	for (size_t i = 0; i < s->nlisteners; i++)
		s->listeners[i].fn(s->listeners[i].ctx);
}

int
store_commit(struct store *s, struct error **e)
{
	int rc = write_dirty(s, e);

	/* Watchers hear of it even if the disk did not take it: they ask what is
	 * so in memory, and that is what the controllers act upon. */
	tell(s);
	return rc;
}

/* Takes the newest change back.  What it marked as dirty stays so: written once more it is
 * what the file has. */
static void
undo_last(struct store *s)
{
	struct past *p = &s->ring[s->version % STORE_RING];
	const struct object *obj = p->change.obj;
	struct table *t = &s->of[p->change.res];
	bool found;
	size_t i = table_place(t, object_namespace(obj), object_name(obj), &found);

	assert(found == (p->change.type != CHANGE_DELETED));
	if (p->change.type == CHANGE_DELETED) {
		table_insert(t, i, p->was);
	} else {
		held_drop(s, t->held[i]);
		if (p->change.type == CHANGE_ADDED) {
			table_remove(t, i);
		} else {
			t->held[i] = p->was;
			t->at[i] = p->was->obj;
		}
	}
	s->ring_bytes -= p->obj->arena.bytes;
	held_drop(s, p->obj);
	*p = (struct past){ 0 };
	s->version--;
}

int
store_commit_or_undo(struct store *s, uint64_t since, struct error **e)
{
	int rc = write_dirty(s, e);

	assert(since >= s->oldest && since >= s->told);
	while (rc < 0 && s->version > since)
		undo_last(s);
	tell(s);
	return rc;
}

/* ---- reading a file back ---- */

static const struct resource *
kind_of_key(const char *key)
{
	for (size_t i = 0; i < RES_COUNT; i++) {
		const struct resource *r = &resources[i];
		size_t n = strlen(r->plural);

		if (!strncmp(r->plural, key, n) &&
		    (*r->group ? key[n] == '.' && !strcmp(key + n + 1, r->group) : !key[n]))
			return r;
	}
	return NULL;
}

static int
load_object(void *ctx, const char *kind, const char *json, size_t len, struct error **e)
{
	const struct resource *r = kind_of_key(kind);
	struct store *s = ctx;
	cleanup_arena struct arena scratch = { 0 };
	struct complaints c = { .arena = &scratch, .path = kind };
	const struct tree *tree = r ? json_read(json, len, &scratch, &c) : NULL;
	const struct object *o = NULL;
	struct held *h;
	bool found;
	size_t i;

	if (tree)
		o = schema_decode(r->schema, tree, SCHEMA_TRUSTED, &scratch, &c);
	if (!o || c.errors || !o->metadata || !o->metadata->name)
		return fail(
		    e, WHY_INVALID,
		    "one of its %s cannot be read: %s. Move the file away and start again, "
		    "or install the kedge that wrote it",
		    kind, c.first ? c.first->text : "no such kind");
	/* What was decoded shares its strings with the tree: keep only a copy. */
	h = held_new(r, o);
	i = table_place(&s->of[r->id], object_namespace(h->obj), object_name(h->obj), &found);
	assert(!found);
	table_insert(&s->of[r->id], i, h);
	return 0;
}

static void
load_note(void *ctx, const char *key, const char *value)
{
	struct store *s = ctx;

	free(map_put(&s->notes, key, xstrdup(value)));
}

/* An earlier life may have told of changes that the disk never had.  Their versions are not
 * given out again with others: whoever watches from one of them is told to list anew.  A disk
 * that takes nothing is no reason not to start; what is written then is refused. */
static void
leap(struct store *s)
{
	s->version += LEAP;
	if (disk_begin(s->disk, NULL) < 0 || disk_end(s->disk, s->version, NULL) < 0)
		disk_undo(s->disk);
}

int
store_open(const char *path, struct store **ret, struct error **e)
{
	struct store *s = xcalloc(1, sizeof *s);

	s->ring = xcalloc(STORE_RING, sizeof *s->ring);
	if (*path && strcmp(path, ":memory:")) {
		struct disk_reader r = { load_object, load_note, s };

		if (disk_open(path, STORE_SCHEMA, &s->disk, e) < 0 ||
		    disk_read(s->disk, &r, &s->version, e) < 0) {
			store_close(s);
			return -1;
		}
		leap(s);
	}
	s->oldest = s->told = s->told_before = s->version;
	*ret = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	while (s->oldest < s->version)
		ring_forget(s);
	for (size_t r = 0; r < RES_COUNT; r++) {
		for (size_t i = 0; i < s->of[r].n; i++)
			held_drop(s, s->of[r].held[i]);
		free(s->of[r].held);
		free(s->of[r].at);
	}
	graveyard_clear(s);
	dirty_clear(s);
	for (struct map_slot *m = map_first(&s->notes); m; m = map_next(&s->notes, m))
		free(m->value);
	map_done(&s->notes);
	free(s->listeners);
	free(s->ring);
	disk_close(s->disk);
	free(s);
}

/* ---- writing ---- */

const char *
store_new_uid(struct arena *a)
{
	unsigned char b[16];

	if (getrandom(b, sizeof b, 0) != sizeof b)
		abort();
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 4122: version 4 */
	b[8] = (b[8] & 0x3f) | 0x80; /* its variant */
	return arena_printf(
	    a, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
	    b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
	    b[14], b[15]);
}

static void
give_version(struct store *s, struct held *h)
{
	h->obj->metadata->resourceVersion = arena_printf(&h->arena, "%" PRIu64, s->version + 1);
}

static int
fail_about(struct error **e, enum why why, const struct resource *r, const char *name,
	   const char *what)
{
	cleanup_free char *kind = kind_key(r);

	if (why == WHY_CONFLICT)
		return fail(e, why, "Operation cannot be fulfilled on %s \"%s\": %s", kind,
			    name, what);
	return fail(e, why, "%s \"%s\" %s", kind, name, what);
}

int
store_create(struct store *s, const void *obj, int64_t now, struct error **e)
{
	const struct resource *r = resource_of(obj);
	const char *ns = object_namespace(obj), *name = object_name(obj);
	struct table *t = &s->of[r->id];
	struct object_meta *m;
	struct held *h;
	bool found;
	size_t i;

	i = table_place(t, ns, name, &found);
	if (found)
		return fail_about(e, WHY_EXISTS, r, name, "already exists");
	h = held_new(r, obj);
	m = h->obj->metadata;
	m->uid = store_new_uid(&h->arena);
	/* Whole seconds, as it will be read back. */
	m->creationTimestamp = now - now % 1000;
	m->generation = object_is_numbered(r);
	give_version(s, h);
	table_insert(t, i, h);
	ring_add(s, CHANGE_ADDED, r->id, held_ref(h), NULL);
	mark(s, r->id, ns, name);
	return 0;
}

/* What is nobody's but the store's to say of the one that takes `was`'s place. */
static void
meta_keep(struct object_meta *m, const struct object_meta *was)
{
	m->uid = was->uid;
	m->creationTimestamp = was->creationTimestamp;
	m->generation = was->generation;
	m->resourceVersion = was->resourceVersion;
}

/* Asked far more often than not in vain, so nothing is cloned for it. */
static bool
changes_nothing(const struct resource *r, const void *obj, const struct object *was)
{
	cleanup_arena struct arena a = { 0 };
	struct object *o = arena_alloc(&a, r->schema->size);
	struct object_meta m;

	memcpy(o, obj, r->schema->size);
	m = *o->metadata;
	meta_keep(&m, was->metadata);
	o->metadata = &m;
	return schema_equal(r->schema, o, was);
}

int
store_update(struct store *s, const void *obj, struct error **e)
{
	const struct resource *r = resource_of(obj);
	const char *name = object_name(obj),
		   *asked = ((const struct object *)obj)->metadata->resourceVersion;
	struct table *t = &s->of[r->id];
	const struct object_meta *was;
	struct object_meta *m;
	struct held *h;
	bool found;
	size_t i;

	i = table_place(t, object_namespace(obj), name, &found);
	if (!found)
		return fail_about(e, WHY_NOT_FOUND, r, name, "not found");
	was = t->at[i]->metadata;
	if (asked && *asked && strcmp(asked, was->resourceVersion))
		return fail_about(
		    e, WHY_CONFLICT, r, name,
		    "the object has been modified; please apply your changes to the "
		    "latest version and try again");
	if (changes_nothing(r, obj, t->at[i]))
		return 0;
	h = held_new(r, obj);
	m = h->obj->metadata;
	meta_keep(m, was);
	m->uid = arena_strdup(&h->arena, was->uid);
	if (object_is_numbered(r) && object_spec_differs(h->obj, t->at[i]))
		m->generation++;
	give_version(s, h);
	ring_add(s, CHANGE_MODIFIED, r->id, held_ref(h), t->held[i]);
	t->held[i] = h;
	t->at[i] = h->obj;
	mark(s, r->id, object_namespace(h->obj), object_name(h->obj));
	return 0;
}

int
store_delete(struct store *s, enum resource_id res, const char *ns, const char *name,
	     struct error **e)
{
	const struct resource *r = &resources[res];
	struct table *t = &s->of[res];
	struct held *h, *was;
	bool found;
	size_t i = table_place(t, ns, name, &found);

	if (!found)
		return fail_about(e, WHY_NOT_FOUND, r, name, "not found");
	was = t->held[i];
	h = held_new(r, was->obj);
	give_version(s, h);
	mark(s, res, ns, name);
	table_remove(t, i);
	ring_add(s, CHANGE_DELETED, res, h, was);
	return 0;
}

/* ---- reading ---- */

const void *
store_find(const struct store *s, enum resource_id res, const char *ns, const char *name)
{
	bool found;
	size_t i = table_place(&s->of[res], ns, name, &found);

	return found ? s->of[res].at[i] : NULL;
}

struct objects
store_all(const struct store *s, enum resource_id res)
{
	return (struct objects){ s->of[res].at, s->of[res].n };
}

uint64_t
store_version(const struct store *s)
{
	return s->version;
}

void
store_view(const struct store *s, struct snapshot *snap)
{
	for (size_t r = 0; r < RES_COUNT; r++)
		snap->of[r] = store_all(s, r);
}

void
store_on_change(struct store *s, void (*fn)(void *ctx), void *ctx)
{
	s->listeners = xrealloc(s->listeners, (s->nlisteners + 1) * sizeof *s->listeners);
	s->listeners[s->nlisteners++] = (struct listener){ fn, ctx };
}

void
store_off_change(struct store *s, void (*fn)(void *ctx), void *ctx)
{
	for (size_t i = 0; i < s->nlisteners; i++)
		if (s->listeners[i].fn == fn && s->listeners[i].ctx == ctx)
			s->listeners[i--] = s->listeners[--s->nlisteners];
}

const char *
store_note(const struct store *s, const char *key)
{
	const char *v = map_get(&s->notes, key);

	return v ? v : "";
}

void
store_set_note(struct store *s, const char *key, const char *value)
{
	if (!strcmp(store_note(s, key), value))
		return;
	free(map_put(&s->notes, key, xstrdup(value)));
	if (s->disk)
		map_put(&s->dirty_notes, key, s);
}

/* object.c -- resources by name, and what every object has. */
#include "object.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include <assert.h>
#include <string.h>
#include <strings.h>

const struct resource *
resource_find(const char *api_version, const char *kind)
{
	for (const struct resource *r = resources; r < resources + RES_COUNT; r++)
		if (!strcmp(r->kind, kind) && !strcmp(r->api_version, api_version))
			return r;
	return NULL;
}

const struct resource *
resource_of(const void *obj)
{
	const struct object *o = obj;
	const struct resource *r;

	assert(o->apiVersion && o->kind);
	r = resource_find(o->apiVersion, o->kind);
	assert(r);
	return r;
}

static bool
word_is(const char *words, const char *word, size_t n)
{
	for (const char *w = words; *w; w += strspn(w, " ")) {
		size_t len = strcspn(w, " ");

		if (len == n && !strncasecmp(w, word, n))
			return true;
		w += len;
	}
	return false;
}

/* pods, pod, po, Pod, deployments.apps, deployments.v1.apps */
const struct resource *
resource_named(const char *word)
{
	size_t n = strcspn(word, ".");
	const char *group = word[n] ? word + n + 1 : NULL;

	for (const struct resource *r = resources; n && r < resources + RES_COUNT; r++) {
		size_t v = strlen(r->version);

		if (!word_is(r->plural, word, n) && !word_is(r->singular, word, n) &&
		    !word_is(r->shorts, word, n))
			continue;
		if (!group || !strcasecmp(group, r->group))
			return r;
		if (!strncasecmp(group, r->version, v) &&
		    (group[v] == '.' ? !strcasecmp(group + v + 1, r->group)
				     : !group[v] && !*r->group))
			return r;
	}
	return NULL;
}

static const struct object_meta *
meta(const void *obj)
{
	const struct object_meta *m = ((const struct object *)obj)->metadata;

	assert(m);
	return m;
}

const char *
object_name(const void *obj)
{
	return meta(obj)->name ? meta(obj)->name : "";
}

const char *
object_namespace(const void *obj)
{
	return meta(obj)->namespace ? meta(obj)->namespace : "";
}

const char *
object_uid(const void *obj)
{
	return meta(obj)->uid ? meta(obj)->uid : "";
}

const char *
object_path(const void *obj, struct arena *a)
{
	const char *ns = object_namespace(obj);

	return *ns ? arena_printf(a, "%s/%s", ns, object_name(obj)) : object_name(obj);
}

void *
object_clone(const void *obj, struct arena *a)
{
	return schema_clone(resource_of(obj)->schema, obj, a);
}

void
object_json(const void *obj, struct buf *out)
{
	schema_encode(resource_of(obj)->schema, obj, out);
}

struct tree *
object_tree(const void *obj, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };
	struct complaints none = { .arena = a };

	object_json(obj, &text);
	return json_read(text.at, text.len, a, &none);
}

void *
object_new(enum resource_id id, const char *ns, const char *name, struct arena *a)
{
	const struct resource *r = &resources[id];
	struct object *o = arena_zalloc(a, r->schema->size);

	o->apiVersion = r->api_version;
	o->kind = r->kind;
	o->metadata = arena_zalloc(a, sizeof *o->metadata);
	o->metadata->name = arena_strdup(a, name);
	if (r->namespaced)
		o->metadata->namespace = arena_strdup(a, ns);
	return o;
}

int
object_compare(const void *a, const void *b)
{
	int d = strcmp(object_namespace(a), object_namespace(b));

	return d ? d : strcmp(object_name(a), object_name(b));
}

const char *
object_label(const void *obj, const char *key)
{
	return pairs_get(&meta(obj)->labels, key);
}

const char *
object_annotation(const void *obj, const char *key)
{
	return pairs_get(&meta(obj)->annotations, key);
}

const struct owner_reference *
object_controller(const void *obj)
{
	const struct object_meta *m = meta(obj);

	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (m->ownerReferences.at[i].controller)
			return &m->ownerReferences.at[i];
	return NULL;
}

const struct owner_reference *
object_owned_by(const void *obj, const char *uid)
{
	const struct object_meta *m = meta(obj);

	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (str_is(m->ownerReferences.at[i].uid, uid))
			return &m->ownerReferences.at[i];
	return NULL;
}

bool
object_is_own_event(const struct event *e)
{
	return str_is(e->reportingComponent, EVENT_REPORTER);
}

bool
object_is_numbered(const struct resource *r)
{
	switch (r->id) {
	case RES_limit_range:
	case RES_namespace:
	case RES_node:
	case RES_persistent_volume:
	case RES_persistent_volume_claim:
	case RES_resource_quota:
	case RES_service:
		return false;
	default:
		return schema_field(r->schema, "spec") != NULL;
	}
}

bool
object_spec_differs(const void *a, const void *b)
{
	const struct field *f = schema_field(resource_of(a)->schema, "spec");
	const void *x, *y;

	if (!f)
		return false;
	x = *(void *const *)((const char *)a + f->off);
	y = *(void *const *)((const char *)b + f->off);
	return x && y ? !schema_equal(f->of(), x, y) : x != y;
}

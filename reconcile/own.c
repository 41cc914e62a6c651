/* own.c -- may a write over the API change this, or is it Git's?
 *
 * The question is put as "would the next pass over the commit put anything back?", and
 * answered by the very merge that the pass uses (merge.c), so that the two cannot differ.
 */
#include "own.h"
#include "base/arena.h"
#include "base/text.h"
#include "controllers.h"
#include "merge.h"
#include "snapshot.h"
#include <string.h>

static const char *const marks[] = { ANNOTATION_SOURCE, ANNOTATION_PLACE, ANNOTATION_APPLIED };

/* A pod has what its template says, also a record that was copied from elsewhere; but the name
 * in it is not the one that the pod was given. */
static bool
is_record_of(const struct object *o)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints ignored = { .arena = &a };
	const char *text = object_annotation(o, ANNOTATION_APPLIED);
	const struct tree *t = json_read(text, strlen(text), &a, &ignored);
	const struct tree *kind = t ? tree_at(t, "kind") : NULL;
	const struct tree *name = t ? tree_at(t, "metadata.name") : NULL;

	return kind && name && kind->type == N_STRING && name->type == N_STRING &&
	       str_is(kind->text, resource_of(o)->kind) && str_is(name->text, object_name(o));
}

bool
own_is_signed(const struct object *o)
{
	return object_label(o, ANNOTATION_SOURCE) && object_annotation(o, ANNOTATION_APPLIED) &&
	       (!object_controller(o) || is_record_of(o));
}

bool
own_is_gits(const struct snapshot *s, const struct object *o)
{
	return own_is_signed(o) &&
	       snapshot_find(s, RES_source, "", object_label(o, ANNOTATION_SOURCE));
}

/* An owner takes along what it owns when it goes. */
static bool
has_new_owner(const struct object *live, const struct object *new)
{
	const struct object_meta *was = live->metadata, *is = new->metadata;

	for (size_t i = 0; i < is->ownerReferences.n; i++) {
		const struct owner_reference *ref = &is->ownerReferences.at[i];
		bool had = false;

		for (size_t k = 0; k < was->ownerReferences.n && !had; k++)
			had = schema_equal(owner_reference_kind(), ref,
					   &was->ownerReferences.at[k]);
		if (!had)
			return true;
	}
	return false;
}

/* The record of what was stated has the keys of data and not the values: those that live are
 * Git's, for nobody else may change them. */
static void
fill_data(const struct kind *k, const struct object *live, struct object *stated,
	  struct arena *a)
{
	static const char *const names[] = { "data", "binaryData" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct field *f = schema_field(k, names[i]);
		struct pairs *to = f ? (struct pairs *)((char *)stated + f->off) : NULL;
		const struct pairs *from =
		    f ? (const struct pairs *)((const char *)live + f->off) : NULL;

		if (!f || (f->type != T_MAP && f->type != T_QMAP))
			continue;
		for (size_t n = 0; n < to->n; n++) {
			const char *value = pairs_get(from, to->at[n].key);

			to->at[n].value = value ? arena_strdup(a, value) : "";
		}
	}
}

/* What the commit stated, as far as it was written down; NULL: that cannot be read. */
static struct object *
stated_of(const struct resource *r, const struct object *live, struct arena *a)
{
	const char *text = object_annotation(live, ANNOTATION_APPLIED);
	struct complaints ignored = { .arena = a };
	const struct tree *t = json_read(text, strlen(text), a, &ignored);
	struct object *o = t ? schema_decode(r->schema, t, SCHEMA_TRUSTED, a, &ignored) : NULL;

	if (!o || ignored.errors)
		return NULL;
	fill_data(r->schema, live, o, a);
	return o;
}

const char *
own_objection(const struct object *live, struct object **new, struct arena *a)
{
	const struct resource *r = resource_of(live);
	const struct object *stated = stated_of(r, live, a);
	struct object *merged;
	const char *path;

	if (has_new_owner(live, *new))
		return "metadata.ownerReferences";
	if (!stated) /* the next pass puts back what the commit says, whatever that is */
		return OWN_RECORD;
	merged = merge_three(r->schema, stated, *new, NULL, a);
	path = schema_first_difference(r->schema, *new, merged, a);
	if (path)
		return path;
	/* merge_three leaves what the API server itself fills in as `new` has it. */
	*new = merged;
	return NULL;
}

/* ---- where it is stated ---- */

/* Bytes of a file that are read while whoever asked waits, and all others with them. */
enum { LOOKED_INTO = 1024 * 1024 };

/* The item of a list that "[web]", "[80/TCP]" or "[2]" means. */
static const struct tree *
item_called(const struct tree *list, const char *key, size_t n)
{
	size_t first = strcspn(key, "/");
	const struct tree *item = list->kids;

	if (first > n)
		first = n;
	for (; item; item = item->next)
		for (const struct tree *v = item->kids; item->type == N_MAP && v; v = v->next)
			if (v->text && v->type != N_NULL && strlen(v->text) == first &&
			    !memcmp(v->text, key, first))
				return item;
	return NULL;
}

static const struct tree *
member_called(const struct tree *map, const char *key, size_t n)
{
	for (const struct tree *kid = map->kids; kid; kid = kid->next)
		if (strlen(kid->key) == n && !memcmp(kid->key, key, n))
			return kid;
	return NULL;
}

int
own_line(const char *text, int line, const char *field)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints none = { .arena = &a };
	size_t len = strlen(text);
	const struct tree *t = len > LOOKED_INTO ? NULL : yaml_read(text, len, &a, &none);
	int at = line;

	while (t && t->next && t->next->line <= line)
		t = t->next;
	while (t && *field) {
		bool bracket = *field == '[';
		size_t n;

		field += *field == '.' || bracket;
		n = bracket ? strcspn(field, "]") : strcspn(field, ".[");
		t = t->type == N_MAP    ? member_called(t, field, n)
		    : t->type == N_LIST ? item_called(t, field, n)
					: NULL;
		if (t)
			at = t->key ? t->key_line : t->line;
		field += n;
		field += bracket && *field;
	}
	return at;
}

static void
keep_in(struct pairs *to, const struct pairs *from, const char *key, struct arena *a)
{
	const char *value = from ? pairs_get(from, key) : NULL;

	if (value)
		pairs_set(to, key, arena_strdup(a, value), a);
	else if (pairs_get(to, key))
		pairs_del(to, key);
}

void
own_keep_marks(const struct object *live, struct object *new, struct arena *a)
{
	const struct object_meta *was = live ? live->metadata : NULL;

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (!strcmp(marks[i], ANNOTATION_SOURCE))
			keep_in(&new->metadata->labels, was ? &was->labels : NULL, marks[i], a);
		else
			keep_in(&new->metadata->annotations, was ? &was->annotations : NULL,
				marks[i], a);
}

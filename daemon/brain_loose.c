/* brain_loose.c -- what lives here that no commit says: for `kedge status`.
 *
 * Who wrote over the API is known from the managed fields, which nothing else has.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/controllers.h"
#include "../reconcile/fieldset.h"
#include "../reconcile/managed.h"
#include "../reconcile/own.h"
#include "../reconcile/tree.h"
#include "brain_state.h"
#include <jansson.h>
#include <string.h>

enum { FIELDS_TOLD = 20 };

/* The managers, the first first, each once. */
static json_t *
managers_of(const struct object *o, struct arena *a)
{
	const char *text = o->metadata->managedFields ? o->metadata->managedFields : "[]";
	struct complaints none = { .arena = a };
	const struct tree *t = json_read(text, strlen(text), a, &none);
	json_t *out = json_array();

	for (const struct tree *e = t ? t->kids : NULL; e; e = e->next) {
		const struct tree *m = tree_get(e, "manager");
		json_t *had;
		size_t i;
		bool seen = !m || !m->text;

		json_array_foreach(out, i, had) {
			seen = seen || !strcmp(json_string_value(had), m->text);
		}
		if (!seen)
			json_array_append_new(out, json_string(m->text));
	}
	return out;
}

static void
add_field(void *ctx, const char *path)
{
	json_t *out = ctx;

	if (json_array_size(out) < FIELDS_TOLD &&
	    !strstr(path, "kubectl.kubernetes.io/last-applied"))
		json_array_append_new(out, json_string(*path == '.' ? path + 1 : path));
}

/* Fields of one of Git's objects that were written over the API and that Git leaves out. */
static json_t *
fields_of(const struct object *o, struct arena *a)
{
	const struct kind *k = resource_of(o)->schema;
	const char *record = object_annotation(o, ANNOTATION_APPLIED),
		   *stated = record ? record : "{}";
	struct complaints none = { .arena = a };
	const struct tree *t = json_read(stated, strlen(stated), a, &none);
	const struct tree *all = managed_all(o->metadata->managedFields, a);
	json_t *out = json_array();

	if (t && t->type == N_MAP)
		all = fieldset_minus(all, fieldset_changed(k, NULL, t, a), a);
	fieldset_each(all, add_field, out);
	return out;
}

/* The source that stated it, and is no longer followed; NULL: there is none. */
static const char *
left_by(const struct snapshot *s, const struct object *o)
{
	return own_is_signed(o) && !own_is_gits(s, o) ? object_label(o, ANNOTATION_SOURCE)
						      : NULL;
}

static json_t *
loose_one(const struct snapshot *s, const struct object *o, struct arena *a)
{
	/* kedge itself makes the Node; of it, too, only what was written over the API. */
	bool made = own_is_gits(s, o) || resource_of(o)->id == RES_node;
	json_t *fields = made ? fields_of(o, a) : NULL;

	if (made && !json_array_size(fields)) {
		json_decref(fields);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o*, s:s*}", "kind",
			 resource_of(o)->singular, "namespace", object_namespace(o), "name",
			 object_name(o), "created", (json_int_t)o->metadata->creationTimestamp,
			 "managers", managers_of(o, a), "fields", fields, "source",
			 left_by(s, o));
}

json_t *
brain_loose(struct brain *b)
{
	json_t *out = json_array();
	struct snapshot s = { 0 };

	store_view(b->store, &s);
	for (int r = 0; r < RES_COUNT; r++) {
		struct objects all = s.of[r];

		for (size_t i = 0; i < all.n; i++) {
			cleanup_arena struct arena scratch = { 0 };
			const struct object *o = all.at[i];
			json_t *one = NULL;

			if ((o->metadata->managedFields && !object_controller(o)) ||
			    left_by(&s, o))
				one = loose_one(&s, o, &scratch);
			if (one)
				json_array_append_new(out, one);
		}
	}
	return out;
}

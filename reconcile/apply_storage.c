/* apply_storage.c -- what of claims, volumes and classes cannot be changed once they live. */
#include "apply.h"
#include "base/arena.h"
#include "controllers.h"
#include "volume.h"

static void
claim_check(struct complaints *c, const struct manifest *m,
	    const struct persistent_volume_claim *live,
	    const struct persistent_volume_claim *new, struct snapshot *s)
{
	struct persistent_volume_claim_spec was, is;
	const char *had = live->status ? pairs_get(&live->status->capacity, "storage") : NULL;
	const char *want = claim_request(new);
	const struct storage_class *class;

	if (!live->spec || !new->spec)
		return;
	was = *live->spec;
	is = *new->spec;
	was.resources = is.resources = NULL;
	was.set = is.set = 0;
	if (str_is(was.volumeName, "")) /* may still be said */
		was.volumeName = is.volumeName;
	if (!schema_equal(persistent_volume_claim_spec_kind(), &was, &is)) {
		apply_complain(c, m, "spec",
			       "Forbidden: spec is immutable after creation except "
			       "resources.requests and volumeAttributesClassName for bound "
			       "claims");
		return;
	}
	if (!had || quantity_value(want) == quantity_value(claim_request(live)))
		return;
	if (quantity_value(want) < quantity_value(claim_request(live))) {
		apply_complain(c, m, "spec.resources.requests.storage",
			       "Forbidden: field can not be less than status.capacity");
		return;
	}
	class = volume_class(s, live->spec->storageClassName);
	if (!class || !class->allowVolumeExpansion || !str_is(class->provisioner, PROVISIONER))
		apply_complain(c, m, "spec.resources.requests.storage",
			       "Forbidden: only dynamically provisioned pvc can be resized and "
			       "the storageclass that provisions the pvc must support resize");
}

static void
volume_check_change(struct complaints *c, const struct manifest *m,
		    const struct persistent_volume_spec *live,
		    const struct persistent_volume_spec *new)
{
	const struct field *f = schema_field(persistent_volume_spec_kind(), "hostPath");

	if (!live || !new)
		return;
	for (; f && f->name; f++) {
		const void *a = *(const void *const *)((const char *)live + f->off);
		const void *b = *(const void *const *)((const char *)new + f->off);
		bool same = !a || !b           ? a == b
			    : f->type == T_OBJ ? schema_equal(f->of(), a, b)
					       : str_is(a, b);

		if (same)
			continue;
		apply_complain(c, m, "spec.persistentvolumesource",
			       "Forbidden: spec.persistentvolumesource is immutable after "
			       "creation");
		return;
	}
}

static void
class_check(struct complaints *c, const struct manifest *m, const struct storage_class *live,
	    const struct storage_class *new, struct arena *a)
{
	if (m->path && !object_label(live, ANNOTATION_SOURCE))
		return; /* as the one that is there from the start: a source takes it over */
	if (!str_is(live->provisioner, new->provisioner))
		apply_complain(c, m, "provisioner",
			       "Forbidden: updates to provisioner are forbidden.");
	if (!str_is(live->reclaimPolicy, new->reclaimPolicy))
		apply_complain(c, m, "reclaimPolicy",
			       "Forbidden: updates to reclaimPolicy are forbidden.");
	if (!str_is(live->volumeBindingMode, new->volumeBindingMode))
		apply_complain(c, m, "volumeBindingMode",
			       arena_printf(a, "Invalid value: \"%s\": field is immutable",
					    new->volumeBindingMode));
	if (!pairs_equal(&live->parameters, &new->parameters))
		apply_complain(c, m, "parameters",
			       "Forbidden: updates to parameters are forbidden.");
}

void
apply_storage_check(struct snapshot *s, struct complaints *c, const struct manifest *m,
		    const void *live, const void *new)
{
	if (m->res->id == RES_persistent_volume_claim)
		claim_check(c, m, live, new, s);
	else if (m->res->id == RES_persistent_volume)
		volume_check_change(c, m, ((const struct persistent_volume *)live)->spec,
				    ((const struct persistent_volume *)new)->spec);
	else if (m->res->id == RES_storage_class)
		class_check(c, m, live, new, s->arena);
}

/* The volume that a claim has; NULL: none. */
static const struct persistent_volume *
volume_of(struct snapshot *s, const struct persistent_volume_claim *c)
{
	if (!c->spec || str_is(c->spec->volumeName, ""))
		return NULL;
	return snapshot_find(s, RES_persistent_volume, "", c->spec->volumeName);
}

static bool
is_deleted_with(const struct persistent_volume *v)
{
	return str_is(v->spec->persistentVolumeReclaimPolicy, "Delete");
}

const char *
apply_storage_prune(struct snapshot *s, const struct object *o, const char *source,
		    struct arena *a)
{
	const struct persistent_volume *v = resource_of(o)->id == RES_persistent_volume_claim
						? volume_of(s, (const void *)o)
						: NULL;

	if (!v)
		return NULL;
	return arena_printf(a, "left source %s; its data (%s in %s) %s", source,
			    pairs_get(&v->spec->capacity, "storage"), object_name(v),
			    is_deleted_with(v) ? "goes with it: reclaim policy Delete"
					       : "stays: reclaim policy Retain");
}

/* By itself, with its namespace, or with who owns it. */
static bool
goes(const struct action *x, const struct object *claim)
{
	const struct object_meta *m = claim->metadata;

	if (x->verb != ACT_DELETE)
		return false;
	if (str_is(x->kind, resources[RES_namespace].singular))
		return str_is(x->name, m->namespace);
	if (!str_is(x->ns, m->namespace))
		return false;
	if (str_is(x->kind, resources[RES_persistent_volume_claim].singular))
		return str_is(x->name, object_name(claim));
	for (size_t i = 0; i < m->ownerReferences.n; i++)
		if (!strcasecmp(x->kind, m->ownerReferences.at[i].kind) &&
		    str_is(x->name, m->ownerReferences.at[i].name))
			return true;
	return false;
}

void
apply_storage_lost(struct snapshot *s, const struct plan *p, struct arena *a, struct strs *ret)
{
	const struct objects all = s->of[RES_persistent_volume_claim];

	*ret = (struct strs){ .at = arena_alloc(a, (all.n + 1) * sizeof *ret->at) };
	for (size_t i = 0; i < all.n; i++) {
		const struct persistent_volume *v = volume_of(s, (const void *)all.at[i]);
		bool gone = false;

		for (size_t k = 0; k < p->n && v && is_deleted_with(v) && !gone; k++)
			gone = goes(&p->at[k], all.at[i]);
		if (gone)
			ret->at[ret->n++] = arena_printf(
			    a, "%s/%s (%s in %s)", all.at[i]->metadata->namespace,
			    object_name(all.at[i]), pairs_get(&v->spec->capacity, "storage"),
			    object_name(v));
	}
}

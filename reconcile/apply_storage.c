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
	    const struct storage_class *new)
{
	if (!object_label(live, ANNOTATION_SOURCE))
		return; /* the one that is there from the start: whoever states it may change it
			 */
	if (!str_is(live->provisioner, new->provisioner))
		apply_complain(c, m, "provisioner",
			       "Forbidden: updates to provisioner are forbidden.");
	if (!str_is(live->reclaimPolicy, new->reclaimPolicy))
		apply_complain(c, m, "reclaimPolicy",
			       "Forbidden: updates to reclaimPolicy are forbidden.");
	if (!str_is(live->volumeBindingMode, new->volumeBindingMode))
		apply_complain(c, m, "volumeBindingMode",
			       "Forbidden: updates to volumeBindingMode are forbidden.");
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
		class_check(c, m, live, new);
}

const char *
apply_storage_prune(struct snapshot *s, const struct object *o, const char *source,
		    struct arena *a)
{
	const struct persistent_volume_claim *c = (const void *)o;
	const struct persistent_volume *v;

	if (resource_of(o)->id != RES_persistent_volume_claim || !c->spec ||
	    str_is(c->spec->volumeName, ""))
		return NULL;
	v = snapshot_find(s, RES_persistent_volume, "", c->spec->volumeName);
	if (!v)
		return NULL;
	return arena_printf(a, "left source %s; its data (%s in %s) %s", source,
			    pairs_get(&v->spec->capacity, "storage"), object_name(v),
			    str_is(v->spec->persistentVolumeReclaimPolicy, "Delete")
				? "goes with it: reclaim policy Delete"
				: "stays: reclaim policy Retain");
}

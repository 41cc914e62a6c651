/* table_volume.c -- the cells of storage: classes, volumes, claims. */
#include "table_cells.h"
#include <string.h>

/* As kubectl shortens them, each once, in its order. */
static const char *
modes(const struct strs *s, const struct cells *c)
{
	static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
						{ "ReadOnlyMany", "ROX" },
						{ "ReadWriteMany", "RWX" },
						{ "ReadWriteOncePod", "RWOP" } };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t j = 0; j < s->n; j++)
			if (!strcmp(s->at[j], names[i][0])) {
				cell_add_part(&b, ",", names[i][1]);
				break;
			}
	return cell_taken(&b, "", c);
}

static bool
is_going(const void *obj)
{
	return ((const struct object *)obj)->metadata->deletionTimestamp != 0;
}

const char *
cell_volume_attributes(const void *obj, const struct cells *c)
{
	(void)obj;
	(void)c;
	return "<unset>";
}

static const char *
size_of(const struct pairs *sizes)
{
	return sizes ? text(pairs_get(sizes, "storage")) : "";
}

/* Of a field of spec, or of status, that may be absent as a whole. */
#define IN(part, f) ((part) ? text((part)->f) : "")

/* ---- StorageClass ---- */

const char *
cell_class_name(const void *obj, const struct cells *c)
{
	const char *dflt =
	    object_annotation(obj, "storageclass.kubernetes.io/is-default-class");

	return dflt && !strcmp(dflt, "true")
		   ? arena_printf(c->arena, "%s (default)", object_name(obj))
		   : object_name(obj);
}

CELL(storage_class, s, cell_class_provisioner, text(s->provisioner))
CELL(storage_class, s, cell_class_reclaim, s->reclaimPolicy ? s->reclaimPolicy : "Delete")
CELL(storage_class, s, cell_class_mode,
     s->volumeBindingMode ? s->volumeBindingMode : "Immediate")
CELL(storage_class, s, cell_class_expands, s->allowVolumeExpansion ? "true" : "false")

/* ---- PersistentVolume ---- */

CELL(persistent_volume, v, cell_pv_capacity, size_of(v->spec ? &v->spec->capacity : NULL))
CELL(persistent_volume, v, cell_pv_modes, v->spec ? modes(&v->spec->accessModes, c) : "")
CELL(persistent_volume, v, cell_pv_reclaim, IN(v->spec, persistentVolumeReclaimPolicy))
CELL(persistent_volume, v, cell_pv_class, IN(v->spec, storageClassName))
CELL(persistent_volume, v, cell_pv_reason, IN(v->status, reason))
CELL(persistent_volume, v, cell_pv_mode,
     v->spec && v->spec->volumeMode ? v->spec->volumeMode : "<unset>")
CELL(persistent_volume, v, cell_pv_status,
     is_going(v) ? "Terminating"
     : v->status ? text(v->status->phase)
		 : "")

const char *
cell_pv_claim(const void *obj, const struct cells *c)
{
	const struct persistent_volume *v = obj;
	const struct object_reference *r = v->spec ? v->spec->claimRef : NULL;

	return r ? arena_printf(c->arena, "%s/%s", text(r->namespace), text(r->name)) : "";
}

/* ---- PersistentVolumeClaim ---- */

CELL(persistent_volume_claim, p, cell_pvc_status,
     is_going(p) ? "Terminating"
     : p->status ? text(p->status->phase)
		 : "")
CELL(persistent_volume_claim, p, cell_pvc_volume, IN(p->spec, volumeName))
CELL(persistent_volume_claim, p, cell_pvc_class, IN(p->spec, storageClassName))
CELL(persistent_volume_claim, p, cell_pvc_mode,
     p->spec && p->spec->volumeMode ? p->spec->volumeMode : "<unset>")
CELL(persistent_volume_claim, p, cell_pvc_capacity,
     *IN(p->spec, volumeName) && p->status ? size_of(&p->status->capacity) : "")
CELL(persistent_volume_claim, p, cell_pvc_modes,
     *IN(p->spec, volumeName) && p->status ? modes(&p->status->accessModes, c) : "")

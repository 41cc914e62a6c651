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

CELL(persistent_volume, v, cell_pv_capacity, text(pairs_get(&v->spec->capacity, "storage")))
CELL(persistent_volume, v, cell_pv_modes, modes(&v->spec->accessModes, c))
CELL(persistent_volume, v, cell_pv_reclaim, text(v->spec->persistentVolumeReclaimPolicy))
CELL(persistent_volume, v, cell_pv_class, text(v->spec->storageClassName))
CELL(persistent_volume, v, cell_pv_reason, v->status ? text(v->status->reason) : "")
CELL(persistent_volume, v, cell_pv_mode, v->spec->volumeMode ? v->spec->volumeMode : "<unset>")
CELL(persistent_volume, v, cell_pv_status,
     is_going(v) ? "Terminating"
     : v->status ? text(v->status->phase)
		 : "")

const char *
cell_pv_claim(const void *obj, const struct cells *c)
{
	const struct persistent_volume *v = obj;
	const struct object_reference *r = v->spec->claimRef;

	return r ? arena_printf(c->arena, "%s/%s", text(r->namespace), text(r->name)) : "";
}

/* ---- PersistentVolumeClaim ---- */

CELL(persistent_volume_claim, p, cell_pvc_status,
     is_going(p) ? "Terminating"
     : p->status ? text(p->status->phase)
		 : "")
CELL(persistent_volume_claim, p, cell_pvc_volume, text(p->spec->volumeName))
CELL(persistent_volume_claim, p, cell_pvc_class, text(p->spec->storageClassName))
CELL(persistent_volume_claim, p, cell_pvc_mode,
     p->spec->volumeMode ? p->spec->volumeMode : "<unset>")
CELL(persistent_volume_claim, p, cell_pvc_capacity,
     *text(p->spec->volumeName) && p->status ? text(pairs_get(&p->status->capacity, "storage"))
					     : "")
CELL(persistent_volume_claim, p, cell_pvc_modes,
     *text(p->spec->volumeName) && p->status ? modes(&p->status->accessModes, c) : "")

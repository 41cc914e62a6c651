/* controllers.h -- pure functions from a snapshot to a plan.
 *
 * Each reads the snapshot and one object, and adds actions.  None of them
 * knows a clock, a file, a socket or a global (checked with nm at build time).
 * Running one twice over a settled world adds nothing.
 */
#ifndef KEDGE_CONTROLLERS_H
#define KEDGE_CONTROLLERS_H
#include "object.h"

struct snapshot;
struct objects;
struct plan;

#define CONTROLLER(k, fn) void fn(struct snapshot *, const struct k *, struct plan *);
#include "controllers.def"
#undef CONTROLLER

/* Owned objects whose owner is gone, events past their hour, retired rules
 * whose service is gone, pods on the host that no object knows. */
void garbage_reconcile(struct snapshot *, struct plan *);
/* All of the above, for every object, in order. */
void controllers_run(struct snapshot *, struct plan *);

/* node.c: the host's own Node, when it is not there yet. */
void node_ensure(struct snapshot *, struct plan *);

/* volume_class.c: the default StorageClass, when there is none. */
void volume_class_ensure(struct snapshot *, struct plan *);

/* revision.c: its objects were put in force, whatever became of them. */
bool revision_was_applied(const struct revision *);
/* revision_back.c: where a rollback goes that names no revision; NULL: nowhere.  `alike`: the
 * source says the same in both. */
typedef bool revision_alike_fn(void *ctx, const struct revision *, const struct revision *);
const struct revision *revision_before(const struct objects *, const char *source,
				       revision_alike_fn *, void *ctx);

/* apply.c: what makes the live objects be as a revision wants them. */
struct manifest;
struct complaints;
struct wanted {
	struct manifest *const *at; /* sorted by kind, namespace, name */
	size_t n;
	const char *source;   /* name of the Source */
	const char *revision; /* commit id, for annotations */
	bool prune_allowed;
	bool no_commits; /* a directory: nobody writes messages to its commits */
	bool admitted;   /* applied before: what is put back is not charged to a quota anew */
	/* Becomes true when what may change without a commit refuses: a LimitRange, a
	 * ResourceQuota, objects and addresses that are another's; or NULL. */
	bool *ret_refused;
	/* What this source applied last, when none of it has drifted since: manifests that
	 * are the very same in `at` are not looked at again.  NULL: look at everything. */
	struct manifest *const *before;
	size_t nbefore;
};
/* Adds CREATE, UPDATE and DELETE; complaints for what cannot be (claimed by
 * another source, immutable fields, prune guard).  Kept: status, allocated
 * addresses and ports, fields that the source does not state. */
void apply_reconcile(struct snapshot *, const struct wanted *, struct plan *,
		     struct complaints *);
/* apply_storage.c: the claims whose data a plan would destroy, "default/data (1Gi in pvc-1)".
 */
void apply_storage_lost(struct snapshot *, const struct plan *, struct arena *,
			struct strs *ret);
#define ANNOTATION_SOURCE "kedge.dev/source" /* label: who applied it */
#define ANNOTATION_PLACE  "kedge.dev/place"  /* path:line of the document */
#define ANNOTATION_APPLIED \
	"kedge.dev/last-applied-configuration" /* JSON of what the source stated */
#endif

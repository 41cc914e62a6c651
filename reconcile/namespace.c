/* namespace.c -- namespaces are there when they are needed.
 *
 * Pure.  `default` and `kube-system` always exist; any other comes into being
 * with the first object in it, so that a repository need not state it.  One that
 * is deleted takes all that is in it along, and goes when that is gone.
 */
#include "namespace.h"
#include "controllers.h"

#define LABEL_NAME "kubernetes.io/metadata.name"

static void
create(struct snapshot *s, const char *name, const char *why, struct plan *p)
{
	struct namespace *ns = object_new(RES_namespace, "", name, p->arena);

	(void)s;
	pairs_set(&ns->metadata->labels, LABEL_NAME, name, p->arena);
	ns->spec = arena_zalloc(p->arena, sizeof *ns->spec);
	ns->status = arena_zalloc(p->arena, sizeof *ns->status);
	ns->status->phase = "Active";
	plan_write(p, ACT_CREATE, ns, 0, 0, why);
}

static bool
planned(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].verb == ACT_CREATE && str_is(p->at[i].kind, "namespace") &&
		    str_is(p->at[i].name, name))
			return true;
	return false;
}

void
namespace_ensure(struct snapshot *s, struct plan *p)
{
	static const char *const always[] = { "default", "kube-system" };

	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		if (!snapshot_find(s, RES_namespace, "", always[i]))
			create(s, always[i], "always there", p);
	for (int r = 0; r < RES_COUNT; r++) {
		if (r == RES_event || !resources[r].namespaced)
			continue;
		/* sorted: one look a namespace, not one an object */
		for (size_t i = 0; i < s->of[r].n;) {
			const struct object *first = s->of[r].at[i];
			const char *ns = object_namespace(first);

			i += snapshot_in(s, (enum resource_id)r, ns).n;
			if (!snapshot_find(s, RES_namespace, "", ns) && !planned(p, ns))
				create(
				    s, ns,
				    arena_printf(p->arena, "%s is in it", object_name(first)),
				    p);
		}
	}
}

/* Its Events are the last to go: the end of the others makes more of them. */
static void
terminate(struct snapshot *s, const struct namespace *ns, struct plan *p)
{
	const char *name = object_name(ns);
	struct namespace copy = *ns;
	struct objects events = snapshot_in(s, RES_event, name);
	size_t left = 0;

	for (int r = 0; r < RES_COUNT; r++) {
		struct objects in = { 0 };

		if (resources[r].namespaced && r != RES_event)
			in = snapshot_in(s, (enum resource_id)r, name);
		for (size_t i = 0; i < in.n; i++, left++)
			if (!in.at[i]->metadata->deletionTimestamp)
				plan_name(p, ACT_DELETE, in.at[i],
					  "its namespace is being deleted");
	}
	if (!left && !ns->metadata->finalizers.n) {
		for (size_t i = 0; i < events.n; i++)
			plan_name(p, ACT_DELETE, events.at[i], "its namespace is gone");
		plan_name(p, ACT_FORGET, ns, "empty");
		return;
	}
	if (ns->status && str_is(ns->status->phase, "Terminating"))
		return;
	copy.status = arena_zalloc(p->arena, sizeof *copy.status);
	copy.status->phase = "Terminating";
	plan_write(p, ACT_STATUS, &copy, 0, 0, "Terminating");
}

void
namespace_reconcile(struct snapshot *s, const struct namespace *ns, struct plan *p)
{
	struct namespace copy = *ns;

	if (ns->metadata->deletionTimestamp) {
		terminate(s, ns, p);
		return;
	}
	if (ns->status && str_is(ns->status->phase, "Active") &&
	    str_is(object_label(ns, LABEL_NAME), object_name(ns)))
		return;
	copy.metadata = meta_copy(ns->metadata, p->arena);
	pairs_set(&copy.metadata->labels, LABEL_NAME, object_name(ns), p->arena);
	copy.status = arena_zalloc(p->arena, sizeof *copy.status);
	copy.status->phase = "Active";
	plan_write(p, ACT_UPDATE, &copy, 0, 0, "Active");
}

/* pod_change.c -- what of a pod may change while it lives, and the change of an image.
 *
 * Pure.  A container is begun anew when the host tells of another image than its spec has;
 * since when it is waited for is in a condition, and nowhere else.
 */
#include "pod_change.h"
#include "pod_image.h"
#include "pod_resources.h"

/* ---- may it? ---- */

static void
keep_images(const struct container *was, size_t nwas, struct container **is, size_t n,
	    struct arena *a)
{
	struct container *copy = arena_alloc(a, (n + 1) * sizeof *copy);

	for (size_t i = 0; i < n; i++) {
		copy[i] = (*is)[i];
		if (i < nwas)
			copy[i].image = was[i].image;
	}
	*is = copy;
}

struct pod_spec
pod_spec_kept(const struct pod_spec *was, const struct pod_spec *is, struct arena *a)
{
	struct pod_spec kept = *is;

	kept.activeDeadlineSeconds = was->activeDeadlineSeconds;
	kept.tolerations.at = was->tolerations.at;
	kept.tolerations.n = was->tolerations.n;
	kept.schedulingGates.at = was->schedulingGates.at;
	kept.schedulingGates.n = was->schedulingGates.n;
	kept.set = was->set;
	keep_images(was->containers.at, was->containers.n, &kept.containers.at,
		    kept.containers.n, a);
	keep_images(was->initContainers.at, was->initContainers.n, &kept.initContainers.at,
		    kept.initContainers.n, a);
	return kept;
}

bool
pod_deadline_kept(const struct pod_spec *was, const struct pod_spec *is)
{
	return !schema_has(pod_spec_kind(), was, "activeDeadlineSeconds") ||
	       (schema_has(pod_spec_kind(), is, "activeDeadlineSeconds") &&
		is->activeDeadlineSeconds <= was->activeDeadlineSeconds);
}

static bool
tolerates_still(const struct pod_spec *spec, const struct toleration *old)
{
	for (size_t i = 0; i < spec->tolerations.n; i++) {
		struct toleration is = spec->tolerations.at[i];

		is.tolerationSeconds = old->tolerationSeconds;
		is.set = old->set;
		if (schema_equal(toleration_kind(), old, &is))
			return true;
	}
	return false;
}

bool
pod_tolerations_kept(const struct pod_spec *was, const struct pod_spec *is)
{
	for (size_t i = 0; i < was->tolerations.n; i++)
		if (!tolerates_still(is, &was->tolerations.at[i]))
			return false;
	return true;
}

static bool
has_gate(const struct pod_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->schedulingGates.n; i++)
		if (str_is(spec->schedulingGates.at[i].name, name))
			return true;
	return false;
}

bool
pod_no_new_gate(const struct pod_spec *was, const struct pod_spec *is, const char **ret)
{
	for (size_t i = 0; i < is->schedulingGates.n; i++)
		if (!has_gate(was, is->schedulingGates.at[i].name)) {
			*ret = is->schedulingGates.at[i].name;
			return false;
		}
	return true;
}

bool
pod_changeable(const struct pod_spec *was, const struct pod_spec *is, struct arena *a)
{
	struct pod_spec kept = pod_spec_kept(was, is, a);
	const char *gate;

	return pod_deadline_kept(was, is) && pod_tolerations_kept(was, is) &&
	       pod_no_new_gate(was, is, &gate) &&
	       (schema_equal(pod_spec_kind(), was, &kept) || pod_resizable(was, &kept, a));
}

/* ---- another image ---- */

static void
tell_ended(const struct pod *pod, const struct container *c, enum part_role role,
	   struct plan *p)
{
	pod_tell(p, pod, c->name, "Normal", "Killing",
		 role == PART_SIDECAR
		     ? arena_printf(p->arena, "Init container %s definition changed", c->name)
		     : arena_printf(p->arena,
				    "Container %s definition changed, will be restarted",
				    c->name));
}

void
pod_change_image(struct snapshot *s, const struct pod *pod, const struct container *c,
		 enum part_role role, const struct container_seen *is, struct plan *p,
		 struct pod_images_wanted *ret)
{
	const struct condition *waits = pod_condition(pod, CONDITION_IMAGE);
	struct add_args args = { .uid = object_uid(pod) };
	struct pod_trouble t = { 0 }, missing = { 0 };

	if (str_is(is->refusedImage, c->image)) { /* the host tries again */
		t.reason = "CreateContainerError";
		t.message = is->refusedWhy;
	} else if (pod_image_changed(s, pod, c, waits ? waits->lastTransitionTime : s->now,
				     waits ? waits->reason : "", p, &t)) {
		args.container = pod_container(s, pod, c, role, p->arena, &missing);
		/* (what it lacks else is waited for elsewhere) */
		if (args.container->hold)
			return;
		if (str_is(is->state, "running") && role != PART_INIT)
			tell_ended(pod, c, role, p);
		pod_order(
		    p, ACT_RENEW, pod, 0, add_args_kind(), &args,
		    arena_printf(p->arena, "%s: its image changed to %s", c->name, c->image));
		return;
	}
	if (ret->container)
		return;
	ret->container = c->name;
	ret->reason = t.reason;
	ret->message =
	    arena_printf(p->arena, "container %s goes on with image \"%s\"%s%s", c->name,
			 is->image, t.message ? ": " : "", t.message ? t.message : "");
}

void
pod_images_condition(struct pod_status *st, const struct pod *pod,
		     const struct pod_images_wanted *w, int64_t now, struct arena *a)
{
	const struct condition *was = pod_condition(pod, CONDITION_IMAGE);
	struct conditions c = conditions_copy(st->conditions.at, st->conditions.n, 1, a);

	conditions_drop(&c, CONDITION_IMAGE);
	if (w->container)
		c.at[c.n++] = (struct condition){
			.type = CONDITION_IMAGE,
			.status = "True",
			.reason = w->reason ? w->reason : IMAGE_COMES,
			.message = w->message,
			.lastTransitionTime = was ? was->lastTransitionTime : now,
		};
	st->conditions.at = c.at;
	st->conditions.n = c.n;
}

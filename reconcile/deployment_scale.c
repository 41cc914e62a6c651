/* deployment_scale.c -- a change of spec.replicas while several ReplicaSets run.
 *
 * Kubernetes' rule: each running set takes its part of the change, by its part of
 * what was allowed before (which sizes_annotate wrote down).  In a pass that does
 * this nothing is rolled.
 */
#include "deployment.h"

bool
deployment_is_scaling(const struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->sets[i].want > 0 && annotation_number(r->sets[i].rs, ANNOTATION_DESIRED,
							     r->replicas) != r->replicas)
			return true;
	return false;
}

/* This set's part of the new total, by what it was of the old one. */
static int64_t
proportion(const struct rollout *r, const struct set *set, int64_t add, int64_t added)
{
	int64_t total = r->replicas + r->surge, part, was;

	if (!set->want || !add || add == added)
		return 0;
	was = annotation_number(set->rs, ANNOTATION_MAX,
				r->d->status ? r->d->status->replicas : 0);
	if (!r->replicas || was <= 0)
		part = r->replicas ? 0 : -set->want;
	else
		part = (2 * set->want * total + was) / (2 * was) - set->want; /* rounded */
	return add > 0 ? least(part, add - added) : most(part, add - added);
}

/* Larger sets first; of equal ones the newer when growing, else the older. */
static bool
size_before(const struct set *a, const struct set *b, bool newer)
{
	if (a->want != b->want)
		return a->want > b->want;
	return newer ? set_before(b->rs, a->rs) : set_before(a->rs, b->rs);
}

static void
scale_in_proportion(struct rollout *r)
{
	struct set **by = arena_alloc(r->p->arena, (r->n + 1) * sizeof *by);
	int64_t *size = arena_alloc(r->p->arena, (r->n + 1) * sizeof *size);
	int64_t allowed = r->replicas ? r->replicas + r->surge : 0;
	int64_t add = allowed - rollout_want(r, true), added = 0;
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t at = n;

		if (!r->sets[i].want)
			continue;
		n++;
		for (; at && size_before(&r->sets[i], by[at - 1], add > 0); at--)
			by[at] = by[at - 1];
		by[at] = &r->sets[i];
	}
	for (size_t i = 0; i < n; i++) {
		int64_t part = proportion(r, by[i], add, added);

		size[i] = by[i]->want + part;
		added += part;
	}
	for (size_t i = 0; i < n; i++) {
		if (!i && add)
			size[i] = most(size[i] + add - added, 0);
		if (size[i] == by[i]->want && sizes_annotate(r, set_draft(r, by[i])->metadata))
			by[i]->dirty = true;
		set_scale(r, by[i], size[i],
			  arena_printf(r->p->arena, "%lld replicas in proportion",
				       (long long)r->replicas));
	}
}

/* As many as wanted, all available, and sized for this very number. */
static bool
new_stands(const struct rollout *r)
{
	const struct set *set = r->new;

	return set && set->want == r->replicas && set->pods.available >= r->replicas &&
	       annotation_number(set->rs, ANNOTATION_DESIRED, -1) == r->replicas;
}

/* Kubernetes' scale(): the one running set (or the newest when none runs) takes
 * all; else, when the new set stands, the old ones go; else all in proportion. */
void
deployment_scale(struct rollout *r)
{
	struct set *only = NULL;
	size_t running = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->sets[i].want > 0) {
			only = &r->sets[i];
			running++;
		}
	if (!running)
		only = r->new ? r->new : r->n ? &r->sets[r->n - 1] : NULL;
	if (running <= 1) {
		if (!only)
			return;
		if (r->recreate && r->replicas > only->want && rollout_lingers(r, only))
			return;
		if (only->want == r->replicas &&
		    sizes_annotate(r, set_draft(r, only)->metadata))
			only->dirty = true;
		set_scale(r, only, r->replicas, "replicas changed");
		return;
	}
	if (new_stands(r)) {
		for (size_t i = 0; i < r->n; i++)
			if (&r->sets[i] != r->new)
				set_scale(r, &r->sets[i], 0, "replaced");
	} else if (!r->recreate) {
		scale_in_proportion(r);
	}
}

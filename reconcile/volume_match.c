/* volume_match.c -- which volume fits which claim: Kubernetes' rules.
 *
 * Pure.  A volume that names the claim is the claim's; else the smallest one that is
 * free, of the same class and mode, large enough, picked by the selector and open to
 * every mode of access that was asked for.
 */
#include "volume.h"

static bool
modes_cover(const struct strs *has, const struct strs *want)
{
	for (size_t i = 0; i < want->n; i++) {
		size_t j = 0;

		while (j < has->n && !str_is(has->at[j], want->at[i]))
			j++;
		if (j == has->n)
			return false;
	}
	return true;
}

static const char *
mode_of(const char *mode)
{
	return str_is(mode, "") ? "Filesystem" : mode;
}

bool
volume_is_for(const struct persistent_volume *v, const struct persistent_volume_claim *c)
{
	const struct object_reference *r = v->spec->claimRef;

	return r && str_is(r->name, object_name(c)) &&
	       str_is(r->namespace, object_namespace(c)) &&
	       (str_is(r->uid, "") || str_is(r->uid, object_uid(c)));
}

const char *
volume_misfit(const struct persistent_volume *v, const struct persistent_volume_claim *c)
{
	const char *size = pairs_get(&v->spec->capacity, "storage");

	if (quantity_value(size) < quantity_value(claim_request(c)))
		return "requested PV is too small";
	if (!str_is(v->spec->storageClassName, c->spec->storageClassName))
		return "storageClassName does not match";
	if (!str_is(mode_of(v->spec->volumeMode), mode_of(c->spec->volumeMode)))
		return "incompatible volumeMode";
	if (!modes_cover(&v->spec->accessModes, &c->spec->accessModes))
		return "incompatible accessMode";
	return NULL;
}

bool
volume_on_node(const struct persistent_volume *v, const struct node *node)
{
	const struct node_selector *want =
	    v->spec->nodeAffinity ? v->spec->nodeAffinity->required : NULL;

	return !want || selector_node_matches(want, node);
}

static bool
is_free(struct snapshot *s, const struct persistent_volume *v,
	const struct persistent_volume_claim *c)
{
	const struct node *here = snapshot_find(s, RES_node, "", s->settings->node_name);

	return !v->spec->claimRef && !v->metadata->deletionTimestamp &&
	       str_is(volume_phase(v), "Available") && !volume_taken(s, v) &&
	       (!c->spec->selector ||
		selector_matches(c->spec->selector, &v->metadata->labels)) &&
	       (!here || volume_on_node(v, here));
}

const struct persistent_volume *
volume_match(struct snapshot *s, const struct persistent_volume_claim *c)
{
	const struct persistent_volume *best =
	    volume_of_claim(s, object_namespace(c), object_name(c));
	int64_t least_size = 0;

	if (best && volume_is_for(best, c) && !best->metadata->deletionTimestamp &&
	    !volume_misfit(best, c))
		return best;
	best = NULL;
	for (size_t i = 0; i < s->of[RES_persistent_volume].n; i++) {
		const struct persistent_volume *v =
		    (const struct persistent_volume *)s->of[RES_persistent_volume].at[i];
		int64_t size = quantity_value(pairs_get(&v->spec->capacity, "storage"));

		if ((best && size >= least_size) || !is_free(s, v, c) || volume_misfit(v, c))
			continue;
		best = v;
		least_size = size;
	}
	return best;
}

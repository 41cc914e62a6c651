/* pod_affinity.c -- may a pod be on a node, as far as the other pods there decide? */
#include "pod_affinity.h"
#include "base/text.h"

/* (a label that is empty is not one that is missing) */
static bool
has_label(const struct pairs *labels, const char *key, const char *value)
{
	const char *is = pairs_get(labels, key);

	return is && !strcmp(is, value);
}

static const char *
domain(const struct node *node, const char *key)
{
	return pairs_get(&node->metadata->labels, key);
}

static bool
same_domain(const struct node *a, const struct node *b, const char *key)
{
	return domain(a, key) && has_label(&b->metadata->labels, key, domain(a, key));
}

/* Of each key that `of` has: has `other` the same value (or, of `mismatch`, another or none)?
 */
static bool
keys_agree(const struct strs *keys, bool mismatch, const struct pod *of,
	   const struct pod *other)
{
	for (size_t i = 0; i < keys->n; i++) {
		const char *value = pairs_get(&of->metadata->labels, keys->at[i]);

		if (value &&
		    has_label(&other->metadata->labels, keys->at[i], value) == mismatch)
			return false;
	}
	return true;
}

/* ---- affinity ---- */

static bool
in_namespaces(const struct snapshot *s, const struct pod_affinity_term *t, const struct pod *of,
	      const char *ns)
{
	const struct namespace *it;

	if (!t->namespaces.n && !t->namespaceSelector)
		return str_is(object_namespace(of), ns);
	if (strs_has(&t->namespaces, ns))
		return true;
	it = t->namespaceSelector ? snapshot_find(s, RES_namespace, "", ns) : NULL;
	return it && selector_matches(t->namespaceSelector, &it->metadata->labels);
}

/* Is `other` among the pods that this term of `of` speaks of? */
static bool
picks(const struct snapshot *s, const struct pod_affinity_term *t, const struct pod *of,
      const struct pod *other)
{
	return in_namespaces(s, t, of, object_namespace(other)) &&
	       selector_matches(t->labelSelector, &other->metadata->labels) &&
	       keys_agree(&t->matchLabelKeys, false, of, other) &&
	       keys_agree(&t->mismatchLabelKeys, true, of, other);
}

struct terms {
	const struct pod_affinity_term *at;
	size_t n;
};

static struct terms
terms_near(const struct pod *pod)
{
	const struct pod_affinity *x =
	    pod->spec->affinity ? pod->spec->affinity->podAffinity : NULL;

	return x ? (struct terms){ x->requiredDuringSchedulingIgnoredDuringExecution.at,
				   x->requiredDuringSchedulingIgnoredDuringExecution.n }
		 : (struct terms){ 0 };
}

static struct terms
terms_apart(const struct pod *pod)
{
	const struct pod_anti_affinity *x =
	    pod->spec->affinity ? pod->spec->affinity->podAntiAffinity : NULL;

	return x ? (struct terms){ x->requiredDuringSchedulingIgnoredDuringExecution.at,
				   x->requiredDuringSchedulingIgnoredDuringExecution.n }
		 : (struct terms){ 0 };
}

static bool
picked_by_all(const struct snapshot *s, struct terms t, const struct pod *of,
	      const struct pod *other)
{
	for (size_t i = 0; i < t.n; i++)
		if (!picks(s, &t.at[i], of, other))
			return false;
	return true;
}

/* One pod has to be what all terms ask for.  The first of a group that wants to be together has
 * nobody to be with, and would wait for ever: it may go anywhere. */
static bool
near_enough(const struct snapshot *s, const struct placed *placed, const struct pod *pod,
	    const struct node *node)
{
	struct terms t = terms_near(pod);
	bool somewhere = false, missing = false;

	for (size_t i = 0; i < t.n; i++) {
		bool here = false;

		if (!domain(node, t.at[i].topologyKey))
			return false;
		for (const struct placed *x = placed; x && !here; x = x->next) {
			if (!picked_by_all(s, t, pod, x->pod))
				continue;
			somewhere = true;
			here = same_domain(node, x->node, t.at[i].topologyKey);
		}
		missing |= !here;
	}
	return !missing || (!somewhere && picked_by_all(s, t, pod, pod));
}

/* Does a term of `of`, which would be (or is) on `its`, want `other` off `there`? */
static bool
keeps_off(const struct snapshot *s, const struct pod *of, const struct node *its,
	  const struct pod *other, const struct node *there)
{
	struct terms t = terms_apart(of);

	for (size_t i = 0; i < t.n; i++)
		if (same_domain(its, there, t.at[i].topologyKey) &&
		    picks(s, &t.at[i], of, other))
			return true;
	return false;
}

const char *
pod_affinity_misfit(const struct snapshot *s, const struct placed *placed,
		    const struct pod *pod, const struct node *node)
{
	if (!near_enough(s, placed, pod, node))
		return "node(s) didn't match pod affinity rules";
	for (const struct placed *x = placed; x; x = x->next)
		if (keeps_off(s, pod, node, x->pod, x->node))
			return "node(s) didn't match pod anti-affinity rules";
	for (const struct placed *x = placed; x; x = x->next)
		if (keeps_off(s, x->pod, x->node, pod, node))
			return "node(s) didn't satisfy existing pods anti-affinity rules";
	return NULL;
}

/* ---- spread ---- */

static bool
is_hard(const struct topology_spread_constraint *c)
{
	return str_is(c->whenUnsatisfiable, "DoNotSchedule");
}

/* Do the pods of this node count, and has what it stands for to be filled?  Only a node that
 * all constraints can place does. */
static bool
takes_part(const struct topology_spread_constraint *c, const struct pod_spec *spec,
	   const struct node *node)
{
	for (size_t i = 0; i < spec->topologySpreadConstraints.n; i++) {
		const struct topology_spread_constraint *each =
		    &spec->topologySpreadConstraints.at[i];

		if (is_hard(each) && !domain(node, each->topologyKey))
			return false;
	}
	return (str_is(c->nodeAffinityPolicy, "Ignore") || pod_wants_node(spec, node)) &&
	       (!str_is(c->nodeTaintsPolicy, "Honor") || !pod_untolerated(spec, node));
}

static bool
is_counted(const struct topology_spread_constraint *c, const struct pod *pod,
	   const struct pod *other)
{
	return selector_matches(c->labelSelector, &other->metadata->labels) &&
	       keys_agree(&c->matchLabelKeys, false, pod, other);
}

static int64_t
count_in(const struct topology_spread_constraint *c, const struct placed *placed,
	 const struct pod *pod, const char *value)
{
	int64_t n = 0;

	for (const struct placed *x = placed; x; x = x->next)
		n += has_label(&x->node->metadata->labels, c->topologyKey, value) &&
		     str_is(object_namespace(x->pod), object_namespace(pod)) &&
		     !x->pod->metadata->deletionTimestamp &&
		     takes_part(c, pod->spec, x->node) && is_counted(c, pod, x->pod);
	return n;
}

/* Is this node's value of the key one that no node before it had? */
static bool
is_new_domain(const struct snapshot *s, const struct topology_spread_constraint *c,
	      const struct pod_spec *spec, size_t at)
{
	const struct node *node = (const struct node *)s->of[RES_node].at[at];

	for (size_t i = 0; i < at; i++) {
		const struct node *x = (const struct node *)s->of[RES_node].at[i];

		if (takes_part(c, spec, x) && same_domain(x, node, c->topologyKey))
			return false;
	}
	return takes_part(c, spec, node);
}

/* How many pods the emptiest domain has; none, where fewer domains are than are asked for. */
static int64_t
least_count(const struct snapshot *s, const struct topology_spread_constraint *c,
	    const struct placed *placed, const struct pod *pod)
{
	int64_t least = INT64_MAX, domains = 0;

	for (size_t i = 0; i < s->of[RES_node].n; i++) {
		const struct node *node = (const struct node *)s->of[RES_node].at[i];
		int64_t n;

		if (!is_new_domain(s, c, pod->spec, i))
			continue;
		domains++;
		n = count_in(c, placed, pod, domain(node, c->topologyKey));
		if (n < least)
			least = n;
	}
	return domains && domains >= c->minDomains ? least : 0;
}

const char *
pod_spread_misfit(const struct snapshot *s, const struct placed *placed, const struct pod *pod,
		  const struct node *node)
{
	for (size_t i = 0; i < pod->spec->topologySpreadConstraints.n; i++) {
		const struct topology_spread_constraint *c =
		    &pod->spec->topologySpreadConstraints.at[i];
		const char *value = domain(node, c->topologyKey);

		if (!is_hard(c))
			continue;
		if (!value)
			return "node(s) didn't match pod topology spread constraints (missing "
			       "required label)";
		if (count_in(c, placed, pod, value) + is_counted(c, pod, pod) -
			least_count(s, c, placed, pod) >
		    c->maxSkew)
			return "node(s) didn't match pod topology spread constraints";
	}
	return NULL;
}

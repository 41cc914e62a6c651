/* volume_pass.c -- what a pass over storage looks up again and again.
 *
 * Pure.  Made on first use, in one walk over the pods and one over the volumes, so
 * that many claims do not each walk over all of them.
 */
#include "volume.h"

struct use {
	const char *ns, *claim;
	const struct pod *pod;
};

struct volume_pass {
	struct use *uses; /* sorted */
	size_t nuses;
	const struct persistent_volume **claimed; /* by the names in claimRef */
	size_t nclaimed;
	bool *taken; /* of each volume of the snapshot */
};

static int
use_order(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int c = strcmp(x->ns, y->ns);

	return c ? c : strcmp(x->claim, y->claim);
}

static const char *
or_empty(const char *s)
{
	return s ? s : "";
}

static int
claimed_order(const void *a, const void *b)
{
	const struct object_reference *x =
	    (*(const struct persistent_volume *const *)a)->spec->claimRef;
	const struct object_reference *y =
	    (*(const struct persistent_volume *const *)b)->spec->claimRef;
	int c = strcmp(or_empty(x->namespace), or_empty(y->namespace));

	return c ? c : strcmp(or_empty(x->name), or_empty(y->name));
}

static void
uses_add(struct volume_pass *x, struct snapshot *s)
{
	size_t most = 0;

	for (size_t i = 0; i < s->of[RES_pod].n; i++)
		most += ((const struct pod *)s->of[RES_pod].at[i])->spec->volumes.n;
	x->uses = arena_alloc(s->arena, (most + 1) * sizeof *x->uses);
	for (size_t i = 0; i < s->of[RES_pod].n; i++) {
		const struct pod *pod = (const struct pod *)s->of[RES_pod].at[i];

		if (pod_is_finished(pod) && !snapshot_seen(s, object_uid(pod)))
			continue;
		for (size_t j = 0; j < pod->spec->volumes.n; j++) {
			const struct volume *v = &pod->spec->volumes.at[j];

			if (v->persistentVolumeClaim)
				x->uses[x->nuses++] =
				    (struct use){ object_namespace(pod),
						  or_empty(v->persistentVolumeClaim->claimName),
						  pod };
		}
	}
	if (x->nuses)
		qsort(x->uses, x->nuses, sizeof *x->uses, use_order);
}

static struct volume_pass *
pass_of(struct snapshot *s)
{
	size_t n = s->of[RES_persistent_volume].n;
	struct volume_pass *x = s->volumes;

	if (x)
		return x;
	s->volumes = x = arena_zalloc(s->arena, sizeof *x);
	x->claimed = arena_alloc(s->arena, (n + 1) * sizeof *x->claimed);
	x->taken = arena_zalloc(s->arena, n + 1);
	for (size_t i = 0; i < n; i++) {
		const struct persistent_volume *v =
		    (const struct persistent_volume *)s->of[RES_persistent_volume].at[i];

		if (v->spec->claimRef)
			x->claimed[x->nclaimed++] = v;
	}
	if (x->nclaimed)
		qsort(x->claimed, x->nclaimed, sizeof *x->claimed, claimed_order);
	uses_add(x, s);
	return x;
}

const struct pod *
volume_user(struct snapshot *s, const char *ns, const char *claim)
{
	struct volume_pass *x = pass_of(s);
	struct use key = { ns, claim, NULL }, *use = NULL;

	if (x->nuses)
		use = bsearch(&key, x->uses, x->nuses, sizeof *x->uses, use_order);
	return use ? use->pod : NULL;
}

const struct persistent_volume *
volume_of_claim(struct snapshot *s, const char *ns, const char *claim)
{
	struct volume_pass *x = pass_of(s);
	size_t lo = 0, hi = x->nclaimed;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct object_reference *r = x->claimed[mid]->spec->claimRef;
		int c = strcmp(or_empty(r->namespace), ns);

		if (!c)
			c = strcmp(or_empty(r->name), claim);
		if (!c)
			return x->claimed[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static size_t
index_of(const struct snapshot *s, const struct persistent_volume *v)
{
	const struct objects *all = &s->of[RES_persistent_volume];

	for (size_t i = 0; i < all->n; i++)
		if (all->at[i] == (const struct object *)v)
			return i;
	return all->n;
}

bool
volume_taken(struct snapshot *s, const struct persistent_volume *v)
{
	return pass_of(s)->taken[index_of(s, v)];
}

bool
volume_take(struct snapshot *s, const struct persistent_volume *v)
{
	bool *taken = &pass_of(s)->taken[index_of(s, v)], was = *taken;

	*taken = true;
	return !was;
}

const struct store_seen *
volume_store(const struct snapshot *s, const char *name)
{
	for (size_t lo = 0, hi = s->stores ? s->stores->stores.n : 0; lo < hi;) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(s->stores->stores.at[mid].name, name);

		if (!c)
			return &s->stores->stores.at[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

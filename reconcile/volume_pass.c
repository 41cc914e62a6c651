/* volume_pass.c -- what a pass over storage looks up again and again.
 *
 * Pure.  Made on first use, in one walk over the pods and one over the volumes, so
 * that many claims do not each walk over all of them.
 */
#include "volume.h"

/* Who a claim is of interest to; rows are sorted by its name. */
struct row {
	const char *ns, *claim;
	union {
		const struct pod *pod;                  /* that uses it */
		const struct persistent_volume *volume; /* whose claimRef names it */
	};
};

struct volume_pass {
	struct row *uses, *claimed;
	size_t nuses, nclaimed;
	bool *taken; /* of each volume of the snapshot */
};

static int
row_order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c = strcmp(x->ns, y->ns);

	return c ? c : strcmp(x->claim, y->claim);
}

static void
rows_sort(struct row *at, size_t n)
{
	if (n)
		qsort(at, n, sizeof *at, row_order);
}

static const struct row *
row_find(const struct row *at, size_t n, const char *ns, const char *claim)
{
	const struct row key = { .ns = ns, .claim = claim };

	return n ? bsearch(&key, at, n, sizeof *at, row_order) : NULL;
}

static const char *
or_empty(const char *s)
{
	return s ? s : "";
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
				x->uses[x->nuses++] = (struct row){
					object_namespace(pod),
					or_empty(v->persistentVolumeClaim->claimName),
					.pod = pod,
				};
		}
	}
	rows_sort(x->uses, x->nuses);
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
			x->claimed[x->nclaimed++] =
			    (struct row){ or_empty(v->spec->claimRef->namespace),
					  or_empty(v->spec->claimRef->name), .volume = v };
	}
	rows_sort(x->claimed, x->nclaimed);
	uses_add(x, s);
	return x;
}

const struct pod *
volume_user(struct snapshot *s, const char *ns, const char *claim)
{
	const struct volume_pass *x = pass_of(s);
	const struct row *use = row_find(x->uses, x->nuses, ns, claim);

	return use ? use->pod : NULL;
}

const struct persistent_volume *
volume_of_claim(struct snapshot *s, const char *ns, const char *claim)
{
	const struct volume_pass *x = pass_of(s);
	const struct row *claimed = row_find(x->claimed, x->nclaimed, ns, claim);

	return claimed ? claimed->volume : NULL;
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

static int
store_order(const void *name, const void *store)
{
	return strcmp(name, ((const struct store_seen *)store)->name);
}

const struct store_seen *
volume_store(const struct snapshot *s, const char *name)
{
	const struct stores_seen *all = s->stores;

	return all && all->stores.n ? bsearch(name, all->stores.at, all->stores.n,
					      sizeof *all->stores.at, store_order)
				    : NULL;
}

/* patch_merge.c -- RFC 7386: JSON merge patch. */
#include "patch.h"
#include "patch_tree.h"

struct tree *
patch_merge(const struct tree *target, const struct tree *patch, struct arena *a)
{
	struct members m;

	if (patch->type != N_MAP)
		return tree_copy(patch, a);
	members_open(&m, a);
	if (target && target->type == N_MAP)
		members_add_all(&m, target);
	for (const struct tree *kid = patch->kids; kid; kid = kid->next)
		if (kid->type == N_NULL)
			members_del(&m, kid->key);
		else
			members_put(&m, kid->key,
				    patch_merge(members_get(&m, kid->key), kid, a));
	return members_close(&m, N_MAP);
}

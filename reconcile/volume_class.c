/* volume_class.c -- storage classes, and the one that is there from the start.
 *
 * Pure.  `local` makes directories on this host.  It comes into being when there is no
 * class of that name; a repository may state it (and other policies for it), or state
 * another default, which then is the newer one.
 */
#include "controllers.h"
#include "volume.h"

#define DEFAULT_NAME "local"

const struct storage_class *
volume_class(struct snapshot *s, const char *name)
{
	return snapshot_find(s, RES_storage_class, "", name ? name : "");
}

/* The newest that says it is, as in Kubernetes. */
const struct storage_class *
volume_class_default(struct snapshot *s)
{
	const struct storage_class *best = NULL;

	for (size_t i = 0; i < s->of[RES_storage_class].n; i++) {
		const struct storage_class *c =
		    (const struct storage_class *)s->of[RES_storage_class].at[i];

		if (!str_is(object_annotation(c, ANNOTATION_DEFAULT_CLASS), "true"))
			continue;
		if (!best || c->metadata->creationTimestamp > best->metadata->creationTimestamp)
			best = c;
	}
	return best;
}

bool
volume_class_waits(const struct storage_class *c)
{
	return c && str_is(c->volumeBindingMode, "WaitForFirstConsumer");
}

void
volume_class_ensure(struct snapshot *s, struct plan *p)
{
	struct storage_class *c;

	if (!s->host || volume_class(s, DEFAULT_NAME))
		return;
	c = object_new(RES_storage_class, "", DEFAULT_NAME, p->arena);
	pairs_set(&c->metadata->annotations, ANNOTATION_DEFAULT_CLASS, "true", p->arena);
	c->provisioner = PROVISIONER;
	c->reclaimPolicy = "Delete";
	c->volumeBindingMode = "Immediate";
	c->allowVolumeExpansion = true;
	plan_write(p, ACT_CREATE, c, 0, 0, "the default for claims");
}

/* apply.h -- what apply.c, its apply_*.c and write.c share. */
#ifndef KEDGE_APPLY_H
#define KEDGE_APPLY_H
#include "object.h"

struct settings;
struct snapshot;
struct apply_claims;

/* Who holds which node port and which cluster address.  A second claim is a
 * complaint at the manifest's place that names the first. */
struct apply_claims *apply_claims_new(const struct settings *, struct complaints *,
				      struct arena *);
void apply_claims_done(struct apply_claims *);
/* There was such a complaint. */
bool apply_claims_clash(const struct apply_claims *);
/* `m` is NULL for a live service that no manifest speaks of. */
void apply_claim(struct apply_claims *, const struct manifest *m, const struct service *);

void apply_complain(struct complaints *, const struct manifest *, const char *field,
		    const char *text);
/* apply_security.c: an object that is made or changed, by its namespace's labels. */
void apply_security(struct complaints *, const struct manifest *, const struct pairs *labels,
		    const void *obj, struct arena *);
/* What `audit` adds to the why of such an action; "": nothing. */
const char *apply_security_audit(const struct resource *, const struct pairs *labels,
				 const void *obj, struct arena *);
/* A namespace whose labels change from `was` (NULL: it is new) to `is`. */
void apply_security_namespace(struct snapshot *, struct complaints *, const struct manifest *,
			      const struct pairs *was, const struct pairs *is, struct arena *);

/* apply_change.c: what cannot be changed.  A manifest without a path is a write over the
 * API. */
void apply_change_check(struct snapshot *, struct complaints *, const struct manifest *,
			const void *live, const void *new, struct arena *);

/* apply_storage.c: what of claims, volumes and classes cannot be changed. */
void apply_storage_check(struct snapshot *, struct complaints *, const struct manifest *,
			 const void *live, const void *new);
/* Why a claim goes, and what becomes of its data; NULL: it has none. */
const char *apply_storage_prune(struct snapshot *, const struct object *, const char *source,
				struct arena *);
#endif

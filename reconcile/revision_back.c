/* revision_back.c -- which revision a rollback goes to when nobody names one.
 *
 * The last that was healthy and is not what the source says already: to go back to what never
 * worked, or to where one is, helps nobody.  When the newest was refused this is the one that
 * runs.
 */
#include "base/text.h"
#include "controllers.h"
#include "snapshot.h"

static bool
is_of(const struct revision *r, const char *source)
{
	return r->spec && r->status && str_is(r->spec->source, source);
}

const struct revision *
revision_before(const struct objects *all, const char *source, revision_alike_fn *alike,
		void *ctx)
{
	const struct revision *newest = NULL, *best = NULL;

	for (size_t i = 0; i < all->n; i++) {
		const struct revision *r = (const void *)all->at[i];

		if (is_of(r, source) && (!newest || r->spec->number > newest->spec->number))
			newest = r;
	}
	for (size_t i = 0; i < all->n; i++) {
		const struct revision *r = (const void *)all->at[i];

		if (is_of(r, source) && r != newest && str_is(r->status->outcome, "Healthy") &&
		    (!best || r->spec->number > best->spec->number) && !alike(ctx, r, newest))
			best = r;
	}
	return best;
}

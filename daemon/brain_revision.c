/* brain_revision.c -- what a Revision says of its commit, and the Events that tell it. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "brain_state.h"
#include <inttypes.h>
#include <string.h>

enum { ERRORS_KEPT = 200 };

static void
strs_add(struct strs *s, const char *text, struct arena *a)
{
	if (!s->at)
		s->at = arena_alloc(a, (ERRORS_KEPT + 1) * sizeof *s->at);
	if (s->n < ERRORS_KEPT)
		s->at[s->n++] = text;
	else if (s->n == ERRORS_KEPT)
		s->at[s->n++] = "... and more";
}

void
revision_complaints(struct revision *r, struct complaints *cs, struct arena *a)
{
	complaints_sort(cs);
	for (const struct complaint *c = cs->first; c; c = c->next) {
		struct complaint bare = *c;

		bare.warning = false; /* the list's name says it already */
		strs_add(c->warning ? &r->status->warnings : &r->status->errors,
			 complaint_print(&bare, a), a);
	}
}

/* Of "Name <mail>": how much is the name. */
static int
name_length(const char *author)
{
	size_t n = strcspn(author, "<");

	while (n && author[n - 1] == ' ')
		n--;
	return (int)(n ? n : strlen(author));
}

static void
revision_event(struct brain *b, struct revision *r)
{
	const struct revision *stored = store_find(b->store, RES_revision, "", object_name(r));
	const char *author = r->spec->author ? r->spec->author : "?";
	bool failed = !strcmp(r->status->outcome, "Failed");

	if (!stored)
		return;
	for (size_t i = 0; i < r->status->errors.n; i++)
		event_about(
		    b, stored,
		    &(struct event_note){ "Warning", "Failed", r->status->errors.at[i], NULL });
	for (size_t i = 0; i < r->status->warnings.n; i++)
		event_about(b, stored,
			    &(struct event_note){ "Warning", "Warning",
						  r->status->warnings.at[i], NULL });
	if (r->spec->forced) {
		cleanup_free char *text = NULL;

		xasprintf(&text,
			  "Commit %.7s does not descend from the one before it: the branch was "
			  "force-pushed",
			  r->spec->commit);
		event_about(b, stored,
			    &(struct event_note){ "Warning", "ForcePushed", text, NULL });
	}
	if (!failed) {
		cleanup_free char *text = NULL;

		xasprintf(&text,
			  "Applied commit %.7s by %.*s: %" PRId64 " created, %" PRId64
			  " changed, %" PRId64 " pruned",
			  r->spec->commit, name_length(author), author, r->status->created,
			  r->status->changed, r->status->pruned);
		event_about(b, stored, &(struct event_note){ "Normal", "Applied", text, NULL });
	}
}

void
revision_store(struct brain *b, struct revision *r)
{
	cleanup_error struct error *e = NULL;

	if (store_create(b->store, r, now_ms(), &e) < 0)
		log_err(object_name(r), "%s", error_text(e));
	for (size_t i = 0; i < r->status->errors.n; i++)
		log_warn(object_name(r), "%s", r->status->errors.at[i]);
	revision_event(b, r);
}

/* brain_rollback.c -- back to what an earlier revision said. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/text.h"
#include "../reconcile/controllers.h"
#include "../reconcile/writeback.h"
#include "api.h"
#include "brain_requests.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- where to ---- */

static bool
alike(void *ctx, const struct revision *one, const struct revision *other)
{
	struct watch *w = ctx;

	return str_is(one->spec->tree, other->spec->tree) ||
	       source_alike(w->brain->sources, w->config->name, one->spec->commit,
			    other->spec->commit);
}

static const struct revision *
revision_numbered(struct watch *w, int64_t number, struct error **e)
{
	cleanup_free char *name = NULL;
	const struct revision *r;

	xasprintf(&name, "%s-%" PRId64, w->config->name, number);
	r = store_find(w->brain->store, RES_revision, "", name);
	if (!r)
		fail(e, WHY_NOT_FOUND,
		     "source %s has no revision %" PRId64 "; kedge history lists them",
		     w->config->name, number);
	return r;
}

/* 0: the last one that was healthy and is another than what is there. */
static const struct revision *
revision_to(struct watch *w, int64_t number, struct error **e)
{
	struct objects all = store_all(w->brain->store, RES_revision);
	const struct revision *r = number ? revision_numbered(w, number, e)
					  : revision_before(&all, w->config->name, alike, w);

	if (!r) {
		if (!number)
			fail(e, WHY_NOT_FOUND,
			     "source %s has no earlier revision that was healthy and differs "
			     "from the newest; `kedge history` lists them, and `kedge "
			     "rollback N` goes to one",
			     w->config->name);
		return NULL;
	}
	if (revision_was_applied(r))
		return r;
	fail(e, WHY_INVALID, "revision %" PRId64 " was never applied (%s); choose another",
	     r->spec->number, r->status && r->status->errors.n ? r->status->errors.at[0] : "?");
	return NULL;
}

/* ---- the way ---- */

/* Who gave no number hears which it became. */
static char *
answer_of(const struct revision *r)
{
	json_t *j = json_pack("{s:s, s:I, s:s, s:s}", "kind", "Rollback", "revision",
			      (json_int_t)r->spec->number, "commit", r->spec->commit, "message",
			      r->spec->message ? r->spec->message : "");
	char *out = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	return out;
}

static int
commit_back(struct watch *w, const struct revision *r, const char *user, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_free char *message = NULL;

	xasprintf(&message,
		  "Roll back to revision %" PRId64
		  "\n\nThis takes the tree of commit %s.\n\nKedge-Prune: yes",
		  r->spec->number, r->spec->commit);
	return source_revert_to(w->brain->sources, w->config->name, r->spec->commit,
				writeback_author(user, &a), message, e);
}

int
rollback(struct brain *b, struct watch *w, const struct api_source_args *args,
	 struct brain_request *asked, struct error **e)
{
	const struct revision *r = revision_to(w, args->revision, e);

	if (!r)
		return -1;
	asked->json = answer_of(r);
	if (source_writable(b->sources, w->config->name))
		return commit_back(w, r, args->user, e);
	if (deploy_hold(w, false, r->spec->commit, e) < 0)
		return -1;
	deploy(b, w, true);
	brain_answered(b, w->config->name, "");
	return 0;
}

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

/* ---- what would go ---- */

static json_t *
texts(const struct strs *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(all, brain_text_json(s->at[i]));
	return all;
}

/* The plan that diff shows; where only the prune guard stands before it, what it would be.
 * How many errors it has, -1: it cannot be made. */
static int
plan_back(struct watch *w, const struct revision *r, bool allow_prune, json_t *ret,
	  struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints cs = { .arena = &a };
	struct manifest_set *set = NULL;
	struct strs deletes = { 0 }, claims;
	struct snapshot s;
	struct plan p;

	brain_snapshot(w->brain, &s, &a);
	plan_init(&p, &a);
	if (deploy_plan(w->brain, w, r->spec->commit, NULL, allow_prune, NULL, &s, &p, &cs,
			&set, NULL, e) < 0)
		return -1;
	if (ret) {
		deletes.at = arena_alloc(&a, (p.n + 1) * sizeof *deletes.at);
		for (size_t i = 0; i < p.n; i++) {
			cleanup_buf struct buf line = { 0 };

			if (p.at[i].verb != ACT_DELETE)
				continue;
			action_print(&p.at[i], &line);
			deletes.at[deletes.n++] = arena_strdup(&a, buf_text(&line));
		}
		apply_storage_lost(&s, &p, &a, &claims);
		json_object_set_new(ret, "deletes", texts(&deletes));
		json_object_set_new(ret, "claims", texts(&claims));
	}
	manifest_set_free(set);
	return cs.errors;
}

/* What it would delete, and whether the prune guard would have held that up. */
static void
add_losses(struct watch *w, const struct revision *r, json_t *to)
{
	cleanup_error struct error *e = NULL;
	int allowed = plan_back(w, r, true, to, &e), guarded = -1;

	if (allowed >= 0)
		guarded = plan_back(w, r, false, NULL, &e);
	if (guarded < 0)
		json_object_set_new(to, "unseen", brain_text_json(e ? error_text(e) : "?"));
	else
		json_object_set_new(to, "guarded", json_boolean(guarded > allowed));
}

/* ---- the way ---- */

/* Why no commit can be made; NULL: it can. */
static const char *
pin_reason(struct watch *w)
{
	struct sources *all = w->brain->sources;
	const char *name = w->config->name;

	if (source_writable(all, name))
		return NULL;
	if (!source_known(all, name) || source_fd(all, name) < 0)
		return "the source cannot be read just now";
	return *source_unwritable(all, name) ? source_unwritable(all, name)
					     : "the source cannot be written to";
}

/* Who gave no number hears which it became. */
static char *
answer_of(struct watch *w, const struct revision *r, const char *pinned, bool dry)
{
	json_t *j = json_pack("{s:s, s:I, s:s, s:o}", "kind", "Rollback", "revision",
			      (json_int_t)r->spec->number, "commit", r->spec->commit, "message",
			      brain_text_json(r->spec->message ? r->spec->message : ""));
	char *out;

	if (pinned)
		json_object_set_new(j, "pinned", brain_text_json(pinned));
	if (dry)
		add_losses(w, r, j);
	out = json_dumps(j, JSON_COMPACT);
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
	const char *pinned;

	if (!r)
		return -1;
	pinned = pin_reason(w);
	asked->json = answer_of(w, r, pinned, args->dry);
	if (args->dry) {
		brain_request_answer(b, asked, asked->json, NULL);
		return 0;
	}
	if (!pinned)
		return commit_back(w, r, args->user, e);
	if (deploy_hold(w, false, r->spec->commit, e) < 0)
		return -1;
	deploy(b, w, true);
	brain_request_answer(b, asked, asked->json, NULL);
	return 0;
}

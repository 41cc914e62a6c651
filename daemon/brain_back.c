/* brain_back.c -- a write to what Git states becomes a commit, which the source's worker makes.
 *
 * Here the text is changed (reconcile/writeback.c); the worker, who has the rights of the
 * repository's owner, is told which bytes of which file.  The loop never waits: the call is
 * answered when the commit was judged by the ordinary way of a push, or when its images take
 * too long to come.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/text.h"
#include "../reconcile/controllers.h"
#include "../reconcile/own.h"
#include "../reconcile/writeback.h"
#include "api.h"
#include "brain_requests.h"
#include "gitlib.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_S = 30 };

static struct watch *
watch_of(struct brain *b, const struct object *o)
{
	const char *name = object_label(o, ANNOTATION_SOURCE);

	return name && own_is_signed(o) ? deploy_watch(b, name) : NULL;
}

/* Would a commit made now be applied at all?  NULL: yes. */
static const char *
obstacle(struct brain *b, struct watch *w, struct arena *a)
{
	const char *name = w->config->name;
	const struct source *s = store_find(b->store, RES_source, "", name);
	const struct source_head *head = source_head(b->sources, name);
	const struct revision *r = deploy_newest(w);

	if (!source_known(b->sources, name) || source_fd(b->sources, name) < 0 || !head || !s)
		return "the source cannot be read just now";
	if (s->spec->suspend)
		return arena_printf(a, "source %s is suspended (kedge resume %s)", name, name);
	if (s->spec->pin && *s->spec->pin)
		return arena_printf(a, "source %s stays at commit %.7s (kedge resume %s)", name,
				    s->spec->pin, name);
	if (!source_writable(b->sources, name))
		return *source_unwritable(b->sources, name)
			   ? source_unwritable(b->sources, name)
			   : "the source cannot be written to";
	if (r && str_is(r->spec->commit, head->commit) && !revision_was_applied(r))
		return arena_printf(a, "the newest commit %.7s is not applied itself: %s",
				    head->commit,
				    r->status->errors.n ? r->status->errors.at[0] : "?");
	return NULL;
}

static const char *
on_state(void *ctx, const struct object *o, struct arena *a)
{
	struct brain *b = ctx;
	struct watch *w = watch_of(b, o);
	const char *why;

	if (!w || !w->config->writeBack)
		return NULL;
	why = obstacle(b, w, a);
	return why ? why : "";
}

/* ---- asking ---- */

static char *
file_of(struct brain *b, struct watch *w, const struct object *o, struct writeback *wb,
	struct error **e)
{
	const struct source_head *head = source_head(b->sources, w->config->name);
	const char *place = object_annotation(o, ANNOTATION_PLACE);
	const char *colon = place ? strrchr(place, ':') : NULL;
	const struct revision *r = deploy_newest(w);
	char *text;

	if (!colon) {
		fail(e, WHY_OWNED, "where %s is stated is not known: \"kedge sync\" finds it",
		     object_name(o));
		return NULL;
	}
	wb->path = arena_strndup(wb->arena, place, (size_t)(colon - place));
	wb->in_force = r && str_is(r->spec->commit, head->commit);
	text = source_text(b->sources, head->commit, wb->path, e);
	if (!text) {
		fail_in(e, "%s", wb->path);
		return NULL;
	}
	wb->text = text;
	wb->len = strlen(text);
	return text;
}

static const char *
message_of(const struct writeback *wb, const char *why)
{
	return arena_printf(wb->arena, "%s\n\n%s%sWritten by kedge, %s.\n\nManifest: %s:%d\n%s",
			    wb->subject, wb->changes, *wb->changes ? "\n" : "", why, wb->path,
			    wb->line, wb->want ? "" : "Kedge-Prune: yes\n");
}

static void
splices_of(const struct writeback *wb, struct write_args *args)
{
	size_t n = wb->amend.n;

	args->splices.at = arena_zalloc(wb->arena, (n + 1) * sizeof *args->splices.at);
	args->splices.n = n;
	for (size_t i = 0; i < n; i++) {
		args->splices.at[i].at = (int64_t)wb->amend.splices[i].at;
		args->splices.at[i].drop = (int64_t)wb->amend.splices[i].drop;
		args->splices.at[i].text = wb->amend.splices[i].text;
	}
}

static void on_late(evutil_socket_t, short, void *);

static int
ask_worker(struct brain *b, int64_t id, struct watch *w, const struct writeback *wb,
	   const struct api_back *ask, struct error **e)
{
	struct brain_request *r;
	struct write_args args = { .path = wb->path,
				   .author = writeback_author(ask->user, wb->arena),
				   .message = message_of(wb, ask->why) };
	char hex[GIT_OID_HEXSZ + 1];
	git_oid blob;
	int rc = git_odb_hash(&blob, wb->text, wb->len, GIT_OBJECT_BLOB);

	if (rc)
		return fail_git(e, rc, "%s", wb->path);
	git_oid_tostr(hex, sizeof hex, &blob);
	args.blob = hex;
	splices_of(wb, &args);
	args.remove = wb->emptied;
	/* The message consents to what goes: on top of a push that nobody here has judged that
	 * would be the push's, too. */
	if (!wb->want)
		args.head = source_head(b->sources, w->config->name)->commit;
	r = brain_request_new(b, ASK_WRITE, id);
	r->source = xstrdup(w->config->name);
	r->brain = b;
	r->rest = wb->mixed;
	args.id = r->id;
	r->late = evtimer_new(b->base, on_late, r);
	if (r->late)
		evtimer_add(r->late, &(struct timeval){ .tv_sec = PATIENCE_S });
	log_info(w->config->name, "to be committed: %s, %s", wb->subject, ask->why);
	if (source_write(b->sources, w->config->name, &args, e) == 0)
		return 0;
	brain_request_free(b, r);
	return -1;
}

static int
on_back(void *ctx, int64_t id, const struct api_back *ask, struct error **e)
{
	struct brain *b = ctx;
	cleanup_arena struct arena a = { 0 };
	struct watch *w = watch_of(b, ask->live);
	struct writeback wb = { .live = ask->live, .want = ask->want, .arena = &a };
	cleanup_free char *text = NULL;
	const char *why = w ? obstacle(b, w, &a) : "its source is gone";

	if (why)
		return fail(e, WHY_OWNED, "it is owned by Git and is not written back: %s",
			    why);
	text = file_of(b, w, ask->live, &wb, e);
	if (!text || (ask->want ? writeback_make(&wb, e) : writeback_remove(&wb, e)) < 0)
		return -1;
	if (wb.mixed && !wb.in_force)
		return fail(
		    e, WHY_CONFLICT,
		    "this changes what Git states and what it does not, and a commit of "
		    "source %s waits to be applied: try again when it is",
		    w->config->name);
	return ask->dry ? 0 : ask_worker(b, id, w, &wb, ask, e);
}

/* ---- answering ---- */

static void
answer(struct brain *b, struct brain_request *r, const struct error *e, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int64_t id = r->api_id;

	json_decref(json);
	brain_request_free(b, r);
	api_answer(b->api, id, e, text);
	free(text);
}

static void
answer_commit(struct brain *b, struct brain_request *r, const char *waiting)
{
	answer(b, r, NULL, json_pack("{s:s, s:s}", "commit", r->ref, "waiting", waiting));
}

static void
on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct brain_request *r = ctx;
	struct watch *w = deploy_watch(r->brain, r->source);
	cleanup_error struct error *e = NULL;

	(void)fd;
	(void)what;
	if (r->ref && r->rest) { /* a half of it is no answer */
		evtimer_add(r->late, &(struct timeval){ .tv_sec = PATIENCE_S });
		return;
	}
	if (r->ref) {
		answer_commit(r->brain, r,
			      w && w->fetch_text ? w->fetch_text : "it waits to be read");
		return;
	}
	fail(&e, WHY_TIMEOUT,
	     "source %s does not answer; whether the commit was made \"git log\" tells",
	     r->source);
	answer(r->brain, r, e, NULL);
}

void
back_settle(struct brain *b, struct watch *w)
{
	const struct source_head *head = source_head(b->sources, w->config->name);
	const struct revision *rev = deploy_newest(w);
	struct brain_request *r, *next;

	if (w->fetching || !head || !rev || !str_is(rev->spec->commit, head->commit))
		return;
	for (r = b->requests; r; r = next) {
		cleanup_error struct error *e = NULL;

		next = r->next;
		if (r->type != ASK_WRITE || strcmp(r->source, w->config->name) != 0 || !r->ref)
			continue;
		if (revision_was_applied(rev)) {
			answer_commit(b, r, "");
			continue;
		}
		fail(&e, WHY_OWNED,
		     "commit %.7s is made, but commit %.7s of source %s is not applied: %s; "
		     "revert what is wrong, or push what mends it",
		     r->ref, head->commit, w->config->name,
		     rev->status->errors.n ? rev->status->errors.at[0] : "?");
		answer(b, r, e, NULL);
	}
}

void
back_written(struct brain *b, struct watch *w)
{
	const struct written_seen *seen = source_written(b->sources, w->config->name);
	struct brain_request *r = seen ? brain_request_find(b, ASK_WRITE, seen->id) : NULL;
	cleanup_error struct error *e = NULL;

	if (!r || strcmp(r->source, w->config->name) != 0)
		return;
	if (seen->commit && *seen->commit) {
		log_info(w->config->name, "commit %.7s is made for a write over the API",
			 seen->commit);
		r->ref = xstrdup(seen->commit);
		back_settle(b, w);
	} else if (seen->moved) {
		answer(b, r, NULL,
		       json_pack("{s:b, s:s}", "again", 1, "why",
				 seen->error ? seen->error : "?"));
	} else {
		fail(&e, WHY_OWNED, "it is owned by Git, and no commit was made: %s",
		     seen->error ? seen->error : "?");
		answer(b, r, e, NULL);
	}
}

void
back_lost(struct brain *b, const struct watch *w)
{
	struct brain_request *r, *next;

	for (r = b->requests; r; r = next) {
		cleanup_error struct error *e = NULL;

		next = r->next;
		if (r->type != ASK_WRITE || strcmp(r->source, w->config->name) != 0 || r->ref)
			continue;
		fail(&e, WHY_UNAVAILABLE,
		     "the worker of source %s ended; whether the commit was made \"git log\" "
		     "tells",
		     w->config->name);
		answer(b, r, e, NULL);
	}
}

void
back_host(struct api_host *host)
{
	host->back_state = on_state;
	host->back = on_back;
}

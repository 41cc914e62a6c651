/* brain_api.c -- what the API asks of the brain (images: brain_images.c). */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/controllers.h"
#include "../reconcile/own.h"
#include "../reconcile/tree.h"
#include "../reconcile/trouble.h"
#include "api.h"
#include "brain_requests.h"
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_PATIENCE_S = 1 };

static void
answer_json(struct brain *b, int64_t id, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	api_answer(b->api, id, NULL, text);
	free(text);
}

/* ---- objects ---- */

/* Who hears that it is written can rely on it: the disk has it, or it is taken back. */
static int
on_write(void *ctx, const struct action *a, struct error **e)
{
	struct brain *b = ctx;
	uint64_t since;

	if (brain_flush(b, e) < 0)
		return fail_in(e, "nothing can be written");
	since = store_version(b->store);
	if (carry_asked(b, a, e) < 0)
		return -1;
	if (!strcmp(a->kind, resources[RES_event].singular))
		brain_nudge(b); /* it moves nothing, and some write many */
	else
		brain_poke(b);
	if (store_commit_or_undo(b->store, since, e) < 0)
		return fail_in(e, "it is not written");
	return 0;
}

static void
on_resting(void *ctx, struct snapshot *s)
{
	seen_resting(ctx, s);
}

/* The text of the file is read again: places are not kept for every field. */
static const char *
on_place(void *ctx, const struct object *o, const char *field, struct arena *a)
{
	struct brain *b = ctx;
	const char *source = object_label(o, ANNOTATION_SOURCE);
	const char *place = object_annotation(o, ANNOTATION_PLACE);
	const char *colon = place ? strrchr(place, ':') : NULL;
	struct watch *w = source ? deploy_watch(b, source) : NULL;
	const struct revision *r = w ? deploy_newest(w) : NULL;
	cleanup_error struct error *e = NULL;
	cleanup_free char *text = NULL;
	const char *path;

	if (!colon || !r || !r->spec || !r->spec->commit || !source_known(b->sources, source))
		return NULL;
	path = arena_strndup(a, place, (size_t)(colon - place));
	text = source_text(b->sources, r->spec->commit, path, &e);
	return text ? arena_printf(a, "%s:%d", path, own_line(text, atoi(colon + 1), field))
		    : NULL;
}

/* ---- sources ---- */

static int
on_source(void *ctx, int64_t id, const struct api_source_args *args, struct error **e)
{
	struct brain *b = ctx;
	struct watch *w = deploy_watch(b, args->name);
	struct brain_request *r;
	int rc;

	if (!w)
		return fail(e, WHY_NOT_FOUND, "sources.kedge.dev \"%s\" not found", args->name);
	if (args->verb == API_SUSPEND || args->verb == API_RESUME) {
		if (deploy_suspend(b, w, args->verb == API_SUSPEND, e) < 0)
			return -1;
		api_answer(b->api, id, NULL, NULL);
		return 0;
	}
	r = brain_request_new(b, ASK_SOURCE, id);
	r->source = xstrdup(w->config->name);
	r->turn = source_asked(b->sources, w->config->name) + 1;
	r->allow_prune = args->allow_prune;
	rc = args->verb == API_SYNC
		 ? source_sync(b->sources, w->config->name, args->everything, e)
		 : rollback(b, w, args, r, e);
	/* A pin is answered from within, and the request is gone by then. */
	if (rc < 0 && (r = brain_request_find(b, ASK_SOURCE, b->next_id)))
		brain_request_free(b, r);
	return rc;
}

void
brain_answered(struct brain *b, const char *source, int64_t turn, const char *error)
{
	struct brain_request *r, *next;

	for (r = b->requests; r; r = next) {
		bool mine = r->type == ASK_SOURCE && !strcmp(r->source, source) &&
			    (!turn || r->turn == turn);

		/* It may answer writes that waited for it: those that come next here. */
		if (mine && r->allow_prune && (!error || !*error))
			deploy(b, deploy_watch(b, source), true);
		next = r->next;
		if (mine)
			brain_request_answer(b, r, r->json, error);
	}
}

/* ---- diff and status ---- */

/* What a user calls a commit: a revision's number, or the beginning of an id that some
 * revision has; NULL when none is called so, and the source's worker has to be asked. */
static const char *
commit_named(struct brain *b, struct watch *w, const char *ref)
{
	struct objects all = store_all(b->store, RES_revision);
	size_t len = strlen(ref);
	bool number = len < 7 && strspn(ref, "0123456789") == len;

	for (size_t i = 0; i < all.n; i++) {
		const struct revision *r = (const void *)all.at[i];

		if (strcmp(r->spec->source, w->config->name) || !r->spec->commit)
			continue;
		if (number ? r->spec->number == atoll(ref)
			   : len >= 4 && !strncmp(r->spec->commit, ref, len))
			return r->spec->commit;
	}
	return NULL;
}

static bool
is_head(const struct watch *w, const char *ref)
{
	return !(ref && *ref) || !strcmp(ref, "HEAD") ||
	       (w->config->ref && !strcmp(ref, w->config->ref));
}

static void
error_add(json_t *errors, const char *source, const struct error *e)
{
	cleanup_free char *text = NULL;

	xasprintf(&text, "%s: %s", source, error_text(e));
	json_array_append_new(errors, brain_text_json(text));
}

/* `commit`: what the worker says that ref is; NULL: it was not asked. */
static void
diff_of(struct brain *b, struct watch *w, const char *ref, const char *commit, json_t *lines,
	json_t *errors, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints cs = { .arena = &a };
	const struct source_head *head = source_head(b->sources, w->config->name);
	struct manifest_set *set = NULL;
	struct snapshot s;
	struct plan p;
	bool at_head = is_head(w, ref);

	if (!head && at_head)
		return;
	if (!commit)
		commit = at_head ? head->commit : commit_named(b, w, ref);
	if (!commit) {
		fail(e, WHY_NOT_FOUND,
		     "\"%s\" is no revision's number and no commit that kedge has read; name "
		     "the source (--source), and it is looked up there",
		     ref);
		return;
	}
	brain_snapshot(b, &s, &a);
	plan_init(&p, &a);
	if (deploy_plan(b, w, commit, NULL, at_head && deploy_consented(w, head), NULL, &s, &p,
			&cs, &set, NULL, e) < 0)
		return;
	complaints_sort(&cs);
	for (const struct complaint *c = cs.first; c; c = c->next)
		if (!c->warning)
			json_array_append_new(errors, brain_text_json(complaint_print(c, &a)));
	if (cs.errors) { /* where only the prune guard stands before it, what it would be */
		struct complaints again = { .arena = &a };

		manifest_set_free(set);
		set = NULL;
		plan_init(&p, &a);
		if (deploy_plan(b, w, commit, NULL, true, NULL, &s, &p, &again, &set, NULL, e) <
		    0)
			return;
	}
	for (size_t i = 0; i < p.n; i++) {
		cleanup_buf struct buf line = { 0 };

		action_print(&p.at[i], &line);
		json_array_append_new(lines, brain_text_json(buf_text(&line)));
	}
	manifest_set_free(set);
}

/* `missing`: the source has nothing that is called so. */
static void
answer_diff(struct brain *b, int64_t id, json_t *lines, json_t *errors, bool missing)
{
	json_t *j =
	    json_pack("{s:s, s:o, s:o}", "kind", "Diff", "actions", lines, "errors", errors);

	if (missing)
		json_object_set_new(j, "missing", json_true());
	answer_json(b, id, j);
}

/* A branch that was never read, or a commit: its worker reads it once. */
static int
commit_ask(struct brain *b, int64_t id, struct watch *w, const char *ref, struct error **e)
{
	struct brain_request *r;

	if (source_show(b->sources, w->config->name, ref, e) < 0)
		return -1;
	r = brain_request_new(b, ASK_COMMIT, id);
	r->source = xstrdup(w->config->name);
	r->ref = xstrdup(ref);
	return 0;
}

void
brain_shown(struct brain *b, struct watch *w, bool lost)
{
	const char *name = w->config->name, *ref = "", *commit = "", *why = "";
	struct brain_request *r, *next;

	if (!lost)
		source_shown(b->sources, name, &ref, &commit, &why);
	for (r = b->requests; r; r = next) {
		cleanup_error struct error *e = NULL;
		json_t *lines, *errors;

		next = r->next;
		if (r->type != ASK_COMMIT || strcmp(r->source, name) ||
		    (!lost && strcmp(r->ref, ref)))
			continue;
		lines = json_array();
		errors = json_array();
		if (lost)
			fail(&e, WHY_UNAVAILABLE, "the source's worker ended; try again");
		else if (!*commit)
			fail(&e, WHY_NOT_FOUND, "%s", why);
		else
			diff_of(b, w, r->ref, commit, lines, errors, &e);
		if (e)
			error_add(errors, name, e);
		answer_diff(b, r->api_id, lines, errors, !lost && !*commit);
		brain_request_free(b, r);
	}
}

static int
on_diff(void *ctx, int64_t id, const char *source, const char *ref, struct error **e)
{
	struct brain *b = ctx;
	struct watch *one = deploy_watch(b, source);
	json_t *lines, *errors;

	if (source && *source && !one)
		return fail(e, WHY_NOT_FOUND, "sources.kedge.dev \"%s\" not found", source);
	if (one && !is_head(one, ref) && !commit_named(b, one, ref))
		return commit_ask(b, id, one, ref, e);
	lines = json_array();
	errors = json_array();
	for (size_t i = 0; i < b->config->sources.n; i++) {
		struct watch *w = &b->watches[i];
		cleanup_error struct error *why = NULL;

		if (source && *source && strcmp(source, w->config->name))
			continue;
		diff_of(b, w, ref, NULL, lines, errors, &why);
		if (why)
			error_add(errors, w->config->name, why);
	}
	answer_diff(b, id, lines, errors, false);
	return 0;
}

static void
status_answer(struct brain *b, struct brain_request *r, const struct look_seen *seen)
{
	int64_t id = r->api_id;

	brain_request_free(b, r);
	answer_json(b, id, brain_status(b, seen));
}

static void
on_status_late(evutil_socket_t fd, short what, void *ctx)
{
	struct brain_request *r = ctx;

	(void)fd;
	(void)what;
	status_answer(r->brain, r, NULL);
}

/* Asks the hand to look at the host; NULL: it cannot be asked now. */
static struct brain_request *
look_ask(struct brain *b, enum request_type type, int64_t id, struct look_args args)
{
	struct action a = {
		.verb = ACT_LOOK, .kind = "", .ns = "", .name = "host", .why = "", .body = &args
	};
	struct brain_request *r = brain_request_new(b, type, id);

	args.id = r->id;
	if (brain_tell(b, &a, NULL, 0) == 0)
		return r;
	brain_request_free(b, r);
	return NULL;
}

/* What pods listen at only the hand can see: it is asked first, and not waited for when it
 * does not answer. */
static int
on_status(void *ctx, int64_t id, struct error **e)
{
	struct brain *b = ctx;
	struct brain_request *r =
	    look_ask(b, ASK_STATUS, id, (struct look_args){ .listens = true });

	(void)e;
	if (!r) {
		answer_json(b, id, brain_status(b, NULL));
		return 0;
	}
	r->brain = b;
	r->late = evtimer_new(b->base, on_status_late, r);
	if (!r->late ||
	    evtimer_add(r->late, &(struct timeval){ .tv_sec = STATUS_PATIENCE_S }) < 0)
		status_answer(b, r, NULL);
	return 0;
}

/* ---- what the hand knows ---- */

static int
on_usage(void *ctx, int64_t id, struct error **e)
{
	return hand_ask(ctx, ACT_USAGE, "", "host", false, id, e);
}

/* What the hand saw is the answer, as it is. */
static void
answer_seen(struct brain *b, int64_t id, const struct kind *kind, const void *seen)
{
	struct brain_request *r = brain_request_find(b, ASK_HAND, id);
	cleanup_buf struct buf json = { 0 };

	if (!r)
		return;
	schema_encode(kind, seen, &json);
	brain_request_answer(b, r, buf_text(&json), NULL);
}

void
brain_usage_seen(struct brain *b, const struct usage_seen *seen)
{
	answer_seen(b, seen->id, usage_seen_kind(), seen);
}

static int
on_look(void *ctx, int64_t id, const struct look_args *look, struct error **e)
{
	struct brain_request *r = look_ask(ctx, ASK_HAND, id, *look);

	if (!r)
		return fail(e, WHY_UNAVAILABLE, "the host cannot be asked just now");
	r->to = xstrdup(look->to);
	r->protocol = xstrdup(look->protocol);
	r->port = look->port;
	return 0;
}

/* The hand knows rules and addresses; why a Service's way ends at once is in the objects. */
static void
way_seen(struct brain *b, const struct brain_request *r, const struct look_seen *seen)
{
	cleanup_arena struct arena a = { 0 };
	struct snapshot s = { .arena = &a };
	struct look_seen full = *seen;

	store_view(b->store, &s);
	full.why = trouble_of_way(&s, r->to, r->protocol, r->port, &a);
	answer_seen(b, seen->id, look_seen_kind(), &full);
}

void
brain_look_seen(struct brain *b, const struct look_seen *seen)
{
	struct brain_request *r = brain_request_find(b, ASK_STATUS, seen->id);

	if (r) {
		status_answer(b, r, seen);
		return;
	}
	r = brain_request_find(b, ASK_HAND, seen->id);
	if (r && r->to && *r->to && !strcmp(seen->verdict, "refused") && !seen->ends.n)
		way_seen(b, r, seen);
	else
		answer_seen(b, seen->id, look_seen_kind(), seen);
}

static int
on_down(void *ctx, int64_t id, bool keep, struct error **e)
{
	return hand_ask(ctx, ACT_DOWN, "", "host", keep, id, e);
}

void
brain_hand_answered(struct brain *b, int64_t id, const char *text, const char *error)
{
	struct brain_request *r = brain_request_find(b, ASK_HAND, id);
	json_t *json;
	char *dump;

	if (!r)
		return;
	json = json_pack("{s:s, s:s, s:s}", "kind", "Status", "status", "Success", "message",
			 text ? text : "");
	dump = json_dumps(json, JSON_COMPACT);
	brain_request_answer(b, r, dump, error);
	free(dump);
	json_decref(json);
}

int
brain_api_open(struct brain *b, struct error **e)
{
	if (b->listen_tls >= 0 && brain_pki_open(b, e) < 0)
		return -1;

	struct api_settings settings = {
		.http = { .socket_fd = b->listen_unix,
			  .listen_fd = b->listen_tcp,
			  .tls_fd = b->listen_tls },
		.pki = b->pki,
		.log_dir = b->config->logs,
		.settings = &b->settings,
	};
	const struct config_audit *audit = b->config->audit;
	struct api_host host = {
		.ctx = b,
		.write = on_write,
		.resting = on_resting,
		.place = on_place,
		.source = on_source,
		.diff = on_diff,
		.status = on_status,
		.dns = brain_dns_why,
		.usage = on_usage,
		.look = on_look,
		.down = on_down,
		.certify = brain_certify,
	};

	if (audit)
		settings.audit =
		    (struct audit_settings){ audit->path, quantity_value(audit->maxSize),
					     audit->maxFiles };
	if (b->pki)
		settings.http.tls = brain_pki_tls(b);
	brain_stream_host(&host);
	brain_images_host(&host);
	back_host(&host);
	return api_open(b->base, b->store, &settings, &host, &b->api, e);
}

void
brain_api_close(struct brain *b)
{
	if (b->api)
		api_close(b->api);
	while (b->requests)
		brain_request_free(b, b->requests);
	brain_streams_close(b);
	brain_pki_close(b);
}

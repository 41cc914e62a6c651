/* api_back.c -- a write to what Git states, from the commit that says so to the answer.
 *
 * The commit comes first, and is applied as any other.  Then what the write changes beside is
 * written to what lives by then: a merge patch of the two objects, so that what others wrote
 * meanwhile stays.  Nothing is answered before the commit exists; where its images are waited
 * for too long, the answer is the object as it will be, with a warning.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/managed.h"
#include "../reconcile/patch.h"
#include "../reconcile/writeback.h"
#include "api_write.h"
#include <string.h>

enum { TRIES_MOST = 32 }; /* of a write; each time another one of the same file came first */

/* What is left of the write when the brain answers; all of it is the call's own. */
struct back {
	struct tree *patch;        /* of what was to what is asked for */
	const struct object *want; /* as it was checked */
	const char *manager, *managed;
	const char *uid; /* of a DELETE: what goes; else NULL */
	bool applied;    /* by server-side apply: `managed` holds */
	int code, tries;
	void (*answer)(struct api_edit *, const struct object *);
};

/* The same write once more, on what lives now. */
static void
again(struct call *c, struct back *b, const char *why)
{
	if (++b->tries < TRIES_MOST) {
		c->on_answer = NULL;
		c->route->fn(c);
		return;
	}
	call_refuse(
	    c, WHY_CONFLICT,
	    "Operation cannot be fulfilled on %s \"%s\": no commit could be made in %d tries: "
	    "%s; please apply your changes to the latest version and try again",
	    write_plural(c->res, &c->arena), c->name, TRIES_MOST, why);
}

static void
warn_waiting(struct api_edit *ed, const char *commit, const char *waiting)
{
	ed->write.cs.arena = &ed->call->arena;
	complaint_add(&ed->write.cs, COMPLAINT_INVALID, true, 0, 0, NULL,
		      arena_printf(&ed->call->arena,
				   "commit %.7s is made and not applied yet: %s", commit,
				   waiting));
}

/* The commit is applied: what it does not say is written, and what lives then is the answer. */
static void
finish(struct call *c, struct back *b, const char *commit, const char *waiting)
{
	struct managed_apply applied = { .managed = b->managed };
	struct api_edit ed;

	if (!edit_open(&ed, c))
		return;
	if (b->uid) {
		deletion_answer(&ed, b->uid);
		return;
	}
	ed.after = commit;
	ed.answer = b->answer;
	ed.applied = b->applied ? &applied : NULL;
	ed.write.live = store_find(c->api->store, c->res->id, c->ns, c->name);
	if (*waiting || !ed.write.live) {
		warn_waiting(&ed, commit, *waiting ? waiting : "the object has gone meanwhile");
		edit_answer(&ed, b->code, b->want);
		return;
	}
	edit_put(&ed, patch_merge(object_tree(ed.write.live, &c->arena), b->patch, &c->arena),
		 b->code);
}

static void
on_answer(struct call *c, const struct error *e, const char *json)
{
	struct complaints none = { .arena = &c->arena };
	const struct tree *t = json ? json_read(json, strlen(json), &c->arena, &none) : NULL;
	struct back *b = c->state;

	if (e || !t) {
		call_fail(c, e);
		return;
	}
	if (tree_get(t, "again"))
		again(c, b, tree_text(t, "why", "?"));
	else
		finish(c, b, tree_text(t, "commit", ""), tree_text(t, "waiting", ""));
}

/* The object's own manager and version are not the patch's business. */
static struct tree *
patch_of(const struct api_edit *ed)
{
	const struct write *w = &ed->write;

	return writeback_patch(object_tree(w->live, w->a), object_tree(w->obj, w->a), w->a);
}

/* As edit_why, with that name. */
static const char *
why_of(const struct api_edit *ed)
{
	struct call *c = ed->call;

	return c->impersonator ? edit_why(ed)
			       : arena_printf(&c->arena, "asked for by %s with %s",
					      auth_login(c), ed->manager);
}

static struct back *
back_of(struct call *c)
{
	if (!c->state)
		c->state = arena_zalloc(&c->arena, sizeof(struct back));
	return c->state;
}

/* False: it was refused, which has been answered. */
static bool
ask(struct api_edit *ed, const struct object *live, const struct object *want)
{
	struct call *c = ed->call;
	const struct api_host *host = &c->api->host;
	struct api_back args = { .live = live,
				 .want = want,
				 .user = auth_login(c),
				 .why = why_of(ed),
				 .dry = ed->dry };
	cleanup_error struct error *e = NULL;

	c->on_answer = on_answer;
	if (host->back(host->ctx, ed->dry ? 0 : call_ask(c), &args, &e) == 0)
		return true;
	edit_fail(ed, e);
	return false;
}

void
back_begin(struct api_edit *ed, int code)
{
	struct call *c = ed->call;
	struct back *b = back_of(c);

	b->patch = patch_of(ed);
	b->want = object_clone(ed->write.obj, &c->arena);
	b->applied = ed->applied != NULL;
	b->managed = ed->applied ? arena_strdup(&c->arena, ed->applied->managed) : NULL;
	b->answer = ed->answer;
	b->code = code;
	if (!ask(ed, ed->write.live, ed->write.obj) || !ed->dry)
		return;
	edit_own(ed);
	edit_dry(ed);
	edit_answer(ed, code, ed->write.obj);
}

void
back_delete(struct api_edit *ed, const struct object *o)
{
	struct back *b = back_of(ed->call);

	b->uid = arena_strdup(&ed->call->arena, object_uid(o));
	if (ask(ed, o, NULL) && ed->dry)
		edit_answer(ed, 200, o);
}

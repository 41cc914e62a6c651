/* api_delete.c -- DELETE of one object or of all that a selector picks. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/own.h"
#include "../reconcile/workload.h"
#include "api_write.h"
#include <inttypes.h>
#include <string.h>

/* Kubernetes' Status of what is gone; kubectl waits for that uid. */
static void
answer_gone(struct api_edit *ed, const char *name, const char *uid)
{
	const struct resource *r = ed->call->res;
	struct buf b = { 0 };

	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
		     "\"Success\",\"details\":{\"name\":");
	json_quote(&b, name);
	buf_addf(&b, ",%s%s%s\"kind\":\"%s\",\"uid\":\"%s\"}}", *r->group ? "\"group\":\"" : "",
		 r->group, *r->group ? "\"," : "", r->plural, uid);
	call_json(ed->call, 200, &b);
}

static int
check_preconditions(const struct api_edit *ed, const struct api_deletion *opt,
		    const struct object *o, struct error **e)
{
	const struct object_meta *m = o->metadata;
	const struct resource *r = ed->call->res;
	const char *kind =
	    arena_printf(&ed->call->arena, "%s%s%s", r->kind, *r->group ? "." : "", r->group);

	if (*opt->uid && strcmp(opt->uid, m->uid) != 0)
		return fail(e, WHY_CONFLICT,
			    "Operation cannot be fulfilled on %s \"%s\": the UID in the "
			    "precondition (%.100s) does not match the UID in record (%s). The "
			    "object might have been deleted and then recreated",
			    kind, m->name, opt->uid, m->uid);
	if (*opt->version && strcmp(opt->version, m->resourceVersion) != 0)
		return fail(
		    e, WHY_CONFLICT,
		    "Operation cannot be fulfilled on %s \"%s\": the ResourceVersion in "
		    "the precondition (%.100s) does not match the ResourceVersion in "
		    "record (%s). The object might have been modified",
		    kind, m->name, opt->version, m->resourceVersion);
	return 0;
}

/* `o` is a copy of what lives, changed. */
static bool
update(struct api_edit *ed, const struct object *o, const char *why)
{
	struct action a = { .verb = ACT_UPDATE,
			    .kind = resource_of(o)->singular,
			    .ns = object_namespace(o),
			    .name = object_name(o),
			    .why = why,
			    .body = o };

	return edit_carry(ed, &a);
}

/* The same without this owner. */
static bool
disown(struct api_edit *ed, const struct object *o, const char *uid)
{
	struct arena *a = &ed->call->arena;
	struct object *copy = object_clone(o, a);

	owner_drop(copy->metadata, uid, a);
	return update(ed, copy, arena_printf(a, "%s: orphaned", edit_why(ed)));
}

/* Orphan: what it owns lives on, and is told so before it goes. */
static bool
orphan(struct api_edit *ed, const char *uid)
{
	for (size_t r = 0; r < RES_COUNT; r++) {
		struct objects all = store_all(ed->call->api->store, (enum resource_id)r);

		/* An update leaves each at its place. */
		for (size_t i = 0; i < all.n; i++)
			if (object_owned_by(all.at[i], uid) && !disown(ed, all.at[i], uid))
				return false;
	}
	return true;
}

/* Foreground: it stays, marked, until the garbage collector has seen its dependents go. */
static bool
hold_for_dependents(struct api_edit *ed, const struct object *o)
{
	struct arena *a = &ed->call->arena;
	struct object *copy;

	if (finalizer_has(o->metadata, FINALIZER_FOREGROUND))
		return true;
	copy = object_clone(o, a);
	finalizer_add(copy->metadata, FINALIZER_FOREGROUND, a);
	return update(ed, copy, arena_printf(a, "%s: after its dependents", edit_why(ed)));
}

bool
deletion_carry(struct api_edit *ed, const struct api_deletion *opt, const struct object *o)
{
	const struct resource *r = ed->call->res;
	const char *uid = arena_strdup(&ed->call->arena, object_uid(o));
	struct action a = { .verb = ACT_DELETE,
			    .kind = r->singular,
			    .ns = arena_strdup(&ed->call->arena, object_namespace(o)),
			    .name = arena_strdup(&ed->call->arena, object_name(o)),
			    .why = edit_why(ed) };

	if (!strcmp(opt->policy, "Orphan") && !orphan(ed, uid))
		return false;
	if (!strcmp(opt->policy, "Foreground") && r->id != RES_pod &&
	    !hold_for_dependents(ed, o))
		return false;
	/* "Immediately" skips the node in Kubernetes; here it is still an orderly end. */
	if (r->id == RES_pod && opt->grace >= 0)
		a.to = opt->grace ? opt->grace : 1;
	return edit_carry(ed, &a);
}

/* What Git states goes by a commit, where its source takes some: a single object, in the way
 * that what leaves Git goes.  A namespace may hold other things of Git's, and a pod is deleted
 * to be made anew. */
static bool
takes_commit(struct api_edit *ed, const struct api_deletion *opt, const struct object *o)
{
	const struct api_host *host = &ed->call->api->host;
	enum resource_id id = ed->call->res->id;
	const char *state;

	if (!ed->alone || id == RES_pod || id == RES_namespace || !host->back_state ||
	    (*opt->policy && strcmp(opt->policy, "Background") != 0) ||
	    !own_is_gits(&ed->snap, o))
		return false;
	state = host->back_state(host->ctx, o, &ed->call->arena);
	return ed->by_commit = state && !*state;
}

int
deletion_check(struct api_edit *ed, const struct api_deletion *opt, const struct object *o,
	       struct error **e)
{
	if (ed->call->res->id == RES_node || ed->call->res->id == RES_source ||
	    ed->call->res->id == RES_revision)
		return fail(e, WHY_METHOD, "%s are kedge's own: they cannot be deleted",
			    ed->call->res->plural);
	if (check_preconditions(ed, opt, o, e) < 0)
		return -1;
	if (takes_commit(ed, opt, o))
		return 0;
	return write_may_delete(o, &ed->snap, e);
}

/* What is there now, or that it has gone. */
void
deletion_answer(struct api_edit *ed, const char *uid)
{
	struct call *c = ed->call;
	const struct object *o = store_find(c->api->store, c->res->id, c->ns, c->name);

	if (o)
		edit_answer(ed, 200, o);
	else
		answer_gone(ed, c->name, uid);
}

void
object_delete(struct call *c)
{
	const struct object *o;
	cleanup_error struct error *e = NULL;
	struct api_deletion opt;
	struct api_edit ed;
	const char *uid;

	if (!edit_open(&ed, c) || !body_delete_options(&ed, &opt))
		return;
	o = store_find(c->api->store, c->res->id, c->ns, c->name);
	if (!o) {
		edit_refuse_missing(c);
		return;
	}
	ed.alone = true;
	if (deletion_check(&ed, &opt, o, &e) < 0) {
		edit_fail(&ed, e);
		return;
	}
	uid = arena_strdup(&c->arena, object_uid(o));
	if (ed.by_commit)
		back_delete(&ed, o);
	else if (deletion_carry(&ed, &opt, o))
		deletion_answer(&ed, uid);
}

/* ---- a collection ---- */

struct picked {
	const struct object **at;
	size_t n;
};

static void
pick(struct call *c, const struct selection *sel, struct picked *ret)
{
	struct objects all = selection_slice(sel, c);

	ret->at = arena_alloc(&c->arena, (all.n + 1) * sizeof *ret->at);
	ret->n = 0;
	for (size_t i = 0; i < all.n; i++) {
		cleanup_arena struct arena scratch = { 0 };

		/* The store may move them while they go. */
		if (selection_has(sel, c->res, all.at[i], &scratch))
			ret->at[ret->n++] = object_clone(all.at[i], &c->arena);
	}
}

/* One that may not go keeps all the others.  Those that may go one after the other: what has
 * gone when the disk fails stays gone, as in Kubernetes, and the answer says so. */
void
object_delete_all(struct call *c)
{
	cleanup_error struct error *e = NULL;
	struct api_deletion opt;
	struct selection sel;
	struct picked picked;
	struct api_edit ed;
	struct buf b = { 0 };

	if (c->res->id == RES_namespace) { /* as in Kubernetes: one at a time */
		object_no_method(c);
		return;
	}
	if (!edit_open(&ed, c) || !body_delete_options(&ed, &opt))
		return;
	if (selection_read(&sel, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	pick(c, &sel, &picked);
	for (size_t i = 0; i < picked.n; i++)
		if (deletion_check(&ed, &opt, picked.at[i], &e) < 0) {
			edit_fail(&ed, e);
			return;
		}
	for (size_t i = 0; i < picked.n; i++)
		if (!deletion_carry(&ed, &opt, picked.at[i]))
			return;
	buf_addf(&b,
		 "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":"
		 "\"%" PRIu64 "\"},\"items\":[",
		 c->res->kind, c->res->api_version, store_version(c->api->store));
	for (size_t i = 0; i < picked.n; i++) {
		buf_adds(&b, i ? "," : "");
		object_json(picked.at[i], &b);
	}
	buf_adds(&b, "]}");
	call_json(c, 200, &b);
}

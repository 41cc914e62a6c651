/* api_apply.c -- server-side apply: what a manager states is merged with what others own. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/fieldset.h"
#include "../reconcile/managed.h"
#include "../reconcile/patch_tree.h"
#include "api_rbac.h"
#include "api_write.h"
#include <string.h>

static void
put_causes(const struct complaints *cs, struct buf *b)
{
	for (const struct complaint *c = cs->first; c; c = c->next) {
		buf_adds(b, b->len ? ",{\"reason\":\"FieldManagerConflict\",\"message\":"
				   : "{\"reason\":\"FieldManagerConflict\",\"message\":");
		json_quote(b, c->text);
		buf_adds(b, ",\"field\":");
		json_quote(b, c->field);
		buf_addc(b, '}');
	}
}

/* Apply failed with 2 conflicts: conflicts with "x":\n- .a\n- .b */
static const char *
conflict_text(const struct complaints *cs, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };
	const char *last = "";

	buf_addf(&b, "Apply failed with %d conflict%s: ", cs->errors,
		 cs->errors > 1 ? "s" : "");
	if (cs->errors == 1)
		return arena_printf(a, "%s%s: %s", buf_text(&b), cs->first->text,
				    cs->first->field);
	for (const struct complaint *c = cs->first; c; c = c->next) {
		if (strcmp(last, c->text) != 0)
			buf_addf(&b, "%sconflicts%s:", *last ? "\n" : "",
				 c->text + strlen("conflict"));
		buf_addf(&b, "\n- %s", c->field);
		last = c->text;
	}
	return arena_strdup(a, buf_text(&b));
}

static void
answer_conflict(struct api_edit *ed, const struct complaints *cs)
{
	const struct resource *r = ed->call->res;
	cleanup_buf struct buf causes = { 0 };
	struct buf b = { 0 };

	put_causes(cs, &causes);
	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Failure\",\"message\":");
	json_quote(&b, conflict_text(cs, &ed->call->arena));
	buf_adds(&b, ",\"reason\":\"Conflict\",\"details\":{\"name\":");
	json_quote(&b, ed->call->name);
	buf_addf(&b, ",\"group\":\"%s\",\"kind\":\"%s\",\"causes\":[%s]},\"code\":409}",
		 r->group, r->plural, buf_text(&causes));
	call_json(ed->call, 409, &b);
}

/* Without what is nothing to the subresource: nobody comes to own that. */
static struct tree *
stripped(struct api_edit *ed, struct tree *t)
{
	struct arena *a = &ed->call->arena;
	const struct tree *list = tree_get(tree_get(t, "spec"), "ephemeralContainers");
	struct members top, spec;

	if (ed->write.status)
		return write_status_strip(ed->call->res, t, a);
	if (strcmp(ed->sub, "ephemeralcontainers") != 0)
		return t;
	members_open(&spec, a);
	if (list)
		members_put(&spec, "ephemeralContainers", list);
	members_open(&top, a);
	members_add_all(&top, t);
	members_put(&top, "spec", members_close(&spec, N_MAP));
	members_del(&top, "status");
	return members_close(&top, N_MAP);
}

/* NULL was answered. */
static struct tree *
read_applied(struct api_edit *ed)
{
	struct call *c = ed->call;
	struct tree *t = body_read_yaml(ed);
	const char *why;

	if (!t)
		return NULL;
	if (t->type != N_MAP) {
		call_refuse(c, WHY_BAD_REQUEST, "what is applied is an object");
		return NULL;
	}
	if (tree_get(tree_get(t, "metadata"), "managedFields")) {
		call_refuse(c, WHY_BAD_REQUEST, "metadata.managedFields must be nil");
		return NULL;
	}
	t = stripped(ed, t);
	why = fieldset_objection(c->res->schema, t, &c->arena);
	if (!why)
		return t;
	call_refuse(c, WHY_BAD_REQUEST, "%s", why);
	return NULL;
}

/* Is all that is disputed what `kubectl apply` had stated itself, from the client's side?
 * Then this is it going over to the server's, and it may. */
static bool
is_upgrade(const struct api_edit *ed, const struct object *live, const struct tree *disputed)
{
	const char *text =
	    object_annotation(live, "kubectl.kubernetes.io/last-applied-configuration");
	struct arena *a = &ed->call->arena;
	struct complaints none = { .arena = a };
	const struct tree *last = text && !strcmp(ed->manager, "kubectl")
				      ? json_read(text, strlen(text), a, &none)
				      : NULL;
	struct tree *stated;

	if (!last || last->type != N_MAP)
		return false;
	stated = fieldset_changed(ed->call->res->schema, NULL, last, a);
	return fieldset_empty(fieldset_minus(disputed, stated, a));
}

const struct tree *
apply_merged(struct api_edit *ed, const struct object *live)
{
	struct call *c = ed->call;
	struct managed_by by = { c->res, ed->manager, ed->snap.now, ed->sub };
	struct tree *applied = read_applied(ed);
	struct managed_apply *result = arena_alloc(&c->arena, sizeof *result);
	const struct tree *is;
	const char *managed;

	if (applied && !live && *ed->sub) {
		edit_refuse_missing(c); /* what hangs below an object makes none */
		return NULL;
	}
	if (!applied || (!live && (!edit_allowed(c, true) || !access_also(c, "create"))))
		return NULL;
	managed = live ? live->metadata->managedFields : NULL;
	is = live ? object_tree(live, &c->arena) : NULL;
	managed_apply(&by, managed, is, applied, call_flag(c, "force"), result, &c->arena);
	if (result->conflicts.errors && is_upgrade(ed, live, result->disputed))
		managed_apply(&by, managed, is, applied, true, result, &c->arena);
	if (result->conflicts.errors) {
		answer_conflict(ed, &result->conflicts);
		return NULL;
	}
	ed->applied = result;
	return result->merged;
}

void
apply_patch(struct api_edit *ed)
{
	struct call *c = ed->call;
	const struct object *live = store_find(c->api->store, c->res->id, c->ns, c->name);
	const struct tree *merged = apply_merged(ed, live);

	if (!merged)
		return;
	ed->write.live = live;
	edit_put(ed, merged, live ? 200 : 201);
}

/* api_pod.c -- pods/resize and pods/binding: two ways to change a pod's spec that a plain write
 * has not.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/text.h"
#include "../reconcile/patch_tree.h"
#include "api_write.h"
#include <string.h>

static bool
find_pod(struct api_edit *ed)
{
	struct call *c = ed->call;

	ed->write.live = store_find(c->api->store, RES_pod, c->ns, c->name);
	if (ed->write.live)
		return true;
	edit_refuse_missing(c);
	return false;
}

/* ---- resize ---- */

/* The live pod with the spec that was sent.  Whatever else was sent is not this subresource's
 * to change. */
static const struct tree *
resized(const struct tree *live, const struct tree *sent, struct arena *a)
{
	const struct tree *version = tree_get(tree_get(sent, "metadata"), "resourceVersion");
	const struct tree *spec = tree_get(sent, "spec");
	struct members top, meta;

	members_open(&meta, a);
	members_add_all(&meta, tree_get(live, "metadata"));
	if (version)
		members_put(&meta, "resourceVersion", version);
	members_open(&top, a);
	members_add_all(&top, live);
	members_put(&top, "metadata", members_close(&meta, N_MAP));
	if (spec)
		members_put(&top, "spec", spec);
	return members_close(&top, N_MAP);
}

void
pod_resize(struct call *c)
{
	const struct tree *live, *sent;
	struct api_edit ed;

	if (!edit_open(&ed, c) || !find_pod(&ed))
		return;
	live = object_tree(ed.write.live, &c->arena);
	sent = strcmp(http_method(c->req), "PUT") ? body_patched(&ed, live) : body_read(&ed);
	if (!sent)
		return;
	ed.write.resize = true;
	ed.sub = "resize";
	edit_put(&ed, resized(live, sent, &c->arena), 200);
}

/* ---- binding ---- */

/* What stands in the way; NULL: nothing. */
static const char *
bound_already(const struct pod *pod, struct arena *a)
{
	const char *name = object_name(pod);

	if (pod->metadata->deletionTimestamp)
		return arena_printf(a, "pod %s is being deleted, cannot be assigned to a host",
				    name);
	if (!str_is(pod->spec->nodeName, ""))
		return arena_printf(a, "pod %s is already assigned to node \"%s\"", name,
				    pod->spec->nodeName);
	if (pod->spec->schedulingGates.n)
		return arena_printf(a, "pod %s has non-empty .spec.schedulingGates", name);
	return NULL;
}

/* Of /bindings the pod is named in the body alone.  NULL was answered. */
static const struct binding *
read_binding(struct api_edit *ed)
{
	struct call *c = ed->call;
	struct complaints cs = { .arena = &c->arena };
	const struct tree *t = body_read_kind(ed, binding_kind());
	const struct binding *b =
	    t ? schema_decode(binding_kind(), t, SCHEMA_TRUSTED, &c->arena, &cs) : NULL;
	const char *kind = b && b->target && b->target->kind ? b->target->kind : "";

	if (!t)
		return NULL;
	if (cs.errors || !b)
		call_refuse(c, WHY_BAD_REQUEST, "the Binding cannot be read: %s",
			    cs.first ? complaint_print(cs.first, &c->arena) : "what is it?");
	else if (!b->metadata || !b->metadata->name ||
		 (*c->name && strcmp(b->metadata->name, c->name) != 0))
		call_refuse(c, WHY_BAD_REQUEST,
			    "name in URL does not match name in Binding object");
	else if (!str_is(b->metadata->namespace, "") &&
		 strcmp(b->metadata->namespace, c->ns) != 0)
		call_refuse(c, WHY_BAD_REQUEST,
			    "the namespace of the provided object does not match the namespace "
			    "sent on the request");
	else if (*kind && strcmp(kind, "Node") != 0)
		call_refuse(
		    c, WHY_INVALID,
		    "Binding \"%s\" is invalid: target.kind: Unsupported value: \"%s\": "
		    "supported values: \"Node\", \"<empty>\"",
		    b->metadata->name, kind);
	else if (!b->target || str_is(b->target->name, ""))
		call_refuse(c, WHY_INVALID,
			    "Binding \"%s\" is invalid: target.name: Required value",
			    b->metadata->name);
	else
		return b;
	return NULL;
}

/* Kubernetes takes any name and waits for such a node; here none can come. */
static bool
is_node(struct call *c, const char *name)
{
	if (store_find(c->api->store, RES_node, "", name))
		return true;
	c->res = &resources[RES_node];
	c->name = name;
	edit_refuse_missing(c);
	return false;
}

void
pod_bind(struct call *c)
{
	struct action a = { .verb = ACT_UPDATE, .kind = "pod", .ns = c->ns };
	const struct binding *b;
	struct api_edit ed;
	struct buf out = { 0 };
	const char *why;
	struct pod *pod;

	c->res = &resources[RES_pod];
	if (!edit_open(&ed, c) || !(b = read_binding(&ed)))
		return;
	a.name = c->name = b->metadata->name;
	if (!find_pod(&ed) || !is_node(c, b->target->name))
		return;
	pod = object_clone(ed.write.live, &c->arena);
	why = bound_already(pod, &c->arena);
	if (why) {
		call_refuse(c, WHY_CONFLICT,
			    "Operation cannot be fulfilled on pods/binding \"%s\": %s", c->name,
			    why);
		return;
	}
	pod->spec->nodeName = b->target->name;
	a.why = arena_printf(&c->arena, "bound to %s, %s", b->target->name, edit_why(&ed));
	a.body = pod;
	if (!edit_carry(&ed, &a))
		return;
	buf_adds(&out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		       "\"status\":\"Success\",\"code\":201}");
	call_json(c, 201, &out);
}

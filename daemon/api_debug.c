/* api_debug.c -- PATCH pods/NAME/ephemeralcontainers: one more container for a pod that runs.
 *
 * The one thing of a pod's spec that comes over the API and not from Git: it is for looking
 * into what runs, and ends with it.  Of the patch (a strategic merge, as kubectl debug sends
 * it) only what is new in the list is taken; what is there can neither be changed nor removed.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/pod_parts.h"
#include "../reconcile/pod_security.h"
#include "api_write.h"
#include <string.h>

enum { CONTAINERS_MOST = 500 }; /* ephemeral ones of a pod, which keeps them all */

/* A volume that it mounts and the pod has not; NULL: there is none. */
static const char *
strange_volume(const struct pod_spec *s, const struct container *c, size_t *ret_place)
{
	for (size_t i = 0; i < c->volumeMounts.n; i++) {
		const char *name = c->volumeMounts.at[i].name;
		bool known = false;

		for (size_t k = 0; k < s->volumes.n && !known; k++)
			known = str_is(s->volumes.at[k].name, name);
		*ret_place = i;
		if (!known)
			return name;
	}
	return NULL;
}

/* What is wrong with it, and with which field, beyond the rows; NULL: nothing. */
static const char *
objection(const struct pod *pod, const struct container *c, const char **ret_field,
	  struct arena *a)
{
	size_t at = 0;
	const char *volume = strange_volume(pod->spec, c, &at);
	const char *what =
	    c->lifecycle        ? "lifecycle"
	    : c->livenessProbe  ? "livenessProbe"
	    : c->readinessProbe ? "readinessProbe"
	    : c->startupProbe   ? "startupProbe"
	    : c->ports.n        ? "ports"
	    : c->resources && (c->resources->limits.n || c->resources->requests.n) ? "resources"
	    : !str_is(c->restartPolicy, "") ? "restartPolicy"
					    : NULL;

	*ret_field = what ? what : "targetContainerName";
	if (what)
		return "Forbidden: cannot be set for an Ephemeral Container";
	if (!str_is(c->targetContainerName, "") &&
	    !pod_part_named(pod->spec, c->targetContainerName))
		return arena_printf(a, "Not found: \"%s\"", c->targetContainerName);
	*ret_field = arena_printf(a, "volumeMounts[%zu].name", at);
	if (volume)
		return arena_printf(a, "Not found: \"%s\"", volume);
	return NULL;
}

static void
refuse_field(struct api_edit *ed, const char *field, const char *text)
{
	cleanup_error struct error *e = NULL;

	ed->write.cs.arena = &ed->call->arena;
	complaint_add(&ed->write.cs, complaint_kind(text), false, 0, 0, field, text);
	(void)fail(&e, WHY_INVALID, "Pod \"%s\" is invalid: %s: %s", ed->call->name, field,
		   text);
	edit_fail(ed, e);
}

/* Appends what is new; false when it was refused, which is answered then. */
static bool
append(struct api_edit *ed, struct pod *pod, const struct tree *list)
{
	struct call *call = ed->call;
	struct complaints cs = { .arena = &call->arena, .path = "patch" };
	struct pod_spec *spec = pod->spec;
	struct container *at;
	size_t n = spec->ephemeralContainers.n, more = 0;
	const char *field;

	for (const struct tree *t = list ? list->kids : NULL; t; t = t->next)
		more++;
	if (n + more > CONTAINERS_MOST) {
		refuse_field(ed, "spec.ephemeralContainers",
			     arena_printf(&call->arena,
					  "Too many: %zu: must have at most %d items", n + more,
					  CONTAINERS_MOST));
		return false;
	}
	at = arena_zalloc(&call->arena, (n + more + 1) * sizeof *at);
	if (n)
		memcpy(at, spec->ephemeralContainers.at, n * sizeof *at);
	spec->ephemeralContainers.at = at; /* so that those before it are seen by name */
	for (const struct tree *t = list ? list->kids : NULL; t; t = t->next) {
		const struct container *c =
		    schema_decode(container_kind(), t, SCHEMA_LENIENT, &call->arena, &cs);
		const char *why;

		if (cs.errors || !c) {
			refuse_field(ed,
				     cs.first && cs.first->field ? cs.first->field
								 : "spec.ephemeralContainers",
				     cs.first ? cs.first->text : "Invalid value");
			return false;
		}
		if (pod_part_named(pod->spec, c->name)) {
			if (strcmp(pod_part_list(pod->spec, c->name), "ephemeralContainers")) {
				refuse_field(ed, "spec.ephemeralContainers",
					     arena_printf(&call->arena,
							  "Duplicate value: \"%s\"", c->name));
				return false;
			}
			continue;
		}
		why = objection(pod, c, &field, &call->arena);
		if (why) {
			refuse_field(ed,
				     arena_printf(&call->arena,
						  "spec.ephemeralContainers[%zu].%s", n, field),
				     why);
			return false;
		}
		at[n++] = *c;
		spec->ephemeralContainers.n = n;
	}
	return true;
}

/* The Pod Security Standards of its namespace hold for what comes later, too. */
static const char *
security_refuses(struct api_edit *ed, const struct pod *pod)
{
	struct call *c = ed->call;
	const struct object *ns = store_find(c->api->store, RES_namespace, "", c->ns);
	const struct pairs *labels = ns ? &ns->metadata->labels : NULL;

	c->security = pod_security_note(labels, pod->metadata, pod->spec, true, &c->arena);
	return pod_security_refuses(&ed->snap, pod, &c->arena);
}

void
debug_patch(struct call *c)
{
	const struct buf *body = http_body(c->req);
	const struct object *o = store_find(c->api->store, RES_pod, c->ns, c->name);
	struct complaints cs = { .arena = &c->arena };
	struct action a = { .verb = ACT_UPDATE, .kind = "pod", .ns = c->ns, .name = c->name };
	const struct tree *t, *spec;
	struct api_edit ed;
	const char *why;
	struct pod *pod;

	if (!edit_open(&ed, c))
		return;
	if (!o) {
		call_refuse(c, WHY_NOT_FOUND, "pods \"%s\" not found", c->name);
		return;
	}
	t = body->len ? json_read(body->at, body->len, &c->arena, &cs) : NULL;
	spec = t ? tree_get(t, "spec") : NULL;
	if (!spec) {
		call_refuse(c, WHY_BAD_REQUEST, "the patch is not JSON with a spec");
		return;
	}
	pod = object_clone(o, &c->arena);
	if (!append(&ed, pod, tree_get(spec, "ephemeralContainers")))
		return;
	why = security_refuses(&ed, pod);
	if (why) {
		call_refuse(c, WHY_FORBIDDEN, "%s", why);
		return;
	}
	a.why = edit_why(&ed);
	a.body = pod;
	if (!edit_carry(&ed, &a))
		return;
	edit_answer(&ed, 200,
		    ed.dry ? (struct object *)pod
			   : store_find(c->api->store, RES_pod, c->ns, c->name));
}

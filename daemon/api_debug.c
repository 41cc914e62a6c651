/* api_debug.c -- pods/NAME/ephemeralcontainers: one more container for a pod that runs.
 *
 * It is for looking into what runs, and ends with it.  Of what is sent only that list counts;
 * what is in it already can neither be changed nor removed.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/managed.h"
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

static struct container *
named(const struct pod_spec *s, const char *name)
{
	for (size_t i = 0; i < s->ephemeralContainers.n; i++)
		if (str_is(s->ephemeralContainers.at[i].name, name))
			return &s->ephemeralContainers.at[i];
	return NULL;
}

/* The i-th of the list; NULL: it was refused, which is answered. */
static struct container *
read_one(struct api_edit *ed, const struct tree *t, size_t i)
{
	struct arena *a = &ed->call->arena;
	struct complaints cs = { .arena = a };
	struct container *c = schema_decode(container_kind(), t, SCHEMA_LENIENT, a, &cs);
	const char *sub;

	for (const struct complaint *x = cs.first; x; x = x->next) {
		if (x->warning)
			continue;
		sub = x->field && *x->field ? x->field : "";
		refuse_field(ed,
			     arena_printf(a, "spec.ephemeralContainers[%zu]%s%s", i,
					  *sub ? "." : "", sub),
			     x->text);
		return NULL;
	}
	return c;
}

/* May it be in the list, after those that are in `pod` by now?  False: it was refused. */
static bool
may_be(struct api_edit *ed, const struct pod *live, const struct pod *pod,
       const struct container *c, size_t i)
{
	struct arena *a = &ed->call->arena;
	const char *field, *why;

	if (pod_part_named(pod->spec, c->name)) {
		refuse_field(ed, arena_printf(a, "spec.ephemeralContainers[%zu].name", i),
			     arena_printf(a, "Duplicate value: \"%s\"", c->name));
		return false;
	}
	why = named(live->spec, c->name) ? NULL : objection(pod, c, &field, a);
	if (why)
		refuse_field(ed, arena_printf(a, "spec.ephemeralContainers[%zu].%s", i, field),
			     why);
	return !why;
}

/* As ValidatePodEphemeralContainersUpdate. */
static bool
all_kept(struct api_edit *ed, const struct pod_spec *was, const struct pod_spec *is)
{
	for (size_t i = 0; i < was->ephemeralContainers.n; i++) {
		const struct container *old = &was->ephemeralContainers.at[i];
		const struct container *new = named(is, old->name);

		if (new &&schema_equal(container_kind(), old, new))
			continue;
		refuse_field(ed, "spec.ephemeralContainers",
			     arena_printf(&ed->call->arena,
					  "Forbidden: existing ephemeral containers \"%s\" may "
					  "not be %s",
					  old->name, new ? "changed" : "removed"));
		return false;
	}
	return true;
}

/* The pod with the list that was sent; false: it was refused, which is answered. */
static bool
take_list(struct api_edit *ed, const struct pod *live, struct pod *pod, const struct tree *list)
{
	struct pod_spec *spec = pod->spec;
	size_t n = list && list->type == N_LIST ? tree_kids(list) : 0, i = 0;

	if (n > CONTAINERS_MOST) {
		refuse_field(ed, "spec.ephemeralContainers",
			     arena_printf(&ed->call->arena,
					  "Too many: %zu: must have at most %d items", n,
					  CONTAINERS_MOST));
		return false;
	}
	spec->ephemeralContainers.at =
	    arena_zalloc(&ed->call->arena, (n + 1) * sizeof *spec->ephemeralContainers.at);
	spec->ephemeralContainers.n = 0;
	for (const struct tree *t = n ? list->kids : NULL; t; t = t->next, i++) {
		const struct container *c = read_one(ed, t, i);

		if (!c || !may_be(ed, live, pod, c, i))
			return false;
		spec->ephemeralContainers.at[spec->ephemeralContainers.n++] = *c;
	}
	return all_kept(ed, live->spec, spec);
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

/* Checked as it is, stored, answered with. */
static void
put_list(struct api_edit *ed, const struct pod *live, const struct tree *body)
{
	struct call *c = ed->call;
	struct action a = { .verb = ACT_UPDATE, .kind = "pod", .ns = c->ns, .name = c->name };
	cleanup_error struct error *e = NULL;
	struct pod *pod = object_clone(live, &c->arena);
	const char *why;

	ed->write.body = body;
	if (write_check_target(&ed->write, &e) < 0) {
		edit_fail(ed, e);
		return;
	}
	if (!take_list(ed, live, pod, tree_get(tree_get(body, "spec"), "ephemeralContainers")))
		return;
	ed->write.obj = (struct object *)pod;
	if (ed->applied)
		pod->metadata->managedFields = ed->applied->managed;
	if (schema_equal(pod_kind(), live, pod)) {
		edit_answer(ed, 200, (const struct object *)live);
		return;
	}
	why = security_refuses(ed, pod);
	if (why) {
		call_refuse(c, WHY_FORBIDDEN, "%s", why);
		return;
	}
	edit_own(ed);
	a.why = edit_why(ed);
	a.body = pod;
	if (edit_carry(ed, &a))
		edit_answer(ed, 200,
			    ed->dry ? (struct object *)pod
				    : store_find(c->api->store, RES_pod, c->ns, c->name));
}

void
debug_write(struct call *c)
{
	const struct object *o = store_find(c->api->store, RES_pod, c->ns, c->name);
	const struct tree *body;
	struct api_edit ed;

	if (!edit_open(&ed, c))
		return;
	if (!o) {
		edit_refuse_missing(c);
		return;
	}
	ed.sub = "ephemeralcontainers";
	ed.write.live = o;
	body = !strcmp(http_method(c->req), "PUT") ? body_read(&ed)
	       : body_media(c) == MEDIA_APPLY      ? apply_merged(&ed, o)
					      : body_patched(&ed, object_tree(o, &c->arena));
	if (body)
		put_list(&ed, (const struct pod *)o, body);
}

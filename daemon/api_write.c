/* api_write.c -- create, update, patch: what is sent is checked, stored and answered with.
 *
 * Everything that may be wrong is known before anything is written (reconcile/write.c); the
 * write itself is one action, which the brain carries out and logs as its own.
 */
#include "api_write.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/controllers.h"
#include "../reconcile/managed.h"
#include "../reconcile/own.h"
#include "../reconcile/service.h"
#include "api_rbac.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum {
	MANAGER_MOST = 128,  /* bytes, as Kubernetes */
	WARNINGS_MOST = 4096 /* bytes of the Warning header */
};

/* ---- the question ---- */

void
edit_refuse_missing(struct call *c)
{
	call_refuse(c, WHY_NOT_FOUND, "%s \"%s\" not found", write_plural(c->res, &c->arena),
		    c->name);
}

/* "kubectl" of "kubectl/v1.33.0 (linux/amd64) kubernetes/abc" when nothing else is said */
static const char *
manager_of(struct call *c)
{
	const char *said = call_query(c, "fieldManager");
	const char *agent = http_header(c->req, "User-Agent");
	char *name;

	if (!*said)
		said = agent ? agent : "unknown";
	name =
	    arena_strndup(&c->arena, said, said == agent ? strcspn(said, "/") : strlen(said));
	for (char *p = name; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	return name;
}

static void
read_fields(struct call *c, enum write_fields *ret, struct complaints *cs)
{
	const char *said = call_query(c, "fieldValidation");

	*ret = !strcmp(said, "Strict")   ? FIELDS_STRICT
	       : !strcmp(said, "Ignore") ? FIELDS_IGNORE
					 : FIELDS_WARN;
	if (*said && *ret == FIELDS_WARN && strcmp(said, "Warn") != 0)
		complain(cs, 0, 0, "fieldValidation",
			 "Unsupported value: \"%.50s\": supported values: \"\", \"Ignore\", "
			 "\"Strict\", \"Warn\"",
			 said);
}

static void
check_patch(struct call *c, struct complaints *cs)
{
	bool apply = body_media(c) == MEDIA_APPLY;

	if (apply && !*call_query(c, "fieldManager"))
		complain(cs, 0, 0, "fieldManager",
			 "Required value: is required for apply patch");
	if (!apply && http_query(c->req, "force"))
		complain(cs, 0, 0, "force",
			 "Forbidden: may not be specified for non-apply patch");
}

/* As the API server's ValidateCreateOptions and its fellows; false: it was refused. */
static bool
read_options(struct api_edit *ed)
{
	struct call *c = ed->call;
	const char *method = http_method(c->req), *dry = call_query(c, "dryRun");
	struct complaints cs = { .arena = &c->arena };
	bool patch = !strcmp(method, "PATCH");

	if (*dry && strcmp(dry, "All") != 0)
		complain(&cs, 0, 0, "dryRun",
			 "Unsupported value: []string{\"%.50s\"}: supported values: \"All\"",
			 dry);
	if (strlen(ed->manager) > MANAGER_MOST)
		complain(&cs, 0, 0, "fieldManager", "Too long: may not be more than %d bytes",
			 MANAGER_MOST);
	read_fields(c, &ed->write.fields, &cs);
	if (patch)
		check_patch(c, &cs);
	if (cs.errors)
		call_invalid(c, OPTIONS_GROUP,
			     patch                       ? "PatchOptions"
			     : !strcmp(method, "PUT")    ? "UpdateOptions"
			     : !strcmp(method, "DELETE") ? "DeleteOptions"
							 : "CreateOptions",
			     "", &cs);
	return !cs.errors;
}

bool
edit_open(struct api_edit *ed, struct call *c)
{
	*ed = (struct api_edit){ .call = c,
				 .manager = manager_of(c),
				 .sub = c->sub,
				 .dry = *call_query(c, "dryRun") };
	if (!read_options(ed))
		return false;
	ed->snap = (struct snapshot){ .now = call_now(c),
				      .settings = c->api->settings,
				      .arena = &c->arena };
	if (getrandom(&ed->snap.seed, sizeof ed->snap.seed, 0) !=
	    (ssize_t)sizeof ed->snap.seed) {
		call_refuse(c, WHY_UNABLE,
			    "no name can be made up, for the kernel gives no random numbers "
			    "(getrandom: %s); try again",
			    strerror(errno));
		return false;
	}
	store_view(c->api->store, &ed->snap);
	if (c->api->host.resting)
		c->api->host.resting(c->api->host.ctx, &ed->snap);
	ed->write.res = c->res;
	ed->write.ns = c->res->namespaced ? c->ns : "";
	ed->write.name = c->name;
	ed->write.status = !strcmp(c->sub, "status");
	ed->write.s = &ed->snap;
	ed->write.a = &c->arena;
	ed->write.notes = &c->security;
	ed->write.place = c->api->host.place;
	ed->write.place_ctx = c->api->host.ctx;
	return true;
}

const char *
edit_why(const struct api_edit *ed)
{
	const struct call *c = ed->call;

	if (c->impersonator)
		return arena_printf(&ed->call->arena, "asked for by %s as %s with %s",
				    c->impersonator->name, c->user->name, ed->manager);
	return arena_printf(&ed->call->arena, "asked for by %s with %s", c->user->name,
			    ed->manager);
}

/* ---- the answer ---- */

/* Warning: 299 - "text", 299 - "text" */
static void
put_warnings(struct api_edit *ed)
{
	cleanup_buf struct buf all = { 0 };

	for (const struct complaint *w = ed->write.cs.first; w; w = w->next) {
		const char *field = w->field && *w->field ? w->field : NULL;
		const char *text = arena_printf(&ed->call->arena, "%s%s%s", field ? field : "",
						field ? ": " : "", w->text);

		if (!w->warning || all.len + strlen(text) > WARNINGS_MOST)
			continue;
		buf_adds(&all, all.len ? ", 299 - " : "299 - ");
		buf_addc(&all, '"');
		for (; *text; text++) {
			if (*text == '"' || *text == '\\')
				buf_addc(&all, '\\');
			buf_addc(&all, iscntrl((unsigned char)*text) ? ' ' : *text);
		}
		buf_addc(&all, '"');
	}
	if (all.len)
		http_reply_header(ed->call->req, "Warning", buf_text(&all));
}

void
edit_answer(struct api_edit *ed, int code, const struct object *o)
{
	struct printer p;
	struct buf b = { 0 };

	put_warnings(ed);
	if (ed->answer) {
		ed->answer(ed, o);
		return;
	}
	printer_init(&p, ed->call);
	printer_object(&p, &b, o);
	call_json(ed->call, code, &b);
}

/* A Status that names the kind, not the plural, and has a cause for each field. */
static void
answer_invalid(struct api_edit *ed, const struct error *e)
{
	const struct write *w = &ed->write;
	const struct object_meta *m = w->obj ? w->obj->metadata : NULL;
	cleanup_buf struct buf causes = { 0 };
	struct buf b = { 0 };

	causes_print(&w->cs, &causes);
	if (!causes.len) {
		buf_adds(&causes, "{\"reason\":\"FieldValueInvalid\",\"message\":");
		json_quote(&causes, error_text(e));
		buf_adds(&causes, ",\"field\":\"patch\"}");
	}
	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Failure\",\"message\":");
	json_quote(&b, error_text(e));
	buf_adds(&b, ",\"reason\":\"Invalid\",\"details\":{\"name\":");
	json_quote(&b, m && m->name ? m->name : ed->call->name);
	buf_addf(&b, ",\"group\":\"%s\",\"kind\":\"%s\",\"causes\":[%s]},\"code\":422}",
		 w->res->group, w->res->kind, buf_text(&causes));
	call_json(ed->call, 422, &b);
}

void
edit_fail(struct api_edit *ed, const struct error *e)
{
	put_warnings(ed);
	if (e && e->why == WHY_INVALID)
		answer_invalid(ed, e);
	else
		call_fail(ed->call, e);
}

bool
edit_carry(struct api_edit *ed, const struct action *a)
{
	cleanup_error struct error *e = NULL;

	if (ed->dry)
		return true;
	if (!ed->call->api->host.write) {
		call_refuse(ed->call, WHY_UNABLE, "nobody here can write");
		return false;
	}
	if (ed->call->api->host.write(ed->call->api->host.ctx, a, &e) == 0)
		return true;
	edit_fail(ed, e);
	return false;
}

/* ---- putting ---- */

struct changes {
	struct buf text;
	size_t n;
};

/* The paths of what changes; never the values, which may be secret. */
static void
add_change(void *ctx, const char *path, const char *old, const char *new)
{
	struct changes *c = ctx;

	(void)old;
	(void)new;
	if (strstr(path, "managedFields") || c->n++ >= 3)
		return;
	buf_addf(&c->text, "%s%.200s", c->n > 1 ? ", " : ": ", path);
}

static const char *
why_update(const struct api_edit *ed)
{
	struct changes c = { 0 };
	const char *why;

	schema_diff(ed->write.res->schema, ed->write.live, ed->write.obj, add_change, &c);
	if (c.n > 3)
		buf_addf(&c.text, " and %zu more", c.n - 3);
	why = arena_printf(&ed->call->arena, "%s%s", edit_why(ed), buf_text(&c.text));
	buf_done(&c.text);
	return why;
}

/* As the store would make it. */
void
edit_dry(struct api_edit *ed)
{
	struct object_meta *m = ed->write.obj->metadata;

	if (ed->write.live) {
		m->generation += object_is_numbered(ed->write.res) &&
				 object_spec_differs(ed->write.live, ed->write.obj);
		return;
	}
	m->uid = store_new_uid(&ed->call->arena);
	m->creationTimestamp = ed->snap.now - ed->snap.now % 1000;
	m->generation = object_is_numbered(ed->write.res);
}

/* The last finalizer of what is being deleted was taken away: now it goes. */
static bool
lets_go(const struct write *w)
{
	return w->live && w->live->metadata->deletionTimestamp && w->res->id != RES_pod &&
	       w->res->id != RES_namespace && w->live->metadata->finalizers.n &&
	       !w->obj->metadata->finalizers.n;
}

/* Who owns what after this: whoever changed something owns that. */
void
edit_own(struct api_edit *ed)
{
	struct write *w = &ed->write;
	struct object_meta *m = w->obj->metadata;
	struct arena *a = &ed->call->arena;
	struct managed_by by = { w->res, ed->manager, ed->snap.now, ed->sub };

	if (ed->applied)
		m->managedFields = ed->applied->managed;
	else if (!w->live || !schema_equal(w->res->schema, w->live, w->obj))
		m->managedFields = managed_update(&by, m->managedFields,
						  w->live ? object_tree(w->live, a) : NULL,
						  object_tree(w->obj, a), a);
}

/* A dry run is refused as what is stored is. */
static bool
dry_clash(struct api_edit *ed)
{
	const struct write *w = &ed->write;
	const char *name = w->obj->metadata->name;

	if (!ed->dry || w->live || !store_find(ed->call->api->store, w->res->id, w->ns, name))
		return false;
	call_refuse(ed->call, WHY_EXISTS, "%s \"%s\" already exists",
		    write_plural(w->res, &ed->call->arena), name);
	return true;
}

static void
store_it(struct api_edit *ed, int code)
{
	struct write *w = &ed->write;
	struct action a = {
		.verb = w->live ? ACT_UPDATE : ACT_CREATE,
		.kind = w->res->singular,
		.ns = w->ns,
		.name = w->obj->metadata->name,
		.why = w->live ? why_update(ed) : edit_why(ed),
		.body = w->obj,
	};

	if (w->live && schema_equal(w->res->schema, w->live, w->obj)) {
		edit_answer(ed, code, w->live);
		return;
	}
	if (dry_clash(ed))
		return;
	if (lets_go(w)) {
		a.verb = ACT_FORGET;
		a.body = NULL;
	}
	if (!edit_carry(ed, &a))
		return;
	if (ed->dry)
		edit_dry(ed);
	else if (a.verb != ACT_FORGET)
		w->obj = (struct object *)store_find(ed->call->api->store, w->res->id, w->ns,
						     w->obj->metadata->name);
	edit_answer(ed, code, w->obj);
}

void
edit_put(struct api_edit *ed, const struct tree *body, int code)
{
	const struct api_host *host = &ed->call->api->host;
	cleanup_error struct error *e = NULL;

	ed->write.body = body;
	if (ed->write.live && host->back_state && !ed->after)
		ed->write.back = host->back_state(host->ctx, ed->write.live, ed->write.a);
	if (write_check(&ed->write, &e) < 0) {
		if (ed->after)
			(void)fail_in(&e,
				      "commit %.7s is made, and what Git does not state is not "
				      "written",
				      ed->after);
		edit_fail(ed, e);
		return;
	}
	if (!access_may_grant(ed))
		return;
	if (ed->write.owned) {
		back_begin(ed, code);
		return;
	}
	edit_own(ed);
	if (ed->write.res->id == RES_service) /* its manager does not own what is given to it */
		service_settle(&ed->snap, (struct service *)ed->write.obj, &ed->call->arena);
	store_it(ed, code);
}

/* ---- routes ---- */

/* These are kedge's to make; of a node labels, annotations, taints and cordoning are free.
 * Events are everybody's, as in Kubernetes: controllers tell by them what they did. */
bool
edit_allowed(struct call *c, bool make)
{
	enum resource_id id = c->res->id;

	if (id != RES_source && id != RES_revision && (id != RES_node || !make))
		return true;
	call_refuse(c, WHY_METHOD, "%s are kedge's own: they cannot be written over the API",
		    c->res->plural);
	return false;
}

void
object_create(struct call *c)
{
	struct api_edit ed;
	struct tree *body;

	if (!edit_allowed(c, true) || !edit_open(&ed, c))
		return;
	if (c->res->namespaced && !*c->ns) {
		call_refuse(c, WHY_METHOD,
			    "%s are made in a namespace: POST "
			    "/.../namespaces/NAME/%s",
			    c->res->plural, c->res->plural);
		return;
	}
	body = body_read(&ed);
	if (body)
		edit_put(&ed, body, 201);
}

/* What a PUT makes when it is not there, as the AllowCreateOnUpdate of Kubernetes' strategies.
 */
static bool
put_makes(const struct call *c)
{
	switch (c->res->id) {
	case RES_cluster_role:
	case RES_cluster_role_binding:
	case RES_endpoints:
	case RES_event:
	case RES_limit_range:
	case RES_role:
	case RES_role_binding:
	case RES_service:
		return !*c->sub;
	default:
		return false;
	}
}

/* False: it is not there and may not be made, which was answered. */
static bool
find_live(struct api_edit *ed, bool makes)
{
	struct call *c = ed->call;

	ed->write.live = store_find(c->api->store, c->res->id, c->ns, c->name);
	if (ed->write.live)
		return true;
	if (makes)
		return access_also(c, "create");
	edit_refuse_missing(c);
	return false;
}

void
object_update(struct call *c)
{
	struct api_edit ed;
	struct tree *body;

	if (!edit_allowed(c, false) || !edit_open(&ed, c) || !find_live(&ed, put_makes(c)))
		return;
	body = body_read(&ed);
	if (body)
		edit_put(&ed, body, ed.write.live ? 200 : 201);
}

void
object_patch(struct call *c)
{
	struct api_edit ed;
	struct tree *body;

	if (body_media(c) == MEDIA_APPLY) {
		if (edit_allowed(c, false) && edit_open(&ed, c))
			apply_patch(&ed);
		return;
	}
	if (!edit_allowed(c, false) || !edit_open(&ed, c) || !find_live(&ed, false))
		return;
	body = body_patched(&ed, object_tree(ed.write.live, &c->arena));
	if (body)
		edit_put(&ed, body, 200);
}

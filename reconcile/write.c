/* write.c -- a write over the API, from what was sent to the object it would make. */
#include "write.h"
#include "account.h"
#include "admission.h"
#include "apply.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "controllers.h"
#include "managed.h"
#include "own.h"
#include "patch_tree.h"
#include "pod_change.h"
#include "pod_security.h"
#include "snapshot.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { BASE_MOST = 58 }; /* of generateName; five letters follow */

const char *
write_plural(const struct resource *r, struct arena *a)
{
	return *r->group ? arena_printf(a, "%s.%s", r->plural, r->group) : r->plural;
}

/* ---- the tree as it is decoded ---- */

static int
check_type(struct write *w, struct error **e)
{
	const char *api = tree_text(w->body, "apiVersion", ""),
		   *kind = tree_text(w->body, "kind", "");

	if (w->body->type != N_MAP)
		return fail(e, WHY_BAD_REQUEST, "the body is no JSON object");
	if ((*api && strcmp(api, w->res->api_version) != 0) ||
	    (*kind && strcmp(kind, w->res->kind) != 0))
		return fail(e, WHY_BAD_REQUEST,
			    "%.100s in version \"%.100s\" cannot be handled as a %s: the path "
			    "is that of %s %s",
			    *kind ? kind : w->res->kind, *api ? api : w->res->api_version,
			    w->res->kind, w->res->api_version, w->res->kind);
	return 0;
}

static int
check_place(struct write *w, const struct tree *meta, struct error **e)
{
	const char *ns = tree_text(meta, "namespace", ""), *name = tree_text(meta, "name", "");
	const char *version = tree_text(meta, "resourceVersion", ""),
		   *uid = tree_text(meta, "uid", "");
	const struct object_meta *live = w->live ? w->live->metadata : NULL;

	if (w->res->namespaced && *ns && strcmp(ns, w->ns) != 0)
		return fail(e, WHY_BAD_REQUEST,
			    "the namespace of the provided object does not match the namespace "
			    "sent on the request");
	if (*w->name && strcmp(name, w->name) != 0)
		return fail(e, WHY_BAD_REQUEST,
			    "the name of the object (%.200s) does not match the name on the "
			    "URL (%.200s)",
			    name, w->name);
	if (!live) {
		if (*w->name && *uid)
			return fail(e, WHY_CONFLICT,
				    "Operation cannot be fulfilled on %s \"%s\": Precondition "
				    "failed: UID in precondition: %.100s, UID in object meta: ",
				    write_plural(w->res, w->a), w->name, uid);
		if (*version)
			return fail(e, WHY_BAD_REQUEST,
				    "resourceVersion should not be set on objects to be "
				    "created");
		return 0;
	}
	if (*uid && strcmp(uid, live->uid) != 0)
		return fail(e, WHY_CONFLICT,
			    "Operation cannot be fulfilled on %s \"%s\": Precondition failed: "
			    "UID in precondition: %.100s, UID in object meta: %s",
			    write_plural(w->res, w->a), live->name, uid, live->uid);
	if (*version && strcmp(version, live->resourceVersion) != 0)
		return fail(e, WHY_CONFLICT,
			    "Operation cannot be fulfilled on %s \"%s\": the object has been "
			    "modified; please apply your changes to the latest version and try "
			    "again",
			    write_plural(w->res, w->a), live->name);
	return 0;
}

int
write_check_target(struct write *w, struct error **e)
{
	return check_type(w, e) < 0 || check_place(w, tree_get(w->body, "metadata"), e) < 0 ? -1
											    : 0;
}

/* With the kind and the namespace that the path says, where the body leaves them out. */
static struct tree *
completed(struct write *w)
{
	const struct tree *meta = tree_get(w->body, "metadata");
	struct members top, m;

	members_open(&m, w->a);
	if (meta && meta->type == N_MAP)
		members_add_all(&m, meta);
	if (w->res->namespaced)
		members_put(&m, "namespace", tree_string(w->ns, w->a));
	members_open(&top, w->a);
	members_put(&top, "apiVersion", tree_string(w->res->api_version, w->a));
	members_put(&top, "kind", tree_string(w->res->kind, w->a));
	members_add_all(&top, w->body);
	members_put(&top, "apiVersion", tree_string(w->res->api_version, w->a));
	members_put(&top, "kind", tree_string(w->res->kind, w->a));
	if (meta && meta->type != N_MAP && meta->type != N_NULL)
		members_close(&m, N_MAP); /* decoding says what is wrong with it */
	else
		members_put(&top, "metadata", members_close(&m, N_MAP));
	return members_close(&top, N_MAP);
}

/* ---- what decoding had to say ---- */

/* unknown field "spec.replicsa", did you mean "replicas"? */
static const char *
unknown_text(const struct complaint *c, struct arena *a)
{
	return arena_printf(a, "unknown field \"%s\"%s%s%s", c->field ? c->field : "",
			    c->near ? ", did you mean \"" : "", c->near ? c->near : "",
			    c->near ? "\"?" : "");
}

/* What the body says twice; the last counts. */
static void
add_doubled(struct write *w, struct buf *all)
{
	for (size_t i = 0; i < w->doubled.n; i++) {
		const char *text =
		    arena_printf(w->a, "duplicate field \"%s\"", w->doubled.at[i]);

		buf_addf(all, "%s%s", all->len ? ", " : "", text);
		if (w->fields == FIELDS_WARN)
			complaint_add(&w->cs, COMPLAINT_INVALID, true, 0, 0, NULL, text);
	}
}

/* What was said of unknown fields, as fieldValidation asks; -1: they are not allowed. */
static int
sort_unknown(struct write *w, struct error **e)
{
	struct complaint **link = &w->cs.first;
	cleanup_buf struct buf all = { 0 };

	add_doubled(w, &all);
	w->cs.last = NULL;
	while (*link) {
		struct complaint *c = *link;

		if (c->kind == COMPLAINT_UNKNOWN_FIELD && c->warning) {
			c->text = unknown_text(c, w->a);
			c->field = NULL;
			buf_addf(&all, "%s%s", all.len ? ", " : "", c->text);
			if (w->fields != FIELDS_WARN) {
				*link = c->next;
				w->cs.warnings--; /* other warnings have its room */
				continue;
			}
		}
		w->cs.last = c;
		link = &c->next;
	}
	if (w->fields == FIELDS_STRICT && all.len)
		return fail(e, WHY_BAD_REQUEST,
			    "%s in version \"%s\" cannot be handled as a %s: strict decoding "
			    "error: %s",
			    w->res->kind, w->res->version, w->res->kind, buf_text(&all));
	return 0;
}

/* A value of another type than the field's is no object of this kind at all. */
static int
check_types(struct write *w, struct error **e)
{
	for (const struct complaint *c = w->cs.first; c; c = c->next)
		if (!c->warning && c->kind == COMPLAINT_WRONG_TYPE)
			return fail(e, WHY_BAD_REQUEST,
				    "%s in version \"%s\" cannot be handled as a %s: %s%s%s",
				    w->res->kind, w->res->version, w->res->kind,
				    c->field ? c->field : "", c->field ? ": " : "", c->text);
	return 0;
}

static int
invalid(struct write *w, const char *name, struct error **e)
{
	cleanup_buf struct buf all = { 0 };
	size_t n = 0;

	for (const struct complaint *c = w->cs.first; c; c = c->next)
		if (!c->warning && n++ < 50)
			buf_addf(&all, "%s%s%s%s", all.len ? ", " : "",
				 c->field ? c->field : "", c->field && *c->field ? ": " : "",
				 c->text);
	return fail(e, WHY_INVALID, "%s%s%s \"%s\" is invalid: %s%s%s", w->res->kind,
		    *w->res->group ? "." : "", w->res->group, name, n > 1 ? "[" : "",
		    buf_text(&all), n > 1 ? "]" : "");
}

/* ---- names and namespaces ---- */

static void
check_name(struct write *w)
{
	struct object_meta *m = w->obj->metadata;
	const char *why;

	if (str_is(m->name, "") && !str_is(m->generateName, "")) {
		const char *base = arena_strndup(w->a, m->generateName, BASE_MOST);

		m->name = arena_printf(w->a, "%s%s", base, snapshot_suffix(w->s, base, 0, 5));
	}
	if (str_is(m->name, "")) {
		complain(&w->cs, 0, 0, "metadata.name",
			 "Required value: name or generateName is required");
		return;
	}
	why = manifest_name_rule(w->res, m->name, w->a);
	if (why)
		complain(&w->cs, 0, 0, "metadata.name", "Invalid value: \"%.300s\": %s",
			 m->name, why);
}

static int
check_namespace(struct write *w, struct error **e)
{
	const struct namespace *ns;

	if (!w->res->namespaced)
		return 0;
	ns = snapshot_find(w->s, RES_namespace, "", w->ns);
	if (!ns)
		return fail(e, WHY_NOT_FOUND, "namespaces \"%.200s\" not found", w->ns);
	if (ns->metadata->deletionTimestamp)
		return fail(e, WHY_FORBIDDEN,
			    "%s \"%s\" is forbidden: unable to create new content in namespace "
			    "%s because it is being terminated",
			    write_plural(w->res, w->a),
			    w->obj->metadata->name ? w->obj->metadata->name : "", w->ns);
	return 0;
}

/* Is it kedge that speaks, to a program or to somebody who reads? */
static bool
is_kedges(const struct event *e)
{
	return object_is_own_event(e) ||
	       (e->source && str_is(e->source->component, EVENT_REPORTER));
}

/* kedge concludes from its own Events: what they say, nobody else writes. */
static void
check_reporter(struct write *w)
{
	const struct event *was = (const struct event *)w->live,
			   *is = (const struct event *)w->obj;
	struct event same;

	if (w->res->id != RES_event || (!is_kedges(is) && !(was && is_kedges(was))))
		return;
	same = *is;
	if (was) {
		same.metadata = was->metadata;
		if (schema_equal(event_kind(), was, &same))
			return;
	}
	complaint_add(&w->cs, COMPLAINT_FORBIDDEN, false, 0, 0, "reportingComponent",
		      "Forbidden: what kedge itself saw is not written over the API");
}

static const struct pairs *
namespace_labels(const struct write *w)
{
	const struct object *ns = snapshot_find(w->s, RES_namespace, "", w->ns);

	return ns ? &ns->metadata->labels : NULL;
}

/* Two cannot both be in charge of it.  In Kubernetes' words, with the list as it was sent. */
static void
check_owners(struct write *w)
{
	const struct object_meta *m = w->obj->metadata;
	const char *first = NULL;
	cleanup_buf struct buf list = { 0 };

	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const struct owner_reference *o = &m->ownerReferences.at[i];

		if (!o->controller)
			continue;
		if (!first) {
			first = o->name;
			continue;
		}
		tree_json(tree_get(tree_get(w->body, "metadata"), "ownerReferences"), &list);
		complain(&w->cs, 0, 0, "metadata.ownerReferences",
			 "Invalid value: %.700s: Only one reference can have Controller set to "
			 "true. Found \"true\" in references for %s and %s",
			 buf_text(&list), first, o->name);
		return;
	}
}

/* ---- across objects ---- */

static void
check_claims(struct write *w, const struct manifest *m)
{
	const struct objects *all = &w->s->of[RES_service];
	struct apply_claims *claims;

	if (w->res->id != RES_service)
		return;
	claims = apply_claims_new(w->s->settings, &w->cs, w->a);
	for (size_t i = 0; i < all->n; i++)
		if (object_compare(all->at[i], w->obj))
			apply_claim(claims, NULL, (const struct service *)all->at[i]);
	apply_claim(claims, m, (const struct service *)w->obj);
	apply_claims_done(claims);
}

/* What the audit log is to have beside the request, in Kubernetes' words. */
static void
note_security(struct write *w)
{
	const struct pairs *labels = namespace_labels(w);
	const struct pod_template_spec *t = pod_template_of(w->res->schema, w->obj);
	const struct pod *pod = w->res->id == RES_pod ? (const struct pod *)w->obj : NULL;
	const struct pod_spec *spec = pod ? pod->spec : t ? t->spec : NULL;

	if (w->notes && spec)
		*w->notes = pod_security_note(labels, pod ? pod->metadata : t->metadata, spec,
					      pod != NULL, w->a);
}

/* The Pod Security Standards, as at a commit; a pod that they forbid is 403. */
static int
check_security(struct write *w, const struct manifest *m, struct error **e)
{
	int errors = w->cs.errors;
	const struct complaint *last = w->cs.last;

	note_security(w);
	if (w->res->id == RES_namespace && w->live)
		apply_security_namespace(w->s, &w->cs, m, &w->live->metadata->labels,
					 &w->obj->metadata->labels, w->a);
	else if (w->res->id != RES_namespace)
		apply_security(&w->cs, m, namespace_labels(w), w->obj, w->a);
	if (errors == w->cs.errors)
		return 0;
	last = last ? last->next : w->cs.first;
	return fail(e, WHY_FORBIDDEN, "%s", last->text); /* "pods "x" is forbidden: ..." */
}

/* A pod speaks for an account that is there. */
static int
check_account(struct write *w, struct error **e)
{
	const char *why = NULL;

	if (w->res->id == RES_pod)
		why = account_refuses(w->s, (const struct pod *)w->obj, w->a);
	return why ? fail(e, WHY_FORBIDDEN, "%s", why) : 0;
}

/* LimitRanges and ResourceQuotas; a new pod gets its defaults. */
static int
check_admission(struct write *w, struct error **e)
{
	const char *why = w->cs.errors ? NULL : admission_refusal(w->s, w->live, w->obj, w->a);

	return why ? fail(e, WHY_FORBIDDEN, "%s", why) : 0;
}

/* ---- making and changing ---- */

/* What a namespace has from its first moment. */
static void
settle_namespace(struct write *w)
{
	struct namespace *ns = (struct namespace *)w->obj;
	static const char *finalizers[] = { "kubernetes" };

	if (w->res->id != RES_namespace)
		return;
	pairs_set(&ns->metadata->labels, "kubernetes.io/metadata.name", ns->metadata->name,
		  w->a);
	if (w->live) {
		ns->spec =
		    ((const struct namespace *)w->live)->spec; /* `finalize` alone writes it */
		return;
	}
	ns->spec = arena_zalloc(w->a, sizeof *ns->spec);
	ns->spec->finalizers.at = finalizers;
	ns->spec->finalizers.n = 1;
	ns->status = arena_zalloc(w->a, sizeof *ns->status);
	ns->status->phase = "Active";
}

static void **
status_of(const struct resource *r, void *obj)
{
	const struct field *f = schema_field(r->schema, "status");

	return f ? (void **)((char *)obj + f->off) : NULL;
}

static int
check_new(struct write *w, const struct manifest *m, struct error **e)
{
	own_keep_marks(NULL, w->obj, w->a);
	if (check_account(w, e) < 0 || check_security(w, m, e) < 0)
		return -1;
	check_claims(w, m);
	settle_namespace(w);
	return check_admission(w, e);
}

/* What kedge writes into the metadata and nobody else does. */
static void
keep_meta(const struct object_meta *live, struct object_meta *new)
{
	new->name = live->name;
	new->generateName = live->generateName;
	new->namespace = live->namespace;
	new->selfLink = live->selfLink;
	new->uid = live->uid;
	new->resourceVersion = live->resourceVersion;
	new->generation = live->generation;
	new->creationTimestamp = live->creationTimestamp;
	new->deletionTimestamp = live->deletionTimestamp;
	new->deletionGracePeriodSeconds = live->deletionGracePeriodSeconds;
	if (schema_has(object_meta_kind(), live, "deletionGracePeriodSeconds"))
		schema_mark(object_meta_kind(), new, "deletionGracePeriodSeconds");
	new->managedFields = live->managedFields;
}

/* One entry with nothing in it: nobody owns anything any more. */
static bool
is_reset(const struct tree *list)
{
	return list->type == N_LIST && tree_kids(list) == 1 && list->kids->type == N_MAP &&
	       !list->kids->kids;
}

/* kubectl rewrites who owns what when it goes over to server-side apply.  A client that knows
 * nothing of it and leaves it out, or empties it, changes nothing. */
static void
take_managed(struct write *w)
{
	const struct tree *sent = tree_get(tree_get(w->body, "metadata"), "managedFields");
	cleanup_buf struct buf text = { 0 };

	if (!sent || w->status || w->resize)
		return;
	if (is_reset(sent)) {
		w->obj->metadata->managedFields = NULL;
	} else if (sent->kids && managed_is_sound(sent)) {
		tree_json(sent, &text);
		w->obj->metadata->managedFields = arena_strdup(w->a, buf_text(&text));
	}
}

/* "web.yaml:7 at 3f2a91c (source deploy)"; `place` NULL: the document's */
static const char *
owner_text(const struct object *o, const char *place, struct snapshot *s, struct arena *a)
{
	const char *name = object_label(o, ANNOTATION_SOURCE);
	const struct source *source = snapshot_find(s, RES_source, "", name);
	const struct revision *r = NULL;

	if (!place)
		place = object_annotation(o, ANNOTATION_PLACE);
	if (source && source->status && source->status->revision)
		r = snapshot_find(
		    s, RES_revision, "",
		    arena_printf(a, "%s-%" PRId64, name, source->status->revision));
	return arena_printf(a, "%s%s%.7s (source %s)", place ? place : "a manifest",
			    r && r->spec && r->spec->commit ? " at " : "",
			    r && r->spec && r->spec->commit ? r->spec->commit : "", name);
}

static int
refuse_gits(struct write *w, const char *field, struct error **e)
{
	const char *place;

	if (!strcmp(field, OWN_RECORD))
		return fail(
		    e, WHY_OWNED,
		    "%s \"%s\": it is owned by Git: %s, and its record of what is stated "
		    "there (%s) does not read, so nothing of it can be changed here: "
		    "\"kedge sync\" writes the record anew",
		    write_plural(w->res, w->a), w->obj->metadata->name,
		    owner_text(w->live, NULL, w->s, w->a), field);
	place = w->place ? w->place(w->place_ctx, w->live, field, w->a) : NULL;

	return fail(e, WHY_OWNED,
		    "%s \"%s\": %s is owned by Git: %s; change it there and commit (what the "
		    "file leaves out can be changed here)%s%s",
		    write_plural(w->res, w->a), w->obj->metadata->name, field,
		    owner_text(w->live, place, w->s, w->a),
		    w->back && *w->back ? "; it is not written back, for " : "",
		    w->back ? w->back : "");
}

/* An owner cannot be written to a manifest, and a record that does not read says nothing. */
static bool
may_write_back(const struct write *w, const char *field)
{
	return w->back && !*w->back && !w->status && strcmp(field, OWN_RECORD) != 0 &&
	       strcmp(field, "metadata.ownerReferences") != 0;
}

/* To the Pod Security Standards; images are nothing to them. */
static bool
is_significant(const struct write *w)
{
	const struct pod_spec *was = ((const struct pod *)w->live)->spec,
			      *is = ((const struct pod *)w->obj)->spec;
	struct pod_spec kept;

	if (!was || !is)
		return was != is;
	kept = pod_spec_kept(was, is, w->a);
	return !schema_equal(pod_spec_kind(), was, &kept);
}

static int
check_change(struct write *w, const struct manifest *m, struct error **e)
{
	void **was = status_of(w->res, (void *)w->live), **is = status_of(w->res, w->obj);
	const char *field;

	keep_meta(w->live->metadata, w->obj->metadata);
	take_managed(w);
	own_keep_marks(w->live, w->obj, w->a);
	if (is)
		*is = w->status ? write_status_taken(w, *was, w->sent) : *was;
	settle_namespace(w);
	if (schema_equal(w->res->schema, w->live, w->obj))
		return 0; /* nothing is asked for, so nothing can be wrong with it */
	field = own_is_gits(w->s, w->live) ? own_objection(w->live, &w->obj, w->a) : NULL;
	if (field && !may_write_back(w, field))
		return refuse_gits(w, field, e);
	w->owned = field;
	write_change_check(w);
	if (w->status) /* the rest is about the spec, which is as it was */
		return 0;
	apply_change_check(w->s, &w->cs, m, w->live, w->obj, w->a);
	check_claims(w, m);
	if (check_admission(w, e) < 0)
		return -1;
	return w->res->id == RES_pod && !is_significant(w) ? 0 : check_security(w, m, e);
}

/* Does the tree have a value just there? */
static bool
has_at(const struct tree *t, const char *path)
{
	const char *dot = strrchr(path, '.');
	const struct tree *at = tree_at(t, path);

	return at && at->key && !strcmp(at->key, dot ? dot + 1 : path);
}

/* Warnings of what the object had already are not given again. */
static void
drop_old_warnings(struct write *w, const struct tree *live)
{
	struct complaint **link = &w->cs.first;

	w->cs.last = NULL;
	while (*link) {
		struct complaint *c = *link;

		if (c->warning && c->field && has_at(live, c->field)) {
			*link = c->next;
			continue;
		}
		w->cs.last = c;
		link = &c->next;
	}
}

int
write_check(struct write *w, struct error **e)
{
	const struct tree *meta = tree_get(w->body, "metadata"), *body;
	struct manifest m = { .res = w->res };

	w->cs = (struct complaints){ .arena = w->a };
	if (write_check_target(w, e) < 0)
		return -1;
	body = completed(w);
	body = w->status ? write_status_body(w, body) : write_carry_over(w, body);
	w->obj = schema_decode(w->res->schema, body, SCHEMA_LENIENT, w->a, &w->cs);
	if (w->status)
		w->sent = write_status_read(w, body);
	if (sort_unknown(w, e) < 0 || check_types(w, e) < 0)
		return -1;
	if (w->obj->metadata) {
		if (!w->live && check_namespace(w, e) < 0)
			return -1;
		check_name(w);
		check_reporter(w);
		if (!w->cs.errors && !w->status)
			check_owners(w);
	}
	if (w->cs.errors)
		return invalid(w,
			       w->obj->metadata && w->obj->metadata->name
				   ? w->obj->metadata->name
				   : tree_text(meta, "generateName", ""),
			       e);
	assert(w->obj->metadata); /* completed() gave it one, or decoding complained */
	if (!w->res->namespaced)
		w->obj->metadata->namespace = NULL;
	m.obj = w->obj;
	if ((w->live ? check_change(w, &m, e) : check_new(w, &m, e)) < 0)
		return -1;
	if (w->cs.errors)
		return invalid(w, w->obj->metadata->name, e);
	if (w->live && w->cs.first)
		drop_old_warnings(w, object_tree(w->live, w->a));
	return 0;
}

/* ---- whose is it? ---- */

/* A namespace takes along what is in it, and that may be Git's. */
static int
holds_gits(const struct object *ns, struct snapshot *s, struct error **e)
{
	for (int r = 0; r < RES_COUNT; r++) {
		struct objects in = { 0 };

		if (resources[r].namespaced)
			in = snapshot_in(s, (enum resource_id)r, object_name(ns));
		for (size_t i = 0; i < in.n; i++)
			if (own_is_gits(s, in.at[i]))
				return fail(
				    e, WHY_OWNED,
				    "namespaces \"%s\": %s %s, which is in it, is owned "
				    "by Git: %s; remove it there and commit",
				    object_name(ns), resources[r].singular,
				    object_name(in.at[i]),
				    owner_text(in.at[i], NULL, s, s->arena));
	}
	return 0;
}

int
write_may_delete(const struct object *o, struct snapshot *s, struct error **e)
{
	const struct resource *r = resource_of(o);

	if (r->id == RES_namespace &&
	    (str_is(object_name(o), "default") || str_is(object_name(o), "kube-system")))
		return fail(e, WHY_FORBIDDEN,
			    "namespaces \"%s\" is forbidden: this namespace may not be deleted",
			    object_name(o));
	if (r->id == RES_namespace && holds_gits(o, s, e) < 0)
		return -1;
	if (r->id == RES_pod || !own_is_gits(s, o))
		return 0;
	return fail(e, WHY_OWNED, "%s \"%s\" is owned by Git: %s; remove it there and commit",
		    write_plural(r, s->arena), object_name(o),
		    owner_text(o, NULL, s, s->arena));
}

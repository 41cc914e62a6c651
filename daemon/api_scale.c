/* api_scale.c -- what hangs below an object: scale (autoscaling/v1) and status.
 *
 * A write to the status is one to the object of which only the status is taken, and of that
 * what is not kedge's to see (reconcile/write_status.c).
 * A Scale is no object of its own: it is read from a Deployment's or ReplicaSet's fields, and
 * a write to it becomes one to spec.replicas, with the same checks and the same owner.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/patch.h"
#include "../reconcile/patch_tree.h"
#include "api_write.h"
#include <inttypes.h>
#include <string.h>

static bool
scales(const struct resource *r)
{
	return r->id == RES_deployment || r->id == RES_replica_set;
}

static const struct label_selector *
selector_of(const struct object *o)
{
	return resource_of(o)->id == RES_deployment
		   ? ((const struct deployment *)o)->spec->selector
		   : ((const struct replica_set *)o)->spec->selector;
}

static void
scale_print(const struct object *o, struct buf *b, struct arena *a)
{
	const struct object_meta *m = o->metadata;
	const struct kind *k = resource_of(o)->schema;
	struct object_meta meta = { .name = m->name,
				    .namespace = m->namespace,
				    .uid = m->uid,
				    .resourceVersion = m->resourceVersion,
				    .creationTimestamp = m->creationTimestamp };
	const char *want = schema_text(k, o, "spec.replicas", a);
	const char *have = schema_text(k, o, "status.replicas", a);

	buf_adds(b, "{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":");
	schema_encode(object_meta_kind(), &meta, b);
	buf_addf(b, ",\"spec\":{\"replicas\":%s},\"status\":{\"replicas\":%s,\"selector\":",
		 *want ? want : "0", *have ? have : "0");
	json_quote(b, selector_of(o) ? selector_print(selector_of(o), a) : "");
	buf_adds(b, "}}");
}

static void
scale_answer(struct api_edit *ed, const struct object *o)
{
	struct buf b = { 0 };

	scale_print(o, &b, &ed->call->arena);
	call_json(ed->call, 200, &b);
}

/* The object with the replicas that a Scale asks for; NULL was answered. */
static struct tree *
scaled(struct api_edit *ed, const struct tree *scale)
{
	struct call *c = ed->call;
	const struct tree *replicas = tree_get(tree_get(scale, "spec"), "replicas");
	const struct tree *version = tree_get(tree_get(scale, "metadata"), "resourceVersion");
	struct complaints cs = { .arena = &c->arena };
	struct members patch, spec, meta;
	int64_t n = 0;

	if (replicas && (replicas->type != N_INT || !tree_int(replicas->text, &n))) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "Scale in version \"v1\" cannot be handled as a Scale: "
			    "spec.replicas: must be a whole number");
		return NULL;
	}
	if (n < 0) {
		complain(&cs, 0, 0, "spec.replicas",
			 "Invalid value: %" PRId64 ": must be greater than or equal to 0", n);
		call_invalid(c, "autoscaling", "Scale", c->name, &cs);
		return NULL;
	}
	members_open(&spec, &c->arena);
	if (replicas)
		members_put(&spec, "replicas", replicas);
	else
		members_put(&spec, "replicas", &(struct tree){ .type = N_INT, .text = "0" });
	members_open(&meta, &c->arena);
	if (version && version->type == N_STRING)
		members_put(&meta, "resourceVersion", version);
	members_open(&patch, &c->arena);
	members_put(&patch, "spec", members_close(&spec, N_MAP));
	members_put(&patch, "metadata", members_close(&meta, N_MAP));
	return patch_merge(object_tree(ed->write.live, &c->arena), members_close(&patch, N_MAP),
			   &c->arena);
}

static void
scale_write(struct api_edit *ed, bool patch)
{
	struct call *c = ed->call;
	struct complaints none = { .arena = &c->arena };
	struct tree *scale, *body;
	struct buf b = { 0 };

	if (patch) {
		scale_print(ed->write.live, &b, &c->arena);
		scale = body_patched(ed, json_read(b.at, b.len, &c->arena, &none));
		buf_done(&b);
	} else {
		scale = body_read(ed);
	}
	body = scale ? scaled(ed, scale) : NULL;
	if (!body)
		return;
	ed->answer = scale_answer;
	edit_put(ed, body, 200);
}

static void
scale_call(struct call *c)
{
	const char *method = http_method(c->req);
	struct api_edit ed;

	if (!edit_open(&ed, c))
		return;
	ed.write.live = store_find(c->api->store, c->res->id, c->ns, c->name);
	if (!ed.write.live)
		edit_refuse_missing(c);
	else if (!strcmp(method, "GET") || !strcmp(method, "HEAD"))
		scale_answer(&ed, ed.write.live);
	else if (!strcmp(method, "PUT") || !strcmp(method, "PATCH"))
		scale_write(&ed, *method == 'P' && method[1] == 'A');
	else
		object_no_method(c);
}

/* What a node, a source or a revision is like, kedge alone sees. */
static void
status_call(struct call *c)
{
	const char *method = http_method(c->req);

	if (!strcmp(method, "GET") || !strcmp(method, "HEAD"))
		object_get(c);
	else if (strcmp(method, "PUT") != 0 && strcmp(method, "PATCH") != 0)
		object_no_method(c);
	else if (c->res->id == RES_node || c->res->id == RES_source ||
		 c->res->id == RES_revision)
		call_refuse(c, WHY_FORBIDDEN,
			    "%s \"%s\" is forbidden: status is what kedge sees, and cannot be "
			    "written",
			    write_plural(c->res, &c->arena), c->name);
	else if (!strcmp(method, "PUT"))
		object_update(c);
	else
		object_patch(c);
}

void
object_sub(struct call *c)
{
	if (!strcmp(c->sub, "scale") && scales(c->res))
		scale_call(c);
	else if (!strcmp(c->sub, "status") && schema_field(c->res->schema, "status"))
		status_call(c);
	else
		call_refuse(c, WHY_NOT_FOUND,
			    "the server could not find the requested resource");
}

void
object_no_method(struct call *c)
{
	call_refuse(c, WHY_METHOD,
		    "the server does not allow this method on the requested resource");
}

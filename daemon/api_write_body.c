/* api_write_body.c -- what comes with a write: JSON, YAML or a patch, read into trees. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/text.h"
#include "../reconcile/patch.h"
#include "../reconcile/patch_tree.h"
#include "../reconcile/proto.h"
#include "api_write.h"
#include <string.h>

enum {
	BODY_VALUES = 10000,     /* of a body, or of what a patch makes of the object */
	BODY_YAML = 1024 * 1024, /* bytes: it is read slower than JSON */
};

static const struct {
	const char *type;
	enum api_media media;
} types[] = {
	{ "application/json", MEDIA_JSON },
	{ "application/yaml", MEDIA_YAML },
	{ "application/vnd.kubernetes.protobuf", MEDIA_PROTOBUF },
	{ "application/json-patch+json", MEDIA_JSON_PATCH },
	{ "application/merge-patch+json", MEDIA_MERGE_PATCH },
	{ "application/strategic-merge-patch+json", MEDIA_STRATEGIC_PATCH },
	{ "application/apply-patch+yaml", MEDIA_APPLY },
};

enum api_media
body_media(const struct call *c)
{
	const char *type = http_header(c->req, "Content-Type");
	size_t n;

	if (!type || !*type)
		return MEDIA_JSON;
	n = strcspn(type, "; ");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strlen(types[i].type) == n && !strncasecmp(types[i].type, type, n))
			return types[i].media;
	return MEDIA_UNKNOWN;
}

static void
refuse_media(struct call *c, enum api_media first, enum api_media last)
{
	cleanup_buf struct buf all = { 0 };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].media >= first && types[i].media <= last)
			buf_addf(&all, "%s%s", all.len ? ", " : "", types[i].type);
	call_refuse(c, WHY_UNSUPPORTED,
		    "the body of the request was in an unknown format - accepted media types "
		    "include: %s",
		    buf_text(&all));
}

/* How many values there can be at most: each but the first follows one of these. */
static size_t
values_in(const struct buf *body)
{
	bool quoted = false;
	size_t n = 1;

	for (size_t i = 0; i < body->len; i++)
		switch (body->at[i]) {
		case '"':
			quoted = !quoted;
			break;
		case '\\':
			i += quoted;
			break;
		case ',':
		case '[':
		case '{':
			n += !quoted;
		}
	return n;
}

/* The loop waits while they are looked at, one by one and more than once. */
static bool
refuse_many(struct call *c, size_t values)
{
	if (values <= BODY_VALUES)
		return false;
	call_refuse(c, WHY_TOO_LARGE,
		    "the object has too many values: no more than %d are taken at once",
		    BODY_VALUES);
	return true;
}

static void
note_twice(void *ctx, const char *path)
{
	struct api_edit *ed = ctx;
	struct strs *l = &ed->write.doubled;
	const char **at = arena_alloc(&ed->call->arena, (l->n + 1) * sizeof *at);

	if (l->n)
		memcpy(at, l->at, l->n * sizeof *at);
	at[l->n++] = arena_strdup(&ed->call->arena, path);
	l->at = at;
}

/* One document of JSON or YAML; NULL was answered. */
static struct tree *
read_text(struct api_edit *ed, bool yaml)
{
	struct call *c = ed->call;
	const struct buf *body = http_body(c->req);
	struct complaints cs = { .arena = &c->arena };
	struct tree *t = NULL;

	if (yaml && body->len > BODY_YAML) {
		call_refuse(c, WHY_TOO_LARGE,
			    "the body is too long for YAML, of which %d bytes are taken: send "
			    "it as JSON",
			    BODY_YAML);
		return NULL;
	}
	if (!yaml && refuse_many(c, values_in(body)))
		return NULL;
	if (body->len)
		t = yaml ? yaml_read(body->at, body->len, &c->arena, &cs)
			 : json_read_twice(body->at, body->len, &c->arena, &cs, note_twice, ed);
	if (t && !cs.errors && !t->next)
		return yaml && refuse_many(c, tree_count(t)) ? NULL : t;
	call_refuse(c, WHY_BAD_REQUEST, "the body cannot be read as %s: %s",
		    yaml ? "YAML" : "JSON",
		    cs.first       ? cs.first->text
		    : t && t->next ? "more than one document"
				   : "it is empty");
	return NULL;
}

/* With the type that the envelope says. */
static struct tree *
read_proto(struct api_edit *ed, const struct kind *k)
{
	const struct buf *body = http_body(ed->call->req);
	struct arena *a = &ed->call->arena;
	cleanup_error struct error *e = NULL;
	struct proto_envelope env;
	struct members m;
	struct tree *t = NULL;

	if (proto_unwrap(body->at, body->len, &env, a, &e) == 0)
		t = proto_read(k, env.raw, env.len, a, &e);
	if (!t) {
		edit_fail(ed, e);
		return NULL;
	}
	if (refuse_many(ed->call, tree_count(t)))
		return NULL;
	members_open(&m, a);
	members_put(&m, "apiVersion", tree_string(env.api_version, a));
	members_put(&m, "kind", tree_string(env.kind, a));
	members_add_all(&m, t);
	return members_close(&m, N_MAP);
}

struct tree *
body_read_kind(struct api_edit *ed, const struct kind *k)
{
	enum api_media m = body_media(ed->call);

	if (m == MEDIA_PROTOBUF)
		return read_proto(ed, k);
	if (m == MEDIA_JSON || m == MEDIA_YAML)
		return read_text(ed, m == MEDIA_YAML);
	refuse_media(ed->call, MEDIA_JSON, MEDIA_PROTOBUF);
	return NULL;
}

struct tree *
body_read(struct api_edit *ed)
{
	return body_read_kind(ed, ed->call->res->schema);
}

/* JSON or YAML, whichever it looks like. */
struct tree *
body_read_yaml(struct api_edit *ed)
{
	const struct buf *body = http_body(ed->call->req);
	size_t n = 0;

	while (n < body->len && strchr(" \t\r\n", body->at[n]))
		n++;
	return read_text(ed, n < body->len && body->at[n] != '{');
}

struct tree *
body_patched(struct api_edit *ed, const struct tree *live)
{
	struct call *c = ed->call;
	enum api_media m = body_media(c);
	cleanup_error struct error *e = NULL;
	struct tree *patch, *out = NULL;
	int rc = 0;

	if (m < MEDIA_JSON_PATCH || m > MEDIA_STRATEGIC_PATCH) {
		refuse_media(c, MEDIA_JSON_PATCH, MEDIA_APPLY);
		return NULL;
	}
	patch = read_text(ed, false);
	if (!patch)
		return NULL;
	if (m == MEDIA_MERGE_PATCH && patch->type != N_MAP)
		rc = fail(&e, WHY_BAD_REQUEST, "a merge patch is a JSON object");
	else if (m == MEDIA_MERGE_PATCH)
		out = patch_merge(live, patch, &c->arena);
	else if (m == MEDIA_STRATEGIC_PATCH)
		rc = patch_strategic(c->res->schema, live, patch, &out, &c->arena, &e);
	else
		rc = patch_json(live, patch, &out, &c->arena, &e);
	if (rc == 0)
		return refuse_many(c, tree_count(out)) ? NULL : out;
	edit_fail(ed, e);
	return NULL;
}

/* ---- DeleteOptions ---- */

static const char *
option(const struct tree *t, const char *key, const char *otherwise)
{
	const struct tree *v = tree_get(t, key);

	return v && (v->type == N_STRING || v->type == N_INT) ? v->text : otherwise;
}

/* Seconds; -1: nothing is said; -2: that is none. */
static int64_t
seconds(const char *text)
{
	int64_t n = *text ? text_int(text, -2) : -1;

	return *text && (n < 0 || n > INT32_MAX) ? -2 : n;
}

static bool
is_policy(const char *p)
{
	return !*p || !strcmp(p, "Background") || !strcmp(p, "Foreground") ||
	       !strcmp(p, "Orphan");
}

bool
body_delete_options(struct api_edit *ed, struct api_deletion *o)
{
	const struct tree *t = NULL;

	if (http_body(ed->call->req)->len && !(t = body_read_kind(ed, delete_options_kind())))
		return false;
	return delete_options_of(ed, t, o);
}

bool
delete_options_of(struct api_edit *ed, const struct tree *t, struct api_deletion *o)
{
	struct call *c = ed->call;
	struct complaints cs = { .arena = &c->arena };
	const struct tree *pre, *orphan;

	pre = tree_get(t, "preconditions");
	orphan = tree_get(t, "orphanDependents");
	o->grace =
	    seconds(option(t, "gracePeriodSeconds", call_query(c, "gracePeriodSeconds")));
	o->policy = option(t, "propagationPolicy", call_query(c, "propagationPolicy"));
	o->uid = option(pre, "uid", "");
	o->version = option(pre, "resourceVersion", "");
	for (const struct tree *d = tree_get(t, "dryRun"); d; d = NULL)
		ed->dry = ed->dry || (d->type == N_LIST && d->kids);
	if (o->grace == -2) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "gracePeriodSeconds must be a number of seconds");
		return false;
	}
	if (!is_policy(o->policy))
		complain(&cs, 0, 0, "propagationPolicy",
			 "Unsupported value: \"%.50s\": supported values: \"Foreground\", "
			 "\"Background\", \"Orphan\", \"nil\"",
			 o->policy);
	else if (*o->policy && (orphan || http_query(c->req, "orphanDependents")))
		complain(&cs, 0, 0, "propagationPolicy",
			 "Invalid value: \"%s\": orphanDependents and deletionPropagation "
			 "cannot be both set",
			 o->policy);
	if (cs.errors) {
		call_invalid(c, OPTIONS_GROUP, "DeleteOptions", "", &cs);
		return false;
	}
	if (!*o->policy && ((orphan && orphan->type == N_BOOL && tree_true(orphan)) ||
			    call_flag(c, "orphanDependents")))
		o->policy = "Orphan";
	return true;
}

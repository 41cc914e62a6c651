/* openapi.c -- the kinds as OpenAPI documents.
 *
 * The documents do not offer strategic merge patches in their paths although the API takes
 * them: kubectl then works them out from the types it was built with, which is what it does
 * best.
 */
#include "openapi.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "patch.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

struct writer {
	struct buf *out;
	struct arena a;
	struct map seen;  /* names of kinds that are written, or will be */
	const char *refs; /* "#/components/schemas/" or "#/definitions/" */
	bool first;
};

/* ---- names ---- */

/* "pod_spec" -> "io.k8s.api.PodSpec"; a resource's kind as it is spelt there */
static const char *
name_of(struct writer *w, const struct kind *k)
{
	cleanup_buf struct buf b = { 0 };
	bool up = true;

	for (size_t i = 0; i < RES_COUNT; i++)
		if (resources[i].schema == k)
			return arena_printf(&w->a, "io.k8s.api.%s", resources[i].kind);
	for (const char *s = k->name; *s; s++) {
		if (*s != '_')
			buf_addc(&b, up ? (char)toupper((unsigned char)*s) : *s);
		up = *s == '_';
	}
	return arena_printf(&w->a, "io.k8s.api.%s", buf_text(&b));
}

static void
put_gvk(const struct resource *r, struct buf *out)
{
	buf_addf(out, "{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", r->group,
		 r->version, r->kind);
}

/* ---- fields ---- */

static const char *
bounds(struct writer *w, const struct field *f)
{
	if (f->min >= f->max)
		return "";
	if (f->max >= INT32_MAX)
		return arena_printf(&w->a, "At least %" PRId64 ". ", f->min);
	return arena_printf(&w->a, "%" PRId64 " to %" PRId64 ". ", f->min, f->max);
}

/* "one_of" is sorted words; said as a list. */
static const char *
choice(struct writer *w, const struct field *f)
{
	cleanup_buf struct buf b = { 0 };

	for (const char *p = f->one_of; p && *p; p++)
		if (*p == ' ')
			buf_adds(&b, ", ");
		else
			buf_addc(&b, *p);
	return b.len ? arena_printf(&w->a, "One of %s. ", buf_text(&b)) : "";
}

/* What means the same in every kind, where its row says nothing else. */
static const char *
doc_of(const struct field *f)
{
	static const struct {
		const char *name, *doc;
	} usual[] = {
		{ "apiVersion", "The group and the version of the kind" },
		{ "kind", "What kind of object it is" },
		{ "metadata", "Its name, and what else every object has" },
		{ "spec", "What is wanted" },
		{ "status", "What there is" },
	};

	for (size_t i = 0; !f->doc && i < sizeof usual / sizeof *usual; i++)
		if (!strcmp(usual[i].name, f->name))
			return usual[i].doc;
	return f->doc;
}

static void
put_description(struct writer *w, const struct field *f)
{
	const char *doc = doc_of(f),
		   *text = arena_printf(&w->a, "%s%s%s%s%s%s%s%s%s%s", doc ? doc : "",
					doc ? ". " : "", bounds(w, f), choice(w, f),
					f->dflt ? "Default: " : "", f->dflt ? f->dflt : "",
					f->dflt ? ". " : "", f->key ? "Told apart by " : "",
					f->key ? f->key : "", f->key ? ". " : "");

	if (f->ro)
		text = arena_printf(&w->a, "%sWritten by kedge. ", text);
	if (f->inert)
		text = arena_printf(
		    &w->a, "%sKnown, but not acted upon by this version of kedge. ", text);
	if (!*text)
		return;
	buf_adds(w->out, ",\"description\":");
	tree_quote(arena_strndup(&w->a, text, strlen(text) - 1), w->out);
}

static void
put_ref(struct writer *w, const struct field *f)
{
	buf_addf(w->out, "{\"$ref\":\"%s%s\"}", w->refs, name_of(w, f->of()));
}

static void
put_list(struct writer *w, const struct field *f)
{
	const char *key = patch_merge_key(f, &w->a);

	buf_adds(w->out, "\"type\":\"array\",\"items\":");
	if (f->type == T_LIST)
		put_ref(w, f);
	else
		buf_addf(w->out, "{\"type\":\"%s\"}", f->type == T_INTS ? "integer" : "string");
	if (key)
		buf_addf(w->out,
			 ",\"x-kubernetes-patch-merge-key\":\"%s\","
			 "\"x-kubernetes-patch-strategy\":\"merge\"",
			 key);
	else if (patch_merges_values(f))
		buf_adds(w->out, ",\"x-kubernetes-patch-strategy\":\"merge\"");
}

static void
put_field(struct writer *w, const struct field *f)
{
	buf_addf(w->out, "\"%s\":{", f->name);
	switch (f->type) {
	case T_STR:
	case T_QTY:
		buf_adds(w->out, "\"type\":\"string\"");
		break;
	case T_TIME:
		buf_adds(w->out, "\"type\":\"string\",\"format\":\"date-time\"");
		break;
	case T_INT:
		buf_adds(w->out, "\"type\":\"integer\",\"format\":\"int64\"");
		break;
	case T_BOOL:
		buf_adds(w->out, "\"type\":\"boolean\"");
		break;
	case T_IORS:
		buf_adds(w->out, "\"type\":\"string\",\"format\":\"int-or-string\"");
		break;
	case T_MAP:
	case T_QMAP:
		buf_adds(w->out,
			 "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}");
		break;
	case T_STRS:
	case T_INTS:
	case T_LIST:
		put_list(w, f);
		break;
	case T_OBJ:
		buf_adds(w->out, "\"allOf\":[");
		put_ref(w, f);
		buf_addc(w->out, ']');
		break;
	case T_ANY:
		buf_adds(w->out, "\"type\":\"object\"");
		break;
	}
	put_description(w, f);
	buf_addc(w->out, '}');
}

/* ---- kinds ---- */

static void
put_required(struct writer *w, const struct kind *k)
{
	bool first = true;

	for (const struct field *f = k->fields; f->name; f++) {
		if (!f->need || !strcmp(f->name, "apiVersion") || !strcmp(f->name, "kind") ||
		    !strcmp(f->name, "metadata"))
			continue;
		buf_addf(w->out, "%s\"%s\"", first ? ",\"required\":[" : ",", f->name);
		first = false;
	}
	buf_adds(w->out, first ? "" : "]");
}

/* The kind, then all that it is made of. */
static void
put_kind(struct writer *w, const struct kind *k, const struct resource *r)
{
	if (map_put(&w->seen, k->name, w))
		return;
	buf_addf(w->out, "%s\"%s\":{\"type\":\"object\",\"properties\":{", w->first ? "" : ",",
		 name_of(w, k));
	w->first = false;
	for (const struct field *f = k->fields; f->name; f++) {
		buf_adds(w->out, f == k->fields ? "" : ",");
		put_field(w, f);
	}
	buf_addc(w->out, '}');
	put_required(w, k);
	if (k->hooks->doc) {
		buf_adds(w->out, ",\"description\":");
		tree_quote(arena_printf(&w->a, "%s.", k->hooks->doc), w->out);
	}
	if (r) {
		buf_adds(w->out, ",\"x-kubernetes-group-version-kind\":[");
		put_gvk(r, w->out);
		buf_addc(w->out, ']');
	}
	buf_addc(w->out, '}');
	for (const struct field *f = k->fields; f->name; f++)
		if (f->of)
			put_kind(w, f->of(), NULL);
}

static bool
is_of(const struct resource *r, const char *group, const char *version)
{
	return !group || (!strcmp(r->group, group) && !strcmp(r->version, version));
}

/* All of one group, or (group NULL) all. */
static void
put_kinds(struct writer *w, const char *group, const char *version)
{
	w->first = true;
	for (size_t i = 0; i < RES_COUNT; i++)
		if (is_of(&resources[i], group, version))
			put_kind(w, resources[i].schema, &resources[i]);
}

/* ---- paths ---- */

static void
put_path(struct writer *w, const struct resource *r, bool v3)
{
	buf_addf(w->out, "\"/%s%s/%s%s/%s/{name}\":{\"get\":{\"x-kubernetes-action\":\"get\",",
		 *r->group ? "apis/" : "api", r->group, r->version,
		 r->namespaced ? "/namespaces/{namespace}" : "", r->plural);
	buf_addf(w->out,
		 "\"responses\":{\"200\":{\"description\":\"OK\",%s\"schema\":{\"$ref\":"
		 "\"%s%s\"}%s}},\"x-kubernetes-group-version-kind\":",
		 v3 ? "\"content\":{\"application/json\":{" : "", w->refs,
		 name_of(w, r->schema), v3 ? "}}" : "");
	put_gvk(r, w->out);
	buf_addf(
	    w->out,
	    "},\"patch\":{\"x-kubernetes-action\":\"patch\",\"parameters\":[{\"name\":"
	    "\"dryRun\",\"in\":\"query\",%s},{\"name\":\"fieldManager\",\"in\":\"query\","
	    "%s},{\"name\":\"fieldValidation\",\"in\":\"query\",%s}],\"responses\":{\"200\":"
	    "{\"description\":\"OK\"}},\"x-kubernetes-group-version-kind\":",
	    v3 ? "\"schema\":{\"type\":\"string\"}" : "\"type\":\"string\"",
	    v3 ? "\"schema\":{\"type\":\"string\"}" : "\"type\":\"string\"",
	    v3 ? "\"schema\":{\"type\":\"string\"}" : "\"type\":\"string\"");
	put_gvk(r, w->out);
	buf_adds(w->out, "}}");
}

static void
put_paths(struct writer *w, const char *group, const char *version, bool v3)
{
	bool first = true;

	for (size_t i = 0; i < RES_COUNT; i++)
		if (is_of(&resources[i], group, version)) {
			buf_adds(w->out, first ? "" : ",");
			first = false;
			put_path(w, &resources[i], v3);
		}
}

/* ---- documents ---- */

static bool
first_of_group(size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (is_of(&resources[k], resources[i].group, resources[i].version))
			return false;
	return true;
}

void
openapi_v3_index(struct buf *out)
{
	bool first = true;

	buf_adds(out, "{\"paths\":{");
	for (size_t i = 0; i < RES_COUNT; i++) {
		const struct resource *r = &resources[i];

		if (!first_of_group(i))
			continue;
		buf_addf(out,
			 "%s\"%s%s/%s\":{\"serverRelativeURL\":\"/openapi/v3/%s%s/"
			 "%s?hash=" KEDGE_VERSION "\"}",
			 first ? "" : ",", *r->group ? "apis/" : "api", r->group, r->version,
			 *r->group ? "apis/" : "api", r->group, r->version);
		first = false;
	}
	buf_adds(out, "}}");
}

static void
writer_done(struct writer *w)
{
	map_done(&w->seen);
	arena_free(&w->a);
}

bool
openapi_v3(const char *group, const char *version, struct buf *out)
{
	struct writer w = { .out = out, .refs = "#/components/schemas/" };
	bool any = false;

	for (size_t i = 0; i < RES_COUNT; i++)
		any = any || is_of(&resources[i], group, version);
	if (!any)
		return false;
	buf_adds(out, "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"kedge\",\"version\":"
		      "\"v1.33.0+kedge-" KEDGE_VERSION "\"},\"paths\":{");
	put_paths(&w, group, version, true);
	buf_adds(out, "},\"components\":{\"schemas\":{");
	put_kinds(&w, group, version);
	buf_adds(out, "}}}");
	writer_done(&w);
	return true;
}

void
openapi_v2(struct buf *out)
{
	struct writer w = { .out = out, .refs = "#/definitions/" };

	buf_adds(out, "{\"swagger\":\"2.0\",\"info\":{\"title\":\"kedge\",\"version\":"
		      "\"v1.33.0+kedge-" KEDGE_VERSION "\"},\"paths\":{");
	put_paths(&w, NULL, NULL, false);
	buf_adds(out, "},\"definitions\":{");
	put_kinds(&w, NULL, NULL);
	buf_adds(out, "}}");
	writer_done(&w);
}

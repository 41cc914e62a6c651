/* api_objects.c -- how an object is answered with, as itself or as a Table; and get. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/table.h"
#include "api_call.h"
#include <string.h>

/* ---- how the client wants it ---- */

/* The first thing in Accept that can be had; JSON is what anybody takes. */
void
printer_init(struct printer *p, const struct call *c)
{
	const char *accept = http_header(c->req, "Accept"),
		   *include = call_query(c, "includeObject");
	size_t n;

	*p = (struct printer){ .call = c, .res = c->res, .table_version = "v1" };
	p->whole = !strcmp(include, "Object");
	p->bare = !strcmp(include, "None");
	for (; accept && *accept; accept += n + (accept[n] == ',')) {
		n = strcspn(accept, ",");
		if (memmem(accept, n, "as=Table", 8)) {
			p->form = FORM_TABLE;
			if (memmem(accept, n, "v=v1beta1", 9))
				p->table_version = "v1beta1";
			return;
		}
		if (memmem(accept, n, "as=PartialObjectMetadata", 24)) {
			p->form = FORM_META;
			return;
		}
		if (memmem(accept, n, "application/json", 16) || memmem(accept, n, "*/*", 3))
			return;
	}
}

static void
printer_meta(const struct object *o, bool in_list, struct buf *b)
{
	(void)in_list;
	buf_adds(b, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
		    "\"metadata\":");
	schema_encode(object_meta_kind(), o->metadata, b);
	buf_addc(b, '}');
}

static void
print_columns(const struct column *columns, size_t n, struct buf *b)
{
	for (size_t i = 0; i < n; i++) {
		buf_addf(
		    b, "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":",
		    i ? "," : "", columns[i].name, columns[i].type, columns[i].format);
		json_quote(b, columns[i].doc);
		buf_addf(b, ",\"priority\":%d}", columns[i].priority);
	}
}

static void
print_row(const struct printer *p, const struct column *columns, size_t n,
	  const struct object *o, struct buf *b)
{
	cleanup_arena struct arena scratch = { 0 };
	struct cells cells = { call_now(p->call), &scratch };

	buf_adds(b, "{\"cells\":[");
	for (size_t i = 0; i < n; i++) {
		const char *text = columns[i].cell(o, &cells);

		buf_adds(b, i ? "," : "");
		if (columns[i].type[0] == 'i')
			buf_adds(b, text);
		else
			json_quote(b, text);
	}
	buf_adds(b, "]");
	if (!p->bare) {
		buf_adds(b, ",\"object\":");
		if (p->whole)
			object_json(o, b);
		else
			printer_meta(o, true, b);
	}
	buf_addc(b, '}');
}

void
printer_table(const struct printer *p, struct buf *b, const char *list_meta, bool headed,
	      const struct object *const *at, size_t n)
{
	size_t ncolumns;
	const struct column *columns = table_columns(p->res->id, &ncolumns);

	buf_addf(b,
		 "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":%s,"
		 "\"columnDefinitions\":[",
		 p->table_version, list_meta);
	if (headed)
		print_columns(columns, ncolumns, b);
	buf_adds(b, "],\"rows\":[");
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		print_row(p, columns, ncolumns, at[i], b);
	}
	buf_adds(b, "]}");
}

void
printer_object(const struct printer *p, struct buf *b, const struct object *o)
{
	cleanup_free char *meta = NULL;

	if (p->form == FORM_META) {
		printer_meta(o, false, b);
	} else if (p->form == FORM_OBJECT) {
		object_json(o, b);
	} else {
		xasprintf(&meta, "{\"resourceVersion\":\"%s\"}", o->metadata->resourceVersion);
		printer_table(p, b, meta, true, &o, 1);
	}
}

/* ---- get ---- */

static void
refuse_missing(struct call *c)
{
	call_refuse(c, WHY_NOT_FOUND, "%s%s%s \"%s\" not found", c->res->plural,
		    *c->res->group ? "." : "", c->res->group, c->name);
}

void
object_get(struct call *c)
{
	const struct object *o = store_find(c->api->store, c->res->id, c->ns, c->name);
	struct selection sel = { .ns = c->ns, .name = c->name };
	uint64_t version;
	struct printer p;
	struct buf b = { 0 };

	if (call_flag(c, "watch")) {
		watch_start(c, &sel);
		return;
	}
	if (!list_version(c, &version))
		return;
	if (!o) {
		refuse_missing(c);
		return;
	}
	printer_init(&p, c);
	printer_object(&p, &b, o);
	call_json(c, 200, &b);
}

/* api_objects.c -- get and list, as objects or as a Table. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/table.h"
#include "api_call.h"
#include <inttypes.h>
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
	struct printer p;
	struct buf b = { 0 };

	if (call_flag(c, "watch")) {
		watch_start(c, &sel);
		return;
	}
	if (!o) {
		refuse_missing(c);
		return;
	}
	printer_init(&p, c);
	printer_object(&p, &b, o);
	call_json(c, 200, &b);
}

/* ---- list ---- */

/* Where a page ended: "NS/NAME" of its last object, wrapped so that nobody
 * takes it for something to build upon. */
static char *
token_print(const struct object *last, struct arena *a)
{
	const char *s = arena_printf(a, "%s/%s", object_namespace(last), object_name(last));
	struct buf b = { 0 };
	char *token;

	for (; *s; s++)
		buf_addf(&b, "%02x", (unsigned char)*s);
	token = arena_strdup(a, buf_text(&b));
	buf_done(&b);
	return token;
}

static char *
token_read(const char *token, struct arena *a)
{
	size_t n = strlen(token);
	char *s = arena_alloc(a, n / 2 + 1);

	if (n % 2 || strspn(token, "0123456789abcdef") != n)
		return NULL;
	for (size_t i = 0; i < n / 2; i++) {
		char pair[3] = { token[2 * i], token[2 * i + 1], 0 };

		s[i] = (char)strtol(pair, NULL, 16);
	}
	s[n / 2] = 0;
	return strchr(s, '/') ? s : NULL;
}

/* The first object of the slice that comes after the token's. */
static size_t
after_token(const struct objects *all, char *token)
{
	char *name = strchr(token, '/');
	size_t lo = 0, hi = all->n;

	*name++ = 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(object_namespace(all->at[mid]), token);

		if (!cmp)
			cmp = strcmp(object_name(all->at[mid]), name);
		if (cmp <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct page {
	const struct object **at;
	size_t n, cap;
	const char *next; /* token of the next page; NULL: this was the last */
	int64_t left;     /* how many are on later pages; -1: not counted */
};

static void
page_fill(struct page *p, struct call *c, const struct selection *sel,
	  const struct objects *all, size_t from)
{
	int64_t limit = call_int(c, "limit", 0);

	p->left = -1;
	for (size_t i = from; i < all->n; i++) {
		cleanup_arena struct arena scratch = { 0 };

		if (!selection_has(sel, c->res, all->at[i], &scratch))
			continue;
		if (limit > 0 && p->n == (size_t)limit) {
			p->next = token_print(p->at[p->n - 1], &c->arena);
			if (!sel->labels && !sel->nfields)
				p->left = all->n - i;
			return;
		}
		if (p->n == p->cap) {
			p->cap = p->cap ? p->cap * 2 : 64;
			p->at = xrealloc(p->at, p->cap * sizeof *p->at);
		}
		p->at[p->n++] = all->at[i];
	}
}

static char *
list_meta(const struct call *c, const struct page *p)
{
	struct buf b = { 0 };

	buf_addf(&b, "{\"resourceVersion\":\"%" PRIu64 "\"", store_version(c->api->store));
	if (p->next)
		buf_addf(&b, ",\"continue\":\"%s\"", p->next);
	if (p->left > 0)
		buf_addf(&b, ",\"remainingItemCount\":%" PRId64, p->left);
	buf_addc(&b, '}');
	return buf_steal(&b);
}

static void
print_list(const struct printer *p, const char *meta, const struct page *page, struct buf *b)
{
	if (p->form == FORM_META)
		buf_addf(
		    b,
		    "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\","
		    "\"metadata\":%s,\"items\":[",
		    meta);
	else
		buf_addf(
		    b, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[",
		    p->res->kind, p->res->api_version, meta);
	for (size_t i = 0; i < page->n; i++) {
		buf_adds(b, i ? "," : "");
		printer_object(p, b, page->at[i]);
	}
	buf_adds(b, "]}");
}

void
object_list(struct call *c)
{
	const char *token = call_query(c, "continue");
	cleanup_error struct error *e = NULL;
	cleanup_free char *meta = NULL;
	struct page page = { 0 };
	struct selection sel;
	struct objects all;
	struct printer p;
	struct buf b = { 0 };
	char *after = NULL;

	if (selection_read(&sel, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	if (call_flag(c, "watch")) {
		watch_start(c, &sel);
		return;
	}
	if (*token && !(after = token_read(token, &c->arena))) {
		call_refuse(c, WHY_BAD_REQUEST, "continue key is not valid");
		return;
	}
	all = selection_slice(&sel, c);
	page_fill(&page, c, &sel, &all, after ? after_token(&all, after) : 0);
	meta = list_meta(c, &page);
	printer_init(&p, c);
	if (p.form == FORM_TABLE)
		printer_table(&p, &b, meta, true, page.at, page.n);
	else
		print_list(&p, meta, &page, &b);
	free(page.at);
	call_json(c, 200, &b);
}

/* api.c -- from a path to the function that answers it, and the answers' shape.
 *
 * Every refusal is a Kubernetes Status, made in one place from errors.def.
 */
#include "api.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "../reconcile/base/utf8.h"
#include "api_call.h"
#include "api_rbac.h"
#include "curl_loop.h"
#include <assert.h>
#include <signal.h>
#include <string.h>

/* clang-format off */
#define METHOD_GET    "GET"
#define METHOD_POST   "POST"
#define METHOD_PATCH  "PATCH"
#define METHOD_PUT    "PUT"
#define METHOD_DELETE "DELETE"
#define METHOD_ANY    NULL
/* clang-format on */

static const struct route routes[] = {
#define ROUTE(method, when, path, fn) { METHOD_##method, WHEN_##when, path, fn },
#include "routes.def"
#undef ROUTE
};

/* ---- text ---- */

static void
json_quote_n(struct buf *b, const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + n;

	buf_addc(b, '"');
	while (s < end) {
		size_t len = utf8_len(s, end - s);

		if (!len) {
			buf_adds(b, "\xef\xbf\xbd");
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\')
			buf_addf(b, "\\%c", *s);
		else if (*s == '\n')
			buf_adds(b, "\\n");
		else if (*s < 0x20 || *s == 0x7f)
			buf_addf(b, "\\u%04x", *s);
		else
			buf_add(b, s, len);
		s += len;
	}
	buf_addc(b, '"');
}

void
json_quote(struct buf *b, const char *text)
{
	json_quote_n(b, text, strlen(text));
}

/* ---- answers ---- */

void
call_json(struct call *c, int code, struct buf *b)
{
	c->answered = true;
	buf_addc(b, '\n');
	if (!call_packed(c, code, b))
		http_reply(c->req, code, "application/json", b);
}

void
status_print(struct buf *b, enum why why, const char *message, const struct resource *r,
	     const char *name)
{
	const struct why_facts *f = why_facts(why);

	buf_adds(b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		    "\"status\":\"Failure\",\"message\":");
	json_quote(b, message);
	buf_addf(b, ",\"reason\":\"%s\",", f->reason);
	if (why == WHY_UNAUTHORIZED) { /* of what, is nobody's business */
		buf_addf(b, "\"code\":%d}", f->http);
		return;
	}
	buf_adds(b, "\"details\":{");
	if (r && name && *name) {
		buf_adds(b, "\"name\":");
		json_quote(b, name);
		buf_addc(b, ',');
	}
	if (r && *r->group)
		buf_addf(b, "\"group\":\"%s\",", r->group);
	if (r)
		buf_addf(b, "\"kind\":\"%s\"", r->plural);
	buf_addf(b, "},\"code\":%d}", f->http);
}

static void
fail_why(struct call *c, enum why why, const char *message)
{
	struct buf b = { 0 };

	if (why == WHY_NONE)
		why = WHY_INTERNAL;
	status_print(&b, why, message, c->res, c->name);
	call_json(c, why_facts(why)->http, &b);
}

void
call_fail(struct call *c, const struct error *e)
{
	fail_why(c, e ? e->why : WHY_INTERNAL, error_text(e));
}

void
call_refuse(struct call *c, enum why why, const char *fmt, ...)
{
	cleanup_free char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&message, fmt, ap);
	va_end(ap);
	fail_why(c, why, message);
}

void
causes_print(const struct complaints *cs, struct buf *b)
{
	for (const struct complaint *c = cs->first; c; c = c->next) {
		if (c->warning)
			continue;
		buf_addf(b, "%s{\"reason\":\"%s\",\"message\":", b->len ? "," : "",
			 complaint_reason(c->kind));
		json_quote(b, c->text);
		buf_adds(b, ",\"field\":");
		json_quote(b, c->field ? c->field : "");
		buf_addc(b, '}');
	}
}

void
call_invalid(struct call *c, const char *group, const char *kind, const char *name,
	     const struct complaints *cs)
{
	cleanup_buf struct buf text = { 0 }, causes = { 0 };
	const struct complaint *first = cs->first;
	struct buf b = { 0 };

	assert(first);
	for (const struct complaint *x = first; x; x = x->next)
		buf_addf(&text, "%s%s: %s", x == first ? "" : ", ", x->field, x->text);
	causes_print(cs, &causes);
	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Failure\",\"message\":");
	json_quote(&b, arena_printf(&c->arena, "%s%s%s \"%s\" is invalid: %s%s%s", kind,
				    *group ? "." : "", group, name, first->next ? "[" : "",
				    buf_text(&text), first->next ? "]" : ""));
	buf_adds(&b, ",\"reason\":\"Invalid\",\"details\":{\"name\":");
	json_quote(&b, name);
	buf_addf(&b, ",\"group\":\"%s\",\"kind\":\"%s\",\"causes\":[%s]},\"code\":422}", group,
		 kind, buf_text(&causes));
	call_json(c, 422, &b);
}

void
call_success(struct call *c)
{
	struct buf b = { 0 };

	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Success\",\"code\":200}");
	call_json(c, 200, &b);
}

/* ---- questions ---- */

int64_t
call_now(const struct call *c)
{
	return c->api->clock ? c->api->clock(c->api->host.ctx) : now_ms();
}

const char *
call_query(const struct call *c, const char *name)
{
	const char *v = http_query(c->req, name);

	return v ? v : "";
}

bool
call_flag(const struct call *c, const char *name)
{
	const char *v = http_query(c->req, name);

	return v && strcasecmp(v, "false") != 0 && strcmp(v, "0") != 0;
}

int64_t
call_int(const struct call *c, const char *name, int64_t absent)
{
	return text_int(call_query(c, name), absent);
}

int64_t
call_ask(struct call *c)
{
	return c->id = ++c->api->last_id;
}

struct call *
call_of_id(struct api *a, int64_t id)
{
	for (struct call *c = a->calls; c; c = c->next)
		if (c->id == id && id)
			return c;
	return NULL;
}

void
api_answer(struct api *a, int64_t id, const struct error *e, const char *json)
{
	struct call *c = call_of_id(a, id);
	struct buf b = { 0 };

	if (!c || c->answered)
		return;
	if (c->on_answer) {
		c->on_answer(c, e, json);
	} else if (e) {
		call_fail(c, e);
	} else if (!json) {
		call_success(c);
	} else {
		buf_adds(&b, json);
		call_json(c, 200, &b);
	}
}

/* ---- routing ---- */

static const char **
slot_of(struct call *c, const char *name, size_t n, const char **res)
{
	struct {
		const char *name;
		const char **slot;
	} slots[] = {
		{ "group", &c->group }, { "version", &c->version }, { "ns", &c->ns },
		{ "name", &c->name },   { "sub", &c->sub },         { "res", res },
	};

	for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
		if (strlen(slots[i].name) == n && !memcmp(slots[i].name, name, n))
			return slots[i].slot;
	abort();
}

/* Fills what the pattern's braces take; "/a//b" matches nothing, "/a/" what "/a" does, for
 * clients ask for "/version/". */
static bool
path_matches(const char *pattern, const char *path, struct call *c, const char **ret_res)
{
	while (*pattern) {
		size_t want, have;

		if (!strcmp(pattern, "/{*}"))
			return !*path || *path == '/';
		if (*pattern++ != '/' || *path++ != '/')
			return false;
		want = strcspn(pattern, "/");
		have = strcspn(path, "/");
		if (!have)
			return false;
		if (*pattern == '{')
			*slot_of(c, pattern + 1, want - 2, ret_res) =
			    arena_strndup(&c->arena, path, have);
		else if (want != have || memcmp(pattern, path, want))
			return false;
		pattern += want;
		path += have;
	}
	return !*path || !strcmp(path, "/");
}

static const struct resource *
resource_at(const char *group, const char *version, const char *plural, bool in_namespace)
{
	for (size_t i = 0; i < RES_COUNT; i++) {
		const struct resource *r = &resources[i];

		if (!strcmp(r->group, group) && !strcmp(r->version, version) &&
		    !strcmp(r->plural, plural))
			return in_namespace && !r->namespaced ? NULL : r;
	}
	return NULL;
}

static void
call_forget_path(struct call *c)
{
	c->group = c->ns = c->name = c->sub = "";
	c->version = "v1";
	c->res = NULL;
}

/* "pods" of "/api/v1/namespaces/x/pods/y/log", for the details of a Status */
static const struct resource *
resource_of_fixed(const struct route *r)
{
	if (strstr(r->path, "/pods/"))
		return &resources[RES_pod];
	return strstr(r->path, "/sources/") ? &resources[RES_source] : NULL;
}

static bool
route_takes(struct call *c, const struct route *r)
{
	const char *method = http_method(c->req), *res = NULL;

	call_forget_path(c);
	if (r->method && strcmp(r->method, method) &&
	    !(!strcmp(method, "HEAD") && !strcmp(r->method, "GET")))
		return false;
	if (!path_matches(r->path, http_path(c->req), c, &res))
		return false;
	c->res = res ? resource_at(c->group, c->version, res, *c->ns) : resource_of_fixed(r);
	return !res || c->res;
}

static const struct route *
route_find(struct call *c)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (route_takes(c, &routes[i]))
			return &routes[i];
	call_forget_path(c);
	return NULL;
}

/* ` (kedge has no kind "jobs" in batch/v1)` when that is what the path is about; or "". */
static const char *
strange_kind(struct call *c)
{
	const char *text = "";
	bool found = false;

	for (size_t i = 0; i < sizeof routes / sizeof *routes && !found; i++) {
		const char *res = NULL;

		call_forget_path(c);
		found = path_matches(routes[i].path, http_path(c->req), c, &res);
		if (found && res && !resource_at(c->group, c->version, res, false))
			text = arena_printf(&c->arena, " (kedge has no kind \"%s\" in %s%s%s)",
					    res, c->group, *c->group ? "/" : "", c->version);
	}
	call_forget_path(c);
	return text;
}

/* ---- one request ---- */

static void
on_gone(void *mine)
{
	struct call *c = mine;

	call_audit(c);
	if (c->state_free)
		c->state_free(c->state);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	arena_free(&c->arena);
	free(c);
}

static struct call *
call_new(struct api *a, struct http_request *r)
{
	struct call *c = xcalloc(1, sizeof *c);

	c->api = a;
	c->req = r;
	c->link = &a->calls;
	c->next = a->calls;
	if (c->next)
		c->next->link = &c->next;
	a->calls = c;
	c->received = call_now(c);
	call_forget_path(c);
	http_keep(r, c, on_gone);
	return c;
}

static void
on_head(void *ctx, struct http_request *r)
{
	struct call *c = call_new(ctx, r);

	log_debug("http", "%s %s", http_method(r), http_path(r));
	access_read(c);
	if (!auth_who(c))
		return;
	/* A body is taken only from who may send it. */
	c->route = route_find(c);
	if (!access_check(c))
		return;
	if (c->route && c->route->when == WHEN_HEAD)
		c->route->fn(c);
}

static void
on_ready(void *ctx, struct http_request *r)
{
	struct call *c = http_kept(r);

	(void)ctx;
	if (c->answered || (c->route && c->route->when == WHEN_HEAD))
		return;
	if (c->route)
		c->route->fn(c);
	else
		call_refuse(c, WHY_NOT_FOUND,
			    "the server could not find the requested resource%s",
			    strange_kind(c));
}

static void
on_refuse(void *ctx, struct http_request *r, enum why why, const char *text)
{
	struct call *c = http_kept(r);

	if (!c)
		c = call_new(ctx, r);
	fail_why(c, why, text);
}

static void
on_change(void *ctx)
{
	struct api *a = ctx;

	for (struct call *c = a->calls, *next; c; c = next) {
		next = c->next;
		if (c->on_change)
			c->on_change(c);
	}
}

int
api_open(struct event_base *base, struct store *store, const struct api_settings *s,
	 const struct api_host *host, struct api **ret, struct error **e)
{
	struct http_handler handler = { on_head, on_ready, on_refuse, NULL };
	struct api *a = xcalloc(1, sizeof *a);

	signal(SIGPIPE, SIG_IGN);
	a->base = base;
	a->store = store;
	a->host = *host;
	a->clock = s->now;
	a->settings = s->settings;
	a->pki = s->pki;
	a->log_dir = xstrdup(s->log_dir ? s->log_dir : "/var/log/kedge/pods");
	handler.ctx = a;
	if (audit_open(base, &s->audit, &a->audit, e) < 0 || access_open(a, e) < 0 ||
	    http_open(base, &s->http, &handler, &a->http, e) < 0) {
		api_close(a);
		return -1;
	}
	store_on_change(store, on_change, a);
	*ret = a;
	return 0;
}

void
api_close(struct api *a)
{
	if (!a)
		return;
	if (a->http)
		store_off_change(a->store, on_change, a);
	streams_stop(a);
	forwards_stop(a);
	proxies_stop(a);
	http_close(a->http);
	curl_loop_free(a->curls);
	audit_close(a->audit);
	access_close(a);
	free(a->log_dir);
	for (int i = 0; i < 2; i++)
		free(a->looks[i].json);
	free(a);
}

int
api_tls_set(struct api *a, const struct http_tls *tls, struct error **e)
{
	return http_tls_set(a->http, tls, e);
}

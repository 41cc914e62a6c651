/* api_list.c -- lists: whole, or in pages that are all of one moment.
 *
 * A page's token says of which version the list is and where the page ended; the next one is
 * read from the store as it was then (store_past).  Where that cannot be had any more the
 * client is told 410, with a token for what is there now, as in Kubernetes.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* ---- the question ---- */

/* As ValidateListOptions; false: it was refused. */
static bool
options_are_sound(struct call *c)
{
	const char *match = call_query(c, "resourceVersionMatch"),
		   *version = call_query(c, "resourceVersion"), *m = "resourceVersionMatch";
	struct complaints cs = { .arena = &c->arena };

	if (*match && !*version)
		complain(&cs, 0, 0, m,
			 "Forbidden: resourceVersionMatch is forbidden unless resourceVersion "
			 "is provided");
	if (*match && *call_query(c, "continue"))
		complain(&cs, 0, 0, m,
			 "Forbidden: resourceVersionMatch is forbidden when continue is "
			 "provided");
	if (*match && strcmp(match, "Exact") != 0 && strcmp(match, "NotOlderThan") != 0)
		complain(&cs, 0, 0, m,
			 "Unsupported value: \"%.50s\": supported values: \"Exact\", "
			 "\"NotOlderThan\", \"\"",
			 match);
	if (!strcmp(match, "Exact") && !strcmp(version, "0"))
		complain(&cs, 0, 0, m,
			 "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
			 "resourceVersion \"0\"");
	if (http_query(c->req, "sendInitialEvents"))
		complain(&cs, 0, 0, "sendInitialEvents",
			 "Forbidden: sendInitialEvents is forbidden for list");
	if (cs.errors)
		call_invalid(c, OPTIONS_GROUP, "ListOptions", "", &cs);
	return !cs.errors;
}

/* From the future: or from a state that was put back to an earlier one. */
static void
refuse_future(struct call *c, uint64_t version)
{
	struct buf b = { 0 };

	http_reply_header(c->req, "Retry-After", "1");
	buf_addf(&b,
		 "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
		 "\"Failure\",\"message\":\"Timeout: Too large resource version: %" PRIu64
		 ", current: %" PRIu64
		 "\",\"reason\":\"Timeout\",\"details\":{\"causes\":[{\"reason\":"
		 "\"ResourceVersionTooLarge\",\"message\":\"Too large resource version\"}],"
		 "\"retryAfterSeconds\":1},\"code\":504}",
		 version, store_version(c->api->store));
	call_json(c, 504, &b);
}

bool
list_version(struct call *c, uint64_t *ret)
{
	const char *text = call_query(c, "resourceVersion");
	size_t n = strlen(text);

	if (strspn(text, "0123456789") != n || n > 19) {
		call_refuse(c, WHY_BAD_REQUEST, "invalid resource version: \"%.50s\"", text);
		return false;
	}
	*ret = strtoull(text, NULL, 10);
	if (*ret <= store_version(c->api->store))
		return true;
	refuse_future(c, *ret);
	return false;
}

/* ---- tokens ---- */

struct token {
	uint64_t version;      /* 0: of whatever is there now */
	const char *ns, *name; /* of the last object that the client has */
};

/* "VERSION/NS/NAME", wrapped so that nobody takes it for something to build upon. */
static const char *
token_print(const struct token *t, struct arena *a)
{
	const char *s = arena_printf(a, "%" PRIu64 "/%s/%s", t->version, t->ns, t->name);
	cleanup_buf struct buf b = { 0 };

	for (; *s; s++)
		buf_addf(&b, "%02x", (unsigned char)*s);
	return arena_strdup(a, buf_text(&b));
}

static bool
token_read(struct token *t, const char *text, struct arena *a)
{
	size_t n = strlen(text);
	char *s = arena_alloc(a, n / 2 + 1), *end, *slash;

	if (n % 2 || strspn(text, "0123456789abcdef") != n)
		return false;
	for (size_t i = 0; i < n / 2; i++) {
		char pair[3] = { text[2 * i], text[2 * i + 1], 0 };

		s[i] = (char)strtol(pair, NULL, 16);
	}
	s[n / 2] = 0;
	t->version = strtoull(s, &end, 10);
	slash = *end == '/' ? strchr(end + 1, '/') : NULL;
	if (!isdigit((unsigned char)*s) || !slash)
		return false;
	*slash = 0;
	t->ns = end + 1;
	t->name = slash + 1;
	return true;
}

/* The first object of the slice that comes after the token's. */
static size_t
after_token(const struct objects *all, const struct token *t)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(object_namespace(all->at[mid]), t->ns);

		if (!cmp)
			cmp = strcmp(object_name(all->at[mid]), t->name);
		if (cmp <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- which moment ---- */

struct listing {
	struct call *call;
	struct selection sel;
	struct token after; /* name NULL: from the beginning */
	uint64_t version;   /* of which it is; 0 before it is known: of now */
};

/* As in Kubernetes, whose words these are: the rest can be read all the same. */
static void
refuse_old_token(const struct listing *l)
{
	struct call *c = l->call;
	struct token now = { 0, l->after.ns, l->after.name };
	struct buf b = { 0 };

	buf_addf(
	    &b,
	    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"%s\"},"
	    "\"status\":\"Failure\",\"message\":\"The provided continue parameter is too old "
	    "to "
	    "display a consistent list result. You can start a new list without the continue "
	    "parameter, or use the continue token in this response to retrieve the remainder "
	    "of the results. Continuing with the provided token results in an inconsistent "
	    "list - objects that were created, modified, or deleted between the time the first "
	    "chunk was returned and now may show up in the list.\",\"reason\":\"Expired\","
	    "\"code\":410}",
	    token_print(&now, &c->arena));
	call_json(c, 410, &b);
}

/* False: the question makes no sense, and was answered so. */
static bool
list_read(struct listing *l)
{
	struct call *c = l->call;
	const char *token = call_query(c, "continue"),
		   *match = call_query(c, "resourceVersionMatch");
	uint64_t version;

	if (!options_are_sound(c) || !list_version(c, &version))
		return false;
	if (!*token) {
		/* Who asks for pages of a version gets that one, not a later one. */
		if (!strcmp(match, "Exact") || (!*match && call_int(c, "limit", 0) > 0))
			l->version = version;
		return true;
	}
	if (version) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "specifying resource version is not allowed when using continue");
		return false;
	}
	if (!token_read(&l->after, token, &c->arena)) {
		call_refuse(c, WHY_BAD_REQUEST, "continue key is not valid");
		return false;
	}
	l->version = l->after.version;
	return true;
}

/* What there was; false: it cannot be had, which was answered. */
static bool
list_objects(struct listing *l, struct objects *ret)
{
	struct call *c = l->call;
	cleanup_error struct error *e = NULL;
	struct snapshot past = { 0 };

	if (!l->version || l->version == store_version(c->api->store)) {
		l->version = store_version(c->api->store);
		*ret = selection_slice(&l->sel, c);
		return true;
	}
	if (store_past(c->api->store, c->res->id, l->version, &c->arena, &past.of[c->res->id],
		       &e) < 0) {
		if (l->after.name)
			refuse_old_token(l);
		else
			call_refuse(c, WHY_EXPIRED,
				    "The resourceVersion for the provided list is too old.");
		return false;
	}
	*ret = *l->sel.ns ? snapshot_in(&past, c->res->id, l->sel.ns) : past.of[c->res->id];
	return true;
}

/* ---- the answer ---- */

struct page {
	const struct object **at;
	size_t n, cap;
	const char *next; /* token of the next page; NULL: this was the last */
	int64_t left;     /* how many are on later pages; -1: not counted */
};

static void
page_fill(struct page *p, const struct listing *l, const struct objects *all)
{
	struct call *c = l->call;
	int64_t limit = call_int(c, "limit", 0);

	p->left = -1;
	for (size_t i = l->after.name ? after_token(all, &l->after) : 0; i < all->n; i++) {
		cleanup_arena struct arena scratch = { 0 };

		if (!selection_has(&l->sel, c->res, all->at[i], &scratch))
			continue;
		if (limit > 0 && p->n == (size_t)limit) {
			const struct object *last = p->at[p->n - 1];
			struct token t = { l->version, object_namespace(last),
					   object_name(last) };

			p->next = token_print(&t, &c->arena);
			if (!l->sel.labels && !l->sel.nfields)
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
list_meta(const struct listing *l, const struct page *p)
{
	struct buf b = { 0 };

	buf_addf(&b, "{\"resourceVersion\":\"%" PRIu64 "\"", l->version);
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
	struct listing l = { .call = c };
	cleanup_error struct error *e = NULL;
	cleanup_free char *meta = NULL;
	struct page page = { 0 };
	struct objects all;
	struct printer p;
	struct buf b = { 0 };

	if (selection_read(&l.sel, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	if (call_flag(c, "watch")) {
		watch_start(c, &l.sel);
		return;
	}
	if (!list_read(&l) || !list_objects(&l, &all))
		return;
	page_fill(&page, &l, &all);
	meta = list_meta(&l, &page);
	printer_init(&p, c);
	if (p.form == FORM_TABLE)
		printer_table(&p, &b, meta, true, page.at, page.n);
	else
		print_list(&p, meta, &page, &b);
	free(page.at);
	call_json(c, 200, &b);
}

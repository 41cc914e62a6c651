/* watch.c -- a list that goes on: one JSON line for each change.
 *
 * A watcher holds nothing but the version it has told of; what comes after is
 * read from the store's ring when the client can take it.  A client that is too
 * slow, or comes back too late, is told 410 Gone and lists again.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum { ENOUGH = 32 * 1024, BOOKMARK_SECONDS = 60, LONGEST_SECONDS = 40 * 60 };

struct watch {
	struct call *call;
	struct selection sel;
	struct printer printer;
	uint64_t version;
	bool all_first; /* everything there is comes first, as ADDED */
	bool say_so;    /* and a bookmark says where that ends */
	bool bookmarks, headed, ended, bookmark_due;
	struct event *deadline, *tick;
};

static void
watch_free(void *p)
{
	struct watch *w = p;

	if (w->deadline)
		event_free(w->deadline);
	if (w->tick)
		event_free(w->tick);
	free(w);
}

static void
add_event(struct watch *w, struct buf *out, const char *type, const struct object *o)
{
	cleanup_free char *meta = NULL;

	buf_addf(out, "{\"type\":\"%s\",\"object\":", type);
	if (w->printer.form == FORM_TABLE) {
		xasprintf(&meta, "{\"resourceVersion\":\"%s\"}", o->metadata->resourceVersion);
		printer_table(&w->printer, out, meta, !w->headed, &o, 1);
		w->headed = true;
	} else {
		printer_object(&w->printer, out, o);
	}
	buf_adds(out, "}\n");
}

static void
add_bookmark(struct watch *w, struct buf *out, bool initial_end)
{
	/* A Table has no place for one; who asks for both has to do without. */
	if (w->printer.form == FORM_TABLE)
		return;
	buf_addf(out,
		 "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
		 "\"metadata\":{\"resourceVersion\":\"%" PRIu64
		 "\",\"creationTimestamp\":null%s}}}\n",
		 w->printer.form == FORM_META ? "PartialObjectMetadata" : w->printer.res->kind,
		 w->printer.form == FORM_META ? "meta.k8s.io/v1" : w->printer.res->api_version,
		 w->version,
		 initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
			     : "");
}

static void
add_everything(struct watch *w, struct buf *out)
{
	struct objects all = selection_slice(&w->sel, w->call);

	for (size_t i = 0; i < all.n; i++) {
		cleanup_arena struct arena scratch = { 0 };

		if (selection_has(&w->sel, w->printer.res, all.at[i], &scratch))
			add_event(w, out, "ADDED", all.at[i]);
	}
	w->version = store_version(w->call->api->store);
	if (w->say_so)
		add_bookmark(w, out, true);
	w->all_first = false;
}

/* An object that stops being selected is deleted as far as this client can see: the one that it
 * knew, at the version of the change. */
static void
add_leaving(struct watch *w, const struct change *ch, struct buf *out, struct arena *scratch)
{
	struct object *o = object_clone(ch->was, scratch);

	o->metadata->resourceVersion = ch->obj->metadata->resourceVersion;
	add_event(w, out, "DELETED", o);
}

static void
add_change(struct watch *w, const struct change *ch, struct buf *out)
{
	cleanup_arena struct arena scratch = { 0 };
	const struct resource *r = w->printer.res;
	bool is, was;

	if (ch->res != r->id)
		return;
	is = selection_has(&w->sel, r, ch->obj, &scratch);
	was = ch->was && selection_has(&w->sel, r, ch->was, &scratch);
	if (ch->type == CHANGE_DELETED) {
		if (is)
			add_event(w, out, "DELETED", ch->obj);
	} else if (is) {
		add_event(w, out, was ? "MODIFIED" : "ADDED", ch->obj);
	} else if (was) {
		add_leaving(w, ch, out, &scratch);
	}
}

static enum http_pull
watch_pull(void *mine, struct buf *out)
{
	struct call *c = mine;
	struct watch *w = c->state;
	cleanup_error struct error *e = NULL;
	const struct change *ch;

	if (w->all_first)
		add_everything(w, out);
	while (out->len < ENOUGH) {
		if (store_next(c->api->store, w->version, &ch, &e) < 0) {
			buf_adds(out, "{\"type\":\"ERROR\",\"object\":");
			status_print(out, e->why, e->msg, NULL, NULL);
			buf_adds(out, "}\n");
			return HTTP_END;
		}
		if (!ch)
			break;
		w->version = ch->version;
		add_change(w, ch, out);
	}
	if (w->bookmark_due && out->len < ENOUGH)
		add_bookmark(w, out, false);
	w->bookmark_due = false;
	if (out->len)
		return HTTP_GO_ON;
	return w->ended ? HTTP_END : HTTP_WAIT;
}

static void
on_change(struct call *c)
{
	http_wake(c->req);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	w->ended = true;
	w->bookmark_due = w->bookmarks;
	http_wake(w->call->req);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	w->bookmark_due = true;
	http_wake(w->call->req);
}

/* "" and "0" both mean: begin with what there is. */
static int
read_version(struct watch *w, const char *text, struct error **e)
{
	char *end;

	w->all_first = !*text || !strcmp(text, "0");
	if (w->all_first)
		return 0;
	w->version = strtoull(text, &end, 10);
	if (*end || text[0] == '-')
		return fail(e, WHY_BAD_REQUEST, "invalid resource version \"%s\"", text);
	return 0;
}

static int
read_options(struct watch *w, struct call *c, struct error **e)
{
	w->bookmarks = call_flag(c, "allowWatchBookmarks");
	if (read_version(w, call_query(c, "resourceVersion"), e) < 0)
		return -1;
	if (!call_flag(c, "sendInitialEvents"))
		return 0;
	if (strcmp(call_query(c, "resourceVersionMatch"), "NotOlderThan") || !w->bookmarks)
		return fail(e, WHY_INVALID,
			    "sendInitialEvents needs resourceVersionMatch=NotOlderThan and "
			    "allowWatchBookmarks=true");
	w->all_first = w->say_so = true;
	return 0;
}

void
watch_start(struct call *c, const struct selection *sel)
{
	int64_t seconds = call_int(c, "timeoutSeconds", LONGEST_SECONDS);
	struct timeval end = { .tv_sec = seconds > 0 && seconds < LONGEST_SECONDS
					     ? seconds
					     : LONGEST_SECONDS };
	struct timeval tick = { .tv_sec = BOOKMARK_SECONDS };
	struct watch *w = xcalloc(1, sizeof *w);
	cleanup_error struct error *e = NULL;

	w->call = c;
	w->sel = *sel;
	c->state = w;
	c->state_free = watch_free;
	if (read_options(w, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	printer_init(&w->printer, c);
	w->deadline = event_new(c->api->base, -1, 0, on_deadline, w);
	event_add(w->deadline, &end);
	if (w->bookmarks) {
		w->tick = event_new(c->api->base, -1, EV_PERSIST, on_tick, w);
		event_add(w->tick, &tick);
	}
	c->on_change = on_change;
	c->answered = true;
	http_stream(c->req, 200, "application/json", watch_pull);
}

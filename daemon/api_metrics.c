/* api_metrics.c -- metrics.k8s.io/v1beta1: what pods and nodes use now, for `top`.
 *
 * Nobody counts while nobody asks.  The hand gives counters; the first to ask for a while
 * waits for a second look, a second after the first, and who asks soon after that is
 * answered from what was kept.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/now.h"
#include "api_call.h"
#include "metrics.h"
#include <event2/event.h>
#include <string.h>

#define SECOND 1000000000LL
enum { LOOK_OLD_SECONDS = 30 };

struct asking {
	struct call *call;
	const struct usage_seen *first;
	struct event *later;
	bool nodes, one; /* one: of the name in the path */
};

/* What was asked for, and how it is wanted. */
static void
print_head(const struct printer *p, bool nodes, struct buf *b)
{
	if (p->form == FORM_TABLE)
		buf_addf(b,
			 "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\","
			 "\"metadata\":{},\"columnDefinitions\":["
			 "{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\","
			 "\"description\":\"Name of the resource\",\"priority\":0},"
			 "{\"name\":\"cpu\",\"type\":\"string\",\"format\":\"quantity\","
			 "\"description\":\"\",\"priority\":0},"
			 "{\"name\":\"memory\",\"type\":\"string\",\"format\":\"quantity\","
			 "\"description\":\"\",\"priority\":0},"
			 "{\"name\":\"Window\",\"type\":\"string\",\"format\":\"duration\","
			 "\"description\":\"\",\"priority\":0}],\"rows\":[",
			 p->table_version);
	else
		buf_addf(b,
			 "{\"kind\":\"%sMetricsList\",\"apiVersion\":\"metrics.k8s.io/v1beta1\""
			 ",\"metadata\":{},\"items\":[",
			 nodes ? "Node" : "Pod");
}

static void
print_one(const struct printer *p, const struct metrics *m, const struct object *o,
	  struct buf *b)
{
	if (p->form == FORM_TABLE)
		metrics_row(m, o, b);
	else
		metrics_print(m, o, b);
}

static void
answer_list(const struct asking *a, const struct metrics *m)
{
	struct call *c = a->call;
	cleanup_error struct error *e = NULL;
	struct selection sel;
	struct objects all;
	struct printer p;
	struct buf b = { 0 };
	size_t n = 0;

	if (selection_read(&sel, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	printer_init(&p, c);
	print_head(&p, a->nodes, &b);
	all = selection_slice(&sel, c);
	for (size_t i = 0; i < all.n; i++) {
		if (!selection_has(&sel, c->res, all.at[i], &c->arena) ||
		    (!a->nodes && !metrics_has(m, all.at[i])))
			continue;
		if (n++)
			buf_addc(&b, ',');
		print_one(&p, m, all.at[i], &b);
	}
	buf_adds(&b, "]}");
	call_json(c, 200, &b);
}

static void
answer_one(const struct asking *a, const struct metrics *m)
{
	struct call *c = a->call;
	const struct object *o = store_find(c->api->store, c->res->id, c->ns, c->name);
	struct printer p;
	struct buf b = { 0 };

	if (!o || (!a->nodes && !metrics_has(m, o))) {
		call_refuse(c, WHY_NOT_FOUND, "%smetrics.metrics.k8s.io \"%s%s%s\" not found",
			    a->nodes ? "node" : "pod", c->ns, *c->ns ? "/" : "", c->name);
		return;
	}
	printer_init(&p, c);
	if (p.form == FORM_TABLE)
		print_head(&p, a->nodes, &b);
	print_one(&p, m, o, &b);
	if (p.form == FORM_TABLE)
		buf_adds(&b, "]}");
	call_json(c, 200, &b);
}

static const struct usage_seen *
look_read(const char *json, struct arena *a)
{
	struct complaints cs = { .arena = a };
	const struct tree *t = json_read(json, strlen(json), a, &cs);

	return t ? schema_decode(usage_seen_kind(), t, SCHEMA_TRUSTED, a, &cs) : NULL;
}

/* Those kept are a second apart at least, so that the older one is always a baseline. */
static void
look_keep(struct api *a, const char *json, int64_t at)
{
	if (a->looks[0].json && at - a->looks[0].at < SECOND)
		return;
	free(a->looks[1].json);
	a->looks[1] = a->looks[0];
	a->looks[0].json = xstrdup(json);
	a->looks[0].at = at;
}

/* The youngest that is a second old, or will be soonest; NULL: there is none of use. */
static const char *
look_before(const struct api *a, int64_t now, int64_t *ret_age)
{
	int i = now - a->looks[0].at < SECOND && a->looks[1].json ? 1 : 0;

	i = i && now - a->looks[i].at > LOOK_OLD_SECONDS * SECOND ? 0 : i;
	*ret_age = now - a->looks[i].at;
	return *ret_age <= LOOK_OLD_SECONDS * SECOND ? a->looks[i].json : NULL;
}

static void
ask_later(struct asking *a, int64_t ns)
{
	struct timeval wait = { .tv_sec = ns / SECOND, .tv_usec = ns % SECOND / 1000 + 1000 };

	event_add(a->later, &wait);
}

static void
on_look(struct call *c, const struct error *e, const char *json)
{
	struct asking *a = c->state;
	const struct usage_seen *seen = json ? look_read(json, &c->arena) : NULL;
	struct metrics m = { a->first, seen, call_now(c) };

	if (e || !seen) {
		call_fail(c, e);
		return;
	}
	if (!a->first) {
		a->first = seen;
		look_keep(c->api, json, seen->at);
		ask_later(a, SECOND);
		return;
	}
	if (a->one)
		answer_one(a, &m);
	else
		answer_list(a, &m);
	look_keep(c->api, json, seen->at);
}

static void
ask(struct asking *a)
{
	struct call *c = a->call;
	cleanup_error struct error *e = NULL;

	c->on_answer = on_look;
	if (c->api->host.usage(c->api->host.ctx, call_ask(c), &e) < 0)
		call_fail(c, e);
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask(arg);
}

static void
asking_free(void *p)
{
	struct asking *a = p;

	event_free(a->later);
	free(a);
}

static void
metrics_ask(struct call *c, bool nodes)
{
	cleanup_error struct error *e = NULL;
	struct selection sel;
	const char *before;
	struct asking *a;
	int64_t age;

	c->res = &resources[nodes ? RES_node : RES_pod];
	if (selection_read(&sel, c, &e) < 0) {
		call_fail(c, e);
		return;
	}
	if (!c->api->host.usage) {
		call_refuse(c, WHY_UNABLE, "nobody here counts what is used");
		return;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct asking){ .call = c, .nodes = nodes, .one = *c->name };
	a->later = event_new(c->api->base, -1, 0, on_later, a);
	c->state = a;
	c->state_free = asking_free;
	before = look_before(c->api, monotonic_ms() * 1000000, &age);
	if (before)
		a->first = look_read(before, &c->arena);
	if (a->first && age < SECOND)
		ask_later(a, SECOND - age);
	else
		ask(a);
}

void
metrics_pods(struct call *c)
{
	metrics_ask(c, false);
}

void
metrics_nodes(struct call *c)
{
	metrics_ask(c, true);
}

/* cli_pod.c -- a pod's output, its end, and what happened to anything. */
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include "cli_source.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* ---- logs ---- */

static bool
on_log(void *ctx, const char *bytes, size_t n)
{
	FILE *out = ctx;

	return fwrite(bytes, 1, n, out) == n && !fflush(out);
}

int
cli_logs(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf path = { 0 };
	const char *container = cli_opt(c, OPT_container), *since = cli_opt(c, OPT_since);
	const char *tail = cli_opt(c, OPT_tail), *pod = cli_pod(c, c->args[0], e);

	if (!pod)
		return -1;
	if (!container && c->n > 1)
		container = c->args[1];
	if (!container)
		container = cli_container(c, NULL, pod, e);
	if (!container)
		return -1;
	buf_addf(&path, "%s/log", cli_url(c, &resources[RES_pod], pod));
	cli_query(&path, "container", container);
	if (cli_opt(c, OPT_follow))
		cli_query(&path, "follow", "true");
	if (cli_opt(c, OPT_previous))
		cli_query(&path, "previous", "true");
	if (cli_opt(c, OPT_timestamps))
		cli_query(&path, "timestamps", "true");
	if (tail && tail[strspn(tail, "0123456789")])
		return fail(e, WHY_BAD_REQUEST, "--tail takes a number of lines, not \"%s\"",
			    tail);
	if (tail)
		cli_query(&path, "tailLines", tail);
	if (since && cli_duration(since) < 0)
		return fail(e, WHY_BAD_REQUEST,
			    "--since takes a time such as 30s or 5m, not \"%s\"", since);
	if (since)
		cli_query(&path, "sinceSeconds",
			  arena_printf(c->arena, "%" PRId64, cli_duration(since) / 1000));
	return cli_stream(c, path.at, "text/plain, */*", on_log, c->out, e);
}

/* ---- delete ---- */

/* Until the name is free, or stands for another object. */
static int
wait_gone(struct cli_call *c, const struct cli_target *t, const char *uid, struct error **e)
{
	for (;;) {
		cleanup_error struct error *why = NULL;
		json_t *o = cli_json(c, "GET", cli_url(c, t->res, t->name), NULL, NULL, &why);
		bool there = o && !strcmp(cli_at(c, o, "metadata.uid"), uid);

		json_decref(o);
		if (!o && why->why != WHY_NOT_FOUND)
			return fail_with(e, &why);
		if (!there)
			return 0;
		cli_sleep(100);
	}
}

static int
delete_one(struct cli_call *c, const struct cli_target *t, const char *body,
	   const char **ret_uid, struct error **e)
{
	const char *url = cli_url(c, t->res, t->name);
	json_t *o = cli_json(c, "GET", url, NULL, NULL, e);

	if (!o)
		return -1;
	*ret_uid = cli_at(c, o, "metadata.uid");
	json_decref(o);
	o = cli_json(c, "DELETE", url, NULL, body, e);
	if (!o)
		return -1;
	json_decref(o);
	fprintf(c->out, "%s%s%s \"%s\" deleted\n", t->res->singular, *t->res->group ? "." : "",
		t->res->group, t->name);
	fflush(c->out);
	return 0;
}

int
cli_delete(struct cli_call *c, struct error **e)
{
	const char *grace = cli_opt(c, OPT_grace_period);
	char *end = NULL;
	int64_t seconds = grace ? strtoll(grace, &end, 10) : 0;
	const char *body =
	    grace ? arena_printf(c->arena, "{\"gracePeriodSeconds\":%" PRId64 "}", seconds)
		  : "{}";
	struct cli_target *at;
	const char **uids;
	size_t n;

	if (grace && (end == grace || *end || seconds < 0))
		return fail(e, WHY_BAD_REQUEST, "--grace-period takes seconds, not \"%s\"",
			    grace);
	if (cli_targets(c, &at, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!at[i].name)
			return fail(e, WHY_BAD_REQUEST,
				    "which %s?  kedge delete %s NAME, or KIND/NAME",
				    at[i].res->singular, at[i].res->singular);
	uids = arena_zalloc(c->arena, n * sizeof *uids + 1);
	for (size_t i = 0; i < n; i++)
		if (delete_one(c, &at[i], body, &uids[i], e) < 0)
			return -1;
	for (size_t i = 0; i < n && !cli_opt(c, OPT_no_wait); i++)
		if (wait_gone(c, &at[i], uids[i], e))
			return -1;
	return 0;
}

/* ---- events ---- */

/* The first of these fields that says something; the last always does. */
static const char *
first_time(json_t *ev, const char *const *fields)
{
	for (; *fields; fields++) {
		json_t *v = cli_path(ev, *fields);

		if (json_is_string(v))
			return json_string_value(v);
	}
	return "";
}

static const char *
event_time(json_t *ev)
{
	static const char *const fields[] = { "series.lastObservedTime",
					      "lastTimestamp",
					      "eventTime",
					      "firstTimestamp",
					      "metadata.creationTimestamp",
					      NULL };

	return first_time(ev, fields);
}

const char *
cli_event_age(struct cli_call *c, json_t *ev)
{
	static const char *const begins[] = { "firstTimestamp", "eventTime",
					      "metadata.creationTimestamp", NULL };
	const char *count = cli_at(c, ev, "series.count"),
		   *age = cli_age(c, c->now - cli_ms(event_time(ev)));

	if (!*count)
		count = cli_at(c, ev, "count");
	if (!*count || str_is(count, "1"))
		return age;
	return arena_printf(c->arena, "%s (x%s over %s)", age, count,
			    cli_age(c, c->now - cli_ms(first_time(ev, begins))));
}

static int
by_time(const void *a, const void *b)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

	const char *vx = json_string_value(cli_path(x, "metadata.resourceVersion"));
	const char *vy = json_string_value(cli_path(y, "metadata.resourceVersion"));
	int order = strcmp(event_time(x), event_time(y));

	/* Within a second the store's own count tells. */
	if (order || !vx || !vy)
		return order;
	order = (int)strlen(vx) - (int)strlen(vy);
	return order ? order : strcmp(vx, vy);
}

json_t **
cli_events_sorted(struct cli_call *c, json_t *list, size_t *ret_n)
{
	json_t *items = json_object_get(list, "items"), *ev;
	size_t n = json_array_size(items), i;
	json_t **at = arena_alloc(c->arena, n * sizeof *at + 1);

	json_array_foreach(items, i, ev)
		at[i] = ev;
	qsort(at, n, sizeof *at, by_time);
	*ret_n = n;
	return at;
}

static void
event_row(struct cli_call *c, struct cli_table *t, json_t *ev)
{
	const char *type = cli_at(c, ev, "type");
	const char *kind = cli_at(c, ev, "involvedObject.kind");
	char *lower = arena_strdup(c->arena, kind);
	const char *cells[6];
	size_t n = 0;

	for (char *p = lower; *p; p++)
		*p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
	if (t->cols == 6)
		cells[n++] = cli_at(c, ev, "metadata.namespace");
	cells[n++] = cli_event_age(c, ev);
	cells[n++] = cli_paint(c, strcmp(type, "Warning") ? "0" : YELLOW, type);
	cells[n++] = cli_at(c, ev, "reason");
	cells[n++] =
	    arena_printf(c->arena, "%s/%s", lower, cli_at(c, ev, "involvedObject.name"));
	cells[n++] = cli_at(c, ev, "message");
	cli_table_row(t, cells);
}

static void
start_table(struct cli_call *c, struct cli_table *t)
{
	static const char *const header[] = { "NAMESPACE", "LAST SEEN", "TYPE",
					      "REASON",    "OBJECT",    "MESSAGE" };
	bool all = cli_opt(c, OPT_all_namespaces) != NULL;

	*t = (struct cli_table){ .arena = c->arena, .cols = all ? 6 : 5 };
	cli_table_row(t, header + !all);
}

struct following {
	struct cli_call *c;
	size_t *widths;
};

static bool
on_event(void *ctx, const char *type, json_t *ev)
{
	struct following *f = ctx;
	struct cli_table t;

	if (!strcmp(type, "DELETED"))
		return true;
	if (cli_print_json(f->c, ev))
		return !fflush(f->c->out);
	f->c->now = now_ms();
	start_table(f->c, &t);
	event_row(f->c, &t, ev);
	cli_table_widths(&t, f->widths);
	cli_table_print_row(&t, 1, f->widths, f->c->out);
	return !fflush(f->c->out);
}

int
cli_events(struct cli_call *c, struct error **e)
{
	const char *path = cli_url(c, &resources[RES_event], NULL), *version;
	json_t *list = cli_json(c, "GET", path, NULL, NULL, e);
	size_t n, i, widths[6] = { 0 };
	struct following f = { c, widths };
	struct cli_table t;
	json_t **at;

	if (!list)
		return -1;
	version = cli_at(c, list, "metadata.resourceVersion");
	at = cli_events_sorted(c, list, &n);
	if (!cli_print_json(c, list)) {
		start_table(c, &t);
		for (i = 0; i < n; i++)
			event_row(c, &t, at[i]);
		cli_table_widths(&t, widths);
		if (n || cli_opt(c, OPT_watch))
			for (i = 0; i < t.rows; i++)
				cli_table_print_row(&t, i, widths, c->out);
		else
			fprintf(stderr, "No events found%s%s%s.\n",
				cli_opt(c, OPT_all_namespaces) ? "" : " in ",
				cli_opt(c, OPT_all_namespaces) ? "" : cli_namespace(c),
				cli_opt(c, OPT_all_namespaces) ? "" : " namespace");
	}
	json_decref(list);
	if (!cli_opt(c, OPT_watch))
		return 0;
	fflush(c->out);
	return cli_watch(
	    c, arena_printf(c->arena, "%s?watch=true&resourceVersion=%s", path, version), NULL,
	    on_event, &f, e);
}

/* cli_describe.c -- everything about an object, for people: kubectl's sections and words.
 *
 * A kind is a list of rows: a label, how to show it, and where it lies.  Kinds
 * without a list of their own get the first few rows and the rest as YAML.
 */
#include "cli_describe.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum how { TEXT, WHEN, MAP, SELECTOR, FN };

struct row {
	const char *label;
	enum how how;
	const char *path;
	void (*fn)(struct sheet *, const char *label);
};

const char *
sheet_at(struct sheet *s, const char *path)
{
	return cli_at(s->c, s->obj, path);
}

static const char *
or_none(const char *text)
{
	return *text ? text : "<none>";
}

/* The lines of a text stand below each other. */
void
sheet_put(struct sheet *s, const char *label, const char *value)
{
	cleanup_free char *name = NULL;

	xasprintf(&name, "%s%s", label, *label ? ":" : "");
	fprintf(s->c->out, "%*s%-*s", s->indent, "", s->width, name);
	for (;; fprintf(s->c->out, "%*s", s->indent + s->width, "")) {
		size_t n = strcspn(value, "\n");

		fprintf(s->c->out, "%.*s\n", (int)n, value);
		value += n;
		if (!*value || !*++value)
			break;
	}
}

void
sheet_title(struct sheet *s, const char *label)
{
	fprintf(s->c->out, "%*s%s:\n", s->indent, "", label);
}

/* "Fri, 20 Nov 2026 11:08:42 +0000" */
const char *
sheet_when(struct cli_call *c, const char *rfc3339)
{
	char text[64];
	time_t t = cli_ms(rfc3339) / 1000;
	struct tm tm;

	if (!*rfc3339)
		return "<none>";
	localtime_r(&t, &tm);
	strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z", &tm);
	return arena_strdup(c->arena, text);
}

/* One line a pair; kubectl's own record and ours are for machines. */
static void
put_map(struct sheet *s, const char *label, json_t *map)
{
	const char *key;
	json_t *v;
	bool any = false;

	json_object_foreach(map, key, v) {
		if (strstr(key, "last-applied-configuration"))
			continue;
		sheet_put(s, any ? "" : label,
			  arena_printf(s->c->arena,
				       strchr(label, 'A') == label ? "%s: %s" : "%s=%s", key,
				       json_string_value(v)));
		any = true;
	}
	if (!any)
		sheet_put(s, label, "<none>");
}

static const char *
selector_of(struct sheet *s, json_t *map)
{
	return or_none(cli_pairs(s->c, map));
}

const char *
sheet_words(struct sheet *s, json_t *list, const char *between)
{
	cleanup_buf struct buf text = { 0 };
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		buf_addf(&text, "%s%s", i ? between : "", json_string_value(v));
	return arena_strdup(s->c->arena, buf_text(&text));
}

static void
widen(struct sheet *s, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((int)strlen(rows[i].label) + 3 > s->width)
			s->width = strlen(rows[i].label) + 3;
}

static void
put_rows(struct sheet *s, const struct row *rows, size_t n)
{
	const int width = s->width;

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];

		s->width = width;
		s->indent = 0;
		if (r->how == FN)
			r->fn(s, r->label);
		else if (r->how == MAP)
			put_map(s, r->label, cli_path(s->obj, r->path));
		else if (r->how == SELECTOR)
			sheet_put(s, r->label, selector_of(s, cli_path(s->obj, r->path)));
		else if (r->how == WHEN)
			sheet_put(s, r->label, sheet_when(s->c, sheet_at(s, r->path)));
		else
			sheet_put(s, r->label, or_none(sheet_at(s, r->path)));
	}
}

/* ---- parts that several kinds have ---- */

void
sheet_table(struct sheet *s, const struct cli_table *t, int indent)
{
	size_t *widths = arena_zalloc(s->c->arena, t->cols * sizeof *widths);

	cli_table_widths(t, widths);
	for (size_t r = 0; r < t->rows; r++) {
		fprintf(s->c->out, "%*s", indent, "");
		cli_table_print_row(t, r, widths, s->c->out);
	}
}

static void
conditions(struct sheet *s, const char *label)
{
	static const char *const header[] = { "Type", "Status", "Reason", "Message" };
	static const char *const rule[] = { "----", "------", "------", "-------" };
	struct cli_table t = { .arena = s->c->arena, .cols = 4 };
	json_t *list = cli_path(s->obj, "status.conditions"), *cond;
	size_t i;

	if (!json_array_size(list))
		return;
	sheet_title(s, label);
	cli_table_row(&t, header);
	cli_table_row(&t, rule);
	json_array_foreach(list, i, cond) {
		const char *cells[] = { cli_at(s->c, cond, "type"),
					cli_at(s->c, cond, "status"),
					cli_at(s->c, cond, "reason"),
					cli_at(s->c, cond, "message") };

		cli_table_row(&t, cells);
	}
	sheet_table(s, &t, 2);
}

static void
controlled_by(struct sheet *s, const char *label)
{
	json_t *owner;
	size_t i;

	json_array_foreach(cli_path(s->obj, "metadata.ownerReferences"), i, owner)
		if (json_is_true(json_object_get(owner, "controller")))
			sheet_put(s, label,
				  arena_printf(s->c->arena, "%s/%s",
					       cli_at(s->c, owner, "kind"),
					       cli_at(s->c, owner, "name")));
}

/* ---- kinds ---- */

static void
replicas(struct sheet *s, const char *label)
{
	static const char *const paths[] = { "spec.replicas", "status.updatedReplicas",
					     "status.replicas", "status.availableReplicas",
					     "status.unavailableReplicas" };
	static const char *const words[] = { "desired", "updated", "total", "available",
					     "unavailable" };
	cleanup_buf struct buf text = { 0 };

	for (size_t i = 0; i < 5; i++)
		buf_addf(&text, "%s%s %s", i ? " | " : "",
			 *sheet_at(s, paths[i]) ? sheet_at(s, paths[i]) : "0", words[i]);
	sheet_put(s, label, text.at);
}

static void
rolling(struct sheet *s, const char *label)
{
	if (cli_path(s->obj, "spec.strategy.rollingUpdate"))
		sheet_put(
		    s, label,
		    arena_printf(s->c->arena, "%s max unavailable, %s max surge",
				 sheet_at(s, "spec.strategy.rollingUpdate.maxUnavailable"),
				 sheet_at(s, "spec.strategy.rollingUpdate.maxSurge")));
}

static void
rs_replicas(struct sheet *s, const char *label)
{
	sheet_put(
	    s, label,
	    arena_printf(s->c->arena, "%s current / %s desired",
			 *sheet_at(s, "status.replicas") ? sheet_at(s, "status.replicas") : "0",
			 sheet_at(s, "spec.replicas")));
}

static void
template_of(struct sheet *s, const char *label)
{
	sheet_title(s, label);
	s->indent = 2;
	sheet_put(s, "Labels",
		  selector_of(s, cli_path(s->obj, "spec.template.metadata.labels")));
	s->indent = 0;
	sheet_containers(s, "  Containers");
}

/* Sets that a deployment owns, as kubectl tells of them: all but the one of its newest
 * revision, or that one alone. */
static const char *
sets_text(struct sheet *s, json_t *list, bool newest)
{
	static const char key[] = "deployment.kubernetes.io/revision";
	json_t *ours = json_object_get(cli_path(s->obj, "metadata.annotations"), key), *rs;
	const char *uid = sheet_at(s, "metadata.uid");
	cleanup_buf struct buf text = { 0 };
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, rs) {
		json_t *its = json_object_get(cli_path(rs, "metadata.annotations"), key);
		const char *made = cli_at(s->c, rs, "status.replicas");

		if (str_is(cli_at(s->c, rs, "metadata.ownerReferences.0.uid"), uid) &&
		    json_equal(its, ours) == newest)
			buf_addf(&text, "%s%s (%s/%s replicas created)", text.len ? ", " : "",
				 cli_at(s->c, rs, "metadata.name"), *made ? made : "0",
				 cli_at(s->c, rs, "spec.replicas"));
	}
	return arena_strdup(s->c->arena, text.len ? text.at : "<none>");
}

static void
replica_sets(struct sheet *s, const char *label)
{
	struct error *ignored = NULL;
	json_t *list = cli_json(s->c, "GET", cli_url(s->c, &resources[RES_replica_set], NULL),
				NULL, NULL, &ignored);

	(void)label;
	sheet_put(s, "OldReplicaSets", sets_text(s, list, false));
	sheet_put(s, "NewReplicaSet", sets_text(s, list, true));
	json_decref(list);
	error_free(&ignored);
}

static void
node_roles(struct sheet *s, const char *label)
{
	cleanup_buf struct buf text = { 0 };
	const char *key;
	json_t *v;

	json_object_foreach(cli_path(s->obj, "metadata.labels"), key, v)
		if (!strncmp(key, "node-role.kubernetes.io/", 24))
			buf_addf(&text, "%s%s", text.len ? "," : "", key + 24);
	sheet_put(s, label, text.len ? text.at : "<none>");
}

static void
node_facts(struct sheet *s, const char *label)
{
	static const char *const parts[][2] = { { "Capacity", "status.capacity" },
						{ "Allocatable", "status.allocatable" },
						{ "System Info", "status.nodeInfo" } };
	json_t *address;
	size_t i;

	sheet_title(s, label);
	json_array_foreach(cli_path(s->obj, "status.addresses"), i, address)
		fprintf(s->c->out, "  %-12s %s\n",
			arena_printf(s->c->arena, "%s:", cli_at(s->c, address, "type")),
			cli_at(s->c, address, "address"));
	for (i = 0; i < 3; i++) {
		const char *key;
		json_t *v;

		sheet_title(s, parts[i][0]);
		json_object_foreach(cli_path(s->obj, parts[i][1]), key, v)
			fprintf(s->c->out, "  %-26s %s\n",
				arena_printf(s->c->arena, "%s:", key),
				json_string_value(v) ? json_string_value(v) : "");
	}
}

static void
node_pods(struct sheet *s, const char *label)
{
	static const char *const header[] = { "Namespace", "Name", "Status", "Age" };
	struct cli_table t = { .arena = s->c->arena, .cols = 4 };
	struct error *ignored = NULL;
	json_t *list = cli_json(s->c, "GET", "/api/v1/pods", NULL, NULL, &ignored), *pod;
	size_t i;

	cli_table_row(&t, header);
	json_array_foreach(json_object_get(list, "items"), i, pod) {
		const char *phase = cli_at(s->c, pod, "status.phase");
		const char *cells[] = {
			cli_at(s->c, pod, "metadata.namespace"),
			cli_at(s->c, pod, "metadata.name"), phase,
			cli_age(s->c, s->c->now - cli_ms(cli_at(
						      s->c, pod, "metadata.creationTimestamp")))
		};

		if (str_is(cli_at(s->c, pod, "spec.nodeName"), sheet_at(s, "metadata.name")) &&
		    !str_is(phase, "Succeeded") && !str_is(phase, "Failed"))
			cli_table_row(&t, cells);
	}
	fprintf(s->c->out, "%s:  (%zu in total)\n", label, t.rows - 1);
	sheet_table(s, &t, 2);
	json_decref(list);
	error_free(&ignored);
}

static void
data_of(struct sheet *s, const char *label)
{
	bool secret = str_is(sheet_at(s, "kind"), "Secret");
	const char *key;
	json_t *v;

	fprintf(s->c->out, "\n%s\n====\n", label);
	json_object_foreach(cli_path(s->obj, "data"), key, v) {
		const char *text = json_string_value(v);
		size_t n = strlen(text);

		if (secret) /* its length, never itself */
			fprintf(s->c->out, "%s:  %zu bytes\n", key,
				n / 4 * 3 - (n && text[n - 1] == '=') -
				    (n > 1 && text[n - 2] == '='));
		else
			fprintf(s->c->out, "%s:\n----\n%s\n\n", key, text);
	}
}

static void
rest_of(struct sheet *s, const char *label)
{
	json_t *copy = json_copy(s->obj);
	cleanup_buf struct buf text = { 0 };

	(void)label;
	json_object_del(copy, "metadata");
	json_object_del(copy, "kind");
	json_object_del(copy, "apiVersion");
	if (json_object_size(copy)) {
		cli_yaml(copy, &text);
		fputs(text.at, s->c->out);
	}
	json_decref(copy);
}

#define T(l, p)                  \
	{                        \
		l, TEXT, p, NULL \
	}
#define F(l, f)                \
	{                      \
		l, FN, NULL, f \
	}
static const struct row head[] = {
	T("Name", "metadata.name"),
	T("Namespace", "metadata.namespace"),
	{ "Labels", MAP, "metadata.labels", NULL },
	{ "Annotations", MAP, "metadata.annotations", NULL },
};
static const struct row pod_rows[] = {
	F("Node", sheet_pod_node),
	{ "Start Time", WHEN, "status.startTime", NULL },
	F("Status", sheet_pod_phase),
	T("IP", "status.podIP"),
	F("Controlled By", controlled_by),
	F("Containers", sheet_containers),
	F("Conditions", conditions),
	F("Volumes", sheet_volumes),
	T("QoS Class", "status.qosClass"),
	{ "Node-Selectors", SELECTOR, "spec.nodeSelector", NULL },
};
static const struct row deployment_rows[] = {
	{ "CreationTimestamp", WHEN, "metadata.creationTimestamp", NULL },
	{ "Selector", SELECTOR, "spec.selector.matchLabels", NULL },
	F("Replicas", replicas),
	T("StrategyType", "spec.strategy.type"),
	T("MinReadySeconds", "spec.minReadySeconds"),
	F("RollingUpdateStrategy", rolling),
	F("Pod Template", template_of),
	F("Conditions", conditions),
	F("", replica_sets),
};
static const struct row rs_rows[] = {
	{ "Selector", SELECTOR, "spec.selector.matchLabels", NULL },
	F("Controlled By", controlled_by),
	F("Replicas", rs_replicas),
	F("Pod Template", template_of),
};
static const struct row service_rows[] = {
	{ "Selector", SELECTOR, "spec.selector", NULL },
	T("Type", "spec.type"),
	F("", sheet_service_families),
	T("IP", "spec.clusterIP"),
	F("", sheet_service_outside),
	F("Port", sheet_service_ports),
	T("Session Affinity", "spec.sessionAffinity"),
	F("LoadBalancer Source Ranges", sheet_service_policies), /* the widest of its lines */
	F("EndpointSlices", sheet_service_endpoints),
};
static const struct row node_rows[] = {
	F("Roles", node_roles),
	{ "CreationTimestamp", WHEN, "metadata.creationTimestamp", NULL },
	F("Conditions", conditions),
	F("Addresses", node_facts),
	T("PodCIDR", "spec.podCIDR"),
	F("Non-terminated Pods", node_pods),
};
static const struct row config_rows[] = { F("Data", data_of) };
static const struct row secret_rows[] = { T("Type", "type"), F("Data", data_of) };
static const struct row other_rows[] = { F("", rest_of) };

#define SHEET(id, rows)                              \
	{                                            \
		id, rows, sizeof rows / sizeof *rows \
	}
static const struct {
	enum resource_id id;
	const struct row *rows;
	size_t n;
} sheets[] = {
	SHEET(RES_pod, pod_rows),        SHEET(RES_deployment, deployment_rows),
	SHEET(RES_replica_set, rs_rows), SHEET(RES_service, service_rows),
	SHEET(RES_node, node_rows),      SHEET(RES_config_map, config_rows),
	SHEET(RES_secret, secret_rows),
};

/* ---- events, and the whole ---- */

static void
events(struct sheet *s)
{
	static const char *const header[] = { "Type", "Reason", "Age", "From", "Message" };
	static const char *const rule[] = { "----", "------", "----", "----", "-------" };
	struct cli_table t = { .arena = s->c->arena, .cols = 5 };
	struct error *ignored = NULL;
	const char *ns = sheet_at(s, "metadata.namespace");
	const char *path =
	    arena_printf(s->c->arena,
			 "/api/v1%s%s/events?fieldSelector=involvedObject.name%%3D%s"
			 "%%2CinvolvedObject.uid%%3D%s",
			 *ns ? "/namespaces/" : "", ns, sheet_at(s, "metadata.name"),
			 sheet_at(s, "metadata.uid"));
	json_t *list = cli_json(s->c, "GET", path, NULL, NULL, &ignored), **at;
	size_t n;

	cli_table_row(&t, header);
	cli_table_row(&t, rule);
	at = cli_events_sorted(s->c, list, &n);
	for (size_t i = 0; i < n; i++) {
		json_t *ev = at[i];
		const char *from = cli_at(s->c, ev, "source.component");
		const char *cells[] = { cli_at(s->c, ev, "type"), cli_at(s->c, ev, "reason"),
					cli_event_age(s->c, ev),
					*from ? from : cli_at(s->c, ev, "reportingComponent"),
					cli_at(s->c, ev, "message") };

		cli_table_row(&t, cells);
	}
	fprintf(s->c->out, "Events:%s\n", t.rows > 2 ? "" : "  <none>");
	if (t.rows > 2)
		sheet_table(s, &t, 2);
	json_decref(list);
	error_free(&ignored);
}

static void
describe(struct cli_call *c, const struct resource *res, json_t *obj)
{
	struct sheet s = { .c = c, .obj = obj };
	const struct row *rows = other_rows;
	size_t n = 1;

	for (size_t i = 0; i < sizeof sheets / sizeof *sheets; i++)
		if (sheets[i].id == res->id) {
			rows = sheets[i].rows;
			n = sheets[i].n;
		}
	widen(&s, head, sizeof head / sizeof *head);
	widen(&s, rows, n);
	put_rows(&s, head, 1);
	put_rows(&s, head + (res->namespaced ? 1 : 2), res->namespaced ? 3 : 2);
	put_rows(&s, rows, n);
	events(&s);
}

int
cli_describe(struct cli_call *c, struct error **e)
{
	const char *labels = cli_opt(c, OPT_selector);
	struct cli_target *t;
	size_t n;

	if (cli_targets(c, &t, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		cleanup_buf struct buf path = { 0 };
		json_t *j, *item, *items;
		size_t k;

		buf_adds(&path, cli_url(c, t[i].res, t[i].name));
		if (labels && !t[i].name)
			cli_query(&path, "labelSelector", labels);
		j = cli_json(c, "GET", path.at, NULL, NULL, e);
		if (!j)
			return -1;
		items =
		    t[i].name ? json_pack("[O]", j) : json_incref(json_object_get(j, "items"));
		json_array_foreach(items, k, item) {
			if (i || k)
				fputs("\n\n", c->out);
			if (!json_object_get(item, "kind"))
				json_object_set_new(item, "kind", json_string(t[i].res->kind));
			describe(c, t[i].res, item);
		}
		json_decref(items);
		json_decref(j);
	}
	return 0;
}

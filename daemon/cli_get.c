/* cli_get.c -- lists, as the server's tables have them, and single objects. */
#include "../reconcile/object.h"
#include "cli.h"
#include <ctype.h>
#include <string.h>

struct listing {
	struct cli_call *c;
	const struct resource *res;
	bool wide, several; /* several kinds: names carry theirs */
	bool headers;       /* still to be printed */
	size_t *widths, cols;
	size_t
	    *shown; /* which of the server's columns; cols of them, less namespace and labels */
	size_t nshown;
	const char **names; /* their headings: a watch tells them with its first event only */
	char version[32];
	size_t nasked;       /* of all kinds */
	struct buf *missing; /* what is said of those that are not there */
};

static const char *
kind_prefix(const struct listing *l)
{
	const struct resource *r = l->res;

	return arena_printf(l->c->arena, "%s%s%s/", r->singular, *r->group ? "." : "",
			    r->group);
}

static const char *
path_of(struct cli_call *c, const struct cli_target *t, const char *version)
{
	cleanup_buf struct buf path = { 0 };
	const char *labels = cli_opt(c, OPT_selector);

	/* A watch goes to the collection, even of one object. */
	buf_adds(&path, cli_url(c, t->res, version ? NULL : t->name));
	if (labels && !t->name)
		cli_query(&path, "labelSelector", labels);
	if (version) {
		cli_query(&path, "watch", "true");
		cli_query(&path, "resourceVersion", version);
		if (t->name)
			cli_query(&path, "fieldSelector",
				  arena_printf(c->arena, "metadata.name=%s", t->name));
	}
	return arena_strdup(c->arena, path.at);
}

/* ---- tables ---- */

static void
choose_columns(struct listing *l, json_t *table)
{
	json_t *columns = json_object_get(table, "columnDefinitions"), *col;
	size_t i;

	l->nshown = 0;
	l->shown = arena_zalloc(l->c->arena, (json_array_size(columns) + 1) * sizeof *l->shown);
	json_array_foreach(columns, i, col)
		if (l->wide || !json_integer_value(json_object_get(col, "priority")))
			l->shown[l->nshown++] = i;
	l->names = arena_zalloc(l->c->arena, (l->nshown + 1) * sizeof *l->names);
	for (i = 0; i < l->nshown; i++) {
		const char *name = json_string_value(
		    json_object_get(json_array_get(columns, l->shown[i]), "name"));
		char *upper = arena_strdup(l->c->arena, name ? name : "");

		for (char *p = upper; *p; p++)
			*p = toupper((unsigned char)*p);
		l->names[i] = upper;
	}
	l->cols = l->nshown + 2; /* namespace, labels: "" and dropped when not wanted */
	l->widths = arena_zalloc(l->c->arena, l->cols * sizeof *l->widths);
}

static const char *
cell_text(struct cli_call *c, json_t *cell)
{
	cleanup_free char *text = NULL;

	if (json_is_string(cell))
		return arena_strdup(c->arena, json_string_value(cell));
	text = json_dumps(cell, JSON_ENCODE_ANY);
	return arena_strdup(c->arena, text && !json_is_null(cell) ? text : "<none>");
}

static const char *
labels_text(struct cli_call *c, json_t *labels)
{
	const char *text = cli_pairs(c, labels);

	return *text ? text : "<none>";
}

static void
fill_header(struct listing *l, const char **cells)
{
	size_t n = 0;

	if (cli_opt(l->c, OPT_all_namespaces) && l->res->namespaced)
		cells[n++] = "NAMESPACE";
	for (size_t i = 0; i < l->nshown; i++)
		cells[n++] = l->names[i];
	if (cli_opt(l->c, OPT_show_labels))
		cells[n++] = "LABELS";
	l->cols = n;
}

static void
fill_row(struct listing *l, json_t *row, const char **cells)
{
	size_t n = 0;

	if (cli_opt(l->c, OPT_all_namespaces) && l->res->namespaced)
		cells[n++] = cli_at(l->c, row, "object.metadata.namespace");
	for (size_t i = 0; i < l->nshown; i++) {
		cells[n] =
		    cell_text(l->c, json_array_get(json_object_get(row, "cells"), l->shown[i]));
		if (!i && l->several)
			cells[n] = arena_printf(l->c->arena, "%s%s", kind_prefix(l), cells[n]);
		n++;
	}
	if (cli_opt(l->c, OPT_show_labels))
		cells[n++] = labels_text(l->c, cli_path(row, "object.metadata.labels"));
}

static size_t
print_table(struct listing *l, json_t *table)
{
	json_t *rows = json_object_get(table, "rows"), *row;
	struct cli_table t = { .arena = l->c->arena };
	const char **cells;
	size_t i;

	if (!json_array_size(rows))
		return 0;
	if (!l->shown)
		choose_columns(l, table);
	cells = arena_zalloc(l->c->arena, (l->nshown + 2) * sizeof *cells);
	fill_header(l, cells);
	t.cols = l->cols;
	cli_table_row(&t, cells);
	json_array_foreach(rows, i, row) {
		fill_row(l, row, cells);
		cli_table_row(&t, cells);
	}
	cli_table_widths(&t, l->widths);
	for (size_t r = l->headers ? 0 : 1; r < t.rows; r++)
		cli_table_print_row(&t, r, l->widths, l->c->out);
	l->headers = false;
	return t.rows - 1;
}

static void
print_names(struct listing *l, json_t *table)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(table, "rows"), i, row)
		fprintf(l->c->out, "%s%s\n", kind_prefix(l),
			cli_at(l->c, row, "object.metadata.name"));
}

static bool
on_table_event(void *ctx, const char *type, json_t *object)
{
	struct listing *l = ctx;
	const char *format = cli_opt(l->c, OPT_output);

	if (!strcmp(type, "ERROR")) {
		fprintf(stderr, "kedge: %s\n", cli_at(l->c, object, "message"));
		return false;
	}
	if (format && !strcmp(format, "name"))
		print_names(l, object);
	else
		print_table(l, object);
	return !fflush(l->c->out);
}

/* As kubectl: of several that are named those that are there are shown, then each other has
 * its line.  Whatever else went wrong is *e, and the end. */
static bool
goes_on(size_t n, struct buf *missing, struct error **now, struct error **e)
{
	if (n < 2 || (*now)->why != WHY_NOT_FOUND) {
		fail_with(e, now);
		return false;
	}
	buf_addf(missing, "kedge: %s\n", error_text(*now));
	return true;
}

/* ---- whole objects ---- */

/* Who set which field is a long list that few ask for; kubectl hides it, too. */
static void
hide_managers(const struct cli_call *c, json_t *object)
{
	if (!cli_opt(c, OPT_show_managed_fields))
		json_object_del(json_object_get(object, "metadata"), "managedFields");
}

static bool
on_object_event(void *ctx, const char *type, json_t *object)
{
	struct listing *l = ctx;
	const char *format = cli_opt(l->c, OPT_output);

	if (!strcmp(type, "ERROR")) {
		fprintf(stderr, "kedge: %s\n", cli_at(l->c, object, "message"));
		return false;
	}
	if (!strcmp(format, "yaml"))
		fputs("---\n", l->c->out);
	hide_managers(l->c, object);
	cli_print_json(l->c, object);
	return !fflush(l->c->out);
}

static int
get_objects(struct cli_call *c, const struct cli_target *at, size_t n, struct error **e)
{
	json_t *all = json_pack("{s:s,s:s,s:[],s:{}}", "apiVersion", "v1", "kind", "List",
				"items", "metadata");
	bool single = n == 1 && at->name;
	cleanup_buf struct buf missing = { 0 };
	struct listing l = { .c = c };
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		cleanup_error struct error *now = NULL;
		json_t *j = cli_json(c, "GET", path_of(c, &at[i], NULL), NULL, NULL, &now);
		json_t *item;
		size_t k;

		if (!j) {
			rc = -1;
			if (!goes_on(n, &missing, &now, e))
				break;
			continue;
		}
		hide_managers(c, j);
		snprintf(l.version, sizeof l.version, "%s",
			 cli_at(c, j, "metadata.resourceVersion"));
		if (single)
			cli_print_json(c, j);
		else if (at[i].name)
			json_array_append(json_object_get(all, "items"), j);
		else
			json_array_foreach(json_object_get(j, "items"), k, item) {
				if (!json_object_get(item, "kind")) {
					json_object_set_new(item, "kind",
							    json_string(at[i].res->kind));
					json_object_set_new(
					    item, "apiVersion",
					    json_string(at[i].res->api_version));
				}
				hide_managers(c, item);
				json_array_append(json_object_get(all, "items"), item);
			}
		json_decref(j);
	}
	if (!single && !*e)
		cli_print_json(c, all);
	json_decref(all);
	fflush(c->out); /* before what is said of those that are not there */
	fputs(buf_text(&missing), stderr);
	if (!rc && cli_opt(c, OPT_watch))
		rc = cli_watch(c, path_of(c, at, l.version), NULL, on_object_event, &l, e);
	return rc;
}

/* ---- the command ---- */

static int
check_format(struct cli_call *c, struct error **e)
{
	static const char *const known[] = { "wide", "name", "json", "yaml" };
	const char *format = cli_opt(c, OPT_output);

	for (size_t i = 0; format && i < sizeof known / sizeof *known; i++)
		if (!strcmp(format, known[i]))
			return 0;
	return format ? fail(e, WHY_BAD_REQUEST,
			     "-o takes wide, name, json or yaml, not \"%s\"", format)
		      : 0;
}

/* Rows of all that is named of one kind, so that they align; -1 when one was not there. */
static int
fetch_rows(struct listing *l, const struct cli_target *t, size_t n, json_t **ret,
	   struct error **e)
{
	int rc = 0;

	*ret = NULL;
	for (size_t i = 0; i < n; i++) {
		cleanup_error struct error *now = NULL;
		json_t *one =
		    cli_json(l->c, "GET", path_of(l->c, &t[i], NULL), CLI_TABLE, NULL, &now);

		if (!one) {
			rc = -1;
			if (!goes_on(l->nasked, l->missing, &now, e))
				break;
			continue;
		}
		snprintf(l->version, sizeof l->version, "%s",
			 cli_at(l->c, one, "metadata.resourceVersion"));
		if (!*ret) {
			*ret = one;
			continue;
		}
		json_array_extend(json_object_get(*ret, "rows"), json_object_get(one, "rows"));
		json_decref(one);
	}
	return rc;
}

static int
get_table(struct listing *l, const struct cli_target *t, size_t n, size_t *shown,
	  struct error **e)
{
	const char *format = cli_opt(l->c, OPT_output);
	json_t *table;
	int rc = fetch_rows(l, t, n, &table, e);

	if (!table)
		return rc;
	if (format && !strcmp(format, "name")) {
		print_names(l, table);
		*shown += 1;
	} else {
		if (l->several && l->shown == NULL && *shown &&
		    json_array_size(json_object_get(table, "rows")))
			fputc('\n', l->c->out);
		*shown += print_table(l, table);
	}
	json_decref(table);
	return rc;
}

/* What kubectl says, on stderr as kubectl says it. */
static void
say_none(struct cli_call *c, const struct cli_target *t)
{
	if (cli_opt(c, OPT_all_namespaces) || !t->res->namespaced)
		fputs("No resources found\n", stderr);
	else
		fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(c));
}

int
cli_get(struct cli_call *c, struct error **e)
{
	const char *format = cli_opt(c, OPT_output);
	struct cli_target *at;
	cleanup_buf struct buf missing = { 0 };
	struct listing l = { .c = c,
			     .headers = !cli_opt(c, OPT_no_headers),
			     .missing = &missing };
	size_t n, shown = 0;
	bool mixed = false;
	int rc = 0;

	if (check_format(c, e) || cli_targets(c, &at, &n, e))
		return -1;
	if (n > 1 && cli_opt(c, OPT_watch))
		return fail(e, WHY_BAD_REQUEST, "-w watches one kind or one object at a time");
	if (format && (!strcmp(format, "json") || !strcmp(format, "yaml")))
		return get_objects(c, at, n, e);
	l.wide = format && !strcmp(format, "wide");
	for (size_t i = 1; i < n; i++)
		mixed |= at[i].res != at[0].res;
	l.several = mixed;
	l.nasked = n;
	for (size_t i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && at[i + run].res == at[i].res;)
			run++;
		l.headers = !cli_opt(c, OPT_no_headers);
		l.shown = NULL;
		l.res = at[i].res;
		rc |= get_table(&l, &at[i], run, &shown, e);
		if (*e)
			break;
	}
	fflush(c->out);
	fputs(buf_text(&missing), stderr);
	if (*e)
		return -1;
	if (!rc && !shown && !cli_opt(c, OPT_watch))
		say_none(c, &at[0]);
	if (!cli_opt(c, OPT_watch))
		return rc;
	fflush(c->out);
	return cli_watch(c, path_of(c, at, l.version), CLI_TABLE, on_table_event, &l, e);
}

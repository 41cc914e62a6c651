/* cli_top.c -- `kedge top`: what pods and the node use, as `kubectl top` writes it.
 *
 * The daemon gives counters; looking twice, a second apart, makes them cores.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include "cli.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { BETWEEN_US = 1000000 };

struct looks {
	json_t *first, *second;
	double seconds; /* between the two */
};

static int
look_twice(struct cli_call *c, struct looks *l, struct error **e)
{
	l->first = cli_json(c, "GET", "/kedge/usage", NULL, NULL, e);
	if (!l->first)
		return -1;
	usleep(BETWEEN_US);
	l->second = cli_json(c, "GET", "/kedge/usage", NULL, NULL, e);
	if (!l->second) {
		json_decref(l->first);
		return -1;
	}
	l->seconds = (double)(json_integer_value(json_object_get(l->second, "at")) -
			      json_integer_value(json_object_get(l->first, "at"))) /
		     1e9;
	return 0;
}

static void
looks_done(struct looks *l)
{
	json_decref(l->first);
	json_decref(l->second);
}

/* Thousandths of a core; what began in between counts from 0. */
static int64_t
milli(const struct looks *l, json_t *then, json_t *now)
{
	int64_t was = json_integer_value(json_object_get(then, "cpuNanos"));
	int64_t is = json_integer_value(json_object_get(now, "cpuNanos"));

	return is > was && l->seconds > 0
		   ? (int64_t)((double)(is - was) / l->seconds / 1e6 + 0.5)
		   : 0;
}

static json_t *
row_then(const struct looks *l, json_t *now)
{
	static const char *const keys[] = { "ns", "pod", "container" };
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(l->first, "containers"), i, row)
	{
		bool same = true;

		for (size_t k = 0; k < 3; k++)
			same &= json_equal(json_object_get(row, keys[k]),
					   json_object_get(now, keys[k]));
		if (same)
			return row;
	}
	return NULL;
}

static const char *
cores_text(struct cli_call *c, int64_t m)
{
	return arena_printf(c->arena, "%" PRId64 "m", m);
}

static const char *
memory_text(struct cli_call *c, int64_t bytes)
{
	return arena_printf(c->arena, "%" PRId64 "Mi", bytes / (1 << 20));
}

struct sum {
	const char *ns, *pod, *container;
	int64_t milli, memory;
};

static int
sum_compare(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	int d = strcmp(x->ns, y->ns);

	d = d ? d : strcmp(x->pod, y->pod);
	return d ? d : strcmp(x->container, y->container);
}

/* A row a container, or a pod; sorted. */
static struct sum *
sums_of(struct cli_call *c, const struct looks *l, bool each, size_t *ret_n)
{
	json_t *rows = json_object_get(l->second, "containers"), *row;
	struct sum *at = arena_zalloc(c->arena, (json_array_size(rows) + 1) * sizeof *at);
	const char *ns = cli_opt(c, OPT_all_namespaces) ? NULL : cli_namespace(c);
	size_t i, n = 0, k;

	json_array_foreach(rows, i, row)
	{
		struct sum s = { cli_at(c, row, "ns"), cli_at(c, row, "pod"),
				 each ? cli_at(c, row, "container") : "",
				 milli(l, row_then(l, row), row),
				 json_integer_value(json_object_get(row, "memory")) };

		if ((ns && strcmp(s.ns, ns)) ||
		    (c->n && strcmp(s.pod, cli_name(NULL, c->args[0]))))
			continue;
		for (k = 0; k < n && sum_compare(&at[k], &s); k++)
			;
		if (k == n)
			at[n++] = (struct sum){ s.ns, s.pod, s.container, 0, 0 };
		at[k].milli += s.milli;
		at[k].memory += s.memory;
	}
	qsort(at, n, sizeof *at, sum_compare);
	*ret_n = n;
	return at;
}

int
cli_top_pods(struct cli_call *c, struct error **e)
{
	bool all = cli_opt(c, OPT_all_namespaces), each = cli_opt(c, OPT_containers);
	const char *header[] = { "NAMESPACE", each ? "POD" : "NAME", "NAME", "CPU(cores)",
				 "MEMORY(bytes)" };
	struct cli_table t = { .arena = c->arena, .cols = 3 + all + each };
	const char *cells[5];
	struct looks l;
	struct sum *at;
	size_t n;

	if (look_twice(c, &l, e) < 0)
		return -1;
	at = sums_of(c, &l, each, &n);
	for (size_t i = 0; i <= n; i++) {
		const struct sum *s = &at[i ? i - 1 : 0];
		const char *const row[] = { s->ns, s->pod, s->container,
					    cores_text(c, s->milli),
					    memory_text(c, s->memory) };
		const char *const *from = i ? row : header;
		size_t k = 0;

		if (all)
			cells[k++] = from[0];
		cells[k++] = from[1];
		if (each)
			cells[k++] = from[2];
		cells[k++] = from[3];
		cells[k++] = from[4];
		cli_table_row(&t, cells);
	}
	looks_done(&l);
	if (!n)
		return fail(e, WHY_NOT_FOUND, "nothing runs in %s",
			    all ? "any namespace"
				: arena_printf(c->arena, "namespace %s", cli_namespace(c)));
	cli_table_print(&t, !cli_opt(c, OPT_no_headers), c->out);
	return 0;
}

int
cli_top_nodes(struct cli_call *c, struct error **e)
{
	static const char *const header[] = { "NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)",
					      "MEMORY(%)" };
	struct cli_table t = { .arena = c->arena, .cols = 5 };
	json_t *nodes = cli_json(c, "GET", "/api/v1/nodes", NULL, NULL, e);
	int64_t m, memory, cores, total;
	struct looks l;

	if (!nodes)
		return -1;
	if (look_twice(c, &l, e) < 0) {
		json_decref(nodes);
		return -1;
	}
	m = milli(&l, l.first, l.second);
	memory = json_integer_value(json_object_get(l.second, "memory"));
	cores = json_integer_value(json_object_get(l.second, "cpuMilli"));
	total = json_integer_value(json_object_get(l.second, "memoryTotal"));
	cli_table_row(&t, header);
	cli_table_row(
	    &t,
	    (const char *[]){
		cli_at(c, json_array_get(json_object_get(nodes, "items"), 0), "metadata.name"),
		cores_text(c, m),
		arena_printf(c->arena, "%" PRId64 "%%", m * 100 / (cores ? cores : 1)),
		memory_text(c, memory),
		arena_printf(c->arena, "%" PRId64 "%%", memory * 100 / (total ? total : 1)) });
	cli_table_print(&t, !cli_opt(c, OPT_no_headers), c->out);
	looks_done(&l);
	json_decref(nodes);
	return 0;
}

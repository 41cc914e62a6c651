/* cli_top.c -- `kedge top`: what pods and the node use, as `kubectl top` writes it.
 *
 * From metrics.k8s.io, where the daemon has looked twice at its counters.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/object.h"
#include "cli.h"
#include <inttypes.h>
#include <string.h>

#define METRICS "/apis/metrics.k8s.io/v1beta1"

/* Billionths of a core, as the daemon gives them ("1234n"), in thousandths. */
static int64_t
milli_at(struct cli_call *c, json_t *usage)
{
	return (strtoll(cli_at(c, usage, "cpu"), NULL, 10) + 500000) / 1000000;
}

/* "1234Ki" in bytes */
static int64_t
bytes_at(struct cli_call *c, json_t *usage)
{
	return strtoll(cli_at(c, usage, "memory"), NULL, 10) * 1024;
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

static void
sums_add(struct sum *at, size_t *n, const struct sum *s)
{
	size_t k = 0;

	while (k < *n && sum_compare(&at[k], s))
		k++;
	if (k == *n)
		at[(*n)++] = (struct sum){ s->ns, s->pod, s->container, 0, 0 };
	at[k].milli += s->milli;
	at[k].memory += s->memory;
}

/* A row a container, or a pod; sorted. */
static struct sum *
sums_of(struct cli_call *c, json_t *pods, bool each, size_t *ret_n)
{
	json_t *items = json_object_get(pods, "items"), *pod, *one;
	struct sum *at;
	size_t i, k, n = 0;

	json_array_foreach(items, i, pod)
		n += json_array_size(json_object_get(pod, "containers"));
	at = arena_zalloc(c->arena, (n + 1) * sizeof *at);
	n = 0;
	json_array_foreach(items, i, pod) {
		json_array_foreach(json_object_get(pod, "containers"), k, one) {
			json_t *usage = json_object_get(one, "usage");
			struct sum s = { cli_at(c, pod, "metadata.namespace"),
					 cli_at(c, pod, "metadata.name"),
					 each ? cli_at(c, one, "name") : "", milli_at(c, usage),
					 bytes_at(c, usage) };

			if (!c->n || !strcmp(s.pod, cli_name(&resources[RES_pod], c->args[0])))
				sums_add(at, &n, &s);
		}
	}
	qsort(at, n, sizeof *at, sum_compare);
	*ret_n = n;
	return at;
}

/* Nothing was counted; of a pod that is named, the API says whether it is there. */
static int
say_none(struct cli_call *c, struct error **e)
{
	bool all = cli_opt(c, OPT_all_namespaces);
	const char *name = c->n ? cli_name(&resources[RES_pod], c->args[0]) : NULL;
	json_t *pod;

	if (!name)
		return fail(e, WHY_NOT_FOUND, "nothing runs in %s",
			    all ? "any namespace"
				: arena_printf(c->arena, "namespace %s", cli_namespace(c)));
	if (all)
		return fail(e, WHY_NOT_FOUND, "pods \"%s\" not found", name);
	pod = cli_json(c, "GET", cli_url(c, &resources[RES_pod], name), NULL, NULL, e);
	if (!pod)
		return -1;
	json_decref(pod);
	return fail(e, WHY_NOT_FOUND, "Metrics not available for pod %s/%s", cli_namespace(c),
		    name);
}

int
cli_top_pods(struct cli_call *c, struct error **e)
{
	bool all = cli_opt(c, OPT_all_namespaces), each = cli_opt(c, OPT_containers);
	const char *header[] = { "NAMESPACE", each ? "POD" : "NAME", "NAME", "CPU(cores)",
				 "MEMORY(bytes)" };
	struct cli_table t = { .arena = c->arena, .cols = 3 + all + each };
	const char *cells[5];
	json_t *pods = cli_json(c, "GET",
				all ? METRICS "/pods"
				    : arena_printf(c->arena, METRICS "/namespaces/%s/pods",
						   cli_step(c, cli_namespace(c))),
				NULL, NULL, e);
	struct sum *at;
	size_t n;

	if (!pods)
		return -1;
	if (cli_print_json(c, pods)) {
		json_decref(pods);
		return 0;
	}
	at = sums_of(c, pods, each, &n);
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
	json_decref(pods);
	if (!n)
		return say_none(c, e);
	cli_table_print(&t, !cli_opt(c, OPT_no_headers), c->out);
	return 0;
}

/* What may be used of it, as the node itself tells. */
static int64_t
allocatable(struct cli_call *c, json_t *nodes, const char *name, const char *what)
{
	json_t *node;
	size_t i;

	json_array_foreach(json_object_get(nodes, "items"), i, node) {
		const char *path = arena_printf(c->arena, "status.allocatable.%s", what);

		if (strcmp(cli_at(c, node, "metadata.name"), name))
			continue;
		return strcmp(what, "cpu") ? quantity_value(cli_at(c, node, path))
					   : quantity_milli(cli_at(c, node, path));
	}
	return 0;
}

static const char *
percent_text(struct cli_call *c, int64_t used, int64_t of)
{
	return arena_printf(c->arena, "%" PRId64 "%%", used * 100 / (of > 0 ? of : 1));
}

static void
nodes_table(struct cli_call *c, json_t *nodes, json_t *used)
{
	static const char *const header[] = { "NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)",
					      "MEMORY(%)" };
	struct cli_table t = { .arena = c->arena, .cols = 5 };
	json_t *one;
	size_t i;

	cli_table_row(&t, header);
	json_array_foreach(json_object_get(used, "items"), i, one) {
		const char *name = cli_at(c, one, "metadata.name");
		int64_t m = milli_at(c, json_object_get(one, "usage"));
		int64_t memory = bytes_at(c, json_object_get(one, "usage"));

		cli_table_row(
		    &t, (const char *[]){
			    name, cores_text(c, m),
			    percent_text(c, m, allocatable(c, nodes, name, "cpu")),
			    memory_text(c, memory),
			    percent_text(c, memory, allocatable(c, nodes, name, "memory")) });
	}
	cli_table_print(&t, !cli_opt(c, OPT_no_headers), c->out);
}

int
cli_top_nodes(struct cli_call *c, struct error **e)
{
	json_t *nodes = cli_json(c, "GET", "/api/v1/nodes", NULL, NULL, e);
	json_t *used = nodes ? cli_json(c, "GET", METRICS "/nodes", NULL, NULL, e) : NULL;

	if (used && !cli_print_json(c, used))
		nodes_table(c, nodes, used);
	json_decref(used);
	json_decref(nodes);
	return used ? 0 : -1;
}

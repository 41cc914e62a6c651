/* settled.c -- what a pass costs when there is nothing to do.
 *
 * A world of N objects (Deployments of three replicas, each with a Service and two
 * ConfigMaps) is brought to rest by the controllers themselves; then a pass over it is
 * counted.  The controllers here are compiled so that each step (a basic block) counts:
 * that is the same on every machine, where the time also tells what fits its caches.
 * Prints "settled.N steps-an-object", "settled.us.N microseconds" for each pass, and
 * with "settled.actions" what it planned, which must be nothing.
 */
#include "tests/control.h"
#include <time.h>

enum { ROUNDS = 100, PASSES = 15, A_GROUP = 10 };

static const char group[] =
    "apiVersion: apps/v1\n"
    "kind: Deployment\n"
    "metadata: {name: web-%d, namespace: default}\n"
    "spec:\n"
    "  replicas: 3\n"
    "  selector: {matchLabels: {app: web-%d}}\n"
    "  template:\n"
    "    metadata: {labels: {app: web-%d}}\n"
    "    spec:\n"
    "      containers: [{name: web, image: web, ports: [{containerPort: 80}]}]\n"
    "---\n"
    "apiVersion: v1\n"
    "kind: Service\n"
    "metadata: {name: web-%d, namespace: default}\n"
    "spec: {selector: {app: web-%d}, ports: [{port: 80, name: http}]}\n"
    "---\n"
    "apiVersion: v1\n"
    "kind: ConfigMap\n"
    "metadata: {name: a-%d, namespace: default}\n"
    "data: {k: v}\n"
    "---\n"
    "apiVersion: v1\n"
    "kind: ConfigMap\n"
    "metadata: {name: b-%d, namespace: default}\n"
    "data: {k: v}\n";

static unsigned long long steps;

/* gcc -fsanitize-coverage=trace-pc calls it from every basic block; not from this file. */
void __sanitizer_cov_trace_pc(void);
void
__sanitizer_cov_trace_pc(void)
{
	steps++;
}

struct rules {
	struct programmed *at;
	size_t n;
};

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct programmed *)a)->id, ((const struct programmed *)b)->id);
}

/* What a COMMIT puts in force: each is told once, and stays. */
static void
program(struct kit *k, struct rules *r, const struct action *a)
{
	const char *id = arena_printf(&k->arena, "%s/%s", a->ns, a->name);
	struct programmed new = { id, schema_clone(service_args_kind(), a->body, &k->arena) };
	struct programmed *old = r->n ? bsearch(&new, r->at, r->n, sizeof *r->at, by_id) : NULL;

	if (old) {
		*old = new;
		return;
	}
	r->at = xrealloc(r->at, (r->n + 1) * sizeof *r->at);
	r->at[r->n++] = new;
	qsort(r->at, r->n, sizeof *r->at, by_id);
}

static void
pass(struct kit *k, const struct rules *r)
{
	struct snapshot *s = kit_snapshot(k);

	s->programmed = r->at;
	s->nprogrammed = r->n;
	controllers_run(s, &k->plan);
}

/* Every pod that was started runs. */
static void
host(struct kit *k)
{
	for (size_t i = 0; i < k->n[RES_pod]; i++) {
		struct kit_pod *p = kit_pod_of(k, object_uid(k->of[RES_pod][i]));

		if (p && !strcmp(p->seen.state, "starting"))
			kit_up(k, object_name(k->of[RES_pod][i]));
	}
	k->now += 1000;
}

static void
settle(struct kit *k, struct rules *r)
{
	for (int i = 0; i < ROUNDS; i++) {
		pass(k, r);
		if (!k->plan.n)
			return;
		for (size_t j = 0; j < k->plan.n; j++)
			if (k->plan.at[j].verb == ACT_PROGRAM)
				program(k, r, &k->plan.at[j]);
			else
				kit_carry(k, &k->plan.at[j]);
		host(k);
	}
	fprintf(stderr, "settled: still changing after %d passes:\n%.2000s\n", ROUNDS,
		kit_text(k));
	exit(1);
}

static double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void
settled(int objects)
{
	struct kit k;
	struct rules r = { 0 };
	size_t all = 0;

	kit_init(&k);
	k.host.pods = objects;
	k.settings.node_port_lo = 30000;
	k.settings.node_port_hi = 32767;
	for (int i = 0; i < objects / A_GROUP; i++) {
		cleanup_buf struct buf b = { 0 };

		buf_addf(&b, group, i, i, i, i, i, i, i);
		kit_read(&k, buf_text(&b));
	}
	settle(&k, &r);
	for (int i = 0; i < RES_COUNT; i++)
		all += k.n[i];
	if (k.npods != (size_t)objects / A_GROUP * 3 || r.n != (size_t)objects / A_GROUP) {
		fprintf(stderr, "settled: %zu pods run and %zu ports are served\n", k.npods,
			r.n);
		exit(1);
	}
	for (int i = 0; i < PASSES; i++) {
		unsigned long long before = steps;
		double from = cpu_us();

		pass(&k, &r);
		printf("settled.us.%d %.1f\n", objects, cpu_us() - from);
		printf("settled.%d %.1f\nsettled.actions %zu\n", objects,
		       (double)(steps - before) / (double)all, k.plan.n);
	}
	free(r.at);
	kit_done(&k);
}

int
main(void)
{
	settled(100);
	settled(10000);
	return 0;
}

/* policy_set.c -- the staged policies: parts and isolated pods, and what of them differs.
 *
 * They go into the same commit as the services' rules, and what is said in commit.c of
 * services holds for them.  A part that is not there admits nobody, so parts and pods may
 * come and go in any order.
 */
#include "np.h"
#include "policy.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <netinet/in.h>
#include <string.h>

static void
guard_free(struct guard *g)
{
	arena_free(&g->arena);
	free(g->chains.at);
	free(g);
}

void
policies_done(struct policies *p)
{
	struct map *maps[] = { &p->parts, &p->pods };

	for (size_t i = 0; i < 2; i++) {
		for (struct map_slot *s = map_first(maps[i]); s; s = map_next(maps[i], s))
			guard_free(s->value);
		map_done(maps[i]);
	}
	free(p->trees.at);
	*p = (struct policies){ 0 };
}

/* It becomes part of iptables-restore's input, inside quotes. */
static int
id_check(const char *id, struct error **e)
{
	static const char fine[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
	size_t n = id ? strlen(id) : 0;

	if (!n || n > 512 || strspn(id, fine) != n)
		return fail(e, WHY_INVALID,
			    "the id of a policy or a pod must be 1 to 512 of [A-Za-z0-9._:/-]");
	return 0;
}

static int
rule_check(const char *id, const struct np_rule *r, struct error **e)
{
	for (size_t i = 0; i < r->nblocks; i++) {
		const struct np_block *b = &r->blocks[i];

		for (size_t k = 0; k < b->n; k++)
			if (b->except[k].bits > addr_bits(b->net.v6) ||
			    b->except[k].v6 != b->net.v6)
				return fail(e, WHY_INVALID, "%s: a net of /%u", id,
					    b->except[k].bits);
		if (b->net.bits > addr_bits(b->net.v6))
			return fail(e, WHY_INVALID, "%s: a net of /%u", id, b->net.bits);
	}
	for (size_t i = 0; i < r->nports; i++) {
		const struct np_ports *p = &r->ports[i];

		if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP &&
		    p->proto != IPPROTO_SCTP)
			return fail(e, WHY_INVALID,
				    "%s: protocol %u is neither TCP nor UDP nor SCTP", id,
				    p->proto);
		if (p->hi && p->hi < p->lo)
			return fail(e, WHY_INVALID, "%s: ports %u to %u", id, p->lo, p->hi);
	}
	return 0;
}

static void *
copy(struct arena *a, const void *at, size_t n, size_t size)
{
	void *to = arena_alloc(a, n * size + 1);

	if (n)
		memcpy(to, at, n * size);
	return to;
}

/* What is of this family, and pods by their addresses of it. */
static struct np_part
part_copy(const struct np *np, const struct np_part *p, struct arena *a)
{
	struct np_part x = { arena_strdup(a, p->id), p->egress, NULL, p->n };
	struct np_rule *rules = copy(a, p->rules, p->n, sizeof *rules);

	for (size_t i = 0; i < p->n; i++) {
		struct np_rule *r = &rules[i];
		struct np_block *blocks = arena_alloc(a, (r->nblocks + 1) * sizeof *blocks);
		addr *pods = copy(a, r->pods, r->npods, sizeof *pods);
		size_t n = 0, m = 0;

		for (size_t k = 0; k < r->nblocks; k++) {
			if (r->blocks[k].net.v6 != np->net.v6)
				continue;
			blocks[n] = r->blocks[k];
			blocks[n].except =
			    copy(a, blocks[n].except, blocks[n].n, sizeof *blocks[n].except);
			n++;
		}
		r->blocks = blocks;
		r->nblocks = n;
		for (size_t k = 0; k < r->npods; k++) {
			pods[m] = np_pod(np, r->pods[k]);
			m += pods[m] != 0;
		}
		r->pods = pods;
		r->npods = m;
		r->ports = copy(a, r->ports, r->nports, sizeof *r->ports);
	}
	x.rules = rules;
	return x;
}

static struct np_isolated
pod_copy(const struct np_isolated *p, struct arena *a)
{
	struct np_isolated x = *p;
	const char **parts = arena_alloc(a, (p->n + 1) * sizeof *parts);

	x.id = arena_strdup(a, p->id);
	for (size_t i = 0; i < p->n; i++)
		parts[i] = arena_strdup(a, p->parts[i]);
	x.parts = parts;
	return x;
}

/* The guard of this name, ready for a new meaning. */
static struct guard *
guard_begin(struct map *m, const char *id, bool *ret_new)
{
	struct guard *g = map_get(m, id);

	*ret_new = !g || g->dropped;
	if (!g) {
		g = xcalloc(1, sizeof *g);
		map_put(m, id, g);
	}
	arena_free(&g->arena);
	g->staged = true;
	g->dropped = false;
	return g;
}

int
np_admit(struct np *np, const struct np_part *p, struct error **e)
{
	struct guard *g;
	bool new;

	if (id_check(p->id, e) < 0)
		return -1;
	for (size_t i = 0; i < p->n; i++)
		if (rule_check(p->id, &p->rules[i], e) < 0)
			return -1;
	g = guard_begin(&np->policies.parts, p->id, &new);
	/* Those who ask for it jump to it, or not: an empty one is left out. */
	np->policies.moved |= new || g->part.egress != p->egress || !g->part.n != !p->n;
	g->part = part_copy(np, p, &g->arena);
	return np->six ? np_admit(np->six, p, e) : 0;
}

int
np_isolate(struct np *np, const struct np_isolated *p, struct error **e)
{
	struct guard *g;
	bool new;

	if (id_check(p->id, e) < 0)
		return -1;
	if (!p->ip)
		return fail(e, WHY_INVALID, "%s: no address", p->id);
	for (size_t i = 0; i < p->n; i++)
		if (id_check(p->parts[i], e) < 0)
			return -1;
	if (!np_pod(np, p->ip))
		return fail(e, WHY_INVALID, "%s: not a pod's address", p->id);
	g = guard_begin(&np->policies.pods, p->id, &new);
	np->policies.dispatch |= new || g->pod.ip != np_pod(np, p->ip) ||
				 g->pod.ingress != p->ingress || g->pod.egress != p->egress;
	g->pod = pod_copy(p, &g->arena);
	g->pod.ip = np_pod(np, p->ip);
	return np->six ? np_isolate(np->six, p, e) : 0;
}

static bool
guard_drop(struct map *m, const char *id)
{
	struct guard *g = map_get(m, id);

	if (!g || g->dropped)
		return false;
	g->staged = g->dropped = true;
	return true;
}

void
np_admit_drop(struct np *np, const char *id)
{
	np->policies.moved |= guard_drop(&np->policies.parts, id);
	if (np->six)
		np_admit_drop(np->six, id);
}

void
np_isolate_drop(struct np *np, const char *id)
{
	np->policies.dispatch |= guard_drop(&np->policies.pods, id);
	if (np->six)
		np_isolate_drop(np->six, id);
}

bool
np_isolates(const struct np *np, uint32_t pod)
{
	const struct map *m = &np->policies.pods;
	addr ip = np_pod(np, pod);

	if (np->six && !np_isolates(np->six, pod))
		return false;
	for (struct map_slot *s = map_first(m); ip && s; s = map_next(m, s)) {
		const struct guard *g = s->value;

		if (g->in_force == ip)
			return true;
	}
	return false;
}

/* -- the difference ---------------------------------------------------------- */

static void
pod_delta(struct np *np, struct delta *d, struct guard *g)
{
	const struct np_isolated *p = &g->pod;
	const struct np_part **parts = xcalloc(p->n + 1, sizeof *parts);
	struct chains now = { 0 };
	size_t n = 0;

	for (size_t i = 0; !g->dropped && i < p->n; i++) {
		const struct guard *x = map_get(&np->policies.parts, p->parts[i]);

		if (x && !x->dropped)
			parts[n++] = &x->part;
	}
	if (!g->dropped)
		policy_text_pod(p, parts, n, &now);
	g->flying = g->dropped ? 0 : p->ip;
	delta_add(np, d, &g->chains, &now);
	free(parts);
}

static void
trees_delta(struct np *np, struct delta *d)
{
	struct map *m = &np->policies.pods;
	const struct np_isolated **all = xcalloc(m->n + 1, sizeof *all);
	struct chains now = { 0 };
	size_t n = 0;

	for (struct map_slot *s = map_first(m); s; s = map_next(m, s)) {
		struct guard *g = s->value;

		if (!g->dropped)
			all[n++] = &g->pod;
	}
	policy_text_trees(&np->net, all, n, &now);
	delta_add(np, d, &np->policies.trees, &now);
	free(all);
}

/* Those that are in nobody's rules any more. */
static void
forget(struct map *m)
{
	char **gone = xcalloc(m->n + 1, sizeof *gone);
	size_t n = 0;

	for (struct map_slot *s = map_first(m); s; s = map_next(m, s))
		if (((struct guard *)s->value)->dropped)
			gone[n++] = xstrdup(s->key);
	for (size_t i = 0; i < n; i++) {
		guard_free(map_del(m, gone[i]));
		free(gone[i]);
	}
	free(gone);
}

void
policies_delta(struct np *np, struct delta *d)
{
	struct policies *p = &np->policies;

	for (struct map_slot *s = map_first(&p->parts); s; s = map_next(&p->parts, s)) {
		struct guard *g = s->value;
		struct chains now = { 0 };

		if (!g->staged && !d->whole)
			continue;
		if (!g->dropped)
			policy_text_part(&np->net, &g->part, &now);
		delta_add(np, d, &g->chains, &now);
		g->staged = false;
	}
	for (struct map_slot *s = map_first(&p->pods); s; s = map_next(&p->pods, s)) {
		struct guard *g = s->value;

		if (g->staged || p->moved || d->whole)
			pod_delta(np, d, g);
		g->staged = false;
	}
	if (p->dispatch || d->whole)
		trees_delta(np, d);
	p->dispatch = p->moved = false;
	forget(&p->parts);
	forget(&p->pods);
}

void
policies_in_force(struct policies *p)
{
	for (struct map_slot *s = map_first(&p->pods); s; s = map_next(&p->pods, s)) {
		struct guard *g = s->value;

		g->in_force = g->flying;
	}
}

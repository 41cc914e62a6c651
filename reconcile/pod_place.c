/* pod_place.c -- the scheduler and the address book.
 *
 * Pure.  Both answer for many pods in one pass, so what was given away is kept
 * beside the snapshot (made on first use, in one walk over the pods) and not
 * given twice.
 *
 * Addresses go round: the next one is the lowest free one after the address
 * that was given out last, so that an address rests as long as possible before
 * another pod gets it and old connections cannot meet a stranger.
 */
#include "base/ipv4.h"
#include "pod.h"
#include "pod_affinity.h"
#include "volume.h"

enum { REASONS_MAX = 4 }; /* that one node does not fit: pods and three resources */

struct host_port { /* one that a pod of the node has */
	const char *ip, *protocol;
	int64_t port;
	const struct host_port *next;
};

struct node_use {
	const struct node *node;
	const struct host_port *ports;
	int64_t cpu, memory, disk, pods; /* requested: milli, bytes, bytes, count */
};

struct pod_places {
	struct node_use *nodes;
	size_t nnodes;
	const struct placed *placed;
	uint64_t *used; /* a bit an address of the range */
	uint32_t size, last;
};

/* Milli for cpu, else units. */
static int64_t
container_request(const struct container *c, const char *resource)
{
	const struct resource_requirements *r = c->resources;
	const char *q = r ? pairs_get(&r->requests, resource) : NULL;

	if (!q && r)
		q = pairs_get(&r->limits, resource);
	return !strcmp(resource, "cpu") ? quantity_milli(q) : quantity_value(q);
}

/* All that runs at once, or, should that be more, what one init container and the sidecars
 * before it take. */
static int64_t
pod_request(const struct pod_spec *spec, const char *resource)
{
	int64_t sum = 0, first = 0;

	for (size_t i = 0; i < pod_parts(spec); i++) {
		int64_t one = container_request(pod_part(spec, i), resource);

		if (pod_part_role(spec, i) == PART_INIT)
			first = most(first, sum + one);
		else
			sum += one;
	}
	return most(sum, first);
}

static struct node_use *
use_of(struct pod_places *x, const char *name)
{
	for (size_t i = 0; i < x->nnodes; i++)
		if (str_is(object_name(x->nodes[i].node), name))
			return &x->nodes[i];
	return NULL;
}

/* Of a pod in the host's network every port of a container is one. */
static int64_t
host_port(const struct pod_spec *spec, const struct container_port *p)
{
	return p->hostPort || !spec->hostNetwork ? p->hostPort : p->containerPort;
}

static bool
any_address(const char *ip)
{
	return str_is(ip, "") || str_is(ip, "0.0.0.0") || str_is(ip, "::");
}

static bool
port_taken(const struct node_use *u, const struct container_port *p, int64_t port)
{
	for (const struct host_port *x = u->ports; x; x = x->next)
		if (x->port == port && str_is(x->protocol, p->protocol) &&
		    (any_address(x->ip) || any_address(p->hostIP) || str_is(x->ip, p->hostIP)))
			return true;
	return false;
}

static bool
ports_taken(const struct node_use *u, const struct pod_spec *spec)
{
	for (size_t i = 0; u->ports && i < pod_parts(spec); i++) {
		const struct container *c = pod_part(spec, i);

		for (size_t k = 0; k < c->ports.n; k++) {
			int64_t port = host_port(spec, &c->ports.at[k]);

			if (port && port_taken(u, &c->ports.at[k], port))
				return true;
		}
	}
	return false;
}

static void
ports_add(struct node_use *u, const struct pod_spec *spec, struct arena *a)
{
	for (size_t i = 0; i < pod_parts(spec); i++) {
		const struct container *c = pod_part(spec, i);

		for (size_t k = 0; k < c->ports.n; k++) {
			const struct container_port *p = &c->ports.at[k];
			struct host_port *x;

			if (!host_port(spec, p))
				continue;
			x = arena_alloc(a, sizeof *x);
			*x = (struct host_port){ p->hostIP, p->protocol, host_port(spec, p),
						 u->ports };
			u->ports = x;
		}
	}
}

static void
use_add(struct pod_places *x, struct node_use *u, const struct pod *pod, struct arena *a)
{
	const struct pod_spec *spec = pod->spec;

	if (!pod_is_finished(pod)) {
		struct placed *one = arena_alloc(a, sizeof *one);

		*one = (struct placed){ pod, u->node, x->placed };
		x->placed = one;
	}
	ports_add(u, spec, a);
	u->cpu += pod_request(spec, "cpu");
	u->memory += pod_request(spec, "memory");
	u->disk += pod_request(spec, "ephemeral-storage");
	u->pods++;
}

/* An address of the range as its offset; 0 (the network itself) when it is none. */
static uint32_t
offset_of(const struct settings *set, uint32_t size, const char *ip)
{
	uint32_t n = 0;

	for (int i = 0; ip && i < 4; i++) {
		char *end;
		unsigned long part = strtoul(ip, &end, 10);

		if (end == ip || part > 255 || *end != (i < 3 ? '.' : 0))
			return 0;
		n = n << 8 | (uint32_t)part;
		ip = end + 1;
	}
	return ip && n - set->pods.net < size ? n - set->pods.net : 0;
}

static bool
is_used(const struct pod_places *x, uint32_t off)
{
	return x->used[off / 64] >> off % 64 & 1;
}

static uint32_t
use_ip(struct pod_places *x, const struct settings *set, const char *ip)
{
	uint32_t off = offset_of(set, x->size, ip);

	x->used[off / 64] |= UINT64_C(1) << off % 64;
	return off;
}

/* Whoever got one of these would be let in where its former owner was. */
static void
use_enforced(struct pod_places *x, const struct settings *set, const struct enforced *at,
	     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct admit_args *admit = at[i].args;

		if (!at[i].args)
			continue;
		if (!strncmp(at[i].id, "pod ", 4)) {
			use_ip(x, set, ((const struct isolate_args *)at[i].args)->ip);
			continue;
		}
		for (size_t r = 0; r < admit->rules.n; r++)
			for (size_t k = 0; k < admit->rules.at[r].pods.n; k++)
				use_ip(x, set, admit->rules.at[r].pods.at[k]);
	}
}

static struct pod_places *
places_of(struct snapshot *s)
{
	struct pod_places *x = s->places;
	int64_t newest = 0;

	if (x)
		return x;
	s->places = x = arena_zalloc(s->arena, sizeof *x);
	x->size = UINT32_C(1) << (32 - s->settings->pods.bits);
	x->used = arena_zalloc(s->arena, (x->size / 64 + 1) * sizeof *x->used);
	x->nodes = arena_zalloc(s->arena, (s->of[RES_node].n + 1) * sizeof *x->nodes);
	for (size_t i = 0; i < s->of[RES_node].n; i++)
		x->nodes[x->nnodes++].node = (const struct node *)s->of[RES_node].at[i];
	x->last = 1; /* the bridge has the first address */
	for (size_t i = 0; i < s->of[RES_pod].n; i++) {
		const struct pod *pod = (const struct pod *)s->of[RES_pod].at[i];
		bool over = pod_is_finished(pod) && !snapshot_seen(s, object_uid(pod));
		struct node_use *u = over ? NULL : use_of(x, pod->spec->nodeName);
		uint32_t off;

		if (u)
			use_add(x, u, pod, s->arena);
		if (!pod->status || str_is(pod->status->podIP, ""))
			continue;
		off = over ? offset_of(s->settings, x->size, pod->status->podIP)
			   : use_ip(x, s->settings, pod->status->podIP);
		if (off && (pod->status->startTime > newest ||
			    (pod->status->startTime == newest && off > x->last))) {
			newest = pod->status->startTime;
			x->last = off;
		}
	}
	for (size_t i = 0; i < s->npods; i++) /* also those that no object knows */
		if (!str_is(s->pods[i]->state, "gone"))
			use_ip(x, s->settings, s->pods[i]->ip);
	use_enforced(x, s->settings, s->enforced, s->nenforced);
	use_enforced(x, s->settings, s->enforcing, s->nenforcing);
	if (offset_of(s->settings, x->size, s->last_ip)) /* its pod may be gone by now */
		x->last = offset_of(s->settings, x->size, s->last_ip);
	return x;
}

const char *
pod_place_ip(struct snapshot *s, struct arena *a)
{
	struct pod_places *x = places_of(s);

	for (uint32_t tries = 0, off = x->last + 1; tries < x->size; tries++, off++) {
		uint32_t ip;

		if (off >= x->size - 1) /* past the last: the broadcast address is nobody's */
			off = 2;
		if (is_used(x, off))
			continue;
		x->used[off / 64] |= UINT64_C(1) << off % 64;
		x->last = off;
		ip = s->settings->pods.net + off;
		return ipv4_text(ip, a);
	}
	return NULL;
}

const char *
pod_place_ip6(struct snapshot *s, bool host_network, const char *ip, struct arena *a)
{
	uint32_t v4;

	if (!s->settings->pods6.bits)
		return NULL;
	if (host_network)
		return s->settings->node_ip6;
	return ipv4_read(ip, &v4) ? addr_text(settings_pod6(s->settings, v4), a) : NULL;
}

static bool
tolerates(const struct pod_spec *spec, const struct taint *t)
{
	for (size_t i = 0; i < spec->tolerations.n; i++) {
		const struct toleration *o = &spec->tolerations.at[i];
		bool any = str_is(o->operator, "Exists");

		if (!str_is(o->effect, "") && !str_is(o->effect, t->effect))
			continue;
		if (!(any && str_is(o->key, "")) && !str_is(o->key, t->key))
			continue;
		if (any || str_is(o->value, t->value))
			return true;
	}
	return false;
}

/* What only would be better on another node counts for nothing where there is one. */
bool
pod_wants_node(const struct pod_spec *spec, const struct node *node)
{
	const struct node_affinity *a = spec->affinity ? spec->affinity->nodeAffinity : NULL;
	const struct node_selector *must =
	    a ? a->requiredDuringSchedulingIgnoredDuringExecution : NULL;

	return (!spec->nodeSelector.n ||
		selector_map_matches(&spec->nodeSelector, &node->metadata->labels)) &&
	       (!must || selector_node_matches(must, node));
}

const struct taint *
pod_untolerated(const struct pod_spec *spec, const struct node *node)
{
	for (size_t i = 0; node->spec && i < node->spec->taints.n; i++) {
		const struct taint *t = &node->spec->taints.at[i];

		if (!str_is(t->effect, "PreferNoSchedule") && !tolerates(spec, t))
			return t;
	}
	return NULL;
}

/* All that is short, each for itself, as the scheduler's NodeResourcesFit. */
static void
short_of(const struct node_use *u, const struct pod_spec *spec, struct strs *why)
{
	const struct pairs *has = u->node->status ? &u->node->status->allocatable : NULL;
	const struct {
		const char *name, *text;
		int64_t used;
	} rows[] = {
		{ "cpu", "Insufficient cpu", u->cpu },
		{ "memory", "Insufficient memory", u->memory },
		{ "ephemeral-storage", "Insufficient ephemeral-storage", u->disk },
	};
	const char *pods = has ? pairs_get(has, "pods") : NULL;

	if (pods && u->pods + 1 > quantity_value(pods))
		why->at[why->n++] = "Too many pods";
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *most = has ? pairs_get(has, rows[i].name) : NULL;
		int64_t ask = pod_request(spec, rows[i].name);

		if (most && ask &&
		    rows[i].used + ask > (i ? quantity_value(most) : quantity_milli(most)))
			why->at[why->n++] = rows[i].text;
	}
}

/* Why the pod cannot be on this node, in the scheduler's words, but for resources; NULL: it
 * can. */
static const char *
misfit(const struct node_use *u, const struct pod_spec *spec, struct arena *a)
{
	const struct node *node = u->node;
	const struct taint *taint;

	if (!pod_wants_node(spec, node))
		return "node(s) didn't match Pod's node affinity/selector";
	if (node->spec && node->spec->unschedulable)
		return "node(s) were unschedulable";
	if ((taint = pod_untolerated(spec, node)))
		return arena_printf(a, "node(s) had untolerated taint {%s: %s}", taint->key,
				    taint->value ? taint->value : "");
	if (ports_taken(u, spec))
		return "node(s) didn't have free ports for the requested pod ports";
	return NULL;
}

/* The pod itself is among those who ask already. */
const char *
pod_place_resize(struct snapshot *s, const struct pod *pod, struct arena *a,
		 const char **ret_message)
{
	const struct node_use *u = use_of(places_of(s), pod->spec->nodeName);
	const struct pairs *has = u && u->node->status ? &u->node->status->allocatable : NULL;
	const struct {
		const char *name;
		int64_t ask, used, most;
	} rows[] = {
		{ "memory", pod_request(pod->spec, "memory"), u ? u->memory : 0,
		  quantity_value(has ? pairs_get(has, "memory") : NULL) },
		{ "cpu", pod_request(pod->spec, "cpu"), u ? u->cpu : 0,
		  quantity_milli(has ? pairs_get(has, "cpu") : NULL) },
	};

	/* (of what is short in both the kubelet names memory here, and the cpu below) */
	for (int i = 0; i < 2; i++)
		if (rows[i].most && rows[i].ask > rows[i].most) {
			*ret_message = arena_printf(a,
						    "Node didn't have enough capacity: %s, "
						    "requested: %lld, capacity: %lld",
						    rows[i].name, (long long)rows[i].ask,
						    (long long)rows[i].most);
			return "Infeasible";
		}
	for (int i = 1; i >= 0; i--)
		if (rows[i].most && rows[i].ask && rows[i].used > rows[i].most) {
			*ret_message = arena_printf(a,
						    "Node didn't have enough resource: %s, "
						    "requested: %lld, used: %lld, "
						    "capacity: %lld",
						    rows[i].name, (long long)rows[i].ask,
						    (long long)(rows[i].used - rows[i].ask),
						    (long long)rows[i].most);
			return "Deferred";
		}
	return NULL;
}

/* "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."  A node may
 * have more than one reason. */
static const char *
no_fit(const char **why, size_t n, size_t nodes, struct arena *a)
{
	const char *text = arena_printf(a, "0/%zu nodes are available:", nodes);

	for (size_t done = 0; done < n;) {
		const char *first = NULL;
		size_t same = 0;

		for (size_t i = 0; i < n; i++)
			if (why[i] && (!first || strcmp(why[i], first) < 0))
				first = why[i];
		for (size_t i = 0; i < n; i++)
			if (why[i] && !strcmp(why[i], first)) {
				same++;
				if (why[i] != first)
					why[i] = NULL;
			}
		for (size_t i = 0; i < n; i++)
			if (why[i] == first)
				why[i] = NULL;
		text = arena_printf(a, "%s%s %zu %s", text, done ? "," : "", same, first);
		done += same;
	}
	return arena_printf(a, "%s.", text);
}

const struct node *
pod_place_node(struct snapshot *s, const struct pod *pod, struct arena *a, const char **ret_why)
{
	struct pod_places *x = places_of(s);
	struct strs why = { arena_zalloc(a, (x->nnodes + 1) * REASONS_MAX * sizeof *why.at) };
	struct node_use *best = NULL;

	if (!x->nnodes) {
		*ret_why = "no nodes available to schedule pods";
		return NULL;
	}
	if (pod->spec->resourceClaims.n) {
		*ret_why =
		    arena_printf(a,
				 "0/%zu nodes are available: kedge has no ResourceClaims, "
				 "which spec.resourceClaims[%s] asks for.",
				 x->nnodes, pod->spec->resourceClaims.at[0].name);
		return NULL;
	}
	for (size_t i = 0; i < x->nnodes; i++) {
		const struct node *node = x->nodes[i].node;
		const char *one = misfit(&x->nodes[i], pod->spec, a);
		size_t before = why.n;
		bool of_node = false;

		if (!one)
			short_of(&x->nodes[i], pod->spec, &why);
		if (why.n > before)
			continue;
		switch (one ? VOLUME_READY
			    : volume_pod_ready(s, pod, node, a, &one, &of_node)) {
		case VOLUME_WAIT:
			return NULL;
		case VOLUME_NEVER:
			if (of_node)
				break;
			*ret_why =
			    arena_printf(a, "0/%zu nodes are available: %s.", x->nnodes, one);
			return NULL;
		case VOLUME_READY:
			break;
		}
		if (!one)
			one = pod_spread_misfit(s, x->placed, pod, node);
		if (!one)
			one = pod_affinity_misfit(s, x->placed, pod, node);
		if (one)
			why.at[why.n++] = one;
		else if (!best || x->nodes[i].pods < best->pods)
			best = &x->nodes[i];
	}
	if (!best) {
		*ret_why = no_fit(why.at, why.n, x->nnodes, a);
		return NULL;
	}
	use_add(x, best, pod, s->arena);
	return best->node;
}

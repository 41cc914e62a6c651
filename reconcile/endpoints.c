/* endpoints.c -- which pods stand behind a Service: EndpointSlices, and Endpoints
 * for those who still read them.
 *
 * Pure, and Kubernetes' rules (pkg/controller/endpointslice, endpoint): a pod
 * with an address that is not finished is listed; it is ready when its Ready
 * condition says so and it is not going.  Pods that give a port name different
 * numbers go to different slices.  An endpoint stays in the slice where it is, so
 * one pod's change writes one slice.
 *
 * Invariant: what is listed is what the snapshot's pods say; when it already is,
 * nothing is written.  Objects of services that are gone fall to garbage.c, for
 * they name their service as owner.
 */
#include "controllers.h"
#include "service.h"
#include "workload.h"

#define MANAGER        "endpointslice-controller.k8s.io"
#define LABEL_HEADLESS "service.kubernetes.io/headless"

enum { SLICE_MAX = 100 }; /* endpoints in one EndpointSlice, as Kubernetes */

struct ports {
	struct endpoint_port *at;
	size_t n;
};

struct group { /* pods that agree on the numbers of all ports */
	struct ports ports;
	const struct pod **pods; /* by name */
	bool *placed;            /* in a slice already */
	size_t n;
};

struct slice {
	const struct endpoint_slice *old; /* NULL: to be made */
	struct group *group;              /* NULL: of no use any more */
	struct endpoint *at;              /* SLICE_MAX */
	size_t n;
};

struct gathering {
	struct snapshot *s;
	const struct service *svc;
	bool v6; /* of which family the addresses are */
	struct arena *a;
	struct group *at;
	size_t n, total;
	struct slice *slices;
	size_t nslices;
	uint64_t nonce; /* of the next name */
};

/* ---- pods to groups ---- */

/* A port that the pod does not name is left out of its list. */
static struct ports
ports_of(const struct service *svc, const struct pod *pod, struct arena *a)
{
	struct ports out = { arena_zalloc(a, (svc->spec->ports.n + 1) * sizeof *out.at), 0 };

	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		const struct service_port *sp = &svc->spec->ports.at[i];
		const struct container_port *cp;
		int64_t number = sp->targetPort.i ? sp->targetPort.i : sp->port;

		if (sp->targetPort.s) {
			cp = pod_part_port(pod->spec, sp->targetPort.s, sp->protocol);
			if (!cp)
				continue;
			number = cp->containerPort;
		}
		out.at[out.n++] = (struct endpoint_port){ .name = sp->name,
							  .port = number,
							  .protocol = sp->protocol,
							  .appProtocol = sp->appProtocol };
	}
	return out;
}

static bool
same_ports(const struct endpoint_port *a, size_t na, const struct endpoint_port *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!str_is(a[i].name, b[i].name) || a[i].port != b[i].port ||
		    !str_is(a[i].protocol, b[i].protocol) ||
		    !str_is(a[i].appProtocol, b[i].appProtocol))
			return false;
	return true;
}

static bool
is_listed(const struct pod *pod, bool v6)
{
	return pod->spec && pod_address(pod, v6) && !pod_is_finished(pod);
}

static struct object_reference *
pod_reference(const struct pod *pod, struct arena *a)
{
	struct object_reference *r = arena_zalloc(a, sizeof *r);

	r->kind = "Pod";
	r->namespace = object_namespace(pod);
	r->name = object_name(pod);
	r->uid = object_uid(pod);
	return r;
}

/* DNS gives a pod a name of its own only under the service it names. */
static const char *
hostname_of(const struct service *svc, const struct pod *pod)
{
	return str_is(pod->spec->subdomain, object_name(svc)) ? pod->spec->hostname : NULL;
}

static struct endpoint
endpoint_of(const struct service *svc, const struct pod *pod, bool v6, struct arena *a)
{
	struct endpoint_conditions *c = arena_zalloc(a, sizeof *c);
	struct strs ip = { arena_alloc(a, sizeof *ip.at), 1 };

	/* One that left the rules may be told to stop at any moment: it is not asked again, not
	 * even when all the others go too. */
	c->serving = pod_is_ready(pod) && !pod_condition(pod, CONDITION_DRAINING);
	c->terminating = pod->metadata->deletionTimestamp != 0;
	c->ready = svc->spec->publishNotReadyAddresses || (c->serving && !c->terminating);
	schema_mark(endpoint_conditions_kind(), c, "ready");
	schema_mark(endpoint_conditions_kind(), c, "serving");
	schema_mark(endpoint_conditions_kind(), c, "terminating");
	ip.at[0] = pod_address(pod, v6);
	return (struct endpoint){ .addresses = ip,
				  .conditions = c,
				  .hostname = hostname_of(svc, pod),
				  .targetRef = pod_reference(pod, a),
				  .nodeName = pod->spec->nodeName };
}

static void
gather(struct gathering *g)
{
	const struct service *svc = g->svc;
	struct objects pods =
	    snapshot_selected(g->s, RES_pod, object_namespace(svc), &svc->spec->selector);

	g->at = arena_zalloc(g->a, (pods.n + 1) * sizeof *g->at);
	for (size_t i = 0; i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];
		struct group *group = NULL;
		struct ports ports;

		if (!is_listed(pod, g->v6))
			continue;
		ports = ports_of(svc, pod, g->a);
		for (size_t k = 0; k < g->n && !group; k++)
			if (same_ports(g->at[k].ports.at, g->at[k].ports.n, ports.at, ports.n))
				group = &g->at[k];
		if (!group) {
			group = &g->at[g->n++];
			group->ports = ports;
			group->pods = arena_alloc(g->a, pods.n * sizeof *group->pods);
			group->placed = arena_zalloc(g->a, pods.n * sizeof *group->placed);
		}
		group->pods[group->n++] = pod;
	}
}

/* ---- EndpointSlices ---- */

static void
label(struct object_meta *m, const struct service *svc, struct arena *a)
{
	labels_take(m, &svc->metadata->labels, a);
	if (str_is(svc->spec->clusterIP, "None"))
		pairs_set(&m->labels, LABEL_HEADLESS, "", a);
}

static struct endpoint_slice *
slice_new(struct gathering *g)
{
	const char *svc = object_name(g->svc), *ns = object_namespace(g->svc);
	struct endpoint_slice *x;
	const char *name;

	do
		name =
		    arena_printf(g->a, "%s-%s", svc, snapshot_suffix(g->s, svc, g->nonce++, 5));
	while (snapshot_find(g->s, RES_endpoint_slice, ns, name));
	x = object_new(RES_endpoint_slice, ns, name, g->a);
	x->metadata->generateName = arena_printf(g->a, "%s-", svc);
	x->addressType = family_name(g->v6);
	owner_add(x->metadata, g->svc, g->a);
	return x;
}

static size_t
find_pod(const struct group *group, const struct endpoint *e)
{
	size_t i = 0;

	while (i < group->n &&
	       !(e->targetRef && str_is(e->targetRef->uid, object_uid(group->pods[i]))))
		i++;
	return i;
}

static void
slice_add(struct gathering *g, struct slice *x, struct group *group, size_t pod)
{
	x->at[x->n++] = endpoint_of(g->svc, group->pods[pod], g->v6, g->a);
	group->placed[pod] = true;
}

/* Our slices, each with those of its endpoints that are still wanted there. */
static void
slices_keep(struct gathering *g)
{
	struct objects owned = snapshot_owned(g->s, RES_endpoint_slice, object_uid(g->svc));

	g->slices =
	    arena_zalloc(g->a, (owned.n + g->n + g->total / SLICE_MAX + 2) * sizeof *g->slices);
	for (size_t i = 0; i < owned.n; i++) {
		const struct endpoint_slice *old = (const struct endpoint_slice *)owned.at[i];
		struct slice *x;

		if (!str_is(old->addressType, family_name(g->v6)))
			continue;
		x = &g->slices[g->nslices++];
		x->old = old;
		x->at = arena_zalloc(g->a, SLICE_MAX * sizeof *x->at);
		for (size_t k = 0; k < g->n && !x->group; k++)
			if (same_ports(g->at[k].ports.at, g->at[k].ports.n, x->old->ports.at,
				       x->old->ports.n))
				x->group = &g->at[k];
		for (size_t k = 0; x->group && k < x->old->endpoints.n; k++) {
			size_t pod = find_pod(x->group, &x->old->endpoints.at[k]);

			if (pod < x->group->n && !x->group->placed[pod] && x->n < SLICE_MAX)
				slice_add(g, x, x->group, pod);
		}
	}
}

/* A slice of this group with room: one that has, one that nobody needs, or a new one. */
static struct slice *
slice_with_room(struct gathering *g, struct group *group)
{
	struct slice *x;

	for (size_t i = 0; i < g->nslices; i++)
		if (g->slices[i].group == group && g->slices[i].n < SLICE_MAX)
			return &g->slices[i];
	for (size_t i = 0; i < g->nslices; i++)
		if (!g->slices[i].n) {
			g->slices[i].group = group;
			return &g->slices[i];
		}
	x = &g->slices[g->nslices++];
	x->group = group;
	x->at = arena_zalloc(g->a, SLICE_MAX * sizeof *x->at);
	return x;
}

static void
slices_fill(struct gathering *g)
{
	for (size_t k = 0; k < g->n; k++)
		for (size_t i = 0; i < g->at[k].n; i++)
			if (!g->at[k].placed[i])
				slice_add(g, slice_with_room(g, &g->at[k]), &g->at[k], i);
	/* a service without endpoints says so with one empty slice */
	if (!g->nslices)
		g->slices[g->nslices++] = (struct slice){ 0 };
}

static bool
any_filled(const struct gathering *g)
{
	for (size_t i = 0; i < g->nslices; i++)
		if (g->slices[i].n)
			return true;
	return false;
}

static void
slice_write(struct gathering *g, const struct slice *x, struct plan *p)
{
	struct endpoint_slice *draft = x->old ? object_draft(x->old, g->a) : slice_new(g);

	label(draft->metadata, g->svc, g->a);
	pairs_set(&draft->metadata->labels, LABEL_SERVICE, object_name(g->svc), g->a);
	pairs_set(&draft->metadata->labels, LABEL_MANAGED_BY, MANAGER, g->a);
	draft->endpoints.at = x->at;
	draft->endpoints.n = x->n;
	draft->ports.at = x->n ? x->group->ports.at : NULL;
	draft->ports.n = x->n ? x->group->ports.n : 0;
	if (!x->old)
		plan_write(p, ACT_CREATE, draft, 0, (int64_t)x->n, "");
	else if (!schema_equal(endpoint_slice_kind(), draft, x->old))
		plan_write(p, ACT_UPDATE, draft, (int64_t)x->old->endpoints.n, (int64_t)x->n,
			   "");
}

static void
slices_reconcile(struct gathering *g, struct plan *p)
{
	bool filled, kept_one = false;

	slices_keep(g);
	slices_fill(g);
	filled = any_filled(g);
	for (size_t i = 0; i < g->nslices; i++) {
		struct slice *x = &g->slices[i];

		if (x->n || (!filled && !kept_one)) {
			kept_one = true;
			slice_write(g, x, p);
		} else if (x->old) {
			plan_name(p, ACT_DELETE, x->old, "empty");
		}
	}
}

/* ---- Endpoints ---- */

static int
address_order(const void *a, const void *b)
{
	const struct endpoint_address *x = a, *y = b;

	return strcmp(x->ip, y->ip);
}

static struct endpoint_subset
subset_of(struct gathering *g, const struct group *group)
{
	struct endpoint_address *at[2]; /* ready, not */
	struct endpoint_subset out = { 0 };
	size_t n[2] = { 0, 0 };

	for (size_t i = 0; i < 2; i++)
		at[i] = arena_zalloc(g->a, (group->n + 1) * sizeof *at[i]);
	for (size_t i = 0; i < group->n; i++) {
		const struct pod *pod = group->pods[i];
		bool any = g->svc->spec->publishNotReadyAddresses;
		size_t to = !any && !pod_is_ready(pod);

		if (pod->metadata->deletionTimestamp && !any)
			continue; /* this old form knows no terminating */
		at[to][n[to]++] =
		    (struct endpoint_address){ .ip = pod_address(pod, g->v6),
					       .hostname = hostname_of(g->svc, pod),
					       .nodeName = pod->spec->nodeName,
					       .targetRef = pod_reference(pod, g->a) };
	}
	for (size_t i = 0; i < 2; i++)
		qsort(at[i], n[i], sizeof *at[i], address_order);
	out.addresses.at = at[0];
	out.addresses.n = n[0];
	out.notReadyAddresses.at = at[1];
	out.notReadyAddresses.n = n[1];
	out.ports.at = group->ports.at;
	out.ports.n = group->ports.n;
	return out;
}

static void
old_form_reconcile(struct gathering *g, struct plan *p)
{
	const char *ns = object_namespace(g->svc), *name = object_name(g->svc);
	const struct endpoints *old = snapshot_find(g->s, RES_endpoints, ns, name);
	struct endpoints *draft =
	    old ? object_draft(old, g->a) : object_new(RES_endpoints, ns, name, g->a);
	const struct owner_reference *owner = old ? object_controller(old) : NULL;

	draft->subsets.at = arena_zalloc(g->a, (g->n + 1) * sizeof *draft->subsets.at);
	draft->subsets.n = 0;
	for (size_t i = 0; i < g->n; i++) {
		struct endpoint_subset x = subset_of(g, &g->at[i]);

		if (x.addresses.n || x.notReadyAddresses.n)
			draft->subsets.at[draft->subsets.n++] = x;
	}
	label(draft->metadata, g->svc, g->a);
	if (!owner || !str_is(owner->uid, object_uid(g->svc))) {
		/* made by hand, or for a service of this name that is no more */
		memset(&draft->metadata->ownerReferences, 0,
		       sizeof draft->metadata->ownerReferences);
		owner_add(draft->metadata, g->svc, g->a);
	}
	if (!old)
		plan_write(p, ACT_CREATE, draft, 0, 0, "");
	else if (!schema_equal(endpoints_kind(), draft, old))
		plan_write(p, ACT_UPDATE, draft, 0, 0, "");
}

/* Without a selector the lists are the user's; those that are ours go. */
static void
ours_drop(struct snapshot *s, const struct service *svc, struct plan *p)
{
	static const enum resource_id kinds[] = { RES_endpoint_slice, RES_endpoints };

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		struct objects owned = snapshot_owned(s, kinds[k], object_uid(svc));

		for (size_t i = 0; i < owned.n; i++)
			plan_name(p, ACT_DELETE, owned.at[i],
				  "its service selects no pods any more");
	}
}

/* Slices are of one family each; the old form lists addresses of the first. */
static void
family_reconcile(struct snapshot *s, const struct service *svc, bool v6, struct plan *p)
{
	/* names differ from those of the other family, in the same pass, too */
	struct gathering g = { .s = s, .svc = svc, .v6 = v6, .a = p->arena, .nonce = v6 << 20 };

	gather(&g);
	for (size_t i = 0; i < g.n; i++)
		g.total += g.at[i].n;
	slices_reconcile(&g, p);
	if (v6 == service_family_first(svc))
		old_form_reconcile(&g, p);
}

/* Of a family that the service has not any more. */
static void
family_drop(struct snapshot *s, const struct service *svc, bool v6, struct plan *p)
{
	struct objects owned = snapshot_owned(s, RES_endpoint_slice, object_uid(svc));

	for (size_t i = 0; i < owned.n; i++)
		if (str_is(((const struct endpoint_slice *)owned.at[i])->addressType,
			   family_name(v6)))
			plan_name(p, ACT_DELETE, owned.at[i],
				  "its service has no such addresses");
}

void
endpoints_reconcile(struct snapshot *s, const struct service *svc, struct plan *p)
{
	if (!service_selects(svc)) {
		ours_drop(s, svc, p);
		if (!str_is(svc->spec ? svc->spec->type : "", "ExternalName"))
			endpoints_mirror(s, svc, p);
		return;
	}
	for (int v6 = 0; v6 < 2; v6++)
		if (service_has_family(svc, v6))
			family_reconcile(s, svc, v6, p);
		else
			family_drop(s, svc, v6, p);
}

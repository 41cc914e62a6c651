/* endpoints_mirror.c -- Endpoints that a user wrote, once more as EndpointSlices.
 *
 * Pure, and Kubernetes' endpointslicemirroring controller: one slice for each list of ports,
 * owned by the Endpoints, unless these say that they want none.  Who reads slices only, as
 * the proxy's own controller does first, finds a hand-written Service there, too.
 */
#include "controllers.h"
#include "own.h"
#include "service.h"
#include "workload.h"

#define MIRRORER "endpointslicemirroring-controller.k8s.io"

enum { MIRROR_MAX = 1000 }; /* endpoints of a subset, as Kubernetes; the rest is left out */

static bool
is_mirrored(const struct endpoints *ep)
{
	return !object_controller(ep) && !ep->metadata->deletionTimestamp &&
	       !str_is(pairs_get(&ep->metadata->labels, LABEL_SKIP), "true");
}

static struct endpoint
endpoint_of(const struct endpoint_address *from, bool ready, struct arena *a)
{
	struct endpoint_conditions *c = arena_zalloc(a, sizeof *c);
	struct strs ip = { arena_alloc(a, sizeof *ip.at), 1 };

	c->ready = ready;
	schema_mark(endpoint_conditions_kind(), c, "ready");
	ip.at[0] = from->ip;
	return (struct endpoint){ .addresses = ip,
				  .conditions = c,
				  .hostname = from->hostname,
				  .targetRef = from->targetRef,
				  .nodeName = from->nodeName };
}

static bool
is_of(const struct endpoint_address *at, bool v6)
{
	return addr_text_is_v6(at->ip) == v6;
}

/* Addresses of one family. */
static void
fill(struct endpoint_slice *x, const struct endpoint_subset *sub, bool v6, struct arena *a)
{
	size_t ready = sub->addresses.n, all = ready + sub->notReadyAddresses.n;
	size_t n = (size_t)least((int64_t)all, MIRROR_MAX);

	x->endpoints.at = arena_zalloc(a, (n + 1) * sizeof *x->endpoints.at);
	x->endpoints.n = 0;
	for (size_t i = 0; i < all && x->endpoints.n < n; i++) {
		const struct endpoint_address *at =
		    i < ready ? &sub->addresses.at[i] : &sub->notReadyAddresses.at[i - ready];

		if (is_of(at, v6))
			x->endpoints.at[x->endpoints.n++] = endpoint_of(at, i < ready, a);
	}
	x->ports.at = sub->ports.at;
	x->ports.n = sub->ports.n;
}

static void
label(struct object_meta *m, const struct endpoints *ep, struct arena *a)
{
	labels_take(m, &ep->metadata->labels, a);
	pairs_set(&m->labels, LABEL_SERVICE, object_name(ep), a);
	pairs_set(&m->labels, LABEL_MANAGED_BY, MIRRORER, a);
}

static struct endpoint_slice *
slice_new(struct snapshot *s, const struct endpoints *ep, bool v6, uint64_t *nonce,
	  struct arena *a)
{
	const char *ns = object_namespace(ep), *name;
	struct endpoint_slice *x;

	do
		name = arena_printf(a, "%s-%s", object_name(ep),
				    snapshot_suffix(s, object_name(ep), (*nonce)++, 5));
	while (snapshot_find(s, RES_endpoint_slice, ns, name));
	x = object_new(RES_endpoint_slice, ns, name, a);
	x->metadata->generateName = arena_printf(a, "%s-", object_name(ep));
	x->addressType = family_name(v6);
	owner_add(x->metadata, ep, a);
	return x;
}

static bool
has_ports(const struct endpoint_slice *x, const struct endpoint_subset *sub)
{
	if (x->ports.n != sub->ports.n)
		return false;
	for (size_t i = 0; i < sub->ports.n; i++)
		if (!schema_equal(endpoint_port_kind(), &x->ports.at[i], &sub->ports.at[i]))
			return false;
	return true;
}

/* The slice that mirrors this list already, else one that is left over; NULL: none is.  Taken
 * out of the list. */
static const struct endpoint_slice *
take(const struct object **at, size_t n, const struct endpoint_subset *sub, bool v6)
{
	size_t best = n;
	const struct endpoint_slice *x;

	for (size_t i = 0; i < n; i++) {
		x = (const struct endpoint_slice *)at[i];
		if (x && !str_is(x->addressType, family_name(v6)))
			continue;
		if (x && (best == n || has_ports(x, sub)))
			best = i;
		if (x && has_ports(x, sub))
			break;
	}
	if (best == n)
		return NULL;
	x = (const struct endpoint_slice *)at[best];
	at[best] = NULL;
	return x;
}

static bool
has_any(const struct endpoint_subset *sub, bool v6)
{
	for (size_t i = 0; i < sub->addresses.n; i++)
		if (is_of(&sub->addresses.at[i], v6))
			return true;
	for (size_t i = 0; i < sub->notReadyAddresses.n; i++)
		if (is_of(&sub->notReadyAddresses.at[i], v6))
			return true;
	return !v6 && !has_any(sub, true); /* an empty list is one of IPv4 */
}

void
endpoints_mirror(struct snapshot *s, const struct service *svc, struct plan *p)
{
	const struct endpoints *ep =
	    snapshot_find(s, RES_endpoints, object_namespace(svc), object_name(svc));
	const struct object **left;
	struct objects has;
	uint64_t nonce = 0;

	if (!ep)
		return; /* what mirrored it goes with its owner */
	has = snapshot_owned(s, RES_endpoint_slice, object_uid(ep));
	left = arena_alloc(p->arena, (has.n + 1) * sizeof *left);
	for (size_t i = 0; i < has.n; i++)
		left[i] = has.at[i];
	for (size_t i = 0; is_mirrored(ep) && i < 2 * ep->subsets.n; i++) {
		const struct endpoint_subset *sub = &ep->subsets.at[i / 2];
		bool v6 = i % 2;
		const struct endpoint_slice *old;
		struct endpoint_slice *draft;

		if (!has_any(sub, v6))
			continue;
		old = take(left, has.n, sub, v6);
		draft =
		    old ? object_draft(old, p->arena) : slice_new(s, ep, v6, &nonce, p->arena);
		label(draft->metadata, ep, p->arena);
		fill(draft, sub, v6, p->arena);
		if (!old)
			plan_write(p, ACT_CREATE, draft, 0, (int64_t)draft->endpoints.n,
				   "mirrors its Endpoints");
		else if (!schema_equal(endpoint_slice_kind(), draft, old))
			plan_write(p, ACT_UPDATE, draft, (int64_t)old->endpoints.n,
				   (int64_t)draft->endpoints.n, "mirrors its Endpoints");
	}
	for (size_t i = 0; i < has.n; i++)
		if (left[i])
			plan_name(p, ACT_DELETE, left[i], "its Endpoints have less");
}

/* Kubernetes' controller of Endpoints deletes them when it hears that their Service was,
 * whoever wrote them.  Those that are there before their Service wait for it; that there was
 * one shows in the slices that mirror them.  What Git states stays, and only the slices go. */
void
endpoints_bereaved(struct snapshot *s, const struct endpoints *ep, struct plan *p)
{
	struct objects has;
	bool mirrored = false;

	if (ep->metadata->deletionTimestamp ||
	    snapshot_find(s, RES_service, object_namespace(ep), object_name(ep)))
		return;
	has = snapshot_owned(s, RES_endpoint_slice, object_uid(ep));
	for (size_t i = 0; i < has.n; i++) {
		if (!str_is(object_label(has.at[i], LABEL_MANAGED_BY), MIRRORER))
			continue;
		mirrored = true;
		if (own_is_gits(s, (const struct object *)ep) &&
		    !has.at[i]->metadata->deletionTimestamp)
			plan_name(p, ACT_DELETE, has.at[i], "its service is gone");
	}
	if (mirrored && !own_is_gits(s, (const struct object *)ep))
		plan_name(p, ACT_DELETE, ep, "its service is gone");
}

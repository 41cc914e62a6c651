/* write_status.c -- a write to an object's status: what of it is taken.
 *
 * Kubernetes lets whoever may write all of a status, and its controllers then write over what
 * is theirs.  Here that is one step: what kedge sees stays as kedge sees it, and what others
 * tell of the object is taken: conditions of types that are not kedge's, and the addresses
 * that somebody else's load balancer has.  Beside the status such a write may change labels
 * and annotations, as in Kubernetes; the spec it may not.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "patch_tree.h"
#include "rules.h"
#include "service.h"
#include "workload.h"
#include "write.h"
#include <string.h>

/* What the controllers write, beside the types that begin with "kedge.dev/"; and what of the
 * metadata a write to the status leaves alone. */
static const struct {
	enum resource_id res;
	const char *types, *kept;
} own[] = {
	{ RES_pod,
	  "PodScheduled PodReadyToStartContainers Initialized ContainersReady Ready "
	  "PodResizePending PodResizeInProgress",
	  "ownerReferences" },
	{ RES_deployment, "Available Progressing ReplicaFailure", "labels" },
	{ RES_replica_set, "ReplicaFailure", NULL },
	{ RES_pod_disruption_budget, "DisruptionAllowed", NULL },
};

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word), n;

	for (; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (n == len && !memcmp(words, word, n))
			return true;
	}
	return false;
}

static bool
is_kedges(const struct resource *r, const char *type)
{
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (own[i].res == r->id && has_word(own[i].types, type))
			return true;
	return !strncmp(type, "kedge.dev/", strlen("kedge.dev/"));
}

static const char *
kept_of(const struct resource *r)
{
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (own[i].res == r->id)
			return own[i].kept;
	return NULL;
}

/* ---- the tree ---- */

/* With these of `live`, or without them when it is NULL. */
static struct tree *
with_fixed(const struct resource *r, const struct tree *t, const struct tree *live,
	   struct arena *a)
{
	const struct tree *meta = tree_get(t, "metadata"), *had;
	const char *kept = kept_of(r);
	struct members top, m;

	members_open(&top, a);
	members_add_all(&top, t);
	members_del(&top, "spec");
	if ((had = tree_get(live, "spec")))
		members_put(&top, "spec", had);
	if (kept && meta && meta->type == N_MAP) {
		members_open(&m, a);
		members_add_all(&m, meta);
		members_del(&m, kept);
		if ((had = tree_get(tree_get(live, "metadata"), kept)))
			members_put(&m, kept, had);
		members_put(&top, "metadata", members_close(&m, N_MAP));
	}
	return members_close(&top, N_MAP);
}

struct tree *
write_status_strip(const struct resource *r, const struct tree *t, struct arena *a)
{
	return t->type == N_MAP ? with_fixed(r, t, NULL, a) : tree_copy(t, a);
}

const struct tree *
write_status_body(struct write *w, const struct tree *body)
{
	return with_fixed(w->res, body, object_tree(w->live, w->a), w->a);
}

/* ---- what is taken ---- */

static const struct kind *
status_kind(const struct resource *r)
{
	return schema_field(r->schema, "status")->of();
}

/* Of the rows that the kind has, only those of which something may be taken: the others may
 * be as old as the client likes. */
static struct tree *
takeable(const struct resource *r, const struct tree *status, struct arena *a)
{
	struct members m;

	members_open(&m, a);
	for (const struct tree *t = status->kids; t; t = t->next)
		if (!schema_field(status_kind(r), t->key) || !strcmp(t->key, "conditions") ||
		    !strcmp(t->key, "loadBalancer"))
			members_put(&m, t->key, t);
	return members_close(&m, N_MAP);
}

void *
write_status_read(struct write *w, const struct tree *body)
{
	const struct kind *k = status_kind(w->res);
	const struct tree *sent = tree_get(body, "status");
	struct complaint *last = w->cs.last, *c;
	void *status;

	if (!sent || sent->type == N_NULL)
		return arena_zalloc(w->a, k->size);
	status = schema_decode(k, sent->type == N_MAP ? takeable(w->res, sent, w->a) : sent,
			       SCHEMA_LENIENT, w->a, &w->cs);
	for (c = last ? last->next : w->cs.first; c; c = c->next)
		c->field = arena_printf(w->a, "status%s%s", c->field && *c->field ? "." : "",
					c->field ? c->field : "");
	return status;
}

static struct conditions *
conditions_at(const struct resource *r, void *status)
{
	const struct field *f = schema_field(status_kind(r), "conditions");

	return f ? (struct conditions *)((char *)status + f->off) : NULL;
}

/* Those of others as they were sent, in that order; kedge's own as they are. */
static void
take_conditions(const struct conditions *sent, struct conditions *io, const struct resource *r,
		struct arena *a)
{
	struct conditions out = { arena_zalloc(a, (sent->n + io->n + 1) * sizeof *out.at), 0 };

	for (size_t i = 0; i < sent->n; i++) {
		const struct condition *c = &sent->at[i];
		bool ours = is_kedges(r, c->type);
		const struct condition *is = ours ? condition_of(io->at, io->n, c->type) : c;

		if (is && !condition_of(out.at, out.n, c->type))
			out.at[out.n++] = *is;
	}
	for (size_t i = 0; i < io->n; i++)
		if (is_kedges(r, io->at[i].type) &&
		    !condition_of(out.at, out.n, io->at[i].type))
			out.at[out.n++] = io->at[i];
	*io = out;
}

/* As ValidateLoadBalancerStatus. */
static void
check_ingress(struct write *w, struct load_balancer_ingress *in, size_t i)
{
	const char *why = str_is(in->ip, "") ? NULL : is_ip(in->ip, w->a);

	if (why)
		complain(&w->cs, 0, 0,
			 arena_printf(w->a, "status.loadBalancer.ingress[%zu].ip", i),
			 "Invalid value: \"%.100s\": %s", in->ip, why);
	why = str_is(in->hostname, "") ? NULL : is_subdomain(in->hostname, w->a);
	if (why)
		complain(&w->cs, 0, 0,
			 arena_printf(w->a, "status.loadBalancer.ingress[%zu].hostname", i),
			 "Invalid value: \"%.300s\": %s", in->hostname, why);
	if (!str_is(in->ip, "") && str_is(in->ipMode, ""))
		in->ipMode = "VIP";
}

/* A load balancer of another class is its own controller's to tell of. */
static bool
balanced_by_others(const struct service *svc)
{
	return service_is(svc, "LoadBalancer") && !str_is(svc->spec->loadBalancerClass, "") &&
	       !str_is(svc->spec->loadBalancerClass, CLASS_POOL);
}

static void
take_balancer(struct write *w, const struct service_status *sent, struct service_status *io)
{
	const struct service *svc = (const struct service *)w->live;
	struct load_balancer_status *l = sent->loadBalancer;

	if (l && l->ingress.n && !service_is(svc, "LoadBalancer")) {
		complain(&w->cs, 0, 0, "status.loadBalancer.ingress",
			 "Forbidden: may only be used when `spec.type` is \"LoadBalancer\"");
		return;
	}
	if (!balanced_by_others(svc))
		return;
	for (size_t i = 0; l && i < l->ingress.n; i++)
		check_ingress(w, &l->ingress.at[i], i);
	io->loadBalancer = l ? l : arena_zalloc(w->a, sizeof *l);
}

void *
write_status_taken(struct write *w, const void *was, void *sent)
{
	const struct kind *k = status_kind(w->res);
	void *is = was ? schema_clone(k, was, w->a) : arena_zalloc(w->a, k->size);
	const struct conditions *said = conditions_at(w->res, sent);

	if (said)
		take_conditions(said, conditions_at(w->res, is), w->res, w->a);
	if (w->res->id == RES_service)
		take_balancer(w, sent, is);
	/* What has none yet, and is told nothing, has none. */
	return was || !schema_equal(k, is, arena_zalloc(w->a, k->size)) ? is : NULL;
}

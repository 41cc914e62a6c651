/* isolation.c -- which pods are isolated, and by which parts of which policies.
 *
 * Pure.  A pod that a policy selects is not started before its isolation is in force
 * on the host (pod.c asks isolation_stands), so none of its processes ever sends or
 * hears a packet that a policy forbids.  Its address is not given to another as long
 * as any rule names it (pod_place.c).
 */
#include "controllers.h"
#include "policy.h"

static const char *
pod_id(const struct pod *pod, struct arena *a)
{
	return arena_printf(a, "pod %s/%s", object_namespace(pod), object_name(pod));
}

const struct isolate_args *
isolation_of(struct snapshot *s, const struct pod *pod, struct arena *a)
{
	struct objects all = snapshot_in(s, RES_network_policy, object_namespace(pod));
	const char *ip = all.n ? policy_address(s, pod) : NULL;
	struct isolate_args *x;

	if (!ip)
		return NULL;
	x = arena_zalloc(a, sizeof *x);
	x->ip = ip;
	x->policies.at = arena_alloc(a, (2 * all.n + 1) * sizeof *x->policies.at);
	for (size_t i = 0; i < all.n; i++) {
		const struct network_policy *np = (const struct network_policy *)all.at[i];

		for (int egress = 0; egress < 2; egress++) {
			if (!np->spec || !policy_is_about(np, egress) ||
			    !policy_selects(np, pod))
				continue;
			*(egress ? &x->egress : &x->ingress) = true;
			x->policies.at[x->policies.n++] = arena_printf(
			    a, "%s/%s", object_namespace(np), policy_part(np, egress, pod, a));
		}
	}
	return x->ingress || x->egress ? x : NULL;
}

bool
isolation_stands(const struct snapshot *s, const struct pod *pod,
		 const struct isolate_args *want, struct arena *a)
{
	const struct enforced *has = snapshot_enforced(s, pod_id(pod, a));

	return has && schema_equal(isolate_args_kind(), has->args, want);
}

static void
release(const char *kind, const char *ns, const char *name, const char *why, struct plan *p)
{
	plan_add(p, (struct action){ .verb = ACT_RELEASE,
				     .kind = kind,
				     .ns = arena_strdup(p->arena, ns),
				     .name = arena_strdup(p->arena, name),
				     .why = why });
}

void
isolation_reconcile(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	const struct isolate_args *want = isolation_of(s, pod, p->arena);
	const char *kind = resources[RES_pod].singular;

	if (!want) {
		if (s->nenforced && snapshot_enforced(s, pod_id(pod, p->arena)))
			release(kind, object_namespace(pod), object_name(pod),
				policy_address(s, pod) ? "no policy selects it"
						       : "it has ended",
				p);
		return;
	}
	if (isolation_stands(s, pod, want, p->arena))
		return;
	plan_add(p, (struct action){
			.verb = ACT_ISOLATE,
			.kind = kind,
			.ns = arena_strdup(p->arena, object_namespace(pod)),
			.name = arena_strdup(p->arena, object_name(pod)),
			.why = arena_printf(p->arena, "%s%s%s", want->ingress ? "ingress" : "",
					    want->ingress && want->egress ? " and " : "",
					    want->egress ? "egress" : ""),
			.body = schema_clone(isolate_args_kind(), want, p->arena) });
}

void
isolation_garbage(struct snapshot *s, struct plan *p)
{
	for (size_t i = 0; i < s->nenforced; i++) {
		const char *id = s->enforced[i].id, *space = strchr(id, ' ');
		const char *slash = strchr(id, '/'), *end = slash + strcspn(slash, ":");
		bool is_pod = !strncmp(id, "pod ", 4);
		enum resource_id res = is_pod ? RES_pod : RES_network_policy;
		const char *ns =
		    arena_strndup(p->arena, space + 1, (size_t)(slash - space) - 1);
		const char *name =
		    arena_strndup(p->arena, slash + 1, (size_t)(end - slash) - 1);

		if (!snapshot_find(s, res, ns, name))
			release(resources[res].singular, ns, slash + 1,
				is_pod ? "no such pod" : "the policy is gone", p);
	}
}

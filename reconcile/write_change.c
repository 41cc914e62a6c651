/* write_change.c -- what a change over the API carries over, and what it may not touch. */
#include "apply.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "patch_tree.h"
#include "pod_change.h"
#include "pod_resources.h"
#include "write.h"
#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* ---- Services: what was allocated stays, or goes with the type that wanted it ---- */

static const char *
scalar_of(const struct tree *t, const char *key, const char *otherwise)
{
	const struct tree *v = tree_get(t, key);

	return v && v->text && v->type != N_NULL && *v->text ? v->text : otherwise;
}

static bool
is_unset(const struct tree *t)
{
	return !t || t->type == N_NULL ||
	       (t->type == N_LIST ? !t->kids : t->text && (!*t->text || !strcmp(t->text, "0")));
}

/* What a spec has use for. */
struct wants {
	bool address, node_ports, balancer, health_port, policy;
};

static struct wants
wants_of(const struct tree *spec)
{
	const char *type = scalar_of(spec, "type", "ClusterIP");
	bool balancer = str_is(type, "LoadBalancer"),
	     outside = balancer || str_is(type, "NodePort");

	return (struct wants){
		.address = !str_is(type, "ExternalName"),
		.node_ports = outside,
		.balancer = balancer,
		.health_port =
		    balancer && str_is(scalar_of(spec, "externalTrafficPolicy", ""), "Local"),
		.policy = outside || (str_is(type, "ClusterIP") &&
				      !is_unset(tree_get(spec, "externalIPs"))),
	};
}

/* The fields that stay as they were while they are wanted, and those that go, unless they
 * were set to something new, with the last reason to have them. */
static const struct {
	const char *key;
	size_t wanted; /* the member of struct wants */
	bool stays;
} kept[] = {
	{ "clusterIP", offsetof(struct wants, address), true },
	{ "clusterIPs", offsetof(struct wants, address), true },
	{ "ipFamilies", offsetof(struct wants, address), false },
	{ "ipFamilyPolicy", offsetof(struct wants, address), true },
	{ "internalTrafficPolicy", offsetof(struct wants, address), false },
	{ "healthCheckNodePort", offsetof(struct wants, health_port), true },
	{ "allocateLoadBalancerNodePorts", offsetof(struct wants, balancer), false },
	{ "loadBalancerClass", offsetof(struct wants, balancer), false },
	{ "externalTrafficPolicy", offsetof(struct wants, policy), false },
};

static bool
wanted(const struct wants *w, size_t member)
{
	return *(const bool *)((const char *)w + member);
}

static void
carry_fields(struct members *spec, const struct tree *old, const struct wants *was,
	     const struct wants *is)
{
	const struct tree *said = members_get(spec, "clusterIP");
	bool moved = !is_unset(said) && !str_is(said->text, scalar_of(old, "clusterIP", ""));

	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		const struct tree *before = tree_get(old, kept[i].key),
				  *now = members_get(spec, kept[i].key);

		if (!before || !wanted(was, kept[i].wanted))
			continue;
		if (!wanted(is, kept[i].wanted)) {
			if (now && tree_same(before, now))
				members_del(spec, kept[i].key);
		} else if (kept[i].stays && is_unset(now) &&
			   !(moved && str_is(kept[i].key, "clusterIPs"))) {
			members_put(spec, kept[i].key, before);
		}
	}
}

/* A list that is as it was, of two: its first alone. */
static void
trim(struct write *w, struct members *spec, const struct tree *old, const char *key)
{
	const struct tree *was = tree_get(old, key), *is = members_get(spec, key);
	struct tree *one;

	if (!is || is->type != N_LIST || !is->kids || !is->kids->next ||
	    !(was && tree_same(was, is)))
		return;
	one = tree_copy(is, w->a);
	one->kids->next = NULL;
	members_put(spec, key, one);
}

/* Who asks for one family gives the second one back, as long as nothing else is said of it. */
static void
carry_families(struct write *w, struct members *spec, const struct tree *old)
{
	const struct tree *policy = members_get(spec, "ipFamilyPolicy");

	if (!policy || !policy->text || !str_is(policy->text, "SingleStack"))
		return;
	trim(w, spec, old, "clusterIPs");
	trim(w, spec, old, "ipFamilies");
}

/* Its number -> itself, of each that has one. */
static void
node_ports_of(const struct tree *ports, struct map *ret)
{
	for (const struct tree *p = ports ? ports->kids : NULL; p; p = p->next) {
		const char *number = scalar_of(p, "nodePort", "0");

		if (strcmp(number, "0") != 0)
			map_put(ret, number, (void *)p);
	}
}

/* None of them is new. */
static bool
same_node_ports(const struct tree *ports, const struct map *old)
{
	for (const struct tree *p = ports->kids; p; p = p->next) {
		const char *number = scalar_of(p, "nodePort", "0");

		if (strcmp(number, "0") != 0 && !map_get(old, number))
			return false;
	}
	return true;
}

/* Name -> its port's nodePort, of the last old port that has this name and one that no new
 * port has. */
static void
node_ports_by_name(const struct tree *old, const struct map *taken, struct map *ret)
{
	for (const struct tree *p = old ? old->kids : NULL; p; p = p->next) {
		const struct tree *number = tree_get(p, "nodePort");
		bool left = number && !is_unset(number) && !map_get(taken, number->text);

		map_put(ret, scalar_of(p, "name", ""), left ? (void *)number : NULL);
	}
}

static struct tree *
carried_port(struct write *w, const struct tree *port, const struct tree *before, bool keep)
{
	struct members m;

	if (port->type != N_MAP)
		return tree_copy(port, w->a);
	members_open(&m, w->a);
	members_add_all(&m, port);
	if (keep && before && is_unset(tree_get(port, "nodePort")))
		members_put(&m, "nodePort", before);
	if (!keep)
		members_del(&m, "nodePort");
	return members_close(&m, N_MAP);
}

static void
carry_ports(struct write *w, struct members *spec, const struct tree *old, bool keep)
{
	const struct tree *ports = members_get(spec, "ports");
	struct tree *out = tree_empty(N_LIST, w->a), **tail = &out->kids;
	struct map were = { 0 }, taken = { 0 }, names = { 0 };
	bool carry = ports && ports->type == N_LIST;

	node_ports_of(old, &were);
	carry = carry && (keep || same_node_ports(ports, &were));
	if (carry) {
		node_ports_of(ports, &taken);
		node_ports_by_name(old, &taken, &names);
		for (const struct tree *port = ports->kids; port; port = port->next) {
			*tail = carried_port(
			    w, port, map_get(&names, scalar_of(port, "name", "")), keep);
			tail = &(*tail)->next;
		}
		members_put(spec, "ports", out);
	}
	map_done(&were);
	map_done(&taken);
	map_done(&names);
}

/* As the API server's patchAllocatedValues and dropTypeDependentFields. */
static const struct tree *
carry_service(struct write *w, const struct tree *body)
{
	const struct tree *old = tree_get(object_tree(w->live, w->a), "spec"),
			  *spec = tree_get(body, "spec");
	struct wants was, is;
	struct members m, top;

	if (!old || !spec || spec->type != N_MAP)
		return body;
	was = wants_of(old);
	is = wants_of(spec);
	members_open(&m, w->a);
	members_add_all(&m, spec);
	carry_fields(&m, old, &was, &is);
	carry_families(w, &m, old);
	if (was.node_ports)
		carry_ports(w, &m, tree_get(old, "ports"), is.node_ports);
	members_open(&top, w->a);
	members_add_all(&top, body);
	members_put(&top, "spec", members_close(&m, N_MAP));
	return members_close(&top, N_MAP);
}

const struct tree *
write_carry_over(struct write *w, const struct tree *body)
{
	return w->live && w->res->id == RES_service ? carry_service(w, body) : body;
}

/* ---- pods ---- */

static const char pod_words[] =
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be "
    "set to 1 if it was previously negative)";

static void
forbid(struct write *w, const char *field, const char *words)
{
	complaint_add(&w->cs, COMPLAINT_FORBIDDEN, false, 0, 0, field, words);
}

static const char toleration_words[] =
    "Forbidden: existing toleration can not be modified except its tolerationSeconds";

/* It may be given to a pod that has none, and be shortened. */
static void
check_deadline(struct write *w, const struct pod_spec *was, const struct pod_spec *is)
{
	static const char field[] = "spec.activeDeadlineSeconds";

	if (pod_deadline_kept(was, is))
		return;
	if (!schema_has(pod_spec_kind(), is, "activeDeadlineSeconds"))
		complain(&w->cs, 0, 0, field,
			 "Invalid value: null: must not update from a positive integer to nil "
			 "value");
	else
		complain(&w->cs, 0, 0, field,
			 "Invalid value: %" PRId64
			 ": must be less than or equal to previous value",
			 is->activeDeadlineSeconds);
}

static void
check_removed(struct write *w, const char *field, const char *what, const struct pairs *was,
	      const struct pairs *is)
{
	for (size_t i = 0; i < was->n; i++)
		if (!pairs_get(is, was->at[i].key)) {
			complain(&w->cs, 0, 0, arena_printf(w->a, "%s.%s", field, what),
				 "Forbidden: resource %s cannot be removed", what);
			return;
		}
}

static void
check_container_resize(struct write *w, size_t i, const struct container *was,
		       const struct container *is)
{
	static const struct resource_requirements none;
	const struct resource_requirements *a = was->resources ? was->resources : &none,
					   *b = is->resources ? is->resources : &none;
	const char *field = arena_printf(w->a, "spec.containers[%zu].resources", i);
	const char *had = pairs_get(&a->limits, "memory"),
		   *has = pairs_get(&b->limits, "memory");

	if (!str_is(was->name, is->name)) {
		complain(&w->cs, 0, 0, arena_printf(w->a, "spec.containers[%zu].name", i),
			 "Forbidden: containers may not be renamed or reordered on resize");
		return;
	}
	check_removed(w, field, "requests", &a->requests, &b->requests);
	check_removed(w, field, "limits", &a->limits, &b->limits);
	if (had && has && quantity_milli(has) < quantity_milli(had) &&
	    !pod_restarts_for(is, "memory"))
		complain(&w->cs, 0, 0, arena_printf(w->a, "%s.limits[memory]", field),
			 "Forbidden: memory limits cannot be decreased unless resizePolicy is "
			 "RestartContainer");
}

static void
check_resize(struct write *w, const struct pod_spec *was, const struct pod_spec *is)
{
	int errors = w->cs.errors;

	if (schema_equal(pod_spec_kind(), was, is) || pod_resizable(was, is, w->a))
		return;
	for (size_t i = 0; i < is->containers.n && i < was->containers.n; i++)
		check_container_resize(w, i, &was->containers.at[i], &is->containers.at[i]);
	if (w->cs.errors > errors)
		return;
	if (!str_is(pod_qos(was), pod_qos(is)))
		complain(&w->cs, 0, 0, "spec",
			 "Invalid value: \"%s\": Pod QOS Class may not change as a result of "
			 "resizing",
			 pod_qos(is));
	else
		complain(&w->cs, 0, 0, "spec",
			 "Forbidden: only cpu and memory resources are mutable");
}

/* As ValidateContainerUpdates; false: nothing else of the pod is looked at then. */
static bool
check_containers(struct write *w, const char *field, const struct container *is, size_t n,
		 size_t was)
{
	if (n != was) {
		forbid(w, field, "Forbidden: pod updates may not add or remove containers");
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const char *image = is[i].image;
		size_t len = strlen(image);

		if (len &&
		    (isspace((unsigned char)*image) || isspace((unsigned char)image[len - 1])))
			complain(&w->cs, 0, 0, arena_printf(w->a, "%s[%zu].image", field, i),
				 "Invalid value: \"%s\": must not have leading or trailing "
				 "whitespace",
				 image);
	}
	return true;
}

static void
check_pod(struct write *w, const struct pod *live, const struct pod *new)
{
	const struct pod_spec *was = live->spec, *is = new->spec;
	struct pod_spec same;
	const char *gate;

	if (!was || !is)
		return;
	if (!w->resize && (!check_containers(w, "spec.containers", is->containers.at,
					     is->containers.n, was->containers.n) ||
			   !check_containers(w, "spec.initContainers", is->initContainers.at,
					     is->initContainers.n, was->initContainers.n)))
		return;
	check_deadline(w, was, is);
	if (!pod_tolerations_kept(was, is))
		forbid(w, "spec.tolerations", toleration_words);
	if (!pod_no_new_gate(was, is, &gate))
		complain(&w->cs, 0, 0, arena_printf(w->a, "spec.schedulingGates[%s]", gate),
			 "Forbidden: only deletion is allowed, but found new scheduling gate "
			 "'%s'",
			 gate);
	same = pod_spec_kept(was, is, w->a);
	if (w->resize) {
		same.containers = is->containers;
		same.initContainers = is->initContainers;
		check_resize(w, was, &same);
	} else if (!schema_equal(pod_spec_kind(), was, &same))
		forbid(w, "spec", pod_words);
}

/* ---- bindings ---- */

static void
check_role_ref(struct write *w, const struct role_ref *was, const struct role_ref *is)
{
	cleanup_buf struct buf text = { 0 };

	if (schema_equal(role_ref_kind(), was, is))
		return;
	schema_encode(role_ref_kind(), is, &text);
	complain(&w->cs, 0, 0, "roleRef", "Invalid value: %.700s: cannot change roleRef",
		 buf_text(&text));
}

/* ---- all ---- */

void
write_change_check(struct write *w)
{
	const struct object_meta *was = w->live->metadata, *is = w->obj->metadata;

	if (w->res->id == RES_role_binding)
		check_role_ref(w, ((const struct role_binding *)w->live)->roleRef,
			       ((const struct role_binding *)w->obj)->roleRef);
	if (w->res->id == RES_cluster_role_binding)
		check_role_ref(w, ((const struct cluster_role_binding *)w->live)->roleRef,
			       ((const struct cluster_role_binding *)w->obj)->roleRef);
	if (w->res->id == RES_pod)
		check_pod(w, (const struct pod *)w->live, (const struct pod *)w->obj);
	/* What is about to go gets no new reason to stay. */
	for (size_t i = 0; was->deletionTimestamp && i < is->finalizers.n; i++) {
		bool had = false;

		for (size_t k = 0; k < was->finalizers.n; k++)
			had = had || str_is(was->finalizers.at[k], is->finalizers.at[i]);
		if (!had)
			complain(&w->cs, 0, 0, "metadata.finalizers",
				 "Forbidden: no new finalizers can be added if the object is "
				 "being deleted, found new finalizers []string{\"%.200s\"}",
				 is->finalizers.at[i]);
	}
}

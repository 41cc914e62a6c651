/* write_change.c -- what a change over the API carries over, and what it may not touch. */
#include "apply.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "patch_tree.h"
#include "pod.h"
#include "pod_resources.h"
#include "write.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Services: what was allocated stays ---- */

static bool
has_address(const char *type)
{
	return !str_is(type, "ExternalName");
}

static bool
has_node_ports(const char *type)
{
	return str_is(type, "NodePort") || str_is(type, "LoadBalancer");
}

static const char *
text_of(const struct tree *t, const char *key, const char *otherwise)
{
	const struct tree *v = tree_get(t, key);

	return v && v->text && v->type != N_NULL && *v->text ? v->text : otherwise;
}

static const struct service_port *
same_port(const struct service_spec *s, const struct tree *port)
{
	const char *number = text_of(port, "port", ""),
		   *protocol = text_of(port, "protocol", "TCP");

	for (size_t i = 0; i < s->ports.n; i++)
		if (s->ports.at[i].port == atoll(number) &&
		    str_is(s->ports.at[i].protocol, protocol))
			return &s->ports.at[i];
	return NULL;
}

/* A port with its node port carried over, or without the one that came with the old type and
 * that nobody asked for. */
static struct tree *
carried_port(struct write *w, const struct service_spec *was, const char *type,
	     const struct tree *port)
{
	const struct service_port *old = port->type == N_MAP ? same_port(was, port) : NULL;
	int64_t said = atoll(text_of(port, "nodePort", "0"));
	struct tree number = { .type = N_INT };
	struct members m;

	if (!old || !old->nodePort)
		return tree_copy(port, w->a);
	members_open(&m, w->a);
	members_add_all(&m, port);
	number.text = arena_printf(w->a, "%" PRId64, old->nodePort);
	if (has_node_ports(type) && has_node_ports(was->type) && !said)
		members_put(&m, "nodePort", &number);
	if (!has_node_ports(type) && said == old->nodePort)
		members_del(&m, "nodePort");
	return members_close(&m, N_MAP);
}

static void
carry_ports(struct write *w, const struct service_spec *was, const char *type,
	    struct members *spec)
{
	const struct tree *ports = members_get(spec, "ports");
	struct tree *out = tree_empty(N_LIST, w->a), **tail = &out->kids;

	if (!ports || ports->type != N_LIST)
		return;
	for (const struct tree *port = ports->kids; port; port = port->next) {
		*tail = carried_port(w, was, type, port);
		tail = &(*tail)->next;
	}
	members_put(spec, "ports", out);
}

static void
carry_address(struct write *w, const struct service_spec *was, const char *type,
	      struct members *spec)
{
	const struct tree *ip = members_get(spec, "clusterIP");
	const char *said = ip && ip->type == N_STRING ? ip->text : "";

	if (str_is(was->clusterIP, "") || !has_address(was->type))
		return;
	if (has_address(type) && !*said)
		members_put(spec, "clusterIP", tree_string(was->clusterIP, w->a));
	if (!has_address(type) && str_is(said, was->clusterIP)) {
		members_del(spec, "clusterIP");
		members_del(spec, "clusterIPs");
		members_del(spec, "ipFamilies");
		members_del(spec, "ipFamilyPolicy");
		members_del(spec, "internalTrafficPolicy");
	}
}

/* As the API server's patchAllocatedValues and dropTypeDependentFields. */
static const struct tree *
carry_service(struct write *w, const struct tree *body)
{
	const struct service_spec *was = ((const struct service *)w->live)->spec;
	const struct tree *spec = tree_get(body, "spec"), *policy;
	const char *type = text_of(spec, "type", "ClusterIP");
	struct members m, top;

	if (!was || !spec || spec->type != N_MAP)
		return body;
	members_open(&m, w->a);
	members_add_all(&m, spec);
	carry_address(w, was, type, &m);
	carry_ports(w, was, type, &m);
	policy = members_get(&m, "externalTrafficPolicy");
	if (!has_node_ports(type) && has_node_ports(was->type) && policy &&
	    policy->type == N_STRING && str_is(policy->text, was->externalTrafficPolicy))
		members_del(&m, "externalTrafficPolicy");
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

static bool
images_differ(const struct pod_spec *a, const struct pod_spec *b)
{
	for (size_t i = 0; i < a->containers.n && i < b->containers.n; i++)
		if (!str_is(a->containers.at[i].image, b->containers.at[i].image))
			return true;
	return false;
}

/* Kubernetes restarts a container whose image changed; here a pod keeps what it began with. */
static void
check_resize(struct write *w, const struct pod_spec *was, const struct pod_spec *is)
{
	if (schema_equal(pod_spec_kind(), was, is) || pod_resizable(was, is, w->a))
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

static void
check_pod(struct write *w, const struct pod *live, const struct pod *new)
{
	struct pod_spec is;

	if (!live->spec || !new->spec)
		return;
	is = *new->spec;
	is.activeDeadlineSeconds = live->spec->activeDeadlineSeconds;
	is.tolerations.at = live->spec->tolerations.at;
	is.tolerations.n = live->spec->tolerations.n;
	is.set = live->spec->set;
	if (w->resize) {
		check_resize(w, live->spec, &is);
		return;
	}
	if (schema_equal(pod_spec_kind(), live->spec, &is))
		return;
	if (images_differ(live->spec, new->spec))
		complain(
		    &w->cs, 0, 0, "spec.containers",
		    "Forbidden: the image of a pod that is there cannot be changed by this "
		    "version of kedge: delete the pod and make it anew (kubectl replace "
		    "--force)");
	else
		complain(&w->cs, 0, 0, "spec", "%s", pod_words);
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

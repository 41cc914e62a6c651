/* hostport.c -- ports of containers that answer at the host's own addresses (hostPort).
 *
 * Pure.  To the proxy each is a node port of one endpoint, in no range, which keeps the
 * client's address.  It stands in the rules from when the pod has an address until it is to
 * go: then its connections are waited for as those of any other.
 *
 * Named "web.pod:8080-tcp": no Service's name has a dot in it.
 */
#include "base/transport.h"
#include "controllers.h"
#include "rules.h"
#include "service.h"
#include "workload.h"

/* At every address: said in three ways. */
static const char *
host_ip(const struct container_port *port)
{
	return str_is(port->hostIP, "0.0.0.0") || str_is(port->hostIP, "::") ? ""
									     : port->hostIP;
}

static const char *
called(const struct pod *pod, const struct container_port *port, bool v6, struct arena *a)
{
	const char *proto = transports[transport_named(port->protocol)].word;
	const char *ip = host_ip(port);

	return arena_printf(a, "%s.pod:%lld-%s%s%s%s", object_name(pod),
			    (long long)port->hostPort, proto, str_is(ip, "") ? "" : "-",
			    str_is(ip, "") ? "" : ip, v6 ? ".v6" : "");
}

static bool
serves(const struct pod *pod)
{
	return pod->spec && pod->status && !pod->spec->hostNetwork &&
	       !str_is(pod->status->podIP, "") && !pod_is_finished(pod) &&
	       !pod->metadata->deletionTimestamp;
}

/* No address of the host's is of any family, one is of its own.  What goes to the host's
 * loopback never leaves it: a warning says so when the pod is written (rules_pod.c). */
static bool
is_served(const struct pod *pod, const struct container_port *port, bool v6)
{
	const char *ip = port->hostIP ? port->hostIP : "";

	return port->hostPort && pod_address(pod, v6) && (!*ip || addr_text_is_v6(ip) == v6) &&
	       !ip_is_loopback(ip);
}

bool
hostport_wanted(const struct pod *pod, const char *name, struct arena *a)
{
	for (size_t i = 0; serves(pod) && i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);

		for (size_t k = 0; k < c->ports.n; k++)
			for (int v6 = 0; v6 < 2; v6++)
				if (is_served(pod, &c->ports.at[k], v6) &&
				    str_is(called(pod, &c->ports.at[k], v6, a), name))
					return true;
	}
	return false;
}

static void
program(struct snapshot *s, const struct pod *pod, const struct container_port *port, bool v6,
	struct plan *p)
{
	const char *ns = object_namespace(pod), *name = called(pod, port, v6, p->arena);
	const struct programmed *has =
	    snapshot_programmed(s, arena_printf(p->arena, "%s/%s", ns, name));
	struct endpoint_args end = { .ip = pod_address(pod, v6), .port = port->containerPort };
	struct service_args args = { .ip = v6 ? "::" : "0.0.0.0",
				     .protocol = port->protocol ? port->protocol : "TCP",
				     .port = port->containerPort,
				     .nodePort = port->hostPort,
				     .hostIP = host_ip(port),
				     .localOnly = true };

	args.endpoints.at = &end;
	args.endpoints.n = 1;
	if (has && schema_equal(service_args_kind(), has->args, &args))
		return;
	plan_add(p, (struct action){
			.verb = ACT_PROGRAM,
			.kind = "service",
			.ns = arena_strdup(p->arena, ns),
			.name = name,
			.from = has ? (int64_t)has->args->endpoints.n : 0,
			.to = 1,
			.why = arena_printf(p->arena, "host port %lld of pod %s",
					    (long long)port->hostPort, object_name(pod)),
			.body = schema_clone(service_args_kind(), &args, p->arena) });
}

void
hostport_reconcile(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	for (size_t i = 0; serves(pod) && i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);

		for (size_t k = 0; k < c->ports.n; k++)
			for (int v6 = 0; v6 < 2; v6++)
				if (is_served(pod, &c->ports.at[k], v6))
					program(s, pod, &c->ports.at[k], v6, p);
	}
}

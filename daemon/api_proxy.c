/* api_proxy.c -- pods/proxy, services/proxy and nodes/proxy: who answers, found in the store.
 *
 * Only addresses that the store says a pod of this namespace has are ever reached, and of
 * these only those out of the pods' range: never the host, never what an Endpoints object or a
 * client names.
 */
#include "../reconcile/base/text.h"
#include "../reconcile/workload.h"
#include "api_call.h"
#include "proxy.h"
#include "proxy_text.h"
#include <string.h>

/* /api/v1/namespaces/NS/pods/NAME/proxy, /api/v1/nodes/NAME/proxy */
enum { SEGMENTS = 7, SEGMENTS_OF_NODE = 5 };

struct proxy_asked {
	struct call *call;
	struct proxy_id id;
	const char *prefix, *tail; /* of the URI, as they were sent */
};

/* ---- the request ---- */

static bool
is_method(const char *method)
{
	static const char *const methods[] = { "GET",   "HEAD",   "POST",   "PUT",
					       "PATCH", "DELETE", "OPTIONS" };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (!strcmp(methods[i], method))
			return true;
	return false;
}

/* Browsers resolve what a page names against the folder it is in: without its "/" the page
 * would be in the wrong one. */
static bool
lacks_slash(const struct proxy_asked *p)
{
	struct call *c = p->call;
	const char *method = http_method(c->req);
	struct buf none = { 0 };

	if (*p->tail == '/' || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) ||
	    http_header(c->req, "Upgrade"))
		return false;
	http_reply_header(c->req, "Location",
			  arena_printf(&c->arena, "%s/%s", p->prefix, p->tail));
	c->answered = true;
	http_reply(c->req, 301, "text/plain", &none);
	return true;
}

/* False: it was answered. */
static bool
asked_read(struct proxy_asked *p, struct call *c, enum resource_id id, unsigned segments)
{
	const char *uri = http_uri(c->req);

	*p = (struct proxy_asked){ .call = c };
	c->res = &resources[id];
	p->tail = proxy_tail(uri, http_path(c->req), segments);
	if (!is_method(http_method(c->req))) {
		object_no_method(c);
		return false;
	}
	if (!p->tail || !proxy_id_read(c->name, &p->id, &c->arena)) {
		call_refuse(c, WHY_BAD_REQUEST, "invalid %s request \"%s\"", c->res->singular,
			    c->name);
		return false;
	}
	c->name = p->id.name; /* what the details of a Status are of */
	p->prefix = arena_strndup(&c->arena, uri, (size_t)(p->tail - uri));
	return true;
}

static void
pass_on(const struct proxy_asked *p, const char *ip, uint16_t port)
{
	struct proxy_target t = {
		.scheme = *p->id.scheme ? p->id.scheme : "http",
		.ip = ip,
		.port = port,
		.prefix = p->prefix,
		.asked =
		    *p->tail == '/' ? p->tail : arena_printf(&p->call->arena, "/%s", p->tail),
	};

	if (!lacks_slash(p))
		proxy_begin(p->call, &t);
}

/* ---- a pod ---- */

/* A pod on the host's network has the host's address, one that is over may have one that by
 * now is another's. */
static bool
pod_has(const struct call *c, const struct pod *pod, const char *ip)
{
	if (pod->spec->hostNetwork || pod_is_finished(pod) || !pod->status ||
	    !proxy_address_ok(ip, c->api->settings))
		return false;
	for (size_t i = 0; i < pod->status->podIPs.n; i++)
		if (str_is(pod->status->podIPs.at[i].ip, ip))
			return true;
	return str_is(pod->status->podIP, ip);
}

/* The first port of the first container that has one; else the scheme's. */
static int64_t
pod_port(const struct pod *pod, const char *scheme)
{
	for (size_t i = 0; i < pod->spec->containers.n; i++)
		if (pod->spec->containers.at[i].ports.n)
			return pod->spec->containers.at[i].ports.at[0].containerPort;
	return strcmp(scheme, "https") ? 80 : 443;
}

void
proxy_pod(struct call *c)
{
	const struct pod *pod;
	struct proxy_asked p;
	const char *ip;
	int64_t port;

	if (!asked_read(&p, c, RES_pod, SEGMENTS))
		return;
	pod = store_find(c->api->store, RES_pod, c->ns, p.id.name);
	if (!pod) {
		call_refuse(c, WHY_NOT_FOUND, "pods \"%s\" not found", p.id.name);
		return;
	}
	ip = pod->status && pod->status->podIP ? pod->status->podIP : "";
	port = *p.id.port ? text_int(p.id.port, -1) : pod_port(pod, p.id.scheme);
	if (!pod_has(c, pod, ip))
		call_refuse(c, WHY_BAD_REQUEST, "address not allowed");
	else if (port < 0)
		call_refuse(c, WHY_UNAVAILABLE,
			    "error trying to reach service: dial tcp: lookup tcp/%s: unknown "
			    "port",
			    p.id.port);
	else if (port < 1 || port > 65535)
		call_refuse(c, WHY_UNAVAILABLE,
			    "error trying to reach service: dial tcp: address %s: invalid port",
			    p.id.port);
	else
		pass_on(&p, ip, (uint16_t)port);
}

/* ---- a Service ---- */

/* The name of its port of this number; NULL: there is none. */
static const char *
port_name(const struct service *svc, int64_t port)
{
	for (size_t i = 0; i < svc->spec->ports.n; i++)
		if (svc->spec->ports.at[i].port == port)
			return svc->spec->ports.at[i].name ? svc->spec->ports.at[i].name : "";
	return NULL;
}

static bool
is_reachable(struct call *c, const struct endpoint_address *at)
{
	const struct object_reference *ref = at->targetRef;
	const struct pod *pod;

	if (!ref || !str_is(ref->kind, "Pod") || !str_is(ref->namespace, c->ns) || !ref->name)
		return false;
	pod = store_find(c->api->store, RES_pod, c->ns, ref->name);
	return pod && pod_has(c, pod, at->ip);
}

/* Each in its turn.  NULL: there is none that is ready, and has this port. */
static const char *
endpoint_of(struct call *c, const struct endpoints *eps, const char *port, uint16_t *ret_port)
{
	unsigned turn = c->api->proxy_turn++;

	for (size_t i = 0; i < eps->subsets.n; i++) {
		const struct endpoint_subset *ss =
		    &eps->subsets.at[(i + turn) % eps->subsets.n];

		for (size_t k = 0; k < ss->ports.n; k++) {
			if (!str_is(ss->ports.at[k].name, port))
				continue;
			for (size_t j = 0; j < ss->addresses.n; j++) {
				const struct endpoint_address *at =
				    &ss->addresses.at[(j + turn) % ss->addresses.n];

				*ret_port = (uint16_t)ss->ports.at[k].port;
				if (is_reachable(c, at))
					return at->ip;
			}
		}
	}
	return NULL;
}

void
proxy_service(struct call *c)
{
	const struct service *svc;
	const struct endpoints *eps;
	const char *port, *ip;
	struct proxy_asked p;
	uint16_t at;

	if (!asked_read(&p, c, RES_service, SEGMENTS))
		return;
	port = p.id.port;
	if (text_int(port, -1) >= 0) {
		svc = store_find(c->api->store, RES_service, c->ns, p.id.name);
		if (!svc) {
			call_refuse(c, WHY_NOT_FOUND, "services \"%s\" not found", p.id.name);
			return;
		}
		port = port_name(svc, text_int(port, -1));
		if (!port) {
			call_refuse(c, WHY_UNAVAILABLE,
				    "no service port %s found for service \"%s\"", p.id.port,
				    p.id.name);
			return;
		}
	}
	eps = store_find(c->api->store, RES_endpoints, c->ns, p.id.name);
	ip = eps ? endpoint_of(c, eps, port, &at) : NULL;
	if (!eps)
		call_refuse(c, WHY_NOT_FOUND, "endpoints \"%s\" not found", p.id.name);
	else if (!ip)
		call_refuse(c, WHY_UNAVAILABLE, "no endpoints available for service \"%s\"",
			    p.id.name);
	else
		pass_on(&p, ip, at);
}

/* ---- a node ---- */

/* What a kubelet has at its port, kedge answers itself: of it there is this much. */
void
proxy_node(struct call *c)
{
	struct proxy_asked p;
	size_t n;

	if (!asked_read(&p, c, RES_node, SEGMENTS_OF_NODE))
		return;
	n = strcspn(p.tail, "?");
	if (!store_find(c->api->store, RES_node, "", p.id.name))
		call_refuse(c, WHY_NOT_FOUND, "nodes \"%s\" not found", p.id.name);
	else if (*p.id.port)
		call_refuse(c, WHY_BAD_REQUEST,
			    "address not allowed: of a node only what a kubelet serves can be "
			    "asked for, without a port");
	else if (lacks_slash(&p))
		return;
	else if (n == 8 && !memcmp(p.tail, "/healthz", n))
		discovery_health(c);
	else
		call_refuse(c, WHY_NOT_FOUND,
			    "kedge has no \"%.*s\" of a node, only /healthz; what is used is "
			    "in metrics.k8s.io, logs are at pods",
			    (int)n, p.tail);
}

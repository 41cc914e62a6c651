/* hand_service.c -- see hand_service.h.
 *
 * Rules take packets away from whoever had them before, so each thing that a Service asks for
 * must be the operator's to give (kedge.yaml) or nobody's.
 */
#include "hand_service.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/snapshot.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Does a program of the host listen there?  No address meets those of each. */
static bool
is_listened_on(bool v6, addr ip, uint8_t proto, uint16_t port)
{
	struct sockaddr_in v4sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const struct sockaddr *sa = v6 ? (const void *)&v6sa : (const void *)&v4sa;
	cleanup_close int fd =
	    socket(sa->sa_family,
		   (proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, proto);
	int one = 1;

	if (fd < 0)
		return false; /* the kernel has none of that kind */
	addr_bytes(v6, ip, v6 ? (void *)&v6sa.sin6_addr : (void *)&v4sa.sin_addr);
	if (v6) /* its sister, of IPv4, is asked for itself */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	/* Closed connections of a former listener do not count. */
	if (proto != IPPROTO_UDP)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return bind(fd, sa, v6 ? sizeof v6sa : sizeof v4sa) < 0 && errno == EADDRINUSE;
}

/* As Kubernetes: through a Service nobody reaches what only the host itself, or its
 * cloud's metadata service, is to hear. */
static int
endpoints_allowed(const struct np_service *s, struct arena *a, struct error **e)
{
	for (size_t i = 0; i < s->n; i++) {
		addr ip = s->endpoints[i].ip;

		if (addr_is_special(ip))
			return fail(
			    e, WHY_FORBIDDEN,
			    "%s: %s may not be an endpoint: it is a loopback, link-local "
			    "or multicast address",
			    s->id, addr_text(ip, a));
	}
	return 0;
}

/* An address of the operator's gift may be one of the host's own, whose programs keep their
 * ports.  One that was put there for a balancer nobody listens on by its name; a program that
 * takes every address does not take that one. */
static int
own_port_allowed(const struct np *np, const struct np_service *s, addr ip, struct arena *a,
		 struct error **e)
{
	if (!np_is_hosts(np, ip) || !is_listened_on(s->v6, ip, s->proto, s->port))
		return 0;
	return fail(e, WHY_FORBIDDEN, "%s: port %u of %s is in use by a program of the host",
		    s->id, s->port, addr_text(ip, a));
}

/* A host port is a pod's, and leads nowhere else. */
static int
host_port_ends(const struct settings *set, const struct np_service *s, struct arena *a,
	       struct error **e)
{
	for (size_t i = 0; !s->vip && i < s->n; i++)
		if (!addr_within(s->endpoints[i].ip, settings_pods(set, s->v6)))
			return fail(e, WHY_FORBIDDEN, "%s: a host port may not lead to %s",
				    s->id, addr_text(s->endpoints[i].ip, a));
	return 0;
}

static int
node_port_allowed(const struct settings *set, struct np *np, const struct np_service *s,
		  struct error **e)
{
	bool in_range = s->node_port >= set->node_port_lo && s->node_port <= set->node_port_hi;

	if (!s->node_port || (s->vip && in_range))
		return 0;
	/* A node port takes that port of every address of the host, ssh's too. */
	if (s->vip)
		return fail(e, WHY_FORBIDDEN, "%s: node port %u is outside %d-%d", s->id,
			    s->node_port, set->node_port_lo, set->node_port_hi);
	if (np_has_node_port(np, s->id, s->node_port))
		return 0; /* nobody came to listen there since */
	if (is_listened_on(s->v6, s->node_ip, s->proto, s->node_port))
		return fail(e, WHY_FORBIDDEN,
			    "%s: host port %u is in use by a program of the host", s->id,
			    s->node_port);
	return 0;
}

int
service_allowed(const struct settings *set, struct np *np, const struct np_service *s,
		struct arena *a, struct error **e)
{
	if (node_port_allowed(set, np, s, e) < 0 || host_port_ends(set, s, a, e) < 0)
		return -1;
	if (s->health_port &&
	    (s->health_port < set->node_port_lo || s->health_port > set->node_port_hi))
		return fail(e, WHY_FORBIDDEN, "%s: health check node port %u is outside %d-%d",
			    s->id, s->health_port, set->node_port_lo, set->node_port_hi);
	if (s->vip && !addr_within(s->vip, settings_services(set, s->v6)))
		return fail(e, WHY_FORBIDDEN, "%s: its address is outside the services' range",
			    s->id);
	for (size_t i = 0; i < s->nouter; i++)
		if (!address_allowed(&set->external, s->outer[i]))
			return fail(e, WHY_FORBIDDEN,
				    "%s: kedge.yaml does not allow the external address %s",
				    s->id, addr_text(s->outer[i], a));
	for (size_t i = 0; i < s->nouter; i++)
		if (own_port_allowed(np, s, s->outer[i], a, e) < 0)
			return -1;
	if (s->balancer && !address_allowed(&set->pool, s->balancer))
		return fail(e, WHY_FORBIDDEN, "%s: %s is not in the pool of kedge.yaml", s->id,
			    addr_text(s->balancer, a));
	if (s->balancer && own_port_allowed(np, s, s->balancer, a, e) < 0)
		return -1;
	return endpoints_allowed(s, a, e);
}

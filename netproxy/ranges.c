/* ranges.c -- do the ranges of pods and services get in the way of the host's own?
 *
 * An address of another link within them, or a route as narrow as they are, takes
 * their packets away: an error.  A wider route (a VPN's 10.0.0.0/8) loses those that
 * are in our ranges to us, which may be meant so: it is said.
 */
#include "ranges.h"
#include "owner.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/ipv4.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

struct range {
	const char *whose, *setting;
	uint32_t net;
	unsigned bits;
};

static void
ranges_of(const struct np_config *c, struct range ret[2])
{
	ret[0] = (struct range){ "pods", "podCIDR", c->pod_net, c->pod_bits };
	ret[1] = (struct range){ "services", "serviceCIDR", c->svc_net, c->svc_bits };
}

/* Another link with an address in our ranges would steal the answers. */
static int
addresses(struct nl *nl, const struct np_config *c, struct error **e)
{
	char ip[IPV4_TEXT], net[IPV4_TEXT], whose[OWNER_ALIAS + 64];
	struct ifaddrs *all = NULL;
	struct range r[2];
	int rc = 0;

	ranges_of(c, r);
	if (getifaddrs(&all) < 0)
		return fail_sys(e, "list the host's addresses");
	for (struct ifaddrs *a = all; a && !rc; a = a->ifa_next) {
		uint32_t at;

		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET ||
		    !strcmp(a->ifa_name, c->bridge))
			continue;
		at = ntohl(((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr);
		for (int i = 0; i < 2 && !rc; i++) {
			if (!ipv4_within(at, r[i].net, r[i].bits))
				continue;
			owner_text(nl, if_nametoindex(a->ifa_name), whose);
			rc = fail(
			    e, WHY_CONFLICT,
			    "%s%s has the address %s, which is in the range %s/%u that is "
			    "meant for %s: choose another network.%s in kedge.yaml",
			    a->ifa_name, whose, ipv4_print(at, ip), ipv4_print(r[i].net, net),
			    r[i].bits, r[i].whose, r[i].setting);
		}
	}
	freeifaddrs(all);
	return rc;
}

static int
route(struct nl *nl, const char *link, uint32_t net, unsigned bits, const struct range *r,
      struct buf *said, struct error **e)
{
	char to[IPV4_TEXT], ours[IPV4_TEXT], whose[OWNER_ALIAS + 64];

	if (!ipv4_within(net, r->net, bits < r->bits ? bits : r->bits))
		return 0;
	owner_text(nl, if_nametoindex(link), whose);
	ipv4_print(net, to);
	ipv4_print(r->net, ours);
	if (bits >= r->bits || *whose) /* another kedged means all of its range */
		return fail(
		    e, WHY_CONFLICT,
		    "this host has a route to %s/%u by %s%s, which takes packets from the "
		    "range %s/%u that is meant for %s: choose another network.%s in "
		    "kedge.yaml",
		    to, bits, link, whose, ours, r->bits, r->whose, r->setting);
	buf_addf(
	    said,
	    "%sthis host has a route to %s/%u by %s%s: what is behind it at %s/%u cannot be "
	    "reached any more, for these addresses are %s'; if that is wrong choose another "
	    "network.%s in kedge.yaml",
	    said->len ? "; " : "", to, bits, link, whose, ours, r->bits, r->whose, r->setting);
	return 0;
}

int
ranges_check(struct nl *nl, const struct np_config *c, char **ret_said, struct error **e)
{
	cleanup_fclose FILE *f = fopen("/proc/thread-self/net/route", "re");
	cleanup_buf struct buf said = { 0 };
	unsigned dst, mask;
	struct range r[2];
	char line[256], name[IFNAMSIZ];

	ranges_of(c, r);
	if (addresses(nl, c, e) < 0)
		return -1;
	while (f && fgets(line, sizeof line, f)) {
		unsigned bits;

		if (sscanf(line, "%15s %x %*x %*x %*d %*d %*u %x", name, &dst, &mask) != 3 ||
		    !mask || !strcmp(name, c->bridge))
			continue;
		bits = (unsigned)__builtin_popcount(mask);
		for (int i = 0; i < 2; i++)
			if (route(nl, name, ntohl(dst), bits, &r[i], &said, e) < 0)
				return -1;
	}
	*ret_said = said.len ? buf_steal(&said) : NULL;
	return 0;
}

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
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { RANGES = 4 };

struct range {
	const char *whose, *setting;
	struct addr_range at; /* bits 0: there is none */
};

static void
ranges_of(const struct np_config *c, struct range ret[static RANGES])
{
	ret[0] = (struct range){ "pods", "podCIDR", c->pods };
	ret[1] = (struct range){ "services", "serviceCIDR", c->svcs };
	ret[2] = (struct range){ "pods", "podCIDR", c->pods6 };
	ret[3] = (struct range){ "services", "serviceCIDR", c->svcs6 };
}

/* Of a link other than the bridge; false: it is none of either family. */
static bool
address_of(const struct ifaddrs *a, addr *ret)
{
	int family = a->ifa_addr ? a->ifa_addr->sa_family : AF_UNSPEC;

	if (family == AF_INET)
		*ret = addr_from(false, &((struct sockaddr_in *)a->ifa_addr)->sin_addr);
	else if (family == AF_INET6)
		*ret = addr_from(true, &((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr);
	return family == AF_INET || family == AF_INET6;
}

/* Another link with an address in our ranges would steal the answers. */
static int
addresses(struct nl *nl, const struct np_config *c, struct error **e)
{
	char ip[ADDR_TEXT], net[ADDR_TEXT], whose[OWNER_ALIAS + 64];
	struct ifaddrs *all = NULL;
	struct range r[RANGES];
	int rc = 0;

	ranges_of(c, r);
	if (getifaddrs(&all) < 0)
		return fail_sys(e, "list the host's addresses");
	for (struct ifaddrs *a = all; a && !rc; a = a->ifa_next) {
		addr at;

		if (!address_of(a, &at) || !strcmp(a->ifa_name, c->bridge))
			continue;
		for (int i = 0; i < RANGES && !rc; i++) {
			if (!r[i].at.bits || !addr_within(at, r[i].at))
				continue;
			owner_text(nl, if_nametoindex(a->ifa_name), whose);
			rc =
			    fail(e, WHY_CONFLICT,
				 "%s%s has the address %s, which is in the range %s/%u that is "
				 "meant for %s: choose another network.%s in kedge.yaml",
				 a->ifa_name, whose, addr_print(at, ip),
				 addr_print(r[i].at.net, net), r[i].at.bits, r[i].whose,
				 r[i].setting);
		}
	}
	freeifaddrs(all);
	return rc;
}

static int
route(struct nl *nl, const char *link, struct addr_range way, const struct range *r,
      struct buf *said, struct error **e)
{
	char to[ADDR_TEXT], ours[ADDR_TEXT], whose[OWNER_ALIAS + 64];

	if (!r->at.bits || !addr_overlap(way, r->at))
		return 0;
	owner_text(nl, if_nametoindex(link), whose);
	addr_print(way.net, to);
	addr_print(r->at.net, ours);
	if (way.bits >= r->at.bits || *whose) /* another kedged means all of its range */
		return fail(
		    e, WHY_CONFLICT,
		    "this host has a route to %s/%u by %s%s, which takes packets from the "
		    "range %s/%u that is meant for %s: choose another network.%s in "
		    "kedge.yaml",
		    to, way.bits, link, whose, ours, r->at.bits, r->whose, r->setting);
	buf_addf(
	    said,
	    "%sthis host has a route to %s/%u by %s%s: what is behind it at %s/%u cannot be "
	    "reached any more, for these addresses are %s'; if that is wrong choose another "
	    "network.%s in kedge.yaml",
	    said->len ? "; " : "", to, way.bits, link, whose, ours, r->at.bits, r->whose,
	    r->setting);
	return 0;
}

static bool
line_read(const char *line, struct addr_range *ret, char name[static IFNAMSIZ])
{
	unsigned dst, mask;

	if (sscanf(line, "%15s %x %*x %*x %*d %*d %*u %x", name, &dst, &mask) != 3)
		return false;
	*ret = (struct addr_range){ ntohl(dst), (unsigned)__builtin_popcount(mask), false };
	return true;
}

/* DESTINATION BITS SOURCE BITS GATEWAY METRIC USERS USES FLAGS LINK; the tables of addresses
 * and of multicast groups are in there, too. */
static bool
line_read6(const char *line, struct addr_range *ret, char name[static IFNAMSIZ])
{
	enum { REJECT = 0x200, LOCAL = 0x80000000 }; /* linux/ipv6_route.h, RTF_ */
	unsigned bits, flags;
	uint8_t bytes[16];

	if (sscanf(line, "%*32[0-9a-f] %x %*x %*x %*x %*x %*x %*x %x %15s", &bits, &flags,
		   name) != 3 ||
	    flags & (REJECT | LOCAL) || !strncmp(line, "ff", 2))
		return false;
	for (int i = 0; i < 16; i++)
		if (sscanf(line + 2 * i, "%2hhx", &bytes[i]) != 1)
			return false;
	*ret = (struct addr_range){ addr_from(true, bytes), bits, true };
	return true;
}

static int
routes(struct nl *nl, const struct np_config *c, bool v6, struct buf *said, struct error **e)
{
	cleanup_fclose FILE *f = fopen(
	    v6 ? "/proc/thread-self/net/ipv6_route" : "/proc/thread-self/net/route", "re");
	char line[256], name[IFNAMSIZ];
	struct range r[RANGES];
	struct addr_range way;

	ranges_of(c, r);
	while (f && fgets(line, sizeof line, f)) {
		if (!(v6 ? line_read6(line, &way, name) : line_read(line, &way, name)) ||
		    !way.bits || !strcmp(name, c->bridge))
			continue;
		for (int i = 0; i < RANGES; i++)
			if (route(nl, name, way, &r[i], said, e) < 0)
				return -1;
	}
	return 0;
}

int
ranges_check(struct nl *nl, const struct np_config *c, char **ret_said, struct error **e)
{
	cleanup_buf struct buf said = { 0 };

	if (addresses(nl, c, e) < 0 || routes(nl, c, false, &said, e) < 0 ||
	    (c->pods6.bits && routes(nl, c, true, &said, e) < 0))
		return -1;
	*ret_said = said.len ? buf_steal(&said) : NULL;
	return 0;
}

/* mend.c -- see mend.h.  One dump of the links tells all; usually nothing has to be done. */
#include "mend.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

struct port {
	unsigned index;
	uint32_t ip;
};

struct look {
	const struct np *np;
	bool bridge;          /* is there, is ours, is up */
	struct port lost[64]; /* ports of pods that are not on the bridge, or down */
	unsigned lost_n;
	struct map *plugged; /* names of all pods' ports */
};

static int
link_seen(const struct nlmsghdr *h, void *ctx)
{
	const struct ifinfomsg *im = mnl_nlmsg_get_payload(h);
	struct look *k = ctx;
	const struct nlattr *a;
	const char *name = "";
	unsigned master = 0;
	uint32_t ip;
	bool up = im->ifi_flags & IFF_UP;

	mnl_attr_for_each(a, h, sizeof *im)
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == IFLA_MASTER &&
		    mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			master = mnl_attr_get_u32(a);
	}
	if (!strcmp(name, k->np->config.bridge))
		k->bridge = up && (unsigned)im->ifi_index == k->np->link.index;
	ip = link_pod(&k->np->config, name);
	if (!ip)
		return MNL_CB_OK;
	map_put(k->plugged, name, k->plugged);
	if ((master != k->np->link.index || !up) &&
	    k->lost_n < sizeof k->lost / sizeof *k->lost)
		k->lost[k->lost_n++] = (struct port){ (unsigned)im->ifi_index, ip };
	return MNL_CB_OK;
}

static int
look_once(struct np *np, struct look *k, struct error **e)
{
	static const char what[] = "list the links";
	struct ifinfomsg none = { 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = nl_ask(&b, RTM_GETLINK, NLM_F_DUMP, &none, sizeof none, what, 0);

	*k = (struct look){ .np = np, .plugged = &np->plugged };
	map_done(&np->plugged);
	np->plugged = (struct map){ 0 };
	return nl_dump(&np->link.nl, h, link_seen, k, what, e);
}

/* EINTR: pods came or went while the links were listed, and some may be missing in the list.
 * That is tried again, and at last left for the next time. */
static int
look(struct np *np, struct look *k, bool *ret_whole, struct error **e)
{
	for (int tries = 0; tries < 3; tries++) {
		cleanup_error struct error *why = NULL;

		np->looked = *ret_whole = look_once(np, k, &why) == 0;
		if (*ret_whole)
			return 0;
		if (why->err != EINTR)
			return fail_with(e, &why);
	}
	return 0;
}

/* The way to the services' addresses is there, which goes when the bridge's own address does:
 * it names that as its source. */
static bool
bridge_is_set(const struct np *np)
{
	cleanup_fclose FILE *f = fopen("/proc/thread-self/net/route", "re");
	char line[256], name[IFNAMSIZ];
	unsigned dst;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%15s %x", name, &dst) == 2 &&
		    ntohl(dst) == np->config.svcs.net && !strcmp(name, np->config.bridge))
			return true;
	return !f;
}

/* Does a line begin with this address, and end with the bridge? */
static bool
has_line6(const struct np *np, const char *file, addr ip)
{
	cleanup_fclose FILE *f = fopen(file, "re");
	char line[256], text[33];
	uint8_t bytes[16];

	addr_bytes(true, ip, bytes);
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	while (f && fgets(line, sizeof line, f)) {
		const char *name;

		line[strcspn(line, "\n")] = 0;
		name = strrchr(line, ' ');
		if (!strncmp(line, text, 32) && name && !strcmp(name + 1, np->config.bridge))
			return true;
	}
	return !f;
}

/* Of IPv6 the way stays when the address goes. */
static bool
bridge_is_set6(const struct np *np)
{
	const struct link *l = &np->link;

	return !np->six ||
	       (has_line6(np, "/proc/thread-self/net/ipv6_route", l->svcs6.net) &&
		has_line6(np, "/proc/thread-self/net/if_inet6", link_ip6(l, l->gateway)));
}

int
mend_links(struct np *np, struct buf *did, struct error **e)
{
	struct look k;
	unsigned mended = 0;
	bool whole;

	if (look(np, &k, &whole, e) < 0)
		return -1;
	if (!whole)
		return 0;
	if (!k.bridge || !bridge_is_set(np) || !bridge_is_set6(np)) {
		bool gone = !k.bridge;

		if (link_remake(&np->link, &np->config, e) < 0)
			return -1;
		buf_addf(did, "the bridge %s was %s", np->config.bridge,
			 gone ? "gone or down" : "without its address or route");
		/* its ports left with it */
		if (gone && look(np, &k, &whole, e) < 0)
			return -1;
	}
	while (k.lost_n) {
		for (unsigned i = 0; i < k.lost_n; i++)
			if (link_port(&np->link, k.lost[i].index, k.lost[i].ip, e) < 0)
				return -1;
		mended += k.lost_n;
		if (k.lost_n < sizeof k.lost / sizeof *k.lost || look(np, &k, &whole, e) < 0)
			break;
	}
	if (mended)
		buf_addf(did, "%s%u links of pods were down or not on the bridge",
			 did->len ? ", " : "", mended);
	return 0;
}

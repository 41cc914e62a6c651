/* link.c -- see link.h for the picture.
 *
 * One pod costs two requests from the host's side and one from the pod's: 15
 * system calls, none of which waits for an RCU grace period.  (Made here and
 * moved there, a veth pair costs two of them, some 25 ms.)  A pair that was made
 * ahead is renamed, which waits for an expedited one.
 */
#include "link.h"
#include "knobs.h"
#include "ranges.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define NEW (NLM_F_CREATE | NLM_F_EXCL)
#define PUT (NLM_F_CREATE | NLM_F_REPLACE)

struct mac {
	uint8_t at[6];
};

/* Both are locally administered; `first` tells the pod's end from the host's. */
static struct mac
link_mac(uint8_t first, uint32_t ip)
{
	return (struct mac){ { first, 0x4b, ip >> 24, ip >> 16, ip >> 8, ip } };
}

#define MAC_POD  0x0a
#define MAC_HOST 0x0e

static const char *
link_name(uint32_t ip, char to[static LINK_TEXT])
{
	snprintf(to, LINK_TEXT, "kdg%08x", ip);
	return to;
}

/* ifindex of a name in the namespace of `fd`, any socket; 0 when absent. */
static unsigned
link_index(int fd, const char *name)
{
	struct ifreq r = { 0 };

	assert(strlen(name) < sizeof r.ifr_name);
	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	return ioctl(fd, SIOCGIFINDEX, &r) < 0 ? 0 : (unsigned)r.ifr_ifindex;
}

/* -- the host's settings ------------------------------------------------------ */

static int
link_sysctls(struct link *l, struct error **e)
{
	enum when { ALWAYS, WITH_6, WITHOUT_6 };
	static const struct {
		const char *file, *value;
		bool must;
		enum when when;
	} rows[] = {
		{ "ipv4/conf/%s/send_redirects", "0", true },
		{ "ipv4/conf/%s/accept_redirects", "0", true },
		/* 127.0.0.0/8 stays where it is: nobody's neighbour reaches it. */
		{ "ipv4/conf/%s/route_localnet", "0", true },
		{ "ipv4/conf/%s/forwarding", "1", true },
		/* No pod can give the host an IPv6 route; hosts without IPv6 lack the files. */
		{ "ipv6/conf/%s/accept_ra", "0", false },
		{ "ipv6/conf/%s/disable_ipv6", "1", false, WITHOUT_6 },
		{ "ipv6/conf/%s/addr_gen_mode", "1", true, WITH_6 }, /* none */
		{ "ipv6/conf/%s/disable_ipv6", "0", true, WITH_6 },
		{ "ipv6/conf/%s/forwarding", "1", true, WITH_6 },
	};
	enum when other = l->pods6.bits ? WITHOUT_6 : WITH_6;
	char file[96];

	if (link_knobs_turn(false, &l->turned, e) < 0 ||
	    (l->pods6.bits && link_knobs_turn(true, &l->turned, e) < 0))
		return -1;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].when == other)
			continue;
		snprintf(file, sizeof file, rows[i].file, l->bridge);
		if (knob_set(file, rows[i].value, rows[i].must ? e : NULL) < 0 && rows[i].must)
			return -1;
	}
	return 0;
}

/* -- the bridge ------------------------------------------------------------- */

struct found {
	char kind[16];
	struct mac mac;
};

static int
link_found(const struct nlmsghdr *h, void *ctx)
{
	struct found *f = ctx;
	const struct nlattr *a, *in;

	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(a) == IFLA_ADDRESS && mnl_attr_get_payload_len(a) == 6)
			memcpy(f->mac.at, mnl_attr_get_payload(a), 6);
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(in,
					 a) if (mnl_attr_get_type(in) == IFLA_INFO_KIND &&
						mnl_attr_validate(in, MNL_TYPE_NUL_STRING) >= 0)
		    snprintf(f->kind, sizeof f->kind, "%s", mnl_attr_get_str(in));
	}
	return MNL_CB_OK;
}

/* Makes the bridge, or checks that the link of that name is one. */
static int
link_bridge(struct link *l, struct error **e)
{
	struct mac mac = link_mac(MAC_POD, l->gateway);
	struct ifinfomsg none = { 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    nl_ask(&b, RTM_NEWLINK, NEW, &none, sizeof none, "make the bridge", EEXIST);
	struct nlattr *info;
	struct found f = { 0 };

	nl_put_str(&b, h, IFLA_IFNAME, l->bridge);
	nl_put(&b, h, IFLA_ADDRESS, &mac, sizeof mac);
	info = nl_nest(&b, h, IFLA_LINKINFO);
	nl_put_str(&b, h, IFLA_INFO_KIND, "bridge");
	nl_end(h, info);
	if (nl_send(&l->nl, &b, e) < 0)
		return fail_in(e, "%s", l->bridge);
	l->index = link_index(l->nl.fd, l->bridge);
	if (!l->index)
		return fail_sys(e, "%s: it went away while it was set up", l->bridge);
	if (!b.ask[0].err)
		return 0;
	b = (struct nl_batch){ 0 };
	none.ifi_index = l->index;
	h = nl_ask(&b, RTM_GETLINK, 0, &none, sizeof none, "look at the bridge", 0);
	if (nl_dump(&l->nl, h, link_found, &f, "look at the bridge", e) < 0)
		return fail_in(e, "%s", l->bridge);
	if (strcmp(f.kind, "bridge"))
		return fail(e, WHY_CONFLICT,
			    "a link named %s exists and is no bridge (%s): rename it, or "
			    "choose another name for kedge's bridge",
			    l->bridge, *f.kind ? f.kind : "a physical link");
	return 0;
}

/* Address, MAC, up, and the way to the services' addresses. */
static int
link_bridge_set(struct link *l, const struct np_config *c, struct error **e)
{
	struct mac mac = link_mac(MAC_POD, l->gateway);
	struct ifinfomsg up = { .ifi_index = l->index,
				.ifi_flags = IFF_UP,
				.ifi_change = IFF_UP };
	struct ifaddrmsg am = { AF_INET, l->pods.bits, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE,
				l->index };
	struct rtmsg rm = { .rtm_family = AF_INET,
			    .rtm_dst_len = l->svcs.bits,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_scope = RT_SCOPE_LINK,
			    .rtm_type = RTN_UNICAST };
	char alias[OWNER_ALIAS];
	uint32_t gw = htonl(l->gateway), net = htonl(l->svcs.net), dns = htonl(c->dns);
	uint32_t all = htonl(l->gateway | (uint32_t)(UINT64_C(0xffffffff) >> l->pods.bits));
	struct nl_batch b = { 0 };
	struct nlmsghdr *h;
	struct nlattr *info, *data;

	h = nl_ask(&b, RTM_NEWLINK, 0, &up, sizeof up, "set the bridge up", 0);
	nl_put(&b, h, IFLA_ADDRESS, &mac, sizeof mac);
	owner_alias(c, alias);
	if (*alias)
		nl_put_str(&b, h, IFLA_IFALIAS, alias);
	info = nl_nest(&b, h, IFLA_LINKINFO);
	nl_put_str(&b, h, IFLA_INFO_KIND, "bridge");
	data = nl_nest(&b, h, IFLA_INFO_DATA);
	nl_put_u32(&b, h, IFLA_BR_STP_STATE, 0);
	nl_put_u32(&b, h, IFLA_BR_FORWARD_DELAY, 0);
	nl_put_u8(&b, h, IFLA_BR_MCAST_SNOOPING, 0);
	nl_end(h, data);
	nl_end(h, info);
	h = nl_ask(&b, RTM_NEWADDR, PUT, &am, sizeof am, "give the bridge its address", 0);
	nl_put(&b, h, IFA_LOCAL, &gw, sizeof gw);
	nl_put(&b, h, IFA_ADDRESS, &gw, sizeof gw);
	nl_put(&b, h, IFA_BROADCAST, &all, sizeof all);
	h = nl_ask(&b, RTM_NEWROUTE, PUT, &rm, sizeof rm, "route the services' addresses", 0);
	nl_put(&b, h, RTA_DST, &net, sizeof net);
	nl_put_u32(&b, h, RTA_OIF, l->index);
	nl_put(&b, h, RTA_PREFSRC, &gw, sizeof gw);
	if (c->dns) {
		am.ifa_prefixlen = 32;
		h = nl_ask(&b, RTM_NEWADDR, PUT, &am, sizeof am,
			   "give the bridge the DNS server's address", 0);
		nl_put(&b, h, IFA_LOCAL, &dns, sizeof dns);
		nl_put(&b, h, IFA_ADDRESS, &dns, sizeof dns);
	}
	if (nl_send(&l->nl, &b, e) < 0)
		return fail_in(e, "%s", l->bridge);
	return 0;
}

static void
put_ip6(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, addr ip)
{
	uint8_t bytes[16];

	addr_bytes(true, ip, bytes);
	nl_put(b, h, type, bytes, sizeof bytes);
}

addr
link_ip6(const struct link *l, uint32_t ip)
{
	return l->pods6.net | ip;
}

static int
link_bridge_set6(struct link *l, struct error **e)
{
	struct ifaddrmsg am = { AF_INET6, l->pods6.bits, IFA_F_PERMANENT | IFA_F_NODAD,
				RT_SCOPE_UNIVERSE, l->index };
	struct rtmsg rm = { .rtm_family = AF_INET6,
			    .rtm_dst_len = l->svcs6.bits,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_scope = RT_SCOPE_UNIVERSE,
			    .rtm_type = RTN_UNICAST };
	addr gw = link_ip6(l, l->gateway);
	struct nl_batch b = { 0 };
	struct nlmsghdr *h;

	if (!l->pods6.bits)
		return 0;
	h = nl_ask(&b, RTM_NEWADDR, PUT, &am, sizeof am, "give the bridge its IPv6 address", 0);
	put_ip6(&b, h, IFA_LOCAL, gw);
	put_ip6(&b, h, IFA_ADDRESS, gw);
	h = nl_ask(&b, RTM_NEWROUTE, PUT, &rm, sizeof rm, "route the services' IPv6 addresses",
		   0);
	put_ip6(&b, h, RTA_DST, l->svcs6.net);
	nl_put_u32(&b, h, RTA_OIF, l->index);
	put_ip6(&b, h, RTA_PREFSRC, gw);
	return nl_send(&l->nl, &b, e) < 0 ? fail_in(e, "%s", l->bridge) : 0;
}

int
link_remake(struct link *l, const struct np_config *c, struct error **e)
{
	return link_bridge(l, e) < 0 || link_sysctls(l, e) < 0 ||
		       link_bridge_set(l, c, e) < 0 || link_bridge_set6(l, e) < 0
		   ? -1
		   : 0;
}

int
link_open(struct link *ret, const struct np_config *c, struct error **e)
{
	struct link l = { .nl = { -1, 0 },
			  .owner = { { -1, -1 } },
			  .home = -1,
			  .bridge = c->bridge,
			  .gateway = c->pods.net + 1,
			  .pods = c->pods,
			  .svcs = c->svcs,
			  .pods6 = c->pods6,
			  .svcs6 = c->svcs6 };

	l.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (l.home < 0)
		return fail_sys(e, "open /proc/thread-self/ns/net");
	if (nl_open(&l.nl, NETLINK_ROUTE, e) < 0 || owner_take(&l.owner, c, &l.nl, e) < 0 ||
	    ranges_check(&l.nl, c, &l.said, e) < 0 || link_remake(&l, c, e) < 0) {
		link_close(&l);
		return -1;
	}
	*ret = l;
	return 0;
}

void
link_close(struct link *l)
{
	nl_close(&l->nl);
	owner_drop(&l->owner);
	free(l->said);
	l->said = NULL;
	if (l->home >= 0)
		close(l->home);
	l->home = -1;
}

/* -- pods ------------------------------------------------------------------- */

/* veth makes a queue for each CPU that may ever be there and puts all but one away, which
 * waits for a grace period at each end (veth_init_queues, netif_set_real_num_tx_queues).
 * Who asks for one has the same and waits for nothing. */
static void
put_one_queue(struct nl_batch *b, struct nlmsghdr *h)
{
	nl_put_u32(b, h, IFLA_NUM_TX_QUEUES, 1);
	nl_put_u32(b, h, IFLA_NUM_RX_QUEUES, 1);
}

/* Both ends in one request, the peer straight into the pod's namespace. */
static int
plug_make(struct link *l, int netns, const char *name, uint32_t ip, struct error **e)
{
	struct mac pod = link_mac(MAC_POD, ip), host = link_mac(MAC_HOST, ip);
	struct ifinfomsg none = { 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    nl_ask(&b, RTM_NEWLINK, NEW, &none, sizeof none, "make the veth pair", 0);
	struct nlattr *info, *data, *peer;

	nl_put_str(&b, h, IFLA_IFNAME, name);
	nl_put(&b, h, IFLA_ADDRESS, &host, sizeof host);
	nl_put_u32(&b, h, IFLA_MASTER, l->index);
	put_one_queue(&b, h);
	info = nl_nest(&b, h, IFLA_LINKINFO);
	nl_put_str(&b, h, IFLA_INFO_KIND, "veth");
	data = nl_nest(&b, h, IFLA_INFO_DATA);
	peer = nl_nest(&b, h, VETH_INFO_PEER);
	(void)mnl_nlmsg_put_extra_header(h, sizeof none); /* the peer's ifinfomsg */
	nl_put_str(&b, h, IFLA_IFNAME, "eth0");
	put_one_queue(&b, h);
	nl_put(&b, h, IFLA_ADDRESS, &pod, sizeof pod);
	nl_put_u32(&b, h, IFLA_NET_NS_FD, netns);
	nl_end(h, peer);
	nl_end(h, data);
	nl_end(h, info);
	return nl_send(&l->nl, &b, e);
}

static void
put_addr_gen_none(struct nl_batch *b, struct nlmsghdr *h)
{
	struct nlattr *spec = nl_nest(b, h, IFLA_AF_SPEC), *v6 = nl_nest(b, h, AF_INET6);

	nl_put_u8(b, h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nl_end(h, v6);
	nl_end(h, spec);
}

/* What the bridge does with this port, whatever its address.  One MAC, known beforehand:
 * frames from another are dropped (IFLA_BRPORT_LOCKED, Linux 5.18; older ones ignore it). */
static void
put_port(struct nl_batch *b, unsigned index)
{
	static const struct {
		uint16_t type;
		uint8_t value;
	} port[] = {
		{ IFLA_BRPORT_MODE, 1 }, /* hairpin: a pod reaches itself through its service */
		{ IFLA_BRPORT_LEARNING, 0 },    { IFLA_BRPORT_UNICAST_FLOOD, 0 },
		{ IFLA_BRPORT_MCAST_FLOOD, 0 }, { IFLA_BRPORT_BCAST_FLOOD, 0 },
		{ IFLA_BRPORT_LOCKED, 1 },
	};
	struct ifinfomsg im = { .ifi_index = index },
			 brm = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	struct nlmsghdr *h;
	struct nlattr *info;

	/* A host without IPv6 has no such setting. */
	h = nl_ask(b, RTM_SETLINK, 0, &im, sizeof im, "no IPv6 address on the port",
		   EAFNOSUPPORT);
	put_addr_gen_none(b, h);
	h = nl_ask(b, RTM_SETLINK, 0, &brm, sizeof brm, "set the bridge port", 0);
	info = nl_nest(b, h, IFLA_PROTINFO);
	for (size_t i = 0; i < sizeof port / sizeof *port; i++)
		nl_put_u8(b, h, port[i].type, port[i].value);
	nl_end(h, info);
}

/* The host's end; `name` when it was made ahead, under another one and another MAC. */
static int
plug_host(struct link *l, unsigned index, const char *name, uint32_t ip, struct error **e)
{
	struct mac mac = link_mac(MAC_POD, ip), own = link_mac(MAC_HOST, ip);
	uint32_t v4 = htonl(ip);
	struct ifinfomsg im = { .ifi_index = index };
	struct ndmsg fdb = { .ndm_family = AF_BRIDGE,
			     .ndm_ifindex = index,
			     .ndm_state = NUD_NOARP,
			     .ndm_flags = NTF_MASTER };
	struct ndmsg arp = { .ndm_family = AF_INET,
			     .ndm_ifindex = l->index,
			     .ndm_state = NUD_PERMANENT };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h;

	if (name) {
		h = nl_ask(&b, RTM_SETLINK, 0, &im, sizeof im, "name the veth pair", 0);
		nl_put_str(&b, h, IFLA_IFNAME, name);
		nl_put(&b, h, IFLA_ADDRESS, &own, sizeof own);
	} else {
		put_port(&b, index);
	}
	h = nl_ask(&b, RTM_NEWNEIGH, PUT, &fdb, sizeof fdb, "fix the pod's MAC to its port", 0);
	nl_put(&b, h, NDA_LLADDR, &mac, sizeof mac);
	h = nl_ask(&b, RTM_NEWNEIGH, PUT, &arp, sizeof arp, "fix the pod's MAC to its address",
		   0);
	nl_put(&b, h, NDA_DST, &v4, sizeof v4);
	nl_put(&b, h, NDA_LLADDR, &mac, sizeof mac);
	if (l->pods6.bits) {
		arp.ndm_family = AF_INET6;
		h = nl_ask(&b, RTM_NEWNEIGH, PUT, &arp, sizeof arp,
			   "fix the pod's MAC to its IPv6 address", 0);
		put_ip6(&b, h, NDA_DST, link_ip6(l, ip));
		nl_put(&b, h, NDA_LLADDR, &mac, sizeof mac);
	}
	im.ifi_flags = im.ifi_change = IFF_UP;
	nl_ask(&b, RTM_SETLINK, 0, &im, sizeof im, "set the port up", 0);
	return nl_send(&l->nl, &b, e);
}

int
link_port(struct link *l, unsigned index, uint32_t ip, struct error **e)
{
	struct ifinfomsg im = { .ifi_index = index };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = nl_ask(&b, RTM_SETLINK, 0, &im, sizeof im, "join the bridge", 0);

	nl_put_u32(&b, h, IFLA_MASTER, l->index);
	return nl_send(&l->nl, &b, e) < 0 ? -1 : plug_host(l, index, NULL, ip, e);
}

/* IPv6, also where the kernel begins without, and nobody tells a pod about routers.  Of a link
 * that is to come `default` speaks. */
static void
pod_knobs(void)
{
	static const char *const off[] = { "ipv6/conf/default/accept_ra",
					   "ipv6/conf/eth0/accept_ra",
					   "ipv6/conf/default/disable_ipv6",
					   "ipv6/conf/eth0/disable_ipv6" };

	for (size_t i = 0; i < sizeof off / sizeof *off; i++)
		(void)knob_set(off[i], "0", NULL);
}

/* A netlink socket belongs to the namespace it was opened in.  This thread is
 * in the pod's for a few system calls that run nothing of the pod's; not
 * getting back out would make everything that follows touch the wrong network,
 * so that aborts. */
static int
plug_socket(const struct link *l, int netns, struct nl *ret, struct error **e)
{
	int rc;

	if (setns(netns, CLONE_NEWNET) < 0)
		return fail_sys(e, "enter the pod's network namespace");
	rc = nl_open(ret, NETLINK_ROUTE, e);
	if (l->pods6.bits)
		pod_knobs();
	if (setns(l->home, CLONE_NEWNET) < 0)
		abort();
	return rc;
}

/* What eth0 needs whatever its address. */
static void
put_inside(struct nl_batch *b, unsigned index)
{
	struct ifinfomsg lo = { .ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct ifinfomsg eth = { .ifi_index = index };
	struct nlmsghdr *h;

	nl_ask(b, RTM_SETLINK, 0, &lo, sizeof lo, "set lo up", 0);
	h = nl_ask(b, RTM_SETLINK, 0, &eth, sizeof eth, "no IPv6 address on eth0",
		   EAFNOSUPPORT);
	put_addr_gen_none(b, h);
}

/* eth0 is up; the address, the gateway's MAC, the default route. */
static void
put_inside6(struct nl_batch *b, const struct link *l, unsigned index, uint32_t ip,
	    struct mac mac)
{
	struct ifaddrmsg am = { AF_INET6, 128, IFA_F_PERMANENT | IFA_F_NODAD, RT_SCOPE_UNIVERSE,
				index };
	struct ndmsg nd = { .ndm_family = AF_INET6,
			    .ndm_ifindex = index,
			    .ndm_state = NUD_PERMANENT };
	struct rtmsg rm = { .rtm_family = AF_INET6,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_scope = RT_SCOPE_UNIVERSE,
			    .rtm_type = RTN_UNICAST,
			    .rtm_flags = RTNH_F_ONLINK };
	addr gw = link_ip6(l, l->gateway);
	struct nlmsghdr *h;

	h = nl_ask(b, RTM_NEWADDR, PUT, &am, sizeof am, "give eth0 its IPv6 address", 0);
	put_ip6(b, h, IFA_LOCAL, link_ip6(l, ip));
	put_ip6(b, h, IFA_ADDRESS, link_ip6(l, ip));
	h = nl_ask(b, RTM_NEWNEIGH, PUT, &nd, sizeof nd, "fix the gateway's MAC of IPv6", 0);
	put_ip6(b, h, NDA_DST, gw);
	nl_put(b, h, NDA_LLADDR, &mac, sizeof mac);
	h = nl_ask(b, RTM_NEWROUTE, PUT, &rm, sizeof rm, "set the default route of IPv6", 0);
	nl_put_u32(b, h, RTA_OIF, index);
	put_ip6(b, h, RTA_GATEWAY, gw);
}

static int
plug_pod(struct link *l, struct nl *nl, bool ahead, uint32_t ip, struct error **e)
{
	unsigned index = link_index(nl->fd, "eth0");
	struct ifinfomsg eth = { .ifi_index = index };
	struct ifaddrmsg am = { AF_INET, 32, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE, index };
	struct ndmsg arp = { .ndm_family = AF_INET,
			     .ndm_ifindex = index,
			     .ndm_state = NUD_PERMANENT };
	struct rtmsg rm = { .rtm_family = AF_INET,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_scope = RT_SCOPE_UNIVERSE,
			    .rtm_type = RTN_UNICAST,
			    .rtm_flags = RTNH_F_ONLINK };
	struct mac mac = link_mac(MAC_POD, l->gateway), own = link_mac(MAC_POD, ip);
	uint32_t v4 = htonl(ip), gw = htonl(l->gateway);
	struct nl_batch b = { 0 };
	struct nlmsghdr *h;

	if (ahead) {
		h = nl_ask(&b, RTM_SETLINK, 0, &eth, sizeof eth, "give eth0 its MAC", 0);
		nl_put(&b, h, IFLA_ADDRESS, &own, sizeof own);
	} else {
		put_inside(&b, index);
	}
	h = nl_ask(&b, RTM_NEWADDR, PUT, &am, sizeof am, "give eth0 its address", 0);
	nl_put(&b, h, IFA_LOCAL, &v4, sizeof v4);
	nl_put(&b, h, IFA_ADDRESS, &v4, sizeof v4);
	eth.ifi_flags = eth.ifi_change = IFF_UP;
	nl_ask(&b, RTM_SETLINK, 0, &eth, sizeof eth, "set eth0 up", 0);
	h = nl_ask(&b, RTM_NEWNEIGH, PUT, &arp, sizeof arp, "fix the gateway's MAC", 0);
	nl_put(&b, h, NDA_DST, &gw, sizeof gw);
	nl_put(&b, h, NDA_LLADDR, &mac, sizeof mac);
	h = nl_ask(&b, RTM_NEWROUTE, PUT, &rm, sizeof rm, "set the default route", 0);
	nl_put_u32(&b, h, RTA_OIF, index);
	nl_put(&b, h, RTA_GATEWAY, &gw, sizeof gw);
	if (l->pods6.bits)
		put_inside6(&b, l, index, ip, mac);
	return nl_send(nl, &b, e);
}

int
link_plug(struct link *l, int netns, uint32_t ip, struct error **e)
{
	struct nl pod = { -1, 0 };
	char name[LINK_TEXT], text[LINK_TEXT];
	unsigned index;
	int rc;

	/* A namespace that is going away may still hold the former pod's link. */
	if (link_index(l->nl.fd, link_name(ip, name)) && link_forget(l, ip, true, e) < 0)
		return -1;
	if (plug_make(l, netns, name, ip, e) < 0)
		return fail_in(e, "%s", ipv4_print(ip, text));
	index = link_index(l->nl.fd, name);
	rc = plug_host(l, index, NULL, ip, e) < 0 || plug_socket(l, netns, &pod, e) < 0 ||
	     plug_pod(l, &pod, false, ip, e) < 0;
	nl_close(&pod);
	if (!rc)
		return 0;
	(void)link_forget(l, ip, true, NULL);
	return fail_in(e, "%s", ipv4_print(ip, text));
}

/* -- made ahead ---------------------------------------------------------------
 *
 * A pair of no address yet, in a namespace whose pod is yet to come; both ends are down, so
 * nothing passes.  Only descriptors of ours hold the namespace: when we end, however that
 * happens, the kernel removes it and the pair, and nothing is left to be found or swept. */

static void
ahead_unplug(struct link *l, const struct link_ahead *a)
{
	struct ifinfomsg im = { .ifi_index = (int)a->index };
	struct nl_batch b = { 0 };

	nl_ask(&b, RTM_DELLINK, 0, &im, sizeof im, "remove the veth pair", ENODEV);
	(void)nl_send(&l->nl, &b, NULL);
}

void
link_ahead_drop(struct link_ahead *a)
{
	nl_close(&a->pod);
}

int
link_ahead_make(struct link *l, int netns, unsigned number, struct link_ahead *ret,
		struct error **e)
{
	struct link_ahead a = { .pod = { -1, 0 } };
	struct nl_batch port = { 0 }, inside = { 0 };
	char name[LINK_TEXT];
	struct stat st;

	snprintf(name, sizeof name, LINK_AHEAD "%03x", l->gateway, number & 0xfff);
	if (fstat(netns, &st) < 0)
		return fail_sys(e, "look at the network namespace");
	a.ino = st.st_ino;
	if (plug_socket(l, netns, &a.pod, e) < 0 ||
	    plug_make(l, netns, name, number & 0xfff, e) < 0)
		goto failed;
	a.index = link_index(l->nl.fd, name);
	put_port(&port, a.index);
	put_inside(&inside, link_index(a.pod.fd, "eth0"));
	if (nl_send(&l->nl, &port, e) == 0 && nl_send(&a.pod, &inside, e) == 0) {
		*ret = a;
		return 0;
	}
	ahead_unplug(l, &a);
failed:
	link_ahead_drop(&a);
	return fail_in(e, "%s", name);
}

int
link_ahead_plug(struct link *l, struct link_ahead *a, uint32_t ip, struct error **e)
{
	char name[LINK_TEXT], text[LINK_TEXT];

	if (link_index(l->nl.fd, link_name(ip, name)) && link_forget(l, ip, true, e) < 0)
		return -1;
	if (plug_host(l, a->index, name, ip, e) == 0 && plug_pod(l, &a->pod, true, ip, e) == 0)
		return 0;
	ahead_unplug(l, a);
	return fail_in(e, "%s", ipv4_print(ip, text));
}

int
link_forget(struct link *l, uint32_t ip, bool unplug, struct error **e)
{
	struct ndmsg arp = { .ndm_family = AF_INET,
			     .ndm_ifindex = l->index,
			     .ndm_state = NUD_PERMANENT };
	struct ifinfomsg im = { 0 };
	struct nl_batch b = { 0 };
	uint32_t v4 = htonl(ip);
	char name[LINK_TEXT], text[LINK_TEXT];
	struct nlmsghdr *h;

	h = nl_ask(&b, RTM_DELNEIGH, 0, &arp, sizeof arp, "forget the pod's MAC", ENOENT);
	nl_put(&b, h, NDA_DST, &v4, sizeof v4);
	if (l->pods6.bits) {
		arp.ndm_family = AF_INET6;
		h = nl_ask(&b, RTM_DELNEIGH, 0, &arp, sizeof arp, "forget the pod's MAC",
			   ENOENT);
		put_ip6(&b, h, NDA_DST, link_ip6(l, ip));
	}
	/* Asked for, its removal takes two grace periods in the foreground, some 16 ms. */
	im.ifi_index = unplug ? (int)link_index(l->nl.fd, link_name(ip, name)) : 0;
	if (im.ifi_index)
		nl_ask(&b, RTM_DELLINK, 0, &im, sizeof im, "remove the veth pair", ENODEV);
	if (nl_send(&l->nl, &b, e) < 0)
		return fail_in(e, "%s", ipv4_print(ip, text));
	return 0;
}

/* -- the whole host --------------------------------------------------------- */

uint32_t
link_node_ip(const struct link *l)
{
	cleanup_fclose FILE *f = fopen("/proc/thread-self/net/route", "re");
	char line[256], name[IFNAMSIZ];
	unsigned dst, gw, flags, metric, mask, best = UINT32_MAX;
	struct ifreq r = { 0 };

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%15s %x %x %x %*d %*d %u %x", name, &dst, &gw, &flags,
			   &metric, &mask) == 6 &&
		    !dst && !mask && (flags & 1) && metric < best) {
			best = metric;
			snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
		}
	r.ifr_addr.sa_family = AF_INET;
	if (*r.ifr_name) {
		cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 && ioctl(fd, SIOCGIFADDR, &r) == 0)
			return ntohl(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr);
	}
	return l->gateway;
}

/* The first address of a link that others can know it by. */
static addr
global_of(const char *link)
{
	cleanup_fclose FILE *f = fopen("/proc/thread-self/net/if_inet6", "re");
	char line[256], text[33], name[IFNAMSIZ];
	unsigned scope, flags;

	while (f && fgets(line, sizeof line, f)) {
		addr a = 0;

		if (sscanf(line, "%32[0-9a-f] %*x %*x %x %x %15s", text, &scope, &flags,
			   name) != 4 ||
		    scope || strcmp(name, link) ||
		    flags & (IFA_F_TEMPORARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE))
			continue;
		for (const char *p = text; *p; p++)
			a = a << 4 | (unsigned)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
		return a;
	}
	return 0;
}

addr
link_node_ip6(const struct link *l)
{
	cleanup_fclose FILE *f = fopen("/proc/thread-self/net/ipv6_route", "re");
	char line[256], name[IFNAMSIZ], best[IFNAMSIZ] = "";
	unsigned bits, metric, least = UINT32_MAX;
	addr ip;

	/* DESTINATION BITS SOURCE BITS GATEWAY METRIC USERS USES FLAGS LINK */
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%*32[0] %x %*x %*x %*x %x %*x %*x %*x %15s", &bits, &metric,
			   name) == 3 &&
		    !bits && strcmp(name, "lo") && metric < least) {
			least = metric;
			snprintf(best, sizeof best, "%s", name);
		}
	ip = *best ? global_of(best) : 0;
	return ip ? ip : link_ip6(l, l->gateway);
}

bool
link_has_ip6(const char *bridge)
{
	char file[96];
	int off;

	snprintf(file, sizeof file, "ipv6/conf/%s/disable_ipv6", bridge);
	return knob_get(file, &off, NULL) == 0 && !off;
}

/* Is it "kdg" and eight hex digits, which are an address of the pods' range? */
uint32_t
link_pod(const struct np_config *c, const char *name)
{
	uint32_t ip;

	if (strncmp(name, "kdg", 3) || strlen(name) != 11 ||
	    strspn(name + 3, "0123456789abcdef") != 8)
		return 0;
	ip = (uint32_t)strtoul(name + 3, NULL, 16);
	return (ip ^ c->pods.net) >> (32 - c->pods.bits) ? 0 : ip;
}

static bool
link_ours(const struct np_config *c, const char *name)
{
	char ahead[LINK_TEXT];

	snprintf(ahead, sizeof ahead, LINK_AHEAD, (unsigned)c->pods.net + 1);
	return !strncmp(name, ahead, strlen(ahead)) || link_pod(c, name);
}

int
link_down(const struct np_config *c, struct error **e)
{
	struct if_nameindex *all = if_nameindex();
	struct nl nl = { -1, 0 };
	int rc = 0;

	if (!all)
		return fail_sys(e, "list the links");
	if (nl_open(&nl, NETLINK_ROUTE, e) < 0)
		rc = -1;
	for (struct if_nameindex *i = all; i->if_name && !rc; i++) {
		struct ifinfomsg im = { .ifi_index = i->if_index };
		struct nl_batch b = { 0 };

		if (!link_ours(c, i->if_name) && strcmp(i->if_name, c->bridge))
			continue;
		nl_ask(&b, RTM_DELLINK, 0, &im, sizeof im, "remove it", ENODEV);
		if (nl_send(&nl, &b, e) < 0)
			rc = fail_in(e, "%s", i->if_name);
	}
	if_freenameindex(all);
	nl_close(&nl);
	return rc;
}

/* announce.c -- see announce.h. */
#include "announce.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct held { /* one address of the host */
	unsigned link;
	addr ip;
	unsigned bits; /* of its network */
	bool ours;
};

struct helds {
	struct held *at;
	size_t n;
};

struct all { /* addresses of one family */
	const struct np_config *config;
	bool v6;
	unsigned bridge, lo; /* links */
	char suffix[8];      /* of labels */
	uint32_t metric;
	struct helds held; /* sorted by address once it is read */
	struct helds nets; /* those of them that stand for a network beside the host */
};

struct place { /* where an address belongs */
	unsigned link;
	char label[IFNAMSIZ * 2]; /* "": none */
};

/* ":kdg", and 0x4b4447, after the chains' own letters: a second kedged has others. */
static struct all
all_none(const struct np_config *c, bool v6)
{
	const char *letters = c->chains ? c->chains : "KDG";
	struct all all = { .config = c,
			   .v6 = v6,
			   .bridge = if_nametoindex(c->bridge),
			   .lo = if_nametoindex("lo") };

	snprintf(all.suffix, sizeof all.suffix, ":%.3s", letters);
	for (char *x = all.suffix; *x; x++)
		*x = (char)tolower((unsigned char)*x);
	for (int i = 0; i < 3 && letters[i]; i++)
		all.metric = all.metric << 8 | (unsigned char)letters[i];
	return all;
}

static bool
is_ours(const struct all *all, const struct held *h, const char *label, uint32_t metric)
{
	const char *colon = label ? strchr(label, ':') : NULL;

	if (h->bits != addr_bits(all->v6))
		return false;
	if (all->v6)
		return metric == all->metric;
	return h->ip != all->config->dns && /* that is the link's own */
	       (colon ? !strcmp(colon, all->suffix) : h->link == all->bridge);
}

static void
helds_add(struct helds *to, const struct held *h)
{
	to->at = xgrow(to->at, to->n, sizeof *to->at);
	to->at[to->n++] = *h;
}

static void
held_add(struct all *all, const struct held *h)
{
	helds_add(&all->held, h);
	if (!h->ours && h->bits < addr_bits(all->v6) && h->link != all->bridge &&
	    h->link != all->lo)
		helds_add(&all->nets, h);
}

static int
address_seen(const struct nlmsghdr *msg, void *ctx)
{
	struct all *all = ctx;
	const struct ifaddrmsg *am = mnl_nlmsg_get_payload(msg);
	const char *label = NULL;
	struct held h = { 0 };
	uint32_t metric = 0;
	bool local = false;
	const struct nlattr *a;

	/* A kernel without IPv6 answers with all that it has. */
	if (msg->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(msg) < sizeof *am ||
	    am->ifa_family != (all->v6 ? AF_INET6 : AF_INET))
		return MNL_CB_OK;
	mnl_attr_for_each(a, msg, sizeof *am)
	{
		unsigned type = mnl_attr_get_type(a), len = mnl_attr_get_payload_len(a);

		/* On a link with a peer the other one is the peer's. */
		if ((type == IFA_LOCAL || (type == IFA_ADDRESS && !local)) &&
		    len == addr_bits(all->v6) / 8) {
			h.ip = addr_from(all->v6, mnl_attr_get_payload(a));
			local = type == IFA_LOCAL;
		} else if (type == IFA_LABEL &&
			   mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0) {
			label = mnl_attr_get_str(a);
		} else if (type == IFA_RT_PRIORITY && len == sizeof metric) {
			metric = mnl_attr_get_u32(a);
		}
	}
	/* ::1 and its like are as good as none. */
	if (!h.ip || addr_v6(h.ip) != all->v6)
		return MNL_CB_OK;
	h.link = am->ifa_index;
	h.bits = am->ifa_prefixlen;
	h.ours = is_ours(all, &h, label, metric);
	held_add(all, &h);
	return MNL_CB_OK;
}

static int
held_order(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->ip > y->ip) - (x->ip < y->ip);
}

static int
all_read(struct nl *nl, struct all *all, struct error **e)
{
	static const char what[] = "list the host's addresses";
	struct ifaddrmsg am = { .ifa_family = all->v6 ? AF_INET6 : AF_INET };
	struct nl_batch b = { 0 };

	if (nl_dump(nl, nl_ask(&b, RTM_GETADDR, NLM_F_DUMP, &am, sizeof am, what, 0),
		    address_seen, all, what, e) < 0)
		return -1;
	if (all->held.n)
		qsort(all->held.at, all->held.n, sizeof *all->held.at, held_order);
	return 0;
}

static void
all_done(struct all *all)
{
	free(all->held.at);
	free(all->nets.at);
}

/* The first of those with this address, or where it would be. */
static size_t
held_from(const struct helds *held, addr ip)
{
	size_t lo = 0, hi = held->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (held->at[mid].ip < ip)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The link with the narrowest network that holds this address; else the bridge. */
static struct place
place_for(const struct all *all, addr ip)
{
	unsigned of = addr_bits(all->v6);
	struct place p = { .link = all->bridge }, bridge = p;
	const struct held *best = NULL;
	char name[IFNAMSIZ];

	for (size_t i = 0; i < all->nets.n; i++) {
		const struct held *h = &all->nets.at[i];

		if (addr_head(h->ip, h->bits, of) == addr_head(ip, h->bits, of) &&
		    (!best || h->bits > best->bits))
			best = h;
	}
	if (!best || !if_indextoname(best->link, name))
		return bridge;
	p.link = best->link;
	if (all->v6)
		return p;
	snprintf(p.label, sizeof p.label, "%s%s", name, all->suffix);
	/* No room to say whose it is: the kernel answers for the bridge's, too. */
	return strlen(p.label) < IFNAMSIZ ? p : bridge;
}

static int
address_ask(struct nl *nl, uint16_t type, const struct all *all, struct place p, addr ip,
	    struct error **e)
{
	bool add = type == RTM_NEWADDR, v6 = all->v6;
	struct ifaddrmsg am = { v6 ? AF_INET6 : AF_INET, addr_bits(v6), IFA_F_PERMANENT,
				RT_SCOPE_UNIVERSE, p.link };
	/* Not one to speak from: deprecated, or the host would choose it for its own ends. */
	struct ifa_cacheinfo life = { .ifa_valid = UINT32_MAX };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    nl_ask(&b, type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &am, sizeof am,
		   add ? "add a balancer's address" : "remove a balancer's address",
		   add ? 0 : EADDRNOTAVAIL);
	char text[ADDR_TEXT], name[IFNAMSIZ] = "";
	uint8_t at[16];

	addr_bytes(v6, ip, at);
	nl_put(&b, h, IFA_LOCAL, at, addr_bits(v6) / 8);
	nl_put(&b, h, IFA_ADDRESS, at, addr_bits(v6) / 8);
	if (add && *p.label)
		nl_put_str(&b, h, IFA_LABEL, p.label);
	if (add && v6) {
		nl_put_u32(&b, h, IFA_FLAGS,
			   IFA_F_PERMANENT | IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
		nl_put_u32(&b, h, IFA_RT_PRIORITY, all->metric);
		nl_put(&b, h, IFA_CACHEINFO, &life, sizeof life);
	}
	if (nl_send(nl, &b, e) < 0)
		return fail_in(e, "%s on %s", addr_print(ip, text),
			       if_indextoname(p.link, name) ? name : "a link that is gone");
	return 0;
}

static bool
mac_of(int fd, unsigned link, uint8_t to[static 6])
{
	struct ifreq r = { 0 };

	if (!if_indextoname(link, r.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &r) < 0 ||
	    r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return false;
	memcpy(to, r.ifr_hwaddr.sa_data, 6);
	return true;
}

/* "Who has IP?  Tell IP", which all neighbours note. */
static void
tell_by_arp(unsigned link, addr ip)
{
	cleanup_close int fd =
	    socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETHERTYPE_ARP));
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = (int)link,
				  .sll_halen = 6,
				  .sll_addr = { 255, 255, 255, 255, 255, 255 } };
	struct {
		struct arphdr head;
		uint8_t from[6];
		uint8_t from_ip[4];
		uint8_t to[6];
		uint8_t to_ip[4];
	} __attribute__((packed)) arp = { .head = { htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6,
						    4, htons(ARPOP_REQUEST) } };

	if (fd < 0 || !mac_of(fd, link, arp.from))
		return;
	addr_bytes(false, ip, arp.from_ip);
	addr_bytes(false, ip, arp.to_ip);
	(void)sendto(fd, &arp, sizeof arp, 0, (struct sockaddr *)&to, sizeof to);
}

/* A neighbour advertisement to all nodes, whatever they knew of IP (RFC 4861, 7.2.6); as the
 * kernel answers for a host that forwards, it is of a router. */
static void
tell_by_ndp(unsigned link, addr ip)
{
	cleanup_close int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 },
			    to = { .sin6_family = AF_INET6, .sin6_scope_id = link };
	struct {
		struct nd_neighbor_advert head;
		struct nd_opt_hdr option;
		uint8_t mac[6];
	} __attribute__((packed)) na = { .option = { ND_OPT_TARGET_LINKADDR, 1 } };
	int hops = 255;

	na.head.nd_na_type = ND_NEIGHBOR_ADVERT;
	na.head.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | ND_NA_FLAG_ROUTER;
	addr_bytes(true, ip, &na.head.nd_na_target);
	addr_bytes(true, ip, &from.sin6_addr);
	if (fd < 0 || !mac_of(fd, link, na.mac) ||
	    inet_pton(AF_INET6, "ff02::1", &to.sin6_addr) != 1 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
		return;
	(void)sendto(fd, &na, sizeof na, 0, (struct sockaddr *)&to, sizeof to);
}

static int
addr_order(const void *a, const void *b)
{
	addr x = *(const addr *)a, y = *(const addr *)b;

	return (x > y) - (x < y);
}

static bool
is_wanted(addr ip, const addr *want, size_t n)
{
	return n && bsearch(&ip, want, n, sizeof *want, addr_order);
}

/* Is it the host's own, or ours where it belongs? */
static bool
is_settled(const struct all *all, addr ip, unsigned link)
{
	const struct helds *held = &all->held;

	for (size_t i = held_from(held, ip); i < held->n && held->at[i].ip == ip; i++)
		if (!held->at[i].ours || held->at[i].link == link)
			return true;
	return false;
}

/* Nobody answers what the neighbours are told, and nothing depends on it: one that missed it
 * asks by itself when what it knows gets old. */
static int
address_settle(struct nl *nl, const struct all *all, addr ip, unsigned *changed,
	       struct error **e)
{
	struct place p = place_for(all, ip);

	if (is_settled(all, ip, p.link))
		return 0;
	if (address_ask(nl, RTM_NEWADDR, all, p, ip, e) < 0)
		return -1;
	++*changed;
	(all->v6 ? tell_by_ndp : tell_by_arp)(p.link, ip);
	return 0;
}

/* Ours, and not wanted, or not there: the link's network came later than the address. */
static bool
is_stray(const struct all *all, const struct held *h, const addr *want, size_t n)
{
	return h->ours && (!is_wanted(h->ip, want, n) || place_for(all, h->ip).link != h->link);
}

int
announce_sync(struct nl *nl, const struct np_config *c, bool v6, addr *want, size_t n,
	      unsigned *ret_changed, struct error **e)
{
	struct all all = all_none(c, v6);
	unsigned changed = 0;
	int rc = all_read(nl, &all, e);

	if (n)
		qsort(want, n, sizeof *want, addr_order);
	for (size_t i = 0; i < n && !rc; i++)
		if (!i || want[i] != want[i - 1])
			rc = address_settle(nl, &all, want[i], &changed, e);
	for (size_t i = 0; i < all.held.n && !rc; i++) {
		const struct held *h = &all.held.at[i];

		if (!is_stray(&all, h, want, n))
			continue;
		rc = address_ask(nl, RTM_DELADDR, &all, (struct place){ .link = h->link },
				 h->ip, e);
		changed += !rc;
	}
	all_done(&all);
	if (!rc)
		*ret_changed = changed;
	return rc;
}

bool
announce_is_hosts(const struct np_config *c, addr ip)
{
	struct all all = all_none(c, addr_v6(ip));
	struct nl nl = { -1, 0 };
	bool is = nl_open(&nl, NETLINK_ROUTE, NULL) < 0 || all_read(&nl, &all, NULL) < 0;
	const struct helds *held = &all.held;

	for (size_t i = held_from(held, ip); !is && i < held->n && held->at[i].ip == ip; i++)
		is = !held->at[i].ours;
	nl_close(&nl);
	all_done(&all);
	return is;
}

/* announce.c -- see announce.h. */
#include "announce.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/ipv4.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct held { /* one address of the host */
	char link[IFNAMSIZ];
	uint32_t ip, mask;
	bool ours;
};

struct all {
	struct held *at;
	size_t n;
};

/* ":kdg", after the chains' own letters: a second kedged has others. */
static void
suffix_of(const struct np_config *c, char to[static 8])
{
	snprintf(to, 8, ":%.3s", c->chains ? c->chains : "KDG");
	for (char *x = to; *x; x++)
		*x = (char)tolower((unsigned char)*x);
}

static struct held
held_of(const struct ifaddrs *a, const struct np_config *c, const char *suffix)
{
	const char *colon = strchr(a->ifa_name, ':');
	struct held h = { .ip = ntohl(((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr),
			  .mask = UINT32_MAX };

	if (a->ifa_netmask)
		h.mask = ntohl(((struct sockaddr_in *)a->ifa_netmask)->sin_addr.s_addr);
	snprintf(h.link, sizeof h.link, "%.*s",
		 (int)(colon ? (size_t)(colon - a->ifa_name) : strlen(a->ifa_name)),
		 a->ifa_name);
	h.ours = h.mask == UINT32_MAX && h.ip != c->dns && /* that is the link's own */
		 ((colon && !strcmp(colon, suffix)) || (!colon && !strcmp(h.link, c->bridge)));
	return h;
}

static int
all_read(const struct np_config *c, const char *suffix, struct all *ret, struct error **e)
{
	struct ifaddrs *list = NULL;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return fail_sys(e, "list the host's addresses");
	for (struct ifaddrs *a = list; a; a = a->ifa_next)
		n++;
	*ret = (struct all){ xcalloc(n, sizeof *ret->at), 0 };
	for (struct ifaddrs *a = list; a; a = a->ifa_next)
		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET)
			ret->at[ret->n++] = held_of(a, c, suffix);
	freeifaddrs(list);
	return 0;
}

/* The link with the narrowest network that holds this address; else the bridge. */
static const char *
link_for(const struct all *all, const struct np_config *c, uint32_t ip)
{
	const struct held *best = NULL;

	for (size_t i = 0; i < all->n; i++) {
		const struct held *h = &all->at[i];

		if (h->ours || h->mask == UINT32_MAX || (h->ip ^ ip) & h->mask ||
		    !strcmp(h->link, c->bridge) || !strcmp(h->link, "lo"))
			continue;
		if (!best || h->mask > best->mask)
			best = h;
	}
	return best ? best->link : c->bridge;
}

static int
address_ask(struct nl *nl, uint16_t type, const char *link, const char *label, uint32_t ip,
	    struct error **e)
{
	bool add = type == RTM_NEWADDR;
	struct ifaddrmsg am = { AF_INET, 32, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE,
				if_nametoindex(link) };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    nl_ask(&b, type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &am, sizeof am,
		   add ? "add a balancer's address" : "remove a balancer's address",
		   add ? 0 : EADDRNOTAVAIL);
	uint32_t at = htonl(ip);
	char text[IPV4_TEXT];

	nl_put(&b, h, IFA_LOCAL, &at, sizeof at);
	nl_put(&b, h, IFA_ADDRESS, &at, sizeof at);
	if (add && *label)
		nl_put_str(&b, h, IFA_LABEL, label);
	if (nl_send(nl, &b, e) < 0)
		return fail_in(e, "%s on %s", ipv4_print(ip, text), link);
	return 0;
}

/* "Who has IP?  Tell IP", which all neighbours note.  Nobody answers, and nothing depends on
 * it: a neighbour that missed it asks by itself when what it knows gets old. */
static void
tell_neighbours(const char *link, uint32_t ip)
{
	cleanup_close int fd =
	    socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETHERTYPE_ARP));
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = (int)if_nametoindex(link),
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
	uint32_t at = htonl(ip);
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", link);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &r) < 0 ||
	    r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return;
	memcpy(arp.from, r.ifr_hwaddr.sa_data, 6);
	memcpy(arp.from_ip, &at, 4);
	memcpy(arp.to_ip, &at, 4);
	(void)sendto(fd, &arp, sizeof arp, 0, (struct sockaddr *)&to, sizeof to);
}

static bool
is_wanted(uint32_t ip, const uint32_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (want[i] == ip)
			return true;
	return false;
}

static bool
is_held(const struct all *all, uint32_t ip)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].ip == ip)
			return true;
	return false;
}

static int
address_add(struct nl *nl, const struct np_config *c, const struct all *all, const char *suffix,
	    uint32_t ip, struct error **e)
{
	const char *link = link_for(all, c, ip);
	char label[IFNAMSIZ * 2] = "";

	if (strcmp(link, c->bridge)) {
		snprintf(label, sizeof label, "%s%s", link, suffix);
		/* No room to say whose it is: the kernel answers for the bridge's, too. */
		if (strlen(label) >= IFNAMSIZ) {
			link = c->bridge;
			*label = 0;
		}
	}
	if (address_ask(nl, RTM_NEWADDR, link, label, ip, e) < 0)
		return -1;
	tell_neighbours(link, ip);
	return 0;
}

int
announce_sync(struct nl *nl, const struct np_config *c, const uint32_t *want, size_t n,
	      unsigned *ret_changed, struct error **e)
{
	struct all all = { 0 };
	char suffix[8];
	unsigned changed = 0;
	int rc;

	suffix_of(c, suffix);
	rc = all_read(c, suffix, &all, e);
	for (size_t i = 0; i < all.n && !rc; i++)
		if (all.at[i].ours && !is_wanted(all.at[i].ip, want, n)) {
			rc = address_ask(nl, RTM_DELADDR, all.at[i].link, "", all.at[i].ip, e);
			changed += !rc;
		}
	for (size_t i = 0; i < n && !rc; i++)
		if (!is_held(&all, want[i]) && !is_wanted(want[i], want, i)) {
			rc = address_add(nl, c, &all, suffix, want[i], e);
			changed += !rc;
		}
	free(all.at);
	if (!rc)
		*ret_changed = changed;
	return rc;
}

bool
announce_is_hosts(const struct np_config *c, uint32_t ip)
{
	cleanup_error struct error *e = NULL;
	struct all all = { 0 };
	char suffix[8];
	bool is = false;

	suffix_of(c, suffix);
	if (all_read(c, suffix, &all, &e) < 0)
		return true;
	for (size_t i = 0; i < all.n; i++)
		is = is || (all.at[i].ip == ip && !all.at[i].ours);
	free(all.at);
	return is;
}

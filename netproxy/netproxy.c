/* netproxy.c -- opening, looking after and removing what np owns; see netproxy.h. */
#include "announce.h"
#include "knobs.h"
#include "mend.h"
#include "np.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include <assert.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
range_check(struct addr_range r, bool services, bool v6, struct error **e)
{
	struct addr_lengths may = addr_lengths(services, v6);
	char text[ADDR_TEXT];

	if (r.v6 == v6 && r.bits >= may.widest && r.bits <= may.narrowest &&
	    addr_head(r.net, r.bits, addr_bits(v6)) == r.net && r.net && addr_v6(r.net) == v6)
		return 0;
	return fail(e, WHY_INVALID,
		    "%s/%u is no %srange for %s: it takes a network of /%u to /%u",
		    addr_print(r.net, text), r.bits, v6 ? "IPv6 " : "",
		    services ? "services" : "pods", may.widest, may.narrowest);
}

/* Of one family. */
static int
ranges_check(struct addr_range pods, struct addr_range svcs, bool v6, struct error **e)
{
	char text[ADDR_TEXT];

	if (range_check(pods, false, v6, e) < 0 || range_check(svcs, true, v6, e) < 0)
		return -1;
	if (addr_overlap(pods, svcs))
		return fail(e, WHY_INVALID, "the %sranges of pods and services overlap at %s",
			    v6 ? "IPv6 " : "",
			    addr_print(pods.bits > svcs.bits ? pods.net : svcs.net, text));
	return 0;
}

static int
config6_check(const struct np_config *c, struct error **e)
{
	if (!c->pods6.bits && !c->svcs6.bits)
		return 0;
	if (!c->pods6.bits || !c->svcs6.bits)
		return fail(e, WHY_INVALID,
			    "pods and services have IPv6 both, or neither of them");
	return ranges_check(c->pods6, c->svcs6, true, e);
}

/* The bridge's name becomes part of rules and of file names below /proc/sys. */
static int
config_check(const struct np_config *c, struct error **e)
{
	static const char fine[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = c->bridge ? strlen(c->bridge) : 0;
	char ip[LINK_TEXT];

	if (!n || n >= IFNAMSIZ || strspn(c->bridge, fine) != n)
		return fail(e, WHY_INVALID,
			    "the bridge's name must be 1 to %d of [A-Za-z0-9_-]", IFNAMSIZ - 1);
	if (c->chains && (strlen(c->chains) != 3 || strspn(c->chains, capitals) != 3))
		return fail(e, WHY_INVALID,
			    "the chains' names must begin with three capital letters, such as "
			    "KDG");
	if (ranges_check(c->pods, c->svcs, false, e) < 0)
		return -1;
	if (c->dns && !addr_within(c->dns, c->svcs))
		return fail(e, WHY_INVALID, "%s, for DNS, is not in the services' range",
			    ipv4_print(c->dns, ip));
	return config6_check(c, e);
}

static void
lack(struct np *np, const char *sentence)
{
	size_t n = 0;

	while (np->lacks[n])
		n++;
	assert(n + 1 < sizeof np->lacks / sizeof *np->lacks);
	np->lacks[n] = sentence;
}

/* Pods speak to one another through the rules alone. */
static void
fence(struct np *np)
{
	cleanup_error struct error *e = NULL;

	if (nl_open(&np->bridged, NETLINK_NETFILTER, &e) == 0 &&
	    fence_put(&np->bridged, &np->config, &e) == 0)
		return;
	log_debug("netproxy", "%s", error_text(e));
	nl_close(&np->bridged);
	np->bridged = (struct nl){ -1, 0 };
	lack(np, "this kernel's nf_tables filter no bridged frames: a pod with CAP_NET_RAW can "
		 "send frames to another past its NetworkPolicies");
}

static void
probe_matches(struct np *np)
{
	np->net.no_recent = !tables_has_match(&np->tables, "recent", 1);
	np->net.no_bpf = !tables_has_match(&np->tables, "bpf", 1);
	np->net.no_sctp = !tables_has_match(&np->tables, "sctp", 0);
	np->tracks = conntrack_there();
}

/* What one drops no other can accept. */
static void
probe_wall(struct np *np)
{
	char which[128];

	if (!tables_wall(np->config.pods6.bits, which, sizeof which))
		return;
	snprintf(
	    np->wall, sizeof np->wall,
	    "nf_tables have a firewall beside iptables (table %s): what it drops is dropped, "
	    "whatever kedge allows (nft list ruleset shows it)",
	    which);
	lack(np, np->wall);
}

static void
probe(struct np *np)
{
	probe_matches(np);
	probe_wall(np);
	if (np->net.no_recent && !np->net.nft)
		lack(np, "this kernel has no xt_recent: sessionAffinity ClientIP is not kept, "
			 "requests of one client spread over all endpoints");
	if (np->net.no_bpf)
		lack(np, "this kernel has no xt_bpf: a pod with CAP_NET_RAW can send packets "
			 "with another pod's address");
	if (np->net.no_sctp)
		lack(np, "this kernel has no xt_sctp: Services of SCTP are left out, and a "
			 "NetworkPolicy that admits a port of SCTP admits nobody by it");
	if (np->link.said)
		lack(np, np->link.said);
	if (!np->tracks)
		lack(
		    np,
		    "this kernel has no nf_conntrack_netlink: pods are stopped without waiting "
		    "for their connections, and UDP clients keep a stopped pod until they "
		    "pause");
	if (tables_mixed(&np->tables))
		lack(np, np->tables.kind == TABLES_NFT
			     ? "there are rules in legacy iptables beside those in nf_tables: "
			       "both are "
			       "applied, and one may block what the other allows "
			       "(iptables-legacy-save shows them)"
			     : "there are rules in nf_tables beside those in legacy iptables: "
			       "both are "
			       "applied, and one may block what the other allows "
			       "(iptables-nft-save shows them)");
}

/* What the notes in the tables say we turned. */
static unsigned
turned_before(const struct seen *seen)
{
	unsigned which = 0;

	for (unsigned i = 0; i < LINK_KNOBS; i++)
		if (map_get(&seen->chains[RULES_FILTER], link_knobs[i].note))
			which |= 1u << i;
	return which;
}

/* The first commit is made here if there is nothing of ours, so that pods reach
 * the outside before there is any service.  Otherwise what is there goes on
 * serving, even if it is damaged: the first commit, with services, replaces it. */
static int
np_base(struct np *np, struct error **e)
{
	struct seen seen = { 0 };
	bool there;
	int rc = tables_read(&np->tables, &seen, e);

	there = seen.chains[RULES_FILTER].n;
	if (!rc && seen.foreign)
		log_info(
		    "netproxy",
		    "%u rules of others in FORWARD of %s: they stay, and come after kedge's",
		    seen.foreign, np->net.v6 ? "ip6tables" : "iptables");
	np->net.turned |= rc ? 0 : turned_before(&seen);
	seen_done(&seen);
	if (rc || there)
		return rc;
	rc = np_commit(np, e);
	return rc ? rc : np_commit_end(np, e);
}

static void
table_name(const char *chains, char to[static RULES_NAME])
{
	snprintf(to, RULES_NAME, "%s%s", chains, &NFT_TABLE[strlen(chains)]);
}

/* -- going ------------------------------------------------------------------ */

static void
down_text(const struct seen *seen, struct buf *b)
{
	for (unsigned t = 0; t < RULES_TABLES; t++) {
		const struct map *m = &seen->chains[t];
		struct names all = { xcalloc(m->n, sizeof *all.at), 0 };

		buf_addf(b, "*%s\n", rules_tables[t]);
		for (unsigned i = 0; i < RULES_JUMPS; i++)
			for (unsigned k = 0; rules_jumps[i].table == t && k < seen->jumps[i];
			     k++)
				buf_addf(b, "-D %s -j %s\n", rules_jumps[i].from,
					 rules_jumps[i].to);
		buf_adds(b, "COMMIT\n");
		for (struct map_slot *s = map_first(m); s; s = map_next(m, s)) {
			all.at[all.n].table = t;
			snprintf(all.at[all.n++].name, RULES_NAME, "%s", s->key);
		}
		commit_text_remove(&all, t, b);
		free(all.at);
	}
}

static int
down_rules(const struct np_config *c, bool v6, struct error **e)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf text = { 0 };
	struct tables t = { .nl.fd = -1, .raw = -1 };
	struct restore run;
	struct seen seen = { 0 };
	enum tables_kind kind;
	int rc;

	if (restore_find(c->iptables_restore, v6, &path, &kind, e) < 0 ||
	    tables_open(&t, kind, v6, c->chains ? c->chains : "KDG", e) < 0)
		return -1;
	rc = tables_read(&t, &seen, e);
	if (!rc && (seen.chains[RULES_NAT].n || seen.chains[RULES_FILTER].n)) {
		down_text(&seen, &text);
		rules_rename(&text, t.chains);
		rc = restore_begin(&run, path, c->restore_seconds, &text, e) < 0
			 ? -1
			 : restore_end(&run, e);
	}
	/* Rules of others in FORWARD say that forwarding is wanted now. */
	if (!rc)
		rc = link_knobs_back(
		    turned_before(&seen) &
			~(seen.foreign ? 1u << KNOB_FORWARD | 1u << KNOB_FORWARD6 : 0u),
		    e);
	seen_done(&seen);
	tables_close(&t);
	return rc;
}

/* Rules of IPv6 from before this kedged's ranges were taken out of its settings.  They serve
 * nobody any more, so they hold nobody up either. */
static void
six_leave(struct nl *nl, const struct np_config *c)
{
	cleanup_error struct error *e = NULL;
	char table[RULES_NAME];
	unsigned changed;

	table_name(c->chains ? c->chains : "KDG", table);
	if (down_rules(c, true, &e) < 0 || nft_remove(table, true, &e) < 0 ||
	    announce_sync(nl, c, true, NULL, 0, &changed, &e) < 0)
		log_warn("netproxy", "rules of IPv6, from before, may be left: %s",
			 error_text(e));
}

/* -- coming ----------------------------------------------------------------- */

/* Nothing is open. */
static struct np *
np_new(const struct np_config *c)
{
	struct np *np = xcalloc(1, sizeof *np);

	np->config = *c;
	np->routes = &np->link.nl;
	np->link.owner = (struct owner){ { -1, -1 } };
	np->link.nl.fd = np->link.home = np->tables.nl.fd = np->tables.raw = -1;
	np->bridged.fd = -1;
	np->nft_nl.fd = -1;
	np->run = (struct restore){ -1, -1, -1 };
	np->idle = -1;
	return np;
}

/* The rules of IPv6 beside those of `np`, whose links and strings they use. */
static int
six_open(struct np *np, const struct np_config *c, struct error **e)
{
	struct np *six = np->six = np_new(&np->config);
	enum tables_kind kind;

	six->routes = np->routes;
	table_name(np->config.chains, six->nft_table);
	if ((c->nft && nl_open(&six->nft_nl, NETLINK_NETFILTER, e) < 0) ||
	    restore_find(c->iptables_restore, true, &six->restore, &kind, e) < 0 ||
	    tables_open(&six->tables, kind, true, np->config.chains, e) < 0)
		return -1;
	six->net = (struct rules_net){ .v6 = true,
				       .bridge = np->config.bridge,
				       .pods = c->pods6,
				       .svcs = c->svcs6,
				       .nft = c->nft,
				       .turned = np->link.turned };
	probe_matches(six);
	if (tables_mixed(&six->tables))
		lack(np, "there are rules in both kinds of ip6tables, legacy and nf_tables: "
			 "both are applied, and one may block what the other allows "
			 "(ip6tables-legacy-save and ip6tables-nft-save show them)");
	return np_base(six, e);
}

int
np_open(const struct np_config *c, struct np **ret, struct error **e)
{
	struct np *np = np_new(c);
	enum tables_kind kind;
	bool had6;

	np->ahead_made = (unsigned)getpid() * 16; /* not those of one before us */
	np->config.bridge = xstrdup(c->bridge);
	np->config.iptables_restore = NULL;
	np->config.chains = xstrdup(c->chains ? c->chains : "KDG");
	np->config.owner = c->owner ? xstrdup(c->owner) : NULL;
	table_name(np->config.chains, np->nft_table);
	if (config_check(c, e) < 0)
		goto bad;
	had6 = link_has_ip6(c->bridge);
	if ((c->nft && nl_open(&np->nft_nl, NETLINK_NETFILTER, e) < 0) ||
	    restore_find(c->iptables_restore, false, &np->restore, &kind, e) < 0 ||
	    tables_open(&np->tables, kind, false, np->config.chains, e) < 0 ||
	    link_open(&np->link, &np->config, e) < 0)
		goto bad;
	if (had6 && !c->pods6.bits) /* the bridge is ours: link_open asked */
		six_leave(&np->link.nl, c);
	np->net = (struct rules_net){ .bridge = np->config.bridge,
				      .pods = c->pods,
				      .svcs = c->svcs,
				      .dns = c->dns,
				      .nft = c->nft,
				      .turned = np->link.turned };
	probe(np);
	fence(np);
	if (np_base(np, e) < 0)
		goto bad;
	if (c->pods6.bits && six_open(np, c, e) < 0) {
		fail_in(e, "IPv6, for network.podCIDR has such a range");
		goto bad;
	}
	*ret = np;
	return 0;
bad:
	np_close(np);
	return -1;
}

/* Of one family. */
static void
rules_close(struct np *np)
{
	if (np->run.pidfd >= 0)
		(void)restore_end(&np->run, NULL);
	if (np->idle >= 0)
		close(np->idle);
	commit_done(np);
	tables_close(&np->tables);
	nl_close(&np->nft_nl);
	map_done(&np->shapes);
	free(np->restore);
}

void
np_close(struct np *np)
{
	if (!np)
		return;
	if (np->six)
		rules_close(np->six);
	free(np->six);
	rules_close(np);
	map_done(&np->plugged);
	while (np->ahead_n)
		link_ahead_drop(&np->ahead[--np->ahead_n]);
	nl_close(&np->bridged);
	link_close(&np->link);
	free((char *)np->config.bridge);
	free((char *)np->config.chains);
	free((char *)np->config.owner);
	free(np);
}

const char *
np_variant(const struct np *np)
{
	return tables_kinds[np->tables.kind];
}

const char *const *
np_lacks(const struct np *np)
{
	return np->lacks;
}

uint32_t
np_node_ip(struct np *np)
{
	return link_node_ip(&np->link);
}

addr
np_node_ip6(struct np *np)
{
	return np->six ? link_node_ip6(&np->link) : 0;
}

addr
np_pod(const struct np *np, addr ip)
{
	if (!np->net.v6)
		return ip;
	return addr_within(ip, np->config.pods) ? np->net.pods.net | ip : 0;
}

bool
np_is_hosts(const struct np *np, addr ip)
{
	return announce_is_hosts(&np->config, ip);
}

/* Nobody gets the bridge's, the network's or the broadcast address. */
static int
ip_check(const struct np *np, uint32_t ip, struct error **e)
{
	const struct np_config *c = &np->config;
	char text[LINK_TEXT], net[LINK_TEXT];
	uint32_t host = ip & (uint32_t)(UINT64_C(0xffffffff) >> c->pods.bits);

	if ((ip ^ c->pods.net) >> (32 - c->pods.bits) || host < 2 ||
	    host == UINT64_C(0xffffffff) >> c->pods.bits)
		return fail(e, WHY_INVALID, "%s is no pod's address in %s/%u",
			    ipv4_print(ip, text), ipv4_print(c->pods.net, net), c->pods.bits);
	return 0;
}

static void
ahead_remove(struct np *np, unsigned i)
{
	memmove(np->ahead + i, np->ahead + i + 1, (--np->ahead_n - i) * sizeof *np->ahead);
}

void
np_ahead(struct np *np, int netns, unsigned most)
{
	cleanup_error struct error *e = NULL;
	unsigned room = sizeof np->ahead / sizeof *np->ahead;

	most = most < 1 ? 1 : most < room ? most : room;
	while (np->ahead_n >= most) {
		link_ahead_drop(np->ahead);
		ahead_remove(np, 0);
	}
	if (link_ahead_make(&np->link, netns, np->ahead_made++, &np->ahead[np->ahead_n], &e) ==
	    0) {
		np->ahead_n++;
		return;
	}
	if (!np->said_ahead)
		log_warn("network", "no link could be made ahead of its pod: %s",
			 error_text(e));
	np->said_ahead = true;
}

int
np_plug(struct np *np, int netns, uint32_t ip, struct error **e)
{
	struct stat st;

	if (ip_check(np, ip, e) < 0)
		return -1;
	if (fstat(netns, &st) < 0)
		return fail_sys(e, "look at the pod's network namespace");
	/* By what it is and not by a number that may mean another one by now: an entry keeps
	 * its namespace, so no other can have that inode. */
	for (unsigned i = 0; i < np->ahead_n; i++) {
		struct link_ahead a = np->ahead[i];
		int rc;

		if (a.ino != st.st_ino)
			continue;
		ahead_remove(np, i);
		rc = link_ahead_plug(&np->link, &a, ip, NULL);
		link_ahead_drop(&a);
		if (rc == 0)
			return 0;
		break;
	}
	return link_plug(&np->link, netns, ip, e);
}

int
np_forget(struct np *np, uint32_t ip, struct error **e)
{
	return ip_check(np, ip, e) < 0 ? -1 : link_forget(&np->link, ip, false, e);
}

int
np_unplug(struct np *np, uint32_t ip, struct error **e)
{
	return ip_check(np, ip, e) < 0 ? -1 : link_forget(&np->link, ip, true, e);
}

/* An address that somebody took off its link is put back at once. */
static int
check_announced(struct np *np, struct error **e)
{
	unsigned changed = 0, six = 0;

	if (np->announces && commit_announce(np, &changed, e) < 0)
		return -1;
	if (np->six && np->six->announces && commit_announce(np->six, &six, e) < 0)
		return -1;
	changed += six;
	if (changed)
		log_warn("network",
			 "somebody changed the addresses of load balancers: %u put right",
			 changed);
	return 0;
}

static int
check_links(struct np *np, struct error **e)
{
	cleanup_buf struct buf did = { 0 };

	if (mend_links(np, &did, e) < 0)
		return -1;
	if (did.len)
		log_warn("network", "%s: somebody changed that; it is put right",
			 buf_text(&did));
	return 0;
}

bool
np_plugged(const struct np *np, uint32_t ip)
{
	char name[LINK_TEXT];

	snprintf(name, sizeof name, "kdg%08x", ip);
	return !np->looked || map_get(&np->plugged, name);
}

/* After a change by anybody: are the rules and as many elements there as were written? */
static int
check_nft(struct np *np, struct error **e)
{
	struct nft_seen_table seen;
	uint64_t print;

	if (nft_print(&np->nft_nl, &print, e) < 0)
		return -1;
	if (print == np->nft_print)
		return 0;
	if (nft_look(&np->nft_nl, np->nft_table, np->net.v6, &seen, e) < 0)
		return -1;
	if (np->written ? commit_nft_matches(np, &seen) : seen.rules)
		np->nft_print = print;
	else
		np->whole = true;
	return 0;
}

/* What somebody set otherwise is set again.  That it was otherwise is noted among the rules, by
 * a commit of all of them, for np_down sets it back. */
static int
check_knobs(struct np *np, struct error **e)
{
	unsigned did = 0;
	int rc = link_knobs_turn(np->net.v6, &did, e);

	for (unsigned i = 0; i < LINK_KNOBS; i++)
		if (did >> i & 1)
			log_warn("network",
				 "somebody set /proc/sys/net/%s to %s; it is %s again",
				 link_knobs[i].file, link_knobs[i].theirs, link_knobs[i].ours);
	np->whole |= did & ~np->net.turned;
	np->net.turned |= did;
	return rc;
}

/* Of one family; what is not intact is noted in np->whole. */
static int
check_rules(struct np *np, struct error **e)
{
	struct seen seen = { 0 };
	bool before = np->whole, ok;
	uint64_t print;

	if (tables_print(&np->tables, &print, e) < 0)
		return -1;
	if (!np->printed || print != np->print) {
		/* The print is older than what is read: a change in between shows next time. */
		np->printed = false;
		if (tables_read(&np->tables, &seen, e) < 0) {
			seen_done(&seen);
			return -1;
		}
		ok = commit_matches(np, &seen);
		seen_done(&seen);
		np->printed = ok;
		np->print = print;
		np->whole |= !ok;
	}
	if (np->net.nft && check_nft(np, e) < 0)
		return -1;
	if (np->whole && !before)
		log_warn("rules", "somebody removed kedge's chains%s; writing them again",
			 np->net.v6 ? " of IPv6" : "");
	return 0;
}

static int
check_family(struct np *np, struct error **e)
{
	return check_rules(np, e) < 0 ? -1 : check_knobs(np, e);
}

int
np_check(struct np *np, bool *ret_intact, struct error **e)
{
	bool fenced;

	if (np_fd(np) >= 0) {
		*ret_intact = true; /* the commit will tell */
		return 0;
	}
	if (check_family(np, e) < 0 || (np->six && check_family(np->six, e) < 0))
		return -1;
	if (check_links(np, e) < 0)
		return -1;
	if (np->bridged.fd >= 0) {
		if (fence_check(&np->bridged, &np->config, &fenced, e) < 0 ||
		    (!fenced && fence_put(&np->bridged, &np->config, e) < 0))
			return -1;
		if (!fenced)
			log_warn("netproxy",
				 "somebody removed the table %s of nf_tables; it is "
				 "back",
				 np->config.bridge);
	}
	*ret_intact = !np->whole && !(np->six && np->six->whole);
	return check_announced(np, e);
}

/* A packet may have passed the rules of before, and have no entry in conntrack yet: that is
 * made when it leaves, and nf_tables' commit waits for nobody.  All of that is one read side
 * of RCU (netif_receive_skb, ip_queue_xmit), and this waits until every such one is over; the
 * kernel has had it since 4.3, and it fails only under nohz_full. */
static void
settle(struct np *np)
{
	if (!np->settled)
		(void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	np->settled = true;
}

int
np_drain(struct np *np, uint32_t ip, unsigned *ret, struct error **e)
{
	unsigned six = 0;

	*ret = 0;
	if (!np->tracks)
		return 0;
	settle(np);
	if (np->six && conntrack_drain(np_pod(np->six, ip), &six, e) < 0)
		return -1;
	if (conntrack_drain(ip, ret, e) < 0)
		return -1;
	*ret += six;
	return 0;
}

int
np_flush_flows(struct np *np, uint32_t ip, struct error **e)
{
	if (!np->tracks)
		return 0;
	if (np->six && conntrack_flush(np_pod(np->six, ip), e) < 0)
		return -1;
	return conntrack_flush(ip, e);
}

int
np_flow_counts(struct np *np, struct np_flow **ret, size_t *ret_n, struct error **e)
{
	*ret = NULL;
	*ret_n = 0;
	if (!np->tracks)
		return 0;
	if (conntrack_by_endpoint(false, ret, ret_n, e) == 0 &&
	    (!np->six || conntrack_by_endpoint(true, ret, ret_n, e) == 0))
		return 0;
	free(*ret);
	*ret = NULL;
	return -1;
}

bool
np_flow_bytes(const struct np *np)
{
	int on = 0;

	return np->tracks && knob_get("netfilter/nf_conntrack_acct", &on, NULL) == 0 && on;
}

/* -- down ------------------------------------------------------------------- */

static int
down_addresses(const struct np_config *c, struct error **e)
{
	struct nl nl = { -1, 0 };
	unsigned changed;
	int rc = 0;

	if (nl_open(&nl, NETLINK_ROUTE, e) < 0)
		return -1;
	for (int v6 = 0; v6 < 2; v6++)
		if (announce_sync(&nl, c, v6, NULL, 0, &changed, rc < 0 ? NULL : e) < 0)
			rc = -1;
	nl_close(&nl);
	return rc;
}

int
np_down(const struct np_config *c, struct error **e)
{
	char table[RULES_NAME];
	/* Links go even if the rules cannot. */
	int rc = config_check(c, e);

	if (rc < 0)
		return rc;
	rc = down_rules(c, false, e);
	if ((c->pods6.bits || link_has_ip6(c->bridge)) &&
	    down_rules(c, true, rc < 0 ? NULL : e) < 0)
		rc = -1;
	table_name(c->chains ? c->chains : "KDG", table);
	for (int v6 = 0; v6 < 2; v6++)
		if (nft_remove(table, v6, rc < 0 ? NULL : e) < 0)
			rc = -1;
	if (down_addresses(c, rc < 0 ? NULL : e) < 0)
		rc = -1;
	if (fence_remove(c, rc < 0 ? NULL : e) < 0)
		rc = -1;
	return link_down(c, rc < 0 ? NULL : e) < 0 ? -1 : rc;
}

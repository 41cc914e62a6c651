/* conntrack.c -- see conntrack.h.  One dump, filtered in the kernel where it can
 * (Linux 5.8), decides; the deletions follow when the dump is over. */
#include "conntrack.h"
#include "nl.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	bool v6;
	/* which */
	struct ct_target *at;
	size_t n;
	struct addr_range pods;
	const struct addr_range *svc;
	addr *local;
	size_t local_n;
	addr ip;
	unsigned idle_new, idle_stream; /* full life of a UDP flow, seconds */
	struct np_flow **flows;         /* by who answers; grown here */
	size_t *flows_n;
	/* what was found */
	unsigned count;
	struct nf_conntrack **gone;
	size_t gone_n, gone_cap;
};

enum side { ORIG_SRC, ORIG_DST, REPLY_SRC };

static bool
is_v6(const struct nf_conntrack *ct)
{
	return nfct_get_attr_u8(ct, ATTR_L3PROTO) == AF_INET6;
}

static addr
side_of(const struct nf_conntrack *ct, enum side side)
{
	static const enum nf_conntrack_attr attrs[][2] = {
		[ORIG_SRC] = { ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC },
		[ORIG_DST] = { ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST },
		[REPLY_SRC] = { ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC },
	};
	bool v6 = is_v6(ct);
	const void *at = nfct_get_attr(ct, attrs[side][v6]);

	return at ? addr_from(v6, at) : 0;
}

typedef bool walk_fn(const struct walk *, const struct nf_conntrack *);
struct visit {
	struct walk *w;
	walk_fn *wanted;
	bool collect;
};

static int
visit(const struct nlmsghdr *h, void *ctx)
{
	struct visit *v = ctx;
	struct walk *w = v->w;
	struct nf_conntrack *ct = nfct_new();

	if (!ct)
		abort();
	if (nfct_nlmsg_parse(h, ct) < 0 ||
	    nfct_get_attr_u8(ct, ATTR_L3PROTO) != (w->v6 ? AF_INET6 : AF_INET) ||
	    !v->wanted(w, ct)) {
		nfct_destroy(ct);
		return MNL_CB_OK;
	}
	w->count++;
	if (!v->collect) {
		nfct_destroy(ct);
		return MNL_CB_OK;
	}
	if (w->gone_n == w->gone_cap) {
		w->gone_cap = w->gone_cap ? w->gone_cap * 2 : 64;
		w->gone = xrealloc(w->gone, w->gone_cap * sizeof *w->gone);
	}
	w->gone[w->gone_n++] = ct;
	return MNL_CB_OK;
}

static struct nlmsghdr *
flow_ask(struct nl_batch *b, unsigned type, unsigned flags, bool v6, const char *what, int fine)
{
	struct nfgenmsg g = { v6 ? AF_INET6 : AF_INET, NFNETLINK_V0, 0 };

	return nl_ask(b, NFNL_SUBSYS_CTNETLINK << 8 | type, flags, &g, sizeof g, what, fine);
}

static bool
has_answers(const struct nf_conntrack *ct)
{
	return nfct_attr_grp_is_set(ct, ATTR_GRP_REPL_PORT) > 0 &&
	       nfct_attr_grp_is_set(ct, is_v6(ct) ? ATTR_GRP_REPL_IPV6 : ATTR_GRP_REPL_IPV4) >
		   0;
}

/* A flow with ports is named by its answers: by who asked for it, one that is begun anew from
 * the same port, and led to another pod, would be taken for it.  Its id, which the kernel
 * compares, does not tell the two apart: it is of who asked and of the entry's place in memory,
 * and TCP frees the old entry to make the new one in the same place (-NF_REPEAT). */
static void
put_answers(struct nl_batch *b, struct nlmsghdr *h, const struct nf_conntrack *ct)
{
	bool v6 = is_v6(ct);
	size_t n = addr_bits(v6) / 8;
	struct nlattr *tuple = nl_nest(b, h, CTA_TUPLE_REPLY), *part;

	part = nl_nest(b, h, CTA_TUPLE_IP);
	nl_put(b, h, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC,
	       nfct_get_attr(ct, v6 ? ATTR_REPL_IPV6_SRC : ATTR_REPL_IPV4_SRC), n);
	nl_put(b, h, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST,
	       nfct_get_attr(ct, v6 ? ATTR_REPL_IPV6_DST : ATTR_REPL_IPV4_DST), n);
	nl_end(h, part);
	part = nl_nest(b, h, CTA_TUPLE_PROTO);
	nl_put_u8(b, h, CTA_PROTO_NUM, nfct_get_attr_u8(ct, ATTR_L4PROTO));
	nl_put(b, h, CTA_PROTO_SRC_PORT, nfct_get_attr(ct, ATTR_REPL_PORT_SRC), 2);
	nl_put(b, h, CTA_PROTO_DST_PORT, nfct_get_attr(ct, ATTR_REPL_PORT_DST), 2);
	nl_end(h, part);
	nl_end(h, tuple);
	if (nfct_attr_is_set(ct, ATTR_ZONE) > 0) {
		uint16_t zone = htons(nfct_get_attr_u16(ct, ATTR_ZONE));

		nl_put(b, h, CTA_ZONE, &zone, sizeof zone);
	}
}

static int
flow_delete(struct nl *nl, const struct nf_conntrack *ct, struct error **e)
{
	/* ENOENT: it ended by itself meanwhile. */
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    flow_ask(&b, IPCTNL_MSG_CT_DELETE, 0, is_v6(ct), "delete a tracked flow", ENOENT);

	if (has_answers(ct)) {
		put_answers(&b, h, ct);
	} else {
		if (nfct_nlmsg_build(h, ct) < 0)
			return fail_sys(e, "delete a tracked flow");
		b.len = h->nlmsg_len;
	}
	if (nfct_attr_is_set(ct, ATTR_ID) > 0)
		nl_put_u32(&b, h, CTA_ID, htonl(nfct_get_attr_u32(ct, ATTR_ID)));
	return nl_send(nl, &b, e);
}

/* What the kernel may leave out of a dump: flows of another protocol, or whose
 * answers come from another address; 0 for any.  The bits are the kernel's own
 * (net/netfilter/nf_internals.h); before Linux 5.8 it sends everything, so what
 * comes is looked at in any case.  Of IPv6 it compares addresses the wrong way round, and
 * leaves out those that are asked for: there it is not asked. */
static void
walk_filter(struct nl_batch *b, struct nlmsghdr *h, uint8_t proto, uint32_t reply_src)
{
	enum { IP_SRC = 1 << 0, PROTO_NUM = 1 << 3 };
	struct nlattr *outer, *in;

	if (proto) {
		outer = nl_nest(b, h, CTA_TUPLE_ORIG);
		in = nl_nest(b, h, CTA_TUPLE_PROTO);
		nl_put_u8(b, h, CTA_PROTO_NUM, proto);
	} else {
		outer = nl_nest(b, h, CTA_TUPLE_REPLY);
		in = nl_nest(b, h, CTA_TUPLE_IP);
		nl_put_u32(b, h, CTA_IP_V4_SRC, htonl(reply_src));
	}
	nl_end(h, in);
	nl_end(h, outer);
	outer = nl_nest(b, h, CTA_FILTER);
	nl_put_u32(b, h, CTA_FILTER_ORIG_FLAGS, proto ? PROTO_NUM : 0);
	nl_put_u32(b, h, CTA_FILTER_REPLY_FLAGS, proto ? 0 : IP_SRC);
	nl_end(h, outer);
}

static int
conntrack_walk(struct walk *w, walk_fn *wanted, bool delete, uint8_t proto, addr reply_src,
	       struct error **e)
{
	static const char what[] = "read the connection tracking table";
	struct visit v = { w, wanted, delete };
	struct nl_batch b = { 0 };
	struct nl nl;
	struct nlmsghdr *h;
	int rc;

	if (nl_open(&nl, NETLINK_NETFILTER, e) < 0)
		return -1;
	h = flow_ask(&b, IPCTNL_MSG_CT_GET, NLM_F_DUMP, w->v6, what, 0);
	if (proto || (reply_src && !addr_v6(reply_src)))
		walk_filter(&b, h, proto, (uint32_t)reply_src);
	rc = nl_dump(&nl, h, visit, &v, what, e);
	for (size_t i = 0; i < w->gone_n; i++) {
		if (!rc)
			rc = flow_delete(&nl, w->gone[i], e);
		nfct_destroy(w->gone[i]);
	}
	free(w->gone);
	nl_close(&nl);
	return rc;
}

static bool
walk_none(const struct walk *w, const struct nf_conntrack *ct)
{
	(void)w;
	(void)ct;
	return false;
}

bool
conntrack_there(void)
{
	struct walk w = { 0 };

	return conntrack_walk(&w, walk_none, false, IPPROTO_UDP, 0, NULL) == 0;
}

/* -- UDP flows to services -------------------------------------------------- */

static int
target_cmp(const void *a, const void *b)
{
	const struct ct_target *x = a, *y = b;

	if (x->ip != y->ip)
		return x->ip < y->ip ? -1 : 1;
	return (x->port > y->port) - (x->port < y->port);
}

static bool
is_local(const struct walk *w, addr ip)
{
	for (size_t i = 0; i < w->local_n; i++)
		if (w->local[i] == ip)
			return true;
	return false;
}

static const struct ct_target *
target_find(const struct walk *w, addr ip, uint16_t port)
{
	return w->n ? bsearch(&(struct ct_target){ .ip = ip, .port = port }, w->at, w->n,
			      sizeof *w->at, target_cmp)
		    : NULL;
}

/* A flow is judged only if it was addressed to one of ours: to a service's
 * address, or to a node port at an address of this host or on its way to a pod.
 * The port alone is not enough: it may be a stranger's port far away. */
static bool
walk_cut(const struct walk *w, const struct nf_conntrack *ct)
{
	addr dst = side_of(ct, ORIG_DST), from = side_of(ct, REPLY_SRC);
	uint16_t port = ntohs(nfct_get_attr_u16(ct, ATTR_ORIG_PORT_DST));
	uint16_t from_port = ntohs(nfct_get_attr_u16(ct, ATTR_REPL_PORT_SRC));
	const struct ct_target *t;

	if (nfct_get_attr_u8(ct, ATTR_L4PROTO) != IPPROTO_UDP)
		return false;
	t = target_find(w, dst, port);
	if (!t && w->svc && addr_within(dst, *w->svc))
		return true;
	if (!t && (is_local(w, dst) || (dst != from && addr_within(from, w->pods))))
		t = target_find(w, 0, port);
	if (!t)
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].ip == from && t->at[i].port == from_port)
			return false;
	return true;
}

static size_t
local_addresses(bool v6, addr **ret)
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	*ret = NULL;
	if (getifaddrs(&all) < 0)
		return 0;
	for (struct ifaddrs *a = all; a; a = a->ifa_next)
		n++;
	*ret = xcalloc(n, sizeof **ret);
	n = 0;
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		int family = a->ifa_addr ? a->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET && !v6)
			(*ret)[n++] = addr_from(
			    false, &((const struct sockaddr_in *)a->ifa_addr)->sin_addr);
		if (family == AF_INET6 && v6)
			(*ret)[n++] = addr_from(
			    true, &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr);
	}
	freeifaddrs(all);
	return n;
}

int
conntrack_cut(struct ct_target *at, size_t n, struct addr_range pods,
	      const struct addr_range *svc, unsigned *ret_cut, struct error **e)
{
	struct walk w = { .v6 = pods.v6, .at = at, .n = n, .pods = pods, .svc = svc };
	int rc;

	if (n)
		qsort(at, n, sizeof *at, target_cmp);
	w.local_n = local_addresses(w.v6, &w.local);
	rc = conntrack_walk(&w, walk_cut, true, IPPROTO_UDP, 0, e);
	free(w.local);
	if (!rc)
		*ret_cut = w.count;
	return rc;
}

/* -- flows of one pod ------------------------------------------------------- */

/* A UDP flow has no end: it counts as live while its last packet is no older. */
#define UDP_LIVE_S 5

static bool
walk_live(const struct walk *w, const struct nf_conntrack *ct)
{
	uint32_t status = nfct_get_attr_u32(ct, ATTR_STATUS);
	unsigned left, full;

	if (side_of(ct, REPLY_SRC) != w->ip)
		return false;
	switch (nfct_get_attr_u8(ct, ATTR_L4PROTO)) {
	case IPPROTO_TCP: /* also one that began in the moment the rules changed */
		return nfct_get_attr_u8(ct, ATTR_TCP_STATE) >= TCP_CONNTRACK_SYN_SENT &&
		       nfct_get_attr_u8(ct, ATTR_TCP_STATE) <= TCP_CONNTRACK_ESTABLISHED;
	case IPPROTO_UDP:
		left = nfct_get_attr_u32(ct, ATTR_TIMEOUT);
		full = status & IPS_ASSURED ? w->idle_stream : w->idle_new;
		return status & IPS_SEEN_REPLY && left + UDP_LIVE_S >= full;
	}
	return false;
}

static bool
walk_any(const struct walk *w, const struct nf_conntrack *ct)
{
	return side_of(ct, REPLY_SRC) == w->ip || side_of(ct, ORIG_SRC) == w->ip ||
	       side_of(ct, ORIG_DST) == w->ip;
}

static unsigned
seconds(const char *file, unsigned otherwise)
{
	cleanup_fclose FILE *f = fopen(file, "re");
	unsigned x;

	return f && fscanf(f, "%u", &x) == 1 ? x : otherwise;
}

static int
conntrack_count(addr ip, unsigned *ret, struct error **e)
{
	struct walk w = { .v6 = addr_v6(ip), .ip = ip };
	int rc;

	w.idle_new = seconds("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", 30);
	w.idle_stream = seconds("/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream", 120);
	rc = conntrack_walk(&w, walk_live, false, 0, ip, e);
	if (!rc)
		*ret = w.count;
	return rc;
}

/* The kernel may have been about to note a flow down while those of before were deleted. */
static bool
walk_led_here(const struct walk *w, const struct nf_conntrack *ct)
{
	return nfct_get_attr_u8(ct, ATTR_L4PROTO) == IPPROTO_UDP &&
	       side_of(ct, REPLY_SRC) == w->ip && side_of(ct, ORIG_DST) != w->ip;
}

int
conntrack_drain(addr ip, unsigned *ret, struct error **e)
{
	struct walk led = { .v6 = addr_v6(ip), .ip = ip };

	if (conntrack_count(ip, ret, e) < 0)
		return -1;
	if (!*ret)
		return 0;
	if (conntrack_walk(&led, walk_led_here, true, 0, ip, e) < 0)
		return -1;
	return led.count ? conntrack_count(ip, ret, e) : 0;
}

int
conntrack_flush(addr ip, struct error **e)
{
	struct walk w = { .v6 = addr_v6(ip), .ip = ip };

	return conntrack_walk(&w, walk_any, true, 0, 0, e);
}

/* -- how many each endpoint has --------------------------------------------- */

static uint64_t
bytes_of(const struct nf_conntrack *ct)
{
	uint64_t n = 0;

	if (nfct_attr_is_set(ct, ATTR_ORIG_COUNTER_BYTES) > 0)
		n += nfct_get_attr_u64(ct, ATTR_ORIG_COUNTER_BYTES);
	if (nfct_attr_is_set(ct, ATTR_REPL_COUNTER_BYTES) > 0)
		n += nfct_get_attr_u64(ct, ATTR_REPL_COUNTER_BYTES);
	return n;
}

static bool
walk_translated(const struct walk *w, const struct nf_conntrack *ct)
{
	struct np_flow f = { .at = { .ip = side_of(ct, REPLY_SRC),
				     .port = ntohs(nfct_get_attr_u16(ct, ATTR_REPL_PORT_SRC)) },
			     .proto = nfct_get_attr_u8(ct, ATTR_L4PROTO),
			     .n = 1,
			     .bytes = bytes_of(ct) };
	uint32_t status = nfct_get_attr_u32(ct, ATTR_STATUS);
	bool live = f.proto == IPPROTO_TCP
			? nfct_get_attr_u8(ct, ATTR_TCP_STATE) == TCP_CONNTRACK_ESTABLISHED
			: status & IPS_SEEN_REPLY;

	if (!live || !(status & IPS_DST_NAT))
		return false;
	for (size_t i = 0; i < *w->flows_n; i++) {
		struct np_flow *x = &(*w->flows)[i];

		if (x->at.ip == f.at.ip && x->at.port == f.at.port && x->proto == f.proto) {
			x->n++;
			x->bytes += f.bytes;
			return false;
		}
	}
	*w->flows = xgrow(*w->flows, *w->flows_n, sizeof f);
	(*w->flows)[(*w->flows_n)++] = f;
	return false;
}

int
conntrack_by_endpoint(bool v6, struct np_flow **ret, size_t *ret_n, struct error **e)
{
	struct walk w = { .v6 = v6, .flows = ret, .flows_n = ret_n };

	return conntrack_walk(&w, walk_translated, false, 0, 0, e);
}

// wrap: -Wl,--wrap=socket -Wl,--wrap=send -Wl,--wrap=sendto -Wl,--wrap=recv
/* netlink.c -- mutants of what the kernel answers: whatever it says is read without harm, and
 * comes to an end.
 *
 * Nobody but the kernel writes to these sockets; but versions differ, and a length that is
 * believed would be read behind the buffer.
 */
#include "mutate.h"
#include "netproxy/announce.h"
#include "netproxy/conntrack.h"
#include "netproxy/fence.h"
#include "netproxy/nft_look.h"
#include "netproxy/nft_wire.h"
#include "netproxy/owner.h"
#include "netproxy/tables.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#ifndef NFNL_SUBSYS_NFTABLES /* of an older header, which libnetfilter_conntrack brings */
#define NFNL_SUBSYS_NFTABLES 10
#endif

enum { ROUNDS = 4000 };

int __wrap_socket(int domain, int type, int protocol);
ssize_t __wrap_send(int fd, const void *at, size_t n, int flags);
ssize_t __wrap_sendto(int fd, const void *at, size_t n, int flags, const struct sockaddr *to,
		      socklen_t len);
ssize_t __wrap_recv(int fd, void *to, size_t n, int flags);

static const char *const words[] = { "\x08\0\1\0\0\0\0\1",
				     "\x04\0\1\x80",
				     "\x08\0\2\x80\4\0\1\0",
				     "\x05\0\1\0",
				     "\xff\xff\1\0",
				     "\3\0\1\0",
				     "\x10\0\0\0\3\0\2\0",
				     "\x24\0\0\0\2\0\2\3",
				     "\x01",
				     "\xff",
				     "\xff\xff\xff\xff",
				     "KDG-",
				     NULL };

/* ---- the kernel ---- */

static struct {
	const struct buf *answer; /* to the next request; its end follows */
	const struct buf *end;
	uint32_t seq; /* of the last request */
	unsigned asked, heard;
} kernel;

int
__wrap_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

ssize_t
__wrap_send(int fd, const void *at, size_t n, int flags)
{
	int left = (int)n;

	(void)fd;
	(void)flags;
	for (const struct nlmsghdr *h = at; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		kernel.seq = h->nlmsg_seq;
	kernel.asked++;
	kernel.heard = 0;
	return (ssize_t)n;
}

ssize_t
__wrap_sendto(int fd, const void *at, size_t n, int flags, const struct sockaddr *to,
	      socklen_t len)
{
	(void)to;
	(void)len;
	return __wrap_send(fd, at, n, flags);
}

/* Numbers of messages are right, or nothing of it would be read. */
ssize_t
__wrap_recv(int fd, void *to, size_t n, int flags)
{
	const struct buf *says = kernel.heard == 0   ? kernel.answer
				 : kernel.heard == 1 ? kernel.end
						     : NULL;
	size_t len = says && says->len < n ? says->len : n;
	size_t left = len;

	(void)fd;
	if (!says || flags & MSG_DONTWAIT) {
		errno = says ? EAGAIN : ECONNRESET;
		return -1;
	}
	kernel.heard++;
	if (len)
		memcpy(to, says->at, len);
	for (char *at = to; left >= sizeof(struct nlmsghdr);) {
		struct nlmsghdr *h = (void *)at;
		size_t step = MNL_ALIGN(h->nlmsg_len);

		h->nlmsg_seq = kernel.seq;
		if (step < sizeof *h || step >= left)
			break;
		at += step;
		left -= step;
	}
	return (ssize_t)says->len;
}

/* ---- what it may say ---- */

static struct nlmsghdr *
say(struct nl_batch *b, uint16_t type, const void *head, size_t n)
{
	return nl_ask(b, type, NLM_F_MULTI, head, n, "", 0);
}

static struct nlmsghdr *
say_nft(struct nl_batch *b, unsigned msg)
{
	struct nfgenmsg g = { NFPROTO_IPV4, NFNETLINK_V0, 0 };

	return say(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | msg), &g, sizeof g);
}

static void
said(struct buf *to, const struct nl_batch *b)
{
	buf_add(to, b->at, b->len);
}

static void
flows(struct buf *to)
{
	struct nf_conntrack *ct = nfct_new();
	struct nfgenmsg g = { AF_INET, NFNETLINK_V0, 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    say(&b, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, &g, sizeof g);

	assert_non_null(ct);
	nfct_set_attr_u8(ct, ATTR_L3PROTO, AF_INET);
	nfct_set_attr_u8(ct, ATTR_L4PROTO, IPPROTO_TCP);
	nfct_set_attr_u8(ct, ATTR_REPL_L3PROTO, AF_INET);
	nfct_set_attr_u8(ct, ATTR_REPL_L4PROTO, IPPROTO_TCP);
	nfct_set_attr_u32(ct, ATTR_ORIG_IPV4_SRC, htonl(0x0a2a0009));
	nfct_set_attr_u32(ct, ATTR_ORIG_IPV4_DST, htonl(0x0a2b0001));
	nfct_set_attr_u32(ct, ATTR_REPL_IPV4_SRC, htonl(0x0a2a0002));
	nfct_set_attr_u32(ct, ATTR_REPL_IPV4_DST, htonl(0x0a2a0009));
	nfct_set_attr_u16(ct, ATTR_ORIG_PORT_SRC, htons(40000));
	nfct_set_attr_u16(ct, ATTR_ORIG_PORT_DST, htons(80));
	nfct_set_attr_u16(ct, ATTR_REPL_PORT_SRC, htons(8080));
	nfct_set_attr_u16(ct, ATTR_REPL_PORT_DST, htons(40000));
	nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	nfct_set_attr_u32(ct, ATTR_STATUS, IPS_DST_NAT | IPS_SEEN_REPLY | IPS_CONFIRMED);
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, 100);
	assert_true(nfct_nlmsg_build(h, ct) >= 0);
	nfct_destroy(ct);
	buf_add(to, h, h->nlmsg_len);
}

static bool
ask_flows(void)
{
	struct ct_target target = { .ip = 0x0a2b0001, .port = 53 };
	struct np_flow *at = NULL;
	size_t n = 0;
	unsigned cut;
	bool found;

	(void)conntrack_there();
	found = conntrack_by_endpoint(false, &at, &n, NULL) == 0 && n == 1 &&
		at->at.ip == 0x0a2a0002 && at->at.port == 8080;
	free(at);
	(void)conntrack_cut(&target, 1, (struct addr_range){ 0x0a2a0000, 16, false }, NULL,
			    &cut, NULL);
	(void)conntrack_drain(0x0a2a0002, &cut, NULL);
	return found;
}

/* What a load with an affinity says to the kernel is what it tells of it. */
static void
maps(struct buf *to)
{
	static const struct rules_net net = { .bridge = "kedge0",
					      .pods = { 0x0a2a0000, 16, false },
					      .svcs = { 0x0a2b0000, 16, false } };
	static const struct np_endpoint at = { 0x0a2a0002, 8080, false };
	struct np_service s = { .id = "default/web:http",
				.vip = 0x0a2b0001,
				.proto = IPPROTO_TCP,
				.port = 80,
				.affinity_s = 600,
				.endpoints = &at,
				.n = 1 };
	struct map shapes = { 0 };
	struct nft_change t = { .shapes = &shapes, .whole = true };
	struct chains c = { 0 };

	nft_service(&net, &s, &c);
	nft_change_add(&t, NULL, buf_text(&c.at[0].body));
	nft_change_keep(&t, "a-0", 0x0a2a0009, 600, 300);
	assert_true(nft_change_end(&t, &net));
	nft_wire(&t, NFT_TABLE, to);
	nft_change_done(&t);
	chains_done(&c);
	map_done(&shapes);
}

static void
remembered(void *ctx, addr ip, unsigned timeout_s, unsigned left_s)
{
	*(bool *)ctx |= ip == 0x0a2a0009 && timeout_s == 600 && left_s == 300;
}

static bool
ask_maps(void)
{
	struct nl nl = { open("/dev/null", O_RDWR | O_CLOEXEC), 1 };
	struct nft_seen_table seen = { 0 };
	bool found = false;
	uint64_t print;

	(void)nft_each(&nl, NFT_TABLE, false, "a-0", remembered, &found, NULL);
	found &= nft_look(&nl, NFT_TABLE, false, &seen, NULL) == 0 && seen.rules &&
		 seen.elements && nft_has(NFT_TABLE, "a-0", 0x0a2a0009, false);
	(void)nft_each(&nl, NFT_TABLE, true, "a-0", remembered, &(bool){ 0 }, NULL);
	(void)nft_print(&nl, &print, NULL);
	(void)nft_remove(NFT_TABLE, false, NULL);
	nl_close(&nl);
	return found;
}

static void
say_chain(struct nl_batch *b, const char *table, const char *name, uint32_t hook)
{
	struct nlmsghdr *h = say_nft(b, NFT_MSG_NEWCHAIN);
	struct nlattr *x;

	nl_put_str(b, h, NFTA_CHAIN_TABLE, table);
	nl_put_str(b, h, NFTA_CHAIN_NAME, name);
	x = nl_nest(b, h, NFTA_CHAIN_HOOK);
	nl_put_u32(b, h, NFTA_HOOK_HOOKNUM, htonl(hook));
	nl_end(h, x);
	nl_put_str(b, h, NFTA_CHAIN_TYPE, "filter");
	nl_put_u32(b, h, NFTA_CHAIN_POLICY, htonl(NF_DROP));
}

static void
chains(struct buf *to)
{
	struct nl_batch b = { 0 };
	struct nlmsghdr *h;
	struct nlattr *x, *in[4];

	say_chain(&b, "filter", "KDG-F", NF_INET_FORWARD);
	say_chain(&b, "fw", "in", NF_INET_LOCAL_IN);
	h = say_nft(&b, NFT_MSG_NEWRULE);
	nl_put_str(&b, h, NFTA_RULE_TABLE, "filter");
	nl_put_str(&b, h, NFTA_RULE_CHAIN, "FORWARD");
	x = nl_nest(&b, h, NFTA_RULE_EXPRESSIONS);
	in[0] = nl_nest(&b, h, NFTA_LIST_ELEM);
	nl_put_str(&b, h, NFTA_EXPR_NAME, "immediate");
	in[1] = nl_nest(&b, h, NFTA_EXPR_DATA);
	in[2] = nl_nest(&b, h, NFTA_IMMEDIATE_DATA);
	in[3] = nl_nest(&b, h, NFTA_DATA_VERDICT);
	nl_put_str(&b, h, NFTA_VERDICT_CHAIN, "KDG-F");
	for (int i = 4; i--;)
		nl_end(h, in[i]);
	nl_end(h, x);
	h = say_nft(&b, NFT_MSG_NEWGEN);
	nl_put_u32(&b, h, NFTA_GEN_ID, htonl(7));
	said(to, &b);
}

static bool
ask_chains(void)
{
	static const struct np_config c = { .bridge = "kedge0" };
	struct tables t = { .kind = TABLES_NFT,
			    .chains = "KDG",
			    .nl = { open("/dev/null", O_RDWR | O_CLOEXEC), 1 },
			    .raw = -1 };
	struct seen seen = { 0 };
	char wall[128];
	uint64_t print;
	bool found, there;

	found = tables_read(&t, &seen, NULL) == 0 &&
		map_get(&seen.chains[RULES_FILTER], "KDG-F") &&
		tables_wall(true, wall, sizeof wall);
	seen_done(&seen);
	(void)tables_print(&t, &print, NULL);
	(void)tables_has_match(&t, "comment", 0);
	(void)fence_check(&t.nl, &c, &there, NULL);
	(void)fence_put(&t.nl, &c, NULL);
	nl_close(&t.nl);
	return found;
}

static void
links(struct buf *to)
{
	struct ifinfomsg im = { .ifi_index = 3, .ifi_flags = 1 };
	struct ifaddrmsg am = { AF_INET, 24, 0, RT_SCOPE_UNIVERSE, 3 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = say(&b, RTM_NEWLINK, &im, sizeof im);
	uint32_t ip = htonl(0xc0000201);

	nl_put_str(&b, h, IFLA_IFNAME, "kedge0");
	nl_put_str(&b, h, IFLA_IFALIAS, "kedge KDG 77 /var/lib/kedge");
	h = say(&b, RTM_NEWADDR, &am, sizeof am);
	nl_put(&b, h, IFA_LOCAL, &ip, sizeof ip);
	nl_put(&b, h, IFA_ADDRESS, &ip, sizeof ip);
	nl_put_str(&b, h, IFA_LABEL, "eth0:kdg");
	said(to, &b);
}

static bool
ask_links(void)
{
	static const struct np_config c = { .bridge = "kedge0", .owner = "/nowhere" };
	struct nl nl = { open("/dev/null", O_RDWR | O_CLOEXEC), 1 };
	char whose[OWNER_ALIAS + 64];
	struct owner o = { { -1, -1 } };
	addr want[2] = { 0xc0000209, 0xc0000201 };
	unsigned changed;

	owner_text(&nl, 3, whose);
	(void)announce_sync(&nl, &c, false, want, 2, &changed, NULL);
	(void)announce_sync(&nl, &c, true, want, 0, &changed, NULL);
	(void)owner_take(&o, &c, &nl, NULL);
	owner_drop(&o);
	nl_close(&nl);
	return !strcmp(whose, " (of the kedged with its state in /var/lib/kedge)");
}

/* ---- how it ends ---- */

static void
done(struct buf *to)
{
	struct nl_batch b = { 0 };
	int none = 0;

	say(&b, NLMSG_DONE, &none, sizeof none);
	said(to, &b);
}

/* With the kernel's own sentence, and the request in front of it. */
static void
refusal(struct buf *to)
{
	struct nlmsgerr err = { .error = -ENOENT, .msg = { .nlmsg_len = sizeof err.msg + 8 } };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = say(&b, NLMSG_ERROR, &err, sizeof err);

	nl_put_u32(&b, h, 1, 1); /* of the request */
	nl_put_str(&b, h, NLMSGERR_ATTR_MSG, "no such thing");
	h->nlmsg_flags = NLM_F_ACK_TLVS;
	said(to, &b);
}

/* ---- */

static const struct target {
	void (*seed)(struct buf *);
	bool (*ask)(void); /* is found what the seed says? */
	bool strict; /* libnetfilter_conntrack ends the process at a length it does not know */
} targets[] = { { flows, ask_flows, true },
		{ maps, ask_maps, false },
		{ chains, ask_chains, false },
		{ links, ask_links, false } };

static void
what_it_says_is_read(void **state)
{
	cleanup_buf struct buf end = { 0 };

	(void)state;
	done(&end);
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		cleanup_buf struct buf seed = { 0 };

		targets[i].seed(&seed);
		kernel.answer = &seed;
		kernel.end = &end;
		if (!targets[i].ask())
			fail_msg("target %zu does not find what it was told", i);
	}
}

static void
no_mutant_of_it_does_harm(void **state)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	size_t found = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const struct target *t =
		    &targets[mutate_below(&m, sizeof targets / sizeof *targets)];
		cleanup_buf struct buf b = { 0 }, end = { 0 };

		t->seed(&b);
		(mutate_below(&m, 2) ? done : refusal)(&end);
		for (size_t n = t->strict ? 0 : mutate_below(&m, 4); n; n--)
			mutate_once(&m, &b);
		for (size_t n = mutate_below(&m, 3); n; n--)
			mutate_once(&m, &end);
		kernel.answer = &b;
		kernel.end = &end;
		kernel.asked = 0;
		found += t->ask();
		assert_in_range(kernel.asked, 1, 1000);
	}
	assert_true(found > ROUNDS / 20 && found < ROUNDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says_is_read),
		cmocka_unit_test(no_mutant_of_it_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

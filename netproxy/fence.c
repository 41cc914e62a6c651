/* fence.c -- see fence.h. */
#include "fence.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <linux/netlink.h>
#include <string.h>

#define CHAIN     "pods"
#define PRIORITY  (-400)     /* br_netfilter is at 0 */
#define MAC_BEGIN "\x0a\x4b" /* link.h; the address follows */

static struct nlmsghdr *
ask(struct nl_batch *b, unsigned msg, uint16_t flags, const char *what)
{
	struct nfgenmsg g = { NFPROTO_BRIDGE, NFNETLINK_V0, 0 };

	return nl_ask(b, NFNL_SUBSYS_NFTABLES << 8 | msg, flags, &g, sizeof g, what, 0);
}

static void
border(struct nl_batch *b, uint16_t msg)
{
	struct nfgenmsg g = { AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES) };

	nl_ask(b, msg, 0, &g, sizeof g, "fence the pods' ports", 0);
}

static void
put32(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, uint32_t x)
{
	nl_put_u32(b, h, type, htonl(x));
}

/* -- expressions: a row each -------------------------------------------------- */

struct expr {
	struct nlattr *elem, *data;
};

static struct expr
expr_begin(struct nl_batch *b, struct nlmsghdr *h, const char *name)
{
	struct expr x = { .elem = nl_nest(b, h, NFTA_LIST_ELEM) };

	nl_put_str(b, h, NFTA_EXPR_NAME, name);
	x.data = nl_nest(b, h, NFTA_EXPR_DATA);
	return x;
}

static void
expr_end(struct nlmsghdr *h, struct expr x)
{
	nl_end(h, x.data);
	nl_end(h, x.elem);
}

static void
value(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, const void *at, size_t n)
{
	struct nlattr *nest = nl_nest(b, h, type);

	nl_put(b, h, NFTA_DATA_VALUE, at, n);
	nl_end(h, nest);
}

static void
load_link(struct nl_batch *b, struct nlmsghdr *h)
{
	struct expr x = expr_begin(b, h, "meta");

	put32(b, h, NFTA_META_DREG, NFT_REG_1);
	put32(b, h, NFTA_META_KEY, NFT_META_IIFNAME);
	expr_end(h, x);
}

static void
load_frame(struct nl_batch *b, struct nlmsghdr *h, uint32_t offset, uint32_t n)
{
	struct expr x = expr_begin(b, h, "payload");

	put32(b, h, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put32(b, h, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_LL_HEADER);
	put32(b, h, NFTA_PAYLOAD_OFFSET, offset);
	put32(b, h, NFTA_PAYLOAD_LEN, n);
	expr_end(h, x);
}

static void
keep_bits(struct nl_batch *b, struct nlmsghdr *h, uint32_t mask)
{
	struct expr x = expr_begin(b, h, "bitwise");
	uint32_t none = 0;

	mask = htonl(mask);
	put32(b, h, NFTA_BITWISE_SREG, NFT_REG_1);
	put32(b, h, NFTA_BITWISE_DREG, NFT_REG_1);
	put32(b, h, NFTA_BITWISE_LEN, sizeof mask);
	value(b, h, NFTA_BITWISE_MASK, &mask, sizeof mask);
	value(b, h, NFTA_BITWISE_XOR, &none, sizeof none);
	expr_end(h, x);
}

static void
compare(struct nl_batch *b, struct nlmsghdr *h, uint32_t op, const void *at, size_t n)
{
	struct expr x = expr_begin(b, h, "cmp");

	put32(b, h, NFTA_CMP_SREG, NFT_REG_1);
	put32(b, h, NFTA_CMP_OP, op);
	value(b, h, NFTA_CMP_DATA, at, n);
	expr_end(h, x);
}

static void
drop(struct nl_batch *b, struct nlmsghdr *h)
{
	struct expr x = expr_begin(b, h, "immediate");
	struct nlattr *data, *verdict;

	put32(b, h, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nl_nest(b, h, NFTA_IMMEDIATE_DATA);
	verdict = nl_nest(b, h, NFTA_DATA_VERDICT);
	put32(b, h, NFTA_VERDICT_CODE, NF_DROP);
	nl_end(h, verdict);
	nl_end(h, data);
	expr_end(h, x);
}

/* In by a link of a pod's, for a MAC of our range, which is not the host's. */
static void
put_rule(struct nl_batch *b, const struct np_config *c)
{
	uint32_t mask = (uint32_t)(UINT64_C(0xffffffff) << (32 - c->pods.bits));
	uint32_t range = htonl(c->pods.net & mask), host = htonl(c->pods.net + 1);
	struct nlmsghdr *h =
	    ask(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "fence the pods' ports");
	struct nlattr *all;

	nl_put_str(b, h, NFTA_RULE_TABLE, c->bridge);
	nl_put_str(b, h, NFTA_RULE_CHAIN, CHAIN);
	all = nl_nest(b, h, NFTA_RULE_EXPRESSIONS);
	load_link(b, h);
	compare(b, h, NFT_CMP_EQ, "kdg", 3);
	load_frame(b, h, 0, 2);
	compare(b, h, NFT_CMP_EQ, MAC_BEGIN, 2);
	load_frame(b, h, 2, 4);
	compare(b, h, NFT_CMP_NEQ, &host, sizeof host);
	keep_bits(b, h, mask);
	compare(b, h, NFT_CMP_EQ, &range, sizeof range);
	drop(b, h);
	nl_end(h, all);
}

static void
put_table(struct nl_batch *b, unsigned msg, const char *table)
{
	struct nlmsghdr *h = ask(b, msg, msg == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0,
				 "make a table of nf_tables for the bridge");

	nl_put_str(b, h, NFTA_TABLE_NAME, table);
}

static void
put_chain(struct nl_batch *b, const char *table)
{
	struct nlmsghdr *h =
	    ask(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, "make a chain of nf_tables for the bridge");
	struct nlattr *hook;

	nl_put_str(b, h, NFTA_CHAIN_TABLE, table);
	nl_put_str(b, h, NFTA_CHAIN_NAME, CHAIN);
	hook = nl_nest(b, h, NFTA_CHAIN_HOOK);
	put32(b, h, NFTA_HOOK_HOOKNUM, NF_BR_PRE_ROUTING);
	put32(b, h, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY);
	nl_end(h, hook);
	put32(b, h, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nl_put_str(b, h, NFTA_CHAIN_TYPE, "filter");
}

/* One transaction: a former one is replaced without a moment in between. */
int
fence_put(struct nl *nl, const struct np_config *c, struct error **e)
{
	struct nl_batch b = { .transaction = true };

	border(&b, NFNL_MSG_BATCH_BEGIN);
	put_table(&b, NFT_MSG_NEWTABLE, c->bridge);
	put_table(&b, NFT_MSG_DELTABLE, c->bridge);
	put_table(&b, NFT_MSG_NEWTABLE, c->bridge);
	put_chain(&b, c->bridge);
	put_rule(&b, c);
	border(&b, NFNL_MSG_BATCH_END);
	return nl_send(nl, &b, e);
}

int
fence_remove(const struct np_config *c, struct error **e)
{
	struct nl_batch b = { .transaction = true };
	struct nl nl = { -1, 0 };
	int rc;

	if (nl_open(&nl, NETLINK_NETFILTER, NULL) < 0)
		return 0; /* then there can be none */
	border(&b, NFNL_MSG_BATCH_BEGIN);
	put_table(&b, NFT_MSG_DELTABLE, c->bridge);
	b.ask[b.n - 1].fine = ENOENT;
	border(&b, NFNL_MSG_BATCH_END);
	rc = nl_send(&nl, &b, e);
	/* A kernel that has no such family says so, and has no table either. */
	if (rc < 0 && (b.ask[0].err == EOPNOTSUPP || b.ask[1].err == EOPNOTSUPP ||
		       b.ask[1].err == EAFNOSUPPORT))
		rc = 0;
	nl_close(&nl);
	return rc;
}

struct count {
	const char *table;
	unsigned n;
};

static int
count_rule(const struct nlmsghdr *h, void *ctx)
{
	struct count *c = ctx;
	const struct nlattr *a;

	mnl_attr_for_each(
	    a, h, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == NFTA_RULE_TABLE &&
					       mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 &&
					       !strcmp(mnl_attr_get_str(a), c->table)) c->n++;
	return MNL_CB_OK;
}

int
fence_check(struct nl *nl, const struct np_config *c, bool *ret_there, struct error **e)
{
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    ask(&b, NFT_MSG_GETRULE, NLM_F_DUMP, "look for the fence of the pods' ports");
	struct count count = { c->bridge, 0 };

	nl_put_str(&b, h, NFTA_RULE_TABLE, c->bridge);
	if (nl_dump(nl, h, count_rule, &count, "look for the fence of the pods' ports", e) < 0)
		return -1;
	*ret_there = count.n == 1;
	return 0;
}

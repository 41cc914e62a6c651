/* nft_look.c -- see nft_look.h. */
#include "nft_look.h"
#include "nft.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define NFT(msg) (NFNL_SUBSYS_NFTABLES << 8 | (msg))

static struct nlmsghdr *
ask(struct nl_batch *b, unsigned type, unsigned flags, uint8_t family, int fine)
{
	struct nfgenmsg g = { family, NFNETLINK_V0, 0 };

	return nl_ask(b, type, flags, &g, sizeof g, "table of nf_tables", fine);
}

static uint8_t
family(bool v6)
{
	return v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

static const char *
text_of(const struct nlmsghdr *h, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == type &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(a);
	}
	return "";
}

struct look {
	const char *table;
	unsigned n;
};

static int
count_rule(const struct nlmsghdr *h, void *ctx)
{
	struct look *k = ctx;

	k->n += !strcmp(text_of(h, NFTA_RULE_TABLE), k->table);
	return MNL_CB_OK;
}

static int
count_elements(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a, *x;
	struct look *k = ctx;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(x, a) k->n++;
	}
	return MNL_CB_OK;
}

int
nft_look(struct nl *nl, const char *table, bool v6, struct nft_seen_table *ret,
	 struct error **e)
{
	struct look rules = { table, 0 }, elements = { table, 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = ask(&b, NFT(NFT_MSG_GETRULE), NLM_F_DUMP, family(v6), 0);

	nl_put_str(&b, h, NFTA_RULE_TABLE, table);
	if (nl_dump(nl, h, count_rule, &rules, "list the rules of nf_tables", e) < 0)
		return -1;
	for (size_t i = 0; rules.n && i < NFT_MAPS; i++) {
		if (i == NFT_SELF)
			continue;
		b = (struct nl_batch){ 0 };
		h = ask(&b, NFT(NFT_MSG_GETSETELEM), NLM_F_DUMP, family(v6), 0);
		nl_put_str(&b, h, NFTA_SET_ELEM_LIST_TABLE, table);
		nl_put_str(&b, h, NFTA_SET_ELEM_LIST_SET, nft_maps[i]);
		if (nl_dump(nl, h, count_elements, &elements, "list a map of nf_tables", e) < 0)
			return -1;
	}
	*ret = (struct nft_seen_table){ rules.n, elements.n };
	return 0;
}

struct each {
	void (*fn)(void *ctx, addr ip, unsigned timeout_s, unsigned left_s);
	void *ctx;
	bool v6;
};

static unsigned
seconds(const struct nlattr *a)
{
	return mnl_attr_validate(a, MNL_TYPE_U64) < 0 ? 0 : be64toh(mnl_attr_get_u64(a)) / 1000;
}

static void
remembered(const struct nlattr *elem, const struct each *k)
{
	const struct nlattr *a, *v;
	unsigned timeout = 0, left = 0;
	unsigned bytes = addr_bits(k->v6) / 8;
	addr ip = 0;

	mnl_attr_for_each_nested(a, elem)
	{
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_TIMEOUT)
			timeout = seconds(a);
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_EXPIRATION)
			left = seconds(a);
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_KEY)
			continue;
		mnl_attr_for_each_nested(v, a)
		{
			if (mnl_attr_get_type(v) == NFTA_DATA_VALUE &&
			    mnl_attr_get_payload_len(v) == bytes)
				ip = addr_from(k->v6, mnl_attr_get_payload(v));
		}
	}
	if (ip && timeout && left)
		k->fn(k->ctx, ip, timeout, left);
}

static int
each_element(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a, *x;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(x, a) remembered(x, ctx);
	}
	return MNL_CB_OK;
}

int
nft_each(struct nl *nl, const char *table, bool v6, const char *set,
	 void (*fn)(void *ctx, addr ip, unsigned timeout_s, unsigned left_s), void *ctx,
	 struct error **e)
{
	struct each each = { fn, ctx, v6 };
	struct error *first = NULL;
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = ask(&b, NFT(NFT_MSG_GETSETELEM), NLM_F_DUMP, family(v6), 0);

	nl_put_str(&b, h, NFTA_SET_ELEM_LIST_TABLE, table);
	nl_put_str(&b, h, NFTA_SET_ELEM_LIST_SET, set);
	if (nl_dump(nl, h, each_element, &each, "list a set of nf_tables", &first) == 0)
		return 0;
	if (first->err == ENOENT) {
		error_free(&first);
		return 0;
	}
	return fail_with(e, &first);
}

static int
found(const struct nlmsghdr *h, void *ctx)
{
	(void)h;
	*(bool *)ctx = true;
	return MNL_CB_OK;
}

bool
nft_has(const char *table, const char *set, addr ip, bool v6)
{
	struct nl_batch b = { 0 };
	struct nl nl = { -1, 0 };
	struct nlmsghdr *h = ask(&b, NFT(NFT_MSG_GETSETELEM), 0, family(v6), 0);
	struct nlattr *list, *elem, *key;
	uint8_t bytes[16];
	bool yes = false;

	addr_bytes(v6, ip, bytes);
	nl_put_str(&b, h, NFTA_SET_ELEM_LIST_TABLE, table);
	nl_put_str(&b, h, NFTA_SET_ELEM_LIST_SET, set);
	list = nl_nest(&b, h, NFTA_SET_ELEM_LIST_ELEMENTS);
	elem = nl_nest(&b, h, NFTA_LIST_ELEM);
	key = nl_nest(&b, h, NFTA_SET_ELEM_KEY);
	nl_put(&b, h, NFTA_DATA_VALUE, bytes, addr_bits(v6) / 8);
	nl_end(h, key);
	nl_end(h, elem);
	nl_end(h, list);
	if (nl_open(&nl, NETLINK_NETFILTER, NULL) < 0)
		return false;
	(void)nl_dump(&nl, h, found, &yes, "look into a set of nf_tables", NULL);
	nl_close(&nl);
	return yes;
}

static int
generation(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_GEN_ID &&
		    mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			*(uint64_t *)ctx = ntohl(mnl_attr_get_u32(a));
	}
	return MNL_CB_OK;
}

int
nft_print(struct nl *nl, uint64_t *ret, struct error **e)
{
	struct nl_batch b = { 0 };

	*ret = 0;
	return nl_dump(nl, ask(&b, NFT(NFT_MSG_GETGEN), 0, AF_UNSPEC, 0), generation, ret,
		       "ask for the generation of nf_tables", e);
}

static void
border(struct nl_batch *b, uint16_t type)
{
	struct nfgenmsg g = { AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES) };

	nl_ask(b, type, 0, &g, sizeof g, "transaction of nf_tables", 0);
}

int
nft_remove(const char *table, bool v6, struct error **e)
{
	struct nl_batch b = { .transaction = true };
	struct nl nl = { -1, 0 };
	struct nlmsghdr *h;
	int rc;

	if (nl_open(&nl, NETLINK_NETFILTER, NULL) < 0)
		return 0; /* then there can be none */
	border(&b, NFNL_MSG_BATCH_BEGIN);
	h = ask(&b, NFT(NFT_MSG_DELTABLE), 0, family(v6), ENOENT);
	nl_put_str(&b, h, NFTA_TABLE_NAME, table);
	border(&b, NFNL_MSG_BATCH_END);
	rc = nl_send(&nl, &b, e);
	if (rc < 0 && (b.ask[0].err == EOPNOTSUPP || b.ask[1].err == EOPNOTSUPP))
		rc = 0; /* a kernel without nf_tables */
	nl_close(&nl);
	return rc;
}

/* tables.c -- see tables.h.  What both kinds share, and nf_tables. */
#include "tables.h"
#include "reconcile/base/error.h"
#include "tables_legacy.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const tables_kinds[TABLES_KINDS] = { "legacy", "nf_tables" };

int
tables_open(struct tables *ret, enum tables_kind kind, bool v6, const char *chains,
	    struct error **e)
{
	struct tables t = { kind, v6, { -1, 0 }, -1, chains };

	if (kind == TABLES_NFT && nl_open(&t.nl, NETLINK_NETFILTER, e) < 0)
		return -1;
	if (kind == TABLES_LEGACY) {
		t.raw = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		if (t.raw < 0)
			return fail_sys(e, "raw socket for %s", v6 ? "ip6tables" : "iptables");
	}
	*ret = t;
	return 0;
}

void
tables_close(struct tables *t)
{
	nl_close(&t->nl);
	if (t->raw >= 0)
		close(t->raw);
	t->raw = -1;
}

void
seen_done(struct seen *s)
{
	for (unsigned t = 0; t < RULES_TABLES; t++)
		map_done(&s->chains[t]);
}

size_t
seen_rules(const void *value)
{
	return value ? (size_t)value - 1 : 0;
}

/* Our name of a chain in the kernel: "ABC-V" is "KDG-V" when ours begin with ABC.
 * NULL when it is not ours; `to` has room for it. */
static const char *
seen_name(const struct seen *s, const char *name, char to[static RULES_NAME])
{
	size_t n = strlen(RULES_PREFIX);

	if (strncmp(name, s->prefix, n - 1) || name[n - 1] != '-' || strlen(name) >= RULES_NAME)
		return NULL;
	snprintf(to, RULES_NAME, RULES_PREFIX "%s", name + n);
	return to;
}

bool
seen_ours(const struct seen *s, const char *chain)
{
	char name[RULES_NAME];

	return seen_name(s, chain, name);
}

void
seen_chain(struct seen *s, enum rules_table t, const char *chain)
{
	char name[RULES_NAME];

	if (seen_name(s, chain, name) && !map_get(&s->chains[t], name))
		map_put(&s->chains[t], name, (void *)1);
}

void
seen_rule(struct seen *s, enum rules_table t, const char *chain, const char *to)
{
	char name[RULES_NAME], target[RULES_NAME];

	if (seen_name(s, chain, name)) {
		size_t n = seen_rules(map_get(&s->chains[t], name));

		map_put(&s->chains[t], name, (void *)(n + 2));
		return;
	}
	to = to ? seen_name(s, to, target) : NULL;
	for (unsigned i = 0; to && i < RULES_JUMPS; i++) {
		const struct rules_jump *j = &rules_jumps[i];

		if (j->table == t && !strcmp(j->from, chain) && !strcmp(j->to, to)) {
			s->jumps[i]++;
			return;
		}
	}
	if (t == RULES_FILTER && !strcmp(chain, "FORWARD"))
		s->foreign++;
}

/* -- nf_tables -------------------------------------------------------------- */

static struct nlmsghdr *
nft_ask(struct nl_batch *b, unsigned type, unsigned flags, uint8_t family)
{
	struct nfgenmsg g = { family, NFNETLINK_V0, 0 };

	return nl_ask(b, type, flags, &g, sizeof g, "nf_tables", 0);
}

static const char *
nft_str(const struct nlattr *a)
{
	return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0 ? "" : mnl_attr_get_str(a);
}

/* The first attribute of a type in a message or, nested, in an attribute. */
static const struct nlattr *
nft_attr(const struct nlmsghdr *h, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h,
			  sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static const struct nlattr *
nft_in(const struct nlattr *outer, uint16_t type)
{
	const struct nlattr *a;

	if (outer)
		mnl_attr_for_each_nested(a, outer) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static int
nft_gen(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a = nft_attr(h, NFTA_GEN_ID);

	if (a && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
		*(uint64_t *)ctx = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

struct nft_seen {
	struct seen *s;
	enum rules_table t;
};

static int
nft_chain(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *table = nft_attr(h, NFTA_CHAIN_TABLE),
			    *name = nft_attr(h, NFTA_CHAIN_NAME);
	struct nft_seen *n = ctx;

	for (unsigned t = 0; table && name && t < RULES_TABLES; t++)
		if (!strcmp(nft_str(table), rules_tables[t]))
			seen_chain(n->s, t, nft_str(name));
	return MNL_CB_OK;
}

/* A bare jump is one expression: immediate, its data a verdict with a chain. */
static const char *
nft_jump(const struct nlattr *expressions)
{
	const struct nlattr *x, *name;

	if (!expressions)
		return NULL;
	mnl_attr_for_each_nested(x, expressions)
	{
		name = nft_in(x, NFTA_EXPR_NAME);
		if (!name || strcmp(nft_str(name), "immediate"))
			continue;
		name = nft_in(nft_in(nft_in(nft_in(x, NFTA_EXPR_DATA), NFTA_IMMEDIATE_DATA),
				     NFTA_DATA_VERDICT),
			      NFTA_VERDICT_CHAIN);
		return name ? nft_str(name) : NULL;
	}
	return NULL;
}

static int
nft_rule(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *table = nft_attr(h, NFTA_RULE_TABLE),
			    *chain = nft_attr(h, NFTA_RULE_CHAIN);
	struct nft_seen *n = ctx;

	if (table && chain && !strcmp(nft_str(table), rules_tables[n->t]))
		seen_rule(n->s, n->t, nft_str(chain),
			  nft_jump(nft_attr(h, NFTA_RULE_EXPRESSIONS)));
	return MNL_CB_OK;
}

static uint8_t
nft_family(const struct tables *t)
{
	return t->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

#define NFT(msg) (NFNL_SUBSYS_NFTABLES << 8 | (msg))

static int
nft_read(struct tables *t, struct seen *s, struct error **e)
{
	struct nft_seen ctx = { s, 0 };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = nft_ask(&b, NFT(NFT_MSG_GETCHAIN), NLM_F_DUMP, nft_family(t));

	if (nl_dump(&t->nl, h, nft_chain, &ctx, "list the chains", e) < 0)
		return -1;
	for (ctx.t = 0; ctx.t < RULES_TABLES; ctx.t++) {
		b = (struct nl_batch){ 0 };
		h = nft_ask(&b, NFT(NFT_MSG_GETRULE), NLM_F_DUMP, nft_family(t));
		nl_put_str(&b, h, NFTA_RULE_TABLE, rules_tables[ctx.t]);
		if (nl_dump(&t->nl, h, nft_rule, &ctx, "list the rules", e) < 0)
			return -1;
	}
	return 0;
}

static int
nft_yes(const struct nlmsghdr *h, void *ctx)
{
	(void)h;
	*(bool *)ctx = true;
	return MNL_CB_OK;
}

static bool
nft_has_match(struct tables *t, const char *name, uint8_t revision)
{
	struct nl_batch b = { 0 };
	struct nlmsghdr *h =
	    nft_ask(&b, NFNL_SUBSYS_NFT_COMPAT << 8 | NFNL_MSG_COMPAT_GET, 0, nft_family(t));
	bool yes = false;

	nl_put_str(&b, h, NFTA_COMPAT_NAME, name);
	nl_put_u32(&b, h, NFTA_COMPAT_REV, htonl(revision));
	nl_put_u32(&b, h, NFTA_COMPAT_TYPE, 0); /* a match, not a target */
	return nl_dump(&t->nl, h, nft_yes, &yes, "ask for a match", NULL) == 0 && yes;
}

/* -- either ----------------------------------------------------------------- */

int
tables_print(struct tables *t, uint64_t *ret, struct error **e)
{
	struct nl_batch b = { 0 };
	uint64_t gen = 0;

	if (t->kind == TABLES_LEGACY)
		return legacy_print(t, ret, e);
	if (nl_dump(&t->nl, nft_ask(&b, NFT(NFT_MSG_GETGEN), 0, AF_UNSPEC), nft_gen, &gen,
		    "ask for the rules' generation", e) < 0)
		return -1;
	*ret = gen;
	return 0;
}

int
tables_read(struct tables *t, struct seen *s, struct error **e)
{
	s->prefix = t->chains;
	for (int tries = 1;; tries++) {
		int rc = t->kind == TABLES_LEGACY ? legacy_read(t, s, e) : nft_read(t, s, e);

		/* EINTR: somebody changed the rules while they were listed. */
		if (!rc || errno != EINTR || tries == 5)
			return rc;
		error_free(e);
		seen_done(s);
		*s = (struct seen){ .prefix = t->chains };
	}
}

bool
tables_has_match(struct tables *t, const char *name, uint8_t revision)
{
	return t->kind == TABLES_LEGACY ? legacy_has_match(t, name, revision)
					: nft_has_match(t, name, revision);
}

static int
nft_count(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *table = nft_attr(h, NFTA_RULE_TABLE);

	for (unsigned t = 0; table && t < RULES_TABLES; t++)
		*(bool *)ctx |= !strcmp(nft_str(table), rules_tables[t]);
	return MNL_CB_OK;
}

bool
tables_mixed(const struct tables *used)
{
	enum tables_kind kind = used->kind == TABLES_NFT ? TABLES_LEGACY : TABLES_NFT;
	struct nl_batch b = { 0 };
	struct tables t = { .nl.fd = -1, .raw = -1 };
	bool found = false;

	if (tables_open(&t, kind, used->v6, used->chains, NULL) < 0)
		return false;
	if (kind == TABLES_LEGACY)
		found = legacy_any(&t);
	else
		(void)nl_dump(&t.nl,
			      nft_ask(&b, NFT(NFT_MSG_GETRULE), NLM_F_DUMP, nft_family(used)),
			      nft_count, &found, "list the rules", NULL);
	tables_close(&t);
	return found;
}

/* -- firewalls that no iptables shows ---------------------------------------- */

/* What iptables' own programs make of their tables: "ip filter" with INPUT, FORWARD, ... */
static bool
is_iptables(uint8_t family, const char *table, const char *chain)
{
	static const char *const tables[] = { "filter", "nat", "mangle", "raw", "security" };

	if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
		return false;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if (!strcmp(table, tables[i]))
			return chain[0] >= 'A' && chain[0] <= 'Z';
	return false;
}

static uint32_t
nft_u32(const struct nlattr *a, uint32_t otherwise)
{
	return a && mnl_attr_validate(a, MNL_TYPE_U32) >= 0 ? ntohl(mnl_attr_get_u32(a))
							    : otherwise;
}

struct wall {
	bool v6;
	char *to;
	size_t size;
};

/* A chain of a filter where packets come in or pass: it drops all that it does not let
 * through, or has rules. */
static int
wall_chain(const struct nlmsghdr *h, void *ctx)
{
	static const char *const families[] = {
		[NFPROTO_INET] = "inet", [NFPROTO_IPV4] = "ip", [NFPROTO_IPV6] = "ip6"
	};
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	const struct nlattr *hook = nft_attr(h, NFTA_CHAIN_HOOK),
			    *type = nft_attr(h, NFTA_CHAIN_TYPE);
	const char *table, *name;
	struct wall *w = ctx;
	uint32_t at;

	if (!hook || !type || strcmp(nft_str(type), "filter") != 0 || *w->to ||
	    g->nfgen_family >= sizeof families / sizeof *families ||
	    !families[g->nfgen_family] || (g->nfgen_family == NFPROTO_IPV6 && !w->v6))
		return MNL_CB_OK;
	at = nft_u32(nft_in(hook, NFTA_HOOK_HOOKNUM), NF_INET_NUMHOOKS);
	if ((at != NF_INET_LOCAL_IN && at != NF_INET_FORWARD) ||
	    (nft_u32(nft_attr(h, NFTA_CHAIN_POLICY), NF_ACCEPT) == NF_ACCEPT &&
	     !nft_u32(nft_attr(h, NFTA_CHAIN_USE), 0)))
		return MNL_CB_OK;
	table = nft_str(nft_attr(h, NFTA_CHAIN_TABLE));
	name = nft_str(nft_attr(h, NFTA_CHAIN_NAME));
	if (!is_iptables(g->nfgen_family, table, name))
		snprintf(w->to, w->size, "%s %s, chain %s", families[g->nfgen_family], table,
			 name);
	return MNL_CB_OK;
}

bool
tables_wall(bool v6, char *to, size_t size)
{
	struct nl_batch b = { 0 };
	struct nl nl = { -1, 0 };
	struct wall w = { v6, to, size };

	*to = 0;
	if (nl_open(&nl, NETLINK_NETFILTER, NULL) < 0)
		return false; /* then there can be none */
	(void)nl_dump(&nl, nft_ask(&b, NFT(NFT_MSG_GETCHAIN), NLM_F_DUMP, NFPROTO_UNSPEC),
		      wall_chain, &w, "list the chains", NULL);
	nl_close(&nl);
	return *to;
}

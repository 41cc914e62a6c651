/* policy.c -- see policy.h for the layout.
 *
 * Text is in the order iptables-save prints it, as in rules.c.
 */
#include "policy.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/map.h"
#include "rules_tree.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says who refused: not the program (port-unreachable), but the administrator. */
static const char *const refuse[2] = { "REJECT --reject-with icmp-admin-prohibited",
				       "REJECT --reject-with icmp6-adm-prohibited" };

static void
part_chain(const struct np_part *p, char to[static RULES_NAME])
{
	snprintf(to, RULES_NAME, "KDG-H-%016jx",
		 (uintmax_t)hash_hard(p->egress, p->id, strlen(p->id)));
}

static void
pod_chain(addr ip, bool egress, char to[static RULES_NAME])
{
	if (addr_v6(ip))
		snprintf(to, RULES_NAME, "KDG-G%c-%016jx", egress ? 'E' : 'I',
			 (uintmax_t)addr_hash(0, ip));
	else
		snprintf(to, RULES_NAME, "KDG-G%c%08x", egress ? 'E' : 'I', (unsigned)ip);
}

/* -- trees of addresses ------------------------------------------------------ */

struct tree {
	addr *at;         /* sorted by tree_grow, of which each is taken once */
	char side;        /* which of a packet's addresses: 's', 'd' */
	bool egress;      /* of the pods */
	const char *root; /* of isolated pods; NULL: of peers */
	uint64_t id;      /* of peers */
	bool v6;
};

static addr
tree_key(const void *ctx, size_t i)
{
	return ((const struct tree *)ctx)->at[i];
}

static void
tree_name(const void *ctx, addr key, unsigned bits, char to[static RULES_NAME])
{
	const struct tree *t = ctx;
	uint64_t h;

	if (t->root) {
		rules_tree_name(t->root, addr_bits(t->v6), key, bits, to);
		return;
	}
	h = hash_hard(addr_hash(t->id, key), &bits, sizeof bits);
	snprintf(to, RULES_NAME, "KDG-A-%016jx", (uintmax_t)h);
}

static void
tree_leaf(const void *ctx, struct chain *c, size_t i)
{
	const struct tree *t = ctx;
	char ip[ADDR_TEXT], to[RULES_NAME] = "KDG-WY";

	if (t->root)
		pod_chain(t->at[i], t->egress, to);
	chain_rule(c, "-%c %s/%u -g %s", t->side, addr_print(t->at[i], ip), addr_bits(t->v6),
		   to);
}

static void
tree_branch(const void *ctx, struct chain *c, size_t i, addr key, unsigned bits,
	    const char *child)
{
	const struct tree *t = ctx;
	char ip[ADDR_TEXT];

	(void)i;
	chain_rule(c, "-%c %s/%u -g %s", t->side, addr_print(key, ip), bits, child);
}

static int
key_cmp(const void *a, const void *b)
{
	addr x = *(const addr *)a, y = *(const addr *)b;

	return (x > y) - (x < y);
}

static size_t
keys_settle(addr *at, size_t n)
{
	size_t m = 0;

	if (n)
		qsort(at, n, sizeof *at, key_cmp);
	for (size_t i = 0; i < n; i++)
		if (!m || at[m - 1] != at[i])
			at[m++] = at[i];
	return m;
}

/* Below c, and in chains of its own. */
static void
tree_grow(const struct tree *t, struct chain *c, size_t n, struct chains *out)
{
	const struct rules_tree tree = { .out = out,
					 .table = RULES_FILTER,
					 .bits = addr_bits(t->v6),
					 .ctx = t,
					 .key = tree_key,
					 .leaf = tree_leaf,
					 .branch = tree_branch,
					 .name = tree_name };

	rules_tree_grow(&tree, c, 0, keys_settle(t->at, n), 0, RULES_FLAT);
}

/* -- who is isolated --------------------------------------------------------- */

void
policy_text_trees(const struct rules_net *net, const struct np_isolated *const *all, size_t n,
		  struct chains *out)
{
	struct tree t[2] = {
		{ xcalloc(n + 1, sizeof(addr)), 'd', false, "KDG-WI", 0, net->v6 },
		{ xcalloc(n + 1, sizeof(addr)), 's', true, "KDG-WE", 0, net->v6 },
	};
	size_t m[2] = { 0, 0 };
	char ip[ADDR_TEXT];
	struct chain *c;

	for (size_t i = 0; i < n; i++) {
		if (all[i]->ingress)
			t[0].at[m[0]++] = all[i]->ip;
		if (all[i]->egress)
			t[1].at[m[1]++] = all[i]->ip;
	}
	c = chain_begin(out, RULES_FILTER, "KDG-W");
	/* From elsewhere nobody comes with a pod's address: it would be let in for it. */
	if (m[0])
		chain_rule(c, "-s %s/%u ! -i %s -j DROP", addr_print(net->pods.net, ip),
			   net->pods.bits, net->bridge);
	if (m[1])
		chain_rule(c, "-i %s -j KDG-WE", net->bridge);
	if (m[0])
		chain_rule(c, "-o %s -j KDG-WI", net->bridge);
	c = chain_begin(out, RULES_FILTER, "KDG-WY");
	chain_rule(c, "-j MARK --set-xmark 0x%x/0x%x", POLICY_MARK, POLICY_MARK);
	c = chain_begin(out, RULES_FILTER, "KDG-WC");
	chain_rule(c, "-j MARK --set-xmark 0x0/0x%x", POLICY_MARK);
	for (unsigned i = 0; i < 2; i++) {
		if (m[i])
			tree_grow(&t[i], chain_begin(out, RULES_FILTER, t[i].root), m[i], out);
		free(t[i].at);
	}
}

void
policy_text_pod(const struct np_isolated *pod, const struct np_part *const *parts, size_t n,
		struct chains *out)
{
	char name[RULES_NAME], to[RULES_NAME], ip[ADDR_TEXT];

	for (int egress = 0; egress < 2; egress++) {
		struct chain *c;
		bool any = false;

		if (!(egress ? pod->egress : pod->ingress))
			continue;
		pod_chain(pod->ip, egress, name);
		c = chain_begin(out, RULES_FILTER, name);
		chain_rule(c, "-%c %s/%u -j RETURN", egress ? 'd' : 's',
			   addr_print(pod->ip, ip), addr_bits(addr_v6(pod->ip)));
		for (size_t i = 0; i < n; i++) {
			if (parts[i]->egress != egress || !parts[i]->n)
				continue;
			if (!any) /* nobody's mark lets it in */
				chain_rule(c, "-j MARK --set-xmark 0x0/0x%x", POLICY_MARK);
			any = true;
			part_chain(parts[i], to);
			chain_rule(c, "-m comment --comment \"%.200s\" -j %s", parts[i]->id,
				   to);
			chain_rule(c, "-m mark --mark 0x%x/0x%x -g KDG-WC", POLICY_MARK,
				   POLICY_MARK);
		}
		chain_rule(c, "-j %s", refuse[addr_v6(pod->ip)]);
	}
}

/* -- whom a part admits ------------------------------------------------------ */

enum { NET_TEXT = ADDR_RANGE_TEXT + 4 };

static const char *
net_text(const struct addr_range *n, char side, char to[static NET_TEXT])
{
	const struct addr_range net = { addr_head(n->net, n->bits, addr_bits(n->v6)), n->bits,
					n->v6 };
	char text[ADDR_RANGE_TEXT];

	if (n->bits)
		snprintf(to, NET_TEXT, "-%c %s ", side, addr_range_print(net, text));
	else
		*to = 0;
	return to;
}

static void
block_chain(uint64_t id, size_t i, char to[static RULES_NAME])
{
	snprintf(to, RULES_NAME, "KDG-B-%016jx", (uintmax_t)hash_hard(id, &i, sizeof i));
}

static void
block_excepts(const struct np_block *b, char side, const char *name, struct chains *out)
{
	struct chain *c = chain_begin(out, RULES_FILTER, name);
	char net[NET_TEXT];

	for (size_t i = 0; i < b->n; i++)
		chain_rule(c, "%s-j RETURN", net_text(&b->except[i], side, net));
	chain_rule(c, "-g KDG-WY");
}

static void
peers(const struct rules_net *net, const struct np_rule *r, uint64_t id, char side,
      const char *name, struct chains *out)
{
	struct tree t = {
		.at = xcalloc(r->npods + 1, sizeof *t.at), .side = side, .id = id, .v6 = net->v6
	};
	char to[RULES_NAME], text[NET_TEXT];
	struct chain *c;

	for (size_t i = 0; i < r->nblocks; i++)
		if (r->blocks[i].n) {
			block_chain(id, i, to);
			block_excepts(&r->blocks[i], side, to, out);
		}
	c = chain_begin(out, RULES_FILTER, name);
	for (size_t i = 0; i < r->nblocks; i++) {
		block_chain(id, i, to);
		chain_rule(c, "%s-%c %s", net_text(&r->blocks[i].net, side, text),
			   r->blocks[i].n ? 'j' : 'g', r->blocks[i].n ? to : "KDG-WY");
	}
	for (size_t i = 0; i < r->npods; i++)
		t.at[i] = r->pods[i];
	tree_grow(&t, c, r->npods, out);
	free(t.at);
}

static void
ports_text(const struct np_ports *p, struct buf *to)
{
	const char *proto = rules_proto(p->proto);

	buf_addf(to, "-p %s ", proto);
	if (p->lo && p->hi > p->lo)
		buf_addf(to, "-m %s --dport %u:%u ", proto, p->lo, p->hi);
	else if (p->lo)
		buf_addf(to, "-m %s --dport %u ", proto, p->lo);
}

/* One line for each of its ports: to the peers, or at once to the mark. */
static void
admit(const struct rules_net *net, const struct np_rule *r, const char *to, struct chain *c)
{
	const char *jump = r->anyone ? "-g KDG-WY" : "-j ";

	if (!r->nports)
		chain_rule(c, "%s%s", jump, r->anyone ? "" : to);
	for (size_t i = 0; i < r->nports; i++) {
		cleanup_buf struct buf ports = { 0 };

		/* Without the match no port can be told from another: none is admitted. */
		if (r->ports[i].proto == IPPROTO_SCTP && r->ports[i].lo && net->no_sctp)
			continue;
		ports_text(&r->ports[i], &ports);
		chain_rule(c, "%s%s%s", buf_text(&ports), jump, r->anyone ? "" : to);
	}
}

void
policy_text_part(const struct rules_net *net, const struct np_part *p, struct chains *out)
{
	char side = p->egress ? 'd' : 's', name[RULES_NAME], to[RULES_NAME];
	uint64_t id = hash_hard(p->egress, p->id, strlen(p->id));
	struct chain *c;

	if (!p->n)
		return; /* nobody jumps to it */
	for (size_t i = 0; i < p->n; i++) {
		const struct np_rule *r = &p->rules[i];
		uint64_t h = hash_hard(id, &i, sizeof i);

		snprintf(to, sizeof to, "KDG-A-%016jx", (uintmax_t)h);
		if (!r->anyone && (r->npods || r->nblocks))
			peers(net, r, h, side, to, out);
	}
	part_chain(p, name);
	c = chain_begin(out, RULES_FILTER, name);
	for (size_t i = 0; i < p->n; i++) {
		const struct np_rule *r = &p->rules[i];

		snprintf(to, sizeof to, "KDG-A-%016jx", (uintmax_t)hash_hard(id, &i, sizeof i));
		if (!r->anyone && !r->npods && !r->nblocks)
			continue; /* a selector that means nobody */
		admit(net, r, to, c);
		if (!r->anyone && i + 1 < p->n)
			chain_rule(c, "-m mark --mark 0x%x/0x%x -j RETURN", POLICY_MARK,
				   POLICY_MARK);
	}
}

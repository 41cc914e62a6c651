/* rules.c -- see rules.h for the layout.
 *
 * Text is in the order iptables-save prints it, so that what is in force can be
 * compared with what was meant by eye.
 */
#include "rules.h"
#include "knobs.h"
#include "reconcile/base/map.h"
#include "reconcile/base/transport.h"
#include "rules_one.h"
#include "rules_tree.h"
#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rules_tables[RULES_TABLES] = { "nat", "filter" };

const struct rules_jump rules_jumps[RULES_JUMPS] = {
	{ RULES_NAT, "PREROUTING", "KDG-D" },  { RULES_NAT, "OUTPUT", "KDG-D" },
	{ RULES_NAT, "POSTROUTING", "KDG-P" }, { RULES_FILTER, "FORWARD", "KDG-F" },
	{ RULES_FILTER, "INPUT", "KDG-I" },    { RULES_FILTER, "OUTPUT", "KDG-O" },
};

const struct rules_words rules_words[2] = {
	{ "REJECT --reject-with icmp-port-unreachable", "127.0.0.0/8", "255.255.255.255", 32 },
	{ "REJECT --reject-with icmp6-port-unreachable", "::1/128",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128 },
};

/* A name stands behind a blank or a colon, which no service's id can hold before it. */
void
rules_rename(struct buf *text, const char *chains)
{
	size_t n = strlen(RULES_PREFIX) - 1;

	assert(strlen(chains) == n);
	if (!strncmp(chains, RULES_PREFIX, n))
		return;
	for (char *at = text->at; at && (at = strstr(at, RULES_PREFIX)); at += n)
		if (at > text->at && (at[-1] == ' ' || at[-1] == ':'))
			for (size_t i = 0; i < n; i++)
				at[i] = chains[i];
}

void
chains_done(struct chains *c)
{
	for (size_t i = 0; i < c->n; i++)
		buf_done(&c->at[i].body);
	free(c->at);
	*c = (struct chains){ 0 };
}

struct chain *
chain_begin(struct chains *c, enum rules_table table, const char *name)
{
	struct chain *x;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->at = xrealloc(c->at, c->cap * sizeof *c->at);
	}
	x = &c->at[c->n++];
	*x = (struct chain){ .table = table };
	assert(strlen(name) < sizeof x->name);
	stpcpy(x->name, name); /* of a load there are very many */
	return x;
}

void
chain_rule(struct chain *c, const char *fmt, ...)
{
	va_list ap;

	buf_addf(&c->body, "-A %s ", c->name);
	va_start(ap, fmt);
	buf_vaddf(&c->body, fmt, ap);
	va_end(ap);
	buf_addc(&c->body, '\n');
	c->rules++;
}

const char *
rules_proto(uint8_t proto)
{
	return transport_numbered(proto)->word;
}

/* -- what a service is like ------------------------------------------------- */

bool
rules_leave_out(const struct rules_net *net, const struct np_service *s)
{
	return s->proto == IPPROTO_SCTP && net->no_sctp;
}

size_t
rules_local(const struct np_service *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += !s->endpoints[i].away;
	return n;
}

bool
rules_all_local(const struct np_service *s)
{
	return rules_local(s) == s->n;
}

bool
rules_has_outside(const struct np_service *s)
{
	return s->node_port || s->nouter || s->balancer;
}

/* A chain of its own for who comes from outside? */
bool
rules_has_entry(const struct np_service *s)
{
	return s->n && rules_has_outside(s) && (!s->local_only || !rules_all_local(s));
}

/* Why who comes by an entrance is turned away; NULL: they are served. */
static const char *
closed(const struct np_service *s, bool local)
{
	return !s->n                      ? "has no endpoints"
	       : local && !rules_local(s) ? "has no local endpoints"
					  : NULL;
}

/* A reset waits for a program that is still in its connect(); an ICMPv6 error that meets it
 * there is noted, and the program is told when the kernel tried again, a second later. */
#define RESET "REJECT --reject-with tcp-reset"

static void
refuse_range(const struct rules_net *net, struct chain *c, const char *svcs)
{
	if (net->v6)
		chain_rule(c, "-d %s -p tcp -j " RESET, svcs);
	chain_rule(c, "-d %s -j %s", svcs, rules_words[net->v6].reject);
}

/* -- what does not depend on services --------------------------------------- */

/* A pod's MAC is 0a:4b + its address and its port lets no other through, so a
 * source address that differs from the MAC's last four bytes is forged.  One
 * rule for all pods: A = MAC bytes 2..5, X = source address, drop if A != X.
 *	ld [SKF_LL_OFF+8]; tax; ld [SKF_NET_OFF+12]; jeq x,0,1; ret 0; ret 65535
 * An IPv6 address ends with those four bytes as well; another rule says how it begins, for
 * none but that one is known to the network policies.
 */
static const char *const forged[2] = {
	"6,32 0 0 4292870152,7 0 0 0,32 0 0 4293918732,29 0 1 0,6 0 0 0,6 0 0 65535",
	"6,32 0 0 4292870152,7 0 0 0,32 0 0 4293918740,29 0 1 0,6 0 0 0,6 0 0 65535",
};

/* From an address to the same: a pod that a service led to itself, whose answer has to come
 * back through the translation.  Nothing else is so on any link but lo.
 *	ld [saddr]; tax; ld [daddr]; jeq x,0,1; ret 65535; ret 0
 * Of IPv6 the last four bytes first.
 */
const char *const rules_itself[2] = {
	"6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 65535,6 0 0 0",
	"18,32 0 0 20,7 0 0 0,32 0 0 36,29 0 13 0,32 0 0 8,7 0 0 0,32 0 0 24,29 0 9 0,"
	"32 0 0 12,7 0 0 0,32 0 0 28,29 0 5 0,32 0 0 16,7 0 0 0,32 0 0 32,29 0 1 0,"
	"6 0 0 65535,6 0 0 0",
};

static void
forged_rules(const struct rules_net *net, struct chain *c)
{
	char ip[ADDR_TEXT];

	if (!net->no_bpf)
		chain_rule(c, "-i %s -m bpf --bytecode \"%s\" -j DROP", net->bridge,
			   forged[net->v6]);
	if (net->v6)
		chain_rule(c, "! -s %s/96 -i %s -j DROP", addr_print(net->pods.net, ip),
			   net->bridge);
}

/* Both ways to ask for a name. */
static void
dns_rules(const struct rules_net *net, struct chain *c, const char *link, const char *to)
{
	char ip[ADDR_TEXT];

	chain_rule(c, "%s -d %s/32 -p udp -m udp --dport 53 -j %s", link,
		   addr_print(net->dns, ip), to);
	chain_rule(c, "%s -d %s/32 -p tcp -m tcp --dport 53 -j %s", link, ip, to);
}

/* What pods send and get. */
static void
pods_root(const struct rules_net *net, const char *svcs, struct chains *out)
{
	struct chain *c = chain_begin(out, RULES_FILTER, "KDG-FP");

	forged_rules(net, c);
	refuse_range(net, c, svcs);
	/* A packet conntrack cannot place would leave untranslated and reset the connection. */
	chain_rule(c, "-m conntrack --ctstate INVALID -j DROP");
	chain_rule(c, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
	chain_rule(c, "-j KDG-W"); /* policy.c */
	chain_rule(c, "-i %s -j ACCEPT", net->bridge);
	chain_rule(c, "-m conntrack --ctstate DNAT -j ACCEPT");
}

static const char *
svc_range(const struct rules_net *net, char to[static ADDR_TEXT + 4])
{
	char ip[ADDR_TEXT];

	snprintf(to, ADDR_TEXT + 4, "%s/%u", addr_print(net->svcs.net, ip), net->svcs.bits);
	return to;
}

void
rules_base(const struct rules_net *net, struct chains *out)
{
	char ip[ADDR_TEXT], pods[ADDR_TEXT + 4];
	struct chain *c;

	snprintf(pods, sizeof pods, "%s/%u", addr_print(net->pods.net, ip), net->pods.bits);
	for (unsigned i = 0; i < LINK_KNOBS; i++)
		if (net->turned >> i & 1 && link_knobs[i].v6 == net->v6)
			chain_rule(chain_begin(out, RULES_FILTER, link_knobs[i].note),
				   "-j RETURN");
	chain_rule(chain_begin(out, RULES_FILTER, RULES_CANARY), "-j RETURN");
	if (net->nft)
		return;
	c = chain_begin(out, RULES_NAT, "KDG-MASQ");
	chain_rule(c, "-j MARK --set-xmark 0x%x/0x%x", RULES_MARK, RULES_MARK);
	c = chain_begin(out, RULES_NAT, "KDG-P");
	chain_rule(c, "-m mark --mark 0x%x/0x%x -j KDG-PM", RULES_MARK, RULES_MARK);
	if (!net->no_bpf)
		chain_rule(c, "! -o lo -m bpf --bytecode \"%s\" -j MASQUERADE --random-fully",
			   rules_itself[net->v6]);
	chain_rule(c, "-s %s ! -o %s -j MASQUERADE --random-fully", pods, net->bridge);
	c = chain_begin(out, RULES_NAT, "KDG-PM");
	chain_rule(c, "-j MARK --set-xmark 0x0/0x%x", RULES_MARK);
	chain_rule(c, "-j MASQUERADE --random-fully");
	chain_rule(chain_begin(out, RULES_NAT, RULES_CANARY), "-j RETURN");
}

/* -- trees ------------------------------------------------------------------ */

struct item {
	addr key; /* address or port */
	const struct np_service *s;
	bool gate; /* the balancer's address, which is not for every source */
};

/* What a tree is over. */
struct tree {
	enum rules_table table;
	unsigned bits; /* of a key; 0: an address */
	bool known;    /* rules_tree.h's */
	void (*leaf)(const struct rules_net *, struct chain *, const struct item *);
	void (*branch)(struct chain *, uint8_t proto, addr key, unsigned bits,
		       const char *child);
};

void
rules_service_chain(const struct np_service *s, char kind, char to[static RULES_NAME])
{
	snprintf(to, RULES_NAME, "KDG-%c-%016jx", kind,
		 (uintmax_t)hash_hard(0, s->id, strlen(s->id)));
}

/* By address and port, to a chain of the service. */
static void
address_rule(struct chain *c, const struct item *x, char kind)
{
	const char *proto = rules_proto(x->s->proto);
	char to[RULES_NAME], ip[ADDR_TEXT];

	rules_service_chain(x->s, kind, to);
	chain_rule(c, "-d %s/%u -p %s -m %s --dport %u -m comment --comment \"%s\" -j %s",
		   addr_print(x->key, ip), rules_words[x->s->v6].bits, proto, proto, x->s->port,
		   x->s->id, to);
}

static void
vip_leaf(const struct rules_net *net, struct chain *c, const struct item *x)
{
	(void)net;
	address_rule(c, x, x->s->local_inside && !rules_all_local(x->s) ? 'L' : 'S');
}

static void
outer_leaf(const struct rules_net *net, struct chain *c, const struct item *x)
{
	(void)net;
	address_rule(c, x, x->gate ? 'G' : rules_has_entry(x->s) ? 'X' : 'S');
}

static void
vip_branch(struct chain *c, uint8_t proto, addr key, unsigned bits, const char *child)
{
	char ip[ADDR_TEXT];

	(void)proto;
	chain_rule(c, "-d %s/%u -g %s", addr_print(key, ip), bits, child);
}

/* "-d 192.0.2.1/32 " for a node port of one address only. */
static const char *
at_address(addr ip, char to[static ADDR_TEXT + 8])
{
	char text[ADDR_TEXT];

	*to = 0;
	if (ip)
		snprintf(to, ADDR_TEXT + 8, "-d %s/%u ", addr_print(ip, text),
			 addr_bits(addr_v6(ip)));
	return to;
}

static void
port_leaf(const struct rules_net *net, struct chain *c, const struct item *x)
{
	const char *proto = rules_proto(x->s->proto);
	char to[RULES_NAME], at[ADDR_TEXT + 8];

	(void)net;
	rules_service_chain(x->s, rules_has_entry(x->s) ? 'X' : 'S', to);
	chain_rule(c, "%s-p %s -m %s --dport %u -m comment --comment \"%s\" -j %s",
		   at_address(x->s->node_ip, at), proto, proto, x->s->node_port, x->s->id, to);
}

static void
port_branch(struct chain *c, uint8_t proto, addr key, unsigned bits, const char *child)
{
	const char *p = rules_proto(proto);

	chain_rule(c, "-p %s -m %s --dport %u:%u -g %s", p, p, (unsigned)key,
		   (unsigned)key | 0xffffu >> bits, child);
}

static const char *
turn_away(const struct np_service *s)
{
	return s->n                               ? "DROP"
	       : s->v6 && s->proto == IPPROTO_TCP ? RESET
						  : rules_words[s->v6].reject;
}

static void
reject_leaf(const struct rules_net *net, struct chain *c, const struct item *x)
{
	const char *proto = rules_proto(x->s->proto);
	char at[ADDR_TEXT + 8];

	(void)net;
	chain_rule(c, "%s-p %s -m %s --dport %u -m comment --comment \"%s %s\" -j %s",
		   at_address(x->s->node_ip, at), proto, proto, x->s->node_port, x->s->id,
		   closed(x->s, true), turn_away(x->s));
}

static void
block_leaf(const struct rules_net *net, struct chain *c, const struct item *x)
{
	const char *proto = rules_proto(x->s->proto), *why = closed(x->s, true);
	char ip[ADDR_TEXT];

	(void)net;
	chain_rule(c, "-d %s/%u -p %s -m %s --dport %u -m comment --comment \"%s %s\" -j %s",
		   addr_print(x->key, ip), rules_words[x->s->v6].bits, proto, proto, x->s->port,
		   x->s->id, x->gate || !why ? "is not for this source" : why,
		   x->gate ? "DROP" : turn_away(x->s));
}

static const struct tree vips = { RULES_NAT, 0, true, vip_leaf, vip_branch };
static const struct tree outers = { RULES_NAT, 0, false, outer_leaf, vip_branch };
static const struct tree ports = { RULES_NAT, 16, false, port_leaf, port_branch };
static const struct tree rejects = { RULES_FILTER, 16, false, reject_leaf, port_branch };
static const struct tree blocks = { RULES_FILTER, 0, false, block_leaf, vip_branch };

/* What rules_tree.h asks about services: ctx. */
struct over {
	const struct rules_net *net;
	const struct tree *t;
	const char *root; /* of its nodes' names */
	const struct item *at;
};

static addr
item_key(const void *ctx, size_t i)
{
	return ((const struct over *)ctx)->at[i].key;
}

static void
item_leaf(const void *ctx, struct chain *c, size_t i)
{
	const struct over *o = ctx;

	o->t->leaf(o->net, c, &o->at[i]);
}

static void
item_branch(const void *ctx, struct chain *c, size_t i, addr key, unsigned bits,
	    const char *child)
{
	const struct over *o = ctx;

	o->t->branch(c, o->at[i].s->proto, key, bits, child);
}

static void
item_name(const void *ctx, addr key, unsigned bits, char to[static RULES_NAME])
{
	const struct over *o = ctx;

	rules_tree_name(o->root, o->t->bits ? o->t->bits : rules_words[o->net->v6].bits, key,
			bits, to);
}

/* Items are sorted and share their first `bits` bits. */
static void
tree_grow(const struct rules_net *net, const struct tree *t, const char *root,
	  const struct item *at, size_t n, unsigned bits, size_t flat, struct chains *out)
{
	const struct over over = { net, t, root, at };
	const struct rules_tree tree = { .out = out,
					 .table = t->table,
					 .bits = t->bits ? t->bits : rules_words[net->v6].bits,
					 .known = t->known,
					 .ctx = &over,
					 .key = item_key,
					 .leaf = item_leaf,
					 .branch = item_branch,
					 .name = item_name };

	rules_tree_grow(&tree, chain_begin(out, t->table, root), 0, n, bits, flat);
}

static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->s->proto != y->s->proto)
		return x->s->proto < y->s->proto ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->s->port != y->s->port)
		return x->s->port < y->s->port ? -1 : 1;
	return strcmp(x->s->id, y->s->id);
}

static int
item_cmp_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->key != y->key ? x->key < y->key ? -1 : 1 : item_cmp(a, b);
}

/* Ports of each protocol are a tree below one root. */
static void
tree_ports(const struct rules_net *net, const struct tree *t, const char *root, struct item *at,
	   size_t n, struct chains *out)
{
	static const struct {
		uint8_t proto;
		char letter;
	} kinds[] = { { IPPROTO_TCP, 'T' }, { IPPROTO_UDP, 'U' }, { IPPROTO_SCTP, 'S' } };
	size_t count[3] = { 0 }, first = 0;
	char sub[RULES_NAME];
	struct chain *c;

	if (n)
		qsort(at, n, sizeof *at, item_cmp);
	if (n <= RULES_FLAT) {
		tree_grow(net, t, root, at, n, 0, RULES_FLAT, out);
		return;
	}
	c = chain_begin(out, t->table, root);
	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < n; i++)
			count[k] += at[i].s->proto == kinds[k].proto;
		if (count[k])
			chain_rule(c, "-p %s -g %s%c", rules_proto(kinds[k].proto), root,
				   kinds[k].letter);
	}
	for (size_t k = 0; k < 3; first += count[k++]) {
		snprintf(sub, sizeof sub, "%s%c", root, kinds[k].letter);
		if (count[k])
			tree_grow(net, t, sub, at + first, count[k], 0, RULES_LEAF, out);
	}
}

/* -- all services ----------------------------------------------------------- */

struct items {
	struct item *at;
	size_t n;
};

static void
items_add(struct items *x, addr key, const struct np_service *s, bool gate)
{
	x->at = xgrow(x->at, x->n, sizeof *x->at);
	x->at[x->n++] = (struct item){ key, s, gate };
}

/* Where each service goes in: the trees that serve, and those that turn away. */
struct entrances {
	struct items vip, outer, port, no_port, no_address;
	bool away; /* some of outside are served by others than this host */
};

static void
entrances_add(struct entrances *e, const struct np_service *s)
{
	bool open = !closed(s, s->local_only);
	bool nat = s->n != 0; /* pods and the host itself are served by any endpoint */

	if (s->vip && nat)
		items_add(closed(s, s->local_inside) ? &e->no_address : &e->vip, s->vip, s,
			  false);
	if (s->node_port && nat)
		items_add(&e->port, s->node_port, s, false);
	if (s->node_port && !open)
		items_add(&e->no_port, s->node_port, s, false);
	for (size_t i = 0; i < s->nouter + !!s->balancer; i++) {
		bool last = i == s->nouter, gate = last && s->nsources;
		addr ip = last ? s->balancer : s->outer[i];

		if (nat)
			items_add(&e->outer, ip, s, gate);
		if (!open || gate)
			items_add(&e->no_address, ip, s, open);
	}
	e->away |= rules_has_entry(s) && !rules_all_local(s) && !s->local_only;
}

static void
entrances_done(struct entrances *e)
{
	free(e->vip.at);
	free(e->outer.at);
	free(e->port.at);
	free(e->no_port.at);
	free(e->no_address.at);
}

static void
address_tree(const struct rules_net *net, const struct tree *t, const char *root,
	     struct items *x, unsigned bits, struct chains *out)
{
	if (x->n)
		qsort(x->at, x->n, sizeof *x->at, item_cmp_key);
	tree_grow(net, t, root, x->at, x->n, bits, RULES_FLAT, out);
}

/* The chains that the host's own jump to. */
static void
roots(const struct rules_net *net, const struct entrances *e,
      const struct np_service *const *all, size_t n, struct chains *out)
{
	static const char blocked[] = "-m conntrack --ctstate NEW -j KDG-B";
	struct chain *c;
	char svcs[ADDR_TEXT + 4], ip[ADDR_TEXT], link[ADDR_TEXT + 4];

	svc_range(net, svcs);
	if (!net->nft) {
		c = chain_begin(out, RULES_NAT, "KDG-D");
		chain_rule(c, "-d %s -j KDG-V", svcs);
		if (e->outer.n)
			chain_rule(c, "-j KDG-Y");
		/* Never 127.0.0.0/8: it would need route_localnet, which opens the host's
		 * own loopback services to its neighbours. */
		chain_rule(c, "! -d %s -m addrtype --dst-type LOCAL -j KDG-N",
			   rules_words[net->v6].loopback);
	}
	c = chain_begin(out, RULES_FILTER, "KDG-F");
	if (e->no_address.n)
		chain_rule(c, blocked);
	chain_rule(c, "-i %s -j KDG-FP", net->bridge);
	chain_rule(c, "-o %s -j KDG-FP", net->bridge);
	if (e->away) { /* in by one link of the host and out by another */
		chain_rule(c, "-m mark --mark 0x%x/0x%x -j ACCEPT", RULES_MARK, RULES_MARK);
		chain_rule(c,
			   "-m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate "
			   "DNAT -j ACCEPT");
	}
	pods_root(net, svcs, out);
	c = chain_begin(out, RULES_FILTER, "KDG-O");
	if (e->no_address.n)
		chain_rule(c, blocked);
	if (net->dns) /* what the host says to itself: questions, and the answers to them */
		chain_rule(c, "-d %s/32 -o lo -j RETURN", addr_print(net->dns, ip));
	refuse_range(net, c, svcs);
	c = chain_begin(out, RULES_FILTER, "KDG-I");
	forged_rules(net, c);
	if (net->dns) {
		/* Pods', whatever the host's own rules say of what comes to it; a
		 * neighbour of the host's has no business here. */
		snprintf(link, sizeof link, "-i %s", net->bridge);
		dns_rules(net, c, link, "ACCEPT");
		dns_rules(net, c, "! -i lo", "DROP");
	}
	if (e->no_address.n)
		chain_rule(c, blocked);
	if (e->no_port.n)
		chain_rule(c, "! -d %s -m conntrack --ctstate NEW -j KDG-R",
			   rules_words[net->v6].loopback);
	for (size_t i = 0; i < n; i++)
		if (all[i]->health_port)
			chain_rule(
			    c,
			    "-p tcp -m tcp --dport %u -m comment --comment \"%s health check "
			    "node port\" -j ACCEPT",
			    all[i]->health_port, all[i]->id);
}

size_t
rules_dispatch(const struct rules_net *net, const struct np_service *const *all, size_t n,
	       struct chains *out)
{
	struct entrances e = { 0 };
	size_t trees;

	for (size_t i = 0; i < n; i++)
		if (!rules_leave_out(net, all[i]))
			entrances_add(&e, all[i]);
	if (!net->nft)
		address_tree(net, &vips, "KDG-V", &e.vip,
			     net->svcs.bits / RULES_STEP * RULES_STEP, out);
	if (e.outer.n && !net->nft)
		address_tree(net, &outers, "KDG-Y", &e.outer, 0, out);
	if (e.no_address.n)
		address_tree(net, &blocks, "KDG-B", &e.no_address, 0, out);
	if (!net->nft)
		tree_ports(net, &ports, "KDG-N", e.port.at, e.port.n, out);
	tree_ports(net, &rejects, "KDG-R", e.no_port.at, e.no_port.n, out);
	trees = out->n;
	roots(net, &e, all, n, out);
	entrances_done(&e);
	return trees;
}

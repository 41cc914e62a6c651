/* rules.c -- see rules.h for the layout.
 *
 * Text is in the order iptables-save prints it, so that what is in force can be
 * compared with what was meant by eye.
 */
#include "rules.h"
#include "link.h"
#include "reconcile/base/map.h"
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rules_tables[RULES_TABLES] = { "nat", "filter" };

const struct rules_jump rules_jumps[RULES_JUMPS] = {
	{ RULES_NAT, "PREROUTING", "KDG-D" },  { RULES_NAT, "OUTPUT", "KDG-D" },
	{ RULES_NAT, "POSTROUTING", "KDG-P" }, { RULES_FILTER, "FORWARD", "KDG-F" },
	{ RULES_FILTER, "INPUT", "KDG-I" },    { RULES_FILTER, "OUTPUT", "KDG-O" },
};

#define REJECT "REJECT --reject-with icmp-port-unreachable"

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
	snprintf(x->name, sizeof x->name, "%s", name);
	return x;
}

void
chain_vrule(struct chain *c, const char *fmt, va_list ap)
{
	buf_addf(&c->body, "-A %s ", c->name);
	buf_vaddf(&c->body, fmt, ap);
	buf_addc(&c->body, '\n');
	c->rules++;
}

static void rule(struct chain *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
rule(struct chain *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	chain_vrule(c, fmt, ap);
	va_end(ap);
}

static const char *
proto_name(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : "tcp";
}

/* -- what does not depend on services --------------------------------------- */

/* A pod's MAC is 0a:4b + its address and its port lets no other through, so a
 * source address that differs from the MAC's last four bytes is forged.  One
 * rule for all pods: A = MAC bytes 2..5, X = source address, drop if A != X.
 *	ld [SKF_LL_OFF+8]; tax; ld [SKF_NET_OFF+12]; jeq x,0,1; ret 0; ret 65535
 */
#define FORGED "6,32 0 0 4292870152,7 0 0 0,32 0 0 4293918732,29 0 1 0,6 0 0 0,6 0 0 65535"

static void
base_filter(const struct rules_net *net, const char *svcs, struct chains *out)
{
	struct chain *c = chain_begin(out, RULES_FILTER, "KDG-F");

	rule(c, "-i %s -j KDG-FP", net->bridge);
	rule(c, "-o %s -j KDG-FP", net->bridge);
	c = chain_begin(out, RULES_FILTER, "KDG-FP");
	if (!net->no_bpf)
		rule(c, "-i %s -m bpf --bytecode \"" FORGED "\" -j DROP", net->bridge);
	rule(c, "-d %s -j " REJECT, svcs);
	/* A packet conntrack cannot place would leave untranslated and reset the connection. */
	rule(c, "-m conntrack --ctstate INVALID -j DROP");
	rule(c, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
	rule(c, "-j KDG-W"); /* policy.c */
	rule(c, "-i %s -j ACCEPT", net->bridge);
	rule(c, "-m conntrack --ctstate DNAT -j ACCEPT");
	c = chain_begin(out, RULES_FILTER, "KDG-O");
	rule(c, "-d %s -j " REJECT, svcs);
	for (unsigned i = 0; i < LINK_KNOBS; i++)
		if (net->turned >> i & 1)
			rule(chain_begin(out, RULES_FILTER, link_knobs[i].note), "-j RETURN");
}

void
rules_base(const struct rules_net *net, struct chains *out)
{
	char ip[LINK_TEXT], pods[LINK_TEXT + 4], svcs[LINK_TEXT + 4];
	struct chain *c;

	snprintf(pods, sizeof pods, "%s/%u", ipv4_print(net->pod_net, ip), net->pod_bits);
	snprintf(svcs, sizeof svcs, "%s/%u", ipv4_print(net->svc_net, ip), net->svc_bits);
	c = chain_begin(out, RULES_NAT, "KDG-D");
	rule(c, "-d %s -j KDG-V", svcs);
	/* Never 127.0.0.0/8: it would need route_localnet, which opens the host's
	 * own loopback services to its neighbours. */
	rule(c, "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j KDG-N");
	c = chain_begin(out, RULES_NAT, "KDG-MASQ");
	rule(c, "-j MARK --set-xmark 0x%x/0x%x", RULES_MARK, RULES_MARK);
	c = chain_begin(out, RULES_NAT, "KDG-P");
	rule(c, "-m mark --mark 0x%x/0x%x -j KDG-PM", RULES_MARK, RULES_MARK);
	rule(c, "-s %s ! -o %s -j MASQUERADE --random-fully", pods, net->bridge);
	c = chain_begin(out, RULES_NAT, "KDG-PM");
	rule(c, "-j MARK --set-xmark 0x0/0x%x", RULES_MARK);
	rule(c, "-j MASQUERADE --random-fully");
	base_filter(net, svcs, out);
	for (unsigned t = 0; t < RULES_TABLES; t++)
		rule(chain_begin(out, t, RULES_CANARY), "-j RETURN");
}

/* -- trees ------------------------------------------------------------------ */

struct item {
	uint32_t key; /* address or port */
	const struct np_service *s;
};

/* What a tree is over. */
struct tree {
	enum rules_table table;
	unsigned bits; /* of a key */
	void (*leaf)(const struct rules_net *, struct chain *, const struct np_service *);
	void (*branch)(struct chain *, uint8_t proto, uint32_t key, unsigned bits,
		       const char *child);
};

static void
service_chain(const struct np_service *s, char kind, char to[static RULES_NAME])
{
	snprintf(to, RULES_NAME, "KDG-%c-%016jx", kind, (uintmax_t)hash_str(0, s->id));
}

static void
vip_leaf(const struct rules_net *net, struct chain *c, const struct np_service *s)
{
	char to[RULES_NAME], ip[LINK_TEXT];
	const char *proto = proto_name(s->proto);

	(void)net;
	service_chain(s, 'S', to);
	rule(c, "-d %s/32 -p %s -m %s --dport %u -m comment --comment \"%s\" -j %s",
	     ipv4_print(s->vip, ip), proto, proto, s->port, s->id, to);
}

static void
vip_branch(struct chain *c, uint8_t proto, uint32_t key, unsigned bits, const char *child)
{
	char ip[LINK_TEXT];

	(void)proto;
	rule(c, "-d %s/%u -g %s", ipv4_print(key, ip), bits, child);
}

static void
port_leaf(const struct rules_net *net, struct chain *c, const struct np_service *s)
{
	const char *proto = proto_name(s->proto);
	char to[RULES_NAME];

	(void)net;
	service_chain(s, s->local_only ? 'S' : 'X', to);
	rule(c, "-p %s -m %s --dport %u -m comment --comment \"%s\" -j %s", proto, proto,
	     s->node_port, s->id, to);
}

static void
port_branch(struct chain *c, uint8_t proto, uint32_t key, unsigned bits, const char *child)
{
	const char *p = proto_name(proto);

	rule(c, "-p %s -m %s --dport %u:%u -g %s", p, p, key, key | 0xffffu >> bits, child);
}

static void
reject_leaf(const struct rules_net *net, struct chain *c, const struct np_service *s)
{
	const char *proto = proto_name(s->proto);

	(void)net;
	rule(c,
	     "-p %s -m %s --dport %u -m comment --comment \"%s has no endpoints\" -j " REJECT,
	     proto, proto, s->node_port, s->id);
}

static const struct tree vips = { RULES_NAT, 32, vip_leaf, vip_branch };
static const struct tree ports = { RULES_NAT, 16, port_leaf, port_branch };
static const struct tree rejects = { RULES_FILTER, 16, reject_leaf, port_branch };

/* The bits of a key that decide after its first `bits`. */
static unsigned
digit(const struct tree *t, uint32_t key, unsigned bits)
{
	return key >> (t->bits - bits - RULES_STEP) & ((1u << RULES_STEP) - 1);
}

static void
branch_name(const struct tree *t, const char *root, uint32_t key, unsigned bits,
	    char to[static RULES_NAME])
{
	key = key >> (t->bits - bits) << (t->bits - bits);
	snprintf(to, RULES_NAME, "%s-%0*x-%u", root, (int)t->bits / 4, key, bits);
}

/* Items are sorted and share their first `bits` bits.  Four branches a node, not
 * sixteen: the last of four is met after four rules, and two such levels tell
 * apart as many as one of sixteen. */
static void
tree_grow(const struct rules_net *net, const struct tree *t, const char *root, const char *name,
	  const struct item *at, size_t n, unsigned bits, size_t flat, struct chains *out)
{
	struct chain *c = chain_begin(out, t->table, name);
	size_t start[(1 << RULES_STEP) + 1], groups = 0;
	char child[RULES_NAME];

	/* A level on which all agree decides nothing. */
	while (n > flat && bits < t->bits &&
	       digit(t, at[0].key, bits) == digit(t, at[n - 1].key, bits))
		bits += RULES_STEP;
	if (n <= flat || bits >= t->bits) {
		for (size_t i = 0; i < n; i++)
			t->leaf(net, c, at[i].s);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!i || digit(t, at[i].key, bits) != digit(t, at[i - 1].key, bits))
			start[groups++] = i;
	start[groups] = n;
	bits += RULES_STEP;
	for (size_t g = 0; g < groups; g++) {
		uint32_t key = at[start[g]].key >> (t->bits - bits) << (t->bits - bits);

		if (start[g + 1] - start[g] == 1) {
			t->leaf(net, c, at[start[g]].s);
			continue;
		}
		branch_name(t, root, key, bits, child);
		t->branch(c, at[start[g]].s->proto, key, bits, child);
	}
	for (size_t g = 0; g < groups; g++) {
		if (start[g + 1] - start[g] == 1)
			continue;
		branch_name(t, root, at[start[g]].key, bits, child);
		tree_grow(net, t, root, child, at + start[g], start[g + 1] - start[g], bits,
			  RULES_LEAF, out);
	}
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

/* Ports of TCP and UDP are two trees below one root. */
static void
tree_ports(const struct rules_net *net, const struct tree *t, const char *root, struct item *at,
	   size_t n, struct chains *out)
{
	char sub[2][RULES_NAME];
	struct chain *c;
	size_t tcp = 0;

	qsort(at, n, sizeof *at, item_cmp);
	if (n <= RULES_FLAT) {
		tree_grow(net, t, root, root, at, n, 0, RULES_FLAT, out);
		return;
	}
	while (tcp < n && at[tcp].s->proto == IPPROTO_TCP)
		tcp++;
	snprintf(sub[0], RULES_NAME, "%sT", root);
	snprintf(sub[1], RULES_NAME, "%sU", root);
	c = chain_begin(out, t->table, root);
	if (tcp)
		rule(c, "-p tcp -g %s", sub[0]);
	if (tcp < n)
		rule(c, "-p udp -g %s", sub[1]);
	if (tcp)
		tree_grow(net, t, sub[0], sub[0], at, tcp, 0, RULES_LEAF, out);
	if (tcp < n)
		tree_grow(net, t, sub[1], sub[1], at + tcp, n - tcp, 0, RULES_LEAF, out);
}

void
rules_dispatch(const struct rules_net *net, const struct np_service *const *all, size_t n,
	       struct chains *out)
{
	struct item *vip = xcalloc(n, sizeof *vip), *port = xcalloc(n, sizeof *port);
	struct item *none = xcalloc(n, sizeof *none);
	size_t vip_n = 0, port_n = 0, none_n = 0;
	struct chain *c;

	for (size_t i = 0; i < n; i++) {
		const struct np_service *s = all[i];

		if (s->n && s->vip)
			vip[vip_n++] = (struct item){ s->vip, s };
		if (s->n && s->node_port)
			port[port_n++] = (struct item){ s->node_port, s };
		if (!s->n && s->node_port)
			none[none_n++] = (struct item){ s->node_port, s };
	}
	qsort(vip, vip_n, sizeof *vip, item_cmp_key);
	tree_grow(net, &vips, "KDG-V", "KDG-V", vip, vip_n,
		  net->svc_bits / RULES_STEP * RULES_STEP, RULES_FLAT, out);
	tree_ports(net, &ports, "KDG-N", port, port_n, out);
	tree_ports(net, &rejects, "KDG-R", none, none_n, out);
	c = chain_begin(out, RULES_FILTER, "KDG-I");
	if (!net->no_bpf)
		rule(c, "-i %s -m bpf --bytecode \"" FORGED "\" -j DROP", net->bridge);
	if (none_n)
		rule(c, "! -d 127.0.0.0/8 -m conntrack --ctstate NEW -j KDG-R");
	free(vip);
	free(port);
	free(none);
}

/* -- one service ------------------------------------------------------------ */

struct member {
	struct np_endpoint at;
	char chain[RULES_NAME];
	uint64_t hash;
	unsigned group;
};

static int
member_cmp(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->at.ip != y->at.ip)
		return x->at.ip < y->at.ip ? -1 : 1;
	return (x->at.port > y->at.port) - (x->at.port < y->at.port);
}

static void
recent(struct buf *b, const struct np_service *s, const struct member *m, bool set)
{
	buf_addf(b, "-m recent ");
	if (set)
		buf_adds(b, "--set");
	else
		buf_addf(b, "--rcheck --seconds %u --reap", s->affinity_s);
	buf_addf(b, " --name %s --mask 255.255.255.255 --rsource ", m->chain);
}

/* Each of what is left gets weight/left of what comes by. */
static void
share(struct chain *c, size_t weight, size_t left, const char *to)
{
	if (weight == left)
		rule(c, "-j %s", to);
	else
		rule(c, "-m statistic --mode random --probability %.11f -j %s",
		     (double)weight / (double)left, to);
}

static void
endpoint_chain(const struct rules_net *net, const struct np_service *s, const struct member *m,
	       struct chains *out)
{
	struct chain *c = chain_begin(out, RULES_NAT, m->chain);
	const char *proto = proto_name(s->proto);
	cleanup_buf struct buf seen = { 0 };
	char ip[LINK_TEXT];

	ipv4_print(m->at.ip, ip);
	if (s->affinity_s && !net->no_recent)
		recent(&seen, s, m, true);
	/* To itself: its answer must come back through the translation. */
	rule(c, "-s %s/32 -j KDG-MASQ", ip);
	rule(c, "-p %s %s-j DNAT --to-destination %s:%u", proto, buf_text(&seen), ip,
	     m->at.port);
}

/* Groups number a power of two that leaves about 16 in each; it changes only
 * when the service doubles or halves. */
static unsigned
group_count(size_t n)
{
	unsigned g = 1;

	while (n > (size_t)RULES_GROUP * g)
		g *= 2;
	return g;
}

static size_t
members_of(const struct np_service *s, struct member *m)
{
	unsigned groups = group_count(s->n);
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct member *x = &m[i];

		x->at = s->endpoints[i];
		x->hash = hash_bytes(hash_str(0, s->id), &x->at.ip, sizeof x->at.ip);
		x->hash = hash_bytes(x->hash, &x->at.port, sizeof x->at.port);
		x->group = (x->hash >> 40) & (groups - 1);
		snprintf(x->chain, sizeof x->chain, "KDG-E-%016jx", (uintmax_t)x->hash);
	}
	qsort(m, s->n, sizeof *m, member_cmp);
	for (size_t i = 0; i < s->n; i++) /* named twice is served once */
		if (!n || member_cmp(&m[n - 1], &m[i]))
			m[n++] = m[i];
	return n;
}

static void
spread(const struct np_service *s, const struct member *m, size_t n, struct chains *out)
{
	char name[RULES_NAME], to[RULES_NAME + 8];
	size_t at = 0;

	service_chain(s, 'T', name);
	if (group_count(s->n) == 1) {
		for (size_t i = 0; i < n; i++)
			share(&out->at[out->n - 1], 1, n - i, m[i].chain);
		return;
	}
	for (size_t end; at < n; at = end) {
		for (end = at; end < n && m[end].group == m[at].group;)
			end++;
		snprintf(to, sizeof to, "%s-%x", name, m[at].group);
		share(&out->at[out->n - 1], end - at, n - at, to);
	}
	for (size_t i = 0; i < n; i++) {
		if (!i || m[i].group != m[i - 1].group) {
			snprintf(to, sizeof to, "%s-%x", name, m[i].group);
			chain_begin(out, RULES_NAT, to);
			for (at = i; at < n && m[at].group == m[i].group;)
				at++;
		}
		share(&out->at[out->n - 1], 1, at - i, m[i].chain);
	}
}

void
rules_service(const struct rules_net *net, const struct np_service *s, struct chains *out)
{
	struct member *m = xcalloc(s->n, sizeof *m);
	size_t n = members_of(s, m);
	char name[RULES_NAME], serve[RULES_NAME];
	struct chain *c;

	service_chain(s, 'S', serve);
	if (n && s->node_port && !s->local_only) {
		service_chain(s, 'X', name);
		c = chain_begin(out, RULES_NAT, name);
		rule(c, "-j KDG-MASQ");
		rule(c, "-j %s", serve);
	}
	if (n) {
		c = chain_begin(out, RULES_NAT, serve);
		for (size_t i = 0; s->affinity_s && !net->no_recent && i < n; i++) {
			cleanup_buf struct buf seen = { 0 };

			recent(&seen, s, &m[i], false);
			rule(c, "%s-j %s", buf_text(&seen), m[i].chain);
		}
		spread(s, m, n, out);
	}
	for (size_t i = 0; i < n; i++)
		endpoint_chain(net, s, &m[i], out);
	free(m);
}

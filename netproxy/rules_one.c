/* rules_one.c -- the chains of one service: who comes in, whom they meet.  See rules.h. */
#include "rules_one.h"
#include "nft.h"
#include "reconcile/base/map.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A second spread, over endpoints of this host only? */
static bool
has_local_spread(const struct np_service *s)
{
	return rules_local(s) && !rules_all_local(s) &&
	       (s->local_inside || (s->local_only && rules_has_outside(s)));
}

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
	buf_addf(b, " --name %s --mask %s --rsource ", m->chain, rules_words[s->v6].mask);
}

/* Each of what is left gets weight/left of what comes by: ends with a blank, or is empty. */
static const char *
chance(size_t weight, size_t left, char to[static 80])
{
	*to = 0;
	if (weight < left)
		snprintf(to, 80, "-m statistic --mode random --probability %.11f ",
			 (double)weight / (double)left);
	return to;
}

/* One chain an endpoint: where it is remembered who was sent there, or where one rule for all
 * of them cannot tell who is sent to itself. */
static bool
has_own_chains(const struct rules_net *net, const struct np_service *s)
{
	return net->no_bpf || (s->affinity_s && !net->no_recent);
}

/* "-p tcp MATCHES-j DNAT --to-destination 10.42.0.2:8080" */
static void
translate(struct chain *c, const struct np_service *s, const struct member *m,
	  const char *matches)
{
	char ip[ADDR_TEXT];

	addr_print(m->at.ip, ip);
	chain_rule(c, "-p %s %s-j DNAT --to-destination %s%s%s:%u", rules_proto(s->proto),
		   matches, s->v6 ? "[" : "", ip, s->v6 ? "]" : "", m->at.port);
}

static void
endpoint_chain(const struct rules_net *net, const struct np_service *s, const struct member *m,
	       struct chains *out)
{
	struct chain *c = chain_begin(out, RULES_NAT, m->chain);
	cleanup_buf struct buf seen = { 0 };
	char ip[ADDR_TEXT];

	if (s->affinity_s && !net->no_recent)
		recent(&seen, s, m, true);
	if (net->no_bpf) /* to itself: its answer must come back through the translation */
		chain_rule(c, "-s %s/%u -j KDG-MASQ", addr_print(m->at.ip, ip),
			   rules_words[s->v6].bits);
	translate(c, s, m, buf_text(&seen));
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
members_of(const struct np_service *s, bool local, struct member *m)
{
	unsigned groups = group_count(local ? rules_local(s) : s->n);
	size_t all = 0, n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct member *x = &m[all];

		if (local && s->endpoints[i].away)
			continue;
		x->at = s->endpoints[i];
		x->hash = addr_hash(hash_hard(0, s->id, strlen(s->id)), x->at.ip);
		x->hash = hash_hard(x->hash, &x->at.port, sizeof x->at.port);
		x->group = (x->hash >> 40) & (groups - 1);
		snprintf(x->chain, sizeof x->chain, "KDG-E-%016jx", (uintmax_t)x->hash);
		all++;
	}
	if (all)
		qsort(m, all, sizeof *m, member_cmp);
	for (size_t i = 0; i < all; i++) /* named twice is served once */
		if (!n || member_cmp(&m[n - 1], &m[i]))
			m[n++] = m[i];
	return n;
}

/* The chain that was begun last sends each of `m` an even share. */
static void
spread_list(const struct rules_net *net, const struct np_service *s, const struct member *m,
	    size_t n, struct chains *out)
{
	struct chain *c = &out->at[out->n - 1];
	char part[80];

	for (size_t i = 0; i < n; i++) {
		chance(1, n - i, part);
		if (has_own_chains(net, s))
			chain_rule(c, "%s-j %s", part, m[i].chain);
		else
			translate(c, s, &m[i], part);
	}
}

/* The same; of very many, through groups. */
static void
spread(const struct rules_net *net, const struct np_service *s, const struct member *m,
       size_t n, char group, struct chains *out)
{
	char name[RULES_NAME], to[RULES_NAME + 8], part[80];

	rules_service_chain(s, group, name);
	if (group_count(n) == 1) {
		spread_list(net, s, m, n, out);
		return;
	}
	for (size_t at = 0, end; at < n; at = end) {
		for (end = at; end < n && m[end].group == m[at].group;)
			end++;
		chain_rule(&out->at[out->n - 1], "%s-j %s-%x", chance(end - at, n - at, part),
			   name, m[at].group);
	}
	for (size_t at = 0, end; at < n; at = end) {
		for (end = at; end < n && m[end].group == m[at].group;)
			end++;
		snprintf(to, sizeof to, "%s-%x", name, m[at].group);
		chain_begin(out, RULES_NAT, to);
		spread_list(net, s, m + at, end - at, out);
	}
}

/* Affinity first, then chance. */
static void
serve_chain(const struct rules_net *net, const struct np_service *s, char kind, char group,
	    const struct member *m, size_t n, struct chains *out)
{
	char name[RULES_NAME];
	struct chain *c;

	rules_service_chain(s, kind, name);
	c = chain_begin(out, RULES_NAT, name);
	for (size_t i = 0; s->affinity_s && !net->no_recent && i < n; i++) {
		cleanup_buf struct buf seen = { 0 };

		recent(&seen, s, &m[i], false);
		chain_rule(c, "%s-j %s", buf_text(&seen), m[i].chain);
	}
	spread(net, s, m, n, group, out);
}

/* Who comes from outside.  Kept to this host's endpoints they keep their address; pods and
 * the host itself are no outsiders, and meet any endpoint. */
static void
entry_chain(const struct rules_net *net, const struct np_service *s, struct chains *out)
{
	char name[RULES_NAME], serve[RULES_NAME], ip[ADDR_TEXT];
	struct chain *c;

	rules_service_chain(s, 'X', name);
	rules_service_chain(s, 'S', serve);
	c = chain_begin(out, RULES_NAT, name);
	if (!s->local_only) {
		chain_rule(c, "-j KDG-MASQ");
		chain_rule(c, "-j %s", serve);
		return;
	}
	chain_rule(c, "-s %s/%u -j %s", addr_print(net->pods.net, ip), net->pods.bits, serve);
	chain_rule(c, "-m addrtype --src-type LOCAL -j KDG-MASQ");
	chain_rule(c, "-m addrtype --src-type LOCAL -j %s", serve);
	if (!rules_local(s))
		return;
	rules_service_chain(s, 'L', serve);
	chain_rule(c, "-j %s", serve);
}

/* The balancer's address, for those sources only. */
static void
gate_chain(const struct np_service *s, struct chains *out)
{
	char name[RULES_NAME], to[RULES_NAME], from[ADDR_RANGE_TEXT];
	struct chain *c;

	rules_service_chain(s, 'G', name);
	rules_service_chain(s, rules_has_entry(s) ? 'X' : 'S', to);
	c = chain_begin(out, RULES_NAT, name);
	for (size_t i = 0; i < s->nsources; i++)
		chain_rule(c, "-s %s -j %s", addr_range_print(s->sources[i], from), to);
}

void
rules_service(const struct rules_net *net, const struct np_service *s, struct chains *out)
{
	struct member *m;
	size_t n = 0;

	if (net->nft) {
		nft_service(net, s, out);
		return;
	}
	m = xcalloc(s->n, sizeof *m);
	if (s->n && !rules_leave_out(net, s)) {
		if (rules_has_entry(s))
			entry_chain(net, s, out);
		if (s->balancer && s->nsources)
			gate_chain(s, out);
		if (has_local_spread(s)) {
			n = members_of(s, true, m);
			serve_chain(net, s, 'L', 'U', m, n, out);
		}
		n = members_of(s, false, m);
		serve_chain(net, s, 'S', 'T', m, n, out);
	}
	for (size_t i = 0; i < n && has_own_chains(net, s); i++)
		endpoint_chain(net, s, &m[i], out);
	free(m);
}

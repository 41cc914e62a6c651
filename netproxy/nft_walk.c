/* nft_walk.c -- see nft_walk.h.  Understands what nft.c writes; a rule that it does not know
 * is taken not to match. */
#include "nft_walk.h"
#include "nft.h"
#include "reconcile/base/cleanup.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 8 };

struct walk {
	const struct nft_table *t;
	const struct nft_packet *p;
	uint32_t mark;
	struct np_way *way;
};

static double walk(struct walk *, const char *chain, double share, int deep);

static bool
take(const char **at, const char *words)
{
	size_t n = strlen(words);

	if (strncmp(*at, words, n))
		return false;
	*at += n;
	return true;
}

static void
step(struct walk *w, const char *what, const char *name, const char *rest)
{
	struct np_way *way = w->way;
	struct buf text = { 0 };

	buf_addf(&text, "%s %s " NFT_TABLE " %s %s", what, w->t->v6 ? "ip6" : "ip", name, rest);
	way->steps = xrealloc(way->steps, (way->nsteps + 1) * sizeof *way->steps);
	way->steps[way->nsteps++] = (struct np_step){ "nat", buf_steal(&text) };
}

/* "10.42.0.2 . 8080" or "10.42.0.2:8080"; "fd42::a2a:2 . 8080" or "[fd42::a2a:2]:8080" */
static double
end(struct walk *w, const char *text, double share)
{
	struct np_way *way = w->way;
	bool brackets = *text == '[';
	char ip[ADDR_TEXT];
	struct np_end x = { .share = share, .mark = w->mark };
	size_t n;

	text += brackets;
	n = strcspn(text, brackets ? "]" : w->t->v6 ? " " : " :");
	snprintf(ip, sizeof ip, "%.*s", (int)n, text);
	text += n;
	text += strspn(text, "] .:");
	if (!addr_read(ip, &x.at.ip))
		return share;
	x.at.port = (uint16_t)strtoul(text, NULL, 10);
	way->ends = xrealloc(way->ends, (way->nends + 1) * sizeof x);
	way->ends[way->nends++] = x;
	return 0;
}

static bool
in_net(addr ip, const char **at)
{
	char range[ADDR_RANGE_TEXT];
	struct addr_range net;
	size_t n = strcspn(*at, " ");

	snprintf(range, sizeof range, "%.*s", (int)n, *at);
	*at += n;
	return addr_range_read(range, &net) && addr_within(ip, net);
}

/* "ip saddr ", "ip6 saddr ": in the words of the table's family. */
static bool
take_ip(const struct walk *w, const char **at, const char *words)
{
	const char *from = *at;

	if (take(at, w->t->v6 ? "ip6 " : "ip ") && take(at, words))
		return true;
	*at = from;
	return false;
}

static bool
is_loopback(addr ip)
{
	return ip == 1 || (!addr_v6(ip) && ip >> 24 == 127);
}

/* Came a packet back to its own sender? */
static bool
to_itself(struct walk *w)
{
	cleanup_buf struct buf key = { 0 }, to = { 0 };
	char a[ADDR_TEXT], b[ADDR_TEXT];

	buf_addf(&key, "%s . %s", addr_print(w->p->from, a), addr_print(w->p->to, b));
	return w->p->translated && w->t->element(w->t->ctx, "self", key.at, &to);
}

/* The key that a rule's fields are for this packet: "10.43.0.1 . tcp . 80", and the number of
 * slots to choose from, if it chooses. */
static void
fields(struct walk *w, const char **at, struct buf *key, unsigned *ret_of, unsigned *ret_from)
{
	char ip[ADDR_TEXT];
	int n;

	do {
		const char *dot = key->len ? " . " : "";

		if (take_ip(w, at, "daddr"))
			buf_addf(key, "%s%s", dot, addr_print(w->p->to, ip));
		else if (take(at, "meta l4proto"))
			buf_addf(key, "%s%s", dot, rules_proto(w->p->proto));
		else if (take(at, "th dport"))
			buf_addf(key, "%s%u", dot, w->p->port);
		n = 0;
		if (sscanf(*at, "numgen random mod %u%n", ret_of, &n) == 1 && n)
			*at += n;
		n = 0;
		if (sscanf(*at, " offset %u%n", ret_from, &n) == 1 && n)
			*at += n;
	} while (take(at, " . "));
}

static double
go(struct walk *w, const char *to, double share, int deep)
{
	char chain[64];

	snprintf(chain, sizeof chain, "%.*s", (int)strcspn(to, " ,}"), to);
	return walk(w, chain, share, deep + 1);
}

/* "... vmap @addr": only the element that is met is a step, with the rule that met it. */
static double
by_verdict(struct walk *w, const char *chain, const char *rule, const char *at, double share,
	   int deep, bool *ret_gone)
{
	cleanup_buf struct buf key = { 0 }, to = { 0 }, line = { 0 }, whole = { 0 };
	const char *map = strstr(rule, "vmap @") + strlen("vmap @");
	unsigned of, from;

	fields(w, &at, &key, &of, &from);
	if (!w->t->element(w->t->ctx, map, buf_text(&key), &to) ||
	    strncmp(buf_text(&to), "goto ", strlen("goto ")) != 0)
		return share;
	*ret_gone = true;
	step(w, "add rule", chain, rule);
	buf_addf(&line, "%s : %s", buf_text(&key), buf_text(&to));
	buf_adds(&whole, "{ ");
	nft_element_print(line.at, false, &whole);
	buf_adds(&whole, " }");
	step(w, "add element", map, whole.at);
	return go(w, to.at + strlen("goto "), share, deep);
}

/* "dnat to FIELDS . numgen random mod 3 map @ep" */
static double
by_slot(struct walk *w, const char *at, double share)
{
	cleanup_buf struct buf key = { 0 };
	const char *map = strstr(at, " map @");
	unsigned of = 0, from = 0;
	double left = share;

	if (!map)
		return end(w, at, share);
	fields(w, &at, &key, &of, &from);
	if (of > NFT_SLOTS)
		return share;
	for (unsigned i = 0; i < of; i++) {
		cleanup_buf struct buf one = { 0 }, to = { 0 };

		buf_addf(&one, "%s . %u", buf_text(&key), from + i);
		if (w->t->element(w->t->ctx, map + strlen(" map @"), one.at, &to))
			left -= share / of - end(w, to.at, share / of);
	}
	return left < 1e-9 ? 0 : left;
}

/* "2 vmap { 0 : goto A, 1 : goto B }" */
static double
by_chance(struct walk *w, const char *at, double share, int deep)
{
	unsigned of = strtoul(at, NULL, 10);
	double left = share;

	while (of && (at = strstr(at, "goto "))) {
		at += strlen("goto ");
		left -= share / of - go(w, at, share / of, deep);
	}
	return left < 1e-9 ? 0 : left;
}

/* Does what a rule begins with match?  Moves past it. */
static bool
matches(struct walk *w, const char **at)
{
	char set[64];
	unsigned mask;
	int n = 0;

	if (take_ip(w, at, "daddr != ")) {
		*at += strcspn(*at, " ");
		return !is_loopback(w->p->to) && take(at, " ") && matches(w, at);
	}
	if (take(at, w->t->v6 ? "ct status dnat ip6 saddr . ip6 daddr @self "
			      : "ct status dnat ip saddr . ip daddr @self "))
		return to_itself(w);
	if (sscanf(*at, "meta mark and %x == %*x %n", &mask, &n) == 1 && n) {
		*at += n;
		return (w->p->mark & mask) == mask;
	}
	if (take(at, "oifname != ")) {
		*at += strcspn(*at, " ");
		return !w->p->outside && take(at, " ");
	}
	if (take(at, "fib daddr type local "))
		return w->p->to_local;
	if (take(at, "fib saddr type local "))
		return w->p->from_local && matches(w, at);
	if (take(at, "meta l4proto tcp ") || take(at, "meta l4proto udp ") ||
	    take(at, "meta l4proto sctp "))
		return true; /* a service's own chain is met by its protocol alone */
	if (!take_ip(w, at, "saddr "))
		return true;
	if (sscanf(*at, "@%63s %n", set, &n) == 1 && n) {
		*at += n;
		return w->t->has(w->t->ctx, set, w->p->from);
	}
	return in_net(w->p->from, at) && take(at, " ") && matches(w, at);
}

/* What of `share` is left after this rule. */
static double
rule_walk(struct walk *w, const char *chain, const char *rule, double share, int deep,
	  bool *ret_gone)
{
	const char *at = rule;
	size_t before = w->way->nsteps;

	*ret_gone = false;
	if (!matches(w, &at))
		return share;
	if (strstr(at, "vmap @"))
		return by_verdict(w, chain, rule, at, share, deep, ret_gone);
	step(w, "add rule", chain, rule);
	if (take(&at, "meta mark set meta mark and ")) {
		at = strchr(at, ' ');
		at = at ? at + 1 : "";
	}
	if (take(&at, "masquerade ")) {
		w->way->masqueraded = *ret_gone = true;
		return share;
	}
	if (take(&at, "meta mark set meta mark or ")) {
		w->mark |= (uint32_t)strtoul(at, NULL, 0);
		at = strchr(at, ' ');
		at = at ? at + 1 : "";
	}
	if (take(&at, "goto ")) {
		*ret_gone = true;
		return go(w, at, share, deep);
	}
	if (take(&at, "dnat to "))
		return by_slot(w, at, share);
	if (take(&at, "numgen random mod "))
		return by_chance(w, at, share, deep);
	if (!take(&at, "update ")) {
		while (w->way->nsteps > before)
			free(w->way->steps[--w->way->nsteps].rule);
	}
	return share;
}

static double
walk(struct walk *w, const char *chain, double share, int deep)
{
	cleanup_buf struct buf rules = { 0 };
	char *save = NULL;
	bool gone = false;

	if (deep > DEEPEST)
		return share;
	w->t->rules(w->t->ctx, chain, &rules);
	for (char *r = rules.len ? strtok_r(rules.at, "\n", &save) : NULL;
	     r && share > 0 && !gone; r = strtok_r(NULL, "\n", &save))
		share = rule_walk(w, chain, r, share, deep, &gone);
	return share;
}

double
nft_walk(const struct nft_table *t, const struct nft_packet *p, const char *chain,
	 struct np_way *way)
{
	struct walk w = { t, p, p->mark, way };

	return walk(&w, chain, 1, 0);
}

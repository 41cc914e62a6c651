/* nft.c -- what one service has; see nft.h. */
#include "nft_words.h"
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NFT_END  (ADDR_TEXT + 3 + 24)
#define NFT_LINE 56 /* bytes of most lines */

const struct nft_words nft_words[2] = {
	{ " ip " NFT_TABLE " ", "ip", "ipv4_addr", "127.0.0.0/8" },
	{ " ip6 " NFT_TABLE " ", "ip6", "ipv6_addr", "::1/128" },
};

const struct nft_slots nft_slots[NFT_KINDS] = {
	{ 'n', false, IPPROTO_TCP, "ep" },       { 'p', true, IPPROTO_TCP, "pep" },
	{ 'u', false, IPPROTO_UDP, "ep-udp" },   { 'v', true, IPPROTO_UDP, "pep-udp" },
	{ 'm', false, IPPROTO_SCTP, "ep-sctp" }, { 'q', true, IPPROTO_SCTP, "pep-sctp" },
};

static const struct nft_slots *
slots_of(uint8_t proto, bool port)
{
	size_t i = 0;

	while (nft_slots[i].proto != proto || nft_slots[i].port != port)
		i++;
	return &nft_slots[i];
}

struct one {
	const struct np_service *s;
	const struct nft_words *w;
	struct chain *c;
	const struct np_endpoint *at; /* settled */
	size_t *mine;                 /* those of this host, `local` of them */
	char (*text)[NFT_END];        /* "10.42.0.2 . 8080", "fd42::a2a:2 . 8080" */
	size_t n, local;
	uint64_t hash;
};

static void line(struct one *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void
line(struct one *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&o->c->body, fmt, ap);
	va_end(ap);
	buf_addc(&o->c->body, '\n');
	o->c->rules++;
}

static int
endpoint_cmp(const void *a, const void *b)
{
	const struct np_endpoint *x = a, *y = b;

	if (x->ip != y->ip)
		return x->ip < y->ip ? -1 : 1;
	return (x->port > y->port) - (x->port < y->port);
}

/* In order, each once; returns how many there are then. */
static size_t
sort_once(struct np_endpoint *at, size_t n)
{
	size_t all = 0;

	if (n)
		qsort(at, n, sizeof *at, endpoint_cmp);
	for (size_t i = 0; i < n; i++)
		if (!all || endpoint_cmp(&at[all - 1], &at[i]))
			at[all++] = at[i];
	return all;
}

/* Those that stay keep their place, and so their slot; who comes takes a place that is free. */
void
nft_settle(struct np_endpoint *at, size_t *n, const struct np_service *was)
{
	struct np_endpoint *sorted;
	bool *placed, *taken;
	size_t all = sort_once(at, *n), next = 0;

	*n = all;
	if (!was || !was->n)
		return;
	sorted = xcalloc(all, sizeof *sorted);
	if (all)
		memcpy(sorted, at, all * sizeof *at);
	placed = xcalloc(all, sizeof *placed);
	taken = xcalloc(all, sizeof *taken);
	for (size_t i = 0; i < was->n && i < all; i++) {
		const struct np_endpoint *x =
		    bsearch(&was->endpoints[i], sorted, all, sizeof *sorted, endpoint_cmp);

		if (!x)
			continue;
		at[i] = *x;
		taken[i] = placed[x - sorted] = true;
	}
	for (size_t i = 0; i < all; i++) {
		if (placed[i])
			continue;
		while (taken[next])
			next++;
		at[next++] = sorted[i];
	}
	free(sorted);
	free(placed);
	free(taken);
}

/* Most of a load is this and what follows: by hand. */
static char *
number_print(size_t x, char to[static 24])
{
	char text[24], *at = text + sizeof text;
	size_t n;

	*--at = 0;
	do
		*--at = '0' + (char)(x % 10);
	while (x /= 10);
	n = (size_t)(text + sizeof text - at);
	memcpy(to, at, n);
	return to + n - 1;
}

/* 16 digits, as %016jx has them. */
static char *
hash_print(uint64_t h, char *to)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[h >> shift & 15];
	*to = 0;
	return to;
}

static char *
own_chain(const struct one *o, char kind, char *to)
{
	*to++ = kind;
	*to++ = '-';
	return hash_print(o->hash, to);
}

static void
endpoints_take(struct one *o)
{
	const struct np_service *s = o->s;
	size_t n;

	o->at = s->endpoints;
	o->n = s->n;
	o->mine = xcalloc(s->n, sizeof *o->mine);
	o->text = xcalloc(s->n, sizeof *o->text);
	for (size_t i = 0; i < o->n; i++) {
		if (!o->at[i].away)
			o->mine[o->local++] = i;
		n = strlen(addr_print(o->at[i].ip, o->text[i]));
		memcpy(o->text[i] + n, " . ", 3);
		number_print(o->at[i].port, o->text[i] + n + 3);
	}
}

static uintmax_t
endpoint_hash(const struct one *o, size_t i)
{
	uint64_t h = addr_hash(o->hash, o->at[i].ip);

	return hash_hard(h, &o->at[i].port, sizeof o->at[i].port);
}

/* Affinity: who was sent to an endpoint goes there again while the set knows them. */
static void
spread_chain(struct one *o, char kind, bool mine)
{
	size_t n = mine ? o->local : o->n;
	char name[NFT_NAME];

	own_chain(o, kind, name);
	line(o, "c %s", name);
	for (size_t i = 0; i < n; i++)
		line(o, "r %s %s saddr @a-%016jx goto e-%016jx", name, o->w->ip,
		     endpoint_hash(o, mine ? o->mine[i] : i),
		     endpoint_hash(o, mine ? o->mine[i] : i));
	buf_addf(&o->c->body, "r %s numgen random mod %zu vmap {", name, n);
	for (size_t i = 0; i < n; i++)
		buf_addf(&o->c->body, "%s %zu : goto e-%016jx", i ? "," : "", i,
			 endpoint_hash(o, mine ? o->mine[i] : i));
	line(o, " }");
	/* a set of a rule that goes is empty for whoever came by that rule, see shape_rules()
	 */
	line(o, "r %s goto e-%016jx", name, endpoint_hash(o, mine ? o->mine[0] : 0));
}

static void
affinity_chains(const struct rules_net *net, struct one *o)
{
	const struct np_service *s = o->s;
	const char *of = o->w->ip;
	char ip[ADDR_TEXT];
	uintmax_t h = o->hash;

	for (size_t i = 0; i < o->n; i++) {
		uintmax_t e = endpoint_hash(o, i);

		line(o, "s a-%016jx", e);
		line(o, "c e-%016jx", e);
		line(o, "r e-%016jx update @a-%016jx { %s saddr timeout %us }", e, e, of,
		     s->affinity_s);
		line(o, "r e-%016jx meta l4proto %s dnat to %s%s%s:%u", e,
		     rules_proto(s->proto), s->v6 ? "[" : "", addr_print(o->at[i].ip, ip),
		     s->v6 ? "]" : "", o->at[i].port);
	}
	spread_chain(o, 's', false);
	if (o->local && o->local < o->n)
		spread_chain(o, 't', true);
	if (s->local_only && o->local == o->n)
		return; /* whoever comes may go to any of them as they are */
	line(o, "c x-%016jx", h);
	if (!s->local_only) {
		line(o, "r x-%016jx meta mark set meta mark or 0x%x goto s-%016jx", h,
		     RULES_MARK, h);
		return;
	}
	line(o, "r x-%016jx %s saddr %s/%u goto s-%016jx", h, of, addr_print(net->pods.net, ip),
	     net->pods.bits, h);
	line(o, "r x-%016jx fib saddr type local meta mark set meta mark or 0x%x goto s-%016jx",
	     h, RULES_MARK, h);
	if (o->local)
		line(o, "r x-%016jx goto t-%016jx", h, h);
}

enum entry { INSIDE, OUTSIDE };

/* "n-3", "xn-3" */
static char *
shape(const char *prefix, char kind, size_t n, char *to)
{
	to = stpcpy(to, prefix);
	*to++ = kind;
	*to++ = '-';
	return number_print(n, to);
}

static void
verdict(const struct one *o, enum entry from, char kind, char to[static NFT_NAME])
{
	const struct np_service *s = o->s;
	bool all = o->local == o->n;

	if (s->affinity_s && (from == INSIDE || (s->local_only && all)))
		own_chain(o, s->local_inside && !all ? 't' : 's', to);
	else if (s->affinity_s)
		own_chain(o, 'x', to);
	else if (from == INSIDE && s->local_inside && !all)
		shape("k", kind, o->local, to);
	else if (from == OUTSIDE && !s->local_only)
		shape("x", kind, o->n, to);
	else if (from == OUTSIDE && !all)
		number_print(o->local, stpcpy(shape("l", kind, o->n, to), "-"));
	else
		shape("", kind, o->n, to);
}

/* "e MAP KEY" */
static char *
element_begin(const char *map, const char *key, char *to)
{
	to = stpcpy(to, "e ");
	to = stpcpy(to, map);
	*to++ = ' ';
	return stpcpy(to, key);
}

static void
element_end(struct one *o, const char *line, char *end)
{
	*end++ = '\n';
	buf_add(&o->c->body, line, (size_t)(end - line));
	o->c->rules++;
}

/* "e MAP KEY . NUMBER : ENDPOINT" */
static void
slot(struct one *o, const char *map, const char *key, size_t n, size_t i)
{
	char line[NFT_KEY + NFT_END + 64], *at = element_begin(map, key, line);

	at = stpcpy(at, " . ");
	at = number_print(n, at);
	at = stpcpy(at, " : ");
	element_end(o, line, stpcpy(at, o->text[i]));
}

/* "e MAP KEY : goto CHAIN "ID"" */
static void
leads(struct one *o, const char *map, const char *key, const char *to)
{
	char line[NFT_KEY + NFT_NAME + NFT_COMMENT + 32], *at = element_begin(map, key, line);

	at = stpcpy(at, " : goto ");
	at = stpcpy(at, to);
	at = stpcpy(at, " \"");
	at = mempcpy(at, o->s->id, strnlen(o->s->id, NFT_COMMENT));
	element_end(o, line, stpcpy(at, "\""));
}

/* "e self ADDRESS . ADDRESS" */
static void
itself(struct one *o, size_t i)
{
	char line[2 * ADDR_TEXT + 16], *at = element_begin(nft_maps[NFT_SELF], "", line);
	size_t n = strcspn(o->text[i], " ");

	at = mempcpy(at, o->text[i], n);
	at = stpcpy(at, " . ");
	element_end(o, line, mempcpy(at, o->text[i], n));
}

static void
slots(struct one *o, const char *map, const char *key)
{
	if (o->s->affinity_s)
		return;
	for (size_t i = 0; i < o->n; i++)
		slot(o, map, key, i, i);
	for (size_t i = 0; o->local < o->n && i < o->local; i++)
		slot(o, map, key, NFT_SLOTS + i, o->mine[i]);
}

/* `ip` 0: at every address of the host. */
static void
entrance(struct one *o, enum entry from, addr ip, uint16_t port, bool gate)
{
	const struct np_service *s = o->s;
	char key[NFT_KEY], to[NFT_NAME], text[ADDR_RANGE_TEXT], *at = key;

	if (ip)
		at = stpcpy(stpcpy(at, addr_print(ip, text)), " . ");
	at = stpcpy(stpcpy(at, rules_proto(s->proto)), " . ");
	number_print(port, at);
	verdict(o, from, slots_of(s->proto, !ip)->kind, to);
	if (gate) {
		line(o, "c g-%016jx", (uintmax_t)o->hash);
		for (size_t i = 0; i < s->nsources; i++)
			line(o, "r g-%016jx %s saddr %s goto %s", (uintmax_t)o->hash, o->w->ip,
			     addr_range_print(s->sources[i], text), to);
		own_chain(o, 'g', to);
	}
	leads(o, ip ? "addr" : "port", key, to);
	slots(o, slots_of(s->proto, !ip)->map, key);
}

void
nft_service(const struct rules_net *net, const struct np_service *s, struct chains *out)
{
	struct one o = { .s = s,
			 .w = &nft_words[s->v6],
			 .hash = hash_hard(0, s->id, strlen(s->id)) };
	char name[RULES_NAME];

	if (!s->n || rules_leave_out(net, s))
		return;
	hash_print(o.hash, stpcpy(name, "KDG-M-"));
	o.c = chain_begin(out, RULES_NAT, name);
	endpoints_take(&o);
	buf_reserve(&o.c->body, (2 * o.n + 1) * NFT_LINE);
	if (s->affinity_s)
		affinity_chains(net, &o);
	if (s->vip && (!s->local_inside || o.local))
		entrance(&o, INSIDE, s->vip, s->port, false);
	for (size_t i = 0; i < s->nouter; i++)
		entrance(&o, OUTSIDE, s->outer[i], s->port, false);
	if (s->balancer)
		entrance(&o, OUTSIDE, s->balancer, s->port, s->nsources);
	if (s->node_port)
		entrance(&o, OUTSIDE, s->node_ip, s->node_port, false);
	for (size_t i = 0; i < o.n; i++)
		itself(&o, i);
	free(o.text);
	free(o.mine);
}

/* nft.c -- see nft.h. */
#include "nft.h"
#include "reconcile/base/cleanup.h"
#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_AT 65536 /* the first slot of this host's endpoints */
#define NAME     48
#define NFT_END  (ADDR_TEXT + 3 + 24)
#define NFT_KEY  128 /* "fd43::80 . tcp . 80" */

/* What differs between the families. */
static const struct words {
	const char *in; /* what follows the kind of an object */
	const char *ip, *type, *loopback;
} all_words[2] = {
	{ " ip " NFT_TABLE " ", "ip", "ipv4_addr", "127.0.0.0/8" },
	{ " ip6 " NFT_TABLE " ", "ip6", "ipv6_addr", "::1/128" },
};

/* Slots are in a map for each protocol, for nft takes a map of ports to be of one. */
static const struct slots {
	char kind; /* its shapes' letter */
	bool port; /* by port alone, for node ports */
	uint8_t proto;
	const char *map;
} all_slots[] = {
	{ 'n', false, IPPROTO_TCP, "ep" },       { 'p', true, IPPROTO_TCP, "pep" },
	{ 'u', false, IPPROTO_UDP, "ep-udp" },   { 'v', true, IPPROTO_UDP, "pep-udp" },
	{ 'm', false, IPPROTO_SCTP, "ep-sctp" }, { 'q', true, IPPROTO_SCTP, "pep-sctp" },
};

static const struct slots *
slots_of(uint8_t proto, bool port)
{
	size_t i = 0;

	while (all_slots[i].proto != proto || all_slots[i].port != port)
		i++;
	return &all_slots[i];
}

static const struct slots *
slots_kind(char kind)
{
	size_t i = 0;

	while (all_slots[i].kind != kind)
		i++;
	return &all_slots[i];
}

/* -- one service ------------------------------------------------------------ */

struct one {
	const struct np_service *s;
	const struct words *w;
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

/* Those that stay keep their place, and so their slot; who comes takes a place that is free. */
void
nft_settle(struct np_endpoint *at, size_t *n, const struct np_service *was)
{
	struct np_endpoint *sorted = xcalloc(*n, sizeof *sorted);
	bool *placed, *taken;
	size_t all = 0, next = 0;

	if (*n)
		qsort(at, *n, sizeof *at, endpoint_cmp);
	for (size_t i = 0; i < *n; i++)
		if (!all || endpoint_cmp(&sorted[all - 1], &at[i]))
			sorted[all++] = at[i];
	placed = xcalloc(all, sizeof *placed);
	taken = xcalloc(all, sizeof *taken);
	for (size_t i = 0; was && i < was->n && i < all; i++) {
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
	*n = all;
	free(sorted);
	free(placed);
	free(taken);
}

/* Most of a load is this and what follows: by hand. */
static void
number_print(size_t x, char to[static 24])
{
	char text[24], *at = text + sizeof text;

	*--at = 0;
	do
		*--at = '0' + (char)(x % 10);
	while (x /= 10);
	memcpy(to, at, (size_t)(text + sizeof text - at));
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
	char name[NAME];

	snprintf(name, sizeof name, "%c-%016jx", kind, (uintmax_t)o->hash);
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

static void
verdict(const struct one *o, enum entry from, char kind, char to[static NAME])
{
	const struct np_service *s = o->s;
	bool all = o->local == o->n;
	uintmax_t h = o->hash;

	if (s->affinity_s && (from == INSIDE || (s->local_only && all)))
		snprintf(to, NAME, "%c-%016jx", s->local_inside && !all ? 't' : 's', h);
	else if (s->affinity_s)
		snprintf(to, NAME, "x-%016jx", h);
	else if (from == INSIDE && s->local_inside && !all)
		snprintf(to, NAME, "k%c-%zu", kind, o->local);
	else if (from == OUTSIDE && !s->local_only)
		snprintf(to, NAME, "x%c-%zu", kind, o->n);
	else if (from == OUTSIDE && !all)
		snprintf(to, NAME, "l%c-%zu-%zu", kind, o->n, o->local);
	else
		snprintf(to, NAME, "%c-%zu", kind, o->n);
}

static void
slot(struct one *o, const char *map, const char *key, size_t n, size_t i)
{
	struct buf *b = &o->c->body;
	char number[24];

	number_print(n, number);
	buf_adds(b, "e ");
	buf_adds(b, map);
	buf_addc(b, ' ');
	buf_adds(b, key);
	buf_adds(b, " . ");
	buf_adds(b, number);
	buf_adds(b, " : ");
	buf_adds(b, o->text[i]);
	buf_addc(b, '\n');
	o->c->rules++;
}

static void
slots(struct one *o, const char *map, const char *key)
{
	if (o->s->affinity_s)
		return;
	for (size_t i = 0; i < o->n; i++)
		slot(o, map, key, i, i);
	for (size_t i = 0; o->local < o->n && i < o->local; i++)
		slot(o, map, key, LOCAL_AT + i, o->mine[i]);
}

/* `ip` 0: at every address of the host. */
static void
entrance(struct one *o, enum entry from, addr ip, uint16_t port, bool gate)
{
	const struct np_service *s = o->s;
	char key[NFT_KEY], to[NAME], text[ADDR_RANGE_TEXT];
	int n = 0;

	if (ip)
		n = snprintf(key, sizeof key, "%s . ", addr_print(ip, text));
	snprintf(key + n, sizeof key - n, "%s . %u", rules_proto(s->proto), port);
	verdict(o, from, slots_of(s->proto, !ip)->kind, to);
	if (gate) {
		line(o, "c g-%016jx", (uintmax_t)o->hash);
		for (size_t i = 0; i < s->nsources; i++)
			line(o, "r g-%016jx %s saddr %s goto %s", (uintmax_t)o->hash, o->w->ip,
			     addr_range_print(s->sources[i], text), to);
		snprintf(to, sizeof to, "g-%016jx", (uintmax_t)o->hash);
	}
	line(o, "e %s %s : goto %s", ip ? "addr" : "port", key, to);
	slots(o, slots_of(s->proto, !ip)->map, key);
}

void
nft_service(const struct rules_net *net, const struct np_service *s, struct chains *out)
{
	struct one o = { .s = s,
			 .w = &all_words[s->v6],
			 .hash = hash_hard(0, s->id, strlen(s->id)) };
	char name[RULES_NAME], ip[ADDR_TEXT];

	if (!s->n || rules_leave_out(net, s))
		return;
	snprintf(name, sizeof name, "KDG-M-%016jx", (uintmax_t)o.hash);
	o.c = chain_begin(out, RULES_NAT, name);
	endpoints_take(&o);
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
	for (size_t i = 0; i < o.n; i++) {
		addr_print(o.at[i].ip, ip);
		buf_adds(&o.c->body, "e self ");
		buf_adds(&o.c->body, ip);
		buf_adds(&o.c->body, " . ");
		buf_adds(&o.c->body, ip);
		buf_addc(&o.c->body, '\n');
		o.c->rules++;
	}
	free(o.text);
	free(o.mine);
}

/* -- shapes ----------------------------------------------------------------- */

static char pending, made;

static void
shape_want(struct nft_text *t, const char *name)
{
	char plain[NAME];
	const char *n = strchr(name, '-');

	if (map_get(t->shapes, name))
		return;
	map_put(t->shapes, name, &pending);
	if (*name != 'x' && *name != 'l')
		return;
	snprintf(plain, sizeof plain, "%c%.*s", name[1], (int)strcspn(n + 1, "-") + 1, n);
	shape_want(t, plain);
	if (*name == 'l' && strcmp(strrchr(name, '-'), "-0")) {
		snprintf(plain, sizeof plain, "k%c%s", name[1], strrchr(name, '-'));
		shape_want(t, plain);
	}
}

/* Chains that services share are wanted by who goes there; a service's own are stegx. */
static void
shapes_find(struct nft_text *t, const char *at)
{
	char name[NAME];

	while ((at = strstr(at, "goto "))) {
		at += strlen("goto ");
		snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " ,}\n"), at);
		if (!strchr("stegx", *name) || name[1] != '-')
			shape_want(t, name);
	}
}

/* To one of the first `of` slots. */
static void
dnat(const struct rules_net *net, const char *name, size_t of, struct buf *b)
{
	bool mine = *name == 'k';
	const struct words *w = &all_words[net->v6];
	const struct slots *in = slots_kind(name[mine]);

	buf_addf(b, "add rule%s%s dnat to %s%smeta l4proto . th dport . numgen random mod %zu",
		 w->in, name, in->port ? "" : w->ip, in->port ? "" : " daddr . ", of);
	if (mine)
		buf_addf(b, " offset %d", LOCAL_AT);
	buf_addf(b, " map @%s\n", in->map);
}

static void
shape_rules(const struct rules_net *net, const char *name, struct buf *b)
{
	const struct words *w = &all_words[net->v6];
	bool shared = name[1] == '-';
	char plain = shared ? *name : name[1], ip[ADDR_TEXT];
	size_t n = 0, local = 0;

	sscanf(strchr(name, '-') + 1, "%zu-%zu", &n, &local);
	if (*name == 'x')
		buf_addf(b, "add rule%s%s meta mark set meta mark or 0x%x goto %c-%zu\n", w->in,
			 name, RULES_MARK, plain, n);
	if (*name == 'l') {
		buf_addf(b, "add rule%s%s %s saddr %s/%u goto %c-%zu\n", w->in, name, w->ip,
			 addr_print(net->pods.net, ip), net->pods.bits, plain, n);
		buf_addf(b,
			 "add rule%s%s fib saddr type local meta mark set meta mark or "
			 "0x%x goto %c-%zu\n",
			 w->in, name, RULES_MARK, plain, n);
		if (local)
			buf_addf(b, "add rule%s%s goto k%c-%zu\n", w->in, name, plain, local);
	}
	if (!shared && *name != 'k')
		return;
	dnat(net, name, n, b);
	/* A packet that came here by the generation before may ask for a slot that has just
	 * gone, for a lookup goes by the generation of its own moment (nft_set_elem_active());
	 * the first slot goes last. */
	dnat(net, name, 1, b);
}

static void
shapes_make(struct nft_text *t, const struct rules_net *net, struct buf *to)
{
	for (struct map_slot *s = map_first(t->shapes); s; s = map_next(t->shapes, s))
		if (s->value == &pending)
			buf_addf(to, "add chain%s%s\n", all_words[net->v6].in, s->key);
	for (struct map_slot *s = map_first(t->shapes); s; s = map_next(t->shapes, s))
		if (s->value == &pending) {
			shape_rules(net, s->key, to);
			s->value = &made;
		}
}

/* -- the text --------------------------------------------------------------- */

static const char *const maps[NFT_MAPS] = { "addr",   "port",    "self",    "ep",      "pep",
					    "ep-udp", "pep-udp", "ep-sctp", "pep-sctp" };
enum { ADDR, PORT, SELF };

static size_t
map_of(const char *x)
{
	size_t i = 0, n = strcspn(x + 2, " ");

	while (strncmp(maps[i], x + 2, n) || maps[i][n])
		i++;
	return i;
}

static const char *
line_end(const char *at)
{
	return at + strcspn(at, "\n");
}

static void
lines_map(const char *text, struct map *to)
{
	char one[512];

	for (const char *at = text; at && *at; at = line_end(at) + 1) {
		if (*at != 'e')
			continue;
		snprintf(one, sizeof one, "%.*s", (int)(line_end(at) - at), at);
		map_put(to, one, to);
	}
}

static void
element(struct buf *to, const char *verb, const char *in, size_t map, const char *at,
	const char *end)
{
	buf_adds(to, verb);
	buf_adds(to, " element");
	buf_adds(to, in);
	buf_adds(to, maps[map]);
	buf_adds(to, " { ");
	buf_add(to, at, (size_t)(end - at));
	buf_adds(to, " }\n");
}

/* "e MAP KEY : VALUE", or "e self KEY".  An entrance's slots follow it. */
static void
element_put(struct nft_text *t, const char *x)
{
	size_t map = map_of(x);
	const char *at = x + 2 + strlen(maps[map]) + 1, *end = line_end(x);

	if (map == SELF || (t->whole && map <= PORT)) {
		const char *colon = map == SELF ? end : strstr(x, " : ");
		char key[NFT_KEY + 16];
		size_t n = (size_t)(colon - x);
		bool before;

		assert(n < sizeof key);
		memcpy(key, x, n);
		key[n] = 0;
		before = map_put(&t->keys, key, t);
		if (map == SELF && before)
			return;
		if (map != SELF)
			t->taken = before;
	}
	if (map != SELF && t->taken && t->whole) {
		t->twice++;
		return;
	}
	t->put_n += map != SELF;
	t->loaded[map]++;
	/* create: what another service has already is no element to share */
	element(&t->put[map], t->whole || map == SELF ? "add" : "create", all_words[t->v6].in,
		map, at, end);
}

/* @self is not shrunk: an address that is both ends of a packet is as true without services. */
static void
element_gone(struct nft_text *t, const char *x)
{
	size_t map = map_of(x);
	const char *at = x + 2 + strlen(maps[map]) + 1;

	if (map == SELF)
		return;
	t->gone_n++;
	element(&t->gone[map], "delete", all_words[t->v6].in, map, at, strstr(at, " : "));
}

/* What is no element: a service's own sets, chains and rules. */
static void
own_lines(const char *text, struct buf *to)
{
	for (const char *at = text; at && *at; at += strcspn(at, "\n") + 1)
		if (*at != 'e')
			buf_add(to, at, strcspn(at, "\n") + 1);
}

static bool
has_line(const char *text, const char *x, size_t n)
{
	for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
		if (strcspn(at, "\n") == n && !strncmp(at, x, n))
			return true;
	return false;
}

static void
own_put(struct nft_text *t, const char *had, const char *has)
{
	const struct words *w = &all_words[t->v6];

	for (const char *at = has; *at; at += strcspn(at, "\n") + 1) {
		int n = (int)strcspn(at, "\n") - 2;

		if (*at == 's')
			buf_addf(&t->made,
				 "add set%s%.*s { type %s; flags dynamic,timeout; }\n", w->in,
				 n, at + 2, w->type);
		if (*at == 'c')
			buf_addf(&t->made, "add chain%s%.*s\n", w->in, n, at + 2);
		if (*at == 'c' && has_line(had, at, n + 2))
			buf_addf(&t->made, "flush chain%s%.*s\n", w->in, n, at + 2);
		if (*at == 'r')
			buf_addf(&t->rules, "add rule%s%.*s\n", w->in, n, at + 2);
	}
}

/* All chains are empty before the first goes, and all are gone before a set does. */
static void
own_gone(struct nft_text *t, const char *had, const char *has)
{
	static const struct {
		char line;
		const char *verb;
	} steps[] = { { 'c', "flush chain" }, { 'c', "delete chain" }, { 's', "delete set" } };

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		for (const char *at = had; *at; at += strcspn(at, "\n") + 1) {
			int n = (int)strcspn(at, "\n") - 2;

			if (*at == steps[i].line && !has_line(has, at, n + 2))
				buf_addf(&t->last, "%s%s%.*s\n", steps[i].verb,
					 all_words[t->v6].in, n, at + 2);
		}
}

static void
elements_change(struct nft_text *t, const char *had, const char *has)
{
	struct map old = { 0 }, new = { 0 };
	char one[512];

	lines_map(had, &old);
	lines_map(has, &new);
	for (const char *at = had; *at; at = line_end(at) + 1) {
		snprintf(one, sizeof one, "%.*s", (int)(line_end(at) - at), at);
		if (*at == 'e' && !map_get(&new, one))
			element_gone(t, at);
	}
	for (const char *at = has; *at; at = line_end(at) + 1) {
		snprintf(one, sizeof one, "%.*s", (int)(line_end(at) - at), at);
		if (*at == 'e' && !map_get(&old, one))
			element_put(t, at);
	}
	map_done(&old);
	map_done(&new);
}

void
nft_text_change(struct nft_text *t, const char *had, const char *has)
{
	cleanup_buf struct buf was = { 0 }, now = { 0 };

	t->taken = false;
	had = had ? had : "";
	has = has ? has : "";
	if (*had)
		elements_change(t, had, has);
	for (const char *at = has; !*had && *at; at = line_end(at) + 1)
		if (*at == 'e')
			element_put(t, at);
	shapes_find(t, has);
	own_lines(had, &was);
	own_lines(has, &now);
	if (!strcmp(buf_text(&was), buf_text(&now)))
		return;
	own_put(t, buf_text(&was), buf_text(&now));
	own_gone(t, buf_text(&was), buf_text(&now));
}

void
nft_count(const char *lines, unsigned *elements, unsigned *rules)
{
	for (const char *at = lines; *at; at = line_end(at) + 1) {
		*elements += *at == 'e' && strncmp(at, "e self ", 7);
		*rules += *at == 'r';
	}
}

/* Twice what there is, so that a full one is rare: then everything is written anew. */
static unsigned
room(const struct nft_text *t, size_t map)
{
	unsigned n = NFT_LEAST;

	while (n < 2 * t->loaded[map])
		n *= 2;
	return n;
}

/* Before iptables' own nat hooks (-100, and 100 after routing), so that a host which has both
 * while it goes over is served by either. */
static void
base_chains(const struct rules_net *net, struct buf *to)
{
	static const struct {
		const char *name, *hook;
		int priority;
	} hooks[] = { { "pre", "prerouting", -105 },
		      { "out", "output", -105 },
		      { "post", "postrouting", 95 } };
	const struct words *w = &all_words[net->v6];
	char ip[ADDR_TEXT];

	buf_addf(to, "add chain%sd\n", w->in);
	/* Before Linux 6.17 a look may find neither the entry that a commit takes away nor the
	 * one it puts in that one's place ("restart set lookup on base_seq change"). */
	for (int twice = 0; twice < 2; twice++)
		buf_addf(to, "add rule%sd %s daddr . meta l4proto . th dport vmap @addr\n",
			 w->in, w->ip);
	buf_addf(to,
		 "add rule%sd %s daddr != %s fib daddr type local meta l4proto . th dport "
		 "vmap @port\n",
		 w->in, w->ip, w->loopback);
	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
		buf_addf(to, "add chain%s%s { type nat hook %s priority %d; }\n", w->in,
			 hooks[i].name, hooks[i].hook, hooks[i].priority);
		if (i < 2)
			buf_addf(to, "add rule%s%s goto d\n", w->in, hooks[i].name);
	}
	buf_addf(to,
		 "add rule%spost ct status dnat %s saddr . %s daddr @self masquerade "
		 "fully-random\n",
		 w->in, w->ip, w->ip);
	buf_addf(to,
		 "add rule%spost meta mark and 0x%x == 0x%x meta mark set meta mark and 0x%x "
		 "masquerade fully-random\n",
		 w->in, RULES_MARK, RULES_MARK, ~(unsigned)RULES_MARK);
	buf_addf(to,
		 "add rule%spost %s saddr %s/%u oifname != \"%s\" masquerade fully-random\n",
		 w->in, w->ip, addr_print(net->pods.net, ip), net->pods.bits, net->bridge);
}

/* What does not depend on services. */
static void
base(const struct nft_text *t, const struct rules_net *net, struct buf *to)
{
	/* Declared as tcp: nft 1.0.6 cannot use a map it finds in the kernel as of th. */
	const struct words *w = &all_words[net->v6];

	buf_addf(to,
		 "add table %s " NFT_TABLE "\ndelete table %s " NFT_TABLE
		 "\nadd table %s " NFT_TABLE "\n",
		 w->ip, w->ip, w->ip);
	buf_addf(to,
		 "add map%saddr { typeof %s daddr . meta l4proto . tcp dport : verdict; size "
		 "%u; }\n",
		 w->in, w->ip, room(t, ADDR));
	buf_addf(to, "add map%sport { typeof meta l4proto . tcp dport : verdict; size %u; }\n",
		 w->in, room(t, PORT));
	buf_addf(to, "add set%sself { type %s . %s; size %u; }\n", w->in, w->type, w->type,
		 room(t, SELF));
	for (size_t k = 0; k < sizeof all_slots / sizeof *all_slots; k++) {
		const char *p = rules_proto(all_slots[k].proto);
		bool port = all_slots[k].port;

		buf_addf(to,
			 "add map%s%s { typeof %s%smeta l4proto . %s dport . numgen random mod "
			 "65536 : %s daddr . %s dport; size %u; }\n",
			 w->in, all_slots[k].map, port ? "" : w->ip, port ? "" : " daddr . ", p,
			 w->ip, p, room(t, SELF + 1 + k));
	}
	base_chains(net, to);
}

void
nft_text_keep(struct nft_text *t, const char *set, addr ip, unsigned timeout_s, unsigned left_s)
{
	char text[ADDR_TEXT];

	buf_addf(&t->last, "add element%s%s { %s timeout %us expires %us }\n",
		 all_words[t->v6].in, set, addr_print(ip, text), timeout_s, left_s);
}

unsigned
nft_shared_rules(const struct rules_net *net, const struct map *shapes)
{
	cleanup_buf struct buf text = { 0 };
	unsigned n = 0;

	base_chains(net, &text);
	for (struct map_slot *s = map_first(shapes); s; s = map_next(shapes, s))
		shape_rules(net, s->key, &text);
	for (const char *at = text.at; *at; at = line_end(at) + 1)
		n += !strncmp(at, "add rule ", 9);
	return n;
}

void
nft_chain_rules(const struct rules_net *net, const char *chain, struct buf *to)
{
	cleanup_buf struct buf text = { 0 };
	char begin[128];
	size_t n = (size_t)snprintf(begin, sizeof begin, "add rule%s%s ", all_words[net->v6].in,
				    chain);

	base_chains(net, &text);
	if (strchr(chain, '-'))
		shape_rules(net, chain, &text);
	for (const char *at = text.at; *at; at = line_end(at) + 1)
		if (!strncmp(at, begin, n))
			buf_add(to, at + n, (size_t)(line_end(at) + 1 - at) - n);
}

void
nft_text_end(struct nft_text *t, const struct rules_net *net, struct buf *to)
{
	if (t->whole)
		base(t, net, to);
	for (size_t i = 0; i < NFT_MAPS; i++)
		buf_add(to, buf_text(&t->gone[i]), t->gone[i].len);
	buf_add(to, buf_text(&t->made), t->made.len);
	shapes_make(t, net, to);
	buf_add(to, buf_text(&t->rules), t->rules.len);
	for (size_t i = 0; i < NFT_MAPS; i++)
		buf_add(to, buf_text(&t->put[i]), t->put[i].len);
	buf_add(to, buf_text(&t->last), t->last.len);
}

void
nft_text_done(struct nft_text *t)
{
	for (size_t i = 0; i < NFT_MAPS; i++) {
		buf_done(&t->gone[i]);
		buf_done(&t->put[i]);
	}
	buf_done(&t->made);
	buf_done(&t->rules);
	buf_done(&t->last);
	map_done(&t->keys);
	*t = (struct nft_text){ 0 };
}

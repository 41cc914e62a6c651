/* nft_change.c -- from what services had to what they have; see nft.h. */
#include "nft_words.h"
#include "reconcile/base/cleanup.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- shapes ----------------------------------------------------------------- */

/* NULL: no shape's letter. */
static const struct nft_slots *
slots_kind(char kind)
{
	for (size_t i = 0; i < NFT_KINDS; i++)
		if (nft_slots[i].kind == kind)
			return &nft_slots[i];
	return NULL;
}

static char pending, made;

static void
shape_want(struct nft_change *t, const char *name)
{
	char plain[NFT_NAME];
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
shapes_find(struct nft_change *t, const char *at)
{
	char name[NFT_NAME];

	while ((at = strstr(at, "goto "))) {
		size_t n;

		at += strlen("goto ");
		if (strchr("stegx", *at) && at[1] == '-')
			continue;
		n = strcspn(at, " ,}\n");
		assert(n < sizeof name);
		memcpy(name, at, n);
		name[n] = 0;
		shape_want(t, name);
	}
}

/* To one of the first `of` slots. */
static void
dnat(const struct rules_net *net, const char *name, size_t of, struct buf *b)
{
	bool mine = *name == 'k';
	const struct nft_words *w = &nft_words[net->v6];
	const struct nft_slots *in = slots_kind(name[mine]);

	buf_addf(b, "add rule%s%s dnat to %s%smeta l4proto . th dport . numgen random mod %zu",
		 w->in, name, in->port ? "" : w->ip, in->port ? "" : " daddr . ", of);
	if (mine)
		buf_addf(b, " offset %d", NFT_SLOTS);
	buf_addf(b, " map @%s\n", in->map);
}

static void
shape_rules(const struct rules_net *net, const char *name, struct buf *b)
{
	const struct nft_words *w = &nft_words[net->v6];
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
shapes_make(struct nft_change *t, const struct rules_net *net, struct buf *to)
{
	for (struct map_slot *s = map_first(t->shapes); s; s = map_next(t->shapes, s))
		if (s->value == &pending)
			buf_addf(to, "add chain%s%s\n", nft_words[net->v6].in, s->key);
	for (struct map_slot *s = map_first(t->shapes); s; s = map_next(t->shapes, s))
		if (s->value == &pending) {
			shape_rules(net, s->key, to);
			s->value = &made;
		}
}

/* -- the text --------------------------------------------------------------- */

const char *const nft_maps[NFT_MAPS] = { "addr",   "port",    "self",    "ep",      "pep",
					 "ep-udp", "pep-udp", "ep-sctp", "pep-sctp" };

static size_t
map_of(const char *x)
{
	size_t i = 0, n = strcspn(x + 2, " ");

	while (strncmp(nft_maps[i], x + 2, n) || nft_maps[i][n])
		i++;
	return i;
}

static const char *
line_end(const char *at)
{
	return strchrnul(at, '\n');
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
lines_add(struct nft_lines *to, const char *x, size_t map)
{
	to->at = xgrow(to->at, to->n, sizeof *to->at);
	to->at[to->n++] = x + 2 + strlen(nft_maps[map]) + 1;
}

/* "e MAP KEY : VALUE", or "e self KEY".  An entrance's slots follow it. */
static void
element_put(struct nft_change *t, const char *x)
{
	size_t map = map_of(x);

	if (map == NFT_SELF || (t->whole && map <= NFT_PORT)) {
		const char *colon = map == NFT_SELF ? line_end(x) : strstr(x, " : ");
		char key[NFT_KEY + 16];
		size_t n = (size_t)(colon - x);
		bool before;

		assert(n < sizeof key);
		memcpy(key, x, n);
		key[n] = 0;
		before = map_put(&t->keys, key, t);
		if (map == NFT_SELF && before)
			return;
		if (map != NFT_SELF)
			t->taken = before;
	}
	if (map != NFT_SELF && t->taken && t->whole) {
		t->twice++;
		return;
	}
	t->put_n += map != NFT_SELF;
	lines_add(&t->put[map], x, map);
}

/* @self is not shrunk: an address that is both ends of a packet is as true without services. */
static void
element_gone(struct nft_change *t, const char *x)
{
	size_t map = map_of(x);

	if (map == NFT_SELF)
		return;
	t->gone_n++;
	lines_add(&t->gone[map], x, map);
}

/* What is no element: a service's own sets, chains and rules. */
static void
own_lines(const char *text, struct buf *to)
{
	for (const char *at = text; at && *at; at = line_end(at) + 1)
		if (*at != 'e')
			buf_add(to, at, (size_t)(line_end(at) + 1 - at));
}

static bool
has_line(const char *text, const char *x, size_t n)
{
	for (const char *at = text; *at; at = line_end(at) + 1)
		if ((size_t)(line_end(at) - at) == n && !strncmp(at, x, n))
			return true;
	return false;
}

static void
own_put(struct nft_change *t, const char *had, const char *has)
{
	const struct nft_words *w = &nft_words[t->v6];

	for (const char *at = has; *at; at = line_end(at) + 1) {
		int n = (int)(line_end(at) - at) - 2;

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
own_gone(struct nft_change *t, const char *had, const char *has)
{
	static const struct {
		char line;
		const char *verb;
	} steps[] = { { 'c', "flush chain" }, { 'c', "delete chain" }, { 's', "delete set" } };

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		for (const char *at = had; *at; at = line_end(at) + 1) {
			int n = (int)(line_end(at) - at) - 2;

			if (*at == steps[i].line && !has_line(has, at, n + 2))
				buf_addf(&t->last, "%s%s%.*s\n", steps[i].verb,
					 nft_words[t->v6].in, n, at + 2);
		}
}

static void
elements_change(struct nft_change *t, const char *had, const char *has)
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
nft_change_add(struct nft_change *t, const char *had, const char *has)
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
room(const struct nft_change *t, size_t map)
{
	unsigned n = NFT_LEAST;

	while (n < 2 * t->put[map].n)
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
	const struct nft_words *w = &nft_words[net->v6];
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
base(const struct nft_change *t, const struct rules_net *net, struct buf *to)
{
	/* Declared as tcp: nft 1.0.6 cannot use a map it finds in the kernel as of th. */
	const struct nft_words *w = &nft_words[net->v6];

	buf_addf(to,
		 "add table %s " NFT_TABLE "\ndelete table %s " NFT_TABLE
		 "\nadd table %s " NFT_TABLE "\n",
		 w->ip, w->ip, w->ip);
	buf_addf(to,
		 "add map%saddr { typeof %s daddr . meta l4proto . tcp dport : verdict; size "
		 "%u; }\n",
		 w->in, w->ip, room(t, NFT_ADDR));
	buf_addf(to, "add map%sport { typeof meta l4proto . tcp dport : verdict; size %u; }\n",
		 w->in, room(t, NFT_PORT));
	buf_addf(to, "add set%sself { type %s . %s; size %u; }\n", w->in, w->type, w->type,
		 room(t, NFT_SELF));
	for (size_t k = 0; k < NFT_KINDS; k++) {
		const char *p = rules_proto(nft_slots[k].proto);
		bool port = nft_slots[k].port;

		buf_addf(to,
			 "add map%s%s { typeof %s%smeta l4proto . %s dport . numgen random mod "
			 "65536 : %s daddr . %s dport; size %u; }\n",
			 w->in, nft_slots[k].map, port ? "" : w->ip, port ? "" : " daddr . ", p,
			 w->ip, p, room(t, NFT_SELF + 1 + k));
	}
	base_chains(net, to);
}

void
nft_change_keep(struct nft_change *t, const char *set, addr ip, unsigned timeout_s,
		unsigned left_s)
{
	char text[ADDR_TEXT];

	buf_addf(&t->last, "add element%s%s { %s timeout %us expires %us }\n",
		 nft_words[t->v6].in, set, addr_print(ip, text), timeout_s, left_s);
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
	size_t n = (size_t)snprintf(begin, sizeof begin, "add rule%s%s ", nft_words[net->v6].in,
				    chain);

	base_chains(net, &text);
	if (strchr(chain, '-') && slots_kind(chain[chain[1] != '-']))
		shape_rules(net, chain, &text);
	for (const char *at = text.at; *at; at = line_end(at) + 1)
		if (!strncmp(at, begin, n))
			buf_add(to, at + n, (size_t)(line_end(at) + 1 - at) - n);
}

bool
nft_change_end(struct nft_change *t, const struct rules_net *net)
{
	cleanup_buf struct buf all = { 0 };
	bool changes = t->put_n || t->gone_n || t->last.len;

	if (t->whole)
		base(t, net, &all);
	buf_add(&all, buf_text(&t->made), t->made.len);
	shapes_make(t, net, &all);
	buf_add(&all, buf_text(&t->rules), t->rules.len);
	buf_done(&t->rules);
	t->rules = all;
	all = (struct buf){ 0 };
	return changes || t->rules.len || t->put[NFT_SELF].n;
}

bool
nft_change_creates(const struct nft_change *t, size_t map)
{
	return !t->whole && map != NFT_SELF;
}

void
nft_element_print(const char *x, bool gone, struct buf *to)
{
	const char *end = line_end(x), *value = strstr(x, " : "), *note;

	if (!value || value > end)
		value = end;
	note = memchr(value, '"', (size_t)(end - value));
	buf_add(to, x, (size_t)(value - x));
	if (gone)
		return;
	if (note)
		buf_addf(to, " comment %.*s", (int)(end - note), note);
	buf_add(to, value, (size_t)((note ? note - 1 : end) - value));
}

static void
lines_print(const struct nft_change *t, const struct nft_lines *x, const char *verb, size_t map,
	    struct buf *to)
{
	for (size_t i = 0; i < x->n; i++) {
		buf_addf(to, "%s element%s%s { ", verb, nft_words[t->v6].in, nft_maps[map]);
		nft_element_print(x->at[i], *verb == 'd', to);
		buf_adds(to, " }\n");
	}
}

void
nft_change_print(const struct nft_change *t, struct buf *to)
{
	for (size_t i = 0; i < NFT_MAPS; i++)
		lines_print(t, &t->gone[i], "delete", i, to);
	buf_add(to, buf_text(&t->rules), t->rules.len);
	for (size_t i = 0; i < NFT_MAPS; i++)
		lines_print(t, &t->put[i], nft_change_creates(t, i) ? "create" : "add", i, to);
	buf_add(to, buf_text(&t->last), t->last.len);
}

void
nft_change_done(struct nft_change *t)
{
	for (size_t i = 0; i < NFT_MAPS; i++) {
		free(t->gone[i].at);
		free(t->put[i].at);
	}
	buf_done(&t->made);
	buf_done(&t->rules);
	buf_done(&t->last);
	map_done(&t->keys);
	*t = (struct nft_change){ 0 };
}

/* t_nft_model.c -- random worlds: what a packet meets in the maps is what its service says.
 *
 * A table is kept as the kernel would from the text of each transaction: a history of changes
 * has to leave what a load of the last world makes, and who comes by an entrance has to be
 * shared out among the endpoints that the service's own words give them. */
#include "netproxy/nft.h"
#include "netproxy/nft_walk.h"
#include "netproxy/nft_wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/ipv4.h"
#include "six_kit.h"
#include <netinet/in.h>

static const struct rules_net nets[2] = { { .bridge = "kedge0",
					    .pods.net = 0x0a2a0000,
					    .pods.bits = 16,
					    .svcs.net = 0x0a2b0000,
					    .svcs.bits = 16,
					    .nft = true },
					  { SIX_NET, .nft = true } };
static bool six;

static addr
addr_of(uint32_t ip)
{
	return six ? SIX | ip : ip;
}

/* -- a table ---------------------------------------------------------------- */

struct table {
	struct map elements; /* "ep 10.43.0.1 . tcp . 80 . 0" -> text */
	struct map chains;   /* -> struct buf of rules */
	struct map sets;
};

static void
forget(struct map *m, bool bufs)
{
	for (struct map_slot *s = map_first(m); s; s = map_next(m, s)) {
		if (bufs)
			buf_done(s->value);
		free(s->value);
	}
	map_done(m);
	*m = (struct map){ 0 };
}

static void
table_done(struct table *t)
{
	forget(&t->elements, false);
	forget(&t->chains, true);
	forget(&t->sets, false);
}

/* "MAP { KEY[ comment "COMMENT"][ : VALUE] }" */
static void
apply_element(struct table *t, char verb, char *rest)
{
	char *brace = strstr(rest, " { "), *value, *note, *old;
	cleanup_buf struct buf key = { 0 };

	assert_non_null(brace);
	*brace = 0;
	assert_non_null(map_get(&t->sets, rest));
	brace += 3;
	*strstr(brace, " }") = 0;
	value = strstr(brace, " : ");
	if (value) {
		*value = 0;
		value += 3;
	}
	note = strstr(brace, " comment ");
	if (note)
		*note = 0;
	buf_addf(&key, "%s %s", rest, brace);
	old = map_get(&t->elements, key.at);
	if (verb == 'd') {
		assert_non_null(old);
		map_del(&t->elements, key.at);
		free(old);
		return;
	}
	if (old && verb == 'c')
		fail_msg("%s is there already", key.at);
	if (old && strcmp(old, value ? value : ""))
		fail_msg("%s is %s already", key.at, old);
	if (value && !strncmp(value, "goto ", 5) && !map_get(&t->chains, value + 5))
		fail_msg("%s leads to no chain", key.at);
	free(map_put(&t->elements, key.at, xstrdup(value ? value : "")));
}

static bool
leads_to(const struct table *t, const char *chain)
{
	char word[80];

	snprintf(word, sizeof word, "goto %s", chain);
	for (struct map_slot *s = map_first(&t->elements); s; s = map_next(&t->elements, s))
		if (!strcmp(s->value, word))
			return true;
	for (struct map_slot *s = map_first(&t->chains); s; s = map_next(&t->chains, s)) {
		const char *at = strstr(buf_text(s->value), word);

		if (at && strchr(" ,\n", at[strlen(word)]))
			return true;
	}
	return false;
}

static void
apply_chain(struct table *t, char verb, char *rest)
{
	struct buf *b;

	rest[strcspn(rest, " ")] = 0;
	b = map_get(&t->chains, rest);
	if (verb == 'a' && !b)
		map_put(&t->chains, rest, xcalloc(1, sizeof *b));
	if (verb == 'a')
		return;
	assert_non_null(b);
	buf_done(b);
	if (verb == 'f')
		return;
	assert_false(leads_to(t, rest));
	free(map_del(&t->chains, rest));
}

static void
apply_line(struct table *t, char *line)
{
	char verb = *line, object[16], *rest = strstr(line, NFT_TABLE);

	assert_int_equal(sscanf(line, "%*s %15s", object), 1);
	rest += strlen(NFT_TABLE) + (rest[strlen(NFT_TABLE)] == ' ');
	if (!strcmp(object, "table") && verb == 'd') {
		table_done(t);
	} else if (!strcmp(object, "element")) {
		apply_element(t, verb, rest);
	} else if (!strcmp(object, "chain")) {
		apply_chain(t, verb, rest);
	} else if (!strcmp(object, "map") || !strcmp(object, "set")) {
		rest[strcspn(rest, " ")] = 0;
		if (verb == 'd')
			free(map_del(&t->sets, rest));
		else
			free(map_put(&t->sets, rest, xstrdup("")));
	} else if (!strcmp(object, "rule")) {
		char *name = strsep(&rest, " ");
		struct buf *b = map_get(&t->chains, name);

		assert_non_null(b);
		buf_addf(b, "%s\n", rest);
	}
}

static void
apply(struct table *t, const struct buf *text)
{
	cleanup_free char *copy = xstrdup(buf_text(text));
	char *save = NULL;

	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		apply_line(t, l);
}

static bool
element(void *ctx, const char *map, const char *key, struct buf *to)
{
	struct table *t = ctx;
	char name[300];
	const char *x;

	snprintf(name, sizeof name, "%s %s", map, key);
	x = map_get(&t->elements, name);
	if (x)
		buf_adds(to, x);
	return x;
}

static void
rules(void *ctx, const char *chain, struct buf *to)
{
	struct table *t = ctx;
	const struct buf *b = map_get(&t->chains, chain);

	assert_non_null(b);
	buf_adds(to, buf_text(b));
}

static bool
nobody(void *ctx, const char *set, addr ip)
{
	struct table *t = ctx;

	(void)ip;
	assert_non_null(map_get(&t->sets, set));
	return false;
}

/* -- a world ---------------------------------------------------------------- */

static uint32_t seed;

static uint32_t
below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

enum { SERVICES = 12, ENDS = 24 };
#define HOST 0xc0000201u

static struct one {
	char id[16];
	struct np_service s;
	struct np_endpoint at[ENDS];
	addr outer[2];
	struct addr_range source;
	char *had; /* what it has in the table */
} world[SERVICES];

static void
some_endpoints(struct one *o)
{
	static const unsigned most[] = { 1, 4, ENDS };
	struct np_endpoint old[ENDS];
	struct np_service was = { .endpoints = old, .n = o->s.n };

	memcpy(old, o->at, sizeof old);
	o->s.n = below(6) ? below(most[below(3)] + 1) : 0;
	for (size_t i = 0; i < o->s.n; i++)
		o->at[i] = (struct np_endpoint){ .ip = addr_of(0x0a2a0002 + below(40)),
						 .port = below(4) ? 8080 : 9090,
						 .away = o->s.local_only && below(3) == 0 };
	for (size_t i = 0; i < o->s.n; i++) /* an address is here or it is not */
		o->at[i].away = o->at[i].away && (uint32_t)o->at[i].ip % 3 == 0;
	for (size_t i = 0; i < o->s.n; i++)
		for (size_t k = 0; k < i; k++)
			if (o->at[k].ip == o->at[i].ip)
				o->at[i].away = o->at[k].away;
	nft_settle(o->at, &o->s.n, &was);
}

static void
make(size_t i)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct one *o = &world[i];

	snprintf(o->id, sizeof o->id, "ns/s%zu", i);
	o->outer[0] = addr_of(0xcb007100 + (uint32_t)i);
	o->source = (struct addr_range){ addr_of(0xc6336400), six ? 96 + 24 : 24, six };
	o->s = (struct np_service){
		.id = o->id,
		.v6 = six,
		.vip = below(5) ? addr_of(0x0a2b0000 + (uint32_t)i) : 0,
		.proto = protos[below(4)],
		.port = below(2) ? 80 : 443,
		.node_port = below(2) ? 30000 + 2 * (uint16_t)i : 0,
		.node_ip = below(4) ? 0 : addr_of(HOST),
		.affinity_s = below(4) ? 0 : 10 + below(3) * 1000,
		.local_only = below(2),
		.local_inside = below(4) == 0,
		.outer = o->outer,
		.nouter = below(2),
		.balancer = below(3) ? 0 : addr_of(0xc0000264 + (uint32_t)i),
		.sources = &o->source,
		.nsources = below(2),
		.endpoints = o->at,
	};
	some_endpoints(o);
}

static char *
has(const struct np_service *s)
{
	struct chains c = { 0 };
	char *x = NULL;

	nft_service(&nets[six], s, &c);
	if (c.n)
		x = xstrdup(buf_text(&c.at[0].body));
	chains_done(&c);
	return x;
}

/* -- what its words say ----------------------------------------------------- */

struct want {
	bool local;  /* only endpoints of this host */
	bool closed; /* nobody is served */
	bool masq;
};

static size_t
served(const struct np_service *s, bool local, struct np_endpoint *to)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		bool twice = false;

		for (size_t k = 0; k < n; k++)
			twice |= to[k].ip == s->endpoints[i].ip &&
				 to[k].port == s->endpoints[i].port;
		if (!twice && (!local || !s->endpoints[i].away))
			to[n++] = s->endpoints[i];
	}
	return n;
}

/* Behind the translation: is it answered through the host? */
static void
leave(struct table *t, const struct np_end *end, const struct nft_packet *p, bool want)
{
	struct nft_table view = { t, six, element, rules, nobody };
	struct nft_packet on = { .from = p->from,
				 .to = end->at.ip,
				 .proto = p->proto,
				 .port = end->at.port,
				 .translated = true,
				 .outside = true,
				 .mark = end->mark };
	struct np_way way = { 0 };

	(void)nft_walk(&view, &on, "post", &way);
	assert_int_equal(way.masqueraded, want);
	for (size_t i = 0; i < way.nsteps; i++)
		free(way.steps[i].rule);
	free(way.steps);
}

static void
meet(struct table *t, const struct np_service *s, const struct nft_packet *p, struct want want)
{
	struct nft_table view = { t, six, element, rules, nobody };
	struct np_endpoint ends[ENDS];
	size_t n = want.closed ? 0 : served(s, want.local, ends);
	struct np_way way = { 0 };
	double left = nft_walk(&view, p, "d", &way), all = 0;

	if (way.nends != n)
		fail_msg("%s, port %u from %x: %zu ends for %zu", s->id, p->port,
			 (unsigned)p->from, way.nends, n);
	for (size_t i = 0; i < n; i++) {
		double share = 0;

		for (size_t k = 0; k < way.nends; k++)
			if (way.ends[k].at.ip == ends[i].ip &&
			    way.ends[k].at.port == ends[i].port)
				share += way.ends[k].share;
		assert_true(share > 1.0 / n - 1e-6 && share < 1.0 / n + 1e-6);
		all += share;
	}
	assert_true(n ? left < 1e-6 && all > 1 - 1e-6 : left > 1 - 1e-6);
	for (size_t i = 0; i < n; i++)
		leave(t, &way.ends[i], p, want.masq || way.ends[i].at.ip == p->from);
	for (size_t i = 0; i < way.nsteps; i++)
		free(way.steps[i].rule);
	free(way.steps);
	free(way.ends);
}

/* Somebody from outside, a pod, the host itself. */
static const struct from {
	uint32_t ip;
	bool local, pod;
} froms[] = { { 0xc6336407, false, false }, /* of the sources */
	      { 0xcb007207, false, false },
	      { 0x0a2a0005, false, true },
	      { HOST, true, false } };

static void
knock(struct table *t, const struct np_service *s, addr to, bool host, uint16_t port,
      bool inside, bool gated)
{
	struct np_endpoint ends[ENDS];
	size_t all = served(s, false, ends), here = served(s, true, ends);

	for (size_t i = 0; i < sizeof froms / sizeof *froms; i++) {
		const struct from *f = &froms[i];
		bool near = f->pod || f->local;
		struct nft_packet p = { addr_of(f->ip), to, s->proto, port, f->local, host };
		struct want want = {
			.local = inside ? s->local_inside : s->local_only && !near,
			.closed = gated && s->nsources && i != 0,
			.masq = !inside && (!s->local_only || (f->local && here < all)),
		};

		meet(t, s, &p, want);
		p.port++;
		want.closed = true;
		meet(t, s, &p, want);
		p.port--;
		p.proto = p.proto == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
		meet(t, s, &p, want);
	}
}

static void
check(struct table *t)
{
	for (size_t i = 0; i < SERVICES; i++) {
		const struct np_service *s = &world[i].s;

		if (!s->id)
			continue;
		if (s->vip)
			knock(t, s, s->vip, false, s->port, true, false);
		for (size_t k = 0; k < s->nouter; k++)
			knock(t, s, s->outer[k], false, s->port, false, false);
		if (s->balancer)
			knock(t, s, s->balancer, true, s->port, false, true);
		if (s->node_port)
			knock(t, s, addr_of(HOST), true, s->node_port, false, false);
	}
}

/* -- histories -------------------------------------------------------------- */

static void
end(struct table *t, struct nft_change *text)
{
	cleanup_buf struct buf wire = { 0 }, lines = { 0 };
	bool changes = nft_change_end(text, &nets[six]);

	nft_wire(text, NFT_TABLE, &wire); /* it knows all that is said */
	nft_change_print(text, &lines);
	assert_int_equal(changes, lines.len != 0);
	nft_change_done(text);
	if (changes)
		apply(t, &lines);
}

static void
load(struct table *t, struct map *shapes)
{
	struct nft_change text = { .shapes = shapes, .v6 = six, .whole = true };

	for (size_t i = 0; i < SERVICES; i++) {
		free(world[i].had);
		world[i].had = world[i].s.id ? has(&world[i].s) : NULL;
		if (world[i].had)
			nft_change_add(&text, NULL, world[i].had);
	}
	assert_int_equal(text.twice, 0);
	end(t, &text);
}

static void
mutate(struct one *o)
{
	switch (below(4)) {
	case 0:
		o->s.id = NULL;
		break;
	case 1:
		make((size_t)(o - world));
		break;
	default:
		if (!o->s.id)
			make((size_t)(o - world));
		some_endpoints(o);
	}
}

/* One or two services change, in one transaction. */
static void
turn(struct table *t, struct map *shapes)
{
	struct nft_change text = { .shapes = shapes, .v6 = six };
	char *had[2];
	size_t i = below(SERVICES), n = 1 + below(2);

	for (size_t k = 0; k < n; k++) {
		struct one *o = &world[(i + k) % SERVICES];

		had[k] = o->had;
		mutate(o);
		o->had = o->s.id ? has(&o->s) : NULL;
		nft_change_add(&text, had[k], o->had);
	}
	end(t, &text);
	while (n)
		free(had[--n]);
}

/* But for @self, which is not shrunk, and shared chains, which stay. */
static void
same(struct table *a, struct table *b)
{
	for (struct map_slot *s = map_first(&a->elements); s; s = map_next(&a->elements, s)) {
		const char *x = map_get(&b->elements, s->key);

		if (strncmp(s->key, "self ", 5) && (!x || strcmp(x, s->value)))
			fail_msg("%s : %s, against %s", s->key, (char *)s->value,
				 x ? x : "none");
	}
	for (struct map_slot *s = map_first(&a->chains); s; s = map_next(&a->chains, s)) {
		const struct buf *x = map_get(&b->chains, s->key);

		if (!x && strchr("stegx", *s->key) && s->key[1] == '-')
			fail_msg("the chain %s is left over", s->key);
		if (x)
			assert_string_equal(buf_text(x), buf_text(s->value));
	}
	for (struct map_slot *s = map_first(&a->sets); s; s = map_next(&a->sets, s))
		assert_non_null(map_get(&b->sets, s->key));
}

static void
history(unsigned turns)
{
	struct table t = { 0 }, fresh = { 0 };
	struct map shapes = { 0 }, others = { 0 };

	for (size_t i = 0; i < SERVICES; i++)
		make(i);
	load(&t, &shapes);
	check(&t);
	for (unsigned i = 0; i < turns; i++) {
		turn(&t, &shapes);
		check(&t);
	}
	load(&fresh, &others);
	same(&t, &fresh);
	same(&fresh, &t);
	table_done(&t);
	table_done(&fresh);
	map_done(&shapes);
	map_done(&others);
}

static void
packets_meet_who_their_service_says_after_any_history(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 80; i++) {
		six = i % 2;
		seed = i * 7919 + 1;
		print_message("# world %u\n", i);
		history(15);
	}
	for (size_t i = 0; i < SERVICES; i++) {
		free(world[i].had);
		world[i].had = NULL;
	}
	six = false;
}

/* Whoever comes or goes, the others keep their slots. */
static void
one_endpoint_is_one_slot(void **state)
{
	struct np_endpoint ends[ENDS + 1], old[ENDS + 1];
	struct np_service was = { .endpoints = old, .n = ENDS };
	size_t n = ENDS, gone = 7, moved = 0;

	(void)state;
	for (size_t i = 0; i < ENDS; i++)
		ends[i] = (struct np_endpoint){ 0x0a2a0002 + (uint32_t)i * 3, 8080, false };
	nft_settle(ends, &n, NULL);
	memcpy(old, ends, sizeof old);
	memmove(ends + gone, ends + gone + 1, (n - gone - 1) * sizeof *ends);
	n--;
	nft_settle(ends, &n, &was);
	assert_int_equal(n, ENDS - 1);
	for (size_t i = 0; i < n; i++)
		moved += ends[i].ip != old[i].ip;
	assert_int_equal(moved, 1); /* the last went to where one is free */
	memcpy(old, ends, sizeof old);
	was.n = n;
	ends[n++] = (struct np_endpoint){ 0x0a2a0003, 8080, false };
	ends[n++] = ends[0]; /* and one that is said twice */
	nft_settle(ends, &n, &was);
	assert_int_equal(n, ENDS);
	assert_memory_equal(ends, old, was.n * sizeof *ends);
	assert_int_equal(ends[was.n].ip, 0x0a2a0003);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_endpoint_is_one_slot),
		cmocka_unit_test(packets_meet_who_their_service_says_after_any_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

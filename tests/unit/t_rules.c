/* t_rules.c -- the rules as text, and what a packet meets in that text. */
#include "netproxy/rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netproxy/link.h"
#include "netproxy/rules_one.h"
#include "netproxy/rules_tree.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/map.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static const struct rules_net net = { .bridge = "kedge0",
				      .pods.net = 0x0a2a0000,
				      .pods.bits = 16,
				      .svcs.net = 0x0a2b0000,
				      .svcs.bits = 16 };

static const struct rules_net net6 = { .v6 = true,
				       .bridge = "kedge0",
				       .pods.v6 = true,
				       .svcs.v6 = true,
				       .pods.bits = 64,
				       .pods.net = (addr)UINT64_C(0xfd42000000000000) << 64,
				       .svcs.bits = 112,
				       .svcs.net = (addr)UINT64_C(0xfd43000000000000) << 64 };

static addr
ip_of(const char *text)
{
	addr a = 0;

	assert_true(addr_read(text, &a) || !strcmp(text, "::"));
	return a;
}

/* -- golden ----------------------------------------------------------------- */

static bool
option(const char *word, const char *name, const char **ret)
{
	size_t n = strlen(name);

	*ret = word + n;
	return !strncmp(word, name, n);
}

/* A word that is no endpoint. */
static bool
option_set(struct np_service *s, char *word, struct arena *a)
{
	addr *outer = (addr *)s->outer;
	struct addr_range *sources = (struct addr_range *)s->sources;
	const char *x;

	(void)a;
	if (option(word, "outer=", &x)) {
		outer[s->nouter++] = ip_of(x);
	} else if (option(word, "balancer=", &x)) {
		s->balancer = ip_of(x);
	} else if (option(word, "at=", &x)) {
		s->node_ip = ip_of(x);
	} else if (option(word, "health=", &x)) {
		s->health_port = atoi(x);
	} else if (option(word, "source=", &x)) {
		assert_true(addr_range_read(x, &sources[s->nsources++]));
	} else if (!strcmp(word, "inside")) {
		s->local_inside = true;
	} else {
		return false;
	}
	return true;
}

/* ID VIP tcp|udp|sctp PORT NODEPORT AFFINITY LOCAL [OPTION=...]... [IP:PORT[:away]]...; an
 * IPv6 address before a port stands in brackets. */
static struct np_service *
service_of(char *line, struct arena *a)
{
	struct np_service *s = arena_zalloc(a, sizeof *s);
	struct np_endpoint *at = arena_zalloc(a, 64 * sizeof *at);
	char *word[80], *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		word[n++] = w;
	assert_true(n >= 7);
	s->id = arena_strdup(a, word[0]);
	s->v6 = strchr(word[1], ':');
	s->vip = ip_of(word[1]);
	s->proto = !strcmp(word[2], "udp")    ? IPPROTO_UDP
		   : !strcmp(word[2], "sctp") ? IPPROTO_SCTP
					      : IPPROTO_TCP;
	s->port = atoi(word[3]);
	s->node_port = atoi(word[4]);
	s->affinity_s = atoi(word[5]);
	s->local_only = atoi(word[6]);
	s->endpoints = at;
	s->outer = arena_zalloc(a, 8 * sizeof *s->outer);
	s->sources = arena_zalloc(a, 8 * sizeof *s->sources);
	for (size_t i = 7; i < n; i++) {
		char *away = strstr(word[i], ":away"), *colon, *ip = word[i];

		if (option_set(s, word[i], a))
			continue;
		if (away)
			*away = 0;
		colon = strrchr(ip, ':');
		*colon = 0;
		if (*ip == '[')
			*strchr(++ip, ']') = 0;
		at[s->n++] = (struct np_endpoint){ ip_of(ip), atoi(colon + 1), away };
	}
	return s;
}

static size_t
model_of(const char *file, struct arena *a, const struct np_service **to)
{
	cleanup_fclose FILE *f = fopen(file, "re");
	char line[4096];
	size_t n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (*line != '#' && *line != '\n')
			to[n++] = service_of(line, a);
	return n;
}

static void
text_of(const struct rules_net *of, const struct np_service *const *all, size_t n,
	struct chains *c, struct buf *b)
{
	rules_base(of, c);
	rules_dispatch(of, all, n, c);
	for (size_t i = 0; i < n; i++)
		rules_service(of, all[i], c);
	for (unsigned t = 0; b && t < RULES_TABLES; t++) {
		buf_addf(b, "*%s\n", rules_tables[t]);
		for (size_t i = 0; i < c->n; i++)
			if (c->at[i].table == t)
				buf_addf(b, "\n:%s - [0:0]\n%s", c->at[i].name,
					 buf_text(&c->at[i].body));
	}
}

static void
golden(const char *name)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf text = { 0 }, want = { 0 };
	const struct np_service *all[64];
	struct chains c = { 0 };
	char file[128], part[4096];
	size_t got;
	FILE *f;

	snprintf(file, sizeof file, "tests/golden/netproxy/%s.in", name);
	text_of(strchr(name, '6') ? &net6 : &net, all, model_of(file, &a, all), &c, &text);
	chains_done(&c);
	snprintf(file, sizeof file, "tests/golden/netproxy/%s.rules", name);
	if (getenv("KEDGE_GOLDEN")) {
		f = fopen(file, "we");
		assert_non_null(f);
		assert_int_equal(fwrite(text.at, 1, text.len, f), text.len);
		fclose(f);
		return;
	}
	f = fopen(file, "re");
	assert_non_null(f);
	while ((got = fread(part, 1, sizeof part, f)))
		buf_add(&want, part, got);
	fclose(f);
	assert_string_equal(buf_text(&text), buf_text(&want));
}

static void
the_text_is_as_reviewed(void **state)
{
	(void)state;
	golden("empty");
	golden("first");
	golden("tree");
	golden("groups");
	golden("outside");
	golden("dual6");
}

/* -- a packet's way through the text ---------------------------------------- */

struct packet {
	uint32_t dst;
	uint8_t proto;
	uint16_t port;
};

struct way {
	unsigned looked_at; /* rules */
	char service[RULES_NAME];
	bool masq, rejected;
};

static bool
word_is(const char *rule, const char *option, char *ret)
{
	const char *at = strstr(rule, option);

	return at && sscanf(at + strlen(option), "%63s", ret) == 1;
}

/* Only the matches that the trees use; the test fails on any other. */
static bool
rule_matches(const char *rule, const struct packet *p)
{
	char word[64];
	unsigned lo, hi, bits = 32;

	if (word_is(rule, " -d ", word) && !strstr(rule, "! -d ")) {
		char *slash = strchr(word, '/');

		*slash = 0;
		bits = atoi(slash + 1);
		if ((ip_of(word) ^ p->dst) >> (32 - bits))
			return false;
	}
	if (word_is(rule, " -p ", word) &&
	    strcmp(word, p->proto == IPPROTO_UDP ? "udp" : "tcp"))
		return false;
	if (word_is(rule, " --dport ", word)) {
		int n = sscanf(word, "%u:%u", &lo, &hi);

		assert_true(n >= 1);
		if (p->port < lo || p->port > (n == 2 ? hi : lo))
			return false;
	}
	return true;
}

static void
walk(const struct map *chains, const char *name, const struct packet *p, struct way *w)
{
	const struct chain *c = map_get(chains, name);
	cleanup_free char *body = NULL;
	char *save = NULL, to[64];

	assert_non_null(c);
	body = xstrdup(buf_text(&c->body));
	for (char *r = strtok_r(body, "\n", &save); r; r = strtok_r(NULL, "\n", &save)) {
		w->looked_at++;
		if (!rule_matches(r, p))
			continue;
		if (!word_is(r, " -g ", to) && !word_is(r, " -j ", to))
			fail_msg("%s", r);
		if (!strncmp(to, "KDG-S-", 6)) {
			strcpy(w->service, to);
			return;
		}
		w->masq |= !strcmp(to, "KDG-MASQ");
		w->rejected |= !strcmp(to, "REJECT");
		if (w->rejected)
			return;
		if (strcmp(to, "KDG-MASQ"))
			walk(chains, to, p, w);
		if (*w->service || strstr(r, " -g "))
			return;
	}
}

static void
by_name(const struct chains *c, struct map *to)
{
	for (size_t i = 0; i < c->n; i++)
		map_put(to, c->at[i].name, &c->at[i]);
}

#define MANY 10000

/* Deterministic, so that a failure can be repeated. */
static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void
many_services(size_t n, bool dense, unsigned most)
{
	static struct np_service at[MANY];
	static const struct np_service *all[MANY];
	static char ids[MANY][16];
	static const struct np_endpoint end = { 0x0a2a0002, 8080 };
	struct chains c = { 0 };
	struct map chains = { 0 };
	uint32_t seed = n;

	for (size_t i = 0; i < n; i++) {
		snprintf(ids[i], sizeof ids[i], "ns/s%zu", i);
		at[i] = (struct np_service){
			.id = ids[i],
			.vip = net.svcs.net + (dense ? 1 + i / 2 : (uint32_t)(i * 6 % 65536)),
			.proto = next_random(&seed) % 4 ? IPPROTO_TCP : IPPROTO_UDP,
			.port = dense && i % 2 ? 443 : 80,
			.node_port = i < 2768 ? 30000 + i : 0,
			.local_only = i % 3 == 0,
			.endpoints = &end,
			.n = 1,
		};
		all[i] = &at[i];
	}
	text_of(&net, all, n, &c, NULL);
	by_name(&c, &chains);
	for (size_t i = 0; i < n; i++) {
		struct packet p = { at[i].vip, at[i].proto, at[i].port };
		struct way w = { 0 }, via_node = { 0 }, stranger = { 0 };
		struct map alone = { 0 };
		struct chains own = { 0 };

		walk(&chains, "KDG-V", &p, &w);
		rules_service(&net, &at[i], &own);
		by_name(&own, &alone);
		assert_non_null(map_get(&alone, w.service));
		assert_in_range(w.looked_at, 1, most);
		p.port = 9;
		walk(&chains, "KDG-V", &p, &stranger);
		assert_string_equal(stranger.service, "");
		if (at[i].node_port) {
			p = (struct packet){ 0x0a000001, at[i].proto, at[i].node_port };
			walk(&chains, "KDG-N", &p, &via_node);
			assert_string_equal(via_node.service, w.service);
			assert_int_equal(via_node.masq, !at[i].local_only);
			assert_in_range(via_node.looked_at, 1, 7 * 4 + 8 + 3);
		}
		map_done(&alone);
		chains_done(&own);
	}
	map_done(&chains);
	chains_done(&c);
}

static void
every_service_is_found_and_soon(void **state)
{
	(void)state;
	many_services(1, true, 1);
	many_services(RULES_FLAT, true, RULES_FLAT);
	many_services(RULES_FLAT + 1, true, 2 * 4 + 8);
	many_services(1000, true, 5 * 4 + 8);
	many_services(1000, false, 8 * 4 + 8);
	many_services(10000, true, 8 * 4 + 8);
	many_services(10000, false, 8 * 4 + 8);
}

static void
a_node_port_without_endpoints_is_rejected_and_no_other(void **state)
{
	static struct np_service at[100];
	const struct np_service *all[100];
	static char ids[100][16];
	static const struct np_endpoint end = { 0x0a2a0002, 8080 };
	struct chains c = { 0 };
	struct map chains = { 0 };

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		snprintf(ids[i], sizeof ids[i], "ns/s%zu", i);
		at[i] = (struct np_service){ .id = ids[i],
					     .vip = net.svcs.net + 1 + i,
					     .proto = i % 3 ? IPPROTO_TCP : IPPROTO_UDP,
					     .port = 80,
					     .node_port = 30000 + i,
					     .endpoints = &end,
					     .n = i % 2 };
		all[i] = &at[i];
	}
	text_of(&net, all, 100, &c, NULL);
	by_name(&c, &chains);
	for (size_t i = 0; i < 100; i++) {
		struct packet p = { 0x0a000001, at[i].proto, at[i].node_port };
		struct way w = { 0 }, nat = { 0 };

		walk(&chains, "KDG-R", &p, &w);
		walk(&chains, "KDG-N", &p, &nat);
		assert_int_equal(w.rejected, !at[i].n);
		assert_int_equal(!*nat.service, !at[i].n);
	}
	map_done(&chains);
	chains_done(&c);
}

/* -- shares ----------------------------------------------------------------- */

static void
shares_of(const struct map *chains, const char *name, double got, struct map *to)
{
	const struct chain *c = map_get(chains, name);
	cleanup_free char *body = NULL;
	char *save = NULL, word[64];

	assert_non_null(c);
	body = xstrdup(buf_text(&c->body));
	for (char *r = strtok_r(body, "\n", &save); r; r = strtok_r(NULL, "\n", &save)) {
		double p = word_is(r, " --probability ", word) ? strtod(word, NULL) : 1;

		assert_true(word_is(r, " -j ", word));
		if (!strcmp(word, "DNAT")) {
			double *x;

			assert_true(word_is(r, " --to-destination ", word));
			x = map_get(to, word);
			if (!x)
				map_put(to, word, x = xcalloc(1, sizeof *x));
			*x += got * p;
		} else if (!strcmp(word, "KDG-MASQ")) {
			continue; /* a mark, and on */
		} else {
			shares_of(chains, word, got * p, to);
		}
		got -= got * p;
	}
	assert_true(got < 1e-9); /* nobody falls through */
}

static struct np_service
big_service(size_t n)
{
	static struct np_endpoint at[2048];

	for (size_t i = 0; i < n; i++)
		at[i] = (struct np_endpoint){ 0x0a2a0002 + i, 8080 };
	return (struct np_service){ .id = "ns/big",
				    .vip = net.svcs.net + 9,
				    .proto = IPPROTO_TCP,
				    .port = 80,
				    .endpoints = at,
				    .n = n };
}

/* Of a kernel without xt_bpf, where each endpoint has a chain. */
static struct rules_net
old_kernel(void)
{
	struct rules_net old = net;

	old.no_bpf = true;
	return old;
}

static void
shares_are_even(const struct rules_net *of)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 16, 17, 33, 100, 256, 1000 };

	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		struct np_service s = big_service(sizes[k]);
		struct chains c = { 0 };
		struct map chains = { 0 }, shares = { 0 };

		rules_service(of, &s, &c);
		by_name(&c, &chains);
		shares_of(&chains, c.at[0].name, 1, &shares);
		assert_int_equal(shares.n, s.n);
		for (struct map_slot *x = map_first(&shares); x; x = map_next(&shares, x)) {
			double off = *(double *)x->value * (double)s.n - 1;

			assert_true(off < 1e-6 && off > -1e-6);
			free(x->value);
		}
		map_done(&shares);
		map_done(&chains);
		chains_done(&c);
	}
}

static void
every_endpoint_gets_the_same_share(void **state)
{
	struct rules_net old = old_kernel();

	(void)state;
	shares_are_even(&net);
	shares_are_even(&old);
}

/* -- who is led to itself ---------------------------------------------------- */

/* What xt_bpf would say: the few instructions that such a program has, over a packet from its
 * network header on. */
static unsigned
run(const char *code, const uint8_t *packet, size_t size)
{
	unsigned n, op, jt, jf, k, a = 0, x = 0;
	struct {
		unsigned op, jt, jf, k;
	} at[64];
	int used;

	assert_int_equal(sscanf(code, "%u%n", &n, &used), 1);
	assert_in_range(n, 1, 64);
	for (unsigned i = 0; i < n; i++) {
		code += used;
		assert_int_equal(sscanf(code, ",%u %u %u %u%n", &op, &jt, &jf, &k, &used), 4);
		at[i].op = op;
		at[i].jt = jt;
		at[i].jf = jf;
		at[i].k = k;
	}
	assert_string_equal(code + used, "");
	for (unsigned i = 0; i < n; i++) {
		switch (at[i].op) {
		case 0x20: /* ld [k] */
			assert_in_range(at[i].k, 0, size - 4);
			memcpy(&a, packet + at[i].k, 4);
			break;
		case 0x07: /* tax */
			x = a;
			break;
		case 0x1d: /* jeq x */
			i += a == x ? at[i].jt : at[i].jf;
			break;
		case 0x06: /* ret k */
			return at[i].k;
		default:
			fail_msg("instruction %u", at[i].op);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

static void
the_program_knows_a_packet_from_an_address_to_the_same(void **state)
{
	static const struct {
		unsigned source, bytes;
	} at[2] = { { 12, 4 }, { 8, 16 } };

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		unsigned n = at[v6].bytes, source = at[v6].source;
		uint8_t packet[40];

		for (unsigned i = 0; i < sizeof packet; i++)
			packet[i] = i * 37;
		memcpy(packet + source + n, packet + source, n);
		assert_int_not_equal(run(rules_itself[v6], packet, source + 2 * n), 0);
		for (unsigned bit = 0; bit < 2 * n * 8; bit++) {
			packet[source + bit / 8] ^= 1 << bit % 8;
			assert_int_equal(run(rules_itself[v6], packet, source + 2 * n), 0);
			packet[source + bit / 8] ^= 1 << bit % 8;
		}
	}
}

static unsigned
lines_with(const struct chains *c, const char *text)
{
	unsigned n = 0;

	for (size_t i = 0; i < c->n; i++)
		for (const char *at = buf_text(&c->at[i].body); (at = strstr(at, text)); at++)
			n++;
	return n;
}

static void
one_rule_masquerades_whoever_is_led_to_itself(void **state)
{
	struct rules_net old = old_kernel();
	struct np_service s = big_service(20);
	const struct np_service *all[] = { &s };
	struct chains c = { 0 }, c6 = { 0 }, without = { 0 };
	char text[256];

	(void)state;
	text_of(&net, all, 1, &c, NULL);
	rules_base(&net6, &c6);
	for (int v6 = 0; v6 < 2; v6++) {
		snprintf(text, sizeof text,
			 "-A KDG-P ! -o lo -m bpf --bytecode \"%s\" -j MASQUERADE",
			 rules_itself[v6]);
		assert_int_equal(lines_with(v6 ? &c6 : &c, text), 1);
	}
	assert_int_equal(lines_with(&c, "-j KDG-MASQ"), 0);
	/* without xt_bpf each endpoint has its own */
	text_of(&old, all, 1, &without, NULL);
	assert_int_equal(lines_with(&without, "-m bpf"), 0);
	assert_int_equal(lines_with(&without, "-j KDG-MASQ"), 20);
	chains_done(&c);
	chains_done(&c6);
	chains_done(&without);
}

/* -- changes ---------------------------------------------------------------- */

static unsigned
chains_that_differ(const struct chains *a, const struct chains *b)
{
	struct map in_a = { 0 }, in_b = { 0 };
	unsigned n = 0;

	by_name(a, &in_a);
	by_name(b, &in_b);
	for (size_t i = 0; i < b->n; i++) {
		const struct chain *was = map_get(&in_a, b->at[i].name);

		n += !was || strcmp(buf_text(&was->body), buf_text(&b->at[i].body));
	}
	for (size_t i = 0; i < a->n; i++)
		n += !map_get(&in_b, a->at[i].name);
	map_done(&in_a);
	map_done(&in_b);
	return n;
}

static void
one_endpoint_changes(const struct rules_net *of, unsigned most)
{
	for (size_t n = 2; n < 600; n++) {
		struct np_service s = big_service(n);
		struct np_endpoint less[600];
		struct chains all = { 0 }, without = { 0 };

		rules_service(of, &s, &all);
		/* the middle one goes */
		memcpy(less, s.endpoints, n / 2 * sizeof *less);
		memcpy(less + n / 2, s.endpoints + n / 2 + 1, (n - n / 2 - 1) * sizeof *less);
		s.endpoints = less;
		s.n = n - 1;
		rules_service(of, &s, &without);
		/* at 17, 33, 65, ... the number of groups changes with it */
		if ((n - 1) & (n - 2) || n < 17)
			assert_in_range(chains_that_differ(&all, &without), 1, most);
		chains_done(&all);
		chains_done(&without);
	}
}

static void
one_endpoint_changes_two_chains_at_most(void **state)
{
	struct rules_net old = old_kernel();

	(void)state;
	one_endpoint_changes(&net, 2);
	one_endpoint_changes(&old, 3); /* one of its own */
}

static void
the_order_endpoints_come_in_does_not_matter(void **state)
{
	struct np_endpoint turned[20];
	struct np_service s = big_service(20);
	struct chains a = { 0 }, b = { 0 };

	(void)state;
	rules_service(&net, &s, &a);
	for (size_t i = 0; i < 20; i++)
		turned[i] = s.endpoints[19 - i];
	s.endpoints = turned;
	rules_service(&net, &s, &b);
	assert_int_equal(a.n, b.n);
	assert_int_equal(chains_that_differ(&a, &b), 0);
	chains_done(&a);
	chains_done(&b);
}

static void
an_endpoint_named_twice_is_served_once(void **state)
{
	struct np_endpoint twice[] = { { 0x0a2a0002, 80 },
				       { 0x0a2a0003, 80 },
				       { 0x0a2a0002, 80 } };
	struct np_service s = { .id = "a",
				.vip = 1,
				.proto = IPPROTO_TCP,
				.port = 80,
				.endpoints = twice,
				.n = 3 };
	struct rules_net old = old_kernel();
	struct chains c = { 0 };

	(void)state;
	rules_service(&net, &s, &c);
	assert_int_equal(c.n, 1); /* S */
	assert_int_equal(c.at[0].rules, 2);
	chains_done(&c);
	rules_service(&old, &s, &c);
	assert_int_equal(c.n, 3); /* S, E, E */
	assert_int_equal(c.at[0].rules, 2);
	chains_done(&c);
}

/* Of FNV-1a somebody computed, in seconds, what to call their Service so that its chain had the
 * name of another's, whose clients it then got. */
static void
a_name_that_was_sought_out_is_no_way_to_anothers_chain(void **state)
{
	const struct np_service one = { .id = "default/web:http" },
				two = { .id = "evil/t0van1gom9znvfzi4oyweg70:http" };
	char a[RULES_NAME], b[RULES_NAME];

	(void)state;
	assert_true(hash_str(0, one.id) == hash_str(0, two.id));
	rules_service_chain(&one, 'S', a);
	rules_service_chain(&two, 'S', b);
	assert_string_not_equal(a, b);
}

static addr
comb_key(const void *ctx, size_t i)
{
	const size_t *n = ctx;

	return i + 1 < *n ? (addr)1 << (i * RULES_STEP) : (addr)1 << 127;
}

static void
comb_leaf(const void *ctx, struct chain *c, size_t i)
{
	(void)ctx;
	chain_rule(c, "-m comment --comment leaf%zu", i);
}

static void
comb_branch(const void *ctx, struct chain *c, size_t i, addr key, unsigned bits,
	    const char *child)
{
	(void)ctx;
	(void)i;
	(void)key;
	(void)bits;
	chain_rule(c, "-g %s", child);
}

static void
comb_name(const void *ctx, addr key, unsigned bits, char to[static RULES_NAME])
{
	(void)ctx;
	rules_tree_name("KDG-Y", 128, key, bits, to);
}

/* Addresses that part from each other one by one: each level of the tree leads to one more.
 * nf_tables refuses what is too deep, and with it all that was to be committed. */
static void
no_choice_of_addresses_makes_a_tree_too_deep(void **state)
{
	const size_t n = 60;
	struct chains out = { 0 };
	const struct rules_tree t = { .out = &out,
				      .bits = 128,
				      .ctx = &n,
				      .key = comb_key,
				      .leaf = comb_leaf,
				      .branch = comb_branch,
				      .name = comb_name };
	size_t leaves = 0;

	(void)state;
	rules_tree_grow(&t, chain_begin(&out, RULES_NAT, "KDG-Y"), 0, n, 0, RULES_FLAT);
	assert_int_equal(out.n, 1 + RULES_DEPTH); /* each is below the one before it */
	for (size_t i = 0; i < out.n; i++)
		for (const char *p = buf_text(&out.at[i].body); (p = strstr(p, "leaf")); p++)
			leaves++;
	assert_int_equal(leaves, n);
	chains_done(&out);
}

static void
without_xt_recent_affinity_is_left_out(void **state)
{
	struct rules_net old = net;
	struct np_endpoint at[] = { { 0x0a2a0002, 80 }, { 0x0a2a0003, 80 } };
	struct np_service s = { .id = "a",
				.vip = 1,
				.proto = IPPROTO_TCP,
				.port = 80,
				.affinity_s = 60,
				.endpoints = at,
				.n = 2 };
	struct chains with = { 0 }, without = { 0 };
	bool said = false;

	(void)state;
	old.no_recent = true;
	rules_service(&net, &s, &with);
	rules_service(&old, &s, &without);
	for (size_t i = 0; i < with.n; i++)
		said |= strstr(buf_text(&with.at[i].body), "recent") != NULL;
	assert_true(said);
	for (size_t i = 0; i < without.n; i++)
		assert_null(strstr(buf_text(&without.at[i].body), "recent"));
	chains_done(&with);
	chains_done(&without);
}

static void
no_name_is_longer_than_iptables_allows(void **state)
{
	struct np_service s = big_service(2000);
	struct chains c = { 0 };

	(void)state;
	rules_service(&net, &s, &c);
	for (size_t i = 0; i < c.n; i++) {
		assert_true(strlen(c.at[i].name) <= 28);
		assert_memory_equal(c.at[i].name, RULES_PREFIX, strlen(RULES_PREFIX));
	}
	chains_done(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_as_reviewed),
		cmocka_unit_test(every_service_is_found_and_soon),
		cmocka_unit_test(a_node_port_without_endpoints_is_rejected_and_no_other),
		cmocka_unit_test(every_endpoint_gets_the_same_share),
		cmocka_unit_test(the_program_knows_a_packet_from_an_address_to_the_same),
		cmocka_unit_test(one_rule_masquerades_whoever_is_led_to_itself),
		cmocka_unit_test(one_endpoint_changes_two_chains_at_most),
		cmocka_unit_test(the_order_endpoints_come_in_does_not_matter),
		cmocka_unit_test(an_endpoint_named_twice_is_served_once),
		cmocka_unit_test(a_name_that_was_sought_out_is_no_way_to_anothers_chain),
		cmocka_unit_test(no_choice_of_addresses_makes_a_tree_too_deep),
		cmocka_unit_test(without_xt_recent_affinity_is_left_out),
		cmocka_unit_test(no_name_is_longer_than_iptables_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

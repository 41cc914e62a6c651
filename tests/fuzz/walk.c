/* walk.c -- mutants of the rules that kedge trace walks through: it comes to an end, and says
 * nothing that no rule can have said.
 */
#include "mutate.h"
#include "netproxy/nft_walk.h"
#include "netproxy/np.h"
#include "reconcile/base/cleanup.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 3000 };

static const char *const words[] = { " -j ",
				     " -g ",
				     " -j DNAT --to-destination ",
				     " --to-destination [::1]:",
				     " --probability 0.5",
				     " --probability -1e99",
				     " --set-xmark 0x4b00/0x",
				     " -m mark --mark 0x4b00/0x4b00",
				     " --dport 1:99999999999",
				     " ! -d 10.43.0.1/33",
				     " -m recent --rcheck --name ../../../etc/passwd",
				     "-A KDG-D -j KDG-D\n-A KDG-D -j KDG-D\n",
				     "RETURN",
				     "KDG-",
				     "\n",
				     " ",
				     " goto d ",
				     "numgen random mod 4294967295 offset 4294967295",
				     "numgen random mod 0 vmap {",
				     " map @ep",
				     "vmap @addr",
				     "vmap @",
				     "[",
				     ": goto ",
				     NULL };

static const struct np_endpoint ends[] = { { 0x0a2a0002, 8080, false },
					   { 0x0a2a0003, 8080, false },
					   { 0xc0000205, 8080, true } };
static const addr outer[] = { 0xcb00710a };
static const struct addr_range sources[] = { { 0xc6336400, 24, false } };
static const struct np_service services[] = {
	{ .id = "default/web:http",
	  .vip = 0x0a2b0001,
	  .proto = IPPROTO_TCP,
	  .port = 80,
	  .node_port = 30080,
	  .outer = outer,
	  .nouter = 1,
	  .endpoints = ends,
	  .n = 3 },
	{ .id = "default/sticky:http",
	  .vip = 0x0a2b0002,
	  .proto = IPPROTO_TCP,
	  .port = 80,
	  .affinity_s = 600,
	  .local_only = true,
	  .balancer = 0xc0000264,
	  .sources = sources,
	  .nsources = 1,
	  .endpoints = ends,
	  .n = 3 },
	{ .id = "default/none:http", .vip = 0x0a2b0003, .proto = IPPROTO_TCP, .port = 80 },
};
enum { SERVICES = sizeof services / sizeof *services };

static void
world_make(struct np *np, struct chains *out, bool nft)
{
	const struct np_service *all[SERVICES];
	char key[RULES_NAME + 2];

	np->config.chains = "KDG";
	np->net = (struct rules_net){ .bridge = "kedge0",
				      .pods = { 0x0a2a0000, 16, false },
				      .svcs = { 0x0a2b0000, 16, false },
				      .nft = nft };
	for (size_t i = 0; i < SERVICES; i++)
		all[i] = &services[i];
	rules_base(&np->net, out);
	rules_dispatch(&np->net, all, SERVICES, out);
	for (size_t i = 0; i < SERVICES; i++)
		rules_service(&np->net, all[i], out);
	for (size_t i = 0; i < out->n; i++) {
		snprintf(key, sizeof key, "%d %s", out->at[i].table, out->at[i].name);
		map_put(&np->committed, key, &out->at[i]);
	}
}

/* A text has no NUL in it, and a line an end. */
static void
mutate_text(struct mutator *m, struct buf *b)
{
	mutate_once(m, b);
	for (size_t i = 0; i < b->len; i++)
		if (!b->at[i])
			b->at[i] = '\n';
	if (b->len && b->at[b->len - 1] != '\n')
		buf_addc(b, '\n');
	buf_reserve(b, 0);
}

/* How many of the services are served as they say. */
static size_t
walk_all(const struct np *np)
{
	size_t right = 0;

	for (size_t i = 0; i < SERVICES; i++) {
		struct np_way way;
		double share = 0;

		np_trace(np, 0x0a2a0009, services[i].vip, IPPROTO_TCP, 80, &way);
		for (size_t k = 0; k < way.nends; k++)
			share += way.ends[k].share;
		right += way.nends == services[i].n &&
			 (!way.nends || (share > 0.99 && share < 1.01));
		np_way_done(&way);
		np_trace(np, 0, 0xc0000264, IPPROTO_TCP, 80, &way);
		np_way_done(&way);
	}
	return right;
}

static void
no_mutant_of_rules_leads_astray(bool nft, uint64_t start)
{
	struct mutator m = { start, words };
	size_t right = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct np np = { 0 };
		struct chains out = { 0 };

		world_make(&np, &out, nft);
		if (i == 0)
			assert_int_equal(walk_all(&np), SERVICES);
		for (size_t n = mutate_below(&m, 5); n; n--)
			mutate_text(&m, &out.at[mutate_below(&m, out.n)].body);
		right += walk_all(&np);
		map_done(&np.committed);
		chains_done(&out);
	}
	assert_in_range(right, ROUNDS, ROUNDS * SERVICES - ROUNDS / 60);
}

static void
no_mutant_of_iptables_rules_leads_astray(void **state)
{
	(void)state;
	no_mutant_of_rules_leads_astray(false, 0x9e3779b97f4a7c15);
}

static void
no_mutant_of_a_services_elements_leads_astray(void **state)
{
	(void)state;
	no_mutant_of_rules_leads_astray(true, 0xda3e39cb94b95bdb);
}

/* ---- rules of nftables, of which a trace reads those of its own text ---- */

struct table {
	struct mutator *m;
	unsigned asked;
};

static bool
element(void *ctx, const char *map, const char *key, struct buf *to)
{
	struct table *t = ctx;

	(void)key;
	buf_adds(to, !strcmp(map, "addr") ? "goto n-3" : "10.42.0.2 . 8080");
	if (mutate_below(t->m, 2))
		mutate_text(t->m, to);
	return mutate_below(t->m, 4) > 0;
}

static void
rules(void *ctx, const char *chain, struct buf *to)
{
	static const struct rules_net net = { .bridge = "kedge0", .nft = true };
	struct table *t = ctx;

	t->asked++;
	if (!strcmp(chain, "d") || !strcmp(chain, "post"))
		nft_chain_rules(&net, chain, to);
	else
		nft_chain_rules(&net, "n-3", to);
	for (size_t n = mutate_below(t->m, 3); n; n--)
		mutate_text(t->m, to);
}

static bool
has(void *ctx, const char *set, addr ip)
{
	(void)set;
	(void)ip;
	return mutate_below(((struct table *)ctx)->m, 2);
}

static void
no_mutant_of_nftables_rules_leads_astray(void **state)
{
	struct mutator m = { 0x2545f4914f6cdd1d, words };
	size_t ends_met = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct table t = { &m, 0 };
		struct nft_table table = { &t, false, element, rules, has };
		struct nft_packet p = { .from = 0x0a2a0009,
					.to = 0x0a2b0001,
					.proto = IPPROTO_TCP,
					.port = 80,
					.translated = i & 1 };
		struct np_way way = { 0 };

		(void)nft_walk(&table, &p, i & 1 ? "post" : "d", &way);
		ends_met += way.nends;
		assert_in_range(t.asked, 1, 1000000);
		np_way_done(&way);
	}
	assert_true(ends_met > ROUNDS / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_mutant_of_iptables_rules_leads_astray),
		cmocka_unit_test(no_mutant_of_a_services_elements_leads_astray),
		cmocka_unit_test(no_mutant_of_nftables_rules_leads_astray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

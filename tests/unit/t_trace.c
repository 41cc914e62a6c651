/* t_trace.c -- a connection's way through the rules' own text: marks, policies, translation. */
#include "netproxy/np.h"
#include "netproxy/policy.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define POD(n) (0x0a2a0000u + (n))
#define VIP    0x0a2b0009u

/* Pods 1 and 2 serve; policy isolates 2, which admits pod 7 alone on TCP 8080. */
static void
world_make(struct np *np, struct chains *out)
{
	static const struct rules_net net = { .bridge = "kedge0",
					      .pods.net = POD(0),
					      .pods.bits = 16,
					      .svcs.net = 0x0a2b0000,
					      .svcs.bits = 16 };
	static const struct np_endpoint ends[] = { { .ip = POD(1), .port = 8080 },
						   { .ip = POD(2), .port = 8080 } };
	static const struct np_service web = { .id = "default/web:http",
					       .vip = VIP,
					       .proto = IPPROTO_TCP,
					       .port = 80,
					       .endpoints = ends,
					       .n = 2 };
	static const struct np_service *const services[] = { &web };
	static const addr friends[] = { POD(7) };
	static const struct np_ports ports = { .proto = IPPROTO_TCP, .lo = 8080, .hi = 8080 };
	static const struct np_rule rule = {
		.pods = friends, .npods = 1, .ports = &ports, .nports = 1
	};
	static const struct np_part part = { .id = "default/web", .rules = &rule, .n = 1 };
	static const struct np_part *const parts[] = { &part };
	static const struct np_isolated shut = { .id = "default/web-2",
						 .ip = POD(2),
						 .ingress = true };
	static const struct np_isolated *const isolated[] = { &shut };
	char key[RULES_NAME + 2];

	np->config = (struct np_config){ .pods.net = net.pods.net,
					 .pods.bits = net.pods.bits,
					 .svcs.net = net.svcs.net,
					 .svcs.bits = net.svcs.bits,
					 .chains = "KDG" };
	np->net = net;
	np->link.gateway = POD(254);
	rules_base(&net, out);
	rules_dispatch(&net, services, 1, out);
	rules_service(&net, &web, out);
	policy_text_trees(&net, isolated, 1, out);
	policy_text_part(&net, &part, out);
	policy_text_pod(&shut, parts, 1, out);
	for (size_t i = 0; i < out->n; i++) {
		snprintf(key, sizeof key, "%d %s", out->at[i].table, out->at[i].name);
		map_put(&np->committed, key, &out->at[i]);
	}
}

static void
expect(uint32_t from, uint32_t to, uint16_t port, enum np_verdict verdict, bool masqueraded,
       const char *rule, const enum np_verdict *ends, size_t nends)
{
	struct chains out = { 0 };
	struct np np = { 0 };
	struct np_way way;
	bool met = !rule;

	world_make(&np, &out);
	np_trace(&np, from, to, IPPROTO_TCP, port, &way);
	assert_int_equal(way.verdict, verdict);
	assert_int_equal(way.masqueraded, masqueraded);
	assert_int_equal(way.nends, nends);
	for (size_t i = 0; i < nends; i++)
		assert_int_equal(way.ends[i].verdict, ends[i]);
	for (size_t i = 0; i < way.nsteps; i++)
		met = met || strstr(way.steps[i].rule, rule);
	assert_true(met);
	np_way_done(&way);
	map_done(&np.committed);
	chains_done(&out);
}

#define REFUSAL "-j REJECT --reject-with icmp-admin-prohibited"

static void
a_policy_refuses_whom_it_does_not_name(void **state)
{
	(void)state;
	expect(POD(3), POD(2), 8080, NP_REFUSED, false, REFUSAL, NULL, 0);
	expect(POD(7), POD(2), 8080, NP_PASSED, false, "-m mark --mark 0x400/0x400 -g KDG-WC",
	       NULL, 0);
	expect(POD(7), POD(2), 8081, NP_REFUSED, false, REFUSAL, NULL, 0);
	expect(POD(3), POD(1), 8080, NP_PASSED, false, NULL, NULL, 0);
	/* not of this host, and no service's: nothing lets it in */
	expect(0xcb007105, POD(2), 8080, NP_REFUSED, false, REFUSAL, NULL, 0);
}

static void
a_policy_is_asked_at_each_endpoint(void **state)
{
	static const enum np_verdict some[] = { NP_SERVED, NP_REFUSED },
				     both[] = { NP_SERVED, NP_SERVED };

	(void)state;
	expect(POD(3), VIP, 80, NP_SERVED, false, REFUSAL, some, 2);
	expect(POD(7), VIP, 80, NP_SERVED, false, NULL, both, 2);
}

/* A pod that meets itself comes with the host's address; to outside, every pod does. */
static void
a_mark_is_seen_where_it_counts(void **state)
{
	static const enum np_verdict both[] = { NP_SERVED, NP_SERVED };

	(void)state;
	expect(POD(2), VIP, 80, NP_SERVED, true, "-A KDG-P ! -o lo -m bpf", both, 2);
	expect(POD(3), 0xcb007105, 443, NP_PASSED, true, "-j MASQUERADE", NULL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_refuses_whom_it_does_not_name),
		cmocka_unit_test(a_policy_is_asked_at_each_endpoint),
		cmocka_unit_test(a_mark_is_seen_where_it_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

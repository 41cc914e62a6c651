/* t_rules_model.c -- random worlds of Services in iptables: what becomes of a packet, and whom
 * it meets, is what its Service's own words say.
 *
 * The walker is kedge trace's, which reads the text that iptables-restore is given;
 * t_nft_model.c has the like for nftables' maps. */
#include "netproxy/np.h"
#include "reconcile/base/map.h"
#include <ifaddrs.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "six_kit.h"

enum { SERVICES = 12, ENDS = 40 };
#define HOST 0xc0000201u

static uint32_t seed;
static bool six;

static uint32_t
below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static addr
addr_of(uint32_t ip)
{
	return six ? SIX | ip : ip;
}

/* -- a world ---------------------------------------------------------------- */

static struct one {
	char id[16];
	struct np_service s;
	struct np_endpoint at[ENDS];
	addr outer[2];
	struct addr_range source;
} world[SERVICES];

static void
make(size_t i)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const unsigned most[] = { 1, 4, ENDS };
	struct one *o = &world[i];

	snprintf(o->id, sizeof o->id, "ns/s%zu", i);
	o->outer[0] = addr_of(0xcb007100 + (uint32_t)i);
	o->outer[1] = addr_of(0xcb007200 + (uint32_t)i);
	o->source = (struct addr_range){ addr_of(0xc6336400), six ? 96 + 24 : 24, six };
	o->s = (struct np_service){
		.id = o->id,
		.v6 = six,
		.vip = below(5) ? addr_of(0x0a2b0001 + (uint32_t)i) : 0,
		.proto = protos[below(4)],
		.port = below(2) ? 80 : 443,
		.node_port = below(2) ? 30000 + 2 * (uint16_t)i : 0,
		.node_ip = below(4) ? 0 : addr_of(HOST),
		.affinity_s = below(4) ? 0 : 10 + below(3) * 1000,
		.local_only = below(2),
		.local_inside = below(4) == 0,
		.outer = o->outer,
		.nouter = below(3),
		.balancer = below(3) ? 0 : addr_of(0xc0000264 + (uint32_t)i),
		.sources = &o->source,
		.nsources = below(2),
		.endpoints = o->at,
		.n = below(6) ? below(most[below(3)] + 1) : 0,
	};
	for (size_t k = 0; k < o->s.n; k++) {
		uint32_t ip = 0x0a2a0002 + below(40);
		bool away = below(2) && ip % 3 == 0;

		for (size_t j = 0; j < k; j++) /* an address is here or it is not */
			away = o->at[j].ip == addr_of(ip) ? o->at[j].away : away;
		o->at[k] = (struct np_endpoint){ addr_of(ip), below(4) ? 8080 : 9090, away };
	}
}

/* The host's addresses, in this world: the trace asks for them. */
static struct ifaddrs list[SERVICES + 1];
static struct sockaddr_in6 there[SERVICES + 1];

int
getifaddrs(struct ifaddrs **ret)
{
	size_t n = 0;

	for (size_t i = 0; i <= SERVICES; i++) {
		addr ip = i < SERVICES ? world[i].s.balancer : addr_of(HOST);
		struct sockaddr_in *four = (struct sockaddr_in *)&there[n];

		if (!ip)
			continue;
		there[n] = (struct sockaddr_in6){ .sin6_family = six ? AF_INET6 : AF_INET };
		addr_bytes(six, ip,
			   six ? (void *)&there[n].sin6_addr : (void *)&four->sin_addr);
		list[n] = (struct ifaddrs){ .ifa_addr = (struct sockaddr *)&there[n],
					    .ifa_next = &list[n + 1] };
		n++;
	}
	list[n - 1].ifa_next = NULL;
	*ret = list;
	return 0;
}

void
freeifaddrs(struct ifaddrs *x)
{
	assert_ptr_equal(x, list);
}

static void
commit(struct np *np, struct chains *out)
{
	static const struct rules_net nets[2] = { { .bridge = "kedge0",
						    .pods.net = 0x0a2a0000,
						    .pods.bits = 16,
						    .svcs.net = 0x0a2b0000,
						    .svcs.bits = 16 },
						  { SIX_NET } };
	const struct np_service *all[SERVICES];
	char key[RULES_NAME + 2];

	np->net = nets[six];
	np->net.no_bpf = below(3) == 0;
	np->net.no_recent = below(3) == 0;
	np->config.chains = "KDG";
	for (size_t i = 0; i < SERVICES; i++)
		all[i] = &world[i].s;
	rules_base(&np->net, out);
	rules_dispatch(&np->net, all, SERVICES, out);
	for (size_t i = 0; i < SERVICES; i++)
		rules_service(&np->net, all[i], out);
	for (size_t i = 0; i < out->n; i++) {
		snprintf(key, sizeof key, "%d %s", out->at[i].table, out->at[i].name);
		assert_null(map_put(&np->committed, key, &out->at[i]));
	}
}

/* -- what its words say ----------------------------------------------------- */

/* Somebody from outside, a pod, the host itself. */
static const struct from {
	uint32_t ip;
	bool near, host;
} froms[] = { { 0xc6336407, false, false }, /* of the sources */
	      { 0xcb007307, false, false },
	      { 0x0a2a0005, true, false },
	      { HOST, true, true } };

enum entrance { INSIDE, OUTSIDE, GATED };

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

static bool
is_local(const struct np_service *s, enum entrance by, const struct from *f)
{
	return by == INSIDE ? s->local_inside : s->local_only && !f->near;
}

static enum np_verdict
verdict(const struct np_service *s, enum entrance by, const struct from *f)
{
	struct np_endpoint ends[ENDS];

	if (!s->n)
		return NP_REFUSED;
	if (by == GATED && s->nsources && f != froms)
		return NP_DROPPED;
	return served(s, is_local(s, by, f), ends) ? NP_SERVED : NP_DROPPED;
}

/* From outside its answers have to come through the host, unless only those here serve it. */
static bool
is_masked(const struct np_service *s, enum entrance by, const struct from *f)
{
	struct np_endpoint ends[ENDS];

	return by != INSIDE &&
	       (!s->local_only || (f->host && served(s, true, ends) < served(s, false, ends)));
}

static void
shares(const struct np_service *s, bool local, addr from, const struct np_way *way,
       bool *ret_itself)
{
	struct np_endpoint ends[ENDS];
	size_t n = served(s, local, ends);

	assert_int_equal(way->nends, n);
	*ret_itself = false;
	for (size_t i = 0; i < n; i++) {
		double share = 0;

		for (size_t k = 0; k < n; k++)
			if (way->ends[k].at.ip == ends[i].ip &&
			    way->ends[k].at.port == ends[i].port) {
				share += way->ends[k].share;
				assert_int_equal(way->ends[k].verdict, NP_SERVED);
			}
		assert_true(share > 1.0 / n - 1e-6 && share < 1.0 / n + 1e-6);
		*ret_itself |= ends[i].ip == from;
	}
}

static void
meet(const struct np *np, const struct np_service *s, addr to, uint16_t port, enum entrance by)
{
	for (size_t i = 0; i < sizeof froms / sizeof *froms; i++) {
		const struct from *f = &froms[i];
		addr from = addr_of(f->ip);
		enum np_verdict want = verdict(s, by, f);
		struct np_way way;
		bool itself;

		np_trace(np, from, to, s->proto, port, &way);
		if (way.verdict != want)
			fail_msg("%s, entrance %d, client %zu: %d instead of %d", s->id, by, i,
				 way.verdict, want);
		if (want == NP_SERVED) {
			shares(s, is_local(s, by, f), from, &way, &itself);
			assert_int_equal(way.masqueraded, is_masked(s, by, f) || itself);
		}
		np_way_done(&way);
		/* the next port, and this one of another protocol, are nobody's */
		for (int other = 0; other < 2; other++) {
			uint8_t proto = !other                    ? s->proto
					: s->proto == IPPROTO_TCP ? IPPROTO_UDP
								  : IPPROTO_TCP;

			np_trace(np, from, to, proto, port + !other, &way);
			assert_int_equal(way.nends, 0);
			assert_int_equal(way.verdict, by == INSIDE ? NP_REFUSED : NP_PASSED);
			np_way_done(&way);
		}
	}
}

static void
packets_meet_whom_their_service_says_or_are_turned_away_as_it_says(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct chains out = { 0 };
		struct np np = { 0 };

		six = round % 2;
		seed = round * 7919 + 1;
		print_message("# world %u\n", round);
		for (size_t i = 0; i < SERVICES; i++)
			make(i);
		commit(&np, &out);
		for (size_t i = 0; i < SERVICES; i++) {
			const struct np_service *s = &world[i].s;

			if (s->vip)
				meet(&np, s, s->vip, s->port, INSIDE);
			for (size_t k = 0; k < s->nouter; k++)
				meet(&np, s, s->outer[k], s->port, OUTSIDE);
			if (s->balancer)
				meet(&np, s, s->balancer, s->port, GATED);
			if (s->node_port)
				meet(&np, s, addr_of(HOST), s->node_port, OUTSIDE);
		}
		map_done(&np.committed);
		chains_done(&out);
	}
	six = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    packets_meet_whom_their_service_says_or_are_turned_away_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

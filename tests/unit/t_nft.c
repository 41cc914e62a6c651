/* t_nft.c -- services as elements of nftables maps: the text, and what a change to it is. */
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
#include "six_kit.h"
#include <netinet/in.h>

static const struct rules_net net = { .bridge = "kedge0",
				      .pods.net = 0x0a2a0000,
				      .pods.bits = 16,
				      .svcs.net = 0x0a2b0000,
				      .svcs.bits = 16 };

static const struct np_endpoint three[] = { { 0x0a2a0002, 8080, false },
					    { 0x0a2a0003, 8080, false },
					    { 0x0a2a0004, 8080, false } };
static const struct np_endpoint mixed[] = { { 0x0a2a0002, 8080, false },
					    { 0xc0000205, 8080, true } };
static const addr outer[] = { 0xcb00710a };
static const struct addr_range sources[] = { { 0xc0000200, 24 } };

static const struct np_service services[] = {
	{ .id = "default/web:http",
	  .vip = 0x0a2b0001,
	  .proto = IPPROTO_TCP,
	  .port = 80,
	  .node_port = 30080,
	  .endpoints = three,
	  .n = 3 },
	{ .id = "default/sticky:http",
	  .vip = 0x0a2b0002,
	  .proto = IPPROTO_TCP,
	  .port = 80,
	  .affinity_s = 10800,
	  .endpoints = three,
	  .n = 2 },
	{ .id = "default/local:dns",
	  .vip = 0x0a2b0003,
	  .proto = IPPROTO_UDP,
	  .port = 53,
	  .node_port = 30053,
	  .local_only = true,
	  .local_inside = true,
	  .endpoints = mixed,
	  .n = 2 },
	{ .id = "default/lb:http",
	  .vip = 0x0a2b0004,
	  .proto = IPPROTO_TCP,
	  .port = 80,
	  .outer = outer,
	  .nouter = 1,
	  .balancer = 0xc0000264,
	  .sources = sources,
	  .nsources = 1,
	  .endpoints = three,
	  .n = 1 },
	{ .id = "default/host:port",
	  .proto = IPPROTO_TCP,
	  .node_port = 8443,
	  .node_ip = 0xc0000201,
	  .local_only = true,
	  .endpoints = three,
	  .n = 1 },
	{ .id = "default/none:http", .vip = 0x0a2b0005, .proto = IPPROTO_TCP, .port = 80 },
};
#define SERVICES (sizeof services / sizeof *services)

static const struct rules_net net6 = { SIX_NET };

static struct np_service
six_of(const struct np_service *s)
{
	static struct np_endpoint ends[3];
	static addr out[1];
	static struct addr_range from[1];
	struct np_service x = *s;

	for (size_t i = 0; i < s->n; i++) {
		ends[i] = s->endpoints[i];
		ends[i].ip |= SIX;
	}
	for (size_t i = 0; i < s->nouter; i++)
		out[i] = s->outer[i] | SIX;
	for (size_t i = 0; i < s->nsources; i++)
		from[i] = (struct addr_range){ s->sources[i].net | SIX, s->sources[i].bits + 96,
					       true };
	x.v6 = true;
	x.vip = s->vip ? s->vip | SIX : 0;
	x.node_ip = s->node_ip ? s->node_ip | SIX : 0;
	x.balancer = s->balancer ? s->balancer | SIX : 0;
	x.endpoints = ends;
	x.outer = out;
	x.sources = from;
	return x;
}

/* What a service has; "" when it has nothing. */
static void
body(const struct np_service *s, struct buf *to)
{
	struct chains c = { 0 };

	nft_service(s->v6 ? &net6 : &net, s, &c);
	assert_true(c.n <= 1);
	if (c.n)
		buf_adds(to, buf_text(&c.at[0].body));
	chains_done(&c);
}

/* What it would be for nft, and for the kernel. */
static void
end(struct nft_change *t, const struct rules_net *of, struct buf *to)
{
	cleanup_buf struct buf wire = { 0 };
	bool changes = nft_change_end(t, of);

	nft_wire(t, NFT_TABLE, &wire);
	nft_change_print(t, to);
	assert_int_equal(changes, to->len != 0);
	nft_change_done(t);
}

static void
load_of(const struct rules_net *of, struct np_service (*as)(const struct np_service *),
	struct map *shapes, struct buf *to)
{
	struct nft_change t = { .shapes = shapes, .v6 = of->v6, .whole = true };
	struct buf bodies[SERVICES] = { 0 };

	for (size_t i = 0; i < SERVICES; i++) {
		struct np_service s = as(&services[i]);

		body(&s, &bodies[i]);
		nft_change_add(&t, NULL, buf_text(&bodies[i]));
	}
	assert_int_equal(t.twice, 0);
	end(&t, of, to);
	for (size_t i = 0; i < SERVICES; i++)
		buf_done(&bodies[i]);
}

static struct np_service
as_it_is(const struct np_service *s)
{
	return *s;
}

static void
load(struct map *shapes, struct buf *to)
{
	load_of(&net, as_it_is, shapes, to);
}

static void
change(struct map *shapes, const struct np_service *had, const struct np_service *has,
       struct buf *to)
{
	struct nft_change t = { .shapes = shapes };
	cleanup_buf struct buf a = { 0 }, b = { 0 };

	if (had)
		body(had, &a);
	if (has)
		body(has, &b);
	nft_change_add(&t, buf_text(&a), buf_text(&b));
	end(&t, &net, to);
}

static void
golden(const char *name, const struct buf *got)
{
	cleanup_buf struct buf want = { 0 };
	char file[128], part[4096];
	size_t n;
	FILE *f;

	snprintf(file, sizeof file, "tests/golden/netproxy/%s.nft", name);
	f = fopen(file, getenv("KEDGE_GOLDEN") ? "we" : "re");
	assert_non_null(f);
	if (getenv("KEDGE_GOLDEN")) {
		assert_int_equal(fwrite(got->at, 1, got->len, f), got->len);
		fclose(f);
		return;
	}
	while ((n = fread(part, 1, sizeof part, f)))
		buf_add(&want, part, n);
	fclose(f);
	assert_string_equal(buf_text(got), buf_text(&want));
}

static void
the_load_is_as_reviewed(void **state)
{
	cleanup_buf struct buf text = { 0 };
	struct map shapes = { 0 };

	(void)state;
	load(&shapes, &text);
	golden("load", &text);
	map_done(&shapes);
}

static void
the_load_of_ipv6_is_as_reviewed(void **state)
{
	cleanup_buf struct buf text = { 0 };
	struct map shapes = { 0 };

	(void)state;
	load_of(&net6, six_of, &shapes, &text);
	golden("load6", &text);
	map_done(&shapes);
}

/* A new one, one endpoint less, affinity's end, and its end: the load is in force before. */
static void
changes_are_as_reviewed(void **state)
{
	static const char *const names[] = { "add", "shrink", "unstick", "remove" };
	struct np_service x = services[0], y = services[1], z = services[1];
	const struct np_service *steps[4][2] = {
		{ NULL, &x }, { NULL, &y }, { &services[1], &z }, { &services[3], NULL }
	};
	struct map shapes = { 0 };
	cleanup_buf struct buf all = { 0 };

	(void)state;
	load(&shapes, &all);
	x.id = "default/new:http";
	x.vip = 0x0a2b0009;
	x.node_port = 30090;
	y = services[0];
	y.n = 2;
	steps[1][0] = &services[0];
	z.affinity_s = 0;
	for (size_t i = 0; i < 4; i++) {
		cleanup_buf struct buf text = { 0 };

		change(&shapes, steps[i][0], steps[i][1], &text);
		golden(names[i], &text);
	}
	map_done(&shapes);
}

static void
adding_deletes_nothing(void **state)
{
	struct map shapes = { 0 };
	cleanup_buf struct buf all = { 0 }, text = { 0 };
	struct np_service x = services[0];

	(void)state;
	load(&shapes, &all);
	x.vip = 0x0a2b0009;
	x.node_port = 30090;
	change(&shapes, NULL, &x, &text);
	assert_true(text.len);
	assert_null(strstr(text.at, "delete"));
	assert_null(strstr(text.at, "flush"));
	assert_null(strstr(text.at, "chain"));
	map_done(&shapes);
}

static void
what_is_the_same_is_no_change(void **state)
{
	struct map shapes = { 0 };
	cleanup_buf struct buf text = { 0 };

	(void)state;
	for (size_t i = 0; i < SERVICES; i++) {
		cleanup_buf struct buf all = { 0 };

		load(&shapes, &all);
		change(&shapes, &services[i], &services[i], &text);
		assert_int_equal(text.len, 0);
	}
	map_done(&shapes);
}

static void
an_address_of_two_services_is_the_firsts(void **state)
{
	struct map shapes = { 0 };
	struct nft_change t = { .shapes = &shapes, .whole = true };
	cleanup_buf struct buf a = { 0 }, text = { 0 };

	(void)state;
	body(&services[0], &a);
	nft_change_add(&t, NULL, buf_text(&a));
	nft_change_add(&t, NULL, buf_text(&a));
	assert_int_equal(t.twice, 8); /* two entrances, three slots each */
	end(&t, &net, &text);
	map_done(&shapes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_load_is_as_reviewed),
		cmocka_unit_test(the_load_of_ipv6_is_as_reviewed),
		cmocka_unit_test(changes_are_as_reviewed),
		cmocka_unit_test(adding_deletes_nothing),
		cmocka_unit_test(what_is_the_same_is_no_change),
		cmocka_unit_test(an_address_of_two_services_is_the_firsts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

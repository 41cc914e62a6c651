/* t_service.c -- addresses and node ports: given out, asked for, fought over. */
#include "../../reconcile/controllers.h"
#include "../../reconcile/service.h"
#include "../../reconcile/workload.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define AGED(name, year, spec)                                                        \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", uid: u-" name ", " \
	"creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec: {" spec "}\n---\n"
#define SVC(name, spec)     AGED(name, "2026", spec)
#define OLD_SVC(name, spec) AGED(name, "2020", spec)
#define PORT                "ports: [{port: 80}], selector: {app: a}"
#define NP(n)               "type: NodePort, ports: [{port: 80, nodePort: " n "}]"

struct bench {
	struct world w;
	struct plan plan;
	struct buf out;
};

static const struct resting *resting;
static size_t nresting;

static const char *
pass(struct bench *b)
{
	struct snapshot *s = world_snapshot(&b->w);

	s->resting = resting;
	s->nresting = nresting;
	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_service].n; i++)
		service_reconcile(s, (const struct service *)s->of[RES_service].at[i],
				  &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static void
done(struct bench *b)
{
	buf_done(&b->out);
	arena_free(&b->w.arena);
}

/* The plan is this, and when carried out, nothing is left to do. */
static void
check(const char *yaml, const char *plan)
{
	struct bench b = { 0 };

	world_read(&b.w, yaml);
	assert_string_equal(pass(&b), plan);
	for (int i = 0; i < 2; i++) {
		world_obey(&b.w, &b.plan);
		pass(&b);
	}
	assert_string_equal(pass(&b), "");
	done(&b);
}

static const struct service *
find(struct bench *b, const char *name)
{
	return snapshot_find(&b->w.s, RES_service, "default", name);
}

static void
addresses_are_given_out_densely_from_below(void **state)
{
	(void)state;
	check(SVC("a", PORT) SVC("b", PORT),
	      "~ update service default/a  # cluster IP 10.43.0.2\n"
	      "~ update service default/b  # cluster IP 10.43.0.3\n");
}

static void
the_address_of_dns_is_never_given_out(void **state)
{
	struct bench b = { 0 };
	struct buf yaml = { 0 };

	(void)state;
	for (int i = 0; i < 12; i++)
		buf_addf(&yaml,
			 "apiVersion: v1\nkind: Service\nmetadata: {name: s%02d, uid: u%d}\n"
			 "spec: {" PORT "}\n---\n",
			 i, i);
	world_read(&b.w, buf_text(&yaml));
	assert_null(strstr(pass(&b), "10.43.0.10\n"));
	assert_non_null(strstr(buf_text(&b.out), "10.43.0.9\n"));
	assert_non_null(strstr(buf_text(&b.out), "10.43.0.14\n"));
	buf_done(&yaml);
	done(&b);
}

static void
an_address_that_is_asked_for_is_left_alone_by_others(void **state)
{
	(void)state;
	check(SVC("a", PORT) SVC("z", PORT ", clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2], "
					   "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack"),
	      "~ update service default/a  # cluster IP 10.43.0.3\n");
}

static void
the_families_are_filled_in_and_kept(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("a", PORT));
	pass(&b);
	world_obey(&b.w, &b.plan);
	world_snapshot(&b.w);
	assert_string_equal(find(&b, "a")->spec->clusterIPs.at[0], "10.43.0.2");
	assert_string_equal(find(&b, "a")->spec->ipFamilies.at[0], "IPv4");
	assert_string_equal(find(&b, "a")->spec->ipFamilyPolicy, "SingleStack");
	done(&b);
}

static void
a_headless_service_gets_no_address(void **state)
{
	(void)state;
	check(SVC("a", PORT ", clusterIP: None"), "~ update service default/a  # defaults\n");
	check(SVC("a", "type: ExternalName, externalName: example.org"), "");
}

static void
node_ports_are_given_out_above_the_band_of_those_who_ask(void **state)
{
	(void)state;
	check(SVC("a", "type: NodePort, ports: [{name: one, port: 80}, {name: two, port: 81}]")
		  SVC("b", "type: LoadBalancer, ports: [{port: 80}]") SVC("c", NP("30080")),
	      "~ update service default/a  # cluster IP 10.43.0.2, node port 30086, node port "
	      "30087\n"
	      "~ update service default/b  # cluster IP 10.43.0.3, node port 30088\n"
	      "~ update service default/c  # cluster IP 10.43.0.4\n");
}

static void
tcp_and_udp_may_have_the_same_node_port(void **state)
{
	(void)state;
	check(SVC("a", "type: NodePort, ports: [{name: one, port: 53}, {name: two, port: 53, "
		       "protocol: UDP}]"),
	      "~ update service default/a  # cluster IP 10.43.0.2, node port 30086, node port "
	      "30086\n");
}

static void
who_came_second_is_told_that_the_node_port_is_taken(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("a", NP("30080")) OLD_SVC("z", NP("30080")));
	pass(&b); /* addresses */
	world_obey(&b.w, &b.plan);
	pass(&b);
	assert_non_null(
	    strstr(buf_text(&b.out),
		   "! event service default/a  # PortAlreadyAllocated: Port 30080 was "
		   "assigned to multiple services (default/z has it); please recreate "
		   "service\n"));
	assert_null(strstr(buf_text(&b.out), "event service default/z"));
	world_obey(&b.w, &b.plan);
	assert_null(strstr(pass(&b), "event")); /* said once */
	world_drop(&b.w, "service", "default", "z");
	assert_non_null(strstr(pass(&b), ". status service default/a  # allocated\n"));
	world_obey(&b.w, &b.plan);
	assert_string_equal(pass(&b), "");
	assert_int_equal(find(&b, "a")->status->conditions.n, 0);
	done(&b);
}

static void
what_lies_outside_of_the_ranges_is_said(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("a", NP("80")) SVC("b", PORT ", clusterIP: 10.96.0.1"));
	pass(&b);
	world_obey(&b.w, &b.plan);
	pass(&b);
	assert_non_null(strstr(buf_text(&b.out),
			       "PortOutOfRange: Port 80 is not within the port "
			       "range 30000-32767"));
	assert_non_null(strstr(buf_text(&b.out),
			       "ClusterIPOutOfRange: Cluster IP [IPv4]: 10.96.0.1 "
			       "is not within the service CIDR 10.43.0.0/16"));
	done(&b);
}

static void
a_full_range_is_said_and_gives_nothing_twice(void **state)
{
	struct bench b = { 0 };
	struct buf yaml = { 0 };
	int full = 0, given = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		buf_addf(&yaml,
			 "apiVersion: v1\nkind: Service\nmetadata: {name: s%02d, uid: u%d}\n"
			 "spec: {type: NodePort, ports: [{port: 80}]}\n---\n",
			 i, i);
	world_read(&b.w, buf_text(&yaml));
	world_snapshot(&b.w);
	b.w.settings.svcs.bits = 28;
	b.w.settings.node_port_hi = 30004;
	for (int i = 0; i < 3; i++) {
		pass(&b);
		world_obey(&b.w, &b.plan);
	}
	world_snapshot(&b.w);
	for (size_t i = 0; i < b.w.s.of[RES_service].n; i++) {
		const struct service *x = (const struct service *)b.w.s.of[RES_service].at[i];

		full += x->status && x->status->conditions.n;
		given += x->spec->clusterIP != NULL;
		for (size_t k = 0; k < i; k++) {
			const struct service *y =
			    (const struct service *)b.w.s.of[RES_service].at[k];

			assert_true(!x->spec->clusterIP || !y->spec->clusterIP ||
				    strcmp(x->spec->clusterIP, y->spec->clusterIP) != 0);
			assert_true(!x->spec->ports.at[0].nodePort ||
				    x->spec->ports.at[0].nodePort !=
					y->spec->ports.at[0].nodePort);
		}
	}
	assert_int_equal(given, 12); /* 16 but network, API, DNS and broadcast */
	assert_int_equal(full, 15);  /* 5 node ports */
	assert_string_equal(pass(&b), "");
	buf_done(&yaml);
	done(&b);
}

#define LB(more) "type: LoadBalancer, selector: {app: a}, " more

/* Passes over these until nothing is left to do, with a pool of `last - first + 1`. */
static void
settle(struct bench *b, const char *yaml, uint32_t first, uint32_t last)
{
	if (yaml)
		world_read(&b->w, yaml);
	world_snapshot(&b->w);
	b->w.settings.pool.at[0] = (struct address_range){ first, last };
	b->w.settings.pool.n = first != 0;
	for (int i = 0; i < 4; i++) {
		pass(b);
		world_obey(&b->w, &b->plan);
	}
	assert_string_equal(pass(b), "");
	world_snapshot(&b->w);
}

static const char *
balancer(struct bench *b, const char *name)
{
	const struct service_status *st = find(b, name)->status;

	return st && st->loadBalancer && st->loadBalancer->ingress.n
		   ? st->loadBalancer->ingress.at[0].ip
		   : "";
}

enum { POOL = 0xc0000232 }; /* 192.0.2.50 */

static void
a_load_balancer_waits_without_a_pool_and_is_served_with_one(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, SVC("a", LB("ports: [{port: 80}]")), 0, 0);
	assert_string_equal(balancer(&b, "a"), "");
	settle(&b, NULL, POOL, POOL + 1);
	assert_string_equal(balancer(&b, "a"), "192.0.2.50");
	/* the pool moves away under it */
	settle(&b, NULL, POOL + 7, POOL + 8);
	assert_string_equal(balancer(&b, "a"), "192.0.2.57");
	settle(&b, NULL, 0, 0);
	assert_string_equal(balancer(&b, "a"), "");
	done(&b);
}

static void
balancers_share_an_address_when_none_is_left_and_never_a_port(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b,
	       SVC("a", LB("ports: [{port: 80}]")) SVC("b", LB("ports: [{port: 80}]"))
		   SVC("c", LB("ports: [{port: 443}]"))
		       SVC("d", LB("ports: [{port: 80, protocol: UDP}]"))
			   SVC("e", LB("ports: [{port: 80}]")),
	       POOL, POOL + 1);
	assert_string_equal(balancer(&b, "a"), "192.0.2.50");
	assert_string_equal(balancer(&b, "b"), "192.0.2.51");
	assert_string_equal(balancer(&b, "c"), "192.0.2.50");
	assert_string_equal(balancer(&b, "d"), "192.0.2.50");
	assert_string_equal(balancer(&b, "e"), "");
	assert_string_equal(find(&b, "e")->status->conditions.at[0].message,
			    "Error syncing load balancer: failed to ensure load balancer: no "
			    "address of the pool 192.0.2.50-192.0.2.51 is free");
	/* one leaves, and who waited has it */
	world_drop(&b.w, "service", "default", "b");
	settle(&b, NULL, POOL, POOL + 1);
	assert_string_equal(balancer(&b, "e"), "192.0.2.51");
	assert_int_equal(find(&b, "e")->status->conditions.n, 0);
	done(&b);
}

static void
an_address_that_is_asked_of_the_pool_is_given_or_the_reason_is(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b,
	       SVC("a", LB("ports: [{port: 80}], loadBalancerIP: 192.0.2.51"))
		   SVC("b", LB("ports: [{port: 80}], loadBalancerIP: 192.0.2.51"))
		       SVC("c", LB("ports: [{port: 81}], loadBalancerIP: 192.0.2.51"))
			   SVC("d", LB("ports: [{port: 80}], loadBalancerIP: 10.0.0.1"))
			       SVC("e", LB("ports: [{port: 80}], loadBalancerClass: x.org/y")),
	       POOL, POOL + 1);
	assert_string_equal(balancer(&b, "a"), "192.0.2.51");
	assert_string_equal(balancer(&b, "b"), "");
	assert_non_null(strstr(find(&b, "b")->status->conditions.at[0].message,
			       "port 80/TCP of 192.0.2.51 is already in use by default/a"));
	assert_string_equal(balancer(&b, "c"), "192.0.2.51");
	assert_non_null(strstr(find(&b, "d")->status->conditions.at[0].message,
			       "10.0.0.1 is not in the pool 192.0.2.50-192.0.2.51"));
	assert_string_equal(balancer(&b, "e"), "");
	done(&b);
}

static void
a_health_check_node_port_is_for_local_balancers_and_nobody_elses_port(void **state)
{
	struct bench b = { 0 };
	int64_t port;

	(void)state;
	settle(&b,
	       SVC("a", LB("ports: [{port: 80}], externalTrafficPolicy: Local"))
		   SVC("b", "type: NodePort, ports: [{port: 80}]"),
	       POOL, POOL + 1);
	port = find(&b, "a")->spec->healthCheckNodePort;
	assert_in_range(port, 30000, 32767);
	assert_int_not_equal(port, find(&b, "a")->spec->ports.at[0].nodePort);
	assert_int_not_equal(port, find(&b, "b")->spec->ports.at[0].nodePort);
	done(&b);
}

static void
a_balancer_may_do_without_node_ports(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b,
	       SVC("a", LB("ports: [{port: 80}], allocateLoadBalancerNodePorts: false"))
		   SVC("b", LB("ports: [{port: 81, nodePort: 30099}], "
			       "allocateLoadBalancerNodePorts: false")),
	       POOL, POOL + 1);
	assert_int_equal(find(&b, "a")->spec->ports.at[0].nodePort, 0);
	assert_int_equal(find(&b, "b")->spec->ports.at[0].nodePort, 30099);
	assert_string_equal(balancer(&b, "a"), "192.0.2.50");
	done(&b);
}

/* 192.0.2.50 and 51, 2001:db8::50 and 51; each of them may be left out. */
static void
settle_dual(struct bench *b, const char *yaml, bool four, bool six)
{
	const struct address_range at[2] = { { POOL, POOL + 1 },
					     { (addr)0x20010db8 << 96 | 0x50,
					       (addr)0x20010db8 << 96 | 0x51 } };
	struct address_ranges *pool = &b->w.settings.pool;

	if (yaml)
		world_read(&b->w, yaml);
	world_snapshot(&b->w);
	b->w.settings.svcs6 = (struct addr_range){ (addr)0xfd43 << 112, 112, true };
	pool->n = 0;
	for (int i = 0; i < 2; i++)
		if (i ? six : four)
			pool->at[pool->n++] = at[i];
	for (int i = 0; i < 5; i++) {
		pass(b);
		world_obey(&b->w, &b->plan);
	}
	assert_string_equal(pass(b), "");
	world_snapshot(&b->w);
}

static const char *
balancers(struct bench *b, const char *name)
{
	const struct service_status *st = find(b, name)->status;
	const char *text = "";

	for (size_t i = 0; st && st->loadBalancer && i < st->loadBalancer->ingress.n; i++)
		text = arena_printf(&b->w.arena, "%s%s%s", text, *text ? " " : "",
				    st->loadBalancer->ingress.at[i].ip);
	return text;
}

#define DUAL   "ipFamilyPolicy: RequireDualStack, "
#define PREFER "ipFamilyPolicy: PreferDualStack, "
#define V6     "ipFamilies: [IPv6], "

static void
a_balancer_has_an_address_of_each_of_its_families_the_first_one_first(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle_dual(&b,
		    SVC("a", DUAL LB("ports: [{port: 80}]"))
			SVC("b", V6 LB("ports: [{port: 80}]"))
			    SVC("c", PREFER V6 LB("ports: [{port: 81}]"))
				SVC("d", LB("ports: [{port: 82}]")),
		    true, true);
	assert_string_equal(balancers(&b, "a"), "192.0.2.50 2001:db8::50");
	assert_string_equal(balancers(&b, "b"), "2001:db8::51");
	assert_string_equal(balancers(&b, "c"), "2001:db8::50 192.0.2.51");
	assert_string_equal(balancers(&b, "d"), "192.0.2.50");
	assert_string_equal(find(&b, "a")->status->loadBalancer->ingress.at[1].ipMode, "VIP");
	/* the pool of one of them goes, and comes back */
	settle_dual(&b, NULL, true, false);
	assert_string_equal(balancers(&b, "a"), "192.0.2.50");
	assert_string_equal(balancers(&b, "b"), "");
	assert_string_equal(find(&b, "a")->status->conditions.at[0].message,
			    "Error syncing load balancer: failed to ensure load balancer: the "
			    "pool 192.0.2.50-192.0.2.51 has no addresses of IPv6");
	assert_int_equal(find(&b, "b")->status->conditions.n, 1);
	assert_int_equal(find(&b, "c")->status->conditions.n, 0); /* it was only preferred */
	settle_dual(&b, NULL, true, true);
	assert_string_equal(balancers(&b, "a"), "192.0.2.50 2001:db8::50");
	assert_int_equal(find(&b, "a")->status->conditions.n, 0);
	settle_dual(&b, NULL, false, true);
	assert_string_equal(balancers(&b, "a"), "2001:db8::50");
	assert_string_equal(balancers(&b, "d"), "");
	done(&b);
}

static void
ports_of_a_shared_balancer_of_ipv6_are_one_services_each(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle_dual(
	    &b,
	    SVC("a", V6 LB("ports: [{port: 80}]")) SVC("b", V6 LB("ports: [{port: 80}]"))
		SVC("c", V6 LB("ports: [{port: 443}]")) SVC("d", V6 LB("ports: [{port: 80}]")),
	    true, true);
	assert_string_equal(balancers(&b, "a"), "2001:db8::50");
	assert_string_equal(balancers(&b, "b"), "2001:db8::51");
	assert_string_equal(balancers(&b, "c"), "2001:db8::50");
	assert_string_equal(balancers(&b, "d"), "");
	assert_string_equal(find(&b, "d")->status->conditions.at[0].message,
			    "Error syncing load balancer: failed to ensure load balancer: no "
			    "address of the pool 2001:db8::50-2001:db8::51 is free");
	done(&b);
}

static void
load_balancer_ip_chooses_that_familys_address(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle_dual(&b,
		    SVC("a", DUAL LB("ports: [{port: 80}], loadBalancerIP: '2001:db8::51'"))
			SVC("b", DUAL LB("ports: [{port: 80}], loadBalancerIP: 192.0.2.51"))
			    SVC("c", V6 LB("ports: [{port: 80}], loadBalancerIP: "
					   "'2001:DB8:0::51'"))
				SVC("d", LB("ports: [{port: 81}], loadBalancerIP: "
					    "'2001:db8::50'"))
				    SVC("e", V6 LB("ports: [{port: 81}], loadBalancerIP: "
						   "'2001:DB8:0::51'")),
		    true, true);
	assert_string_equal(balancers(&b, "a"), "192.0.2.50 2001:db8::51");
	assert_string_equal(balancers(&b, "b"), "192.0.2.51 2001:db8::50");
	assert_string_equal(balancers(&b, "c"), "");
	assert_non_null(strstr(find(&b, "c")->status->conditions.at[0].message,
			       "port 80/TCP of 2001:DB8:0::51 is already in use by default/a"));
	assert_non_null(strstr(find(&b, "d")->status->conditions.at[0].message,
			       "2001:db8::50 is not of the Service's family"));
	assert_string_equal(balancers(&b, "e"), "2001:db8::51");
	done(&b);
}

static void
a_wide_pool_is_given_out_from_below_to_very_many(void **state)
{
	enum { MANY = 2000 };
	struct bench b = { 0 };
	struct buf yaml = { 0 };
	const struct service *x;

	(void)state;
	for (int i = 0; i < MANY; i++)
		buf_addf(&yaml, SVC("s%04d", V6 LB("ports: [{port: 80}]")), i, i);
	world_read(&b.w, buf_text(&yaml));
	world_snapshot(&b.w);
	b.w.settings.svcs6 = (struct addr_range){ (addr)0xfd43 << 112, 112, true };
	b.w.settings.pool.at[0] = (struct address_range){ (addr)0x20010db8 << 96 | 1,
							  (addr)0x20010db8 << 96 | UINT64_MAX };
	b.w.settings.pool.n = 1;
	for (int i = 0; i < 4; i++) {
		pass(&b);
		world_obey(&b.w, &b.plan);
	}
	x = find(&b, "s1999");
	assert_string_equal(x->status->loadBalancer->ingress.at[0].ip, "2001:db8::7d0");
	assert_string_equal(pass(&b), "");
	buf_done(&yaml);
	done(&b);
}

static void
another_type_has_no_balancer_any_more(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, SVC("a", LB("ports: [{port: 80}]")), POOL, POOL);
	assert_string_equal(balancer(&b, "a"), "192.0.2.50");
	settle(&b, SVC("a", PORT) "", POOL, POOL);
	assert_string_equal(balancer(&b, "a"), "");
	done(&b);
}

static void
what_was_given_back_a_moment_ago_rests(void **state)
{
	struct bench b = { 0 };
	struct resting at[] = { { 0x0a2b0002, NULL, INT64_C(1800000060000) },
				{ 0x0a2b0003, NULL, INT64_C(1700000000000) },
				{ 30086, "TCP", INT64_C(1800000060000) } };

	(void)state;
	world_read(&b.w, SVC("a", "type: NodePort, ports: [{port: 80}, {name: u, port: 81, "
				  "protocol: UDP}]"));
	resting = at;
	nresting = 3;
	assert_string_equal(pass(&b), "~ update service default/a  # cluster IP 10.43.0.3, "
				      "node port 30087, node port 30086\n");
	done(&b);
	/* nothing else is left */
	b = (struct bench){ 0 };
	world_read(&b.w, SVC("a", "type: NodePort, ports: [{port: 80}]")
			     SVC("b", "type: NodePort, ports: [{port: 80}]"));
	world_snapshot(&b.w);
	b.w.settings.node_port_lo = b.w.settings.node_port_hi = 30086;
	pass(&b);
	assert_non_null(strstr(buf_text(&b.out), "default/a  # cluster IP 10.43.0.3, node port "
						 "30086\n"));
	assert_non_null(strstr(buf_text(&b.out), "default/b  # cluster IP 10.43.0.4\n"));
	resting = NULL;
	nresting = 0;
	done(&b);
}

/* As a write over the API does, before the store knows it. */
static void
what_is_about_to_be_written_is_given_what_the_next_pass_would_give(void **state)
{
	struct bench b = { 0 }, other = { 0 };
	struct service *new;

	(void)state;
	world_read(&b.w, SVC("a", PORT ", clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2], "
				       "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack"));
	world_read(&other.w, SVC("b", "type: NodePort, ports: [{port: 80}, {port: 81}]")
				 SVC("name", "type: ExternalName, externalName: a.example")
				     SVC("none", PORT ", clusterIP: None"));
	world_snapshot(&other.w);
	new = object_draft(find(&other, "b"), &other.w.arena);
	service_settle(world_snapshot(&b.w), new, &other.w.arena);
	assert_string_equal(new->spec->clusterIP, "10.43.0.3");
	assert_string_equal(new->spec->clusterIPs.at[0], "10.43.0.3");
	assert_string_equal(new->spec->ipFamilies.at[0], "IPv4");
	assert_string_equal(new->spec->ipFamilyPolicy, "SingleStack");
	assert_int_equal(new->spec->ports.at[0].nodePort, 30086);
	assert_int_equal(new->spec->ports.at[1].nodePort, 30087);
	assert_int_equal(find(&other, "b")->spec->ports.at[0].nodePort, 0); /* a draft only */
	new = object_draft(find(&other, "name"), &other.w.arena);
	service_settle(world_snapshot(&b.w), new, &other.w.arena);
	assert_true(schema_equal(service_kind(), new, find(&other, "name")));
	new = object_draft(find(&other, "none"), &other.w.arena);
	service_settle(world_snapshot(&b.w), new, &other.w.arena);
	assert_string_equal(new->spec->clusterIPs.at[0], "None");
	done(&b);
	done(&other);
}

/* ---- of both families ---- */

static void
dual(struct bench *b)
{
	world_snapshot(&b->w);
	assert_true(addr_range_read("fd42::/64", &b->w.settings.pods6) &&
		    addr_range_read("fd43::/112", &b->w.settings.svcs6));
}

/* "CLUSTERIP CLUSTERIPS FAMILIES POLICY" of the one that this becomes where there is IPv6. */
static const char *
becomes(struct bench *b, const char *spec)
{
	const struct service *svc;
	const char *text;

	*b = (struct bench){ 0 };
	dual(b);
	world_read(&b->w,
		   arena_printf(&b->w.arena,
				"apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: "
				"u}\nspec: {ports: [{port: 80}], %s}\n",
				spec));
	pass(b);
	world_obey(&b->w, &b->plan);
	assert_string_equal(pass(b), "");
	svc = find(b, "a");
	text = svc->spec->clusterIP;
	for (size_t i = 0; i < svc->spec->clusterIPs.n; i++)
		text = arena_printf(&b->w.arena, "%s %s", text, svc->spec->clusterIPs.at[i]);
	for (size_t i = 0; i < svc->spec->ipFamilies.n; i++)
		text = arena_printf(&b->w.arena, "%s %s", text, svc->spec->ipFamilies.at[i]);
	return arena_printf(&b->w.arena, "%s %s", text, svc->spec->ipFamilyPolicy);
}

static void
families_are_filled_in_as_kubernetes_does(void **state)
{
	static const struct {
		const char *spec, *is;
	} rows[] = {
		{ "selector: {a: b}", "10.43.0.2 10.43.0.2 IPv4 SingleStack" },
		{ "ipFamilies: [IPv6]", "fd43::2 fd43::2 IPv6 SingleStack" },
		{ "clusterIP: 'fd43::77', clusterIPs: ['fd43::77']",
		  "fd43::77 fd43::77 IPv6 SingleStack" },
		{ "ipFamilyPolicy: PreferDualStack",
		  "10.43.0.2 10.43.0.2 fd43::2 IPv4 IPv6 PreferDualStack" },
		{ "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]",
		  "fd43::2 fd43::2 10.43.0.2 IPv6 IPv4 RequireDualStack" },
		{ "ipFamilyPolicy: RequireDualStack, clusterIP: 'fd43::7', clusterIPs: "
		  "['fd43::7']",
		  "fd43::7 fd43::7 10.43.0.2 IPv6 IPv4 RequireDualStack" },
		{ "ipFamilyPolicy: SingleStack, clusterIP: 10.43.0.9, clusterIPs: "
		  "[10.43.0.9, 'fd43::9'], ipFamilies: [IPv4, IPv6]",
		  "10.43.0.9 10.43.0.9 IPv4 SingleStack" },
		{ "clusterIP: None, clusterIPs: [None], selector: {a: b}",
		  "None None IPv4 SingleStack" },
		{ "clusterIP: None, clusterIPs: [None]",
		  "None None IPv4 IPv6 RequireDualStack" },
		{ "clusterIP: None, clusterIPs: [None], ipFamilyPolicy: PreferDualStack, "
		  "ipFamilies: [IPv6], selector: {a: b}",
		  "None None IPv6 IPv4 PreferDualStack" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;

		assert_string_equal(becomes(&b, rows[i].spec), rows[i].is);
		done(&b);
	}
}

static void
addresses_of_ipv6_are_no_two_services_and_rest(void **state)
{
	static const struct resting tired[] = { { 3, RESTING_6, INT64_MAX } };
	struct bench b = { 0 };

	(void)state;
	dual(&b);
	resting = tired;
	nresting = 1;
	world_read(&b.w,
		   SVC("a", PORT ", ipFamilies: [IPv6]") SVC("b", PORT ", ipFamilies: [IPv6]")
		       SVC("c", PORT ", ipFamilies: [IPv6], clusterIP: 'fd43::4', "
				     "clusterIPs: ['fd43::4']"));
	assert_string_equal(pass(&b), "~ update service default/a  # cluster IP fd43::2\n"
				      "~ update service default/b  # cluster IP fd43::5\n"
				      "~ update service default/c  # defaults\n");
	resting = NULL;
	nresting = 0;
	done(&b);
}

static void
a_clash_or_a_stranger_of_ipv6_is_told(void **state)
{
	struct bench b = { 0 };

#define SIX(ip)                                                                    \
	PORT ", clusterIP: '" ip "', clusterIPs: ['" ip "'], ipFamilies: [IPv6], " \
	     "ipFamilyPolicy: SingleStack"
	(void)state;
	dual(&b);
	world_read(&b.w, OLD_SVC("a", SIX("fd43::7")) SVC("b", SIX("fd43::7"))
			     SVC("c", SIX("fd99::1")));
	pass(&b);
	assert_non_null(strstr(buf_text(&b.out), "Cluster IP [IPv6]:fd43::7 was assigned to "
						 "multiple services (default/a has it)"));
	assert_non_null(strstr(buf_text(&b.out), "Cluster IP [IPv6]: fd99::1 is not within the "
						 "service CIDR fd43::/112"));
	assert_string_equal(service_address(&b.w.s, find(&b, "a"), true), "fd43::7");
	assert_null(service_address(&b.w.s, find(&b, "b"), true));
	b.w.settings.pods6.bits = b.w.settings.svcs6.bits = 0;
	pass(&b);
	assert_non_null(
	    strstr(buf_text(&b.out), "is of ip family that is no longer configured"));
	done(&b);
}

static void
says_one(void *ctx, const char *field, const char *words)
{
	buf_addf(ctx, "%s: %s\n", field, words);
}

static void
what_a_cluster_of_one_family_cannot_give_is_said(void **state)
{
	struct bench b = { 0 };
	struct buf said = { 0 };

	(void)state;
	world_read(&b.w,
		   SVC("a", PORT ", ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6]")
		       SVC("b", PORT ", clusterIP: 'fd43::1', clusterIPs: ['fd43::1']")
			   SVC("c", PORT ", ipFamilyPolicy: PreferDualStack"));
	world_snapshot(&b.w);
	for (char name[] = "a"; *name < 'd'; (*name)++)
		service_families_check(b.w.s.settings, find(&b, name), says_one, &said,
				       &b.w.arena);
	assert_string_equal(
	    buf_text(&said),
	    "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not "
	    "configured for dual-stack services\n"
	    "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster\n"
	    "spec.clusterIPs[0]: Invalid value: \"fd43::1\": IPv6 is not configured on this "
	    "cluster\n");
	buf_done(&said);
	done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_given_out_densely_from_below),
		cmocka_unit_test(the_address_of_dns_is_never_given_out),
		cmocka_unit_test(an_address_that_is_asked_for_is_left_alone_by_others),
		cmocka_unit_test(the_families_are_filled_in_and_kept),
		cmocka_unit_test(families_are_filled_in_as_kubernetes_does),
		cmocka_unit_test(addresses_of_ipv6_are_no_two_services_and_rest),
		cmocka_unit_test(a_clash_or_a_stranger_of_ipv6_is_told),
		cmocka_unit_test(what_a_cluster_of_one_family_cannot_give_is_said),
		cmocka_unit_test(a_headless_service_gets_no_address),
		cmocka_unit_test(node_ports_are_given_out_above_the_band_of_those_who_ask),
		cmocka_unit_test(tcp_and_udp_may_have_the_same_node_port),
		cmocka_unit_test(who_came_second_is_told_that_the_node_port_is_taken),
		cmocka_unit_test(what_lies_outside_of_the_ranges_is_said),
		cmocka_unit_test(a_full_range_is_said_and_gives_nothing_twice),
		cmocka_unit_test(a_load_balancer_waits_without_a_pool_and_is_served_with_one),
		cmocka_unit_test(balancers_share_an_address_when_none_is_left_and_never_a_port),
		cmocka_unit_test(
		    an_address_that_is_asked_of_the_pool_is_given_or_the_reason_is),
		cmocka_unit_test(
		    a_health_check_node_port_is_for_local_balancers_and_nobody_elses_port),
		cmocka_unit_test(a_balancer_may_do_without_node_ports),
		cmocka_unit_test(what_was_given_back_a_moment_ago_rests),
		cmocka_unit_test(another_type_has_no_balancer_any_more),
		cmocka_unit_test(
		    a_balancer_has_an_address_of_each_of_its_families_the_first_one_first),
		cmocka_unit_test(ports_of_a_shared_balancer_of_ipv6_are_one_services_each),
		cmocka_unit_test(load_balancer_ip_chooses_that_familys_address),
		cmocka_unit_test(a_wide_pool_is_given_out_from_below_to_very_many),
		cmocka_unit_test(
		    what_is_about_to_be_written_is_given_what_the_next_pass_would_give),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

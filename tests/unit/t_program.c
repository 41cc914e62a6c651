/* t_program.c -- from EndpointSlices to what the proxy is told. */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reconcile/service.h"

#define SVC(spec)                                                            \
	"apiVersion: v1\nkind: Service\nmetadata: {name: web, uid: u-web}\n" \
	"spec: {selector: {app: web}, " spec "}\n---\n"
#define WEB                SVC("clusterIP: 10.43.0.2, ports: [{name: http, port: 80}]")
#define READY              "{ready: true, serving: true, terminating: false}"
#define GOING              "{ready: false, serving: true, terminating: true}"
#define DEAD               "{ready: false, serving: false, terminating: true}"
#define EP(ip, conditions) "{addresses: [" ip "], conditions: " conditions "}"
#define SLICE(name, endpoints)                                                             \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                           \
	"metadata: {name: " name ", labels: {kubernetes.io/service-name: web}}\n"          \
	"addressType: IPv4\nports: [{name: http, port: 8080, protocol: TCP}]\nendpoints: " \
	"[" endpoints "]\n---\n"

struct bench {
	struct world w;
	struct plan plan;
	struct buf out;
	struct programmed has[64]; /* sorted by id, as the brain has it */
	size_t n;
};

static const char *
pass(struct bench *b)
{
	struct snapshot *s = world_snapshot(&b->w);

	s->programmed = b->has;
	s->nprogrammed = b->n;
	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_service].n; i++)
		program_reconcile(s, (const struct service *)s->of[RES_service].at[i],
				  &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct programmed *)a)->id, ((const struct programmed *)b)->id);
}

/* What the hand would acknowledge. */
static void
obey(struct bench *b)
{
	for (size_t i = 0; i < b->plan.n; i++) {
		const struct action *a = &b->plan.at[i];
		const char *id = arena_printf(&b->w.arena, "%s/%s", a->ns, a->name);
		size_t n = 0;

		for (size_t k = 0; k < b->n; k++)
			if (strcmp(b->has[k].id, id) != 0)
				b->has[n++] = b->has[k];
		if (a->verb == ACT_PROGRAM)
			b->has[n++] =
			    (struct programmed){ id, schema_clone(service_args_kind(), a->body,
								  &b->w.arena) };
		b->n = n;
		qsort(b->has, b->n, sizeof *b->has, by_id);
	}
}

static const struct service_args *
programmed(struct bench *b, const char *id)
{
	for (size_t i = 0; i < b->n; i++)
		if (!strcmp(b->has[i].id, id))
			return b->has[i].args;
	return NULL;
}

/* The endpoints as "ip:port ip:port" */
static const char *
serving(struct bench *b, const char *id)
{
	const struct service_args *args = programmed(b, id);
	char *out = "";

	for (size_t i = 0; args && i < args->endpoints.n; i++)
		out = arena_printf(&b->w.arena, "%s%s%s:%d", out, *out ? " " : "",
				   args->endpoints.at[i].ip, (int)args->endpoints.at[i].port);
	return out;
}

static void
settle(struct bench *b, const char *yaml)
{
	if (yaml)
		world_read(&b->w, yaml);
	pass(b);
	obey(b);
	assert_string_equal(pass(b), "");
}

static void
done(struct bench *b)
{
	buf_done(&b->out);
	arena_free(&b->w.arena);
}

static void
ready_endpoints_are_programmed_in_order_of_address(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w,
		   WEB SLICE("web-b", EP("10.42.0.20", READY) ", " EP("10.42.0.3", READY))
		       SLICE("web-a", EP("10.42.0.9", READY) ", " EP(
					  "10.42.0.3", READY) ", " EP("10.42.0.4", DEAD)));
	assert_string_equal(pass(&b), "~ program service default/web:http 0 -> 3\n");
	settle(&b, NULL);
	assert_string_equal(serving(&b, "default/web:http"),
			    "10.42.0.3:8080 10.42.0.9:8080 10.42.0.20:8080");
	assert_string_equal(programmed(&b, "default/web:http")->ip, "10.43.0.2");
	assert_string_equal(programmed(&b, "default/web:http")->protocol, "TCP");
	assert_int_equal(programmed(&b, "default/web:http")->port, 80);
	done(&b);
}

static void
one_that_goes_leaves_as_soon_as_another_is_ready(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, WEB SLICE("web-a", EP("10.42.0.2", READY)));
	/* the last one is on its way out: better it than a refusal (KEP-1669) */
	settle(&b, SLICE("web-a", EP("10.42.0.2", GOING)));
	assert_string_equal(serving(&b, "default/web:http"), "10.42.0.2:8080");
	settle(&b, SLICE("web-a", EP("10.42.0.2", GOING) ", " EP("10.42.0.3", READY)));
	assert_string_equal(serving(&b, "default/web:http"), "10.42.0.3:8080");
	done(&b);
}

static void
no_endpoint_at_all_is_programmed_as_a_refusal(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, WEB SLICE("web-a", EP("10.42.0.2", DEAD)));
	assert_string_equal(pass(&b),
			    "~ program service default/web:http  # no endpoints: refused\n");
	settle(&b, NULL);
	assert_int_equal(programmed(&b, "default/web:http")->endpoints.n, 0);
	done(&b);
}

static void
an_absent_condition_means_ready(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b,
	       WEB SLICE("mine",
			 "{addresses: [192.0.2.7]}, {addresses: [192.0.2.8], conditions: {}}"));
	assert_string_equal(serving(&b, "default/web:http"), "192.0.2.7:8080 192.0.2.8:8080");
	done(&b);
}

static void
node_port_affinity_and_policy_are_passed_on(void **state)
{
	struct bench b = { 0 };
	const struct service_args *args;

	(void)state;
	settle(&b, SVC("clusterIP: 10.43.0.2, type: NodePort, externalTrafficPolicy: Local, "
		       "sessionAffinity: ClientIP, ports: [{port: 53, nodePort: 30053, "
		       "protocol: UDP}]"));
	args = programmed(&b, "default/web:53");
	assert_non_null(args);
	assert_string_equal(args->protocol, "UDP");
	assert_int_equal(args->nodePort, 30053);
	assert_int_equal(args->affinity, 10800);
	assert_true(args->localOnly);
	settle(&b,
	       SVC("clusterIP: 10.43.0.2, sessionAffinity: ClientIP, "
		   "sessionAffinityConfig: {clientIP: {timeoutSeconds: 77}}, ports: [{port: "
		   "53, protocol: UDP}]"));
	assert_int_equal(programmed(&b, "default/web:53")->affinity, 77);
	settle(&b, SVC("clusterIP: 10.43.0.2, sessionAffinity: None, ports: [{port: 53, "
		       "protocol: UDP}]"));
	assert_int_equal(programmed(&b, "default/web:53")->affinity, 0);
	done(&b);
}

static void
headless_and_external_names_get_no_rules_and_lose_those_they_had(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("clusterIP: None, ports: [{name: http, port: 80}]"));
	assert_string_equal(pass(&b), "");
	settle(&b, WEB);
	assert_int_equal(b.n, 1);
	world_read(&b.w, SVC("type: ExternalName, externalName: example.org"));
	assert_string_equal(pass(&b), "- retire service default/web:http  # the service has no "
				      "address of its own\n");
	settle(&b, NULL);
	assert_int_equal(b.n, 0);
	done(&b);
}

static void
a_renamed_port_leaves_before_the_new_one_comes(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, WEB);
	world_read(&b.w, SVC("clusterIP: 10.43.0.2, ports: [{name: www, port: 80}]"));
	assert_string_equal(pass(&b),
			    "- retire service default/web:http  # the service has no such "
			    "port any more\n"
			    "~ program service default/web:www  # no endpoints: refused\n");
	done(&b);
}

static void
other_services_rules_are_not_touched(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, WEB "apiVersion: v1\nkind: Service\nmetadata: {name: web-2, uid: u2}\n"
		       "spec: {clusterIP: 10.43.0.3, ports: [{port: 80}]}\n---\n"
		       "apiVersion: v1\nkind: Service\nmetadata: {name: we, uid: u3}\n"
		       "spec: {clusterIP: 10.43.0.4, ports: [{port: 80}]}\n---\n");
	assert_int_equal(b.n, 3);
	settle(&b, SVC("clusterIP: None, ports: [{name: http, port: 80}]"));
	assert_int_equal(b.n, 2);
	done(&b);
}

static void
who_lost_an_address_or_a_port_does_not_get_its_rules(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, "apiVersion: v1\nkind: Service\n"
		   "metadata: {name: old, uid: u1, creationTimestamp: '2020-01-01T00:00:00Z'}\n"
		   "spec: {clusterIP: 10.43.0.2, type: NodePort, ports: [{port: 80, nodePort: "
		   "30080}]}\n---\n"
		   "apiVersion: v1\nkind: Service\n"
		   "metadata: {name: a, uid: u2, creationTimestamp: '2021-01-01T00:00:00Z'}\n"
		   "spec: {clusterIP: 10.43.0.2, ports: [{port: 80}]}\n---\n"
		   "apiVersion: v1\nkind: Service\n"
		   "metadata: {name: b, uid: u3, creationTimestamp: '2021-01-01T00:00:00Z'}\n"
		   "spec: {clusterIP: 10.43.0.3, type: NodePort, ports: [{port: 80, nodePort: "
		   "30080}]}\n---\n");
	assert_int_equal(programmed(&b, "default/old:80")->nodePort, 30080);
	assert_null(programmed(&b, "default/a:80"));
	assert_int_equal(programmed(&b, "default/b:80")->nodePort, 0);
	done(&b);
}

static void
lists_written_by_hand_serve_a_service_without_a_selector(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, "apiVersion: v1\nkind: Service\nmetadata: {name: db, uid: u1}\n"
		   "spec: {clusterIP: 10.43.0.5, ports: [{port: 5432}]}\n---\n"
		   "apiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\n"
		   "subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{port: 15432}]}]\n---\n");
	assert_string_equal(serving(&b, "default/db:5432"), "192.0.2.9:15432");
	done(&b);
}

/* Nobody can write them any more, but a state that was kept may have them. */
static void
an_address_that_is_nobodys_takes_no_other_endpoint_with_it(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, WEB SLICE("web-a", EP("127.0.0.1", READY) ", " EP(
					  "10.42.0.2", READY) ", " EP("169.254.169.254", READY))
		       SLICE("web-b", EP("0.0.0.0", READY) ", " EP("224.0.0.1", READY) ", " EP(
					  "'::1'", READY) ", " EP("db.example.com", READY)));
	assert_string_equal(serving(&b, "default/web:http"), "10.42.0.2:8080");
	done(&b);
}

/* The addresses of a list as "a b". */
static const char *
words(struct bench *b, const struct strs *list)
{
	char *out = "";

	for (size_t i = 0; i < list->n; i++)
		out = arena_printf(&b->w.arena, "%s%s%s", out, *out ? " " : "", list->at[i]);
	return out;
}

static void
allow(struct bench *b)
{
	world_snapshot(&b->w);
	b->w.settings.node_name = "here";
	b->w.settings.node_ip = "192.0.2.1";
	b->w.settings.pool.at[0] = (struct address_range){ 0xc0000232, 0xc0000233 };
	b->w.settings.external.at[0] = (struct address_range){ 0xcb007107, 0xcb007107 };
	b->w.settings.pool.n = b->w.settings.external.n = 1;
}

static void
entrances_are_passed_on_as_far_as_the_operator_allows_them(void **state)
{
	struct bench b = { 0 };
	const struct service_args *args;

	(void)state;
	allow(&b);
	settle(&b,
	       SVC("clusterIP: 10.43.0.2, type: LoadBalancer, externalTrafficPolicy: Local, "
		   "internalTrafficPolicy: Local, healthCheckNodePort: 31000, "
		   "externalIPs: [203.0.113.7, 8.8.8.8], loadBalancerSourceRanges: "
		   "[' 192.0.2.0/24', 'fd00::/8'], ports: [{name: a, port: 80}, {name: b, "
		   "port: 81}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.50}]}"));
	args = programmed(&b, "default/web:a");
	assert_string_equal(words(&b, &args->externalIPs), "203.0.113.7");
	assert_string_equal(args->balancer, "192.0.2.50");
	/* the host is within these, and speaks from the balancer's own address */
	assert_string_equal(words(&b, &args->sources), "192.0.2.0/24 192.0.2.50/32");
	assert_true(args->localOnly && args->localInside);
	assert_int_equal(args->healthPort, 31000);
	assert_int_equal(programmed(&b, "default/web:b")->healthPort, 0); /* once is enough */
	done(&b);
}

static void
a_balancers_address_and_sources_are_of_their_family(void **state)
{
	struct bench b = { 0 };
	const struct service_args *args;

	(void)state;
	allow(&b);
	b.w.settings.pods6 = (struct addr_range){ (addr)0xfd42 << 112, 64, true };
	b.w.settings.svcs6 = (struct addr_range){ (addr)0xfd43 << 112, 112, true };
	b.w.settings.node_ip6 = "2001:db8::1";
	b.w.settings.pool.at[1] = (struct address_range){ (addr)0x20010db8 << 96 | 0x50,
							  (addr)0x20010db8 << 96 | 0x59 };
	b.w.settings.pool.n = 2;
	settle(&b, SVC("clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2, 'fd43::2'], ipFamilies: "
		       "[IPv4, IPv6], ipFamilyPolicy: RequireDualStack, type: LoadBalancer, "
		       "loadBalancerSourceRanges: ['2001:db8::/48'], ports: [{name: a, port: "
		       "80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.50}, {ip: "
		       "'2001:db8::50'}]}"));
	args = programmed(&b, "default/web:a");
	assert_string_equal(args->balancer, "192.0.2.50");
	/* nobody, rather than everybody */
	assert_string_equal(words(&b, &args->sources), "255.255.255.255/32");
	args = programmed(&b, "default/web:a.v6");
	assert_string_equal(args->balancer, "2001:db8::50");
	assert_string_equal(words(&b, &args->sources), "2001:db8::/48 2001:db8::50/128");
	done(&b);
}

static void
an_external_address_is_of_its_family(void **state)
{
	struct bench b = { 0 };

	(void)state;
	allow(&b);
	b.w.settings.pods6 = (struct addr_range){ (addr)0xfd42 << 112, 64, true };
	b.w.settings.svcs6 = (struct addr_range){ (addr)0xfd43 << 112, 112, true };
	b.w.settings.external.at[1] =
	    (struct address_range){ (addr)0x20010db8 << 96 | 7, (addr)0x20010db8 << 96 | 8 };
	b.w.settings.external.n = 2;
	settle(&b, SVC("clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2, 'fd43::2'], ipFamilies: "
		       "[IPv4, IPv6], ipFamilyPolicy: RequireDualStack, externalIPs: "
		       "[203.0.113.7, '2001:db8::7', '2001:db8::9'], ports: [{name: a, port: "
		       "80}]"));
	assert_string_equal(words(&b, &programmed(&b, "default/web:a")->externalIPs),
			    "203.0.113.7");
	assert_string_equal(words(&b, &programmed(&b, "default/web:a.v6")->externalIPs),
			    "2001:db8::7");
	done(&b);
}

static void
ranges_of_another_family_let_nobody_in_rather_than_everybody(void **state)
{
	struct bench b = { 0 };

	(void)state;
	allow(&b);
	settle(&b, SVC("clusterIP: 10.43.0.2, type: LoadBalancer, loadBalancerSourceRanges: "
		       "['fd00::/8'], ports: [{name: a, port: 80}]}\nstatus: {loadBalancer: "
		       "{ingress: [{ip: 192.0.2.50}]}"));
	assert_string_equal(words(&b, &programmed(&b, "default/web:a")->sources),
			    "255.255.255.255/32");
	done(&b);
}

static void
who_is_not_on_this_host_is_away(void **state)
{
	struct bench b = { 0 };
	const struct service_args *args;

	(void)state;
	allow(&b);
	settle(&b, WEB SLICE("web-a",
			     EP("10.42.0.2", READY) ", {addresses: [192.0.2.1]}, {addresses: "
						    "[192.0.2.7]}, {addresses: [192.0.2.8], "
						    "nodeName: here}, {addresses: [10.42.9.9], "
						    "nodeName: there}"));
	args = programmed(&b, "default/web:http");
	assert_int_equal(args->endpoints.n, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct endpoint_args *x = &args->endpoints.at[i];

		assert_int_equal(x->away,
				 !strcmp(x->ip, "192.0.2.7") || !strcmp(x->ip, "10.42.9.9"));
	}
	done(&b);
}

static void
a_health_check_counts_the_ready_endpoints_here_of_the_family_that_asks(void **state)
{
	struct bench b = { 0 };
	const struct service *svc;
	struct snapshot *s;

	(void)state;
	allow(&b);
	assert_true(addr_range_read("fd42::/64", &b.w.settings.pods6));
	world_read(&b.w,
		   WEB SLICE("web-4", EP("10.42.0.2", READY) ", " EP(
					  "10.42.0.3", GOING) ", " EP("192.0.2.7", READY)));
	world_read(&b.w, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			 "metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}\n"
			 "addressType: IPv6\nports: [{name: http, port: 8080, protocol: TCP}]\n"
			 "endpoints: [" EP("'fd42::a2a:3'", READY) ", " EP(
			     "'fd42::a2a:2'", READY) ", " EP("'2001:db8::1'", READY) "]\n");
	s = world_snapshot(&b.w);
	svc = snapshot_find(s, RES_service, "default", "web");
	assert_int_equal(service_local_ready(s, svc, false), 1);
	assert_int_equal(service_local_ready(s, svc, true), 2);
	done(&b);
}

#define HOST_POD(more)                                                               \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: hp, uid: u-hp" more             \
	"}\nspec: {containers: [{name: c, image: x:1, ports: [{containerPort: 80, "  \
	"hostPort: 8080}, {containerPort: 53, hostPort: 53, protocol: UDP, hostIP: " \
	"192.0.2.1}]}]}\nstatus: {phase: Running, podIP: 10.42.0.9}\n---\n"

static const char *
pass_pods(struct bench *b)
{
	struct snapshot *s = world_snapshot(&b->w);

	s->programmed = b->has;
	s->nprogrammed = b->n;
	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_pod].n; i++)
		hostport_reconcile(s, (const struct pod *)s->of[RES_pod].at[i], &b->plan);
	garbage_reconcile(s, &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static void
host_ports_stand_as_long_as_their_pod_is_wanted(void **state)
{
	struct bench b = { 0 };
	const struct service_args *args;

	(void)state;
	world_read(&b.w, HOST_POD(""));
	assert_string_equal(
	    pass_pods(&b),
	    "~ program service default/hp.pod:8080-tcp 0 -> 1  # host port "
	    "8080 of pod hp\n~ program service default/hp.pod:53-udp-192.0.2.1 0 "
	    "-> 1  # host port 53 of pod hp\n");
	obey(&b);
	assert_string_equal(pass_pods(&b), "");
	args = programmed(&b, "default/hp.pod:53-udp-192.0.2.1");
	assert_string_equal(args->hostIP, "192.0.2.1");
	assert_string_equal(args->ip, "0.0.0.0");
	assert_int_equal(args->nodePort, 53);
	assert_true(args->localOnly);
	world_read(&b.w, HOST_POD(", deletionTimestamp: '2026-01-01T00:00:00Z'"));
	pass_pods(&b);
	assert_non_null(strstr(buf_text(&b.out), "- retire service default/hp.pod:8080-tcp  # "
						 "the pod is gone, or going\n"));
	obey(&b);
	assert_int_equal(b.n, 0);
	done(&b);
}

static void
a_host_port_at_the_hosts_loopback_gets_no_rules(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(
	    &b.w,
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: lo, uid: u-lo}\nspec: {containers: "
	    "[{name: c, image: x:1, ports: [{containerPort: 80, hostPort: 8080, hostIP: "
	    "127.0.0.1}, {containerPort: 81, hostPort: 8081, hostIP: '::1'}, "
	    "{containerPort: 82, hostPort: 8082}]}]}\nstatus: {phase: Running, podIP: "
	    "10.42.0.9, podIPs: [{ip: 10.42.0.9}, {ip: 'fd42::a2a:9'}]}\n---\n");
	pass_pods(&b);
	obey(&b);
	assert_int_equal(b.n, 2);
	assert_non_null(programmed(&b, "default/lo.pod:8082-tcp"));
	assert_non_null(programmed(&b, "default/lo.pod:8082-tcp.v6"));
	done(&b);
}

static void
each_family_is_programmed_by_itself(void **state)
{
#define BOTH                                                                                \
	SVC("clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2, 'fd43::2'], ipFamilies: [IPv4, " \
	    "IPv6], type: NodePort, ports: [{name: http, port: 80, nodePort: 30080}]")
	struct bench b = { 0 };

	(void)state;
	world_snapshot(&b.w);
	assert_true(addr_range_read("fd42::/64", &b.w.settings.pods6) &&
		    addr_range_read("fd43::/112", &b.w.settings.svcs6));
	world_read(&b.w, BOTH SLICE("web-1", EP("10.42.0.2", READY)));
	world_read(&b.w, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			 "metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}\n"
			 "addressType: IPv6\nports: [{name: http, port: 8080, protocol: TCP}]\n"
			 "endpoints: [" EP("'fd42::a2a:3'", READY) ", " EP(
			     "'fd42::a2a:2'", READY) ", " EP("'2001:db8::1'", READY) "]\n");
	settle(&b, NULL);
	assert_string_equal(serving(&b, "default/web:http"), "10.42.0.2:8080");
	assert_string_equal(serving(&b, "default/web:http.v6"),
			    "2001:db8::1:8080 fd42::a2a:2:8080 fd42::a2a:3:8080");
	assert_string_equal(programmed(&b, "default/web:http.v6")->ip, "fd43::2");
	assert_int_equal(programmed(&b, "default/web:http.v6")->nodePort, 30080);
	assert_true(programmed(&b, "default/web:http.v6")->endpoints.at[0].away);
	assert_false(programmed(&b, "default/web:http.v6")->endpoints.at[1].away);
	/* the second goes */
	settle(&b, SVC("clusterIP: 10.43.0.2, clusterIPs: [10.43.0.2], ipFamilies: [IPv4], "
		       "ports: [{name: http, port: 80}]"));
	assert_null(programmed(&b, "default/web:http.v6"));
	assert_string_equal(serving(&b, "default/web:http"), "10.42.0.2:8080");
	done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_family_is_programmed_by_itself),
		cmocka_unit_test(ready_endpoints_are_programmed_in_order_of_address),
		cmocka_unit_test(one_that_goes_leaves_as_soon_as_another_is_ready),
		cmocka_unit_test(no_endpoint_at_all_is_programmed_as_a_refusal),
		cmocka_unit_test(an_absent_condition_means_ready),
		cmocka_unit_test(node_port_affinity_and_policy_are_passed_on),
		cmocka_unit_test(
		    headless_and_external_names_get_no_rules_and_lose_those_they_had),
		cmocka_unit_test(a_renamed_port_leaves_before_the_new_one_comes),
		cmocka_unit_test(other_services_rules_are_not_touched),
		cmocka_unit_test(who_lost_an_address_or_a_port_does_not_get_its_rules),
		cmocka_unit_test(lists_written_by_hand_serve_a_service_without_a_selector),
		cmocka_unit_test(an_address_that_is_nobodys_takes_no_other_endpoint_with_it),
		cmocka_unit_test(entrances_are_passed_on_as_far_as_the_operator_allows_them),
		cmocka_unit_test(a_balancers_address_and_sources_are_of_their_family),
		cmocka_unit_test(an_external_address_is_of_its_family),
		cmocka_unit_test(ranges_of_another_family_let_nobody_in_rather_than_everybody),
		cmocka_unit_test(who_is_not_on_this_host_is_away),
		cmocka_unit_test(
		    a_health_check_counts_the_ready_endpoints_here_of_the_family_that_asks),
		cmocka_unit_test(host_ports_stand_as_long_as_their_pod_is_wanted),
		cmocka_unit_test(a_host_port_at_the_hosts_loopback_gets_no_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

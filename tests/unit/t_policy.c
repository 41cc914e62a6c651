/* t_policy.c -- which rules policies become, when, and what a packet pays for them. */
#include "golden.h"
#include "policy_kit.h"

static const struct host_seen host = { .hostname = "node" };

/* ---- one thing at a time ---- */

#define NS(name)                                                  \
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: " name \
	", labels: {kubernetes.io/metadata.name: " name "}}\n---\n"
#define POD(name, ns, labels, ip, more)                                      \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", uid: u-" name \
	", namespace: " ns ", labels: {" labels                              \
	"}}\nspec: {containers: [{name: a, image: i:1" more "}]}\n"          \
	"status: {podIP: " ip "}\n---\n"
#define POLICY(name, spec)                                                              \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " name \
	"}\nspec: " spec "\n---\n"
#define TWO                                            \
	NS("default")                                  \
	NS("far")                                      \
	POD("a", "default", "app: a", "10.42.0.2", "") \
	POD("b", "default", "app: b", "10.42.0.3", "") \
	POD("c", "far", "app: c", "10.42.0.4", "")

static void
nothing_is_said_without_policies(void **state)
{
	static struct bench b;
	struct chains c = { 0 };
	cleanup_buf struct buf text = { 0 };

	(void)state;
	b = (struct bench){ 0 };
	world_read(&b.w, TWO);
	assert_string_equal(pass(&b), "");
	rules_of(&b, &c);
	text_of(&c, &text);
	assert_non_null(strstr(buf_text(&text), ":KDG-W - [0:0]\n\n")); /* it is empty */
	chains_done(&c);
	done(&b);
}

static void
a_policy_comes_and_goes_with_its_pods(void **state)
{
	static struct bench b;

	(void)state;
	b = (struct bench){ 0 };
	world_read(&b.w, TWO POLICY("deny", "{podSelector: {}}"));
	assert_string_equal(pass(&b), "~ admit networkpolicy default/deny:ingress  # nobody\n"
				      "~ isolate pod default/a  # ingress\n"
				      "~ isolate pod default/b  # ingress\n");
	obey(&b);
	assert_string_equal(pass(&b), "");
	/* a label, a namespace's label, a policy: in the pass that sees it */
	settle(&b, POLICY("deny", "{podSelector: {matchLabels: {app: a}}, policyTypes: "
				  "[Egress]}"));
	assert_int_equal(b.n, 2);
	world_drop(&b.w, "pod", "default", "a");
	assert_string_equal(pass(&b),
			    "- release networkpolicy default/deny:egress  # no pod needs it\n"
			    "- release pod default/a  # no such pod\n");
	obey(&b);
	settle(&b, TWO);
	world_drop(&b.w, "networkpolicy", "default", "deny");
	assert_string_equal(
	    pass(&b), "- release pod default/a  # no policy selects it\n"
		      "- release networkpolicy default/deny:egress  # the policy is gone\n");
	obey(&b);
	assert_int_equal(b.n, 0);
	assert_string_equal(pass(&b), "");
	done(&b);
}

static void
names_of_ports_are_those_of_the_pod_that_is_asked(void **state)
{
	static struct bench b;

	(void)state;
	b = (struct bench){ 0 };
	world_read(&b.w,
		   NS("default") POD("a", "default", "app: a", "10.42.0.2",
				     ", ports: [{name: http, containerPort: 80}]")
		       POD("b", "default", "app: b", "10.42.0.3",
			   ", ports: [{name: http, containerPort: 8080}]")
			   POD("c", "default", "app: c", "10.42.0.4", "")
			       POLICY("web", "{podSelector: {}, ingress: [{ports: [{port: "
					     "http}]}]}"));
	assert_string_equal(
	    pass(&b), "~ admit networkpolicy default/web:ingress-80 0 -> 1\n"
		      "~ admit networkpolicy default/web:ingress-8080 0 -> 1\n"
		      "~ admit networkpolicy default/web:ingress-0  # nobody\n"
		      "~ isolate pod default/a  # ingress\n~ isolate pod default/b  # ingress\n"
		      "~ isolate pod default/c  # ingress\n");
	done(&b);
}

static bool
plan_has(const struct plan *p, enum verb v, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].verb == v && !strcmp(p->at[i].name, name))
			return true;
	return false;
}

/* Everything that a pod needs to be started at once. */
#define NODE "apiVersion: v1\nkind: Node\nmetadata: {name: node}\nstatus: {}\n---\n"
#define PLACED(name, ip)                                                                   \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", uid: u-" name               \
	", namespace: default, labels: {app: " name "}}\nspec: {nodeName: node, "          \
	"restartPolicy: Always, dnsPolicy: Default, containers: [{name: a, image: 'i:1', " \
	"imagePullPolicy: IfNotPresent}]}\nstatus: {phase: Pending, podIP: " ip "}\n---\n"

static void
a_pod_starts_when_its_isolation_is_in_force_and_not_before(void **state)
{
	static struct bench b;
	const struct pod *pod;
	struct snapshot *s;
	struct plan p;

	(void)state;
	b = (struct bench){ .w.s.host = &host };
	world_read(&b.w,
		   NODE NS("default") PLACED("free", "10.42.0.2") PLACED("bound", "10.42.0.3")
		       POLICY("deny", "{podSelector: {matchLabels: {app: bound}}}"));
	for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
		s = look(&b);
		plan_init(&p, &b.w.arena);
		for (size_t i = 0; i < s->of[RES_pod].n; i++)
			pod_reconcile(s, (const struct pod *)s->of[RES_pod].at[i], &p);
		assert_true(plan_has(&p, ACT_START, "free"));
		assert_int_equal(plan_has(&p, ACT_START, "bound"), acknowledged);
		for (size_t i = 0; i < p.n; i++)
			if (p.at[i].verb == ACT_START)
				assert_int_equal(
				    ((const struct sandbox_args *)p.at[i].body)->isolated,
				    !strcmp(p.at[i].name, "bound"));
		pass(&b);
		obey(&b);
	}
	/* of another address it says nothing */
	pod = snapshot_find(look(&b), RES_pod, "default", "bound");
	assert_non_null(pod);
	pod->status->podIP = "10.42.0.9";
	s = look(&b);
	plan_init(&p, &b.w.arena);
	pod_reconcile(s, pod, &p);
	assert_false(plan_has(&p, ACT_START, "bound"));
	done(&b);
}

static void
an_address_that_a_rule_names_is_given_to_nobody(void **state)
{
	static struct bench b;
	struct snapshot *s;
	struct plan p;

	(void)state;
	b = (struct bench){ .w.s.host = &host };
	world_read(&b.w, NODE TWO POLICY("some", "{podSelector: {matchLabels: {app: a}}, "
						 "ingress: [{from: [{podSelector: {}}]}]}"));
	pass(&b);
	obey(&b);
	world_drop(&b.w, "pod", "default", "a"); /* isolated */
	world_drop(&b.w, "pod", "default", "b"); /* admitted */
	world_drop(&b.w, "pod", "far", "c");     /* neither */
	world_read(&b.w, "apiVersion: v1\nkind: Pod\nmetadata: {name: new, uid: u-new}\n"
			 "spec: {containers: [{name: a, image: i}]}\n");
	s = look(&b);
	plan_init(&p, &b.w.arena);
	pod_reconcile(s, (const struct pod *)s->of[RES_pod].at[0], &p);
	assert_true(plan_has(&p, ACT_UPDATE, "new"));
	for (size_t i = 0; i < p.n; i++)
		if (p.at[i].verb == ACT_UPDATE)
			assert_string_equal(((const struct pod *)p.at[i].body)->status->podIP,
					    "10.42.0.4");
	done(&b);
}

/* ---- many ---- */

static void
the_way_of_a_packet_does_not_grow_with_those_who_are_isolated(void **state)
{
	static struct bench b;
	static struct np_isolated pods[2000];
	static const struct np_isolated *all[2000];
	struct chains c = { 0 };
	struct map chains = { 0 };

	(void)state;
	b = (struct bench){ 0 };
	for (size_t i = 0; i < 2000; i++) {
		pods[i] = (struct np_isolated){ "ns/p", net.pods.net + 2 + (uint32_t)i * 3,
						true,   true,
						NULL,   0 };
		all[i] = &pods[i];
		policy_text_pod(&pods[i], NULL, 0, &c);
	}
	rules_base(&net, &c);
	rules_dispatch(&net, NULL, 0, &c);
	policy_text_trees(&net, all, 2000, &c);
	by_name(&c, &chains);
	for (size_t i = 0; i < 2000; i++) {
		struct packet shut = { .src = 1, .dst = pods[i].ip, .out = true, .proto = 6 };
		struct packet open = {
			.src = 1, .dst = pods[i].ip + 1, .out = true, .proto = 6
		};

		assert_int_equal(walk(&chains, "KDG-F", &shut), REFUSE);
		assert_int_equal(walk(&chains, "KDG-F", &open), GO_ON);
		assert_in_range(shut.looked_at, 1, 12 + 7 * 4 + RULES_LEAF);
		assert_in_range(open.looked_at, 1, 12 + 7 * 4 + RULES_LEAF);
	}
	map_done(&chains);
	chains_done(&c);
	done(&b);
}

static void
a_peer_among_many_is_found(void **state)
{
	static addr ips[1000];
	struct np_rule rule = { .pods = ips, .npods = 1000 };
	struct np_part part = { "ns/many:ingress", false, &rule, 1 };
	const struct np_part *parts[] = { &part };
	struct np_isolated pod = { "ns/p", net.pods.net + 5000, true, false, NULL, 0 };
	const struct np_isolated *all[] = { &pod };
	struct chains c = { 0 };
	struct map chains = { 0 };

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		ips[i] = net.pods.net + 2 + (uint32_t)((i * 7) % 1000) * 2;
	rules_base(&net, &c);
	rules_dispatch(&net, NULL, 0, &c);
	policy_text_part(&net, &part, &c);
	policy_text_pod(&pod, parts, 1, &c);
	policy_text_trees(&net, all, 1, &c);
	by_name(&c, &chains);
	for (uint32_t i = 0; i < 2000; i++) {
		struct packet p = { .src = net.pods.net + 2 + i,
				    .dst = pod.ip,
				    .in = true,
				    .out = true,
				    .proto = 6 };

		assert_int_equal(walk(&chains, "KDG-F", &p) == REFUSE, i % 2);
		assert_in_range(p.looked_at, 1, 60);
		/* from outside nobody comes with its address */
		p.in = false;
		assert_int_equal(walk(&chains, "KDG-F", &p), REFUSE);
	}
	map_done(&chains);
	chains_done(&c);
}

/* ---- of IPv6 ---- */

static void
blocks_of_ipv6_count_where_pods_have_it(void **state)
{
	static const char yaml[] =
	    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: "
	    "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: '::/0', except: "
	    "['fd42::a2a:9/128']}}, {ipBlock: {cidr: 192.0.2.0/24}}]}]}\n---\n"
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, uid: u-a}\nspec: {nodeName: node, "
	    "containers: [{name: c, image: i}]}\nstatus: {podIP: 10.42.0.2}\n";

	(void)state;
	for (int six = 0; six < 2; six++) {
		static struct bench b;
		const struct admit_args *args = NULL;

		b = (struct bench){ 0 };
		world_snapshot(&b.w);
		if (six)
			assert_true(addr_range_read("fd42::/64", &b.w.settings.pods6));
		settle(&b, yaml);
		for (size_t i = 0; i < b.n; i++)
			if (!strncmp(b.has[i].id, "networkpolicy", 13))
				args = b.has[i].args;
		assert_non_null(args);
		assert_int_equal(args->rules.at[0].nets.n, 1 + six);
		assert_string_equal(args->rules.at[0].nets.at[0].cidr,
				    six ? "::/0" : "192.0.2.0/24");
		done(&b);
	}
}

static addr
six_of(const char *text)
{
	addr a = 0;

	assert_true(addr_read(text, &a));
	return a;
}

static void
rules_of_ipv6_are_as_those_of_ipv4(void **state)
{
	const struct rules_net six = { .v6 = true,
				       .bridge = "kedge0",
				       .pods.net = six_of("fd42:0:0:0::a2a:0"),
				       .pods.bits = 64 };
	struct addr_range all = { .v6 = true }, but[3], wide;
	const addr pods[] = { six_of("fd42::a2a:7"), six_of("fd42::a2a:8") };
	struct np_block blocks[2] = { { .net = all, .except = but, .n = 3 } };
	struct np_rule rule = { .pods = pods, .npods = 2, .blocks = blocks, .nblocks = 2 };
	struct np_part part = { "ns/p:ingress", false, &rule, 1 };
	const struct np_part *parts[] = { &part };
	struct np_isolated pod = { "ns/a", six_of("fd42::a2a:2"), true, true, NULL, 0 };
	const struct np_isolated *isolated[] = { &pod };
	static const char *const lines[] = {
		" -s fd42::a2a:9/128 -j RETURN\n",
		" -s 2001:db8::/32 -j RETURN\n",
		" -s ::1.2.3.4/128 -j RETURN\n",
		" -s ::/3 -g KDG-WY\n",
		" -s fd42::a2a:7/128 -g KDG-WY\n",
		"-A KDG-WI -d fd42::a2a:2/128 -g KDG-GI-",
		"-A KDG-WE -s fd42::a2a:2/128 -g KDG-GE-",
		" -j REJECT --reject-with icmp6-adm-prohibited\n",
	};
	cleanup_buf struct buf text = { 0 };
	struct chains c = { 0 };

	(void)state;
	assert_true(addr_range_read("fd42::a2a:9/128", &but[0]) &&
		    addr_range_read("2001:db8::7/32", &but[1]) &&
		    addr_range_read("::102:304/128", &but[2]) &&
		    addr_range_read("::/3", &wide));
	blocks[1].net = wide;
	policy_text_part(&six, &part, &c);
	policy_text_pod(&pod, parts, 1, &c);
	policy_text_trees(&six, isolated, 1, &c);
	text_of(&c, &text);
	for (size_t i = 0; i < c.n; i++)
		assert_true(strlen(c.at[i].name) <= 28);
	chains_done(&c);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!strstr(buf_text(&text), lines[i]))
			fail_msg("no \"%s\" in\n%s", lines[i], buf_text(&text));
}

/* ---- golden ---- */

static void
the_text_is_as_reviewed(void **state)
{
	static struct bench b;
	cleanup_free char *yaml = golden_contents("tests/golden/netproxy/policy.yaml");
	cleanup_free char *want = golden_contents("tests/golden/netproxy/policy.rules");
	cleanup_buf struct buf text = { 0 };
	struct chains c = { 0 };

	(void)state;
	b = (struct bench){ 0 };
	assert_non_null(yaml);
	settle(&b, yaml);
	rules_of(&b, &c);
	text_of(&c, &text);
	chains_done(&c);
	if (getenv("KEDGE_GOLDEN")) {
		FILE *f = fopen("tests/golden/netproxy/policy.rules", "we");

		assert_non_null(f);
		fputs(buf_text(&text), f);
		fclose(f);
	} else {
		assert_string_equal(buf_text(&text), want ? want : "");
	}
	done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_ipv6_count_where_pods_have_it),
		cmocka_unit_test(rules_of_ipv6_are_as_those_of_ipv4),
		cmocka_unit_test(nothing_is_said_without_policies),
		cmocka_unit_test(a_policy_comes_and_goes_with_its_pods),
		cmocka_unit_test(names_of_ports_are_those_of_the_pod_that_is_asked),
		cmocka_unit_test(a_pod_starts_when_its_isolation_is_in_force_and_not_before),
		cmocka_unit_test(an_address_that_a_rule_names_is_given_to_nobody),
		cmocka_unit_test(the_way_of_a_packet_does_not_grow_with_those_who_are_isolated),
		cmocka_unit_test(a_peer_among_many_is_found),
		cmocka_unit_test(the_text_is_as_reviewed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

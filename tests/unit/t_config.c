/* t_config.c -- kedge.yaml: what is wrong in it is told with its place, all at once. */
#include "../../daemon/config.h"
#include "../../reconcile/base/arena.h"
#include "../../reconcile/base/buf.h"
#include "../../reconcile/base/cleanup.h"
#include "../../reconcile/base/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* All that is said of this text, a line each; "" when it is fine. */
static const char *
said(const char *yaml, struct arena *a)
{
	char path[] = "/tmp/kedge-config.XXXXXX";
	struct complaints cs = { .arena = a };
	cleanup_error struct error *e = NULL;
	struct buf out = { 0 };
	int fd = mkstemp(path);
	struct config *c;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
	close(fd);
	c = config_read(path, a, &cs, &e);
	unlink(path);
	assert_null(e);
	complaints_sort(&cs);
	for (const struct complaint *x = cs.first; x; x = x->next)
		buf_addf(&out, "%d:%d: %s: %s\n", x->line, x->col, x->field ? x->field : "",
			 x->text);
	if (c && config_finish(c, a, &e) < 0)
		buf_addf(&out, "%s\n", error_text(e));
	yaml = arena_strdup(a, buf_text(&out));
	buf_done(&out);
	return yaml;
}

static void
is_said(const char *yaml, const char *want)
{
	cleanup_arena struct arena a = { 0 };
	const char *got = said(yaml, &a);

	if (!strstr(got, want) || (!*want && *got))
		fail_msg("of\n%s\nit is said\n%s\nnot\n%s", yaml, got, want);
}

static void
servers_that_would_not_be_asked_are_refused(void **state)
{
	cleanup_buf struct buf text = { 0 };
#define EIGHT                                                                           \
	"192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, 192.0.2.6, 192.0.2.7, " \
	"192.0.2.8"

	(void)state;
	is_said("dns:\n  upstreams: [" EIGHT "]\n", "");
	is_said("dns:\n  upstreams:\n    [" EIGHT ",\n     192.0.2.9]\n",
		"4:6: dns.upstreams[8]: Too many: 9: must have at most 8 items");
	is_said("dns:\n  stubDomains:\n  - domain: a.test\n    servers:\n      [" EIGHT
		",\n       192.0.2.9]\n",
		"6:8: dns.stubDomains[0].servers[8]: Too many: 9: must have at most 8 items");
	buf_adds(&text, "dns:\n  stubDomains:\n");
	for (int i = 0; i < 64; i++)
		buf_addf(&text, "  - {domain: d%d.test, servers: [192.0.2.1]}\n", i);
	is_said(buf_text(&text), "");
	buf_adds(&text, "  - {domain: last.test, servers: [192.0.2.1]}\n");
	is_said(buf_text(&text),
		"67:5: dns.stubDomains[64]: Too many: 65: must have at most 64 items");
}

static void
a_range_that_is_none_is_told_with_its_place(void **state)
{
	(void)state;
	is_said("network:\n  podCIDR: here\n",
		"2:12: network.podCIDR: Invalid value: \"here\": must be an IPv4 range such as "
		"10.42.0.0/16");
	is_said("network:\n  podCIDR: 10.0.0.0/99\n", "2:12: network.podCIDR: ");
	is_said("network:\n  podCIDR: 10.0.0.256/16\n", "must be an IPv4 range");
	is_said("network:\n  podCIDR: fd00::/64\n", "must be an IPv4 range");
	is_said("network:\n  serviceCIDR: 10.43.0.0\n", "2:16: network.serviceCIDR: ");
	is_said("network:\n  serviceCIDR: 10.43.0.0/16x\n", "must be an IPv4 range");
}

static void
a_range_with_host_bits_is_told_where_it_begins(void **state)
{
	(void)state;
	is_said("network: {podCIDR: 10.42.7.1/16}\n",
		"1:20: network.podCIDR: Invalid value: \"10.42.7.1/16\": has bits set behind "
		"its /16: the range begins at 10.42.0.0/16");
}

static void
a_range_that_is_too_small_or_too_wide_is_refused(void **state)
{
	(void)state;
	is_said("network: {podCIDR: 10.42.0.0/29}\n", "must be a range of /8 to /28, not /29");
	is_said("network: {podCIDR: 0.0.0.0/0}\n", "must be a range of /8 to /28, not /0");
	is_said("network: {podCIDR: 10.42.0.0/28}\n", "");
}

static void
ranges_that_overlap_are_told_with_both_and_a_place(void **state)
{
	(void)state;
	is_said(
	    "network:\n  podCIDR: 10.42.0.0/16\n  serviceCIDR: 10.42.128.0/20\n",
	    "3:16: network.serviceCIDR: Invalid value: \"10.42.128.0/20\": overlaps podCIDR "
	    "10.42.0.0/16");
	is_said("network: {podCIDR: 10.0.0.0/8}\n",
		"network.serviceCIDR: Invalid value: \"10.43.0.0/16\": overlaps podCIDR "
		"10.0.0.0/8");
	is_said("network: {podCIDR: 10.42.0.0/17, serviceCIDR: 10.42.128.0/17}\n", "");
}

static void
a_second_range_is_of_ipv6_and_both_have_one(void **state)
{
	(void)state;
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/64', serviceCIDR: "
		"'10.43.0.0/16,fd43::/112'}\n",
		"");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/64'}\n",
		"network.serviceCIDR: Invalid value: \"10.43.0.0/16\": has no IPv6 range, and "
		"podCIDR has one");
	is_said("network: {serviceCIDR: '10.43.0.0/16,fd43::/112'}\n",
		"network.podCIDR: Invalid value: \"10.42.0.0/16\": has no IPv6 range");
	is_said("network: {podCIDR: 'fd42::/64,10.42.0.0/16'}\n",
		"1:20: network.podCIDR: Invalid value: \"fd42::/64,10.42.0.0/16\": begins with "
		"an IPv6 range: the first family");
	is_said("network: {podCIDR: '10.42.0.0/16,10.44.0.0/16'}\n",
		"must be an IPv6 range such as fd42::/64");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::'}\n",
		"must be an IPv6 range such as fd42::/64");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/112'}\n",
		"must have an IPv6 range of /16 to /96, not /112");
	is_said("network: {serviceCIDR: '10.43.0.0/16,fd43::/64'}\n",
		"must have an IPv6 range of /96 to /120, not /64");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::1/64'}\n",
		"has bits set behind its /64: the range begins at fd42::/64");
	is_said("network: {podCIDR: '10.42.0.0/16,fe80::/64'}\n",
		"has an IPv6 range of addresses that no pod or Service can have");
	is_said("network: {podCIDR: '10.42.0.0/16,::ffff:0:0/96'}\n",
		"has an IPv6 range of addresses that no pod or Service can have");
	is_said("network: {serviceCIDR: '10.43.0.0/16,::ffff:a2b:0/112'}\n",
		"has an IPv6 range of addresses that no pod or Service can have");
	is_said("network: {podCIDR: '10.42.0.0/16,::/64'}\n",
		"has an IPv6 range of addresses that no pod or Service can have");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/64', serviceCIDR: "
		"'10.43.0.0/16,fd42::7:0/112'}\n",
		"network.serviceCIDR: Invalid value: \"10.43.0.0/16,fd42::7:0/112\": overlaps "
		"podCIDR");
	is_said("network: {podCIDR: '10.42.0.0/16,2001:db8::/64', serviceCIDR: "
		"'10.43.0.0/16,fd43::/112'}\n",
		"network.podCIDR: 2001:db8::/64 is no range of unique local addresses "
		"(fc00::/7)");
}

static void
addresses_to_give_away_are_as_they_are_said(void **state)
{
	(void)state;
	is_said("loadBalancer: {addresses: ['2001:db8::10']}\n",
		"loadBalancer.addresses: \"2001:db8::10\" is of IPv6, of which network.podCIDR "
		"and network.serviceCIDR have no ranges");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/64', serviceCIDR: "
		"'10.43.0.0/16,fd43::/112'}\nloadBalancer: {addresses: ['fd43::50']}\n",
		"loadBalancer.addresses: \"fd43::50\" overlaps with network.podCIDR or "
		"network.serviceCIDR");
	is_said("network: {podCIDR: '10.42.0.0/16,fd42::/64', serviceCIDR: "
		"'10.43.0.0/16,fd43::/112'}\nloadBalancer: {addresses: ['192.0.2.50', "
		"'2001:db8::50-2001:db8::59', '2001:db8:1::/64']}\n",
		"");
	is_said("allow: {externalIPs: ['2001:db8::1/64']}\n", "has bits set behind its /BITS");
	is_said("allow: {externalIPs: ['2001:db8::9-2001:db8::1']}\n", "ends before it begins");
	is_said("allow: {externalIPs: ['192.0.2.1-2001:db8::1']}\n",
		"begins and ends in another family");
	is_said("allow: {externalIPs: ['fe80::/64']}\n",
		"has loopback, link-local or multicast addresses");
	is_said("allow: {externalIPs: ['2001:db8::/x']}\n",
		"must be ADDRESS, ADDRESS/BITS or FIRST-LAST");
}

static void
a_listen_address_off_loopback_or_without_a_port_is_refused(void **state)
{
	(void)state;
	is_said("listen: 0.0.0.0:8001\n", "1:9: listen: Invalid value: \"0.0.0.0:8001\": must "
					  "be on loopback");
	is_said("listen: 127.0.0.1\n", "must be ADDRESS:PORT");
	is_said("listen: 127.0.0.1:70000\n", "must be ADDRESS:PORT");
	is_said("listen: 127.0.0.1:80x\n", "must be ADDRESS:PORT");
	is_said("listen: 127.0.0.1:0\n", "");
	is_said("listen: \"\"\n", "");
}

static void
a_node_that_kubernetes_would_not_take_is_refused_in_its_words(void **state)
{
	(void)state;
	is_said("node: {name: My_Host}\n",
		"1:14: node.name: Invalid value: \"My_Host\": a lowercase RFC 1123 subdomain");
	is_said("node:\n  labels: {\"a b\": c}\n", "node.labels: Invalid value: \"a b\": name "
						   "part must consist of");
	is_said("node:\n  labels:\n    zone: \"-x\"\n",
		"node.labels: Invalid value: \"-x\": a valid label must be");
	is_said("node: {name: host.example.com, labels: {example.com/zone: a}}\n", "");
}

static void
a_source_with_a_bad_or_a_doubled_name_is_refused_with_its_place(void **state)
{
	(void)state;
	is_said("sources:\n- {name: My Source, url: /x}\n",
		"2:10: sources[0].name: Invalid value: \"My Source\": a lowercase RFC 1123 "
		"label");
	is_said("sources:\n- {name: -a, url: /x}\n", "sources[0].name: Invalid value: \"-a\"");
	is_said("sources:\n- {name: a/b, url: /x}\n", "sources[0].name: ");
	is_said("sources:\n- {name: a, url: /x}\n- {name: a, url: /y}\n",
		"3:10: sources[1].name: Duplicate value: \"a\"");
	is_said("sources:\n- {name: a, url: /x}\n- {name: a-b, url: /y}\n", "");
	is_said("sources:\n- {url: /x}\n", "2:3: sources[0].name: Required value");
	is_said("sources:\n- {name: a, url: /x, path: ../b}\n", "must not contain '..'");
}

static void
all_that_is_wrong_is_told_at_once(void **state)
{
	(void)state;
	is_said("listen: x\nnetwork:\n  bridge: \"a b\"\n  nodePortRange: 9-1\n",
		"1:9: listen: Invalid value: \"x\": must be ADDRESS:PORT, such as "
		"127.0.0.1:8001\n"
		"3:11: network.bridge: Invalid value: \"a b\": must be 1 to 15 of "
		"[A-Za-z0-9_-]\n"
		"4:18: network.nodePortRange: Invalid value: \"9-1\": must be LOW-HIGH within "
		"1-65535\n");
}

static void
paths_are_absolute(void **state)
{
	(void)state;
	is_said("state: var/lib\n", "1:8: state: Invalid value: \"var/lib\": must be an "
				    "absolute path");
	is_said("cgroup: /kedge\n",
		"1:9: cgroup: Invalid value: \"/kedge\": must be a relative "
		"path");
}

static void
what_cannot_take_commits_is_not_written_back_to(void **state)
{
#define SOURCE(more) "sources:\n- {name: a, " more ", writeBack: true}\n"
	(void)state;
	is_said(
	    SOURCE("url: 'https://git.test/a.git'"),
	    "source \"a\": writeBack: commits are made in a Git repository on this host, and "
	    "https://git.test/a.git is on another one");
	is_said(SOURCE("url: 'git@git.test:a.git'"), "is on another one");
	is_said(SOURCE("url: /usr, type: directory"), "and /usr is a plain directory");
	is_said(SOURCE("url: /srv/none.git"), "");
	is_said(SOURCE("url: 'file:///srv/none.git'"), "");
	is_said(SOURCE("url: /nowhere"), ""); /* it may become a repository */
}

static void
the_brain_is_not_root_by_any_name(void **state)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct config *c = config_default(&a);

	(void)state;
	is_said("state: /x\nuser: root\n",
		"2:7: user: Invalid value: \"root\": must not be root");
	is_said("user: daemon\n", "");
	is_said("user: nobody-has-this-name\n", "");
	c->user = "root"; /* --user, which no rule has seen */
	assert_int_equal(config_finish(c, &a, &e), -1);
	assert_non_null(strstr(error_text(e), "\"root\" has uid 0"));
}

static void
kedges_folders_are_not_the_root_however_it_is_written(void **state)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct config *c = config_default(&a);

	(void)state;
	is_said("state: /\n",
		"1:8: state: Invalid value: \"/\": must be a folder of kedge's own");
	is_said("run: //\n", "1:6: run: Invalid value: ");
	is_said("logs: /./\n", "1:7: logs: Invalid value: ");
	is_said("state: /a/../..\n",
		"1:8: state: Invalid value: \"/a/../..\": must not contain");
	is_said("state: /k\nrun: /r.d\nlogs: /.k\n", "");
	c->state = "/"; /* --state */
	assert_int_equal(config_finish(c, &a, &e), -1);
	assert_non_null(strstr(error_text(e), "state: \"/\" must be a folder"));
}

static void
a_bridge_is_not_a_name_of_the_kernels(void **state)
{
	(void)state;
	is_said("network: {bridge: lo}\n",
		"1:19: network.bridge: Invalid value: \"lo\": is the "
		"kernel's own name");
	is_said("network: {bridge: all}\n", "network.bridge: ");
	is_said("network: {bridge: lo1}\n", "");
}

static void
a_registry_is_a_host_and_a_port(void **state)
{
	static const char *const bad[] = { "http://x", "a/b",     "x:99999", "x:0",
					   "x:",       "x:80:80", "x\\ny",   "x y",
					   "-x",       "x:80/",   ":80",     "x.",
					   "[::1]:5",  "u@x",     "x:+80",   "x:080800" };
	cleanup_buf struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_clear(&b);
		buf_addf(&b, "registries:\n- host: \"%s\"\n", bad[i]);
		is_said(buf_text(&b), "2:9: registries[0].host: Invalid value: ");
		buf_clear(&b);
		buf_addf(&b, "registries:\n- host: x\n  mirrors: [m, \"%s/\"]\n", bad[i]);
		is_said(buf_text(&b), "3:16: registries[0].mirrors[1]: Invalid value: ");
	}
	is_said("registries: [{host: x, mirrors: [\"http://y\"]}]\n",
		"mirrors[0]: Invalid value");
	is_said("registries: [{host: x, mirrors: [\"y/../z\"]}]\n",
		"mirrors[0]: Invalid value");
	is_said("registries: [{host: x, mirrors: [\"y/a//z\"]}]\n",
		"mirrors[0]: Invalid value");
	is_said("registries: [{host: \"10.0.0.1:65535\", mirrors: [m, \"y:5000/hub/a.b\"]},\n"
		"  {host: docker.io}, {host: localhost}]\n",
		"");
}

static void
a_size_is_one(void **state)
{
	(void)state;
	is_said("limits: {logMaxSize: -1}\n",
		"1:22: limits.logMaxSize: Invalid value: \"-1\": must "
		"be at least 1Ki");
	is_said("limits: {logMaxSize: 1m}\n", "must be at least 1Ki");
	is_said("limits: {logMaxSize: 0}\n", "must be at least 1Ki");
	is_said("images: {maxSize: -5Gi}\n",
		"1:19: images.maxSize: Invalid value: \"-5Gi\": must");
	is_said("limits: {logMaxSize: x}\n", "quantities must match");
	is_said("limits: {logMaxSize: 1Mi}\nimages: {maxSize: 4Gi}\n", "");
}

static void
a_capability_is_one_that_there_is_in_capitals(void **state)
{
	(void)state;
	is_said(
	    "allow: {capabilities: [NET_ADMIN, sys_admin]}\n",
	    "1:35: allow.capabilities[1]: Invalid value: \"sys_admin\": must be a capability "
	    "in capitals");
	is_said("allow: {capabilities: [FOO]}\n",
		"allow.capabilities[0]: Invalid value: \"FOO\"");
	is_said("allow: {capabilities: [\"KILL SETGID\"]}\n", "allow.capabilities[0]: Invalid");
	is_said("allow: {capabilities: [CAP_]}\n", "allow.capabilities[0]: Invalid");
	is_said("allow: {capabilities: [CHOWN, CAP_SYS_ADMIN, ALL, CHECKPOINT_RESTORE]}\n", "");
}

static void
addresses_of_the_pool_are_addresses_and_nobody_elses(void **state)
{
	(void)state;
	is_said("loadBalancer: {addresses: [192.0.2.7, 192.0.2.8/30, 192.0.2.20-192.0.2.30]}\n"
		"allow: {externalIPs: [203.0.113.0/24]}\n",
		"");
	is_said("loadBalancer:\n  addresses: [there]\n",
		"2:15: loadBalancer.addresses[0]: Invalid value: \"there\": must be ADDRESS, "
		"ADDRESS/BITS or FIRST-LAST, such as 192.0.2.10-192.0.2.20");
	is_said("loadBalancer: {addresses: [192.0.2.9-192.0.2.1]}\n", "ends before it begins");
	is_said("loadBalancer: {addresses: [192.0.2.7/24]}\n", "has bits set behind its /BITS");
	is_said("loadBalancer: {addresses: [127.0.0.1]}\n",
		"has loopback or multicast addresses");
	is_said("loadBalancer: {addresses: [10.42.3.0/24]}\n",
		"loadBalancer.addresses: \"10.42.3.0/24\" overlaps with network.podCIDR or "
		"network.serviceCIDR");
	is_said("allow: {externalIPs: [10.0.0.0-10.255.255.255]}\n",
		"allow.externalIPs: \"10.0.0.0-10.255.255.255\" overlaps with");
}

static void
what_is_kedges_own_is_no_pods(void **state)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct config_host_path rows[] = { { .pathPrefix = "/var/lib" },
					   { .pathPrefix = "/srv/kedge" },
					   { .pathPrefix = "/", .readOnly = true } };
	struct config *c = config_default(&a);
	struct strs doubts;

	(void)state;
	is_said("allow: {hostPaths: [{pathPrefix: /srv}, {pathPrefix: /var/lib/kedge/}]}\n",
		"allow.hostPaths[1]: \"/var/lib/kedge/\" is kedge's own, as all of "
		"/var/lib/kedge is");
	is_said("state: /srv/k\nallow: {hostPaths: [{pathPrefix: /srv/k/images}]}\n",
		"as all of /srv/k is");
	is_said("state: /srv/k\nallow: {hostPaths: [{pathPrefix: /srv/ke}]}\n", "");
	c->allow->hostPaths.at = rows;
	c->allow->hostPaths.n = 3;
	assert_int_equal(config_finish(c, &a, &e), 0);
	doubts = config_doubts(c, &a);
	assert_int_equal(doubts.n, 2);
	assert_non_null(strstr(doubts.at[0],
			       "allow.hostPaths[0]: kedge's own /var/lib/kedge is "
			       "in \"/var/lib\": a pod that mounts it can make "
			       "itself root"));
	assert_non_null(strstr(doubts.at[1], "allow.hostPaths[2]: kedge's own"));
	c->allow->hostPaths.n = 0;
	c->allow->hostNetwork = true;
	assert_int_equal(config_doubts(c, &a).n, 0);
	c->listen = "127.0.0.1:8001";
	doubts = config_doubts(c, &a);
	assert_int_equal(doubts.n, 1);
	assert_non_null(
	    strstr(doubts.at[0], "may do everything through listen (127.0.0.1:8001)"));
}

/* ---- the sample that `make install` puts into /etc/kedge ---- */

/* Behind its #, is it a key: "podCIDR: 10.42.0.0/16", "- name: deploy"? */
static bool
is_key(const char *p)
{
	p += strspn(p, " ");
	p += strncmp(p, "- ", 2) ? 0 : 2;
	p += strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return p[0] == ':' && (p[1] == ' ' || !p[1]);
}

/* The sample with all that is off put on. */
static char *
sample_read(struct arena *a)
{
	FILE *f = fopen("daemon/systemd/kedge.yaml", "re");
	struct buf out = { 0 };
	char line[200], *text;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "sources: []"))
			buf_adds(&out, "sources:\n");
		else if (strncmp(line, "# ", 2) || is_key(line + 2))
			buf_addf(&out, "%s\n", line + (*line == '#' ? 2 : 0));
		if (*line == '#' && strlen(line) > 105)
			fail_msg("wider than 105 columns: %s", line);
		if (!strncmp(line, "# ", 2) && is_key(line + 2) &&
		    line[strlen(line) - 1] != ':' && !strstr(line + 2, "  # "))
			fail_msg("a key without a word about it: %s", line);
	}
	fclose(f);
	text = arena_strdup(a, buf_text(&out));
	buf_done(&out);
	return text;
}

static void
has_all(const struct tree *at, const struct kind *k, const char *path)
{
	for (const struct field *f = k->fields; f->name; f++) {
		const struct tree *found = tree_get(at, f->name);

		if (!found)
			fail_msg("the sample lacks %s%s", path, f->name);
		if (f->type == T_OBJ || f->type == T_LIST) {
			char below[100];

			snprintf(below, sizeof below, "%s%s.", path, f->name);
			has_all(f->type == T_LIST ? found->kids : found, f->of(), below);
		}
	}
}

static void
the_sample_names_every_key_and_each_can_be_put_on(void **state)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints cs = { .arena = &a };
	const char *text = sample_read(&a);

	(void)state;
	is_said(text, "");
	has_all(yaml_read(text, strlen(text), &a, &cs), config_kind(), "");
	assert_int_equal(cs.errors, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kedges_own_is_no_pods),
		cmocka_unit_test(addresses_of_the_pool_are_addresses_and_nobody_elses),
		cmocka_unit_test(servers_that_would_not_be_asked_are_refused),
		cmocka_unit_test(a_range_that_is_none_is_told_with_its_place),
		cmocka_unit_test(a_range_with_host_bits_is_told_where_it_begins),
		cmocka_unit_test(a_range_that_is_too_small_or_too_wide_is_refused),
		cmocka_unit_test(ranges_that_overlap_are_told_with_both_and_a_place),
		cmocka_unit_test(a_second_range_is_of_ipv6_and_both_have_one),
		cmocka_unit_test(addresses_to_give_away_are_as_they_are_said),
		cmocka_unit_test(a_listen_address_off_loopback_or_without_a_port_is_refused),
		cmocka_unit_test(a_node_that_kubernetes_would_not_take_is_refused_in_its_words),
		cmocka_unit_test(
		    a_source_with_a_bad_or_a_doubled_name_is_refused_with_its_place),
		cmocka_unit_test(all_that_is_wrong_is_told_at_once),
		cmocka_unit_test(paths_are_absolute),
		cmocka_unit_test(kedges_folders_are_not_the_root_however_it_is_written),
		cmocka_unit_test(a_bridge_is_not_a_name_of_the_kernels),
		cmocka_unit_test(a_registry_is_a_host_and_a_port),
		cmocka_unit_test(a_size_is_one),
		cmocka_unit_test(a_capability_is_one_that_there_is_in_capitals),
		cmocka_unit_test(what_cannot_take_commits_is_not_written_back_to),
		cmocka_unit_test(the_brain_is_not_root_by_any_name),
		cmocka_unit_test(the_sample_names_every_key_and_each_can_be_put_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* config.c -- the operator's file and flags: read, merged, checked as a whole. */
#include "config.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/map.h"
#include "../reconcile/dns.h"
#include "../reconcile/rules.h"
#include "files.h"
#include "spawn.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const struct tree empty_map = { .type = N_MAP };

/* A section that the file leaves out is decoded from an empty one, for its defaults. */
static void
sections_fill(struct config *c, struct arena *a)
{
	struct complaints none = { .arena = a };

	if (!c->node)
		c->node =
		    schema_decode(config_node_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->network)
		c->network =
		    schema_decode(config_network_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->dns)
		c->dns = schema_decode(config_dns_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->limits)
		c->limits =
		    schema_decode(config_limits_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->images)
		c->images =
		    schema_decode(config_images_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->users)
		c->users =
		    schema_decode(config_users_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->allow)
		c->allow =
		    schema_decode(config_allow_kind(), &empty_map, SCHEMA_STRICT, a, &none);
	if (!c->loadBalancer)
		c->loadBalancer = schema_decode(config_load_balancer_kind(), &empty_map,
						SCHEMA_STRICT, a, &none);
}

struct config *
config_default(struct arena *a)
{
	struct complaints none = { .arena = a };
	struct config *c = schema_decode(config_kind(), &empty_map, SCHEMA_STRICT, a, &none);

	sections_fill(c, a);
	return c;
}

struct config *
config_read(const char *path, struct arena *a, struct complaints *cs, struct error **e)
{
	cleanup_buf struct buf text = { 0 };
	struct config *c;
	struct tree *n;
	int before = cs->errors;

	if (file_read(path, 1 << 20, &text, e) < 0)
		return NULL;
	cs->path = arena_strdup(a, path);
	n = yaml_read(buf_text(&text), text.len, a, cs);
	if (cs->errors > before)
		return NULL;
	if (!n || n->type == N_NULL)
		return config_default(a);
	if (n->next)
		complain(cs, n->next->line, n->next->col, NULL,
			 "a second document; kedge.yaml holds one");
	c = schema_decode(config_kind(), n, SCHEMA_STRICT, a, cs);
	if (cs->errors > before)
		return NULL;
	sections_fill(c, a);
	return c;
}

static const char *
source_name(const char *url, struct arena *a)
{
	size_t n = strlen(url);
	const char *p;
	char *name;

	while (n > 1 && url[n - 1] == '/')
		n--;
	if (n > 4 && !strncmp(url + n - 4, ".git", 4))
		n -= 4;
	for (p = url + n; p > url && p[-1] != '/' && p[-1] != ':'; p--)
		;
	name = arena_strndup(a, p, url + n - p);
	for (char *q = name; *q; q++)
		if (*q >= 'A' && *q <= 'Z')
			*q += 'a' - 'A';
		else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", *q))
			*q = '-';
	while (*name == '-')
		name++;
	for (n = strlen(name); n && name[n - 1] == '-';)
		name[--n] = 0;
	return *name ? name : "source";
}

int
config_add_source(struct config *c, const char *text, struct arena *a, struct error **e)
{
	struct config_source s = { .interval = 30, .timeout = 120 }, *at;
	char *url = arena_strdup(a, text), *p;
	size_t name_len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (name_len && text[name_len] == '=') {
		s.name = arena_strndup(a, text, name_len);
		url += name_len + 1;
	}
	if ((p = strstr(url, ",path="))) {
		*p = 0;
		s.path = p + 6;
	}
	if ((p = strrchr(url, '#'))) {
		*p = 0;
		s.ref = p + 1;
	}
	if (!*url)
		return fail(e, WHY_INVALID,
			    "--source \"%s\": no URL or directory; write "
			    "[NAME=]URL|DIR[#REF][,path=SUBDIR]",
			    text);
	s.url = url;
	if (!s.name)
		s.name = source_name(url, a);
	at = arena_alloc(a, (c->sources.n + 1) * sizeof *at);
	if (c->sources.n)
		memcpy(at, c->sources.at, c->sources.n * sizeof *at);
	at[c->sources.n++] = s;
	c->sources.at = at;
	return 0;
}

int
ipv4_parse(const char *text, uint32_t *ret, struct error **e)
{
	if (!ipv4_read(text, ret))
		return fail(e, WHY_INVALID, "\"%s\" is not an IPv4 address", text);
	return 0;
}

int
addr_parse(const char *text, addr *ret, struct error **e)
{
	if (!addr_read(text, ret))
		return fail(e, WHY_INVALID, "\"%s\" is no address of IPv4 or IPv6", text);
	return 0;
}

static int
range_parse(const char *field, const char *text, bool services, struct addr_range *ret_four,
	    struct addr_range *ret_six, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const char *why = ranges_read(text, services, ret_four, ret_six, &a);

	return why ? fail(e, WHY_INVALID, "%s: \"%s\" %s", field, text, why) : 0;
}

int
listen_parse(const char *text, uint32_t *ret_ip, uint16_t *ret_port, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const char *why = listen_read(text, ret_ip, ret_port, &a);

	return why ? fail(e, WHY_INVALID, "listen: \"%s\" %s", text, why) : 0;
}

bool
config_secure(const struct config *c, const struct settings *s, uint32_t *ret_ip,
	      uint16_t *ret_port)
{
	const char *text = c->secureListen;

	*ret_ip = s->pods.net + 1; /* the bridge's own address */
	*ret_port = SECURE_PORT;
	if (!text || !*text)
		return true;
	return strcmp(text, "none") != 0 && !secure_listen_read(text, ret_ip, ret_port);
}

/* Pods' and services' own addresses are in nobody's gift. */
static int
addresses_parse(const char *field, const struct strs *list, const struct settings *set,
		struct address_ranges *ret, struct error **e)
{
	const struct addr_range nets[] = { set->pods, set->svcs, set->pods6, set->svcs6 };

	if (list->n > ADDRESS_RANGES)
		return fail(e, WHY_INVALID, "%s: has %zu entries, at most %d are possible",
			    field, list->n, ADDRESS_RANGES);
	for (size_t i = 0; i < list->n; i++) {
		struct address_range *r = &ret->at[i];
		const char *why = addresses_read(list->at[i], &r->first, &r->last);

		for (int k = 0; k < 4 && !why; k++) {
			addr last = nets[k].net |
				    ~addr_head(~(addr)0, nets[k].bits, addr_bits(nets[k].v6));

			if (nets[k].bits && r->first <= last && r->last >= nets[k].net)
				why = "overlaps with network.podCIDR or network.serviceCIDR";
		}
		if (why)
			return fail(e, WHY_INVALID, "%s: \"%s\" %s", field, list->at[i], why);
	}
	ret->n = list->n;
	return 0;
}

/* Of a family that no Service has nothing could be given. */
static int
pool_check(const struct config *c, const struct settings *set, struct error **e)
{
	for (size_t i = 0; i < set->pool.n; i++)
		if (addr_v6(set->pool.at[i].first) && !set->svcs6.bits)
			return fail(e, WHY_INVALID,
				    "loadBalancer.addresses: \"%s\" is of IPv6, of which "
				    "network.podCIDR and network.serviceCIDR have no ranges",
				    c->loadBalancer->addresses.at[i]);
	return 0;
}

int
config_settings(const struct config *c, struct settings *ret, struct error **e)
{
	struct settings s = {
		.node_name = c->node->name,
		.node_labels = c->node->labels,
		.cluster_domain = c->dns->clusterDomain,
		.cluster_dns = c->network->clusterDNS,
		.accounts = true,
		.drain_ms = c->limits->drainSeconds * 1000,
	};
	const char *why;

	if (range_parse("network.podCIDR", c->network->podCIDR, false, &s.pods, &s.pods6, e) <
		0 ||
	    range_parse("network.serviceCIDR", c->network->serviceCIDR, true, &s.svcs, &s.svcs6,
			e) < 0)
		return -1;
	why = ports_read(c->network->nodePortRange, &s.node_port_lo, &s.node_port_hi);
	if (why)
		return fail(e, WHY_INVALID, "network.nodePortRange: \"%s\" %s",
			    c->network->nodePortRange, why);
	if (addresses_parse("loadBalancer.addresses", &c->loadBalancer->addresses, &s, &s.pool,
			    e) < 0 ||
	    pool_check(c, &s, e) < 0 ||
	    addresses_parse("allow.externalIPs", &c->allow->externalIPs, &s, &s.external, e) <
		0)
		return -1;
	*ret = s;
	return 0;
}

struct strs
config_ranges(const struct settings *set, struct arena *a)
{
	const struct addr_range *const all[] = { &set->pods, &set->svcs, &set->pods6,
						 &set->svcs6 };
	struct strs s = { arena_alloc(a, sizeof all / sizeof *all * sizeof *s.at), 0 };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i]->bits)
			s.at[s.n++] = addr_range_text(*all[i], a);
	return s;
}

struct watch_args
config_watch(const struct config_source *c)
{
	return (struct watch_args){ .url = c->url,
				    .ref = c->ref,
				    .path = c->path,
				    .type = c->type,
				    .interval = c->interval,
				    .timeout = c->timeout,
				    .writeBack = c->writeBack,
				    .knownHosts = c->knownHosts,
				    .sshKey = c->sshKey,
				    .tokenFile = c->tokenFile,
				    .caFile = c->caFile };
}

static bool
is_url(const char *url)
{
	return strstr(url, "://") || (strchr(url, '@') && strchr(url, ':'));
}

/* A directory that holds a repository, bare or not, is followed as one. */
static const char *
source_type(const char *url)
{
	cleanup_free char *git = NULL, *head = NULL, *objects = NULL;
	size_t n = strlen(url);
	struct stat st;

	if (is_url(url))
		return "git";
	/* Not made yet: the name says what it is going to be. */
	if (stat(url, &st) && n > 4 && !strcmp(url + n - 4, ".git"))
		return "git";
	xasprintf(&git, "%s/.git", url);
	xasprintf(&head, "%s/HEAD", url);
	xasprintf(&objects, "%s/objects", url);
	if (!stat(git, &st) || (!stat(head, &st) && !stat(objects, &st)))
		return "git";
	return "directory";
}

/* A flag passed no row. */
static int
folders_check(const struct config *c, struct arena *a, struct error **e)
{
	const char *const folders[][2] = { { "state", c->state },
					   { "run", c->run },
					   { "logs", c->logs } };

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		const char *why = is_own_folder(folders[i][1], a);

		if (why)
			return fail(e, WHY_INVALID, "%s: \"%s\" %s", folders[i][0],
				    folders[i][1], why);
	}
	return 0;
}

/* Links followed as far as there is something; else as it is written. */
static const char *
real_path(const char *path, struct arena *a)
{
	char *real = realpath(path, NULL);
	const char *ret = real ? arena_strdup(a, real) : path;

	free(real);
	return ret;
}

/* Is `path` that folder, or in it? */
static bool
is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return !strncmp(path, folder, n) && (!path[n] || path[n] == '/');
}

/* What kedge keeps there says who may do what: no pod has it.  `*ret`: the folder of its own
 * that is in a row of hostPaths; NULL: in none is any. */
static int
host_paths_check(const struct config *c, size_t row, struct arena *a, const char **ret,
		 struct error **e)
{
	const char *const own[] = { c->state, c->run, c->logs };
	const char *path = real_path(c->allow->hostPaths.at[row].pathPrefix, a);

	*ret = NULL;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		const char *folder = real_path(own[i], a);

		if (is_below(path, folder))
			return fail(e, WHY_INVALID,
				    "allow.hostPaths[%zu]: \"%s\" is kedge's own, as all of %s "
				    "is: pods cannot have it",
				    row, c->allow->hostPaths.at[row].pathPrefix, own[i]);
		if (!*ret && is_below(folder, path))
			*ret = own[i];
	}
	return 0;
}

struct strs
config_doubts(const struct config *c, struct arena *a)
{
	const char **at = arena_zalloc(a, (c->allow->hostPaths.n + 2) * sizeof *at);
	struct strs ret = { at, 0 };

	/* The kernel tells whose a connection is, not from where: of pods with a network of
	 * their own none gets to the host's loopback. */
	if (c->allow->hostNetwork && c->listen && *c->listen)
		at[ret.n++] = arena_printf(
		    a,
		    "allow.hostNetwork: root in a pod on the host's network, or a uid of the "
		    "group kedge, may do everything through listen (%s): leave listen out and "
		    "use the API over TLS (kedge kubeconfig), or allow no hostNetwork",
		    c->listen);

	for (size_t i = 0; i < c->allow->hostPaths.n; i++) {
		const struct config_host_path *row = &c->allow->hostPaths.at[i];
		cleanup_error struct error *e = NULL;
		const char *own;

		if (host_paths_check(c, i, a, &own, &e) == 0 && own)
			at[ret.n++] = arena_printf(
			    a,
			    "allow.hostPaths[%zu]: kedge's own %s is in \"%s\": a pod that "
			    "mounts it %s; name the folders that pods need",
			    i, own, row->pathPrefix,
			    row->readOnly ? "reads every secret there"
					  : "can make itself root of this host");
	}
	return ret;
}

/* Whether the branch can be written to only its worker sees; it says so in the status. */
static int
write_back_check(const struct config_source *s, struct error **e)
{
	bool remote = is_url(s->url) && strncmp(s->url, "file://", 7) != 0;

	/* what is not there yet may become a repository */
	if (!s->writeBack ||
	    (!remote && (strcmp(s->type, "directory") != 0 || access(s->url, F_OK) < 0)))
		return 0;
	return fail(e, WHY_INVALID,
		    "source \"%s\": writeBack: commits are made in a Git repository on this "
		    "host, and %s is %s",
		    s->name, s->url, remote ? "on another one" : "a plain directory");
}

static int
sources_finish(struct config *c, struct arena *a, struct error **e)
{
	struct map seen = { 0 };
	int rc = 0;

	for (size_t i = 0; i < c->sources.n && !rc; i++) {
		struct config_source *s = &c->sources.at[i];
		const char *why = is_label(s->name, a); /* a flag passed no row */

		if (why)
			rc = fail(e, WHY_INVALID, "source \"%s\": %s", s->name, why);
		else if (map_put(&seen, s->name, s))
			rc = fail(e, WHY_INVALID,
				  "two sources are named \"%s\" (those of kedge.yaml and of "
				  "--source count together): leave one out, or give it "
				  "another name (--source NAME=%s)",
				  s->name, s->url);
		if (!is_url(s->url) && *s->url != '/') {
			char *full = realpath(s->url, NULL);

			if (full)
				s->url = arena_strdup(a, full);
			else if (!rc)
				rc = fail_sys(e, "source %s: %s", s->name, s->url);
			free(full);
		}
		if (!s->type)
			s->type = source_type(s->url);
		if (!rc)
			rc = write_back_check(s, e);
	}
	map_done(&seen);
	return rc;
}

int
config_finish(struct config *c, struct arena *a, struct error **e)
{
	struct identity brain;
	struct settings s;
	uint32_t ip;
	uint16_t port;
	bool found;

	const char *why = c->node->name ? is_subdomain(c->node->name, a) : NULL;

	if (why)
		return fail(e, WHY_INVALID, "node.name: \"%s\" %s", c->node->name, why);
	for (size_t i = 0; i < c->allow->hostPaths.n; i++) {
		const char *own;

		if (host_paths_check(c, i, a, &own, e) < 0)
			return -1;
	}
	if (config_settings(c, &s, e) < 0 || folders_check(c, a, e) < 0 ||
	    identity_of_brain(c->user, &brain, &found, e) < 0)
		return -1;
	if (!c->network->clusterDNS || !*c->network->clusterDNS)
		c->network->clusterDNS = ipv4_text(dns_address(&s), a);
	if (c->users->first % 65536 ||
	    c->users->first + c->users->ranges * 65536 > INT64_C(4294901760))
		return fail(e, WHY_INVALID,
			    "users: first %lld is not a multiple of 65536, or %lld ranges of "
			    "65536 from there go past the last id",
			    (long long)c->users->first, (long long)c->users->ranges);
	if (c->users->ranges < c->limits->maxPods)
		return fail(e, WHY_INVALID,
			    "users.ranges: %lld pods can have ids of their own, and "
			    "limits.maxPods is %lld: give more ranges, or allow fewer pods",
			    (long long)c->users->ranges, (long long)c->limits->maxPods);
	if (c->listen && *c->listen && listen_parse(c->listen, &ip, &port, e) < 0)
		return -1;
	why = c->secureListen ? is_secure_listen(c->secureListen, a)
			      : NULL; /* nor did this flag */
	if (why)
		return fail(e, WHY_INVALID, "secureListen: \"%s\" %s", c->secureListen, why);
	if (!c->cgroup || !*c->cgroup) {
		if (!strcmp(c->state, "/var/lib/kedge"))
			c->cgroup = "kedge";
		else
			c->cgroup = arena_printf(a, "kedge-%08" PRIx32,
						 (uint32_t)hash_str(0, c->state));
	}
	return sources_finish(c, a, e);
}

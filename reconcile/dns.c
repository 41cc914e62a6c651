/* dns.c -- see dns.h.
 *
 * A headless Service is listed by its ready endpoints, and has no name at all
 * while there is none.  An endpoint without a hostname goes by its address with
 * dashes, so that SRV has somebody to name.
 */
#include "dns.h"
#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/ipv4.h"
#include "base/map.h"
#include "base/text.h"
#include "service.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "1.1.0"

enum {
	NDOTS = 5,
	DNS_HOST = 10,
	API_PORT = 443,
	NAME_MAX_TEXT = 253,
	LABEL_MAX_TEXT = 63,
	ADDRESS_TEXT = 46,
};

struct lines {
	const char **at;
	size_t n, cap;
	struct arena *a;
	const char *zone; /* the cluster's domain */
	const char *left; /* the first name that there can be no record of; NULL: none */
	size_t nleft;     /* records that were left out for such names */
};

/* Why there is no such name in DNS; NULL: there is. */
static const char *
no_name(const char *name)
{
	if (strlen(name) > NAME_MAX_TEXT)
		return "longer than 253 letters";
	for (;;) {
		size_t n = strcspn(name, ".");

		if (!n)
			return "with an empty part";
		if (n > LABEL_MAX_TEXT)
			return "with a part longer than 63 letters";
		for (size_t i = 0; i < n; i++)
			if (!isgraph((unsigned char)name[i]))
				return "with a blank in it";
		if (!name[n])
			return NULL;
		name += n + 1;
	}
}

/* A record, "A 10.43.0.2", or one that ends with a name, "PTR".  One that DNS has no room for
 * takes none of the others with it: it is left out, and dns_left_out says so. */
static void
record(struct lines *l, const char *owner, const char *data, const char *target)
{
	const char *bad = no_name(owner) ? owner : target && no_name(target) ? target : NULL;

	if (bad) {
		l->left = l->left ? l->left : bad;
		l->nleft++;
		return;
	}
	if (l->n == l->cap) {
		const char **at;

		l->cap = l->cap ? 2 * l->cap : 16;
		at = arena_alloc(l->a, l->cap * sizeof *at);
		if (l->n)
			memcpy(at, l->at, l->n * sizeof *at);
		l->at = at;
	}
	l->at[l->n++] = arena_printf(l->a, "%s %s%s%s", owner, data, target ? " " : "",
				     target ? target : "");
}

static int
line_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
lines_print(struct lines *l, struct buf *out)
{
	if (l->n)
		qsort(l->at, l->n, sizeof *l->at, line_order);
	for (size_t i = 0; i < l->n; i++)
		if (!i || strcmp(l->at[i - 1], l->at[i]) != 0) {
			buf_adds(out, l->at[i]);
			buf_addc(out, '\n');
		}
}

static char *
lower(const char *text, struct arena *a)
{
	char *s = arena_strdup(a, text ? text : "");

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

/* ---- addresses ---- */

struct address {
	bool v6;
	uint8_t at[16];
};

static bool
address_read(const char *text, struct address *ret)
{
	ret->v6 = strchr(text ? text : "", ':') != NULL;
	return inet_pton(ret->v6 ? AF_INET6 : AF_INET, text ? text : "", ret->at) == 1;
}

/* As the pointer's owner: 4.3.2.1.in-addr.arpa, or 32 nibbles and ip6.arpa. */
static const char *
reverse(const struct address *x, struct arena *a)
{
	char text[80], *p = text;

	if (!x->v6)
		return arena_printf(a, "%u.%u.%u.%u.in-addr.arpa", x->at[3], x->at[2], x->at[1],
				    x->at[0]);
	for (int i = 15; i >= 0; i--) {
		*p++ = "0123456789abcdef"[x->at[i] & 15];
		*p++ = '.';
		*p++ = "0123456789abcdef"[x->at[i] >> 4];
		*p++ = '.';
	}
	*p = 0;
	return arena_printf(a, "%sip6.arpa", text);
}

/* One spelling for one address. */
static const char *
address_text(const struct address *x, struct arena *a)
{
	char text[ADDRESS_TEXT];

	inet_ntop(x->v6 ? AF_INET6 : AF_INET, x->at, text, sizeof text);
	return arena_strdup(a, text);
}

/* The system-assigned identifier of an endpoint without a hostname, as CoreDNS has it. */
static const char *
dashed(const struct address *x, struct arena *a)
{
	char *s = arena_strdup(a, address_text(x, a));

	for (char *p = s; *p; p++)
		if (*p == '.' || *p == ':')
			*p = '-';
	return s;
}

static void
address_line(struct lines *l, const char *name, const struct address *x)
{
	record(l, name,
	       arena_printf(l->a, "%s %s", x->v6 ? "AAAA" : "A", address_text(x, l->a)), NULL);
}

/* ---- Services ---- */

static bool
is_type(const struct service *svc, const char *type)
{
	return svc->spec && str_is(svc->spec->type, type);
}

static bool
is_headless(const struct service *svc)
{
	return svc->spec && str_is(svc->spec->clusterIP, "None") &&
	       !is_type(svc, "ExternalName");
}

static const char *
service_name(const struct service *svc, const char *zone, struct arena *a)
{
	return arena_printf(a, "%s.%s.svc.%s", object_name(svc), object_namespace(svc), zone);
}

static const char *
protocol_of(const char *protocol, struct arena *a)
{
	return lower(str_is(protocol, "") ? "TCP" : protocol, a);
}

/* A port that has a name. */
static void
port_line(struct lines *l, const char *name, const char *port, const char *protocol,
	  size_t weight, int64_t number, const char *target)
{
	if (str_is(port, ""))
		return;
	record(l,
	       arena_printf(l->a, "_%s._%s.%s", lower(port, l->a), protocol_of(protocol, l->a),
			    name),
	       arena_printf(l->a, "SRV 0 %zu %lld", weight, (long long)number), target);
}

static void
cluster_ip_lines(struct lines *l, struct snapshot *s, const struct service *svc,
		 const char *name)
{
	struct address ip;

	for (int v6 = 0; v6 < 2; v6++) {
		if (!address_read(service_address(s, svc, v6), &ip))
			continue;
		address_line(l, name, &ip);
		record(l, reverse(&ip, l->a), "PTR", name);
	}
	for (size_t i = 0; i < svc->spec->ports.n; i++) {
		const struct service_port *p = &svc->spec->ports.at[i];

		port_line(l, name, p->name, p->protocol, 100, p->port, name);
	}
}

/* As the proxy: no names of addressType FQDN, no address of the client's own host or link. */
static bool
is_served(const char *ip)
{
	addr x;

	return addr_read(ip, &x) && !addr_is_special(x);
}

/* One endpoint: its address under the service's name and its own, and back. */
static void
endpoint_lines(struct lines *l, const char *name, const char *ip, const char *hostname,
	       const struct endpoint_port *ports, size_t n, size_t weight)
{
	const char *own;
	struct address x;

	if (!is_served(ip) || !address_read(ip, &x))
		return;
	own =
	    arena_printf(l->a, "%s.%s",
			 str_is(hostname, "") ? dashed(&x, l->a) : lower(hostname, l->a), name);
	address_line(l, name, &x);
	address_line(l, own, &x);
	record(l, reverse(&x, l->a), "PTR", own);
	for (size_t i = 0; i < n; i++)
		if (ports[i].port)
			port_line(l, name, ports[i].name, ports[i].protocol, weight,
				  ports[i].port, own);
}

static size_t
ready_count(const struct objects *slices, const struct endpoints *old)
{
	size_t n = 0;

	for (size_t i = 0; i < slices->n; i++) {
		const struct endpoint_slice *x = (const struct endpoint_slice *)slices->at[i];

		for (size_t k = 0; k < x->endpoints.n; k++)
			n += endpoint_is_ready(&x->endpoints.at[k]) &&
			     is_served(x->endpoints.at[k].addresses.at[0]);
	}
	for (size_t i = 0; old && i < old->subsets.n; i++)
		for (size_t k = 0; k < old->subsets.at[i].addresses.n; k++)
			n += is_served(old->subsets.at[i].addresses.at[k].ip);
	return n;
}

/* As CoreDNS: the weights of one name sum up to about a hundred. */
static size_t
weight_of(size_t n)
{
	return n && n < 100 ? 100 / n : 1;
}

static void
headless_lines(struct lines *l, struct snapshot *s, const struct service *svc, const char *name)
{
	struct objects slices = service_slices(s, svc);
	const struct endpoints *old = service_old_form(s, svc, &slices);
	size_t weight = weight_of(ready_count(&slices, old));

	for (size_t i = 0; i < slices.n; i++) {
		const struct endpoint_slice *x = (const struct endpoint_slice *)slices.at[i];

		for (size_t k = 0; k < x->endpoints.n; k++) {
			const struct endpoint *e = &x->endpoints.at[k];

			if (endpoint_is_ready(e))
				endpoint_lines(l, name, e->addresses.at[0], e->hostname,
					       x->ports.at, x->ports.n, weight);
		}
	}
	for (size_t i = 0; old && i < old->subsets.n; i++) {
		const struct endpoint_subset *sub = &old->subsets.at[i];

		for (size_t k = 0; k < sub->addresses.n; k++)
			endpoint_lines(l, name, sub->addresses.at[k].ip,
				       sub->addresses.at[k].hostname, sub->ports.at,
				       sub->ports.n, weight);
	}
}

static void
external_lines(struct lines *l, const struct service *svc, const char *name)
{
	char *to = lower(svc->spec->externalName, l->a);
	size_t n = strlen(to);

	if (n && to[n - 1] == '.')
		to[--n] = 0;
	if (n)
		record(l, name, "CNAME", to);
}

static void
service_lines(struct lines *l, struct snapshot *s, const struct service *svc)
{
	const char *name = service_name(svc, l->zone, l->a);

	if (!svc->spec)
		return;
	if (is_type(svc, "ExternalName"))
		external_lines(l, svc, name);
	else if (is_headless(svc))
		headless_lines(l, s, svc, name);
	else if (service_has_address(s, svc))
		cluster_ip_lines(l, s, svc, name);
}

/* ---- the zone itself ---- */

uint32_t
dns_address(const struct settings *set)
{
	uint32_t ip;

	if (str_is(set->cluster_dns, ""))
		return set->svcs.net + DNS_HOST;
	return ipv4_read(set->cluster_dns, &ip) &&
		       ipv4_within(ip, set->svcs.net, set->svcs.bits)
		   ? ip
		   : 0;
}

static struct address
address_from(uint32_t ip)
{
	uint32_t net = htonl(ip);
	struct address x = { .v6 = false };

	memcpy(x.at, &net, sizeof net);
	return x;
}

static bool
has_api_service(const struct snapshot *s)
{
	return snapshot_find(s, RES_service, "default", "kubernetes") != NULL;
}

/* The API's name is there before anybody makes its Service, as pods expect. */
static void
zone_lines(struct lines *l, struct snapshot *s)
{
	struct address dns = address_from(dns_address(s->settings));
	struct address api = address_from(s->settings->svcs.net + API_HOST);
	const char *ns = arena_printf(l->a, "ns.dns.%s", l->zone);
	const char *name = arena_printf(l->a, "kubernetes.default.svc.%s", l->zone);

	record(l, arena_printf(l->a, "dns-version.%s", l->zone), "TXT " SCHEMA, NULL);
	record(l, arena_printf(l->a, "svc.%s", l->zone), "EXISTS", NULL);
	record(l, arena_printf(l->a, "pod.%s", l->zone), "EXISTS", NULL);
	address_line(l, ns, &dns);
	record(l, reverse(&dns, l->a), "PTR", ns);
	if (has_api_service(s))
		return;
	address_line(l, name, &api);
	record(l, reverse(&api, l->a), "PTR", name);
	port_line(l, name, "https", "TCP", 100, API_PORT, name);
}

/* ---- parts ---- */

static uint64_t
print_add(uint64_t h, const struct object *o)
{
	return hash_str(hash_str(h, object_uid(o)),
			o->metadata->resourceVersion ? o->metadata->resourceVersion : "");
}

static uint64_t
service_print(struct snapshot *s, const struct service *svc)
{
	uint64_t h = print_add((service_address(s, svc, false) != NULL) +
				   2u * (service_address(s, svc, true) != NULL),
			       (const struct object *)svc);
	struct objects slices;
	const struct endpoints *old;

	if (!is_headless(svc))
		return h;
	slices = service_slices(s, svc);
	old = service_old_form(s, svc, &slices);
	for (size_t i = 0; i < slices.n; i++)
		h = print_add(h, slices.at[i]);
	return old ? print_add(h, (const struct object *)old) : h;
}

struct dns_part *
dns_parts(struct snapshot *s, struct arena *a, size_t *ret_n)
{
	const struct objects *svcs = &s->of[RES_service], *nss = &s->of[RES_namespace];
	struct dns_part *at = arena_alloc(a, (svcs->n + nss->n + 1) * sizeof *at);
	size_t n = 0;

	at[n++] = (struct dns_part){ "zone", has_api_service(s) + 1, NULL };
	for (size_t i = 0; i < nss->n; i++)
		at[n++] =
		    (struct dns_part){ arena_printf(a, "namespace/%s", object_name(nss->at[i])),
				       1, nss->at[i] };
	for (size_t i = 0; i < svcs->n; i++) {
		const struct service *svc = (const struct service *)svcs->at[i];

		at[n++] =
		    (struct dns_part){ arena_printf(a, "service/%s/%s", object_namespace(svc),
						    object_name(svc)),
				       service_print(s, svc), svcs->at[i] };
	}
	*ret_n = n;
	return at;
}

void
dns_part_text(struct snapshot *s, const struct dns_part *part, struct arena *a, struct buf *out)
{
	struct lines l = { .a = a, .zone = lower(s->settings->cluster_domain, a) };

	if (!part->of)
		zone_lines(&l, s);
	else if (resource_of(part->of)->id == RES_service)
		service_lines(&l, s, (const struct service *)part->of);
	else {
		const char *ns = object_name(part->of);

		record(&l, arena_printf(a, "%s.svc.%s", ns, l.zone), "EXISTS", NULL);
		record(&l, arena_printf(a, "%s.pod.%s", ns, l.zone), "PODS", NULL);
	}
	lines_print(&l, out);
}

/* ---- why ---- */

const char *
dns_left_out(struct snapshot *s, const struct service *svc, struct arena *a)
{
	struct lines l = { .a = a, .zone = lower(s->settings->cluster_domain, a) };

	service_lines(&l, s, svc);
	if (!l.left)
		return NULL;
	return arena_printf(a, "DNS has no name %s (%s): %zu of its records %s left out",
			    no_name(l.left), l.left, l.nleft, l.nleft == 1 ? "is" : "are");
}

/* `*name` up to what ends in ".tail"; NULL: it does not. */
static const char *
before(const char *name, const char *tail, struct arena *a)
{
	size_t n = strlen(name), t = strlen(tail);

	return n > t + 1 && name[n - t - 1] == '.' && !strcmp(name + n - t, tail)
		   ? arena_strndup(a, name, n - t - 1)
		   : NULL;
}

static const char *
why_service(struct snapshot *s, const struct service *svc, const char *below, struct arena *a)
{
	struct objects slices = service_slices(s, svc);
	const struct endpoints *old = service_old_form(s, svc, &slices);
	const char *path = object_path(svc, a);
	size_t ready = ready_count(&slices, old);

	if (is_type(svc, "ExternalName"))
		return arena_printf(a, "service %s is an ExternalName: %s", path,
				    svc->spec->externalName);
	if (is_headless(svc) && !ready)
		return arena_printf(a, "service %s is headless and has no ready endpoint",
				    path);
	if (is_headless(svc))
		return arena_printf(
		    a, "service %s is headless and has %zu ready endpoint%s%s", path, ready,
		    ready == 1 ? "" : "s",
		    *below ? "; below it are the names of its endpoints and of its "
			     "named ports"
			   : "");
	if (!service_has_address(s, svc))
		return arena_printf(a, "service %s has no address (yet)", path);
	return arena_printf(a, "service %s has the cluster IP %s%s%s%s", path,
			    svc->spec->clusterIP, svc->spec->clusterIPs.n > 1 ? " and " : "",
			    svc->spec->clusterIPs.n > 1 ? svc->spec->clusterIPs.at[1] : "",
			    *below ? "; below it are its named ports" : "");
}

static const char *
why_svc(struct snapshot *s, const char *rest, struct arena *a)
{
	const char *dot = strrchr(rest, '.'), *ns = dot ? dot + 1 : rest, *name, *below = "";
	const struct service *svc;
	const char *left;

	if (!snapshot_find(s, RES_namespace, "", ns))
		return arena_printf(a, "there is no namespace \"%s\"", ns);
	if (!dot)
		return arena_printf(a, "namespace %s is there; a service's name goes before it",
				    ns);
	left = arena_strndup(a, rest, dot - rest);
	dot = strrchr(left, '.');
	name = dot ? dot + 1 : left;
	if (dot)
		below = left;
	svc = snapshot_find(s, RES_service, ns, name);
	left = svc ? dns_left_out(s, svc, a) : NULL;
	if (left)
		return arena_printf(a, "%s; %s", why_service(s, svc, below, a), left);
	if (!svc && str_is(ns, "default") && str_is(name, "kubernetes"))
		return "the API's own name; there is no Service of it";
	return svc ? why_service(s, svc, below, a)
		   : arena_printf(a, "there is no service \"%s\" in namespace %s", name, ns);
}

bool
dns_why(struct snapshot *s, const char *name, struct arena *a, const char **ret)
{
	const char *zone = lower(s->settings->cluster_domain, a), *rest;
	const char *low = lower(name, a);

	if (str_is(low, zone)) {
		*ret = "the cluster's domain itself";
		return true;
	}
	rest = before(low, zone, a);
	if (!rest)
		return false;
	if (str_is(rest, "svc") || str_is(rest, "pod"))
		*ret = "the folder of all services or pods";
	else if (before(rest, "svc", a))
		*ret = why_svc(s, before(rest, "svc", a), a);
	else if (before(rest, "pod", a))
		*ret = "names of pods are their addresses: A-B-C-D.NAMESPACE.pod";
	else
		*ret = arena_printf(
		    a, "nothing in %s is called that: services are below svc.%s", zone, zone);
	return true;
}

size_t
dns_candidates(const struct settings *set, const char *ns, const char *name, struct arena *a,
	       const char *ret[DNS_CANDIDATES])
{
	const char *zone = set->cluster_domain;
	size_t n = 0, len = strlen(name), dots = 0;
	bool absolute = len && name[len - 1] == '.';
	const char *plain = arena_strndup(a, name, len - absolute);

	for (const char *p = name; *p; p++)
		dots += *p == '.';
	if (absolute || dots >= NDOTS)
		ret[n++] = plain;
	if (absolute)
		return n;
	ret[n++] = arena_printf(a, "%s.%s.svc.%s", name, ns, zone);
	ret[n++] = arena_printf(a, "%s.svc.%s", name, zone);
	ret[n++] = arena_printf(a, "%s.%s", name, zone);
	if (dots < NDOTS)
		ret[n++] = plain;
	return n;
}

/* rules_config.c -- what a setting of kedge.yaml must look like.
 *
 * The same functions read the values, so that what the check lets pass is what
 * the daemon gets.
 */
#include "base/addr.h"
#include "base/arena.h"
#include "base/ipv4.h"
#include "dns.h"
#include "rules.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Digits alone, up to `end`. */
static bool
number_read(const char *s, char end, unsigned most, unsigned *ret)
{
	size_t n = strspn(s, "0123456789");
	unsigned x = 0;

	if (!n || n > 5 || s[n] != end)
		return false;
	for (size_t i = 0; i < n; i++)
		x = x * 10 + (unsigned)(s[i] - '0');
	*ret = x;
	return x <= most;
}

static bool
address_read(const char *s, size_t n, uint32_t *ret)
{
	char text[IPV4_TEXT];

	if (n >= sizeof text)
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	return ipv4_read(text, ret);
}

static const char *
range_read(const char *text, bool services, struct addr_range *ret, struct arena *a)
{
	struct addr_lengths may = addr_lengths(services, false);
	struct addr_range r;
	addr net;

	if (!strchr(text, '/') || !addr_range_read(text, &r) || r.v6)
		return "must be an IPv4 range such as 10.42.0.0/16";
	if (r.bits < may.widest || r.bits > may.narrowest)
		return arena_printf(a, "must be a range of /%u to /%u, not /%u", may.widest,
				    may.narrowest, r.bits);
	net = addr_head(r.net, r.bits, 32);
	if (net != r.net)
		return arena_printf(a, "has bits set behind its /%u: the range begins at %s/%u",
				    r.bits, addr_text(net, a), r.bits);
	*ret = r;
	return NULL;
}

static const char *
range6_read(const char *text, bool services, struct addr_range *ret, struct arena *a)
{
	struct addr_lengths may = addr_lengths(services, true);
	struct addr_range r;
	addr net;

	if (!strchr(text, '/') || !addr_range_read(text, &r) || !r.v6)
		return arena_printf(a,
				    "has behind its comma what must be an IPv6 range such as "
				    "%s",
				    services ? "fd43::/112" : "fd42::/64");
	if (r.bits < may.widest || r.bits > may.narrowest)
		return arena_printf(a, "must have an IPv6 range of /%u to /%u, not /%u",
				    may.widest, may.narrowest, r.bits);
	net = addr_head(r.net, r.bits, 128);
	if (net != r.net)
		return arena_printf(a, "has bits set behind its /%u: the range begins at %s/%u",
				    r.bits, addr_text(net, a), r.bits);
	if (!(net >> 48) /* ::ffff:0:0/96 among them, which are IPv4's */ ||
	    net >> 120 == 0xff || net >> 118 == 0xfe80 >> 6)
		return "has an IPv6 range of addresses that no pod or Service can have";
	*ret = r;
	return NULL;
}

const char *
ranges_read(const char *text, bool services, struct addr_range *ret_four,
	    struct addr_range *ret_six, struct arena *a)
{
	const char *comma = strchr(text, ','), *why;

	*ret_four = *ret_six = (struct addr_range){ 0 };
	if (comma && memchr(text, ':', (size_t)(comma - text)))
		return "begins with an IPv6 range: the first family of a cluster of kedge's is "
		       "IPv4, so that range comes second";
	why = range_read(comma ? arena_strndup(a, text, (size_t)(comma - text)) : text,
			 services, ret_four, a);
	return why || !comma ? why : range6_read(comma + 1, services, ret_six, a);
}

/* "ADDRESS:PORT" */
static bool
endpoint_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port)
{
	const char *colon = strchr(text, ':');
	unsigned port = 0;

	if (!colon || !address_read(text, colon - text, ret_ip) ||
	    !number_read(colon + 1, 0, 65535, &port))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

const char *
listen_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port, struct arena *a)
{
	uint16_t port = 0;
	uint32_t ip = 0;

	if (!endpoint_read(text, &ip, &port))
		return "must be ADDRESS:PORT, such as 127.0.0.1:8001";
	if (ip >> 24 != 127)
		return arena_printf(
		    a,
		    "must be on loopback (127.0.0.0/8), for it is served without "
		    "encryption: use 127.0.0.1:%u and a tunnel",
		    port);
	*ret_ip = ip;
	*ret_port = port;
	return NULL;
}

const char *
secure_listen_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port)
{
	uint16_t port = 0;
	uint32_t ip = 0;

	if (!endpoint_read(text, &ip, &port))
		return "must be ADDRESS:PORT, such as 0.0.0.0:6443, or none";
	*ret_ip = ip;
	*ret_port = port;
	return NULL;
}

const char *
ports_read(const char *text, int *ret_low, int *ret_high)
{
	const char *dash = strchr(text, '-');
	unsigned low = 0, high = 0;

	if (!dash || !number_read(text, '-', 65535, &low) ||
	    !number_read(dash + 1, 0, 65535, &high) || !low || low > high)
		return "must be LOW-HIGH within 1-65535";
	*ret_low = (int)low;
	*ret_high = (int)high;
	return NULL;
}

/* FIRST-LAST, ADDRESS/BITS, ADDRESS; what else, if it is none. */
static const char *
addresses_split(const char *text, addr *ret_first, addr *ret_last)
{
	static const char what[] = "must be ADDRESS, ADDRESS/BITS or FIRST-LAST, such as "
				   "192.0.2.10-192.0.2.20";
	const char *dash = strchr(text, '-');
	char first[ADDR_TEXT];
	struct addr_range r;
	unsigned of;

	if (dash) {
		if ((size_t)(dash - text) >= sizeof first)
			return what;
		snprintf(first, sizeof first, "%.*s", (int)(dash - text), text);
		return addr_read(first, ret_first) && addr_read(dash + 1, ret_last) ? NULL
										    : what;
	}
	if (!addr_range_read(text, &r) || !r.net)
		return what;
	of = addr_bits(r.v6);
	if (r.net != addr_head(r.net, r.bits, of))
		return "has bits set behind its /BITS";
	*ret_first = r.net;
	*ret_last = r.net | ~addr_head(~(addr)0, r.bits, of);
	/* A link's own network and broadcast addresses are nobody's; of IPv6 the first is the
	 * routers'. */
	*ret_first += r.bits < of - 1;
	*ret_last -= !r.v6 && r.bits < 31;
	return NULL;
}

const char *
addresses_read(const char *text, addr *ret_first, addr *ret_last)
{
	addr first = 0, last = 0;
	const char *why = addresses_split(text, &first, &last);

	if (why)
		return why;
	if (addr_v6(first) != addr_v6(last))
		return "begins and ends in another family";
	if (first > last)
		return "ends before it begins";
	if (addr_v6(first) ? addr_is_special(first) || addr_is_special(last)
			   : first >> 24 == 127 || first >> 28 >= 14 || last >> 28 >= 14)
		return addr_v6(first) ? "has loopback, link-local or multicast addresses"
				      : "has loopback or multicast addresses";
	*ret_first = first;
	*ret_last = last;
	return NULL;
}

const char *
is_addresses(const char *s, struct arena *a)
{
	addr first, last;

	(void)a;
	return addresses_read(s, &first, &last);
}

const char *
is_pod_ranges(const char *s, struct arena *a)
{
	struct addr_range four, six;

	return ranges_read(s, false, &four, &six, a);
}

const char *
is_service_ranges(const char *s, struct arena *a)
{
	struct addr_range four, six;

	return ranges_read(s, true, &four, &six, a);
}

const char *
is_listen(const char *s, struct arena *a)
{
	uint32_t ip;
	uint16_t port;

	return *s ? listen_read(s, &ip, &port, a) : NULL;
}

const char *
is_secure_listen(const char *s, struct arena *a)
{
	uint32_t ip;
	uint16_t port;

	(void)a;
	return *s && strcmp(s, "none") != 0 ? secure_listen_read(s, &ip, &port) : NULL;
}

const char *
is_secure_name(const char *s, struct arena *a)
{
	return is_ip(s, a) ? is_subdomain(s, a) : NULL;
}

const char *
is_ports(const char *s, struct arena *a)
{
	int low, high;

	(void)a;
	return ports_read(s, &low, &high);
}

/* It becomes part of rules and of file names below /proc/sys. */
const char *
is_link_name(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	(void)a;
	if (!n || n > 15 ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != n)
		return "must be 1 to 15 of [A-Za-z0-9_-]";
	if (!strcmp(s, "lo") || !strcmp(s, "all") || !strcmp(s, "default"))
		return "is the kernel's own name: kedge makes a bridge and removes it again";
	return NULL;
}

const char *
is_chains(const char *s, struct arena *a)
{
	(void)a;
	return strlen(s) == 3 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3
		   ? NULL
		   : "must be three capital letters";
}

/* Other names of root are found where users are known, at start. */
const char *
is_brain_user(const char *s, struct arena *a)
{
	(void)a;
	return strcmp(s, "root") ? NULL
				 : "must not be root: it reads what strangers write; name a "
				   "user of its own, such as kedge";
}

/* Its owner and mode become kedge's, and `kedge down` takes its things away: never the root
 * of the file system, however it is written. */
const char *
is_own_folder(const char *s, struct arena *a)
{
	const char *why = is_mount_path(s, a);

	if (!why)
		why = is_abs_path(s, a);
	if (!why && strspn(s, "/.") == strlen(s))
		why = "must be a folder of kedge's own below /";
	return why;
}

const char *
is_size(const char *s, struct arena *a)
{
	(void)a;
	return quantity_value(s) >= 1024 ? NULL : "must be at least 1Ki";
}

/* linux/capability.h, in its order; those of one word a line would fill a screen. */
static const char capabilities[] =
    " CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE ALL ";

const char *
is_capability(const char *s, struct arena *a)
{
	const char *name = strncmp(s, "CAP_", 4) ? s : s + 4;

	if (*name && !strchr(name, ' ') && strstr(capabilities, arena_printf(a, " %s ", name)))
		return NULL;
	return "must be a capability in capitals, such as NET_ADMIN, or ALL";
}

/* HOST[:PORT], up to `n`. */
static bool
is_host_port(const char *s, size_t n)
{
	static const char word[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t host = 0;
	unsigned port = 0;

	while (host < n &&
	       (strchr(word, s[host]) || (host && (s[host] == '.' || s[host] == '-'))))
		host++;
	if (!host || !strchr(word, s[host - 1]))
		return false;
	return host == n ||
	       (s[host] == ':' && number_read(s + host + 1, s[n], 65535, &port) && port > 0 &&
		s + host + 1 + strspn(s + host + 1, "0123456789") == s + n);
}

const char *
is_registry(const char *s, struct arena *a)
{
	(void)a;
	return is_host_port(s, strlen(s))
		   ? NULL
		   : "must be HOST or HOST:PORT as images' names have it, without a scheme or "
		     "a path, such as registry.example:5000";
}

const char *
is_mirror(const char *s, struct arena *a)
{
	size_t n = strcspn(s, "/");
	bool good = is_host_port(s, n) && !(s[n] && is_relative_path(s + n + 1, a));

	for (const char *p = s + n; good && *p;) { /* "/PART", again and again */
		size_t part = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789._-");

		good = part > 0 && (!p[1 + part] || p[1 + part] == '/');
		p += 1 + part;
	}
	return good ? NULL
		    : "must be HOST[:PORT][/PATH] without a scheme, such as "
		      "mirror.example:5000/hub";
}

/* Others' addresses cannot be reached any more by who takes them for pods. */
static void
ula_check(const struct place *at, const char *field, const struct addr_range *r)
{
	if (r->bits && r->net >> 121 != 0xfc >> 1)
		place_complain_softly(at, field,
				      "%s is no range of unique local addresses (fc00::/7): "
				      "it has to be one that is routed to this host",
				      addr_range_text(*r, at->arena));
}

void
config_network_check(const void *obj, const struct place *at)
{
	const struct config_network *n = obj;
	struct addr_range pod, svc, pod6, svc6;

	if (!place_ok(at, "podCIDR") || !place_ok(at, "serviceCIDR") ||
	    ranges_read(n->podCIDR, false, &pod, &pod6, at->arena) ||
	    ranges_read(n->serviceCIDR, true, &svc, &svc6, at->arena))
		return; /* the fields' own checks said so */
	if (!pod6.bits != !svc6.bits)
		place_complain(at, pod6.bits ? "serviceCIDR" : "podCIDR",
			       "Invalid value: \"%s\": has no IPv6 range, and %s has one: pods "
			       "and Services have IPv6 both, or neither of them",
			       pod6.bits ? n->serviceCIDR : n->podCIDR,
			       pod6.bits ? "podCIDR" : "serviceCIDR");
	ula_check(at, "podCIDR", &pod6);
	ula_check(at, "serviceCIDR", &svc6);
	if (addr_overlap(pod, svc) || (pod6.bits && addr_overlap(pod6, svc6)))
		place_complain(
		    at, "serviceCIDR",
		    "Invalid value: \"%s\": overlaps podCIDR %s: an address can be a "
		    "pod's or a Service's, not both",
		    n->serviceCIDR, n->podCIDR);
}

/* The first that is too many is shown. */
static void
most_check(const struct place *at, const char *list, size_t n, size_t most)
{
	char sub[64];

	snprintf(sub, sizeof sub, "%s[%zu]", list, most);
	if (n > most)
		place_complain(at, sub, "Too many: %zu: must have at most %zu items", n, most);
}

void
config_dns_check(const void *obj, const struct place *at)
{
	const struct config_dns *d = obj;

	most_check(at, "upstreams", d->upstreams.n, DNS_SERVERS);
	most_check(at, "stubDomains", d->stubDomains.n, DNS_STUBS);
}

void
config_dns_stub_check(const void *obj, const struct place *at)
{
	most_check(at, "servers", ((const struct config_dns_stub *)obj)->servers.n,
		   DNS_SERVERS);
}

/* ADDRESS[:PORT]; an IPv6 address with a port stands in brackets. */
const char *
is_dns_server(const char *s, struct arena *a)
{
	static const char why[] = "must be the address of a DNS server, such as 192.0.2.53, "
				  "192.0.2.53:5353 or [2001:db8::53]:53";
	const char *colon = strchr(s, ':'), *port = NULL;
	char host[INET6_ADDRSTRLEN + 1];
	size_t n = strlen(s);
	struct in6_addr in;
	unsigned number;

	(void)a;
	if (*s == '[') {
		colon = strchr(s, ']');
		if (!colon || (colon[1] && colon[1] != ':'))
			return why;
		n = (size_t)(colon - ++s);
		port = colon[1] ? colon + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		n = (size_t)(colon - s);
		port = colon + 1;
	}
	if (n >= sizeof host || (port && (!number_read(port, 0, 65535, &number) || !number)))
		return why;
	memcpy(host, s, n);
	host[n] = 0;
	return inet_pton(strchr(host, ':') ? AF_INET6 : AF_INET, host, &in) == 1 ? NULL : why;
}

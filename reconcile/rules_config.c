/* rules_config.c -- what a setting of kedge.yaml must look like.
 *
 * The same functions read the values, so that what the check lets pass is what
 * the daemon gets.
 */
#include "base/arena.h"
#include "base/ipv4.h"
#include "rules.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { RANGE_WIDEST = 8, RANGE_NARROWEST = 28 };

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
	struct in_addr in;

	if (n >= sizeof text)
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	*ret = ntohl(in.s_addr);
	return true;
}

const char *
range_read(const char *text, uint32_t *ret_net, uint32_t *ret_bits, struct arena *a)
{
	const char *slash = strchr(text, '/');
	uint32_t net = 0, mask;
	unsigned bits = 0;
	char ip[IPV4_TEXT];

	if (!slash || !address_read(text, slash - text, &net) ||
	    !number_read(slash + 1, 0, 32, &bits))
		return "must be an IPv4 range such as 10.42.0.0/16";
	if (bits < RANGE_WIDEST || bits > RANGE_NARROWEST)
		return arena_printf(a, "must be a range of /%d to /%d, not /%u", RANGE_WIDEST,
				    RANGE_NARROWEST, bits);
	mask = ~UINT32_C(0) << (32 - bits);
	if (net & ~mask)
		return arena_printf(a, "has bits set behind its /%u: the range begins at %s/%u",
				    bits, ipv4_print(net & mask, ip), bits);
	*ret_net = net;
	*ret_bits = bits;
	return NULL;
}

const char *
listen_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port, struct arena *a)
{
	const char *colon = strchr(text, ':');
	unsigned port = 0;
	uint32_t ip = 0;

	if (!colon || !address_read(text, colon - text, &ip) ||
	    !number_read(colon + 1, 0, 65535, &port))
		return "must be ADDRESS:PORT, such as 127.0.0.1:8001";
	if (ip >> 24 != 127)
		return arena_printf(
		    a,
		    "must be on loopback (127.0.0.0/8), for it is served without "
		    "encryption: use 127.0.0.1:%u and a tunnel",
		    port);
	*ret_ip = ip;
	*ret_port = (uint16_t)port;
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

const char *
is_range(const char *s, struct arena *a)
{
	uint32_t net, bits;

	return range_read(s, &net, &bits, a);
}

const char *
is_listen(const char *s, struct arena *a)
{
	uint32_t ip;
	uint16_t port;

	return *s ? listen_read(s, &ip, &port, a) : NULL;
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

void
config_network_check(const void *obj, const struct place *at)
{
	const struct config_network *n = obj;
	uint32_t pod, pod_bits, svc, svc_bits, bits;

	if (!place_ok(at, "podCIDR") || !place_ok(at, "serviceCIDR") ||
	    range_read(n->podCIDR, &pod, &pod_bits, at->arena) ||
	    range_read(n->serviceCIDR, &svc, &svc_bits, at->arena))
		return;
	bits = pod_bits < svc_bits ? pod_bits : svc_bits;
	if ((pod ^ svc) >> (32 - bits) == 0)
		place_complain(
		    at, "serviceCIDR",
		    "Invalid value: \"%s\": overlaps podCIDR %s: an address can be a "
		    "pod's or a Service's, not both",
		    n->serviceCIDR, n->podCIDR);
}

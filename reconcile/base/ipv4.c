/* ipv4.c -- inet_pton and inet_ntop in host order, without their failures. */
#include "ipv4.h"
#include "arena.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
ipv4_print(uint32_t ip, char to[static IPV4_TEXT])
{
	snprintf(to, IPV4_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
		 ip & 255);
	return to;
}

const char *
ipv4_text(uint32_t ip, struct arena *a)
{
	return ipv4_print(ip, arena_alloc(a, IPV4_TEXT));
}

bool
ipv4_read(const char *text, uint32_t *ret)
{
	struct in_addr in;

	if (!text || inet_pton(AF_INET, text, &in) != 1)
		return false;
	*ret = ntohl(in.s_addr);
	return true;
}

bool
ipv4_range_read(const char *text, uint32_t *ret_net, unsigned *ret_bits)
{
	size_t n = strcspn(text, "/"),
	       digits = text[n] ? strspn(text + n + 1, "0123456789") : 0;
	unsigned bits = text[n] ? (unsigned)atoi(text + n + 1) : 32;
	char ip[IPV4_TEXT];

	if (n >= sizeof ip ||
	    (text[n] && (!digits || digits > 2 || text[n + 1 + digits] || bits > 32)))
		return false;
	memcpy(ip, text, n);
	ip[n] = 0;
	if (!ipv4_read(ip, ret_net))
		return false;
	*ret_bits = bits;
	return true;
}

bool
ipv4_within(uint32_t ip, uint32_t net, unsigned bits)
{
	return !((uint64_t)(ip ^ net) >> (32 - bits));
}

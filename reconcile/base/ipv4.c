/* ipv4.c -- inet_pton and inet_ntop in host order, without their failures. */
#include "ipv4.h"
#include "arena.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *
byte_print(unsigned x, char *to)
{
	if (x >= 100)
		*to++ = '0' + x / 100;
	if (x >= 10)
		*to++ = '0' + x / 10 % 10;
	*to++ = '0' + x % 10;
	return to;
}

/* By hand, for rules are made of little else and there are very many of them. */
const char *
ipv4_print(uint32_t ip, char to[static IPV4_TEXT])
{
	char *at = to;

	for (int shift = 24; shift >= 0; shift -= 8) {
		at = byte_print(ip >> shift & 255, at);
		*at++ = shift ? '.' : 0;
	}
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
ipv4_within(uint32_t ip, uint32_t net, unsigned bits)
{
	return !((uint64_t)(ip ^ net) >> (32 - bits));
}

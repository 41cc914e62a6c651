/* ipv4.c -- inet_ntop without its byte order and its failures. */
#include "ipv4.h"
#include "arena.h"
#include <stdio.h>

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

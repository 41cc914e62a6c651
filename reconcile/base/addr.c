/* addr.c -- see addr.h. */
#include "addr.h"
#include "arena.h"
#include "ipv4.h"
#include "map.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

addr
addr_from(bool v6, const void *bytes)
{
	const uint8_t *at = bytes;
	addr a = 0;

	for (unsigned i = 0; i < addr_bits(v6) / 8; i++)
		a = a << 8 | at[i];
	return a;
}

void
addr_bytes(bool v6, addr a, void *to)
{
	uint8_t *at = to;

	for (unsigned i = addr_bits(v6) / 8; i--; a >>= 8)
		at[i] = (uint8_t)a;
}

const char *
addr_print(addr a, char to[static ADDR_TEXT])
{
	uint8_t bytes[16];

	if (!addr_v6(a))
		return ipv4_print((uint32_t)a, to);
	addr_bytes(true, a, bytes);
	return inet_ntop(AF_INET6, bytes, to, ADDR_TEXT);
}

struct addr_lengths
addr_lengths(bool services, bool v6)
{
	static const struct addr_lengths all[2][2] = { { { 8, 28 }, { 16, 96 } },
						       { { 8, 28 }, { 96, 120 } } };

	return all[services][v6];
}

const char *
addr_text(addr a, struct arena *arena)
{
	char text[ADDR_TEXT];

	return arena_strdup(arena, addr_print(a, text));
}

bool
addr_text_is_v6(const char *text)
{
	return text && strchr(text, ':');
}

const char *
addr_before_port(const char *ip, struct arena *arena)
{
	return addr_text_is_v6(ip) ? arena_printf(arena, "[%s]", ip) : ip;
}

/* The one that 0/0 is a range of, too: *ret may be below 2^32 of IPv6. */
static bool
read_any(const char *text, bool v6, addr *ret)
{
	uint8_t bytes[16];

	if (!text || inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1)
		return false;
	*ret = addr_from(v6, bytes);
	return true;
}

bool
addr_read(const char *text, addr *ret)
{
	bool v6 = addr_text_is_v6(text);
	addr a;

	if (!read_any(text, v6, &a) || addr_v6(a) != v6)
		return false;
	*ret = a;
	return true;
}

uint64_t
addr_hash(uint64_t h, addr a)
{
	uint32_t v4 = (uint32_t)a;

	return addr_v6(a) ? hash_hard(h, &a, sizeof a) : hash_hard(h, &v4, sizeof v4);
}

bool
addr_range_read(const char *text, struct addr_range *ret)
{
	size_t n = strcspn(text, "/"),
	       digits = text[n] ? strspn(text + n + 1, "0123456789") : 0;
	struct addr_range r = { .v6 = memchr(text, ':', n) != NULL };
	char ip[ADDR_TEXT];

	r.bits = text[n] ? (unsigned)atoi(text + n + 1) : addr_bits(r.v6);
	if (n >= sizeof ip || (text[n] && (!digits || digits > 3 || text[n + 1 + digits] ||
					   r.bits > addr_bits(r.v6))))
		return false;
	memcpy(ip, text, n);
	ip[n] = 0;
	if (!read_any(ip, r.v6, &r.net))
		return false;
	*ret = r;
	return true;
}

/* Its net need be no address that is read: ::/3, ::1.2.3.4/128. */
const char *
addr_range_print(struct addr_range r, char to[static ADDR_RANGE_TEXT])
{
	uint8_t bytes[16];

	addr_bytes(r.v6, r.net, bytes);
	inet_ntop(r.v6 ? AF_INET6 : AF_INET, bytes, to, ADDR_TEXT);
	snprintf(to + strlen(to), ADDR_RANGE_TEXT - strlen(to), "/%u", r.bits);
	return to;
}

const char *
addr_range_text(struct addr_range r, struct arena *arena)
{
	char text[ADDR_RANGE_TEXT];

	return arena_strdup(arena, addr_range_print(r, text));
}

addr
addr_head(addr a, unsigned bits, unsigned of)
{
	return bits ? a >> (of - bits) << (of - bits) : 0;
}

bool
addr_within(addr a, struct addr_range r)
{
	unsigned of = addr_bits(r.v6);

	return addr_v6(a) == r.v6 && addr_head(a ^ r.net, r.bits, of) == 0;
}

bool
addr_is_special(addr a)
{
	static const struct addr_range special[] = {
		{ 0, 8, false },                   /* 0.0.0.0/8 */
		{ (addr)127 << 24, 8, false },     /* 127.0.0.0/8 */
		{ (addr)0xa9fe << 16, 16, false }, /* 169.254.0.0/16 */
		{ (addr)7 << 29, 3, false },       /* 224.0.0.0/3 */
		{ (addr)0xfe80 << 112, 10, true }, /* fe80::/10 */
		{ (addr)0xff << 120, 8, true },    /* ff00::/8 */
		{ (addr)0xffff << 32, 96, true },  /* ::ffff:0:0/96 */
	};

	for (size_t i = 0; i < sizeof special / sizeof *special; i++)
		if (addr_within(a, special[i]))
			return true;
	return false;
}

bool
addr_overlap(struct addr_range a, struct addr_range b)
{
	unsigned bits = a.bits < b.bits ? a.bits : b.bits;

	return a.v6 == b.v6 && addr_head(a.net ^ b.net, bits, addr_bits(a.v6)) == 0;
}

/* addr.h -- an address of either family as one number, in host order.
 *
 * Below 2^32 it is an IPv4 address, else one of IPv6: what IPv6 has down there (::/96, with the
 * unspecified address and the loopback) is nobody's on a network, and is not read.  0 is none.
 */
#ifndef KEDGE_ADDR_H
#define KEDGE_ADDR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

__extension__ typedef unsigned __int128 addr;

enum { ADDR_TEXT = 46, ADDR_RANGE_TEXT = ADDR_TEXT + 4 };

static inline bool
addr_v6(addr a)
{
	return a >> 32;
}

static inline unsigned
addr_bits(bool v6)
{
	return v6 ? 128 : 32;
}

const char *addr_print(addr, char to[static ADDR_TEXT]); /* returns `to` */
const char *addr_text(addr, struct arena *);
/* As it stands before a port: of IPv6 in brackets.  `ip` is any text. */
const char *addr_before_port(const char *ip, struct arena *);
/* Is this text, if it is an address or a range, one of IPv6?  False for NULL. */
bool addr_text_is_v6(const char *);
/* An address and nothing else; false for NULL and for all that is none. */
bool addr_read(const char *text, addr *ret);
addr addr_from(bool v6, const void *bytes); /* 4 or 16, as a packet has them */
void addr_bytes(bool v6, addr, void *to);
uint64_t addr_hash(uint64_t, addr);

struct addr_range {
	addr net;
	unsigned bits; /* 0 to 32, 128 */
	bool v6;       /* which 0/0 would not tell */
};
/* How long a cluster's range of pods' or Services' addresses may be: 10.42.0.0/16 is within 8
 * and 28.  A pod's address of IPv6 has its IPv4 address in the last 32 bits, a Service's its
 * number. */
struct addr_lengths {
	unsigned widest, narrowest;
};
struct addr_lengths addr_lengths(bool services, bool v6);
/* "192.0.2.0/24" as it stands; without bits it is one address. */
bool addr_range_read(const char *text, struct addr_range *ret);
/* With its length; returns `to`. */
const char *addr_range_print(struct addr_range, char to[static ADDR_RANGE_TEXT]);
const char *addr_range_text(struct addr_range, struct arena *);
bool addr_within(addr, struct addr_range); /* bits behind its length count for nothing */
bool addr_overlap(struct addr_range, struct addr_range);
/* One that is nobody's on a network: 0.0.0.0/8, loopback, link-local, multicast, reserved, IPv4
 * within IPv6. */
bool addr_is_special(addr);
addr addr_head(addr, unsigned bits, unsigned of); /* its first `bits` of `of`, the rest 0 */
#endif

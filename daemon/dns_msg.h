/* dns_msg.h -- the wire format of DNS, as far as a server reads it.
 *
 * A query has one shape only: a header, one question, at most one OPT record.
 * Reading that with ldns takes some 20 allocations and more time than all the
 * rest of an answer, so what every packet goes through is read here, strictly,
 * within its own bytes; the tests and the fuzzer hold it against ldns, which
 * also does what is rare (dns_upstream.c).
 *
 * Names are kept as they travel, labels with their lengths, in lower case, so
 * that two names are the same when their bytes are.
 */
#ifndef KEDGE_DNS_MSG_H
#define KEDGE_DNS_MSG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_NAME = 255, /* bytes of the longest name, with the root's */
	DNS_LABEL = 63,
	DNS_HEAD = 12,        /* bytes of a header */
	DNS_QUERY_MAX = 4096, /* a longer query is nobody's */
	DNS_UDP_PLAIN = 512,  /* bytes of an answer to who says nothing */
	DNS_UDP_MAX = 1232,   /* to who says he takes more: what is never fragmented */
	DNS_TCP_MAX = 65535,
	DNS_OPT = 11, /* bytes of an OPT record without options */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_TYPE_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

/* The second and third byte of a header, as one number. */
enum {
	DNS_QR = 0x8000,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_AD = 0x0020,
	DNS_CD = 0x0010,
};

struct dns_name {
	uint8_t len; /* bytes, with the root's; 0: no name */
	uint8_t at[DNS_NAME];
};

struct dns_query {
	uint16_t id, flags; /* as they came */
	uint16_t type, class;
	uint16_t size;     /* what an answer over UDP may have */
	bool edns, dnssec; /* it has an OPT record; DO is set in it */
	uint16_t question; /* bytes of the question, from DNS_HEAD on */
	struct dns_name name;
};

static inline uint16_t
dns_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
dns_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint8_t *
dns_put16(uint8_t *p, unsigned x)
{
	p[0] = (uint8_t)(x >> 8);
	p[1] = (uint8_t)x;
	return p + 2;
}

static inline uint8_t *
dns_put32(uint8_t *p, uint32_t x)
{
	return dns_put16(dns_put16(p, x >> 16), x & 0xffff);
}

/* -1: not to be answered at all (no query, or too short to know whose).  Else an rcode:
 * DNS_NOERROR, and *ret is whole; or what is to be answered, and of *ret only id, flags, edns
 * and question are good (question 0: it could not be read). */
int dns_query_read(const uint8_t *msg, size_t n, struct dns_query *ret);

/* "web.default.svc.cluster.local", the last dot or not, "" or "." for the root; any bytes but
 * dots are letters.  False: no name. */
bool dns_name_read(const char *text, struct dns_name *ret);
/* Is it `zone`, or below it? */
bool dns_name_in(const struct dns_name *, const struct dns_name *zone);

/* A record of a message. */
struct dns_record {
	uint16_t type, class, size; /* size: of the data */
	uint32_t ttl;
	size_t owner, ttl_at, data; /* where they are */
};
/* Behind the name at `at`, pointers or not; 0: there is none within n bytes. */
size_t dns_name_skip(const uint8_t *msg, size_t n, size_t at);
/* The record at `at`, and where the next begins; 0: none within n bytes. */
size_t dns_record_read(const uint8_t *msg, size_t n, size_t at, struct dns_record *ret);
#endif

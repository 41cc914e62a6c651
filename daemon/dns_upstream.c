/* dns_upstream.c -- see dns_upstream.h. */
#include "dns_upstream.h"
#include <ldns/ldns.h>
#include <string.h>

size_t
dns_ask_write(const struct dns_key *k, uint16_t id, const uint8_t lot[DNS_NAME / 8 + 1],
	      uint8_t to[static DNS_ASK_MAX])
{
	uint8_t *p = dns_put16(to, id);

	p = dns_put16(p, DNS_RD | (k->unchecked ? DNS_CD : 0));
	p = dns_put16(dns_put32(dns_put16(p, 1), 0), k->edns);
	memcpy(p, k->name.at, k->name.len);
	/* A length is never taken for a letter: it is below 64. */
	for (unsigned i = 0; i < k->name.len; i++)
		if (p[i] >= 'a' && p[i] <= 'z' && lot[i / 8] >> (i % 8) & 1)
			p[i] -= 32;
	p = dns_put16(dns_put16(p + k->name.len, k->type), 1);
	if (k->edns) {
		*p++ = 0;
		p = dns_put16(dns_put16(p, DNS_TYPE_OPT), DNS_UDP_MAX);
		p = dns_put16(dns_put32(p, k->dnssec ? 0x8000 : 0), 0);
	}
	return (size_t)(p - to);
}

/* Every record is within the message, and there are as many as it says. */
static bool
sound(const uint8_t *msg, size_t n, size_t at)
{
	unsigned records = dns_get16(msg + 6) + dns_get16(msg + 8) + dns_get16(msg + 10);
	struct dns_record r;

	while (records--)
		if (!(at = dns_record_read(msg, n, at, &r)))
			return false;
	return at == n;
}

enum dns_belief
dns_belief(const uint8_t *ask, size_t ask_n, const uint8_t *msg, size_t n)
{
	size_t name = dns_name_skip(ask, ask_n, DNS_HEAD), question = name + 4 - DNS_HEAD;
	bool exact;

	if (n < DNS_HEAD + question || dns_get16(msg) != dns_get16(ask) || !(msg[2] & 0x80) ||
	    msg[2] & 0x78 || dns_get16(msg + 4) != 1)
		return DNS_STRANGE;
	exact = !memcmp(ask + DNS_HEAD, msg + DNS_HEAD, question);
	for (size_t i = 0; i < question && !exact; i++) {
		uint8_t a = ask[DNS_HEAD + i], b = msg[DNS_HEAD + i];
		bool letter = i < name - DNS_HEAD && ((a | 32) >= 'a' && (a | 32) <= 'z');

		if (a != b && !(letter && (a ^ b) == 32))
			return DNS_STRANGE;
	}
	if (!sound(msg, n, DNS_HEAD + question))
		return DNS_BROKEN;
	return exact ? DNS_GOOD : DNS_FOLDED;
}

size_t
dns_fit(const struct dns_reply *r, const uint8_t *client, uint8_t *msg, size_t n)
{
	const struct dns_query *q = &r->query;
	unsigned flags = dns_get16(msg + 2);

	dns_put16(msg, q->id);
	flags = (flags & ~(unsigned)(DNS_AA | DNS_RD | DNS_CD)) | DNS_RA |
		(q->flags & (DNS_RD | DNS_CD));
	memcpy(msg + DNS_HEAD, client + DNS_HEAD, q->question);
	if (n > r->limit) {
		n = DNS_HEAD + q->question;
		memset(msg + 6, 0, 6);
		dns_put16(msg + 10, q->edns);
		n = dns_answer_opt(q, DNS_NOERROR, msg, n);
		flags |= DNS_TC;
	}
	dns_put16(msg + 2, flags);
	return n;
}

/* False: no room. */
static bool
list_write(const ldns_rr_list *list, ldns_rr_type only, uint8_t *out, size_t *len, size_t limit,
	   unsigned *n)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		uint8_t *wire = NULL;
		size_t size = 0;

		if (only && ldns_rr_get_type(rr) != only)
			continue;
		if (ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &size) != LDNS_STATUS_OK)
			continue;
		if (*len + size > limit) {
			free(wire);
			return false;
		}
		memcpy(out + *len, wire, size);
		free(wire);
		*len += size;
		++*n;
	}
	return true;
}

size_t
dns_chase(const struct dns_reply *r, uint8_t *out, const uint8_t *msg, size_t n)
{
	const struct dns_query *q = &r->query;
	size_t opt = q->edns ? DNS_OPT : 0, len = r->len - opt, limit = r->limit - opt;
	unsigned answers = dns_get16(out + 6), authority = 0;
	int rcode = msg[3] & 15;
	ldns_pkt *pkt = NULL;
	bool whole;

	if (ldns_wire2pkt(&pkt, msg, n) != LDNS_STATUS_OK)
		return 0;
	whole = list_write(ldns_pkt_answer(pkt), 0, out, &len, limit, &answers);
	if (whole && !ldns_rr_list_rr_count(ldns_pkt_answer(pkt)))
		whole = list_write(ldns_pkt_authority(pkt), LDNS_RR_TYPE_SOA, out, &len, limit,
				   &authority);
	ldns_pkt_free(pkt);
	whole = whole && !(dns_get16(msg + 2) & DNS_TC);
	dns_put16(out + 2, DNS_QR | DNS_RA | (whole ? 0 : DNS_TC) |
			       (q->flags & (DNS_RD | DNS_CD)) | (unsigned)rcode);
	dns_put16(out + 6, answers);
	dns_put16(out + 8, authority);
	dns_put16(out + 10, q->edns);
	return dns_answer_opt(q, rcode, out, len);
}

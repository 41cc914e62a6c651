/* dns_answer.c -- see dns_answer.h.
 *
 * A name that is there without the type asked for is NODATA: NOERROR with the
 * zone's SOA.  One that is not there, and none below it, is NXDOMAIN.  Who asks
 * for a CNAME's owner gets the CNAME and what it leads to, since a pod's resolver
 * does not look for itself; the answer is then about the last name (RFC 2308, RFC 6604).
 */
#include "dns_answer.h"
#include "../reconcile/base/ipv4.h"
#include <string.h>

enum {
	CHAIN_MAX = 8,    /* CNAMEs in one answer */
	TARGETS_MAX = 64, /* addresses that are added for SRV's names */
	SOA_REFRESH = 7200,
	SOA_RETRY = 1800,
	SOA_EXPIRE = 86400,
	RECORD_HEAD = 12,
};

struct writer {
	const struct dns_table *t;
	unsigned turn;
	uint8_t *out;
	size_t len, limit; /* limit: without the OPT record */
	unsigned n[3];     /* answer, authority, additional */
	bool full;
};

static bool
room(struct writer *w, size_t n)
{
	if (w->len + n > w->limit)
		w->full = true;
	return !w->full;
}

/* Those records that have room, from the turn's on; `owner` is where their name stands. */
static void
records_write(struct writer *w, const struct dns_records *r, size_t owner, unsigned section)
{
	bool even = r->type == DNS_A || r->type == DNS_AAAA;
	size_t one = r->size / r->n, from = even ? w->turn % r->n * one : 0;
	uint8_t *to = w->out + w->len;

	if (even && w->len + r->size <= w->limit) {
		memcpy(to, r->at + from, r->size - from);
		memcpy(to + r->size - from, r->at, from);
		w->len += r->size;
		w->n[section] += r->n;
	} else {
		for (size_t at = from, i = 0; i < r->n; i++) {
			size_t size = RECORD_HEAD + dns_get16(r->at + at + 10);

			if (!room(w, size))
				break;
			memcpy(w->out + w->len, r->at + at, size);
			w->len += size;
			w->n[section]++;
			at += size;
			at = at == r->size ? 0 : at;
		}
	}
	for (uint8_t *p = to; owner != DNS_HEAD && p < w->out + w->len;
	     p += RECORD_HEAD + dns_get16(p + 10))
		dns_put16(p, 0xc000 | (unsigned)owner);
}

/* Every part's records of a type; true when there was one. */
static bool
type_write(struct writer *w, const struct dns_node *x, unsigned type, size_t owner,
	   unsigned section)
{
	bool any = false;

	for (uint32_t i = 0; i < x->n; i++)
		if (x->records[i].type == type || type == DNS_ANY) {
			records_write(w, &x->records[i], owner, section);
			any = true;
		}
	return any;
}

/* Owner, type, class, TTL; the data's size follows. */
static uint8_t *
head_write(uint8_t *p, const uint8_t *owner, size_t n, unsigned type, uint32_t ttl)
{
	memcpy(p, owner, n);
	return dns_put32(dns_put16(dns_put16(p + n, type), 1), ttl);
}

static const uint8_t ns_label[] = "\2ns\3dns", mail_label[] = "\12hostmaster";

static void
soa_write(struct writer *w, const uint8_t *zone, size_t len, unsigned section)
{
	const struct dns_name *top = &w->t->zone;
	size_t data = sizeof ns_label - 1 + sizeof mail_label - 1 + 2 * top->len + 20;
	uint8_t *p = w->out + w->len;

	if (!room(w, len + 10 + data))
		return;
	p = dns_put16(head_write(p, zone, len, DNS_SOA, w->t->ttl), (unsigned)data);
	p = (uint8_t *)mempcpy(mempcpy(p, ns_label, sizeof ns_label - 1), top->at, top->len);
	p = (uint8_t *)mempcpy(mempcpy(p, mail_label, sizeof mail_label - 1), top->at,
			       top->len);
	p = dns_put32(dns_put32(p, 1), SOA_REFRESH);
	p = dns_put32(dns_put32(dns_put32(p, SOA_RETRY), SOA_EXPIRE), w->t->ttl);
	w->len = (size_t)(p - w->out);
	w->n[section]++;
}

static void
ns_write(struct writer *w)
{
	const struct dns_name *top = &w->t->zone;
	size_t data = sizeof ns_label - 1 + top->len;
	uint8_t name[DNS_NAME], *p = w->out + w->len;
	const struct dns_node *x;

	if (data > DNS_NAME || !room(w, top->len + 10 + data))
		return;
	memcpy(mempcpy(name, ns_label, sizeof ns_label - 1), top->at, top->len);
	p = dns_put16(head_write(p, top->at, top->len, DNS_NS, w->t->ttl), (unsigned)data);
	memcpy(p, name, data);
	w->len = (size_t)(p - w->out) + data;
	w->n[0]++;
	x = dns_table_find(w->t, name, data);
	if (x)
		type_write(w, x, DNS_A, w->len - data, 2);
}

/* Addresses of the names that SRV records in the answer point at; what has no room is
 * left out, and nobody is told, as nothing that was asked for is missing. */
static void
targets_write(struct writer *w, size_t at)
{
	size_t end = w->len, first = at;
	unsigned left = TARGETS_MAX;

	for (; at < end && left; left--) {
		const uint8_t *target = w->out + at + RECORD_HEAD + 6;
		size_t size = dns_get16(w->out + at + 10), from = w->len;
		const struct dns_node *x = dns_table_find(w->t, target, size - 6);
		/* the ports of one Service have one name: once is enough */
		bool again = at > first && dns_get16(w->out + first + 10) == size &&
			     !memcmp(w->out + first + RECORD_HEAD + 6, target, size - 6);

		for (uint32_t i = 0; x && !again && i < x->n; i++)
			if (x->records[i].type == DNS_A || x->records[i].type == DNS_AAAA) {
				size_t owner = (size_t)(target - w->out);

				if (owner > 0x3fff || w->len + x->records[i].size > w->limit) {
					w->len = from;
					return;
				}
				records_write(w, &x->records[i], owner, 2);
			}
		at += RECORD_HEAD + size;
	}
}

/* ---- names that are computed ---- */

/* One label's digits up to `most`; -1: it is something else. */
static int
octet(const uint8_t *p, size_t n)
{
	int x = 0;

	if (!n || n > 3 || (n > 1 && *p == '0'))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		x = x * 10 + p[i] - '0';
	}
	return x < 256 ? x : -1;
}

static int
nibble(uint8_t x)
{
	return x >= '0' && x <= '9' ? x - '0' : x >= 'a' && x <= 'f' ? x - 'a' + 10 : -1;
}

/* fd42--a2a-5 is the address fd42::a2a:5; only where there are such pods. */
static bool
dashed6_read(const struct dns_table *t, const uint8_t *label, uint8_t ret[16])
{
	char text[64];
	size_t n = label[0];
	bool there = false;
	addr ip;

	for (size_t i = 0; i < DNS_RANGES; i++)
		there |= t->ranges[i].v6;
	if (!there || n >= sizeof text)
		return false;
	for (size_t i = 0; i < n; i++)
		text[i] = label[1 + i] == '-' ? ':' : (char)label[1 + i];
	text[n] = 0;
	if (memchr(text, 0, n) || !addr_read(text, &ip) || !addr_v6(ip))
		return false;
	addr_bytes(true, ip, ret);
	return true;
}

/* A-B-C-D is the address A.B.C.D. */
static bool
dashed_read(const uint8_t *label, uint8_t ret[4])
{
	size_t n = label[0], at = 0;

	for (int i = 0; i < 4; i++) {
		size_t len = 0;
		int x;

		while (at + len < n && label[1 + at + len] != '-')
			len++;
		x = octet(label + 1 + at, len);
		if (x < 0)
			return false;
		ret[i] = (uint8_t)x;
		at += len + 1;
	}
	return at == n + 1;
}

enum where { OURS_NOT, OURS_NAME, OURS_FOLDER };

/* The same of ip6.arpa, a label a nibble. */
static enum where
reverse6_find(const struct dns_table *t, const struct dns_name *name, size_t *ret_zone)
{
	static const uint8_t arpa[] = "\3ip6\4arpa";
	size_t at[DNS_NAME / 2], n = 0, p = 0, known = 0;
	addr ip = 0;

	while (name->at[p] && (size_t)name->len - p > sizeof arpa) {
		at[n++] = p;
		p += name->at[p] + 1;
	}
	if ((size_t)name->len - p != sizeof arpa ||
	    memcmp(name->at + p, arpa, sizeof arpa) != 0)
		return OURS_NOT;
	for (size_t i = n; i && known < 32; i--, known++) {
		int x = name->at[at[i - 1]] == 1 ? nibble(name->at[at[i - 1] + 1]) : -1;

		if (x < 0)
			break;
		ip |= (addr)(unsigned)x << (124 - 4 * known);
	}
	for (size_t i = 0; i < DNS_RANGES; i++) {
		const struct addr_range *r = &t->ranges[i];

		if (!r->v6 || r->bits < 4 || known * 4 < r->bits || !addr_within(ip, *r))
			continue;
		*ret_zone = at[n - r->bits / 4];
		return n < 32 && known == n ? OURS_FOLDER : OURS_NAME;
	}
	return OURS_NOT;
}

/* Is this (a part of) an address that only we have a name for, backwards?  *ret_zone is the
 * place of its zone in the name. */
static enum where
reverse_find(const struct dns_table *t, const struct dns_name *name, size_t *ret_zone)
{
	static const uint8_t arpa[] = "\7in-addr\4arpa";
	size_t at[DNS_NAME / 2], n = 0, p = 0;
	uint32_t ip = 0, known = 0;

	while (name->at[p] && (size_t)name->len - p > sizeof arpa) {
		at[n++] = p;
		p += name->at[p] + 1;
	}
	if ((size_t)name->len - p != sizeof arpa ||
	    memcmp(name->at + p, arpa, sizeof arpa) != 0)
		return reverse6_find(t, name, ret_zone);
	for (size_t i = n; i && known < 4; i--, known++) {
		int x = octet(name->at + at[i - 1] + 1, name->at[at[i - 1]]);

		if (x < 0)
			break;
		ip |= (uint32_t)x << (24 - 8 * known);
	}
	for (size_t i = 0; i < DNS_RANGES; i++) {
		const struct addr_range *r = &t->ranges[i];

		if (!r->bits || r->v6 || known * 8 < r->bits || !addr_within(ip, *r))
			continue;
		*ret_zone = at[n - r->bits / 8];
		return n < 4 && known == n ? OURS_FOLDER : OURS_NAME;
	}
	return OURS_NOT;
}

/* ---- the answer ---- */

static size_t
finish(struct writer *w, const struct dns_query *q, int rcode, unsigned flags)
{
	size_t len = dns_answer_opt(q, rcode, w->out, w->len);

	dns_put16(w->out + 2, DNS_QR | flags | (w->full ? DNS_TC : 0) | DNS_RA |
				  (q->flags & (DNS_RD | DNS_CD)) | (unsigned)(rcode & 15));
	for (unsigned i = 0; i < 3; i++)
		dns_put16(w->out + 6 + 2 * i, w->n[i] + (i == 2 && q->edns));
	return len;
}

size_t
dns_answer_opt(const struct dns_query *q, int rcode, uint8_t *out, size_t len)
{
	uint8_t *p = out + len;

	if (!q->edns)
		return len;
	*p++ = 0;
	p = dns_put16(dns_put16(p, DNS_TYPE_OPT), DNS_UDP_MAX);
	p = dns_put32(p, (uint32_t)(rcode >> 4) << 24 | (q->dnssec ? 0x8000 : 0));
	dns_put16(p, 0);
	return len + DNS_OPT;
}

static void
begin(struct writer *w, const struct dns_query *q, const uint8_t *msg)
{
	memcpy(w->out, msg, DNS_HEAD + q->question);
	dns_put16(w->out + 4, q->question > 0);
	w->len = DNS_HEAD + q->question;
}

size_t
dns_answer_error(const struct dns_query *q, const uint8_t *msg, int rcode, uint8_t *out)
{
	struct writer w = { .out = out };

	begin(&w, q, msg);
	if (rcode != DNS_NOTIMP)
		return finish(&w, q, rcode, 0);
	/* what is in a message of an unknown operation nobody can say back */
	dns_put16(out + 2, (q->flags & 0x7800u) | DNS_QR | DNS_NOTIMP);
	memset(out + 4, 0, 8);
	return DNS_HEAD;
}

/* Below a namespace's pods: an address says itself where it is. */
static bool
pod_write(struct writer *w, const struct dns_name *name, unsigned type, size_t owner)
{
	const struct dns_node *x =
	    dns_table_find(w->t, name->at + name->at[0] + 1, name->len - name->at[0] - 1u);
	uint8_t ip[16];
	unsigned is = DNS_A, size = 4;

	if (!x || !x->pods)
		return false;
	if (!dashed_read(name->at, ip)) {
		if (!dashed6_read(w->t, name->at, ip))
			return false;
		is = DNS_AAAA;
		size = 16;
	}
	if ((type == is || type == DNS_ANY) && room(w, RECORD_HEAD + size)) {
		uint8_t *p = dns_put16(w->out + w->len, 0xc000 | (unsigned)owner);

		p = dns_put32(dns_put16(dns_put16(p, is), 1), w->t->ttl);
		memcpy(dns_put16(p, size), ip, size);
		w->len += RECORD_HEAD + size;
		w->n[0]++;
	}
	return true;
}

static bool
is_apex(const struct dns_table *t, const struct dns_name *name)
{
	return name->len == t->zone.len; /* of one that is in the zone */
}

/* A name of ours: its records, or its CNAME's, which are followed as long as they lead to names
 * of ours.  The answer is about the last of them (RFC 6604): false when that is not there;
 * *ret_none when it has nothing of this type. */
static bool
names_write(struct writer *w, unsigned type, struct dns_reply *r, bool *ret_none)
{
	const struct dns_node *seen[CHAIN_MAX];
	const struct dns_name *name = &r->query.name;
	size_t owner = DNS_HEAD;

	for (int i = 0; i < CHAIN_MAX; i++) {
		const struct dns_node *x = dns_table_find(w->t, name->at, name->len);
		size_t at = w->len;

		seen[i] = x;
		if (!x) {
			bool there = is_apex(w->t, name) || pod_write(w, name, type, owner);

			*ret_none = w->len == at;
			return there;
		}
		if (type_write(w, x, type, owner, 0)) {
			if (type == DNS_SRV && !w->full)
				targets_write(w, at);
			return true;
		}
		if (!type_write(w, x, DNS_CNAME, owner, 0))
			return *ret_none = true;
		if (w->full)
			return true;
		owner = at + RECORD_HEAD;
		r->name.len = (uint8_t)(w->len - owner);
		memcpy(r->name.at, w->out + owner, r->name.len);
		name = &r->name;
		if (!dns_name_in(name, &w->t->zone)) {
			r->outcome = DNS_CHASE;
			return true;
		}
		x = dns_table_find(w->t, name->at, name->len);
		for (int k = 0; x && k <= i; k++)
			if (seen[k] == x)
				return true; /* round and round */
	}
	return true;
}

static void
zone_answer(struct writer *w, struct dns_reply *r)
{
	const struct dns_query *q = &r->query;
	const struct dns_name *top = &w->t->zone;
	bool none = false, there = names_write(w, q->type, r, &none);

	if (is_apex(w->t, &q->name) && (q->type == DNS_SOA || q->type == DNS_ANY)) {
		soa_write(w, top->at, top->len, 0);
		none = false;
	}
	if (is_apex(w->t, &q->name) && (q->type == DNS_NS || q->type == DNS_ANY)) {
		ns_write(w);
		none = false;
	}
	if (none && !w->full)
		soa_write(w, top->at, top->len, 1);
	r->len = finish(w, q, there ? DNS_NOERROR : DNS_NXDOMAIN, DNS_AA);
}

static bool
reverse_answer(struct writer *w, struct dns_reply *r)
{
	const struct dns_query *q = &r->query;
	const struct dns_node *x = dns_table_find(w->t, q->name.at, q->name.len);
	size_t zone = 0;
	enum where where = reverse_find(w->t, &q->name, &zone);

	if (!x && where == OURS_NOT)
		return false;
	if (x)
		type_write(w, x, q->type, DNS_HEAD, 0);
	if (!w->n[0] && !w->full)
		soa_write(w, where == OURS_NOT ? w->t->zone.at : q->name.at + zone,
			  where == OURS_NOT ? w->t->zone.len : q->name.len - zone, 1);
	r->len = finish(w, q, x || where == OURS_FOLDER ? DNS_NOERROR : DNS_NXDOMAIN, DNS_AA);
	return true;
}

void
dns_answer(const struct dns_table *t, unsigned turn, const uint8_t *msg, size_t n, bool tcp,
	   uint8_t *out, struct dns_reply *ret)
{
	struct dns_query *q = &ret->query;
	int rcode = dns_query_read(msg, n, q);
	struct writer w = { .t = t, .turn = turn, .out = out };

	ret->outcome = rcode < 0 ? DNS_SILENCE : DNS_ANSWERED;
	if (rcode < 0)
		return;
	ret->limit = tcp ? DNS_TCP_MAX : q->size;
	w.limit = ret->limit - (q->edns ? DNS_OPT : 0);
	if (!rcode && (q->class != 1 || q->type == DNS_AXFR || q->type == DNS_IXFR ||
		       q->type == DNS_TYPE_OPT))
		rcode = DNS_REFUSED;
	if (rcode) {
		ret->len = dns_answer_error(q, msg, rcode, out);
		return;
	}
	begin(&w, q, msg);
	if (dns_name_in(&q->name, &t->zone)) {
		zone_answer(&w, ret);
	} else if (!reverse_answer(&w, ret)) {
		ret->outcome = DNS_ELSEWHERE;
		ret->name = q->name;
	}
}

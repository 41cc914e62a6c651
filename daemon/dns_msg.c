/* dns_msg.c -- see dns_msg.h.  Every read is within the message; every loop goes forward. */
#include "dns_msg.h"
#include <string.h>

static uint8_t
fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* A question's name is whole: there is nothing before it to point at. */
static size_t
question_name(const uint8_t *msg, size_t n, struct dns_name *ret)
{
	size_t at = DNS_HEAD, len = 0;

	for (;;) {
		unsigned label;

		if (at >= n)
			return 0;
		label = msg[at];
		if (label > DNS_LABEL || len + label + 1 > DNS_NAME || at + label + 1 > n)
			return 0;
		ret->at[len] = (uint8_t)label;
		for (unsigned i = 1; i <= label; i++)
			ret->at[len + i] = fold(msg[at + i]);
		len += label + 1;
		at += label + 1;
		if (!label)
			break;
	}
	ret->len = (uint8_t)len;
	return at;
}

/* Its options are passed over, but have to be options. */
static int
opt_read(const uint8_t *p, size_t n, struct dns_query *q)
{
	size_t size;

	if (n < DNS_OPT || p[0] || dns_get16(p + 1) != DNS_TYPE_OPT)
		return DNS_FORMERR;
	size = dns_get16(p + 9);
	if (size != n - DNS_OPT)
		return DNS_FORMERR;
	for (const uint8_t *o = p + DNS_OPT, *end = p + n; o < end;) {
		if (end - o < 4 || end - o - 4 < dns_get16(o + 2))
			return DNS_FORMERR;
		o += 4 + dns_get16(o + 2);
	}
	q->edns = true;
	q->dnssec = p[7] & 0x80;
	q->size = dns_get16(p + 3);
	q->size = q->size < DNS_UDP_PLAIN ? DNS_UDP_PLAIN
		  : q->size > DNS_UDP_MAX ? DNS_UDP_MAX
					  : q->size;
	return p[6] ? DNS_BADVERS : DNS_NOERROR;
}

int
dns_query_read(const uint8_t *msg, size_t n, struct dns_query *ret)
{
	size_t at;
	int rc;

	if (n < DNS_HEAD || n > DNS_QUERY_MAX)
		return -1;
	ret->id = dns_get16(msg);
	ret->flags = dns_get16(msg + 2);
	ret->size = DNS_UDP_PLAIN;
	ret->edns = ret->dnssec = false;
	ret->question = 0;
	if (ret->flags & DNS_QR)
		return -1; /* answers are not answered: two servers would never stop */
	if (ret->flags >> 11 & 15)
		return DNS_NOTIMP;
	if (dns_get16(msg + 4) != 1 || dns_get32(msg + 6) || dns_get16(msg + 10) > 1)
		return DNS_FORMERR;
	at = question_name(msg, n, &ret->name);
	if (!at || n - at < 4)
		return DNS_FORMERR;
	ret->type = dns_get16(msg + at);
	ret->class = dns_get16(msg + at + 2);
	at += 4;
	if (dns_get16(msg + 10)) {
		rc = opt_read(msg + at, n - at, ret);
		if (rc == DNS_FORMERR)
			return rc;
		ret->question = (uint16_t)(at - DNS_HEAD);
		return rc;
	}
	ret->question = (uint16_t)(at - DNS_HEAD);
	return at == n ? DNS_NOERROR : DNS_FORMERR;
}

bool
dns_name_read(const char *text, struct dns_name *ret)
{
	size_t len = 0;

	if (!strcmp(text, "."))
		text++;
	while (*text) {
		size_t label = strcspn(text, ".");

		if (!label || label > DNS_LABEL || len + label + 2 > DNS_NAME)
			return false;
		ret->at[len++] = (uint8_t)label;
		for (size_t i = 0; i < label; i++)
			ret->at[len++] = fold((uint8_t)text[i]);
		text += label;
		if (*text == '.')
			text++;
	}
	ret->at[len++] = 0;
	ret->len = (uint8_t)len;
	return true;
}

bool
dns_name_in(const struct dns_name *name, const struct dns_name *zone)
{
	size_t at = 0;

	while (name->len - at > zone->len)
		at += name->at[at] + 1;
	return (size_t)name->len - at == zone->len &&
	       !memcmp(name->at + at, zone->at, zone->len);
}

size_t
dns_name_skip(const uint8_t *msg, size_t n, size_t at)
{
	while (at < n && msg[at] && msg[at] <= DNS_LABEL)
		at += msg[at] + 1;
	if (at >= n)
		return 0;
	if (!msg[at])
		return at + 1;
	/* a pointer goes back, so that nobody who follows it goes in a circle */
	if (msg[at] < 0xc0 || n - at < 2 || (dns_get16(msg + at) & 0x3fffu) >= at)
		return 0;
	return at + 2;
}

size_t
dns_record_read(const uint8_t *msg, size_t n, size_t at, struct dns_record *ret)
{
	size_t p = dns_name_skip(msg, n, at);

	if (!p || n - p < 10)
		return 0;
	*ret = (struct dns_record){ .type = dns_get16(msg + p),
				    .class = dns_get16(msg + p + 2),
				    .ttl = dns_get32(msg + p + 4),
				    .size = dns_get16(msg + p + 8),
				    .owner = at,
				    .ttl_at = p + 4,
				    .data = p + 10 };
	return n - ret->data < ret->size ? 0 : ret->data + ret->size;
}

/* nft_expr.c -- a rule's words as the expressions that the program nft makes of them.
 *
 * A rule is read from the left: each form that nft.c writes is a row below. */
#include "nfm.h"
#include "reconcile/base/addr.h"
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANONYMOUS "__map%d" /* the kernel puts a number there */

struct rule {
	struct nfm *w;
	const char *at;
	uint32_t map; /* the next anonymous one */
	bool v6;      /* of the table of IPv6 */
};

static bool
take(struct rule *r, const char *words)
{
	size_t n = strlen(words);

	if (strncmp(r->at, words, n))
		return false;
	r->at += n;
	return true;
}

static unsigned
number(struct rule *r)
{
	char *end;
	unsigned long n = strtoul(r->at, &end, 0);

	assert(end > r->at);
	r->at = end;
	return n;
}

/* "192.0.2.1", "fd42::1"; [fd42::1] where a port follows. */
static addr
address(struct rule *r)
{
	char text[ADDR_TEXT];
	bool brackets = take(r, "["), fine;
	size_t n = strspn(r->at, r->v6 ? "0123456789abcdef:." : "0123456789.");
	addr ip = 0;

	assert(n < sizeof text);
	memcpy(text, r->at, n);
	text[n] = 0;
	r->at += n;
	/* ::1 and 0.0.0.0/0 are nobody's on a network, and yet in rules */
	fine = addr_read(text, &ip) || !strcmp(text, "0.0.0.0") || !strcmp(text, "::");
	if (!fine && !strcmp(text, "::1")) {
		fine = true;
		ip = 1;
	}
	assert(fine && (!brackets || *r->at == ']'));
	r->at += brackets;
	return ip;
}

static void
name(struct rule *r, uint16_t attribute)
{
	size_t n = strcspn(r->at, " ,}\n");

	nfm_text(r->w, attribute, r->at, n);
	r->at += n;
}

/* -- expressions ------------------------------------------------------------ */

struct expr {
	size_t elem, data;
};

static struct expr
begin(struct rule *r, const char *what)
{
	struct expr x = { .elem = nfm_nest(r->w, NFTA_LIST_ELEM) };

	nfm_text(r->w, NFTA_EXPR_NAME, what, strlen(what));
	x.data = nfm_nest(r->w, NFTA_EXPR_DATA);
	return x;
}

static void
end(struct rule *r, struct expr x)
{
	nfm_close(r->w, x.data);
	nfm_close(r->w, x.elem);
}

static void
value(struct rule *r, uint16_t attribute, const void *at, size_t n)
{
	size_t nest = nfm_nest(r->w, attribute);

	nfm_put(r->w, NFTA_DATA_VALUE, at, n);
	nfm_close(r->w, nest);
}

static void
payload(struct rule *r, uint32_t reg, uint32_t base, uint32_t offset, uint32_t n)
{
	struct expr x = begin(r, "payload");

	nfm_put32(r->w, NFTA_PAYLOAD_DREG, reg);
	nfm_put32(r->w, NFTA_PAYLOAD_BASE, base);
	nfm_put32(r->w, NFTA_PAYLOAD_OFFSET, offset);
	nfm_put32(r->w, NFTA_PAYLOAD_LEN, n);
	end(r, x);
}

static void
meta(struct rule *r, uint16_t attribute, uint32_t reg, uint32_t key)
{
	struct expr x = begin(r, "meta");

	nfm_put32(r->w, NFTA_META_KEY, key);
	nfm_put32(r->w, attribute, reg);
	end(r, x);
}

static void
bits_of(struct rule *r, const void *keep, const void *flip, size_t n)
{
	struct expr x = begin(r, "bitwise");

	nfm_put32(r->w, NFTA_BITWISE_SREG, NFT_REG_1);
	nfm_put32(r->w, NFTA_BITWISE_DREG, NFT_REG_1);
	nfm_put32(r->w, NFTA_BITWISE_LEN, n);
	value(r, NFTA_BITWISE_MASK, keep, n);
	value(r, NFTA_BITWISE_XOR, flip, n);
	end(r, x);
}

/* Marks and the state of a connection are in the host's order. */
static void
bits(struct rule *r, uint32_t keep, uint32_t flip)
{
	bits_of(r, &keep, &flip, sizeof keep);
}

static void
compare(struct rule *r, uint32_t op, const void *at, size_t n)
{
	struct expr x = begin(r, "cmp");

	nfm_put32(r->w, NFTA_CMP_SREG, NFT_REG_1);
	nfm_put32(r->w, NFTA_CMP_OP, op);
	value(r, NFTA_CMP_DATA, at, n);
	end(r, x);
}

/* `to` NFT_REG_VERDICT, or where the value goes; `no_value`: a set. */
static void
lookup(struct rule *r, bool no_value, uint32_t to)
{
	struct expr x = begin(r, "lookup");

	name(r, NFTA_LOOKUP_SET);
	nfm_put32(r->w, NFTA_LOOKUP_SREG, NFT_REG_1);
	if (!no_value)
		nfm_put32(r->w, NFTA_LOOKUP_DREG, to);
	end(r, x);
}

static void
immediate(struct rule *r, uint32_t reg, const void *at, size_t n)
{
	struct expr x = begin(r, "immediate");

	nfm_put32(r->w, NFTA_IMMEDIATE_DREG, reg);
	value(r, NFTA_IMMEDIATE_DATA, at, n);
	end(r, x);
}

static void
nat(struct rule *r, uint32_t port_reg, bool fixed)
{
	struct expr x = begin(r, "nat");

	nfm_put32(r->w, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nfm_put32(r->w, NFTA_NAT_FAMILY, r->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nfm_put32(r->w, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	nfm_put32(r->w, NFTA_NAT_REG_PROTO_MIN, port_reg);
	if (fixed)
		nfm_put32(r->w, NFTA_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	end(r, x);
}

static void
numgen(struct rule *r, uint32_t reg)
{
	struct expr x = begin(r, "numgen");

	nfm_put32(r->w, NFTA_NG_DREG, reg);
	nfm_put32(r->w, NFTA_NG_MODULUS, number(r));
	nfm_put32(r->w, NFTA_NG_TYPE, NFT_NG_RANDOM);
	if (take(r, " offset "))
		nfm_put32(r->w, NFTA_NG_OFFSET, number(r));
	end(r, x);
}

/* -- what a rule is of ------------------------------------------------------ */

enum { IP_SOURCE = 12, IP_DESTINATION = 16, TH_DESTINATION = 2 };
enum { IP6_SOURCE = 8, IP6_DESTINATION = 24 };

/* What begins behind n registers of four bytes, of which four have a name of their own. */
static uint32_t
field_reg(unsigned n)
{
	return n % 4 ? NFT_REG32_00 + n : NFT_REG_1 + n / 4;
}

/* "ip saddr"; of IPv6 it takes four registers. */
static bool
field_address(struct rule *r, unsigned *n)
{
	bool source;

	if (!take(r, r->v6 ? "ip6 " : "ip "))
		return false;
	source = take(r, "saddr");
	if (!source && !take(r, "daddr"))
		return false;
	payload(r, field_reg(*n), NFT_PAYLOAD_NETWORK_HEADER,
		r->v6 ? (source ? IP6_SOURCE : IP6_DESTINATION)
		      : (source ? IP_SOURCE : IP_DESTINATION),
		r->v6 ? 16 : 4);
	*n += r->v6 ? 4 : 1;
	return true;
}

/* One or more fields, " . " between them, into as many registers; false: it is something else
 */
static bool
fields(struct rule *r)
{
	unsigned n = 0;

	do {
		if (field_address(r, &n))
			continue;
		if (take(r, "meta l4proto"))
			meta(r, NFTA_META_DREG, field_reg(n++), NFT_META_L4PROTO);
		else if (take(r, "th dport"))
			payload(r, field_reg(n++), NFT_PAYLOAD_TRANSPORT_HEADER, TH_DESTINATION,
				2);
		else if (take(r, "numgen random mod "))
			numgen(r, field_reg(n++));
		else
			return false;
	} while (take(r, " . "));
	return true;
}

static void
range(struct rule *r, uint32_t op)
{
	addr net = address(r);
	unsigned of = addr_bits(r->v6), b = take(r, "/") ? number(r) : of;
	uint8_t keep[16], flip[16] = { 0 }, want[16];

	addr_bytes(r->v6, addr_head(~(addr)0, b, of), keep);
	addr_bytes(r->v6, addr_head(net, b, of), want);
	if (b < of)
		bits_of(r, keep, flip, of / 8);
	compare(r, op, want, of / 8);
}

static void
verdict(struct rule *r, uint16_t attribute)
{
	size_t data = nfm_nest(r->w, attribute), nest = nfm_nest(r->w, NFTA_DATA_VERDICT);

	nfm_put32(r->w, NFTA_VERDICT_CODE, (uint32_t)NFT_GOTO);
	name(r, NFTA_VERDICT_CHAIN);
	nfm_close(r->w, nest);
	nfm_close(r->w, data);
}

static void
go(struct rule *r)
{
	struct expr x = begin(r, "immediate");

	nfm_put32(r->w, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	verdict(r, NFTA_IMMEDIATE_DATA);
	end(r, x);
}

static void
local(struct rule *r, uint32_t side)
{
	struct expr x = begin(r, "fib");
	uint32_t type = RTN_LOCAL;

	nfm_put32(r->w, NFTA_FIB_FLAGS, side);
	nfm_put32(r->w, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nfm_put32(r->w, NFTA_FIB_DREG, NFT_REG_1);
	end(r, x);
	compare(r, NFT_CMP_EQ, &type, sizeof type);
}

static void
translated(struct rule *r)
{
	struct expr x = begin(r, "ct");
	uint32_t none = 0;

	nfm_put32(r->w, NFTA_CT_KEY, NFT_CT_STATUS);
	nfm_put32(r->w, NFTA_CT_DREG, NFT_REG_1);
	end(r, x);
	bits(r, IPS_DST_NAT, 0);
	compare(r, NFT_CMP_NEQ, &none, sizeof none);
}

static void
marked(struct rule *r)
{
	uint32_t mask = number(r), want;
	bool more = take(r, " == ");

	assert(more);
	want = number(r);
	meta(r, NFTA_META_DREG, NFT_REG_1, NFT_META_MARK);
	bits(r, mask, 0);
	compare(r, NFT_CMP_EQ, &want, sizeof want);
}

static void
mark(struct rule *r, bool add, uint32_t x)
{
	meta(r, NFTA_META_DREG, NFT_REG_1, NFT_META_MARK);
	bits(r, add ? ~x : x, add ? x : 0);
	meta(r, NFTA_META_SREG, NFT_REG_1, NFT_META_MARK);
}

static void
other_link(struct rule *r)
{
	size_t n = strcspn(r->at, "\"");
	char link[IFNAMSIZ] = "";

	assert(n < sizeof link && r->at[n]);
	memcpy(link, r->at, n);
	r->at += n + 1;
	meta(r, NFTA_META_DREG, NFT_REG_1, NFT_META_OIFNAME);
	compare(r, NFT_CMP_NEQ, link, sizeof link);
}

static void
masquerade(struct rule *r)
{
	struct expr x = begin(r, "masq");

	nfm_put32(r->w, NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
	end(r, x);
}

/* "SET { ip saddr timeout 10s }" */
static void
update(struct rule *r)
{
	struct rule key = { r->w, strchr(r->at, '{') + 2, 0, r->v6 };
	bool fine = fields(&key) && take(&key, " timeout ");
	uint64_t ms = UINT64_C(1000) * number(&key);
	struct expr x;

	assert(fine);
	ms = htobe64(ms);
	x = begin(r, "dynset");
	name(r, NFTA_DYNSET_SET_NAME);
	nfm_put32(r->w, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	nfm_put32(r->w, NFTA_DYNSET_SREG_KEY, NFT_REG_1);
	nfm_put(r->w, NFTA_DYNSET_TIMEOUT, &ms, sizeof ms);
	end(r, x);
	r->at = strchr(key.at, '}') + 1;
}

/* "10.42.0.2:80", or fields and " map @NAME" */
static void
translate(struct rule *r)
{
	bool by_map = fields(r);
	unsigned n = r->v6 ? 4 : 1; /* registers of an address */
	uint8_t ip[16];
	uint16_t port;

	if (by_map) {
		by_map = take(r, " map @");
		assert(by_map);
		lookup(r, false, NFT_REG_1);
		nat(r, field_reg(n), false);
		return;
	}
	addr_bytes(r->v6, address(r), ip);
	by_map = take(r, ":");
	assert(by_map);
	port = htons(number(r));
	immediate(r, NFT_REG_1, ip, n * 4);
	immediate(r, NFT_REG_2, &port, sizeof port);
	nat(r, NFT_REG_2, true);
}

static void
protocol(struct rule *r)
{
	uint8_t p = take(r, "tcp") ? IPPROTO_TCP : take(r, "udp") ? IPPROTO_UDP : IPPROTO_SCTP;

	if (p == IPPROTO_SCTP)
		take(r, "sctp");
	compare(r, NFT_CMP_EQ, &p, sizeof p);
}

/* What a key is looked up in, or compared with. */
static void
wanted(struct rule *r)
{
	struct expr x;

	if (take(r, " vmap @")) {
		lookup(r, false, NFT_REG_VERDICT);
	} else if (take(r, " vmap {")) {
		x = begin(r, "lookup");
		nfm_text(r->w, NFTA_LOOKUP_SET, ANONYMOUS, strlen(ANONYMOUS));
		nfm_put32(r->w, NFTA_LOOKUP_SREG, NFT_REG_1);
		nfm_put32(r->w, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
		nfm_put32(r->w, NFTA_LOOKUP_SET_ID, r->map++);
		end(r, x);
		r->at = strchr(r->at, '}') + 1;
	} else if (take(r, " @")) {
		lookup(r, true, 0);
	} else if (take(r, " != ")) {
		range(r, NFT_CMP_NEQ);
	} else if (take(r, " ")) {
		if (!strncmp(r->at, "tcp ", 4) || !strncmp(r->at, "udp ", 4) ||
		    !strncmp(r->at, "sctp ", 5))
			protocol(r);
		else
			range(r, NFT_CMP_EQ);
	}
}

static bool
form(struct rule *r)
{
	if (take(r, "goto "))
		go(r);
	else if (take(r, "dnat to "))
		translate(r);
	else if (take(r, "masquerade fully-random"))
		masquerade(r);
	else if (take(r, "update @"))
		update(r);
	else if (take(r, "fib daddr type local"))
		local(r, NFTA_FIB_F_DADDR);
	else if (take(r, "fib saddr type local"))
		local(r, NFTA_FIB_F_SADDR);
	else if (take(r, "ct status dnat"))
		translated(r);
	else if (take(r, "oifname != \""))
		other_link(r);
	else if (take(r, "meta mark and "))
		marked(r);
	else if (take(r, "meta mark set meta mark and "))
		mark(r, false, number(r));
	else if (take(r, "meta mark set meta mark or "))
		mark(r, true, number(r));
	else
		return false;
	return true;
}

void
nft_expr_put(struct nfm *w, const char *rule)
{
	struct rule r = { w, rule, w->ids, w->v6 };

	while (*r.at && *r.at != '\n') {
		bool known = form(&r);

		if (!known) {
			known = fields(&r);
			assert(known);
			wanted(&r);
		}
		take(&r, " ");
	}
}

/* -- maps of no name -------------------------------------------------------- */

static void
map_begin(struct nfm *w, const char *table, uint32_t id, unsigned n)
{
	/* of one number, in the host's order, to a verdict */
	static const uint8_t note[] = { 0, 4, 1, 0, 0, 0, 1, 4, 0, 0, 0, 0, 4, 8,
					0, 4, 1, 0, 0, 0, 1, 0, 6, 4, 0, 0, 0, 0 };
	size_t nest;

	nfm_begin(w, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET, NLM_F_CREATE, nfm_family(w),
		  0);
	nfm_text(w, NFTA_SET_TABLE, table, strcspn(table, " "));
	nfm_text(w, NFTA_SET_NAME, ANONYMOUS, strlen(ANONYMOUS));
	nfm_put32(w, NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_MAP);
	nfm_put32(w, NFTA_SET_KEY_TYPE, 4);
	nfm_put32(w, NFTA_SET_KEY_LEN, sizeof(uint32_t));
	nfm_put32(w, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
	nfm_put32(w, NFTA_SET_DATA_LEN, 0);
	nfm_put32(w, NFTA_SET_ID, id);
	nest = nfm_nest(w, NFTA_SET_DESC);
	nfm_put32(w, NFTA_SET_DESC_SIZE, n);
	nfm_close(w, nest);
	nfm_put(w, NFTA_SET_USERDATA, note, sizeof note);
}

/* "0 : goto A, 1 : goto B }"; so many that a message is full are said in several. */
static void
map_elements(struct rule *r, const char *table, uint32_t id)
{
	while (*r->at && *r->at != '}') {
		size_t list, elem, from = r->w->out->len;

		nfm_begin(r->w, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, NLM_F_CREATE,
			  nfm_family(r->w), 0);
		nfm_text(r->w, NFTA_SET_ELEM_LIST_TABLE, table, strcspn(table, " "));
		nfm_text(r->w, NFTA_SET_ELEM_LIST_SET, ANONYMOUS, strlen(ANONYMOUS));
		nfm_put32(r->w, NFTA_SET_ELEM_LIST_SET_ID, id);
		list = nfm_nest(r->w, NFTA_SET_ELEM_LIST_ELEMENTS);
		while (r->w->out->len - from < NFM_FULL && *r->at && *r->at != '}') {
			uint32_t n = number(r);

			take(r, " : goto ");
			elem = nfm_nest(r->w, NFTA_LIST_ELEM);
			value(r, NFTA_SET_ELEM_KEY, &n, sizeof n);
			verdict(r, NFTA_SET_ELEM_DATA);
			nfm_close(r->w, elem);
			take(r, ",");
			take(r, " ");
		}
		nfm_close(r->w, list);
	}
}

void
nft_expr_maps(struct nfm *w, const char *table, const char *rule)
{
	const char *end = rule + strcspn(rule, "\n");
	struct rule r = { w, strstr(rule, "vmap { "), 0, w->v6 };
	unsigned n = 0;

	if (!r.at || r.at > end)
		return;
	r.at += strlen("vmap { ");
	for (const char *at = r.at; *at && *at != '}'; at++)
		n += *at == ':';
	map_begin(w, table, w->ids, n);
	map_elements(&r, table, w->ids);
}

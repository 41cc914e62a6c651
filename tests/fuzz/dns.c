/* dns.c -- mutants of questions, of other servers' answers and of the zone's lines: each answer
 * is a message to ldns, too, is no longer than its asker takes, and nothing is written behind
 * it.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "daemon/dns_answer.h"
#include "daemon/dns_cache.h"
#include "daemon/dns_upstream.h"
#include "mutate.h"
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 40000, GUARD = 64 };

static const char *const words[] = { "\xc0\x0c",
				     "\xc0",
				     "\x3f",
				     "\x3f\x3f",
				     "\xff\xff",
				     "\x03web",
				     "\x04_tcp",
				     "\x05local",
				     "\x07"
				     "cluster",
				     "\x03svc",
				     "\x03pod",
				     "\x07in-addr",
				     "\x04"
				     "arpa",
				     "\x01"
				     "1",
				     "\005"
				     "10-42",
				     "\x80",
				     "\x01",
				     "web.shop.svc.cluster.local",
				     " A 10.43.0.1\n",
				     " SRV 0 0 1 ",
				     "\n",
				     NULL };

static const char *const names[] = { "web.shop.svc.cluster.local",
				     "pets.shop.svc.cluster.local",
				     "_http._tcp.pets.shop.svc.cluster.local",
				     "alias.shop.svc.cluster.local",
				     "1.0.43.10.in-addr.arpa",
				     "10-42-0-1.shop.pod.cluster.local",
				     "cluster.local",
				     "away.shop.svc.cluster.local",
				     "www.example.com" };
static const unsigned types[] = { DNS_A, DNS_AAAA, DNS_SRV, DNS_PTR, DNS_ANY, DNS_NS, DNS_SOA };

static const char zone_text[] =
    "web.shop.svc.cluster.local A 10.43.0.1\n1.0.43.10.in-addr.arpa PTR "
    "web.shop.svc.cluster.local\n"
    "alias.shop.svc.cluster.local CNAME pets.shop.svc.cluster.local\n"
    "away.shop.svc.cluster.local CNAME www.example.com\nshop.pod.cluster.local PODS\n"
    "pets.shop.svc.cluster.local A 10.42.0.1\npets.shop.svc.cluster.local A 10.42.0.2\n"
    "a.pets.shop.svc.cluster.local A 10.42.0.1\nb.pets.shop.svc.cluster.local A 10.42.0.2\n"
    "_http._tcp.pets.shop.svc.cluster.local SRV 0 50 80 a.pets.shop.svc.cluster.local\n"
    "_http._tcp.pets.shop.svc.cluster.local SRV 0 50 80 b.pets.shop.svc.cluster.local\n";

static void
table_make(struct dns_table *t)
{
	struct dns_name zone;

	assert_true(dns_name_read("cluster.local", &zone));
	dns_table_init(t, &zone, 5, 1);
	t->ranges[0] = (struct addr_range){ 0x0a2a0000, 16, false };
	t->ranges[1] = (struct addr_range){ 0x0a2b0000, 12, false };
	assert_true(addr_range_read("fd42::/64", &t->ranges[2]) &&
		    addr_range_read("fd43::/112", &t->ranges[3]));
	assert_int_equal(dns_table_put(t, "all", zone_text, NULL), 0);
}

static void
seed(struct mutator *m, struct buf *b)
{
	uint8_t q[DNS_ASK_MAX], lot[DNS_NAME / 8 + 1];
	struct dns_key k = { .edns = mutate_below(m, 2), .dnssec = mutate_below(m, 2) };

	assert_true(
	    dns_name_read(names[mutate_below(m, sizeof names / sizeof *names)], &k.name));
	k.type = (uint16_t)types[mutate_below(m, sizeof types / sizeof *types)];
	memset(lot, (int)mutate_random(m), sizeof lot);
	buf_add(b, q, dns_ask_write(&k, (uint16_t)mutate_random(m), lot, q));
}

/* What we read as one question ldns reads so, too. */
static void
compare(const struct buf *b, const struct dns_query *q)
{
	ldns_pkt *p = NULL;
	ldns_rr *rr;

	assert_int_equal(ldns_wire2pkt(&p, (const uint8_t *)b->at, b->len), LDNS_STATUS_OK);
	assert_int_equal(ldns_pkt_qdcount(p), 1);
	rr = ldns_rr_list_rr(ldns_pkt_question(p), 0);
	assert_int_equal(ldns_rr_get_type(rr), q->type);
	assert_int_equal(ldns_rdf_size(ldns_rr_owner(rr)), q->name.len);
	assert_int_equal(ldns_pkt_edns(p), q->edns);
	ldns_pkt_free(p);
}

static void
no_mutant_of_a_question_gets_more_than_an_answer(void **state)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	uint8_t *out = xmalloc(DNS_TCP_MAX + GUARD);
	size_t answered = 0, elsewhere = 0, silent = 0, good = 0;
	struct dns_table t;

	(void)state;
	table_make(&t);
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_buf struct buf b = { 0 };
		struct dns_reply r;
		bool tcp = mutate_below(&m, 4) == 0;
		size_t most = tcp ? DNS_TCP_MAX : DNS_UDP_MAX;
		ldns_pkt *p = NULL;

		seed(&m, &b);
		for (size_t n = mutate_below(&m, 4); n; n--)
			mutate_once(&m, &b);
		memset(out + most, 0xa5, GUARD);
		dns_answer(&t, (unsigned)i, (const uint8_t *)b.at, b.len, tcp, out, &r);
		for (size_t g = 0; g < GUARD; g++)
			assert_int_equal(out[most + g], 0xa5);
		silent += r.outcome == DNS_SILENCE;
		elsewhere += r.outcome == DNS_ELSEWHERE;
		if (r.outcome == DNS_SILENCE)
			continue;
		if (dns_query_read((const uint8_t *)b.at, b.len, &r.query) == DNS_NOERROR) {
			compare(&b, &r.query);
			good++;
		}
		if (r.outcome != DNS_ANSWERED)
			continue;
		answered++;
		assert_true(r.len >= DNS_HEAD && r.len <= r.limit);
		assert_int_equal(ldns_wire2pkt(&p, out, r.len), LDNS_STATUS_OK);
		ldns_pkt_free(p);
	}
	dns_table_done(&t);
	free(out);
	assert_true(answered > ROUNDS / 4 && elsewhere > ROUNDS / 40 && silent > ROUNDS / 200 &&
		    good > ROUNDS / 4);
}

/* An answer of another server's to what `b` asks: a CNAME and what it leads to, with pointers.
 */
static void
upstream_seed(struct buf *b)
{
	static const uint8_t records[] = "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\6\3www\xc0\x0c"
					 "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
					 "\xc0\x0c\0\6\0\1\0\0\0\x3c\0\x18\xc0\x0c\xc0\x0c"
					 "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";
	uint8_t *p = (uint8_t *)b->at;
	size_t question = dns_name_skip(p, b->len, DNS_HEAD) + 4;

	p[2] |= 0x80;
	p[7] = 2;
	p[9] = 1;
	p[11] = 0;
	b->len = question;
	buf_add(b, records, sizeof records - 1);
}

static void
no_mutant_of_anothers_answer_does_harm(void **state)
{
	struct mutator m = { 0xda3e39cb94b95bdb, words };
	uint8_t *out = xmalloc(DNS_TCP_MAX + GUARD), *msg = xmalloc(DNS_TCP_MAX);
	struct dns_cache *c = dns_cache_new(1 << 16, 1);
	size_t good = 0, chased = 0, kept = 0;
	struct dns_table t;

	(void)state;
	table_make(&t);
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_buf struct buf ask = { 0 }, b = { 0 };
		struct dns_reply r;
		size_t n;

		seed(&m, &ask);
		buf_add(&b, ask.at, ask.len);
		upstream_seed(&b);
		for (n = mutate_below(&m, 3); n; n--)
			mutate_once(&m, &b);
		if (dns_belief((uint8_t *)ask.at, ask.len, (uint8_t *)b.at, b.len) != DNS_GOOD)
			continue;
		good++;
		dns_answer(&t, 0, (uint8_t *)ask.at, ask.len, false, out, &r);
		if (r.outcome == DNS_CHASE) {
			n = dns_chase(&r, out, (uint8_t *)b.at, b.len);
			assert_true(n <= r.limit);
			chased += n > 0;
		} else if (r.outcome == DNS_ELSEWHERE) {
			struct dns_key k = { .name = r.name, .type = r.query.type };

			dns_cache_put(c, &k, i, (uint8_t *)b.at, b.len);
			n = dns_cache_get(c, &k, i + 500, msg);
			kept += n > 0;
			memcpy(msg, b.at, b.len);
			assert_true(dns_fit(&r, (uint8_t *)ask.at, msg, b.len) <= r.limit);
		}
	}
	dns_cache_free(c);
	dns_table_done(&t);
	free(out);
	free(msg);
	assert_true(good > ROUNDS / 8 && chased > ROUNDS / 200 && kept > ROUNDS / 200);
}

/* Those lines of the text that are records; how many others there are. */
static size_t
records_of(const char *text, struct dns_table *t, struct buf *good)
{
	size_t bad = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");
		cleanup_free char *line = xstrndup(text, n);

		if (n && dns_table_put(t, "one", line, NULL) == 0)
			buf_addf(good, "%s\n", line);
		else
			bad++;
		text += n + (text[n] != 0);
	}
	dns_table_drop(t, "one");
	return bad;
}

static void
no_mutant_of_a_zones_line_takes_another_with_it(void **state)
{
	struct mutator m = { 0x2545f4914f6cdd1d, words };
	size_t whole = 0;

	(void)state;
	for (int i = 0; i < ROUNDS / 10; i++) {
		cleanup_buf struct buf b = { 0 }, good = { 0 };
		struct dns_table t, only;
		size_t bad;

		table_make(&t);
		table_make(&only);
		dns_table_drop(&only, "all");
		buf_adds(&b, zone_text);
		for (size_t n = 1 + mutate_below(&m, 3); n; n--)
			mutate_once(&m, &b);
		buf_add(&b, "", 1);
		bad = records_of(b.at, &only, &good);
		assert_int_equal(dns_table_put(&t, "all", b.at, NULL), bad ? -1 : 0);
		assert_int_equal(dns_table_put(&only, "all", buf_text(&good), NULL), 0);
		assert_int_equal(t.n, only.n);
		whole += !bad;
		dns_table_drop(&t, "all");
		assert_int_equal(t.n, 0);
		dns_table_done(&t);
		dns_table_done(&only);
	}
	assert_true(whole > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_mutant_of_a_question_gets_more_than_an_answer),
		cmocka_unit_test(no_mutant_of_anothers_answer_does_harm),
		cmocka_unit_test(no_mutant_of_a_zones_line_takes_another_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

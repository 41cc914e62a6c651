/* t_dns.c -- the cluster's names: the zone of a world, and the answers it gives, as golden
 * text.
 *
 * tests/golden/dns/in.yaml must give zone.txt and answers.txt; ldns reads each answer.
 * KEDGE_GOLDEN=write writes them anew.
 */
#include "base/cleanup.h"
#include "daemon/dns_answer.h"
#include "daemon/dns_cache.h"
#include "daemon/dns_pace.h"
#include "daemon/dns_upstream.h"
#include "dns.h"
#include "world.h"
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#define FOLDER "tests/golden/dns"

struct bench {
	struct world w;
	struct dns_table table;
	uint8_t out[DNS_TCP_MAX];
	struct dns_reply reply;
};

static void
golden(const char *file, const struct buf *got)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, FOLDER "/%s", file);
	golden_check(path, FOLDER "/in.yaml", got);
}

/* Endpoints by the hundred, for answers that have no room. */
static void
many_put(struct bench *b, int n)
{
	cleanup_buf struct buf y = { 0 };

	buf_adds(&y, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: "
		     "many-1, uid: u-m1, labels: {kubernetes.io/service-name: many}}\n"
		     "addressType: IPv4\nports: [{name: http, port: 80, protocol: "
		     "TCP}]\nendpoints:\n");
	for (int i = 1; i <= n; i++)
		buf_addf(&y, "- {addresses: [10.42.7.%d], conditions: {ready: true}}\n", i);
	world_read(&b->w, y.at);
}

static void
tell(struct bench *b, struct buf *all)
{
	struct snapshot *s = world_snapshot(&b->w);
	size_t n;
	const struct dns_part *at = dns_parts(s, &b->w.arena, &n);

	dns_table_begin(&b->table);
	for (size_t i = 0; i < n; i++) {
		cleanup_buf struct buf lines = { 0 };
		cleanup_error struct error *e = NULL;

		dns_part_text(s, &at[i], &b->w.arena, &lines);
		assert_int_equal(dns_table_put(&b->table, at[i].key, buf_text(&lines), &e), 0);
		if (all)
			buf_addf(all, "%s\n%s", at[i].key, buf_text(&lines));
	}
	dns_table_end(&b->table);
}

static int
setup(void **state)
{
	struct bench *b = xcalloc(1, sizeof *b);
	cleanup_free char *in = golden_contents(FOLDER "/in.yaml");
	struct dns_name zone;

	assert_true(dns_name_read("cluster.local", &zone));
	dns_table_init(&b->table, &zone, 5, 42);
	b->table.ranges[0] = (struct addr_range){ 0x0a2a0000, 16, false };
	b->table.ranges[1] = (struct addr_range){ 0x0a2b0000, 16, false };
	world_read(&b->w, in);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	dns_table_done(&b->table);
	arena_free(&b->w.arena);
	free(b);
	return 0;
}

static size_t
query_make(uint8_t *to, const char *name, unsigned type, unsigned edns)
{
	ldns_pkt *p = NULL;
	uint8_t *wire = NULL;
	size_t n = 0;

	assert_int_equal(
	    ldns_pkt_query_new_frm_str(&p, name, (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD),
	    LDNS_STATUS_OK);
	ldns_pkt_set_id(p, 0x1234);
	if (edns)
		ldns_pkt_set_edns_udp_size(p, (uint16_t)edns);
	assert_int_equal(ldns_pkt2wire(&wire, p, &n), LDNS_STATUS_OK);
	memcpy(to, wire, n);
	free(wire);
	ldns_pkt_free(p);
	return n;
}

static void
list_print(const char *section, const ldns_rr_list *list, struct buf *out)
{
	for (size_t i = 0; list && i < ldns_rr_list_rr_count(list); i++) {
		char *text = ldns_rr2str(ldns_rr_list_rr(list, i));

		for (char *p = text; *p; p++)
			*p = *p == '\t' ? ' ' : *p;
		buf_addf(out, "  %s %s", section, text);
		free(text);
	}
}

static void
answer_print(const struct bench *b, struct buf *out)
{
	static const char *const rcodes[] = { "NOERROR",  "FORMERR", "SERVFAIL",
					      "NXDOMAIN", "NOTIMP",  "REFUSED" };
	ldns_pkt *p = NULL;

	assert_int_equal(ldns_wire2pkt(&p, b->out, b->reply.len), LDNS_STATUS_OK);
	assert_true(ldns_pkt_qr(p) && ldns_pkt_ra(p) && ldns_pkt_id(p) == 0x1234);
	buf_addf(out, " -> %s%s%s\n", rcodes[ldns_pkt_get_rcode(p)],
		 ldns_pkt_aa(p) ? "" : " not authoritative",
		 ldns_pkt_tc(p) ? " truncated" : "");
	list_print("answer", ldns_pkt_answer(p), out);
	list_print("authority", ldns_pkt_authority(p), out);
	list_print("additional", ldns_pkt_additional(p), out);
	ldns_pkt_free(p);
}

static void
ask(struct bench *b, const char *name, unsigned type, unsigned edns, bool tcp)
{
	uint8_t query[DNS_QUERY_MAX];
	size_t n = query_make(query, name, type, edns);

	memset(b->out, 0xee, sizeof b->out);
	dns_answer(&b->table, 0, query, n, tcp, b->out, &b->reply);
	if (!tcp && b->reply.outcome == DNS_ANSWERED)
		assert_true(b->reply.len <= (edns ? DNS_UDP_MAX : DNS_UDP_PLAIN));
}

static void
each_row_of_the_specification_is_in_the_zone(void **state)
{
	cleanup_buf struct buf all = { 0 };

	tell(*state, &all);
	golden("zone.txt", &all);
}

static const struct {
	const char *name;
	unsigned type;
} questions[] = {
	{ "dns-version.cluster.local", DNS_TXT },
	{ "kubernetes.default.svc.cluster.local", DNS_A },
	{ "_https._tcp.kubernetes.default.svc.cluster.local", DNS_SRV },
	{ "web.shop.svc.cluster.local", DNS_A },
	{ "WeB.ShOp.sVc.cLuStEr.LoCaL", DNS_A },
	{ "web.shop.svc.cluster.local", DNS_AAAA },
	{ "web.shop.svc.cluster.local", DNS_ANY },
	{ "_http._tcp.web.shop.svc.cluster.local", DNS_SRV },
	{ "_dns._udp.web.shop.svc.cluster.local", DNS_SRV },
	{ "_dns._tcp.web.shop.svc.cluster.local", DNS_SRV },
	{ "_tcp.web.shop.svc.cluster.local", DNS_SRV },
	{ "20.0.43.10.in-addr.arpa", DNS_PTR },
	{ "bare.shop.svc.cluster.local", DNS_A },
	{ "nameless.shop.svc.cluster.local", DNS_A },
	{ "pets.shop.svc.cluster.local", DNS_A },
	{ "pets.shop.svc.cluster.local", DNS_AAAA },
	{ "my-pet.pets.shop.svc.cluster.local", DNS_A },
	{ "10-42-0-7.pets.shop.svc.cluster.local", DNS_A },
	{ "sick-pet.pets.shop.svc.cluster.local", DNS_A },
	{ "_https._tcp.pets.shop.svc.cluster.local", DNS_SRV },
	{ "5.0.42.10.in-addr.arpa", DNS_PTR },
	{ "8.0.42.10.in-addr.arpa", DNS_PTR },
	{ "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR },
	{ "nobody.shop.svc.cluster.local", DNS_A },
	{ "_http._tcp.nobody.shop.svc.cluster.local", DNS_SRV },
	{ "byhand.shop.svc.cluster.local", DNS_A },
	{ "alias.default.svc.cluster.local", DNS_A },
	{ "alias.default.svc.cluster.local", DNS_CNAME },
	{ "alias.default.svc.cluster.local", DNS_AAAA },
	{ "loop.default.svc.cluster.local", DNS_A },
	{ "ping.default.svc.cluster.local", DNS_A },
	{ "dangling.default.svc.cluster.local", DNS_A },
	{ "podalias.default.svc.cluster.local", DNS_A },
	{ "podalias.default.svc.cluster.local", DNS_AAAA },
	{ "10-42-0-5.shop.pod.cluster.local", DNS_A },
	{ "10-42-0-5.shop.pod.cluster.local", DNS_AAAA },
	{ "10-42-0-256.shop.pod.cluster.local", DNS_A },
	{ "10-42-0-5.none.pod.cluster.local", DNS_A },
	{ "shop.pod.cluster.local", DNS_A },
	{ "cluster.local", DNS_SOA },
	{ "cluster.local", DNS_NS },
	{ "cluster.local", DNS_A },
	{ "svc.cluster.local", DNS_A },
	{ "shop.svc.cluster.local", DNS_A },
	{ "none.svc.cluster.local", DNS_A },
	{ "none.shop.svc.cluster.local", DNS_A },
	{ "web.shop.svc.cluster.local", DNS_AXFR },
	{ "43.10.in-addr.arpa", DNS_PTR },
	{ "0.43.10.in-addr.arpa", DNS_PTR },
	{ "x.43.10.in-addr.arpa", DNS_PTR },
};

static void
names_are_answered_as_kubernetes_has_it(void **state)
{
	cleanup_buf struct buf all = { 0 };
	struct bench *b = *state;

	tell(b, NULL);
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
		char *type = ldns_rr_type2str((ldns_rr_type)questions[i].type);

		ask(b, questions[i].name, questions[i].type, 0, true);
		assert_int_equal(b->reply.outcome, DNS_ANSWERED);
		buf_addf(&all, "%s %s", questions[i].name, type);
		answer_print(b, &all);
		free(type);
	}
	golden("answers.txt", &all);
}

/* Of a cluster that has IPv6, which the golden world has not. */
static void
names_and_addresses_of_ipv6(void **state)
{
#define R48 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	static const struct {
		const char *name;
		unsigned type;
		const char *has; /* NULL: it is asked elsewhere */
	} rows[] = {
		{ "both.shop.svc.cluster.local", DNS_AAAA, "AAAA fd43::7" },
		{ "both.shop.svc.cluster.local", DNS_A, "A 10.43.0.99" },
		{ "six.shop.svc.cluster.local", DNS_AAAA, "AAAA fd43::8" },
		{ "six.shop.svc.cluster.local", DNS_A, "NOERROR" },
		{ "7." R48 "0.0.0.0.0.0.0.3.4.d.f.ip6.arpa", DNS_PTR,
		  "PTR both.shop.svc.cluster.local." },
		{ "9." R48 "0.0.0.0.0.0.0.3.4.d.f.ip6.arpa", DNS_PTR, "NXDOMAIN" },
		{ "0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa", DNS_PTR, NULL },
		{ "0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa", DNS_PTR, "NOERROR" },
		{ "9." R48 "0.0.0.0.0.0.0.4.4.d.f.ip6.arpa", DNS_PTR, NULL },
		{ "x." R48 "0.0.0.0.0.0.0.3.4.d.f.ip6.arpa", DNS_PTR, "NXDOMAIN" },
		{ "fd42--a2a-5.shop.pod.cluster.local", DNS_AAAA, "AAAA fd42::a2a:5" },
		{ "fd42--a2a-5.shop.pod.cluster.local", DNS_A, "NOERROR" },
		{ "fd42--a2a-g.shop.pod.cluster.local", DNS_AAAA, "NXDOMAIN" },
	};
	struct bench *b = *state;

	world_snapshot(&b->w);
	assert_true(addr_range_read("fd42::/64", &b->w.settings.pods6) &&
		    addr_range_read("fd43::/112", &b->w.settings.svcs6));
	b->table.ranges[2] = b->w.settings.pods6;
	b->table.ranges[3] = b->w.settings.svcs6;
	world_read(&b->w,
		   "apiVersion: v1\nkind: Service\nmetadata: {name: both, namespace: shop, "
		   "uid: u-both}\nspec: {ports: [{port: 80}], clusterIP: 10.43.0.99, "
		   "clusterIPs: [10.43.0.99, 'fd43::7'], ipFamilies: [IPv4, IPv6]}\n");
	world_read(&b->w,
		   "apiVersion: v1\nkind: Service\nmetadata: {name: six, namespace: shop, "
		   "uid: u-six}\nspec: {ports: [{port: 80}], clusterIP: 'fd43::8', "
		   "clusterIPs: ['fd43::8'], ipFamilies: [IPv6]}\n");
	tell(b, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_buf struct buf text = { 0 };

		ask(b, rows[i].name, rows[i].type, 0, true);
		assert_int_equal(b->reply.outcome, rows[i].has ? DNS_ANSWERED : DNS_ELSEWHERE);
		if (!rows[i].has)
			continue;
		answer_print(b, &text);
		if (!strstr(buf_text(&text), rows[i].has))
			fail_msg("%s: %s", rows[i].name, buf_text(&text));
	}
}

static void
what_is_not_the_clusters_is_asked_elsewhere(void **state)
{
	static const char *const names[] = { "example.com",
					     "local",
					     "luster.local",
					     "xcluster.local",
					     "1.2.0.192.in-addr.arpa",
					     "10.in-addr.arpa",
					     "." };
	struct bench *b = *state;

	tell(b, NULL);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ask(b, names[i], DNS_A, 0, false);
		assert_int_equal(b->reply.outcome, DNS_ELSEWHERE);
	}
	ask(b, "foo.default.svc.cluster.local", DNS_A, 0, false);
	assert_int_equal(b->reply.outcome, DNS_CHASE);
	assert_memory_equal(b->reply.name.at, "\3www\7example\3com", 17);
}

static unsigned
answers(const struct bench *b)
{
	return dns_get16(b->out + 6);
}

static bool
truncated(const struct bench *b)
{
	return b->out[2] & 2;
}

static void
what_has_no_room_is_cut_between_records_and_whole_over_tcp(void **state)
{
	struct bench *b = *state;
	cleanup_buf struct buf ignored = { 0 };

	many_put(b, 200);
	tell(b, NULL);
	ask(b, "many.default.svc.cluster.local", DNS_A, 0, false);
	assert_true(truncated(b) && answers(b) == (512 - 12 - 36) / 16);
	answer_print(b, &ignored);
	ask(b, "many.default.svc.cluster.local", DNS_A, 4096, false);
	assert_true(truncated(b) && answers(b) == (1232 - 12 - 36 - 11) / 16);
	answer_print(b, &ignored);
	ask(b, "many.default.svc.cluster.local", DNS_A, 0, true);
	assert_true(!truncated(b) && answers(b) == 200);
	ask(b, "_http._tcp.many.default.svc.cluster.local", DNS_SRV, 4096, false);
	assert_true(truncated(b) && answers(b) > 5);
	answer_print(b, &ignored);
	many_put(b, 12);
	tell(b, NULL);
	ask(b, "_http._tcp.many.default.svc.cluster.local", DNS_SRV, 4096, false);
	/* the targets' addresses are an extra: without room for them nothing is missing */
	assert_true(!truncated(b) && answers(b) == 12);
	answer_print(b, &ignored);
}

static void
addresses_take_turns(void **state)
{
	struct bench *b = *state;
	uint8_t query[DNS_QUERY_MAX];
	size_t n;
	unsigned first = 0;

	many_put(b, 5);
	tell(b, NULL);
	n = query_make(query, "many.default.svc.cluster.local", DNS_A, 0);
	for (unsigned turn = 0; turn < 5; turn++) {
		dns_answer(&b->table, turn, query, n, false, b->out, &b->reply);
		assert_int_equal(answers(b), 5);
		first |= 1u << b->out[b->reply.query.question + DNS_HEAD + 15];
	}
	assert_int_equal(first, 0x3e); /* each of .1 to .5 was the first once */
}

static void
what_goes_leaves_nothing_behind(void **state)
{
	struct bench *b = *state;
	size_t before;

	tell(b, NULL);
	before = b->table.n;
	many_put(b, 100);
	tell(b, NULL);
	/* many, its endpoints, _tcp, _http._tcp and the pointers */
	assert_int_equal(b->table.n, before + 203);
	world_drop(&b->w, "endpointslice", "default", "many-1");
	tell(b, NULL);
	assert_int_equal(b->table.n, before);
	dns_table_drop(&b->table, "service/shop/web");
	ask(b, "web.shop.svc.cluster.local", DNS_A, 0, false);
	assert_int_equal(b->out[3] & 15, DNS_NXDOMAIN);
	dns_table_begin(&b->table);
	dns_table_end(&b->table);
	assert_int_equal(b->table.n, 0);
}

static void
a_line_that_is_no_record_is_left_out_alone(void **state)
{
	static const char *const bad[] = {
		"a.cluster.local A 10.0.0.256",
		"a..cluster.local A 10.0.0.1",
		"a.cluster.local",
		"a.cluster.local A",
		"a.cluster.local SRV 1 2 65536 b",
		"a.cluster.local WKS x",
		"a.cluster.local A 10.0.0.1 10.0.0.2",
	};
	struct bench *b = *state;

	tell(b, NULL);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cleanup_error struct error *e = NULL;
		const char *text = arena_printf(&b->w.arena,
						"web.shop.svc.cluster.local A 10.0.0.1\n%s\n"
						"web.shop.svc.cluster.local A 10.0.0.2",
						bad[i]);

		assert_int_equal(dns_table_put(&b->table, "service/shop/web", text, &e), -1);
		assert_string_equal(
		    error_text(e),
		    "service/shop/web: 1 of 3 lines are no records, first line 2");
		ask(b, "web.shop.svc.cluster.local", DNS_A, 0, false);
		assert_int_equal(answers(b), 2);
		ask(b, "a.cluster.local", DNS_A, 0, false);
		assert_int_equal(b->out[3] & 15, DNS_NXDOMAIN);
	}
}

#define LETTERS_63 "a23456789012345678901234567890123456789012345678901234567890123"

/* Kubernetes allows a port's name, and a label of an externalName, that DNS has no room for. */
static void
a_name_that_dns_has_not_takes_no_other_with_it_and_is_told_of(void **state)
{
	struct bench *b = *state;
	const struct service *svc;
	struct snapshot *s;
	const char *why;

	world_read(&b->w,
		   "apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: shop, "
		   "uid: u-odd}\nspec: {type: ClusterIP, clusterIP: 10.43.0.77, ports: "
		   "[{name: " LETTERS_63 ", port: 1}, {name: http, port: 80}]}\n---\n");
	tell(b, NULL);
	ask(b, "odd.shop.svc.cluster.local", DNS_A, 0, false);
	assert_int_equal(answers(b), 1);
	ask(b, "_http._tcp.odd.shop.svc.cluster.local", DNS_SRV, 0, false);
	assert_int_equal(answers(b), 1);
	ask(b, "77.0.43.10.in-addr.arpa", DNS_PTR, 0, false);
	assert_int_equal(answers(b), 1);
	/* nothing of what was before stays */
	ask(b, "foo.default.svc.cluster.local", DNS_CNAME, 0, false);
	assert_int_equal(answers(b), 1);
	world_read(&b->w,
		   "apiVersion: v1\nkind: Service\nmetadata: {name: foo, namespace: "
		   "default, uid: u-foo, resourceVersion: '99'}\nspec: {type: ExternalName, "
		   "externalName: x" LETTERS_63 ".example.com}\n---\n");
	tell(b, NULL);
	ask(b, "foo.default.svc.cluster.local", DNS_CNAME, 0, false);
	assert_int_equal(answers(b), 0);
	s = world_snapshot(&b->w);
	svc = snapshot_find(s, RES_service, "shop", "odd");
	assert_string_equal(dns_left_out(s, svc, &b->w.arena),
			    "DNS has no name with a part longer than 63 letters (_" LETTERS_63
			    "._tcp.odd.shop.svc.cluster.local): 1 of its records is left out");
	assert_true(dns_why(s, "odd.shop.svc.cluster.local", &b->w.arena, &why));
	assert_non_null(strstr(why, "has the cluster IP 10.43.0.77; DNS has no name with"));
	assert_true(dns_why(s, "foo.default.svc.cluster.local", &b->w.arena, &why));
	assert_non_null(strstr(why, "(x" LETTERS_63 ".example.com)"));
	svc = snapshot_find(s, RES_service, "shop", "web");
	assert_null(dns_left_out(s, svc, &b->w.arena));
}

static void
packets_that_are_no_question_get_formerr_or_nothing(void **state)
{
	struct bench *b = *state;
	uint8_t q[DNS_QUERY_MAX], bad[DNS_QUERY_MAX];
	size_t n = query_make(q, "web.shop.svc.cluster.local", DNS_A, 1232);
	static const struct {
		size_t at;
		uint8_t value;
		int rcode; /* -1: silence */
	} rows[] = {
		{ 2, 0x81, -1 },                                   /* an answer */
		{ 2, 0x11, DNS_NOTIMP },                           /* opcode 2 */
		{ 5, 2, DNS_FORMERR },                             /* two questions */
		{ 5, 0, DNS_FORMERR },                             /* none */
		{ 7, 1, DNS_FORMERR },                             /* an answer in it */
		{ 9, 1, DNS_FORMERR },     { 11, 2, DNS_FORMERR }, /* more than OPT */
		{ 11, 0, DNS_FORMERR },                            /* bytes behind the end */
		{ 12, 64, DNS_FORMERR },                           /* no label */
		{ 12, 0xc0, DNS_FORMERR },                         /* a pointer */
		{ 12, 63, DNS_FORMERR },                           /* to beyond the end */
	};

	tell(b, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		memcpy(bad, q, n);
		bad[rows[i].at] = rows[i].value;
		dns_answer(&b->table, 0, bad, n, false, b->out, &b->reply);
		assert_int_equal(b->reply.outcome,
				 rows[i].rcode < 0 ? DNS_SILENCE : DNS_ANSWERED);
		if (rows[i].rcode >= 0) {
			assert_int_equal(b->out[3] & 15, rows[i].rcode);
			assert_true(b->reply.len >= DNS_HEAD && b->reply.len <= n);
		}
	}
	for (size_t cut = 0; cut < n; cut++) {
		dns_answer(&b->table, 0, q, cut, false, b->out, &b->reply);
		assert_int_equal(b->reply.outcome, cut < 12 ? DNS_SILENCE : DNS_ANSWERED);
		if (cut >= 12)
			assert_int_equal(b->out[3] & 15, DNS_FORMERR);
	}
	memcpy(bad, q, n);
	bad[n - 5] = 1; /* EDNS version 1 */
	dns_answer(&b->table, 0, bad, n, false, b->out, &b->reply);
	assert_int_equal(b->out[3] & 15, 0);
	assert_int_equal(b->out[b->reply.len - 6], 1); /* BADVERS: 16 */
}

/* ---- other servers ---- */

static size_t
upstream_make(const uint8_t *ask_wire, size_t ask_n, const char *rr_text, int rcode,
	      uint8_t *to)
{
	ldns_pkt *p = NULL;
	uint8_t *wire = NULL;
	size_t n = 0;
	ldns_rr *rr = NULL;

	assert_int_equal(ldns_wire2pkt(&p, ask_wire, ask_n), LDNS_STATUS_OK);
	ldns_pkt_set_qr(p, true);
	ldns_pkt_set_rcode(p, (uint8_t)rcode);
	if (rr_text) {
		assert_int_equal(ldns_rr_new_frm_str(&rr, rr_text, 0, NULL, NULL),
				 LDNS_STATUS_OK);
		ldns_pkt_push_rr(
		    p, strstr(rr_text, "SOA") ? LDNS_SECTION_AUTHORITY : LDNS_SECTION_ANSWER,
		    rr);
	}
	assert_int_equal(ldns_pkt2wire(&wire, p, &n), LDNS_STATUS_OK);
	memcpy(to, wire, n);
	/* ldns writes names in lower case */
	memcpy(to + DNS_HEAD, ask_wire + DNS_HEAD,
	       dns_name_skip(ask_wire, ask_n, DNS_HEAD) - DNS_HEAD);
	free(wire);
	ldns_pkt_free(p);
	return n;
}

static void
an_answer_is_believed_only_to_the_very_question(void **state)
{
	struct dns_key k = { .type = DNS_A, .edns = true };
	uint8_t lot[DNS_NAME / 8 + 1], q[DNS_ASK_MAX], m[2048], bad[2048];
	size_t n, qn;

	(void)state;
	memset(lot, 0x55, sizeof lot);
	assert_true(dns_name_read("www.example.com", &k.name));
	qn = dns_ask_write(&k, 0xbeef, lot, q);
	assert_true(memcmp(q + DNS_HEAD, k.name.at, k.name.len) != 0);
	n = upstream_make(q, qn, "www.example.com. 60 IN A 192.0.2.1", 0, m);
	assert_int_equal(dns_belief(q, qn, m, n), DNS_GOOD);
	for (size_t i = 0; i < DNS_HEAD + k.name.len + 4u; i++) {
		if (i == 3 || (i >= 6 && i < 12))
			continue; /* flags and counts are the answer's own */
		memcpy(bad, m, n);
		bad[i] ^= i == 2 ? 0x80 : 0x01;
		assert_int_equal(dns_belief(q, qn, bad, n), DNS_STRANGE);
	}
	memcpy(bad, m, n);
	bad[DNS_HEAD + 1] ^= 0x20;
	assert_int_equal(dns_belief(q, qn, bad, n), DNS_FOLDED);
	for (size_t cut = DNS_HEAD + k.name.len + 4u; cut < n; cut++)
		assert_int_equal(dns_belief(q, qn, m, cut), DNS_BROKEN);
}

static void
a_cname_out_of_the_cluster_brings_what_it_leads_to(void **state)
{
	struct bench *b = *state;
	cleanup_buf struct buf out = { 0 };
	uint8_t q[DNS_ASK_MAX], m[2048], lot[DNS_NAME / 8 + 1] = { 0 };
	struct dns_key k = { .type = DNS_A };
	size_t qn, n;

	tell(b, NULL);
	ask(b, "foo.default.svc.cluster.local", DNS_A, 1232, false);
	k.name = b->reply.name;
	qn = dns_ask_write(&k, 1, lot, q);
	n = upstream_make(q, qn, "www.example.com. 60 IN A 192.0.2.1", 0, m);
	b->reply.len = dns_chase(&b->reply, b->out, m, n);
	answer_print(b, &out);
	assert_string_equal(out.at, " -> NOERROR not authoritative\n"
				    "  answer foo.default.svc.cluster.local. 5 IN CNAME "
				    "www.example.com.\n"
				    "  answer www.example.com. 60 IN A 192.0.2.1\n");
	ask(b, "foo.default.svc.cluster.local", DNS_A, 0, false);
	n = upstream_make(q, qn, "example.com. 60 IN SOA a. b. 1 2 3 4 5", 3, m);
	b->reply.len = dns_chase(&b->reply, b->out, m, n);
	buf_clear(&out);
	answer_print(b, &out);
	assert_non_null(strstr(out.at, "NXDOMAIN"));
	assert_non_null(strstr(out.at, "authority example.com. 60 IN SOA"));
}

static void
others_answers_are_kept_as_long_as_they_hold_and_within_the_bound(void **state)
{
	struct dns_cache *c = dns_cache_new(16384, 7);
	struct dns_key k = { .type = DNS_A };
	uint8_t q[DNS_ASK_MAX], m[2048], out[DNS_TCP_MAX], lot[DNS_NAME / 8 + 1] = { 0 };
	size_t qn, n, kept = 0;
	char name[64];

	(void)state;
	assert_true(dns_name_read("www.example.com", &k.name));
	qn = dns_ask_write(&k, 1, lot, q);
	n = upstream_make(q, qn, "www.example.com. 60 IN A 192.0.2.1", 0, m);
	dns_cache_put(c, &k, 1000, m, n);
	assert_int_equal(dns_cache_get(c, &k, 21000, out), n);
	assert_int_equal(dns_get32(out + n - 10), 40); /* of its TTL */
	assert_int_equal(dns_cache_get(c, &k, 61000, out), 0);
	n = upstream_make(q, qn, "example.com. 60 IN SOA a. b. 1 2 3 4 7", 3, m);
	dns_cache_put(c, &k, 1000, m, n);
	assert_int_equal(dns_cache_get(c, &k, 7999, out), n);
	assert_int_equal(dns_cache_get(c, &k, 8000, out), 0);
	n = upstream_make(q, qn, NULL, 2, m);
	dns_cache_put(c, &k, 1000, m, n);
	assert_int_equal(dns_cache_get(c, &k, 1001, out), 0); /* SERVFAIL is not kept */
	/* RFC 2181, 8: a TTL with its highest bit set is 0 */
	n = upstream_make(q, qn, "www.example.com. 60 IN A 192.0.2.1", 0, m);
	dns_put32(m + n - 10, 0x80000000);
	dns_cache_put(c, &k, 1000, m, n);
	assert_int_equal(dns_cache_get(c, &k, 1001, out), 0);
	n = upstream_make(q, qn, "example.com. 60 IN SOA a. b. 1 2 3 4 2147483648", 3, m);
	dns_cache_put(c, &k, 1000, m, n);
	assert_int_equal(dns_cache_get(c, &k, 1001, out), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "n%d.example.com", i);
		assert_true(dns_name_read(name, &k.name));
		qn = dns_ask_write(&k, 1, lot, q);
		snprintf(name, sizeof name, "n%d.example.com. 60 IN A 192.0.2.1", i);
		n = upstream_make(q, qn, name, 0, m);
		dns_cache_put(c, &k, 1000, m, n);
		assert_true(dns_cache_bytes(c) <= 16384);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "n%d.example.com", i);
		assert_true(dns_name_read(name, &k.name));
		kept += dns_cache_get(c, &k, 1000, out) > 0;
	}
	assert_true(kept > 10 && kept < 100);
	assert_true(dns_cache_get(c, &k, 1000, out) > 0); /* the newest is among them */
	dns_cache_free(c);
}

/* `n` turns, `every` us, that find `each` questions; how many of them waited. */
static unsigned
turns(struct dns_pace *p, int64_t *now, unsigned n, int64_t every, unsigned each)
{
	unsigned waited = 0;

	for (unsigned i = 0; i < n; i++) {
		waited += dns_pace(p, *now, i ? each : 0) > 0;
		*now += every;
	}
	(void)dns_pace(p, *now, each);
	return waited;
}

static void
questions_gather_only_while_many_are_asked(void **state)
{
	struct dns_pace p = { 0 };
	int64_t now = INT64_C(1) << 40, silence = 50000;

	(void)state;
	/* a pod's two, now and then; and what 15,000 a second are */
	assert_int_equal(turns(&p, &now, 1000, silence, 2), 0);
	assert_int_equal(turns(&p, &now, 1000, 66, 1), 0);
	/* a burst of a turn's length is over before anybody would have waited */
	now += silence;
	assert_int_equal(turns(&p, &now, 1, 500, 256), 0);
	now += silence;
	assert_int_equal(dns_pace(&p, now, 0), 0);
	/* 100,000 a second: all wait but those of the first millisecond */
	assert_int_equal(turns(&p, &now, 1000, 10, 1), 1000 - 100);
	assert_int_equal(dns_pace(&p, now + 10, 1), DNS_PACE_US);
	/* and who comes after them does not */
	assert_int_equal(dns_pace(&p, now + silence, 1), 0);
	assert_int_equal(turns(&p, &now, 1000, silence, 2), 0);
}

static void
why_is_told_in_a_sentence(void **state)
{
	static const char *const rows[][2] = {
		{ "web.shop.svc.cluster.local",
		  "service shop/web has the cluster IP 10.43.0.20" },
		{ "pets.shop.svc.cluster.local",
		  "service shop/pets is headless and has 4 ready endpoints" },
		{ "nobody.shop.svc.cluster.local",
		  "service shop/nobody is headless and has no ready endpoint" },
		{ "foo.default.svc.cluster.local",
		  "service default/foo is an ExternalName: WWW.example.com." },
		{ "web.none.svc.cluster.local", "there is no namespace \"none\"" },
		{ "none.shop.svc.cluster.local",
		  "there is no service \"none\" in namespace shop" },
		{ "x.cluster.local",
		  "nothing in cluster.local is called that: services are below "
		  "svc.cluster.local" },
	};
	struct bench *b = *state;
	struct snapshot *s = world_snapshot(&b->w);
	const char *why;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(dns_why(s, rows[i][0], &b->w.arena, &why));
		assert_string_equal(why, rows[i][1]);
	}
	assert_false(dns_why(s, "www.example.com", &b->w.arena, &why));
}

static void
a_pod_looks_along_its_search_list(void **state)
{
	static const struct {
		const char *name, *asked;
	} rows[] = {
		{ "web",
		  "web.shop.svc.cluster.local web.svc.cluster.local web.cluster.local web " },
		{ "web.other", "web.other.shop.svc.cluster.local web.other.svc.cluster.local "
			       "web.other.cluster.local web.other " },
		{ "web.", "web " },
		{ "a.b.c.d.e.f", "a.b.c.d.e.f a.b.c.d.e.f.shop.svc.cluster.local "
				 "a.b.c.d.e.f.svc.cluster.local a.b.c.d.e.f.cluster.local " },
	};
	struct bench *b = *state;
	const char *ask_for[DNS_CANDIDATES];

	(void)world_snapshot(&b->w);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_buf struct buf got = { 0 };
		size_t n =
		    dns_candidates(&b->w.settings, "shop", rows[i].name, &b->w.arena, ask_for);

		for (size_t k = 0; k < n; k++)
			buf_addf(&got, "%s ", ask_for[k]);
		assert_string_equal(got.at, rows[i].asked);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_row_of_the_specification_is_in_the_zone),
		TEST(names_are_answered_as_kubernetes_has_it),
		TEST(names_and_addresses_of_ipv6),
		TEST(what_is_not_the_clusters_is_asked_elsewhere),
		TEST(what_has_no_room_is_cut_between_records_and_whole_over_tcp),
		TEST(addresses_take_turns),
		TEST(what_goes_leaves_nothing_behind),
		TEST(a_line_that_is_no_record_is_left_out_alone),
		TEST(a_name_that_dns_has_not_takes_no_other_with_it_and_is_told_of),
		TEST(packets_that_are_no_question_get_formerr_or_nothing),
		TEST(an_answer_is_believed_only_to_the_very_question),
		TEST(a_cname_out_of_the_cluster_brings_what_it_leads_to),
		TEST(others_answers_are_kept_as_long_as_they_hold_and_within_the_bound),
		TEST(questions_gather_only_while_many_are_asked),
		TEST(why_is_told_in_a_sentence),
		TEST(a_pod_looks_along_its_search_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_proxy.c -- what the proxy subresources make of names, paths, headers and addresses. */
#include "daemon/proxy_text.h"
#include "reads.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/cleanup.h"

static void
a_name_has_a_scheme_and_a_port_as_kubernetes_reads_them(void **state)
{
	static const struct {
		const char *id, *scheme, *name, *port; /* name NULL: it is none */
	} cases[] = {
		{ "web", "", "web", "" },
		{ "web:8080", "", "web", "8080" },
		{ "web:http", "", "web", "http" },
		{ "web:", "", "web", "" },
		{ "https:web:", "https", "web", "" },
		{ "http:web:80", "http", "web", "80" },
		{ ":web:80", "", "web", "80" },
		{ "https:web", "", "https", "web" },
		{ "ftp:web:80", NULL, NULL, NULL },
		{ "https::80", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ ":80", NULL, NULL, NULL },
		{ "https:web:80:", NULL, NULL, NULL },
		{ "HTTPS:web:80", NULL, NULL, NULL },
	};
	cleanup_arena struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct proxy_id id;

		assert_int_equal(proxy_id_read(cases[i].id, &id, &a), cases[i].name != NULL);
		if (!cases[i].name)
			continue;
		assert_string_equal(id.scheme, cases[i].scheme);
		assert_string_equal(id.name, cases[i].name);
		assert_string_equal(id.port, cases[i].port);
	}
}

static void
what_is_the_pods_is_passed_on_as_it_was_escaped(void **state)
{
	static const struct {
		const char *uri, *path, *tail;
	} cases[] = {
		{ "/p/web/proxy", "/p/web/proxy", "" },
		{ "/p/web/proxy/", "/p/web/proxy/", "/" },
		{ "/p/web/proxy?a=b", "/p/web/proxy", "?a=b" },
		{ "/p/web/proxy/a%2Fb%20c//d/?x=%26&y", "/p/web/proxy/a/b c//d/",
		  "/a%2Fb%20c//d/?x=%26&y" },
		{ "/p/web/proxy/../..", "/p/web/proxy/../..", "/../.." },
		{ "/p/https%3aweb%3A/proxy/x", "/p/https:web:/proxy/x", "/x" },
		{ "/p/100%/proxy/x", "/p/100%/proxy/x", "/x" },
		/* one segment as it was sent, two as it is read: nobody knows whose this is */
		{ "/p/web%2Fproxy/x/y", "/p/web/proxy/x/y", NULL },
		{ "/p%2Fweb/proxy/x", "/p/web/proxy/x", NULL },
		{ "/p/web", "/p/web", NULL },
		{ "/p/web/proxy/a HTTP/1.1", "/p/web/proxy/a HTTP/1.1", NULL },
		{ "/p/web/proxy/?a\tb", "/p/web/proxy/", NULL },
		{ "http://h/p/web/proxy", "/p/web/proxy", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *tail = proxy_tail(cases[i].uri, cases[i].path, 3);

		if (cases[i].tail && tail)
			assert_string_equal(tail, cases[i].tail);
		else
			assert_true(!tail && !cases[i].tail);
	}
}

static void
credentials_and_what_is_of_one_connection_stay_behind(void **state)
{
	static const struct {
		const char *name, *value, *connection;
		int passes; /* a sum of ways */
	} cases[] = {
		{ "Accept", "*/*", NULL, PROXY_ASKS | PROXY_ANSWERS },
		{ "Cookie", "a=b", "close", PROXY_ASKS | PROXY_ANSWERS },
		{ "Host", "kedge", "X-Host, Hos", PROXY_ASKS | PROXY_ANSWERS },
		{ "authorization", "Bearer x", NULL, PROXY_ANSWERS },
		{ "Authorization-Hint", "x", NULL, PROXY_ASKS | PROXY_ANSWERS },
		{ "Impersonate-User", "root", NULL, PROXY_ANSWERS },
		{ "impersonate-extra-scopes", "a", NULL, PROXY_ANSWERS },
		{ "X-Remote-Group", "system:masters", NULL, PROXY_ANSWERS },
		{ "Connection", "close", NULL, 0 },
		{ "Keep-Alive", "timeout=5", NULL, 0 },
		{ "Transfer-Encoding", "chunked", NULL, 0 },
		{ "Upgrade", "h2c", NULL, 0 },
		{ "TE", "trailers", NULL, 0 },
		{ "X-Hop", "1", "close, x-hop", 0 },
		{ "X-Hop", "1", "x-hop2", PROXY_ASKS | PROXY_ANSWERS },
		{ "Content-Length", "3", NULL, 0 },
		{ "Expect", "100-continue", NULL, PROXY_ANSWERS },
		{ "Access-Control-Allow-Origin", "*", NULL, PROXY_ASKS },
		{ "Set-Cookie", "a=b", NULL, PROXY_ASKS | PROXY_ANSWERS },
		{ "X-A", "one\r\nX-B: two", NULL, 0 },
		{ "X A", "one", NULL, 0 },
		{ "", "one", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int way = PROXY_ASKS; way <= PROXY_ANSWERS; way++)
			assert_int_equal(proxy_header_passes(cases[i].name, cases[i].value,
							     cases[i].connection,
							     (enum proxy_way)way),
					 (cases[i].passes & way) != 0);
}

static void
a_list_has_a_word_in_any_case_and_whole(void **state)
{
	(void)state;
	assert_true(proxy_header_has("keep-alive, upgrade", "Upgrade"));
	assert_true(proxy_header_has("Upgrade ,x", "Upgrade"));
	assert_false(proxy_header_has("Upgraded", "Upgrade"));
	assert_false(proxy_header_has("x-upgrade", "Upgrade"));
	assert_false(proxy_header_has("", "Upgrade"));
	assert_false(proxy_header_has(NULL, "Upgrade"));
}

static void
a_redirect_leads_through_the_proxy_where_it_led_within_the_pod(void **state)
{
	static const char prefix[] = "/api/v1/namespaces/default/pods/web/proxy";
	static const struct {
		const char *from, *to; /* to without the prefix when it begins with '+' */
	} cases[] = {
		{ "/login?next=%2F#top", "+/login?next=%2F#top" },
		{ "/", "+/" },
		{ "login", "login" },
		{ "../x", "../x" },
		{ "?a=b", "?a=b" },
		{ "", "" },
		{ "http://10.42.0.7:80/x", "+/x" },
		{ "//10.42.0.7:80/x", "+/x" },
		{ "https://api.example:6443/x", "+/x" },
		{ "http://API.example:6443/x", "+/x" },
		{ "http://10.42.0.7:80", "http://10.42.0.7:80" },
		{ "http://10.42.0.8:80/x", "http://10.42.0.8:80/x" },
		{ "http://10.42.0.7:8080/x", "http://10.42.0.7:8080/x" },
		{ "http://example.com/", "http://example.com/" },
		{ "//example.com/", "//example.com/" },
		{ "mailto:a@example.com", "mailto:a@example.com" },
		{ "/api/v1/namespaces/default/pods/web/proxy/x",
		  "/api/v1/namespaces/default/pods/web/proxy/x" },
		{ "http://api.example:6443/api/v1/namespaces/default/pods/web/proxy/x",
		  "/api/v1/namespaces/default/pods/web/proxy/x" },
	};
	cleanup_arena struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *want = *cases[i].to == '+'
				       ? arena_printf(&a, "%s%s", prefix, cases[i].to + 1)
				       : cases[i].to;

		assert_string_equal(proxy_location(cases[i].from, prefix, "10.42.0.7:80",
						   "api.example:6443", &a),
				    want);
		if (!strstr(cases[i].from, "api.example") &&
		    !strstr(cases[i].from, "API.example"))
			assert_string_equal(
			    proxy_location(cases[i].from, prefix, "10.42.0.7:80", NULL, &a),
			    want);
	}
}

static void
only_an_address_of_the_pods_is_reached(void **state)
{
	static const char *const bad[] = {
		"",          "127.0.0.1",   "0.0.0.0",         "169.254.169.254",  "10.42.0.1",
		"10.41.0.9", "192.168.0.1", "224.0.0.1",       "255.255.255.255",  "::1",
		"fe80::1",   "fd41::1:1",   "fd43::10.42.0.7", "::ffff:10.42.0.7", "ff02::1",
		"web",       "10.42.0.7 ",  "10.43.0.10",      "fd42::10.42.0.1",
	};
	struct settings set = { .pods = { 10u << 24 | 42u << 16, 16, false } };

	(void)state;
	assert_true(proxy_address_ok("10.42.0.7", &set));
	assert_true(proxy_address_ok("10.42.255.254", &set));
	assert_false(proxy_address_ok("fd42::10.42.0.7", &set));
	assert_true(addr_range_read("fd42::/96", &set.pods6));
	assert_true(proxy_address_ok("fd42::10.42.0.7", &set));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(proxy_address_ok(bad[i], &set));
	/* whatever the operator's range */
	set.pods.net = 127u << 24;
	set.pods.bits = 8;
	assert_false(proxy_address_ok("127.0.0.7", &set));
	assert_false(proxy_address_ok("127.0.0.7", NULL));
	assert_false(proxy_address_ok("10.42.0.7", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_a_scheme_and_a_port_as_kubernetes_reads_them),
		cmocka_unit_test(what_is_the_pods_is_passed_on_as_it_was_escaped),
		cmocka_unit_test(credentials_and_what_is_of_one_connection_stay_behind),
		cmocka_unit_test(a_list_has_a_word_in_any_case_and_whole),
		cmocka_unit_test(
		    a_redirect_leads_through_the_proxy_where_it_led_within_the_pod),
		cmocka_unit_test(only_an_address_of_the_pods_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_addr.c -- addresses of both families as one number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/map.h"
#include <string.h>

static void
what_is_read_is_printed(void **state)
{
	static const char *const same[] = { "0.0.0.0",     "10.42.0.5",   "255.255.255.255",
					    "fd42::a2a:5", "2001:db8::1", "::ffff:10.0.0.1" };
	char text[ADDR_TEXT];
	addr a;

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		assert_true(addr_read(same[i], &a));
		assert_int_equal(addr_v6(a), strchr(same[i], ':') != NULL);
		assert_string_equal(addr_print(a, text), same[i]);
	}
	assert_true(addr_read("FD42:0:0::10.42.0.5", &a));
	assert_string_equal(addr_print(a, text), "fd42::a2a:5");
}

static void
what_is_no_address_is_not_read(void **state)
{
	static const char *const bad[] = { "",     "10.42.0",   "10.42.0.256", "fd42::g",
					   "::",   "::1",       "::10.0.0.1",  "fd42::/64",
					   "[::]", "fd42::1%lo" };
	addr a = 7;

	(void)state;
	assert_false(addr_read(NULL, &a));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(addr_read(bad[i], &a));
	assert_true(a == 7);
}

static void
a_family_is_told_by_the_text(void **state)
{
	(void)state;
	assert_true(addr_text_is_v6("fd42::1") && addr_text_is_v6("::/0"));
	assert_false(addr_text_is_v6("10.42.0.5") || addr_text_is_v6("10.42.0.0/16"));
	assert_false(addr_text_is_v6("None") || addr_text_is_v6("") || addr_text_is_v6(NULL));
}

static bool
holds(const char *range, const char *ip)
{
	struct addr_range r;
	addr a;

	assert_true(addr_range_read(range, &r));
	assert_true(addr_read(ip, &a));
	return addr_within(a, r);
}

static void
a_range_holds_its_own_family(void **state)
{
	struct addr_range r;

	(void)state;
	assert_true(holds("10.42.0.0/16", "10.42.255.255"));
	assert_false(holds("10.42.0.0/16", "10.43.0.0"));
	assert_true(holds("0.0.0.0/0", "192.0.2.1"));
	assert_false(holds("0.0.0.0/0", "2001:db8::1"));
	assert_true(holds("::/0", "2001:db8::1"));
	assert_false(holds("::/0", "192.0.2.1"));
	assert_true(holds("fd42::/64", "fd42::ffff:0:1"));
	assert_false(holds("fd42::/64", "fd42:0:0:1::1"));
	assert_true(holds("fd42::1", "fd42::1"));
	assert_false(holds("fd42::1", "fd42::2"));
	assert_true(holds("fd42::ff/120", "fd42::1")); /* bits behind it count for nothing */
	assert_false(addr_range_read("fd42::/129", &r));
	assert_false(addr_range_read("10.0.0.0/33", &r));
	assert_false(addr_range_read("fd42::/", &r));
	assert_false(addr_range_read("fd42::/6a", &r));
	assert_false(addr_range_read("fd42::/0064", &r));
	assert_false(addr_range_read("/64", &r));
}

static void
a_range_is_printed_as_it_is_read(void **state)
{
	static const char *const same[] = {
		"10.42.0.0/16", "0.0.0.0/0", "255.255.255.255/32", "fd42::/64", "::/0",
		"::/3",         "::1/128",   "::1.2.3.4/128"
	};
	char text[ADDR_RANGE_TEXT];
	struct addr_range r;

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		assert_true(addr_range_read(same[i], &r));
		assert_string_equal(addr_range_print(r, text), same[i]);
	}
}

static void
ranges_overlap_within_a_family(void **state)
{
	struct addr_range a, b, c, any;

	(void)state;
	assert_true(addr_range_read("fd42::/48", &a) &&
		    addr_range_read("fd42:0:0:7::/64", &b) &&
		    addr_range_read("fd43::/112", &c) && addr_range_read("0.0.0.0/0", &any));
	assert_true(addr_overlap(a, b) && addr_overlap(b, a));
	assert_false(addr_overlap(a, c));
	assert_false(addr_overlap(any, a));
}

static void
what_is_nobodys_on_a_network_is_special(void **state)
{
	static const char *const
	    yes[] = { "0.0.0.0",         "0.255.255.255", "127.0.0.1", "127.255.0.1",
		      "169.254.169.254", "224.0.0.1",     "240.0.0.1", "255.255.255.255",
		      "fe80::1",         "febf::1",       "ff02::1",   "::ffff:10.42.0.7" },
	    *const no[] = { "1.0.0.0",     "126.255.255.255", "128.0.0.0", "169.253.0.1",
			    "169.255.0.1", "223.255.255.255", "10.42.0.5", "fd42::a2a:5",
			    "fe7f::1",     "fec0::1",         "feff::1",   "2001:db8::1" };
	addr a;

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		assert_true(addr_read(yes[i], &a) && addr_is_special(a));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		assert_true(addr_read(no[i], &a) && !addr_is_special(a));
}

/* Names of chains are made of it. */
static void
an_ipv4_address_counts_as_four_bytes(void **state)
{
	uint32_t v4 = 0x0a2a0005;

	(void)state;
	assert_int_equal(addr_hash(1, v4), hash_hard(1, &v4, sizeof v4));
	assert_int_not_equal(addr_hash(1, v4), addr_hash(1, (addr)0xfd42 << 112 | v4));
}

static void
bytes_are_as_in_a_packet(void **state)
{
	uint8_t v6[16], v4[4];
	addr a;

	(void)state;
	assert_true(addr_read("fd42::a2a:5", &a));
	addr_bytes(true, a, v6);
	assert_int_equal(v6[0], 0xfd);
	assert_int_equal(v6[15], 5);
	assert_true(addr_from(true, v6) == a);
	addr_bytes(false, 0x0a2a0005, v4);
	assert_int_equal(v4[0], 10);
	assert_true(addr_from(false, v4) == 0x0a2a0005);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_printed),
		cmocka_unit_test(what_is_no_address_is_not_read),
		cmocka_unit_test(a_family_is_told_by_the_text),
		cmocka_unit_test(a_range_holds_its_own_family),
		cmocka_unit_test(a_range_is_printed_as_it_is_read),
		cmocka_unit_test(ranges_overlap_within_a_family),
		cmocka_unit_test(what_is_nobodys_on_a_network_is_special),
		cmocka_unit_test(an_ipv4_address_counts_as_four_bytes),
		cmocka_unit_test(bytes_are_as_in_a_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* t_base.c -- the containers under everything: arena, buf, map, error. */
#include "reads.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/ipv4.h"
#include "reconcile/base/map.h"
#include <errno.h>

static void
an_arena_gives_aligned_memory_that_lives_until_the_end(void **s)
{
	struct arena a = { 0 };
	char *at[2000];

	(void)s;
	for (size_t i = 0; i < 2000; i++) {
		at[i] = arena_alloc(&a, i % 97 + 1);
		assert_int_equal((uintptr_t)at[i] % _Alignof(max_align_t), 0);
		memset(at[i], (int)(i & 0x7f), i % 97 + 1);
	}
	for (size_t i = 0; i < 2000; i++)
		for (size_t j = 0; j < i % 97 + 1; j++)
			assert_int_equal(at[i][j], i & 0x7f);
	arena_free(&a);
	assert_null(a.top);
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	assert_string_equal(arena_strndup(&a, "abc", 2), "ab");
	assert_null(arena_strdup(&a, NULL));
	arena_free(&a);
}

static void
a_large_piece_gets_a_block_of_its_own(void **s)
{
	struct arena a = { 0 };
	char *big = arena_zalloc(&a, 1 << 20);

	(void)s;
	assert_int_equal(big[0] | big[(1 << 20) - 1], 0);
	assert_true(a.bytes >= 1 << 20);
	arena_free(&a);
}

static void
what_grows_one_by_one_keeps_its_place_and_is_moved_seldom(void **s)
{
	size_t *at = NULL, moved = 0;

	(void)s;
	for (size_t n = 0; n < 1000; n++) {
		size_t *was = at;

		at = xgrow(at, n, sizeof *at);
		at[n] = n;
		moved += n && !(n & (n - 1)); /* there is room until the next power of two */
		assert_true(!n || !(n & (n - 1)) || at == was);
	}
	for (size_t n = 0; n < 1000; n++)
		assert_int_equal(at[n], n);
	assert_int_equal(moved, 10); /* at 1, 2, 4, ... 512 */
	free(at);
}

static void
a_buf_is_always_terminated_and_holds_bytes(void **s)
{
	cleanup_buf struct buf b = { 0 };
	char *mine;

	(void)s;
	assert_string_equal(buf_text(&b), "");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%d,", i % 10);
	assert_int_equal(b.len, 2000);
	assert_int_equal(b.at[b.len], 0);
	buf_drop(&b, 1996);
	assert_string_equal(buf_text(&b), "8,9,");
	buf_add(&b, "\0x", 2);
	assert_int_equal(b.len, 6);
	buf_clear(&b);
	assert_string_equal(buf_text(&b), "");
	for (size_t i = 0; i < 2; i++) { /* room is not text, whatever was there before */
		cleanup_buf struct buf room = { 0 };
		char *was = xmalloc(1 << 12);

		memset(was, 'x', 1 << 12);
		free(was);
		buf_reserve(&room, 2000 << i);
		assert_string_equal(buf_text(&room), "");
	}
	buf_adds(&b, "stolen");
	mine = buf_steal(&b);
	assert_string_equal(mine, "stolen");
	assert_int_equal(b.len, 0);
	free(mine);
}

static void
a_map_finds_what_was_put_and_not_what_was_deleted(void **s)
{
	struct map m = { 0 };
	static int values[3000];
	char key[16];
	size_t n = 0;

	(void)s;
	assert_null(map_get(&m, "x"));
	assert_null(map_del(&m, "x"));
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_null(map_put(&m, key, &values[i]));
	}
	for (int i = 0; i < 3000; i += 3) {
		snprintf(key, sizeof key, "k%d", i);
		assert_ptr_equal(map_del(&m, key), &values[i]);
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_ptr_equal(map_get(&m, key), i % 3 ? &values[i] : NULL);
	}
	for (struct map_slot *slot = map_first(&m); slot; slot = map_next(&m, slot))
		n++;
	assert_int_equal(n, 2000);
	assert_int_equal(m.n, 2000);
	assert_ptr_equal(map_put(&m, "k1", &values[0]), &values[1]);
	map_done(&m);
	assert_null(map_first(&m));
}

/* Whoever can compute where a key comes to lie sends such as all lie in one place. */
static void
keys_that_were_sought_out_do_not_meet(void **s)
{
	enum { KEYS = 1000, LOW = 0x3ff };
	struct map m = { 0 };
	size_t met = 0;
	char key[24];

	for (unsigned i = 0; m.n < KEYS; i++) {
		snprintf(key, sizeof key, "k%u", i);
		if (!(hash_str(0, key) & LOW))
			map_put(&m, key, s);
	}
	for (struct map_slot *slot = map_first(&m); slot; slot = map_next(&m, slot))
		met += !(slot->hash & LOW);
	assert_true(met < KEYS / 20);
	map_done(&m);
}

static void
a_map_lists_its_keys_in_the_order_they_came(void **s)
{
	struct map m = { 0 };
	struct map_slot *slot;
	char key[24];
	int next = 100;

	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof key, "k%d", i);
		map_put(&m, key, s);
		if (i < 100)
			map_del(&m, key);
	}
	for (slot = map_first(&m); slot; slot = map_next(&m, slot)) {
		snprintf(key, sizeof key, "k%d", next++);
		assert_string_equal(slot->key, key);
	}
	assert_int_equal(next, 200);
	/* Of one that is filled and emptied for good nothing stays. */
	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "x%d", i);
		map_put(&m, key, s);
		assert_ptr_equal(map_del(&m, key), s);
	}
	assert_true(m.cap <= 512 && m.n == 100);
	map_done(&m);
}

static void
a_hash_depends_on_every_byte_and_the_seed(void **s)
{
	(void)s;
	assert_true(hash_str(0, "abc") == hash_bytes(0, "abc", 3));
	assert_true(hash_str(0, "abc") != hash_str(1, "abc"));
	assert_true(hash_str(0, "abc") != hash_str(0, "abd"));
	assert_true(hash_str(0, "") != hash_bytes(0, "\0", 1));
}

/* Names of chains are made of it; the numbers are the reference implementation's. */
static void
a_hard_hash_is_siphash(void **s)
{
	static const unsigned char bytes[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
	};

	(void)s;
	assert_true(hash_hard(7, "abc", 3) == UINT64_C(0x4fb01780f8a572ec));
	assert_true(hash_hard(0, bytes, sizeof bytes) == UINT64_C(0xd0567cd44e891363));
	assert_true(hash_hard(0, "", 0) == UINT64_C(0x1e924b9d737700d7));
	assert_true(hash_secret("abc", 3) == hash_secret("abc", 3));
	assert_true(hash_secret("abc", 3) != hash_hard(0, "abc", 3));
}

static void
an_address_is_four_numbers_and_within_a_net_by_its_first_bits(void **s)
{
	static const char *const none[] = { "",         "1.2.3",    "1.2.3.4/8", " 1.2.3.4",
					    "1.2.3.4 ", "+1.2.3.4", "1.2.3.4.5", "::1" };
	uint32_t ip = 7;

	(void)s;
	assert_false(ipv4_read(NULL, &ip));
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_false(ipv4_read(none[i], &ip));
	assert_int_equal(ip, 7); /* untouched */
	assert_true(ipv4_read("10.9.8.7", &ip));
	assert_int_equal(ip, 0x0a090807);
	assert_true(ipv4_within(0x0a09ffff, 0x0a090000, 16));
	assert_false(ipv4_within(0x0a0a0000, 0x0a090000, 16));
	assert_true(ipv4_within(0xffffffff, 0, 0));
	assert_false(ipv4_within(1, 0, 32));
}

static void
an_error_grows_outwards_and_keeps_its_cause(void **s)
{
	struct error *e = NULL, *outer = NULL;

	(void)s;
	assert_int_equal((fail)(&e, WHY_NOT_FOUND, "pod \"%s\" not found", "web"), -1);
	assert_int_equal(fail_in(&e, "stopping"), -1);
	assert_string_equal(error_text(e), "stopping: pod \"web\" not found");
	assert_int_equal(e->why, WHY_NOT_FOUND);
	assert_int_equal(why_facts(e->why)->http, 404);
	assert_string_equal(why_facts(e->why)->reason, "NotFound");
	error_free(&e);
	assert_null(e);
	errno = ENOENT;
	assert_int_equal(fail_sys(&e, "open %s", "/x"), -1);
	assert_string_equal(error_text(e), "open /x: No such file or directory");
	assert_int_equal(e->err, ENOENT);
	assert_int_equal(fail_with(&outer, &e), -1); /* handed on whole */
	assert_null(e);
	assert_int_equal(outer->err, ENOENT);
	assert_int_equal(outer->why, WHY_IO);
	assert_int_equal(fail_with(NULL, &outer), -1);
	assert_null(outer);
	error_free(NULL);
}

static void
who_does_not_ask_is_not_told(void **s)
{
	(void)s;
	assert_int_equal((fail)(NULL, WHY_IO, "nobody hears this"), -1);
	assert_int_equal(fail_in(NULL, "nor this"), -1);
	assert_int_equal(fail_sys(NULL, "nor this"), -1);
	assert_non_null(error_text(NULL));
}

static void
every_reason_has_its_facts(void **s)
{
	(void)s;
	for (int w = WHY_NONE + 1; w < WHY_COUNT; w++) {
		assert_true(why_facts(w)->http >= 400 && why_facts(w)->http < 600);
		assert_true(*why_facts(w)->reason);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_arena_gives_aligned_memory_that_lives_until_the_end),
		T(a_large_piece_gets_a_block_of_its_own),
		T(what_grows_one_by_one_keeps_its_place_and_is_moved_seldom),
		T(a_buf_is_always_terminated_and_holds_bytes),
		T(a_map_finds_what_was_put_and_not_what_was_deleted),
		T(keys_that_were_sought_out_do_not_meet),
		T(a_map_lists_its_keys_in_the_order_they_came),
		T(a_hash_depends_on_every_byte_and_the_seed),
		T(a_hard_hash_is_siphash),
		T(an_address_is_four_numbers_and_within_a_net_by_its_first_bits),
		T(an_error_grows_outwards_and_keeps_its_cause),
		T(who_does_not_ask_is_not_told),
		T(every_reason_has_its_facts),
	};

	return RUN(tests);
}

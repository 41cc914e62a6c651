/* t_quantity.c -- 500m, 64Mi and the like; int-or-percent; sorted pairs. */
#include "reads.h"

static void
milli(const char *text, int64_t want)
{
	int64_t v = -77;

	assert_true(quantity_parse(text, &v));
	if (v != want)
		fail_msg("%s is %jd milli, not %jd", text, (intmax_t)v, (intmax_t)want);
	assert_int_equal(quantity_milli(text), want);
}

static void
quantities_mean_what_kubernetes_says(void **s)
{
	(void)s;
	milli("500m", 500);
	milli("2", 2000);
	milli("0.5", 500);
	milli(".5", 500);
	milli("5.", 5000);
	milli("+1", 1000);
	milli("-1", -1000);
	milli("1e3", 1000000);
	milli("1E-3", 1);
	milli("1k", 1000000);
	milli("0", 0);
	assert_int_equal(quantity_value("64Mi"), 67108864);
	assert_int_equal(quantity_value("64M"), 64000000);
	assert_int_equal(quantity_value("1.5Gi"), 1610612736);
	assert_int_equal(quantity_value("1Ki"), 1024);
	assert_int_equal(quantity_value("2E"), 2000000000000000000);
	assert_int_equal(quantity_value("123456789012"), 123456789012);
}

static void
fractions_are_rounded_up(void **s)
{
	(void)s;
	assert_int_equal(quantity_value("1m"), 1);
	assert_int_equal(quantity_value("1.0001"), 2);
	assert_int_equal(quantity_value("-1m"), -1);
	milli("1n", 1);
	milli("0.0000000000000000000000001", 1);
	milli("1.0000", 1000);
	assert_int_equal(quantity_value("0.1Ki"), 103);
}

static void
what_is_too_large_saturates(void **s)
{
	(void)s;
	assert_int_equal(quantity_value("16Ei"), INT64_MAX);
	assert_int_equal(quantity_milli("16Ei"), INT64_MAX);
	assert_int_equal(quantity_value("1e999"), INT64_MAX);
	assert_int_equal(quantity_value("-1e999"), -INT64_MAX);
	assert_int_equal(quantity_value("99999999999999999999999999"), INT64_MAX);
	assert_int_equal(quantity_value("7Ei"), INT64_C(7) << 60);
	assert_int_equal(quantity_value("0e999"), 0);
	assert_int_equal(quantity_value("1e-999"), 1);
}

static void
what_is_no_quantity_is_refused(void **s)
{
	static const char *const bad[] = { "",    ".",    "m",     "1x",   "1 Mi",
					   "1mi", "1KI",  "1.2.3", "--1",  "1e",
					   "1e+", "0x10", "lots",  "1MiB", NULL };
	int64_t v = 42;

	(void)s;
	for (const char *const *p = bad; *p; p++)
		if (quantity_parse(*p, &v))
			fail_msg("\"%s\" was taken for a quantity", *p);
	assert_int_equal(v, 42);
	assert_int_equal(quantity_value(NULL), 0);
	assert_int_equal(quantity_milli("lots"), 0);
}

static void
a_percent_is_rounded_as_asked(void **s)
{
	(void)s;
	assert_int_equal(iors_of((struct iors){ "25%", 0 }, 3, true), 1);
	assert_int_equal(iors_of((struct iors){ "25%", 0 }, 3, false), 0);
	assert_int_equal(iors_of((struct iors){ "100%", 0 }, 7, true), 7);
	assert_int_equal(iors_of((struct iors){ "25%", 0 }, 4, true), 1);
	assert_int_equal(iors_of((struct iors){ NULL, 5 }, 3, true), 5);
	assert_int_equal(iors_of((struct iors){ "http", 0 }, 3, true), 0);
	assert_int_equal(iors_of((struct iors){ "999999999%", 0 }, INT64_MAX, true), INT64_MAX);
}

static void
pairs_stay_sorted_whatever_is_set_and_deleted(void **s)
{
	READING(r);
	struct pairs p = { 0 };
	char key[16];

	(void)s;
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "k%02d", i * 37 % 100);
		pairs_set(&p, key, "v", &r.arena);
	}
	pairs_set(&p, "k50", "changed", &r.arena);
	assert_int_equal(p.n, 100);
	for (size_t i = 1; i < p.n; i++)
		assert_true(strcmp(p.at[i - 1].key, p.at[i].key) < 0);
	assert_string_equal(pairs_get(&p, "k50"), "changed");
	assert_null(pairs_get(&p, "k"));
	assert_null(pairs_get(&p, "z"));
	pairs_del(&p, "k50");
	pairs_del(&p, "k50");
	assert_int_equal(p.n, 99);
	assert_null(pairs_get(&p, "k50"));
	assert_string_equal(pairs_get(&p, "k51"), "v");
	assert_null(pairs_get(NULL, "x"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(quantities_mean_what_kubernetes_says),
		T(fractions_are_rounded_up),
		T(what_is_too_large_saturates),
		T(what_is_no_quantity_is_refused),
		T(a_percent_is_rounded_as_asked),
		T(pairs_stay_sorted_whatever_is_set_and_deleted),
	};

	return RUN(tests);
}

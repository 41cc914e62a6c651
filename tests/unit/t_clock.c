/* t_clock.c -- RFC 3339 in and out. */
#include "reads.h"
#include <time.h>

static void
reads(const char *text, int64_t want)
{
	int64_t ms = -1;

	assert_true(time_parse(text, &ms));
	if (ms != want)
		fail_msg("%s is %jd, not %jd", text, (intmax_t)ms, (intmax_t)want);
}

static void
times_are_read_with_zone_and_fraction(void **s)
{
	(void)s;
	reads("1970-01-01T00:00:00Z", 0);
	reads("2026-11-20T11:08:52Z", 1795172932000);
	reads("2026-11-20T12:08:52+01:00", 1795172932000);
	reads("2026-11-20T05:38:52-05:30", 1795172932000);
	reads("2026-11-20t11:08:52.5z", 1795172932500);
	reads("2026-11-20T11:08:52.123456789Z", 1795172932123);
	reads("1969-12-31T23:59:59Z", -1000);
	reads("2000-02-29T00:00:00Z", 951782400000);
}

static void
what_is_no_time_is_refused(void **s)
{
	static const char *const bad[] = { "",
					   "now",
					   "2026-11-20",
					   "2026-11-20T11:08:52",
					   "2026-13-01T00:00:00Z",
					   "2026-02-29T00:00:00Z",
					   "2026-00-01T00:00:00Z",
					   "2026-11-20T24:00:00Z",
					   "2026-11-20T11:60:00Z",
					   "2026-11-20T11:08:52.Z",
					   "2026-11-20T11:08:52Zx",
					   "2026-11-20 11:08:52Z",
					   "2026-11-20T11:08:52+1:00",
					   "1900-02-29T00:00:00Z",
					   NULL };
	int64_t ms = 42;

	(void)s;
	for (const char *const *p = bad; *p; p++)
		if (time_parse(*p, &ms))
			fail_msg("\"%s\" was taken for a time", *p);
	assert_false(time_parse(NULL, &ms));
	assert_int_equal(ms, 42);
}

static void
times_are_printed_in_seconds_or_micros(void **s)
{
	char text[40];

	(void)s;
	time_print(1795172932123, false, text);
	assert_string_equal(text, "2026-11-20T11:08:52Z");
	time_print(1795172932123, true, text);
	assert_string_equal(text, "2026-11-20T11:08:52.123000Z");
	time_print(-1, true, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999000Z");
}

static void
every_day_agrees_with_the_c_library_both_ways(void **s)
{
	(void)s;
	for (int64_t day = -80000; day < 80000; day += 7) {
		time_t t = day * 86400 + 3723;
		struct tm tm;
		char want[40], got[40];
		int64_t back;

		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
		time_print(t * 1000, false, got);
		assert_string_equal(got, want);
		assert_true(time_parse(got, &back));
		assert_int_equal(back, t * 1000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(times_are_read_with_zone_and_fraction),
		T(what_is_no_time_is_refused),
		T(times_are_printed_in_seconds_or_micros),
		T(every_day_agrees_with_the_c_library_both_ways),
	};

	return RUN(tests);
}

/* now.c -- the two clocks. */
#include "now.h"
#include <time.h>

static int64_t
clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

int64_t
now_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t
monotonic_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

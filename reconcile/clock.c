/* clock.c -- RFC 3339 and milliseconds since 1970, both ways.  It tells no time. */
#include "schema.h"
#include <ctype.h>
#include <stdio.h>

/* Days since 1970-01-01 of a day in the Gregorian calendar.  Years begin in
 * March here, so that the leap day is the last of its year. */
static int64_t
days_of(int64_t y, int m, int d)
{
	int64_t era, day;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	y -= era * 400;
	day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + y * 365 + y / 4 - y / 100 + day - 719468;
}

static void
date_of(int64_t days, int64_t *ret_y, int *ret_m, int *ret_d)
{
	int64_t era, day, y;
	int m;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day = days - era * 146097;
	y = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * y + y / 4 - y / 100;
	m = (int)(5 * day + 2) / 153;
	*ret_d = (int)(day - (153 * m + 2) / 5 + 1);
	*ret_m = m < 10 ? m + 3 : m - 9;
	*ret_y = y + era * 400 + (*ret_m <= 2);
}

/* n digits, then the character `then` (0: none). */
static bool
number(const char **s, int n, char then, int lo, int hi, int *ret)
{
	int v = 0;

	while (n--) {
		if (!isdigit((unsigned char)**s))
			return false;
		v = v * 10 + *(*s)++ - '0';
	}
	if (v < lo || v > hi || (then && *(*s)++ != then))
		return false;
	*ret = v;
	return true;
}

static int
month_days(int y, int m)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return days[m - 1] + (m == 2 && leap);
}

bool
time_parse(const char *s, int64_t *ret_ms)
{
	int y, mon, d, h, min, sec, ms = 0, oh = 0, om = 0, sign = 1;
	int64_t t;

	if (!s || !number(&s, 4, '-', 0, 9999, &y) || !number(&s, 2, '-', 1, 12, &mon) ||
	    !number(&s, 2, 0, 1, month_days(y, mon), &d) || (*s != 'T' && *s != 't'))
		return false;
	s++;
	if (!number(&s, 2, ':', 0, 23, &h) || !number(&s, 2, ':', 0, 59, &min) ||
	    !number(&s, 2, 0, 0, 59, &sec))
		return false;
	if (*s == '.') {
		int unit = 100;

		if (!isdigit((unsigned char)*++s))
			return false;
		for (; isdigit((unsigned char)*s); s++, unit /= 10)
			ms += (*s - '0') * unit;
	}
	if (*s == 'Z' || *s == 'z') {
		s++;
	} else {
		if (*s != '+' && *s != '-')
			return false;
		sign = *s++ == '-' ? -1 : 1;
		if (!number(&s, 2, ':', 0, 23, &oh) || !number(&s, 2, 0, 0, 59, &om))
			return false;
	}
	if (*s)
		return false;
	t = days_of(y, mon, d) * 86400 + h * 3600 + min * 60 + sec -
	    sign * (oh * 3600 + om * 60);
	*ret_ms = t * 1000 + ms;
	return true;
}

/* Returns where what follows goes. */
static char *
digits(char *to, int n, int v, char after)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		to[i] = (char)('0' + v % 10);
	to[n] = after;
	return to + n + 1;
}

void
time_print(int64_t ms, bool micro, char ret[40])
{
	int64_t sec = ms / 1000, days, y;
	int frac = (int)(ms % 1000), m, d, of_day;

	if (frac < 0) {
		frac += 1000;
		sec--;
	}
	days = sec / 86400;
	of_day = (int)(sec % 86400);
	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	date_of(days, &y, &m, &d);
	/* Not by printf: a list of many objects is mostly times. */
	ret = digits(ret, 4, (int)y, '-');
	ret = digits(ret, 2, m, '-');
	ret = digits(ret, 2, d, 'T');
	ret = digits(ret, 2, of_day / 3600, ':');
	ret = digits(ret, 2, of_day / 60 % 60, ':');
	ret = digits(ret, 2, of_day % 60, micro ? '.' : 'Z');
	if (micro)
		ret = digits(ret, 6, frac * 1000, 'Z');
	*ret = '\0';
}

/* quantity.c -- Kubernetes' resource.Quantity: 500m, 64Mi, 1e3, 0.5.
 *
 * A value is rounded up (away from zero) to the unit asked for and saturates,
 * as Quantity.MilliValue and Value do.
 */
#include "schema.h"
#include <ctype.h>
#include <string.h>

typedef __int128 wide;

static const struct suffix {
	char text[3];
	int ten, two; /* value = digits * 10^ten * 2^two */
} suffixes[] = {
	{ "", 0, 0 },    { "n", -9, 0 },  { "u", -6, 0 },  { "m", -3, 0 },
	{ "k", 3, 0 },   { "M", 6, 0 },   { "G", 9, 0 },   { "T", 12, 0 },
	{ "P", 15, 0 },  { "E", 18, 0 },  { "Ki", 0, 10 }, { "Mi", 0, 20 },
	{ "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 }, { "Ei", 0, 60 },
};

static bool
read_suffix(const char *s, int *ret_ten, int *ret_two)
{
	bool neg = false;
	int e = 0;

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (!strcmp(s, suffixes[i].text)) {
			*ret_ten = suffixes[i].ten;
			*ret_two = suffixes[i].two;
			return true;
		}
	if (*s != 'e' && *s != 'E')
		return false;
	s++;
	if (*s == '+' || *s == '-')
		neg = *s++ == '-';
	if (!*s)
		return false;
	for (; isdigit((unsigned char)*s); s++)
		e = e > 1000 ? e : e * 10 + (*s - '0');
	*ret_ten = neg ? -e : e;
	*ret_two = 0;
	return !*s;
}

/* The digits as m * 10^*ret_ten; digits past the 18th only count for rounding up. */
static const char *
read_digits(const char *s, wide *ret_m, int *ret_ten, bool *ret_more)
{
	bool any = false, dot = false;
	int kept = 0;

	for (; isdigit((unsigned char)*s) || (*s == '.' && !dot); s++) {
		if (*s == '.') {
			dot = true;
			continue;
		}
		any = true;
		if (kept < 18) {
			*ret_m = *ret_m * 10 + (*s - '0');
			kept += *ret_m > 0;
			*ret_ten -= dot;
		} else {
			*ret_more = *ret_more || *s != '0';
			*ret_ten += !dot;
		}
	}
	return any ? s : NULL;
}

/* m * 10^ten * 2^two, rounded up. */
static int64_t
scale(wide m, int ten, int two, bool more)
{
	for (; ten > 0 && m && m <= INT64_MAX; ten--)
		m *= 10;
	/* First what makes it smaller would lose digits, so the power of two goes first:
	 * 18 digits and 60 bits stay within 127 bits. */
	for (; two > 0 && m <= ((wide)1 << 120); two--)
		m *= 2;
	if (two > 0)
		return INT64_MAX;
	for (; ten < 0 && m; ten++) {
		more = more || m % 10;
		m /= 10;
	}
	m += more;
	return m > INT64_MAX ? INT64_MAX : (int64_t)m;
}

static bool
parse(const char *s, int unit, int64_t *ret)
{
	bool neg = false, more = false;
	int ten = 0, exp, two;
	wide m = 0;

	if (!s)
		return false;
	if (*s == '+' || *s == '-')
		neg = *s++ == '-';
	s = read_digits(s, &m, &ten, &more);
	if (!s || !read_suffix(s, &exp, &two))
		return false;
	*ret = scale(m, ten + exp + unit, two, more);
	if (neg)
		*ret = -*ret;
	return true;
}

bool
quantity_parse(const char *text, int64_t *ret_milli)
{
	return parse(text, 3, ret_milli);
}

int64_t
quantity_milli(const char *text)
{
	int64_t v = 0;

	return parse(text, 3, &v) ? v : 0;
}

int64_t
quantity_value(const char *text)
{
	int64_t v = 0;

	return parse(text, 0, &v) ? v : 0;
}

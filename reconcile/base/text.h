/* text.h -- comparing words that may be absent, and reading numbers. */
#ifndef KEDGE_TEXT_H
#define KEDGE_TEXT_H
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Neither absent nor empty. */
static inline bool
str_given(const char *s)
{
	return s && *s;
}

/* Absent (NULL) and empty are the same. */
static inline bool
str_is(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}
/* A decimal number and nothing else, or `otherwise`. */
static inline int64_t
text_int(const char *text, int64_t otherwise)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return *text && !*end && !errno ? n : otherwise;
}
#endif

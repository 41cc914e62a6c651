/* text.h -- comparing words that may be absent. */
#ifndef KEDGE_TEXT_H
#define KEDGE_TEXT_H
#include <stdbool.h>
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
#endif

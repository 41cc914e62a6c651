/* utf8.h -- what is a character of UTF-8: no overlong form, no surrogate, none beyond. */
#ifndef KEDGE_UTF8_H
#define KEDGE_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Length of the character at s, of which `left` bytes are there; 0: it is none. */
static inline size_t
utf8_len(const void *text, size_t left)
{
	const unsigned char *s = text;
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : (s[0] & 0xf0) == 0xe0       ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((n == 3 && s[0] == 0xe0 && s[1] < 0xa0) ||
	    (n == 3 && s[0] == 0xed && s[1] >= 0xa0) ||
	    (n == 4 && s[0] == 0xf0 && s[1] < 0x90) || (n == 4 && s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

/* How many of its bytes fit into max with no character of theirs in two. */
static inline size_t
utf8_cut(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1);

	if (n <= max)
		return n;
	for (n = max; n && max - n < 3 && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

static inline bool
utf8_is(const char *text)
{
	for (size_t left = strlen(text), n; left; text += n, left -= n)
		if (!(n = utf8_len(text, left)))
			return false;
	return true;
}
#endif

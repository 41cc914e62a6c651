/* gittree.c -- the bytes of a tree object: nothing in them is believed before it is judged. */
#include "gittree.h"
#include "../reconcile/base/arena.h"
#include <string.h>
#include <strings.h>

int
gittree_next(const char **at, const char *end, struct gittree_entry *ret)
{
	const char *p = *at;
	uint32_t mode = 0;
	const char *nul;

	if (p == end)
		return 0;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		if (mode >= 01000000)
			return -1;
		else
			mode = mode * 8 + (*p - '0');
	if (p == *at || p >= end || *p++ != ' ')
		return -1;
	nul = memchr(p, 0, end - p);
	if (!nul || nul == p || end - nul < 1 + GITTREE_ID)
		return -1;
	*ret = (struct gittree_entry){ mode, p, nul - p, (const unsigned char *)nul + 1 };
	*at = nul + 1 + GITTREE_ID;
	return 1;
}

size_t
gittree_same(const char *a, const char *a_end, const char *b, const char *b_end)
{
	const char *p = a;

	for (;;) {
		const char *nul = p < a_end ? memchr(p, 0, a_end - p) : NULL;
		size_t n;

		if (!nul || a_end - nul < 1 + GITTREE_ID)
			break;
		n = nul + 1 + GITTREE_ID - p;
		if ((size_t)(b_end - b) < n || memcmp(p, b, n))
			break;
		p += n;
		b += n;
	}
	return p - a;
}

int
gittree_compare(const struct gittree_entry *a, const struct gittree_entry *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int d = memcmp(a->name, b->name, n);
	unsigned char ca, cb;

	if (d)
		return d;
	ca = a->len > n ? a->name[n] : a->mode == MODE_FOLDER ? '/' : 0;
	cb = b->len > n ? b->name[n] : b->mode == MODE_FOLDER ? '/' : 0;
	return ca - cb;
}

int
gittree_find(const char *bytes, size_t len, const char *name, size_t name_len,
	     struct gittree_entry *ret)
{
	const char *at = bytes, *end = bytes + len;
	struct gittree_entry x;
	int rc;

	while ((rc = gittree_next(&at, end, &x)) > 0)
		if (x.len == name_len && !memcmp(x.name, name, name_len)) {
			*ret = x;
			return 1;
		}
	return rc;
}

/* Names that some file system folds to ".git" (Windows' short name, HFS+'s invisible
 * letters) are refused with it: whoever clones the repository elsewhere is harmed. */
static bool
is_dot_git(const char *name, size_t len)
{
	char plain[8];
	size_t n = 0;

	if (len >= 5 && !strncasecmp(name, "git~", 4))
		return true;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = name[i];

		if (c == 0xe2 && i + 2 < len &&
		    ((unsigned char)name[i + 1] == 0x80 ||
		     (unsigned char)name[i + 1] == 0x81)) {
			i += 2;
			continue;
		}
		if (n == sizeof plain)
			return false;
		plain[n++] = c;
	}
	while (n && (plain[n - 1] == '.' || plain[n - 1] == ' '))
		n--;
	return n == 4 && !strncasecmp(plain, ".git", 4);
}

const char *
gittree_path(const char *path, struct arena *a)
{
	char *p = arena_strdup(a, path ? path : ""), *to = p;

	for (const char *from = p; *from; from++)
		if (*from != '/' || (to > p && to[-1] != '/'))
			*to++ = *from;
	if (to > p && to[-1] == '/')
		to--;
	*to = 0;
	return strcmp(p, ".") ? p : "";
}

const char *
gittree_name_wrong(const char *name, size_t len)
{
	if (len == 0)
		return "has an empty name";
	if (len > 255)
		return "has a name of more than 255 bytes";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "is a name for another folder";
	if (is_dot_git(name, len))
		return "is Git's own name";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = name[i];

		if (c == '/' || c == '\\')
			return "has a slash in its name";
		if (c < 0x20 || c == 0x7f)
			return "has a control character in its name";
	}
	return NULL;
}

bool
gittree_name_wanted(const char *name, size_t len)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };

	if (!strcmp(name, IGNORE_FILE))
		return true;
	if (gittree_name_hidden(name))
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t n = strlen(ends[i]);

		if (len > n && !strcmp(name + len - n, ends[i]))
			return true;
	}
	return false;
}

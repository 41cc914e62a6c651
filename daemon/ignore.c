/* ignore.c -- see ignore.h.
 *
 * The last pattern that matches decides; the file nearest to the path is asked
 * first.  Matching is bounded in steps, so that no pattern from a repository
 * can keep the loop busy: one that takes more matches nothing.
 */
#include "ignore.h"
#include "../reconcile/base/arena.h"
#include <ctype.h>
#include <string.h>

struct pattern {
	const char *text;
	bool negated, folder_only;
	bool by_name; /* no slash in it: compared with the last name alone */
	struct pattern *older;
};

struct ignore {
	const struct ignore *outer;
	const char *folder;
	size_t folder_len;
	struct pattern *newest;
};

enum { STEPS_MAX = 100000, PATTERN_MAX = 4096 };

/* ---- reading ---- */

static void
trim_spaces(char *s)
{
	char *cut = NULL;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			s++;
			cut = NULL;
		} else if (*s != ' ') {
			cut = NULL;
		} else if (!cut) {
			cut = s;
		}
	}
	if (cut)
		*cut = 0;
}

static void
add_line(struct ignore *g, char *line, struct arena *a)
{
	struct pattern *p;
	size_t n;

	trim_spaces(line);
	if (!*line || *line == '#' || strlen(line) > PATTERN_MAX)
		return;
	p = arena_zalloc(a, sizeof *p);
	if (*line == '!') {
		p->negated = true;
		line++;
	}
	n = strlen(line);
	if (n && line[n - 1] == '/') {
		p->folder_only = true;
		line[--n] = 0;
	}
	p->by_name = !strchr(line, '/');
	p->text = *line == '/' ? line + 1 : line;
	p->older = g->newest;
	g->newest = p;
}

struct ignore *
ignore_read(const char *text, size_t len, const char *folder, const struct ignore *outer,
	    struct arena *a)
{
	struct ignore *g = arena_zalloc(a, sizeof *g);
	const char *end = text + len;

	g->outer = outer;
	g->folder = arena_strdup(a, folder);
	g->folder_len = strlen(folder);
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	while (text < end) {
		const char *nl = memchr(text, '\n', end - text);
		size_t n = (nl ? nl : end) - text;

		/* git forgives a carriage return only before a line feed */
		if (nl && n && text[n - 1] == '\r')
			n--;
		add_line(g, arena_strndup(a, text, n), a);
		text = nl ? nl + 1 : end;
	}
	return g;
}

/* ---- matching: git's wildmatch ---- */

enum verdict { YES, NO, STOP, STOP_STAR }; /* STOP: more text cannot help */

static bool
in_class(const char *name, size_t len, unsigned char c)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank },
		{ "cntrl", iscntrl }, { "digit", isdigit }, { "graph", isgraph },
		{ "lower", islower }, { "print", isprint }, { "punct", ispunct },
		{ "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
	};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (strlen(classes[i].name) == len && !memcmp(classes[i].name, name, len))
			return c < 0x80 && classes[i].is(c);
	return false;
}

/* `p` is at '['.  Returns the ']' that ends it, NULL when none does, or none within the steps.
 */
static const char *
match_bracket(const char *p, unsigned char c, bool *ret, int *steps)
{
	bool negated = false, hit = false, first = true;
	unsigned char before = 0;

	p++;
	if (*p == '!' || *p == '^') {
		negated = true;
		p++;
	}
	for (;; first = false, p++) {
		unsigned char x = *p;

		if (!x || --*steps < 0)
			return NULL;
		if (x == ']' && !first)
			break;
		if (x == '-' && before && p[1] && p[1] != ']') {
			unsigned char top = *++p;

			if (top == '\\' && !(top = *++p))
				return NULL;
			hit |= c >= before && c <= top;
			before = 0;
			continue;
		}
		if (x == '[' && p[1] == ':') {
			const char *end = strstr(p + 2, ":]");

			*steps -= (int)(end ? end - p : (ptrdiff_t)strlen(p));
			if (end && !memchr(p + 2, ']', end - p - 2)) {
				hit |= in_class(p + 2, end - p - 2, c);
				p = end + 1;
				before = 0;
				continue;
			}
		}
		if (x == '\\' && !(x = *++p))
			return NULL;
		hit |= c == x;
		before = x;
	}
	*ret = hit != negated;
	return p;
}

static enum verdict wild(const char *p, const char *t, const char *start, bool path,
			 int *steps);

/* `p` is at the first of some stars. */
static enum verdict
wild_star(const char *p, const char *t, const char *start, bool path, int *steps)
{
	const char *first = p;
	bool slashes = !path;

	while (*p == '*')
		p++;
	/* "**" between slashes or ends is any number of folders, none included */
	if (path && p - first >= 2 && (first == start || first[-1] == '/') &&
	    (!*p || *p == '/' || (*p == '\\' && p[1] == '/'))) {
		slashes = true;
		if (*p == '/' && wild(p + 1, t, start, path, steps) == YES)
			return YES;
	}
	if (!*p)
		return slashes || !strchr(t, '/') ? YES : STOP_STAR;
	if (!slashes && *p == '/') {
		t = strchr(t, '/');
		return t ? wild(p, t, start, path, steps) : STOP;
	}
	for (; *t; t++) {
		enum verdict v = wild(p, t, start, path, steps);

		if (v != NO && (!slashes || v != STOP_STAR))
			return v;
		if (v == NO && !slashes && *t == '/')
			return STOP_STAR;
	}
	return STOP;
}

static enum verdict
wild(const char *p, const char *t, const char *start, bool path, int *steps)
{
	for (; *p; p++, t++) {
		bool hit;

		if (--*steps < 0)
			return STOP;
		if (!*t && *p != '*')
			return STOP;
		switch (*p) {
		case '*':
			return wild_star(p, t, start, path, steps);
		case '?':
			if (path && *t == '/')
				return NO;
			break;
		case '[':
			p = match_bracket(p, *t, &hit, steps);
			if (!p)
				return STOP;
			if (!hit || (path && *t == '/'))
				return NO;
			break;
		case '\\':
			p++;
			if (!*p || *p != *t)
				return NO;
			break;
		default:
			if (*p != *t)
				return NO;
		}
	}
	return *t ? NO : YES;
}

static bool
pattern_matches(const struct pattern *p, const char *path, bool is_folder, int *budget)
{
	const char *slash = strrchr(path, '/');
	int most = *budget < STEPS_MAX ? *budget : STEPS_MAX, steps = most;
	bool yes;

	*budget -= most > 0; /* also when a look at it is all */
	if (!most || (p->folder_only && !is_folder))
		return false;
	yes = wild(p->text, p->by_name && slash ? slash + 1 : path, p->text, !p->by_name,
		   &steps) == YES;
	*budget -= most - (steps > 1 ? steps : 1);
	return yes;
}

bool
ignore_matches(const struct ignore *g, const char *path, bool is_folder, int *steps)
{
	int uncounted = IGNORE_STEPS_MAX;

	for (; g; g = g->outer) {
		size_t n = g->folder_len;

		if (n && (strncmp(path, g->folder, n) || path[n] != '/'))
			continue;
		for (const struct pattern *p = g->newest; p; p = p->older)
			if (pattern_matches(p, path + (n ? n + 1 : 0), is_folder,
					    steps ? steps : &uncounted))
				return !p->negated;
	}
	return false;
}

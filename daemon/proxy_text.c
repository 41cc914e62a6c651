/* proxy_text.c -- see proxy_text.h.  The rules are those of Kubernetes' apiserver. */
#include "proxy_text.h"
#include "../reconcile/base/arena.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3 };

bool
proxy_id_read(const char *id, struct proxy_id *ret, struct arena *a)
{
	const char *parts[PARTS] = { "", "", "" };
	size_t n = 0, len;

	for (;; id += len + 1) {
		len = strcspn(id, ":");
		if (n == PARTS)
			return false;
		parts[n++] = arena_strndup(a, id, len);
		if (!id[len])
			break;
	}
	*ret = n == PARTS ? (struct proxy_id){ parts[0], parts[1], parts[2] }
			  : (struct proxy_id){ "", parts[0], parts[1] };
	return *ret->name &&
	       (!*ret->scheme || !strcmp(ret->scheme, "http") || !strcmp(ret->scheme, "https"));
}

/* ---- the path ---- */

static int
unescaped(const char **at)
{
	const char *p = *at;

	if (p[0] == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
		char hex[3] = { p[1], p[2], 0 };

		*at += 3;
		return (int)strtol(hex, NULL, 16);
	}
	++*at;
	return (unsigned char)*p;
}

const char *
proxy_tail(const char *uri, const char *path, unsigned segments)
{
	const char *end = uri;

	/* what would end a request's first line, or be read as another part of it */
	for (const unsigned char *p = (const unsigned char *)uri; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return NULL;
	for (; segments; segments--) {
		if (*end != '/')
			return NULL;
		end += 1 + strcspn(end + 1, "/?");
	}
	while (uri < end) {
		bool slash = *uri == '/';
		int c = unescaped(&uri);

		if (!c || c != (unsigned char)*path++ || (c == '/') != slash)
			return NULL;
	}
	return *path && *path != '/' ? NULL : end;
}

/* ---- headers ---- */

static const struct {
	const char *name; /* with '*' at its end: whatever begins so */
	int ways;         /* in which it is not passed on */
} kept_back[] = {
	/* of one connection: RFC 9110, 7.6.1 */
	{ "Connection", PROXY_ASKS | PROXY_ANSWERS },
	{ "Proxy-Connection", PROXY_ASKS | PROXY_ANSWERS },
	{ "Keep-Alive", PROXY_ASKS | PROXY_ANSWERS },
	{ "Proxy-Authenticate", PROXY_ASKS | PROXY_ANSWERS },
	{ "Proxy-Authorization", PROXY_ASKS | PROXY_ANSWERS },
	{ "TE", PROXY_ASKS | PROXY_ANSWERS },
	{ "Trailer", PROXY_ASKS | PROXY_ANSWERS },
	{ "Transfer-Encoding", PROXY_ASKS | PROXY_ANSWERS },
	{ "Upgrade", PROXY_ASKS | PROXY_ANSWERS },
	/* who asks is the API's business, and a pod that had these could ask in their name */
	{ "Authorization", PROXY_ASKS },
	{ "Impersonate-*", PROXY_ASKS },
	{ "X-Remote-*", PROXY_ASKS },
	/* said anew, or by nobody */
	{ "Content-Length", PROXY_ASKS | PROXY_ANSWERS },
	{ "Expect", PROXY_ASKS },
	{ "X-Forwarded-For", PROXY_ASKS },
	{ "X-Forwarded-Uri", PROXY_ASKS },
	/* a pod does not say which web pages may ask the API */
	{ "Access-Control-Allow-Credentials", PROXY_ANSWERS },
	{ "Access-Control-Allow-Headers", PROXY_ANSWERS },
	{ "Access-Control-Allow-Methods", PROXY_ANSWERS },
	{ "Access-Control-Allow-Origin", PROXY_ANSWERS },
};

static bool
is_token(const char *s)
{
	const char *p = s;

	while (isalnum((unsigned char)*p) || (*p && strchr("!#$%&'*+-.^_`|~", *p)))
		p++;
	return p > s && !*p;
}

static bool
is_value(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

bool
proxy_header_has(const char *list, const char *word)
{
	size_t len, n = strlen(word);

	for (; list && *list; list += len + (list[len] == ',')) {
		const char *at = list + strspn(list, " \t");

		len = strcspn(list, ",");
		if (!strncasecmp(at, word, n) && strchr(", \t", at[n]))
			return true;
	}
	return false;
}

bool
proxy_header_passes(const char *name, const char *value, const char *connection,
		    enum proxy_way way)
{
	if (!is_token(name) || !is_value(value) || proxy_header_has(connection, name))
		return false;
	for (size_t i = 0; i < sizeof kept_back / sizeof *kept_back; i++) {
		size_t n = strcspn(kept_back[i].name, "*");

		if (kept_back[i].ways & way && !strncasecmp(name, kept_back[i].name, n) &&
		    (kept_back[i].name[n] || !name[n]))
			return false;
	}
	return true;
}

/* ---- where a redirect leads ---- */

static bool
is_host(const char *at, size_t n, const char *host)
{
	return host && strlen(host) == n && !strncasecmp(at, host, n);
}

const char *
proxy_location(const char *location, const char *prefix, const char *target, const char *host,
	       struct arena *a)
{
	const char *path = location;
	size_t n = strcspn(location, ":/?#");

	if (location[n] == ':') {
		if (strncmp(location + n, "://", 3) != 0)
			return location;
		path = location + n + 1;
	}
	if (!strncmp(path, "//", 2)) {
		const char *at = path + 2;

		n = strcspn(at, "/?#");
		if (n && !is_host(at, n, target) && !is_host(at, n, host))
			return location;
		path = at + n;
	}
	if (*path != '/')
		return location;
	return strncmp(path, prefix, strlen(prefix)) ? arena_printf(a, "%s%s", prefix, path)
						     : path;
}

/* ---- whom it may reach ---- */

bool
proxy_address_ok(const char *ip, const struct settings *set)
{
	addr a, bridges;

	/* (special ones whatever the operator's range) */
	if (!set || !addr_read(ip, &a) || addr_is_special(a))
		return false;
	/* The first of each is the bridge's, which is the host. */
	bridges = addr_v6(a) ? settings_pod6(set, set->pods.net + 1) : set->pods.net + 1;
	return addr_within(a, settings_pods(set, addr_v6(a))) && a != bridges;
}

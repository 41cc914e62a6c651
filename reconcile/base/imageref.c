/* imageref.c -- names of images, as the registries' clients write and complete them. */
#include "imageref.h"
#include "buf.h"
#include "cleanup.h"
#include "error.h"
#include <string.h>

#define NAME_MAX_CHARS 255 /* a name is also a file's name */

static bool
digest_valid(const char *s)
{
	static const char prefix[] = "sha256:";
	size_t n = sizeof prefix - 1;

	return strncmp(s, prefix, n) == 0 && strlen(s + n) == 64 &&
	       strspn(s + n, "0123456789abcdef") == 64;
}

int
imageref_foreign(const char *digest)
{
	size_t n = strcspn(digest, ":");

	return digest[n] && !(n == 6 && strncmp(digest, "sha256", n) == 0) ? (int)n : 0;
}

static bool
is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool
is_word(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* [a-z0-9]+ joined by one '.', one or two '_', or any number of '-' */
static bool
component_valid(const char *s, size_t n)
{
	size_t i = 0;

	if (n == 0 || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
		return false;
	while (i < n) {
		size_t from = i;

		while (i < n && !is_lower_alnum(s[i]))
			i++;
		if (i - from > 0) {
			char c = s[from];

			if (c != '.' && c != '_' && c != '-')
				return false;
			for (size_t k = from; k < i; k++)
				if (s[k] != c)
					return false;
			if ((c == '.' && i - from > 1) || (c == '_' && i - from > 2))
				return false;
		}
		while (i < n && is_lower_alnum(s[i]))
			i++;
	}
	return true;
}

static bool
host_valid(const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	size_t host = colon ? (size_t)(colon - s) : n;

	if (host == 0 || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < host; i++)
		if ((!is_word(s[i]) || s[i] == '_') && s[i] != '.' && s[i] != '-')
			return false;
	if (!colon)
		return true;
	if (n - host < 2 || n - host > 6)
		return false;
	return strspn(colon + 1, "0123456789") >= n - host - 1;
}

static bool
tag_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 128 || !is_word(s[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_word(s[i]) && s[i] != '.' && s[i] != '-')
			return false;
	return true;
}

static bool
path_valid(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");

		if (!component_valid(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool
is_host(const char *s, size_t n)
{
	return memchr(s, '.', n) || memchr(s, ':', n) ||
	       (n == 9 && memcmp(s, "localhost", 9) == 0);
}

/* docker.io and library/ where they are left out; NULL when it is no repository. */
static char *
repository_complete(const char *repo)
{
	const char *slash = strchr(repo, '/'), *path = repo, *host = "docker.io";
	size_t nhost = strlen(host);
	bool docker = true;
	char *out = NULL;

	if (slash && is_host(repo, slash - repo)) {
		docker = strncmp(repo, "docker.io/", 10) == 0 ||
			 strncmp(repo, "index.docker.io/", 16) == 0;
		path = slash + 1;
		if (!docker) {
			host = repo;
			nhost = slash - repo;
		}
	}
	if (!host_valid(host, nhost) || !path_valid(path))
		return NULL;
	xasprintf(&out, "%.*s/%s%s", (int)nhost, host,
		  docker && !strchr(path, '/') ? "library/" : "", path);
	return out;
}

char *
imageref_normalise(const char *name, struct error **e)
{
	static const char help[] =
	    "an image is called [HOST[:PORT]/]PATH[:TAG] or PATH@sha256:..., "
	    "in lower case, such as nginx:1.25 or registry.example:5000/team/app:v2";
	cleanup_free char *repo = NULL;
	char *at, *colon, *tag = NULL, *full, *out = NULL;

	if (strlen(name) > 2 * NAME_MAX_CHARS) {
		fail(e, WHY_INVALID, "image name %.40s...: longer than %d characters", name,
		     NAME_MAX_CHARS);
		return NULL;
	}
	repo = xstrdup(name);
	at = strchr(repo, '@');
	if (at)
		*at++ = '\0';
	colon = strrchr(repo, ':');
	if (colon && !strchr(colon, '/')) {
		*colon = '\0';
		tag = colon + 1;
	}
	if (at && imageref_foreign(at)) {
		fail(e, WHY_INVALID,
		     "image name \"%s\": digests by %.*s are not known here, only those by "
		     "sha256; its tag or its sha256 digest name it, too",
		     name, imageref_foreign(at), at);
		return NULL;
	}
	full = repository_complete(repo);
	if (!full || (tag && !tag_valid(tag)) || (at && !digest_valid(at))) {
		free(full);
		fail(e, WHY_INVALID, "image name \"%s\" is not one: %s", name, help);
		return NULL;
	}
	if (at)
		xasprintf(&out, "%s@%s", full, at);
	else
		xasprintf(&out, "%s:%s", full, tag ? tag : "latest");
	free(full);
	if (strlen(out) > NAME_MAX_CHARS) {
		fail(e, WHY_INVALID, "image name %s: longer than %d characters", out,
		     NAME_MAX_CHARS);
		free(out);
		return NULL;
	}
	return out;
}

bool
imageref_is_of(const char *name, const char *repository, size_t n)
{
	return !strncmp(name, repository, n) && (name[n] == ':' || name[n] == '@') &&
	       !strchr(name + n + 1, '/');
}

/* rbac_request.c -- from a method and a path to what is asked for, as Kubernetes' RequestInfo.
 *
 * It does not know the routes: a path that nobody serves is asked about, too, before it is
 * said that it is not there.
 */
#include "base/arena.h"
#include "rbac.h"
#include <ctype.h>
#include <string.h>

enum { PARTS = 16 };

static size_t
split(const char *path, const char *parts[PARTS], struct arena *a)
{
	size_t n = 0, len;

	for (; n < PARTS; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		parts[n++] = arena_strndup(a, path, len);
	}
	return n;
}

static const char *
lower(const char *method, struct arena *a)
{
	char *s = arena_strdup(a, method);

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static const char *
verb_of(const struct rbac_request *q, bool named, struct arena *a)
{
	const char *m = q->method;

	if (!strcmp(m, "POST"))
		return "create";
	if (!strcmp(m, "PUT"))
		return "update";
	if (!strcmp(m, "PATCH"))
		return "patch";
	if (!strcmp(m, "DELETE"))
		return named ? "delete" : "deletecollection";
	if (strcmp(m, "GET") != 0 && strcmp(m, "HEAD") != 0)
		return lower(m, a);
	return q->watch ? "watch" : named ? "get" : "list";
}

/* What is below /api/v1 or /apis/GROUP/VERSION. */
static void
read_resource(const struct rbac_request *q, const char **parts, size_t n,
	      struct rbac_attributes *ret, struct arena *a)
{
	if (n > 1 && !strcmp(parts[0], "namespaces")) {
		ret->ns = parts[1];
		/* /namespaces/NAME, /namespaces/NAME/status and finalize are of the namespace.
		 */
		if (n > 2 && strcmp(parts[2], "status") != 0 &&
		    strcmp(parts[2], "finalize") != 0) {
			parts += 2;
			n -= 2;
		}
	}
	ret->resource = parts[0];
	ret->name = n > 1 ? parts[1] : "";
	ret->subresource = n > 2 ? parts[2] : "";
	/* What streams is never only a watch. */
	ret->verb = *ret->subresource && (!strcmp(q->method, "GET"))
			? "get"
			: verb_of(q, *ret->name, a);
	if (!*ret->name && *q->only_name &&
	    (!strcmp(ret->verb, "list") || !strcmp(ret->verb, "watch") ||
	     !strcmp(ret->verb, "deletecollection")))
		ret->name = q->only_name;
}

void
rbac_request_read(const struct rbac_request *q, struct rbac_attributes *ret, struct arena *a)
{
	const char *parts[PARTS];
	size_t n = split(q->path, parts, a);

	*ret = (struct rbac_attributes){ "", "", "", "", "", "", NULL };
	if (n > 2 && !strcmp(parts[0], "api")) {
		read_resource(q, parts + 2, n - 2, ret, a);
	} else if (n > 3 && !strcmp(parts[0], "apis")) {
		ret->group = parts[1];
		read_resource(q, parts + 3, n - 3, ret, a);
	} else {
		ret->verb = lower(q->method, a);
		ret->path = q->path;
	}
}

const char *
rbac_forbidden_text(const struct user *u, const struct rbac_attributes *at, struct arena *a)
{
	const char *sub = *at->subresource ? "/" : "", *where;

	if (at->path)
		return arena_printf(a, "User \"%s\" cannot %s path \"%s\"", u->name, at->verb,
				    at->path);
	where = *at->ns ? arena_printf(a, "in the namespace \"%s\"", at->ns)
			: "at the cluster scope";
	return arena_printf(
	    a, "User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\" %s", u->name,
	    at->verb, at->resource, sub, at->subresource, at->group, where);
}

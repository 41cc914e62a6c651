/* registry.c -- where an image is to be had, and who we are there.
 *
 * Mirrors first, then the registry itself.  Plain http, other certificates, credentials
 * and addresses of this host are the operator's to allow, in kedge.yaml, by host.
 */
#include "registry.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <string.h>
#include <sys/mman.h>

/* The one registry whose name is not where it is. */
#define DOCKER_NAME "docker.io"
#define DOCKER_HOST "registry-1.docker.io"

const struct pull_host *
registry_listed(const struct registry *r, const char *host)
{
	for (size_t i = 0; i < r->bind->registries.n; i++)
		if (!strcasecmp(r->bind->registries.at[i].host, host))
			return &r->bind->registries.at[i];
	return NULL;
}

const char *
registry_place(const char *host)
{
	return strcmp(host, DOCKER_NAME) ? host : DOCKER_HOST;
}

/* libcurl's GnuTLS takes certificates by path only: a file that nobody else sees. */
static const char *
ca_file(const char *pem, struct arena *a)
{
	int fd = memfd_create("ca", MFD_CLOEXEC);
	size_t n = strlen(pem);

	while (fd >= 0 && n > 0) {
		ssize_t done = write(fd, pem, n);

		if (done <= 0)
			return "/nonexistent"; /* never without the certificates asked for */
		pem += done;
		n -= done;
	}
	return arena_printf(a, "/proc/self/fd/%d", fd);
}

static void
credential_add(struct origin *o, const char *text, struct arena *a)
{
	size_t n = text ? strcspn(text, ":") : 0;

	if (!text || !text[n] || o->ncreds == sizeof o->cred / sizeof *o->cred)
		return;
	o->cred[o->ncreds++] =
	    (struct credential){ arena_strndup(a, text, n), arena_strdup(a, text + n + 1) };
}

/* `place`: "host[:port]", and for a mirror a path before the repository. */
static void
origin_fill(struct registry *r, struct origin *o, const char *place, const char *repository)
{
	size_t n = strcspn(place, "/");
	char *host = arena_strndup(r->arena, place, n);
	const struct pull_host *listed = registry_listed(r, host);
	const char *prefix = place[n] ? place + n + 1 : "";

	*o = (struct origin){ .host = host, .listed = listed != NULL };
	o->repository =
	    arena_printf(r->arena, "%s%s%s", prefix, *prefix ? "/" : "", repository);
	o->base =
	    arena_printf(r->arena, "%s://%s/v2/%s", listed && listed->http ? "http" : "https",
			 registry_place(host), o->repository);
	if (listed && listed->ca && *listed->ca)
		o->ca = ca_file(listed->ca, r->arena);
	/* the pod's own are for this very image, the operator's for all of the host */
	for (size_t i = 0; i < r->start->configs.n; i++)
		credentials_find(r->start->configs.at[i], o, r->arena);
	if (listed)
		credential_add(o, listed->credentials, r->arena);
}

int
registry_open(struct registry *r, struct error **e)
{
	const char *name = r->bind->image, *slash = strchr(name, '/');
	size_t host = slash ? (size_t)(slash - name) : 0, repository;
	const struct pull_host *listed;
	const char *own;

	if (!slash)
		return fail(e, WHY_INVALID, "\"%s\" is no complete name of an image", name);
	repository = strcspn(slash + 1, "@:");
	own = arena_strndup(r->arena, name, host);
	name = arena_strndup(r->arena, slash + 1, repository);
	listed = registry_listed(r, own);
	r->origins =
	    arena_zalloc(r->arena, (1 + (listed ? listed->mirrors.n : 0)) * sizeof *r->origins);
	for (size_t i = 0; listed && i < listed->mirrors.n; i++)
		origin_fill(r, &r->origins[r->n++], listed->mirrors.at[i], name);
	origin_fill(r, &r->origins[r->n++], own, name);
	return 0;
}

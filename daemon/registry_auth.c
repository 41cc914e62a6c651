/* registry_auth.c -- who we are to a registry: challenges, tokens, docker's config.json.
 *
 * A credential is used for the host it was given for and its token server alone, and
 * never over plain http unless the operator listed that host with it.
 */
#include "../reconcile/base/base64.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "registry.h"
#include <fnmatch.h>
#include <jansson.h>
#include <string.h>

/* ---- challenges ---- */

static const char *
param_read(const char *s, char *name, size_t name_room, char *value, size_t value_room)
{
	size_t n = 0, v = 0;

	while (*s == ' ' || *s == ',' || *s == '\t')
		s++;
	while (*s && *s != '=' && *s != ' ' && *s != ',') {
		if (n + 1 < name_room)
			name[n++] = *s;
		s++;
	}
	name[n] = value[0] = '\0';
	if (*s != '=')
		return s;
	s++;
	if (*s == '"') {
		for (s++; *s && *s != '"'; s++) {
			if (*s == '\\' && s[1])
				s++;
			if (v + 1 < value_room)
				value[v++] = *s;
		}
		s += *s == '"';
	} else {
		for (; *s && *s != ',' && *s != ' '; s++)
			if (v + 1 < value_room)
				value[v++] = *s;
	}
	value[v] = '\0';
	return s;
}

bool
challenge_parse(const char *header, struct challenge *ret)
{
	struct challenge c = { 0 };
	const char *s = header;

	while (*s == ' ')
		s++;
	c.basic = !strncasecmp(s, "Basic", 5) && (s[5] == ' ' || !s[5]);
	c.bearer = !strncasecmp(s, "Bearer", 6) && s[6] == ' ';
	if (!c.basic && !c.bearer)
		return false;
	for (s += c.basic ? 5 : 6; *s;) {
		char name[32], value[sizeof c.realm];

		s = param_read(s, name, sizeof name, value, sizeof value);
		if (!strcasecmp(name, "realm"))
			snprintf(c.realm, sizeof c.realm, "%s", value);
		else if (!strcasecmp(name, "service"))
			snprintf(c.service, sizeof c.service, "%.255s", value);
		else if (!strcasecmp(name, "scope"))
			snprintf(c.scope, sizeof c.scope, "%.511s", value);
		else if (!*name && !*value && *s)
			s++;
	}
	if (c.bearer && !*c.realm)
		return false;
	*ret = c;
	return true;
}

/* ---- docker's config.json ---- */

/* "https://index.docker.io/v1/" is how docker writes docker.io. */
static const char *
key_host(const char *key, struct arena *a)
{
	static const char *const docker[] = { "index.docker.io", "registry-1.docker.io" };
	const char *s = key;
	char *out;
	size_t n;

	if (!strncmp(s, "https://", 8) || !strncmp(s, "http://", 7))
		s = strstr(s, "//") + 2;
	out = arena_strdup(a, s);
	n = strlen(out);
	while (n && out[n - 1] == '/')
		out[--n] = '\0';
	for (size_t i = 0; i < 2; i++) { /* the API's versions are no part of a name */
		const char *v = i ? "/v2" : "/v1";

		if (n > 3 && !strcmp(out + n - 3, v))
			out[n -= 3] = '\0';
	}
	for (size_t i = 0; i < 2; i++)
		if (!strcmp(out, docker[i]))
			return "docker.io";
	return out;
}

/* How well a key fits, as in Kubernetes: the host's parts by glob, then a path that the
 * repository begins with.  0: not at all. */
static size_t
key_fits(const char *key, const struct origin *o)
{
	size_t host = strcspn(key, "/");
	const char *path = key[host] ? key + host + 1 : "";
	cleanup_free char *pattern = xstrndup(key, host);
	size_t dots = 0, n = strlen(path);

	for (const char *p = pattern; *p; p++)
		dots += *p == '.';
	for (const char *p = o->host; *p; p++)
		dots -= *p == '.';
	if (dots || fnmatch(pattern, o->host, 0))
		return 0;
	if (n &&
	    (strncmp(path, o->repository, n) || (o->repository[n] && o->repository[n] != '/')))
		return 0;
	return 1 + n;
}

static void
credential_of(const json_t *x, struct origin *o, struct arena *a)
{
	const char *auth = json_string_value(json_object_get(x, "auth"));
	const char *user = json_string_value(json_object_get(x, "username"));
	const char *password = json_string_value(json_object_get(x, "password"));
	char *text = auth && *auth ? base64_bytes(auth, a, NULL) : NULL;
	char *colon = text ? strchr(text, ':') : NULL;

	if (colon) {
		*colon = '\0';
		user = text;
		password = colon + 1;
	}
	if (!user || !*user || !password)
		return;
	o->cred[o->ncreds++] =
	    (struct credential){ arena_strdup(a, user), arena_strdup(a, password) };
}

void
credentials_find(const char *config_json, struct origin *o, struct arena *a)
{
	json_t *j = json_loads(config_json, 0, NULL), *auths, *x;
	size_t taken = SIZE_MAX; /* fit of the one taken last */
	const char *key;

	auths = json_object_get(j, "auths");
	if (!auths) /* .dockercfg: the same without the wrapping */
		auths = j;
	while (taken > 0 && o->ncreds < sizeof o->cred / sizeof *o->cred) {
		const json_t *best = NULL;
		size_t fit = 0;

		json_object_foreach(auths, key, x) {
			size_t f = key_fits(key_host(key, a), o);

			if (f > fit && f < taken) {
				fit = f;
				best = x;
			}
		}
		if (best)
			credential_of(best, o, a);
		taken = fit;
	}
	json_decref(j);
}

/* ---- answering a challenge ---- */

static void
authorization_set(struct origin *o, char *value)
{
	if (o->authorization) {
		explicit_bzero(o->authorization, strlen(o->authorization));
		free(o->authorization);
	}
	o->authorization = value;
}

static char *
basic_value(const struct credential *c)
{
	cleanup_arena struct arena a = { 0 };
	char *text = arena_printf(&a, "%s:%s", c->user, c->password), *out = NULL;

	xasprintf(&out, "Basic %s", base64_text(text, strlen(text), &a));
	explicit_bzero(text, strlen(text));
	return out;
}

static int
realm_check(const struct registry *r, const struct origin *o, const char *realm,
	    struct error **e)
{
	const char *host = realm + 7;
	const struct pull_host *listed;
	cleanup_free char *name = NULL;

	if (!strncmp(realm, "https://", 8))
		return 0;
	if (!strncmp(realm, "http://", 7)) {
		name = xstrndup(host, strcspn(host, "/?#"));
		listed = registry_listed(r, name);
		if (listed && listed->http)
			return 0;
	}
	return fail(e, WHY_FORBIDDEN,
		    "%s: sends for a token to %s; that is asked by https only, unless it is "
		    "listed with http: true under registries in kedge.yaml",
		    o->host, realm);
}

/* A token for this credential, or for nobody; NULL with `e`. */
static char *
token_get(struct registry *r, struct origin *o, const struct challenge *c,
	  const struct credential *cred, struct error **e)
{
	cleanup_buf struct buf url = { 0 };
	cleanup_free char *basic = NULL;
	struct origin server = { .host = o->host, .base = o->base, .ca = o->ca };
	char *scope, *service, *out = NULL;
	const char *token;
	struct request q;
	json_t *j = NULL;
	CURLcode rc;

	if (realm_check(r, o, c->realm, e) < 0)
		return NULL;
	scope = curl_easy_escape(NULL, c->scope, 0);
	service = curl_easy_escape(NULL, c->service, 0);
	buf_addf(&url, "%s%cservice=%s", c->realm, strchr(c->realm, '?') ? '&' : '?', service);
	if (*c->scope)
		buf_addf(&url, "&scope=%s", scope);
	curl_free(scope);
	curl_free(service);
	if (cred) {
		basic = basic_value(cred);
		server.authorization = basic;
	}
	request_open(&q, r, &server, url.at, "Accept: application/json");
	q.max = 1 << 20;
	request_within(&q, r->bind->answerSeconds);
	rc = request_run(&q);
	if (rc || q.status != 200) {
		request_fail(&q, rc, e);
	} else {
		j = json_loadb(buf_text(&q.body), q.body.len, 0, NULL);
		token = json_string_value(json_object_get(j, "token"));
		if (!token)
			token = json_string_value(json_object_get(j, "access_token"));
		if (token && *token && !strpbrk(token, "\r\n"))
			xasprintf(&out, "Bearer %s", token);
		else
			fail(e, WHY_UNAVAILABLE, "%s: the answer has no token", c->realm);
	}
	json_decref(j);
	explicit_bzero(q.body.at ? q.body.at : "", q.body.at ? q.body.len : 0);
	request_close(&q);
	return out;
}

int
registry_authorize(struct registry *r, struct origin *o, const char *text, struct error **e)
{
	struct challenge c;
	char *value = NULL;

	/* a token may have run out, a name or password is wrong for good */
	if (o->authorization && (!strncmp(o->authorization, "Basic ", 6) || o->refused))
		o->at++;
	o->refused = o->authorization != NULL;
	authorization_set(o, NULL);
	if (!challenge_parse(text, &c))
		return 0;
	if (c.basic) {
		if (o->at < o->ncreds)
			authorization_set(o, basic_value(&o->cred[o->at]));
		return 0;
	}
	for (; o->at <= o->ncreds; o->at++) {
		cleanup_error struct error *why = NULL;

		value = token_get(r, o, &c, o->at < o->ncreds ? &o->cred[o->at] : NULL, &why);
		if (value) {
			authorization_set(o, value);
			return 0;
		}
		if (o->at == o->ncreds || !why || why->why != WHY_FORBIDDEN) {
			if (e)
				*e = steal_ptr(&why);
			return -1;
		}
	}
	return 0;
}

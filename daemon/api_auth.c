/* api_auth.c -- who asks: by the socket they came through, their certificate or their token.
 *
 * As Kubernetes: a certificate counts before a token; a credential that is wrong is 401,
 * whatever was asked for; who brings none is system:anonymous.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "api_call.h"
#include "pki.h"
#include "token.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
	GROUPS_MOST = 32,
	NAME_MOST = 64, /* X.520's longest CN and O */
	YEAR = 365 * 24 * 3600
};

static const char *const masters[] = { GROUP_MASTERS, GROUP_AUTHENTICATED };
static const char *const nobodys[] = { GROUP_UNAUTHENTICATED };

/* "Bearer x", in any case; NULL: no token. */
static const char *
bearer(const struct call *c)
{
	const char *h = http_header(c->req, "Authorization");

	if (!h || strncasecmp(h, "Bearer ", 7) != 0)
		return NULL;
	h += 7 + strspn(h + 7, " ");
	return *h ? h : NULL;
}

static bool
refuse(struct call *c, const char *why)
{
	log_debug("http", "%s %s: 401: %s", http_method(c->req), http_path(c->req), why);
	call_refuse(c, WHY_UNAUTHORIZED, "Unauthorized");
	return false;
}

int
auth_token(struct call *c, const char *token, const struct strs *audiences, struct user *u,
	   const char **ret_audience, struct error **e)
{
	const struct settings *set = c->api->settings;
	const char *own = token_issuer(set, &c->arena);

	if (!c->api->pki)
		return fail(e, WHY_UNAUTHORIZED, "token: there is no key for tokens here");
	/* static ones are for the API alone */
	if ((!audiences || !audiences->n || strs_has(audiences, own)) &&
	    pki_static_token(c->api->pki, token, u)) {
		if (ret_audience)
			*ret_audience = own;
		return 0;
	}
	return token_user(pki_token_key(c->api->pki), set, c->api->store, token, audiences,
			  call_now(c), &c->arena, u, ret_audience, e);
}

/* False: who they say they are they are not; the answer is given. */
static bool
over_tls(struct call *c, struct user *u)
{
	cleanup_error struct error *e = NULL;
	const char *token = bearer(c);
	size_t n = 0;
	const void *der = http_certificate(c->req, &n);

	if (der && c->api->pki &&
	    pki_client(c->api->pki, der, n, call_now(c), &c->arena, u, &e) == 0) {
		http_proved(c->req);
		return true;
	}
	if (token && auth_token(c, token, NULL, u, NULL, e ? NULL : &e) == 0) {
		http_proved(c->req);
		return true;
	}
	if (der || http_header(c->req, "Authorization"))
		return refuse(c, e ? error_text(e) : "no bearer token");
	*u = (struct user){ USER_ANONYMOUS, "", nobodys, 1 };
	return true;
}

bool
auth_who(struct call *c)
{
	struct user *u = arena_zalloc(&c->arena, sizeof *u);
	const char *who = http_who(c->req);

	if (http_door(c->req) == HTTP_TLS && !over_tls(c, u))
		return false;
	c->user = u;
	if (http_door(c->req) != HTTP_TLS)
		*u = (struct user){ who, strncmp(who, "uid ", 4) ? "" : who + 4, masters, 2 };
	return true;
}

/* ---- who am I ---- */

const char *
auth_login(const struct call *c)
{
	const char *login = NULL;

	if (http_door(c->req) != HTTP_TLS && !c->impersonator && *c->user->uid)
		login = http_login(c->req, c->user->uid);
	return login ? login : c->user->name;
}

void
auth_print(struct buf *b, const struct user *u)
{
	buf_adds(b, "{\"username\":");
	json_quote(b, u->name);
	if (*u->uid) {
		buf_adds(b, ",\"uid\":");
		json_quote(b, u->uid);
	}
	buf_adds(b, ",\"groups\":[");
	for (size_t i = 0; i < u->ngroups; i++) {
		if (i)
			buf_addc(b, ',');
		json_quote(b, u->groups[i]);
	}
	buf_adds(b, "]}");
}

static void
answer_self(struct call *c, const char *version)
{
	struct buf b = { 0 };

	buf_addf(&b,
		 "{\"kind\":\"SelfSubjectReview\",\"apiVersion\":"
		 "\"authentication.k8s.io/%s\",\"metadata\":{\"creationTimestamp\":null},"
		 "\"status\":{\"userInfo\":",
		 version);
	auth_print(&b, c->user);
	buf_adds(&b, "}}");
	call_json(c, 201, &b);
}

void
auth_self(struct call *c)
{
	answer_self(c, "v1");
}

/* kubectl 1.27 knows no other; it does not look whether there is one. */
void
auth_self_beta(struct call *c)
{
	answer_self(c, "v1beta1");
}

/* ---- a certificate for somebody ---- */

struct wanted {
	const char *at[GROUPS_MOST];
	size_t n;
	bool bad;
};

static bool
is_name(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (iscntrl((unsigned char)s[n]))
			return false;
	return n && n <= NAME_MOST;
}

static void
add_group(void *ctx, const char *value)
{
	struct wanted *w = ctx;

	if (w->n == GROUPS_MOST || !is_name(value))
		w->bad = true;
	else
		w->at[w->n++] = value;
}

void
kedge_certify(struct call *c)
{
	cleanup_error struct error *e = NULL;
	struct wanted w = { 0 };
	struct user u = { .name = call_query(c, "user"), .uid = "" };
	int64_t seconds = call_int(c, "seconds", YEAR);
	const struct buf *body = http_body(c->req);

	http_query_each(c->req, "group", add_group, &w);
	u.groups = w.at;
	u.ngroups = w.n;
	if (!is_name(u.name) || w.bad)
		call_refuse(c, WHY_BAD_REQUEST,
			    "user and group: 1 to %d bytes without control characters, and %d "
			    "groups at most",
			    NAME_MOST, GROUPS_MOST);
	else if (seconds < 60 || seconds > 10 * YEAR)
		call_refuse(c, WHY_BAD_REQUEST, "seconds: 60 to %d", 10 * YEAR);
	else if (!user_in(c->user, GROUP_MASTERS))
		call_refuse(c, WHY_FORBIDDEN, "only system:masters give out certificates");
	else if (!c->api->host.certify)
		call_refuse(c, WHY_UNABLE, "nobody here gives out certificates");
	else if (c->api->host.certify(c->api->host.ctx, call_ask(c), &u, seconds,
				      buf_text(body), body->len, &e) < 0)
		call_fail(c, e);
}

/* pki_user.c -- whose a certificate or a static token is. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "pki.h"
#include "pki_priv.h"
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>

enum { NAME_MOST = 512, ORGS_MOST = 64, REQUEST_MOST = 64 * 1024 };

/* ---- certificates ---- */

int
pki_sign_client(struct pki *p, const void *request, size_t n, const struct user *u, int64_t now,
		int64_t life_ms, struct buf *ret_pem, struct error **e)
{
	gnutls_datum_t d = { (void *)request, (unsigned)n };
	gnutls_x509_crq_t crq = NULL;
	const struct cert_wish w = { .cn = u->name,
				     .orgs = u->groups,
				     .norgs = u->ngroups,
				     .life_ms = life_ms,
				     .is_client = true };
	int rc = n > REQUEST_MOST ? GNUTLS_E_INVALID_REQUEST : gnutls_x509_crq_init(&crq);

	if (rc >= 0)
		rc = gnutls_x509_crq_import(crq, &d, GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		rc = gnutls_x509_crq_verify(crq, 0);
	if (rc < 0)
		fail(e, WHY_INVALID, "the request for a certificate is none: %s",
		     gnutls_strerror(rc));
	else
		rc = cert_make_for(&w, &p->ca, now, crq, ret_pem, e);
	if (crq)
		gnutls_x509_crq_deinit(crq);
	return rc < 0 ? -1 : 0;
}

static int
refuse(struct error **e, const char *why)
{
	return fail(e, WHY_UNAUTHORIZED, "client certificate: %s", why);
}

/* The i-th; NULL: there is none, or it is nonsense. */
static const char *
name_of(gnutls_x509_crt_t c, const char *oid, unsigned i, struct arena *a)
{
	char name[NAME_MOST];
	size_t n = sizeof name;

	if (gnutls_x509_crt_get_dn_by_oid(c, oid, i, 0, name, &n) < 0 ||
	    strlen(name) != n) /* a NUL in the middle would end it there for us alone */
		return NULL;
	return arena_strdup(a, name);
}

static int
user_of(gnutls_x509_crt_t c, struct arena *a, struct user *ret, struct error **e)
{
	const char **groups = arena_alloc(a, (ORGS_MOST + 1) * sizeof *groups);
	struct user u = { .uid = "", .groups = groups };

	u.name = name_of(c, GNUTLS_OID_X520_COMMON_NAME, 0, a);
	if (!u.name || !*u.name)
		return refuse(e, "it names nobody (no CN)");
	while (u.ngroups < ORGS_MOST &&
	       (groups[u.ngroups] =
		    name_of(c, GNUTLS_OID_X520_ORGANIZATION_NAME, (unsigned)u.ngroups, a)))
		u.ngroups++;
	groups[u.ngroups++] = GROUP_AUTHENTICATED;
	*ret = u;
	return 0;
}

static bool
is_clients(gnutls_x509_crt_t c)
{
	char oid[64];

	for (unsigned i = 0;; i++) {
		size_t n = sizeof oid;

		if (gnutls_x509_crt_get_key_purpose_oid(c, i, oid, &n, NULL) < 0)
			return false;
		if (!strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT))
			return true;
	}
}

static int
check(const struct pki *p, gnutls_x509_crt_t c, int64_t now, struct error **e)
{
	struct cert other = { .crt = c };

	if (!cert_is_of(&other, &p->ca))
		return refuse(e, "this authority did not sign it");
	if (gnutls_x509_crt_get_ca_status(c, NULL) == 1 || !is_clients(c))
		return refuse(e, "it is not for a client");
	if (now < (int64_t)gnutls_x509_crt_get_activation_time(c) * 1000)
		return refuse(e, "it is not valid yet");
	if (now >= (int64_t)gnutls_x509_crt_get_expiration_time(c) * 1000)
		return refuse(e, "it has expired");
	return 0;
}

int
pki_client(const struct pki *p, const void *der, size_t n, int64_t now, struct arena *a,
	   struct user *ret, struct error **e)
{
	gnutls_datum_t d = { (void *)der, (unsigned)n };
	gnutls_x509_crt_t c;
	int rc = gnutls_x509_crt_init(&c);

	if (rc < 0)
		return fail(e, WHY_INTERNAL, "%s", gnutls_strerror(rc));
	rc = gnutls_x509_crt_import(c, &d, GNUTLS_X509_FMT_DER);
	rc = rc < 0 ? refuse(e, gnutls_strerror(rc)) : check(p, c, now, e);
	if (rc == 0)
		rc = user_of(c, a, ret, e);
	gnutls_x509_crt_deinit(c);
	return rc;
}

/* ---- static tokens ---- */

/* One field of a CSV line, in quotes or not; NULL at its end. */
static const char *
field(const char **at, struct arena *a)
{
	const char *p = *at;
	char *out, *to;

	if (!p)
		return NULL;
	out = to = arena_alloc(a, strlen(p) + 1);
	if (*p == '"') {
		for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
			*to++ = *p;
			p += *p == '"';
		}
		p += *p == '"';
	} else {
		while (*p && *p != ',')
			*to++ = *p++;
	}
	*to = 0;
	*at = *p == ',' ? p + 1 : NULL;
	return out;
}

static void
add_groups(struct user *u, const char *list, struct arena *a)
{
	const char **groups = arena_alloc(a, (strlen(list) + 2) * sizeof *groups);

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");

		if (n)
			groups[u->ngroups++] = arena_strndup(a, p, n);
		p += n + (p[n] == ',');
	}
	groups[u->ngroups++] = GROUP_AUTHENTICATED;
	u->groups = groups;
}

static bool
line_read(struct pki *p, const char *line)
{
	struct arena *a = &p->arena;
	const char *at = line, *token = field(&at, a), *name = field(&at, a);
	const char *uid = field(&at, a), *groups = field(&at, a);
	struct static_token *t = &p->statics[p->nstatics];

	if (!token || !*token || !name || !*name || !uid)
		return false;
	*t = (struct static_token){ .token = token, .user = { .name = name, .uid = uid } };
	add_groups(&t->user, groups ? groups : "", a);
	p->nstatics++;
	return true;
}

void
static_read(struct pki *p, const char *text)
{
	size_t lines = 1, number = 0;

	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	p->statics = arena_zalloc(&p->arena, lines * sizeof *p->statics);
	for (const char *at = text; *at;) {
		size_t n = strcspn(at, "\n");
		const char *line = arena_strndup(&p->arena, at, n - (n && at[n - 1] == '\r'));

		number++;
		if (*line && *line != '#' && !line_read(p, line))
			log_warn("api",
				 "%s/tokens.csv:%zu: not token,user,uid,\"group,group\": left "
				 "out",
				 p->dir, number);
		at += n + (at[n] == '\n');
	}
}

/* Takes as long for one that is wrong in its first letter as in its last. */
static bool
same(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && !gnutls_memcmp(a, b, n);
}

bool
pki_static_token(const struct pki *p, const char *token, struct user *ret)
{
	for (size_t i = 0; i < p->nstatics; i++)
		if (same(p->statics[i].token, token)) {
			*ret = p->statics[i].user;
			return true;
		}
	return false;
}

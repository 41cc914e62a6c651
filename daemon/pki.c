/* pki.c -- what lies in the folder: read, made, made anew. */
#include "pki.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "files.h"
#include "jwt.h"
#include "pki_cert.h"
#include "pki_priv.h"
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>

#define DAY (INT64_C(24) * 3600 * 1000)

enum { FILE_MOST = 1 << 20, TOKEN_BYTES = 24 };

static int
file_of(const struct pki *p, const char *name, struct buf *ret, struct error **e)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/%s", p->dir, name);
	return file_read(path, FILE_MOST, ret, e);
}

/* 1: read; 0: there is none; -1. */
static int
file_if_there(const struct pki *p, const char *name, struct buf *ret, struct error **e)
{
	cleanup_error struct error *why = NULL;

	if (file_of(p, name, ret, &why) == 0)
		return 1;
	if (why->err == ENOENT)
		return 0;
	return fail(e, why->why, "%s", why->msg);
}

/* ---- the authority ---- */

/* A name of its own: two authorities on one client's list are told apart by it. */
static void
ca_name(char ret[32])
{
	unsigned char r[4];

	gnutls_rnd(GNUTLS_RND_NONCE, r, sizeof r);
	snprintf(ret, 32, "kedge-ca-%02x%02x%02x%02x", r[0], r[1], r[2], r[3]);
}

static int
ca_write(struct pki *p, struct error **e)
{
	cleanup_buf struct buf pem = { 0 };

	return cert_print(&p->ca, &pem, e) < 0
		   ? -1
		   : pki_file_write(p->dir, "ca.pem", pem.at, pem.len, e);
}

static int
ca_make(struct pki *p, int64_t now, struct error **e)
{
	char name[32];
	const struct cert_wish w = { .cn = name, .is_ca = true, .life_ms = 10 * 365 * DAY };

	ca_name(name);
	return cert_make(&w, NULL, now, &p->ca, e) < 0 ? -1 : ca_write(p, e);
}

/* The same key and name with a new end: who trusts the old one trusts what this signs. */
static int
ca_renew(struct pki *p, int64_t now, struct error **e)
{
	cleanup_free char *name = cert_cn(&p->ca);
	const struct cert_wish w = { .cn = name ? name : "kedge-ca",
				     .is_ca = true,
				     .life_ms = 10 * 365 * DAY };

	return cert_make(&w, NULL, now, &p->ca, e) < 0 ? -1 : ca_write(p, e);
}

static int
ca_open(struct pki *p, int64_t now, struct error **e)
{
	cleanup_buf struct buf pem = { 0 };
	int there = file_if_there(p, "ca.pem", &pem, e);

	if (there < 0)
		return -1;
	if (!there)
		return ca_make(p, now, e);
	if (cert_read(pem.at, pem.len, &p->ca, e) < 0)
		return fail_in(e,
			       "%s/ca.pem: every client trusts this file's certificate; "
			       "bring it back from a backup, or remove the folder and give all "
			       "clients new kubeconfigs",
			       p->dir);
	return 0;
}

/* For who has no kubeconfig: curl --cacert. */
static int
ca_publish(struct pki *p, struct error **e)
{
	cleanup_buf struct buf had = { 0 };

	cert_text(&p->ca, &p->ca_text);
	if (file_if_there(p, "ca.crt", &had, NULL) > 0 &&
	    !strcmp(buf_text(&had), buf_text(&p->ca_text)))
		return 0;
	return pki_file_write(p->dir, "ca.crt", p->ca_text.at, p->ca_text.len, e);
}

/* ---- the API's certificate ---- */

static int
serving_make(struct pki *p, int64_t now, struct error **e)
{
	const struct cert_wish w = { .cn = "kedge-api",
				     .names = (const char *const *)p->names,
				     .life_ms = p->serving_ms };
	cleanup_buf struct buf pem = { 0 };
	struct cert c = { 0 };

	if (cert_make(&w, &p->ca, now, &c, e) < 0)
		return -1;
	if (cert_print(&c, &pem, e) < 0 ||
	    pki_file_write(p->dir, "serving.pem", pem.at, pem.len, e) < 0) {
		cert_done(&c);
		return -1;
	}
	cert_done(&p->serving);
	p->serving = c;
	return 0;
}

/* Nobody keeps it: one that cannot be read is made anew. */
static void
serving_open(struct pki *p)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf pem = { 0 };

	if (file_if_there(p, "serving.pem", &pem, &e) > 0)
		(void)cert_read(pem.at, pem.len, &p->serving, &e);
	if (e)
		log_warn("api", "its certificate is made anew: %s", error_text(e));
}

static bool
is_due(const struct cert *c, int64_t now)
{
	int64_t life = c->ends - c->begins;

	/* a clock that was set back: not valid yet is as bad as ended */
	return !c->crt || now > c->ends - life / 5 || now < c->begins;
}

int
pki_renew(struct pki *p, int64_t now, bool *ret_new, struct error **e)
{
	bool ca = is_due(&p->ca, now) || !cert_names_its_key(&p->ca);

	*ret_new = false;
	if (ca && (ca_renew(p, now, e) < 0 || ca_publish(p, e) < 0))
		return -1;
	if (!ca && !is_due(&p->serving, now) && cert_is_for(&p->serving, p->names) &&
	    cert_is_of(&p->serving, &p->ca))
		return 0;
	if (serving_make(p, now, e) < 0)
		return -1;
	buf_clear(&p->serving_text);
	buf_clear(&p->serving_key);
	cert_text(&p->serving, &p->serving_text);
	*ret_new = true;
	return cert_key_text(&p->serving, &p->serving_key, e);
}

/* ---- tokens ---- */

static int
token_key_open(struct pki *p, struct error **e)
{
	cleanup_buf struct buf pem = { 0 };
	int there = file_if_there(p, "tokens.key", &pem, e);

	if (there < 0)
		return -1;
	if (!there && (jwt_key_make(&pem, e) < 0 ||
		       pki_file_write(p->dir, "tokens.key", pem.at, pem.len, e) < 0))
		return -1;
	if (jwt_key_read(pem.at, pem.len, &p->token_key, e) < 0)
		return fail_in(e,
			       "%s/tokens.key: bring it back from a backup, or remove it: "
			       "tokens that were given out are then void",
			       p->dir);
	return 0;
}

/* One for the operator, so that there is a credential when all certificates have ended. */
static int
static_make(struct pki *p, struct buf *text, struct error **e)
{
	unsigned char r[TOKEN_BYTES];
	int rc = gnutls_rnd(GNUTLS_RND_KEY, r, sizeof r);

	if (rc < 0)
		return fail(e, WHY_INTERNAL, "make a token: %s", gnutls_strerror(rc));
	for (size_t i = 0; i < sizeof r; i++)
		buf_addf(text, "%02x", r[i]);
	buf_adds(text, ",kedge-admin,kedge-admin,\"" GROUP_MASTERS "\"\n");
	return pki_file_write(p->dir, "tokens.csv", text->at, text->len, e);
}

static int
static_open(struct pki *p, struct error **e)
{
	cleanup_buf struct buf text = { 0 };
	int there = file_if_there(p, "tokens.csv", &text, e);

	if (there < 0 || (!there && static_make(p, &text, e) < 0))
		return -1;
	static_read(p, buf_text(&text));
	return 0;
}

/* ---- all of it ---- */

int
pki_open(const struct pki_settings *s, int64_t now, struct pki **ret, struct error **e)
{
	struct pki *p = xcalloc(1, sizeof *p);
	size_t n = 0;
	bool new;

	p->dir = xstrdup(s->dir);
	p->serving_ms = s->serving_ms ? s->serving_ms : 365 * DAY;
	while (s->names[n])
		n++;
	p->names = xcalloc(n + 1, sizeof *p->names);
	for (size_t i = 0; i < n; i++)
		p->names[i] = xstrdup(s->names[i]);
	if (mkdir(p->dir, 0700) < 0 && errno != EEXIST) {
		fail_sys(e, "make folder %s", p->dir);
		goto bad;
	}
	if (ca_open(p, now, e) < 0 || ca_publish(p, e) < 0 || token_key_open(p, e) < 0 ||
	    static_open(p, e) < 0)
		goto bad;
	serving_open(p);
	if (pki_renew(p, now, &new, e) < 0)
		goto bad;
	if (!new) {
		cert_text(&p->serving, &p->serving_text);
		if (cert_key_text(&p->serving, &p->serving_key, e) < 0)
			goto bad;
	}
	*ret = p;
	return 0;
bad:
	pki_close(p);
	return -1;
}

void
pki_close(struct pki *p)
{
	if (!p)
		return;
	cert_done(&p->ca);
	cert_done(&p->serving);
	jwt_key_free(p->token_key);
	buf_done(&p->ca_text);
	buf_done(&p->serving_text);
	if (p->serving_key.at)
		gnutls_memset(p->serving_key.at, 0, p->serving_key.cap);
	buf_done(&p->serving_key);
	arena_free(&p->arena);
	for (size_t i = 0; p->names[i]; i++)
		free(p->names[i]);
	free(p->names);
	free(p->dir);
	free(p);
}

const char *
pki_ca(const struct pki *p)
{
	return buf_text(&p->ca_text);
}

const char *
pki_serving_cert(const struct pki *p)
{
	return buf_text(&p->serving_text);
}

const char *
pki_serving_key(const struct pki *p)
{
	return buf_text(&p->serving_key);
}

const struct jwt_key *
pki_token_key(const struct pki *p)
{
	return p->token_key;
}

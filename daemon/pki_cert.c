/* pki_cert.c -- X.509 as RFC 5280 has it, and as Go's crypto/x509 accepts it. */
#include "pki_cert.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <string.h>

enum {
	SERIAL = 16, /* bytes */
	SKEW_MS =
	    5 * 60 * 1000 /* valid so long before now, for clients whose clock is behind */
};

static int
broke(int rc, const char *what, struct error **e)
{
	return fail(e, WHY_INTERNAL, "%s: %s", what, gnutls_strerror(rc));
}

/* ---- what is in it ---- */

static int
set_name(gnutls_x509_crt_t c, const char *name)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, name, ip) == 1)
		return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, ip, 4,
							    GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, name, ip) == 1)
		return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, ip, 16,
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, name,
						    (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int
set_subject(gnutls_x509_crt_t c, const struct cert_wish *w)
{
	int rc = gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, w->cn,
					       (unsigned)strlen(w->cn));

	for (size_t i = 0; i < w->norgs && rc >= 0; i++)
		rc = gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_ORGANIZATION_NAME, 0,
						   w->orgs[i], (unsigned)strlen(w->orgs[i]));
	for (size_t i = 0; w->names && w->names[i] && rc >= 0; i++)
		rc = set_name(c, w->names[i]);
	return rc;
}

static int
set_purpose(gnutls_x509_crt_t c, const struct cert_wish *w)
{
	int rc = w->is_ca ? gnutls_x509_crt_set_basic_constraints(c, 1, -1)
			  : gnutls_x509_crt_set_basic_constraints(c, 0, -1);

	if (rc >= 0)
		rc = gnutls_x509_crt_set_key_usage(
		    c, w->is_ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
				      GNUTLS_KEY_DIGITAL_SIGNATURE
				: GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (rc >= 0 && !w->is_ca)
		rc = gnutls_x509_crt_set_key_purpose_oid(
		    c, w->is_client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0);
	return rc;
}

static int
set_serial(gnutls_x509_crt_t c)
{
	unsigned char serial[SERIAL];
	int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

	serial[0] = (serial[0] & 0x7f) | 1; /* positive, and no leading zero */
	return rc < 0 ? rc : gnutls_x509_crt_set_serial(c, serial, sizeof serial);
}

static int
set_times(gnutls_x509_crt_t c, const struct cert_wish *w, int64_t now)
{
	/* of a short life only a part: when it is due is counted from its beginning */
	int64_t skew = w->life_ms / 10 < SKEW_MS ? w->life_ms / 10 : SKEW_MS;
	int64_t begins = now > skew ? now - skew : 0;
	int rc = gnutls_x509_crt_set_activation_time(c, (time_t)(begins / 1000));

	return rc < 0 ? rc
		      : gnutls_x509_crt_set_expiration_time(
			    c, (time_t)((now + w->life_ms) / 1000));
}

/* The identifier of its key, by which a verifier finds the right authority. */
static int
set_key_ids(gnutls_x509_crt_t c, gnutls_x509_crt_t by)
{
	unsigned char id[64];
	size_t n = sizeof id;
	int rc = gnutls_x509_crt_get_key_id(c, 0, id, &n);

	if (rc >= 0)
		rc = gnutls_x509_crt_set_subject_key_id(c, id, n);
	if (rc >= 0 && by) { /* else its own, whose length `n` still is */
		n = sizeof id;
		rc = gnutls_x509_crt_get_subject_key_id(by, id, &n, NULL);
	}
	if (rc >= 0)
		rc = gnutls_x509_crt_set_authority_key_id(c, id, n);
	return rc;
}

/* Everything but the key, which is there; then the signature. */
static int
fill_and_sign(gnutls_x509_crt_t c, const struct cert_wish *w, gnutls_x509_crt_t by,
	      gnutls_x509_privkey_t by_key, int64_t now)
{
	int rc = gnutls_x509_crt_set_version(c, 3);

	if (rc >= 0)
		rc = set_serial(c);
	if (rc >= 0)
		rc = set_subject(c, w);
	if (rc >= 0)
		rc = set_purpose(c, w);
	if (rc >= 0)
		rc = set_times(c, w, now);
	if (rc >= 0)
		rc = set_key_ids(c, by);
	if (rc >= 0)
		rc = gnutls_x509_crt_sign2(c, by ? by : c, by_key, GNUTLS_DIG_SHA256, 0);
	return rc;
}

static int
key_make(gnutls_x509_privkey_t *ret)
{
	int rc = gnutls_x509_privkey_init(ret);

	return rc < 0 ? rc
		      : gnutls_x509_privkey_generate(
			    *ret, GNUTLS_PK_ECDSA,
			    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static void
take_times(struct cert *c)
{
	c->begins = (int64_t)gnutls_x509_crt_get_activation_time(c->crt) * 1000;
	c->ends = (int64_t)gnutls_x509_crt_get_expiration_time(c->crt) * 1000;
}

/* What was only just written cannot be checked by GnuTLS before it was read. */
static int
read_again(gnutls_x509_crt_t *crt)
{
	gnutls_x509_crt_t read = NULL;
	gnutls_datum_t der = { 0 };
	int rc = gnutls_x509_crt_export2(*crt, GNUTLS_X509_FMT_DER, &der);

	if (rc >= 0)
		rc = gnutls_x509_crt_init(&read);
	if (rc >= 0)
		rc = gnutls_x509_crt_import(read, &der, GNUTLS_X509_FMT_DER);
	gnutls_free(der.data);
	if (rc < 0) {
		if (read)
			gnutls_x509_crt_deinit(read);
		return rc;
	}
	gnutls_x509_crt_deinit(*crt);
	*crt = read;
	return 0;
}

int
cert_make(const struct cert_wish *w, const struct cert *by, int64_t now, struct cert *c,
	  struct error **e)
{
	gnutls_x509_privkey_t key = c->key;
	gnutls_x509_crt_t crt = NULL;
	int rc = key ? 0 : key_make(&key);

	if (rc >= 0)
		rc = gnutls_x509_crt_init(&crt);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_key(crt, key);
	if (rc >= 0)
		rc = fill_and_sign(crt, w, by ? by->crt : NULL, by ? by->key : key, now);
	if (rc >= 0)
		rc = read_again(&crt);
	if (rc < 0) {
		if (crt)
			gnutls_x509_crt_deinit(crt);
		if (key && !c->key)
			gnutls_x509_privkey_deinit(key);
		return broke(rc, "make a certificate", e);
	}
	if (c->crt)
		gnutls_x509_crt_deinit(c->crt);
	c->key = key;
	c->crt = crt;
	take_times(c);
	return 0;
}

int
cert_make_for(const struct cert_wish *w, const struct cert *by, int64_t now,
	      gnutls_x509_crq_t request, struct buf *ret_pem, struct error **e)
{
	gnutls_x509_crt_t crt = NULL;
	gnutls_pubkey_t key = NULL;
	gnutls_datum_t pem = { 0 };
	int rc = gnutls_x509_crt_init(&crt);

	if (rc >= 0)
		rc = gnutls_pubkey_init(&key);
	if (rc >= 0)
		rc = gnutls_pubkey_import_x509_crq(key, request, 0);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_pubkey(crt, key);
	if (rc >= 0)
		rc = fill_and_sign(crt, w, by->crt, by->key, now);
	if (rc >= 0)
		rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem);
	if (rc >= 0)
		buf_add(ret_pem, pem.data, pem.size);
	gnutls_free(pem.data);
	if (key)
		gnutls_pubkey_deinit(key);
	if (crt)
		gnutls_x509_crt_deinit(crt);
	return rc < 0 ? broke(rc, "make a certificate", e) : 0;
}

/* ---- text ---- */

int
cert_read(const void *pem, size_t n, struct cert *ret, struct error **e)
{
	gnutls_datum_t d = { (void *)pem, (unsigned)n };
	struct cert c = { 0 };
	unsigned char a[64], b[64];
	size_t na = sizeof a, nb = sizeof b;
	int rc = gnutls_x509_privkey_init(&c.key);

	if (rc >= 0)
		rc = gnutls_x509_privkey_import2(c.key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc >= 0)
		rc = gnutls_x509_crt_init(&c.crt);
	if (rc >= 0)
		rc = gnutls_x509_crt_import(c.crt, &d, GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		rc = gnutls_x509_crt_get_key_id(c.crt, 0, a, &na);
	if (rc >= 0)
		rc = gnutls_x509_privkey_get_key_id(c.key, 0, b, &nb);
	if (rc >= 0 && (na != nb || memcmp(a, b, na)))
		rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	if (rc < 0) {
		cert_done(&c);
		return broke(rc, "read a key and its certificate", e);
	}
	take_times(&c);
	*ret = c;
	return 0;
}

void
cert_text(const struct cert *c, struct buf *ret)
{
	gnutls_datum_t pem = { 0 };

	buf_clear(ret);
	if (gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem) >= 0)
		buf_add(ret, pem.data, pem.size);
	gnutls_free(pem.data);
}

int
cert_key_text(const struct cert *c, struct buf *ret, struct error **e)
{
	gnutls_datum_t pem = { 0 };
	int rc = gnutls_x509_privkey_export2_pkcs8(c->key, GNUTLS_X509_FMT_PEM, NULL,
						   GNUTLS_PKCS_PLAIN, &pem);

	if (rc >= 0)
		buf_add(ret, pem.data, pem.size);
	gnutls_free(pem.data);
	return rc < 0 ? broke(rc, "print a key", e) : 0;
}

int
cert_print(const struct cert *c, struct buf *ret, struct error **e)
{
	cleanup_buf struct buf crt = { 0 };

	if (cert_key_text(c, ret, e) < 0)
		return -1;
	cert_text(c, &crt);
	buf_add(ret, crt.at, crt.len);
	return 0;
}

/* ---- questions ---- */

char *
cert_cn(const struct cert *c)
{
	char name[256];
	size_t n = sizeof name;

	if (gnutls_x509_crt_get_dn_by_oid(c->crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n) <
	    0)
		return NULL;
	return xstrdup(name);
}

bool
cert_is_for(const struct cert *c, char *const *names)
{
	size_t n = 0, have = 0;

	for (; names[n]; n++)
		if (!gnutls_x509_crt_check_hostname2(c->crt, names[n],
						     GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS))
			return false;
	for (;; have++) {
		char name[256];
		size_t len = sizeof name;

		if (gnutls_x509_crt_get_subject_alt_name(c->crt, (unsigned)have, name, &len,
							 NULL) < 0)
			return have == n;
	}
}

bool
cert_is_of(const struct cert *c, const struct cert *ca)
{
	unsigned how = 0;

	return gnutls_x509_crt_verify(c->crt, &ca->crt, 1,
				      GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
					  GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
				      &how) >= 0 &&
	       !how;
}

bool
cert_names_its_key(const struct cert *c)
{
	unsigned char own[64], by[64];
	size_t n = sizeof own, m = sizeof by;

	return gnutls_x509_crt_get_subject_key_id(c->crt, own, &n, NULL) >= 0 &&
	       gnutls_x509_crt_get_authority_key_id(c->crt, by, &m, NULL) >= 0 && n == m &&
	       !memcmp(own, by, n);
}

void
cert_done(struct cert *c)
{
	if (c->crt)
		gnutls_x509_crt_deinit(c->crt);
	if (c->key)
		gnutls_x509_privkey_deinit(c->key);
	*c = (struct cert){ 0 };
}

/* jwt.c -- RFC 7515 and 7519 in the compact form: header.claims.signature, base64url. */
#include "jwt.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/base64.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <jansson.h>
#include <string.h>

enum {
	HALF = 32, /* bytes of r and of s: P-256 */
	SKEW = 10  /* seconds that nbf and iat may lie ahead of us */

};

struct jwt_key {
	gnutls_privkey_t private;
	gnutls_pubkey_t public;
	char id[64];
};

/* ---- base64url ---- */

static const char *
url_text(const void *bytes, size_t n, struct arena *a)
{
	char *text = arena_strdup(a, base64_text(bytes, n, a));

	text[strcspn(text, "=")] = 0;
	for (char *p = text; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return text;
}

/* NULL when it is not; only one text stands for the same bytes. */
static void *
url_bytes(const char *text, size_t n, struct arena *a, size_t *ret_n)
{
	char *plain = arena_zalloc(a, n + 4);
	void *bytes;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '+' || text[i] == '/' || text[i] == '=')
			return NULL;
		plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	}
	for (size_t i = n; i % 4; i++)
		plain[i] = '=';
	bytes = base64_bytes(plain, a, ret_n);
	return bytes && !strncmp(url_text(bytes, *ret_n, a), text, n) ? bytes : NULL;
}

/* ---- keys ---- */

static int
broke(int rc, const char *what, struct error **e)
{
	return fail(e, WHY_INTERNAL, "%s: %s", what, gnutls_strerror(rc));
}

int
jwt_key_make(struct buf *ret_pem, struct error **e)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_datum_t pem = { 0 };
	int rc;

	if ((rc = gnutls_x509_privkey_init(&key)) < 0)
		return broke(rc, "make a key", e);
	rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc >= 0)
		rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
						       GNUTLS_PKCS_PLAIN, &pem);
	if (rc >= 0)
		buf_add(ret_pem, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(key);
	return rc < 0 ? broke(rc, "make a key", e) : 0;
}

static int
name_key(struct jwt_key *k)
{
	cleanup_arena struct arena a = { 0 };
	unsigned char sum[32];
	gnutls_datum_t der;
	int rc = gnutls_pubkey_export2(k->public, GNUTLS_X509_FMT_DER, &der);

	if (rc < 0)
		return rc;
	rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, sum);
	gnutls_free(der.data);
	snprintf(k->id, sizeof k->id, "%s", url_text(sum, sizeof sum, &a));
	return rc;
}

int
jwt_key_read(const void *pem, size_t n, struct jwt_key **ret, struct error **e)
{
	struct jwt_key *k = xcalloc(1, sizeof *k);
	gnutls_datum_t d = { (void *)pem, (unsigned)n };
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	int rc = gnutls_privkey_init(&k->private);

	if (rc >= 0)
		rc = gnutls_privkey_import_x509_raw(k->private, &d, GNUTLS_X509_FMT_PEM, NULL,
						    0);
	if (rc >= 0)
		rc = gnutls_pubkey_init(&k->public);
	if (rc >= 0)
		rc = gnutls_pubkey_import_privkey(k->public, k->private, 0, 0);
	if (rc >= 0)
		rc = gnutls_pubkey_export_ecc_raw2(k->public, &curve, NULL, NULL, 0);
	if (rc >= 0)
		rc = curve == GNUTLS_ECC_CURVE_SECP256R1 ? name_key(k)
							 : GNUTLS_E_ECC_UNSUPPORTED_CURVE;
	if (rc < 0) {
		jwt_key_free(k);
		return broke(rc, "read the key for tokens", e);
	}
	*ret = k;
	return 0;
}

void
jwt_key_free(struct jwt_key *k)
{
	if (!k)
		return;
	gnutls_privkey_deinit(k->private);
	gnutls_pubkey_deinit(k->public);
	free(k);
}

/* ---- signing ---- */

/* As long as P-256's numbers are, whatever sign byte or leading zeros DER has it with. */
static bool
half_put(unsigned char *to, const gnutls_datum_t *n)
{
	size_t skip = 0;

	while (skip < n->size && !n->data[skip])
		skip++;
	if (n->size - skip > HALF)
		return false;
	memcpy(to + HALF - (n->size - skip), n->data + skip, n->size - skip);
	return true;
}

static int
sign(const struct jwt_key *k, const struct buf *text, unsigned char ret[2 * HALF])
{
	gnutls_datum_t data = { (void *)text->at, (unsigned)text->len }, der = { 0 }, r = { 0 },
		       s = { 0 };
	int rc = gnutls_privkey_sign_data2(k->private, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0,
					   &data, &der);

	if (rc >= 0)
		rc = gnutls_decode_rs_value(&der, &r, &s);
	memset(ret, 0, 2 * HALF);
	if (rc >= 0 && (!half_put(ret, &r) || !half_put(ret + HALF, &s)))
		rc = GNUTLS_E_INTERNAL_ERROR;
	gnutls_free(der.data);
	gnutls_free(r.data);
	gnutls_free(s.data);
	return rc;
}

int
jwt_sign(const struct jwt_key *k, json_t *claims, struct buf *ret, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf text = { 0 };
	cleanup_free char *body = json_dumps(claims, JSON_COMPACT);
	const char *head = arena_printf(&a, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", k->id);
	unsigned char signature[2 * HALF];
	int rc;

	buf_addf(&text, "%s.%s", url_text(head, strlen(head), &a),
		 url_text(body, strlen(body), &a));
	rc = sign(k, &text, signature);
	if (rc < 0)
		return broke(rc, "sign a token", e);
	buf_addf(ret, "%s.%s", buf_text(&text), url_text(signature, sizeof signature, &a));
	return 0;
}

/* ---- checking ---- */

static int
refuse(struct error **e, const char *why)
{
	return fail(e, WHY_UNAUTHORIZED, "token: %s", why);
}

static json_t *
part_json(const char *text, size_t n, struct arena *a)
{
	size_t len;
	const char *bytes = url_bytes(text, n, a, &len);

	return bytes ? json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static int
check_head(const struct jwt_key *k, const char *text, size_t n, struct arena *a,
	   struct error **e)
{
	json_t *head = part_json(text, n, a);
	const char *alg = json_string_value(json_object_get(head, "alg"));
	const char *id = json_string_value(json_object_get(head, "kid"));
	int rc = 0;

	if (!json_is_object(head))
		rc = refuse(e, "its header is no JSON");
	else if (!alg || strcmp(alg, "ES256") != 0)
		rc = refuse(e, "it is not signed with ES256");
	else if (!id || strcmp(id, k->id) != 0)
		rc = refuse(e, "another key signed it");
	else if (json_object_get(head, "crit"))
		rc = refuse(e, "its header has extensions that must be understood");
	json_decref(head);
	return rc;
}

static int
check_signature(const struct jwt_key *k, const char *text, size_t n, const char *signature,
		struct arena *a, struct error **e)
{
	gnutls_datum_t data = { (void *)text, (unsigned)n }, r, s, der = { 0 };
	size_t len;
	unsigned char *raw = url_bytes(signature, strlen(signature), a, &len);
	int rc;

	if (!raw || len != (size_t)2 * HALF)
		return refuse(e, "its signature is none of ES256");
	r = (gnutls_datum_t){ raw, HALF };
	s = (gnutls_datum_t){ raw + HALF, HALF };
	rc = gnutls_encode_rs_value(&der, &r, &s);
	if (rc >= 0)
		rc = gnutls_pubkey_verify_data2(k->public, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256,
						0, &data, &der);
	gnutls_free(der.data);
	return rc < 0 ? refuse(e, "its signature is wrong") : 0;
}

/* Seconds; false when it is there and is no number.  Absent is `*ret` as it was. */
static bool
time_of(const json_t *claims, const char *name, double *ret)
{
	const json_t *v = json_object_get(claims, name);

	if (v && json_is_number(v))
		*ret = json_number_value(v);
	return !v || json_is_number(v);
}

static int
check_times(const json_t *claims, int64_t now, struct error **e)
{
	double exp = -1, nbf = 0, iat = 0;

	if (!time_of(claims, "exp", &exp) || !time_of(claims, "nbf", &nbf) ||
	    !time_of(claims, "iat", &iat))
		return refuse(e, "one of its times is no number");
	if (exp < 0)
		return refuse(e, "it does not say when it ends");
	if ((double)now >= exp)
		return refuse(e, "it has expired");
	if ((double)(now + SKEW) < nbf || (double)(now + SKEW) < iat)
		return refuse(e, "it is not valid yet");
	return 0;
}

json_t *
jwt_check(const struct jwt_key *k, const char *token, int64_t now, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const char *dot = strchr(token, '.'), *dot2 = dot ? strchr(dot + 1, '.') : NULL;
	json_t *claims;

	if (strnlen(token, JWT_MAX + 1) > JWT_MAX)
		return refuse(e, "it is too long"), NULL;
	if (!dot2 || strchr(dot2 + 1, '.'))
		return refuse(e, "it does not have three parts"), NULL;
	if (check_head(k, token, (size_t)(dot - token), &a, e) < 0 ||
	    check_signature(k, token, (size_t)(dot2 - token), dot2 + 1, &a, e) < 0)
		return NULL;
	claims = part_json(dot + 1, (size_t)(dot2 - dot) - 1, &a);
	if (json_is_object(claims) && check_times(claims, now, e) == 0)
		return claims;
	if (!json_is_object(claims))
		refuse(e, "its claims are no JSON object");
	json_decref(claims);
	return NULL;
}

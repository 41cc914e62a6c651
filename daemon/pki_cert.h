/* pki_cert.h -- one certificate with its key, ECDSA on P-256, by GnuTLS. */
#ifndef KEDGE_PKI_CERT_H
#define KEDGE_PKI_CERT_H
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct error;

struct cert { /* all zero: none */
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	int64_t begins, ends; /* ms since 1970 */
};

struct cert_wish {
	const char *cn;
	const char *const *orgs; /* O, norgs of them */
	size_t norgs;
	const char *const *names; /* DNS names and IPv4 or IPv6 addresses; NULL-terminated */
	int64_t life_ms;
	bool is_ca, is_client; /* neither: a server's */
};

/* Signed by `by`; NULL: by itself.  What `c` holds: its key is used again when there is one;
 * its certificate is replaced.  As it was when it fails. */
int cert_make(const struct cert_wish *, const struct cert *by, int64_t now, struct cert *c,
	      struct error **);
/* The certificate of a wish for somebody else's key. */
int cert_make_for(const struct cert_wish *, const struct cert *by, int64_t now,
		  gnutls_x509_crq_t key, struct buf *ret_pem, struct error **);
int cert_read(const void *pem, size_t n, struct cert *ret, struct error **); /* key and crt */
int cert_print(const struct cert *, struct buf *, struct error **);          /* both */
void cert_text(const struct cert *, struct buf *);                           /* crt alone */
int cert_key_text(const struct cert *, struct buf *, struct error **);
char *cert_cn(const struct cert *); /* caller frees; or NULL */
bool cert_is_for(const struct cert *, char *const *names);
bool cert_is_of(const struct cert *, const struct cert *ca);
/* Does one that signed itself say so?  OpenSSL looks for another authority otherwise. */
bool cert_names_its_key(const struct cert *);
void cert_done(struct cert *);
#endif

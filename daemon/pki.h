/* pki.h -- kedge's own certificate authority, the API's certificate, and the key for tokens.
 *
 * All of it lies in one folder that only the brain (and root) may read.  Each secret is one
 * file, written beside and renamed: killed at any moment, the old one is there or the new one
 * is.  A file that cannot be read is an error, never a reason to make another: every client
 * trusts this authority by its certificate.
 *
 *   ca.pem       key and certificate of the authority
 *   ca.crt       its certificate alone, for clients; made anew from ca.pem
 *   serving.pem  key and certificate of the API
 *   tokens.key   signs the tokens of service accounts
 *   tokens.csv   static tokens as Kubernetes' --token-auth-file: token,user,uid,"group,group"
 *
 * Times are milliseconds since 1970.
 */
#ifndef KEDGE_PKI_H
#define KEDGE_PKI_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user;
struct arena;
struct buf;
struct error;
struct jwt_key;
struct pki;

struct pki_settings {
	const char *dir;          /* made when it is not there, 0700 */
	const char *const *names; /* of the API: DNS names and addresses; NULL-terminated */
	int64_t serving_ms;       /* how long its certificate is valid; 0: a year */
};

/* Reads what is there, makes what is not.  The settings are copied. */
int pki_open(const struct pki_settings *, int64_t now, struct pki **ret, struct error **);
void pki_close(struct pki *); /* takes NULL */

/* Makes anew what has less than a fifth of its life left, or is for other names.  `*ret_new`:
 * the API's certificate is another one, or the authority's. */
int pki_renew(struct pki *, int64_t now, bool *ret_new, struct error **);

/* PEM; valid until the next pki_renew. */
const char *pki_ca(const struct pki *);
const char *pki_serving_cert(const struct pki *);
const char *pki_serving_key(const struct pki *);
const struct jwt_key *pki_token_key(const struct pki *);

/* A client's certificate for the key of this request (PEM, PKCS 10), whose own names do not
 * count: the user's do.  WHY_INVALID: the request is none. */
int pki_sign_client(struct pki *, const void *request, size_t n, const struct user *,
		    int64_t now, int64_t life_ms, struct buf *ret_pem, struct error **);
/* Whose it is: CN and each O.  WHY_UNAUTHORIZED: not of this authority, not for a client, or
 * not valid now. */
int pki_client(const struct pki *, const void *der, size_t n, int64_t now, struct arena *,
	       struct user *ret, struct error **);
/* Whose static token it is (valid as long as the pki); false: nobody's. */
bool pki_static_token(const struct pki *, const char *token, struct user *ret);

/* pki_file.c: the whole file, beside and renamed, 0600. */
int pki_file_write(const char *dir, const char *name, const void *bytes, size_t n,
		   struct error **);
#endif

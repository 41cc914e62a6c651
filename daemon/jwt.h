/* jwt.h -- JSON Web Tokens with one algorithm, ES256, and one key: kedge's own.
 *
 * A token says by itself neither how it is to be checked nor with what: its header must name
 * ES256 and this key, or it is refused.
 */
#ifndef KEDGE_JWT_H
#define KEDGE_JWT_H
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct json_t;
struct jwt_key;

enum { JWT_MAX = 16 * 1024 }; /* bytes of a token */

int jwt_key_make(struct buf *ret_pem, struct error **);
int jwt_key_read(const void *pem, size_t n, struct jwt_key **ret, struct error **);
void jwt_key_free(struct jwt_key *); /* takes NULL */

/* Appends the token of these claims. */
int jwt_sign(const struct jwt_key *, struct json_t *claims, struct buf *ret, struct error **);
/* The claims of a token that this key signed and that is valid at `now` (seconds since 1970),
 * by its exp, nbf and iat; the caller drops the reference.  NULL, WHY_UNAUTHORIZED: it is not,
 * and the reason says why, for the log alone. */
struct json_t *jwt_check(const struct jwt_key *, const char *token, int64_t now,
			 struct error **);
#endif

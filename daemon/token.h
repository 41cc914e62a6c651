/* token.h -- what a token of a ServiceAccount says (Kubernetes' private claims), and whose one
 * is.
 *
 * A token is void once the account it names, or the pod or Secret it is bound to, is gone or
 * another one of the same name.
 */
#ifndef KEDGE_TOKEN_H
#define KEDGE_TOKEN_H
#include "../reconcile/snapshot.h"
#include "../reconcile/user.h"

struct buf;
struct error;
struct jwt_key;
struct store;

struct token_wish {
	const struct object *account;
	const struct object *bound;   /* a pod or a Secret; NULL: none */
	const struct object *node;    /* that the bound pod is on; NULL: none */
	const struct strs *audiences; /* none: the API itself */
	int64_t now, seconds;         /* seconds since 1970; how long it lives */
};

/* Who gives them out, and whom they are for when nobody is named. */
const char *token_issuer(const struct settings *, struct arena *);
/* Appends it. */
int token_make(const struct jwt_key *, const struct settings *, const struct token_wish *,
	       struct buf *ret, struct error **);
/* The user whose token it is, for one of these audiences (none: the API), at `now` (ms); its
 * claims are in the arena.  `ret_audience` may be NULL.  WHY_UNAUTHORIZED: nobody's. */
int token_user(const struct jwt_key *, const struct settings *, struct store *,
	       const char *token, const struct strs *audiences, int64_t now, struct arena *,
	       struct user *ret, const char **ret_audience, struct error **);
#endif

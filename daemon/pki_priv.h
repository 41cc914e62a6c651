/* pki_priv.h -- what the pki*.c files share; nobody else includes it. */
#ifndef KEDGE_PKI_PRIV_H
#define KEDGE_PKI_PRIV_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/user.h"
#include "pki_cert.h"

struct static_token {
	const char *token;
	struct user user;
};

struct pki {
	char *dir, **names;
	int64_t serving_ms;
	struct cert ca, serving;
	struct jwt_key *token_key;
	struct buf ca_text, serving_text, serving_key;
	struct arena arena; /* of static tokens */
	struct static_token *statics;
	size_t nstatics;
};

/* pki_user.c: takes over the lines that make sense, and says which do not. */
void static_read(struct pki *, const char *text);
#endif

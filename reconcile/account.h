/* account.h -- ServiceAccounts: names that are known, and what a pod gets of its own. */
#ifndef KEDGE_ACCOUNT_H
#define KEDGE_ACCOUNT_H
#include "snapshot.h"

#define ACCOUNT_DEFAULT "default"
#define ROOT_CA         "kube-root-ca.crt" /* ConfigMap of each namespace */
#define ROOT_CA_KEY     "ca.crt"

/* A Secret's type, what it says of its account, and where its token is (base64). */
#define SECRET_ACCOUNT_TOKEN "kubernetes.io/service-account-token"
#define SECRET_ACCOUNT_NAME  "kubernetes.io/service-account.name"
#define SECRET_ACCOUNT_UID   "kubernetes.io/service-account.uid"
#define SECRET_TOKEN_KEY     "token"

/* Is it one of the two that each namespace has unasked, and in no commit?  It is no reason to
 * keep a namespace. */
bool account_is_given(const struct object *);

/* account_pod.c: Kubernetes' admission of ServiceAccounts.  `spec` is the pod's own copy; its
 * lists are replaced, never written to. */
void account_admit(struct snapshot *, const struct pod *, struct pod_spec *spec,
		   struct arena *);
/* Why a new pod is not let in, in Kubernetes' words; NULL: it is.  `default` may yet come. */
const char *account_refuses(const struct snapshot *, const struct pod *, struct arena *);
/* The ServiceAccount that a pod speaks for; NULL: there is none of that name. */
const struct service_account *account_of_pod(const struct snapshot *, const struct pod *);
const char *account_name_of(const struct pod_spec *);

/* A token in a file is made anew when four fifths of its life, or a day, are over.  Which one
 * is it now, counted from the pod's start; a clock set back makes it another one as well. */
int64_t account_token_number(const struct pod *, int64_t seconds, int64_t now);
/* When the next one is due. */
int64_t account_token_due(const struct pod *, int64_t seconds, int64_t now);
#endif

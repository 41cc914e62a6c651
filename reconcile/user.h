/* user.h -- who asks the API, and the names that Kubernetes gives a meaning. */
#ifndef KEDGE_USER_H
#define KEDGE_USER_H
#include <stdbool.h>
#include <stddef.h>

struct arena;

struct user {
	const char *name, *uid; /* uid: "" when the user has none */
	const char *const *groups;
	size_t ngroups;
};

#define USER_ACCOUNT          "system:serviceaccount:" /* NAMESPACE:NAME */
#define USER_ANONYMOUS        "system:anonymous"
#define GROUP_MASTERS         "system:masters"         /* may do everything */
#define GROUP_ACCOUNTS        "system:serviceaccounts" /* and :NAMESPACE */
#define GROUP_AUTHENTICATED   "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"

bool user_in(const struct user *, const char *group);
/* Is this name that of a ServiceAccount?  Its parts are in the arena. */
bool user_is_account(const char *name, const char **ret_ns, const char **ret_account,
		     struct arena *);
const char *user_account_name(const char *ns, const char *account, struct arena *);
/* The groups of each ServiceAccount of a namespace, without system:authenticated; how many
 * were put to `to`: two. */
size_t user_account_groups(const char *ns, const char **to, struct arena *);
#endif

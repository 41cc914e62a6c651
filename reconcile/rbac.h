/* rbac.h -- may this user do that?  Kubernetes' RBAC authorizer, as a function.
 *
 * Pure.  An index is made of the roles and bindings of one state of the store and
 * borrows from them; a decision looks up the user and each of its groups, at the
 * cluster's scope and in one namespace, and walks no binding of anybody else's.
 */
#ifndef KEDGE_RBAC_H
#define KEDGE_RBAC_H
#include "object.h"
#include "user.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

struct arena;
struct rbac;
struct snapshot;
struct plan;

/* Absent is "" everywhere. */
struct rbac_attributes {
	const char *verb;
	const char *group, *resource, *subresource, *ns, *name;
	const char *path; /* of a request for no resource; NULL: it is for one */
};

/* How a path and a method are read, as Kubernetes' RequestInfo does; parts in the arena. */
struct rbac_request {
	const char *method, *path;
	bool watch;            /* ?watch=true */
	const char *only_name; /* metadata.name=X of the fieldSelector; "" */
};
void rbac_request_read(const struct rbac_request *, struct rbac_attributes *, struct arena *);

struct rbac *rbac_new(const struct snapshot *); /* the snapshot's objects must outlive it */
void rbac_free(struct rbac *);
/* ret_reason (may be NULL): why; "" when there is nothing to say. */
bool rbac_allows(const struct rbac *, const struct user *, const struct rbac_attributes *,
		 struct arena *, const char **ret_reason);

/* Every rule that a user has at the cluster's scope and, unless ns is "", there. */
struct rbac_rules {
	const struct policy_rule **at;
	size_t n;
};
struct rbac_rules rbac_rules_of(const struct rbac *, const struct user *, const char *ns,
				struct arena *);
/* The rules behind a roleRef; false: there is no such role. */
bool rbac_role_rules(const struct rbac *, const struct role_ref *, const char *ns,
		     struct rbac_rules *ret, struct arena *);
/* NULL: the user holds all of these; else Kubernetes' words on what it lacks. */
const char *rbac_escalation(const struct rbac *, const struct user *, const char *ns,
			    const struct rbac_rules *wanted, struct arena *);

/* "User "x" cannot list resource "pods" in API group "" in the namespace "default"" */
const char *rbac_forbidden_text(const struct user *, const struct rbac_attributes *,
				struct arena *);

/* rbac_defaults.c: the roles and bindings of Kubernetes; the i-th as it shall be, given the
 * one that is there (or NULL); NULL: nothing is to be done.  -> the object to write. */
size_t rbac_defaults_count(void);
enum resource_id rbac_default_of(size_t i, const char **ret_name);
const struct object *rbac_default_repaired(size_t i, const struct object *live, struct arena *);
/* Sets the rules of a ClusterRole with an aggregationRule to those of the ones it selects;
 * NULL: it has them. */
struct objects;
const struct cluster_role *rbac_aggregated(const struct cluster_role *, const struct objects *,
					   struct arena *);
#endif

/* api_rbac.h -- what is asked for, and whether they may: the one place for every request. */
#ifndef KEDGE_API_RBAC_H
#define KEDGE_API_RBAC_H
#include "../reconcile/rbac.h"
#include "api_call.h"

struct api_edit;

/* The roles and bindings of Kubernetes, made or repaired: once, at the start. */
int access_open(struct api *, struct error **);
void access_close(struct api *);

/* Fills in what is asked for. */
void access_read(struct call *);
/* Of whom auth_who found: fills in the impersonator.  False: it may not, which was answered. */
bool access_check(struct call *);
/* May it do this as well?  False was answered. */
bool access_also(struct call *, const char *verb);
/* Of roles and bindings that are about to be stored: nobody grants what they do not hold.
 * False was answered. */
bool access_may_grant(struct api_edit *);
const struct rbac *access_index(struct api *);
/* api_review.c: what is asked for by a body that is answered and not kept; NULL was answered.
 */
void *review_read(struct call *, const struct kind *);
#endif

/* account.c -- the ServiceAccount `default` of each namespace, which pods have that name none.
 *
 * Pure.  It comes with its namespace, and again when somebody deletes it.
 */
#include "controllers.h"
#include "namespace.h"

void
account_reconcile(struct snapshot *s, const struct namespace *ns, struct plan *p)
{
	const char *name = object_name(ns);

	if (!s->settings || !s->settings->accounts || ns->metadata->deletionTimestamp ||
	    snapshot_find(s, RES_service_account, name, "default"))
		return;
	plan_write(p, ACT_CREATE, object_new(RES_service_account, name, "default", p->arena), 0,
		   0, "always there");
}

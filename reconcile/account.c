/* account.c -- what each namespace has for those in it who speak with the API: the
 * ServiceAccount `default`, and the ConfigMap `kube-root-ca.crt` by which they trust it.
 *
 * Pure.  Both come with their namespace, and again when somebody deletes them.
 */
#include "account.h"
#include "controllers.h"
#include "own.h"
#include "workload.h"

#define ANNOTATION_DESCRIPTION "kubernetes.io/description"

bool
account_is_given(const struct object *o)
{
	enum resource_id id = resource_of(o)->id;

	return ((id == RES_service_account && str_is(object_name(o), ACCOUNT_DEFAULT)) ||
		(id == RES_config_map && str_is(object_name(o), ROOT_CA))) &&
	       !own_is_signed(o);
}

static void
account_ensure(struct snapshot *s, const char *ns, struct plan *p)
{
	if (!snapshot_find(s, RES_service_account, ns, ACCOUNT_DEFAULT))
		plan_write(p, ACT_CREATE,
			   object_new(RES_service_account, ns, ACCOUNT_DEFAULT, p->arena), 0, 0,
			   "always there");
}

static void
root_ensure(struct snapshot *s, const char *ns, struct plan *p)
{
	static const char text[] =
	    "Contains a CA bundle that can be used to verify the kube-apiserver when using "
	    "internal endpoints such as the internal service IP or kubernetes.default.svc. No "
	    "other usage is guaranteed across distributions of Kubernetes clusters.";
	const struct config_map *old = snapshot_find(s, RES_config_map, ns, ROOT_CA);
	struct config_map *cm;

	/* other keys are somebody's, and no matter */
	if (old && str_is(pairs_get(&old->data, ROOT_CA_KEY), s->settings->ca))
		return;
	cm = old ? object_draft(old, p->arena)
		 : object_new(RES_config_map, ns, ROOT_CA, p->arena);
	if (old)
		cm->data = (struct pairs){ 0 };
	pairs_set(&cm->data, ROOT_CA_KEY, s->settings->ca, p->arena);
	pairs_set(&cm->metadata->annotations, ANNOTATION_DESCRIPTION, text, p->arena);
	plan_write(p, old ? ACT_UPDATE : ACT_CREATE, cm, 0, 0,
		   old ? "the API's authority is another one" : "always there");
}

void
account_reconcile(struct snapshot *s, const struct namespace *ns, struct plan *p)
{
	if (!s->settings || !s->settings->accounts || ns->metadata->deletionTimestamp)
		return;
	account_ensure(s, object_name(ns), p);
	if (s->settings->ca)
		root_ensure(s, object_name(ns), p);
}

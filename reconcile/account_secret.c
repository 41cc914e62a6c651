/* account_secret.c -- Secrets of type kubernetes.io/service-account-token: a token that lasts
 * as long as they do, beside the authority's certificate and the namespace.
 *
 * Pure, and Kubernetes' tokens controller (pkg/controller/serviceaccount/tokens_controller.go)
 * but for one thing: a Secret that comes before its account waits for it and is not deleted.
 * The token itself is put in by who carries the action out, for it takes a key.
 */
#include "account.h"
#include "base/base64.h"
#include "controllers.h"
#include "own.h"
#include "workload.h"
#include <string.h>

static bool
says(const struct secret *x, const char *key, const char *want)
{
	const char *has = pairs_get(&x->data, key);

	return has && !strcmp(has, want);
}

static void
fill(const struct secret *x, const struct object *account, const char *ca, struct plan *p)
{
	const char *ns = object_namespace(x);
	const char *root = base64_text(ca, strlen(ca), p->arena);
	const char *namespace = base64_text(ns, strlen(ns), p->arena);
	const char *token = pairs_get(&x->data, SECRET_TOKEN_KEY);
	struct secret *draft;

	if (token && *token && says(x, ROOT_CA_KEY, root) && says(x, "namespace", namespace))
		return;
	draft = object_clone(x, p->arena);
	pairs_set(&draft->metadata->annotations, SECRET_ACCOUNT_UID, object_uid(account),
		  p->arena);
	pairs_set(&draft->data, SECRET_TOKEN_KEY, token ? token : "", p->arena);
	pairs_set(&draft->data, ROOT_CA_KEY, root, p->arena);
	pairs_set(&draft->data, "namespace", namespace, p->arena);
	plan_write(p, ACT_UPDATE, draft, 0, 0, "a token of its service account");
}

void
account_secret_reconcile(struct snapshot *s, const struct secret *x, struct plan *p)
{
	const char *name, *uid;
	const struct object *account;

	if (!s->settings || !s->settings->accounts || !s->settings->ca ||
	    !str_is(x->type, SECRET_ACCOUNT_TOKEN) || x->metadata->deletionTimestamp)
		return;
	name = pairs_get(&x->metadata->annotations, SECRET_ACCOUNT_NAME);
	uid = pairs_get(&x->metadata->annotations, SECRET_ACCOUNT_UID);
	account =
	    name ? snapshot_find(s, RES_service_account, object_namespace(x), name) : NULL;
	if (account && (str_is(uid, "") || !strcmp(object_uid(account), uid)))
		fill(x, account, s->settings->ca, p);
	else if (!str_is(uid, "") && !own_is_gits(s, (const struct object *)x))
		plan_name(p, ACT_DELETE, x, "its service account is gone");
}

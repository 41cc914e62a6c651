/* quota.c -- the status of a ResourceQuota: what of it is used. */
#include "admission.h"
#include "base/buf.h"
#include "controllers.h"
#include "workload.h"

void
quota_reconcile(struct snapshot *s, const struct resource_quota *q, struct plan *p)
{
	struct resource_quota_status st = { 0 };
	struct resource_quota copy = *q;
	struct buf all = { 0 };

	if (q->metadata->deletionTimestamp || !q->spec)
		return;
	st.hard = q->spec->hard;
	for (size_t i = 0; i < st.hard.n; i++)
		pairs_set(&st.used, st.hard.at[i].key,
			  amount_print(usage_sum(s, q, st.hard.at[i].key), p->arena), p->arena);
	if (q->status && schema_equal(resource_quota_status_kind(), q->status, &st))
		return;
	copy.status = &st;
	for (size_t i = 0; i < st.used.n; i++)
		buf_addf(&all, "%s%s %s of %s", i ? ", " : "", st.used.at[i].key,
			 st.used.at[i].value, st.hard.at[i].value);
	plan_write(p, ACT_STATUS, &copy, 0, 0, buf_text(&all));
	buf_done(&all);
}

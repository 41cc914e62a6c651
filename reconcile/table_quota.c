/* table_quota.c -- the cells of quotas and disruption budgets. */
#include "base/text.h"
#include "table_cells.h"
#include <string.h>

/* "pods: 2/4, requests.cpu: 100m/1"; limits apart from the rest, as kubectl shows them. */
static const char *
quota_text(const struct resource_quota *q, bool limits, const struct cells *c)
{
	const struct pairs none = { 0 };
	const struct pairs *hard = q->status && q->status->hard.n ? &q->status->hard
				   : q->spec                      ? &q->spec->hard
								  : &none;
	struct buf b = { 0 };

	for (size_t i = 0; i < hard->n; i++) {
		const char *name = hard->at[i].key, *used;

		if (!strncmp(name, "limits.", 7) != limits)
			continue;
		used = q->status ? pairs_get(&q->status->used, name) : NULL;
		buf_addf(&b, "%s%s: %s/%s", b.len ? ", " : "", name, used ? used : "0",
			 hard->at[i].value);
	}
	return cell_taken(&b, "", c);
}

CELL(resource_quota, q, cell_quota_request, quota_text(q, false, c))
CELL(resource_quota, q, cell_quota_limit, quota_text(q, true, c))

static const char *
share_text(const struct pod_disruption_budget *b, const char *field, const struct iors *n,
	   const struct cells *c)
{
	if (!n || !schema_has(pod_disruption_budget_spec_kind(), b->spec, field))
		return "N/A";
	return n->s ? n->s : cell_number(n->i, c);
}

CELL(pod_disruption_budget, b, cell_pdb_min,
     share_text(b, "minAvailable", b->spec ? &b->spec->minAvailable : NULL, c))
CELL(pod_disruption_budget, b, cell_pdb_max,
     share_text(b, "maxUnavailable", b->spec ? &b->spec->maxUnavailable : NULL, c))
CELL(pod_disruption_budget, b, cell_pdb_allowed,
     cell_number(b->status ? b->status->disruptionsAllowed : 0, c))

/* api_evict.c -- POST pods/NAME/eviction: a deletion that a PodDisruptionBudget may put off.
 *
 * What the budget gives is written down in its status before the pod is marked, so that two
 * evictions never share one.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/disruption.h"
#include "../reconcile/workload.h"
#include "api_write.h"
#include <string.h>

/* 429 with the budget as its cause. */
static void
refuse_for_now(struct call *c, const struct eviction_answer *ans)
{
	struct buf b = { 0 };

	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Failure\",\"message\":");
	json_quote(&b, ans->message);
	buf_addf(&b, ",\"reason\":\"%s\",\"details\":{\"causes\":[{\"reason\":",
		 why_facts(WHY_TOO_MANY)->reason);
	buf_adds(&b, "\"DisruptionBudget\",\"message\":");
	json_quote(&b, ans->cause);
	buf_adds(&b, "}]");
	if (ans->retry_after) {
		const char *seconds = arena_printf(&c->arena, "%d", ans->retry_after);

		buf_addf(&b, ",\"retryAfterSeconds\":%s", seconds);
		http_reply_header(c->req, "Retry-After", seconds);
	}
	buf_adds(&b, "},\"code\":429}");
	call_json(c, 429, &b);
}

/* Takes one of the budget's disruptions; false: it was refused, and answered. */
static bool
budget_allows(struct api_edit *ed, const struct pod *pod)
{
	struct eviction_answer ans = eviction_judge(&ed->snap, pod);
	struct action a = { .verb = ACT_STATUS, .body = ans.after };

	switch (ans.verdict) {
	case EVICTION_FREE:
		return true;
	case EVICTION_LATER:
		refuse_for_now(ed->call, &ans);
		return false;
	case EVICTION_NEVER:
		call_refuse(ed->call, WHY_INTERNAL, "%s", ans.message);
		return false;
	case EVICTION_FORBIDDEN:
		call_refuse(ed->call, WHY_FORBIDDEN, "%s", ans.message);
		return false;
	case EVICTION_TAKES:
		break;
	}
	a.kind = resources[RES_pod_disruption_budget].singular;
	a.ns = object_namespace(ans.after);
	a.name = object_name(ans.after);
	a.why =
	    arena_printf(&ed->call->arena, "%s is evicted: %lld more may go", object_name(pod),
			 (long long)ans.after->status->disruptionsAllowed);
	return edit_carry(ed, &a);
}

/* Whoever looks at a pod that goes sees why. */
static bool
mark_disrupted(struct api_edit *ed, const struct pod *pod)
{
	struct arena *mem = &ed->call->arena;
	struct pod *copy = object_clone(pod, mem);
	struct condition *x;
	struct conditions c;

	if (pod->metadata->deletionTimestamp || !copy->status)
		return true;
	c = conditions_copy(copy->status->conditions.at, copy->status->conditions.n, 1, mem);
	x = condition_of(c.at, c.n, "DisruptionTarget");
	if (!x)
		x = &c.at[c.n++];
	*x = (struct condition){ .type = "DisruptionTarget",
				 .status = "True",
				 .reason = "EvictionByEvictionAPI",
				 .message = "Eviction API: evicting",
				 .lastTransitionTime = ed->snap.now };
	copy->status->conditions.at = c.at;
	copy->status->conditions.n = c.n;
	return edit_carry(ed, &(struct action){
				  .verb = ACT_STATUS,
				  .kind = "pod",
				  .ns = object_namespace(copy),
				  .name = object_name(copy),
				  .why = arena_printf(mem, "evicted, %s", edit_why(ed)),
				  .body = copy,
			      });
}

static const char *
name_in(const struct tree *body)
{
	const struct tree *name = tree_get(tree_get(body, "metadata"), "name");

	return name && name->type == N_STRING ? name->text : "";
}

/* The pod as it is now; NULL was answered. */
static const struct pod *
find_pod(struct api_edit *ed, const struct api_deletion *opt)
{
	struct call *c = ed->call;
	const struct object *o = store_find(c->api->store, RES_pod, c->ns, c->name);
	cleanup_error struct error *e = NULL;

	if (!o) {
		edit_refuse_missing(c);
		return NULL;
	}
	if (deletion_check(ed, opt, o, &e) == 0)
		return object_clone(o, &c->arena);
	edit_fail(ed, e);
	return NULL;
}

void
pod_evict(struct call *c)
{
	const struct pod *pod;
	struct api_deletion opt;
	const struct tree *body;
	struct api_edit ed;
	struct buf b = { 0 };

	if (!edit_open(&ed, c) || !(body = body_read_kind(&ed, eviction_kind())))
		return;
	if (strcmp(name_in(body), c->name) != 0) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "name in URL does not match name in Eviction object");
		return;
	}
	if (!delete_options_of(&ed, tree_get(body, "deleteOptions"), &opt) ||
	    !(pod = find_pod(&ed, &opt)) || !budget_allows(&ed, pod) ||
	    !mark_disrupted(&ed, pod) || !deletion_carry(&ed, &opt, (const struct object *)pod))
		return;
	buf_adds(&b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		     "\"status\":\"Success\",\"code\":201}");
	call_json(c, 201, &b);
}

/* hand_policy.c -- network policies, from the wire's rows to the proxy.
 *
 * What is set is noted beside the services, so that what a former brain had set goes
 * when the next one does not ask for it.  The keys have a blank, which no service's id
 * has: "networkpolicy default/web:ingress", "pod default/web-1".
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "config.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <string.h>

static const char policy[] = "networkpolicy", pod[] = "pod";

static void
note(struct hand *h, const char *kind, const char *id, bool set, struct arena *a)
{
	const char *key = arena_printf(a, "%s %s", kind, id);

	if (set)
		map_put(&h->services, key, h);
	else
		map_del(&h->services, key);
	map_del(&h->stale, key);
}

int
hand_admit(struct hand *h, const char *id, const struct admit_args *args, struct arena *a,
	   struct error **e)
{
	struct np_part part;

	if (spec_part(args, id, a, &part, e) < 0 || np_admit(h->np, &part, e) < 0)
		return -1;
	note(h, policy, id, true, a);
	return 0;
}

int
hand_isolate(struct hand *h, const char *id, uint32_t ip, const struct isolate_args *args,
	     struct arena *a, struct error **e)
{
	struct np_isolated isolated;

	spec_isolated(args, id, ip, a, &isolated);
	if (np_isolate(h->np, &isolated, e) < 0)
		return -1;
	note(h, pod, id, true, a);
	return 0;
}

int
hand_release(struct hand *h, const char *kind, const char *id, struct arena *a,
	     struct error **e)
{
	if (!strcmp(kind, pod))
		np_isolate_drop(h->np, id);
	else if (!strcmp(kind, policy))
		np_admit_drop(h->np, id);
	else
		return fail(e, WHY_INVALID, "release: neither a pod nor a networkpolicy");
	note(h, kind, id, false, a);
	return 0;
}

void
hand_rules_drop(struct hand *h, const char *key)
{
	const char *blank = strchr(key, ' ');

	if (!blank)
		np_drop(h->np, key);
	else if (!strncmp(key, pod, sizeof pod - 1))
		np_isolate_drop(h->np, blank + 1);
	else
		np_admit_drop(h->np, blank + 1);
}

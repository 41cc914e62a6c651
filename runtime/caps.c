/* caps.c -- which capabilities a container holds: Docker's fourteen, plus and minus. */
#include <cap-ng.h>
#include <ctype.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "reconcile/base/error.h"
#include "runtime/rt.h"

#define BIT(cap) (1ULL << (cap))

static const uint64_t defaults = 0
#define GIVEN_CAPABILITY(name) | BIT(CAP_##name)
#include "reconcile/base/gates.def"
    ;

uint64_t
rtcaps_own(void)
{
	uint64_t have = 0;

	capng_get_caps_process();
	for (unsigned cap = 0; cap <= 63 && cap <= (unsigned)CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			have |= BIT(cap);
	return have;
}

/* *all: "ALL" is one of them, whatever else is. */
static int
parse(const char *const *names, uint64_t *ret, bool *ret_all, struct error **e)
{
	uint64_t set = 0;
	bool all = false;

	for (; names && *names; names++) {
		const char *name = strncasecmp(*names, "CAP_", 4) ? *names : *names + 4;
		int cap;

		if (strcasecmp(name, "ALL") == 0) {
			all = true;
			continue;
		}
		cap = capng_name_to_capability(name);
		if (cap < 0 || cap > 63)
			return fail(e, WHY_INVALID, "\"%s\" is not a capability", *names);
		set |= BIT(cap);
	}
	*ret = set;
	*ret_all = all;
	return 0;
}

/* "drop ALL, add X" leaves X; "add ALL, drop X" leaves all but X; and of ALL against ALL
 * nothing is left but what is named: as containerd reads them. */
int
rtcaps_parse(const char *const *add, const char *const *drop, uint64_t have, uint64_t *ret,
	     struct error **e)
{
	uint64_t plus = 0, minus = 0, set;
	bool all, none;

	if (parse(add, &plus, &all, e) < 0 || parse(drop, &minus, &none, e) < 0)
		return -1;
	set = none ? 0 : all ? ~0ULL : defaults;
	*ret = (set | plus) & ~minus & have;
	return 0;
}

int
rtcaps_of(const struct rt_pod *p, const struct rt_container *c, uint64_t have, uint64_t *ret,
	  struct error **e)
{
	if (!p->host_users)
		have = ~0ULL >> (63 - CAP_LAST_CAP);
	if (!c->privileged)
		return rtcaps_parse(c->cap_add, c->cap_drop, have, ret, e);
	*ret = have;
	return 0;
}

int
rt_caps(const char *const *names, uint64_t *ret, struct error **e)
{
	bool all;

	if (parse(names, ret, &all, e) < 0)
		return -1;
	if (all)
		*ret = ~0ULL;
	return 0;
}

/* Who may write manifests may not thereby become root: SYS_ADMIN alone mounts the host's
 * disks.  Each name in `add` is one of the defaults, or the operator allowed it. */
int
rtcaps_allowed(const char *const *add, uint64_t allow, struct error **e)
{
	for (; add && *add; add++) {
		const char *const one[] = { *add, NULL };
		uint64_t want;

		if (rt_caps(one, &want, e) < 0)
			return -1;
		if (want & ~(defaults | allow))
			return fail(e, WHY_FORBIDDEN,
				    "capability %s is not allowed: the operator has to name it "
				    "in kedge.yaml under allow.capabilities",
				    *add);
	}
	return 0;
}

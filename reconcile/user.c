/* user.c -- the names of users and groups. */
#include "user.h"
#include "base/arena.h"
#include <string.h>

bool
user_in(const struct user *u, const char *group)
{
	for (size_t i = 0; i < u->ngroups; i++)
		if (!strcmp(u->groups[i], group))
			return true;
	return false;
}

bool
user_is_account(const char *name, const char **ret_ns, const char **ret_account,
		struct arena *a)
{
	const char *ns = name + sizeof USER_ACCOUNT - 1, *colon;

	if (strncmp(name, USER_ACCOUNT, sizeof USER_ACCOUNT - 1) != 0)
		return false;
	colon = strchr(ns, ':');
	if (!colon || colon == ns || !colon[1] || strchr(colon + 1, ':'))
		return false;
	*ret_ns = arena_strndup(a, ns, colon - ns);
	*ret_account = colon + 1;
	return true;
}

const char *
user_account_name(const char *ns, const char *account, struct arena *a)
{
	return arena_printf(a, USER_ACCOUNT "%s:%s", ns, account);
}

size_t
user_account_groups(const char *ns, const char **to, struct arena *a)
{
	to[0] = GROUP_ACCOUNTS;
	to[1] = arena_printf(a, GROUP_ACCOUNTS ":%s", ns);
	return 2;
}

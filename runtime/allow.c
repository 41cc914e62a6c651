/* allow.c -- what reaches beyond a pod's own walls needs the operator's word.
 *
 * Who may write manifests may not thereby become root of the host.  Each refusal
 * names the row of kedge.yaml that would lift it.
 */
#include <string.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

static const char *const safe[] = {
#define SAFE_SYSCTL(name) name,
#include "reconcile/base/gates.def"
};

/* What belongs to an ipc or network namespace; all else is the whole host's. */
static const char *const namespaced[] = { "kernel.shm", "kernel.msg", "kernel.sem",
					  "fs.mqueue.", "net." };

/* "net.*" stands for all that begins with "net." */
static bool
matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	return n && pattern[n - 1] == '*' ? strncmp(pattern, name, n - 1) == 0
					  : strcmp(pattern, name) == 0;
}

static bool
any(const char *const *at, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (matches(at[i], name))
			return true;
	return false;
}

/* Both ways to write a name: with dots, or with slashes, when a part has a dot in it. */
bool
rtsysctl_path(const char *setting, char *ret, size_t room, const char **ret_value)
{
	size_t n = strcspn(setting, "=");
	bool slashes = setting[strcspn(setting, "./")] == '/';

	if (!n || n >= room || !setting[n])
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = setting[i];

		if (!slashes && (c == '.' || c == '/'))
			c = c == '.' ? '/' : '.';
		ret[i] = c;
	}
	ret[n] = '\0';
	*ret_value = setting + n + 1;
	return strspn(ret, "abcdefghijklmnopqrstuvwxyz0123456789_-./") == n && ret[0] != '/' &&
	       ret[0] != '.' && !strstr(ret, "..") && !strstr(ret, "/.") && !strstr(ret, "//");
}

static int
sysctl_check(const struct rt_allow *allow, const struct rt_pod *p, const char *setting,
	     struct error **e)
{
	char name[256];
	const char *value;
	bool known = false;

	if (!rtsysctl_path(setting, name, sizeof(name), &value) || strlen(value) > 1024)
		return fail(e, WHY_INVALID, "\"%.100s\" is not a sysctl and its value",
			    setting);
	for (char *at = name; *at; at++)
		*at = *at == '/' ? '.' : *at == '.' ? '/' : *at;
	for (size_t i = 0; i < sizeof(namespaced) / sizeof(*namespaced); i++)
		known |= strncmp(name, namespaced[i], strlen(namespaced[i])) == 0;
	if (!known)
		return fail(e, WHY_FORBIDDEN,
			    "forbidden sysctl: \"%s\" is not namespaced: it would change the "
			    "whole host",
			    name);
	if (strncmp(name, "net.", 4) == 0 ? p->host_network : p->host_ipc)
		return fail(e, WHY_FORBIDDEN,
			    "forbidden sysctl: \"%s\" not allowed with host %s enabled", name,
			    name[0] == 'n' ? "net" : "ipc");
	if (any(safe, sizeof(safe) / sizeof(*safe), name) ||
	    any(allow->sysctls, allow->nsysctls, name))
		return 0;
	return fail(e, WHY_FORBIDDEN,
		    "forbidden sysctl: \"%s\" not allowlisted: the operator has to name it in "
		    "kedge.yaml under allow.sysctls",
		    name);
}

static int
container_check(const struct rt_allow *allow, const struct rt_container *c, struct error **e)
{
	const struct {
		bool asked, allowed;
		const char *what, *row;
	} gates[] = {
#define GATE_CONTAINER(key, what) { c->key, allow->key, what, #key },
#include "reconcile/base/gates.def"
	};

	for (size_t i = 0; i < sizeof(gates) / sizeof(*gates); i++)
		if (gates[i].asked && !gates[i].allowed && !(c->privileged && i > 0))
			return fail(e, WHY_FORBIDDEN,
				    "%s is not allowed: the operator has to set allow.%s: true "
				    "in kedge.yaml",
				    gates[i].what, gates[i].row);
	return c->privileged ? 0 : rtcaps_allowed(c->cap_add, allow->caps, e);
}

/* Which come without a user namespace: the host's are not within anybody's. */
static int
host_namespaces_check(const struct rt_allow *allow, const struct rt_pod *p, struct error **e)
{
	const struct {
		bool asked, allowed;
		const char *row;
	} gates[] = {
#define GATE_POD(key, member) { p->member, allow->member, #key },
#include "reconcile/base/gates.def"
	};

	for (size_t i = 0; i < sizeof(gates) / sizeof(*gates); i++) {
		if (!gates[i].asked)
			continue;
		if (!gates[i].allowed)
			return fail(
			    e, WHY_FORBIDDEN,
			    "%s: true is not allowed: the operator has to set allow.%s: "
			    "true in kedge.yaml",
			    gates[i].row, gates[i].row);
		if (!p->host_users)
			return fail(e, WHY_INVALID,
				    "%s: true and hostUsers: false cannot be had together",
				    gates[i].row);
	}
	return 0;
}

static int
sysctls_check(const struct rt_allow *allow, const struct rt_pod *p, struct error **e)
{
	for (const char *const *s = p->sysctls; s && *s; s++)
		if (sysctl_check(allow, p, *s, e) < 0)
			return -1;
	return 0;
}

/* As the kubelet: it turns a pod away for its sysctls, for good; all else it keeps trying. */
const char *
rt_pod_refused(const struct rt *rt, const struct rt_pod *p)
{
	if (sysctls_check(&rt->cfg.allow, p, NULL) < 0)
		return "SysctlForbidden";
	return rtallow_check(rt, p, NULL) < 0 ? "CreateContainerConfigError" : NULL;
}

int
rtallow_check(const struct rt *rt, const struct rt_pod *p, struct error **e)
{
	const struct rt_allow *allow = &rt->cfg.allow;
	bool privileged = false;

	if (sysctls_check(allow, p, e) < 0)
		return -1;
	if (hostpath_allowed(allow, p, e) < 0)
		return -1;
	for (size_t i = 0; i < p->ncontainers; i++)
		if (container_check(allow, &p->containers[i], e) < 0)
			return fail_in(e, "container %s", p->containers[i].name);
		else
			privileged |= p->containers[i].privileged;
	if (host_namespaces_check(allow, p, e) < 0)
		return -1;
	if (p->host_users && !allow->host_users && !privileged && !p->host_network &&
	    !p->host_pid && !p->host_ipc)
		return fail(e, WHY_FORBIDDEN,
			    "hostUsers: true is not allowed: the operator has to set "
			    "allow.hostUsers: true in kedge.yaml");
	if (!p->host_users && !rt->users.able && !allow->host_users)
		return fail(e, WHY_UNABLE,
			    "this host cannot give it a user namespace; to run it without one "
			    "the operator has to set allow.hostUsers: true in kedge.yaml");
	return 0;
}

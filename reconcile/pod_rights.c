/* pod_rights.c -- who a pod's containers run as and what they may: its security contexts
 * as the hand hears them.
 *
 * Pure.  A container's own word counts before the pod's.  What reaches beyond the pod's
 * own walls is passed on as asked: the hand, which reads the operator's file, refuses it.
 */
#include "pod.h"

/* "uid:gid", "uid", ":gid"; NULL: the image's. */
static const char *
user(const struct security_context *own, const struct pod_security_context *all,
     struct arena *a)
{
	int64_t uid = -1, gid = -1;

	if (all && schema_has(pod_security_context_kind(), all, "runAsUser"))
		uid = all->runAsUser;
	if (own && schema_has(security_context_kind(), own, "runAsUser"))
		uid = own->runAsUser;
	if (all && schema_has(pod_security_context_kind(), all, "runAsGroup"))
		gid = all->runAsGroup;
	if (own && schema_has(security_context_kind(), own, "runAsGroup"))
		gid = own->runAsGroup;
	if (gid < 0)
		return uid < 0 ? NULL : label_number(uid, a);
	return uid < 0 ? arena_printf(a, ":%lld", (long long)gid)
		       : arena_printf(a, "%lld:%lld", (long long)uid, (long long)gid);
}

static void
seccomp(const struct seccomp_profile *p, struct container_args *args)
{
	args->unconfined = p && str_is(p->type, "Unconfined");
	args->seccompProfile = p && str_is(p->type, "Localhost") ? p->localhostProfile : NULL;
}

void
pod_rights(const struct pod *pod, const struct container *c, struct container_args *args,
	   struct arena *a)
{
	const struct security_context *own = c->securityContext;
	const struct pod_security_context *all = pod->spec->securityContext;
	bool said = own && schema_has(security_context_kind(), own, "runAsNonRoot");

	args->user = user(own, all, a);
	args->nonRoot = said ? own->runAsNonRoot : all && all->runAsNonRoot;
	seccomp(own && own->seccompProfile ? own->seccompProfile
		: all                      ? all->seccompProfile
					   : NULL,
		args);
	/* Absent means allowed in Kubernetes; kedge's own default is hardened. */
	args->allowPrivilegeEscalation =
	    own && (own->allowPrivilegeEscalation || own->privileged);
	if (!own)
		return;
	args->privileged = own->privileged;
	args->unmasked = str_is(own->procMount, "Unmasked");
	args->readOnlyRoot = own->readOnlyRootFilesystem;
	if (own->capabilities) {
		args->capAdd = own->capabilities->add;
		args->capDrop = own->capabilities->drop;
	}
}

/* Kubernetes' default is the host's, for pods of old.  Ours is a user namespace, but for a
 * pod that asks for what is the host's anyway and would be of no use to it within one: also in
 * an init container, which sets something of the host's for the others, but not in one that is
 * added later, for by then the pod has its own. */
static bool
host_users(const struct pod_spec *spec)
{
	bool host = spec->hostNetwork || spec->hostPID || spec->hostIPC;

	for (size_t i = 0; i < pod_own_parts(spec); i++)
		host |= pod_part(spec, i)->securityContext &&
			pod_part(spec, i)->securityContext->privileged;
	return schema_has(pod_spec_kind(), spec, "hostUsers") ? spec->hostUsers : host;
}

void
pod_rights_shared(const struct pod *pod, struct sandbox_args *args, struct arena *a)
{
	const struct pod_security_context *all = pod->spec->securityContext;

	args->hostUsers = host_users(pod->spec);
	if (!all)
		return;
	args->groups = all->supplementalGroups;
	args->groupsStrict = str_is(all->supplementalGroupsPolicy, "Strict");
	args->sysctls.at = arena_alloc(a, (all->sysctls.n + 1) * sizeof *args->sysctls.at);
	for (size_t i = 0; i < all->sysctls.n; i++)
		args->sysctls.at[args->sysctls.n++] =
		    arena_printf(a, "%s=%s", all->sysctls.at[i].name, all->sysctls.at[i].value);
}

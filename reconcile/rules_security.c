/* rules_security.c -- what Kubernetes demands of security contexts, and what kedge does not
 * enforce of them.
 *
 * AppArmor and SELinux are the host's own: kedge loads no profile and sets no label, so what
 * is asked for is told as not enforced, never silently taken.
 */
#include "base/arena.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

enum { SYSCTL_MAX = 253 };

static bool
word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Segments of [a-z0-9]([-_a-z0-9]*[a-z0-9])?, between dots or slashes. */
const char *
is_sysctl(const char *text, struct arena *a)
{
	size_t n = strlen(text);
	bool fine = n > 0 && n <= SYSCTL_MAX;

	for (size_t i = 0; i < n && fine; i++) {
		bool edge = i == 0 || i + 1 == n || strchr("./", text[i - 1]) ||
			    strchr("./", text[i + 1]);

		if (strchr("./", text[i]))
			fine = i > 0 && i + 1 < n && word_char(text[i - 1]);
		else
			fine = word_char(text[i]) || (!edge && strchr("-_", text[i]));
	}
	return fine ? NULL
		    : arena_printf(a,
				   "must have at most %d characters and match regex "
				   "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*"
				   "[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
				   SYSCTL_MAX);
}

static bool
begins(const char *name, const char *with)
{
	for (; *with; name++, with++)
		if (*name != *with && !(*name == '/' && *with == '.'))
			return false;
	return true;
}

/* A pod that has the host's namespace would change the host. */
void
pod_sysctls_check(const struct pod_spec *s, const struct place *at)
{
	static const char *const ipc[] = { "kernel.sem", "kernel.shm", "kernel.msg",
					   "fs.mqueue." };
	const struct pod_security_context *c = s->securityContext;
	char sub[64];

	for (size_t i = 0; c && i < c->sysctls.n; i++) {
		const char *name = c->sysctls.at[i].name;
		bool shared = false;

		if (!name)
			continue;
		snprintf(sub, sizeof sub, "securityContext.sysctls[%zu].name", i);
		for (size_t k = 0; k < sizeof ipc / sizeof *ipc; k++)
			shared |= begins(name, ipc[k]);
		if (s->hostNetwork && begins(name, "net."))
			place_complain(at, sub,
				       "Invalid value: \"%s\": may not be specified when "
				       "'hostNetwork' is true",
				       name);
		else if (s->hostIPC && shared)
			place_complain(at, sub,
				       "Invalid value: \"%s\": may not be specified when "
				       "'hostIPC' is true",
				       name);
	}
}

static void
profile_check(const char *type, const char *local, const char *what, const struct place *at)
{
	bool wanted = str_is(type, "Localhost"), there = local && *local;

	if (wanted && !there)
		place_complain(at, "localhostProfile",
			       "Required value: must be set when %s type is Localhost", what);
	else if (!wanted && there && place_ok(at, "type"))
		place_complain(
		    at, "localhostProfile",
		    "Invalid value: \"%.100s\": can only be set when %s type is Localhost",
		    local, what);
}

void
seccomp_profile_check(const void *obj, const struct place *at)
{
	const struct seccomp_profile *p = obj;

	profile_check(p->type, p->localhostProfile, "seccomp", at);
}

void
app_armor_profile_check(const void *obj, const struct place *at)
{
	const struct app_armor_profile *p = obj;

	profile_check(p->type, p->localhostProfile, "AppArmor", at);
	if (!str_is(p->type, "Unconfined"))
		place_complain_softly(
		    at, "",
		    "not enforced: kedge loads no AppArmor profile; it confines by user "
		    "namespace, seccomp, capabilities and masked paths");
}

static void
labels_check(const void *se, const void *windows, const struct place *at)
{
	if (se)
		place_complain_softly(
		    at, "seLinuxOptions",
		    "not enforced: kedge sets no SELinux label; the container keeps the "
		    "daemon's");
	if (windows)
		place_complain_softly(at, "windowsOptions",
				      "without effect: this is a Linux host");
}

void
security_context_check(const void *obj, const struct place *at)
{
	const struct security_context *s = obj;
	bool escalates = s->allowPrivilegeEscalation ||
			 !schema_has(security_context_kind(), s, "allowPrivilegeEscalation");

	if (s->privileged && !escalates)
		place_complain(
		    at, "",
		    "Invalid value: cannot set `allowPrivilegeEscalation` to false and "
		    "`privileged` to true");
	for (size_t i = 0; s->capabilities && !escalates && i < s->capabilities->add.n; i++)
		if (str_is(s->capabilities->add.at[i], "CAP_SYS_ADMIN"))
			place_complain(
			    at, "",
			    "Invalid value: cannot set `allowPrivilegeEscalation` to false and "
			    "`capabilities.Add` CAP_SYS_ADMIN");
	if (s->runAsNonRoot && place_ok(at, "runAsUser") &&
	    schema_has(security_context_kind(), s, "runAsUser") && !s->runAsUser)
		place_complain(at, "runAsUser",
			       "Invalid value: 0: must not be 0 when `runAsNonRoot` is true");
	labels_check(s->seLinuxOptions, s->windowsOptions, at);
}

void
pod_security_context_check(const void *obj, const struct place *at)
{
	const struct pod_security_context *s = obj;

	labels_check(s->seLinuxOptions, s->windowsOptions, at);
}

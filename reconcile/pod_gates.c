/* pod_gates.c -- see pod_gates.h.  By the rows that the hand refuses by (base/gates.def). */
#include "pod_gates.h"
#include "base/arena.h"
#include "base/text.h"
#include "object.h"
#include "pod.h"
#include "pod_parts.h"
#include "pod_security.h"
#include <string.h>

struct asked {
	const struct manifest *m;
	const struct config_allow *allow;
	struct complaints *c;
	struct arena *a;
};

static void
needs(const struct asked *k, const char *who, const char *what, const char *row)
{
	k->c->path = k->m->path;
	complain_softly(k->c, k->m->line, k->m->col, NULL,
			"%s%s%s is refused by a host whose kedge.yaml has no `allow: {%s}`",
			who, *who ? ": " : "", what, row);
}

/* "net.*" stands for all that begins with "net." */
static bool
names(const struct strs *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++) {
		size_t n = strlen(list->at[i]);

		if (str_is(list->at[i], "ALL") || str_is(list->at[i], name) ||
		    (n && list->at[i][n - 1] == '*' && !strncmp(list->at[i], name, n - 1)))
			return true;
	}
	return false;
}

static bool
is_given(const char *capability)
{
	static const char *const given[] = {
#define GIVEN_CAPABILITY(name) #name,
#include "base/gates.def"
	};

	for (size_t i = 0; i < sizeof given / sizeof *given; i++)
		if (str_is(given[i], capability))
			return true;
	return false;
}

static bool
is_safe(const char *sysctl)
{
	static const char *const safe[] = {
#define SAFE_SYSCTL(name) name,
#include "base/gates.def"
	};

	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		if (str_is(safe[i], sysctl))
			return true;
	return false;
}

static void
container_gates(const struct asked *k, const struct pod *pod, const struct container *c)
{
	struct container_args args = { 0 };
	const char *who = arena_printf(k->a, "container %s", c->name);

	pod_rights(pod, c, &args, k->a);
	if (args.privileged && !k->allow->privileged) /* it includes the others */
		needs(k, who, "a privileged container", "privileged: true");
	if (args.privileged)
		return;
#define GATE_CONTAINER(key, what)       \
	if (args.key && !k->allow->key) \
		needs(k, who, what, #key ": true");
#include "base/gates.def"
	for (size_t i = 0; i < args.capAdd.n; i++) {
		const char *cap = args.capAdd.at[i];

		cap += strncmp(cap, "CAP_", 4) ? 0 : 4;
		if (!is_given(cap) && !names(&k->allow->capabilities, cap))
			needs(k, who, arena_printf(k->a, "capability %s", cap),
			      arena_printf(k->a, "capabilities: [%s]", cap));
	}
}

/* The folder that the operator named and that it is in, the deepest of them; NULL: it is in
 * none. */
static const struct config_host_path *
row_of(const struct asked *k, const char *path)
{
	const struct config_host_path *best = NULL;
	size_t deepest = 0;

	for (size_t i = 0; i < k->allow->hostPaths.n; i++) {
		const struct config_host_path *row = &k->allow->hostPaths.at[i];
		size_t n = row->pathPrefix ? strlen(row->pathPrefix) : 0;

		while (n && row->pathPrefix[n - 1] == '/')
			n--;
		if (row->pathPrefix && !strncmp(path, row->pathPrefix, n) &&
		    (!path[n] || path[n] == '/') && (!best || n > deepest)) {
			best = row;
			deepest = n;
		}
	}
	return best;
}

static bool
is_written(const struct pod_spec *spec, const char *volume)
{
	for (size_t i = 0; i < pod_parts(spec); i++) {
		const struct container *c = pod_part(spec, i);

		for (size_t m = 0; m < c->volumeMounts.n; m++)
			if (str_is(c->volumeMounts.at[m].name, volume) &&
			    !c->volumeMounts.at[m].readOnly)
				return true;
	}
	return false;
}

static void
host_path_gate(const struct asked *k, const struct pod_spec *spec, const struct volume *v)
{
	const char *path = v->hostPath && v->hostPath->path ? v->hostPath->path : NULL;
	const struct config_host_path *row = path ? row_of(k, path) : NULL;
	const char *who = arena_printf(k->a, "volume %s", v->name);

	if (path && !row)
		needs(k, who, arena_printf(k->a, "hostPath %s", path),
		      arena_printf(k->a, "hostPaths: [{pathPrefix: %s}]", path));
	else if (path && row->readOnly && is_written(spec, v->name))
		needs(
		    k, who, arena_printf(k->a, "hostPath %s, mounted for writing,", path),
		    arena_printf(k->a, "hostPaths: [{pathPrefix: %s, readOnly: false}]", path));
}

/* It has root of the host as it is: nobody asks about its users. */
static bool
has_privileged(const struct pod_spec *spec)
{
	for (size_t i = 0; i < pod_parts(spec); i++) {
		const struct container *c = pod_part(spec, i);

		if (c->securityContext && c->securityContext->privileged)
			return true;
	}
	return false;
}

static void
spec_gates(const struct asked *k, const struct pod_spec *spec)
{
	const struct pod_security_context *all = spec->securityContext;

#define GATE_POD(key, member)            \
	if (spec->key && !k->allow->key) \
		needs(k, "", #key ": true", #key ": true");
#include "base/gates.def"
	if (schema_has(pod_spec_kind(), spec, "hostUsers") && spec->hostUsers &&
	    !k->allow->hostUsers && !spec->hostNetwork && !spec->hostPID && !spec->hostIPC &&
	    !has_privileged(spec))
		needs(k, "", "hostUsers: true", "hostUsers: true");
	for (size_t i = 0; i < spec->volumes.n; i++)
		host_path_gate(k, spec, &spec->volumes.at[i]);
	for (size_t i = 0; all && i < all->sysctls.n; i++) {
		const char *name = all->sysctls.at[i].name;

		if (name && !is_safe(name) && !names(&k->allow->sysctls, name))
			needs(k, "", arena_printf(k->a, "sysctl %s", name),
			      arena_printf(k->a, "sysctls: [%s]", name));
	}
}

void
pod_gates(const struct manifest *m, const struct config_allow *allow, struct complaints *c,
	  struct arena *a)
{
	static const struct config_allow nothing;
	const struct asked k = { m, allow ? allow : &nothing, c, a };
	struct pod pod = { 0 };

	if (m->res->id == RES_pod) {
		pod.spec = ((const struct pod *)m->obj)->spec;
	} else {
		const struct pod_template_spec *t = pod_template_of(m->res->schema, m->obj);

		pod.spec = t ? t->spec : NULL;
	}
	if (!pod.spec)
		return;
	spec_gates(&k, pod.spec);
	for (size_t i = 0; i < pod_parts(pod.spec); i++)
		container_gates(&k, &pod, pod_part(pod.spec, i));
}

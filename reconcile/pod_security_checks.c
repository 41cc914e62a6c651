/* pod_security_checks.c -- the Pod Security Standards, the rows of pod_security.def.
 *
 * Kubernetes' reasons and details to the letter, for people search for them: k8s.io/
 * pod-security-admission/policy is where each comes from, and the order too.
 */
#include "base/buf.h"
#include "controllers.h"
#include "pod_parts.h"
#include "pod_security.h"
#include "workload.h"

/* Names or values in the order found, each once: a set that remembers. */
struct names {
	const char **at;
	size_t n;
};

struct look { /* at one pod */
	const struct object_meta *meta;
	const struct pod_spec *spec;
	const struct container **c; /* in the order of pod_parts, as Kubernetes visits them */
	size_t nc;
	int minor;
	struct arena *a;
	/* what the check found */
	const char *reason, *detail;
};

static void
name_add(struct names *l, const char *name, struct arena *a)
{
	const char **at;

	for (size_t i = 0; i < l->n; i++)
		if (str_is(l->at[i], name))
			return;
	at = arena_alloc(a, (l->n + 1) * sizeof *at);
	for (size_t i = 0; i < l->n; i++)
		at[i] = l->at[i];
	at[l->n++] = name ? name : "";
	l->at = at;
}

static struct names
sorted(struct names l)
{
	for (size_t i = 1; i < l.n; i++)
		for (size_t j = i; j > 0 && strcmp(l.at[j - 1], l.at[j]) > 0; j--) {
			const char *swap = l.at[j];

			l.at[j] = l.at[j - 1];
			l.at[j - 1] = swap;
		}
	return l;
}

/* `"a", "b"`, or bare and with another separator */
static const char *
joined(struct names l, const char *quote, const char *between, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; i < l.n; i++)
		buf_addf(&b, "%s%s%s%s", i ? between : "", quote, l.at[i], quote);
	return arena_strdup(a, buf_text(&b));
}

static const char *
quoted(struct names l, struct arena *a)
{
	return joined(l, "\"", ", ", a);
}

static const char *
plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* `container "a"`, `containers "a", "b"` */
static const char *
containers_text(struct names l, struct arena *a)
{
	return arena_printf(a, "%s %s", plural(l.n, "container", "containers"), quoted(l, a));
}

/* `pod and containers "a", "b"`; NULL when nobody did */
static const char *
setters_text(bool pod, struct names l, struct arena *a)
{
	if (!l.n)
		return pod ? "pod" : NULL;
	return pod ? arena_printf(a, "pod and %s", containers_text(l, a))
		   : containers_text(l, a);
}

static void
found(struct look *k, const char *reason, const char *detail)
{
	k->reason = reason;
	k->detail = detail;
}

static bool
has(const struct kind *k, const void *obj, const char *field)
{
	return obj && schema_has(k, obj, field);
}

static bool
is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (str_is(s, *list))
			return true;
	return false;
}

/* ---- Baseline ---- */

static bool
profile_allowed(const char *type)
{
	return str_is(type, "RuntimeDefault") || str_is(type, "Localhost");
}

static void
apparmor(struct look *k)
{
	static const char prefix[] = "container.apparmor.security.beta.kubernetes.io/";
	const struct pod_security_context *all = k->spec->securityContext;
	struct names bad = { 0 }, values = { 0 }, notes = { 0 };
	bool pod = all && all->appArmorProfile && !profile_allowed(all->appArmorProfile->type);
	const char *who;

	if (pod)
		name_add(&values, all->appArmorProfile->type, k->a);
	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!sc || !sc->appArmorProfile || profile_allowed(sc->appArmorProfile->type))
			continue;
		name_add(&bad, k->c[i]->name, k->a);
		name_add(&values, sc->appArmorProfile->type, k->a);
	}
	values = sorted(values);
	for (size_t i = 0; k->meta && i < k->meta->annotations.n; i++) {
		const struct pair *x = &k->meta->annotations.at[i];

		if (strncmp(x->key, prefix, sizeof prefix - 1) || str_is(x->value, "") ||
		    str_is(x->value, "runtime/default") || !strncmp(x->value, "localhost/", 10))
			continue;
		name_add(&notes, arena_printf(k->a, "%s=\"%s\"", x->key, x->value), k->a);
	}
	who = setters_text(pod, bad, k->a);
	for (size_t i = 0; i < notes.n; i++)
		name_add(&values, notes.at[i], k->a);
	if (notes.n)
		who = arena_printf(k->a, "%s%s%s", who ? who : "", who ? " and " : "",
				   plural(notes.n, "annotation", "annotations"));
	if (who)
		found(k,
		      plural(values.n, "forbidden AppArmor profile",
			     "forbidden AppArmor profiles"),
		      arena_printf(k->a, "%s must not set AppArmor profile type to %s", who,
				   quoted(values, k->a)));
}

static void
volumes_found(struct look *k, struct names volumes, struct names types)
{
	if (volumes.n)
		found(k, "restricted volume types",
		      arena_printf(
			  k->a, "%s %s %s %s %s", plural(volumes.n, "volume", "volumes"),
			  quoted(volumes, k->a), plural(volumes.n, "uses", "use"),
			  plural(types.n, "restricted volume type", "restricted volume types"),
			  quoted(sorted(types), k->a)));
}

static void
git_volumes(struct look *k)
{
	struct names bad = { 0 }, types = { 0 };

	for (size_t i = 0; i < k->spec->volumes.n; i++)
		if (k->spec->volumes.at[i].gitRepo) {
			name_add(&bad, k->spec->volumes.at[i].name, k->a);
			name_add(&types, "gitRepo", k->a);
		}
	volumes_found(k, bad, types);
}

/* Which containers add what is not in the list. */
static struct names
adding(struct look *k, const char *const *allowed, struct names *ret_caps)
{
	struct names bad = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;
		const struct capabilities *caps = sc ? sc->capabilities : NULL;

		for (size_t j = 0; caps && j < caps->add.n; j++)
			if (!is_one_of(caps->add.at[j], allowed)) {
				name_add(&bad, k->c[i]->name, k->a);
				name_add(ret_caps, caps->add.at[j], k->a);
			}
	}
	return bad;
}

static const char *
adding_text(struct look *k, struct names bad, struct names caps)
{
	return arena_printf(k->a, "%s must not include %s in securityContext.capabilities.add",
			    containers_text(bad, k->a), quoted(sorted(caps), k->a));
}

static void
capabilities_baseline(struct look *k)
{
	static const char *const allowed[] = {
		"AUDIT_WRITE", "CHOWN",  "DAC_OVERRIDE",     "FOWNER",  "FSETID",
		"KILL",        "MKNOD",  "NET_BIND_SERVICE", "SETFCAP", "SETGID",
		"SETPCAP",     "SETUID", "SYS_CHROOT",       NULL
	};
	struct names caps = { 0 }, bad = adding(k, allowed, &caps);

	if (bad.n)
		found(k, "non-default capabilities", adding_text(k, bad, caps));
}

static void
host_namespaces(struct look *k)
{
	struct names l = { 0 };

	if (k->spec->hostNetwork)
		name_add(&l, "hostNetwork=true", k->a);
	if (k->spec->hostPID)
		name_add(&l, "hostPID=true", k->a);
	if (k->spec->hostIPC)
		name_add(&l, "hostIPC=true", k->a);
	if (l.n)
		found(k, "host namespaces", joined(l, "", ", ", k->a));
}

static void
host_paths(struct look *k)
{
	struct names l = { 0 };

	for (size_t i = 0; i < k->spec->volumes.n; i++)
		if (k->spec->volumes.at[i].hostPath)
			name_add(&l, k->spec->volumes.at[i].name, k->a);
	if (l.n)
		found(k, "hostPath volumes",
		      arena_printf(k->a, "%s %s", plural(l.n, "volume", "volumes"),
				   quoted(l, k->a)));
}

static void
host_ports(struct look *k)
{
	struct names bad = { 0 }, ports = { 0 };

	for (size_t i = 0; i < k->nc; i++)
		for (size_t j = 0; j < k->c[i]->ports.n; j++)
			if (k->c[i]->ports.at[j].hostPort) {
				name_add(&bad, k->c[i]->name, k->a);
				name_add(&ports,
					 label_number(k->c[i]->ports.at[j].hostPort, k->a),
					 k->a);
			}
	if (bad.n)
		found(k, "hostPort",
		      arena_printf(k->a, "%s %s %s %s", containers_text(bad, k->a),
				   plural(bad.n, "uses", "use"),
				   plural(ports.n, "hostPort", "hostPorts"),
				   joined(sorted(ports), "", ", ", k->a)));
}

static void
privileged(struct look *k)
{
	struct names bad = { 0 };

	for (size_t i = 0; i < k->nc; i++)
		if (k->c[i]->securityContext && k->c[i]->securityContext->privileged)
			name_add(&bad, k->c[i]->name, k->a);
	if (bad.n)
		found(k, "privileged",
		      arena_printf(k->a, "%s must not set securityContext.privileged=true",
				   containers_text(bad, k->a)));
}

static void
proc_mount(struct look *k)
{
	struct names bad = { 0 }, values = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!sc || str_is(sc->procMount, "") || str_is(sc->procMount, "Default"))
			continue;
		name_add(&bad, k->c[i]->name, k->a);
		name_add(&values, sc->procMount, k->a);
	}
	if (bad.n)
		found(k, "procMount",
		      arena_printf(k->a, "%s must not set securityContext.procMount to %s",
				   containers_text(bad, k->a), quoted(sorted(values), k->a)));
}

struct labels_bad {
	struct names types;
	bool user, role;
};

static bool
label_is_bad(struct look *k, const struct se_linux_options *o, struct labels_bad *bad)
{
	static const char *const types[] = { "", "container_t", "container_init_t",
					     "container_kvm_t", NULL };
	bool type = o && !is_one_of(o->type, types) &&
		    !(k->minor >= 31 && str_is(o->type, "container_engine_t"));
	bool user = o && !str_is(o->user, ""), role = o && !str_is(o->role, "");

	if (type)
		name_add(&bad->types, o->type, k->a);
	bad->user |= user;
	bad->role |= role;
	return type || user || role;
}

static void
se_linux(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	struct names who = { 0 }, what = { 0 };
	struct labels_bad bad = { 0 };
	bool pod = label_is_bad(k, all ? all->seLinuxOptions : NULL, &bad);

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (label_is_bad(k, sc ? sc->seLinuxOptions : NULL, &bad))
			name_add(&who, k->c[i]->name, k->a);
	}
	if (!pod && !who.n)
		return;
	if (bad.types.n)
		name_add(&what,
			 arena_printf(k->a, "%s %s", plural(bad.types.n, "type", "types"),
				      quoted(sorted(bad.types), k->a)),
			 k->a);
	if (bad.user)
		name_add(&what, "user may not be set", k->a);
	if (bad.role)
		name_add(&what, "role may not be set", k->a);
	found(k, "seLinuxOptions",
	      arena_printf(k->a, "%s set forbidden securityContext.seLinuxOptions: %s",
			   setters_text(pod, who, k->a), joined(what, "", "; ", k->a)));
}

/* Said, and said wrongly. */
static bool
seccomp_bad(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	struct names bad = { 0 }, values = { 0 };
	bool pod = all && all->seccompProfile && !profile_allowed(all->seccompProfile->type);

	if (pod)
		name_add(&values, all->seccompProfile->type, k->a);
	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!sc || !sc->seccompProfile || profile_allowed(sc->seccompProfile->type))
			continue;
		name_add(&bad, k->c[i]->name, k->a);
		name_add(&values, sc->seccompProfile->type, k->a);
	}
	if (!pod && !bad.n)
		return false;
	found(k, "seccompProfile",
	      arena_printf(k->a, "%s must not set securityContext.seccompProfile.type to %s",
			   setters_text(pod, bad, k->a), quoted(sorted(values), k->a)));
	return true;
}

static void
seccomp_baseline(struct look *k)
{
	seccomp_bad(k);
}

static void
sysctls(struct look *k)
{
	static const struct {
		int since;
		const char *name;
	} allowed[] = {
		{ 0, "kernel.shm_rmid_forced" },
		{ 0, "net.ipv4.ip_local_port_range" },
		{ 0, "net.ipv4.tcp_syncookies" },
		{ 0, "net.ipv4.ping_group_range" },
		{ 0, "net.ipv4.ip_unprivileged_port_start" },
		{ 27, "net.ipv4.ip_local_reserved_ports" },
		{ 29, "net.ipv4.tcp_keepalive_time" },
		{ 29, "net.ipv4.tcp_fin_timeout" },
		{ 29, "net.ipv4.tcp_keepalive_intvl" },
		{ 29, "net.ipv4.tcp_keepalive_probes" },
		{ 32, "net.ipv4.tcp_rmem" },
		{ 32, "net.ipv4.tcp_wmem" },
	};
	const struct pod_security_context *all = k->spec->securityContext;
	struct names bad = { 0 };

	for (size_t i = 0; all && i < all->sysctls.n; i++) {
		bool fine = false;

		for (size_t j = 0; j < sizeof allowed / sizeof *allowed; j++)
			fine |= k->minor >= allowed[j].since &&
				str_is(all->sysctls.at[i].name, allowed[j].name);
		if (!fine)
			name_add(&bad, all->sysctls.at[i].name, k->a);
	}
	if (bad.n)
		found(k, "forbidden sysctls", joined(bad, "", ", ", k->a));
}

static void
windows_host_process(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	struct names bad = { 0 };
	bool pod = all && all->windowsOptions && all->windowsOptions->hostProcess;

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (sc && sc->windowsOptions && sc->windowsOptions->hostProcess)
			name_add(&bad, k->c[i]->name, k->a);
	}
	if (pod || bad.n)
		found(k, "hostProcess",
		      arena_printf(
			  k->a,
			  "%s must not set securityContext.windowsOptions.hostProcess=true",
			  setters_text(pod, bad, k->a)));
}

/* ---- Restricted ---- */

static void
privilege_escalation(struct look *k)
{
	struct names bad = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!has(security_context_kind(), sc, "allowPrivilegeEscalation") ||
		    sc->allowPrivilegeEscalation)
			name_add(&bad, k->c[i]->name, k->a);
	}
	if (bad.n)
		found(k, "allowPrivilegeEscalation != false",
		      arena_printf(k->a,
				   "%s must set securityContext.allowPrivilegeEscalation=false",
				   containers_text(bad, k->a)));
}

static void
capabilities_restricted(struct look *k)
{
	static const char *const allowed[] = { "NET_BIND_SERVICE", NULL };
	struct names keep = { 0 }, caps = { 0 }, bad = adding(k, allowed, &caps), what = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;
		const struct capabilities *c = sc ? sc->capabilities : NULL;
		bool all = false;

		for (size_t j = 0; c && j < c->drop.n; j++)
			all |= str_is(c->drop.at[j], "ALL");
		if (!all)
			name_add(&keep, k->c[i]->name, k->a);
	}
	if (keep.n)
		name_add(&what,
			 arena_printf(k->a,
				      "%s must set securityContext.capabilities.drop=[\"ALL\"]",
				      containers_text(keep, k->a)),
			 k->a);
	if (bad.n)
		name_add(&what, adding_text(k, bad, caps), k->a);
	if (what.n)
		found(k, "unrestricted capabilities", joined(what, "", "; ", k->a));
}

static void
restricted_volumes(struct look *k)
{
	static const char *const allowed[] = { "configMap",   "csi",
					       "downwardAPI", "emptyDir",
					       "ephemeral",   "persistentVolumeClaim",
					       "projected",   "secret",
					       NULL };
	static const char *const unknown[] = { "image", NULL }; /* newer than the list */
	struct names bad = { 0 }, types = { 0 };

	for (size_t i = 0; i < k->spec->volumes.n; i++) {
		const struct volume *v = &k->spec->volumes.at[i];

		for (const struct field *f = volume_kind()->fields + 1; f->name; f++) {
			if (!*(const void *const *)((const char *)v + f->off) ||
			    is_one_of(f->name, allowed))
				continue;
			name_add(&bad, v->name, k->a);
			name_add(&types, is_one_of(f->name, unknown) ? "unknown" : f->name,
				 k->a);
		}
	}
	volumes_found(k, bad, types);
}

static void
run_as_non_root(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	bool said = has(pod_security_context_kind(), all, "runAsNonRoot");
	bool pod = said && !all->runAsNonRoot;
	struct names bad = { 0 }, silent = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!has(security_context_kind(), sc, "runAsNonRoot")) {
			if (!said || pod)
				name_add(&silent, k->c[i]->name, k->a);
		} else if (!sc->runAsNonRoot) {
			name_add(&bad, k->c[i]->name, k->a);
		}
	}
	if (pod || bad.n)
		found(k, "runAsNonRoot != true",
		      arena_printf(k->a, "%s must not set securityContext.runAsNonRoot=false",
				   setters_text(pod, bad, k->a)));
	else if (silent.n)
		found(k, "runAsNonRoot != true",
		      arena_printf(k->a, "pod or %s must set securityContext.runAsNonRoot=true",
				   containers_text(silent, k->a)));
}

static void
run_as_user(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	bool pod = has(pod_security_context_kind(), all, "runAsUser") && !all->runAsUser;
	struct names bad = { 0 };

	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (has(security_context_kind(), sc, "runAsUser") && !sc->runAsUser)
			name_add(&bad, k->c[i]->name, k->a);
	}
	if (pod || bad.n)
		found(k, "runAsUser=0",
		      arena_printf(k->a, "%s must not set runAsUser=0",
				   setters_text(pod, bad, k->a)));
}

static void
seccomp_restricted(struct look *k)
{
	const struct pod_security_context *all = k->spec->securityContext;
	struct names silent = { 0 };

	if (seccomp_bad(k) || (all && all->seccompProfile))
		return;
	for (size_t i = 0; i < k->nc; i++) {
		const struct security_context *sc = k->c[i]->securityContext;

		if (!sc || !sc->seccompProfile)
			name_add(&silent, k->c[i]->name, k->a);
	}
	if (silent.n)
		found(k, "seccompProfile",
		      arena_printf(k->a,
				   "pod or %s must set securityContext.seccompProfile.type to "
				   "\"RuntimeDefault\" or \"Localhost\"",
				   containers_text(silent, k->a)));
}

/* ---- all of them ---- */

static const struct {
	enum pod_security_level level;
	int since;
	bool replaced; /* at Restricted */
	void (*check)(struct look *);
} checks[] = {
#define ONLY                              false
#define ALSO                              true
#define CHECK(level, since, replaced, fn) { POD_SECURITY_##level, since, replaced, fn },
#include "pod_security.def"
#undef CHECK
#undef ALSO
#undef ONLY
};

static void
containers_of(struct look *k)
{
	const struct pod_spec *s = k->spec;

	k->c = arena_alloc(k->a, (pod_parts(s) + 1) * sizeof *k->c);
	for (; k->nc < pod_parts(s); k->nc++)
		k->c[k->nc] = pod_part(s, k->nc);
}

const char *
pod_security_why(const struct pod_policy *p, const struct object_meta *meta,
		 const struct pod_spec *spec, bool brief, struct arena *a)
{
	struct look k = { .meta = meta, .spec = spec, .minor = p->minor, .a = a };
	cleanup_buf struct buf all = { 0 };

	if (p->level == POD_SECURITY_PRIVILEGED)
		return NULL;
	containers_of(&k);
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		if (checks[i].level > p->level || checks[i].since > p->minor ||
		    (checks[i].replaced && p->level == POD_SECURITY_RESTRICTED))
			continue;
		k.reason = NULL;
		checks[i].check(&k);
		if (!k.reason)
			continue;
		buf_addf(&all, "%s%s", all.len ? ", " : "", k.reason);
		if (!brief)
			buf_addf(&all, " (%s)", k.detail);
	}
	return all.len ? arena_strdup(a, buf_text(&all)) : NULL;
}

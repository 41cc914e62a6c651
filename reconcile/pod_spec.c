/* pod_spec.c -- a Pod as the plain orders that the hand understands.
 *
 * Pure.  Names are resolved here (ConfigMaps, Secrets, fields, resources), so
 * that the root process needs no object of the API.  As the kubelet: what a volume
 * lacks the pod waits for, what one container lacks only that container waits for.
 */
#include "pod.h"
#include "pod_resources.h"
#include "service.h"

enum { HOSTNAME_MAX = 63, FQDN_MAX = 64 }; /* FQDN: as long as the kernel takes */

/* An init container has done its work once it ended well; a sidecar never has. */
static const char *
restart_policy(const struct pod *pod, enum part_role role)
{
	if (role == PART_SIDECAR)
		return "Always";
	if (role == PART_EPHEMERAL)
		return "Never";
	if (role == PART_INIT && str_is(pod->spec->restartPolicy, "Always"))
		return "OnFailure";
	return pod->spec->restartPolicy;
}

/* Requests over the network are the brain's to make. */
static struct hook_args *
hook(const struct lifecycle_handler *h, struct arena *a)
{
	struct hook_args *args = h ? arena_zalloc(a, sizeof *args) : NULL;

	if (!h)
		return NULL;
	args->type = h->exec ? "exec" : h->sleep ? "sleep" : "ask";
	if (h->exec)
		args->command = h->exec->command;
	if (h->sleep)
		args->seconds = grace_counted(h->sleep->seconds);
	return args;
}

/* What is asked for of execve; false and `why` when something is missing or too much. */
static bool
words(struct snapshot *s, const struct pod *pod, const struct container *c, struct pod_words *w,
      struct container_args *args)
{
	if (!pod_env(s, pod, c, w) || !pod_mounts(c, w, args))
		return false;
	args->command = pod_words_expand_all(w, "command", c->command);
	args->args = pod_words_expand_all(w, "args", c->args);
	if (w->why)
		return false;
	args->env.at = arena_alloc(w->a, (w->n + 1) * sizeof *args->env.at);
	for (size_t i = 0; i < w->n; i++)
		args->env.at[args->env.n++] =
		    arena_printf(w->a, "%s=%s", w->vars[i].key, w->vars[i].value);
	return true;
}

/* False and *ret_why when a reference is missing: then it is all but what that is for, and
 * held. */
static bool
container(struct snapshot *s, const struct pod *pod, const struct container *c,
	  enum part_role role, struct container_args *args, struct arena *a,
	  const char **ret_why)
{
	static const char *const roles[] = { [PART_MAIN] = "main",
					     [PART_INIT] = "init",
					     [PART_SIDECAR] = "sidecar",
					     [PART_EPHEMERAL] = "ephemeral" };
	cleanup_words struct pod_words w = { .container = c->name, .a = a };

	*args =
	    (struct container_args){ .name = c->name,
				     .image = c->image,
				     .workingDir = c->workingDir,
				     .restart = restart_policy(pod, role),
				     .role = roles[role],
				     .startupProbe = role == PART_SIDECAR && c->startupProbe,
				     .tty = c->tty,
				     .stdin = c->stdin,
				     .stdinOnce = c->stdinOnce,
				     .terminationMessagePath = c->terminationMessagePath };
	args->target = c->targetContainerName;
	args->logAsMessage = str_is(c->terminationMessagePolicy, "FallbackToLogsOnError");
	if (c->lifecycle) {
		args->postStart = hook(c->lifecycle->postStart, a);
		args->preStop = hook(c->lifecycle->preStop, a);
		args->stopSignal = c->lifecycle->stopSignal;
	}
	pod_limits(s, pod, c, args);
	pod_rights(pod, c, args, a);
	args->envVersion = pod_env_version(s, pod, c, a);
	args->hold = !words(s, pod, c, &w, args);
	if (args->hold) {
		args->mounts.n = args->command.n = args->args.n = 0;
		*ret_why = w.why;
	}
	return !args->hold;
}

/* The pod's name, unless it says otherwise; cut to what the kernel takes. */
static const char *
hostname(const struct pod *pod, struct arena *a)
{
	const char *name =
	    str_is(pod->spec->hostname, "") ? object_name(pod) : pod->spec->hostname;
	size_t n;

	if (pod->spec->hostNetwork && !str_is(pod->spec->nodeName, ""))
		name = pod->spec->nodeName; /* it has the host's */
	n = strlen(name);
	if (n > HOSTNAME_MAX)
		n = HOSTNAME_MAX;
	while (n && (name[n - 1] == '-' || name[n - 1] == '.'))
		n--;
	return arena_strndup(a, name, n);
}

/* The name under which a pod with a subdomain is known in its cluster. */
static const char *
fqdn(const struct snapshot *s, const struct pod *pod, struct arena *a)
{
	return arena_printf(a, "%s.%s.%s.svc.%s", hostname(pod, a), pod->spec->subdomain,
			    object_namespace(pod), s->settings->cluster_domain);
}

/* /etc/hosts as the kubelet writes it. */
static void
hosts(const struct snapshot *s, const struct pod *pod, struct sandbox_args *args,
      struct arena *a)
{
	static const char *const head[] = { "# Kubernetes-managed hosts file.",
					    "127.0.0.1\tlocalhost",
					    "::1\tlocalhost ip6-localhost ip6-loopback",
					    "fe00::0\tip6-localnet",
					    "fe00::0\tip6-mcastprefix",
					    "fe00::1\tip6-allnodes",
					    "fe00::2\tip6-allrouters" };
	size_t n = sizeof head / sizeof *head;
	const struct pod_spec *spec = pod->spec;

	args->hosts.at = arena_alloc(a, (n + 5 + spec->hostAliases.n) * sizeof *args->hosts.at);
	if (spec->hostNetwork) { /* the host's own file stands behind this line */
		args->hosts.at[0] = "# Kubernetes-managed hosts file (host network).";
		n = 1;
	}
	for (size_t i = 0; !spec->hostNetwork && i < n; i++)
		args->hosts.at[i] = head[i];
	for (int v6 = 0; v6 < 2 && !spec->hostNetwork; v6++) {
		const char *ip = v6 ? pod_address(pod, true) : args->ip;

		if (ip && !str_is(spec->subdomain, ""))
			args->hosts.at[n++] = arena_printf(a, "%s\t%s\t%s", ip, fqdn(s, pod, a),
							   hostname(pod, a));
		else if (ip)
			args->hosts.at[n++] = arena_printf(a, "%s\t%s", ip, hostname(pod, a));
	}
	if (spec->hostAliases.n) {
		args->hosts.at[n++] = "";
		args->hosts.at[n++] = "# Entries added by HostAliases.";
	}
	for (size_t i = 0; i < spec->hostAliases.n; i++) {
		const struct host_alias *h = &spec->hostAliases.at[i];
		const char *line = h->ip;

		for (size_t j = 0; j < h->hostnames.n; j++)
			line = arena_printf(a, "%s\t%s", line, h->hostnames.at[j]);
		args->hosts.at[n++] = line;
	}
	args->hosts.n = n;
}

static const char *
cluster_search(const struct snapshot *s, const char *before, struct arena *a)
{
	return arena_printf(a, "%s%s", before, s->settings->cluster_domain);
}

/* As the kubelet: ClusterFirst is what a pod gets that says nothing, and where there is no
 * server for the cluster's names (or the pod is on the host's network) it means Default. */
static void
dns(const struct snapshot *s, const struct pod *pod, struct sandbox_args *args, struct arena *a)
{
	const struct pod_dns_config *own = pod->spec->dnsConfig;
	const char *policy = pod->spec->dnsPolicy, *server = s->settings->cluster_dns;
	struct dns_args *d = arena_zalloc(a, sizeof *d);
	bool cluster = !str_is(server, "") &&
		       (str_is(policy, "ClusterFirstWithHostNet") ||
			(str_is(policy, "ClusterFirst") && !pod->spec->hostNetwork));
	size_t more = own ? own->options.n : 0;

	d->host = cluster ? "searches" : str_is(policy, "None") ? "none" : "all";
	d->nameservers.at =
	    arena_alloc(a, ((own ? own->nameservers.n : 0) + 1) * sizeof *d->nameservers.at);
	d->options.at = arena_alloc(a, (more + 1) * sizeof *d->options.at);
	if (cluster) {
		d->nameservers.at[d->nameservers.n++] = server;
		d->clusterSearches.at = arena_alloc(a, 3 * sizeof *d->clusterSearches.at);
		d->clusterSearches.at[0] =
		    cluster_search(s, arena_printf(a, "%s.svc.", object_namespace(pod)), a);
		d->clusterSearches.at[1] = cluster_search(s, "svc.", a);
		d->clusterSearches.at[2] = s->settings->cluster_domain;
		d->clusterSearches.n = 3;
		d->options.at[d->options.n++] = "ndots:5";
	}
	for (size_t i = 0; own && i < own->nameservers.n; i++)
		d->nameservers.at[d->nameservers.n++] = own->nameservers.at[i];
	if (own)
		d->searches = own->searches;
	for (size_t i = 0; i < more; i++) {
		const struct pod_dns_config_option *o = &own->options.at[i];

		d->options.at[d->options.n++] =
		    str_is(o->value, "") ? o->name
					 : arena_printf(a, "%s:%s", o->name, o->value);
	}
	args->dns = d;
}

struct container_args *
pod_container(struct snapshot *s, const struct pod *pod, const struct container *c,
	      enum part_role role, struct arena *a, struct pod_trouble *ret)
{
	struct container_args *args = arena_zalloc(a, sizeof *args);
	const char *why;

	if (!container(s, pod, c, role, args, a, &why))
		*ret = (struct pod_trouble){ c->name, "CreateContainerConfigError", why };
	return args;
}

struct sandbox_args *
pod_sandbox(struct snapshot *s, const struct pod *pod, struct arena *a, struct pod_trouble *ret)
{
	struct sandbox_args *args = arena_zalloc(a, sizeof *args);
	/* ephemeral ones are added to what runs (pod.c) */
	size_t n = pod_own_parts(pod->spec);
	const char *why;

	args->uid = object_uid(pod);
	args->hostname = hostname(pod, a);
	if (pod->spec->setHostnameAsFQDN && !str_is(pod->spec->subdomain, ""))
		args->hostname = fqdn(s, pod, a);
	if (strlen(args->hostname) > FQDN_MAX) {
		*ret = (struct pod_trouble){
			NULL, "ContainerCreating",
			arena_printf(a,
				     "failed to construct FQDN from pod hostname and cluster "
				     "domain, FQDN %s is too long (%d characters is the max, "
				     "%zu characters requested)",
				     args->hostname, FQDN_MAX, strlen(args->hostname)),
			"FailedCreatePodSandBox"
		};
		return NULL;
	}
	args->ip = pod->status->podIP;
	args->grace = grace_counted(pod->spec->terminationGracePeriodSeconds);
	args->fsGroup = -1;
	if (pod->spec->securityContext) {
		if (schema_has(pod_security_context_kind(), pod->spec->securityContext,
			       "fsGroup"))
			args->fsGroup = pod->spec->securityContext->fsGroup;
		args->fsGroupOnMismatch =
		    str_is(pod->spec->securityContext->fsGroupChangePolicy, "OnRootMismatch");
	}
	pod_rights_shared(pod, args, a);
	hosts(s, pod, args, a);
	dns(s, pod, args, a);
	args->shareProcesses = pod->spec->shareProcessNamespace;
	args->hostNetwork = pod->spec->hostNetwork;
	args->hostPID = pod->spec->hostPID;
	args->hostIPC = pod->spec->hostIPC;
	if (!pod_volumes(s, pod, args, a, &why)) {
		*ret = (struct pod_trouble){ NULL, "ContainerCreating", why };
		return NULL;
	}
	args->containers.at = arena_zalloc(a, (n + 1) * sizeof *args->containers.at);
	for (size_t i = 0; i < n; i++) {
		/* who lacks something is held back, and says so once the others are begun */
		(void)container(s, pod, pod_part(pod->spec, i), pod_part_role(pod->spec, i),
				&args->containers.at[args->containers.n++], a, &why);
	}
	return args;
}

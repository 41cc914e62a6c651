/* hand_spec.c -- the translation that keeps runtime/ and netproxy/ free of Kubernetes. */
#include "hand_spec.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/base64.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/transport.h"
#include "../reconcile/base/utf8.h"
#include "config.h"
#include "hand_etc.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

const char *const *
spec_strings(const struct strs *s, struct arena *a)
{
	const char **at;

	if (!s->n)
		return NULL;
	at = arena_zalloc(a, (s->n + 1) * sizeof *at);
	memcpy(at, s->at, s->n * sizeof *at);
	return at;
}

static enum rt_restart
restart_of(const char *word)
{
	if (!strcmp(word, "Never"))
		return RT_NEVER;
	return strcmp(word, "OnFailure") ? RT_ALWAYS : RT_ON_FAILURE;
}

static enum rt_role
role_of(const char *word)
{
	if (!strcmp(word, "init"))
		return RT_INIT;
	if (!strcmp(word, "ephemeral"))
		return RT_EPHEMERAL;
	return strcmp(word, "sidecar") ? RT_MAIN : RT_SIDECAR;
}

static const char *const volume_types[] = { [RT_FILES] = "files",
					    [RT_EMPTY] = "empty",
					    [RT_MEMORY] = "memory",
					    [RT_HOST] = "host",
					    [RT_STORE] = "store",
					    [RT_IMAGE] = "image",
					    NULL };
static const char *const host_types[] = { [RT_HOST_ANY] = "",
					  [RT_HOST_DIR_OR_CREATE] = "DirectoryOrCreate",
					  [RT_HOST_DIR] = "Directory",
					  [RT_HOST_FILE_OR_CREATE] = "FileOrCreate",
					  [RT_HOST_FILE] = "File",
					  [RT_HOST_SOCKET] = "Socket",
					  [RT_HOST_CHAR] = "CharDevice",
					  [RT_HOST_BLOCK] = "BlockDevice",
					  NULL };

static int
word_of(const char *const *words, const char *word, int other)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	return other;
}

static enum rt_propagation
propagation_of(const char *word)
{
	if (!word || !strcmp(word, "None"))
		return RT_PRIVATE;
	return strcmp(word, "Bidirectional") ? RT_HOST_TO_CONTAINER : RT_BIDIRECTIONAL;
}

static struct rt_hook
spec_hook(const struct hook_args *h, struct arena *a)
{
	if (!h)
		return (struct rt_hook){ 0 };
	return (struct rt_hook){ .type = !strcmp(h->type, "exec")    ? RT_HOOK_EXEC
					 : !strcmp(h->type, "sleep") ? RT_HOOK_SLEEP
								     : RT_HOOK_ASK,
				 .command = spec_strings(&h->command, a),
				 .seconds = (int)h->seconds };
}

int
spec_volumes(const struct sandbox_args *s, struct arena *a, const struct rt_volume **ret,
	     struct error **e)
{
	struct rt_volume *at = arena_zalloc(a, (s->volumes.n + 1) * sizeof *at);

	for (size_t i = 0; i < s->volumes.n; i++) {
		const struct volume_args *v = &s->volumes.at[i];
		struct rt_file *files = arena_zalloc(a, (v->files.n + 1) * sizeof *files);

		at[i] = (struct rt_volume){ .name = v->name,
					    .size_limit = v->sizeLimit,
					    .files = files,
					    .nfiles = v->files.n };
		at[i].type = word_of(volume_types, v->type, RT_MEMORY);
		at[i].host_type =
		    v->hostType ? word_of(host_types, v->hostType, RT_HOST_ANY) : 0;
		at[i].source = v->source;
		at[i].read_only = v->readOnly;
		at[i].of_group = v->ofGroup;
		for (size_t j = 0; j < v->files.n; j++) {
			const struct file_args *f = &v->files.at[j];

			files[j].data = base64_bytes(f->data ? f->data : "", a, &files[j].len);
			if (!files[j].data)
				return fail(e, WHY_INVALID,
					    "volume %s: file %s: not valid base64", v->name,
					    f->path);
			files[j].path = f->path;
			files[j].mode = f->mode;
		}
	}
	*ret = at;
	return 0;
}

void
spec_container(const struct container_args *c, struct arena *a, struct rt_container *ret)
{
	struct rt_mount *mounts = arena_zalloc(a, (c->mounts.n + 1) * sizeof *mounts);

	for (size_t i = 0; i < c->mounts.n; i++)
		mounts[i] = (struct rt_mount){
			.volume = c->mounts.at[i].volume,
			.path = c->mounts.at[i].path,
			.sub_path = c->mounts.at[i].subPath,
			.read_only = c->mounts.at[i].readOnly,
			.read_only_below = c->mounts.at[i].readOnlyBelow,
			.propagation = propagation_of(c->mounts.at[i].propagation),
		};
	*ret = (struct rt_container){
		.name = c->name,
		.image = c->image,
		.command = spec_strings(&c->command, a),
		.args = spec_strings(&c->args, a),
		.env = spec_strings(&c->env, a),
		.working_dir = c->workingDir,
		.user = c->user,
		.mounts = mounts,
		.nmounts = c->mounts.n,
		.role = role_of(c->role),
		.target = c->target && *c->target ? c->target : NULL,
		.startup_probe = c->startupProbe,
		.restart = restart_of(c->restart),
		.cpu_milli = c->cpuMilli,
		.cpu_shares = c->cpuShares,
		.memory = c->memory,
		.memory_high = c->memoryHigh,
		.memory_min = c->memoryMin,
		.disk = c->disk,
		.oom_score_adj = c->oomScoreAdj,
		.cap_add = spec_strings(&c->capAdd, a),
		.cap_drop = spec_strings(&c->capDrop, a),
		.run_as_non_root = c->nonRoot,
		.read_only_root = c->readOnlyRoot,
		.allow_privilege_escalation = c->allowPrivilegeEscalation,
		.privileged = c->privileged,
		.unconfined = c->unconfined,
		.unmasked = c->unmasked,
		.seccomp_profile =
		    c->seccompProfile && *c->seccompProfile ? c->seccompProfile : NULL,
		.tty = c->tty,
		.stdin_open = c->stdin,
		.stdin_once = c->stdinOnce,
		.termination_message_path = c->terminationMessagePath,
		.log_as_message = c->logAsMessage,
		.post_start = spec_hook(c->postStart, a),
		.pre_stop = spec_hook(c->preStop, a),
		.stop_signal = c->stopSignal,
		.hold = c->hold,
		.env_version = c->envVersion,
	};
}

int
spec_pod(const struct sandbox_args *s, const char *ns, const char *name, struct arena *a,
	 struct rt_pod *ret, struct error **e)
{
	struct rt_container *at = arena_zalloc(a, (s->containers.n + 1) * sizeof *at);
	struct rt_pod pod = {
		.uid = s->uid,
		.ns = ns,
		.name = name,
		.hostname = s->hostname,
		.grace = s->grace,
		.fs_group = s->fsGroup,
		.fs_group_on_mismatch = s->fsGroupOnMismatch,
		.share_processes = s->shareProcesses,
		.host_network = s->hostNetwork,
		.ip = s->hostNetwork ? NULL : s->ip,
		.host_pid = s->hostPID,
		.host_ipc = s->hostIPC,
		.host_users = s->hostUsers,
		.groups = s->groups.at,
		.ngroups = s->groups.n,
		.groups_strict = s->groupsStrict,
		.sysctls = spec_strings(&s->sysctls, a),
		.hosts = s->hostNetwork ? etc_hosts_with_host(&s->hosts, a)
					: spec_strings(&s->hosts, a),
		.resolv = s->dns ? etc_resolv(s->dns, etc_host_resolv(a), a) : NULL,
		.nvolumes = s->volumes.n,
		.containers = at,
		.ncontainers = s->containers.n,
	};

	if (!s->containers.n)
		return fail(e, WHY_INVALID, "pod %s/%s has no containers", ns, name);
	if (spec_volumes(s, a, &pod.volumes, e) < 0)
		return -1;
	for (size_t i = 0; i < s->containers.n; i++)
		spec_container(&s->containers.at[i], a, &at[i]);
	*ret = pod;
	return 0;
}

static int
spec_address(const char *text, addr *ret, struct error **e)
{
	*ret = 0;
	return text && *text ? addr_parse(text, ret, e) : 0;
}

/* "192.0.2.0/24" */
static int
spec_range(const char *text, struct addr_range *ret, struct error **e)
{
	if (!addr_range_read(text, ret))
		return fail(e, WHY_INVALID, "\"%s\" is no range of addresses", text);
	ret->net = addr_head(ret->net, ret->bits, addr_bits(ret->v6));
	return 0;
}

static int
spec_entrances(const struct service_args *s, struct arena *a, struct np_service *svc,
	       struct error **e)
{
	addr *outer = arena_zalloc(a, (s->externalIPs.n + 1) * sizeof *outer);
	struct addr_range *sources = arena_zalloc(a, (s->sources.n + 1) * sizeof *sources);

	svc->outer = outer;
	svc->sources = sources;
	svc->nouter = s->externalIPs.n;
	svc->nsources = s->sources.n;
	for (size_t i = 0; i < s->externalIPs.n; i++)
		if (addr_parse(s->externalIPs.at[i], &outer[i], e) < 0)
			return -1;
	for (size_t i = 0; i < s->sources.n; i++)
		if (spec_range(s->sources.at[i], &sources[i], e) < 0)
			return -1;
	return spec_address(s->hostIP, &svc->node_ip, e) < 0 ||
		       spec_address(s->balancer, &svc->balancer, e) < 0
		   ? -1
		   : 0;
}

int
spec_service(const struct service_args *s, const char *id, struct arena *a,
	     struct np_service *ret, struct error **e)
{
	struct np_endpoint *at = arena_zalloc(a, (s->endpoints.n + 1) * sizeof *at);
	struct np_service svc = {
		.id = id,
		.port = s->port,
		.node_port = s->nodePort,
		.health_port = s->healthPort,
		.affinity_s = s->affinity,
		.local_only = s->localOnly,
		.local_inside = s->localInside,
		.endpoints = at,
		.n = s->endpoints.n,
		.proto = transports[transport_named(s->protocol)].number,
	};

	svc.v6 = addr_text_is_v6(s->ip);
	if ((strcmp(s->ip, "::") && addr_parse(s->ip, &svc.vip, e) < 0) ||
	    spec_entrances(s, a, &svc, e) < 0)
		return -1;
	for (size_t i = 0; i < s->endpoints.n; i++) {
		at[i].port = s->endpoints.at[i].port;
		at[i].away = s->endpoints.at[i].away;
		if (addr_parse(s->endpoints.at[i].ip, &at[i].ip, e) < 0)
			return -1;
	}
	*ret = svc;
	return 0;
}

static int
spec_net(const char *text, struct addr_range *ret, struct error **e)
{
	if (!strchr(text, '/') || !addr_range_read(text, ret))
		return fail(e, WHY_INVALID, "\"%s\" is no net", text);
	return 0;
}

static int
spec_block(const struct admit_net *n, struct arena *a, struct np_block *ret, struct error **e)
{
	struct addr_range *except = arena_zalloc(a, (n->except.n + 1) * sizeof *except);

	for (size_t i = 0; i < n->except.n; i++)
		if (spec_net(n->except.at[i], &except[i], e) < 0)
			return -1;
	ret->except = except;
	ret->n = n->except.n;
	return spec_net(n->cidr, &ret->net, e);
}

static int
spec_rule(const struct admit_rule *r, struct arena *a, struct np_rule *ret, struct error **e)
{
	addr *pods = arena_zalloc(a, (r->pods.n + 1) * sizeof *pods);
	struct np_block *blocks = arena_zalloc(a, (r->nets.n + 1) * sizeof *blocks);
	struct np_ports *ports = arena_zalloc(a, (r->ports.n + 1) * sizeof *ports);

	for (size_t i = 0; i < r->pods.n; i++)
		if (addr_parse(r->pods.at[i], &pods[i], e) < 0)
			return -1;
	for (size_t i = 0; i < r->nets.n; i++)
		if (spec_block(&r->nets.at[i], a, &blocks[i], e) < 0)
			return -1;
	for (size_t i = 0; i < r->ports.n; i++)
		ports[i] = (struct np_ports){
			transports[transport_named(r->ports.at[i].protocol)].number,
			(uint16_t)r->ports.at[i].port, (uint16_t)r->ports.at[i].endPort
		};
	*ret = (struct np_rule){ r->anyone, pods,  r->pods.n, blocks,
				 r->nets.n, ports, r->ports.n };
	return 0;
}

int
spec_part(const struct admit_args *p, const char *id, struct arena *a, struct np_part *ret,
	  struct error **e)
{
	struct np_rule *rules = arena_zalloc(a, (p->rules.n + 1) * sizeof *rules);

	for (size_t i = 0; i < p->rules.n; i++)
		if (spec_rule(&p->rules.at[i], a, &rules[i], e) < 0)
			return fail_in(e, "%s", id);
	*ret = (struct np_part){ id, p->egress, rules, p->rules.n };
	return 0;
}

void
spec_isolated(const struct isolate_args *p, const char *id, uint32_t ip, struct arena *a,
	      struct np_isolated *ret)
{
	*ret = (struct np_isolated){
		id, ip, p->ingress, p->egress, spec_strings(&p->policies, a), p->policies.n
	};
}

struct rt_host_path *
spec_host_paths(const struct config_allow *a)
{
	struct rt_host_path *at = xcalloc(a->hostPaths.n + 1, sizeof *at);

	for (size_t i = 0; i < a->hostPaths.n; i++)
		at[i] = (struct rt_host_path){ .prefix = a->hostPaths.at[i].pathPrefix,
					       .read_only = a->hostPaths.at[i].readOnly };
	return at;
}

static struct user_seen *
seen_user(const struct rt_container_status *c, struct arena *a)
{
	struct user_seen *u = arena_zalloc(a, sizeof *u);

	u->uid = c->uid;
	u->gid = c->gid;
	u->groups.n = c->ngroups;
	u->groups.at = arena_alloc(a, (c->ngroups + 1) * sizeof *u->groups.at);
	for (size_t i = 0; i < c->ngroups; i++)
		u->groups.at[i] = c->groups[i];
	return u;
}

/* As the kubelet: so much of what is said of a container, and of all of a pod's together.  An
 * image or a process may say more than a message to the brain has room for, and the first to a
 * new one tells of every pod. */
enum { SAID_MAX = 4 << 10, SAID_POD_MAX = 12 << 10 };

static const char *
seen_text(const char *text, size_t room, struct arena *a)
{
	return text ? arena_strndup(a, text, utf8_cut(text, room)) : NULL;
}

static void
seen_container(const struct rt_container_status *c, size_t room, struct arena *a,
	       struct container_seen *ret)
{
	static const char *const words[] = { [RT_WAITING] = "waiting",
					     [RT_RUNNING] = "running",
					     [RT_TERMINATED] = "terminated" };
	static const char *const hooks[] = {
		[RT_NO_HOOK] = NULL, [RT_POST_START] = "postStart", [RT_PRE_STOP] = "preStop"
	};
	const char *reason = c->state == RT_TERMINATED ? c->now.reason : c->reason;
	const char *message = c->state == RT_TERMINATED ? c->now.message : c->message;

	*ret = (struct container_seen){
		.name = arena_strdup(a, c->name),
		.state = words[c->state],
		.reason = arena_strdup(a, reason),
		.message = seen_text(message, room, a),
		.imageID = arena_strdup(a, c->image_id),
		.image = arena_strdup(a, c->image),
		.imageNext = c->image_next,
		.refusedImage = arena_strdup(a, c->refused_image),
		.refusedWhy = seen_text(c->refused_why, room, a),
		.restartCount = c->restarts,
		.exitCode = c->now.exit_code,
		.signal = c->now.signal,
		.startedAt = c->now.started_at,
		.finishedAt = c->now.finished_at,
		.started = c->started,
		.held = c->held,
		.envVersion = arena_strdup(a, c->env_version),
		.sized = true,
		.cpuMilli = c->cpu_milli,
		.cpuShares = c->cpu_shares,
		.memory = c->memory,
		.memoryMin = c->memory_min,
		.hook = hooks[c->hook <= RT_PRE_STOP ? c->hook : RT_NO_HOOK],
		.hooksFailed = c->now.hooks_failed,
		.lastHooksFailed = c->last.hooks_failed,
		.user = c->has_run ? seen_user(c, a) : NULL,
		.stopSignal = c->has_run ? arena_strdup(a, c->stop_signal) : NULL,
		.backoffUntil = c->backoff_until,
		.lastReason = arena_strdup(a, c->last.reason),
		.lastMessage = seen_text(c->last.message, room, a),
		.lastExitCode = c->last.exit_code,
		.lastSignal = c->last.signal,
		.lastStartedAt = c->last.started_at,
		.lastFinishedAt = c->last.finished_at,
	};
}

struct pod_seen *
spec_seen(const struct rt_pod_status *s, struct arena *a)
{
	static const char *const words[] = { [RT_POD_STARTING] = "starting",
					     [RT_POD_UP] = "up",
					     [RT_POD_STOPPING] = "stopping",
					     [RT_POD_GONE] = "gone",
					     [RT_POD_UNHEARD] = "unheard" };
	struct pod_seen *p = arena_zalloc(a, sizeof *p);
	size_t room = SAID_POD_MAX / (s->ncontainers ? s->ncontainers : 1);

	p->over = *s->over ? arena_strdup(a, s->over) : NULL;
	p->uid = arena_strdup(a, s->uid);
	p->ns = arena_strdup(a, s->ns);
	p->name = arena_strdup(a, s->name);
	p->state = words[s->state];
	p->containers.n = s->ncontainers;
	p->containers.at = arena_zalloc(a, (s->ncontainers + 1) * sizeof *p->containers.at);
	for (size_t i = 0; i < s->ncontainers; i++)
		seen_container(&s->containers[i], room < SAID_MAX ? room : SAID_MAX, a,
			       &p->containers.at[i]);
	return p;
}

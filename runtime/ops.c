/* ops.c -- compiles a container and its image into the list of init/ops.def.
 *
 * The order is the argument.  Everything that names a path of the host comes
 * before PIVOT; the kernel's own file systems are mounted before anything
 * that a pod's author chose; masks come after that, or, in a sandbox made ahead, before:
 * every mask lies in procfs or sysfs, where volume_place lets no volume go; rights
 * are dropped after the last step that needs one.
 */
#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image.h"
#include "runtime/init/ops.h"
#include "runtime/oplist.h"
#include "runtime/rt.h"

enum { ETC_DEPTH = 2 }; /* the parts of "/etc/hosts" */

/* Docker's list: what tells of the host or talks to its hardware. */
static const char *const masked[] = {
	"/proc/asound",      "/proc/acpi",          "/proc/kcore",
	"/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
	"/proc/timer_stats", "/proc/sched_debug",   "/proc/scsi",
	"/proc/interrupts",  "/sys/firmware",       "/sys/devices/virtual/powercap",
};
static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					 "/proc/sysrq-trigger" };

static size_t
count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool
has_env(const char *const *env, const char *entry)
{
	size_t n = strcspn(entry, "=") + 1;

	for (; env && *env; env++)
		if (strncmp(*env, entry, n) == 0)
			return true;
	return false;
}

/* Kubernetes' rule: command replaces the entrypoint and with it the image's cmd. */
static int
compile_exec(struct buf *b, const struct rt_pod *p, const struct rt_container *c,
	     const struct image *img, struct error **e)
{
	const char *const *first = c->command && *c->command ? c->command : img->entrypoint;
	const char *const *second = c->args && *c->args         ? c->args
				    : c->command && *c->command ? NULL
								: img->cmd;
	size_t argc = count(first) + count(second);
	cleanup_free char *host = NULL;
	struct op_at o;

	if (argc == 0)
		return fail(e, WHY_INVALID,
			    "no command specified: neither the pod nor image %s has one",
			    c->image);
	o = op_begin(b, OP_EXEC, 0, (int64_t)argc);
	for (; first && *first; first++)
		op_str(o, *first);
	for (; second && *second; second++)
		op_str(o, *second);
	xasprintf(&host, "HOSTNAME=%s", p->hostname);
	if (!has_env(c->env, "PATH=") && !has_env(img->env, "PATH="))
		op_str(o, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (!has_env(c->env, host) && !has_env(img->env, host)) /* as containerd */
		op_str(o, host);
	if (c->tty && !has_env(c->env, "TERM=") && !has_env(img->env, "TERM="))
		op_str(o, "TERM=xterm");
	for (const char *const *env = img->env; env && *env; env++)
		if (!has_env(c->env, *env))
			op_str(o, *env);
	for (const char *const *env = c->env; env && *env; env++)
		if (!has_env(env + 1, *env)) /* the last one wins */
			op_str(o, *env);
	op_end(o);
	return 0;
}

static void
compile_group(struct rt *rt, struct buf *b, const struct rt_pod *p,
	      const struct rt_container *c)
{
	struct op_at o = op_begin(b, OP_CGROUP, rt->cgroups.mode == CGROUP_V2 ? 1 : 0, 0);
	struct buf cleanup_buf paths = { 0 };

	cgroup_paths(&rt->cgroups, rt_group(p), rt_group_of(p, c), &paths);
	for (const char *at = paths.at; at < paths.at + paths.len; at += strlen(at) + 1)
		op_str(o, at);
	op_end(o);
}

/* The file systems that hold layers, to be seen with the pod's ids. */
static void
compile_stores(struct rt *rt, struct op_at o)
{
	cleanup_free char *base = NULL, *layers = NULL;

	xasprintf(&base, "%s/base", rt->cfg.state_dir);
	xasprintf(&layers, "%s/images/layers", rt->cfg.state_dir);
	op_str(o, layers);
	op_str(o, base);
}

static void
compile_root(struct rt *rt, struct buf *b, enum op_code code, const struct rt_pod *p,
	     const struct rt_container *c, const struct image *img)
{
	cleanup_free char *writable = NULL, *place = NULL, *base = NULL;
	struct op_at o = op_begin(b, code, volume_hears(c) ? 1 : 0, p->host_users ? 0 : 2);

	xasprintf(&writable, "%s/pods/%s/%s", rt->cfg.state_dir, p->uid, c->name);
	xasprintf(&place, "%s/pods/%s/root", rt->cfg.run_dir, p->uid);
	op_str(o, writable);
	op_str(o, place);
	xasprintf(&base, "%s/base", rt->cfg.state_dir);
	if (!p->host_users)
		compile_stores(rt, o);
	for (size_t i = img->nlayers; i-- > 0;)
		op_str(o, img->layers[i]);
	/* Below all: the places we mount on.  Making them in the writable layer would copy
	 * up the image's /etc at every start, which costs more than all our mounts. */
	op_str(o, base);
	op_end(o);
}

/* A file of /etc that kedge writes anew for every run. */
static void
compile_file(struct buf *b, const struct rt_container *c, const char *name,
	     const char *const *lines)
{
	struct buf cleanup_buf text = { 0 };
	cleanup_free char *to = NULL;

	for (const char *const *line = lines; line && *line; line++)
		buf_addf(&text, "%s\n", *line);
	xasprintf(&to, "/etc/%s", name);
	if (lines && !volume_covers(c, to))
		op_put(b, OP_FILE, c->read_only_root ? 1 : 0, 0, name, buf_text(&text), to,
		       NULL);
}

/* Among the volumes, by their depth as they: one at /etc has them, one in their place counts.
 */
static int
compile_files(struct rt *rt, struct buf *b, const struct rt_pod *p,
	      const struct rt_container *c, struct error **e)
{
	cleanup_free char *place = NULL;

	xasprintf(&place, "%s/base/etc", rt->cfg.state_dir);
	op_put(b, OP_FILES, 0, 0, place, NULL);
	if (volume_ops(rt, p, c, 0, ETC_DEPTH, b, e) < 0)
		return -1;
	compile_file(b, c, "hosts", p->hosts);
	compile_file(b, c, "hostname", (const char *const[]){ p->hostname, NULL });
	compile_file(b, c, "resolv.conf", p->resolv);
	return volume_ops(rt, p, c, ETC_DEPTH, SIZE_MAX, b, e);
}

/* Every node of the host, for a privileged container; what each container has of its own
 * (terminals, shm, queues) is not among them. */
static void
add_nodes(struct op_at o, const char *dir, int depth)
{
	static const char *const own[] = { "null",    "zero", "full",    "random",
					   "urandom", "tty",  "console", "ptmx",
					   "pts",     "shm",  "mqueue",  "fd" };
	cleanup_closedir DIR *d = opendir(dir);
	struct dirent *ent;

	while (d && depth < 4 && (ent = readdir(d))) {
		cleanup_free char *path = NULL;
		bool ours = ent->d_name[0] == '.';

		for (size_t i = 0; depth == 0 && i < sizeof(own) / sizeof(*own); i++)
			ours |= strcmp(own[i], ent->d_name) == 0;
		if (ours)
			continue;
		xasprintf(&path, "%s/%s", dir, ent->d_name);
		if (ent->d_type == DT_DIR)
			add_nodes(o, path, depth + 1);
		else if (ent->d_type == DT_CHR || ent->d_type == DT_BLK)
			op_str(o, path + 5); /* behind "/dev/" */
	}
}

static void
compile_dev(const struct rt *rt, struct buf *b, const struct rt_container *c, const char *shm)
{
	struct op_at o = op_begin(b, OP_DEV, (c->tty ? 1 : 0) | (rt->users.tmpfs ? 0 : 2), 0);

	op_str(o, shm);
	if (c->privileged)
		add_nodes(o, "/dev", 0);
	op_end(o);
}

static void
compile_kernel(struct rt *rt, struct buf *b, const struct rt_pod *p,
	       const struct rt_container *c)
{
	cleanup_free char *shm = poddir_shm_path(rt, p);

	op_put(b, OP_PROC, 0, 0, NULL);
	compile_dev(rt, b, c, shm);
	op_put(b, OP_SYS, (rt->cgroups.mode == CGROUP_V2 ? 1 : 0) | (c->privileged ? 2 : 0), 0,
	       NULL);
}

static void
compile_masks(struct rt *rt, struct buf *b, const struct rt_container *c)
{
	cleanup_free char *empty = NULL;

	xasprintf(&empty, "%s/empty", rt->cfg.run_dir);
	for (size_t i = 0; i < sizeof(masked) / sizeof(*masked) && !c->privileged; i++)
		if (!c->unmasked || strncmp(masked[i], "/proc/", 6))
			op_put(b, OP_MASK, 0, 0, masked[i], empty, NULL);
	for (size_t i = 0; i < sizeof(read_only) / sizeof(*read_only); i++)
		if (!c->privileged && !c->unmasked)
			op_put(b, OP_READONLY, 0, 0, read_only[i], NULL);
}

static bool
has_part(const char *path, const char *part)
{
	size_t n = strlen(part);

	for (const char *at = path; (at = strstr(at, part)); at += n)
		if (at > path && at[-1] == '/' && (!at[n] || at[n] == '/'))
			return true;
	return false;
}

/* What an image says is a volume stays writable where the root is not, as containerd's volumes
 * without a name; elsewhere it is as any other place of the container's layer, whose life
 * those have, too.  A volume of the pod's in its place counts. */
static void
compile_seal(struct buf *b, const struct rt_container *c, const struct image *img)
{
	struct op_at o;

	if (!c->read_only_root)
		return;
	o = op_begin(b, OP_SEAL, 0, 0);
	for (const char *const *v = img->volumes; v && *v; v++)
		if (**v == '/' && !has_part(*v, "..") && strspn(*v, "/.") != strlen(*v) &&
		    !volume_covers(c, *v))
			op_str(o, *v);
	op_end(o);
}

/* The pod's fsGroup, the image's own groups or not, and what the pod adds. */
static void
compile_user(struct buf *b, const struct rt_pod *p, const struct rt_container *c,
	     const struct image *img)
{
	struct op_at o = op_begin(b, OP_USER, p->groups_strict ? 1 : 0, p->fs_group);
	cleanup_free char *both = NULL;

	if (c->user && *c->user == ':')
		xasprintf(&both, "%.*s%s", (int)strcspn(img->user, ":"), img->user, c->user);
	op_str(o, both ? both : c->user && *c->user ? c->user : img->user);
	for (size_t i = 0; i < p->ngroups; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%lld", (long long)p->groups[i]);
		op_str(o, number);
	}
	op_end(o);
}

/* With no_new_privs anyone may load a filter, so it comes last and need allow less; without,
 * it takes CAP_SYS_ADMIN and must come before that is dropped. */
static int
compile_rights(struct rt *rt, struct buf *b, const struct rt_pod *p,
	       const struct rt_container *c, struct error **e)
{
	const struct seccomp_filter *f = NULL;
	uint64_t caps;

	if (rtcaps_of(p, c, rt->caps, &caps, e) < 0)
		return -1;
	if (rt->no_filters && !c->unconfined && !c->privileged)
		return fail(e, WHY_UNABLE,
			    "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER), and "
			    "without one a container is not started: use a kernel that has "
			    "them, or seccompProfile Unconfined where kedge.yaml allows it");
	if (c->seccomp_profile && !c->privileged)
		f = seccomp_local(&rt->seccomp, rt->cfg.seccomp_dir, c->seccomp_profile, caps,
				  e);
	else if (!c->unconfined && !c->privileged)
		f = seccomp_get(&rt->seccomp, caps, e);
	if (!f && !c->unconfined && !c->privileged)
		return -1;
	if (!c->allow_privilege_escalation) {
		op_put(b, OP_NOPRIVS, 0, 0, NULL);
		op_put(b, OP_RIGHTS, 0, (int64_t)caps, NULL);
	}
	if (f) {
		struct op_at o = op_begin(b, OP_SECCOMP, 0, (int64_t)(f->len / 8));

		buf_add(b, f->bpf, f->len);
		op_end(o);
	}
	if (c->allow_privilege_escalation)
		op_put(b, OP_RIGHTS, 0, (int64_t)caps, NULL);
	return 0;
}

/* A mount namespace of its own user's is for those who may mount. */
static bool
may_mount(const struct rt_pod *p, const struct rt_container *c)
{
	uint64_t caps = 0;

	return rtcaps_of(p, c, 0, &caps, NULL) == 0 && caps >> CAP_SYS_ADMIN & 1;
}

/* "RTMIN+3", "RTMAX-1"; 0: it is none of these. */
static int
realtime_signal(const char *name)
{
	bool low = strncmp(name, "RTMIN", 5) == 0;
	long n = 0;
	char *end;

	if (!low && strncmp(name, "RTMAX", 5) != 0)
		return 0;
	if (name[5]) {
		if (name[5] != (low ? '+' : '-'))
			return 0;
		n = strtol(name + 6, &end, 10);
		if (*end || n < 0 || n > SIGRTMAX - SIGRTMIN)
			return 0;
	}
	return (int)(low ? SIGRTMIN + n : SIGRTMAX - n);
}

static int
signal_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} others[] = {
		{ "CLD", SIGCHLD }, { "IO", SIGIO }, { "IOT", SIGABRT }, { "POLL", SIGIO }
	};
	char *end;
	long n = strtol(name, &end, 10);

	if (!*name)
		return SIGTERM;
	if (!*end)
		return n > 0 && n < 65 ? (int)n : SIGTERM;
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	if (realtime_signal(name))
		return realtime_signal(name);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strcmp(others[i].name, name) == 0)
			return others[i].number;
	for (int i = 1; i < 32; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && strcmp(abbrev, name) == 0)
			return i;
	}
	return SIGTERM;
}

static void
compile_hook(struct buf *b, enum op_code code, const struct rt_hook *h)
{
	static const unsigned types[] = { [RT_HOOK_EXEC] = W_HOOK_EXEC,
					  [RT_HOOK_SLEEP] = W_HOOK_SLEEP,
					  [RT_HOOK_ASK] = W_HOOK_ASK };
	struct op_at o;

	if (h->type == RT_HOOK_NONE)
		return;
	o = op_begin(b, code, types[h->type], h->seconds);
	for (const char *const *word = h->command; word && *word; word++)
		op_str(o, *word);
	op_end(o);
}

int
rtops_compile(struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
	      const struct image *img, struct buf *b, struct error **e)
{
	struct ops_head head = { .magic = OPS_MAGIC,
				 .stop_signal = signal_number(c->stop_signal && *c->stop_signal
								  ? c->stop_signal
								  : img->stop_signal) };
	const char *dir = c->working_dir && *c->working_dir ? c->working_dir : img->working_dir;

	rt_copy(head.image_id, sizeof(head.image_id), img->id);
	buf_add(b, &head, sizeof(head));
	op_put(b, OP_OOM, 0, c->oom_score_adj, NULL);
	compile_group(rt, b, p, c);
	volume_ops_early(rt, p, c, b);
	compile_root(rt, b, OP_ROOT, p, c, img);
	compile_kernel(rt, b, p, c);
	if (compile_files(rt, b, p, c, e) < 0)
		return -1;
	if (c->termination_message_path && *c->termination_message_path)
		op_put(b, OP_TERMLOG, 0, 0, c->termination_message_path, NULL);
	compile_masks(rt, b, c);
	compile_seal(b, c, img);
	op_put(b, OP_PIVOT, 0, 0, NULL);
	compile_user(b, p, c, img);
	if (!p->host_users)
		op_put(b, OP_USERNS, may_mount(p, c) ? 1 : 0, 0, NULL);
	op_put(b, OP_KEYRING, 0, 0, NULL);
	op_put(b, OP_LIMITS, 0, 0, NULL);
	op_put(b, OP_CHDIR, 0, 0, *dir ? dir : "/", NULL);
	/* Before the filter, which may be the pod's own and allow nothing of this. */
	op_put(b, OP_GATE, 0, 0, NULL);
	compile_hook(b, OP_POSTSTART, &c->post_start);
	compile_hook(b, OP_PRESTOP, &c->pre_stop);
	if (compile_rights(rt, b, p, c, e) < 0 || compile_exec(b, p, c, img, e) < 0)
		return -1;
	((struct ops_head *)b->at)->size = (uint32_t)b->len;
	if (b->len > OPS_MAX)
		return fail(e, WHY_INVALID,
			    "its command and environment are %zu bytes, the most is %d", b->len,
			    OPS_MAX);
	return 0;
}

/* The outer directory first, should one lie in the other.  In run_dir other pods' volumes are
 * mounted, which must not be held. */
static void
compile_room(struct rt *rt, struct buf *b, const struct rt_pod *p)
{
	const char *dirs[] = { rt->cfg.state_dir, rt->cfg.run_dir };
	bool run_first = strlen(dirs[1]) < strlen(dirs[0]);
	struct op_at o = op_begin(b, OP_ROOM, run_first ? 2 : 1, 2);
	cleanup_free char *place = NULL;

	xasprintf(&place, "%s/pods/%s/root", rt->cfg.run_dir, p->uid);
	op_str(o, ""); /* where ROOT has the writable layer */
	op_str(o, place);
	compile_stores(rt, o);
	op_str(o, dirs[run_first]);
	op_str(o, dirs[!run_first]);
	op_end(o);
}

void
rtops_compile_ahead(struct rt *rt, const struct rt_pod *p, const struct image *img,
		    struct buf *b)
{
	const struct ops_head head = { .magic = OPS_MAGIC };
	const struct rt_container plain = { .name = W_AHEAD_FIRST };
	struct rt_pod of = *p;

	of.containers = &plain;
	of.ncontainers = 1;
	buf_add(b, &head, sizeof(head));
	compile_group(rt, b, &of, &plain);
	compile_room(rt, b, p);
	compile_kernel(rt, b, &of, &plain);
	compile_masks(rt, b, &plain);
	if (img)
		compile_root(rt, b, OP_LAYERS, &of, &plain, img);
	op_put(b, OP_LEAVE, 0, 0, NULL);
	((struct ops_head *)b->at)->size = (uint32_t)b->len;
}

/* podspec.c -- pod specs: checked, and as bytes on disk.
 *
 * The hand checked what the brain said by its shape; here it is checked by
 * what it will be used for: names become directories, paths are resolved in
 * containers.  One walk both writes and reads, so the two cannot differ.
 */
#include <errno.h>
#include <string.h>

#include "reconcile/base/error.h"
#include "runtime/rt.h"

enum { FILE_PATH_MAX = 1000, FILE_NAME_MAX = 249 };

enum { GROUPS_MAX = 48 };
enum { MAX_ITEMS = 65536, MAX_STRING = 32 << 20 };

bool
podspec_name_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n == 0 || n > 63 || s[0] == '.' || s[0] == '-' || s[n - 1] == '.' ||
	    s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n && !strstr(s, "..");
}

static bool
long_name_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= 253 && s[0] != '.' && s[0] != '-' && !strstr(s, "..") &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

/* No ".." anywhere: what a path names must not depend on what is there. */
static bool
parts_ok(const char *path)
{
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");

		if (n == 2 && at[0] == '.' && at[1] == '.')
			return false;
		at += n;
		at += *at == '/';
	}
	return strlen(path) < 3000;
}

static bool
path_ok(const char *path)
{
	return path && path[0] == '/' && parts_ok(path);
}

/* Relative and plain: every part is a name, so that nothing is left to resolve. */
static bool
file_path_ok(const char *s)
{
	/* ".." begins what the switch of a volume itself makes */
	if (!s || !strncmp(s, "..", 2) || strlen(s) > FILE_PATH_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (!n || n > FILE_NAME_MAX || (s[0] == '.' && n == 1) ||
		    (s[0] == '.' && s[1] == '.' && n == 2))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

int
podspec_check_volume(const struct rt_volume *v, struct error **e)
{
	if (!podspec_name_ok(v->name))
		return fail(e, WHY_INVALID,
			    "volume \"%s\": a name is [a-z0-9.-], 1 to 63 characters",
			    v->name ? v->name : "");
	if (v->type == RT_STORE && !podspec_name_ok(v->source))
		return fail(e, WHY_INVALID, "volume %s: \"%s\" is not a name in the store",
			    v->name, v->source ? v->source : "");
	if (v->type == RT_HOST && !path_ok(v->source))
		return fail(e, WHY_INVALID,
			    "volume %s: the host's path \"%s\" is not absolute or has \"..\"",
			    v->name, v->source ? v->source : "");
	if (v->type == RT_IMAGE && (!v->source || !*v->source))
		return fail(e, WHY_INVALID, "volume %s: it names no image", v->name);
	for (size_t i = 0; i < v->nfiles; i++)
		if (!file_path_ok(v->files[i].path))
			return fail(e, WHY_INVALID,
				    "volume %s: \"%s\" is not the name of a file", v->name,
				    v->files[i].path ? v->files[i].path : "");
	return 0;
}

static int
check_mount(const struct rt_pod *p, const struct rt_mount *m, struct error **e)
{
	size_t i = 0;

	while (i < p->nvolumes && strcmp(p->volumes[i].name, m->volume ? m->volume : ""))
		i++;
	if (i == p->nvolumes)
		return fail(e, WHY_INVALID, "there is no volume \"%s\"",
			    m->volume ? m->volume : "");
	if (!path_ok(m->path) || strspn(m->path, "/") == strlen(m->path))
		return fail(e, WHY_INVALID,
			    "mount path \"%s\" is not absolute, is / or has \"..\"",
			    m->path ? m->path : "");
	if (m->sub_path && (m->sub_path[0] == '/' || !parts_ok(m->sub_path)))
		return fail(e, WHY_INVALID, "subPath \"%s\" is absolute or has \"..\"",
			    m->sub_path);
	return 0;
}

static int
check_hook(const struct rt_hook *h, struct error **e)
{
	if (h->type == RT_HOOK_EXEC && (!h->command || !*h->command))
		return fail(e, WHY_INVALID, "a hook has no command");
	if (h->seconds < 0)
		return fail(e, WHY_INVALID, "a hook sleeps for %d seconds", h->seconds);
	return 0;
}

static int
check_container(const struct rt_pod *p, const struct rt_container *c, struct error **e)
{
	for (size_t i = 0; i < c->nmounts; i++)
		if (check_mount(p, &c->mounts[i], e) < 0)
			return -1;
	if (c->working_dir && *c->working_dir && !path_ok(c->working_dir))
		return fail(e, WHY_INVALID,
			    "working directory \"%s\" is not absolute or has \"..\"",
			    c->working_dir);
	if (c->termination_message_path && *c->termination_message_path &&
	    !path_ok(c->termination_message_path))
		return fail(e, WHY_INVALID,
			    "termination message path \"%s\" is not absolute or has \"..\"",
			    c->termination_message_path);
	if (!c->image || !*c->image)
		return fail(e, WHY_INVALID, "it names no image");
	if (c->seccomp_profile && (!*c->seccomp_profile || c->seccomp_profile[0] == '/' ||
				   !parts_ok(c->seccomp_profile)))
		return fail(e, WHY_INVALID,
			    "seccomp profile \"%s\" is empty, absolute or has \"..\"",
			    c->seccomp_profile);
	if (check_hook(&c->post_start, e) < 0 || check_hook(&c->pre_stop, e) < 0)
		return -1;
	if (c->memory_high < 0 || c->memory_min < 0 || c->cpu_milli < 0 || c->cpu_shares < 0 ||
	    c->memory < 0 || c->pids < 0)
		return fail(e, WHY_INVALID, "a limit is negative");
	for (const char *const *env = c->env; env && *env; env++)
		if (!strchr(*env, '=') || **env == '=')
			return fail(e, WHY_INVALID, "\"%s\" is not NAME=VALUE", *env);
	return 0;
}

static int
check_volumes(const struct rt_pod *p, struct error **e)
{
	for (size_t i = 0; i < p->nvolumes; i++) {
		if (podspec_check_volume(&p->volumes[i], e) < 0)
			return fail_in(e, "pod %s", p->name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->volumes[i].name, p->volumes[j].name) == 0)
				return fail(e, WHY_INVALID, "pod %s: two volumes are named %s",
					    p->name, p->volumes[i].name);
	}
	return 0;
}

/* kedge-init starts them in this order (init/order.c). */
static int
check_order(const struct rt_pod *p, struct error **e)
{
	static const int rank[] = {
		[RT_INIT] = 0, [RT_SIDECAR] = 0, [RT_MAIN] = 1, [RT_EPHEMERAL] = 2
	};
	bool main = false;

	for (size_t i = 0; i < p->ncontainers; i++) {
		main |= p->containers[i].role == RT_MAIN;
		if (i && rank[p->containers[i].role] < rank[p->containers[i - 1].role])
			return fail(e, WHY_INVALID,
				    "pod %s: container %s stands behind those that follow it",
				    p->name,
				    p->containers[i].name ? p->containers[i].name : "");
	}
	if (!main)
		return fail(e, WHY_INVALID, "pod %s: it has no main container", p->name);
	return 0;
}

static int
check_containers(const struct rt_pod *p, struct error **e)
{
	for (size_t i = 0; i < p->ncontainers; i++) {
		if (!podspec_name_ok(p->containers[i].name))
			return fail(e, WHY_INVALID,
				    "pod %s: container \"%s\": a name is [a-z0-9.-], 1 to 63 "
				    "characters",
				    p->name,
				    p->containers[i].name ? p->containers[i].name : "");
		if (check_container(p, &p->containers[i], e) < 0) {
			fail_in(e, "container %s", p->containers[i].name);
			return fail_in(e, "pod %s", p->name);
		}
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->containers[i].name, p->containers[j].name) == 0)
				return fail(e, WHY_INVALID,
					    "pod %s: two containers are named %s", p->name,
					    p->containers[i].name);
	}
	return 0;
}

int
podspec_check(const struct rt_pod *p, struct error **e)
{
	if (!podspec_name_ok(p->uid))
		return fail(e, WHY_INVALID, "pod uid \"%s\": [a-z0-9.-], 1 to 63 characters",
			    p->uid ? p->uid : "");
	if (!long_name_ok(p->ns) || !long_name_ok(p->name))
		return fail(e, WHY_INVALID,
			    "pod %s: its name or namespace is not [a-z0-9.-]{1,253}", p->uid);
	if (!podspec_name_ok(p->hostname))
		return fail(e, WHY_INVALID,
			    "pod %s: host name \"%s\": [a-z0-9.-], 1 to 63 characters", p->name,
			    p->hostname ? p->hostname : "");
	if (p->ngroups > GROUPS_MAX)
		return fail(e, WHY_INVALID, "pod %s: %zu supplemental groups, the most is %d",
			    p->name, p->ngroups, GROUPS_MAX);
	for (size_t i = 0; i < p->ngroups; i++)
		if (p->groups[i] < 0 || p->groups[i] > 4294967294)
			return fail(e, WHY_INVALID, "pod %s: %lld is not a group", p->name,
				    (long long)p->groups[i]);
	if (p->ncontainers == 0 || p->ncontainers > W_CONTAINERS)
		return fail(e, WHY_INVALID, "pod %s: 1 to %d containers, not %zu", p->name,
			    W_CONTAINERS, p->ncontainers);
	return check_volumes(p, e) < 0 || check_order(p, e) < 0 ? -1 : check_containers(p, e);
}

/* ---- as bytes ---- */

struct walk {
	struct buf *out; /* NULL: reading */
	const char *at, *end;
	struct arena *a;
	bool bad;
};

static void
walk_num(struct walk *w, int64_t *x)
{
	if (w->out) {
		buf_add(w->out, x, sizeof(*x));
		return;
	}
	if (w->bad || (size_t)(w->end - w->at) < sizeof(*x)) {
		w->bad = true;
		*x = 0;
		return;
	}
	memcpy(x, w->at, sizeof(*x));
	w->at += sizeof(*x);
}

/* Bytes with a NUL behind them; NULL is a length of -1. */
static void
walk_bytes(struct walk *w, const void **at, int64_t *n)
{
	if (!*at && w->out)
		*n = -1;
	walk_num(w, n);
	if (w->out) {
		if (*n > 0)
			buf_add(w->out, *at, (size_t)*n);
		return;
	}
	*at = NULL;
	if (*n < 0)
		return;
	if (*n > MAX_STRING || w->end - w->at < *n) {
		w->bad = true;
		*n = 0;
		return;
	}
	*at = arena_strndup(w->a, "", 0);
	if (*n > 0) {
		char *copy = arena_alloc(w->a, (size_t)*n + 1);

		memcpy(copy, w->at, (size_t)*n);
		copy[*n] = '\0';
		*at = copy;
		w->at += *n;
	}
}

static void
walk_str(struct walk *w, const char **s)
{
	int64_t n = w->out && *s ? (int64_t)strlen(*s) : -1;

	walk_bytes(w, (const void **)s, &n);
	if (!w->out && *s && strlen(*s) != (size_t)n)
		w->bad = true;
}

/* Makes room for n items when reading; NULL and 0 when there are none. */
static void *
walk_list(struct walk *w, const void *at, int64_t *n, size_t size)
{
	walk_num(w, n);
	if (w->out)
		return (void *)at;
	if (*n < 0 || *n > MAX_ITEMS) {
		w->bad = true;
		*n = 0;
	}
	return *n ? arena_zalloc(w->a, ((size_t)*n + 1) * size) : NULL;
}

static void
walk_strs(struct walk *w, const char *const **list)
{
	int64_t n = -1;
	const char **at;

	if (w->out && *list)
		for (n = 0; (*list)[n]; n++)
			;
	walk_num(w, &n);
	if (w->out) {
		for (int64_t i = 0; i < n; i++) {
			const char *s = (*list)[i];

			walk_str(w, &s);
		}
		return;
	}
	*list = NULL;
	if (n < 0)
		return;
	if (n > MAX_ITEMS) {
		w->bad = true;
		return;
	}
	at = arena_zalloc(w->a, ((size_t)n + 1) * sizeof(*at));
	for (int64_t i = 0; i < n && !w->bad; i++) {
		walk_str(w, &at[i]);
		w->bad |= !at[i];
	}
	*list = at;
}

#define NUM(w, x)                            \
	do {                                 \
		int64_t num_ = (int64_t)(x); \
		walk_num((w), &num_);        \
		(x) = (__typeof__(x))num_;   \
	} while (0)

static void
walk_volume(struct walk *w, struct rt_volume *v)
{
	int64_t n = (int64_t)v->nfiles;
	struct rt_file *files;

	walk_str(w, &v->name);
	NUM(w, v->type);
	NUM(w, v->size_limit);
	files = walk_list(w, v->files, &n, sizeof(*files));
	for (int64_t i = 0; i < n && !w->bad; i++) {
		struct rt_file f = files[i];
		int64_t len = (int64_t)f.len;

		walk_str(w, &f.path);
		walk_bytes(w, &f.data, &len);
		f.len = len > 0 ? (size_t)len : 0;
		NUM(w, f.mode);
		if (!w->out)
			files[i] = f;
	}
	v->files = files;
	v->nfiles = (size_t)n;
	walk_str(w, &v->source);
	NUM(w, v->host_type);
	NUM(w, v->read_only);
}

static void
walk_hook(struct walk *w, struct rt_hook *h)
{
	NUM(w, h->type);
	walk_strs(w, &h->command);
	NUM(w, h->seconds);
}

static void
walk_container(struct walk *w, struct rt_container *c)
{
	int64_t n = (int64_t)c->nmounts;
	struct rt_mount *mounts;

	walk_str(w, &c->name);
	walk_str(w, &c->image);
	walk_strs(w, &c->command);
	walk_strs(w, &c->args);
	walk_strs(w, &c->env);
	walk_str(w, &c->working_dir);
	walk_str(w, &c->user);
	mounts = walk_list(w, c->mounts, &n, sizeof(*mounts));
	for (int64_t i = 0; i < n && !w->bad; i++) {
		struct rt_mount m = mounts[i];

		walk_str(w, &m.volume);
		walk_str(w, &m.path);
		walk_str(w, &m.sub_path);
		NUM(w, m.read_only);
		NUM(w, m.read_only_below);
		NUM(w, m.propagation);
		if (!w->out)
			mounts[i] = m;
	}
	c->mounts = mounts;
	c->nmounts = (size_t)n;
	NUM(w, c->role);
	walk_str(w, &c->target);
	NUM(w, c->startup_probe);
	NUM(w, c->restart);
	NUM(w, c->cpu_milli);
	NUM(w, c->cpu_shares);
	NUM(w, c->memory);
	NUM(w, c->disk);
	NUM(w, c->pids);
	NUM(w, c->memory_high);
	NUM(w, c->memory_min);
	NUM(w, c->oom_score_adj);
	walk_strs(w, &c->cap_add);
	walk_strs(w, &c->cap_drop);
	NUM(w, c->read_only_root);
	NUM(w, c->run_as_non_root);
	NUM(w, c->allow_privilege_escalation);
	NUM(w, c->privileged);
	NUM(w, c->unconfined);
	NUM(w, c->unmasked);
	walk_str(w, &c->seccomp_profile);
	NUM(w, c->tty);
	NUM(w, c->stdin_open);
	NUM(w, c->stdin_once);
	walk_str(w, &c->termination_message_path);
	NUM(w, c->log_as_message);
	NUM(w, c->hold);
	walk_hook(w, &c->post_start);
	walk_hook(w, &c->pre_stop);
	walk_str(w, &c->stop_signal);
}

static void
walk_groups(struct walk *w, struct rt_pod *p)
{
	int64_t n = (int64_t)p->ngroups;
	int64_t *groups = walk_list(w, p->groups, &n, sizeof(*groups));

	for (int64_t i = 0; i < n && !w->bad; i++) {
		int64_t id = groups[i];

		walk_num(w, &id);
		if (!w->out)
			groups[i] = id;
	}
	p->groups = groups;
	p->ngroups = (size_t)n;
	NUM(w, p->groups_strict);
}

static void
walk_pod(struct walk *w, struct rt_pod *p)
{
	int64_t magic = 0x36636570732d6b, nv = (int64_t)p->nvolumes,
		nc = (int64_t)p->ncontainers;
	struct rt_volume *volumes;
	struct rt_container *containers;

	walk_num(w, &magic);
	w->bad |= magic != 0x36636570732d6b;
	walk_str(w, &p->uid);
	walk_str(w, &p->ns);
	walk_str(w, &p->name);
	walk_str(w, &p->hostname);
	NUM(w, p->grace);
	NUM(w, p->fs_group);
	NUM(w, p->fs_group_on_mismatch);
	walk_groups(w, p);
	walk_strs(w, &p->sysctls);
	NUM(w, p->share_processes);
	NUM(w, p->host_network);
	NUM(w, p->host_pid);
	NUM(w, p->host_ipc);
	NUM(w, p->host_users);
	NUM(w, p->user_base);
	walk_strs(w, &p->hosts);
	walk_strs(w, &p->resolv);
	volumes = walk_list(w, p->volumes, &nv, sizeof(*volumes));
	for (int64_t i = 0; i < nv && !w->bad; i++) {
		struct rt_volume v = volumes[i];

		walk_volume(w, &v);
		if (!w->out)
			volumes[i] = v;
	}
	containers = walk_list(w, p->containers, &nc, sizeof(*containers));
	for (int64_t i = 0; i < nc && !w->bad; i++) {
		struct rt_container c = containers[i];

		walk_container(w, &c);
		if (!w->out)
			containers[i] = c;
	}
	p->volumes = volumes;
	p->nvolumes = (size_t)nv;
	p->containers = containers;
	p->ncontainers = (size_t)nc;
}

void
podspec_pack(const struct rt_pod *p, struct buf *out)
{
	struct rt_pod copy = *p;
	struct walk w = { .out = out };

	walk_pod(&w, &copy);
}

int
podspec_unpack(struct arena *a, const void *at, size_t n, struct rt_pod *ret, struct error **e)
{
	struct rt_pod p = { 0 };
	struct walk w = { .at = at, .end = (const char *)at + n, .a = a };

	walk_pod(&w, &p);
	if (w.bad || w.at != w.end)
		return fail(e, WHY_INTERNAL, "the pod's spec on disk is cut off or not ours");
	*ret = p;
	return 0;
}

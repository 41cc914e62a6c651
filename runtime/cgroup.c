/* cgroup.c -- see cgroup.h.
 *
 * The paths are the host's own; names in them were checked by podspec.c.  A
 * controller that the host lacks is said once (rt_lacks) and then left out.
 */
#include "runtime/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"

static const char *const wanted[CGROUP_TREES] = { "cpu", "memory", "pids" };

static bool
exists(const char *dir, const char *name)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static int
put(const char *dir, const char *file, const char *value)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	size_t n = strlen(value);

	xasprintf(&path, "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, value, n) != (ssize_t)n ? -1 : 0;
}

static bool
has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += n)
		if ((at == text || at[-1] == ' ') && (!at[n] || at[n] == ' ' || at[n] == '\n'))
			return true;
	return false;
}

char *
cgroup_text(const char *dir, const char *name)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	struct buf b = { 0 };
	char part[4096];
	ssize_t n;

	xasprintf(&path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		buf_add(&b, part, (size_t)n);
	return buf_steal(&b);
}

/* Who is in a group of this one may be limited; one by one, so that a controller that cannot be
 * had takes no other with it. */
static void
hand_down(const char *path, bool *const flags[CGROUP_TREES])
{
	for (size_t i = 0; i < CGROUP_TREES; i++) {
		char word[16];

		snprintf(word, sizeof(word), "+%s", wanted[i]);
		if (*flags[i] && put(path, "cgroup.subtree_control", word) < 0)
			*flags[i] = false;
	}
}

/* "+cpu +memory +pids" in every group from the root down to ours. */
static int
enable(struct cgroups *g, const char *root, struct error **e)
{
	cleanup_free char *path = xstrdup(root),
			  *have = cgroup_text(root, "cgroup.controllers");
	bool *const flags[CGROUP_TREES] = { &g->cpu, &g->memory, &g->pids };

	for (size_t i = 0; i < CGROUP_TREES; i++)
		*flags[i] = has_word(have, wanted[i]);
	hand_down(path, flags);
	for (const char *at = g->name, *end; *at; at = *end ? end + 1 : end) {
		char *next;

		end = strchrnul(at, '/');
		xasprintf(&next, "%s/%.*s", path, (int)(end - at), at);
		free(path);
		path = next;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make the cgroup %s", path);
		hand_down(path, flags);
	}
	g->n = 1;
	g->tree[0].controllers = "cpu memory pids";
	g->tree[0].dir = steal_ptr(&path);
	return 0;
}

static int
make_all(const char *root, const char *name, struct error **e)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/%s", root, name);
	for (char *at = path + strlen(root) + 1;; at++) {
		char end = *at;

		if (end && end != '/')
			continue;
		*at = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make the cgroup %s", path);
		*at = end;
		if (!end)
			return 0;
	}
}

/* A controller has a directory of its own, or shares one ("cpu,cpuacct"). */
static int
open_v1(struct cgroups *g, const char *root, struct error **e)
{
	static const char *const dirs[CGROUP_TREES][3] = {
		{ "cpu", "cpu,cpuacct", "cpuacct,cpu" }, { "memory" }, { "pids" }
	};
	bool *flags[CGROUP_TREES] = { &g->cpu, &g->memory, &g->pids };

	for (size_t i = 0; i < CGROUP_TREES; i++)
		for (size_t j = 0; j < 3 && dirs[i][j] && !*flags[i]; j++) {
			cleanup_free char *top = NULL;

			xasprintf(&top, "%s/%s", root, dirs[i][j]);
			if (!exists(top, "tasks"))
				continue;
			if (make_all(top, g->name, e) < 0)
				return -1;
			*flags[i] = true;
			g->tree[g->n].controllers = wanted[i];
			xasprintf(&g->tree[g->n++].dir, "%s/%s", top, g->name);
		}
	return 0;
}

int
cgroups_open(const char *root, const char *name, struct cgroups *ret, struct error **e)
{
	struct cgroups g = { .name = xstrdup(name) };
	int r;

	if (exists(root, "cgroup.controllers")) {
		g.mode = CGROUP_V2;
		r = enable(&g, root, e);
	} else {
		g.mode = exists(root, "unified/cgroup.controllers") ? CGROUP_HYBRID : CGROUP_V1;
		r = open_v1(&g, root, e);
		if (r == 0 && g.n == 0)
			r = fail(e, WHY_UNABLE,
				 "%s holds neither cgroup v2 nor the v1 controllers cpu, "
				 "memory, pids: "
				 "mount one of them there",
				 root);
	}
	if (r < 0)
		cgroups_done(&g);
	else
		*ret = g;
	return r;
}

enum { LOCK_TRIES = 20, LOCK_TRY_US = 10000 };

int
cgroups_own(struct cgroups *g, const char *state, struct error **e)
{
	static const char attribute[] = "trusted.kedge.state";
	const char *dir = g->tree[0].dir;
	cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char whose[512] = "";
	bool lives;

	if (fd < 0)
		return fail_sys(e, "open the cgroup %s", dir);
	/* A process that the kedged before began has what it had open until it is executed. */
	for (int tries = 0; (lives = flock(fd, LOCK_EX | LOCK_NB) < 0) &&
			    errno == EWOULDBLOCK && tries < LOCK_TRIES;
	     tries++)
		usleep(LOCK_TRY_US);
	if (lives && errno != EWOULDBLOCK)
		return fail_sys(e, "lock the cgroup %s", dir);
	/* A kernel without attributes on groups: the lock alone tells. */
	if (fgetxattr(fd, attribute, whose, sizeof(whose) - 1) < 0)
		*whose = '\0';
	if (lives || (*whose && strcmp(whose, state) != 0 && access(whose, F_OK) == 0))
		return fail(e, WHY_CONFLICT,
			    "the control group %s is that of another kedged%s%s%s: %s, or give "
			    "this one its own cgroup in kedge.yaml or by --cgroup",
			    g->name, *whose ? " (state in " : "", whose, *whose ? ")" : "",
			    lives ? "stop it"
				  : "it does not run now: take it down (start it, "
				    "then kedge down)");
	(void)fsetxattr(fd, attribute, state, strlen(state), 0);
	g->lock = steal_fd(&fd);
	return 0;
}

void
cgroups_done(struct cgroups *g)
{
	if (g->lock > 0)
		close(g->lock);
	for (size_t i = 0; i < CGROUP_TREES; i++)
		free(g->tree[i].dir);
	free(g->name);
	*g = (struct cgroups){ 0 };
}

const char *
cgroups_mode(const struct cgroups *g)
{
	return g->mode == CGROUP_V2 ? "v2" : g->mode == CGROUP_V1 ? "v1" : "hybrid";
}

static void
group_dir(const struct cgroup_tree *t, const char *uid, const char *container, struct buf *b)
{
	buf_clear(b);
	buf_addf(b, "%s/pod-%s%s%s", t->dir, uid, container ? "/" : "",
		 container ? container : "");
}

static int set(const char *dir, const char *file, struct error **e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int
set(const char *dir, const char *file, struct error **e, const char *fmt, ...)
{
	cleanup_free char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&value, fmt, ap);
	va_end(ap);
	if (put(dir, file, value) < 0)
		return fail_sys(e, "set %s of %s to %s", file, dir, value);
	return 0;
}

/* What a kernel may lack, and can be done without. */
static void
put_number(const char *dir, const char *file, int64_t n)
{
	char value[24];

	snprintf(value, sizeof(value), "%lld", (long long)n);
	put(dir, file, value);
}

/* The kubelet's conversion: 2..262144 shares are weights 1..10000. */
static int64_t
weight_of(int64_t shares)
{
	shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
	return 1 + (shares - 2) * 9999 / 262142;
}

/* Of a period of 100 ms.  The kernel takes no less than 1 ms, which is then what a limit below
 * 10m means, as with the kubelet. */
static long long
quota_of(int64_t cpu_milli)
{
	return cpu_milli < 10 ? 1000 : (long long)cpu_milli * 100;
}

static int
limit_v2(const struct cgroups *g, const char *dir, bool pod, const struct cgroup_limits *l,
	 struct error **e)
{
	if (g->cpu &&
	    set(dir, "cpu.weight", e, "%lld", (long long)weight_of(l->cpu_shares)) < 0)
		return -1;
	if (pod) {
		/* the containers get their controllers from here */
		if (g->cpu)
			put(dir, "cgroup.subtree_control", "+cpu");
		if (g->memory)
			put(dir, "cgroup.subtree_control", "+memory");
		if (g->pids)
			put(dir, "cgroup.subtree_control", "+pids");
		if (g->memory)
			put_number(dir, "memory.min", l->memory_min);
		return 0;
	}
	if (g->cpu && l->cpu_milli &&
	    set(dir, "cpu.max", e, "%lld 100000", quota_of(l->cpu_milli)) < 0)
		return -1;
	if (g->memory) {
		if (l->memory && set(dir, "memory.max", e, "%lld", (long long)l->memory) < 0)
			return -1;
		if (l->memory && exists(dir, "memory.swap.max"))
			put(dir, "memory.swap.max", "0");
		if (l->memory_high)
			put_number(dir, "memory.high", l->memory_high);
		if (l->memory_min)
			put_number(dir, "memory.min", l->memory_min);
		/* who runs out of memory goes as a whole: half a container helps nobody */
		put(dir, "memory.oom.group", "1");
	}
	if (g->pids)
		return set(dir, "pids.max", e, "%lld", (long long)(l->pids ? l->pids : 1024));
	return 0;
}

static int
limit_v1(const char *controller, const char *dir, bool pod, const struct cgroup_limits *l,
	 struct error **e)
{
	if (strcmp(controller, "cpu") == 0) {
		int64_t shares = l->cpu_shares < 2 ? 2 : l->cpu_shares;

		if (set(dir, "cpu.shares", e, "%lld", (long long)shares) < 0)
			return -1;
		if (!pod && l->cpu_milli)
			return set(dir, "cpu.cfs_quota_us", e, "%lld", quota_of(l->cpu_milli));
	} else if (strcmp(controller, "memory") == 0 && !pod && l->memory) {
		put(dir, "memory.swappiness", "0");
		return set(dir, "memory.limit_in_bytes", e, "%lld", (long long)l->memory);
	} else if (strcmp(controller, "pids") == 0 && !pod) {
		return set(dir, "pids.max", e, "%lld", (long long)(l->pids ? l->pids : 1024));
	}
	return 0;
}

static int
limit(const struct cgroups *g, size_t tree, const char *dir, bool pod,
      const struct cgroup_limits *l, struct error **e)
{
	return g->mode == CGROUP_V2 ? limit_v2(g, dir, pod, l, e)
				    : limit_v1(g->tree[tree].controllers, dir, pod, l, e);
}

void
cgroups_keep(const struct cgroups *g, int64_t bytes)
{
	if (g->mode == CGROUP_V2 && g->memory)
		put_number(g->tree[0].dir, "memory.min", bytes);
}

int
cgroup_limit(const struct cgroups *g, const char *uid, const char *container,
	     const struct cgroup_limits *l, struct error **e)
{
	struct buf cleanup_buf dir = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		group_dir(&g->tree[i], uid, container, &dir);
		if (limit(g, i, dir.at, !container, l, e) < 0)
			return -1;
	}
	return 0;
}

int
cgroup_make(const struct cgroups *g, const char *uid, const char *container,
	    const struct cgroup_limits *l, struct error **e)
{
	struct buf cleanup_buf dir = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		group_dir(&g->tree[i], uid, container, &dir);
		if (mkdir(dir.at, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make the cgroup %s", dir.at);
		if (limit(g, i, dir.at, !container, l, e) < 0)
			return -1;
	}
	if (g->mode == CGROUP_V2 && !container) {
		buf_adds(&dir, "/_init");
		if (mkdir(dir.at, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make the cgroup %s", dir.at);
	}
	return 0;
}

static int
unlimit(const struct cgroups *g, const char *controllers, const char *dir,
	const struct cgroup_limits *l, struct error **e)
{
	bool v2 = g->mode == CGROUP_V2;

	if (strstr(controllers, "cpu") && g->cpu && !l->cpu_milli &&
	    set(dir, v2 ? "cpu.max" : "cpu.cfs_quota_us", e, "%s", v2 ? "max 100000" : "-1") <
		0)
		return -1;
	if (strstr(controllers, "memory") && g->memory && !l->memory &&
	    set(dir, v2 ? "memory.max" : "memory.limit_in_bytes", e, "%s", v2 ? "max" : "-1") <
		0)
		return -1;
	if (v2 && g->memory) {
		if (!l->memory_high)
			put(dir, "memory.high", "max");
		if (!l->memory_min)
			put(dir, "memory.min", "0");
	}
	return 0;
}

int
cgroup_resize(const struct cgroups *g, const char *uid, const char *container,
	      const struct cgroup_limits *l, struct error **e)
{
	struct buf cleanup_buf dir = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		group_dir(&g->tree[i], uid, container, &dir);
		if (!exists(dir.at, "."))
			continue; /* it waits for its image: its group is made with them */
		if (unlimit(g, g->tree[i].controllers, dir.at, l, e) < 0)
			return -1;
		if (limit(g, i, dir.at, false, l, e) < 0)
			return -1;
	}
	return 0;
}

unsigned
cgroup_paths(const struct cgroups *g, const char *uid, const char *container, struct buf *out)
{
	struct buf cleanup_buf dir = { 0 };
	bool v2 = g->mode == CGROUP_V2;
	unsigned n = 1;

	for (size_t i = 0; i < g->n; i++)
		if (v2 || strcmp(g->tree[i].controllers, "memory") == 0) {
			group_dir(&g->tree[i], uid, container, &dir);
			buf_addf(out, "%s/%s", dir.at,
				 v2 ? "memory.events" : "memory.oom_control");
		}
	buf_addc(out, '\0');
	for (size_t i = 0; i < g->n; i++) {
		group_dir(&g->tree[i], uid, v2 && !container ? "_init" : container, &dir);
		buf_addf(out, "%s%s", dir.at, v2 ? "" : "/tasks");
		buf_addc(out, '\0');
		n++;
	}
	return n;
}

int
cgroup_has(const struct cgroups *g, const char *uid, pid_t pid)
{
	struct buf cleanup_buf dir = { 0 };
	cleanup_fclose FILE *f = NULL;
	long is = 0;

	group_dir(&g->tree[0], uid, g->mode == CGROUP_V2 ? "_init" : NULL, &dir);
	buf_adds(&dir, "/cgroup.procs");
	f = fopen(dir.at, "re");
	if (!f)
		return errno == ENOENT ? 0 : -1;
	while (is != pid && fscanf(f, "%ld", &is) == 1)
		;
	return is == pid ? 1 : ferror(f) ? -1 : 0;
}

static void
kill_in(const char *dir)
{
	cleanup_free char *list = NULL;

	if (put(dir, "cgroup.kill", "1") == 0)
		return;
	list = cgroup_text(dir, "cgroup.procs");
	for (char *at = list, *end; *at; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		/* The group is ours alone, so what is in it is ours to end. */
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
		end += *end == '\n';
	}
}

/* The group and those below it, deepest first. */
static int
remove_group(const char *dir)
{
	cleanup_closedir DIR *d = NULL;
	struct dirent *ent;
	int busy = 0;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	d = opendir(dir);
	while (d && (ent = readdir(d))) {
		cleanup_free char *sub = NULL;

		if (ent->d_type != DT_DIR || ent->d_name[0] == '.')
			continue;
		xasprintf(&sub, "%s/%s", dir, ent->d_name);
		busy |= remove_group(sub);
	}
	if (!busy && rmdir(dir) == 0)
		return 0;
	kill_in(dir);
	return rmdir(dir) == 0 || errno == ENOENT ? 0 : 1;
}

int
cgroup_remove(const struct cgroups *g, const char *uid)
{
	struct buf cleanup_buf dir = { 0 };
	int busy = 0;

	for (size_t i = 0; i < g->n; i++) {
		group_dir(&g->tree[i], uid, NULL, &dir);
		busy |= remove_group(dir.at);
	}
	return busy;
}

void
cgroup_each(const struct cgroups *g, void (*fn)(void *, const char *), void *ctx)
{
	for (size_t i = 0; i < g->n; i++) {
		cleanup_closedir DIR *d = opendir(g->tree[i].dir);
		struct dirent *ent;

		while (d && (ent = readdir(d)))
			if (ent->d_type == DT_DIR && strncmp(ent->d_name, "pod-", 4) == 0)
				fn(ctx, ent->d_name + 4);
	}
}

int
cgroups_remove(const struct cgroups *g)
{
	int busy = 0;

	for (size_t i = 0; i < g->n; i++)
		if (rmdir(g->tree[i].dir) < 0 && errno != ENOENT)
			busy = 1;
	return busy;
}

/* hand_host.c -- facts for the Node object, and the way to kedge-init. */
#include "hand_host.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "config.h"
#include "files.h"
#include "hand_state.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

/* The first line of a small file; "" when it cannot be read. */
static const char *
first_line(const char *path, struct arena *a)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	char line[256] = "";

	if (!f || !fgets(line, sizeof line, f))
		return "";
	line[strcspn(line, "\n")] = 0;
	return arena_strdup(a, line);
}

static const char *
os_image(struct arena *a)
{
	cleanup_fclose FILE *f = fopen("/etc/os-release", "re");
	char line[256];

	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, "PRETTY_NAME=", 12))
			continue;
		line[strcspn(line, "\n")] = 0;
		char *p = line + 12;
		size_t n = strlen(p);

		if (n > 1 && *p == '"' && p[n - 1] == '"') {
			p[n - 1] = 0;
			p++;
		}
		return arena_strdup(a, p);
	}
	return "Linux";
}

static const char *
go_arch(const char *machine)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },   { "armv7l", "arm" },
		{ "i686", "386" },     { "ppc64le", "ppc64le" }, { "riscv64", "riscv64" },
		{ "s390x", "s390x" }
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(machine, names[i][0]))
			return names[i][1];
	return machine;
}

static void
lacks_fill(struct hand *h, struct strs *ret, struct arena *a)
{
	const char *const *lists[] = { rt_lacks(h->rt), np_lacks(h->np) };
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		for (const char *const *s = lists[i]; *s; s++)
			n++;
	ret->at = arena_zalloc(a, (n + 1) * sizeof *ret->at);
	for (int i = 0; i < 2; i++)
		for (const char *const *s = lists[i]; *s; s++)
			ret->at[ret->n++] = *s;
}

static int64_t
disk_of(const char *path)
{
	struct statvfs s;

	return statvfs(path, &s) < 0 ? 0 : (int64_t)s.f_blocks * (int64_t)s.f_frsize;
}

void
host_facts(struct hand *h, struct host_seen *ret, struct arena *a)
{
	struct utsname u;
	struct sysinfo s;

	uname(&u);
	sysinfo(&s);
	*ret = (struct host_seen){
		.hostname = arena_strdup(a, u.nodename),
		.nodeIP = ipv4_text(np_node_ip(h->np), a),
		.nodeIP6 = h->settings.pods6.bits ? addr_text(np_node_ip6(h->np), a) : NULL,
		.bootID = first_line("/proc/sys/kernel/random/boot_id", a),
		.machineID = first_line("/etc/machine-id", a),
		.osImage = os_image(a),
		.kernel = arena_strdup(a, u.release),
		.arch = go_arch(arena_strdup(a, u.machine)),
		.cpuMilli = sysconf(_SC_NPROCESSORS_ONLN) * 1000,
		.memory = (int64_t)s.totalram * s.mem_unit,
		.disk = disk_of(h->config->state),
		.pods = h->config->limits->maxPods,
		.cgroups = rt_cgroup_mode(h->rt),
	};
	lacks_fill(h, &ret->lacks, a);
}

/* Where a package's own PREFIX need not be the one that was compiled in. */
char *
host_init_path(struct error **e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	cleanup_free char *beside = NULL, *near = NULL;
	cleanup_buf struct buf tried = { 0 };

	if (n < 0) {
		fail_sys(e, "find our own binary");
		return NULL;
	}
	self[n] = 0;
	beside = xstrdup(dirname(self));
	xasprintf(&near, "%s/libexec/kedge", dirname(self));

	const char *const dirs[] = { beside, near, KEDGE_PREFIX "/libexec/kedge" };

	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		char *path = NULL;

		xasprintf(&path, "%s/kedge-init", dirs[i]);
		if (!access(path, R_OK))
			return path;
		buf_addf(&tried, "%s%s", i ? ", " : "", path);
		free(path);
	}
	fail(e, WHY_NOT_FOUND, "there is no kedge-init, looked for as %s: install it again",
	     buf_text(&tried));
	return NULL;
}

/* Mirrors that were damaged and set aside: "repo.git.broken-1". */
static int
broken_remove(struct hand *h, struct error **e)
{
	cleanup_closedir DIR *d = opendir(h->config->state);
	struct dirent *ent;
	int rc = 0;

	while (d && (ent = readdir(d)))
		if (!strncmp(ent->d_name, "repo.git.broken-", 16) && strlen(ent->d_name) < 64)
			rc |=
			    rt_tree_remove(h->rt, h->config->state, ent->d_name, rc ? NULL : e);
	return rc;
}

/* What kedge makes in its folders, and nothing else is ever removed from there. */
static const char *const in_run[] = { "pods", "empty", "hand.lock", "api.sock", NULL };
static const char *const in_state[] = { "state.db",     "state.db-wal",
					"state.db-shm", "state.db.lock",
					"repo.git",     "images",
					"pods",         "fetch",
					"volumes",      "base",
					"pki",          "remotes",
					"hand.lock",    NULL };

static bool
is_ours(const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lost+found") ||
	    !strncmp(name, "repo.git.broken-", 16))
		return true;
	for (const char *const *n = in_run; *n; n++)
		if (!strcmp(name, *n))
			return true;
	for (const char *const *n = in_state; *n; n++)
		if (!strcmp(name, *n))
			return true;
	return false;
}

/* Its owner and mode become kedge's: who meant /var/lib/kedge and wrote /var/lib would
 * lock everybody else out. */
int
host_folder_check(const char *path, const char *option, struct error **e)
{
	cleanup_closedir DIR *d = opendir(path);
	cleanup_free char *lock = NULL;
	struct dirent *ent;

	xasprintf(&lock, "%s/hand.lock", path);
	if (!d || !access(lock, F_OK))
		return 0; /* there is none yet, or it is in use by kedge already */
	while ((ent = readdir(d)))
		if (!is_ours(ent->d_name))
			return fail(
			    e, WHY_CONFLICT,
			    "%s holds \"%s\", which is not kedge's: give kedge a folder "
			    "of its own (%s)",
			    path, ent->d_name, option);
	return 0;
}

/* The folder may be one that others log to as well. */
static int
logs_remove(struct hand *h, struct error **e)
{
	cleanup_closedir DIR *d = opendir(h->config->logs);
	struct dirent *ent;
	int rc = 0;

	while (d && (ent = readdir(d)))
		if (rt_log_uid(ent->d_name))
			rc |=
			    rt_tree_remove(h->rt, h->config->logs, ent->d_name, rc ? NULL : e);
	rmdir(h->config->logs);
	if (!strcmp(h->config->logs, "/var/log/kedge/pods")) /* nobody else chose its parent */
		rmdir("/var/log/kedge");
	return rc;
}

/* The audit log and what it was rotated to, where they are in the state's own folder. */
static int
audit_remove(struct hand *h, struct error **e)
{
	const struct config *c = h->config;
	const char *name = c->audit ? strrchr(c->audit->path, '/') : NULL;
	int rc = 0;

	if (!name || strncmp(c->audit->path, c->state, strlen(c->state)) != 0 ||
	    c->audit->path + strlen(c->state) != name)
		return 0;
	for (int64_t i = 0; i < c->audit->maxFiles; i++) {
		cleanup_free char *one = NULL;

		xasprintf(&one, i ? "%s.%" PRId64 : "%s", name + 1, i);
		rc |= rt_tree_remove(h->rt, c->state, one, rc ? NULL : e);
	}
	return rc;
}

/* Only names that kedge itself gives: a folder that is somebody's as well loses nothing but
 * these.  The socket goes last: `kedge down` waits for that. */
int
host_folders_remove(struct hand *h, struct error **e)
{
	const struct config *c = h->config;
	int rc = 0;

	rc |= logs_remove(h, rc ? NULL : e);
	for (const char *const *n = in_state; *n; n++)
		if (!h->down_keeps || !strcmp(*n, "pods"))
			rc |= rt_tree_remove(h->rt, c->state, *n, rc ? NULL : e);
	if (!h->down_keeps) {
		rc |= broken_remove(h, rc ? NULL : e);
		rc |= audit_remove(h, rc ? NULL : e);
		rmdir(c->state);
	}
	for (const char *const *n = in_run; *n; n++)
		rc |= rt_tree_remove(h->rt, c->run, *n, rc ? NULL : e);
	rmdir(c->run);
	return rc;
}

/* poddir.c -- the directories of a pod.
 *
 *     run_dir/pods/UID/    wire.h says what is in it
 *     run_dir/empty        what masked directories show
 *     state_dir/base       the lowest layer of every container: places to mount on
 *     state_dir/pods/UID/CONTAINER.N/{upper,work}   writable layers: kedge-init makes them
 *     state_dir/pods/UID/.volumes/NAME              RT_EMPTY
 *
 * What a container can write lies below state_dir and never in run_dir, which is
 * a tmpfs that the whole host lives on.  No container's name begins with a dot.
 *
 * All of it is root's and 0700 at its top; containers see only what is bound
 * into them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image_impl.h"
#include "runtime/rt.h"

int
poddir_make_dirs(const char *path, mode_t mode, struct error **e)
{
	cleanup_free char *copy = xstrdup(path);

	for (char *at = copy + 1;; at++) {
		char end = *at;

		if (end && end != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, end ? 0755 : mode) < 0 && errno != EEXIST)
			return fail_sys(e, "make the directory %s", copy);
		*at = end;
		if (!end)
			return 0;
	}
}

static int
write_all(int fd, const void *at, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, at, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		at = (const char *)at + r;
		n -= (size_t)r;
	}
	return 0;
}

int
poddir_write_new(int dir, const char *name, const void *at, size_t n, mode_t mode,
		 struct owner owner)
{
	cleanup_close int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0 || write_all(fd, at, n) < 0)
		return -1;
	if ((owner.uid != (uid_t)-1 || owner.gid != (gid_t)-1) &&
	    fchown(fd, owner.uid, owner.gid) < 0)
		return -1;
	return fchmod(fd, mode); /* whatever the umask is */
}

int
poddir_write(int dir, const char *name, const void *at, size_t n, struct error **e)
{
	cleanup_free char *fresh = NULL;

	xasprintf(&fresh, "%s.new", name);
	unlinkat(dir, fresh, 0);
	if (poddir_write_new(dir, fresh, at, n, 0600, OURS) < 0 ||
	    renameat(dir, fresh, dir, name) < 0) {
		int err = errno;

		unlinkat(dir, fresh, 0);
		errno = err;
		return fail_sys(e, "write the pod's file %s", name);
	}
	return 0;
}

int
poddir_read(int dir, const char *name, struct buf *ret, struct error **e)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char part[16 << 10];
	ssize_t n;

	if (fd < 0)
		return fail_sys(e, "open the pod's file %s", name);
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_add(ret, part, (size_t)n);
	return n < 0 ? fail_sys(e, "read the pod's file %s", name) : 0;
}

/* The lowest layer: empty directories and files where something is mounted anyway. */
int
poddir_make_base(const char *state_dir, struct error **e)
{
	static const char *const dirs[] = { "proc", "dev", "sys", "etc" };
	static const char *const files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };
	cleanup_free char *top = NULL;
	cleanup_close int dir = -1;

	xasprintf(&top, "%s/base", state_dir);
	if (poddir_make_dirs(top, 0755, e) < 0)
		return -1;
	dir = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if (dir < 0 || (mkdirat(dir, dirs[i], 0755) < 0 && errno != EEXIST))
			return fail_sys(e, "make %s/%s", top, dirs[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (poddir_write_new(dir, files[i], "", 0, 0644, OURS) < 0 && errno != EEXIST)
			return fail_sys(e, "make %s/%s", top, files[i]);
	return 0;
}

/* ---- the pod ---- */

char *
poddir_shm_path(const struct rt *rt, const struct rt_pod *p)
{
	char *path;

	if (p->host_ipc)
		return xstrdup("/dev/shm");
	if (p->ncontainers < 2 || p->containers[1].role == RT_EPHEMERAL)
		return xstrdup("");
	xasprintf(&path, "%s/pods/%s/shm", rt->cfg.run_dir, p->uid);
	return path;
}

static char *
poddir_log_dir(const struct rt *rt, const struct rt_pod *p)
{
	char *path;

	xasprintf(&path, "%s/%s_%s_%s", rt->cfg.log_dir, p->ns, p->name, p->uid);
	return path;
}

static int
writable_make(struct rt *rt, const struct rt_pod *p, struct error **e)
{
	cleanup_free char *top = NULL;

	xasprintf(&top, "%s/pods/%s", rt->cfg.state_dir, p->uid);
	if (mkdir(top, 0700) < 0 && errno != EEXIST)
		return fail_sys(e, "make %s", top);
	return 0;
}

/* What kedge-init is told of the i-th. */
struct w_container
poddir_conf(const struct rt_pod *p, size_t i)
{
	const struct rt_container *c = &p->containers[i];
	struct w_container x = { .restart = (uint8_t)c->restart,
				 .tty = c->tty,
				 .stdin_open = c->stdin_open,
				 .stdin_once = c->stdin_once,
				 .role = (uint8_t)c->role,
				 .startup_probe = c->startup_probe,
				 .log_as_message = c->log_as_message };

	for (size_t j = 0; c->target && j < i; j++)
		if (strcmp(p->containers[j].name, c->target) == 0)
			x.target = (uint8_t)(j + 1);
	rt_copy(x.name, sizeof(x.name), c->name);
	return x;
}

static int
pod_file_write(struct rt *rt, int dir, const struct rt_pod *p, unsigned flags, bool fresh,
	       struct error **e)
{
	struct w_pod w = { .magic = W_MAGIC,
			   .n = (uint32_t)p->ncontainers,
			   .caps = launch_caps(),
			   .grace = (uint32_t)p->grace,
			   .log_gid = rt->cfg.log_gid,
			   .log_files = (uint32_t)rt->cfg.log_max_files,
			   .log_max = rt->cfg.log_max_bytes,
			   .gated = 1,
			   .flags = (p->share_processes || p->host_pid ? W_SHARED_PIDS : 0) |
				    (p->host_network ? W_HOST_NET : 0) |
				    (p->host_pid ? W_HOST_PIDS : 0) | flags,
			   .id_base = p->user_base };
	cleanup_free char *logs = poddir_log_dir(rt, p);
	struct buf cleanup_buf b = { 0 };

	if (strlen(logs) >= sizeof(w.log_dir))
		return fail(e, WHY_INVALID, "the log directory's path is too long: %s", logs);
	rt_copy(w.log_dir, sizeof(w.log_dir), logs);
	memcpy(w.hostname, p->hostname, strnlen(p->hostname, sizeof(w.hostname)));
	for (size_t i = 0; i < p->ncontainers; i++) {
		const struct rt_container *c = &p->containers[i];
		uint64_t caps;

		if (rtcaps_of(p, c, rt->caps, &caps, e) < 0)
			return fail_in(e, "container %s", c->name);
		if (p->host_users) /* else what it holds comes with its user namespace */
			w.caps |= caps;
	}
	buf_add(&b, &w, sizeof(w));
	for (size_t i = 0; i < p->ncontainers; i++) {
		const struct w_container x = poddir_conf(p, i);

		buf_add(&b, &x, sizeof(x));
	}
	if (fresh)
		return poddir_write_new(dir, "pod", b.at, b.len, 0600, OURS) < 0
			   ? fail_sys(e, "write the pod's file pod")
			   : 0;
	return poddir_write(dir, "pod", b.at, b.len, e);
}

static int
pod_dir_make(const char *top, struct error **e)
{
	cleanup_close int dir = -1;

	if (mkdir(top, 0700) < 0)
		return fail_sys(e, "make %s", top);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return fail_sys(e, "open %s", top);
	if (mkdirat(dir, "root", 0755) < 0)
		return fail_sys(e, "make %s/root", top);
	return steal_fd(&dir);
}

/* `spec` comes last: a directory without a whole one is a pod that never was. */
static int
pod_files_write(struct rt *rt, int dir, const struct rt_pod *p, unsigned flags, bool fresh,
		struct error **e)
{
	struct buf cleanup_buf spec = { 0 };

	if (pod_file_write(rt, dir, p, flags, fresh, e) < 0)
		return -1;
	podspec_pack(p, &spec);
	return poddir_write_new(dir, "spec", spec.at, spec.len, 0600, OURS) < 0
		   ? fail_sys(e, "write the pod's file spec")
		   : 0;
}

/* What kedge-init is born with.  All of it is on a tmpfs: what costs time is made while
 * kedge-init begins. */
int
poddir_make_pod(struct rt *rt, const struct rt_pod *p, unsigned flags, int *ret_dir,
		struct error **e)
{
	cleanup_free char *top = NULL;
	cleanup_close int dir = -1;

	xasprintf(&top, "%s/pods/%s", rt->cfg.run_dir, p->uid);
	dir = pod_dir_make(top, e);
	if (dir < 0 || pod_files_write(rt, dir, p, flags, true, e) < 0)
		return -1;
	*ret_dir = steal_fd(&dir);
	return 0;
}

int
poddir_make_ahead(struct rt *rt, const struct rt_pod *p, int *ret_dir, struct error **e)
{
	static const char *const layer[] = { "", "/" W_AHEAD_FIRST ".0",
					     "/" W_AHEAD_FIRST ".0/upper",
					     "/" W_AHEAD_FIRST ".0/work" };
	cleanup_free char *top = NULL;
	cleanup_close int dir = -1;

	for (size_t i = 0; i < sizeof(layer) / sizeof(*layer); i++) {
		cleanup_free char *path = NULL;

		xasprintf(&path, "%s/pods/%s%s", rt->cfg.state_dir, p->uid, layer[i]);
		if (mkdir(path, i < 2 ? 0700 : 0755) < 0 ||
		    (i > 0 && chown(path, p->user_base, p->user_base) < 0))
			return fail_sys(e, "make %s", path);
	}
	xasprintf(&top, "%s/pods/%s", rt->cfg.run_dir, p->uid);
	dir = pod_dir_make(top, e);
	if (dir < 0 || pod_file_write(rt, dir, p, W_AHEAD, true, e) < 0)
		return -1;
	*ret_dir = steal_fd(&dir);
	return 0;
}

/* TOP/pods/FROM to TOP/pods/TO */
static int
rename_below(const char *top, const char *from, const char *to, struct error **e)
{
	cleanup_free char *old = NULL, *fresh = NULL;

	xasprintf(&old, "%s/pods/%s", top, from);
	xasprintf(&fresh, "%s/pods/%s", top, to);
	return rename(old, fresh) < 0 ? fail_sys(e, "rename %s to %s", old, fresh) : 0;
}

int
poddir_become(struct rt *rt, const char *ahead, const struct rt_pod *p, int *ret_dir,
	      struct error **e)
{
	cleanup_free char *top = NULL;
	cleanup_close int dir = -1;

	if (rename_below(rt->cfg.run_dir, ahead, p->uid, e) < 0 ||
	    rename_below(rt->cfg.state_dir, ahead, p->uid, e) < 0)
		return -1;
	xasprintf(&top, "%s/pods/%s", rt->cfg.run_dir, p->uid);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return fail_sys(e, "open %s", top);
	if (pod_files_write(rt, dir, p, 0, false, e) < 0)
		return -1;
	*ret_dir = steal_fd(&dir);
	return 0;
}

/* What its containers need of the host: volumes, and where writable layers go. */
int
poddir_make_places(struct rt *rt, const struct rt_pod *p, struct error **e)
{
	if (writable_make(rt, p, e) < 0)
		return -1;
	for (size_t i = 0; i < p->nvolumes; i++)
		if (volume_make(rt, p, &p->volumes[i], e) < 0)
			return -1;
	if (p->ncontainers > 1 &&
	    !p->host_ipc) { /* one /dev/shm for all of the pod, as its ipc namespace is */
		cleanup_free char *shm = poddir_shm_path(rt, p);
		uint32_t root = users_tmpfs_root(&rt->users, p->user_base);
		char options[64];

		snprintf(options, sizeof(options), "mode=1777,size=64m,uid=%u,gid=%u", root,
			 root);
		if (mkdir(shm, 0755) < 0 ||
		    mount("tmpfs", shm, "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC, options) < 0)
			return fail_sys(e, "mount %s", shm);
	}
	return 0;
}

DIR *
poddir_list(int dir)
{
	cleanup_close int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d)
		(void)steal_fd(&fd);
	return d;
}

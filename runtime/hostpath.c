/* hostpath.c -- paths of the host that pods may mount: the operator's rows, and what must be
 * there.
 *
 * A row's prefix is the operator's own word, so links in it are followed.  What lies
 * below may be in reach of some pod, as root as it is there: it is walked by openat2
 * and descriptors, and a link on the way is an error (a pod that can write /srv/a must not
 * get /etc by laying a link there and asking for it).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

/* The next part of a path that is a name; its length, 0 at the end. */
static size_t
part(const char **at)
{
	for (;;) {
		size_t n;

		*at += strspn(*at, "/");
		n = strcspn(*at, "/");
		if (n != 1 || **at != '.')
			return n;
		*at += n;
	}
}

bool
hostpath_within(const char *path, const char *prefix, const char **ret_inner, size_t *ret_depth)
{
	size_t depth = 0;

	for (;; depth++) {
		size_t want = part(&prefix), have = part(&path);

		if (!want) {
			*ret_inner = path;
			*ret_depth = depth;
			return true;
		}
		if (want != have || strncmp(path, prefix, want) != 0)
			return false;
		path += have;
		prefix += want;
	}
}

const struct rt_host_path *
hostpath_row(const struct rt_allow *allow, const char *path, const char **ret_inner)
{
	const struct rt_host_path *best = NULL;
	size_t deepest = 0;

	for (size_t i = 0; i < allow->nhost_paths; i++) {
		const char *inner;
		size_t depth;

		if (!hostpath_within(path, allow->host_paths[i].prefix, &inner, &depth) ||
		    (best && depth <= deepest))
			continue;
		best = &allow->host_paths[i];
		deepest = depth;
		*ret_inner = inner;
	}
	return best;
}

static int
mounts_check(const struct rt_host_path *row, const struct rt_volume *v, const struct rt_pod *p,
	     struct error **e)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		for (size_t j = 0; j < p->containers[i].nmounts; j++) {
			const struct rt_mount *m = &p->containers[i].mounts[j];

			if (strcmp(m->volume, v->name))
				continue;
			if (row->read_only && !m->read_only && !v->read_only)
				return fail(e, WHY_FORBIDDEN,
					    "hostPath \"%s\" is not allowed but for reading: "
					    "set readOnly: true where container %s mounts it "
					    "(%s has readOnly in kedge.yaml under "
					    "allow.hostPaths)",
					    v->source, p->containers[i].name, row->prefix);
		}
	return 0;
}

int
hostpath_allowed(const struct rt_allow *allow, const struct rt_pod *p, struct error **e)
{
	for (size_t i = 0; i < p->nvolumes; i++) {
		const struct rt_volume *v = &p->volumes[i];
		const struct rt_host_path *row;
		const char *inner;

		if (v->type != RT_HOST)
			continue;
		row = hostpath_row(allow, v->source, &inner);
		if (!row)
			return fail(e, WHY_FORBIDDEN,
				    "hostPath \"%s\" is not allowed: the operator has to name "
				    "it, or a folder it is in, in kedge.yaml under "
				    "allow.hostPaths",
				    v->source);
		if (mounts_check(row, v, p, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- what must be there ---- */

static int
open_below(int top, const char *inner)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, top, *inner ? inner : ".", &how, sizeof(how));
}

/* Whatever the way there was: what kedge keeps says who may do what.  `inner`: of what is not
 * there yet, below fd. */
static int
own_check(const struct rt *rt, const struct rt_volume *v, int fd, const char *inner,
	  struct error **e)
{
	const char *const own[] = { rt->cfg.state_dir, rt->cfg.run_dir, rt->cfg.log_dir };
	cleanup_free char *path = NULL;
	char link[64], real[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof real - 1);
	if (n < 0)
		return fail_sys(e, "hostPath \"%s\"", v->source);
	xasprintf(&path, "%.*s/%s", (int)n, real, inner);
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		cleanup_free char *folder = own[i] ? realpath(own[i], NULL) : NULL;
		const char *rest;
		size_t depth;

		if (own[i] && hostpath_within(path, folder ? folder : own[i], &rest, &depth))
			return fail(e, WHY_FORBIDDEN,
				    "hostPath \"%s\" is kedge's own, as all of %s is: pods "
				    "cannot have it",
				    v->source, own[i]);
	}
	return 0;
}

static int
step_down(int dir, const char *name, bool makes)
{
	bool fresh = makes && mkdirat(dir, name, 0755) == 0;
	int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next >= 0 && fresh)
		fchmod(next, 0755); /* whatever the umask is */
	return next;
}

static int
file_make(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd >= 0)
		fchmod(fd, 0644);
	return fd;
}

/* Makes what is missing, by descriptors, each part only where kedge's own is not; for a file
 * the last part is one, and no other is made. */
static int
make_below(const struct rt *rt, const struct rt_volume *v, int top, const char *inner,
	   struct error **e)
{
	bool file = v->host_type == RT_HOST_FILE_OR_CREATE;
	cleanup_close int dir = fcntl(top, F_DUPFD_CLOEXEC, 0);
	size_t n;

	while (dir >= 0 && (n = part(&inner)) > 0) {
		cleanup_free char *name = xstrndup(inner, n);
		int next;

		if (own_check(rt, v, dir, inner, e) < 0)
			return -1;
		inner += n;
		next =
		    file && !part(&inner) ? file_make(dir, name) : step_down(dir, name, !file);
		close(dir);
		dir = next;
	}
	return dir < 0 ? fail_sys(e, "make hostPath \"%s\"", v->source) : 0;
}

/* Of a row's prefix, in which links are followed: each part, as far as there are any. */
static int
make_prefix(const struct rt *rt, const struct rt_volume *v, const char *prefix,
	    struct error **e)
{
	cleanup_free char *have = xstrdup(prefix);
	cleanup_close int fd = -1;

	while ((fd = open(*have ? have : "/", O_PATH | O_CLOEXEC)) < 0 && errno == ENOENT &&
	       *have)
		*strrchr(have, '/') = '\0';
	if (fd < 0)
		return fail_sys(e, "hostPath \"%s\": open %s", v->source, have);
	return own_check(rt, v, fd, prefix + strlen(have), e) < 0
		   ? -1
		   : poddir_make_dirs(prefix, 0755, e);
}

static bool
makes_dir(enum rt_host_type t)
{
	/* nothing said: container engines make a directory of what is missing */
	return t == RT_HOST_ANY || t == RT_HOST_DIR_OR_CREATE;
}

static int
prefix_open(const struct rt *rt, const struct rt_volume *v, const struct rt_host_path *row,
	    struct error **e)
{
	int top = open(row->prefix, O_PATH | O_CLOEXEC);

	if (top < 0 && errno == ENOENT && makes_dir(v->host_type) && !row->read_only) {
		if (make_prefix(rt, v, row->prefix, e) < 0)
			return -1;
		top = open(row->prefix, O_PATH | O_CLOEXEC);
	}
	return top < 0 ? fail_sys(e, "hostPath \"%s\": open %s", v->source, row->prefix) : top;
}

static int
open_or_make(const struct rt *rt, const struct rt_volume *v, const struct rt_host_path *row,
	     const char *inner, struct error **e)
{
	bool makes = makes_dir(v->host_type) || v->host_type == RT_HOST_FILE_OR_CREATE;
	cleanup_close int top = prefix_open(rt, v, row, e);
	int fd;

	if (top < 0)
		return -1;
	fd = open_below(top, inner);
	if (fd < 0 && errno == ENOENT && makes && !row->read_only) {
		if (make_below(rt, v, top, inner, e) < 0)
			return -1;
		fd = open_below(top, inner);
	}
	if (fd < 0 && (errno == ELOOP || errno == EXDEV))
		return fail(e, WHY_FORBIDDEN,
			    "hostPath \"%s\": a part of it below %s is a symbolic link, which "
			    "is not followed there: name the real path",
			    v->source, row->prefix);
	return fd < 0 ? fail_sys(e, "hostPath \"%s\"", v->source) : fd;
}

int
hostpath_make(const struct rt *rt, const struct rt_volume *v, struct error **e)
{
	static const struct {
		mode_t type;
		const char *words;
	} rows[] = {
		[RT_HOST_DIR_OR_CREATE] = { S_IFDIR, "a directory" },
		[RT_HOST_DIR] = { S_IFDIR, "a directory" },
		[RT_HOST_FILE_OR_CREATE] = { S_IFREG, "a file" },
		[RT_HOST_FILE] = { S_IFREG, "a file" },
		[RT_HOST_SOCKET] = { S_IFSOCK, "a socket file" },
		[RT_HOST_CHAR] = { S_IFCHR, "a character device" },
		[RT_HOST_BLOCK] = { S_IFBLK, "a block device" },
	};
	const char *inner = "";
	const struct rt_host_path *row = hostpath_row(&rt->cfg.allow, v->source, &inner);
	cleanup_close int fd = -1;
	struct stat st;

	if (!row)
		return fail(e, WHY_FORBIDDEN, "hostPath \"%s\" is not allowed", v->source);
	fd = open_or_make(rt, v, row, inner, e);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return fail_sys(e, "hostPath \"%s\"", v->source);
	if (own_check(rt, v, fd, "", e) < 0)
		return -1;
	if (v->host_type != RT_HOST_ANY && (st.st_mode & S_IFMT) != rows[v->host_type].type)
		return fail(e, WHY_INVALID, "hostPath type check failed: %s is not %s",
			    v->source, rows[v->host_type].words);
	return 0;
}

/* volume_points.c -- places below a volume of files for what a container mounts there.
 *
 * A Secret at /etc/app/keys below a ConfigMap at /etc/app needs a directory to be mounted on,
 * and in a volume of files nobody but kedge makes one.  So it is made in the volume's folder
 * before the container starts, as the kubelet's MakeNestedMountpoints does; and a file where a
 * file is mounted, which the kubelet does not.  No link is followed: where a file of the volume
 * itself is in the way nothing is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

/* The rest of `path` below `top`; NULL: it is there, or not below it. */
static const char *
below(const char *path, const char *top)
{
	const char *inner;
	size_t depth;

	return hostpath_within(path, top, &inner, &depth) && *inner ? inner : NULL;
}

static const struct rt_volume *
volume_named(const struct rt_pod *p, const char *name)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		if (!strcmp(p->volumes[i].name, name))
			return &p->volumes[i];
	return NULL;
}

/* As far as the spec tells. */
static bool
is_file(const struct rt_volume *v, const struct rt_mount *m)
{
	bool sub = m->sub_path && *m->sub_path;

	for (size_t i = 0; sub && v->type == RT_FILES && i < v->nfiles; i++)
		if (!strcmp(v->files[i].path, m->sub_path))
			return true;
	return !sub && v->type == RT_HOST && v->host_type >= RT_HOST_FILE_OR_CREATE;
}

/* Something of the container's lies between the two: that is where the place has to be. */
static bool
is_apart(const struct rt_container *c, const char *top, const char *path)
{
	for (size_t i = 0; i < c->nmounts; i++)
		if (below(c->mounts[i].path, top) && below(path, c->mounts[i].path))
			return true;
	return false;
}

static int
dir_make(int at, const char *name)
{
	bool fresh = mkdirat(at, name, 0755) == 0;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && fresh)
		fchmod(fd, 0755); /* whatever the umask is */
	return fd;
}

static int
file_make(int at, const char *name)
{
	return openat(at, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static int
point_make(int top, const char *path, bool file)
{
	cleanup_close int at = fcntl(top, F_DUPFD_CLOEXEC, 0);

	while (at >= 0 && *path) {
		size_t n = strcspn(path, "/");
		cleanup_free char *name = xstrndup(path, n);
		struct stat st;
		int next;

		path += n;
		path += strspn(path, "/");
		if (!strcmp(name, "."))
			continue;
		if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
			return 0;
		next = *path || !file ? dir_make(at, name) : file_make(at, name);
		close(at);
		at = next;
	}
	return at < 0 ? -1 : 0;
}

/* All that lies below this mount, which shows all of a volume of files. */
static int
points_below(const struct rt_pod *p, const struct rt_container *c, const struct rt_mount *top,
	     int dir)
{
	static const char *const etc[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf" };
	const char *inner;

	for (size_t i = 0; i < sizeof(etc) / sizeof(*etc); i++) {
		inner = below(etc[i], top->path);
		if (inner && !is_apart(c, top->path, etc[i]) &&
		    point_make(dir, inner, true) < 0)
			return -1;
	}
	for (size_t i = 0; i < c->nmounts; i++) {
		const struct rt_mount *m = &c->mounts[i];

		inner = below(m->path, top->path);
		if (inner && !is_apart(c, top->path, m->path) &&
		    point_make(dir, inner, is_file(volume_named(p, m->volume), m)) < 0)
			return -1;
	}
	return 0;
}

int
volume_points(struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
	      struct error **e)
{
	for (size_t i = 0; i < c->nmounts; i++) {
		const struct rt_mount *m = &c->mounts[i];
		const struct rt_volume *v = volume_named(p, m->volume);
		cleanup_close int dir = -1;
		cleanup_free char *path = NULL;

		if (v->type != RT_FILES || (m->sub_path && *m->sub_path))
			continue;
		path = volume_path(rt, p, v);
		dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0 || points_below(p, c, m, dir) < 0)
			return fail_sys(e, "make places to mount on in volume %s", v->name);
	}
	return 0;
}

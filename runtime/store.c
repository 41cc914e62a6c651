/* store.c -- storage that outlives pods: one directory a name, below state_dir/volumes.
 *
 * A directory is made before anything may use it and never again by itself: a pod
 * whose directory is missing does not start, for an empty one in its place would hide
 * that data is lost.  What is removed is out of reach at once (a rename) and off the disk by
 * and by, in a process of its own; a removal that was cut off goes on at the next start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

#define GONE ".gone-"

char *
rt_store_folder(const struct rt *rt)
{
	char *path;

	xasprintf(&path, "%s/volumes", rt->cfg.state_dir);
	return path;
}

static int
store_open(const struct rt *rt, struct error **e)
{
	cleanup_free char *path = rt_store_folder(rt);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? fail_sys(e, "open %s", path) : fd;
}

static int
name_check(const char *name, struct error **e)
{
	return podspec_name_ok(name)
		   ? 0
		   : fail(e, WHY_INVALID,
			  "volume \"%s\": a name is [a-z0-9.-], 1 to 63 characters",
			  name ? name : "");
}

int
rt_store_make(struct rt *rt, const char *name, struct error **e)
{
	cleanup_free char *path = rt_store_folder(rt), *fresh = NULL;
	cleanup_close int top = -1, dir = -1;

	if (name_check(name, e) < 0 || poddir_make_dirs(path, 0700, e) < 0)
		return -1;
	top = store_open(rt, e);
	if (top < 0)
		return -1;
	/* under the name of something that goes, until it is as it should be */
	xasprintf(&fresh, GONE ".%s", name);
	if (mkdirat(top, fresh, 0700) < 0 && errno != EEXIST)
		return fail_sys(e, "make the volume %s/%s", path, name);
	dir = openat(top, fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* open to whoever the pod runs as; the folder around it is root's alone */
	if (dir < 0 || fchmod(dir, 0777) < 0)
		return fail_sys(e, "make the volume %s/%s", path, name);
	if (renameat2(top, fresh, top, name, RENAME_NOREPLACE) < 0) {
		int err = errno;

		(void)unlinkat(top, fresh, AT_REMOVEDIR);
		errno = err;
		if (err != EEXIST)
			return fail_sys(e, "make the volume %s/%s", path, name);
	}
	/* also of one that was there: who made it may have failed here */
	if (fsync(top) < 0)
		return fail_sys(e, "make the volume %s/%s", path, name);
	return 0;
}

/* ---- removal ---- */

static const char *
user_of(const struct rt *rt, const char *name)
{
	for (struct map_slot *s = map_first(&rt->pods); s; s = map_next(&rt->pods, s)) {
		const struct rtpod *p = s->value;

		for (size_t i = 0; p->state != RT_POD_GONE && i < p->spec.nvolumes; i++)
			if (p->spec.volumes[i].type == RT_STORE &&
			    !strcmp(p->spec.volumes[i].source, name))
				return p->spec.name;
	}
	return NULL;
}

int
rt_store_remove(struct rt *rt, const char *name, struct error **e)
{
	cleanup_free char *gone = NULL;
	cleanup_close int top = -1;
	const char *user;

	if (name_check(name, e) < 0)
		return -1;
	user = user_of(rt, name);
	if (user)
		return fail(e, WHY_CONFLICT, "volume %s is still used by pod %s", name, user);
	top = store_open(rt, e);
	if (top < 0)
		return -1;
	xasprintf(&gone, GONE "%s", name);
	if (renameat(top, name, top, gone) < 0) {
		if (errno != ENOENT)
			return fail_sys(e, "remove volume %s", name);
		if (faccessat(top, gone, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		/* out of reach already: who removed it may have failed here */
	}
	if (fsync(top) < 0)
		return fail_sys(e, "remove volume %s", name);
	rtsweep(rt, top, gone); /* else the next start tries again */
	return 0;
}

void
rtstore_go_on(struct rt *rt)
{
	cleanup_close int top = store_open(rt, NULL);
	cleanup_closedir DIR *d = top < 0 ? NULL : poddir_list(top);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (!strncmp(ent->d_name, GONE, strlen(GONE)))
			rtsweep(rt, top, ent->d_name);
}

/* ---- what is there ---- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **
rt_stores(struct rt *rt)
{
	cleanup_close int top = store_open(rt, NULL);
	cleanup_closedir DIR *d = top < 0 ? NULL : poddir_list(top);
	char **names = xcalloc(1, sizeof(*names));
	struct dirent *ent;
	size_t n = 0;

	while (d && (ent = readdir(d))) {
		struct stat st;

		if (!podspec_name_ok(ent->d_name) ||
		    fstatat(top, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		names = xrealloc(names, (n + 2) * sizeof(*names));
		names[n++] = xstrdup(ent->d_name);
	}
	names[n] = NULL;
	qsort(names, n, sizeof(*names), by_name);
	return names;
}

/* volume.c -- what a pod's containers mount, made before they start.
 *
 *     run_dir/pods/UID/volumes/NAME      RT_FILES, RT_MEMORY
 *     state_dir/pods/UID/.volumes/NAME   RT_EMPTY
 *     state_dir/volumes/NAME             RT_STORE: outlives its pods (store.c)
 *
 * A volume of files switches as Kubernetes' do: names are links into ..data, which is a
 * link to a directory that never changes; rename moves the link.  Nothing is
 * mounted here but memory: a container's own set-up takes each volume by descriptor
 * (init/mount.c), so that it can be made what that container may do with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image_impl.h"
#include "runtime/rt.h"

char *
volume_path(const struct rt *rt, const struct rt_pod *p, const struct rt_volume *v)
{
	char *path;

	if (v->type == RT_EMPTY)
		xasprintf(&path, "%s/pods/%s/.volumes/%s", rt->cfg.state_dir, p->uid, v->name);
	else if (v->type == RT_STORE)
		xasprintf(&path, "%s/volumes/%s", rt->cfg.state_dir, v->source);
	else
		xasprintf(&path, "%s/pods/%s/volumes/%s", rt->cfg.run_dir, p->uid, v->name);
	return path;
}

/* Does any of its files lie at or below this name? */
static bool
has_name(const struct rt_volume *v, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < v->nfiles; i++)
		if (strcspn(v->files[i].path, "/") == n &&
		    strncmp(v->files[i].path, name, n) == 0)
			return true;
	return false;
}

/* Links of names that are no more, and what earlier switches left behind.  What is no link is
 * a place that a container mounts on (volume_points.c). */
static void
sweep(int dir, const struct rt_volume *v, const char *current)
{
	cleanup_closedir DIR *d = poddir_list(dir);
	struct dirent *ent;

	while (d && (ent = readdir(d))) {
		if (strncmp(ent->d_name, "..", 2) == 0) {
			if (ent->d_name[2] && strcmp(ent->d_name, current) &&
			    strcmp(ent->d_name, "..data"))
				image_tree_remove(dir, ent->d_name);
		} else if (ent->d_type == DT_LNK && !has_name(v, ent->d_name)) {
			unlinkat(dir, ent->d_name, 0);
		}
	}
}

/* Whose files are, and by whom they can be read whatever their mode. */
struct keep {
	struct owner owner;
	mode_t readable;
};

/* A file below a directory that nobody but us has seen yet.  The path was checked:
 * each part is a plain name, and O_NOFOLLOW keeps it so. */
static int
write_below(int dir, const struct rt_file *f, const struct keep *k)
{
	cleanup_close int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *name = f->path;

	for (const char *slash; at >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		cleanup_free char *part = xstrndup(name, (size_t)(slash - name));
		cleanup_close int sub = -1;

		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return -1;
		sub = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 || fchmod(sub, 0755) < 0) /* whatever the umask is */
			return -1;
		close(at);
		at = steal_fd(&sub);
	}
	return at < 0 ? -1
		      : poddir_write_new(at, name, f->data, f->len,
					 (f->mode & 0777) | k->readable, k->owner);
}

static int
switch_to(int dir, const struct rt_volume *v, const char *fresh, const struct keep *k,
	  bool *ret_switched)
{
	cleanup_close int sub = -1;

	if (mkdirat(dir, fresh, 0755) < 0)
		return -1;
	sub = openat(dir, fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sub < 0 || fchmod(sub, 0755) < 0)
		return -1;
	for (size_t i = 0; i < v->nfiles; i++)
		if (write_below(sub, &v->files[i], k) < 0)
			return -1;
	unlinkat(dir, "..data_tmp", 0);
	if (symlinkat(fresh, dir, "..data_tmp") < 0 ||
	    renameat(dir, "..data_tmp", dir, "..data") < 0)
		return -1;
	*ret_switched = true;
	for (size_t i = 0; i < v->nfiles; i++) {
		const char *path = v->files[i].path;
		cleanup_free char *top = xstrndup(path, strcspn(path, "/")), *to = NULL;

		xasprintf(&to, "..data/%s", top);
		if (symlinkat(to, dir, top) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* On disk ids are as the pod sees them, and its mount of it is mapped; where that cannot be
 * they are those of its range. */
static struct owner
owner_of(uint32_t root, int64_t fs_group)
{
	struct owner o = { root ? root : (uid_t)-1, root ? root : (gid_t)-1 };

	if (fs_group >= 0)
		o.gid = root + (gid_t)fs_group;
	return o;
}

int
volume_put(struct rt *rt, const struct rt_pod *p, const struct rt_volume *v, struct error **e)
{
	/* of a pod with a group by that, as the kubelet has it */
	const struct keep keep = { owner_of(users_tmpfs_root(&rt->users, p->user_base),
					    p->fs_group),
				   p->fs_group < 0 ? 0 : 0440 };
	cleanup_free char *path = NULL, *fresh = NULL;
	cleanup_close int dir = -1;
	struct timespec now;
	bool switched = false;

	xasprintf(&path, "%s/pods/%s/volumes/%s", rt->cfg.run_dir, p->uid, v->name);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return fail_sys(e, "open volume %s", path);
	clock_gettime(CLOCK_REALTIME, &now);
	xasprintf(&fresh, "..%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	if (switch_to(dir, v, fresh, &keep, &switched) < 0) {
		fail_sys(e, "write volume %s", path);
		if (!switched) /* else it is what the pod sees from now on */
			image_tree_remove(dir, fresh);
		return -1;
	}
	sweep(dir, v, fresh);
	return 0;
}

/* No size: half of the host's memory, as tmpfs has it. */
static int
memory_mount(const char *path, int64_t size, uint32_t root, struct error **e)
{
	char options[96], bytes[24] = "50%";

	if (size > 0)
		snprintf(bytes, sizeof(bytes), "%lld", (long long)size);
	snprintf(options, sizeof(options), "mode=0777,uid=%u,gid=%u,size=%s", root, root,
		 bytes);
	return mount("tmpfs", path, "tmpfs", MS_NODEV | MS_NOSUID, options) < 0
		   ? fail_sys(e, "mount the memory volume %s", path)
		   : 0;
}

int
volume_make(struct rt *rt, const struct rt_pod *p, const struct rt_volume *v, struct error **e)
{
	cleanup_free char *path = volume_path(rt, p, v);
	mode_t mode = v->type == RT_FILES ? 0755 : 0777;
	uint32_t root = v->type == RT_MEMORY ? users_tmpfs_root(&rt->users, p->user_base) : 0;
	struct stat st;

	if (v->type == RT_IMAGE)
		return 0; /* looked for when a container starts, as its own image is */
	if (v->type == RT_HOST)
		return hostpath_make(rt, v, e);
	if (v->type == RT_STORE) {
		/* never made here: an empty folder in place of lost data would be worse */
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			return fail(e, WHY_NOT_FOUND, "path \"%s\" does not exist", path);
		return 0;
	}
	if (poddir_make_dirs(path, mode, e) < 0)
		return -1;
	if (v->type == RT_MEMORY && memory_mount(path, v->size_limit, root, e) < 0)
		return -1;
	if (chmod(path, mode) < 0)
		return fail_sys(e, "set the mode of %s", path);
	/* setgid, so that what is made in it belongs to the group too */
	if (p->fs_group >= 0 && v->type != RT_FILES &&
	    (chown(path, (uid_t)-1, owner_of(root, p->fs_group).gid) < 0 ||
	     chmod(path, 02777) < 0))
		return fail_sys(e, "give %s to group %lld", path, (long long)p->fs_group);
	return v->type == RT_FILES ? volume_put(rt, p, v, e) : 0;
}

void
volumes_unmount(struct rt *rt, const char *uid)
{
	cleanup_free char *top = NULL;
	cleanup_closedir DIR *d = NULL;
	struct dirent *ent;

	xasprintf(&top, "%s/pods/%s/shm", rt->cfg.run_dir, uid);
	umount2(top, MNT_DETACH | UMOUNT_NOFOLLOW);
	free(top);
	xasprintf(&top, "%s/pods/%s/volumes", rt->cfg.run_dir, uid);
	d = opendir(top);
	while (d && (ent = readdir(d))) {
		cleanup_free char *path = NULL;

		if (ent->d_name[0] == '.')
			continue;
		xasprintf(&path, "%s/%s", top, ent->d_name);
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); /* EINVAL: it was none */
	}
}

/* volume.c -- a pod's volumes into a container's tree.
 *
 * A volume's contents are whatever some container wrote: another one of this
 * pod, of another pod with the same claim, or the makers of an image.  Below its top
 * no link is ever followed and every part of a path is taken by descriptor
 * (CVE-2017-1002101, CVE-2021-25741, CVE-2024-45310), so a process that swaps
 * directories and links while we start gets an error at most.  What is mounted is a tree of
 * its own, not yet attached while its rights are set (CVE-2021-30465).
 */
#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

enum { PART_MAX = 256, PLACE_MAX = 400 };

/* A place the pod's author chose: links of the image are followed inside the
 * root, but never into the kernel's own file systems. */
int
volume_place(int root, const char *path, bool file)
{
	struct statfs fs;
	int place = path_make(root, path, file);

	if (place < 0)
		return place;
	if (sys(fstatfs, place, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC ||
	    fs.f_type == SYSFS_MAGIC) {
		sys(close, place);
		return -EPERM;
	}
	return place;
}

/* The next part of a sub path, made when it is missing: as open as the top of the volume,
 * for we do not know who will write there.  A link in its place is an error. */
static int
sub_next(int dir, const char *name, unsigned mode)
{
	long fd = sys(openat, dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

	if (fd != -ENOENT)
		return (int)fd;
	r = sys(mkdirat, dir, name, 0700);
	if (r < 0 && r != -EEXIST)
		return (int)r;
	fd = sys(openat, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && r >= 0) {
		struct stat st;

		/* whatever the umask is; the group's bit comes from the directory around it */
		if (sys(fstat, fd, &st) >= 0)
			sys(fchmod, fd, (mode & 01777) | (st.st_mode & S_ISGID));
	}
	return (int)fd;
}

/* Walks down by descriptors, so that there is no path that could change under us. */
static int
sub_make(int top, const char *path)
{
	struct stat st;
	int dir = (int)sys(openat, top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && sys(fstat, dir, &st) < 0)
		st.st_mode = 0755;
	while (dir >= 0) {
		char name[PART_MAX];
		struct text t = TEXT(name);
		size_t n;
		int next;

		while (*path == '/')
			path++;
		if (!*path)
			return dir;
		for (n = 0; path[n] && path[n] != '/'; n++)
			;
		if (n >= sizeof(name) || (n == 2 && path[0] == '.' && path[1] == '.')) {
			sys(close, dir);
			return n == 2 ? -EPERM : -ENAMETOOLONG;
		}
		text_addn(&t, path, n);
		path += n;
		next = n == 1 && name[0] == '.'
			   ? (int)sys(openat, dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
			   : sub_next(dir, name, st.st_mode);
		sys(close, dir);
		dir = next;
	}
	return dir;
}

/* A volume of files is written by kedge alone and made of links: those may be
 * followed, inside it.  Of a path on the host the first part is the operator's word, the
 * rest may be in reach of pods. */
static int
source_open(const struct setup *s, const struct op *op)
{
	const char *inner = op_text(op, 1), *sub = op_text(op, 2);
	int follow = op->flags & V_OPERATOR ? 0 : O_NOFOLLOW;
	int top = (int)sys(openat, AT_FDCWD, op_text(op, 0), O_PATH | follow | O_CLOEXEC), fd;

	if (top >= 0 && *inner) {
		fd = open_in(top, inner, O_PATH, STRICT);
		sys(close, top);
		top = fd;
	}
	if (top < 0 || !*sub)
		return top;
	fd = open_in(top, sub, O_PATH, op->flags & V_FILES ? RESOLVE_BENEATH : STRICT);
	if (fd == -ENOENT && !(op->flags & (V_FILES | V_AS_IS))) {
		user_make_as(s, op->flags & V_OWNED);
		fd = sub_make(top, sub);
		user_make_as(s, true);
	}
	sys(close, top);
	return fd;
}

static int
source_tree(const struct op *op, int source)
{
	return (int)sys(open_tree, source, "",
			OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
			    (op->flags & V_RECURSIVE ? AT_RECURSIVE : 0));
}

/* What the container may do with the tree, while nobody can reach it. */
static int
tree_limit(const struct setup *s, const struct op *op, int tree)
{
	uint64_t own = MOUNT_ATTR_NOSUID | (op->flags & V_DEVICES ? 0 : MOUNT_ATTR_NODEV);
	struct mount_attr apart = { .propagation = MS_PRIVATE };
	int r = 0;

	if (op->flags & V_READ_ONLY_BELOW)
		own |= MOUNT_ATTR_RDONLY;
	r = set_attrs(tree, own, AT_RECURSIVE);
	if (r >= 0 && op->flags & V_READ_ONLY)
		r = set_attrs(tree, MOUNT_ATTR_RDONLY, 0);
	/* Our whole tree hears the host when one volume shall: the others are cut off. */
	if (r >= 0 && s->hears && !(op->flags & (V_HEARS | V_TELLS)))
		r = (int)sys(mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &apart,
			     sizeof(apart));
	return r;
}

/* Where it was to be; of what was not found within the volume, that, too. */
static const char *
place_of(const struct op *op, struct text *t)
{
	const char *sub = op_text(op, 2);

	text_add(t, op_text(op, 3));
	if (*sub) {
		text_add(t, " (subPath \"");
		text_add(t, sub);
		text_add(t, "\")");
	}
	return t->at;
}

/* The clone is made a peer of the host's mount while ours still are; it is the
 * operator's leave (allow.privileged) that brings us here. */
int
mount_share(struct setup *s, const struct op *op)
{
	int source = source_open(s, op), tree = source < 0 ? source : source_tree(op, source);
	char place[PLACE_MAX];
	struct text t = TEXT(place);

	drop(source);
	if (tree >= 0 && s->nshared == (int)(sizeof(s->shared) / sizeof(*s->shared))) {
		sys(close, tree);
		tree = -EMFILE;
	}
	if (tree < 0)
		return setup_fail(s, op, place_of(op, &t), tree);
	s->shared[s->nshared++] = tree;
	return 0;
}

int
mount_volume(struct setup *s, const struct op *op)
{
	const char *target = op_text(op, 3), *what = target;
	char named[PLACE_MAX];
	struct text t = TEXT(named);
	struct stat st;
	int source = -1, place = -1, tree = -1, r;

	if (op->flags & V_TELLS && s->nshared > 0) { /* in the order they were shared in */
		r = tree = s->shared[0];
		for (int i = 1; i < s->nshared; i++)
			s->shared[i - 1] = s->shared[i];
		s->nshared--;
		if (r >= 0)
			r = (int)sys(fstat, tree, &st);
	} else {
		r = source = source_open(s, op);
		if (r < 0)
			what = place_of(op, &t);
		else
			r = (int)sys(fstat, source, &st);
		if (r >= 0)
			r = tree = source_tree(op, source);
	}
	if (r >= 0)
		r = tree_limit(s, op, tree);
	if (r >= 0 && !(op->flags & V_OWNED) &&
	    (r = id_map(s, tree, op->flags & V_RECURSIVE ? AT_RECURSIVE : 0)) == -EINVAL)
		what = "(its file system has no id-mapped mounts, which a pod's user namespace "
		       "needs; hostUsers: true does not)";
	if (r >= 0 &&
	    (r = place = volume_place(s->root, target, !S_ISDIR(st.st_mode))) == -EPERM)
		what =
		    "(its place is in /proc or /sys, which are the kernel's: mount what is the "
		    "host's elsewhere, as at /host/sys)";
	if (r >= 0)
		r = attach(tree, place);
	drop(source);
	drop(place);
	drop(tree);
	return r < 0 ? setup_fail(s, op, what, r) : 0;
}

/* ---- images ---- */

/* The layers as one tree that nobody can write.  Names of layers are kedge's own. */
static int
layers_tree(const struct setup *s, const struct op *op, bool joined)
{
	int fs = (int)sys(fsopen, "overlay", FSOPEN_CLOEXEC), r = fs;
	const char *what;

	if (r >= 0)
		r = layers_add(s, fs, op, 2, joined, &what);
	if (r >= 0)
		r = (int)sys(fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r >= 0)
		r = (int)sys(fsmount, fs, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
				 MOUNT_ATTR_NOEXEC);
	drop(fs);
	if (joined)
		sys(chdir, "/");
	return r == -EINVAL && !joined ? layers_tree(s, op, true) : r;
}

/* A part of a tree that is mounted nowhere, which kernels before 6.15 do not clone: for that
 * moment it is, where nobody looks, in the tree that we leave. */
static int
part_tree(int all, int part, const char *nowhere)
{
	int tree = tree_of(part, ""), place, r;

	if (tree != -EINVAL)
		return tree;
	place =
	    (int)sys(openat, AT_FDCWD, nowhere, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = place < 0 ? place : attach(all, place);
	drop(place);
	if (r < 0)
		return r;
	tree = tree_of(part, "");
	sys(umount2, nowhere, MNT_DETACH | UMOUNT_NOFOLLOW);
	return tree;
}

int
mount_image(struct setup *s, const struct op *op)
{
	const char *sub = op_text(op, 0), *target = op_text(op, 1);
	int all = layers_tree(s, op, false), part = -1, place = -1, tree = -1, r = all;
	struct stat st;

	if (r >= 0)
		r = part = open_in(all, sub, O_PATH, STRICT);
	if (r >= 0)
		r = (int)sys(fstat, part, &st);
	if (r >= 0 && *sub)
		r = tree = part_tree(all, part, op_text(op, op->nstr - 1));
	if (r >= 0)
		r = place = volume_place(s->root, target, !S_ISDIR(st.st_mode));
	if (r >= 0)
		r = attach(*sub ? tree : all, place);
	drop(all);
	drop(part);
	drop(place);
	drop(tree);
	return r < 0 ? setup_fail(s, op, target, r) : 0;
}

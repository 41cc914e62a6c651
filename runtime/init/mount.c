/* mount.c -- a container's tree, by the mount API and descriptors alone.
 *
 * What an image controls is only ever reached through openat2 below the
 * descriptor of its root (the image cannot name anything outside), and what is mounted
 * there comes from a fresh fsopen or from the host's own tree before we leave
 * it.  Every mount is nodev but the host's device nodes themselves, so a node
 * made inside with mknod opens nothing (a privileged container's hostPaths are the exception:
 * volume_ops.c says why).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

enum { MNT_DETACH_ = 2 };

/* In `path` the bytes from `dir` to `upto` are a link to nowhere, cut off by a
 * NUL where `end` was: its target takes its place, as if the kernel had followed
 * it.  Where that leads is openat2's to bound. */
static int
path_follow(int parent, char path[4096], size_t dir, size_t upto, char end)
{
	char target[4096];
	struct text t = TEXT(target);
	long n;

	n = sys(readlinkat, parent, path + dir, target, sizeof(target) - 1);
	path[upto] = end;
	if (n < 0)
		return (int)n;
	if (target[0] != '/') { /* relative to where the link is */
		if (dir + (size_t)n >= sizeof(target))
			return -ENAMETOOLONG;
		memmove(target + dir, target, (size_t)n);
		memcpy(target, path, dir);
		n += (long)dir;
	}
	t.len = (size_t)n;
	text_add(&t, path + upto);
	if (t.len + 1 >= t.cap)
		return -ENAMETOOLONG;
	memcpy(path, target, t.len + 1);
	return 0;
}

/* Makes the next part of a path that is not there: a directory, or at the end a file. */
static long
part_make(int parent, const char *name, bool file)
{
	long r;

	if (!file)
		return sys(mkdirat, parent, name, 0755);
	r = sys(openat, parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		0644);
	if (r >= 0)
		sys(close, r);
	/* a link to nowhere where a file should be: ours takes its place */
	if (r == -EEXIST && sys(unlinkat, parent, name, 0) >= 0)
		return part_make(parent, name, file);
	return r;
}

/* Opens `path` inside root, making what is missing of it: directories, and at
 * its end a directory or an empty file.  Symbolic links mean what they mean inside. */
int
path_make(int root, const char *path, bool file)
{
	char prefix[4096];
	size_t n = strlen(path), at = 0;
	int fd = open_in(root, path, O_PATH, IN_ROOT), parent, links = 0;

	if (fd != -ENOENT)
		return fd;
	if (n >= sizeof(prefix))
		return -ENAMETOOLONG;
	memcpy(prefix, path, n + 1);
	parent = (int)sys(openat, root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (parent >= 0) {
		char *name, end;
		long r = 0;

		while (prefix[at] == '/')
			at++;
		name = prefix + at;
		while (prefix[at] && prefix[at] != '/')
			at++;
		if (!*name)
			return parent;
		end = prefix[at];
		prefix[at] = '\0';
		fd = open_in(root, prefix, O_PATH, IN_ROOT);
		if (fd == -ENOENT) {
			r = part_make(parent, name, file && !end);
			fd = r < 0 ? (int)r : open_in(root, prefix, O_PATH, IN_ROOT);
		}
		if (r == -EEXIST &&
		    links++ < 8) { /* a link to nowhere: begin again with its target */
			r = path_follow(parent, prefix, (size_t)(name - prefix), at, end);
			at = 0;
			fd = r < 0 ? (int)r
				   : (int)sys(openat, root, ".",
					      O_PATH | O_DIRECTORY | O_CLOEXEC);
		} else {
			prefix[at] = end;
		}
		sys(close, parent);
		parent = fd;
	}
	return parent;
}

/* A new file system, configured by pairs of key and value, not attached anywhere. */
int
fs_new(const char *type, const char *const *options, unsigned attrs)
{
	long fs = sys(fsopen, type, FSOPEN_CLOEXEC), r = 0;

	if (fs < 0)
		return (int)fs;
	for (; options && *options && r >= 0; options += 2)
		r = sys(fsconfig, fs, options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			options[0], options[1], 0);
	if (r >= 0)
		r = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r >= 0)
		r = sys(fsmount, fs, FSMOUNT_CLOEXEC, attrs);
	sys(close, fs);
	return (int)r;
}

/* Shows a tree that is mounted nowhere yet with the pod's ids for those it has on disk. */
int
id_map(const struct setup *s, int tree, unsigned how)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP,
				.userns_fd = (uint64_t)s->user_ns };

	if (s->user_ns < 0)
		return 0;
	return (int)sys(mount_setattr, tree, "", AT_EMPTY_PATH | how, &a, sizeof(a));
}

/* The place for one of the kernel's file systems: a real directory of the
 * image, never a link (CVE-2019-19921, CVE-2026-41579), made when missing. */
int
mount_own_dir(int root, const char *name)
{
	int fd = open_in(root, name, O_PATH | O_DIRECTORY, STRICT);

	if (fd == -ENOENT) {
		long r = sys(mkdirat, root, name, 0755);

		if (r < 0)
			return (int)r;
		fd = open_in(root, name, O_PATH | O_DIRECTORY, STRICT);
	}
	return fd;
}

static int
add_dir(int fs, const char *key, int fd)
{
	char name[64];
	struct text t = TEXT(name);
	long r = fd < 0 ? fd : sys(fsconfig, fs, FSCONFIG_SET_FD, key, NULL, fd);

	if (r != -EINVAL && r != -EOPNOTSUPP) {
		if (fd >= 0)
			sys(close, fd);
		return (int)r;
	}
	/* Before Linux 6.13 by name, and before 6.5 one that is only read when the file system
	 * is made: the exec closes the descriptor. */
	text_add(&t, "/proc/self/fd/");
	text_num(&t, (uint64_t)fd, 1);
	return (int)sys(fsconfig, fs, FSCONFIG_SET_STRING, key, name, 0);
}

/* In the store that has it, when it is mapped. */
static int
layer_open(const struct setup *s, const char *path)
{
	for (int i = 0; i < s->nstores; i++) {
		const char *store = s->stores[i].path;
		size_t n = strlen(store);

		if (strlen(path) >= n && memcmp(path, store, n) == 0 &&
		    (!path[n] || path[n] == '/'))
			return open_in(s->stores[i].tree, path + n, O_PATH | O_DIRECTORY,
				       STRICT);
	}
	return (int)sys(openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int
layer_add(const struct setup *s, int fs, const char *key, const char *path)
{
	return add_dir(fs, key, layer_open(s, path));
}

/* Before Linux 6.5 all layers are one string of at most 255 bytes, read when the
 * file system is made: so each is a number, a name in /proc/self/fd, where we stand until
 * then.  The descriptors are closed by the exec, or with the child that failed. */
static int
add_layers_joined(const struct setup *s, int fs, const struct op *op, unsigned from)
{
	char all[256];
	struct text t = TEXT(all);
	long fd = sys(openat, AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC), r;

	/* The room's has moved to the root by the time of volumes, onto a directory
	 * (mount_proc). */
	if (fd == -ENOENT && s->root >= 0)
		fd = sys(openat, s->root, "proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? fd : sys(fchdir, fd);
	if (fd >= 0)
		sys(close, fd);
	for (unsigned i = from; r >= 0 && i < op->nstr; i++) {
		r = layer_open(s, op_text(op, i));
		text_add(&t, i > from ? ":" : "");
		text_num(&t, (uint64_t)r, 1);
	}
	if (r >= 0 && t.len + 1 == t.cap)
		r = -ENAMETOOLONG;
	return (int)(r < 0 ? r : sys(fsconfig, fs, FSCONFIG_SET_STRING, "lowerdir", all, 0));
}

int
layers_add(const struct setup *s, int fs, const struct op *op, unsigned from, bool joined,
	   const char **ret_what)
{
	int r = joined ? add_layers_joined(s, fs, op, from) : 0;

	for (unsigned i = from; r >= 0 && i < op->nstr && !joined; i++) {
		*ret_what = op_text(op, i);
		r = layer_add(s, fs, "lowerdir+", *ret_what);
	}
	return r;
}

/* base.N/upper and base.N/work: every run begins with what the image holds. */
static int
add_writable(const struct setup *s, int fs, const char *base)
{
	char path[W_PATH];
	struct text t = TEXT(path);
	size_t n;
	long r;

	text_add(&t, base);
	text_add(&t, ".");
	text_num(&t, (uint64_t)s->run, 1);
	r = sys(mkdirat, AT_FDCWD, path, 0700);
	n = t.len;
	for (int i = 0; i < 2 && (r >= 0 || r == -EEXIST); i++) {
		t.len = n;
		text_add(&t, i ? "/work" : "/upper");
		r = sys(mkdirat, AT_FDCWD, path, 0755);
		if (r >= 0 || r == -EEXIST)
			r = layer_add(s, fs, i ? "workdir" : "upperdir", path);
	}
	return (int)r;
}

/* The root as a tree that is mounted nowhere yet, or -errno and what it was about. */
static int
overlay_tree(struct setup *s, const struct op *op, bool joined, const char **ret_what)
{
	long fs = sys(fsopen, "overlay", FSOPEN_CLOEXEC), r;

	*ret_what = "(overlayfs)";
	if (fs < 0)
		return (int)fs;
	r = layers_add(s, (int)fs, op, 2 + (unsigned)op->num[0], joined, ret_what);
	if (r >= 0) {
		*ret_what = op_text(op, 0);
		r = add_writable(s, (int)fs, op_text(op, 0));
	}
	if (r >= 0) {
		*ret_what = "(overlayfs)";
		/* The writable layer dies with the run, so nobody needs it synced. */
		sys(fsconfig, fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0);
		r = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	}
	if (r >= 0)
		r = sys(fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	sys(close, fs);
	if (joined)
		sys(chdir, "/");
	return (int)r;
}

/* The stores of layers once more, with the ids of the pod's root for root's: mounted, for
 * overlayfs of old kernels takes only what is; at the place of the root to be, or where they
 * are, in the room. */
int
mount_map_stores(struct setup *s, const struct op *op, const char **ret_what)
{
	for (unsigned i = 0; i < 2 && i < op->num[0]; i++) {
		const char *path = *ret_what = op_text(op, 2 + i);
		long r =
		    sys(openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int place, tree = r < 0 ? (int)r : tree_of((int)r, "");

		if (r >= 0)
			sys(close, r);
		r = tree < 0 ? tree : id_map(s, tree, 0);
		place = s->room >= 0 ? path_make(s->room, path, false)
				     : (int)sys(openat, AT_FDCWD, op_text(op, 1),
						O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (r >= 0)
			r = place < 0 ? place : attach(tree, place);
		drop(place);
		if (r < 0)
			return (int)r;
		s->stores[i].path = path;
		s->stores[i].tree = tree;
		s->nstores++;
	}
	return 0;
}

/* The old root ends up on top of the new one, and is let go with all below it. */
long
mount_root_enter(int root)
{
	long r = sys(fchdir, root);

	if (r >= 0)
		r = sys(pivot_root, ".", ".");
	if (r >= 0)
		r = sys(umount2, ".", MNT_DETACH_);
	return r < 0 ? r : sys(chdir, "/");
}

/* Nothing we mount may show on the host, nor, unless a volume shall, the other way round. */
int
mount_cut_off(struct setup *s, bool hears)
{
	struct mount_attr own = { .propagation = hears ? MS_SLAVE : MS_PRIVATE };

	s->hears = hears;
	return (int)sys(mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &own, sizeof(own));
}

int
mount_layers_tree(struct setup *s, const struct op *op, const char **ret_what)
{
	int tree = overlay_tree(s, op, false, ret_what);

	/* an old kernel says so at once or only in the end */
	return tree == -EINVAL ? overlay_tree(s, op, true, ret_what) : tree;
}

int
mount_root(struct setup *s, const struct op *op)
{
	const char *what;
	long tree, r, place;

	if (s->room < 0) {
		what = "/";
		r = mount_cut_off(s, op->flags & 1);
		if (r >= 0)
			r = mount_map_stores(s, op, &what);
		if (r < 0)
			return setup_fail(s, op, what, (int)r);
	}
	tree = room_layers(s, op);
	if (tree < 0)
		tree = mount_layers_tree(s, op, &what);
	if (tree < 0)
		return setup_fail(s, op, what, (int)tree);
	place = sys(openat, AT_FDCWD, op_text(op, 1),
		    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = place < 0 ? place : attach((int)tree, (int)place);
	if (place >= 0)
		sys(close, place);
	if (r < 0)
		return setup_fail(s, op, op_text(op, 1), (int)r);
	s->root = (int)tree;
	return s->room < 0 ? 0 : room_move(s);
}

int
mount_proc(struct setup *s, const struct op *op)
{
	int place = mount_own_dir(s->root, "proc"), tree, r;

	if (place < 0)
		return setup_fail(s, op, "", place);
	/* procfs shows the pid namespace of who mounts it: ours, where we are 1 */
	tree = fs_new("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	r = tree < 0 ? tree : attach(tree, place);
	sys(close, place);
	s->proc = tree; /* until the exec closes it: masks go there */
	return r < 0 ? setup_fail(s, op, "", r) : 0;
}

int
mount_sys(struct setup *s, const struct op *op)
{
	const unsigned attrs = (op->flags & 2 ? 0 : MOUNT_ATTR_RDONLY) | MOUNT_ATTR_NOSUID |
			       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int place = mount_own_dir(s->root, "sys"), tree, group, r;

	if (place < 0)
		return setup_fail(s, op, "", place);
	s->sysfs = tree = fs_new("sysfs", NULL, attrs);
	r = tree < 0 ? tree : attach(tree, place);
	sys(close, place);
	if (r < 0)
		return setup_fail(s, op, "", r);
	if (op->flags & 1) {
		place = open_in(tree, "fs/cgroup", O_PATH | O_DIRECTORY, STRICT);
		group = fs_new("cgroup2", NULL, attrs);
		r = place < 0 ? place : group < 0 ? group : attach(group, place);
		if (place >= 0)
			sys(close, place);
		if (group >= 0)
			sys(close, group);
	}
	return r < 0 ? setup_fail(s, op, "fs/cgroup", r) : 0;
}

static const struct {
	const char *host, *name;
	unsigned major, minor;
} nodes[] = {
	{ "/dev/null", "null", 1, 3 },       { "/dev/zero", "zero", 1, 5 },
	{ "/dev/full", "full", 1, 7 },       { "/dev/random", "random", 1, 8 },
	{ "/dev/urandom", "urandom", 1, 9 }, { "/dev/tty", "tty", 5, 0 },
};

static const char *const links[][2] = {
	{ "/proc/self/fd", "fd" },       { "/proc/self/fd/0", "stdin" },
	{ "/proc/self/fd/1", "stdout" }, { "/proc/self/fd/2", "stderr" },
	{ "pts/ptmx", "ptmx" },          { "/proc/kcore", "core" },
};

/* The host's node i: what will be mounted is looked at before it is (CVE-2025-31133).  It is
 * the host's own inode: read-only, so that the container's root cannot chmod or chown the
 * host's /dev/null.  What is written goes to the driver, which this does not bar. */
static int
host_node(size_t i)
{
	int tree = (int)sys(open_tree, AT_FDCWD, nodes[i].host,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	struct stat st;
	int r = tree < 0 ? tree : (int)sys(fstat, tree, &st);

	if (r >= 0 && (!S_ISCHR(st.st_mode) ||
		       st.st_rdev != ((uint64_t)nodes[i].major << 8 | nodes[i].minor)))
		r = -ENODEV;
	if (r >= 0)
		r = set_attrs(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			      0);
	if (r < 0)
		drop(tree);
	return r < 0 ? r : tree;
}

static int
dev_node(int dev, size_t i)
{
	int r = (int)sys(mknodat, dev, nodes[i].name, S_IFREG | 0666, 0);
	int tree = r < 0 ? r : host_node(i);

	r = tree < 0 ? tree : attach_at(tree, dev, nodes[i].name);
	drop(tree);
	return r;
}

/* A node beyond the usual ones, for a container that the operator lets have it: writable,
 * and a device it is only where the host's mount lets it be one. */
static int
dev_extra(int dev, const char *name)
{
	long host = sys(openat, AT_FDCWD, "/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int node = host < 0 ? (int)host : open_in((int)host, name, O_PATH, STRICT);
	int place = node < 0 ? node : path_make(dev, name, true);
	int tree = place < 0 ? place : tree_of(node, "");
	int r = tree < 0 ? tree : set_attrs(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);

	if (r >= 0)
		r = attach(tree, place);
	for (int i = 0; i < 4; i++) {
		int fd = i == 0 ? (int)host : i == 1 ? node : i == 2 ? place : tree;

		if (fd >= 0)
			sys(close, fd);
	}
	return r == -ENOENT ? 0 : r; /* it was there when the container was prepared */
}

/* A file system at /dev/NAME, or a tree of the host's there. */
static int
dev_sub(int dev, const char *name, int tree)
{
	int r = tree < 0 ? tree : (int)sys(mkdirat, dev, name, 0755);

	if (r >= 0)
		r = attach_at(tree, dev, name);
	drop(tree);
	return r;
}

/* The terminal comes from the container's own devpts, by descriptor and never
 * by a name under /dev/pts (CVE-2025-52565); its master goes to kedge-init. */
static int
dev_terminal(struct setup *s, int dev)
{
	long master = sys(openat, dev, "pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), slave, file;
	int zero = 0, tree, r;
	char byte = 't', room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec one = { &byte, 1 };
	struct msghdr m = { .msg_iov = &one,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd;

	if (master < 0)
		return (int)master;
	sys(ioctl, master, TIOCSPTLCK, &zero);
	slave = sys(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return (int)slave;
	file = sys(openat, dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	tree = tree_of((int)slave, "");
	r = file < 0 ? (int)file : tree < 0 ? tree : attach(tree, (int)file);
	if (r < 0)
		return r;
	fd = (int)master;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	r = (int)sys(sendmsg, s->report, &m, MSG_NOSIGNAL);
	for (int i = 0; i < 3; i++)
		sys(dup3, slave, i, 0);
	sys(ioctl, 0, TIOCSCTTY, 0);
	return r < 0 ? r : 0;
}

static int
dev_shm(const struct setup *s, const char *shared, bool owned)
{
	static const char *const options[] = { "mode", "1777", "size", "64m", NULL };
	long fd;
	int tree, r;

	if (!*shared)
		return fs_new("tmpfs", options,
			      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	fd = sys(openat, AT_FDCWD, shared, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return (int)fd;
	tree = tree_of((int)fd, "");
	sys(close, fd);
	r = tree < 0 || owned ? tree : id_map(s, tree, 0);
	return r < 0 ? r : tree;
}

int
mount_dev(struct setup *s, const struct op *op)
{
	static const char *const tmpfs[] = { "mode",      "755",  "size", "64k",
					     "nr_inodes", "4096", NULL };
	char tty[16];
	struct text gid = TEXT(tty);
	const char *const devpts[] = { "newinstance", NULL,  "ptmxmode", "0666", "mode",
				       "0620",        "gid", tty,        NULL };
	const unsigned safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int place = mount_own_dir(s->root, "dev"), dev, r;
	const char *what = "";

	if (place < 0)
		return setup_fail(s, op, what, place);
	text_num(&gid, s->id_base + 5, 1);
	dev = fs_new("tmpfs", tmpfs, safe | MOUNT_ATTR_NODEV);
	r = dev < 0 ? dev : attach(dev, place);
	sys(close, place);
	if (r < 0)
		return setup_fail(s, op, what, r);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes) && r >= 0; i++)
		r = dev_node(dev, i), what = nodes[i].name;
	for (unsigned i = 1; i < op->nstr && r >= 0; i++)
		r = dev_extra(dev, what = op_text(op, i));
	for (size_t i = 0; i < sizeof(links) / sizeof(*links) && r >= 0; i++)
		r = (int)sys(symlinkat, links[i][0], dev, links[i][1]), what = links[i][1];
	if (r >= 0)
		r = dev_sub(dev, what = "pts", fs_new("devpts", devpts, safe));
	if (r >= 0)
		r = dev_sub(dev, what = "shm", dev_shm(s, op_text(op, 0), op->flags & 2));
	if (r >= 0) {
		r = dev_sub(dev, what = "mqueue",
			    fs_new("mqueue", NULL, safe | MOUNT_ATTR_NODEV));
		r = r == -ENODEV ? 0 : r; /* a kernel without message queues */
	}
	if (r >= 0 && op->flags & 1)
		r = dev_terminal(s, dev), what = "console";
	sys(close, dev);
	return r < 0 ? setup_fail(s, op, what, r) : 0;
}

/* The procfs or sysfs that we mounted, and what `path` is called there: all names in them are
 * the kernel's, so that they are resolved as they are. */
static int
kernels_own(const struct setup *s, const char *path, const char **ret_name)
{
	const struct {
		const char *at;
		int fs;
	} mounts[] = { { "/proc/", s->proc }, { "/sys/", s->sysfs } };

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(mounts[i].at);

		if (strlen(path) <= n || memcmp(path, mounts[i].at, n) != 0)
			continue;
		*ret_name = path + n;
		return mounts[i].fs < 0 ? -EBADF : mounts[i].fs;
	}
	return -EINVAL;
}

/* What hides a file, or a directory. */
static int
mask_new(const char *empty, bool dir)
{
	int tree, r;

	if (!dir)
		return host_node(0);
	tree = (int)sys(open_tree, AT_FDCWD, empty,
			OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	r = tree < 0 ? tree : set_attrs(tree, MOUNT_ATTR_RDONLY, 0);
	if (r < 0)
		drop(tree);
	return r < 0 ? r : tree;
}

/* Masks what the kernel made, in the procfs and sysfs we mounted; absent is fine.  The first
 * mask of either kind is made anew, and the others are that once more. */
int
mount_mask(struct setup *s, const struct op *op)
{
	const char *path = op_text(op, 0), *name;
	int fs = kernels_own(s, path, &name), tree, r = fs;
	struct stat st;
	bool dir;

	if (r >= 0)
		r = (int)sys(newfstatat, fs, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return setup_fail(s, op, path, r);
	dir = S_ISDIR(st.st_mode);
	tree = s->mask[dir] >= 0 ? tree_of(s->mask[dir], "") : mask_new(op_text(op, 1), dir);
	r = tree < 0 ? tree : attach_at(tree, fs, name);
	if (r >= 0 && s->mask[dir] < 0)
		s->mask[dir] = tree; /* the exec closes it */
	else
		drop(tree);
	return r < 0 ? setup_fail(s, op, path, r) : 0;
}

int
mount_readonly(struct setup *s, const struct op *op)
{
	const char *path = op_text(op, 0), *name;
	int fs = kernels_own(s, path, &name), r;
	int tree = fs < 0 ? fs
			  : (int)sys(open_tree, fs, name,
				     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	if (tree == -ENOENT)
		return 0;
	r = tree < 0 ? tree
		     : set_attrs(tree,
				 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				     MOUNT_ATTR_NOEXEC,
				 0);
	if (r >= 0)
		r = attach_at(tree, fs, name);
	drop(tree);
	return r < 0 ? setup_fail(s, op, path, r) : 0;
}

/* Mounts a place of the root on itself, with all that is mounted in there, so that it stays as
 * it is when the root changes.  What is the kernel's (volume_place) is nobody's volume. */
static int
stay_writable(const struct setup *s, const char *path)
{
	int place = volume_place(s->root, path, false), tree, r;

	if (place == -EPERM)
		return 0;
	tree =
	    place < 0
		? place
		: (int)sys(open_tree, place, "",
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	r = tree < 0 ? tree : attach(tree, place);
	drop(place);
	drop(tree);
	return r;
}

int
mount_seal(struct setup *s, const struct op *op)
{
	int r = 0;

	for (unsigned i = 0; i < op->nstr; i++) {
		r = stay_writable(s, op_text(op, i));
		if (r < 0)
			return setup_fail(s, op, op_text(op, i), r);
	}
	r = set_attrs(s->root, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? setup_fail(s, op, "", r) : 0;
}

int
mount_pivot(struct setup *s, const struct op *op)
{
	long r = mount_root_enter(s->root);

	if (r < 0)
		return setup_fail(s, op, "", (int)r);
	sys(close, s->root);
	s->root = -1;
	return 0;
}

/* image_layer.c -- one tar to one directory that overlayfs takes as a lower layer.
 *
 * Runs in the fenced child, yet resolves nothing by path there either: a
 * parent is opened with openat2 (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), the
 * last component is never followed.  An entry that would need more than that
 * is refused by name, and with it the whole layer.
 *
 * Whiteouts become what overlayfs understands: a character device 0:0 for a
 * removed name; for an opaque directory its path is noted, because the xattr
 * that marks it needs a right that the child does not have.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define XATTR_MAX (64 * 1024)
#define WHITEOUT  ".wh."
#define OPAQUE    ".wh..wh..opq"

/* A directory's mtime is set last, for filling it would change it. */
struct dir_time {
	char *path;
	struct timespec at;
};

struct unpack {
	struct stream *stream;
	struct budget *budget;
	struct layer *layer;
	int root;
	int parent; /* of the entry before, for most share it */
	char *parent_path;
	struct dir_time *dirs;
	size_t ndirs, cap;
};

int
image_path_clean(const char *path, char **ret, struct error **e)
{
	cleanup_buf struct buf b = { 0 };
	const char *at = path;

	if (*path == '/')
		return fail(e, WHY_INVALID,
			    "%s: is an absolute path; a layer may only hold relative ones",
			    path);
	while (*at) {
		size_t n = strcspn(at, "/");

		if (n > 255 || b.len + n > 4000)
			return fail(e, WHY_INVALID, "%.100s...: the path is too long", path);
		if (n == 2 && memcmp(at, "..", 2) == 0)
			return fail(e, WHY_INVALID, "%s: leads out of the layer by \"..\"",
				    path);
		if (n > 0 && !(n == 1 && *at == '.')) {
			if (b.len > 0)
				buf_addc(&b, '/');
			buf_add(&b, at, n);
		}
		at += n + (at[n] == '/');
	}
	*ret = b.len > 0 ? buf_steal(&b) : xstrdup(".");
	return 0;
}

static int
dir_beneath(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return syscall(SYS_openat2, root, path, &how, sizeof how);
}

static bool
is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Each is marked later by the one process that does everything else, too. */
enum { OPAQUE_MOST = 10000 };

static int
opaque_add(struct unpack *u, const char *path, struct error **e)
{
	struct layer *l = u->layer;
	size_t n = strlen(path) + 1;

	if (l->opaque.len >= n && !memcmp(l->opaque.at + l->opaque.len - n, path, n) &&
	    (l->opaque.len == n || !l->opaque.at[l->opaque.len - n - 1]))
		return 0; /* said again */
	if (++l->nopaque > OPAQUE_MOST)
		return fail(
		    e, WHY_TOO_LARGE,
		    "more than %d directories of the layer hide those of the layers below",
		    OPAQUE_MOST);
	buf_add(&l->opaque, path, n);
	return 0;
}

/* One missing or odd component of a parent path: made, or refused. */
static int
component_make(struct unpack *u, int at, const char *name, const char *path, struct error **e)
{
	struct stat st;

	if (mkdirat(at, name, 0755) == 0)
		return 0;
	if (errno != EEXIST || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "%s: mkdir", path);
	if (S_ISDIR(st.st_mode))
		return 0;
	if (S_ISLNK(st.st_mode))
		return fail(e, WHY_INVALID, "goes through %s, which is a symbolic link", path);
	if (!is_whiteout(&st))
		return fail(e, WHY_INVALID, "goes through %s, which is not a directory", path);
	/* the lower layers' directory was removed, and here is a new one */
	if (unlinkat(at, name, 0) < 0 || mkdirat(at, name, 0755) < 0)
		return fail_sys(e, "%s: mkdir", path);
	return opaque_add(u, path, e);
}

static int
parents_make(struct unpack *u, const char *path, int *ret, struct error **e)
{
	cleanup_close int at = openat(u->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *p = xstrdup(path);

	if (at < 0)
		return fail_sys(e, "open the layer");
	for (char *s = p; s;) {
		char *slash = strchr(s, '/');
		int next;

		if (slash)
			*slash = '\0';
		if (component_make(u, at, s, p, e) < 0)
			return -1;
		next = openat(at, s, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return fail_sys(e, "%s: open", p);
		close(at);
		at = next;
		if (slash)
			*slash = '/';
		s = slash ? slash + 1 : NULL;
	}
	*ret = steal_fd(&at);
	return 0;
}

/* `*ret_at` is borrowed until the next call; `*ret_leaf` points into path. */
static int
parent_open(struct unpack *u, const char *path, int *ret_at, const char **ret_leaf,
	    struct error **e)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? xstrndup(path, slash - path) : xstrdup(".");
	int fd;

	*ret_leaf = slash ? slash + 1 : path;
	if (u->parent_path && strcmp(u->parent_path, dir) == 0) {
		*ret_at = u->parent;
		return 0;
	}
	fd = dir_beneath(u->root, dir);
	if (fd < 0 && parents_make(u, dir, &fd, e) < 0)
		return -1;
	if (u->parent >= 0)
		close(u->parent);
	free(u->parent_path);
	u->parent = fd;
	u->parent_path = steal_ptr(&dir);
	*ret_at = fd;
	return 0;
}

/* The directory of the entry before may be the one that goes. */
static void
parent_forget(struct unpack *u)
{
	if (u->parent >= 0)
		close(u->parent);
	u->parent = -1;
	free(u->parent_path);
	u->parent_path = NULL;
}

/* Makes room for an entry: what the layer itself had there before goes. */
static int
room_make(struct unpack *u, int at, const char *leaf, struct error **e)
{
	struct stat st;

	if (fstatat(at, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail_sys(e, "stat");
	if (S_ISDIR(st.st_mode)) {
		int rc = image_tree_remove(at, leaf);

		parent_forget(u);
		return rc < 0 ? fail_sys(e, "remove the directory of the same name") : 0;
	}
	return unlinkat(at, leaf, 0) < 0 ? fail_sys(e, "unlink") : 0;
}

static bool
xattr_kept(const char *name)
{
	/* trusted.* and user.overlay.* steer overlayfs; security labels are the host's */
	if (strcmp(name, "security.capability") == 0)
		return true;
	return strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
}

static int
xattrs_set(int fd, struct archive_entry *x, struct error **e)
{
	const char *name;
	const void *value;
	size_t n;

	archive_entry_xattr_reset(x);
	while (archive_entry_xattr_next(x, &name, &value, &n) == ARCHIVE_OK) {
		if (!name || !xattr_kept(name))
			continue;
		if (n > XATTR_MAX)
			return fail(e, WHY_TOO_LARGE,
				    "its attribute %s has %zu bytes; at most %d are kept", name,
				    n, XATTR_MAX);
		if (fsetxattr(fd, name, value, n, 0) == 0)
			continue;
		/* a file system without user attributes: nothing that a program needs */
		if (errno == ENOTSUP && name[0] == 'u')
			continue;
		return fail_sys(e, "set its attribute %s", name);
	}
	return 0;
}

static int
owner_of(struct archive_entry *x, uid_t *ret_uid, gid_t *ret_gid, struct error **e)
{
	int64_t uid = archive_entry_uid(x), gid = archive_entry_gid(x);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return fail(e, WHY_INVALID, "its owner %lld:%lld is out of range",
			    (long long)uid, (long long)gid);
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

static struct timespec
mtime_of(struct archive_entry *x)
{
	if (!archive_entry_mtime_is_set(x))
		return (struct timespec){ 0 };
	return (struct timespec){ archive_entry_mtime(x), archive_entry_mtime_nsec(x) };
}

/* Owner before mode before xattrs: chown clears setuid and file capabilities. */
static int
facts_set(int fd, struct archive_entry *x, struct error **e)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (owner_of(x, &uid, &gid, e) < 0)
		return -1;
	if (fchown(fd, uid, gid) < 0)
		return fail_sys(e, "chown");
	if (fchmod(fd, archive_entry_mode(x) & 07777) < 0)
		return fail_sys(e, "chmod");
	return xattrs_set(fd, x, e);
}

/* `*ret_end` is where the last of its bytes ends. */
static int
contents_write(struct unpack *u, int fd, const char *path, int64_t *ret_end, struct error **e)
{
	const void *bytes;
	size_t n;
	la_int64_t off;
	int rc;

	*ret_end = 0;
	while ((rc = archive_read_data_block(u->stream->tar, &bytes, &n, &off)) == ARCHIVE_OK ||
	       rc == ARCHIVE_WARN) {
		if (image_budget_bytes(u->budget, n, path, e) < 0)
			return -1;
		u->layer->bytes += n;
		while (n > 0) {
			ssize_t done = pwrite(fd, bytes, n, off);

			if (done < 0 && errno == EINTR)
				continue;
			if (done < 0)
				return fail_sys(e, "write");
			bytes = (const char *)bytes + done;
			off += done;
			n -= done;
			*ret_end = off;
		}
	}
	return rc == ARCHIVE_EOF ? 0 : fail(e, WHY_INVALID, "%s", image_stream_why(u->stream));
}

static int
regular_make(struct unpack *u, int at, const char *leaf, const char *path,
	     struct archive_entry *x, struct error **e)
{
	int64_t size = archive_entry_size(x), end;
	struct timespec times[2] = { { 0, UTIME_OMIT }, mtime_of(x) };
	cleanup_close int fd =
	    openat(at, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_sys(e, "create");
	if (size < 0 || size > u->budget->max_bytes)
		return fail(e, WHY_TOO_LARGE, "its size is %lld bytes, the limit %lld",
			    (long long)size, (long long)u->budget->max_bytes);
	if (contents_write(u, fd, path, &end, e) < 0)
		return -1;
	if (end != size && ftruncate(fd, size) < 0) /* a sparse file may end in a hole */
		return fail_sys(e, "truncate");
	if (facts_set(fd, x, e) < 0)
		return -1;
	if (futimens(fd, times) < 0)
		return fail_sys(e, "set its time");
	if (times[1].tv_sec > u->layer->newest_s)
		u->layer->newest_s = times[1].tv_sec;
	return 0;
}

static int
directory_make(struct unpack *u, int at, const char *leaf, const char *path,
	       struct archive_entry *x, struct error **e)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (fstatat(at, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
		if (is_whiteout(&st) && opaque_add(u, path, e) < 0)
			return -1;
		if (unlinkat(at, leaf, 0) < 0)
			return fail_sys(e, "unlink");
	}
	if (mkdirat(at, leaf, 0755) < 0 && errno != EEXIST)
		return fail_sys(e, "mkdir");
	fd = openat(at, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_sys(e, "open");
	if (facts_set(fd, x, e) < 0)
		return -1;
	if (u->ndirs == u->cap) {
		u->cap = u->cap ? 2 * u->cap : 256;
		u->dirs = xrealloc(u->dirs, u->cap * sizeof *u->dirs);
	}
	u->dirs[u->ndirs++] = (struct dir_time){ xstrdup(path), mtime_of(x) };
	return 0;
}

/* Symbolic links and FIFOs: nothing of theirs can be opened, so by name. */
static int
special_make(int at, const char *leaf, struct archive_entry *x, struct error **e)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, mtime_of(x) };
	const char *target = archive_entry_symlink(x);
	bool link = archive_entry_filetype(x) == AE_IFLNK;
	uid_t uid = 0;
	gid_t gid = 0;

	if (owner_of(x, &uid, &gid, e) < 0)
		return -1;
	if (link && (!target || !*target || strlen(target) > 4095))
		return fail(e, WHY_INVALID,
			    "the symbolic link's target is missing or too long");
	if (link ? symlinkat(target, at, leaf) < 0 : mknodat(at, leaf, S_IFIFO | 0600, 0) < 0)
		return fail_sys(e, "create");
	if (fchownat(at, leaf, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "chown");
	/* a FIFO we have just made: there is no link to follow */
	if (!link && fchmodat(at, leaf, archive_entry_mode(x) & 07777, 0) < 0)
		return fail_sys(e, "chmod");
	if (utimensat(at, leaf, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "set its time");
	return 0;
}

static int
hardlink_make(struct unpack *u, const char *path, struct archive_entry *x, struct error **e)
{
	cleanup_free char *target = NULL, *dir = NULL;
	cleanup_close int from = -1;
	const char *slash, *leaf, *old;
	struct stat st;
	int at;

	if (image_path_clean(archive_entry_hardlink(x), &target, e) < 0 || !target)
		return fail_in(e, "the hard link's target");
	if (strcmp(target, path) == 0)
		return 0;
	slash = strrchr(target, '/');
	dir = slash ? xstrndup(target, slash - target) : xstrdup(".");
	old = slash ? slash + 1 : target;
	from = dir_beneath(u->root, dir);
	if (from < 0 && errno == ELOOP)
		return fail(e, WHY_INVALID,
			    "the hard link's target %s goes through a symbolic link", target);
	if (from < 0 || fstatat(from, old, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, WHY_INVALID, "the hard link's target %s is not in this layer",
			    target);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISFIFO(st.st_mode))
		return fail(e, WHY_INVALID, "the hard link's target %s is not a file", target);
	if (parent_open(u, path, &at, &leaf, e) < 0 || room_make(u, at, leaf, e) < 0 ||
	    parent_open(u, path, &at, &leaf, e) < 0)
		return -1;
	/* without AT_SYMLINK_FOLLOW the link itself is linked, never what it points to */
	return linkat(from, old, at, leaf, 0) < 0 ? fail_sys(e, "link to %s", target) : 0;
}

/* ".wh.x" says that the layers below lose x; what this layer itself has there stays. */
static int
whiteout_make(struct unpack *u, int at, const char *leaf, const char *path, struct error **e)
{
	const char *slash = strrchr(path, '/');
	const char *name = leaf + sizeof WHITEOUT - 1;
	cleanup_free char *gone = NULL;
	struct stat st;

	if (strcmp(leaf, OPAQUE) == 0) {
		gone = slash ? xstrndup(path, slash - path) : xstrdup(".");
		return opaque_add(u, gone, e);
	}
	if (strncmp(name, WHITEOUT, sizeof WHITEOUT - 1) == 0)
		return 0; /* aufs' own book-keeping */
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fail(e, WHY_INVALID, "removes nothing that has a name");
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode)) {
			xasprintf(&gone, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path,
				  name);
			return opaque_add(u, gone, e);
		}
		return 0;
	}
	if (errno != ENOENT)
		return fail_sys(e, "stat");
	return mknodat(at, name, S_IFCHR, makedev(0, 0)) < 0 ? fail_sys(e, "mknod") : 0;
}

static int
root_set(struct unpack *u, struct archive_entry *x, struct error **e)
{
	cleanup_close int fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (archive_entry_filetype(x) != AE_IFDIR || archive_entry_hardlink(x))
		return fail(e, WHY_INVALID, "the root must be a directory");
	if (fd < 0)
		return fail_sys(e, "open the layer");
	return facts_set(fd, x, e);
}

static int
entry_make(struct unpack *u, const char *path, struct archive_entry *x, struct error **e)
{
	unsigned type = archive_entry_filetype(x);
	const char *leaf;
	int at;

	if (strcmp(path, ".") == 0)
		return root_set(u, x, e);
	if (parent_open(u, path, &at, &leaf, e) < 0)
		return -1;
	if (strncmp(leaf, WHITEOUT, sizeof WHITEOUT - 1) == 0)
		return whiteout_make(u, at, leaf, path, e);
	if (archive_entry_hardlink(x))
		return hardlink_make(u, path, x, e);
	if (type == AE_IFDIR)
		return directory_make(u, at, leaf, path, x, e);
	if (type != AE_IFREG && type != AE_IFLNK && type != AE_IFIFO)
		return 0; /* a device of the image's choice is a door to the host: the runtime
			     makes /dev */
	if (room_make(u, at, leaf, e) < 0 || parent_open(u, path, &at, &leaf, e) < 0)
		return -1;
	if (type == AE_IFREG)
		return regular_make(u, at, leaf, path, x, e);
	return special_make(at, leaf, x, e);
}

/* The runtime mounts on these: they must be what they seem. */
static int
mount_points_check(int root, struct error **e)
{
	static const char *const names[] = { "dev", "proc", "sys" };
	struct stat st;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (fstatat(root, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISDIR(st.st_mode) && !is_whiteout(&st))
			return fail(e, WHY_INVALID, "%s: must be a directory, not a %s",
				    names[i], S_ISLNK(st.st_mode) ? "symbolic link" : "file");
	}
	return 0;
}

static void
dir_times_set(struct unpack *u)
{
	for (size_t i = 0; i < u->ndirs; i++) {
		struct timespec times[2] = { { 0, UTIME_OMIT }, u->dirs[i].at };
		cleanup_close int fd = dir_beneath(u->root, u->dirs[i].path);

		/* it may have been replaced by a later entry; its time then does not matter */
		if (fd >= 0)
			(void)utimensat(fd, "", times, AT_EMPTY_PATH);
	}
}

static void
unpack_done(struct unpack *u)
{
	parent_forget(u);
	for (size_t i = 0; i < u->ndirs; i++)
		free(u->dirs[i].path);
	free(u->dirs);
}

int
image_layer_unpack(struct stream *s, int dirfd, struct budget *b, struct layer *ret,
		   struct error **e)
{
	struct layer layer = { 0 };
	struct unpack u = { s, b, &layer, dirfd, .parent = -1 };
	struct archive_entry *x;
	int rc;

	while ((rc = image_stream_next(s, &x, e)) > 0) {
		const char *name = archive_entry_pathname(x);
		cleanup_free char *path = NULL;

		rc = image_budget_entry(b, name, e);
		if (rc == 0)
			rc = image_path_clean(name, &path, e);
		if (rc == 0 && path && entry_make(&u, path, x, e) < 0)
			rc = fail_in(e, "%s", path);
		if (rc < 0) {
			fail_in(e, "%s", s->what);
			break;
		}
	}
	if (rc == 0 && mount_points_check(dirfd, e) < 0)
		rc = fail_in(e, "%s", s->what);
	if (rc == 0)
		dir_times_set(&u);
	unpack_done(&u);
	if (rc < 0) {
		buf_done(&layer.opaque);
		return -1;
	}
	*ret = layer;
	return 0;
}

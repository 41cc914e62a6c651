/* own.c -- gives all of a volume to the pod's fsGroup, before the pod's first run.
 *
 * As the kubelet does it: the group owns everything, may read and write what the owner
 * may, and what is made in a directory later belongs to it too.  The tree may be in
 * use by other pods: it is walked by descriptors, links are not followed, other mounts
 * not entered, and an inode is only changed through a descriptor that was looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

enum { DEPTH_MAX = 256 };

struct dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

struct level {
	int fd;
	int64_t off; /* where to read on */
};

struct walk {
	uint32_t gid;
	uint64_t dev;
	int proc; /* /proc/self/fd */
	struct level at[DEPTH_MAX];
	int depth;
	char names[4096];
};

/* Of a file only what a link into /proc/self/fd means can be changed: an O_PATH
 * descriptor itself takes no chmod before Linux 6.6. */
static int
own_one(struct walk *w, int fd, const struct stat *st)
{
	unsigned mode = (st->st_mode & 07777) | 0660;
	char name[24];
	struct text t = TEXT(name);
	long r = 0;

	if (S_ISDIR(st->st_mode))
		mode |= S_ISGID | 0110;
	if (st->st_gid != w->gid)
		r = sys(fchownat, fd, "", -1, w->gid, AT_EMPTY_PATH);
	if (r >= 0 && mode != (st->st_mode & 07777)) {
		text_num(&t, (uint64_t)fd, 1);
		r = sys(fchmodat, w->proc, name, mode);
	}
	return (int)r;
}

static bool
dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* One entry of the directory on top: changed, and entered when it is a directory. */
static int
entry(struct walk *w, int dir, const char *name)
{
	struct stat st;
	int fd = (int)sys(openat, dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* somebody removed it meanwhile */
	r = (int)sys(fstat, fd, &st);
	if (r >= 0 && st.st_dev == w->dev && !S_ISLNK(st.st_mode))
		r = own_one(w, fd, &st);
	if (r >= 0 && S_ISDIR(st.st_mode) && st.st_dev == w->dev) {
		int sub = (int)sys(openat, fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (w->depth == DEPTH_MAX) {
			drop(sub);
			r = -ENAMETOOLONG;
		} else if (sub >= 0) {
			w->at[w->depth++] = (struct level){ sub, 0 };
		} else {
			r = sub;
		}
	}
	sys(close, fd);
	return r;
}

/* Reads on in the directory on top until it enters another one or is through. */
static int
level_go_on(struct walk *w)
{
	struct level *top = &w->at[w->depth - 1];
	int depth = w->depth, r = 0;
	long n;

	sys(lseek, top->fd, top->off, 0);
	while ((n = sys(getdents64, top->fd, w->names, sizeof(w->names))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(w->names + at);

			at += e->reclen;
			top->off = e->off;
			if (!dots(e->name))
				r = entry(w, top->fd, e->name);
			if (r < 0 || w->depth > depth)
				return r;
		}
	sys(close, top->fd);
	w->depth--;
	return (int)n;
}

int
own_volume(struct setup *s, const struct op *op)
{
	struct walk w = { .gid = (uint32_t)op->num[0] };
	const char *path = op_text(op, 0);
	struct stat st;
	int top, r;

	if (s->run > 0) /* once, as the kubelet */
		return 0;
	top = (int)sys(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = top < 0 ? top : (int)sys(fstat, top, &st);
	if (r >= 0 && op->flags & 1 && st.st_gid == w.gid &&
	    (st.st_mode & (S_ISGID | 0770)) == (S_ISGID | 0770)) {
		sys(close, top);
		return 0;
	}
	if (r < 0) {
		drop(top);
		return setup_fail(s, op, path, r);
	}
	r = w.proc =
	    (int)sys(openat, AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	w.dev = st.st_dev;
	w.at[w.depth++] = (struct level){ top, 0 };
	while (r >= 0 && w.depth > 0)
		r = level_go_on(&w);
	while (w.depth > 0)
		sys(close, w.at[--w.depth].fd);
	/* last, so that what was cut off is not taken for done */
	if (r >= 0) {
		top = (int)sys(openat, AT_FDCWD, path,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = top < 0 ? top : own_one(&w, top, &st);
		drop(top);
	}
	drop(w.proc);
	return r < 0 ? setup_fail(s, op, path, r) : 0;
}

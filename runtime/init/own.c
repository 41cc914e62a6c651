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
#include "runtime/init/walk.h"

struct owning {
	struct walk walk; /* first */
	uint32_t gid;
	int proc; /* /proc/self/fd */
};

/* Of a file only what a link into /proc/self/fd means can be changed: an O_PATH
 * descriptor itself takes no chmod before Linux 6.6. */
static int
own_one(struct owning *w, int fd, const struct stat *st)
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

/* One entry: changed, and entered when it is a directory. */
static int
see(struct walk *w, int dir, const char *name, int *ret_sub)
{
	struct stat st;
	int fd = (int)sys(openat, dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* somebody removed it meanwhile */
	r = (int)sys(fstat, fd, &st);
	if (r >= 0 && st.st_dev == w->dev && !S_ISLNK(st.st_mode))
		r = own_one((struct owning *)w, fd, &st);
	if (r >= 0 && S_ISDIR(st.st_mode) && st.st_dev == w->dev)
		r = *ret_sub = (int)sys(openat, fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sys(close, fd);
	return r;
}

/* As source_open does: below what the operator named no link counts. */
static int
top_open(const struct op *op)
{
	const int dir = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int top, fd;

	if (op->nstr < 2)
		return (int)sys(openat, AT_FDCWD, op_text(op, 0), dir | O_NOFOLLOW);
	top = (int)sys(openat, AT_FDCWD, op_text(op, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = top < 0 ? top : open_in(top, op_text(op, 2), O_RDONLY | O_DIRECTORY, STRICT);
	drop(top);
	return fd;
}

static int
own_all(struct setup *s, const struct op *op)
{
	struct owning w = { .walk.see = see, .gid = (uint32_t)op->num[0] };
	const char *path = op_text(op, 0);
	struct stat st;
	int top, r;

	top = top_open(op);
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
	if (r >= 0)
		r = walk_run(&w.walk, top);
	else
		drop(top);
	/* last, so that what was cut off is not taken for done */
	if (r >= 0) {
		top = top_open(op);
		r = top < 0 ? top : own_one(&w, top, &st);
		drop(top);
	}
	drop(w.proc);
	return r < 0 ? setup_fail(s, op, path, r) : 0;
}

/* Once, as the kubelet: what the container made of it is its own then.  One that failed is not
 * taken for done: who would run without the group could not read its data. */
int
own_volume(struct setup *s, const struct op *op)
{
	uint64_t bit = s->nown < 64 ? UINT64_C(1) << s->nown : 0;
	int r;

	s->nown++;
	if (s->owned & bit || (!bit && s->run > 0))
		return 0;
	r = own_all(s, op);
	if (r == 0)
		s->owned |= bit;
	return r;
}

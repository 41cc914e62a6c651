/* walk.c -- see walk.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"
#include "runtime/init/walk.h"

static int
walk_enter(struct walk *w, int fd)
{
	if (w->depth == WALK_DEPTH) {
		sys(close, fd);
		return -ENAMETOOLONG;
	}
	w->at[w->depth].fd = fd;
	w->at[w->depth].off = 0;
	w->depth++;
	return 0;
}

/* Reads on in the directory on top until it enters another one or is through. */
static int
level_go_on(struct walk *w)
{
	int level = w->depth - 1, fd = w->at[level].fd, r = 0;
	long n;

	sys(lseek, fd, w->at[level].off, 0);
	while ((n = sys(getdents64, fd, w->names, sizeof(w->names))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(w->names + at);
			int sub = -1;

			at += e->reclen;
			w->at[level].off = e->off;
			if (dir_dots(e->name))
				continue;
			r = w->see(w, fd, e->name, &sub);
			if (r < 0)
				return r;
			if (sub >= 0)
				return walk_enter(w, sub);
		}
	sys(close, fd);
	w->depth--;
	return (int)n;
}

int
walk_run(struct walk *w, int top)
{
	struct stat st;
	int r = (int)sys(fstat, top, &st);

	w->dev = st.st_dev;
	w->depth = 0;
	if (r >= 0)
		r = walk_enter(w, top);
	else
		sys(close, top);
	while (r >= 0 && w->depth > 0)
		r = level_go_on(w);
	while (w->depth > 0)
		sys(close, w->at[--w->depth].fd);
	return r < 0 ? r : 0;
}

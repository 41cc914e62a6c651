/* copy_out.c -- a file, or a directory with all below it, to standard output as a tar.
 *
 * Of the path itself links are followed, as for any command of the container; below it they
 * are told, not followed.  A hard link goes as a file of its own.  What cannot be read, or
 * is neither file, directory nor link, is said and left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/init/copy.h"
#include "runtime/init/init.h"
#include "runtime/init/walk.h"

static struct {
	struct walk walk; /* first */
	const char *top;
	char path[COPY_PATH];       /* below the top; of the entry that is looked at */
	size_t len[WALK_DEPTH + 2]; /* by depth: what comes before an entry's own name */
	bool lost;                  /* nobody reads any more */
} out;

static const char zeros[2 * TAR_BLOCK];

static void
put(const void *at, size_t n)
{
	out.lost |= !write_full(1, at, n);
}

static void
put_padding(uint64_t size)
{
	put(zeros, (size_t)(-size % TAR_BLOCK));
}

/* What does not fit the field goes before it, as the contents of an entry of its own. */
static void
put_long(char type, const char *text)
{
	struct tar_head h;
	size_t n = strlen(text) + 1;

	tar_head_fill(&h, type, 0644, n, 0);
	memcpy(h.name, "././@LongLink", 13);
	tar_head_sum(&h);
	put(&h, sizeof(h));
	put(text, n);
	put_padding(n);
}

static void
put_head(const char *name, const struct stat *st, char type, const char *link)
{
	struct tar_head h;
	size_t n = strlen(name), l = strlen(link);

	if (l > sizeof(h.link))
		put_long(TAR_LONG_LINK, link);
	if (n > sizeof(h.name))
		put_long(TAR_LONG_NAME, name);
	tar_head_fill(&h, type, st->st_mode, type == TAR_FILE ? (uint64_t)st->st_size : 0,
		      st->st_mtime);
	memcpy(h.name, name, n < sizeof(h.name) ? n : sizeof(h.name));
	memcpy(h.link, link, l < sizeof(h.link) ? l : sizeof(h.link));
	tar_head_sum(&h);
	put(&h, sizeof(h));
}

/* Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
static void
put_bytes(int fd, uint64_t size, const char *path)
{
	uint64_t left = size;

	while (left && !out.lost) {
		long n = sys(read, fd, copy_io, left < COPY_IO ? left : COPY_IO);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		put(copy_io, (size_t)n);
		left -= (uint64_t)n;
	}
	if (left && !out.lost)
		copy_say("", path, "became shorter while it was read; the rest is zeros");
	for (; left && !out.lost; left -= left < TAR_BLOCK ? left : TAR_BLOCK)
		put(zeros, left < TAR_BLOCK ? (size_t)left : TAR_BLOCK);
	put_padding(size);
}

/* An open directory is returned, to be entered; else -1. */
static int
put_entry(int dir, const char *file, const char *name, const char *shown, int follow)
{
	char link[4096];
	struct stat st;
	long r = sys(newfstatat, dir, file, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW), fd;
	int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);

	if (r >= 0 && S_ISLNK(st.st_mode)) {
		r = sys(readlinkat, dir, file, link, sizeof(link) - 1);
		if (r >= 0) {
			link[r] = '\0';
			put_head(name, &st, TAR_LINK, link);
			return -1;
		}
	}
	if (r < 0) {
		copy_fail(shown, r);
		return -1;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		copy_say("", shown, "is no file, directory or link: left out");
		return -1;
	}
	fd = sys(openat, dir, file, how);
	r = fd < 0 ? fd : sys(fstat, fd, &st);
	if (r < 0) {
		copy_fail(shown, r);
	} else if (S_ISDIR(st.st_mode)) {
		put_head(name, &st, TAR_DIR, "");
		return (int)fd;
	} else if (S_ISREG(st.st_mode)) {
		put_head(name, &st, TAR_FILE, "");
		put_bytes((int)fd, (uint64_t)st.st_size, shown);
	}
	if (fd >= 0)
		sys(close, fd);
	return -1;
}

static int
see(struct walk *w, int dir, const char *name, int *ret_sub)
{
	size_t at = out.len[w->depth], n = strlen(name);

	if (at + n + 2 > sizeof(out.path))
		return -ENAMETOOLONG;
	memcpy(out.path + at, name, n + 1);
	*ret_sub = put_entry(dir, name, out.path, out.path, false);
	if (*ret_sub >= 0) {
		out.path[at + n] = '/';
		out.path[at + n + 1] = '\0';
		out.len[w->depth + 1] = at + n + 1;
	}
	return out.lost ? -EPIPE : 0;
}

int
copy_out(const char *path)
{
	int top = put_entry(AT_FDCWD, path, ".", path, true), r = 0;

	out.walk.see = see;
	if (top >= 0)
		r = walk_run(&out.walk, top);
	if (r < 0 && !out.lost)
		copy_fail(out.path[0] ? out.path : path, r);
	put(zeros, 2 * TAR_BLOCK);
	return out.lost ? 1 : copy_status;
}

/* copy_in.c -- a tar from standard input to a file or a directory of the container.
 *
 * As `cp` has it: into PATH as NAME where PATH is a directory, else as PATH, whose parent
 * must be there.  Below that no link is followed, whoever made it: a name that leads through
 * one is an error.  Files belong to whom the container runs as.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/init/copy.h"
#include "runtime/init/init.h"
#include "runtime/init/tree.h"

static struct {
	int base;         /* the directory that `top` is in */
	const char *top;  /* "." for the directory itself */
	const char *path; /* as it was asked for */
	char name[COPY_PATH], link[COPY_PATH];
	bool longer; /* name is of an entry 'L', for the header that follows */
	bool linked; /* link is of a 'K' */
} in;

static int
base_open(const char *path)
{
	return (int)sys(openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Where it goes; path is cut into its parent and its last name. */
static bool
place(char *path, const char *name)
{
	size_t n = strlen(path);
	int fd = base_open(path);

	in.top = name;
	in.path = path;
	if (fd < 0) {
		while (n > 1 && path[n - 1] == '/')
			path[--n] = '\0';
		while (n > 0 && path[n - 1] != '/')
			n--;
		in.top = path + n;
		if (n == 0) {
			fd = base_open(".");
		} else {
			static char parent[4096];
			struct text t = TEXT(parent);

			text_addn(&t, path, n);
			fd = base_open(parent);
		}
	}
	if (fd < 0)
		copy_fail(path, fd);
	in.base = fd;
	return fd >= 0;
}

/* The directory that the last name of `path` is in, and that name; -errno.  Cuts path up. */
static int
parent_of(int dir, char *path, const char **ret_last)
{
	int fd = (int)sys(fcntl, dir, F_DUPFD_CLOEXEC, 3);

	for (;;) {
		const char *slash;
		int next;
		size_t n;

		while (*path == '/')
			path++;
		slash = text_find(path, strlen(path), '/');
		n = slash ? (size_t)(slash - path) : strlen(path);
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			drop(fd);
			return -EXDEV;
		}
		if (!slash || !slash[1]) {
			path[n] = '\0';
			*ret_last = path;
			return fd;
		}
		path[n] = '\0';
		next =
		    (int)sys(openat, fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		drop(fd);
		if (next < 0)
			return next;
		fd = next;
		path += n + 1;
	}
}

static int
dir_make(int at, const char *last, unsigned mode)
{
	struct stat st;
	long r = sys(mkdirat, at, last, (mode & 0777) | 0700);

	if (r != -EEXIST)
		return (int)r;
	r = sys(newfstatat, at, last, &st, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? (int)r : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* What is there of that name makes way, as with tar; a file that may not go, since it is
 * mounted there, is written to. */
static int
file_make(int at, const char *last, unsigned mode)
{
	long fd;

	sys(unlinkat, at, last, 0);
	fd = sys(openat, at, last,
		 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		 mode & 0777);
	if (fd >= 0)
		sys(fchmod, fd, mode & 0777);
	return (int)fd;
}

static int
link_make(int at, const char *last, const char *to)
{
	sys(unlinkat, at, last, 0);
	return (int)sys(symlinkat, to, at, last);
}

/* Into fd; -1: nowhere.  false: there is no more, or no room, and going on makes no sense. */
static bool
take_bytes(int fd, uint64_t size, const char *shown)
{
	uint64_t left = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;

	while (left) {
		size_t n = left < COPY_IO ? (size_t)left : COPY_IO;
		size_t real = size < n ? (size_t)size : n;
		const char *at = copy_io;

		if (!read_full(0, copy_io, n)) {
			copy_say("", shown, "what was sent ends too early");
			return false;
		}
		for (size_t put = 0; fd >= 0 && put < real;) {
			long r = sys(write, fd, at + put, real - put);

			if (r == -EINTR)
				continue;
			if (r <= 0) {
				copy_fail(shown, r);
				return false;
			}
			put += (size_t)r;
		}
		left -= n;
		size -= real;
	}
	return true;
}

static bool
entry_make(const struct tar_head *h, uint64_t size, unsigned mode)
{
	static char path[2 * COPY_PATH];
	struct text t = TEXT(path);
	const char *last = "";
	int at, fd = -1, r = 0;
	bool more;

	text_add(&t, in.top);
	text_add(&t, "/");
	text_add(&t, strcmp(in.name, ".") == 0 ? "" : in.name);
	at = parent_of(in.base, path, &last);
	if (at < 0)
		r = at;
	else if (h->type == TAR_DIR)
		r = dir_make(at, last, mode);
	else if (h->type == TAR_LINK)
		r = link_make(at, last, in.link);
	else if (h->type == TAR_FILE || !h->type)
		r = fd = file_make(at, last, mode);
	else
		r = -EOPNOTSUPP;
	if (r < 0)
		copy_fail(strcmp(in.name, ".") == 0 ? in.path : in.name, r);
	more = take_bytes(fd, h->type == TAR_DIR || h->type == TAR_LINK ? 0 : size, in.name);
	drop(fd);
	drop(at);
	/* without its top there is no place for the rest */
	return more && (r >= 0 || strcmp(in.name, ".") != 0);
}

/* The text of an entry 'L' or 'K', which ends with a NUL. */
static bool
take_text(char *to, uint64_t size)
{
	char rest[TAR_BLOCK];

	if (size == 0 || size > COPY_PATH || !read_full(0, to, (size_t)size) ||
	    !read_full(0, rest, (size_t)(-size % TAR_BLOCK))) {
		copy_say("", in.path, "what was sent is no tar");
		return false;
	}
	to[size - 1] = '\0';
	return true;
}

static bool
head_take(const struct tar_head *h)
{
	struct text name = TEXT(in.name), link = TEXT(in.link);
	unsigned mode;
	uint64_t size;

	if (!tar_head_read(h, &size, &mode)) {
		copy_say("", in.path, "what was sent is no tar");
		return false;
	}
	if (h->type == TAR_LONG_NAME)
		return in.longer = take_text(in.name, size);
	if (h->type == TAR_LONG_LINK)
		return in.linked = take_text(in.link, size);
	if (!in.longer)
		text_addn(&name, h->name,
			  text_find(h->name, sizeof(h->name), '\0') ? strlen(h->name)
								    : sizeof(h->name));
	if (!in.linked)
		text_addn(&link, h->link,
			  text_find(h->link, sizeof(h->link), '\0') ? strlen(h->link)
								    : sizeof(h->link));
	in.longer = in.linked = false;
	for (size_t n = strlen(in.name); n > 1 && in.name[n - 1] == '/'; n--)
		in.name[n - 1] = '\0';
	return entry_make(h, size, mode);
}

int
copy_in(const char *path, const char *name)
{
	static char own[4096];
	struct text t = TEXT(own);
	struct tar_head h;

	text_add(&t, path);
	if (strlen(path) >= sizeof(own)) {
		copy_fail(path, -ENAMETOOLONG);
		return 1;
	}
	if (!place(own, name))
		return 1;
	in.path = path;
	for (;;) {
		if (!read_full(0, &h, sizeof(h))) {
			copy_say("", path, "what was sent ends too early");
			return 1;
		}
		if (!h.name[0] && !h.type)
			break;
		if (!head_take(&h))
			return 1;
	}
	while (sys(read, 0, copy_io, COPY_IO) > 0) /* the padding of the end */
		;
	return copy_status;
}

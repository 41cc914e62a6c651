/* cli_tar.c -- see cli_tar.h. */
#include "cli_tar.h"
#include "cli.h"
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { IO = 1 << 16 };

int
cli_tar_put(struct archive *in, struct archive *out, struct archive_entry *entry)
{
	const void *block;
	size_t n;
	la_int64_t at, done = 0;
	int rc;

	if (archive_write_header(out, entry) < ARCHIVE_WARN)
		return -1;
	if (archive_entry_size(entry) == 0)
		return 0;
	while ((rc = archive_read_data_block(in, &block, &n, &at)) == ARCHIVE_OK) {
		static const char zeros[4096];

		for (; done < at; done += sizeof zeros) { /* a hole */
			size_t gap = at - done < (la_int64_t)sizeof zeros ? (size_t)(at - done)
									  : sizeof zeros;
			if (archive_write_data(out, zeros, gap) < 0)
				return -1;
		}
		done = at;
		if (archive_write_data(out, block, n) < 0)
			return -1;
		done += n;
	}
	return rc == ARCHIVE_EOF ? 0 : -1;
}

/* A name may be made to steer the terminal it is shown on. */
static void __attribute__((format(printf, 3, 4)))
say(int *status, const char *name, const char *fmt, ...)
{
	cleanup_free char *shown = xstrdup(name), *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&why, fmt, ap);
	va_end(ap);
	for (char *at = shown; *at; at++)
		*at = *at == '\n' ? '?' : *at; /* nor may it look like two messages */
	cli_tame_text(shown);
	cli_tame_text(why);
	fprintf(stderr, "kedge: %s: %s\n", shown, why);
	*status = 1;
}

/* ---- out of here ---- */

struct pack {
	struct archive *out;
	const char *path; /* the top, as it was typed */
	int status;
	struct error **e;
};

static int
lost(struct pack *p)
{
	return fail(p->e, WHY_IO, "%s: %s", p->path,
		    archive_error_string(p->out) ? archive_error_string(p->out)
						 : "it cannot be sent");
}

static int
pack_head(struct pack *p, const char *rel, const struct stat *st, const char *link)
{
	struct archive_entry *entry = archive_entry_new();
	int rc;

	archive_entry_set_pathname(entry, rel);
	archive_entry_set_filetype(entry, st->st_mode & S_IFMT);
	archive_entry_set_perm(entry, st->st_mode & 0777);
	archive_entry_set_mtime(entry, st->st_mtime, 0);
	archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (link)
		archive_entry_set_symlink(entry, link);
	rc = archive_write_header(p->out, entry);
	archive_entry_free(entry);
	return rc < ARCHIVE_WARN ? lost(p) : 0;
}

/* As many bytes as were promised; what is missing the archive makes zeros. */
static int
pack_bytes(struct pack *p, int fd, const char *rel, off_t size)
{
	cleanup_free char *part = xmalloc(IO);

	while (size > 0) {
		ssize_t n = read(fd, part, size < IO ? (size_t)size : IO);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			say(&p->status, rel,
			    "became shorter while it was read; the rest is zeros");
			return 0;
		}
		if (archive_write_data(p->out, part, n) < 0)
			return lost(p);
		size -= n;
	}
	return 0;
}

static int pack_one(struct pack *, int dir, const char *name, const char *rel);

/* Takes fd. */
static int
pack_below(struct pack *p, int fd, const char *rel)
{
	DIR *d = fdopendir(fd);
	struct dirent *de;
	int rc = 0;

	while (!rc && (de = readdir(d))) {
		cleanup_free char *sub = NULL;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (!strcmp(rel, "."))
			sub = xstrdup(de->d_name);
		else
			xasprintf(&sub, "%s/%s", rel, de->d_name);
		rc = pack_one(p, fd, de->d_name, sub);
	}
	closedir(d);
	return rc;
}

static int
pack_link(struct pack *p, int dir, const char *name, const char *rel, const struct stat *st)
{
	char link[PATH_MAX];
	ssize_t n = readlinkat(dir, name, link, sizeof link - 1);

	if (n < 0) {
		say(&p->status, rel, "%s", strerror(errno));
		return 0;
	}
	link[n] = 0;
	return pack_head(p, rel, st, link);
}

/* The top's links are followed, for it was named; those below are told. */
static int
pack_one(struct pack *p, int dir, const char *name, const char *rel)
{
	bool top = !strcmp(rel, ".");
	const char *shown = top ? p->path : rel;
	cleanup_close int fd = -1;
	struct stat st;
	int rc;

	if (fstatat(dir, name, &st, top ? 0 : AT_SYMLINK_NOFOLLOW) < 0) {
		say(&p->status, shown, "%s", strerror(errno));
		return 0;
	}
	if (S_ISLNK(st.st_mode))
		return pack_link(p, dir, name, rel, &st);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		say(&p->status, shown, "is no file, directory or link: left out");
		return 0;
	}
	fd = openat(dir, name,
		    O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (top ? 0 : O_NOFOLLOW));
	if (fd < 0 || fstat(fd, &st) < 0) {
		say(&p->status, shown, "%s", strerror(errno));
		return 0;
	}
	rc = pack_head(p, rel, &st, NULL);
	if (!rc && S_ISDIR(st.st_mode))
		return pack_below(p, steal_fd(&fd), rel);
	return !rc && S_ISREG(st.st_mode) ? pack_bytes(p, fd, shown, st.st_size) : rc;
}

int
cli_tar_pack(const char *path, int fd, struct error **e)
{
	struct pack p = { .out = archive_write_new(), .path = path, .e = e };
	int rc;

	archive_write_set_format_gnutar(p.out);
	archive_write_set_bytes_per_block(p.out, IO);
	archive_write_set_bytes_in_last_block(p.out, 1);
	rc = archive_write_open_fd(p.out, fd) != ARCHIVE_OK ? lost(&p) : 0;
	if (!rc)
		rc = pack_one(&p, AT_FDCWD, path, ".");
	if (!rc && archive_write_close(p.out) != ARCHIVE_OK)
		rc = lost(&p);
	if (rc) /* a tar without an end is one that ends too early */
		archive_write_fail(p.out);
	archive_write_free(p.out);
	return rc < 0 ? -1 : p.status;
}

/* ---- in here ---- */

struct unpack {
	struct archive *in;
	const char *dest;
	int top; /* the destination; -1: it is a file */
	int status;
	struct error **e;
};

bool
cli_tar_name_stays(const char *name)
{
	for (;; name++) {
		size_t n = strcspn(name, "/");

		if (n == 0 || (n == 1 && name[0] == '.') ||
		    (n == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += n;
		if (!*name)
			return true;
	}
}

bool
cli_tar_link_stays(const char *name, const char *to)
{
	size_t depth = 0;
	bool down = false;

	if (!*to || *to == '/')
		return false;
	for (; *name; name++)
		depth += *name == '/';
	while (*to) {
		size_t n = strcspn(to, "/");
		bool up = n == 2 && to[0] == '.' && to[1] == '.';

		if (up && (down || depth-- == 0))
			return false;
		down |= n && !up && !(n == 1 && to[0] == '.');
		to += n;
		to += strspn(to, "/");
	}
	return true;
}

static int
corrupted(const struct unpack *u)
{
	const char *why = archive_error_string(u->in);

	return fail(u->e, WHY_INVALID, "what the container sent is no tar of ours%s%s",
		    why ? ": " : "", why ? why : "");
}

/* Every directory on the way, as `mkdir -p`: the user's own words, so links count. */
static int
dirs_make(const char *path, struct error **e)
{
	cleanup_free char *part = xstrdup(path);

	for (char *at = part + 1; *part; at++) {
		char was = *at;
		struct stat st;

		if (was && was != '/')
			continue;
		*at = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return fail_sys(e, "make %s", part);
		if (stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
			return fail(e, WHY_INVALID, "%s is no directory", part);
		if (!was)
			break;
		*at = was;
	}
	return 0;
}

/* The directory below the top that `name` is in, made where it is missing; no link on the way
 * is followed.  *ret_last: its last word. */
static int
parent_open(const struct unpack *u, const char *name, const char **ret_last)
{
	cleanup_close int at = fcntl(u->top, F_DUPFD_CLOEXEC, 3);
	const char *slash;

	for (; at >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		cleanup_free char *word = xstrndup(name, slash - name);
		int next;

		if (mkdirat(at, word, 0755) < 0 && errno != EEXIST)
			return -1;
		next = openat(at, word, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -1;
		close(at);
		at = next;
	}
	*ret_last = name;
	return steal_fd(&at);
}

/* What is declared as a hole, or the rest of a tar that ends too early, is an error. */
static int
take_bytes(struct unpack *u, int fd, const char *shown)
{
	const void *block;
	size_t n;
	la_int64_t at, done = 0;
	int rc;

	while ((rc = archive_read_data_block(u->in, &block, &n, &at)) == ARCHIVE_OK) {
		const char *from = block;

		if (at != done)
			return corrupted(u);
		done += n;
		while (n) {
			ssize_t w = write(fd, from, n);

			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return fail_sys(u->e, "write %s", shown);
			from += w;
			n -= w;
		}
	}
	return rc == ARCHIVE_EOF ? 0 : corrupted(u);
}

static int
take_file(struct unpack *u, int at, const char *last, const char *shown, bool follow,
	  mode_t mode)
{
	cleanup_close int fd = openat(at, last,
				      O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC |
					  (follow ? 0 : O_NOFOLLOW | O_NONBLOCK),
				      mode & 0777);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && !follow && !S_ISREG(st.st_mode))
		errno = ENXIO;
	else if (fd >= 0)
		return take_bytes(u, fd, shown);
	if (follow)
		return fail_sys(u->e, "write %s", shown);
	say(&u->status, shown, "%s",
	    errno == ELOOP ? "a link is there, which is not followed" : strerror(errno));
	return 0;
}

static int
take_dir(struct unpack *u, int at, const char *last, const char *shown, mode_t mode)
{
	struct stat st;

	if (mkdirat(at, last, (mode & 0777) | 0700) == 0)
		return 0;
	if (errno == EEXIST && fstatat(at, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
	if (errno)
		say(&u->status, shown, "%s", strerror(errno));
	return 0;
}

static int
take_link(struct unpack *u, int at, const char *last, const char *shown, const char *to)
{
	if (!to)
		return corrupted(u);
	if (!cli_tar_link_stays(shown, to)) {
		say(&u->status, shown, "a link to %s leads out of %s: left out", to, u->dest);
		return 0;
	}
	if (symlinkat(to, at, last) == 0)
		return 0;
	if (errno == EEXIST && unlinkat(at, last, 0) == 0 && symlinkat(to, at, last) == 0)
		return 0;
	say(&u->status, shown, "%s", strerror(errno));
	return 0;
}

static int
take_entry(struct unpack *u, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry), *last;
	cleanup_free char *name = xstrdup(path ? path : "");
	cleanup_close int at = -1;
	size_t n = strlen(name);

	if (n && name[n - 1] == '/')
		name[n - 1] = 0;
	if (u->top < 0 || !cli_tar_name_stays(name) || archive_entry_sparse_count(entry))
		return corrupted(u);
	at = parent_open(u, name, &last);
	if (at < 0) {
		say(&u->status, name, "%s",
		    errno == ENOTDIR || errno == ELOOP
			? "a link or a file is on the way, which is not followed"
			: strerror(errno));
		return 0;
	}
	if (archive_entry_hardlink(entry)) {
		say(&u->status, name, "is no file, directory or link: left out");
		return 0;
	}
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return take_file(u, at, last, name, false, archive_entry_perm(entry));
	case AE_IFDIR:
		return take_dir(u, at, last, name, archive_entry_perm(entry));
	case AE_IFLNK:
		return take_link(u, at, last, name, archive_entry_symlink(entry));
	default:
		say(&u->status, name, "is no file, directory or link: left out");
		return 0;
	}
}

/* The file itself; where it goes are the user's own words, up to a directory's name. */
static int
take_top_file(struct unpack *u, const char *base, mode_t mode)
{
	size_t n = strlen(u->dest);
	bool slash = n && u->dest[n - 1] == '/';
	cleanup_free char *dir = xstrdup(u->dest);
	cleanup_close int at = -1;
	struct stat st;

	if (!slash && (stat(u->dest, &st) < 0 || !S_ISDIR(st.st_mode))) {
		char *cut = strrchr(dir, '/');

		if (cut && cut != dir) {
			*cut = 0;
			if (dirs_make(dir, u->e) < 0)
				return -1;
		}
		return take_file(u, AT_FDCWD, u->dest, u->dest, true, mode);
	}
	if (!cli_tar_name_stays(base) || strchr(base, '/'))
		return fail(u->e, WHY_INVALID,
			    "%s is a directory: say what the file is to be "
			    "called in it",
			    u->dest);
	if (dirs_make(u->dest, u->e) < 0)
		return -1;
	at = open(u->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? fail_sys(u->e, "open %s", u->dest)
		      : take_file(u, at, base, base, false, mode);
}

static int
take_top(struct unpack *u, struct archive_entry *entry, const char *base)
{
	const char *path = archive_entry_pathname(entry);

	if (!path || (strcmp(path, ".") && strcmp(path, "./")) ||
	    archive_entry_sparse_count(entry) || archive_entry_hardlink(entry))
		return corrupted(u);
	if (archive_entry_filetype(entry) == AE_IFREG)
		return take_top_file(u, base, archive_entry_perm(entry));
	if (archive_entry_filetype(entry) != AE_IFDIR)
		return corrupted(u);
	if (dirs_make(u->dest, u->e) < 0)
		return -1;
	u->top = open(u->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return u->top < 0 ? fail_sys(u->e, "open %s", u->dest) : 0;
}

int
cli_tar_unpack(int fd, const char *dest, const char *base, struct error **e)
{
	struct unpack u = { .in = archive_read_new(), .dest = dest, .top = -1, .e = e };
	struct archive_entry *entry;
	bool first = true;
	int rc = 0, got;

	archive_read_support_format_tar(u.in);
	archive_read_support_format_empty(u.in); /* it has said why there is nothing */
	if (archive_read_open_fd(u.in, fd, IO) != ARCHIVE_OK)
		rc = corrupted(&u);
	while (!rc && (got = archive_read_next_header(u.in, &entry)) != ARCHIVE_EOF) {
		if (got != ARCHIVE_OK)
			rc = corrupted(&u);
		else
			rc = first ? take_top(&u, entry, base) : take_entry(&u, entry);
		first = false;
	}
	archive_read_free(u.in);
	if (u.top >= 0)
		close(u.top);
	return rc < 0 ? -1 : u.status;
}

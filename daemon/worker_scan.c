/* worker_scan.c -- see worker_scan.h.
 *
 * Nothing outside the directory is read: symbolic links are followed by the
 * kernel beneath the root only (openat2).  One that leads out, to nothing or in
 * a circle becomes a link in the tree, and the brain says so, unless
 * .kedgeignore names it.
 */
#include "worker_scan.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "gittree.h"
#include <dirent.h>
#include <fcntl.h>
#include <git2/sys/mempack.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	GRAIN_NS = 20000000, /* how coarse a file system's clock may be */
	FILES_MAX = 200000,
};

/* What is known of a file, by its path. */
struct known {
	struct stat st;
	git_oid id;
	bool sent, unsure;
	unsigned seen; /* in which look */
};

struct item {
	const char *name;
	size_t len;
	uint32_t mode;
	git_oid id;
};

struct scan {
	char *root;
	int fd;
	git_repository *repo;
	git_odb *odb;
	git_odb_backend *memory;
	struct map files; /* path -> struct known */
	struct map trees; /* hex id -> itself: sent already */
	struct map made;  /* hex id -> itself: of the look under way */
	unsigned look;
	size_t count;
	bool unsure;
	uint64_t print;
	struct arena arena; /* of one look */
	void (*folder)(void *ctx, const char *path, const struct stat *);
	void *ctx;
	struct error **e;
};

struct above {
	const struct above *up;
	dev_t dev;
	ino_t ino;
};

struct scan *
scan_new(const char *root)
{
	struct scan *s = xcalloc(1, sizeof *s);

	s->root = xstrdup(root);
	s->fd = -1;
	if (git_odb_new(&s->odb) || git_mempack_new(&s->memory) ||
	    git_odb_add_backend(s->odb, s->memory, 1) ||
	    git_repository_wrap_odb(&s->repo, s->odb))
		abort(); /* out of memory: nothing else can go wrong here */
	return s;
}

static void
free_values(struct map *m)
{
	for (struct map_slot *i = map_first(m); i; i = map_next(m, i))
		free(i->value);
	map_done(m);
	*m = (struct map){ 0 };
}

static void
clear(struct map *m)
{
	map_done(m);
	*m = (struct map){ 0 };
}

void
scan_forget(struct scan *s)
{
	free_values(&s->files);
	clear(&s->trees);
	git_mempack_reset(s->memory);
}

git_repository *
scan_repo(struct scan *s)
{
	return s->repo;
}

bool
scan_unsure(const struct scan *s)
{
	return s->unsure;
}

/* ---- files ---- */

static bool
same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void
print_stat(struct scan *s, const char *path, const struct stat *st)
{
	const long x[] = { (long)st->st_dev,   (long)st->st_ino,    (long)st->st_size,
			   st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
			   st->st_ctim.tv_nsec };

	s->print = hash_bytes(hash_str(s->print, path), x, sizeof x);
}

/* Changed within the grain of its own clock?  Then it may change again unseen. */
static bool
is_recent(const struct stat *st)
{
	struct timespec now, t = st->st_mtim;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	if (st->st_ctim.tv_sec > t.tv_sec ||
	    (st->st_ctim.tv_sec == t.tv_sec && st->st_ctim.tv_nsec > t.tv_nsec))
		t = st->st_ctim;
	age = (now.tv_sec - t.tv_sec) * INT64_C(1000000000) + now.tv_nsec - t.tv_nsec;
	return age < GRAIN_NS && age > -GRAIN_NS;
}

static int
read_all(struct scan *s, int fd, const char *path, struct stat *st, struct buf *b)
{
	struct stat after;
	ssize_t n;

	if (st->st_size > OBJECT_MAX)
		return fail(s->e, WHY_TOO_LARGE,
			    "%s: has %lld bytes, more than the %d that kedge takes", path,
			    (long long)st->st_size, OBJECT_MAX);
	buf_reserve(b, st->st_size + 1);
	while ((n = read(fd, b->at + b->len, b->cap - b->len - 1)) > 0) {
		b->len += n;
		if (b->len > (size_t)OBJECT_MAX)
			return fail(s->e, WHY_TOO_LARGE, "%s: does not end", path);
		buf_reserve(b, 4096);
	}
	if (n < 0 || fstat(fd, &after) < 0)
		return fail_sys(s->e, "%s", path);
	/* Written to while it was read: the next look differs from this one. */
	if (!same_stat(st, &after) || b->len != (size_t)after.st_size)
		print_stat(s, "(changed)", &after);
	*st = after;
	return 0;
}

static int
take_file(struct scan *s, int fd, const char *path, struct stat *st, git_oid *ret)
{
	struct known *k = map_get(&s->files, path);
	cleanup_buf struct buf b = { 0 };
	git_oid id;
	int rc;

	if (++s->count > FILES_MAX)
		return fail(s->e, WHY_TOO_LARGE, "%s: more than %d files", s->root, FILES_MAX);
	if (!k || k->unsure || !same_stat(&k->st, st)) {
		bool recent = is_recent(st);

		if (read_all(s, fd, path, st, &b))
			return -1;
		if ((rc = git_odb_hash(&id, buf_text(&b), b.len, GIT_OBJECT_BLOB)))
			return fail_git(s->e, rc, "%s", path);
		if (!k) {
			k = xcalloc(1, sizeof *k);
			map_put(&s->files, path, k);
		}
		if (!k->seen || !git_oid_equal(&id, &k->id)) {
			if ((rc = git_odb_write(&id, s->odb, buf_text(&b), b.len,
						GIT_OBJECT_BLOB)))
				return fail_git(s->e, rc, "%s", path);
			k->sent = false;
		}
		k->id = id;
		k->st = *st;
		k->unsure = recent;
	}
	s->unsure |= k->unsure;
	k->seen = s->look;
	print_stat(s, path, st);
	*ret = k->id;
	return 0;
}

/* ---- folders ---- */

static int read_folder(struct scan *, int fd, const char *path, const struct above *, int depth,
		       git_oid *ret, bool *ret_empty);

static int
open_beneath(struct scan *s, const char *path, int flags)
{
	struct open_how how = { .flags = flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, s->fd, path, &how, sizeof how);
}

static bool
is_circle(const struct above *p, const struct stat *st)
{
	for (; p; p = p->up)
		if (p->dev == st->st_dev && p->ino == st->st_ino)
			return true;
	return false;
}

/* A link that cannot be followed, as the tree entry it is. */
static int
take_link(struct scan *s, const char *path, const struct stat *st, struct item *ret)
{
	int rc = git_odb_write(&ret->id, s->odb, "", 0, GIT_OBJECT_BLOB);

	if (rc)
		return fail_git(s->e, rc, "%s", path);
	ret->mode = MODE_LINK;
	print_stat(s, path, st);
	return 1;
}

static int
follow_link(struct scan *s, const char *path, const char *name, const struct stat *link,
	    const struct above *up, int depth, struct item *ret)
{
	cleanup_close int fd = open_beneath(s, path, O_DIRECTORY);
	bool wanted = gittree_name_wanted(name, strlen(name)), empty;
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st)) {
		if (is_circle(up, &st) || depth >= GITTREE_DEPTH_MAX)
			return take_link(s, path, link, ret);
		ret->mode = MODE_FOLDER;
		print_stat(s, path, link);
		if (read_folder(s, steal_fd(&fd), path, up, depth + 1, &ret->id, &empty))
			return -1;
		return !empty;
	}
	if (errno == ENOTDIR && !wanted)
		return 0;
	if (errno == ENOTDIR)
		fd = open_beneath(s, path, 0);
	if (fd < 0 && errno == EACCES)
		return fail_sys(s->e, "%s", path);
	if (fd < 0 || fstat(fd, &st)) {
		/* What leads out of here matters only if it would be read. */
		if (!wanted && (fstatat(s->fd, path, &st, 0) || !S_ISDIR(st.st_mode)))
			return 0;
		return take_link(s, path, link, ret);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	print_stat(s, path, link);
	ret->mode = MODE_FILE;
	return take_file(s, fd, path, &st, &ret->id) ? -1 : 1;
}

/* 1: *ret is an entry of the tree; 0: it does not matter. */
static int
take_entry(struct scan *s, int dir, const char *path, const char *name, const struct above *up,
	   int depth, struct item *ret)
{
	cleanup_close int fd = -1;
	bool wanted = gittree_name_wanted(name, strlen(name)), empty;
	struct stat st;

	worker_limit_start();
	if (gittree_name_hidden(name) && !wanted)
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail_sys(s->e, "%s", path);
	if (S_ISLNK(st.st_mode))
		return follow_link(s, path, name, &st, up, depth, ret);
	if (S_ISDIR(st.st_mode) ? depth >= GITTREE_DEPTH_MAX : !wanted || !S_ISREG(st.st_mode))
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		struct known *k = map_get(&s->files, path);

		ret->mode = MODE_FILE;
		if (k && !k->unsure && same_stat(&k->st, &st))
			return take_file(s, -1, path, &st, &ret->id) ? -1 : 1;
	}
	fd = openat(dir, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
			(S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR)) {
		print_stat(s, "(replaced)", &st);
		return 0;
	}
	if (fd < 0 && errno == EACCES)
		return fail_sys(s->e,
				"%s: uid %u, who owns the source, must be able to read it",
				path, geteuid());
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_sys(s->e, "%s", path);
	if (S_ISREG(st.st_mode))
		return take_file(s, fd, path, &st, &ret->id) ? -1 : 1;
	if (!S_ISDIR(st.st_mode))
		return 0;
	ret->mode = MODE_FOLDER;
	if (read_folder(s, steal_fd(&fd), path, up, depth + 1, &ret->id, &empty))
		return -1;
	return !empty;
}

static int
item_compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return gittree_compare(&(struct gittree_entry){ x->mode, x->name, x->len, NULL },
			       &(struct gittree_entry){ y->mode, y->name, y->len, NULL });
}

static int
write_tree(struct scan *s, struct item *at, size_t n, git_oid *ret)
{
	cleanup_buf struct buf b = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	git_oid id;
	int rc;

	if (n)
		qsort(at, n, sizeof *at, item_compare);
	for (size_t i = 0; i < n; i++) {
		buf_addf(&b, "%o %s", at[i].mode, at[i].name);
		buf_add(&b, "", 1);
		buf_add(&b, at[i].id.id, GITTREE_ID);
	}
	if ((rc = git_odb_hash(&id, buf_text(&b), b.len, GIT_OBJECT_TREE)))
		return fail_git(s->e, rc, "%s", s->root);
	git_oid_tostr(hex, sizeof hex, &id);
	if (!map_get(&s->trees, hex) &&
	    (rc = git_odb_write(&id, s->odb, buf_text(&b), b.len, GIT_OBJECT_TREE)))
		return fail_git(s->e, rc, "%s", s->root);
	map_put(&s->made, hex, s);
	*ret = id;
	return 0;
}

/* Takes fd.  A folder in which nothing matters is left out, as git does. */
static int
read_folder(struct scan *s, int fd, const char *path, const struct above *up, int depth,
	    git_oid *ret, bool *ret_empty)
{
	cleanup_closedir DIR *d = fdopendir(fd);
	cleanup_free char *full = NULL;
	cleanup_free struct item *at = NULL;
	struct above here = { .up = up };
	size_t n = 0, cap = 0;
	struct dirent *x;
	struct stat st;

	xasprintf(&full, "%s%s%s", s->root, *path ? "/" : "", path);
	if (!d || fstat(fd, &st) < 0)
		return fail_sys(s->e, "%s", full);
	here.dev = st.st_dev;
	here.ino = st.st_ino;
	if (s->folder)
		s->folder(s->ctx, full, &st);
	while (errno = 0, (x = readdir(d))) {
		struct item one = { 0 };
		int rc;

		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		one.len = strlen(x->d_name);
		one.name = arena_strndup(&s->arena, x->d_name, one.len);
		rc = take_entry(
		    s, fd, arena_printf(&s->arena, "%s%s%s", path, *path ? "/" : "", one.name),
		    one.name, &here, depth, &one);
		if (rc < 0)
			return -1;
		if (!rc)
			continue;
		if (n == cap)
			at = xrealloc(at, (cap = cap ? cap * 2 : 16) * sizeof *at);
		at[n++] = one;
	}
	if (errno)
		return fail_sys(s->e, "%s", full);
	*ret_empty = n == 0;
	if (n == 0 && up)
		return 0;
	return write_tree(s, at, n, ret);
}

/* Files that were not met are gone. */
static void
drop_unseen(struct scan *s)
{
	struct map_slot *i = map_first(&s->files);

	while (i)
		if (((struct known *)i->value)->seen != s->look) {
			free(map_del(&s->files, i->key));
			if (!i->key) /* else another one moved in here */
				i = map_next(&s->files, i);
		} else {
			i = map_next(&s->files, i);
		}
}

int
scan_look(struct scan *s, void (*folder)(void *ctx, const char *path, const struct stat *),
	  void *ctx, uint64_t *ret_print, git_oid *ret_tree, struct error **e)
{
	git_oid tree;
	bool empty;
	int rc;

	s->fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return fail_sys(e, "%s: the directory cannot be read; the last revision stays",
				s->root);
	s->look++;
	s->count = 0;
	s->print = 0;
	s->unsure = false;
	s->folder = folder;
	s->ctx = ctx;
	s->e = e;
	clear(&s->made);
	rc = read_folder(s, dup(s->fd), "", NULL, 0, &tree, &empty);
	close(s->fd);
	arena_free(&s->arena);
	if (rc)
		return fail_in(e, "%s", s->root);
	drop_unseen(s);
	*ret_print = s->print;
	if (ret_tree)
		*ret_tree = tree;
	return 0;
}

/* ---- what goes out ---- */

int
scan_fill(struct scan *s, struct batch *b, struct error **e)
{
	git_oid id;

	for (struct map_slot *i = map_first(&s->files); i; i = map_next(&s->files, i)) {
		const struct known *k = i->value;

		if (!k->sent && batch_add(b, &k->id, i->key, e))
			return -1;
	}
	for (struct map_slot *i = map_first(&s->made); i; i = map_next(&s->made, i))
		if (!map_get(&s->trees, i->key) &&
		    (git_oid_fromstr(&id, i->key) || batch_add(b, &id, s->root, e)))
			return -1;
	return 0;
}

void
scan_sent(struct scan *s)
{
	for (struct map_slot *i = map_first(&s->files); i; i = map_next(&s->files, i))
		((struct known *)i->value)->sent = true;
	clear(&s->trees);
	for (struct map_slot *i = map_first(&s->made); i; i = map_next(&s->made, i))
		map_put(&s->trees, i->key, s);
	git_mempack_reset(s->memory);
}

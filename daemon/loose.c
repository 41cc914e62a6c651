/* loose.c -- a backend for libgit2 that maps a loose object and inflates it itself. */
#include "loose.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
	FIRST = 1000, /* libgit2's own backends have 1 and 2 */
	HEAD_MAX = 64,
	FILE_MAX = 1 << 28,
	BORROWED_MAX = 16,
};

struct loose {
	git_odb_backend backend;
	char *dir;
};

/* A file's bytes on their way through zlib. */
struct inflating {
	z_stream z;
	void *bytes;
	size_t size;
	char head[HEAD_MAX + 1]; /* "blob 123", and what came after its NUL */
	size_t head_len, got;
	git_object_t type;
	size_t len;
};

static int
damaged(const git_oid *id)
{
	char hex[GIT_OID_HEXSZ + 1], text[128];

	git_oid_tostr(hex, sizeof hex, id);
	snprintf(text, sizeof text, "the file of loose object %s was cut short or changed",
		 hex);
	git_error_set_str(GIT_ERROR_ODB, text);
	return GIT_ERROR;
}

static void
inflating_done(struct inflating *f)
{
	inflateEnd(&f->z);
	if (f->bytes)
		munmap(f->bytes, f->size);
}

/* "type length" and a NUL; a number has no sign, no leading zero, no more than it. */
static bool
parse_head(struct inflating *f)
{
	char *space, *end;

	f->head_len = strnlen(f->head, f->got);
	space = memchr(f->head, ' ', f->head_len);
	if (f->head_len == f->got || !space || space[1] < '0' || space[1] > '9')
		return false;
	*space = 0;
	f->type = git_object_string2type(f->head);
	errno = 0;
	f->len = strtoull(space + 1, &end, 10);
	f->head_len++;
	return !errno && !*end && f->len <= FILE_MAX && git_object_typeisloose(f->type);
}

/* Opens, and reads the head.  GIT_ENOTFOUND when there is no such file. */
static int
start(struct inflating *f, git_odb_backend *b, const git_oid *id)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	char hex[GIT_OID_HEXSZ + 1];
	struct stat st;
	int rc;

	git_oid_tostr(hex, sizeof hex, id);
	xasprintf(&path, "%s/%.2s/%s", ((struct loose *)b)->dir, hex, hex + 2);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return GIT_ENOTFOUND;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > FILE_MAX)
		return damaged(id);
	/* Written once, never changed: git makes another file and renames it. */
	f->size = st.st_size;
	f->bytes = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (f->bytes == MAP_FAILED || inflateInit(&f->z) != Z_OK) {
		f->bytes = NULL;
		return damaged(id);
	}
	f->z.next_in = f->bytes;
	f->z.avail_in = f->size;
	f->z.next_out = (Bytef *)f->head;
	f->z.avail_out = HEAD_MAX;
	rc = inflate(&f->z, Z_NO_FLUSH);
	f->got = HEAD_MAX - f->z.avail_out;
	return (rc == Z_OK || rc == Z_STREAM_END) && parse_head(f) ? 0 : damaged(id);
}

static int
loose_read_header(size_t *len, git_object_t *type, git_odb_backend *b, const git_oid *id)
{
	struct inflating f = { 0 };
	int rc = start(&f, b, id);

	if (!rc) {
		*len = f.len;
		*type = f.type;
	}
	inflating_done(&f);
	return rc;
}

static int
loose_read(void **ret, size_t *len, git_object_t *type, git_odb_backend *b, const git_oid *id)
{
	struct inflating f = { 0 };
	int rc = start(&f, b, id), z = Z_OK;
	size_t have;
	char *data;

	if (rc)
		goto out;
	have = f.got - f.head_len;
	data = git_odb_backend_data_alloc(b, f.len + 1);
	if (!data || have > f.len) {
		git_odb_backend_data_free(b, data);
		rc = damaged(id);
		goto out;
	}
	memcpy(data, f.head + f.head_len, have);
	f.z.next_out = (Bytef *)data + have;
	f.z.avail_out = f.len - have + 1; /* one more, to see that nothing follows */
	do
		z = inflate(&f.z, Z_FINISH);
	while (z == Z_OK);
	if (z != Z_STREAM_END || f.z.total_out != f.head_len + f.len) {
		git_odb_backend_data_free(b, data);
		rc = damaged(id);
		goto out;
	}
	data[f.len] = 0;
	*ret = data;
	*len = f.len;
	*type = f.type;
out:
	inflating_done(&f);
	return rc;
}

static void
loose_free(git_odb_backend *b)
{
	free(((struct loose *)b)->dir);
	free(b);
}

int
loose_add(git_odb *odb, const char *objects)
{
	struct loose *l = xcalloc(1, sizeof *l);
	int rc = git_odb_init_backend(&l->backend, GIT_ODB_BACKEND_VERSION);

	l->dir = xstrdup(objects);
	l->backend.read = loose_read;
	l->backend.read_header = loose_read_header;
	l->backend.free = loose_free;
	if (!rc)
		rc = git_odb_add_backend(odb, &l->backend, FIRST);
	if (rc)
		loose_free(&l->backend);
	return rc;
}

int
loose_add_all(git_odb *odb, const char *objects)
{
	cleanup_free char *list = NULL, *text = NULL;
	cleanup_fclose FILE *f = NULL;
	size_t size = 0;
	int rc = loose_add(odb, objects), n = 0;

	xasprintf(&list, "%s/info/alternates", objects);
	if (!rc && (f = fopen(list, "re")) && getdelim(&text, &size, 0, f) > 0)
		for (char *save, *p = strtok_r(text, "\n", &save);
		     p && !rc && n++ < BORROWED_MAX; p = strtok_r(NULL, "\n", &save))
			if (*p == '/')
				rc = loose_add(odb, p);
	return rc;
}

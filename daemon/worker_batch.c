/* worker_batch.c -- which objects the brain lacks, and sending them.
 *
 * Trees are compared entry by entry, so the cost is that of the folders on the
 * way to what changed.  Few objects go one by one; many as a pack, which the
 * brain stores as one file.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "gittree.h"
#include "worker.h"
#include <string.h>

enum { PACK_PIECE = 256 << 10, BATCH_MAX = 1000000 };

static void
keep(struct kept *k, git_odb_object *o)
{
	size_t n = git_odb_object_size(o);

	if (!k || n < KEPT_MIN || n > KEPT_MAX)
		return;
	git_odb_object_free(k->at[k->next]);
	git_odb_object_dup(&k->at[k->next], o);
	k->next = (k->next + 1) % KEPT_FOLDERS;
}

/* The folder as it was: from memory, or read; NULL when it is not there. */
static git_odb_object *
read_old(struct batch *b, const git_oid *id)
{
	git_odb_object *o = NULL;

	for (unsigned i = 0; b->kept && i < KEPT_FOLDERS; i++)
		if (b->kept->at[i] && git_oid_equal(git_odb_object_id(b->kept->at[i]), id)) {
			git_odb_object_dup(&o, b->kept->at[i]);
			return o;
		}
	return git_odb_read(&o, b->odb, id) ? NULL : o;
}

static int
read_object(struct batch *b, const git_oid *id, git_object_t want, const char *path,
	    git_odb_object **ret, struct error **e)
{
	git_odb_object *o;
	int rc = git_odb_read(&o, b->odb, id);

	if (rc)
		return fail_git(e, rc, "%s: cannot be read (try git fsck)", *path ? path : "/");
	if (git_odb_object_type(o) != want) {
		git_odb_object_free(o);
		return fail(e, WHY_INVALID, "%s: is not a %s (try git fsck)",
			    *path ? path : "/", git_object_type2string(want));
	}
	*ret = o;
	return 0;
}

static int
take(struct batch *b, const git_oid *id, git_odb_object *held, size_t size, const char *path,
     struct error **e)
{
	if (size > OBJECT_MAX) {
		git_odb_object_free(held);
		return fail(e, WHY_TOO_LARGE,
			    "%s: has %zu bytes, more than the %d that kedge takes", path, size,
			    OBJECT_MAX);
	}
	b->bytes += size;
	if (b->bytes > UPDATE_MAX || b->n >= BATCH_MAX) {
		git_odb_object_free(held);
		return fail(e, WHY_TOO_LARGE,
			    "%s: with it there are more than %d MiB of manifests", path,
			    UPDATE_MAX >> 20);
	}
	if (b->n == b->cap)
		b->at = xrealloc(b->at, (b->cap = b->cap ? b->cap * 2 : 16) * sizeof *b->at);
	/* Many will go as a pack, which reads them itself. */
	if (b->n > LOOSE_MAX) {
		git_odb_object_free(held);
		held = NULL;
	}
	b->at[b->n++] = (struct batch_item){ *id, held };
	return 0;
}

int
batch_add(struct batch *b, const git_oid *id, const char *path, struct error **e)
{
	git_object_t type;
	size_t size;
	int rc = git_odb_read_header(&size, &type, b->odb, id);

	worker_limit_start();
	if (rc)
		return fail_git(e, rc, "%s: cannot be read (try git fsck)", path);
	return take(b, id, NULL, size, path, e);
}

struct level {
	const struct level *up;
	const char *name;
};

/* "a/b/c" of a place in the walk; only made when there is something to say. */
static const char *
level_path(const struct level *l, char *at, char *start)
{
	for (; l; l = l->up) {
		size_t n = strlen(l->name);

		if ((size_t)(at - start) < n + 1)
			break;
		at -= n;
		memcpy(at, l->name, n);
		if (l->up && l->up->name[0] && at > start)
			*--at = '/';
	}
	return at;
}

static int diff_tree(struct batch *, const git_oid *was, const git_oid *now,
		     const struct level *, int depth, struct error **);

/* Entries are in order on both sides: `at` follows `x` through the old tree. */
static const git_oid *
same_before(const char **at, const char *end, const struct gittree_entry *x, git_oid *id)
{
	struct gittree_entry old;

	while (*at < end) {
		const char *next = *at;
		int d;

		if (gittree_next(&next, end, &old) <= 0) {
			*at = end;
			return NULL;
		}
		d = gittree_compare(&old, x);
		if (d > 0)
			return NULL;
		*at = next;
		if (d == 0) {
			git_oid_fromraw(id, old.id);
			return id;
		}
	}
	return NULL;
}

static int
diff_entry(struct batch *b, const git_oid *was, const struct gittree_entry *x,
	   const struct level *up, int depth, struct error **e)
{
	struct level l = { up, x->name };
	char path[4096];
	git_oid id;

	if (x->mode == MODE_FOLDER) {
		git_oid_fromraw(&id, x->id);
		/* The brain complains about what is too deep and does not look into it. */
		if (gittree_name_hidden(x->name) || depth >= GITTREE_DEPTH_MAX)
			return 0;
		return diff_tree(b, was, &id, &l, depth + 1, e);
	}
	if (!gittree_is_file(x->mode) || !gittree_name_wanted(x->name, x->len))
		return 0;
	git_oid_fromraw(&id, x->id);
	path[sizeof path - 1] = 0;
	return batch_add(b, &id, level_path(&l, path + sizeof path - 1, path), e);
}

static int
diff_tree(struct batch *b, const git_oid *was, const git_oid *now, const struct level *l,
	  int depth, struct error **e)
{
	cleanup_git(git_odb_object) git_odb_object *old = NULL;
	git_odb_object *new = NULL;
	const char *at, *end, *old_at = "", *old_end = old_at;
	struct gittree_entry x;
	char path[4096];
	const char *name;
	git_oid id;

	path[sizeof path - 1] = 0;
	name = level_path(l, path + sizeof path - 1, path);
	if (read_object(b, now, GIT_OBJECT_TREE, name, &new, e))
		return -1;
	if (was && (old = read_old(b, was))) {
		old_at = git_odb_object_data(old);
		old_end = old_at + git_odb_object_size(old);
	}
	at = git_odb_object_data(new);
	end = at + git_odb_object_size(new);
	keep(b->kept, new);
	git_odb_object_dup(&new, new); /* for the batch: ours lives while it is walked */
	if (take(b, now, new, git_odb_object_size(new), name, e)) {
		git_odb_object_free(new);
		return -1;
	}
	for (;;) {
		size_t same = gittree_same(at, end, old_at, old_end);
		const git_oid *before;

		at += same;
		old_at += same;
		if (gittree_next(&at, end, &x) <= 0)
			break;
		before = same_before(&old_at, old_end, &x, &id);

		if (before && !memcmp(before->id, x.id, GITTREE_ID))
			continue;
		if (diff_entry(b, before, &x, l, depth, e)) {
			git_odb_object_free(new);
			return -1;
		}
	}
	git_odb_object_free(new);
	return 0;
}

/* The new objects under tree `now` that are not in `was` (NULL: nothing is
 * there): folders, and the files whose content kedge reads. */
static int
batch_tree(struct batch *b, const git_oid *was, const git_oid *now, const char *path,
	   struct error **e)
{
	struct level l = { NULL, path };

	if (was && git_oid_equal(was, now))
		return 0;
	return diff_tree(b, was, now, &l, 0, e);
}

/* The id of `name` in a tree, if it is a folder there. */
static bool
step_down(struct batch *b, git_oid *id, const char *name, size_t len)
{
	cleanup_git(git_odb_object) git_odb_object *o = NULL;
	struct gittree_entry x;

	if (git_odb_read(&o, b->odb, id) || git_odb_object_type(o) != GIT_OBJECT_TREE ||
	    gittree_find(git_odb_object_data(o), git_odb_object_size(o), name, len, &x) <= 0 ||
	    x.mode != MODE_FOLDER)
		return false;
	git_oid_fromraw(id, x.id);
	return true;
}

int
batch_commit(struct batch *b, const git_oid *was, const git_oid *commit, const git_oid *tree,
	     const char *subdir, struct error **e)
{
	git_oid now = *tree, old = { 0 };
	bool has_old = was != NULL;

	if (was)
		old = *was;
	if (batch_add(b, commit, "the commit", e))
		return -1;
	for (const char *p = subdir; *p;) {
		size_t n = strcspn(p, "/");

		if (batch_add(b, &now, "/", e))
			return -1;
		if (!step_down(b, &now, p, n))
			return 0; /* the brain says that the path is no folder */
		has_old = has_old && step_down(b, &old, p, n);
		p += n;
		p += *p == '/';
	}
	return batch_tree(b, has_old ? &old : NULL, &now, subdir, e);
}

/* ---- sending ---- */

struct pack_out {
	int fd;
	struct buf piece;
	struct error **e;
};

static int
pack_piece(void *bytes, size_t n, void *ctx)
{
	struct pack_out *o = ctx;

	buf_add(&o->piece, bytes, n);
	if (o->piece.len < PACK_PIECE)
		return 0;
	worker_limit_start();
	if (frame_send(o->fd, FRAME_PACK, NULL, 0, o->piece.at, o->piece.len, o->e))
		return -1;
	buf_clear(&o->piece);
	return 0;
}

static int
send_pack(struct batch *b, int fd, struct error **e)
{
	cleanup_git(git_packbuilder) git_packbuilder *pb = NULL;
	struct pack_out out = { fd, { 0 }, e };
	int rc = git_packbuilder_new(&pb, b->repo);

	if (!rc)
		git_packbuilder_set_threads(pb, 1);
	for (size_t i = 0; !rc && i < b->n; i++)
		rc = git_packbuilder_insert(pb, &b->at[i].id, NULL);
	if (!rc)
		rc = git_packbuilder_foreach(pb, pack_piece, &out);
	if (!rc && out.piece.len)
		rc = frame_send(fd, FRAME_PACK, NULL, 0, out.piece.at, out.piece.len, e);
	buf_done(&out.piece);
	if (rc)
		return e && *e ? -1 : fail_git(e, rc, "read %zu objects (try git fsck)", b->n);
	return frame_send(fd, FRAME_PACK_END, NULL, 0, NULL, 0, e);
}

int
batch_send(struct batch *b, int fd, struct error **e)
{
	if (b->n > LOOSE_MAX)
		return send_pack(b, fd, e);
	for (size_t i = 0; i < b->n; i++) {
		struct batch_item *x = &b->at[i];
		int rc = x->held ? 0 : git_odb_read(&x->held, b->odb, &x->id);
		char type;

		if (rc)
			return fail_git(e, rc, "read an object (try git fsck)");
		type = (char)git_odb_object_type(x->held);
		worker_limit_start();
		if (frame_send(fd, FRAME_OBJECT, &type, 1, git_odb_object_data(x->held),
			       git_odb_object_size(x->held), e))
			return -1;
	}
	return 0;
}

void
batch_done(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		git_odb_object_free(b->at[i].held);
	free(b->at);
	*b = (struct batch){ 0 };
}

/* mirror.c -- see mirror.h. */
#include "mirror.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/map.h"
#include "loose.h"
#include <dirent.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <string.h>
#include <sys/stat.h>

struct fresh {
	git_oid id;
	git_object_t type;
	size_t len;
	char data[];
};

struct mirror {
	char *dir;
	git_repository *repo;
	git_odb *odb;
	struct map fresh; /* hex id -> struct fresh */
	size_t fresh_bytes;
	struct map heads; /* name -> git_oid: not on the disk yet */
};

enum {
	FRESH_MAX = 64 << 20, /* bytes kept in memory at most */
	ZLIB_LEVEL = 1,       /* tree objects are mostly hashes: more effort saves nothing */
};

/* ---- opening ---- */

static int
move_aside(const char *dir, struct error **e)
{
	for (int i = 1; i < 1000; i++) {
		cleanup_free char *to = NULL;

		xasprintf(&to, "%s.broken-%d", dir, i);
		if (access(to, F_OK) == 0)
			continue;
		return rename(dir, to) < 0 ? fail_sys(e, "move %s aside", dir) : 0;
	}
	return fail(e, WHY_EXISTS, "%s.broken-1 to -999 all exist: remove them", dir);
}

static int
make_repository(const char *dir, git_repository **ret, struct error **e)
{
	git_repository_init_options o = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	cleanup_free char *tmp = NULL;
	git_repository *made = NULL;
	int rc;

	/* Made under another name: a half-made one is never taken for ours. */
	xasprintf(&tmp, "%s.new", dir);
	if (access(tmp, F_OK) == 0 && move_aside(tmp, e))
		return -1;
	o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH |
		  GIT_REPOSITORY_INIT_NO_REINIT;
	o.mode = 0700;
	rc = git_repository_init_ext(&made, tmp, &o);
	git_repository_free(made);
	if (rc)
		return fail_git(e, rc, "make %s", tmp);
	if (chmod(tmp, 0700) < 0 || rename(tmp, dir) < 0)
		return fail_sys(e, "make %s", dir);
	rc = git_repository_open_ext(
	    ret, dir, GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE, NULL);
	return rc ? fail_git(e, rc, "open %s", dir) : 0;
}

/* Our own two backends instead of the repository's: to choose the compression and
 * to fsync each file whatever the configuration says. */
static int
open_objects(const char *dir, git_odb **ret, struct error **e)
{
	cleanup_git(git_odb) git_odb *odb = NULL;
	git_odb_backend *loose = NULL, *packs = NULL;
	cleanup_free char *objects = NULL;
	int rc;

	xasprintf(&objects, "%s/objects", dir);
	if ((rc = git_odb_new(&odb)) ||
	    (rc = git_odb_backend_loose(&loose, objects, ZLIB_LEVEL, 1, 0700, 0400)) ||
	    (rc = git_odb_add_backend(odb, loose, 2)) ||
	    (rc = git_odb_backend_pack(&packs, objects)) ||
	    (rc = git_odb_add_backend(odb, packs, 1)) || (rc = loose_add(odb, objects)))
		return fail_git(e, rc, "open %s", objects);
	*ret = steal_ptr(&odb);
	return 0;
}

/* Files of one who was killed while writing: libgit2 names them so until they are whole. */
static void
halves_remove(const char *dir, const char *below)
{
	cleanup_free char *path = NULL;
	cleanup_closedir DIR *d = NULL;
	struct dirent *ent;

	xasprintf(&path, "%s/%s", dir, below);
	d = opendir(path);
	while (d && (ent = readdir(d)))
		if (strstr(ent->d_name, "_git2_"))
			(void)unlinkat(dirfd(d), ent->d_name, 0);
}

int
mirror_open(const char *dir, struct mirror **ret, bool *ret_aside, struct error **e)
{
	cleanup_git(git_repository) git_repository *repo = NULL;
	git_odb *odb = NULL;
	struct mirror *m;
	struct stat st;
	bool there = lstat(dir, &st) == 0, aside = false;
	int rc = there ? git_repository_open_ext(
			     &repo, dir,
			     GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE, NULL)
		       : GIT_ENOTFOUND;
	cleanup_free char *objects = NULL;

	xasprintf(&objects, "%s/objects", dir);
	if (rc == GIT_EOWNER)
		return fail(e, WHY_FORBIDDEN,
			    "%s belongs to user %u, not to kedge: chown it or move it away",
			    dir, st.st_uid);
	if (there && !rc && access(objects, R_OK | W_OK | X_OK) < 0 && errno == EACCES)
		return fail_sys(e, "open %s", objects);
	if (there && (rc || access(objects, F_OK) < 0)) {
		git_repository_free(steal_ptr(&repo));
		aside = true;
		if (move_aside(dir, e))
			return -1;
	}
	if (!repo && make_repository(dir, &repo, e))
		return -1;
	halves_remove(dir, "objects");
	halves_remove(dir, "objects/pack");
	if (open_objects(dir, &odb, e))
		return -1;
	m = xcalloc(1, sizeof *m);
	m->dir = xstrdup(dir);
	m->repo = steal_ptr(&repo);
	m->odb = odb;
	*ret = m;
	*ret_aside = aside;
	return 0;
}

static void
drop_fresh(struct mirror *m)
{
	for (struct map_slot *s = map_first(&m->fresh); s; s = map_next(&m->fresh, s))
		free(s->value);
	map_done(&m->fresh);
	m->fresh = (struct map){ 0 };
	m->fresh_bytes = 0;
}

static void
drop_heads(struct mirror *m)
{
	for (struct map_slot *s = map_first(&m->heads); s; s = map_next(&m->heads, s))
		free(s->value);
	map_done(&m->heads);
	m->heads = (struct map){ 0 };
}

void
mirror_close(struct mirror *m)
{
	if (!m)
		return;
	drop_fresh(m);
	drop_heads(m);
	git_odb_free(m->odb);
	git_repository_free(m->repo);
	free(m->dir);
	free(m);
}

/* ---- objects ---- */

int
mirror_put(struct mirror *m, git_object_t type, const void *data, size_t len, git_oid *ret,
	   struct error **e)
{
	char hex[GIT_OID_HEXSZ + 1];
	struct fresh *f;
	git_oid id;
	int rc = git_odb_hash(&id, data, len, type);

	if (rc)
		return fail_git(e, rc, "hash an object");
	git_oid_tostr(hex, sizeof hex, &id);
	if (!map_get(&m->fresh, hex)) {
		if (m->fresh_bytes + len > FRESH_MAX && mirror_flush(m, e))
			return -1;
		f = xmalloc(sizeof *f + len + 1);
		f->id = id;
		f->type = type;
		f->len = len;
		memcpy(f->data, data, len);
		f->data[len] = 0;
		map_put(&m->fresh, hex, f);
		m->fresh_bytes += len;
	}
	*ret = id;
	return 0;
}

/* A file that holds garbage under an object's name would keep the good bytes from
 * ever being written there.  A bad pack cannot be mended: all packs go. */
static void
put_away(struct mirror *m, const char *hex)
{
	cleanup_free char *from = NULL, *to = NULL;
	git_odb *odb = NULL;

	xasprintf(&from, "%s/objects/%.2s/%s", m->dir, hex, hex + 2);
	if (unlink(from) == 0)
		return;
	free(from);
	xasprintf(&from, "%s/objects/pack", m->dir);
	xasprintf(&to, "%s/objects/pack.broken-%s", m->dir, hex);
	if (rename(from, to) == 0)
		mkdir(from, 0700);
	if (open_objects(m->dir, &odb, NULL) == 0) {
		git_odb_free(m->odb);
		m->odb = odb;
	}
}

int
mirror_get(struct mirror *m, const git_oid *id, git_object_t want, struct mirror_object *ret,
	   struct error **e)
{
	cleanup_git(git_odb_object) git_odb_object *o = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	struct fresh *f;
	int rc;

	git_oid_tostr(hex, sizeof hex, id);
	f = map_get(&m->fresh, hex);
	if (f && f->type == want) {
		*ret = (struct mirror_object){ f->data, f->len, NULL };
		return 0;
	}
	rc = f ? GIT_ENOTFOUND : git_odb_read(&o, m->odb, id);
	if (rc == GIT_ENOTFOUND)
		return fail(e, WHY_NOT_FOUND, "object %s is not in %s", hex, m->dir);
	if (rc) {
		fail_git(e, rc, "object %s in %s is damaged", hex, m->dir);
		put_away(m, hex);
		return -1;
	}
	if (git_odb_object_type(o) != want)
		return fail(e, WHY_INVALID, "object %s is a %s where a %s belongs", hex,
			    git_object_type2string(git_odb_object_type(o)),
			    git_object_type2string(want));
	*ret = (struct mirror_object){ git_odb_object_data(o), git_odb_object_size(o),
				       steal_ptr(&o) };
	return 0;
}

void
mirror_object_done(struct mirror_object *o)
{
	git_odb_object_free(o->held);
	*o = (struct mirror_object){ 0 };
}

int
mirror_pack(struct mirror *m, struct mirror_pack *p, const void *data, size_t len,
	    struct error **e)
{
	int rc = 0;

	if (!p->to)
		rc = git_odb_write_pack(&p->to, m->odb, NULL, NULL);
	if (!rc)
		rc = p->to->append(p->to, data, len, &p->stats);
	return rc ? fail_git(e, rc, "write a pack into %s", m->dir) : 0;
}

int
mirror_pack_end(struct mirror *m, struct mirror_pack *p, struct error **e)
{
	int rc;

	if (!p->to)
		return fail(e, WHY_INVALID, "the end of a pack without a pack");
	rc = p->to->commit(p->to, &p->stats);
	if (rc)
		fail_git(e, rc, "write a pack into %s", m->dir);
	mirror_pack_drop(p);
	if (!rc && (rc = git_odb_refresh(m->odb)))
		fail_git(e, rc, "read the new pack in %s", m->dir);
	return rc ? -1 : 0;
}

void
mirror_pack_drop(struct mirror_pack *p)
{
	if (p->to)
		p->to->free(p->to);
	*p = (struct mirror_pack){ 0 };
}

/* ---- heads ---- */

static void
ref_name(char ret[300], const char *name)
{
	snprintf(ret, 300, "refs/kedge/%s/head", name);
}

bool
mirror_name_valid(const char *name)
{
	char ref[300];
	int valid = 0;

	ref_name(ref, name);
	return strlen(name) <= 253 && !strchr(name, '/') &&
	       !git_reference_name_is_valid(&valid, ref) && valid;
}

int
mirror_set_head(struct mirror *m, const char *name, const git_oid *id, struct error **e)
{
	git_oid *copy;

	if (!mirror_name_valid(name))
		return fail(e, WHY_INVALID, "\"%s\" cannot name a source", name);
	copy = xmalloc(sizeof *copy);
	*copy = *id;
	free(map_put(&m->heads, name, copy));
	return 0;
}

bool
mirror_head(struct mirror *m, const char *name, git_oid *ret)
{
	const git_oid *pending = map_get(&m->heads, name);
	char ref[300];

	if (pending) {
		*ret = *pending;
		return true;
	}
	ref_name(ref, name);
	return git_reference_name_to_id(ret, m->repo, ref) == 0;
}

int
mirror_drop_head(struct mirror *m, const char *name, struct error **e)
{
	char ref[300];
	int rc;

	free(map_del(&m->heads, name));
	ref_name(ref, name);
	rc = git_reference_remove(m->repo, ref);
	return rc && rc != GIT_ENOTFOUND ? fail_git(e, rc, "remove %s of %s", ref, m->dir) : 0;
}

bool
mirror_pending(const struct mirror *m)
{
	return m->fresh.n || m->heads.n;
}

/* Nobody but we write here, so a lock is what one of us left who was killed; it would keep
 * the head where it is for good, and each start would go back to that commit. */
static int
head_write(struct mirror *m, const char *ref, const git_oid *id)
{
	cleanup_git(git_reference) git_reference *made = NULL;
	cleanup_free char *lock = NULL;
	int rc = git_reference_create(&made, m->repo, ref, id, 1, NULL);

	if (rc != GIT_ELOCKED)
		return rc;
	xasprintf(&lock, "%s/%s.lock", m->dir, ref);
	(void)unlink(lock);
	return git_reference_create(&made, m->repo, ref, id, 1, NULL);
}

int
mirror_flush(struct mirror *m, struct error **e)
{
	int rc;

	for (struct map_slot *s = map_first(&m->fresh); s; s = map_next(&m->fresh, s)) {
		const struct fresh *f = s->value;
		git_oid id;

		if ((rc = git_odb_write(&id, m->odb, f->data, f->len, f->type)))
			return fail_git(e, rc, "write object %s into %s", s->key, m->dir);
	}
	for (struct map_slot *s = map_first(&m->heads); s; s = map_next(&m->heads, s)) {
		char ref[300];

		ref_name(ref, s->key);
		if ((rc = head_write(m, ref, s->value)))
			return fail_git(e, rc, "write %s into %s", ref, m->dir);
	}
	drop_fresh(m);
	drop_heads(m);
	return 0;
}

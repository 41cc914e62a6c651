/* source_set.c -- a commit's tree to manifests, at the price of what changed.
 *
 * A `folder` is one tree object as it was read: its entries, and for each file
 * the manifests in it.  Folders and files never change once made and are
 * counted; the next commit's folder is made by walking old and new entries side
 * by side and taking over whatever has the same id.  A folder whose id (and
 * what is ignored in it) is the same is taken over whole, unread.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/utf8.h"
#include "gittree.h"
#include "ignore.h"
#include "source_priv.h"
#include <assert.h>
#include <string.h>

struct file {
	int refs;
	struct arena arena;
	struct manifest *first;
	size_t n;
	struct complaints said;
};

struct slot {
	const char *name; /* within the folder's bytes */
	uint32_t len, mode;
	git_oid id;
	struct file *file; /* one of both, or none when it is ignored or wrong */
	struct folder *folder;
	struct manifest *first; /* of the file, so that most of them need not be touched */
	uint32_t n, complaints;
};

struct folder {
	int refs;
	git_oid id;
	uint64_t outer,
	    ignoring; /* hash of what ignores anything here, without and with its own */
	char *bytes;
	struct slot *at;
	size_t n, manifests, complaints; /* the last two with all below */
	struct arena arena;
	struct complaints said; /* about its own entries */
};

struct walk {
	struct sources *s;
	struct arena arena; /* ignore lists: of this walk only */
	size_t files, folders;
	size_t ignore_bytes; /* of the ignore lists */
	int ignore_steps;    /* that matching may still take */
	bool directory;
	bool new_names; /* an object may have come that was not there before */
	struct error **e;
};

struct set {
	struct manifest_set pub;
	struct folder *root;
};

/* ---- lifetimes ---- */

static void
file_drop(struct file *f)
{
	if (!f || --f->refs)
		return;
	arena_free(&f->arena);
	free(f);
}

void
folder_drop(struct folder *d)
{
	if (!d || --d->refs)
		return;
	for (size_t i = 0; i < d->n; i++) {
		file_drop(d->at[i].file);
		folder_drop(d->at[i].folder);
	}
	arena_free(&d->arena);
	free(d->at);
	free(d->bytes);
	free(d);
}

static void
folder_cleanup(struct folder **d)
{
	folder_drop(*d);
}

/* ---- files ---- */

static const struct manifest_place *
places_copy(const struct manifest *m, struct arena *a)
{
	struct manifest_place *at = arena_alloc(a, (m->nplaces + 1) * sizeof *at);

	for (size_t i = 0; i < m->nplaces; i++) {
		at[i] = m->places[i];
		at[i].field = arena_strdup(a, at[i].field);
	}
	return at;
}

/* What is kept is copied out of the reader's arena: its tree would be as much again. */
static struct file *
file_read(const char *path, const char *text, size_t len)
{
	struct file *f = xcalloc(1, sizeof *f);
	cleanup_arena struct arena scratch = { 0 };
	struct manifest **end = &f->first;
	const char *kept = arena_strdup(&f->arena, path);

	f->refs = 1;
	f->said = (struct complaints){ .arena = &f->arena, .path = kept };
	for (struct manifest *m = manifest_read(kept, text, len, &scratch, &f->said); m;
	     m = m->next) {
		struct manifest *copy = arena_alloc(&f->arena, sizeof *copy);

		*copy = *m;
		copy->obj = object_clone(m->obj, &f->arena);
		copy->path = kept;
		copy->places = places_copy(m, &f->arena);
		copy->next = NULL;
		*end = copy;
		end = &copy->next;
		f->n++;
	}
	return f;
}

static bool
same_objects(const struct file *a, const struct file *b)
{
	const struct manifest *x = a->first, *y = b->first;

	for (; x && y; x = x->next, y = y->next)
		if (x->res != y->res || object_compare(x->obj, y->obj))
			return false;
	return !x && !y;
}

static void
take_over(const struct slot *old, struct slot *new)
{
	new->file = old->file;
	new->file->refs++;
	new->first = old->first;
	new->n = old->n;
	new->complaints = old->complaints;
}

static bool
same_slot(const struct slot *a, const struct slot *b)
{
	return a->len == b->len && a->mode == b->mode && !memcmp(a->name, b->name, a->len) &&
	       !memcmp(&a->id, &b->id, sizeof a->id);
}

static int
get_file(struct walk *k, const struct slot *old, struct slot *new, const char *path)
{
	struct mirror_object o = { 0 };

	if (++k->files > GITTREE_FILES_MAX)
		return fail(k->e, WHY_INVALID, GITTREE_TOO_MANY);
	if (old && old->file && git_oid_equal(&old->id, &new->id)) {
		take_over(old, new);
		return 0;
	}
	if (mirror_get(k->s->mirror, &new->id, GIT_OBJECT_BLOB, &o, k->e))
		return -1;
	new->file = file_read(path, o.data, o.len);
	mirror_object_done(&o);
	if (!old || !old->file || !same_objects(old->file, new->file))
		k->new_names = true;
	new->first = new->file->first;
	new->n = new->file->n;
	new->complaints = new->file->said.errors + new->file->said.warnings;
	return 0;
}

/* ---- folders ---- */

static int get_folder(struct walk *, struct folder *old, const git_oid *, const char *path,
		      const struct ignore *, uint64_t ignoring, int depth, struct folder **ret);

static void
object_wrong(struct folder *d, const char *path, const char *what)
{
	cleanup_free char *plain = text_clean(path, strlen(path));

	for (char *p = plain; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = '?';
	d->said.path = arena_strdup(&d->arena, plain);
	complain(&d->said, 0, 0, NULL, "%s", what);
}

/* What must not be in a deploy repository at all, told apart by mode. */
static const char *
mode_wrong(uint32_t mode, bool directory)
{
	if (mode == MODE_LINK && directory)
		return "is a symbolic link that leads out of the directory, to nothing or in a "
		       "circle: put the file itself here, or name it in " IGNORE_FILE;
	if (mode == MODE_LINK)
		return "is a symbolic link; kedge follows none: put the file itself here, or "
		       "name "
		       "it in " IGNORE_FILE;
	if (mode == MODE_MODULE)
		return "is a submodule; kedge fetches none: copy its manifests here, or name "
		       "it "
		       "in " IGNORE_FILE;
	if (mode != MODE_FOLDER && !gittree_is_file(mode))
		return "is neither a file nor a folder";
	return NULL;
}

/* One entry; `old` is the one of the same name and kind before, or NULL. */
static int
get_slot(struct walk *k, struct folder *d, const struct slot *old, struct slot *new,
	 const char *folder, const struct ignore *g, int depth)
{
	const char *wrong = gittree_name_wrong(new->name, new->len);
	char *path;

	/* The common case first: the same file as before costs one comparison. */
	if (old && old->file && git_oid_equal(&old->id, &new->id))
		return get_file(k, old, new, NULL);
	if (!wrong && gittree_name_hidden(new->name))
		return 0;
	path = arena_printf(&k->arena, "%s%s%s", folder, *folder ? "/" : "", new->name);
	if (ignore_matches(g, path, new->mode == MODE_FOLDER, &k->ignore_steps) ||
	    !k->ignore_steps) /* which is said of the folder */
		return 0;
	if (!wrong)
		wrong = mode_wrong(new->mode, k->directory);
	if (!wrong && new->mode == MODE_FOLDER && depth >= GITTREE_DEPTH_MAX)
		wrong = GITTREE_TOO_DEEP;
	if (wrong) {
		object_wrong(d, path, wrong);
		return 0;
	}
	if (new->mode != MODE_FOLDER && !gittree_name_wanted(new->name, new->len))
		return 0;
	if (new->mode != MODE_FOLDER && !utf8_is(path)) {
		object_wrong(d, path,
			     "its path is not UTF-8: rename it, or name it in " IGNORE_FILE);
		return 0;
	}
	if (new->mode == MODE_FOLDER ? get_folder(k, old ? old->folder : NULL, &new->id, path,
						  g, d->ignoring, depth + 1, &new->folder)
				     : get_file(k, old, new, path)) {
		/* What the mirror lacks is not the commit's fault; the rest is. */
		if ((*k->e)->why != WHY_INVALID)
			return fail_in(k->e, "%s", path);
		object_wrong(d, path, error_text(*k->e));
		error_free(k->e);
	}
	return 0;
}

/* 1: it cannot be used, which is said; then nobody knows what counts in the folder. */
static int
read_ignore(struct walk *k, struct folder *d, size_t len, const char *path,
	    const struct ignore **g, uint64_t *ignoring)
{
	struct mirror_object o = { 0 };
	struct gittree_entry x;
	git_oid id;

	if (gittree_find(d->bytes, len, IGNORE_FILE, strlen(IGNORE_FILE), &x) <= 0 ||
	    !gittree_is_file(x.mode))
		return 0;
	git_oid_fromraw(&id, x.id);
	if (mirror_get(k->s->mirror, &id, GIT_OBJECT_BLOB, &o, k->e))
		return -1;
	k->ignore_bytes += o.len;
	if (o.len > IGNORE_FILE_MAX || k->ignore_bytes > IGNORE_ALL_MAX) {
		mirror_object_done(&o);
		object_wrong(
		    d, arena_printf(&k->arena, "%s%s%s", path, *path ? "/" : "", IGNORE_FILE),
		    IGNORE_TOO_LARGE);
		d->complaints = d->said.errors;
		return 1;
	}
	*g = ignore_read(o.data, o.len, path, *g, &k->arena);
	*ignoring = hash_str(hash_bytes(*ignoring, &id, sizeof id), path);
	mirror_object_done(&o);
	return 0;
}

static int
slot_compare(const struct slot *a, const struct slot *b)
{
	return gittree_compare(&(struct gittree_entry){ a->mode, a->name, a->len, NULL },
			       &(struct gittree_entry){ b->mode, b->name, b->len, NULL });
}

static int
fill_folder(struct walk *k, struct folder *d, const struct folder *old, size_t len,
	    const char *path, const struct ignore *g, int depth)
{
	const char *at = d->bytes, *end = d->bytes + len;
	size_t cap = old ? old->n + 8 : 16, o = 0;
	bool in_step = true; /* the last entry here was that of old->at[o - 1] */
	struct gittree_entry x;
	int rc;

	d->at = xmalloc(cap * sizeof *d->at);
	while ((rc = gittree_next(&at, end, &x)) > 0) {
		const struct slot *was = NULL;
		struct slot *now;

		if (d->n == cap)
			d->at = xrealloc(d->at, (cap *= 2) * sizeof *d->at);
		now = &d->at[d->n];
		*now = (struct slot){ .name = x.name, .len = x.len, .mode = x.mode };
		git_oid_fromraw(&now->id, x.id);
		/* The way most entries go: unchanged, and in the order of before. */
		if (in_step && old && o < old->n && same_slot(&old->at[o], now) &&
		    old->at[o].file) {
			take_over(&old->at[o++], now);
			k->files++;
			d->manifests += now->n;
			d->complaints += now->complaints;
			d->n++;
			continue;
		}
		if (d->n && slot_compare(now - 1, now) >= 0)
			break;
		d->n++; /* so that folder_drop sees it, whatever happens next */
		for (; old && o < old->n && slot_compare(&old->at[o], now) < 0; o++)
			;
		if (old && o < old->n && !slot_compare(&old->at[o], now))
			was = &old->at[o++];
		in_step = was != NULL;
		if (get_slot(k, d, was, now, path, g, depth))
			return -1;
		d->manifests += now->folder ? now->folder->manifests : now->n;
		d->complaints += now->folder ? now->folder->complaints : now->complaints;
	}
	if (rc)
		object_wrong(d, *path ? path : ".",
			     "is a malformed folder: check the repository with git fsck");
	if (!k->ignore_steps)
		object_wrong(d, *path ? path : ".",
			     "takes too long to be held against the patterns of " IGNORE_FILE
			     ": write fewer, or plainer ones");
	d->complaints += d->said.errors;
	return 0;
}

static int
get_folder(struct walk *k, struct folder *old, const git_oid *id, const char *path,
	   const struct ignore *g, uint64_t ignoring, int depth, struct folder **ret)
{
	__attribute__((cleanup(folder_cleanup))) struct folder *d = NULL;
	struct mirror_object o = { 0 };
	size_t len;
	int rc;

	if (old && git_oid_equal(&old->id, id) && old->outer == ignoring) {
		old->refs++;
		*ret = old;
		return 0;
	}
	/* Seven small objects can stand for a million folders, one within the other. */
	if (++k->folders > GITTREE_FOLDERS_MAX)
		return fail(
		    k->e, WHY_INVALID,
		    "one folder too many: kedge looks into at most %d of a source: "
		    "split it (each source with a path of its own), or name what has no "
		    "manifests in .kedgeignore",
		    GITTREE_FOLDERS_MAX);
	if (mirror_get(k->s->mirror, id, GIT_OBJECT_TREE, &o, k->e))
		return -1;
	d = xcalloc(1, sizeof *d);
	d->refs = 1;
	d->id = *id;
	d->outer = ignoring;
	d->said.arena = &d->arena;
	d->bytes = xmalloc(o.len + 1);
	memcpy(d->bytes, o.data, o.len);
	len = o.len;
	mirror_object_done(&o);
	if ((rc = read_ignore(k, d, len, path, &g, &ignoring)) < 0)
		return -1;
	d->ignoring = ignoring;
	/* What was ignored before may be read now: the old entries do not say. */
	if (old && old->ignoring != ignoring)
		old = NULL;
	if (!rc && fill_folder(k, d, old, len, path, g, depth))
		return -1;
	*ret = steal_ptr(&d);
	return 0;
}

/* ---- the whole ---- */

static void
collect(const struct folder *d, struct manifest_set *to)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct slot *x = &d->at[i];

		if (x->folder)
			collect(x->folder, to);
		else if (x->n == 1)
			to->at[to->n++] = x->first;
		else
			for (struct manifest *m = x->first; m; m = m->next)
				to->at[to->n++] = m;
	}
}

static void
repeat(const struct complaints *said, struct complaints *to)
{
	const char *path = to->path;

	for (const struct complaint *c = said->first; c; c = c->next) {
		to->path = arena_strdup(to->arena, c->path);
		complaint_add(to, c->kind, c->warning, c->line, c->col, c->field, c->text);
	}
	to->path = path;
}

static void
repeat_all(const struct folder *d, struct complaints *to)
{
	if (!d->complaints)
		return;
	repeat(&d->said, to);
	for (size_t i = 0; i < d->n; i++)
		if (d->at[i].folder)
			repeat_all(d->at[i].folder, to);
		else if (d->at[i].complaints)
			repeat(&d->at[i].file->said, to);
}

void
manifest_set_free(struct manifest_set *pub)
{
	struct set *set = (struct set *)pub;

	if (!set)
		return;
	folder_drop(set->root);
	free(set->pub.at);
	free(set);
}

/* Walks from the commit's tree down to the source's path.  1: *ret is its folder,
 * 0: there is none (and a complaint says so). */
static int
find_folder(struct walk *k, const char *tree, const char *path, struct complaints *said,
	    git_oid *ret)
{
	git_oid id;

	git_oid_fromstr(&id, tree);
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		struct mirror_object o = { 0 };
		struct gittree_entry x;
		int found;

		if (mirror_get(k->s->mirror, &id, GIT_OBJECT_TREE, &o, k->e))
			return -1;
		found = gittree_find(o.data, o.len, p, n, &x);
		if (found > 0 && x.mode == MODE_FOLDER)
			git_oid_fromraw(&id, x.id);
		mirror_object_done(&o);
		if (found <= 0 || x.mode != MODE_FOLDER) {
			said->path = arena_strdup(said->arena, path);
			complain(said, 0, 0, NULL,
				 "the source's path is no folder in this commit");
			return 0;
		}
		p += n;
		p += *p == '/';
	}
	*ret = id;
	return 1;
}

/* What was read is compared with next time, unless the walk reached a bound: then folders are
 * wrong for what others took, and are not any more once these are mended. */
static void
keep(struct watch *w, const struct walk *k, struct set *set, struct complaints *said)
{
	bool bounded = !k->ignore_steps || k->ignore_bytes > IGNORE_ALL_MAX ||
		       k->files > GITTREE_FILES_MAX || k->folders > GITTREE_FOLDERS_MAX;
	int before = said->errors;

	/* The same names as in a set without doubles have none: an edit of
	 * one file of many does not look at all the others. */
	if (bounded || !w->last_clean || k->new_names)
		manifests_check(set->pub.at, set->pub.n, said);
	if (bounded)
		return;
	w->last_clean = said->errors == before;
	set->root->refs++;
	folder_drop(w->last);
	w->last = set->root;
}

static int
read_set(struct sources *s, struct watch *w, const char *commit, const char *folder,
	 struct set **ret, struct complaints *said, struct error **e)
{
	struct walk k = { .s = s,
			  .e = e,
			  .directory = !strcmp(w->args->type, "directory"),
			  .ignore_steps = IGNORE_STEPS_MAX };
	struct source_head h = { 0 };
	struct folder *root = NULL;
	struct set *set;
	git_oid id;
	const char *path = gittree_path(folder ? folder : w->args->path, &k.arena);
	int rc = source_commit_info(s, commit, &h, e);

	if (!rc)
		rc = find_folder(&k, h.tree, path, said, &id);
	if (rc > 0)
		rc = get_folder(&k, w->last, &id, path, NULL, hash_str(0, path), 0, &root);
	source_head_done(&h);
	arena_free(&k.arena);
	if (rc)
		return rc;
	set = xcalloc(1, sizeof *set);
	set->root = root;
	if (root) {
		set->pub.at = xmalloc((root->manifests + 1) * sizeof *set->pub.at);
		collect(root, &set->pub);
		repeat_all(root, said);
		keep(w, &k, set, said);
	}
	*ret = set;
	return 0;
}

int
source_manifests(struct sources *s, const char *name, const char *commit, const char *path,
		 struct manifest_set **ret, struct complaints *said, struct error **e)
{
	struct watch *w = map_get(&s->watches, name);
	struct error *why = NULL;
	struct set *set;

	if (!w)
		return fail(e, WHY_UNAVAILABLE,
			    "source %s cannot be read just now; kedge status says why", name);
	if (read_set(s, w, commit, path, &set, said, &why) == 0) {
		w->asked_all = false;
		*ret = &set->pub;
		return 0;
	}
	/* Once for each head: a worker that sends too little again would be asked forever. */
	if (!w->asked_all && (why->why == WHY_NOT_FOUND || why->why == WHY_IO) &&
	    !source_sync(s, name, true, NULL))
		w->asked_all = true;
	if (e)
		*e = steal_ptr(&why);
	error_free(&why);
	return fail_in(e, "source %s, commit %.12s", name, commit);
}

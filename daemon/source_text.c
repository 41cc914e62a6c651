/* source_text.c -- what lies at a path of a commit: a file's text, to name the line of a field;
 * the source's folder, to tell whether two commits say the same. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "gittree.h"
#include "source_priv.h"
#include <string.h>

/* One step down from the tree `id`, which becomes what is there. */
static int
step(struct sources *s, git_oid *id, const char *name, size_t n, bool last, struct error **e)
{
	struct mirror_object o = { 0 };
	struct gittree_entry x;
	int found;

	if (mirror_get(s->mirror, id, GIT_OBJECT_TREE, &o, e) < 0)
		return -1;
	found = gittree_find(o.data, o.len, name, n, &x);
	if (found > 0 && (last ? gittree_is_file(x.mode) : x.mode == MODE_FOLDER))
		git_oid_fromraw(id, x.id);
	else
		found = 0;
	mirror_object_done(&o);
	return found > 0 ? 0 : fail(e, WHY_NOT_FOUND, "no file %s", name);
}

static int
walk(struct sources *s, git_oid *id, const char *path, bool file, struct error **e)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		bool last = file && !path[n];

		if (n && step(s, id, path, n, last, e) < 0)
			return -1;
		path += n;
		path += *path == '/';
	}
	return 0;
}

char *
source_text(struct sources *s, const char *commit, const char *path, struct error **e)
{
	struct source_head head = { 0 };
	struct mirror_object o = { 0 };
	char *text = NULL;
	git_oid id;

	if (source_commit_info(s, commit, &head, e) < 0)
		return NULL;
	/* Manifests are named from the commit's root on, whichever folder the source is. */
	if (git_oid_fromstr(&id, head.tree) == 0 && walk(s, &id, path, true, e) == 0 &&
	    mirror_get(s->mirror, &id, GIT_OBJECT_BLOB, &o, e) == 0)
		text = xstrndup(o.data, o.len);
	mirror_object_done(&o);
	source_head_done(&head);
	return text;
}

/* The folder that the source follows, as it is in this commit. */
static int
folder_id(struct sources *s, const struct watch *w, const char *commit, git_oid *ret)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *ignored = NULL;
	struct source_head head = { 0 };
	int rc = source_commit_info(s, commit, &head, &ignored);

	if (rc == 0)
		rc = git_oid_fromstr(ret, head.tree);
	if (rc == 0)
		rc = walk(s, ret, gittree_path(w->args->path, &a), false, &ignored);
	source_head_done(&head);
	return rc;
}

bool
source_alike(struct sources *s, const char *name, const char *one, const char *other)
{
	const struct watch *w = map_get(&s->watches, name);
	git_oid a, b;

	return w && folder_id(s, w, one, &a) == 0 && folder_id(s, w, other, &b) == 0 &&
	       git_oid_equal(&a, &b);
}

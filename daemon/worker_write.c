/* worker_write.c -- one file of the branch changed by a commit.
 *
 * The brain says which bytes of which blob; nothing here knows what they mean.  As with a
 * rollback the tree is put together from those that exist, and the branch moves by
 * compare-and-swap.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "worker_git.h"
#include <string.h>

/* The old text with the splices, all of which must lie within it and in order. */
static int
spliced(const git_blob *blob, const struct write_args *args, struct buf *out, struct error **e)
{
	const char *text = git_blob_rawcontent(blob);
	int64_t len = (int64_t)git_blob_rawsize(blob), at = 0;

	for (size_t i = 0; i < args->splices.n; i++) {
		const struct write_splice *s = &args->splices.at[i];

		if (s->at < at || s->at > len || s->drop < 0 || s->drop > len - s->at)
			return fail(e, WHY_INVALID, "a malformed change of %s", args->path);
		buf_add(out, text + at, (size_t)(s->at - at));
		buf_adds(out, s->text ? s->text : "");
		at = s->at + s->drop;
	}
	buf_add(out, text + at, (size_t)(len - at));
	return 0;
}

/* Git has no empty folders, and a source cannot follow one that is not there: the last file in
 * it stays, with nothing in it. */
static int
removed(git_repository *repo, git_tree *now, const char *subdir, git_tree_update *u,
	git_oid *ret, struct error **e)
{
	cleanup_git(git_tree) git_tree *left = NULL;
	git_tree_entry *x = NULL;
	int rc;

	u->action = GIT_TREE_UPDATE_REMOVE;
	if ((rc = git_tree_create_updated(ret, repo, now, 1, u)) ||
	    (rc = git_tree_lookup(&left, repo, ret)))
		return fail_git(e, rc, "remove %s", u->path);
	if (!*subdir || git_tree_entry_bypath(&x, left, subdir) == 0) {
		git_tree_entry_free(x);
		return 0;
	}
	u->action = GIT_TREE_UPDATE_UPSERT;
	if ((rc = git_blob_create_from_buffer(&u->id, repo, "", 0)) ||
	    (rc = git_tree_create_updated(ret, repo, now, 1, u)))
		return fail_git(e, rc, "empty %s", u->path);
	return 0;
}

/* The tree with the file as it shall be. */
static int
changed_tree(git_repository *repo, git_tree *now, const char *subdir,
	     const struct write_args *args, git_oid *ret, bool *ret_moved, struct error **e)
{
	cleanup_git(git_blob) git_blob *blob = NULL;
	cleanup_buf struct buf text = { 0 };
	git_tree_update u = { .action = GIT_TREE_UPDATE_UPSERT, .path = args->path };
	git_tree_entry *x = NULL;
	git_oid expected;
	int rc;

	if (git_oid_fromstr(&expected, args->blob))
		return fail(e, WHY_INVALID, "\"%s\" is no file's id", args->blob);
	if (git_tree_entry_bypath(&x, now, args->path) ||
	    !git_oid_equal(git_tree_entry_id(x), &expected)) {
		git_tree_entry_free(x);
		*ret_moved = true;
		return fail(e, WHY_CONFLICT, "%s was changed meanwhile", args->path);
	}
	u.filemode = git_tree_entry_filemode(x);
	git_tree_entry_free(x);
	if (args->remove)
		return removed(repo, now, subdir, &u, ret, e);
	if ((rc = git_blob_lookup(&blob, repo, &expected)))
		return fail_git(e, rc, "read %s", args->path);
	if (spliced(blob, args, &text, e))
		return -1;
	if ((rc = git_blob_create_from_buffer(&u.id, repo, buf_text(&text), text.len)) ||
	    (rc = git_tree_create_updated(ret, repo, now, 1, &u)))
		return fail_git(e, rc, "write %s", args->path);
	return 0;
}

int
git_write_file(git_repository *repo, const char *ref, const git_oid *head, const char *subdir,
	       const struct write_args *args, git_oid *ret_commit, bool *ret_moved,
	       struct error **e)
{
	cleanup_git(git_commit) git_commit *top = NULL;
	cleanup_git(git_signature) git_signature *who = NULL;
	cleanup_git(git_reference) git_reference *moved = NULL;
	cleanup_git(git_tree) git_tree *now = NULL, *tree = NULL;
	git_oid tree_id, id;
	int rc;

	if ((rc = git_commit_lookup(&top, repo, head)) || (rc = git_commit_tree(&now, top)))
		return fail_git(e, rc, "read %s", ref);
	if (changed_tree(repo, now, subdir, args, &tree_id, ret_moved, e) ||
	    git_sign(args->author, &who, e))
		return -1;
	if ((rc = git_tree_lookup(&tree, repo, &tree_id)) ||
	    (rc = git_commit_create(&id, repo, NULL, who, who, NULL, args->message, tree, 1,
				    (const git_commit *[]){ top })))
		return fail_git(e, rc, "write the commit");
	rc = git_reference_create_matching(&moved, repo, ref, &id, 1, head, "kedge: write");
	*ret_moved = rc == GIT_EMODIFIED || rc == GIT_ELOCKED;
	if (rc == GIT_ELOCKED)
		return fail(e, WHY_CONFLICT,
			    "%s is locked by another program, or one that ended has left "
			    "%s%s.lock behind",
			    ref, git_repository_path(repo), ref);
	if (rc == GIT_EMODIFIED)
		return fail(e, WHY_CONFLICT, "%s moved meanwhile", ref);
	if (rc)
		return fail_git(e, rc, "move %s", ref);
	*ret_commit = id;
	return 0;
}

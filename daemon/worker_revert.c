/* worker_revert.c -- a rollback as a commit.
 *
 * Trees are put together from those that exist: no index, no working tree.  The
 * branch moves by compare-and-swap, so a push that comes meanwhile wins.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "worker_git.h"
#include <string.h>

int
git_sign(const char *author, git_signature **ret, struct error **e)
{
	const char *lt = strchr(author, '<'), *gt = lt ? strchr(lt, '>') : NULL;
	cleanup_free char *name = NULL, *mail = NULL;
	size_t n = lt ? (size_t)(lt - author) : strlen(author);
	int rc;

	while (n && author[n - 1] == ' ')
		n--;
	name = xstrndup(n ? author : "kedge", n ? n : 5);
	mail = gt ? xstrndup(lt + 1, gt - lt - 1) : xstrdup("kedge@localhost");
	rc = git_signature_now(ret, name, mail);
	return rc ? fail_git(e, rc, "author \"%s\"", author) : 0;
}

/* The head's tree with `subdir` as in the old commit. */
static int
mix_trees(git_repository *repo, git_commit *head, git_commit *old, const char *subdir,
	  git_oid *ret, struct error **e)
{
	cleanup_git(git_tree) git_tree *now = NULL, *then = NULL;
	git_tree_entry *x = NULL;
	git_tree_update u = { .action = GIT_TREE_UPDATE_REMOVE, .path = subdir };
	int rc;

	if (!*subdir) {
		*ret = *git_commit_tree_id(old);
		return 0;
	}
	if ((rc = git_commit_tree(&now, head)) || (rc = git_commit_tree(&then, old)))
		return fail_git(e, rc, "read the trees");
	if (git_tree_entry_bypath(&x, then, subdir) == 0) {
		u.action = GIT_TREE_UPDATE_UPSERT;
		u.id = *git_tree_entry_id(x);
		u.filemode = git_tree_entry_filemode(x);
		git_tree_entry_free(x);
	}
	rc = git_tree_create_updated(ret, repo, now, 1, &u);
	return rc ? fail_git(e, rc, "put %s back", subdir) : 0;
}

int
git_rollback(git_repository *repo, const char *ref, const git_oid *head, const char *subdir,
	     const char *commit, const char *author, const char *message, struct error **e)
{
	cleanup_git(git_commit) git_commit *top = NULL, *old = NULL;
	cleanup_git(git_signature) git_signature *who = NULL;
	cleanup_git(git_reference) git_reference *moved = NULL;
	cleanup_git(git_tree) git_tree *tree = NULL;
	git_oid old_id, tree_id, id;
	int rc;

	if (strlen(commit) != GIT_OID_HEXSZ || git_oid_fromstr(&old_id, commit))
		return fail(e, WHY_INVALID, "\"%s\" is not a commit", commit);
	if (git_commit_lookup(&old, repo, &old_id))
		return fail(e, WHY_NOT_FOUND, "commit %.12s is no longer in the repository",
			    commit);
	if ((rc = git_commit_lookup(&top, repo, head)))
		return fail_git(e, rc, "read %s", ref);
	if (mix_trees(repo, top, old, subdir, &tree_id, e) || git_sign(author, &who, e))
		return -1;
	if (git_oid_equal(&tree_id, git_commit_tree_id(top)))
		return fail(e, WHY_EXISTS,
			    "the head of %s already is as it was in %.12s: name another "
			    "revision (kedge history lists them)",
			    ref, commit);
	if ((rc = git_tree_lookup(&tree, repo, &tree_id)) ||
	    (rc = git_commit_create(&id, repo, NULL, who, who, NULL, message, tree, 1,
				    (const git_commit *[]){ top })))
		return fail_git(e, rc, "write the commit");
	rc = git_reference_create_matching(&moved, repo, ref, &id, 1, head, "kedge: rollback");
	if (rc == GIT_EMODIFIED)
		return fail(e, WHY_CONFLICT, "%s moved meanwhile: try again", ref);
	return rc ? fail_git(e, rc, "move %s", ref) : 0;
}

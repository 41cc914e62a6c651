/* worker_git.h -- what local and remote repositories share. */
#ifndef KEDGE_WORKER_GIT_H
#define KEDGE_WORKER_GIT_H
#include "worker.h"

/* The commit that the source's ref names; `ret_ref` is the branch's or tag's full
 * name, "" for a commit id. */
int git_find_head(struct worker *, git_repository *, char ret_ref[1024], git_oid *ret_commit,
		  git_oid *ret_tree, struct error **);
/* The error for a name that is nothing in `where`. */
int git_no_such_ref(const struct watch_args *, const char *where, const char *name,
		    struct error **);
/* What the source's ref names were it this one, sent without becoming the head. */
int git_send_ref(struct worker *, git_repository *, const char *ref, git_oid *ret_commit,
		 struct error **);
/* Sends what the brain lacks of it, then the head. */
int git_send_head(struct worker *, git_repository *, const git_oid *commit, const git_oid *tree,
		  struct error **);
/* worker_revert.c: a commit on top of `head` in which `subdir` is as it was in
 * `commit`; `ref` moves only if it still is at `head`. */
int git_rollback(git_repository *, const char *ref, const git_oid *head, const char *subdir,
		 const char *commit, const char *author, const char *message, struct error **);
/* "Name <mail>", now */
int git_sign(const char *author, git_signature **ret, struct error **);
/* worker_write.c: a commit on top of `head` in which one file is changed; as above. */
int git_write_file(git_repository *, const char *ref, const git_oid *head, const char *subdir,
		   const struct write_args *, git_oid *ret_commit, bool *ret_moved,
		   struct error **);
#endif

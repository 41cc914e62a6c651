/* source.h -- from a repository or a directory to objects.
 *
 * Two sides.  The *worker* (own process, the rights of whoever owns the source,
 * sandboxed) watches and reads it and sends git objects.  The *brain's side*
 * writes them into kedge's own bare mirror (content-addressed, so it need not
 * trust the worker) and turns a commit's tree into manifests, parsing each
 * blob once.
 */
#ifndef KEDGE_SOURCE_H
#define KEDGE_SOURCE_H
#include "../reconcile/object.h"

struct error;
struct sources; /* all of the brain's: one mirror, a watch for each name */
struct watch_args;

struct source_head {
	char commit[65], tree[65];
	char *author, *message; /* message: whole text */
	int64_t time_ms;
	bool forced;   /* the commit before it is not its ancestor */
	bool prune_ok; /* trailer Kedge-Prune: yes */
};

/* Opens or makes `dir` (bare); one that is damaged is moved aside and made anew. */
int sources_open(const char *dir, struct sources **ret, struct error **);
void sources_close(struct sources *);

/* Takes the worker's socket (and closes it some day).  The first time for a name
 * the head is the one the mirror remembers, so a restart goes on without waiting;
 * after SOURCE_LOST the same call takes the next worker's socket. */
int source_attach(struct sources *, const char *name, const struct watch_args *, int fd,
		  struct error **);
void source_detach(struct sources *,
		   const char *name); /* forgets it; the mirror keeps its head */
/* Of one that is not attached: the mirror's head goes, too.  What comes under this name later
 * is another source. */
int source_forget(struct sources *, const char *name, struct error **);
int source_fd(struct sources *, const char *name); /* to poll for reading; -1: none */
enum source_news {
	SOURCE_NOTHING,  /* nothing more for now */
	SOURCE_MOVED,    /* source_head changed; its objects are here */
	SOURCE_FAILED,   /* source_error changed, perhaps to "" */
	SOURCE_ANSWERED, /* source_answer tells how the last request ended */
	SOURCE_WRITABLE, /* source_writable changed, or source_unwritable */
	SOURCE_WRITTEN,  /* source_written tells what became of source_write */
	SOURCE_SHOWN,    /* source_shown tells what became of source_show */
	SOURCE_LOST,     /* the worker is gone and source_fd is -1; the head stays */
};
/* One step of reading, never waiting; call again until SOURCE_NOTHING or SOURCE_LOST. */
enum source_news source_read(struct sources *, const char *name);
/* False until source_attach. */
bool source_known(struct sources *, const char *name);
const struct source_head *source_head(struct sources *, const char *name); /* NULL: none yet */
const char *source_error(struct sources *, const char *name);              /* "" when fine */
const char *source_note(struct sources *, const char *name); /* what the worker cannot do; "" */
bool source_writable(struct sources *, const char *name);
const char *source_unwritable(struct sources *, const char *name); /* why not; "": not known */

/* What came lately is used from memory at once and reaches the disk here (fsynced,
 * objects before refs): call it when the pass is done, not before.  On failure
 * (disk full) it stays in memory and the next call tries again.  Does nothing,
 * and touches no disk, when nothing is pending. */
int sources_flush(struct sources *, struct error **);
bool sources_pending(const struct sources *);

/* The manifests of one commit: sorted by path, then as in the file.  Alive until
 * freed; a file that did not change gives the very same pointers in the next set. */
struct manifest_set {
	struct manifest **at;
	size_t n;
};
void manifest_set_free(struct manifest_set *); /* takes NULL */

/* Every manifest of that commit under `path` (NULL: the source's).  The cost follows what
 * changed since the last call.  Complaints carry path:line:col and come along
 * with what could be read.  -1 only when the mirror lacks something: the worker
 * has then been asked for everything, and SOURCE_MOVED comes again. */
int source_manifests(struct sources *, const char *name, const char *commit, const char *path,
		     struct manifest_set **ret, struct complaints *, struct error **);
int source_commit_info(struct sources *, const char *commit, struct source_head *ret,
		       struct error **);
void source_head_done(struct source_head *);
/* A file of that commit, by its path from the root on, as manifests are named; the caller frees
 * it.  NULL: it is not there. */
char *source_text(struct sources *, const char *commit, const char *path, struct error **);
/* Is the source's folder the same in both commits?  False where the mirror lacks one. */
bool source_alike(struct sources *, const char *name, const char *one, const char *other);

/* Asks the worker to look now; SOURCE_ANSWERED ends it, after SOURCE_MOVED if the head moved.
 * `everything`: the mirror's contents are in doubt, so send all of them again. */
int source_sync(struct sources *, const char *name, bool everything, struct error **);
/* Asks the worker for a branch, tag or commit that is not the head; SOURCE_SHOWN ends it. */
int source_show(struct sources *, const char *name, const char *ref, struct error **);
/* The last one: what was asked for, its commit ("" when there is none), and why not. */
void source_shown(struct sources *, const char *name, const char **ret_ref,
		  const char **ret_commit, const char **ret_why);
/* A new commit on top whose tree (under path) is that of `commit`; `author` as in
 * "Name <mail>".  SOURCE_MOVED, then SOURCE_ANSWERED; WHY_FORBIDDEN where not writable. */
int source_revert_to(struct sources *, const char *name, const char *commit, const char *author,
		     const char *message, struct error **);
/* A commit on the branch that changes one file; SOURCE_MOVED, then SOURCE_WRITTEN. */
int source_write(struct sources *, const char *name, const struct write_args *,
		 struct error **);
const struct written_seen *source_written(struct sources *, const char *name);
/* Syncs and reverts are answered in their order: the number of the last one that was asked
 * (also by source_manifests), and of the one that the last SOURCE_ANSWERED is of. */
int64_t source_asked(struct sources *, const char *name);
int64_t source_answered(struct sources *, const char *name);
const char *source_answer(struct sources *,
			  const char *name); /* error text of the last request; "" fine */

/* The worker's whole life, in its own process: args over `fd` decide.  Does not return. */
_Noreturn void source_worker(int fd);
#endif

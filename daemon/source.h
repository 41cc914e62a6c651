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
struct sources;
struct watch_args;

struct source_head {
	char commit[65], tree[65];
	char *author, *message; /* message: whole text */
	int64_t time_ms;
	bool forced;	/* the commit before it is not its ancestor */
	bool prune_ok;	/* trailer Kedge-Prune: yes */
};

/* Opens or makes `dir` (bare); one that is damaged is moved aside and made anew. */
int sources_open(const char *dir, struct sources **ret, struct error **);
void sources_close(struct sources *);

/* Takes the worker's socket.  `notify` is called from source_read when the head
 * moved (objects already in the mirror) or the source's error changed. */
int source_attach(struct sources *, const char *name, const struct watch_args *, int fd,
		  struct error **);
void source_detach(struct sources *, const char *name);
int source_fd(struct sources *, const char *name); /* to poll for reading; -1: none */
enum source_news { SOURCE_NOTHING, SOURCE_MOVED, SOURCE_FAILED, SOURCE_ANSWERED, SOURCE_LOST };
/* One step of reading; call again until SOURCE_NOTHING. */
enum source_news source_read(struct sources *, const char *name);
const struct source_head *source_head(struct sources *, const char *name); /* NULL: none yet */
const char *source_error(struct sources *, const char *name); /* "" when fine */
bool source_writable(struct sources *, const char *name);
/* What the mirror holds for this source (a commit or a tree), to give to a new worker; "" none */
const char *source_have(struct sources *, const char *name);

/* Every manifest of that commit under the source's path, sorted; cached by blob
 * id, so the cost follows what changed since the last call.  Complaints carry
 * path:line:col.  -1 only when the mirror cannot be read (it is then repaired:
 * ask the worker for everything with source_sync). */
int source_manifests(struct sources *, const char *name, const char *commit,
		     struct manifest ***ret, size_t *ret_n, struct complaints *, struct error **);
int source_commit_info(struct sources *, const char *commit, struct source_head *ret,
		       struct error **);
void source_head_done(struct source_head *);

/* Asks the worker; the answer comes as SOURCE_ANSWERED (then source_answer) or SOURCE_MOVED. */
int source_sync(struct sources *, const char *name, bool everything, struct error **);
/* A new commit on top whose tree (under path) is that of `commit`. */
int source_revert_to(struct sources *, const char *name, const char *commit, const char *author,
		     const char *message, struct error **);
const char *source_answer(struct sources *, const char *name); /* error text of the last request; "" fine */

/* The worker's whole life, in its own process: args over `fd` decide.  Does not return. */
_Noreturn void source_worker(int fd);
#endif

/* worker.h -- inside a source's worker: what the kinds of source have in common.
 *
 * A worker is one process for one source, with the rights of its owner.  It
 * looks when something moved, sends what is new and says what is wrong; what it
 * said last stays true until it says something else.
 */
#ifndef KEDGE_WORKER_H
#define KEDGE_WORKER_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/now.h"
#include "../reconcile/schema.h"
#include "gitlib.h"
#include "source_frame.h"

struct error;
struct worker;

struct source_kind {
	/* Opens the source and walls the process in; until it succeeds it is
	 * called again every second. */
	int (*open)(struct worker *, struct error **);
	/* Looks, and sends what is new.  With `asked` at once, whatever the timers say. */
	int (*look)(struct worker *, bool asked, struct error **);
	/* The watch descriptor has something. */
	void (*notice)(struct worker *);
	/* Sends a commit that is not the head; NULL: there are none. */
	int (*read)(struct worker *, const char *ref, git_oid *ret_commit, struct error **);
	int (*revert)(struct worker *, const char *commit, const char *author,
		      const char *message, struct error **);
	/* A commit on the branch that changes one file; `ret_moved`: it failed for the file is
	 * another one by now. */
	int (*write)(struct worker *, const struct write_args *, git_oid *ret_commit,
		     bool *ret_moved, struct error **);
};
extern const struct source_kind source_git, source_remote, source_directory;

/* worker_batch.c: large folders as they were sent last, for the next comparison. */
enum { KEPT_FOLDERS = 16, KEPT_MIN = 16 << 10, KEPT_MAX = 1 << 20 };
struct kept {
	git_odb_object *at[KEPT_FOLDERS];
	unsigned next;
};

struct worker {
	int fd; /* to the brain */
	struct arena arena;
	const struct watch_args *args;
	const struct source_kind *kind;
	char *path;              /* of a local source */
	void *state;             /* the kind's own */
	int watch_fd;            /* -1: none, polling */
	int64_t next;            /* monotonic_ms when to look without a notice */
	git_oid have, have_tree; /* what the brain has; zero: nothing */
	char *failed; /* what was said last with FRAME_FAILED, NULL when all is well */
	bool unsure;  /* the brain may believe that something is wrong */
	char *noted;
	struct kept kept;
	struct {
		bool known;
		uid_t uid;
	} owner;          /* of a local source, as it was first looked at */
	char *unwritable; /* what was said last, "" when it can be written to; NULL: nothing */
};

/* worker_limit.c: between start and stop a job gets on within the source's `timeout`; else its
 * worker says so and ends.  A start while it runs is a step forward: it gives the whole time
 * anew. */
int worker_limit_open(const struct worker *, struct error **);
void worker_limit_start(void);
void worker_limit_stop(void);

int worker_note(struct worker *, const char *text, struct error **);
/* `why_not`: "" when commits can be made. */
int worker_say_writable(struct worker *, const char *why_not, struct error **);
/* Something is new, or nothing is: sends the head and clears what was wrong. */
int worker_say_commit(struct worker *, const git_oid *commit, const git_oid *tree, bool forced,
		      struct error **);
int worker_say_tree(struct worker *, const git_oid *tree, struct error **);
/* Ends the process: another one with fresh eyes (and walls) is to take over. */
_Noreturn void worker_retire(struct worker *, const char *why);
/* Can the source's owner, with whose rights this process looks, open that folder at all?  The
 * answer says what to do. */
int worker_reach(const struct worker *, struct error **);
/* The path under the repository that the user wants, without odd slashes. */
const char *worker_subdir(struct worker *);

/* Objects on their way. */
struct batch {
	git_repository *repo;
	git_odb *odb;
	struct kept *kept; /* or NULL */
	struct batch_item {
		git_oid id;
		git_odb_object *held; /* when it was read already */
	} * at;
	size_t n, cap, bytes;
};
/* The same with the commit and the folders on the way down to `subdir`. */
int batch_commit(struct batch *, const git_oid *was, const git_oid *commit, const git_oid *tree,
		 const char *subdir, struct error **);
int batch_add(struct batch *, const git_oid *, const char *path, struct error **);
int batch_send(struct batch *, int fd, struct error **);
void batch_done(struct batch *);

/* worker_fswatch.c: inotify through libinotifytools, which keeps one instance a
 * process.  Its own reader waits for whole seconds, so the descriptor is polled
 * and read here. */
struct fswatch_event {
	const char
	    *folder; /* as it was given to fswatch_add, with a '/' at its end; NULL: overflow */
	const char *name; /* "" when the folder itself is meant */
	uint32_t mask;
};
int fswatch_start(void); /* the descriptor, or -1: no instance left */
/* 0, or -1 with errno: ENOSPC when the user's limit is reached */
int fswatch_add(const char *folder, uint32_t mask);
void fswatch_read(int fd, void (*fn)(void *ctx, const struct fswatch_event *), void *ctx);
void fswatch_stop(void);
#endif

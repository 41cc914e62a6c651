/* worker_scan.h -- one pass over a directory, to git objects held in memory. */
#ifndef KEDGE_WORKER_SCAN_H
#define KEDGE_WORKER_SCAN_H
#include "../reconcile/base/map.h"
#include "worker.h"

struct scan;
struct stat;

struct scan *scan_new(const char *root);
/* Reads what changed since the last look.  `*ret_print` is the same for two looks
 * that saw the same inodes, sizes and times; `*ret_tree`, unless NULL, the id of
 * the whole as a tree.  `folder` hears of each folder before it is read. */
int scan_look(struct scan *, void (*folder)(void *ctx, const char *path, const struct stat *),
	      void *ctx, uint64_t *ret_print, git_oid *ret_tree, struct error **);
/* Some file was changed so shortly before it was read that its times could not
 * tell if it changes again: look once more soon. */
bool scan_unsure(const struct scan *);
/* The objects that were not sent yet, and: they are now. */
int scan_fill(struct scan *, struct batch *, struct error **);
void scan_sent(struct scan *);
void scan_forget(struct scan *); /* the brain has nothing */
git_repository *scan_repo(struct scan *);
#endif

/* loose.h -- reads Git's loose objects, whatever became of them on the disk.
 *
 * libgit2 (seen in 1.5.1) spins forever on a loose object whose file was cut
 * short.  A backend from here, asked before libgit2's own, answers for every
 * loose object there is, and says "damaged" where that is the case.
 */
#ifndef KEDGE_LOOSE_H
#define KEDGE_LOOSE_H
#include <git2.h>

/* Adds one for that objects folder, before all others.  Returns libgit2's codes. */
int loose_add(git_odb *, const char *objects);
/* For a repository's own objects and those it borrows (info/alternates). */
int loose_add_all(git_odb *, const char *objects);
#endif

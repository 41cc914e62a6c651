/* walk.h -- all that lies in a directory, by descriptors: no path, no link, no other file
 * system.
 *
 * The tree may change while it is walked, and be anybody's: what is met is looked at
 * by its name in a directory that is open, once.
 */
#ifndef KEDGE_WALK_H
#define KEDGE_WALK_H
#include "runtime/init/sys.h"

enum { WALK_DEPTH = 256 };

struct walk {
	/* Looks at one entry; *ret_sub: an open directory to enter, which the walk closes. */
	int (*see)(struct walk *, int dir, const char *name, int *ret_sub);
	uint64_t dev; /* of the top */
	struct {
		int fd;
		int64_t off; /* where to read on */
	} at[WALK_DEPTH];
	int depth;
	char names[4096];
};

int walk_run(struct walk *, int top); /* takes top; 0 or -errno: then it was cut off */
#endif

/* remove.c -- removes the trees named: "3NAME" is NAME in the directory on fd 3.
 *
 * They were a container's: any depth, any names, links anywhere.  A directory
 * that is not empty is moved up beside its tree's root, so neither a path nor
 * the stack ever gets long, no link is ever followed and nothing outside is touched
 * (CVE-2017-1002102).  Mounts are not entered: their place cannot be moved.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "runtime/init/init.h"

struct dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

enum { REMOVEDIR = 0x200 };

static char entries[32 << 10];
static uint64_t moved;

/* Empties the directory into nothing, its sub-directories into `top`. */
static bool
empty(long top, const char *name)
{
	long dir = sys(openat, top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n;
	bool gone = true;

	if (dir < 0)
		return dir == -ENOENT;
	while ((n = sys(getdents64, dir, entries, sizeof(entries))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(entries + at);
			char aside[64];
			struct text t = TEXT(aside);

			at += e->reclen;
			if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 ||
			    sys(unlinkat, dir, e->name, 0) >= 0 ||
			    sys(unlinkat, dir, e->name, REMOVEDIR) >= 0)
				continue;
			text_add(&t, ".removed-");
			text_num(&t, moved++, 1);
			if (sys(renameat2, dir, e->name, top, aside, RENAME_NOREPLACE) < 0)
				gone = false;
		}
	sys(close, dir);
	return gone && sys(unlinkat, top, name, REMOVEDIR) >= 0;
}

/* One tree: itself, then what was moved up out of it, until nothing is left. */
static bool
remove_tree(long top, const char *name)
{
	uint64_t done = moved;
	bool gone;

	if (sys(unlinkat, top, name, 0) >= 0)
		return true;
	gone = empty(top, name);
	for (; done < moved; done++) {
		char aside[64];
		struct text t = TEXT(aside);

		text_add(&t, ".removed-");
		text_num(&t, done, 1);
		gone &= empty(top, aside);
	}
	return gone;
}

int
remove_main(int argc, char **argv)
{
	bool gone = true;

	/* names of earlier, cut-off removals must not be taken again */
	moved = (uint64_t)now_boot() * 1000000;
	for (int i = 0; i < argc; i++)
		gone &= argv[i][0] && remove_tree(argv[i][0] - '0', argv[i] + 1);
	return gone ? 0 : 1;
}

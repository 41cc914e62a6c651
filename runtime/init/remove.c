/* remove.c -- removes the trees named: "3NAME" is NAME in the directory on fd 3.
 *
 * They were a container's: any depth, any names, links anywhere.  A directory
 * inside a directory is moved up to the root of its tree, so neither a path nor
 * the stack ever gets long, no link is ever followed and nothing outside is touched
 * (CVE-2017-1002102).  Mounts are not entered: their place can be neither moved nor
 * removed.  A removal that was cut off is finished by the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>

#include "runtime/init/init.h"

enum { REMOVEDIR = 0x200 };

static char outer[16 << 10], inner[16 << 10];

/* Empties the directory `name` of the tree, its directories into the tree's root. */
static void
empty(long tree, const char *name, uint64_t *moved)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS };
	long dir = sys(openat2, tree, name, &how, sizeof(how)), n;

	if (dir < 0)
		return;
	while ((n = sys(getdents64, dir, inner, sizeof(inner))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(inner + at);
			char aside[64];
			struct text t = TEXT(aside);

			at += e->reclen;
			if (dir_dots(e->name) || sys(unlinkat, dir, e->name, 0) >= 0 ||
			    sys(unlinkat, dir, e->name, REMOVEDIR) >= 0)
				continue;
			text_add(&t, ".removed-");
			text_num(&t, (*moved)++, 1);
			sys(renameat2, dir, e->name, tree, aside, RENAME_NOREPLACE);
		}
	sys(close, dir);
}

/* One look at all that the root of the tree holds; how much of it went. */
static uint64_t
pass(long tree, uint64_t *moved)
{
	uint64_t gone = 0;
	long n;

	sys(lseek, tree, 0, 0);
	while ((n = sys(getdents64, tree, outer, sizeof(outer))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(outer + at);

			at += e->reclen;
			if (dir_dots(e->name))
				continue;
			if (sys(unlinkat, tree, e->name, 0) < 0) {
				empty(tree, e->name, moved);
				if (sys(unlinkat, tree, e->name, REMOVEDIR) < 0)
					continue;
			}
			gone++;
		}
	return gone;
}

static bool
remove_tree(long top, const char *name)
{
	/* of no earlier, cut-off removal of this tree */
	uint64_t moved = (uint64_t)now_boot() << 20;
	long tree = sys(openat, top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (tree == -ENOENT)
		return true;
	if (tree < 0)
		return sys(unlinkat, top, name, 0) >= 0;
	while (pass(tree, &moved) > 0)
		;
	sys(close, tree);
	return sys(unlinkat, top, name, REMOVEDIR) >= 0;
}

int
remove_main(int argc, char **argv)
{
	bool gone = true;

	for (int i = 0; i < argc; i++)
		gone &= argv[i][0] && remove_tree(argv[i][0] - '0', argv[i] + 1);
	return gone ? 0 : 1;
}

/* tree.h -- the mount API by descriptors, for mount.c and volume.c. */
#ifndef KEDGE_INIT_TREE_H
#define KEDGE_INIT_TREE_H
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

#include "runtime/init/sys.h"

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define STRICT  (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef FSCONFIG_SET_FD
#define FSCONFIG_SET_FD 5
#endif

/* openat2(2): a path with ".." is EAGAIN when anybody on the host mounted or renamed meanwhile.
 * It is looked up anew, but not for ever: who renames in a volume may want just that. */
static inline long
open_as(int dir, const char *path, struct open_how *how)
{
	enum { LOOKUPS_MOST = 1000 };
	long fd = -EAGAIN;

	for (int i = 0; i < LOOKUPS_MOST && fd == -EAGAIN; i++)
		fd = sys(openat2, dir, path, how, sizeof(*how));
	return fd;
}

static inline int
open_in(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

	while (*path == '/')
		path++;
	return (int)open_as(dir, *path ? path : ".", &how);
}

static inline int
attach(int tree, int target)
{
	return (int)sys(move_mount, tree, "", target, "",
			MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* By its name in a directory whose names are nobody's but ours or the kernel's. */
static inline int
attach_at(int tree, int dir, const char *name)
{
	return (int)sys(move_mount, tree, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH);
}

/* how: AT_RECURSIVE for all that is mounted within, too */
static inline int
set_attrs(int tree, uint64_t attrs, unsigned how)
{
	struct mount_attr a = { .attr_set = attrs };

	return (int)sys(mount_setattr, tree, "", AT_EMPTY_PATH | how, &a, sizeof(a));
}

/* The mount at `source`, which is an O_PATH descriptor, once more. */
static inline int
tree_of(int source, const char *path)
{
	return (int)sys(open_tree, source, path,
			OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
}

static inline void
drop(int fd)
{
	if (fd >= 0)
		sys(close, fd);
}
#endif

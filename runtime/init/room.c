/* room.c -- the mounts of a container that are made before there is a pod.
 *
 * They wait in a small root of their own, the room, which has of the host but kedge's
 * directories: a sandbox that waits pins none of its mounts.  When the pod's root is there
 * they move to it (mount_root), and the room is left with all that is in it.
 */
#include <errno.h>
#include <sched.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

/* A directory of the host's under its own name in the room. */
static int
room_bind(struct setup *s, const char *path, bool all)
{
	int tree = (int)sys(open_tree, AT_FDCWD, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (all ? AT_RECURSIVE : 0));
	int place = tree < 0 ? tree : path_make(s->room, path, false);
	int r = place < 0 ? place : attach(tree, place);

	drop(tree);
	drop(place);
	return r;
}

/* A root for what does not depend on the pod, until the pod's own is there.  Of the host it
 * has but kedge's directories, so that a sandbox that waits pins none of its mounts. */
int
mount_room(struct setup *s, const struct op *op)
{
	static const char *const options[] = { "mode",      "755", "size", "4k",
					       "nr_inodes", "64",  NULL };
	const char *what = "/";
	int r = mount_cut_off(s, false), place;

	if (r >= 0)
		r = fs_new("tmpfs", options,
			   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (r < 0)
		return setup_fail(s, op, what, r);
	s->room = s->root = r;
	place = (int)sys(openat, AT_FDCWD, what = op_text(op, 1),
			 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = place < 0 ? place : attach(s->room, place);
	drop(place);
	for (unsigned i = 2 + (unsigned)op->num[0]; r >= 0 && i < op->nstr; i++)
		r = room_bind(s, what = op_text(op, i), op->flags >> (i - 2 - op->num[0]) & 1);
	if (r >= 0)
		r = mount_map_stores(s, op, &what);
	return r < 0 ? setup_fail(s, op, what, r) : 0;
}

int
mount_leave(struct setup *s, const struct op *op)
{
	long r = sys(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	s->oom = (int)r;
	if (r >= 0)
		r = mount_root_enter(s->room);
	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}

/* That it cannot be is told when it has to be. */
int
mount_layers(struct setup *s, const struct op *op)
{
	static const char *const soon[] = { "proc",       "dev",          "sys",
					    "etc/hosts",  "etc/hostname", "etc/resolv.conf",
					    "etc/passwd", "etc/group" };
	const char *what;

	s->layers = mount_layers_tree(s, op, &what);
	/* What the pod will look for is looked for now: then the kernel knows where it is. */
	for (size_t i = 0; s->layers >= 0 && i < sizeof(soon) / sizeof(*soon); i++)
		drop(open_in(s->layers, soon[i], O_PATH, IN_ROOT));
	return 0;
}

/* The writable layer that was made ahead lies beside where the container's has to be. */
static int
writable_name(const char *base)
{
	char from[W_PATH], to[W_PATH];
	struct text f = TEXT(from), t = TEXT(to);
	size_t dir = strlen(base);

	while (dir && base[dir - 1] != '/')
		dir--;
	text_addn(&f, base, dir);
	text_add(&f, W_AHEAD_FIRST ".0");
	text_add(&t, base);
	text_add(&t, ".0");
	return (int)sys(renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* What was mounted ahead, when it is the same but for its name; else it goes. */
int
room_layers(struct setup *s, const struct op *root)
{
	const struct op *op = s->layers < 0 ? NULL : op_find(s->ahead, OP_LAYERS);
	bool same = op && op->nstr == root->nstr;
	int tree = s->layers;

	for (unsigned i = 2; same && i < root->nstr; i++)
		same = strcmp(op_text(op, i), op_text(root, i)) == 0;
	s->layers = -1;
	if (same && writable_name(op_text(root, 0)) >= 0)
		return tree;
	drop(tree);
	return -1;
}

/* The kernel's own file systems, and what masks them, move to the root that they waited
 * for. */
int
room_move(struct setup *s)
{
	static const struct {
		uint16_t code; /* of what would have mounted it */
		const char *name;
	} trees[] = { { OP_PROC, "proc" }, { OP_DEV, "dev" }, { OP_SYS, "sys" } };

	for (int i = 0; i < 3; i++) {
		const struct op op = { .code = trees[i].code };
		int tree = open_in(s->room, trees[i].name, O_PATH | O_DIRECTORY, STRICT);
		int place = tree < 0 ? tree : mount_own_dir(s->root, trees[i].name);
		int r = place < 0 ? place : attach(tree, place);

		drop(tree);
		drop(place);
		if (r < 0)
			return setup_fail(s, &op, "", r);
	}
	sys(close, s->room);
	s->room = -1;
	return 0;
}

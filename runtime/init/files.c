/* files.c -- what kedge itself gives a run to read and write: /etc/hosts, its last words.
 *
 * They are files of a tmpfs that is the run's own, so that nothing of them touches the
 * disk or the host's /run.  It is small, and what is written to it counts as the container's
 * memory.  kedge-init makes it and keeps the last words open: the container can neither
 * swap that file nor keep us from reading it.
 */
#include <errno.h>
#include <linux/openat2.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

int
files_new(void)
{
	static const char *const options[] = { "mode",      "755", "size", "256k",
					       "nr_inodes", "16",  NULL };

	return fs_new("tmpfs", options,
		      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* Before Linux 6.15 only what is mounted somewhere can be bound: so it is, in a place of
 * the host's tree that this mount namespace leaves by pivot_root. */
int
files_begin(struct setup *s, const struct op *op)
{
	long place = sys(openat, AT_FDCWD, op_text(op, 0),
			 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = place < 0 ? (int)place : attach(s->own, (int)place);

	if (place >= 0)
		sys(close, place);
	return r < 0 ? setup_fail(s, op, "", r) : 0;
}

static int
bind_to(struct setup *s, const char *name, const char *target, uint64_t attrs)
{
	int place = volume_place(s->root, target, true), tree = -1, r = place;

	if (r >= 0)
		r = tree = tree_of(s->own, name);
	if (r >= 0 && attrs)
		r = set_attrs(tree, attrs, 0);
	if (r >= 0)
		r = attach(tree, place);
	if (place >= 0)
		sys(close, place);
	if (tree >= 0)
		sys(close, tree);
	return r;
}

int
files_put(struct setup *s, const struct op *op)
{
	const char *name = op_text(op, 0), *at = op_text(op, 1), *target = op_text(op, 2);
	long file = sys(openat, s->own, name,
			O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	long r = file < 0 ? file : sys(fchmod, file, 0644); /* whatever the umask is */

	for (size_t left = strlen(at); left && r >= 0; left -= (size_t)r, at += r)
		r = sys(write, file, at, left);
	if (file >= 0)
		sys(close, file);
	if (r >= 0)
		r = bind_to(s, name, target, op->flags & 1 ? MOUNT_ATTR_RDONLY : 0);
	return r < 0 ? setup_fail(s, op, target, (int)r) : 0;
}

int
files_termlog(struct setup *s, const struct op *op)
{
	int r = bind_to(s, OWN_TERM, op_text(op, 0), 0);

	return r < 0 ? setup_fail(s, op, op_text(op, 0), r) : 0;
}

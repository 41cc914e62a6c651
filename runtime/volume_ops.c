/* volume_ops.c -- a container's mounts as ops for its set-up.
 *
 * Where a volume lies is decided here, by the spec that was checked and the operator's
 * rows; kedge-init opens it at each start, also when nobody is there to ask.
 */
#include <fcntl.h>
#include <string.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/image.h"
#include "runtime/oplist.h"
#include "runtime/rt.h"

static const struct rt_volume *
volume_of(const struct rt_pod *p, const struct rt_mount *m)
{
	const struct rt_volume *v = p->volumes;

	while (strcmp(v->name, m->volume))
		v++; /* podspec_check saw that it is there */
	return v;
}

/* Device nodes open only where root of the host asks for them: in a privileged container (which
 * the operator has to have allowed, and which has all of the host's /dev) with the host's own
 * users, and in a hostPath (below what the operator named).  In a pod's user namespace the
 * mount is id-mapped, so that root's nodes would be its root's, and with them the host's disks;
 * what other volumes hold came from containers and images, which may make nodes of any number.
 */
static bool
has_devices(const struct rt_pod *p, const struct rt_container *c, const struct rt_volume *v)
{
	return v->type == RT_HOST && c->privileged && p->host_users;
}

static unsigned
flags_of(const struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
	 const struct rt_mount *m)
{
	const struct rt_volume *v = volume_of(p, m);
	unsigned flags = 0;

	if ((v->type == RT_FILES || v->type == RT_MEMORY) && !rt->users.tmpfs)
		flags |= V_OWNED;
	if (m->read_only || v->read_only || v->type == RT_FILES)
		flags |= V_READ_ONLY;
	if ((m->read_only && m->read_only_below) || v->read_only)
		flags |= V_READ_ONLY_BELOW;
	if (v->read_only)
		flags |= V_AS_IS;
	if (v->type == RT_FILES)
		flags |= V_FILES;
	if (v->type == RT_HOST)
		flags |= V_OPERATOR | V_RECURSIVE;
	if (has_devices(p, c, v))
		flags |= V_DEVICES;
	if (m->propagation == RT_HOST_TO_CONTAINER)
		flags |= V_HEARS;
	if (m->propagation == RT_BIDIRECTIONAL)
		flags |= v->type == RT_HOST ? V_TELLS : V_HEARS;
	return flags;
}

/* One mount, as OP_VOLUME and OP_SHARE want it. */
static int
place_op(struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
	 const struct rt_mount *m, enum op_code code, struct buf *b, struct error **e)
{
	const struct rt_volume *v = volume_of(p, m);
	const char *sub = m->sub_path ? m->sub_path : "", *inner = "";
	unsigned flags = flags_of(rt, p, c, m);
	cleanup_free char *path = NULL;

	if (v->type != RT_HOST) {
		path = volume_path(rt, p, v);
	} else {
		const struct rt_host_path *row =
		    hostpath_row(&rt->cfg.allow, v->source, &inner);

		if (!row)
			return fail(e, WHY_FORBIDDEN, "hostPath \"%s\" is not allowed any more",
				    v->source);
		if (row->read_only)
			flags |= V_READ_ONLY | V_READ_ONLY_BELOW | V_AS_IS;
		path = xstrdup(row->prefix);
	}
	op_put(b, code, flags, 0, path, inner, sub, m->path, (char *)NULL);
	return 0;
}

static int
image_op(struct rt *rt, const struct rt_volume *v, const struct rt_mount *m, struct buf *b,
	 struct error **e)
{
	const struct image *img = rt->cfg.images ? image_find(rt->cfg.images, v->source) : NULL;
	cleanup_free char *empty = NULL;
	struct op_at o;

	if (!img)
		return fail(e, WHY_NOT_FOUND, "volume %s: image \"%s\" is not on this host",
			    v->name, v->source);
	xasprintf(&empty, "%s/empty", rt->cfg.run_dir);
	o = op_begin(b, OP_IMAGE, 0, 0);
	op_str(o, m->sub_path ? m->sub_path : "");
	op_str(o, m->path);
	for (size_t i = img->nlayers; i-- > 0;)
		op_str(o, img->layers[i]);
	op_str(o, empty); /* overlayfs wants two layers, or one to write in */
	op_end(o);
	return 0;
}

/* Claims are the group's from their first use on; scratch space is from the start.  In what the
 * operator lets be read nothing is changed. */
static void
own_op(struct rt *rt, const struct rt_pod *p, const struct rt_volume *v, struct buf *b)
{
	unsigned flags = p->fs_group_on_mismatch ? 1 : 0;
	const struct rt_host_path *row = NULL;
	cleanup_free char *path = NULL;
	const char *inner = "";

	if (p->fs_group < 0 || v->read_only)
		return;
	if (v->type == RT_HOST && v->of_group)
		row = hostpath_row(&rt->cfg.allow, v->source, &inner);
	if (v->type == RT_STORE)
		path = volume_path(rt, p, v);
	if (path)
		op_put(b, OP_OWN, flags, p->fs_group, path, (char *)NULL);
	else if (row && !row->read_only)
		/* (the whole path is for a kedge-init of before, which takes the first alone)
		 */
		op_put(b, OP_OWN, flags, p->fs_group, v->source, row->prefix, inner,
		       (char *)NULL);
}

/* ---- in which order ---- */

/* As containerd does: by the parts of their places, so that none hides one that lies deeper;
 * those of as many in the order they are written in. */
static size_t
depth_of(const char *path)
{
	const char *inner;
	size_t depth = 0;

	(void)hostpath_within(path, path, &inner, &depth);
	return depth;
}

static size_t
deepest(const struct rt_container *c)
{
	size_t most = 0;

	for (size_t i = 0; i < c->nmounts; i++) {
		size_t depth = depth_of(c->mounts[i].path);

		most = depth > most ? depth : most;
	}
	return most;
}

/* (in the same order: the ones are matched with the others by their turn) */
void
volume_ops_early(struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
		 struct buf *b)
{
	for (size_t depth = 0, end = deepest(c) + 1; depth < end; depth++)
		for (size_t i = 0; i < c->nmounts; i++) {
			const struct rt_mount *m = &c->mounts[i];

			if (depth_of(m->path) == depth && flags_of(rt, p, c, m) & V_TELLS)
				(void)place_op(rt, p, c, m, OP_SHARE, b, NULL);
		}
}

static int
mount_op(struct rt *rt, const struct rt_pod *p, const struct rt_container *c,
	 const struct rt_mount *m, struct buf *b, struct error **e)
{
	const struct rt_volume *v = volume_of(p, m);

	own_op(rt, p, v, b);
	return v->type == RT_IMAGE ? image_op(rt, v, m, b, e)
				   : place_op(rt, p, c, m, OP_VOLUME, b, e);
}

int
volume_ops(struct rt *rt, const struct rt_pod *p, const struct rt_container *c, size_t from,
	   size_t upto, struct buf *b, struct error **e)
{
	size_t end = deepest(c) + 1;

	for (size_t depth = from; depth < upto && depth < end; depth++)
		for (size_t i = 0; i < c->nmounts; i++)
			if (depth_of(c->mounts[i].path) == depth &&
			    mount_op(rt, p, c, &c->mounts[i], b, e) < 0)
				return -1;
	return 0;
}

bool
volume_covers(const struct rt_container *c, const char *path)
{
	const char *inner;
	size_t depth;

	for (size_t i = 0; i < c->nmounts; i++)
		if (hostpath_within(path, c->mounts[i].path, &inner, &depth) && !*inner)
			return true;
	return false;
}

bool
volume_hears(const struct rt_container *c)
{
	for (size_t i = 0; i < c->nmounts; i++)
		if (c->mounts[i].propagation != RT_PRIVATE)
			return true;
	return false;
}

const char *
volume_image_missing(struct rt *rt, const struct rt_pod *p, const struct rt_container *c)
{
	for (size_t i = 0; i < c->nmounts; i++) {
		const struct rt_volume *v = volume_of(p, &c->mounts[i]);

		if (v->type == RT_IMAGE &&
		    (!rt->cfg.images || !image_find(rt->cfg.images, v->source)))
			return v->source;
	}
	return NULL;
}

static bool
shows_images(const struct rt_pod *p)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		if (p->volumes[i].type == RT_IMAGE)
			return true;
	return false;
}

/* What was noted before stays: a name may mean another image by now, and what it meant may be
 * mounted. */
int
volume_images_note(struct rt *rt, const struct rt_pod *p, int dir, struct error **e)
{
	struct buf cleanup_buf ids = { 0 };

	if (!shows_images(p))
		return 0;
	(void)poddir_read(dir, "images", &ids, NULL);
	for (size_t i = 0; i < p->nvolumes; i++) {
		const struct rt_volume *v = &p->volumes[i];
		const struct image *img = v->type == RT_IMAGE && rt->cfg.images
					      ? image_find(rt->cfg.images, v->source)
					      : NULL;

		if (img && !strstr(buf_text(&ids), img->id))
			buf_addf(&ids, "%s\n", img->id);
	}
	return poddir_write(dir, "images", ids.at, ids.len, e);
}

bool
volume_images_has(struct rt *rt, const struct rt_pod *p, const char *id)
{
	struct buf cleanup_buf ids = { 0 };
	cleanup_close int dir = -1;

	if (!shows_images(p))
		return false;
	dir = rtpod_dir(rt, p->uid);
	if (dir < 0 || poddir_read(dir, "images", &ids, NULL) < 0)
		return false;
	return strstr(buf_text(&ids), id) != NULL;
}

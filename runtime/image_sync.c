/* image_sync.c -- what is found, and perhaps not yet on the disk.
 *
 * An image is found as soon as all of it is unpacked and verified; the disk has it
 * seconds later.  Until then each of its layers says so in the note that its sum is
 * kept in, and a mark says with which boot's memory what is not on the disk is shared:
 *
 *     images/unsynced   the boot's id, on the disk itself before the first layer is found
 *     images/unwritten  the disk refused what was written in that boot
 *
 * kedged killed: memory still has it all; the next one syncs again.  The host went down:
 * what has no note of being on the disk is compared with its sum, for anything may be
 * missing of it, and what is not whole is dropped.  The disk refuses: memory may have
 * forgotten it by now, so nothing that was under way is believed any more.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "image_impl.h"
#include "image_store.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MARK      "unsynced"
#define UNWRITTEN "unwritten"

#define PROBE_XATTR "trusted.kedge.probe"

int
image_sync_init(struct images *s, struct error **e)
{
	cleanup_close int fd =
	    open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, s->boot, sizeof s->boot - 1);

	if (n <= 0)
		return fail_sys(e, "read /proc/sys/kernel/random/boot_id");
	s->boot[n] = '\0';
	s->boot[strcspn(s->boot, "\n")] = '\0';
	/* Of an opening of its own: it tells of all errors since, whoever wrote, and a child
	 * that has it does not hold the store's lock. */
	s->disk = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->disk < 0)
		return fail_sys(e, "open %s", s->dir);
	s->notes = fgetxattr(s->disk, PROBE_XATTR, NULL, 0) >= 0 || errno != ENOTSUP;
	return 0;
}

bool
image_sync_notes(const struct images *s)
{
	return s->notes;
}

void
image_sync_done(struct images *s)
{
	map_done(&s->fresh);
	map_done(&s->syncing);
	if (s->disk >= 0)
		close(s->disk);
}

/* In a child, before it makes anything: once the mark is durable, order on the disk does not
 * matter any more. */
int
image_sync_mark(const struct images *s, struct error **e)
{
	cleanup_close int fd = -1;
	size_t len = strlen(s->boot);

	if (s->marked)
		return 0;
	fd = openat(s->disk, MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, s->boot, len, 0) != (ssize_t)len || fsync(fd) < 0 ||
	    fsync(s->disk) < 0)
		return fail_sys(e, "write %s/%s", s->dir, MARK);
	return 0;
}

/* Nothing is under way: the mark goes. */
void
image_sync_rest(struct images *s)
{
	if (s->takers || s->unsynced || s->fresh.n || s->syncing.n)
		return;
	if (unlinkat(s->disk, MARK, 0) == 0 || errno == ENOENT)
		s->marked = false;
}

void
image_sync_took(struct images *s, const char *hex)
{
	s->unsynced = true;
	s->marked = true; /* by one of those whose answer this is */
	if (hex)
		(void)map_put(&s->fresh, hex, s);
}

bool
image_sync_distrusts(const struct images *s, const struct image_entry *x)
{
	return s->refused && (image_entry_has(x, &s->fresh) || image_entry_has(x, &s->syncing));
}

/* Changes of names wait for the disk only where nobody else is about to. */
int
image_sync_dir(struct images *s, int dir, struct error **e)
{
	if (s->unsynced || s->syncing.n)
		return 0;
	return fsync(dir) < 0 ? fail_sys(e, "fsync the image store") : 0;
}

/* ---- the sync ---- */

bool
images_unsynced(const struct images *s)
{
	return s->unsynced;
}

bool
image_sync_begin(struct images *s)
{
	if (!s->unsynced || s->syncing.n)
		return false;
	map_done(&s->syncing);
	s->syncing = s->fresh;
	s->fresh = (struct map){ 0 };
	(void)map_put(&s->syncing, "", s); /* never empty while it goes on */
	s->unsynced = false;
	return true;
}

/* In its child, which outlives the hand: `alive` tells the job that it is there. */
_Noreturn void
image_sync_child(const struct images *s, int alive)
{
	int disk = fcntl(s->disk, F_DUPFD, 10), err;

	alive = fcntl(alive, F_DUPFD, 10);
	if (disk < 0 || alive < 0 || dup2(disk, 3) < 0 || dup2(alive, 4) < 0 ||
	    close_range(5, ~0U, 0) < 0)
		_exit(IMAGE_SYNC_NOT_BEGUN);
	if (syncfs(3) == 0)
		_exit(0);
	err = errno;
	/* who would read the exit status may be gone, and the next sync hears of no error */
	disk = openat(3, UNWRITTEN, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (disk >= 0)
		(void)fsync(disk);
	_exit(err);
}

/* Nobody knows how it ended. */
void
image_sync_again(struct images *s)
{
	for (struct map_slot *m = map_first(&s->syncing); m; m = map_next(&s->syncing, m))
		if (*m->key)
			(void)map_put(&s->fresh, m->key, s);
	map_done(&s->syncing);
	s->unsynced = true;
}

static int
layer_open(const struct images *s, const char *hex)
{
	return openat(s->layers, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void
layer_proven(const struct images *s, const char *hex)
{
	cleanup_close int fd = layer_open(s, hex);
	char sum[IMAGE_SUM_SIZE];

	/* one that keeps its note is looked at once more than needed */
	if (fd >= 0 && image_layer_sum_read(fd, sum, NULL) == 0)
		(void)image_layer_sum_keep(fd, sum, true);
}

/* Only a mark that is not there says that nothing was refused: when the disk does not even
 * answer that, it was. */
static bool
was_refused(const struct images *s)
{
	return s->refused || faccessat(s->disk, UNWRITTEN, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

int
image_sync_ok(struct images *s, struct error **e)
{
	/* the disk says so only once: to the process of a kedged before, or when the images
	 * could not be dropped */
	if (was_refused(s))
		return image_sync_failed(s, EIO, e);
	for (struct map_slot *m = map_first(&s->syncing); m; m = map_next(&s->syncing, m))
		if (*m->key)
			layer_proven(s, m->key);
	map_done(&s->syncing);
	image_sync_rest(s);
	return 0;
}

int
image_sync_failed(struct images *s, int err, struct error **e)
{
	cleanup_buf struct buf names = { 0 };
	int rc;

	image_sync_again(s);
	s->refused = false;
	(void)image_store_reload(s, false, NULL); /* those that could not be dropped before */
	s->refused = true;
	s->refusals++; /* what comes in now may be among what was refused */
	errno = err;
	fail_sys(e, "the disk under %s did not take what was written", s->dir);
	rc = image_layers_drop(s, &s->fresh, false, &names, NULL);
	if (names.len)
		fail_in(e,
			"%s: dropped, for what is on the disk cannot be trusted; pull or load "
			"it again",
			buf_text(&names));
	if (rc == 0) {
		map_done(&s->fresh);
		s->refused = s->unsynced = false;
		(void)unlinkat(s->disk, UNWRITTEN, 0);
		image_sync_rest(s);
	}
	return -1;
}

/* ---- at start ---- */

struct opening {
	struct images *store;
	bool same;         /* boot */
	struct map unsure; /* hex -> anything */
};

static int
layer_see(void *ctx, const char *hex, struct error **e)
{
	struct opening *o = ctx;
	cleanup_close int fd = -1;
	char sum[IMAGE_SUM_SIZE];
	bool proven;

	if (!image_hex_valid(hex))
		return 0;
	fd = layer_open(o->store, hex);
	/* one that cannot be looked at is not sound for that */
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP || errno == ENOENT
			   ? 0
			   : fail_sys(e, "open layer %.12s", hex);
	if (image_layer_sum_read(fd, sum, &proven) < 0)
		proven = !o->store->notes; /* then it was synced before it was found */
	if (!proven)
		(void)map_put(&o->unsure, hex, o);
	return 0;
}

/* What was sound stays, and is no longer in `unsure`. */
static int
layers_check(struct opening *o, struct error **e)
{
	struct images *s = o->store;
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *why = NULL;
	struct items items = { 0 };

	log_info("images",
		 "the host went down before all that came in was known to be on the disk: "
		 "looking at %zu layers",
		 o->unsure.n);
	if (images_check(s, &o->unsure, &a, &items, &why) < 0) {
		if (why->why != WHY_TIMEOUT) { /* not the layers' fault */
			(void)fail_with(e, &why);
			return fail_in(e, "look at the layers of images");
		}
		log_warn("images", "%s", error_text(why));
	}
	for (size_t i = 0; i < items.n; i++) {
		if (strcmp(items.at[i].key, "sound") == 0) {
			(void)map_del(&o->unsure, items.at[i].value);
			layer_proven(s, items.at[i].value);
		} else if (strcmp(items.at[i].key, "torn") == 0) {
			(void)map_put(&o->unsure, items.at[i].value, o);
		} else if (strcmp(items.at[i].key, "damaged") == 0) {
			log_warn("images", "%s", items.at[i].value);
		}
	}
	return 0;
}

static int
opened(struct opening *o, struct error **e)
{
	struct images *s = o->store;
	cleanup_buf struct buf names = { 0 };
	bool refused = was_refused(s);

	if (image_dir_each(s->layers, layer_see, o, e) < 0)
		return -1;
	if (o->same && !refused) {
		s->fresh = o->unsure;
		o->unsure = (struct map){ 0 };
		s->unsynced = true;
		return 0;
	}
	if (!refused && layers_check(o, e) < 0)
		return -1;
	if (o->unsure.n && image_layers_drop(s, &o->unsure, o->same, &names, e) < 0)
		return -1;
	if (names.len)
		log_warn("images",
			 "%s: dropped, for not all of it was on the disk when %s; it is pulled "
			 "again when it is needed, or load it again",
			 buf_text(&names),
			 refused ? "the disk refused more" : "the host went down");
	(void)unlinkat(s->disk, UNWRITTEN, 0);
	image_sync_rest(s);
	return 0;
}

int
image_sync_open(struct images *s, struct error **e)
{
	cleanup_error struct error *why = NULL;
	cleanup_buf struct buf b = { 0 };
	struct opening o = { .store = s };
	int rc;

	if (faccessat(s->disk, MARK, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail_sys(e, "look for %s/%s", s->dir, MARK);
	/* one that cannot be read is of a boot that ended while it was written */
	o.same = image_file_read(s->disk, MARK, 4096, &b, &why) == 0 &&
		 strcmp(buf_text(&b), s->boot) == 0;
	rc = opened(&o, e);
	map_done(&o.unsure);
	return rc;
}

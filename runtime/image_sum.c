/* image_sum.c -- in the child: a number for all that a layer's files are, taken when they
 * were verified by their digest, and compared when somebody asks whether they still are.
 *
 * It finds disks that forget and hands that meddle, not enemies: those have no way in here.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#ifdef KEDGE_ISAL
#include <isa-l/crc.h>
#else
#include <zlib.h>
#endif

#define DEPTH_MAX  512
#define CONFIG_MAX (4 << 20)
#define SUM_XATTR  "trusted.kedge.sum"

static uint32_t
crc_of(uint32_t crc, const void *bytes, size_t n)
{
#ifdef KEDGE_ISAL /* the same sum, ten times as fast */
	return crc32_gzip_refl(crc, bytes, n);
#else
	return (uint32_t)crc32(crc, bytes, (unsigned)n);
#endif
}

static int
file_sum(int fd, char *bytes, uint64_t *sum, struct error **e)
{
	uint32_t crc = 0;

	for (;;) {
		ssize_t n = read(fd, bytes, 1 << 17);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(e, "read the file");
		if (n == 0)
			break;
		crc = crc_of(crc, bytes, (size_t)n);
	}
	*sum = crc;
	return 0;
}

static int dir_sum(int fd, uint64_t name, char *bytes, int depth, uint64_t *sum,
		   struct error **);

/* Entries are added up, so that their order on disk does not matter. */
static int
entry_sum(int at, const char *leaf, uint64_t dir, char *bytes, int depth, uint64_t *sum,
	  struct error **e)
{
	uint64_t facts[8] = { 0 };
	cleanup_close int fd = -1;
	char target[4096];
	struct stat st;

	if (fstatat(at, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_sys(e, "%s: stat", leaf);
	facts[0] = hash_str(dir, leaf);
	facts[1] = st.st_mode;
	facts[2] = st.st_uid;
	facts[3] = st.st_gid;
	if (!S_ISDIR(st.st_mode)) {
		facts[4] = (uint64_t)st.st_size;
		facts[5] = (uint64_t)st.st_mtim.tv_sec;
	}
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(at, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return fail_sys(e, "%s: open", leaf);
	}
	if (S_ISREG(st.st_mode) && file_sum(fd, bytes, &facts[6], e) < 0)
		return fail_in(e, "%s", leaf);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(at, leaf, target, sizeof target - 1);

		if (n < 0)
			return fail_sys(e, "%s: readlink", leaf);
		facts[7] = hash_bytes(0, target, n);
	}
	*sum += hash_bytes(1, facts, sizeof facts);
	if (S_ISDIR(st.st_mode) && dir_sum(fd, facts[0], bytes, depth + 1, sum, e) < 0)
		return fail_in(e, "%s", leaf);
	return 0;
}

static int
dir_sum(int fd, uint64_t name, char *bytes, int depth, uint64_t *sum, struct error **e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *x;

	if (depth > DEPTH_MAX)
		return fail(e, WHY_INVALID, "its folders lie more than %d deep", DEPTH_MAX);
	if (!d)
		return fail_sys(e, "read the folder");
	for (;;) {
		errno = 0;
		x = readdir(d);
		if (!x)
			return errno ? fail_sys(e, "read the folder") : 0;
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0 &&
		    entry_sum(dirfd(d), x->d_name, name, bytes, depth, sum, e) < 0)
			return -1;
	}
}

int
image_layer_sum(int dirfd, uint64_t *ret, struct error **e)
{
	cleanup_free char *bytes = xmalloc(1 << 17);
	uint64_t sum = 0;

	if (dir_sum(dirfd, 0, bytes, 0, &sum, e) < 0)
		return -1;
	*ret = sum;
	return 0;
}

int
image_layer_sum_keep(int dirfd, const char *sum, bool proven)
{
	char note[64];

	snprintf(note, sizeof note, "%s%s", sum, proven ? "" : " unsynced");
	return fsetxattr(dirfd, SUM_XATTR, note, strlen(note), 0);
}

int
image_layer_sum_read(int dirfd, char ret[IMAGE_SUM_SIZE], bool *ret_proven)
{
	char note[64];
	ssize_t n = fgetxattr(dirfd, SUM_XATTR, note, sizeof note - 1);

	if (n < 0)
		return -1;
	if (n < IMAGE_SUM_SIZE - 1) {
		errno = ENODATA;
		return -1;
	}
	if (ret_proven)
		*ret_proven = n == IMAGE_SUM_SIZE - 1;
	memcpy(ret, note, IMAGE_SUM_SIZE - 1);
	ret[IMAGE_SUM_SIZE - 1] = '\0';
	return 0;
}

/* ---- looking again ---- */

enum verdict { SOUND, DAMAGED, UNKNOWN };

static enum verdict
layer_look(struct child *c, const char *hex, char **ret_why)
{
	cleanup_error struct error *e = NULL;
	cleanup_close int fd = -1;
	char path[32 + HEX_SIZE], want[IMAGE_SUM_SIZE], have[32];
	uint64_t sum;

	snprintf(path, sizeof path, "store/layers/sha256/%s", hex);
	fd = openat(c->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		xasprintf(ret_why, "layer sha256:%.12s: %s", hex, strerror(errno));
		return DAMAGED;
	}
	if (image_layer_sum_read(fd, want, NULL) < 0)
		return UNKNOWN;
	if (image_layer_sum(fd, &sum, &e) < 0) {
		xasprintf(ret_why, "layer sha256:%.12s: %s", hex, error_text(e));
		return DAMAGED;
	}
	snprintf(have, sizeof have, "%016llx", (unsigned long long)sum);
	if (strcmp(want, have) == 0)
		return SOUND;
	xasprintf(ret_why, "layer sha256:%.12s: its files are not those that were unpacked",
		  hex);
	return DAMAGED;
}

/* A line an image: its name, the verdict, whether it can be fetched again, why. */
int
image_child_verify(struct child *c, struct error **e)
{
	static const char *const words[] = { "ok", "damaged", "unknown" };
	struct map seen = { 0 };
	const struct image *const *list;
	size_t n = images_list((struct images *)c->store, &list);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		enum verdict worst = SOUND;
		const char *why = "";
		cleanup_free char *line = NULL;

		for (size_t k = 0; k < list[i]->nlayers; k++) {
			const char *hex = strrchr(list[i]->layers[k], '/') + 1;
			char *said = map_get(&seen, hex);

			if (!said) {
				char *text = NULL;
				enum verdict v = layer_look(c, hex, &text);

				xasprintf(&said, "%c%s", '0' + (int)v, text ? text : "");
				free(text);
				(void)map_put(&seen, hex, said);
			}
			if (*said != '0' && worst != DAMAGED) {
				worst = (enum verdict)(*said - '0');
				why = said + 1;
			}
		}
		xasprintf(&line, "%s\t%s\t%s\t%s\n", list[i]->name, words[worst],
			  *list[i]->digest ? "pulled" : "by hand", why);
		if (write(c->fd, line, strlen(line)) < 0)
			rc = fail_sys(e, "write what was found of image %s", list[i]->name);
	}
	for (struct map_slot *s = map_first(&seen); s; s = map_next(&seen, s))
		free(s->value);
	map_done(&seen);
	return rc;
}

/* Configs name themselves; no layer knows of them. */
static int
configs_check(struct child *c, struct error **e)
{
	int fd = openat(c->root, "store/configs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *x;

	if (!d)
		return fail_sys(e, "read the folder of configs");
	for (errno = 0; (x = readdir(d)); errno = 0) {
		size_t n = strlen(x->d_name);
		cleanup_buf struct buf text = { 0 };
		cleanup_error struct error *why = NULL;
		struct sha256_ctx hash;
		char hex[HEX_SIZE];

		if (n != HEX_SIZE - 1 + 5 || strcmp(x->d_name + n - 5, ".json") != 0)
			continue;
		sha256_init(&hash);
		if (image_file_read(fd, x->d_name, CONFIG_MAX, &text, &why) == 0)
			sha256_update(&hash, text.len, (const uint8_t *)buf_text(&text));
		image_hex_print(&hash, hex);
		if (strncmp(hex, x->d_name, HEX_SIZE - 1) != 0) {
			image_items_add(&c->answer, "torn", "%.64s", x->d_name);
			image_items_add(&c->answer, "damaged",
					"config sha256:%.12s: is not what it was", x->d_name);
		}
	}
	return errno ? fail_sys(e, "read the folder of configs") : 0;
}

int
image_child_check(struct child *c, struct error **e)
{
	for (struct map_slot *m = map_first(c->check); m; m = map_next(c->check, m)) {
		cleanup_free char *why = NULL;

		switch (layer_look(c, m->key, &why)) {
		case SOUND:
			image_items_add(&c->answer, "sound", "%s", m->key);
			break;
		case DAMAGED:
			image_items_add(&c->answer, "damaged", "%s", why);
			break;
		case UNKNOWN:
			image_items_add(&c->answer, "damaged",
					"layer sha256:%.12s: nobody knows any more what it was",
					m->key);
		}
	}
	return configs_check(c, e);
}

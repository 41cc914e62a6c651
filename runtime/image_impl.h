/* image_impl.h -- what the files of the image store share; nobody else includes it.
 *
 * image.c        the store: what is on disk and what is found
 * image_change.c the store: taking in what the child made, and removing
 * image_name.c   digests; names are base/imageref.h's
 * image_items.c  "key=value" lists: records on disk, and the child's answer
 * image_sync.c   the store: what is found, and perhaps not yet on the disk
 * image_job.c    the child: how it starts and ends
 * image_fence.c  the child: what it may do
 * image_make.c   in the child: one layer, one image, an import
 * image_load.c   in the child: an archive's members; image_docker.c and image_oci.c read them
 * image_config.c in the child: an image's JSON to a record
 * image_layer.c  in the child: one tar to one layer directory
 * image_sum.c    in the child: are a layer's files still what they were
 * image_save.c   in the child: an image as an archive again
 * image_pull.c   in the children: an image that a downloader hands over
 * image_gunzip.c in the child: gzip, fast
 * image_stream.c in the child: a file or pipe through gzip or zstd to tar, hashed on the way
 *
 * The hand is root and reads none of an image's own bytes: JSON, tar and
 * compressed data are parsed in the child only, which answers with items.
 */
#ifndef KEDGE_IMAGE_IMPL_H
#define KEDGE_IMAGE_IMPL_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "image.h"
#include <jansson.h>
#include <nettle/sha2.h>
#include <sys/types.h>

#define HEX_SIZE 65 /* 64 digits and the NUL */

/* image_name.c */
bool image_hex_valid(const char *); /* exactly 64 of [0-9a-f] */
/* The hex of "sha256:HEX"; NULL when it is anything else. */
const char *image_digest_hex(const char *digest);
int image_digest_refuse(const char *digest, struct error **);  /* of which there was none */
void image_hex_print(struct sha256_ctx *, char ret[HEX_SIZE]); /* ends the hash */

/* image_items.c: "key=value\0key=value\0...end=CRC32\0", the sum of what is
 * before.  A list without its end, or with another sum, is refused: no torn file is ever taken
 * for a short one, and none with a hole for a whole one. */
struct item {
	const char *key, *value;
};
struct items {
	struct item *at;
	size_t n;
};
void image_items_add(struct buf *, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void image_items_end(struct buf *);
int image_items_parse(const char *bytes, size_t len, struct arena *, struct items *ret,
		      struct error **);
/* Opens without following links or hanging on a FIFO; regular files up to `max` bytes. */
int image_file_read(int dirfd, const char *name, size_t max, struct buf *ret, struct error **);
/* Creates (never overwrites) and writes; images_sync() brings it to the disk. */
int image_file_write(int dirfd, const char *name, const void *bytes, size_t len,
		     struct error **);
/* Removes a tree below dirfd without ever following a link; absent is fine. */
int image_tree_remove(int dirfd, const char *name);

/* What a job may still use; shared by all layers of it. */
struct budget {
	int64_t bytes, entries;         /* left; children that work side by side share one */
	int64_t max_bytes, max_entries; /* for messages */
};
int image_budget_bytes(struct budget *, int64_t n, const char *entry, struct error **);
int image_budget_entry(struct budget *, const char *entry, struct error **);

/* image_gunzip.c */
struct gunzip;
typedef ssize_t image_more_fn(void *ctx, const void **ret); /* 0: the end; -1: failed */
struct gunzip *image_gunzip_new(void); /* free() it; NULL: this build has none */
/* What comes out, 0 at the end, -1 with `*ret_why` (untouched when `more` failed). */
ssize_t image_gunzip_read(struct gunzip *, image_more_fn *more, void *ctx, void *out,
			  size_t room, const char **ret_why);

/* image_stream.c */
struct archive;
struct archive_entry;
struct stream {
	int fd;           /* borrowed */
	const char *what; /* for messages: "layer 2" */
	struct archive *raw, *tar;
	struct gunzip *gz; /* instead of raw's own */
	size_t held;       /* bytes of `in` that were read and not given out */
	struct sha256_ctx stored, plain;
	int64_t bytes_in, bytes_out, max_bytes;
	int64_t size; /* how many bytes must come in; 0: not known */
	char *why;    /* what a callback found wrong; beats libarchive's own words */
	char in[1 << 16], out[1 << 16];
};
/* `size`: how many bytes there must be; 0: as many as come. */
int image_stream_open(struct stream *, int fd, const char *what, int64_t size,
		      const struct budget *, struct error **);
/* 1: an entry, 0: no more.  The entry's path is never NULL. */
int image_stream_next(struct stream *, struct archive_entry **ret, struct error **);
/* Reads what is left after the last entry and ends both hashes: of the bytes
 * as they came, and as they were before compression. */
int image_stream_end(struct stream *, char stored[HEX_SIZE], char plain[HEX_SIZE],
		     struct error **);
const char *image_stream_why(const struct stream *); /* after an ARCHIVE_FATAL */
void image_stream_close(struct stream *);

/* image_layer.c */
struct layer {
	int64_t bytes;     /* of file contents */
	int64_t newest_s;  /* the youngest file */
	struct buf opaque; /* paths of opaque directories, each with its NUL; "." is the root */
	int nopaque;
};
int image_layer_unpack(struct stream *, int dirfd, struct budget *, struct layer *ret,
		       struct error **);
/* "./a//b/" -> "a/b", "." for the root.  Refuses "..", absolute and overlong paths. */
int image_path_clean(const char *path, char **ret, struct error **);

/* image_config.c */
struct config_facts {
	size_t nlayers;
	char (*diff_ids)[HEX_SIZE]; /* in the arena */
};
/* Checks an OCI or Docker image config and adds its items to the record. */
int image_config_read(const char *json, size_t len, struct arena *, struct buf *record,
		      struct config_facts *ret, struct error **);
char *image_config_make(const struct image_config *, const char *diff_id, int64_t created_s);
const char *image_host_architecture(void); /* as Go names it */

/* image_make.c, image_load.c: what runs in the child, in its own root */
struct pull_table; /* image_pull.c */
struct child {
	int fd;                     /* the stream; of a pull: a socket to the downloader */
	int root;                   /* the job's directory, "/" of the child */
	const struct images *store; /* as it was at fork */
	const char *name;           /* or NULL */
	const struct image_config *config;
	struct budget *budget;
	struct map made; /* layers unpacked by this job: hex -> struct made_layer */
	struct buf answer;
	int number;                /* which of the job's children */
	int alive;                 /* held open until it ends; -1: none */
	struct pull_table *pull;   /* NULL: no pull */
	const struct map *check;   /* layers to look at again */
	bool takes;                /* it brings something into the store */
	const struct image *image; /* that is saved */
	const char *store_path;    /* there as "store", read-only; NULL: it is not */
};
/* Fences the calling process in; fd and root are 3 and 4 afterwards, root is "/". */
int image_child_fence(struct child *, const char *path, int seconds, struct error **);
void image_child_signals(void); /* none of the caller's handlers is left */
int image_child_import(struct child *, struct error **);
int image_child_load(struct child *, struct error **);
int image_child_pull(struct child *, struct error **);
int image_child_save(struct child *, struct error **);
int image_child_inspect(struct child *, struct error **);
/* image_sum.c */
int image_child_verify(struct child *, struct error **);
int image_child_check(struct child *, struct error **); /* answers "sound HEX", "damaged WHY",
							 * and of configs "torn HEX" */
int image_layer_sum(int dirfd, uint64_t *ret, struct error **);
enum { IMAGE_SUM_SIZE = 17 };
/* A layer's note: its sum, and whether it is proven to be on the disk; both need CAP_SYS_ADMIN.
 * -1 and errno: ENODATA: it has none, ENOTSUP: none can be kept there. */
int image_layer_sum_keep(int dirfd, const char *sum, bool proven);
int image_layer_sum_read(int dirfd, char ret[IMAGE_SUM_SIZE], bool *ret_proven);
struct pull_table *image_pull_table(struct budget **ret); /* shared with children to come */
void image_pull_table_free(struct pull_table *);

/* What a layer must be; NULL or 0 where nobody knows. */
struct layer_want {
	const char *stored, *plain; /* hex digests */
	int64_t size;               /* compressed */
};
/* Unpacks one layer from fd into layers/<diffID>, unless the store has it. */
int image_child_layer(struct child *, int fd, const char *what, const struct layer_want *,
		      char ret_diff_id[HEX_SIZE], int64_t *ret_newest_s, struct error **);
/* A layer that another child of this job has unpacked. */
void image_layer_made(struct child *, const char *hex, int64_t bytes, int64_t newest_s);
/* Writes the config and its record; gives the image's id. */
int image_child_image(struct child *, const char *json, size_t len, const char *manifest_digest,
		      char ret_id[HEX_SIZE], struct error **);

bool image_layer_known(const struct child *, const char *hex, int64_t *ret_bytes,
		       int64_t *ret_newest_s);
const char *image_text_of(const json_t *object, const char *key); /* "" when it is no string */
enum media { MEDIA_OTHER, MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_CONFIG, MEDIA_LAYER };
enum media image_media_of(const char *type);
int image_digest_check(const char *what, const char *kind, const char *want, const char *have,
		       struct error **);

/* image.c, image_change.c */
bool image_store_has_layer(const struct images *, const char *hex, int64_t *ret_bytes);
int image_store_ingest(const struct images *); /* directory fd, borrowed */
const char *image_store_path(const struct images *);
const char *image_store_ingest_path(const struct images *);
unsigned image_store_serial(struct images *); /* another one each call */
/* Makes visible what a child left in `dir` of ingest. */
int image_store_take(struct images *, const char *dir, const struct items *, char ***ret_names,
		     struct error **);
/* Removes a directory of ingest in a process of its own: it may be large. */
void image_store_discard(const struct images *, const char *dir);
/* A job that brings something begins, or is over. */
void image_store_taker(struct images *, bool begins);
unsigned image_store_refusals(const struct images *);
/* The disk refused something since, or still has what is to be dropped for it. */
bool image_store_refused(const struct images *, unsigned since);

/* image_sync.c */
enum { IMAGE_SYNC_NOT_BEGUN = 255 };                         /* how its child ends then */
int image_sync_mark(const struct images *, struct error **); /* in a child, before its fence */
bool image_sync_begin(struct images *);                      /* false: there is nothing to do */
void image_sync_took(struct images *, const char *hex); /* NULL: something else than a layer */
bool image_sync_notes(const struct images *);           /* its layers can have notes */
_Noreturn void image_sync_child(const struct images *, int alive);
/* How it ended. */
int image_sync_ok(struct images *, struct error **); /* -1: one before it had failed */
void image_sync_again(struct images *);
int image_sync_failed(struct images *, int err, struct error **);
/* image_job.c: looks at these layers now, and waits for it. */
int images_check(struct images *, const struct map *layers, struct arena *, struct items *ret,
		 struct error **);
#endif

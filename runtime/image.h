/* image.h -- the image store: content-addressed layers, and names for them.
 *
 *     images/layers/sha256/<diffID>/        an unpacked layer, ready as an overlay lower
 *     images/configs/sha256/<id>.json       an OCI image config
 *     images/names/<encoded name>           -> config id
 *     images/ingest/                        what is being written; cleared at start
 *     images/unsynced                       there while the disk may not have all that is found
 *
 * Nothing is visible before it is complete and verified.  The disk gets it a little later
 * (images_sync): what a host that goes down meanwhile has lost of it is found out at the next
 * start, and images that it was part of are dropped.  Names are
 * normalised as the registries' clients do: "nginx" is
 * docker.io/library/nginx:latest.  Unpacking runs in a child that sees only the
 * ingest directory (see the security list in the file).
 */
#ifndef KEDGE_IMAGE_H
#define KEDGE_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct images;

struct image {                     /* owned by the store; valid until it changes */
	const char *name;          /* normalised; as users see it */
	const char *id;            /* "sha256:..." of the config */
	const char *const *layers; /* absolute directories, topmost last */
	size_t nlayers;
	const char *const *entrypoint, *const *cmd,
					   *const *env; /* NULL-terminated, never NULL */
	const char *const *ports;                       /* "8080/tcp" */
	const char *const *volumes; /* "/data": writable also where the root is not */
	const char *working_dir, *user, *stop_signal; /* "" when not given */
	int64_t size, created_ms;
	const char
	    *digest; /* what the registry calls it, "sha256:..."; "" when it came by hand */
	const char *manifest; /* digest of its manifest; "" when that is not known */
};

struct image_config { /* for import; NULL-terminated lists, NULL for none */
	const char *const *entrypoint, *const *cmd, *const *env, *const *ports;
	const char *working_dir, *user;
};

int images_open(const char *state_dir, struct images **ret, struct error **);
void images_close(struct images *);
const struct image *image_find(struct images *, const char *name); /* NULL: not here */
size_t images_list(struct images *, const struct image *const **ret);
/* Its i-th layer, from the bottom, also of those that others hide: hex of its sum, and its
 * bytes; NULL: it has no more. */
const char *image_part(struct images *, const struct image *, size_t i, int64_t *ret_bytes);
int image_remove(struct images *, const char *name,
		 struct error **); /* layers no one needs go too */
/* An image that lost its name (removed, or the name moved on) may still be under a
 * running pod.  The keeper says so of an image's id that is about to go, and lets go of what
 * it can; without one only names count. */
typedef bool image_keeper(void *ctx, const char *id);
void images_keep(struct images *, image_keeper *, void *ctx);
/* Removes images that have neither a name nor a keeper; also what image_remove ends with. */
int images_sweep(struct images *, struct error **);
char *image_normalise(const char *name, struct error **); /* caller frees */

/* Import and load read a tar stream (plain, gzip or zstd) from fd in a child
 * process; the caller polls image_job_fd and then ends the job. */
struct image_job;
struct image_limits {
	int64_t bytes, entries;
	int seconds;
}; /* 0: the defaults */
int image_import(struct images *, int fd, const char *name, const struct image_config *,
		 const struct image_limits *, struct image_job **ret, struct error **);
/* docker-archive or OCI layout; every name it holds, or `name` for its only image (NULL: its
 * own) */
int image_load(struct images *, int fd, const char *name, const struct image_limits *,
	       struct image_job **ret, struct error **);
/* A pull.  Children without a network read the image's bytes; whoever has a network hands
 * them over: `ret_socks` (SOCK_SEQPACKET, for the caller to pass on and close) lead to
 * them, the first to the one that reads the JSON.  It asks, in words and numbers:
 *
 *     manifest REF                  a tag or a digest    -> "doc CONTENT-TYPE" and a pipe
 *     blob DIGEST SIZE              the config           -> "doc" and a pipe
 *     have DIGEST SIZE              a layer that is here: nothing to do but to count
 *     layer INDEX DIGEST SIZE       a layer to fetch
 *     unpack                        those were all       -> "unpacked", at the end
 *     done                          the image is whole; it ends
 *
 * The others are given "layer INDEX" with a pipe of that blob's bytes, one at a time, and
 * answer "ok INDEX"; they end with their socket.  What is handed over is believed by
 * none of them: sizes, digests and diffIDs are checked on this side. */
enum { IMAGE_PULL_SOCKS = 4 };
int image_pull(struct images *, const char *name, const struct image_limits *,
	       int ret_socks[IMAGE_PULL_SOCKS], struct image_job **ret, struct error **);
/* A docker-archive of the image into fd; its layers are packed anew (image_save.c).  With
 * `config_only` the config's JSON instead. */
int image_save(struct images *, const char *name, int fd, bool config_only,
	       struct image_job **ret, struct error **);
/* Looks at every layer again; into fd a line an image: NAME, TAB, ok|damaged|unknown, TAB,
 * "pulled" or "by hand", TAB, what is wrong. */
int images_verify(struct images *, int fd, struct image_job **ret, struct error **);
/* What has come in is found at once; this brings it to the disk, in a process of its own.  To
 * be called after images_open and after each job.  `*ret` is NULL when there is nothing to do,
 * or it is being done.  When the disk refuses, the job's end is an error that names the images
 * which were dropped for it; other errors end nothing: call it again later. */
int images_sync(struct images *, struct image_job **ret, struct error **);
bool images_unsynced(const struct images *); /* there is something to do */
/* Readable when the job has ended. */
int image_job_fd(const struct image_job *);
/* 0: done, `*ret_names` are the names now known (NULL-terminated, caller frees each and the
 * list) */
int image_job_end(struct image_job *, char ***ret_names, struct error **);
void image_job_cancel(struct image_job *);
#endif

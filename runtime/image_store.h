/* image_store.h -- the inside of struct images: image.c reads, image_change.c writes. */
#ifndef KEDGE_IMAGE_STORE_H
#define KEDGE_IMAGE_STORE_H
#include "base/map.h"
#include "image_impl.h"

#define BAD_LAYER "bad-" /* and the boot's id: in ingest, one that pods run on */

struct image_entry {
	struct image image;
	const char *digest;  /* of the manifest it came by; "" when it came by none */
	const char **layers; /* hex of each, also of those that an opaque root hides */
	size_t nlayers;
	struct arena arena;
};

struct shelf {                   /* what is found: replaced as a whole */
	struct image_entry **at; /* sorted by name */
	const struct image **list;
	size_t n, cap;
	struct map layers; /* hex -> int64_t *, bytes; every layer that a record names */
	bool unsure;       /* something could not be read: remove nothing by its absence */
};

struct images {
	char *state, *dir, *ingest_path;
	int layers, configs, names, ingest; /* directories */
	unsigned serial;
	image_keeper *keeper;
	void *keeper_ctx;
	struct shelf shelf;
	/* image_sync.c */
	int disk; /* the store's directory; its syncfs tells what went wrong */
	char boot[64];
	bool marked;               /* the mark is known to be on the disk */
	bool notes;                /* the file system can keep them */
	bool refused;              /* a sync failed, and what it was about is still found */
	bool unsynced;             /* something was taken since the last sync began */
	unsigned takers;           /* jobs that bring something */
	unsigned refusals;         /* syncs that failed */
	struct map fresh, syncing; /* hex -> anything: found, and not known to be on the disk */
};

struct image_entry *image_record_read(struct images *, struct shelf *to, int dirfd,
				      const char *hex, const char *name, struct error **);
void image_entry_free(struct image_entry *);
bool image_layer_item(const char *value, char ret_hex[HEX_SIZE], int64_t *ret_bytes);
char *image_name_encode(const char *name); /* caller frees */
int image_store_reload(struct images *, bool strict, struct error **);
int image_dir_each(int fd, int (*fn)(void *, const char *, struct error **), void *ctx,
		   struct error **);
/* Images that have one of these layers, or configs, lose their names, those added to `names`,
 * and the layers go: out of the way where a pod runs on them (`keep`: on any). */
int image_layers_drop(struct images *, const struct map *layers, bool keep, struct buf *names,
		      struct error **);
/* Whether it has one of them. */
bool image_entry_has(const struct image_entry *, const struct map *layers);
/* Layers that no record names. */
int image_layers_sweep(struct images *, struct error **);

/* image_sync.c */
int image_sync_init(struct images *, struct error **); /* before it is locked */
int image_sync_open(struct images *, struct error **); /* when all that is there is found */
void image_sync_done(struct images *);
void image_sync_rest(struct images *); /* where nothing is under way, nothing is marked */
/* It was to be dropped, and could not be. */
bool image_sync_distrusts(const struct images *, const struct image_entry *);
int image_sync_dir(struct images *, int dirfd, struct error **);
#endif

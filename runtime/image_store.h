/* image_store.h -- the inside of struct images: image.c reads, image_change.c writes. */
#ifndef KEDGE_IMAGE_STORE_H
#define KEDGE_IMAGE_STORE_H
#include "base/map.h"
#include "image_impl.h"

struct image_entry {
	struct image image;
	const char *digest; /* of the manifest it came by; "" when it came by none */
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
};

struct image_entry *image_record_read(struct images *, struct shelf *to, int dirfd,
				      const char *hex, const char *name, struct error **);
void image_entry_free(struct image_entry *);
bool image_layer_item(const char *value, char ret_hex[HEX_SIZE], int64_t *ret_bytes);
char *image_name_encode(const char *name); /* caller frees */
int image_store_reload(struct images *, bool strict, struct error **);
int image_dir_each(int fd, int (*fn)(void *, const char *, struct error **), void *ctx,
		   struct error **);
/* Layers that no record names. */
int image_layers_sweep(struct images *, struct error **);
#endif

/* image_load.h -- an archive in the fenced child: image_load.c, image_docker.c, image_oci.c. */
#ifndef KEDGE_IMAGE_LOAD_H
#define KEDGE_IMAGE_LOAD_H
#include "image_impl.h"
#include <jansson.h>

struct member {
	char *name, *link;  /* link: the member it stands for */
	char hex[HEX_SIZE]; /* of its bytes */
	size_t number;      /* files/NUMBER */
	int64_t size;
};

struct candidate { /* an image manifest that an index speaks of */
	const char *name, *digest, *platform;
	int fit; /* 2: this platform, 1: it does not say, 0: another one */
};

struct load {
	struct child *c;
	struct arena arena;
	struct map members;
	size_t nmembers;
	const char *prefix; /* "" or "dir/": the layout was packed with its folder */
	struct candidate *found;
	size_t nfound, cap;
	json_t *docs; /* keeps what was parsed alive */
};

const struct member *image_member_find(const struct load *,
				       const char *name); /* through links; or NULL */
int image_member_open(const struct load *, const struct member *, struct error **); /* fd */
int image_member_text(const struct load *, const struct member *, struct buf *ret,
		      struct error **);
json_t *image_member_json(struct load *, const struct member *, struct error **); /* borrowed */
int image_name_add(struct load *, const char *id, const char *name, struct error **);

int image_docker_load(struct load *, const struct member *manifest, struct error **);
int image_oci_load(struct load *, const struct member *index, struct error **);
#endif

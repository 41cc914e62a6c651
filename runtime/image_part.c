/* image_part.c -- the layers of an image one by one: several images may have the same. */
#include "image_store.h"

const char *
image_part(struct images *s, const struct image *image, size_t i, int64_t *ret_bytes)
{
	const struct image_entry *x = (const struct image_entry *)image; /* its first member */
	const int64_t *bytes;

	if (i >= x->nlayers)
		return NULL;
	bytes = map_get(&s->shelf.layers, x->layers[i]);
	*ret_bytes = bytes ? *bytes : 0;
	return x->layers[i];
}

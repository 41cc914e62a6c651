/* image_store.h -- each test has an image store of its own, in a scratch directory. */
#ifndef KEDGE_TEST_IMAGE_STORE_H
#define KEDGE_TEST_IMAGE_STORE_H
#include "image_kit.h"

static char *dir;
static struct images *store;

static int
store_setup(void **state)
{
	struct error *e = NULL;

	(void)state;
	dir = scratch_make();
	if (images_open(dir, &store, &e) < 0)
		fail_msg("%s", error_text(e));
	return 0;
}

static int
store_teardown(void **state)
{
	(void)state;
	images_close(store);
	scratch_remove(dir);
	return 0;
}
#endif

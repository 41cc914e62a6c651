/* image_store.h -- the store of a fault test of images: in a directory of the test's own,
 * opened, and counted. */
#ifndef KEDGE_FAULT_IMAGE_STORE_H
#define KEDGE_FAULT_IMAGE_STORE_H
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "../unit/image_kit.h"

static char *dir; /* the state folder, of scratch_make */

static inline char *
path_of(const char *sub) /* the caller frees it */
{
	char *path;

	xasprintf(&path, "%s/images/%s", dir, sub);
	return path;
}

static inline int
entries_of(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *x;
	int n = 0;

	assert_non_null(d);
	while ((x = readdir(d)))
		n += x->d_name[0] != '.';
	closedir(d);
	return n;
}

static inline int
entries(const char *sub)
{
	cleanup_free char *path = path_of(sub);

	return entries_of(path);
}

/* What is removed is removed by a process of its own. */
static inline void
ingest_has(int n)
{
	for (int i = 0; i < 3000 && entries("ingest") != n; i++)
		usleep(10000);
	assert_int_equal(entries("ingest"), n);
}

/* Of so many images and layers there is all, and nothing else. */
static inline void
store_is_tidy(struct images *s, int images, int layers)
{
	assert_int_equal(images_sweep(s, NULL), 0);
	ingest_has(0);
	assert_int_equal(entries("names"), images);
	assert_int_equal(entries("configs/sha256"), 2 * images); /* a record, and its config */
	assert_int_equal(entries("layers/sha256"), layers);
}

static inline struct images *
open_good(void)
{
	struct images *s;
	struct error *e = NULL;

	if (images_open(dir, &s, &e) < 0)
		fail_msg("%s", error_text(e));
	return s;
}
#endif

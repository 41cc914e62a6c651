/* imageref.h -- names of images: [HOST[:PORT]/]PATH[:TAG][@sha256:HEX].
 *
 *     nginx            -> docker.io/library/nginx:latest
 *     me/app:1         -> docker.io/me/app:1
 *     localhost/a      -> localhost/a:latest
 *     r.io:5000/a@sha256:..  stays; a tag beside a digest is dropped, for the digest decides
 */
#ifndef KEDGE_IMAGEREF_H
#define KEDGE_IMAGEREF_H
#include <stdbool.h>
#include <stddef.h>

struct error;

/* The whole name; NULL with `e` when it is none.  Caller frees. */
char *imageref_normalise(const char *name, struct error **);

/* Is a whole name of the repository whose name has these n bytes, by tag or by digest? */
bool imageref_is_of(const char *name, const char *repository, size_t n);

/* How long the name of a digest's algorithm is, when it is another than sha256; else 0. */
int imageref_foreign(const char *digest);
#endif

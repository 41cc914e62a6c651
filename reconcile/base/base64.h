/* base64.h -- bytes as text and back, in one line without spaces. */
#ifndef KEDGE_BASE64_H
#define KEDGE_BASE64_H
#include <stddef.h>

struct arena;

const char *base64_text(const void *bytes, size_t n, struct arena *);
/* NULL when it is not base64; a NUL follows the bytes.  `ret_n` may be NULL. */
void *base64_bytes(const char *text, struct arena *, size_t *ret_n);
#endif

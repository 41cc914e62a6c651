/* buf.h -- text that grows, and allocation that cannot fail.
 *
 * `at` is always NUL-terminated and never NULL after the first buf_add; `len`
 * does not count the NUL, so a buf holds bytes as well as text.  An all-zero
 * struct is an empty buf.  Out of memory aborts: state is on disk and the pods
 * outlive the process.
 */
#ifndef KEDGE_BUF_H
#define KEDGE_BUF_H
#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *at;
	size_t len, cap;
};

void buf_add(struct buf *, const void *bytes, size_t n);
void buf_adds(struct buf *, const char *text);
void buf_addc(struct buf *, char c);
/* What others wrote, as a part of a line: control bytes become blanks. */
void buf_add_plain(struct buf *, const char *text, size_t n);
void buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
void buf_reserve(struct buf *, size_t more);
void buf_clear(struct buf *);             /* empties, keeps the memory */
void buf_drop(struct buf *, size_t n);    /* takes n bytes off the front */
const char *buf_text(const struct buf *); /* "" when nothing was added */
char *buf_steal(struct buf *);            /* caller frees; never NULL; the buf is empty after */
void buf_done(struct buf *);
#define cleanup_buf __attribute__((cleanup(buf_done)))

void *xmalloc(size_t);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *, size_t);
/* Room for one more behind `n` things of `size` bytes: there is room for a power of two of
 * them, so that what is added one by one is not moved each time.  Only for what grows by this
 * alone. */
void *xgrow(void *, size_t n, size_t size);
char *xstrdup(const char *); /* NULL gives NULL */
char *xstrndup(const char *, size_t);
void xasprintf(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void xvasprintf(char **ret, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
#endif

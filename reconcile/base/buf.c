/* buf.c -- doubling buffers; abort is the answer to a lack of memory. */
#include "buf.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		abort();
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *
xrealloc(void *old, size_t n)
{
	void *p = realloc(old, n ? n : 1);

	if (!p)
		abort();
	return p;
}

void *
xgrow(void *at, size_t n, size_t size)
{
	return n & (n - 1) ? at : xrealloc(at, (n ? 2 * n : 1) * size);
}

char *
xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *
xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

void
xvasprintf(char **ret, const char *fmt, va_list ap)
{
	if (vasprintf(ret, fmt, ap) < 0)
		abort();
}

void
xasprintf(char **ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(ret, fmt, ap);
	va_end(ap);
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 64;

	if (b->len + more + 1 <= b->cap)
		return;
	while (cap < b->len + more + 1)
		cap *= 2;
	b->at = xrealloc(b->at, cap);
	b->cap = cap;
	b->at[b->len] = '\0'; /* also when nothing follows */
}

void
buf_add(struct buf *b, const void *bytes, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->at + b->len, bytes, n);
	b->len += n;
	b->at[b->len] = 0;
}

void
buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void
buf_addc(struct buf *b, char c)
{
	if (b->len + 2 > b->cap)
		buf_reserve(b, 1);
	b->at[b->len++] = c;
	b->at[b->len] = 0;
}

void
buf_add_plain(struct buf *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(b, iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
}

void
buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	/* Most fits into what there is; only then is it written a second time. */
	buf_reserve(b, 63);
	va_copy(again, ap);
	n = vsnprintf(b->at + b->len, b->cap - b->len, fmt, again);
	va_end(again);
	if (n < 0)
		abort();
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, n);
		vsnprintf(b->at + b->len, (size_t)n + 1, fmt, ap);
	}
	b->len += n;
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->at)
		b->at[0] = 0;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_clear(b);
		return;
	}
	memmove(b->at, b->at + n, b->len - n + 1);
	b->len -= n;
}

const char *
buf_text(const struct buf *b)
{
	return b->at ? b->at : "";
}

char *
buf_steal(struct buf *b)
{
	char *p;

	buf_reserve(b, 0);
	b->at[b->len] = 0;
	p = b->at;
	*b = (struct buf){ 0 };
	return p;
}

void
buf_done(struct buf *b)
{
	free(b->at);
	*b = (struct buf){ 0 };
}

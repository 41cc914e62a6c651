/* arena.c -- blocks in a list; a larger one on top when the last is full. */
#include "arena.h"
#include "buf.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A small object's arena is one malloc; a pass's arena soon takes big steps. */
enum { FIRST = 512, LARGEST = 64 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	alignas(max_align_t) char data[];
};

static void
block_add(struct arena *a, size_t cap)
{
	struct arena_block *b = xmalloc(sizeof *b + cap);

	b->used = 0;
	b->cap = cap;
	b->next = a->top;
	a->top = b;
	a->bytes += sizeof *b + cap;
}

void
arena_reserve(struct arena *a, size_t n)
{
	if (!a->top || a->top->cap - a->top->used < n)
		block_add(a, n);
}

size_t
arena_room(size_t n)
{
	const size_t align = alignof(max_align_t);

	return (n + align - 1) & ~(align - 1);
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b;
	size_t cap;
	void *p;

	n = arena_room(n);
	if (!a->top || a->top->cap - a->top->used < n) {
		cap = a->top ? a->top->cap * 2 : FIRST;
		if (cap > LARGEST)
			cap = LARGEST;
		block_add(a, cap < n ? n : cap);
	}
	b = a->top;
	p = b->data + b->used;
	b->used += n;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p;

	n = strnlen(s, n);
	p = arena_alloc(a, n + 1);

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		abort();
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_free(struct arena *a)
{
	struct arena_block *b;

	while ((b = a->top)) {
		a->top = b->next;
		free(b);
	}
	a->bytes = 0;
}

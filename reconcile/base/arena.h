/* arena.h -- memory that dies together.
 *
 * An all-zero struct is an empty arena.  Nothing in it is freed singly; every
 * pointer is aligned for any type and zeroed where the name says so.
 */
#ifndef KEDGE_ARENA_H
#define KEDGE_ARENA_H
#include <stdarg.h>
#include <stddef.h>

struct arena {
	struct arena_block *top;
	size_t bytes; /* asked of malloc so far */
};

size_t arena_room(size_t);                  /* how many bytes a piece of n is */
void arena_reserve(struct arena *, size_t); /* so many more are one malloc, of just that size */

void *arena_alloc(struct arena *, size_t);        /* not zeroed */
void *arena_zalloc(struct arena *, size_t);       /* zeroed */
char *arena_strdup(struct arena *, const char *); /* NULL gives NULL */
char *arena_strndup(struct arena *, const char *, size_t);
char *arena_printf(struct arena *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *); /* and leaves it empty, ready for use */
#define cleanup_arena __attribute__((cleanup(arena_free)))
#endif

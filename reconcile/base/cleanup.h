/* cleanup.h -- what a scope gives back by itself when it is left. */
#ifndef KEDGE_CLEANUP_H
#define KEDGE_CLEANUP_H
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_free_(void *p)
{
	free(*(void **)p);
}

/* Keeps errno, so that a failing path can close and still say why. */
static inline void
cleanup_close_(int *fd)
{
	int err = errno;

	if (*fd >= 0)
		close(*fd);
	errno = err;
}

static inline void
cleanup_fclose_(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void
cleanup_closedir_(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define cleanup_free     __attribute__((cleanup(cleanup_free_)))
#define cleanup_close    __attribute__((cleanup(cleanup_close_)))
#define cleanup_fclose   __attribute__((cleanup(cleanup_fclose_)))
#define cleanup_closedir __attribute__((cleanup(cleanup_closedir_)))

/* Hands ownership out of a scope: `return steal_fd(&fd);` */
static inline int
steal_fd(int *fd)
{
	int x = *fd;

	*fd = -1;
	return x;
}

#define steal_ptr(pp)                      \
	({                                 \
		__typeof__(pp) pp_ = (pp); \
		__typeof__(*pp) p_ = *pp_; \
		*pp_ = NULL;               \
		p_;                        \
	})
#endif

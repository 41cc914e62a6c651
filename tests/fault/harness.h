/* harness.h -- the n-th call of a test's own list fails.
 *
 * A test names the calls in `// wrap:` lines for the linker and gives each a row of
 * CALL(); it defines FAULT_ERRNO, what a failed call says.  countdown = n arms the fault:
 * the n-th call from then on fails once and sets fired. */
#ifndef KEDGE_FAULT_HARNESS_H
#define KEDGE_FAULT_HARNESS_H
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "fault/harness_host.h"

static int countdown; /* 0: no fault; 1: the next call fails */
static bool fired;

static bool
due(void)
{
	if (!countdown || --countdown)
		return false;
	fired = true;
	errno = FAULT_ERRNO;
	return true;
}

#define CALL(name, type, none, params, args)                    \
	type __real_##name params;                              \
	type __wrap_##name params;                              \
	type __wrap_##name params                               \
	{                                                       \
		return due() ? (type)none : __real_##name args; \
	}

/* Calls that more than one test wraps. */
#define CALL_OPEN   CALL(open, int, -1, (const char *a, int b, mode_t c), (a, b, c))
#define CALL_OPENAT CALL(openat, int, -1, (int a, const char *b, int c, mode_t d), (a, b, c, d))
#define CALL_SOCKET CALL(socket, int, -1, (int a, int b, int c), (a, b, c))
#define CALL_MMAP                                                                         \
	CALL(mmap, void *, MAP_FAILED, (void *a, size_t b, int c, int d, int f, off_t g), \
	     (a, b, c, d, f, g))
#endif

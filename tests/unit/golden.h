/* golden.h -- files that what comes out is compared with.
 *
 * With KEDGE_GOLDEN=write they are written anew; git diff is the review.
 */
#ifndef KEDGE_GOLDEN_H
#define KEDGE_GOLDEN_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h" /* cmocka has a macro fail() */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole file, which is the caller's; NULL: there is none. */
static inline char *
golden_contents(const char *path)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	struct buf b = { 0 };
	char piece[4096];
	size_t n;

	if (!f)
		return NULL;
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(&b, piece, n);
	buf_add(&b, "", 0);
	return buf_steal(&b);
}

/* What came of `in` is what the file `want` says. */
static inline void
golden_check(const char *want, const char *in, const struct buf *got)
{
	cleanup_free char *text = NULL;

	if (getenv("KEDGE_GOLDEN")) {
		cleanup_fclose FILE *f = fopen(want, "we");

		assert_non_null(f);
		fputs(got->at, f);
		return;
	}
	text = golden_contents(want);
	if (!text || strcmp(text, got->at) != 0)
		fail_msg("%s is not what %s gives now:\n%s", want, in, got->at);
}
#endif

/* error.h -- what the world did to us, as a value.
 *
 * A function that can fail takes `struct error **e` last, returns 0 or a
 * negative number (or NULL), and leaves its outputs untouched when it fails.
 * `*e` must be NULL on entry; the caller frees it.  `e` itself may be NULL
 * when nobody will read the reason.  The message is complete enough to be
 * shown as it is: what, where, why, and where it helps what to do.
 *
 * What only kedge itself can break is an assert, never an error.
 */
#ifndef KEDGE_ERROR_H
#define KEDGE_ERROR_H
#include <stdbool.h>

enum why {
	WHY_NONE,
#define ERR(name, http, reason) WHY_##name,
#include "errors.def"
#undef ERR
	WHY_COUNT
};

struct error {
	enum why why;
	int err; /* errno when a system call said so, else 0 */
	char *msg;
};

struct why_facts {
	int http;
	const char *reason; /* Kubernetes' word for it */
};

/* All return -1, so that failing is one statement. */
int fail(struct error **e, enum why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends ": strerror(errno)". */
int fail_sys(struct error **e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "fmt: " before what an inner function already said. */
int fail_in(struct error **e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Hands on what an inner function said, kind and errno with it; `*why` is NULL afterwards. */
int fail_with(struct error **e, struct error **why);

/* clang-tidy sees one file at a time, and would think that they may return 0. */
#ifdef __clang_analyzer__
#define fail(...)      (fail(__VA_ARGS__), -1)
#define fail_sys(...)  (fail_sys(__VA_ARGS__), -1)
#define fail_in(...)   (fail_in(__VA_ARGS__), -1)
#define fail_with(...) (fail_with(__VA_ARGS__), -1)
#endif

const struct why_facts *why_facts(enum why);
const char *error_text(const struct error *); /* never NULL */
void error_free(struct error **);             /* takes NULL and *NULL */

#define cleanup_error __attribute__((cleanup(error_free)))
#endif

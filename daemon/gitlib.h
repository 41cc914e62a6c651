/* gitlib.h -- libgit2 as kedge uses it: no file outside the repository is read. */
#ifndef KEDGE_GITLIB_H
#define KEDGE_GITLIB_H
#include <git2.h>

struct error;

/* Both count: a process may open and close as often as it likes. */
void gitlib_open(void);
void gitlib_close(void);
/* fail() with libgit2's last words after ours. */
int fail_git(struct error **e, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__
#define fail_git(...) (fail_git(__VA_ARGS__), -1)
#endif

#define GIT_CLEANUP(type)                           \
	static inline void type##_cleanup(type **p) \
	{                                           \
		type##_free(*p);                    \
	}
/* clang-format off */
GIT_CLEANUP(git_repository)
GIT_CLEANUP(git_odb)
GIT_CLEANUP(git_odb_object)
GIT_CLEANUP(git_reference)
GIT_CLEANUP(git_commit)
GIT_CLEANUP(git_tree)
GIT_CLEANUP(git_blob)
GIT_CLEANUP(git_object)
GIT_CLEANUP(git_signature)
GIT_CLEANUP(git_packbuilder)
GIT_CLEANUP(git_remote)
/* clang-format on */
#define cleanup_git(type) __attribute__((cleanup(type##_cleanup)))
#endif

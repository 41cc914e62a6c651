/* gitlib.c -- libgit2, shut off from every configuration file of the host. */
#include "gitlib.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/error.h"
#include <stdlib.h>
#include <string.h>

#undef fail_git

void
gitlib_open(void)
{
	git_libgit2_init();
	/* What another user wrote into /etc/gitconfig or a home must not steer us. */
	git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "");
	git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "");
	git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_PROGRAMDATA, "");
	git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "");
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
	git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)1 << 20);
	git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)256 << 20);
	git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)64);
	git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)2000000);
	/* Each object is read once: caching them would only hold memory. */
	git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
}

void
gitlib_close(void)
{
	git_libgit2_shutdown();
}

int
fail_git(struct error **e, int rc, const char *fmt, ...)
{
	const git_error *g = git_error_last();
	char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&what, fmt, ap);
	va_end(ap);
	fail(e,
	     rc == GIT_ENOTFOUND ? WHY_NOT_FOUND
	     : rc == GIT_EAUTH   ? WHY_FORBIDDEN
				 : WHY_IO,
	     "%s: %s", what, g && g->message ? g->message : "unknown error");
	free(what);
	return -1;
}

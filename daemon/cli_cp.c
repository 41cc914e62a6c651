/* cli_cp.c -- `kedge cp`: files and directories in and out of a container.
 *
 * In the container kedge's own program makes or reads the tar (runtime/init/copy.h), so the
 * image needs none.  Here a child unpacks or packs it, and this process carries the bytes.
 */
#include "cli_cp.h"
#include "cli.h"
#include "cli_tar.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

int
cp_side_read(const char *word, struct arena *a, struct cp_side *ret, struct error **e)
{
	const char *colon = strchr(word, ':'), *slash = strchr(word, '/');

	*ret = (struct cp_side){ .path = word };
	if (!colon || *word == '/' || *word == '.') {
		if (!*word)
			return fail(e, WHY_BAD_REQUEST, "filepath can not be empty");
		return 0;
	}
	slash = slash && slash < colon ? slash : NULL;
	ret->ns = slash ? arena_strndup(a, word, slash - word) : NULL;
	word = slash ? slash + 1 : word;
	ret->pod = arena_strndup(a, word, colon - word);
	ret->path = colon + 1;
	if (!*ret->pod || strchr(ret->pod, '/') || (ret->ns && !*ret->ns))
		return fail(e, WHY_BAD_REQUEST,
			    "filespec must match the canonical format: "
			    "[[namespace/]pod:]file/path");
	if (!*ret->path)
		return fail(e, WHY_BAD_REQUEST, "filepath can not be empty");
	return 0;
}

const char *
cp_base(const char *path, struct arena *a)
{
	size_t end = strlen(path), at;

	while (end && path[end - 1] == '/')
		end--;
	for (at = end; at && path[at - 1] != '/'; at--)
		;
	return arena_strndup(a, path + at, end - at);
}

static const char *
copy_path(struct cli_call *c, const struct cp_side *far, const char *container,
	  const char *name)
{
	cleanup_buf struct buf path = { 0 };

	buf_addf(&path, "/kedge/namespaces/%s/pods/%s/copy",
		 far->ns ? far->ns : cli_namespace(c), far->pod);
	cli_query(&path, "path", far->path);
	if (name) {
		cli_query(&path, "name", name);
		cli_query(&path, "stdin", "true");
	}
	cli_query(&path, "container", container);
	cli_query(&path, "stdout", "true");
	cli_query(&path, "stderr", "true");
	return arena_strdup(c->arena, path.at);
}

/* The child's half; it says itself what went wrong. */
static _Noreturn void
child_run(struct cli_call *c, const struct cp_side *near, const struct cp_side *far, bool in,
	  int fd)
{
	cleanup_error struct error *e = NULL;
	int rc = in ? cli_tar_pack(near->path, fd, &e)
		    : cli_tar_unpack(fd, near->path, cp_base(far->path, c->arena), &e);

	if (rc < 0) {
		cleanup_free char *why = xstrdup(error_text(e));

		cli_tame_text(why);
		fprintf(stderr, "kedge: %s\n", why);
	}
	_exit(rc ? 1 : 0);
}

/* `cp . POD:DIR` is what lies here, not a folder of some name; `cp ..` has one. */
static const char *
name_of(struct cli_call *c, const char *path, const char *real)
{
	const char *base = cp_base(path, c->arena);

	if (!strcmp(base, ".."))
		base = cp_base(real, c->arena);
	return *base ? base : ".";
}

/* name: under which it goes in; NULL: it comes out */
static int
carry(struct cli_call *c, const struct cp_side *near, const struct cp_side *far,
      const char *name, struct error **e)
{
	const char *container = cli_container(c, far->ns, far->pod, e);
	struct cli_talk t = { .in = -1, .out = -1, .tame = true };
	cleanup_error struct error *why = NULL;
	int fds[2], rc, status = 0;
	pid_t child;

	if (!container)
		return -1;
	t.path = copy_path(c, far, container, name);
	if (pipe2(fds, O_CLOEXEC))
		return fail_sys(e, "make a pipe for the files that are copied");
	fflush(NULL);
	child = fork();
	if (child < 0)
		return close(fds[0]), close(fds[1]),
		       fail_sys(e, "start a process that packs or unpacks them");
	if (!child) {
		close(fds[name ? 0 : 1]);
		child_run(c, near, far, name, fds[name ? 1 : 0]);
	}
	close(fds[name ? 1 : 0]);
	signal(SIGPIPE, SIG_IGN); /* a child that gives up says why */
	*(name ? &t.in : &t.out) = fds[name ? 0 : 1];
	rc = cli_talk(c, &t, &why);
	close(fds[name ? 0 : 1]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0 && !name && WIFEXITED(status) && WEXITSTATUS(status))
		return 1; /* who unpacks ended it */
	if (rc < 0)
		return fail_with(e, &why);
	return rc || status ? 1 : 0;
}

int
cli_cp(struct cli_call *c, struct error **e)
{
	struct cp_side from, to;
	char real[PATH_MAX];

	if (cp_side_read(c->args[0], c->arena, &from, e) < 0 ||
	    cp_side_read(c->args[1], c->arena, &to, e) < 0)
		return -1;
	if (!strcmp(c->args[0], "-") || !strcmp(c->args[1], "-"))
		return fail(e, WHY_BAD_REQUEST,
			    "- is not supported: kedge cp copies files and folders; `kedge "
			    "exec POD -- cat PATH` prints a file");
	if (from.pod && to.pod)
		return fail(e, WHY_BAD_REQUEST,
			    "one of src or dest must be a local file specification");
	if (!from.pod && !to.pod)
		return fail(e, WHY_BAD_REQUEST,
			    "one of src or dest must be a remote file specification: POD:PATH");
	if (from.pod)
		return carry(c, &to, &from, NULL, e);
	if (!realpath(from.path, real))
		return errno == ENOENT ? fail(e, WHY_NOT_FOUND,
					      "%s doesn't exist in local filesystem", from.path)
				       : fail_sys(e, "%s", from.path);
	return carry(c, &from, &to, name_of(c, from.path, real), e);
}

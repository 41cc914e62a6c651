/* worker.c -- the life of a source's worker: wait, look, say.
 *
 * It ends when the brain closes the socket.  What it is told to
 * write may come from any client of the API (write_file() holds that in), and nothing it says
 * is believed.
 */
#include "worker.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "gittree.h"
#include "source.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { RETRY_MS = 1000 }; /* between attempts to open a source that is not there */

const char *
worker_subdir(struct worker *w)
{
	return gittree_path(w->args->path, &w->arena);
}

int
worker_reach(const struct worker *w, struct error **e)
{
	struct stat st;

	if (stat(w->path, &st) == 0 && (!S_ISDIR(st.st_mode) || !access(w->path, R_OK | X_OK)))
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return fail(e, WHY_NOT_FOUND,
			    "%s: there is nothing here: put it back, or correct the source's "
			    "url in kedge.yaml; what runs stays",
			    w->path);
	if (errno == EACCES)
		return fail(e, WHY_FORBIDDEN,
			    "%s: Permission denied: it is read with the rights of its owner "
			    "(uid %d): let that user read it and search the folders above it "
			    "(chmod u+rX, chmod o+x), or give it to another (chown -R); what "
			    "runs stays",
			    w->path, (int)getuid());
	return fail_sys(e, "%s: what runs stays", w->path);
}

int
worker_note(struct worker *w, const char *text, struct error **e)
{
	if (!strcmp(w->noted ? w->noted : "", text))
		return 0;
	free(w->noted);
	w->noted = xstrdup(text);
	return frame_send_text(w->fd, FRAME_NOTE, text, e);
}

int
worker_say_writable(struct worker *w, const char *why_not, struct error **e)
{
	char yes = !*why_not;

	if (w->unwritable && !strcmp(w->unwritable, why_not))
		return 0;
	free(w->unwritable);
	w->unwritable = xstrdup(why_not);
	return frame_send(w->fd, FRAME_WRITABLE, &yes, 1, why_not, strlen(why_not), e);
}

static void
fine(struct worker *w)
{
	free(w->failed);
	w->failed = NULL;
	w->unsure = false;
}

int
worker_say_commit(struct worker *w, const git_oid *commit, const git_oid *tree, bool forced,
		  struct error **e)
{
	char flags = forced;

	if (frame_send(w->fd, FRAME_COMMIT, commit->id, sizeof commit->id, &flags, 1, e))
		return -1;
	w->have = *commit;
	w->have_tree = *tree;
	fine(w);
	return 0;
}

int
worker_say_tree(struct worker *w, const git_oid *tree, struct error **e)
{
	if (frame_send(w->fd, FRAME_TREE, NULL, 0, tree->id, sizeof tree->id, e))
		return -1;
	w->have_tree = *tree;
	fine(w);
	return 0;
}

_Noreturn void
worker_retire(struct worker *w, const char *why)
{
	log_info("source", "%s: %s; a new worker takes over", w->args->url, why);
	_exit(0);
}

/* Says what is wrong, once. */
static void
say_failed(struct worker *w, const struct error *e)
{
	const char *text = error_text(e);

	if (w->failed && !strcmp(w->failed, text))
		return;
	free(w->failed);
	w->failed = xstrdup(text);
	w->unsure = true;
	if (frame_send_text(w->fd, FRAME_FAILED, text, NULL))
		_exit(0); /* the brain is gone */
}

/* We have the rights of who owned it when we began; another owner has others. */
static void
retire_for_owner(struct worker *w)
{
	struct stat st;

	if (!w->path || *w->path != '/' || stat(w->path, &st) < 0)
		return;
	if (w->owner.known && w->owner.uid != st.st_uid)
		worker_retire(w, "it belongs to another user now");
	w->owner.known = true;
	w->owner.uid = st.st_uid;
}

static int
look(struct worker *w, bool asked, struct error **e)
{
	retire_for_owner(w);
	if (!w->state && w->kind->open(w, e)) {
		w->next = monotonic_ms() + RETRY_MS;
		say_failed(w, e ? *e : NULL);
		return -1;
	}
	if (w->kind->look(w, asked, e)) {
		say_failed(w, e ? *e : NULL);
		return -1;
	}
	/* It was wrong (the worker before us may have said so), now it is not, and nothing
	 * is new. */
	if (w->unsure) {
		fine(w);
		if (frame_send(w->fd, FRAME_FINE, NULL, 0, NULL, 0, e))
			_exit(0);
	}
	return 0;
}

static void
answer(struct worker *w, const struct error *e)
{
	if (frame_send_text(w->fd, FRAME_ANSWER, e ? error_text(e) : "", NULL))
		_exit(0);
}

static int
revert(struct worker *w, const struct frame *f, struct error **e)
{
	const char *commit = f->body, *end = f->body + f->len, *author, *message;

	if (f->len < 3 || end[-1])
		return fail(e, WHY_INVALID, "a malformed request to revert");
	author = commit + strlen(commit) + 1;
	message = author < end ? author + strlen(author) + 1 : end;
	if (message >= end)
		return fail(e, WHY_INVALID, "a malformed request to revert");
	if (!w->kind->revert)
		return fail(e, WHY_FORBIDDEN, "%s cannot be written to", w->args->url);
	if (!w->state)
		return fail(e, WHY_UNAVAILABLE, "%s", w->failed ? w->failed : "not open yet");
	if (w->kind->revert(w, commit, author, message, e))
		return -1;
	return look(w, true, e);
}

/* One commit beside the head, for who wants to compare; the head stays. */
static void
show(struct worker *w, const char *ref)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf b = { 0 };
	char hex[GIT_OID_HEXSZ + 1] = "";
	const char *why = "";
	git_oid id;

	if (!w->kind->read)
		fail(&e, WHY_INVALID, "%s is a directory: it has no \"%s\"", w->args->url, ref);
	else if (!w->state)
		fail(&e, WHY_UNAVAILABLE, "%s", w->failed ? w->failed : "not open yet");
	else if (w->kind->read(w, ref, &id, &e) == 0)
		git_oid_tostr(hex, sizeof hex, &id);
	if (!*hex)
		why = error_text(e);
	buf_add(&b, ref, strlen(ref) + 1);
	buf_add(&b, hex, strlen(hex) + 1);
	buf_add(&b, why, strlen(why) + 1);
	if (frame_send(w->fd, FRAME_SHOWN, NULL, 0, b.at, b.len, NULL))
		_exit(0);
}

static int
write_file(struct worker *w, const struct write_args *args, git_oid *ret, bool *ret_moved,
	   struct error **e)
{
	const char *sub = worker_subdir(w);
	size_t n = strlen(sub);

	/* Security argument: the brain reads everybody's bytes, and this process has the rights
	 * of the repository's owner.  The hand has said beforehand whether it may ask for this,
	 * and nothing beside what the source follows is touched. */
	if (!w->kind->write || !w->args->writeBack)
		return fail(e, WHY_FORBIDDEN, "%s may not be written to", w->args->url);
	if (n && (strncmp(args->path, sub, n) != 0 || args->path[n] != '/'))
		return fail(e, WHY_FORBIDDEN, "%s is not in %s", args->path, sub);
	if (!w->state)
		return fail(e, WHY_UNAVAILABLE, "%s", w->failed ? w->failed : "not open yet");
	return w->kind->write(w, args, ret, ret_moved, e);
}

/* The new head is told before the answer, so that who hears this knows the commit; so is one
 * that somebody else made meanwhile. */
static void
obey_write(struct worker *w, const struct frame *f)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL, *ignored = NULL;
	cleanup_buf struct buf json = { 0 };
	struct complaints said = { .arena = &a };
	const struct tree *t = json_read(f->body, f->len, &a, &said);
	const struct write_args *args =
	    t ? schema_decode(write_args_kind(), t, SCHEMA_TRUSTED, &a, &said) : NULL;
	struct written_seen seen = { 0 };
	char hex[GIT_OID_HEXSZ + 1] = "";
	git_oid id;

	if (!args || said.errors)
		_exit(2);
	if (write_file(w, args, &id, &seen.moved, &e) == 0)
		git_oid_tostr(hex, sizeof hex, &id);
	if (*hex || seen.moved)
		look(w, true, &ignored);
	seen.id = args->id;
	seen.commit = hex;
	seen.error = e ? error_text(e) : "";
	schema_encode(written_seen_kind(), &seen, &json);
	if (frame_send(w->fd, FRAME_WRITTEN, NULL, 0, json.at, json.len, NULL))
		_exit(0);
}

static void
obey(struct worker *w, const struct frame *f)
{
	cleanup_error struct error *e = NULL;

	switch (f->type) {
	case FRAME_SYNC:
		if (f->len == 1 && f->body[0])
			w->have = w->have_tree = (git_oid){ 0 };
		look(w, true, &e);
		break;
	case FRAME_REVERT:
		revert(w, f, &e);
		break;
	case FRAME_READ:
		show(w, f->body);
		return;
	case FRAME_WRITE:
		obey_write(w, f);
		return;
	default:
		fail(&e, WHY_INVALID, "a request of type %d", f->type);
	}
	answer(w, e);
}

static enum frame_type
read_order(struct worker *w, struct frame_reader *in, struct watch_args **ret)
{
	struct complaints said = { .arena = &w->arena };
	struct pollfd p = { w->fd, POLLIN, 0 };
	const struct tree *tree;
	struct frame f;
	int rc;

	while ((rc = frame_next(in, &f)) == 0)
		if (poll(&p, 1, -1) < 0 || frame_fill(in, w->fd) < 0)
			_exit(0);
	if (rc < 0 || (f.type != FRAME_START && f.type != FRAME_BIND))
		_exit(2);
	tree = json_read(f.body, f.len, &w->arena, &said);
	*ret = tree ? schema_decode(watch_args_kind(), tree, SCHEMA_TRUSTED, &w->arena, &said)
		    : NULL;
	if (!*ret || said.errors) {
		log_err("source", "unreadable order: %s",
			said.first ? said.first->text : "no JSON");
		_exit(2);
	}
	return f.type;
}

/* The first frame says what to watch.  It is the hand's, which wrote it before the
 * brain had this socket: our rights are the source's owner's, so the brain only adds
 * what it has, and for a remote (whose rights are the brain's) where to keep it. */
static void
read_args(struct worker *w, struct frame_reader *in)
{
	struct watch_args *bound, *asked;

	if (read_order(w, in, &bound) == FRAME_BIND) {
		if (read_order(w, in, &asked) != FRAME_START)
			_exit(2);
		bound->have = asked->have;
		bound->haveTree = asked->haveTree;
		bound->cache = asked->cache;
	}
	w->args = bound;
	if (w->args->have && *w->args->have)
		git_oid_fromstr(&w->have, w->args->have);
	if (w->args->haveTree && *w->args->haveTree)
		git_oid_fromstr(&w->have_tree, w->args->haveTree);
}

static const struct source_kind *
choose_kind(struct worker *w)
{
	const char *url = w->args->url;

	if (!strcmp(w->args->type, "directory")) {
		w->path = arena_strdup(&w->arena, url);
		return &source_directory;
	}
	if (!strncmp(url, "file://", 7))
		url += 7;
	if (*url == '/') {
		w->path = arena_strdup(&w->arena, url);
		return &source_git;
	}
	/* It will hold a key or a token, which no other process of its user may read. */
	prctl(PR_SET_DUMPABLE, 0);
	return &source_remote;
}

static void
obey_all(struct worker *w, struct frame_reader *in)
{
	struct frame f;
	int rc;

	while ((rc = frame_next(in, &f)) > 0) {
		worker_limit_start();
		obey(w, &f);
		worker_limit_stop();
	}
	if (rc < 0)
		_exit(2);
}

static void
step(struct worker *w, struct frame_reader *in)
{
	struct pollfd p[2] = { { w->fd, POLLIN, 0 }, { w->watch_fd, POLLIN, 0 } };
	int64_t wait = w->next - monotonic_ms();

	if (wait <= 0) {
		cleanup_error struct error *e = NULL;

		worker_limit_start();
		look(w, false, &e);
		worker_limit_stop();
		return;
	}
	if (poll(p, 2, wait > INT32_MAX ? INT32_MAX : (int)wait) < 0)
		return;
	if (p[1].revents)
		w->kind->notice(w);
	if (p[0].revents && frame_fill(in, w->fd) < 0)
		_exit(0);
}

_Noreturn void
source_worker(int fd)
{
	struct frame_reader in = { 0 };
	struct worker w = { .fd = fd, .watch_fd = -1, .unsure = true };
	struct error *e = NULL;

	log_role("source");
	signal(SIGPIPE, SIG_IGN);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	umask(022);
	gitlib_open();
	/* The brain computes each object's id from its bytes; once is enough. */
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	read_args(&w, &in);
	w.kind = choose_kind(&w);
	if (worker_limit_open(&w, &e)) {
		log_err("source", "%s: %s", w.args->url, error_text(e));
		_exit(2);
	}
	for (;;) {
		obey_all(&w, &in);
		step(&w, &in);
	}
}

/* worker_git.c -- a Git repository on this host.
 *
 * Its refs are watched, so a push is seen at once; a look now and then is the
 * safety net for what inotify cannot see (a network file system, an overflow).
 * Nothing of the repository is run or checked out: no hooks, no filters, no
 * index, no submodules.  It is written to only by a rollback, and by a write over
 * the API where the source has writeBack.
 */
#include "worker_git.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "loose.h"
#include "spawn.h"
#include <dirent.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
	NET_MS = 10000,  /* the safety net */
	POLL_MS = 500,   /* without inotify */
	RETRY_MS = 1000, /* after a failure */
	WRITE_TRIES = 5, /* of a commit, when others push meanwhile */
	REF_EVENTS = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_CLOSE_WRITE |
		     IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR,
};

struct git_source {
	git_repository *repo;
	git_odb *odb;
	dev_t dev;
	ino_t ino;
	bool may_write; /* when it was opened: its walls are by that */
	char *dir;      /* the repository itself: .git of an ordinary one */
	const char *subdir;
	bool watching, rewatch;
};

/* ---- watching refs ---- */

static int
watch_folders(const char *folder, int depth)
{
	cleanup_closedir DIR *d = NULL;
	struct dirent *x;

	if (fswatch_add(folder, REF_EVENTS))
		return errno == ENOENT ? 0 : -1;
	if (depth > 16 || !(d = opendir(folder)))
		return 0;
	while ((x = readdir(d))) {
		cleanup_free char *sub = NULL;

		if (x->d_name[0] == '.' || (x->d_type != DT_DIR && x->d_type != DT_UNKNOWN))
			continue;
		xasprintf(&sub, "%s/%s", folder, x->d_name);
		if (watch_folders(sub, depth + 1) && errno != ENOTDIR)
			return -1;
	}
	return 0;
}

/* HEAD and packed-refs are renamed into the repository's own folder; each branch
 * into refs/heads or a folder in it. */
static int
watch_refs(struct worker *w, struct error **e)
{
	struct git_source *g = w->state;
	const char *common = git_repository_commondir(g->repo);
	cleanup_free char *refs = NULL;

	if (w->watch_fd >= 0)
		fswatch_stop();
	g->rewatch = false;
	g->watching = false;
	xasprintf(&refs, "%srefs", common);
	w->watch_fd = fswatch_start();
	if (w->watch_fd >= 0 && !fswatch_add(common, REF_EVENTS) &&
	    (!strcmp(common, g->dir) || !fswatch_add(g->dir, REF_EVENTS)) &&
	    !watch_folders(refs, 0)) {
		g->watching = true;
		return worker_note(w, "", e);
	}
	if (w->watch_fd >= 0)
		fswatch_stop();
	w->watch_fd = -1;
	return worker_note(
	    w,
	    "this user has no inotify watch left, so the repository is looked at "
	    "twice a second: raise fs.inotify.max_user_watches and "
	    "max_user_instances",
	    e);
}

struct seen {
	bool dirty, rewatch;
};

static void
see(void *ctx, const struct fswatch_event *ev)
{
	struct seen *s = ctx;
	size_t n = strlen(ev->name);

	if (!ev->folder || (ev->mask & (IN_ISDIR | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)))
		s->dirty = s->rewatch = true;
	/* a lock is taken before each change and says nothing by itself */
	if (n < 5 || strcmp(ev->name + n - 5, ".lock"))
		s->dirty = true;
}

static void
git_notice(struct worker *w)
{
	struct git_source *g = w->state;
	struct seen s = { 0 };

	fswatch_read(w->watch_fd, see, &s);
	g->rewatch |= s.rewatch;
	if (s.dirty)
		w->next = 0;
}

/* ---- opening ---- */

/* What the process may still read once its walls are up: the repository, what it
 * borrows objects from, and the kernel's word on inotify limits. */
static void
wall_in(struct git_source *g, bool writable)
{
	const char *common = git_repository_commondir(g->repo);
	cleanup_free char *list = NULL, *text = NULL;
	cleanup_fclose FILE *f = NULL;
	const char *readable[20] = { "/proc/sys/fs/inotify", g->dir, common };
	const char *writing[] = { writable ? common : NULL, writable ? g->dir : NULL, NULL };
	size_t n = 3, size = 0;

	xasprintf(&list, "%sobjects/info/alternates", common);
	if ((f = fopen(list, "re")) && getdelim(&text, &size, 0, f) > 0)
		for (char *save, *p = strtok_r(text, "\n", &save); p && n < 19;
		     p = strtok_r(NULL, "\n", &save))
			if (*p == '/')
				readable[n++] = p;
	sandbox_enter("source", readable, writing);
}

static bool
can_write(struct git_source *g)
{
	const char *common = git_repository_commondir(g->repo);
	cleanup_free char *heads = NULL, *objects = NULL;

	xasprintf(&heads, "%srefs/heads", common);
	xasprintf(&objects, "%sobjects", common);
	return !access(heads, W_OK) && !access(objects, W_OK);
}

static int
git_open(struct worker *w, struct error **e)
{
	cleanup_free char *objects = NULL;
	git_repository *repo = NULL;
	struct git_source *g;
	struct stat st;
	int rc;

	if (worker_reach(w, e))
		return -1;
	rc = git_repository_open_ext(&repo, w->path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (rc == GIT_ENOTFOUND)
		return fail(e, WHY_NOT_FOUND,
			    "%s: is not a Git repository (a plain directory of manifests needs "
			    "type directory)",
			    w->path);
	if (rc)
		return fail_git(e, rc, "%s: open", w->path);
	g = xcalloc(1, sizeof *g);
	g->repo = repo;
	g->dir = xstrdup(git_repository_path(repo));
	g->subdir = worker_subdir(w);
	xasprintf(&objects, "%sobjects", git_repository_commondir(repo));
	if ((rc = git_repository_odb(&g->odb, repo)) || (rc = loose_add_all(g->odb, objects)) ||
	    stat(g->dir, &st) < 0) {
		git_repository_free(repo);
		free(g->dir);
		free(g);
		return rc ? fail_git(e, rc, "%s: open", w->path) : fail_sys(e, "%s", w->path);
	}
	g->dev = st.st_dev;
	g->ino = st.st_ino;
	w->state = g;
	g->may_write = can_write(g);
	wall_in(g, g->may_write);
	return watch_refs(w, e);
}

/* ---- which commit ---- */

static bool
is_hex(const char *s)
{
	return *s && !s[strspn(s, "0123456789abcdef")];
}

int
git_no_such_ref(const struct watch_args *args, const char *where, const char *name,
		struct error **e)
{
	size_t n = strlen(name);

	if (args->aside && n < 7 && strspn(name, "0123456789") == n)
		return fail(e, WHY_NOT_FOUND,
			    "%s: there is no revision %s, nor a branch, tag or commit of that "
			    "name",
			    where, name);
	return fail(e, WHY_NOT_FOUND, "%s: there is no branch, tag or commit \"%s\"%s", where,
		    name, args->aside ? "" : "; the last revision stays");
}

/* "v2~1", "main^2": what is asked for beside the head may be counted from a name.  Nothing else
 * of gitrevisions(7): patterns walk all of the history, and a reflog is nobody's business. */
static bool
find_counted(git_repository *repo, const char *name, git_oid *ret)
{
	cleanup_git(git_object) git_object *o = NULL;
	size_t n = strcspn(name, "~^");

	if (!n || !name[n] || strpbrk(name, ":{@") ||
	    name[n + strspn(name + n, "~^0123456789")])
		return false;
	if (git_revparse_single(&o, repo, name))
		return false;
	*ret = *git_object_id(o);
	return true;
}

/* The full name of the branch or tag; "" in `ret` when the ref is a commit id. */
static int
find_ref(struct worker *w, git_repository *repo, char ret[1024], git_oid *ret_id,
	 struct error **e)
{
	static const char *const in[] = { "refs/heads/", "refs/tags/", "" };
	cleanup_git(git_reference) git_reference *head = NULL;
	cleanup_git(git_object) git_object *o = NULL;
	const char *name = w->args->ref ? w->args->ref : "";
	size_t n = strlen(name);
	git_oid id;

	if (!*name) {
		if (git_reference_lookup(&head, repo, "HEAD"))
			return git_no_such_ref(w->args, w->path, "HEAD", e);
		if (git_reference_type(head) == GIT_REFERENCE_DIRECT) {
			*ret = 0;
			*ret_id = *git_reference_target(head);
			return 0;
		}
		snprintf(ret, 1024, "%s", git_reference_symbolic_target(head));
		if (!git_reference_name_to_id(ret_id, repo, ret))
			return 0;
		return fail(e, WHY_NOT_FOUND,
			    "%s: HEAD's branch \"%s\" has no commit: push one, or name another "
			    "branch; what runs stays",
			    w->path, strncmp(ret, "refs/heads/", 11) ? ret : ret + 11);
	}
	for (size_t i = 0; i < 3 && n < 900; i++) {
		snprintf(ret, 1024, "%s%s", in[i], name);
		if ((*in[i] || !strncmp(name, "refs/", 5)) &&
		    !git_reference_name_to_id(ret_id, repo, ret))
			return 0;
	}
	*ret = 0;
	if (w->args->aside && find_counted(repo, name, ret_id))
		return 0;
	if (n < 7 || n > GIT_OID_HEXSZ || !is_hex(name) || git_oid_fromstrn(&id, name, n) ||
	    git_object_lookup_prefix(&o, repo, &id, n, GIT_OBJECT_COMMIT))
		return git_no_such_ref(w->args, w->path, name, e);
	*ret_id = *git_object_id(o);
	return 0;
}

int
git_find_head(struct worker *w, git_repository *repo, char ret_ref[1024], git_oid *ret_commit,
	      git_oid *ret_tree, struct error **e)
{
	cleanup_git(git_object) git_object *any = NULL, *commit = NULL;
	git_oid id;
	int rc;

	if (find_ref(w, repo, ret_ref, &id, e))
		return -1;
	if ((rc = git_object_lookup(&any, repo, &id, GIT_OBJECT_ANY)) ||
	    (rc = git_object_peel(&commit, any, GIT_OBJECT_COMMIT)))
		return fail_git(e, rc, "%s: %s cannot be read (try git fsck)", w->path,
				*ret_ref ? ret_ref : "the commit");
	*ret_commit = *git_object_id(commit);
	*ret_tree = *git_commit_tree_id((git_commit *)commit);
	return 0;
}

/* ---- looking ---- */

static bool
is_parent(git_repository *repo, const git_oid *old, const git_oid *new)
{
	cleanup_git(git_commit) git_commit *c = NULL;
	unsigned n = git_commit_lookup(&c, repo, new) ? 0 : git_commit_parentcount(c);

	for (unsigned i = 0; i < n; i++)
		if (git_oid_equal(git_commit_parent_id(c, i), old))
			return true;
	return false;
}

/* Was history rewritten?  A commit that the brain has and this repository does
 * not is gone from it, which is the same.  Most pushes bring one commit: no walk. */
static bool
is_forced(git_repository *repo, const git_oid *old, const git_oid *new)
{
	return !git_oid_is_zero(old) && !git_oid_equal(old, new) &&
	       !is_parent(repo, old, new) && git_graph_descendant_of(repo, new, old) != 1;
}

static int
send_objects(struct worker *w, git_repository *repo, const git_oid *commit, const git_oid *tree,
	     struct error **e)
{
	struct batch b = { .repo = repo, .kept = &w->kept };
	int rc = git_repository_odb(&b.odb, repo);

	if (rc)
		return fail_git(e, rc, "%s: open", w->args->url);
	rc = batch_commit(&b, git_oid_is_zero(&w->have_tree) ? NULL : &w->have_tree, commit,
			  tree, worker_subdir(w), e);
	if (!rc)
		rc = batch_send(&b, w->fd, e);
	git_odb_free(b.odb);
	batch_done(&b);
	return rc ? -1 : 0;
}

int
git_send_ref(struct worker *w, git_repository *repo, const char *ref, git_oid *ret_commit,
	     struct error **e)
{
	const struct watch_args *own = w->args;
	struct watch_args other = *own;
	cleanup_free char *counted = NULL;
	git_oid tree;
	char name[1024];
	int rc;

	/* HEAD is what the source follows, also where it is counted from */
	if (own->ref && *own->ref && !strncmp(ref, "HEAD", 4) && strchr("~^", ref[4]) && ref[4])
		xasprintf(&counted, "%s%s", own->ref, ref + 4);
	other.ref = counted ? counted : ref;
	other.aside = true;
	w->args = &other;
	rc = git_find_head(w, repo, name, ret_commit, &tree, e);
	w->args = own;
	return rc ? -1 : send_objects(w, repo, ret_commit, &tree, e);
}

int
git_send_head(struct worker *w, git_repository *repo, const git_oid *commit,
	      const git_oid *tree, struct error **e)
{
	int rc = send_objects(w, repo, commit, tree, e);

	return rc ? -1
		  : worker_say_commit(w, commit, tree, is_forced(repo, &w->have, commit), e);
}

/* Why no commit can be made there; "": it can.  Moving the branch under somebody's working
 * tree would make the next commit there undo it, so only a branch that is not checked out is
 * written to. */
static const char *
unwritable(struct git_source *g, const char *ref)
{
	cleanup_git(git_reference) git_reference *head = NULL;

	if (strncmp(ref, "refs/heads/", 11) != 0)
		return *ref ? "it follows a tag, no branch" : "it follows a commit, no branch";
	if (!can_write(g))
		return "the repository's owner may not write to it";
	if (git_repository_is_bare(g->repo))
		return "";
	if (git_reference_lookup(&head, g->repo, "HEAD") ||
	    (git_reference_type(head) == GIT_REFERENCE_SYMBOLIC &&
	     !strcmp(git_reference_symbolic_target(head), ref)))
		return "its branch is checked out in a working tree: follow a bare "
		       "repository, or another branch";
	return "";
}

static int
git_look(struct worker *w, bool asked, struct error **e)
{
	struct git_source *g = w->state;
	git_oid commit, tree;
	struct stat st;
	char ref[1024];

	(void)asked;
	w->next = monotonic_ms() + RETRY_MS; /* unless all goes well */
	if (stat(g->dir, &st) < 0)
		return fail(e, WHY_NOT_FOUND,
			    "%s: the repository is gone; the last revision stays", w->path);
	if (st.st_dev != g->dev || st.st_ino != g->ino)
		worker_retire(w, "the repository was replaced");
	if (!g->may_write && can_write(g))
		worker_retire(w, "the repository can be written to now");
	if (g->rewatch && watch_refs(w, e))
		return -1;
	if (git_find_head(w, g->repo, ref, &commit, &tree, e))
		return -1;
	if (!git_oid_equal(&commit, &w->have) && git_send_head(w, g->repo, &commit, &tree, e))
		return -1;
	w->next = monotonic_ms() + (g->watching ? NET_MS : POLL_MS);
	return worker_say_writable(w, unwritable(g, ref), e);
}

static int
git_revert_here(struct worker *w, const char *commit, const char *author, const char *message,
		struct error **e)
{
	struct git_source *g = w->state;
	git_oid head, tree;
	char ref[1024];

	if (git_find_head(w, g->repo, ref, &head, &tree, e))
		return -1;
	if (*unwritable(g, ref))
		return fail(e, WHY_FORBIDDEN, "%s: %s", w->path, unwritable(g, ref));
	return git_rollback(g->repo, ref, &head, g->subdir, commit, author, message, e);
}

/* Who pushes meanwhile wins; the commit is then made on top of that, unless it changed the
 * same file. */
static int
git_write_here(struct worker *w, const struct write_args *args, git_oid *ret, bool *ret_moved,
	       struct error **e)
{
	struct git_source *g = w->state;
	git_oid head, tree;
	char ref[1024];
	bool lost = true;

	for (int i = 0; i < WRITE_TRIES && lost; i++) {
		error_free(e);
		if (git_find_head(w, g->repo, ref, &head, &tree, e))
			return -1;
		if (*unwritable(g, ref))
			return fail(e, WHY_FORBIDDEN, "%s: %s", w->path, unwritable(g, ref));
		if (args->head && *args->head && git_oid_streq(&head, args->head)) {
			*ret_moved = true;
			return fail(e, WHY_CONFLICT, "%s moved meanwhile", ref);
		}
		lost = false;
		if (!git_write_file(g->repo, ref, &head, g->subdir, args, ret, &lost, e))
			return 0;
	}
	*ret_moved = lost;
	return -1;
}

static int
git_read(struct worker *w, const char *ref, git_oid *ret_commit, struct error **e)
{
	return git_send_ref(w, ((struct git_source *)w->state)->repo, ref, ret_commit, e);
}

const struct source_kind source_git = {
	.read = git_read,
	.open = git_open,
	.look = git_look,
	.notice = git_notice,
	.revert = git_revert_here,
	.write = git_write_here,
};

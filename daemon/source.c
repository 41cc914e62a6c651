/* source.c -- the brain's end of a source: frames in, a head out.
 *
 * Everything the worker says is untrusted.  Objects are kept under the id that
 * their bytes give; a head counts only when its commit can be read.  Nothing
 * here waits.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "gittree.h"
#include "source_priv.h"
#include <assert.h>
#include <string.h>
#include <time.h>

enum { FILLS_MAX = 16 }; /* reads of 256 KiB in one step */

struct watch *
source_watch(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	assert(w);
	return w;
}

int
sources_open(const char *dir, struct sources **ret, struct error **e)
{
	struct mirror *m;
	const char *slash;
	bool aside;

	gitlib_open();
	if (mirror_open(dir, &m, &aside, e)) {
		gitlib_close();
		return -1;
	}
	if (aside)
		log_warn("mirror",
			 "%s was damaged; it is kept beside as %s.broken-N and filled anew",
			 dir, dir);
	*ret = xcalloc(1, sizeof **ret);
	(*ret)->mirror = m;
	slash = strrchr(dir, '/');
	xasprintf(&(*ret)->remotes, "%.*sremotes", slash ? (int)(slash + 1 - dir) : 0, dir);
	return 0;
}

static void
watch_unplug(struct watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	frame_reader_done(&w->in);
	mirror_pack_drop(&w->pack);
}

static void
watch_free(struct watch *w)
{
	watch_unplug(w);
	folder_drop(w->last);
	source_head_done(&w->head);
	free(w->error);
	free(w->answer);
	free(w->shown);
	free(w->note);
	free(w->unwritable);
	arena_free(&w->written_arena);
	free(w->name);
	arena_free(&w->arena);
	free(w);
}

void
sources_close(struct sources *s)
{
	struct error *e = NULL;

	if (!s)
		return;
	if (sources_flush(s, &e))
		log_err("mirror", "%s", error_text(e));
	error_free(&e);
	for (struct map_slot *i = map_first(&s->watches); i; i = map_next(&s->watches, i))
		watch_free(i->value);
	map_done(&s->watches);
	mirror_close(s->mirror);
	free(s->remotes);
	free(s);
	gitlib_close();
}

int
sources_flush(struct sources *s, struct error **e)
{
	return mirror_pending(s->mirror) ? mirror_flush(s->mirror, e) : 0;
}

bool
sources_pending(const struct sources *s)
{
	return mirror_pending(s->mirror);
}

/* A head that the mirror names but cannot show is as good as none. */
static void
recall_head(struct sources *s, struct watch *w)
{
	struct error *e = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	git_oid id;

	if (!mirror_head(s->mirror, w->name, &id))
		return;
	git_oid_tostr(hex, sizeof hex, &id);
	if (source_commit_info(s, hex, &w->head, &e))
		log_warn("mirror", "%s; it is asked for again", error_text(e));
	else
		w->has_head = true;
	error_free(&e);
}

int
source_attach(struct sources *s, const char *name, const struct watch_args *args, int fd,
	      struct error **e)
{
	struct watch *w = map_get(&s->watches, name);
	struct buf json = { 0 };
	struct watch_args say;
	int rc;

	if (!mirror_name_valid(name)) {
		close(fd);
		return fail(e, WHY_INVALID, "\"%s\" cannot name a source", name);
	}
	if (!w) {
		w = xcalloc(1, sizeof *w);
		w->fd = -1;
		w->name = xstrdup(name);
		map_put(&s->watches, name, w);
		recall_head(s, w);
	}
	watch_unplug(w);
	arena_free(&w->arena);
	w->args = schema_clone(watch_args_kind(), args, &w->arena);
	w->fd = fd;
	w->answered = w->asked; /* what the last worker was asked nobody answers */
	w->writable = false;
	w->asked_all = false;
	say = *w->args;
	say.have = w->has_head ? w->head.commit : NULL;
	say.haveTree = w->has_head ? w->head.tree : NULL;
	if (!say.cache || !*say.cache)
		say.cache = arena_printf(&w->arena, "%s/%s", s->remotes, name);
	schema_encode(watch_args_kind(), &say, &json);
	rc = frame_post(fd, FRAME_START, json.at, json.len, e);
	buf_done(&json);
	if (rc)
		watch_unplug(w);
	return rc;
}

void
source_detach(struct sources *s, const char *name)
{
	struct watch *w = map_del(&s->watches, name);

	if (w)
		watch_free(w);
}

int
source_forget(struct sources *s, const char *name, struct error **e)
{
	return mirror_name_valid(name) ? mirror_drop_head(s->mirror, name, e) : 0;
}

/* ---- what can be asked: also of a source whose worker never came up ---- */

int
source_fd(struct sources *s, const char *name)
{
	return source_watch(s, name)->fd;
}

const struct source_head *
source_head(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w && w->has_head ? &w->head : NULL;
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

const char *
source_error(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w ? or_empty(w->error) : "";
}

const char *
source_note(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w ? or_empty(w->note) : "";
}

const char *
source_answer(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w ? or_empty(w->answer) : "";
}

bool
source_known(struct sources *s, const char *name)
{
	return map_get(&s->watches, name) != NULL;
}

bool
source_writable(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w && w->writable;
}

const char *
source_unwritable(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w && !w->writable ? or_empty(w->unwritable) : "";
}

static int
ask(struct sources *s, const char *name, enum frame_type type, const void *body, size_t len,
    struct error **e)
{
	struct watch *w = map_get(&s->watches, name);

	if (!w || w->fd < 0)
		return fail(e, WHY_UNAVAILABLE,
			    "source %s cannot be read just now; kedge status says why", name);
	if (frame_post(w->fd, type, body, len, e))
		return fail_in(e, "source %s", name);
	w->asked += type == FRAME_SYNC || type == FRAME_REVERT;
	return 0;
}

int64_t
source_asked(struct sources *s, const char *name)
{
	struct watch *w = map_get(&s->watches, name);

	return w ? w->asked : 0;
}

int64_t
source_answered(struct sources *s, const char *name)
{
	return source_watch(s, name)->answered;
}

int
source_sync(struct sources *s, const char *name, bool everything, struct error **e)
{
	char body = everything;

	return ask(s, name, FRAME_SYNC, &body, 1, e);
}

int
source_show(struct sources *s, const char *name, const char *ref, struct error **e)
{
	return ask(s, name, FRAME_READ, ref, strlen(ref), e);
}

void
source_shown(struct sources *s, const char *name, const char **ret_ref, const char **ret_commit,
	     const char **ret_why)
{
	struct watch *w = source_watch(s, name);
	const char *at = w->shown ? w->shown : "\0\0";

	*ret_ref = at;
	*ret_commit = at += strlen(at) + 1;
	*ret_why = at + strlen(at) + 1;
}

int
source_revert_to(struct sources *s, const char *name, const char *commit, const char *author,
		 const char *message, struct error **e)
{
	cleanup_buf struct buf b = { 0 };

	if (!source_writable(s, name))
		return fail(e, WHY_FORBIDDEN, "source %s cannot be written to", name);
	buf_add(&b, commit, strlen(commit) + 1);
	buf_add(&b, author, strlen(author) + 1);
	buf_add(&b, message, strlen(message) + 1);
	return ask(s, name, FRAME_REVERT, b.at, b.len, e);
}

int
source_write(struct sources *s, const char *name, const struct write_args *args,
	     struct error **e)
{
	cleanup_buf struct buf b = { 0 };

	schema_encode(write_args_kind(), args, &b);
	if (b.len > FRAME_TEXT_MAX)
		return fail(e, WHY_TOO_LARGE,
			    "the change of %s is larger than the %d KiB that are written back: "
			    "change it there and commit",
			    args->path, FRAME_TEXT_MAX >> 10);
	return ask(s, name, FRAME_WRITE, b.at, b.len, e);
}

const struct written_seen *
source_written(struct sources *s, const char *name)
{
	return source_watch(s, name)->written;
}

/* ---- frames ---- */

/* Takes text; false when it says what was known. */
static bool
say_error(struct watch *w, char *text)
{
	bool same = !strcmp(or_empty(w->error), or_empty(text));

	free(w->error);
	w->error = text;
	return !same;
}

static enum source_news
new_head(struct sources *s, struct watch *w, const git_oid *id, bool forced, struct error **e)
{
	struct source_head h;
	char hex[GIT_OID_HEXSZ + 1];
	bool cleared = say_error(w, NULL);

	git_oid_tostr(hex, sizeof hex, id);
	if (w->has_head && !strcmp(w->head.commit, hex) && !w->asked_all)
		return cleared ? SOURCE_FAILED : SOURCE_NOTHING;
	if (source_commit_info(s, hex, &h, e) || mirror_set_head(s->mirror, w->name, id, e))
		return SOURCE_LOST;
	h.forced = forced;
	source_head_done(&w->head);
	w->head = h;
	w->has_head = true;
	return SOURCE_MOVED;
}

static enum source_news
take_commit(struct sources *s, struct watch *w, const struct frame *f, struct error **e)
{
	git_oid id;

	if (f->len != GITTREE_ID + 1) {
		fail(e, WHY_INVALID, "a head of %zu bytes", f->len);
		return SOURCE_LOST;
	}
	git_oid_fromraw(&id, (const unsigned char *)f->body);
	return new_head(s, w, &id, f->body[GITTREE_ID] != 0, e);
}

/* A directory has no commits: each distinct content becomes one here. */
static enum source_news
take_tree(struct sources *s, struct watch *w, const struct frame *f, struct error **e)
{
	cleanup_buf struct buf b = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	struct mirror_object o = { 0 };
	long long now = time(NULL);
	git_oid tree, id;

	if (f->len != GITTREE_ID) {
		fail(e, WHY_INVALID, "a tree's id of %zu bytes", f->len);
		return SOURCE_LOST;
	}
	git_oid_fromraw(&tree, (const unsigned char *)f->body);
	git_oid_tostr(hex, sizeof hex, &tree);
	if (w->has_head && !strcmp(w->head.tree, hex)) {
		git_oid_fromstr(&id, w->head.commit);
		return new_head(s, w, &id, false, e);
	}
	if (mirror_get(s->mirror, &tree, GIT_OBJECT_TREE, &o, e))
		return SOURCE_LOST;
	mirror_object_done(&o);
	buf_addf(&b, "tree %s\n", hex);
	if (w->has_head)
		buf_addf(&b, "parent %s\n", w->head.commit);
	buf_addf(&b, "author kedge <kedge@localhost> %lld +0000\n", now);
	buf_addf(&b, "committer kedge <kedge@localhost> %lld +0000\n\n", now);
	buf_addf(&b, "Snapshot of %s\n", w->args->url);
	if (mirror_put(s->mirror, GIT_OBJECT_COMMIT, b.at, b.len, &id, e))
		return SOURCE_LOST;
	return new_head(s, w, &id, false, e);
}

static enum source_news
take_object(struct sources *s, const struct frame *f, struct error **e)
{
	git_object_t type = f->len ? (git_object_t)f->body[0] : GIT_OBJECT_INVALID;
	git_oid id;

	if (type != GIT_OBJECT_COMMIT && type != GIT_OBJECT_TREE && type != GIT_OBJECT_BLOB) {
		fail(e, WHY_INVALID, "an object of no known type");
		return SOURCE_LOST;
	}
	return mirror_put(s->mirror, type, f->body + 1, f->len - 1, &id, e) ? SOURCE_LOST
									    : SOURCE_NOTHING;
}

static enum source_news
take_shown(struct watch *w, const struct frame *f, struct error **e)
{
	size_t nuls = 0;

	for (size_t i = 0; i < f->len; i++)
		nuls += !f->body[i];
	if (nuls != 3 || f->body[f->len - 1]) {
		fail(e, WHY_INVALID, "a malformed answer about a commit");
		return SOURCE_LOST;
	}
	free(w->shown);
	w->shown = xmalloc(f->len);
	memcpy(w->shown, f->body, f->len);
	return SOURCE_SHOWN;
}

static enum source_news
take_written(struct watch *w, const struct frame *f, struct error **e)
{
	struct complaints said = { .arena = &w->written_arena };
	const struct tree *t;

	arena_free(&w->written_arena);
	t = json_read(f->body, f->len, &w->written_arena, &said);
	w->written =
	    t ? schema_decode(written_seen_kind(), t, SCHEMA_TRUSTED, &w->written_arena, &said)
	      : NULL;
	if (w->written && !said.errors)
		return SOURCE_WRITTEN;
	fail(e, WHY_INVALID, "a malformed answer about a commit that was to be made");
	return SOURCE_LOST;
}

static enum source_news
take_writable(struct watch *w, const struct frame *f)
{
	w->writable = f->len && f->body[0] == 1;
	free(w->unwritable);
	w->unwritable = f->len > 1 ? text_clean(f->body + 1, f->len - 1) : NULL;
	return SOURCE_WRITABLE;
}

static enum source_news
take_frame(struct sources *s, struct watch *w, const struct frame *f, struct error **e)
{
	switch (f->type) {
	case FRAME_OBJECT:
		return take_object(s, f, e);
	case FRAME_PACK:
		return mirror_pack(s->mirror, &w->pack, f->body, f->len, e) ? SOURCE_LOST
									    : SOURCE_NOTHING;
	case FRAME_PACK_END:
		return mirror_pack_end(s->mirror, &w->pack, e) ? SOURCE_LOST : SOURCE_NOTHING;
	case FRAME_COMMIT:
		return take_commit(s, w, f, e);
	case FRAME_TREE:
		return take_tree(s, w, f, e);
	case FRAME_FINE:
		return say_error(w, NULL) ? SOURCE_FAILED : SOURCE_NOTHING;
	case FRAME_FAILED:
		return say_error(w, text_clean(f->body, f->len)) ? SOURCE_FAILED
								 : SOURCE_NOTHING;
	case FRAME_NOTE:
		free(w->note);
		w->note = text_clean(f->body, f->len);
		return SOURCE_FAILED;
	case FRAME_WRITABLE:
		return take_writable(w, f);
	case FRAME_WRITTEN:
		return take_written(w, f, e);
	case FRAME_SHOWN:
		return take_shown(w, f, e);
	case FRAME_ANSWER:
		free(w->answer);
		w->answer = text_clean(f->body, f->len);
		w->answered++;
		return SOURCE_ANSWERED;
	default:
		fail(e, WHY_INVALID, "a message of type %d", f->type);
		return SOURCE_LOST;
	}
}

enum source_news
source_read(struct sources *s, const char *name)
{
	struct watch *w = source_watch(s, name);
	struct error *e = NULL;
	struct frame f;
	int rc, fills = 0;

	if (w->fd < 0)
		return SOURCE_NOTHING;
	for (;;) {
		rc = frame_next(&w->in, &f);
		if (rc > 0) {
			enum source_news news = take_frame(s, w, &f, &e);

			if (news == SOURCE_LOST)
				break;
			if (news != SOURCE_NOTHING)
				return news;
			continue;
		}
		/* No whole frame is left here, so a poll of the socket tells the rest:
		 * a long transfer does not keep the loop from its other work. */
		if (rc == 0 && ++fills > FILLS_MAX)
			return SOURCE_NOTHING;
		if (rc == 0 && (rc = frame_fill(&w->in, w->fd)) == 0)
			return SOURCE_NOTHING;
		if (rc < 0)
			break;
	}
	if (e) {
		log_warn(name, "the source's worker is dropped: %s", error_text(e));
		say_error(w, xstrdup(error_text(e)));
	}
	error_free(&e);
	watch_unplug(w);
	return SOURCE_LOST;
}

/* writeback.c -- a write to what Git states, as a commit that says the same.
 *
 * The new text is judged as a push of it would be: by the reader of manifests, and by the merge
 * with what lives (merge.c).  What does not come out as the write wanted it is refused.
 */
#include "writeback.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "controllers.h"
#include "merge.h"
#include "patch_tree.h"
#include "restate.h"
#include <ctype.h>
#include <string.h>

enum {
	VALUE_MOST = 60,
	SUBJECT_MOST = 200,
	CHANGES_MOST = 30,
	TEXT_MOST =
	    256 * 1024, /* bytes of a file: it is read four times while the loop waits */
};

/* ---- which document ---- */

static bool
is_of(const struct tree *t, const struct object *o)
{
	const struct tree *meta = t->type == N_MAP ? tree_get(t, "metadata") : NULL;

	if (!meta || meta->type != N_MAP ||
	    !str_is(tree_text(t, "apiVersion", ""), o->apiVersion) ||
	    !str_is(tree_text(t, "kind", ""), o->kind) ||
	    !str_is(tree_text(meta, "name", ""), object_name(o)))
		return false;
	return !resource_of(o)->namespaced ||
	       str_is(tree_text(meta, "namespace", "default"), object_namespace(o));
}

/* A document, or an item of one that is a List. */
static struct amend_node *
find(const struct amend *ed, const struct object *o)
{
	for (struct amend_node *d = ed->docs; d; d = d->next) {
		struct amend_node *items = amend_kid(d, "items");

		if (d->tree && is_of(d->tree, o))
			return d;
		for (struct amend_node *i = items ? items->kids : NULL; i; i = i->next)
			if (i->tree && is_of(i->tree, o))
				return i;
	}
	return NULL;
}

static struct manifest *
manifest_of(struct manifest *m, const struct object *o)
{
	while (m && (m->res != resource_of(o) || object_compare(m->obj, o)))
		m = m->next;
	return m;
}

static const char *
called(const struct writeback *w)
{
	return arena_printf(w->arena, "%s %s", resource_of(w->live)->singular,
			    object_path(w->live, w->arena));
}

static int
refuse(const struct writeback *w, struct error **e)
{
	return fail(e, WHY_OWNED,
		    "%s is owned by Git: %s:%d, and cannot be changed there by kedge, for %s; "
		    "change it there and commit",
		    called(w), w->path, w->amend.line, w->amend.why);
}

/* ---- what the commit is called ---- */

struct changes {
	struct writeback *w;
	struct buf subject, all;
	size_t n;
};

/* How much of a text is told: no character of it by half. */
static size_t
head_of(const char *text, size_t most)
{
	size_t n = strnlen(text, most + 1);

	if (n <= most)
		return n;
	for (n = most; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

static void
put_value(const char *value, struct buf *b)
{
	size_t n = value ? head_of(value, VALUE_MOST) : 0;

	if (!value) {
		buf_adds(b, "none");
		return;
	}
	buf_add_plain(b, value, n);
	if (value[n])
		buf_adds(b, "...");
}

/* The data of a ConfigMap may be long, that of a Secret is nobody's business. */
static bool
is_secret(const struct changes *c, const char *path)
{
	enum resource_id id = resource_of(c->w->live)->id;

	return id == RES_secret || !strncmp(path, "data", 4) ||
	       !strncmp(path, "binaryData", 10) || strstr(path, ".env[");
}

static void
add_change(void *ctx, const char *path, const char *old, const char *new)
{
	struct changes *c = ctx;
	cleanup_buf struct buf line = { 0 };

	if (strstr(path, ANNOTATION_APPLIED))
		return;
	buf_adds(&line, path);
	if (!is_secret(c, path)) {
		buf_addc(&line, ' ');
		put_value(old, &line);
		buf_adds(&line, " -> ");
		put_value(new, &line);
	}
	if (c->n++ == 0)
		buf_add(&c->subject, line.at, line.len);
	if (c->n <= CHANGES_MOST)
		buf_addf(&c->all, "%s\n", buf_text(&line));
}

static void
name_it(struct writeback *w, const struct object *after)
{
	struct changes c = { .w = w };
	const char *first = "stated otherwise";

	schema_diff(resource_of(w->live)->schema, w->live, after, add_change, &c);
	if (c.n > CHANGES_MOST)
		buf_addf(&c.all, "and %zu more\n", c.n - CHANGES_MOST);
	if (c.n)
		first = buf_text(&c.subject);
	w->subject = arena_printf(w->arena, "%s: %.*s", called(w),
				  (int)head_of(first, SUBJECT_MOST), first);
	if (c.n > 1)
		w->subject = arena_printf(w->arena, "%s, and %zu more", w->subject, c.n - 1);
	w->changes = c.n > 1 ? arena_strdup(w->arena, buf_text(&c.all)) : "";
	buf_done(&c.subject);
	buf_done(&c.all);
}

/* ---- the proof ---- */

/* What the commit before stated, so that what is stated no longer goes. */
static const struct tree *
stated_before(const struct writeback *w)
{
	const char *text = object_annotation(w->live, ANNOTATION_APPLIED);
	struct complaints none = { .arena = w->arena };

	return text ? json_read(text, strlen(text), w->arena, &none) : NULL;
}

static int
prove(struct writeback *w, const struct buf *out, struct error **e)
{
	const struct kind *k = resource_of(w->live)->schema;
	struct complaints cs = { .arena = w->arena };
	struct manifest *m =
	    manifest_of(manifest_read(w->path, out->at, out->len, w->arena, &cs), w->want);
	const struct object *after;
	const char *other;

	for (const struct complaint *c = cs.first; c; c = c->next)
		if (!c->warning)
			return fail(e, WHY_OWNED,
				    "%s is owned by Git, and as it is asked for it would not "
				    "be accepted there: %s",
				    called(w), complaint_print(c, w->arena));
	if (!m) {
		w->amend.why = "its text cannot be changed without being written anew";
		return refuse(w, e);
	}
	other = schema_first_difference(
	    k, w->want, merge_three(k, m->obj, w->want, NULL, w->arena), w->arena);
	if (other && w->in_force) {
		w->amend.line = w->line;
		w->amend.why =
		    arena_printf(w->arena, "%s is stated in a way of its own there", other);
		return refuse(w, e);
	}
	after = merge_three(k, m->obj, w->live, stated_before(w), w->arena);
	w->mixed = !schema_equal(k, after, w->want);
	name_it(w, after);
	return 0;
}

/* NULL: it cannot be read, or is not there. */
static struct amend_node *
open_file(struct writeback *w, struct error **e)
{
	struct amend_node *doc;

	if (w->len > TEXT_MOST) {
		w->amend =
		    (struct amend){ .why = "its file is longer than 256 KiB", .line = 1 };
		refuse(w, e);
		return NULL;
	}
	if (amend_open(&w->amend, w->text, w->len, w->arena) < 0) {
		refuse(w, e);
		return NULL;
	}
	doc = find(&w->amend, w->live);
	if (doc)
		w->line = doc->line;
	else
		fail(
		    e, WHY_CONFLICT,
		    "%s is owned by Git, and no longer in %s, where it was; try again when the "
		    "newest commit is applied",
		    called(w), w->path);
	return doc;
}

int
writeback_make(struct writeback *w, struct error **e)
{
	cleanup_buf struct buf out = { 0 };
	struct amend_node *doc = open_file(w, e);

	if (!doc)
		return -1;
	restate(&w->amend, doc, resource_of(w->live)->schema, object_tree(w->live, w->arena),
		object_tree(w->want, w->arena));
	if (amend_close(&w->amend, &out) < 0)
		return refuse(w, e);
	if (!w->amend.n) {
		w->amend.line = w->line;
		w->amend.why = "what changes is stated in a way of its own there";
		return refuse(w, e);
	}
	return prove(w, &out, e);
}

/* Is what goes all that there is? */
static bool
is_alone(const struct writeback *w, const struct amend_node *doc)
{
	const struct amend_node *list = doc->parent;

	if (list && (list->kids != doc || doc->next))
		return false;
	return w->amend.docs == (list ? list->parent : doc) && !w->amend.docs->next;
}

int
writeback_remove(struct writeback *w, struct error **e)
{
	cleanup_buf struct buf out = { 0 };
	struct amend_node *doc = open_file(w, e);

	if (!doc)
		return -1;
	w->subject = arena_printf(w->arena, "%s: deleted", called(w));
	w->changes = "";
	w->emptied = is_alone(w, doc);
	if (w->emptied)
		return 0;
	amend_drop(&w->amend, doc);
	return amend_close(&w->amend, &out) < 0 ? refuse(w, e) : 0;
}

/* ---- what is left to be written ---- */

struct tree *
writeback_patch(const struct tree *was, const struct tree *is, struct arena *a)
{
	cleanup_finder struct finder before = finder_of(was), after = finder_of(is);
	struct members m;

	members_open(&m, a);
	for (const struct tree *t = was->kids; t; t = t->next)
		if (!finder_get(&after, t->key))
			members_put(&m, t->key, tree_empty(N_NULL, a));
	for (const struct tree *t = is->kids; t; t = t->next) {
		const struct tree *old = finder_get(&before, t->key);

		if (old && tree_same(old, t))
			continue;
		members_put(&m, t->key,
			    old && old->type == N_MAP && t->type == N_MAP
				? writeback_patch(old, t, a)
				: t);
	}
	return members_close(&m, N_MAP);
}

/* ---- who ---- */

const char *
writeback_author(const char *user, struct arena *a)
{
	char *name = arena_strdup(a, *user ? user : "unknown"), *mail;

	for (char *p = name; *p; p++)
		if (iscntrl((unsigned char)*p) || *p == '<' || *p == '>')
			*p = '?';
	mail = arena_strdup(a, name);
	for (char *p = mail; *p; p++)
		if (isspace((unsigned char)*p) || *p == '?')
			*p = '-';
	return arena_printf(a, "%s <%s%s>", name, mail, strchr(mail, '@') ? "" : "@kedge");
}

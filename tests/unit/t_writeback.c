/* t_writeback.c -- writes to what Git states, as changes of the manifest's text.
 *
 * tests/golden/writeback/NAME.yaml begins with lines "#? KIND/NAME PATCH"; each patch
 * (strategic, or DELETE) of that object gives, in NAME.txt, what the commit is called and which
 * lines of the file change, or why none does.  KEDGE_GOLDEN=write writes these anew.
 */
#include "golden.h"
#include "reads.h"
#include "reconcile/amend.h"
#include "reconcile/base/utf8.h"
#include "reconcile/controllers.h"
#include "reconcile/merge.h"
#include "reconcile/patch.h"
#include "reconcile/patch_tree.h"
#include "reconcile/writeback.h"
#include <dirent.h>
#include <stdlib.h>

#define FOLDER "tests/golden/writeback"

/* ---- two texts, line by line ---- */

enum { LINES_MOST = 400 };

static size_t
split(struct arena *a, const char *text, const char **ret)
{
	size_t n = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		assert_true(n < LINES_MOST);
		ret[n++] = arena_strndup(a, text, len + (text[len] == '\n'));
		text += len + (text[len] == '\n');
	}
	return n;
}

static void
put_line(struct buf *out, char mark, const char *line)
{
	buf_addf(out, "%c%s%s", mark, line, strchr(line, '\n') ? "" : "\\\n");
}

static void
put_diff(struct arena *a, const char *old, const char *new, struct buf *out)
{
	static unsigned short len[LINES_MOST + 1][LINES_MOST + 1];
	const char *x[LINES_MOST], *y[LINES_MOST];
	size_t n = split(a, old, x), m = split(a, new, y), i, k;

	for (i = n + 1; i-- > 0;)
		for (k = m + 1; k-- > 0;)
			len[i][k] = i == n || k == m ? 0
				    : !strcmp(x[i], y[k])
					? len[i + 1][k + 1] + 1
					: (len[i + 1][k] > len[i][k + 1] ? len[i + 1][k]
									 : len[i][k + 1]);
	for (i = k = 0; i < n || k < m;) {
		if (i < n && k < m && !strcmp(x[i], y[k])) {
			i++;
			k++;
		} else if (k < m && (i == n || len[i][k + 1] > len[i + 1][k])) {
			put_line(out, '+', y[k++]);
		} else {
			put_line(out, '-', x[i++]);
		}
	}
}

/* ---- a write ---- */

/* As the commit left it: with its record. */
static struct object *
as_it_lives(struct reading *r, const struct manifest *m)
{
	struct object *o = object_clone(m->obj, &r->arena);
	struct buf stated = { 0 };

	merge_stated(m->res->schema, m->obj, &stated);
	pairs_set(&o->metadata->labels, ANNOTATION_SOURCE, "main", &r->arena);
	pairs_set(&o->metadata->annotations, ANNOTATION_PLACE, "in.yaml:1", &r->arena);
	pairs_set(&o->metadata->annotations, ANNOTATION_APPLIED,
		  arena_strdup(&r->arena, buf_text(&stated)), &r->arena);
	buf_done(&stated);
	return o;
}

static struct object *
patched(struct reading *r, const struct resource *res, const struct object *live,
	const char *patch)
{
	struct error *e = NULL;
	struct tree *is = NULL;
	const struct tree *p = json_read(patch, strlen(patch), &r->arena, &r->cs);

	assert_non_null(p);
	if (patch_strategic(res->schema, object_tree(live, &r->arena), p, &is, &r->arena, &e))
		fail_msg("%s: %s", patch, error_text(e));
	return schema_decode(res->schema, is, SCHEMA_LENIENT, &r->arena, &r->cs);
}

static struct writeback
written(struct reading *r, const char *text, const char *who, const char *patch,
	struct error **e)
{
	struct manifest *m = manifest_read("in.yaml", text, strlen(text), &r->arena, &r->cs);
	struct writeback w = { .path = "in.yaml",
			       .text = text,
			       .len = strlen(text),
			       .arena = &r->arena,
			       .in_force = true };

	if (r->cs.errors)
		fail_msg("%s", said(r));
	while (m &&
	       strcmp(arena_printf(&r->arena, "%s/%s", m->res->singular, object_name(m->obj)),
		      who) != 0)
		m = m->next;
	if (!m)
		fail_msg("no %s", who);
	w.live = as_it_lives(r, m);
	if (!strcmp(patch, "DELETE")) {
		writeback_remove(&w, e);
		return w;
	}
	w.want = patched(r, m->res, w.live, patch);
	if (r->cs.errors)
		fail_msg("%s: %s", patch, said(r));
	writeback_make(&w, e);
	return w;
}

static void
spliced(const struct writeback *w, struct buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < w->amend.n; i++) {
		const struct amend_splice *s = &w->amend.splices[i];

		buf_add(out, w->text + at, s->at - at);
		buf_adds(out, s->text);
		at = s->at + s->drop;
	}
	buf_adds(out, w->text + at);
}

static void
outcome(const char *text, const char *who, const char *patch, struct buf *out)
{
	READING(r);
	struct error *e = NULL;
	struct writeback w = written(&r, text, who, patch, &e);
	cleanup_buf struct buf new = { 0 };

	buf_addf(out, "%s %s\n", who, patch);
	if (e) {
		buf_addf(out, "refused: %s\n\n", error_text(e));
		error_free(&e);
		return;
	}
	buf_addf(out, "%s%s\n%s", w.subject, w.mixed ? " (and what Git does not state)" : "",
		 w.changes);
	if (w.emptied)
		buf_adds(out, "(the file goes)\n");
	spliced(&w, &new);
	put_diff(&r.arena, text, buf_text(&new), out);
	buf_addc(out, '\n');
}

static void
compare(const char *name)
{
	char in[256], want[256];
	cleanup_buf struct buf got = { 0 };
	char *text, *body;

	snprintf(in, sizeof in, FOLDER "/%s", name);
	snprintf(want, sizeof want, FOLDER "/%.*s.txt", (int)(strcspn(name, ".")), name);
	text = golden_contents(in);
	assert_non_null(text);
	for (body = text; !strncmp(body, "#? ", 3);)
		body += strcspn(body, "\n") + 1;
	for (const char *p = text; !strncmp(p, "#? ", 3); p += strcspn(p, "\n") + 1) {
		size_t n = strcspn(p + 3, " "), m = strcspn(p, "\n");
		char *who = strndup(p + 3, n), *patch = strndup(p + 4 + n, m - n - 4);

		outcome(body, who, patch, &got);
		free(who);
		free(patch);
	}
	assert_true(got.len > 0);
	golden_check(want, in, &got);
	free(text);
}

static void
every_write_changes_the_lines_it_changed(void **s)
{
	DIR *d = opendir(FOLDER);
	size_t n = 0;

	(void)s;
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' && !strstr(e->d_name, ".txt")) {
			compare(e->d_name);
			n++;
		}
	closedir(d);
	assert_true(n >= 5);
}

/* ---- who ---- */

static void
an_author_is_what_git_can_keep(void **s)
{
	READING(r);

	(void)s;
	assert_string_equal(writeback_author("kubernetes-admin", &r.arena),
			    "kubernetes-admin <kubernetes-admin@kedge>");
	assert_string_equal(writeback_author("a@b.c", &r.arena), "a@b.c <a@b.c>");
	assert_string_equal(writeback_author("x <y>\nz", &r.arena), "x ?y??z <x--y--z@kedge>");
	assert_string_equal(writeback_author("", &r.arena), "unknown <unknown@kedge>");
}

/* "é..." and no half of one before the dots. */
static void
no_character_is_told_by_half(void **s)
{
	static const char key[] = "a.b/k", was[] = "éééééééééééééééééééééééééééééééééééééééé";

	(void)s;
	for (int i = 0; i < 3; i++) {
		READING(r);
		struct error *e = NULL;
		const char *text =
		    arena_printf(&r.arena,
				 "kind: Namespace\napiVersion: v1\nmetadata:\n  name: web\n"
				 "  annotations: {%s%0*d: \"%.*s%s\"}\n",
				 key, 40 + i, 0, i, "xx", was);
		const char *patch = arena_printf(
		    &r.arena, "{\"metadata\":{\"annotations\":{\"%s%0*d\":\"%.*s%s\"}}}", key,
		    40 + i, 0, i, "yy", was + 2);
		struct writeback w = written(&r, text, "namespace/web", patch, &e);

		if (e)
			fail_msg("%s", error_text(e));
		assert_true(utf8_is(w.subject));
		assert_non_null(strstr(w.subject, "é..."));
	}
}

static void
a_patch_makes_one_of_the_other(void **s)
{
	static const char *const pairs[][2] = {
		{ "{\"a\":1,\"b\":{\"c\":[1,2],\"d\":3}}",
		  "{\"b\":{\"c\":[1],\"d\":3},\"e\":{}}" },
		{ "{}", "{\"a\":{\"b\":\"c\"}}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":[1]}" },
	};

	(void)s;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		READING(r);
		const struct tree *was = yaml(&r, pairs[i][0]), *is = yaml(&r, pairs[i][1]);
		const struct tree *patch = writeback_patch(was, is, &r.arena);

		assert_true(tree_same(patch_merge(was, patch, &r.arena), is));
		assert_true(!writeback_patch(is, is, &r.arena)->kids);
	}
}

/* ---- any text, any change ---- */

static uint64_t seed;

static unsigned
dice(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

static struct tree *
any_scalar(struct arena *a)
{
	static const char *const words[] = { "web",   "80",      "a b",   "x: y",   "it's",
					     "\"q\"", "#no",     "true",  "1.5",    "",
					     "-",     "a #b",    "é",     "l1\nl2", "l1\n l2\n",
					     "{x}",   "*a",      "~",     "0x10",   "12:30",
					     "end:",  "- a",     "%d",    "a,b",    "[",
					     "a\tb",  "two\n\n", " lead", "tail ",  "@x" };
	struct tree *t = arena_zalloc(a, sizeof *t);

	t->type = dice(5) ? N_STRING : dice(2) ? N_INT : N_BOOL;
	t->text = t->type == N_INT    ? arena_printf(a, "%u", dice(1000))
		  : t->type == N_BOOL ? (dice(2) ? "true" : "false")
				      : words[dice(sizeof words / sizeof *words)];
	return t;
}

static struct tree *
any_tree(struct arena *a, int depth)
{
	struct tree *t, **tail;
	unsigned n = 1 + dice(4);

	if (!depth || (depth < 4 && dice(3) == 0))
		return any_scalar(a);
	t = arena_zalloc(a, sizeof *t);
	t->type = depth == 4 || dice(2) ? N_MAP : N_LIST;
	tail = &t->kids;
	for (unsigned i = 0; i < n; i++) {
		*tail = any_tree(a, depth - 1);
		(*tail)->key =
		    t->type == N_MAP ? arena_printf(a, "%ck%u", 'a' + dice(26), i) : NULL;
		tail = &(*tail)->next;
	}
	return t;
}

/* How one file is written. */
struct hand {
	struct amend fake;
	unsigned comments; /* how many were put in */
};

static void
put_comment(struct hand *h, size_t column, struct buf *b)
{
	if (dice(6) == 0) {
		for (size_t i = 0; i < column; i++)
			buf_addc(b, ' ');
		buf_addf(b, "# note %u!\n", h->comments++);
	} else if (dice(12) == 0) {
		buf_adds(b, "\n");
	}
}

static void put_block(struct hand *, const struct tree *, size_t column, bool first,
		      struct buf *);

static void
put_any(struct hand *h, const struct tree *t, size_t column, size_t below, struct buf *b)
{
	struct amend_form form = { &h->fake, dice(8) == 0, (enum amend_quotes)dice(3) };
	struct buf text = { 0 };

	if (t->kids && dice(4)) {
		buf_adds(b, "\n");
		put_block(h, t, below, false, b);
		return;
	}
	/* (|+ would take the blank lines that follow) */
	if (t->type == N_STRING && strchr(t->text, '\n') && !strstr(t->text, "\n\n") &&
	    dice(3) && amend_print_literal(&form, t->text, column + 2, &text)) {
		buf_addf(b, " %s\n", text.at);
	} else {
		buf_addc(b, ' ');
		amend_print_flow(&form, t, b);
		if (dice(6) == 0)
			buf_addf(b, "  # note %u!", h->comments++);
		buf_addc(b, '\n');
	}
	buf_done(&text);
}

static void
put_block(struct hand *h, const struct tree *t, size_t column, bool first, struct buf *b)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next, first = false) {
		if (!first) {
			put_comment(h, column, b);
			for (size_t i = 0; i < column; i++)
				buf_addc(b, ' ');
		}
		if (t->type == N_LIST) {
			buf_addc(b, '-');
			if (kid->kids && kid->type == N_MAP && dice(4)) {
				buf_addc(b, ' ');
				put_block(h, kid, column + 2, true, b);
			} else {
				put_any(h, kid, column, column + 2, b);
			}
			continue;
		}
		buf_addf(b, "%s:", kid->key);
		put_any(h, kid, column,
			column + (kid->type == N_LIST ? h->fake.list_step : h->fake.map_step),
			b);
	}
}

/* Marks changes, and says what comes of them. */
static struct tree *
change(struct amend *ed, struct amend_node *n, const struct tree *t, unsigned *changes,
       unsigned *drops)
{
	struct tree *out = tree_copy(t, ed->arena), **tail = &out->kids;
	struct amend_node *kid = n->kids;

	out->key = t->key;
	*tail = NULL;
	for (const struct tree *k = t->kids; k; k = k->next, kid = kid->next) {
		unsigned what = dice(20);

		if (what == 0) {
			amend_drop(ed, kid);
			++*changes;
			++*drops;
			continue;
		}
		if (!k->kids && what < 6) {
			*tail = any_scalar(ed->arena);
			(*tail)->key = k->key;
			amend_set(ed, kid, tree_copy(*tail, ed->arena));
			++*changes;
		} else {
			*tail = change(ed, kid, k, changes, drops);
		}
		tail = &(*tail)->next;
		if (what == 19) {
			*tail = any_tree(ed->arena, 2);
			(*tail)->key = t->type == N_MAP
					   ? arena_printf(ed->arena, "new%u", *changes)
					   : NULL;
			amend_add(ed, n, kid, (*tail)->key, tree_copy(*tail, ed->arena));
			tail = &(*tail)->next;
			++*changes;
		}
	}
	return out;
}

static unsigned
notes_in(const char *text)
{
	unsigned n = 0;

	while ((text = strstr(text, "# note "))) {
		n++;
		text++;
	}
	return n;
}

struct tally {
	unsigned made, refused;
	unsigned drops; /* of the change at hand */
};

static void
one_change(struct tally *tally)
{
	READING(r);
	struct hand h = {
		.fake = { .newline = "\n", .map_step = 1 + dice(4), .list_step = dice(3) }
	};
	struct tree *before = any_tree(&r.arena, 4), *after;
	cleanup_buf struct buf text = { 0 }, out = { 0 };
	const struct tree *read;
	struct amend ed;
	unsigned changes = 0;

	buf_adds(&text, dice(2) ? "# note x!\n---\n" : "# note x!\n");
	put_block(&h, before, 0, false, &text);
	if (dice(3) == 0)
		buf_adds(&text, "---\nother: 1 # note y!\n");
	read = yaml(&r, text.at);
	if (!read || !tree_same(read, before))
		fail_msg("the test writes what does not read:\n%s%s", text.at, said(&r));
	tally->drops = 0;
	assert_int_equal(amend_open(&ed, text.at, text.len, &r.arena), 0);
	after = change(&ed, ed.docs, before, &changes, &tally->drops);
	if (!changes)
		return;
	if (amend_close(&ed, &out) < 0) {
		assert_non_null(ed.why);
		tally->refused++;
		return;
	}
	tally->made++;
	read = yaml(&r, out.at);
	if (!read || r.cs.errors || !(after->kids ? tree_same(read, after) : !read->kids))
		fail_msg("seed %llu:\n%s\nbecame\n%s\n%s", (unsigned long long)seed, text.at,
			 out.at, said(&r));
	assert_true(tree_kids(read->next) == tree_kids(ed.docs->tree->next));
	if (!tally->drops) /* what stays keeps its comments */
		assert_int_equal(notes_in(out.at), notes_in(text.at));
}

static void
any_change_of_any_text_reads_as_it_was_meant(void **s)
{
	struct tally tally = { 0 };

	(void)s;
	for (unsigned i = 0; i < 20000; i++) {
		seed = i;
		one_change(&tally);
	}
	print_message("%u made, %u refused\n", tally.made, tally.refused);
	assert_true(tally.made > 8 * tally.refused);
}

static void
a_file_that_is_too_long_is_left_alone(void **s)
{
	READING(r);
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf text = { 0 };

	(void)s;
	buf_adds(&text,
		 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: old}\n");
	while (text.len < 260 * 1024)
		buf_adds(&text,
			 "# nothing to be seen here, nothing at all, not even at the end\n");
	written(&r, text.at, "configmap/a", "{\"data\":{\"x\":\"new\"}}", &e);
	assert_non_null(e);
	assert_non_null(strstr(error_text(e), "for its file is longer than 256 KiB"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_write_changes_the_lines_it_changed),
		T(an_author_is_what_git_can_keep),
		T(no_character_is_told_by_half),
		T(a_patch_makes_one_of_the_other),
		T(any_change_of_any_text_reads_as_it_was_meant),
		T(a_file_that_is_too_long_is_left_alone),
	};

	return RUN(tests);
}

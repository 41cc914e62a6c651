/* t_work.c -- what a request can ask for costs by its length, whatever is long in it.
 *
 * Every list and map of every kind that can be written over the API is made long, alone, and
 * goes the way of a write: decoded, checked as new and as a change, owned, applied, patched,
 * compared, merged, written back to a manifest.  Four times as many members may cost four
 * times the work, and a little for what is sorted.
 */
// wrap: -Wl,--wrap=strlen,--wrap=strcmp,--wrap=strchr,--wrap=strstr,--wrap=strspn
// wrap: -Wl,--wrap=strcspn,--wrap=memchr,--wrap=memcpy,--wrap=memmove,--wrap=memcmp
#include "reconcile/amend.h"
#include "reconcile/base/map.h"
#include "reconcile/fieldset.h"
#include "reconcile/managed.h"
#include "reconcile/merge.h"
#include "reconcile/patch.h"
#include "reconcile/write.h"
#include "reconcile/writeback.h"
#include "work_kit.h"
#include <stdlib.h>

enum { FEW = 500, TIMES = 4, DEEP = 12 };
static const double MOST = 5.5; /* times the work of FEW for TIMES as many: n log n, and some */

/* ---- the way of a write ---- */

struct job {
	const struct resource *res;
	struct world w;
	const struct tree *body,
	    *other; /* other: with every member of the long one otherwise */
	const struct object *live, *half; /* half: with half of the members */
	const struct tree *half_body;
	struct buf out;
};

static void
do_decode(struct job *j)
{
	struct complaints cs = { .arena = &j->w.arena };

	schema_decode(j->res->schema, j->body, SCHEMA_LENIENT, &j->w.arena, &cs);
}

static struct object *
checked(struct job *j, const struct object *live, const struct tree *body)
{
	cleanup_error struct error *e = NULL;
	struct write w = { .res = j->res,
			   .ns = j->res->namespaced ? "default" : "",
			   .name = "x",
			   .live = live,
			   .body = body,
			   .s = world_snapshot(&j->w),
			   .a = &j->w.arena,
			   .fields = FIELDS_STRICT };

	return write_check(&w, &e) < 0 ? NULL : w.obj;
}

static void
do_create(struct job *j)
{
	checked(j, NULL, j->body);
}

static void
do_update(struct job *j)
{
	checked(j, j->live, j->body);
}

static void
do_change(struct job *j)
{
	checked(j, j->live, j->other);
}

static void
do_own(struct job *j)
{
	struct managed_by by = { j->res, "me", 0 };
	const char *had = managed_update(&by, NULL, NULL, j->body, &j->w.arena);

	had = managed_update(&by, had, j->body, j->other, &j->w.arena);
	by.manager = "you";
	managed_update(&by, had, j->other, j->body, &j->w.arena);
}

static void
do_apply(struct job *j)
{
	struct managed_by by = { j->res, "me", 0 }, other = { j->res, "you", 0 };
	struct managed_apply first, second, less;
	struct tree *none = tree_empty(N_MAP, &j->w.arena);

	managed_apply(&by, NULL, NULL, j->body, false, &first, &j->w.arena);
	managed_apply(&other, first.managed, j->body, j->other, false, &second, &j->w.arena);
	managed_apply(&other, first.managed, j->body, j->other, true, &second, &j->w.arena);
	managed_apply(&by, first.managed, j->body, none, false, &less, &j->w.arena);
}

static void
do_patch(struct job *j)
{
	struct tree *out;

	(void)patch_strategic(j->res->schema, j->body, j->other, &out, &j->w.arena, NULL);
	patch_merge(j->body, j->other, &j->w.arena);
	writeback_patch(j->body, j->other, &j->w.arena);
}

static void
on_difference(void *ctx, const char *path, const char *old, const char *new)
{
	(void)path, (void)old, (void)new;
	++*(size_t *)ctx;
}

static void
do_compare(struct job *j)
{
	const struct kind *k = j->res->schema;
	struct complaints cs = { .arena = &j->w.arena };
	const struct object *is = schema_decode(k, j->other, SCHEMA_TRUSTED, &j->w.arena, &cs);
	size_t n = 0;

	schema_diff(k, j->live, is, on_difference, &n);
	schema_equal(k, j->live, is);
	schema_clone(k, is, &j->w.arena);
	buf_clear(&j->out);
	merge_stated(k, is, &j->out);
	merge_three(k, is, j->live, j->body, &j->w.arena);
	merge_three(k, j->live, is, j->other, &j->w.arena);
	tree_same(j->body, j->other);
}

/* As it would be in Git, one line of it and then each member on lines of its own. */
static void
write_back(struct job *j, const struct object *live, const char *text, const struct tree *want)
{
	struct complaints cs = { .arena = &j->w.arena };
	cleanup_error struct error *e = NULL;
	struct object *is =
	    schema_decode(j->res->schema, want, SCHEMA_TRUSTED, &j->w.arena, &cs);
	struct writeback wb = { .live = live,
				.want = is,
				.path = "m.yaml",
				.text = text,
				.len = strlen(text),
				.in_force = true,
				.arena = &j->w.arena };

	(void)writeback_make(&wb, &e);
}

static void
put_block(const struct tree *t, int depth, struct buf *b)
{
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		buf_addf(b, "\n%*s", 2 * depth, "");
		if (t->type == N_LIST) {
			buf_adds(b, "- ");
			tree_json(kid, b);
			continue;
		}
		tree_quote(kid->key, b);
		buf_addc(b, ':');
		if (kid->kids) {
			put_block(kid, depth + 1, b);
		} else {
			buf_addc(b, ' ');
			tree_json(kid, b);
		}
	}
}

static void
do_write_back(struct job *j)
{
	cleanup_buf struct buf line = { 0 }, block = { 0 }, half = { 0 };
	const struct tree *none = tree_empty(N_MAP, &j->w.arena);
	struct members less;

	members_open(&less, &j->w.arena);
	members_add_all(&less, none);
	for (const struct tree *t = j->body->kids; t; t = t->next)
		if (!strcmp(t->key, "metadata") || t->type == N_STRING)
			members_put(&less, t->key, t);
	none = members_close(&less, N_MAP);
	tree_json(j->body, &line);
	put_block(j->body, 0, &block);
	write_back(j, j->live, buf_text(&line), j->other);
	write_back(j, j->live, buf_text(&block), j->other);
	write_back(j, j->live, buf_text(&line), none);
	write_back(j, j->live, buf_text(&block), none);
	tree_json(j->half_body, &half);
	write_back(j, j->half, buf_text(&half), j->body);
	buf_clear(&half);
	put_block(j->half_body, 0, &half);
	write_back(j, j->half, buf_text(&half), j->body);
}

static const struct {
	const char *name;
	void (*fn)(struct job *);
} ways[] = {
	{ "decode", do_decode }, { "create", do_create },   { "update", do_update },
	{ "change", do_change }, { "own", do_own },         { "apply", do_apply },
	{ "patch", do_patch },   { "compare", do_compare }, { "writeback", do_write_back },
};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- one list or map ---- */

/* The same with each string that is no key of its own another one. */
static struct tree *
otherwise(const struct tree *t, const char *keys, struct arena *a)
{
	struct tree *c = tree_copy(t, a), **tail = &c->kids;

	if (t->type == N_STRING)
		c->text = arena_printf(a, "%sx", t->text);
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		*tail = kid->key && is_key(keys, kid->key) ? tree_copy(kid, a)
							   : otherwise(kid, keys, a);
		(*tail)->key = kid->key;
		tail = &(*tail)->next;
	}
	*tail = NULL;
	return c;
}

static const char never_changed[] = "apiVersion kind name namespace uid type";

static const struct tree *
whole_body(const struct resource *res, const struct field *const *way, size_t depth, size_t n,
	   struct arena *a)
{
	struct tree *t = body_for(res->schema, way, depth, n, a);
	const struct tree *had = tree_get(t, "metadata");
	struct members m, meta;

	members_open(&meta, a);
	members_add_all(&meta, had);
	members_put(&meta, "name", tree_string("x", a));
	if (res->namespaced)
		members_put(&meta, "namespace", tree_string("default", a));
	members_open(&m, a);
	members_put(&m, "apiVersion", tree_string(res->api_version, a));
	members_put(&m, "kind", tree_string(res->kind, a));
	members_add_all(&m, t);
	members_put(&m, "apiVersion", tree_string(res->api_version, a));
	members_put(&m, "kind", tree_string(res->kind, a));
	members_put(&m, "metadata", members_close(&meta, N_MAP));
	return members_close(&m, N_MAP);
}

static void
measure(const struct resource *res, const struct field *const *way, size_t depth, size_t n,
	unsigned long long ret[WAYS])
{
	struct job j = { .res = res };
	struct arena *a = &j.w.arena;
	struct complaints cs = { .arena = a };
	struct object *live;

	world_read(&j.w, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
	j.body = whole_body(res, way, depth, n, a);
	j.other = otherwise(j.body, never_changed, a);
	live = schema_decode(res->schema, j.body, SCHEMA_TRUSTED, a, &cs);
	live->metadata->uid = "u";
	live->metadata->resourceVersion = "1";
	j.live = live;
	j.half_body = whole_body(res, way, depth, n / 2, a);
	j.half = schema_decode(res->schema, j.half_body, SCHEMA_TRUSTED, a, &cs);
	for (size_t i = 0; i < WAYS; i++) {
		unsigned long long before = steps;

		ways[i].fn(&j);
		ret[i] = steps - before;
	}
	buf_done(&j.out);
	arena_free(a);
}

static const char *
way_text(const struct resource *res, const struct field *const *way, size_t depth,
	 struct arena *a)
{
	const char *text = res->singular;

	for (size_t i = 0; i < depth; i++)
		text = arena_printf(a, "%s.%s", text, way[i]->name);
	return text;
}

static void
one_row(const struct resource *res, const struct field *const *way, size_t depth,
	struct buf *bad)
{
	unsigned long long few[WAYS], many[WAYS];
	cleanup_arena struct arena a = { 0 };

	measure(res, way, depth, FEW, few);
	measure(res, way, depth, TIMES * FEW, many);
	for (size_t i = 0; i < WAYS; i++)
		if ((double)many[i] > MOST * (double)few[i])
			buf_addf(bad, "%s of %s: %d cost %llu steps, %d %llu\n", ways[i].name,
				 way_text(res, way, depth, &a), FEW, few[i], TIMES * FEW,
				 many[i]);
}

/* ---- all of them ---- */

struct sweep {
	const struct resource *res;
	struct map seen; /* rows, by address: those of a template are a pod's */
	const struct field *way[DEEP];
	size_t depth, rows;
	struct buf bad;
};

static bool
is_new(struct sweep *s, const struct field *f)
{
	char key[40];

	snprintf(key, sizeof key, "%p", (const void *)f);
	return !map_put(&s->seen, key, s);
}

static void
sweep_kind(struct sweep *s, const struct kind *k)
{
	for (const struct field *f = k->fields; f->name; f++) {
		if (f->ro || !strcmp(f->name, "status") || s->depth == DEEP || !is_new(s, f))
			continue;
		s->way[s->depth++] = f;
		if (f->type == T_LIST || f->type == T_MAP || f->type == T_QMAP ||
		    f->type == T_STRS || f->type == T_INTS) {
			one_row(s->res, s->way, s->depth, &s->bad);
			s->rows++;
		}
		if (f->type == T_LIST || f->type == T_OBJ)
			sweep_kind(s, f->of());
		s->depth--;
	}
}

static void
every_list_and_map_costs_by_its_length(void **state)
{
	struct sweep s = { 0 };

	(void)state;
	for (size_t i = 0; i < RES_COUNT; i++) {
		s.res = &resources[i];
		sweep_kind(&s, s.res->schema);
	}
	if (s.bad.len)
		fail_msg("of %zu rows:\n%s", s.rows, s.bad.at);
	assert_in_range(s.rows, 100, 1000);
	map_done(&s.seen);
	buf_done(&s.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_list_and_map_costs_by_its_length),
	};

	return RUN(tests);
}

/* fields.c -- every field of every kind with what does not belong there.
 *
 * The documents of fields.yaml are taken apart: in place of all that they state, and of every
 * row of their kinds that they leave out, stand null, lists, maps, numbers and words in turn.
 * Each of these objects goes one of the ways into kedge: by a commit, or over the API made new,
 * put over the one that lives, applied, or as a patch.  None may crash; what is refused has its
 * reason; what is accepted reads back the same, and the controllers can work with it.
 */
#include "../../reconcile/fieldset.h"
#include "../../reconcile/managed.h"
#include "../../reconcile/patch.h"
#include "../../reconcile/patch_tree.h"
#include "../../reconcile/write.h"
#include "../unit/golden.h"
#include "../world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char odd_text[] =
    "[null, true, 0, -1, 9223372036854775807, 1.5, '', x, '25%', [], [null], [x, x], [{}], {}, "
    "{a: null}, {'': ''}, {a: b}]";

struct mutants {
	struct arena base; /* documents and odd values */
	const struct tree *odd;
	const struct resource *res;
	struct tree *doc;
	const struct tree *whole; /* the same, before anything was put into it */
	size_t n, accepted;
};

/* ---- what is done with one ---- */

static void
host(struct world *w)
{
	world_read(w, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, uid: ns, "
		      "labels: {pod-security.kubernetes.io/warn: restricted, "
		      "pod-security.kubernetes.io/audit: restricted}}\n");
}

static const char *
encoded(const struct resource *r, const void *obj, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	schema_encode(r->schema, obj, &b);
	return arena_strdup(a, buf_text(&b));
}

static void
reads_back_the_same(struct mutants *x, const void *obj, struct arena *a)
{
	const char *once = encoded(x->res, obj, a);
	struct complaints none = { .arena = a };
	const struct tree *t = json_read(once, strlen(once), a, &none);
	void *back = schema_decode(x->res->schema, t, SCHEMA_TRUSTED, a, &none);

	if (none.errors || strcmp(once, encoded(x->res, back, a)) ||
	    !schema_equal(x->res->schema, back, obj))
		fail_msg("not read back the same: %s%s", once,
			 none.first ? complaint_print(none.first, a) : "");
}

static void
nothing_seen(struct world *w)
{
	struct plan p = { .arena = &w->arena };

	controllers_run(world_snapshot(w), &p);
	garbage_reconcile(&w->s, &p);
}

static void
has_its_reason(const struct write *w, int rc, const struct error *e)
{
	if (rc < 0 && (!e || !*error_text(e)))
		fail_msg("refused without a word");
	if (rc == 0 && w->cs.errors)
		fail_msg("taken with an error");
}

static void
sent(struct mutants *x, struct world *w, const struct tree *t, const struct object *live)
{
	cleanup_error struct error *e = NULL;
	struct write wr = { .res = x->res,
			    .ns = x->res->namespaced ? "default" : "",
			    .name = live ? object_name(live) : "",
			    .live = live,
			    .body = t,
			    .a = &w->arena,
			    .fields = FIELDS_WARN };
	int rc;

	wr.s = world_snapshot(w);
	rc = write_check(&wr, &e);
	has_its_reason(&wr, rc, e);
	if (rc < 0)
		return;
	x->accepted++;
	reads_back_the_same(x, wr.obj, &w->arena);
	wr.obj->metadata->uid = "u";
	wr.obj->metadata->resourceVersion = "1";
	wr.obj->metadata->creationTimestamp = 1;
	world_put(w, wr.obj);
	nothing_seen(w);
}

static const struct object *
living(struct mutants *x, struct world *w)
{
	struct complaints none = { .arena = &w->arena };
	struct object *o =
	    schema_decode(x->res->schema, x->whole, SCHEMA_LENIENT, &w->arena, &none);

	assert_int_equal(none.errors, 0);
	if (x->res->namespaced)
		o->metadata->namespace = "default";
	o->metadata->uid = "u";
	o->metadata->resourceVersion = "1";
	world_put(w, o);
	return o;
}

static void
applied(struct mutants *x, struct world *w, const struct tree *t, const struct object *live)
{
	struct managed_by by = { x->res, "fuzz", 1 };
	struct managed_apply ret;

	if (t->type != N_MAP || fieldset_objection(x->res->schema, t, &w->arena))
		return;
	managed_apply(&by,
		      managed_update(&by, NULL, NULL, object_tree(live, &w->arena), &w->arena),
		      object_tree(live, &w->arena), t, true, &ret, &w->arena);
	sent(x, w, ret.merged, live);
}

static void
patched(struct mutants *x, struct world *w, const struct tree *t, const struct object *live)
{
	cleanup_error struct error *e = NULL;
	const struct tree *is = object_tree(live, &w->arena);
	struct tree *out;

	if (t->type == N_MAP)
		sent(x, w, patch_merge(is, t, &w->arena), live);
	if (patch_strategic(x->res->schema, is, t, &out, &w->arena, &e) == 0)
		sent(x, w, out, live);
}

static void
committed(struct mutants *x, struct world *w, const struct tree *t)
{
	cleanup_buf struct buf b = { 0 };
	struct complaints cs = { .arena = &w->arena };
	struct plan p = { .arena = &w->arena };
	struct manifest *m;

	tree_json(t, &b);
	m = manifest_read("f.json", b.at, b.len, &w->arena, &cs);
	if (!m && !cs.first && t->type != N_NULL)
		fail_msg("gone without a word");
	if (cs.errors || !m)
		return;
	x->accepted++;
	reads_back_the_same(x, m->obj, &w->arena);
	apply_reconcile(world_snapshot(w),
			&(struct wanted){ .at = &m,
					  .n = 1,
					  .source = "main",
					  .revision = "c0ffee",
					  .prune_allowed = true },
			&p, &cs);
	if (cs.errors)
		return;
	world_obey(w, &p);
	nothing_seen(w);
}

static void
one_way(struct mutants *x)
{
	struct world w = { 0 };
	const struct object *live;

	host(&w);
	switch (x->n++ % 5) {
	case 0:
		committed(x, &w, x->doc);
		break;
	case 1:
		sent(x, &w, x->doc, NULL);
		break;
	case 2:
		live = living(x, &w);
		sent(x, &w, x->doc, live);
		break;
	case 3:
		live = living(x, &w);
		applied(x, &w, x->doc, live);
		break;
	default:
		live = living(x, &w);
		patched(x, &w, x->doc, live);
	}
	arena_free(&w.arena);
}

/* ---- all of them ---- */

static void
put(struct tree *at, const struct tree *value)
{
	at->type = value->type;
	at->text = value->text;
	at->kids = value->kids;
}

static void
odd_values(struct mutants *x, struct tree *at)
{
	struct tree was = *at;

	for (const struct tree *odd = x->odd->kids; odd; odd = odd->next) {
		put(at, odd);
		one_way(x);
	}
	put(at, &was);
}

/* With the rows that the document leaves out. */
static void
add_rows(struct mutants *x, const struct kind *k, struct tree *map)
{
	struct tree more = {
		.next = map->kids, .line = 1, .col = 1, .key_line = 1, .key_col = 1
	};

	for (size_t i = 0; i < k->nfields; i++) {
		more.key = k->fields[i].name;
		if (tree_get(map, more.key))
			continue;
		map->kids = &more;
		odd_values(x, &more);
		map->kids = more.next;
	}
}

static void
take_apart(struct mutants *x, const struct kind *k, struct tree *at)
{
	odd_values(x, at);
	if (at->type != N_MAP)
		return;
	add_rows(x, k, at);
	for (struct tree *kid = at->kids; kid; kid = kid->next) {
		const struct field *f = schema_field(k, kid->key);

		if (f && f->type == T_OBJ && kid->type == N_MAP) {
			take_apart(x, f->of(), kid);
			continue;
		}
		odd_values(x, kid);
		for (struct tree *item = kid->kids; item; item = item->next)
			if (f && f->type == T_LIST)
				take_apart(x, f->of(), item);
			else
				odd_values(x, item);
	}
}

static void
no_value_anywhere_crashes(void **state)
{
	struct mutants x = { 0 };
	struct complaints none = { .arena = &x.base };
	char *text = golden_contents("tests/fuzz/fields.yaml");

	(void)state;
	assert_non_null(text);
	x.odd = yaml_read(odd_text, strlen(odd_text), &x.base, &none);
	assert_non_null(x.odd);
	for (struct tree *t = yaml_read(text, strlen(text), &x.base, &none); t; t = t->next) {
		size_t accepted = x.accepted;

		x.res = resource_find(tree_text(t, "apiVersion", ""), tree_text(t, "kind", ""));
		assert_non_null(x.res);
		x.whole = tree_copy_deep(t, &x.base);
		x.doc = tree_copy_deep(t, &x.base);
		take_apart(&x, x.res->schema, x.doc);
		/* else the document itself is no good */
		assert_true(x.accepted - accepted > 100);
	}
	assert_int_equal(none.errors, 0);
	free(text);
	arena_free(&x.base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_value_anywhere_crashes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

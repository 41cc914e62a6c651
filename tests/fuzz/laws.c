/* laws.c -- what holds for every patch and every apply, of objects of every kind: 400 pairs of
 * random ones each, made by the tables of kinds.def.
 *
 * A patch that says nothing changes nothing; what is stated is there afterwards; saying it
 * twice is saying it once; and who states nothing any more leaves nothing behind.
 */
#include "mutate.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/fieldset.h"
#include "reconcile/managed.h"
#include "reconcile/patch.h"
#include "reconcile/patch_tree.h"
#include "tests/unit/reads.h"

enum { ROUNDS = 400, FIELDS_MOST = 60, DEEPEST = 9 };

/* ---- random objects ---- */

struct maker {
	struct mutator random;
	size_t left; /* fields that this object may have yet */
};

static size_t
below(struct maker *m, size_t n)
{
	return mutate_below(&m->random, n);
}

static const char *
word(struct maker *m)
{
	static const char *const words[] = { "a", "b", "c", "d" };

	return words[below(m, 4)];
}

static void make_object(struct maker *m, const struct kind *k, int depth, const char *keys[2],
			struct buf *to);

/* The fields that tell its items apart, from Kubernetes' name for the list or for the patch. */
static void
keys_of(const struct field *f, const char *keys[2], char room[64])
{
	const char *said = f->key ? f->key : f->patch ? f->patch : "";
	char *blank;

	snprintf(room, 64, "%s", said);
	blank = room + strcspn(room, " ,");
	keys[0] = *room ? room : NULL;
	keys[1] = *blank ? blank + 1 + strspn(blank + 1, " ,") : NULL;
	*blank = 0;
}

static void
make_list(struct maker *m, const struct field *f, int depth, struct buf *to)
{
	const char *keys[2];
	char room[64];
	size_t n = below(m, 4);
	struct buf seen = { 0 };

	keys_of(f, keys, room);
	buf_addc(to, '[');
	for (size_t i = 0, made = 0; i < n; i++) {
		struct buf item = { 0 }, name = { 0 };

		make_object(m, f->of(), depth + 1, keys, &item);
		if (keys[0]) { /* no two of one key */
			READING(r);
			struct tree *t = json_good(&r, buf_text(&item));

			for (const struct tree *x = t->kids; x; x = x->next)
				if (!strcmp(x->key, keys[0])) /* a patch's alone */
					buf_addf(&name, "<%s>", x->text);
		}
		if (!name.len || !strstr(buf_text(&seen), buf_text(&name))) {
			buf_adds(to, made++ ? "," : "");
			buf_adds(to, buf_text(&item));
			buf_adds(&seen, buf_text(&name));
		}
		buf_done(&item);
		buf_done(&name);
	}
	buf_addc(to, ']');
	buf_done(&seen);
}

static void
make_map(struct maker *m, const char *value, struct buf *to)
{
	size_t from = below(m, 4), n = below(m, 3);

	buf_addc(to, '{');
	for (size_t i = 0; i < n && from + i < 4; i++)
		buf_addf(to, "%s\"%c\":%s", i ? "," : "", (int)('a' + from + i), value);
	buf_addc(to, '}');
}

static void
make_strings(struct maker *m, struct buf *to)
{
	size_t from = below(m, 4), n = below(m, 4);

	buf_addc(to, '[');
	for (size_t i = 0; i < n && from + i < 4; i++)
		buf_addf(to, "%s\"x/%c\"", i ? "," : "", (int)('a' + from + i));
	buf_addc(to, ']');
}

static void
make_value(struct maker *m, const struct field *f, int depth, struct buf *to)
{
	char number[24];

	switch (f->type) {
	case T_STR:
		buf_addf(to, "\"%s\"", f->key || !f->one_of ? word(m) : "a");
		break;
	case T_INT:
	case T_IORS:
		buf_addf(to, "%zu", 1 + below(m, 3));
		break;
	case T_BOOL:
		buf_adds(to, below(m, 2) ? "true" : "false");
		break;
	case T_QTY:
		buf_addf(to, "\"%zum\"", 1 + below(m, 3));
		break;
	case T_TIME:
		buf_addf(to, "\"2026-01-0%zuT00:00:00Z\"", 1 + below(m, 3));
		break;
	case T_MAP:
	case T_QMAP:
		snprintf(number, sizeof number, "\"%zu\"", below(m, 3));
		make_map(m, number, to);
		break;
	case T_STRS:
		make_strings(m, to);
		break;
	case T_INTS:
		buf_addf(to, "[%zu,7]", below(m, 3));
		break;
	case T_OBJ:
		make_object(m, f->of(), depth + 1, (const char *[2]){ NULL, NULL }, to);
		break;
	case T_LIST:
		make_list(m, f, depth, to);
		break;
	case T_ANY:
		make_map(m, "{\"z\":1}", to);
		break;
	}
}

static bool
is_key(const struct field *f, const char *keys[2])
{
	return (keys[0] && !strcmp(f->name, keys[0])) || (keys[1] && !strcmp(f->name, keys[1]));
}

static void
make_object(struct maker *m, const struct kind *k, int depth, const char *keys[2],
	    struct buf *to)
{
	bool any = false;

	buf_addc(to, '{');
	for (size_t i = 0; i < k->nfields; i++) {
		const struct field *f = &k->fields[i];
		bool key = is_key(f, keys), deep = f->type == T_OBJ || f->type == T_LIST;
		size_t one_in = k->nfields > 8 ? 1 + k->nfields / 4 : 2;

		if (!key && (f->ro || !m->left || (deep && depth > DEEPEST) ||
			     below(m, deep ? 1 + one_in / 2 : one_in)))
			continue;
		m->left -= m->left > 0;
		buf_addf(to, "%s\"%s\":", any ? "," : "", f->name);
		make_value(m, f, depth, to);
		any = true;
	}
	buf_addc(to, '}');
}

/* What a user may write of it: no status, and of the metadata labels and the like. */
static struct tree *
make(struct maker *m, const struct resource *res, struct reading *r)
{
	cleanup_buf struct buf b = { 0 };
	const struct kind *k = res->schema;

	m->left = FIELDS_MOST;
	buf_addf(&b,
		 "{\"apiVersion\":\"%s%s%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"n\","
		 "\"labels\":",
		 res->group, *res->group ? "/" : "", res->version, res->kind);
	make_map(m, "\"1\"", &b);
	buf_adds(&b, ",\"annotations\":");
	make_map(m, "\"2\"", &b);
	buf_adds(&b, ",\"finalizers\":");
	make_strings(m, &b);
	buf_addc(&b, '}');
	for (size_t i = 0; i < k->nfields; i++) {
		const struct field *f = &k->fields[i];

		if (!strcmp(f->name, "metadata") || !strcmp(f->name, "status") ||
		    !strcmp(f->name, "apiVersion") || !strcmp(f->name, "kind") || f->ro ||
		    !below(m, 4))
			continue;
		buf_addf(&b, ",\"%s\":", f->name);
		make_value(m, f, 0, &b);
	}
	buf_addc(&b, '}');
	return json_good(r, buf_text(&b));
}

/* ---- the laws ---- */

static const struct tree *
member(const struct tree *map, const char *key)
{
	for (const struct tree *x = map && map->type == N_MAP ? map->kids : NULL; x;
	     x = x->next)
		if (!strcmp(x->key, key))
			return x;
	return NULL;
}

/* By how many of their keys items are told apart. */
enum how { PATCHED = 1, APPLIED = 2 };

/* Is all that is stated so in the object? */
static bool says(const struct kind *, const struct tree *, const struct tree *stated,
		 enum how how);

/* The item that has the same keys. */
static const struct tree *
item_like(const struct tree *list, const struct tree *item, const char *keys[2], enum how how)
{
	for (const struct tree *x = list->kids; x; x = x->next) {
		bool like = true;

		for (int i = 0; i < (int)how && keys[i]; i++) {
			const struct tree *a = member(x, keys[i]), *b = member(item, keys[i]);

			like &= a && b ? tree_same(a, b) : a == b;
		}
		if (like)
			return x;
	}
	return NULL;
}

static bool
list_says(const struct field *f, const struct tree *list, const struct tree *stated,
	  enum how how)
{
	const char *keys[2];
	char room[64];

	keys_of(f, keys, room);
	for (const struct tree *x = stated->kids; x; x = x->next) {
		const struct tree *there = item_like(list, x, keys, how);

		if (!there || !says(f->of(), there, x, how))
			return false;
	}
	return true;
}

static bool
strings_say(const struct tree *list, const struct tree *stated)
{
	for (const struct tree *x = stated->kids; x; x = x->next) {
		const struct tree *at = list->kids;

		while (at && !tree_same(at, x))
			at = at->next;
		if (!at)
			return false;
	}
	return true;
}

static bool
says(const struct kind *k, const struct tree *is, const struct tree *stated, enum how how)
{
	for (const struct tree *x = stated->kids; x; x = x->next) {
		const struct field *f = schema_field(k, x->key);
		const struct tree *there = member(is, x->key);
		bool map = f && (f->type == T_MAP || f->type == T_QMAP);
		bool merged = f && f->type == T_LIST && !f->whole &&
			      (how == APPLIED || !f->replaced) && (f->key || f->patch);

		if (!there)
			return false;
		if (map) {
			for (const struct tree *y = x->kids; y; y = y->next)
				if (!member(there, y->key) ||
				    !tree_same(member(there, y->key), y))
					return false;
		} else if (f && f->type == T_OBJ) {
			if (!says(f->of(), there, x, how))
				return false;
		} else if (merged) {
			if (!list_says(f, there, x, how))
				return false;
		} else if (f && f->type == T_STRS && f->merged) {
			if (!strings_say(there, x))
				return false;
		} else if (!f || f->type != T_ANY) {
			if (!tree_same(there, x))
				return false;
		}
	}
	return true;
}

static void
broken(struct reading *r, const char *law, const struct resource *res, const struct tree *a,
       const struct tree *b, const struct tree *got)
{
	/* cmocka would cut it off */
	fprintf(stderr, "a  %s\nb  %s\nis %s\n", json_of(r, a), json_of(r, b), json_of(r, got));
	fail_msg("%s: %s", res->kind, law);
}

static struct tree *
strategic(struct reading *r, const struct resource *res, const struct tree *t,
	  const struct tree *patch)
{
	struct tree *out = NULL;
	struct error *e = NULL;

	if (patch_strategic(res->schema, t, patch, &out, &r->arena, &e) < 0)
		fail_msg("%s: %s\n a  %s\n b  %s", res->kind, error_text(e), json_of(r, t),
			 json_of(r, patch));
	return out;
}

static void
patches_hold(struct reading *r, const struct resource *res, const struct tree *a,
	     const struct tree *b)
{
	const struct tree *none = json_good(r, "{}"), *t, *again;

	if (!tree_same(t = patch_merge(a, none, &r->arena), a))
		broken(r, "an empty merge patch changes nothing", res, a, none, t);
	if (!tree_same(t = patch_merge(a, a, &r->arena), a))
		broken(r, "what is so already changes nothing", res, a, a, t);
	t = patch_merge(a, b, &r->arena);
	if (!tree_same(again = patch_merge(t, b, &r->arena), t))
		broken(r, "a merge patch twice is once", res, a, b, again);
	if (!tree_same(t = strategic(r, res, a, none), a))
		broken(r, "an empty strategic patch changes nothing", res, a, none, t);
	if (!tree_same(t = strategic(r, res, a, a), a))
		broken(r, "what is so already changes nothing, strategically", res, a, a, t);
	t = strategic(r, res, a, b);
	if (!says(res->schema, t, b, PATCHED))
		broken(r, "what a strategic patch states is so", res, a, b, t);
	if (!tree_same(again = strategic(r, res, t, b), t))
		broken(r, "a strategic patch twice is once", res, a, b, again);
}

static struct managed_apply
apply(struct reading *r, const struct resource *res, const char *who, const char *managed,
      const struct tree *live, const struct tree *stated, bool force)
{
	struct managed_by by = { res, who, 1700000000000, NULL };
	struct managed_apply out = { 0 };

	managed_apply(&by, managed, live, stated, force, &out, &r->arena);
	return out;
}

static void
applies_hold(struct reading *r, const struct resource *res, const struct tree *a,
	     const struct tree *b)
{
	const struct tree *bare = json_good(r, "{\"metadata\":{\"name\":\"n\"}}");
	struct managed_apply one = apply(r, res, "one", NULL, NULL, a, false), two, again;

	if (one.conflicts.errors || !says(res->schema, one.merged, a, APPLIED))
		broken(r, "what is applied first is so", res, a, a, one.merged);
	again = apply(r, res, "one", one.managed, one.merged, a, false);
	if (again.conflicts.errors || !tree_same(again.merged, one.merged) ||
	    strcmp(again.managed, one.managed) != 0)
		broken(r, "to apply twice is to apply once", res, a, a, again.merged);
	again = apply(r, res, "two", one.managed, one.merged, a, false);
	if (again.conflicts.errors || !tree_same(again.merged, one.merged))
		broken(r, "to state the same is no conflict", res, a, a, again.merged);
	two = apply(r, res, "two", one.managed, one.merged, b, true);
	if (!says(res->schema, two.merged, b, APPLIED))
		broken(r, "what is forced is so", res, a, b, two.merged);
	again = apply(r, res, "two", two.managed, two.merged, b, false);
	if (again.conflicts.errors || !tree_same(again.merged, two.merged))
		broken(r, "what was forced is one's own", res, a, b, again.merged);
	if (!managed_is_sound(json_good(r, two.managed)))
		broken(r, "the owners are a sound list", res, a, b, json_good(r, two.managed));
	/* who states nothing any more takes along what nobody else does */
	again = apply(r, res, "one", two.managed, two.merged, bare, false);
	if (again.conflicts.errors || !says(res->schema, again.merged, b, APPLIED))
		broken(r, "another's fields stay", res, a, b, again.merged);
	again = apply(r, res, "two", again.managed, again.merged, bare, false);
	if (!fieldset_empty(fieldset_minus(
		fieldset_changed(res->schema, NULL, again.merged, &r->arena),
		fieldset_changed(res->schema, NULL, bare, &r->arena), &r->arena)))
		broken(r, "what nobody states is gone", res, a, b, again.merged);
}

static bool
same_fields(struct reading *r, const struct resource *res, const struct tree *x,
	    const struct tree *y)
{
	const struct tree *in_x = fieldset_changed(res->schema, NULL, x, &r->arena);
	const struct tree *in_y = fieldset_changed(res->schema, NULL, y, &r->arena);

	return fieldset_empty(fieldset_minus(in_x, in_y, &r->arena)) &&
	       fieldset_empty(fieldset_minus(in_y, in_x, &r->arena));
}

/* Two who do not contradict each other may come in any order; who changes something without
 * applying it owns that. */
static void
owners_hold(struct reading *r, const struct resource *res, const struct tree *a,
	    const struct tree *b)
{
	struct managed_by by = { res, "three", 1700000000000, NULL };
	struct managed_apply one = apply(r, res, "one", NULL, NULL, a, false), two, other;
	const struct tree *changed;
	const char *managed;

	two = apply(r, res, "two", one.managed, one.merged, b, false);
	other = apply(r, res, "two", NULL, NULL, b, false);
	other = apply(r, res, "one", other.managed, other.merged, a, false);
	if (!two.conflicts.errors != !other.conflicts.errors)
		broken(r, "who comes second has the conflict", res, a, b, two.merged);
	if (!two.conflicts.errors && !same_fields(r, res, two.merged, other.merged))
		broken(r, "who comes first makes no difference", res, a, b, two.merged);
	managed = managed_update(&by, one.managed, a, b, &r->arena);
	changed = fieldset_changed(res->schema, a, b, &r->arena);
	if (!managed_is_sound(json_good(r, managed)) ||
	    !fieldset_empty(
		fieldset_minus(changed, managed_all(managed, &r->arena), &r->arena)))
		broken(r, "what was changed is somebody's", res, a, b, json_good(r, managed));
	two = apply(r, res, "three", managed, b, b, false);
	if (two.conflicts.errors || !tree_same(two.merged, b))
		broken(r, "who applies what is there meets nobody", res, a, b, two.merged);
}

static void
what_is_stated_holds_of_every_kind(void **s)
{
	struct maker m = { { 0x3c6ef372fe94f82b, NULL }, 0 };

	(void)s;
	for (size_t k = 0; k < RES_COUNT; k++)
		for (int i = 0; i < ROUNDS; i++) {
			READING(r);
			const struct tree *a = make(&m, &resources[k], &r);
			const struct tree *b = make(&m, &resources[k], &r);

			patches_hold(&r, &resources[k], a, b);
			applies_hold(&r, &resources[k], a, b);
			owners_hold(&r, &resources[k], a, b);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_stated_holds_of_every_kind),
	};

	return RUN(tests);
}

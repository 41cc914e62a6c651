/* t_patch.c -- JSON merge, JSON patch and strategic merge: tables, and objects at random. */
#include "patch_slow.h"
#include "reads.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/patch.h"
#include "reconcile/patch_tree.h"

enum { ROUNDS = 3000 };

static void
same(struct reading *r, const struct tree *got, const char *want, const char *patch)
{
	if (!tree_same(got, json_good(r, want)))
		fail_msg("patched with %s it is %s, not %s", patch, json_of(r, got), want);
}

/* ---- merge: RFC 7386, appendix A ---- */

static const char *const merges[][3] = {
	{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
	{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
	{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
	{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
	  "{\"a\":{\"b\":\"d\"}}" },
	{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
	{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
	{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
	{ "{\"a\":\"foo\"}", "null", "null" },
	{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
	{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
	{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
	{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
};

static void
merge_patches_do_as_the_rfc_says(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
		READING(r);

		same(&r,
		     patch_merge(json_good(&r, merges[i][0]), json_good(&r, merges[i][1]),
				 &r.arena),
		     merges[i][2], merges[i][1]);
	}
}

/* ---- JSON patch: RFC 6902, appendix A, and what is wrong ---- */

static const char *const patches[][3] = {
	{ "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
	  "{\"baz\":\"qux\",\"foo\":\"bar\"}" },
	{ "{\"foo\":[\"bar\",\"baz\"]}",
	  "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
	  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
	{ "{\"baz\":1,\"foo\":2}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":2}" },
	{ "{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[1,3]}" },
	{ "{\"baz\":1,\"foo\":2}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":3}]",
	  "{\"baz\":3,\"foo\":2}" },
	{ "{\"foo\":{\"bar\":1,\"waldo\":2},\"qux\":{\"corge\":3}}",
	  "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
	  "{\"foo\":{\"bar\":1},\"qux\":{\"corge\":3,\"thud\":2}}" },
	{ "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
	  "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
	  "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}" },
	{ "{\"a\":{\"b\":[1]}}",
	  "[{\"op\":\"copy\",\"from\":\"/a/b\",\"path\":\"/c\"},"
	  "{\"op\":\"add\",\"path\":\"/c/-\",\"value\":2}]",
	  "{\"a\":{\"b\":[1]},\"c\":[1,2]}" },
	{ "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
	  "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":"
	  "\"/foo/1\",\"value\":2}]",
	  "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}" },
	{ "{\"/\":9,\"~1\":10}",
	  "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10},"
	  "{\"op\":\"replace\",\"path\":\"/~1\",\"value\":1}]",
	  "{\"/\":1,\"~1\":10}" },
	{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[]}]", "[]" },
	{ "{\"a\":{\"b\":1}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"b\":1.0}}]",
	  "{\"a\":{\"b\":1}}" },
	{ "{}", "[]", "{}" },
	/* beyond the RFC, as Kubernetes */
	{ "{\"a\":[1,2,3]}",
	  "[{\"op\":\"replace\",\"path\":\"/a/-1\",\"value\":9},"
	  "{\"op\":\"remove\",\"path\":\"/a/-3\"},"
	  "{\"op\":\"test\",\"path\":\"/a/-2\",\"value\":2},"
	  "{\"op\":\"add\",\"path\":\"/a/-1\",\"value\":7},"
	  "{\"op\":\"add\",\"path\":\"/a/-4\",\"value\":0}]",
	  "{\"a\":[0,2,9,7]}" },
	{ "{\"a\":{\"n\":null}}",
	  "[{\"op\":\"test\",\"path\":\"/a/b\",\"value\":null},"
	  "{\"op\":\"test\",\"path\":\"/a/n\",\"value\":null}]",
	  "{\"a\":{\"n\":null}}" },
	/* refused: what is said of it */
	{ "{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/-2\"}]", "!missing path" },
	{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/-3\",\"value\":1}]",
	  "!is not within" },
	{ "{}", "[{\"op\":\"test\",\"path\":\"/a/b\",\"value\":null}]", "!missing path" },
	{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "!failed" },
	{ "{\"baz\":1}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":2}]",
	  "!testing path /baz failed" },
	{ "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":1}]",
	  "!missing path: \"/baz/bat\"" },
	{ "{\"foo\":1}", "[{\"op\":\"remove\",\"path\":\"/x\"}]", "!missing path: \"/x\"" },
	{ "{\"foo\":1}", "[{\"op\":\"replace\",\"path\":\"/x\",\"value\":1}]",
	  "!missing path: \"/x\"" },
	{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]",
	  "!is not within 0..1" },
	{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":1}]",
	  "!is not within" },
	{ "{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/-\",\"value\":1}]",
	  "!missing path" },
	{ "{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]",
	  "!cannot be moved into itself" },
	{ "{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", "!not a JSON pointer" },
	{ "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", "!needs a \"value\"" },
	{ "{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", "!needs \"from\"" },
	{ "{}", "[{\"op\":\"swap\",\"path\":\"/a\"}]", "!unexpected kind: swap" },
	{ "{}", "[{\"path\":\"/a\"}]", "!a JSON patch is a list of" },
	{ "{}", "{}", "!a JSON patch is a list of operations" },
	{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", "!cannot be removed" },
};

static void
json_patches_do_as_the_rfc_says(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		const char *want = patches[i][2];
		struct tree *target = json_good(&r, patches[i][0]), *out = NULL;
		int rc = patch_json(target, json_good(&r, patches[i][1]), &out, &r.arena, &e);

		if (*want != '!' && rc == 0)
			same(&r, out, want, patches[i][1]);
		else if (*want != '!' || rc == 0 || !strstr(error_text(e), want + 1))
			fail_msg("%s: \"%s\", not \"%s\"", patches[i][1], error_text(e), want);
		same(&r, target, patches[i][0], patches[i][1]); /* as it was */
	}
}

static void
a_json_patch_cannot_grow_without_bound(void **s)
{
	READING(r);
	cleanup_error struct error *e = NULL, *e2 = NULL;
	cleanup_buf struct buf text = { 0 }, deep = { 0 };
	struct tree *out = NULL;

	(void)s;
	buf_adds(&text, "[");
	for (int i = 0; i < 60; i++)
		buf_addf(&text, "%s{\"op\":\"copy\",\"from\":\"\",\"path\":\"/x%d\"}",
			 i ? "," : "", i);
	buf_adds(&text, "]");
	assert_int_equal(patch_json(json_good(&r, "{\"a\":[1,2,3]}"),
				    json_good(&r, buf_text(&text)), &out, &r.arena, &e),
			 -1);
	assert_int_equal(e->why, WHY_TOO_LARGE);
	buf_adds(&deep, "[");
	for (int i = 0; i < 60; i++) {
		buf_addf(&deep, "%s{\"op\":\"add\",\"path\":\"", i ? "," : "");
		for (int k = 0; k < i; k++)
			buf_adds(&deep, "/a/a");
		buf_adds(&deep, "/a\",\"value\":{\"a\":{}}}");
	}
	buf_adds(&deep, "]");
	assert_int_equal(patch_json(json_good(&r, "{}"), json_good(&r, buf_text(&deep)), &out,
				    &r.arena, &e2),
			 -1);
	assert_non_null(strstr(error_text(e2), "100 levels"));
}

/* Each move walks over all that it moves. */
static void
moving_much_often_is_too_much(void **s)
{
	enum { NODES = 30000, MOVES = 9000 };
	READING(r);
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf text = { 0 }, target = { 0 };
	struct tree *out = NULL;

	(void)s;
	buf_adds(&target, "{\"a0\":[0");
	for (int i = 0; i < NODES; i++)
		buf_adds(&target, ",0");
	buf_adds(&target, "]}");
	for (int i = 0; i < MOVES; i++)
		buf_addf(&text, "%s{\"op\":\"move\",\"from\":\"/a%d\",\"path\":\"/a%d\"}",
			 i ? "," : "[", i, i + 1);
	buf_adds(&text, "]");
	assert_int_equal(patch_json(json_good(&r, buf_text(&target)),
				    json_good(&r, buf_text(&text)), &out, &r.arena, &e),
			 -1);
	assert_int_equal(e->why, WHY_TOO_LARGE);
	assert_non_null(strstr(error_text(e), "walk over too much"));
}

/* ---- strategic merge of pod specs and metadata ---- */

static const char *const strategic[][3] = {
	/* a list with a key: changed, added, left alone */
	{ "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"1\"}]"
	  "}",
	  "{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\",\"image\":\"3\"}]"
	  "}",
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"},"
	  "{\"name\":\"c\",\"image\":\"3\"}]}" },
	/* deleted by key */
	{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}",
	  "{\"containers\":[{\"name\":\"b\"}]}" },
	/* replaced as a whole */
	{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"name\":\"c\"},{\"$patch\":\"replace\"}]}",
	  "{\"containers\":[{\"name\":\"c\"}]}" },
	/* the order that is asked for */
	{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}",
	  "{\"$setElementOrder/"
	  "containers\":[{\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"a\"}]}" },
	/* what only lives stays before what came after it */
	{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"live\"},{\"name\":\"c\"}]}",
	  "{\"$setElementOrder/"
	  "containers\":[{\"name\":\"a\"},{\"name\":\"c\"},{\"name\":\"d\"}],"
	  "\"containers\":[{\"name\":\"d\"}]}",
	  "{\"containers\":[{\"name\":\"a\"},{\"name\":\"live\"},{\"name\":\"c\"},{\"name\":"
	  "\"d\"}]"
	  "}" },
	/* a list without one: replaced */
	{ "{\"tolerations\":[{\"key\":\"a\"}]}", "{\"tolerations\":[{\"key\":\"b\"}]}",
	  "{\"tolerations\":[{\"key\":\"b\"}]}" },
	{ "{\"containers\":[{\"name\":\"a\",\"args\":[\"x\"]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"args\":[\"y\"]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"args\":[\"y\"]}]}" },
	/* within an item; what is new comes first, as in Kubernetes */
	{ "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"1\"}],"
	  "\"ports\":[{\"containerPort\":80}]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"Y\",\"value\":\"2\"}],"
	  "\"ports\":[{\"containerPort\":81}]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"Y\",\"value\":\"2\"},{"
	  "\"name\":"
	  "\"X\",\"value\":\"1\"}],\"ports\":[{\"containerPort\":81},{\"containerPort\":80}]}]"
	  "}" },
	/* null removes; a map is merged, or replaced, or emptied */
	{ "{\"nodeSelector\":{\"a\":\"1\",\"b\":\"2\"}}", "{\"nodeSelector\":{\"a\":null}}",
	  "{\"nodeSelector\":{\"b\":\"2\"}}" },
	{ "{\"nodeSelector\":{\"a\":\"1\"}}",
	  "{\"nodeSelector\":{\"$patch\":\"replace\",\"b\":\"2\"}}",
	  "{\"nodeSelector\":{\"b\":\"2\"}}" },
	{ "{\"nodeSelector\":{\"a\":\"1\"}}", "{\"nodeSelector\":{\"$patch\":\"delete\"}}",
	  "{\"nodeSelector\":{}}" },
	{ "{\"hostname\":\"x\",\"subdomain\":\"y\"}", "{\"hostname\":null}",
	  "{\"subdomain\":\"y\"}" },
	/* a union: the other source goes */
	{ "{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}",
	  "{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\",\"hostPath\"],\"hostPath\":{"
	  "\"path\":\"/x\"}}]}",
	  "{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}" },
	/* directives for what is not there leave no trace */
	{ "{}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"a\"}],\"containers\":[{\"name\":\"a\","
	  "\"image\":null,\"$retainKeys\":[\"name\"]}]}",
	  "{\"containers\":[{\"name\":\"a\"}]}" },
	{ "{\"hostname\":\"x\"}", "{\"$setElementOrder/volumes\":[{\"name\":\"v\"}]}",
	  "{\"hostname\":\"x\"}" },
	/* refused */
	{ "{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[{\"image\":\"x\"}]}",
	  "!does not contain declared merge key: name" },
	{ "{\"containers\":[{\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"$patch\":\"burn\"}]}",
	  "!unknown patch type: burn" },
	{ "{\"volumes\":[{\"name\":\"v\"}]}",
	  "{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\"],\"emptyDir\":{}}]}",
	  "!which its $retainKeys leaves out" },
	{ "{\"volumes\":[]}", "{\"$setElementOrder/volumes\":7}", "!must be a list" },
	{ "{}", "[]", "!is a JSON object" },
	{ "{}", "{\"$patch\":\"burn\"}", "!unknown patch type: burn" },
};

static void
strategic_patches_do_as_kubernetes_does(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof strategic / sizeof *strategic; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		const char *want = strategic[i][2];
		struct tree *target = json_good(&r, strategic[i][0]), *out = NULL;
		int rc = patch_strategic(pod_spec_kind(), target,
					 json_good(&r, strategic[i][1]), &out, &r.arena, &e);

		if (*want != '!' && rc == 0)
			same(&r, out, want, strategic[i][1]);
		else if (*want != '!' || rc == 0 || !strstr(error_text(e), want + 1))
			fail_msg("%s: \"%s\", not \"%s\"", strategic[i][1], error_text(e),
				 want);
		same(&r, target, strategic[i][0], strategic[i][1]);
	}
}

static const char *const sets[][3] = {
	{ "{\"finalizers\":[\"a/a\",\"b/b\"]}", "{\"finalizers\":[\"c/c\",\"a/a\"]}",
	  "{\"finalizers\":[\"c/c\",\"a/a\",\"b/b\"]}" },
	{ "{\"finalizers\":[\"a/a\",\"b/b\"]}",
	  "{\"$deleteFromPrimitiveList/finalizers\":[\"a/a\"]}", "{\"finalizers\":[\"b/b\"]}" },
	{ "{\"finalizers\":[\"a/a\",\"b/b\"]}",
	  "{\"$setElementOrder/finalizers\":[\"b/b\",\"a/a\"]}",
	  "{\"finalizers\":[\"b/b\",\"a/a\"]}" },
	{ "{\"ownerReferences\":[{\"uid\":\"1\",\"name\":\"x\"}]}",
	  "{\"ownerReferences\":[{\"uid\":\"1\",\"$patch\":\"delete\"},{\"uid\":\"2\"}]}",
	  "{\"ownerReferences\":[{\"uid\":\"2\"}]}" },
};

static void
lists_of_words_are_merged_as_sets(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		READING(r);
		struct tree *out = NULL;

		assert_int_equal(patch_strategic(object_meta_kind(), json_good(&r, sets[i][0]),
						 json_good(&r, sets[i][1]), &out, &r.arena,
						 NULL),
				 0);
		same(&r, out, sets[i][2], sets[i][1]);
	}
}

/* ---- at random ---- */

static uint64_t state = 0x853c49e6748fea9b;

static unsigned
below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

/* Anything that JSON can say but null (which no merge patch can put anywhere). */
static json_t *
anything(int depth)
{
	static const char *const keys[] = { "a", "b/c", "~d", "", "e" };
	unsigned what = below(depth > 3 ? 4 : 6), n = below(4);
	json_t *v;

	if (what < 2)
		return json_integer(below(5));
	if (what < 4)
		return what == 2 ? json_string(keys[below(5)]) : json_boolean(below(2));
	v = what == 4 ? json_array() : json_object();
	for (unsigned i = 0; i < n; i++)
		if (what == 4)
			json_array_append_new(v, anything(depth + 1));
		else
			json_object_set_new(v, keys[below(5)], anything(depth + 1));
	return v;
}

static struct tree *
tree_of(struct reading *r, json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY);
	struct tree *t = json_good(r, text);

	free(text);
	return t;
}

static json_t *
merge_diff(const json_t *a, const json_t *b)
{
	json_t *out = json_object(), *v;
	const char *k;

	json_object_foreach((json_t *)a, k, v) {
		if (!json_object_get(b, k))
			json_object_set_new(out, k, json_null());
	}
	json_object_foreach((json_t *)b, k, v) {
		json_t *was = json_object_get(a, k);

		if (was && json_is_object(was) && json_is_object(v))
			json_object_set_new(out, k, merge_diff(was, v));
		else if (!was || !json_equal(was, v))
			json_object_set(out, k, v);
	}
	return out;
}

static void
a_merge_patch_from_one_to_the_other_makes_the_other(void **s)
{
	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		READING(r);
		json_t *a = json_pack("{s:o,s:o}", "x", anything(0), "y", anything(0));
		json_t *b = json_pack("{s:o,s:o}", "x", anything(0), "z", anything(0));
		json_t *d = merge_diff(a, b);
		struct tree *got = patch_merge(tree_of(&r, a), tree_of(&r, d), &r.arena);

		if (!tree_same(got, tree_of(&r, b)))
			fail_msg("%s", json_of(&r, got));
		json_decref(a);
		json_decref(b);
		json_decref(d);
	}
}

static void
escape(char *to, const char *path, const char *key)
{
	to += sprintf(to, "%s/", path);
	for (; *key; key++)
		to += *key == '~'   ? sprintf(to, "~0")
		      : *key == '/' ? sprintf(to, "~1")
				    : sprintf(to, "%c", *key);
}

static void
op_add(json_t *ops, const char *op, const char *path, json_t *value)
{
	json_t *o = json_pack("{s:s,s:s}", "op", op, "path", path);

	if (value)
		json_object_set(o, "value", value);
	json_array_append_new(ops, o);
}

static void
json_diff(json_t *ops, const char *path, json_t *a, json_t *b)
{
	size_t na = json_array_size(a), nb = json_array_size(b);
	const char *k;
	char at[400];
	json_t *v;

	if (json_equal(a, b)) {
		op_add(ops, "test", path, b);
	} else if (json_is_object(a) && json_is_object(b)) {
		json_object_foreach(a, k, v) {
			escape(at, path, k);
			if (!json_object_get(b, k))
				op_add(ops, "remove", at, NULL);
		}
		json_object_foreach(b, k, v) {
			escape(at, path, k);
			if (json_object_get(a, k))
				json_diff(ops, at, json_object_get(a, k), v);
			else
				op_add(ops, "add", at, v);
		}
	} else if (json_is_array(a) && json_is_array(b)) {
		for (size_t i = na; i-- > nb;) {
			snprintf(at, sizeof at, "%s/%zu", path, i);
			op_add(ops, "remove", at, NULL);
		}
		for (size_t i = 0; i < na && i < nb; i++) {
			snprintf(at, sizeof at, "%s/%zu", path, i);
			json_diff(ops, at, json_array_get(a, i), json_array_get(b, i));
		}
		for (size_t i = na; i < nb; i++) {
			snprintf(at, sizeof at, "%s/-", path);
			op_add(ops, "add", at, json_array_get(b, i));
		}
	} else {
		op_add(ops, "replace", path, b);
	}
}

static void
a_json_patch_from_one_to_the_other_makes_the_other(void **s)
{
	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		json_t *a = anything(0), *b = anything(0), *ops = json_array();
		struct tree *got = NULL;

		json_diff(ops, "", a, b);
		if (patch_json(tree_of(&r, a), tree_of(&r, ops), &got, &r.arena, &e) < 0)
			fail_msg("%s", error_text(e));
		if (!tree_same(got, tree_of(&r, b)))
			fail_msg("%s", json_of(&r, got));
		json_decref(a);
		json_decref(b);
		json_decref(ops);
	}
}

/* ---- pods at random ---- */

static const char *const letters[] = { "a", "b", "c", "d", "e" };

/* A list of items with distinct keys, in any order. */
static json_t *
keyed(const char *key, json_t *(*fill)(json_t *))
{
	json_t *l = json_array();
	unsigned from = below(5), n = below(5);

	for (unsigned i = 0; i < n; i++) {
		unsigned which = (from + i * (1 + from % 2) * 2) % 5;
		json_t *item = json_object();

		if (!strcmp(key, "containerPort"))
			json_object_set_new(item, key, json_integer(80 + which));
		else
			json_object_set_new(item, key, json_string(letters[which]));
		if (slow_index(l, item, key) < 0)
			json_array_append_new(l, fill(item));
		else
			json_decref(item);
	}
	return l;
}

static json_t *
some(json_t *o, const char *key, json_t *v)
{
	if (below(3))
		json_object_set_new(o, key, v);
	else
		json_decref(v);
	return o;
}

static json_t *
words(void)
{
	json_t *l = json_array();

	for (unsigned n = below(4); n; n--)
		json_array_append_new(l, json_string(letters[below(5)]));
	return l;
}

static json_t *
fill_value(json_t *o)
{
	return some(o, "value", json_string(letters[below(5)]));
}

static json_t *
fill_port(json_t *o)
{
	return some(o, "name", json_string(letters[below(5)]));
}

static json_t *
fill_volume(json_t *o)
{
	if (below(2))
		return some(o, "emptyDir", json_pack("{s:s}", "medium", letters[below(2)]));
	return some(o, "hostPath", json_pack("{s:s}", "path", letters[below(2)]));
}

static json_t *
fill_container(json_t *o)
{
	some(o, "image", json_string(letters[below(5)]));
	some(o, "args", words());
	some(o, "env", keyed("name", fill_value));
	some(o, "ports", keyed("containerPort", fill_port));
	return some(o, "volumeMounts", keyed("mountPath", fill_port));
}

static json_t *
random_spec(void)
{
	json_t *o = json_object();

	some(o, "hostname", json_string(letters[below(5)]));
	some(o, "containers", keyed("name", fill_container));
	some(o, "volumes", keyed("name", fill_volume));
	return some(o, "nodeSelector",
		    json_pack("{s:s}", letters[below(5)], letters[below(5)]));
}

static json_t *two_way(const json_t *a, const json_t *b);

/* What kubectl sends: deletions by key, what differs, and the order of all. */
static void
two_way_list(json_t *out, const char *name, const char *key, const json_t *a, const json_t *b)
{
	json_t *changes = json_array(), *order = json_array(), *item;
	char directive[200];
	size_t i;

	json_array_foreach(b, i, item) {
		int at = slow_index(a, item, key);
		json_t *d = at < 0 ? json_deep_copy(item)
				   : two_way(json_array_get(a, (size_t)at), item);

		json_object_set(d, key, json_object_get(item, key));
		if (at < 0 || json_object_size(d) > 1)
			json_array_append(changes, d);
		json_array_append_new(order,
				      json_pack("{s:O}", key, json_object_get(item, key)));
		json_decref(d);
	}
	json_array_foreach(a, i, item) {
		if (slow_index(b, item, key) < 0)
			json_array_append_new(changes,
					      json_pack("{s:s,s:O}", "$patch", "delete", key,
							json_object_get(item, key)));
	}
	snprintf(directive, sizeof directive, "$setElementOrder/%s", name);
	if (!json_equal(a, b))
		json_object_set(out, directive, order);
	if (json_array_size(changes))
		json_object_set(out, name, changes);
	json_decref(changes);
	json_decref(order);
}

static json_t *
two_way(const json_t *a, const json_t *b)
{
	json_t *out = json_object(), *v;
	const char *k, *key;

	json_object_foreach((json_t *)a, k, v) {
		if (!json_object_get(b, k))
			json_object_set_new(out, k, json_null());
	}
	json_object_foreach((json_t *)b, k, v) {
		json_t *was = json_object_get(a, k);

		if (was && slow_list(k, &key) == 1)
			two_way_list(out, k, key, was, v);
		else if (was && json_is_object(was) && json_is_object(v)) {
			json_t *d = two_way(was, v);

			if (json_object_size(d))
				json_object_set(out, k, d);
			json_decref(d);
		} else if (!was || !json_equal(was, v)) {
			json_object_set(out, k, v);
		}
	}
	return out;
}

static void
a_strategic_patch_from_one_to_the_other_makes_the_other(void **s)
{
	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		json_t *a = random_spec(), *b = random_spec(), *d = two_way(a, b);
		struct tree *got = NULL;

		if (patch_strategic(pod_spec_kind(), tree_of(&r, a), tree_of(&r, d), &got,
				    &r.arena, &e) < 0)
			fail_msg("%s", error_text(e));
		if (!tree_same(got, tree_of(&r, b)))
			fail_msg("%s\nwith %s\nis %s\nnot %s", json_dumps(a, 0),
				 json_dumps(d, 0), json_of(&r, got), json_dumps(b, 0));
		json_decref(a);
		json_decref(b);
		json_decref(d);
	}
}

/* Directives here and there, also such as nobody would send. */
static void
decorate(json_t *o)
{
	static const char *const how[] = { "delete", "replace", "merge" };
	json_t *v;
	void *tmp;
	const char *k, *key;

	json_object_foreach_safe(o, tmp, k, v) {
		size_t i;
		json_t *item;
		char directive[200];

		if (*k == '$')
			continue;
		if (json_is_object(v)) {
			decorate(v);
		} else if (slow_list(k, &key) == 1) {
			json_array_foreach(v, i, item) {
				decorate(item);
			}
			snprintf(directive, sizeof directive, "$setElementOrder/%s", k);
			if (!below(3))
				json_object_set(o, directive, v);
			if (!below(12))
				json_array_append_new(
				    v, json_pack("{s:s,s:o}", "$patch", "replace", key,
						 json_incref(
						     json_object_get(json_array_get(v, 0), key))
						     ?: json_string("a")));
		} else if (!below(8) && strcmp(k, "name") != 0 &&
			   strcmp(k, "containerPort") != 0 && strcmp(k, "mountPath") != 0) {
			json_object_set_new(o, k, json_null());
		}
	}
	if (!below(8))
		json_object_set_new(o, "$patch", json_string(how[below(3)]));
}

static void
both_implementations_make_the_same(void **s)
{
	int refused = 0;

	(void)s;
	for (int i = 0; i < ROUNDS * 3; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		json_t *a = random_spec(), *p = random_spec(), *want;
		struct tree *got = NULL;

		decorate(p);
		want = slow_map(a, p);
		if (patch_strategic(pod_spec_kind(), tree_of(&r, a), tree_of(&r, p), &got,
				    &r.arena, &e) < 0)
			refused++;
		else if (!tree_same(got, tree_of(&r, want)))
			fail_msg("%s\nwith %s\nis %s\nnot %s", json_dumps(a, 0),
				 json_dumps(p, 0), json_of(&r, got), json_dumps(want, 0));
		json_decref(a);
		json_decref(p);
		json_decref(want);
	}
	assert_true(refused < ROUNDS / 10);
}

static void
many_items_cost_no_more_each_than_few(void **s)
{
	READING(r);
	cleanup_buf struct buf a = { 0 }, p = { 0 };
	struct tree *out = NULL;
	size_t n = 0;

	(void)s;
	buf_adds(&a, "{\"containers\":[");
	buf_adds(&p, "{\"$setElementOrder/containers\":[");
	for (int i = 0; i < 40000; i++) {
		buf_addf(&a, "%s{\"name\":\"c%d\"}", i ? "," : "", i);
		buf_addf(&p, "%s{\"name\":\"c%d\"}", i ? "," : "", 39999 - i);
	}
	buf_adds(&a, "]}");
	buf_adds(&p, "],\"containers\":[{\"name\":\"c5\",\"$patch\":\"delete\"}]}");
	assert_int_equal(patch_strategic(pod_spec_kind(), json_good(&r, buf_text(&a)),
					 json_good(&r, buf_text(&p)), &out, &r.arena, NULL),
			 0);
	for (const struct tree *t = out->kids->kids; t; t = t->next)
		n++;
	assert_int_equal(n, 39999);
	assert_string_equal(tree_get(out->kids->kids, "name")->text, "c39999");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(merge_patches_do_as_the_rfc_says),
		T(json_patches_do_as_the_rfc_says),
		T(a_json_patch_cannot_grow_without_bound),
		T(moving_much_often_is_too_much),
		T(strategic_patches_do_as_kubernetes_does),
		T(lists_of_words_are_merged_as_sets),
		T(a_merge_patch_from_one_to_the_other_makes_the_other),
		T(a_json_patch_from_one_to_the_other_makes_the_other),
		T(a_strategic_patch_from_one_to_the_other_makes_the_other),
		T(both_implementations_make_the_same),
		T(many_items_cost_no_more_each_than_few),
	};

	return RUN(tests);
}

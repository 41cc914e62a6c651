/* json.c -- 20,000 mutants of JSON objects and of messages through reader and schema.
 *
 * This is what the API hears from clients and the hand from the brain.
 */
#include "mutate.h"
#include "reconcile/patch_tree.h"
#include "tests/unit/reads.h"

enum { ROUNDS = 20000 };

static const char *const words[] = {
	"{",         "}",        "[",
	"]",         ",",        ":",
	"\"",        "null",     "true",
	"false",     "0",        "-1",
	"1e99",      "1.5",      "\\u0000",
	"\\ud83d",   "\\",       "\xff",
	"\"name\"",  "\"spec\"", "{}",
	"[]",        "\"\"",     "9223372036854775808",
	"\"kind\":", "[[[[[[[[", "\"a\":1,\"a\":",
	NULL,
};

static const struct seed {
	const struct kind *(*kind)(void);
	const char *text;
} seeds[] = {
	{ pod_kind,
	  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"uid\":\"u\","
	  "\"labels\":{\"a\":\"b\"},\"creationTimestamp\":\"2026-11-20T11:08:52Z\"},\"spec\":{"
	  "\"containers\":["
	  "{\"name\":\"c\",\"image\":\"i\",\"args\":[\"a\"],\"ports\":[{\"containerPort\":80}]}"
	  "]},\"status\":{"
	  "\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}" },
	{ sandbox_args_kind, "{\"uid\":\"u\",\"hostname\":\"h\",\"ip\":\"10.42.0.2\",\"grace\":"
			     "30,\"hosts\":[\"127.0.0.1 x\"],"
			     "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[\"A=b\"]"
			     ",\"memory\":67108864,\"tty\":true,"
			     "\"mounts\":[{\"volume\":\"v\",\"path\":\"/"
			     "v\"}]}],\"volumes\":[{\"name\":\"v\",\"type\":\"files\","
			     "\"files\":[{\"path\":\"a\",\"data\":\"aGk=\",\"mode\":420}]}]}" },
	{ service_args_kind, "{\"ip\":\"10.43.0.1\",\"protocol\":\"TCP\",\"port\":80,"
			     "\"nodePort\":30080,\"endpoints\":[{\"ip\":"
			     "\"10.42.0.2\",\"port\":8080}]}" },
	{ revision_kind, "{\"apiVersion\":\"kedge.dev/"
			 "v1\",\"kind\":\"Revision\",\"metadata\":{\"name\":\"r\"},\"spec\":{"
			 "\"source\":\"s\",\"number\":7,\"time\":\"2026-11-20T11:08:52Z\"},"
			 "\"status\":{\"outcome\":\"Failed\","
			 "\"errors\":[\"a.yaml:1:1: x\"]}}" },
};

static void
nothing(void *ctx, const char *path, const char *old, const char *new)
{
	*(size_t *)ctx += strlen(path) + !!old + !!new;
}

/* Every walker over what was accepted. */
static void
walk(struct reading *r, const struct kind *k, void *obj, const void *other)
{
	struct complaints none = { .arena = &r->arena };
	const char *once = encoded(r, k, obj);
	void *copy = schema_clone(k, obj, &r->arena);
	void *back = schema_decode(k, json_read(once, strlen(once), &r->arena, &none),
				   SCHEMA_TRUSTED, &r->arena, &none);
	size_t differences = 0, none_at_all = 0;

	schema_diff(k, obj, other, nothing, &differences);
	schema_diff(k, obj, copy, nothing, &none_at_all);
	if (none.errors || none_at_all || !schema_equal(k, obj, copy) ||
	    !schema_equal(k, obj, back) || schema_hash(k, obj) != schema_hash(k, back))
		fail_msg("not the same again: %s", once);
}

static void
count(void *ctx, const char *path)
{
	*(size_t *)ctx += path != NULL;
}

/* Reading what says things twice differs in nothing else: `t` is the text, read so that it does
 * not; NULL: it cannot be. */
static void
read_leniently(const char *text, size_t len, const struct tree *t)
{
	READING(r);
	size_t twice = 0;
	const struct tree *u = json_read_twice(text, len, &r.arena, &r.cs, count, &twice);

	if (t ? !u || twice || !tree_same(t, u) : u && !twice)
		fail_msg("%zu times twice: %.*s", twice, (int)len, text);
}

static bool
try_one(const struct seed *seed, const char *text, size_t len)
{
	READING(r);
	const struct tree *t = json_read(text, len, &r.arena, &r.cs);
	void *obj, *other;

	read_leniently(text, len, t);
	if (!t) {
		assert_int_equal(r.cs.errors, 1);
		return false;
	}
	obj = schema_decode(seed->kind(), t, SCHEMA_TRUSTED, &r.arena, &r.cs);
	if (r.cs.errors)
		return false;
	other = schema_decode(seed->kind(),
			      json_read(seed->text, strlen(seed->text), &r.arena, &r.cs),
			      SCHEMA_TRUSTED, &r.arena, &r.cs);
	assert_int_equal(r.cs.errors, 0);
	walk(&r, seed->kind(), obj, other);
	return true;
}

static void
no_mutant_of_a_message_crashes_or_changes_on_its_way(void **s)
{
	struct mutator m = { 0x2545f4914f6cdd1d, words };
	int accepted = 0;

	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		const struct seed *seed =
		    &seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)];
		struct buf b = { 0 };

		buf_adds(&b, seed->text);
		for (size_t n = mutate_below(&m, 4); n; n--)
			mutate_once(&m, &b);
		accepted += try_one(seed, buf_text(&b), b.len);
		buf_done(&b);
	}
	assert_true(accepted > ROUNDS / 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_mutant_of_a_message_crashes_or_changes_on_its_way),
	};

	return RUN(tests);
}

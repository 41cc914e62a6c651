/* patch.c -- 20,000 mutants of patches, of what is applied and of protobuf, on one pod.
 *
 * Whatever they say, the object they are laid over stays as it was, and what comes out can be
 * written down, read again and checked as an object.
 */
#include "reconcile/patch.h"
#include "mutate.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/managed.h"
#include "reconcile/patch_tree.h"
#include "reconcile/proto.h"
#include "tests/unit/reads.h"

enum { ROUNDS = 20000 };

static const char *const words[] = {
	"{",
	"}",
	"[",
	"]",
	",",
	":",
	"\"",
	"null",
	"\"$patch\":\"delete\"",
	"\"$patch\":\"replace\"",
	"/",
	"~1",
	"-",
	"\"name\":\"c\"",
	"\"op\":\"copy\"",
	"\"op\":\"remove\"",
	"/spec",
	"\"$retainKeys\":[\"name\"]",
	"\"$setElementOrder/env\":[]",
	"{}",
	"[]",
	"\xff",
	"\x1a\x02",
	"0",
	"\"f:spec\":{}",
	NULL,
};

static const char live[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\","
    "\"labels\":{\"a\":\"b\"},\"finalizers\":[\"x/y\"]},\"spec\":{\"containers\":[{\"name\":"
    "\"c\",\"image\":\"i\",\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\"}],"
    "\"ports\":[{\"containerPort\":80}]},{\"name\":\"d\",\"image\":\"j\"}],\"volumes\":[{"
    "\"name\":\"v\",\"emptyDir\":{}}]}}";

enum how { MERGE, JSON, STRATEGIC, APPLY, PROTO };

static const struct seed {
	enum how how;
	const char *text;
	size_t n; /* 0: as far as the text goes */
} seeds[] = {
	{ MERGE, "{\"spec\":{\"hostname\":\"x\",\"volumes\":null},\"metadata\":{\"labels\":{"
		 "\"a\":null}}}" },
	{ JSON,
	  "[{\"op\":\"test\",\"path\":\"/kind\",\"value\":\"Pod\"},{\"op\":\"add\",\"path\":"
	  "\"/spec/containers/0/env/-\",\"value\":{\"name\":\"C\"}},{\"op\":\"move\",\"from\":"
	  "\"/spec/volumes/0\",\"path\":\"/spec/volumes/-\"},{\"op\":\"copy\",\"from\":"
	  "\"/spec\",\"path\":\"/x~1y\"},{\"op\":\"remove\",\"path\":\"/metadata/labels/"
	  "a\"}]" },
	{ STRATEGIC,
	  "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"d\"},{\"name\":\"c\"}],"
	  "\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"A\",\"$patch\":\"delete\"}]},{"
	  "\"name\":\"e\",\"image\":\"k\"}],\"volumes\":[{\"name\":\"v\",\"$retainKeys\":["
	  "\"name\","
	  "\"hostPath\"],\"hostPath\":{\"path\":\"/\"}}]},\"metadata\":{"
	  "\"$deleteFromPrimitiveList/finalizers\":[\"x/y\"]}}" },
	{ APPLY,
	  "{\"metadata\":{\"name\":\"p\",\"labels\":{\"z\":\"1\"},\"finalizers\":[\"q/r\"]},"
	  "\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"A\",\"value\":\"2\"}"
	  "]}],\"nodeSelector\":{\"k\":\"v\"}}}" },
	{ PROTO,
	  "\x0a\x0e\x0a\x01\x70\x1a\x01\x64\x5a\x06\x0a\x01\x61\x12\x01\x62\x12\x10\x12\x0a\x0a"
	  "\x01"
	  "\x63\x12\x01\x69\x32\x02\x18\x50\x20\x1e\x58\x00",
	  34 },
};

static struct tree *
patched(struct reading *r, enum how how, const struct tree *target, const struct tree *patch)
{
	static const char managed[] =
	    "[{\"manager\":\"m\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{"
	    "\"f:containers\":{\"k:{\\\"name\\\":\\\"d\\\"}\":{\".\":{},\"f:name\":{}}}}}}]";
	struct managed_by by = { &resources[RES_pod], "m", 1700000000000 };
	struct managed_apply out = { 0 };
	struct tree *t = NULL;

	if (how == MERGE)
		return patch_merge(target, patch, &r->arena);
	if (how == JSON)
		return patch_json(target, patch, &t, &r->arena, NULL) < 0 ? NULL : t;
	if (how == STRATEGIC)
		return patch_strategic(pod_kind(), target, patch, &t, &r->arena, NULL) < 0
			   ? NULL
			   : t;
	if (patch->type != N_MAP)
		return NULL;
	managed_apply(&by, managed, target, patch, true, &out, &r->arena);
	assert_true(
	    managed_is_sound(json_read(out.managed, strlen(out.managed), &r->arena, &r->cs)));
	assert_non_null(managed_update(&by, out.managed, target, out.merged, &r->arena));
	return out.merged;
}

static bool
try_one(const struct seed *seed, const char *text, size_t len)
{
	READING(r);
	const struct tree *target = json_read(live, strlen(live), &r.arena, &r.cs);
	struct complaints cs = { .arena = &r.arena };
	struct tree *patch, *t, *again;
	const char *json;

	if (seed->how == PROTO) {
		t = proto_read(pod_kind(), text, len, &r.arena, NULL);
	} else {
		patch = json_read(text, len, &r.arena, &cs);
		t = patch ? patched(&r, seed->how, target, patch) : NULL;
	}
	if (strcmp(json_of(&r, target), live) != 0)
		fail_msg("the target became %s", json_of(&r, target));
	if (!t)
		return false;
	json = json_of(&r, t);
	cs = (struct complaints){ .arena = &r.arena };
	again = json_read(json, strlen(json), &r.arena, &cs);
	if (!again || !tree_same(t, again))
		fail_msg("not the same again: %s", json);
	if (t->type == N_MAP)
		schema_decode(pod_kind(), t, SCHEMA_LENIENT, &r.arena, &cs);
	return true;
}

static void
no_mutant_of_a_patch_crashes_or_changes_what_it_is_laid_over(void **s)
{
	struct mutator m = { 0x6a09e667f3bcc909, words };
	int accepted = 0;

	(void)s;
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
		if (!try_one(&seeds[i], seeds[i].text,
			     seeds[i].n ? seeds[i].n : strlen(seeds[i].text)))
			fail_msg("seed %zu is refused", i);
	for (int i = 0; i < ROUNDS; i++) {
		const struct seed *seed =
		    &seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)];
		struct buf b = { 0 };

		buf_add(&b, seed->text, seed->n ? seed->n : strlen(seed->text));
		for (size_t n = mutate_below(&m, 4); n; n--)
			mutate_once(&m, &b);
		accepted += try_one(seed, buf_text(&b), b.len);
		buf_done(&b);
	}
	assert_true(accepted > ROUNDS / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_mutant_of_a_patch_crashes_or_changes_what_it_is_laid_over),
	};

	return RUN(tests);
}

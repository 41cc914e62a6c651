/* t_managed.c -- who owns which field, and server-side apply. */
#include "reads.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/fieldset.h"
#include "reconcile/managed.h"
#include "reconcile/patch_tree.h"

#define SPEC(spec)                                                               \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}," \
	"\"spec\":" spec "}"

static void
the_fields_of_an_object_are_its_leaves(void **s)
{
	static const char want[] =
	    "{\"f:metadata\":{\"f:labels\":{\"f:a\":{}},\"f:finalizers\":{\"v:\\\"x/"
	    "y\\\"\":{}}},"
	    "\"f:spec\":{\"f:nodeSelector\":{},\"f:securityContext\":{},\"f:containers\":{"
	    "\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:name\":{},\"f:args\":{},\"f:ports\":{"
	    "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},"
	    "\"f:containerPort\":{}}}}}}}";
	READING(r);
	struct tree *t = json_good(
	    &r,
	    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"uid\":"
	    "\"u\","
	    "\"labels\":{\"a\":\"b\"},\"finalizers\":[\"x/"
	    "y\"]},\"spec\":{\"nodeSelector\":{\"d\":"
	    "\"s\"},\"securityContext\":{},\"containers\":[{\"name\":\"c\",\"args\":[\"1\"],"
	    "\"ports\":[{\"containerPort\":80}]}]},\"status\":{\"phase\":\"Running\"}}");

	(void)s;
	assert_true(
	    tree_same(fieldset_changed(pod_kind(), NULL, t, &r.arena), json_good(&r, want)));
	assert_true(fieldset_empty(fieldset_changed(pod_kind(), t, t, &r.arena)));
}

struct paths {
	struct buf text;
};

static void
add_path(void *ctx, const char *path)
{
	struct paths *p = ctx;

	buf_addf(&p->text, "%s%s", p->text.len ? " " : "", path);
}

static void
sets_are_told_as_paths(void **s)
{
	READING(r);
	struct paths p = { 0 };

	(void)s;
	fieldset_each(
	    json_good(&r, "{\"f:spec\":{\"f:replicas\":{},\"f:ports\":{\"k:{\\\"port\\\":80,"
			  "\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:name\":{}}}},"
			  "\"f:metadata\":{\"f:finalizers\":{\"v:\\\"a/b\\\"\":{}}}}"),
	    add_path, &p);
	assert_string_equal(buf_text(&p.text),
			    ".spec.replicas .spec.ports[port=80,protocol=\"TCP\"].name "
			    ".metadata.finalizers[=\"a/b\"]");
	buf_done(&p.text);
}

static const struct set_row {
	const char *x, *y, *both, *minus, *common;
} set_rows[] = {
	{ "{\"f:a\":{}}", "{\"f:b\":{}}", "{\"f:a\":{},\"f:b\":{}}", "{\"f:a\":{}}", "{}" },
	{ "{\"f:a\":{\"f:b\":{},\"f:c\":{}}}", "{\"f:a\":{\"f:b\":{}}}",
	  "{\"f:a\":{\"f:b\":{},\"f:c\":{}}}", "{\"f:a\":{\"f:c\":{}}}",
	  "{\"f:a\":{\"f:b\":{}}}" },
	{ "{\"f:a\":{\"f:b\":{}}}", "{\"f:a\":{\"f:b\":{}}}", "{\"f:a\":{\"f:b\":{}}}", "{}",
	  "{\"f:a\":{\"f:b\":{}}}" },
	{ "{}", "{\"f:a\":{}}", "{\"f:a\":{}}", "{}", "{}" },
	/* that it is there, and what is in it */
	{ "{\"f:a\":{\"f:b\":{}}}", "{\"f:a\":{}}", "{\"f:a\":{\"f:b\":{}}}",
	  "{\"f:a\":{\"f:b\":{}}}", "{}" },
};

static void
sets_are_joined_and_parted(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof set_rows / sizeof *set_rows; i++) {
		const struct set_row *w = &set_rows[i];
		READING(r);
		struct tree *x = json_good(&r, w->x), *y = json_good(&r, w->y);

		assert_true(tree_same(fieldset_union(x, y, &r.arena), json_good(&r, w->both)));
		assert_true(tree_same(fieldset_minus(x, y, &r.arena), json_good(&r, w->minus)));
		assert_true(
		    tree_same(fieldset_common(x, y, &r.arena), json_good(&r, w->common)));
	}
}

/* One step of a story: who applies (or, with a '!', forces; with a '=', puts) which spec, and
 * what comes of it: the spec, or a '!' and a conflicting field. */
struct step {
	const char *who, *spec, *want;
};

static const struct step story[] = {
	{ "a", SPEC("{\"hostname\":\"x\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"}]}"),
	  SPEC("{\"hostname\":\"x\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"}]}") },
	/* another states the same: shared, no conflict; and an item of its own */
	{ "b", SPEC("{\"hostname\":\"x\",\"containers\":[{\"name\":\"d\",\"image\":\"2\"}]}"),
	  SPEC("{\"hostname\":\"x\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":"
	       "\"d\",\"image\":\"2\"}]}") },
	{ "b", SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"d\",\"image\":\"2\"}]}"),
	  "!.spec.hostname" },
	/* a states it no longer: b's stays */
	{ "a", SPEC("{\"containers\":[{\"name\":\"c\",\"image\":\"1\"}]}"),
	  SPEC("{\"hostname\":\"x\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":"
	       "\"d\",\"image\":\"2\"}]}") },
	/* now it is b's alone */
	{ "b", SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"d\",\"image\":\"2\"}]}"),
	  SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":"
	       "\"d\",\"image\":\"2\"}]}") },
	/* somebody changes b's image otherwise: b has to force it back */
	{ "=u",
	  SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{"
	       "\"name\":\"d\",\"image\":\"3\"}]}"),
	  SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":"
	       "\"d\",\"image\":\"3\"}]}") },
	{ "b", SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"d\",\"image\":\"2\"}]}"),
	  "!.spec.containers[name=\"d\"].image" },
	{ "!b", SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"d\",\"image\":\"2\"}]}"),
	  SPEC("{\"hostname\":\"y\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":"
	       "\"d\",\"image\":\"2\"}]}") },
	/* what b leaves out goes, item and all */
	{ "b", SPEC("{\"subdomain\":\"z\"}"),
	  SPEC("{\"subdomain\":\"z\",\"containers\":[{\"name\":\"c\",\"image\":\"1\"}]}") },
	/* an empty map takes nothing away that is another's, nor does leaving it out */
	{ "a", SPEC("{}"), SPEC("{\"subdomain\":\"z\"}") },
	{ "a", "{\"metadata\":{\"labels\":{}}}", SPEC("{\"subdomain\":\"z\"}") },
};

static void
a_story_of_three_managers(void **s)
{
	READING(r);
	struct tree *live = NULL;
	const char *managed = NULL;

	(void)s;
	for (size_t i = 0; i < sizeof story / sizeof *story; i++) {
		const struct step *st = &story[i];
		bool put = *st->who == '=', force = *st->who == '!';
		struct managed_by by = { &resources[RES_pod], st->who + (put || force),
					 1700000000000 };
		struct tree *said = json_good(&r, st->spec);
		struct managed_apply out = { 0 };

		if (put) {
			managed = managed_update(&by, managed, live, said, &r.arena);
			live = said;
		} else {
			managed_apply(&by, managed, live, said, force, &out, &r.arena);
		}
		if (*st->want == '!') {
			assert_int_equal(out.conflicts.errors, 1);
			assert_string_equal(out.conflicts.first->field, st->want + 1);
			continue;
		}
		if (out.conflicts.errors)
			fail_msg("step %zu: %s: %s", i, out.conflicts.first->field,
				 out.conflicts.first->text);
		if (!put) {
			live = out.merged;
			managed = out.managed;
		}
		if (!tree_same(tree_get(live, "spec"),
			       tree_get(json_good(&r, st->want), "spec")))
			fail_msg("step %zu: %s", i, json_of(&r, live));
		assert_true(managed_is_sound(json_good(&r, managed)));
	}
}

static void
items_that_cannot_be_told_apart_are_not_applied(void **s)
{
	READING(r);

	(void)s;
	assert_string_equal(
	    fieldset_objection(
		pod_kind(),
		json_good(&r, SPEC("{\"containers\":[{\"name\":\"a\"},{\"name\":\"a\"}]}")),
		&r.arena),
	    ".spec.containers: each item needs a different name");
	assert_string_equal(
	    fieldset_objection(
		pod_kind(),
		json_good(
		    &r,
		    SPEC("{\"containers\":[{\"name\":\"a\",\"env\":[{\"value\":\"x\"}]}]}")),
		&r.arena),
	    ".spec.containers.env: each item needs a different name");
	assert_null(fieldset_objection(
	    pod_kind(),
	    json_good(&r, SPEC("{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}")),
	    &r.arena));
}

/* Two live variables of one name are legal; applying beside them loses neither. */
static void
nothing_is_lost_of_what_cannot_be_told_apart(void **s)
{
	READING(r);
	struct tree *live = json_good(
	    &r, SPEC("{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":"
		     "\"1\"},{\"name\":\"X\",\"value\":\"2\"}]}]}"));
	struct tree *out = fieldset_merge(
	    pod_kind(), live,
	    json_good(&r,
		      SPEC("{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"Y\"}]}]}")),
	    &r.arena);

	(void)s;
	assert_non_null(strstr(json_of(&r, out), "\"1\""));
	assert_non_null(strstr(json_of(&r, out), "\"2\""));
	assert_non_null(strstr(json_of(&r, out), "\"Y\""));
}

static void
managers_do_not_grow_without_end(void **s)
{
	READING(r);
	const char *managed = NULL;
	struct tree *live = json_good(&r, SPEC("{}"));
	size_t n = 0;

	(void)s;
	for (int i = 0; i < 40; i++) {
		const char *name = arena_printf(&r.arena, "m%d", i);
		struct managed_by by = { &resources[RES_pod], name, 1700000000000 };
		struct tree *next = json_good(
		    &r, arena_printf(&r.arena,
				     SPEC("{\"nodeSelector\":{\"a\":\"%d\"},\"hostname\":\"h\","
					  "\"containers\":[{\"name\":\"c%d\"}]}"),
				     i, i));

		managed = managed_update(&by, managed, live, next, &r.arena);
		live = fieldset_merge(pod_kind(), live, next, &r.arena);
	}
	for (const struct tree *t = json_good(&r, managed)->kids; t; t = t->next)
		n++;
	assert_true(n <= 11);
}

/* The list is not in the order of time: whoever applies comes first. */
static void
the_oldest_by_time_are_merged(void **s)
{
	enum { MANAGERS = 11 };
	READING(r);
	cleanup_buf struct buf managed = { 0 };
	struct managed_by by = { &resources[RES_config_map], "now", 1700000000000 };
	const char *out;

	(void)s;
	/* m0 is the newest, m9 and m10 the oldest. */
	for (int i = 0; i < MANAGERS; i++)
		buf_addf(&managed,
			 "%s{\"manager\":\"m%d\",\"operation\":\"%s\",\"time\":"
			 "\"2020-01-01T00:00:%02dZ\",\"fieldsV1\":{\"f:data\":{\"f:k%d\":{}}}}",
			 i ? "," : "[", i, i == 10 ? "Apply" : "Update", 50 - i, i);
	buf_adds(&managed, "]");
	out = managed_update(&by, buf_text(&managed), json_good(&r, "{\"data\":{\"x\":\"1\"}}"),
			     json_good(&r, "{\"data\":{\"x\":\"2\"}}"), &r.arena);
	assert_non_null(strstr(
	    out, "{\"manager\":\"ancient-changes\",\"operation\":\"Update\",\"apiVersion\":"
		 "\"v1\",\"time\":\"2020-01-01T00:00:42Z\",\"fieldsType\":\"FieldsV1\","
		 "\"fieldsV1\":{\"f:data\":{\"f:k9\":{},\"f:k8\":{}}}}"));
	assert_non_null(strstr(out, "\"m0\""));
	assert_non_null(strstr(out, "\"m10\",\"operation\":\"Apply\""));
	assert_null(strstr(out, "\"m8\""));
	assert_null(strstr(out, "\"m9\""));
}

/* Each of many managers is held against all that a write changes. */
static void
many_managers_and_many_fields_take_no_more_memory_than_they_are(void **s)
{
	enum { FIELDS = 40000, MANAGERS = 400, MOST = 100 * 1024 * 1024 };
	READING(r);
	cleanup_buf struct buf was = { 0 }, is = { 0 }, managed = { 0 };
	struct managed_by by = { &resources[RES_config_map], "m", 1700000000000 };
	size_t before, n = 0, found = 0;
	const struct tree *t;
	const char *out;

	(void)s;
	for (int i = 0; i < FIELDS; i++) {
		buf_addf(&was, "%s\"k%d\":\"1\"", i ? "," : "{\"data\":{", i);
		buf_addf(&is, "%s\"k%d\":\"2\"", i ? "," : "{\"data\":{", i);
	}
	buf_adds(&was, "}}");
	buf_adds(&is, "}}");
	for (int i = 0; i < MANAGERS; i++)
		buf_addf(&managed,
			 "%s{\"manager\":\"m%d\",\"operation\":\"Apply\",\"time\":"
			 "\"2020-01-01T00:%02d:%02dZ\",\"fieldsV1\":{\"f:data\":{\"f:k%d\":{},"
			 "\"f:other%d\":{}}}}",
			 i ? "," : "[", i, i / 60, i % 60, i, i);
	buf_adds(&managed, "]");
	t = json_good(&r, buf_text(&was));
	before = r.arena.bytes;
	out =
	    managed_update(&by, buf_text(&managed), t, json_good(&r, buf_text(&is)), &r.arena);
	assert_in_range(r.arena.bytes - before, 1, MOST);
	for (t = json_good(&r, out)->kids; t; t = t->next)
		n++;
	assert_in_range(n, 2, 65);
	/* Nobody's field is lost, though the oldest managers became one. */
	for (const char *p = out; (p = strstr(p, "f:other")); p++)
		found++;
	assert_int_equal(found, MANAGERS);
	assert_non_null(strstr(out, "\"ancient-changes\",\"operation\":\"Update\""));
	assert_non_null(strstr(out, "\"m399\",\"operation\":\"Apply\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_fields_of_an_object_are_its_leaves),
		T(sets_are_told_as_paths),
		T(sets_are_joined_and_parted),
		T(a_story_of_three_managers),
		T(items_that_cannot_be_told_apart_are_not_applied),
		T(nothing_is_lost_of_what_cannot_be_told_apart),
		T(the_oldest_by_time_are_merged),
		T(managers_do_not_grow_without_end),
		T(many_managers_and_many_fields_take_no_more_memory_than_they_are),
	};

	return RUN(tests);
}

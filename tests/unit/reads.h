/* reads.h -- text to trees and complaints, for the tests of the schema. */
#ifndef KEDGE_READS_H
#define KEDGE_READS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/error.h" /* cmocka has a macro fail() */
#include "reconcile/object.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define T(fn)   cmocka_unit_test(fn)
#define RUN(ts) cmocka_run_group_tests_name(__FILE__, ts, NULL, NULL)

struct reading {
	struct arena arena;
	struct complaints cs;
};

static inline void
reading_free(struct reading *r)
{
	arena_free(&r->arena);
}
#define READING(r)                                                       \
	__attribute__((cleanup(reading_free))) struct reading r = { 0 }; \
	r.cs.arena = &r.arena

/* Every complaint, a line each. */
static inline const char *
said(struct reading *r)
{
	cleanup_buf struct buf b = { 0 };

	complaints_sort(&r->cs);
	for (struct complaint *c = r->cs.first; c; c = c->next)
		buf_addf(&b, "%s%s", b.len ? "\n" : "", complaint_print(c, &r->arena));
	return arena_strdup(&r->arena, buf_text(&b));
}

static inline struct tree *
yaml(struct reading *r, const char *text)
{
	return yaml_read(text, strlen(text), &r->arena, &r->cs);
}

static inline struct tree *
json_good(struct reading *r, const char *text)
{
	struct tree *t = json_read(text, strlen(text), &r->arena, &r->cs);

	if (!t)
		fail_msg("not JSON: %s", text);
	return t;
}

static inline const char *
json_of(struct reading *r, const struct tree *t)
{
	cleanup_buf struct buf b = { 0 };

	if (t)
		tree_json(t, &b);
	return arena_strdup(&r->arena, buf_text(&b));
}

static inline void *
decoded(struct reading *r, const struct kind *k, const char *text, enum schema_mode mode)
{
	const struct tree *t = yaml(r, text);

	assert_non_null(t);
	return schema_decode(k, t, mode, &r->arena, &r->cs);
}

static inline const char *
encoded(struct reading *r, const struct kind *k, const void *obj)
{
	cleanup_buf struct buf b = { 0 };

	schema_encode(k, obj, &b);
	return arena_strdup(&r->arena, buf_text(&b));
}

static inline struct manifest *
manifests(struct reading *r, const char *text)
{
	return manifest_read("m.yaml", text, strlen(text), &r->arena, &r->cs);
}
#endif
